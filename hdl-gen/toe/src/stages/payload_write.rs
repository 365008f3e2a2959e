//! Payload write: places received bytes in host memory, then lets the rest of the
//! event go on.
//!
//! ```text
//!             ┌─────────┐ chunks ┌────────┐
//!  s ─Action─►│ planner ├──────► │ engine ├─Up──┬──────────────► m_up
//!  slow_base ►│         │        └──▲───┬─┘     │ taken
//!  slow_room ►│         │  s_beats ─┘   │ marks │
//!  slow_log2 ►│         ├─ tails ───────┴───────┴──► release ┬─► m_notice
//!             └──┬───┬──┘                                    └─► released
//!                │   └─► drop_valid, drop_reason, placed
//!                └─ headers ──────────────────────────────────► m_header
//! ```
//!
//! The [planner] cuts placements into write requests, the [engine] takes the event's
//! frame from the frame buffer and writes them. The notice of an event leaves when the
//! last beat of its payload has been taken at `m_up` (contract O3): the engine marks the
//! end of each frame with the count of beats written so far, and its event is released when
//! as many have been taken. The header goes ahead, so that its checksums are ready in time;
//! assembly lets its frame go when `released` has pulsed for it (contract O4).
//!
//! Initiation interval: a frame costs as many clocks as it has beats, and one more when
//! its last bytes need a write beat of their own; an event without a frame passes beside
//! frames, one a clock. Latency from an action to its first write: 4 clocks, and one for each
//! beat but two in front of the one that completes the first window. The notice shows 2
//! clocks after the last write has left and `released` 1, without a frame 2 and 1 clocks
//! after the action; the header shows at once.

mod engine;
mod planner;

use crate::channels::{Action, Beat, Header, Notice, Up};
use crate::contracts;
use crate::interface::Drop;
use engine::Engine;
use hallux_hdl::prelude::*;
use planner::{Chunk, Planner, Tail};

/// Chunks between planner and engine.
const CHUNKS: usize = 8;
/// Events between planner and release.
const EVENTS: usize = 16;

/// See the [module](self).
#[derive(LogicBlock)]
pub struct PayloadWrite<const N: usize, const K: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset; the next slow-path slot is slot 0.
    pub rst: Signal<In, Bit>,
    /// Actions in ticket order.
    pub s: StreamSink<Action>,
    /// Beats of the frames, in the same order.
    pub s_beats: StreamSink<Beat<N, K>>,
    /// Bus address of the slow-path slots.
    pub slow_base: Signal<In, Bits<64>>,
    /// log2 of the number of slots.
    pub slow_log2: Signal<In, Bits<5>>,
    /// Context 0 has room for [`planner::SLOW_PENDING`] records.
    pub slow_room: Signal<In, Bit>,
    /// Write requests.
    pub m_up: StreamSource<Up<N>>,
    /// Records to post.
    pub m_notice: StreamSource<Notice>,
    /// Headers to transmit, before their events are released.
    pub m_header: StreamSource<Header>,
    /// Pulse: the oldest header that is not released yet is.
    pub released: Signal<Out, Bit>,
    /// A frame is dropped.
    pub drop_valid: Signal<Out, Bit>,
    /// Why: always `interface::Drop::SlowPathFull`.
    pub drop_reason: Signal<Out, Bits<4>>,
    /// A segment's placement is planned.
    pub placed: Signal<Out, Bit>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    planner: Planner<K>,
    chunks: Fifo<Chunk>,
    engine: Engine<N, K>,
    tails: Fifo<Tail>,
    marks: Fifo<Bits<16>>,
    taken: DFF<Bits<16>>,
    /// The next chunk is that of a placement which begins there.
    coming: DFF<Bit>,
    coming_offset: DFF<Bits<11>>,
    notices: StreamRegister<Notice>,
    /// The record of a slow frame left a clock before: who takes it is known late in a clock.
    record_left: DFF<Bit>,
    in_frame: Assert,
    records_follow: Follows,
    headers_follow: Follows,
}

impl<const N: usize, const K: usize> PayloadWrite<N, K> {
    /// A stage that writes at most `max_payload` bytes a request: 128, 256 or 512.
    pub fn new(max_payload: usize) -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            s_beats: Default::default(),
            slow_base: Default::default(),
            slow_log2: Default::default(),
            slow_room: Default::default(),
            m_up: Default::default(),
            m_notice: Default::default(),
            m_header: Default::default(),
            released: Default::default(),
            drop_valid: Default::default(),
            drop_reason: Default::default(),
            placed: Default::default(),
            idle: Default::default(),
            planner: Planner::new(max_payload),
            chunks: Fifo::new(CHUNKS).with_output(FifoOutput::Forward),
            engine: Default::default(),
            tails: Fifo::new(EVENTS).with_output(FifoOutput::Forward),
            marks: Fifo::new(EVENTS).with_output(FifoOutput::Forward),
            taken: Default::default(),
            coming: Default::default(),
            coming_offset: Default::default(),
            notices: Default::default(),
            record_left: Default::default(),
            in_frame: Assert::new("a placement ends behind its frame"),
            records_follow: Follows::new(contracts::RECORD_FOLLOWS),
            headers_follow: Follows::new(contracts::HEADER_FOLLOWS),
        }
    }
}

