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
//! A record takes two cycles: `Select` chooses it and reads its memories, `Record` decides and
//! writes back. For that a context's word holds what its next record needs: its address, its
//! phase, whether there is room. A write to a context register works these out anew, in four
//! cycles; a drained flow and a record that adds up take three. Context writes come first, records and drained flows
//! alternate. The [pair] unit sends two records that lie side by side in one write. Initiation
//! interval: 2 cycles a record. Latency from `s` to `m_up`: 4 cycles for a record that does not
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

use crate::channels::{ContextWrite, Notice, UP_MSIX, Up};
use crate::contracts;
use crate::interface::{RecordKind, context};
use crate::stages::cut::ring_mask;
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
    /// Its ring is measured.
    Measure,
    /// Its ring's room is found.
    Settle,
    /// A record: memories are read.
    Record,
    /// It adds up.
    Add,
    /// A waiting flow: memories are read.
    Drain,
    /// Its record leaves, or it goes back to the end.
    Resume,
}

/// A context's notification ring, and what its next record needs.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Ring {
    /// Bus address.
    pub base: Bits<64>,
    /// Number of its records, a power of two.
    pub size: Bits<18>,
    /// Records consumed by the host.
    pub head: Bits<32>,
    /// Records written.
    pub posted: Bits<32>,
    /// It takes records.
    pub enabled: Bit,
    /// The next record raises an interrupt.
    pub armed: Bit,
    /// Bus address of the next record.
    pub address: Bits<64>,
    /// Phase of the next record.
    pub phase: Bit,
    /// Free records.
    pub free: Bits<18>,
    /// There is one.
    pub room: Bit,
    /// There is one for an update.
    pub update_room: Bit,
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
    /// In any of them.
    pub read_lost: Bit,
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
    bytes.set_bits(224, bit(notice.read_lost));
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
    /// The notice is an update.
    update: DFF<Bit>,
    /// The ring that a context write changes.
    work: DFF<Ring>,
    /// Records in that ring.
    used: DFF<Bits<32>>,
    /// The flow that drains waits for another context by now.
    moved: DFF<Bit>,
    /// The flow waits, with this notice's generation; or with another.
    same: DFF<Bit>,
    differs: DFF<Bit>,
    contexts: Ram<Ring, 5>,
    bumps: Ram<Bumps, 16>,
    waiting: Fifo<Waiting>,
    /// A flow that enters `waiting`.
    entering: DFF<Bit>,
    entry: DFF<Waiting>,
    /// Flows in `waiting`.
    queued: DFF<Bits<17>>,
    /// Flows that this pass over `waiting` still visits.
    visit: DFF<Bits<17>>,
    /// The last work was a drained flow: a record is next.
    drained: DFF<Bit>,
    /// Context 0 takes another slow-path frame.
    frames_fit: DFF<Bit>,
    /// A record of context 0 left, and whether another frame finds room behind it.
    zero_left: DFF<Bit>,
    still_fits: DFF<Bit>,
    posting: DFF<Posting>,
    posts: DFF<Bit>,
    pair: Pair<N>,
    postings_fit: Assert,
    record_fits: Assert,
    interrupts_follow: Follows,
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
            waiting: Fifo::new(flows.max(2)),
            pair: Pair::new(patience),
            postings_fit: Assert::new("a posting finds no place in its queue"),
            record_fits: Assert::new("a frame or command record finds its ring full"),
            interrupts_follow: Follows::new(contracts::INTERRUPT_FOLLOWS),
            _contexts: contexts,
            _flows: flows,
            ..Self::default()
        }
    }
}

/// More than `number` records, at most 31, in a few gates.
#[hdl_fn]
fn exceeds(records: Bits<18>, number: u64) -> Bit {
    let mut low: Bit = false;
    for i in (number + 1)..32 {
        low = low | (records.get_bits::<5>(0) == bits::<5>(i));
    }
    records.get_bits::<13>(5).any() | low
}

