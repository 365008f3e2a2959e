//! PCIe messages as packets of a capture.
//!
//! Link type `LINKTYPE_USER0` (147). A packet is a header of 32 bytes,
//! little-endian, and the data that the message carries:
//!
//! | offset | bytes | field |
//! |---:|---:|---|
//! | 0 | 1 | version of this layout, 1 |
//! | 1 | 1 | type, the code of SimBricks: device → host 0x40 DMA read, 0x41 DMA write, 0x42 interrupt, 0x43 MMIO read completion, 0x44 MMIO write completion; host → device 0x60 MMIO read, 0x61 MMIO write, 0x62 DMA read completion, 0x63 DMA write completion, 0x64 device control, 0x65 posted MMIO write |
//! | 2 | 1 | base address register of MMIO |
//! | 3 | 1 | interrupt: 0 INTx asserted, 1 INTx deasserted, 2 MSI, 3 MSI-X |
//! | 4 | 2 | interrupt: vector |
//! | 6 | 2 | length in bytes; of a completion that of its request |
//! | 8 | 8 | request id |
//! | 16 | 8 | bus address of DMA, offset in the register of MMIO, flags of device control; of a completion that of its request |
//! | 24 | 8 | completion: picoseconds since its request; all ones otherwise, or if the request is not known |
//! | 32 | | data |

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use hallux_channel::{InterruptKind, Message, Time};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 32;
/// Version of the layout.
pub const VERSION: u8 = 1;

const DMA_READ: u8 = 0x40;
const DMA_WRITE: u8 = 0x41;
const INTERRUPT: u8 = 0x42;
const MMIO_READ_COMPLETION: u8 = 0x43;
const MMIO_WRITE_COMPLETION: u8 = 0x44;
const MMIO_READ: u8 = 0x60;
const MMIO_WRITE: u8 = 0x61;
const DMA_READ_COMPLETION: u8 = 0x62;
const DMA_WRITE_COMPLETION: u8 = 0x63;
const DEVICE_CONTROL: u8 = 0x64;
const MMIO_WRITE_POSTED: u8 = 0x65;

const INTERRUPT_KINDS: [InterruptKind; 4] = [
    InterruptKind::IntxAssert,
    InterruptKind::IntxDeassert,
    InterruptKind::Msi,
    InterruptKind::MsiX,
];

/// What stands in a log about one message beside its data. A completion has
/// the place and length of its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Code of the type.
    pub code: u8,
    /// Base address register of MMIO.
    pub bar: u8,
    /// Interrupt: kind and vector.
    pub interrupt: (u8, u16),
    /// Bytes asked for or carried.
    pub length: u16,
    /// Request id.
    pub tag: u64,
    /// Bus address, offset or flags.
    pub address: u64,
    /// Time since the request; `None` if this is no completion, or its
    /// request was not seen.
    pub latency: Option<Time>,
}

