//! Standard output that may be closed at any time, as by `| head`, and files that take
//! their names only when they are whole.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Prints a line. A reader who has gone away is not an error: what matters is in files.
pub fn line(text: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A file that is written as `<name>.incomplete` until [`OutputFile::publish`].
#[derive(Debug)]
pub struct OutputFile {
    file: Option<File>,
    part: PathBuf,
    whole: PathBuf,
}

/// A file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {error}", .path.display())]
pub struct OutputError {
    /// Its name.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub error: io::Error,
}

impl OutputFile {
    /// Makes the file, so that a wrong name shows before a long run.
    ///
    /// # Errors
    /// It cannot be made, or its name is that of a directory.
    pub fn create(whole: &Path) -> Result<Self, OutputError> {
        let failed = |error| OutputError {
            path: whole.to_owned(),
            error,
        };
        let name = match whole.file_name() {
            Some(name) if !whole.is_dir() => name,
            _ => return Err(failed(io::ErrorKind::IsADirectory.into())),
        };
        let mut part = name.to_owned();
        part.push(".incomplete");
        let part = whole.with_file_name(part);
        let file = File::create(&part).map_err(failed)?;
        Ok(Self {
            file: Some(file),
            part,
            whole: whole.to_owned(),
        })
    }

    /// The stream, to be taken once.
    ///
    /// # Errors
    /// It was taken before.
    pub fn writer(&mut self) -> io::Result<BufWriter<File>> {
        let file = self.file.take();
        file.map(BufWriter::new)
            .ok_or_else(|| io::Error::other("the file is written by another already"))
    }

    /// The file is whole: it gets its name.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub fn publish(self) -> Result<PathBuf, OutputError> {
        let moved = fs::rename(&self.part, &self.whole);
        moved.map_err(|error| OutputError {
            path: self.whole.clone(),
            error,
        })?;
        Ok(self.whole)
    }

    /// The file is not whole: it keeps its marked name, which is returned.
    pub fn keep_incomplete(self) -> PathBuf {
        self.part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_name_only_when_it_is_whole() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log.tsv");
        let mut file = OutputFile::create(&path).unwrap();
        file.writer().unwrap().write_all(b"x").unwrap();
        assert!(file.writer().is_err() && !path.exists());
        assert_eq!(file.publish().unwrap(), path);
        assert_eq!(fs::read(&path).unwrap(), b"x");
        let again = OutputFile::create(&path).unwrap().keep_incomplete();
        assert!(again.ends_with("log.tsv.incomplete") && path.exists());
        let error = OutputFile::create(place.path()).unwrap_err();
        assert!(error.to_string().contains("directory"), "{error}");
    }
}
