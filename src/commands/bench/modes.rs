//! `hallux bench modes`: what each way to run costs and gains, and that all leave the
//! same bytes.
//!
//! Three scenarios, each run by `hallux run` in every mode, repetitions in turn, medians
//! compared:
//!
//! - *sync-bound*: eight smoltcp hosts on a switch, links of 500 ns, little traffic.
//!   Nearly all that processes do is to hold their times together.
//! - *RTL-bound*: two busy RTL NICs, for two cores.
//! - *crowded*: thirteen processes, on however few cores there are, once as users get
//!   it and once with waits that only spin, as SimBricks' own do.
//!
//! The speed is simulated time per wall time, from the first simulated instant to the
//! last; starting processes and bringing their reports together does not count.

use crate::commands::bench::median;
use crate::model::{self, Abilities};
use crate::output;
use crate::scenario::Scenario;
use crate::simulation::{assemble, load_files};
use anyhow::{Context, Result, bail};
use hallux_channel::{Component, ComponentError, Counter, Io, PortSpec, Time};
use hallux_cosim::engine::{MessageSink, RunOptions, Tapped};
use hallux_cosim::nic::{RtlNic, SkipMode};
use serde::Serialize;
use serde_json::Value;
use std::any::Any;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Arguments of `hallux bench modes`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Repetitions of each run.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// A tenth of the work: shows that all works, not how fast it is.
    #[arg(long)]
    quick: bool,
    /// End with one line of JSON.
    #[arg(long)]
    json: bool,
}

const DESIGN: &str = include_str!("../../../examples/designs/toe-100g.toml");

/// Hosts on a switch that mostly wait.
fn star(hosts: u32, requests: u32) -> String {
    format!(
        "name = \"star-{hosts}\"\n\
         topology.kind = \"star\"\n\
         link.delay = \"500ns\"\n\
         peer.count = {}\n\
         [nic]\n\
         design = \"design.toml\"\n\
         model = \"smoltcp\"\n\
         [app]\n\
         kind = \"rpc\"\n\
         connections = 1\n\
         requests = {requests}\n\
         size = \"64B\"\n\
         think_time = \"20us\"\n",
        hosts - 1
    )
}

/// Two RTL NICs that send to each other, each with its host at a place of its own.
fn two_toes(requests: u32) -> String {
    format!(
        "name = \"two-toes\"\n\
         peer.kind = \"toe\"\n\
         [nic]\n\
         design = \"design.toml\"\n\
         [placement]\n\
         server = \"near\"\n\
         server-nic = \"near\"\n\
         wire = \"near\"\n\
         client = \"far\"\n\
         client-nic = \"far\"\n\
         [app]\n\
         kind = \"rpc\"\n\
         connections = 32\n\
         requests = {requests}\n\
         size = [\"2000B\", \"60000B\"]\n"
    )
}

/// How long a run that only spins may take.
const SPIN_LIMIT: Duration = Duration::from_secs(6);
/// The same with a tenth of the work.
const QUICK_SPIN_LIMIT: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Figures {
    /// Every mode left the same bytes in every scenario.
    identical: bool,
    fused_over_processes_sync_bound: f64,
    threads_over_fused_rtl_bound: f64,
    processes_over_threads_rtl_bound: f64,
    crowded_processes_over_fused: f64,
    /// Simulated microseconds per wall second of the crowded scenario.
    crowded_us_per_second: f64,
    /// The same with waits that only spin; zero if it did not get anywhere in
    /// [`SPIN_LIMIT`].
    crowded_spin_us_per_second: f64,
    /// Share of a busy fused run that is spent neither in components nor in what watches
    /// the wire.
    sync_share: f64,
    /// Share of it that is spent in what watches the wire.
    watch_share: f64,
    cores: usize,
    repetitions: u32,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    scenario: &'static str,
    mode: String,
    workers: u64,
    /// Simulated microseconds per wall second.
    us_per_second: f64,
    identical: bool,
}

