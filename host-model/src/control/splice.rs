//! Splicing: two connections become one, and the NIC carries its segments.
//!
//! ```text
//!           Established ×2
//!                │ splice: flow table and flows closed, frames of both are held
//!                ▼
//!             Joining ── what the NIC had acknowledged but no application read ──► rest
//!                │
//!                ▼
//!   carried by the control plane ──── no rest, no FIN ────► carried by the NIC
//!                ▲                                              │
//!                └────────── SYN, FIN, RST of a direction ──────┘
//! ```
//!
//! The control plane does what the module does: addresses, ports and numbers are exchanged, the
//! checksums updated by what has changed (RFC 1624). So no segment is lost on the way into the NIC or out of
//! it, and a table without a place costs speed only. What the NIC had acknowledged to one end
//! is owed to the other: it is sent, and sent again, until it is acknowledged, and until then
//! both directions stay here, where acknowledgement numbers that go back are seen.
//!
//! The first segment of an end shows its clock. From then on its timestamps are moved so that they
//! continue those that this host sent in its name, and echoes are moved back by as much; before
//! both clocks are known the NIC carries nothing.

use std::collections::{BTreeMap, BTreeSet};

use hallux_channel::Time;
use hallux_toe::interface::modules::{SpliceEntry, Tuple};
use hallux_toe::interface::{Record, timestamp};

use crate::control::ControlPlane;
use crate::control::connection::{Connection, ConnectionId, Phase, TIMESTAMPS};
use crate::control::packet::{Options, Segment};
use crate::driver::{FlowKey, SplicePlace};
use crate::sockets::Owner;

/// Frames of a pair that are held while the NIC closes its flows.
const HELD: usize = 1024;
/// Segments of a rest that may be on their way (RFC 6928 §2).
const REST_SEGMENTS: usize = 10;

/// Two connections cannot be spliced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpliceError {
    /// The NIC has no `splice` module.
    #[error("the NIC has no `splice` module; put one into slot `ingress` of the design point")]
    NoModule,
    /// One of them is not open in both directions, or both are the same.
    #[error("only two connections that are established and not finished here can be spliced")]
    NotEstablished,
    /// Something that was written is not acknowledged.
    #[error("{bytes} bytes are not acknowledged yet; wait until they are")]
    Outstanding {
        /// Of both connections.
        bytes: u32,
    },
    /// One of them has timestamps or SACK, the other has not.
    #[error("timestamps or SACK are negotiated on one connection only")]
    Options,
    /// The ends scale their windows differently.
    #[error("windows are shifted by {from} on one connection and {to} on the other")]
    WindowShift {
        /// Of the end that sends them.
        from: u8,
        /// That the other end was told.
        to: u8,
    },
    /// An end takes smaller segments than the other was told.
    #[error("one end takes segments of {takes} bytes, the other was told {told}")]
    SegmentSize {
        /// MSS of the end.
        takes: u16,
        /// MSS announced by this host.
        told: u16,
    },
    /// One of them uses ECN.
    #[error("ECN is negotiated on one connection only")]
    Ecn,
}

/// What the NIC acknowledged to one end and the other end has not.
#[derive(Debug, Default)]
struct Rest {
    bytes: Vec<u8>,
    /// FIN follows the bytes.
    fin: bool,
    /// Sequence number of the first of them.
    begin: u32,
    /// Sequence numbers from there on that were sent.
    sent: usize,
    /// Timeouts in a row.
    timeouts: u32,
}

impl Rest {
    fn length(&self) -> usize {
        self.bytes.len() + usize::from(self.fin)
    }

    /// Takes away what `ack` acknowledges, which may be more than the rest: what was sent on
    /// behind it too.
    fn acknowledge(&mut self, ack: u32) {
        let ahead = ack.wrapping_sub(self.begin);
        if ahead == 0 || ahead >= 1 << 31 {
            return;
        }
        let count = self.length().min(ahead as usize);
        self.fin &= count <= self.bytes.len();
        self.bytes.drain(..count.min(self.bytes.len()));
        self.begin = self.begin.wrapping_add(count as u32);
        self.sent = self.sent.saturating_sub(count);
        self.timeouts = 0;
    }
}

