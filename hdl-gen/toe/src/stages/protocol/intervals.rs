//! The intervals of bytes that arrived out of order: up to four, apart from the state.
//!
//! Only events that take the long way touch them, and the next event of the flow waits for
//! those. So they need no forwarding: a memory of their own is read in *judge* and written in
//! *survey*; of the intervals the state knows only whether there are any.
//!
//! Intervals never touch each other. A segment is joined with every one that it abuts or
//! overlaps, into the first slot that is free by then; without one it is dropped. In order it
//! takes those that it reaches along. At most one interval begins before a segment that it
//! touches, and at most one ends behind it.
//!
//! The interval that grew last moves to the first slot, and those before its place one
//! further: acknowledgements report them in this order (RFC 2018 §4).

use super::flow::*;
use hallux_hdl::prelude::*;

/// Bytes that arrived out of order.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Held {
    /// There are such bytes.
    pub valid: Bit,
    /// First sequence number.
    pub start: Bits<32>,
    /// One past the last.
    pub end: Bits<32>,
}

/// The slots of a connection. Those that the design point lacks stay empty.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Slots {
    /// First slot.
    pub a: Held,
    /// Second slot.
    pub b: Held,
    /// Third slot.
    pub c: Held,
    /// Fourth slot.
    pub d: Held,
}

/// An interval in bytes from RCV.NXT.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Span {
    /// There is one.
    pub valid: Bit,
    /// Where it begins.
    pub start: Bits<25>,
    /// Where it ends.
    pub end: Bits<25>,
}

/// The slots in bytes from RCV.NXT.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Spans {
    /// First slot.
    pub a: Span,
    /// Second slot.
    pub b: Span,
    /// Third slot.
    pub c: Span,
    /// Fourth slot.
    pub d: Span,
}

/// What becomes of a slot.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Fate {
    /// Its interval touches the segment.
    pub touches: Bit,
    /// It is empty or touches the segment: it can take the segment and all that touches it.
    pub free: Bit,
}

/// How the intervals and a segment meet.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Meeting {
    /// First slot.
    pub a: Fate,
    /// Second slot.
    pub b: Fate,
    /// Third slot.
    pub c: Fate,
    /// Fourth slot.
    pub d: Fate,
    /// Some interval touches the segment.
    pub touches: Bit,
    /// Some interval does not.
    pub others: Bit,
    /// An interval that touches it reaches further.
    pub extends: Bit,
    /// A slot can take the segment.
    pub room: Bit,
    /// Where all that touches begins, from RCV.NXT.
    pub low: Bits<25>,
    /// Where it ends.
    pub high: Bits<25>,
}

/// One slot as seen from RCV.NXT.
#[hdl_fn]
fn span(held: Held, flow: Flow) -> Span {
    Span {
        valid: held.valid & flow.gaps,
        start: bit_cast::<25, 32>(held.start - flow.rcv_nxt),
        end: bit_cast::<25, 32>(held.end - flow.rcv_nxt),
    }
}

/// The slots as seen from RCV.NXT.
#[hdl_fn]
pub fn spans(slots: Slots, flow: Flow) -> Spans {
    Spans {
        a: span(slots.a, flow),
        b: span(slots.b, flow),
        c: span(slots.c, flow),
        d: span(slots.d, flow),
    }
}

/// The interval abuts or overlaps the segment. Where the segment is cut off at the end of the
/// ring makes no difference: what is held lies before it.
#[hdl_fn]
fn touches(span: Span, segment: Span) -> Bit {
    span.valid & (segment.start <= span.end) & (span.start <= segment.end)
}

/// A number, or zero.
#[hdl_fn]
fn only_if(condition: Bit, number: Bits<25>) -> Bits<25> {
    if condition { number } else { bits::<25>(0) }
}

