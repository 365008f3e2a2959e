//! Group: what a flow group has of its own, from its arbiter to the wire and the host.
//!
//! ```text
//!  s (segments) ─► arbiter ─► protocol ─► post ─┬─► payload_write ─► m_write, m_notice
//!  s_hc, s_cmd ──►   ▲                          │        │ headers
//!                    ├── scheduler ◄────────────┤        ▼
//!  s_beats ──────────┼───────────────► "        └─► payload_read ─► assemble ─► m
//!                    └── delayed_ack ◄ outcomes        └─► m_read
//! ```
//!
//! Where not all state is on chip, the state cache stands between arbiter and protocol, and the frames
//! wait in a store, since their events may overtake each other.
//!
//! Groups share nothing: each has its own event order, ticket order and egress order, its
//! own state memories and read tags. Flow ids and read tags are those of the group; the
//! NIC adds the group's number. Frames without a connection belong to group 0.
//!
//! A *serial* group handles one event in its protocol unit at a time and one outcome in
//! each of its post units, as a processor core would: FlexTOE's flow group.

use crate::channels::*;
use crate::contracts;
use crate::design::{DesignPoint, Pipeline, Recovery};
use crate::interface::modules::Slot;
use crate::interface::{Opcode, SETS_RATE, Status, notice};
use crate::modules::plan;
use crate::modules::port::Access;
use crate::modules::trace::Trace;
use crate::stages::arbiter::Arbiter;
use crate::stages::assemble::{Assemble, Lost};
use crate::stages::coalesce::Coalesce;
use crate::stages::delayed_ack::DelayedAck;
use crate::stages::frame_store::FrameStore;
use crate::stages::gather::Gather;
use crate::stages::payload_read::PayloadRead;
use crate::stages::payload_write::PayloadWrite;
use crate::stages::post_pool::PostPool;
use crate::stages::protocol::Protocol;
use crate::stages::rate_wheel::Charge;
use crate::stages::scheduler::Scheduler;
use crate::stages::state_cache::StateCache;
use hallux_hdl::prelude::*;

/// Payload bytes that assembly stores: five segments of 1448 bytes.
const STORE_BYTES: usize = 8192;

