//! Rings of the NIC's `capture` modules: frames that they mirror.
//!
//! ```text
//!  module ══ writes ══► │ entry │ entry │ entry │ …   ring in host memory
//!             then ═══► │ position, counts │          status
//! ```
//!
//! The status says up to which position entries are there. The driver looks at memory only,
//! and gives room back by one register write for all that it has taken.

use hallux_toe::interface::modules::{
    CaptureHeader, CaptureStatus, Slot, capture, module_register,
};
use serde::{Deserialize, Serialize};

use crate::driver::bus::Bus;
use crate::iommu::{DmaMemory, Purpose, Rights};
use crate::memory::{Memory, OutOfMemory};

/// A `capture` module of the NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureModule {
    /// Its number in the design point's list.
    pub module: u8,
    /// Its slot, which says in which direction its frames go.
    pub slot: Slot,
    /// log2 of the bytes of its ring, 12 to 30.
    pub ring_log2: u8,
}

/// A mirrored frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirroredFrame {
    /// Number of the module.
    pub module: u8,
    /// Its slot.
    pub slot: Slot,
    /// Time in the NIC when the frame began, in ns.
    pub time: u64,
    /// Bytes of the whole frame.
    pub original: u32,
    /// Its first bytes, as many as the module kept.
    pub bytes: Vec<u8>,
}

/// The ring of one module.
#[derive(Debug)]
pub struct CaptureRing {
    of: CaptureModule,
    base: u64,
    status: u64,
    /// Position up to which entries were taken.
    consumed: u64,
    malformed: bool,
}

impl CaptureRing {
    /// Allocates the ring, tells the module where it is and sets it going.
    ///
    /// # Errors
    ///
    /// If the memory is exhausted.
    pub fn set_up(
        of: CaptureModule,
        dma: &mut DmaMemory,
        bus: &mut Bus,
    ) -> Result<Self, OutOfMemory> {
        let module = of.module;
        let purpose = Purpose::Mirror { module };
        let base = dma.allocate(1 << of.ring_log2, Rights::Write, purpose)?;
        let purpose = Purpose::MirrorStatus { module };
        let status = dma.allocate(capture::STATUS_BYTES, Rights::Write, purpose)?;
        for (register, value) in [
            (capture::RING_BASE, base),
            (capture::RING_LOG2, u64::from(of.ring_log2)),
            (capture::STATUS, status),
            (capture::ENABLE, 1),
        ] {
            bus.write(module_register(usize::from(module), register), value);
        }
        Ok(Self {
            of,
            base,
            status,
            consumed: 0,
            malformed: false,
        })
    }

    /// The bus address that the module writes last.
    pub fn status_address(&self) -> u64 {
        self.status
    }

    /// What the module last said.
    pub fn status(&self, memory: &Memory) -> CaptureStatus {
        let mut bytes = [0; capture::STATUS_BYTES as usize];
        memory.read(self.status, &mut bytes);
        CaptureStatus::decode(&bytes)
    }

    /// Takes all frames that are there and gives their room back.
    pub fn take(&mut self, memory: &Memory, bus: &mut Bus) -> Vec<MirroredFrame> {
        let position = self.status(memory).position;
        let (begin, mut frames) = (self.consumed, Vec::new());
        while self.consumed != position && !self.malformed {
            let Some((frame, size)) = self.entry(memory, position.wrapping_sub(self.consumed))
            else {
                // Where the next entry begins is not known any more.
                self.malformed = true;
                break;
            };
            frames.push(frame);
            self.consumed = self.consumed.wrapping_add(size);
        }
        if self.consumed != begin {
            let register = module_register(usize::from(self.of.module), capture::CONSUMED);
            bus.write(register, self.consumed);
        }
        frames
    }

    /// True if an entry was none, after which nothing is taken.
    pub fn is_malformed(&self) -> bool {
        self.malformed
    }

