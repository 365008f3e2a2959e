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
            ts_value: dice.word() as u32,
            ts_echo: dice.word() as u32,
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

/// A number in the options, at a byte of them.
#[derive(Clone, Copy, Debug)]
enum Number {
    Value(usize),
    Echo(usize),
    Edge(usize),
}

/// What a segment's options are.
#[derive(Clone, Debug, Default)]
struct TcpOptions {
    bytes: Vec<u8>,
    numbers: Vec<Number>,
}

impl TcpOptions {
    /// Random ones that the module understands: each at most once, NOPs and an end anywhere.
    fn random(dice: &mut Dice) -> Self {
        let mut options = Self::default();
        let limit = 4 * dice.below(11) as usize;
        let (mut stamps, mut blocks) = (dice.below(2) == 0, dice.below(5) as usize);
        loop {
            options.nops(dice.below(4) as usize, limit);
            let at = options.bytes.len() + 2;
            if stamps && dice.below(2) == 0 && at + 8 <= limit {
                stamps = false;
                options.bytes.extend([8, 10]);
                options.bytes.extend(dice.bytes(8));
                options
                    .numbers
                    .extend([Number::Value(at), Number::Echo(at + 4)]);
            } else if blocks > 0 && at + 8 * blocks <= limit {
                options.bytes.extend([5, 2 + 8 * blocks as u8]);
                options.bytes.extend(dice.bytes(8 * blocks));
                let edges = (at..at + 8 * blocks).step_by(4);
                options.numbers.extend(edges.map(Number::Edge));
                blocks = 0;
            } else if !stamps || dice.below(4) == 0 {
                break;
            }
        }
        let rest = limit - options.bytes.len();
        if rest > 0 && dice.below(2) == 0 {
            // What stands behind the end is no option.
            options.bytes.push(0);
            let like = [8, 10, 5, 10, 1, 3];
            let more = (1..rest).map(|_| like[dice.below(6) as usize]);
            options.bytes.extend(more.collect::<Vec<u8>>());
        } else {
            options.nops(rest, limit);
        }
        options
    }

    fn nops(&mut self, count: usize, limit: usize) {
        let count = count.min(limit - self.bytes.len());
        self.bytes.extend(vec![1; count]);
    }

    /// They on the other connection.
    fn moved(&self, entry: &SpliceEntry) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for number in &self.numbers {
            let (at, difference) = match *number {
                Number::Value(at) => (at, entry.ts_value),
                Number::Echo(at) => (at, entry.ts_echo),
                Number::Edge(at) => (at, entry.ack),
            };
            let old = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
            bytes[at..at + 4].copy_from_slice(&old.wrapping_add(difference).to_be_bytes());
        }
        bytes
    }
}

