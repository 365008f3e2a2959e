//! Event arbiter: merges the four classes of work into one stream of events.
//!
//! ```text
//!  s_rx ──Segment─► event ───── first ─┐
//!  s_tx ──Grant───► event ─┐  round    ├─Event─► m
//!  s_hc ──Event────────────┼─ robin ───┘
//!  s_cmd ─Event────────────┘
//! ```
//!
//! Latency 0, initiation interval 1: every source is a register, and so is what `protocol`
//! does with an event. State: which of the three lower classes was served last, and the
//! choice that `m` has not taken yet, which stands. The turn moves only when one of them
//! passes, so nothing changes while idle.
//!
//! Received frames go first, because the wire cannot be held up: taking turns with
//! transmission would let the egress queue slow reception down, and the frame buffer
//! would overflow when both directions are busy. The others cannot starve, because a
//! TCP frame takes at least 1.68 clocks of a 100 Gb/s wire at 250 MHz. Among them, none
//! waits for more than two events of the others.

use crate::channels::{Event, Grant, KIND_RX, KIND_TX, Segment};
use hallux_hdl::prelude::*;

/// See the [module](self).
#[derive(LogicBlock, Default)]
pub struct Arbiter {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// Received frames, in arrival order.
    pub s_rx: StreamSink<Segment>,
    /// Grants of the scheduler.
    pub s_tx: StreamSink<Grant>,
    /// Descriptors of the applications.
    pub s_hc: StreamSink<Event>,
    /// Commands of the control plane.
    pub s_cmd: StreamSink<Event>,
    /// Events in the order in which they take effect.
    pub m: StreamSource<Event>,
    /// Nothing waits.
    pub idle: Signal<Out, Bit>,
    last: DFF<Bits<2>>,
    /// An event is offered and was not taken: of that class.
    offered: DFF<Bit>,
    choice: DFF<Bits<2>>,
}

/// The event of a received frame.
#[hdl_fn]
fn received(segment: Segment) -> Event {
    let summary = segment.summary;
    Event {
        kind: bits::<2>(KIND_RX),
        ticket: summary.ticket,
        flow: segment.flow,
        class: summary.class,
        flags: summary.flags,
        seq: summary.seq,
        ack: summary.ack,
        window: bit_cast::<32, 16>(summary.window),
        ts_val: summary.ts_val,
        ts_ecr: summary.ts_ecr,
        ts_present: summary.ts_present,
        sack: summary.sack,
        ce: summary.ce,
        payload_offset: summary.payload_offset,
        payload_len: summary.payload_len,
        frame_len: summary.frame_len,
        ..Event::default()
    }
}

/// The event of a grant.
#[hdl_fn]
fn granted(grant: Grant) -> Event {
    Event {
        kind: bits::<2>(KIND_TX),
        ticket: grant.ticket,
        flow: grant.flow,
        flags: bit_cast::<8, 1>(bit(grant.reminds)),
        ..Event::default()
    }
}

impl Logic for Arbiter {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, last, offered, choice);

        let rx = self.s_rx.valid.val();
        let tx = self.s_tx.valid.val();
        let hc = self.s_hc.valid.val();
        let cmd = self.s_cmd.valid.val();
        let (r, t, h, c) = (bits::<2>(0), bits::<2>(1), bits::<2>(2), bits::<2>(3));
        // Whose turn it is, if something waits there. In turns: t, h, c, t, h, …
        let (last_t, last_h) = (self.last.q.val() == t, self.last.q.val() == h);
        let last_c = !last_t & !last_h;
        let stands = self.offered.q.val();
        let choice = self.choice.q.val();
        let turn_r = !stands | (choice == r);
        let turn_t = if stands {
            choice == t
        } else {
            !rx & !(hc & last_t) & !(cmd & !last_c)
        };
        let turn_h = if stands {
            choice == h
        } else {
            !rx & !(cmd & last_h) & !(tx & !last_t)
        };
        let turn_c = if stands {
            choice == c
        } else {
            !rx & !(tx & last_c) & !(hc & !last_h)
        };

        let room = self.m.ready.val();
        self.s_rx.ready.next = room & turn_r;
        self.s_tx.ready.next = room & turn_t;
        self.s_hc.ready.next = room & turn_h;
        self.s_cmd.ready.next = room & turn_c;
        let valid = (rx & turn_r) | (tx & turn_t) | (hc & turn_h) | (cmd & turn_c);
        self.m.valid.next = valid;
        let turn = if rx & turn_r {
            r
        } else if tx & turn_t {
            t
        } else if hc & turn_h {
            h
        } else {
            c
        };
        self.m.data.next = if turn == r {
            received(self.s_rx.data.val())
        } else if turn == t {
            granted(self.s_tx.data.val())
        } else if turn == h {
            self.s_hc.data.val()
        } else {
            self.s_cmd.data.val()
        };
        self.offered.d.next = valid & !room;
        if valid & !room {
            self.choice.d.next = turn;
        }
        if valid & room & (turn != r) {
            self.last.d.next = turn;
        }
        self.idle.next = !(rx | tx | hc | cmd);
        if self.rst.val() {
            self.last.d.next = bits::<2>(3);
            self.offered.d.next = false;
        }
    }
}
