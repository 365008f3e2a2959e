//! A memory of intervals: those of every connection, a slot beside the other.

use super::intervals::{Held, Slots};
use hallux_hdl::prelude::*;

/// See the [module](self).
#[derive(LogicBlock, Default)]
pub struct Bank {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// The connection whose intervals are asked for.
    pub read: Signal<In, Bits<16>>,
    /// Those that were asked for one clock ago, with what was written in that clock.
    pub answer: Signal<Out, Slots>,
    /// Write `data`.
    pub write: Signal<In, Bit>,
    /// To this connection.
    pub at: Signal<In, Bits<16>>,
    /// Its new intervals.
    pub data: Signal<In, Slots>,
    /// The answer is that of the memory.
    pub idle: Signal<Out, Bit>,
    slots: Vec<Ram<Held, 16>>,
    last: DFF<Slots>,
    /// What was written in the last clock is what was read.
    missed: DFF<Bit>,
}

impl Bank {
    /// A memory for `connections` connections with `slots` intervals (1, 2 or 4) each; other slots
    /// stay empty.
    pub fn new(connections: usize, slots: usize) -> Self {
        Self {
            slots: (0..slots).map(|_| Ram::new(connections)).collect(),
            ..Default::default()
        }
    }
}

impl Logic for Bank {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, last, missed);
        let data = self.data.val();
        let writes = self.write.val();
        let mut stored = Slots::default();
        for k in 0..self.slots.len() {
            self.slots[k].clk.next = self.clk.val();
            self.slots[k].read_address.next = self.read.val();
            self.slots[k].write_enable.next = writes;
            self.slots[k].write_address.next = self.at.val();
            let held = self.slots[k].read_data.val();
            if k == 0 {
                stored.a = held;
                self.slots[k].write_data.next = data.a;
            }
            if k == 1 {
                stored.b = held;
                self.slots[k].write_data.next = data.b;
            }
            if k == 2 {
                stored.c = held;
                self.slots[k].write_data.next = data.c;
            }
            if k == 3 {
                stored.d = held;
                self.slots[k].write_data.next = data.d;
            }
        }
        self.missed.d.next = writes & (self.at.val() == self.read.val());
        if writes {
            self.last.d.next = data;
        }
        self.answer.next = if self.missed.q.val() {
            self.last.q.val()
        } else {
            stored
        };
        self.idle.next = !self.missed.q.val();
        if self.rst.val() {
            self.missed.d.next = false;
        }
    }
}
