//! One connection of the traffic generator: TCP without congestion control, so that the
//! NIC and its window set the pace.
//!
//! Stream positions are 64-bit offsets; sequence numbers exist on the wire only. Loss is
//! repaired by going back to the oldest hole; where the peer sends SACK, what is lost is
//! sent again, and nothing else (RFC 8985 without its pacing, since there is no congestion
//! window).

use super::frame::{ACK, Header};
use super::scoreboard::Scoreboard;
use crate::commands::bench::datapath::pattern::Pattern;
use hallux_channel::Time;
use std::collections::BTreeMap;

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Sends without end.
    Send,
    /// Receives only.
    Receive,
    /// Sends requests of so many bytes, each when the answer of the one before, equally
    /// long, has come.
    Request(u64),
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing was sent.
    New,
    /// The SYN was sent.
    SynSent,
    /// Established.
    Open,
}

/// Counts of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Payload bytes received in order.
    pub received: u64,
    /// Payload bytes that were not what was sent.
    pub wrong: u64,
    /// Segments sent again.
    pub retransmitted: u64,
    /// Retransmission timeouts.
    pub timeouts: u64,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    pub port: u16,
    pub state: State,
    pub counts: Counts,
    /// When the connection last made progress.
    pub progress: Time,
    /// It stands in the queue for the line.
    pub queued: bool,
    /// When the request on its way was sent.
    pub asked: Option<Time>,
    pattern: Pattern,
    work: Work,
    segment: u64,
    iss: u32,
    irs: u32,
    una: u64,
    nxt: u64,
    max: u64,
    window: u64,
    shift: u8,
    started: bool,
    duplicates: u32,
    recover: Option<u64>,
    /// Where both ends speak SACK.
    scoreboard: Option<Scoreboard>,
    received_to: u64,
    out_of_order: BTreeMap<u64, u64>,
    latest: u64,
    unacknowledged: u32,
    ack_now: bool,
    timestamp: u32,
}

/// What a received segment led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Bytes newly in order.
    pub advance: u64,
    /// The SYN-ACK came.
    pub established: bool,
    /// A lone segment waits for its delayed acknowledgement.
    pub delay_ack: bool,
}

/// Our window: the pattern needs no storage, so it never closes.
const WINDOW_SHIFT: u8 = 8;
const WINDOW: u16 = 0x2000;
/// Segments acknowledged together.
const ACK_EVERY: u32 = 2;

impl Connection {
    pub fn new(number: u64, port: u16, work: Work, segment: u64) -> Self {
        Self {
            port,
            state: State::New,
            counts: Counts::default(),
            progress: Time::ZERO,
            queued: false,
            asked: None,
            pattern: Pattern::of(number),
            work,
            segment,
            iss: (number as u32).wrapping_mul(0x0101_4001),
            irs: 0,
            una: 0,
            nxt: 0,
            max: 0,
            window: 0,
            shift: 0,
            started: false,
            duplicates: 0,
            recover: None,
            scoreboard: None,
            received_to: 0,
            out_of_order: BTreeMap::new(),
            latest: 0,
            unacknowledged: 0,
            ack_now: false,
            timestamp: 0,
        }
    }

    /// Data may flow from now on.
    pub fn start(&mut self) {
        self.started = true;
    }

    /// Everything that was sent is acknowledged.
    pub fn is_quiet(&self) -> bool {
        self.una == self.max
    }

    fn limit(&self) -> u64 {
        match self.work {
            _ if !self.started => 0,
            Work::Send => u64::MAX,
            Work::Receive => 0,
            Work::Request(size) => (self.received_to / size + 1) * size,
        }
    }

    /// The lost segment that is to be sent again next: its position and length.
    fn lost(&self) -> Option<(u64, u64)> {
        self.scoreboard.as_ref()?.lost()
    }

    /// Bytes of the next segment of data that does not fill a known hole; 0 if none can leave.
    fn sendable(&self) -> u64 {
        if self.state != State::Open {
            return 0;
        }
        let edge = self.limit().min(self.una + self.window);
        let room = edge.saturating_sub(self.nxt);
        // A sliver of the window waits (RFC 9293 §3.8.6.2.1).
        let sliver = room < self.segment && room < self.limit() - self.nxt;
        if sliver && self.una < self.nxt && self.recover.is_none() {
            return 0;
        }
        room.min(self.segment)
    }

