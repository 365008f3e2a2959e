//! The protocol stage: the only writer of TCP state.
//!
//! Applies one event a clock to the state of its connection, and passes on what follows from
//! it, in the order of the events. Events of one connection may come back to back.
//!
//! ```text
//!        read        expand     one step                exact transition                announce
//!  s ─►┬─ decode ──► prepare ─┬► relate ─► judge ─► measure ─► settle ─┬► survey ─► draft ─► announce ─► FIFO ─► m
//!      │                      │  shortcut                              │                        ▲ │
//!      └─► states ─► expand ──┤   │ next     next       next           │ next          edges ───┘ │
//!            ▲                └◄──┴─────┴─────────┴──────────┴─────────┴─► states        ▲        │
//!            │                     forwarding                               │            └────────┘
//!            └──────────────────────────────────────────────────────────────┘
//!      read       prepare        relate      judge      measure     settle      survey    draft   announce
//! ```
//!
//! * **The recurrence is one step deep.** The full transition takes four clocks, too long for
//!   the next event of the flow to wait. But in-order segments, new acknowledgements, grants
//!   and descriptors change the state in a way that `shortcut` finds in the first of these
//!   clocks, from comparisons beside sums. That next state is forwarded to the event behind.
//! * **The shortcut never guesses.** It either is right or declines. Every event also passes
//!   the exact transition; an assertion holds the one against the other in every simulation.
//! * **Where it declines** (out of order, duplicates, FIN, recovery, commands, …), the next
//!   event of the *same flow* waits in *relate* until *settle* has the state: four clocks
//!   from event to event. Behind OPEN and SET, which change constants of the connection as
//!   well, it waits in *prepare*: six clocks. Those behind it wait too, since outcomes keep
//!   the order of events.
//! * **What is forwarded.** An event in *prepare* takes its state from the youngest older
//!   event of its flow that has not reached the memory: in *relate* (the shortcut's result),
//!   *judge*, *measure* (carried along), *settle* (exact), *survey* (being written). One
//!   that was written while the event was reading is caught in *read* (contract O6).
//! * **A segment with several SACK blocks** is an event for each of them, of which only the last,
//!   the segment itself, has an outcome: see [`reports`].
//! * Initiation interval on one flow by `SameFlow`: `Forward1` 1, `Forward2` 2 (the result of
//!   *relate* is not forwarded, only that of the registers behind it), `Lock` 8 (nothing is
//!   forwarded; an event enters when no other of its flow is between *read* and *survey*).
//!   Between flows it is always 1.
//! * Latency: 11 clocks, 1 of them in the FIFO.
//! * `s_ready` depends on registers only: an event that comes while the pipeline waits is
//!   held beside it. It is given only while the FIFO has room for all that is under way.
//! * After reset a sweep closes every flow id, one a clock; `s_ready` is low meanwhile.
//! * A flow id beyond the design point's connections is closed and stays so.
//!
//! The rules are those of `docs/data-path.md`; `host-model/src/reference` says the same
//! as plain Rust. Why the recurrence is cut this way: `docs/decisions/006-the-recurrence.md`.

pub mod announcer;
pub mod bank;
pub mod exchange;
pub mod extent;
pub mod flow;
pub mod intervals;
pub mod outcome;
pub mod recurrence;
pub mod relations;
pub mod reports;
pub mod scoreboard;
pub mod settled;
pub mod verdict;
pub mod work;

use crate::channels::{Event, Outcome};
use crate::contracts;
use crate::design::{Recovery, SameFlow};
use announcer::Announcer;
use bank::Bank;
use exchange::{Fill, Progress, Stored, advanced, asks, puts};
use extent::{Extent, measure};
use flow::{Flow, Live, agrees, expand, wide};
use hallux_hdl::prelude::*;
use intervals::{Slots, Spans, spans};
use recurrence::{Shortcut, shortcut, taken};
use relations::{Relations, relate};
use reports::{last_block, reports_several, without_last_block};
use scoreboard::{View, current, view, without_reports, without_sack};
use settled::{Settled, settle};
use verdict::{Verdict, judge};
use work::{Decoded, Work, decode, prepare};

