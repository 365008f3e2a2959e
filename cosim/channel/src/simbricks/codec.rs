//! Messages as they lie in slots.

use std::collections::VecDeque;
use std::mem::offset_of;

use bytes::Bytes;

use super::error::{PeerViolation, Refusal};
use super::wire::{self, HeaderWords, kind};
use crate::message::{InterruptKind, Message};
use crate::port::Protocol;

/// A header to be sent, and the payload behind it.
pub(super) struct Encoded<'a> {
    pub kind: u8,
    pub header: HeaderWords,
    pub payload: &'a [u8],
}

/// Lays out a message.
#[inline]
pub(super) fn encode(message: &Message) -> Encoded<'_> {
    let payload = message.payload();
    let len = payload.len() as u16;
    let (kind, header) = match *message {
        Message::Frame(_) => (kind::PACKET, packet(len)),
        Message::DmaRead { req_id, addr, len } => (kind::DMA_READ, dma(req_id, addr, len)),
        Message::DmaWrite { req_id, addr, .. } => (kind::DMA_WRITE, dma(req_id, addr, len)),
        Message::Interrupt { vector, kind } => (kind::INTERRUPT, interrupt(vector, kind)),
        Message::MmioReadCompletion { req_id, .. } => {
            (kind::MMIO_READ_COMPLETION, completion(req_id))
        }
        Message::MmioWriteCompletion { req_id } => {
            (kind::MMIO_WRITE_COMPLETION, completion(req_id))
        }
        Message::MmioRead {
            req_id,
            bar,
            offset,
            len,
        } => (kind::MMIO_READ, mmio(req_id, bar, offset, len)),
        Message::MmioWrite {
            req_id,
            bar,
            offset,
            posted,
            ..
        } => (
            if posted {
                kind::MMIO_WRITE_POSTED
            } else {
                kind::MMIO_WRITE
            },
            mmio(req_id, bar, offset, len),
        ),
        Message::DmaReadCompletion { req_id, .. } => {
            (kind::DMA_READ_COMPLETION, completion(req_id))
        }
        Message::DmaWriteCompletion { req_id } => (kind::DMA_WRITE_COMPLETION, completion(req_id)),
        Message::DeviceControl { flags } => (
            kind::DEVICE_CONTROL,
            bytemuck::cast(wire::DeviceControl {
                flags,
                ..bytemuck::zeroed()
            }),
        ),
        Message::MemoryRead {
            req_id,
            space,
            addr,
            len,
        } => (kind::MEMORY_READ, memory(req_id, space, addr, len)),
        Message::MemoryWrite {
            req_id,
            space,
            addr,
            posted,
            ..
        } => (
            if posted {
                kind::MEMORY_WRITE_POSTED
            } else {
                kind::MEMORY_WRITE
            },
            memory(req_id, space, addr, len),
        ),
        Message::MemoryReadCompletion { req_id, .. } => {
            (kind::MEMORY_READ_COMPLETION, completion(req_id))
        }
        Message::MemoryWriteCompletion { req_id } => {
            (kind::MEMORY_WRITE_COMPLETION, completion(req_id))
        }
    };
    Encoded {
        kind,
        header,
        payload,
    }
}

/// The header of a frame of `len` bytes, as far as it has meaning.
#[inline(always)]
pub(super) fn frame_word(len: u16) -> u64 {
    packet(len)[0]
}

/// Bytes of the frame whose header starts with `word` that came to a port of
/// protocol `ours`.
#[inline(always)]
pub(super) fn frame_length(
    ours: Protocol,
    kind: u8,
    word: u64,
    capacity: Capacity,
) -> Result<usize, PeerViolation> {
    if ours != Protocol::Ethernet || kind != kind::PACKET {
        return Err(PeerViolation::Kind { kind });
    }
    const { assert!(offset_of!(wire::Packet, len) == 0) };
    fits("frame", word as u16, capacity)
}

/// The length of a payload, if a slot has so many bytes.
#[inline(always)]
fn fits(kind: &'static str, len: u16, capacity: Capacity) -> Result<usize, PeerViolation> {
    let len = usize::from(len);
    if len <= capacity.incoming {
        Ok(len)
    } else {
        Err(PeerViolation::Length {
            kind,
            len,
            capacity: capacity.incoming,
        })
    }
}

/// As a [`wire::Packet`], made of whole words: what is written in parts and
/// read as a whole shortly afterwards makes the processor wait.
#[inline(always)]
fn packet(len: u16) -> HeaderWords {
    const { assert!(offset_of!(wire::Packet, len) == 0) };
    [u64::from(len), 0, 0, 0, 0, 0, 0, 0]
}

