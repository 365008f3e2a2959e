//! Bench of `stages::notify`.

mod stage;

use hallux_testbenches::{Bench, Channel, Driver, Monitor, Stalls, fields};
use hallux_toe::channels::{UP_MSIX, UP_WRITE};
use hallux_toe::interface::{Record, RecordKind, context, notice};
use hallux_toe::stages::notify::Notify;
use stage::{Dice, assert_lint_clean, bench_of, cycle_of};
use std::collections::{BTreeMap, VecDeque};

const CONTEXTS: usize = 8;
const FLOWS: usize = 64;
/// Clocks that a record waits for its neighbour.
const PATIENCE: u64 = 6;

/// A context's ring as its host sees it.
#[derive(Clone, Default)]
struct Ring {
    base: u64,
    log2: u32,
    /// Records written and not yet consumed.
    unread: VecDeque<Record>,
    consumed: u32,
    posted: u32,
    /// Index last written to RECORD_HEAD and taken by the stage.
    freed: u32,
    /// Interrupts raised.
    interrupts: u32,
}

/// The stage and its hosts.
struct Hosts {
    bench: Bench,
    s: Driver,
    s_context: Driver,
    m_up: Monitor,
    rings: Vec<Ring>,
}

impl Hosts {
    fn new(seed: u64) -> Self {
        let mut bench = bench_of(
            &Notify::<512>::new(CONTEXTS, FLOWS, PATIENCE),
            "notify",
            seed,
        );
        let (s, s_context) = (bench.driver("s"), bench.driver("s_context"));
        let m_up = bench.monitor("m_up");
        bench.reset();
        Self {
            bench,
            s,
            s_context,
            m_up,
            rings: vec![Ring::default(); CONTEXTS],
        }
    }

    fn write(&mut self, ring: usize, register: u64, value: u64) {
        self.bench.send(
            self.s_context,
            fields! { context: ring, register: register / 8, value: value },
        );
    }

    fn enable(&mut self, ring: usize, log2: u32) {
        let base = 0x10_0000 * (ring as u64 + 1);
        self.rings[ring] = Ring {
            base,
            log2,
            ..Ring::default()
        };
        self.write(ring, context::RECORD_BASE, base);
        self.write(ring, context::RECORD_LOG2, u64::from(log2));
        self.write(ring, context::ENABLE, 1);
    }

    /// Waits until every context write is taken and done.
    fn settle(&mut self) {
        let driver = self.s_context;
        self.bench
            .run_until(10_000, |bench| bench.pending(driver) == 0);
        self.bench.run(4);
    }

    fn update(&mut self, ring: usize, flow: u64, rx: u64, tx: u64, flags: u8) {
        self.update_of(ring, flow, 3, rx, tx, flags);
    }

    fn update_of(&mut self, ring: usize, flow: u64, generation: u8, rx: u64, tx: u64, flags: u8) {
        self.bench.send(
            self.s,
            fields! {
                context: ring,
                kind: RecordKind::Update as u8,
                rx_bump: rx,
                tx_bump: tx,
                opaque: 0xabcd_0000_0000 + flow,
                flow: flow,
                generation: generation,
                flags: flags,
            },
        );
    }

    fn frame(&mut self, slot: u64) {
        self.bench.send(
            self.s,
            fields! { kind: RecordKind::Frame as u8, length: 60 + slot % 100, value: slot },
        );
    }

    fn done(&mut self, number: u64) {
        self.bench.send(
            self.s,
            fields! {
                kind: RecordKind::CommandDone as u8,
                opcode: 3,
                status: 2,
                flow: number % 64,
                opaque: number,
            },
        );
    }

