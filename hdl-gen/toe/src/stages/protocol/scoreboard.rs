//! What the peer has reported to hold out of order (RFC 2018), and what a recovery sends again
//! (RFC 6675).
//!
//! Up to four intervals, in a memory of their own like those of the other direction
//! ([`intervals`](super::intervals)), and only on the long way: a segment with a SACK option
//! takes it, and so does every acknowledgement of new data while there are intervals.
//!
//! A recovery has one pointer, HighRxt. A grant sends from there to the next interval behind
//! it, at most a segment; where HighRxt lies in an interval, the grant moves it to the end
//! and sends nothing; and where nothing is reported behind it, the grant sends new data.

use super::flow::*;
use super::intervals::{Fate, Held, Meeting, Slots, Span, Spans, takers};
use hallux_hdl::prelude::*;

/// A reported interval as seen from SEG.ACK or, by a grant, from HighRxt.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Sight {
    /// There is one.
    pub valid: Bit,
    /// It begins behind.
    pub behind: Bit,
    /// It begins here or before, and ends behind.
    pub covers: Bit,
    /// Where it begins.
    pub start: Bits<25>,
    /// Where it ends.
    pub end: Bits<25>,
}

/// All of them.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct View {
    /// First interval.
    pub a: Sight,
    /// Second interval.
    pub b: Sight,
    /// Third interval.
    pub c: Sight,
    /// Fourth interval.
    pub d: Sight,
}

/// What a grant finds to send again.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Hole {
    /// There is a hole before an interval.
    pub fills: Bit,
    /// HighRxt is to be moved first.
    pub skips: Bit,
    /// To where.
    pub to: Bits<32>,
    /// Bytes to send.
    pub bytes: Bits<14>,
}

/// A state of a design point without recovery by SACK: that it never has reports is what no
/// synthesis finds out.
#[hdl_fn]
pub fn without_reports(live: Live) -> Live {
    Live {
        flow: Flow {
            mends: false,
            high_rxt: bits::<32>(0),
            sacked: false,
            ..live.flow
        },
        ..live
    }
}

/// A state of a design point that has nothing of SACK.
#[hdl_fn]
pub fn without_sack(live: Live) -> Live {
    Live {
        flow: Flow {
            sack: false,
            ..live.flow
        },
        ..live
    }
}

/// One interval seen from `base`.
#[hdl_fn]
fn sight(held: Held, base: Bits<32>) -> Sight {
    let start = held.start - base;
    let end = held.end - base;
    let behind = !start.get_bit(31) & (held.start != base);
    Sight {
        valid: held.valid,
        behind,
        covers: !behind & !end.get_bit(31) & (held.end != base),
        start: bit_cast::<25, 32>(start),
        end: bit_cast::<25, 32>(end),
    }
}

/// The intervals seen from `base`.
#[hdl_fn]
pub fn view(board: Slots, base: Bits<32>) -> View {
    View {
        a: sight(board.a, base),
        b: sight(board.b, base),
        c: sight(board.c, base),
        d: sight(board.d, base),
    }
}

/// The intervals, if there are any.
#[hdl_fn]
pub fn current(board: Slots, sacked: Bit) -> Slots {
    Slots {
        a: Held {
            valid: board.a.valid & sacked,
            ..board.a
        },
        b: Held {
            valid: board.b.valid & sacked,
            ..board.b
        },
        c: Held {
            valid: board.c.valid & sacked,
            ..board.c
        },
        d: Held {
            valid: board.d.valid & sacked,
            ..board.d
        },
    }
}

/// An interval that SEG.ACK has not passed.
#[hdl_fn]
fn span(sight: Sight) -> Span {
    Span {
        valid: sight.valid & sight.behind,
        start: sight.start,
        end: sight.end,
    }
}

/// The intervals that SEG.ACK has not passed.
#[hdl_fn]
pub fn ahead(view: View) -> Spans {
    Spans {
        a: span(view.a),
        b: span(view.b),
        c: span(view.c),
        d: span(view.d),
    }
}

