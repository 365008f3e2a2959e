//! The rings of one application context: descriptors in, records and interrupts out.

use hallux_channel::Time;
use hallux_toe::interface::{DESCRIPTOR_BYTES, Record, RecordKind, context};
use std::collections::{BTreeMap, VecDeque};

/// Records of context 0 that frames leave free for completions of commands.
const RESERVED: u32 = 16;
/// Descriptors of one fetch.
const BURST: u32 = 4;

/// What the rings ask of the NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Write `data` to host memory.
    Write { address: u64, data: Vec<u8> },
    /// Raise the context's interrupt.
    Interrupt,
    /// Fetch descriptors.
    Fetch { address: u64, count: u32 },
}

/// One context.
#[derive(Debug, Default)]
pub(super) struct Context {
    enabled: bool,
    descriptor_base: u64,
    descriptor_log2: u32,
    /// Descriptors written by the host, and fetched by us.
    tail: u32,
    fetched: u32,
    fetching: bool,
    consumed_address: u64,
    record_base: u64,
    record_log2: u32,
    /// Records consumed by the host, and posted by us.
    head: u32,
    posted: u32,
    armed: Option<u32>,
    /// Least time from one interrupt to the next, in ns, and when the next may be raised.
    pub(super) interrupt_interval: u32,
    pub(super) next_interrupt: Time,
    /// Updates that found the ring full, by flow, in the order of their first.
    held: BTreeMap<u16, Record>,
    order: VecDeque<u16>,
}

impl Context {
    /// A write to the register at byte `offset` of the context's page.
    pub(super) fn write(&mut self, offset: u64, value: u64, out: &mut Vec<Request>) {
        match offset {
            context::DESCRIPTOR_TAIL => {
                self.tail = value as u32;
                self.fetch(out);
            }
            context::RECORD_HEAD => {
                self.head = value as u32;
                self.drain(out);
            }
            context::INTERRUPT_ARM => {
                self.armed = Some(value as u32);
                self.interrupt(out);
            }
            context::DESCRIPTOR_BASE => self.descriptor_base = value,
            context::DESCRIPTOR_LOG2 => self.descriptor_log2 = (value as u32).min(16),
            context::RECORD_BASE => self.record_base = value,
            context::RECORD_LOG2 => self.record_log2 = (value as u32).min(16),
            context::CONSUMED_ADDRESS => self.consumed_address = value,
            context::INTERRUPT_INTERVAL => self.interrupt_interval = value as u32,
            context::ENABLE => {
                self.enabled = value & 1 == 1;
                if !self.enabled {
                    *self = Self {
                        descriptor_base: self.descriptor_base,
                        descriptor_log2: self.descriptor_log2,
                        consumed_address: self.consumed_address,
                        record_base: self.record_base,
                        record_log2: self.record_log2,
                        fetching: self.fetching,
                        interrupt_interval: self.interrupt_interval,
                        next_interrupt: self.next_interrupt,
                        ..Self::default()
                    };
                }
            }
            _ => {}
        }
    }

    /// log2 of the notification ring's length.
    pub(super) fn record_log2(&self) -> u32 {
        self.record_log2
    }

    /// Asks for the next burst, which does not cross the ring's end.
    fn fetch(&mut self, out: &mut Vec<Request>) {
        let waiting = self.tail.wrapping_sub(self.fetched);
        let length = 1 << self.descriptor_log2;
        // A doorbell beyond the ring is a mistake of the host; nothing sane can be read.
        if !self.enabled || self.fetching || waiting == 0 || waiting > length {
            return;
        }
        let slot = self.fetched & (length - 1);
        let count = waiting.min(BURST).min(length - slot);
        self.fetching = true;
        let address = self.descriptor_base + u64::from(slot) * DESCRIPTOR_BYTES;
        out.push(Request::Fetch { address, count });
    }

    /// `count` descriptors have been taken over: says so, and asks for more.
    pub(super) fn fetched(&mut self, count: u32, out: &mut Vec<Request>) {
        self.fetching = false;
        if !self.enabled {
            return;
        }
        self.fetched = self.fetched.wrapping_add(count);
        let data = u64::from(self.fetched).to_le_bytes().to_vec();
        out.push(Request::Write {
            address: self.consumed_address,
            data,
        });
        self.fetch(out);
    }

    fn free(&self) -> u32 {
        (1_u32 << self.record_log2).saturating_sub(self.posted.wrapping_sub(self.head))
    }

    /// A frame of the control plane can be announced.
    pub(super) fn has_room_for_frame(&self) -> bool {
        self.enabled && self.free() > RESERVED.min(1 << self.record_log2 >> 1)
    }

