//! Components that run in one thread, and the links that lead out of it.

use std::error::Error;

use hallux_channel::{Counter, Time};

use super::boundary::Boundary;
use super::paths::Paths;
use super::run::RunError;
use super::simulation::{Node, Peer};
use super::tap::{Direction, Seen};

/// Components in the hands of one thread: all of a simulation, or a part of
/// it that is joined to the others by cuts.
pub(super) struct Group {
    nodes: Vec<Node>,
    paths: Paths,
    /// The earliest own action or input of each component.
    actions: Vec<Time>,
    /// The votes.
    finished: Vec<Option<Time>>,
    cuts: Vec<Cut>,
    /// For each cut and component, how long what arrives at the cut takes at
    /// least to the component.
    reach: Vec<Time>,
    seen: Vec<Seen>,
    sent: u64,
    received: u64,
}

/// A link to a component of another group.
pub(super) struct Cut {
    pub(super) node: usize,
    pub(super) port: usize,
    pub(super) latency: Time,
    pub(super) boundary: Box<dyn Boundary>,
    /// Nothing that has not been received arrives before this time.
    bound: Time,
    /// Arrival of the last message received.
    last_received: Time,
    /// The same, said to the other side.
    promised: Time,
    /// Arrival of the last message sent.
    last_arrival: Time,
    /// Messages were sent since the other side was last told.
    news: bool,
}

impl Cut {
    pub(super) fn new(
        (node, port): (usize, usize),
        latency: Time,
        boundary: Box<dyn Boundary>,
    ) -> Self {
        Cut {
            node,
            port,
            latency,
            boundary,
            bound: Time::ZERO,
            last_received: Time::ZERO,
            promised: Time::ZERO,
            last_arrival: Time::ZERO,
            news: false,
        }
    }
}

/// What other groups need to know of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Nothing happens here before this time unless a message arrives.
    pub(super) next: Time,
    /// Messages that left over cuts, and that arrived over them.
    pub(super) sent: u64,
    pub(super) received: u64,
    /// The last vote is not earlier than this; once all have voted it is the
    /// latest of them.
    pub(super) floor: Time,
    /// All have voted.
    pub(super) done: bool,
    /// Everything before this time has been handled here, whatever arrives.
    pub(super) reached: Time,
    /// The component that is ahead stands here.
    pub(super) clock: Time,
}

