//! What TCP does at an Ethernet port: segments by kind, retransmissions, and
//! round-trip times.
//!
//! A round trip starts when the last bit of a data segment passes the port
//! and ends when the last bit of the first ACK that covers it passes the
//! other way. Ranges that were sent more than once give no sample, because
//! nobody knows which copy was acknowledged (Karn's rule, RFC 6298 §3).

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddrV4;

use etherparse::{
    EtherType, IpNumber, Ipv4Slice, NetSlice, SlicedPacket, TcpSlice, TransportSlice,
};
use hallux_channel::{Message, Time};
use hdrhistogram::Histogram;

use crate::engine::{Direction, MessageSink, Tapped};
use crate::observe::timeline::{Latencies, Passed, Timeline};

/// Segments by kind. Each segment counts once, under the first kind of this
/// list that fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentCounts {
    /// With RST.
    pub rst: u64,
    /// With SYN, with or without ACK.
    pub syn: u64,
    /// With FIN, with or without data.
    pub fin: u64,
    /// With payload.
    pub data: u64,
    /// No payload, same ACK as before, another window.
    pub window_update: u64,
    /// No payload, same ACK and window as before, while data is outstanding
    /// (RFC 5681 §2).
    pub dup_ack: u64,
    /// Any other without payload.
    pub pure_ack: u64,
}

impl SegmentCounts {
    /// All kinds together.
    pub fn total(&self) -> u64 {
        self.by_name().into_iter().map(|(_, count)| count).sum()
    }

    /// The counts with their names, in a fixed order.
    pub fn by_name(&self) -> [(&'static str, u64); 7] {
        [
            ("syn", self.syn),
            ("fin", self.fin),
            ("rst", self.rst),
            ("data", self.data),
            ("pure_ack", self.pure_ack),
            ("dup_ack", self.dup_ack),
            ("window_update", self.window_update),
        ]
    }
}

/// TCP in one direction of a port.
#[derive(Clone, Debug)]
pub struct TcpTraffic {
    /// Segments by kind.
    pub segments: SegmentCounts,
    /// Data segments of which at least a part had passed before.
    pub retransmitted_segments: u64,
    /// Bytes of TCP payload, retransmissions included.
    pub payload_bytes: u64,
    /// Frames that are not TCP over IPv4, or damaged.
    pub other_frames: u64,
    /// Traffic over time.
    pub over_time: Timeline<Passed>,
    /// Round trips of data of this direction by the time at which they ended.
    pub rtt_over_time: Timeline<Latencies>,
    rtt: Histogram<u64>,
}

impl TcpTraffic {
    fn new() -> Self {
        TcpTraffic {
            segments: SegmentCounts::default(),
            retransmitted_segments: 0,
            payload_bytes: 0,
            other_frames: 0,
            over_time: Timeline::default(),
            rtt_over_time: Timeline::default(),
            rtt: Histogram::new(3).unwrap_or_else(|_| unreachable!("3 digits are supported")),
        }
    }

    /// Round trips measured on the data of this direction.
    pub fn rtt_samples(&self) -> u64 {
        self.rtt.len()
    }

    /// Round trips in picoseconds and how many there were of each, to three significant
    /// digits.
    pub fn rtt_counts(&self) -> Vec<(u64, u64)> {
        let recorded = self.rtt.iter_recorded();
        recorded
            .map(|step| (step.value_iterated_to(), step.count_at_value()))
            .collect()
    }

    /// The round-trip time that `per_10_000` of ten thousand samples do not
    /// exceed, to three significant digits: 5000 is the median, 9999 the
    /// 99.99th percentile. Zero if there are no samples.
    pub fn rtt_quantile(&self, per_10_000: u32) -> Time {
        Time::from_ps(self.rtt.value_at_quantile(f64::from(per_10_000) / 10_000.0))
    }
}

/// Watches one tapped interface.
#[derive(Debug)]
pub struct TcpObserver {
    interface: usize,
    traffic: [TcpTraffic; 2],
    streams: BTreeMap<Ends, Half>,
}

impl TcpObserver {
    /// An observer of the interface with this number.
    pub fn new(interface: usize) -> Self {
        TcpObserver {
            interface,
            traffic: [TcpTraffic::new(), TcpTraffic::new()],
            streams: BTreeMap::new(),
        }
    }

