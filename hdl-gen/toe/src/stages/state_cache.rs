//! State cache: the TCP state of the connections in use is on chip, that of all others in
//! host memory.
//!
//! ```text
//!             ┌──────┐   ┌─────┐ hit          ┌───────┐
//!  s ─Event──►│ look ├──►│ act ├─────────────►│ queue ├───► m (flow id: slot)
//!             └──▲───┘   └─┬─┬─┘   ┌─────────►└───────┘
//!            lines of a set│ │ miss│ filled
//!                          │ └► waiting room     ┌► m_fill, victim ──► write back ─┐
//!                          │  └► fills ──► load ─┘                                 │
//!  s_cpl ──► buffer ───────┼───────────────▲                                       ▼
//!                          └► reads ─────────────────────────────────────────────► m_up
//! ```
//!
//! Sits between arbiter and protocol, and hands that stage slots in the place of flow ids; a
//! slot is a way of the set that the low bits of the flow id name. An event whose state is not
//! on chip waits in the waiting room until it is, and so do those of its flow behind it; events
//! of other flows pass. Within a flow events keep their order. The frames of received
//! segments follow their events: `m_order` names them in the order of the events at `m` (see
//! [`FrameStore`](super::frame_store)), and none passes before its frame has arrived.
//!
//! A miss takes an empty way, else one in turn that no event in the waiting room or between here and
//! the end of the protocol stage uses: a line is stamped with the number of the last event
//! that left for the protocol stage. The state that it replaces is written back when the new one
//! is installed; until that write has left, a miss of that connection waits, so that its read cannot
//! pass the write; those behind it wait too, as they do when the waiting room is full or 32 reads
//! are on their way.
//!
//! Initiation interval 1. Latency of a hit 3 clocks. A miss costs the protocol stage about five
//! clocks, in which its memories are free for the exchange.
//!
//! The connections' states lie at `base`, [`STATE_BYTES`] each, zero for a closed one: the host
//! clears them before the NIC is enabled after a reset, which empties the cache.

use crate::channels::{CLASS_FAST, Completion, Event, KIND_RX, UP_READ, UP_WRITE, Up};
use crate::interface::STATE_BYTES;
use crate::stages::frame_store::NUMBER;
use crate::stages::protocol::exchange::{Fill, STORED_BITS, Stored};
use hallux_hdl::prelude::*;

/// Bits of a state in host memory.
const STATE_BITS: usize = 8 * STATE_BYTES as usize;
/// Misses in flight.
pub const FILLS: usize = 32;
/// Tags of fills have this bit set, and bit 7 clear; fill `i` reads with tag `TAG + i`.
pub const TAG: u64 = 0x40;
/// Events that may wait for their state.
const WAITING: usize = 64;
/// Events that may wait in the queue.
const QUEUE: usize = 16;
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
    /// Where its state is.
    pub slot: Bits<16>,
}

/// An event in the waiting room.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Waiting {
    /// The event.
    pub event: Event,
    /// Number of its frame, if it has one.
    pub frame: Bits<NUMBER>,
}

