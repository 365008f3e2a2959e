//! The parser against a judgement of the same octets in plain Rust.

mod frames;
mod stage;

use frames::{
    ACK, CWR, ECE, FIN, PSH, RST, STATION, SYN, TcpFrame, URG, beats_of, cycles_of, internet_sum,
    timestamps,
};
use hallux_testbenches::{Bench, Driver, Fields, Monitor, Record, Stalls};
use hallux_toe::channels::{CLASS_DROP, CLASS_FAST, CLASS_SLOW};
use hallux_toe::interface::Drop;
use hallux_toe::stages::parse::{FRAME_BYTES, Parse, ROOM_LAG};
use stage::{BUSES, Dice, assert_lint_clean, bench_of, on_bus};
use std::fmt::Write;

/// Clocks from the last beat of a frame to its summary.
const LATENCY: u64 = 9;

/// What becomes of a frame that is admitted.
#[derive(Clone, Debug, PartialEq)]
enum Judgement {
    Dropped(Drop),
    Slow,
    Fast(Fast),
}

/// The fields of a fast frame.
#[derive(Clone, Debug, PartialEq)]
struct Fast {
    remote_ip: u32,
    local_ip: u32,
    remote_port: u16,
    local_port: u16,
    seq: u32,
    ack: u32,
    flags: u8,
    window: u16,
    timestamps: Option<(u32, u32)>,
    /// Up to three blocks.
    sack: Vec<(u32, u32)>,
    ce: bool,
    payload_offset: u8,
    payload_len: u16,
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from(be16(bytes, at)) << 16 | u32::from(be16(bytes, at + 2))
}

/// Timestamps and SACK blocks of well-formed options that the fast path knows.
#[allow(clippy::type_complexity)]
fn read_options(mut options: &[u8]) -> Option<(Option<(u32, u32)>, Vec<(u32, u32)>)> {
    let (mut found, mut blocks) = (None, Vec::new());
    while let Some(&kind) = options.first() {
        let length = match kind {
            0 => break,
            1 => 1,
            _ => usize::from(*options.get(1)?),
        };
        let option = options.get(..length)?;
        match (kind, length) {
            (1, _) => {}
            (5, 10 | 18 | 26 | 34) => {
                let block = |block: &[u8]| (be32(block, 0), be32(block, 4));
                blocks = option[2..].chunks(8).take(3).map(block).collect();
            }
            (8, 10) if found.is_none() => found = Some((be32(option, 2), be32(option, 6))),
            _ => return None,
        }
        options = &options[length..];
    }
    Some((found, blocks))
}

fn judge(frame: &[u8]) -> Judgement {
    use Judgement::{Dropped, Slow};
    if frame.len() > 1518 {
        return Dropped(Drop::Oversize);
    }
    if frame.len() < 14 {
        return Dropped(Drop::Truncated);
    }
    let ours = frame[..6] == STATION;
    if !ours && frame[0] & 1 == 0 {
        return Dropped(Drop::NotOurs);
    }
    if be16(frame, 12) != 0x0800 {
        return Slow;
    }
    let ip = &frame[14..];
    if ip.len() < 20 {
        return Dropped(Drop::Truncated);
    }
    let header = 4 * usize::from(ip[0] & 15);
    if ip[0] >> 4 != 4 || header < 20 {
        return Slow;
    }
    let total = usize::from(be16(ip, 2));
    if total < header || ip.len() < total {
        return Dropped(Drop::Truncated);
    }
    let segment = &ip[header..total];
    let whole_tcp = ip[9] == 6 && be16(ip, 6) & 0x3fff == 0;
    if whole_tcp {
        let needed = if segment.len() < 20 || header > 20 {
            20
        } else {
            4 * usize::from(segment[12] >> 4)
        };
        if segment.len() < needed {
            return Dropped(Drop::Truncated);
        }
    }
    if internet_sum(&[&ip[..header]]) != 0xffff {
        return Dropped(Drop::IpChecksum);
    }
    if !whole_tcp {
        return Slow;
    }
    let length = (segment.len() as u16).to_be_bytes();
    if internet_sum(&[&ip[12..20], &[0, 6], &length, segment]) != 0xffff {
        return Dropped(Drop::TcpChecksum);
    }
    let flags = segment[13];
    let data = 4 * usize::from(segment[12] >> 4);
    if header > 20 || !ours || data < 20 || flags & ACK == 0 || flags & (SYN | RST | URG) != 0 {
        return Slow;
    }
    let Some((timestamps, sack)) = read_options(&segment[20..data]) else {
        return Slow;
    };
    Judgement::Fast(Fast {
        remote_ip: be32(ip, 12),
        local_ip: be32(ip, 16),
        remote_port: be16(segment, 0),
        local_port: be16(segment, 2),
        seq: be32(segment, 4),
        ack: be32(segment, 8),
        flags,
        window: be16(segment, 14),
        timestamps,
        sack,
        ce: ip[1] & 3 == 3,
        payload_offset: (34 + data) as u8,
        payload_len: (segment.len() - data) as u16,
    })
}

