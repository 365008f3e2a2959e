//! Bench of `stages::push`: reads are answered with what stands in the host's ring, whatever
//! was pushed.

mod frames;
mod stage;

use frames::trace;
use hallux_testbenches::{Bench, Driver, Monitor, Stalls, fields};
use hallux_toe::channels::{CLASS_FAST, KIND_HC};
use hallux_toe::interface::{context, push, register};
use hallux_toe::stages::push::Push;
use stage::{BUSES, Dice, assert_lint_clean, bench_of, on_bus};
use std::collections::VecDeque;

/// A transmit ring that begins above 4 GiB.
const RING: u64 = 0x1_0000_0000;
const RING_BYTES: u64 = 8192;

struct Host {
    bench: Bench,
    mmio: Driver,
    read: Driver,
    completion: Driver,
    others: Monitor,
    event: Monitor,
    asked: Monitor,
    answer: Monitor,
    bus: usize,
    ring: Vec<u8>,
}

/// The words of a push.
fn words(flow: u64, bumps: (u64, u64), address: u64, payload: &[u8]) -> Vec<u64> {
    let mut words = vec![
        address,
        bumps.0 | bumps.1 << 32,
        flow | 5 << 16 | (payload.len() as u64) << 32,
    ];
    for octets in payload.chunks(8) {
        let word = octets.iter().rev().fold(0, |w, &b| w << 8 | u64::from(b));
        words.push(word);
    }
    words
}

impl Host {
    fn new(bus: usize, seed: u64, stalls: u32) -> Self {
        let mut bench = on_bus!(bus, |N, K| bench_of(&Push::<N>::new(), "push", seed));
        let (mmio, read, completion) = (
            bench.driver("s"),
            bench.driver("s_read"),
            bench.driver("s_cpl"),
        );
        let (others, event, asked, answer) = (
            bench.monitor("m"),
            bench.monitor("m_event"),
            bench.monitor("m_read"),
            bench.monitor("m_cpl"),
        );
        for driver in [mmio, read, completion] {
            bench.stall(driver, Stalls::random(stalls));
        }
        // Completions are always taken.
        for monitor in [others, event, asked] {
            bench.stall(monitor, Stalls::random(stalls));
        }
        bench.reset();
        Self {
            bench,
            mmio,
            read,
            completion,
            others,
            event,
            asked,
            answer,
            bus,
            ring: vec![0; RING_BYTES as usize],
        }
    }

    fn word(&mut self, offset: u64, data: u64) {
        let access = fields! {
            write: true, address: offset, data: data, strobe: 0xff_u64,
        };
        self.bench.send(self.mmio, access);
    }

    fn push(&mut self, context: u64, words: &[u64]) {
        let slot = register::CONTEXT + context * register::CONTEXT_STRIDE + push::SLOT;
        for (word, data) in words.iter().enumerate() {
            self.word(slot + 8 * word as u64, *data);
        }
    }

    /// A completion of the host: in one burst of beats.
    fn complete(&mut self, tag: u64, address: u64, count: usize) {
        let at = (address - RING) as usize;
        let bytes = self.ring[at..at + count].to_vec();
        let beats = bytes.chunks(self.bus);
        let last = beats.len() - 1;
        for (number, beat) in beats.enumerate() {
            let completion = fields! {
                tag: tag, offset: number * self.bus, data: beat, bytes: beat.len() as u64,
                last: number == last,
            };
            self.bench.send(self.completion, completion);
        }
    }
}

