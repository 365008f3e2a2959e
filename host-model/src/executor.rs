//! A deterministic executor: `async` tasks in simulated time.
//!
//! Tasks run on one thread, one after another: at each instant, those that
//! are ready in the order of their ids, which is that of spawning. A task that
//! became ready twice before it ran runs once.
//! Nothing depends on wall time. A component owns an [`Executor`], asks it for
//! [`Executor::next_event`], and calls [`Executor::run_at`] when that time or
//! an input is due; a [`Handle`] is what tasks and sockets hold.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use hallux_channel::Time;

use crate::cpu::{Cost, CpuProfile};

type BoxedTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Number of a task, in the order of spawning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TaskId(u64);

/// Runs the tasks of one host.
#[derive(Debug)]
pub struct Executor {
    handle: Handle,
    tasks: BTreeMap<TaskId, Slot>,
}

struct Slot {
    task: BoxedTask,
    waker: Waker,
    is_work: bool,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot")
            .field("is_work", &self.is_work)
            .finish_non_exhaustive()
    }
}

/// A way to the executor for tasks and sockets, bound to one core of the host.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Mutex<Shared>>,
    core: usize,
}

#[derive(Debug)]
struct Shared {
    now: Time,
    /// Tasks to poll, and since when the first of them has been waiting.
    ready: BTreeSet<TaskId>,
    ready_since: Time,
    /// Sleeping tasks by deadline, then by the order in which they lay down.
    timers: BTreeMap<(Time, u64), Waker>,
    next_timer: u64,
    next_task: u64,
    spawned: Vec<(TaskId, Slot)>,
    unfinished_work: usize,
    work_finished_at: Time,
    profile: CpuProfile,
    /// When each core has done what it was charged with.
    cores: Vec<Core>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Core {
    free_at: Time,
    cycles: u64,
}

impl Executor {
    /// An executor for a host with `cores` cores (at least one is assumed) of
    /// the given profile.
    pub fn new(profile: CpuProfile, cores: usize) -> Self {
        let shared = Shared {
            now: Time::ZERO,
            ready: BTreeSet::new(),
            ready_since: Time::NEVER,
            timers: BTreeMap::new(),
            next_timer: 0,
            next_task: 0,
            spawned: Vec::new(),
            unfinished_work: 0,
            work_finished_at: Time::ZERO,
            profile,
            cores: vec![Core::default(); cores.max(1)],
        };
        Executor {
            handle: Handle {
                shared: Arc::new(Mutex::new(shared)),
                core: 0,
            },
            tasks: BTreeMap::new(),
        }
    }

    /// A handle bound to core 0; see [`Handle::on_core`].
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Adds a task that the scenario's end waits for.
    pub fn spawn_work(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.handle.start(Box::pin(task), true);
    }

    /// When a task is next due to run; [`Time::NEVER`] if all wait for input.
    pub fn next_event(&self) -> Time {
        let shared = self.handle.lock();
        let timer = shared.timers.first_key_value().map(|(&(at, _), _)| at);
        shared.ready_since.min(timer.unwrap_or(Time::NEVER))
    }

    /// Sets the clock to `now`, so that tasks woken from outside are woken at
    /// that time.
    pub fn set_now(&self, now: Time) {
        self.handle.lock().now = now;
    }

    /// Sets the clock to `now` and runs every task that is due by then, until
    /// all wait for a later time or for input.
    pub fn run_at(&mut self, now: Time) {
        self.set_now(now);
        loop {
            let (due, id) = {
                let mut shared = self.handle.lock();
                let due = shared.take_timers(now);
                self.tasks.extend(shared.spawned.drain(..));
                let id = match due.is_empty() {
                    true => shared.take_ready(),
                    false => None,
                };
                (due, id)
            };
            if !due.is_empty() {
                // Outside the lock: waking takes it.
                due.into_iter().for_each(Waker::wake);
                continue;
            }
            let Some(id) = id else {
                return;
            };
            let Some(slot) = self.tasks.get_mut(&id) else {
                continue;
            };
            let waker = slot.waker.clone();
            if slot
                .task
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_ready()
            {
                let is_work = slot.is_work;
                self.tasks.remove(&id);
                if is_work {
                    let mut shared = self.handle.lock();
                    shared.unfinished_work -= 1;
                    shared.work_finished_at = now;
                }
            }
        }
    }

