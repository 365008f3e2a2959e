//! Register accesses of the driver: posted writes, awaited reads.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use hallux_channel::Message;
use hallux_toe::interface;

/// Queue of register accesses on their way to the device, in program order.
///
/// PCIe delivers them in this order, a read behind all earlier writes (PCIe 4.0 §2.4).
#[derive(Debug, Default)]
pub struct Bus {
    next_request: u64,
    outgoing: VecDeque<Message>,
    /// Offset of each read that awaits its completion.
    reads: BTreeMap<u64, u64>,
    writes: u64,
}

impl Bus {
    /// Posts a write of the 64-bit register at `offset` of BAR 0.
    pub fn write(&mut self, offset: u64, value: u64) {
        let req_id = self.request();
        self.writes += 1;
        self.outgoing.push_back(Message::MmioWrite {
            req_id,
            bar: interface::BAR,
            offset,
            data: Bytes::copy_from_slice(&value.to_le_bytes()),
            posted: true,
        });
    }

    /// Posts one write of several 64-bit words from `offset` of BAR 0 on, as a core does
    /// through a write-combining mapping.
    pub fn write_words(&mut self, offset: u64, words: &[u64]) {
        let req_id = self.request();
        self.writes += 1;
        let bytes = words.iter().flat_map(|word| word.to_le_bytes());
        self.outgoing.push_back(Message::MmioWrite {
            req_id,
            bar: interface::BAR,
            offset,
            data: bytes.collect(),
            posted: true,
        });
    }

    /// Asks for the 64-bit register at `offset` of BAR 0; the value comes with
    /// [`complete`](Self::complete).
    pub fn read(&mut self, offset: u64) {
        let req_id = self.request();
        self.reads.insert(req_id, offset);
        self.outgoing.push_back(Message::MmioRead {
            req_id,
            bar: interface::BAR,
            offset,
            len: 8,
        });
    }

    /// Tells the device which kinds of interrupts the host takes.
    pub fn enable_msix(&mut self) {
        self.outgoing.push_back(Message::DeviceControl {
            flags: Message::MSIX_ENABLED,
        });
    }

    /// Matches a completion with its read: the register's offset and value. `None` if no
    /// read has this id or the data are not 8 bytes.
    pub fn complete(&mut self, req_id: u64, data: &[u8]) -> Option<(u64, u64)> {
        let offset = self.reads.remove(&req_id)?;
        let value = u64::from_le_bytes(data.try_into().ok()?);
        Some((offset, value))
    }

    /// The oldest access that was not handed to the link yet.
    pub fn take_outgoing(&mut self) -> Option<Message> {
        self.outgoing.pop_front()
    }

    /// Count of posted writes.
    pub fn writes(&self) -> u64 {
        self.writes
    }

    /// True while a read awaits its completion.
    pub fn is_reading(&self) -> bool {
        !self.reads.is_empty()
    }

    fn request(&mut self) -> u64 {
        self.next_request += 1;
        self.next_request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completion_finds_its_read_once() {
        let mut bus = Bus::default();
        bus.write(8, 0x0102);
        bus.read(16);
        let Some(Message::MmioWrite {
            data,
            posted: true,
            offset: 8,
            ..
        }) = bus.take_outgoing()
        else {
            panic!("the write goes first")
        };
        assert_eq!(data[..], [2, 1, 0, 0, 0, 0, 0, 0]);
        let Some(Message::MmioRead { req_id, len: 8, .. }) = bus.take_outgoing() else {
            panic!("then the read")
        };
        assert_eq!(bus.complete(req_id + 1, &[0; 8]), None);
        assert_eq!(
            bus.complete(req_id, &[5, 0, 0, 0, 0, 0, 0, 0]),
            Some((16, 5))
        );
        assert_eq!(bus.complete(req_id, &[0; 8]), None);
    }
}
