//! The state of a connection: what the memory keeps, what is worked with, and the
//! arithmetic that all steps share.
//!
//! The reference (`State` of the host model) explains each quantity. The stage keeps some of
//! them in another form, so that no event needs a chain of additions to change them:
//!
//! | reference | here | why it is the same |
//! |---|---|---|
//! | `snd_wnd` | `edge` − `snd_una` | the window's right edge stays where it is when bytes are sent |
//! | `snd_max` | `recover` or `snd_nxt` | outside of a recovery nothing was sent beyond SND.NXT; inside, `recover` was SND.MAX when it began |
//! | `last_ack_sent` | `rcv_nxt` − `owed` | at most one segment waits for its acknowledgement |
//! | `tx_pos` | `snd_nxt` − `iss` | ring position and sequence number move together |
//! | `rx_pos` | `rcv_nxt` − `irs` | likewise, until the FIN, behind which nothing is placed |
//! | `rcv_adv` | of its own in [`outcome`](super::outcome) | nothing else depends on it |

use hallux_hdl::prelude::*;

/// TCP state of one connection, as the memory keeps it. A closed flow id is not `open`; what
/// else it holds has no meaning.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Flow {
    /// The flow id is in use.
    pub open: Bit,
    /// Passive open that no acceptable segment has confirmed yet: nothing leaves.
    pub opening: Bit,
    /// Generation of the flow id.
    pub generation: Bits<8>,
    /// SND.UNA.
    pub snd_una: Bits<32>,
    /// SND.NXT.
    pub snd_nxt: Bits<32>,
    /// SND.UNA + SND.WND, the right edge of the peer's window.
    pub edge: Bits<32>,
    /// Bytes released from SND.NXT on.
    pub tx_avail: Bits<25>,
    /// SND.WL1.
    pub snd_wl1: Bits<32>,
    /// RCV.NXT.
    pub rcv_nxt: Bits<32>,
    /// Free bytes of the receive ring from RCV.NXT on.
    pub rx_avail: Bits<25>,
    /// Bytes that the application may still release: the transmit ring less what is in
    /// flight or released.
    pub free: Bits<25>,
    /// Bytes are held out of order: see [`intervals`](super::intervals).
    pub gaps: Bit,
    /// The peer's FIN stands behind the last of them.
    pub fin_held: Bit,
    /// TS.Recent.
    pub ts_recent: Bits<32>,
    /// Duplicate ACKs in a row, 0 to 2.
    pub dupacks: Bits<2>,
    /// A rewind has not been acknowledged up to `recover` yet.
    pub recovering: Bit,
    /// SND.MAX when the last recovery began.
    pub recover: Bits<32>,
    /// The recovery sends only what lies before what the peer reported.
    pub mends: Bit,
    /// HighRxt (RFC 6675): it has sent again what lies before.
    pub high_rxt: Bits<32>,
    /// The peer has reported bytes: see [`scoreboard`](super::scoreboard).
    pub sacked: Bit,
    /// The last released byte stands for our FIN.
    pub tx_fin: Bit,
    /// The peer's FIN was taken.
    pub rx_fin: Bit,
    /// First sequence number sent: ring position 0.
    pub iss: Bits<32>,
    /// First sequence number received: ring position 0.
    pub irs: Bits<32>,
    /// Shift of windows received.
    pub send_shift: Bits<4>,
    /// Shift of windows sent.
    pub receive_shift: Bits<4>,
    /// Largest payload of a sent segment.
    pub mss: Bits<14>,
    /// Timestamps negotiated.
    pub ts_on: Bit,
    /// Timestamp offset.
    pub ts_offset: Bits<32>,
    /// ECN negotiated.
    pub ecn: Bit,
    /// Acknowledgements are delayed.
    pub delays: Bit,
    /// SACK negotiated.
    pub sack: Bit,
    /// The acknowledgement of one segment waits.
    pub owes: Bit,
    /// Its bytes; 0 if none waits.
    pub owed: Bits<14>,
    /// The last segment with text was marked Congestion Experienced.
    pub ce: Bit,
    /// log2 of the receive ring's bytes, 13 to 24.
    pub rx_log2: Bits<5>,
    /// log2 of the transmit ring's bytes, 13 to 24.
    pub tx_log2: Bits<5>,
}

