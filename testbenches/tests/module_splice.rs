//! Bench of `modules::splice`: segments are rewritten as if they had been built anew.

mod frames;
mod passing;
mod stage;

use frames::{ACK, FIN, PSH, RST, SYN, TcpFrame, cycles_of, trace};
use hallux_testbenches::Stalls;
use hallux_toe::interface::modules::{SpliceEntry, Tuple, splice};
use hallux_toe::modules::port::{DROP, PASS, REDIRECT, TRANSMIT};
use hallux_toe::modules::splice::{DECLARATION, Splice};
use passing::Module;
use stage::{BUSES, Dice, assert_lint_clean, bench_of, on_bus};

const PLACES: u64 = 16;
/// Source address of the frames of these benches.
const SOURCE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 9];

fn module(bus: usize, seed: u64) -> Module {
    Module::of(
        bus,
        on_bus!(bus, |N, K| bench_of(
            &Splice::<N, K>::new(PLACES as usize),
            "splice",
            seed
        )),
    )
}

/// A random entry whose way in its bucket is free in `used`.
fn entry(dice: &mut Dice, used: &mut Vec<(u64, u8)>) -> (SpliceEntry, u8) {
    loop {
        let tuple = |dice: &mut Dice| Tuple {
            source_ip: dice.word() as u32,
            destination_ip: dice.word() as u32,
            source_port: dice.word() as u16,
            destination_port: dice.word() as u16,
        };
        let entry = SpliceEntry {
            from: tuple(dice),
            to: tuple(dice),
            destination_mac: dice.bytes(6).try_into().unwrap(),
            source_mac: SOURCE_MAC,
            seq: dice.word() as u32,
            ack: dice.word() as u32,
        };
        let bucket = entry.bucket(PLACES);
        let way = used.iter().filter(|(b, _)| *b == bucket).count() as u8;
        if way < 4 {
            used.push((bucket, way));
            return (entry, way);
        }
    }
}

fn install(module: &mut Module, entry: &SpliceEntry, way: u8, in_use: bool) {
    for (register, value) in entry.writes(0, PLACES, way, in_use) {
        module.write(register, value);
    }
}

fn segment(dice: &mut Dice, of: &Tuple, flags: u8) -> TcpFrame {
    TcpFrame {
        remote_ip: of.source_ip,
        local_ip: of.destination_ip,
        remote_port: of.source_port,
        local_port: of.destination_port,
        seq: dice.word() as u32,
        ack: dice.word() as u32,
        window: dice.word() as u16,
        flags,
        payload: {
            let count = dice.below(200) as usize;
            dice.bytes(count)
        },
        ..TcpFrame::default()
    }
}

/// What leaves, built anew.
fn spliced(frame: &TcpFrame, entry: &SpliceEntry) -> TcpFrame {
    TcpFrame {
        destination: entry.destination_mac,
        remote_ip: entry.to.source_ip,
        local_ip: entry.to.destination_ip,
        remote_port: entry.to.source_port,
        local_port: entry.to.destination_port,
        seq: frame.seq.wrapping_add(entry.seq),
        ack: frame.ack.wrapping_add(entry.ack),
        ..frame.clone()
    }
}

#[test]
fn segments_of_the_table_leave_as_those_of_the_other_connection() {
    for bus in BUSES {
        for (seed, stalls) in [(1, 0), (2, 50)] {
            let mut dice = Dice::new(seed);
            let mut module = module(bus, seed);
            module.bench.stall(module.s, Stalls::random(stalls));
            module.bench.stall(module.m, Stalls::random(stalls));
            let mut used = vec![];
            let entries: Vec<_> = (0..8).map(|_| entry(&mut dice, &mut used)).collect();
            for (entry, way) in &entries {
                install(&mut module, entry, *way, true);
            }
            let (mut expected, mut sent) = (vec![], 0);
            for _ in 0..300 {
                let (entry, _) = &entries[dice.below(8) as usize];
                let mut frame = segment(&mut dice, &entry.from, ACK | PSH);
                let (frame, out, verdict) = match dice.below(8) {
                    // Of no connection, or not to be looked at.
                    0 => {
                        frame.remote_port ^= 1;
                        (frame.build(), frame.build(), PASS)
                    }
                    1 => {
                        frame.vlan = Some(3);
                        (frame.build(), frame.build(), PASS)
                    }
                    2 => {
                        frame.protocol = 17;
                        (frame.build(), frame.build(), PASS)
                    }
                    3 => {
                        frame.ip_options = vec![1; 4];
                        (frame.build(), frame.build(), PASS)
                    }
                    _ => (frame.build(), spliced(&frame, entry).build(), TRANSMIT),
                };
                module.send(&frame, PASS);
                sent += u64::from(verdict == TRANSMIT);
                expected.push((out, verdict));
            }
            module.run();
            assert!(module.frames() == expected, "{bus} bytes, seed {seed}");
            assert_eq!(module.read(splice::TRANSMITTED), sent);
            assert_eq!(module.read(splice::ENDED), 0);
        }
    }
}

