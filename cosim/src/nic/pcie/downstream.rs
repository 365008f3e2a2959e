//! From the root complex to the device: completions and MMIO.

use super::traffic::Cost;
use super::{LinkParameters, Traffic, tlp};
use crate::nic::bits::{BeatData, MAX_BUS_BYTES};
use bytes::Bytes;
use hallux_channel::{Random, Time};
use std::collections::{BTreeMap, VecDeque};

/// One beat of a read completion; the fields of `channels::Completion`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletionBeat {
    /// Tag of the request.
    pub tag: u8,
    /// Byte offset in the request, a multiple of the bus width.
    pub offset: u16,
    /// Data, justified to byte 0; bytes past `bytes` are zero.
    pub data: BeatData,
    /// Valid bytes.
    pub bytes: u8,
    /// Nothing of the request is missing after this beat.
    pub last: bool,
    /// With `last`: the request was given up, and its data are all ones.
    pub poisoned: bool,
}

/// A read in flight.
#[derive(Debug)]
struct Read {
    address: u64,
    length: u64,
    data: Bytes,
    /// Bytes that have arrived from the start of the request.
    arrived: u64,
    /// Bytes that have been put into beats.
    cut: u64,
    /// It was given up.
    poisoned: bool,
}

/// One access of the host, at most eight bytes that lie in one 64-bit word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub bar: u8,
    /// Byte offset of the first byte.
    pub offset: u64,
    pub length: u8,
    /// `None` for a read.
    pub write: Option<u64>,
    /// Which host request it belongs to.
    pub request: u64,
}

/// What waits for the downstream wire.
#[derive(Debug)]
enum Packet {
    Completion { tag: u8, length: u64 },
    Mmio { bytes: u64, accesses: Vec<Access> },
}

/// Serialises what the root complex sends, and cuts it into what the NIC takes.
#[derive(Debug)]
pub(super) struct Downstream {
    /// Bytes of a beat.
    bus_bytes: u64,
    reads: Vec<Option<Read>>,
    /// Packets by the time they are ready for the wire, then by order of arrival.
    packets: BTreeMap<(Time, u64), Packet>,
    sequence: u64,
    free_at: Time,
    beats: VecDeque<(Time, u8, u64)>,
    accesses: VecDeque<(Time, Access)>,
    random: Random,
}

impl Downstream {
    pub(super) fn new(link: &LinkParameters, bus_bytes: usize, random: Random) -> Self {
        Self {
            bus_bytes: bus_bytes as u64,
            reads: (0..link.tags).map(|_| None).collect(),
            packets: BTreeMap::new(),
            sequence: 0,
            free_at: Time::ZERO,
            beats: VecDeque::new(),
            accesses: VecDeque::new(),
            random,
        }
    }

    /// Number of reads in flight.
    pub(super) fn reads_in_flight(&self) -> usize {
        self.reads.iter().flatten().count()
    }

    /// Address and length of the read in flight with this tag.
    pub(super) fn read(&self, tag: u8) -> Option<(u64, u64)> {
        let read = self.reads.get(usize::from(tag))?.as_ref()?;
        Some((read.address, read.length))
    }

    /// Starts a read.
    pub(super) fn start(&mut self, tag: u8, address: u64, length: u64) {
        self.reads[usize::from(tag)] = Some(Read {
            address,
            length,
            data: Bytes::new(),
            arrived: 0,
            cut: 0,
            poisoned: false,
        });
    }

    /// The data of a whole read reaches the root complex at `at`: its completions become
    /// ready after the root latency, one after the other.
    pub(super) fn complete(&mut self, at: Time, tag: u8, data: Bytes, link: &LinkParameters) {
        let Some(read) = &mut self.reads[usize::from(tag)] else {
            return;
        };
        read.data = data;
        let (mut address, mut left) = (read.address, read.length);
        let mut ready = at + link.root_latency + spread(&mut self.random, link.root_spread);
        while left > 0 {
            let length =
                tlp::completion_length(address, left, link.max_payload, link.completion_boundary);
            self.packets
                .insert((ready, self.sequence), Packet::Completion { tag, length });
            self.sequence += 1;
            address += length;
            left -= length;
            ready += spread(&mut self.random, link.completion_spread);
        }
    }

