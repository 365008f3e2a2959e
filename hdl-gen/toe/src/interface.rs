//! The host interface: registers, descriptors and records. The single source for the
//! RTL, the driver, the C header and the register reference.
//!
//! All structures are little-endian. Ring indices are free-running 32-bit counts; an
//! index modulo the ring's length is a slot. The phase bit of a record is 1 in the first
//! pass over a ring and toggles with each pass, so a reader needs no index of the writer.

pub mod modules;

/// BAR that holds every register.
pub const BAR: u8 = 0;
/// Bytes of BAR 0.
pub const BAR_BYTES: u64 = 1 << 20;
/// BAR of the MSI-X table (a dummy BAR in SimBricks' sense; the host owns the table).
pub const MSIX_BAR: u8 = 2;
/// PCI vendor id: unassigned, used only in simulation.
pub const VENDOR_ID: u16 = 0x1d1d;
/// PCI device id.
pub const DEVICE_ID: u16 = 0x70e0;
/// Largest number of application contexts, the control plane's context 0 included.
pub const MAX_CONTEXTS: u32 = 32;
/// Context of the control plane.
pub const CONTROL_CONTEXT: u8 = 0;
/// Value of [`register::ID`]: "HALLUX01" read as little-endian octets.
pub const ID_MAGIC: u64 = u64::from_le_bytes(*b"HALLUX01");
/// Version of this interface.
pub const VERSION: u64 = 1;

/// Bit of [`register::CAPABILITIES`] at which what the data path can do begins: 8 bits.
pub const FEATURES_SHIFT: u32 = 24;
/// Of those: intervals that a connection holds out of order.
pub const FEATURE_INTERVALS: u64 = 0x7;
/// Of those: recovery by SACK.
pub const FEATURE_SACK_RECOVERY: u64 = 0x8;
/// Feature: it takes [pushes](push).
pub const FEATURE_PUSH: u64 = 0x10;

/// Bit of [`register::CONTROL`] that resets the function.
pub const CONTROL_RESET: u64 = 2;

/// Global registers: byte offsets in BAR 0, 64 bits each.
pub mod register {
    /// [`super::ID_MAGIC`], read only.
    pub const ID: u64 = 0x000;
    /// Bits 15..0 [`super::VERSION`], 23..16 contexts, 27..24 intervals held out of order, 28
    /// recovery by SACK, 63..32 connections. Read only.
    pub const CAPABILITIES: u64 = 0x008;
    /// Bits 15..0 flow-table buckets of each table, 31..16 frame-buffer beats,
    /// 47..32 payload read tags, 61..48 bus bits, 62 connections may have rates, 63 connections'
    /// states in host memory. Read only.
    pub const PARAMETERS: u64 = 0x010;
    /// Bit 0 enables intake from the wire; cleared it drains. Writing bit 1 resets the whole
    /// function: the edge of the NIC sees the write and raises `rst`; everything is as after
    /// power-up, and answers to reads from before are thrown away. It reads as zero.
    pub const CONTROL: u64 = 0x018;
    /// Bit 0 enabled, bit 1 drained (nothing in flight). Read only.
    pub const STATUS: u64 = 0x020;
    /// Bits 47..0 station address, first octet in bits 47..40.
    pub const MAC: u64 = 0x028;
    /// Simulated time in ns. Read only.
    pub const TIME: u64 = 0x030;
    /// Bus address of the slow-path receive slots, each [`super::SLOW_SLOT_BYTES`];
    /// there are as many slots as context 0's notification ring has records.
    pub const SLOW_BASE: u64 = 0x038;
    /// Writing latches all counters into the counter window.
    pub const COUNTER_LATCH: u64 = 0x040;
    /// Bus address of the connections' states, [`super::STATE_BYTES`] each and aligned to
    /// them, where the NIC keeps states in host memory. They are to be zero when intake is
    /// first enabled after a reset.
    pub const STATE_BASE: u64 = 0x048;
    /// First context page; context `c`'s page is at `CONTEXT + c * CONTEXT_STRIDE`.
    pub const CONTEXT: u64 = 0x1000;
    /// Bytes of a context page: a page can be mapped into one process.
    pub const CONTEXT_STRIDE: u64 = 0x1000;
    /// Counter window: counter `i` at `COUNTERS + 8 * i`.
    pub const COUNTERS: u64 = 0x4_0000;
    /// Staging words of a state command, [`super::COMMAND_WORDS`] of 64 bits.
    pub const COMMAND_STAGE: u64 = 0x5_0000;
    /// Writing starts the staged command: bits 15..0 flow, 23..16 generation,
    /// 31..24 opcode. The NIC answers with a [`super::RecordKind::CommandDone`] record
    /// on context 0; one command may be outstanding.
    pub const COMMAND: u64 = 0x5_0080;
    /// Flow-table staging: bits 63..32 remote IP, 31..0 local IP.
    pub const TABLE_ADDRESSES: u64 = 0x6_0000;
    /// Flow-table staging: bits 15..0 local port, 31..16 remote port, 47..32 flow.
    pub const TABLE_PORTS: u64 = 0x6_0008;
    /// Writing commits the staged entry: bits 15..0 bucket, 17..16 way, 18 table, 19 valid.
    pub const TABLE_COMMIT: u64 = 0x6_0010;
}