    /// When the last task of [`Executor::spawn_work`] was complete, zero if
    /// there was none; `None` while one is not.
    pub fn finished_at(&self) -> Option<Time> {
        let shared = self.handle.lock();
        (shared.unfinished_work == 0).then_some(shared.work_finished_at)
    }

    /// Tasks of [`Executor::spawn_work`] that are not complete.
    pub fn unfinished_work(&self) -> usize {
        self.handle.lock().unfinished_work
    }

    /// Cycles charged so far on each core.
    pub fn charged_cycles(&self) -> Vec<u64> {
        self.handle
            .lock()
            .cores
            .iter()
            .map(|core| core.cycles)
            .collect()
    }
}

/// Tasks that were never polled hold handles to the executor that holds them;
/// this unties the circle.
impl Drop for Executor {
    fn drop(&mut self) {
        let spawned = std::mem::take(&mut self.handle.lock().spawned);
        drop(spawned);
    }
}

impl Handle {
    /// The same executor, charging another core (modulo their count).
    pub fn on_core(&self, core: usize) -> Handle {
        Handle {
            shared: Arc::clone(&self.shared),
            core: core % self.lock().cores.len(),
        }
    }

    /// The core that is charged.
    pub fn core(&self) -> usize {
        self.core
    }

    /// Simulated time.
    pub fn now(&self) -> Time {
        self.lock().now
    }

    /// Adds a task that runs as long as the simulation does; it is first
    /// polled at the current instant.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Task {
        let state = Arc::new(Mutex::new(TaskState::default()));
        let finish = FinishOnDrop(Arc::clone(&state));
        self.start(
            Box::pin(async move {
                task.await;
                drop(finish);
            }),
            false,
        );
        Task { state }
    }

    /// Waits for a span of simulated time.
    pub fn sleep(&self, span: Time) -> Sleep {
        self.sleep_until(self.now() + span)
    }

    /// Waits until a simulated time; does not wait if it has come.
    pub fn sleep_until(&self, deadline: Time) -> Sleep {
        Sleep {
            handle: self.clone(),
            deadline,
            timer: None,
        }
    }

    /// Occupies this handle's core for what `cost` takes, behind what it is
    /// already charged with, and waits until that is done.
    pub fn charge(&self, cost: Cost) -> Sleep {
        let deadline = {
            let mut shared = self.lock();
            let span = shared.profile.span(cost);
            let cycles = shared.profile.cycles(cost);
            let now = shared.now;
            let core = &mut shared.cores[self.core];
            if cycles > 0 {
                core.cycles += cycles;
                core.free_at = core.free_at.max(now) + span;
                core.free_at
            } else {
                now
            }
        };
        self.sleep_until(deadline)
    }

    fn start(&self, task: BoxedTask, is_work: bool) {
        let mut shared = self.lock();
        let id = TaskId(shared.next_task);
        shared.next_task += 1;
        shared.unfinished_work += usize::from(is_work);
        shared.make_ready(id);
        let waker = Waker::from(Arc::new(TaskWaker {
            id,
            shared: Arc::clone(&self.shared),
        }));
        shared.spawned.push((
            id,
            Slot {
                task,
                waker,
                is_work,
            },
        ));
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }
}

/// Only one thread ever runs a host, so a poisoned lock means that a task
/// panicked; its panic is what should be reported, not this lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn make_ready(&mut self, id: TaskId) {
        self.ready.insert(id);
        self.ready_since = self.ready_since.min(self.now);
    }

    fn take_ready(&mut self) -> Option<TaskId> {
        let id = self.ready.pop_first();
        if self.ready.is_empty() {
            self.ready_since = Time::NEVER;
        }
        id
    }

    fn take_timers(&mut self, now: Time) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            due.push(entry.remove());
        }
        due
    }
}

struct TaskWaker {
    id: TaskId,
    shared: Arc<Mutex<Shared>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        lock(&self.shared).make_ready(self.id);
    }
}