    /// Applies what the stage wrote to the hosts' memory, in order.
    fn absorb(&mut self) {
        for up in self.bench.take_received(self.m_up) {
            let value = |name| up.field(name).u64();
            assert_eq!(value("last"), 1);
            match value("kind") {
                UP_WRITE => {
                    let (address, bytes) = (value("address"), value("bytes"));
                    assert!(bytes == 32 || (bytes == 64 && address % 64 == 0));
                    let ring = &mut self.rings[(address >> 20) as usize - 1];
                    let size = 1u32 << ring.log2;
                    assert_eq!(address, ring.base + 32 * u64::from(ring.posted % size));
                    let data = up.field("data").to_bytes(64);
                    for record in data[..bytes as usize].chunks(32) {
                        assert!(
                            ring.posted - ring.freed < size,
                            "an unread record is overwritten"
                        );
                        let record = Record::decode(record.try_into().unwrap());
                        assert_eq!(record.phase, (ring.posted / size) & 1 == 0);
                        ring.posted += 1;
                        ring.unread.push_back(record);
                    }
                }
                UP_MSIX => self.rings[value("vector") as usize].interrupts += 1,
                kind => panic!("kind {kind}"),
            }
        }
    }

    /// Consumes up to `count` records and tells the stage.
    fn consume(&mut self, ring: usize, count: usize) -> Vec<Record> {
        let count = count.min(self.rings[ring].unread.len());
        let records = self.rings[ring].unread.drain(..count).collect();
        self.rings[ring].consumed += count as u32;
        // The stage may use the slots as soon as it takes the write.
        self.rings[ring].freed = self.rings[ring].consumed;
        let head = u64::from(self.rings[ring].consumed);
        self.write(ring, context::RECORD_HEAD, head);
        records
    }

    fn idle(&mut self) -> bool {
        self.bench.pending(self.s) == 0
            && self.bench.pending(self.s_context) == 0
            && self.bench.peek("idle") == true
    }
}

#[test]
fn lint_clean() {
    assert_lint_clean(&Notify::<256>::new(CONTEXTS, FLOWS, 0), "notify");
    assert_lint_clean(&Notify::<512>::new(CONTEXTS, FLOWS, PATIENCE), "notify");
}

/// Addresses and bytes of the writes.
fn writes(hosts: &Hosts) -> Vec<String> {
    let ups = hosts.bench.received(hosts.m_up).iter();
    ups.map(|up| format!("{}+{}", up.field("address"), up.field("bytes")))
        .collect()
}

#[test]
fn records_side_by_side_leave_in_one_write() {
    let mut hosts = Hosts::new(11);
    hosts.enable(1, 4);
    hosts.enable(2, 4);
    hosts.settle();
    // A pair; one alone whose neighbour comes too late; that; and one whose neighbour is
    // another context's.
    for flow in 0..3 {
        hosts.update(1, flow, 1, 0, 0);
    }
    hosts.bench.run(30);
    hosts.update(1, 3, 1, 0, 0);
    hosts.update(1, 4, 1, 0, 0);
    hosts.update(2, 5, 1, 0, 0);
    hosts.bench.run(30);
    assert_eq!(
        writes(&hosts),
        [
            "0x200000+0x40",
            "0x200040+0x20",
            "0x200060+0x20",
            "0x200080+0x20",
            "0x300000+0x20"
        ]
    );
    let alone = cycle_of(&hosts.bench, "m_up", 1) - cycle_of(&hosts.bench, "s", 2);
    assert_eq!(alone, 5 + PATIENCE);
    hosts.absorb();
    assert_eq!(hosts.rings[1].posted + hosts.rings[2].posted, 6);
    assert!(hosts.idle());
}

/// Half as wide a bus takes two beats for two records.
#[test]
fn two_records_are_two_beats_of_256_bits() {
    let mut bench = bench_of(&Notify::<256>::new(CONTEXTS, FLOWS, 15), "notify", 12);
    let (s, s_context, m_up) = (
        bench.driver("s"),
        bench.driver("s_context"),
        bench.monitor("m_up"),
    );
    bench.stall(m_up, Stalls::random(50));
    bench.reset();
    for (register, value) in [
        (context::RECORD_BASE, 0x40),
        (context::RECORD_LOG2, 4),
        (context::ENABLE, 1),
    ] {
        bench.send(
            s_context,
            fields! { context: 1, register: register / 8, value: value },
        );
    }
    bench.run_until(1_000, |bench| bench.pending(s_context) == 0);
    bench.run(3);
    for rx in [0x11, 0x22] {
        bench.send(
            s,
            fields! { context: 1, kind: RecordKind::Update as u8, rx_bump: rx },
        );
    }
    bench.run_until_received(m_up, 2, 100);
    for (up, (last, rx)) in bench.received(m_up).iter().zip([(0, 0x11), (1, 0x22)]) {
        assert_eq!(up.field("address"), 0x40);
        assert_eq!(up.field("bytes"), 64);
        assert_eq!(up.field("last"), last);
        assert_eq!(up.field("data").to_bytes(32)[0], rx);
    }
}

