//! Rate wheel: flows with a rate wait here until they may send again.
//!
//! ```text
//!  s ─Charge─► period (RAM) ─► multiply ─► add ─► due (RAM) ─┐
//!                                                            ▼ due by now?
//!  s_flow ──────────────────────────►┌───────┐ head    ┌───────────┐ yes
//!               ┌───────────────────►│ queue ├────────►│   check   ├────────► m
//!               │                    └───────┘         └──┬─────┬──┘
//!               │  ┌─────────────┐    soon                │     │ later
//!               ├──┤ fine wheel  │◄───────────────────────┘     │
//!               │  └─────────────┘    ┌──────────────┐          │
//!               └─────────────────────┤ coarse wheel │◄─────────┘
//!                                     └──────────────┘
//! ```
//!
//! A rate is a *period*: nanoseconds a payload byte, with 16 fraction bits; 0 is no rate. What
//! a flow sends moves its *due* time on by that many bytes' time; when it could send again
//! before then, it waits. So its rate is exact whatever the wheels' slots are, as long as it
//! is not late by more than [`CREDIT_LOG2`]: that much time of sending an idle flow saves up.
//!
//! The fine wheel has slots of 1.024 µs; a slot of the coarse wheel is one turn of the fine
//! one. A flow leaves the coarse wheel before it is due, and is checked again whenever it leaves
//! either; so a wheel may be early, and a time beyond the horizon costs another turn.
//!
//! Flows without a rate never come here: `paced` says in the clock behind `look` who has one,
//! as the scheduler reads its own memories. A flow is in here at most once. Charges are
//! taken one a clock and count 4 clocks later, before the flow's next check. A check takes 3
//! clocks.
//!
//! After reset a sweep clears all rates, one flow a clock, beside that of the scheduler.

use hallux_hdl::prelude::*;

/// log2 of the nanoseconds by which a flow may be late and make up for it.
pub const CREDIT_LOG2: u64 = 13;
/// log2 of the nanoseconds of a slot of the fine wheel.
const FINE_LOG2: u32 = 10;

/// A flow that could send, and the bit that marks it as gone from the scheduler.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Queued {
    /// Flow id.
    pub flow: Bits<16>,
    /// The mark.
    pub mark: Bit,
}

/// What happened to a flow.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Charge {
    /// Flow id.
    pub flow: Bits<16>,
    /// It gets a rate, and may send at once; else it sent.
    pub sets: Bit,
    /// With `sets`: nanoseconds a byte, 16 of the bits being fraction; 0: no rate.
    pub period: Bits<32>,
    /// Bytes sent.
    pub bytes: Bits<14>,
}

/// A charge on its way through the multiplier.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Parts {
    /// Flow id.
    flow: Bits<16>,
    /// It gets a rate.
    sets: Bit,
    /// Sums of partial products.
    low: Bits<46>,
    high: Bits<46>,
}

/// See the [module](self).
#[derive(LogicBlock)]
pub struct RateWheel {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset: no flow has a rate.
    pub rst: Signal<In, Bit>,
    /// Time in ns.
    pub now: Signal<In, Bits<64>>,
    /// Rates and what is sent; taken at once.
    pub s: StreamSink<Charge>,
    /// A flow id.
    pub look: Signal<In, Bits<16>>,
    /// That of the clock before has a rate.
    pub paced: Signal<Out, Bit>,
    /// Flows with a rate that could send; taken at once.
    pub s_flow: StreamSink<Queued>,
    /// Flows that may send.
    pub m: StreamSource<Queued>,
    /// Nothing is to be done before `wake_at`.
    pub idle: Signal<Out, Bit>,
    /// The `now` at which the next flow is looked at; all ones: none waits.
    pub wake_at: Signal<Out, Bits<64>>,

    rated: Ram<Bit, 16>,
    period: Ram<Bits<32>, 16>,
    /// Due times in ns with 16 fraction bits, twice: a memory has one read port.
    due: Ram<Bits<64>, 16>,
    due_again: Ram<Bits<64>, 16>,
    marks: Ram<Bit, 16>,

