//! Register slices, queues, multiplexers, the aligner: under stalls on both sides.

use crate::gallery::bench;
use crate::lockstep::Random;
use hallux_testbenches::{Bench, Driver, Monitor, Stalls, fields};

/// Stalls of the two sides, in percent.
const STALLS: [(u32, u32); 4] = [(0, 0), (0, 60), (60, 0), (50, 50)];

/// A bench with driver `<name>_s` and monitor `<name>_m`, stalled, after reset.
fn stream(name: &str, stalls: (u32, u32)) -> (Bench, Driver, Monitor) {
    let mut bench = bench();
    let (s, m) = (
        bench.driver(&format!("{name}_s")),
        bench.monitor(&format!("{name}_m")),
    );
    bench.stall(s, Stalls::random(stalls.0));
    bench.stall(m, Stalls::random(stalls.1));
    bench.reset();
    (bench, s, m)
}

fn values(bench: &Bench, m: Monitor) -> Vec<u64> {
    let received = bench.received(m).iter();
    received.map(|word| word.value().u64()).collect()
}

/// The first word and the cycle between words on channel `name`, without stalls.
fn pace(name: &str) -> (u64, u64) {
    let (mut bench, s, m) = stream(name, (0, 0));
    for word in 0..20u64 {
        bench.send_value(s, word);
    }
    bench.run_until_received(m, 20, 100);
    let channel = format!("{name}_m ");
    let lines = bench.log().lines().filter(|line| line.contains(&channel));
    let cycles: Vec<u64> = lines
        .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
        .collect();
    (cycles[0], (cycles[19] - cycles[0]) / 19)
}

#[test]
fn register_slices_pass_every_word_once_and_in_order() {
    for name in ["bypass", "early", "half", "skid"] {
        for stalls in STALLS {
            let (mut bench, s, m) = stream(name, stalls);
            let mut random = Random::new(7);
            let sent: Vec<u64> = (0..200).map(|_| random.word() >> 24).collect();
            for word in &sent {
                bench.send_value(s, *word);
            }
            bench.run_until_received(m, sent.len(), 2000);
            assert_eq!(values(&bench, m), sent, "{name} {stalls:?}");
        }
    }
    // Latency and initiation interval, as documented.
    assert_eq!(pace("bypass"), (0, 1));
    assert_eq!(pace("early"), (0, 1));
    assert_eq!(pace("half"), (1, 2));
    assert_eq!(pace("skid"), (1, 1));
}

#[test]
fn queues_keep_order_count_their_words_and_warn_in_time() {
    for (name, depth, margin) in [("direct", 6, 2), ("read", 9, 3), ("registered", 1026, 1019)] {
        for stalls in STALLS {
            let (mut bench, s, m) = stream(name, stalls);
            let mut random = Random::new(8);
            let sent: Vec<u64> = (0..200).map(|_| random.word() >> 24).collect();
            for word in &sent {
                bench.send_value(s, *word);
            }
            while bench.received(m).len() < sent.len() {
                bench.cycle();
                let inside = bench.accepted(s) - bench.received(m).len() as u64;
                assert_eq!(bench.peek(&format!("{name}_level")), inside);
                assert_eq!(
                    bench.peek(&format!("{name}_almost_full")),
                    depth - inside <= margin
                );
                assert!(bench.cycles() < 2000);
            }
            assert_eq!(values(&bench, m), sent, "{name} {stalls:?}");
        }
        let (mut bench, s, m) = stream(name, (0, 100));
        for word in 0..depth + 10 {
            bench.send_value(s, word);
        }
        bench.run(depth + 20);
        assert_eq!(bench.accepted(s), depth, "{name} holds its depth");
        bench.stall(m, Stalls::none());
        bench.run_until_received(m, depth as usize + 10, 2 * depth + 40);
    }
    assert_eq!(pace("direct"), (1, 1));
    assert_eq!(pace("read"), (2, 1));
    assert_eq!(pace("registered"), (3, 1));
}

