//! All components in one thread.

use std::time::Instant;

use hallux_channel::Time;

use super::group::Group;
use super::run::{Outcome, PROGRESS_INTERVAL, Progress, RunError, RunOptions};
use super::simulation::{Simulation, waiting};
use super::tap::Merger;

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
        let mut run = Run {
            group: Group::new(std::mem::take(&mut self.nodes), Vec::new()),
            merger: &mut self.merger,
            options,
        };
        let result = run.complete(progress);
        self.nodes = run.group.into_nodes();
        self.close_sinks(result)
    }

    /// Ends the sinks as the run ended.
    pub(super) fn close_sinks(
        &mut self,
        result: Result<Outcome, RunError>,
    ) -> Result<Outcome, RunError> {
        let end = match &result {
            Ok(outcome) => outcome.end,
            Err(_) => {
                let clocks = self.nodes.iter().map(|node| node.clock);
                clocks.min().unwrap_or(Time::ZERO)
            }
        };
        let captured = self.merger.finish(end);
        let outcome = result?;
        captured?;
        Ok(outcome)
    }

    pub(super) fn check(&self, options: &RunOptions<'_>) -> Result<(), RunError> {
        if options.stop_quantum == Time::ZERO {
            return Err(RunError::NoQuantum);
        }
        self.check_ports(|_, _| false)
    }

    /// Refuses a port without a link, unless `is_joined` knows one.
    pub(super) fn check_ports(
        &self,
        is_joined: impl Fn(usize, usize) -> bool,
    ) -> Result<(), RunError> {
        for (place, node) in self.nodes.iter().enumerate() {
            for (port, end) in node.ports.iter().enumerate() {
                if end.peer.is_none() && !is_joined(place, port) {
                    return Err(RunError::Unconnected {
                        component: node.component.name().to_owned(),
                        port: node.component.ports()[port].name.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// One run of a simulation.
struct Run<'a> {
    group: Group,
    merger: &'a mut Merger,
    options: &'a RunOptions<'a>,
}

impl Run<'_> {
    fn complete(&mut self, progress: &mut dyn FnMut(&Progress)) -> Result<Outcome, RunError> {
        let largest_path = self.group.largest_path();
        let mut last_shown = Instant::now();
        let mut steps = 0_u32;
        loop {
            if let Some(completed) = self.group.completed() {
                let end = self.options.end_after(completed, largest_path);
                self.all_to(end)?;
                return Ok(Outcome { completed, end });
            }
            let (first, at) = self.group.earliest();
            if at.is_never() {
                return Err(RunError::Deadlock {
                    at: self.group.latest_clock(),
                    waiting: waiting(self.group.nodes()),
                });
            }
            if at >= self.options.max_time {
                let limit = self.options.max_time;
                self.all_to(limit)?;
                return Err(RunError::Deadline {
                    at: limit,
                    waiting: waiting(self.group.nodes()),
                });
            }
            // No one may pass the end that would follow if all finished now.
            let limit = self.options.end_after(at, largest_path);
            let limit = limit.min(self.options.max_time);
            self.step(first, self.group.horizon(first), limit)?;

            steps = steps.wrapping_add(1);
            if steps.is_multiple_of(STEPS_PER_LOOK) {
                if self.options.is_cancelled() {
                    let at = self.group.latest_clock();
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

    /// Brings every component to exactly `end`.
    fn all_to(&mut self, end: Time) -> Result<(), RunError> {
        while let Some((first, horizon)) = self.group.ready(end) {
            self.step(first, horizon, end)?;
        }
        self.group.stop_at(end)
    }

    /// Advances one component to `horizon`, but not beyond `limit`.
    fn step(&mut self, index: usize, horizon: Time, limit: Time) -> Result<(), RunError> {
        self.group.step(index, horizon.min(limit))?;
        for seen in self.group.take_seen() {
            self.merger.see(seen);
        }
        let (_, reached) = self.group.earliest();
        // What leaves behind the end is not part of the run.
        self.merger.flush(reached.min(limit))?;
        Ok(())
    }

    fn progress(&self, now: Time) -> Progress {
        Progress {
            now,
            counters: self.group.counters(),
        }
    }
}