/// The judgement that a summary expresses; a drop's reason is not in it.
fn judgement_of(summary: &Record) -> Judgement {
    let field = |name: &str| summary.field(name).u64();
    match field("class") {
        CLASS_DROP => Judgement::Dropped(Drop::Disabled),
        CLASS_SLOW => Judgement::Slow,
        CLASS_FAST => Judgement::Fast(Fast {
            remote_ip: field("remote_ip") as u32,
            local_ip: field("local_ip") as u32,
            remote_port: field("remote_port") as u16,
            local_port: field("local_port") as u16,
            seq: field("seq") as u32,
            ack: field("ack") as u32,
            flags: field("flags") as u8,
            window: field("window") as u16,
            timestamps: (field("ts_present") == 1)
                .then(|| (field("ts_val") as u32, field("ts_ecr") as u32)),
            sack: ["first", "second", "third"][..field("sack.count") as usize]
                .iter()
                .map(|block| {
                    let edge = |edge| field(&format!("sack.{block}.{edge}")) as u32;
                    (edge("left"), edge("right"))
                })
                .collect(),
            ce: field("ce") == 1,
            payload_offset: field("payload_offset") as u8,
            payload_len: field("payload_len") as u16,
        }),
        class => panic!("class {class}"),
    }
}

struct Parser {
    /// Bytes of a beat.
    bus: usize,
    bench: Bench,
    s: Driver,
    m: Monitor,
    m_beats: Monitor,
    drops: Vec<u64>,
}

impl Parser {
    fn new(summaries: usize) -> Self {
        Self::on(64, summaries)
    }

    fn on(bus: usize, summaries: usize) -> Self {
        let mut bench = on_bus!(bus, |N, K| bench_of(
            &Parse::<N, K>::new(summaries),
            "parse",
            1
        ));
        let s = bench.driver("s");
        let (m, m_beats) = (bench.monitor("m"), bench.monitor("m_beats"));
        let station = STATION
            .iter()
            .fold(0u64, |mac, &octet| mac << 8 | u64::from(octet));
        bench.poke("mac", station);
        bench.poke("enabled", 1);
        bench.poke("room", 1000);
        bench.reset();
        Self {
            bus,
            bench,
            s,
            m,
            m_beats,
            drops: vec![],
        }
    }

    fn send(&mut self, frame: &[u8]) {
        for beat in beats_of(self.bus, frame) {
            self.bench.send(self.s, beat);
        }
    }

    fn cycle(&mut self) {
        if self.bench.peek("drop_valid") == 1 {
            self.drops.push(self.bench.peek("drop_reason").u64());
        }
        self.bench.cycle();
    }

    /// Until everything sent has come out.
    fn drain(&mut self) {
        for _ in 0..100_000 {
            if self.bench.pending(self.s) == 0 && self.bench.peek("idle") == 1 {
                return;
            }
            self.cycle();
        }
        panic!("never idle");
    }
}