/// Intervals of a peer's report that are remembered.
const REPORTED: usize = 4;

/// The protocol stage; see the module's documentation.
#[derive(LogicBlock, Default)]
pub struct Protocol {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// Events.
    pub s: StreamSink<Event>,
    /// Outcomes, in the order of the events.
    pub m: StreamSource<Outcome>,
    /// With a state cache: a state to install; taken when `victim` shows what it replaced.
    pub s_fill: Vec<StreamSink<Fill>>,
    /// The state that the slot held before.
    pub victim: Vec<Signal<Out, Stored>>,
    /// Time in ns.
    pub now: Signal<In, Bits<64>>,
    /// Nothing is held inside.
    pub idle: Signal<Out, Bit>,
    /// Pulse: an event of kind RX passed.
    pub count_rx: Signal<Out, Bit>,
    /// Pulse: an event of kind TX passed.
    pub count_tx: Signal<Out, Bit>,
    /// Pulse: an event of kind HC passed.
    pub count_hc: Signal<Out, Bit>,
    /// Pulse: an event of kind CMD passed.
    pub count_cmd: Signal<Out, Bit>,
    /// Pulse: a fast retransmission began.
    pub count_fast_retransmit: Signal<Out, Bit>,
    /// Pulse: an event met a closed flow id or another generation.
    pub count_stale: Signal<Out, Bit>,

    states: Ram<Flow, 16>,
    /// Intervals held out of order.
    slots: Vec<Bank>,
    /// What the peer reported to hold out of order.
    board: Vec<Bank>,
    announcer: Announcer,

    /// An event taken while the pipeline waited.
    held: DFF<Event>,
    held_valid: DFF<Bit>,

    /// *read*: the memory answers.
    read: DFF<Event>,
    read_valid: DFF<Bit>,

    /// *prepare*: the state is as fresh as the memory and what was written since.
    decoded: DFF<Decoded>,
    decoded_valid: DFF<Bit>,
    stored: DFF<Flow>,

    /// *relate*: the state is the newest there is.
    work: DFF<Work>,
    work_valid: DFF<Bit>,
    live: DFF<Live>,

    /// *judge*.
    judge_work: DFF<Work>,
    judge_valid: DFF<Bit>,
    judge_live: DFF<Live>,
    judge_next: DFF<Shortcut>,
    relations: DFF<Relations>,

    /// *measure*.
    measure_work: DFF<Work>,
    measure_valid: DFF<Bit>,
    measure_live: DFF<Live>,
    measure_next: DFF<Shortcut>,
    measure_relations: DFF<Relations>,
    measure_slots: DFF<Slots>,
    measure_board: DFF<Slots>,
    measure_view: DFF<View>,
    measure_spans: DFF<Spans>,
    verdict: DFF<Verdict>,

    /// *settle*.
    settle_work: DFF<Work>,
    settle_valid: DFF<Bit>,
    settle_live: DFF<Live>,
    settle_next: DFF<Shortcut>,
    settle_relations: DFF<Relations>,
    settle_slots: DFF<Slots>,
    settle_board: DFF<Slots>,
    settle_view: DFF<View>,
    settle_verdict: DFF<Verdict>,
    extent: DFF<Extent>,

    /// *survey*: the new state is being written.
    settled: DFF<Settled>,
    settled_event: DFF<Decoded>,
    settled_valid: DFF<Bit>,

    /// What the memory took one clock ago: a read in that clock missed it.
    written: DFF<Flow>,
    written_flow: DFF<Bits<16>>,
    written_valid: DFF<Bit>,

    sweeping: DFF<Bit>,
    sweep_flow: DFF<Bits<16>>,

    /// The exchange with the state cache, memory by memory; that of the edges is the announcer's.
    exchange_state: Vec<DFF<Progress>>,
    exchange_slots: Vec<DFF<Progress>>,
    evicted_flow: Vec<DFF<Flow>>,
    evicted_slots: Vec<DFF<Slots>>,

    /// The shortcut gives what the exact transition gives.
    exact: Assert,
    /// Contract O6.
    carried: Carries,
    /// The sums of a state are those of its parts.
    whole: Assert,

    _connections: usize,
    _intervals: usize,
    _forwards: bool,
    _forwards_at_once: bool,
}