impl Transaction {
    /// The message by itself, without what only its request knows.
    fn of(message: &Message) -> Self {
        let mut this = Transaction {
            length: message.payload().len() as u16,
            ..Transaction::default()
        };
        match *message {
            // Never on a PCIe port: the mailbox refuses to send them.
            Message::Frame(_)
            | Message::MemoryRead { .. }
            | Message::MemoryWrite { .. }
            | Message::MemoryReadCompletion { .. }
            | Message::MemoryWriteCompletion { .. } => {}
            Message::DmaRead { req_id, addr, len } => {
                (this.code, this.tag) = (DMA_READ, req_id);
                (this.address, this.length) = (addr, len);
            }
            Message::DmaWrite { req_id, addr, .. } => {
                (this.code, this.tag, this.address) = (DMA_WRITE, req_id, addr);
            }
            Message::Interrupt { vector, kind } => {
                let kind = INTERRUPT_KINDS.iter().position(|&other| other == kind);
                this.code = INTERRUPT;
                this.interrupt = (kind.unwrap_or_default() as u8, vector);
            }
            Message::MmioReadCompletion { req_id, .. } => {
                (this.code, this.tag) = (MMIO_READ_COMPLETION, req_id);
            }
            Message::MmioWriteCompletion { req_id } => {
                (this.code, this.tag) = (MMIO_WRITE_COMPLETION, req_id);
            }
            Message::MmioRead {
                req_id,
                bar,
                offset,
                len,
            } => {
                (this.code, this.tag, this.bar) = (MMIO_READ, req_id, bar);
                (this.address, this.length) = (offset, len);
            }
            Message::MmioWrite {
                req_id,
                bar,
                offset,
                posted,
                ..
            } => {
                this.code = if posted {
                    MMIO_WRITE_POSTED
                } else {
                    MMIO_WRITE
                };
                (this.tag, this.bar, this.address) = (req_id, bar, offset);
            }
            Message::DmaReadCompletion { req_id, .. } => {
                (this.code, this.tag) = (DMA_READ_COMPLETION, req_id);
            }
            Message::DmaWriteCompletion { req_id } => {
                (this.code, this.tag) = (DMA_WRITE_COMPLETION, req_id);
            }
            Message::DeviceControl { flags } => (this.code, this.address) = (DEVICE_CONTROL, flags),
        }
        this
    }

    /// The name of the type.
    pub fn name(&self) -> &'static str {
        match self.code {
            DMA_READ => "dma_read",
            DMA_WRITE => "dma_write",
            INTERRUPT => "interrupt",
            MMIO_READ_COMPLETION => "mmio_read_completion",
            MMIO_WRITE_COMPLETION => "mmio_write_completion",
            MMIO_READ => "mmio_read",
            MMIO_WRITE => "mmio_write",
            DMA_READ_COMPLETION => "dma_read_completion",
            DMA_WRITE_COMPLETION => "dma_write_completion",
            DEVICE_CONTROL => "device_control",
            MMIO_WRITE_POSTED => "mmio_write_posted",
            _ => "unknown",
        }
    }

    /// True for a message of the device, false for one of the host.
    pub fn is_of_device(&self) -> bool {
        self.code < MMIO_READ
    }

    /// True where `bar` and `address` mean a register of the device.
    pub fn is_mmio(&self) -> bool {
        matches!(
            self.code,
            MMIO_READ_COMPLETION
                | MMIO_WRITE_COMPLETION
                | MMIO_READ
                | MMIO_WRITE
                | MMIO_WRITE_POSTED
        )
    }

    /// True for an interrupt.
    pub fn is_interrupt(&self) -> bool {
        self.code == INTERRUPT
    }

    /// True for device control.
    pub fn is_control(&self) -> bool {
        self.code == DEVICE_CONTROL
    }

    /// Code of the completion that this request is owed.
    fn completion(&self) -> Option<u8> {
        match self.code {
            DMA_READ => Some(DMA_READ_COMPLETION),
            DMA_WRITE => Some(DMA_WRITE_COMPLETION),
            MMIO_READ => Some(MMIO_READ_COMPLETION),
            MMIO_WRITE => Some(MMIO_WRITE_COMPLETION),
            _ => None,
        }
    }

    fn is_completion(&self) -> bool {
        matches!(
            self.code,
            MMIO_READ_COMPLETION
                | MMIO_WRITE_COMPLETION
                | DMA_READ_COMPLETION
                | DMA_WRITE_COMPLETION
        )
    }

    /// The header of the packet.
    pub fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&[VERSION, self.code, self.bar, self.interrupt.0]);
        header[4..6].copy_from_slice(&self.interrupt.1.to_le_bytes());
        header[6..8].copy_from_slice(&self.length.to_le_bytes());
        header[8..16].copy_from_slice(&self.tag.to_le_bytes());
        header[16..24].copy_from_slice(&self.address.to_le_bytes());
        let latency = self.latency.unwrap_or(Time::NEVER);
        header[24..].copy_from_slice(&latency.ps().to_le_bytes());
        header
    }
}

