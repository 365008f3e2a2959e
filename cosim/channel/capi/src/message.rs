//! Messages as C sees them.

use std::ptr;
use std::slice;

use bytes::Bytes;
use hallux_channel::simbricks::wire::kind;
use hallux_channel::{InterruptKind, Message, Protocol};

/// `struct hallux_message`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CMessage {
    /// A type of the protocol.
    pub kind: u8,
    /// Base address register of MMIO.
    pub bar: u8,
    /// Kind of an interrupt.
    pub interrupt: u8,
    /// Unused.
    pub pad: u8,
    /// Vector of an interrupt.
    pub vector: u16,
    /// Bytes carried, or asked for.
    pub len: u16,
    /// Request.
    pub req_id: u64,
    /// Address, offset, or flags.
    pub addr: u64,
    /// Address space of a memory.
    pub space: u64,
    /// What is carried.
    pub data: *const u8,
}

impl CMessage {
    /// The message that an end of `protocol` sends.
    ///
    /// # Safety
    ///
    /// `data` has `len` bytes if the type carries data.
    pub(crate) unsafe fn to_message(self, protocol: Protocol) -> Result<Message, String> {
        let CMessage {
            bar,
            vector,
            len,
            req_id,
            addr,
            space,
            ..
        } = self;
        let data = || {
            if len == 0 {
                return Ok(Bytes::new());
            }
            if self.data.is_null() {
                return Err(String::from("a message has a length and no data"));
            }
            // SAFETY: by the contract of this function.
            let data = unsafe { slice::from_raw_parts(self.data, len.into()) };
            Ok(Bytes::copy_from_slice(data))
        };
        Ok(match (protocol, self.kind) {
            (Protocol::Ethernet, kind::PACKET) => Message::Frame(data()?),
            (Protocol::PcieDevice, kind::DMA_READ) => Message::DmaRead { req_id, addr, len },
            (Protocol::PcieDevice, kind::DMA_WRITE) => Message::DmaWrite {
                req_id,
                addr,
                data: data()?,
            },
            (Protocol::PcieDevice, kind::INTERRUPT) => Message::Interrupt {
                vector,
                kind: match self.interrupt {
                    0 => InterruptKind::IntxAssert,
                    1 => InterruptKind::IntxDeassert,
                    2 => InterruptKind::Msi,
                    3 => InterruptKind::MsiX,
                    other => return Err(format!("{other} is no kind of interrupt")),
                },
            },
            (Protocol::PcieDevice, kind::MMIO_READ_COMPLETION) => Message::MmioReadCompletion {
                req_id,
                data: data()?,
            },
            (Protocol::PcieDevice, kind::MMIO_WRITE_COMPLETION) => {
                Message::MmioWriteCompletion { req_id }
            }
            (Protocol::PcieHost, kind::MMIO_READ) => Message::MmioRead {
                req_id,
                bar,
                offset: addr,
                len,
            },
            (Protocol::PcieHost, kind::MMIO_WRITE | kind::MMIO_WRITE_POSTED) => {
                Message::MmioWrite {
                    req_id,
                    bar,
                    offset: addr,
                    data: data()?,
                    posted: self.kind == kind::MMIO_WRITE_POSTED,
                }
            }
            (Protocol::PcieHost, kind::DMA_READ_COMPLETION) => Message::DmaReadCompletion {
                req_id,
                data: data()?,
            },
            (Protocol::PcieHost, kind::DMA_WRITE_COMPLETION) => {
                Message::DmaWriteCompletion { req_id }
            }
            (Protocol::PcieHost, kind::DEVICE_CONTROL) => Message::DeviceControl { flags: addr },
            (Protocol::MemoryServer, kind::MEMORY_READ_COMPLETION) => {
                Message::MemoryReadCompletion {
                    req_id,
                    data: data()?,
                }
            }
            (Protocol::MemoryServer, kind::MEMORY_WRITE_COMPLETION) => {
                Message::MemoryWriteCompletion { req_id }
            }
            (Protocol::MemoryClient, kind::MEMORY_READ) => Message::MemoryRead {
                req_id,
                space,
                addr,
                len,
            },
            (Protocol::MemoryClient, kind::MEMORY_WRITE | kind::MEMORY_WRITE_POSTED) => {
                Message::MemoryWrite {
                    req_id,
                    space,
                    addr,
                    data: data()?,
                    posted: self.kind == kind::MEMORY_WRITE_POSTED,
                }
            }
            (protocol, kind) => {
                return Err(format!(
                    "a {protocol} port sends no message of type {kind:#04x}"
                ));
            }
        })
    }