/// See the [module](self).
#[derive(LogicBlock)]
pub struct Group<const N: usize, const K: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high.
    pub rst: Signal<In, Bit>,
    /// Segments in ticket order.
    pub s: StreamSink<Segment>,
    /// Beats of their frames.
    pub s_beats: StreamSink<Beat<N, K>>,
    /// Descriptors of the applications.
    pub s_hc: StreamSink<Event>,
    /// Commands of the control plane.
    pub s_cmd: StreamSink<Event>,
    /// Slices of opened connections.
    pub s_connection: StreamSink<ConnectionWrite>,
    /// Completions of the group's payload reads.
    pub s_cpl: StreamSink<Completion<N>>,
    /// Descriptors, commands and grants wait.
    pub hold: Signal<In, Bit>,
    /// Time in ns.
    pub now: Signal<In, Bits<64>>,
    /// Station address.
    pub mac: Signal<In, Bits<48>>,
    /// With a state cache: bus address of the connections' states.
    pub state_base: Vec<Signal<In, Bits<64>>>,
    /// With pacing: word 9 of the last command.
    pub rate: Vec<Signal<In, Bits<64>>>,
    /// Bus address of the slow-path slots.
    pub slow_base: Signal<In, Bits<64>>,
    /// log2 of their number.
    pub slow_log2: Signal<In, Bits<5>>,
    /// Context 0 takes another slow-path frame.
    pub slow_room: Signal<In, Bit>,
    /// Payload writes.
    pub m_write: StreamSource<Up<N>>,
    /// Payload reads.
    pub m_read: StreamSource<Up<RECORD_BITS>>,
    /// Records to post.
    pub m_notice: StreamSource<Notice>,
    /// Frames to the wire.
    pub m: StreamSource<Beat<N, K>>,
    /// A frame for the control plane is dropped.
    pub drop_valid: Signal<Out, Bit>,
    /// Pulses for the counters: from bit 0 on RX, TX, HC, CMD events, placements, fast
    /// retransmissions, stale events.
    pub pulses: Signal<Out, Bits<7>>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    /// The `now` at which the delayed-ACK timer or the rate wheel next needs a clock; all ones:
    /// never.
    pub wake_at: Signal<Out, Bits<64>>,
    /// Nothing is held but flows that could send.
    pub settled: Signal<Out, Bit>,
    /// An event leaves the arbiter.
    pub enters: Signal<Out, Bit>,
    /// Register accesses of each module behind the protocol stage.
    pub access: Vec<Signal<In, Access>>,
    /// Their answers.
    pub answer: Vec<Signal<Out, Bits<64>>>,
    /// Number of the group, for each of them.
    pub number: Vec<Signal<In, Bits<16>>>,
    /// Received segments at the arbiter.
    pub at_arbiter: Signal<Out, Probe>,
    /// Protocol.
    pub at_protocol: Signal<Out, Probe>,
    /// Post-processing.
    pub at_post: Signal<Out, Probe>,
    /// Payload write.
    pub at_payload_write: Signal<Out, Probe>,
    /// Scheduler: its grants.
    pub at_scheduler: Signal<Out, Probe>,
    /// Payload read.
    pub at_payload_read: Signal<Out, Probe>,
    /// Assembly.
    pub at_assemble: Signal<Out, Probe>,
    arbiter: Arbiter,
    /// Where descriptors that wait are added up.
    coalesce: Vec<Coalesce>,
    /// Where not all state is on chip.
    cache: Vec<StateCache<N>>,
    /// Their frames.
    store: Vec<FrameStore<N, K>>,
    /// Payload and states on their way to the host.
    writes: Vec<Gather<Up<N>>>,
    protocol: Protocol,
    post: PostPool,
    /// Beats on their way to `payload_write`.
    beats: StreamRegister<Beat<N, K>>,
    payload_write: PayloadWrite<N, K>,
    scheduler: Scheduler,
    delayed_ack: DelayedAck,
    /// A grant was offered and not taken.
    grant_stands: DFF<Bit>,
    /// The note of a lost read was offered and not taken.
    loss_stands: DFF<Bit>,
    /// The note of a lost read.
    note: StreamRegister<Lost>,
    /// Lost reads so far.
    losses: DFF<Bits<21>>,
    payload_read: PayloadRead<N, K>,
    assemble: Assemble<N, K>,
    /// A descriptor that releases bytes has entered `protocol`: of that flow.
    released: DFF<Bit>,
    released_flow: DFF<Bits<16>>,
    scheduler_takes: Assert,
    turns: EachOnce,
    acks: Monotone,
    /// Where only a rewind lets data step back.
    seqs: Vec<Monotone>,
    /// Modules behind the protocol stage.
    trace: Vec<Trace>,
    _serial: bool,
    _holds: bool,
}

