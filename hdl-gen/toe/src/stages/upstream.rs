//! Upstream: one ordered queue towards the host.
//!
//! Everything the NIC asks of PCIe leaves through here, in the order of acceptance, so
//! that a record follows the payload it announces, an MSI-X its record, and a read
//! never passes an earlier write (contracts O3, O7).
//!
//! ```text
//!  s_payload ─►┐
//!  s_notify  ─►│ round robin   ┌──────────┐
//!  s_read    ─►│ by request ──►│ register │─► m
//!  s_fetch   ─►│               └──────────┘     (ready of s_fetch from a register)
//!  s_mmio    ─►┘
//! ```
//!
//! A request of several beats keeps the grant until its last beat: requests are never
//! interleaved. The grant rotates behind the input that was served last and moves only
//! when a beat moves. What modules mirror (`s_mirror`, where there are any) takes its turn
//! when none of the five asks. Latency 1 cycle, initiation interval 1.

use crate::channels::{RECORD_BITS, Up};
use crate::stages::turns::Turns;
use hallux_hdl::prelude::*;

/// Number of inputs.
const INPUTS: usize = 5;

/// A request that carries at most a record, on the whole bus.
#[hdl_fn]
fn widen<const N: usize>(request: Up<RECORD_BITS>) -> Up<N> {
    Up::<N> {
        kind: request.kind,
        address: request.address,
        bytes: request.bytes,
        tag: request.tag,
        vector: request.vector,
        data: bit_cast::<N, RECORD_BITS>(request.data),
        last: request.last,
    }
}

/// Merges the requests of five stages into one ordered stream.
#[derive(LogicBlock)]
pub struct Upstream<const N: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high.
    pub rst: Signal<In, Bit>,
    /// Payload writes (payload write).
    pub s_payload: StreamSink<Up<N>>,
    /// Records and interrupts (notify). Their mutual order is kept.
    pub s_notify: StreamSink<Up<N>>,
    /// Payload reads (payload read).
    pub s_read: StreamSink<Up<RECORD_BITS>>,
    /// Descriptor reads and consumed counts (fetch).
    pub s_fetch: StreamSink<Up<RECORD_BITS>>,
    /// Completions of register reads (registers).
    pub s_mmio: StreamSink<Up<RECORD_BITS>>,
    /// What modules mirror; where they do.
    pub s_mirror: Vec<StreamSink<Up<N>>>,
    /// The one queue.
    pub m: StreamSource<Up<N>>,
    /// Nothing is held and no request is half through.
    pub idle: Signal<Out, Bit>,
    out: StreamRegister<Up<N>>,
    /// The one input whose stage has no register at its end.
    fetches: StreamRegister<Up<RECORD_BITS>>,
    turns: Turns,
    /// A request of `s_mirror` has begun and not ended.
    mirrors: Vec<DFF<Bit>>,
}

impl<const N: usize> Upstream<N> {
    /// With an input for what modules mirror if they do.
    pub fn new(mirrors: bool) -> Self {
        let mirrors = usize::from(mirrors);
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s_payload: Default::default(),
            s_notify: Default::default(),
            s_read: Default::default(),
            s_fetch: Default::default(),
            s_mmio: Default::default(),
            s_mirror: (0..mirrors).map(|_| Default::default()).collect(),
            m: Default::default(),
            idle: Default::default(),
            out: Default::default(),
            fetches: StreamRegister::new(RegisterMode::Ready),
            turns: Turns::new(INPUTS),
            mirrors: (0..mirrors).map(|_| Default::default()).collect(),
        }
    }
}

impl<const N: usize> Default for Upstream<N> {
    fn default() -> Self {
        Self::new(false)
    }
}

impl<const N: usize> Logic for Upstream<N> {
    #[hdl]
    fn update(&mut self) {
        self.out.clk.next = self.clk.val();
        self.out.rst.next = self.rst.val();
        self.fetches.clk.next = self.clk.val();
        self.fetches.rst.next = self.rst.val();
        join_streams!(self.s_fetch, self.fetches.s);
        self.m.data.next = self.out.m.data.val();
        self.m.valid.next = self.out.m.valid.val();
        self.out.m.ready.next = self.m.ready.val();

        let valid = [
            self.s_payload.valid.val(),
            self.s_notify.valid.val(),
            self.s_read.valid.val(),
            self.fetches.m.valid.val(),
            self.s_mmio.valid.val(),
        ];
        let mut request = bits::<16>(0);
        for i in 0..INPUTS {
            request.set_bits::<1>(i, bit(valid[i]));
        }
        self.turns.clk.next = self.clk.val();
        self.turns.rst.next = self.rst.val();
        self.turns.request.next = request;
        let turn = self.turns.turn.val();
        let held = self.turns.held.val();
        let picked = request & turn;
        let offered = picked.any();
        let mut beat = self.s_payload.data.val();
        if picked.get_bit(1) {
            beat = self.s_notify.data.val();
        }
        if picked.get_bit(2) {
            beat = widen::<N>(self.s_read.data.val());
        }
        if picked.get_bit(3) {
            beat = widen::<N>(self.fetches.m.data.val());
        }
        if picked.get_bit(4) {
            beat = widen::<N>(self.s_mmio.data.val());
        }
        let free = self.out.s.ready.val();
        self.out.s.data.next = beat;
        self.out.s.valid.next = offered;
        self.s_payload.ready.next = free & turn.get_bit(0);
        self.s_notify.ready.next = free & turn.get_bit(1);
        self.s_read.ready.next = free & turn.get_bit(2);
        self.fetches.m.ready.next = free & turn.get_bit(3);
        self.s_mmio.ready.next = free & turn.get_bit(4);
        self.turns.moves.next = offered & free;
        self.turns.ends.next = beat.last;
        self.idle.next = !held & !self.out.m.valid.val() & !self.fetches.m.valid.val();
        for i in 0..self.s_mirror.len() {
            // Between requests of the five, and then to its end.
            dff_setup!(self, clk, mirrors[i]);
            let begun = self.mirrors[i].q.val();
            let mirrored = self.s_mirror[i].data.val();
            let asks = self.s_mirror[i].valid.val();
            let aside = begun | (!offered & !held);
            self.s_mirror[i].ready.next = free & aside;
            if aside {
                self.out.s.data.next = mirrored;
                self.out.s.valid.next = asks;
            }
            if aside & asks & free {
                self.mirrors[i].d.next = !mirrored.last;
            }
            if begun {
                self.s_payload.ready.next = false;
                self.s_notify.ready.next = false;
                self.s_read.ready.next = false;
                self.fetches.m.ready.next = false;
                self.s_mmio.ready.next = false;
                self.turns.moves.next = false;
                self.idle.next = false;
            }
            if self.rst.val() {
                self.mirrors[i].d.next = false;
            }
        }
    }
}