    charge: DFF<Charge>,
    charge_valid: DFF<Bit>,
    /// Bits of the bytes by twos, times the period.
    products: Vec<DFF<Bits<46>>>,
    multiplied: DFF<Parts>,
    multiplied_valid: DFF<Bit>,
    parts: DFF<Parts>,
    parts_valid: DFF<Bit>,
    cost: DFF<Parts>,
    cost_valid: DFF<Bit>,
    /// The due time that was written one clock ago: a read in that clock missed it.
    written: DFF<Bits<64>>,
    /// It is that of the charge that is being added.
    again: DFF<Bit>,

    queue: Fifo<Bits<16>>,
    /// The memories' answers belong to the head of the queue.
    looks: DFF<Bit>,
    /// It is held against the present: its due time in ns, and how far ahead that was.
    judges: DFF<Bit>,
    at: DFF<Bits<48>>,
    ahead: DFF<Bits<48>>,
    mark: DFF<Bit>,
    goes: StreamRegister<Queued>,
    soon: StreamRegister<Deadline>,
    later: StreamRegister<Deadline>,
    fine: TimingWheel,
    coarse: TimingWheel,

    sweeping: DFF<Bit>,
    sweep_flow: DFF<Bits<16>>,

    /// No flow is here twice.
    room: Assert,

    _flows: usize,
    _fine_turn_log2: u64,
}

impl RateWheel {
    /// For flow ids `0..connections`, 2 to 65536, with wheels of `slots` slots (64, 128 or 256).
    pub fn new(connections: usize, slots: usize) -> Self {
        let turn = FINE_LOG2 + slots.trailing_zeros();
        Self {
            clk: Default::default(),
            rst: Default::default(),
            now: Default::default(),
            s: Default::default(),
            look: Default::default(),
            paced: Default::default(),
            s_flow: Default::default(),
            m: Default::default(),
            idle: Default::default(),
            wake_at: Default::default(),
            rated: Ram::new(connections),
            period: Ram::new(connections),
            due: Ram::new(connections),
            due_again: Ram::new(connections),
            marks: Ram::new(connections),
            charge: Default::default(),
            charge_valid: Default::default(),
            products: (0..7).map(|_| DFF::default()).collect(),
            multiplied: Default::default(),
            multiplied_valid: Default::default(),
            parts: Default::default(),
            parts_valid: Default::default(),
            cost: Default::default(),
            cost_valid: Default::default(),
            written: Default::default(),
            again: Default::default(),
            queue: Fifo::new(connections),
            looks: Default::default(),
            judges: Default::default(),
            at: Default::default(),
            ahead: Default::default(),
            mark: Default::default(),
            goes: Default::default(),
            soon: Default::default(),
            later: Default::default(),
            fine: TimingWheel::new(connections, slots, FINE_LOG2),
            coarse: TimingWheel::new(connections, slots, turn),
            sweeping: Default::default(),
            sweep_flow: Default::default(),
            room: Assert::new("the rate wheel has room for every flow"),
            _flows: connections,
            _fine_turn_log2: turn.into(),
        }
    }
}

