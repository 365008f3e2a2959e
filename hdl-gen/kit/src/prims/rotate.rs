//! Moving the bytes of a beat.
//!
//! ```text
//!            ┌───────────────────────────────┐
//!  data ────►│ by 1 ► by 2 ► by 4 ► by 8 ► … ├──►▐ rotated
//!  bytes ───►│ one level of multiplexers each│   ▐
//!            └───────────────────────────────┘
//! ```
//!
//! The functions are combinational. [`ByteRotator`] has a register behind them: latency 1,
//! initiation interval 1, no handshake; `enable` is the clock enable of the register.

use crate::prelude::*;

/// Rotates right by whole bytes: byte `bytes` of `data` becomes byte 0.
///
/// `N` is 8 times 2 to the power of `B`: a level of multiplexers for each bit of `bytes`.
#[hdl_fn]
pub fn rotate_right<const N: usize, const B: usize>(data: Bits<N>, bytes: Bits<B>) -> Bits<N> {
    let mut rotated = data;
    for level in 0..B {
        let right = 8u64 << level;
        let left = N as u64 - right;
        if bytes.get_bit(level) {
            rotated = (rotated >> right) | (rotated << left);
        }
    }
    rotated
}

/// Rotates left by whole bytes: byte 0 of `data` becomes byte `bytes`. See
/// [`rotate_right`].
#[hdl_fn]
pub fn rotate_left<const N: usize, const B: usize>(data: Bits<N>, bytes: Bits<B>) -> Bits<N> {
    rotate_right::<N, B>(data, bits::<B>(0) - bytes)
}

/// [`rotate_right`] with a register behind it. See the [module](self).
#[derive(LogicBlock)]
pub struct ByteRotator<const N: usize, const B: usize> {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// The register takes the rotated beat; otherwise it holds.
    pub enable: Signal<In, Bit>,
    /// The beat, byte 0 in bits 7 to 0.
    pub data: Signal<In, Bits<N>>,
    /// Which byte becomes byte 0.
    pub bytes: Signal<In, Bits<B>>,
    /// The rotated beat, one cycle later.
    pub rotated: Signal<Out, Bits<N>>,
    held: DFF<Bits<N>>,
}

impl<const N: usize, const B: usize> Default for ByteRotator<N, B> {
    /// A rotator.
    ///
    /// # Panics
    /// If `N` is not 8 times 2 to the power of `B`.
    fn default() -> Self {
        assert!(
            N == 8 << B,
            "a beat of {N} bits does not have 2^{B} bytes, as many as {B} bits can number"
        );
        Self {
            clk: Signal::default(),
            enable: Signal::default(),
            data: Signal::default(),
            bytes: Signal::default(),
            rotated: Signal::default(),
            held: DFF::default(),
        }
    }
}

impl<const N: usize, const B: usize> Logic for ByteRotator<N, B> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, held);
        if self.enable.val() {
            self.held.d.next = rotate_right::<N, B>(self.data.val(), self.bytes.val());
        }
        self.rotated.next = self.held.q.val();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a beat of 512 bits does not have 2^5 bytes")]
    fn the_number_of_bytes_has_as_many_bits_as_it_needs() {
        ByteRotator::<512, 5>::default();
    }
}
