//! What a run is asked for, and how it can end, whoever carries it out.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hallux_channel::{ComponentError, Counter, Time, Violation};

use super::simulation::BuildError;

/// How long to run.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions<'a> {
    /// The run ends at the first multiple of this strictly after the last
    /// vote ([`hallux_channel::Component::finished_at`]) plus the largest
    /// path latency. That depends on nothing but simulated time, so it is the
    /// same however components are distributed.
    pub stop_quantum: Time,
    /// If the components have not finished by then, the run fails.
    pub max_time: Time,
    /// Set from outside (Ctrl-C) to end the run early.
    pub cancel: Option<&'a AtomicBool>,
}

impl RunOptions<'_> {
    /// The end that follows from completion at `completed`.
    pub(super) fn end_after(&self, completed: Time, largest_path: Time) -> Time {
        (completed + largest_path).next_multiple_after(self.stop_quantum)
    }

    /// True once the run shall end early.
    pub fn is_cancelled(&self) -> bool {
        self.cancel
            .is_some_and(|cancel| cancel.load(Ordering::Relaxed))
    }
}

/// A run that came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// When the last component finished its work.
    pub completed: Time,
    /// Every component ran exactly to this time, exclusive.
    pub end: Time,
}

/// A component that has not finished, and what it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The component's name.
    pub component: String,
    /// In its own words; may be empty.
    pub what: String,
}

/// Why a run ended without completion. What was simulated until then stays
/// readable in the simulation.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A stop quantum of zero has no multiples.
    #[error("stop_quantum is zero; set it to the grain at which runs may end, such as 1us")]
    NoQuantum,
    /// A port without a link.
    #[error("port `{port}` of `{component}` is not connected")]
    Unconnected {
        /// The component's name.
        component: String,
        /// The port's name.
        port: String,
    },
    /// A port that does not exist was to be linked.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A component reported a failure.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// A component sent what it must not send.
    #[error("{component} broke the rules of its ports: it {violation}")]
    Violation {
        /// The component's name.
        component: String,
        /// What it did.
        violation: Violation,
    },
    /// A component did not do what it promised: a mistake in the component.
    #[error("{component} broke the contract of components at {at}: {what}")]
    Contract {
        /// The component's name.
        component: String,
        /// Simulated time up to which it should have advanced.
        at: Time,
        /// The broken promise.
        what: &'static str,
    },
    /// Nobody will ever act again, but not all have finished.
    #[error("nothing happens any more after {at}, but not all is done: {}", list(.waiting))]
    Deadlock {
        /// Time of the last event.
        at: Time,
        /// Who has not finished.
        waiting: Vec<Waiting>,
    },
    /// The time limit came first.
    #[error("not done at the time limit of {at}: {}; raise the limit if more time is needed", list(.waiting))]
    Deadline {
        /// The limit.
        at: Time,
        /// Who has not finished.
        waiting: Vec<Waiting>,
    },
    /// The run was cancelled.
    #[error("cancelled at {at} of simulated time")]
    Cancelled {
        /// Everything before this time was simulated.
        at: Time,
    },
    /// A link that leads out of this thread is broken.
    #[error("the link at port `{port}` of `{component}` is broken: {source}")]
    Link {
        /// The component at this end.
        component: String,
        /// Its port.
        port: String,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Frames that the slots of a channel cannot hold were dropped, so the
    /// results are not those of other modes.
    #[error(
        "{frames} frames that {component} sent at port `{port}` are longer than a slot of the \
         channel and were dropped; run the components at its ends in one process"
    )]
    Refused {
        /// The component that sent them.
        component: String,
        /// Its port.
        port: String,
        /// How many there were.
        frames: u64,
    },
    /// A part that runs in another process has failed or vanished.
    #[error("the process of {components} {what}")]
    Part {
        /// Names of the components that it ran.
        components: String,
        /// What happened to it.
        what: String,
    },
    /// Another part of the simulation failed first.
    #[error("another part of the simulation has failed")]
    Elsewhere,
    /// A sink could not write what passed.
    #[error("cannot write a capture: {0}")]
    Capture(#[from] io::Error),
}

fn list(waiting: &[Waiting]) -> String {
    let one = |waiting: &Waiting| match waiting.what.as_str() {
        "" => format!("{} has not finished", waiting.component),
        what => format!("{} waits for {what}", waiting.component),
    };
    waiting.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// What a run has reached, shown about ten times a second.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Everything before this time has been simulated.
    pub now: Time,
    /// Name and counters of each component, in the order of adding.
    pub counters: Vec<(String, Vec<Counter>)>,
}

/// Wall time between two calls of the progress callback.
pub(super) const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
