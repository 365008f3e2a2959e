//! The walk over the TCP options, eight bytes a step.
//!
//! Options are kind-length-value records of any length, so where one starts depends on
//! all before it. Instead of a chain of 40 position counters, a bit a byte says "an
//! option starts here". A one-byte option (NOP) passes the bit to its neighbour; every
//! longer option that the fast path knows is at least ten bytes long and passes it
//! beyond the step, so that within a step only the chain over eight NOPs is
//! combinational. An option that the fast path does not know passes nothing on, and the
//! walk never becomes complete: the frame goes to the control plane.

use crate::channels::SackBlock;
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

/// A walk between two steps.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct OptionWalk {
    /// Option bytes not yet walked over, the first in bits 7..0.
    pub bytes: Bits<320>,
    /// How many of them are options: a multiple of 4.
    pub left: Bits<6>,
    /// Bit i: an option starts at byte i.
    pub starts: Bits<34>,
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
    /// A SACK option was found.
    pub sack_present: Bit,
    /// The first block of the last one.
    pub sack: SackBlock,
}

/// The walk at its beginning. `words` is the data offset less 5.
#[hdl_fn]
pub fn start_walk(bytes: Bits<320>, words: Bits<4>) -> OptionWalk {
    OptionWalk {
        bytes,
        left: cat::<4, 2, 6>(words, bits::<2>(0)),
        starts: bits::<34>(1),
        closed: false,
        complete: false,
        ts_present: false,
        ts_repeated: false,
        ts_val: bits::<32>(0),
        ts_ecr: bits::<32>(0),
        sack_present: false,
        sack: SackBlock::default(),
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
    let mut starts = bit_cast::<42, 34>(walk.starts);
    let mut next = walk;
    let none_left = !walk.left.any();
    let beyond_four = walk.left.get_bits::<3>(3).any();
    for i in 0..8 {
        let in_options = if i < 4 { !none_left } else { beyond_four };
        let here = starts.get_bit(i) & in_options;
        let kind = walk.bytes.get_bits::<8>(8 * i);
        let length = walk.bytes.get_bits::<8>(8 * i + 8);
        let timestamps = here & (kind == bits::<8>(TIMESTAMPS)) & (length == bits::<8>(10));
        let sack = here & (kind == bits::<8>(SACK));
        if here & (kind == bits::<8>(EOL)) {
            next.complete = true;
        }
        if here & (kind == bits::<8>(NOP)) {
            starts.set_bits(i + 1, bits::<1>(1));
        }
        if timestamps | (sack & (length == bits::<8>(10))) {
            starts.set_bits(i + 10, bits::<1>(1));
        }
        if sack & (length == bits::<8>(18)) {
            starts.set_bits(i + 18, bits::<1>(1));
        }
        if sack & (length == bits::<8>(26)) {
            starts.set_bits(i + 26, bits::<1>(1));
        }
        if sack & (length == bits::<8>(34)) {
            starts.set_bits(i + 34, bits::<1>(1));
        }
        if sack {
            next.sack_present = true;
            next.sack = SackBlock {
                left: network32(walk.bytes.get_bits::<32>(8 * i + 16)),
                right: network32(walk.bytes.get_bits::<32>(8 * i + 48)),
            };
        }
        if timestamps {
            next.ts_present = true;
            next.ts_repeated = walk.ts_present;
            next.ts_val = network32(walk.bytes.get_bits::<32>(8 * i + 16));
            next.ts_ecr = network32(walk.bytes.get_bits::<32>(8 * i + 48));
        }
    }
    let at_end =
        (none_left & starts.get_bit(0)) | ((walk.left == bits::<6>(4)) & starts.get_bit(4));
    if !walk.closed & at_end {
        next.complete = true;
    }
    next.closed = walk.closed | !beyond_four;
    next.left = if beyond_four {
        walk.left - bits::<6>(8)
    } else {
        bits::<6>(0)
    };
    next.bytes = walk.bytes >> 64;
    next.starts = starts.get_bits::<34>(8);
    next
}
