//! `hallux synth`: what a design costs in an FPGA and how fast it may run.

use crate::output;
use crate::synth::{self, Family, Options, Report, report};
use anyhow::{Context, Result};
use hallux_toe::design::DesignPoint;
use hallux_toe::generate::generate;
use hallux_toe::units::Frequency;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `hallux synth`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A design point, or a directory that `hallux gen` wrote.
    design: PathBuf,
    /// FPGA family.
    #[arg(long, value_enum, default_value = "ultrascale+")]
    family: Family,
    /// Only this module, with everything inside it; can be repeated.
    #[arg(long = "module", value_name = "NAME")]
    modules: Vec<String>,
    /// List the N worst paths of each module cell by cell.
    #[arg(long, value_name = "N", default_value_t = 0)]
    paths: usize,
    /// Clock to compare with, instead of the design point's; for example 200MHz.
    #[arg(long)]
    clock: Option<Frequency>,
    /// Modules mapped at a time; the number of processors if not given.
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Print the estimate as JSON, or write it to FILE and print the table.
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    json: Option<Option<PathBuf>>,
}

/// Runs the command. Missing the clock is a finding, not a failure.
///
/// # Errors
/// yosys is missing, the design is wrong, or it cannot be mapped.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let options = Options {
        family: arguments.family,
        modules: arguments.modules.clone(),
        paths: arguments.paths.max(1),
        clock: arguments.clock,
        jobs: arguments.jobs,
    };
    let mut progress = |line: &str| eprintln!("hallux: {line}");
    let report = if arguments.design.is_dir() {
        synth::estimate_directory(&arguments.design, &options, &mut progress)?
    } else {
        let design = generate(&DesignPoint::read(&arguments.design)?)?;
        let sources: Vec<(String, String)> = design
            .files
            .iter()
            .map(|file| (file.name.clone(), file.text.clone()))
            .collect();
        synth::estimate(&design.manifest, &sources, &options, &mut progress)?
    };
    match &arguments.json {
        Some(None) => {
            output::line(serde_json::to_string_pretty(&report)?);
            return Ok(ExitCode::SUCCESS);
        }
        Some(Some(file)) => write(file, &report)?,
        None => {}
    }
    print(&report, arguments.paths);
    Ok(ExitCode::SUCCESS)
}

fn write(file: &Path, report: &Report) -> Result<()> {
    let text = serde_json::to_string_pretty(report)? + "\n";
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn print(report: &Report, paths: usize) {
    output::line(format_args!(
        "{} on {}, {}",
        report.design,
        report.family.technology().name(),
        report.yosys
    ));
    output::line(report.table());
    if let Some(verdict) = report.verdict() {
        output::line(verdict);
    }
    if paths > 0 {
        for module in &report.modules {
            output::line("");
            output::line(report::listing(module));
        }
    }
}
