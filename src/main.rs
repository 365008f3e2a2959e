//! The `hallux` command.

use clap::{Parser, Subcommand};
use hallux::commands;
use std::io::IsTerminal;
use std::process::ExitCode;

/// Design a TCP offload engine without an FPGA: Rust HDL, readable Verilog,
/// cycle-level co-simulation.
#[derive(Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
struct Arguments {
    /// More of what happens inside; repeat for still more (RUST_LOG overrides it).
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Generate the RTL of a design point.
    Gen(commands::gen_rtl::Arguments),
    /// Check the RTL of a design point with `verilator --lint-only -Wall`.
    Lint(commands::lint::Arguments),
    /// Estimate what a design point costs in an FPGA and how fast it may run.
    Synth(commands::synth::Arguments),
    /// Run a scenario to the clock cycle.
    Run(commands::run::Arguments),
    /// Tell where the time of a run's requests and segments went.
    Blame(commands::blame::Arguments),
    /// Compare two results, or two sweeps point by point; with a gate, fail if it became worse.
    Compare(commands::compare::Arguments),
    /// Show results, of runs or of sweeps, as one HTML file.
    Report(commands::report::Arguments),
    /// Feed what a NIC was given back to it, and tell where its outputs first differ.
    Replay(commands::replay::Arguments),
    /// Run the RTL NIC by itself, behind SimBricks channels.
    Nic(commands::nic::Arguments),
    /// Run one host of a scenario by itself, behind a SimBricks channel.
    Host(commands::host::Arguments),
    /// Run a part of a network by itself, behind SimBricks channels.
    Net(commands::net::Arguments),
    /// Run a memory by itself, behind a SimBricks channel.
    Memory(commands::memory::Arguments),
    /// Tell what is found on this machine, what is missing and how to get it.
    Doctor(commands::doctor::Arguments),
    /// Run a part of a scenario for another process.
    #[command(hide = true)]
    Worker,
    /// Run what a scenario places on this node.
    #[command(hide = true)]
    Agent,
    /// Measure, and print each figure beside its reference.
    Bench(commands::bench::Arguments),
    /// Print the keys of designs, scenarios or sweeps: JSON Schema, or a table.
    Schema(commands::schema::Arguments),
    /// Run many points of a scenario, and name the best of them.
    Sweep(commands::sweep::Arguments),
    /// Run the points of one task of a sweep's job array.
    #[command(hide = true)]
    SweepWorker(commands::sweep::WorkerArguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let level = ["warn", "info", "debug", "trace"][usize::from(arguments.verbose.min(3))];
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .init();
    let result = match arguments.command {
        Command::Gen(arguments) => commands::gen_rtl::execute(&arguments),
        Command::Lint(arguments) => commands::lint::execute(&arguments),
        Command::Synth(arguments) => commands::synth::execute(&arguments),
        Command::Run(arguments) => commands::run::execute(&arguments),
        Command::Blame(arguments) => commands::blame::execute(&arguments),
        Command::Compare(arguments) => commands::compare::execute(&arguments),
        Command::Report(arguments) => commands::report::execute(&arguments),
        Command::Replay(arguments) => commands::replay::execute(&arguments),
        Command::Nic(arguments) => commands::nic::execute(&arguments),
        Command::Host(arguments) => commands::host::execute(&arguments),
        Command::Net(arguments) => commands::net::execute(&arguments),
        Command::Memory(arguments) => commands::memory::execute(&arguments),
        Command::Doctor(arguments) => commands::doctor::execute(&arguments),
        Command::Worker => commands::worker::execute(),
        Command::Agent => commands::worker::execute_agent(),
        Command::Bench(arguments) => commands::bench::execute(&arguments),
        Command::Schema(arguments) => commands::schema::execute(&arguments),
        Command::Sweep(arguments) => commands::sweep::execute(&arguments),
        Command::SweepWorker(arguments) => commands::sweep::execute_worker(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", sentence(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error with its causes; one that an outer sentence repeats is told once.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}