/// Registers of a context page: byte offsets in the page, 64 bits each.
pub mod context {
    /// Doorbell: descriptors written so far to the context's descriptor ring.
    pub const DESCRIPTOR_TAIL: u64 = 0x00;
    /// Records consumed so far from the context's notification ring.
    pub const RECORD_HEAD: u64 = 0x08;
    /// Arms one interrupt: raised as soon as the count of records posted differs from the
    /// written value (at once if it already does).
    pub const INTERRUPT_ARM: u64 = 0x10;
    /// Bus address of the descriptor ring, 64-byte aligned.
    pub const DESCRIPTOR_BASE: u64 = 0x18;
    /// log2 of the descriptor ring's length in descriptors, 2 to 16.
    pub const DESCRIPTOR_LOG2: u64 = 0x20;
    /// Bus address of the notification ring, 64-byte aligned.
    pub const RECORD_BASE: u64 = 0x28;
    /// log2 of the notification ring's length in records, 4 to 16; at least 5 for context 0,
    /// where 16 records are kept for frames and commands.
    pub const RECORD_LOG2: u64 = 0x30;
    /// Bus address of the 8-byte word where the NIC writes how many descriptors it consumed.
    pub const CONSUMED_ADDRESS: u64 = 0x38;
    /// Bit 0 enables the context; writing it 0 then 1 resets its indices.
    pub const ENABLE: u64 = 0x40;
    /// Least time from one interrupt of the context's vector to the next, in ns, at most
    /// 2³¹; 0, as after reset: none.
    pub const INTERRUPT_INTERVAL: u64 = 0x48;
}

/// Pushes: a descriptor of a connection update with its payload, written into a slot of a
/// context's page, where the NIC has it ([`FEATURE_PUSH`]).
///
/// A push is one posted write of the words below, in this order, without those of the payload
/// that are not needed (a core writes it through a write-combining mapping); it must not be
/// interleaved with another. It has no place in the descriptor ring and is never refused.
///
/// | word | bits |
/// |---|---|
/// | 0 | bus address of the payload, which stands in the transmit ring as well |
/// | 1 | 31..0 rx_bump, 63..32 tx_bump |
/// | 2 | 15..0 flow, 23..16 generation, 38..32 bytes of payload, 0 to 64 |
/// | 3..10 | payload |
pub mod push {
    /// Offset of the slot in a context's page.
    pub const SLOT: u64 = 0x400;
    /// The largest payload.
    pub const PAYLOAD_BYTES: u64 = 64;
    /// Word of flow, generation and length; the payload follows.
    pub const FLOW_WORD: u64 = 2;
    /// Bytes of a slot.
    pub const SLOT_BYTES: u64 = 8 * (FLOW_WORD + 1) + PAYLOAD_BYTES;
}

