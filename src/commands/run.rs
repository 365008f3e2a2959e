//! `hallux run`: a scenario, to the clock cycle.

use crate::cluster::{self, Cluster, Launcher};
use crate::model::{self, Abilities, BuiltModel};
use crate::observation::{FrameCapture, Observation, PcieLog};
use crate::output;
use crate::parts::{Job, write_trace};
use crate::processes;
use crate::profile::{PROFILE, Profile};
use crate::recording::{Description, RECORDING_SCHEMA};
use crate::results::{EXECUTION_SCHEMA, Execution, ResultsDirectory, Summary};
use crate::scenario::Scenario;
use crate::simulation::{
    Assembly, Findings, MakeNic, NIC, assemble, load_files, write_mirrored, write_requests,
    write_tracepoints, write_worst,
};
use crate::table;
use anyhow::{Context, Result, anyhow, bail};
use hallux_channel::Time;
use hallux_cosim::engine::{Progress, RunError, RunOptions, WaitPolicy};
use hallux_cosim::nic::{RtlNic, SkipMode};
use hallux_cosim::observe::waves::{WaveFile, WaveWindow};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Arguments of `hallux run`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The scenario file.
    scenario: PathBuf,
    /// Replace a value of the scenario; any key, dotted.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Directory of the results [default: results/<name>].
    #[arg(long)]
    out: Option<PathBuf>,
    /// What is done with clock cycles in which nothing can happen: `on` skips them, `off`
    /// evaluates them, `verify` evaluates them and fails on any change.
    #[arg(long, default_value = "on")]
    skip: SkipMode,
    /// How the components run; the results are the same.
    #[arg(long, value_enum, default_value = "fused")]
    mode: Mode,
    /// Threads that the components are distributed over [default: one a core].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    workers: Option<u32>,
    /// What starts an agent on each node of `--mode cluster`: `srun`, `local` (all on this
    /// host), or a command in which `{node}` stands for the node, such as "ssh {node}".
    #[arg(long, value_name = "COMMAND")]
    launcher: Option<Launcher>,
    /// Address of this host at which the agents find it [default: its name].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<IpAddr>,
    /// Seconds that the agents may take to come [default: 60].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    patience: Option<u64>,
    /// Wait by spinning only, however few cores there are: for comparison.
    #[arg(long, hide = true)]
    spin: bool,
    /// Write each event's passage through the stages as trace.json (opens in Perfetto).
    #[arg(long)]
    trace: bool,
    /// Write every request with the parts of its time as requests.jsonl.
    #[arg(long)]
    requests: bool,
    /// Write all signals of the NIC under test in a span of simulated time, `10us..12us`.
    #[arg(long, value_name = "FROM..TO")]
    waves: Option<WaveWindow>,
    /// Write the frames at these Ethernet ports too, `wire.b=far.pcapng`; repeat for more files.
    #[arg(long, value_name = "PORT[,PORT]=FILE")]
    pcapng: Vec<FrameCapture>,
    /// Write every message between each NIC and its host, as a table or as a capture.
    #[arg(long, value_name = "FILE.tsv|FILE.pcapng")]
    pcie_log: Option<PcieLog>,
    /// Write everything that passes the ports of the NIC under test, for `hallux replay`.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

/// How the components run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// All in one thread.
    Fused,
    /// Distributed over threads.
    Threads,
    /// One process for each component, or place of the scenario's `placement`.
    Processes,
    /// One agent on each node of the scenario's `placement`.
    Cluster,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Fused => "fused",
            Mode::Threads => "threads",
            Mode::Processes => "processes",
            Mode::Cluster => "cluster",
        }
    }
}

/// Set by Ctrl-C: the run ends with what was measured so far.
static CANCEL: AtomicBool = AtomicBool::new(false);

