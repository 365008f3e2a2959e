//! Bench of `stages::assemble`.

mod stage;

use hallux_testbenches::{Bench, Driver, Monitor, Record, Stalls, fields};
use hallux_toe::stages::assemble::Assemble;
use stage::{BUSES, Dice, assert_lint_clean, bench_of, cycle_of, on_bus};

const STATION: u64 = 0x02_00_5e_10_20_30;
const STORE_BYTES: usize = 4096;
const EGRESS: usize = 32;

/// A frame to assemble.
#[derive(Clone, Debug, Default)]
struct Order {
    raw: bool,
    remote_mac: u64,
    local_ip: u32,
    remote_ip: u32,
    ports: (u16, u16),
    seq: u32,
    ack: u32,
    window: u16,
    flags: u8,
    timestamps: Option<(u32, u32)>,
    /// Blocks of a SACK option; only without payload.
    sack: Vec<(u32, u32)>,
    ecn: u8,
    payload: Vec<u8>,
    flow: u16,
    plain_ack: bool,
    /// Some of the payload could not be read.
    poisoned: bool,
}

/// The Internet checksum (RFC 1071) of `bytes`, taken as big-endian words.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u64 = bytes
        .chunks(2)
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

impl Order {
    fn random(dice: &mut Dice, longest: u64) -> Self {
        let raw = dice.chance(10);
        let length = match dice.below(4) {
            0 if !raw => 0,
            1 => dice.within(14, 80),
            _ => dice.within(1.max(14 * u64::from(raw)), longest),
        };
        Self {
            raw,
            remote_mac: dice.word() >> 16,
            local_ip: dice.word() as u32,
            remote_ip: dice.word() as u32,
            ports: (dice.word() as u16, dice.word() as u16),
            seq: dice.word() as u32,
            ack: dice.word() as u32,
            window: dice.word() as u16,
            flags: dice.word() as u8,
            timestamps: dice
                .chance(60)
                .then(|| (dice.word() as u32, dice.word() as u32)),
            sack: (0..if length == 0 { dice.below(4) } else { 0 })
                .map(|_| (dice.word() as u32, dice.word() as u32))
                .collect(),
            ecn: 2 * dice.below(2) as u8,
            // Runs of ones and zeros exercise the carries of the checksum.
            payload: match dice.below(4) {
                0 => vec![0xff; length as usize],
                1 => vec![0; length as usize],
                _ => dice.bytes(length as usize),
            },
            flow: 0,
            plain_ack: false,
            poisoned: false,
        }
    }

    /// The frame at time `now`, built from the RFCs.
    fn frame(&self, now: u64) -> Vec<u8> {
        if self.raw {
            return self.payload.clone();
        }
        let mut tcp = vec![];
        tcp.extend(self.ports.0.to_be_bytes());
        tcp.extend(self.ports.1.to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        let mut options = vec![];
        if let Some((offset, echo)) = self.timestamps {
            let ticks = (now / 1024) as u32;
            options.extend([1, 1, 8, 10]);
            options.extend(ticks.wrapping_add(offset).to_be_bytes());
            options.extend(echo.to_be_bytes());
        }
        if !self.sack.is_empty() {
            options.extend([1, 1, 5, 2 + 8 * self.sack.len() as u8]);
        }
        for (left, right) in &self.sack {
            options.extend(left.to_be_bytes());
            options.extend(right.to_be_bytes());
        }
        tcp.push((5 + options.len() as u8 / 4) << 4);
        tcp.push(self.flags);
        tcp.extend(self.window.to_be_bytes());
        tcp.extend([0; 4]);
        tcp.extend(options);
        tcp.extend(&self.payload);
        let mut pseudo = vec![];
        pseudo.extend(self.local_ip.to_be_bytes());
        pseudo.extend(self.remote_ip.to_be_bytes());
        pseudo.extend([0, 6]);
        pseudo.extend((tcp.len() as u16).to_be_bytes());
        pseudo.extend(&tcp);
        let sum = checksum(&pseudo);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());

        let mut ip = vec![0x45, self.ecn];
        ip.extend((20 + tcp.len() as u16).to_be_bytes());
        ip.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        ip.extend(self.local_ip.to_be_bytes());
        ip.extend(self.remote_ip.to_be_bytes());
        let sum = checksum(&ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());

        let mut frame = self.remote_mac.to_be_bytes()[2..].to_vec();
        frame.extend(&STATION.to_be_bytes()[2..]);
        frame.extend([8, 0]);
        frame.extend(ip);
        frame.extend(tcp);
        frame
    }
}

