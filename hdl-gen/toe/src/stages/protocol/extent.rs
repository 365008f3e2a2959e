//! Third step of the exact transition: how many bytes move, and how they meet the intervals
//! that are held out of order.

use super::flow::*;
use super::intervals::{Meeting, Slots, Span, Spans, meet};
use super::relations::Relations;
use super::scoreboard::{Hole, View, ahead, search};
use super::verdict::Verdict;
use super::work::Work;
use hallux_hdl::prelude::*;

/// How far everything reaches.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Extent {
    /// Segment: its payload and its FIN count.
    pub takes_text: Bit,
    /// Segment: bytes taken or held.
    pub length: Bits<14>,
    /// Segment: how they meet the intervals.
    pub meeting: Meeting,
    /// Segment: it begins at RCV.NXT.
    pub in_order: Bit,
    /// Segment: nothing is missing before the FIN, its own or one that came before; it is taken.
    pub finished: Bit,
    /// Segment: its FIN counts, and nothing that it touches lies behind.
    pub ends: Bit,
    /// Segment: its acknowledgement may wait.
    pub waits: Bit,
    /// Segment: SEG.SEQ is not after Last.ACK.sent.
    pub renews: Bit,
    /// Segment: it acknowledges bytes that a rewind was about to send again.
    pub jumps: Bit,
    /// Segment: it updates the peer's window.
    pub updates: Bit,
    /// Everything in flight is to be sent again.
    pub rewinds: Bit,
    /// Segment: a recovery begins that sends what the peer lacks.
    pub mends: Bit,
    /// Segment: the block that it reports counts.
    pub reports: Bit,
    /// Segment: how that block meets those reported before.
    pub reported: Meeting,
    /// Segment: some of those lie behind SEG.ACK.
    pub remain: Bit,
    /// Grant: what is sent again.
    pub hole: Hole,
    /// Grant: bytes that leave, the FIN's included.
    pub bytes: Bits<25>,
    /// Grant: nothing is left behind them.
    pub all: Bit,
    /// Command: a probe asks for the peer's state.
    pub probes: Bit,
    /// Right edge of the peer's window, where it changes.
    pub edge: Bits<32>,
    /// That edge less SND.NXT.
    pub room: Bits<32>,
}

/// Measures what moves.
#[allow(clippy::too_many_arguments)] // What each step before has found, by its name.
#[hdl_fn]
pub fn measure(
    live: Live,
    work: Work,
    relations: Relations,
    verdict: Verdict,
    spans: Spans,
    board: Slots,
    view: View,
    slots: u64,
) -> Extent {
    let flow = live.flow;

    let remains = ahead(view);
    let block = Span {
        valid: true,
        start: relations.sack_start,
        end: relations.sack_end,
    };
    let reported = meet(remains, block, block.end, 4);
    let hole = search(board, view, flow.mends & work.decoded.grants, flow.mss);
    let fixes = hole.fills | hole.skips;

    // What the ring cannot hold is cut off at the end.
    let fits = verdict.reach <= flow.rx_avail;
    let end = if fits { verdict.reach } else { flow.rx_avail };
    let in_order = !verdict.start.any();
    let takes_text = verdict.acceptable & work.decoded.has_text & !flow.rx_fin;
    let segment = Span {
        valid: true,
        start: verdict.start,
        end: verdict.reach,
    };
    let meeting = meet(spans, segment, end, slots);
    let ends = takes_text & work.decoded.fin & fits & !meeting.extends;

    let small = wide(verdict.burst) <= verdict.room;
    let bytes = if verdict.shut | fixes {
        bits::<25>(0)
    } else if small {
        verdict.burst
    } else {
        bit_cast::<25, 32>(verdict.room)
    };

    // Bytes from Last.ACK.sent to SEG.SEQ.
    let unacknowledged = relations.ahead + bit_cast::<32, 14>(flow.owed);

    let third = (flow.dupacks == bits::<2>(2)) & verdict.takes_ack & verdict.duplicate;
    let knows = relations.reports | flow.sacked;
    let outstanding = relations.outstanding.any();
    let edge = if verdict.sets {
        relations.set_edge
    } else {
        work.edge
    };
    Extent {
        takes_text,
        length: bit_cast::<14, 25>(end - verdict.start),
        meeting,
        in_order,
        // What is held ends with the FIN that came with it.
        finished: (in_order & ends)
            | (takes_text & in_order & flow.fin_held & meeting.touches & !meeting.others),
        ends,
        // RFC 5681 §4.2 and RFC 8257 §3.2: not the second segment, nor one that fills a gap, is
        // old in part, ends the stream, or changes the mark.
        waits: takes_text
            & fits
            & !relations.ahead.any()
            & !flow.gaps
            & !work.decoded.fin
            & flow.delays
            & !flow.owes
            & (flow.ce == work.marked),
        renews: unacknowledged.get_bit(31) | !unacknowledged.any(),
        jumps: verdict.takes_ack
            & verdict.fresh
            & relations.skipped.any()
            & !relations.skipped.get_bit(31),
        // An ACK that advances SND.UNA is newer than all before it, whatever its SEG.SEQ.
        updates: verdict.takes_ack & (verdict.fresh | !relations.old_window),
        rewinds: (third & !knows) | (verdict.times_out & outstanding),
        mends: third & knows,
        reports: verdict.takes_report & relations.reports,
        reported,
        remain: remains.a.valid | remains.b.valid | remains.c.valid | remains.d.valid,
        hole,
        bytes,
        all: verdict.last & small & !verdict.shut & !fixes,
        // A probe is old at the peer, so it is answered (RFC 9293 §3.8.6.1), and carries no
        // byte that could be lost.
        probes: verdict.times_out & (!outstanding | !relations.snd_wnd.any()),
        edge,
        room: edge - flow.snd_nxt,
    }
}
