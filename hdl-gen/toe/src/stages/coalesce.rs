//! Coalescing of descriptors: what waits for the arbiter takes up what comes behind it.
//!
//! ```text
//!           ┌──────────── the same flow, open: its bumps are added ─┐
//!           │                                                       ▼
//!  s ───────┴─► FIFO of updates that wait ──► register ──► m     (entry)
//! ```
//!
//! Present with the design key `coalesce`, which is the depth of the queue. Latency 1,
//! initiation interval 1. An update that finds another of its flow and generation in the queue
//! adds its bumps there and is no event of its own, so that however slowly events of one flow
//! are taken, many small sends become few events.
//!
//! What is kept:
//!
//! * Sums of bumps: none is lost, and none is added past what 32 bits hold.
//! * Order: of a flow's entries only the youngest is *open* to additions. One that finishes
//!   the stream, or a raw frame, is never open and never added; it closes what waits of its flow.
//! * Commands: one that waits at the arbiter closes what waits of its flow, so that nothing that
//!   came behind it is added to what came before.
//! * What `m` shows stands: neither it nor the head of the queue, which follows it, is added to.

use crate::channels::{CLASS_FAST, Event, KIND_HC, Sack};
use hallux_hdl::prelude::*;

/// log2 of a bump from which on nothing is added: two that are smaller have a sum.
const LARGE_LOG2: u64 = 30;

/// What waits, without its bumps.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Waiting {
    /// Ticket of the first.
    ticket: Bits<24>,
    flow: Bits<16>,
    generation: Bits<8>,
    class: Bits<2>,
    flags: Bits<8>,
    frame_len: Bits<14>,
    address: Bits<64>,
}

/// See the [module](self).
#[derive(LogicBlock)]
pub struct Coalesce {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high.
    pub rst: Signal<In, Bit>,
    /// Descriptors as they are fetched.
    pub s: StreamSink<Event>,
    /// Descriptors, those that were added up as one.
    pub m: StreamSource<Event>,
    /// A command waits for the arbiter: of that flow.
    pub command: Signal<In, Bit>,
    /// Flow of the command.
    pub command_flow: Signal<In, Bits<16>>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    queue: Fifo<Waiting>,
    rx_bumps: Vec<DFF<Bits<32>>>,
    tx_bumps: Vec<DFF<Bits<32>>>,
    flows: Vec<DFF<Bits<16>>>,
    generations: Vec<DFF<Bits<8>>>,
    /// Additions are allowed.
    open: Vec<DFF<Bit>>,
    head: DFF<Bits<4>>,
    tail: DFF<Bits<4>>,
    shown: DFF<Event>,
    shows: DFF<Bit>,
    _depth: usize,
}

impl Coalesce {
    /// A queue of `depth` updates, a power of two from 4 to 16.
    pub fn new(depth: usize) -> Self {
        assert!(
            depth.is_power_of_two() && (4..=16).contains(&depth),
            "a queue of 4 to 16 updates, a power of two, not {depth}"
        );
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            m: Default::default(),
            command: Default::default(),
            command_flow: Default::default(),
            idle: Default::default(),
            queue: Fifo::new(depth).with_output(FifoOutput::Memory),
            rx_bumps: (0..depth).map(|_| Default::default()).collect(),
            tx_bumps: (0..depth).map(|_| Default::default()).collect(),
            flows: (0..depth).map(|_| Default::default()).collect(),
            generations: (0..depth).map(|_| Default::default()).collect(),
            open: (0..depth).map(|_| Default::default()).collect(),
            head: Default::default(),
            tail: Default::default(),
            shown: Default::default(),
            shows: Default::default(),
            _depth: depth,
        }
    }
}

/// A bump that another may be added to.
#[hdl_fn]
fn is_small(bump: Bits<32>) -> Bit {
    !(bump >> LARGE_LOG2).any()
}