/// Bytes of a connection's state in host memory.
pub const STATE_BYTES: u64 = 128;
/// Bytes of a slow-path receive slot.
pub const SLOW_SLOT_BYTES: u64 = 2048;
/// Bytes of a descriptor and of a record.
pub const DESCRIPTOR_BYTES: u64 = 32;
/// 64-bit words of a staged command.
pub const COMMAND_WORDS: usize = 10;

/// Descriptors, host to NIC (FlexTOE's ATX), 32 bytes.
///
/// | bytes | connection update | send frame |
/// |---|---|---|
/// | 0..4 | rx_bump: bytes consumed by the application | – |
/// | 4..8 | tx_bump: bytes released for transmission | – |
/// | 8..10 | flow | – |
/// | 10 | generation | – |
/// | 11 | bit 0: finish the stream (the last released byte stands for FIN) | – |
/// | 16..24 | – | bus address of the frame |
/// | 24..26 | – | frame bytes without FCS |
/// | 30 | kind | kind |
/// | 31 | bit 7: phase | bit 7: phase |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptor {
    /// The application consumed or released bytes of a connection.
    Update {
        /// Flow id.
        flow: u16,
        /// Generation of the flow id.
        generation: u8,
        /// Bytes consumed from the receive ring.
        rx_bump: u32,
        /// Bytes released in the transmit ring, the FIN byte included.
        tx_bump: u32,
        /// The last released byte stands for FIN.
        finish: bool,
    },
    /// Transmit a frame of the control plane as it is (context 0 only).
    SendFrame {
        /// Bus address.
        address: u64,
        /// Bytes without FCS, 14 to 1514; padded to 60 by the MAC.
        length: u16,
    },
}

/// `kind` octet of [`Descriptor::Update`].
pub const DESCRIPTOR_UPDATE: u8 = 1;
/// `kind` octet of [`Descriptor::SendFrame`].
pub const DESCRIPTOR_SEND_FRAME: u8 = 2;
/// Flag octet of an update: finish the stream.
pub const UPDATE_FINISH: u8 = 1;

impl Descriptor {
    /// The 32 bytes in host memory.
    pub fn encode(&self, phase: bool) -> [u8; 32] {
        let mut b = [0; 32];
        match *self {
            Self::Update {
                flow,
                generation,
                rx_bump,
                tx_bump,
                finish,
            } => {
                b[0..4].copy_from_slice(&rx_bump.to_le_bytes());
                b[4..8].copy_from_slice(&tx_bump.to_le_bytes());
                b[8..10].copy_from_slice(&flow.to_le_bytes());
                b[10] = generation;
                b[11] = if finish { UPDATE_FINISH } else { 0 };
                b[30] = DESCRIPTOR_UPDATE;
            }
            Self::SendFrame { address, length } => {
                b[16..24].copy_from_slice(&address.to_le_bytes());
                b[24..26].copy_from_slice(&length.to_le_bytes());
                b[30] = DESCRIPTOR_SEND_FRAME;
            }
        }
        b[31] = u8::from(phase) << 7;
        b
    }

    /// Reads 32 bytes; `None` for an unknown kind.
    pub fn decode(b: &[u8; 32]) -> Option<Self> {
        let u32_at = |i: usize| u32::from_le_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]);
        match b[30] {
            DESCRIPTOR_UPDATE => Some(Self::Update {
                flow: u16::from_le_bytes([b[8], b[9]]),
                generation: b[10],
                rx_bump: u32_at(0),
                tx_bump: u32_at(4),
                finish: b[11] & UPDATE_FINISH != 0,
            }),
            DESCRIPTOR_SEND_FRAME => Some(Self::SendFrame {
                address: u64::from(u32_at(16)) | u64::from(u32_at(20)) << 32,
                length: u16::from_le_bytes([b[24], b[25]]),
            }),
            _ => None,
        }
    }
}

