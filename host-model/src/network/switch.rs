//! An Ethernet switch with a shared buffer.
//!
//! ```text
//!            learn source,       shared buffer        line
//!   p0 ──►   look up destination ─►┌─────────┐─► transmitter ──► p0
//!   p1 ──►   (unknown: flood)    ─►│ mark CE │─► transmitter ──► p1
//!   ⋮                              │ or drop │                   ⋮
//!   pn ──►                       ─►└─────────┘─► transmitter ──► pn
//! ```
//!
//! Store and forward: a frame is looked at when its last bit has arrived, and
//! queued for its exit if the shared buffer has room for all of it, otherwise
//! dropped (tail drop). A frame that finds at least the threshold's bytes
//! before it in its queue is marked *congestion experienced*, if its sender
//! is capable of ECN (RFC 3168 §5; the instantaneous queue is what DCTCP
//! wants, RFC 8257 §3.1). Each exit sends at its line rate.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use hallux_channel::{
    Component, ComponentError, Counter, Io, LineRate, Message, PortSpec, Protocol, Time,
    Transmitter,
};

/// How a switch is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchConfig {
    /// Number of ports.
    pub ports: usize,
    /// Line rate of every port.
    pub rate: LineRate,
    /// Bytes that all queues together can hold.
    pub buffer: u64,
    /// Queue length, in bytes, at and above which frames are marked;
    /// `None` marks nothing.
    pub ecn_threshold: Option<u64>,
    /// From the last bit in to the earliest first bit out.
    pub forwarding_delay: Time,
}

/// What has happened to the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwitchCounters {
    /// Frames that came in.
    pub frames: u64,
    /// Of these, sent to all other ports, because they are for all or their
    /// destination is unknown.
    pub flooded: u64,
    /// Copies that left marked.
    pub marked: u64,
    /// Copies dropped because the buffer was full.
    pub dropped: u64,
    /// Frames whose destination is where they came from.
    pub filtered: u64,
    /// Frames too short for their addresses.
    pub malformed: u64,
    /// The most bytes that were ever queued.
    pub buffer_peak_bytes: u64,
}

/// Addresses that are remembered; others are flooded.
const TABLE_ENTRIES: usize = 16_384;
const ADDRESS_BYTES: usize = 6;

/// An Ethernet switch with the ports `p0`, `p1`, ….
#[derive(Debug)]
pub struct Switch {
    name: String,
    specs: Vec<PortSpec>,
    config: SwitchConfig,
    exits: Vec<Exit>,
    buffered: u64,
    table: BTreeMap<[u8; ADDRESS_BYTES], usize>,
    counters: SwitchCounters,
}

/// The sending side of a port.
#[derive(Debug)]
struct Exit {
    line: Transmitter,
    /// When the last bit of each queued frame leaves, and its bytes.
    leaving: VecDeque<(Time, u64)>,
    queued: u64,
}

impl Switch {
    /// A switch that knows no addresses yet.
    pub fn new(name: impl Into<String>, config: SwitchConfig) -> Self {
        let exit = || Exit {
            line: Transmitter::new(config.rate),
            leaving: VecDeque::new(),
            queued: 0,
        };
        Switch {
            name: name.into(),
            specs: (0..config.ports)
                .map(|port| PortSpec::new(format!("p{port}"), Protocol::Ethernet))
                .collect(),
            exits: (0..config.ports).map(|_| exit()).collect(),
            config,
            buffered: 0,
            table: BTreeMap::new(),
            counters: SwitchCounters::default(),
        }
    }

    /// What has happened so far.
    pub fn switch_counters(&self) -> SwitchCounters {
        self.counters
    }

    fn enter(&mut self, at: Time, port: usize, frame: &Bytes, io: &mut Io<'_>) {
        self.counters.frames += 1;
        let Some((destination, source)) = addresses(frame) else {
            self.counters.malformed += 1;
            return;
        };
        self.free(at);
        if !is_group(&source)
            && (self.table.len() < TABLE_ENTRIES || self.table.contains_key(&source))
        {
            self.table.insert(source, port);
        }
        let known = self.table.get(&destination).copied();
        match known.filter(|_| !is_group(&destination)) {
            Some(exit) if exit == port => self.counters.filtered += 1,
            Some(exit) => self.queue(at, exit, frame, io),
            None => {
                self.counters.flooded += 1;
                for exit in (0..self.exits.len()).filter(|&exit| exit != port) {
                    self.queue(at, exit, frame, io);
                }
            }
        }
    }

    fn queue(&mut self, at: Time, exit: usize, frame: &Bytes, io: &mut Io<'_>) {
        let len = frame.len() as u64;
        if self.buffered + len > self.config.buffer {
            self.counters.dropped += 1;
            return;
        }
        let queue = &mut self.exits[exit];
        let congested = self
            .config
            .ecn_threshold
            .is_some_and(|threshold| queue.queued >= threshold);
        let marked = congested.then(|| mark(frame)).flatten();
        self.counters.marked += u64::from(marked.is_some());
        let ready = at + self.config.forwarding_delay;
        let leaves = queue.line.transmit(ready, frame.len());
        queue.leaving.push_back((leaves, len));
        queue.queued += len;
        self.buffered += len;
        self.counters.buffer_peak_bytes = self.counters.buffer_peak_bytes.max(self.buffered);
        let frame = marked.unwrap_or_else(|| frame.clone());
        io.send(exit, leaves, Message::Frame(frame));
    }

