//! Route: hands each segment and the beats of its frame to its flow group.
//!
//! ```text
//!              ┌───────┐   ┌──────────────┐
//!  s ─Segment─►│ group ├──►│ FIFO a group ├─► m[g]        flow id within the group
//!              └───┬───┘   └──────────────┘
//!                  ▼       ┌──────────────┐
//!  s_beats ───────────────►│ FIFO a group ├─► m_beats[g]
//!                          └──────────────┘
//! ```
//!
//! The low bits of a flow id name its group; frames without a connection go to group 0.
//! A frame takes as many cycles as it has beats. A group whose FIFO is full holds up the
//! frames behind it. Latency 2.

use crate::channels::{Beat, CLASS_FAST, Segment};
use hallux_hdl::prelude::*;

/// Segments that may wait in front of a group.
const SEGMENTS: usize = 64;

/// See the [module](self).
#[derive(LogicBlock)]
pub struct Route<const N: usize, const K: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high.
    pub rst: Signal<In, Bit>,
    /// Segments in arrival order.
    pub s: StreamSink<Segment>,
    /// Beats of their frames.
    pub s_beats: StreamSink<Beat<N, K>>,
    /// Segments of each group.
    pub m: Vec<StreamSource<Segment>>,
    /// Beats of their frames.
    pub m_beats: Vec<StreamSource<Beat<N, K>>>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    /// The beats of a frame are passing to `target`.
    moving: DFF<Bit>,
    target: DFF<Bits<3>>,
    segments: Vec<Fifo<Segment>>,
    beats: Vec<Fifo<Beat<N, K>>>,
    _groups: usize,
}

impl<const N: usize, const K: usize> Route<N, K> {
    /// For `groups` groups (2, 4 or 8), with `beats` beats in front of each.
    pub fn new(groups: usize, beats: usize) -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            s_beats: Default::default(),
            m: (0..groups).map(|_| Default::default()).collect(),
            m_beats: (0..groups).map(|_| Default::default()).collect(),
            idle: Default::default(),
            moving: Default::default(),
            target: Default::default(),
            segments: (0..groups).map(|_| Fifo::new(SEGMENTS)).collect(),
            beats: (0..groups).map(|_| Fifo::new(beats)).collect(),
            _groups: groups,
        }
    }
}

impl<const N: usize, const K: usize> Logic for Route<N, K> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, moving, target);
        let shift = self._groups.trailing_zeros() as u64;
        let segment = self.s.data.val();
        let fast = segment.summary.class == bits::<2>(CLASS_FAST);
        let group = if fast {
            segment.flow.get_bits::<3>(0) & bits::<3>(self._groups as u64 - 1)
        } else {
            bits::<3>(0)
        };
        let mut local = segment;
        local.flow = segment.flow >> shift;

        // Pass the beats of the frame before.
        let moving = self.moving.q.val();
        let mut beat_fits = false;
        let mut segment_fits = false;
        for i in 0..self._groups {
            self.segments[i].clk.next = self.clk.val();
            self.segments[i].rst.next = self.rst.val();
            self.beats[i].clk.next = self.clk.val();
            self.beats[i].rst.next = self.rst.val();
            if self.target.q.val() == bits::<3>(i as u64) {
                beat_fits = self.beats[i].s.ready.val();
            }
            if group == bits::<3>(i as u64) {
                segment_fits = self.segments[i].s.ready.val();
            }
        }
        let passes = moving & beat_fits;
        let ends = passes & self.s_beats.valid.val() & self.s_beats.data.val().last;
        self.s_beats.ready.next = passes;
        let takes = (!moving | ends) & segment_fits;
        self.s.ready.next = takes;
        let taken = takes & self.s.valid.val();
        for i in 0..self._groups {
            self.beats[i].s.data.next = self.s_beats.data.val();
            self.beats[i].s.valid.next =
                moving & self.s_beats.valid.val() & (self.target.q.val() == bits::<3>(i as u64));
            self.segments[i].s.data.next = local;
            self.segments[i].s.valid.next = taken & (group == bits::<3>(i as u64));
        }
        if ends {
            self.moving.d.next = false;
        }
        if taken {
            self.moving.d.next = true;
            self.target.d.next = group;
        }

        let mut held = moving;
        for i in 0..self._groups {
            self.m[i].data.next = self.segments[i].m.data.val();
            self.m[i].valid.next = self.segments[i].m.valid.val();
            self.segments[i].m.ready.next = self.m[i].ready.val();
            self.m_beats[i].data.next = self.beats[i].m.data.val();
            self.m_beats[i].valid.next = self.beats[i].m.valid.val();
            self.beats[i].m.ready.next = self.m_beats[i].ready.val();
            held = held | self.segments[i].level.val().any() | self.beats[i].level.val().any();
        }
        self.idle.next = !held;
        if self.rst.val() {
            self.moving.d.next = false;
        }
    }
}
