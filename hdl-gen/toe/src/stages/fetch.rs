//! Fetch: reads descriptors from the hosts' rings when a doorbell rings.
//!
//! ```text
//!              ┌────────┐ read ┌─────┐ read request ┌──────┐
//!  s_context ─►│ select ├─────►│ act ├─────────────►│      │
//!    round  ──►│        │      │     │              │ out  ├─► m_up
//!    robin     └────────┘      └──┬──┘  consumed ──►│      │
//!                                 │ burst  ▲        └──────┘
//!                                 ▼        │
//!              ┌────────┐      ┌────────┐  │  ┌────────┐ ┌────────┐
//!  s_cpl ─────►│ buffer ├──┐   │ bursts ├──┴─►│ decode ├►│ events ├─► m
//!              └────────┘  └──►└────────┘     └────────┘ └────────┘
//! ```
//!
//! A burst is one read of up to [`BURST`] descriptors that crosses neither the ring's end
//! nor a 128-byte boundary, hence no 4 KiB boundary. Contexts with new descriptors take
//! turns. Several bursts are in flight, each with a tag and a slot of the buffer;
//! completions come in any order, bursts are taken apart in the order of their reads.
//! The count of consumed descriptors is written to the host whenever it has passed a
//! multiple of [`REPORT`], or of a quarter of the ring where that is less: the host needs
//! it to find room, and always has three quarters of the ring to fill.
//!
//! Reading or changing a context takes three cycles: `Select` chooses the work and reads the
//! context, `Write` or `Issue` acts, `Settle` finds where the ring's next burst begins and
//! writes back. Initiation interval: 3 cycles a burst, 1 cycle a descriptor. Latency from a doorbell to its read 2 cycles, from the last completion beat to
//! the first event 3. A doorbell starts a burst at once if a slot is free. Context writes are never held behind reads.
//!
//! An unknown kind, a frame of impossible length and a raw frame from an application's
//! context are skipped (`skipped` pulses). Disabling a context cancels its bursts: they
//! cause neither events nor a consumed count. After reset `Clear` wipes the contexts, one
//! word a cycle.

use crate::channels::{
    CLASS_FAST, CLASS_SLOW, Completion, ContextWrite, Event, KIND_HC, RECORD_BITS, Sack, UP_READ,
    UP_WRITE, Up,
};
use crate::interface::{DESCRIPTOR_SEND_FRAME, DESCRIPTOR_UPDATE, context};
use crate::stages::cut::ring_mask;
use hallux_hdl::prelude::*;

/// Largest number of descriptors of one read.
pub const BURST: u64 = 4;
/// Tags of descriptor reads have this bit set; slot `i` reads with tag `TAG + i`.
pub const TAG: u64 = 0x80;
/// Consumed descriptors between two writes of their count, at most; a power of two.
pub const REPORT: u64 = 16;
/// Largest number of bursts in flight.
pub const MAX_SLOTS: usize = 16;
/// Registers of a context page, by number.
const TAIL: usize = context::DESCRIPTOR_TAIL as usize / 8;
const BASE: usize = context::DESCRIPTOR_BASE as usize / 8;
const LOG2: usize = context::DESCRIPTOR_LOG2 as usize / 8;
const CONSUMED: usize = context::CONSUMED_ADDRESS as usize / 8;
const ENABLE: usize = context::ENABLE as usize / 8;
/// Shortest and longest raw frame, in bytes without FCS.
const FRAME_BYTES: (u64, u64) = (14, 1514);
/// Events that may wait for the arbiter.
const EVENTS: usize = 16;

/// What the stage does in this cycle.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum State {
    /// Wiping the contexts after reset.
    Clear,
    /// Choosing an item of work.
    Select,
    /// A context write: the context is read.
    Write,
    /// A burst: the context is read.
    Issue,
    /// The context is written back.
    Settle,
}