/// Timestamps of one direction, as the receiving end sees them.
#[derive(Debug)]
struct Stamps {
    /// Offset of those that this host sent it.
    offset: u32,
    /// The last TSval that it got.
    value: u32,
    /// The last TSval that it sent, which is what is echoed to it.
    echo: u32,
    /// The clock of the sending end is known: [`SpliceEntry::ts_value`] holds.
    known: bool,
}

impl Stamps {
    /// TSval of a segment that this host sends now.
    fn now(&mut self, now: Time) -> u32 {
        if !self.known {
            self.value = timestamp(now.ns(), self.offset);
        }
        self.value
    }
}

/// The later of two numbers that wrap.
fn later(one: u32, other: u32) -> u32 {
    if other.wrapping_sub(one) < 1 << 31 {
        other
    } else {
        one
    }
}

/// One direction: from the peer of one connection to that of the other.
#[derive(Debug)]
struct Way {
    entry: SpliceEntry,
    /// Its place in the NIC, if the NIC carries it.
    place: Option<SplicePlace>,
    /// The NIC has carried it, so that `ack` says nothing any more.
    carried: bool,
    /// The acknowledgement number that the receiving end got last: no later one is smaller.
    ack: u32,
    /// The window that it got last, as it stands in the header.
    window: u16,
    /// If timestamps are negotiated.
    stamps: Option<Stamps>,
    rest: Rest,
    /// Sequence number behind FIN at the receiving end.
    finished: Option<u32>,
    finish_acknowledged: bool,
}

/// Two connections that are spliced, or are about to be.
#[derive(Debug)]
struct Pair {
    connections: [ConnectionId; 2],
    keys: [FlowKey; 2],
    ways: [Way; 2],
    /// RCV.NXT of each flow that the NIC has closed.
    closed: [Option<u32>; 2],
    joined: bool,
    held: Vec<(usize, Segment, Vec<u8>)>,
    /// A reset passed.
    broken: bool,
    deadline: Time,
}

impl Pair {
    fn has_ended(&self) -> bool {
        self.broken || self.ways.iter().all(|way| way.finish_acknowledged)
    }

    /// Timestamps of both directions can be moved, or there are none.
    fn knows_clocks(&self) -> bool {
        let mut stamps = self.ways.iter().flat_map(|way| &way.stamps);
        stamps.all(|stamps| stamps.known)
    }

    /// Learns from the timestamps of a segment; TSecr to leave with instead of the one
    /// that the entry makes of it, as long as the clock of the receiving end is not known.
    fn learn_clock(&mut self, now: Time, side: usize, segment: &Segment) -> Option<u32> {
        let [one, other] = &mut self.ways;
        let (way, back) = match side {
            0 => (one, other),
            _ => (other, one),
        };
        let (stamps, of_back) = (way.stamps.as_mut()?, back.stamps.as_mut()?);
        if let Some((value, _)) = segment.options.timestamps {
            if !stamps.known {
                let difference = stamps.now(now).wrapping_sub(value);
                way.entry.ts_value = difference;
                back.entry.ts_echo = difference.wrapping_neg();
                stamps.known = true;
            }
            let moved = value.wrapping_add(way.entry.ts_value);
            stamps.value = later(stamps.value, moved);
            of_back.echo = later(of_back.echo, value);
        }
        (!of_back.known).then_some(stamps.echo)
    }
}

/// All splices of a host.
#[derive(Debug, Default)]
pub(super) struct Splices {
    /// Pair and side of each connection.
    by_key: BTreeMap<FlowKey, (u64, usize)>,
    /// Connections that the NIC still knows.
    joining: BTreeMap<ConnectionId, u64>,
    pairs: BTreeMap<u64, Pair>,
    timers: BTreeSet<(Time, u64)>,
    next: u64,
}

