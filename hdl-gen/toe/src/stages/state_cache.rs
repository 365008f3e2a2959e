//! State cache: the TCP state of the connections in use is on chip, that of all others in
//! host memory.
//!
//! ```text
//!             ┌───────┐   ┌──────┐   ┌─────┐ hit         ┌───────┐
//!  s ─Event──►│ input ├──►│ look ├──►│ act ├────────────►│ queue ├───► m (flow id: slot)
//!             └───────┘   └──▲─▲─┘   └─┬─┬─┘   ┌────────►└───────┘
//!             lines of a set─┘ └───────┤ │ miss│ filled
//!                        what it writes│ └► waiting room     ┌► m_fill, victim ──► write back ─┐
//!                                      │  └► fills ──► load ─┘                                 │
//!  s_cpl ──► buffer ───────────────────┼───────────────▲                                       ▼
//!                                      └► reads ─────────────────────────────────────────────► m_up
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
//! A clock before it is acted on, `look` finds out all of an event that needs a comparison: which way
//! holds its connection, which ways are in use, which states that leave are its own. What is
//! acted on in that clock is forwarded: a line that it writes, a hit that it replaces. Of a way
//! in use, a state that leaves and a frame that is awaited, it may be known a clock late that they
//! no longer are or do, never that they are.
//!
//! Initiation interval 1. Latency of a hit 4 clocks. A miss costs the protocol stage about five
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

/// A line: a connection whose state is in a slot, or on its way there. Only a miss changes it.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Line {
    /// The slot is in use.
    pub valid: Bit,
    /// Flow id.
    pub flow: Bits<16>,
}

/// Who uses a line.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Usage {
    /// Number of the last event that used it, modulo 2^12.
    pub stamp: Bits<12>,
    /// Events wait for its state.
    pub waits: Bit,
    /// For which fill.
    pub tag: Bits<5>,
}

/// A way of the set of the event that is acted on.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Way {
    /// It holds the event's connection.
    pub hit: Bit,
    /// Which connection it holds.
    pub line: Line,
    /// Who uses it.
    pub usage: Usage,
    /// Somebody does, or did a clock ago.
    pub busy: Bit,
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
    /// Place of the first of them.
    pub head: Bits<6>,
    /// Place of the last.
    pub tail: Bits<6>,
}

/// A fill whose state is installed.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Filled {
    /// Tag of the read, without [`TAG`].
    pub tag: Bits<5>,
    /// Where the state is.
    pub slot: Bits<16>,
}

/// Events that have waited and leave, one a clock.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Resumed {
    /// For which fill they waited.
    pub fill: Filled,
    /// Place of the first that is left.
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

    input: StreamRegister<Event>,
    lines: Vec<RegisterFile<Line, 16>>,
    usages: Vec<RegisterFile<Usage, 16>>,
    wiping: DFF<Bit>,
    wipe: DFF<Bits<16>>,
    /// The event that is acted on, and what was found out about it.
    look: DFF<Event>,
    look_valid: DFF<Bit>,
    look_frame: DFF<Bits<NUMBER>>,
    /// Its frame, if it has one, was here a clock ago.
    here: DFF<Bit>,
    /// It belongs to a connection.
    known: DFF<Bit>,
    ways: Vec<DFF<Way>>,
    /// One bit a tag: the state that leaves for that fill is the connection's.
    returning: DFF<Bits<32>>,
    /// So is that which the event before replaced.
    replaced: DFF<Bit>,
    /// Number of the next received segment.
    frame: DFF<Bits<NUMBER>>,
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
    filled: Fifo<Filled>,
    resumed: DFF<Resumed>,
    resumed_valid: DFF<Bit>,
    order: Fifo<Bits<NUMBER>>,
    fills: Fifo<Miss>,
    reads: Fifo<Read>,
    /// Next tag to hand out, and whether it was free a clock ago.
    tag: DFF<Bits<5>>,
    tag_free: DFF<Bit>,
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
            lines: (0..ways).map(|_| RegisterFile::new(sets)).collect(),
            usages: (0..ways).map(|_| RegisterFile::new(sets)).collect(),
            ways: (0..ways).map(|_| DFF::default()).collect(),
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

