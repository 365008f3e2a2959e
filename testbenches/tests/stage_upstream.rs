//! Bench of `stages::upstream`.

mod stage;

use hallux_testbenches::{Bench, Driver, Monitor, Record, Stalls, fields};
use hallux_toe::stages::upstream::Upstream;
use stage::{Dice, assert_lint_clean, bench_of, cycle_of};

const INPUTS: [&str; 5] = ["s_payload", "s_notify", "s_read", "s_fetch", "s_mmio"];

fn bench(seed: u64) -> (Bench, Vec<Driver>, Monitor) {
    let mut bench = bench_of(&Upstream::<512>::default(), "upstream", seed);
    let drivers = INPUTS.iter().map(|name| bench.driver(name)).collect();
    let m = bench.monitor("m");
    bench.reset();
    (bench, drivers, m)
}

/// A request of `beats` beats: `vector` says the input, `address` its number there.
fn request(bench: &mut Bench, drivers: &[Driver], input: usize, number: u64, beats: u64) {
    for beat in 0..beats {
        bench.send(
            drivers[input],
            fields! {
                kind: input as u64 % 4,
                address: number,
                bytes: 64 * beats,
                vector: input,
                data: beat,
                last: beat + 1 == beats,
            },
        );
    }
}

fn number(record: &Record, field: &str) -> u64 {
    record.field(field).u64()
}

#[test]
fn lint_clean() {
    assert_lint_clean(&Upstream::<512>::default(), "upstream");
}

#[test]
fn requests_take_turns() {
    let (mut bench, drivers, m) = bench(1);
    for input in 0..5 {
        request(&mut bench, &drivers, input, 1, 1);
        request(
            &mut bench,
            &drivers,
            input,
            2,
            if input == 0 { 3 } else { 1 },
        );
    }
    bench.run_until_received(m, 12, 40);
    assert_eq!(
        cycle_of(&bench, "m", 0),
        cycle_of(&bench, "s_notify", 0) + 1
    );
    let order: Vec<String> = bench
        .received(m)
        .iter()
        .map(|beat| {
            let input = INPUTS[number(beat, "vector") as usize];
            let (request, beat) = (number(beat, "address"), number(beat, "data"));
            format!("{input} request {request} beat {beat}")
        })
        .collect();
    insta::assert_snapshot!(order.join("\n"), @r"
    s_notify request 1 beat 0
    s_read request 1 beat 0
    s_fetch request 1 beat 0
    s_mmio request 1 beat 0
    s_payload request 1 beat 0
    s_notify request 2 beat 0
    s_read request 2 beat 0
    s_fetch request 2 beat 0
    s_mmio request 2 beat 0
    s_payload request 2 beat 0
    s_payload request 2 beat 1
    s_payload request 2 beat 2
    ");
    bench.cycle();
    assert_eq!(bench.peek("idle"), true);
}

#[test]
fn one_beat_a_cycle() {
    let (mut bench, drivers, m) = bench(2);
    for number in 0..200 {
        for input in 0..5 {
            request(&mut bench, &drivers, input, number, 1 + number % 3);
        }
    }
    let beats = drivers.iter().map(|&d| bench.pending(d)).sum::<usize>();
    bench.run_until_received(m, beats, 4000);
    assert!(
        bench.cycles() <= beats as u64 + 4,
        "{} cycles for {beats} beats",
        bench.cycles()
    );
}

#[test]
fn requests_stay_whole_and_in_order_under_stalls() {
    for seed in 0..8 {
        let (mut bench, drivers, m) = bench(seed);
        let mut dice = Dice::new(seed);
        for &driver in &drivers {
            bench.stall(driver, Stalls::random(dice.below(80) as u32));
        }
        bench.stall(m, Stalls::random(dice.below(80) as u32));
        for request_number in 0..100 {
            for input in 0..5 {
                request(
                    &mut bench,
                    &drivers,
                    input,
                    request_number,
                    dice.within(1, 5),
                );
            }
        }
        let beats = drivers.iter().map(|&d| bench.pending(d)).sum::<usize>();
        bench.run_until_received(m, beats, 50_000);

        let mut next = [0; 5];
        let mut open: Option<(u64, u64)> = None;
        for beat in bench.received(m) {
            let input = number(beat, "vector");
            let expected = open.map_or(0, |(owner, index)| {
                assert_eq!(input, owner, "a request is interleaved");
                index + 1
            });
            assert_eq!(number(beat, "data"), expected);
            assert_eq!(number(beat, "address"), next[input as usize]);
            open = Some((input, expected));
            if number(beat, "last") == 1 {
                assert_eq!(number(beat, "bytes"), 64 * (expected + 1));
                next[input as usize] += 1;
                open = None;
            }
        }
        assert_eq!(next, [100; 5]);
    }
}
