//! Reorder brings segments back into ticket order, whatever order they come in.

mod frames;
mod stage;

use frames::{cycles_of, trace};
use hallux_testbenches::{Bench, Driver, Monitor, Stalls, fields};
use hallux_toe::stages::reorder::Reorder;
use stage::{Dice, assert_lint_clean, bench_of};

const DEPTH: u64 = 16;

fn bench() -> (Bench, Driver, Monitor) {
    let mut bench = bench_of(&Reorder::new(DEPTH as usize), "segment_order", 1);
    let (s, m) = (bench.driver("s"), bench.monitor("m"));
    bench.reset();
    (bench, s, m)
}

fn send(bench: &mut Bench, s: Driver, ticket: u64) {
    bench.send(
        s,
        fields! { flow: ticket & 0xffff ^ 0x55, summary.ticket: ticket, summary.seq: 3 * ticket },
    );
}

fn assert_in_order(bench: &Bench, m: Monitor) {
    for (ticket, segment) in bench.received(m).iter().enumerate() {
        assert_eq!(segment.field("summary.ticket"), ticket);
        assert_eq!(segment.field("summary.seq"), 3 * ticket);
        assert_eq!(segment.field("flow"), ticket & 0xffff ^ 0x55);
    }
}

#[test]
fn the_first_ticket_releases_those_that_came_before_it() {
    let (mut bench, s, m) = bench();
    for ticket in [2, 1, 0, 3, 5, 4] {
        send(&mut bench, s, ticket);
    }
    bench.run_until_received(m, 6, 30);
    insta::assert_snapshot!(trace(bench.log(), &["summary.ticket", "summary.seq"]));
}

#[test]
fn segments_in_order_pass_at_one_a_clock() {
    let (mut bench, s, m) = bench();
    for ticket in 0..200 {
        send(&mut bench, s, ticket);
    }
    bench.run_until_received(m, 200, 230);
    assert_in_order(&bench, m);
    let cycles = cycles_of(bench.log(), "m");
    assert_eq!(cycles[199] - cycles[0], 199, "{cycles:?}");
    bench.cycle();
    assert_eq!(bench.peek("idle"), 1);
}

#[test]
fn a_missing_ticket_holds_back_those_behind_it_and_the_buffer_fills() {
    let (mut bench, s, m) = bench();
    for ticket in 1..DEPTH {
        send(&mut bench, s, ticket);
    }
    send(&mut bench, s, DEPTH);
    bench.run(60);
    assert_eq!(bench.received(m).len(), 0);
    assert_eq!(bench.pending(s), 1, "a ticket too far ahead has to wait");
    assert_eq!(bench.peek("idle"), 0);
}

/// Tickets are shuffled within windows that the buffer can hold, as replicas of
/// identification with different delays would shuffle them.
#[test]
fn shuffled_tickets_leave_in_order_under_random_stalls() {
    let (mut bench, s, m) = bench();
    bench.stall(s, Stalls::random(20));
    bench.stall(m, Stalls::random(30));
    let mut dice = Dice::new(3);
    let count = 3000;
    let mut tickets: Vec<u64> = (0..count).collect();
    for window in tickets.chunks_mut(DEPTH as usize / 2) {
        for last in (1..window.len()).rev() {
            window.swap(last, dice.below(last as u64 + 1) as usize);
        }
    }
    for ticket in tickets {
        send(&mut bench, s, ticket);
    }
    bench.run_until_received(m, count as usize, 20_000);
    assert_in_order(&bench, m);
}

#[test]
fn the_verilog_is_lint_clean() {
    assert_lint_clean(&Reorder::new(64), "segment_order");
}
