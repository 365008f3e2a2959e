//! The walk over the TCP options, eight bytes a step.
//!
//! Options are kind-length-value records of any length, so where one starts depends on
//! all before it. Instead of a chain of 40 position counters, a bit a byte says "an
//! option starts here"; there is never more than one. A one-byte option (NOP) passes the bit
//! to its neighbour; every longer option that the fast path knows is at least ten bytes long
//! and passes it beyond the step. So within a step the bit only runs over NOPs, which is
//! what the carry of an addition does: the bit added to the mask of the NOPs comes out behind
//! them. What each byte would mean if an option started there is [`Kinds`], found in the
//! step before. An option that the fast path does not know passes nothing on, and the
//! walk never becomes complete: the frame goes to the control plane.

use crate::channels::{Sack, SackBlock};
use crate::stages::octets::network32;
use hallux_hdl::prelude::*;

/// Steps that cover the 40 bytes of the longest options (data offset 15).
pub const WALK_STEPS: usize = 5;

/// End of option list (RFC 9293 §3.2).
const EOL: u64 = 0;
/// No operation (RFC 9293 §3.2).
const NOP: u64 = 1;
/// Selective acknowledgement, 1 to 4 blocks (RFC 2018 §3).
const SACK: u64 = 5;
/// Timestamps (RFC 7323 §3.2).
const TIMESTAMPS: u64 = 8;

/// What the next eight bytes would be if an option started at them: bit i for byte i. Clear
/// where there are no options left.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Kinds {
    /// End of option list.
    pub eol: Bits<8>,
    /// No operation.
    pub nop: Bits<8>,
    /// Timestamps of the right length.
    pub timestamps: Bits<8>,
    /// SACK of any length.
    pub sack: Bits<8>,
    /// A known option of 10 bytes.
    pub ten: Bits<8>,
    /// SACK with 2 blocks.
    pub two_blocks: Bits<8>,
    /// SACK with 3 blocks.
    pub three_blocks: Bits<8>,
    /// SACK with 4 blocks.
    pub four_blocks: Bits<8>,
}

/// A walk between two steps.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct OptionWalk {
    /// Option bytes not yet walked over, the first in bits 7..0.
    pub bytes: Bits<320>,
    /// How many of them are options: a multiple of 4.
    pub left: Bits<6>,
    /// Bit i: an option starts at byte i. At most one.
    pub starts: Bits<34>,
    /// The first eight of `bytes`.
    pub kinds: Kinds,
    /// The options ended within an earlier step.
    pub closed: Bit,
    /// They ended where an option ends, or with an EOL.
    pub complete: Bit,
    /// A timestamps option was found.
    pub ts_present: Bit,
    /// More than one was found.
    pub ts_repeated: Bit,
    /// TSval.
    pub ts_val: Bits<32>,
    /// TSecr.
    pub ts_ecr: Bits<32>,
    /// The last SACK option, up to three blocks of it; no blocks if there is none.
    pub sack: Sack,
    /// Bit i: its second block lies where it would if the option started at byte i.
    pub second_at: Bits<8>,
    /// Likewise, its third.
    pub third_at: Bits<8>,
}

/// Bytes that tell the kinds of eight: the last one's length lies behind them.
pub const KIND_BITS: usize = 72;

/// The kinds of eight bytes: the first four are options if there are `any` left, the others if
/// there are some `beyond_four` bytes.
#[hdl_fn]
pub fn kinds(bytes: Bits<KIND_BITS>, any: Bit, beyond_four: Bit) -> Kinds {
    let mut kinds = Kinds::default();
    for i in 0..8 {
        let in_options = if i < 4 { any } else { beyond_four };
        let kind = bytes.get_bits::<8>(8 * i);
        let length = bytes.get_bits::<8>(8 * i + 8);
        let timestamps = in_options & (kind == bits::<8>(TIMESTAMPS)) & (length == bits::<8>(10));
        let sack = in_options & (kind == bits::<8>(SACK));
        kinds
            .eol
            .set_bits(i, bit(in_options & (kind == bits::<8>(EOL))));
        kinds
            .nop
            .set_bits(i, bit(in_options & (kind == bits::<8>(NOP))));
        kinds.timestamps.set_bits(i, bit(timestamps));
        kinds.sack.set_bits(i, bit(sack));
        kinds
            .ten
            .set_bits(i, bit(timestamps | (sack & (length == bits::<8>(10)))));
        kinds
            .two_blocks
            .set_bits(i, bit(sack & (length == bits::<8>(18))));
        kinds
            .three_blocks
            .set_bits(i, bit(sack & (length == bits::<8>(26))));
        kinds
            .four_blocks
            .set_bits(i, bit(sack & (length == bits::<8>(34))));
    }
    kinds
}