impl Splices {
    /// True if a segment of this key belongs to a splice.
    pub(super) fn holds(&self, key: &FlowKey) -> bool {
        self.by_key.contains_key(key)
    }

    /// True if the connection is being closed in favour of a splice.
    pub(super) fn is_joining(&self, id: ConnectionId) -> bool {
        self.joining.contains_key(&id)
    }

    /// When something is due.
    pub(super) fn next_deadline(&self) -> Time {
        self.timers.first().map_or(Time::NEVER, |&(at, _)| at)
    }

    fn schedule(&mut self, id: u64, at: Time) {
        if let Some(pair) = self.pairs.get_mut(&id)
            && pair.deadline != at
        {
            self.timers.remove(&(pair.deadline, id));
            pair.deadline = at;
            if !at.is_never() {
                self.timers.insert((at, id));
            }
        }
    }
}

impl ControlPlane {
    /// Makes one connection of two, whose ends then talk to each other through the NIC. What
    /// was received and not read is sent on; the sockets of both are gone.
    ///
    /// # Errors
    ///
    /// If the two do not fit together; nothing has changed then.
    pub fn splice(&mut self, ids: [ConnectionId; 2]) -> Result<(), SpliceError> {
        if !self.driver.splices() {
            return Err(SpliceError::NoModule);
        }
        let [Some(one), Some(other)] = ids.map(|id| self.connections.get(&id)) else {
            return Err(SpliceError::NotEstablished);
        };
        if ids[0] == ids[1] {
            return Err(SpliceError::NotEstablished);
        }
        self.check_splice([one, other])?;
        let keys = [one.key, other.key];
        let ways = [self.way(one, other), self.way(other, one)];
        let number = self.splices.next;
        self.splices.next += 1;
        let pair = Pair {
            connections: ids,
            keys,
            ways,
            closed: [None; 2],
            joined: false,
            held: Vec::new(),
            broken: false,
            deadline: Time::NEVER,
        };
        self.splices.pairs.insert(number, pair);
        for (side, (id, key)) in ids.into_iter().zip(keys).enumerate() {
            self.splices.by_key.insert(key, (number, side));
            self.splices.joining.insert(id, number);
            self.shut(id, false);
        }
        Ok(())
    }

    fn check_splice(&self, both: [&Connection; 2]) -> Result<(), SpliceError> {
        let config = &self.config;
        let open = |c: &Connection| c.phase == Phase::Established && c.socket.error.is_none();
        if !both
            .iter()
            .all(|c| open(c) && !c.socket.transmit.is_finished())
        {
            return Err(SpliceError::NotEstablished);
        }
        let used = |c: &Connection| c.socket.transmit.size() - c.socket.transmit.free();
        let bytes: u32 = both.iter().map(|c| used(c)).sum();
        if bytes > 0 {
            return Err(SpliceError::Outstanding { bytes });
        }
        let options = both.map(|c| (c.has_timestamps(config), c.has_sack(config)));
        if options[0] != options[1] {
            return Err(SpliceError::Options);
        }
        if both[0].has_ecn(config) != both[1].has_ecn(config) {
            return Err(SpliceError::Ecn);
        }
        for [one, other] in [both, [both[1], both[0]]] {
            let (from, to) = (one.window_shifts(config).0, other.window_shifts(config).1);
            if from != to {
                return Err(SpliceError::WindowShift { from, to });
            }
            let (takes, told) = (one.peer_mss(), Connection::own_mss(config));
            if takes < told {
                return Err(SpliceError::SegmentSize { takes, told });
            }
        }
        Ok(())
    }

