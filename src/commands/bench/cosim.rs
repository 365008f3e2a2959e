//! `hallux bench cosim`: what the co-simulation costs over the bare model.
//!
//! A scenario of bulk transfer runs with every cycle evaluated and its inputs recorded.
//! Then the same recorded inputs go through the bare model with nothing around it: same
//! library, same flags. Both are repeated in turn, and the medians are compared.

use crate::commands::bench::median;
use crate::model::{self, Abilities};
use crate::output;
use crate::scenario::Scenario;
use crate::simulation::{assemble, load_files};
use anyhow::{Context, Result, anyhow};
use hallux_channel::Time;
use hallux_cosim::engine::RunOptions;
use hallux_cosim::nic::{Recording, RtlNic, SkipMode, replay};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Arguments of `hallux bench cosim`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The scenario, with one RTL NIC.
    #[arg(default_value = "examples/http-file.toml")]
    scenario: PathBuf,
    /// Replace a value of the scenario.
    #[arg(
        long = "set",
        value_name = "KEY=VALUE",
        default_value = "app.rounds=10"
    )]
    set: Vec<String>,
    /// Repetitions of each side.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// End with one line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Figures {
    /// Co-simulated over bare cycles per second.
    ratio: f64,
    /// Co-simulated.
    kcycles_per_second: f64,
    /// Bare model.
    bare_kcycles_per_second: f64,
    /// Clock cycles of one repetition.
    cycles: u64,
    repetitions: u32,
    compiler: String,
    compiler_flags: String,
    verilator: String,
}

/// Runs the bench.
///
/// # Errors
/// The scenario is wrong or did not complete, or the model stopped.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let scenario = Scenario::read(&arguments.scenario, &arguments.set)?;
    let files = load_files(&scenario)?;
    let model = model::build(&scenario.design, Abilities::default(), &|line| {
        eprintln!("hallux: {line}")
    })?;
    let library = &model.library;
    let run = |record: usize| -> Result<(f64, u64, Option<Recording>)> {
        let mut make_nic = |mut config: hallux_cosim::nic::RtlNicConfig| {
            config.skip = SkipMode::Off;
            config.record = record;
            Ok(Some(RtlNic::new(config, library)?))
        };
        let mut assembly = assemble(&scenario, files.clone(), None, &mut make_nic)?;
        let options = RunOptions {
            stop_quantum: Time::from_ps(scenario.settings.stop_quantum.0),
            max_time: Time::from_ps(scenario.settings.max_time.0),
            cancel: None,
        };
        let start = Instant::now();
        assembly.simulation.run(&options, &mut |_| {})?;
        let seconds = start.elapsed().as_secs_f64();
        let (_, nic) = assembly
            .nics()
            .next()
            .context("the scenario has no RTL NIC")?;
        Ok((
            seconds,
            nic.report().evaluated_cycles,
            nic.recording().cloned(),
        ))
    };

    let (_, cycles, recording) = run(usize::MAX)?;
    let recording = recording.ok_or_else(|| anyhow!("nothing was recorded"))?;
    let (mut around, mut bare) = (vec![], vec![]);
    for _ in 0..arguments.repetitions {
        let (seconds, cycles, _) = run(0)?;
        around.push(cycles as f64 / seconds);
        bare.push(replay(library, &recording, scenario.settings.seed)?.cycles_per_second());
    }
    let (around, bare) = (median(&mut around), median(&mut bare));
    let facts = library.facts();
    let figures = Figures {
        ratio: around / bare,
        kcycles_per_second: around / 1000.0,
        bare_kcycles_per_second: bare / 1000.0,
        cycles,
        repetitions: arguments.repetitions,
        compiler: facts.compiler.clone(),
        compiler_flags: facts.flags.clone(),
        verilator: facts.verilator.clone(),
    };
    output::line(format_args!(
        "{} cycles, {} repetitions, {}",
        cycles, arguments.repetitions, facts.compiler
    ));
    output::line(format_args!(
        "co-simulation {:>10.1} kcycles/s",
        figures.kcycles_per_second
    ));
    output::line(format_args!(
        "bare model    {:>10.1} kcycles/s",
        figures.bare_kcycles_per_second
    ));
    output::line(format_args!("ratio         {:>10.3}", figures.ratio));
    if arguments.json {
        output::line(serde_json::to_string(&figures)?);
    }
    Ok(ExitCode::SUCCESS)
}
