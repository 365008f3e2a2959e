//! Runs a script through the Verilated stage and the reference, and shrinks a script on
//! which they differ.

use super::script::Item;
use crate::channel::{structure, value};
use crate::stage::bench_of;
use hallux_host::reference::Connections;
use hallux_testbenches::{Bench, Driver, Monitor, Stalls};
use hallux_toe::channels::{Outcome, SackBlock};
use hallux_toe::design::{Recovery, SameFlow};
use hallux_toe::stages::protocol::Protocol;

/// Flow ids of the stage under test.
pub const FLOWS: u16 = 4;

/// How a script is run.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// How the stage treats events of one flow.
    pub same_flow: SameFlow,
    /// Intervals held out of order.
    pub intervals: u8,
    /// How lost segments are sent again.
    pub recovery: Recovery,
    /// Seed of the stalls.
    pub seed: u64,
    /// Percent of the clocks in which no event is offered.
    pub gaps: u32,
    /// Percent of the clocks in which no outcome is taken.
    pub stalls: u32,
    /// Time in ns, constant during a script.
    pub now: u64,
}

impl Conditions {
    /// The reference, nothing open.
    pub fn model(&self) -> Connections {
        Connections::new(FLOWS.into())
            .with_intervals(self.intervals)
            .with_scoreboard(self.recovery == Recovery::Sack)
    }
}

/// Where stage and reference part.
#[derive(Debug)]
pub struct Mismatch {
    /// Number of the item.
    pub item: usize,
    /// What the reference says.
    pub expected: String,
    /// What the stage says.
    pub found: String,
}

/// A reset stage.
pub fn stage(conditions: &Conditions) -> (Bench, Driver, Monitor) {
    let intervals = usize::from(conditions.intervals);
    let block = Protocol::new(
        FLOWS.into(),
        conditions.same_flow,
        intervals,
        conditions.recovery,
    );
    let mut bench = bench_of(&block, "protocol", conditions.seed);
    let (s, m) = (bench.driver("s"), bench.monitor("m"));
    bench.stall(s, Stalls::random(conditions.gaps));
    bench.stall(m, Stalls::random(conditions.stalls));
    bench.poke("now", conditions.now);
    bench.reset();
    bench.run(u64::from(FLOWS) + 1);
    assert_eq!(bench.peek("idle"), true, "the sweep is over");
    (bench, s, m)
}

/// The fields that are not zero, for people.
pub fn describe(outcome: &Outcome) -> String {
    let o = outcome;
    let flag = |name: &str, set: bool| {
        if set {
            format!(" {name}")
        } else {
            String::new()
        }
    };
    let number = |name: &str, value: u64| match value {
        0 => String::new(),
        _ => format!(" {name}={value}"),
    };
    let block = |block: &SackBlock| match (block.left.to_u64(), block.right.to_u64()) {
        (0, 0) => String::new(),
        (left, right) => format!(" sack={left}-{right}"),
    };
    [
        ["rx", "tx", "hc", "cmd"][o.kind.to_u64() as usize].to_string(),
        format!(" flow={}", o.flow.to_u64()),
        number("generation", o.generation.to_u64()),
        number("class", o.class.to_u64()),
        number("frame_len", o.frame_len.to_u64()),
        flag("SEND", o.send),
        number("seq", o.seq.to_u64()),
        number("ack", o.ack.to_u64()),
        number("window", o.window.to_u64()),
        number("flags", o.flags.to_u64()),
        flag("ts", o.ts_on),
        number("ts_offset", o.ts_offset.to_u64()),
        number("ts_ecr", o.ts_ecr.to_u64()),
        block(&o.sack.first),
        block(&o.sack.second),
        block(&o.sack.third),
        number("length", o.length.to_u64()),
        number("tx_pos", o.tx_pos.to_u64()),
        flag("PLACE", o.place),
        number("rx_pos", o.rx_pos.to_u64()),
        number("offset", o.place_offset.to_u64()),
        number("bytes", o.place_len.to_u64()),
        flag("NOTIFY", o.notify),
        number("rx_bump", o.rx_bump.to_u64()),
        number("tx_bump", o.tx_bump.to_u64()),
        number("notice", o.notice_flags.to_u64()),
        number("rtt", o.rtt.to_u64()),
        flag("OWES", o.owes),
        flag("UPDATE", o.update),
        flag("ready", o.ready),
        flag("DONE", o.done),
        number("opcode", o.opcode.to_u64()),
        number("status", o.status.to_u64()),
        number("address", o.address.to_u64()),
    ]
    .concat()
}

/// Runs a script; `None` if the stage does what the reference does.
pub fn run(script: &[Item], conditions: &Conditions) -> Option<Mismatch> {
    let (mut bench, s, m) = stage(conditions);
    for item in script {
        bench.send_value(s, value(item.event()));
    }
    let mut stale_events = 0u64;
    let limit = 100 + 20 * script.len() as u64;
    while bench.received(m).len() < script.len() && bench.cycles() < limit {
        bench.cycle();
        stale_events += bench.peek("count_stale").u64();
    }
    let mut model = conditions.model();
    let mut stale_expected = 0;
    let received = bench.take_received(m);
    for (number, item) in script.iter().enumerate() {
        let (expected, stale) = item.expect(&mut model, conditions.now);
        stale_expected += u64::from(stale);
        let found = received.get(number).map(structure::<Outcome>);
        if found != Some(expected) {
            return Some(Mismatch {
                item: number,
                expected: describe(&expected),
                found: found.map_or("nothing".into(), |found| {
                    let ticket = expected.ticket == found.ticket;
                    let note = if ticket { "" } else { " (another ticket)" };
                    format!("{}{note}", describe(&found))
                }),
            });
        }
    }
    assert_eq!(stale_events, stale_expected, "stale events counted");
    None
}

/// Drops whatever can be dropped while stage and reference still differ.
pub fn shrink(mut script: Vec<Item>, conditions: &Conditions) -> (Vec<Item>, Mismatch) {
    let mut mismatch = run(&script, conditions).expect("a script on which they differ");
    script.truncate(mismatch.item + 1);
    let mut chunk = script.len().div_ceil(2);
    loop {
        let mut start = 0;
        while start < script.len() {
            let mut shorter = script.clone();
            shorter.drain(start..script.len().min(start + chunk));
            match run(&shorter, conditions) {
                Some(found) => {
                    shorter.truncate(found.item + 1);
                    script = shorter;
                    mismatch = found;
                }
                None => start += chunk,
            }
        }
        if chunk == 1 {
            return (script, mismatch);
        }
        chunk = chunk.div_ceil(2);
    }
}

/// Runs a script and, where stage and reference differ, fails with the shortest script
/// found on which they do.
pub fn check(script: Vec<Item>, conditions: &Conditions) {
    if run(&script, conditions).is_none() {
        return;
    }
    let (script, mismatch) = shrink(script, conditions);
    let lines: Vec<String> = script
        .iter()
        .map(|item| format!("  flow {} {:?}", item.flow, item.work))
        .collect();
    panic!(
        "the stage differs from the reference under {conditions:?} at the last of\n{}\n\
         expected {}\n   found {}",
        lines.join("\n"),
        mismatch.expected,
        mismatch.found
    );
}
