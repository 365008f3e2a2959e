//! Engine of payload write: frame beats in, write beats out.
//!
//! ```text
//!  s_beats ─┬───────────────► merge ─► window ─► rotate, mask ─► StreamRegister ─► m_up
//!           └─► held ─────────► ▲
//!  s_chunk ─► position, shift ──┘                                              m_mark
//! ```
//!
//! `held` is the last beat taken of the frame. A window of up to a beat's bytes begins in the
//! held beat and may reach into the arriving one, or lies wholly in the arriving one; which of
//! them is compared at a chunk's first window only, the others follow from the one before. It
//! is emitted, and the arriving beat taken, in the same clock. Beats in front of the
//! placement are taken as they arrive. Behind the event's last window the rest of its
//! frame is drained. One window per clock and one beat per clock.
//!
//! Merging before rotating needs half the registers of shifting two beats: byte b of the
//! merged word is taken from the arriving beat if b is below the shift, and the rotation
//! brings it behind the held beat's bytes. While an event waits for its first chunk, the
//! beats up to that in which the placement begins are taken.

use super::planner::Chunk;
use crate::channels::{Beat, UP_WRITE, Up};
use crate::stages::octets::first_bits;
use hallux_hdl::prelude::*;

/// A window before rotation.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Window<const N: usize> {
    /// Held and arriving bytes, merged.
    pub data: Bits<N>,
    /// Bits to rotate right, less than those of a beat.
    pub right: Bits<10>,
    /// Bits to rotate left for the same.
    pub left: Bits<11>,
    /// Bytes in use, 1 to those of a beat.
    pub bytes: Bits<8>,
    /// Address of the request.
    pub address: Bits<64>,
    /// Bytes of the request.
    pub length: Bits<10>,
    /// Last of the request.
    pub last: Bit,
}

/// See the [module](self).
#[derive(LogicBlock)]
pub struct Engine<const N: usize, const K: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// Chunks of the events, in ticket order.
    pub s_chunk: StreamSink<Chunk>,
    /// The event behind those of `s_chunk` begins with a placement at offset `ahead`, and
    /// no other is between.
    pub ahead_valid: Signal<In, Bit>,
    /// Byte offset in its frame.
    pub ahead: Signal<In, Bits<11>>,
    /// The same of an event that is only being offered; heeded where `ahead_valid` is not set.
    pub offered_valid: Signal<In, Bit>,
    /// Byte offset in its frame.
    pub offered: Signal<In, Bits<11>>,
    /// Beats of their frames.
    pub s_beats: StreamSink<Beat<N, K>>,
    /// Write requests.
    pub m_up: StreamSource<Up<N>>,
    /// In the clock after the end of each event, and never waiting: write beats emitted so
    /// far, modulo 2^16.
    pub m_mark: StreamSource<Bits<16>>,
    /// A placement ends behind its frame: a mistake upstream, and the stage hangs.
    pub overrun: Signal<Out, Bit>,
    /// Nothing is held; a taken beat of a finished frame does not count.
    pub idle: Signal<Out, Bit>,
    held: DFF<Bits<N>>,
    // Beats taken of the frame.
    taken: DFF<Bits<7>>,
    // Number of the last of them, the held one; all ones if there is none.
    last_taken: DFF<Bits<7>>,
    // The last beat of the frame is taken.
    over: DFF<Bit>,
    // Windows of the chunk emitted.
    index: DFF<Bits<4>>,
    // Behind the first window: the next one begins in the held beat.
    follows: DFF<Bit>,
    // All windows of the event are emitted, its frame is not over.
    draining: DFF<Bit>,
    emitted: DFF<Bits<16>>,
    // An event ended.
    ended: DFF<Bit>,
    mark_fits: Assert,
    window: DFF<Window<N>>,
    window_valid: DFF<Bit>,
    outgoing: StreamRegister<Up<N>>,
}

impl<const N: usize, const K: usize> Default for Engine<N, K> {
    fn default() -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s_chunk: Default::default(),
            ahead_valid: Default::default(),
            ahead: Default::default(),
            offered_valid: Default::default(),
            offered: Default::default(),
            s_beats: Default::default(),
            m_up: Default::default(),
            m_mark: Default::default(),
            overrun: Default::default(),
            idle: Default::default(),
            held: Default::default(),
            taken: Default::default(),
            last_taken: Default::default(),
            over: Default::default(),
            index: Default::default(),
            follows: Default::default(),
            draining: Default::default(),
            emitted: Default::default(),
            ended: Default::default(),
            mark_fits: Assert::new("an event's mark finds no place behind the engine"),
            window: Default::default(),
            window_valid: Default::default(),
            outgoing: Default::default(),
        }
    }
}

/// A beat lies before the byte at `offset`, or holds it.
#[hdl_fn]
fn is_before<const K: usize>(beat: Bits<7>, offset: Bits<11>) -> Bit {
    beat <= (offset >> K.trailing_zeros() as u64).get_bits::<7>(0)
}

