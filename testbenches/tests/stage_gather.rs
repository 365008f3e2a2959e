//! Bench of `stages::gather`.

mod stage;

use hallux_testbenches::{Bench, Driver, Monitor, Stalls, fields};
use hallux_toe::channels::Update;
use hallux_toe::stages::gather::Gather;
use stage::{Dice, assert_lint_clean, bench_of};

#[test]
fn lint_clean() {
    assert_lint_clean(&Gather::<Update>::new(3), "gather");
}

/// Words carry their number; every word is a request of its own.
fn bench(units: usize, seed: u64) -> (Bench, Vec<Driver>, Monitor) {
    let mut bench = bench_of(&Gather::<Update>::new(units), "gather", seed);
    let drivers = (0..units)
        .map(|i| bench.driver(&format!("s_{i}")))
        .collect();
    let m = bench.monitor("m");
    for i in 0..units {
        bench.poke(&format!("last_{i}"), 1);
    }
    bench.reset();
    (bench, drivers, m)
}

#[test]
fn units_take_turns_and_none_loses_a_word() {
    for (units, seed, stalls) in [(1, 1, 0), (3, 2, 0), (3, 3, 40), (4, 4, 70)] {
        let (mut bench, drivers, m) = bench(units, seed);
        let mut dice = Dice::new(seed);
        for &driver in &drivers {
            bench.stall(driver, Stalls::random(dice.below(1 + stalls) as u32));
        }
        bench.stall(m, Stalls::random(stalls as u32));
        for number in 0..200 {
            for (unit, &driver) in drivers.iter().enumerate() {
                bench.send(driver, fields! { flow: unit << 12 | number, ready: 1 });
            }
        }
        bench.run_until_received(m, 200 * units, 20_000);
        if stalls == 0 {
            let cycles = bench.cycles();
            assert!(cycles <= 200 * units as u64 + 4, "{cycles} cycles");
        }
        let mut next = vec![0; units];
        for word in bench.received(m) {
            let flow = word.field("flow").u64() as usize;
            assert_eq!(flow & 0xfff, next[flow >> 12], "unit {}", flow >> 12);
            next[flow >> 12] += 1;
        }
        bench.run(2);
        assert_eq!(bench.peek("idle"), true);
    }
}

#[test]
fn a_request_of_several_words_is_not_interleaved() {
    let (mut bench, drivers, m) = bench(2, 5);
    bench.poke("last_0", 0);
    for number in 0..3 {
        bench.send(drivers[0], fields! { flow: number, ready: 1 });
        bench.send(drivers[1], fields! { flow: 0x100 + number, ready: 1 });
    }
    bench.run(20);
    let seen = |bench: &Bench| -> Vec<u64> {
        let words = bench.received(m).iter();
        words.map(|word| word.field("flow").u64()).collect()
    };
    // Unit 1 may have been first; unit 0 keeps the grant until its last word.
    let early: Vec<u64> = seen(&bench)
        .into_iter()
        .filter(|flow| *flow < 0x100)
        .collect();
    assert_eq!(early, [0, 1, 2]);
    assert!(seen(&bench).len() <= 4, "{:?}", seen(&bench));
    bench.poke("last_0", 1);
    bench.send(drivers[0], fields! { flow: 3, ready: 1 });
    bench.run_until_received(m, 7, 40);
}
