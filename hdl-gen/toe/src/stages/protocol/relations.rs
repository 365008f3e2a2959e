//! First step of the exact transition: how the event lies to the state. Differences and
//! their signs, each one subtraction deep but for SND.MAX.

use super::flow::*;
use super::work::Work;
use hallux_hdl::prelude::*;

/// Distances between an event and the state that it meets.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Relations {
    /// SEG.ACK less SND.UNA.
    pub acked: Bits<32>,
    /// SEG.ACK less SND.NXT.
    pub skipped: Bits<32>,
    /// SEG.SEQ less RCV.NXT.
    pub ahead: Bits<32>,
    /// SND.MAX less SND.UNA.
    pub outstanding: Bits<32>,
    /// SND.NXT less SND.UNA.
    pub in_flight: Bits<32>,
    /// SND.WND.
    pub snd_wnd: Bits<32>,
    /// SND.UNA plus the window of a SET.
    pub set_edge: Bits<32>,
    /// TSval is older than TS.Recent (RFC 7323 §5).
    pub old_stamp: Bit,
    /// SEG.SEQ is before SND.WL1.
    pub old_window: Bit,
    /// SEG.ACK is not before the recovery point.
    pub recovers: Bit,
    /// First byte of the block that the segment reports, from SEG.ACK.
    pub sack_start: Bits<25>,
    /// Where it ends.
    pub sack_end: Bits<25>,
    /// The block lies between SEG.ACK and SND.MAX, if SEG.ACK counts.
    pub reports: Bit,
    /// HighRxt is before SEG.ACK.
    pub passes: Bit,
    /// The event is of the generation of the flow id.
    pub same_generation: Bit,
}

/// Subtracts whatever the next steps compare.
#[hdl_fn]
pub fn relate(live: Live, work: Work) -> Relations {
    let flow = live.flow;
    let event = work.decoded.event;
    let snd_max = if flow.recovering & precedes(flow.snd_nxt, flow.recover) {
        flow.recover
    } else {
        flow.snd_nxt
    };
    let block = event.sack.first;
    let sack_start = block.left - event.ack;
    let sack_end = block.right - event.ack;
    Relations {
        acked: event.ack - flow.snd_una,
        skipped: event.ack - flow.snd_nxt,
        ahead: event.seq - flow.rcv_nxt,
        outstanding: snd_max - flow.snd_una,
        in_flight: flow.snd_nxt - flow.snd_una,
        snd_wnd: flow.edge - flow.snd_una,
        set_edge: flow.snd_una + event.window,
        old_stamp: work.timed & precedes(event.ts_val, flow.ts_recent),
        old_window: precedes(event.seq, flow.snd_wl1),
        recovers: !precedes(event.ack, flow.recover),
        sack_start: bit_cast::<25, 32>(sack_start),
        sack_end: bit_cast::<25, 32>(sack_end),
        reports: work.decoded.reports
            & flow.sack
            & (block.left != event.ack)
            & !sack_start.get_bit(31)
            & !sack_end.get_bit(31)
            & precedes(block.left, block.right)
            & !precedes(snd_max, block.right),
        passes: precedes(flow.high_rxt, event.ack),
        same_generation: event.generation == flow.generation,
    }
}