/// What a record announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// Bytes arrived, were acknowledged, or the peer finished.
    Update = 1,
    /// A frame for the control plane stands in a slow-path slot.
    Frame = 2,
    /// A state command completed.
    CommandDone = 3,
}

/// Flags of an update record.
pub mod notice {
    /// The peer finished its stream (FIN received in order).
    pub const PEER_FINISHED: u8 = 1;
    /// First acceptable segment of a passively opened connection.
    pub const ESTABLISHED: u8 = 2;
    /// A fast retransmission was started.
    pub const FAST_RETRANSMIT: u8 = 4;
    /// Shift of the class of the connection, where a `classify` module gives one.
    pub const CLASS_SHIFT: u8 = 4;
    /// The segment acknowledged bytes with ECN echo.
    pub const ECN_ECHO: u8 = 8;
}

/// A record of a notification ring (FlexTOE's ARX), 32 bytes, phase in the last.
///
/// | bytes | update | frame | command done |
/// |---|---|---|---|
/// | 0..4 | rx_bump | – | bytes sent and unacknowledged |
/// | 4..8 | tx_bump: bytes acknowledged | – | bytes released and unsent |
/// | 8..16 | opaque | – | SND.NXT, RCV.NXT |
/// | 16..18 | flow | – | flow |
/// | 18 | generation | – | generation |
/// | 19 | flags ([`notice`]), bits 7..4 class | – | – |
/// | 20..22 | bytes acknowledged with ECN echo, low half | frame bytes | – |
/// | 22, 23 | high half | – | opcode, status |
/// | 24..28 | RTT sample + 1 in 1.024 µs, 0 = none | slot | SND.UNA |
/// | 28 | bit 0: a read of payload was never answered | – | – |
/// | 30 | kind | kind | kind |
/// | 31 | bit 7: phase | | |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Raw record type; see [`RecordKind`].
    pub kind: u8,
    /// Bytes 0..4.
    pub rx_bump: u32,
    /// Bytes 4..8.
    pub tx_bump: u32,
    /// Bytes 8..16.
    pub opaque: u64,
    /// Bytes 16..18.
    pub flow: u16,
    /// Byte 18.
    pub generation: u8,
    /// Byte 19.
    pub flags: u8,
    /// Bytes 20..22.
    pub length: u16,
    /// Byte 22.
    pub opcode: u8,
    /// Byte 23.
    pub status: u8,
    /// Bytes 24..28.
    pub value: u32,
    /// Bit 0 of byte 28: payload that was to be sent could not be read, and its segments never
    /// left; the connection is not to go on.
    pub read_lost: bool,
    /// Bit 7 of byte 31.
    pub phase: bool,
}

impl Record {
    /// Of an update: bytes acknowledged with ECN echo, of those in `tx_bump`. With the
    /// round-trip sample and [`notice::FAST_RETRANSMIT`] all that congestion control needs.
    pub fn marked(&self) -> u32 {
        u32::from(self.length) | u32::from(self.opcode) << 16 | u32::from(self.status) << 24
    }

    /// Of an update: class that a `classify` module gave the connection, 0 without one.
    pub fn class(&self) -> u8 {
        self.flags >> notice::CLASS_SHIFT
    }

    /// An update of whose acknowledged bytes so many came with ECN echo.
    #[must_use]
    pub fn with_marked(self, bytes: u32) -> Self {
        Self {
            length: bytes as u16,
            opcode: (bytes >> 16) as u8,
            status: (bytes >> 24) as u8,
            ..self
        }
    }

