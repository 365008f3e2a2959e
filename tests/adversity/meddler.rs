//! A wire whose other end is hostile: every segment that goes to the NIC is followed by one
//! that no peer should send, each of the kinds in [`KINDS`] in turn, and some overtake others.

use bytes::Bytes;
use hallux_channel::{Component, ComponentError, Io, Message, PortSpec, Protocol, Time};
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};

/// Makes a segment from one that passes and one that passed before; `None` if there is none of
/// the kind.
type Make = fn(&Segment, &Segment) -> Option<Vec<u8>>;

/// What is added, by name, and how.
pub const KINDS: [(&str, Make); 22] = [
    ("duplicate", |s, _| Some(s.build())),
    ("old duplicate", |_, old| Some(old.build())),
    ("overlap in front", overlap_in_front),
    ("overlap behind", |s, _| {
        let half = s.payload.len() / 2;
        (half > 0).then(|| s.cut(half, s.payload.len()).build())
    }),
    ("inside of what was received", |s, _| {
        let third = s.payload.len() / 3;
        (third > 0).then(|| s.cut(third, 2 * third).build())
    }),
    ("beyond the window", |s, _| {
        Some(
            s.at(s.seq().wrapping_add(0x0200_0000))
                .with_payload(b"beyond")
                .build(),
        )
    }),
    ("long before the window", |s, _| {
        Some(
            s.at(s.seq().wrapping_sub(0x0200_0000))
                .with_payload(b"before")
                .build(),
        )
    }),
    ("FIN beyond the window", |s, _| {
        let mut s = s.at(s.seq().wrapping_add(0x0200_0000));
        s.tcp[13] |= 0x01;
        Some(s.build())
    }),
    ("shrunk window", |s, _| {
        let mut s = s.without_payload();
        s.tcp[14..16].copy_from_slice(&1u16.to_be_bytes());
        Some(s.build())
    }),
    ("ACK of data never sent", |s, _| {
        let mut s = s.without_payload();
        s.set_ack(s.ack().wrapping_add(0x0100_0000));
        Some(s.build())
    }),
    ("ACK from long ago", |s, _| {
        let mut s = s.without_payload();
        s.set_ack(s.ack().wrapping_sub(0x0100_0000));
        Some(s.build())
    }),
    ("old timestamp", |s, _| {
        s.with_stamp(-1_000_000, b"stale text")
    }),
    ("future timestamp", |s, _| {
        // Inside of the window it would be the peer's word.
        s.at(s.seq().wrapping_add(0x0200_0000))
            .with_stamp(1_000_000, b"early text")
    }),
    ("bad TCP checksum", |s, _| {
        let mut frame = s.build();
        frame[50] ^= 0x55;
        Some(frame)
    }),
    ("bad IP checksum", |s, _| {
        let mut frame = s.build();
        frame[24] ^= 0x55;
        Some(frame)
    }),
    ("truncated", |s, _| {
        let mut frame = s.build();
        frame.truncate(44);
        Some(frame)
    }),
    ("oversized", |s, _| {
        let mut frame = s.build();
        frame.resize(2_000, 0xee);
        Some(frame)
    }),
    ("options in another order", options_in_another_order),
    ("options with garbage behind their end", |s, _| {
        s.with_options(&[&[0, 99, 7, 255]])
    }),
    ("unknown option", |s, _| s.with_options(&[&[254, 4, 1, 2]])),
    ("option without length", |s, _| {
        s.with_options(&[&[8, 0, 1, 1]])
    }),
    ("option longer than the header", |s, _| {
        s.with_options(&[&[5, 34, 1, 1]])
    }),
];

/// What the end of the segment before and the first half of this one have in one.
fn overlap_in_front(s: &Segment, before: &Segment) -> Option<Vec<u8>> {
    let length = before.payload.len();
    let follows = length > 0 && before.seq().wrapping_add(length as u32) == s.seq();
    if !follows || s.payload.is_empty() {
        return None;
    }
    let back = length.min(600);
    let head = &before.payload[length - back..];
    let payload = [head, &s.payload[..s.payload.len() / 2]].concat();
    Some(
        s.at(s.seq().wrapping_sub(back as u32))
            .with_payload(&payload)
            .build(),
    )
}

