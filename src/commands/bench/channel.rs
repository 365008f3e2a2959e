//! `hallux bench channel`: endpoints of SimBricks channels against their twin in C.
//!
//! The twin is written from the same description of the protocol, built by this bench with
//! `cc -O3`, and does the same work: it checks, stamps, and copies every payload out. It waits
//! by spinning only. Both take turns in one run.

mod twin;

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hallux_channel::Time;
use hallux_channel::simbricks::{Address, Backoff, Delivery, Endpoint, Options, Role, SyncMode};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;

use crate::output;
use twin::Twin;

/// Latency of the channels, and the interval of their promises.
const LATENCY: Time = Time::from_ns(500);
/// Messages between two changes of the side in one thread.
const BATCH: u64 = 32;
/// How long one repetition lasts, about.
const DURATION: Duration = Duration::from_millis(60);
/// How long one repetition lasts where two processes share a core: many time slices.
const SHARED_DURATION: Duration = Duration::from_millis(400);

/// Arguments of `hallux bench channel`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Repetitions of each side; the medians are compared.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// Slots of a ring, on both sides.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(64..))]
    slots: u32,
    /// Run only the tests and placements of these names.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,
    /// End with one line of JSON.
    #[arg(long)]
    json: bool,
    /// Be the other process of a test: its name and the path of the socket.
    #[arg(long, hide = true, num_args = 2, value_names = ["TEST", "SOCKET"])]
    peer: Option<Vec<String>>,
}

/// What is done over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Test {
    name: &'static str,
    kind: Kind,
    /// Bytes of a frame.
    len: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Frames from left to right.
    Stream = 0,
    /// A frame from left to right and back.
    PingPong = 1,
    /// Both sides reach the next instant and may handle it.
    SyncSteps = 2,
}

/// Where the two ends run.
const PLACEMENTS: [&str; 3] = ["one_thread", "two_cores", "one_core"];

const TESTS: [Test; 4] = [
    Test {
        name: "stream_64",
        kind: Kind::Stream,
        len: 64,
    },
    Test {
        name: "stream_1500",
        kind: Kind::Stream,
        len: 1500,
    },
    Test {
        name: "ping_pong_64",
        kind: Kind::PingPong,
        len: 64,
    },
    Test {
        name: "sync_500ns",
        kind: Kind::SyncSteps,
        len: 0,
    },
];

#[derive(Serialize)]
struct Row {
    test: &'static str,
    placement: &'static str,
    /// Nanoseconds an operation, median.
    rust_ns: f64,
    /// The same of the twin.
    c_ns: f64,
    /// Ratio of the speeds: above 1 Rust is faster.
    rust_over_c: f64,
}

#[derive(Serialize)]
struct Figures {
    rows: Vec<Row>,
    slots: u32,
    repetitions: u32,
    cores: usize,
    c_compiler: String,
}

