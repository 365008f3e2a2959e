//! `hallux bench`: measurements that print their reference beside the figure.

use anyhow::Result;
use std::process::ExitCode;

mod cosim;
mod datapath;

/// Arguments of `hallux bench`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(clap::Subcommand)]
enum Bench {
    /// Co-simulated cycles per second over those of the bare model, same stimulus.
    Cosim(cosim::Arguments),
    /// Rates, latencies and curves of the data path, each beside its limit.
    Datapath(datapath::Arguments),
}

/// Runs the command.
///
/// # Errors
/// The bench cannot be set up or run.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.bench {
        Bench::Cosim(arguments) => cosim::execute(arguments),
        Bench::Datapath(arguments) => datapath::execute(arguments),
    }
}
