//! The protocol stage: the only writer of TCP state.
//!
//! Applies one event a clock to the state of its connection, and passes on what follows
//! from it. Events of one connection may come back to back.
//!
//! ```text
//!            read            compute               write
//!  s ──►┬─► event ─────────► transition ─► result ─┬─► outcomes (FIFO) ──► m
//!       │                      ▲    ▲        │     │
//!       └─► states (RAM) ──────┤    now      │     ▼
//!                              ├── written ◄─┼── states (RAM)
//!                              └─────────────┘
//! ```
//!
//! * Latency: 4 clocks, 2 of them in the FIFO. Initiation interval: 1.
//! * The state in *compute* comes from the event one ahead (`result`), from the one before
//!   that (`written`), or from the memory, whichever is newest (contract O6).
//! * The pipeline never stops: `s_ready` is given only while the FIFO has room for all that
//!   may be under way, so it does not depend on `m_ready` in the same clock.
//! * After reset a sweep closes every flow id, one a clock; `s_ready` is low meanwhile.
//! * A flow id beyond the design point's connections is closed and stays so.
//!
//! The rules are those of `docs/data-path.md`; `host-model/src/reference` says the same
//! as plain Rust.

pub mod command;
pub mod flow;
pub mod receive;
pub mod step;
pub mod transmit;

use crate::channels::{Event, KIND_CMD, KIND_HC, KIND_RX, KIND_TX, Outcome};
use crate::interface::notice;
use flow::Flow;
use hallux_hdl::prelude::*;
use step::{concerns_connection, transition};

/// Words of the outcome FIFO.
const OUTCOMES: usize = 16;
/// Outcomes that may be under way to the FIFO when its level is read, with one spare.
const UNDER_WAY: usize = 4;

/// The protocol stage; see the module's documentation.
#[derive(LogicBlock, Default)]
pub struct Protocol {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// Events.
    pub s: StreamSink<Event>,
    /// Outcomes, in the order of the events.
    pub m: StreamSource<Outcome>,
    /// Time in ns.
    pub now: Signal<In, Bits<64>>,
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

    states: Ram<Flow, 16>,
    outcomes: Fifo<Outcome>,

    /// Compute: the event, and whether its flow id exists.
    taken: DFF<Event>,
    taken_valid: DFF<Bit>,
    taken_exists: DFF<Bit>,

    /// Write: the new state and the outcome.
    result: DFF<Flow>,
    result_flow: DFF<Bits<16>>,
    result_writes: DFF<Bit>,
    outcome: DFF<Outcome>,
    outcome_valid: DFF<Bit>,
    stale: DFF<Bit>,

    /// What the memory took one clock ago: a read in that clock missed it.
    written: DFF<Flow>,
    written_flow: DFF<Bits<16>>,
    written_valid: DFF<Bit>,

    sweeping: DFF<Bit>,
    sweep_flow: DFF<Bits<16>>,

    /// Every outcome finds room.
    room: Assert,

    _connections: usize,
}

impl Protocol {
    /// A stage for flow ids `0..connections` (2 to 65536).
    pub fn new(connections: usize) -> Self {
        Self {
            states: Ram::new(connections),
            outcomes: Fifo::new(OUTCOMES).with_almost_full(UNDER_WAY),
            room: Assert::new("the outcome FIFO has room for every outcome"),
            _connections: connections,
            ..Default::default()
        }
    }
}

impl Logic for Protocol {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, taken, taken_valid, taken_exists);
        dff_setup!(
            self,
            clk,
            result,
            result_flow,
            result_writes,
            outcome,
            outcome_valid,
            stale
        );
        dff_setup!(
            self,
            clk,
            written,
            written_flow,
            written_valid,
            sweeping,
            sweep_flow
        );
        self.states.clk.next = self.clk.val();
        self.outcomes.clk.next = self.clk.val();
        self.outcomes.rst.next = self.rst.val();

        // Read.
        let ready = !self.outcomes.almost_full.val() & !self.sweeping.q.val();
        let takes = ready & self.s.valid.val();
        let flow = self.s.data.val().flow;
        self.s.ready.next = ready;
        self.states.read_address.next = flow;
        self.taken_valid.d.next = takes;
        if takes {
            self.taken.d.next = self.s.data.val();
            self.taken_exists.d.next = flow <= bits::<16>((self._connections - 1) as u64);
        }

        // Compute.
        let work = self.taken.q.val();
        let stored = if self.result_writes.q.val() & (self.result_flow.q.val() == work.flow) {
            self.result.q.val()
        } else if self.written_valid.q.val() & (self.written_flow.q.val() == work.flow) {
            self.written.q.val()
        } else {
            self.states.read_data.val()
        };
        let state = if self.taken_exists.q.val() {
            stored
        } else {
            Flow::default()
        };
        let tick = self.now.val().get_bits::<32>(10);
        let step = transition(state, work, tick, self.taken_exists.q.val());
        self.outcome_valid.d.next = self.taken_valid.q.val();
        self.result_writes.d.next =
            self.taken_valid.q.val() & self.taken_exists.q.val() & concerns_connection(work);
        if self.taken_valid.q.val() {
            self.result.d.next = step.flow;
            self.result_flow.d.next = work.flow;
            self.outcome.d.next = step.outcome;
            self.stale.d.next = step.stale;
        }

        // Write.
        self.states.write_enable.next = self.result_writes.q.val() | self.sweeping.q.val();
        self.states.write_address.next = if self.sweeping.q.val() {
            self.sweep_flow.q.val()
        } else {
            self.result_flow.q.val()
        };
        self.states.write_data.next = if self.sweeping.q.val() {
            Flow::default()
        } else {
            self.result.q.val()
        };
        self.written_valid.d.next = self.result_writes.q.val();
        if self.result_writes.q.val() {
            self.written.d.next = self.result.q.val();
            self.written_flow.d.next = self.result_flow.q.val();
        }
        self.outcomes.s.data.next = self.outcome.q.val();
        self.outcomes.s.valid.next = self.outcome_valid.q.val();
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

        // The sweep after reset.
        if self.sweeping.q.val() {
            self.sweep_flow.d.next = self.sweep_flow.q.val() + bits::<16>(1);
            if self.sweep_flow.q.val() == bits::<16>((self._connections - 1) as u64) {
                self.sweeping.d.next = false;
            }
        }

        self.idle.next = !self.taken_valid.q.val()
            & !self.outcome_valid.q.val()
            & !self.outcomes.level.val().any()
            & !self.sweeping.q.val();

        if self.rst.val() {
            self.taken_valid.d.next = false;
            self.outcome_valid.d.next = false;
            self.result_writes.d.next = false;
            self.written_valid.d.next = false;
            self.sweeping.d.next = true;
            self.sweep_flow.d.next = bits::<16>(0);
        }
    }
}