    /// A message that was received, without its data, and the data.
    pub(crate) fn of(message: Message) -> (Self, Bytes) {
        let mut this = CMessage {
            kind: 0,
            bar: 0,
            interrupt: 0,
            pad: 0,
            vector: 0,
            len: message.payload().len() as u16,
            req_id: 0,
            addr: 0,
            space: 0,
            data: ptr::null(),
        };
        let mut payload = Bytes::new();
        match message {
            Message::Frame(data) => (this.kind, payload) = (kind::PACKET, data),
            Message::DmaRead { req_id, addr, len } => {
                (this.kind, this.req_id) = (kind::DMA_READ, req_id);
                (this.addr, this.len) = (addr, len);
            }
            Message::DmaWrite { req_id, addr, data } => {
                (this.kind, this.req_id) = (kind::DMA_WRITE, req_id);
                (this.addr, payload) = (addr, data);
            }
            Message::Interrupt {
                vector,
                kind: raised,
            } => {
                (this.kind, this.vector) = (kind::INTERRUPT, vector);
                this.interrupt = match raised {
                    InterruptKind::IntxAssert => 0,
                    InterruptKind::IntxDeassert => 1,
                    InterruptKind::Msi => 2,
                    InterruptKind::MsiX => 3,
                };
            }
            Message::MmioReadCompletion { req_id, data } => {
                (this.kind, this.req_id) = (kind::MMIO_READ_COMPLETION, req_id);
                payload = data;
            }
            Message::MmioWriteCompletion { req_id } => {
                (this.kind, this.req_id) = (kind::MMIO_WRITE_COMPLETION, req_id);
            }
            Message::MmioRead {
                req_id,
                bar,
                offset,
                len,
            } => {
                (this.kind, this.req_id, this.bar) = (kind::MMIO_READ, req_id, bar);
                (this.addr, this.len) = (offset, len);
            }
            Message::MmioWrite {
                req_id,
                bar,
                offset,
                data,
                posted,
            } => {
                this.kind = if posted {
                    kind::MMIO_WRITE_POSTED
                } else {
                    kind::MMIO_WRITE
                };
                (this.req_id, this.bar) = (req_id, bar);
                (this.addr, payload) = (offset, data);
            }
            Message::DmaReadCompletion { req_id, data } => {
                (this.kind, this.req_id) = (kind::DMA_READ_COMPLETION, req_id);
                payload = data;
            }
            Message::DmaWriteCompletion { req_id } => {
                (this.kind, this.req_id) = (kind::DMA_WRITE_COMPLETION, req_id);
            }
            Message::DeviceControl { flags } => {
                (this.kind, this.addr) = (kind::DEVICE_CONTROL, flags);
            }
            Message::MemoryRead {
                req_id,
                space,
                addr,
                len,
            } => {
                (this.kind, this.req_id, this.space) = (kind::MEMORY_READ, req_id, space);
                (this.addr, this.len) = (addr, len);
            }
            Message::MemoryWrite {
                req_id,
                space,
                addr,
                data,
                posted,
            } => {
                this.kind = if posted {
                    kind::MEMORY_WRITE_POSTED
                } else {
                    kind::MEMORY_WRITE
                };
                (this.req_id, this.space) = (req_id, space);
                (this.addr, payload) = (addr, data);
            }
            Message::MemoryReadCompletion { req_id, data } => {
                (this.kind, this.req_id) = (kind::MEMORY_READ_COMPLETION, req_id);
                payload = data;
            }
            Message::MemoryWriteCompletion { req_id } => {
                (this.kind, this.req_id) = (kind::MEMORY_WRITE_COMPLETION, req_id);
            }
        }
        (this, payload)
    }
}
