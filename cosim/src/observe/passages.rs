//! Where everything was and when, in one NIC: the raw material of latency blame.
//!
//! Entries of events into stages, frames at the wire, records and descriptors at PCIe and
//! reads of payload, each with its edge. Nothing is drawn from it while the NIC runs, so
//! that it costs a few stores an event; [`PassageLog`] travels between processes.

use hallux_channel::{Message, Time};
use hallux_toe::interface::{
    BAR, DESCRIPTOR_BYTES, Descriptor, Drop, Record, RecordKind, context, push, register,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Most entries into stages that are kept.
const LIMIT: usize = 8 << 20;
/// Tags from here on are those of descriptor reads.
const DESCRIPTOR_TAGS: u64 = 128;
/// Bits of a read's number that are its tag.
const TAGS: u64 = 0xff;
/// Bit of a ticket at which its kind starts.
const KIND_SHIFT: u32 = 22;
/// Stage at which a received frame first shows its ticket.
const FIRST: &str = "identify";

/// An event enters a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entered {
    /// Edge, in ps.
    pub at: u64,
    /// Number of the stage.
    pub stage: u16,
    /// Ticket.
    pub ticket: u32,
    /// Flow id; 0 also where the stage does not know it yet.
    pub flow: u16,
    /// Clocks in a row in which it had been offered and refused.
    pub refused: u32,
    /// At its first stage: number of the received frame that it is.
    pub frame: Option<u32>,
}

/// A received frame on its way from the MAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameIn {
    /// Edge of its first beat.
    pub first: u64,
    /// Edge of its last beat.
    pub last: u64,
}

/// A record of an event that the host is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordOut {
    /// Edge at which the link took it.
    pub taken: u64,
    /// When its last symbol left.
    pub left: u64,
    /// Flow id.
    pub flow: u16,
    /// Generation of the flow id.
    pub generation: u8,
    /// Received bytes that it announces.
    pub received: u32,
}

/// A descriptor that releases bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescriptorIn {
    /// When the doorbell that announces it arrived; `None` if none was seen.
    pub rung: Option<u64>,
    /// Edge at which its read went out.
    pub asked: u64,
    /// Edge of the read's last beat.
    pub answered: u64,
    /// Flow id.
    pub flow: u16,
    /// Generation of the flow id.
    pub generation: u8,
    /// Bytes released.
    pub released: u32,
    /// It was pushed with its payload, which stands at this bus address too; it was not read, so
    /// all times are those of its arrival.
    pub pushed: Option<u64>,
}

/// A read of payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayloadRead {
    /// Edge at which it went out.
    pub asked: u64,
    /// Edge of its last beat; `None` if it has not come.
    pub answered: Option<u64>,
    /// Tag.
    pub tag: u8,
    /// Bytes.
    pub bytes: u16,
    /// Bus address.
    pub address: u64,
}

/// The log of one NIC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassageLog {
    /// Names of the stages.
    pub stages: Vec<String>,
    /// Clock period, in ps, rounded down.
    pub period: u64,
    /// Entries into stages, in the order of time.
    pub entered: Vec<Entered>,
    /// Received frames.
    pub frames_in: Vec<FrameIn>,
    /// Edges of the first beats of sent frames.
    pub frames_out: Vec<u64>,
    /// Records of connections.
    pub records: Vec<RecordOut>,
    /// Descriptors of connections.
    pub descriptors: Vec<DescriptorIn>,
    /// Bytes of the frames that the control plane sent, in the order of their descriptors.
    pub host_frames: Vec<u16>,
    /// Reads of payload, and of those frames.
    pub reads: Vec<PayloadRead>,
    /// The log had no room for all.
    pub cut: bool,
}

/// A ring of a context.
#[derive(Clone, Copy, Debug, Default)]
struct Ring {
    base: u64,
    log2: u64,
}

impl Ring {
    fn holds(&self, address: u64) -> bool {
        let bytes = DESCRIPTOR_BYTES.checked_shl(self.log2 as u32).unwrap_or(0);
        self.base != 0 && (self.base..self.base.saturating_add(bytes)).contains(&address)
    }
}

/// A context as its registers and its traffic show it.
#[derive(Clone, Debug, Default)]
struct Context {
    descriptors: Ring,
    records: Ring,
    /// Doorbells not passed yet: arrival, and descriptors written by then.
    doorbells: VecDeque<(u64, u64)>,
    /// Descriptors whose reads went out.
    read: u64,
}

/// A read of descriptors under way.
#[derive(Clone, Debug)]
struct Burst {
    asked: u64,
    rung: Vec<Option<u64>>,
    data: Vec<u8>,
}

