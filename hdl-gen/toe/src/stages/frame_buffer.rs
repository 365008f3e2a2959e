//! Frame buffer: the beats of received frames wait here for the protocol's outcome.
//!
//! ```text
//!            ┌─────────────┐
//!  s ─Beat──►│ Fifo<Beat>  ├─Beat─► m
//!            └──────┬──────┘
//!  room ◄─ beats ─ level ─► idle
//! ```
//!
//! A plain FIFO, because everything a frame causes stays in ticket order: payload write
//! takes the frames one after another. Initiation interval 1; latency that of [`Fifo`].
//! The parser admits a frame only when `room` covers it whole, so `s` never stalls.
//! `room` counts the beats written up to the clock before the last one.

use crate::channels::Beat;
use hallux_hdl::prelude::*;

/// See the [module](self).
#[derive(LogicBlock)]
pub struct FrameBuffer<const N: usize, const K: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// Beats of admitted frames.
    pub s: StreamSink<Beat<N, K>>,
    /// The same beats.
    pub m: StreamSource<Beat<N, K>>,
    /// Free beats.
    pub room: Signal<Out, Bits<16>>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    beats: Fifo<Beat<N, K>>,
    free: DFF<Bits<16>>,
    _capacity: usize,
}

impl<const N: usize, const K: usize> FrameBuffer<N, K> {
    /// A buffer of `beats` beats: at least one largest frame and what is in flight
    /// towards the buffer, and at most 65535.
    pub fn new(beats: usize) -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            m: Default::default(),
            room: Default::default(),
            idle: Default::default(),
            beats: Fifo::new(beats),
            free: Default::default(),
            _capacity: beats,
        }
    }
}

impl<const N: usize, const K: usize> Logic for FrameBuffer<N, K> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, free);
        let capacity = bits::<16>(self._capacity as u64);
        self.beats.clk.next = self.clk.val();
        self.beats.rst.next = self.rst.val();
        StreamSink::<Beat<N, K>>::link(&mut self.s, &mut self.beats.s);
        StreamSource::<Beat<N, K>>::link(&mut self.m, &mut self.beats.m);
        self.free.d.next = capacity - self.beats.level.val();
        self.room.next = self.free.q.val();
        self.idle.next = !self.beats.level.val().any() & (self.free.q.val() == capacity);
        if self.rst.val() {
            self.free.d.next = capacity;
        }
    }
}
