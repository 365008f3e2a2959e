//! Notify: writes records into the hosts' notification rings and raises interrupts.
//!
//! ```text
//!                ┌────────┐ read  ┌─────┐  ┌──────┐
//!  s_context ───►│        ├──────►│     │─►│ pair │─► m_up
//!  s ───────────►│ select │       │ act │  └──────┘
//!            ┌──►│        │       │     │─► slow_room
//!            │   └────────┘       └┬─┬──┘
//!            │   ┌─────────┐ flow  │ │ write back
//!            └───┤ waiting │◄──────┘ └─► contexts (RAM), bumps (RAM)
//!                └─────────┘
//! ```
//!
//! One item of work takes two cycles: `Select` chooses it and reads its memories, `Act`
//! decides and writes back. Context writes come first, records and drained flows
//! alternate. The [pair] unit sends two records that lie side by side in one write. Initiation
//! interval: 2 cycles a record. Latency from `s` to `m_up`: 3 cycles for a record that does not
//! wait for its neighbour.
//!
//! A record may be written while its ring has a free slot. When there is none, an update
//! record adds up in its flow's entry of `bumps` and the flow is queued once in `waiting`.
//! A write that can make room (RECORD_HEAD, ENABLE) starts one pass over that queue: each
//! flow that finds room leaves, the others go to the end, so a full ring delays no other
//! context. A flow that waits keeps adding up even if its ring has room again, so its
//! records never overtake each other. Bumps of an earlier generation of the flow id are
//! replaced: nobody is left to read them.
//!
//! Frame and command records go to context 0 only and cannot add up. Updates of context 0
//! therefore leave its last [`RESERVE`] slots alone, and `slow_room` falls while fewer
//! than [`RESERVE`] are free: up to 15 frames admitted before that find a slot, and the
//! one outstanding command. Context 0's ring must have at least 32 records.
//!
//! A context that is disabled loses its records. After reset `Clear` wipes the memories,
//! one word a cycle; nothing is taken meanwhile.

mod pair;

use crate::channels::{ContextWrite, Notice, Up};
use crate::interface::{RecordKind, context};
use hallux_hdl::prelude::*;
use pair::{Pair, Posting};

/// Slots of context 0's ring that only frame and command records may take.
pub const RESERVE: u64 = 16;
/// Registers of a context page, by number.
const HEAD: usize = context::RECORD_HEAD as usize / 8;
const ARM: usize = context::INTERRUPT_ARM as usize / 8;
const BASE: usize = context::RECORD_BASE as usize / 8;
const LOG2: usize = context::RECORD_LOG2 as usize / 8;
const ENABLE: usize = context::ENABLE as usize / 8;

/// What the stage does in this cycle.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum State {
    /// Wiping the memories after reset.
    Clear,
    /// Choosing an item of work.
    Select,
    /// A context write: memories are read.
    Write,
    /// A record: memories are read.
    Record,
    /// A waiting flow: memories are read.
    Drain,
}

/// A context's notification ring.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Ring {
    /// Bus address.
    pub base: Bits<64>,
    /// log2 of its records.
    pub log2: Bits<5>,
    /// Records consumed by the host.
    pub head: Bits<32>,
    /// Records written.
    pub posted: Bits<32>,
    /// The next record raises an interrupt.
    pub armed: Bit,
}

/// What adds up for a flow while its ring is full.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Bumps {
    /// The flow is queued.
    pub waiting: Bit,
    /// Context of the latest notice.
    pub ring: Bits<8>,
    /// Generation of the latest notice.
    pub generation: Bits<8>,
    /// All flags.
    pub flags: Bits<8>,
    /// Sum.
    pub rx_bump: Bits<32>,
    /// Sum.
    pub tx_bump: Bits<32>,
    /// Sum of the bytes acknowledged with ECN echo.
    pub marked: Bits<32>,
    /// Of the latest notice.
    pub opaque: Bits<64>,
    /// Latest round-trip sample.
    pub value: Bits<32>,
}

/// A flow that waits for room, and the context it waits for.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Waiting {
    /// Flow id.
    pub flow: Bits<16>,
    /// Context.
    pub ring: Bits<8>,
}

/// Of an update: bytes acknowledged with ECN echo.
#[hdl_fn]
fn marked_bytes(notice: Notice) -> Bits<32> {
    cat::<16, 16, 32>(cat::<8, 8, 16>(notice.status, notice.opcode), notice.length)
}

