//! The sequencer numbers summaries in arrival order and changes nothing else.

mod frames;
mod stage;

use frames::trace;
use hallux_testbenches::{Bench, Stalls, fields};
use hallux_toe::stages::sequence::Sequencer;
use stage::{Dice, assert_lint_clean, bench_of};

fn bench() -> Bench {
    bench_of(&Sequencer::default(), "sequencer", 1)
}

#[test]
fn numbers_begin_at_zero_and_a_summary_shows_at_once() {
    let mut bench = bench();
    let (s, m) = (bench.driver("s"), bench.monitor("m"));
    bench.reset();
    for seq in [100, 200, 300] {
        bench.send(s, fields! { seq: seq, ticket: 0x12_3456, class: 1 });
    }
    bench.run_until_received(m, 3, 20);
    insta::assert_snapshot!(trace(bench.log(), &["ticket", "class", "seq"]));
}

#[test]
fn order_and_numbers_survive_random_stalls() {
    let mut bench = bench();
    let (s, m) = (bench.driver("s"), bench.monitor("m"));
    bench.stall(s, Stalls::random(30));
    bench.stall(m, Stalls::random(40));
    bench.reset();
    let mut dice = Dice::new(7);
    let sent: Vec<u32> = (0..2000).map(|_| dice.word() as u32).collect();
    for &seq in &sent {
        bench.send(s, fields! { seq: seq });
    }
    bench.run_until_received(m, sent.len(), 20_000);
    for (number, (record, seq)) in bench.received(m).iter().zip(&sent).enumerate() {
        assert_eq!(record.field("ticket"), number);
        assert_eq!(record.field("seq"), *seq);
    }
}

#[test]
fn the_verilog_is_lint_clean() {
    assert_lint_clean(&Sequencer::default(), "sequencer");
}
