//! What the workers of a run tell each other, beside messages and promises.
//!
//! ```text
//!   header   verdict and its time · nothing happens anywhere before
//!   row 0    next · sent · received · floor · reached · clock · state
//!   row 1    …
//! ```
//!
//! Each worker writes its own row and reads all others; nobody leads. Three
//! things follow from the rows:
//!
//! - **The limit.** The latest floor is a lower bound of the last vote, so
//!   nobody needs to stop before the end that would follow from it, and
//!   nobody passes an end that could still come. The worker that is last
//!   raises it by going on.
//! - **The floor of everything.** Rows of workers at rest that did not change
//!   between two readings stood still together for a moment. If as many
//!   messages had been received as sent, none was on its way, and nothing
//!   happens before the earliest `next`. All may jump there at once, however
//!   small the latencies; if it is never, the run is stuck.
//! - **The verdict.** Whoever first finds that all have voted, that the time
//!   limit is reached or that all stand frozen writes down how and when the
//!   run ends, once and for all.
//!
//! Boards of several machines are joined by [`digest`]s: then one of them
//! holds a row for each machine, and it alone draws the conclusions.

mod digest;

pub(super) use digest::{Digest, Orders, SecondLook};

use std::fs::File;
use std::io;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::thread::Thread;
use std::time::Duration;

use hallux_channel::Time;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::thread::futex;

use super::group::Standing;
use super::run::{Outcome, RunError, Waiting};

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Verdict {
    /// All have voted.
    Complete = 1,
    /// The time limit came first.
    Deadline = 2,
    /// Asked from outside.
    Cancelled = 3,
    /// Nothing will happen any more.
    Deadlock = 4,
    /// A part has failed: all stop where they are.
    Failed = 5,
}

impl Verdict {
    fn from_code(code: u32) -> Option<Self> {
        use Verdict::*;
        [Complete, Deadline, Cancelled, Deadlock, Failed]
            .into_iter()
            .find(|&verdict| verdict as u32 == code)
    }
}

/// Shared by all.
#[derive(Debug, Default)]
#[repr(C, align(128))]
struct Header {
    /// Nothing happens anywhere before this time.
    floor: AtomicU64,
    /// The latest floor of workers whose rows are elsewhere.
    elsewhere: AtomicU64,
    /// A [`Verdict`] for which all should freeze; zero if there is none.
    freeze: AtomicU32,
    /// The [`Verdict`]; whoever writes it first has decided.
    verdict: AtomicU32,
    /// Completion, if that is the verdict; valid once `end` is.
    completed: AtomicU64,
    /// The end plus one; zero while it is not decided.
    end: AtomicU64,
    /// Raised by whoever wants to see counters.
    wanted: AtomicU32,
}

/// Written by one worker.
#[derive(Debug, Default)]
#[repr(C, align(128))]
struct Row {
    /// Odd while the worker is at work; even while the row tells the truth.
    version: AtomicU64,
    next: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    floor: AtomicU64,
    reached: AtomicU64,
    clock: AtomicU64,
    /// 1: all of this worker have voted, `floor` is the latest vote.
    done: AtomicU32,
    /// 1: stands still until there is a verdict.
    frozen: AtomicU32,
    /// 1: sleeps and wants to be woken.
    asleep: AtomicU32,
}

/// The rows of all workers of one machine.
#[derive(Debug)]
pub struct Board {
    memory: Memory,
    rule: Rule,
    /// Carries news to the board that draws the conclusions, if that is
    /// another.
    courier: OnceLock<Thread>,
}

/// Where the rows are.
#[derive(Debug)]
enum Memory {
    /// In this process.
    Own(Box<Header>, Box<[Row]>),
    /// In memory shared with other processes.
    Shared(Mapping, usize),
}

/// A mapping of a file that starts with a [`Header`] and holds [`Row`]s.
#[derive(Debug)]
struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: what is mapped consists of atomics only, and lives as long as this.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps all of `file`, which has `len` bytes.
    fn new(file: &File, len: usize) -> io::Result<Self> {
        // SAFETY: a fresh mapping at an address of the system's choice.
        let base = unsafe {
            mmap(
                ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                file,
                0,
            )?
        };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { base, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and all references into it are borrowed
        // from this.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// Bytes of a shared board of `workers` rows.
fn board_bytes(workers: usize) -> usize {
    size_of::<Header>() + workers * size_of::<Row>()
}

/// What an end follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) stop_quantum: Time,
    pub(super) max_time: Time,
    pub(super) largest_path: Time,
}

impl Rule {
    pub(super) fn end_after(&self, completed: Time) -> Time {
        (completed + self.largest_path).next_multiple_after(self.stop_quantum)
    }
}

/// How and when a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) verdict: Verdict,
    pub(super) completed: Time,
    pub(super) end: Time,
}

