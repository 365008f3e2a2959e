//! Ingress slot: the modules between the MAC and the parser, and what becomes of their
//! verdicts.
//!
//! ```text
//!              modules, in the order of the design point   verdict
//!       ┌────────────┐   ┌────────────┐                    ┌─ pass ─────► m
//!  s ──►│  module 0  ├──►│  module 1  ├──► … ──────────────┼─ redirect ─► m, redirect
//!       └────────────┘   └────────────┘                    ├─ drop ─────► drop_valid
//!                                                          └─ transmit ─► turn ─► m_turned
//! ```
//!
//! The wire cannot be held up: a module takes a beat in every clock, which an assertion
//! watches. A frame to transmit waits in `turn` until it is whole, because `eth_tx` has no
//! gaps inside a frame; one that finds no room there is dropped. Latency: the sum of the
//! modules'. A slot without modules is no slot, and there is none of this.

use super::frame_module::FrameModule;
use super::plan::{self, Station};
use super::port::{Access, DROP, PASS, Passing, REDIRECT, TRANSMIT};
use crate::channels::{Beat, Up};
use crate::stages::parse::FRAME_BYTES;
use hallux_hdl::prelude::*;

/// Frames of the largest size that may wait to be transmitted.
const TURNED_FRAMES: usize = 8;

/// See the [module](self).
#[derive(LogicBlock)]
pub struct Ingress<const N: usize, const K: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// Frames of the MAC; `ready` is constant 1.
    pub s: StreamSink<Beat<N, K>>,
    /// Frames to the parser; `ready` is taken for granted.
    pub m: StreamSource<Beat<N, K>>,
    /// The frame on `m` is for the control plane.
    pub redirect: Signal<Out, Bit>,
    /// Whole frames that leave by the wire again; where a module transmits.
    pub m_turned: Vec<StreamSource<Beat<N, K>>>,
    /// Register accesses of each module.
    pub access: Vec<Signal<In, Access>>,
    /// Their answers.
    pub answer: Vec<Signal<Out, Bits<64>>>,
    /// A frame is dropped.
    pub drop_valid: Signal<Out, Bit>,
    /// Time in ns, for each module that writes to the host.
    pub now: Vec<Signal<In, Bits<64>>>,
    /// Writes to the host of each such module.
    pub m_up: Vec<StreamSource<Up<N>>>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    chain: Vec<FrameModule<N, K>>,
    turn: Vec<Fifo<Beat<N, K>>>,
    /// Whole frames in `turn`.
    whole: Vec<DFF<Bits<16>>>,
    /// The next beat to be turned belongs to the frame before, which had room or not.
    turning: Vec<DFF<Bit>>,
    turned: Vec<DFF<Bit>>,
    dropped: DFF<Bit>,
    /// Which modules write to the host.
    _writers: Vec<usize>,
    takes: Assert,
    _room: usize,
}

impl<const N: usize, const K: usize> Ingress<N, K> {
    /// A slot with these modules, at least one.
    pub fn new(stations: &[Station]) -> Self {
        let turns = usize::from(stations.iter().any(|station| station.transmits));
        let beats = FRAME_BYTES as usize / K;
        let writers = plan::writers(stations);
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            m: Default::default(),
            redirect: Default::default(),
            m_turned: (0..turns).map(|_| Default::default()).collect(),
            access: stations.iter().map(|_| Default::default()).collect(),
            answer: stations.iter().map(|_| Default::default()).collect(),
            drop_valid: Default::default(),
            now: (0..writers.len()).map(|_| Default::default()).collect(),
            m_up: (0..writers.len()).map(|_| Default::default()).collect(),
            idle: Default::default(),
            chain: stations.iter().map(FrameModule::new).collect(),
            turn: (0..turns)
                .map(|_| Fifo::new(TURNED_FRAMES * beats))
                .collect(),
            whole: (0..turns).map(|_| Default::default()).collect(),
            turning: (0..turns).map(|_| Default::default()).collect(),
            turned: (0..turns).map(|_| Default::default()).collect(),
            dropped: Default::default(),
            _writers: writers,
            takes: Assert::new("a module at ingress holds up the wire"),
            _room: (TURNED_FRAMES - 1) * beats,
        }
    }
}