/// The events that wait for a fill.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Group {
    /// There are any.
    pub valid: Bit,
    /// Where their state will be.
    pub slot: Bits<16>,
    /// Place of the first of them.
    pub head: Bits<6>,
    /// Place of the last.
    pub tail: Bits<6>,
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
    /// Frames that have arrived, modulo 2^[`NUMBER`]: those of the received segments at `s`, counted
    /// from 0.
    pub arrived: Signal<In, Bits<NUMBER>>,
    /// Frames in the order of their events at `m`.
    pub m_order: StreamSource<Bits<NUMBER>>,
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
    look_frame: DFF<Bits<NUMBER>>,
    /// Number of the next received segment.
    frame: DFF<Bits<NUMBER>>,
    lines: Vec<DFF<Line>>,
    /// Where the search for a way to replace begins.
    turn: DFF<Bits<3>>,
    /// Events that have been numbered, and those that have left the protocol stage.
    entered: DFF<Bits<12>>,
    left: DFF<Bits<12>>,
    queue: Fifo<Queued>,
    /// The waiting room: its places, the place behind each, the free ones, and who waits for which
    /// fill.
    room: RegisterFile<Waiting, 6>,
    links: RegisterFile<Bits<6>, 6>,
    places: Vec<FreeList>,
    groups: Vec<DFF<Group>>,
    /// Fills whose state is installed, in that order: the events of the first leave.
    filled: Fifo<Bits<5>>,
    order: Fifo<Bits<NUMBER>>,
    fills: Fifo<Miss>,
    reads: Fifo<Read>,
    /// Next tag to hand out.
    tag: DFF<Bits<5>>,
    /// One bit a tag: its data is complete.
    done: DFF<Bits<32>>,
    leaving: Vec<DFF<Leaving>>,
    buffer: Ram<Bits<N>, 7>,
    /// Beats of the oldest fill that the buffer was asked for.
    step: DFF<Bits<3>>,
    state: DFF<Bits<STATE_BITS>>,
    loaded: DFF<Miss>,
    loaded_valid: DFF<Bit>,
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
            room: RegisterFile::new(WAITING),
            links: RegisterFile::new(WAITING),
            places: vec![FreeList::new(WAITING)],
            groups: (0..FILLS).map(|_| DFF::default()).collect(),
            filled: Fifo::new(FILLS).with_output(FifoOutput::Forward),
            order: Fifo::new(4 * INSIDE),
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
            self, clk, wiping, wipe, look, look_valid, look_frame, frame, turn, entered, left
        );
        dff_setup!(self, clk, tag, done, step, state, loaded, loaded_valid);
        dff_setup!(self, clk, rests, written, writing, writing_valid, beat);
        self.queue.clk.next = self.clk.val();
        self.queue.rst.next = self.rst.val();
        self.room.clk.next = self.clk.val();
        self.links.clk.next = self.clk.val();
        self.places[0].clk.next = self.clk.val();
        self.places[0].rst.next = self.rst.val();
        self.filled.clk.next = self.clk.val();
        self.filled.rst.next = self.rst.val();
        self.order.clk.next = self.clk.val();
        self.order.rst.next = self.rst.val();
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
        // Which ways of the set have events in the waiting room.
        let set = flow & sets;
        let mut awaited = bits::<8>(0);
        let mut shares = bits::<32>(0);
        for t in 0..FILLS {
            dff_setup!(self, clk, groups[t]);
            let group = self.groups[t].q.val();
            if group.valid & ((group.slot & sets) == set) {
                awaited = awaited | (bits::<8>(1) << bit_cast::<3, 16>(group.slot >> set_bits));
                shares = shares | (bits::<32>(1) << t as u64);
            }
        }
        // A way that a miss could take.
        let mut free: Bit = false;
        let mut victim = bits::<3>(0);
        for w in (0..ways).rev() {
            let busy = is_used(self.lines[w].q.val(), left, in_flight) | awaited.get_bit(w);
            if !busy {
                free = true;
                victim = bits::<3>(w as u64);
            }
        }
        for w in (0..ways).rev() {
            let mut from_here: Bit = true;
            if w < 7 {
                from_here = self.turn.q.val() <= bits::<3>(w as u64);
            }
            let busy = is_used(self.lines[w].q.val(), left, in_flight) | awaited.get_bit(w);
            if !busy & from_here {
                victim = bits::<3>(w as u64);
            }
        }
        for w in (0..ways).rev() {
            if !self.lines[w].q.val().valid {
                free = true;
                victim = bits::<3>(w as u64);
            }
        }
        let mut line = self.lines[0].q.val();
        for w in 1..ways {
            if victim == bits::<3>(w as u64) {
                line = self.lines[w].q.val();
            }
        }
        // The way that holds the connection: one at most, so no order among them is needed.
        let mut hits = bits::<8>(0);
        let mut hit_way = bits::<3>(0);
        for w in 0..ways {
            let held = self.lines[w].q.val();
            if held.valid & (held.flow == flow) {
                hits.set_bits(w, bits::<1>(1));
                hit_way = hit_way | bits::<3>(w as u64);
            }
        }
        let hit = hits.any();
        let joins = known & (hits & awaited).any();
        let way = if hit { hit_way } else { victim };
        let slot = (bit_cast::<16, 3>(way) << set_bits) | set;
        let mut returns: Bit = false;
        let mut behind = bits::<32>(0);
        let mut tail = bits::<6>(0);
        let mut tag_free: Bit = false;
        for t in 0..FILLS {
            let leaving = self.leaving[t].q.val();
            let group = self.groups[t].q.val();
            returns = returns | (leaving.valid & (leaving.flow == flow));
            // One group waits for a slot, and only one that is hit.
            if shares.get_bit(t) & (bit_cast::<3, 16>(group.slot >> set_bits) == hit_way) {
                behind = behind | (bits::<32>(1) << t as u64);
                tail = tail | group.tail;
            }
            if self.tag.q.val() == bits::<5>(t as u64) {
                tag_free = tag_free | (!group.valid & !leaving.valid);
            }
        }
        let misses = known & !hit;
        let can_fill =
            free & !returns & tag_free & self.fills.s.ready.val() & self.reads.s.ready.val();

        // Those whose state has come leave first; else the event that was looked up does what it can.
        let received = event.kind == bits::<2>(KIND_RX);
        // Frames up to number `arrived` - 1 are here.
        let missing =
            (self.arrived.val() - self.look_frame.q.val() - bits::<NUMBER>(1)).get_bit(NUMBER - 1);
        let here = !received | !missing;
        let passes_on = self.queue.s.ready.val() & self.order.s.ready.val();
        let resumes = self.filled.m.valid.val() & passes_on;
        let acts = looking & !resumes & here;
        let straight = acts & passes_on & !misses & !joins;
        let parks = acts & self.places[0].m.valid.val() & (joins | (misses & can_fill));
        let go = straight | parks;
        let miss = parks & misses;
        let place = self.places[0].m.data.val().get_bits::<6>(0);
        self.places[0].m.ready.next = parks;
        self.room.write_enable.next = parks;
        self.room.write_address.next = place;
        self.room.write_data.next = Waiting {
            event,
            frame: self.look_frame.q.val(),
        };
        self.links.write_enable.next = parks & joins;
        self.links.write_address.next = tail;
        self.links.write_data.next = place;

        // The first event of the fill that was installed first.
        let filled = self.filled.m.data.val();
        let mut leaves = Group::default();
        for t in 0..FILLS {
            let group = self.groups[t].q.val();
            if filled == bits::<5>(t as u64) {
                leaves.slot = leaves.slot | group.slot;
                leaves.head = leaves.head | group.head;
                leaves.tail = leaves.tail | group.tail;
            }
        }
        self.room.read_address.next = leaves.head;
        self.links.read_address.next = leaves.head;
        let resumed = self.room.read_data.val();
        let ends_group = leaves.head == leaves.tail;
        self.filled.m.ready.next = resumes & ends_group;
        self.places[0].s.data.next = bit_cast::<16, 6>(leaves.head);
        self.places[0].s.valid.next = resumes;
        for t in 0..FILLS {
            if miss & (self.tag.q.val() == bits::<5>(t as u64)) {
                self.groups[t].d.next = Group {
                    valid: true,
                    slot,
                    head: place,
                    tail: place,
                };
            } else if parks & joins & behind.get_bit(t) {
                self.groups[t].d.next.tail = place;
            } else if resumes & (filled == bits::<5>(t as u64)) {
                self.groups[t].d.next.head = self.links.read_data.val();
                self.groups[t].d.next.valid = !ends_group;
            }
        }

        let stamp = self.entered.q.val() + bits::<12>(1);
        let enters = straight | resumes;
        if enters {
            self.entered.d.next = stamp;
        }
        let out = if resumes { resumed.event } else { event };
        self.queue.s.data.next = Queued {
            event: out,
            slot: if resumes {
                leaves.slot
            } else if known {
                slot
            } else {
                !bits::<16>(0)
            },
        };
        self.queue.s.valid.next = enters;
        self.order.s.data.next = if resumes {
            resumed.frame
        } else {
            self.look_frame.q.val()
        };
        self.order.s.valid.next = enters & (out.kind == bits::<2>(KIND_RX));
        StreamSource::<Bits<NUMBER>>::link(&mut self.m_order, &mut self.order.m);
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
        let written_set = if resumes { leaves.slot & sets } else { set };
        let written_way = if resumes {
            bit_cast::<3, 16>(leaves.slot >> set_bits)
        } else {
            way
        };
        let written_line = Line {
            valid: true,
            flow: out.flow,
            stamp,
        };
        for w in 0..ways {
            dff_setup!(self, clk, lines[w]);
            let writes =
                (resumes | (straight & known) | miss) & (written_way == bits::<3>(w as u64));
            self.tables[w].clk.next = self.clk.val();
            self.tables[w].write_enable.next = writes | wiping;
            self.tables[w].write_address.next = if wiping {
                self.wipe.q.val()
            } else {
                written_set
            };
            self.tables[w].write_data.next = if wiping {
                Line::default()
            } else {
                written_line
            };
            self.tables[w].read_address.next = next_set;
            if takes & self.s.valid.val() {
                self.lines[w].d.next = if writes & (next_set == written_set) {
                    written_line
                } else {
                    self.tables[w].read_data.val()
                };
            } else if writes & (set == written_set) {
                self.lines[w].d.next = written_line;
            }
        }
        if takes {
            self.look_valid.d.next = self.s.valid.val();
            if self.s.valid.val() {
                self.look.d.next = self.s.data.val();
                self.look_frame.d.next = self.frame.q.val();
                if self.s.data.val().kind == bits::<2>(KIND_RX) {
                    self.frame.d.next = self.frame.q.val() + bits::<NUMBER>(1);
                }
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
        self.filled.s.data.next = loaded.tag;
        self.filled.s.valid.next = installs;
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
        // To the protocol stage. A fill that waits for its memories gets every second clock.
        let head = self.queue.m.data.val();
        let passes = self.flows.s.ready.val() & !self.rests.q.val();
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

        // Behind it.
        self.outcome_flow.next = self.flows.m.data.val();
        self.flows.m.ready.next = self.outcome.val();
        if self.outcome.val() {
            self.left.d.next = left + bits::<12>(1);
        }
        self.known_outcome.clk.next = self.clk.val();
        self.known_outcome.holds.next =
            self.rst.val() | !self.outcome.val() | self.flows.m.valid.val();

        let mut waits_for_fills: Bit = false;
        for t in 0..FILLS {
            waits_for_fills =
                waits_for_fills | self.groups[t].q.val().valid | self.leaving[t].q.val().valid;
        }
        self.idle.next = !looking
            & !wiping
            & !self.queue.level.val().any()
            & !self.flows.level.val().any()
            & !waits_for_fills
            & !self.order.level.val().any()
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
            self.frame.d.next = bits::<NUMBER>(0);
            self.done.d.next = bits::<32>(0);
            self.step.d.next = bits::<3>(0);
            self.loaded_valid.d.next = false;
            self.rests.d.next = false;
            self.writing_valid.d.next = false;
            self.beat.d.next = bits::<3>(0);
            for t in 0..FILLS {
                self.leaving[t].d.next.valid = false;
                self.groups[t].d.next.valid = false;
            }
        }
    }
}
