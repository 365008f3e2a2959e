//! Splice numbers: the numbers of a segment as the other connection counts them.
//!
//! ```text
//!  s ──► options ─────────────────┐
//!                                 ▼
//!  valid, work ──► addends ──► numbers ──► carries ──► sums ──► valid, moved
//! ```
//!
//! Adds the differences of an [entry](crate::interface::modules::SpliceEntry) to sequence and
//! acknowledgement number, and to the 32 bits in the options that are [marked](super::marks).
//! All options are one addition: each byte with a bit above it, which stops the carry where
//! a number begins, and hands it on elsewhere.
//!
//! Checksums are updated by what changes (RFC 1624 equation 3). Modulo 2¹⁶ − 1, 2³² is 1: a number
//! changes the sum by its difference, less one if the addition carried. So the host gives the sums of the differences,
//! and the carries are counted. At an odd byte both count 256 times, which is with their
//! octets exchanged.
//!
//! Initiation interval 1, latency 4.

use super::inspect::Headers;
use super::marks::{OPTION_BYTES, OptionMarks};
use crate::interface::modules::splice;
use crate::stages::octets::{network16, network32};
use hallux_hdl::prelude::*;

/// Bits of an entry's value.
pub const VALUE_BITS: usize = 64 * splice::VALUE_WORDS;
/// Bits of the options with a bit above each byte.
const SUM_BITS: usize = 9 * OPTION_BYTES;
/// Segments on their way from their head to their numbers.
const SEGMENTS: usize = 16;

/// A segment and the entry that it meets.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct SpliceWork {
    /// Its headers.
    pub headers: Headers,
    /// Where its options have numbers.
    pub marks: OptionMarks,
    /// The value of the entry.
    pub entry: Bits<VALUE_BITS>,
}

/// What is different in a segment that leaves.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct MovedNumbers {
    /// SEG.SEQ and SEG.ACK as they stand in a frame.
    pub numbers: Bits<64>,
    /// IP checksum as it stands in a frame.
    pub ip_checksum: Bits<16>,
    /// TCP checksum as it stands in a frame.
    pub tcp_checksum: Bits<16>,
    /// The 40 bytes behind the TCP header without options.
    pub options: Bits<320>,
}

/// Between two steps.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Moving {
    numbers: Bits<64>,
    /// Sum of the IP header, not folded.
    ip: Bits<20>,
    /// Sum of the segment, not folded.
    tcp: Bits<20>,
    /// Change by timestamps, in the order of octets of their place.
    stamps: Bits<16>,
    /// Change by SACK blocks, not folded.
    blocks: Bits<19>,
    /// How often the additions to SEG.SEQ and SEG.ACK carried.
    carried: Bits<2>,
    blocks_odd: Bit,
    /// Bytes at which numbers begin.
    begins: Bits<40>,
}

/// A sum that is almost a checksum.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Counted {
    numbers: Bits<64>,
    ip_checksum: Bits<16>,
    tcp: Bits<20>,
    /// What carries take from the sum, as its complement.
    carries: Bits<16>,
    options: Bits<320>,
}

/// Folds a one's-complement sum (RFC 1071 §4.1).
#[hdl_fn]
fn fold(sum: Bits<20>) -> Bits<16> {
    let once = bit_cast::<17, 16>(sum.get_bits::<16>(0)) + bit_cast::<17, 4>(sum.get_bits::<4>(16));
    once.get_bits::<16>(0) + bit_cast::<16, 1>(once.get_bits::<1>(16))
}

/// `number` + `difference`, and its carry in bit 32.
#[hdl_fn]
fn with_carry(number: Bits<32>, difference: Bits<32>) -> Bits<33> {
    bit_cast::<33, 32>(number) + bit_cast::<33, 32>(difference)
}

/// The octets of `word`, most significant first, as they fall on four bytes of which the word
/// begins two behind the one numbered `at`.
#[hdl_fn]
fn turned(word: Bits<32>, at: Bits<2>) -> Bits<32> {
    let frame = network32(word);
    if at == bits::<2>(0) {
        cat::<16, 16, 32>(frame.get_bits::<16>(0), frame.get_bits::<16>(16))
    } else if at == bits::<2>(1) {
        cat::<8, 24, 32>(frame.get_bits::<8>(0), frame.get_bits::<24>(8))
    } else if at == bits::<2>(2) {
        frame
    } else {
        cat::<24, 8, 32>(frame.get_bits::<24>(0), frame.get_bits::<8>(24))
    }
}

