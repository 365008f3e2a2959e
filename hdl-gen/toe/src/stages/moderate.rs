//! Moderate: keeps interrupts of a vector a minimum interval apart.
//!
//! ```text
//!             ┌────────────┐ moderated interrupts ┌─────────┐ sweep ┌─────┐
//!  s ──Up────►│ let pass ? ├─────────────────────►│ pending ├──────►│ due │
//!             └─────┬──────┘                      └─────────┘       └──┬──┘
//!                   └───────────────────────────────┬──────────────────┘
//!  s_context ─► intervals                           └─► register ─► m
//! ```
//!
//! Behind notify, where an interrupt already follows the record that it announces (contract
//! O7): one that waits here only follows it later. A vector whose interval
//! ([`INTERRUPT_INTERVAL`](context::INTERRUPT_INTERVAL)) is 0, as after reset, is not
//! moderated: everything passes as it comes.
//!
//! A moderated interrupt becomes a bit in `pending`, in which several become one. A sweep over
//! the vectors, one a clock, finds the pending one that is due first; when its time has come,
//! the message leaves between two requests, and the vector is due again an interval later. A
//! sweep also follows each interrupt that comes meanwhile. While the first one is not due,
//! nothing moves: `wake_at` says when it is.
//!
//! Latency: 1; of a moderated interrupt that is due, the number of contexts and 10 clocks.

use crate::channels::{ContextWrite, UP_MSIX, Up};
use crate::interface::context;
use hallux_hdl::prelude::*;

/// Number of the register in a context's page.
const INTERVAL: u64 = context::INTERRUPT_INTERVAL / 8;

/// What the stage does in this cycle.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum State {
    /// Nothing is pending.
    Rest,
    /// Looking at the vectors.
    Sweep,
    /// The first is found: what is left of its interval becomes a time.
    Reckon,
    /// Until that time.
    Wait,
    /// The message leaves.
    Send,
}

/// A vector in the sweep.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Seen {
    /// There is one, and it is pending.
    pub valid: Bit,
    /// Its number.
    pub vector: Bits<5>,
    /// What is left until it is due, in ns; more than the interval means nothing.
    pub left: Bits<32>,
    /// Its interval.
    pub interval: Bits<32>,
}

/// See the [module](self).
#[derive(LogicBlock, Default)]
pub struct Moderate<const N: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high.
    pub rst: Signal<In, Bit>,
    /// Records and interrupts.
    pub s: StreamSink<Up<N>>,
    /// A write to a context register is taken.
    pub s_context_valid: Signal<In, Bit>,
    /// It; those of other stages are ignored.
    pub s_context: Signal<In, ContextWrite>,
    /// Time in ns.
    pub now: Signal<In, Bits<64>>,
    /// Records and interrupts.
    pub m: StreamSource<Up<N>>,
    /// Pulse: an interrupt leaves.
    pub interrupts: Signal<Out, Bit>,
    /// Nothing is held but interrupts that are not due.
    pub idle: Signal<Out, Bit>,
    /// When the first of those is due; all ones: never.
    pub wake_at: Signal<Out, Bits<64>>,
    /// What is behind it arbitrates by `m.valid`, and that would be late.
    out: StreamRegister<Up<N>>,
    /// Vectors with an interval.
    moderated: DFF<Bits<32>>,
    pending: DFF<Bits<32>>,
    intervals: Ram<Bits<32>, 5>,
    /// When each vector may interrupt again, in ns modulo 2³².
    due: Ram<Bits<32>, 5>,
    state: DFF<State>,
    /// A request's first beats have left, its last has not.
    midway: DFF<Bit>,
    /// A beat is offered and was not taken.
    stands: DFF<Bit>,
    /// An interrupt came that the sweep may have missed.
    missed: DFF<Bit>,
    /// The vector of the last message is to be given its next time.
    owed: DFF<Bit>,
    /// The sweep's vector, and that all are read.
    at: DFF<Bits<5>>,
    ended: DFF<Bit>,
    /// `now` when the sweep began.
    began: DFF<Bits<64>>,
    read: DFF<Bits<5>>,
    read_valid: DFF<Bit>,
    seen: DFF<Seen>,
    /// The one that is due first so far.
    first: DFF<Seen>,
    wake: DFF<Bits<64>>,
    /// The vector of the message, and its interval; then when it is due again.
    message: DFF<Bits<5>>,
    again: DFF<Bits<32>>,
    _contexts: usize,
}

impl<const N: usize> Moderate<N> {
    /// Moderation of `contexts` vectors, at most 32.
    pub fn new(contexts: usize) -> Self {
        Self {
            intervals: Ram::new(contexts.max(2)),
            due: Ram::new(contexts.max(2)),
            _contexts: contexts,
            ..Self::default()
        }
    }
}