/// The beats that the frame buffer gets of an admitted frame.
fn stored(bus: usize, frame: &[u8]) -> Vec<Fields> {
    let length = frame.len().min(FRAME_BYTES as usize);
    beats_of(bus, &frame[..length])
}

/// Sends `list` with all admitted and compares summaries, beats and drops.
fn check_all(parser: &mut Parser, list: &[Vec<u8>]) {
    for frame in list {
        parser.send(frame);
    }
    parser.drain();
    let summaries = parser.bench.take_received(parser.m);
    assert_eq!(summaries.len(), list.len());
    let mut drops = vec![];
    for (index, (frame, summary)) in list.iter().zip(&summaries).enumerate() {
        let mut expected = judge(frame);
        if let Judgement::Dropped(reason) = &mut expected {
            drops.push(*reason as u64);
            *reason = Drop::Disabled;
        }
        assert_eq!(
            judgement_of(summary),
            expected,
            "frame {index}: {frame:02x?}"
        );
        assert_eq!(
            summary.field("frame_len"),
            frame.len().min(FRAME_BYTES as usize),
            "frame {index}"
        );
    }
    assert_eq!(std::mem::take(&mut parser.drops), drops);
    let expected: Vec<Fields> = list
        .iter()
        .flat_map(|frame| stored(parser.bus, frame))
        .collect();
    let received = parser.bench.take_received(parser.m_beats);
    assert_eq!(received.len(), expected.len());
    for (beat, fields) in received.iter().zip(&expected) {
        for (name, value) in fields {
            assert_eq!(beat.field(name), *value);
        }
    }
}

fn one(parser: &mut Parser, frame: TcpFrame) -> Judgement {
    let octets = frame.build();
    check_all(parser, std::slice::from_ref(&octets));
    judge(&octets)
}

#[test]
fn a_few_frames_and_what_becomes_of_them() {
    let base = TcpFrame {
        payload: b"hello".to_vec(),
        ..TcpFrame::default()
    };
    let list = [
        ("data", base.clone()),
        (
            "with timestamps",
            TcpFrame {
                tcp_options: timestamps(7, 6),
                ..base.clone()
            },
        ),
        (
            "SYN",
            TcpFrame {
                flags: SYN,
                ..base.clone()
            },
        ),
        (
            "VLAN",
            TcpFrame {
                vlan: Some(5),
                ..base.clone()
            },
        ),
        (
            "other station",
            TcpFrame {
                destination: [2; 6],
                ..base.clone()
            },
        ),
        (
            "bad IP checksum",
            TcpFrame {
                ip_checksum_error: 1,
                ..base.clone()
            },
        ),
        (
            "bad TCP checksum",
            TcpFrame {
                tcp_checksum_error: 1,
                ..base.clone()
            },
        ),
        (
            "short",
            TcpFrame {
                total_length_error: 1,
                ..base.clone()
            },
        ),
    ];
    let mut parser = Parser::new(4096);
    let mut trace = String::new();
    for (name, frame) in list {
        parser.send(&frame.build());
        parser.drain();
        let summary = parser.bench.take_received(parser.m).remove(0);
        let _ = write!(trace, "{name}: ");
        let _ = match judgement_of(&summary) {
            Judgement::Dropped(_) => {
                writeln!(
                    trace,
                    "{}",
                    Drop::ALL[parser.drops.remove(0) as usize].name()
                )
            }
            other => writeln!(trace, "{other:?}"),
        };
    }
    insta::assert_snapshot!(trace);
}

