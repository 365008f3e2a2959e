//! A part of a simulation in a process of its own, and the process that
//! watches over the parts.
//!
//! ```text
//!   part 0 ══ SimBricks ring ══ part 1 ══ … each with a row on the board
//!     │ reports: captures, result             │
//!     └──────────────► watcher ◄──────────────┘
//! ```
//!
//! Every process puts the whole simulation together, runs its own part, and
//! leaves the rest alone.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hallux_channel::{Counter, Protocol, Time};

use super::boundary::Boundary;
use super::council::{Board, Verdict};
use super::delegate::Chair;
use super::freight::{DIGEST, RESULT, SEEN, Unpacker, put_seen, read_parcel, write_parcel};
use super::partition::{OpenEnd, Partition, cut_links, group};
use super::run::{Outcome, PROGRESS_INTERVAL, Progress, RunError, RunOptions, Waiting};
use super::simulation::{Node, Simulation, waiting};
use super::tap::Seen;
use super::threads::stride;
use super::worker::{Ledger, WaitPolicy, Worker};

/// How often the watcher looks around.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// An end, in one part, of a link that a partition cuts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenLink {
    /// The same at both ends.
    pub number: usize,
    /// True at the end whose component was added first.
    pub is_first: bool,
    /// What this end speaks.
    pub protocol: Protocol,
    /// Of the link.
    pub latency: Time,
    /// The part at the other end.
    pub neighbour: usize,
}

/// What one process runs.
pub struct Part<'a> {
    /// Who runs which component.
    pub partition: &'a Partition,
    /// Number of the worker.
    pub worker: usize,
    /// The board of all workers, or that of this machine.
    pub board: &'a Board,
    /// This worker's row on it.
    pub row: usize,
    /// Whether the workers at the other ends of links have their rows there.
    pub shared: bool,
    /// How it waits.
    pub policy: WaitPolicy,
}