    /// The direction from the peer of `one` to that of `other`, with nothing on its way.
    fn way(&self, one: &Connection, other: &Connection) -> Way {
        let (from, to) = (one.key, other.key);
        // The application has read up to here, and written up to there.
        let read = |c: &Connection| {
            let receive = &c.socket.receive;
            let position = receive.announced().wrapping_sub(receive.available());
            c.first_ack().wrapping_add(position)
        };
        let entry = SpliceEntry {
            from: Tuple {
                source_ip: from.remote_ip,
                destination_ip: from.local_ip,
                source_port: from.remote_port,
                destination_port: from.local_port,
            },
            to: Tuple {
                source_ip: to.local_ip,
                destination_ip: to.remote_ip,
                source_port: to.local_port,
                destination_port: to.remote_port,
            },
            destination_mac: other.remote_mac,
            source_mac: self.config.mac,
            seq: other.known_snd_una().wrapping_sub(read(one)),
            ack: read(other).wrapping_sub(one.known_snd_una()),
            // Of segments that are still to come.
            ts_value: 0,
            ts_echo: 0,
        };
        let stamps = other.peer.options.timestamps.map(|(echo, _)| Stamps {
            offset: other.ts_offset,
            value: 0,
            echo,
            known: false,
        });
        let (shift, _) = one.window_shifts(&self.config);
        Way {
            entry,
            place: None,
            carried: false,
            ack: other.known_rcv_nxt(),
            window: one.peer.window >> shift,
            stamps: stamps.filter(|_| other.has_timestamps(&self.config)),
            rest: Rest {
                begin: other.known_snd_una(),
                ..Rest::default()
            },
            finished: None,
            finish_acknowledged: false,
        }
    }

    /// The NIC closed one of the flows.
    pub(super) fn joining_closed(&mut self, now: Time, id: ConnectionId, record: &Record) {
        if let Some(number) = self.splices.joining.get(&id)
            && let Some(pair) = self.splices.pairs.get_mut(number)
            && let Some(side) = pair.connections.iter().position(|&known| known == id)
        {
            pair.closed[side] = Some((record.opaque >> 32) as u32);
        }
        self.settle_splice(now, id);
    }

    /// Joins the pair of a connection if the NIC has closed both, and all records of what it
    /// acknowledged have been taken.
    pub(super) fn settle_splice(&mut self, now: Time, id: ConnectionId) {
        let Some(&number) = self.splices.joining.get(&id) else {
            return;
        };
        let Some(pair) = self.splices.pairs.get(&number) else {
            return;
        };
        let known = |side: usize| {
            let connection = self.connections.get(&pair.connections[side]);
            connection.map(Connection::known_rcv_nxt)
        };
        if (0..2).any(|side| pair.closed[side].is_none() || pair.closed[side] != known(side)) {
            return;
        }
        for side in 0..2 {
            self.take_over(number, side);
        }
        self.counts.spliced += 1;
        let Some(pair) = self.splices.pairs.get_mut(&number) else {
            return;
        };
        pair.joined = true;
        let held = std::mem::take(&mut pair.held);
        for side in 0..2 {
            self.send_rest(now, number, side);
        }
        for (side, segment, frame) in held {
            self.carry(now, number, side, &segment, &frame);
        }
        self.settle_pair(now, number);
    }

    /// Takes what nobody has read out of the rings of a connection, and frees them.
    fn take_over(&mut self, number: u64, side: usize) {
        let Some(pair) = self.splices.pairs.get_mut(&number) else {
            return;
        };
        let id = pair.connections[side];
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let socket = &mut connection.socket;
        let mut bytes = vec![0; socket.receive.available() as usize];
        socket.receive.read(&self.driver.dma.memory, &mut bytes);
        socket.owner = Owner::Nobody;
        let fin = socket.peer_finished;
        let way = &mut pair.ways[side];
        let behind = way.rest.begin.wrapping_add(bytes.len() as u32);
        way.finished = fin.then(|| behind.wrapping_add(1));
        way.rest.bytes = bytes;
        way.rest.fin = fin;
        if let Some(acknowledged) = pair.closed[side] {
            pair.ways[1 - side].ack = acknowledged;
        }
        self.splices.joining.remove(&id);
        self.forget(id);
        self.reap(id);
    }

