//! Bench of `stages::registers`.

mod stage;

use hallux_testbenches::{Bench, Channel, Driver, Monitor, Stalls, fields};
use hallux_toe::channels::{KIND_CMD, UP_COMPLETION};
use hallux_toe::interface::{
    COMMAND_WORDS, COUNTERS, ID_MAGIC, Opcode, OpenWords, context, register,
};
use hallux_toe::stages::registers::{Identity, Registers};
use stage::{Dice, assert_lint_clean, bench_of, cycle_of};

const CONTEXTS: u64 = 4;

fn identity() -> Identity {
    Identity {
        contexts: CONTEXTS,
        connections: 1024,
        buckets: 512,
        frame_buffer_beats: 1024,
        payload_tags: 64,
        bus_bits: 512,
        states_in_host: false,
        paces: false,
        intervals: 2,
        sack_recovery: true,
        push: true,
    }
}

/// Strobes of whole, lower and upper half.
const WHOLE: u64 = 0xff;
const LOWER: u64 = 0x0f;
const UPPER: u64 = 0xf0;

struct Host {
    bench: Bench,
    s: Driver,
    m_up: Monitor,
    m_fetch: Monitor,
    m_notify: Monitor,
    m_table: Monitor,
    m_connection: Monitor,
    m_cmd: Monitor,
    reads: u64,
}

impl Host {
    fn new(seed: u64) -> Self {
        let mut bench = bench_of(&Registers::new(identity()), "registers", seed);
        let s = bench.driver("s");
        let [m_up, m_fetch, m_notify, m_table, m_connection, m_cmd] = [
            "m_up",
            "m_fetch",
            "m_notify",
            "m_table",
            "m_connection",
            "m_cmd",
        ]
        .map(|name| bench.monitor(name));
        bench.reset();
        // The shadow memory is wiped first.
        bench.run_until(1100, |bench| bench.peek("idle") == true);
        Self {
            bench,
            s,
            m_up,
            m_fetch,
            m_notify,
            m_table,
            m_connection,
            m_cmd,
            reads: 0,
        }
    }

    fn write(&mut self, address: u64, data: u64, strobe: u64) {
        self.bench.send(
            self.s,
            fields! { write: true, address: address, data: data, strobe: strobe },
        );
    }

    fn queue_read(&mut self, bar: u64, address: u64) {
        let tag = self.reads % 256;
        self.reads += 1;
        self.bench
            .send(self.s, fields! { bar: bar, address: address, tag: tag });
    }

    fn read(&mut self, address: u64) -> u64 {
        self.queue_read(0, address);
        let (m_up, count) = (self.m_up, self.reads as usize);
        self.bench.run_until_received(m_up, count, 200);
        self.answer(count - 1)
    }

    fn answer(&self, number: usize) -> u64 {
        let up = &self.bench.received(self.m_up)[number];
        assert_eq!(up.field("kind"), UP_COMPLETION);
        assert_eq!(up.field("bytes"), 8);
        assert_eq!(up.field("last"), 1);
        assert_eq!(up.field("tag"), number as u64 % 256);
        up.field("data").u64()
    }

    fn settle(&mut self) {
        let s = self.s;
        self.bench.run_until(2000, |bench| {
            bench.pending(s) == 0 && bench.peek("idle") == true
        });
    }
}

fn page(context: u64, register: u64) -> u64 {
    register::CONTEXT + context * register::CONTEXT_STRIDE + register
}

#[test]
fn lint_clean() {
    assert_lint_clean(&Registers::new(identity()), "registers");
}

