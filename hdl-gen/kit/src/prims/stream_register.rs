//! A register in both directions of a ready/valid channel (skid buffer).
//!
//! ```text
//!            ┌──────┐   ┌────────┐
//!  s ───────►│ skid ├──►│ output ├──► m
//!            └──────┘   └────────┘
//! ```
//!
//! Cuts every combinational path: `s_ready`, `m_valid` and `m_data` come from
//! flip-flops. Latency 1 cycle, initiation interval 1; holds up to two words.

use crate::prelude::*;

/// Register of both directions of a channel. See the [module](self).
#[derive(LogicBlock)]
pub struct StreamRegister<T: Flat> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset: empties the register.
    pub rst: Signal<In, Bit>,
    /// Words in.
    pub s: StreamSink<T>,
    /// Words out.
    pub m: StreamSource<T>,
    full: DFF<Bit>,
    held: DFF<T>,
    skid_full: DFF<Bit>,
    skid: DFF<T>,
}

impl<T: Flat> Default for StreamRegister<T> {
    fn default() -> Self {
        Self {
            clk: Signal::default(),
            rst: Signal::default(),
            s: StreamSink::default(),
            m: StreamSource::default(),
            full: DFF::default(),
            held: DFF::default(),
            skid_full: DFF::default(),
            skid: DFF::default(),
        }
    }
}

impl<T: Flat> Logic for StreamRegister<T> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, full, held, skid_full, skid);
        self.m.data.next = self.held.q.val();
        self.m.valid.next = self.full.q.val();
        self.s.ready.next = !self.skid_full.q.val();
        let accept = self.s.valid.val() & !self.skid_full.q.val();
        if self.m.ready.val() | !self.full.q.val() {
            self.full.d.next = self.skid_full.q.val() | accept;
            self.skid_full.d.next = false;
            if self.skid_full.q.val() {
                self.held.d.next = self.skid.q.val();
            } else if accept {
                self.held.d.next = self.s.data.val();
            }
        } else if accept {
            self.skid.d.next = self.s.data.val();
            self.skid_full.d.next = true;
        }
        if self.rst.val() {
            self.full.d.next = false;
            self.skid_full.d.next = false;
        }
    }
}
