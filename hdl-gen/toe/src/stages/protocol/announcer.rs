//! The last steps of the stage, behind the state: *survey*, *draft* and *announce*, and the queue
//! of outcomes.
//!
//! ```text
//!  settled ─► survey ─► draft ─► announce ─► FIFO ─► m
//!                         ▲         │
//!                 edges ──┴─────────┘
//! ```
//!
//! What the steps work out is in [`outcome`](super::outcome). The advertised edges have a memory
//! and a recurrence of their own, one step deep.

use super::exchange::{Progress, advanced, asks, puts};
use super::outcome::{Draft, Survey, announce, draft, survey};
use super::settled::Settled;
use super::work::Decoded;
use crate::channels::{KIND_CMD, KIND_HC, KIND_RX, KIND_TX, Outcome};
use crate::interface::notice;
use hallux_hdl::prelude::*;

/// Words of the outcome FIFO.
const OUTCOMES: usize = 32;
/// Outcomes that may be under way to the FIFO when its level is read: one in each register of the
/// stage, one held at its entrance, and two to spare.
const UNDER_WAY: usize = 13;

/// See the [module](self).
#[derive(LogicBlock, Default)]
pub struct Announcer {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// An event has settled.
    pub valid: Signal<In, Bit>,
    /// The event.
    pub decoded: Signal<In, Decoded>,
    /// Its state and what follows.
    pub settled: Signal<In, Settled>,
    /// Time in ns.
    pub now: Signal<In, Bits<64>>,
    /// Outcomes.
    pub m: StreamSource<Outcome>,
    /// No further event may begin.
    pub full: Signal<Out, Bit>,
    /// Nothing is held inside.
    pub idle: Signal<Out, Bit>,
    /// Pulse: an event of kind RX passed.
    pub count_rx: Signal<Out, Bit>,
    /// Pulse: an event of kind TX passed.
    pub count_tx: Signal<Out, Bit>,
    /// Pulse: an event of kind HC passed.
    pub count_hc: Signal<Out, Bit>,
    /// Pulse: an event of kind CMD passed.
    pub count_cmd: Signal<Out, Bit>,
    /// Pulse: a fast retransmission began.
    pub count_fast_retransmit: Signal<Out, Bit>,
    /// Pulse: an event met a closed flow id or another generation.
    pub count_stale: Signal<Out, Bit>,
    /// With a state cache: the edge of a slot is to be exchanged, until `exchanged`.
    pub offers: Vec<Signal<In, Bit>>,
    /// The slot.
    pub slot: Vec<Signal<In, Bits<16>>>,
    /// Its new edge.
    pub fill: Vec<Signal<In, Bits<32>>>,
    /// The new edge is in the memory.
    pub put: Vec<Signal<Out, Bit>>,
    /// The edge that it replaced.
    pub evicted: Vec<Signal<Out, Bits<32>>>,
    /// The exchange is over.
    pub exchanged: Vec<Signal<In, Bit>>,

    edges: Ram<Bits<32>, 16>,
    outcomes: Fifo<Outcome>,

    /// *draft*.
    surveyed: DFF<Survey>,
    surveyed_valid: DFF<Bit>,

    /// *announce*, with the advertised edge so far.
    drafted: DFF<Draft>,
    drafted_valid: DFF<Bit>,
    drafted_writes: DFF<Bit>,
    edge: DFF<Bits<32>>,
    /// The edge that was written one clock ago.
    last_edge: DFF<Bits<32>>,
    last_edge_flow: DFF<Bits<16>>,
    last_edge_valid: DFF<Bit>,

    outcome: DFF<Outcome>,
    outcome_valid: DFF<Bit>,
    stale: DFF<Bit>,

    progress: Vec<DFF<Progress>>,
    replaced: Vec<DFF<Bits<32>>>,

    /// Every outcome finds room.
    room: Assert,
}

impl Announcer {
    /// The last steps for flow ids `0..connections`; with an exchange if they are slots of a cache.
    pub fn new(connections: usize, exchanges: bool) -> Self {
        let ports = usize::from(exchanges);
        Self {
            edges: Ram::new(connections),
            outcomes: Fifo::new(OUTCOMES)
                .with_output(FifoOutput::Forward)
                .with_almost_full(UNDER_WAY),
            room: Assert::new("the outcome FIFO has room for every outcome"),
            offers: (0..ports).map(|_| Default::default()).collect(),
            slot: (0..ports).map(|_| Default::default()).collect(),
            fill: (0..ports).map(|_| Default::default()).collect(),
            put: (0..ports).map(|_| Default::default()).collect(),
            evicted: (0..ports).map(|_| Default::default()).collect(),
            exchanged: (0..ports).map(|_| Default::default()).collect(),
            progress: (0..ports).map(|_| Default::default()).collect(),
            replaced: (0..ports).map(|_| Default::default()).collect(),
            ..Default::default()
        }
    }
}

