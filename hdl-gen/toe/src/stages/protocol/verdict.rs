//! Second step of the exact transition: what the event is to the connection, and the first
//! cut of its bytes.

use super::flow::*;
use super::relations::Relations;
use super::work::Work;
use crate::interface::{KEEPS_WINDOW, Opcode, Status};
use hallux_hdl::prelude::*;

/// What the event is to the connection.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Verdict {
    /// Segment: it acknowledges new data.
    pub fresh: Bit,
    /// Segment: acceptable (RFC 9293 §3.10.7.4, RFC 7323 §5).
    pub acceptable: Bit,
    /// Segment: its acknowledgement and its window count.
    pub takes_ack: Bit,
    /// Segment, or a report of it alone: what it reports counts.
    pub takes_report: Bit,
    /// Segment: a duplicate ACK (RFC 5681 §2, RFC 6675 §2), if its acknowledgement counts.
    pub duplicate: Bit,
    /// Segment: its bytes before RCV.NXT.
    pub front: Bits<14>,
    /// Segment: where the others begin, from RCV.NXT.
    pub start: Bits<25>,
    /// Segment: where they end.
    pub reach: Bits<25>,
    /// Grant: SND.WND less what is in flight.
    pub room: Bits<32>,
    /// Grant: nothing may leave.
    pub shut: Bit,
    /// Grant: one segment, or less if less is released.
    pub burst: Bits<25>,
    /// Grant: that is all there is.
    pub last: Bit,
    /// Descriptor: bytes consumed, as far as they were unread.
    pub consumed: Bits<25>,
    /// Descriptor: bytes released, as far as the ring has room.
    pub released: Bits<25>,
    /// Command: `interface::Status`.
    pub status: Bits<8>,
    /// Command: install a connection.
    pub opens: Bit,
    /// Command: close it.
    pub closes: Bit,
    /// Command: its window is set.
    pub sets: Bit,
    /// Command: a retransmission timeout.
    pub times_out: Bit,
    /// Command: changes nothing.
    pub reads: Bit,
}

/// Some octet of the segment, or the segment itself if it has none, is in the window. With
/// a closed window a segment at RCV.NXT still counts, for the sake of its ACK.
#[hdl_fn]
fn in_window(flow: Flow, work: Work, ahead: Bits<32>) -> Bit {
    let past = bits::<32>(0) - ahead;
    let length = bit_cast::<32, 14>(work.decoded.event.payload_len)
        + bit_cast::<32, 1>(bit(work.decoded.fin));
    let space = wide(flow.rx_avail);
    if ahead.get_bit(31) {
        past < length
    } else {
        !ahead.any() | (ahead < space) | (!work.decoded.has_text & (ahead == space))
    }
}

/// Decides what the event is.
#[hdl_fn]
pub fn judge(live: Live, work: Work, relations: Relations) -> Verdict {
    let flow = live.flow;
    let event = work.decoded.event;

    // Where SEG.ACK lies.
    let acked = relations.acked;
    let repeated = !acked.any();
    let fresh = !repeated & (acked <= relations.outstanding);
    let old = !repeated & !fresh & acked.get_bit(31);
    let unsent = !repeated & !fresh & !acked.get_bit(31);
    let acceptable = flow.open
        & !relations.old_stamp
        & in_window(flow, work, relations.ahead)
        & !unsent
        & !(flow.opening & old);

    // What was received before is cut off at the front.
    let behind = relations.ahead.get_bit(31);
    let past = bit_cast::<14, 32>(bits::<32>(0) - relations.ahead);
    let front = if behind { past } else { bits::<14>(0) };
    let start = if behind {
        bits::<25>(0)
    } else {
        bit_cast::<25, 32>(relations.ahead)
    };
    // A FIN may lie at RCV.NXT with all payload before it.
    let rest = event.payload_len - front;

    let mss = bit_cast::<25, 14>(flow.mss);
    let last = flow.tx_avail <= mss;

    let opcode = event.flags;
    let opens = opcode == bits::<8>(Opcode::Open as u64);
    let closes = opcode == bits::<8>(Opcode::Close as u64);
    let reads = opcode == bits::<8>(Opcode::Read as u64);
    let retransmits = opcode == bits::<8>(Opcode::Retransmit as u64);
    let sets = opcode == bits::<8>(Opcode::Set as u64);
    let known = opens | closes | reads | retransmits | sets | work.decoded.loses;
    let status = if !work.decoded.exists | !known {
        bits::<8>(Status::Invalid as u64)
    } else if opens & flow.open {
        bits::<8>(Status::AlreadyOpen as u64)
    } else if !opens & !(flow.open & relations.same_generation) {
        bits::<8>(Status::Stale as u64)
    } else {
        bits::<8>(Status::Ok as u64)
    };
    let good = work.decoded.commands & !status.any();

    Verdict {
        fresh,
        acceptable: acceptable & work.decoded.receives,
        takes_ack: acceptable & !old & work.decoded.receives,
        takes_report: acceptable & !old,
        duplicate: repeated
            & relations.outstanding.any()
            & !work.decoded.has_text
            & ((work.window == relations.snd_wnd) | relations.reports)
            & !flow.recovering,
        front,
        start,
        reach: start + bit_cast::<25, 14>(rest),
        room: relations.snd_wnd - relations.in_flight,
        shut: flow.opening | (relations.snd_wnd <= relations.in_flight),
        burst: if last { flow.tx_avail } else { mss },
        last,
        consumed: bit_cast::<25, 32>(least::<32>(event.seq, wide(live.unread))),
        // Nothing follows a FIN.
        released: if flow.tx_fin {
            bits::<25>(0)
        } else {
            bit_cast::<25, 32>(least::<32>(event.ack, wide(flow.free)))
        },
        status,
        opens: good & opens,
        closes: good & closes,
        sets: good
            & sets
            & !event
                .address
                .get_bit(KEEPS_WINDOW.trailing_zeros() as usize),
        times_out: good & retransmits & !flow.opening,
        reads: good & (reads | work.decoded.loses),
    }
}
