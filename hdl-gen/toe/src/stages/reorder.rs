//! Reorder: restores ticket order behind identification.
//!
//! ```text
//!              ┌──────────────────────────┐
//!  s ─Segment─►│ prims::Reorder by ticket ├─Segment─► m
//!              └──────────────────────────┘
//! ```
//!
//! Replicated identification may finish out of order; `protocol` sees the frames in
//! arrival order all the same (contract O1). A segment waits in the slot of its ticket
//! until all before it have left; `s.ready` is low while its ticket is not within `depth`
//! of the oldest one missing. Every ticket arrives: a dropped frame has one only if it
//! stands in the frame buffer, and then protocol must see it to have it consumed.
//!
//! Latency 4, initiation interval 1. State: the ticket that leaves next.

use crate::channels::Segment;
use hallux_hdl::prelude::*;
use hallux_hdl::prims;

/// See the [module](self).
#[derive(LogicBlock)]
pub struct Reorder {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset: ticket 0 is the next to leave.
    pub rst: Signal<In, Bit>,
    /// Segments in any order.
    pub s: StreamSink<Segment>,
    /// Segments in ticket order.
    pub m: StreamSource<Segment>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    slots: prims::Reorder<Segment>,
}

impl Reorder {
    /// A buffer of `depth` segments: a power of two from 2 to 256, and more than
    /// identification holds at any time.
    pub fn new(depth: usize) -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            m: Default::default(),
            idle: Default::default(),
            slots: prims::Reorder::new(depth),
        }
    }
}

impl Logic for Reorder {
    #[hdl]
    fn update(&mut self) {
        self.slots.clk.next = self.clk.val();
        self.slots.rst.next = self.rst.val();
        self.slots.ticket.next = self.s.data.val().summary.ticket.get_bits::<16>(0);
        self.slots.skip.next = false;
        StreamSink::<Segment>::link(&mut self.s, &mut self.slots.s);
        StreamSource::<Segment>::link(&mut self.m, &mut self.slots.m);
        self.idle.next = self.slots.idle.val();
    }
}