impl<const N: usize, const K: usize> Logic for PayloadWrite<N, K> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, taken, coming, coming_offset, record_left);
        self.planner.clk.next = self.clk.val();
        self.planner.rst.next = self.rst.val();
        self.chunks.clk.next = self.clk.val();
        self.chunks.rst.next = self.rst.val();
        self.engine.clk.next = self.clk.val();
        self.engine.rst.next = self.rst.val();
        self.tails.clk.next = self.clk.val();
        self.tails.rst.next = self.rst.val();
        self.marks.clk.next = self.clk.val();
        self.marks.rst.next = self.rst.val();
        self.notices.clk.next = self.clk.val();
        self.notices.rst.next = self.rst.val();

        StreamSink::<Action>::link(&mut self.s, &mut self.planner.s);
        self.planner.slow_base.next = self.slow_base.val();
        self.planner.slow_log2.next = self.slow_log2.val();
        self.planner.slow_room.next = self.slow_room.val();
        self.drop_valid.next = self.planner.slow_full.val();
        self.drop_reason.next = bits::<4>(Drop::SlowPathFull as u64);
        self.placed.next = self.planner.placed.val();
        StreamSource::<Chunk>::join(&mut self.planner.m_chunk, &mut self.chunks.s);
        StreamSource::<Tail>::join(&mut self.planner.m_tail, &mut self.tails.s);
        StreamSource::<Chunk>::join(&mut self.chunks.m, &mut self.engine.s_chunk);
        // The planner is free: the next chunk is this action's.
        let next = self.s.data.val();
        let places = self.s.valid.val()
            & self.planner.idle.val()
            & next.frame
            & next.place
            & next.place_len.any()
            & !next.slow;
        let offset = next.place_offset.get_bits::<11>(0);
        let coming = self.coming.q.val();
        self.engine.ahead_valid.next = coming;
        self.engine.ahead.next = self.coming_offset.q.val();
        self.engine.offered_valid.next = places;
        self.engine.offered.next = offset;
        if places & self.planner.s.ready.val() {
            self.coming.d.next = true;
            self.coming_offset.d.next = offset;
        } else if self.chunks.m.valid.val() {
            self.coming.d.next = false;
        }
        StreamSink::<Beat<N, K>>::link(&mut self.s_beats, &mut self.engine.s_beats);
        StreamSource::<Bits<16>>::join(&mut self.engine.m_mark, &mut self.marks.s);
        StreamSource::<Up<N>>::link(&mut self.m_up, &mut self.engine.m_up);
        StreamSource::<Notice>::link(&mut self.m_notice, &mut self.notices.m);
        StreamSource::<Header>::link(&mut self.m_header, &mut self.planner.m_header);

        // Release. The marks of the events in the queues are at most 2^15 beats apart, so
        // the sign of the difference tells which count is ahead.
        if self.m_up.valid.val() & self.m_up.ready.val() {
            self.taken.d.next = self.taken.q.val() + bits::<16>(1);
        }
        let tail = self.tails.m.data.val();
        let reached = !(self.taken.q.val() - self.marks.m.data.val()).get_bit(15);
        let due = self.tails.m.valid.val() & (tail.bare | (self.marks.m.valid.val() & reached));
        let notice_waits = tail.notify & !self.notices.s.ready.val();
        let released = due & !notice_waits;
        self.tails.m.ready.next = released;
        self.marks.m.ready.next = released & !tail.bare;
        self.notices.s.data.next = tail.notice;
        self.notices.s.valid.next = released & tail.notify;
        self.released.next = released & tail.send;

        self.in_frame.clk.next = self.clk.val();
        self.in_frame.holds.next = self.rst.val() | !self.engine.overrun.val();

        // Contracts O3 and O4, in bytes: those that an action places are demanded, those of the
        // requests that left are served.
        let taken = self.s.valid.val() & self.planner.s.ready.val();
        let recorded = next.slow & self.slow_room.val();
        let mut demanded = bits::<16>(0);
        if taken & next.frame & recorded {
            demanded = bit_cast::<16, 14>(next.frame_len);
        } else if taken & next.frame & next.place & !next.slow {
            demanded = bit_cast::<16, 14>(next.place_len);
        }
        let leaving = self.engine.m_up.data.val();
        let mut written = bits::<16>(0);
        if self.engine.m_up.valid.val() & self.m_up.ready.val() & leaving.last {
            written = bit_cast::<16, 13>(leaving.bytes);
        }
        let announces = if next.slow { recorded } else { next.notify };
        self.records_follow.clk.next = self.clk.val();
        self.records_follow.rst.next = self.rst.val();
        self.records_follow.demand.next = demanded;
        self.records_follow.serve.next = written;
        self.records_follow.enter.next = taken & announces;
        self.records_follow.ticket.next = next.ticket;
        self.records_follow.flow.next = next.flow;
        self.records_follow.leave.next = self.notices.m.valid.val() & self.m_notice.ready.val();
        self.headers_follow.clk.next = self.clk.val();
        self.headers_follow.rst.next = self.rst.val();
        self.headers_follow.demand.next = demanded;
        self.headers_follow.serve.next = written;
        self.headers_follow.enter.next = taken & next.send;
        self.headers_follow.ticket.next = next.ticket;
        self.headers_follow.flow.next = next.flow;
        self.headers_follow.leave.next = released & tail.send;

        self.record_left.d.next = self.m_notice.valid.val()
            & self.m_notice.ready.val()
            & is_frame_record(self.m_notice.data.val());
        self.planner.record_left.next = self.record_left.q.val();
        self.idle.next = self.planner.idle.val()
            & (self.chunks.level.val() == bits::<16>(0))
            & self.engine.idle.val()
            & (self.tails.level.val() == bits::<16>(0))
            & (self.marks.level.val() == bits::<16>(0))
            & !self.notices.m.valid.val();
        if self.rst.val() {
            self.taken.d.next = bits::<16>(0);
            self.coming.d.next = false;
            self.record_left.d.next = false;
        }
    }
}

/// The record announces a slow-path frame.
#[hdl_fn]
fn is_frame_record(notice: Notice) -> Bit {
    notice.kind == bits::<8>(crate::interface::RecordKind::Frame as u64)
}