/// Runs the bench.
///
/// # Errors
/// There is no C compiler, or a channel failed.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(peer) = &arguments.peer {
        be_peer(&peer[0], Path::new(&peer[1]))?;
        return Ok(ExitCode::SUCCESS);
    }
    for name in &arguments.only {
        let known = PLACEMENTS.into_iter().chain(TESTS.map(|test| test.name));
        ensure!(
            known.clone().any(|known| known == name),
            "there is no test or placement `{name}`: give some of {}",
            known.collect::<Vec<_>>().join(", ")
        );
    }
    let wanted = |names: &[&str], name: &str| {
        let mut only = arguments
            .only
            .iter()
            .filter(|only| names.contains(&only.as_str()))
            .peekable();
        only.peek().is_none() || only.any(|only| only == name)
    };
    let twin = Twin::build()?;
    let cores = cores()?;
    let mut figures = Figures {
        rows: Vec::new(),
        slots: arguments.slots,
        repetitions: arguments.repetitions,
        cores: cores.len(),
        c_compiler: twin.compiler().to_owned(),
    };
    output::line(format_args!(
        "{:<13} {:<11} {:>12} {:>12} {:>10}",
        "test", "placement", "Rust", "C", "Rust/C"
    ));
    for placement in PLACEMENTS {
        if !wanted(&PLACEMENTS, placement) {
            continue;
        }
        if placement == "two_cores" && cores.len() < 2 {
            output::line("two_cores needs two cores and is left out");
            continue;
        }
        for test in TESTS {
            if !wanted(&TESTS.map(|test| test.name), test.name) {
                continue;
            }
            let row = measure(arguments, &twin, placement, test, &cores)
                .with_context(|| format!("{} in placement {placement}", test.name))?;
            output::line(format_args!(
                "{:<13} {:<11} {:>9.1} ns {:>9.1} ns {:>10.2}",
                row.test, row.placement, row.rust_ns, row.c_ns, row.rust_over_c
            ));
            figures.rows.push(row);
        }
    }
    if arguments.json {
        output::line(serde_json::to_string(&figures)?);
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(
    arguments: &Arguments,
    twin: &Twin,
    placement: &'static str,
    test: Test,
    cores: &[usize],
) -> Result<Row> {
    let slots = arguments.slots as usize;
    let (mut rust, mut c) = (vec![], vec![]);
    if placement == "one_core" {
        let _pinned = Pinned::to(cores[0])?;
        for _ in 0..arguments.repetitions.min(3) {
            rust.push(rust_sharing_a_core(test, slots)?);
            c.push(twin.shared_core(test, slots, SHARED_DURATION));
        }
    } else {
        let mut ours = RustPair::new(slots)?;
        let mut theirs = twin.pair(slots)?;
        let on = (placement == "two_cores").then(|| [cores[0], cores[1]]);
        // How many operations fill a repetition is found out, which also warms everything up.
        let mut n = 1024;
        let count = loop {
            let (a, b) = (run(&mut ours, test, n, on)?, run(&mut theirs, test, n, on)?);
            let slower = a.max(b);
            if slower >= DURATION / 4 || n >= 1 << 24 {
                let wanted = n as f64 * DURATION.as_secs_f64() / slower.as_secs_f64();
                break (wanted as u64).next_multiple_of(BATCH);
            }
            n *= 4;
        };
        let each = |took: Duration| took.as_secs_f64() * 1e9 / count as f64;
        for _ in 0..arguments.repetitions {
            rust.push(each(run(&mut ours, test, count, on)?));
            c.push(each(run(&mut theirs, test, count, on)?));
        }
    }
    let (rust_ns, c_ns) = (median(&mut rust), median(&mut c));
    Ok(Row {
        test: test.name,
        placement,
        rust_ns,
        c_ns,
        rust_over_c: c_ns / rust_ns,
    })
}

/// The two ends of a channel, whoever made them.
trait Pair {
    /// An end, to be given to a thread.
    type End: Side;

    fn ends(&mut self) -> [&mut Self::End; 2];
    /// `n` operations after `from` others, both sides in turn, in one thread. Returns a sum
    /// over what was received.
    fn both(&mut self, test: Test, from: u64, n: u64, data: &[u8]) -> Result<u64>;
    /// Operations so far; grows by `n`.
    fn after(&mut self, n: u64) -> u64;
}

trait Side: Send {
    fn side(&mut self, test: Test, left: bool, from: u64, n: u64, data: &[u8]) -> Result<u64>;
}

/// The time of `n` operations, in one thread or on two cores.
fn run<P: Pair>(pair: &mut P, test: Test, n: u64, on: Option<[usize; 2]>) -> Result<Duration> {
    let data = vec![1; test.len.into()];
    let from = pair.after(n);
    let Some(cores) = on else {
        let started = Instant::now();
        let sum = pair.both(test, from, n, &data)?;
        let took = started.elapsed();
        return check(test, n, sum, test.kind == Kind::PingPong).map(|()| took);
    };
    let barrier = Barrier::new(2);
    let go = |end: &mut P::End, left: bool| -> Result<(Duration, u64)> {
        let pinned = Pinned::to(cores[usize::from(!left)]);
        barrier.wait();
        let _pinned = pinned?;
        let started = Instant::now();
        let sum = end.side(test, left, from, n, &data)?;
        Ok((started.elapsed(), sum))
    };
    let [left, right] = pair.ends();
    let (left, right) = thread::scope(|scope| {
        let right = scope.spawn(|| go(right, false));
        let left = scope.spawn(|| go(left, true));
        (left.join(), right.join())
    });
    let (Ok(left), Ok(right)) = (left, right) else {
        bail!("a thread of the bench panicked");
    };
    let ((left, sent), (right, received)) = (left?, right?);
    check(test, n, sent + received, test.kind == Kind::PingPong)?;
    Ok(left.max(right))
}

/// Whether everything arrived: each payload starts with a one.
fn check(test: Test, n: u64, sum: u64, both_ways: bool) -> Result<()> {
    let expected = match test.kind {
        Kind::SyncSteps => 0,
        _ => n * (1 + u64::from(both_ways)),
    };
    ensure!(sum == expected, "{sum} frames arrived of {expected}");
    Ok(())
}

/// Both ends are ours.
struct RustPair {
    ends: [Endpoint; 2],
    done: u64,
}

impl RustPair {
    fn new(slots: usize) -> Result<Self> {
        let options = Options {
            slots,
            ..Options::default()
        };
        let (left, right) = Endpoint::pair(
            Role::Ethernet,
            Role::Ethernet,
            SyncMode::Required,
            LATENCY,
            LATENCY,
            &options,
        )?;
        Ok(RustPair {
            ends: [left, right],
            done: 0,
        })
    }
}

impl Pair for RustPair {
    type End = Endpoint;

    fn ends(&mut self) -> [&mut Endpoint; 2] {
        self.ends.each_mut()
    }

    fn after(&mut self, n: u64) -> u64 {
        self.done += n;
        self.done - n
    }

    fn both(&mut self, test: Test, from: u64, n: u64, data: &[u8]) -> Result<u64> {
        let [left, right] = &mut self.ends;
        match test.kind {
            Kind::Stream => both_stream(left, right, from..from + n, data),
            Kind::PingPong => both_ping_pong(left, right, from..from + n, data),
            Kind::SyncSteps => both_step(left, right, from..from + n),
        }
    }
}

// Each loop in a function of its own: what is rare in one takes no registers from another.

#[inline(never)]
fn both_stream(
    left: &mut Endpoint,
    right: &mut Endpoint,
    operations: Range<u64>,
    data: &[u8],
) -> Result<u64> {
    let mut backoff = Backoff::new();
    let (mut now, mut sum) = (LATENCY * operations.start, 0);
    // As many as the twin sends before it receives.
    for _ in 0..(operations.end - operations.start) / BATCH {
        for _ in 0..BATCH {
            now += LATENCY;
            send(left, now, data, &mut backoff)?;
        }
        for _ in 0..BATCH {
            sum += take(right, &mut backoff)?;
        }
    }
    Ok(sum)
}

#[inline(never)]
fn both_ping_pong(
    left: &mut Endpoint,
    right: &mut Endpoint,
    operations: Range<u64>,
    data: &[u8],
) -> Result<u64> {
    let mut backoff = Backoff::new();
    let (mut frame, mut sum) = (Vec::new(), 0);
    let mut now = LATENCY * operations.start;
    for _ in operations {
        now += LATENCY;
        send(left, now * 2, data, &mut backoff)?;
        sum += bounce(right, &mut frame, &mut backoff)?;
        sum += take(left, &mut backoff)?;
    }
    Ok(sum)
}

#[inline(never)]
fn both_step(left: &mut Endpoint, right: &mut Endpoint, operations: Range<u64>) -> Result<u64> {
    let mut backoff = Backoff::new();
    let mut now = LATENCY * operations.start;
    for _ in operations {
        now += LATENCY;
        ensure!(left.promise(now)? && right.promise(now)?, "a ring is full");
        sync_step(left, now, &mut backoff)?;
        sync_step(right, now, &mut backoff)?;
    }
    Ok(0)
}

impl Side for Endpoint {
    fn side(&mut self, test: Test, left: bool, from: u64, n: u64, data: &[u8]) -> Result<u64> {
        side(self, test, left, from..from + n, data, &mut Backoff::new())
    }
}

/// The operations of one side.
fn side(
    end: &mut Endpoint,
    test: Test,
    left: bool,
    operations: Range<u64>,
    data: &[u8],
    backoff: &mut Backoff,
) -> Result<u64> {
    let mut frame = Vec::new();
    let mut sum = 0;
    let steps = operations.map(|i| LATENCY * (i + 1));
    match (test.kind, left) {
        (Kind::Stream, true) => {
            for now in steps {
                send(end, now, data, backoff)?;
            }
        }
        (Kind::Stream, false) => {
            for _ in steps {
                sum += take(end, backoff)?;
            }
        }
        (Kind::PingPong, true) => {
            for now in steps {
                send(end, now * 2, data, backoff)?;
                sum += take(end, backoff)?;
            }
        }
        (Kind::PingPong, false) => {
            for _ in steps {
                sum += bounce(end, &mut frame, backoff)?;
            }
        }
        (Kind::SyncSteps, _) => {
            for now in steps {
                sync_step(end, now, backoff)?;
            }
        }
    }
    Ok(sum)
}

#[inline(always)]
fn send(end: &mut Endpoint, at: Time, data: &[u8], backoff: &mut Backoff) -> Result<()> {
    match end.send_frame(at, data)? {
        Delivery::Sent => Ok(()),
        Delivery::Full => send_later(end, at, data, backoff),
        other => bail!("a frame was not sent: {other:?}"),
    }
}

/// Sends a frame that found the ring full.
#[inline(never)]
fn send_later(end: &mut Endpoint, at: Time, data: &[u8], backoff: &mut Backoff) -> Result<()> {
    loop {
        backoff.idle();
        match end.send_frame(at, data)? {
            Delivery::Sent => break,
            Delivery::Full => {}
            other => bail!("a frame was not sent: {other:?}"),
        }
    }
    backoff.progress();
    Ok(())
}

/// Takes the next frame; its first byte.
#[inline(always)]
fn take(end: &mut Endpoint, backoff: &mut Backoff) -> Result<u64> {
    match end.receive_frame()? {
        Some((_, frame)) => Ok(first(frame)),
        None => take_later(end, backoff),
    }
}

/// Takes a frame that has not come yet.
#[inline(never)]
fn take_later(end: &mut Endpoint, backoff: &mut Backoff) -> Result<u64> {
    loop {
        ensure!(!end.terminated(), "the peer has terminated");
        backoff.idle();
        if let Some((_, frame)) = end.receive_frame()? {
            backoff.progress();
            return Ok(first(frame));
        }
    }
}

/// The next frame, and its stamp.
#[inline(always)]
fn receive(end: &mut Endpoint, frame: &mut Vec<u8>, backoff: &mut Backoff) -> Result<Time> {
    loop {
        if let Some(at) = end.receive_frame_into(frame)? {
            backoff.progress();
            return Ok(at);
        }
        ensure!(!end.terminated(), "the peer has terminated");
        backoff.idle();
    }
}

#[inline(always)]
fn first(frame: &[u8]) -> u64 {
    frame.first().copied().unwrap_or_default().into()
}

/// Sends the next frame back.
#[inline(always)]
fn bounce(end: &mut Endpoint, frame: &mut Vec<u8>, backoff: &mut Backoff) -> Result<u64> {
    let at = receive(end, frame, backoff)?;
    send(end, at, frame, backoff)?;
    Ok(first(frame))
}

/// Reaches `upto` and waits until it may be handled.
#[inline(always)]
fn sync_step(end: &mut Endpoint, upto: Time, backoff: &mut Backoff) -> Result<()> {
    while !end.promise(upto)? {
        backoff.idle();
    }
    while end.bound() <= upto {
        ensure!(
            end.receive_frame()?.is_none(),
            "a frame came in a test without frames"
        );
        if end.bound() <= upto {
            backoff.idle();
        }
    }
    backoff.progress();
    Ok(())
}

/// Nanoseconds an operation between this process and another on the same core.
fn rust_sharing_a_core(test: Test, slots: usize) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let socket = directory.path().join("channel");
    let address = Address::listen(&socket, "bench", SyncMode::Required, LATENCY);
    let mut peer = Peer(
        Command::new(std::env::current_exe()?)
            .args(["bench", "channel", "--peer", test.name])
            .arg(&socket)
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start the other process")?,
    );
    let options = Options {
        slots,
        deadline: Duration::from_secs(10),
        ..Options::default()
    };
    let mut end = Endpoint::establish(&address, Role::Ethernet, &options)?;
    let data = vec![1; test.len.into()];
    let left = test.kind != Kind::Stream;
    let mut backoff = Backoff::new();
    let started = Instant::now();
    let mut done = 0;
    while started.elapsed() < SHARED_DURATION {
        side(
            &mut end,
            test,
            left,
            done..done + BATCH,
            &data,
            &mut backoff,
        )?;
        done += BATCH;
    }
    let took = started.elapsed();
    peer.end();
    Ok(took.as_secs_f64() * 1e9 / done as f64)
}