#[test]
fn global_registers() {
    let mut host = Host::new(1);
    host.bench.poke("now", 123_456u64);
    host.bench.poke("drained", 1);
    assert_eq!(host.read(register::ID), ID_MAGIC);
    assert_eq!(
        cycle_of(&host.bench, "m_up", 0) - cycle_of(&host.bench, "s", 0),
        3
    );
    assert_eq!(host.read(register::CAPABILITIES), identity().capabilities());
    assert_eq!(host.read(register::PARAMETERS), identity().parameters());
    assert_eq!(host.read(register::TIME), 123_456);
    assert_eq!(host.read(register::STATUS), 2);
    host.write(register::CONTROL, 1, WHOLE);
    host.write(register::MAC, 0x0200_5e10_2030, WHOLE);
    host.write(register::SLOW_BASE, 0x0000_0000_dead_0000, LOWER);
    host.write(register::SLOW_BASE, 0x0000_0012_0000_0000, UPPER);
    assert_eq!(host.read(register::STATUS), 3);
    assert_eq!(host.read(register::SLOW_BASE), 0x12_dead_0000);
    assert_eq!(host.read(register::MAC), 0x0200_5e10_2030);
    assert_eq!(host.bench.peek("enabled"), true);
    assert_eq!(host.bench.peek("mac"), 0x0200_5e10_2030u64);
    assert_eq!(host.bench.peek("slow_base"), 0x12_dead_0000u64);
    // Read-only and unknown registers, another BAR.
    host.write(register::ID, 7, WHOLE);
    assert_eq!(host.read(register::ID), ID_MAGIC);
    for unknown in [
        0x48,
        0x78,
        0x80,
        0xff8,
        page(0, 0x50),
        page(CONTEXTS, 0),
        0x4_00a0,
        0x5_0050,
        0x6_0018,
        0xf_fff8,
        0x10_0000,
    ] {
        host.write(unknown, u64::MAX, WHOLE);
        assert_eq!(host.read(unknown), 0, "{unknown:#x}");
    }
    host.queue_read(2, register::ID);
    let count = host.reads as usize;
    host.bench.run_until_received(host.m_up, count, 100);
    assert_eq!(host.answer(count - 1), 0);
}