/// Meets a segment with the intervals, of which a design has `slots`. It ends at `end`, which
/// may be cut off.
#[hdl_fn]
pub fn meet(spans: Spans, segment: Span, end: Bits<25>, slots: u64) -> Meeting {
    let a = touches(spans.a, segment);
    let b = touches(spans.b, segment);
    let c = touches(spans.c, segment);
    let d = touches(spans.d, segment);
    let a_leads = a & (spans.a.start < segment.start);
    let b_leads = b & (spans.b.start < segment.start);
    let c_leads = c & (spans.c.start < segment.start);
    let d_leads = d & (spans.d.start < segment.start);
    let leads = a_leads | b_leads | c_leads | d_leads;
    let a_extends = a & (spans.a.end > segment.end);
    let b_extends = b & (spans.b.end > segment.end);
    let c_extends = c & (spans.c.end > segment.end);
    let d_extends = d & (spans.d.end > segment.end);
    let extends = a_extends | b_extends | c_extends | d_extends;

    let mut a_free: Bit = false;
    let mut b_free: Bit = false;
    let mut c_free: Bit = false;
    let mut d_free: Bit = false;
    if slots > 0 {
        a_free = a | !spans.a.valid;
    }
    if slots > 1 {
        b_free = b | !spans.b.valid;
    }
    if slots > 2 {
        c_free = c | !spans.c.valid;
        d_free = d | !spans.d.valid;
    }
    Meeting {
        a: Fate {
            touches: a,
            free: a_free,
        },
        b: Fate {
            touches: b,
            free: b_free,
        },
        c: Fate {
            touches: c,
            free: c_free,
        },
        d: Fate {
            touches: d,
            free: d_free,
        },
        touches: a | b | c | d,
        others: (spans.a.valid & !a)
            | (spans.b.valid & !b)
            | (spans.c.valid & !c)
            | (spans.d.valid & !d),
        extends,
        room: a_free | b_free | c_free | d_free,
        low: if leads {
            only_if(a_leads, spans.a.start)
                | only_if(b_leads, spans.b.start)
                | only_if(c_leads, spans.c.start)
                | only_if(d_leads, spans.d.start)
        } else {
            segment.start
        },
        high: if extends {
            only_if(a_extends, spans.a.end)
                | only_if(b_extends, spans.b.end)
                | only_if(c_extends, spans.c.end)
                | only_if(d_extends, spans.d.end)
        } else {
            end
        },
    }
}

/// One bit a slot: the first that is free takes what is kept. Not part of [`meet`], which has no
/// time left for it.
#[hdl_fn]
pub fn takers(meeting: Meeting) -> Bits<4> {
    let a = meeting.a.free;
    let b = meeting.b.free & !a;
    let c = meeting.c.free & !a & !meeting.b.free;
    let d = meeting.d.free & !a & !meeting.b.free & !meeting.c.free;
    cat::<2, 2, 4>(
        cat::<1, 1, 2>(bit(d), bit(c)),
        cat::<1, 1, 2>(bit(b), bit(a)),
    )
}

/// One slot after a segment, before one that grew takes its place.
#[hdl_fn]
fn stays(held: Held, gaps: Bit, fate: Fate, joins: Bit, clears: Bit) -> Held {
    Held {
        valid: held.valid & gaps & !(joins & fate.touches) & !clears,
        ..held
    }
}

/// The slots after an event, a segment that `keeps` out of order, `absorbs` those that it
/// reaches, or `clears` them all.
#[hdl_fn]
pub fn follow(
    slots: Slots,
    flow: Flow,
    meeting: Meeting,
    keeps: Bit,
    absorbs: Bit,
    clears: Bit,
) -> Slots {
    let joins = keeps | absorbs;
    let union = Held {
        valid: true,
        start: flow.rcv_nxt + wide(meeting.low),
        end: flow.rcv_nxt + wide(meeting.high),
    };
    let a = stays(slots.a, flow.gaps, meeting.a, joins, clears);
    let b = stays(slots.b, flow.gaps, meeting.b, joins, clears);
    let c = stays(slots.c, flow.gaps, meeting.c, joins, clears);
    let d = stays(slots.d, flow.gaps, meeting.d, joins, clears);
    // The slots up to the one that is free move.
    let takers = takers(meeting);
    let moves_d = keeps & takers.get_bit(3);
    let moves_c = moves_d | (keeps & takers.get_bit(2));
    let moves_b = moves_c | (keeps & takers.get_bit(1));
    Slots {
        a: if keeps { union } else { a },
        b: if moves_b { a } else { b },
        c: if moves_c { b } else { c },
        d: if moves_d { c } else { d },
    }
}