/// What is added to the options: byte i of them in bits 9 × (39 − i) and up, so that carries run
/// as octets in network order have it.
#[hdl_fn]
fn addend(marks: OptionMarks, value: Bits<32>, echo: Bits<32>, ack: Bits<32>) -> Bits<SUM_BITS> {
    let value_octets = turned(value, marks.stamps_at);
    let echo_octets = turned(echo, marks.stamps_at);
    let ack_octets = turned(ack, marks.blocks_at);
    let of_value = covered(marks.value);
    let of_echo = covered(marks.echo);
    let of_edge = covered(marks.edge);
    let mut sum = bits::<SUM_BITS>(0);
    for i in 0..OPTION_BYTES {
        let at = 8 * (i % 4);
        let mut octet = bits::<8>(0);
        if of_value.get_bit(i) {
            octet = octet | value_octets.get_bits::<8>(at);
        }
        if of_echo.get_bit(i) {
            octet = octet | echo_octets.get_bits::<8>(at);
        }
        if of_edge.get_bit(i) {
            octet = octet | ack_octets.get_bits::<8>(at);
        }
        sum.set_bits(9 * (OPTION_BYTES - 1 - i), octet);
    }
    sum
}

/// The bytes of all words that begin where `begins` says.
#[hdl_fn]
fn covered(begins: Bits<40>) -> Bits<40> {
    begins | (begins << 1) | (begins << 2) | (begins << 3)
}

/// The options with a bit above each byte that hands a carry on, but for the first of a number.
#[hdl_fn]
fn spaced(options: Bits<320>, begins: Bits<40>) -> Bits<SUM_BITS> {
    let mut sum = bits::<SUM_BITS>(0);
    for i in 0..OPTION_BYTES {
        let at = 9 * (OPTION_BYTES - 1 - i);
        sum.set_bits(at, options.get_bits::<8>(8 * i));
        sum.set_bits(at + 8, bit(!begins.get_bit(i)));
    }
    sum
}

/// How many numbers carried that begin at bytes of this parity: 0 even, 1 odd. No two begin
/// within four bytes.
#[hdl_fn]
fn carries(sum: Bits<SUM_BITS>, begins: Bits<40>, parity: usize) -> Bits<8> {
    let mut carried = bits::<10>(0);
    for g in 0..OPTION_BYTES / 4 {
        let one = 4 * g + parity;
        let other = one + 2;
        let here = (begins.get_bit(one) & sum.get_bit(9 * (OPTION_BYTES - 1 - one) + 8))
            | (begins.get_bit(other) & sum.get_bit(9 * (OPTION_BYTES - 1 - other) + 8));
        carried.set_bits(g, bit(here));
    }
    bit_cast::<8, 3>(ones(carried.get_bits::<5>(0)))
        + bit_cast::<8, 3>(ones(carried.get_bits::<5>(5)))
}

/// How many bits are set; without an adder, each bit is one look-up table.
#[hdl_fn]
fn ones(x: Bits<5>) -> Bits<3> {
    let half = x.get_bit(0) ^ x.get_bit(1) ^ x.get_bit(2);
    let one = (x.get_bit(0) & x.get_bit(1)) | (x.get_bit(2) & (x.get_bit(0) | x.get_bit(1)));
    let other = (x.get_bit(3) & x.get_bit(4)) | (half & (x.get_bit(3) | x.get_bit(4)));
    cat::<1, 2, 3>(
        bit(one & other),
        cat::<1, 1, 2>(bit(one ^ other), bit(half ^ x.get_bit(3) ^ x.get_bit(4))),
    )
}

/// See the [module](self).
#[derive(LogicBlock)]
pub struct SpliceNumbers {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// Bytes behind the TCP header without options: one for each `valid`, before it.
    pub s: StreamSink<Bits<320>>,
    /// `work` is there.
    pub valid: Signal<In, Bit>,
    /// A segment.
    pub work: Signal<In, SpliceWork>,
    /// `moved` is there.
    pub moved_valid: Signal<Out, Bit>,
    /// Its numbers.
    pub moved: Signal<Out, MovedNumbers>,
    options: Fifo<Bits<320>>,
    begun: DFF<Moving>,
    addend: DFF<Bits<SUM_BITS>>,
    begun_valid: DFF<Bit>,
    added: DFF<Moving>,
    sum: DFF<Bits<SUM_BITS>>,
    added_valid: DFF<Bit>,
    counted: DFF<Counted>,
    counted_valid: DFF<Bit>,
    done: DFF<MovedNumbers>,
    done_valid: DFF<Bit>,
    options_come: Assert,
}

impl Default for SpliceNumbers {
    fn default() -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            valid: Default::default(),
            work: Default::default(),
            moved_valid: Default::default(),
            moved: Default::default(),
            options: Fifo::new(SEGMENTS).with_output(FifoOutput::Forward),
            begun: Default::default(),
            addend: Default::default(),
            begun_valid: Default::default(),
            added: Default::default(),
            sum: Default::default(),
            added_valid: Default::default(),
            counted: Default::default(),
            counted_valid: Default::default(),
            done: Default::default(),
            done_valid: Default::default(),
            options_come: Assert::new("the options of a segment are there before its numbers"),
        }
    }
}

