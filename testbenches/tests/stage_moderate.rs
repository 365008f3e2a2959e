//! Bench of `stages::moderate`.

mod stage;

use hallux_testbenches::{Bench, Driver, Monitor, Stalls, fields};
use hallux_toe::channels::{UP_MSIX, UP_WRITE};
use hallux_toe::interface::context;
use hallux_toe::stages::moderate::Moderate;
use stage::{Dice, assert_lint_clean, bench_of};

const CONTEXTS: usize = 8;
/// ns of a clock.
const CLOCK: u64 = 4;

struct Rig {
    bench: Bench,
    s: Driver,
    m: Monitor,
    now: u64,
    /// When each beat that was received so far was seen, with its kind, vector and address.
    seen: Vec<(u64, u64, u64, u64)>,
}

impl Rig {
    fn new(seed: u64, stalls: bool) -> Self {
        let mut bench = bench_of(&Moderate::<512>::new(CONTEXTS), "moderate", seed);
        let s = bench.driver("s");
        let m = bench.monitor("m");
        bench.poke("s_context_valid", 0_u64);
        bench.poke("now", 0_u64);
        if stalls {
            bench.stall(s, Stalls::random(30));
            bench.stall(m, Stalls::random(40));
        }
        bench.reset();
        Self {
            bench,
            s,
            m,
            now: 0,
            seen: Vec::new(),
        }
    }

    fn clock(&mut self) {
        self.now += CLOCK;
        self.bench.poke("now", self.now);
        self.bench.cycle();
        let received = self.bench.received(self.m);
        for beat in &received[self.seen.len()..] {
            let field = |name: &str| beat.field(name).u64();
            let (kind, vector, address) = (field("kind"), field("vector"), field("address"));
            self.seen.push((self.now, kind, vector, address));
        }
    }

    fn interval(&mut self, vector: u64, ns: u64) {
        let write = fields! {
            context: vector,
            register: context::INTERRUPT_INTERVAL / 8,
            value: ns,
        };
        self.bench.poke_struct("s_context", write);
        self.bench.poke("s_context_valid", 1_u64);
        self.clock();
        self.bench.poke("s_context_valid", 0_u64);
    }

    fn interrupt(&mut self, vector: u64) {
        let message = fields! { kind: UP_MSIX, vector: vector, last: true };
        self.bench.send(self.s, message);
    }

    fn record(&mut self, number: u64, beats: u64) {
        for beat in 0..beats {
            let write = fields! {
                kind: UP_WRITE,
                address: number,
                bytes: 64 * beats,
                last: beat + 1 == beats,
            };
            self.bench.send(self.s, write);
        }
    }

    fn interrupts(&self, vector: u64) -> Vec<u64> {
        let of_vector = |seen: &&(u64, u64, u64, u64)| (seen.1, seen.2) == (UP_MSIX, vector);
        let times = self.seen.iter().filter(of_vector);
        times.map(|seen| seen.0).collect()
    }
}

#[test]
fn lint_clean() {
    assert_lint_clean(&Moderate::<512>::new(CONTEXTS), "moderate");
}

#[test]
fn without_an_interval_everything_passes_as_it_comes() {
    let mut rig = Rig::new(1, false);
    for n in 0..4 {
        rig.record(n, 2);
        rig.interrupt(n);
    }
    for _ in 0..14 {
        rig.clock();
    }
    assert_eq!(rig.seen.len(), 12);
    let clocks: Vec<u64> = rig.seen.iter().map(|seen| seen.0 / CLOCK).collect();
    assert!(
        clocks.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{clocks:?}"
    );
}

#[test]
fn several_become_one_and_the_rest_is_an_interval_later() {
    let mut rig = Rig::new(2, false);
    rig.interval(3, 1_000);
    for round in 0..3 {
        for _ in 0..3 {
            rig.interrupt(3);
        }
        rig.interrupt(5);
        for _ in 0..40 {
            rig.clock();
        }
        assert_eq!(rig.interrupts(5).len(), round + 1, "5 has no interval");
    }
    assert_eq!(rig.interrupts(3).len(), 1);
    assert_eq!(rig.bench.peek("idle"), true, "it waits");
    let due = rig.bench.peek("wake_at").u64();
    // The interval begins when the message is let go; it is seen a clock later.
    assert_eq!(due, rig.interrupts(3)[0] - CLOCK + 1_000);
    while rig.now < due + 3 * CLOCK {
        rig.clock();
    }
    let times = rig.interrupts(3);
    assert_eq!(times.len(), 2);
    assert!(
        (1_000..1_000 + 3 * CLOCK).contains(&(times[1] - times[0])),
        "{times:?}"
    );
    for _ in 0..20 {
        rig.clock();
    }
    assert_eq!(rig.bench.peek("wake_at"), u64::MAX);
    assert_eq!(rig.bench.peek("idle"), true);
}

#[test]
fn a_sooner_vector_does_not_wait_for_a_later_one() {
    let mut rig = Rig::new(3, false);
    rig.interval(1, 100_000);
    rig.interval(2, 400);
    for _ in 0..2 {
        rig.interrupt(1);
        rig.interrupt(2);
        for _ in 0..40 {
            rig.clock();
        }
    }
    for _ in 0..200 {
        rig.clock();
    }
    assert_eq!((rig.interrupts(1).len(), rig.interrupts(2).len()), (1, 2));
}

#[test]
fn intervals_hold_and_nothing_is_lost_under_stalls() {
    let intervals = [0, 200, 1_000, 5_000, 0, 300, 0, 70];
    let mut rig = Rig::new(4, true);
    let mut dice = Dice::new(9);
    for (vector, interval) in intervals.into_iter().enumerate() {
        rig.interval(vector as u64, interval);
    }
    let (mut asked, mut records) = ([0_usize; CONTEXTS], Vec::new());
    for n in 0..600 {
        if dice.below(3) == 0 {
            let vector = dice.below(CONTEXTS as u64);
            asked[vector as usize] += 1;
            rig.interrupt(vector);
        }
        let beats = 1 + dice.below(3);
        records.extend((0..beats).map(|_| n));
        rig.record(n, beats);
        for _ in 0..dice.below(12) {
            rig.clock();
        }
    }
    for _ in 0..4_000 {
        rig.clock();
    }
    let written: Vec<u64> = rig
        .seen
        .iter()
        .filter(|seen| seen.1 == UP_WRITE)
        .map(|seen| seen.3)
        .collect();
    assert_eq!(written, records, "requests stay whole and in order");
    for (vector, interval) in intervals.into_iter().enumerate() {
        let times = rig.interrupts(vector as u64);
        if interval == 0 {
            assert_eq!(times.len(), asked[vector]);
        } else {
            assert!(!times.is_empty() && times.len() <= asked[vector]);
            // The monitor may see the earlier one a few stalls late.
            let slack = 12 * CLOCK;
            let kept = times
                .windows(2)
                .all(|pair| pair[1] - pair[0] + slack >= interval);
            assert!(kept, "{vector}: {times:?}");
        }
    }
    assert_eq!(rig.bench.peek("wake_at"), u64::MAX, "none is left");
}