/// An event waits for the line, or one that uses it is between the lookup and the end of the
/// protocol stage.
#[hdl_fn]
fn is_used(usage: Usage, left: Bits<12>, in_flight: Bits<12>) -> Bit {
    usage.waits | ((usage.stamp - left - bits::<12>(1)) < in_flight)
}

/// Frame `number` is among the first `arrived`.
#[hdl_fn]
fn has_arrived(number: Bits<NUMBER>, arrived: Bits<NUMBER>) -> Bit {
    !(arrived - number - bits::<NUMBER>(1)).get_bit(NUMBER - 1)
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
            self, clk, wiping, wipe, look, look_valid, look_frame, here, known, returning,
            replaced, frame, turn, entered, left
        );
        dff_setup!(self, clk, resumed, resumed_valid, tag_free);
        dff_setup!(self, clk, tag, done, step, state, loaded, loaded_valid);
        dff_setup!(self, clk, rests, written, writing, writing_valid, beat);
        self.input.clk.next = self.clk.val();
        self.input.rst.next = self.rst.val();
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
        let ways = self.ways.len();
        let sets = bits::<16>(self._sets as u64 - 1);
        let set_bits = self._sets.trailing_zeros() as u64;
        let beats = STATE_BITS / N;
        let beats_log2 = beats.trailing_zeros() as u64;

        // Act: where the event's state is, or will be.
        let event = self.look.q.val();
        let looking = self.look_valid.q.val();
        let flow = event.flow;
        let known = self.known.q.val();
        let set = flow & sets;
        let left = self.left.q.val();
        let in_flight = self.entered.q.val() - left;
        // A way that a miss could take.
        let mut free: Bit = false;
        let mut victim = bits::<3>(0);
        for w in (0..ways).rev() {
            if !self.ways[w].q.val().busy {
                free = true;
                victim = bits::<3>(w as u64);
            }
        }
        for w in (0..ways).rev() {
            let mut from_here: Bit = true;
            if w < 7 {
                from_here = self.turn.q.val() <= bits::<3>(w as u64);
            }
            if !self.ways[w].q.val().busy & from_here {
                victim = bits::<3>(w as u64);
            }
        }
        for w in (0..ways).rev() {
            if !self.ways[w].q.val().line.valid {
                free = true;
                victim = bits::<3>(w as u64);
            }
        }
        let mut line = self.ways[0].q.val().line;
        for w in 1..ways {
            if victim == bits::<3>(w as u64) {
                line = self.ways[w].q.val().line;
            }
        }
        // The way that holds the connection: one at most, so no order among them is needed.
        let mut hit: Bit = false;
        let mut waits: Bit = false;
        let mut hit_way = bits::<3>(0);
        let mut awaited = bits::<5>(0);
        for w in 0..ways {
            let way = self.ways[w].q.val();
            if way.hit {
                hit = true;
                waits = waits | way.usage.waits;
                hit_way = hit_way | bits::<3>(w as u64);
                awaited = awaited | way.usage.tag;
            }
        }
        let joins = known & waits;
        let misses = known & !hit;
        let tag = self.tag.q.val();
        let can_fill = free
            & !self.returning.q.val().any()
            & !self.replaced.q.val()
            & self.tag_free.q.val()
            & self.fills.s.ready.val()
            & self.reads.s.ready.val();

        // Those whose state has come leave first; else the event that was looked up does what it can.
        let passes_on = self.queue.s.ready.val() & self.order.s.ready.val();
        let resumes = self.resumed_valid.q.val() & passes_on;
        let acts = looking & !resumes & self.here.q.val();
        let straight = acts & passes_on & !misses & !joins;
        let parks = acts & self.places[0].m.valid.val() & (joins | (misses & can_fill));
        let go = straight | parks;
        let miss = parks & misses;
        let follows = parks & joins;
        let place = self.places[0].m.data.val().get_bits::<6>(0);
        self.places[0].m.ready.next = parks;
        self.room.write_enable.next = parks;
        self.room.write_address.next = place;
        self.room.write_data.next = Waiting {
            event,
            frame: self.look_frame.q.val(),
        };
        let filled = self.filled.m.data.val();
        let mut last = bits::<6>(0);
        let mut oldest_group = Group::default();
        let mut unused = bits::<32>(0);
        let mut leaves = bits::<32>(0);
        for t in 0..FILLS {
            let number = bits::<5>(t as u64);
            let group = self.groups[t].q.val();
            let leaving = self.leaving[t].q.val();
            if awaited == number {
                last = last | group.tail;
            }
            if filled.tag == number {
                oldest_group.head = oldest_group.head | group.head;
                oldest_group.tail = oldest_group.tail | group.tail;
            }
            unused.set_bits(t, bit(!group.valid & !leaving.valid));
            leaves.set_bits(t, bit(leaving.valid));
        }
        self.links.write_enable.next = follows;
        self.links.write_address.next = last;
        self.links.write_data.next = place;
        self.tag_free.d.next = if miss {
            unused.get_bit((tag + bits::<5>(1)).index())
        } else {
            unused.get_bit(tag.index())
        };

        // The events of the fill that was installed first.
        let resumed = self.resumed.q.val();
        self.room.read_address.next = resumed.head;
        self.links.read_address.next = resumed.head;
        let waited = self.room.read_data.val();
        let ends_group = resumed.head == resumed.tail;
        self.places[0].s.data.next = bit_cast::<16, 6>(resumed.head);
        self.places[0].s.valid.next = resumes;
        if resumes {
            self.resumed.d.next.head = self.links.read_data.val();
        }
        if follows & (awaited == resumed.fill.tag) {
            self.resumed.d.next.tail = place;
        }
        let turns = !self.resumed_valid.q.val() | (resumes & ends_group);
        self.filled.m.ready.next = turns;
        if turns {
            self.resumed_valid.d.next = self.filled.m.valid.val();
        }
        if turns & self.filled.m.valid.val() {
            self.resumed.d.next = Resumed {
                fill: filled,
                head: oldest_group.head,
                tail: if follows & (awaited == filled.tag) {
                    place
                } else {
                    oldest_group.tail
                },
            };
        }
        for t in 0..FILLS {
            dff_setup!(self, clk, groups[t]);
            let number = bits::<5>(t as u64);
            if miss & (tag == number) {
                self.groups[t].d.next = Group {
                    valid: true,
                    head: place,
                    tail: place,
                };
            } else if follows & (awaited == number) {
                self.groups[t].d.next.tail = place;
            } else if resumes & ends_group & (resumed.fill.tag == number) {
                self.groups[t].d.next.valid = false;
            }
        }

        let stamp = self.entered.q.val() + bits::<12>(1);
        let enters = straight | resumes;
        if enters {
            self.entered.d.next = stamp;
        }
        let out = if resumes { waited.event } else { event };
        self.queue.s.data.next = Queued {
            event: out,
            slot: if resumes {
                resumed.fill.slot
            } else if known {
                (bit_cast::<16, 3>(hit_way) << set_bits) | set
            } else {
                !bits::<16>(0)
            },
        };
        self.queue.s.valid.next = enters;
        self.order.s.data.next = if resumes {
            waited.frame
        } else {
            self.look_frame.q.val()
        };
        self.order.s.valid.next = enters & (out.kind == bits::<2>(KIND_RX));
        StreamSource::<Bits<NUMBER>>::link(&mut self.m_order, &mut self.order.m);
        self.missed.next = miss;
        self.fills.s.data.next = Miss {
            slot: (bit_cast::<16, 3>(victim) << set_bits) | set,
            tag,
            replaces: line.valid,
            victim: line.flow,
        };
        self.fills.s.valid.next = miss;
        self.reads.s.data.next = Read {
            address: self.base.val()
                + (bit_cast::<64, 16>(flow) << STATE_BYTES.trailing_zeros() as u64),
            tag,
        };
        self.reads.s.valid.next = miss;
        if miss {
            self.tag.d.next = tag + bits::<5>(1);
            self.turn.d.next = victim + bits::<3>(1);
        }

        // Look: the lines of the next event's set, and what `act` makes of them in this clock.
        let wiping = self.wiping.q.val();
        let takes = !wiping & (!looking | go);
        join_streams!(self.s, self.input.s);
        self.input.m.ready.next = takes;
        let comes = takes & self.input.m.valid.val();
        let next = self.input.m.data.val();
        let next_set = next.flow & sets;
        let resumed_set = resumed.fill.slot & sets;
        let same_set = next_set == set;
        let same_flow = next.flow == flow;
        let next_resumed = resumes & (next_set == resumed_set);
        let own_resumed = resumes & (set == resumed_set);
        let resumed_way = bit_cast::<3, 16>(resumed.fill.slot >> set_bits);
        let written_usage = Usage {
            stamp,
            waits: if resumes { !ends_group } else { miss },
            tag: if resumes { resumed.fill.tag } else { tag },
        };
        let mut evicted: Bit = false;
        for w in 0..ways {
            dff_setup!(self, clk, ways[w]);
            let way = self.ways[w].q.val();
            let fills = miss & (victim == bits::<3>(w as u64));
            let uses = fills | (straight & known & way.hit);
            let resumes_here = resumed_way == bits::<3>(w as u64);
            self.lines[w].clk.next = self.clk.val();
            self.lines[w].write_enable.next = fills | wiping;
            self.lines[w].write_address.next = if wiping { self.wipe.q.val() } else { set };
            self.lines[w].write_data.next = Line {
                valid: !wiping,
                flow,
            };
            self.lines[w].read_address.next = next_set;
            self.usages[w].clk.next = self.clk.val();
            self.usages[w].write_enable.next = uses | (resumes & resumes_here) | wiping;
            self.usages[w].write_address.next = if wiping {
                self.wipe.q.val()
            } else if resumes {
                resumed_set
            } else {
                set
            };
            self.usages[w].write_data.next = if wiping {
                Usage::default()
            } else {
                written_usage
            };
            self.usages[w].read_address.next = next_set;
            let there = self.lines[w].read_data.val();
            let matches = there.valid & (there.flow == next.flow);
            if comes {
                let usage = self.usages[w].read_data.val();
                self.ways[w].d.next = Way {
                    hit: matches,
                    line: there,
                    usage,
                    busy: is_used(usage, left, in_flight),
                };
                if fills & same_set {
                    self.ways[w].d.next.hit = same_flow;
                    self.ways[w].d.next.line = Line { valid: true, flow };
                    evicted = evicted | matches;
                }
                if (uses & same_set) | (next_resumed & resumes_here) {
                    self.ways[w].d.next.usage = written_usage;
                    self.ways[w].d.next.busy = true;
                }
            } else if looking {
                self.ways[w].d.next.busy = is_used(way.usage, left, in_flight);
                if own_resumed & resumes_here {
                    self.ways[w].d.next.usage = written_usage;
                    self.ways[w].d.next.busy = true;
                }
            }
        }
        // No event misses while one stays, so that what was replaced before it has the tag before the next.
        let mut returning = bits::<32>(0);
        let mut stays = self.returning.q.val();
        for t in 0..FILLS {
            let leaving = self.leaving[t].q.val();
            returning.set_bits(t, bit(leaving.valid & (leaving.flow == next.flow)));
            if self.replaced.q.val() & (tag == bits::<5>((t as u64 + 1) % FILLS as u64)) {
                stays.set_bits(t, bits::<1>(1));
            }
        }
        if takes {
            self.look_valid.d.next = self.input.m.valid.val();
        }
        if comes {
            self.returning.d.next = returning;
            self.replaced.d.next = evicted;
            // Raw frames and those for the control plane belong to no connection.
            self.known.d.next = (next.class == bits::<2>(CLASS_FAST))
                & (next.flow <= bits::<16>((self._connections - 1) as u64));
            self.look.d.next = next;
            self.look_frame.d.next = self.frame.q.val();
            self.here.d.next = (next.kind != bits::<2>(KIND_RX))
                | has_arrived(self.frame.q.val(), self.arrived.val());
            if next.kind == bits::<2>(KIND_RX) {
                self.frame.d.next = self.frame.q.val() + bits::<NUMBER>(1);
            }
        } else if looking {
            self.returning.d.next = stays & leaves;
            self.replaced.d.next = false;
            self.here.d.next =
                self.here.q.val() | has_arrived(self.look_frame.q.val(), self.arrived.val());
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
        self.filled.s.data.next = Filled {
            tag: loaded.tag,
            slot: loaded.slot,
        };
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
            & !self.input.m.valid.val()
            & self.tag_free.q.val()
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
            self.resumed_valid.d.next = false;
            self.tag_free.d.next = false;
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
