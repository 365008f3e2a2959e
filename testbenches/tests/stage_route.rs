//! Bench of `stages::route`.

mod frames;
mod stage;

use frames::beats;
use hallux_testbenches::{Stalls, fields};
use hallux_toe::channels::{CLASS_FAST, CLASS_SLOW};
use hallux_toe::stages::route::Route;
use stage::{Dice, assert_lint_clean, bench_of};

const GROUPS: usize = 4;

#[test]
fn lint_clean() {
    assert_lint_clean(&Route::<512, 64>::new(GROUPS, 64), "route");
}

/// Every group gets the segments of its flows, with ids of its own, and their frames, both
/// in order, whoever is stalled.
#[test]
fn segments_and_frames_reach_their_group_in_order() {
    for (seed, stalls) in [(1, 0), (2, 30), (3, 60)] {
        let mut dice = Dice::new(seed);
        let mut bench = bench_of(&Route::<512, 64>::new(GROUPS, 64), "route", seed);
        let (s, s_beats) = (bench.driver("s"), bench.driver("s_beats"));
        let m: Vec<_> = (0..GROUPS)
            .map(|g| bench.monitor(&format!("m_{g}")))
            .collect();
        let m_beats: Vec<_> = (0..GROUPS)
            .map(|g| bench.monitor(&format!("m_beats_{g}")))
            .collect();
        bench.reset();
        bench.stall(s, Stalls::random(dice.below(1 + stalls) as u32));
        bench.stall(s_beats, Stalls::random(dice.below(1 + stalls) as u32));
        for g in 0..GROUPS {
            bench.stall(m[g], Stalls::random(dice.below(1 + stalls) as u32));
            bench.stall(m_beats[g], Stalls::random(dice.below(1 + stalls) as u32));
        }
        let mut segments = vec![vec![]; GROUPS];
        let mut count = 0;
        for ticket in 0..200_u64 {
            let fast = dice.chance(80);
            let flow = dice.below(1024);
            let class = if fast { CLASS_FAST } else { CLASS_SLOW };
            let group = if fast { flow as usize % GROUPS } else { 0 };
            bench.send(
                s,
                fields! { summary.ticket: ticket, summary.class: class, flow: flow },
            );
            segments[group].push((ticket, flow / GROUPS as u64));
            // The frame carries its ticket in every byte.
            let frame = vec![ticket as u8; dice.within(60, 600) as usize];
            for beat in beats(&frame) {
                bench.send(s_beats, beat);
                count += 1;
            }
        }
        let received = |bench: &hallux_testbenches::Bench| -> usize {
            m_beats.iter().map(|&m| bench.received(m).len()).sum()
        };
        bench.run_until(50_000, |bench| received(bench) == count);
        if stalls == 0 {
            let cycles = bench.cycles();
            assert!(
                cycles <= count as u64 + 10,
                "{cycles} cycles for {count} beats"
            );
        }
        for g in 0..GROUPS {
            let seen: Vec<_> = bench
                .received(m[g])
                .iter()
                .map(|word| (word.field("summary.ticket").u64(), word.field("flow").u64()))
                .collect();
            assert_eq!(seen, segments[g], "group {g}");
            let frames: Vec<u64> = bench
                .received(m_beats[g])
                .iter()
                .filter(|beat| beat.field("last") == 1)
                .map(|beat| u64::from(beat.field("data").to_bytes(64)[0]))
                .collect();
            let tickets: Vec<u64> = segments[g].iter().map(|(ticket, _)| *ticket).collect();
            assert_eq!(frames, tickets, "group {g}");
        }
        bench.run(2);
        assert_eq!(bench.peek("idle"), true);
    }
}
