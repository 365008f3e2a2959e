//! `hallux synth`: what a design costs in an FPGA and how fast it may run.

use crate::output;
use crate::synth::place_and_route::{self, Comparison};
use crate::synth::{self, Family, Options, Report, report};
use anyhow::{Context, Result};
use hallux_toe::design::DesignPoint;
use hallux_toe::generate::generate;
use hallux_toe::units::Frequency;
use serde::Serialize;
use std::num::NonZero;
use std::path::PathBuf;
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
    /// Map the modules directly inside this one each by itself, as when they are named, and then
    /// put them together; can be repeated.
    #[arg(long, value_name = "NAME")]
    split: Vec<String>,
    /// List the N worst paths of each module cell by cell.
    #[arg(long, value_name = "N", default_value_t = 0)]
    paths: usize,
    /// Clock to compare with, instead of the design point's; for example 200MHz.
    #[arg(long)]
    clock: Option<Frequency>,
    /// Modules mapped at a time; the number of processors if not given.
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Hold the estimate for ECP5 of the named modules against place and route by nextpnr;
    /// fails if one is off by more than it may be.
    #[arg(long, requires = "modules")]
    check_against_pnr: bool,
    /// Seeds of place and route, whose median is taken.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 3,
        requires = "check_against_pnr"
    )]
    seeds: u32,
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
        split: arguments.split.clone(),
        paths: arguments.paths.max(1),
        clock: arguments.clock,
        jobs: arguments.jobs,
    };
    let mut progress = |line: &str| eprintln!("hallux: {line}");
    let (manifest, sources) = if arguments.design.is_dir() {
        synth::read_directory(&arguments.design)?
    } else {
        let design = generate(&DesignPoint::read(&arguments.design)?)?;
        let files = design.files.into_iter();
        (
            design.manifest,
            files.map(|file| (file.name, file.text)).collect(),
        )
    };
    if arguments.check_against_pnr {
        let found = place_and_route::compare(
            &manifest,
            &sources,
            &arguments.modules,
            arguments.seeds,
            &mut progress,
        )?;
        return show(arguments, &found, || report::comparison_table(&found)).map(|()| match found
            .iter()
            .all(Comparison::is_within_limits)
        {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        });
    }
    let report = synth::estimate(&manifest, &sources, &options, &mut progress)?;
    show(arguments, &report, || text_of(&report, arguments.paths))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the result as JSON or as text, and writes it to a file where that is asked for.
fn show(
    arguments: &Arguments,
    result: &impl Serialize,
    text: impl FnOnce() -> String,
) -> Result<()> {
    if let Some(file) = &arguments.json {
        let json = serde_json::to_string_pretty(result)?;
        match file {
            None => {
                output::line(json);
                return Ok(());
            }
            Some(file) => std::fs::write(file, json + "\n")
                .with_context(|| format!("cannot write {}", file.display()))?,
        }
    }
    output::line(text());
    Ok(())
}

fn text_of(report: &Report, paths: usize) -> String {
    let mut text = format!(
        "{} on {}, {}\n{}",
        report.design,
        report.family.technology().name(),
        report.yosys,
        report.table()
    );
    if let Some(verdict) = report.verdict() {
        text.push_str(&format!("\n{verdict}"));
    }
    if paths > 0 {
        for module in &report.modules {
            text.push_str("\n\n");
            text.push_str(&report::listing(module));
        }
    }
    text
}
