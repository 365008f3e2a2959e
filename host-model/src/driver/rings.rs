//! The rings of a context in host memory: descriptors to the NIC, records from it.
//!
//! Indices are free-running 32-bit counts; modulo the ring's length they are slots.

use hallux_toe::interface::{DESCRIPTOR_BYTES, Descriptor, Record, context, push, register};

use crate::driver::bus::Bus;
use crate::iommu::{DmaMemory, Purpose, Rights};
use crate::memory::{Memory, OutOfMemory};

/// Offset of register `offset` of the page of context `number`.
fn page(number: u8, offset: u64) -> u64 {
    register::CONTEXT + u64::from(number) * register::CONTEXT_STRIDE + offset
}

/// The phase bit of the entry with free-running index `index` in a ring of 2^`log2`
/// entries: 1 in the first pass.
fn phase(index: u32, log2: u8) -> bool {
    index >> log2 & 1 == 0
}

/// Descriptors of one context, host to NIC. The doorbell is rung for a batch.
#[derive(Debug)]
pub struct DescriptorRing {
    number: u8,
    base: u64,
    log2: u8,
    consumed_address: u64,
    /// Descriptors written so far.
    tail: u32,
    /// Descriptors the NIC was told of.
    rung: u32,
}

impl DescriptorRing {
    /// Descriptors the ring holds.
    pub fn capacity(&self) -> u32 {
        1 << self.log2
    }

    /// Descriptors written so far, modulo 2^32.
    pub fn written(&self) -> u32 {
        self.tail
    }

    /// True if no slot is free. The NIC counts in host memory what it consumed, so no
    /// register is read.
    pub fn is_full(&self, memory: &Memory) -> bool {
        let consumed = memory.read_u64(self.consumed_address) as u32;
        // A count beyond what was written would be the NIC's error; it must not let the
        // driver overwrite descriptors.
        let outstanding = self.tail.wrapping_sub(consumed);
        outstanding >= self.capacity()
    }

    /// Writes a descriptor; false if the ring is full.
    pub fn push(&mut self, descriptor: &Descriptor, memory: &mut Memory) -> bool {
        if self.is_full(memory) {
            return false;
        }
        let slot = u64::from(self.tail & (self.capacity() - 1));
        let bytes = descriptor.encode(phase(self.tail, self.log2));
        memory.write(self.base + slot * DESCRIPTOR_BYTES, &bytes);
        self.tail = self.tail.wrapping_add(1);
        true
    }

    /// Tells the NIC of descriptors written since the last call; true if there were any.
    pub fn ring(&mut self, bus: &mut Bus) -> bool {
        let new = self.tail != self.rung;
        if new {
            bus.write(
                page(self.number, context::DESCRIPTOR_TAIL),
                u64::from(self.tail),
            );
            self.rung = self.tail;
        }
        new
    }
}

/// Posts a descriptor with its payload, at most [`push::PAYLOAD_BYTES`] bytes that stand at
/// bus address `address`, into the push slot of context `number`.
pub fn push_slot(number: u8, descriptor: &Push, memory: &Memory, bus: &mut Bus) {
    let &Push {
        flow,
        generation,
        rx_bump,
        tx_bump,
        address,
    } = descriptor;
    let mut payload = vec![0; (tx_bump as usize).next_multiple_of(8)];
    memory.read(address, &mut payload[..tx_bump as usize]);
    let mut words = vec![
        address,
        u64::from(rx_bump) | u64::from(tx_bump) << 32,
        u64::from(flow) | u64::from(generation) << 16 | u64::from(tx_bump) << 32,
    ];
    let octets = payload.chunks_exact(8);
    words.extend(octets.map(|word| word.iter().rev().fold(0, |w, &b| w << 8 | u64::from(b))));
    bus.write_words(page(number, push::SLOT), &words);
}

/// A connection update whose released bytes are pushed with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Push {
    /// Flow id.
    pub flow: u16,
    /// Generation of the flow id.
    pub generation: u8,
    /// Bytes that the application has consumed.
    pub rx_bump: u32,
    /// Bytes that are released, all of them pushed.
    pub tx_bump: u32,
    /// Bus address of the first.
    pub address: u64,
}