impl Protocol {
    /// A stage for flow ids `0..connections` (2 to 65536) that holds `intervals` (0, 1, 2 or
    /// 4) out of order for each, and recovers as `recovery` says.
    pub fn new(
        connections: usize,
        same_flow: SameFlow,
        intervals: usize,
        recovery: Recovery,
    ) -> Self {
        Self {
            states: Ram::new(connections),
            slots: (0..usize::from(intervals > 0))
                .map(|_| Bank::new(connections, intervals))
                .collect(),
            board: (0..usize::from(recovery == Recovery::Sack))
                .map(|_| Bank::new(connections, REPORTED))
                .collect(),
            announcer: Announcer::new(connections, false),
            exact: Assert::new("the shortcut agrees with the exact transition"),
            carried: Carries::new(contracts::STATE_CARRIES, connections),
            whole: Assert::new("the sums of a state are those of its parts"),
            _connections: connections,
            _intervals: intervals,
            _forwards: same_flow != SameFlow::Lock,
            _forwards_at_once: same_flow == SameFlow::Forward1,
            ..Default::default()
        }
    }

    /// With a port through which states come and go; the flow ids of events are slots then.
    #[must_use]
    pub fn with_exchange(self) -> Self {
        Self {
            s_fill: vec![Default::default()],
            victim: vec![Default::default()],
            exchange_state: vec![Default::default()],
            announcer: Announcer::new(self._connections, true),
            exchange_slots: vec![Default::default()],
            evicted_flow: vec![Default::default()],
            evicted_slots: vec![Default::default()],
            ..self
        }
    }
}

/// An event in a later step works on the state of flow `flow`.
#[hdl_fn]
fn meets(flow: Bits<16>, other: Decoded, other_valid: Bit) -> Bit {
    other_valid & other.writes & (other.event.flow == flow)
}

/// What contract O6 tells states by.
#[hdl_fn]
fn marks(flow: Flow) -> Bits<128> {
    let credit = flow.edge
        ^ wide(flow.tx_avail)
        ^ (wide(flow.rx_avail) << 7)
        ^ bit_cast::<32, 8>(flow.generation);
    cat::<64, 64, 128>(
        cat::<32, 32, 64>(credit, flow.snd_una),
        cat::<32, 32, 64>(flow.snd_nxt, flow.rcv_nxt),
    )
}