struct Wire {
    /// Bytes of a beat.
    bus: usize,
    bench: Bench,
    s: Driver,
    s_payload: Driver,
    m: Monitor,
    m_lost: Monitor,
    /// Events that were released, and in how many percent of the cycles one may be.
    released: u64,
    pace: u64,
    dice: Dice,
}

impl Wire {
    fn new(seed: u64, now: u64) -> Self {
        Self::on(64, seed, now)
    }

    fn on(bus: usize, seed: u64, now: u64) -> Self {
        let mut bench = on_bus!(bus, |N, K| bench_of(
            &Assemble::<N, K>::new(STORE_BYTES / K, EGRESS),
            "assemble",
            seed,
        ));
        let (s, s_payload) = (bench.driver("s"), bench.driver("s_payload"));
        let (m, m_lost) = (bench.monitor("m"), bench.monitor("m_lost"));
        bench.poke("mac", STATION);
        bench.poke("now", now);
        bench.reset();
        Self {
            bus,
            bench,
            s,
            s_payload,
            m,
            m_lost,
            released: 0,
            pace: 100,
            dice: Dice::new(seed),
        }
    }

    /// A cycle in which the oldest event may be released.
    fn cycle(&mut self) {
        let release = self.released < self.bench.accepted(self.s) && self.dice.chance(self.pace);
        self.released += u64::from(release);
        self.bench.poke("released", u64::from(release));
        self.bench.cycle();
    }

    fn run_until_received(&mut self, count: usize, limit: u64) {
        for _ in 0..limit {
            if self.bench.received(self.m).len() >= count {
                return;
            }
            self.cycle();
        }
        panic!("not done after {limit} cycles: {}", self.bench.log());
    }

    fn order(&mut self, order: &Order) {
        let (ts_offset, ts_ecr) = order.timestamps.unwrap_or((0x1234, 0x5678));
        // Blocks beyond the count mean nothing.
        let block = |n: usize| order.sack.get(n).copied().unwrap_or((0x11, 0x22));
        self.bench.send(
            self.s,
            fields! {
                raw: order.raw,
                remote_mac: order.remote_mac,
                local_ip: order.local_ip,
                remote_ip: order.remote_ip,
                local_port: order.ports.0,
                remote_port: order.ports.1,
                seq: order.seq,
                ack: order.ack,
                window: order.window,
                flags: order.flags,
                ts_on: order.timestamps.is_some(),
                ts_offset: ts_offset,
                ts_ecr: ts_ecr,
                sack.count: order.sack.len(),
                sack.first.left: block(0).0,
                sack.first.right: block(0).1,
                sack.second.left: block(1).0,
                sack.second.right: block(1).1,
                sack.third.left: block(2).0,
                sack.third.right: block(2).1,
                ecn: order.ecn,
                length: order.payload.len(),
                flow: order.flow,
                generation: order.flow >> 8,
                plain_ack: order.plain_ack,
            },
        );
        let beats = order.payload.chunks(self.bus);
        let count = beats.len();
        for (index, beat) in beats.enumerate() {
            self.bench.send(
                self.s_payload,
                fields! {
                    data: beat,
                    last: index + 1 == count,
                    poisoned: order.poisoned && index + 1 == count,
                },
            );
        }
    }
}

/// Splits received beats into frames; `keep` is contiguous and full but at the end.
fn frames(bus: usize, beats: &[Record]) -> Vec<Vec<u8>> {
    let mut all = vec![];
    let mut frame: Vec<u8> = vec![];
    for beat in beats {
        let keep = beat.field("keep").to_bytes(16);
        let keep = u128::from_le_bytes(keep.try_into().unwrap());
        let last = beat.field("last") == 1;
        let count = keep.trailing_ones() as usize;
        assert_eq!(keep.count_ones() as usize, count, "keep {keep:#x}");
        assert!(count >= 1 && (last || count == bus), "keep {keep:#x}");
        let data = beat.field("data").to_bytes(bus);
        assert!(data[count..].iter().all(|&byte| byte == 0));
        frame.extend(&data[..count]);
        if last {
            all.push(std::mem::take(&mut frame));
        }
    }
    assert!(frame.is_empty());
    all
}

#[test]
fn lint_clean() {
    for bus in BUSES {
        on_bus!(bus, |N, K| assert_lint_clean(
            &Assemble::<N, K>::new(STORE_BYTES / K, EGRESS),
            "assemble"
        ));
    }
}

