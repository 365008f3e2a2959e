//! Behind the state: the window that a segment advertises, and the outcome.
//!
//! The advertised right edge (`rcv_adv` of the reference) depends on the state, but the
//! state does not depend on it. So it lives here, in a memory of its own, with a recurrence
//! of its own: one comparison and two selections.
//!
//! With F the free bytes that may be advertised, u the window's unit and A the bytes up to
//! the edge advertised so far, the window is F rounded down to u; or, where that would
//! retract the edge, rounded up (RFC 7323 §2.4). Either is known before A is:
//!
//! | | window field | right edge that the ring backs |
//! |---|---|---|
//! | down, if ⌊F/u⌋·u ≥ A | min(⌊F/u⌋, 65535) | RCV.NXT + min(⌊F/u⌋·u, 65535·u) |
//! | up | min(⌊F/u⌋ + 1, 65535) | RCV.NXT + min(F, 65535·u) |

use super::flow::*;
use super::intervals::{Held, Slots};
use super::scoreboard::has_hole;
use super::settled::Step;
use super::work::Decoded;
use crate::channels::{CLASS_DROP, CLASS_SLOW, KIND_HC, Outcome, Sack, SackBlock};
use hallux_hdl::prelude::*;

/// First step: quantities of the new state, each one or two additions deep.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Survey {
    /// The event.
    pub decoded: Decoded,
    /// What follows from it.
    pub step: Step,
    /// New state.
    pub flow: Flow,
    /// Free bytes that may be advertised.
    pub free: Bits<25>,
    /// They rounded down to the unit of the window scale.
    pub whole: Bits<25>,
    /// The most that a window field can say.
    pub most: Bits<32>,
    /// That is no more than they.
    pub widest: Bit,
    /// Bytes of the ring that are worth a window update.
    pub worth: Bits<32>,
    /// SND.NXT less SND.UNA.
    pub in_flight: Bits<32>,
    /// SND.MAX less SND.UNA.
    pub outstanding: Bits<32>,
    /// SND.WND.
    pub snd_wnd: Bits<32>,
    /// Receive-ring position of the first placed byte.
    pub rx_pos: Bits<32>,
    /// Transmit-ring position of the first sent byte.
    pub tx_pos: Bits<32>,
    /// The flow's clock for timestamps.
    pub clock: Bits<32>,
    /// What is held out of order, as acknowledgements say it.
    pub sack: Sack,
    /// A recovery has something to send again.
    pub mends: Bit,
}

/// Second step: everything but what depends on the advertised edge.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Draft {
    /// The outcome if a segment is sent and its window rounded down.
    pub outcome: Outcome,
    /// The event was only a report: it has no outcome.
    pub silent: Bit,
    /// The event met a closed flow id or another generation.
    pub stale: Bit,
    /// A window update is sent if the window has opened far enough.
    pub send_if_opened: Bit,
    /// The edge is set to `down.edge`, whatever it was.
    pub opens: Bit,
    /// RCV.NXT plus the whole units: an edge beyond it is not to be retracted.
    pub whole: Bits<32>,
    /// The window field has no room to round up.
    pub widest: Bit,
    /// The window rounded down.
    pub down: Offer,
    /// The window rounded up.
    pub up: Offer,
    /// An edge from here on leaves the peer enough.
    pub enough: Bits<32>,
}

/// A window that may be advertised.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Offer {
    /// Right edge.
    pub edge: Bits<32>,
    /// An advertised edge up to here is worth moving.
    pub reach: Bits<32>,
}

/// Third step: the outcome, and the advertised edge after it.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Announced {
    /// What goes to post.
    pub outcome: Outcome,
    /// The advertised edge.
    pub edge: Bits<32>,
    /// It is new.
    pub moves: Bit,
}

/// The MSS is less than half a ring of 2^`log2` bytes: it has no bit from half the ring's on.
#[hdl_fn]
fn fits_half_ring(mss: Bits<14>, log2: Bits<5>) -> Bit {
    let mut above = bits::<14>(0);
    for i in 0..14 {
        let mut reaches: Bit = false;
        for smaller in 0..(i + 2) {
            reaches = reaches | (log2 == bits::<5>(smaller as u64));
        }
        above = above.replace_bit(i, reaches & mss.get_bit(i));
    }
    !above.any()
}

/// An interval as an acknowledgement says it.
#[hdl_fn]
fn block(held: Held) -> SackBlock {
    SackBlock {
        left: held.start,
        right: held.end,
    }
}