impl<const N: usize, const K: usize> Logic for Engine<N, K> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self,
            clk,
            held,
            taken,
            last_taken,
            over,
            index,
            follows,
            draining,
            emitted,
            ended,
            window,
            window_valid
        );
        self.outgoing.clk.next = self.clk.val();
        self.outgoing.rst.next = self.rst.val();

        // Where the next window lies. Behind a chunk's first window one that does not begin
        // in the held beat begins with the arriving one.
        let chunk = self.s_chunk.data.val();
        let beat = bit_cast::<7, 6>(chunk.beat);
        let first = !self.index.q.val().any();
        let final_window = self.index.q.val() == chunk.windows;
        let whole = bits::<8>(K as u64);
        let reaches_next = if final_window {
            chunk.tail_reaches
        } else {
            chunk.shift.any()
        };
        let ends_beat = !final_window | chunk.tail_ends;
        let starts_held = if first {
            self.last_taken.q.val() == beat
        } else {
            self.follows.q.val()
        };
        let in_arriving = if first {
            self.taken.q.val() == beat
        } else {
            !self.follows.q.val()
        };

        // Where its bytes are.
        let offered = self.s_beats.valid.val() & !self.over.q.val();
        let starts_arriving = in_arriving & !reaches_next;
        let present = if starts_held {
            offered | !reaches_next
        } else {
            starts_arriving & offered
        };

        // Emit, take, finish.
        let active = self.s_chunk.valid.val();
        let writing = chunk.write & !self.draining.q.val();
        let free = !self.window_valid.q.val() | self.outgoing.s.ready.val();
        let emits = active & writing & present & free;
        let takes = if !writing {
            active & offered
        } else if starts_held {
            emits & offered & ends_beat
        } else {
            active & offered & (emits | !starts_arriving)
        };
        // While the first chunk is on its way, the beats in front of it, and the one in
        // which it begins, are taken already.
        let taken = self.taken.q.val();
        let early = !active
            & offered
            & (if self.ahead_valid.val() {
                is_before::<K>(taken, self.ahead.val())
            } else {
                self.offered_valid.val() & is_before::<K>(taken, self.offered.val())
            });
        // No event ends with them.
        let frame_over = self.over.q.val() | (takes & self.s_beats.data.val().last);
        let chunk_written = emits & final_window;
        let event_written = (chunk_written & chunk.last) | (active & !writing);
        let event_over = event_written & frame_over;
        self.s_chunk.ready.next = event_over | (chunk_written & !chunk.last);

        let takes = takes | early;
        self.s_beats.ready.next = takes;
        if takes {
            self.held.d.next = self.s_beats.data.val().data;
            self.taken.d.next = self.taken.q.val() + bits::<7>(1);
            self.last_taken.d.next = self.taken.q.val();
            self.over.d.next = self.s_beats.data.val().last;
        }
        if emits {
            self.index.d.next = self.index.q.val() + bits::<4>(1);
            self.follows.d.next = starts_held & offered & ends_beat;
        }
        if chunk_written {
            self.index.d.next = bits::<4>(0);
        }
        if event_written {
            self.draining.d.next = !frame_over;
        }
        if event_over {
            self.taken.d.next = bits::<7>(0);
            self.last_taken.d.next = !bits::<7>(0);
            self.over.d.next = false;
        }

        // The merged window, then the write beat.
        if free {
            self.window_valid.d.next = emits;
        }
        if emits {
            let from_arriving = if starts_held {
                bit_cast::<8, 7>(chunk.shift)
            } else {
                whole
            };
            let arriving = first_bits::<N>(from_arriving);
            let right = cat::<7, 3, 10>(chunk.shift, bits::<3>(0));
            self.window.d.next = Window::<N> {
                data: (self.s_beats.data.val().data & arriving) | (self.held.q.val() & !arriving),
                right,
                left: bits::<11>(N as u64) - bit_cast::<11, 10>(right),
                bytes: if final_window { chunk.tail } else { whole },
                address: chunk.address,
                length: chunk.length,
                last: final_window,
            };
        }
        let window = self.window.q.val();
        let rotated = (window.data >> window.right) | (window.data << window.left);
        self.outgoing.s.data.next = Up::<N> {
            kind: bits::<2>(UP_WRITE),
            address: window.address,
            bytes: bit_cast::<13, 10>(window.length),
            tag: bits::<8>(0),
            vector: bits::<8>(0),
            data: rotated & first_bits::<N>(window.bytes),
            last: window.last,
        };
        self.outgoing.s.valid.next = self.window_valid.q.val();
        StreamSource::<Up<N>>::link(&mut self.m_up, &mut self.outgoing.m);

        if emits {
            self.emitted.d.next = self.emitted.q.val() + bits::<16>(1);
        }
        self.ended.d.next = event_over;
        self.m_mark.data.next = self.emitted.q.val();
        self.m_mark.valid.next = self.ended.q.val();
        // Each mark belongs to a tail, and there are as many places for one as for the other.
        self.mark_fits.clk.next = self.clk.val();
        self.mark_fits.holds.next = self.rst.val() | !self.ended.q.val() | self.m_mark.ready.val();
        self.overrun.next = active & writing & self.over.q.val() & !present;
        self.idle.next =
            !self.s_chunk.valid.val() & !self.window_valid.q.val() & !self.outgoing.m.valid.val();

        if self.rst.val() {
            self.taken.d.next = bits::<7>(0);
            self.last_taken.d.next = !bits::<7>(0);
            self.over.d.next = false;
            self.index.d.next = bits::<4>(0);
            self.follows.d.next = false;
            self.ended.d.next = false;
            self.draining.d.next = false;
            self.emitted.d.next = bits::<16>(0);
            self.window_valid.d.next = false;
        }
    }
}