#[inline]
fn dma(req_id: u64, addr: u64, len: u16) -> HeaderWords {
    bytemuck::cast(wire::Dma {
        req_id,
        addr,
        len,
        ..bytemuck::zeroed()
    })
}

#[inline]
fn mmio(req_id: u64, bar: u8, offset: u64, len: u16) -> HeaderWords {
    bytemuck::cast(wire::Mmio {
        req_id,
        offset,
        len,
        bar,
        ..bytemuck::zeroed()
    })
}

#[inline]
fn memory(req_id: u64, space: u64, addr: u64, len: u16) -> HeaderWords {
    bytemuck::cast(wire::Memory {
        req_id,
        space,
        addr,
        len,
        ..bytemuck::zeroed()
    })
}

#[inline]
fn completion(req_id: u64) -> HeaderWords {
    bytemuck::cast(wire::Completion {
        req_id,
        ..bytemuck::zeroed()
    })
}

#[inline]
fn interrupt(vector: u16, interrupt: InterruptKind) -> HeaderWords {
    let kind = match interrupt {
        InterruptKind::IntxAssert => 0,
        InterruptKind::IntxDeassert => 1,
        InterruptKind::Msi => 2,
        InterruptKind::MsiX => 3,
    };
    bytemuck::cast(wire::Interrupt {
        vector,
        kind,
        ..bytemuck::zeroed()
    })
}

/// The requests of this end that have no answer yet. A read completion says
/// neither how long nor what it is: that follows from the request. Ids may
/// repeat; the oldest request with an id is answered first.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    reads: VecDeque<(u64, u16)>,
    writes: VecDeque<u64>,
}

impl Outstanding {
    /// Notes a message that was sent.
    #[inline]
    pub fn sent(&mut self, message: &Message) {
        match *message {
            Message::DmaRead { req_id, len, .. }
            | Message::MmioRead { req_id, len, .. }
            | Message::MemoryRead { req_id, len, .. } => self.reads.push_back((req_id, len)),
            Message::DmaWrite { req_id, .. }
            | Message::MmioWrite {
                req_id,
                posted: false,
                ..
            }
            | Message::MemoryWrite {
                req_id,
                posted: false,
                ..
            } => self.writes.push_back(req_id),
            _ => {}
        }
    }

    fn read_length(&self, req_id: u64) -> Option<u16> {
        let read = self.reads.iter().find(|read| read.0 == req_id)?;
        Some(read.1)
    }

    fn read_done(&mut self, req_id: u64) {
        if let Some(at) = self.reads.iter().position(|read| read.0 == req_id) {
            self.reads.remove(at);
        }
    }

    /// False if no write with this id waits.
    fn write_done(&mut self, req_id: u64) -> bool {
        let at = self.writes.iter().position(|&write| write == req_id);
        at.and_then(|at| self.writes.remove(at)).is_some()
    }
}

/// How much of what can be carried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capacity {
    /// Bytes of payload of a slot of the peer.
    pub incoming: usize,
    /// Bytes of payload of a slot of this end.
    pub outgoing: usize,
}