/// No other interval begins between HighRxt and this one.
#[hdl_fn]
fn nearest(one: Span, other: Span, another: Span, last: Span) -> Bit {
    one.valid
        & (!other.valid | (one.start <= other.start))
        & (!another.valid | (one.start <= another.start))
        & (!last.valid | (one.start <= last.start))
}

/// A number, or zero.
#[hdl_fn]
fn only_if<const N: usize>(condition: Bit, number: Bits<N>) -> Bits<N> {
    if condition { number } else { bits::<N>(0) }
}

/// What a grant sends again, if the connection `mends`; at most `mss` bytes.
#[hdl_fn]
pub fn search(board: Slots, view: View, mends: Bit, mss: Bits<14>) -> Hole {
    let spans = ahead(view);
    let a = nearest(spans.a, spans.b, spans.c, spans.d);
    let b = nearest(spans.b, spans.a, spans.c, spans.d);
    let c = nearest(spans.c, spans.a, spans.b, spans.d);
    let d = nearest(spans.d, spans.a, spans.b, spans.c);
    let most = bit_cast::<25, 14>(mss);
    let long = (a & (spans.a.start > most))
        | (b & (spans.b.start > most))
        | (c & (spans.c.start > most))
        | (d & (spans.d.start > most));
    let bytes = only_if::<25>(a, spans.a.start)
        | only_if::<25>(b, spans.b.start)
        | only_if::<25>(c, spans.c.start)
        | only_if::<25>(d, spans.d.start);
    let in_a = view.a.valid & view.a.covers;
    let in_b = view.b.valid & view.b.covers;
    let in_c = view.c.valid & view.c.covers;
    let in_d = view.d.valid & view.d.covers;
    let found = mends & (spans.a.valid | spans.b.valid | spans.c.valid | spans.d.valid);
    let covered = in_a | in_b | in_c | in_d;
    Hole {
        fills: found & !covered,
        skips: found & covered,
        to: only_if::<32>(in_a, board.a.end)
            | only_if::<32>(in_b, board.b.end)
            | only_if::<32>(in_c, board.c.end)
            | only_if::<32>(in_d, board.d.end),
        bytes: if long { mss } else { bit_cast::<14, 25>(bytes) },
    }
}

/// One interval after an acknowledgement.
#[hdl_fn]
fn after(
    held: Held,
    sight: Sight,
    fate: Fate,
    takes: Bit,
    advances: Bit,
    reports: Bit,
    union: Held,
) -> Held {
    if reports & takes {
        union
    } else {
        Held {
            valid: held.valid & (sight.behind | !advances) & !(reports & fate.touches),
            ..held
        }
    }
}

/// The intervals after an event: an acknowledgement of new data `advances` over those that
/// lie before `ack`, one that `reports` brings a block from there.
#[hdl_fn]
pub fn follow(
    board: Slots,
    view: View,
    meeting: Meeting,
    ack: Bits<32>,
    advances: Bit,
    reports: Bit,
) -> Slots {
    let union = Held {
        valid: true,
        start: ack + wide(meeting.low),
        end: ack + wide(meeting.high),
    };
    let takers = takers(meeting);
    Slots {
        a: after(
            board.a,
            view.a,
            meeting.a,
            takers.get_bit(0),
            advances,
            reports,
            union,
        ),
        b: after(
            board.b,
            view.b,
            meeting.b,
            takers.get_bit(1),
            advances,
            reports,
            union,
        ),
        c: after(
            board.c,
            view.c,
            meeting.c,
            takers.get_bit(2),
            advances,
            reports,
            union,
        ),
        d: after(
            board.d,
            view.d,
            meeting.d,
            takers.get_bit(3),
            advances,
            reports,
            union,
        ),
    }
}

/// An interval begins behind HighRxt.
#[hdl_fn]
fn lies_behind(held: Held, high_rxt: Bits<32>) -> Bit {
    held.valid & precedes(high_rxt, held.start)
}

/// A grant would find a hole.
#[hdl_fn]
pub fn has_hole(board: Slots, flow: Flow) -> Bit {
    flow.mends
        & (lies_behind(board.a, flow.high_rxt)
            | lies_behind(board.b, flow.high_rxt)
            | lies_behind(board.c, flow.high_rxt)
            | lies_behind(board.d, flow.high_rxt))
}
