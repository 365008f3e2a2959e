//! A few components with links to whoever speaks SimBricks.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use hallux_channel::Time;
use hallux_channel::simbricks::Backoff;

use super::boundary::Boundary;
use super::partition::{End, OpenEnd, group};
use super::run::{PROGRESS_INTERVAL, Progress, RunError};
use super::simulation::{ComponentId, Simulation};
use super::threads::stride;

/// A link that leads to another program.
pub struct OutsideLink {
    /// The component at this end.
    pub component: ComponentId,
    /// Name of its port.
    pub port: String,
    /// What this end adds to the time of what it sends.
    pub latency: Time,
    /// The link.
    pub boundary: Box<dyn Boundary>,
}

/// How long to run with others who do not vote on an end.
#[derive(Clone, Copy, Debug)]
pub struct OutsideOptions<'a> {
    /// Nothing is simulated from this time on.
    pub max_time: Time,
    /// Set from outside (Ctrl-C) to end the run.
    pub cancel: Option<&'a AtomicBool>,
}

/// No step goes further without a look at links that are not synchronised.
const UNSYNCHRONISED_STRIDE: Time = Time::from_us(1);

impl Simulation {
    /// Runs with links that lead outside, until no other side sends any more,
    /// `max_time` is reached, or the run is cancelled. Returns the simulated
    /// time that was reached. The other sides are told of the end.
    ///
    /// # Errors
    ///
    /// [`RunError`]. A link that breaks ends the run; what was simulated until
    /// then stays readable, and the sinks are closed.
    pub fn run_outside(
        &mut self,
        links: Vec<OutsideLink>,
        options: &OutsideOptions<'_>,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Time, RunError> {
        let mut stride = stride(
            links
                .iter()
                .map(|link| link.latency)
                .min()
                .unwrap_or(Time::NEVER),
        );
        if links.iter().any(|link| !link.boundary.is_synchronised()) {
            stride = stride.min(UNSYNCHRONISED_STRIDE);
        }
        let mut ends = Vec::new();
        for link in links {
            let port = self.port((link.component, &link.port))?;
            ends.push(OpenEnd {
                end: End {
                    node: link.component.0,
                    port,
                },
                latency: link.latency,
                boundary: link.boundary,
            });
        }
        let joined: BTreeSet<_> = ends
            .iter()
            .map(|open| (open.end.node, open.end.port))
            .collect();
        self.check_ports(|node, port| joined.contains(&(node, port)))?;
        let ports: Vec<_> = self.nodes.iter().map(|node| node.ports.clone()).collect();
        let members = std::mem::take(&mut self.nodes).into_iter().enumerate();
        let mut group = group(members.collect(), ends);

        let mut run = || -> Result<Time, RunError> {
            let mut backoff = Backoff::new();
            let mut last_shown = Instant::now();
            let mut rounds = 0_u32;
            loop {
                let mut worked = group.receive()?;
                if let Some((node, horizon)) = group.ready(options.max_time) {
                    let limit = group.action(node) + stride;
                    group.step(node, horizon.min(limit))?;
                    worked = true;
                }
                for seen in group.take_seen() {
                    self.merger.see(seen);
                }
                let reached = group.reached().min(options.max_time);
                self.merger.flush(reached)?;
                group.promise(&mut |_, _, _| ())?;
                rounds = rounds.wrapping_add(1);
                if rounds.is_multiple_of(16) || !worked {
                    let cancelled = options
                        .cancel
                        .is_some_and(|cancel| cancel.load(Ordering::Relaxed));
                    let over = !worked && group.is_alone() && group.ready(Time::NEVER).is_none();
                    // Who only reacts, and is not held back, has always reached never.
                    let late = !options.max_time.is_never() && reached >= options.max_time;
                    if cancelled || over || late {
                        while !group.close()? && !group.is_alone() {
                            group.receive()?;
                            backoff.idle();
                        }
                        return Ok(match reached.is_never() {
                            true => group.latest_clock(),
                            false => reached,
                        });
                    }
                    if last_shown.elapsed() >= PROGRESS_INTERVAL {
                        last_shown = Instant::now();
                        progress(&Progress {
                            now: reached,
                            counters: group.counters(),
                        });
                    }
                }
                match worked {
                    true => backoff.progress(),
                    false => backoff.idle(),
                }
            }
        };
        let result = run();
        self.nodes = group.into_nodes();
        for (node, ports) in self.nodes.iter_mut().zip(ports) {
            node.ports = ports;
        }
        let clocks = self.nodes.iter().map(|node| node.clock);
        let clock = clocks.min().unwrap_or(Time::ZERO);
        let end = result.as_ref().copied().unwrap_or(clock);
        let captured = self.merger.finish(end);
        let end = result?;
        captured?;
        Ok(end)
    }
}