    /// Gives back the room of what has left by `now`.
    fn free(&mut self, now: Time) {
        for exit in &mut self.exits {
            while let Some(&(left, len)) = exit.leaving.front()
                && left <= now
            {
                exit.leaving.pop_front();
                exit.queued -= len;
                self.buffered -= len;
            }
        }
    }
}

impl Component for Switch {
    fn name(&self) -> &str {
        &self.name
    }

    fn ports(&self) -> &[PortSpec] {
        &self.specs
    }

    fn next_action(&self) -> Time {
        // Frames are stamped with their departure as soon as it is known.
        Time::NEVER
    }

    fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
        while let Some((at, port, message)) = io.pop_before(horizon) {
            if let Message::Frame(frame) = message {
                self.enter(at, port, &frame, io);
            }
        }
        Ok(())
    }

    fn finished_at(&self) -> Option<Time> {
        Some(Time::ZERO)
    }

    fn counters(&self) -> Vec<Counter> {
        let counters = &self.counters;
        [
            ("frames", counters.frames),
            ("flooded", counters.flooded),
            ("marked", counters.marked),
            ("dropped", counters.dropped),
            ("filtered", counters.filtered),
            ("malformed", counters.malformed),
            ("buffer_peak_bytes", counters.buffer_peak_bytes),
        ]
        .map(|(name, value)| Counter::new(name, value))
        .to_vec()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// Destination and source of a frame.
fn addresses(frame: &[u8]) -> Option<([u8; ADDRESS_BYTES], [u8; ADDRESS_BYTES])> {
    let (destination, rest) = frame.split_first_chunk()?;
    let (source, _) = rest.split_first_chunk()?;
    Some((*destination, *source))
}

/// Broadcast or multicast.
fn is_group(address: &[u8; ADDRESS_BYTES]) -> bool {
    address[0] & 1 == 1
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_VLAN: u16 = 0x8100;
/// ECN field of a packet whose sender is not capable of it (RFC 3168 §5).
const NOT_ECT: u8 = 0;
const CONGESTION_EXPERIENCED: u8 = 3;

/// The frame marked, if it is IPv4 of an ECN-capable sender and not marked yet.
fn mark(frame: &Bytes) -> Option<Bytes> {
    let word = |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
    let mut header = 14;
    if word(12)? == ETHERTYPE_VLAN {
        header += 4;
    }
    if word(header - 2)? != ETHERTYPE_IPV4 || frame.len() < header + 20 || frame[header] >> 4 != 4 {
        return None;
    }
    let (service, checksum) = (header + 1, header + 10);
    let ecn = frame[service] & 3;
    if ecn == NOT_ECT || ecn == CONGESTION_EXPERIENCED {
        return None;
    }
    let old = word(header)?;
    let new = old | u16::from(CONGESTION_EXPERIENCED);
    // RFC 1624, equation 3: ~(~HC + ~m + m').
    let mut sum = u32::from(!word(checksum)?) + u32::from(!old) + u32::from(new);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let mut marked = BytesMut::from(&frame[..]);
    marked[service] |= CONGESTION_EXPERIENCED;
    marked[checksum..checksum + 2].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    Some(marked.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{Ipv4Header, PacketBuilder};
    use hallux_channel::Mailbox;

    fn config() -> SwitchConfig {
        SwitchConfig {
            ports: 4,
            rate: "100Gbps".parse().unwrap(),
            buffer: 10_000,
            ecn_threshold: Some(3_000),
            forwarding_delay: Time::from_ns(300),
        }
    }

    fn address(host: u8) -> [u8; 6] {
        match host {
            0xff => [0xff; 6],
            host => [2, 0, 0, 0, 0, host],
        }
    }

    /// A UDP packet of `payload` bytes with this ECN field.
    fn frame(from: u8, to: u8, payload: usize, ecn: u8) -> Bytes {
        let mut ip = Ipv4Header {
            time_to_live: 64,
            protocol: etherparse::IpNumber::UDP,
            source: [10, 0, 0, from],
            destination: [10, 0, 0, to],
            ..Default::default()
        };
        ip.ecn = etherparse::IpEcn::try_new(ecn).unwrap();
        let builder = PacketBuilder::ethernet2(address(from), address(to))
            .ip(etherparse::IpHeaders::Ipv4(ip, Default::default()))
            .udp(1, 2);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, &vec![0; payload]).unwrap();
        bytes.into()
    }

    struct Bench {
        switch: Switch,
        mailbox: Mailbox,
    }

    impl Bench {
        fn new(config: SwitchConfig) -> Self {
            let switch = Switch::new("switch", config);
            let mailbox = Mailbox::new(switch.ports());
            Bench { switch, mailbox }
        }

        /// The exits and departures of a frame that enters at `port`.
        fn send(&mut self, at: Time, port: usize, frame: Bytes) -> Vec<(usize, Time, Bytes)> {
            self.mailbox.deliver(port, at, Message::Frame(frame));
            let horizon = at + Time::from_ps(1);
            let mut io = self.mailbox.io();
            self.switch.advance(horizon, &mut io).unwrap();
            assert_eq!(self.mailbox.violation(), None);
            std::iter::from_fn(|| self.mailbox.take_sent())
                .map(|sent| {
                    let frame = Bytes::copy_from_slice(sent.message.payload());
                    (sent.port, sent.at, frame)
                })
                .collect()
        }
    }

    #[test]
    fn unknown_destinations_are_flooded_until_they_have_spoken() {
        let mut bench = Bench::new(config());
        let exits = |sent: Vec<(usize, Time, Bytes)>| -> Vec<usize> {
            sent.into_iter().map(|(port, ..)| port).collect()
        };
        let t = Time::from_us;
        assert_eq!(exits(bench.send(t(1), 0, frame(1, 2, 50, 0))), [1, 2, 3]);
        assert_eq!(exits(bench.send(t(2), 2, frame(2, 1, 50, 0))), [0]);
        assert_eq!(exits(bench.send(t(3), 0, frame(1, 2, 50, 0))), [2]);
        assert_eq!(exits(bench.send(t(4), 0, frame(1, 0xff, 50, 0))), [1, 2, 3]);
        // A host has moved.
        assert_eq!(exits(bench.send(t(5), 3, frame(2, 1, 50, 0))), [0]);
        assert_eq!(exits(bench.send(t(6), 0, frame(1, 2, 50, 0))), [3]);
        assert!(bench.send(t(7), 3, frame(9, 2, 50, 0)).is_empty());
        assert!(bench.send(t(8), 0, vec![0; 11].into()).is_empty());
        let counters = bench.switch.switch_counters();
        assert_eq!((counters.frames, counters.flooded), (8, 2));
        assert_eq!((counters.filtered, counters.malformed), (1, 1));
    }

    #[test]
    fn frames_leave_one_after_another_behind_the_delay() {
        let mut bench = Bench::new(config());
        bench.send(Time::ZERO, 1, frame(2, 1, 50, 0));
        let at = Time::from_us(5);
        let len = frame(1, 2, 1_000, 0).len() as u64;
        let first = bench.send(at, 0, frame(1, 2, 1_000, 0))[0].1;
        let second = bench.send(at, 3, frame(3, 2, 1_000, 0))[0].1;
        // Preamble, frame and FCS at 80 ps a byte; then the gap before the next.
        let on_wire = |bytes: u64| Time::from_ps(bytes * 80);
        assert_eq!(first, at + Time::from_ns(300) + on_wire(len + 12));
        assert_eq!(second, first + on_wire(12 + len + 12));
    }

    #[test]
    fn a_full_buffer_drops_and_a_long_queue_marks() {
        let mut bench = Bench::new(config());
        bench.send(Time::ZERO, 1, frame(2, 1, 50, 0));
        let at = Time::from_us(5);
        let len = frame(1, 2, 958, 2).len() as u64;
        assert_eq!(len, 1_000);
        let burst: Vec<_> = (0..12)
            .map(|_| bench.send(at, 0, frame(1, 2, 958, 2)))
            .collect();
        let left = burst.iter().flatten().count();
        assert_eq!(left, 10, "10 kB of buffer");
        let ecn = |frame: &Bytes| frame[15] & 3;
        let marks: Vec<u8> = burst.iter().flatten().map(|(.., f)| ecn(f)).collect();
        assert_eq!(marks, [2, 2, 2, 3, 3, 3, 3, 3, 3, 3]);
        for (.., frame) in burst.iter().flatten() {
            let (ip, _) = Ipv4Header::from_slice(&frame[14..]).unwrap();
            assert_eq!(ip.header_checksum, ip.calc_header_checksum());
        }
        let counters = bench.switch.switch_counters();
        assert_eq!((counters.dropped, counters.marked), (2, 7));
        assert_eq!(counters.buffer_peak_bytes, 10_000);
        // All has left: there is room again, and nothing is marked.
        let later = bench.send(Time::from_us(10), 0, frame(1, 2, 958, 2));
        assert_eq!(ecn(&later[0].2), 2);
    }

    #[test]
    fn only_capable_senders_are_marked() {
        for (ecn, marked) in [(0, false), (1, true), (2, true), (3, false)] {
            assert_eq!(mark(&frame(1, 2, 100, ecn)).is_some(), marked, "{ecn}");
        }
        let mut arp = frame(1, 2, 100, 2).to_vec();
        arp[12..14].copy_from_slice(&[8, 6]);
        assert_eq!(mark(&arp.into()), None);
        let plain = frame(1, 2, 100, 2);
        let tagged = [&plain[..12], &[0x81, 0, 0, 7], &plain[12..]].concat();
        let marked = mark(&tagged.into()).unwrap();
        assert_eq!(marked[19] & 3, 3);
        assert_eq!(mark(&plain.slice(..20)), None);
    }
}
