//! The layouts of version 1 of the SimBricks protocol.
//!
//! All integers are little-endian. The first [`HEADER_BYTES`] of a slot are
//! its header: [`Slot`] is what all messages share, the other header types
//! lay their own fields over its first 48 bytes. Every size and offset is
//! checked at compile time, and against the C header of the crate by a test.

use std::mem::{offset_of, size_of};

use bytemuck::{Pod, Zeroable};

#[cfg(not(target_endian = "little"))]
compile_error!("the SimBricks protocol is little-endian and nothing here swaps bytes");

/// The only version there is.
pub const VERSION: u64 = 1;
/// The longest handshake message, upper layer included, in bytes.
pub const MAX_INTRO: usize = 2048;
/// Bytes of a slot in front of the payload.
pub const HEADER_BYTES: usize = 64;
/// Offset of the byte that says who owns the slot and what it holds.
pub const OWN_TYPE: usize = 63;
/// Bit of that byte: the consumer owns the slot.
pub const OWNER: u8 = 0x80;
/// The other bits of that byte: the type of the message.
pub const TYPE: u8 = 0x7f;

/// Handshake flag: wants synchronisation.
pub const FLAG_SYNC: u64 = 1;
/// Handshake flag: insists on it.
pub const FLAG_FORCE: u64 = 2;

/// What the upper layer of a channel is, `upper_layer_proto` of the intros.
pub mod protocol {
    /// Frames.
    pub const ETHERNET: u64 = 1;
    /// A device and its host.
    pub const PCIE: u64 = 2;
    /// A memory and its user.
    pub const MEMORY: u64 = 3;
}

/// Types of messages. The same number means different things in different
/// protocols and directions.
pub mod kind {
    /// Nothing but a time stamp.
    pub const SYNC: u8 = 0x00;
    /// The last message of its sender; its stamp means nothing.
    pub const TERMINATE: u8 = 0x01;
    /// From here on types belong to the upper layer.
    pub const FIRST_OF_UPPER_LAYER: u8 = 0x40;

    /// Ethernet: a frame.
    pub const PACKET: u8 = 0x40;

    /// PCIe, from the device: read host memory.
    pub const DMA_READ: u8 = 0x40;
    /// PCIe, from the device: write host memory.
    pub const DMA_WRITE: u8 = 0x41;
    /// PCIe, from the device: an interrupt.
    pub const INTERRUPT: u8 = 0x42;
    /// PCIe, from the device: data of a register read.
    pub const MMIO_READ_COMPLETION: u8 = 0x43;
    /// PCIe, from the device: a register write is done.
    pub const MMIO_WRITE_COMPLETION: u8 = 0x44;

    /// PCIe, from the host: read a register.
    pub const MMIO_READ: u8 = 0x60;
    /// PCIe, from the host: write a register, to be completed.
    pub const MMIO_WRITE: u8 = 0x61;
    /// PCIe, from the host: data of a DMA read.
    pub const DMA_READ_COMPLETION: u8 = 0x62;
    /// PCIe, from the host: a DMA write is done.
    pub const DMA_WRITE_COMPLETION: u8 = 0x63;
    /// PCIe, from the host: which interrupts are enabled.
    pub const DEVICE_CONTROL: u8 = 0x64;
    /// PCIe, from the host: write a register, without completion.
    pub const MMIO_WRITE_POSTED: u8 = 0x65;

    /// Memory, from the memory: data of a read.
    pub const MEMORY_READ_COMPLETION: u8 = 0x40;
    /// Memory, from the memory: a write is done.
    pub const MEMORY_WRITE_COMPLETION: u8 = 0x41;
    /// Memory, from its user: read.
    pub const MEMORY_READ: u8 = 0x60;
    /// Memory, from its user: write, to be completed.
    pub const MEMORY_WRITE: u8 = 0x61;
    /// Memory, from its user: write, without completion.
    pub const MEMORY_WRITE_POSTED: u8 = 0x62;
}

/// Where a ring lies in the shared object.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct RingPlace {
    /// Offset of its first slot from the start of the object, in bytes.
    pub offset: u64,
    /// Size of a slot, in bytes.
    pub slot_size: u64,
    /// Count of slots.
    pub slots: u64,
}

/// First part of the handshake message of the listener.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct ListenerIntro {
    /// [`VERSION`].
    pub version: u64,
    /// [`FLAG_SYNC`] and [`FLAG_FORCE`].
    pub flags: u64,
    /// The ring from listener to connecter.
    pub to_connecter: RingPlace,
    /// The ring from connecter to listener.
    pub to_listener: RingPlace,
    /// One of [`protocol`].
    pub upper_protocol: u64,
    /// Offset of the upper layer's part from the start of the message.
    pub upper_offset: u64,
}

