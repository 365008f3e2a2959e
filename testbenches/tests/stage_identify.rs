//! Identification against a model of its two tables.

mod frames;
mod stage;

use frames::{cycles_of, trace};
use hallux_testbenches::{Bench, Driver, Monitor, Stalls, fields};
use hallux_toe::channels::{CLASS_DROP, CLASS_FAST, CLASS_SLOW};
use hallux_toe::interface::{TABLE_WAYS, flow_hashes};
use hallux_toe::stages::identify::Identify;
use stage::{Dice, assert_lint_clean, bench_of};

/// Clocks from a lookup to its segment.
const LATENCY: u64 = 4;

const BUCKETS: usize = 16;

/// A connection's key and flow id.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Flow {
    remote_ip: u32,
    local_ip: u32,
    remote_port: u16,
    local_port: u16,
    id: u16,
}

impl Flow {
    fn bucket(&self, table: usize) -> usize {
        let hash = flow_hashes(
            self.remote_ip,
            self.local_ip,
            self.remote_port,
            self.local_port,
        );
        hash[table] as usize % BUCKETS
    }
}

fn flow(id: u16) -> Flow {
    Flow {
        remote_ip: 0x0a00_0002 + u32::from(id / 4),
        local_ip: 0x0a00_0001,
        remote_port: 40000 + id,
        local_port: 80 + id % 3,
        id,
    }
}

/// The first change of `flow` that leaves its bucket of `table` as it is.
fn neighbour(flow: &Flow, table: usize, change: impl Fn(&mut Flow, u32)) -> Flow {
    let changed = (1..).map(|n| {
        let mut stranger = *flow;
        change(&mut stranger, n);
        stranger
    });
    let mut here = changed.filter(|stranger| stranger.bucket(table) == flow.bucket(table));
    here.next().unwrap()
}

struct Identification {
    bench: Bench,
    s: Driver,
    s_write: Driver,
    m: Monitor,
}

impl Identification {
    /// A reset bench whose tables are cleared.
    fn new() -> Self {
        let mut bench = bench_of(&Identify::new(BUCKETS), "identify", 1);
        let (s, s_write, m) = (
            bench.driver("s"),
            bench.driver("s_write"),
            bench.monitor("m"),
        );
        bench.reset();
        bench.run_until(BUCKETS as u64 + 4, |bench| bench.peek("idle") == 1);
        Self {
            bench,
            s,
            s_write,
            m,
        }
    }

    fn write(&mut self, flow: &Flow, table: usize, way: usize, valid: bool) {
        self.bench.send(
            self.s_write,
            fields! {
                table: table, bucket: flow.bucket(table), way: way,
                entry.valid: valid, entry.flow: flow.id,
                entry.remote_ip: flow.remote_ip, entry.local_ip: flow.local_ip,
                entry.remote_port: flow.remote_port, entry.local_port: flow.local_port,
            },
        );
    }

    fn look_up(&mut self, flow: &Flow, class: u64, seq: u32) {
        self.bench.send(
            self.s,
            fields! {
                class: class, seq: seq,
                remote_ip: flow.remote_ip, local_ip: flow.local_ip,
                remote_port: flow.remote_port, local_port: flow.local_port,
            },
        );
    }

    /// Class and flow of every segment received.
    fn results(&self) -> Vec<(u64, u64)> {
        let segments = self.bench.received(self.m).iter();
        segments
            .map(|s| (s.field("summary.class").u64(), s.field("flow").u64()))
            .collect()
    }
}

#[test]
fn an_entry_is_written_found_moved_and_removed() {
    let mut id = Identification::new();
    let known = flow(7);
    id.look_up(&known, CLASS_FAST, 1);
    id.bench.run(1);
    id.write(&known, 0, 2, true);
    id.bench.run(1);
    id.look_up(&known, CLASS_FAST, 2);
    id.bench.run(1);
    // Moved: the new place first, then the old one is cleared.
    id.write(&known, 1, 0, true);
    id.write(&known, 0, 2, false);
    for seq in 3..6 {
        id.look_up(&known, CLASS_FAST, seq);
    }
    id.bench.run(4);
    id.write(&known, 1, 0, false);
    id.bench.run(1);
    id.look_up(&known, CLASS_FAST, 6);
    id.bench.run_until_received(id.m, 6, 30);
    let fields = [
        "table",
        "way",
        "entry.valid",
        "entry.flow",
        "seq",
        "summary.seq",
        "summary.class",
        "flow",
    ];
    insta::assert_snapshot!(trace(id.bench.log(), &fields));
}

