//! `hallux report`: results as one HTML file.

use crate::output;
use crate::report::{Loaded, View, load, page};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `hallux report`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Directories that `hallux run` or `hallux sweep` has left.
    #[arg(required = true)]
    results: Vec<PathBuf>,
    /// The file to write [default: report.html in the first directory].
    #[arg(long)]
    out: Option<PathBuf>,
    /// A figure of a sweep to draw across, instead of its objectives.
    #[arg(long, value_name = "METRIC")]
    x: Option<String>,
    /// A figure of a sweep to draw upwards.
    #[arg(long, value_name = "METRIC")]
    y: Option<String>,
    /// A figure of a sweep to draw as colour.
    #[arg(long, value_name = "METRIC")]
    colour: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// A result cannot be read, a figure is unknown, or the file cannot be written.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let results = arguments.results.iter().map(|path| load(path));
    let results: Vec<Loaded> = results.collect::<Result<_, _>>()?;
    for name in [&arguments.x, &arguments.y, &arguments.colour]
        .into_iter()
        .flatten()
    {
        let known = |name: &str| {
            results.iter().any(|result| match result {
                Loaded::Sweep(sweep) => sweep.rows.iter().any(|row| row.metrics.contains_key(name)),
                Loaded::Run(_) => false,
            })
        };
        if !known(name) && !known(&format!("synth.{name}")) {
            bail!("no sweep here has a figure `{name}`; the names are in its results.jsonl");
        }
    }
    let view = View {
        x: arguments.x.clone(),
        y: arguments.y.clone(),
        colour: arguments.colour.clone(),
    };
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| arguments.results[0].join("report.html"));
    let mut part = out.clone().into_os_string();
    part.push(".part");
    fs::write(&part, page(&results, &view))
        .and_then(|()| fs::rename(&part, &out))
        .with_context(|| format!("cannot write {}", out.display()))?;
    output::line(format_args!("report: {}", out.display()));
    Ok(ExitCode::SUCCESS)
}
