//! Credits of a receiver, counted by its sender.
//!
//! ```text
//!           ┌───────────────────────────────┐
//!  want ───►│ available ≥ want ?            ├──► enough
//!  take ───►│ available - want  (if take)   ├──► available
//!  give ───►│           + give              │
//!           └───────────────────────────────┘
//! ```
//!
//! `enough` answers `want` in the same cycle; `take` spends it. Credits that come back
//! with `give` count from the next cycle on. Initiation interval 1. Assertions stop the
//! simulation when credits are spent that are not there, or more come back than were spent.

use super::Assert;
use crate::prelude::*;

/// Counts credits. See the [module](self).
#[derive(LogicBlock)]
pub struct Credits {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: all credits are there.
    pub rst: Signal<In, Bit>,
    /// How many credits the next transfer costs.
    pub want: Signal<In, Bits<16>>,
    /// As many are there.
    pub enough: Signal<Out, Bit>,
    /// Spends `want` credits; only with `enough`.
    pub take: Signal<In, Bit>,
    /// How many credits come back in this cycle.
    pub give: Signal<In, Bits<16>>,
    /// How many are there.
    pub available: Signal<Out, Bits<16>>,
    count: DFF<Bits<16>>,
    spent: Assert,
    returned: Assert,
    _limit: u64,
}

impl Credits {
    /// `limit` credits, all there at first.
    ///
    /// # Panics
    /// If `limit` is not 1 to 65535.
    pub fn new(limit: usize) -> Self {
        assert!(
            (1..=65535).contains(&limit),
            "a credit counter has 1 to 65535 credits, not {limit}"
        );
        Self {
            clk: Signal::default(),
            rst: Signal::default(),
            want: Signal::default(),
            enough: Signal::default(),
            take: Signal::default(),
            give: Signal::default(),
            available: Signal::default(),
            count: DFF::default(),
            spent: Assert::new("credits are spent that are not there"),
            returned: Assert::new("more credits come back than were spent"),
            _limit: limit as u64,
        }
    }
}

impl Logic for Credits {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, count);
        self.spent.clk.next = self.clk.val();
        self.returned.clk.next = self.clk.val();
        let enough = self.count.q.val() >= self.want.val();
        self.enough.next = enough;
        self.available.next = self.count.q.val();
        let cost = if self.take.val() {
            self.want.val()
        } else {
            bits::<16>(0)
        };
        let left = self.count.q.val() - cost;
        self.count.d.next = left + self.give.val();
        self.spent.holds.next = self.rst.val() | !self.take.val() | enough;
        self.returned.holds.next =
            self.rst.val() | (self.give.val() <= bits::<16>(self._limit) - left);
        if self.rst.val() {
            self.count.d.next = bits::<16>(self._limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a credit counter has 1 to 65535 credits, not 0")]
    fn there_is_a_credit() {
        Credits::new(0);
    }
}
