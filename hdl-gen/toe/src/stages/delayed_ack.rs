//! Delayed-ACK timer: reminds the protocol stage of acknowledgements that wait.
//!
//! ```text
//!                read          decide                  ┌─────────┐ due      look
//!  owes, flow ┬─► fresh ─────► not queued? ──── flow ─►│  queue  ├─────► later debt? ─┬─ no ──► m
//!             ├─► entered (RAM) ─►  ▲            ▲     │ (FIFO)  │          ▲         │
//!             ├─► left (RAM) ───────┘            │     └─────────┘          │         │
//!             │                                  └──────────────────────────┼─────────┘ yes
//!             └─► since (RAM) ──────────────────────────────────────────────┘
//! ```
//!
//! A flow is in the queue at most once, with the time at which its acknowledgement is due.
//! When that comes, the flow may have paid that debt and made another: then it is queued
//! again for the younger one. So a connection that always pays in time causes no event, and
//! an acknowledgement leaves between one and two delays after its segment, unless
//! something carries it before. Whether any is owed when the reminder comes, the protocol
//! stage knows.
//!
//! Times are 16-bit counts of 1.024 µs, compared by their difference. Latency from the due
//! time to the reminder: 3 clocks. Debts are taken one a clock; a reminder takes 2 clocks.
//!
//! A debt may begin in the clock in which its flow is taken from the queue. That loses
//! nothing: the reminder reaches the protocol stage after the event that made the debt.
//!
//! After reset a sweep empties the memories, one flow a clock, beside that of the protocol
//! stage, which makes no debt meanwhile.

use crate::channels::{Grant, KIND_TX};
use hallux_hdl::prelude::*;

/// A word of the queue.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Debt {
    /// Flow id.
    pub flow: Bits<16>,
    /// When to look, in 1.024 µs.
    pub due: Bits<16>,
    /// The bit that marks the flow as gone.
    pub mark: Bit,
}

/// See the [module](self).
#[derive(LogicBlock, Default)]
pub struct DelayedAck {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// Pulse: an acknowledgement begins to wait.
    pub owes: Signal<In, Bit>,
    /// Its flow.
    pub flow: Signal<In, Bits<16>>,
    /// Time in ns.
    pub now: Signal<In, Bits<64>>,
    /// Reminders.
    pub m: StreamSource<Grant>,
    /// Nothing is to be done before `wake_at`.
    pub idle: Signal<Out, Bit>,
    /// The `now` at which the first acknowledgement is due; all ones: none waits.
    pub wake_at: Signal<Out, Bits<64>>,

    entered: Ram<Bit, 16>,
    left: Ram<Bit, 16>,
    since: Ram<Bits<16>, 16>,
    queue: Fifo<Debt>,
    /// The head of the queue: reading it from a long queue takes a clock by itself.
    first: StreamRegister<Debt>,
    reminder: StreamRegister<Grant>,
    number: DFF<Bits<21>>,

    fresh: DFF<Debt>,
    fresh_valid: DFF<Bit>,
    /// What `entered` took one clock ago: a read in that clock missed it.
    written: DFF<Debt>,
    written_valid: DFF<Bit>,
    /// The memory's answer belongs to the head of the queue.
    looks: DFF<Bit>,
    /// A younger debt on its way back into the queue.
    again: DFF<Debt>,
    again_valid: DFF<Bit>,

    sweeping: DFF<Bit>,
    sweep_flow: DFF<Bits<16>>,

    /// No flow is queued twice.
    room: Assert,

    _flows: usize,
    _delay: u64,
}

impl DelayedAck {
    /// A timer for flow ids `0..connections`, 2 to 65536; `delay` in 1.024 µs, 1 to 16000.
    pub fn new(connections: usize, delay: u64) -> Self {
        Self {
            entered: Ram::new(connections),
            left: Ram::new(connections),
            since: Ram::new(connections),
            queue: Fifo::new(connections),
            room: Assert::new("the queue has room for every flow"),
            _flows: connections,
            _delay: delay,
            ..Default::default()
        }
    }
}

