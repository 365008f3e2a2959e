//! Identifiers that are handed out and come back.
//!
//! ```text
//!        ┌──────┐   ┌────────────────┐
//!  s ───►│ FIFO ├──►│ all handed out │
//!        └──────┘   │ once?          ├──► m
//!       0, 1, 2 … ─►│                │
//!                   └────────────────┘
//! ```
//!
//! After reset `m` offers 0, 1, … up to the last one, then those that came back on `s`,
//! oldest first. Latency from `s` to `m` 2 cycles, initiation interval 1. Nothing has to be
//! filled at start, so the list is ready in the first cycle. An assertion stops the
//! simulation when more identifiers come back than are out.

use super::{Assert, Fifo};
use crate::prelude::*;

/// Hands out the numbers below a count. See the [module](self).
#[derive(LogicBlock)]
pub struct FreeList {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: all are free.
    pub rst: Signal<In, Bit>,
    /// Identifiers that come back.
    pub s: StreamSink<Bits<16>>,
    /// A free identifier.
    pub m: StreamSource<Bits<16>>,
    /// How many are free.
    pub free: Signal<Out, Bits<16>>,
    returned: Fifo<Bits<16>>,
    /// The first identifier that was never handed out.
    fresh: DFF<Bits<16>>,
    excess: Assert,
    _count: u64,
}

impl FreeList {
    /// A list of the identifiers 0 to `count - 1`.
    ///
    /// # Panics
    /// If `count` is not 2 to 65535.
    pub fn new(count: usize) -> Self {
        assert!(
            (2..=65535).contains(&count),
            "a free list has 2 to 65535 identifiers, not {count}"
        );
        Self {
            clk: Signal::default(),
            rst: Signal::default(),
            s: StreamSink::default(),
            m: StreamSource::default(),
            free: Signal::default(),
            returned: Fifo::new(count),
            fresh: DFF::default(),
            excess: Assert::new("more identifiers come back than are out"),
            _count: count as u64,
        }
    }
}

impl Logic for FreeList {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, fresh);
        self.returned.clk.next = self.clk.val();
        self.returned.rst.next = self.rst.val();
        self.excess.clk.next = self.clk.val();
        self.s.link(&mut self.returned.s);
        let has_fresh = self.fresh.q.val() != bits::<16>(self._count);
        self.m.valid.next = has_fresh | self.returned.m.valid.val();
        self.m.data.next = if has_fresh {
            self.fresh.q.val()
        } else {
            self.returned.m.data.val()
        };
        self.returned.m.ready.next = self.m.ready.val() & !has_fresh;
        if has_fresh & self.m.ready.val() {
            self.fresh.d.next = self.fresh.q.val() + bits::<16>(1);
        }
        let free = bits::<16>(self._count) - self.fresh.q.val() + self.returned.level.val();
        self.free.next = free;
        self.excess.holds.next =
            self.rst.val() | !self.s.valid.val() | (free != bits::<16>(self._count));
        if self.rst.val() {
            self.fresh.d.next = bits::<16>(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a free list has 2 to 65535 identifiers, not 65536")]
    fn identifiers_have_16_bits() {
        FreeList::new(65536);
    }
}