impl Logic for Protocol {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, held, held_valid, read, read_valid);
        dff_setup!(self, clk, decoded, decoded_valid, stored);
        dff_setup!(self, clk, work, work_valid, live);
        dff_setup!(
            self,
            clk,
            judge_work,
            judge_valid,
            judge_live,
            judge_next,
            relations
        );
        dff_setup!(
            self,
            clk,
            measure_work,
            measure_valid,
            measure_live,
            measure_next,
            measure_relations,
            measure_slots,
            measure_board,
            measure_view,
            measure_spans,
            verdict
        );
        dff_setup!(
            self,
            clk,
            settle_work,
            settle_valid,
            settle_live,
            settle_next,
            settle_relations,
            settle_slots,
            settle_board,
            settle_view,
            settle_verdict,
            extent
        );
        dff_setup!(self, clk, settled, settled_event, settled_valid);
        dff_setup!(self, clk, written, written_flow, written_valid);
        dff_setup!(self, clk, sweeping, sweep_flow);
        self.states.clk.next = self.clk.val();
        self.announcer.clk.next = self.clk.val();
        self.announcer.rst.next = self.rst.val();

        // The exact transition, and the state that it leaves.
        let intervals = self._intervals;
        let reported = self.board.len();
        let sacks = intervals > 1 || reported > 0;
        let settling = self.settle_work.q.val();
        let mut settled = settle(
            self.settle_live.q.val(),
            settling,
            self.settle_relations.q.val(),
            self.settle_verdict.q.val(),
            self.extent.q.val(),
            self.settle_slots.q.val(),
            self.settle_board.q.val(),
            self.settle_view.q.val(),
            sacks as u64,
        );
        if reported == 0 {
            settled.live = without_reports(settled.live);
        }
        if !sacks {
            settled.live = without_sack(settled.live);
        }

        // The shortcut, and the state that it leaves.
        let live = self.live.q.val();
        let work = self.work.q.val();
        let quick = shortcut(live, work);

        // Where the event in prepare finds its state: youngest first.
        let decoded = self.decoded.q.val();
        let flow = decoded.event.flow;
        let in_relate = meets(flow, work.decoded, self.work_valid.q.val());
        let in_judge = meets(
            flow,
            self.judge_work.q.val().decoded,
            self.judge_valid.q.val(),
        );
        let in_measure = meets(
            flow,
            self.measure_work.q.val().decoded,
            self.measure_valid.q.val(),
        );
        let in_settle = meets(flow, settling.decoded, self.settle_valid.q.val());
        let in_survey = meets(flow, self.settled_event.q.val(), self.settled_valid.q.val());
        let judge_next = self.judge_next.q.val();
        let measure_next = self.measure_next.q.val();
        let settle_next = self.settle_next.q.val();
        let surveyed = self.settled.q.val();
        let mut newest = expand(self.stored.q.val());
        // An event in relate has the wrong state while one ahead takes the long way.
        let mut blocked: Bit = false;
        let mut corrects: Bit = false;
        let mut stays: Bit = false;
        if self._forwards {
            let old = if in_settle {
                settle_next.live
            } else if in_survey {
                surveyed.live
            } else {
                newest
            };
            let recent = if in_judge {
                judge_next.live
            } else if in_measure {
                measure_next.live
            } else {
                old
            };
            // Late in the clock, so last in the selection.
            let corrected = in_settle & !taken(settle_next) & !in_judge & !in_measure;
            newest = if corrected { settled.live } else { recent };

            let ahead = work.decoded.event.flow;
            corrects =
                meets(ahead, settling.decoded, self.settle_valid.q.val()) & !taken(settle_next);
            let behind_long = corrects
                | (meets(
                    ahead,
                    self.judge_work.q.val().decoded,
                    self.judge_valid.q.val(),
                ) & !taken(judge_next))
                | (meets(
                    ahead,
                    self.measure_work.q.val().decoded,
                    self.measure_valid.q.val(),
                ) & !taken(measure_next));
            blocked = self.work_valid.q.val() & work.decoded.writes & behind_long;

            // OPEN and SET may change the constants that `work` is made of: those are taken from
            // the memory's form of the state.
            let mut waits = (in_relate & work.decoded.installs)
                | (in_judge & self.judge_work.q.val().decoded.installs)
                | (in_measure & self.measure_work.q.val().decoded.installs)
                | (in_settle & settling.decoded.installs)
                | (in_survey & self.settled_event.q.val().installs);
            if self._forwards_at_once {
                newest = if in_relate {
                    quick.live
                } else if corrected {
                    settled.live
                } else {
                    recent
                };
            } else {
                waits = waits | in_relate;
            }
            stays = blocked | (self.decoded_valid.q.val() & decoded.writes & waits);
        }

        if reported == 0 {
            newest = without_reports(newest);
        }
        if !sacks {
            newest = without_sack(newest);
        }

        // Entrance.
        let ready = !self.held_valid.q.val() & !self.announcer.full.val() & !self.sweeping.q.val();
        self.s.ready.next = ready;
        let offered = self.held_valid.q.val() | (ready & self.s.valid.val());
        let event = if self.held_valid.q.val() {
            self.held.q.val()
        } else {
            self.s.data.val()
        };
        let reading = self.read.q.val();
        let mut waits = stays;
        if !self._forwards {
            // Nothing is forwarded: no other event of the flow may be between here and the
            // memory.
            waits = meets(event.flow, decode(reading, true), self.read_valid.q.val())
                | meets(event.flow, decoded, self.decoded_valid.q.val())
                | meets(event.flow, work.decoded, self.work_valid.q.val())
                | meets(
                    event.flow,
                    self.judge_work.q.val().decoded,
                    self.judge_valid.q.val(),
                )
                | meets(
                    event.flow,
                    self.measure_work.q.val().decoded,
                    self.measure_valid.q.val(),
                )
                | meets(event.flow, settling.decoded, self.settle_valid.q.val())
                | meets(
                    event.flow,
                    self.settled_event.q.val(),
                    self.settled_valid.q.val(),
                );
        }
        // A segment that reports several blocks goes in block by block, the oldest first, and with
        // the last of them it goes in itself.
        let mut several: Bit = false;
        if reported > 0 {
            several = reports_several(event);
        }
        self.held_valid.d.next = offered & (waits | several);
        if offered & several & !waits {
            self.held.d.next = without_last_block(event);
        } else if offered & waits & !self.held_valid.q.val() {
            self.held.d.next = event;
        }
        let enters = if several { last_block(event) } else { event };

        // Read. What stays is read again, so that the answer is as fresh as the memory.
        let mut read_address = if stays { reading.flow } else { event.flow };
        for x in 0..self.s_fill.len() {
            if !stays & !offered {
                read_address = self.s_fill[x].data.val().slot;
            }
        }
        self.states.read_address.next = read_address;
        if !stays {
            self.read_valid.d.next = offered & !waits;
            if offered & !waits {
                self.read.d.next = enters;
            }
        }

        // Prepare.
        let exists = reading.flow <= bits::<16>((self._connections - 1) as u64);
        let writing = self.settled_valid.q.val() & self.settled_event.q.val().writes;
        let writing_flow = self.settled_event.q.val().event.flow;
        if stays {
            if in_survey {
                self.stored.d.next = surveyed.live.flow;
            }
        } else {
            self.decoded_valid.d.next = self.read_valid.q.val();
            if self.read_valid.q.val() {
                self.decoded.d.next = decode(reading, exists);
                self.stored.d.next = if !exists {
                    Flow::default()
                } else if writing & (writing_flow == reading.flow) {
                    surveyed.live.flow
                } else if self.written_valid.q.val() & (self.written_flow.q.val() == reading.flow) {
                    self.written.q.val()
                } else {
                    self.states.read_data.val()
                };
            }
        }

        // Relate.
        if blocked {
            if corrects {
                self.live.d.next = settled.live;
            }
        } else {
            self.work_valid.d.next = self.decoded_valid.q.val() & !stays;
            if self.decoded_valid.q.val() {
                self.work.d.next = prepare(decoded, self.stored.q.val());
                self.live.d.next = newest;
            }
        }

        // Judge.
        self.judge_valid.d.next = self.work_valid.q.val() & !blocked;
        if self.work_valid.q.val() {
            self.judge_work.d.next = work;
            self.judge_live.d.next = live;
            self.judge_next.d.next = quick;
            self.relations.d.next = relate(live, work);
            if reported == 0 {
                self.relations.d.next.reports = false;
            }
        }

        // The intervals, read while the event was in relate. A read missed what was written
        // in its clock; earlier writes of the flow it waited for.
        let mut slots_read = work.decoded.event.flow;
        for x in 0..self.s_fill.len() {
            if !self.work_valid.q.val() {
                slots_read = self.s_fill[x].data.val().slot;
            }
        }
        let mut slots = Slots::default();
        for b in 0..self.slots.len() {
            self.slots[b].clk.next = self.clk.val();
            self.slots[b].rst.next = self.rst.val();
            self.slots[b].read.next = slots_read;
            slots = self.slots[b].answer.val();
        }

        // What the peer reported, likewise.
        let mut board = Slots::default();
        for b in 0..self.board.len() {
            self.board[b].clk.next = self.clk.val();
            self.board[b].rst.next = self.rst.val();
            self.board[b].read.next = work.decoded.event.flow;
            board = self.board[b].answer.val();
        }
        let judged_flow = self.judge_live.q.val().flow;
        let board = current(board, judged_flow.sacked);
        let from = if self.judge_work.q.val().decoded.grants {
            judged_flow.high_rxt
        } else {
            self.judge_work.q.val().decoded.event.ack
        };

        // Measure.
        self.measure_valid.d.next = self.judge_valid.q.val();
        if self.judge_valid.q.val() {
            self.measure_work.d.next = self.judge_work.q.val();
            self.measure_live.d.next = self.judge_live.q.val();
            self.measure_next.d.next = judge_next;
            self.measure_relations.d.next = self.relations.q.val();
            self.measure_slots.d.next = slots;
            self.measure_board.d.next = board;
            self.measure_view.d.next = view(board, from);
            self.measure_spans.d.next = spans(slots, self.judge_live.q.val().flow);
            self.verdict.d.next = judge(
                self.judge_live.q.val(),
                self.judge_work.q.val(),
                self.relations.q.val(),
            );
        }

        // Settle.
        self.settle_valid.d.next = self.measure_valid.q.val();
        if self.measure_valid.q.val() {
            self.settle_work.d.next = self.measure_work.q.val();
            self.settle_live.d.next = self.measure_live.q.val();
            self.settle_next.d.next = measure_next;
            self.settle_relations.d.next = self.measure_relations.q.val();
            self.settle_slots.d.next = self.measure_slots.q.val();
            self.settle_board.d.next = self.measure_board.q.val();
            self.settle_view.d.next = self.measure_view.q.val();
            self.settle_verdict.d.next = self.verdict.q.val();
            self.extent.d.next = measure(
                self.measure_live.q.val(),
                self.measure_work.q.val(),
                self.measure_relations.q.val(),
                self.verdict.q.val(),
                self.measure_spans.q.val(),
                self.measure_board.q.val(),
                self.measure_view.q.val(),
                intervals as u64,
            );
        }
        let settles = self.settle_valid.q.val() & settling.decoded.writes;
        self.exact.clk.next = self.clk.val();
        self.exact.holds.next =
            self.rst.val() | !(settles & taken(settle_next)) | (settle_next.live == settled.live);
        self.carried.clk.next = self.clk.val();
        self.carried.rst.next = self.rst.val();
        self.carried.check.next = settles;
        self.carried.flow.next = settling.decoded.event.flow;
        self.carried.ticket.next = settling.decoded.event.ticket;
        self.carried.found.next = marks(self.settle_live.q.val().flow);
        self.carried.after.next = marks(settled.live.flow);
        self.carried.forget.next = false;
        self.carried.forgotten.next = bits::<16>(0);
        self.whole.clk.next = self.clk.val();
        self.whole.holds.next =
            self.rst.val() | !settles | !settled.live.flow.open | agrees(settled.live);

        // Survey, and write the state.
        self.settled_valid.d.next = self.settle_valid.q.val();
        if self.settle_valid.q.val() {
            self.settled.d.next = settled;
            self.settled_event.d.next = settling.decoded;
        }
        let mut write_enable = writing | self.sweeping.q.val();
        let mut write_address = if self.sweeping.q.val() {
            self.sweep_flow.q.val()
        } else {
            writing_flow
        };
        let mut write_data = if self.sweeping.q.val() {
            Flow::default()
        } else {
            surveyed.live.flow
        };
        for x in 0..self.s_fill.len() {
            dff_setup!(self, clk, exchange_state[x], evicted_flow[x]);
            let fill = self.s_fill[x].data.val();
            let progress = self.exchange_state[x].q.val();
            let offers = self.s_fill[x].valid.val() & !self.sweeping.q.val();
            let takes = puts(progress, !writing);
            self.carried.forget.next = takes;
            self.carried.forgotten.next = fill.slot;
            self.exchange_state[x].d.next =
                advanced(progress, asks(progress, offers & !stays & !offered), takes);
            if takes {
                write_enable = true;
                write_address = fill.slot;
                // What its peer reported is not kept outside: it comes again.
                write_data = Flow {
                    sacked: false,
                    ..fill.state.flow
                };
            }
        }
        self.states.write_enable.next = write_enable;
        self.states.write_address.next = write_address;
        self.states.write_data.next = write_data;

        // The intervals, and their exchange.
        let moves_slots = writing & surveyed.moves_slots;
        let mut writes_slots = moves_slots;
        let mut slots_address = writing_flow;
        let mut slots_data = surveyed.slots;
        for x in 0..self.s_fill.len() {
            dff_setup!(self, clk, exchange_slots[x], evicted_slots[x]);
            let fill = self.s_fill[x].data.val();
            let progress = self.exchange_slots[x].q.val();
            let takes = puts(progress, !moves_slots);
            self.exchange_slots[x].d.next = advanced(
                progress,
                asks(
                    progress,
                    self.s_fill[x].valid.val() & !self.work_valid.q.val(),
                ),
                takes,
            );
            if progress.asked {
                self.evicted_slots[x].d.next = slots;
            }
            if takes {
                writes_slots = true;
                slots_address = fill.slot;
                slots_data = fill.state.slots;
            }
        }
        for b in 0..self.slots.len() {
            self.slots[b].write.next = writes_slots;
            self.slots[b].at.next = slots_address;
            self.slots[b].data.next = slots_data;
        }
        for b in 0..self.board.len() {
            self.board[b].write.next = writing & surveyed.moves_board;
            self.board[b].at.next = writing_flow;
            self.board[b].data.next = surveyed.board;
        }
        self.written_valid.d.next = writing;
        if writing {
            self.written.d.next = surveyed.live.flow;
            self.written_flow.d.next = writing_flow;
        }

        // Survey, draft, announce.
        self.announcer.valid.next = self.settled_valid.q.val();
        self.announcer.decoded.next = self.settled_event.q.val();
        self.announcer.settled.next = surveyed;
        self.announcer.now.next = self.now.val();
        StreamSource::<Outcome>::link(&mut self.m, &mut self.announcer.m);
        self.count_rx.next = self.announcer.count_rx.val();
        self.count_tx.next = self.announcer.count_tx.val();
        self.count_hc.next = self.announcer.count_hc.val();
        self.count_cmd.next = self.announcer.count_cmd.val();
        self.count_fast_retransmit.next = self.announcer.count_fast_retransmit.val();
        self.count_stale.next = self.announcer.count_stale.val();
        for x in 0..self.s_fill.len() {
            let fill = self.s_fill[x].data.val();
            let state = self.exchange_state[x].q.val();
            let slots = self.exchange_slots[x].q.val();
            if state.asked {
                self.evicted_flow[x].d.next = self.states.read_data.val();
            }
            self.announcer.offers[x].next = self.s_fill[x].valid.val();
            self.announcer.slot[x].next = fill.slot;
            self.announcer.fill[x].next = fill.state.edge;
            let complete = state.put & self.announcer.put[x].val() & slots.put;
            self.announcer.exchanged[x].next = complete;
            self.s_fill[x].ready.next = complete;
            self.victim[x].next = Stored {
                flow: self.evicted_flow[x].q.val(),
                edge: self.announcer.evicted[x].val(),
                slots: self.evicted_slots[x].q.val(),
            };
            if complete | self.rst.val() {
                self.exchange_state[x].d.next = Progress::default();
                self.exchange_slots[x].d.next = Progress::default();
            }
        }

        // The sweep after reset.
        if self.sweeping.q.val() {
            self.sweep_flow.d.next = self.sweep_flow.q.val() + bits::<16>(1);
            if self.sweep_flow.q.val() == bits::<16>((self._connections - 1) as u64) {
                self.sweeping.d.next = false;
            }
        }

        let mut banks: Bit = true;
        for b in 0..self.slots.len() {
            banks = banks & self.slots[b].idle.val();
        }
        for b in 0..self.board.len() {
            banks = banks & self.board[b].idle.val();
        }
        self.idle.next = !self.held_valid.q.val()
            & !self.read_valid.q.val()
            & !self.decoded_valid.q.val()
            & !self.work_valid.q.val()
            & !self.judge_valid.q.val()
            & !self.measure_valid.q.val()
            & !self.settle_valid.q.val()
            & !self.settled_valid.q.val()
            & !self.written_valid.q.val()
            & banks
            & self.announcer.idle.val()
            & !self.sweeping.q.val();

        if self.rst.val() {
            self.held_valid.d.next = false;
            self.read_valid.d.next = false;
            self.decoded_valid.d.next = false;
            self.work_valid.d.next = false;
            self.judge_valid.d.next = false;
            self.measure_valid.d.next = false;
            self.settle_valid.d.next = false;
            self.settled_valid.d.next = false;
            self.written_valid.d.next = false;
            self.sweeping.d.next = true;
            self.sweep_flow.d.next = bits::<16>(0);
        }
    }
}
