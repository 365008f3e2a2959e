//! The other end of the wire: a fast traffic generator that speaks TCP.
//!
//! It opens its connections through the control plane of the host under test, then keeps
//! its line as busy as windows allow. Every checksum and every payload byte it receives
//! is verified. It costs no simulated time: what is measured is the NIC.

mod connection;
pub mod frame;
mod scoreboard;

pub use connection::Work;

use super::meter::Meter;
use connection::{Connection, State};
use frame::{Addresses, Problem, RST};
use hallux_channel::{
    Component, ComponentError, Io, LineRate, Message, PortSpec, Protocol, Time, Transmitter,
};
use hallux_host::apps::report::Spans;
use hallux_toe::interface::timestamp;
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};

/// First port of the generator's connections.
pub const FIRST_PORT: u16 = 20_000;
/// How long a lone segment waits for its acknowledgement.
const ACK_DELAY: Time = Time::from_us(5);
/// Longest wait for progress.
const TIMEOUT: Time = Time::from_us(400);

/// What the generator does.
#[derive(Clone, Debug)]
pub struct Config {
    /// The line.
    pub rate: LineRate,
    /// Both ends of the wire.
    pub addresses: Addresses,
    /// VLAN of all frames.
    pub vlan: Option<u16>,
    /// Port of the server.
    pub port: u16,
    /// Connections.
    pub connections: usize,
    /// What each of them does.
    pub work: Work,
    /// Largest payload of a segment.
    pub segment: u64,
    /// Time between two SYNs.
    pub open_every: Time,
    /// From the last connection's establishment to the start of measuring.
    pub warm_up: Time,
    /// How long is measured.
    pub span: Time,
}

/// What the generator saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Payload bytes that were wrong.
    pub wrong: u64,
    /// Frames that no receiver accepts.
    pub bad_frames: u64,
    /// The first of them.
    pub first_problem: Option<Problem>,
    /// Connections reset by the host.
    pub resets: u64,
    /// Segments sent again.
    pub retransmitted: u64,
    /// Retransmission timeouts.
    pub timeouts: u64,
    /// From a request to the end of its answer, while measuring.
    pub latency: Spans,
}

/// The generator; port `eth0`.
pub struct Peer {
    config: Config,
    ports: [PortSpec; 1],
    line: Transmitter,
    connections: Vec<Connection>,
    by_port: BTreeMap<u16, usize>,
    /// Connections with something to send, and the one that opens next.
    ready: VecDeque<usize>,
    opened: usize,
    open_at: Time,
    established: usize,
    /// Measuring begins and ends.
    window: Option<(Time, Time)>,
    meters: Vec<Meter>,
    /// Payload received in order.
    received: Meter,
    /// That of the first connection.
    first: Meter,
    answered: Meter,
    delayed: VecDeque<(Time, usize)>,
    /// Deadlines of progress, checked when they come.
    watches: VecDeque<(Time, usize)>,
    seen: Seen,
    /// The instant that was handled last.
    clock: Time,
}

impl Peer {
    /// A generator that opens `meters` too when measuring begins.
    pub fn new(config: Config, meters: Vec<Meter>) -> Self {
        let connection = |number: usize| {
            let port = FIRST_PORT.wrapping_add(number as u16);
            Connection::new(number as u64, port, config.work, config.segment)
        };
        let connections: Vec<_> = (0..config.connections).map(connection).collect();
        Self {
            ports: [PortSpec::new("eth0", Protocol::Ethernet)],
            line: Transmitter::new(config.rate),
            by_port: connections
                .iter()
                .enumerate()
                .map(|(i, c)| (c.port, i))
                .collect(),
            connections,
            ready: VecDeque::new(),
            opened: 0,
            open_at: Time::from_us(20),
            established: 0,
            window: None,
            meters,
            received: Meter::default(),
            first: Meter::default(),
            answered: Meter::default(),
            delayed: VecDeque::new(),
            watches: VecDeque::new(),
            seen: Seen::default(),
            clock: Time::ZERO,
            config,
        }
    }

    /// Payload bytes received in order.
    pub fn received(&self) -> &Meter {
        &self.received
    }

    /// Payload bytes received in order on the first connection.
    pub fn first_received(&self) -> &Meter {
        &self.first
    }

    /// Answers.
    pub fn answered(&self) -> &Meter {
        &self.answered
    }

    /// What it saw.
    pub fn seen(&self) -> Seen {
        let mut seen = self.seen.clone();
        for connection in &self.connections {
            seen.wrong += connection.counts.wrong;
            seen.retransmitted += connection.counts.retransmitted;
            seen.timeouts += connection.counts.timeouts;
        }
        seen
    }

    fn enqueue(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if !connection.queued && connection.has_news() {
            connection.queued = true;
            self.ready.push_back(index);
        }
    }

