//! What travels between the stages of the data path.
//!
//! Every channel is a ready/valid stream ([`StreamSink`], [`StreamSource`]) of one
//! of the structures below. Field 0 is the least significant. Metadata travels
//! apart from payload, so that header work never waits for payload beats.
//!
//! `N` is the width of the data bus in bits, `K` its bytes. Counts of bytes of a beat
//! have the width that the widest bus needs.
//!
//! ```text
//!  eth_rx ─► parse ─Summary─► sequence ─► identify ─Segment─► reorder ─┐
//!              └─ beats ─► frame buffer ──────────────────────┐        │
//!  doorbell ─► fetch ─Event(HC)────────────────────────────┐  │        │
//!  mmio ─► registers ─Event(CMD)─────────────────────────┐ │  │        │
//!  scheduler ─Grant──────────────────────────────────► arbiter ◄───────┘
//!      ▲                                                 │Event
//!      └────────────── Update ──────────── post ◄─Outcome─ protocol
//!                        ReadRequest ◄──────┤   │Action
//!             payload_read ◄────────────────┘   ▼
//!                   │ beats                payload_write ─Up─► upstream ─► PCIe
//!                   ▼                           │ Notice ─► notify ─Up─►  "
//!  eth_tx ◄──── assemble ◄───────Header─────────┘
//! ```

use hallux_hdl::prelude::*;

/// Widths of the data bus (one beat) that are built, in bits.
pub const BUS_WIDTHS: [usize; 3] = [256, 512, 1024];
/// Bits of the data bus where nothing else is said.
pub const BUS_BITS: usize = 512;
/// Bytes of the data bus where nothing else is said.
pub const BUS_BYTES: usize = BUS_BITS / 8;
/// Data bits of requests that carry at most one record; no bus is narrower.
pub const RECORD_BITS: usize = 256;

/// `kind` of an [`Event`]: a received frame.
pub const KIND_RX: u64 = 0;
/// `kind` of an [`Event`]: a transmit grant of the scheduler.
pub const KIND_TX: u64 = 1;
/// `kind` of an [`Event`]: a host-control descriptor (FlexTOE's HC workflow).
pub const KIND_HC: u64 = 2;
/// `kind` of an [`Event`]: a state command of the control plane.
pub const KIND_CMD: u64 = 3;

/// `class` of a received frame: handled by the data path.
pub const CLASS_FAST: u64 = 0;
/// `class` of a received frame: handed to the control plane, whole.
/// Of a host-control event: a raw frame of the control plane to transmit.
pub const CLASS_SLOW: u64 = 1;
/// `class` of a received frame: malformed or not for us; its beats are skipped.
pub const CLASS_DROP: u64 = 2;

/// One beat of an Ethernet frame. Byte 0 of the frame is `data[7:0]`.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Beat<const N: usize = BUS_BITS, const K: usize = BUS_BYTES> {
    /// Frame bytes, network order, justified to byte 0.
    pub data: Bits<N>,
    /// One bit a byte, contiguous from bit 0; all ones but on the last beat.
    pub keep: Bits<K>,
    /// Last beat of the frame.
    pub last: Bit,
}

/// A block of the SACK option: bytes that arrived out of order (RFC 2018 §3).
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct SackBlock {
    /// First sequence number.
    pub left: Bits<32>,
    /// One past the last.
    pub right: Bits<32>,
}

/// The SACK option of a segment: as many blocks as fit beside timestamps.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Sack {
    /// Blocks, 0 to 3; without one there is no option.
    pub count: Bits<2>,
    /// The block that grew last.
    pub first: SackBlock,
    /// Second block.
    pub second: SackBlock,
    /// Third block.
    pub third: SackBlock,
}

