//! State cache: the TCP state of the connections in use is on chip, that of all others in
//! host memory.
//!
//! ```text
//!             ┌──────┐   ┌─────┐ hit or miss  ┌───────┐
//!  s ─Event──►│ look ├──►│ act ├─────────────►│ queue ├───► m (flow id: slot)
//!             └──▲───┘   └─┬─┬─┘              └───────┘
//!            lines of a set│ │ misses
//!                          │ └► fills ──► load ──► m_fill, victim ──► write back ─┐
//!  s_cpl ──► buffer ───────┼───────────────▲                                      ▼
//!                          └► reads ────────────────────────────────────────────► m_up
//! ```
//!
//! Sits between arbiter and protocol, and hands that stage slots in the place of flow ids; a
//! slot is a way of the set that the low bits of the flow id name. Events keep their order,
//! because the frames of received segments wait in a FIFO. What hides a miss is that it is
//! noticed when the event enters the queue: its state is read while the events ahead pass,
//! and many misses are on their way at once. A hit behind a miss that has reached the
//! head waits with it.
//!
//! A miss takes an empty way, else one in turn that no event between here and the end of the
//! protocol stage uses: each line is stamped with the number of the last event that used it.
//! The state that it replaces is written back when the new one is installed; until that write
//! has left, a miss of that connection waits, so that its read cannot pass the write.
//!
//! Initiation interval 1. Latency of a hit 3 clocks. A miss costs the protocol stage about five
//! clocks, in which its memories are free for the exchange.
//!
//! The connections' states lie at `base`, [`STATE_BYTES`] each, zero for a closed one: the host
//! clears them before the NIC is enabled after a reset, which empties the cache.

use crate::channels::{CLASS_FAST, Completion, Event, UP_READ, UP_WRITE, Up};
use crate::interface::STATE_BYTES;
use crate::stages::protocol::exchange::{Fill, STORED_BITS, Stored};
use hallux_hdl::prelude::*;

/// Bits of a state in host memory.
const STATE_BITS: usize = 8 * STATE_BYTES as usize;
/// Misses in flight.
pub const FILLS: usize = 32;
/// Tags of fills have this bit set, and bit 7 clear; fill `i` reads with tag `TAG + i`.
pub const TAG: u64 = 0x40;
/// Events that may wait in the queue.
const QUEUE: usize = 64;
/// Events that may be inside the protocol stage.
const INSIDE: usize = 64;

const _: () = assert!(STORED_BITS <= STATE_BITS);

/// A line: a connection whose state is in a slot, or on its way there.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Line {
    /// The slot is in use.
    pub valid: Bit,
    /// Flow id.
    pub flow: Bits<16>,
    /// Number of the last event that used it, modulo 2^12.
    pub stamp: Bits<12>,
}

/// An event on its way to the protocol stage.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Queued {
    /// The event.
    pub event: Event,
    /// Where its state is, or will be.
    pub slot: Bits<16>,
    /// It waits for the next fill.
    pub misses: Bit,
}

/// A miss in flight.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Miss {
    /// The slot that is filled.
    pub slot: Bits<16>,
    /// Tag of the read, without [`TAG`].
    pub tag: Bits<5>,
    /// The slot holds another connection's state.
    pub replaces: Bit,
    /// Which connection's.
    pub victim: Bits<16>,
}

/// A read of a state.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Read {
    /// Bus address.
    pub address: Bits<64>,
    /// Tag, without [`TAG`].
    pub tag: Bits<5>,
}

/// A state that is, or will be, on its way to host memory.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Leaving {
    /// Its write has not left.
    pub valid: Bit,
    /// Flow id.
    pub flow: Bits<16>,
}

