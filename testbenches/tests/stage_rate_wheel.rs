//! Bench of `stages::rate_wheel` in its scheduler.

mod channel;
mod stage;

use channel::{structure, value};
use hallux_hdl::prelude::bits;
use hallux_testbenches::{Bench, Driver, Monitor, Stalls};
use hallux_toe::channels::{Grant, Update};
use hallux_toe::interface::period;
use hallux_toe::stages::rate_wheel::{CREDIT_LOG2, Charge};
use hallux_toe::stages::scheduler::Scheduler;
use stage::{Dice, assert_lint_clean, bench_of};

const FLOWS: u64 = 16;
const SLOTS: usize = 64;
/// Nanoseconds of a clock.
const CLOCK: u64 = 4;

fn block() -> Scheduler {
    Scheduler::new(FLOWS as usize).with_pacing(SLOTS)
}

/// The scheduler, and a stand-in for all behind it: every grant sends one segment, whose
/// charge comes some clocks later and whose update some more.
struct System {
    bench: Bench,
    s: Driver,
    charge: Driver,
    m: Monitor,
    now: u64,
    /// Updates to come: clock, flow.
    answers: Vec<(u64, u64)>,
    segment: [u64; FLOWS as usize],
    sent: [u64; FLOWS as usize],
    grants: Vec<(u64, u64)>,
}

impl System {
    fn new(seed: u64, now: u64) -> Self {
        let mut bench = bench_of(&block(), "scheduler", seed);
        let (s, charge) = (bench.driver("s"), bench.driver("s_charge_0"));
        let m = bench.monitor("m");
        bench.poke("now_0", now);
        bench.reset();
        bench.run(FLOWS + 1);
        assert_eq!(bench.peek("idle"), true);
        Self {
            bench,
            s,
            charge,
            m,
            now,
            answers: vec![],
            segment: [1448; FLOWS as usize],
            sent: [0; FLOWS as usize],
            grants: vec![],
        }
    }

    fn rate(&mut self, flow: u64, bps: u64) {
        self.charge(flow, Some(period(bps)), 0);
    }

    fn charge(&mut self, flow: u64, period: Option<u32>, bytes: u64) {
        self.bench.send_value(
            self.charge,
            value(Charge {
                flow: bits::<16>(flow),
                sets: period.is_some(),
                period: bits::<32>(period.unwrap_or(0).into()),
                bytes: bits::<14>(bytes),
            }),
        );
    }

    fn ready(&mut self, flow: u64) {
        self.bench.send_value(
            self.s,
            value(Update {
                flow: bits::<16>(flow),
                ready: true,
            }),
        );
    }

    fn cycle(&mut self) {
        let clock = self.bench.cycles();
        self.bench.poke("now_0", self.now);
        let due: Vec<u64> = self
            .answers
            .extract_if(.., |answer| answer.0 <= clock)
            .map(|answer| answer.1)
            .collect();
        for flow in due {
            self.ready(flow);
        }
        self.bench.cycle();
        self.now += CLOCK;
        for record in self.bench.take_received(self.m) {
            let flow = structure::<Grant>(&record).flow.to_u64();
            self.grants.push((self.now, flow));
            let bytes = self.segment[flow as usize];
            self.sent[flow as usize] += bytes;
            self.charge(flow, None, bytes);
            self.answers.push((clock + 3, flow));
        }
    }

    fn run(&mut self, ns: u64) {
        for _ in 0..ns / CLOCK {
            self.cycle();
        }
    }
}

#[test]
fn lint_clean() {
    assert_lint_clean(&block(), "scheduler");
}

/// A flow without a rate waits two clocks for its grant, as without a wheel.
#[test]
fn a_flow_without_a_rate_waits_for_nothing() {
    let mut system = System::new(1, 1 << 20);
    system.ready(5);
    system.bench.run(2);
    assert!(system.bench.take_received(system.m).is_empty());
    system.bench.cycle();
    assert_eq!(system.bench.take_received(system.m).len(), 1);
}