impl Group {
    /// `nodes` refer to each other by their place here, and to `cuts` by
    /// theirs.
    pub(super) fn new(nodes: Vec<Node>, cuts: Vec<Cut>) -> Self {
        let mut links = Vec::new();
        for (from, node) in nodes.iter().enumerate() {
            for port in &node.ports {
                if let Some(Peer::Node { node, latency, .. }) = port.peer {
                    links.push((from, node, latency));
                }
            }
        }
        let paths = Paths::new(nodes.len(), &links);
        let reach = cuts
            .iter()
            .flat_map(|cut| {
                let paths = &paths;
                (0..nodes.len()).map(move |node| match node == cut.node {
                    true => Time::ZERO,
                    false => paths.between(cut.node, node),
                })
            })
            .collect();
        Group {
            actions: nodes.iter().map(action).collect(),
            finished: nodes
                .iter()
                .map(|node| node.component.finished_at())
                .collect(),
            nodes,
            paths,
            cuts,
            reach,
            seen: Vec::new(),
            sent: 0,
            received: 0,
        }
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(super) fn into_nodes(self) -> Vec<Node> {
        self.nodes
    }

    /// The largest shortest path between two components of the group.
    pub(super) fn largest_path(&self) -> Time {
        self.paths.largest()
    }

    /// When the last component finished, if all have.
    pub(super) fn completed(&self) -> Option<Time> {
        let mut latest = Time::ZERO;
        for vote in &self.finished {
            latest = latest.max((*vote)?);
        }
        Some(latest)
    }

    /// The component that acts first, and when.
    pub(super) fn earliest(&self) -> (usize, Time) {
        let actions = self.actions.iter().copied().enumerate();
        actions
            .min_by_key(|&(_, at)| at)
            .unwrap_or((0, Time::NEVER))
    }

    /// The earliest own action or input of a component.
    pub(super) fn action(&self, node: usize) -> Time {
        self.actions[node]
    }

    /// Nothing that is not yet in its inbox can reach the component before
    /// this time.
    pub(super) fn horizon(&self, of: usize) -> Time {
        let mut horizon = Time::NEVER;
        for (from, &at) in self.actions.iter().enumerate() {
            horizon = horizon.min(at + self.paths.between(from, of));
        }
        for (cut, reach) in self.cuts.iter().zip(self.reach.chunks(self.nodes.len())) {
            horizon = horizon.min(cut.bound + reach[of]);
        }
        horizon
    }

    /// The component does and sends nothing before this time.
    fn idle_until(&self, node: usize) -> Time {
        self.actions[node].min(self.horizon(node))
    }

    /// Everything before this time has been handled, whatever arrives.
    pub(super) fn reached(&self) -> Time {
        let nodes = 0..self.nodes.len();
        let idle = nodes.map(|node| self.idle_until(node));
        idle.min().unwrap_or(Time::NEVER)
    }

    pub(super) fn standing(&self) -> Standing {
        let mut standing = Standing {
            next: self.earliest().1,
            // What was dropped is not on its way.
            sent: self.sent
                - self
                    .cuts
                    .iter()
                    .map(|cut| cut.boundary.refused())
                    .sum::<u64>(),
            received: self.received,
            floor: Time::ZERO,
            done: true,
            reached: Time::NEVER,
            clock: self.latest_clock(),
        };
        for (node, vote) in self.finished.iter().enumerate() {
            let idle = self.idle_until(node);
            standing.reached = standing.reached.min(idle);
            standing.done &= vote.is_some();
            standing.floor = standing.floor.max(vote.unwrap_or(idle));
        }
        standing
    }

    /// Takes in what has arrived over the cuts. True if there was anything.
    pub(super) fn receive(&mut self) -> Result<bool, RunError> {
        let mut any = false;
        for cut in &mut self.cuts {
            let node = &mut self.nodes[cut.node];
            let (port, interface) = (cut.port, node.ports[cut.port].interface);
            let bound = cut.bound;
            let synchronised = cut.boundary.is_synchronised();
            let mut last = cut.last_received;
            let mut early = None;
            let (seen, action, received) = (
                &mut self.seen,
                &mut self.actions[cut.node],
                &mut self.received,
            );
            let (clock, mailbox) = (node.clock, &mut node.mailbox);
            let result = cut.boundary.receive(&mut |at, message| {
                // Without synchronisation a message arrives when it is found.
                let at = if synchronised { at } else { last.max(clock) };
                let promised = if synchronised { last.max(bound) } else { last };
                if at < promised {
                    early.get_or_insert((at, promised));
                    return;
                }
                last = at;
                if let Some(interface) = interface {
                    seen.push(Seen::new(at, interface, Direction::Received, &message));
                }
                mailbox.deliver(port, at, message);
                *action = (*action).min(at);
                *received += 1;
                any = true;
            });
            let failed = |nodes: &[Node], source: Box<dyn Error + Send + Sync>| RunError::Link {
                component: nodes[cut.node].component.name().to_owned(),
                port: nodes[cut.node].component.ports()[port].name.clone(),
                source,
            };
            let promised = match result {
                Ok(promised) => promised,
                Err(source) => return Err(failed(&self.nodes, source)),
            };
            if let Some((at, last)) = early {
                let text = format!("a message stamped {at} came after the promise of {last}");
                return Err(failed(&self.nodes, text.into()));
            }
            cut.last_received = last;
            // Without synchronisation nothing needs to be waited for.
            cut.bound = match synchronised {
                true => bound.max(promised),
                false => Time::NEVER,
            };
            any |= cut.bound > bound;
        }
        Ok(any)
    }

    /// Takes for granted that nothing happens anywhere before `time`.
    pub(super) fn nothing_before(&mut self, time: Time) {
        for cut in &mut self.cuts {
            cut.bound = cut.bound.max(time + cut.latency);
        }
    }

    /// Tells the other sides what they may count on. Calls `told` with each
    /// cut that has news, whether there are messages among them, and what was
    /// promised.
    pub(super) fn promise(
        &mut self,
        told: &mut dyn FnMut(usize, bool, Time),
    ) -> Result<(), RunError> {
        for index in 0..self.cuts.len() {
            let idle = self.idle_until(self.cuts[index].node);
            let cut = &mut self.cuts[index];
            let promise = (idle + cut.latency).max(cut.last_arrival);
            if promise > cut.promised || cut.news || cut.boundary.is_congested() {
                cut.promised = cut.promised.max(promise);
                let messages = std::mem::take(&mut cut.news);
                if let Err(source) = cut.boundary.promise(cut.promised) {
                    return Err(self.link_failed(index, source));
                }
                told(index, messages, self.cuts[index].promised);
            }
        }
        Ok(())
    }

    /// True if there are links to others, and no other side sends any more.
    pub(super) fn is_alone(&self) -> bool {
        !self.cuts.is_empty() && self.cuts.iter().all(|cut| cut.boundary.is_over())
    }

    /// Tells the other sides that nothing more is sent. False if that has to
    /// be tried again.
    pub(super) fn close(&mut self) -> Result<bool, RunError> {
        let mut closed = true;
        for index in 0..self.cuts.len() {
            match self.cuts[index].boundary.close() {
                Ok(done) => closed &= done,
                Err(source) => return Err(self.link_failed(index, source)),
            }
        }
        Ok(closed)
    }

    /// Hands out what passed tapped ports.
    pub(super) fn take_seen(&mut self) -> std::vec::Drain<'_, Seen> {
        self.seen.drain(..)
    }

