//! A scenario in several processes: this one watches, the others run a part each.
//!
//! ```text
//!   hallux run ──job──► hallux worker      one for each place of the scenario
//!        ▲                 │ ║ SimBricks rings to the other workers
//!        └──captures, findings
//! ```
//!
//! Each worker puts the whole scenario together, with empty places for the NICs of
//! others, and runs its own part.

use crate::model::{self, Abilities};
use crate::scenario::Scenario;
use crate::simulation::{Assembly, Findings, assemble, load_files};
use anyhow::{Context, Result, anyhow};
use hallux_channel::simbricks::{Address, Options, Role, SyncMode, establish_all};
use hallux_channel::{Protocol, Time};
use hallux_cosim::engine::{
    Board, Boundary, OpenLink, Outcome, Part, Partition, Progress, Ring, RunError, RunOptions,
    WaitPolicy, Waiting, Watch, send_result,
};
use hallux_cosim::nic::{RtlNic, SkipMode};
use hallux_cosim::observe::waves::{WaveFile, WaveWindow};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What a worker is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The scenario file, and what replaces its values.
    pub scenario: PathBuf,
    /// As on the command line.
    pub set: Vec<String>,
    /// Treatment of quiescent cycles.
    pub skip: String,
    /// Where the stage trace goes, if one is wanted.
    pub trace: Option<PathBuf>,
    /// Window and file of waves, if they are wanted.
    pub waves: Option<(String, PathBuf)>,
    /// Component and port of everything that is tapped, by number.
    pub taps: Vec<(String, String)>,
    /// The worker of each component.
    pub partition: Vec<usize>,
    /// The worker that gets this.
    pub worker: usize,
    /// Directory of the board and of the sockets.
    pub directory: PathBuf,
    /// Whether workers only spin while they wait.
    pub spin: bool,
}

/// How a worker ended.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Report {
    /// What went wrong, if it did.
    failure: Option<String>,
    /// Another worker failed first.
    elsewhere: bool,
    /// Components that have not finished, and what they wait for.
    waiting: Vec<(String, String)>,
    findings: Findings,
}

/// Ring slots of a link: more than fit into its latency at line rate.
const SLOTS: usize = 512;

/// Runs `assembly`, of which this process runs nothing itself, in processes; one for
/// each worker of `partition`.
///
/// # Errors
/// The processes cannot be started. That a run failed is a part of the result.
pub fn run(
    assembly: &mut Assembly,
    partition: &Partition,
    job: &Job,
    options: &RunOptions<'_>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Ended> {
    let simulation = &mut assembly.simulation;
    let board = simulation
        .create_board(&job.directory.join("board"), partition, options)
        .context("cannot make the board of the workers")?;
    let mut workers = Workers::default();
    let mut reports: Vec<Box<dyn Read + Send>> = vec![];
    for worker in 0..partition.count() {
        let job = Job {
            worker,
            ..job.clone()
        };
        reports.push(Box::new(BufReader::new(workers.start(&job)?)));
    }
    let watch = Watch {
        partition,
        board: &board,
        reports,
    };
    let watched = simulation.watch_parts(
        watch,
        options,
        &mut |worker| workers.explain(worker),
        progress,
    );
    workers.wait();

    let mut findings: Option<Findings> = None;
    let mut waiting = vec![];
    let mut failure = watched.failure;
    for (worker, result) in watched.results.into_iter().enumerate() {
        let Some(result) = result else { continue };
        let report: Report =
            serde_json::from_slice(&result).context("a worker sent a report that is none")?;
        if let (Some(what), false, None) = (report.failure, report.elsewhere, &failure) {
            failure = Some(RunError::Part {
                components: simulation.names_of(partition, worker),
                what: format!("failed: {what}"),
            });
        }
        let names = report.waiting.into_iter();
        waiting.extend(names.map(|(component, what)| Waiting { component, what }));
        findings = Some(match findings {
            Some(others) => others.and(report.findings),
            None => report.findings,
        });
    }
    let outcome = match failure {
        Some(failure) => Err(failure),
        None => board.outcome(|| waiting),
    };
    Ok(Ended {
        outcome,
        findings: findings.unwrap_or_default(),
        reached: watched.reached,
        began: watched.began,
    })
}

/// A run whose workers have all ended.
pub struct Ended {
    /// How the run ended.
    pub outcome: Result<Outcome, RunError>,
    /// What all workers found.
    pub findings: Findings,
    /// Everything before this time was simulated by all.
    pub reached: Time,
    /// When the last worker had begun to simulate.
    pub began: Option<Instant>,
}

/// A directory for the board and the sockets of a run, in memory where there is such a
/// place: the board is written all the time.
///
/// # Errors
/// No directory for temporary files can be written.
pub fn shared_directory() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