    /// What went in one direction.
    pub fn traffic(&self, direction: Direction) -> &TcpTraffic {
        &self.traffic[direction as usize]
    }

    /// Takes one frame of the interface.
    pub fn observe(&mut self, at: Time, direction: Direction, frame: &[u8]) {
        let traffic = &mut self.traffic[direction as usize];
        let passed = traffic.over_time.at(at);
        passed.frames += 1;
        passed.frame_bytes += frame.len() as u64;
        let Some((ends, segment)) = parse(frame) else {
            traffic.other_frames += 1;
            return;
        };
        let back = self.streams.get_mut(&ends.back());
        let data_outstanding = back.is_some_and(|half| {
            if let Some(ack) = segment.ack {
                let opposite = match direction {
                    Direction::Received => Direction::Sent,
                    Direction::Sent => Direction::Received,
                };
                half.acknowledge(at, ack, &mut self.traffic[opposite as usize]);
            }
            !half.outstanding.is_empty()
        });
        let half = self.streams.entry(ends).or_default();
        let traffic = &mut self.traffic[direction as usize];
        let segments = &mut traffic.segments;
        let count = match &segment {
            Segment { rst: true, .. } => &mut segments.rst,
            Segment { syn: true, .. } => &mut segments.syn,
            Segment { fin: true, .. } => &mut segments.fin,
            Segment { payload: 1.., .. } => &mut segments.data,
            _ if half.last_ack != segment.ack => &mut segments.pure_ack,
            _ if half.last_window != Some(segment.window) => &mut segments.window_update,
            _ if data_outstanding => &mut segments.dup_ack,
            _ => &mut segments.pure_ack,
        };
        *count += 1;
        traffic.payload_bytes += u64::from(segment.payload);
        let retransmitted = u64::from(half.send(at, &segment));
        traffic.retransmitted_segments += retransmitted;
        let passed = traffic.over_time.at(at);
        passed.payload_bytes += u64::from(segment.payload);
        passed.retransmitted_segments += retransmitted;
        half.last_ack = segment.ack;
        half.last_window = Some(segment.window);
    }
}

impl MessageSink for TcpObserver {
    fn message(&mut self, tapped: &Tapped<'_>) -> io::Result<()> {
        if let Message::Frame(frame) = tapped.message
            && tapped.interface == self.interface
        {
            self.observe(tapped.at, tapped.direction, frame);
        }
        Ok(())
    }
}

/// Source and destination of a stream, in one number that orders as they do: they are
/// looked for with every frame of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ends(u128);

impl Ends {
    /// The stream from `source` to `destination`.
    pub fn new(source: SocketAddrV4, destination: SocketAddrV4) -> Self {
        let of = |end: SocketAddrV4| u128::from(end.ip().to_bits()) << 16 | u128::from(end.port());
        Ends(of(source) << 48 | of(destination))
    }

    /// The stream the other way.
    pub fn back(self) -> Self {
        Ends((self.0 & ((1 << 48) - 1)) << 48 | self.0 >> 48)
    }
}

/// What matters of a segment.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number, with ACK.
    pub ack: Option<u32>,
    /// Window as it stands in the header.
    pub window: u16,
    /// Bytes of payload.
    pub payload: u32,
    /// SYN.
    pub syn: bool,
    /// FIN.
    pub fin: bool,
    /// RST.
    pub rst: bool,
}

/// The ends and the segment of a frame; `None` if it is not TCP over IPv4.
pub fn parse(frame: &[u8]) -> Option<(Ends, Segment)> {
    // Every frame of a run comes along here, and hardly one has a tag.
    if frame.get(12..14) == Some(&EtherType::IPV4.0.to_be_bytes()) {
        let ip = Ipv4Slice::from_slice(frame.get(14..)?).ok()?;
        let payload = ip.payload();
        if payload.ip_number != IpNumber::TCP || payload.fragmented {
            return None;
        }
        return Some(segment(&ip, &TcpSlice::from_slice(payload.payload).ok()?));
    }
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    match (packet.net, packet.transport) {
        (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Tcp(tcp))) => Some(segment(&ip, &tcp)),
        _ => None,
    }
}