    /// Something can be sent: a SYN, data, or a due acknowledgement.
    pub fn has_news(&self) -> bool {
        self.state == State::New || self.ack_now || self.sendable() > 0 || self.lost().is_some()
    }

    /// The delayed acknowledgement is due.
    pub fn acknowledge(&mut self) {
        self.ack_now |= self.unacknowledged > 0;
    }

    fn header(&self, seq: u32, flags: u8, now: u32) -> Header {
        Header {
            local_port: self.port,
            remote_port: 0,
            seq,
            ack: self
                .irs
                .wrapping_add(1)
                .wrapping_add(self.received_to as u32),
            flags,
            window: WINDOW,
            timestamps: Some((now, self.timestamp)),
            ..Header::default()
        }
    }

    /// The next segment: its header and the stream position and length of its payload.
    pub fn next(&mut self, at: Time, now: u32) -> Option<(Header, u64, u64)> {
        if self.state == State::New {
            self.state = State::SynSent;
            self.progress = at;
            let mut syn = self.header(self.iss, super::frame::SYN, now);
            syn.ack = 0;
            syn.syn = Some((1460, WINDOW_SHIFT));
            return Some((syn, 0, 0));
        }
        let hole = self.lost();
        let length = hole.map_or_else(|| self.sendable(), |(_, length)| length);
        if length == 0 && !self.ack_now {
            return None;
        }
        self.ack_now = false;
        self.unacknowledged = 0;
        let position = match hole {
            Some((position, _)) => position,
            None if length > 0 => self.nxt,
            None => self.max.min(self.una + self.window),
        };
        let mut header = self.header(self.sequence(position), ACK, now);
        if self.scoreboard.is_some() && !self.out_of_order.is_empty() {
            header.sack = self.blocks();
        }
        if length > 0 {
            if self.una == self.max {
                self.progress = at;
            }
            if let Work::Request(_) = self.work {
                self.asked.get_or_insert(at);
            }
            self.counts.retransmitted += u64::from(position < self.max);
            match (&mut self.scoreboard, hole) {
                (Some(board), Some(_)) => board.send_again(position),
                (Some(board), None) => board.send(position, position + length),
                (None, _) => {}
            }
            if hole.is_none() {
                self.nxt += length;
                self.max = self.max.max(self.nxt);
            }
        }
        Some((header, position, length))
    }

    /// Writes payload of this connection.
    pub fn fill(&self, position: u64, payload: &mut [u8]) {
        self.pattern.write(position, payload);
    }

    fn sequence(&self, position: u64) -> u32 {
        self.iss.wrapping_add(1).wrapping_add(position as u32)
    }

    /// The newest block first, as RFC 2018 §4 wants it.
    fn blocks(&self) -> Vec<(u32, u32)> {
        let first = self.irs.wrapping_add(1);
        let wire = |(start, end): (&u64, &u64)| {
            (
                first.wrapping_add(*start as u32),
                first.wrapping_add(*end as u32),
            )
        };
        let newest = self.out_of_order.range(..=self.latest).next_back();
        let others = self
            .out_of_order
            .iter()
            .filter(|block| Some(block.0) != newest.map(|n| n.0));
        newest.into_iter().chain(others).take(3).map(wire).collect()
    }

    /// A segment of the peer.
    pub fn receive(&mut self, at: Time, header: &Header, payload: &[u8]) -> Received {
        let mut result = Received::default();
        if let Some((_, shift)) = header.syn {
            if self.state == State::SynSent && header.ack == self.iss.wrapping_add(1) {
                self.state = State::Open;
                self.irs = header.seq;
                self.shift = shift;
                self.scoreboard = header.sack_permitted.then(Scoreboard::default);
                self.window = u64::from(header.window);
                self.progress = at;
                result.established = true;
            }
            // Also a repeated SYN-ACK is answered.
            self.timestamp = header.timestamps.map_or(0, |(value, _)| value);
            self.ack_now = true;
            return result;
        }
        if self.state != State::Open {
            return result;
        }
        if let Some((value, _)) = header.timestamps {
            self.timestamp = value;
        }
        self.take_ack(at, header, payload.is_empty());
        if !payload.is_empty() {
            result.advance = self.take_payload(header, payload);
            self.counts.received += result.advance;
            result.delay_ack = !self.ack_now;
        }
        result
    }

