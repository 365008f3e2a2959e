//! Benches of `modules::vlan_strip` and `modules::vlan_insert`: frames in and out against a
//! model in Rust, at one beat a clock, on every data bus.

mod frames;
mod passing;
mod stage;

use frames::{cycles_of, trace};
use hallux_testbenches::Stalls;
use hallux_toe::interface::modules::vlan;
use hallux_toe::modules::port::{DROP, PASS};
use hallux_toe::modules::vlan_insert::{self, VlanInsert};
use hallux_toe::modules::vlan_strip::{self, VlanStrip};
use passing::Module;
use stage::{BUSES, Dice, assert_lint_clean, bench_of, on_bus};

const VLAN: u16 = 100;

fn strip(bus: usize, seed: u64) -> Module {
    Module::of(
        bus,
        on_bus!(bus, |N, K| bench_of(
            &VlanStrip::<N, K>::new(VLAN),
            "vlan_strip",
            seed
        )),
    )
}

fn insert(bus: usize, seed: u64) -> Module {
    Module::of(
        bus,
        on_bus!(bus, |N, K| bench_of(
            &VlanInsert::<N, K>::new(VLAN),
            "vlan_insert",
            seed
        )),
    )
}

/// A frame of `length` random bytes, with a tag if there is one.
fn frame(dice: &mut Dice, length: usize, tag: Option<u16>) -> Vec<u8> {
    let mut frame = dice.bytes(length);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    if let Some(tag) = tag {
        frame.splice(12..12, [[0x81, 0x00], tag.to_be_bytes()].concat());
    }
    frame
}

/// What becomes of it at ingress, without the counters.
fn stripped(frame: &[u8], tagged_only: bool) -> (Vec<u8>, u64) {
    if frame[12..14] != [0x81, 0x00] {
        let verdict = if tagged_only { DROP } else { PASS };
        return (frame.to_vec(), verdict);
    }
    match u16::from_be_bytes([frame[14], frame[15]]) & 0xfff {
        0 | VLAN => ([&frame[..12], &frame[16..]].concat(), PASS),
        _ => (frame.to_vec(), DROP),
    }
}

/// Every length around the ends of beats, then any.
fn lengths(dice: &mut Dice, bus: usize) -> Vec<usize> {
    let around = (1..4).flat_map(|beats| (0..10).map(move |more| beats * bus - 5 + more));
    let mut lengths: Vec<usize> = around.filter(|&length| length >= 60).collect();
    lengths.extend((0..60).map(|_| dice.within(60, 1514) as usize));
    lengths
}

#[test]
fn tags_of_our_vlan_go_and_frames_of_others_are_dropped() {
    for bus in BUSES {
        for (seed, stalls, tagged_only) in [(1, 0, false), (2, 40, true), (3, 60, false)] {
            let mut dice = Dice::new(seed);
            let mut module = strip(bus, seed);
            module.bench.stall(module.s, Stalls::random(stalls));
            module.bench.stall(module.m, Stalls::random(stalls));
            let setting = u64::from(VLAN) | if tagged_only { vlan::TAGGED_ONLY } else { 0 };
            module.write(vlan::TAG, setting);
            let mut expected = vec![];
            for length in lengths(&mut dice, bus) {
                let tag = match dice.below(5) {
                    0 => None,
                    1 => Some(101),
                    2 => Some(0xe000),
                    _ => Some(0x6000 | VLAN),
                };
                let frame = frame(&mut dice, length, tag);
                module.send(&frame, PASS);
                expected.push(stripped(&frame, tagged_only));
            }
            module.run();
            let frames = module.frames();
            assert!(frames == expected, "{bus} bytes, seed {seed}");
            let dropped = expected.iter().filter(|(_, v)| *v == DROP).count();
            assert_eq!(module.read(vlan::FOREIGN), dropped as u64);
            assert_eq!(module.read(vlan::TAG), setting);
        }
    }
}

#[test]
fn every_frame_gets_the_tag_without_a_gap() {
    for bus in BUSES {
        for (seed, stalls) in [(1, 0), (2, 50)] {
            let mut dice = Dice::new(seed);
            let mut module = insert(bus, seed);
            module.bench.stall(module.s, Stalls::random(stalls));
            module.bench.stall(module.m, Stalls::random(stalls));
            let tag = 0xa000 | VLAN;
            module.write(vlan::TAG, tag.into());
            let mut expected = vec![];
            let mut beats = 0;
            for length in lengths(&mut dice, bus) {
                let verdict = if dice.chance(20) { DROP } else { PASS };
                let plain = frame(&mut dice, length, None);
                module.send(&plain, verdict);
                let mut tagged = plain;
                tagged.splice(12..12, [[0x81, 0x00], u16::to_be_bytes(tag)].concat());
                beats += tagged.len().div_ceil(bus);
                expected.push((tagged, verdict));
            }
            module.run();
            assert!(module.frames() == expected, "{bus} bytes, seed {seed}");
            assert_eq!(module.read(vlan::TAGS), expected.len() as u64);
            if stalls == 0 {
                // Never a clock without a beat.
                let cycles = cycles_of(module.bench.log(), "m");
                assert_eq!(cycles.len(), beats);
                assert_eq!(cycles[beats - 1] - cycles[0], beats as u64 - 1);
            }
        }
    }
}

/// What the modules declare, measured.
#[test]
fn the_declared_latency_and_interval_are_kept() {
    let mut dice = Dice::new(4);
    let (mut insert, mut strip) = (insert(64, 1), strip(64, 1));
    let small = frame(&mut dice, 60, None);
    for module in [&mut insert, &mut strip] {
        for _ in 0..20 {
            module.send(&small, PASS);
        }
        module.run();
        let (taken, given) = (
            cycles_of(module.bench.log(), "s"),
            cycles_of(module.bench.log(), "m"),
        );
        assert_eq!(taken[19] - taken[0], 19);
        assert_eq!(given[19] - given[0], 19);
        let declared = [
            vlan_insert::DECLARATION.latency,
            vlan_strip::DECLARATION.latency,
        ];
        assert_eq!(declared, [given[0] - taken[0]; 2]);
    }
}

/// The first verdict stands.
#[test]
fn a_frame_that_was_judged_before_keeps_its_verdict() {
    let mut module = strip(64, 1);
    let mut dice = Dice::new(1);
    for verdict in 0..4 {
        let frame = frame(&mut dice, 100, Some(7));
        module.send(&frame, verdict);
    }
    module.run();
    let verdicts: Vec<u64> = module.frames().iter().map(|(_, v)| *v).collect();
    assert_eq!(verdicts, [DROP, 1, 2, 3]);
}

#[test]
fn a_tag_that_ends_with_a_beat() {
    let mut module = strip(64, 1);
    let mut ours: Vec<u8> = (0..66).collect();
    ours[12..16].copy_from_slice(&[0x81, 0x00, 0x00, VLAN as u8]);
    let mut plain: Vec<u8> = (0..70).collect();
    plain[12..14].copy_from_slice(&[0x08, 0x00]);
    module.send(&ours, PASS);
    module.send(&plain, PASS);
    module.run();
    insta::assert_snapshot!(trace(
        module.bench.log(),
        &["beat.keep", "beat.last", "verdict"]
    ));
}

#[test]
fn lint_clean() {
    for bus in BUSES {
        on_bus!(bus, |N, K| {
            assert_lint_clean(&VlanStrip::<N, K>::new(VLAN), "vlan_strip");
            assert_lint_clean(&VlanInsert::<N, K>::new(VLAN), "vlan_insert");
        });
    }
}