fn segment(ip: &Ipv4Slice<'_>, tcp: &TcpSlice<'_>) -> (Ends, Segment) {
    let header = ip.header();
    let source = SocketAddrV4::new(header.source_addr(), tcp.source_port());
    let destination = SocketAddrV4::new(header.destination_addr(), tcp.destination_port());
    let segment = Segment {
        seq: tcp.sequence_number(),
        ack: tcp.ack().then(|| tcp.acknowledgment_number()),
        window: tcp.window_size(),
        payload: tcp.payload().len() as u32,
        syn: tcp.syn(),
        fin: tcp.fin(),
        rst: tcp.rst(),
    };
    (Ends::new(source, destination), segment)
}

/// One direction of a connection. Sequence numbers are unwrapped to 64 bits.
#[derive(Debug, Default)]
struct Half {
    /// Behind the highest byte seen; `None` before the first segment.
    next: Option<u64>,
    /// Ranges below `next` that have not passed: lost before the port, or
    /// still on their way.
    holes: Vec<(u64, u64)>,
    outstanding: VecDeque<Sent>,
    last_ack: Option<u32>,
    last_window: Option<u16>,
}

/// A data segment without its ACK.
#[derive(Clone, Copy, Debug)]
struct Sent {
    start: u64,
    end: u64,
    at: Time,
    repeated: bool,
}

impl Half {
    /// The 64-bit sequence number closest to where the stream is.
    fn unwrap(&self, seq: u32) -> u64 {
        let Some(next) = self.next else {
            return u64::from(seq) + (1 << 32);
        };
        let distance = seq.wrapping_sub(next as u32) as i32;
        next.saturating_add_signed(i64::from(distance))
    }

    /// Ends the round trips of what an ACK covers; `traffic` is that of their direction.
    fn acknowledge(&mut self, at: Time, ack: u32, traffic: &mut TcpTraffic) {
        let ack = self.unwrap(ack);
        while let Some(sent) = self.outstanding.front().filter(|sent| sent.end <= ack) {
            if !sent.repeated {
                // It resizes by itself, so every span has a place.
                let _recorded = traffic.rtt.record(at.since(sent.at).ps());
                traffic.rtt_over_time.at(at).record(at.since(sent.at));
            }
            self.outstanding.pop_front();
        }
    }

    /// Notes a segment; true if part of its data has passed before.
    fn send(&mut self, at: Time, segment: &Segment) -> bool {
        if segment.syn {
            // A new connection, possibly on the ports of an old one.
            let first = u64::from(segment.seq) + (1 << 32);
            *self = Half {
                next: Some(first + 1),
                ..Half::default()
            };
            return false;
        }
        if segment.rst {
            return false;
        }
        let start = self.unwrap(segment.seq);
        let end = start + u64::from(segment.payload);
        if segment.payload == 0 {
            self.next.get_or_insert(start);
            return false;
        }
        let next = self.next.unwrap_or(start);
        if start >= next {
            if start > next {
                self.holes.push((next, start));
            }
            self.next = Some(end);
            let repeated = false;
            self.outstanding.push_back(Sent {
                start,
                end,
                at,
                repeated,
            });
            return false;
        }
        let repeated = self.fill(start, end.min(next)) || end > next;
        self.next = Some(next.max(end));
        for sent in &mut self.outstanding {
            sent.repeated |= sent.start < end && start < sent.end;
        }
        repeated
    }

