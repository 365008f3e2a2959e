//! What the benches of stages share: a bench of a block, and dice.

#![allow(dead_code)]

use hallux_hdl::emit::{Options, emit};
use hallux_hdl::manifest::Manifest;
use hallux_hdl::prelude::Block;
use hallux_testbenches::Bench;
use hallux_verilator::{Toolchain, lint};
use rand_core::RngCore;
use rand_pcg::Pcg32;

/// A bench of `block`, Verilated as module `name`.
pub fn bench_of<B: Block>(block: &B, name: &str, seed: u64) -> Bench {
    let (manifest, sources) = rtl_of(block, name);
    Bench::with_seed(&manifest, &sources, seed)
}

/// Bytes of a beat on each data bus that is built.
pub const BUSES: [usize; 3] = [32, 64, 128];

/// `$then` on a data bus of `$bytes` bytes, where `N` is its width in bits and `K` its bytes.
#[allow(unused_macros)]
macro_rules! on_bus {
    ($bytes:expr, |$N:ident, $K:ident| $then:expr) => {
        match $bytes {
            32 => {
                const $N: usize = 256;
                #[allow(dead_code)]
                const $K: usize = 32;
                $then
            }
            64 => {
                const $N: usize = 512;
                #[allow(dead_code)]
                const $K: usize = 64;
                $then
            }
            128 => {
                const $N: usize = 1024;
                #[allow(dead_code)]
                const $K: usize = 128;
                $then
            }
            other => panic!("no data bus of {other} bytes"),
        }
    };
}
#[allow(unused_imports)]
pub(crate) use on_bus;

/// Fails if `verilator --lint-only -Wall` has anything to say about `block`.
pub fn assert_lint_clean<B: Block>(block: &B, name: &str) {
    let (manifest, sources) = rtl_of(block, name);
    let toolchain = Toolchain::discover(&mut |line| eprintln!("{line}")).unwrap();
    lint(&toolchain, &manifest, &sources).unwrap_or_else(|e| panic!("{e}"));
}

fn rtl_of<B: Block>(block: &B, name: &str) -> (Manifest, Vec<(String, String)>) {
    let design = emit(block, &Options::new("bench", name)).unwrap_or_else(|e| panic!("{e}"));
    let sources = design.files.into_iter().map(|f| (f.name, f.text));
    (design.manifest, sources.collect())
}

/// Seeded randomness of a bench.
pub struct Dice(Pcg32);

impl Dice {
    /// Dice that repeat with `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Pcg32::new(seed, 7))
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    /// A number from `low` to `high`, both included.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `percent` of the calls.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// All bits random.
    pub fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

/// The cycle of transfer `number` on `channel`.
pub fn cycle_of(bench: &Bench, channel: &str, number: usize) -> u64 {
    let transfers = bench.log().lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let cycle = words.next()?.parse().ok()?;
        (words.next()? == channel).then_some(cycle)
    });
    transfers
        .into_iter()
        .nth(number)
        .unwrap_or_else(|| panic!("no transfer {number} on {channel}"))
}
