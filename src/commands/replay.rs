//! `hallux replay`: what a NIC was given, fed back, and its outputs compared.

use crate::model::{self, Abilities};
use crate::output;
use crate::recording::Description;
use anyhow::{Context, Result, anyhow, bail};
use hallux_cosim::nic::playback::{Verdict, play};
use hallux_cosim::nic::{RtlNic, SkipMode};
use hallux_cosim::observe::recording::NicRecording;
use hallux_cosim::observe::waves::{WaveFile, WaveWindow};
use hallux_toe::design::DesignPoint;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `hallux replay`.
#[derive(clap::Args)]
pub struct Arguments {
    /// What `hallux run --record` wrote.
    recording: PathBuf,
    /// Feed it to this design point instead of the recorded one.
    #[arg(long, value_name = "DESIGN", conflicts_with = "rtl")]
    design: Option<PathBuf>,
    /// Replace a value of the recorded design point.
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with_all = ["design", "rtl"])]
    set: Vec<String>,
    /// Feed it to the RTL in this directory, as it stands there, with its manifest.json.
    #[arg(long, value_name = "DIR")]
    rtl: Option<PathBuf>,
    /// What is done with clock cycles in which nothing can happen: `on` skips them, `off`
    /// evaluates them, `verify` evaluates them and fails on any change.
    #[arg(long, default_value = "on")]
    skip: SkipMode,
    /// Write all signals of the NIC in a span of simulated time, `10us..12us`, beside the
    /// recording.
    #[arg(long, value_name = "FROM..TO")]
    waves: Option<WaveWindow>,
}

/// Runs the command.
///
/// # Errors
/// The recording cannot be read, a tool is missing, or the outputs differ.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let path = &arguments.recording;
    let file = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let recording = NicRecording::read(&file).with_context(|| path.display().to_string())?;
    drop(file);
    let description = Description::of_text(path, &recording.description)?;
    let design = match &arguments.design {
        Some(design) => DesignPoint::read(design)?,
        None => description.design_with(&arguments.set)?,
    };
    let abilities = Abilities {
        waves: arguments.waves.is_some(),
        savable: arguments.skip == SkipMode::Verify,
    };
    let progress = |line: &str| eprintln!("hallux: {line}");
    let model = match &arguments.rtl {
        Some(directory) => model::build_from(directory, abilities, &progress)?,
        None => model::build(&design, abilities, &progress)?,
    };
    let mut config = description.nic_config(&design)?;
    config.skip = arguments.skip;
    let format = model.library.trace();
    config.waves = arguments
        .waves
        .zip(format)
        .map(|(window, format)| WaveFile {
            window,
            path: path.with_extension(format.extension()),
        });
    let waves = config.waves.as_ref().map(|waves| waves.path.clone());

    let mut nic = RtlNic::new(config, &model.library)?;
    let verdict = play(&mut nic, &recording);
    if let Some(waves) = waves {
        nic.close_waves()?;
        eprintln!("hallux: waveforms: {}", waves.display());
    }
    let same_rtl = model.design.manifest.hash == description.rtl && arguments.rtl.is_none();
    match verdict {
        Verdict::Identical { outputs } => {
            output::line(format_args!(
                "identical: {outputs} outputs in {} clock cycles ({}), of {} RTL",
                nic.report().clock_cycles,
                recording.end,
                if same_rtl { "the same" } else { "other" },
            ));
            Ok(ExitCode::SUCCESS)
        }
        Verdict::Different(difference) => Err(anyhow!("{difference}")),
        Verdict::Stopped(error) => {
            let what = "all outputs were the recorded ones until the NIC stopped";
            bail!("{what}: {error}")
        }
    }
}
