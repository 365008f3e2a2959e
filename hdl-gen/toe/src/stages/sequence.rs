//! Sequencer: stamps the RX ticket.
//!
//! ```text
//!              ┌────────────┐
//!  s ─Summary─►│ ticket :=  ├─Summary─► m
//!              │ 0, number  │
//!              └────────────┘
//! ```
//!
//! Latency 0, initiation interval 1: the parser's queue before it and identification
//! behind it have the registers. State: the running number of the next frame.
//! Tickets are handed out in arrival order, to dropped frames with a place in the
//! frame buffer too: everything between here and the wire is kept in this order
//! (contract O1).

use crate::channels::{KIND_RX, Summary};
use hallux_hdl::prelude::*;

/// See the [module](self).
#[derive(LogicBlock, Default)]
pub struct Sequencer {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset: numbers start at 0.
    pub rst: Signal<In, Bit>,
    /// Summaries in arrival order.
    pub s: StreamSink<Summary>,
    /// The same, stamped.
    pub m: StreamSource<Summary>,
    number: DFF<Bits<22>>,
}

impl Logic for Sequencer {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, number);
        let mut summary = self.s.data.val();
        summary.ticket = cat::<2, 22, 24>(bits::<2>(KIND_RX), self.number.q.val());
        self.m.data.next = summary;
        self.m.valid.next = self.s.valid.val();
        self.s.ready.next = self.m.ready.val();
        if self.s.valid.val() & self.m.ready.val() {
            self.number.d.next = self.number.q.val() + bits::<22>(1);
        }
        if self.rst.val() {
            self.number.d.next = bits::<22>(0);
        }
    }
}