#[test]
fn a_rate_spreads_the_grants() {
    let mut system = System::new(2, 1 << 20);
    system.rate(3, 2_000_000_000);
    system.run(40);
    system.ready(3);
    // What an idle flow has saved up goes first, then a segment each 5792 ns.
    system.run(50_000);
    let from = system.grants.first().map_or(0, |grant| grant.0);
    let times: Vec<String> = system
        .grants
        .iter()
        .map(|(at, flow)| format!("{} ns: flow {flow}", at - from))
        .collect();
    insta::assert_snapshot!(times.join("\n"));
}

/// Rates from 2 Mb/s to 20 Gb/s over both wheels, with flows that have none beside them.
#[test]
fn every_flow_sends_at_its_rate() {
    for (seed, stalls) in [(3, 0), (4, 30)] {
        let mut system = System::new(seed, 3 << 40);
        let mut dice = Dice::new(seed);
        system.bench.stall(system.m, Stalls::random(stalls));
        let rates = [
            0,
            20_000_000_000,
            10_000_000_000,
            1_000_000_000,
            100_000_000,
            7_000_000,
            2_000_000,
            3_333_333_333,
        ];
        for (flow, &rate) in rates.iter().enumerate() {
            system.rate(flow as u64, rate);
            system.segment[flow] = dice.within(1, 1448);
        }
        system.segment[1] = 1448;
        system.segment[2] = 1448;
        system.run(100);
        let from = system.now;
        for flow in 0..rates.len() as u64 {
            system.ready(flow);
        }
        system.run(3_000_000);
        let span = system.now - from;
        for (flow, &rate) in rates.iter().enumerate().skip(1) {
            let (sent, segment) = (system.sent[flow], system.segment[flow]);
            let allowed = |ns: u64| ns * rate / 8_000_000_000;
            let most = allowed(span + (2 << CREDIT_LOG2)) + 2 * segment;
            let least =
                (allowed(span - (2 << CREDIT_LOG2)) * 998 / 1000).saturating_sub(2 * segment);
            assert!(
                (least..=most).contains(&sent),
                "flow {flow} at {rate} bit/s sent {sent} bytes, not {least} to {most}"
            );
        }
        // Nothing else limits a flow without a rate but the way back.
        assert!(system.sent[0] / system.segment[0] > span / CLOCK / 20);
    }
}

/// Flows come and go, rates change; in the end everybody is served and the wheel is empty.
#[test]
fn no_flow_is_forgotten() {
    for seed in [5, 6] {
        let mut system = System::new(seed, 1 << 30);
        let mut dice = Dice::new(seed);
        system.bench.stall(system.m, Stalls::random(40));
        let mut left = [0u64; FLOWS as usize];
        for round in 0..40_000 {
            if round < 20_000 && dice.chance(3) {
                let flow = dice.below(FLOWS);
                if dice.chance(30) {
                    let rate = [0, 50_000_000, 1_000_000_000, 30_000_000_000];
                    system.rate(flow, rate[dice.below(4) as usize]);
                }
                left[flow as usize] += 1;
                system.ready(flow);
            }
            let before = system.grants.len();
            system.cycle();
            for &(_, flow) in &system.grants[before..] {
                left[flow as usize] = left[flow as usize].saturating_sub(1);
                if left[flow as usize] == 0 {
                    // Nothing more to send: no update.
                    system.answers.retain(|answer| answer.1 != flow);
                }
            }
        }
        // A wheel that waits costs no clocks: go on to where it wants to be woken.
        for _ in 0..2_000_000 {
            if left == [0; FLOWS as usize] && system.answers.is_empty() {
                break;
            }
            if system.bench.peek("idle") == true && system.answers.is_empty() {
                let wake = system.bench.peek("wake_at_0").u64();
                assert_ne!(wake, u64::MAX, "{left:?}");
                system.now = system.now.max(wake);
            }
            let before = system.grants.len();
            system.cycle();
            for &(_, flow) in &system.grants[before..] {
                left[flow as usize] = left[flow as usize].saturating_sub(1);
                if left[flow as usize] == 0 {
                    system.answers.retain(|answer| answer.1 != flow);
                }
            }
        }
        assert_eq!(left, [0; FLOWS as usize]);
    }
}
