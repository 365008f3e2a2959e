//! Bench of `stages::fetch`.

mod stage;

use hallux_testbenches::{Bench, Channel, Driver, Monitor, Record, Stalls, fields};
use hallux_toe::channels::{CLASS_SLOW, KIND_HC, UP_READ, UP_WRITE};
use hallux_toe::interface::{Descriptor, context};
use hallux_toe::stages::fetch::{Fetch, REPORT};
use stage::{BUSES, Dice, assert_lint_clean, bench_of, cycle_of, on_bus};
use std::collections::VecDeque;

const CONTEXTS: usize = 8;
const SLOTS: usize = 8;

/// A context's descriptor ring as its host sees it.
#[derive(Clone, Default)]
struct Ring {
    base: u64,
    log2: u32,
    /// Slots of host memory.
    memory: Vec<[u8; 32]>,
    tail: u32,
    /// Last consumed count the stage wrote.
    consumed: u32,
    /// Events that must come, in order.
    expected: VecDeque<Descriptor>,
}

impl Ring {
    /// Descriptors between two writes of the consumed count.
    fn report(&self) -> u32 {
        (1 << self.log2.saturating_sub(2)).min(REPORT as u32)
    }

    fn consumed_address(&self) -> u64 {
        self.base + 0x8_0000
    }
}

/// A read in flight.
#[derive(Clone, Copy)]
struct Read {
    tag: u64,
    address: u64,
    bytes: u64,
    answered: u64,
}

/// The stage and its hosts.
struct Hosts {
    /// Bytes of a beat.
    bus: u64,
    bench: Bench,
    s_context: Driver,
    s_cpl: Driver,
    m_up: Monitor,
    m: Monitor,
    dice: Dice,
    rings: Vec<Ring>,
    reads: Vec<Read>,
    most_in_flight: usize,
    /// Reads are answered in any order, now and then; otherwise at once.
    lazy: bool,
    skipped: u64,
    tickets: u64,
}

impl Hosts {
    fn new(seed: u64) -> Self {
        Self::on(64, seed)
    }

    fn on(bus: usize, seed: u64) -> Self {
        let mut bench = on_bus!(bus, |N, K| bench_of(
            &Fetch::<N>::new(CONTEXTS, SLOTS),
            "fetch",
            seed
        ));
        let (s_context, s_cpl) = (bench.driver("s_context"), bench.driver("s_cpl"));
        let (m_up, m) = (bench.monitor("m_up"), bench.monitor("m"));
        bench.reset();
        Self {
            bus: bus as u64,
            bench,
            s_context,
            s_cpl,
            m_up,
            m,
            dice: Dice::new(seed),
            rings: vec![Ring::default(); CONTEXTS],
            reads: vec![],
            most_in_flight: 0,
            lazy: false,
            skipped: 0,
            tickets: 0,
        }
    }

    fn write(&mut self, ring: usize, register: u64, value: u64) {
        self.bench.send(
            self.s_context,
            fields! { context: ring, register: register / 8, value: value },
        );
    }

    fn enable(&mut self, ring: usize, log2: u32, offset: u64) {
        let base = 0x10_0000 * (ring as u64 + 1) + offset;
        self.rings[ring] = Ring {
            base,
            log2,
            memory: vec![[0; 32]; 1 << log2],
            ..Ring::default()
        };
        let consumed = self.rings[ring].consumed_address();
        self.write(ring, context::DESCRIPTOR_BASE, base);
        self.write(ring, context::DESCRIPTOR_LOG2, log2.into());
        self.write(ring, context::CONSUMED_ADDRESS, consumed);
        self.write(ring, context::ENABLE, 1);
    }