    pub(super) fn has_seen(&self) -> bool {
        !self.seen.is_empty()
    }

    /// A component that can do something before `limit`, and how far it may
    /// go; the one that acts first among them.
    pub(super) fn ready(&self, limit: Time) -> Option<(usize, Time)> {
        let (first, at) = self.earliest();
        if at >= limit {
            return None;
        }
        let horizon = self.horizon(first);
        if at < horizon {
            return Some((first, horizon.min(limit)));
        }
        // The first one waits for a cut; others may be further away from it.
        let nodes = (0..self.nodes.len()).filter(|&node| self.actions[node] < limit);
        nodes
            .map(|node| (self.actions[node], node, self.horizon(node)))
            .filter(|&(at, _, horizon)| at < horizon)
            .min()
            .map(|(_, node, horizon)| (node, horizon.min(limit)))
    }

    /// An error if a link has dropped what it cannot carry: the other side has
    /// not seen what it would have seen in one thread.
    pub(super) fn check_refused(&self) -> Result<(), RunError> {
        let dropped = |cut: &&Cut| cut.boundary.refused() > 0;
        match self.cuts.iter().find(dropped) {
            None => Ok(()),
            Some(cut) => {
                let component = &self.nodes[cut.node].component;
                Err(RunError::Refused {
                    component: component.name().to_owned(),
                    port: component.ports()[cut.port].name.clone(),
                    frames: cut.boundary.refused(),
                })
            }
        }
    }

    /// Brings every component to exactly `end`, when nothing before it is
    /// left to do.
    pub(super) fn stop_at(&mut self, end: Time) -> Result<(), RunError> {
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
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
    pub(super) fn step(&mut self, index: usize, horizon: Time) -> Result<(), RunError> {
        let node = &mut self.nodes[index];
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
        self.deliver(index)?;
        self.actions[index] = action(&self.nodes[index]);
        Ok(())
    }

    fn deliver(&mut self, from: usize) -> Result<(), RunError> {
        while let Some(sent) = self.nodes[from].mailbox.take_sent() {
            let end = &self.nodes[from].ports[sent.port];
            if let Some(interface) = end.interface {
                let seen = Seen::new(sent.at, interface, Direction::Sent, &sent.message);
                self.seen.push(seen);
            }
            match end.peer {
                Some(Peer::Node {
                    node,
                    port,
                    latency,
                }) => {
                    let arrival = sent.at + latency;
                    if let Some(interface) = self.nodes[node].ports[port].interface {
                        let direction = Direction::Received;
                        let seen = Seen::new(arrival, interface, direction, &sent.message);
                        self.seen.push(seen);
                    }
                    let mailbox = &mut self.nodes[node].mailbox;
                    mailbox.deliver(port, arrival, sent.message);
                    self.actions[node] = self.actions[node].min(arrival);
                }
                Some(Peer::Cut { cut: index }) => {
                    let cut = &mut self.cuts[index];
                    cut.last_arrival = sent.at + cut.latency;
                    cut.news = true;
                    self.sent += 1;
                    if let Err(source) = cut.boundary.send(cut.last_arrival, sent.message) {
                        return Err(self.link_failed(index, source));
                    }
                }
                None => {}
            }
        }
        Ok(())
    }

    pub(super) fn latest_clock(&self) -> Time {
        let clocks = self.nodes.iter().map(|node| node.clock);
        clocks.max().unwrap_or(Time::ZERO)
    }

    /// Name and counters of each component.
    pub(super) fn counters(&self) -> Vec<(String, Vec<Counter>)> {
        let counters = |node: &Node| (node.component.name().to_owned(), node.component.counters());
        self.nodes.iter().map(counters).collect()
    }

    fn link_failed(&self, cut: usize, source: Box<dyn Error + Send + Sync>) -> RunError {
        let Cut { node, port, .. } = self.cuts[cut];
        let component = &self.nodes[node].component;
        RunError::Link {
            component: component.name().to_owned(),
            port: component.ports()[port].name.clone(),
            source,
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
