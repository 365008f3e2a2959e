//! The language of `docs/hdl.md` in use: blocks in a vector, channels, primitives. What
//! the RTL computes is held against Rust in `testbenches/tests/prim`.
#![allow(missing_docs)]

use hallux_hdl::emit::{Design, Options, emit};
use hallux_hdl::prelude::*;

#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Summary {
    pub flow: Bits<16>,
    pub seq: Bits<32>,
    pub last: Bit,
}

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum State {
    Idle,
    Busy,
    Done,
}

#[hdl_fn]
fn seq_lt(a: Bits<32>, b: Bits<32>) -> Bit {
    (a - b).get_bit(31)
}

#[hdl_fn]
fn clamp<const N: usize>(x: Bits<N>, limit: Bits<N>) -> Bits<N> {
    let over = x > limit;
    if over { limit } else { x }
}

#[derive(LogicBlock, Default)]
pub struct Stage {
    pub clk: Signal<In, Clock>,
    pub rst: Signal<In, Bit>,
    pub s: StreamSink<Summary>,
    pub m: StreamSource<Summary>,
    pub level: Signal<Out, Bits<8>>,
    full: DFF<Bit>,
    held: DFF<Summary>,
    state: DFF<State>,
    lane: [DFF<Bits<8>>; 4],
    next_seq: Signal<Local, Bits<32>>,
}

impl Logic for Stage {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, full, held, state);
        self.m.data.next = self.held.q.val();
        self.m.valid.next = self.full.q.val();
        let free = !self.full.q.val() | self.m.ready.val();
        let sum = self.s.data.val().seq + bits::<32>(1);
        self.s.ready.next = free;
        if free & self.s.valid.val() {
            self.held.d.next = self.s.data.val();
            self.held.d.next.seq = sum;
            self.full.d.next = true;
        } else if free {
            self.full.d.next = false;
        }
        let x = if self.full.q.val() {
            sum
        } else {
            bits::<32>(0)
        };
        self.next_seq.next = x;
        match self.state.q.val() {
            State::Idle => {
                if self.s.valid.val() {
                    self.state.d.next = State::Busy;
                }
            }
            State::Busy => {
                if seq_lt(self.next_seq.val(), self.held.q.val().seq) {
                    self.state.d.next = State::Done;
                }
            }
            State::Done => self.state.d.next = State::Idle,
        }
        for i in 0..4 {
            dff_setup!(self, clk, lane[i]);
            let part = self.s.data.val().seq.get_bits::<8>(8 * i);
            self.lane[i].d.next = clamp::<8>(part, bits::<8>(100));
        }
        self.level.next = self.lane[0].q.val() ^ self.lane[1].q.val();
        let mut total = self.lane[2].q.val();
        for i in 0..2 {
            if self.next_seq.val().get_bit(i) {
                total = total + self.lane[i].q.val();
            }
        }
        if total == 7 {
            self.level.next = total;
        }
        if self.rst.val() {
            self.full.d.next = false;
            self.state.d.next = State::Idle;
        }
    }
}

#[derive(LogicBlock)]
pub struct Chain {
    pub clk: Signal<In, Clock>,
    pub rst: Signal<In, Bit>,
    pub s: StreamSink<Summary>,
    pub m: StreamSource<Summary>,
    stage: Vec<Stage>,
}

impl Chain {
    fn new(stages: usize) -> Self {
        Self {
            clk: Signal::default(),
            rst: Signal::default(),
            s: StreamSink::default(),
            m: StreamSource::default(),
            stage: (0..stages).map(|_| Stage::default()).collect(),
        }
    }
}

impl Logic for Chain {
    #[hdl]
    fn update(&mut self) {
        let last = self.stage.len() - 1;
        for i in 0..self.stage.len() {
            self.stage[i].clk.next = self.clk.val();
            self.stage[i].rst.next = self.rst.val();
        }
        StreamSink::link(&mut self.s, &mut self.stage[0].s);
        StreamSource::link(&mut self.m, &mut self.stage[last].m);
        for i in 1..self.stage.len() {
            join_streams!(self.stage[i - 1].m, self.stage[i].s);
        }
    }
}

fn modules(design: &Design) -> Vec<String> {
    let modules = design.manifest.modules.iter();
    modules.map(|module| module.name.clone()).collect()
}

#[test]
fn equal_blocks_share_a_module() {
    let mut chain = Chain::new(3);
    chain.connect_all();
    let design = match emit(&chain, &Options::new("test", "chain")) {
        Ok(design) => design,
        Err(errors) => panic!("{errors}"),
    };
    assert_eq!(modules(&design), ["chain", "stage"]);
    let top = design.manifest.top_module().unwrap();
    assert_eq!(top.instances.len(), 3);
    assert!(
        top.instances
            .iter()
            .all(|instance| instance.module == "stage")
    );
    let seq = &top.ports[2].fields[1];
    assert_eq!((seq.name.as_str(), seq.offset, seq.width), ("seq", 16, 32));
}

#[derive(LogicBlock)]
pub struct Parts {
    pub clk: Signal<In, Clock>,
    pub rst: Signal<In, Bit>,
    pub s: StreamSink<Summary>,
    pub m: StreamSource<Summary>,
    pub seen: Signal<Out, Bits<32>>,
    queue: Fifo<Summary>,
    tail: Fifo<Summary>,
    slice: StreamRegister<Summary>,
    table: Ram<Summary, 10>,
}

