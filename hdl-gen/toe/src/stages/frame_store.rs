//! Frame store: frames wait here for their events, which need not come in the frames' order.
//!
//! ```text
//!             ┌─────────┐  read at the start of a frame  ┌──────┐
//!  s ─Beat───►│ beats   ├───────────────────────────────►│ FIFO ├─Beat─► m
//!             └─────────┘        ▲                       └──────┘
//!  s_order ─number───────────────┘        arrived ──► how many frames are here or were
//! ```
//!
//! Where a state cache lets events of received frames overtake others, the frames follow
//! them: `s_order` names the frames in the order in which payload write takes them. A frame's
//! room is free again when it and all before it have been taken. Initiation interval 1, a clock more
//! for a frame; latency 4 clocks from the order to the first beat.
//!
//! The event of a frame may pass only when the frame has arrived: else the store could fill
//! with frames that wait behind it.

use crate::channels::Beat;
use hallux_hdl::prelude::*;

/// Bits of a frame's number.
pub const NUMBER: usize = 10;
/// Frames in the store.
const FRAMES: usize = 128;

/// Where a frame lies: counts of beats.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Extent {
    /// First beat.
    start: Bits<16>,
    /// One past the last.
    end: Bits<16>,
}

/// See the [module](self).
#[derive(LogicBlock)]
pub struct FrameStore<const N: usize, const K: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high.
    pub rst: Signal<In, Bit>,
    /// Beats of frames.
    pub s: StreamSink<Beat<N, K>>,
    /// Numbers of frames: those of `s` are counted from 0.
    pub s_order: StreamSink<Bits<NUMBER>>,
    /// Beats of the frames in that order.
    pub m: StreamSource<Beat<N, K>>,
    /// Frames that have arrived whole, modulo 2^[`NUMBER`].
    pub arrived: Signal<Out, Bits<NUMBER>>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    beats: Ram<Beat<N, K>, 16>,
    /// Where each frame lies, for what reads it and for what frees it.
    extents: RegisterFile<Extent, 7>,
    ends: RegisterFile<Bits<16>, 7>,
    taken: DFF<Bits<128>>,
    written: DFF<Bits<16>>,
    first: DFF<Bits<16>>,
    freed: DFF<Bits<16>>,
    frames: DFF<Bits<NUMBER>>,
    oldest: DFF<Bits<NUMBER>>,
    order: Fifo<Bits<NUMBER>>,
    reads: DFF<Bit>,
    at: DFF<Extent>,
    number: DFF<Bits<7>>,
    answers: DFF<Bit>,
    out: Fifo<Beat<N, K>>,
    _words: usize,
}

impl<const N: usize, const K: usize> FrameStore<N, K> {
    /// A store of `beats` beats, a power of two up to 32768, at least one largest frame.
    pub fn new(beats: usize) -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            s_order: Default::default(),
            m: Default::default(),
            arrived: Default::default(),
            idle: Default::default(),
            beats: Ram::new(beats),
            extents: RegisterFile::new(FRAMES),
            ends: RegisterFile::new(FRAMES),
            taken: Default::default(),
            written: Default::default(),
            first: Default::default(),
            freed: Default::default(),
            frames: Default::default(),
            oldest: Default::default(),
            order: Fifo::new(256).with_output(FifoOutput::Forward),
            reads: Default::default(),
            at: Default::default(),
            number: Default::default(),
            answers: Default::default(),
            out: Fifo::new(8)
                .with_output(FifoOutput::Forward)
                .with_almost_full(3),
            _words: beats,
        }
    }
}