    /// A frame of a splice came to the control plane.
    pub(super) fn spliced_frame(&mut self, now: Time, segment: &Segment, frame: &[u8]) {
        let Some(&(number, side)) = self.splices.by_key.get(&segment.key) else {
            return;
        };
        let Some(pair) = self.splices.pairs.get_mut(&number) else {
            return;
        };
        if pair.joined {
            self.carry(now, number, side, segment, frame);
            self.settle_pair(now, number);
        } else if pair.held.len() < HELD {
            pair.held.push((side, *segment, frame.to_vec()));
        } else {
            self.counts.frames_ignored += 1;
        }
    }

    /// Sends a segment on, as the module would, and learns from it.
    fn carry(&mut self, now: Time, number: u64, side: usize, segment: &Segment, frame: &[u8]) {
        let Some(pair) = self.splices.pairs.get_mut(&number) else {
            return;
        };
        if segment.syn || segment.fin || segment.rst {
            // The module has taken its entry out.
            let way = &mut pair.ways[side];
            if let Some(place) = way.place.take() {
                self.driver.remove_splice(&way.entry, place);
            }
        }
        if segment.syn {
            // A late copy from the opening of the connection: it says nothing to the other end.
            self.counts.frames_ignored += 1;
            return;
        }
        if segment.rst {
            pair.broken = true;
            self.counts.resets_received += 1;
            let way = &mut pair.ways[1 - side];
            if let Some(place) = way.place.take() {
                self.driver.remove_splice(&way.entry, place);
            }
        }
        if let Some(ack) = segment.ack {
            let back = &mut pair.ways[1 - side];
            back.rest.acknowledge(ack);
            back.finish_acknowledged |= back
                .finished
                .is_some_and(|end| ack.wrapping_sub(end) < 1 << 31);
        }
        let way = &mut pair.ways[side];
        if segment.fin {
            let behind = segment.seq.wrapping_add(segment.sequence_length());
            way.finished = Some(behind.wrapping_add(way.entry.seq));
        }
        if let Some(ack) = segment.ack {
            let ack = ack.wrapping_add(way.entry.ack);
            if way.carried || ack.wrapping_sub(way.ack) < 1 << 31 {
                way.ack = ack;
                way.window = segment.window;
            }
        }
        let instead = Instead {
            ack: segment.ack.map(|_| way.ack),
            echo: pair.learn_clock(now, side, segment),
        };
        match rewritten(frame, &pair.ways[side].entry, instead) {
            Some(frame) => {
                self.driver.send_frame(frame);
                self.counts.spliced_segments += 1;
            }
            None => self.counts.frames_ignored += 1,
        }
        self.send_rest(now, number, 1 - side);
    }

    /// Sends what may leave of the rest of a direction.
    fn send_rest(&mut self, now: Time, number: u64, side: usize) {
        let Some(pair) = self.splices.pairs.get_mut(&number) else {
            return;
        };
        let key = pair.keys[1 - side];
        let way = &mut pair.ways[side];
        let rest = &mut way.rest;
        let options = if way.stamps.is_some() { TIMESTAMPS } else { 0 };
        let segment_size = usize::from(Connection::own_mss(&self.config) - options);
        while rest.sent < rest.length().min(REST_SEGMENTS * segment_size) {
            let from = rest.sent.min(rest.bytes.len());
            let to = rest.bytes.len().min(from + segment_size);
            let segment = Segment {
                fin: rest.fin && to == rest.bytes.len(),
                window: way.window,
                options: Options {
                    timestamps: way.stamps.as_mut().map(|s| (s.now(now), s.echo)),
                    ..Options::default()
                },
                ..Segment::bare(
                    way.entry.destination_mac,
                    key,
                    rest.begin.wrapping_add(rest.sent as u32),
                    Some(way.ack),
                )
            };
            let frame = segment.build_with(self.config.mac, &rest.bytes[from..to]);
            self.driver.send_frame(frame);
            self.counts.spliced_segments += 1;
            rest.sent = to + usize::from(segment.fin);
        }
    }