impl Simulation {
    /// Makes the board of a run in several processes.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn create_board(
        &self,
        path: &Path,
        partition: &Partition,
        options: &RunOptions<'_>,
    ) -> io::Result<Board> {
        Board::create(path, partition.count(), self.rule(options))
    }

    /// Opens the board that another process has made for the same run.
    ///
    /// # Errors
    ///
    /// What the system says, or that it is another board.
    pub fn open_board(
        &self,
        path: &Path,
        partition: &Partition,
        options: &RunOptions<'_>,
    ) -> io::Result<Board> {
        Board::open(path, partition.count(), self.rule(options))
    }

    /// A board in the memory of this process: that of a run with a row for each
    /// machine, or that of a machine with one for each of its workers.
    pub fn board(&self, rows: usize, options: &RunOptions<'_>) -> Board {
        Board::new(rows, self.rule(options))
    }

    /// The ends of cut links that belong to `worker`.
    pub fn open_links(&self, partition: &Partition, worker: usize) -> Vec<OpenLink> {
        let mut ends = Vec::new();
        for (number, link) in cut_links(&self.nodes, partition).into_iter().enumerate() {
            let sides = [(link.from, link.to, true), (link.to, link.from, false)];
            for (own, other, is_first) in sides {
                if partition.worker(own.node) == worker {
                    ends.push(OpenLink {
                        number,
                        is_first,
                        protocol: self.nodes[own.node].component.ports()[own.port].protocol,
                        latency: link.latency,
                        neighbour: partition.worker(other.node),
                    });
                }
            }
        }
        ends
    }

    /// Runs one part, with a boundary for each of its
    /// [open links](Self::open_links), in their order. Captures go to
    /// `report`; the sinks of this simulation stay untouched.
    ///
    /// # Errors
    ///
    /// [`RunError`]; [`RunError::Elsewhere`] if another part has failed.
    pub fn run_part(
        &mut self,
        part: &Part<'_>,
        boundaries: Vec<Box<dyn Boundary>>,
        options: &RunOptions<'_>,
        report: &mut dyn Write,
    ) -> Result<Outcome, RunError> {
        self.check(options)?;
        let links = self.open_links(part.partition, part.worker);
        let neighbours = links
            .iter()
            .map(|link| part.shared.then_some(link.neighbour))
            .collect();
        let lookahead = links.iter().map(|link| link.latency).min();
        let mut boundaries = boundaries.into_iter();
        let mut ends = Vec::new();
        for link in cut_links(&self.nodes, part.partition) {
            for end in [link.from, link.to] {
                if part.partition.worker(end.node) == part.worker
                    && let Some(boundary) = boundaries.next()
                {
                    ends.push(OpenEnd {
                        end,
                        latency: link.latency,
                        boundary,
                    });
                }
            }
        }
        let ports: Vec<_> = self.nodes.iter().map(|node| node.ports.clone()).collect();
        let mut others: Vec<Option<Node>> = Vec::new();
        let mut members = Vec::new();
        for (place, node) in std::mem::take(&mut self.nodes).into_iter().enumerate() {
            let own = part.partition.worker(place) == part.worker;
            others.push(None);
            match own {
                true => members.push((place, node)),
                false => others[place] = Some(node),
            }
        }
        let places: Vec<usize> = members.iter().map(|(place, _)| *place).collect();
        let mut group = group(members, ends);
        let mut worker = Worker {
            number: part.row,
            group: &mut group,
            board: part.board,
            neighbours,
            waiting: part.policy,
            stride: stride(lookahead.unwrap_or(Time::NEVER)),
        };
        let mut ledger = Reporter::new(report);
        let result = worker.run(&mut ledger);
        let result = result.and_then(|decision| {
            ledger.flush(decision.end)?;
            Ok(decision)
        });
        if result.is_err() {
            part.board.fail();
        }
        let own = group.into_nodes();
        let result = result.and_then(|decision| decision.outcome(|| waiting(&own)));
        for (place, node) in places.into_iter().zip(own) {
            others[place] = Some(node);
        }
        self.nodes = others.into_iter().flatten().collect();
        for (node, ports) in self.nodes.iter_mut().zip(ports) {
            node.ports = ports;
        }
        result
    }

    /// Watches over parts that run in other processes, until all their reports
    /// have ended; hands what they captured to the sinks. `explain` tells what
    /// became of a worker whose report ended without a result, given the error
    /// of reading it, if there was one.
    ///
    /// # Errors
    ///
    /// A part vanished, or a sink failed. The results there are come with it.
    pub fn watch_parts(
        &mut self,
        watch: Watch<'_>,
        options: &RunOptions<'_>,
        explain: &mut dyn FnMut(usize, Option<io::Error>) -> String,
        progress: &mut dyn FnMut(&Progress),
    ) -> Watched {
        let Watch {
            partition,
            board,
            reports,
            mut chair,
        } = watch;
        let count = reports.len();
        let (sender, events) = channel();
        for (worker, mut report) in reports.into_iter().enumerate() {
            let sender = sender.clone();
            thread::spawn(move || {
                loop {
                    let parcel = read_parcel(&mut report);
                    let over = !matches!(parcel, Ok(Some(_)));
                    if sender.send((worker, parcel)).is_err() || over {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut reached = self.watched_times(partition);
        let mut results: Vec<Option<Bytes>> = vec![None; count];
        let mut failure = None;
        let mut open = count;
        let mut last_shown = Instant::now();
        let mut began = None;
        let mut ended = None;
        while open > 0 {
            if began.is_none() && board.has_begun() {
                began = Some(Instant::now());
            }
            if options.is_cancelled() {
                board.freeze(Verdict::Cancelled);
            }
            if let Some(chair) = &mut chair {
                chair.command(board);
            }
            if last_shown.elapsed() >= PROGRESS_INTERVAL {
                last_shown = Instant::now();
                progress(&Progress {
                    now: board.reached(),
                    counters: Vec::new(),
                });
            }
            let (worker, parcel) = match events.recv_timeout(LOOK_INTERVAL) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let taken = match parcel {
                Ok(Some((SEEN, contents))) => self
                    .take_seen(contents)
                    .and_then(|time| {
                        reached[worker] = time;
                        let all = reached.iter().copied().min().unwrap_or(Time::NEVER);
                        if board.decision().is_some_and(|decision| all >= decision.end) {
                            ended.get_or_insert_with(Instant::now);
                        }
                        self.merger.flush(all.min(board.limit()))
                    })
                    .map_err(RunError::from),
                Ok(Some((RESULT, contents))) => {
                    results[worker] = Some(contents);
                    reached[worker] = Time::NEVER;
                    Ok(())
                }
                Ok(Some((DIGEST, contents))) => match &mut chair {
                    Some(chair) => chair
                        .note(board, worker, &mut Unpacker::new(contents))
                        .map_err(RunError::from),
                    None => Ok(()),
                },
                // The end, or something that is no report.
                other => {
                    open -= 1;
                    reached[worker] = Time::NEVER;
                    match results[worker] {
                        Some(_) => Ok(()),
                        None => Err(RunError::Part {
                            components: self.names_of(partition, worker),
                            what: explain(worker, other.err()),
                        }),
                    }
                }
            };
            if let Err(error) = taken {
                board.fail();
                failure.get_or_insert(error);
            }
        }
        let decision = board.decision();
        let end = decision
            .filter(|decision| decision.verdict != Verdict::Failed)
            .map_or_else(|| board.reached(), |decision| decision.end);
        if let Err(error) = self.merger.finish(end) {
            failure.get_or_insert(error.into());
        }
        Watched {
            results,
            failure,
            reached: end,
            began,
            ended: ended.unwrap_or_else(Instant::now),
        }
    }

    /// Until when each worker has reported: those without a tapped port have
    /// nothing to report.
    fn watched_times(&self, partition: &Partition) -> Vec<Time> {
        let mut reached = vec![Time::NEVER; partition.count()];
        for (place, node) in self.nodes.iter().enumerate() {
            if node.ports.iter().any(|port| port.interface.is_some()) {
                reached[partition.worker(place)] = Time::ZERO;
            }
        }
        reached
    }

    /// Takes in a parcel of captures; returns the time it reaches to.
    fn take_seen(&mut self, contents: Bytes) -> io::Result<Time> {
        let mut unpacker = Unpacker::new(contents);
        let reached = unpacker.time()?;
        while !unpacker.is_empty() {
            self.merger.see(unpacker.seen()?);
        }
        Ok(reached)
    }

    /// The components that `worker` runs, as a list.
    pub fn names_of(&self, partition: &Partition, worker: usize) -> String {
        let names = self.names().enumerate();
        let own = names.filter(|(place, _)| partition.worker(*place) == worker);
        own.map(|(_, name)| name).collect::<Vec<_>>().join(", ")
    }
}

/// The parts to watch over.
pub struct Watch<'a> {
    /// Who runs which component.
    pub partition: &'a Partition,
    /// The board of all workers.
    pub board: &'a Board,
    /// What each worker reports.
    pub reports: Vec<Box<dyn Read + Send>>,
    /// Speaks with the machines, if the workers are on several.
    pub chair: Option<Chair>,
}

/// What the parts left behind.
pub struct Watched {
    /// The result of each worker, as it was sent by [`send_result`].
    pub results: Vec<Option<Bytes>>,
    /// What went wrong first, if it did.
    pub failure: Option<RunError>,
    /// Everything before this time was simulated by all.
    pub reached: Time,
    /// When the last part had begun.
    pub began: Option<Instant>,
    /// When everything that all parts saw had come; that of a run that failed is when its
    /// last report ended.
    pub ended: Instant,
}

impl Board {
    /// The result of a run whose parts have all come to their end; `waiting`
    /// names who has not finished.
    ///
    /// # Errors
    ///
    /// As the parts decided.
    pub fn outcome(&self, waiting: impl FnOnce() -> Vec<Waiting>) -> Result<Outcome, RunError> {
        match self.decision() {
            Some(decision) => decision.outcome(waiting),
            None => Err(RunError::Elsewhere),
        }
    }
}

/// Ends a part's report with its result.
///
/// # Errors
///
/// What the system says.
pub fn send_result(report: &mut impl Write, result: &[u8]) -> io::Result<()> {
    write_parcel(report, RESULT, result)
}

/// Captures are sent when so many bytes have gathered, or after so long.
const PARCEL_BYTES: usize = 64 << 10;
const PARCEL_INTERVAL: Duration = Duration::from_millis(50);

/// Sends what is observed to the watcher.
struct Reporter<'a> {
    out: &'a mut dyn Write,
    gathered: Vec<u8>,
    sent: Instant,
}

impl<'a> Reporter<'a> {
    fn new(out: &'a mut dyn Write) -> Self {
        Reporter {
            out,
            gathered: Vec::new(),
            sent: Instant::now(),
        }
    }

    fn flush(&mut self, reached: Time) -> io::Result<()> {
        let mut parcel = reached.ps().to_le_bytes().to_vec();
        parcel.append(&mut self.gathered);
        self.sent = Instant::now();
        write_parcel(&mut self.out, SEEN, &parcel)
    }
}

impl Ledger for Reporter<'_> {
    fn seen(&mut self, reached: Time, seen: std::vec::Drain<'_, Seen>) -> io::Result<()> {
        for seen in seen {
            put_seen(&mut self.gathered, &seen);
        }
        if self.gathered.len() >= PARCEL_BYTES || self.sent.elapsed() >= PARCEL_INTERVAL {
            self.flush(reached)?;
        }
        Ok(())
    }

    fn counters(&mut self, _: Time, _: Vec<(String, Vec<Counter>)>) {}
}
