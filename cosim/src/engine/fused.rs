//! All components in one thread.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hallux_channel::{ComponentError, Counter, Time, Violation};

use super::paths::Paths;
use super::simulation::{Node, Simulation};
use super::tap::Direction;

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
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// Steps between two looks at the clock on the wall.
const STEPS_PER_LOOK: u32 = 16;

impl Simulation {
    /// Runs until all components have finished and the end that follows from
    /// that is reached; calls `progress` about ten times a second.
    ///
    /// # Errors
    ///
    /// [`RunError`]. After a time limit or a cancellation all components
    /// stand at the same time; after a failure they need not.
    pub fn run(
        &mut self,
        options: &RunOptions<'_>,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Outcome, RunError> {
        self.check(options)?;
        let mut run = Run::new(self, options);
        let result = run.complete(progress);
        let end = match &result {
            Ok(outcome) => outcome.end,
            Err(_) => self
                .nodes
                .iter()
                .map(|node| node.clock)
                .min()
                .unwrap_or(Time::ZERO),
        };
        let captured = self.merger.finish(end);
        let outcome = result?;
        captured?;
        Ok(outcome)
    }

    fn check(&self, options: &RunOptions<'_>) -> Result<(), RunError> {
        if options.stop_quantum == Time::ZERO {
            return Err(RunError::NoQuantum);
        }
        for node in &self.nodes {
            if let Some(port) = node.ports.iter().position(|port| port.peer.is_none()) {
                return Err(RunError::Unconnected {
                    component: node.component.name().to_owned(),
                    port: node.component.ports()[port].name.clone(),
                });
            }
        }
        Ok(())
    }
}

/// One run of a simulation.
struct Run<'a> {
    simulation: &'a mut Simulation,
    options: &'a RunOptions<'a>,
    paths: Paths,
    largest_path: Time,
    /// The earliest own action or input of each component.
    actions: Vec<Time>,
    /// The votes.
    finished: Vec<Option<Time>>,
}

impl<'a> Run<'a> {
    fn new(simulation: &'a mut Simulation, options: &'a RunOptions<'a>) -> Self {
        let mut links = Vec::new();
        for (from, node) in simulation.nodes.iter().enumerate() {
            let peers = node.ports.iter().filter_map(|port| port.peer);
            links.extend(peers.map(|peer| (from, peer.node, peer.latency)));
        }
        let paths = Paths::new(simulation.nodes.len(), &links);
        Run {
            largest_path: paths.largest(),
            paths,
            actions: simulation.nodes.iter().map(action).collect(),
            finished: simulation
                .nodes
                .iter()
                .map(|node| node.component.finished_at())
                .collect(),
            simulation,
            options,
        }
    }

    fn complete(&mut self, progress: &mut dyn FnMut(&Progress)) -> Result<Outcome, RunError> {
        let mut last_shown = Instant::now();
        let mut steps = 0_u32;
        loop {
            if let Some(completed) = self.completed() {
                let end = self.end_after(completed);
                self.all_to(end)?;
                return Ok(Outcome { completed, end });
            }
            let (first, at) = self.earliest();
            if at.is_never() {
                return Err(RunError::Deadlock {
                    at: self.latest_clock(),
                    waiting: self.waiting(),
                });
            }
            if at >= self.options.max_time {
                let limit = self.options.max_time;
                self.all_to(limit)?;
                return Err(RunError::Deadline {
                    at: limit,
                    waiting: self.waiting(),
                });
            }
            // No one may pass the end that would follow if all finished now.
            let limit = self.end_after(at).min(self.options.max_time);
            self.step(first, self.horizon(first).min(limit))?;

            steps = steps.wrapping_add(1);
            if steps.is_multiple_of(STEPS_PER_LOOK) {
                if self.cancelled() {
                    let at = self.latest_clock();
                    self.all_to(at)?;
                    return Err(RunError::Cancelled { at });
                }
                if last_shown.elapsed() >= PROGRESS_INTERVAL {
                    progress(&self.progress(at));
                    last_shown = Instant::now();
                }
            }
        }
    }

    /// When the last component finished, if all have.
    fn completed(&self) -> Option<Time> {
        let mut latest = Time::ZERO;
        for vote in &self.finished {
            latest = latest.max((*vote)?);
        }
        Some(latest)
    }

    fn end_after(&self, completed: Time) -> Time {
        (completed + self.largest_path).next_multiple_after(self.options.stop_quantum)
    }

