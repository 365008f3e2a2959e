//! Drops the first bytes of a frame and closes the gap.
//!
//! ```text
//!             ┌────────┐       ┌───────┐   ┌──────┐
//!  s ────────►│ rotate ├──┬───►│ merge ├──►│ held ├──► m
//!  offset ───►│ right  │  │    │ bytes │   └──────┘
//!             └────────┘  ▼    └───▲───┘
//!                      ┌───────┐   │
//!                      │ carry ├───┘   what is left of the beat before
//!                      └───────┘
//! ```
//!
//! A frame is a run of beats up to one with `last`; all its beats but the last are full.
//! `offset` is read with the first one and is less than its bytes. The rest of the frame
//! leaves from byte 0 of a beat on, again in full beats but for the last.
//!
//! Latency 1 cycle from the beat that completes an output beat, initiation interval 1; a
//! frame whose rest needs as many beats as it came in costs one cycle more. No
//! combinational path but from `m_ready` to `s_ready`.

use super::{Assert, rotate_right};
use crate::prelude::*;

/// A beat of `N` bits with a count of its bytes in `C` bits.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct ByteBeat<const N: usize, const C: usize> {
    /// The bytes, byte 0 in bits 7 to 0.
    pub data: Bits<N>,
    /// How many there are, from byte 0 on.
    pub bytes: Bits<C>,
    /// The frame ends here.
    pub last: Bit,
}

/// Aligns frames to byte 0. `N` is 8 times 2 to the power of `B`, and `C` is `B + 1`. See
/// the [module](self).
#[derive(LogicBlock)]
pub struct ByteAligner<const N: usize, const B: usize, const C: usize> {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: drops what is held.
    pub rst: Signal<In, Bit>,
    /// Frames in.
    pub s: StreamSink<ByteBeat<N, C>>,
    /// Bytes to drop; counts in the first beat of a frame.
    pub offset: Signal<In, Bits<B>>,
    /// Frames out.
    pub m: StreamSource<ByteBeat<N, C>>,
    held: DFF<ByteBeat<N, C>>,
    held_valid: DFF<Bit>,
    /// The beat before, rotated.
    carry: DFF<Bits<N>>,
    /// Bytes of `carry` that are still to leave.
    left: DFF<Bits<C>>,
    /// Inside a frame: `offset` was read.
    inside: DFF<Bit>,
    dropped: DFF<Bits<B>>,
    /// The frame has come; `carry` holds its end.
    ending: DFF<Bit>,
    full: Assert,
    starts: Assert,
}

impl<const N: usize, const B: usize, const C: usize> Default for ByteAligner<N, B, C> {
    /// An aligner.
    ///
    /// # Panics
    /// If `N` is not 8 times 2 to the power of `B`, or `C` not `B + 1`.
    fn default() -> Self {
        assert!(
            N == 8 << B && C == B + 1,
            "a beat of {N} bits does not have 2^{B} bytes, counted in {C} bits"
        );
        Self {
            clk: Signal::default(),
            rst: Signal::default(),
            s: StreamSink::default(),
            offset: Signal::default(),
            m: StreamSource::default(),
            held: DFF::default(),
            held_valid: DFF::default(),
            carry: DFF::default(),
            left: DFF::default(),
            inside: DFF::default(),
            dropped: DFF::default(),
            ending: DFF::default(),
            full: Assert::new("a beat inside a frame is not full"),
            starts: Assert::new("the first beat of a frame ends within the bytes to drop"),
        }
    }
}

/// The lowest `count` bits set.
fn ones<const N: usize>(count: usize) -> Bits<N> {
    let mut mask = Bits::<N>::default();
    for i in 0..count {
        mask = mask.replace_bit(i, true);
    }
    mask
}

/// A mask of the lowest `bytes` bytes.
#[hdl_fn]
fn low_bytes<const N: usize, const B: usize, const C: usize>(bytes: Bits<C>) -> Bits<N> {
    let mut mask = bits::<N>(0);
    for level in 0..B {
        if bytes.get_bit(level) {
            mask = (mask << (8u64 << level)) | ones::<N>(8 << level);
        }
    }
    if bytes.get_bit(B) { ones::<N>(N) } else { mask }
}

impl<const N: usize, const B: usize, const C: usize> Logic for ByteAligner<N, B, C> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self, clk, held, held_valid, carry, left, inside, dropped, ending
        );
        self.full.clk.next = self.clk.val();
        self.starts.clk.next = self.clk.val();
        self.m.data.next = self.held.q.val();
        self.m.valid.next = self.held_valid.q.val();
        let free = self.m.ready.val() | !self.held_valid.q.val();
        let ending = self.ending.q.val();
        self.s.ready.next = free & !ending;
        let beat = self.s.data.val();
        let accept = self.s.valid.val() & free & !ending;
        let first = !self.inside.q.val();
        let width = bits::<C>(1u64 << B);

        let dropped = if first {
            self.offset.val()
        } else {
            self.dropped.q.val()
        };
        // The rotation puts the first bytes of the beat just above those of the carry.
        let rotated = rotate_right::<N, B>(beat.data, dropped);
        let kept = if first {
            bits::<C>(0)
        } else {
            self.left.q.val()
        };
        let below = low_bytes::<N, B, C>(kept);
        let merged = (self.carry.q.val() & below) | (rotated & !below);
        let gap = bit_cast::<C, B>(dropped);
        let spills = !first & (beat.bytes > gap);
        // A first beat has nothing to join and waits for the next one.
        let leaves = accept & (!first | beat.last);

        if free {
            self.held_valid.d.next = leaves | ending;
        }
        if leaves {
            self.held.d.next.data = merged;
            self.held.d.next.last = beat.last & !spills;
            self.held.d.next.bytes = if first {
                beat.bytes - gap
            } else if spills {
                width
            } else {
                kept + beat.bytes
            };
        }
        if accept {
            self.carry.d.next = rotated;
            self.dropped.d.next = dropped;
            self.left.d.next = if beat.last {
                beat.bytes - gap
            } else {
                width - gap
            };
            self.inside.d.next = !beat.last;
            self.ending.d.next = beat.last & spills;
        }
        if free & ending {
            self.held.d.next.data = self.carry.q.val();
            self.held.d.next.bytes = self.left.q.val();
            self.held.d.next.last = true;
            self.ending.d.next = false;
        }
        let quiet = self.rst.val() | !accept;
        self.full.holds.next = quiet | beat.last | (beat.bytes == width);
        self.starts.holds.next = quiet | !first | (beat.bytes > gap);
        if self.rst.val() {
            self.held_valid.d.next = false;
            self.inside.d.next = false;
            self.ending.d.next = false;
        }
    }
}
