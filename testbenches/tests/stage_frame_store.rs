//! Bench of `stages::frame_store`: frames leave whole, in the order that is asked for.

mod channel;
mod stage;

use hallux_testbenches::{Bench, Driver, Monitor, Stalls, fields};
use hallux_toe::stages::frame_store::FrameStore;
use stage::{Dice, assert_lint_clean, bench_of};

const BEATS: usize = 64;

fn block() -> FrameStore<512, 64> {
    FrameStore::new(BEATS)
}

fn bench(seed: u64) -> (Bench, Driver, Driver, Monitor) {
    let mut bench = bench_of(&block(), "frame_store", seed);
    let (s, order, m) = (
        bench.driver("s"),
        bench.driver("s_order"),
        bench.monitor("m"),
    );
    bench.reset();
    (bench, s, order, m)
}

/// Frame `number` of `beats` beats, each of which says where it belongs.
fn send(bench: &mut Bench, s: Driver, number: u64, beats: u64) {
    for beat in 0..beats {
        let last = beat + 1 == beats;
        bench.send(s, fields! { data: number << 16 | beat, last: last });
    }
}

#[test]
fn lint_clean() {
    assert_lint_clean(&block(), "frame_store");
}

#[test]
fn latency_and_rate() {
    let (mut bench, s, order, m) = bench(1);
    for number in 0..4 {
        send(&mut bench, s, number, 4);
    }
    bench.run(20);
    assert_eq!(bench.peek("arrived"), 4);
    for number in [2u64, 0, 3, 1] {
        bench.send_value(order, number);
    }
    let mut shown = vec![];
    for clock in 1..30 {
        bench.cycle();
        for beat in bench.take_received(m) {
            let data = beat.field("data").u64();
            shown.push(format!(
                "{clock:>2} frame {} beat {}",
                data >> 16,
                data & 0xffff
            ));
        }
    }
    insta::assert_snapshot!(shown.join("\n"));
    assert_eq!(bench.peek("idle"), true);
}

/// Frames of all sizes, asked for out of order as soon as they have arrived, through a store that
/// is often full.
#[test]
fn every_frame_leaves_whole_when_it_is_asked_for() {
    for (seed, gaps, stalls) in [(2, 0, 0), (3, 40, 20), (4, 10, 60)] {
        let (mut bench, s, order, m) = bench(seed);
        let mut dice = Dice::new(seed);
        bench.stall(s, Stalls::random(gaps));
        bench.stall(order, Stalls::random(gaps));
        bench.stall(m, Stalls::random(stalls));
        let mut sizes = vec![];
        for number in 0..3000 {
            let beats = if dice.chance(5) {
                dice.within(20, 30)
            } else {
                dice.within(1, 4)
            };
            send(&mut bench, s, number, beats);
            sizes.push(beats);
        }
        let (mut known, mut waiting, mut asked) = (0u64, vec![], vec![]);
        let mut quiet = 0;
        while quiet < 200 {
            let arrived = bench.peek("arrived").u64();
            while known % 1024 != arrived {
                waiting.push(known);
                known += 1;
            }
            if !waiting.is_empty() && bench.pending(order) < 2 && dice.chance(60) {
                // The oldest most of the time, so that the store moves on.
                let which = if dice.chance(70) {
                    0
                } else {
                    dice.below(waiting.len() as u64)
                };
                let number = waiting.remove(which as usize);
                bench.send_value(order, number % 1024);
                asked.push(number);
            }
            let before = bench.received(m).len();
            bench.cycle();
            let moved = bench.received(m).len() > before || !waiting.is_empty();
            quiet = if moved { 0 } else { quiet + 1 };
        }
        assert_eq!(asked.len(), sizes.len(), "frames never arrived");
        let expected: Vec<u64> = asked
            .iter()
            .flat_map(|&number| (0..sizes[number as usize]).map(move |beat| number << 16 | beat))
            .collect();
        let received: Vec<u64> = bench
            .received(m)
            .iter()
            .map(|beat| beat.field("data").u64())
            .collect();
        assert!(received == expected, "beats are not in the order asked for");
        assert_eq!(bench.peek("idle"), true);
    }
}
