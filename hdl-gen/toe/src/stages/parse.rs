//! Parser: judges each frame while its beats pass.
//!
//! ```text
//!              ┌───────┐
//!  s ──Beat───►│ admit ├─────────────────────────────────────────────► m_beats
//!  enabled ───►│       ├─ first 94 B ─► decode ─► walk ×5 ─┐   ┌──────┐
//!  room ──────►│       ├─ IPv4 header ─► ChecksumBeat ────►judge►│ Fifo ├─► m
//!  mac         │       ├─ packet ─► ChecksumBeat ──► Σ ────┘ │  └──────┘
//!              └───────┘                                     └─────────► drop_valid, drop_reason
//! ```
//!
//! One beat per clock without pause: `s.ready` is constant 1. A frame is admitted or
//! refused at its first beat, before it has a ticket: intake must be enabled, the frame
//! buffer must have room for the largest frame, and the queue of summaries for one more.
//! All else is decided when the frame has passed, in a pipeline without stalls:
//! one frame per clock, back-to-back single-beat frames included. The headers span three
//! beats of 256 bits, two of 512 and one of 1024; a beat never holds more than one
//! frame, so a frame of 64 bytes takes two clocks at 256 bits and one at 512 and 1024. Frames that leave it
//! as [`CLASS_DROP`](crate::channels::CLASS_DROP) occupy the frame buffer and travel as summaries; each dropped
//! frame, refused or not, shows once on `drop_valid`, in arrival order.
//!
//! Latency from the last beat to `m`: 7 clocks and that of [`Fifo`], which is 1 up to 64
//! summaries and 2 beyond. Fields of a summary
//! that is not fast are meaningless, `class` and `frame_len` excepted.
//!
//! The TCP checksum needs no knowledge of where the TCP header begins: the words of a
//! good IPv4 header sum to zero in one's complement, so the sum over the whole packet is
//! that over the segment. Bytes behind the IP total length (padding) are masked.

mod headers;
mod options;

use crate::channels::{Beat, CLASS_FAST, CLASS_SLOW, Summary};
use crate::stages::octets::{count_bytes, first_bytes, network16};
use hallux_hdl::prelude::*;
use headers::{
    Arrival, Frame, HEAD_BITS, MAX_FRAME, data_offset, decode, ip_header_bytes, judge,
    option_words, sums_to_zero,
};
use options::{KIND_BITS, WALK_STEPS, WalkStep, kinds, start_walk};

/// Bytes of the beats of the largest frame; what follows them is cut.
pub const FRAME_BYTES: u64 = 1536;
/// Beats admitted that `room` may not know of yet. A frame is admitted when there is
/// room for the largest frame and so many beats more.
pub const ROOM_LAG: u64 = 4;
/// Clocks a [`ChecksumBeat`] takes.
const SUM_LATENCY: usize = 2;

/// What a beat means to the sum over its packet.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Share {
    /// There is a beat.
    pub valid: Bit,
    /// It begins its frame.
    pub first: Bit,
}

