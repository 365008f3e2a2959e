//! Transmit scheduler: round robin over the flows that can send, and a time wheel for those
//! that have a rate.
//!
//! ```text
//!                 read            decide                       ┌──────────┐
//!  s ─Update─►┬─► fresh ────────► ready, not queued? ─ flow ──►│  queue   ├─ ticket ─Grant─► m
//!             ├─► entered (RAM) ─►   ▲          │              │  (FIFO)  │      │
//!             └─► left (RAM) ────────┘          ▼              └──────────┘      ▼
//!                                     entered := !left            left := entered
//! ```
//!
//! Latency 2 clocks from an update to its grant if no flow is queued, else 4 and more; initiation interval 1 for updates and for
//! grants. Every grant is for one segment. A grant takes its flow out of the queue; the
//! update of the grant's outcome brings it back to the end.
//!
//! A flow is in the queue at most once, so a queue of as many words as there are flows
//! never overflows. Two memories of one bit a flow say who is in: a flow that *entered* and
//! has not *left* (the bits differ) is. Each bit has one writer, and the bit to write when a
//! flow leaves travels through the queue with it.
//!
//! An update may see a flow as queued that leaves in the same or the last clock, and do
//! nothing. That loses nothing: the grant reaches the protocol stage after the event that
//! caused the update, and its outcome brings an update of its own.
//!
//! With pacing, a flow that enters and has a rate goes to the [rate wheel](super::rate_wheel)
//! and comes from there into the queue when its time has come; it is as good as queued meanwhile.
//! Flows without a rate pass as if there were no wheel.
//!
//! After reset a sweep empties both memories, one flow a clock; `s_ready` is low meanwhile.

use crate::channels::{Grant, KIND_TX, Update};
use crate::stages::rate_wheel::{Charge, Queued, RateWheel};
use hallux_hdl::prelude::*;

/// See the [module](self).
#[derive(LogicBlock, Default)]
pub struct Scheduler {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// Which flows can send.
    pub s: StreamSink<Update>,
    /// Grants.
    pub m: StreamSource<Grant>,
    /// With pacing: rates and what is sent.
    pub s_charge: Vec<StreamSink<Charge>>,
    /// With pacing: time in ns.
    pub now: Vec<Signal<In, Bits<64>>>,
    /// With pacing: the `now` at which a flow's time comes next.
    pub wake_at: Vec<Signal<Out, Bits<64>>>,
    /// No flow is queued, but for those whose time comes later.
    pub idle: Signal<Out, Bit>,

    entered: Ram<Bit, 16>,
    left: Ram<Bit, 16>,
    queue: Fifo<Queued>,
    wheel: Vec<RateWheel>,
    granted: StreamRegister<Grant>,
    number: DFF<Bits<21>>,

    fresh: DFF<Update>,
    fresh_valid: DFF<Bit>,
    /// What `entered` took one clock ago: a read in that clock missed it.
    written: DFF<Queued>,
    written_valid: DFF<Bit>,

    sweeping: DFF<Bit>,
    sweep_flow: DFF<Bits<16>>,

    /// No flow is queued twice.
    room: Assert,

    _flows: usize,
}

impl Scheduler {
    /// A scheduler for flow ids `0..connections`, 2 to 65536.
    pub fn new(connections: usize) -> Self {
        Self {
            entered: Ram::new(connections),
            left: Ram::new(connections),
            queue: Fifo::new(connections),
            room: Assert::new("the queue has room for every flow"),
            _flows: connections,
            ..Default::default()
        }
    }

    /// With rates of flows, kept by wheels of `slots` slots.
    #[must_use]
    pub fn with_pacing(self, slots: usize) -> Self {
        Self {
            s_charge: vec![Default::default()],
            now: vec![Default::default()],
            wake_at: vec![Default::default()],
            wheel: vec![RateWheel::new(self._flows, slots)],
            ..self
        }
    }
}

