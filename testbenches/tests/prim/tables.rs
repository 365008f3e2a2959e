//! Memories, hash table, free list, timing wheel: against plain Rust collections.

use crate::gallery::bench;
use crate::lockstep::Random;
use hallux_testbenches::{Bench, Stalls, fields};
use std::collections::{BTreeMap, VecDeque};

#[test]
fn a_simple_dual_port_memory_reads_the_old_word_on_a_collision() {
    let mut bench = bench();
    bench.reset();
    let mut random = Random::new(1);
    let mut words: BTreeMap<u64, u64> = BTreeMap::new();
    let mut expected = [None; 2];
    for _ in 0..3000 {
        for (prim, expected) in ["simple", "enabled"].iter().zip(&expected) {
            if let Some(word) = expected {
                assert_eq!(bench.peek(&format!("{prim}_read_data")), *word);
            }
        }
        // Few addresses, so that reads and writes meet; the last ones among them.
        let (write_at, read_at) = (
            1018 + u64::from(random.below(6)),
            1018 + u64::from(random.below(6)),
        );
        let (data, write, read) = (random.word() >> 28, random.chance(50), random.chance(60));
        for prim in ["simple", "enabled"] {
            bench.poke(&format!("{prim}_write"), write);
            bench.poke(&format!("{prim}_write_address"), write_at);
            bench.poke(&format!("{prim}_write_data"), data);
            bench.poke(&format!("{prim}_read_address"), read_at);
        }
        bench.poke("enabled_read", read);
        expected[0] = words.get(&read_at).copied();
        if read {
            expected[1] = expected[0];
        }
        if write {
            words.insert(write_at, data);
        }
        bench.cycle();
    }
}

#[test]
fn both_ports_of_a_true_dual_port_memory_read_and_write() {
    let mut bench = bench();
    bench.reset();
    let mut random = Random::new(2);
    let mut words: BTreeMap<u64, u64> = BTreeMap::new();
    let mut shown: [Option<u64>; 2] = [None; 2];
    for _ in 0..3000 {
        for (port, shown) in ["a", "b"].iter().zip(&shown) {
            if let Some(word) = shown {
                assert_eq!(bench.peek(&format!("dual_{port}_read_data")), *word);
            }
        }
        let access = [0, 1].map(|_| {
            let (enable, write) = (random.chance(70), random.chance(50));
            (
                enable,
                write,
                u64::from(random.below(5)) * 200,
                random.word() & 0x3ffff,
            )
        });
        let meet = access[0].0 && access[1].0 && access[0].2 == access[1].2;
        if meet && access[0].1 && access[1].1 {
            continue;
        }
        for (port, (enable, write, address, data)) in ["a", "b"].iter().zip(&access) {
            bench.poke(&format!("dual_{port}_enable"), *enable);
            bench.poke(&format!("dual_{port}_write"), *write);
            bench.poke(&format!("dual_{port}_address"), *address);
            bench.poke(&format!("dual_{port}_write_data"), *data);
        }
        for port in [0, 1] {
            let ((enable, _, address, _), other) = (access[port], access[1 - port]);
            if enable {
                let undefined = meet && other.1;
                shown[port] = words.get(&address).copied().filter(|_| !undefined);
            }
        }
        for (enable, write, address, data) in access {
            if enable && write {
                words.insert(address, data);
            }
        }
        bench.cycle();
    }
    for port in ["a", "b"] {
        bench.poke(&format!("dual_{port}_enable"), 1);
        bench.poke(&format!("dual_{port}_write"), 1);
        bench.poke(&format!("dual_{port}_address"), 9);
    }
    let error = bench.try_cycle().expect_err("both write one word");
    assert!(
        error.to_string().contains("both ports of a memory"),
        "{error}"
    );
}

#[test]
fn register_files_answer_in_the_same_cycle() {
    let mut bench = bench();
    bench.reset();
    let mut random = Random::new(3);
    let mut words = [None; 20];
    let readers = ["file_read", "file_n_r0", "file_n_r1", "file_n_r2"];
    for _ in 0..2000 {
        let (at, data, write) = (random.below(20), random.word() >> 40, random.chance(60));
        for prim in ["file", "file_n"] {
            bench.poke(&format!("{prim}_write"), write);
            bench.poke(&format!("{prim}_write_address"), u64::from(at));
            bench.poke(&format!("{prim}_write_data"), data);
        }
        for reader in readers {
            let address = random.below(20);
            bench.poke(&format!("{reader}_address"), u64::from(address));
            if let Some(word) = words[address as usize] {
                assert_eq!(bench.peek(&format!("{reader}_data")), word);
            }
        }
        bench.cycle();
        if write {
            words[at as usize] = Some(data);
        }
    }
}

