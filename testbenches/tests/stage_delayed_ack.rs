//! Bench of `stages::delayed_ack`.

mod channel;
mod stage;

use channel::structure;
use hallux_testbenches::{Bench, Monitor, Stalls};
use hallux_toe::channels::Grant;
use hallux_toe::stages::delayed_ack::DelayedAck;
use stage::{Dice, bench_of};
use std::collections::BTreeMap;

const FLOWS: u64 = 16;
/// In ticks of 1.024 µs.
const DELAY: u64 = 10;
const TICK: u64 = 1024;

struct Timer {
    bench: Bench,
    m: Monitor,
    now: u64,
}

impl Timer {
    fn new(seed: u64, start: u64) -> Self {
        let block = DelayedAck::new(FLOWS as usize, DELAY);
        let mut bench = bench_of(&block, "delayed_ack", seed);
        let m = bench.monitor("m");
        bench.poke("owes", 0u64);
        bench.poke("now", start);
        bench.reset();
        bench.run(FLOWS + 1);
        assert_eq!(bench.peek("idle"), true);
        Self {
            bench,
            m,
            now: start,
        }
    }

    /// One clock of `ns`, in which a debt of `flow` may begin.
    fn cycle(&mut self, ns: u64, flow: Option<u64>) {
        self.bench.poke("owes", u64::from(flow.is_some()));
        self.bench.poke("flow", flow.unwrap_or(0));
        self.bench.poke("now", self.now);
        self.bench.cycle();
        self.now += ns;
    }

    fn reminded(&mut self) -> Vec<u64> {
        let records = self.bench.take_received(self.m);
        records
            .iter()
            .map(|r| {
                let grant: Grant = structure(r);
                assert!(grant.reminds);
                grant.flow.to_u64()
            })
            .collect()
    }

    fn wake_at(&mut self) -> u64 {
        self.bench.peek("wake_at").u64()
    }
}

/// A lone debt is reminded of at the time that `wake_at` names, not before, and once.
#[test]
fn a_debt_is_reminded_of_when_it_is_due() {
    let mut timer = Timer::new(1, 7 * TICK + 100);
    assert_eq!(timer.wake_at(), u64::MAX);
    timer.cycle(4, Some(3));
    for _ in 0..6 {
        timer.cycle(4, None);
    }
    let due = (7 + DELAY) * TICK;
    assert_eq!(timer.wake_at(), due);
    assert_eq!(timer.bench.peek("idle"), true, "nothing to do before");
    timer.now = due - 1;
    for _ in 0..6 {
        timer.cycle(0, None);
    }
    assert!(timer.reminded().is_empty());
    assert_eq!(timer.wake_at(), due, "it does not move");
    timer.now = due;
    for _ in 0..6 {
        timer.cycle(4, None);
    }
    assert_eq!(timer.reminded(), [3]);
    assert_eq!(timer.wake_at(), u64::MAX);
    assert_eq!(timer.bench.peek("idle"), true);
}

/// A flow that keeps making debts is looked at, but not reminded of before the youngest is due.
#[test]
fn a_younger_debt_puts_the_reminder_off() {
    // Across the wrap of the 16-bit tick.
    let start = (1 << 16) * TICK - 12 * TICK;
    let mut timer = Timer::new(2, start);
    for _ in 0..40 {
        timer.cycle(TICK, Some(5));
    }
    assert!(timer.reminded().is_empty());
    let last = timer.now - TICK;
    let mut reminded_at = None;
    for _ in 0..40 {
        timer.cycle(TICK, None);
        if !timer.reminded().is_empty() {
            reminded_at.get_or_insert(timer.now);
        }
    }
    let after = (reminded_at.expect("a reminder") - last) / TICK;
    assert!((DELAY..=DELAY + 6).contains(&after), "after {after} ticks");
}

/// Random debts with a stalling arbiter: each is followed by a reminder of its flow, and no
/// reminder comes before a whole delay has passed since the first debt behind the last one.
#[test]
fn no_debt_is_forgotten() {
    for seed in 0..6 {
        let mut dice = Dice::new(40 + seed);
        let mut timer = Timer::new(seed, 65_000 * TICK);
        timer.bench.stall(timer.m, Stalls::random(30));
        let mut oldest: BTreeMap<u64, u64> = BTreeMap::new();
        let mut reminders = 0;
        for clock in 0..6000u64 {
            let flow = (clock < 5000 && dice.below(8) == 0).then(|| dice.below(FLOWS));
            if let Some(flow) = flow {
                oldest.entry(flow).or_insert(timer.now);
            }
            timer.cycle(200, flow);
            for flow in timer.reminded() {
                reminders += 1;
                // A debt that began while a reminder was on its way is settled by that one, and
                // has one of its own.
                let Some(since) = oldest.remove(&flow) else {
                    continue;
                };
                let waited = timer.now - since;
                assert!(
                    !(20 * 200..(DELAY - 1) * TICK).contains(&waited),
                    "{waited}"
                );
            }
        }
        assert!(oldest.is_empty(), "forgotten: {oldest:?}");
        assert!(reminders > 16, "{reminders}");
        assert_eq!(timer.bench.peek("idle"), true);
        assert_eq!(timer.wake_at(), u64::MAX);
    }
}