/// Why a packet is no PCIe message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Not even a header.
    #[error("a PCIe packet of {0} bytes is shorter than its header of {HEADER_BYTES} bytes")]
    Short(usize),
    /// Written by another version.
    #[error("version {0} of the PCIe packet is not known; this program reads version {VERSION}")]
    Version(u8),
    /// A type that does not exist.
    #[error("no PCIe message has type {0:#04x}")]
    Type(u8),
    /// An interrupt of a kind that does not exist.
    #[error("no interrupt has kind {0}")]
    Interrupt(u8),
    /// The data are not as long as the header says.
    #[error("a PCIe packet announces {announced} bytes of data and has {found}")]
    Length {
        /// Of the header.
        announced: usize,
        /// In the packet.
        found: usize,
    },
}

/// The message of a packet.
///
/// # Errors
///
/// [`PacketError`].
pub fn decode(packet: &[u8]) -> Result<Message, PacketError> {
    let (header, data) = packet
        .split_at_checked(HEADER_BYTES)
        .ok_or(PacketError::Short(packet.len()))?;
    let word = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&header[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let half = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let (code, bar) = (header[1], header[2]);
    let (length, req_id, address) = (half(6), word(8), word(16));
    if header[0] != VERSION {
        return Err(PacketError::Version(header[0]));
    }
    let carries = matches!(
        code,
        DMA_WRITE | MMIO_READ_COMPLETION | MMIO_WRITE | MMIO_WRITE_POSTED | DMA_READ_COMPLETION
    );
    let announced = if carries { usize::from(length) } else { 0 };
    if data.len() != announced {
        let found = data.len();
        return Err(PacketError::Length { announced, found });
    }
    let data = Bytes::copy_from_slice(data);
    Ok(match code {
        DMA_READ => Message::DmaRead {
            req_id,
            addr: address,
            len: length,
        },
        DMA_WRITE => Message::DmaWrite {
            req_id,
            addr: address,
            data,
        },
        INTERRUPT => Message::Interrupt {
            vector: half(4),
            kind: *INTERRUPT_KINDS
                .get(usize::from(header[3]))
                .ok_or(PacketError::Interrupt(header[3]))?,
        },
        MMIO_READ_COMPLETION => Message::MmioReadCompletion { req_id, data },
        MMIO_WRITE_COMPLETION => Message::MmioWriteCompletion { req_id },
        MMIO_READ => Message::MmioRead {
            req_id,
            bar,
            offset: address,
            len: length,
        },
        MMIO_WRITE | MMIO_WRITE_POSTED => Message::MmioWrite {
            req_id,
            bar,
            offset: address,
            data,
            posted: code == MMIO_WRITE_POSTED,
        },
        DMA_READ_COMPLETION => Message::DmaReadCompletion { req_id, data },
        DMA_WRITE_COMPLETION => Message::DmaWriteCompletion { req_id },
        DEVICE_CONTROL => Message::DeviceControl { flags: address },
        _ => return Err(PacketError::Type(code)),
    })
}

/// Tells of each completion which request it answers.
///
/// Request ids may repeat, so completions of equal ids answer the requests in
/// their order.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    /// By interface, code of the completion, and request id.
    open: HashMap<(usize, u8, u64), VecDeque<(Time, Transaction)>>,
}