/// Runs the command.
///
/// # Errors
/// The scenario is wrong, a tool is missing, the run did not complete, or what arrived is
/// not what was sent.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let started = Instant::now();
    if arguments.workers.is_some() && arguments.mode != Mode::Threads {
        bail!("--workers counts threads; add --mode threads");
    }
    let of_cluster = [
        ("launcher", arguments.launcher.is_some()),
        ("listen", arguments.listen.is_some()),
        ("patience", arguments.patience.is_some()),
    ];
    if let Some((name, _)) = of_cluster.iter().find(|(_, given)| *given)
        && arguments.mode != Mode::Cluster
    {
        bail!("--{name} is about nodes; add --mode cluster");
    }
    let scenario = Scenario::read(&arguments.scenario, &arguments.set)?;
    let files = load_files(&scenario)?;
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from("results").join(&scenario.settings.name));
    ResultsDirectory::check(&out)?;

    let rtl = scenario.settings.has_rtl();
    let nic = scenario.settings.nic.model.name();
    if !rtl && (arguments.trace || arguments.waves.is_some()) {
        bail!("--trace and --waves look into RTL; nic.model = \"{nic}\" has none");
    }
    if !rtl && arguments.record.is_some() {
        bail!("--record is for replays into RTL; nic.model = \"{nic}\" has none");
    }
    let mut observation = Observation::create(
        &arguments.pcapng,
        arguments.pcie_log.as_ref(),
        arguments.record.as_deref(),
    )?;
    let abilities = Abilities {
        waves: arguments.waves.is_some(),
        savable: arguments.skip == SkipMode::Verify,
    };
    let model = match rtl {
        true => Some(model::build(&scenario.design, abilities, &|line| {
            eprintln!("hallux: {line}")
        })?),
        false => None,
    };

    let directory = ResultsDirectory::create(&out)?;
    // The model knows the format: VCD where the libraries of FST are missing.
    let format = model.as_ref().and_then(|model| model.library.trace());
    let waves = arguments
        .waves
        .zip(format)
        .map(|(window, format)| WaveFile {
            window,
            path: directory.path(&format!("waves.{}", format.extension())),
        });
    let mut first = true;
    let mut make_nic: Box<MakeNic<'_>> = Box::new(|mut config| {
        let model = model
            .as_ref()
            .ok_or_else(|| anyhow!("no model was built"))?;
        config.skip = arguments.skip;
        config.trace = arguments.trace;
        if std::mem::take(&mut first) {
            config.waves = waves.clone();
        }
        // Elsewhere, the workers run the NICs.
        match arguments.mode {
            Mode::Processes | Mode::Cluster => Ok(None),
            Mode::Fused | Mode::Threads => Ok(Some(RtlNic::new(config, &model.library)?)),
        }
    });
    let capture = directory.path("packets.pcapng");
    let mut assembly = assemble(&scenario, files, Some(&capture), &mut *make_nic)?;
    drop(make_nic);
    let hash = model
        .as_ref()
        .map_or("", |model| model.design.manifest.hash.as_str());
    let devices = assembly.devices();
    observation.attach(&mut assembly.simulation, &devices, || {
        let settings = &scenario.settings;
        Ok(Description {
            schema: RECORDING_SCHEMA.to_owned(),
            nic: NIC.to_owned(),
            rtl: hash.to_owned(),
            seed: settings.seed,
            rate: scenario.line_rate(),
            pcie: settings.pcie.clone(),
            design: scenario.design.clone(),
        })
    })?;

    // A second handler in one process is refused, which only tests could notice.
    let _ = ctrlc::set_handler(|| CANCEL.store(true, Ordering::Relaxed));
    let options = RunOptions {
        stop_quantum: Time::from_ps(scenario.settings.stop_quantum.0),
        max_time: Time::from_ps(scenario.settings.max_time.0),
        cancel: Some(&CANCEL),
    };
    let mut setup_seconds = started.elapsed().as_secs_f64();
    let display = Display::new(&assembly);
    let mut simulated = Instant::now();
    let mut simulated_until = None;
    let shown_since = simulated;
    let mut reached = Time::ZERO;
    let mut show = |progress: &Progress| {
        reached = progress.now;
        display.show(progress, shown_since);
    };
    let mut workers = 1;
    let policy = match arguments.spin {
        true => WaitPolicy::Spin,
        false => WaitPolicy::Graded,
    };
    let mut found = None;
    let outcome = match arguments.mode {
        Mode::Fused => assembly.simulation.run(&options, &mut show),
        Mode::Threads => {
            let wanted = arguments
                .workers
                .map_or_else(cores, |workers| workers as usize);
            let partition = assembly.partition(wanted);
            workers = partition.count();
            assembly
                .simulation
                .run_in_threads(&partition, policy, &options, &mut show)
        }
        Mode::Processes | Mode::Cluster => {
            let placement = assembly.placement(&scenario)?;
            let spread = match arguments.mode {
                Mode::Cluster => Some(cluster::nodes(&assembly, &placement)?),
                _ => None,
            };
            let partition = match &spread {
                Some((partition, _)) => partition.clone(),
                None => assembly.processes(&placement),
            };
            workers = partition.count();
            let components = 0..assembly.simulation.names().count();
            let job = Job {
                scenario: absolute(&arguments.scenario)?,
                set: arguments.set.clone(),
                skip: arguments.skip.name().to_owned(),
                trace: match arguments.trace {
                    true => Some(absolute(&directory.path("trace.json"))?),
                    false => None,
                },
                waves: match waves {
                    Some(file) => Some((file.window.to_string(), absolute(&file.path)?)),
                    None => None,
                },
                taps: assembly.simulation.taps(),
                partition: components.map(|place| partition.worker(place)).collect(),
                worker: 0,
                spin: arguments.spin,
            };
            let ended = match spread {
                None => processes::run(&mut assembly, &partition, &job, &options, &mut show)?,
                Some((_, nodes)) => {
                    let cluster = cluster_of(arguments, nodes)?;
                    cluster::run(
                        &mut assembly,
                        &partition,
                        &job,
                        &cluster,
                        &options,
                        &mut show,
                    )?
                }
            };
            found = Some(ended.findings);
            reached = ended.reached;
            if let Some(began) = ended.began {
                // Starting the workers is no part of the simulation.
                setup_seconds = (began - started).as_secs_f64();
                simulated = began;
                simulated_until = Some(ended.ended);
            }
            ended.outcome
        }
    };
    let findings = found.unwrap_or_else(|| assembly.findings(|_| true));
    let wall_seconds = (simulated_until.unwrap_or_else(Instant::now) - simulated).as_secs_f64();
    display.finish();

    let failure = verdict(&outcome, &findings, assembly.expected_bytes);
    let end = match &outcome {
        Ok(outcome) => outcome.end,
        Err(RunError::Cancelled { at } | RunError::Deadline { at, .. }) => *at,
        Err(RunError::Deadlock { at, .. }) => *at,
        Err(_) => reached,
    };
    let followed = assembly.follow(&scenario, &findings);
    let complete = failure.is_none();
    let summary = assembly.summary(&scenario, &findings, &followed, hash, end, complete);
    let execution = execution(
        arguments,
        model.as_ref(),
        findings.evaluated_cycles,
        workers,
        (setup_seconds, wall_seconds),
        failure.clone(),
    );
    if arguments.waves.is_some()
        && let Some(nic) = assembly.nic_mut(0)
    {
        nic.close_waves()?;
    }
    directory.write_json("summary.json", &summary)?;
    write_worst(&directory.path("worst.json"), &findings, &followed)?;
    write_mirrored(&directory.path("mirrored.pcapng"), &scenario, &findings)?;
    write_tracepoints(&directory.path("tracepoints.tsv"), &findings)?;
    if arguments.requests {
        write_requests(&directory.path("requests.jsonl"), &findings, &followed)?;
    }
    directory.write_json("execution.json", &execution)?;
    let manifest = model.as_ref().map(|model| &model.design.manifest);
    let profile = Profile::of(&scenario, &assembly, &findings, manifest);
    std::fs::write(
        directory.path(PROFILE),
        serde_json::to_string(&profile)? + "\n",
    )?;
    if arguments.trace && matches!(arguments.mode, Mode::Fused | Mode::Threads) {
        write_trace(&directory.path("trace.json"), &assembly)?;
    }
    drop(assembly);
    conclude(directory, observation, &summary, &execution, failure)
}