#[test]
fn what_ends_a_connection_ends_its_splice_at_once() {
    let mut dice = Dice::new(5);
    let mut module = module(64, 1);
    for flags in [FIN | ACK, RST, SYN] {
        let (entry, way) = entry(&mut dice, &mut vec![]);
        install(&mut module, &entry, way, true);
        let ends = segment(&mut dice, &entry.from, flags).build();
        let after = segment(&mut dice, &entry.from, ACK).build();
        // The next segment follows without a gap.
        module.send(&ends, PASS);
        module.send(&after, PASS);
        module.run();
        assert_eq!(module.frames(), [(ends, REDIRECT), (after, PASS)]);
        module.bench.take_received(module.m);
    }
    assert_eq!(module.read(splice::ENDED), 3);
}

#[test]
fn a_damaged_segment_stays_damaged() {
    let mut dice = Dice::new(6);
    let mut module = module(64, 1);
    let (entry, way) = entry(&mut dice, &mut vec![]);
    install(&mut module, &entry, way, true);
    let mut frame = segment(&mut dice, &entry.from, ACK);
    frame.tcp_checksum_error = 0x0100;
    module.send(&frame.build(), PASS);
    module.run();
    assert_ne!(
        module.frames()[0].0,
        spliced(
            &TcpFrame {
                tcp_checksum_error: 0,
                ..frame
            },
            &entry
        )
        .build()
    );
}

#[test]
fn an_entry_is_taken_out_and_an_earlier_verdict_stands() {
    let mut dice = Dice::new(7);
    let mut module = module(64, 1);
    let (entry, way) = entry(&mut dice, &mut vec![]);
    install(&mut module, &entry, way, true);
    let mut frame = segment(&mut dice, &entry.from, ACK);
    frame.payload = vec![1; 30];
    module.send(&frame.build(), DROP);
    module.send(&frame.build(), PASS);
    module.run();
    install(&mut module, &entry, way, false);
    module.send(&frame.build(), PASS);
    module.run();
    let verdicts: Vec<u64> = module
        .frames()
        .iter()
        .map(|(_, verdict)| *verdict)
        .collect();
    assert_eq!(verdicts, [DROP, TRANSMIT, PASS]);
    assert_eq!(module.frames()[0].0, frame.build());
    insta::assert_snapshot!(trace(module.bench.log(), &["beat.last", "verdict"]));
}

#[test]
fn the_declared_latency_and_interval_are_kept() {
    let mut dice = Dice::new(8);
    let mut module = module(64, 1);
    let (entry, way) = entry(&mut dice, &mut vec![]);
    install(&mut module, &entry, way, true);
    let mut frame = segment(&mut dice, &entry.from, ACK);
    frame.payload = vec![];
    for _ in 0..100 {
        module.send(&frame.build(), PASS);
    }
    module.run();
    let (s, m) = (
        cycles_of(module.bench.log(), "s"),
        cycles_of(module.bench.log(), "m"),
    );
    assert_eq!((s[99] - s[0], m[99] - m[0]), (99, 99));
    assert_eq!(m[0] - s[0], DECLARATION.latency);
}

#[test]
fn lint_clean() {
    for bus in BUSES {
        on_bus!(bus, |N, K| {
            assert_lint_clean(&Splice::<N, K>::new(64), "splice");
        });
    }
}
