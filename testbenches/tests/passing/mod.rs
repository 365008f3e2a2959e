//! What the benches of modules that take frames share.

#![allow(dead_code)]

use hallux_testbenches::{Bench, Driver, Fields, Monitor, fields};
use hallux_toe::interface::modules::MODULE_STRIDE;

/// A module of frames in its bench.
pub struct Module {
    pub bench: Bench,
    pub s: Driver,
    pub m: Monitor,
    /// Bytes of a beat.
    pub bus: usize,
}

impl Module {
    /// A bench of `block`, reset, on a bus of `bus` bytes.
    pub fn of(bus: usize, mut bench: Bench) -> Self {
        let (s, m) = (bench.driver("s"), bench.monitor("m"));
        bench.reset();
        Self { bench, s, m, bus }
    }

    /// Queues a frame that comes with a verdict.
    pub fn send(&mut self, frame: &[u8], verdict: u64) {
        for beat in passing(self.bus, frame, verdict) {
            self.bench.send(self.s, beat);
        }
    }

    /// All that came out: frames with their verdicts.
    pub fn frames(&self) -> Vec<(Vec<u8>, u64)> {
        let (mut frames, mut bytes) = (vec![], vec![]);
        for beat in self.bench.received(self.m) {
            let count = beat.field("beat.keep").to_bytes(self.bus / 8);
            let count: u32 = count.iter().map(|byte| byte.count_ones()).sum();
            let data = beat.field("beat.data").to_bytes(self.bus);
            bytes.extend(&data[..count as usize]);
            if beat.field("beat.last") == 1 {
                frames.push((std::mem::take(&mut bytes), beat.field("verdict").u64()));
            }
        }
        assert!(bytes.is_empty(), "a frame has no end");
        frames
    }

    /// Until everything has come out.
    pub fn run(&mut self) {
        let (s, limit) = (self.s, 20_000);
        self.bench.run_until(limit, |bench| {
            bench.pending(s) == 0 && bench.peek("idle") == 1
        });
    }

    /// What a register reads.
    pub fn read(&mut self, register: u64) -> u64 {
        let word = register % MODULE_STRIDE / 8;
        self.bench.poke_struct("access", fields! { word: word });
        self.bench.peek("answer").u64()
    }

    /// Writes a register.
    pub fn write(&mut self, register: u64, value: u64) {
        let word = register % MODULE_STRIDE / 8;
        let access = fields! { write: true, word: word, data: value };
        self.bench.poke_struct("access", access);
        self.bench.cycle();
        self.bench.poke_struct("access", fields! {});
    }
}

/// A frame as beats of a slot.
pub fn passing(bus: usize, frame: &[u8], verdict: u64) -> Vec<Fields> {
    let count = frame.len().div_ceil(bus);
    let chunks = frame.chunks(bus).enumerate();
    chunks
        .map(|(index, bytes)| {
            let keep = u128::MAX >> (128 - bytes.len());
            fields! {
                beat.data: bytes, beat.keep: keep, beat.last: index + 1 == count,
                verdict: verdict,
            }
        })
        .collect()
}