#[test]
fn an_interrupt_follows_its_record() {
    let mut hosts = Hosts::new(1);
    hosts.enable(2, 4);
    hosts.write(2, context::INTERRUPT_ARM, 0);
    hosts.settle();
    hosts.update(2, 5, 100, 0, 0);
    hosts.update(2, 6, 0, 200, notice::PEER_FINISHED);
    hosts.bench.run(20);
    // Two records are there already: arming with one raises at once.
    hosts.write(2, context::INTERRUPT_ARM, 1);
    hosts.settle();
    hosts.bench.run(5);
    assert_eq!(
        cycle_of(&hosts.bench, "m_up", 0) - cycle_of(&hosts.bench, "s", 0),
        4
    );
    let seen: Vec<_> = hosts
        .bench
        .received(hosts.m_up)
        .iter()
        .map(|up| {
            let hex: Vec<_> = up
                .field("data")
                .to_bytes(32)
                .chunks(4)
                .map(|w| w.iter().map(|b| format!("{b:02x}")).collect::<String>())
                .collect();
            format!(
                "kind {} vector {} {} {}",
                up.field("kind"),
                up.field("vector"),
                up.field("address"),
                hex.join(" ")
            )
        })
        .collect();
    insta::assert_snapshot!(seen.join("\n"), @r"
    kind 0 vector 2 0x300000 64000000 00000000 05000000 cdab0000 05000300 00000000 00000000 00000180
    kind 1 vector 2 0 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
    kind 0 vector 2 0x300020 00000000 c8000000 06000000 cdab0000 06000301 00000000 00000000 00000180
    kind 1 vector 2 0 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
    ");
}

#[test]
fn two_cycles_a_record() {
    let mut hosts = Hosts::new(2);
    hosts.enable(1, 10);
    hosts.settle();
    for i in 0..400 {
        hosts.update(1, i % 64, 1, 0, 0);
    }
    let start = hosts.bench.cycles();
    // They lie side by side: two leave in each write.
    hosts.bench.run_until_received(hosts.m_up, 200, 2000);
    let cycles = hosts.bench.cycles() - start;
    assert!(cycles <= 2 * 400 + 10, "{cycles}");
}

#[test]
fn a_full_ring_adds_up_and_delays_no_other() {
    let mut hosts = Hosts::new(3);
    hosts.enable(1, 4);
    hosts.enable(2, 4);
    hosts.settle();
    // Context 1 is full after 16 records, 24 more add up in 4 flows.
    for i in 0..40 {
        hosts.update(1, i % 4, 10, 1, 0);
    }
    hosts.update(2, 9, 7, 7, 0);
    hosts.bench.run(150);
    hosts.absorb();
    assert_eq!(hosts.rings[1].posted, 16);
    assert_eq!(hosts.rings[2].posted, 1);
    assert!(hosts.idle());
    hosts.consume(1, 16);
    hosts.bench.run(60);
    hosts.absorb();
    let late = hosts.consume(1, 16);
    let late: Vec<_> = late
        .iter()
        .map(|r| (r.flow, r.rx_bump, r.tx_bump, r.opaque))
        .collect();
    let sum = |flow: u16| (flow, 60, 6, 0xabcd_0000_0000 + u64::from(flow));
    assert_eq!(late, [sum(0), sum(1), sum(2), sum(3)]);
}

#[test]
fn a_waiting_flow_is_not_overtaken() {
    let mut hosts = Hosts::new(6);
    hosts.enable(1, 6);
    hosts.settle();
    for _ in 0..64 {
        hosts.update(1, 0, 1, 0, 0);
    }
    for flow in 1..40 {
        hosts.update(1, flow, 10, 0, 0);
    }
    hosts.bench.run(300);
    hosts.absorb();
    hosts.consume(1, 64);
    hosts.settle();
    // The pass over the waiting flows has begun; the last ones finish meanwhile.
    for flow in (30..40).rev() {
        hosts.update(1, flow, 5, 0, notice::PEER_FINISHED);
    }
    hosts.bench.run(300);
    hosts.absorb();
    let records = hosts.consume(1, 64);
    let merged = records.iter().filter(|record| record.rx_bump == 15).count();
    assert!(merged > 0, "the bench came too late");
    for flow in 30..40 {
        let of_flow: Vec<_> = records.iter().filter(|r| r.flow == flow).collect();
        let last = of_flow[of_flow.len() - 1];
        assert_eq!(of_flow.iter().map(|r| r.rx_bump).sum::<u32>(), 15);
        assert_eq!(
            last.flags,
            notice::PEER_FINISHED,
            "flow {flow} was overtaken"
        );
    }
}

#[test]
fn a_flow_opened_again_does_not_wait_for_its_old_context() {
    let mut hosts = Hosts::new(7);
    hosts.enable(1, 4);
    hosts.enable(2, 4);
    hosts.settle();
    for flow in 0..20 {
        hosts.update(1, flow, 10, 0, 0);
    }
    hosts.bench.run(100);
    // Flow 18 waits for context 1; its id is used again in context 2.
    hosts.update_of(2, 18, 4, 7, 0, 0);
    hosts.bench.run(60);
    hosts.absorb();
    let records: Vec<_> = hosts
        .consume(2, 9)
        .iter()
        .map(|r| (r.flow, r.generation, r.rx_bump))
        .collect();
    assert_eq!(records, [(18, 4, 7)]);
    hosts.consume(1, 16);
    hosts.bench.run(60);
    hosts.absorb();
    let mut late: Vec<_> = hosts.consume(1, 16).iter().map(|r| r.flow).collect();
    late.sort_unstable();
    assert_eq!(late, [16, 17, 19]);
}

#[test]
fn context_zero_keeps_room_for_frames_and_commands() {
    let mut hosts = Hosts::new(4);
    assert_eq!(hosts.bench.peek("slow_room"), false);
    hosts.enable(0, 5);
    hosts.settle();
    assert_eq!(hosts.bench.peek("slow_room"), true);
    // Updates take no more than 16 of the 32 slots.
    for i in 0..30 {
        hosts.update(0, i, 1, 0, 0);
    }
    hosts.bench.run(100);
    hosts.absorb();
    assert_eq!(hosts.rings[0].posted, 16);
    assert_eq!(hosts.bench.peek("slow_room"), true);
    for slot in 0..15 {
        hosts.frame(slot);
    }
    hosts.done(1);
    hosts.bench.run(60);
    hosts.absorb();
    assert_eq!(hosts.rings[0].posted, 32);
    assert_eq!(hosts.bench.peek("slow_room"), false);
    let kinds: Vec<_> = hosts.consume(0, 32).iter().map(|r| r.kind).collect();
    assert_eq!(kinds[16..31], [RecordKind::Frame as u8; 15]);
    assert_eq!(kinds[31], RecordKind::CommandDone as u8);
    hosts.bench.run(80);
    hosts.absorb();
    assert_eq!(hosts.rings[0].posted, 32 + 14);
}

#[test]
fn disabling_a_context_resets_it() {
    let mut hosts = Hosts::new(5);
    hosts.enable(3, 4);
    hosts.settle();
    for i in 0..20 {
        hosts.update(3, i, 1, 0, 0);
    }
    hosts.bench.run(80);
    hosts.absorb();
    hosts.write(3, context::ENABLE, 0);
    hosts.settle();
    hosts.update(3, 1, 1, 1, 0);
    hosts.bench.run(60);
    hosts.absorb();
    assert_eq!(hosts.rings[3].posted, 16, "a disabled context is silent");
    hosts.enable(3, 4);
    hosts.settle();
    // What waited before is gone; indices and phase start again.
    hosts.update(3, 17, 5, 0, 0);
    hosts.bench.run(20);
    hosts.absorb();
    let records = hosts.consume(3, 9);
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].flow, records[0].rx_bump), (17, 5));
}

