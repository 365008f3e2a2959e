//! Tally: pulses of several groups as pulses of one.
//!
//! Groups may report an event of the same kind in the same cycle; a counter counts one a
//! cycle. What is too many waits. In the long run there is less than one event of each kind
//! a cycle, because all pass one bus.

use hallux_hdl::prelude::*;

/// Kinds of events.
const KINDS: usize = 7;

/// See the [module](self).
#[derive(LogicBlock)]
pub struct Tally {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high.
    pub rst: Signal<In, Bit>,
    /// Pulses of each group.
    pub s: Vec<Signal<In, Bits<7>>>,
    /// Pulses of all.
    pub m: Signal<Out, Bits<7>>,
    /// Nothing waits.
    pub idle: Signal<Out, Bit>,
    waiting: Vec<DFF<Bits<16>>>,
}

impl Tally {
    /// For `groups` groups.
    pub fn new(groups: usize) -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: (0..groups).map(|_| Default::default()).collect(),
            m: Default::default(),
            idle: Default::default(),
            waiting: (0..KINDS).map(|_| Default::default()).collect(),
        }
    }
}

impl Logic for Tally {
    #[hdl]
    fn update(&mut self) {
        for kind in 0..KINDS {
            dff_setup!(self, clk, waiting[kind]);
        }
        let mut pulses = bits::<7>(0);
        let mut rests = true;
        for kind in 0..KINDS {
            let waits = self.waiting[kind].q.val();
            let mut count = waits - bit_cast::<16, 1>(bit(waits.any()));
            for i in 0..self.s.len() {
                count = count + bit_cast::<16, 1>(self.s[i].val().get_bits::<1>(kind));
            }
            self.waiting[kind].d.next = count;
            pulses.set_bits(kind, bit(waits.any()));
            rests = rests & !waits.any();
            if self.rst.val() {
                self.waiting[kind].d.next = bits::<16>(0);
            }
        }
        self.m.next = pulses;
        self.idle.next = rests;
    }
}