impl Decision {
    /// The decision as the result of the run; `waiting` tells who has not
    /// finished.
    pub(super) fn outcome(
        self,
        waiting: impl FnOnce() -> Vec<Waiting>,
    ) -> Result<Outcome, RunError> {
        let at = self.end;
        match self.verdict {
            Verdict::Complete => Ok(Outcome {
                completed: self.completed,
                end: self.end,
            }),
            Verdict::Deadline => Err(RunError::Deadline {
                at,
                waiting: waiting(),
            }),
            Verdict::Deadlock => Err(RunError::Deadlock {
                at,
                waiting: waiting(),
            }),
            Verdict::Cancelled => Err(RunError::Cancelled { at }),
            Verdict::Failed => Err(RunError::Elsewhere),
        }
    }
}

impl Board {
    pub(super) fn new(workers: usize, rule: Rule) -> Self {
        let rows = (0..workers).map(|_| Row::default()).collect();
        Board {
            memory: Memory::Own(Box::default(), rows),
            rule,
            courier: OnceLock::new(),
        }
    }

    /// Makes the file of a board for `workers` workers.
    pub(super) fn create(path: &Path, workers: usize, rule: Rule) -> io::Result<Self> {
        let file = File::options()
            .create_new(true)
            .read(true)
            .write(true)
            .open(path)?;
        file.set_len(board_bytes(workers) as u64)?;
        Self::map(&file, workers, rule)
    }

