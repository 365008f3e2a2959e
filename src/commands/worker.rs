//! `hallux worker` and `hallux agent`: a part of a run, started by `hallux run` with
//! `--mode processes` or `--mode cluster`.

use crate::{cluster, processes};
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

/// Runs the command `hallux agent`.
///
/// # Errors
/// Standard input holds no invitation, or the run is not where it says.
pub fn execute_agent() -> Result<ExitCode> {
    cluster::serve()?;
    Ok(ExitCode::SUCCESS)
}