    /// Gives the NIC what it can carry, and sets the timer that the pair asks for.
    fn settle_pair(&mut self, now: Time, number: u64) {
        let Some(pair) = self.splices.pairs.get_mut(&number) else {
            return;
        };
        let timers = &self.config.timers;
        let rest = pair.ways.iter().any(|way| way.rest.length() > 0);
        let wait = if pair.has_ended() {
            timers.time_wait
        } else if rest {
            let timeouts = pair.ways.iter().map(|way| way.rest.timeouts).max();
            let bounds = timers.retransmission;
            (bounds.initial * (1 << timeouts.unwrap_or(0).min(16))).min(bounds.max)
        } else {
            let clocks = pair.knows_clocks();
            for way in &mut pair.ways {
                if clocks && way.place.is_none() && way.finished.is_none() {
                    way.place = self.driver.insert_splice(&way.entry);
                    way.carried |= way.place.is_some();
                }
            }
            Time::NEVER
        };
        let at = if wait.is_never() { wait } else { now + wait };
        self.splices.schedule(number, at);
    }

    /// Does what is due for splices at `now`.
    pub(super) fn expire_splices(&mut self, now: Time) {
        while let Some(&(at, number)) = self.splices.timers.first()
            && at <= now
        {
            self.splices.schedule(number, Time::NEVER);
            let Some(pair) = self.splices.pairs.get_mut(&number) else {
                continue;
            };
            if pair.has_ended() {
                self.counts.splices_ended += 1;
                for key in pair.keys {
                    self.splices.by_key.remove(&key);
                }
                for way in &mut pair.ways {
                    if let Some(place) = way.place.take() {
                        self.driver.remove_splice(&way.entry, place);
                    }
                }
                self.splices.pairs.remove(&number);
                continue;
            }
            let limit = self.config.timers.retransmissions;
            for way in &mut pair.ways {
                let owes = way.rest.length() > 0;
                way.rest.timeouts += u32::from(owes);
                way.rest.sent = 0;
                pair.broken |= way.rest.timeouts > limit;
            }
            if pair.broken {
                self.break_pair(number);
            } else {
                self.counts.timeouts += 1;
                self.send_rest(now, number, 0);
                self.send_rest(now, number, 1);
            }
            self.settle_pair(now, number);
        }
    }

    /// An end does not answer: both are reset.
    fn break_pair(&mut self, number: u64) {
        let Some(pair) = self.splices.pairs.get(&number) else {
            return;
        };
        self.counts.broken += 2;
        let resets: Vec<Segment> = (0..2)
            .map(|side| {
                let way = &pair.ways[side];
                let mac = way.entry.destination_mac;
                Segment {
                    rst: true,
                    ..Segment::bare(mac, pair.keys[1 - side], way.rest.begin, Some(way.ack))
                }
            })
            .collect();
        for reset in resets {
            self.send(&reset);
        }
    }
}

/// Numbers that a segment leaves with, where they are not those that the entry makes.
#[derive(Clone, Copy, Debug, Default)]
struct Instead {
    ack: Option<u32>,
    echo: Option<u32>,
}

/// Offsets in a frame without VLAN tag and IP options.
const IP_CHECKSUM: usize = 24;
const TCP: usize = 34;
const TCP_CHECKSUM: usize = 50;
const TCP_OPTIONS: usize = 54;

/// Kinds of options (RFC 9293 §3.2, RFC 2018 §3, RFC 7323 §3.2).
const EOL: u8 = 0;
const NOP: u8 = 1;
const SACK: u8 = 5;
const STAMPS: u8 = 8;

/// The frame as it leaves for the other end; `None` if it is not plain TCP over IPv4.
fn rewritten(frame: &[u8], entry: &SpliceEntry, instead: Instead) -> Option<Vec<u8>> {
    let plain = frame.len() >= TCP_OPTIONS && frame[12..15] == [8, 0, 0x45] && frame[23] == 6;
    if !plain {
        return None;
    }
    let mut out = frame.to_vec();
    out[..6].copy_from_slice(&entry.destination_mac);
    out[6..12].copy_from_slice(&entry.source_mac);
    let to = &entry.to;
    let addresses = [to.source_ip.to_be_bytes(), to.destination_ip.to_be_bytes()].concat();
    put(&mut out, 26, &addresses, &[IP_CHECKSUM, TCP_CHECKSUM]);
    put(
        &mut out,
        TCP,
        &to.source_port.to_be_bytes(),
        &[TCP_CHECKSUM],
    );
    put(
        &mut out,
        TCP + 2,
        &to.destination_port.to_be_bytes(),
        &[TCP_CHECKSUM],
    );
    add(&mut out, TCP + 4, entry.seq);
    if let Some(ack) = instead.ack {
        put(&mut out, TCP + 8, &ack.to_be_bytes(), &[TCP_CHECKSUM]);
    }
    rewrite_options(&mut out, entry, instead);
    Some(out)
}

