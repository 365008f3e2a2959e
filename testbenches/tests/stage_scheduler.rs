//! Bench of `stages::scheduler`.

mod channel;
mod stage;

use channel::{structure, value};
use hallux_hdl::prelude::bits;
use hallux_testbenches::{Bench, Driver, Monitor, Stalls};
use hallux_toe::channels::{Grant, KIND_TX, Update};
use hallux_toe::stages::scheduler::Scheduler;
use stage::{Dice, bench_of};

const FLOWS: u64 = 16;

fn bench(seed: u64) -> (Bench, Driver, Monitor) {
    let mut bench = bench_of(&Scheduler::new(FLOWS as usize), "scheduler", seed);
    let (s, m) = (bench.driver("s"), bench.monitor("m"));
    bench.reset();
    bench.run(FLOWS + 1);
    assert_eq!(bench.peek("idle"), true);
    (bench, s, m)
}

fn update(bench: &mut Bench, s: Driver, flow: u64, ready: bool) {
    bench.send_value(
        s,
        value(Update {
            flow: bits::<16>(flow),
            ready,
        }),
    );
}

fn flows(bench: &mut Bench, m: Monitor) -> Vec<u64> {
    let records = bench.take_received(m);
    records
        .iter()
        .map(|r| structure::<Grant>(r).flow.to_u64())
        .collect()
}

#[test]
fn a_flow_is_queued_once_and_in_order() {
    let (mut bench, s, m) = bench(1);
    bench.stall(m, Stalls::always());
    // Two grants wait behind the queue; the third flow and the fourth stay in it.
    for (flow, ready) in [
        (9, true),
        (8, true),
        (3, true),
        (3, true),
        (5, false),
        (1, true),
        (3, true),
        (9, true), // has left the queue: it may come again
    ] {
        update(&mut bench, s, flow, ready);
    }
    bench.run(20);
    bench.stall(m, Stalls::none());
    bench.run(10);
    insta::assert_snapshot!(bench.log(), @r"
        17 s        flow=9 ready=1
        18 s        flow=8 ready=1
        19 s        flow=3 ready=1
        20 s        flow=3 ready=1
        21 s        flow=5 ready=0
        22 s        flow=1 ready=1
        23 s        flow=3 ready=1
        24 s        flow=9 ready=1
        37 m        ticket=0x400000 flow=9 reminds=0
        38 m        ticket=0x400001 flow=8 reminds=0
        39 m        ticket=0x400002 flow=3 reminds=0
        40 m        ticket=0x400003 flow=1 reminds=0
        41 m        ticket=0x400004 flow=9 reminds=0
    ");
    assert_eq!(bench.peek("idle"), true);
}

/// Two clocks from an update to the grant.
#[test]
fn latency() {
    let (mut bench, s, m) = bench(8);
    update(&mut bench, s, 5, true);
    bench.run(2);
    assert!(flows(&mut bench, m).is_empty());
    bench.cycle();
    assert_eq!(flows(&mut bench, m), [5]);
}

#[test]
fn one_update_and_one_grant_a_clock() {
    let (mut bench, s, m) = bench(2);
    for n in 0..20 * FLOWS {
        update(&mut bench, s, n % FLOWS, true);
    }
    bench.run(20 * FLOWS);
    assert_eq!(bench.accepted(s), 20 * FLOWS);
    bench.run(4);
    let granted: Vec<u64> = flows(&mut bench, m);
    let expected: Vec<u64> = (0..20 * FLOWS).map(|n| n % FLOWS).collect();
    assert_eq!(granted, expected);
}

/// A stand-in for the protocol stage: flows have segments to send, every grant sends one
/// and is answered by an update; other events bring updates at random.
#[test]
fn no_flow_is_forgotten_and_none_is_granted_twice() {
    for (seed, gaps, stalls) in [(3, 0, 0), (4, 50, 0), (5, 0, 60), (6, 40, 40)] {
        let (mut bench, s, m) = bench(seed);
        let mut dice = Dice::new(seed);
        bench.stall(s, Stalls::random(gaps));
        bench.stall(m, Stalls::random(stalls));
        let mut segments = [0u64; FLOWS as usize];
        let mut grants = 0;
        let mut numbers = 0;
        for cycle in 0..20_000u64 {
            if cycle < 10_000 && dice.chance(20) {
                let bound = if dice.chance(50) { 2 } else { FLOWS };
                let flow = dice.below(bound);
                segments[flow as usize] += dice.below(4);
                update(&mut bench, s, flow, segments[flow as usize] > 0);
            }
            bench.cycle();
            for record in bench.take_received(m) {
                let grant: Grant = structure(&record);
                assert_eq!(grant.ticket.to_u64(), KIND_TX << 22 | numbers, "tickets");
                numbers += 1;
                grants += 1;
                let left = &mut segments[grant.flow.to_u64() as usize];
                *left = left.saturating_sub(1);
                let ready = *left > 0;
                update(&mut bench, s, grant.flow.to_u64(), ready);
            }
            if cycle > 10_000 && bench.pending(s) == 0 && bench.peek("idle") == true {
                break;
            }
        }
        assert_eq!(
            segments, [0; FLOWS as usize],
            "flows forgotten after {grants} grants"
        );
        assert_eq!(bench.peek("idle"), true);
    }
}

/// Between two grants of a flow there is an update that says it is ready.
#[test]
fn a_grant_needs_an_update() {
    let (mut bench, s, m) = bench(7);
    let mut dice = Dice::new(7);
    bench.stall(s, Stalls::random(30));
    bench.stall(m, Stalls::random(70));
    let mut sent = Vec::new();
    for _ in 0..3000 {
        let (flow, ready) = (dice.below(FLOWS), dice.chance(50));
        update(&mut bench, s, flow, ready);
        sent.push((flow, ready));
    }
    let mut due = [0u64; FLOWS as usize];
    let mut seen = 0;
    while bench.pending(s) > 0 || bench.peek("idle") != true {
        bench.cycle();
        for &(flow, ready) in &sent[seen..bench.accepted(s) as usize] {
            due[flow as usize] += u64::from(ready);
        }
        seen = bench.accepted(s) as usize;
        for flow in flows(&mut bench, m) {
            assert!(
                due[flow as usize] > 0,
                "flow {flow} was granted for nothing"
            );
            // What came before the grant is answered by it, but for what crossed it.
            due[flow as usize] -= 1;
        }
    }
}

/// As many flows as flow ids: the queue holds them all, and the last id is not lost.
#[test]
fn all_of_65536_flows_can_be_queued() {
    const ALL: u64 = 1 << 16;
    let mut bench = bench_of(&Scheduler::new(ALL as usize), "scheduler_65536", 9);
    let (s, m) = (bench.driver("s"), bench.monitor("m"));
    bench.reset();
    bench.run(ALL + 1);
    assert_eq!(bench.peek("idle"), true);
    bench.stall(m, Stalls::always());
    for flow in 0..ALL {
        update(&mut bench, s, flow, true);
    }
    bench.run(ALL + 4);
    assert_eq!(bench.accepted(s), ALL);
    bench.stall(m, Stalls::none());
    bench.run(ALL + 4);
    assert!(flows(&mut bench, m).into_iter().eq(0..ALL));
    assert_eq!(bench.peek("idle"), true);
}
