//! Components distributed over threads.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use hallux_channel::{Counter, Time};

use super::boundary::{Boundary, Queue};
use super::council::{Board, Decision, Rule, Verdict};
use super::group::Group;
use super::partition::{OpenEnd, Partition, cut_links, group};
use super::paths::Paths;
use super::run::{Outcome, PROGRESS_INTERVAL, Progress, RunError, RunOptions};
use super::simulation::{Node, Peer, PortEnd, Simulation, waiting};
use super::tap::Seen;
use super::worker::{Ledger, WaitPolicy, Worker};

/// How often captured frames are written and a cancellation is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

impl Simulation {
    /// Runs as [`Simulation::run`] does, and with the same result, but with
    /// each worker of `partition` in a thread of its own.
    ///
    /// # Errors
    ///
    /// [`RunError`], as for [`Simulation::run`].
    pub fn run_in_threads(
        &mut self,
        partition: &Partition,
        policy: WaitPolicy,
        options: &RunOptions<'_>,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Outcome, RunError> {
        let queues = &mut |_| -> Ends {
            let (a, b) = Queue::pair();
            (Box::new(a), Box::new(b))
        };
        self.run_in_threads_over(queues, partition, policy, options, progress)
    }

    /// The same with links of another make; `link` gets the latency of each.
    pub(super) fn run_in_threads_over(
        &mut self,
        link: &mut dyn FnMut(Time) -> Ends,
        partition: &Partition,
        policy: WaitPolicy,
        options: &RunOptions<'_>,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Outcome, RunError> {
        self.check(options)?;
        let board = Board::new(partition.count(), self.rule(options));
        let ports: Vec<Vec<PortEnd>> = self.nodes.iter().map(|node| node.ports.clone()).collect();
        let parts = self.take_apart(partition, link);
        let ledgers: Vec<Mutex<Notes>> = parts.iter().map(|_| Mutex::default()).collect();
        let main = thread::current();

        let (results, captured) = thread::scope(|scope| {
            let threads: Vec<_> = parts
                .into_iter()
                .enumerate()
                .map(|(number, part)| {
                    let (board, ledger, main) = (&board, &ledgers[number], main.clone());
                    scope.spawn(move || part.run(number, board, policy, ledger, main))
                })
                .collect();
            let mut captured = Ok(());
            let mut last_shown = Instant::now();
            while threads.iter().any(|thread| !thread.is_finished()) {
                thread::park_timeout(LOOK_INTERVAL);
                if options.is_cancelled() {
                    board.freeze(Verdict::Cancelled);
                }
                if captured.is_ok() {
                    captured = self.write_seen(&board, &ledgers);
                    if captured.is_err() {
                        board.fail();
                    }
                }
                if last_shown.elapsed() >= PROGRESS_INTERVAL {
                    last_shown = Instant::now();
                    progress(&gather(&board, &ledgers));
                    board.want_counters();
                }
            }
            let results: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
            if captured.is_ok() {
                captured = self.write_seen(&board, &ledgers);
            }
            (results, captured)
        });

        self.conclude(ports, results, captured)
    }

    /// Puts the parts together again; the result of a run from theirs.
    pub(super) fn conclude(
        &mut self,
        ports: Vec<Vec<PortEnd>>,
        results: Vec<thread::Result<Ended>>,
        captured: io::Result<()>,
    ) -> Result<Outcome, RunError> {
        let mut nodes: Vec<Option<Node>> = ports.iter().map(|_| None).collect();
        let mut outcomes = Vec::new();
        for result in results {
            // A panic in a component is a mistake there, as it is when fused.
            let (members, outcome) =
                result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            for (place, node) in members {
                nodes[place] = Some(node);
            }
            outcomes.push(outcome);
        }
        self.nodes = nodes.into_iter().flatten().collect();
        for (node, ports) in self.nodes.iter_mut().zip(ports) {
            node.ports = ports;
        }
        let result = captured
            .map_err(RunError::from)
            .and_then(|()| agreed(outcomes, &self.nodes));
        self.close_sinks(result)
    }

    /// What the end follows from.
    pub(super) fn rule(&self, options: &RunOptions<'_>) -> Rule {
        let mut links = Vec::new();
        for (from, node) in self.nodes.iter().enumerate() {
            for port in &node.ports {
                if let Some(Peer::Node { node, latency, .. }) = port.peer {
                    links.push((from, node, latency));
                }
            }
        }
        Rule {
            stop_quantum: options.stop_quantum,
            max_time: options.max_time,
            largest_path: Paths::new(self.nodes.len(), &links).largest(),
        }
    }