    /// Posts a record. An update that finds the ring full is added to what its flow is
    /// owed; other records are announced only when there is room.
    pub(super) fn post(&mut self, record: Record, out: &mut Vec<Request>) {
        if !self.enabled {
            return;
        }
        if record.kind == RecordKind::Update as u8
            && (self.free() == 0 || self.held.contains_key(&record.flow))
        {
            match self.held.get_mut(&record.flow) {
                Some(held) => {
                    held.rx_bump = held.rx_bump.wrapping_add(record.rx_bump);
                    held.tx_bump = held.tx_bump.wrapping_add(record.tx_bump);
                    held.flags |= record.flags;
                    held.read_lost |= record.read_lost;
                    let marked = held.marked().wrapping_add(record.marked());
                    *held = held.with_marked(marked);
                    held.value = record.value;
                    held.generation = record.generation;
                    held.opaque = record.opaque;
                }
                None => {
                    self.held.insert(record.flow, record);
                    self.order.push_back(record.flow);
                }
            }
            return;
        }
        self.write_record(record, out);
    }

    fn write_record(&mut self, mut record: Record, out: &mut Vec<Request>) {
        let slot = self.posted & ((1 << self.record_log2) - 1);
        record.phase = self.posted >> self.record_log2 & 1 == 0;
        let address = self.record_base + u64::from(slot) * DESCRIPTOR_BYTES;
        out.push(Request::Write {
            address,
            data: record.encode().to_vec(),
        });
        self.posted = self.posted.wrapping_add(1);
        self.interrupt(out);
    }

    fn drain(&mut self, out: &mut Vec<Request>) {
        while self.free() > 0 {
            let Some(record) = self
                .order
                .pop_front()
                .and_then(|flow| self.held.remove(&flow))
            else {
                return;
            };
            self.write_record(record, out);
        }
    }

    fn interrupt(&mut self, out: &mut Vec<Request>) {
        if self.armed.is_some_and(|seen| seen != self.posted) {
            self.armed = None;
            out.push(Request::Interrupt);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(flow: u16, bytes: u32) -> Record {
        Record {
            kind: RecordKind::Update as u8,
            rx_bump: bytes,
            tx_bump: 0,
            opaque: 0,
            flow,
            generation: 1,
            flags: 0,
            length: 0,
            opcode: 0,
            status: 0,
            value: 0,
            read_lost: false,
            phase: false,
        }
    }

    fn context() -> Context {
        let mut context = Context::default();
        let mut out = vec![];
        for (register, value) in [
            (context::DESCRIPTOR_BASE, 0x1000),
            (context::DESCRIPTOR_LOG2, 2),
            (context::RECORD_BASE, 0x2000),
            (context::RECORD_LOG2, 1),
            (context::CONSUMED_ADDRESS, 0x3000),
            (context::ENABLE, 1),
        ] {
            context.write(register, value, &mut out);
        }
        assert_eq!(out, []);
        context
    }

    fn records(out: &[Request]) -> Vec<(u64, u32, bool)> {
        let written = out.iter().filter_map(|request| match request {
            Request::Write { address, data } => {
                Some((*address, Record::decode(data.as_slice().try_into().ok()?)))
            }
            _ => None,
        });
        written
            .map(|(address, record)| (address, record.rx_bump, record.phase))
            .collect()
    }

    #[test]
    fn a_full_ring_holds_updates_back_and_adds_them_up() {
        let (mut context, mut out) = (context(), vec![]);
        for bytes in [1, 2, 4, 8] {
            context.post(update(5, bytes), &mut out);
        }
        assert_eq!(records(&out), [(0x2000, 1, true), (0x2020, 2, true)]);
        out.clear();
        context.write(context::RECORD_HEAD, 2, &mut out);
        assert_eq!(records(&out), [(0x2000, 12, false)]);
    }

    #[test]
    fn an_interrupt_is_raised_once_and_never_lost() {
        let (mut context, mut out) = (context(), vec![]);
        context.write(context::INTERRUPT_ARM, 0, &mut out);
        assert_eq!(out, []);
        context.post(update(5, 1), &mut out);
        assert_eq!(out.pop(), Some(Request::Interrupt));
        context.post(update(5, 1), &mut out);
        assert_ne!(out.pop(), Some(Request::Interrupt));
        // Armed with an old count: at once.
        out.clear();
        context.write(context::INTERRUPT_ARM, 1, &mut out);
        assert_eq!(out, [Request::Interrupt]);
    }

    #[test]
    fn bursts_stop_at_the_rings_end_and_the_host_learns_what_was_consumed() {
        let (mut context, mut out) = (context(), vec![]);
        context.write(context::DESCRIPTOR_TAIL, 3, &mut out);
        assert_eq!(
            out,
            [Request::Fetch {
                address: 0x1000,
                count: 3
            }]
        );
        context.write(context::DESCRIPTOR_TAIL, 6, &mut out);
        out.clear();
        context.fetched(3, &mut out);
        let consumed = Request::Write {
            address: 0x3000,
            data: 3_u64.to_le_bytes().to_vec(),
        };
        assert_eq!(
            out,
            [
                consumed,
                Request::Fetch {
                    address: 0x1060,
                    count: 1
                }
            ]
        );
        out.clear();
        context.fetched(1, &mut out);
        assert_eq!(
            out[1],
            Request::Fetch {
                address: 0x1000,
                count: 2
            }
        );
    }
}