/// What a flow sent and what its host saw.
#[derive(Default)]
struct Sum {
    sent: (u32, u32),
    seen: (u32, u32),
    finished: bool,
}

/// What the hosts make of their records.
#[derive(Default)]
struct Tally {
    flows: BTreeMap<u64, Sum>,
    frames: u32,
    commands: u64,
}

impl Tally {
    fn look(&mut self, hosts: &mut Hosts, ring: usize, count: usize) {
        for record in hosts.consume(ring, count) {
            if record.kind == RecordKind::Frame as u8 {
                assert_eq!(record.value, self.frames);
                self.frames += 1;
            } else if record.kind == RecordKind::CommandDone as u8 {
                assert_eq!(record.opaque, self.commands);
                self.commands += 1;
            } else {
                let flow = u64::from(record.flow);
                assert_eq!(flow % CONTEXTS as u64, ring as u64);
                assert_eq!(record.opaque, 0xabcd_0000_0000 + flow);
                let sum = self.flows.get_mut(&flow).unwrap();
                assert!(!sum.finished, "a record after the end of the stream");
                sum.seen.0 += record.rx_bump;
                sum.seen.1 += record.tx_bump;
                sum.finished = record.flags & notice::PEER_FINISHED != 0;
                if sum.finished {
                    assert_eq!(sum.seen, sum.sent, "the end of the stream came early");
                }
            }
        }
    }
}