impl<const N: usize> Logic for Moderate<N> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self, clk, moderated, pending, state, midway, at, ended, began, read, read_valid, seen,
            first, wake, message, again, stands, missed, owed
        );
        self.out.clk.next = self.clk.val();
        self.out.rst.next = self.rst.val();
        self.m.data.next = self.out.m.data.val();
        self.m.valid.next = self.out.m.valid.val();
        self.out.m.ready.next = self.m.ready.val();
        self.intervals.clk.next = self.clk.val();
        self.due.clk.next = self.clk.val();
        let state = self.state.q.val();
        let now = self.now.val();
        let mut pending_next = self.pending.q.val();

        // Pass on; an interrupt of a moderated vector becomes pending instead.
        let offer = self.s.data.val();
        let vector = offer.vector.get_bits::<5>(0);
        let holds_back =
            (offer.kind == bits::<2>(UP_MSIX)) & self.moderated.q.val().get_bit(vector.index());
        let sends = (state == State::Send) & !self.midway.q.val() & !self.stands.q.val();
        self.out.s.valid.next = sends | (self.s.valid.val() & !holds_back);
        self.out.s.data.next = offer;
        if sends {
            self.out.s.data.next = Up::<N> {
                kind: bits::<2>(UP_MSIX),
                address: bits::<64>(0),
                bytes: bits::<13>(0),
                tag: bits::<8>(0),
                vector: bit_cast::<8, 5>(self.message.q.val()),
                data: bits::<N>(0),
                last: true,
            };
        }
        let taken = !sends & (holds_back | self.out.s.ready.val());
        self.s.ready.next = taken;
        let comes = self.s.valid.val() & taken & holds_back;
        if comes {
            pending_next = pending_next | (bits::<32>(1) << vector);
        }
        let passes = self.s.valid.val() & !holds_back & !sends & self.out.s.ready.val();
        if passes {
            self.midway.d.next = !offer.last;
        }
        self.stands.d.next = self.s.valid.val() & !holds_back & !sends & !self.out.s.ready.val();
        let sent = sends & self.out.s.ready.val();
        self.interrupts.next = sent | (passes & (offer.kind == bits::<2>(UP_MSIX)));

        // Sweep: read, measure, compare.
        let at = self.at.q.val();
        let sweeps = (state == State::Sweep) & !self.ended.q.val();
        self.intervals.read_address.next = at;
        self.due.read_address.next = at;
        self.read_valid.d.next = sweeps & self.pending.q.val().get_bit(at.index());
        self.read.d.next = at;
        if sweeps {
            self.at.d.next = at + bits::<5>(1);
            self.ended.d.next = at == bits::<5>(self._contexts as u64 - 1);
        }
        self.seen.d.next = Seen {
            valid: self.read_valid.q.val(),
            vector: self.read.q.val(),
            left: self.due.read_data.val() - self.began.q.val().get_bits::<32>(0),
            interval: self.intervals.read_data.val(),
        };
        let seen = self.seen.q.val();
        let first = self.first.q.val();
        let left = if seen.left > seen.interval {
            bits::<32>(0)
        } else {
            seen.left
        };
        if seen.valid & (!first.valid | (left < first.left)) {
            self.first.d.next = Seen { left, ..seen };
        }

        // A context register.
        let write = self.s_context.val();
        let sets = self.s_context_valid.val() & (write.register == bits::<5>(INTERVAL));
        let place = bits::<32>(1) << write.context.get_bits::<5>(0);
        if sets {
            self.moderated.d.next = if write.value.get_bits::<32>(0).any() {
                self.moderated.q.val() | place
            } else {
                self.moderated.q.val() & !place
            };
        }
        self.intervals.write_enable.next = sets;
        self.intervals.write_address.next = write.context.get_bits::<5>(0);
        self.intervals.write_data.next = write.value.get_bits::<32>(0);
        let departs = self.owed.q.val() & !sets;
        if sent {
            self.again.d.next = now.get_bits::<32>(0) + self.again.q.val();
        }
        self.owed.d.next = sent | (self.owed.q.val() & sets);
        self.due.write_enable.next = sets | departs;
        self.due.write_address.next = if sets {
            write.context.get_bits::<5>(0)
        } else {
            self.message.q.val()
        };
        self.due.write_data.next = if sets {
            now.get_bits::<32>(0)
        } else {
            self.again.q.val()
        };

        match state {
            State::Rest => {}
            State::Sweep => {
                if self.ended.q.val() & !self.read_valid.q.val() & !seen.valid {
                    self.state.d.next = State::Reckon;
                }
            }
            State::Reckon => {
                self.wake.d.next = self.began.q.val() + bit_cast::<64, 32>(first.left);
                self.message.d.next = first.vector;
                self.again.d.next = first.interval;
                self.state.d.next = State::Wait;
            }
            State::Wait => {
                if now >= self.wake.q.val() {
                    self.state.d.next = State::Send;
                }
            }
            State::Send => {
                if sent {
                    pending_next = pending_next & !(bits::<32>(1) << self.message.q.val());
                    self.state.d.next = State::Rest;
                }
            }
        }
        self.pending.d.next = pending_next;
        let rests = state == State::Rest;
        let waits = state == State::Wait;
        let is_due = now >= self.wake.q.val();
        let waiting = self.pending.q.val().any();
        let restarts = (rests & waiting & !self.owed.q.val())
            | (waits & !is_due & (comes | self.missed.q.val()));
        if comes {
            self.missed.d.next = true;
        }
        if restarts {
            self.state.d.next = State::Sweep;
            self.at.d.next = bits::<5>(0);
            self.ended.d.next = false;
            self.began.d.next = now;
            self.first.d.next = Seen::default();
            // One that comes now is pending when the sweep begins.
            self.missed.d.next = false;
        }

        self.idle.next = ((rests & !waiting & !self.owed.q.val())
            | (waits & !is_due & !self.missed.q.val()))
            & !self.out.m.valid.val();
        self.wake_at.next = if waits {
            self.wake.q.val()
        } else {
            !bits::<64>(0)
        };
        if self.rst.val() {
            self.state.d.next = State::Rest;
            self.pending.d.next = bits::<32>(0);
            self.moderated.d.next = bits::<32>(0);
            self.midway.d.next = false;
            self.stands.d.next = false;
            self.missed.d.next = false;
            self.owed.d.next = false;
        }
    }
}