    fn receive(&mut self, at: Time, bytes: &[u8]) {
        let (header, payload) = match frame::parse(bytes) {
            Ok(parsed) => parsed,
            // The host may ask for our station address; it knows it, so nobody answers.
            Err(Problem::Foreign) => return,
            Err(problem) => {
                self.seen.bad_frames += 1;
                self.seen.first_problem.get_or_insert(problem);
                return;
            }
        };
        let Some(&index) = self.by_port.get(&header.local_port) else {
            return;
        };
        if header.flags & RST != 0 {
            self.seen.resets += 1;
            return;
        }
        let connection = &mut self.connections[index];
        let before = connection.answers();
        let outcome = connection.receive(at, &header, payload);
        let answers = connection.answers() - before;
        if outcome.advance > 0 {
            self.received.add(at, outcome.advance);
            if index == 0 {
                self.first.add(at, outcome.advance);
            }
        }
        if answers > 0 {
            if let Some(asked) = connection.asked.take()
                && self
                    .window
                    .is_some_and(|(from, to)| asked >= from && at <= to)
            {
                self.seen.latency.record(at.since(asked));
            }
            self.answered.add(at, answers);
        }
        if outcome.delay_ack {
            self.delayed.push_back((at + ACK_DELAY, index));
        }
        if outcome.established {
            self.established += 1;
            if self.established == self.connections.len() {
                self.start(at);
            }
        }
        self.enqueue(index);
    }

    fn start(&mut self, at: Time) {
        let from = at + self.config.warm_up;
        let to = from + self.config.span;
        self.window = Some((from, to));
        let own = [&self.received, &self.first, &self.answered];
        for meter in self.meters.iter().chain(own) {
            meter.open(from, to);
        }
        for index in 0..self.connections.len() {
            self.connections[index].start();
            self.enqueue(index);
        }
    }

    fn act(&mut self, now: Time, io: &mut Io<'_>) {
        self.clock = now;
        while self.opened < self.connections.len() && self.open_at <= now {
            self.watches.push_back((now + TIMEOUT, self.opened));
            self.enqueue(self.opened);
            self.opened += 1;
            self.open_at += self.config.open_every;
        }
        while let Some(&(at, index)) = self.delayed.front()
            && at <= now
        {
            self.delayed.pop_front();
            self.connections[index].acknowledge();
            self.enqueue(index);
        }
        while let Some(&(at, index)) = self.watches.front()
            && at <= now
        {
            self.watches.pop_front();
            let connection = &mut self.connections[index];
            let waits = connection.state == State::SynSent || !connection.is_quiet();
            if waits && now.since(connection.progress) >= TIMEOUT {
                connection.time_out(now);
            }
            self.watches.push_back((now + TIMEOUT, index));
            self.enqueue(index);
        }
        while self.line.free_at() <= now
            && let Some(index) = self.ready.pop_front()
        {
            let connection = &mut self.connections[index];
            connection.queued = false;
            let clock = timestamp(now.ns(), 0);
            if let Some((mut header, position, length)) = connection.next(now, clock) {
                header.remote_port = self.config.port;
                let connection = &self.connections[index];
                let frame = header.build(&self.config.addresses, length as usize, |payload| {
                    connection.fill(position, payload);
                });
                let frame = match self.config.vlan {
                    Some(vlan) => frame::tagged(&frame, vlan),
                    None => frame,
                };
                let at = self.line.transmit(now, frame.len());
                io.send(0, at, Message::Frame(frame));
            }
            self.enqueue(index);
        }
    }
}

impl Component for Peer {
    fn name(&self) -> &str {
        "generator"
    }

    fn ports(&self) -> &[PortSpec] {
        &self.ports
    }

    fn next_action(&self) -> Time {
        let line = match self.ready.is_empty() {
            true => Time::NEVER,
            false => self.line.free_at().max(self.clock),
        };
        let first = |queue: &VecDeque<(Time, usize)>| queue.front().map_or(Time::NEVER, |f| f.0);
        let open = if self.opened < self.connections.len() {
            self.open_at
        } else {
            Time::NEVER
        };
        line.min(first(&self.delayed))
            .min(first(&self.watches))
            .min(open)
    }

    fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
        loop {
            let own = self.next_action();
            let bound = horizon.min(own.checked_add(Time::from_ps(1)).unwrap_or(Time::NEVER));
            if let Some((at, _, message)) = io.pop_before(bound) {
                if let Message::Frame(bytes) = message {
                    self.clock = at;
                    match self.config.vlan {
                        None => self.receive(at, &bytes),
                        // What has another tag or none is not for the generator.
                        Some(vlan) => {
                            let bytes = frame::untagged(&bytes, vlan).unwrap_or_default();
                            self.receive(at, &bytes);
                        }
                    }
                }
            } else if own < horizon {
                self.act(own, io);
            } else {
                return Ok(());
            }
        }
    }

    fn finished_at(&self) -> Option<Time> {
        self.window.map(|(_, to)| to)
    }

    fn waiting_for(&self) -> String {
        let (open, all) = (self.established, self.connections.len());
        format!("{open} of {all} connections are open")
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