#[test]
fn flags_and_addresses_choose_the_path() {
    let mut parser = Parser::new(4096);
    let list: Vec<_> = (0..=255u8)
        .map(|flags| {
            TcpFrame {
                flags,
                payload: vec![flags; 9],
                ..TcpFrame::default()
            }
            .build()
        })
        .collect();
    check_all(&mut parser, &list);
    for flags in [ACK, ACK | PSH, ACK | FIN, ACK | ECE | CWR] {
        let frame = TcpFrame {
            flags,
            ..TcpFrame::default()
        };
        assert!(matches!(one(&mut parser, frame), Judgement::Fast(_)));
    }
    for frame in [
        TcpFrame {
            destination: [0xff; 6],
            ..TcpFrame::default()
        },
        TcpFrame {
            protocol: 17,
            ..TcpFrame::default()
        },
        TcpFrame {
            ethertype: 0x0806,
            ..TcpFrame::default()
        },
        TcpFrame {
            version: 6,
            ..TcpFrame::default()
        },
        TcpFrame {
            fragment: 0x2000,
            ..TcpFrame::default()
        },
        TcpFrame {
            fragment: 0x0001,
            ..TcpFrame::default()
        },
        TcpFrame {
            ip_options: vec![1; 4],
            ..TcpFrame::default()
        },
        TcpFrame {
            ip_options: vec![1; 40],
            payload: vec![3; 200],
            ..TcpFrame::default()
        },
        TcpFrame {
            data_offset: Some(4),
            ..TcpFrame::default()
        },
    ] {
        assert_eq!(
            one(&mut parser, frame.clone()),
            Judgement::Slow,
            "{frame:?}"
        );
    }
    for (frame, reason) in [
        (
            TcpFrame {
                ip_options: vec![1; 40],
                ip_checksum_error: 0x100,
                ..TcpFrame::default()
            },
            Drop::IpChecksum,
        ),
        (
            TcpFrame {
                ip_options: vec![1; 8],
                tcp_checksum_error: 4,
                ..TcpFrame::default()
            },
            Drop::TcpChecksum,
        ),
        (
            TcpFrame {
                flags: SYN,
                tcp_checksum_error: 4,
                ..TcpFrame::default()
            },
            Drop::TcpChecksum,
        ),
        (
            TcpFrame {
                protocol: 17,
                ip_checksum_error: 4,
                ..TcpFrame::default()
            },
            Drop::IpChecksum,
        ),
        (
            TcpFrame {
                data_offset: Some(6),
                ..TcpFrame::default()
            },
            Drop::Truncated,
        ),
        (
            TcpFrame {
                total_length_error: -1,
                ..TcpFrame::default()
            },
            Drop::Truncated,
        ),
    ] {
        assert_eq!(
            one(&mut parser, frame.clone()),
            Judgement::Dropped(reason),
            "{frame:?}"
        );
    }
}

/// Options in any order and number: well-formed ones, unknown ones, broken ones.
fn random_options(dice: &mut Dice) -> Vec<u8> {
    let length = 4 * dice.below(11) as usize;
    let mut options = vec![];
    while options.len() < length {
        match dice.below(16) {
            0..5 => options.push(1),
            5..9 => {
                options.extend([8, 10]);
                options.extend(dice.bytes(8));
            }
            9..12 => {
                let blocks = 1 + dice.below(4) as usize;
                options.extend([5, (2 + 8 * blocks) as u8]);
                options.extend(dice.bytes(8 * blocks));
            }
            12 if dice.below(2) == 0 => options.push(0),
            13 if dice.below(4) == 0 => options.extend([8, dice.below(12) as u8]),
            14 if dice.below(4) == 0 => options.extend([2, 4, 5, 180]),
            15 if dice.below(4) == 0 => options.extend(dice.bytes(1)),
            _ => {}
        }
    }
    if dice.chance(50) {
        // Pad what fits with NOPs, so that many are well formed.
        let mut fitting = vec![];
        let mut rest = &options[..];
        while let Some(&kind) = rest.first() {
            let size = if kind < 2 {
                1
            } else {
                usize::from(*rest.get(1).unwrap_or(&1)).max(1)
            };
            if size > rest.len() || fitting.len() + size > length {
                break;
            }
            fitting.extend(&rest[..size]);
            rest = &rest[size..];
        }
        options = fitting;
        options.resize(length, 1);
    }
    options.truncate(length);
    options
}

fn pick<T: Copy>(dice: &mut Dice, list: &[T]) -> T {
    list[dice.below(list.len() as u64) as usize]
}