/// Options of a length that frames have, that the module does not understand.
fn strange(dice: &mut Dice) -> Vec<u8> {
    let stamps = [8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    match dice.below(9) {
        // A kind of its own, alone or behind something known; MSS.
        0 => vec![1, 253, 4, 1, 1, 1, 1, 1],
        1 => [&stamps[..], &[30, 6, 0, 0, 0, 0]].concat(),
        2 => vec![2, 4, 5, 180],
        // Twice.
        3 => [&stamps[..], &stamps, &[1, 1, 1, 1]].concat(),
        4 => [&[5, 10][..], &[7; 8], &[5, 10], &[7; 8]].concat(),
        // Lengths that they do not have.
        5 => vec![8, 9, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1],
        6 => [&[5, 14][..], &[0; 12], &[1, 1]].concat(),
        // Beyond the end.
        7 => vec![1, 1, 1, 8],
        _ => vec![1, 1, 1, 5, 10, 1, 1, 1],
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
            let (mut expected, mut sent, mut handed) = (vec![], 0, 0);
            for _ in 0..600 {
                let (entry, _) = &entries[dice.below(8) as usize];
                let mut frame = segment(&mut dice, &entry.from, ACK | PSH);
                let options = TcpOptions::random(&mut dice);
                frame.tcp_options = options.bytes.clone();
                let (frame, out, verdict) = match dice.below(14) {
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
                    // Options that are the control plane's.
                    4 => {
                        frame.tcp_options = strange(&mut dice);
                        (frame.build(), frame.build(), REDIRECT)
                    }
                    5 => {
                        frame.data_offset = Some(dice.below(5) as u8);
                        (frame.build(), frame.build(), REDIRECT)
                    }
                    // More of them than there are bytes.
                    6 => {
                        frame.payload.clear();
                        frame.data_offset = Some(6 + options.bytes.len() as u8 / 4);
                        match frame.data_offset {
                            Some(..16) => (frame.build(), frame.build(), REDIRECT),
                            _ => continue,
                        }
                    }
                    _ => {
                        let out = TcpFrame {
                            tcp_options: options.moved(entry),
                            ..spliced(&frame, entry)
                        };
                        (frame.build(), out.build(), TRANSMIT)
                    }
                };
                module.send(&frame, PASS);
                handed += u64::from(verdict == REDIRECT);
                sent += u64::from(verdict == TRANSMIT);
                expected.push((out, verdict));
            }
            module.run();
            for (number, (found, wanted)) in module.frames().iter().zip(&expected).enumerate() {
                assert_eq!(found, wanted, "frame {number}, {bus} bytes, seed {seed}");
            }
            assert_eq!(module.frames().len(), expected.len());
            assert_eq!(module.read(splice::HANDED), handed);
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

/// Each number at each byte, with differences that carry and that do not.
#[test]
fn numbers_are_found_wherever_they_stand() {
    for bus in BUSES {
        let mut dice = Dice::new(9);
        let mut module = module(bus, 1);
        let (mut used, mut expected) = (vec![], vec![]);
        for differences in [0, 1, 0xff, 0xffff_ffff, 0x8000_0000, 0x0100_00ff] {
            let (entry, way) = entry(&mut dice, &mut used);
            let entry = SpliceEntry {
                ack: differences,
                ts_value: differences,
                ts_echo: differences.wrapping_neg(),
                ..entry
            };
            install(&mut module, &entry, way, true);
            for blocks in 0..5 {
                let stamps = if blocks == 4 { 0 } else { 10 };
                let sacks = if blocks == 0 { 0 } else { 2 + 8 * blocks };
                for before in 0..=40 - stamps - sacks {
                    let mut options = TcpOptions::default();
                    options.nops(before, 40);
                    let at = before + 2;
                    if stamps > 0 {
                        options.bytes.extend([8, 10]);
                        options.bytes.extend([0xff; 8]);
                        options
                            .numbers
                            .extend([Number::Value(at), Number::Echo(at + 4)]);
                    }
                    if sacks > 0 {
                        options.bytes.extend([5, sacks as u8]);
                        options.bytes.extend(dice.bytes(8 * blocks));
                        let edges = (at + stamps..).step_by(4).take(2 * blocks);
                        options.numbers.extend(edges.map(Number::Edge));
                    }
                    let rest = options.bytes.len().next_multiple_of(4) - options.bytes.len();
                    options.nops(rest, 40);
                    let mut frame = segment(&mut dice, &entry.from, ACK);
                    frame.payload.truncate(3);
                    frame.tcp_options = options.bytes.clone();
                    module.send(&frame.build(), PASS);
                    let out = TcpFrame {
                        tcp_options: options.moved(&entry),
                        ..spliced(&frame, &entry)
                    };
                    expected.push((out.build(), TRANSMIT));
                }
            }
            module.run();
        }
        for (number, (found, wanted)) in module.frames().iter().zip(&expected).enumerate() {
            assert_eq!(found, wanted, "frame {number}, {bus} bytes");
        }
        assert_eq!(module.frames().len(), expected.len());
    }
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