/// Records of one context, NIC to host. The phase bit tells a new record from an old one.
#[derive(Debug)]
pub struct RecordRing {
    number: u8,
    base: u64,
    log2: u8,
    /// Records consumed so far.
    head: u32,
    /// Head as the NIC knows it.
    told: u32,
    armed: bool,
}

impl RecordRing {
    /// Records the ring holds.
    pub fn capacity(&self) -> u32 {
        1 << self.log2
    }

    /// True if a record waits.
    pub fn has_record(&self, memory: &Memory) -> bool {
        let mut last = [0];
        memory.read(self.slot() + DESCRIPTOR_BYTES - 1, &mut last);
        (last[0] >> 7 == 1) == phase(self.head, self.log2)
    }

    /// Takes the next record. The NIC learns of free space when a quarter of the ring was
    /// consumed, at the latest in [`arm`](Self::arm).
    pub fn pop(&mut self, memory: &Memory, bus: &mut Bus) -> Option<Record> {
        let mut bytes = [0; DESCRIPTOR_BYTES as usize];
        memory.read(self.slot(), &mut bytes);
        let record = Record::decode(&bytes);
        if record.phase != phase(self.head, self.log2) {
            return None;
        }
        self.head = self.head.wrapping_add(1);
        if self.head.wrapping_sub(self.told) >= self.capacity() / 4 {
            self.tell(bus);
        }
        Some(record)
    }

    /// Asks for one interrupt as soon as there are more records than were consumed. The
    /// NIC compares counts, so a record that arrives between the last look and the arming
    /// raises it at once and no wake-up is lost.
    pub fn arm(&mut self, bus: &mut Bus) {
        self.tell(bus);
        if !self.armed {
            bus.write(
                page(self.number, context::INTERRUPT_ARM),
                u64::from(self.head),
            );
            self.armed = true;
        }
    }

    /// Notes that the interrupt came: it must be armed again.
    pub fn interrupted(&mut self) {
        self.armed = false;
    }

    /// True while an interrupt is armed.
    pub fn is_armed(&self) -> bool {
        self.armed
    }

    /// Bus addresses of the ring's bytes.
    pub fn addresses(&self) -> std::ops::Range<u64> {
        self.base..self.base + u64::from(self.capacity()) * DESCRIPTOR_BYTES
    }

    fn slot(&self) -> u64 {
        self.base + u64::from(self.head & (self.capacity() - 1)) * DESCRIPTOR_BYTES
    }

    fn tell(&mut self, bus: &mut Bus) {
        if self.told != self.head {
            bus.write(
                page(self.number, context::RECORD_HEAD),
                u64::from(self.head),
            );
            self.told = self.head;
        }
    }
}

/// One context: a pair of rings and an interrupt vector of the same number.
#[derive(Debug)]
pub struct Context {
    /// Host to NIC.
    pub descriptors: DescriptorRing,
    /// NIC to host.
    pub records: RecordRing,
}