/// The state with the sums that events need at once. Every event carries them on by one
/// addition each; [`expand`] makes them from what the memory keeps.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Live {
    /// What the memory keeps.
    pub flow: Flow,
    /// `edge` − SND.NXT: bytes that the peer's window still takes, modulo 2³².
    pub room: Bits<32>,
    /// SND.NXT + `tx_avail`: one past the last byte released.
    pub released: Bits<32>,
    /// Bytes that the application has not consumed yet.
    pub unread: Bits<25>,
}

/// FIN of the TCP flags octet.
pub const FIN: u64 = 0x01;
/// PSH of the TCP flags octet.
pub const PSH: u64 = 0x08;
/// ACK of the TCP flags octet.
pub const ACK: u64 = 0x10;
/// ECE of the TCP flags octet.
pub const ECE: u64 = 0x40;

/// `a` is before `b` in sequence order (RFC 9293 §3.4).
#[hdl_fn]
pub fn precedes(a: Bits<32>, b: Bits<32>) -> Bit {
    (a - b).get_bit(31)
}

/// The lesser of two unsigned numbers.
#[hdl_fn]
pub fn least<const N: usize>(a: Bits<N>, b: Bits<N>) -> Bits<N> {
    if a < b { a } else { b }
}

/// A byte count as a distance between sequence numbers.
#[hdl_fn]
pub fn wide(bytes: Bits<25>) -> Bits<32> {
    bit_cast::<32, 25>(bytes)
}

/// The bytes of a ring of 2^`log2` bytes.
#[hdl_fn]
pub fn ring_bytes(log2: Bits<5>) -> Bits<25> {
    let mut bytes = bits::<25>(0);
    for i in 0..25 {
        bytes = bytes.replace_bit(i, log2 == bits::<5>(i as u64));
    }
    bytes
}

/// A ring of 2^`log2` bytes less `part` of them. The ring's size is a mask here, which is
/// decoded beside the negation, not before it: below bit `log2` the difference is −`part`.
#[hdl_fn]
pub fn rest_of_ring(log2: Bits<5>, part: Bits<25>) -> Bits<25> {
    let negative = bits::<25>(0) - part;
    let whole = !part.any();
    let mut rest = bits::<25>(0);
    for i in 0..25 {
        let top = log2 == bits::<5>(i as u64);
        let mut inside: Bit = false;
        for larger in (i + 1)..25 {
            inside = inside | (log2 == bits::<5>(larger as u64));
        }
        rest = rest.replace_bit(i, (inside & negative.get_bit(i)) | (top & whole));
    }
    rest
}

/// The most that a window field can say, in bytes: 65535 units.
#[hdl_fn]
pub fn widest_window(shift: Bits<4>) -> Bits<32> {
    let mut bytes = bits::<32>(0);
    for i in 0..31 {
        let mut inside: Bit = false;
        for lowest in 0..16 {
            let covers = i >= lowest && i < lowest + 16;
            if covers {
                inside = inside | (shift == bits::<4>(lowest as u64));
            }
        }
        bytes = bytes.replace_bit(i, inside);
    }
    bytes
}

/// One unit of a window scale, less one byte.
#[hdl_fn]
pub fn unit_mask(shift: Bits<4>) -> Bits<25> {
    let mut mask = bits::<25>(0);
    for i in 0..15 {
        let mut above: Bit = false;
        for larger in (i + 1)..16 {
            above = above | (shift == bits::<4>(larger as u64));
        }
        mask = mask.replace_bit(i, above);
    }
    mask
}

/// The working form of a state.
#[hdl_fn]
pub fn expand(flow: Flow) -> Live {
    Live {
        flow,
        room: flow.edge - flow.snd_nxt,
        released: flow.snd_nxt + wide(flow.tx_avail),
        unread: rest_of_ring(flow.rx_log2, flow.rx_avail),
    }
}

/// Both forms of a state agree.
#[hdl_fn]
pub fn agrees(live: Live) -> Bit {
    let right = expand(live.flow);
    let limit = live.flow.snd_una + wide(ring_bytes(live.flow.tx_log2));
    (live.room == right.room)
        & (live.released == right.released)
        & (wide(live.flow.free) == limit - live.released)
        & (live.unread == right.unread)
}