impl<const N: usize, const K: usize> Logic for Ingress<N, K> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, dropped);
        self.s.ready.next = true;
        let modules = self.chain.len();
        let mut rests = !self.dropped.q.val();
        for i in 0..modules {
            self.chain[i].clk.next = self.clk.val();
            self.chain[i].rst.next = self.rst.val();
            self.chain[i].access.next = self.access[i].val();
            self.answer[i].next = self.chain[i].answer.val();
            rests = rests & self.chain[i].idle.val();
        }
        self.chain[0].s.data.next = Passing::<N, K> {
            beat: self.s.data.val(),
            verdict: bits::<2>(PASS),
        };
        self.chain[0].s.valid.next = self.s.valid.val();
        for w in 0..self._writers.len() {
            let i = self._writers[w];
            self.chain[i].now[0].next = self.now[w].val();
            self.m_up[w].data.next = self.chain[i].m_up[0].data.val();
            self.m_up[w].valid.next = self.chain[i].m_up[0].valid.val();
            self.chain[i].m_up[0].ready.next = self.m_up[w].ready.val();
        }
        for i in 1..modules {
            join_streams!(self.chain[i - 1].m, self.chain[i].s);
        }
        self.chain[modules - 1].m.ready.next = true;
        let passing = self.chain[modules - 1].m.data.val();
        let valid = self.chain[modules - 1].m.valid.val();

        // Verdicts.
        let verdict = passing.verdict;
        let redirected = verdict == bits::<2>(REDIRECT);
        self.m.data.next = passing.beat;
        self.m.valid.next = valid & ((verdict == bits::<2>(PASS)) | redirected);
        self.redirect.next = redirected;
        let mut dropped = verdict == bits::<2>(DROP);
        for t in 0..self.turn.len() {
            dff_setup!(self, clk, whole[t], turning[t], turned[t]);
            self.turn[t].clk.next = self.clk.val();
            self.turn[t].rst.next = self.rst.val();
            let transmits = verdict == bits::<2>(TRANSMIT);
            let room = if self.turning[t].q.val() {
                self.turned[t].q.val()
            } else {
                self.turn[t].level.val() <= bits::<16>(self._room as u64)
            };
            let enters = valid & transmits & room;
            if valid & transmits {
                self.turning[t].d.next = !passing.beat.last;
                self.turned[t].d.next = room;
            }
            self.turn[t].s.data.next = passing.beat;
            self.turn[t].s.valid.next = enters;
            dropped = dropped | (transmits & !room);

            let some = self.whole[t].q.val().any();
            self.m_turned[t].data.next = self.turn[t].m.data.val();
            self.m_turned[t].valid.next = self.turn[t].m.valid.val() & some;
            self.turn[t].m.ready.next = self.m_turned[t].ready.val() & some;
            let left = self.m_turned[t].valid.val()
                & self.m_turned[t].ready.val()
                & self.turn[t].m.data.val().last;
            let came = enters & passing.beat.last;
            if came & !left {
                self.whole[t].d.next = self.whole[t].q.val() + bits::<16>(1);
            } else if left & !came {
                self.whole[t].d.next = self.whole[t].q.val() - bits::<16>(1);
            }
            rests = rests & !self.turn[t].level.val().any();
            if self.rst.val() {
                self.whole[t].d.next = bits::<16>(0);
                self.turning[t].d.next = false;
            }
        }
        self.dropped.d.next = valid & dropped & passing.beat.last;
        self.drop_valid.next = self.dropped.q.val();
        self.idle.next = rests;
        self.takes.clk.next = self.clk.val();
        self.takes.holds.next = self.rst.val() | !self.s.valid.val() | self.chain[0].s.ready.val();
        if self.rst.val() {
            self.dropped.d.next = false;
        }
    }
}