impl Context {
    /// Allocates the rings of context `number`, tells the NIC where they are and enables
    /// the context. Lengths are 2^`descriptor_log2` and 2^`record_log2` entries.
    ///
    /// # Errors
    ///
    /// If the memory is exhausted.
    pub fn set_up(
        number: u8,
        descriptor_log2: u8,
        record_log2: u8,
        dma: &mut DmaMemory,
        bus: &mut Bus,
    ) -> Result<Self, OutOfMemory> {
        let context = number;
        let descriptors = dma.allocate(
            DESCRIPTOR_BYTES << descriptor_log2,
            Rights::Read,
            Purpose::Descriptors { context },
        )?;
        let records = dma.allocate(
            DESCRIPTOR_BYTES << record_log2,
            Rights::Write,
            Purpose::Records { context },
        )?;
        let consumed_address = dma.allocate(8, Rights::Write, Purpose::Consumed { context })?;
        for (offset, value) in [
            (context::DESCRIPTOR_BASE, descriptors),
            (context::DESCRIPTOR_LOG2, u64::from(descriptor_log2)),
            (context::RECORD_BASE, records),
            (context::RECORD_LOG2, u64::from(record_log2)),
            (context::CONSUMED_ADDRESS, consumed_address),
            (context::ENABLE, 1),
        ] {
            bus.write(page(number, offset), value);
        }
        Ok(Self {
            descriptors: DescriptorRing {
                number,
                base: descriptors,
                log2: descriptor_log2,
                consumed_address,
                tail: 0,
                rung: 0,
            },
            records: RecordRing {
                number,
                base: records,
                log2: record_log2,
                head: 0,
                told: 0,
                armed: false,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MEMORY_BASE;
    use hallux_channel::Message;

    const FRAME: Descriptor = Descriptor::SendFrame {
        address: 0x40,
        length: 60,
    };

    fn context() -> (Context, DmaMemory, Bus) {
        let mut dma = DmaMemory::new(Memory::new(MEMORY_BASE, 1 << 20));
        let mut bus = Bus::default();
        let context = Context::set_up(2, 2, 4, &mut dma, &mut bus).unwrap();
        while bus.take_outgoing().is_some() {}
        (context, dma, bus)
    }

    fn write_of(bus: &mut Bus) -> Option<(u64, u64)> {
        match bus.take_outgoing()? {
            Message::MmioWrite { offset, data, .. } => {
                Some((offset, u64::from_le_bytes(data[..].try_into().unwrap())))
            }
            _ => None,
        }
    }

    #[test]
    fn one_doorbell_announces_a_batch_and_a_full_ring_waits_for_the_nic() {
        let (mut context, mut dma, mut bus) = context();
        let ring = &mut context.descriptors;
        for _ in 0..4 {
            assert!(ring.push(&FRAME, &mut dma.memory));
        }
        assert!(!ring.push(&FRAME, &mut dma.memory), "four slots");
        assert!(ring.ring(&mut bus));
        assert!(!ring.ring(&mut bus));
        assert_eq!(write_of(&mut bus), Some((0x3000, 4)));
        assert_eq!(write_of(&mut bus), None);
        dma.memory
            .write(ring.consumed_address, &1_u64.to_le_bytes());
        assert!(ring.push(&FRAME, &mut dma.memory));
        let mut phase = [0];
        dma.memory.read(ring.base + 31, &mut phase);
        assert_eq!(phase[0] >> 7, 0, "the second pass has phase 0");
    }

    #[test]
    fn records_are_told_by_phase_over_many_passes() {
        let (mut context, mut dma, mut bus) = context();
        let ring = &mut context.records;
        for index in 0_u32..50 {
            assert!(!ring.has_record(&dma.memory));
            assert_eq!(ring.pop(&dma.memory, &mut bus), None);
            let record = Record {
                value: index,
                read_lost: false,
                phase: phase(index, 4),
                ..Record::decode(&[0; 32])
            };
            let slot = ring.base + u64::from(index % 16) * DESCRIPTOR_BYTES;
            dma.memory.write(slot, &record.encode());
            assert!(ring.has_record(&dma.memory));
            assert_eq!(ring.pop(&dma.memory, &mut bus), Some(record));
        }
        let told: Vec<_> = std::iter::from_fn(|| write_of(&mut bus)).collect();
        assert_eq!(
            told.len(),
            12,
            "the head is written every quarter of the ring"
        );
        assert_eq!(told[0], (0x3008, 4));
    }

    #[test]
    fn arming_tells_the_head_and_happens_once_per_interrupt() {
        let (mut context, mut dma, mut bus) = context();
        let ring = &mut context.records;
        let record = Record {
            read_lost: false,
            phase: true,
            ..Record::decode(&[0; 32])
        };
        dma.memory.write(ring.base, &record.encode());
        ring.pop(&dma.memory, &mut bus).unwrap();
        ring.arm(&mut bus);
        ring.arm(&mut bus);
        assert_eq!(write_of(&mut bus), Some((0x3008, 1)));
        assert_eq!(write_of(&mut bus), Some((0x3010, 1)));
        assert_eq!(write_of(&mut bus), None);
        ring.interrupted();
        ring.arm(&mut bus);
        assert_eq!(write_of(&mut bus), Some((0x3010, 1)));
    }
}