#[test]
fn an_acknowledgement_with_timestamps() {
    let now = 5_000_000;
    let mut wire = Wire::new(1, now);
    let order = Order {
        remote_mac: 0x02_00_00_00_00_01,
        local_ip: 0x0a00_0001,
        remote_ip: 0x0a00_0002,
        ports: (80, 49152),
        seq: 1000,
        ack: 2000,
        window: 512,
        flags: 0x10,
        timestamps: Some((7, 99)),
        ..Order::default()
    };
    wire.order(&order);
    wire.run_until_received(2, 40);
    let got = frames(64, wire.bench.received(wire.m));
    assert_eq!(
        cycle_of(&wire.bench, "m", 0) - cycle_of(&wire.bench, "s", 0),
        7
    );
    assert_eq!(got, [order.frame(now)]);
    let octets: Vec<_> = got[0]
        .chunks(16)
        .map(|row| {
            row.iter()
                .map(|b| format!("{b:02x}"))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    insta::assert_snapshot!(octets.join("\n"), @r"
    02 00 00 00 00 01 02 00 5e 10 20 30 08 00 45 00
    00 34 00 00 40 00 40 06 26 c2 0a 00 00 01 0a 00
    00 02 00 50 c0 00 00 00 03 e8 00 00 07 d0 80 10
    02 00 81 36 00 00 01 01 08 0a 00 00 13 19 00 00
    00 63
    ");
    wire.cycle();
    wire.cycle();
    assert_eq!(wire.bench.peek("idle"), true);
}

/// Cycles from the first to the last beat of `count` equal frames.
fn cycles(bus: usize, order: &Order, count: u64) -> u64 {
    let beats = order.frame(0).len().div_ceil(bus) as u64;
    let mut wire = Wire::on(bus, 2, 0);
    for _ in 0..count {
        wire.order(order);
    }
    wire.run_until_received(1, 100);
    if !order.payload.is_empty() {
        let last = order.payload.len().div_ceil(bus) - 1;
        let stored = cycle_of(&wire.bench, "s_payload", last);
        assert_eq!(cycle_of(&wire.bench, "m", 0) - stored, 8);
    }
    let first = wire.bench.cycles();
    wire.run_until_received((count * beats) as usize, 10_000);
    wire.bench.cycles() - first + 1
}

#[test]
fn frames_leave_back_to_back() {
    let of = |length, timestamps| Order {
        payload: vec![0x5a; length],
        timestamps,
        ..Order::default()
    };
    let stamps = Some((0, 0));
    // 66 + 64 bytes; pure acknowledgements with and without timestamps; 54 + 10 bytes.
    for (bus, expected) in
        BUSES
            .into_iter()
            .zip([[5, 3, 2, 2, 48], [3, 2, 1, 1, 24], [2, 1, 1, 1, 12]])
    {
        assert_eq!(cycles(bus, &of(64, stamps), 100), 100 * expected[0]);
        assert_eq!(cycles(bus, &of(0, stamps), 100), 100 * expected[1]);
        assert_eq!(cycles(bus, &of(0, None), 100), 100 * expected[2]);
        assert_eq!(cycles(bus, &of(10, None), 100), 100 * expected[3]);
        assert_eq!(cycles(bus, &of(1448, stamps), 20), 20 * expected[4]);
    }
}

#[test]
fn frames_are_right_and_without_gaps_under_stalls() {
    for seed in 0..12 {
        let bus = BUSES[seed as usize / 4];
        let mut dice = Dice::new(seed);
        let now = dice.word() >> 8;
        let mut wire = Wire::on(bus, seed, now);
        for driver in [wire.s, wire.s_payload] {
            wire.bench
                .stall(driver, Stalls::random(dice.below(70) as u32));
        }
        // The odd seeds never stall the wire: then there is no gap inside a frame.
        let smooth = seed % 2 == 1;
        wire.bench.stall(
            wire.m,
            Stalls::random(if smooth { 0 } else { dice.below(70) as u32 }),
        );
        wire.pace = [100, 30, 5][seed as usize % 3];
        let orders: Vec<_> = (0..300).map(|_| Order::random(&mut dice, 1514)).collect();
        let mut beats = 0;
        for order in &orders {
            wire.order(order);
            beats += order.frame(now).len().div_ceil(bus);
        }
        let mut inside = false;
        while wire.bench.received(wire.m).len() < beats {
            assert!(wire.bench.cycles() < 100_000);
            let before = wire.bench.received(wire.m).len();
            wire.cycle();
            let beats = wire.bench.received(wire.m);
            assert!(
                !(smooth && inside && beats.len() == before),
                "a gap inside a frame"
            );
            inside = beats.last().is_some_and(|beat| beat.field("last") == 0);
        }
        let expected: Vec<_> = orders.iter().map(|order| order.frame(now)).collect();
        assert_eq!(
            frames(bus, wire.bench.received(wire.m)),
            expected,
            "seed {seed}"
        );
        wire.cycle();
        wire.cycle();
        assert_eq!(wire.bench.peek("idle"), true);
    }
}

#[test]
fn a_frame_leaves_two_cycles_after_its_release_and_never_before() {
    let mut wire = Wire::new(3, 0);
    wire.pace = 0;
    wire.order(&Order::default());
    for _ in 0..50 {
        wire.cycle();
    }
    assert_eq!(wire.bench.received(wire.m).len(), 0);
    wire.pace = 100;
    let released = wire.bench.cycles();
    wire.run_until_received(1, 10);
    assert_eq!(cycle_of(&wire.bench, "m", 0) - released, 2);
}

/// Sends `orders` while the wire stands still, so that they wait, and returns the frames.
fn behind_a_standing_wire(orders: &[Order]) -> Vec<Vec<u8>> {
    let mut wire = Wire::new(4, 0);
    wire.bench.stall(wire.m, Stalls::random(100));
    // These fill what lies behind the headers' queue.
    let filler = Order {
        flow: 99,
        ..Order::default()
    };
    for order in std::iter::repeat_n(&filler, 24).chain(orders) {
        wire.order(order);
    }
    for _ in 0..100 {
        wire.cycle();
    }
    wire.bench.stall(wire.m, Stalls::random(0));
    for _ in 0..300 {
        wire.cycle();
    }
    assert_eq!(wire.bench.peek("idle"), true);
    frames(64, wire.bench.received(wire.m)).split_off(24)
}

#[test]
fn behind_others_a_plain_acknowledgement_rides_on_the_next_data_of_its_flow() {
    let ack = |flow, ack| Order {
        flow,
        ack,
        plain_ack: true,
        ..Order::default()
    };
    let data = |flow, ack| Order {
        flow,
        ack,
        payload: vec![7; 100],
        ..Order::default()
    };
    let duplicate = Order {
        plain_ack: false,
        ..ack(1, 40)
    };
    let orders = [
        ack(1, 10),
        data(1, 10), // carries the one before
        ack(1, 20),
        ack(1, 30), // no data follows the first
        data(1, 30),
        ack(1, 40),
        data(2, 5), // another flow
        duplicate.clone(),
        data(1, 40),
    ];
    let expected: Vec<_> = [
        &orders[1], &orders[2], &orders[4], &orders[5], &orders[6], &duplicate, &orders[8],
    ]
    .map(|order| order.frame(0))
    .into();
    assert_eq!(behind_a_standing_wire(&orders), expected);
}

#[test]
fn a_frame_whose_payload_could_not_be_read_is_not_sent_but_told_of() {
    for (seed, bus) in [(21, 32), (22, 64), (23, 128)] {
        let mut wire = Wire::on(bus, seed, 0);
        wire.pace = 60;
        wire.bench.stall(wire.m, Stalls::random(30));
        wire.bench.stall(wire.m_lost, Stalls::random(50));
        let orders: Vec<Order> = (1..120)
            .map(|n| {
                let order = Order::random(&mut wire.dice, 1514);
                Order {
                    flow: n * 0x101,
                    poisoned: !order.payload.is_empty() && wire.dice.chance(25),
                    ..order
                }
            })
            .collect();
        let (lost, sent): (Vec<&Order>, Vec<&Order>) =
            orders.iter().partition(|order| order.poisoned);
        let beats: usize = sent.iter().map(|o| o.frame(0).len().div_ceil(bus)).sum();
        for order in &orders {
            wire.order(order);
        }
        wire.run_until_received(beats, 60_000);
        for _ in 0..100 {
            wire.cycle();
        }
        let frames = frames(bus, wire.bench.received(wire.m));
        assert_eq!(frames, sent.iter().map(|o| o.frame(0)).collect::<Vec<_>>());
        // A raw frame is of no connection.
        let told: Vec<(u64, u64)> = wire
            .bench
            .received(wire.m_lost)
            .iter()
            .map(|lost| (lost.field("flow").u64(), lost.field("generation").u64()))
            .collect();
        let connections = lost.iter().filter(|order| !order.raw);
        let expected: Vec<(u64, u64)> = connections
            .map(|order| (order.flow.into(), (order.flow >> 8).into()))
            .collect();
        assert!(!expected.is_empty());
        assert_eq!(told, expected);
        assert_eq!(wire.bench.peek("idle"), true);
    }
}
