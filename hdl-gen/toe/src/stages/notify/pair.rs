//! Pair: records that lie side by side leave in one write.
//!
//! ```text
//!       ┌───────┐ next         ┌────────────────┐   ┌──────┐
//!  s ──►│ queue ├──┬──────────►│                │──►│ emit │─► m
//!       └───────┘  │ ┌───────┐ │ StreamRegister │   └──────┘
//!                  └►│ first ├►│                │
//!                    └───────┘ └────────────────┘
//! ```
//!
//! A record of 32 bytes costs the PCIe link as much for headers and framing as for itself.
//! One at an address of which 64 is a factor therefore waits for its neighbour, up to
//! `patience` clocks, and as long as the upstream queue does not take it anyway; when another
//! record, an interrupt or the end of its patience comes first, it leaves alone. A record
//! that raises an interrupt never waits. Order is kept; an interrupt follows its record
//! (contract O7).
//!
//! Initiation interval: one record a clock. Latency from `s` to `m`: 2 clocks; 3 and what it
//! waits for a record that waits.

use crate::channels::{UP_MSIX, UP_WRITE, Up};
use hallux_hdl::prelude::*;

/// Records that may wait for the upstream queue.
const POSTINGS: usize = 8;
/// Places that are left when the queue says that it is almost full.
const MARGIN: usize = 3;

/// A record, an interrupt, or a record and its interrupt.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Posting {
    /// Write the record.
    pub write: Bit,
    /// Raise the interrupt (behind the record).
    pub interrupt: Bit,
    /// MSI-X vector: the context.
    pub vector: Bits<8>,
    /// Bus address of the record.
    pub address: Bits<64>,
    /// The record.
    pub record: Bits<256>,
}

/// What leaves together: up to two records, and an interrupt behind them.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Bundle {
    /// Write the record.
    pub write: Bit,
    /// There are two of them.
    pub two: Bit,
    /// Raise the interrupt.
    pub interrupt: Bit,
    /// MSI-X vector.
    pub vector: Bits<8>,
    /// Bus address of the first record.
    pub address: Bits<64>,
    /// The records.
    pub records: Bits<512>,
}

/// See the [module](self).
#[derive(LogicBlock, Default)]
pub struct Pair<const N: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high.
    pub rst: Signal<In, Bit>,
    /// Records and interrupts.
    pub s: StreamSink<Posting>,
    /// At most three more fit.
    pub almost_full: Signal<Out, Bit>,
    /// Write requests and interrupts.
    pub m: StreamSource<Up<N>>,
    /// Pulse: an interrupt is raised.
    pub interrupts: Signal<Out, Bit>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    queue: Fifo<Posting>,
    first: DFF<Posting>,
    first_valid: DFF<Bit>,
    /// Clocks that the first record still waits.
    patience: DFF<Bits<4>>,
    out: StreamRegister<Bundle>,
    /// What of the bundle is next: its first beat, its second, its interrupt.
    step: DFF<Bits<2>>,
    _patience: u64,
}

impl<const N: usize> Pair<N> {
    /// Records wait up to `patience` clocks, at most 15; 0: all leave alone.
    pub fn new(patience: u64) -> Self {
        Self {
            queue: Fifo::new(POSTINGS)
                .with_almost_full(MARGIN)
                .with_output(FifoOutput::Forward),
            _patience: patience,
            ..Self::default()
        }
    }
}

/// A posting by itself.
#[hdl_fn]
fn alone(posting: Posting) -> Bundle {
    Bundle {
        write: posting.write,
        two: false,
        interrupt: posting.interrupt,
        vector: posting.vector,
        address: posting.address,
        records: bit_cast::<512, 256>(posting.record),
    }
}

/// The record's neighbour may follow.
#[hdl_fn]
fn waits(posting: Posting) -> Bit {
    posting.write & !posting.interrupt & !posting.address.get_bit(5)
}

impl<const N: usize> Logic for Pair<N> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, first, first_valid, patience, step);
        self.queue.clk.next = self.clk.val();
        self.queue.rst.next = self.rst.val();
        self.out.clk.next = self.clk.val();
        self.out.rst.next = self.rst.val();
        StreamSink::<Posting>::link(&mut self.s, &mut self.queue.s);
        self.almost_full.next = self.queue.almost_full.val();

        // Pair.
        let next = self.queue.m.data.val();
        let arrives = self.queue.m.valid.val();
        let mut opens = false;
        if self._patience > 0 {
            opens = arrives & waits(next);
        }
        let first = self.first.q.val();
        let holds = self.first_valid.q.val();
        let fits = self.out.s.ready.val();
        let beside = first.address.get_bits::<58>(6) == next.address.get_bits::<58>(6);
        let pairs = holds & arrives & next.write & next.address.get_bit(5) & beside;
        let gives_up = holds & !pairs & (arrives | !self.patience.q.val().any());
        let passes = !holds & arrives & !opens;
        self.out.s.valid.next = pairs | gives_up | passes;
        let mut bundle = alone(if holds { first } else { next });
        if pairs {
            bundle.two = true;
            bundle.interrupt = next.interrupt;
            bundle.records = cat::<256, 256, 512>(next.record, first.record);
        }
        self.out.s.data.next = bundle;
        let moves = fits & (pairs | gives_up);
        let loads = opens & (!holds | (moves & !pairs));
        self.queue.m.ready.next = loads | (fits & (pairs | passes));
        if loads {
            self.first.d.next = next;
            self.patience.d.next = bits::<4>(self._patience);
        } else if holds & self.patience.q.val().any() {
            self.patience.d.next = self.patience.q.val() - bits::<4>(1);
        }
        self.first_valid.d.next = loads | (holds & !moves);

        // Emit: on a bus of 256 bits two records are two beats.
        let leaving = self.out.m.data.val();
        let step = self.step.q.val();
        let message = !leaving.write | (step == bits::<2>(2));
        let second = step == bits::<2>(1);
        let mut more = false;
        if N < 512 {
            more = leaving.two & !second;
        }
        let ends = message | (!more & !leaving.interrupt);
        let go = self.out.m.valid.val() & self.m.ready.val();
        let records = if message {
            bits::<512>(0)
        } else if second {
            leaving.records >> 256
        } else {
            leaving.records
        };
        self.m.valid.next = self.out.m.valid.val();
        self.m.data.next = Up::<N> {
            kind: if message {
                bits::<2>(UP_MSIX)
            } else {
                bits::<2>(UP_WRITE)
            },
            address: if message {
                bits::<64>(0)
            } else {
                leaving.address
            },
            bytes: if message {
                bits::<13>(0)
            } else if leaving.two {
                bits::<13>(64)
            } else {
                bits::<13>(32)
            },
            tag: bits::<8>(0),
            vector: leaving.vector,
            data: bit_cast::<N, 512>(records),
            last: message | !more,
        };
        self.out.m.ready.next = self.m.ready.val() & ends;
        if go {
            self.step.d.next = if ends {
                bits::<2>(0)
            } else if more {
                bits::<2>(1)
            } else {
                bits::<2>(2)
            };
        }
        self.interrupts.next = go & message;
        self.idle.next = !self.queue.level.val().any() & !holds & !self.out.m.valid.val();

        if self.rst.val() {
            self.first_valid.d.next = false;
            self.step.d.next = bits::<2>(0);
        }
    }
}
