//! `hallux blame`: where the time of a run's requests and segments went.

use crate::blame::{self, Blame};
use crate::output;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `hallux blame`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Directory of a result, or its summary.json.
    result: PathBuf,
}

/// What is read of a summary.
#[derive(Deserialize)]
struct Summary {
    scenario: String,
    design: String,
    blame: Option<Blame>,
}

/// Runs the command.
///
/// # Errors
/// There is no result, or it has no blame.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let path = summary_of(&arguments.result);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}; name the result of a run", path.display()))?;
    let summary: Summary = serde_json::from_str(&text)
        .with_context(|| format!("{} is no summary of a run", path.display()))?;
    let Some(blame) = summary.blame else {
        bail!(
            "{} has no `blame`: an older version wrote it; run the scenario again",
            path.display()
        );
    };
    output::line(format_args!("{} on {}", summary.scenario, summary.design));
    output::line(blame::long(&blame).trim_end());
    Ok(ExitCode::SUCCESS)
}

/// The summary that `result` names, itself or by its directory.
pub fn summary_of(result: &Path) -> PathBuf {
    match result.is_dir() {
        true => result.join("summary.json"),
        false => result.to_owned(),
    }
}