/// Runs the bench.
///
/// # Errors
/// A run did not complete.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let place = tempfile::tempdir()?;
    fs::write(place.path().join("design.toml"), DESIGN)?;
    let scale = if arguments.quick { 1 } else { 10 };
    let bench = Bench {
        place: place.path(),
        repetitions: arguments.repetitions,
        spin_limit: match arguments.quick {
            true => QUICK_SPIN_LIMIT,
            false => SPIN_LIMIT,
        },
    };
    let mut rows = vec![];
    let sync_bound = bench.scenario("sync-bound", &star(8, 200 * scale))?;
    bench.compare("sync-bound", &sync_bound, &mut rows)?;
    let rtl_bound = bench.scenario("rtl-bound", &two_toes(2 * scale))?;
    bench.compare("rtl-bound", &rtl_bound, &mut rows)?;
    let crowded = bench.scenario("crowded", &star(12, 100 * scale))?;
    bench.compare("crowded", &crowded, &mut rows)?;
    let spin = bench.spin(&crowded)?;

    let shares = shares(&rtl_bound)?;
    let speed = |scenario: &str, mode: &str| {
        let mut rows = rows.iter();
        rows.find(|row| row.scenario == scenario && row.mode == mode)
            .map_or(f64::NAN, |row| row.us_per_second)
    };
    let ratio = |scenario, over, under| speed(scenario, over) / speed(scenario, under);
    let figures = Figures {
        identical: rows.iter().all(|row| row.identical),
        fused_over_processes_sync_bound: ratio("sync-bound", "fused", "processes"),
        threads_over_fused_rtl_bound: ratio("rtl-bound", "threads", "fused"),
        processes_over_threads_rtl_bound: ratio("rtl-bound", "processes", "threads"),
        crowded_processes_over_fused: ratio("crowded", "processes", "fused"),
        crowded_us_per_second: speed("crowded", "processes"),
        crowded_spin_us_per_second: spin,
        sync_share: shares.sync,
        watch_share: shares.watch,
        cores: thread::available_parallelism().map_or(1, usize::from),
        repetitions: arguments.repetitions,
        rows,
    };
    print(&figures);
    if arguments.json {
        output::line(serde_json::to_string(&figures)?);
    }
    if !figures.identical {
        bail!("the modes did not leave the same bytes");
    }
    Ok(ExitCode::SUCCESS)
}

fn print(figures: &Figures) {
    output::line(format_args!(
        "{} repetitions, {} cores; simulated us per second of wall time",
        figures.repetitions, figures.cores
    ));
    for row in &figures.rows {
        output::line(format_args!(
            "{:<12}{:<12}{:>3} workers{:>16.0}   {}",
            row.scenario,
            row.mode,
            row.workers,
            row.us_per_second,
            if row.identical {
                "same bytes"
            } else {
                "DIFFERS"
            }
        ));
    }
    output::line(format_args!(
        "{:<12}{:<12}{:>27.0}   spinning only",
        "crowded", "processes", figures.crowded_spin_us_per_second
    ));
    for (name, value) in [
        (
            "fused / processes, sync-bound",
            figures.fused_over_processes_sync_bound,
        ),
        (
            "threads / fused, RTL-bound",
            figures.threads_over_fused_rtl_bound,
        ),
        (
            "processes / threads, RTL-bound",
            figures.processes_over_threads_rtl_bound,
        ),
        (
            "processes / fused, crowded",
            figures.crowded_processes_over_fused,
        ),
        (
            "synchronisation's share of a busy fused run",
            figures.sync_share,
        ),
        ("share of what watches the wire in it", figures.watch_share),
    ] {
        output::line(format_args!("{name:<46}{value:>10.4}"));
    }
}

struct Bench<'a> {
    place: &'a Path,
    repetitions: u32,
    spin_limit: Duration,
}

