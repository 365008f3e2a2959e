//! Bench of `modules::trace`: rows of tracepoints against a model in Rust.

mod stage;

use hallux_testbenches::{Bench, Stalls, fields};
use hallux_toe::channels::{CLASS_FAST, CLASS_SLOW, KIND_CMD, KIND_RX, KIND_TX};
use hallux_toe::interface::modules::trace;
use hallux_toe::interface::{Opcode, notice};
use hallux_toe::modules::trace::Trace;
use stage::{Dice, assert_lint_clean, bench_of};

const FLOWS: usize = 16;
const GROUPS: usize = 2;

fn read(bench: &mut Bench, word: u64) -> u64 {
    bench.poke_struct("access", fields! { word: word / 8 });
    bench.run(2);
    bench.peek("answer").u64()
}

fn row(bench: &mut Bench, flow: u64) -> [u64; trace::POINTS] {
    let select = fields! { write: true, word: trace::SELECT / 8, data: flow };
    bench.poke_struct("access", select);
    bench.cycle();
    std::array::from_fn(|point| read(bench, trace::POINT + 8 * point as u64))
}

#[test]
fn every_outcome_is_counted_in_the_row_of_its_flow() {
    for (seed, stalls) in [(1, 0), (2, 50)] {
        let mut dice = Dice::new(seed);
        let mut bench = bench_of(&Trace::new(FLOWS, GROUPS), "trace", seed);
        let s = bench.driver("s");
        bench.stall(s, Stalls::random(stalls));
        bench.poke("group", 1);
        bench.reset();
        let mut rows = [[0u64; trace::POINTS]; FLOWS];
        let count = 2000;
        for number in 0..count {
            // Often the same flow again, at once or two clocks later.
            let flow = match number {
                0..32 => number as usize % FLOWS,
                _ if dice.chance(70) => dice.below(2) as usize,
                _ => dice.below(FLOWS as u64) as usize,
            };
            let row = &mut rows[flow];
            let (kind, opens) = match dice.below(if number < 16 { 1 } else { 20 }) {
                0 => (KIND_CMD, true),
                1..10 => (KIND_TX, false),
                _ => (KIND_RX, false),
            };
            let received = kind == KIND_RX;
            let place = received && dice.chance(60);
            let placed = dice.within(1, 1448);
            let early = dice.chance(30);
            let send = !opens && dice.chance(60);
            let length = if dice.chance(50) {
                dice.within(1, 1448)
            } else {
                0
            };
            let flags = dice.below(16);
            let rtt = if received && dice.chance(20) {
                dice.within(1, 5000)
            } else {
                0
            };
            let slow = !opens && dice.chance(10);
            let class = if slow { CLASS_SLOW } else { CLASS_FAST };
            bench.send(
                s,
                fields! {
                    kind: kind, class: class, flow: flow as u64,
                    opcode: if opens { Opcode::Open as u64 } else { 0 },
                    place: place, place_len: placed,
                    rx_bump: if early { 0 } else { placed },
                    send: send, length: length, notice_flags: flags, rtt: rtt,
                },
            );
            if slow {
                continue;
            }
            if opens {
                *row = [0; trace::POINTS];
            }
            let flag = |flag: u8| u64::from(received && flags & u64::from(flag) != 0);
            row[trace::RECEIVED] += u64::from(received);
            row[trace::PLACED] += if place { placed } else { 0 };
            row[trace::OUT_OF_ORDER] += u64::from(place && early);
            row[trace::DATA_SENT] += u64::from(send && length > 0);
            row[trace::ACKS_SENT] += u64::from(send && length == 0);
            row[trace::FAST_RETRANSMITS] += flag(notice::FAST_RETRANSMIT);
            row[trace::ECN_ECHOES] += flag(notice::ECN_ECHO);
            if rtt > 0 {
                row[trace::RTT] = rtt;
            }
        }
        bench.run_until(10_000, |bench| {
            bench.pending(s) == 0 && bench.peek("idle") == 1
        });
        if stalls == 0 {
            let cycles = bench.cycles();
            assert!(cycles <= count + 4, "{cycles} cycles for {count} outcomes");
        }
        for (flow, expected) in rows.iter().enumerate() {
            let of_group = (flow * GROUPS + 1) as u64;
            assert_eq!(
                row(&mut bench, of_group),
                *expected,
                "flow {flow}, seed {seed}"
            );
        }
        // A flow of another group is not ours to answer for.
        assert_eq!(row(&mut bench, 0), [0; trace::POINTS]);
    }
}

#[test]
fn lint_clean() {
    assert_lint_clean(&Trace::new(64, 1), "trace");
    assert_lint_clean(&Trace::new(64, 4), "trace");
}
