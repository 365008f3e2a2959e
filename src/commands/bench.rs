//! `hallux bench`: measurements that print their reference beside the figure.

use anyhow::Result;
use std::process::ExitCode;

mod channel;
mod cosim;
mod datapath;
mod modes;

/// Arguments of `hallux bench`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(clap::Subcommand)]
enum Bench {
    /// Endpoints of SimBricks channels against their twin in C, interleaved.
    Channel(channel::Arguments),
    /// Co-simulated cycles per second over those of the bare model, same stimulus.
    Cosim(cosim::Arguments),
    /// Rates, latencies and curves of the data path, each beside its limit.
    Datapath(datapath::Arguments),
    /// Speed of the modes beside each other, and that they leave the same bytes.
    Modes(modes::Arguments),
}

/// Runs the command.
///
/// # Errors
/// The bench cannot be set up or run.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.bench {
        Bench::Channel(arguments) => channel::execute(arguments),
        Bench::Cosim(arguments) => cosim::execute(arguments),
        Bench::Datapath(arguments) => datapath::execute(arguments),
        Bench::Modes(arguments) => modes::execute(arguments),
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