/// First part of the handshake message of the connecter.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct ConnecterIntro {
    /// [`VERSION`].
    pub version: u64,
    /// [`FLAG_SYNC`] and [`FLAG_FORCE`].
    pub flags: u64,
    /// One of [`protocol`].
    pub upper_protocol: u64,
    /// Offset of the upper layer's part from the start of the message.
    pub upper_offset: u64,
}

/// Upper part of everyone's handshake message but a PCIe device's.
pub const PLAIN_INTRO_BYTES: usize = 4;

/// A base address region of a PCIe device.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Bar {
    /// Size in bytes, 0 if there is no such region.
    pub len: u64,
    /// [`Bar::IO`], [`Bar::WIDE`], [`Bar::PREFETCHABLE`], [`Bar::DUMMY`].
    pub flags: u64,
}

impl Bar {
    /// Flag: a range of I/O ports.
    pub const IO: u64 = 1;
    /// Flag: a 64-bit address. The region takes two indices; the next one
    /// stays empty.
    pub const WIDE: u64 = 2;
    /// Flag: reads have no side effect.
    pub const PREFETCHABLE: u64 = 4;
    /// Flag: software sees the region, but the host sends no message for it.
    /// Used for MSI-X tables, which the host keeps.
    pub const DUMMY: u64 = 8;
}

/// Upper part of a PCIe device's handshake message: what the host shows to
/// its software.
///
/// The fields lie unaligned: copy them out instead of borrowing them.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct DeviceIntro {
    /// Base address regions 0–5.
    pub bars: [Bar; 6],
    /// Vendor, such as 0x8086.
    pub vendor: u16,
    /// Device of that vendor.
    pub device: u16,
    /// Base class, 0x02 for a network controller.
    pub class: u8,
    /// Subclass.
    pub subclass: u8,
    /// Revision of the device.
    pub revision: u8,
    /// Programming interface.
    pub interface: u8,
    /// Count of MSI vectors: a power of two up to 32, 0 for no MSI.
    pub msi_vectors: u8,
    /// Count of MSI-X vectors, 0 for no MSI-X.
    pub msix_vectors: u16,
    /// Region of the MSI-X table.
    pub msix_table_bar: u8,
    /// Region of the MSI-X pending bits.
    pub msix_pba_bar: u8,
    /// Offset of the table in its region, in bytes.
    pub msix_table_offset: u32,
    /// Offset of the pending bits in their region, in bytes.
    pub msix_pba_offset: u32,
    /// Offset of the MSI-X capability in configuration space.
    pub msix_capability: u16,
}

/// What all messages have in common.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Slot {
    /// Belongs to the type of the message.
    pub own: [u8; 48],
    /// When the receiver must handle the message, in picoseconds.
    pub timestamp: u64,
    /// Unused.
    pub pad: [u8; 7],
    /// [`OWNER`] and [`TYPE`].
    pub own_type: u8,
}

/// Header of [`kind::PACKET`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Packet {
    /// Bytes of payload.
    pub len: u16,
    /// Always 0.
    pub port: u8,
    /// Unused.
    pub pad: [u8; 45],
    /// The rest of [`Slot`].
    pub tail: Tail,
}

/// Header of reads and writes from the device, [`kind::DMA_READ`] and
/// [`kind::DMA_WRITE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Dma {
    /// Chosen by the device.
    pub req_id: u64,
    /// Bus address.
    pub addr: u64,
    /// Bytes.
    pub len: u16,
    /// Unused.
    pub pad: [u8; 30],
    /// The rest of [`Slot`].
    pub tail: Tail,
}

/// Header of reads and writes from the host, [`kind::MMIO_READ`],
/// [`kind::MMIO_WRITE`] and [`kind::MMIO_WRITE_POSTED`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Mmio {
    /// Chosen by the host.
    pub req_id: u64,
    /// Offset in the region.
    pub offset: u64,
    /// Bytes.
    pub len: u16,
    /// Base address register.
    pub bar: u8,
    /// Unused.
    pub pad: [u8; 29],
    /// The rest of [`Slot`].
    pub tail: Tail,
}

/// Header of every completion.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Completion {
    /// As in the request.
    pub req_id: u64,
    /// Unused.
    pub pad: [u8; 40],
    /// The rest of [`Slot`].
    pub tail: Tail,
}

/// Header of [`kind::INTERRUPT`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Interrupt {
    /// Vector of MSI and MSI-X.
    pub vector: u16,
    /// 0 INTx up, 1 INTx down, 2 MSI, 3 MSI-X.
    pub kind: u8,
    /// Unused.
    pub pad: [u8; 45],
    /// The rest of [`Slot`].
    pub tail: Tail,
}

