//! Event counters with a latched window.
//!
//! ```text
//!  pulses ──► counters ──latch──► window ──select──► value
//! ```
//!
//! All counters are latched in one cycle, so that software reads values of one moment.

use crate::interface::COUNTERS;
use hallux_hdl::prelude::*;

/// 64-bit counters, in the order of [`COUNTERS`].
#[derive(LogicBlock, Default)]
pub struct Counters {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: all counters are 0.
    pub rst: Signal<In, Bit>,
    /// Bit `i`: counter `i` counts one.
    pub pulses: Signal<In, Bits<20>>,
    /// Copies all counters to the window.
    pub latch: Signal<In, Bit>,
    /// Counter of `value`.
    pub select: Signal<In, Bits<5>>,
    /// The selected counter at the last latch; 0 beyond the last counter.
    pub value: Signal<Out, Bits<64>>,
    counts: Vec<DFF<Bits<64>>>,
    window: Vec<DFF<Bits<64>>>,
}

impl Counters {
    /// One counter for each name of [`COUNTERS`].
    pub fn new() -> Self {
        Self {
            counts: COUNTERS.iter().map(|_| DFF::default()).collect(),
            window: COUNTERS.iter().map(|_| DFF::default()).collect(),
            ..Self::default()
        }
    }
}

impl Logic for Counters {
    #[hdl]
    fn update(&mut self) {
        let mut value = bits::<64>(0);
        for i in 0..self.counts.len() {
            dff_setup!(self, clk, counts[i], window[i]);
            if self.pulses.val().get_bit(i) {
                self.counts[i].d.next = self.counts[i].q.val() + bits::<64>(1);
            }
            if self.latch.val() {
                self.window[i].d.next = self.counts[i].q.val();
            }
            if self.select.val() == bits::<5>(i as u64) {
                value = self.window[i].q.val();
            }
            if self.rst.val() {
                self.counts[i].d.next = bits::<64>(0);
                self.window[i].d.next = bits::<64>(0);
            }
        }
        self.value.next = value;
    }
}