    /// Takes `start..end` out of the holes; true if a part of it was in none.
    fn fill(&mut self, start: u64, end: u64) -> bool {
        let mut missing = 0;
        let mut holes = Vec::with_capacity(self.holes.len() + 1);
        for &(from, to) in &self.holes {
            let (left, right) = (from.max(start), to.min(end));
            if left >= right {
                holes.push((from, to));
                continue;
            }
            missing += right - left;
            holes.extend(
                [(from, left), (right, to)]
                    .into_iter()
                    .filter(|(from, to)| from < to),
            );
        }
        self.holes = holes;
        missing < end - start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{Received, Sent};
    use etherparse::PacketBuilder;

    const OURS: ([u8; 4], u16) = ([10, 0, 0, 1], 80);
    const THEIRS: ([u8; 4], u16) = ([10, 0, 0, 2], 5_000);

    struct Port {
        observer: TcpObserver,
    }

    impl Port {
        fn new() -> Self {
            Port {
                observer: TcpObserver::new(0),
            }
        }

        fn segment(
            &mut self,
            ns: u64,
            direction: Direction,
            seq: u32,
            ack: u32,
            window: u16,
            payload: usize,
        ) {
            let (from, to) = match direction {
                Sent => (OURS, THEIRS),
                Received => (THEIRS, OURS),
            };
            let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
                .ipv4(from.0, to.0, 64)
                .tcp(from.1, to.1, seq, window)
                .ack(ack);
            let mut frame = Vec::new();
            builder.write(&mut frame, &vec![0; payload]).unwrap();
            self.observer.observe(Time::from_ns(ns), direction, &frame);
        }

        fn sent(&self) -> &TcpTraffic {
            self.observer.traffic(Sent)
        }
    }

    #[test]
    fn round_trips_end_with_the_first_covering_ack() {
        let mut port = Port::new();
        // Across the wrap of the sequence numbers.
        port.segment(100, Sent, u32::MAX - 99, 1, 9, 100);
        port.segment(200, Sent, 0, 1, 9, 100);
        port.segment(1_100, Received, 1, 0, 9, 0);
        port.segment(1_300, Received, 1, 100, 9, 0);
        let sent = port.sent();
        assert_eq!(sent.rtt_samples(), 2);
        assert_eq!(sent.rtt_quantile(1).ns(), 1_000);
        assert_eq!(sent.rtt_quantile(10_000).ns(), 1_100);
        assert_eq!((sent.segments.data, sent.payload_bytes), (2, 200));
        assert_eq!(port.observer.traffic(Received).segments.pure_ack, 2);
    }

    #[test]
    fn repeated_ranges_are_counted_and_not_timed() {
        let mut port = Port::new();
        port.segment(0, Sent, 1_000, 1, 9, 100);
        port.segment(10, Sent, 1_100, 1, 9, 100);
        port.segment(500, Sent, 1_000, 1, 9, 100);
        port.segment(900, Received, 1, 1_200, 9, 0);
        assert_eq!(port.sent().retransmitted_segments, 1);
        assert_eq!(
            port.sent().rtt_samples(),
            1,
            "only the second segment is unambiguous"
        );
    }

    #[test]
    fn what_fills_a_hole_was_never_seen() {
        let mut port = Port::new();
        port.segment(0, Received, 1_000, 1, 9, 100);
        port.segment(10, Received, 1_200, 1, 9, 100);
        port.segment(20, Received, 1_100, 1, 9, 100);
        let received = |port: &Port| port.observer.traffic(Received).retransmitted_segments;
        assert_eq!(received(&port), 0);
        port.segment(30, Received, 1_100, 1, 9, 100);
        assert_eq!(received(&port), 1);
    }

    #[test]
    fn acks_without_data_are_told_apart() {
        let mut port = Port::new();
        port.segment(0, Sent, 1_000, 1, 9, 100);
        port.segment(1, Received, 1, 1_000, 9, 0);
        port.segment(2, Received, 1, 1_000, 9, 0);
        port.segment(3, Received, 1, 1_000, 8, 0);
        port.segment(4, Received, 1, 1_100, 8, 0);
        port.segment(5, Received, 1, 1_100, 8, 0);
        let counts = port.observer.traffic(Received).segments;
        let expected = SegmentCounts {
            pure_ack: 3,
            dup_ack: 1,
            window_update: 1,
            ..Default::default()
        };
        assert_eq!(counts, expected);
        port.observer.observe(Time::ZERO, Sent, &[0; 60]);
        assert_eq!(port.sent().other_frames, 1);
    }
}