    /// Opens the file of a board that has been made for `workers` workers.
    pub(super) fn open(path: &Path, workers: usize, rule: Rule) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        if file.metadata()?.len() != board_bytes(workers) as u64 {
            let text = format!("{} is no board of {workers} workers", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Self::map(&file, workers, rule)
    }

    fn map(file: &File, workers: usize, rule: Rule) -> io::Result<Self> {
        let mapping = Mapping::new(file, board_bytes(workers))?;
        let memory = Memory::Shared(mapping, workers);
        Ok(Board {
            memory,
            rule,
            courier: OnceLock::new(),
        })
    }

    fn header(&self) -> &Header {
        match &self.memory {
            Memory::Own(header, _) => header,
            // SAFETY: the mapping starts at a page, is large enough, and any
            // bytes are a valid header, which consists of atomics.
            Memory::Shared(mapping, _) => unsafe { mapping.base.cast().as_ref() },
        }
    }

    fn rows(&self) -> &[Row] {
        match &self.memory {
            Memory::Own(_, rows) => rows,
            // SAFETY: as for the header; the rows begin behind it, which
            // keeps their alignment.
            Memory::Shared(mapping, workers) => unsafe {
                let first = mapping.base.add(size_of::<Header>()).cast();
                std::slice::from_raw_parts(first.as_ptr(), *workers)
            },
        }
    }

    pub(super) fn workers(&self) -> usize {
        self.rows().len()
    }

    /// Nothing happens anywhere before this time.
    pub(super) fn floor(&self) -> Time {
        Time::from_ps(self.header().floor.load(Ordering::Acquire))
    }

    /// The last vote is not earlier than this.
    pub(super) fn last_vote(&self) -> Time {
        let elsewhere = load(&self.header().elsewhere);
        let floors = self.rows().iter().map(|row| load(&row.floor));
        floors.fold(elsewhere, Time::max)
    }

    /// No worker may handle this time or later, as things stand.
    pub(super) fn limit(&self) -> Time {
        self.rule
            .end_after(self.last_vote())
            .min(self.rule.max_time)
    }

    /// Everything before this time has been handled by all. Not later than
    /// the end.
    pub(super) fn reached(&self) -> Time {
        let reached = self.rows().iter().map(|row| load(&row.reached));
        reached.min().unwrap_or(Time::NEVER).min(self.limit())
    }

    pub(super) fn decision(&self) -> Option<Decision> {
        let end = self.header().end.load(Ordering::Acquire);
        let verdict = Verdict::from_code(self.header().verdict.load(Ordering::Acquire))?;
        if verdict == Verdict::Failed {
            return Some(Decision {
                verdict,
                completed: Time::ZERO,
                end: Time::ZERO,
            });
        }
        Some(Decision {
            verdict,
            completed: load(&self.header().completed),
            end: Time::from_ps(end.checked_sub(1)?),
        })
    }

    /// True once every worker has begun.
    pub(super) fn has_begun(&self) -> bool {
        let mut rows = self.rows().iter();
        rows.all(|row| row.version.load(Ordering::Acquire) > 0)
    }

    /// True once a part has failed.
    pub fn has_failed(&self) -> bool {
        self.header().verdict.load(Ordering::Acquire) == Verdict::Failed as u32
    }

    fn decide(&self, verdict: Verdict, completed: Time, end: Time) {
        let first = self.header().verdict.compare_exchange(
            0,
            verdict as u32,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        if first.is_ok() {
            self.header()
                .completed
                .store(completed.ps(), Ordering::Relaxed);
            let end = end.ps().saturating_add(1);
            self.header().end.store(end, Ordering::Release);
            self.wake_all();
        }
    }

    /// Ends the run at once: a part has failed.
    pub fn fail(&self) {
        // A failure after another verdict still keeps the others from
        // waiting for ever.
        let failed = Verdict::Failed as u32;
        self.header().verdict.store(failed, Ordering::Release);
        self.wake_all();
    }

    /// Asks all to freeze, so that the run can end for this reason.
    pub(super) fn freeze(&self, reason: Verdict) {
        let _first = self.header().freeze.compare_exchange(
            0,
            reason as u32,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        self.wake_all();
    }

    /// True if the worker should stand still until there is a decision.
    pub(super) fn is_freezing(&self) -> bool {
        self.header().freeze.load(Ordering::Acquire) != 0
    }

    /// The worker is about to act: what its row says of rest is void.
    pub(super) fn act(&self, worker: usize) {
        let version = &self.rows()[worker].version;
        let now = version.load(Ordering::Relaxed);
        if now.is_multiple_of(2) {
            version.store(now + 1, Ordering::SeqCst);
        }
    }

    /// The worker does nothing more by itself before `standing.next`.
    pub(super) fn rest(&self, worker: usize, standing: &Standing) {
        let row = &self.rows()[worker];
        let version = row.version.load(Ordering::Relaxed);
        let same = version.is_multiple_of(2)
            && version > 0
            && load(&row.next) == standing.next
            && row.sent.load(Ordering::Relaxed) == standing.sent
            && row.received.load(Ordering::Relaxed) == standing.received;
        if same {
            return;
        }
        self.act(worker);
        row.next.store(standing.next.ps(), Ordering::SeqCst);
        row.sent.store(standing.sent, Ordering::SeqCst);
        row.received.store(standing.received, Ordering::SeqCst);
        row.version.fetch_add(1, Ordering::SeqCst);
        self.call_courier();
    }

    /// Tells how far the worker is.
    pub(super) fn tell(&self, worker: usize, standing: &Standing) {
        let row = &self.rows()[worker];
        row.clock.store(standing.clock.ps(), Ordering::Release);
        row.floor.store(standing.floor.ps(), Ordering::Release);
        row.done.store(u32::from(standing.done), Ordering::Release);
        row.reached.store(standing.reached.ps(), Ordering::Release);
    }

    /// The worker stands still.
    pub(super) fn stand(&self, worker: usize) {
        if self.rows()[worker].frozen.swap(1, Ordering::SeqCst) == 0 {
            self.call_courier();
        }
    }

    /// Draws the conclusions that the rows allow. Anyone may call it.
    pub(super) fn conclude(&self) {
        if self.courier.get().is_none() {
            // Looked for before the votes: they are told before a worker rests.
            let rest = self.find_rest();
            self.conclude_from(rest.and_then(Rest::floor));
        }
    }

    /// Draws the conclusions, given that nothing happens before `floor`.
    pub(super) fn conclude_from(&self, floor: Option<Time>) {
        let all = |is: fn(&Row) -> bool| self.rows().iter().all(is);
        if all(|row| row.done.load(Ordering::Acquire) == 1) {
            let votes = self.rows().iter().map(|row| load(&row.floor));
            let completed = votes.max().unwrap_or(Time::ZERO);
            let end = self.rule.end_after(completed);
            return self.decide(Verdict::Complete, completed, end);
        }
        let freeze = Verdict::from_code(self.header().freeze.load(Ordering::Acquire));
        if let Some(reason) = freeze {
            if all(|row| row.frozen.load(Ordering::SeqCst) == 1) {
                let clocks = self.rows().iter().map(|row| load(&row.clock));
                let end = clocks.max().unwrap_or(Time::ZERO);
                self.decide(reason, Time::ZERO, end);
            }
            return;
        }
        let Some(floor) = floor else { return };
        if floor.is_never() {
            return self.freeze(Verdict::Deadlock);
        }
        if floor >= self.rule.max_time {
            return self.decide(Verdict::Deadline, Time::ZERO, self.rule.max_time);
        }
        let before = self.header().floor.fetch_max(floor.ps(), Ordering::AcqRel);
        if before < floor.ps() {
            self.wake_due(floor);
        }
    }

    /// The rows of one moment, if all were at rest.
    pub(super) fn find_rest(&self) -> Option<Rest> {
        let mut rest = Rest {
            next: Time::NEVER,
            ..Rest::default()
        };
        for row in self.rows() {
            let version = row.version.load(Ordering::SeqCst);
            // Version 0: the worker has not begun.
            if !version.is_multiple_of(2) || version == 0 {
                return None;
            }
            rest.versions = rest.versions.wrapping_add(version);
            rest.next = rest
                .next
                .min(Time::from_ps(row.next.load(Ordering::SeqCst)));
            rest.sent = rest.sent.wrapping_add(row.sent.load(Ordering::SeqCst));
            let received = row.received.load(Ordering::SeqCst);
            rest.received = rest.received.wrapping_add(received);
        }
        // Versions only grow, so an equal sum means that none has changed.
        (self.versions() == rest.versions).then_some(rest)
    }

    fn versions(&self) -> u64 {
        let versions = self.rows().iter();
        versions
            .map(|row| row.version.load(Ordering::SeqCst))
            .fold(0, u64::wrapping_add)
    }

    /// Waits until woken, but not longer than `timeout`. `last_look` is asked
    /// once more before falling asleep.
    pub(super) fn sleep(&self, worker: usize, timeout: Duration, last_look: impl FnOnce() -> bool) {
        let asleep = &self.rows()[worker].asleep;
        asleep.store(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if !last_look() {
            let timeout = futex::Timespec {
                tv_sec: timeout.as_secs() as i64,
                tv_nsec: timeout.subsec_nanos().into(),
            };
            // However it ends, the worker looks around again.
            let _ended = futex::wait(asleep, futex::Flags::empty(), 1, Some(&timeout));
        }
        asleep.store(0, Ordering::SeqCst);
    }

    /// Wakes `worker` if it sleeps.
    pub(super) fn wake(&self, worker: usize) {
        let asleep = &self.rows()[worker].asleep;
        // What was sent before is seen by the sleeper's last look, or its
        // flag is seen here.
        fence(Ordering::SeqCst);
        if asleep.load(Ordering::SeqCst) == 1 && asleep.swap(0, Ordering::SeqCst) == 1 {
            let _woken = futex::wake(asleep, futex::Flags::empty(), 1);
        }
    }

    /// Wakes `worker` if it sleeps and can do something before `bound`.
    pub(super) fn wake_before(&self, worker: usize, bound: Time) {
        if load(&self.rows()[worker].next) < bound {
            self.wake(worker);
        }
    }

    fn wake_due(&self, at: Time) {
        for worker in 0..self.rows().len() {
            if load(&self.rows()[worker].next) <= at {
                self.wake(worker);
            }
        }
    }

    pub(super) fn wake_all(&self) {
        for worker in 0..self.rows().len() {
            self.wake(worker);
        }
    }

    /// Asks the workers for their counters.
    pub(super) fn want_counters(&self) {
        self.header().wanted.fetch_add(1, Ordering::Relaxed);
    }

    /// How often counters have been asked for.
    pub(super) fn counters_wanted(&self) -> u32 {
        self.header().wanted.load(Ordering::Relaxed)
    }
}

/// All workers at rest, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rest {
    /// Sum of the rows' versions.
    pub(super) versions: u64,
    next: Time,
    sent: u64,
    received: u64,
}

impl Rest {
    /// The earliest time at which anything happens, if no message is on its
    /// way.
    pub(super) fn floor(self) -> Option<Time> {
        (self.sent == self.received).then_some(self.next)
    }
}

fn load(time: &AtomicU64) -> Time {
    Time::from_ps(time.load(Ordering::Acquire))
}