impl Logic for Coalesce {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, head, tail, shown, shows);
        self.queue.clk.next = self.clk.val();
        self.queue.rst.next = self.rst.val();

        // The entry that takes what comes; at most one is open of a flow.
        let comes = self.s.data.val();
        let head = self.head.q.val();
        let tail = self.tail.q.val();
        let adds = (comes.class == bits::<2>(CLASS_FAST))
            & !comes.flags.any()
            & is_small(comes.seq)
            & is_small(comes.ack);
        let command = self.command.val();
        let command_flow = self.command_flow.val();
        let closed = command & (command_flow == comes.flow);
        let mut taken_up = false;
        for i in 0..self._depth {
            let here = self.open[i].q.val()
                & (self.flows[i].q.val() == comes.flow)
                & (self.generations[i].q.val() == comes.generation)
                & (head != bits::<4>(i as u64));
            taken_up = taken_up | here;
        }
        let joins = taken_up & adds & !closed;

        // Into the register where nothing is before it, or else into the queue.
        let waits = self.queue.m.valid.val();
        let free = !self.shows.q.val() | self.m.ready.val();
        let passes = !waits & free;
        let room = self.queue.s.ready.val();
        self.s.ready.next = joins | room;
        let enters = self.s.valid.val() & room & !joins & !passes;
        self.queue.s.valid.next = enters;
        self.queue.s.data.next = Waiting {
            ticket: comes.ticket,
            flow: comes.flow,
            generation: comes.generation,
            class: comes.class,
            flags: comes.flags,
            frame_len: comes.frame_len,
            address: comes.address,
        };
        let last = bits::<4>(self._depth as u64 - 1);
        if enters {
            self.tail.d.next = (tail + bits::<4>(1)) & last;
        }
        let leaves = waits & free;
        self.queue.m.ready.next = free;
        if leaves {
            self.head.d.next = (head + bits::<4>(1)) & last;
        }
        let mut rx_bump = bits::<32>(0);
        let mut tx_bump = bits::<32>(0);
        for i in 0..self._depth {
            dff_setup!(
                self,
                clk,
                rx_bumps[i],
                tx_bumps[i],
                flows[i],
                generations[i],
                open[i]
            );
            let of_flow = self.flows[i].q.val() == comes.flow;
            let here = self.open[i].q.val()
                & of_flow
                & (self.generations[i].q.val() == comes.generation)
                & (head != bits::<4>(i as u64));
            let rx_sum = self.rx_bumps[i].q.val() + comes.seq;
            let tx_sum = self.tx_bumps[i].q.val() + comes.ack;
            if enters & of_flow {
                self.open[i].d.next = false;
            }
            if self.s.valid.val() & adds & !closed & here {
                self.rx_bumps[i].d.next = rx_sum;
                self.tx_bumps[i].d.next = tx_sum;
                self.open[i].d.next = is_small(rx_sum) & is_small(tx_sum);
            }
            if command & (self.flows[i].q.val() == command_flow) {
                self.open[i].d.next = false;
            }
            if enters & (tail == bits::<4>(i as u64)) {
                self.rx_bumps[i].d.next = comes.seq;
                self.tx_bumps[i].d.next = comes.ack;
                self.flows[i].d.next = comes.flow;
                self.generations[i].d.next = comes.generation;
                self.open[i].d.next = adds & !closed;
            }
            if head == bits::<4>(i as u64) {
                rx_bump = self.rx_bumps[i].q.val();
                tx_bump = self.tx_bumps[i].q.val();
            }
            // The head stands, and a place that was left stays closed until it is taken anew.
            if leaves & (head == bits::<4>(i as u64)) {
                self.open[i].d.next = false;
            }
            if self.rst.val() {
                self.open[i].d.next = false;
            }
        }

        let first = self.queue.m.data.val();
        let waited = Event {
            kind: bits::<2>(KIND_HC),
            ticket: first.ticket,
            flow: first.flow,
            generation: first.generation,
            class: first.class,
            flags: first.flags,
            seq: rx_bump,
            ack: tx_bump,
            window: bits::<32>(0),
            ts_val: bits::<32>(0),
            ts_ecr: bits::<32>(0),
            ts_present: false,
            sack: Sack::default(),
            report: false,
            ce: false,
            payload_offset: bits::<8>(0),
            payload_len: bits::<14>(0),
            frame_len: first.frame_len,
            address: first.address,
        };
        if free {
            self.shows.d.next = waits | self.s.valid.val();
        }
        if free & (waits | self.s.valid.val()) {
            self.shown.d.next = if waits { waited } else { comes };
        }
        self.m.valid.next = self.shows.q.val();
        self.m.data.next = self.shown.q.val();
        self.idle.next = !self.shows.q.val() & !waits;
        if self.rst.val() {
            self.head.d.next = bits::<4>(0);
            self.tail.d.next = bits::<4>(0);
            self.shows.d.next = false;
        }
    }
}