/// The walk at its beginning. `words` is the data offset less 5.
#[hdl_fn]
pub fn start_walk(bytes: Bits<320>, words: Bits<4>, kinds: Kinds) -> OptionWalk {
    OptionWalk {
        bytes,
        left: cat::<4, 2, 6>(words, bits::<2>(0)),
        starts: bits::<34>(1),
        kinds,
        closed: false,
        complete: false,
        ts_present: false,
        ts_repeated: false,
        ts_val: bits::<32>(0),
        ts_ecr: bits::<32>(0),
        sack: Sack::default(),
        second_at: bits::<8>(0),
        third_at: bits::<8>(0),
    }
}

/// All steps walked: the options are known and well formed, timestamps at most once.
#[hdl_fn]
pub fn walk_accepts(walk: OptionWalk) -> Bit {
    (walk.complete | (!walk.closed & walk.starts.get_bit(0))) & !walk.ts_repeated
}

/// One step of the walk: eight bytes, one clock.
#[derive(LogicBlock, Default)]
pub struct WalkStep {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Take `walk` at the next clock edge.
    pub enable: Signal<In, Bit>,
    /// The walk before the step.
    pub walk: Signal<In, OptionWalk>,
    /// The walk behind it, one clock later.
    pub walked: Signal<Out, OptionWalk>,
    stepped: DFF<OptionWalk>,
}

impl Logic for WalkStep {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, stepped);
        if self.enable.val() {
            self.stepped.d.next = walk_step(self.walk.val());
        }
        self.walked.next = self.stepped.q.val();
    }
}

/// Walks over eight bytes.
#[hdl_fn]
fn walk_step(walk: OptionWalk) -> OptionWalk {
    let kinds = walk.kinds;
    let words = walk.left.get_bits::<4>(2);
    let beyond_four = words.get_bits::<3>(1).any();
    // The start, behind the NOPs; bit 8 is the first byte of the next step.
    let behind = bit_cast::<9, 8>(walk.starts.get_bits::<8>(0)) + bit_cast::<9, 8>(kinds.nop);
    let here = behind.get_bits::<8>(0);
    let mut next = walk;

    let at_end = (!words.any() & here.get_bit(0)) | ((words == bits::<4>(1)) & here.get_bit(4));
    next.complete = walk.complete | (here & kinds.eol).any() | (!walk.closed & at_end);
    next.closed = walk.closed | !beyond_four;
    let left = if beyond_four {
        words - bits::<4>(2)
    } else {
        bits::<4>(0)
    };
    next.left = cat::<4, 2, 6>(left, bits::<2>(0));
    next.bytes = walk.bytes >> 64;
    next.kinds = kinds_behind(walk.bytes, left);
    next.starts = bit_cast::<34, 26>(walk.starts.get_bits::<26>(8))
        | bit_cast::<34, 1>(behind.get_bits::<1>(8))
        | (bit_cast::<34, 8>(here & kinds.ten) << 2)
        | (bit_cast::<34, 8>(here & kinds.two_blocks) << 10)
        | (bit_cast::<34, 8>(here & kinds.three_blocks) << 18)
        | (bit_cast::<34, 8>(here & kinds.four_blocks) << 26);

    // The words of the option that starts here, if it is one of the two. The further blocks of
    // a SACK option lie a step each behind its first: at the same place of the next bytes.
    let sacks = here & kinds.sack;
    let blocks = sacks | walk.second_at | walk.third_at;
    let stamps = here & kinds.timestamps;
    let mut block = SackBlock::default();
    let mut ts_val = bits::<32>(0);
    let mut ts_ecr = bits::<32>(0);
    for i in 0..8 {
        let first = network32(walk.bytes.get_bits::<32>(8 * i + 16));
        let second = network32(walk.bytes.get_bits::<32>(8 * i + 48));
        if blocks.get_bit(i) {
            block.left = block.left | first;
            block.right = block.right | second;
        }
        if stamps.get_bit(i) {
            ts_val = ts_val | first;
            ts_ecr = ts_ecr | second;
        }
    }
    let more = sacks & (kinds.two_blocks | kinds.three_blocks | kinds.four_blocks);
    let third = (here & (kinds.three_blocks | kinds.four_blocks)).any();
    next.second_at = more;
    next.third_at = if walk.sack.count == bits::<2>(3) {
        walk.second_at
    } else {
        bits::<8>(0)
    };
    if sacks.any() {
        next.sack.first = block;
        next.sack.count = cat::<1, 1, 2>(bit(more.any()), bit(third | !more.any()));
    }
    if walk.second_at.any() {
        next.sack.second = block;
    }
    if walk.third_at.any() {
        next.sack.third = block;
    }
    next.ts_present = walk.ts_present | stamps.any();
    next.ts_repeated = walk.ts_repeated | (walk.ts_present & stamps.any());
    if stamps.any() {
        next.ts_val = ts_val;
        next.ts_ecr = ts_ecr;
    }
    next
}

/// The kinds of the eight bytes behind the next eight.
#[hdl_fn]
fn kinds_behind(bytes: Bits<320>, words: Bits<4>) -> Kinds {
    kinds(
        bytes.get_bits::<KIND_BITS>(64),
        words.any(),
        words.get_bits::<3>(1).any(),
    )
}