impl<const N: usize, const K: usize> Group<N, K> {
    /// A group of a design point.
    pub fn new(point: &DesignPoint) -> Self {
        let connections = (point.connections / point.groups) as usize;
        let serial = point.pipeline == Pipeline::Serial;
        let (slots, ways) = (point.state_cache as usize, point.state_cache_ways as usize);
        let cached = usize::from(slots > 0);
        let wheel = point.rate_wheel as usize;
        let paced = usize::from(wheel > 0);
        let intervals = point.ooo_intervals as usize;
        let after = plan::stations(point, Slot::AfterProtocol).len();
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            s_beats: Default::default(),
            s_hc: Default::default(),
            s_cmd: Default::default(),
            s_connection: Default::default(),
            s_cpl: Default::default(),
            hold: Default::default(),
            now: Default::default(),
            mac: Default::default(),
            state_base: (0..cached).map(|_| Default::default()).collect(),
            rate: (0..paced).map(|_| Default::default()).collect(),
            slow_base: Default::default(),
            slow_log2: Default::default(),
            slow_room: Default::default(),
            m_write: Default::default(),
            m_read: Default::default(),
            m_notice: Default::default(),
            m: Default::default(),
            drop_valid: Default::default(),
            pulses: Default::default(),
            idle: Default::default(),
            wake_at: Default::default(),
            settled: Default::default(),
            enters: Default::default(),
            access: (0..after).map(|_| Default::default()).collect(),
            answer: (0..after).map(|_| Default::default()).collect(),
            number: (0..after).map(|_| Default::default()).collect(),
            at_arbiter: Default::default(),
            at_protocol: Default::default(),
            at_post: Default::default(),
            at_payload_write: Default::default(),
            at_scheduler: Default::default(),
            at_payload_read: Default::default(),
            at_assemble: Default::default(),
            arbiter: Default::default(),
            coalesce: (0..usize::from(point.coalesce > 0))
                .map(|_| Coalesce::new(point.coalesce as usize))
                .collect(),
            cache: (0..cached)
                .map(|_| StateCache::new(connections, slots, ways))
                .collect(),
            store: (0..cached)
                .map(|_| FrameStore::new(point.frame_buffer_beats()))
                .collect(),
            writes: (0..cached).map(|_| Gather::new(2)).collect(),
            protocol: if cached > 0 {
                Protocol::new(slots, point.same_flow, intervals, point.recovery).with_exchange()
            } else {
                Protocol::new(connections, point.same_flow, intervals, point.recovery)
            },
            post: PostPool::new(connections, point.replicas as usize, serial),
            beats: StreamRegister::new(RegisterMode::Ready),
            payload_write: PayloadWrite::new(point.max_payload as usize),
            scheduler: if paced > 0 {
                Scheduler::new(connections).with_pacing(wheel)
            } else {
                Scheduler::new(connections)
            },
            grant_stands: Default::default(),
            loss_stands: Default::default(),
            note: StreamRegister::new(RegisterMode::Half),
            losses: Default::default(),
            delayed_ack: DelayedAck::new(connections, point.delayed_ack_ticks()),
            payload_read: PayloadRead::new(
                (point.read_tags / point.groups) as usize,
                point.max_read_request as usize,
            ),
            assemble: Assemble::new(STORE_BYTES / K, point.egress_depth as usize),
            released: Default::default(),
            released_flow: Default::default(),
            scheduler_takes: Assert::new("the scheduler takes what a descriptor releases"),
            turns: EachOnce::new(contracts::ARRIVAL_ORDER, contracts::ENDS_ONCE, connections),
            acks: Monotone::new(contracts::MONOTONE_ACK, connections),
            seqs: (0..usize::from(point.recovery == Recovery::Gbn))
                .map(|_| Monotone::new(contracts::MONOTONE_SEQ, connections))
                .collect(),
            trace: (0..after)
                .map(|_| Trace::new(connections, point.groups as usize))
                .collect(),
            _serial: serial,
            _holds: point.pipeline == Pipeline::RunToCompletion,
        }
    }
}

/// The event that notes a lost read.
#[hdl_fn]
fn lost(segment: Lost, number: Bits<21>) -> Event {
    Event {
        kind: bits::<2>(KIND_CMD),
        ticket: cat::<3, 21, 24>(bits::<3>((KIND_CMD << 1) | 1), number),
        flow: segment.flow,
        generation: segment.generation,
        flags: bits::<8>(Opcode::ReadLost as u64),
        ..Event::default()
    }
}

/// What a stage's input shows.
#[hdl_fn]
pub fn probe(valid: Bit, ready: Bit, ticket: Bits<24>, flow: Bits<16>) -> Probe {
    Probe {
        fire: valid & ready,
        blocked: valid & !ready,
        ticket: if valid { ticket } else { bits::<24>(0) },
        flow: if valid { flow } else { bits::<16>(0) },
    }
}