    fn take_ack(&mut self, at: Time, header: &Header, bare: bool) {
        let delta = header.ack.wrapping_sub(self.sequence(self.una)) as i32;
        let ack = self.una.saturating_add_signed(i64::from(delta));
        let window = u64::from(header.window) << self.shift;
        if delta < 0 || ack > self.max {
            return;
        }
        let first = self.sequence(self.una);
        if let Some(board) = &mut self.scoreboard {
            for &(start, end) in &header.sack {
                let from = self.una + u64::from(start.wrapping_sub(first));
                let to = self.una + u64::from(end.wrapping_sub(first));
                if from < to && to <= self.max {
                    board.has(from, to);
                }
            }
            board.acknowledge(ack);
            board.judge();
        }
        if delta > 0 {
            self.una = ack;
            self.nxt = self.nxt.max(ack);
            self.duplicates = 0;
            self.progress = at;
            if self.recover.is_some_and(|recover| ack >= recover) {
                self.recover = None;
            }
        } else if bare && self.una < self.max && window == self.window {
            self.duplicates += 1;
            if self.duplicates == 3 && self.recover.is_none() {
                match &mut self.scoreboard {
                    None => self.rewind(),
                    // A peer that holds nothing out of order has nothing to report.
                    Some(board) if header.sack.is_empty() => board.lose_oldest(),
                    Some(_) => {}
                }
            }
        }
        self.window = window;
    }

    fn rewind(&mut self) {
        self.recover = Some(self.max);
        self.nxt = self.una;
    }

    /// Nothing was acknowledged for too long.
    pub fn time_out(&mut self, at: Time) {
        self.progress = at;
        self.counts.timeouts += 1;
        match self.state {
            State::SynSent => self.state = State::New,
            _ if self.una < self.max => {
                self.duplicates = 0;
                match &mut self.scoreboard {
                    Some(board) => board.time_out(),
                    None => self.rewind(),
                }
            }
            // Perhaps a window update was lost: any segment is answered with the window.
            _ => self.ack_now = true,
        }
    }

    fn take_payload(&mut self, header: &Header, payload: &[u8]) -> u64 {
        let expected = self
            .irs
            .wrapping_add(1)
            .wrapping_add(self.received_to as u32);
        let delta = header.seq.wrapping_sub(expected) as i32;
        let Some(start) = self.received_to.checked_add_signed(i64::from(delta)) else {
            self.counts.wrong += payload.len() as u64;
            return 0;
        };
        // What was acknowledged before may come again as anything: the sender's ring may have
        // moved on while it was read. No receiver looks at it (RFC 9293 §3.10.7.4).
        let known = (self.received_to.saturating_sub(start) as usize).min(payload.len());
        self.counts.wrong += self.pattern.wrong(start + known as u64, &payload[known..]);
        let end = start + payload.len() as u64;
        let before = self.received_to;
        let gap = !self.out_of_order.is_empty();
        if start > before {
            self.insert_out_of_order(start, end);
            self.latest = start;
            self.ack_now = true;
        } else if end > before {
            self.received_to = end;
            while let Some((&from, &to)) = self.out_of_order.first_key_value()
                && from <= self.received_to
            {
                self.out_of_order.remove(&from);
                self.received_to = self.received_to.max(to);
            }
            self.unacknowledged += 1;
            self.ack_now |= gap || self.unacknowledged >= ACK_EVERY;
        } else {
            self.ack_now = true;
        }
        self.received_to - before
    }

    fn insert_out_of_order(&mut self, mut from: u64, mut to: u64) {
        while let Some((&start, &end)) = self.out_of_order.range(..=to).next_back()
            && end >= from
        {
            self.out_of_order.remove(&start);
            from = from.min(start);
            to = to.max(end);
        }
        self.out_of_order.insert(from, to);
    }

    /// Answers received so far, of the requests of `size` bytes.
    pub fn answers(&self) -> u64 {
        match self.work {
            Work::Request(size) => self.received_to / size,
            _ => 0,
        }
    }
}
