//! One's-complement sum of a 64-byte beat (RFC 1071), pipelined.
//!
//! ```text
//!          ┌──────────┐   ┌───────────┐   ┌──────────┐
//!  data ──►│ mask by  ├──►│ 8 sums of ├─►▐│ sum of 8 ├─►▐ sum
//!  keep ──►│ keep     │   │ 4 words   │  ▐└──────────┘  ▐
//!          └──────────┘   └───────────┘
//! ```
//!
//! Byte 0 is the high octet of word 0, as on the wire; bytes whose `keep` bit is clear
//! count as zero. `sum` is not folded: 21 bits hold 32 words. Latency 2 cycles,
//! initiation interval 1; there is no handshake, the surrounding stage delays its own
//! valid bits.

use crate::prelude::*;

/// Sum of the 16-bit words of a 512-bit beat. See the [module](self).
#[derive(LogicBlock, Default)]
pub struct ChecksumBeat512 {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Beat, byte 0 in bits 7..0.
    pub data: Signal<In, Bits<512>>,
    /// One bit a byte.
    pub keep: Signal<In, Bits<64>>,
    /// Sum of the words two cycles earlier.
    pub sum: Signal<Out, Bits<21>>,
    quads: [DFF<Bits<21>>; 8],
    total: DFF<Bits<21>>,
}

#[hdl_fn]
fn octet(data: Bits<512>, keep: Bits<64>, index: usize) -> Bits<8> {
    if keep.get_bit(index) {
        data.get_bits::<8>(8 * index)
    } else {
        bits::<8>(0)
    }
}

#[hdl_fn]
fn word(data: Bits<512>, keep: Bits<64>, index: usize) -> Bits<21> {
    bit_cast::<21, 16>(cat::<8, 8, 16>(
        octet(data, keep, 2 * index),
        octet(data, keep, 2 * index + 1),
    ))
}

impl Logic for ChecksumBeat512 {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, total);
        let data = self.data.val();
        let keep = self.keep.val();
        for i in 0..8 {
            self.quads[i].clk.next = self.clk.val();
            self.quads[i].d.next = (word(data, keep, 4 * i) + word(data, keep, 4 * i + 1))
                + (word(data, keep, 4 * i + 2) + word(data, keep, 4 * i + 3));
        }
        self.total.d.next = ((self.quads[0].q.val() + self.quads[1].q.val())
            + (self.quads[2].q.val() + self.quads[3].q.val()))
            + ((self.quads[4].q.val() + self.quads[5].q.val())
                + (self.quads[6].q.val() + self.quads[7].q.val()));
        self.sum.next = self.total.q.val();
    }
}
