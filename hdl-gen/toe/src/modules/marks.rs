//! Marks: where in the TCP options of a segment the numbers of its connection stand.
//!
//! ```text
//!               ┌───────┐   ┌────────┐     ┌────────┐   ┌───────┐
//!  bytes, words │ kinds ├──►│ step 0 ├─ … ►│ step 3 ├──►│ marks ├──► found
//!               └───────┘   └────────┘     └────────┘   └───────┘
//! ```
//!
//! Finds TSval and TSecr (RFC 7323 §3.2) and the edges of SACK blocks (RFC 2018 §3), each 32 bits
//! that begin at any byte. As in [`parse`](crate::stages::parse), a bit a byte says that an
//! option starts there, and runs over NOPs in the carry of an addition; every other option that
//! is known here has ten bytes at least, so that it leaves the step of ten in which it
//! starts. Options that are not known, that do not fit, or come twice, make the segment not
//! `plain`: none of its marks mean anything then.
//!
//! Initiation interval 1, latency 6.

use hallux_hdl::prelude::*;

/// Bytes of the longest options (data offset 15).
pub const OPTION_BYTES: usize = 40;
/// Clocks from the bytes to the marks.
pub const MARKS_LATENCY: usize = STEPS + 2;
/// Bytes of a step: no more than the shortest option but NOP that is known.
const STEP: usize = 10;
const STEPS: usize = OPTION_BYTES / STEP;

/// Kinds of options.
const EOL: u64 = 0;
const NOP: u64 = 1;
const SACK: u64 = 5;
const TIMESTAMPS: u64 = 8;
/// Bytes of a timestamps option, and of a SACK option of one to four blocks.
const TIMESTAMPS_BYTES: usize = 10;
const SACK_BYTES: [usize; 4] = [10, 18, 26, 34];
/// What each byte means if an option starts there; clear where none can, because there are no
/// options or fewer bytes of them than it has.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct OptionKinds {
    /// End of option list.
    pub eol: Bits<40>,
    /// No operation.
    pub nop: Bits<40>,
    /// Timestamps.
    pub stamps: Bits<40>,
    /// SACK with one block.
    pub one: Bits<40>,
    /// With two.
    pub two: Bits<40>,
    /// With three.
    pub three: Bits<40>,
    /// With four.
    pub four: Bits<40>,
    /// Where the options end, if they end where the segment says: one bit. None if they would
    /// not fit into the frame.
    pub end: Bits<41>,
}

/// The options up to a step.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Walked {
    kinds: OptionKinds,
    /// An option starts here, in a later step. At most one bit.
    starts: Bits<41>,
    /// Where options other than NOP started, or their end was found.
    landed: Bits<40>,
    /// Their end was found.
    complete: Bit,
    stamped: Bit,
    stamps_at: Bits<2>,
    blocks: Bits<3>,
    blocks_at: Bits<2>,
    repeated: Bit,
}

/// Where the numbers are: bit i for 32 bits that begin with byte i of the options.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct OptionMarks {
    /// All options are known and whole, none but NOP comes twice.
    pub plain: Bit,
    /// TSval.
    pub value: Bits<40>,
    /// TSecr.
    pub echo: Bits<40>,
    /// Edges of SACK blocks.
    pub edge: Bits<40>,
    /// There are timestamps.
    pub stamped: Bit,
    /// The byte at which their option starts, modulo four.
    pub stamps_at: Bits<2>,
    /// SACK blocks.
    pub blocks: Bits<3>,
    /// The byte at which their option starts, modulo four.
    pub blocks_at: Bits<2>,
}

/// The kinds of all bytes, of which the first four times `words` are options.
#[hdl_fn]
fn option_kinds(bytes: Bits<320>, words: Bits<4>, fits: Bit) -> OptionKinds {
    let mut kinds = OptionKinds::default();
    for i in 0..OPTION_BYTES {
        let kind = bytes.get_bits::<8>(8 * i);
        let here = words > bits::<4>(i as u64 / 4);
        kinds
            .eol
            .set_bits(i, bit(here & fits & (kind == bits::<8>(EOL))));
        kinds.nop.set_bits(i, bit(here & (kind == bits::<8>(NOP))));
        if i + TIMESTAMPS_BYTES <= OPTION_BYTES {
            let length = bytes.get_bits::<8>(8 * i + 8);
            let ten = (words > bits::<4>((i as u64 + 9) / 4)) & (length == bits::<8>(10));
            let stamps = ten & (kind == bits::<8>(TIMESTAMPS));
            let one = ten & (kind == bits::<8>(SACK));
            kinds.stamps.set_bits(i, bit(stamps));
            kinds.one.set_bits(i, bit(one));
        }
        if i + SACK_BYTES[1] <= OPTION_BYTES {
            let length = bytes.get_bits::<8>(8 * i + 8);
            let all = words > bits::<4>((i as u64 + 17) / 4);
            let two = all & (kind == bits::<8>(SACK)) & (length == bits::<8>(18));
            kinds.two.set_bits(i, bit(two));
        }
        if i + SACK_BYTES[2] <= OPTION_BYTES {
            let length = bytes.get_bits::<8>(8 * i + 8);
            let all = words > bits::<4>((i as u64 + 25) / 4);
            let three = all & (kind == bits::<8>(SACK)) & (length == bits::<8>(26));
            kinds.three.set_bits(i, bit(three));
        }
        if i + SACK_BYTES[3] <= OPTION_BYTES {
            let length = bytes.get_bits::<8>(8 * i + 8);
            let all = words > bits::<4>((i as u64 + 33) / 4);
            let four = all & (kind == bits::<8>(SACK)) & (length == bits::<8>(34));
            kinds.four.set_bits(i, bit(four));
        }
    }
    for w in 0..OPTION_BYTES / 4 + 1 {
        kinds
            .end
            .set_bits(4 * w, bit(fits & (words == bits::<4>(w as u64))));
    }
    kinds
}

