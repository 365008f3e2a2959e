//! Several channels on one, and one on several.
//!
//! ```text
//!            ┌─────┐                     ┌───────┐
//!  s[0] ────►│     │                     │       ├────► m[0]
//!  s[1] ────►│ mux ├────► m       s ────►│ demux ├────► m[1]
//!   …   ────►│     │                     │       ├────►  …
//!            └──▲──┘                     └───▲───┘
//!             select                       select
//! ```
//!
//! Combinational: latency 0, initiation interval 1; data, valid and ready pass through.
//! `select` must not change while the chosen word waits to be taken. A number without a
//! channel stops the traffic. [`StreamMerge`] chooses by itself, each channel in turn, and
//! keeps its choice until the word is taken.

use super::RoundRobin;
use crate::prelude::*;

/// Most channels on the wide side.
const MOST: usize = 16;

fn checked(count: usize) -> usize {
    assert!(
        (1..=MOST).contains(&count),
        "a stream multiplexer has 1 to {MOST} channels, not {count}"
    );
    count
}

/// Passes the words of the channel that `select` names. See the [module](self).
#[derive(LogicBlock)]
pub struct StreamMux<T: Synth> {
    /// Number of the channel.
    pub select: Signal<In, Bits<4>>,
    /// Words in.
    pub s: Vec<StreamSink<T>>,
    /// Words out.
    pub m: StreamSource<T>,
}

impl<T: Synth> StreamMux<T> {
    /// A multiplexer of `count` channels.
    ///
    /// # Panics
    /// If `count` is not 1 to 16.
    pub fn new(count: usize) -> Self {
        Self {
            select: Signal::default(),
            s: vec![StreamSink::default(); checked(count)],
            m: StreamSource::default(),
        }
    }
}

impl<T: Synth> Logic for StreamMux<T> {
    #[hdl]
    fn update(&mut self) {
        let select = self.select.val();
        let mut data = self.s[0].data.val();
        let mut valid = false;
        for i in 0..self.s.len() {
            let chosen = select == bits::<4>(i as u64);
            if chosen {
                data = self.s[i].data.val();
                valid = self.s[i].valid.val();
            }
            self.s[i].ready.next = chosen & self.m.ready.val();
        }
        self.m.data.next = data;
        self.m.valid.next = valid;
    }
}

/// Passes words to the channel that `select` names. See the [module](self).
#[derive(LogicBlock)]
pub struct StreamDemux<T: Synth> {
    /// Number of the channel.
    pub select: Signal<In, Bits<4>>,
    /// Words in.
    pub s: StreamSink<T>,
    /// Words out.
    pub m: Vec<StreamSource<T>>,
}

impl<T: Synth> StreamDemux<T> {
    /// A demultiplexer of `count` channels.
    ///
    /// # Panics
    /// If `count` is not 1 to 16.
    pub fn new(count: usize) -> Self {
        Self {
            select: Signal::default(),
            s: StreamSink::default(),
            m: vec![StreamSource::default(); checked(count)],
        }
    }
}

impl<T: Synth> Logic for StreamDemux<T> {
    #[hdl]
    fn update(&mut self) {
        let select = self.select.val();
        let mut ready = false;
        for i in 0..self.m.len() {
            let chosen = select == bits::<4>(i as u64);
            if chosen {
                ready = self.m[i].ready.val();
            }
            self.m[i].data.next = self.s.data.val();
            self.m[i].valid.next = chosen & self.s.valid.val();
        }
        self.s.ready.next = ready;
    }
}

/// Passes words of all channels, each channel in turn. See the [module](self).
#[derive(LogicBlock)]
pub struct StreamMerge<T: Synth> {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high.
    pub rst: Signal<In, Bit>,
    /// Words in.
    pub s: Vec<StreamSink<T>>,
    /// Words out.
    pub m: StreamSource<T>,
    /// The channel of the word on `m`.
    pub index: Signal<Out, Bits<4>>,
    arbiter: RoundRobin,
    mux: StreamMux<T>,
    /// A word was offered and not taken: the choice stands.
    offered: DFF<Bit>,
    choice: DFF<Bits<4>>,
}

impl<T: Synth> StreamMerge<T> {
    /// Merges `count` channels.
    ///
    /// # Panics
    /// If `count` is not 1 to 16.
    pub fn new(count: usize) -> Self {
        Self {
            clk: Signal::default(),
            rst: Signal::default(),
            s: vec![StreamSink::default(); checked(count)],
            m: StreamSource::default(),
            index: Signal::default(),
            arbiter: RoundRobin::new(count),
            mux: StreamMux::new(count),
            offered: DFF::default(),
            choice: DFF::default(),
        }
    }
}

impl<T: Synth> Logic for StreamMerge<T> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, offered, choice);
        self.arbiter.clk.next = self.clk.val();
        self.arbiter.rst.next = self.rst.val();
        let mut request = bits::<16>(0);
        for i in 0..self.s.len() {
            request.set_bits::<1>(i, bit(self.s[i].valid.val()));
            self.s[i].link(&mut self.mux.s[i]);
        }
        self.arbiter.request.next = request;
        let index = if self.offered.q.val() {
            self.choice.q.val()
        } else {
            self.arbiter.index.val()
        };
        self.mux.select.next = index;
        self.index.next = index;
        self.m.link(&mut self.mux.m);
        let waits = self.mux.m.valid.val() & !self.m.ready.val();
        // The turn passes when a choice is made, not when the word is taken.
        self.arbiter.advance.next = !self.offered.q.val();
        self.offered.d.next = waits;
        if waits {
            self.choice.d.next = index;
        }
        if self.rst.val() {
            self.offered.d.next = false;
        }
    }
}