#[test]
fn what_the_selected_channel_sends_comes_out() {
    let mut bench = bench();
    let sources = ["mux_s0", "mux_s1", "mux_s2"].map(|name| bench.driver(name));
    let m = bench.monitor("mux_m");
    for source in sources {
        bench.stall(source, Stalls::random(30));
        (0..200u64).for_each(|word| bench.send_value(source, word << 4 | source_bits(source)));
    }
    bench.stall(m, Stalls::random(40));
    bench.reset();
    let mut random = Random::new(9);
    let mut passed = [0u64; 3];
    for _ in 0..150 {
        let channel = random.below(3) as usize;
        bench.poke("mux_select", channel as u64);
        bench.run_until_received(m, 1, 100);
        for word in bench.take_received(m) {
            let wanted = passed[channel] << 4 | source_bits(sources[channel]);
            assert_eq!(*word.value(), wanted);
            passed[channel] += 1;
        }
    }
    // A number without a channel stops the traffic.
    bench.poke("mux_select", 3);
    bench.run(20);
    assert_eq!(bench.received(m).len(), 0);
    assert_eq!(bench.accepted(sources[0]), passed[0]);
}

fn source_bits(driver: Driver) -> u64 {
    let text = format!("{driver:?}");
    text.bytes()
        .filter(u8::is_ascii_digit)
        .map(u64::from)
        .sum::<u64>()
        & 15
}

#[test]
fn words_go_to_the_selected_channel() {
    let mut bench = bench();
    let s = bench.driver("demux_s");
    let sinks = ["demux_m0", "demux_m1", "demux_m2"].map(|name| bench.monitor(name));
    bench.stall(s, Stalls::random(30));
    for sink in sinks {
        bench.stall(sink, Stalls::random(40));
    }
    bench.reset();
    let mut random = Random::new(10);
    for word in 0..150u64 {
        let channel = random.below(3) as usize;
        bench.poke("demux_select", channel as u64);
        bench.send_value(s, word);
        bench.run_until(100, |bench| bench.pending(s) == 0);
        for (number, sink) in sinks.iter().enumerate() {
            let received = bench.take_received(*sink);
            assert_eq!(received.len(), usize::from(number == channel));
            assert!(received.iter().all(|record| *record.value() == word));
        }
    }
}

#[test]
fn merging_is_fair_loses_nothing_and_names_the_channel() {
    const NAMES: [&str; 4] = ["merge_s0", "merge_s1", "merge_s2", "merge_s3"];
    for stalls in STALLS {
        let mut bench = bench();
        let sources = NAMES.map(|name| bench.driver(name));
        let m = bench.monitor("merge_m");
        bench.stall(m, Stalls::random(stalls.1));
        for (channel, source) in sources.into_iter().enumerate() {
            bench.stall(source, Stalls::random(stalls.0));
            for word in 0..100u64 {
                bench.send_value(source, (channel as u64) << 32 | word);
            }
        }
        bench.reset();
        bench.run_until_received(m, 400, 2000);
        let words = values(&bench, m);
        for channel in 0..4 {
            let own: Vec<u64> = words
                .iter()
                .copied()
                .filter(|w| w >> 32 == channel)
                .collect();
            assert!(own.iter().map(|w| w & 0xffff_ffff).eq(0..100), "{own:x?}");
        }
        if stalls.0 == 0 {
            // All ask all the time: each in turn.
            let turns: Vec<u64> = words.iter().map(|word| word >> 32).collect();
            assert!(
                turns.iter().copied().eq((0..400).map(|i| i % 4)),
                "{turns:?}"
            );
        }
    }
    let mut bench = bench();
    bench.reset();
    bench.poke("merge_s3_valid", 1);
    assert_eq!(bench.peek("merge_index"), 3);
    bench.cycle();
    // The offer stands although a channel before it asks now.
    bench.poke("merge_s0_valid", 1);
    assert_eq!(bench.peek("merge_index"), 3);
}

/// Sends a frame of `bytes` beat by beat; `offset` stands until it is taken.
fn send_frame(bench: &mut Bench, s: Driver, offset: usize, bytes: &[u8]) {
    let beats = bytes.len().div_ceil(16);
    for (number, beat) in bytes.chunks(16).enumerate() {
        let last = number + 1 == beats;
        bench.send(
            s,
            fields! { data: beat, bytes: beat.len() as u64, last: last },
        );
    }
    bench.poke("aligner_offset", offset as u64);
    bench.run_until(1000, |bench| bench.pending(s) == 0);
}

