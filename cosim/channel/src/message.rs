//! What crosses a link.

use bytes::Bytes;

use crate::port::Protocol;

/// One message on a link.
///
/// The set is that of SimBricks version 1, no more: a frame carries neither
/// check sequence nor error mark (the MAC judges the FCS before the channel),
/// a completion carries no status (a refused read returns all ones) and is
/// never split.
///
/// `req_id` is chosen by the requester and echoed unchanged. It means nothing
/// to the other side and may repeat, so it must not be used as a key there.
/// The two directions of a link are separate spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Ethernet: a frame from the destination MAC address to the last payload
    /// byte, without preamble, FCS or gap. Its time stamp is the arrival of
    /// its last bit, FCS included. At most [`Message::MAX_PAYLOAD`] bytes.
    Frame(Bytes),

    /// Device → host: read `len` bytes of host memory at bus address `addr`.
    DmaRead {
        /// Echoed in [`Message::DmaReadCompletion`].
        req_id: u64,
        /// Bus address of the first byte.
        addr: u64,
        /// Count of bytes.
        len: u16,
    },
    /// Device → host: write `data` to host memory at bus address `addr`.
    DmaWrite {
        /// Echoed in [`Message::DmaWriteCompletion`].
        req_id: u64,
        /// Bus address of the first byte.
        addr: u64,
        /// At most [`Message::MAX_PAYLOAD`] bytes.
        data: Bytes,
    },
    /// Device → host: an interrupt. It never passes an earlier `DmaWrite`.
    Interrupt {
        /// MSI or MSI-X vector; 0 for INTx.
        vector: u16,
        /// What kind of interrupt.
        kind: InterruptKind,
    },
    /// Device → host: the answer to [`Message::MmioRead`].
    MmioReadCompletion {
        /// As in the request.
        req_id: u64,
        /// As many bytes as were asked for, little-endian.
        data: Bytes,
    },
    /// Device → host: the answer to a [`Message::MmioWrite`] that is not
    /// posted.
    MmioWriteCompletion {
        /// As in the request.
        req_id: u64,
    },

    /// Host → device: read `len` bytes at `offset` of a base address region.
    MmioRead {
        /// Echoed in [`Message::MmioReadCompletion`].
        req_id: u64,
        /// Base address register, 0–5.
        bar: u8,
        /// Byte offset within the region.
        offset: u64,
        /// Count of bytes.
        len: u16,
    },
    /// Host → device: write `data` at `offset` of a base address region.
    MmioWrite {
        /// Echoed in [`Message::MmioWriteCompletion`] unless `posted`.
        req_id: u64,
        /// Base address register, 0–5.
        bar: u8,
        /// Byte offset within the region.
        offset: u64,
        /// At most [`Message::MAX_PAYLOAD`] bytes, little-endian.
        data: Bytes,
        /// True if no completion is expected, which is how PCIe writes.
        posted: bool,
    },
    /// Host → device: the answer to [`Message::DmaRead`].
    DmaReadCompletion {
        /// As in the request.
        req_id: u64,
        /// As many bytes as were asked for; all ones if the host refused.
        data: Bytes,
    },
    /// Host → device: the answer to [`Message::DmaWrite`].
    DmaWriteCompletion {
        /// As in the request.
        req_id: u64,
    },
    /// Host → device: which interrupts are enabled: bit 0 INTx, bit 1 MSI,
    /// bit 2 MSI-X. Sent when that changes; at the start all are disabled.
    DeviceControl {
        /// The enabled kinds.
        flags: u64,
    },

    /// Client → memory: read `len` bytes at `addr` of an address space.
    MemoryRead {
        /// Echoed in [`Message::MemoryReadCompletion`].
        req_id: u64,
        /// Which of the memory's address spaces, by agreement.
        space: u64,
        /// Address of the first byte.
        addr: u64,
        /// Count of bytes.
        len: u16,
    },
    /// Client → memory: write `data` at `addr` of an address space.
    MemoryWrite {
        /// Echoed in [`Message::MemoryWriteCompletion`] unless `posted`.
        req_id: u64,
        /// Which of the memory's address spaces, by agreement.
        space: u64,
        /// Address of the first byte.
        addr: u64,
        /// At most [`Message::MAX_PAYLOAD`] bytes.
        data: Bytes,
        /// True if no completion is expected.
        posted: bool,
    },
    /// Memory → client: the answer to [`Message::MemoryRead`].
    MemoryReadCompletion {
        /// As in the request.
        req_id: u64,
        /// As many bytes as were asked for.
        data: Bytes,
    },
    /// Memory → client: the answer to a [`Message::MemoryWrite`] that is not
    /// posted.
    MemoryWriteCompletion {
        /// As in the request.
        req_id: u64,
    },
}