/// The other process; it ends when this one does, or is told to.
struct Peer(Child);

impl Peer {
    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.end();
    }
}

fn be_peer(test: &str, socket: &Path) -> Result<()> {
    let test = TESTS
        .into_iter()
        .find(|known| known.name == test)
        .with_context(|| format!("there is no test `{test}`"))?;
    let address = Address::connect(socket, SyncMode::Required, LATENCY);
    let mut end = Endpoint::establish(&address, Role::Ethernet, &Options::default())?;
    let data = vec![1; test.len.into()];
    let left = test.kind == Kind::Stream;
    let mut backoff = Backoff::new();
    let mut done = 0;
    // Until the other process ends this one, or is gone.
    loop {
        side(
            &mut end,
            test,
            left,
            done..done + BATCH,
            &data,
            &mut backoff,
        )?;
        done += BATCH;
    }
}

/// The cores this process may use.
fn cores() -> Result<Vec<usize>> {
    let allowed = sched_getaffinity(None).context("cannot read which cores may be used")?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|&core| allowed.is_set(core))
        .collect())
}

/// The thread stays on one core for as long as this lives, and so do those it starts.
struct Pinned(CpuSet);

impl Pinned {
    fn to(core: usize) -> Result<Self> {
        let before = sched_getaffinity(None)?;
        let mut one = CpuSet::new();
        one.set(core);
        sched_setaffinity(None, &one).with_context(|| format!("cannot use core {core}"))?;
        Ok(Pinned(before))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = sched_setaffinity(None, &self.0);
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Writes the twin's source to `path`.
fn write_source(path: &Path) -> Result<()> {
    fs::write(path, include_str!("channel/twin.c"))
        .with_context(|| format!("cannot write {}", path.display()))
}
