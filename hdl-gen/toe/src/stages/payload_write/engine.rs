//! Engine of payload write: frame beats in, write beats out.
//!
//! ```text
//!  s_beats ─┬───────────────► merge ─► window ─► rotate, mask ─► StreamRegister ─► m_up
//!           └─► held ─────────► ▲
//!  s_chunk ─► position, shift ──┘                                              m_mark
//! ```
//!
//! `held` is the last beat taken of the frame. A window of up to a beat's bytes begins in the
//! held beat and may reach into the arriving one, or lies wholly in the arriving one; it
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
    /// Bytes to rotate right, less than those of a beat.
    pub shift: Bits<7>,
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
#[derive(LogicBlock, Default)]
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
    /// Beats of their frames.
    pub s_beats: StreamSink<Beat<N, K>>,
    /// Write requests.
    pub m_up: StreamSource<Up<N>>,
    /// At the end of each event: write beats emitted so far, modulo 2^16.
    pub m_mark: StreamSource<Bits<16>>,
    /// A placement ends behind its frame: a mistake upstream, and the stage hangs.
    pub overrun: Signal<Out, Bit>,
    /// Nothing is held; a taken beat of a finished frame does not count.
    pub idle: Signal<Out, Bit>,
    held: DFF<Bits<N>>,
    // Beats taken of the frame; the held one is the last of them.
    taken: DFF<Bits<6>>,
    // The last beat of the frame is taken.
    over: DFF<Bit>,
    // Bytes of the chunk written.
    written: DFF<Bits<10>>,
    // All windows of the event are emitted, its frame is not over.
    draining: DFF<Bit>,
    emitted: DFF<Bits<16>>,
    window: DFF<Window<N>>,
    window_valid: DFF<Bit>,
    outgoing: StreamRegister<Up<N>>,
}

impl<const N: usize, const K: usize> Logic for Engine<N, K> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self,
            clk,
            held,
            taken,
            over,
            written,
            draining,
            emitted,
            window,
            window_valid
        );
        self.outgoing.clk.next = self.clk.val();
        self.outgoing.rst.next = self.rst.val();

        // Where the next window lies.
        let chunk = self.s_chunk.data.val();
        let position = chunk.offset + bit_cast::<11, 10>(self.written.q.val());
        let beat = (position >> K.trailing_zeros() as u64).get_bits::<6>(0);
        let shift = position.get_bits::<7>(0) & bits::<7>(K as u64 - 1);
        let left = chunk.length - self.written.q.val();
        let whole = bits::<8>(K as u64);
        let final_window = left <= bits::<10>(K as u64);
        let bytes = if final_window {
            left.get_bits::<8>(0)
        } else {
            whole
        };
        let end = bit_cast::<8, 7>(shift) + bytes;
        let reaches_next = end > whole;
        let ends_beat = end >= whole;

        // Where its bytes are.
        let offered = self.s_beats.valid.val() & !self.over.q.val();
        let starts_held = self.taken.q.val() == beat + bits::<6>(1);
        let starts_arriving = (self.taken.q.val() == beat) & !reaches_next;
        let present = if starts_held {
            offered | !reaches_next
        } else {
            starts_arriving & offered
        };

        // Emit, take, finish.
        let active = self.s_chunk.valid.val() & self.m_mark.ready.val();
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
        let early = !self.s_chunk.valid.val()
            & self.ahead_valid.val()
            & offered
            & (self.taken.q.val()
                <= (self.ahead.val() >> K.trailing_zeros() as u64).get_bits::<6>(0));
        let takes = takes | early;
        self.s_beats.ready.next = takes;
        let frame_over = self.over.q.val() | (takes & self.s_beats.data.val().last);
        let chunk_written = emits & final_window;
        let event_written = (chunk_written & chunk.last) | (active & !writing);
        let event_over = event_written & frame_over;
        self.s_chunk.ready.next = event_over | (chunk_written & !chunk.last);

        if takes {
            self.held.d.next = self.s_beats.data.val().data;
            self.taken.d.next = self.taken.q.val() + bits::<6>(1);
            self.over.d.next = self.s_beats.data.val().last;
        }
        if emits {
            self.written.d.next = self.written.q.val() + bit_cast::<10, 8>(bytes);
        }
        if chunk_written {
            self.written.d.next = bits::<10>(0);
        }
        if event_written {
            self.draining.d.next = !frame_over;
        }
        if event_over {
            self.taken.d.next = bits::<6>(0);
            self.over.d.next = false;
        }

        // The merged window, then the write beat.
        if free {
            self.window_valid.d.next = emits;
        }
        if emits {
            let from_arriving = if starts_held {
                bit_cast::<8, 7>(shift)
            } else {
                whole
            };
            let arriving = first_bits::<N>(from_arriving);
            self.window.d.next = Window::<N> {
                data: (self.s_beats.data.val().data & arriving) | (self.held.q.val() & !arriving),
                shift,
                bytes,
                address: chunk.address,
                length: chunk.length,
                last: final_window,
            };
        }
        let window = self.window.q.val();
        let right = cat::<7, 3, 10>(window.shift, bits::<3>(0));
        let wrapped = bits::<11>(N as u64) - bit_cast::<11, 10>(right);
        let rotated = (window.data >> right) | (window.data << wrapped);
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

        let emitted = if emits {
            self.emitted.q.val() + bits::<16>(1)
        } else {
            self.emitted.q.val()
        };
        self.emitted.d.next = emitted;
        self.m_mark.data.next = emitted;
        self.m_mark.valid.next = event_over;
        self.overrun.next = active & writing & self.over.q.val() & !present;
        self.idle.next =
            !self.s_chunk.valid.val() & !self.window_valid.q.val() & !self.outgoing.m.valid.val();

        if self.rst.val() {
            self.taken.d.next = bits::<6>(0);
            self.over.d.next = false;
            self.written.d.next = bits::<10>(0);
            self.draining.d.next = false;
            self.emitted.d.next = bits::<16>(0);
            self.window_valid.d.next = false;
        }
    }
}