impl Logic for Announcer {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, surveyed, surveyed_valid);
        dff_setup!(self, clk, drafted, drafted_valid, drafted_writes, edge);
        dff_setup!(self, clk, last_edge, last_edge_flow, last_edge_valid);
        dff_setup!(self, clk, outcome, outcome_valid, stale);
        self.edges.clk.next = self.clk.val();
        self.outcomes.clk.next = self.clk.val();
        self.outcomes.rst.next = self.rst.val();

        // Survey.
        let decoded = self.decoded.val();
        let settled = self.settled.val();
        self.surveyed_valid.d.next = self.valid.val();
        if self.valid.val() {
            self.surveyed.d.next = survey(
                decoded,
                settled.step,
                settled.live.flow,
                settled.slots,
                settled.board,
                self.now.val().get_bits::<32>(10),
            );
        }
        let mut edge_read = decoded.event.flow;
        for x in 0..self.offers.len() {
            if !self.valid.val() {
                edge_read = self.slot[x].val();
            }
        }
        self.edges.read_address.next = edge_read;

        // Draft, and announce. The edge is that of the event ahead, or of the one before that, whose
        // writing the read missed, or the memory's.
        let draft_of = self.surveyed.q.val();
        let draft_flow = draft_of.decoded.event.flow;
        let drafted = self.drafted.q.val();
        let announced = announce(drafted, self.edge.q.val());
        let moves = self.drafted_valid.q.val() & self.drafted_writes.q.val() & announced.moves;
        let moved_flow = announced.outcome.flow;
        self.drafted_valid.d.next = self.surveyed_valid.q.val();
        if self.surveyed_valid.q.val() {
            self.drafted.d.next = draft(draft_of);
            self.drafted_writes.d.next = draft_of.decoded.writes;
            self.edge.d.next = if moves & (moved_flow == draft_flow) {
                announced.edge
            } else if self.last_edge_valid.q.val() & (self.last_edge_flow.q.val() == draft_flow) {
                self.last_edge.q.val()
            } else {
                self.edges.read_data.val()
            };
        }
        let mut edge_write = moves;
        let mut edge_address = moved_flow;
        let mut edge_data = announced.edge;
        for x in 0..self.offers.len() {
            dff_setup!(self, clk, progress[x], replaced[x]);
            let progress = self.progress[x].q.val();
            let takes = puts(progress, !moves);
            let free = self.offers[x].val() & !self.valid.val();
            self.progress[x].d.next = advanced(progress, asks(progress, free), takes);
            if progress.asked {
                self.replaced[x].d.next = self.edges.read_data.val();
            }
            if takes {
                edge_write = true;
                edge_address = self.slot[x].val();
                edge_data = self.fill[x].val();
            }
            self.put[x].next = progress.put;
            self.evicted[x].next = self.replaced[x].q.val();
            if self.exchanged[x].val() | self.rst.val() {
                self.progress[x].d.next = Progress::default();
            }
        }
        self.edges.write_enable.next = edge_write;
        self.edges.write_address.next = edge_address;
        self.edges.write_data.next = edge_data;
        self.last_edge_valid.d.next = moves;
        if moves {
            self.last_edge.d.next = announced.edge;
            self.last_edge_flow.d.next = moved_flow;
        }

        // The outcome.
        self.outcome_valid.d.next = self.drafted_valid.q.val() & !drafted.silent;
        if self.drafted_valid.q.val() {
            self.outcome.d.next = announced.outcome;
            self.stale.d.next = drafted.stale;
        }
        self.outcomes.s.data.next = self.outcome.q.val();
        self.outcomes.s.valid.next = self.outcome_valid.q.val();
        self.full.next = self.outcomes.almost_full.val();
        self.room.clk.next = self.clk.val();
        self.room.holds.next =
            self.rst.val() | !self.outcome_valid.q.val() | self.outcomes.s.ready.val();
        self.m.data.next = self.outcomes.m.data.val();
        self.m.valid.next = self.outcomes.m.valid.val();
        self.outcomes.m.ready.next = self.m.ready.val();

        let passed = self.outcome.q.val();
        let counts = self.outcome_valid.q.val();
        self.count_rx.next = counts & (passed.kind == bits::<2>(KIND_RX));
        self.count_tx.next = counts & (passed.kind == bits::<2>(KIND_TX));
        self.count_hc.next = counts & (passed.kind == bits::<2>(KIND_HC));
        self.count_cmd.next = counts & (passed.kind == bits::<2>(KIND_CMD));
        self.count_fast_retransmit.next =
            counts & (passed.notice_flags & bits::<8>(notice::FAST_RETRANSMIT as u64)).any();
        self.count_stale.next = counts & self.stale.q.val();

        self.idle.next = !self.surveyed_valid.q.val()
            & !self.drafted_valid.q.val()
            & !self.last_edge_valid.q.val()
            & !self.outcome_valid.q.val()
            & !self.outcomes.level.val().any();
        if self.rst.val() {
            self.surveyed_valid.d.next = false;
            self.drafted_valid.d.next = false;
            self.last_edge_valid.d.next = false;
            self.outcome_valid.d.next = false;
        }
    }
}
