//! One's-complement sum of a beat (RFC 1071), pipelined.
//!
//! ```text
//!          ┌──────────┐   ┌───────────┐   ┌──────────┐
//!  data ──►│ mask by  ├──►│ sums of 4 ├─►▐│ sum of   ├─►▐ sum
//!  keep ──►│ keep     │   │ words     │  ▐│ the sums │  ▐
//!          └──────────┘   └───────────┘   └──────────┘
//! ```
//!
//! Byte 0 is the high octet of word 0, as on the wire; bytes whose `keep` bit is clear
//! count as zero. `sum` is not folded: 21 bits hold 32 words. Latency 2 cycles,
//! initiation interval 1; there is no handshake, the surrounding stage delays its own
//! valid bits.

use crate::prelude::*;

/// Words that the first stage adds up.
const GROUP: usize = 4;

/// Sum of the 16-bit words of a beat of `N` bits, in `S` bits; `K` is `N / 8`. See the
/// [module](self).
#[derive(LogicBlock)]
pub struct ChecksumBeat<const N: usize, const K: usize, const S: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Beat, byte 0 in bits 7..0.
    pub data: Signal<In, Bits<N>>,
    /// One bit a byte.
    pub keep: Signal<In, Bits<K>>,
    /// Sum of the words two cycles earlier.
    pub sum: Signal<Out, Bits<S>>,
    groups: Vec<DFF<Bits<S>>>,
    /// A tree of the groups: node `n` adds nodes `2n` and `2n + 1`, the leaves come last.
    partial: Vec<Signal<Local, Bits<S>>>,
    total: DFF<Bits<S>>,
}

/// The tree for a bus of 512 bits.
pub type ChecksumBeat512 = ChecksumBeat<512, 64, 21>;

impl<const N: usize, const K: usize, const S: usize> Default for ChecksumBeat<N, K, S> {
    /// A tree.
    ///
    /// # Panics
    /// If `N` is not a multiple of 64, `K` not `N / 8`, or `S` bits cannot hold the sum.
    fn default() -> Self {
        let words = N / 16;
        assert!(
            N > 0 && N.is_multiple_of(16 * GROUP) && K == N / 8,
            "a checksum of {N} bits with {K} bits of keep: take a multiple of 64, and an eighth of it"
        );
        assert!(
            (17..64).contains(&S) && (words as u64) * 0xffff < 1 << S,
            "the sum of {words} words needs more than {S} bits"
        );
        Self {
            clk: Signal::default(),
            data: Signal::default(),
            keep: Signal::default(),
            sum: Signal::default(),
            groups: (0..words / GROUP).map(|_| DFF::default()).collect(),
            partial: vec![Signal::default(); 2 * (words / GROUP)],
            total: DFF::default(),
        }
    }
}

#[hdl_fn]
fn octet<const N: usize, const K: usize>(data: Bits<N>, keep: Bits<K>, index: usize) -> Bits<8> {
    if keep.get_bit(index) {
        data.get_bits::<8>(8 * index)
    } else {
        bits::<8>(0)
    }
}

#[hdl_fn]
fn word<const N: usize, const K: usize, const S: usize>(
    data: Bits<N>,
    keep: Bits<K>,
    index: usize,
) -> Bits<S> {
    bit_cast::<S, 16>(cat::<8, 8, 16>(
        octet::<N, K>(data, keep, 2 * index),
        octet::<N, K>(data, keep, 2 * index + 1),
    ))
}

impl<const N: usize, const K: usize, const S: usize> Logic for ChecksumBeat<N, K, S> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, total);
        let data = self.data.val();
        let keep = self.keep.val();
        let leaves = self.groups.len();
        for i in 0..self.groups.len() {
            self.groups[i].clk.next = self.clk.val();
            let low =
                word::<N, K, S>(data, keep, GROUP * i) + word::<N, K, S>(data, keep, GROUP * i + 1);
            let high = word::<N, K, S>(data, keep, GROUP * i + 2)
                + word::<N, K, S>(data, keep, GROUP * i + 3);
            self.groups[i].d.next = low + high;
            self.partial[leaves + i].next = self.groups[i].q.val();
        }
        for i in (1..leaves).rev() {
            self.partial[i].next = self.partial[2 * i].val() + self.partial[2 * i + 1].val();
        }
        self.total.d.next = self.partial[1].val();
        self.sum.next = self.total.q.val();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "the sum of 64 words needs more than 21 bits")]
    fn the_sum_fits() {
        ChecksumBeat::<1024, 128, 21>::default();
    }
}