impl<const N: usize, const K: usize> Logic for Group<N, K> {
    #[hdl]
    fn update(&mut self) {
        self.arbiter.clk.next = self.clk.val();
        self.arbiter.rst.next = self.rst.val();
        self.protocol.clk.next = self.clk.val();
        self.protocol.rst.next = self.rst.val();
        self.post.clk.next = self.clk.val();
        self.post.rst.next = self.rst.val();
        self.payload_write.clk.next = self.clk.val();
        self.payload_write.rst.next = self.rst.val();
        self.scheduler.clk.next = self.clk.val();
        self.scheduler.rst.next = self.rst.val();
        self.delayed_ack.clk.next = self.clk.val();
        self.delayed_ack.rst.next = self.rst.val();
        self.payload_read.clk.next = self.clk.val();
        self.payload_read.rst.next = self.rst.val();
        self.assemble.clk.next = self.clk.val();
        self.assemble.rst.next = self.rst.val();

        // The four sources of events. Run to completion lets one in at a time.
        let mut go = true;
        if self._holds {
            go = !self.hold.val();
        }
        StreamSink::<Segment>::link(&mut self.s, &mut self.arbiter.s_rx);
        // A reminder goes before a grant, unless that is offered already.
        dff_setup!(self, clk, grant_stands);
        let reminds = self.delayed_ack.m.valid.val() & !self.grant_stands.q.val();
        self.arbiter.s_tx.data.next = if reminds {
            self.delayed_ack.m.data.val()
        } else {
            self.scheduler.m.data.val()
        };
        // An offered grant stays valid, so whether a reminder goes first need not be known here.
        self.arbiter.s_tx.valid.next =
            (self.delayed_ack.m.valid.val() | self.scheduler.m.valid.val()) & go;
        let grants = self.arbiter.s_tx.ready.val() & go & !reminds;
        self.scheduler.m.ready.next = grants;
        self.grant_stands.d.next = self.scheduler.m.valid.val() & go & !reminds & !grants;
        self.delayed_ack.m.ready.next = self.arbiter.s_tx.ready.val() & go & reminds;
        let mut none_waits = true;
        if self.coalesce.len() == 0 {
            self.arbiter.s_hc.data.next = self.s_hc.data.val();
            self.arbiter.s_hc.valid.next = self.s_hc.valid.val() & go;
            self.s_hc.ready.next = self.arbiter.s_hc.ready.val() & go;
        }
        for c in 0..self.coalesce.len() {
            self.coalesce[c].clk.next = self.clk.val();
            self.coalesce[c].rst.next = self.rst.val();
            self.coalesce[c].command.next = self.s_cmd.valid.val();
            self.coalesce[c].command_flow.next = self.s_cmd.data.val().flow;
            join_streams!(self.s_hc, self.coalesce[c].s);
            self.arbiter.s_hc.data.next = self.coalesce[c].m.data.val();
            self.arbiter.s_hc.valid.next = self.coalesce[c].m.valid.val() & go;
            self.coalesce[c].m.ready.next = self.arbiter.s_hc.ready.val() & go;
            none_waits = self.coalesce[c].idle.val();
        }
        // A command goes before the note of a lost read, unless that is offered already. Who is let
        // in is known late in a clock, so the note waits in a register.
        dff_setup!(self, clk, loss_stands, losses);
        self.note.clk.next = self.clk.val();
        self.note.rst.next = self.rst.val();
        self.assemble.m_lost.join(&mut self.note.s);
        let notes = self.note.m.valid.val();
        let loses = notes & (!self.s_cmd.valid.val() | self.loss_stands.q.val());
        self.arbiter.s_cmd.data.next = if loses {
            lost(self.note.m.data.val(), self.losses.q.val())
        } else {
            self.s_cmd.data.val()
        };
        self.arbiter.s_cmd.valid.next = (notes | self.s_cmd.valid.val()) & go;
        let commands = self.arbiter.s_cmd.ready.val() & go;
        self.s_cmd.ready.next = commands & !loses;
        self.note.m.ready.next = commands & loses;
        self.loss_stands.d.next = loses & go & !commands;
        if commands & loses {
            self.losses.d.next = self.losses.q.val() + bits::<21>(1);
        }

        // Protocol and what follows from it.
        let mut free = true;
        if self._serial {
            free = self.protocol.idle.val();
        }
        let takes = self.protocol.s.ready.val() & free;
        let mut work = self.arbiter.m.data.val();
        let mut waiting = self.arbiter.m.valid.val();
        let mut placed = work;
        let mut outcome = self.protocol.m.data.val();
        let mut settled_states = true;
        for c in 0..self.cache.len() {
            self.cache[c].clk.next = self.clk.val();
            self.cache[c].rst.next = self.rst.val();
            self.cache[c].base.next = self.state_base[c].val();
            join_streams!(self.arbiter.m, self.cache[c].s);
            placed = self.cache[c].m.data.val();
            work = placed;
            work.flow = self.cache[c].flow.val();
            waiting = self.cache[c].m.valid.val();
            self.cache[c].m.ready.next = takes;
            self.cache[c].outcome.next = self.protocol.m.valid.val() & self.post.s.ready.val();
            outcome.flow = self.cache[c].outcome_flow.val();
            self.cache[c].victim.next = self.protocol.victim[c].val();
            join_streams!(self.cache[c].m_fill, self.protocol.s_fill[c]);
            settled_states = self.cache[c].idle.val();
        }
        let event = waiting & free;
        self.protocol.s.data.next = placed;
        self.protocol.s.valid.next = event;
        self.enters.next = event & takes;
        for c in 0..self.cache.len() {
            self.enters.next = self.arbiter.m.valid.val() & self.cache[c].s.ready.val();
        }
        if self.cache.len() == 0 {
            self.arbiter.m.ready.next = takes;
        }
        self.protocol.now.next = self.now.val();
        self.post.s.data.next = outcome;
        self.post.s.valid.next = self.protocol.m.valid.val();
        self.protocol.m.ready.next = self.post.s.ready.val();
        self.delayed_ack.owes.next =
            self.protocol.m.valid.val() & self.post.s.ready.val() & outcome.owes;
        self.delayed_ack.flow.next = outcome.flow;
        self.delayed_ack.now.next = self.now.val();
        let mut wake_at = self.delayed_ack.wake_at.val();
        // Rates take effect, and segments are charged, in the order of the outcomes.
        for w in 0..self.rate.len() {
            self.scheduler.now[w].next = self.now.val();
            let rate = self.rate[w].val();
            let opens = outcome.opcode == bits::<8>(Opcode::Open as u64);
            let set = (outcome.opcode == bits::<8>(Opcode::Set as u64))
                & rate.get_bit(SETS_RATE.trailing_zeros() as usize);
            let sets =
                outcome.done & (outcome.status == bits::<8>(Status::Ok as u64)) & (opens | set);
            let sent = (outcome.kind == bits::<2>(KIND_TX)) & outcome.send & outcome.length.any();
            self.scheduler.s_charge[w].data.next = Charge {
                flow: outcome.flow,
                sets,
                period: rate.get_bits::<32>(0),
                bytes: outcome.length,
            };
            self.scheduler.s_charge[w].valid.next =
                self.protocol.m.valid.val() & self.post.s.ready.val() & (sets | sent);
            let next = self.scheduler.wake_at[w].val();
            wake_at = if next < wake_at { next } else { wake_at };
        }
        self.wake_at.next = wake_at;
        StreamSink::<ConnectionWrite>::link(&mut self.s_connection, &mut self.post.s_connection);

        // The scheduler learns of a descriptor that releases bytes when it has entered
        // `protocol`, behind a register, since the choice of the event takes most of a clock: its grant comes behind it, and the outcome of the grant says whether
        // more can be sent. So the descriptor's own outcome need not.
        let releases = event
            & takes
            & (work.kind == bits::<2>(KIND_HC))
            & (work.class == bits::<2>(CLASS_FAST))
            & work.ack.any();
        dff_setup!(self, clk, released, released_flow);
        self.released.d.next = releases;
        if releases {
            self.released_flow.d.next = work.flow;
        }
        let releases = self.released.q.val();
        let update = self.post.m_update.data.val();
        self.scheduler.s.data.next = Update {
            flow: if releases {
                self.released_flow.q.val()
            } else {
                update.flow
            },
            ready: releases | update.ready,
        };
        self.scheduler.s.valid.next = releases | self.post.m_update.valid.val();
        self.post.m_update.ready.next = self.scheduler.s.ready.val() & !releases;
        self.scheduler_takes.clk.next = self.clk.val();
        self.scheduler_takes.holds.next = self.rst.val() | !releases | self.scheduler.s.ready.val();
        self.post.m_read.join(&mut self.payload_read.s);
        self.post.m_action.join(&mut self.payload_write.s);
        // Whether payload write takes a beat is known late in a clock.
        self.beats.clk.next = self.clk.val();
        self.beats.rst.next = self.rst.val();
        self.beats.m.join(&mut self.payload_write.s_beats);
        if self.cache.len() == 0 {
            StreamSink::<Beat<N, K>>::link(&mut self.s_beats, &mut self.beats.s);
        }
        for c in 0..self.store.len() {
            self.store[c].clk.next = self.clk.val();
            self.store[c].rst.next = self.rst.val();
            join_streams!(self.s_beats, self.store[c].s);
            join_streams!(self.cache[c].m_order, self.store[c].s_order);
            join_streams!(self.store[c].m, self.beats.s);
            self.cache[c].arrived.next = self.store[c].arrived.val();
            settled_states = settled_states & self.store[c].idle.val();
        }
        self.payload_write.slow_base.next = self.slow_base.val();
        self.payload_write.slow_log2.next = self.slow_log2.val();
        self.payload_write.slow_room.next = self.slow_room.val();
        StreamSource::<Notice>::link(&mut self.m_notice, &mut self.payload_write.m_notice);
        if self.cache.len() == 0 {
            StreamSource::<Up<N>>::link(&mut self.m_write, &mut self.payload_write.m_up);
        }
        for c in 0..self.writes.len() {
            self.writes[c].clk.next = self.clk.val();
            self.writes[c].rst.next = self.rst.val();
            join_streams!(self.payload_write.m_up, self.writes[c].s[0]);
            self.writes[c].last[0].next = self.payload_write.m_up.data.val().last;
            join_streams!(self.cache[c].m_up, self.writes[c].s[1]);
            self.writes[c].last[1].next = self.cache[c].m_up.data.val().last;
            self.m_write.data.next = self.writes[c].m.data.val();
            self.m_write.valid.next = self.writes[c].m.valid.val();
            self.writes[c].m.ready.next = self.m_write.ready.val();
            settled_states = settled_states & self.writes[c].idle.val();
        }
        self.payload_write.m_header.join(&mut self.assemble.s);
        self.assemble.released.next = self.payload_write.released.val();
        self.drop_valid.next = self.payload_write.drop_valid.val();

        // Transmit.
        self.payload_read.s_cpl.data.next = self.s_cpl.data.val();
        let mut of_payload = true;
        for c in 0..self.cache.len() {
            self.cache[c].s_cpl.data.next = self.s_cpl.data.val();
            self.cache[c].s_cpl.valid.next = self.s_cpl.valid.val();
            of_payload = !self.s_cpl.data.val().tag.get_bit(6);
        }
        self.payload_read.s_cpl.valid.next = self.s_cpl.valid.val() & of_payload;
        self.s_cpl.ready.next = true;
        StreamSource::<Up<RECORD_BITS>>::link(&mut self.m_read, &mut self.payload_read.m_up);
        self.payload_read.m.join(&mut self.assemble.s_payload);
        self.assemble.mac.next = self.mac.val();
        self.assemble.now.next = self.now.val();
        StreamSource::<Beat<N, K>>::link(&mut self.m, &mut self.assemble.m);

        let mut pulses = bits::<7>(0);
        pulses.set_bits(0, bit(self.protocol.count_rx.val()));
        pulses.set_bits(1, bit(self.protocol.count_tx.val()));
        pulses.set_bits(2, bit(self.protocol.count_hc.val()));
        pulses.set_bits(3, bit(self.protocol.count_cmd.val()));
        pulses.set_bits(4, bit(self.payload_write.placed.val()));
        pulses.set_bits(5, bit(self.protocol.count_fast_retransmit.val()));
        pulses.set_bits(6, bit(self.protocol.count_stale.val()));
        self.pulses.next = pulses;

        let behind = settled_states
            & self.protocol.idle.val()
            & self.post.idle.val()
            & self.payload_write.idle.val()
            & self.payload_read.idle.val()
            & self.assemble.idle.val();
        self.settled.next = behind;
        let at_rest = behind
            & self.arbiter.idle.val()
            & none_waits
            & !self.beats.m.valid.val()
            & self.scheduler.idle.val()
            & !releases
            & !self.assemble.m_lost.valid.val()
            & !self.note.m.valid.val()
            & self.delayed_ack.idle.val();
        self.idle.next = at_rest;

        for t in 0..self.trace.len() {
            self.trace[t].clk.next = self.clk.val();
            self.trace[t].rst.next = self.rst.val();
            self.trace[t].s_valid.next = self.protocol.m.valid.val() & self.post.s.ready.val();
            self.trace[t].s_data.next = self.protocol.m.data.val();
            self.trace[t].group.next = self.number[t].val();
            self.trace[t].access.next = self.access[t].val();
            self.answer[t].next = self.trace[t].answer.val();
            if !self.trace[t].idle.val() {
                self.idle.next = false;
            }
        }

        // Contracts O1 and O5: the tickets of frames, from their arrival to their end.
        let arrives = self.s.data.val();
        self.turns.clk.next = self.clk.val();
        self.turns.rst.next = self.rst.val();
        self.turns.enter.next = self.s.valid.val() & self.arbiter.s_rx.ready.val();
        self.turns.ticket.next = arrives.summary.ticket;
        self.turns.flow.next = arrives.flow;
        self.turns.ordered.next = arrives.summary.class == bits::<2>(CLASS_FAST);
        self.turns.passes.next = event
            & takes
            & (work.kind == bits::<2>(KIND_RX))
            & (work.class == bits::<2>(CLASS_FAST));
        self.turns.passed.next = work.ticket;
        self.turns.ends.next = self.post.m_action.valid.val()
            & self.payload_write.s.ready.val()
            & self.post.m_action.data.val().frame;
        self.turns.ended.next = self.post.m_action.data.val().ticket;
        self.turns.idle.next = at_rest;

        // Contract O2. Frames leave in the order of their headers; a rewind comes with its
        // outcome, which the outcomes of the grants follow.
        let concluded = self.protocol.m.valid.val() & self.post.s.ready.val();
        let opened = concluded & outcome.done & (outcome.opcode == bits::<8>(Opcode::Open as u64));
        let header = self.payload_write.m_header.data.val();
        self.acks.clk.next = self.clk.val();
        self.acks.rst.next = self.rst.val();
        self.acks.check.next =
            self.payload_write.m_header.valid.val() & self.assemble.s.ready.val() & !header.raw;
        self.acks.flow.next = header.flow;
        self.acks.ticket.next = header.ticket;
        self.acks.value.next = header.ack;
        self.acks.forget.next = opened;
        self.acks.forgotten.next = outcome.flow;
        let rewinds = (outcome.done & (outcome.opcode == bits::<8>(Opcode::Retransmit as u64)))
            | (outcome.notify
                & !outcome.done
                & (outcome.notice_flags & bits::<8>(notice::FAST_RETRANSMIT as u64)).any());
        for q in 0..self.seqs.len() {
            self.seqs[q].clk.next = self.clk.val();
            self.seqs[q].rst.next = self.rst.val();
            self.seqs[q].check.next = concluded
                & (outcome.kind == bits::<2>(KIND_TX))
                & outcome.send
                & outcome.length.any();
            self.seqs[q].flow.next = outcome.flow;
            self.seqs[q].ticket.next = outcome.ticket;
            self.seqs[q].value.next = outcome.seq;
            self.seqs[q].forget.next = opened | (concluded & rewinds);
            self.seqs[q].forgotten.next = outcome.flow;
        }

        self.at_arbiter.next = probe(
            self.s.valid.val(),
            self.arbiter.s_rx.ready.val(),
            self.s.data.val().summary.ticket,
            self.s.data.val().flow,
        );
        self.at_protocol.next = probe(waiting, takes, work.ticket, work.flow);
        self.at_post.next = probe(
            self.protocol.m.valid.val(),
            self.post.s.ready.val(),
            outcome.ticket,
            outcome.flow,
        );
        self.at_payload_write.next = probe(
            self.post.m_action.valid.val(),
            self.payload_write.s.ready.val(),
            self.post.m_action.data.val().ticket,
            self.post.m_action.data.val().flow,
        );
        self.at_scheduler.next = probe(
            self.scheduler.m.valid.val(),
            grants,
            self.scheduler.m.data.val().ticket,
            self.scheduler.m.data.val().flow,
        );
        self.at_payload_read.next = probe(
            self.post.m_read.valid.val(),
            self.payload_read.s.ready.val(),
            self.post.m_read.data.val().ticket,
            self.post.m_read.data.val().flow,
        );
        self.at_assemble.next = probe(
            self.payload_write.m_header.valid.val(),
            self.assemble.s.ready.val(),
            self.payload_write.m_header.data.val().ticket,
            self.payload_write.m_header.data.val().flow,
        );
        if self.rst.val() {
            self.grant_stands.d.next = false;
            self.loss_stands.d.next = false;
            self.losses.d.next = bits::<21>(0);
            self.released.d.next = false;
        }
    }
}