impl Logic for Scheduler {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, number, fresh, fresh_valid);
        dff_setup!(self, clk, written, written_valid, sweeping, sweep_flow);
        self.entered.clk.next = self.clk.val();
        self.left.clk.next = self.clk.val();
        self.queue.clk.next = self.clk.val();
        self.queue.rst.next = self.rst.val();
        self.granted.clk.next = self.clk.val();
        self.granted.rst.next = self.rst.val();
        let sweeps = self.sweeping.q.val();

        // Read.
        let flow = self.s.data.val().flow;
        self.s.ready.next = !sweeps;
        self.entered.read_address.next = flow;
        self.left.read_address.next = flow;
        self.fresh_valid.d.next = self.s.valid.val() & self.s.data.val().ready & !sweeps;
        if self.s.valid.val() {
            self.fresh.d.next = self.s.data.val();
        }

        // Decide.
        let news = self.fresh.q.val();
        let newer = self.written_valid.q.val() & (self.written.q.val().flow == news.flow);
        let mark = if newer {
            self.written.q.val().mark
        } else {
            self.entered.read_data.val()
        };
        let enters = self.fresh_valid.q.val() & (mark == self.left.read_data.val());
        let word = Queued {
            flow: news.flow,
            mark: !mark,
        };
        let mut queues = enters;
        let mut queued = word;
        let mut timely: Bit = false;
        let mut settled: Bit = true;
        for w in 0..self.wheel.len() {
            self.wheel[w].clk.next = self.clk.val();
            self.wheel[w].rst.next = self.rst.val();
            self.wheel[w].now.next = self.now[w].val();
            join_streams!(self.s_charge[w], self.wheel[w].s);
            self.wheel[w].look.next = flow;
            let paced = self.wheel[w].paced.val();
            self.wheel[w].s_flow.data.next = word;
            self.wheel[w].s_flow.valid.next = enters & paced;
            queues = enters & !paced;
            if !queues {
                queued = self.wheel[w].m.data.val();
                timely = self.wheel[w].m.valid.val();
            }
            self.wheel[w].m.ready.next = !queues;
            self.wake_at[w].next = self.wheel[w].wake_at.val();
            settled = self.wheel[w].idle.val();
        }
        self.queue.s.data.next = queued;
        // Past an empty queue.
        let passes = queues & !self.queue.level.val().any() & self.granted.s.ready.val();
        self.queue.s.valid.next = (queues & !passes) | timely;
        self.room.clk.next = self.clk.val();
        self.room.holds.next =
            self.rst.val() | !(queues | timely) | passes | self.queue.s.ready.val();
        self.entered.write_enable.next = enters | sweeps;
        self.entered.write_address.next = if sweeps {
            self.sweep_flow.q.val()
        } else {
            news.flow
        };
        self.entered.write_data.next = !sweeps & !mark;
        self.written_valid.d.next = enters;
        if enters {
            self.written.d.next = word;
        }

        // Grant.
        let head = if passes {
            word
        } else {
            self.queue.m.data.val()
        };
        let leaves = passes | (self.queue.m.valid.val() & self.granted.s.ready.val());
        self.queue.m.ready.next = self.granted.s.ready.val();
        self.granted.s.valid.next = passes | self.queue.m.valid.val();
        self.granted.s.data.next = Grant {
            // The other half of the numbers is that of the delayed-ACK timer.
            ticket: cat::<3, 21, 24>(bits::<3>(KIND_TX << 1), self.number.q.val()),
            flow: head.flow,
            reminds: false,
        };
        if leaves {
            self.number.d.next = self.number.q.val() + bits::<21>(1);
        }
        self.left.write_enable.next = leaves | sweeps;
        self.left.write_address.next = if sweeps {
            self.sweep_flow.q.val()
        } else {
            head.flow
        };
        self.left.write_data.next = !sweeps & head.mark;
        self.m.data.next = self.granted.m.data.val();
        self.m.valid.next = self.granted.m.valid.val();
        self.granted.m.ready.next = self.m.ready.val();

        // The sweep after reset.
        if sweeps {
            self.sweep_flow.d.next = self.sweep_flow.q.val() + bits::<16>(1);
            if self.sweep_flow.q.val() == bits::<16>((self._flows - 1) as u64) {
                self.sweeping.d.next = false;
            }
        }
        self.idle.next = !self.fresh_valid.q.val()
            & !self.queue.level.val().any()
            & !self.granted.m.valid.val()
            & settled
            & !sweeps;
        if self.rst.val() {
            self.number.d.next = bits::<21>(0);
            self.fresh_valid.d.next = false;
            self.written_valid.d.next = false;
            self.sweeping.d.next = true;
            self.sweep_flow.d.next = bits::<16>(0);
        }
    }
}