    /// Gives the read of `tag` up: the NIC gets all ones in its place (PCIe 4.0 §2.8), from its own
    /// edge, so that the wire is not in it.
    pub(super) fn poison(&mut self, now: Time, tag: u8) {
        let Some(read) = &mut self.reads[usize::from(tag)] else {
            return;
        };
        read.data = vec![0xff; read.length as usize].into();
        read.poisoned = true;
        let at = self.beats.back().map_or(now, |(last, ..)| now.max(*last));
        while read.cut < read.length {
            self.beats.push_back((at, tag, read.cut));
            read.cut = (read.cut + self.bus_bytes).min(read.length);
        }
    }

    /// Forgets all reads. What has been answered still takes its time on the wire, but
    /// nothing of it goes to the NIC.
    pub(super) fn reset(&mut self) {
        self.reads.fill_with(|| None);
        self.beats.clear();
        self.packets
            .retain(|_, packet| matches!(packet, Packet::Mmio { .. }));
    }

    /// An access of the host arrives at `at`; `bytes` is its size on the wire.
    pub(super) fn mmio(&mut self, at: Time, bytes: u64, accesses: Vec<Access>) {
        self.packets
            .insert((at, self.sequence), Packet::Mmio { bytes, accesses });
        self.sequence += 1;
    }

    /// Moves what is ready at `now` over the wire.
    pub(super) fn advance(&mut self, now: Time, link: &LinkParameters, traffic: &mut Traffic) {
        while let Some(entry) = self.packets.first_entry() {
            let ready = entry.key().0;
            if ready > now {
                return;
            }
            let start = self.free_at.max(ready);
            match entry.remove() {
                Packet::Completion { tag, length } => {
                    let Some(read) = &mut self.reads[usize::from(tag)] else {
                        continue;
                    };
                    let bytes = tlp::completion(read.address + read.arrived, length);
                    self.free_at = start + link.wire_time(bytes);
                    traffic.add(Cost::CompletionDown, bytes);
                    read.arrived += length;
                    while read.cut < read.length
                        && (read.arrived == read.length
                            || read.arrived - read.cut >= self.bus_bytes)
                    {
                        self.beats.push_back((self.free_at, tag, read.cut));
                        read.cut = (read.cut + self.bus_bytes).min(read.length);
                    }
                }
                Packet::Mmio { bytes, accesses } => {
                    self.free_at = start + link.wire_time(bytes);
                    let cost = match accesses.first() {
                        Some(Access { write: None, .. }) => Cost::MmioRead,
                        _ => Cost::MmioWrite,
                    };
                    traffic.add(cost, bytes);
                    let arrived = self.free_at;
                    self.accesses
                        .extend(accesses.into_iter().map(|access| (arrived, access)));
                }
            }
        }
    }

    /// The beat that the NIC gets at `now`, if one has arrived.
    pub(super) fn pop_beat(&mut self, now: Time) -> Option<CompletionBeat> {
        let &(at, tag, offset) = self.beats.front()?;
        if at > now {
            return None;
        }
        self.beats.pop_front();
        let slot = &mut self.reads[usize::from(tag)];
        let read = slot.as_ref()?;
        let end = (offset + self.bus_bytes).min(read.length);
        let piece = &read.data[offset as usize..end as usize];
        let mut beat = CompletionBeat {
            tag,
            offset: offset as u16,
            data: [0; MAX_BUS_BYTES],
            bytes: piece.len() as u8,
            last: end == read.length,
            poisoned: read.poisoned && end == read.length,
        };
        beat.data[..piece.len()].copy_from_slice(piece);
        if beat.last {
            *slot = None;
        }
        Some(beat)
    }

    /// The access that is offered to the NIC at `now`.
    pub(super) fn access(&self, now: Time) -> Option<&Access> {
        self.accesses
            .front()
            .filter(|(at, _)| *at <= now)
            .map(|(_, access)| access)
    }

    /// Removes the access that was offered.
    pub(super) fn pop_access(&mut self) -> Option<Access> {
        self.accesses.pop_front().map(|(_, access)| access)
    }

    /// When something next happens without a message.
    pub(super) fn next_due(&self) -> Time {
        let packet = self
            .packets
            .first_key_value()
            .map_or(Time::NEVER, |(key, _)| key.0);
        let beat = self.beats.front().map_or(Time::NEVER, |beat| beat.0);
        let access = self.accesses.front().map_or(Time::NEVER, |access| access.0);
        packet.min(beat).min(access)
    }
}

/// A draw from nothing to `most`, evenly.
fn spread(random: &mut Random, most: Time) -> Time {
    Time::from_ps(random.below(most.ps() + 1))
}