#[test]
fn frames_leave_aligned_in_full_beats() {
    for stalls in STALLS {
        let (mut bench, s, m) = stream("aligner", stalls);
        let mut random = Random::new(11);
        let mut expected: Vec<(Vec<u8>, bool)> = vec![];
        for number in 0..200u64 {
            let length = 1 + random.below(70) as usize;
            let offset = random.below(length.min(16) as u32) as usize;
            let bytes: Vec<u8> = (0..length)
                .map(|i| (number as usize * 31 + i) as u8)
                .collect();
            let rest = &bytes[offset..];
            let beats = rest.len().div_ceil(16);
            for (at, beat) in rest.chunks(16).enumerate() {
                expected.push((beat.to_vec(), at + 1 == beats));
            }
            send_frame(&mut bench, s, offset, &bytes);
        }
        bench.run_until_received(m, expected.len(), 1000);
        for (beat, (bytes, last)) in bench.received(m).iter().zip(&expected) {
            let count = beat.field("bytes").u64() as usize;
            assert_eq!(beat.field("last"), *last);
            assert_eq!(beat.field("data").to_bytes(16)[..count], bytes[..]);
        }
        assert_eq!(bench.received(m).len(), expected.len());
    }
}

#[test]
fn tickets_leave_in_order_and_skipped_ones_not_at_all() {
    for stalls in STALLS {
        let (mut bench, s, m) = stream("reorder", stalls);
        let mut random = Random::new(12);
        let mut tickets: Vec<u64> = (0..400).collect();
        for window in tickets.chunks_mut(8) {
            for last in (1..window.len()).rev() {
                window.swap(last, random.below(last as u32 + 1) as usize);
            }
        }
        let mut kept = vec![];
        for ticket in tickets {
            let skip = random.chance(20);
            if !skip {
                kept.push(ticket);
            }
            bench.poke("reorder_ticket", ticket);
            bench.poke("reorder_skip", skip);
            bench.send_value(s, 3 * ticket);
            bench.run_until(200, |bench| bench.pending(s) == 0);
        }
        kept.sort_unstable();
        bench.run_until_received(m, kept.len(), 200);
        bench.run(5);
        assert!(
            values(&bench, m)
                .iter()
                .copied()
                .eq(kept.iter().map(|ticket| 3 * ticket))
        );
        assert_eq!(bench.peek("reorder_idle"), 1);
    }
}

#[test]
fn an_aligned_frame_in_the_log() {
    let (mut bench, s, m) = stream("aligner", (0, 0));
    let bytes: Vec<u8> = (0..40).collect();
    send_frame(&mut bench, s, 4, &bytes);
    bench.run_until_received(m, 3, 20);
    insta::assert_snapshot!(bench.log(), @r"
         0 aligner_s data=0xf0e0d0c0b0a09080706050403020100 bytes=0x10 last=0
         1 aligner_s data=0x1f1e1d1c1b1a19181716151413121110 bytes=0x10 last=0
         2 aligner_s data=0x2726252423222120 bytes=8 last=1
         2 aligner_m data=0x131211100f0e0d0c0b0a090807060504 bytes=0x10 last=0
         3 aligner_m data=0x232221201f1e1d1c1b1a191817161514 bytes=0x10 last=0
         4 aligner_m data=0x23222120000000000000000027262524 bytes=4 last=1
    ");
}

#[test]
fn frames_that_break_the_rules_stop_the_simulation() {
    for (beat, message) in [
        (fields! { data: 0, bytes: 3, last: false }, "is not full"),
        (
            fields! { data: 0, bytes: 4, last: true },
            "ends within the bytes to drop",
        ),
    ] {
        let (mut bench, s, _) = stream("aligner", (0, 0));
        bench.poke("aligner_offset", 4);
        bench.send(s, beat);
        let error = bench.try_cycle().expect_err("the assertion is violated");
        assert!(error.to_string().contains(message), "{error}");
    }
}