fn random_frame(dice: &mut Dice) -> Vec<u8> {
    let payload = match dice.below(6) {
        0 => 0,
        1 => dice.below(8),
        2 => 64,
        3 => dice.below(200),
        4 => dice.below(1600),
        _ => 1448,
    };
    let mut frame = TcpFrame {
        tos: dice.below(256) as u8,
        remote_ip: dice.word() as u32,
        local_ip: dice.word() as u32,
        remote_port: dice.word() as u16,
        local_port: dice.word() as u16,
        seq: dice.word() as u32,
        ack: dice.word() as u32,
        flags: pick(dice, &[ACK, ACK | PSH, ACK | FIN, ACK, ACK]),
        window: dice.word() as u16,
        tcp_options: random_options(dice),
        payload: dice.bytes(payload as usize),
        ..TcpFrame::default()
    };
    if dice.chance(33) {
        match dice.below(12) {
            0 => frame.destination = pick(dice, &[[0xff; 6], [2; 6], [1, 0, 0x5e, 0, 0, 1]]),
            1 => frame.vlan = Some(dice.word() as u16),
            2 => frame.ethertype = pick(dice, &[0x0806, 0x86dd, 0x0801]),
            3 => frame.version = dice.below(16) as u8,
            4 => frame.fragment = dice.word() as u16,
            5 => frame.protocol = dice.below(256) as u8,
            6 => frame.ip_options = vec![1; 4 * dice.below(11) as usize],
            7 => frame.flags = dice.word() as u8,
            8 => frame.data_offset = Some(dice.below(16) as u8),
            9 => frame.total_length_error = dice.below(9) as i32 - 4,
            10 => frame.ip_checksum_error = 1 << dice.below(16),
            _ => frame.tcp_checksum_error = 1 << dice.below(16),
        }
    }
    let mut octets = frame.build();
    match dice.below(16) {
        0 => octets.truncate(1 + dice.below(octets.len() as u64) as usize),
        1 => octets.extend(dice.bytes(60)),
        2 => {
            let bit = dice.below(8 * octets.len() as u64) as usize;
            octets[bit / 8] ^= 1 << (bit % 8);
        }
        _ if octets.len() < 60 => octets.resize(60, dice.below(256) as u8),
        _ => {}
    }
    octets
}

#[test]
fn random_frames_are_judged_like_the_model_judges_them() {
    for bus in BUSES {
        let mut parser = Parser::on(bus, 4096);
        parser.bench.stall(parser.s, Stalls::random(10));
        parser.bench.stall(parser.m, Stalls::random(30));
        let mut dice = Dice::new(1);
        let list: Vec<_> = (0..2500).map(|_| random_frame(&mut dice)).collect();
        let fast = list
            .iter()
            .filter(|frame| matches!(judge(frame), Judgement::Fast(_)))
            .count();
        assert!((500..2000).contains(&fast), "{fast} fast frames");
        check_all(&mut parser, &list);
    }
}

#[test]
fn every_length_of_options_and_payload_is_summed() {
    let mut parser = Parser::new(4096);
    let mut dice = Dice::new(2);
    let mut list = vec![];
    for words in 0..=10 {
        for payload in 0..70 {
            let frame = TcpFrame {
                tcp_options: vec![1; 4 * words],
                payload: dice.bytes(payload),
                padding: vec![0xee; payload % 3],
                tcp_checksum_error: u16::from(dice.below(4) == 0),
                ..TcpFrame::default()
            };
            list.push(frame.build());
        }
    }
    check_all(&mut parser, &list);
}

#[test]
fn frames_up_to_the_largest_are_stored_and_longer_ones_are_cut_and_dropped() {
    let list: Vec<_> = [1517, 1518, 1519, 1535, 1536, 1537, 1600, 4000, 60]
        .iter()
        .map(|length| {
            let frame = TcpFrame {
                payload: vec![0x5a; length - 54],
                ..TcpFrame::default()
            };
            frame.build()
        })
        .collect();
    for bus in BUSES {
        check_all(&mut Parser::on(bus, 4096), &list);
    }
}

