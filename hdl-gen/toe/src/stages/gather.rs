//! Gather: merges the same stream of several units into one, request by request.
//!
//! ```text
//!  s[0] ─►┐             ┌─────────────────┐
//!  s[1] ─►┤ round robin │                 │
//!   …     │ by request ─►  StreamRegister  ├─► m
//!  s[n] ─►┘             └─────────────────┘
//! ```
//!
//! Words between two with `last` belong together and are never interleaved with those of
//! another unit. The grant rotates behind the unit served last and moves only when a word
//! moves. Latency 1 cycle, initiation interval 1.

use crate::stages::turns::Turns;
use hallux_hdl::prelude::*;

/// See the [module](self).
#[derive(LogicBlock)]
pub struct Gather<T: Flat> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high.
    pub rst: Signal<In, Bit>,
    /// The units' words.
    pub s: Vec<StreamSink<T>>,
    /// The word of that unit is the last of its request.
    pub last: Vec<Signal<In, Bit>>,
    /// All words.
    pub m: StreamSource<T>,
    /// Nothing is held and no request is half through.
    pub idle: Signal<Out, Bit>,
    out: StreamRegister<T>,
    turns: Turns,
}

impl<T: Flat> Gather<T> {
    /// Merges `units` streams, 1 to 16.
    pub fn new(units: usize) -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: (0..units).map(|_| Default::default()).collect(),
            last: (0..units).map(|_| Default::default()).collect(),
            m: Default::default(),
            idle: Default::default(),
            out: Default::default(),
            turns: Turns::new(units),
        }
    }
}

impl<T: Flat> Logic for Gather<T> {
    #[hdl]
    fn update(&mut self) {
        self.out.clk.next = self.clk.val();
        self.out.rst.next = self.rst.val();
        StreamSource::<T>::link(&mut self.m, &mut self.out.m);

        let mut request = bits::<16>(0);
        for i in 0..self.s.len() {
            request.set_bits::<1>(i, bit(self.s[i].valid.val()));
        }
        self.turns.clk.next = self.clk.val();
        self.turns.rst.next = self.rst.val();
        self.turns.request.next = request;
        let turn = self.turns.turn.val();
        let picked = request & turn;
        let free = self.out.s.ready.val();
        let mut word = self.s[0].data.val();
        let mut ends = self.last[0].val();
        for i in 0..self.s.len() {
            if picked.get_bit(i) {
                word = self.s[i].data.val();
                ends = self.last[i].val();
            }
            self.s[i].ready.next = free & turn.get_bit(i);
        }
        self.out.s.data.next = word;
        self.out.s.valid.next = picked.any();
        self.turns.moves.next = picked.any() & free;
        self.turns.ends.next = ends;
        self.idle.next = !self.turns.held.val() & !self.out.m.valid.val();
    }
}