/// Moves the numbers in the options, as far as these can be understood.
fn rewrite_options(frame: &mut [u8], entry: &SpliceEntry, instead: Instead) {
    let end = TCP + 4 * usize::from(frame[TCP + 12] >> 4);
    let end = end.min(frame.len());
    let mut at = TCP_OPTIONS;
    while at < end && frame[at] != EOL {
        if frame[at] == NOP {
            at += 1;
            continue;
        }
        let length = frame.get(at + 1).map_or(0, |&length| length.into());
        if length < 2 || at + length > end {
            return;
        }
        match (frame[at], length) {
            (STAMPS, 10) => {
                add(frame, at + 2, entry.ts_value);
                let echo = word(frame, at + 6).wrapping_add(entry.ts_echo);
                let echo = instead.echo.unwrap_or(echo);
                put(frame, at + 6, &echo.to_be_bytes(), &[TCP_CHECKSUM]);
            }
            (SACK, 10 | 18 | 26 | 34) => {
                let edges = (at + 2..at + length).step_by(4);
                // What this host has acknowledged already need not be reported: it would look like
                // something that came twice (RFC 2883).
                let stale = instead.ack.is_some_and(|ack| {
                    let moved = |at| word(frame, at).wrapping_add(entry.ack);
                    let mut moved = edges.clone().map(moved);
                    moved.any(|edge| edge.wrapping_sub(ack) >= 1 << 31)
                });
                if stale {
                    put(frame, at, &[NOP; 34][..length], &[TCP_CHECKSUM]);
                } else {
                    edges.for_each(|at| add(frame, at, entry.ack));
                }
            }
            _ => {}
        }
        at += length;
    }
}

/// Four octets of a frame.
fn word(frame: &[u8], at: usize) -> u32 {
    let octets = frame[at..at + 4].iter();
    octets.fold(0, |word, &octet| word << 8 | u32::from(octet))
}

/// Adds to a number of a TCP header.
fn add(frame: &mut [u8], at: usize, difference: u32) {
    let sum = word(frame, at).wrapping_add(difference);
    put(frame, at, &sum.to_be_bytes(), &[TCP_CHECKSUM]);
}

/// Replaces an even number of bytes, and updates checksums by what has changed (RFC 1624
/// equation 3).
fn put(frame: &mut [u8], at: usize, bytes: &[u8], checksums: &[usize]) {
    let half = |frame: &[u8], at: usize| u32::from(frame[at]) << 8 | u32::from(frame[at + 1]);
    // From an odd offset on, the words of the checksum begin a byte before.
    let from = at & !1;
    let mut new = frame[from..(at + bytes.len()).next_multiple_of(2)].to_vec();
    new[at - from..][..bytes.len()].copy_from_slice(bytes);
    for (at, new) in (from..).step_by(2).zip(new.chunks_exact(2)) {
        let (old, new_half) = (half(frame, at), half(new, 0));
        for &checksum in checksums {
            let sum = (!half(frame, checksum) & 0xffff) + (!old & 0xffff) + new_half;
            let sum = (sum & 0xffff) + (sum >> 16);
            let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
            frame[checksum..checksum + 2].copy_from_slice(&sum.to_be_bytes());
        }
        frame[at..at + 2].copy_from_slice(new);
    }
}

#[cfg(test)]
#[path = "splice_tests.rs"]
mod tests;