#[test]
fn context_registers_go_to_their_stages() {
    let mut host = Host::new(2);
    host.write(page(0, context::RECORD_LOG2), 9, WHOLE);
    host.write(page(3, context::DESCRIPTOR_BASE), 0x1111_0000_0040, WHOLE);
    host.write(
        page(3, context::DESCRIPTOR_BASE),
        0xffff_ffff_8000_0000,
        LOWER,
    );
    host.write(page(1, context::ENABLE), 1, LOWER);
    host.write(page(2, context::DESCRIPTOR_TAIL), 5, LOWER);
    // The upper half of an index is no doorbell.
    host.write(page(2, context::DESCRIPTOR_TAIL), 0, UPPER);
    host.write(page(2, context::INTERRUPT_ARM), 0, UPPER);
    host.write(page(2, context::INTERRUPT_ARM), 77, WHOLE);
    host.settle();
    let lines: Vec<_> = host
        .bench
        .log()
        .lines()
        .filter(|line| line.contains(" m_fetch ") || line.contains(" m_notify "))
        .map(|line| {
            line.split_whitespace()
                .skip(1)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    m_notify context=0 register=6 value=9
    m_fetch context=3 register=3 value=0x111100000040
    m_fetch context=3 register=3 value=0x111180000000
    m_fetch context=1 register=8 value=1
    m_notify context=1 register=8 value=1
    m_fetch context=2 register=0 value=5
    m_notify context=2 register=2 value=0x4d
    ");
    assert_eq!(host.bench.peek("slow_log2"), 9);
    assert_eq!(
        host.read(page(3, context::DESCRIPTOR_BASE)),
        0x1111_8000_0000
    );
    assert_eq!(host.read(page(2, context::DESCRIPTOR_TAIL)), 5);
}

#[test]
fn a_flow_table_entry_is_staged_and_committed() {
    let mut host = Host::new(3);
    host.write(register::TABLE_ADDRESSES, 0x0a00_0002_0a00_0001, WHOLE);
    host.write(register::TABLE_PORTS, 0x0123_c000_0050, WHOLE);
    host.write(
        register::TABLE_COMMIT,
        1 << 19 | 1 << 18 | 2 << 16 | 0x1ff,
        LOWER,
    );
    host.settle();
    let received = host.bench.received(host.m_table);
    insta::assert_snapshot!(received[0], @"table=1 bucket=0x1ff way=2 entry.valid=1 entry.flow=0x123 entry.remote_ip=0xa000002 entry.local_ip=0xa000001 entry.remote_port=0xc000 entry.local_port=0x50");
    assert_eq!(host.read(register::TABLE_COMMIT), 0);
}

fn open_words(dice: &mut Dice) -> OpenWords {
    let mut words = [0; COMMAND_WORDS];
    words.fill_with(|| dice.word());
    OpenWords::decode(&words)
}

#[test]
fn open_writes_the_connection_before_its_event() {
    let mut host = Host::new(4);
    let mut dice = Dice::new(4);
    let open = open_words(&mut dice);
    let words = open.encode();
    // Post takes its time: the event has to wait.
    host.bench
        .stall(host.m_connection, Stalls::pattern(&[true; 40]));
    for (index, word) in words.into_iter().enumerate() {
        host.write(register::COMMAND_STAGE + 8 * index as u64, word, WHOLE);
    }
    host.write(
        register::COMMAND,
        (Opcode::Open as u64) << 24 | 9 << 16 | 0x123,
        LOWER,
    );
    host.bench.run(100);
    assert!(host.bench.received(host.m_cmd).is_empty());
    host.bench.stall(host.m_connection, Stalls::none());
    host.settle();
    let connection = &host.bench.received(host.m_connection)[0];
    let value = |name: &str| connection.field(name);
    assert_eq!(value("flow"), 0x123);
    assert_eq!(value("connection.context"), open.context);
    assert_eq!(value("connection.ecn"), open.ecn);
    assert_eq!(value("connection.rx_log2"), open.rx_log2);
    assert_eq!(value("connection.tx_log2"), open.tx_log2);
    assert_eq!(
        value("connection.remote_mac").u64().to_be_bytes()[2..],
        open.remote_mac
    );
    assert_eq!(value("connection.local_ip"), open.local_ip);
    assert_eq!(value("connection.remote_ip"), open.remote_ip);
    assert_eq!(value("connection.local_port"), open.local_port);
    assert_eq!(value("connection.remote_port"), open.remote_port);
    assert_eq!(value("connection.rx_base"), open.rx_base);
    assert_eq!(value("connection.tx_base"), open.tx_base);
    assert_eq!(value("connection.opaque"), open.opaque);
    let event = &host.bench.received(host.m_cmd)[0];
    let value = |name: &str| event.field(name);
    assert_eq!(value("kind"), KIND_CMD);
    assert_eq!(value("ticket"), KIND_CMD << 22);
    assert_eq!(value("flow"), 0x123);
    assert_eq!(value("generation"), 9);
    assert_eq!(value("flags"), Opcode::Open as u64);
    assert_eq!(value("ack"), open.snd_nxt);
    assert_eq!(value("seq"), open.rcv_nxt);
    assert_eq!(value("window"), open.window);
    assert_eq!(value("ts_val"), open.ts_recent);
    assert_eq!(value("ts_ecr"), open.ts_offset);
    assert_eq!(value("address"), words[0]);

    // Another command names neither ring nor addresses.
    host.write(
        register::COMMAND,
        (Opcode::Read as u64) << 24 | 9 << 16 | 0x123,
        WHOLE,
    );
    host.settle();
    assert_eq!(host.bench.received(host.m_connection).len(), 1);
    let event = &host.bench.received(host.m_cmd)[1];
    let value = |name: &str| event.field(name);
    assert_eq!(value("ticket"), KIND_CMD << 22 | 1);
    assert_eq!(value("flags"), Opcode::Read as u64);
    for field in ["seq", "ack", "window", "ts_val", "ts_ecr", "address"] {
        assert_eq!(value(field), 0, "{field}");
    }
}

#[test]
fn counters_are_latched_together() {
    let mut host = Host::new(5);
    let mut dice = Dice::new(5);
    let mut counts = [0u64; COUNTERS.len()];
    for round in 0..3 {
        for _ in 0..200 {
            let pulses = dice.below(1 << COUNTERS.len());
            host.bench.poke("pulses", pulses);
            host.bench.cycle();
            for (index, count) in counts.iter_mut().enumerate() {
                *count += pulses >> index & 1;
            }
        }
        host.bench.poke("pulses", 0);
        if round == 1 {
            continue;
        }
        let latched = counts;
        host.write(register::COUNTER_LATCH, 1, WHOLE);
        host.settle();
        host.bench.poke("pulses", u64::MAX >> (64 - COUNTERS.len()));
        host.bench.cycle();
        host.bench.poke("pulses", 0);
        counts.iter_mut().for_each(|count| *count += 1);
        for (index, expected) in latched.into_iter().enumerate() {
            assert_eq!(host.read(register::COUNTERS + 8 * index as u64), expected);
        }
    }
}

#[test]
fn accesses_pass_at_one_a_clock_and_halves_of_a_register_meet() {
    let mut host = Host::new(1);
    for context in 0..CONTEXTS {
        host.write(page(context, context::DESCRIPTOR_TAIL), context, WHOLE);
    }
    // The second half, and the read, come while the one before is being written.
    let place = page(0, context::RECORD_BASE);
    host.write(place, 0x1111_2222_3333_4444, LOWER);
    host.write(place, 0x5555_6666_7777_8888, UPPER);
    assert_eq!(host.read(place), 0x5555_6666_3333_4444);
    let first = cycle_of(&host.bench, "m_fetch", 0);
    for context in 0..CONTEXTS {
        let at = cycle_of(&host.bench, "m_fetch", context as usize);
        assert_eq!(at - first, context);
    }
}

#[test]
fn accesses_stay_in_order_under_stalls() {
    for seed in 0..6 {
        let mut host = Host::new(seed);
        let mut dice = Dice::new(seed);
        for channel in [
            Channel::from(host.s),
            host.m_up.into(),
            host.m_fetch.into(),
            host.m_notify.into(),
            host.m_table.into(),
            host.m_connection.into(),
            host.m_cmd.into(),
        ] {
            host.bench
                .stall(channel, Stalls::random(dice.below(80) as u32));
        }
        // Registers that read back, with a shadow of what was written.
        let places: Vec<u64> = (0..CONTEXTS)
            .flat_map(|c| (0..9).map(move |r| page(c, 8 * r)))
            .chain((0..COMMAND_WORDS as u64).map(|w| register::COMMAND_STAGE + 8 * w))
            .chain([
                register::TABLE_ADDRESSES,
                register::TABLE_PORTS,
                register::SLOW_BASE,
            ])
            .collect();
        let mut values = vec![0u64; places.len()];
        let mut answers = vec![];
        let (mut commands, mut commits) = (0, 0);
        for _ in 0..600 {
            let index = dice.below(places.len() as u64) as usize;
            match dice.below(10) {
                0 => {
                    let opcode = dice.within(1, 5);
                    host.write(register::COMMAND, opcode << 24 | commands, WHOLE);
                    commands += 1;
                }
                1 => {
                    host.write(register::TABLE_COMMIT, commits, WHOLE);
                    commits += 1;
                }
                2..=4 => {
                    host.queue_read(0, places[index]);
                    answers.push(values[index]);
                }
                _ => {
                    let data = dice.word();
                    let strobe = [WHOLE, LOWER, UPPER][dice.below(3) as usize];
                    host.write(places[index], data, strobe);
                    let mask = match strobe {
                        WHOLE => u64::MAX,
                        LOWER => u64::from(u32::MAX),
                        _ => !u64::from(u32::MAX),
                    };
                    values[index] = values[index] & !mask | data & mask;
                }
            }
        }
        host.bench
            .run_until(100_000, |bench| bench.pending(host.s) == 0);
        let count = host.reads as usize;
        host.bench.run_until_received(host.m_up, count, 10_000);
        host.bench.run(300);
        for (number, expected) in answers.into_iter().enumerate() {
            assert_eq!(host.answer(number), expected, "read {number}, seed {seed}");
        }
        let numbers = |monitor, field| -> Vec<u64> {
            let received = host.bench.received(monitor);
            received.iter().map(|r| r.field(field).u64()).collect()
        };
        assert_eq!(
            numbers(host.m_cmd, "flow"),
            (0..commands).collect::<Vec<_>>()
        );
        assert_eq!(
            numbers(host.m_table, "bucket"),
            (0..commits).collect::<Vec<_>>()
        );
    }
}