    /// The 32 bytes in host memory.
    pub fn encode(&self) -> [u8; 32] {
        let mut b = [0; 32];
        b[0..4].copy_from_slice(&self.rx_bump.to_le_bytes());
        b[4..8].copy_from_slice(&self.tx_bump.to_le_bytes());
        b[8..16].copy_from_slice(&self.opaque.to_le_bytes());
        b[16..18].copy_from_slice(&self.flow.to_le_bytes());
        b[18] = self.generation;
        b[19] = self.flags;
        b[20..22].copy_from_slice(&self.length.to_le_bytes());
        b[22] = self.opcode;
        b[23] = self.status;
        b[24..28].copy_from_slice(&self.value.to_le_bytes());
        b[28] = u8::from(self.read_lost);
        b[30] = self.kind;
        b[31] = u8::from(self.phase) << 7;
        b
    }

    /// Reads 32 bytes of host memory.
    pub fn decode(b: &[u8; 32]) -> Self {
        let u32_at = |i: usize| u32::from_le_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]);
        Self {
            kind: b[30],
            rx_bump: u32_at(0),
            tx_bump: u32_at(4),
            opaque: u64::from(u32_at(8)) | u64::from(u32_at(12)) << 32,
            flow: u16::from_le_bytes([b[16], b[17]]),
            generation: b[18],
            flags: b[19],
            length: u16::from_le_bytes([b[20], b[21]]),
            opcode: b[22],
            status: b[23],
            value: u32_at(24),
            read_lost: b[28] & 1 == 1,
            phase: b[31] >> 7 == 1,
        }
    }
}

/// State commands of the control plane. Only the protocol stage writes TCP state; a
/// command passes through it as an event and is answered by a completion record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// Install the staged connection on a closed flow id.
    Open = 1,
    /// Close a flow id; the record carries its last state.
    Close = 2,
    /// Read the state into the record.
    Read = 3,
    /// Retransmission timeout: go back to SND.UNA and send again. With nothing
    /// outstanding or a closed window, send a window probe (SND.UNA − 1, no payload).
    Retransmit = 4,
    /// Set the peer's window and scaling from the staged words (word 0 and word 5), unless
    /// word 0 has [`KEEPS_WINDOW`]; and the rate from word 9, if that has [`SETS_RATE`].
    Set = 5,
    /// No command: the NIC's own note that a read of the flow's payload was never answered. Nothing
    /// is changed; the flow's context gets a record with [`Record::read_lost`].
    ReadLost = 6,
}

/// In word 0 of [`Opcode::Set`]: the window stays as it is.
pub const KEEPS_WINDOW: u64 = 1 << 28;
/// In word 9 of [`Opcode::Set`]: bits 31..0 are the flow's new rate, as OPEN takes it from there
/// too: nanoseconds a payload byte with 16 fraction bits, 0 for no rate.
pub const SETS_RATE: u64 = 1 << 63;

/// The period of a rate of `bps` bits of payload a second, as word 9 of OPEN and SET has it; 0, no
/// rate, for what takes less than 2^-16 ns a byte, and the longest period below 122 bit/s.
pub fn period(bps: u64) -> u32 {
    let scaled = (8_000_000_000u128 << 16) + u128::from(bps / 2);
    match bps {
        0 => 0,
        _ => u32::try_from(scaled / u128::from(bps)).unwrap_or(u32::MAX),
    }
}

/// The staged words of a [`Opcode::Set`] that sets the rate and nothing else.
pub fn rate_words(period: u32) -> [u64; COMMAND_WORDS] {
    let mut words = [0; COMMAND_WORDS];
    words[0] = KEEPS_WINDOW;
    words[9] = SETS_RATE | u64::from(period);
    words
}

/// Status octet of a command record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// OPEN of a flow id that is open.
    AlreadyOpen = 1,
    /// The flow id is closed or its generation differs.
    Stale = 2,
    /// Unknown opcode, or flow id beyond the design point's connections.
    Invalid = 3,
}

