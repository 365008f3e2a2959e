//! Fair choice between requesters.
//!
//! ```text
//!              ┌────────────────────┐
//!              │ lowest bit above   ├──► grant     one-hot
//!  request ───►│ the one served     ├──► index
//!  advance ───►│ last, else lowest  ├──► granted
//!              └────────────────────┘
//! ```
//!
//! The grant is combinational. The turn moves past a requester only when its grant is used
//! (`advance`), so that nothing changes while all is idle.

use crate::prelude::*;

/// The lowest set bit of `requests`, alone; zero if none is set.
#[hdl_fn]
pub fn lowest_one<const N: usize>(requests: Bits<N>) -> Bits<N> {
    requests & (!requests + bits::<N>(1))
}

/// The bits of a vector whose number has bit `level` set: `0xaa…`, `0xcc…`, `0xf0…`.
fn numbered<const N: usize>(level: usize) -> Bits<N> {
    let mut mask = Bits::<N>::default();
    for i in 0..N {
        mask = mask.replace_bit(i, i >> level & 1 == 1);
    }
    mask
}

/// The number of the set bit of a one-hot vector of `N` bits, in `B` bits; zero if none is
/// set.
#[hdl_fn]
pub fn one_hot_index<const N: usize, const B: usize>(grant: Bits<N>) -> Bits<B> {
    let mut index = bits::<B>(0);
    for level in 0..B {
        let mask = numbered::<N>(level);
        index.set_bits::<1>(level, bit((grant & mask).any()));
    }
    index
}

/// Grants one of up to 16 requesters, each in turn. See the [module](self).
#[derive(LogicBlock)]
pub struct RoundRobin {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: requester 0 is next.
    pub rst: Signal<In, Bit>,
    /// One bit a requester; bits beyond the count are ignored.
    pub request: Signal<In, Bits<16>>,
    /// The grant of this cycle is used.
    pub advance: Signal<In, Bit>,
    /// The chosen requester, one-hot; zero if nobody asks.
    pub grant: Signal<Out, Bits<16>>,
    /// The number of the chosen requester.
    pub index: Signal<Out, Bits<4>>,
    /// Somebody asks.
    pub granted: Signal<Out, Bit>,
    /// Requesters above the one served last.
    later: DFF<Bits<16>>,
    _requesters: Bits<16>,
}

impl RoundRobin {
    /// An arbiter for `count` requesters.
    ///
    /// # Panics
    /// If `count` is not 1 to 16.
    pub fn new(count: usize) -> Self {
        assert!(
            (1..=16).contains(&count),
            "an arbiter has 1 to 16 requesters, not {count}"
        );
        Self {
            clk: Signal::default(),
            rst: Signal::default(),
            request: Signal::default(),
            advance: Signal::default(),
            grant: Signal::default(),
            index: Signal::default(),
            granted: Signal::default(),
            later: DFF::default(),
            _requesters: bits((1 << count) - 1),
        }
    }
}

impl Default for RoundRobin {
    /// An arbiter for all 16 requesters.
    fn default() -> Self {
        Self::new(16)
    }
}

impl Logic for RoundRobin {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, later);
        let request = self.request.val() & self._requesters;
        let above = request & self.later.q.val();
        let pool = if above.any() { above } else { request };
        let grant = lowest_one::<16>(pool);
        self.grant.next = grant;
        self.index.next = one_hot_index::<16, 4>(grant);
        self.granted.next = request.any();
        if self.advance.val() & request.any() {
            self.later.d.next = !((grant - bits::<16>(1)) | grant);
        }
        if self.rst.val() {
            self.later.d.next = bits::<16>(0);
        }
    }
}