/// See the [module](self).
#[derive(LogicBlock, Default)]
pub struct StateCache<const N: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: empties the cache.
    pub rst: Signal<In, Bit>,
    /// Bus address of the connections' states, aligned to [`STATE_BYTES`].
    pub base: Signal<In, Bits<64>>,
    /// Events in order.
    pub s: StreamSink<Event>,
    /// The same events; their flow id is a slot.
    pub m: StreamSource<Event>,
    /// Flow id of the event at `m`.
    pub flow: Signal<Out, Bits<16>>,
    /// An outcome leaves the protocol stage; there is one for each event.
    pub outcome: Signal<In, Bit>,
    /// Flow id of the next outcome.
    pub outcome_flow: Signal<Out, Bits<16>>,
    /// States to install.
    pub m_fill: StreamSource<Fill>,
    /// What the fill that is being taken replaces.
    pub victim: Signal<In, Stored>,
    /// Completions; those without [`TAG`] are ignored.
    pub s_cpl: StreamSink<Completion<N>>,
    /// Reads and writes of states.
    pub m_up: StreamSource<Up<N>>,
    /// Pulse: an event missed.
    pub missed: Signal<Out, Bit>,
    /// Nothing is held and no read is in flight.
    pub idle: Signal<Out, Bit>,

    tables: Vec<RegisterFile<Line, 16>>,
    wiping: DFF<Bit>,
    wipe: DFF<Bits<16>>,
    look: DFF<Event>,
    look_valid: DFF<Bit>,
    lines: Vec<DFF<Line>>,
    /// Where the search for a way to replace begins.
    turn: DFF<Bits<3>>,
    /// Events that have been numbered, and those that have left the protocol stage.
    entered: DFF<Bits<12>>,
    left: DFF<Bits<12>>,
    queue: Fifo<Queued>,
    fills: Fifo<Miss>,
    reads: Fifo<Read>,
    /// Next tag to hand out, and how many are in use.
    tag: DFF<Bits<5>>,
    used: DFF<Bits<6>>,
    /// One bit a tag: its data is complete.
    done: DFF<Bits<32>>,
    leaving: Vec<DFF<Leaving>>,
    buffer: Ram<Bits<N>, 7>,
    /// Beats of the oldest fill that the buffer was asked for.
    step: DFF<Bits<3>>,
    state: DFF<Bits<STATE_BITS>>,
    loaded: DFF<Miss>,
    loaded_valid: DFF<Bit>,
    /// Fills that were installed and whose event has not left: at most all that the queue holds.
    installed: DFF<Bits<7>>,
    /// An event has just left while a fill waits for the protocol stage.
    rests: DFF<Bit>,
    written: DFF<Bits<STATE_BITS>>,
    writing: DFF<Miss>,
    writing_valid: DFF<Bit>,
    beat: DFF<Bits<3>>,
    out: StreamRegister<Up<N>>,
    flows: Fifo<Bits<16>>,
    known_outcome: Assert,
    _connections: usize,
    _sets: usize,
}

impl<const N: usize> StateCache<N> {
    /// A cache of `slots` states in `ways` ways (1, 2, 4 or 8; at least two sets) for flow ids
    /// `0..connections`.
    pub fn new(connections: usize, slots: usize, ways: usize) -> Self {
        let sets = slots / ways;
        Self {
            tables: (0..ways).map(|_| RegisterFile::new(sets)).collect(),
            lines: (0..ways).map(|_| DFF::default()).collect(),
            queue: Fifo::new(QUEUE).with_output(FifoOutput::Forward),
            fills: Fifo::new(FILLS),
            reads: Fifo::new(FILLS),
            leaving: (0..FILLS).map(|_| DFF::default()).collect(),
            buffer: Ram::new(FILLS * STATE_BITS / N),
            flows: Fifo::new(INSIDE),
            known_outcome: Assert::new("an outcome belongs to an event"),
            _connections: connections,
            _sets: sets,
            ..Self::default()
        }
    }
}

/// An event that uses the line is between the lookup and the end of the protocol stage.
#[hdl_fn]
fn is_used(line: Line, left: Bits<12>, in_flight: Bits<12>) -> Bit {
    (line.stamp - left - bits::<12>(1)) < in_flight
}

/// The next beat moves down to where it is taken from.
#[hdl_fn]
fn shifted<const N: usize>(state: Bits<STATE_BITS>) -> Bits<STATE_BITS> {
    if N < STATE_BITS {
        state >> (N % STATE_BITS) as u64
    } else {
        bits::<STATE_BITS>(0)
    }
}