    /// Writes a descriptor to the ring; the doorbell is separate.
    fn put(&mut self, ring: usize, descriptor: Descriptor) {
        let size = 1u32 << self.rings[ring].log2;
        let host = &mut self.rings[ring];
        host.memory[(host.tail % size) as usize] = descriptor.encode((host.tail / size) & 1 == 0);
        host.tail += 1;
        let skip = match descriptor {
            Descriptor::Update { .. } => false,
            Descriptor::SendFrame { length, .. } => ring != 0 || !(14..=1514).contains(&length),
        };
        if skip {
            self.skipped += 1;
        } else {
            host.expected.push_back(descriptor);
        }
    }

    fn doorbell(&mut self, ring: usize) {
        let tail = self.rings[ring].tail;
        self.write(ring, context::DESCRIPTOR_TAIL, tail.into());
    }

    fn cycle(&mut self) {
        for up in self.bench.take_received(self.m_up) {
            let value = |name| up.field(name).u64();
            let (address, bytes) = (value("address"), value("bytes"));
            assert_eq!(value("last"), 1);
            let ring = &mut self.rings[(address >> 20) as usize - 1];
            match value("kind") {
                UP_READ => {
                    let tag = value("tag");
                    assert!(tag >= 0x80 && self.reads.iter().all(|read| read.tag != tag));
                    assert!(bytes % 32 == 0 && (32..=128).contains(&bytes));
                    assert!(address % 4096 + bytes <= 4096);
                    assert!(address + bytes <= ring.base + (32 << ring.log2));
                    self.reads.push(Read {
                        tag,
                        address,
                        bytes,
                        answered: 0,
                    });
                }
                UP_WRITE => {
                    assert_eq!((address, bytes), (ring.consumed_address(), 8));
                    let count = up.field("data").u64() as u32;
                    assert!(count > ring.consumed && count <= ring.tail);
                    assert!(
                        count / ring.report() > ring.consumed / ring.report(),
                        "{count} after {}: too early",
                        ring.consumed
                    );
                    ring.consumed = count;
                }
                kind => panic!("kind {kind}"),
            }
        }
        self.most_in_flight = self.most_in_flight.max(self.reads.len());
        let answer = !self.lazy || self.dice.chance(30);
        if answer && !self.reads.is_empty() && self.bench.pending(self.s_cpl) < 2 {
            let index = if self.lazy {
                self.dice.below(self.reads.len() as u64) as usize
            } else {
                0
            };
            self.answer(index);
        }
        for event in self.bench.take_received(self.m) {
            self.check(&event);
        }
        self.bench.cycle();
    }

    fn answer(&mut self, index: usize) {
        let read = &mut self.reads[index];
        let ring = &self.rings[(read.address >> 20) as usize - 1];
        let first = (read.address - ring.base + read.answered) as usize / 32;
        let count = (read.bytes - read.answered).min(self.bus);
        let mut data = vec![];
        for descriptor in 0..count as usize / 32 {
            data.extend(ring.memory[first + descriptor]);
        }
        let (tag, offset) = (read.tag, read.answered);
        read.answered += count;
        let last = read.answered == read.bytes;
        if last {
            self.reads.remove(index);
        }
        self.bench.send(
            self.s_cpl,
            fields! { tag: tag, offset: offset, data: data.as_slice(), bytes: count, last: last },
        );
    }

    /// The event is the next one of some context: contexts have flows of their own.
    fn check(&mut self, event: &Record) {
        let value = |name| event.field(name).u64();
        assert_eq!(
            (value("kind"), value("ticket")),
            (KIND_HC, KIND_HC << 22 | self.tickets)
        );
        self.tickets += 1;
        let raw = value("class") == CLASS_SLOW;
        let ring = if raw {
            0
        } else {
            value("flow") as usize % CONTEXTS
        };
        let next = self.rings[ring]
            .expected
            .pop_front()
            .expect("an event nobody asked for");
        let got = if raw {
            Descriptor::SendFrame {
                address: value("address"),
                length: value("frame_len") as u16,
            }
        } else {
            Descriptor::Update {
                flow: value("flow") as u16,
                generation: value("generation") as u8,
                rx_bump: value("seq") as u32,
                tx_bump: value("ack") as u32,
                finish: value("flags") == 1,
            }
        };
        assert_eq!(got, next);
    }

