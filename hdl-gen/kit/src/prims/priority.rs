//! Choice by rank.
//!
//! ```text
//!              ┌──────────────┐
//!              │ lowest bit   ├──► grant     one-hot
//!  request ───►│ that is set  ├──► index
//!              │              ├──► granted
//!              └──────────────┘
//! ```
//!
//! Combinational. The ports are those of [`super::RoundRobin`] without its state, so the
//! two can be exchanged. Requester 0 always wins: the others may starve.

use super::{lowest_one, one_hot_index};
use crate::prelude::*;

/// Grants the first of up to 16 requesters that asks. See the [module](self).
#[derive(LogicBlock)]
pub struct PriorityArbiter {
    /// One bit a requester; bits beyond the count are ignored.
    pub request: Signal<In, Bits<16>>,
    /// The chosen requester, one-hot; zero if nobody asks.
    pub grant: Signal<Out, Bits<16>>,
    /// The number of the chosen requester.
    pub index: Signal<Out, Bits<4>>,
    /// Somebody asks.
    pub granted: Signal<Out, Bit>,
    _requesters: Bits<16>,
}

impl PriorityArbiter {
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
            request: Signal::default(),
            grant: Signal::default(),
            index: Signal::default(),
            granted: Signal::default(),
            _requesters: bits((1 << count) - 1),
        }
    }
}

impl Default for PriorityArbiter {
    /// An arbiter for all 16 requesters.
    fn default() -> Self {
        Self::new(16)
    }
}

impl Logic for PriorityArbiter {
    #[hdl]
    fn update(&mut self) {
        let request = self.request.val() & self._requesters;
        let grant = lowest_one::<16>(request);
        self.grant.next = grant;
        self.index.next = one_hot_index::<16, 4>(grant);
        self.granted.next = request.any();
    }
}