/// The staged words of [`Opcode::Open`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenWords {
    /// Context to notify.
    pub context: u8,
    /// Timestamps negotiated.
    pub timestamps: bool,
    /// ECN negotiated.
    pub ecn: bool,
    /// Passive open: no data leaves and [`notice::ESTABLISHED`] is owed until the
    /// first acceptable segment arrives.
    pub opening: bool,
    /// Acknowledge every second segment at once, the others with data or after the design
    /// point's `delayed_ack` (RFC 1122 §4.2.3.2).
    pub delayed_acks: bool,
    /// SACK negotiated (RFC 2018): acknowledgements report what is held out of order, where
    /// the design point holds several intervals, and reports are used where it has `recovery =
    /// "sack"`.
    pub sack: bool,
    /// Shift of windows received (the peer's window scale).
    pub send_shift: u8,
    /// Shift of windows sent (our window scale).
    pub receive_shift: u8,
    /// Largest payload of a sent segment, options already deducted.
    pub mss: u16,
    /// log2 of the receive ring's bytes.
    pub rx_log2: u8,
    /// log2 of the transmit ring's bytes.
    pub tx_log2: u8,
    /// Next hop's MAC address.
    pub remote_mac: [u8; 6],
    /// Local IPv4 address.
    pub local_ip: u32,
    /// Remote IPv4 address.
    pub remote_ip: u32,
    /// Local port.
    pub local_port: u16,
    /// Remote port.
    pub remote_port: u16,
    /// Timestamp offset of the flow.
    pub ts_offset: u32,
    /// First sequence number to send (ISS + 1).
    pub snd_nxt: u32,
    /// First sequence number to receive (IRS + 1).
    pub rcv_nxt: u32,
    /// The peer's window in bytes.
    pub window: u32,
    /// TS.Recent.
    pub ts_recent: u32,
    /// Bus address of the receive ring, aligned to its size.
    pub rx_base: u64,
    /// Bus address of the transmit ring, aligned to its size.
    pub tx_base: u64,
    /// Echoed in notifications.
    pub opaque: u64,
}

impl OpenWords {
    /// The words in the order of [`register::COMMAND_STAGE`].
    ///
    /// | word | bits |
    /// |---|---|
    /// | 0 | 15..0 MSS, 19..16 send shift, 23..20 receive shift, 24 timestamps, 25 ECN, 26 opening, 27 delayed ACKs, 29 SACK, 36..32 rx log2, 44..40 tx log2, 55..48 context |
    /// | 1 | 47..0 remote MAC, first octet in 47..40 |
    /// | 2 | 63..32 remote IP, 31..0 local IP |
    /// | 3 | 15..0 local port, 31..16 remote port, 63..32 timestamp offset |
    /// | 4 | 31..0 SND.NXT, 63..32 RCV.NXT |
    /// | 5 | 31..0 peer's window, 63..32 TS.Recent |
    /// | 6, 7 | receive and transmit ring |
    /// | 8 | opaque |
    /// | 9 | 31..0 period of the rate, see [`SETS_RATE`]; 0 here |
    pub fn encode(&self) -> [u64; COMMAND_WORDS] {
        let mac = self
            .remote_mac
            .iter()
            .fold(0, |m, &b| m << 8 | u64::from(b));
        [
            u64::from(self.mss)
                | u64::from(self.send_shift & 15) << 16
                | u64::from(self.receive_shift & 15) << 20
                | u64::from(self.timestamps) << 24
                | u64::from(self.ecn) << 25
                | u64::from(self.opening) << 26
                | u64::from(self.delayed_acks) << 27
                | u64::from(self.sack) << 29
                | u64::from(self.rx_log2 & 31) << 32
                | u64::from(self.tx_log2 & 31) << 40
                | u64::from(self.context) << 48,
            mac,
            u64::from(self.remote_ip) << 32 | u64::from(self.local_ip),
            u64::from(self.local_port)
                | u64::from(self.remote_port) << 16
                | u64::from(self.ts_offset) << 32,
            u64::from(self.snd_nxt) | u64::from(self.rcv_nxt) << 32,
            u64::from(self.window) | u64::from(self.ts_recent) << 32,
            self.rx_base,
            self.tx_base,
            self.opaque,
            0,
        ]
    }