/// The first of two intervals that there is.
#[hdl_fn]
fn either(one: Held, other: Held) -> Held {
    if one.valid { one } else { other }
}

/// The first three intervals that there are.
#[hdl_fn]
fn reports(slots: Slots) -> Sack {
    let (a, b, c, d) = (slots.a.valid, slots.b.valid, slots.c.valid, slots.d.valid);
    let two = (a & b) | (c & d) | ((a | b) & (c | d));
    let three = (a & b & (c | d)) | (c & d & (a | b));
    let late = either(slots.c, slots.d);
    let second = if a & b {
        slots.b
    } else if a | b {
        late
    } else {
        slots.d
    };
    Sack {
        count: if three {
            bits::<2>(3)
        } else if two {
            bits::<2>(2)
        } else {
            bit_cast::<2, 1>(bit(a | b | c | d))
        },
        first: block(if a | b {
            either(slots.a, slots.b)
        } else {
            late
        }),
        second: block(second),
        third: block(if a & b { late } else { slots.d }),
    }
}

/// No blocks but those that count.
#[hdl_fn]
fn trimmed(sack: Sack, count: Bits<2>) -> Sack {
    let none = SackBlock::default();
    Sack {
        count,
        first: if count.any() { sack.first } else { none },
        second: if count.get_bit(1) { sack.second } else { none },
        third: if count == bits::<2>(3) {
            sack.third
        } else {
            none
        },
    }
}

/// Surveys the state after an event; `tick` is the time in 1.024 µs.
#[hdl_fn]
pub fn survey(
    decoded: Decoded,
    step: Step,
    flow: Flow,
    slots: Slots,
    board: Slots,
    tick: Bits<32>,
) -> Survey {
    // One unit, less one, stays back, so that rounding up stays inside the ring.
    let mask = step.unit;
    let less = bit_cast::<26, 25>(flow.rx_avail) - bit_cast::<26, 25>(mask);
    let free = if less.get_bit(25) {
        bits::<25>(0)
    } else {
        bit_cast::<25, 26>(less)
    };
    let most = step.most;
    let half = wide(ring_bytes(flow.rx_log2) >> 1);
    let snd_max = if flow.recovering & precedes(flow.snd_nxt, flow.recover) {
        flow.recover
    } else {
        flow.snd_nxt
    };
    Survey {
        decoded,
        step,
        flow,
        free,
        whole: free & !mask,
        most,
        // `free` is no less than `most`, whose bits lie above those of the unit.
        widest: wide(flow.rx_avail) >= (most | wide(mask)),
        worth: if fits_half_ring(flow.mss, flow.rx_log2) {
            bit_cast::<32, 14>(flow.mss)
        } else {
            half
        },
        in_flight: flow.snd_nxt - flow.snd_una,
        outstanding: snd_max - flow.snd_una,
        snd_wnd: flow.edge - flow.snd_una,
        rx_pos: step.place_seq - flow.irs,
        tx_pos: step.seq - flow.iss,
        clock: tick + flow.ts_offset,
        sack: reports(slots),
        mends: has_hole(board, flow),
    }
}

