//! Events of the protocol stage and what they cause.

use super::{Open, RingPosition, SeqNumber};
use hallux_toe::interface::{Opcode, Status};

/// One unit of work for one connection.
///
/// Frames for the control plane, dropped frames and raw frames of the control plane pass
/// the protocol stage as well, to keep their place in the order; they touch no state, so
/// they are no events here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A frame of the fast path arrived.
    Receive(Received),
    /// The scheduler grants one segment.
    Transmit,
    /// The delayed-ACK timer: an acknowledgement has waited long enough.
    Remind,
    /// A descriptor of the application.
    HostControl {
        /// Generation of the flow id.
        generation: u8,
        /// Bytes consumed from the receive ring.
        rx_bump: u32,
        /// Bytes released in the transmit ring, the FIN byte included.
        tx_bump: u32,
        /// The last released byte stands for FIN.
        finish: bool,
    },
    /// A state command of the control plane.
    Command {
        /// Generation of the flow id; OPEN sets it.
        generation: u8,
        /// The command.
        command: Command,
    },
}

/// The header fields of a received segment that TCP needs. The ACK flag is set: the parser
/// sends segments without it to the control plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// SEG.SEQ.
    pub seq: SeqNumber,
    /// SEG.ACK.
    pub ack: SeqNumber,
    /// TCP flags octet ([`flags`](super::flags)).
    pub flags: u8,
    /// Window field, unscaled.
    pub window: u16,
    /// TSval and TSecr of the timestamps option.
    pub timestamps: Option<(u32, u32)>,
    /// Blocks of the SACK option, without a fourth.
    pub sack: [Option<SackBlock>; MAX_SACK_BLOCKS],
    /// The IP header is marked Congestion Experienced.
    pub congestion_experienced: bool,
    /// Payload bytes, below 2¹⁴.
    pub payload_len: u16,
}

/// A block of the SACK option: bytes that arrived out of order (RFC 2018 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlock {
    /// First sequence number.
    pub left: SeqNumber,
    /// One past the last.
    pub right: SeqNumber,
}

/// Most blocks of a SACK option that count: they fit beside timestamps.
pub const MAX_SACK_BLOCKS: usize = 3;

/// A state command with its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Install a connection on a closed flow id.
    Open(Open),
    /// Close the flow id.
    Close,
    /// Read the state.
    Read,
    /// Retransmission timeout or window probe.
    Retransmit,
    /// Set the peer's window (bytes) and its scale.
    Set {
        /// The peer's window in bytes.
        window: u32,
        /// Shift of windows received, 0 to 15.
        send_shift: u8,
    },
    /// No command of the host: a read of the flow's payload was never answered.
    ReadLost,
    /// SET that keeps the window: a rate, of which TCP knows nothing.
    Pace,
    /// An opcode that does not exist.
    Unknown(u8),
}

impl Command {
    /// The opcode octet.
    pub const fn opcode(&self) -> u8 {
        match self {
            Self::Open(_) => Opcode::Open as u8,
            Self::Close => Opcode::Close as u8,
            Self::Read => Opcode::Read as u8,
            Self::ReadLost => Opcode::ReadLost as u8,
            Self::Retransmit => Opcode::Retransmit as u8,
            Self::Set { .. } | Self::Pace => Opcode::Set as u8,
            Self::Unknown(opcode) => *opcode,
        }
    }
}

/// What one event causes. A default outcome causes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The event met a closed flow id or another generation; it is counted and ignored.
    pub stale: bool,
    /// Generation of the flow at the event (of the event itself for a command).
    pub generation: u8,
    /// A segment to send.
    pub send: Option<Transmission>,
    /// Received bytes to place in the receive ring.
    pub place: Option<Placement>,
    /// A record for the flow's context.
    pub notify: Option<Notification>,
    /// A delayed acknowledgement begins to wait: its timer starts.
    pub owes: bool,
    /// News for the scheduler: whether the flow can send.
    pub ready: Option<bool>,
    /// A command completed.
    pub completion: Option<Completion>,
}

impl Outcome {
    /// The outcome of an event that meets no open connection.
    pub(super) fn stale() -> Self {
        Self {
            stale: true,
            ..Self::default()
        }
    }

    /// The outcome of a command.
    pub(super) fn completed(generation: u8, completion: Completion) -> Self {
        Self {
            generation,
            completion: Some(completion),
            ..Self::default()
        }
    }

    /// What becomes of the frame of an [`Event::Receive`]: frames of stale events are skipped.
    pub fn frame_class(&self) -> FrameClass {
        if self.stale {
            FrameClass::Drop
        } else {
            FrameClass::Fast
        }
    }
}

/// What becomes of a received frame (`class` of the channels).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameClass {
    /// Handled by the data path.
    Fast,
    /// Skipped.
    Drop,
}

/// A segment to send. With timestamps on, TSval is the clock at transmission plus
/// `ts_offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmission {
    /// SEG.SEQ.
    pub seq: SeqNumber,
    /// SEG.ACK.
    pub ack: SeqNumber,
    /// Window field, scaled for the wire.
    pub window: u16,
    /// TCP flags octet.
    pub flags: u8,
    /// The segment carries timestamps.
    pub ts_on: bool,
    /// Timestamp offset of the flow.
    pub ts_offset: u32,
    /// TSecr.
    pub ts_ecr: u32,
    /// Blocks of the SACK option; those that there are come first.
    pub sack: [Option<SackBlock>; MAX_SACK_BLOCKS],
    /// Payload bytes.
    pub length: u16,
    /// Transmit-ring position of the first payload byte.
    pub tx_pos: RingPosition,
}

/// Received bytes to place in the receive ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Receive-ring position of the first byte.
    pub rx_pos: RingPosition,
    /// Byte offset in the segment's payload of the first byte.
    pub offset: u16,
    /// Bytes to place, at least 1.
    pub length: u16,
}

/// A record for the flow's context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    /// Bytes newly readable.
    pub rx_bump: u32,
    /// Bytes newly acknowledged, the FIN byte included.
    pub tx_bump: u32,
    /// Flags (`interface::notice`).
    pub flags: u8,
    /// Round-trip sample in ticks of 1.024 µs plus one; 0 = none.
    pub rtt: u32,
    /// A read of the flow's payload was never answered.
    pub read_lost: bool,
}

/// The record of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Opcode octet of the command.
    pub opcode: u8,
    /// How it ended; all that follows is zero unless it is [`Status::Ok`].
    pub status: Status,
    /// SND.UNA.
    pub snd_una: SeqNumber,
    /// SND.NXT.
    pub snd_nxt: SeqNumber,
    /// RCV.NXT.
    pub rcv_nxt: SeqNumber,
    /// Bytes from SND.UNA to SND.NXT.
    pub in_flight: u32,
    /// Bytes released from SND.NXT on.
    pub unsent: u32,
}

impl Completion {
    /// A command that was refused.
    pub(super) const fn failed(opcode: u8, status: Status) -> Self {
        Self {
            opcode,
            status,
            snd_una: SeqNumber(0),
            snd_nxt: SeqNumber(0),
            rcv_nxt: SeqNumber(0),
            in_flight: 0,
            unsent: 0,
        }
    }
}
