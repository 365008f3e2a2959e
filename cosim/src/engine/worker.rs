//! One of several workers: runs its group as far as promises and limit allow,
//! tells the others, and waits.

use std::time::Duration;

use hallux_channel::{Counter, Time};

use super::council::{Board, Decision, Verdict};
use super::group::Group;
use super::run::RunError;
use super::tap::Seen;

/// How a worker waits for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitPolicy {
    /// Spins a little, then yields the processor, then sleeps.
    #[default]
    Graded,
    /// Spins only: the fastest with a core for each, a collapse without.
    Spin,
}

/// Where a worker leaves what it observed.
pub(super) trait Ledger {
    /// Messages that passed tapped ports, in order for each port and
    /// direction; all before `reached` have been handed over now.
    fn seen(&mut self, reached: Time, seen: std::vec::Drain<'_, Seen>) -> std::io::Result<()>;
    /// Counters, when they were asked for.
    fn counters(&mut self, now: Time, counters: Vec<(String, Vec<Counter>)>);
}

/// One worker.
pub(super) struct Worker<'a> {
    pub(super) number: usize,
    pub(super) group: &'a mut Group,
    pub(super) board: &'a Board,
    /// For each cut, the worker at its other end, if it reads this board.
    pub(super) neighbours: Vec<Option<usize>>,
    pub(super) waiting: WaitPolicy,
    /// No single step goes further: the others can start on what it promises.
    pub(super) stride: Time,
}

impl Worker<'_> {
    /// Runs until there is a verdict and its time is reached.
    pub(super) fn run(&mut self, ledger: &mut dyn Ledger) -> Result<Decision, RunError> {
        let mut patience = Patience::new(self.waiting, self.board.workers());
        let mut counters_shown = 0;
        self.tell()?;
        loop {
            let decision = self.board.decision();
            let limit = match decision {
                Some(Decision {
                    verdict: Verdict::Failed,
                    ..
                }) => return Err(RunError::Elsewhere),
                Some(decision) => decision.end,
                None if self.board.is_freezing() => {
                    self.stand_still(&mut patience)?;
                    continue;
                }
                None => self.board.limit(),
            };
            self.group.receive()?;
            self.group.nothing_before(self.board.floor());
            let worked = self.work(limit)?;
            if self.group.has_seen() {
                let reached = self.group.reached();
                ledger.seen(reached, self.group.take_seen())?;
            }
            self.tell()?;
            if let Some(decision) = decision
                && self.group.reached() >= decision.end
            {
                self.group.stop_at(decision.end)?;
                self.tell()?;
                self.close()?;
                self.group.check_refused()?;
                return Ok(decision);
            }
            let wanted = self.board.counters_wanted();
            if wanted != counters_shown {
                counters_shown = wanted;
                ledger.counters(self.group.reached(), self.group.counters());
            }
            if worked {
                patience.restore();
                continue;
            }
            self.board.rest(self.number, &self.group.standing());
            self.board.conclude();
            self.wait(&mut patience, limit);
        }
    }

    /// Does the first of what can be done before `limit`. True if there was
    /// anything. After each step the neighbours are told, who may wait for it.
    fn work(&mut self, limit: Time) -> Result<bool, RunError> {
        let Some((node, horizon)) = self.group.ready(limit) else {
            return Ok(false);
        };
        self.board.act(self.number);
        let stride = self.group.action(node) + self.stride;
        self.group.step(node, horizon.min(stride))?;
        Ok(true)
    }

    /// Promises to the neighbours, and shows the row.
    fn tell(&mut self) -> Result<(), RunError> {
        let (board, neighbours) = (self.board, &self.neighbours);
        self.group.promise(&mut |cut, messages, bound| {
            let Some(neighbour) = neighbours[cut] else {
                return;
            };
            match messages {
                true => board.wake(neighbour),
                false => board.wake_before(neighbour, bound),
            }
        })?;
        self.board.tell(self.number, &self.group.standing());
        Ok(())
    }

    /// Tells the neighbours that nothing more comes; those that are still on
    /// their way to the end may have to make room for that.
    fn close(&mut self) -> Result<(), RunError> {
        while !self.group.close()? {
            if self.board.has_failed() {
                return Err(RunError::Elsewhere);
            }
            self.group.receive()?;
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Stands still until there is a verdict.
    fn stand_still(&mut self, patience: &mut Patience) -> Result<(), RunError> {
        self.tell()?;
        self.board.stand(self.number);
        self.board.conclude();
        self.wait(patience, Time::ZERO);
        Ok(())
    }

    fn wait(&mut self, patience: &mut Patience, limit: Time) {
        let board = self.board;
        match patience.next() {
            Pause::Spin => std::hint::spin_loop(),
            Pause::Yield => std::thread::yield_now(),
            Pause::Sleep(timeout) => {
                let group = &mut *self.group;
                board.sleep(self.number, timeout, || {
                    // A broken link is reported by the next round.
                    let arrived = group.receive().unwrap_or(true);
                    group.nothing_before(board.floor());
                    arrived || board.decision().is_some() || group.ready(limit).is_some()
                });
            }
        }
    }
}

/// What to do next while nothing can be done.
enum Pause {
    Spin,
    Yield,
    Sleep(Duration),
}

/// Spin, then yield, then sleep, longer and longer.
struct Patience {
    rounds: u32,
    spins: u32,
}

/// Rounds of yielding before sleeping.
const YIELDS: u32 = 16;
const SHORTEST_SLEEP: Duration = Duration::from_micros(50);
/// Messages wake sleepers; this only bounds what a missed promise costs.
const LONGEST_SLEEP: Duration = Duration::from_millis(2);

impl Patience {
    fn new(waiting: WaitPolicy, workers: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let spins = match waiting {
            WaitPolicy::Spin => u32::MAX,
            // Spinning takes the core from whoever is waited for.
            WaitPolicy::Graded if workers > cores => 0,
            WaitPolicy::Graded => 100,
        };
        Patience { rounds: 0, spins }
    }

    fn restore(&mut self) {
        self.rounds = 0;
    }

    fn next(&mut self) -> Pause {
        let round = self.rounds;
        self.rounds = round.saturating_add(1);
        if round < self.spins {
            return Pause::Spin;
        }
        let Some(naps) = (round - self.spins).checked_sub(YIELDS) else {
            return Pause::Yield;
        };
        let longer = SHORTEST_SLEEP * 2_u32.saturating_pow(naps.min(10));
        Pause::Sleep(longer.min(LONGEST_SLEEP))
    }
}