    /// Reads staged words, as the NIC does.
    pub fn decode(w: &[u64; COMMAND_WORDS]) -> Self {
        let mut remote_mac = [0; 6];
        remote_mac.copy_from_slice(&w[1].to_be_bytes()[2..]);
        Self {
            context: (w[0] >> 48) as u8,
            timestamps: w[0] >> 24 & 1 == 1,
            ecn: w[0] >> 25 & 1 == 1,
            opening: w[0] >> 26 & 1 == 1,
            delayed_acks: w[0] >> 27 & 1 == 1,
            sack: w[0] >> 29 & 1 == 1,
            send_shift: (w[0] >> 16 & 15) as u8,
            receive_shift: (w[0] >> 20 & 15) as u8,
            mss: w[0] as u16,
            rx_log2: (w[0] >> 32 & 31) as u8,
            tx_log2: (w[0] >> 40 & 31) as u8,
            remote_mac,
            local_ip: w[2] as u32,
            remote_ip: (w[2] >> 32) as u32,
            local_port: w[3] as u16,
            remote_port: (w[3] >> 16) as u16,
            ts_offset: (w[3] >> 32) as u32,
            snd_nxt: w[4] as u32,
            rcv_nxt: (w[4] >> 32) as u32,
            window: w[5] as u32,
            ts_recent: (w[5] >> 32) as u32,
            rx_base: w[6],
            tx_base: w[7],
            opaque: w[8],
        }
    }
}

/// Why a received frame did not reach a connection; also the order of the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Drop {
    /// Intake is disabled.
    Disabled = 0,
    /// The frame buffer cannot hold the frame.
    BufferFull = 1,
    /// Longer than the largest frame.
    Oversize = 2,
    /// Shorter than its headers or than the IP total length.
    Truncated = 3,
    /// Destination MAC address is neither ours nor a group address.
    NotOurs = 4,
    /// IPv4 header checksum.
    IpChecksum = 5,
    /// TCP checksum.
    TcpChecksum = 6,
    /// The control plane's ring is full.
    SlowPathFull = 7,
    /// An extension module decided so. Modules count by themselves: no [`COUNTERS`].
    Module = 8,
}

impl Drop {
    /// All reasons, in counter order.
    pub const ALL: [Self; 9] = [
        Self::Disabled,
        Self::BufferFull,
        Self::Oversize,
        Self::Truncated,
        Self::NotOurs,
        Self::IpChecksum,
        Self::TcpChecksum,
        Self::SlowPathFull,
        Self::Module,
    ];

    /// Name used in results and documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::BufferFull => "buffer_full",
            Self::Oversize => "oversize",
            Self::Truncated => "truncated",
            Self::NotOurs => "not_ours",
            Self::IpChecksum => "ip_checksum",
            Self::TcpChecksum => "tcp_checksum",
            Self::SlowPathFull => "slow_path_full",
            Self::Module => "module",
        }
    }
}

/// Counters of the counter window, in order. The first eight are [`Drop`]s.
pub const COUNTERS: [&str; 20] = [
    "drop_disabled",
    "drop_buffer_full",
    "drop_oversize",
    "drop_truncated",
    "drop_not_ours",
    "drop_ip_checksum",
    "drop_tcp_checksum",
    "drop_slow_path_full",
    "rx_frames",
    "rx_fast",
    "rx_slow",
    "tx_frames",
    "protocol_rx",
    "protocol_tx",
    "protocol_hc",
    "protocol_cmd",
    "payload_placed",
    "fast_retransmits",
    "stale_events",
    "interrupts",
];