    /// The component that acts first, and when.
    fn earliest(&self) -> (usize, Time) {
        let actions = self.actions.iter().copied().enumerate();
        actions
            .min_by_key(|&(_, at)| at)
            .unwrap_or((0, Time::NEVER))
    }

    /// Nothing that is not yet in its inbox can reach the component before
    /// this time.
    fn horizon(&self, of: usize) -> Time {
        let actions = self.actions.iter().enumerate();
        actions
            .map(|(from, &at)| at + self.paths.between(from, of))
            .min()
            .unwrap_or(Time::NEVER)
    }

    /// Brings every component to exactly `end`.
    fn all_to(&mut self, end: Time) -> Result<(), RunError> {
        loop {
            let (first, at) = self.earliest();
            if at >= end {
                break;
            }
            self.step(first, self.horizon(first).min(end))?;
        }
        for index in 0..self.simulation.nodes.len() {
            let node = &self.simulation.nodes[index];
            if node.clock > end {
                return Err(contract(
                    node,
                    end,
                    "it gave a vote that lies before what it did already",
                ));
            }
            if node.clock < end {
                self.step(index, end)?;
            }
        }
        Ok(())
    }

    /// Advances one component to `horizon` and delivers what it sent.
    fn step(&mut self, index: usize, horizon: Time) -> Result<(), RunError> {
        let node = &mut self.simulation.nodes[index];
        node.component.advance(horizon, &mut node.mailbox.io())?;
        node.clock = horizon;
        node.mailbox.advanced_to(horizon);
        if let Some(violation) = node.mailbox.violation() {
            return Err(RunError::Violation {
                component: node.component.name().to_owned(),
                violation: violation.clone(),
            });
        }
        if node.component.next_action() < horizon {
            return Err(contract(
                node,
                horizon,
                "it did not handle its own next action",
            ));
        }
        if node.mailbox.peek().is_some_and(|(at, _)| at < horizon) {
            return Err(contract(node, horizon, "it left a message in its inbox"));
        }
        let vote = node.component.finished_at();
        if self.finished[index].is_some() && vote != self.finished[index] {
            return Err(contract(node, horizon, "it changed its vote on the end"));
        }
        self.finished[index] = vote;
        self.deliver(index);
        self.actions[index] = action(&self.simulation.nodes[index]);
        let (_, reached) = self.earliest();
        self.simulation.merger.flush(reached)?;
        Ok(())
    }

    fn deliver(&mut self, from: usize) {
        let Simulation { nodes, merger, .. } = &mut *self.simulation;
        while let Some(sent) = nodes[from].mailbox.take_sent() {
            let end = &nodes[from].ports[sent.port];
            let Some(peer) = end.peer else { continue };
            let arrival = sent.at + peer.latency;
            if let Some(interface) = end.interface {
                merger.see(sent.at, interface, Direction::Sent, sent.message.clone());
            }
            if let Some(interface) = nodes[peer.node].ports[peer.port].interface {
                let message = sent.message.clone();
                merger.see(arrival, interface, Direction::Received, message);
            }
            nodes[peer.node]
                .mailbox
                .deliver(peer.port, arrival, sent.message);
            self.actions[peer.node] = self.actions[peer.node].min(arrival);
        }
    }

    fn cancelled(&self) -> bool {
        self.options
            .cancel
            .is_some_and(|cancel| cancel.load(Ordering::Relaxed))
    }

    fn latest_clock(&self) -> Time {
        let clocks = self.simulation.nodes.iter().map(|node| node.clock);
        clocks.max().unwrap_or(Time::ZERO)
    }

    fn waiting(&self) -> Vec<Waiting> {
        let votes = self.simulation.nodes.iter().zip(&self.finished);
        votes
            .filter(|(_, vote)| vote.is_none())
            .map(|(node, _)| Waiting {
                component: node.component.name().to_owned(),
                what: node.component.waiting_for(),
            })
            .collect()
    }

    fn progress(&self, now: Time) -> Progress {
        let nodes = self.simulation.nodes.iter();
        Progress {
            now,
            counters: nodes
                .map(|node| (node.component.name().to_owned(), node.component.counters()))
                .collect(),
        }
    }
}

/// The earliest thing a component has to do.
fn action(node: &Node) -> Time {
    let input = node.mailbox.peek().map_or(Time::NEVER, |(at, _)| at);
    node.component.next_action().min(input)
}

fn contract(node: &Node, at: Time, what: &'static str) -> RunError {
    RunError::Contract {
        component: node.component.name().to_owned(),
        at,
        what,
    }
}