/// The processes of a run; those that are left are killed with this.
#[derive(Default)]
struct Workers(Vec<Child>);

impl Workers {
    /// Starts a worker; returns its reports.
    fn start(&mut self, job: &Job) -> Result<impl Read + Send + use<>> {
        let program = std::env::current_exe().context("cannot find the hallux program")?;
        let mut child = Command::new(program)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for this process, which ends the others in order.
            .process_group(0)
            .spawn()
            .context("cannot start a worker process")?;
        let mut text = serde_json::to_string(job)?;
        text.push('\n');
        if let Some(stdin) = &mut child.stdin {
            // A worker that has ended already is noticed by its report.
            let _ended = stdin.write_all(text.as_bytes());
        }
        let report = child.stdout.take();
        self.0.push(child);
        report.ok_or_else(|| anyhow!("a worker has no output"))
    }

    /// What became of a worker.
    fn explain(&mut self, worker: usize) -> String {
        match self.0[worker].wait() {
            Ok(status) => match (status.signal(), status.code()) {
                (Some(signal), _) => format!("was killed by signal {signal}"),
                (_, Some(code)) => format!("ended early with exit code {code}"),
                _ => "ended early".to_owned(),
            },
            Err(error) => format!("is lost: {error}"),
        }
    }

    fn wait(&mut self) {
        for child in &mut self.0 {
            // Their reports have ended, so they have too, or are about to.
            let _ended = child.wait();
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ended = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// Set when the run ends early.
static STOP: AtomicBool = AtomicBool::new(false);

/// Runs the part that the first line of standard input asks for; reports go to standard
/// output.
///
/// # Errors
/// There is no job to read, or nobody takes the report.
pub fn work() -> Result<()> {
    let mut input = BufReader::new(std::io::stdin());
    let mut line = String::new();
    input.read_line(&mut line)?;
    let job: Job = serde_json::from_str(&line).context("this is no job of `hallux run`")?;
    let mut out = std::io::stdout().lock();
    let report = match run_part(&job, &mut out, input) {
        Ok(report) => report,
        Err(error) => Report {
            failure: Some(format!("{error:#}")),
            ..Report::default()
        },
    };
    send_result(&mut out, &serde_json::to_vec(&report)?)?;
    Ok(())
}

fn run_part(job: &Job, out: &mut dyn Write, input: impl Read + Send + 'static) -> Result<Report> {
    let scenario = Scenario::read(&job.scenario, &job.set)?;
    let files = load_files(&scenario)?;
    let skip: SkipMode = job.skip.parse()?;
    let mut assembly = assemble_part(&scenario, job, skip, files)?;
    let partition = Partition::by_key(&job.partition);
    let options = RunOptions {
        stop_quantum: Time::from_ps(scenario.settings.stop_quantum.0),
        max_time: Time::from_ps(scenario.settings.max_time.0),
        cancel: None,
    };
    let board =
        assembly
            .simulation
            .open_board(&job.directory.join("board"), &partition, &options)?;
    let board = Arc::new(board);
    stop_with_the_others(Arc::clone(&board), input);
    let result = connect(&assembly, &partition, job)
        .inspect_err(|_| board.fail())
        .map(|boundaries| {
            let part = Part {
                partition: &partition,
                worker: job.worker,
                board: &board,
                policy: match job.spin {
                    true => WaitPolicy::Spin,
                    false => WaitPolicy::Graded,
                },
            };
            assembly
                .simulation
                .run_part(&part, boundaries, &options, out)
        })?;
    let own: Vec<String> = assembly
        .simulation
        .names()
        .enumerate()
        .filter(|(place, _)| partition.worker(*place) == job.worker)
        .map(|(_, name)| name.to_owned())
        .collect();
    let mut report = Report {
        findings: assembly.findings(|name| own.iter().any(|own| own == name)),
        ..Report::default()
    };
    match result {
        Ok(_) | Err(RunError::Cancelled { .. }) => {}
        Err(RunError::Deadline { waiting, .. } | RunError::Deadlock { waiting, .. }) => {
            let waiting = waiting.into_iter();
            report.waiting = waiting.map(|one| (one.component, one.what)).collect();
        }
        Err(error) => {
            report.elsewhere = matches!(error, RunError::Elsewhere);
            report.failure = Some(error.to_string());
        }
    }
    finish_observation(job, &mut assembly)?;
    Ok(report)
}

/// The scenario with the NICs that this worker runs.
fn assemble_part(
    scenario: &Scenario,
    job: &Job,
    skip: SkipMode,
    files: Option<Arc<hallux_host::apps::files::FileTree>>,
) -> Result<Assembly> {
    // The names of the components do not depend on who runs the NICs.
    let names: Vec<String> = assemble(scenario, files.clone(), None, &mut |_| Ok(None))?
        .simulation
        .names()
        .map(str::to_owned)
        .collect();
    let runs = |name: &str| {
        let place = names.iter().position(|known| known == name);
        place.is_some_and(|place| job.partition.get(place) == Some(&job.worker))
    };
    let mut model = None;
    let mut first = true;
    let mut assembly = assemble(scenario, files, None, &mut |mut config| {
        let tested = std::mem::take(&mut first);
        if !runs(&config.name) {
            return Ok(None);
        }
        if model.is_none() {
            let abilities = Abilities {
                waves: job.waves.is_some(),
                savable: skip == SkipMode::Verify,
            };
            model = Some(model::build(&scenario.design, abilities, &|line| {
                tracing::info!("{line}");
            })?);
        }
        let Some(model) = &model else {
            return Ok(None);
        };
        config.skip = skip;
        config.trace = job.trace.is_some();
        if let (true, Some((window, path))) = (tested, &job.waves) {
            config.waves = Some(WaveFile {
                window: window.parse::<WaveWindow>()?,
                path: path.clone(),
            });
        }
        Ok(Some(RtlNic::new(config, &model.library)?))
    })?;
    for (component, port) in &job.taps {
        let id = assembly
            .simulation
            .find(component)
            .ok_or_else(|| anyhow!("there is no component `{component}`"))?;
        let name = format!("{component}.{port}");
        assembly.simulation.tap((id, port), name)?;
    }
    Ok(assembly)
}

/// Writes what only the process with the NIC under test knows.
fn finish_observation(job: &Job, assembly: &mut Assembly) -> Result<()> {
    if job.waves.is_some()
        && let Some(nic) = assembly.nic_mut(0)
    {
        nic.close_waves()?;
    }
    if let Some(path) = &job.trace {
        write_trace(path, assembly)?;
    }
    Ok(())
}

/// Writes the stage trace of the NIC under test, if this process ran it.
///
/// # Errors
/// The file cannot be written.
pub fn write_trace(path: &Path, assembly: &Assembly) -> Result<()> {
    let Some((name, trace, nic)) = assembly
        .tested_nic()
        .and_then(|(name, nic)| Some((name, nic.trace()?, nic)))
    else {
        return Ok(());
    };
    let mut file = BufWriter::new(File::create(path)?);
    trace.write(name, nic.clock().edge(1), &mut file)?;
    file.flush()?;
    Ok(())
}

/// Establishes the channels of this worker's open links, in their order.
fn connect(
    assembly: &Assembly,
    partition: &Partition,
    job: &Job,
) -> Result<Vec<Box<dyn Boundary>>> {
    let links = assembly.simulation.open_links(partition, job.worker);
    let channels = links.iter().map(|link| channel(link, &job.directory));
    let options = Options {
        slots: SLOTS,
        cancel: Some(&STOP),
        ..Options::default()
    };
    let endpoints = establish_all(channels.collect(), &options)?;
    let boundary = |endpoint| Box::new(Ring::new(endpoint)) as Box<dyn Boundary>;
    Ok(endpoints.into_iter().map(boundary).collect())
}

/// Address and role of one end. Devices listen, as everywhere in SimBricks.
fn channel(link: &OpenLink, directory: &Path) -> (Address, Role) {
    let (listens, role) = match link.protocol {
        Protocol::PcieDevice => (true, Role::PcieDevice(Box::default())),
        Protocol::PcieHost => (false, Role::PcieHost),
        Protocol::MemoryServer => (true, Role::MemoryServer),
        Protocol::MemoryClient => (false, Role::MemoryClient),
        Protocol::Ethernet => (link.is_first, Role::Ethernet),
    };
    let socket = directory.join(format!("link-{}", link.number));
    let shm = directory.join(format!("ring-{}", link.number));
    let (sync, latency) = (SyncMode::Required, link.latency);
    let address = match listens {
        true => Address::listen(socket, shm, sync, latency),
        false => Address::connect(socket, sync, latency),
    };
    (address, role)
}

/// Ends this process's waiting when another part has failed, and the process when the
/// one that started it is gone.
fn stop_with_the_others(board: Arc<Board>, mut input: impl Read + Send + 'static) {
    let watched = Arc::clone(&board);
    thread::spawn(move || {
        // Nothing more is said; the end of the stream is the end of the watcher.
        let _gone = input.read(&mut [0]);
        watched.fail();
        thread::sleep(Duration::from_millis(500));
        std::process::exit(1);
    });
    thread::spawn(move || {
        while !board.has_failed() {
            thread::sleep(Duration::from_millis(20));
        }
        STOP.store(true, Ordering::Relaxed);
    });
}