    fn update(&mut self, ring: usize) -> Descriptor {
        Descriptor::Update {
            flow: (self.dice.below(1000) * CONTEXTS as u64) as u16 + ring as u16,
            generation: self.dice.word() as u8,
            rx_bump: self.dice.word() as u32,
            tx_bump: self.dice.word() as u32,
            finish: self.dice.chance(20),
        }
    }

    fn run_until_done(&mut self, limit: u64) {
        for _ in 0..limit {
            self.cycle();
            let done = self
                .rings
                .iter()
                .all(|r| r.expected.is_empty() && r.tail - r.consumed < r.report());
            if done && self.bench.peek("idle") == true {
                return;
            }
        }
        panic!("events or consumed counts are missing after {limit} cycles");
    }
}

#[test]
fn lint_clean() {
    for bus in BUSES {
        on_bus!(bus, |N, K| assert_lint_clean(
            &Fetch::<N>::new(CONTEXTS, SLOTS),
            "fetch"
        ));
    }
}

#[test]
fn bursts_end_at_the_ring_and_at_128_bytes() {
    let mut hosts = Hosts::new(1);
    hosts.enable(1, 3, 0x40);
    for _ in 0..7 {
        let update = hosts.update(1);
        hosts.put(1, update);
    }
    hosts.doorbell(1);
    hosts.run_until_done(200);
    for _ in 0..3 {
        let update = hosts.update(1);
        hosts.put(1, update);
    }
    hosts.doorbell(1);
    hosts.run_until_done(200);
    let bench = &hosts.bench;
    assert_eq!(
        cycle_of(bench, "m_up", 0) - cycle_of(bench, "s_context", 4),
        2
    );
    assert_eq!(cycle_of(bench, "m", 0) - cycle_of(bench, "s_cpl", 0), 3);
    let requests: Vec<_> = hosts
        .bench
        .log()
        .lines()
        .filter(|line| line.contains(" m_up "))
        .map(|line| {
            let field = |name: &str| {
                let start = line.find(&format!("{name}=")).unwrap() + name.len() + 1;
                line[start..].split(' ').next().unwrap().to_string()
            };
            let what = if field("kind") == "3" {
                "read"
            } else {
                "write"
            };
            format!(
                "{what} {}+{} {}",
                field("address"),
                field("bytes"),
                field("data")
            )
        })
        .collect();
    // Eight descriptors from 0x200040: two, four, one; then one to the end, and two.
    insta::assert_snapshot!(requests.join("\n"), @r"
    read 0x200040+0x40 0
    read 0x200080+0x80 0
    write 0x280040+8 2
    read 0x200100+0x20 0
    write 0x280040+8 6
    read 0x200120+0x20 0
    read 0x200040+0x40 0
    write 0x280040+8 8
    write 0x280040+8 0xa
    ");
}

#[test]
fn one_descriptor_a_cycle() {
    let mut hosts = Hosts::new(2);
    hosts.enable(1, 10, 0);
    const COUNT: u64 = 800;
    for _ in 0..COUNT {
        let update = hosts.update(1);
        hosts.put(1, update);
    }
    hosts.doorbell(1);
    let start = hosts.bench.cycles();
    hosts.run_until_done(4000);
    let cycles = hosts.bench.cycles() - start;
    // Two completion beats carry four descriptors, so the host could be faster.
    assert!(cycles <= COUNT + 60, "{cycles} cycles");
}

#[test]
fn what_must_not_run_is_skipped() {
    let mut hosts = Hosts::new(3);
    hosts.enable(0, 4, 0);
    hosts.enable(1, 4, 0);
    let frame = |length| Descriptor::SendFrame {
        address: 0x1234_5678_9abc,
        length,
    };
    for ring in 0..2 {
        for length in [0, 13, 14, 1514, 1515] {
            hosts.put(ring, frame(length));
        }
        // A descriptor of kind 0.
        let index = hosts.rings[ring].tail as usize;
        hosts.rings[ring].memory[index] = [0; 32];
        hosts.rings[ring].tail += 1;
        hosts.skipped += 1;
        let update = hosts.update(ring);
        hosts.put(ring, update);
        hosts.doorbell(ring);
    }
    let mut skipped = 0;
    for _ in 0..200 {
        hosts.cycle();
        skipped += hosts.bench.peek("skipped").u64();
    }
    hosts.run_until_done(10);
    assert_eq!(skipped, hosts.skipped);
    assert_eq!(hosts.tickets, 4);
}

#[test]
fn disabling_a_context_cancels_its_bursts() {
    let mut hosts = Hosts::new(4);
    hosts.enable(2, 6, 0);
    hosts.lazy = true;
    for _ in 0..40 {
        let update = hosts.update(2);
        hosts.put(2, update);
    }
    hosts.doorbell(2);
    while hosts.reads.len() < 4 {
        hosts.cycle();
    }
    // What the ring held is forgotten; the reads in flight are answered later.
    hosts.write(2, context::ENABLE, 0);
    let (s_context, m) = (hosts.s_context, hosts.m);
    hosts
        .bench
        .run_until(20, |bench| bench.pending(s_context) == 0);
    hosts.bench.run(10);
    for event in hosts.bench.take_received(m) {
        hosts.check(&event);
    }
    let tickets = hosts.tickets;
    let base = hosts.rings[2].base;
    hosts.rings[2].expected.clear();
    hosts.rings[2].tail = 0;
    hosts.rings[2].consumed = 0;
    hosts.write(2, context::ENABLE, 1);
    for _ in 0..9 {
        let update = hosts.update(2);
        hosts.put(2, update);
    }
    assert_eq!(hosts.rings[2].base, base);
    hosts.doorbell(2);
    hosts.run_until_done(2000);
    assert_eq!(hosts.tickets - tickets, 9);
}

#[test]
fn every_descriptor_becomes_its_event_under_stalls() {
    for seed in 0..9 {
        let mut hosts = Hosts::on(BUSES[seed as usize % 3], seed);
        for ring in 0..CONTEXTS {
            let (log2, offset) = (hosts.dice.within(2, 7) as u32, 64 * hosts.dice.below(64));
            hosts.enable(ring, log2, offset);
        }
        hosts.lazy = true;
        for channel in [
            Channel::from(hosts.m_up),
            Channel::from(hosts.m),
            Channel::from(hosts.s_cpl),
            Channel::from(hosts.s_context),
        ] {
            let percent = hosts.dice.below(70) as u32;
            hosts.bench.stall(channel, Stalls::random(percent));
        }
        for _ in 0..6000 {
            if hosts.dice.chance(10) && hosts.bench.pending(hosts.s_context) == 0 {
                let ring = hosts.dice.below(CONTEXTS as u64) as usize;
                let host = &hosts.rings[ring];
                let room = (1 << host.log2) - (host.tail - host.consumed);
                for _ in 0..hosts.dice.below(u64::from(room) + 1) {
                    let descriptor = if hosts.dice.chance(20) {
                        let length = if hosts.dice.chance(80) { 60 } else { 9 };
                        Descriptor::SendFrame {
                            address: hosts.dice.word(),
                            length,
                        }
                    } else {
                        hosts.update(ring)
                    };
                    hosts.put(ring, descriptor);
                }
                hosts.doorbell(ring);
            }
            hosts.cycle();
        }
        hosts.run_until_done(20_000);
        assert!(
            hosts.most_in_flight >= 4,
            "{} bursts in flight",
            hosts.most_in_flight
        );
    }
}