impl Logic for Parts {
    #[hdl]
    fn update(&mut self) {
        self.queue.clk.next = self.clk.val();
        self.queue.rst.next = self.rst.val();
        self.tail.clk.next = self.clk.val();
        self.tail.rst.next = self.rst.val();
        self.slice.clk.next = self.clk.val();
        self.slice.rst.next = self.rst.val();
        self.s.link(&mut self.slice.s);
        self.slice.m.join(&mut self.queue.s);
        self.queue.m.join(&mut self.tail.s);
        self.m.link(&mut self.tail.m);
        self.table.clk.next = self.clk.val();
        self.table.write_enable.next = self.s.valid.val();
        self.table.write_address.next = bit_cast::<10, 16>(self.s.data.val().flow);
        self.table.write_data.next = Summary {
            seq: self.s.data.val().seq + 1,
            ..self.s.data.val()
        };
        self.table.read_address.next = bit_cast::<10, 16>(self.s.data.val().flow);
        self.seen.next = self.table.read_data.val().seq;
    }
}

#[test]
fn sizes_stand_in_module_names() {
    let parts = Parts {
        clk: Default::default(),
        rst: Default::default(),
        s: Default::default(),
        m: Default::default(),
        seen: Default::default(),
        queue: Fifo::new(512).with_almost_full(8),
        tail: Fifo::new(2),
        slice: Default::default(),
        table: Ram::zeroed(512),
    };
    let design = match emit(&parts, &Options::new("test", "parts")) {
        Ok(design) => design,
        Err(errors) => panic!("{errors}"),
    };
    assert_eq!(
        modules(&design),
        [
            "fifo_49x2",
            "fifo_49x512_margin_8",
            "parts",
            "ram_49x512_zeroed",
            "stream_register"
        ]
    );
    let ram = design.manifest.module("ram_49x512_zeroed").unwrap();
    assert_eq!((ram.memories[0].words, ram.memories[0].bits), (512, 49));
}

#[derive(LogicBlock)]
pub struct More {
    pub clk: Signal<In, Clock>,
    pub rst: Signal<In, Bit>,
    pub s: StreamSink<Summary>,
    pub m: StreamSource<Summary>,
    pub data: Signal<In, Bits<512>>,
    pub keep: Signal<In, Bits<64>>,
    pub sum: Signal<Out, Bits<16>>,
    pub rotated: Signal<Out, Bits<512>>,
    pub hash: Signal<Out, Bits<32>>,
    pub grant: Signal<Out, Bits<4>>,
    reorder: Reorder<Summary>,
    file: RegisterFile<Summary, 5>,
    arbiter: RoundRobin,
    checksum: ChecksumBeat512,
    rotator: ByteRotator<512, 6>,
    crc: Crc32<96>,
    never: Assert,
}

impl Logic for More {
    #[hdl]
    fn update(&mut self) {
        self.reorder.clk.next = self.clk.val();
        self.reorder.rst.next = self.rst.val();
        self.s.link(&mut self.reorder.s);
        self.m.link(&mut self.reorder.m);
        self.reorder.ticket.next = self.s.data.val().flow;
        self.reorder.skip.next = self.s.data.val().last;
        self.file.clk.next = self.clk.val();
        self.file.write_enable.next = self.s.valid.val();
        self.file.write_address.next = self.data.val().get_bits::<5>(0);
        self.file.read_address.next = self.data.val().get_bits::<5>(5);
        self.file.write_data.next = unpack::<Summary, 49>(self.data.val().get_bits::<49>(3));
        self.arbiter.clk.next = self.clk.val();
        self.arbiter.rst.next = self.rst.val();
        self.arbiter.request.next = self.data.val().get_bits::<16>(100);
        self.arbiter.advance.next = self.m.ready.val();
        self.grant.next = self.arbiter.index.val();
        self.checksum.clk.next = self.clk.val();
        self.checksum.data.next = self.data.val();
        self.checksum.keep.next = self.keep.val();
        self.sum.next = bit_cast::<16, 21>(self.checksum.sum.val());
        self.rotator.clk.next = self.clk.val();
        self.rotator.enable.next = self.arbiter.granted.val();
        self.rotator.data.next = self.data.val();
        self.rotator.bytes.next = self.keep.val().get_bits::<6>(0);
        self.rotated.next =
            rotate_left::<512, 6>(self.rotator.rotated.val(), self.keep.val().get_bits::<6>(6));
        self.crc.key.next = self.data.val().get_bits::<96>(0);
        self.hash.next = self.crc.crc.val() ^ self.file.read_data.val().seq;
        self.never.clk.next = self.clk.val();
        self.never.holds.next = self.rst.val() | (self.sum.val() != bits::<16>(0xffff));
    }
}

#[test]
fn all_primitives_emit() {
    let more = More {
        clk: Default::default(),
        rst: Default::default(),
        s: Default::default(),
        m: Default::default(),
        data: Default::default(),
        keep: Default::default(),
        sum: Default::default(),
        rotated: Default::default(),
        hash: Default::default(),
        grant: Default::default(),
        reorder: Reorder::new(64),
        file: RegisterFile::new(32),
        arbiter: RoundRobin::new(5),
        checksum: Default::default(),
        rotator: Default::default(),
        crc: Default::default(),
        never: Assert::new("sum is never all ones"),
    };
    let design = match emit(&more, &Options::new("test", "more")) {
        Ok(design) => design,
        Err(errors) => panic!("{errors}"),
    };
    let names = modules(&design);
    assert!(
        names.contains(&"register_file_49x32".to_string()),
        "{names:?}"
    );
    // The fields of a memory's words are those of its Rust type.
    let file = design.manifest.module("register_file_49x32").unwrap();
    assert_eq!(file.ports[3].fields.len(), 3);
}
