//! Counters that stop or wrap at a limit.
//!
//! ```text
//!          ┌────────────────────┐                 ┌────────────────────┐
//!  up ────►│ 0 … maximum, stays ├──► value  step ►│ 0 … modulus - 1,   ├──► value
//!  down ──►│ at both ends       ├──► at_zero      │ then 0             ├──► wraps
//!          └────────────────────┴──► at_maximum   └────────────────────┘
//! ```
//!
//! Latency 1, initiation interval 1: `value` leaves from a register. Both change only when
//! told to.

use crate::prelude::*;

/// Counts between 0 and a maximum and stays there. See the [module](self).
#[derive(LogicBlock)]
pub struct SaturatingCounter<const W: usize> {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: zero.
    pub rst: Signal<In, Bit>,
    /// Adds one; with `down` in the same cycle nothing changes.
    pub up: Signal<In, Bit>,
    /// Takes one away.
    pub down: Signal<In, Bit>,
    /// The count.
    pub value: Signal<Out, Bits<W>>,
    /// The count is zero.
    pub at_zero: Signal<Out, Bit>,
    /// The count is at its maximum.
    pub at_maximum: Signal<Out, Bit>,
    count: DFF<Bits<W>>,
    _maximum: u64,
}

impl<const W: usize> SaturatingCounter<W> {
    /// A counter up to `maximum`.
    ///
    /// # Panics
    /// If `maximum` is zero or needs more than `W` bits.
    pub fn new(maximum: u64) -> Self {
        assert!(
            maximum > 0 && fits::<W>(maximum),
            "the maximum of a {W}-bit counter is 1 to 2^{W} - 1, not {maximum}"
        );
        Self {
            clk: Signal::default(),
            rst: Signal::default(),
            up: Signal::default(),
            down: Signal::default(),
            value: Signal::default(),
            at_zero: Signal::default(),
            at_maximum: Signal::default(),
            count: DFF::default(),
            _maximum: maximum,
        }
    }
}

/// Whether `value` is a number of `W` bits.
fn fits<const W: usize>(value: u64) -> bool {
    W >= 64 || value >> W == 0
}

impl<const W: usize> Logic for SaturatingCounter<W> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, count);
        let at_zero = !self.count.q.val().any();
        let at_maximum = self.count.q.val() == bits::<W>(self._maximum);
        self.value.next = self.count.q.val();
        self.at_zero.next = at_zero;
        self.at_maximum.next = at_maximum;
        if self.up.val() & !self.down.val() & !at_maximum {
            self.count.d.next = self.count.q.val() + bits::<W>(1);
        } else if self.down.val() & !self.up.val() & !at_zero {
            self.count.d.next = self.count.q.val() - bits::<W>(1);
        }
        if self.rst.val() {
            self.count.d.next = bits::<W>(0);
        }
    }
}

/// Counts from 0 to a modulus less one and starts again. See the [module](self).
#[derive(LogicBlock)]
pub struct WrappingCounter<const W: usize> {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: zero.
    pub rst: Signal<In, Bit>,
    /// Moves on by one.
    pub step: Signal<In, Bit>,
    /// The count.
    pub value: Signal<Out, Bits<W>>,
    /// This step leads back to zero.
    pub wraps: Signal<Out, Bit>,
    count: DFF<Bits<W>>,
    _last: u64,
}

impl<const W: usize> WrappingCounter<W> {
    /// A counter of `modulus` values.
    ///
    /// # Panics
    /// If `modulus` is less than 2 or its last value needs more than `W` bits.
    pub fn new(modulus: u64) -> Self {
        assert!(
            modulus > 1 && fits::<W>(modulus - 1),
            "a {W}-bit counter has 2 to 2^{W} values, not {modulus}"
        );
        Self {
            clk: Signal::default(),
            rst: Signal::default(),
            step: Signal::default(),
            value: Signal::default(),
            wraps: Signal::default(),
            count: DFF::default(),
            _last: modulus - 1,
        }
    }
}

impl<const W: usize> Logic for WrappingCounter<W> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, count);
        let last = self.count.q.val() == bits::<W>(self._last);
        self.value.next = self.count.q.val();
        self.wraps.next = self.step.val() & last;
        if self.step.val() {
            self.count.d.next = if last {
                bits::<W>(0)
            } else {
                self.count.q.val() + bits::<W>(1)
            };
        }
        if self.rst.val() {
            self.count.d.next = bits::<W>(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "the maximum of a 4-bit counter is 1 to 2^4 - 1, not 16")]
    fn a_maximum_fits_its_counter() {
        SaturatingCounter::<4>::new(16);
    }

    #[test]
    #[should_panic(expected = "a 4-bit counter has 2 to 2^4 values, not 17")]
    fn a_modulus_fits_its_counter() {
        WrappingCounter::<4>::new(16);
        WrappingCounter::<4>::new(17);
    }
}
