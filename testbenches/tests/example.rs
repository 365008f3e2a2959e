//! How a bench is written: a block in the HDL, its RTL in Verilator, traffic with random
//! stalls, a transfer log. Copy it for a new stage.
//!
//! ```text
//!        ┌──────────────── Numbered ───────────────┐
//!  s ───►│ sequence += 1 ─► Fifo, 8 deep ──────────│───► m
//!        └─────────────────────────────────────────┘
//! ```
#![allow(missing_docs)]

use hallux_hdl::emit::{Options, emit};
use hallux_hdl::prelude::*;
use hallux_testbenches::{Bench, Stalls, fields};

#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Note {
    pub flow: Bits<16>,
    pub sequence: Bits<32>,
}

/// Numbers what passes.
#[derive(LogicBlock)]
pub struct Numbered {
    pub clk: Signal<In, Clock>,
    pub rst: Signal<In, Bit>,
    pub s: StreamSink<Note>,
    pub m: StreamSource<Note>,
    count: DFF<Bits<32>>,
    queue: Fifo<Note>,
}

impl Default for Numbered {
    fn default() -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            m: Default::default(),
            count: Default::default(),
            queue: Fifo::new(8),
        }
    }
}

impl Logic for Numbered {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, count);
        self.queue.clk.next = self.clk.val();
        self.queue.rst.next = self.rst.val();
        self.queue.s.data.next = self.s.data.val();
        self.queue.s.data.next.sequence = self.count.q.val();
        self.queue.s.valid.next = self.s.valid.val();
        self.s.ready.next = self.queue.s.ready.val();
        self.m.data.next = self.queue.m.data.val();
        self.m.valid.next = self.queue.m.valid.val();
        self.queue.m.ready.next = self.m.ready.val();
        if self.s.valid.val() & self.queue.s.ready.val() {
            self.count.d.next = self.count.q.val() + bits::<32>(1);
        }
        if self.rst.val() {
            self.count.d.next = bits::<32>(0);
        }
    }
}

fn bench() -> Bench {
    let options = Options::new("example", "numbered");
    let design = emit(&Numbered::default(), &options).expect("the block is sound");
    Bench::new(&design)
}

#[test]
fn notes_are_numbered_in_order_under_stalls_on_both_sides() {
    for (offered, taken) in [(0, 0), (0, 60), (60, 0), (50, 50)] {
        let mut bench = bench();
        let (s, m) = (bench.driver("s"), bench.monitor("m"));
        bench.stall(s, Stalls::random(offered));
        bench.stall(m, Stalls::random(taken));
        bench.reset();
        for flow in 0..100 {
            bench.send(s, fields! { flow: 7 * flow });
        }
        bench.run_until_received(m, 100, 2000);
        for (number, note) in bench.received(m).iter().enumerate() {
            assert_eq!(note.field("flow"), 7 * number);
            assert_eq!(note.field("sequence"), number);
        }
    }
}

#[test]
fn the_log_shows_latency_and_back_pressure() {
    let mut bench = bench();
    let (s, m) = (bench.driver("s"), bench.monitor("m"));
    bench.stall(m, Stalls::pattern(&[true, true, false]));
    bench.reset();
    for flow in 1..=3 {
        bench.send(s, fields! { flow: flow });
    }
    bench.run_until_received(m, 3, 100);
    insta::assert_snapshot!(bench.log(), @r"
         0 s        flow=1 sequence=0
         1 s        flow=2 sequence=0
         2 s        flow=3 sequence=0
         2 m        flow=1 sequence=0
         5 m        flow=2 sequence=1
         8 m        flow=3 sequence=2
    ");
}