/// A context's descriptor ring, and where its next burst begins.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Ring {
    /// Bus address.
    pub base: Bits<64>,
    /// Its descriptors, a power of two, less one.
    pub mask: Bits<32>,
    /// The consumed count is written when one of these bits of it changes, or one above.
    pub report: Bits<5>,
    /// Descriptors written by the host.
    pub tail: Bits<32>,
    /// Descriptors read.
    pub fetched: Bits<32>,
    /// Bus address of the consumed count.
    pub consumed: Bits<64>,
    /// Bus address of the descriptor that is read next.
    pub address: Bits<64>,
    /// Descriptors behind it to the ring's end.
    pub to_end: Bits<32>,
}

/// A beat of descriptors, and what is known of each by its kind and length alone.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Stored<const N: usize> {
    /// The descriptors.
    pub data: Bits<N>,
    /// One bit a descriptor: it is an update.
    pub updates: Bits<4>,
    /// It is a raw frame of a possible length.
    pub frames: Bits<4>,
}

/// A burst in flight.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Burst {
    /// Context.
    pub ring: Bits<5>,
    /// Slot of the buffer.
    pub slot: Bits<4>,
    /// Descriptors, less one.
    pub more: Bits<2>,
    /// Descriptors consumed when the burst is.
    pub count: Bits<32>,
    /// The host is told.
    pub report: Bit,
    /// Bus address of the consumed count.
    pub consumed: Bits<64>,
}

/// A request on its way upstream.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Request {
    /// Write the consumed count; otherwise read descriptors.
    pub write: Bit,
    /// Bus address.
    pub address: Bits<64>,
    /// Bytes.
    pub bytes: Bits<13>,
    /// Slot of a read.
    pub slot: Bits<4>,
    /// The consumed count.
    pub count: Bits<32>,
    /// There is nothing to read after all.
    pub void: Bit,
}

/// Turns descriptors into events.
#[derive(LogicBlock, Default)]
pub struct Fetch<const N: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high.
    pub rst: Signal<In, Bit>,
    /// Writes to context registers; those of other stages are ignored.
    pub s_context: StreamSink<ContextWrite>,
    /// Completions; those whose tag has bit 7 clear are not ours and are ignored.
    pub s_cpl: StreamSink<Completion<N>>,
    /// Descriptor reads and consumed counts.
    pub m_up: StreamSource<Up<RECORD_BITS>>,
    /// Host-control events.
    pub m: StreamSource<Event>,
    /// Pulse: a descriptor is skipped.
    pub skipped: Signal<Out, Bit>,
    /// No descriptor is known that has not become an event.
    pub idle: Signal<Out, Bit>,
    state: DFF<State>,
    clear: DFF<Bits<6>>,
    write: DFF<ContextWrite>,
    /// It is a doorbell.
    doorbell: DFF<Bit>,
    /// Context served last.
    last: DFF<Bits<5>>,
    contexts: Ram<Ring, 5>,
    enabled: DFF<Bits<32>>,
    /// The context in hand, its number, and the burst that was begun.
    work: DFF<Ring>,
    at: DFF<Bits<5>>,
    burst: DFF<Burst>,
    issued: DFF<Bit>,
    /// Descriptors of that burst.
    count: DFF<Bits<3>>,
    /// It has more descriptors.
    rests: DFF<Bit>,
    /// One bit a context: it has descriptors that are not read.
    pending: DFF<Bits<32>>,
    /// Next slot to use.
    slot: DFF<Bits<4>>,
    /// Slots in use.
    used: DFF<Bits<5>>,
    /// One bit a slot: its data is complete.
    done: DFF<Bits<16>>,
    /// One bit a slot: its context was disabled meanwhile.
    cancelled: DFF<Bits<16>>,
    /// The context of each slot.
    owners: Vec<DFF<Bits<5>>>,
    buffer: Ram<Stored<N>, 6>,
    bursts: Fifo<Burst>,
    /// Descriptor of the oldest burst that is next.
    step: DFF<Bits<2>>,
    /// A descriptor is being decoded: its place in the beat, and whether it comes from the
    /// control plane.
    decode: DFF<Bit>,
    place: DFF<Bits<2>>,
    controls: DFF<Bit>,
    ticket: DFF<Bits<22>>,
    events: Fifo<Event>,
    reads: Fifo<Request>,
    counts: Fifo<Request>,
    /// A count is offered upstream and was not taken.
    counting: DFF<Bit>,
    events_fit: Assert,
    _contexts: usize,
    _slots: usize,
}

