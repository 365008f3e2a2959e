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
    held: DFF<Bit>,
    owner: DFF<Bits<4>>,
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
            held: Default::default(),
            owner: Default::default(),
        }
    }
}

impl<T: Flat> Logic for Gather<T> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, held, owner);
        self.out.clk.next = self.clk.val();
        self.out.rst.next = self.rst.val();
        StreamSource::<T>::link(&mut self.m, &mut self.out.m);

        // The first requester behind the last owner, else the first of all.
        let owner = self.owner.q.val();
        let mut pick = owner;
        if !self.held.q.val() {
            for i in (0..self.s.len()).rev() {
                if self.s[i].valid.val() {
                    pick = bits::<4>(i as u64);
                }
            }
            for i in (1..self.s.len()).rev() {
                if self.s[i].valid.val() & (owner < bits::<4>(i as u64)) {
                    pick = bits::<4>(i as u64);
                }
            }
        }
        let free = self.out.s.ready.val();
        let mut word = self.s[0].data.val();
        let mut valid = false;
        let mut ends = false;
        for i in 0..self.s.len() {
            let picked = pick == bits::<4>(i as u64);
            if picked {
                word = self.s[i].data.val();
                valid = self.s[i].valid.val();
                ends = self.last[i].val();
            }
            self.s[i].ready.next = free & picked;
        }
        self.out.s.data.next = word;
        self.out.s.valid.next = valid;
        if valid & free {
            self.owner.d.next = pick;
            self.held.d.next = !ends;
        }
        self.idle.next = !self.held.q.val() & !self.out.m.valid.val();
        if self.rst.val() {
            self.held.d.next = false;
            self.owner.d.next = bits::<4>(0);
        }
    }
}