/// Timestamps, a report of long ago, and padding, in one of the orders that stacks may choose;
/// `None` without timestamps.
fn options_in_another_order(s: &Segment, _: &Segment) -> Option<Vec<u8>> {
    let at = s.stamps()?;
    let (stamps, sack) = (
        &s.options[at..at + 10],
        &[5, 10, 0, 0, 0, 1, 0, 0, 0, 2][..],
    );
    let (nop, end) = (&[1][..], &[0, 0][..]);
    let orders = [
        &[stamps, sack, end][..],
        &[sack, stamps, end],
        &[nop, sack, nop, nop, stamps],
        &[sack, nop, nop, stamps, end],
        &[nop, nop, stamps, nop, nop, sack],
        &[nop, nop, nop, nop, nop, nop, nop, stamps, end],
    ];
    let mut ordered = s.clone();
    ordered.options.clear();
    let position = s.seq().wrapping_add(s.ack()) as usize;
    ordered.with_options(orders[position % orders.len()])
}

/// A TCP segment over IPv4 without IP options.
#[derive(Clone, Debug)]
pub struct Segment {
    ethernet: [u8; 14],
    ip: [u8; 20],
    tcp: [u8; 20],
    options: Vec<u8>,
    payload: Vec<u8>,
}

impl Segment {
    /// Of a frame that carries one; only if it neither opens nor breaks a connection.
    fn of(frame: &[u8]) -> Option<Self> {
        let is_tcp = frame.len() >= 54 && frame[12..15] == [8, 0, 0x45] && frame[23] == 6;
        if !is_tcp || frame[47] & 0x06 != 0 {
            return None;
        }
        let total = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
        let header = usize::from(frame[46] >> 4) * 4;
        Some(Self {
            ethernet: frame[..14].try_into().ok()?,
            ip: frame[14..34].try_into().ok()?,
            tcp: frame[34..54].try_into().ok()?,
            options: known(frame.get(54..34 + header)?).to_vec(),
            payload: frame.get(34 + header..14 + total)?.to_vec(),
        })
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_be_bytes([
            self.tcp[at],
            self.tcp[at + 1],
            self.tcp[at + 2],
            self.tcp[at + 3],
        ])
    }

    fn seq(&self) -> u32 {
        self.word(4)
    }

    fn ack(&self) -> u32 {
        self.word(8)
    }

    fn set_ack(&mut self, ack: u32) {
        self.tcp[8..12].copy_from_slice(&ack.to_be_bytes());
    }

    fn at(&self, seq: u32) -> Self {
        let mut moved = self.clone();
        moved.tcp[4..8].copy_from_slice(&seq.to_be_bytes());
        moved
    }

    fn with_payload(&self, payload: &[u8]) -> Self {
        Self {
            payload: payload.to_vec(),
            ..self.clone()
        }
    }

    fn without_payload(&self) -> Self {
        let mut bare = self.with_payload(b"");
        bare.tcp[13] &= !0x09;
        bare
    }

    /// Bytes `from..to` of the payload, in their place.
    fn cut(&self, from: usize, to: usize) -> Self {
        let mut cut = self.at(self.seq().wrapping_add(from as u32));
        cut.payload = self.payload[from..to].to_vec();
        cut.tcp[13] &= !0x01;
        cut
    }

    /// Where the timestamps option begins.
    fn stamps(&self) -> Option<usize> {
        self.options.windows(2).position(|pair| pair == [8, 10])
    }

    /// With text of its own and TSval moved by `ticks`; `None` without timestamps.
    fn with_stamp(&self, ticks: i32, text: &[u8]) -> Option<Vec<u8>> {
        let mut s = self.with_payload(text);
        let at = s.stamps()? + 2;
        let value = u32::from_be_bytes(s.options[at..at + 4].try_into().ok()?);
        let value = value.wrapping_add_signed(ticks);
        s.options[at..at + 4].copy_from_slice(&value.to_be_bytes());
        Some(s.build())
    }

    /// With `more` behind the options, padded; `None` if that does not fit.
    fn with_options(&self, more: &[&[u8]]) -> Option<Vec<u8>> {
        let mut s = self.clone();
        s.options.extend(more.concat());
        s.options.resize(s.options.len().next_multiple_of(4), 1);
        let fits = s.options.len() <= 40 && s.options.len() + s.payload.len() <= 1_460;
        fits.then(|| s.build())
    }