/// See the [module](self).
#[derive(LogicBlock)]
pub struct Parse<const N: usize, const K: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// Frames from the wire; `ready` is constant 1.
    pub s: StreamSink<Beat<N, K>>,
    /// Intake is enabled.
    pub enabled: Signal<In, Bit>,
    /// Station address, first octet in bits 47..40.
    pub mac: Signal<In, Bits<48>>,
    /// Free beats of the frame buffer; may not know of the last [`ROOM_LAG`] beats.
    pub room: Signal<In, Bits<16>>,
    /// The frame on `s` is for the control plane, whatever its headers say; only where
    /// extension modules stand before the parser.
    pub redirect: Vec<Signal<In, Bit>>,
    /// Beats of admitted frames, at most [`FRAME_BYTES`] each; never to be stalled.
    pub m_beats: StreamSource<Beat<N, K>>,
    /// One summary per admitted frame.
    pub m: StreamSource<Summary>,
    /// A frame is dropped.
    pub drop_valid: Signal<Out, Bit>,
    /// Why: `interface::Drop`.
    pub drop_reason: Signal<Out, Bits<4>>,
    /// Nothing is held, and no frame is half received.
    pub idle: Signal<Out, Bit>,

    // The beat that has just arrived, and where in its frame it is.
    beat: DFF<Beat<N, K>>,
    beat_valid: DFF<Bit>,
    midway: DFF<Bit>,
    index: DFF<Bits<6>>,
    admitted: DFF<Bit>,
    disabled: DFF<Bit>,
    // If it is a frame's first: where the IPv4 packet ends, counted from the beat's first byte,
    // and whether that is behind the beat.
    packet_end: DFF<Bits<17>>,
    passes: DFF<Bit>,
    // Where the packet of the beats behind the first ends.
    frame_end: DFF<Bits<17>>,
    // Behind the first beat: beats that the packet fills from here on, whether there are any,
    // and whether it ended before them.
    whole_beats: DFF<Bits<12>>,
    whole: DFF<Bit>,
    ended: DFF<Bit>,
    /// The frame's first bytes so far, then zeros.
    head: DFF<Bits<HEAD_BITS>>,
    // Admitted frames whose summary has not left.
    outstanding: DFF<Bits<16>>,

    // Towards the frame buffer; the data feed the packet sum as well.
    stored: DFF<Beat<N, K>>,
    stored_valid: DFF<Bit>,
    covered: DFF<Bits<K>>,

    // One's-complement sums: of the IPv4 header at once, of the packet beat by beat.
    header_sum: ChecksumBeat<512, 64, 22>,
    packet_sum: ChecksumBeat<N, K, 22>,
    shares: [DFF<Share>; SUM_LATENCY + 1],
    packet_total: DFF<Bits<26>>,
    segment_total: DFF<Bits<20>>,
    segment_good: DFF<Bit>,
    header_good: [DFF<Bit>; WALK_STEPS - SUM_LATENCY],

    // The frame pipeline: bit k of `occupied` says that step k holds a frame.
    occupied: DFF<Bits<6>>,
    arrival: DFF<Arrival>,
    frames: [DFF<Frame>; WALK_STEPS],
    walks: [WalkStep; WALK_STEPS],
    summaries: Fifo<Summary>,
    dropped: DFF<Bit>,
    reason: DFF<Bits<4>>,
    /// `redirect` beside `beat`, `arrival` and `frames`.
    redirected: Vec<DFF<Bit>>,

    buffer_ready: Assert,
    queue_ready: Assert,

    // Depth of `summaries`.
    _summaries: usize,
}

impl<const N: usize, const K: usize> Parse<N, K> {
    /// A parser whose queue holds `summaries` summaries (1 to 65535): as many frames can
    /// be admitted before the first of them leaves through `m`.
    pub fn new(summaries: usize) -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            enabled: Default::default(),
            mac: Default::default(),
            room: Default::default(),
            redirect: Vec::new(),
            m_beats: Default::default(),
            m: Default::default(),
            drop_valid: Default::default(),
            drop_reason: Default::default(),
            idle: Default::default(),
            beat: Default::default(),
            beat_valid: Default::default(),
            midway: Default::default(),
            index: Default::default(),
            admitted: Default::default(),
            disabled: Default::default(),
            packet_end: Default::default(),
            passes: Default::default(),
            frame_end: Default::default(),
            whole_beats: Default::default(),
            whole: Default::default(),
            ended: Default::default(),
            head: Default::default(),
            outstanding: Default::default(),
            stored: Default::default(),
            stored_valid: Default::default(),
            covered: Default::default(),
            header_sum: Default::default(),
            packet_sum: Default::default(),
            shares: Default::default(),
            packet_total: Default::default(),
            segment_total: Default::default(),
            segment_good: Default::default(),
            header_good: Default::default(),
            occupied: Default::default(),
            arrival: Default::default(),
            frames: Default::default(),
            walks: Default::default(),
            // A long queue is block RAM, which has no way around it.
            summaries: Fifo::new(summaries).with_output(if summaries <= 64 {
                FifoOutput::Forward
            } else {
                FifoOutput::Read
            }),
            dropped: Default::default(),
            reason: Default::default(),
            redirected: Vec::new(),
            buffer_ready: Assert::new("the frame buffer refuses a beat of an admitted frame"),
            queue_ready: Assert::new("the summary of an admitted frame finds no place"),
            _summaries: summaries,
        }
    }

    /// With `redirect`.
    pub fn with_redirect(mut self) -> Self {
        self.redirect = vec![Default::default()];
        self.redirected = (0..WALK_STEPS + 2).map(|_| Default::default()).collect();
        self
    }
}