/// CRC-32C, bit by bit.
fn crc32c(octets: &[u8]) -> u32 {
    let mut crc = !0u32;
    for bit in octets
        .iter()
        .flat_map(|octet| (0..8).map(move |i| octet >> i & 1))
    {
        let feedback = (crc ^ u32::from(bit)) & 1;
        crc = (crc >> 1) ^ (0x82f6_3b78 * feedback);
    }
    !crc
}

#[test]
fn lookups_find_what_was_written_and_only_that() {
    for (offered, taken) in [(0, 0), (50, 0), (0, 50), (40, 40)] {
        let mut bench = bench();
        let (s, m) = (bench.driver("lookup_s"), bench.monitor("lookup_m"));
        bench.stall(s, Stalls::random(offered));
        bench.stall(m, Stalls::random(taken));
        bench.reset();
        let mut random = Random::new(4);
        let keys: Vec<[u8; 13]> = (0..300u64)
            .map(|number| {
                let mut key = [0; 13];
                key[..8].copy_from_slice(&random.word().to_le_bytes());
                key[8..12].copy_from_slice(&(number as u32).to_le_bytes());
                key
            })
            .collect();
        let bucket = |key: &[u8; 13]| u64::from(crc32c(key)) & 511;
        // Bucket and way of each key that is in the table.
        let mut table: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
        let mut wanted = VecDeque::new();
        for step in 0..1000 {
            if step % 3 == 0 {
                let number = random.below(300) as usize;
                let bucket = bucket(&keys[number]);
                let taken: Vec<u64> = table
                    .values()
                    .filter(|place| place.0 == bucket)
                    .map(|place| place.1)
                    .collect();
                let place = match table.remove(&number) {
                    Some((_, way)) => Some((way, false)),
                    None => (0..4)
                        .find(|way| !taken.contains(way))
                        .map(|way| (way, true)),
                };
                if let Some((way, valid)) = place {
                    bench.run_until(100, |bench| bench.pending(s) == 0);
                    bench.poke("lookup_write", 1);
                    bench.poke("lookup_write_bucket", bucket);
                    bench.poke("lookup_write_way", way);
                    let key = &keys[number][..];
                    bench.poke_struct(
                        "lookup_write_entry",
                        fields! { valid: valid, key: key, value: 1000 + number },
                    );
                    bench.cycle();
                    bench.poke("lookup_write", 0);
                    if valid {
                        table.insert(number, (bucket, way));
                    }
                }
            }
            let number = random.below(300) as usize;
            bench.send_value(s, &keys[number][..]);
            wanted.push_back((number, table.get(&number).copied()));
            bench.cycle();
        }
        bench.run_until_received(m, wanted.len(), 5000);
        let hits = wanted.iter().filter(|(_, place)| place.is_some()).count();
        assert!((100..900).contains(&hits), "{hits}");
        for (result, (number, place)) in bench.received(m).iter().zip(wanted) {
            assert_eq!(result.field("hit"), place.is_some());
            assert_eq!(result.field("bucket"), bucket(&keys[number]));
            if let Some((_, way)) = place {
                assert_eq!(result.field("way"), way);
                assert_eq!(result.field("value"), 1000 + number);
            }
        }
    }
}