impl Bench<'_> {
    fn scenario(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.place.join(format!("{name}.toml"));
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Runs a scenario in every mode, in turn.
    fn compare(&self, name: &'static str, scenario: &Path, rows: &mut Vec<Row>) -> Result<()> {
        let modes = ["fused", "threads", "processes"];
        let mut speeds = vec![vec![]; modes.len()];
        let mut workers = [0; 3];
        let mut expected = None;
        let mut identical = [true; 3];
        for _ in 0..self.repetitions {
            for (index, mode) in modes.into_iter().enumerate() {
                let ended = self.run(scenario, mode)?;
                speeds[index].push(ended.us_per_second);
                workers[index] = ended.workers;
                identical[index] &=
                    *expected.get_or_insert_with(|| ended.bytes.clone()) == ended.bytes;
            }
        }
        for (index, mode) in modes.into_iter().enumerate() {
            rows.push(Row {
                scenario: name,
                mode: mode.to_owned(),
                workers: workers[index],
                us_per_second: median(&mut speeds[index]),
                identical: identical[index],
            });
        }
        Ok(())
    }

    fn command(&self, scenario: &Path, mode: &str, out: &Path) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("run").arg(scenario).args(["--mode", mode]);
        command.arg("--out").arg(out);
        command.stdout(Stdio::null()).stdin(Stdio::null());
        Ok(command)
    }

    fn run(&self, scenario: &Path, mode: &str) -> Result<Ended> {
        let out = self.place.join("out");
        let ended = self
            .command(scenario, mode, &out)?
            .stderr(Stdio::piped())
            .output()
            .context("cannot run hallux")?;
        if !ended.status.success() {
            let text = String::from_utf8_lossy(&ended.stderr);
            bail!("{} in mode {mode}: {text}", scenario.display());
        }
        let bytes = ["summary.json", "packets.pcapng"].map(|file| fs::read(out.join(file)));
        let [summary, capture] = bytes;
        let bytes = [summary?, capture?];
        let execution = json(&out.join("execution.json"))?;
        let summary: Value = serde_json::from_slice(&bytes[0])?;
        Ok(Ended {
            us_per_second: speed(&summary, &execution),
            workers: execution["workers"].as_u64().unwrap_or(0),
            bytes,
        })
    }

    /// Simulated microseconds per second of processes that only spin, cut off after the
    /// limit.
    fn spin(&self, scenario: &Path) -> Result<f64> {
        let out = self.place.join("spin");
        let mut child = self
            .command(scenario, "processes", &out)?
            .arg("--spin")
            .stderr(Stdio::null())
            .spawn()?;
        let started = Instant::now();
        let mut asked = false;
        loop {
            if child.try_wait()?.is_some() {
                break;
            }
            if started.elapsed() > self.spin_limit && !asked {
                asked = true;
                let process = child.id().to_string();
                let _interrupted = Command::new("kill").args(["-INT", &process]).status()?;
            }
            if started.elapsed() > self.spin_limit * 3 {
                // Not even the end is agreed on: the collapse is complete.
                child.kill()?;
                child.wait()?;
                return Ok(0.0);
            }
            thread::sleep(Duration::from_millis(50));
        }
        let place = match asked {
            true => self.place.join("spin.incomplete"),
            false => out,
        };
        let summary = json(&place.join("summary.json"))?;
        let execution = json(&place.join("execution.json"))?;
        Ok(speed(&summary, &execution))
    }
}

/// A run that completed.
struct Ended {
    us_per_second: f64,
    workers: u64,
    bytes: [Vec<u8>; 2],
}

fn json(path: &Path) -> Result<Value> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

fn speed(summary: &Value, execution: &Value) -> f64 {
    let simulated = summary["simulated_ps"].as_f64().unwrap_or(0.0) / 1e6;
    simulated / execution["wall_seconds"].as_f64().unwrap_or(f64::NAN)
}

/// Where the time of a fused run goes that is not spent in components.
struct Shares {
    /// Choosing who goes next and how far, and delivering what it sent.
    sync: f64,
    /// Watching the wire: round trips, retransmissions, the ways of requests.
    watch: f64,
}