/// Drafts the outcome.
#[hdl_fn]
pub fn draft(s: Survey) -> Draft {
    let flow = s.flow;
    let step = s.step;
    let event = s.decoded.event;
    let done = step.done;
    let good = done & !step.status.any();
    let raw = (event.kind == bits::<2>(KIND_HC)) & (event.class == bits::<2>(CLASS_SLOW));
    let ready = s.mends | (!flow.opening & flow.tx_avail.any() & (s.in_flight < s.snd_wnd));

    let units = s.free >> flow.receive_shift;
    let down_bytes = if step.opens {
        // The SYN's window field is never scaled (RFC 7323 §2.2).
        least::<32>(wide(s.free), bits::<32>(0xffff))
    } else if s.widest {
        s.most
    } else {
        wide(s.whole)
    };
    let up_bytes = if s.widest { s.most } else { wide(s.free) };
    let base = flow.rcv_nxt - s.worth;

    // Segments with data have no room for reports.
    let reported = if flow.sack & flow.gaps & !step.length.any() & !raw {
        s.sack.count
    } else {
        bits::<2>(0)
    };
    let zero = bits::<32>(0);
    // SEG.SEQ of a segment without data: SND.MAX, or the right edge of the peer's window
    // where that is less.
    let seq = if step.sequenced {
        step.seq
    } else {
        flow.snd_una + least::<32>(s.outstanding, s.snd_wnd)
    };
    let place_or_report = if step.place {
        s.rx_pos
    } else if good {
        flow.snd_una
    } else {
        zero
    };
    let rx_bump = if step.notify {
        wide(step.rx_bump)
    } else if good {
        s.in_flight
    } else {
        zero
    };
    let tx_bump = if step.notify {
        step.tx_bump
    } else if good {
        wide(flow.tx_avail)
    } else {
        zero
    };
    let outcome = Outcome {
        kind: event.kind,
        ticket: event.ticket,
        flow: event.flow,
        generation: step.generation,
        class: if s.decoded.receives & step.stale {
            bits::<2>(CLASS_DROP)
        } else {
            event.class
        },
        send: step.send | raw,
        seq,
        ack: if done & !good { zero } else { flow.rcv_nxt },
        window: if s.widest {
            bits::<16>(0xffff)
        } else {
            bit_cast::<16, 25>(units)
        },
        flags: step.flags,
        ts_on: flow.ts_on,
        ts_offset: flow.ts_offset,
        ts_ecr: flow.ts_recent,
        sack: trimmed(s.sack, reported),
        length: if raw { event.frame_len } else { step.length },
        tx_pos: if step.length.any() { s.tx_pos } else { zero },
        place: step.place,
        rx_pos: place_or_report,
        place_offset: if step.place {
            step.place_offset
        } else {
            bits::<14>(0)
        },
        place_len: if step.place {
            step.place_len
        } else {
            bits::<14>(0)
        },
        frame_len: if raw { bits::<14>(0) } else { event.frame_len },
        notify: step.notify,
        rx_bump,
        tx_bump,
        notice_flags: if step.notify {
            step.notice_flags
        } else {
            bits::<8>(0)
        },
        read_lost: step.read_lost,
        // Round trip: the clock now less the clock that the peer echoes (RFC 7323 §4.1).
        rtt: if step.samples {
            s.clock - event.ts_ecr + bits::<32>(1)
        } else {
            zero
        },
        owes: step.waits,
        update: step.answer | (step.offer & ready),
        ready: step.offer & ready,
        done,
        opcode: if done { event.flags } else { bits::<8>(0) },
        status: step.status,
        address: if raw { event.address } else { bits::<64>(0) },
    };
    Draft {
        outcome,
        silent: event.report,
        stale: step.stale,
        send_if_opened: step.send_if_opened,
        opens: step.opens,
        whole: flow.rcv_nxt + wide(s.whole),
        widest: s.widest,
        down: Offer {
            edge: flow.rcv_nxt + down_bytes,
            reach: base + down_bytes,
        },
        up: Offer {
            edge: flow.rcv_nxt + up_bytes,
            reach: base + up_bytes,
        },
        enough: flow.rcv_nxt + (s.worth << 1),
    }
}

/// Completes the outcome with what depends on `advertised`, the edge so far.
#[hdl_fn]
pub fn announce(draft: Draft, advertised: Bits<32>) -> Announced {
    let retracts = precedes(draft.whole, advertised);
    // The window has opened so far that the peer should know at once (RFC 9293
    // §3.8.6.2.2): by min(MSS, ring / 2), while less than twice that was left.
    let opened = if retracts {
        !precedes(draft.up.reach, advertised)
    } else {
        !precedes(draft.down.reach, advertised)
    };
    let updates = draft.send_if_opened & opened & precedes(advertised, draft.enough);
    let further = if retracts {
        precedes(advertised, draft.up.edge)
    } else {
        precedes(advertised, draft.down.edge)
    };
    let edge = if retracts & !draft.opens {
        draft.up.edge
    } else {
        draft.down.edge
    };

    let full = draft.outcome;
    let window = full.window + bit_cast::<16, 1>(bit(retracts & !draft.widest));
    let raw = (full.kind == bits::<2>(KIND_HC)) & (full.class == bits::<2>(CLASS_SLOW));
    let sends = (full.send & !raw) | updates;
    let zero = bits::<32>(0);
    let outcome = Outcome {
        send: full.send | updates,
        seq: if sends { full.seq } else { zero },
        ack: if sends | full.done { full.ack } else { zero },
        window: if sends { window } else { bits::<16>(0) },
        flags: if sends { full.flags } else { bits::<8>(0) },
        ts_on: sends & full.ts_on,
        ts_offset: if sends { full.ts_offset } else { zero },
        ts_ecr: if sends { full.ts_ecr } else { zero },
        sack: if sends { full.sack } else { Sack::default() },
        ..full
    };
    Announced {
        outcome,
        edge,
        moves: draft.opens | (sends & further),
    }
}