#[test]
fn reads_are_answered_with_what_stands_in_the_ring() {
    for bus in BUSES {
        for (seed, stalls) in [(1, 0), (2, 40), (3, 60)] {
            let mut dice = Dice::new(seed);
            let mut host = Host::new(bus, seed, stalls);
            let (mut written, mut sent) = (0_u64, 0_u64);
            let (mut events, mut expected) = (vec![], vec![]);
            let (mut bytes, mut asked, mut tag) = (vec![], VecDeque::new(), 0);
            let mut from_host = 0;
            let mut elsewhere = vec![];
            for _ in 0..400 {
                // The application writes; the ring goes round several times.
                let most = if dice.chance(70) { 64 } else { 300 };
                let count = dice.within(1, most);
                let begin = written % RING_BYTES;
                let data = dice.bytes(count as usize);
                for (at, byte) in (written..).zip(&data) {
                    host.ring[(at % RING_BYTES) as usize] = *byte;
                }
                let whole = begin + count <= RING_BYTES;
                let pushes = count <= push::PAYLOAD_BYTES && whole && dice.chance(80);
                if pushes {
                    let flow = dice.below(1024);
                    let consumed = dice.below(1 << 20);
                    let words = words(flow, (consumed, count), RING + begin, &data);
                    host.push(dice.below(8), &words);
                    events.push((flow, consumed, count));
                } else {
                    let doorbell = register::CONTEXT + context::DESCRIPTOR_TAIL;
                    host.word(doorbell, written);
                    elsewhere.push(written);
                }
                written += count;
                let mmio = host.mmio;
                host.bench.run_until(5000, |bench| bench.pending(mmio) == 0);
                host.bench.run(4);
                // The NIC sends: the bytes as they were written, or several writes at once;
                // some of them again, long after.
                if dice.chance(30) && written - sent < RING_BYTES / 2 {
                    continue;
                }
                while sent < written {
                    let begin = sent % RING_BYTES;
                    let most = (written - sent).min(RING_BYTES - begin).min(512);
                    let count = if dice.chance(80) {
                        most
                    } else {
                        dice.within(1, most)
                    };
                    let again = if dice.chance(10) { 2 } else { 1 };
                    for _ in 0..again {
                        tag = (tag + 1) % 64;
                        let read = fields! {
                            kind: 3_u64, address: RING + begin, bytes: count, tag: tag,
                            last: true,
                        };
                        host.bench.send(host.read, read);
                        asked.push_back((tag, RING + begin, count as usize));
                        expected.push((tag, begin, count as usize));
                        // What the host is asked for it answers; what it is not, the stage.
                        let read = host.read;
                        host.bench.run_until(5000, |bench| bench.pending(read) == 0);
                        host.bench.run(40);
                        let mut beats = host.bench.take_received(host.answer);
                        let reads = host.bench.take_received(host.asked);
                        let (tag, address, count) = asked.pop_front().unwrap();
                        if let Some(read) = reads.first() {
                            assert_eq!(reads.len(), 1);
                            assert_eq!(read.field("address"), address);
                            assert_eq!(read.field("bytes"), count as u64);
                            assert!(beats.is_empty());
                            from_host += 1;
                            host.complete(tag, address, count);
                            let completion = host.completion;
                            host.bench
                                .run_until(5000, |bench| bench.pending(completion) == 0);
                            host.bench.run(1);
                            beats = host.bench.take_received(host.answer);
                        }
                        let mut found: Vec<u8> = vec![];
                        let many = beats.len();
                        for (number, beat) in beats.iter().enumerate() {
                            assert_eq!(beat.field("tag"), tag);
                            assert_eq!(beat.field("offset"), (number * bus) as u64);
                            assert_eq!(beat.field("last") == 1, number + 1 == many);
                            let valid = beat.field("bytes").u64() as usize;
                            found.extend(&beat.field("data").to_bytes(bus)[..valid]);
                        }
                        bytes.push(found);
                    }
                    let (_, begin, count) = expected[expected.len() - 1];
                    let right = &host.ring[begin as usize..begin as usize + count];
                    for found in &bytes[bytes.len() - again..] {
                        assert!(found == right, "{bus} bytes, seed {seed}, at {begin}");
                    }
                    sent += count as u64;
                }
            }
            let seen: Vec<_> = host
                .bench
                .received(host.event)
                .iter()
                .map(|event| {
                    assert_eq!(event.field("kind"), KIND_HC);
                    assert_eq!(event.field("class"), CLASS_FAST);
                    assert_eq!(event.field("generation"), 5);
                    let value = |name: &str| event.field(name).u64();
                    (value("flow"), value("seq"), value("ack"))
                })
                .collect();
            assert!(seen == events, "{bus} bytes, seed {seed}");
            let passed = host.bench.received(host.others);
            let passed: Vec<_> = passed.iter().map(|a| a.field("data").u64()).collect();
            assert_eq!(passed, elsewhere);
            assert_eq!(host.bench.peek("idle"), 1);
            let all = expected.len();
            assert!(
                from_host * 10 < all * 9 && from_host > all / 10,
                "{from_host} of {all}"
            );
        }
    }
}

