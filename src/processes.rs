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

use crate::parts::{self, Ended, Job, Report, Seat};
use crate::simulation::{Assembly, load_files};
use anyhow::{Context, Result, anyhow};
use hallux_channel::Protocol;
use hallux_channel::simbricks::{Address, Options, Role, SyncMode, establish_all};
use hallux_cosim::engine::{
    Board, Boundary, OpenLink, Partition, Progress, Ring, RunOptions, Watch,
};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// What a worker is told.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    job: Job,
    /// Directory of the board and of the sockets.
    directory: PathBuf,
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
    let directory = shared_directory()?;
    let board = simulation
        .create_board(&directory.path().join("board"), partition, options)
        .context("cannot make the board of the workers")?;
    let mut workers = Workers::default();
    let mut reports: Vec<Box<dyn Read + Send>> = vec![];
    for worker in 0..partition.count() {
        let order = Order {
            job: Job {
                worker,
                ..job.clone()
            },
            directory: directory.path().to_owned(),
        };
        reports.push(Box::new(BufReader::new(workers.start(&order)?)));
    }
    let watch = Watch {
        partition,
        board: &board,
        reports,
        chair: None,
    };
    let watched = simulation.watch_parts(
        watch,
        options,
        &mut |worker, _| workers.explain(worker),
        progress,
    );
    workers.wait();

    Ended::gather(watched, simulation, partition, &board)
}

/// A directory for the board and the sockets of a run, in memory where there is such a
/// place: the board is written all the time.
fn shared_directory() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

/// The processes of a run; those that are left are killed with this.
#[derive(Default)]
struct Workers(Vec<Child>);

impl Workers {
    /// Starts a worker; returns its reports.
    fn start(&mut self, order: &Order) -> Result<impl Read + Send + use<>> {
        let program = std::env::current_exe().context("cannot find the hallux program")?;
        let mut child = Command::new(program)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for this process, which ends the others in order.
            .process_group(0)
            .spawn()
            .context("cannot start a worker process")?;
        let mut text = serde_json::to_string(order)?;
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
    let order: Order = serde_json::from_str(&line).context("this is no job of `hallux run`")?;
    let mut out = std::io::stdout().lock();
    let result = run_part(&order, &mut out, input);
    parts::send_report(&mut out, result)
}

fn run_part(
    order: &Order,
    out: &mut dyn Write,
    input: impl Read + Send + 'static,
) -> Result<Report> {
    let Order { job, directory } = order;
    let scenario = job.scenario()?;
    let files = load_files(&scenario)?;
    let mut assembly = job.assemble(&scenario, files)?;
    let partition = job.partition();
    let options = parts::options(&scenario);
    let board = directory.join("board");
    let board = assembly
        .simulation
        .open_board(&board, &partition, &options)?;
    let board = Arc::new(board);
    stop_with_the_others(Arc::clone(&board), input);
    let boundaries =
        connect(&assembly, &partition, job.worker, directory).inspect_err(|_| board.fail())?;
    let seat = Seat {
        board: &board,
        row: job.worker,
        shared: true,
    };
    job.run(&mut assembly, &seat, boundaries, &options, out)
}

/// Establishes the channels of this worker's open links, in their order.
fn connect(
    assembly: &Assembly,
    partition: &Partition,
    worker: usize,
    directory: &Path,
) -> Result<Vec<Box<dyn Boundary>>> {
    let links = assembly.simulation.open_links(partition, worker);
    let channels = links.iter().map(|link| channel(link, directory));
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