/// Writes a [`PassageLog`] while a NIC runs.
#[derive(Clone, Debug)]
pub struct PassageRecorder {
    log: PassageLog,
    /// Number of the stage at which frames show their tickets.
    first: Option<usize>,
    in_frame: bool,
    /// Received frames without a ticket.
    unticketed: VecDeque<u32>,
    out_frame: bool,
    contexts: BTreeMap<u64, Context>,
    bursts: BTreeMap<u64, Burst>,
    open_reads: BTreeMap<u64, usize>,
}

impl PassageRecorder {
    /// An empty log of these stages on a clock of this period.
    pub fn new(stages: &[String], period: Time) -> Self {
        Self {
            log: PassageLog {
                stages: stages.to_vec(),
                period: period.ps(),
                ..PassageLog::default()
            },
            first: stages.iter().position(|stage| stage == FIRST),
            in_frame: false,
            unticketed: VecDeque::new(),
            out_frame: false,
            contexts: BTreeMap::new(),
            bursts: BTreeMap::new(),
            open_reads: BTreeMap::new(),
        }
    }

    /// What was recorded.
    pub fn log(&self) -> &PassageLog {
        &self.log
    }

    /// The event `ticket` of `flow` enters a stage that had refused it for `refused`
    /// clocks.
    #[inline]
    pub fn enter(&mut self, now: Time, stage: usize, ticket: u32, flow: u16, refused: u64) {
        if self.log.entered.len() >= LIMIT {
            self.log.cut = true;
            return;
        }
        let is_first = Some(stage) == self.first && ticket >> KIND_SHIFT == 0;
        self.log.entered.push(Entered {
            at: now.ps(),
            stage: stage as u16,
            ticket,
            flow,
            refused: refused as u32,
            frame: is_first.then(|| self.unticketed.pop_front()).flatten(),
        });
    }

    /// A beat of a received frame goes to the NIC.
    #[inline]
    pub fn frame_beat(&mut self, now: Time, last: bool) {
        if !self.in_frame {
            self.unticketed.push_back(self.log.frames_in.len() as u32);
            self.log.frames_in.push(FrameIn {
                first: now.ps(),
                last: now.ps(),
            });
        }
        if let Some(frame) = self.log.frames_in.last_mut() {
            frame.last = now.ps();
        }
        self.in_frame = !last;
    }

    /// A beat of a sent frame leaves.
    #[inline]
    pub fn sent_beat(&mut self, now: Time, last: bool) {
        if !self.out_frame {
            self.log.frames_out.push(now.ps());
        }
        self.out_frame = !last;
    }

    /// A frame was dropped. At its first beat where there is no room; behind its last
    /// where it is found to be wrong; a frame of the control plane long after it got its
    /// ticket.
    pub fn dropped(&mut self, now: Time, reason: u8) {
        let is = |drop: Drop| reason == drop as u8;
        if is(Drop::SlowPathFull) {
            return;
        }
        if is(Drop::Disabled) || is(Drop::BufferFull) {
            let begun = |number: &u32| {
                let frame = self.log.frames_in.get(*number as usize);
                frame.is_some_and(|frame| frame.first < now.ps())
            };
            if let Some(place) = self.unticketed.iter().rposition(begun) {
                self.unticketed.remove(place);
            }
        } else {
            self.unticketed.pop_front();
        }
    }

    /// A message of the host arrives.
    pub fn received(&mut self, at: Time, message: &Message) {
        match message {
            Message::MmioWrite {
                bar, offset, data, ..
            } if *bar == BAR => self.register(at, *offset, data),
            Message::DmaReadCompletion { req_id, data } => {
                let req_id = &(req_id & TAGS);
                if let Some(burst) = self.bursts.get_mut(req_id) {
                    burst.data = data.to_vec();
                }
            }
            _ => {}
        }
    }

    fn register(&mut self, at: Time, offset: u64, data: &[u8]) {
        let Some(place) = offset.checked_sub(register::CONTEXT) else {
            return;
        };
        if offset >= register::COUNTERS {
            return;
        }
        if place % register::CONTEXT_STRIDE == push::SLOT {
            self.log.descriptors.extend(pushed(at, data));
            return;
        }
        let Ok(bytes) = data.try_into() else { return };
        let value = u64::from_le_bytes(bytes);
        let number = place / register::CONTEXT_STRIDE;
        let context = self.contexts.entry(number).or_default();
        match place % register::CONTEXT_STRIDE {
            context::DESCRIPTOR_BASE => context.descriptors.base = value,
            context::DESCRIPTOR_LOG2 => context.descriptors.log2 = value,
            context::RECORD_BASE => context.records.base = value,
            context::RECORD_LOG2 => context.records.log2 = value,
            context::DESCRIPTOR_TAIL => context.doorbells.push_back((at.ps(), value)),
            _ => {}
        }
    }