/// Walks over the ten bytes of step `step`.
#[hdl_fn]
fn walk(walked: Walked, step: usize) -> Walked {
    let from = step * STEP;
    let kinds = walked.kinds;
    let nops = kinds.nop.get_bits::<10>(from);
    // The start, behind the NOPs; bit 10 is the first byte of the next step.
    let behind = bit_cast::<11, 10>(walked.starts.get_bits::<10>(from)) + bit_cast::<11, 10>(nops);
    let here = behind.get_bits::<10>(0) & !nops;
    let ends = kinds.eol.get_bits::<10>(from) | kinds.end.get_bits::<10>(from);
    let stamps = here & kinds.stamps.get_bits::<10>(from);
    let one = here & kinds.one.get_bits::<10>(from);
    let two = here & kinds.two.get_bits::<10>(from);
    let three = here & kinds.three.get_bits::<10>(from);
    let four = here & kinds.four.get_bits::<10>(from);
    let sacks = one | two | three | four;
    // Bytes whose place modulo four has bit 0, and those in which it has bit 1.
    let odd = bits::<10>(0x2aa);
    let upper = bits::<10>(if from.is_multiple_of(4) { 0x0cc } else { 0x333 });
    let mut next = walked;
    let far = (bit_cast::<41, 1>(behind.get_bits::<1>(10)) << 10)
        | (bit_cast::<41, 10>(stamps | one) << 10)
        | (bit_cast::<41, 10>(two) << 18)
        | (bit_cast::<41, 10>(three) << 26)
        | (bit_cast::<41, 10>(four) << 34);
    next.starts = walked.starts | (far << from as u64);
    next.landed = walked.landed | (bit_cast::<40, 10>(here) << from as u64);
    next.complete = walked.complete | (here & ends).any();
    next.stamped = walked.stamped | stamps.any();
    next.stamps_at =
        walked.stamps_at | cat::<1, 1, 2>(bit((stamps & upper).any()), bit((stamps & odd).any()));
    next.blocks_at =
        walked.blocks_at | cat::<1, 1, 2>(bit((sacks & upper).any()), bit((sacks & odd).any()));
    next.blocks = walked.blocks
        | cat::<1, 2, 3>(
            bit(four.any()),
            cat::<1, 1, 2>(bit((two | three).any()), bit((one | three).any())),
        );
    next.repeated =
        walked.repeated | (walked.stamped & stamps.any()) | (walked.blocks.any() & sacks.any());
    next
}

/// The words of the options that were found.
#[hdl_fn]
fn option_marks(walked: Walked) -> OptionMarks {
    let kinds = walked.kinds;
    let landed = walked.landed;
    let stamps = landed & kinds.stamps;
    let more3 = landed & kinds.four;
    let more2 = more3 | (landed & kinds.three);
    let more1 = more2 | (landed & kinds.two);
    let all = more1 | (landed & kinds.one);
    OptionMarks {
        plain: (walked.complete | (walked.starts & kinds.end).get_bit(OPTION_BYTES))
            & !walked.repeated,
        value: stamps << 2,
        echo: stamps << 6,
        edge: (all << 2)
            | (all << 6)
            | (more1 << 10)
            | (more1 << 14)
            | (more2 << 18)
            | (more2 << 22)
            | (more3 << 26)
            | (more3 << 30),
        stamped: walked.stamped,
        stamps_at: walked.stamps_at,
        blocks: walked.blocks,
        blocks_at: walked.blocks_at,
    }
}

/// See the [module](self).
#[derive(LogicBlock, Default)]
pub struct Marks {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// Options come.
    pub valid: Signal<In, Bit>,
    /// The 40 bytes behind the TCP header without options.
    pub bytes: Signal<In, Bits<320>>,
    /// Data offset less 5: so many words of them are options.
    pub words: Signal<In, Bits<4>>,
    /// The data offset is no smaller than 5, and all options are within the frame.
    pub fits: Signal<In, Bit>,
    /// Where the numbers are; stands until the next.
    pub found: Signal<Out, OptionMarks>,
    kinds: DFF<OptionKinds>,
    kinds_valid: DFF<Bit>,
    walked: [DFF<Walked>; STEPS],
    walked_valid: [DFF<Bit>; STEPS],
    held: DFF<OptionMarks>,
}

impl Logic for Marks {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, kinds, kinds_valid, held);
        for i in 0..STEPS {
            dff_setup!(self, clk, walked[i], walked_valid[i]);
        }
        self.kinds_valid.d.next = self.valid.val();
        if self.valid.val() {
            self.kinds.d.next = option_kinds(self.bytes.val(), self.words.val(), self.fits.val());
        }
        self.walked_valid[0].d.next = self.kinds_valid.q.val();
        if self.kinds_valid.q.val() {
            let begin = Walked {
                kinds: self.kinds.q.val(),
                starts: bits::<41>(1),
                ..Walked::default()
            };
            self.walked[0].d.next = walk(begin, 0);
        }
        for i in 1..STEPS {
            self.walked_valid[i].d.next = self.walked_valid[i - 1].q.val();
            if self.walked_valid[i - 1].q.val() {
                self.walked[i].d.next = walk(self.walked[i - 1].q.val(), i);
            }
        }
        if self.walked_valid[STEPS - 1].q.val() {
            self.held.d.next = option_marks(self.walked[STEPS - 1].q.val());
        }
        self.found.next = self.held.q.val();
        if self.rst.val() {
            self.kinds_valid.d.next = false;
            for i in 0..STEPS {
                self.walked_valid[i].d.next = false;
            }
        }
    }
}