impl Logic for DelayedAck {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self,
            clk,
            number,
            fresh,
            fresh_valid,
            written,
            written_valid
        );
        dff_setup!(self, clk, looks, again, again_valid, sweeping, sweep_flow);
        self.entered.clk.next = self.clk.val();
        self.left.clk.next = self.clk.val();
        self.since.clk.next = self.clk.val();
        self.queue.clk.next = self.clk.val();
        self.queue.rst.next = self.rst.val();
        self.first.clk.next = self.clk.val();
        self.first.rst.next = self.rst.val();
        self.reminder.clk.next = self.clk.val();
        self.reminder.rst.next = self.rst.val();
        let sweeps = self.sweeping.q.val();
        let tick = self.now.val().get_bits::<16>(10);

        // Read.
        let begins = self.owes.val() & !sweeps;
        let flow = self.flow.val();
        let due = tick + bits::<16>(self._delay);
        self.entered.read_address.next = flow;
        self.left.read_address.next = flow;
        self.since.write_enable.next = begins;
        self.since.write_address.next = flow;
        self.since.write_data.next = due;
        self.fresh_valid.d.next = begins;
        if begins {
            self.fresh.d.next = Debt {
                flow,
                due,
                mark: false,
            };
        }

        // Decide. What comes back waits for a clock without a new debt.
        let fresh = self.fresh.q.val();
        let newer = self.written_valid.q.val() & (self.written.q.val().flow == fresh.flow);
        let mark = if newer {
            self.written.q.val().mark
        } else {
            self.entered.read_data.val()
        };
        let enters = self.fresh_valid.q.val() & (mark == self.left.read_data.val());
        let word = Debt {
            mark: !mark,
            ..fresh
        };
        let returns = self.again_valid.q.val();
        self.queue.s.data.next = if enters { word } else { self.again.q.val() };
        self.queue.s.valid.next = enters | returns;
        self.room.clk.next = self.clk.val();
        self.room.holds.next = self.rst.val() | !(enters | returns) | self.queue.s.ready.val();
        self.entered.write_enable.next = enters | sweeps;
        self.entered.write_address.next = if sweeps {
            self.sweep_flow.q.val()
        } else {
            fresh.flow
        };
        self.entered.write_data.next = !sweeps & !mark;
        self.written_valid.d.next = enters;
        if enters {
            self.written.d.next = word;
        }

        // Look: is there a younger debt?
        self.queue.m.join(&mut self.first.s);
        let head = self.first.m.data.val();
        let waits = self.first.m.valid.val();
        let early = tick - head.due;
        let reached = waits & !early.get_bit(15);
        let looks = self.looks.q.val();
        let since = self.since.read_data.val();
        let ahead = tick - since;
        let younger = ahead.get_bit(15);
        let goes = looks & !(returns & enters) & (younger | self.reminder.s.ready.val());
        self.since.read_address.next = head.flow;
        self.looks.d.next = reached & !goes;
        self.first.m.ready.next = goes;
        if !enters {
            self.again_valid.d.next = false;
        }
        if goes & younger {
            self.again_valid.d.next = true;
            self.again.d.next = Debt { due: since, ..head };
        }
        let reminds = goes & !younger;
        self.reminder.s.valid.next = reminds;
        self.reminder.s.data.next = Grant {
            ticket: cat::<3, 21, 24>(bits::<3>((KIND_TX << 1) | 1), self.number.q.val()),
            flow: head.flow,
            reminds: true,
        };
        if reminds {
            self.number.d.next = self.number.q.val() + bits::<21>(1);
        }
        self.left.write_enable.next = reminds | sweeps;
        self.left.write_address.next = if sweeps {
            self.sweep_flow.q.val()
        } else {
            head.flow
        };
        self.left.write_data.next = !sweeps & head.mark;
        self.m.data.next = self.reminder.m.data.val();
        self.m.valid.next = self.reminder.m.valid.val();
        self.reminder.m.ready.next = self.m.ready.val();

        // The sweep after reset.
        if sweeps {
            self.sweep_flow.d.next = self.sweep_flow.q.val() + bits::<16>(1);
            if self.sweep_flow.q.val() == bits::<16>((self._flows - 1) as u64) {
                self.sweeping.d.next = false;
            }
        }
        self.idle.next = !self.fresh_valid.q.val()
            & !self.written_valid.q.val()
            & !(self.queue.m.valid.val() & self.first.s.ready.val())
            & !reached
            & !looks
            & !returns
            & !self.reminder.m.valid.val()
            & !sweeps;
        // The whole tick of the head's due time, found from its distance to now.
        let left = head.due - tick;
        let distance = cat::<38, 16, 54>(
            if left.get_bit(15) {
                !bits::<38>(0)
            } else {
                bits::<38>(0)
            },
            left,
        );
        let whole = self.now.val().get_bits::<54>(10) + distance;
        self.wake_at.next = if waits {
            cat::<54, 10, 64>(whole, bits::<10>(0))
        } else {
            !bits::<64>(0)
        };
        if self.rst.val() {
            self.number.d.next = bits::<21>(0);
            self.fresh_valid.d.next = false;
            self.written_valid.d.next = false;
            self.looks.d.next = false;
            self.again_valid.d.next = false;
            self.sweeping.d.next = true;
            self.sweep_flow.d.next = bits::<16>(0);
        }
    }
}