/// The nodes of a run, as the command line wants them.
fn cluster_of(arguments: &Arguments, nodes: Vec<String>) -> Result<Cluster> {
    Ok(Cluster {
        nodes,
        launcher: match &arguments.launcher {
            Some(launcher) => launcher.clone(),
            None => "srun".parse()?,
        },
        listen: arguments.listen,
        patience: Duration::from_secs(arguments.patience.unwrap_or(60)),
    })
}

/// A path that means the same in every directory.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} has no place", path.display()))
}

/// Why the run is not a success, if it is not.
fn verdict(
    outcome: &Result<hallux_cosim::engine::Outcome, RunError>,
    findings: &Findings,
    expected: u64,
) -> Option<String> {
    let work = &findings.work;
    if let Some(failure) = &findings.server_failure {
        return Some(format!("the server application does not listen: {failure}"));
    }
    if let Err(error) = outcome {
        return Some(error.to_string());
    }
    if let Some(first) = work.failures.first() {
        let more = work.failures.len() - 1;
        let others = if more == 0 {
            String::new()
        } else {
            format!(" (and {more} more)")
        };
        return Some(format!("{first}{others}"));
    }
    (work.verified != expected || work.mismatched > 0).then(|| {
        let (verified, mismatched) = (work.verified, work.mismatched);
        format!("{verified} of {expected} bytes verified, {mismatched} mismatched")
    })
}