impl<const N: usize> Fetch<N> {
    /// A fetcher for `contexts` contexts (at most 32) with `slots` bursts in flight (2
    /// to [`MAX_SLOTS`]).
    pub fn new(contexts: usize, slots: usize) -> Self {
        Self {
            contexts: Ram::new(contexts.max(2)),
            owners: (0..slots).map(|_| DFF::default()).collect(),
            buffer: Ram::new(BURST as usize * RECORD_BITS / N * slots),
            bursts: Fifo::new(slots),
            events: Fifo::new(EVENTS)
                .with_almost_full(2)
                .with_output(FifoOutput::Forward),
            reads: Fifo::new(slots).with_output(FifoOutput::Forward),
            counts: Fifo::new(slots),
            events_fit: Assert::new("a decoded descriptor finds no place among the events"),
            _contexts: contexts,
            _slots: slots,
            ..Self::default()
        }
    }
}

/// A raw frame may be so long: the limits are compared in pieces of a few bits.
#[hdl_fn]
fn is_frame_length(length: Bits<16>) -> Bit {
    let rest = length.get_bits::<12>(4);
    let mut long_enough = rest.any();
    for i in FRAME_BYTES.0..16 {
        long_enough = long_enough | (length.get_bits::<4>(0) == bits::<4>(i));
    }
    let middle = length.get_bits::<6>(5);
    let low = length.get_bits::<5>(0);
    let mut short_enough: Bit = false;
    for i in 0..(FRAME_BYTES.1 >> 5) {
        short_enough = short_enough | (middle == bits::<6>(i));
    }
    let mut fits: Bit = false;
    for i in 0..(FRAME_BYTES.1 & 31) + 1 {
        fits = fits | (low == bits::<5>(i));
    }
    short_enough = short_enough | ((middle == bits::<6>(FRAME_BYTES.1 >> 5)) & fits);
    long_enough & short_enough & !length.get_bits::<5>(11).any()
}

/// log2 of the descriptors between two writes of the consumed count, for a ring of
/// 2^`log2` descriptors.
#[hdl_fn]
fn report_log2(log2: Bits<5>) -> Bits<3> {
    let most = bits::<5>(REPORT.trailing_zeros() as u64);
    if log2 < bits::<5>(2) {
        bits::<3>(0)
    } else if (log2 - bits::<5>(2)) < most {
        (log2 - bits::<5>(2)).get_bits::<3>(0)
    } else {
        most.get_bits::<3>(0)
    }
}