    /// Makes the groups of a partition, with links between them.
    pub(super) fn take_apart(
        &mut self,
        partition: &Partition,
        make_link: &mut dyn FnMut(Time) -> Ends,
    ) -> Vec<Part> {
        let nodes = std::mem::take(&mut self.nodes);
        let mut ends: Vec<Vec<(OpenEnd, usize)>> = Vec::new();
        ends.resize_with(partition.count(), Vec::new);
        for link in cut_links(&nodes, partition) {
            let (a, b) = make_link(link.latency);
            let (from, to) = (
                partition.worker(link.from.node),
                partition.worker(link.to.node),
            );
            for (owner, neighbour, end, boundary) in
                [(from, to, link.from, a), (to, from, link.to, b)]
            {
                let open = OpenEnd {
                    end,
                    latency: link.latency,
                    boundary,
                };
                ends[owner].push((open, neighbour));
            }
        }
        let mut members: Vec<Vec<(usize, Node)>> = ends.iter().map(|_| Vec::new()).collect();
        for (place, node) in nodes.into_iter().enumerate() {
            members[partition.worker(place)].push((place, node));
        }
        members
            .into_iter()
            .zip(ends)
            .map(|(members, ends)| Part::new(members, ends))
            .collect()
    }

    /// Brings to the sinks what is complete.
    pub(super) fn write_seen(&mut self, board: &Board, ledgers: &[Mutex<Notes>]) -> io::Result<()> {
        // Read first: what was seen before this time has been noted.
        let reached = board.reached();
        for ledger in ledgers {
            for seen in std::mem::take(&mut lock(ledger).seen) {
                self.merger.see(seen);
            }
        }
        self.merger.flush(reached)
    }
}

/// The two ends of a link.
pub(super) type Ends = (Box<dyn Boundary>, Box<dyn Boundary>);

/// What one thread takes with it.
pub(super) struct Part {
    places: Vec<usize>,
    group: Group,
    pub(super) neighbours: Vec<Option<usize>>,
    stride: Time,
}

/// A part that has come to its end.
pub(super) type Ended = (Vec<(usize, Node)>, Result<Decision, RunError>);

impl Part {
    fn new(members: Vec<(usize, Node)>, ends: Vec<(OpenEnd, usize)>) -> Self {
        let latencies = ends.iter().map(|(open, _)| open.latency);
        let lookahead = latencies.min().unwrap_or(Time::NEVER);
        let (ends, neighbours) = ends
            .into_iter()
            .map(|(open, neighbour)| (open, Some(neighbour)))
            .unzip();
        Part {
            places: members.iter().map(|(place, _)| *place).collect(),
            group: group(members, ends),
            neighbours,
            stride: stride(lookahead),
        }
    }

    /// Runs with row `number` of `board`.
    pub(super) fn run(
        mut self,
        number: usize,
        board: &Board,
        policy: WaitPolicy,
        ledger: &Mutex<Notes>,
        main: Thread,
    ) -> Ended {
        let _wakes = AtEnd { board, main };
        let mut worker = Worker {
            number,
            group: &mut self.group,
            board,
            neighbours: self.neighbours,
            waiting: policy,
            stride: self.stride,
        };
        let result = worker.run(&mut &*ledger);
        if result.is_err() {
            board.fail();
        }
        let nodes = self.places.into_iter().zip(self.group.into_nodes());
        (nodes.collect(), result)
    }
}

/// How far a worker goes in one step, so that its neighbours can start on what
/// it promises while it goes on.
pub(super) fn stride(lookahead: Time) -> Time {
    match lookahead.is_never() {
        true => Time::NEVER,
        false => Time::from_ps(lookahead.ps().div_ceil(4)),
    }
}

/// Tells the others and the main thread, whatever happens.
struct AtEnd<'a> {
    board: &'a Board,
    main: Thread,
}

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.board.fail();
        }
        self.main.unpark();
    }
}

/// What a worker has observed and the main thread has not taken yet.
#[derive(Default)]
pub(super) struct Notes {
    seen: Vec<Seen>,
    counters: Vec<(String, Vec<Counter>)>,
}

impl Ledger for &Mutex<Notes> {
    fn seen(&mut self, _: Time, seen: std::vec::Drain<'_, Seen>) -> io::Result<()> {
        lock(self).seen.extend(seen);
        Ok(())
    }

    fn counters(&mut self, _: Time, counters: Vec<(String, Vec<Counter>)>) {
        lock(self).counters = counters;
    }
}

fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

fn gather(board: &Board, ledgers: &[Mutex<Notes>]) -> Progress {
    let counters = ledgers
        .iter()
        .flat_map(|ledger| lock(ledger).counters.clone());
    Progress {
        now: board.reached(),
        counters: counters.collect(),
    }
}

/// The result of a run from those of its workers.
pub(super) fn agreed(
    results: Vec<Result<Decision, RunError>>,
    nodes: &[Node],
) -> Result<Outcome, RunError> {
    let mut decision = None;
    let mut failure = None;
    for result in results {
        match result {
            Ok(decided) => decision = Some(decided),
            // A failure makes all others stop; the cause is worth more.
            Err(RunError::Elsewhere) if failure.is_some() => {}
            Err(error) => match failure {
                None | Some(RunError::Elsewhere) => failure = Some(error),
                Some(_) => {}
            },
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    match decision {
        Some(decision) => decision.outcome(|| waiting(nodes)),
        None => Err(RunError::Elsewhere),
    }
}