#[test]
fn nothing_is_lost_or_reordered_under_stalls() {
    for seed in 0..6 {
        let mut hosts = Hosts::new(seed);
        let mut dice = Dice::new(seed);
        let mut tally = Tally::default();
        let (mut frames, mut commands) = (0, 0);
        let mut arms = [0; CONTEXTS];
        for ring in 0..CONTEXTS {
            hosts.enable(
                ring,
                if ring == 0 {
                    6
                } else {
                    4 + dice.below(2) as u32
                },
            );
        }
        hosts.settle();
        let lazy = dice.within(1, 30);
        for channel in [Channel::from(hosts.m_up), Channel::from(hosts.s)] {
            hosts
                .bench
                .stall(channel, Stalls::random(dice.below(70) as u32));
        }
        for step in 0..12_000 {
            if step < 8_000 && hosts.bench.pending(hosts.s) < 3 {
                let flow = dice.below(FLOWS as u64);
                if dice.chance(8) && hosts.bench.peek("slow_room") == true {
                    hosts.frame(frames);
                    frames += 1;
                } else if dice.chance(2) && commands == tally.commands {
                    hosts.done(commands);
                    commands += 1;
                } else {
                    let (rx, tx) = (dice.below(2000) as u32, dice.below(2000) as u32);
                    let sum = tally.flows.entry(flow).or_default();
                    sum.sent.0 += rx;
                    sum.sent.1 += tx;
                    hosts.update(flow as usize % CONTEXTS, flow, rx.into(), tx.into(), 0);
                }
            }
            if step == 8_000 {
                for &flow in tally.flows.keys() {
                    hosts.update(flow as usize % CONTEXTS, flow, 0, 0, notice::PEER_FINISHED);
                }
            }
            hosts.bench.cycle();
            hosts.absorb();
            if dice.chance(lazy) && hosts.bench.pending(hosts.s_context) < 2 {
                let ring = dice.below(CONTEXTS as u64) as usize;
                tally.look(&mut hosts, ring, dice.within(1, 20) as usize);
                if arms[ring] == hosts.rings[ring].interrupts {
                    arms[ring] += 1;
                    let seen = u64::from(hosts.rings[ring].consumed);
                    hosts.write(ring, context::INTERRUPT_ARM, seen);
                }
            }
        }
        for _ in 0..60 {
            hosts.bench.run(100);
            hosts.absorb();
            for ring in 0..CONTEXTS {
                tally.look(&mut hosts, ring, 64);
            }
        }
        for (flow, sum) in &tally.flows {
            assert_eq!(sum.seen, sum.sent, "flow {flow}, seed {seed}");
            assert!(sum.finished);
        }
        assert_eq!(
            (u64::from(tally.frames), tally.commands),
            (frames, commands)
        );
        for (ring, armed) in arms.into_iter().enumerate() {
            let raised = hosts.rings[ring].interrupts;
            assert!(
                raised == armed || raised + 1 == armed,
                "{raised} interrupts, armed {armed} times"
            );
        }
        hosts.bench.run(100);
        assert!(hosts.idle());
    }
}