impl<const N: usize> Logic for Fetch<N> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self, clk, state, clear, write, doorbell, last, enabled, work, at, burst, issued,
            count, rests, pending, slot, used, done, cancelled, step, decode, place, controls,
            ticket, counting
        );
        for i in 0..self.owners.len() {
            dff_setup!(self, clk, owners[i]);
        }
        self.contexts.clk.next = self.clk.val();
        self.buffer.clk.next = self.clk.val();
        self.bursts.clk.next = self.clk.val();
        self.bursts.rst.next = self.rst.val();
        self.events.clk.next = self.clk.val();
        self.events.rst.next = self.rst.val();
        self.reads.clk.next = self.clk.val();
        self.reads.rst.next = self.rst.val();
        self.counts.clk.next = self.clk.val();
        self.counts.rst.next = self.rst.val();

        // Select: a context write, else the next context with descriptors.
        let ringing = self.pending.q.val() & self.enabled.q.val();
        let mut turn = bits::<5>(0);
        for i in (0..self._contexts).rev() {
            if ringing.get_bit(i) {
                turn = bits::<5>(i as u64);
            }
        }
        for i in (1..self._contexts).rev() {
            if ringing.get_bit(i) & (self.last.q.val() < bits::<5>(i as u64)) {
                turn = bits::<5>(i as u64);
            }
        }
        let select = self.state.q.val() == State::Select;
        let free = (self.used.q.val() != bits::<5>(self._slots as u64))
            & self.reads.s.ready.val()
            & self.bursts.s.ready.val();
        self.s_context.ready.next = select;
        let written = self.s_context.data.val();
        self.contexts.read_address.next = if self.s_context.valid.val() {
            written.context.get_bits::<5>(0)
        } else {
            turn
        };
        if select {
            if self.s_context.valid.val() {
                self.state.d.next = State::Write;
                self.write.d.next = written;
                self.doorbell.d.next = written.register.index() == TAIL;
            } else if ringing.any() & free {
                self.state.d.next = State::Issue;
                self.doorbell.d.next = false;
                self.last.d.next = turn;
            }
        }

        // Act. Defaults: nothing is written back.
        let ring = self.contexts.read_data.val();
        let write = self.write.q.val();
        let writes = self.state.q.val() == State::Write;
        let at = if writes {
            write.context.get_bits::<5>(0)
        } else {
            self.last.q.val()
        };
        let place = bits::<32>(1) << at;
        let mut used_next = self.used.q.val();
        let mut done_next = self.done.q.val();
        let mut cancelled_next = self.cancelled.q.val();
        let mut enabled_next = self.enabled.q.val();

        // The burst: to the newest descriptor, the ring's end, the 128-byte boundary.
        // A doorbell starts a burst of its own, if there is a slot for it.
        let rings = self.doorbell.q.val();
        let tail = if rings {
            write.value.get_bits::<32>(0)
        } else {
            ring.tail
        };
        // Both differences are formed before it is known which counts.
        let rung = write.value.get_bits::<32>(0) - ring.fetched;
        let known = ring.tail - ring.fetched;
        let available = if rings {
            rung.get_bits::<2>(0)
        } else {
            known.get_bits::<2>(0)
        };
        let many = if rings {
            (rung >> 2).any()
        } else {
            (known >> 2).any()
        };
        let to_line = !ring.address.get_bits::<2>(5);
        let ends_first = !(ring.to_end >> 2).any() & (ring.to_end.get_bits::<2>(0) < to_line);
        let most = if ends_first {
            ring.to_end.get_bits::<2>(0)
        } else {
            to_line
        };
        // More than `most` and one.
        let beyond = many
            | (available.get_bit(1) & !most.get_bit(1) & (available.get_bit(0) | !most.get_bit(0)));
        let fewer = !many & (available <= most);
        let more = if fewer {
            available - bits::<2>(1)
        } else {
            most
        };
        // A write of the tail may have gone back meanwhile: then there is nothing to read.
        let any = if rings {
            write.value.get_bits::<32>(0) != ring.fetched
        } else {
            ring.tail != ring.fetched
        };
        let starts = writes & rings & free & (self.enabled.q.val() & place).any();
        let tries = starts | (self.state.q.val() == State::Issue);
        let issue = tries & any;
        self.reads.s.valid.next = tries;
        self.reads.s.data.next = Request {
            write: false,
            address: ring.address,
            bytes: (bit_cast::<13, 2>(more) + bits::<13>(1)) << 5,
            slot: self.slot.q.val(),
            count: bits::<32>(0),
            void: !any,
        };

        let acts = writes | (self.state.q.val() == State::Issue);
        if acts {
            self.work.d.next = ring;
            self.at.d.next = at;
            self.burst.d.next = Burst {
                ring: at,
                slot: self.slot.q.val(),
                more,
                count: bits::<32>(0),
                report: false,
                consumed: ring.consumed,
            };
            self.issued.d.next = issue;
            self.count.d.next = if issue {
                bit_cast::<3, 2>(more) + bits::<3>(1)
            } else {
                bits::<3>(0)
            };
            self.rests.d.next = if issue { beyond } else { any };
        }

        match self.state.q.val() {
            State::Clear => {
                self.clear.d.next = self.clear.q.val() + bits::<6>(1);
                if self.clear.q.val() == bits::<6>(self._contexts as u64 - 1) {
                    self.state.d.next = State::Select;
                }
            }
            State::Select => {}
            State::Write => {
                self.state.d.next = State::Settle;
                match write.register.index() {
                    TAIL => {
                        self.work.d.next.tail = tail;
                    }
                    BASE => {
                        self.work.d.next.base = write.value;
                    }
                    LOG2 => {
                        let log2 = write.value.get_bits::<5>(0);
                        self.work.d.next.mask = ring_mask::<32>(log2);
                        self.work.d.next.report = bits::<5>(0x1f) << report_log2(log2);
                    }
                    CONSUMED => {
                        self.work.d.next.consumed = write.value;
                    }
                    ENABLE => {
                        if write.value.get_bit(0) {
                            enabled_next = enabled_next | place;
                        } else {
                            enabled_next = enabled_next & !place;
                            self.work.d.next.tail = bits::<32>(0);
                            self.work.d.next.fetched = bits::<32>(0);
                            self.rests.d.next = false;
                            for i in 0..self._slots {
                                if self.owners[i].q.val() == at {
                                    cancelled_next = cancelled_next | bits::<16>(1 << i);
                                }
                            }
                        }
                    }
                    _ => {}
                }
            }
            State::Issue => {
                self.state.d.next = State::Settle;
            }
            State::Settle => {
                self.state.d.next = State::Select;
            }
        }

        // Settle: behind the burst. The count passes a multiple of a power of two when a
        // bit above it changes, and of those the lowest five suffice.
        let clearing = self.state.q.val() == State::Clear;
        let settles = self.state.q.val() == State::Settle;
        let work = self.work.q.val();
        let begun = self.burst.q.val();
        let issued = self.issued.q.val();
        if settles & issued {
            self.last.d.next = self.at.q.val();
            used_next = used_next + bits::<5>(1);
            self.slot.d.next = if self.slot.q.val() == bits::<4>(self._slots as u64 - 1) {
                bits::<4>(0)
            } else {
                self.slot.q.val() + bits::<4>(1)
            };
            cancelled_next = cancelled_next & !(bits::<16>(1) << self.slot.q.val());
            for i in 0..self._slots {
                if self.slot.q.val() == bits::<4>(i as u64) {
                    self.owners[i].d.next = self.at.q.val();
                }
            }
        }
        let count = self.count.q.val();
        let fetched = work.fetched + bit_cast::<32, 3>(count);
        let low = work.fetched.get_bits::<5>(0);
        let changed = low ^ (low + bit_cast::<5, 3>(count));
        self.bursts.s.valid.next = settles & issued;
        self.bursts.s.data.next = Burst {
            count: fetched,
            report: (changed & work.report).any(),
            ..begun
        };
        let mine = bits::<32>(1) << self.at.q.val();
        if settles {
            self.pending.d.next = if self.rests.q.val() {
                self.pending.q.val() | mine
            } else {
                self.pending.q.val() & !mine
            };
        }
        let index = fetched & work.mask;
        let mut settled = Ring {
            fetched,
            address: work.base + (bit_cast::<64, 32>(index) << 5),
            to_end: work.mask - index,
            ..work
        };
        if clearing {
            settled = Ring {
                base: bits::<64>(0),
                mask: bits::<32>(0),
                report: bits::<5>(0),
                tail: bits::<32>(0),
                fetched: bits::<32>(0),
                consumed: bits::<64>(0),
                address: bits::<64>(0),
                to_end: bits::<32>(0),
            };
        }
        self.contexts.write_enable.next = clearing | settles;
        self.contexts.write_address.next = if clearing {
            self.clear.q.val().get_bits::<5>(0)
        } else {
            self.at.q.val()
        };
        self.contexts.write_data.next = settled;

        // Completions go to the slot of their tag.
        let completion = self.s_cpl.data.val();
        let arrive = self.s_cpl.valid.val() & completion.tag.get_bit(7);
        let into = completion.tag.get_bits::<4>(0);
        self.s_cpl.ready.next = true;
        self.buffer.write_enable.next = arrive;
        let beat_shift = (N / 8).trailing_zeros() as u64;
        let slot_shift = 7 - beat_shift;
        self.buffer.write_address.next = (bit_cast::<6, 4>(into) << slot_shift)
            | bit_cast::<6, 2>((completion.offset >> beat_shift).get_bits::<2>(0));
        let descriptors = N / RECORD_BITS;
        let mut updates = bits::<4>(0);
        let mut frames = bits::<4>(0);
        for i in 0..descriptors {
            let kind = completion.data.get_bits::<8>(RECORD_BITS * i + 240);
            let length = completion.data.get_bits::<16>(RECORD_BITS * i + 192);
            updates.set_bits(i, bit(kind == bits::<8>(DESCRIPTOR_UPDATE as u64)));
            frames.set_bits(
                i,
                bit((kind == bits::<8>(DESCRIPTOR_SEND_FRAME as u64)) & is_frame_length(length)),
            );
        }
        self.buffer.write_data.next = Stored::<N> {
            data: completion.data,
            updates,
            frames,
        };
        if arrive & completion.last {
            done_next = done_next | (bits::<16>(1) << into);
        }

        // Take the oldest burst apart, one descriptor a cycle.
        let burst = self.bursts.m.data.val();
        let dead = self.cancelled.q.val().get_bit(burst.slot.index());
        let go = self.bursts.m.valid.val()
            & self.done.q.val().get_bit(burst.slot.index())
            & !self.events.almost_full.val()
            & self.counts.s.ready.val();
        let ends = go & (self.step.q.val() == burst.more);
        let step = self.step.q.val();
        self.buffer.read_address.next = (bit_cast::<6, 4>(burst.slot) << slot_shift)
            | bit_cast::<6, 2>(step >> descriptors.trailing_zeros() as u64);
        self.decode.d.next = go & !dead;
        self.place.d.next = step & bits::<2>(descriptors as u64 - 1);
        self.controls.d.next = !burst.ring.any();
        if go {
            self.step.d.next = self.step.q.val() + bits::<2>(1);
        }
        self.bursts.m.ready.next = ends;
        self.counts.s.valid.next = ends & !dead & burst.report;
        self.counts.s.data.next = Request {
            write: true,
            address: burst.consumed,
            bytes: bits::<13>(8),
            slot: bits::<4>(0),
            count: burst.count,
            void: false,
        };
        if ends {
            self.step.d.next = bits::<2>(0);
            used_next = used_next - bits::<5>(1);
            done_next = done_next & !(bits::<16>(1) << burst.slot);
        }
        self.used.d.next = used_next;
        self.done.d.next = done_next;
        self.cancelled.d.next = cancelled_next;
        self.enabled.d.next = enabled_next;

        // Decode.
        let beat = self.buffer.read_data.val();
        let mut descriptor = beat.data.get_bits::<RECORD_BITS>(0);
        let mut update = beat.updates.get_bit(0);
        let mut possible = beat.frames.get_bit(0);
        for i in 1..descriptors {
            if self.place.q.val() == bits::<2>(i as u64) {
                descriptor = beat.data.get_bits::<RECORD_BITS>(RECORD_BITS * i);
                update = beat.updates.get_bit(i);
                possible = beat.frames.get_bit(i);
            }
        }
        let frame_len = descriptor.get_bits::<16>(192);
        let frame = possible & self.controls.q.val();
        let mut work = Event {
            kind: bits::<2>(KIND_HC),
            ticket: cat::<2, 22, 24>(bits::<2>(KIND_HC), self.ticket.q.val()),
            flow: bits::<16>(0),
            generation: bits::<8>(0),
            class: bits::<2>(CLASS_SLOW),
            flags: bits::<8>(0),
            seq: bits::<32>(0),
            ack: bits::<32>(0),
            window: bits::<32>(0),
            ts_val: bits::<32>(0),
            ts_ecr: bits::<32>(0),
            ts_present: false,
            sack: Sack::default(),
            report: false,
            ce: false,
            payload_offset: bits::<8>(0),
            payload_len: bits::<14>(0),
            frame_len: frame_len.get_bits::<14>(0),
            address: descriptor.get_bits::<64>(128),
        };
        if update {
            work.class = bits::<2>(CLASS_FAST);
            work.flow = descriptor.get_bits::<16>(64);
            work.generation = descriptor.get_bits::<8>(80);
            work.flags = descriptor.get_bits::<8>(88) & bits::<8>(1);
            work.seq = descriptor.get_bits::<32>(0);
            work.ack = descriptor.get_bits::<32>(32);
            work.frame_len = bits::<14>(0);
            work.address = bits::<64>(0);
        }
        let known = self.decode.q.val() & (update | frame);
        self.events.s.data.next = work;
        self.events.s.valid.next = known;
        self.events_fit.clk.next = self.clk.val();
        self.events_fit.holds.next = self.rst.val() | !known | self.events.s.ready.val();
        if known {
            self.ticket.d.next = self.ticket.q.val() + bits::<22>(1);
        }
        self.skipped.next = self.decode.q.val() & !(update | frame);
        self.m.data.next = self.events.m.data.val();
        self.m.valid.next = self.events.m.valid.val();
        self.events.m.ready.next = self.m.ready.val();

        // Out: reads first; slots bound them, so that the counts get their turn.
        let void = self.reads.m.valid.val() & self.reads.m.data.val().void;
        let reading = self.reads.m.valid.val() & !void & !self.counting.q.val();
        let request = if reading {
            self.reads.m.data.val()
        } else {
            self.counts.m.data.val()
        };
        self.reads.m.ready.next = (self.m_up.ready.val() & reading) | void;
        self.counts.m.ready.next = self.m_up.ready.val() & !reading;
        self.m_up.valid.next = reading | self.counts.m.valid.val();
        self.counting.d.next = !reading & self.counts.m.valid.val() & !self.m_up.ready.val();
        self.m_up.data.next = Up::<RECORD_BITS> {
            kind: if request.write {
                bits::<2>(UP_WRITE)
            } else {
                bits::<2>(UP_READ)
            },
            address: request.address,
            bytes: request.bytes,
            tag: if request.write {
                bits::<8>(0)
            } else {
                bits::<8>(TAG) | bit_cast::<8, 4>(request.slot)
            },
            vector: bits::<8>(0),
            data: bit_cast::<RECORD_BITS, 32>(request.count),
            last: true,
        };

        self.idle.next = select
            & !ringing.any()
            & !self.used.q.val().any()
            & !self.decode.q.val()
            & !self.events.level.val().any()
            & !self.counts.level.val().any()
            & !self.reads.level.val().any();

        if self.rst.val() {
            self.state.d.next = State::Clear;
            self.clear.d.next = bits::<6>(0);
            self.last.d.next = bits::<5>(0);
            self.enabled.d.next = bits::<32>(0);
            self.pending.d.next = bits::<32>(0);
            self.slot.d.next = bits::<4>(0);
            self.used.d.next = bits::<5>(0);
            self.done.d.next = bits::<16>(0);
            self.cancelled.d.next = bits::<16>(0);
            self.step.d.next = bits::<2>(0);
            self.decode.d.next = false;
            self.counting.d.next = false;
            self.ticket.d.next = bits::<22>(0);
        }
    }
}