#[test]
fn a_lookup_takes_two_cycles() {
    let mut bench = bench();
    let (s, m) = (bench.driver("lookup_s"), bench.monitor("lookup_m"));
    bench.reset();
    bench.poke("lookup_write", 1);
    bench.poke("lookup_write_bucket", u64::from(crc32c(&[0; 13])) & 511);
    bench.poke("lookup_write_way", 2);
    bench.poke_struct("lookup_write_entry", fields! { valid: true, value: 7 });
    bench.cycle();
    bench.poke("lookup_write", 0);
    for key in [0, 1, 0] {
        bench.send_value(s, key);
    }
    bench.run_until_received(m, 3, 10);
    insta::assert_snapshot!(bench.log(), @r"
         1 lookup_s 0
         2 lookup_s 1
         3 lookup_s 0
         3 lookup_m hit=1 way=2 bucket=0x1e4 value=7
         4 lookup_m hit=0 way=0 bucket=0x181 value=0
         5 lookup_m hit=1 way=2 bucket=0x1e4 value=7
    ");
}

#[test]
fn identifiers_are_never_out_twice() {
    for (offered, taken) in [(0, 0), (60, 0), (0, 60), (50, 50)] {
        let mut bench = bench();
        let (s, m) = (bench.driver("free_list_s"), bench.monitor("free_list_m"));
        bench.stall(s, Stalls::random(offered));
        bench.stall(m, Stalls::random(taken));
        bench.reset();
        let mut random = Random::new(5);
        let mut out: Vec<u64> = vec![];
        let mut order: VecDeque<u64> = (0..20).collect();
        for _ in 0..2000 {
            for id in bench.take_received(m) {
                let id = id.value().u64();
                assert_eq!(Some(id), order.pop_front(), "oldest first");
                assert!(!out.contains(&id));
                out.push(id);
            }
            if !out.is_empty() && random.chance(60) {
                let id = out.swap_remove(random.below(out.len() as u32) as usize);
                order.push_back(id);
                bench.send_value(s, id);
            }
            bench.cycle();
        }
        bench.stall(s, Stalls::none());
        bench.stall(m, Stalls::none());
        bench.run(60);
        let mut newest: Vec<u64> = bench
            .take_received(m)
            .iter()
            .map(|id| id.value().u64())
            .collect();
        out.append(&mut newest);
        out.sort_unstable();
        assert!(
            out.iter().copied().eq(0..20),
            "all are out in the end: {out:?}"
        );
        assert_eq!(bench.peek("free_list_free"), 0);
    }
}

#[test]
fn an_identifier_that_was_not_out_stops_the_simulation() {
    let mut bench = bench();
    let s = bench.driver("free_list_s");
    bench.reset();
    bench.send_value(s, 3);
    let error = bench.try_cycle().expect_err("nothing is out");
    assert!(error.to_string().contains("than are out"), "{error}");
}

/// Units of time in a slot of the gallery's wheel, and its slots.
const SLOT: u64 = 16;
const SLOTS: u64 = 16;

#[test]
fn nothing_leaves_the_wheel_early_and_all_of_it_leaves() {
    for (offered, taken) in [(0, 0), (50, 0), (0, 50), (30, 30)] {
        let mut bench = bench();
        let (s, m) = (bench.driver("wheel_s"), bench.monitor("wheel_m"));
        bench.stall(s, Stalls::random(offered));
        bench.stall(m, Stalls::random(taken));
        bench.reset();
        let mut random = Random::new(6);
        let mut now = 5000u64;
        let mut waiting: BTreeMap<u64, u64> = BTreeMap::new();
        let (mut left, mut worst) = (0, 0);
        for step in 0..24_000 {
            bench.poke("wheel_now", now);
            let id = u64::from(random.below(64));
            if step < 23_000
                && bench.pending(s) == 0
                && random.chance(5)
                && !waiting.contains_key(&id)
            {
                // Some are late already, none is beyond the horizon.
                let at = now - 20 + u64::from(random.below(200));
                bench.send(s, fields! { id: id, at: at });
                waiting.insert(id, at);
            }
            bench.cycle();
            for id in bench.take_received(m) {
                let at = waiting.remove(&id.value().u64()).expect("it was sent in");
                assert!(now >= at, "due at {at}, left at {now}");
                worst = worst.max(now.saturating_sub(at));
                left += 1;
            }
            now += u64::from(random.below(5));
        }
        assert!(waiting.is_empty(), "{waiting:?}");
        assert_eq!(bench.peek("wheel_idle"), 1);
        assert!(left > 500, "{left}");
        // A slot, and a few cycles of four units for those that were due together.
        assert!(worst < SLOT + 20 * 4 + 20, "{worst}");
    }
}

fn wheel_at(now: u64) -> Bench {
    let mut bench = bench();
    bench.reset();
    bench.poke("wheel_now", now);
    bench
}

#[test]
fn the_wheel_says_when_it_wants_to_be_woken() {
    let mut bench = wheel_at(1000);
    let (s, m) = (bench.driver("wheel_s"), bench.monitor("wheel_m"));
    assert_eq!(bench.peek("wheel_wake_at"), u64::MAX);
    bench.send(s, fields! { id: 5, at: 1190 });
    bench.send(s, fields! { id: 6, at: 1100 });
    bench.send(s, fields! { id: 7, at: 1190 });
    // Beyond the horizon: leaves where it ends.
    bench.send(s, fields! { id: 8, at: 90_000 });
    bench.run(20);
    assert_eq!(bench.peek("wheel_wake_at"), 1104);
    // Nothing changes until then, however long it takes.
    bench.poke("wheel_now", 1103);
    for _ in 0..50 {
        bench.cycle();
        assert_eq!(bench.peek("wheel_wake_at"), 1104);
        assert_eq!(bench.peek("wheel_s_ready"), 1);
    }
    assert_eq!(bench.received(m).len(), 0);
    bench.poke("wheel_now", 1104);
    bench.run(10);
    assert_eq!(bench.peek("wheel_wake_at"), 1200);
    bench.poke("wheel_now", 1200);
    bench.run(12);
    let horizon = (1000 / SLOT + SLOTS - 1) * SLOT;
    assert_eq!(bench.peek("wheel_wake_at"), horizon);
    bench.poke("wheel_now", horizon);
    bench.run(10);
    assert_eq!(bench.peek("wheel_idle"), 1);
    insta::assert_snapshot!(bench.log(), @r"
         0 wheel_s  id=5 at=0x4a6
         4 wheel_s  id=6 at=0x44c
         8 wheel_s  id=7 at=0x4a6
        12 wheel_s  id=8 at=0x15f90
        72 wheel_m  6
        82 wheel_m  5
        84 wheel_m  7
        94 wheel_m  8
    ");
}