/// Reads a message of type `kind` that came to a port of protocol `ours`.
/// `take` copies that many bytes of payload. `None` for what is to be ignored:
/// a second completion of a write.
#[inline]
pub(super) fn decode(
    ours: Protocol,
    kind: u8,
    header: &HeaderWords,
    capacity: Capacity,
    outstanding: &mut Outstanding,
    take: impl FnOnce(usize) -> Bytes,
) -> Result<Option<Message>, PeerViolation> {
    let header = *header;
    let fits = |name, len| fits(name, len, capacity);
    let answerable = |name, len: u16| {
        if usize::from(len) <= capacity.outgoing {
            Ok(len)
        } else {
            Err(PeerViolation::Unanswerable {
                kind: name,
                len: len.into(),
                capacity: capacity.outgoing,
            })
        }
    };
    let read_completion = |outstanding: &mut Outstanding| {
        let req_id = bytemuck::cast::<_, wire::Completion>(header).req_id;
        let len = outstanding
            .read_length(req_id)
            .ok_or(PeerViolation::Completion(req_id))?;
        outstanding.read_done(req_id);
        Ok((req_id, usize::from(len)))
    };
    let req_id = header[0];
    Ok(Some(match (ours.peer(), kind) {
        (Protocol::Ethernet, kind::PACKET) => {
            Message::Frame(take(frame_length(ours, kind, header[0], capacity)?))
        }

        (Protocol::PcieDevice, kind::DMA_READ) => {
            let dma: wire::Dma = bytemuck::cast(header);
            Message::DmaRead {
                req_id,
                addr: dma.addr,
                len: answerable("DMA read", dma.len)?,
            }
        }
        (Protocol::PcieDevice, kind::DMA_WRITE) => {
            let dma: wire::Dma = bytemuck::cast(header);
            Message::DmaWrite {
                req_id,
                addr: dma.addr,
                data: take(fits("DMA write", dma.len)?),
            }
        }
        (Protocol::PcieDevice, kind::INTERRUPT) => {
            let interrupt: wire::Interrupt = bytemuck::cast(header);
            Message::Interrupt {
                vector: interrupt.vector,
                kind: match interrupt.kind {
                    0 => InterruptKind::IntxAssert,
                    1 => InterruptKind::IntxDeassert,
                    2 => InterruptKind::Msi,
                    3 => InterruptKind::MsiX,
                    other => return Err(PeerViolation::Interrupt(other)),
                },
            }
        }
        (Protocol::PcieDevice, kind::MMIO_READ_COMPLETION) => {
            let (req_id, len) = read_completion(outstanding)?;
            Message::MmioReadCompletion {
                req_id,
                data: take(len),
            }
        }
        (Protocol::PcieDevice, kind::MMIO_WRITE_COMPLETION) => {
            if !outstanding.write_done(req_id) {
                return Ok(None);
            }
            Message::MmioWriteCompletion { req_id }
        }

        (Protocol::PcieHost, kind::MMIO_READ) => {
            let mmio = mmio_of(header)?;
            Message::MmioRead {
                req_id,
                bar: mmio.bar,
                offset: mmio.offset,
                len: answerable("MMIO read", mmio.len)?,
            }
        }
        (Protocol::PcieHost, kind::MMIO_WRITE | kind::MMIO_WRITE_POSTED) => {
            let mmio = mmio_of(header)?;
            Message::MmioWrite {
                req_id,
                bar: mmio.bar,
                offset: mmio.offset,
                data: take(fits("MMIO write", mmio.len)?),
                posted: kind == kind::MMIO_WRITE_POSTED,
            }
        }
        (Protocol::PcieHost, kind::DMA_READ_COMPLETION) => {
            let (req_id, len) = read_completion(outstanding)?;
            Message::DmaReadCompletion {
                req_id,
                data: take(len),
            }
        }
        (Protocol::PcieHost, kind::DMA_WRITE_COMPLETION) => {
            if !outstanding.write_done(req_id) {
                return Ok(None);
            }
            Message::DmaWriteCompletion { req_id }
        }
        (Protocol::PcieHost, kind::DEVICE_CONTROL) => Message::DeviceControl { flags: header[0] },

        (Protocol::MemoryServer, kind::MEMORY_READ_COMPLETION) => {
            let (req_id, len) = read_completion(outstanding)?;
            Message::MemoryReadCompletion {
                req_id,
                data: take(len),
            }
        }
        (Protocol::MemoryServer, kind::MEMORY_WRITE_COMPLETION) => {
            if !outstanding.write_done(req_id) {
                return Ok(None);
            }
            Message::MemoryWriteCompletion { req_id }
        }

        (Protocol::MemoryClient, kind::MEMORY_READ) => {
            let memory: wire::Memory = bytemuck::cast(header);
            Message::MemoryRead {
                req_id,
                space: memory.space,
                addr: memory.addr,
                len: answerable("memory read", memory.len)?,
            }
        }
        (Protocol::MemoryClient, kind::MEMORY_WRITE | kind::MEMORY_WRITE_POSTED) => {
            let memory: wire::Memory = bytemuck::cast(header);
            Message::MemoryWrite {
                req_id,
                space: memory.space,
                addr: memory.addr,
                data: take(fits("memory write", memory.len)?),
                posted: kind == kind::MEMORY_WRITE_POSTED,
            }
        }

        _ => return Err(PeerViolation::Kind { kind }),
    }))
}

#[inline]
fn mmio_of(header: HeaderWords) -> Result<wire::Mmio, PeerViolation> {
    let mmio: wire::Mmio = bytemuck::cast(header);
    if mmio.bar > 5 {
        return Err(PeerViolation::Bar(mmio.bar));
    }
    Ok(mmio)
}

/// Whether a port of protocol `ours` may send the message over slots of this
/// capacity.
#[inline]
pub(super) fn sendable(
    ours: Protocol,
    message: &Message,
    capacity: Capacity,
) -> Result<(), Refusal> {
    if message.sender() != ours {
        return Err(Refusal::Protocol(ours));
    }
    // A read is as long as its answer.
    let (len, capacity) = match *message {
        Message::DmaRead { len, .. }
        | Message::MmioRead { len, .. }
        | Message::MemoryRead { len, .. } => (usize::from(len), capacity.incoming),
        _ => (message.payload().len(), capacity.outgoing),
    };
    if len > capacity.min(Message::MAX_PAYLOAD) {
        return Err(Refusal::TooLong { len, capacity });
    }
    Ok(())
}
