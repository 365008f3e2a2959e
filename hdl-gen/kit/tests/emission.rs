//! What the RTL looks like, and how it is written to disk.
#![allow(missing_docs)]

use hallux_hdl::emit::{Design, Options, emit};
use hallux_hdl::prelude::*;

#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Segment {
    pub flow: Bits<16>,
    pub seq: Bits<32>,
    pub last: Bit,
}

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum Mode {
    Idle,
    Counting,
    Full,
}

/// Counts segments up to a limit.
#[derive(LogicBlock, Default)]
pub struct Counter {
    pub clk: Signal<In, Clock>,
    pub rst: Signal<In, Bit>,
    pub s: StreamSink<Segment>,
    pub newest: Signal<Out, Bits<32>>,
    pub ahead: Signal<Out, Bit>,
    mode: DFF<Mode>,
    count: DFF<Bits<4>>,
    held: DFF<Segment>,
}

#[hdl_fn]
fn seq_lt(a: Bits<32>, b: Bits<32>) -> Bit {
    (a - b).get_bit(31)
}

impl Logic for Counter {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, mode, count, held);
        let segment = self.s.data.val();
        let takes = self.s.valid.val() & (self.mode.q.val() != Mode::Full);
        self.s.ready.next = takes;
        self.newest.next = self.held.q.val().seq;
        self.ahead.next = seq_lt(self.held.q.val().seq, segment.seq);
        if takes {
            self.held.d.next = segment;
            self.held.d.next.flow = segment.flow & 0xff;
        }
        match self.mode.q.val() {
            Mode::Idle => {
                if takes {
                    self.mode.d.next = Mode::Counting;
                }
            }
            Mode::Counting => {
                self.count.d.next = self.count.q.val() + 1;
                if self.count.q.val().all() | segment.last {
                    self.mode.d.next = Mode::Full;
                }
            }
            Mode::Full => {}
        }
        if self.rst.val() {
            self.mode.d.next = Mode::Idle;
            self.count.d.next = bits::<4>(0);
        }
    }
}

fn counter() -> Design {
    match emit(&Counter::default(), &Options::new("example", "counter")) {
        Ok(design) => design,
        Err(errors) => panic!("{errors}"),
    }
}

#[test]
fn a_block_reads_like_its_source() {
    let design = counter();
    assert_eq!(design.files.len(), 1);
    insta::assert_snapshot!(design.files[0].text);
}

#[test]
fn equal_designs_give_equal_bytes() {
    // Signals live at other addresses in another instance.
    let first = counter();
    let others: Vec<Design> = (0..3).map(|_| counter()).collect();
    assert!(others.iter().all(|other| *other == first));
}

#[test]
fn a_directory_follows_the_design() {
    let dir = tempfile::tempdir().unwrap();
    let rtl = dir.path().join("rtl");
    let design = counter();
    assert_eq!(
        design.differs(&rtl),
        ["counter.sv is missing", "manifest.json is missing"]
    );
    design.write(&rtl).unwrap();
    assert!(design.differs(&rtl).is_empty());

    std::fs::write(rtl.join("old_stage.sv"), "module old_stage; endmodule").unwrap();
    std::fs::write(rtl.join("counter.sv"), "edited").unwrap();
    assert_eq!(
        design.differs(&rtl),
        [
            "counter.sv differs",
            "old_stage.sv does not belong to the design"
        ]
    );
    design.write(&rtl).unwrap();
    assert!(design.differs(&rtl).is_empty());
    assert_eq!(std::fs::read_dir(&rtl).unwrap().count(), 2);
}

#[test]
fn the_manifest_survives_json() {
    let design = counter();
    let text = design.manifest_text();
    let read: hallux_hdl::manifest::Manifest = serde_json::from_str(&text).unwrap();
    assert_eq!(read, design.manifest);
    assert_eq!(read.hash.len(), 64);
}

#[derive(LogicBlock, Default)]
pub struct Wide<const N: usize> {
    pub a: Signal<In, Bits<N>>,
    pub b: Signal<Out, Bits<N>>,
}

impl<const N: usize> Logic for Wide<N> {
    #[hdl]
    fn update(&mut self) {
        self.b.next = !self.a.val();
    }
}

#[derive(LogicBlock, Default)]
pub struct Pair {
    pub a: Signal<In, Bits<12>>,
    pub b: Signal<Out, Bits<12>>,
    narrow: Wide<4>,
    broad: Wide<8>,
}

impl Logic for Pair {
    #[hdl]
    fn update(&mut self) {
        self.narrow.a.next = self.a.val().get_bits::<4>(0);
        self.broad.a.next = self.a.val().get_bits::<8>(4);
        self.b.next = cat::<8, 4, 12>(self.broad.b.val(), self.narrow.b.val());
    }
}

#[test]
fn different_bodies_of_one_type_carry_their_arguments() {
    let design = emit(&Pair::default(), &Options::new("example", "pair")).unwrap();
    let names: Vec<&str> = design.files.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["pair.sv", "wide_4.sv", "wide_8.sv"]);
}

