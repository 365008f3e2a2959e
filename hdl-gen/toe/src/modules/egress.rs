//! Egress slot: the modules between assembly and the MAC.
//!
//! ```text
//!  turned ──►┌────────┐   ┌──────────┐   ┌──────────┐
//!            │ gather ├──►│ module 0 ├──►│ module 1 ├──► … ──┬─ pass ─► m
//!  s ───────►└────────┘   └──────────┘   └──────────┘        └─ drop ─► drop_valid
//! ```
//!
//! Frames that a module at ingress sends back join first, so that what stands here sees
//! every frame of the wire. `eth_tx` has no gap inside a frame: a module gives a beat a clock
//! once it has begun one. Latency: the sum of the modules', and one clock of `gather`.

use super::frame_module::FrameModule;
use super::plan::{self, Station};
use super::port::{Access, DROP, PASS, Passing};
use crate::channels::{Beat, Up};
use crate::stages::gather::Gather;
use hallux_hdl::prelude::*;

/// See the [module](self).
#[derive(LogicBlock)]
pub struct Egress<const N: usize, const K: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// Frames of the groups.
    pub s: StreamSink<Beat<N, K>>,
    /// Frames that come back from ingress; where a module there transmits.
    pub s_turned: Vec<StreamSink<Beat<N, K>>>,
    /// Frames to the MAC.
    pub m: StreamSource<Beat<N, K>>,
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
    join: Vec<Gather<Beat<N, K>>>,
    chain: Vec<FrameModule<N, K>>,
    dropped: DFF<Bit>,
    /// Which modules write to the host.
    _writers: Vec<usize>,
}

impl<const N: usize, const K: usize> Egress<N, K> {
    /// A slot with these modules, in front of which frames of ingress join if it `joins`.
    pub fn new(stations: &[Station], joins: bool) -> Self {
        let joins = usize::from(joins);
        let writers = plan::writers(stations);
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            s_turned: (0..joins).map(|_| Default::default()).collect(),
            m: Default::default(),
            access: stations.iter().map(|_| Default::default()).collect(),
            answer: stations.iter().map(|_| Default::default()).collect(),
            drop_valid: Default::default(),
            now: (0..writers.len()).map(|_| Default::default()).collect(),
            m_up: (0..writers.len()).map(|_| Default::default()).collect(),
            idle: Default::default(),
            join: (0..joins).map(|_| Gather::new(2)).collect(),
            chain: stations.iter().map(FrameModule::new).collect(),
            dropped: Default::default(),
            _writers: writers,
        }
    }
}

impl<const N: usize, const K: usize> Logic for Egress<N, K> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, dropped);
        let modules = self.chain.len();
        let mut rests = !self.dropped.q.val();
        for i in 0..modules {
            self.chain[i].clk.next = self.clk.val();
            self.chain[i].rst.next = self.rst.val();
            self.chain[i].access.next = self.access[i].val();
            self.answer[i].next = self.chain[i].answer.val();
            rests = rests & self.chain[i].idle.val();
        }
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
        for j in 0..self.join.len() {
            self.join[j].clk.next = self.clk.val();
            self.join[j].rst.next = self.rst.val();
            join_streams!(self.s, self.join[j].s[0]);
            self.join[j].last[0].next = self.s.data.val().last;
            join_streams!(self.s_turned[j], self.join[j].s[1]);
            self.join[j].last[1].next = self.s_turned[j].data.val().last;
            rests = rests & self.join[j].idle.val();
            if modules == 0 {
                self.m.data.next = self.join[j].m.data.val();
                self.m.valid.next = self.join[j].m.valid.val();
                self.join[j].m.ready.next = self.m.ready.val();
            } else {
                self.chain[0].s.data.next = Passing::<N, K> {
                    beat: self.join[j].m.data.val(),
                    verdict: bits::<2>(PASS),
                };
                self.chain[0].s.valid.next = self.join[j].m.valid.val();
                self.join[j].m.ready.next = self.chain[0].s.ready.val();
            }
        }
        if self.join.len() == 0 {
            self.chain[0].s.data.next = Passing::<N, K> {
                beat: self.s.data.val(),
                verdict: bits::<2>(PASS),
            };
            self.chain[0].s.valid.next = self.s.valid.val();
            self.s.ready.next = self.chain[0].s.ready.val();
        }
        self.dropped.d.next = false;
        if modules > 0 {
            let passing = self.chain[modules - 1].m.data.val();
            let valid = self.chain[modules - 1].m.valid.val();
            let drops = passing.verdict == bits::<2>(DROP);
            self.m.data.next = passing.beat;
            self.m.valid.next = valid & !drops;
            self.chain[modules - 1].m.ready.next = self.m.ready.val() | drops;
            self.dropped.d.next = valid & drops & passing.beat.last;
        }
        self.drop_valid.next = self.dropped.q.val();
        self.idle.next = rests;
        if self.rst.val() {
            self.dropped.d.next = false;
        }
    }
}
