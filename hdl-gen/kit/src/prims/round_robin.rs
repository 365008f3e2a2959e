//! Fair choice between requesters.

use crate::prelude::*;

/// The lowest set bit of `requests`, alone; zero if none is set.
#[hdl_fn]
pub fn lowest_one<const N: usize>(requests: Bits<N>) -> Bits<N> {
    requests & (!requests + bits::<N>(1))
}

/// The number of the set bit of a one-hot vector; zero if none is set.
#[hdl_fn]
pub fn one_hot_index(grant: Bits<16>) -> Bits<4> {
    let bit0 = (grant & bits::<16>(0xaaaa)).any();
    let bit1 = (grant & bits::<16>(0xcccc)).any();
    let bit2 = (grant & bits::<16>(0xf0f0)).any();
    let bit3 = (grant & bits::<16>(0xff00)).any();
    cat::<2, 2, 4>(
        cat::<1, 1, 2>(bit(bit3), bit(bit2)),
        cat::<1, 1, 2>(bit(bit1), bit(bit0)),
    )
}

/// Grants one of up to 16 requesters, each in turn.
///
/// The grant is combinational. The turn moves past a requester only when its
/// grant is used (`advance`), so that nothing changes while all is idle.
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
        self.index.next = one_hot_index(grant);
        self.granted.next = request.any();
        if self.advance.val() & request.any() {
            self.later.d.next = !((grant - bits::<16>(1)) | grant);
        }
        if self.rst.val() {
            self.later.d.next = bits::<16>(0);
        }
    }
}