#[test]
fn the_smallest_frames_pass_at_one_a_clock_or_in_two_beats() {
    let frame = TcpFrame {
        payload: vec![1; 6],
        ..TcpFrame::default()
    }
    .build();
    assert_eq!(frame.len(), 60);
    for bus in BUSES {
        let mut parser = Parser::on(bus, 4096);
        check_all(&mut parser, &vec![frame.clone(); 200]);
        let beats = frame.len().div_ceil(bus);
        let cycles = cycles_of(parser.bench.log(), "m");
        assert_eq!(cycles[199] - cycles[0], 199 * beats as u64, "{cycles:?}");
        let ended = cycles_of(parser.bench.log(), "s")[beats - 1];
        assert_eq!(cycles[0] - ended, LATENCY);
    }
}

/// Room and enable change at random; each frame is admitted or refused at its first
/// beat, one clock after that beat was taken.
#[test]
fn admission_is_decided_once_a_frame_and_drops_are_reported_in_order() {
    for bus in BUSES {
        check_admission(bus);
    }
}

fn check_admission(bus: usize) {
    let mut parser = Parser::on(bus, 4096);
    let enough = FRAME_BYTES / bus as u64 + ROOM_LAG;
    parser.bench.stall(parser.s, Stalls::random(20));
    parser.bench.stall(parser.m, Stalls::random(30));
    let mut dice = Dice::new(5);
    let list: Vec<_> = (0..1500).map(|_| random_frame(&mut dice)).collect();
    let mut firsts = std::collections::BTreeMap::new();
    let mut beat = 0;
    for (index, frame) in list.iter().enumerate() {
        firsts.insert(beat, index);
        beat += frame.len().div_ceil(bus) as u64;
        parser.send(frame);
    }
    let mut accepted = 0;
    let mut admitted = vec![];
    let mut drops = vec![];
    while parser.bench.pending(parser.s) > 0 || parser.bench.peek("idle") == 0 {
        let (room, enabled) = (dice.below(2 * enough), dice.below(5) != 0);
        parser.bench.poke("room", room);
        parser.bench.poke("enabled", enabled);
        let taken = parser.bench.accepted(parser.s);
        if taken > accepted {
            if let Some(&index) = firsts.get(&accepted) {
                match (enabled, room >= enough, judge(&list[index])) {
                    (false, _, _) => drops.push(Drop::Disabled as u64),
                    (_, false, _) => drops.push(Drop::BufferFull as u64),
                    (_, _, judgement) => {
                        admitted.push(index);
                        if let Judgement::Dropped(reason) = judgement {
                            drops.push(reason as u64);
                        }
                    }
                }
            }
            accepted = taken;
        }
        parser.cycle();
    }
    assert_eq!(parser.drops, drops);
    let summaries = parser.bench.take_received(parser.m);
    let lengths: Vec<_> = summaries
        .iter()
        .map(|s| s.field("frame_len").u64())
        .collect();
    let expected: Vec<_> = admitted
        .iter()
        .map(|&i| list[i].len().min(1536) as u64)
        .collect();
    assert_eq!(lengths, expected);
    let stored: usize = admitted.iter().map(|&i| stored(bus, &list[i]).len()).sum();
    assert_eq!(parser.bench.received(parser.m_beats).len(), stored);
}

#[test]
fn no_frame_is_admitted_whose_summary_would_find_no_place() {
    let mut parser = Parser::new(8);
    parser.bench.stall(parser.m, Stalls::always());
    let frame = TcpFrame {
        payload: vec![1; 6],
        ..TcpFrame::default()
    }
    .build();
    for _ in 0..20 {
        parser.send(&frame);
    }
    for _ in 0..60 {
        parser.cycle();
    }
    assert_eq!(parser.drops, [Drop::BufferFull as u64; 12]);
    parser.bench.stall(parser.m, Stalls::none());
    parser.drain();
    assert_eq!(parser.bench.received(parser.m).len(), 8);
}

#[test]
fn the_verilog_is_lint_clean() {
    for bus in BUSES {
        on_bus!(bus, |N, K| assert_lint_clean(
            &Parse::<N, K>::new(4096),
            "parse"
        ));
    }
}