    /// The NIC hands `message` to the link, which it leaves at `left`.
    pub fn sent(&mut self, now: Time, left: Time, message: &Message) {
        match message {
            Message::DmaWrite { addr, data, .. } => self.written(now, left, *addr, data),
            Message::DmaRead { req_id, addr, len } => {
                // A read that is asked again has a number of its own above its tag.
                let req_id = &(req_id & TAGS);
                if *req_id < DESCRIPTOR_TAGS {
                    self.open_reads.insert(*req_id, self.log.reads.len());
                    self.log.reads.push(PayloadRead {
                        asked: now.ps(),
                        answered: None,
                        tag: *req_id as u8,
                        bytes: *len,
                        address: *addr,
                    });
                } else {
                    self.descriptors_asked(now, *req_id, *addr, *len);
                }
            }
            _ => {}
        }
    }

    fn written(&mut self, now: Time, left: Time, address: u64, data: &[u8]) {
        let is_record = |context: &Context| context.records.holds(address);
        if !self.contexts.values().any(is_record) {
            return;
        }
        // Records that lie side by side in the ring may leave in one write.
        let (records, []) = data.as_chunks::<32>() else {
            return;
        };
        for record in records.iter().map(Record::decode) {
            if record.kind == RecordKind::Update as u8 {
                self.log.records.push(RecordOut {
                    taken: now.ps(),
                    left: left.ps(),
                    flow: record.flow,
                    generation: record.generation,
                    received: record.rx_bump,
                });
            }
        }
    }

    fn descriptors_asked(&mut self, now: Time, tag: u64, address: u64, bytes: u16) {
        let holds = |context: &&mut Context| context.descriptors.holds(address);
        let Some(context) = self.contexts.values_mut().find(holds) else {
            return;
        };
        let count = u64::from(bytes) / DESCRIPTOR_BYTES;
        let rung = (0..count)
            .map(|number| {
                // The first doorbell that counts this descriptor; the register has as many
                // bits as the ring needs, so the count may have wrapped.
                let wanted = context.read + number;
                let counts = |tail: u64| (tail.wrapping_sub(wanted) as u32 as i32) > 0;
                while context
                    .doorbells
                    .front()
                    .is_some_and(|(_, tail)| !counts(*tail))
                {
                    context.doorbells.pop_front();
                }
                context.doorbells.front().map(|(at, _)| *at)
            })
            .collect();
        context.read += count;
        self.bursts.insert(
            tag,
            Burst {
                asked: now.ps(),
                rung,
                data: vec![],
            },
        );
    }

    /// The last beat of the read `tag` goes to the NIC.
    pub fn completed(&mut self, now: Time, tag: u8) {
        let tag = u64::from(tag);
        if let Some(index) = self.open_reads.remove(&tag) {
            self.log.reads[index].answered = Some(now.ps());
        }
        let Some(burst) = self.bursts.remove(&tag) else {
            return;
        };
        let descriptors = burst.data.chunks_exact(DESCRIPTOR_BYTES as usize);
        for (bytes, rung) in descriptors.zip(burst.rung) {
            let Ok(bytes) = <&[u8; 32]>::try_from(bytes) else {
                continue;
            };
            match Descriptor::decode(bytes) {
                Some(Descriptor::Update {
                    flow,
                    generation,
                    tx_bump,
                    ..
                }) => self.log.descriptors.push(DescriptorIn {
                    rung,
                    asked: burst.asked,
                    answered: now.ps(),
                    flow,
                    generation,
                    released: tx_bump,
                    pushed: None,
                }),
                Some(Descriptor::SendFrame { length, .. }) => self.log.host_frames.push(length),
                None => {}
            }
        }
    }
}

