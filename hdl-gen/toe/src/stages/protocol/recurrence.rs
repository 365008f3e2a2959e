//! The recurrence: the next state, one clock after the last, for the events that traffic is
//! made of.
//!
//! In-order segments, acknowledgements of new data, grants and descriptors change a state by
//! a few additions whose operands [`work`](super::work) has made ready. All sums are
//! formed at once, and beside them all comparisons that tell whether they apply; neither
//! waits for the other:
//!
//! ```text
//!           ┌► sums (one carry chain each) ────────────┐
//!  state ───┤                                          ├► select ► next state
//!           └► comparisons (one carry chain) ► taken ──┘
//! ```
//!
//! Where a comparison fails, the event takes the long way, and the next event of its flow
//! waits for it. The shortcut promises that where it is [`taken`], it gives what the long way
//! gives; [`settled`](super::settled) works that out for every event, and an assertion
//! compares the two.

use super::flow::*;
use super::work::Work;
use hallux_hdl::prelude::*;

/// What the shortcut makes of an event.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Shortcut {
    /// It knows where the event, a segment, lies.
    pub follows: Bit,
    /// If it brings bytes, the ring takes them all and they close no gap.
    pub fits: Bit,
    /// It knows what that segment acknowledges.
    pub acknowledges: Bit,
    /// That segment reports bytes out of order, of which it knows nothing.
    pub reports: Bit,
    /// It knows the event, a grant.
    pub sends: Bit,
    /// It knows the event, a descriptor.
    pub bumps: Bit,
    /// The next state.
    pub live: Live,
}

/// The event is one of those that the shortcut knows; otherwise its state means nothing.
/// What it knows of a segment is joined here, behind the register: not a level of logic is
/// left for it before.
#[hdl_fn]
pub fn taken(shortcut: Shortcut) -> Bit {
    (shortcut.follows & shortcut.fits & shortcut.acknowledges & !shortcut.reports)
        | shortcut.sends
        | shortcut.bumps
}

/// A segment in order.
#[hdl_fn]
fn follows(live: Live, work: Work) -> Bit {
    let flow = live.flow;
    let event = work.decoded.event;
    let in_order = event.seq == flow.rcv_nxt;
    let old_stamp = work.timed & precedes(event.ts_val, flow.ts_recent);
    in_order & !old_stamp & !work.decoded.fin
}

/// Its bytes, if there are any, find room and close no gap.
#[hdl_fn]
fn fits(live: Live, work: Work) -> Bit {
    let flow = live.flow;
    let wide_enough = flow.rx_avail.get_bits::<11>(14).any()
        | (work.decoded.event.payload_len <= flow.rx_avail.get_bits::<14>(0));
    (wide_enough & !flow.gaps & !flow.rx_fin) | !work.decoded.has_text
}

/// An acknowledgement that is new, or repeated beside payload.
#[hdl_fn]
fn acknowledges(live: Live, work: Work) -> Bit {
    let flow = live.flow;
    let event = work.decoded.event;
    // Outside of a recovery SND.MAX is SND.NXT. Reports go with what is acknowledged.
    let repeated = event.ack == flow.snd_una;
    let fresh = !flow.recovering
        & !flow.sacked
        & !precedes(event.ack, flow.snd_una)
        & !precedes(flow.snd_nxt, event.ack);
    if repeated {
        work.decoded.has_text
    } else {
        fresh
    }
}

/// The transition for an event that brings no surprise.
#[hdl_fn]
pub fn shortcut(live: Live, work: Work) -> Shortcut {
    let flow = live.flow;
    let event = work.decoded.event;
    let receives = work.decoded.receives;
    let grants = work.decoded.grants;
    let controls = work.decoded.controls;

    // A grant takes a whole segment, or all that is left.
    let mss = bit_cast::<25, 14>(flow.mss);
    let whole = flow.tx_avail >= mss;
    let window_takes_mss = live.room >= wide(mss);
    let window_takes_all = live.room >= wide(flow.tx_avail);
    let sends = !flow.recovering
        & !flow.tx_fin
        & !live.room.get_bit(31)
        & (if whole {
            window_takes_mss
        } else {
            window_takes_all
        });
    let bumps = work.decoded.plain_bumps
        & (event.generation == flow.generation)
        & !flow.tx_fin
        & (work.rx_delta <= live.unread)
        & (work.tx_delta <= flow.free);
    let plain = flow.open & !flow.opening;

    // Every second segment is acknowledged, and what carries data acknowledges too.
    let arrives = receives & work.decoded.has_text;
    let waits = flow.delays & !flow.owes & (flow.ce == work.marked);
    let pays = grants & flow.tx_avail.any() & work.sends_bytes;

    // The peer's window: an old segment beside payload does not change it.
    let repeated = event.ack == flow.snd_una;
    let updates = receives & !(repeated & precedes(event.seq, flow.snd_wl1));
    let after = Flow {
        snd_una: if receives { event.ack } else { flow.snd_una },
        snd_nxt: if !grants {
            flow.snd_nxt
        } else if whole {
            flow.snd_nxt + wide(mss)
        } else {
            live.released
        },
        edge: if updates { work.edge } else { flow.edge },
        tx_avail: if controls | (grants & whole) {
            flow.tx_avail + work.tx_delta
        } else if grants {
            bits::<25>(0)
        } else {
            flow.tx_avail
        },
        snd_wl1: if updates { event.seq } else { flow.snd_wl1 },
        rcv_nxt: if receives {
            work.decoded.end
        } else {
            flow.rcv_nxt
        },
        rx_avail: flow.rx_avail + work.rx_delta,
        free: if receives {
            bit_cast::<25, 32>(work.limit - live.released)
        } else if controls {
            flow.free - work.tx_delta
        } else {
            flow.free
        },
        owes: if arrives { waits } else { flow.owes & !pays },
        owed: if (arrives & !waits) | pays {
            bits::<14>(0)
        } else if arrives {
            event.payload_len
        } else {
            flow.owed
        },
        ce: if arrives { work.marked } else { flow.ce },
        // Behind a segment that waits for its acknowledgement, SEG.SEQ is beyond
        // Last.ACK.sent.
        ts_recent: if receives & work.timed & !flow.owes {
            event.ts_val
        } else {
            flow.ts_recent
        },
        dupacks: if receives & !repeated {
            bits::<2>(0)
        } else {
            flow.dupacks
        },
        ..flow
    };
    Shortcut {
        follows: plain & receives & follows(live, work),
        fits: fits(live, work),
        acknowledges: acknowledges(live, work),
        reports: work.decoded.reports,
        sends: plain & grants & sends,
        bumps: plain & controls & bumps,
        live: Live {
            flow: after,
            room: if updates {
                work.edge - flow.snd_nxt
            } else if grants & whole {
                live.room - wide(mss)
            } else if grants {
                live.room - wide(flow.tx_avail)
            } else {
                live.room
            },
            released: if controls {
                live.released + wide(work.tx_delta)
            } else {
                live.released
            },
            unread: live.unread - work.rx_delta,
        },
    }
}