impl<const N: usize, const K: usize> Logic for FrameStore<N, K> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, taken, written, first, freed, frames, oldest);
        dff_setup!(self, clk, reads, at, number, answers);
        self.beats.clk.next = self.clk.val();
        self.extents.clk.next = self.clk.val();
        self.ends.clk.next = self.clk.val();
        self.order.clk.next = self.clk.val();
        self.order.rst.next = self.rst.val();
        self.out.clk.next = self.clk.val();
        self.out.rst.next = self.rst.val();
        let words = bits::<16>(self._words as u64);
        let inside = bits::<16>(self._words as u64 - 1);

        // In.
        let written = self.written.q.val();
        let frames = self.frames.q.val();
        let oldest = self.oldest.q.val();
        let room = (written - self.freed.q.val()) != words;
        let takes = room & ((frames - oldest) != bits::<NUMBER>(FRAMES as u64));
        let beat = self.s.data.val();
        let comes = self.s.valid.val() & takes;
        let after = written + bits::<16>(1);
        self.s.ready.next = takes;
        self.beats.write_enable.next = comes;
        self.beats.write_address.next = written & inside;
        self.beats.write_data.next = beat;
        let whole = comes & beat.last;
        self.extents.write_enable.next = whole;
        self.extents.write_address.next = frames.get_bits::<7>(0);
        self.extents.write_data.next = Extent {
            start: self.first.q.val(),
            end: after,
        };
        self.ends.write_enable.next = whole;
        self.ends.write_address.next = frames.get_bits::<7>(0);
        self.ends.write_data.next = after;
        if comes {
            self.written.d.next = after;
        }
        if whole {
            self.first.d.next = after;
            self.frames.d.next = frames + bits::<NUMBER>(1);
        }
        self.arrived.next = frames;

        // Out, frame by frame.
        join_streams!(self.s_order, self.order.s);
        let next = self.order.m.data.val().get_bits::<7>(0);
        self.extents.read_address.next = next;
        let at = self.at.q.val();
        let reads = self.reads.q.val() & !self.out.almost_full.val();
        let ends = reads & ((at.start + bits::<16>(1)) == at.end);
        let begins = self.order.m.valid.val() & (!self.reads.q.val() | ends);
        self.order.m.ready.next = !self.reads.q.val() | ends;
        self.beats.read_address.next = at.start & inside;
        self.answers.d.next = reads;
        if reads {
            self.at.d.next.start = at.start + bits::<16>(1);
        }
        if ends {
            self.reads.d.next = false;
        }
        if begins {
            self.reads.d.next = true;
            self.at.d.next = self.extents.read_data.val();
            self.number.d.next = next;
        }
        self.out.s.data.next = self.beats.read_data.val();
        self.out.s.valid.next = self.answers.q.val();
        self.m.data.next = self.out.m.data.val();
        self.m.valid.next = self.out.m.valid.val();
        self.out.m.ready.next = self.m.ready.val();

        // Free what was taken, oldest first.
        let taken = self.taken.q.val();
        let mut marks = taken;
        if ends {
            marks = marks | (bits::<128>(1) << self.number.q.val());
        }
        self.ends.read_address.next = oldest.get_bits::<7>(0);
        let frees = ((taken >> oldest.get_bits::<7>(0)) & bits::<128>(1)).any();
        if frees {
            self.oldest.d.next = oldest + bits::<NUMBER>(1);
            self.freed.d.next = self.ends.read_data.val();
            marks = marks & !(bits::<128>(1) << oldest.get_bits::<7>(0));
        }
        self.taken.d.next = marks;

        self.idle.next = (oldest == frames)
            & (written == self.freed.q.val())
            & !self.order.level.val().any()
            & !self.reads.q.val()
            & !self.answers.q.val()
            & !self.out.level.val().any();
        if self.rst.val() {
            self.taken.d.next = bits::<128>(0);
            self.written.d.next = bits::<16>(0);
            self.first.d.next = bits::<16>(0);
            self.freed.d.next = bits::<16>(0);
            self.frames.d.next = bits::<NUMBER>(0);
            self.oldest.d.next = bits::<NUMBER>(0);
            self.reads.d.next = false;
            self.answers.d.next = false;
        }
    }
}
