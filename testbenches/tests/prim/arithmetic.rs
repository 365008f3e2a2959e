//! Counters, credits, arbiters, hashes, checksum, rotator: against plain Rust.

use crate::gallery::bench;
use crate::lockstep::Random;

#[test]
fn counters_saturate_and_wrap() {
    let mut bench = bench();
    bench.reset();
    let mut random = Random::new(1);
    let (mut saturating, mut wrapping) = (0u64, 0u64);
    for cycle in 0..2000 {
        // Long climbs and falls, so that both ends are reached.
        let up = random.chance(if cycle / 100 % 2 == 0 { 80 } else { 20 });
        let down = random.chance(if cycle / 100 % 2 == 0 { 20 } else { 80 });
        let step = random.chance(70);
        bench.poke("saturating_up", up);
        bench.poke("saturating_down", down);
        bench.poke("wrapping_step", step);
        assert_eq!(bench.peek("saturating_value"), saturating);
        assert_eq!(bench.peek("saturating_at_zero"), saturating == 0);
        assert_eq!(bench.peek("saturating_at_maximum"), saturating == 20);
        assert_eq!(bench.peek("wrapping_value"), wrapping);
        assert_eq!(bench.peek("wrapping_wraps"), step && wrapping == 19);
        bench.cycle();
        match (up, down) {
            (true, false) => saturating = (saturating + 1).min(20),
            (false, true) => saturating = saturating.saturating_sub(1),
            _ => {}
        }
        wrapping = (wrapping + u64::from(step)) % 20;
    }
}

#[test]
fn credits_are_spent_and_come_back() {
    let mut bench = bench();
    bench.reset();
    let mut random = Random::new(2);
    let mut available = 100u64;
    for _ in 0..2000 {
        let want = u64::from(random.below(40));
        let take = random.chance(60) && want <= available;
        let spent = 100 - available + if take { want } else { 0 };
        let give = u64::from(random.below(spent.min(30) as u32 + 1));
        bench.poke("credits_want", want);
        bench.poke("credits_take", take);
        bench.poke("credits_give", give);
        assert_eq!(bench.peek("credits_available"), available);
        assert_eq!(bench.peek("credits_enough"), available >= want);
        bench.cycle();
        available = available + give - if take { want } else { 0 };
    }
}

#[test]
fn credits_that_are_not_there_stop_the_simulation() {
    for (want, give, message) in [(101, 0, "not there"), (0, 1, "than were spent")] {
        let mut bench = bench();
        bench.reset();
        bench.poke("credits_want", want);
        bench.poke("credits_take", 1);
        bench.poke("credits_give", give);
        let error = bench.try_cycle().expect_err("the assertion is violated");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn arbiters_choose_by_rank_and_by_turn() {
    let mut bench = bench();
    bench.reset();
    let mut random = Random::new(3);
    let mut last = None;
    for _ in 0..2000 {
        let request = random.word() & random.word() & 0xffff;
        let advance = random.chance(70);
        bench.poke("priority_request", request);
        bench.poke("round_robin_request", request);
        bench.poke("round_robin_advance", advance);
        let asking: Vec<u64> = (0..11).filter(|i| request >> i & 1 == 1).collect();
        let after = asking.iter().find(|i| last.is_none_or(|last| **i > last));
        let in_turn = after.or(asking.first()).copied();
        for (arbiter, chosen) in [
            ("priority", asking.first().copied()),
            ("round_robin", in_turn),
        ] {
            assert_eq!(bench.peek(&format!("{arbiter}_granted")), chosen.is_some());
            assert_eq!(bench.peek(&format!("{arbiter}_index")), chosen.unwrap_or(0));
            let grant = chosen.map_or(0, |chosen| 1 << chosen);
            assert_eq!(bench.peek(&format!("{arbiter}_grant")), grant);
        }
        bench.cycle();
        if advance && in_turn.is_some() {
            last = in_turn;
        }
    }
}

#[test]
fn hashes_give_the_published_results() {
    let mut bench = bench();
    bench.reset();
    bench.poke("crc_key", &b"123456789"[..]);
    assert_eq!(bench.peek("crc_crc"), 0xcbf4_3926u64);
    // Verification suite of receive-side scaling: source, destination, ports, hash.
    let flows = [
        (
            [66u8, 9, 149, 187],
            [161, 142, 100, 80],
            2794u16,
            1766u16,
            0x51cc_c178u64,
        ),
        (
            [199, 92, 111, 2],
            [65, 69, 140, 83],
            14230,
            4739,
            0xc626_b0ea,
        ),
        (
            [24, 19, 198, 95],
            [12, 22, 207, 184],
            12898,
            38024,
            0x5c2b_394a,
        ),
        (
            [38, 27, 205, 30],
            [209, 142, 163, 6],
            48228,
            2217,
            0xafc7_327f,
        ),
        (
            [153, 39, 163, 191],
            [202, 188, 127, 2],
            44251,
            1303,
            0x10e8_28a2,
        ),
    ];
    for (source, destination, from, to, hash) in flows {
        let mut key = [source, destination].concat();
        key.extend(from.to_be_bytes());
        key.extend(to.to_be_bytes());
        bench.poke("toeplitz_key", &key[..]);
        assert_eq!(bench.peek("toeplitz_hash"), hash);
    }
}

#[test]
fn beats_are_summed_and_rotated() {
    let mut bench = bench();
    bench.reset();
    let mut random = Random::new(4);
    let mut sums = [None; 2];
    let mut rotated: Option<Vec<u8>> = None;
    for _ in 0..500 {
        let data: Vec<u8> = (0..4).flat_map(|_| random.word().to_le_bytes()).collect();
        let keep = random.word() & 0xffff_ffff;
        let (bytes, enable) = (random.below(32) as usize, random.chance(70));
        bench.poke("checksum_data", &data[..]);
        bench.poke("checksum_keep", keep);
        bench.poke("rotator_data", &data[..]);
        bench.poke("rotator_bytes", bytes as u64);
        bench.poke("rotator_enable", enable);
        if let Some(sum) = sums[1] {
            assert_eq!(bench.peek("checksum_sum"), sum);
        }
        if let Some(rotated) = &rotated {
            assert_eq!(bench.peek("rotator_rotated").to_bytes(32), *rotated);
        }
        bench.cycle();
        let octet = |i: usize| u64::from(data[i]) * (keep >> i & 1);
        sums[1] = sums[0];
        sums[0] = Some(
            (0..16)
                .map(|i| octet(2 * i) << 8 | octet(2 * i + 1))
                .sum::<u64>(),
        );
        if enable {
            rotated = Some([&data[bytes..], &data[..bytes]].concat());
        }
    }
}
