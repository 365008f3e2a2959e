//! The files that a server serves, read before the simulation starts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// A SHA-256 digest.
pub type Sha256Digest = [u8; 32];

/// Files by their path below the root, as `a/b.html`.
///
/// All of them are in memory: nothing that happens to the directory while the
/// simulation runs can change its result.
#[derive(Clone, Debug, Default)]
pub struct FileTree {
    files: BTreeMap<String, ServedFile>,
}

/// One file.
#[derive(Clone, Debug)]
pub struct ServedFile {
    /// What is in it.
    pub content: Bytes,
    /// Digest of the content.
    pub sha256: Sha256Digest,
}

/// What a client needs to know to fetch a file and judge what it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestEntry {
    /// Path below the root, not percent-encoded.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest of the content.
    pub sha256: Sha256Digest,
}

/// Why a directory cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum FileTreeError {
    /// It is no directory, or cannot be read.
    #[error("cannot read the served directory `{}`: {source}; point `app.root` to a readable directory", .path.display())]
    Root {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in it cannot be read.
    #[error("cannot read `{}` in the served directory: {source}", .path.display())]
    Entry {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A name that is no UTF-8 has no unique path in a URL.
    #[error("the name of `{}` in the served directory is not UTF-8; rename it", .0.display())]
    Name(PathBuf),
    /// A symbolic link whose target is no file below the root.
    #[error("`{}` is a symbolic link to something that is no file in the served directory; remove it or copy the file", .0.display())]
    Link(PathBuf),
    /// There is nothing to serve.
    #[error("the served directory `{}` contains no file", .0.display())]
    Empty(PathBuf),
}

impl FileTree {
    /// Reads all files below `root`.
    ///
    /// # Errors
    ///
    /// [`FileTreeError`], naming what cannot be read.
    pub fn load(root: &Path) -> Result<Self, FileTreeError> {
        let at_root = |source| FileTreeError::Root {
            path: root.to_owned(),
            source,
        };
        let canonical = root.canonicalize().map_err(at_root)?;
        fs::read_dir(&canonical).map_err(at_root)?;
        let mut tree = FileTree::default();
        tree.load_directory(&canonical, &canonical, "")?;
        if tree.files.is_empty() {
            return Err(FileTreeError::Empty(root.to_owned()));
        }
        Ok(tree)
    }

    fn load_directory(
        &mut self,
        root: &Path,
        directory: &Path,
        prefix: &str,
    ) -> Result<(), FileTreeError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| FileTreeError::Entry { path, source }
        };
        for entry in fs::read_dir(directory).map_err(failed(directory))? {
            let entry = entry.map_err(failed(directory))?;
            let path = entry.path();
            let name = entry.file_name();
            let name = name
                .to_str()
                .ok_or_else(|| FileTreeError::Name(path.clone()))?;
            let below = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(failed(&path))?;
            if kind.is_dir() {
                self.load_directory(root, &path, &format!("{below}/"))?;
                continue;
            }
            if kind.is_symlink() {
                let target = path.canonicalize().map_err(failed(&path))?;
                if !target.starts_with(root) || !target.is_file() {
                    return Err(FileTreeError::Link(path));
                }
            } else if !kind.is_file() {
                // Sockets, pipes and devices would block or never end.
                continue;
            }
            self.insert(below, fs::read(&path).map_err(failed(&path))?);
        }
        Ok(())
    }

    /// Adds a file; `path` is below the root, such as `a/b.html`.
    pub fn insert(&mut self, path: impl Into<String>, content: impl Into<Bytes>) {
        let content = content.into();
        let sha256 = Sha256::digest(&content).into();
        self.files
            .insert(path.into(), ServedFile { content, sha256 });
    }

    /// The file at a path below the root.
    pub fn get(&self, path: &str) -> Option<&ServedFile> {
        self.files.get(path)
    }

    /// What there is, sorted by path.
    pub fn manifest(&self) -> Vec<ManifestEntry> {
        let files = self.files.iter();
        files
            .map(|(path, file)| ManifestEntry {
                path: path.clone(),
                size: file.content.len() as u64,
                sha256: file.sha256,
            })
            .collect()
    }

    /// Bytes of all files.
    pub fn total_bytes(&self) -> u64 {
        self.files
            .values()
            .map(|file| file.content.len() as u64)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_read_with_all_below_it() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("sub")).unwrap();
        fs::write(root.path().join("sub/b c.txt"), "hello").unwrap();
        fs::write(root.path().join("a.html"), "").unwrap();
        let tree = FileTree::load(root.path()).unwrap();
        let manifest = tree.manifest();
        let paths: Vec<_> = manifest
            .iter()
            .map(|entry| (entry.path.as_str(), entry.size))
            .collect();
        assert_eq!(paths, [("a.html", 0), ("sub/b c.txt", 5)]);
        assert_eq!(tree.total_bytes(), 5);
        assert_eq!(tree.get("sub/b c.txt").unwrap().sha256[..2], [0x2c, 0xf2]);
    }

    #[test]
    fn what_cannot_be_served_is_named() {
        let root = tempfile::tempdir().unwrap();
        let load = |path: &Path| FileTree::load(path).unwrap_err().to_string();
        assert!(load(root.path()).contains("contains no file"));
        let missing = root.path().join("missing");
        assert!(load(&missing).contains("missing") && load(&missing).contains("app.root"));
        let file = root.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(load(&file).contains("cannot read the served directory"));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("/etc/hostname", root.path().join("out")).unwrap();
            assert!(load(root.path()).contains("symbolic link"));
        }
    }
}