#[test]
fn opening_a_connection_takes_away_what_is_kept() {
    let mut host = Host::new(64, 1, 0);
    let read = |host: &mut Host, tag: u64| {
        let read = fields! { kind: 3_u64, address: RING, bytes: 8_u64, tag: tag, last: true };
        host.bench.send(host.read, read);
        host.bench.run(8);
    };
    for forgets in [false, true] {
        host.push(1, &words(7, (0, 8), RING, b"a pushed"));
        host.bench.run(8);
        host.bench.poke("forget", forgets);
        host.bench.cycle();
        host.bench.poke("forget", false);
        read(&mut host, 3);
        let asked = host.bench.take_received(host.asked).len();
        let answers = host.bench.take_received(host.answer).len();
        assert_eq!((asked, answers), if forgets { (1, 0) } else { (0, 1) });
    }
    insta::assert_snapshot!(trace(
        host.bench.log(),
        &["address", "flow", "ack", "tag", "bytes", "last"]
    ));
}

#[test]
fn a_payload_that_is_not_whole_is_read_from_the_host() {
    let mut host = Host::new(64, 1, 0);
    // What comes of a read: from the host, from the stage.
    let read = |host: &mut Host, address: u64, tag: u64| {
        let read = fields! { kind: 3_u64, address: address, bytes: 16_u64, tag: tag, last: true };
        host.bench.send(host.read, read);
        host.bench.run(8);
        let asked = host.bench.take_received(host.asked).len();
        (asked, host.bench.take_received(host.answer).len())
    };
    let push = |address: u64| words(7, (0, 16), address, b"sixteen are sent");
    // The event does not wait for the payload; a read that comes before its last word takes it away.
    let slow = push(RING);
    host.push(1, &slow[..4]);
    host.bench.run(8);
    assert_eq!(host.bench.take_received(host.event).len(), 1);
    assert_eq!(host.bench.peek("idle"), 1);
    assert_eq!(read(&mut host, RING, 1), (1, 0));
    let slot = register::CONTEXT + register::CONTEXT_STRIDE + push::SLOT;
    host.word(slot + 8 * 4, slow[4]);
    host.bench.run(8);
    assert_eq!(read(&mut host, RING, 2), (1, 0));
    // One that another follows before its end is not kept, the other is.
    host.push(1, &push(RING + 64)[..4]);
    host.push(2, &push(RING + 128));
    host.bench.run(16);
    assert_eq!(host.bench.take_received(host.event).len(), 2);
    assert_eq!(read(&mut host, RING + 64, 3), (1, 0));
    assert_eq!(read(&mut host, RING + 128, 4), (0, 1));
    // More bytes than the slot holds are announced and not kept.
    let mut long = push(RING + 192);
    long[2] = 7 | 5 << 16 | 72 << 32;
    long.resize(12, 0);
    host.push(1, &long[..11]);
    host.bench.run(16);
    assert_eq!(host.bench.take_received(host.event).len(), 1);
    assert_eq!(read(&mut host, RING + 192, 5), (1, 0));
    assert_eq!(host.bench.peek("idle"), 1);
}

#[test]
fn lint_clean() {
    for bus in BUSES {
        on_bus!(bus, |N, K| assert_lint_clean(&Push::<N>::new(), "push"));
    }
}