/// What the parser learnt of one frame (FlexTOE's RX header summary, with the key).
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Summary {
    /// Ticket, stamped by the sequencer: kind in bits 23..22, running number below.
    pub ticket: Bits<24>,
    /// [`CLASS_FAST`], [`CLASS_SLOW`] or [`CLASS_DROP`].
    pub class: Bits<2>,
    /// Frame bytes without FCS, as stored in the frame buffer.
    pub frame_len: Bits<14>,
    /// IPv4 source address, most significant octet first.
    pub remote_ip: Bits<32>,
    /// IPv4 destination address.
    pub local_ip: Bits<32>,
    /// TCP source port.
    pub remote_port: Bits<16>,
    /// TCP destination port.
    pub local_port: Bits<16>,
    /// SEG.SEQ.
    pub seq: Bits<32>,
    /// SEG.ACK.
    pub ack: Bits<32>,
    /// TCP flags octet (CWR ECE URG ACK PSH RST SYN FIN, FIN in bit 0).
    pub flags: Bits<8>,
    /// Window field as received, unscaled.
    pub window: Bits<16>,
    /// TSval of the timestamps option.
    pub ts_val: Bits<32>,
    /// TSecr of the timestamps option.
    pub ts_ecr: Bits<32>,
    /// The segment carries a timestamps option.
    pub ts_present: Bit,
    /// SACK option of the segment. A fourth block is not kept.
    pub sack: Sack,
    /// The IP header is marked Congestion Experienced (low two TOS bits = 3).
    pub ce: Bit,
    /// Byte offset of the payload in the frame.
    pub payload_offset: Bits<8>,
    /// Payload bytes: IP total length less headers.
    pub payload_len: Bits<14>,
}

/// A frame after identification.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Segment {
    /// The parser's summary; `class` is now final (a lookup miss turns fast into slow).
    pub summary: Summary,
    /// Flow id of the connection; meaningful for [`CLASS_FAST`] only.
    pub flow: Bits<16>,
}

/// A transmit grant: the flow may send one segment of up to its MSS.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Grant {
    /// Ticket of kind [`KIND_TX`].
    pub ticket: Bits<24>,
    /// Flow id.
    pub flow: Bits<16>,
    /// No grant: a delayed acknowledgement has waited long enough.
    pub reminds: Bit,
}

/// One unit of work of the protocol stage. Fields that a kind does not name are zero.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Event {
    /// [`KIND_RX`], [`KIND_TX`], [`KIND_HC`] or [`KIND_CMD`].
    pub kind: Bits<2>,
    /// Ticket of the event.
    pub ticket: Bits<24>,
    /// Flow id.
    pub flow: Bits<16>,
    /// Generation of the flow id, checked on HC and CMD (but OPEN) events.
    pub generation: Bits<8>,
    /// RX: class of the frame. HC: [`CLASS_SLOW`] marks a raw frame to transmit.
    pub class: Bits<2>,
    /// RX: TCP flags. TX: bit 0 = no grant, a delayed acknowledgement has waited long
    /// enough. HC: bit 0 = finish the stream. CMD: opcode (`interface::Opcode`).
    pub flags: Bits<8>,
    /// RX: SEG.SEQ. HC: rx_bump (bytes the application consumed). CMD OPEN: RCV.NXT.
    pub seq: Bits<32>,
    /// RX: SEG.ACK. HC: tx_bump (bytes the application released). CMD OPEN: SND.NXT.
    pub ack: Bits<32>,
    /// RX: window field, unscaled. CMD OPEN: the peer's window in bytes.
    pub window: Bits<32>,
    /// RX: TSval. CMD OPEN: TS.Recent.
    pub ts_val: Bits<32>,
    /// RX: TSecr. CMD OPEN: timestamp offset of the flow.
    pub ts_ecr: Bits<32>,
    /// RX: a timestamps option is present.
    pub ts_present: Bit,
    /// RX: SACK option.
    pub sack: Sack,
    /// RX: only a block of the SACK option, the first here. Made by the protocol stage.
    pub report: Bit,
    /// RX: Congestion Experienced.
    pub ce: Bit,
    /// RX: byte offset of the payload in the frame.
    pub payload_offset: Bits<8>,
    /// RX: payload bytes.
    pub payload_len: Bits<14>,
    /// RX: frame bytes. HC raw: bytes to transmit.
    pub frame_len: Bits<14>,
    /// HC raw: bus address of the frame. CMD OPEN and SET: word 0 of
    /// the staged words (`interface::OpenWords::encode`).
    pub address: Bits<64>,
}