/// Header of [`kind::DEVICE_CONTROL`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct DeviceControl {
    /// Bit 0 INTx, bit 1 MSI, bit 2 MSI-X.
    pub flags: u64,
    /// Unused.
    pub pad: [u8; 40],
    /// The rest of [`Slot`].
    pub tail: Tail,
}

/// Header of reads and writes of a memory, [`kind::MEMORY_READ`],
/// [`kind::MEMORY_WRITE`] and [`kind::MEMORY_WRITE_POSTED`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Memory {
    /// Chosen by the user of the memory.
    pub req_id: u64,
    /// Address space, by agreement.
    pub space: u64,
    /// Address in it.
    pub addr: u64,
    /// Bytes.
    pub len: u16,
    /// Unused.
    pub pad: [u8; 22],
    /// The rest of [`Slot`].
    pub tail: Tail,
}

/// The last 16 bytes of every header.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Tail {
    /// As [`Slot::timestamp`].
    pub timestamp: u64,
    /// Unused.
    pub pad: [u8; 7],
    /// As [`Slot::own_type`].
    pub own_type: u8,
}

/// A header as eight words: how it is copied in and out of shared memory.
pub type HeaderWords = [u64; HEADER_BYTES / 8];
/// Which word of a header is the time stamp.
pub const TIMESTAMP_WORD: usize = 6;

const _: () = {
    assert!(size_of::<ListenerIntro>() == 80);
    assert!(offset_of!(ListenerIntro, to_connecter) == 16);
    assert!(offset_of!(ListenerIntro, to_listener) == 40);
    assert!(offset_of!(ListenerIntro, upper_protocol) == 64);
    assert!(offset_of!(ListenerIntro, upper_offset) == 72);
    assert!(size_of::<ConnecterIntro>() == 32);
    assert!(offset_of!(ConnecterIntro, upper_offset) == 24);

    assert!(size_of::<Bar>() == 16);
    assert!(size_of::<DeviceIntro>() == 119);
    assert!(offset_of!(DeviceIntro, vendor) == 96);
    assert!(offset_of!(DeviceIntro, class) == 100);
    assert!(offset_of!(DeviceIntro, msi_vectors) == 104);
    assert!(offset_of!(DeviceIntro, msix_vectors) == 105);
    assert!(offset_of!(DeviceIntro, msix_table_bar) == 107);
    assert!(offset_of!(DeviceIntro, msix_pba_bar) == 108);
    assert!(offset_of!(DeviceIntro, msix_table_offset) == 109);
    assert!(offset_of!(DeviceIntro, msix_pba_offset) == 113);
    assert!(offset_of!(DeviceIntro, msix_capability) == 117);

    assert!(size_of::<Slot>() == HEADER_BYTES);
    assert!(offset_of!(Slot, timestamp) == 8 * TIMESTAMP_WORD);
    assert!(offset_of!(Slot, own_type) == OWN_TYPE);
    assert!(size_of::<Tail>() == 16);
    assert!(offset_of!(Tail, own_type) == 15);

    assert!(size_of::<Packet>() == HEADER_BYTES);
    assert!(offset_of!(Packet, port) == 2);
    assert!(offset_of!(Packet, tail) == 48);
    assert!(size_of::<Dma>() == HEADER_BYTES);
    assert!(offset_of!(Dma, addr) == 8);
    assert!(offset_of!(Dma, len) == 16);
    assert!(offset_of!(Dma, tail) == 48);
    assert!(size_of::<Mmio>() == HEADER_BYTES);
    assert!(offset_of!(Mmio, offset) == 8);
    assert!(offset_of!(Mmio, len) == 16);
    assert!(offset_of!(Mmio, bar) == 18);
    assert!(offset_of!(Mmio, tail) == 48);
    assert!(size_of::<Completion>() == HEADER_BYTES);
    assert!(offset_of!(Completion, tail) == 48);
    assert!(size_of::<Interrupt>() == HEADER_BYTES);
    assert!(offset_of!(Interrupt, kind) == 2);
    assert!(offset_of!(Interrupt, tail) == 48);
    assert!(size_of::<DeviceControl>() == HEADER_BYTES);
    assert!(offset_of!(DeviceControl, tail) == 48);
    assert!(size_of::<Memory>() == HEADER_BYTES);
    assert!(offset_of!(Memory, space) == 8);
    assert!(offset_of!(Memory, addr) == 16);
    assert!(offset_of!(Memory, len) == 24);
    assert!(offset_of!(Memory, tail) == 48);
};
