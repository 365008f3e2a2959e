//! `hallux lint`: the RTL of a design point under Verilator's warnings.

use super::gen_rtl::named_or_committed;
use crate::output;
use anyhow::Result;
use hallux_toe::design::DesignPoint;
use hallux_toe::generate::generate;
use hallux_verilator::{Toolchain, lint};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `hallux lint`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Design points; every TOML file of examples/designs when none is named.
    designs: Vec<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// A design point is wrong, Verilator is missing, or it warns about something.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let toolchain = Toolchain::discover(&mut |line| eprintln!("hallux: {line}"))?;
    for path in named_or_committed(&arguments.designs)? {
        let design = generate(&DesignPoint::read(&path)?)?;
        let sources: Vec<(String, String)> = design
            .files
            .iter()
            .map(|file| (file.name.clone(), file.text.clone()))
            .collect();
        lint(&toolchain, &design.manifest, &sources)?;
        output::line(format_args!(
            "{}: {} modules clean under -Wall of Verilator {}",
            design.manifest.design,
            design.manifest.modules.len(),
            toolchain.versions().verilator
        ));
    }
    Ok(ExitCode::SUCCESS)
}
