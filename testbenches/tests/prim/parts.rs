//! Arithmetic parts, arbiter, assertion.

use crate::lockstep::{Lockstep, lockstep};
use hallux_hdl::emit::{Options, emit};
use hallux_hdl::prelude::*;
use hallux_testbenches::Bench;

#[derive(LogicBlock)]
struct Parts {
    pub clk: Signal<In, Clock>,
    pub rst: Signal<In, Bit>,
    pub data: Signal<In, Bits<512>>,
    pub keep: Signal<In, Bits<64>>,
    pub bytes: Signal<In, Bits<6>>,
    pub enable: Signal<In, Bit>,
    pub request: Signal<In, Bits<16>>,
    pub sum: Signal<Out, Bits<21>>,
    pub right: Signal<Out, Bits<512>>,
    pub left: Signal<Out, Bits<512>>,
    pub held: Signal<Out, Bits<512>>,
    pub crc: Signal<Out, Bits<32>>,
    pub grant: Signal<Out, Bits<16>>,
    pub index: Signal<Out, Bits<4>>,
    pub granted: Signal<Out, Bit>,
    checksum: ChecksumBeat512,
    rotator: ByteRotator<512, 6>,
    hash: Crc32<96>,
    arbiter: RoundRobin,
}

impl Logic for Parts {
    #[hdl]
    fn update(&mut self) {
        self.checksum.clk.next = self.clk.val();
        self.checksum.data.next = self.data.val();
        self.checksum.keep.next = self.keep.val();
        self.sum.next = self.checksum.sum.val();
        self.right.next = rotate_right::<512, 6>(self.data.val(), self.bytes.val());
        self.left.next = rotate_left::<512, 6>(self.data.val(), self.bytes.val());
        self.rotator.clk.next = self.clk.val();
        self.rotator.enable.next = self.enable.val();
        self.rotator.data.next = self.data.val();
        self.rotator.bytes.next = self.bytes.val();
        self.held.next = self.rotator.rotated.val();
        self.hash.key.next = self.data.val().get_bits::<96>(32);
        self.crc.next = self.hash.crc.val();
        self.arbiter.clk.next = self.clk.val();
        self.arbiter.rst.next = self.rst.val();
        self.arbiter.request.next = self.request.val();
        self.arbiter.advance.next = self.enable.val();
        self.grant.next = self.arbiter.grant.val();
        self.index.next = self.arbiter.index.val();
        self.granted.next = self.arbiter.granted.val();
    }
}

fn parts() -> Parts {
    Parts {
        clk: Default::default(),
        rst: Default::default(),
        data: Default::default(),
        keep: Default::default(),
        bytes: Default::default(),
        enable: Default::default(),
        request: Default::default(),
        sum: Default::default(),
        right: Default::default(),
        left: Default::default(),
        held: Default::default(),
        crc: Default::default(),
        grant: Default::default(),
        index: Default::default(),
        granted: Default::default(),
        checksum: Default::default(),
        rotator: Default::default(),
        hash: Default::default(),
        arbiter: RoundRobin::new(11),
    }
}

#[test]
fn rtl_follows_rust() {
    lockstep(Lockstep {
        block: parts(),
        name: "parts",
        cycles: 400,
        drive: |block, random, reset| {
            block.rst.next = reset;
            block.data.next = random.value();
            block.keep.next = random.value();
            block.bytes.next = random.value();
            block.enable.next = reset || random.chance(70);
            block.request.next = random.value();
        },
        clock: |block, level| block.clk.next = level.into(),
        compare: |_, _| true,
    });
}

#[test]
fn results_are_what_they_are_called() {
    let design = emit(&parts(), &Options::new("bench", "parts")).expect("emits");
    let mut bench = Bench::new(&design);
    bench.reset();
    // RFC 1071 §3: 0001 f203 f4f5 f6f7 sum to 2ddf0.
    bench.poke(
        "data",
        u64::from_le_bytes([0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7]),
    );
    bench.poke("keep", 0xff);
    bench.poke("bytes", 2);
    assert_eq!(bench.peek("right").slice(0, 32), 0xf5f4_03f2_u64);
    assert_eq!(bench.peek("left").slice(16, 16), 0x0100_u64);
    bench.run(2);
    assert_eq!(bench.peek("sum"), 0x2_ddf0_u64);
    // Everybody asks, and the grant is used: each of 11 in turn.
    bench.poke("request", 0xffff);
    bench.poke("enable", 1);
    for turn in 0..22 {
        assert_eq!(bench.peek("index"), turn % 11);
        assert_eq!(bench.peek("grant"), 1 << (turn % 11));
        bench.cycle();
    }
    // Nothing moves while the grant is not used.
    bench.poke("enable", 0);
    bench.run(3);
    assert_eq!(bench.peek("index"), 0);
}

#[derive(LogicBlock)]
struct Guarded {
    pub clk: Signal<In, Clock>,
    pub rst: Signal<In, Bit>,
    pub level: Signal<In, Bits<8>>,
    below: Assert,
}

impl Logic for Guarded {
    #[hdl]
    fn update(&mut self) {
        self.below.clk.next = self.clk.val();
        self.below.holds.next = self.rst.val() | (self.level.val() < 200);
    }
}

#[test]
fn assertions_stop_the_simulation_with_their_message() {
    let block = Guarded {
        clk: Default::default(),
        rst: Default::default(),
        level: Default::default(),
        below: Assert::new("level stays below 200"),
    };
    let design = emit(&block, &Options::new("bench", "guarded")).expect("emits");
    let mut bench = Bench::new(&design);
    bench.reset();
    bench.poke("level", 199);
    assert!(bench.try_cycle().is_ok());
    bench.poke("level", 200);
    let error = bench.try_cycle().expect_err("the assertion is violated");
    assert!(
        error.to_string().contains("level stays below 200"),
        "{error}"
    );
}