/// The descriptor of a push; `None` if its words are not all there.
fn pushed(at: Time, data: &[u8]) -> Option<DescriptorIn> {
    let word = |number: usize| {
        let bytes = data.get(8 * number..8 * number + 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    };
    let (address, bumps) = (word(0)?, word(1)?);
    let flow = word(push::FLOW_WORD as usize)?;
    Some(DescriptorIn {
        rung: Some(at.ps()),
        asked: at.ps(),
        answered: at.ps(),
        flow: flow as u16,
        generation: (flow >> 16) as u8,
        released: (bumps >> 32) as u32,
        pushed: Some(address),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder() -> PassageRecorder {
        PassageRecorder::new(&["identify".into(), "protocol".into()], Time::from_ns(4))
    }

    fn write(recorder: &mut PassageRecorder, at: u64, place: u64, value: u64) {
        let message = Message::MmioWrite {
            req_id: 0,
            bar: BAR,
            offset: register::CONTEXT + register::CONTEXT_STRIDE + place,
            data: value.to_le_bytes().to_vec().into(),
            posted: true,
        };
        recorder.received(Time::from_ps(at), &message);
    }

    #[test]
    fn tickets_go_to_the_frames_that_were_not_dropped() {
        let mut recorder = recorder();
        let at = Time::from_ns;
        for frame in 0..4 {
            recorder.frame_beat(at(10 * frame), false);
            recorder.frame_beat(at(10 * frame + 4), true);
            match frame {
                // Wrong: the oldest without a ticket.
                1 => recorder.dropped(at(18), Drop::TcpChecksum as u8),
                // No room: the one that has just begun.
                3 => recorder.dropped(at(35), Drop::BufferFull as u8),
                _ => {}
            }
        }
        recorder.enter(at(50), 0, 0, 0, 0);
        recorder.enter(at(54), 0, 1, 0, 2);
        let frames: Vec<_> = recorder.log().entered.iter().map(|e| e.frame).collect();
        assert_eq!(frames, [Some(1), Some(2)]);
        assert_eq!(recorder.log().entered[1].refused, 2);
    }

    #[test]
    fn a_descriptor_knows_the_doorbell_that_announced_it() {
        let mut recorder = recorder();
        write(&mut recorder, 0, context::DESCRIPTOR_BASE, 0x1_0000);
        write(&mut recorder, 0, context::DESCRIPTOR_LOG2, 6);
        write(&mut recorder, 100, context::DESCRIPTOR_TAIL, 1);
        write(&mut recorder, 200, context::DESCRIPTOR_TAIL, 3);
        let read = Message::DmaRead {
            req_id: 130,
            addr: 0x1_0000,
            len: 64,
        };
        recorder.sent(Time::from_ps(300), Time::from_ps(310), &read);
        let descriptor = |tx_bump| Descriptor::Update {
            flow: 7,
            generation: 1,
            rx_bump: 0,
            tx_bump,
            finish: false,
        };
        let data = [descriptor(64), descriptor(65)]
            .map(|d| d.encode(true))
            .concat();
        let answer = Message::DmaReadCompletion {
            req_id: 130,
            data: data.into(),
        };
        recorder.received(Time::from_ps(900), &answer);
        recorder.completed(Time::from_ps(1_000), 130);
        let seen = recorder.log().descriptors.iter();
        let seen: Vec<_> = seen.map(|d| (d.rung, d.released, d.answered)).collect();
        assert_eq!(seen, [(Some(100), 64, 1_000), (Some(200), 65, 1_000)]);
    }

    #[test]
    fn a_push_is_a_descriptor_that_came_by_itself() {
        let mut recorder = recorder();
        let words = [0x7_1000, 5 | 24 << 32, 9 | 2 << 16 | 24 << 32, 1, 2, 3];
        let data: Vec<u8> = words.iter().flat_map(|w: &u64| w.to_le_bytes()).collect();
        for bytes in [20, 48] {
            let message = Message::MmioWrite {
                req_id: 0,
                bar: BAR,
                offset: register::CONTEXT + 3 * register::CONTEXT_STRIDE + push::SLOT,
                data: data[..bytes].to_vec().into(),
                posted: true,
            };
            recorder.received(Time::from_ps(400), &message);
        }
        let seen = &recorder.log().descriptors;
        assert_eq!(seen.len(), 1, "one that breaks off is none");
        assert_eq!((seen[0].flow, seen[0].generation), (9, 2));
        assert_eq!((seen[0].released, seen[0].pushed), (24, Some(0x7_1000)));
        assert_eq!((seen[0].rung, seen[0].answered), (Some(400), 400));
    }

    #[test]
    fn only_what_lies_in_a_ring_is_a_record() {
        let mut recorder = recorder();
        write(&mut recorder, 0, context::RECORD_BASE, 0x2_0000);
        write(&mut recorder, 0, context::RECORD_LOG2, 4);
        let record = Record {
            kind: RecordKind::Update as u8,
            rx_bump: 64,
            tx_bump: 0,
            opaque: 0,
            flow: 3,
            generation: 1,
            flags: 0,
            length: 0,
            opcode: 0,
            status: 0,
            value: 0,
            read_lost: false,
            phase: true,
        };
        for addr in [0x1_ffe0, 0x2_0000, 0x2_01e0, 0x2_0200] {
            let message = Message::DmaWrite {
                req_id: 0,
                addr,
                data: record.encode().to_vec().into(),
            };
            recorder.sent(Time::from_ps(addr), Time::from_ps(addr + 1), &message);
        }
        let seen: Vec<_> = recorder.log().records.iter().map(|r| r.taken).collect();
        assert_eq!(seen, [0x2_0000, 0x2_01e0]);
    }
}