fn execution(
    arguments: &Arguments,
    model: Option<&BuiltModel>,
    cycles: u64,
    workers: usize,
    (setup_seconds, wall_seconds): (f64, f64),
    incomplete: Option<String>,
) -> Execution {
    let mut tools = BTreeMap::from([("hallux".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
    if let Some(model) = model {
        let facts = model.library.facts();
        tools.insert("verilator".into(), facts.verilator.clone());
        tools.insert("compiler".into(), facts.compiler.clone());
        tools.insert("compiler_flags".into(), facts.flags.clone());
    }
    Execution {
        schema: EXECUTION_SCHEMA,
        mode: arguments.mode.name(),
        workers,
        skip: arguments.skip.name().to_owned(),
        cycles_evaluated: cycles,
        wall_seconds,
        wall_cycles_per_second: cycles as f64 / wall_seconds.max(1e-9),
        setup_seconds,
        model_cached: model.is_some_and(|model| model.library.facts().cached),
        incomplete,
        tool_versions: tools,
        host: BTreeMap::from([
            ("os".to_owned(), std::env::consts::OS.to_owned()),
            ("architecture".to_owned(), std::env::consts::ARCH.to_owned()),
            ("cores".to_owned(), cores().to_string()),
        ]),
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn conclude(
    directory: ResultsDirectory,
    observation: Observation,
    summary: &Summary,
    execution: &Execution,
    failure: Option<String>,
) -> Result<ExitCode> {
    output::line(table::of(summary, execution));
    match failure {
        None => {
            output::line(format_args!("results: {}", directory.publish()?.display()));
            for path in observation.publish()? {
                output::line(format_args!("written: {}", path.display()));
            }
            Ok(ExitCode::SUCCESS)
        }
        Some(reason) => {
            let places = [directory.keep_incomplete()]
                .into_iter()
                .chain(observation.keep_incomplete())
                .map(|place| place.display().to_string())
                .collect::<Vec<_>>();
            Err(anyhow!(
                "{reason}\npartial results, marked incomplete: {}",
                places.join(", ")
            ))
        }
    }
}

/// The line that shows how far a run is.
struct Display {
    bar: ProgressBar,
    verified: Box<dyn Fn() -> u64>,
    nic: Option<String>,
}

impl Display {
    fn new(assembly: &Assembly) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new(assembly.expected_bytes)
        } else {
            ProgressBar::hidden()
        };
        let style = "{spinner} [{bar:30}] {binary_bytes}/{binary_total_bytes}  {msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.progress_chars("=> "));
        }
        let nic = assembly.nics().next().map(|(name, _)| name.to_owned());
        Self {
            bar,
            verified: Box::new(assembly.verified_bytes()),
            nic,
        }
    }

    fn show(&self, progress: &Progress, since: Instant) {
        let cycles = progress
            .counters
            .iter()
            .filter(|(component, _)| Some(component) == self.nic.as_ref())
            .flat_map(|(_, counters)| counters)
            .find(|counter| counter.name == "evaluated_cycles")
            .map_or(0, |counter| counter.value);
        let rate = cycles as f64 / since.elapsed().as_secs_f64().max(1e-3) / 1000.0;
        self.bar.set_position((self.verified)());
        self.bar.set_message(format!(
            "{:.1} us simulated, {rate:.0} kcycles/s",
            progress.now.ps() as f64 / 1e6
        ));
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