/// Words of two sources, one of them through a register, into a queue.
#[derive(LogicBlock)]
pub struct Junction {
    pub clk: Signal<In, Clock>,
    pub rst: Signal<In, Bit>,
    pub choose: Signal<In, Bit>,
    pub s_fast: StreamSink<Bits<8>>,
    pub s_slow: StreamSink<Bits<8>>,
    pub m: StreamSource<Bits<8>>,
    slow: StreamRegister<Bits<8>>,
    queue: Fifo<Bits<8>>,
    held: DFF<Bits<8>>,
    held_valid: DFF<Bit>,
}

impl Default for Junction {
    fn default() -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            choose: Default::default(),
            s_fast: Default::default(),
            s_slow: Default::default(),
            m: Default::default(),
            slow: Default::default(),
            queue: Fifo::new(4),
            held: Default::default(),
            held_valid: Default::default(),
        }
    }
}

impl Logic for Junction {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, held, held_valid);
        self.slow.clk.next = self.clk.val();
        self.slow.rst.next = self.rst.val();
        self.queue.clk.next = self.clk.val();
        self.queue.rst.next = self.rst.val();
        self.s_slow.link(&mut self.slow.s);
        self.held_valid.d.next = self.slow.m.valid.val();
        self.held.d.next = self.slow.m.data.val();
        self.slow.m.ready.next = true;
        self.queue.s.data.next = if self.choose.val() {
            self.s_fast.data.val()
        } else {
            self.held.q.val() + 1
        };
        self.queue.s.valid.next = self.s_fast.valid.val() | self.held_valid.q.val();
        self.s_fast.ready.next = self.queue.s.ready.val();
        self.m.link(&mut self.queue.m);
    }
}

#[test]
fn the_manifest_says_which_stream_feeds_which() {
    let design = emit(&Junction::default(), &Options::new("example", "junction")).unwrap();
    let top = design.manifest.top_module().unwrap();
    let streams: Vec<String> = top
        .streams
        .iter()
        .map(|stream| format!("{} -> {} [{}]", stream.from, stream.to, stream.width))
        .collect();
    assert_eq!(
        streams,
        [
            "u_queue.m -> m [8]",
            "s_slow -> u_slow.s [8]",
            "s_fast -> u_queue.s [8]",
            "u_slow.m -> u_queue.s [8]",
        ]
    );
}

/// To Verilator, 32 bits that come from comparisons alone are a signed number.
#[test]
fn single_bits_in_32_are_a_choice_whatever_stands_beside_them() {
    use hallux_hdl::rt::{self, Untyped, Wire, WireBlock, WireKind};
    let wire = |name: &str, kind, width: usize| (name.to_string(), Wire::new(kind, width));
    let block = WireBlock {
        wires: vec![
            wire("one", WireKind::Input, 1),
            wire("other", WireKind::Input, 1),
            wire("word", WireKind::Input, 32),
            wire("difference", WireKind::Output, 32),
            wire("sum", WireKind::Output, 32),
        ],
        registers: vec![],
        inner: vec![],
        record: Box::new(|elaborator, block| {
            let [(_, bit), (_, other), (_, word), (_, difference), (_, sum)] = &block.wires[..]
            else {
                unreachable!("five wires");
            };
            let bit = Untyped::read(bit).resize(32);
            let other = Untyped::read(other).resize(32);
            elaborator.drive(difference, rt::sub(bit.clone(), other).into());
            elaborator.drive(sum, rt::add(Untyped::read(word), bit).into());
        }),
    };
    let design = emit(&block, &Options::new("test", "top")).unwrap();
    let text = &design.files[0].text;
    assert!(
        text.contains("assign difference = (one ? 32'd1 : 32'd0) - (other ? 32'd1 : 32'd0);"),
        "{text}"
    );
    assert!(
        text.contains("assign sum = word + (one ? 32'd1 : 32'd0);"),
        "{text}"
    );
}

/// Verilator 5.006 notices too late that a wide value equals itself.
#[test]
fn a_comparison_with_the_same_is_known() {
    use hallux_hdl::rt::{self, Untyped, Wire, WireBlock, WireKind};
    let wire = |name: &str, kind, width: usize| (name.to_string(), Wire::new(kind, width));
    let block = WireBlock {
        wires: vec![
            wire("word", WireKind::Input, 8),
            wire("other", WireKind::Input, 8),
            wire("same", WireKind::Output, 1),
            wire("less", WireKind::Output, 1),
            wire("equal", WireKind::Output, 1),
        ],
        registers: vec![],
        inner: vec![],
        record: Box::new(|elaborator, block| {
            let [(_, word), (_, other), (_, same), (_, less), (_, equal)] = &block.wires[..] else {
                unreachable!("five wires");
            };
            let wide = |wire| Untyped::read(wire).resize(100);
            elaborator.drive(same, rt::eq(wide(word), wide(word)).into());
            elaborator.drive(less, rt::lt(wide(word), wide(word)).into());
            elaborator.drive(equal, rt::eq(wide(word), wide(other)).into());
        }),
    };
    let design = emit(&block, &Options::new("test", "top")).unwrap();
    let text = &design.files[0].text;
    for line in [
        "assign same = 1'b1;",
        "assign less = 1'b0;",
        "assign equal = {92'd0, word} == {92'd0, other};",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}