/// The protocol stage's result: a snapshot, so that no later stage reads TCP state.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Outcome {
    /// Kind of the event.
    pub kind: Bits<2>,
    /// Ticket of the event.
    pub ticket: Bits<24>,
    /// Flow id.
    pub flow: Bits<16>,
    /// Generation of the flow (of the event for a command that failed).
    pub generation: Bits<8>,
    /// Class of the event.
    pub class: Bits<2>,
    /// Emit a segment (an ACK, or data when `length` > 0, or FIN).
    pub send: Bit,
    /// SEG.SEQ of the segment.
    pub seq: Bits<32>,
    /// SEG.ACK of the segment. Command: RCV.NXT.
    pub ack: Bits<32>,
    /// Window field of the segment, scaled for the wire.
    pub window: Bits<16>,
    /// TCP flags of the segment.
    pub flags: Bits<8>,
    /// The segment carries timestamps.
    pub ts_on: Bit,
    /// Timestamp offset of the flow, added to the clock at transmission.
    pub ts_offset: Bits<32>,
    /// TSecr of the segment.
    pub ts_ecr: Bits<32>,
    /// SACK option of the segment, which then has no payload.
    pub sack: Sack,
    /// Payload bytes to fetch and send; raw frame: its bytes.
    pub length: Bits<14>,
    /// Free-running transmit ring position of the first payload byte.
    pub tx_pos: Bits<32>,
    /// Place received payload.
    pub place: Bit,
    /// Free-running receive ring position of the first placed byte. Command: SND.UNA.
    pub rx_pos: Bits<32>,
    /// Byte offset in the frame of the first placed byte.
    pub place_offset: Bits<14>,
    /// Bytes to place.
    pub place_len: Bits<14>,
    /// RX: frame bytes in the frame buffer, to be consumed.
    pub frame_len: Bits<14>,
    /// Post a notification to the flow's context.
    pub notify: Bit,
    /// Bytes newly readable by the application. Command: bytes sent and unacknowledged
    /// (SND.NXT is SND.UNA plus this).
    pub rx_bump: Bits<32>,
    /// Bytes newly acknowledged by the peer. Command: bytes released and unsent.
    pub tx_bump: Bits<32>,
    /// Notification flags (`interface::notice`).
    pub notice_flags: Bits<8>,
    /// Notification: a read of the flow's payload was never answered.
    pub read_lost: Bit,
    /// Round-trip sample in timestamp ticks (1.024 µs) plus one; 0 = none.
    pub rtt: Bits<32>,
    /// A delayed acknowledgement begins to wait.
    pub owes: Bit,
    /// Tell the scheduler whether the flow can send.
    pub update: Bit,
    /// With `update`: the flow has bytes that window and ring allow to send.
    pub ready: Bit,
    /// A command completed; post its completion record to context 0.
    pub done: Bit,
    /// Command: opcode.
    pub opcode: Bits<8>,
    /// Command: `interface::Status`.
    pub status: Bits<8>,
    /// Raw frame: bus address.
    pub address: Bits<64>,
}

/// A record for a host's context ring (FlexTOE's ARX descriptor).
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Notice {
    /// Context whose ring receives the record.
    pub context: Bits<8>,
    /// Record type (`interface::RecordKind`).
    pub kind: Bits<8>,
    /// Bytes 0..4 of the record.
    pub rx_bump: Bits<32>,
    /// Bytes 4..8 of the record.
    pub tx_bump: Bits<32>,
    /// Bytes 8..16 of the record.
    pub opaque: Bits<64>,
    /// Flow id, bytes 16..18.
    pub flow: Bits<16>,
    /// Generation, byte 18.
    pub generation: Bits<8>,
    /// Flags, byte 19.
    pub flags: Bits<8>,
    /// Frame length, bytes 20..22. Of an update bytes 20..24 are one count: bytes acknowledged
    /// with ECN echo.
    pub length: Bits<16>,
    /// Command opcode, byte 22.
    pub opcode: Bits<8>,
    /// Command status, byte 23.
    pub status: Bits<8>,
    /// Bytes 24..28: slot index, RTT sample or SND.UNA by record type.
    pub value: Bits<32>,
    /// Bit 0 of byte 28: a read of the flow's payload was never answered.
    pub read_lost: Bit,
    /// Ticket of the event that caused the record.
    pub ticket: Bits<24>,
}