/// The kind of an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptKind {
    /// The legacy wire goes up.
    IntxAssert,
    /// The legacy wire goes down.
    IntxDeassert,
    /// Message-signalled.
    Msi,
    /// Message-signalled, extended: the host owns the vector table.
    MsiX,
}

impl Message {
    /// The most bytes a message can carry: lengths are 16 bits wide. The ring
    /// slots of a process boundary may hold less: by default 1536 bytes of a
    /// frame, 9024 bytes of a DMA transfer and 8192 bytes of a memory access.
    pub const MAX_PAYLOAD: usize = u16::MAX as usize;

    /// [`Message::DeviceControl`] flag: INTx is enabled.
    pub const INTX_ENABLED: u64 = 1;
    /// [`Message::DeviceControl`] flag: MSI is enabled.
    pub const MSI_ENABLED: u64 = 2;
    /// [`Message::DeviceControl`] flag: MSI-X is enabled.
    pub const MSIX_ENABLED: u64 = 4;

    /// The name of the kind, for logs and errors.
    pub fn kind(&self) -> &'static str {
        match self {
            Message::Frame(_) => "frame",
            Message::DmaRead { .. } => "DMA read",
            Message::DmaWrite { .. } => "DMA write",
            Message::Interrupt { .. } => "interrupt",
            Message::MmioReadCompletion { .. } => "MMIO read completion",
            Message::MmioWriteCompletion { .. } => "MMIO write completion",
            Message::MmioRead { .. } => "MMIO read",
            Message::MmioWrite { .. } => "MMIO write",
            Message::DmaReadCompletion { .. } => "DMA read completion",
            Message::DmaWriteCompletion { .. } => "DMA write completion",
            Message::DeviceControl { .. } => "device control",
            Message::MemoryRead { .. } => "memory read",
            Message::MemoryWrite { .. } => "memory write",
            Message::MemoryReadCompletion { .. } => "memory read completion",
            Message::MemoryWriteCompletion { .. } => "memory write completion",
        }
    }

    /// The bytes the message carries behind its header.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        match self {
            Message::Frame(data)
            | Message::DmaWrite { data, .. }
            | Message::MmioReadCompletion { data, .. }
            | Message::MmioWrite { data, .. }
            | Message::DmaReadCompletion { data, .. }
            | Message::MemoryWrite { data, .. }
            | Message::MemoryReadCompletion { data, .. } => data,
            _ => &[],
        }
    }

    /// The protocol of the only kind of port that may send this message.
    #[inline]
    pub fn sender(&self) -> Protocol {
        match self {
            Message::Frame(_) => Protocol::Ethernet,
            Message::DmaRead { .. }
            | Message::DmaWrite { .. }
            | Message::Interrupt { .. }
            | Message::MmioReadCompletion { .. }
            | Message::MmioWriteCompletion { .. } => Protocol::PcieDevice,
            Message::MmioRead { .. }
            | Message::MmioWrite { .. }
            | Message::DmaReadCompletion { .. }
            | Message::DmaWriteCompletion { .. }
            | Message::DeviceControl { .. } => Protocol::PcieHost,
            Message::MemoryRead { .. } | Message::MemoryWrite { .. } => Protocol::MemoryClient,
            Message::MemoryReadCompletion { .. } | Message::MemoryWriteCompletion { .. } => {
                Protocol::MemoryServer
            }
        }
    }
}