/// The 32 bytes of a record (`interface::Record`).
#[hdl_fn]
pub fn record_bytes(notice: Notice, phase: Bit) -> Bits<256> {
    let mut bytes = bits::<256>(0);
    bytes.set_bits(0, notice.rx_bump);
    bytes.set_bits(32, notice.tx_bump);
    bytes.set_bits(64, notice.opaque);
    bytes.set_bits(128, notice.flow);
    bytes.set_bits(144, notice.generation);
    bytes.set_bits(152, notice.flags);
    bytes.set_bits(160, notice.length);
    bytes.set_bits(176, notice.opcode);
    bytes.set_bits(184, notice.status);
    bytes.set_bits(192, notice.value);
    bytes.set_bits(240, notice.kind);
    bytes.set_bits(255, bit(phase));
    bytes
}

/// Posts records and interrupts.
#[derive(LogicBlock, Default)]
pub struct Notify<const N: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high.
    pub rst: Signal<In, Bit>,
    /// Records to post.
    pub s: StreamSink<Notice>,
    /// Writes to context registers; those of other stages are ignored.
    pub s_context: StreamSink<ContextWrite>,
    /// Records and interrupts.
    pub m_up: StreamSource<Up<N>>,
    /// Context 0 takes another slow-path frame.
    pub slow_room: Signal<Out, Bit>,
    /// Pulse: an interrupt is raised.
    pub interrupts: Signal<Out, Bit>,
    /// No record is held but those that wait for the host to make room.
    pub idle: Signal<Out, Bit>,
    state: DFF<State>,
    clear: DFF<Bits<17>>,
    write: DFF<ContextWrite>,
    notice: DFF<Notice>,
    enabled: DFF<Bits<32>>,
    contexts: Ram<Ring, 5>,
    bumps: Ram<Bumps, 16>,
    waiting: Fifo<Waiting>,
    /// Flows in `waiting`.
    queued: DFF<Bits<17>>,
    /// Flows that this pass over `waiting` still visits.
    visit: DFF<Bits<17>>,
    /// The last work was a drained flow: a record is next.
    drained: DFF<Bit>,
    /// Context 0 takes another slow-path frame.
    frames_fit: DFF<Bit>,
    pair: Pair<N>,
    postings_fit: Assert,
    record_fits: Assert,
    _contexts: usize,
    _flows: usize,
}

impl<const N: usize> Notify<N> {
    /// A notifier for `contexts` contexts (at most 32) and `flows` flow ids, whose records
    /// wait up to `patience` clocks (at most 15) for a neighbour.
    pub fn new(contexts: usize, flows: usize, patience: u64) -> Self {
        Self {
            contexts: Ram::new(contexts.max(2)),
            bumps: Ram::new(flows.max(2)),
            waiting: Fifo::new(flows.clamp(2, 65_535)),
            pair: Pair::new(patience),
            postings_fit: Assert::new("a posting finds no place in its queue"),
            record_fits: Assert::new("a frame or command record finds its ring full"),
            _contexts: contexts,
            _flows: flows,
            ..Self::default()
        }
    }
}