/// The headers of one frame to transmit, or a raw frame when `raw` is set.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Header {
    /// Ticket of the event.
    pub ticket: Bits<24>,
    /// Flow id.
    pub flow: Bits<16>,
    /// Its generation.
    pub generation: Bits<8>,
    /// The payload is a whole frame: no headers are added, no checksum is touched.
    pub raw: Bit,
    /// Destination MAC address, first octet in bits 47..40.
    pub remote_mac: Bits<48>,
    /// Source IPv4 address.
    pub local_ip: Bits<32>,
    /// Destination IPv4 address.
    pub remote_ip: Bits<32>,
    /// Source port.
    pub local_port: Bits<16>,
    /// Destination port.
    pub remote_port: Bits<16>,
    /// SEG.SEQ.
    pub seq: Bits<32>,
    /// SEG.ACK.
    pub ack: Bits<32>,
    /// Window field.
    pub window: Bits<16>,
    /// TCP flags.
    pub flags: Bits<8>,
    /// Add the timestamps option (NOP NOP TS, data offset 8).
    pub ts_on: Bit,
    /// Added to bits 41..10 of `now` to form TSval.
    pub ts_offset: Bits<32>,
    /// TSecr.
    pub ts_ecr: Bits<32>,
    /// SACK option behind the timestamps (NOP NOP SACK); the frame then has no payload.
    pub sack: Sack,
    /// ECN field of the IP header: 2 = ECT(0) for data of an ECN flow, else 0.
    pub ecn: Bits<2>,
    /// Payload bytes that follow from the payload reader; raw: frame bytes.
    pub length: Bits<14>,
    /// A pure acknowledgement of new data, which says nothing that a later segment of
    /// the flow does not say as well.
    pub plain_ack: Bit,
}

/// What payload write does for one event, in ticket order.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Action {
    /// Ticket of the event.
    pub ticket: Bits<24>,
    /// Flow id.
    pub flow: Bits<16>,
    /// The event owns the oldest frame of the frame buffer.
    pub frame: Bit,
    /// Bytes of that frame.
    pub frame_len: Bits<14>,
    /// Write `place_len` bytes of it to the host.
    pub place: Bit,
    /// Write the whole frame to the control plane's next slow-path slot and post a record.
    pub slow: Bit,
    /// Byte offset in the frame of the first byte to place.
    pub place_offset: Bits<14>,
    /// Bytes to place.
    pub place_len: Bits<14>,
    /// Bus address of the first byte.
    pub address: Bits<64>,
    /// Bytes from `address` to the end of the ring.
    pub room: Bits<25>,
    /// Bus address of the ring, where the placement continues after `room` bytes.
    pub ring: Bits<64>,
    /// Post `notice` once the payload is queued upstream (O3).
    pub notify: Bit,
    /// The record to post.
    pub notice: Notice,
    /// Transmit `header` once the payload is queued upstream (O4).
    pub send: Bit,
    /// The frame to transmit.
    pub header: Header,
}

/// A host-memory range to fetch for transmission, in ticket order.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct ReadRequest {
    /// Ticket of the event.
    pub ticket: Bits<24>,
    /// Flow id.
    pub flow: Bits<16>,
    /// Bus address of the first byte.
    pub address: Bits<64>,
    /// Bytes from `address` to the end of the ring (all ones for a raw frame).
    pub room: Bits<25>,
    /// Bus address of the ring, where the range continues after `room` bytes.
    pub ring: Bits<64>,
    /// Bytes to fetch, at least 1.
    pub length: Bits<14>,
}

/// A fetched beat on its way to assembly: contiguous, justified, in request order.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct PayloadBeat<const N: usize = BUS_BITS> {
    /// Payload bytes; bytes past the end of the segment are zero.
    pub data: Bits<N>,
    /// Last beat of the segment.
    pub last: Bit,
    /// With `last`: some of the segment could not be read.
    pub poisoned: Bit,
}

/// Post to scheduler: can the flow send now?
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Update {
    /// Flow id.
    pub flow: Bits<16>,
    /// The flow has sendable bytes.
    pub ready: Bit,
}

/// `kind` of [`Up`]: memory write.
pub const UP_WRITE: u64 = 0;
/// `kind` of [`Up`]: MSI-X message.
pub const UP_MSIX: u64 = 1;
/// `kind` of [`Up`]: completion of an MMIO read.
pub const UP_COMPLETION: u64 = 2;
/// `kind` of [`Up`]: memory read.
pub const UP_READ: u64 = 3;

