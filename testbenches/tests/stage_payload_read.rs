//! Bench of `stages::payload_read`.

mod stage;

use hallux_testbenches::{Bench, Driver, Monitor, Record, Stalls, fields};
use hallux_toe::stages::payload_read::PayloadRead;
use stage::{BUSES, Dice, assert_lint_clean, bench_of, cycle_of, on_bus};

/// The byte that host memory holds at `address`.
fn memory(address: u64) -> u8 {
    (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// A range of a ring.
#[derive(Clone, Copy)]
struct Range {
    address: u64,
    room: u64,
    ring: u64,
    length: u64,
}

impl Range {
    fn bytes(&self) -> Vec<u8> {
        (0..self.length)
            .map(|i| {
                memory(if i < self.room {
                    self.address + i
                } else {
                    self.ring + i - self.room
                })
            })
            .collect()
    }
}

/// A stage and a host that answers its reads.
struct Host {
    /// Bytes of a beat.
    bus: u64,
    bench: Bench,
    s: Driver,
    s_cpl: Driver,
    m_up: Monitor,
    m: Monitor,
    dice: Dice,
    max_read_request: u64,
    /// Reads in flight: tag, address, bytes, bytes answered.
    reads: Vec<(u64, u64, u64, u64)>,
    /// Percentage of cycles in which the host answers nothing.
    lazy: u64,
    most_in_flight: usize,
    cuts: Vec<(u64, u64)>,
    /// Percentage of reads that are never answered.
    forgetful: u64,
    /// Those: address and bytes, in any order.
    lost: Vec<(u64, u64)>,
}

impl Host {
    fn new(tags: usize, max_read_request: usize, seed: u64) -> Self {
        Self::on(64, tags, max_read_request, seed)
    }

    fn on(bus: usize, tags: usize, max_read_request: usize, seed: u64) -> Self {
        let mut bench = on_bus!(bus, |N, K| bench_of(
            &PayloadRead::<N, K>::new(tags, max_read_request),
            "payload_read",
            seed
        ));
        let (s, s_cpl) = (bench.driver("s"), bench.driver("s_cpl"));
        let (m_up, m) = (bench.monitor("m_up"), bench.monitor("m"));
        bench.reset();
        Self {
            bus: bus as u64,
            bench,
            s,
            s_cpl,
            m_up,
            m,
            dice: Dice::new(seed),
            max_read_request: max_read_request as u64,
            reads: vec![],
            lazy: 0,
            most_in_flight: 0,
            cuts: vec![],
            forgetful: 0,
            lost: vec![],
        }
    }

    fn request(&mut self, range: Range) {
        let Range {
            address,
            room,
            ring,
            length,
        } = range;
        self.bench.send(
            self.s,
            fields! { address: address, room: room, ring: ring, length: length },
        );
    }

    fn cycle(&mut self) {
        for read in self.bench.take_received(self.m_up) {
            let value = |name| read.field(name).u64();
            let (tag, address, bytes) = (value("tag"), value("address"), value("bytes"));
            assert_eq!((value("kind"), value("last")), (3, 1));
            assert!(bytes >= 1 && bytes <= self.max_read_request);
            assert!(
                address % 4096 + bytes <= 4096,
                "{address:#x}+{bytes} crosses 4 KiB"
            );
            assert!(
                self.reads.iter().all(|r| r.0 != tag),
                "tag {tag} is in flight"
            );
            self.reads.push((tag, address, bytes, 0));
            self.cuts.push((address, bytes));
        }
        self.most_in_flight = self.most_in_flight.max(self.reads.len());
        // Completion beats in any order among the reads, in order within one.
        if !self.reads.is_empty()
            && self.bench.pending(self.s_cpl) < 2
            && !self.dice.chance(self.lazy)
        {
            let index = if self.lazy == 0 {
                0
            } else {
                self.dice.below(self.reads.len() as u64) as usize
            };
            let (tag, address, bytes, offset) = self.reads[index];
            let count = (bytes - offset).min(self.bus);
            let mut data: Vec<u8> = (0..count).map(|i| memory(address + offset + i)).collect();
            // What lies behind the last byte is undefined.
            data.extend(self.dice.bytes((self.bus - count) as usize));
            let last = offset + count == bytes;
            let poisoned = last && self.dice.chance(self.forgetful);
            if poisoned {
                self.lost.push((address, bytes));
            }
            self.bench.send(
                self.s_cpl,
                fields! {
                    tag: tag,
                    offset: offset,
                    data: data.as_slice(),
                    bytes: count,
                    last: last,
                    poisoned: poisoned,
                },
            );
            self.reads[index].3 += count;
            if last {
                self.reads.remove(index);
            }
        }
        self.bench.cycle();
    }

    fn run(&mut self, beats: usize, limit: u64) {
        for _ in 0..limit {
            if self.bench.received(self.m).len() >= beats {
                return;
            }
            self.cycle();
        }
        panic!("{} of {beats} beats", self.bench.received(self.m).len());
    }
}

/// Splits received beats into segments; all but the last beat are full.
fn segments(bus: usize, beats: &[Record]) -> Vec<Vec<u8>> {
    let mut all = vec![];
    let mut segment = vec![];
    for beat in beats {
        segment.extend(beat.field("data").to_bytes(bus));
        if beat.field("last") == 1 {
            all.push(std::mem::take(&mut segment));
        }
    }
    assert!(segment.is_empty());
    all
}

fn padded(bus: usize, mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(bus), 0);
    bytes
}

#[test]
fn lint_clean() {
    for bus in BUSES {
        on_bus!(bus, |N, K| assert_lint_clean(
            &PayloadRead::<N, K>::new(128, 512),
            "payload_read"
        ));
    }
}

#[test]
fn a_segment_is_cut_at_the_limits_of_ring_page_and_request() {
    let mut host = Host::new(64, 512, 1);
    let ranges = [
        // One piece; then a page boundary; then the end of the ring, unaligned.
        Range {
            address: 0x1_0040,
            room: 4096,
            ring: 0x1_0000,
            length: 64,
        },
        Range {
            address: 0x1_0f81,
            room: 8192,
            ring: 0x1_0000,
            length: 1448,
        },
        Range {
            address: 0x1_1fd3,
            room: 45,
            ring: 0x1_0000,
            length: 700,
        },
    ];
    let mut beats = 0;
    for range in ranges {
        host.request(range);
        beats += range.length.div_ceil(64) as usize;
    }
    host.run(beats, 500);
    let bench = &host.bench;
    assert_eq!(cycle_of(bench, "m_up", 0) - cycle_of(bench, "s", 0), 2);
    assert_eq!(cycle_of(bench, "m", 0) - cycle_of(bench, "s_cpl", 0), 4);
    let cuts: Vec<_> = host
        .cuts
        .iter()
        .map(|(a, n)| format!("{a:#x}+{n}"))
        .collect();
    insta::assert_snapshot!(cuts.join(" "), @"0x10040+64 0x10f81+127 0x11000+512 0x11200+512 0x11400+297 0x11fd3+45 0x10000+512 0x10200+143");
    let expected: Vec<_> = ranges.iter().map(|r| padded(64, r.bytes())).collect();
    assert_eq!(segments(64, host.bench.received(host.m)), expected);
    host.bench.run(3);
    assert_eq!(host.bench.peek("idle"), true);
}

#[test]
fn a_small_segment_a_cycle() {
    let mut host = Host::new(64, 512, 2);
    const SEGMENTS: u64 = 400;
    for i in 0..SEGMENTS {
        host.request(Range {
            address: 64 * i + 5,
            room: 1 << 20,
            ring: 0,
            length: 59,
        });
    }
    host.run(SEGMENTS as usize, 1000);
    assert!(
        host.bench.cycles() <= SEGMENTS + 40,
        "{}",
        host.bench.cycles()
    );
}

#[test]
fn large_segments_flow_at_one_beat_a_cycle() {
    for bus in BUSES {
        large_segments_flow(bus);
    }
}

fn large_segments_flow(bus: usize) {
    let mut host = Host::on(bus, 64, 512, 3);
    const SEGMENTS: u64 = 30;
    let beats = 1536 / bus as u64;
    for i in 0..SEGMENTS {
        host.request(Range {
            address: 0x10_0000 + 4096 * i + 3,
            room: 1 << 20,
            ring: 0,
            length: 1536,
        });
    }
    host.run((beats * SEGMENTS) as usize, 4000);
    assert!(
        host.bench.cycles() <= beats * SEGMENTS + 40,
        "{}",
        host.bench.cycles()
    );
}

#[test]
fn segments_arrive_whole_and_in_order_under_stalls() {
    for (seed, bus, tags, max_read_request) in [
        (1, 64, 1, 128),
        (2, 64, 64, 512),
        (3, 64, 64, 512),
        (4, 64, 128, 4096),
        (5, 32, 2, 128),
        (6, 32, 128, 4096),
        (7, 128, 1, 128),
        (8, 128, 64, 512),
    ] {
        let mut host = Host::on(bus, tags, max_read_request, seed);
        host.lazy = host.dice.within(1, 60);
        let stalls = [0; 4].map(|_| host.dice.below(70) as u32);
        host.bench.stall(host.s, Stalls::random(stalls[0]));
        host.bench.stall(host.s_cpl, Stalls::random(stalls[1]));
        host.bench.stall(host.m_up, Stalls::random(stalls[2]));
        host.bench.stall(host.m, Stalls::random(stalls[3]));
        let mut expected = vec![];
        let mut beats = 0;
        for _ in 0..150 {
            let size = 1 << host.dice.within(13, 16);
            let ring = size * host.dice.within(1, 1000);
            let raw = host.dice.chance(10);
            let position = if host.dice.chance(30) {
                size - host.dice.within(1, 200)
            } else {
                host.dice.below(size)
            };
            let length = if host.dice.chance(50) {
                host.dice.within(1, 200)
            } else {
                host.dice.within(1, 1514)
            };
            let range = Range {
                address: ring + position,
                room: if raw { 0x1ff_ffff } else { size - position },
                ring: if raw { 0 } else { ring },
                length,
            };
            host.request(range);
            expected.push(padded(bus, range.bytes()));
            beats += length.div_ceil(bus as u64) as usize;
        }
        host.run(beats, 100_000);
        assert_eq!(
            segments(bus, host.bench.received(host.m)),
            expected,
            "seed {seed}"
        );
        host.bench.run(3);
        assert_eq!(host.bench.peek("idle"), true);
        // A completed read keeps its tag until its data has left.
        assert!(
            host.most_in_flight > tags.min(32) / 2,
            "{} reads in flight",
            host.most_in_flight
        );
    }
}

/// Whatever is lost of a segment, and wherever it lies in that, the last beat says so.
#[test]
fn a_segment_of_which_a_read_is_never_answered_says_so() {
    let mut host = Host::new(32, 512, 9);
    host.forgetful = 20;
    host.lazy = 30;
    let mut beats = 0;
    // No byte is in two of them.
    let ranges: Vec<Range> = (0..200)
        .map(|n| Range {
            address: 0x1_0000 * n + host.dice.below(4096),
            room: 0x1000,
            ring: 0x1_0000 * n + 0x8000,
            length: host.dice.within(1, 1514),
        })
        .collect();
    for range in &ranges {
        host.request(*range);
        beats += range.length.div_ceil(64) as usize;
    }
    host.run(beats, 100_000);
    let received = host.bench.received(host.m);
    let flag = |beat: &Record, name: &str| beat.field(name) == 1;
    assert!(
        received
            .iter()
            .all(|beat| flag(beat, "last") || !flag(beat, "poisoned"))
    );
    let got: Vec<bool> = received
        .iter()
        .filter(|beat| flag(beat, "last"))
        .map(|beat| flag(beat, "poisoned"))
        .collect();
    let expected: Vec<bool> = (0..ranges.len() as u64)
        .map(|n| host.lost.iter().any(|(address, _)| address >> 16 == n))
        .collect();
    assert_eq!(got, expected);
    assert!(expected.contains(&true) && expected.contains(&false));
}
