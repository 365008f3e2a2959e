//! What can go wrong on a channel.

use std::io;
use std::time::Duration;

use super::address::AddressError;
use super::wire::{MAX_INTRO, RingPlace, VERSION};
use crate::port::Protocol;
use crate::time::Time;

/// A channel could not be established, or cannot go on. `channel` is always
/// the path of its socket.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The address cannot be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A slot too small for a header, or no slots.
    #[error(
        "rings of {slots} slots of {slot_size} bytes are impossible; \
         a ring needs a slot, and a slot 64 bytes for its header"
    )]
    RingSize {
        /// Bytes of a slot.
        slot_size: usize,
        /// Count of slots.
        slots: usize,
    },
    /// Somebody lives there.
    #[error("another process listens at `{channel}`; end it or choose another path")]
    InUse {
        /// Path of the socket.
        channel: String,
    },
    /// What stands at the path is not ours to remove.
    #[error("`{channel}` exists and is no socket; remove it or choose another path")]
    NotASocket {
        /// The path.
        channel: String,
    },
    /// The system refused something.
    #[error("channel `{channel}`: cannot {action}: {source}")]
    System {
        /// Path of the socket.
        channel: String,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody came in time.
    #[error("channel `{channel}`: no peer {what} within {waited:?}; is it running?")]
    NoPeer {
        /// Path of the socket.
        channel: String,
        /// What it should have done.
        what: &'static str,
        /// How long was waited.
        waited: Duration,
    },
    /// The wait for the peer was cancelled.
    #[error("channel `{channel}`: cancelled while waiting for the peer")]
    Cancelled {
        /// Path of the socket.
        channel: String,
    },
    /// The peer does not speak as it should.
    #[error("channel `{channel}`: handshake failed: {reason}")]
    Handshake {
        /// Path of the socket.
        channel: String,
        /// What is wrong.
        reason: HandshakeError,
    },
    /// The peer went away without saying so.
    #[error("channel `{channel}`: the peer is gone; its process has ended")]
    PeerLost {
        /// Path of the socket.
        channel: String,
    },
    /// The peer put something into the ring that the protocol does not know.
    #[error("channel `{channel}`: the peer broke the protocol: {violation}")]
    Peer {
        /// Path of the socket.
        channel: String,
        /// What it did.
        violation: PeerViolation,
    },
    /// This end was asked to send what it cannot.
    #[error("channel `{channel}`: cannot send a {kind} at {at}: {refusal}")]
    Send {
        /// Path of the socket.
        channel: String,
        /// Kind of the message.
        kind: &'static str,
        /// Its time.
        at: Time,
        /// Why not.
        refusal: Refusal,
    },
}

/// What is wrong with a handshake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// End of file instead of an intro.
    #[error("the peer closed the connection before its intro")]
    Closed,
    /// Fewer bytes than a header has.
    #[error("its intro has {got} bytes, but needs at least {need}")]
    Short {
        /// Bytes received.
        got: usize,
        /// Bytes needed.
        need: usize,
    },
    /// A message that is longer than any intro.
    #[error("its intro has more than {MAX_INTRO} bytes")]
    Long,
    /// Another version.
    #[error("it speaks version {0}, only {VERSION} is known")]
    Version(u64),
    /// Another protocol.
    #[error("it speaks {}, this end {}", name(*.theirs), name(*.ours))]
    Protocol {
        /// The peer's.
        theirs: u64,
        /// This end's.
        ours: u64,
    },
    /// The upper part does not lie behind the header and within the message.
    #[error("its upper intro is said to start at byte {offset} of {got}")]
    UpperOffset {
        /// Where it starts.
        offset: u64,
        /// Bytes received.
        got: usize,
    },
    /// The upper part has a wrong length.
    #[error("its upper intro has {got} bytes instead of {need}")]
    UpperLength {
        /// Bytes received.
        got: usize,
        /// Bytes expected.
        need: usize,
    },
    /// A listener sends the shared memory.
    #[error("it sent no descriptor of the shared memory")]
    NoDescriptor,
    /// One only.
    #[error("it sent {0} descriptors instead of one")]
    Descriptors(usize),
    /// A connecter sends none.
    #[error("it connected and sent {0} descriptors, which only a listener does")]
    UnexpectedDescriptors(usize),
    /// The descriptor is not of something that can be mapped.
    #[error("its shared memory cannot be mapped: {0}")]
    Object(String),
    /// A ring without slots, with slots too small, or outside the object.
    #[error(
        "its {which} ring of {} slots of {} bytes at offset {} does not fit into {len} bytes of shared memory",
        .place.slots, .place.slot_size, .place.offset
    )]
    Ring {
        /// Seen from this end.
        which: &'static str,
        /// Where it should be.
        place: RingPlace,
        /// Bytes of the object.
        len: u64,
    },
    /// The two rings share bytes.
    #[error("its two rings overlap")]
    Overlap,
    /// One insists, the other refuses.
    #[error("one end requires synchronisation and the other disables it")]
    Sync,
    /// A device that cannot be.
    #[error("its device intro is impossible: {0}")]
    Device(&'static str),
}

fn name(protocol: u64) -> String {
    match protocol {
        0 => "the base protocol".into(),
        1 => "Ethernet".into(),
        2 => "PCIe".into(),
        3 => "memory".into(),
        other => format!("unknown protocol {other}"),
    }
}

/// What a peer must not put into a ring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerViolation {
    /// A type that this protocol does not have in this direction.
    #[error("a message of type {kind:#04x}, which it must not send")]
    Kind {
        /// The type.
        kind: u8,
    },
    /// A stamp below an earlier one.
    #[error("a message stamped {stamp} after one stamped {before}")]
    Stamp {
        /// The stamp.
        stamp: Time,
        /// An earlier one.
        before: Time,
    },
    /// A length above what a slot holds.
    #[error("a {kind} of {len} bytes, but only {capacity} fit into a slot")]
    Length {
        /// Kind of the message.
        kind: &'static str,
        /// Its length field.
        len: usize,
        /// Bytes of payload of a slot.
        capacity: usize,
    },
    /// A read whose answer does not fit.
    #[error("a {kind} of {len} bytes, but an answer can have only {capacity}")]
    Unanswerable {
        /// Kind of the message.
        kind: &'static str,
        /// Its length field.
        len: usize,
        /// Bytes of payload of a slot of this end.
        capacity: usize,
    },
    /// There are six base address registers.
    #[error("an access to base address register {0}")]
    Bar(u8),
    /// There are four kinds of interrupts.
    #[error("an interrupt of kind {0}")]
    Interrupt(u8),
    /// An answer that nobody asked for.
    #[error("data for request {0:#x}, which was not asked for or is answered already")]
    Completion(u64),
}

/// What an end does not send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not of this protocol and direction.
    #[error("a {0} port has no such message")]
    Protocol(Protocol),
    /// Longer than a slot.
    #[error("{len} bytes do not fit into a slot, which holds {capacity}")]
    TooLong {
        /// Bytes of payload.
        len: usize,
        /// Bytes of payload of a slot.
        capacity: usize,
    },
    /// Before an earlier one.
    #[error("an earlier message or promise was for {0}")]
    InThePast(Time),
}