    /// The entry at `consumed` and its size, if it lies within the next `there` bytes.
    fn entry(&self, memory: &Memory, there: u64) -> Option<(MirroredFrame, u64)> {
        let mut header = [0; capture::HEADER_BYTES as usize];
        self.read(memory, self.consumed, &mut header);
        let header = CaptureHeader::decode(&header);
        let captured = u64::from(header.captured);
        let fits = header.size <= there
            && there <= 1 << self.of.ring_log2
            && captured + capture::HEADER_BYTES <= header.size
            && header.captured <= header.original;
        if !fits {
            return None;
        }
        let mut bytes = vec![0; captured as usize];
        let begin = self.consumed.wrapping_add(capture::HEADER_BYTES);
        self.read(memory, begin, &mut bytes);
        let frame = MirroredFrame {
            module: self.of.module,
            slot: self.of.slot,
            time: header.time,
            original: header.original,
            bytes,
        };
        Some((frame, header.size))
    }

    /// Bytes of the ring, around its end.
    fn read(&self, memory: &Memory, position: u64, into: &mut [u8]) {
        let length = 1_u64 << self.of.ring_log2;
        let offset = position & (length - 1);
        let first = into.len().min((length - offset) as usize);
        let (front, back) = into.split_at_mut(first);
        memory.read(self.base + offset, front);
        memory.read(self.base, back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MEMORY_BASE;

    fn ring() -> (CaptureRing, DmaMemory, Bus) {
        let mut dma = DmaMemory::new(Memory::new(MEMORY_BASE, 1 << 20));
        let mut bus = Bus::default();
        let of = CaptureModule {
            module: 2,
            slot: Slot::Ingress,
            ring_log2: 12,
        };
        let ring = CaptureRing::set_up(of, &mut dma, &mut bus).unwrap();
        (ring, dma, bus)
    }

    /// Writes an entry at `position` and the status behind it.
    fn put(ring: &CaptureRing, dma: &mut DmaMemory, position: u64, lengths: [u32; 2], size: u64) {
        let [original, captured] = lengths;
        let mut bytes = 77_u64.to_le_bytes().to_vec();
        bytes.extend(original.to_le_bytes());
        bytes.extend(captured.to_le_bytes());
        bytes.extend(size.to_le_bytes());
        bytes.extend(0_u64.to_le_bytes());
        bytes.extend((0..captured).map(|i| i as u8));
        for (at, byte) in (position..).zip(bytes) {
            dma.memory.write(ring.base + at % 4096, &[byte]);
        }
        let end = (position + size).to_le_bytes();
        dma.memory.write(ring.status, &end);
    }

    #[test]
    fn entries_are_taken_around_the_end_of_the_ring() {
        let (mut ring, mut dma, mut bus) = ring();
        let writes = bus.writes();
        for number in 0..20 {
            assert!(ring.take(&dma.memory, &mut bus).is_empty());
            put(&ring, &mut dma, number * 768, [1500, 700], 768);
            let frames = ring.take(&dma.memory, &mut bus);
            assert_eq!(frames.len(), 1);
            assert_eq!((frames[0].time, frames[0].original), (77, 1500));
            assert!(
                frames[0]
                    .bytes
                    .iter()
                    .zip(0..700)
                    .all(|(&b, i)| b == i as u8)
            );
        }
        assert_eq!(bus.writes() - writes, 20);
    }

    #[test]
    fn an_entry_that_is_none_is_not_followed() {
        for (lengths, size) in [([60, 60], 64), ([60, 60], 0), ([60, 61], 256)] {
            let (mut ring, mut dma, mut bus) = ring();
            put(&ring, &mut dma, 0, lengths, size);
            // So that there is something to read even where the size is zero.
            dma.memory.write(ring.status, &256_u64.to_le_bytes());
            assert!(ring.take(&dma.memory, &mut bus).is_empty());
            assert!(ring.is_malformed(), "{lengths:?} {size}");
        }
    }
}
