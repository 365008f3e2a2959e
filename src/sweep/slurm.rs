//! Points as a Slurm job array.
//!
//! Each task of the array runs `hallux sweep-worker`, which runs its chunk of points one after
//! the other. The directory of the sweep and the cache of models must be on a file system
//! that all nodes share; results come back through it, so that the table does not know who ran what.

use super::engine::{EngineError, Lost, Status};
use super::store::{self, Outcome};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two looks at the directory.
const LOOK: Duration = Duration::from_millis(200);
/// Between two questions to the controller.
const ASK: Duration = Duration::from_secs(2);

/// How long the tasks of an ended job may take to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where the number of the job stands while it is watched.
const JOB: &str = "work/slurm-job";

/// Runs `keys` as a job array of `chunk` points a task.
///
/// # Errors
/// Slurm is missing or refuses, or the directory cannot be written.
pub fn run(
    root: &Path,
    name: &str,
    keys: &[String],
    chunk: usize,
    cancel: &AtomicBool,
    progress: &(dyn Fn(Status) + Sync),
) -> Result<Lost, EngineError> {
    let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    let tasks = root.join("work").join("tasks");
    let write = |path: &Path, text: String| {
        fs::write(path, text).map_err(|error| {
            EngineError::Slurm(format!("cannot write {}: {error}", path.display()))
        })
    };
    fs::create_dir_all(&tasks)
        .map_err(|error| EngineError::Slurm(format!("cannot make {}: {error}", tasks.display())))?;
    let chunks: Vec<&[String]> = keys.chunks(chunk.max(1)).collect();
    for (task, keys) in chunks.iter().enumerate() {
        write(&tasks.join(task.to_string()), keys.join("\n") + "\n")?;
    }
    let program = std::env::current_exe()
        .map_err(|error| EngineError::Slurm(format!("this program has no path: {error}")))?;
    let script = root.join("work").join("job.sh");
    write(
        &script,
        format!(
            "#!/bin/sh\nexec {} sweep-worker {} {}/\"$SLURM_ARRAY_TASK_ID\"\n",
            quoted(&program),
            quoted(&root),
            quoted(&tasks)
        ),
    )?;
    let output = root.join("work").join("slurm-%a.out");
    let job = submit(name, chunks.len(), &output, &script)?;
    let noted = root.join(JOB);
    write(&noted, job.clone())?;
    let watched = watch(&root, keys, &job, cancel, progress);
    if watched.is_err() || cancel.load(Ordering::Relaxed) {
        let _ = Command::new("scancel").arg(&job).status();
    }
    watched?;
    let _ = fs::remove_file(&noted);
    Ok(keys
        .iter()
        .filter(|key| outcome(&root, key).is_none())
        .map(|key| {
            let reason = format!(
                "job {job} left no result for it; see {}",
                root.join("work").display()
            );
            (key.clone(), reason)
        })
        .collect())
}

/// Ends the job of a sweep that was killed while it watched: its tasks would go on writing
/// into the directory that is to be cleared.
pub fn end_orphan(root: &Path) {
    let Ok(job) = fs::read_to_string(root.join(JOB)) else {
        return;
    };
    let ended = Command::new("scancel").arg(&job).status();
    let until = Instant::now() + PATIENCE;
    while ended.is_ok() && Instant::now() < until && is_alive(&job).unwrap_or(false) {
        std::thread::sleep(LOOK);
    }
}

fn submit(name: &str, tasks: usize, output: &Path, script: &Path) -> Result<String, EngineError> {
    let sbatch = std::env::var("HALLUX_SBATCH").unwrap_or_else(|_| "sbatch".into());
    let answer = Command::new(&sbatch)
        .arg("--parsable")
        .arg(format!("--job-name=hallux-{name}"))
        .arg(format!("--array=0-{}", tasks - 1))
        .arg("--ntasks=1")
        .arg(format!("--output={}", output.display()))
        .arg(script)
        .output()
        .map_err(|error| {
            EngineError::Slurm(format!(
                "cannot run {sbatch}: {error}; install it (apt-get install slurm-wlm), \
                 or use --engine local"
            ))
        })?;
    if !answer.status.success() {
        let told = String::from_utf8_lossy(&answer.stderr);
        return Err(EngineError::Slurm(format!(
            "sbatch refused the job: {}",
            told.trim()
        )));
    }
    let text = String::from_utf8_lossy(&answer.stdout);
    // `JOB` or `JOB;CLUSTER`.
    let job = text.trim().split(';').next().unwrap_or_default().to_owned();
    match job.is_empty() {
        true => Err(EngineError::Slurm("sbatch named no job".into())),
        false => Ok(job),
    }
}

/// Until no task of the job is left.
fn watch(
    root: &Path,
    keys: &[String],
    job: &str,
    cancel: &AtomicBool,
    progress: &(dyn Fn(Status) + Sync),
) -> Result<(), EngineError> {
    let mut asked = Instant::now();
    while !cancel.load(Ordering::Relaxed) {
        let outcomes: Vec<Outcome> = keys.iter().filter_map(|key| outcome(root, key)).collect();
        let failed = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Outcome::Failed { .. }))
            .count();
        progress(Status {
            ended: outcomes.len(),
            running: 0,
            failed,
        });
        if outcomes.len() == keys.len() {
            return Ok(());
        }
        if asked.elapsed() >= ASK {
            asked = Instant::now();
            if !is_alive(job)? {
                return Ok(());
            }
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

fn is_alive(job: &str) -> Result<bool, EngineError> {
    let answer = Command::new("squeue")
        .args(["--noheader", "--job", job, "--format=%T"])
        .output()
        .map_err(|error| EngineError::Slurm(format!("cannot run squeue: {error}")))?;
    // A job that the controller has forgotten is an error to squeue, and over to us.
    let states = String::from_utf8_lossy(&answer.stdout);
    Ok(answer.status.success() && !states.trim().is_empty())
}

fn outcome(root: &Path, key: &str) -> Option<Outcome> {
    let text = fs::read_to_string(store::place(root, key).join("outcome.json")).ok()?;
    serde_json::from_str(&text).ok()
}

/// A path as one word of the shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_one_word() {
        assert_eq!(quoted(Path::new("/a b/c'd")), r"'/a b/c'\''d'");
    }
}
