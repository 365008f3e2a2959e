//! `hallux worker`: a part of a run, started by `hallux run --mode processes`.

use crate::processes;
use anyhow::Result;
use std::process::ExitCode;

/// Runs the command.
///
/// # Errors
/// Standard input holds no job.
pub fn execute() -> Result<ExitCode> {
    processes::work()?;
    Ok(ExitCode::SUCCESS)
}