impl Logic for SpliceNumbers {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self,
            clk,
            begun,
            addend,
            begun_valid,
            added,
            sum,
            added_valid,
            counted,
            counted_valid,
            done,
            done_valid
        );
        self.options.clk.next = self.clk.val();
        self.options.rst.next = self.rst.val();
        StreamSink::<Bits<320>>::link(&mut self.s, &mut self.options.s);

        // HC' = ~(~HC + ~m + m'), of which the entry has all ~m + m' but the carries.
        let work = self.work.val();
        let headers = work.headers;
        let marks = work.marks;
        let entry = work.entry;
        let seq_difference = entry.get_bits::<32>(256);
        let ack_difference = entry.get_bits::<32>(288);
        let ip_change = entry.get_bits::<16>(320);
        let tcp_change = entry.get_bits::<16>(336);
        let stamps_change = entry.get_bits::<16>(352);
        let block_change = entry.get_bits::<16>(368);
        let value_difference = entry.get_bits::<32>(384);
        let echo_difference = entry.get_bits::<32>(416);
        let seq = with_carry(headers.seq, seq_difference);
        let ack = with_carry(headers.ack, ack_difference);
        let mut stamps = bits::<16>(0);
        if marks.stamped {
            stamps = if marks.stamps_at.get_bit(0) {
                network16(stamps_change)
            } else {
                stamps_change
            };
        }
        // Once, twice, or four times: no block count has bit 2 and another.
        let one = if marks.blocks.get_bit(0) {
            bit_cast::<19, 16>(block_change)
        } else {
            bits::<19>(0)
        };
        let more = if marks.blocks.get_bit(2) {
            bit_cast::<19, 16>(block_change) << 2
        } else if marks.blocks.get_bit(1) {
            bit_cast::<19, 16>(block_change) << 1
        } else {
            bits::<19>(0)
        };
        self.begun_valid.d.next = self.valid.val();
        if self.valid.val() {
            self.begun.d.next = Moving {
                numbers: cat::<32, 32, 64>(
                    network32(ack.get_bits::<32>(0)),
                    network32(seq.get_bits::<32>(0)),
                ),
                ip: bit_cast::<20, 16>(!headers.ip_checksum) + bit_cast::<20, 16>(ip_change),
                tcp: bit_cast::<20, 16>(!headers.tcp_checksum) + bit_cast::<20, 16>(tcp_change),
                stamps,
                blocks: one + more,
                carried: bit_cast::<2, 1>(seq.get_bits::<1>(32))
                    + bit_cast::<2, 1>(ack.get_bits::<1>(32)),
                blocks_odd: marks.blocks_at.get_bit(0),
                begins: marks.value | marks.echo | marks.edge,
            };
            self.addend.d.next = addend(marks, value_difference, echo_difference, ack_difference);
        }

        // Add.
        let begun = self.begun.q.val();
        let low = begun.blocks.get_bits::<16>(0);
        let high = begun.blocks.get_bits::<3>(16);
        let folded = if begun.blocks_odd {
            bit_cast::<20, 16>(network16(low)) + (bit_cast::<20, 3>(high) << 8)
        } else {
            bit_cast::<20, 16>(low) + bit_cast::<20, 3>(high)
        };
        self.added_valid.d.next = self.begun_valid.q.val();
        self.options.m.ready.next = self.begun_valid.q.val();
        if self.begun_valid.q.val() {
            self.added.d.next = Moving {
                tcp: begun.tcp + bit_cast::<20, 16>(begun.stamps) + folded,
                ..begun
            };
            self.sum.d.next = spaced(self.options.m.data.val(), begun.begins) + self.addend.q.val();
        }
        self.options_come.clk.next = self.clk.val();
        self.options_come.holds.next =
            self.rst.val() | !self.begun_valid.q.val() | self.options.m.valid.val();

        // Count the carries.
        let added = self.added.q.val();
        let sum = self.sum.q.val();
        let even = carries(sum, added.begins, 0) + bit_cast::<8, 2>(added.carried);
        let odd = carries(sum, added.begins, 1);
        let mut options = bits::<320>(0);
        for i in 0..OPTION_BYTES {
            options.set_bits(8 * i, sum.get_bits::<8>(9 * (OPTION_BYTES - 1 - i)));
        }
        self.counted_valid.d.next = self.added_valid.q.val();
        if self.added_valid.q.val() {
            self.counted.d.next = Counted {
                numbers: added.numbers,
                ip_checksum: network16(!fold(added.ip)),
                tcp: added.tcp,
                carries: !cat::<8, 8, 16>(odd, even),
                options,
            };
        }

        // Fold.
        let counted = self.counted.q.val();
        self.done_valid.d.next = self.counted_valid.q.val();
        if self.counted_valid.q.val() {
            self.done.d.next = MovedNumbers {
                numbers: counted.numbers,
                ip_checksum: counted.ip_checksum,
                tcp_checksum: network16(!fold(counted.tcp + bit_cast::<20, 16>(counted.carries))),
                options: counted.options,
            };
        }
        self.moved_valid.next = self.done_valid.q.val();
        self.moved.next = self.done.q.val();
        if self.rst.val() {
            self.begun_valid.d.next = false;
            self.added_valid.d.next = false;
            self.counted_valid.d.next = false;
            self.done_valid.d.next = false;
        }
    }
}
