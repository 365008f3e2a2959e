//! The state word of a connection and the arithmetic that all transitions share.
//!
//! The reference (`State` of the host model) names the fields alike and explains them.

use hallux_hdl::prelude::*;

/// TCP state of one connection. A closed flow id is all zero.
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
    /// SND.MAX, one past the highest sequence number ever sent.
    pub snd_max: Bits<32>,
    /// Transmit-ring position of SND.NXT.
    pub tx_pos: Bits<32>,
    /// Bytes released from SND.NXT on.
    pub tx_avail: Bits<25>,
    /// SND.WND in bytes, from SND.UNA.
    pub snd_wnd: Bits<32>,
    /// SND.WL1.
    pub snd_wl1: Bits<32>,
    /// RCV.NXT.
    pub rcv_nxt: Bits<32>,
    /// Receive-ring position of RCV.NXT.
    pub rx_pos: Bits<32>,
    /// Free bytes of the receive ring from RCV.NXT on.
    pub rx_avail: Bits<25>,
    /// Highest advertised right edge that the ring backs.
    pub rcv_adv: Bits<32>,
    /// First sequence number of the out-of-order interval.
    pub ooo_start: Bits<32>,
    /// Bytes of the out-of-order interval; 0 = none.
    pub ooo_len: Bits<25>,
    /// TS.Recent.
    pub ts_recent: Bits<32>,
    /// Last.ACK.sent.
    pub last_ack_sent: Bits<32>,
    /// Duplicate ACKs in a row, 0 to 2.
    pub dupacks: Bits<2>,
    /// A rewind has not been acknowledged up to `recover` yet.
    pub recovering: Bit,
    /// SND.MAX at the last rewind.
    pub recover: Bits<32>,
    /// The last released byte stands for our FIN.
    pub tx_fin: Bit,
    /// The peer's FIN was taken.
    pub rx_fin: Bit,
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
    /// log2 of the receive ring's bytes, 13 to 24.
    pub rx_log2: Bits<5>,
    /// log2 of the transmit ring's bytes, 13 to 24.
    pub tx_log2: Bits<5>,
}

/// Result of one transition, before a segment is emitted from the new state.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Step {
    /// New state.
    pub flow: Flow,
    /// The event met a closed flow id or another generation.
    pub stale: Bit,
    /// Emit a segment.
    pub send: Bit,
    /// Emit an acknowledgement if the window has opened far enough.
    pub send_if_opened: Bit,
    /// The segment is at `seq`; otherwise it is a pure acknowledgement.
    pub sequenced: Bit,
    /// SEG.SEQ.
    pub seq: Bits<32>,
    /// TCP flags of the segment.
    pub flags: Bits<8>,
    /// Payload bytes of the segment.
    pub length: Bits<14>,
    /// Transmit-ring position of its payload.
    pub tx_pos: Bits<32>,
    /// Place received payload.
    pub place: Bit,
    /// Receive-ring position. Command: SND.UNA.
    pub rx_pos: Bits<32>,
    /// Byte offset in the frame.
    pub place_offset: Bits<14>,
    /// Bytes to place.
    pub place_len: Bits<14>,
    /// Post a notification.
    pub notify: Bit,
    /// Bytes newly readable. Command: bytes in flight.
    pub rx_bump: Bits<32>,
    /// Bytes newly acknowledged. Command: bytes unsent.
    pub tx_bump: Bits<32>,
    /// Notification flags.
    pub notice_flags: Bits<8>,
    /// Round-trip sample.
    pub rtt: Bits<32>,
    /// Tell the scheduler if the flow can send.
    pub offer: Bit,
    /// Tell the scheduler also if it cannot.
    pub answer: Bit,
    /// A command completed.
    pub done: Bit,
    /// Command: RCV.NXT.
    pub rcv_nxt: Bits<32>,
    /// Command: `interface::Status`.
    pub status: Bits<8>,
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
pub fn least(a: Bits<32>, b: Bits<32>) -> Bits<32> {
    if a < b { a } else { b }
}

/// The bytes of a ring of 2^`log2` bytes.
#[hdl_fn]
pub fn ring_bytes(log2: Bits<5>) -> Bits<25> {
    bits::<25>(1) << log2
}

/// Bytes that may be sent now: released, and inside the peer's window.
#[hdl_fn]
pub fn usable(flow: Flow) -> Bits<25> {
    let in_flight = flow.snd_nxt - flow.snd_una;
    let shut = flow.opening | (flow.snd_wnd <= in_flight);
    let room = flow.snd_wnd - in_flight;
    let released = bit_cast::<32, 25>(flow.tx_avail);
    if shut {
        bits::<25>(0)
    } else {
        bit_cast::<25, 32>(least(room, released))
    }
}

/// The unit of sent windows in bytes, less one.
#[hdl_fn]
pub fn unit_mask(shift: Bits<4>) -> Bits<25> {
    (bits::<25>(1) << shift) - bits::<25>(1)
}

/// Bytes of the receive ring that may be advertised: one unit (less one) stays back, so
/// that rounding a window up stays inside the ring.
#[hdl_fn]
pub fn advertisable(rx_avail: Bits<25>, shift: Bits<4>) -> Bits<25> {
    let reserve = unit_mask(shift);
    if rx_avail < reserve {
        bits::<25>(0)
    } else {
        rx_avail - reserve
    }
}

/// The state after a rewind to SND.UNA.
#[hdl_fn]
pub fn rewound(flow: Flow) -> Flow {
    let in_flight = flow.snd_nxt - flow.snd_una;
    Flow {
        snd_nxt: flow.snd_una,
        tx_pos: flow.tx_pos - in_flight,
        tx_avail: flow.tx_avail + bit_cast::<25, 32>(in_flight),
        dupacks: bits::<2>(0),
        recovering: true,
        recover: flow.snd_max,
        ..flow
    }
}
