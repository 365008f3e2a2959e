//! The directory of a sweep: one subdirectory a point, taken as a whole or not at all.
//!
//! ```text
//! <out>/lock               held while a sweep works on the directory
//!       sweep.json         what was swept; marks the directory as a sweep's
//!       results.csv        the table, as far as it is known
//!       results.jsonl      the same with every figure
//!       points/<key>/      plan.json, outcome.json, summary.json, execution.json
//!       work/              runs under way
//! ```

use super::point::{Plan, Point};
use super::slurm;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// How a point ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Outcome {
    /// It ran to its end.
    Done {
        /// Its `summary.json`.
        summary: serde_json::Value,
    },
    /// It cannot be run, or its run failed; it would fail again.
    Failed {
        /// One sentence.
        reason: String,
    },
}

/// Why the directory of a sweep cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another sweep works on it.
    #[error("another sweep works on {0}; wait for it, or give this one another --out")]
    Busy(PathBuf),
    /// Something else is there.
    #[error("{0} holds something else than a sweep; name a new directory")]
    Foreign(PathBuf),
    /// A file cannot be read or written.
    #[error(
        "cannot {action} {path}: {error}; what is stored so far stays, and the same command goes on from there"
    )]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |error| StoreError::Io {
        action,
        path,
        error,
    }
}

/// The directory, locked.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    _lock: File,
}

impl Store {
    /// Makes or opens a directory and locks it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let empty = match fs::read_dir(root) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(StoreError::Foreign(root.into()));
            }
            Err(error) => return Err(at("read", root)(error)),
        };
        if !empty && !root.join("lock").is_file() {
            return Err(StoreError::Foreign(root.into()));
        }
        let points = root.join("points");
        fs::create_dir_all(&points).map_err(at("make", &points))?;
        let path = root.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(at("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Busy(root.into())),
            Err(TryLockError::Error(error)) => return Err(at("lock", &path)(error)),
        }
        slurm::end_orphan(root);
        let work = root.join("work");
        // What an interrupted sweep left under way is worth nothing.
        match fs::remove_dir_all(&work) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(at("clear", &work)(error));
            }
            _ => {}
        }
        fs::create_dir_all(&work).map_err(at("make", &work))?;
        Ok(Self {
            root: root.into(),
            _lock: lock,
        })
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How the point ended, if it was run before.
    pub fn outcome(&self, key: &str) -> Option<Outcome> {
        let text = fs::read_to_string(place(&self.root, key).join("outcome.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Forgets a point's failure, so that it is run again.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn forget_failure(&self, key: &str) -> Result<(), StoreError> {
        if let Some(Outcome::Failed { .. }) = self.outcome(key) {
            let path = place(&self.root, key).join("outcome.json");
            fs::remove_file(&path).map_err(at("remove", &path))?;
        }
        Ok(())
    }

    /// Writes down how a point is run, before it is.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn plan(&self, point: &Point) -> Result<(), StoreError> {
        let directory = place(&self.root, &point.key);
        fs::create_dir_all(&directory).map_err(at("make", &directory))?;
        let mut plan = point.plan.clone();
        plan.scenario = std::path::absolute(&plan.scenario).unwrap_or(plan.scenario);
        write_json(&directory.join("plan.json"), &plan)
    }

    /// Writes a file of the directory, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, name: &str, contents: &str) -> Result<PathBuf, StoreError> {
        let path = self.root.join(name);
        write_whole(&path, contents)?;
        Ok(path)
    }
}

/// Where a point is stored.
pub fn place(root: &Path, key: &str) -> PathBuf {
    root.join("points").join(key)
}

/// How a point is to be run.
///
/// # Errors
/// The file cannot be read, or is no plan.
pub fn read_plan(root: &Path, key: &str) -> Result<Plan, StoreError> {
    let path = place(root, key).join("plan.json");
    let text = fs::read_to_string(&path).map_err(at("read", &path))?;
    serde_json::from_str(&text).map_err(|error| at("understand", &path)(error.into()))
}

/// Stores how a point ended; its run's directory, if there is one, gives the details.
///
/// # Errors
/// A file cannot be written.
pub fn store_outcome(
    root: &Path,
    key: &str,
    run: Option<&Path>,
    outcome: &Outcome,
) -> Result<(), StoreError> {
    let directory = place(root, key);
    if let Some(run) = run {
        for name in ["summary.json", "execution.json"] {
            let (from, to) = (run.join(name), directory.join(name));
            if from.is_file() {
                fs::rename(&from, &to).map_err(at("store", &to))?;
            }
        }
    }
    // Last: its presence says that all the rest is there.
    write_json(&directory.join("outcome.json"), outcome)
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
    let text = serde_json::to_string(value).map_err(|error| at("write", path)(error.into()))?;
    write_whole(path, &text)
}

/// Writes beside the file and renames, so that a full disk leaves the old one.
fn write_whole(path: &Path, contents: &str) -> Result<(), StoreError> {
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(part);
    let written = fs::write(&part, contents).and_then(|()| fs::rename(&part, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&part);
        at("write", path)(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_serves_one_sweep_at_a_time() {
        let base = tempfile::tempdir().unwrap();
        let root = base.path().join("sweep");
        let first = Store::open(&root).unwrap();
        assert!(matches!(Store::open(&root), Err(StoreError::Busy(_))));
        drop(first);
        Store::open(&root).unwrap();
    }

    #[test]
    fn foreign_directories_are_left_alone() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("thesis.tex"), "x").unwrap();
        assert!(matches!(
            Store::open(base.path()),
            Err(StoreError::Foreign(_))
        ));
        assert!(matches!(
            Store::open(&base.path().join("thesis.tex")),
            Err(StoreError::Foreign(_))
        ));
    }

    #[test]
    fn outcomes_are_found_again_and_failures_can_be_forgotten() {
        let base = tempfile::tempdir().unwrap();
        let store = Store::open(&base.path().join("s")).unwrap();
        let point = place(store.root(), "k");
        fs::create_dir_all(&point).unwrap();
        assert_eq!(store.outcome("k"), None);
        let failed = Outcome::Failed {
            reason: "too small".into(),
        };
        store_outcome(store.root(), "k", None, &failed).unwrap();
        assert_eq!(store.outcome("k"), Some(failed));
        store.forget_failure("k").unwrap();
        assert_eq!(store.outcome("k"), None);
        fs::write(point.join("outcome.json"), "{ half").unwrap();
        assert_eq!(store.outcome("k"), None);
    }
}
