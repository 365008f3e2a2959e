//! A block as ordinary Rust and as Verilated RTL, side by side.
//!
//! Every cycle the same random inputs go to rust-hdl's simulation of the block and to
//! the model that Verilator built from its RTL; all outputs must agree.

use hallux_hdl::emit::{Options, emit};
use hallux_hdl::prelude::*;
use hallux_hdl::rt::Probe;
use hallux_testbenches::{Bench, Value};
use num_bigint::BigUint;
use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg32;
use rust_hdl_core::atom::{Atom, AtomKind};

/// Random numbers with a liking for small and for large ones.
pub struct Random(Pcg32);

impl Random {
    /// Numbers that repeat with `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Pcg32::seed_from_u64(seed))
    }

    /// 64 random bits.
    pub fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u32) -> u32 {
        self.0.next_u32() % limit
    }

    /// True in `percent` of the cases.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// Any value of `T`.
    pub fn value<T: Flat>(&mut self) -> T {
        let ones = (BigUint::from(1u8) << T::BITS) - 1u8;
        let mut bytes = vec![0; T::BITS.div_ceil(8)];
        self.0.fill_bytes(&mut bytes);
        let any = BigUint::from_bytes_le(&bytes) & &ones;
        let small = &any & BigUint::from(7u8);
        T::from_flat(&match self.below(4) {
            0 => small,
            1 if small <= ones => ones - small,
            _ => any,
        })
    }
}

/// The ports of a block with their present values.
#[derive(Default)]
struct Ports {
    depth: usize,
    path: Vec<String>,
    list: Vec<(String, AtomKind, BigUint)>,
}

impl Ports {
    fn of<B: Block>(block: &B) -> Self {
        let mut ports = Self::default();
        block.accept("", &mut ports);
        ports
    }
}

/// The number in rust-hdl's `12'habc` or `3'b101`.
fn number(text: &str) -> BigUint {
    let (_, digits) = text.split_once('\'').expect("a sized literal");
    let radix = if digits.starts_with('h') { 16 } else { 2 };
    BigUint::parse_bytes(&digits.as_bytes()[1..], radix).expect("digits")
}

impl Probe for Ports {
    fn visit_start_scope(&mut self, _name: &str, _node: &dyn Block) {
        self.depth += 1;
    }
    fn visit_start_namespace(&mut self, name: &str, _node: &dyn Block) {
        self.path.push(name.to_string());
    }
    fn visit_atom(&mut self, name: &str, signal: &dyn Atom) {
        let mut path = self.path.clone();
        path.push(name.replace('$', "_"));
        let clock = signal.descriptor().name == "clock";
        if self.depth == 1 && signal.kind() != AtomKind::LocalSignal && !clock {
            let value = number(&signal.verilog().to_string());
            self.list.push((path.join("_"), signal.kind(), value));
        }
    }
    fn visit_end_namespace(&mut self, _name: &str, _node: &dyn Block) {
        self.path.pop();
    }
    fn visit_end_scope(&mut self, _name: &str, _node: &dyn Block) {
        self.depth -= 1;
    }
}

/// What a test tells about its block.
pub struct Lockstep<B> {
    pub block: B,
    /// Name of the top module.
    pub name: &'static str,
    pub cycles: u64,
    /// Sets all inputs for a cycle; the flag is the reset that the test wants.
    pub drive: fn(&mut B, &mut Random, bool),
    /// Sets the clock, where there is one.
    pub clock: fn(&mut B, bool),
    /// Whether an output means anything in this cycle.
    pub compare: fn(&B, &str) -> bool,
}

fn settle<B: Block>(block: &mut B) {
    assert!(simulate(block, 100), "the Rust model does not settle");
}

/// Runs both and compares every output before every clock edge.
pub fn lockstep<B: Block>(test: Lockstep<B>) {
    let mut block = test.block;
    let design = match emit(&block, &Options::new("bench", test.name)) {
        Ok(design) => design,
        Err(errors) => panic!("{errors}"),
    };
    let mut bench = Bench::new(&design);
    let mut random = Random::new(1);
    for cycle in 0..test.cycles {
        (test.drive)(&mut block, &mut random, cycle < 3);
        settle(&mut block);
        let ports = Ports::of(&block).list;
        for (name, kind, value) in &ports {
            if *kind == AtomKind::InputParameter {
                bench.poke(name, Value::from_bytes(&value.to_bytes_le()));
            }
        }
        if cycle >= 3 {
            for (name, kind, value) in &ports {
                if *kind == AtomKind::OutputParameter && (test.compare)(&block, name) {
                    let wanted = Value::from_bytes(&value.to_bytes_le());
                    let found = bench.peek(name);
                    assert_eq!(
                        found, wanted,
                        "cycle {cycle}: `{name}` is {found} in RTL and {wanted} in Rust; {ports:?}"
                    );
                }
            }
        }
        bench.cycle();
        (test.clock)(&mut block, true);
        settle(&mut block);
        (test.clock)(&mut block, false);
        settle(&mut block);
    }
}