/// The ring behind its next record.
#[hdl_fn]
pub fn advanced(ring: Ring, is_zero: Bit) -> Ring {
    let mask = (ring.size - bits::<18>(1)).get_bits::<17>(0);
    let wraps = (ring.posted.get_bits::<17>(0) & mask) == mask;
    Ring {
        posted: ring.posted + bits::<32>(1),
        armed: false,
        address: if wraps {
            ring.base
        } else {
            ring.address + bits::<64>(32)
        },
        phase: ring.phase ^ wraps,
        free: ring.free - bits::<18>(1),
        room: ring.free.get_bits::<17>(1).any(),
        update_room: if is_zero {
            exceeds(ring.free, RESERVE + 1)
        } else {
            ring.free.get_bits::<17>(1).any()
        },
        ..ring
    }
}

impl<const N: usize> Logic for Notify<N> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self, clk, state, clear, write, notice, update, work, used, moved, same, differs,
            entering, entry, queued, visit, drained, frames_fit, zero_left, still_fits, posting,
            posts
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
            self.update.d.next = self.s.data.val().kind == bits::<8>(RecordKind::Update as u64);
            self.drained.d.next = false;
        }
        if drain {
            self.state.d.next = State::Drain;
            self.notice.d.next.flow = entry.flow;
            self.notice.d.next.context = entry.ring;
            self.update.d.next = true;
            self.drained.d.next = true;
        }
        // A flow that drains or adds up has its words for two cycles.
        let stays = (self.state.q.val() == State::Drain) | (self.state.q.val() == State::Record);
        let notice = self.notice.q.val();
        self.contexts.read_address.next = if stays {
            notice.context.get_bits::<5>(0)
        } else if wanted {
            self.s_context.data.val().context.get_bits::<5>(0)
        } else if drain {
            entry.ring.get_bits::<5>(0)
        } else {
            self.s.data.val().context.get_bits::<5>(0)
        };
        self.bumps.read_address.next = if stays {
            notice.flow
        } else if drain {
            entry.flow
        } else {
            self.s.data.val().flow
        };

        // A context write, in three cycles: the register, what lies in the ring, its room.
        let ring = self.contexts.read_data.val();
        let held = self.bumps.read_data.val();
        let write = self.write.q.val();
        let work = self.work.q.val();
        let writes = self.state.q.val() == State::Write;
        let measures = self.state.q.val() == State::Measure;
        let settles = self.state.q.val() == State::Settle;
        let differs = ring.posted != write.value.get_bits::<32>(0);
        let mut rings = false;
        if writes {
            self.work.d.next = ring;
            match write.register.index() {
                HEAD => {
                    self.work.d.next.head = write.value.get_bits::<32>(0);
                }
                ARM => {
                    self.work.d.next.armed = ring.enabled & !differs;
                    rings = ring.enabled & differs;
                }
                BASE => {
                    self.work.d.next.base = write.value;
                }
                LOG2 => {
                    self.work.d.next.size =
                        bit_cast::<18, 17>(ring_mask::<17>(write.value.get_bits::<5>(0)))
                            + bits::<18>(1);
                }
                ENABLE => {
                    self.work.d.next.enabled = write.value.get_bit(0);
                    if !write.value.get_bit(0) {
                        self.work.d.next.head = bits::<32>(0);
                        self.work.d.next.posted = bits::<32>(0);
                        self.work.d.next.armed = false;
                    }
                }
                _ => {}
            }
        }
        let mask = (work.size - bits::<18>(1)).get_bits::<17>(0);
        let slot = work.posted.get_bits::<17>(0) & mask;
        if measures {
            self.used.d.next = work.posted - work.head;
            self.work.d.next.address = work.base + (bit_cast::<64, 17>(slot) << 5);
            self.work.d.next.phase = !(work.posted.get_bits::<18>(0) & work.size).any();
        }
        let used = self.used.q.val();
        let least = bit_cast::<19, 18>(work.size) - bit_cast::<19, 18>(used.get_bits::<18>(0));
        let overfull = used.get_bits::<14>(18).any() | least.get_bit(18);
        let free = if overfull {
            bits::<18>(0)
        } else {
            least.get_bits::<18>(0)
        };
        let settled_zero = !write.context.get_bits::<5>(0).any();
        let beyond_reserve = exceeds(least.get_bits::<18>(0), RESERVE);
        let settled = Ring {
            free,
            room: !overfull & least.any(),
            update_room: !overfull
                & if settled_zero {
                    beyond_reserve
                } else {
                    least.any()
                },
            ..work
        };

        // A record, or what has added up. A record that may not leave adds up.
        let records = self.state.q.val() == State::Record;
        let resumes = self.state.q.val() == State::Resume;
        let update = self.update.q.val();
        let is_zero = !notice.context.get_bits::<5>(0).any();
        let room = if update { ring.update_room } else { ring.room };
        let adds_up = records & ring.enabled & update & (held.waiting | !room);
        let moved = held.ring != notice.context;
        self.moved.d.next = moved;
        let leaves = ring.enabled
            & room
            & ((records & !(update & held.waiting)) | (resumes & !self.moved.q.val()));
        let mut fresh = notice;
        if resumes {
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
                read_lost: held.read_lost,
                ticket: bits::<24>(0),
            };
        }
        let at = if settles | writes {
            write.context.get_bits::<5>(0)
        } else {
            notice.context.get_bits::<5>(0)
        };
        self.posts.d.next = leaves | (writes & rings);
        self.posting.d.next = Posting {
            write: leaves,
            interrupt: if writes { rings } else { ring.armed },
            vector: bit_cast::<8, 5>(at),
            address: ring.address,
            record: record_bytes(fresh, ring.phase),
        };

        // What adds up.
        let matches = held.generation == notice.generation;
        self.same.d.next = held.waiting & matches;
        self.differs.d.next = held.waiting & !matches;
        let same = self.same.q.val();
        let adds = self.state.q.val() == State::Add;
        let returns = resumes & (self.moved.q.val() | (ring.enabled & !room));
        let enqueue = (adds_up & !held.waiting) | returns;
        let bumps_write = adds | (resumes & !returns);
        self.bumps.write_data.next = Bumps {
            waiting: adds,
            ring: notice.context,
            generation: notice.generation,
            flags: notice.flags | if same { held.flags } else { bits::<8>(0) },
            rx_bump: notice.rx_bump + if same { held.rx_bump } else { bits::<32>(0) },
            tx_bump: notice.tx_bump + if same { held.tx_bump } else { bits::<32>(0) },
            marked: marked_bytes(notice) + if same { held.marked } else { bits::<32>(0) },
            opaque: notice.opaque,
            read_lost: notice.read_lost | (same & held.read_lost),
            value: if same & !notice.value.any() {
                held.value
            } else {
                notice.value
            },
        };

        match self.state.q.val() {
            State::Clear => {
                self.clear.d.next = self.clear.q.val() + bits::<17>(1);
                if self.clear.q.val() == bits::<17>(self._flows.max(self._contexts) as u64 - 1) {
                    self.state.d.next = State::Select;
                }
            }
            State::Select => {}
            State::Write => {
                self.state.d.next = State::Measure;
            }
            State::Measure => {
                self.state.d.next = State::Settle;
            }
            State::Settle => {
                self.state.d.next = State::Select;
                // Where the write may have made room: visit all waiting flows.
                if (write.register.index() == HEAD) | (write.register.index() == ENABLE) {
                    self.visit.d.next = self.queued.q.val();
                }
            }
            State::Record => {
                self.state.d.next = if adds_up { State::Add } else { State::Select };
            }
            State::Add => {
                self.state.d.next = State::Select;
                if self.differs.q.val() {
                    // A new connection need not wait for the old one's context.
                    self.visit.d.next = self.queued.q.val();
                }
            }
            State::Drain => {
                self.state.d.next = State::Resume;
            }
            State::Resume => {
                self.state.d.next = State::Select;
                // The flow id may have been opened again for another context: then the flow
                // goes to the end of the queue, and the pass goes on until it is there.
                self.visit.d.next = if self.moved.q.val() {
                    self.queued.q.val() + bits::<17>(1)
                } else {
                    self.visit.q.val() - bits::<17>(1)
                };
            }
        }

        // Write back.
        let clearing = self.state.q.val() == State::Clear;
        self.contexts.write_enable.next = clearing | settles | leaves;
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
        let next = advanced(ring, is_zero);
        self.contexts.write_data.next = if clearing {
            Ring {
                base: bits::<64>(0),
                size: bits::<18>(1),
                head: bits::<32>(0),
                posted: bits::<32>(0),
                enabled: false,
                armed: false,
                address: bits::<64>(0),
                phase: true,
                free: bits::<18>(1),
                room: true,
                update_room: false,
            }
        } else if settles {
            settled
        } else {
            next
        };
        self.entering.d.next = enqueue;
        self.waiting.s.valid.next = self.entering.q.val();
        self.waiting.s.data.next = self.entry.q.val();
        self.entry.d.next = Waiting {
            flow: notice.flow,
            ring: if resumes { held.ring } else { notice.context },
        };
        if drain {
            self.queued.d.next = self.queued.q.val() - bits::<17>(1);
        }
        if enqueue {
            self.queued.d.next = self.queued.q.val() + bits::<17>(1);
        }
        self.pair.s.valid.next = self.posts.q.val();
        self.pair.s.data.next = self.posting.q.val();
        self.postings_fit.clk.next = self.clk.val();
        self.postings_fit.holds.next =
            self.rst.val() | !self.posts.q.val() | self.pair.s.ready.val();
        // Contract O7, in records.
        let posted = self.posting.q.val();
        let leaving = self.pair.m.data.val();
        let left = self.pair.m.valid.val() & self.m_up.ready.val() & leaving.last;
        let is_message = leaving.kind == bits::<2>(UP_MSIX);
        self.interrupts_follow.clk.next = self.clk.val();
        self.interrupts_follow.rst.next = self.rst.val();
        self.interrupts_follow.demand.next =
            bit_cast::<16, 1>(bit(self.posts.q.val() & posted.write));
        self.interrupts_follow.serve.next = if left & !is_message {
            bit_cast::<16, 8>(leaving.bytes.get_bits::<8>(5))
        } else {
            bits::<16>(0)
        };
        self.interrupts_follow.enter.next = self.posts.q.val() & posted.interrupt;
        self.interrupts_follow.ticket.next = notice.ticket;
        self.interrupts_follow.flow.next = notice.flow;
        self.interrupts_follow.leave.next = left & is_message;

        // Updates add up; the others rely on the reserve of context 0.
        self.record_fits.clk.next = self.clk.val();
        self.record_fits.holds.next = self.rst.val() | !records | !ring.enabled | update | room;

        // Room for a slow-path frame in context 0.
        if settles & settled_zero {
            self.frames_fit.d.next =
                work.enabled & !overfull & (least.get_bits::<18>(0) >= bits::<18>(RESERVE));
        }
        self.zero_left.d.next = leaves & is_zero;
        self.still_fits.d.next = exceeds(ring.free, RESERVE);
        if self.zero_left.q.val() {
            self.frames_fit.d.next = self.still_fits.q.val();
        }
        self.slow_room.next = self.frames_fit.q.val();

        StreamSource::<Up<N>>::link(&mut self.m_up, &mut self.pair.m);
        self.interrupts.next = self.pair.interrupts.val();

        self.idle.next = (self.state.q.val() == State::Select)
            & !self.visit.q.val().any()
            & !self.posts.q.val()
            & !self.entering.q.val()
            & !self.zero_left.q.val()
            & self.pair.idle.val();

        if self.rst.val() {
            self.state.d.next = State::Clear;
            self.clear.d.next = bits::<17>(0);
            self.queued.d.next = bits::<17>(0);
            self.visit.d.next = bits::<17>(0);
            self.drained.d.next = false;
            self.frames_fit.d.next = false;
            self.zero_left.d.next = false;
            self.posts.d.next = false;
            self.entering.d.next = false;
        }
    }
}
