//! Frames of the control plane: slots the NIC fills, buffers it reads.

use std::collections::VecDeque;

use hallux_toe::interface::{Descriptor, Record, SLOW_SLOT_BYTES, register};

use crate::driver::bus::Bus;
use crate::driver::rings::DescriptorRing;
use crate::iommu::{DmaMemory, Purpose, Rights};
use crate::memory::{Memory, OutOfMemory};

/// Shortest frame: an Ethernet header.
const SHORTEST: usize = 14;
/// Longest frame without FCS.
const LONGEST: usize = 1514;

/// Buffers of both directions.
#[derive(Debug)]
pub struct SlowPath {
    receive: u64,
    slots: u32,
    transmit: u64,
    buffers: u32,
    /// Frames that wait for a descriptor.
    waiting: VecDeque<Vec<u8>>,
}

impl SlowPath {
    /// Allocates the buffers and tells the NIC where the slots are. `records` and
    /// `descriptors` are the lengths of context 0's rings.
    ///
    /// # Errors
    ///
    /// If the memory is exhausted.
    pub fn set_up(
        records: u32,
        descriptors: u32,
        dma: &mut DmaMemory,
        bus: &mut Bus,
    ) -> Result<Self, OutOfMemory> {
        // The NIC reports a descriptor as consumed when it has fetched it, a little before
        // it reads the frame. With twice as many buffers as descriptors a buffer rests for
        // a whole ring length after that.
        let buffers = 2 * descriptors;
        let receive = dma.allocate(
            u64::from(records) * SLOW_SLOT_BYTES,
            Rights::Write,
            Purpose::SlowReceive,
        )?;
        let transmit = dma.allocate(
            u64::from(buffers) * SLOW_SLOT_BYTES,
            Rights::Read,
            Purpose::SlowTransmit,
        )?;
        bus.write(register::SLOW_BASE, receive);
        Ok(Self {
            receive,
            slots: records,
            transmit,
            buffers,
            waiting: VecDeque::new(),
        })
    }

    /// Queues a frame without FCS; false if its length is none of a frame.
    pub fn send(&mut self, frame: Vec<u8>) -> bool {
        let fits = (SHORTEST..=LONGEST).contains(&frame.len());
        if fits {
            self.waiting.push_back(frame);
        }
        fits
    }

    /// Writes descriptors for waiting frames as long as the ring has room.
    pub fn flush(&mut self, ring: &mut DescriptorRing, memory: &mut Memory) {
        while !self.waiting.is_empty() && !ring.is_full(memory) {
            let Some(frame) = self.waiting.pop_front() else {
                return;
            };
            // Both lengths are powers of two, so the count's wrap is no special case.
            let buffer = u64::from(ring.written() & (self.buffers - 1));
            let address = self.transmit + buffer * SLOW_SLOT_BYTES;
            memory.write(address, &frame);
            ring.push(
                &Descriptor::SendFrame {
                    address,
                    length: frame.len() as u16,
                },
                memory,
            );
        }
    }

    /// The frame that a [`Frame`](hallux_toe::interface::RecordKind::Frame) record
    /// announces; `None` if there is no such slot or the length is none of a frame.
    pub fn received(&self, record: &Record, memory: &Memory) -> Option<Vec<u8>> {
        let length = usize::from(record.length);
        if record.value >= self.slots || !(SHORTEST..=SLOW_SLOT_BYTES as usize).contains(&length) {
            return None;
        }
        let mut frame = vec![0; length];
        memory.read(
            self.receive + u64::from(record.value) * SLOW_SLOT_BYTES,
            &mut frame,
        );
        Some(frame)
    }

    /// Frames that wait for a descriptor.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}