impl<const N: usize> Logic for StateCache<N> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self, clk, wiping, wipe, look, look_valid, turn, entered, left
        );
        dff_setup!(
            self,
            clk,
            tag,
            used,
            done,
            step,
            state,
            loaded,
            loaded_valid
        );
        dff_setup!(
            self,
            clk,
            installed,
            rests,
            written,
            writing,
            writing_valid,
            beat
        );
        self.queue.clk.next = self.clk.val();
        self.queue.rst.next = self.rst.val();
        self.fills.clk.next = self.clk.val();
        self.fills.rst.next = self.rst.val();
        self.reads.clk.next = self.clk.val();
        self.reads.rst.next = self.rst.val();
        self.flows.clk.next = self.clk.val();
        self.flows.rst.next = self.rst.val();
        self.out.clk.next = self.clk.val();
        self.out.rst.next = self.rst.val();
        self.buffer.clk.next = self.clk.val();
        let ways = self.tables.len();
        let sets = bits::<16>(self._sets as u64 - 1);
        let set_bits = self._sets.trailing_zeros() as u64;
        let beats = STATE_BITS / N;
        let beats_log2 = beats.trailing_zeros() as u64;

        // Act: where the event's state is, or will be.
        let event = self.look.q.val();
        let looking = self.look_valid.q.val();
        let flow = event.flow;
        // Raw frames and those for the control plane belong to no connection.
        let known = (event.class == bits::<2>(CLASS_FAST))
            & (flow <= bits::<16>((self._connections - 1) as u64));
        let left = self.left.q.val();
        let in_flight = self.entered.q.val() - left;
        let mut hit: Bit = false;
        let mut free: Bit = false;
        let mut way = bits::<3>(0);
        for w in (0..ways).rev() {
            if !is_used(self.lines[w].q.val(), left, in_flight) {
                free = true;
                way = bits::<3>(w as u64);
            }
        }
        for w in (0..ways).rev() {
            let mut from_here: Bit = true;
            if w < 7 {
                from_here = self.turn.q.val() <= bits::<3>(w as u64);
            }
            if !is_used(self.lines[w].q.val(), left, in_flight) & from_here {
                way = bits::<3>(w as u64);
            }
        }
        for w in (0..ways).rev() {
            if !self.lines[w].q.val().valid {
                free = true;
                way = bits::<3>(w as u64);
            }
        }
        for w in 0..ways {
            if self.lines[w].q.val().valid & (self.lines[w].q.val().flow == flow) {
                hit = true;
                way = bits::<3>(w as u64);
            }
        }
        let mut line = self.lines[0].q.val();
        for w in 1..ways {
            if way == bits::<3>(w as u64) {
                line = self.lines[w].q.val();
            }
        }
        let mut returns: Bit = false;
        for t in 0..FILLS {
            let leaving = self.leaving[t].q.val();
            returns = returns | (leaving.valid & (leaving.flow == flow));
        }
        let misses = known & !hit;
        let can_fill = free
            & !returns
            & self.fills.s.ready.val()
            & self.reads.s.ready.val()
            & (self.used.q.val() != bits::<6>(FILLS as u64));
        let go = looking & self.queue.s.ready.val() & (!misses | can_fill);
        let miss = go & misses;
        let slot = (bit_cast::<16, 3>(way) << set_bits) | (flow & sets);
        let stamp = self.entered.q.val() + bits::<12>(1);
        if go {
            self.entered.d.next = stamp;
        }
        self.queue.s.data.next = Queued {
            event,
            slot: if known { slot } else { !bits::<16>(0) },
            misses,
        };
        self.queue.s.valid.next = go;
        self.missed.next = miss;
        self.fills.s.data.next = Miss {
            slot,
            tag: self.tag.q.val(),
            replaces: line.valid,
            victim: line.flow,
        };
        self.fills.s.valid.next = miss;
        self.reads.s.data.next = Read {
            address: self.base.val()
                + (bit_cast::<64, 16>(flow) << STATE_BYTES.trailing_zeros() as u64),
            tag: self.tag.q.val(),
        };
        self.reads.s.valid.next = miss;
        if miss {
            self.tag.d.next = self.tag.q.val() + bits::<5>(1);
            self.turn.d.next = way + bits::<3>(1);
        }

        // Look: the lines of the next event's set, that being written among them.
        let wiping = self.wiping.q.val();
        let takes = !wiping & (!looking | go);
        self.s.ready.next = takes;
        let next_set = self.s.data.val().flow & sets;
        let written_line = Line {
            valid: true,
            flow,
            stamp,
        };
        for w in 0..ways {
            dff_setup!(self, clk, lines[w]);
            let writes = go & known & (way == bits::<3>(w as u64));
            self.tables[w].clk.next = self.clk.val();
            self.tables[w].write_enable.next = writes | wiping;
            self.tables[w].write_address.next = if wiping {
                self.wipe.q.val()
            } else {
                flow & sets
            };
            self.tables[w].write_data.next = if wiping {
                Line::default()
            } else {
                written_line
            };
            self.tables[w].read_address.next = next_set;
            if takes & self.s.valid.val() {
                self.lines[w].d.next = if writes & (next_set == (flow & sets)) {
                    written_line
                } else {
                    self.tables[w].read_data.val()
                };
            }
        }
        if takes {
            self.look_valid.d.next = self.s.valid.val();
            if self.s.valid.val() {
                self.look.d.next = self.s.data.val();
            }
        }
        if wiping {
            self.wipe.d.next = self.wipe.q.val() + bits::<16>(1);
            if self.wipe.q.val() == sets {
                self.wiping.d.next = false;
            }
        }

        // Completions go to the place of their tag.
        let completion = self.s_cpl.data.val();
        let arrives = self.s_cpl.valid.val() & (completion.tag.get_bits::<2>(6) == bits::<2>(1));
        let into = completion.tag.get_bits::<5>(0);
        self.s_cpl.ready.next = true;
        self.buffer.write_enable.next = arrives;
        self.buffer.write_address.next = (bit_cast::<7, 5>(into) << beats_log2)
            | bit_cast::<7, 13>(completion.offset >> (N / 8).trailing_zeros() as u64);
        self.buffer.write_data.next = completion.data;
        let mut done_next = self.done.q.val();
        if arrives & completion.last {
            done_next = done_next | (bits::<32>(1) << into);
        }

        // Load: the oldest fill's beats, from the lowest on.
        let oldest = self.fills.m.data.val();
        let loads = self.fills.m.valid.val()
            & self.done.q.val().get_bit(oldest.tag.index())
            & !self.loaded_valid.q.val();
        let step = self.step.q.val();
        let loads_last = loads & (step == bits::<3>(beats as u64));
        self.buffer.read_address.next =
            (bit_cast::<7, 5>(oldest.tag) << beats_log2) | bit_cast::<7, 3>(step);
        if loads {
            self.step.d.next = if loads_last {
                bits::<3>(0)
            } else {
                step + bits::<3>(1)
            };
            let lower = shifted::<N>(self.state.q.val());
            self.state.d.next = lower
                | (bit_cast::<STATE_BITS, N>(self.buffer.read_data.val())
                    << (STATE_BITS - N) as u64);
        }
        self.fills.m.ready.next = loads_last;
        if loads_last {
            self.loaded.d.next = oldest;
            self.loaded_valid.d.next = true;
            done_next = done_next & !(bits::<32>(1) << oldest.tag);
        }
        self.done.d.next = done_next;

        // Install, once what the fill before replaced has been written back.
        let loaded = self.loaded.q.val();
        let offers = self.loaded_valid.q.val() & !self.writing_valid.q.val();
        self.m_fill.valid.next = offers;
        self.m_fill.data.next = Fill {
            slot: loaded.slot,
            state: unpack::<Stored, STORED_BITS>(self.state.q.val().get_bits::<STORED_BITS>(0)),
        };
        let installs = offers & self.m_fill.ready.val();
        if installs {
            self.loaded_valid.d.next = false;
            self.writing.d.next = loaded;
            self.writing_valid.d.next = loaded.replaces;
            self.written.d.next =
                bit_cast::<STATE_BITS, STORED_BITS>(pack::<Stored, STORED_BITS>(self.victim.val()));
        }

        // Write back; reads when there is nothing to write.
        let writes = self.writing_valid.q.val();
        let ends = self.beat.q.val() == bits::<3>(beats as u64 - 1);
        let read = self.reads.m.data.val();
        self.out.s.valid.next = writes | self.reads.m.valid.val();
        self.out.s.data.next = if writes {
            Up::<N> {
                kind: bits::<2>(UP_WRITE),
                address: self.base.val()
                    + (bit_cast::<64, 16>(self.writing.q.val().victim)
                        << STATE_BYTES.trailing_zeros() as u64),
                bytes: bits::<13>(STATE_BYTES),
                tag: bits::<8>(0),
                vector: bits::<8>(0),
                data: self.written.q.val().get_bits::<N>(0),
                last: ends,
            }
        } else {
            Up::<N> {
                kind: bits::<2>(UP_READ),
                address: read.address,
                bytes: bits::<13>(STATE_BYTES),
                tag: bits::<8>(TAG) | bit_cast::<8, 5>(read.tag),
                vector: bits::<8>(0),
                data: bits::<N>(0),
                last: true,
            }
        };
        let moves = self.out.s.ready.val();
        self.reads.m.ready.next = moves & !writes;
        let gone = writes & moves & ends;
        if writes & moves {
            self.beat.d.next = if ends {
                bits::<3>(0)
            } else {
                self.beat.q.val() + bits::<3>(1)
            };
            self.written.d.next = shifted::<N>(self.written.q.val());
        }
        if gone {
            self.writing_valid.d.next = false;
        }
        StreamSource::<Up<N>>::link(&mut self.m_up, &mut self.out.m);
        for t in 0..FILLS {
            dff_setup!(self, clk, leaving[t]);
            if miss & (self.tag.q.val() == bits::<5>(t as u64)) {
                self.leaving[t].d.next = Leaving {
                    valid: line.valid,
                    flow: line.flow,
                };
            }
            if gone & (self.writing.q.val().tag == bits::<5>(t as u64)) {
                self.leaving[t].d.next.valid = false;
            }
        }
        // A tag is free again when nothing of its fill is left.
        let freed = gone | (installs & !loaded.replaces);
        if miss & !freed {
            self.used.d.next = self.used.q.val() + bits::<6>(1);
        } else if freed & !miss {
            self.used.d.next = self.used.q.val() - bits::<6>(1);
        }

        // To the protocol stage. A fill that waits for its memories gets every second clock.
        let head = self.queue.m.data.val();
        let passes = (!head.misses | self.installed.q.val().any())
            & self.flows.s.ready.val()
            & !self.rests.q.val();
        let mut placed = head.event;
        placed.flow = head.slot;
        self.m.data.next = placed;
        self.m.valid.next = self.queue.m.valid.val() & passes;
        self.queue.m.ready.next = passes & self.m.ready.val();
        let taken = self.queue.m.valid.val() & passes & self.m.ready.val();
        self.rests.d.next = taken & offers & !installs;
        self.flow.next = head.event.flow;
        self.flows.s.data.next = head.event.flow;
        self.flows.s.valid.next = taken;
        let consumes = taken & head.misses;
        if installs & !consumes {
            self.installed.d.next = self.installed.q.val() + bits::<7>(1);
        } else if consumes & !installs {
            self.installed.d.next = self.installed.q.val() - bits::<7>(1);
        }

        // Behind it.
        self.outcome_flow.next = self.flows.m.data.val();
        self.flows.m.ready.next = self.outcome.val();
        if self.outcome.val() {
            self.left.d.next = left + bits::<12>(1);
        }
        self.known_outcome.clk.next = self.clk.val();
        self.known_outcome.holds.next =
            self.rst.val() | !self.outcome.val() | self.flows.m.valid.val();

        self.idle.next = !looking
            & !wiping
            & !self.queue.level.val().any()
            & !self.flows.level.val().any()
            & !self.used.q.val().any()
            & !self.rests.q.val()
            & !self.out.m.valid.val();

        if self.rst.val() {
            self.wiping.d.next = true;
            self.wipe.d.next = bits::<16>(0);
            self.look_valid.d.next = false;
            self.turn.d.next = bits::<3>(0);
            self.entered.d.next = bits::<12>(0);
            self.left.d.next = bits::<12>(0);
            self.tag.d.next = bits::<5>(0);
            self.used.d.next = bits::<6>(0);
            self.done.d.next = bits::<32>(0);
            self.step.d.next = bits::<3>(0);
            self.loaded_valid.d.next = false;
            self.installed.d.next = bits::<7>(0);
            self.rests.d.next = false;
            self.writing_valid.d.next = false;
            self.beat.d.next = bits::<3>(0);
            for t in 0..FILLS {
                self.leaving[t].d.next.valid = false;
            }
        }
    }
}