impl<const N: usize, const K: usize> Logic for Parse<N, K> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self,
            clk,
            beat,
            beat_valid,
            midway,
            index,
            admitted,
            disabled,
            packet_end,
            passes,
            frame_end,
            whole_beats,
            whole,
            ended,
            head,
            outstanding,
            stored,
            stored_valid,
            covered,
            packet_total,
            segment_total,
            segment_good,
            occupied,
            arrival,
            dropped,
            reason
        );

        let beat_log2 = K.trailing_zeros() as u64;

        // Step 0: the beat and its place in the frame.
        self.s.ready.next = true;
        self.beat_valid.d.next = self.s.valid.val();
        if self.s.valid.val() {
            self.beat.d.next = self.s.data.val();
            let end = bit_cast::<17, 16>(network16(self.s.data.val().data.get_bits::<16>(8 * 16)))
                + bits::<17>(14);
            self.packet_end.d.next = end;
            self.passes.d.next = (end >> beat_log2).any();
        }
        let beat = self.beat.q.val();
        let arrived = self.beat_valid.q.val();
        let is_first = !self.midway.q.val();
        let index = if is_first {
            bits::<6>(0)
        } else {
            self.index.q.val()
        };
        let most = FRAME_BYTES / K as u64;
        let fits = index < bits::<6>(most);
        let is_cut = index == bits::<6>(most - 1);

        // Admission, for the whole frame at its first beat.
        let space = (self.room.val() >= bits::<16>(most + ROOM_LAG))
            & (self.outstanding.q.val() < bits::<16>(self._summaries as u64));
        let admit = if is_first {
            self.enabled.val() & space
        } else {
            self.admitted.q.val()
        };
        let refused_disabled = if is_first {
            !self.enabled.val()
        } else {
            self.disabled.q.val()
        };

        // The bytes of the IPv4 packet in this beat: from 14 to its total length.
        let packet_end = if is_first {
            self.packet_end.q.val()
        } else {
            self.frame_end.q.val()
        };
        let whole_beats = if is_first {
            (packet_end >> beat_log2).get_bits::<12>(0)
        } else {
            self.whole_beats.q.val()
        };
        let whole = if is_first {
            self.passes.q.val()
        } else {
            self.whole.q.val()
        };
        let ended = !is_first & self.ended.q.val();
        let rest = packet_end.get_bits::<8>(0) & bits::<8>(K as u64 - 1);
        let ethernet = if is_first {
            bits::<K>(0x3fff)
        } else {
            bits::<K>(0)
        };
        if arrived {
            self.midway.d.next = !beat.last;
            self.index.d.next = if fits { index + bits::<6>(1) } else { index };
            self.admitted.d.next = admit;
            self.disabled.d.next = refused_disabled;
            self.whole_beats.d.next = whole_beats - bits::<12>(1);
            self.whole.d.next = whole & (whole_beats >> 1).any();
            self.ended.d.next = !whole;
            self.frame_end.d.next = packet_end;
            let packet = if whole {
                !bits::<K>(0)
            } else if ended {
                bits::<K>(0)
            } else {
                first_bytes::<K>(rest)
            };
            self.covered.d.next = packet & beat.keep & !ethernet;
            self.stored.d.next = beat;
            self.stored.d.next.last = beat.last | is_cut;
        }
        let mut head = self.head.q.val();
        if is_first {
            head = bit_cast::<HEAD_BITS, N>(beat.data);
        }
        for i in 1..HEAD_BITS.div_ceil(N) {
            if index == bits::<6>(i as u64) {
                head = head | (bit_cast::<HEAD_BITS, N>(beat.data) << (i * N) as u64);
            }
        }
        if arrived {
            self.head.d.next = head;
        }
        self.stored_valid.d.next = arrived & admit & fits;
        self.m_beats.data.next = self.stored.q.val();
        self.m_beats.valid.next = self.stored_valid.q.val();

        let ends = arrived & beat.last;
        let stored_len = (bit_cast::<11, 6>(index) << K.trailing_zeros() as u64)
            + bit_cast::<11, 8>(count_bytes::<K>(beat.keep));
        let frame_len = if fits {
            stored_len
        } else {
            bits::<11>(FRAME_BYTES)
        };
        // Whether there are options in the first eight bytes is read from the data offset
        // itself: its difference from 5 is known later.
        let data_offset = data_offset(head);
        let some = data_offset != bits::<4>(5);
        let beyond_four = some & (data_offset != bits::<4>(6));
        if ends {
            self.arrival.d.next = Arrival {
                head,
                option_words: option_words(head),
                kinds: kinds(head.get_bits::<KIND_BITS>(8 * 54), some, beyond_four),
                packet_end,
                frame_len,
                oversize: frame_len > bits::<11>(MAX_FRAME),
                refused: !admit,
                disabled: refused_disabled,
            };
        }

        // Sums. The header's is known SUM_LATENCY clocks after `arrival`, the last
        // beat's share of the packet's too.
        let head = self.arrival.q.val().head;
        self.header_sum.clk.next = self.clk.val();
        self.header_sum.data.next = bit_cast::<512, 480>(head.get_bits::<480>(8 * 14));
        self.header_sum.keep.next = first_bytes::<64>(bit_cast::<8, 6>(ip_header_bytes(head)));
        let header_total = self.header_sum.sum.val();
        self.header_good[0].clk.next = self.clk.val();
        self.header_good[0].d.next = sums_to_zero(bit_cast::<26, 22>(header_total));
        for i in 1..WALK_STEPS - SUM_LATENCY {
            self.header_good[i].clk.next = self.clk.val();
            self.header_good[i].d.next = self.header_good[i - 1].q.val();
        }

        self.packet_sum.clk.next = self.clk.val();
        self.packet_sum.data.next = self.stored.q.val().data;
        self.packet_sum.keep.next = self.covered.q.val();
        self.shares[0].clk.next = self.clk.val();
        self.shares[0].d.next = Share {
            valid: arrived,
            first: is_first,
        };
        for i in 1..SUM_LATENCY + 1 {
            self.shares[i].clk.next = self.clk.val();
            self.shares[i].d.next = self.shares[i - 1].q.val();
        }
        let share = self.shares[SUM_LATENCY].q.val();
        let beat_sum = bit_cast::<26, 22>(self.packet_sum.sum.val());
        if share.valid {
            self.packet_total.d.next = if share.first {
                beat_sum
            } else {
                self.packet_total.q.val() + beat_sum
            };
        }
        let total = self.packet_total.q.val();
        self.segment_total.d.next = bit_cast::<20, 16>(total.get_bits::<16>(0))
            + bit_cast::<20, 10>(total.get_bits::<10>(16))
            + bit_cast::<20, 19>(self.frames[SUM_LATENCY].q.val().pseudo);
        self.segment_good.d.next = sums_to_zero(bit_cast::<26, 20>(self.segment_total.q.val()));

        // The frame pipeline.
        let occupied = self.occupied.q.val();
        self.occupied.d.next = cat::<5, 1, 6>(occupied.get_bits::<5>(0), bit(ends));
        for i in 0..WALK_STEPS {
            self.frames[i].clk.next = self.clk.val();
            self.frames[i].d.next = self.frames[i].q.val();
            self.walks[i].clk.next = self.clk.val();
            self.walks[i].enable.next = occupied.get_bit(i);
        }
        if occupied.get_bit(0) {
            self.frames[0].d.next = decode(self.arrival.q.val(), self.mac.val());
        }
        self.walks[0].walk.next = start_walk(
            head.get_bits::<320>(8 * 54),
            self.arrival.q.val().option_words,
            self.arrival.q.val().kinds,
        );
        for i in 1..WALK_STEPS {
            if occupied.get_bit(i) {
                self.frames[i].d.next = self.frames[i - 1].q.val();
            }
            self.walks[i].walk.next = self.walks[i - 1].walked.val();
        }
        let judged = judge(
            self.frames[WALK_STEPS - 1].q.val(),
            self.walks[WALK_STEPS - 1].walked.val(),
            self.header_good[WALK_STEPS - SUM_LATENCY - 1].q.val(),
            self.segment_good.q.val(),
        );
        for i in 0..self.redirected.len() {
            dff_setup!(self, clk, redirected[i]);
            if i == 0 {
                if self.s.valid.val() {
                    self.redirected[0].d.next = self.redirect[0].val();
                }
            } else if i == 1 {
                if ends {
                    self.redirected[1].d.next = self.redirected[0].q.val();
                }
            } else if occupied.get_bit(i - 2) {
                self.redirected[i].d.next = self.redirected[i - 1].q.val();
            }
        }
        let leaves = occupied.get_bit(WALK_STEPS);
        self.summaries.clk.next = self.clk.val();
        self.summaries.rst.next = self.rst.val();
        self.summaries.s.data.next = judged.summary;
        for i in 0..self.redirect.len() {
            let up = self.redirected[WALK_STEPS + 1 + i].q.val();
            if up & (judged.summary.class == bits::<2>(CLASS_FAST)) {
                self.summaries.s.data.next.class = bits::<2>(CLASS_SLOW);
            }
        }
        self.summaries.s.valid.next = leaves & !judged.refused;
        StreamSource::<Summary>::link(&mut self.m, &mut self.summaries.m);
        self.dropped.d.next = leaves & judged.dropped;
        if leaves & judged.dropped {
            self.reason.d.next = judged.reason;
        }
        self.drop_valid.next = self.dropped.q.val();
        self.drop_reason.next = self.reason.q.val();

        // Admission reserves the place of the summary.
        let enters = arrived & is_first & admit;
        let left = self.m.valid.val() & self.m.ready.val();
        if enters & !left {
            self.outstanding.d.next = self.outstanding.q.val() + bits::<16>(1);
        } else if left & !enters {
            self.outstanding.d.next = self.outstanding.q.val() - bits::<16>(1);
        }
        self.idle.next = !arrived
            & !self.midway.q.val()
            & !self.stored_valid.q.val()
            & !occupied.any()
            & !self.dropped.q.val()
            & (self.outstanding.q.val() == bits::<16>(0));

        self.buffer_ready.clk.next = self.clk.val();
        self.buffer_ready.holds.next =
            self.rst.val() | !self.stored_valid.q.val() | self.m_beats.ready.val();
        self.queue_ready.clk.next = self.clk.val();
        self.queue_ready.holds.next =
            self.rst.val() | !leaves | judged.refused | self.summaries.s.ready.val();

        if self.rst.val() {
            self.beat_valid.d.next = false;
            self.midway.d.next = false;
            self.stored_valid.d.next = false;
            self.occupied.d.next = bits::<6>(0);
            self.outstanding.d.next = bits::<16>(0);
            self.dropped.d.next = false;
        }
    }
}
