//! Register slice of a ready/valid channel.

use crate::prelude::*;

/// Cuts all paths of a channel: data, valid and ready leave from flip-flops.
///
/// ```text
///            ┌──────┐
///        ┌──►│ skid ├──┐    ┌──────┐
///   s ───┤   └──────┘  ├───►│ held ├───► m
///        └─────────────┘    └──────┘
/// ```
///
/// Latency 1 cycle, initiation interval 1. The second register takes the word
/// that is under way when `m` stops.
#[derive(Clone, Debug, LogicBlock)]
pub struct StreamRegister<T: Synth> {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: drops both words.
    pub rst: Signal<In, Bit>,
    /// Words in.
    pub s: StreamSink<T>,
    /// Words out.
    pub m: StreamSource<T>,
    held: DFF<T>,
    held_valid: DFF<Bit>,
    skid: DFF<T>,
    skid_valid: DFF<Bit>,
}

impl<T: Synth> Default for StreamRegister<T> {
    fn default() -> Self {
        Self {
            clk: Signal::default(),
            rst: Signal::default(),
            s: StreamSink::default(),
            m: StreamSource::default(),
            held: DFF::default(),
            held_valid: DFF::default(),
            skid: DFF::default(),
            skid_valid: DFF::default(),
        }
    }
}

impl<T: Synth> Logic for StreamRegister<T> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, held, held_valid, skid, skid_valid);
        self.s.ready.next = !self.skid_valid.q.val();
        self.m.data.next = self.held.q.val();
        self.m.valid.next = self.held_valid.q.val();
        let taken = self.s.valid.val() & !self.skid_valid.q.val();
        let free = self.m.ready.val() | !self.held_valid.q.val();
        if free {
            self.held_valid.d.next = self.skid_valid.q.val() | taken;
            self.skid_valid.d.next = false;
            if self.skid_valid.q.val() {
                self.held.d.next = self.skid.q.val();
            } else {
                self.held.d.next = self.s.data.val();
            }
        } else if taken {
            self.skid_valid.d.next = true;
            self.skid.d.next = self.s.data.val();
        }
        if self.rst.val() {
            self.held_valid.d.next = false;
            self.skid_valid.d.next = false;
        }
    }
}