#[test]
fn every_way_of_both_tables_is_found_and_only_for_its_key() {
    let mut id = Identification::new();
    let mut expected = vec![];
    for table in 0..2 {
        for way in 0..TABLE_WAYS {
            let known = flow((table * TABLE_WAYS + way) as u16 + 1);
            id.write(&known, table, way, true);
            // Each differs in one field and falls into the same bucket.
            let strangers = [
                neighbour(&known, table, |flow, n| flow.remote_ip ^= n),
                neighbour(&known, table, |flow, n| flow.local_ip ^= n),
                neighbour(&known, table, |flow, n| flow.remote_port ^= n as u16),
                neighbour(&known, table, |flow, n| flow.local_port ^= n as u16),
            ];
            id.bench
                .run_until(8, |bench| bench.pending(id.s_write) == 0);
            id.look_up(&known, CLASS_FAST, 0);
            expected.push(Some(known.id));
            for stranger in strangers {
                id.look_up(&stranger, CLASS_FAST, 0);
                expected.push(None);
            }
        }
    }
    id.bench.run_until_received(id.m, expected.len(), 200);
    for (&(class, flow), expected) in id.results().iter().zip(&expected) {
        match expected {
            Some(known) => assert_eq!((class, flow), (CLASS_FAST, u64::from(*known))),
            None => assert_eq!(class, CLASS_SLOW),
        }
    }
}

#[test]
fn frames_that_are_not_fast_pass_unchanged_and_a_removed_entry_is_a_miss() {
    let mut id = Identification::new();
    let known = flow(9);
    id.write(&known, 1, 3, true);
    id.bench.run(2);
    id.look_up(&known, CLASS_SLOW, 0);
    id.look_up(&known, CLASS_DROP, 0);
    id.bench.run_until_received(id.m, 2, 20);
    id.write(&known, 1, 3, false);
    id.bench.run(2);
    id.look_up(&known, CLASS_FAST, 0);
    id.bench.run_until_received(id.m, 3, 20);
    let classes: Vec<_> = id.results().iter().map(|r| r.0).collect();
    assert_eq!(classes, [CLASS_SLOW, CLASS_DROP, CLASS_SLOW]);
}

#[test]
fn one_lookup_a_clock() {
    let mut id = Identification::new();
    id.write(&flow(1), 0, 0, true);
    id.bench.run(2);
    for seq in 0..100 {
        id.look_up(&flow(1), CLASS_FAST, seq);
    }
    id.bench.run_until_received(id.m, 100, 140);
    let cycles = cycles_of(id.bench.log(), "m");
    assert_eq!(cycles[99] - cycles[0], 99, "{cycles:?}");
    let first = cycles_of(id.bench.log(), "s")[0];
    assert_eq!(cycles[0] - first, LATENCY);
}

#[test]
fn reset_clears_the_tables() {
    let mut id = Identification::new();
    id.write(&flow(5), 0, 2, true);
    id.bench.run(3);
    id.bench.reset();
    id.look_up(&flow(5), CLASS_FAST, 0);
    id.bench.run_until_received(id.m, 1, BUCKETS as u64 + 20);
    assert_eq!(id.results()[0].0, CLASS_SLOW);
}

/// Lookups and writes of a small set of flows meet at random; a lookup sees exactly the
/// writes that were accepted in its own cycle or before.
#[test]
fn lookups_agree_with_a_model_of_the_tables_under_random_writes_and_stalls() {
    let mut id = Identification::new();
    let mut dice = Dice::new(11);
    id.bench.stall(id.s, Stalls::random(25));
    id.bench.stall(id.s_write, Stalls::random(50));
    id.bench.stall(id.m, Stalls::random(25));
    let count = 3000;
    let lookups: Vec<Flow> = (0..count).map(|_| flow(dice.below(48) as u16)).collect();
    for (seq, flow) in lookups.iter().enumerate() {
        id.look_up(flow, CLASS_FAST, seq as u32);
    }
    let writes: Vec<_> = (0..count / 2)
        .map(|_| {
            let flow = flow(dice.below(48) as u16);
            (
                flow,
                dice.below(2) as usize,
                dice.below(4) as usize,
                dice.below(4) != 0,
            )
        })
        .collect();
    for (flow, table, way, valid) in &writes {
        id.write(flow, *table, *way, *valid);
    }
    let mut tables = vec![[[None; TABLE_WAYS]; BUCKETS]; 2];
    let (mut written, mut looked, mut expected) = (0, 0, vec![]);
    while id.bench.pending(id.s) > 0 {
        id.bench.cycle();
        while written < id.bench.accepted(id.s_write) as usize {
            let (flow, table, way, valid) = writes[written];
            tables[table][flow.bucket(table)][way] = valid.then_some(flow);
            written += 1;
        }
        while looked < id.bench.accepted(id.s) as usize {
            let flow = lookups[looked];
            expected
                .push((0..2).any(|table| tables[table][flow.bucket(table)].contains(&Some(flow))));
            looked += 1;
        }
    }
    id.bench.run_until_received(id.m, lookups.len(), 1000);
    assert!(expected.iter().filter(|hit| **hit).count() > lookups.len() / 4);
    for (seq, segment) in id.bench.received(id.m).iter().enumerate() {
        assert_eq!(segment.field("summary.seq"), seq);
        if expected[seq] {
            assert_eq!(segment.field("summary.class"), CLASS_FAST, "lookup {seq}");
            assert_eq!(segment.field("flow"), lookups[seq].id, "lookup {seq}");
        } else {
            assert_eq!(segment.field("summary.class"), CLASS_SLOW, "lookup {seq}");
        }
    }
    assert_eq!(id.bench.peek("idle"), 1);
}

#[test]
fn the_verilog_is_lint_clean() {
    assert_lint_clean(&Identify::new(1024), "identify");
}