impl Logic for RateWheel {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self,
            clk,
            charge,
            charge_valid,
            multiplied,
            multiplied_valid,
            parts,
            parts_valid,
            cost,
            cost_valid
        );
        dff_setup!(
            self, clk, written, again, looks, judges, at, ahead, mark, sweeping, sweep_flow
        );
        self.rated.clk.next = self.clk.val();
        self.period.clk.next = self.clk.val();
        self.due.clk.next = self.clk.val();
        self.due_again.clk.next = self.clk.val();
        self.marks.clk.next = self.clk.val();
        self.queue.clk.next = self.clk.val();
        self.queue.rst.next = self.rst.val();
        self.goes.clk.next = self.clk.val();
        self.goes.rst.next = self.rst.val();
        self.soon.clk.next = self.clk.val();
        self.soon.rst.next = self.rst.val();
        self.later.clk.next = self.clk.val();
        self.later.rst.next = self.rst.val();
        self.fine.clk.next = self.clk.val();
        self.fine.rst.next = self.rst.val();
        self.fine.now.next = self.now.val();
        self.coarse.clk.next = self.clk.val();
        self.coarse.rst.next = self.rst.val();
        self.coarse.now.next = self.now.val();
        let sweeps = self.sweeping.q.val();
        let sweep_flow = self.sweep_flow.q.val();
        let present = self.now.val().get_bits::<48>(0);

        // Rates.
        let news = self.s.data.val();
        let sets = self.s.valid.val() & news.sets;
        self.s.ready.next = true;
        self.rated.write_enable.next = sets | sweeps;
        self.rated.write_address.next = if sweeps { sweep_flow } else { news.flow };
        self.rated.write_data.next = !sweeps & news.period.any();
        self.rated.read_address.next = self.look.val();
        self.paced.next = self.rated.read_data.val();
        self.period.write_enable.next = sets | sweeps;
        self.period.write_address.next = if sweeps { sweep_flow } else { news.flow };
        self.period.write_data.next = if sweeps { bits::<32>(0) } else { news.period };
        self.period.read_address.next = news.flow;
        self.charge_valid.d.next = self.s.valid.val() & !sweeps;
        if self.s.valid.val() {
            self.charge.d.next = news;
        }

        // Multiply.
        let charge = self.charge.q.val();
        let period = self.period.read_data.val();
        self.multiplied_valid.d.next =
            self.charge_valid.q.val() & (charge.sets | (period.any() & charge.bytes.any()));
        for p in 0..7 {
            let mut product = bits::<46>(0);
            if charge.bytes.get_bit(2 * p) {
                product = bit_cast::<46, 32>(period) << (2 * p) as u64;
            }
            let mut next = bits::<46>(0);
            if charge.bytes.get_bit(2 * p + 1) {
                next = bit_cast::<46, 32>(period) << (2 * p + 1) as u64;
            }
            dff_setup!(self, clk, products[p]);
            if self.charge_valid.q.val() {
                self.products[p].d.next = product + next;
            }
        }
        if self.charge_valid.q.val() {
            self.multiplied.d.next = Parts {
                flow: charge.flow,
                sets: charge.sets,
                low: bits::<46>(0),
                high: bits::<46>(0),
            };
        }
        self.parts_valid.d.next = self.multiplied_valid.q.val();
        if self.multiplied_valid.q.val() {
            self.parts.d.next = Parts {
                low: (self.products[0].q.val() + self.products[1].q.val())
                    + (self.products[2].q.val() + self.products[3].q.val()),
                high: (self.products[4].q.val() + self.products[5].q.val())
                    + self.products[6].q.val(),
                ..self.multiplied.q.val()
            };
        }
        let parts = self.parts.q.val();
        self.due.read_address.next = parts.flow;
        self.cost_valid.d.next = self.parts_valid.q.val();
        if self.parts_valid.q.val() {
            self.cost.d.next = Parts {
                low: parts.low + parts.high,
                ..parts
            };
        }

        // Add: to the due time, or to what an idle flow may have saved up.
        let cost = self.cost.q.val();
        let writes = self.cost_valid.q.val();
        self.again.d.next = self.parts_valid.q.val() & writes & (parts.flow == cost.flow);
        let old = if self.again.q.val() {
            self.written.q.val()
        } else {
            self.due.read_data.val()
        };
        let floor = (present >> CREDIT_LOG2) - bits::<48>(1);
        let saved = floor << CREDIT_LOG2;
        let behind = (old.get_bits::<48>(16) - saved).get_bit(47);
        let spent = bit_cast::<64, 46>(cost.low);
        let from_now = cat::<48, 16, 64>(saved, bits::<16>(0)) + spent;
        let from_old = old + spent;
        let due = if cost.sets | sweeps {
            bits::<64>(0)
        } else if behind {
            from_now
        } else {
            from_old
        };
        self.due.write_enable.next = writes | sweeps;
        self.due.write_address.next = if sweeps { sweep_flow } else { cost.flow };
        self.due.write_data.next = due;
        self.due_again.write_enable.next = writes | sweeps;
        self.due_again.write_address.next = if sweeps { sweep_flow } else { cost.flow };
        self.due_again.write_data.next = due;
        if writes {
            self.written.d.next = due;
        }

        // Into the queue: those that could send, and those that leave a wheel.
        let comes = self.s_flow.valid.val();
        let from_fine = self.fine.m.valid.val();
        self.s_flow.ready.next = true;
        self.queue.s.data.next = if comes {
            self.s_flow.data.val().flow
        } else if from_fine {
            self.fine.m.data.val()
        } else {
            self.coarse.m.data.val()
        };
        let enters = comes | from_fine | self.coarse.m.valid.val();
        self.queue.s.valid.next = enters;
        self.fine.m.ready.next = !comes;
        self.coarse.m.ready.next = !comes & !from_fine;
        self.room.clk.next = self.clk.val();
        self.room.holds.next = self.rst.val() | !enters | self.queue.s.ready.val();
        self.marks.write_enable.next = comes;
        self.marks.write_address.next = self.s_flow.data.val().flow;
        self.marks.write_data.next = self.s_flow.data.val().mark;

        // Check.
        let head = self.queue.m.data.val();
        let waits = self.queue.m.valid.val();
        self.due_again.read_address.next = head;
        self.marks.read_address.next = head;
        let looks = self.looks.q.val();
        let judges = self.judges.q.val();
        if looks {
            let due = self.due_again.read_data.val().get_bits::<48>(16);
            self.at.d.next = due;
            self.ahead.d.next = due - present;
            self.mark.d.next = self.marks.read_data.val();
        }
        let at = self.at.q.val();
        let ahead = self.ahead.q.val();
        let early = ahead.any() & !ahead.get_bit(47);
        let far = (ahead >> self._fine_turn_log2).any();
        let takes = self.goes.s.ready.val() & self.soon.s.ready.val() & self.later.s.ready.val();
        let moves = judges & takes;
        self.looks.d.next = waits & !looks & !judges;
        self.judges.d.next = looks | (judges & !moves);
        self.queue.m.ready.next = moves;
        self.goes.s.valid.next = moves & !early;
        self.goes.s.data.next = Queued {
            flow: head,
            mark: self.mark.q.val(),
        };
        self.soon.s.valid.next = moves & early & !far;
        let whole = bit_cast::<64, 48>(at);
        self.soon.s.data.next = Deadline {
            id: head,
            at: whole,
        };
        self.later.s.valid.next = moves & early & far;
        self.later.s.data.next = Deadline {
            id: head,
            at: whole - bits::<64>(1 << self._fine_turn_log2),
        };
        self.soon.m.join(&mut self.fine.s);
        self.later.m.join(&mut self.coarse.s);
        self.m.data.next = self.goes.m.data.val();
        self.m.valid.next = self.goes.m.valid.val();
        self.goes.m.ready.next = self.m.ready.val();

        if sweeps {
            self.sweep_flow.d.next = sweep_flow + bits::<16>(1);
            if sweep_flow == bits::<16>((self._flows - 1) as u64) {
                self.sweeping.d.next = false;
            }
        }
        self.idle.next = !self.charge_valid.q.val()
            & !self.multiplied_valid.q.val()
            & !self.parts_valid.q.val()
            & !self.cost_valid.q.val()
            & !self.again.q.val()
            & !self.queue.level.val().any()
            & !looks
            & !judges
            & !self.goes.m.valid.val()
            & !self.soon.m.valid.val()
            & !self.later.m.valid.val()
            & !from_fine
            & !self.coarse.m.valid.val()
            & !sweeps;
        let first = self.fine.wake_at.val();
        let turn = self.coarse.wake_at.val();
        self.wake_at.next = if first < turn { first } else { turn };
        if self.rst.val() {
            self.charge_valid.d.next = false;
            self.multiplied_valid.d.next = false;
            self.parts_valid.d.next = false;
            self.cost_valid.d.next = false;
            self.again.d.next = false;
            self.looks.d.next = false;
            self.judges.d.next = false;
            self.sweeping.d.next = true;
            self.sweep_flow.d.next = bits::<16>(0);
        }
    }
}
