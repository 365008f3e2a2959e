//! Running points: each in a process of its own, so that a point that crashes is a row of
//! the table and not the end of the sweep.

use super::store::{self, Outcome, StoreError};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Between two looks at a running point: small beside the shortest run.
const LOOK: Duration = Duration::from_millis(2);

/// Why running points had to stop.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The directory of the sweep.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A process cannot be started.
    #[error("cannot start {program}: {error}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        error: io::Error,
    },
    /// The disk is full; every further point would fail the same way.
    #[error(
        "no space is left for results ({0}); what is stored so far stays, \
         and the same command goes on from there"
    )]
    DiskFull(String),
    /// Slurm refused.
    #[error("Slurm: {0}")]
    Slurm(String),
}

/// What became of a point that left no stored outcome, by key.
pub type Lost = BTreeMap<String, String>;

/// What an engine reports while it works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Points that ended.
    pub ended: usize,
    /// Points under way.
    pub running: usize,
    /// Points that failed, of those that ended.
    pub failed: usize,
}

/// How one point ended.
#[derive(Debug)]
enum Ended {
    Done,
    Failed,
    /// Not by its own doing: it may succeed next time.
    Lost(String),
    Cancelled,
}

/// Runs `keys`, `workers` at a time. Their plans stand in the store at `root`.
///
/// # Errors
/// [`EngineError`]; points that ended before are stored.
pub fn run_local(
    root: &Path,
    keys: &[String],
    workers: usize,
    cancel: &AtomicBool,
    progress: &(dyn Fn(Status) + Sync),
) -> Result<Lost, EngineError> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let status = Mutex::new(Status::default());
    let lost = Mutex::new(Lost::new());
    let first_error = Mutex::new(None);
    let update = |change: &dyn Fn(&mut Status)| {
        let mut status = lock(&status);
        change(&mut status);
        progress(*status);
    };
    let work = || {
        while !cancel.load(Ordering::Relaxed) && !stop.load(Ordering::Relaxed) {
            let Some(key) = keys.get(next.fetch_add(1, Ordering::Relaxed)) else {
                break;
            };
            update(&|status| status.running += 1);
            let ended = run_point(root, key, cancel);
            update(&|status| {
                status.running -= 1;
                status.ended += usize::from(!matches!(ended, Ok(Ended::Cancelled) | Err(_)));
                status.failed += usize::from(matches!(ended, Ok(Ended::Failed | Ended::Lost(_))));
            });
            match ended {
                Ok(Ended::Lost(reason)) => {
                    lock(&lost).insert(key.clone(), reason);
                }
                Ok(_) => {}
                Err(error) => {
                    lock(&first_error).get_or_insert(error);
                    stop.store(true, Ordering::Relaxed);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers.clamp(1, keys.len().max(1)) {
            scope.spawn(work);
        }
    });
    match lock(&first_error).take() {
        Some(error) => Err(error),
        None => Ok(std::mem::take(&mut *lock(&lost))),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Runs the points of one job, one after the other.
///
/// # Errors
/// [`EngineError`].
pub fn run_here(root: &Path, keys: &[String], cancel: &AtomicBool) -> Result<Lost, EngineError> {
    run_local(root, keys, 1, cancel, &|_| {})
}

/// Runs one point by its plan and stores its outcome.
fn run_point(root: &Path, key: &str, cancel: &AtomicBool) -> Result<Ended, EngineError> {
    let plan = store::read_plan(root, key)?;
    let work = root
        .join("work")
        .join(format!("{key}-{}", std::process::id()));
    let io_error = |path: &Path| {
        let path = path.to_owned();
        move |error| StoreError::Io {
            action: "make",
            path,
            error,
        }
    };
    fs::create_dir_all(&work).map_err(io_error(&work))?;
    let told = work.join("stderr");
    let file = fs::File::create(&told).map_err(io_error(&told))?;
    let program = std::env::current_exe().map_err(|error| EngineError::Start {
        program: "hallux".into(),
        error,
    })?;
    let run = work.join("run");
    let mut command = Command::new(&program);
    command
        .arg("run")
        .arg(&plan.scenario)
        .arg("--out")
        .arg(&run);
    for assignment in &plan.overrides {
        command.args(["--set", assignment]);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file);
    let mut child = command.spawn().map_err(|error| EngineError::Start {
        program: program.display().to_string(),
        error,
    })?;
    let exit = loop {
        match child.try_wait() {
            Ok(Some(exit)) => break exit,
            Ok(None) if cancel.load(Ordering::Relaxed) => {
                let _ = child.kill();
                let _ = child.wait();
                let _ = fs::remove_dir_all(&work);
                return Ok(Ended::Cancelled);
            }
            Ok(None) => std::thread::sleep(LOOK),
            Err(error) => {
                return Err(EngineError::Start {
                    program: program.display().to_string(),
                    error,
                });
            }
        }
    };
    if cancel.load(Ordering::Relaxed) && !exit.success() {
        // Ctrl-C reaches the whole group: the run was told to end, it did not fail.
        let _ = fs::remove_dir_all(&work);
        return Ok(Ended::Cancelled);
    }
    let ended = conclude(root, key, &run, exit, &told)?;
    let _ = fs::remove_dir_all(&work);
    Ok(ended)
}

fn conclude(
    root: &Path,
    key: &str,
    run: &Path,
    exit: ExitStatus,
    told: &Path,
) -> Result<Ended, EngineError> {
    let reason = reason(&fs::read_to_string(told).unwrap_or_default());
    if exit.success() {
        let summary = fs::read_to_string(run.join("summary.json"))
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok());
        let Some(summary) = summary else {
            return Ok(Ended::Lost("the run left no summary".into()));
        };
        store::store_outcome(root, key, Some(run), &Outcome::Done { summary })?;
        return Ok(Ended::Done);
    }
    if reason.contains("(os error 28)") {
        return Err(EngineError::DiskFull(reason));
    }
    if exit.code() == Some(1) {
        store::store_outcome(root, key, None, &Outcome::Failed { reason })?;
        return Ok(Ended::Failed);
    }
    Ok(Ended::Lost(format!("the run ended with {exit}; {reason}")))
}

/// The one message of a run that failed, on one line.
fn reason(stderr: &str) -> String {
    let message = match stderr.rfind("error: ") {
        Some(start) => &stderr[start + "error: ".len()..],
        None => stderr,
    };
    let lines = message
        .lines()
        .take_while(|line| !line.starts_with("partial results"))
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let text = lines.collect::<Vec<_>>().join("; ");
    match text.is_empty() {
        true => "it said nothing".into(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_in_one_line() {
        let text = "hallux: compiling\nerror: 5 of 9 bytes verified\n\
                    partial results, marked incomplete: results/x.incomplete\n";
        assert_eq!(reason(text), "5 of 9 bytes verified");
        assert_eq!(reason(""), "it said nothing");
    }
}