impl Matcher {
    /// The transaction of a message that passed `interface` at `at`.
    pub fn transaction(&mut self, interface: usize, at: Time, message: &Message) -> Transaction {
        let mut this = Transaction::of(message);
        if let Some(code) = this.completion() {
            let key = (interface, code, this.tag);
            self.open.entry(key).or_default().push_back((at, this));
        } else if this.is_completion() {
            let key = (interface, this.code, this.tag);
            if let Some(waiting) = self.open.get_mut(&key)
                && let Some((asked, request)) = waiting.pop_front()
            {
                if waiting.is_empty() {
                    self.open.remove(&key);
                }
                (this.bar, this.address) = (request.bar, request.address);
                this.latency = Some(at.since(asked));
                if message.payload().is_empty() {
                    this.length = request.length;
                }
            }
        }
        this
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message() -> impl Strategy<Value = Message> {
        let data = prop::collection::vec(any::<u8>(), 0..64).prop_map(Bytes::from);
        (0..12_u8, any::<[u64; 2]>(), any::<u16>(), 0..6_u8, data).prop_map(
            |(kind, [req_id, address], len, bar, data)| match kind {
                0 => Message::DmaRead {
                    req_id,
                    addr: address,
                    len,
                },
                1 => Message::DmaWrite {
                    req_id,
                    addr: address,
                    data,
                },
                2 => Message::Interrupt {
                    vector: len,
                    kind: INTERRUPT_KINDS[usize::from(bar % 4)],
                },
                3 => Message::MmioReadCompletion { req_id, data },
                4 => Message::MmioWriteCompletion { req_id },
                5 => Message::MmioRead {
                    req_id,
                    bar,
                    offset: address,
                    len,
                },
                6 | 7 => Message::MmioWrite {
                    req_id,
                    bar,
                    offset: address,
                    data,
                    posted: kind == 7,
                },
                8 => Message::DmaReadCompletion { req_id, data },
                9 => Message::DmaWriteCompletion { req_id },
                _ => Message::DeviceControl { flags: address },
            },
        )
    }

    proptest! {
        #[test]
        fn a_message_survives_its_packet(messages in prop::collection::vec(message(), 1..20)) {
            let mut matcher = Matcher::default();
            for message in messages {
                let header = matcher.transaction(0, Time::ZERO, &message).header();
                let packet = [&header[..], message.payload()].concat();
                prop_assert_eq!(decode(&packet), Ok(message));
            }
        }

        #[test]
        fn no_bytes_are_too_bad(packet in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode(&packet);
            if packet.len() >= HEADER_BYTES {
                let packet = [&[VERSION, packet[0] % 0x70][..], &packet[2..]].concat();
                let _ = decode(&packet);
            }
        }
    }

    #[test]
    fn equal_request_ids_are_answered_in_order() {
        let mut matcher = Matcher::default();
        let read = |addr, len| Message::DmaRead {
            req_id: 3,
            addr,
            len,
        };
        let answer = |len: usize| Message::DmaReadCompletion {
            req_id: 3,
            data: vec![0; len].into(),
        };
        let mut see = |ns, message| matcher.transaction(0, Time::from_ns(ns), &message);
        assert_eq!(see(1, read(0x100, 4)).latency, None);
        see(2, read(0x200, 8));
        let first = see(10, answer(4));
        let second = see(11, answer(8));
        assert_eq!(
            (first.address, first.latency),
            (0x100, Some(Time::from_ns(9)))
        );
        assert_eq!(
            (second.address, second.latency),
            (0x200, Some(Time::from_ns(9)))
        );
        let stray = see(12, answer(8));
        assert_eq!((stray.address, stray.latency), (0, None));
    }

    #[test]
    fn a_wrong_packet_is_refused_with_its_reason() {
        let good = Transaction::of(&Message::DeviceControl { flags: 4 }).header();
        let with = |at: usize, value: u8| {
            let mut packet = good;
            packet[at] = value;
            decode(&packet)
        };
        assert_eq!(decode(&good[..31]), Err(PacketError::Short(31)));
        assert_eq!(with(0, 2), Err(PacketError::Version(2)));
        assert_eq!(with(1, 0x45), Err(PacketError::Type(0x45)));
        let (announced, found) = (0, 1);
        assert_eq!(
            decode(&[&good[..], &[0]].concat()),
            Err(PacketError::Length { announced, found })
        );
        let mut interrupt = good;
        (interrupt[1], interrupt[3]) = (INTERRUPT, 4);
        assert_eq!(decode(&interrupt), Err(PacketError::Interrupt(4)));
    }
}