    /// The frame, with right lengths and checksums, the options padded with EOL.
    fn build(&self) -> Vec<u8> {
        let (mut ip, mut tcp) = (self.ip, self.tcp.to_vec());
        tcp.extend(&self.options);
        tcp.resize(tcp.len().next_multiple_of(4), 0);
        tcp[12] = (tcp.len() as u8 / 4) << 4;
        tcp[16..18].fill(0);
        tcp.extend(&self.payload);
        ip[2..4].copy_from_slice(&(20 + tcp.len() as u16).to_be_bytes());
        ip[10..12].fill(0);
        let length = (tcp.len() as u16).to_be_bytes();
        let sum = checksum(&[&ip[12..20], &[0, 6], &length, &tcp]);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        let sum = checksum(&[&ip]);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        let mut frame = [&self.ethernet[..], &ip, &tcp].concat();
        frame.resize(frame.len().max(60), 0);
        frame
    }
}

/// The options before their end: what stands behind an EOL (RFC 9293 §3.2), with which some
/// stacks pad, is no option.
fn known(options: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some(&kind) = options.get(at) {
        at += match kind {
            0 => return &options[..at],
            1 => 1,
            _ => options
                .get(at + 1)
                .map_or(1, |&length| usize::from(length.max(2))),
        };
    }
    options
}

/// The Internet checksum (RFC 1071); only the last part may have an odd length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let octets = parts.concat();
    let words = octets.chunks(2);
    let mut sum: u64 = words
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The wire: port `a` is the NIC's, port `b` the peer's.
#[derive(Debug)]
pub struct Meddler {
    ports: [PortSpec; 2],
    leaving: BTreeMap<(Time, u64), (usize, Bytes)>,
    sequence: u64,
    /// Segments towards the NIC, the newest last.
    seen: VecDeque<Segment>,
    next: usize,
    /// How often each kind was added.
    pub added: BTreeMap<&'static str, u64>,
    /// Segments that were held back for later ones to overtake them.
    pub overtaken: u64,
}

/// How many segments back an old duplicate lies.
const OLD: usize = 24;
/// One segment in so many is held back; prime to the number of kinds.
const HELD_BACK: usize = 9;
/// For so long: one or several segments of the line rate overtake it.
const HOLD: Time = Time::from_ns(700);
/// From a segment to what is added: frames of the line rate stay apart.
const BEHIND: Time = Time::from_ns(150);

impl Meddler {
    /// A wire that has seen nothing.
    pub fn new() -> Self {
        Self {
            ports: ["a", "b"].map(|port| PortSpec::new(port, Protocol::Ethernet)),
            leaving: BTreeMap::new(),
            sequence: 0,
            seen: VecDeque::new(),
            next: 0,
            added: BTreeMap::new(),
            overtaken: 0,
        }
    }

    fn leave(&mut self, at: Time, port: usize, frame: Bytes) {
        self.leaving.insert((at, self.sequence), (port, frame));
        self.sequence += 1;
    }

    fn enter(&mut self, at: Time, port: usize, frame: Bytes) {
        let Some(segment) = Segment::of(&frame).filter(|_| port == 1) else {
            return self.leave(at, 1 - port, frame);
        };
        let held_back = self.next.is_multiple_of(HELD_BACK);
        self.overtaken += u64::from(held_back);
        self.leave(if held_back { at + HOLD } else { at }, 0, frame);
        let (name, make) = KINDS[self.next % KINDS.len()];
        self.next += 1;
        let other = if name == "old duplicate" {
            self.seen.front()
        } else {
            self.seen.back()
        };
        if let Some(frame) = other.and_then(|other| make(&segment, other)) {
            *self.added.entry(name).or_default() += 1;
            self.leave(at + BEHIND, 0, frame.into());
        }
        self.seen.push_back(segment);
        if self.seen.len() > OLD {
            self.seen.pop_front();
        }
    }
}

impl Component for Meddler {
    fn name(&self) -> &str {
        "meddler"
    }

    fn ports(&self) -> &[PortSpec] {
        &self.ports
    }

    fn next_action(&self) -> Time {
        let first = self.leaving.first_key_value();
        first.map_or(Time::NEVER, |(&(at, _), _)| at)
    }

    fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
        loop {
            let next = self.next_action();
            if let Some((at, port, message)) = io.pop_before(horizon.min(next + Time::from_ps(1))) {
                if let Message::Frame(frame) = message {
                    self.enter(at, port, frame);
                }
            } else if next < horizon {
                if let Some(((at, _), (port, frame))) = self.leaving.pop_first() {
                    io.send(port, at, Message::Frame(frame));
                }
            } else {
                return Ok(());
            }
        }
    }

    fn finished_at(&self) -> Option<Time> {
        Some(Time::ZERO)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