/// One beat of the one ordered upstream queue (contracts: a read or completion never
/// passes an earlier write). `kind`, `address`, `bytes`, `tag`, `vector` are valid on
/// every beat of a request; `bytes` is the request's total.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Up<const N: usize = BUS_BITS> {
    /// [`UP_WRITE`], [`UP_MSIX`], [`UP_COMPLETION`] or [`UP_READ`].
    pub kind: Bits<2>,
    /// Bus address.
    pub address: Bits<64>,
    /// Bytes of the whole request; at most the maximum payload (write) or read request size.
    pub bytes: Bits<13>,
    /// Read tag, or tag of the MMIO read that is completed.
    pub tag: Bits<8>,
    /// MSI-X vector.
    pub vector: Bits<8>,
    /// Write data, justified to byte 0 of the first beat; a completion's 64 bits.
    pub data: Bits<N>,
    /// Last beat of the request.
    pub last: Bit,
}

/// One beat of a read completion. Offsets count from the first byte of the request and
/// are multiples of the bus width; all beats but the last of a request are full.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Completion<const N: usize = BUS_BITS> {
    /// Tag of the request.
    pub tag: Bits<8>,
    /// Byte offset in the request.
    pub offset: Bits<13>,
    /// Data, justified to byte 0.
    pub data: Bits<N>,
    /// Valid bytes of this beat, 1 to the bytes of the bus.
    pub bytes: Bits<8>,
    /// This beat completes the request (all its other beats have been delivered).
    pub last: Bit,
    /// With `last`: the host never answered, and the data are all ones (PCIe 4.0 §2.8).
    pub poisoned: Bit,
}

/// One MMIO access of the host.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Mmio {
    /// Base address register.
    pub bar: Bits<3>,
    /// Write (posted); otherwise a read that is completed through the upstream queue.
    pub write: Bit,
    /// Byte offset in the BAR, a multiple of 8.
    pub address: Bits<24>,
    /// Write data.
    pub data: Bits<64>,
    /// Byte enables of a write.
    pub strobe: Bits<8>,
    /// Tag of a read.
    pub tag: Bits<8>,
}

/// A write to a context register, broadcast by the register file to fetch and notify.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct ContextWrite {
    /// Context.
    pub context: Bits<8>,
    /// Register: byte offset in the context page / 8.
    pub register: Bits<5>,
    /// Value.
    pub value: Bits<64>,
}

/// A write to the flow table.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct TableWrite {
    /// Which of the two hash tables.
    pub table: Bit,
    /// Bucket.
    pub bucket: Bits<16>,
    /// Way in the bucket.
    pub way: Bits<2>,
    /// The new entry.
    pub entry: TableEntry,
}

/// An entry of the flow table. The key is remote IP, local IP, remote port, local port.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct TableEntry {
    /// The entry is in use.
    pub valid: Bit,
    /// Flow id.
    pub flow: Bits<16>,
    /// Remote IPv4 address.
    pub remote_ip: Bits<32>,
    /// Local IPv4 address.
    pub local_ip: Bits<32>,
    /// Remote port.
    pub remote_port: Bits<16>,
    /// Local port.
    pub local_port: Bits<16>,
}

/// The post stage's slice of a connection, written when the connection is opened.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Connection {
    /// Context that is notified.
    pub context: Bits<8>,
    /// ECN negotiated.
    pub ecn: Bit,
    /// log2 of the receive ring's bytes, 13 to 24.
    pub rx_log2: Bits<5>,
    /// log2 of the transmit ring's bytes, 13 to 24.
    pub tx_log2: Bits<5>,
    /// MAC address of the next hop, first octet in bits 47..40.
    pub remote_mac: Bits<48>,
    /// Local IPv4 address.
    pub local_ip: Bits<32>,
    /// Remote IPv4 address.
    pub remote_ip: Bits<32>,
    /// Local port.
    pub local_port: Bits<16>,
    /// Remote port.
    pub remote_port: Bits<16>,
    /// Bus address of the receive ring, aligned to its size.
    pub rx_base: Bits<64>,
    /// Bus address of the transmit ring, aligned to its size.
    pub tx_base: Bits<64>,
    /// Echoed in notifications.
    pub opaque: Bits<64>,
}

/// A write of a [`Connection`] slice.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct ConnectionWrite {
    /// Flow id.
    pub flow: Bits<16>,
    /// The slice.
    pub connection: Connection,
}

/// What a stage's input shows to the observer: the stage trace and the stall counters
/// hang on it.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Probe {
    /// An event enters the stage in this cycle.
    pub fire: Bit,
    /// An event is offered and the stage does not take it.
    pub blocked: Bit,
    /// Ticket of that event.
    pub ticket: Bits<24>,
    /// Flow of that event.
    pub flow: Bits<16>,
}