/// The shares of a fused run with every cycle evaluated. The time that the clock itself
/// takes, which is read twice a step and a message, is taken off.
fn shares(scenario: &Path) -> Result<Shares> {
    let scenario = Scenario::read(scenario, &[])?;
    let files = load_files(&scenario)?;
    let model = model::build(&scenario.design, Abilities::default(), &|line| {
        eprintln!("hallux: {line}")
    })?;
    let mut assembly = assemble(&scenario, files, None, &mut |mut config| {
        config.skip = SkipMode::Off;
        Ok(Some(RtlNic::new(config, &model.library)?))
    })?;
    let (components, sinks) = (
        Arc::new(Stopwatch::default()),
        Arc::new(Stopwatch::default()),
    );
    assembly.simulation.wrap_components(|component| {
        let watch = Arc::clone(&components);
        Box::new(Timed { component, watch })
    });
    assembly.simulation.wrap_sinks(|sink| {
        let watch = Arc::clone(&sinks);
        Box::new(TimedSink { sink, watch })
    });
    let options = RunOptions {
        stop_quantum: Time::from_ps(scenario.settings.stop_quantum.0),
        max_time: Time::from_ps(scenario.settings.max_time.0),
        cancel: None,
    };
    let start = Instant::now();
    assembly.simulation.run(&options, &mut |_| {})?;
    let all = start.elapsed().as_nanos() as f64;
    // Of the two looks at the clock, the time of about one lies within what is measured.
    let clock = clock_ns();
    let calls = components.calls() + sinks.calls();
    let all = all - 2.0 * clock * calls;
    let components = components.ns() - clock * components.calls();
    let sinks = sinks.ns() - clock * sinks.calls();
    Ok(Shares {
        sync: 1.0 - (components + sinks) / all,
        watch: sinks / all,
    })
}

/// Nanoseconds that a look at the clock takes.
fn clock_ns() -> f64 {
    const LOOKS: u32 = 100_000;
    let start = Instant::now();
    for _ in 0..LOOKS {
        std::hint::black_box(Instant::now());
    }
    start.elapsed().as_nanos() as f64 / f64::from(LOOKS)
}

/// Adds up the time of calls.
#[derive(Default)]
struct Stopwatch {
    ns: AtomicU64,
    calls: AtomicU64,
}

impl Stopwatch {
    fn time<T>(&self, call: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = call();
        let spent = start.elapsed().as_nanos() as u64;
        self.ns.fetch_add(spent, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        result
    }

    fn ns(&self) -> f64 {
        self.ns.load(Ordering::Relaxed) as f64
    }

    fn calls(&self) -> f64 {
        self.calls.load(Ordering::Relaxed) as f64
    }
}

/// A sink whose time is taken.
struct TimedSink {
    sink: Box<dyn MessageSink>,
    watch: Arc<Stopwatch>,
}

impl MessageSink for TimedSink {
    fn message(&mut self, tapped: &Tapped<'_>) -> io::Result<()> {
        self.watch.time(|| self.sink.message(tapped))
    }

    fn finish(&mut self, end: Time) -> io::Result<()> {
        self.sink.finish(end)
    }
}

/// A component whose time is taken.
struct Timed {
    component: Box<dyn Component>,
    watch: Arc<Stopwatch>,
}

impl Component for Timed {
    fn name(&self) -> &str {
        self.component.name()
    }

    fn ports(&self) -> &[PortSpec] {
        self.component.ports()
    }

    fn next_action(&self) -> Time {
        self.component.next_action()
    }

    fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
        self.watch.time(|| self.component.advance(horizon, io))
    }

    fn finished_at(&self) -> Option<Time> {
        self.component.finished_at()
    }

    fn waiting_for(&self) -> String {
        self.component.waiting_for()
    }

    fn counters(&self) -> Vec<Counter> {
        self.component.counters()
    }

    fn as_any(&self) -> &dyn Any {
        self.component.as_any()
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self.component.as_any_mut()
    }
}