/// Waits for a point in simulated time; see [`Handle::sleep`].
#[derive(Debug)]
#[must_use = "a sleep does nothing unless awaited"]
pub struct Sleep {
    handle: Handle,
    deadline: Time,
    timer: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut shared = this.handle.lock();
        if let Some(timer) = this.timer.take() {
            shared.timers.remove(&(this.deadline, timer));
        }
        if shared.now >= this.deadline {
            return Poll::Ready(());
        }
        let timer = shared.next_timer;
        shared.next_timer += 1;
        shared
            .timers
            .insert((this.deadline, timer), context.waker().clone());
        this.timer = Some(timer);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            let _waker = self.handle.lock().timers.remove(&(self.deadline, timer));
        }
    }
}

/// A spawned task; awaiting it waits for its end, dropping it detaches it.
#[derive(Debug)]
pub struct Task {
    state: Arc<Mutex<TaskState>>,
}

#[derive(Debug, Default)]
struct TaskState {
    finished: bool,
    waiting: Option<Waker>,
}

struct FinishOnDrop(Arc<Mutex<TaskState>>);

impl Drop for FinishOnDrop {
    fn drop(&mut self) {
        let waiting = {
            let mut state = lock(&self.0);
            state.finished = true;
            state.waiting.take()
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.finished {
            return Poll::Ready(());
        }
        state.waiting = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Log = Arc<Mutex<Vec<String>>>;

    fn run(executor: &mut Executor) {
        while !executor.next_event().is_never() {
            let at = executor.next_event();
            executor.run_at(at);
        }
    }

    #[test]
    fn tasks_of_one_instant_run_in_the_order_of_their_ids() {
        let mut executor = Executor::new(CpuProfile::free(), 1);
        let log = Log::default();
        for (task, naps) in [(0, [30, 10]), (1, [20, 20]), (2, [10, 30])] {
            let (handle, log) = (executor.handle(), Arc::clone(&log));
            executor.spawn_work(async move {
                for nap in naps {
                    handle.sleep(Time::from_ns(nap)).await;
                    lock(&log).push(format!("{}:{task}", handle.now().ns()));
                }
            });
        }
        run(&mut executor);
        assert_eq!(
            *lock(&log),
            ["10:2", "20:1", "30:0", "40:0", "40:1", "40:2"]
        );
        assert_eq!(executor.finished_at(), Some(Time::from_ns(40)));
    }

    #[test]
    fn charges_queue_on_their_core() {
        let mut executor = Executor::new(CpuProfile::free(), 2);
        let log = Log::default();
        for (task, core) in [(0, 0), (1, 0), (2, 1)] {
            let (handle, log) = (executor.handle().on_core(core), Arc::clone(&log));
            executor.spawn_work(async move {
                handle.charge(Cost::Cycles(100)).await;
                lock(&log).push(format!("{}:{task}", handle.now().ns()));
            });
        }
        run(&mut executor);
        assert_eq!(*lock(&log), ["50:0", "50:2", "100:1"]);
        assert_eq!(executor.charged_cycles(), [200, 100]);
    }

    #[test]
    fn a_spawned_task_can_be_awaited_and_does_not_vote() {
        let mut executor = Executor::new(CpuProfile::free(), 1);
        let handle = executor.handle();
        executor.spawn_work(async move {
            let child = handle.clone();
            let task = handle.spawn(async move { child.sleep(Time::from_ns(5)).await });
            let forever = handle.clone();
            drop(handle.spawn(async move { forever.sleep(Time::NEVER).await }));
            task.await;
        });
        assert_eq!(executor.finished_at(), None);
        executor.run_at(Time::ZERO);
        executor.run_at(Time::from_ns(5));
        assert_eq!(executor.finished_at(), Some(Time::from_ns(5)));
    }

    #[test]
    fn a_dropped_sleep_leaves_no_timer() {
        let executor = Executor::new(CpuProfile::free(), 1);
        let handle = executor.handle();
        let mut sleep = Box::pin(handle.sleep(Time::from_ns(5)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(sleep.as_mut().poll(&mut context).is_pending());
        assert_eq!(executor.next_event(), Time::from_ns(5));
        drop(sleep);
        assert_eq!(executor.next_event(), Time::NEVER);
    }
}