/// Ways of a bucket in each of the two hash tables.
pub const TABLE_WAYS: usize = 4;

/// The two hashes of a connection's key: CRC-32C (Castagnoli) and CRC-32 (IEEE 802.3),
/// both reflected with initial value and final XOR of all ones, over the 12 octets
/// remote IP, local IP, remote port, local port in network order. Table 0 is indexed by
/// the first, table 1 by the second, each modulo the number of buckets.
pub fn flow_hashes(remote_ip: u32, local_ip: u32, remote_port: u16, local_port: u16) -> [u32; 2] {
    let mut key = [0u8; 12];
    key[0..4].copy_from_slice(&remote_ip.to_be_bytes());
    key[4..8].copy_from_slice(&local_ip.to_be_bytes());
    key[8..10].copy_from_slice(&remote_port.to_be_bytes());
    key[10..12].copy_from_slice(&local_port.to_be_bytes());
    [crc(0x82f6_3b78, &key), crc(0xedb8_8320, &key)]
}

fn crc(polynomial: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |mut crc, &byte| {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { polynomial } else { 0 };
        }
        crc
    })
}

/// TSval of RFC 7323 from the NIC's clock: bits 41..10 of the time in ns (ticks of
/// 1.024 µs) plus the flow's offset. NIC and control plane use the same formula.
pub const fn timestamp(now_ns: u64, offset: u32) -> u32 {
    ((now_ns >> 10) as u32).wrapping_add(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_match_the_published_check_values() {
        assert_eq!(crc(0x82f6_3b78, b"123456789"), 0xe306_9283);
        assert_eq!(crc(0xedb8_8320, b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn descriptors_survive_a_round_trip() {
        for d in [
            Descriptor::Update {
                flow: 0x1234,
                generation: 7,
                rx_bump: 0xdead_beef,
                tx_bump: 3,
                finish: true,
            },
            Descriptor::SendFrame {
                address: 0x0123_4567_89ab_cdef,
                length: 1514,
            },
        ] {
            assert_eq!(Descriptor::decode(&d.encode(true)), Some(d));
            assert_eq!(d.encode(true)[31], 0x80);
        }
        assert_eq!(Descriptor::decode(&[0; 32]), None);
    }

    #[test]
    fn records_survive_a_round_trip() {
        let r = Record {
            kind: RecordKind::Update as u8,
            rx_bump: 1,
            tx_bump: 2,
            opaque: u64::MAX - 5,
            flow: 9,
            generation: 4,
            flags: notice::PEER_FINISHED,
            length: 1500,
            opcode: 1,
            status: 2,
            value: 77,
            read_lost: false,
            phase: true,
        };
        assert_eq!(Record::decode(&r.encode()), r);
        assert_eq!(r.with_marked(0xfedc_ba98).marked(), 0xfedc_ba98);
    }

    #[test]
    fn open_words_survive_a_round_trip() {
        let o = OpenWords {
            context: 3,
            timestamps: true,
            ecn: false,
            opening: true,
            delayed_acks: true,
            sack: true,
            send_shift: 7,
            receive_shift: 9,
            mss: 1448,
            rx_log2: 20,
            tx_log2: 21,
            remote_mac: [2, 0, 0, 0, 0, 9],
            local_ip: 0x0a00_0001,
            remote_ip: 0x0a00_0002,
            local_port: 80,
            remote_port: 49152,
            ts_offset: 5,
            snd_nxt: 1,
            rcv_nxt: u32::MAX,
            window: 65535,
            ts_recent: 99,
            rx_base: 1 << 40,
            tx_base: 2 << 40,
            opaque: 0x55,
        };
        assert_eq!(OpenWords::decode(&o.encode()), o);
    }
}
