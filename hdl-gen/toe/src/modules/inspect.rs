//! Inspect: holds the beats of a frame until its headers are judged.
//!
//! ```text
//!          ┌───────┐
//!  s ──┬──►│ beats ├───────────────────────────────────► m
//!      │   └───────┘                                     ▲
//!      │   ┌──────┐                ┌──────────┐          │
//!      └──►│ head ├─► headers ···► │ verdicts ├──────────┘
//!          └──────┘    (module)    └──────────┘
//! ```
//!
//! The module behind `headers` judges each frame, in order and in the same number of clocks;
//! a frame leaves when its judgement is there. Initiation interval 1. Latency 2 clocks and
//! those of the module, from the beat with which the head of the frame is complete: its first
//! 64 bytes, or as many as the module wants to see.

use super::port::Passing;
use crate::stages::octets::{network16, network32};
use hallux_hdl::prelude::*;

/// Beats that wait for their judgement; more than a module needs for it.
const BEATS: usize = 32;
/// Bits and bytes of a frame that are looked at where nothing else is said.
const HEAD_BITS: usize = 512;
const HEAD_BYTES: usize = 64;
/// Offset of the IPv4 header in an untagged frame.
const IP: usize = 14;
/// Offset of the TCP header behind an IPv4 header without options.
const TCP: usize = 34;

/// What the first bytes of a frame say.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Headers {
    /// The frame carries a VLAN tag, behind which it was read.
    pub tagged: Bit,
    /// It has a whole IPv4 header; otherwise no field below has a meaning.
    pub ipv4: Bit,
    /// The IPv4 header has no options and the packet is no later fragment, so that the
    /// fields behind it are where they are looked for, and they are there.
    pub plain: Bit,
    /// IPv4 protocol.
    pub protocol: Bits<8>,
    /// IPv4 source.
    pub source_ip: Bits<32>,
    /// IPv4 destination.
    pub destination_ip: Bits<32>,
    /// TCP or UDP source port.
    pub source_port: Bits<16>,
    /// TCP or UDP destination port.
    pub destination_port: Bits<16>,
    /// SEG.SEQ.
    pub seq: Bits<32>,
    /// SEG.ACK.
    pub ack: Bits<32>,
    /// TCP flags.
    pub flags: Bits<8>,
    /// IPv4 header checksum.
    pub ip_checksum: Bits<16>,
    /// TCP checksum.
    pub tcp_checksum: Bits<16>,
}

/// Reads the headers in the first bytes of a frame, of which `known` are there.
#[hdl_fn]
pub fn headers(bytes: Bits<512>, known: Bits<64>) -> Headers {
    let tagged = network16(bytes.get_bits::<16>(96)) == bits::<16>(0x8100);
    let frame = if tagged { bytes >> 32u64 } else { bytes };
    let there = if tagged { known >> 4u64 } else { known };
    let version_and_words = frame.get_bits::<8>(8 * IP);
    let ipv4 = (network16(frame.get_bits::<16>(96)) == bits::<16>(0x0800))
        & (version_and_words.get_bits::<4>(4) == bits::<4>(4))
        & there.get_bit(TCP - 1);
    // The fragment offset (RFC 791 §3.1).
    let later = network16(frame.get_bits::<16>(8 * (IP + 6)))
        .get_bits::<13>(0)
        .any();
    Headers {
        tagged,
        ipv4,
        plain: ipv4
            & (version_and_words.get_bits::<4>(0) == bits::<4>(5))
            & !later
            & there.get_bit(TCP + 19),
        protocol: frame.get_bits::<8>(8 * (IP + 9)),
        source_ip: network32(frame.get_bits::<32>(8 * (IP + 12))),
        destination_ip: network32(frame.get_bits::<32>(8 * (IP + 16))),
        source_port: network16(frame.get_bits::<16>(8 * TCP)),
        destination_port: network16(frame.get_bits::<16>(8 * (TCP + 2))),
        seq: network32(frame.get_bits::<32>(8 * (TCP + 4))),
        ack: network32(frame.get_bits::<32>(8 * (TCP + 8))),
        flags: frame.get_bits::<8>(8 * (TCP + 13)),
        ip_checksum: network16(frame.get_bits::<16>(8 * (IP + 10))),
        tcp_checksum: network16(frame.get_bits::<16>(8 * (TCP + 16))),
    }
}

/// See the [module](self); `J` is a judgement, the head has `H` bits, which are `B` bytes.
#[derive(LogicBlock)]
pub struct Inspect<
    const N: usize,
    const K: usize,
    J: Flat,
    const H: usize = HEAD_BITS,
    const B: usize = HEAD_BYTES,
> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// Frames.
    pub s: StreamSink<Passing<N, K>>,
    /// Frames that are judged.
    pub m: StreamSource<Passing<N, K>>,
    /// The judgement of the frame on `m`.
    pub judgement: Signal<Out, J>,
    /// Which beat of its frame is on `m`; 3: any behind the third.
    pub index: Signal<Out, Bits<2>>,
    /// `headers` are those of another frame in this clock.
    pub head_valid: Signal<Out, Bit>,
    /// Headers of a frame.
    pub headers: Signal<Out, Headers>,
    /// Its first bytes, from which they were read; without meaning where the frame has none.
    pub head: Signal<Out, Bits<H>>,
    /// Which of them the frame has.
    pub known: Signal<Out, Bits<B>>,
    /// A judgement: one for each `head_valid`, in the same order.
    pub judged_valid: Signal<In, Bit>,
    /// It.
    pub judged: Signal<In, J>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    beats: Fifo<Passing<N, K>>,
    verdicts: Fifo<J>,
    bytes: DFF<Bits<H>>,
    kept: DFF<Bits<B>>,
    complete: DFF<Bit>,
    /// Beats of the head that have come.
    came: DFF<Bits<2>>,
    /// Beats of the frame that have left, at most 3.
    left: DFF<Bits<2>>,
    has_room: Assert,
}

impl<const N: usize, const K: usize, J: Flat, const H: usize, const B: usize>
    Inspect<N, K, J, H, B>
{
    /// Without a frame.
    pub fn new() -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            m: Default::default(),
            judgement: Default::default(),
            index: Default::default(),
            head_valid: Default::default(),
            headers: Default::default(),
            judged_valid: Default::default(),
            judged: Default::default(),
            idle: Default::default(),
            beats: Fifo::new(BEATS).with_output(FifoOutput::Forward),
            verdicts: Fifo::new(BEATS).with_output(FifoOutput::Forward),
            head: Default::default(),
            known: Default::default(),
            bytes: Default::default(),
            kept: Default::default(),
            complete: Default::default(),
            came: Default::default(),
            left: Default::default(),
            has_room: Assert::new("a judgement finds no place"),
        }
    }
}

impl<const N: usize, const K: usize, J: Flat, const H: usize, const B: usize> Default
    for Inspect<N, K, J, H, B>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize, const K: usize, J: Flat, const H: usize, const B: usize> Logic
    for Inspect<N, K, J, H, B>
{
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, bytes, kept, complete, came, left);
        self.beats.clk.next = self.clk.val();
        self.beats.rst.next = self.rst.val();
        self.verdicts.clk.next = self.clk.val();
        self.verdicts.rst.next = self.rst.val();
        StreamSink::<Passing<N, K>>::link(&mut self.s, &mut self.beats.s);

        // The head is complete with the beat that brings its last byte, or with the frame.
        let beat = self.s.data.val().beat;
        let taken = self.s.valid.val() & self.beats.s.ready.val();
        let came = self.came.q.val();
        let heads = B.div_ceil(K) as u64;
        let of_head = came < bits::<2>(heads);
        let completes = of_head & (beat.last | (came == bits::<2>(heads - 1)));
        self.complete.d.next = taken & completes;
        if taken {
            self.came.d.next = if beat.last {
                bits::<2>(0)
            } else if of_head {
                came + bits::<2>(1)
            } else {
                came
            };
        }
        if taken & of_head {
            if came == bits::<2>(0) {
                self.bytes.d.next = bit_cast::<H, N>(beat.data);
                self.kept.d.next = bit_cast::<B, K>(beat.keep);
            }
            for i in 1..B.div_ceil(K) {
                if came == bits::<2>(i as u64) {
                    let data = bit_cast::<H, N>(beat.data) << (i * N) as u64;
                    let keep = bit_cast::<B, K>(beat.keep) << (i * K) as u64;
                    self.bytes.d.next = self.bytes.q.val() | data;
                    self.kept.d.next = self.kept.q.val() | keep;
                }
            }
        }
        let bytes = self.bytes.q.val();
        let kept = self.kept.q.val();
        self.head_valid.next = self.complete.q.val();
        self.headers.next = headers(bytes.get_bits::<512>(0), kept.get_bits::<64>(0));
        self.head.next = bytes;
        self.known.next = kept;

        self.verdicts.s.data.next = self.judged.val();
        self.verdicts.s.valid.next = self.judged_valid.val();
        let goes = self.verdicts.m.valid.val();
        let moves = self.beats.m.valid.val() & goes & self.m.ready.val();
        let last = self.beats.m.data.val().beat.last;
        self.m.data.next = self.beats.m.data.val();
        self.m.valid.next = self.beats.m.valid.val() & goes;
        self.beats.m.ready.next = goes & self.m.ready.val();
        self.verdicts.m.ready.next = moves & last;
        self.judgement.next = self.verdicts.m.data.val();
        self.index.next = self.left.q.val();
        if moves {
            self.left.d.next = if last {
                bits::<2>(0)
            } else if self.left.q.val().all() {
                bits::<2>(3)
            } else {
                self.left.q.val() + bits::<2>(1)
            };
        }
        self.idle.next = !self.beats.level.val().any()
            & !self.verdicts.level.val().any()
            & !self.came.q.val().any();
        self.has_room.clk.next = self.clk.val();
        self.has_room.holds.next =
            self.rst.val() | !self.judged_valid.val() | self.verdicts.s.ready.val();
        if self.rst.val() {
            self.complete.d.next = false;
            self.came.d.next = bits::<2>(0);
            self.left.d.next = bits::<2>(0);
        }
    }
}