impl<const N: usize> Logic for Notify<N> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self, clk, state, clear, write, notice, enabled, queued, visit, drained, frames_fit
        );
        self.contexts.clk.next = self.clk.val();
        self.bumps.clk.next = self.clk.val();
        self.waiting.clk.next = self.clk.val();
        self.waiting.rst.next = self.rst.val();
        self.pair.clk.next = self.clk.val();
        self.pair.rst.next = self.rst.val();

        // Select: a context write, then records and waiting flows in turn.
        let select = (self.state.q.val() == State::Select) & !self.pair.almost_full.val();
        let wanted = self.s_context.valid.val();
        let visiting = self.visit.q.val().any() & self.waiting.m.valid.val();
        let drain = select & !wanted & visiting & !(self.s.valid.val() & self.drained.q.val());
        let record = select & !wanted & !drain;
        self.s_context.ready.next = select;
        self.s.ready.next = record;
        self.waiting.m.ready.next = drain;
        let entry = self.waiting.m.data.val();
        if select & wanted {
            self.state.d.next = State::Write;
            self.write.d.next = self.s_context.data.val();
        }
        if record & self.s.valid.val() {
            self.state.d.next = State::Record;
            self.notice.d.next = self.s.data.val();
            self.drained.d.next = false;
        }
        if drain {
            self.state.d.next = State::Drain;
            self.notice.d.next.flow = entry.flow;
            self.notice.d.next.context = entry.ring;
            self.drained.d.next = true;
        }
        self.contexts.read_address.next = if wanted {
            self.s_context.data.val().context.get_bits::<5>(0)
        } else if drain {
            entry.ring.get_bits::<5>(0)
        } else {
            self.s.data.val().context.get_bits::<5>(0)
        };
        self.bumps.read_address.next = if drain {
            entry.flow
        } else {
            self.s.data.val().flow
        };

        // Act. Defaults: nothing is written back.
        let ring = self.contexts.read_data.val();
        let held = self.bumps.read_data.val();
        let write = self.write.q.val();
        let notice = self.notice.q.val();
        let acts_on_write = self.state.q.val() == State::Write;
        let at = if acts_on_write {
            write.context.get_bits::<5>(0)
        } else {
            notice.context.get_bits::<5>(0)
        };
        let is_enabled = self.enabled.q.val().get_bit(at.index());
        let mut ring_next = ring;
        let mut enabled_next = is_enabled;
        let mut bumps_next = held;
        let mut bumps_write = false;
        let mut posting = Posting {
            write: false,
            interrupt: false,
            vector: bit_cast::<8, 5>(at),
            address: bits::<64>(0),
            record: bits::<256>(0),
        };
        let mut enqueue = false;

        // Room, for a record of this kind.
        let used = ring.posted - ring.head;
        let size = bits::<18>(1) << ring.log2;
        let update = (self.state.q.val() == State::Drain)
            | (notice.kind == bits::<8>(RecordKind::Update as u64));
        let reserved = if update & !at.any() {
            bits::<18>(RESERVE)
        } else {
            bits::<18>(0)
        };
        let room = !used.get_bits::<15>(17).any()
            & ((bit_cast::<18, 17>(used.get_bits::<17>(0)) + reserved) < size);

        // The record: a fresh one, or what has added up.
        let mut fresh = notice;
        if self.state.q.val() == State::Drain {
            fresh = Notice {
                context: notice.context,
                kind: bits::<8>(RecordKind::Update as u64),
                rx_bump: held.rx_bump,
                tx_bump: held.tx_bump,
                opaque: held.opaque,
                flow: notice.flow,
                generation: held.generation,
                flags: held.flags,
                length: held.marked.get_bits::<16>(0),
                opcode: held.marked.get_bits::<8>(16),
                status: held.marked.get_bits::<8>(24),
                value: held.value,
                ticket: bits::<24>(0),
            };
        }
        let mask = (bits::<32>(1) << ring.log2) - bits::<32>(1);
        let slot = ring.posted & mask;
        let phase = !(ring.posted >> ring.log2).get_bit(0);
        posting.address = ring.base + (bit_cast::<64, 32>(slot) << 5);
        posting.record = record_bytes(fresh, phase);

        match self.state.q.val() {
            State::Clear => {
                self.clear.d.next = self.clear.q.val() + bits::<17>(1);
                if self.clear.q.val() == bits::<17>(self._flows.max(self._contexts) as u64 - 1) {
                    self.state.d.next = State::Select;
                }
            }
            State::Select => {}
            State::Write => {
                self.state.d.next = State::Select;
                match write.register.index() {
                    HEAD => {
                        ring_next.head = write.value.get_bits::<32>(0);
                    }
                    ARM => {
                        let differs = ring.posted != write.value.get_bits::<32>(0);
                        ring_next.armed = is_enabled & !differs;
                        posting.interrupt = is_enabled & differs;
                    }
                    BASE => {
                        ring_next.base = write.value;
                    }
                    LOG2 => {
                        ring_next.log2 = write.value.get_bits::<5>(0);
                    }
                    ENABLE => {
                        enabled_next = write.value.get_bit(0);
                        if !write.value.get_bit(0) {
                            ring_next.head = bits::<32>(0);
                            ring_next.posted = bits::<32>(0);
                            ring_next.armed = false;
                        }
                    }
                    _ => {}
                }
                // Where the write may have made room: visit all waiting flows.
                if (write.register.index() == HEAD) | (write.register.index() == ENABLE) {
                    self.visit.d.next = self.queued.q.val();
                }
            }
            State::Record => {
                self.state.d.next = State::Select;
                if is_enabled & update & (held.waiting | !room) {
                    let same = held.waiting & (held.generation == notice.generation);
                    bumps_write = true;
                    bumps_next = Bumps {
                        waiting: true,
                        ring: notice.context,
                        generation: notice.generation,
                        flags: if same {
                            held.flags | notice.flags
                        } else {
                            notice.flags
                        },
                        rx_bump: if same {
                            held.rx_bump + notice.rx_bump
                        } else {
                            notice.rx_bump
                        },
                        tx_bump: if same {
                            held.tx_bump + notice.tx_bump
                        } else {
                            notice.tx_bump
                        },
                        marked: if same {
                            held.marked + marked_bytes(notice)
                        } else {
                            marked_bytes(notice)
                        },
                        opaque: notice.opaque,
                        value: if same & !notice.value.any() {
                            held.value
                        } else {
                            notice.value
                        },
                    };
                    enqueue = !held.waiting;
                    if held.waiting & !same {
                        // A new connection need not wait for the old one's context.
                        self.visit.d.next = self.queued.q.val();
                    }
                } else {
                    posting.write = is_enabled & room;
                }
            }
            State::Drain => {
                self.state.d.next = State::Select;
                // The flow id may have been opened again for another context: then the flow
                // goes to the end of the queue, and the pass goes on until it is there.
                let moved = held.ring != notice.context;
                self.visit.d.next = if moved {
                    self.queued.q.val() + bits::<17>(1)
                } else {
                    self.visit.q.val() - bits::<17>(1)
                };
                posting.write = is_enabled & room & !moved;
                enqueue = moved | (is_enabled & !room);
                bumps_write = !enqueue;
                bumps_next.waiting = false;
            }
        }
        if posting.write {
            ring_next.posted = ring.posted + bits::<32>(1);
            ring_next.armed = false;
            posting.interrupt = ring.armed;
        }

        // Write back.
        let clearing = self.state.q.val() == State::Clear;
        let acting = !clearing & (self.state.q.val() != State::Select);
        self.contexts.write_enable.next = clearing | acting;
        self.contexts.write_address.next = if clearing {
            self.clear.q.val().get_bits::<5>(0)
        } else {
            at
        };
        self.bumps.write_enable.next = clearing | bumps_write;
        self.bumps.write_address.next = if clearing {
            self.clear.q.val().get_bits::<16>(0)
        } else {
            notice.flow
        };
        if clearing {
            ring_next = Ring {
                base: bits::<64>(0),
                log2: bits::<5>(0),
                head: bits::<32>(0),
                posted: bits::<32>(0),
                armed: false,
            };
            bumps_next.waiting = false;
        }
        self.contexts.write_data.next = ring_next;
        self.bumps.write_data.next = bumps_next;
        let place = bits::<32>(1) << at;
        if acting {
            self.enabled.d.next = if enabled_next {
                self.enabled.q.val() | place
            } else {
                self.enabled.q.val() & !place
            };
        }
        self.waiting.s.valid.next = enqueue;
        self.waiting.s.data.next = Waiting {
            flow: notice.flow,
            ring: if self.state.q.val() == State::Drain {
                held.ring
            } else {
                notice.context
            },
        };
        if drain {
            self.queued.d.next = self.queued.q.val() - bits::<17>(1);
        }
        if enqueue {
            self.queued.d.next = self.queued.q.val() + bits::<17>(1);
        }
        self.pair.s.valid.next = acting & (posting.write | posting.interrupt);
        self.pair.s.data.next = posting;
        self.postings_fit.clk.next = self.clk.val();
        self.postings_fit.holds.next = self.rst.val()
            | !(acting & (posting.write | posting.interrupt))
            | self.pair.s.ready.val();
        // Updates add up; the others rely on the reserve of context 0.
        self.record_fits.clk.next = self.clk.val();
        self.record_fits.holds.next =
            self.rst.val() | (self.state.q.val() != State::Record) | !is_enabled | update | room;

        // Room for a slow-path frame in context 0.
        let used_next = ring_next.posted - ring_next.head;
        let size_next = bits::<18>(1) << ring_next.log2;
        if acting & !at.any() {
            self.frames_fit.d.next = enabled_next
                & !used_next.get_bits::<15>(17).any()
                & ((bit_cast::<18, 17>(used_next.get_bits::<17>(0)) + bits::<18>(RESERVE))
                    <= size_next);
        }
        self.slow_room.next = self.frames_fit.q.val();

        StreamSource::<Up<N>>::link(&mut self.m_up, &mut self.pair.m);
        self.interrupts.next = self.pair.interrupts.val();

        self.idle.next = (self.state.q.val() == State::Select)
            & !self.visit.q.val().any()
            & self.pair.idle.val();

        if self.rst.val() {
            self.state.d.next = State::Clear;
            self.clear.d.next = bits::<17>(0);
            self.enabled.d.next = bits::<32>(0);
            self.queued.d.next = bits::<17>(0);
            self.visit.d.next = bits::<17>(0);
            self.drained.d.next = false;
            self.frames_fit.d.next = false;
        }
    }
}
