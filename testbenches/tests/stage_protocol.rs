//! Bench of `stages::protocol`: in lock step with the reference.

mod channel;
mod protocol;
mod stage;

use channel::{structure, value};
use hallux_host::reference::{Command, Event, Open, Received, SeqNumber, flags};
use hallux_testbenches::Stalls;
use hallux_toe::channels::Outcome;
use hallux_toe::design::{Recovery, SameFlow};
use hallux_toe::interface::{OpenWords, Status};
use protocol::lockstep::{Conditions, FLOWS, check, describe, stage as stage_of};
use protocol::script::{Generator, Item, Work};
use std::collections::BTreeMap;

/// Every way to treat events of one flow, every number of intervals, both recoveries.
const MODES: [(SameFlow, u8, Recovery); 7] = [
    (SameFlow::Forward1, 1, Recovery::Gbn),
    (SameFlow::Forward2, 1, Recovery::Sack),
    (SameFlow::Lock, 4, Recovery::Sack),
    (SameFlow::Forward1, 4, Recovery::Gbn),
    (SameFlow::Forward1, 4, Recovery::Sack),
    (SameFlow::Forward2, 2, Recovery::Gbn),
    (SameFlow::Forward1, 0, Recovery::Sack),
];

const ISS: u32 = 1000;
const IRS: u32 = 5000;

fn script(works: Vec<Work>) -> Vec<Item> {
    let numbered = works.into_iter().enumerate();
    numbered
        .map(|(number, work)| Item {
            flow: 1,
            number: number as u32,
            work,
        })
        .collect()
}

fn segment(seq: u32, length: u16, ack: u32) -> Work {
    Work::Connection(Event::Receive(Received {
        seq: SeqNumber(IRS + seq),
        ack: SeqNumber(ISS + ack),
        flags: flags::ACK,
        window: 4000,
        timestamps: Some((7, 0)),
        payload_len: length,
        ..Received::default()
    }))
}

fn command(command: Command) -> Work {
    Work::Connection(Event::Command {
        generation: 3,
        command,
    })
}

fn open() -> Work {
    let words = OpenWords {
        timestamps: true,
        mss: 1448,
        rx_log2: 13,
        tx_log2: 13,
        snd_nxt: ISS,
        rcv_nxt: IRS,
        window: 4000,
        ..OpenWords::default()
    };
    command(Command::Open(Open::from(&words)))
}

fn release(bytes: u32, finish: bool) -> Work {
    Work::Connection(Event::HostControl {
        generation: 3,
        rx_bump: 0,
        tx_bump: bytes,
        finish,
    })
}

fn grant() -> Work {
    Work::Connection(Event::Transmit)
}

/// Every outcome of a short life of one connection, all events back to back.
#[test]
fn a_connection_from_open_to_close() {
    let conditions = Conditions {
        same_flow: SameFlow::Forward1,
        intervals: 1,
        recovery: Recovery::Gbn,
        seed: 1,
        gaps: 0,
        stalls: 0,
        now: 10 << 10,
    };
    let (mut bench, s, m) = stage_of(&conditions);
    let script = script(vec![
        open(),
        segment(0, 100, 0),
        segment(200, 50, 0), // a hole of 100
        segment(100, 120, 0),
        release(3001, true), // 3000 bytes and the FIN
        grant(),
        grant(),
        segment(250, 0, 1448),
        grant(),
        segment(250, 0, 1448), // duplicates
        segment(250, 0, 1448),
        segment(250, 0, 1448),
        grant(),
        Work::Frame(1, 60),
        command(Command::Read),
        command(Command::Close),
        segment(250, 10, 1448),
    ]);
    for item in &script {
        bench.send_value(s, value(item.event()));
    }
    bench.run_until_received(m, script.len(), 100);
    let trace: Vec<String> = bench
        .received(m)
        .iter()
        .map(|r| describe(&structure(r)))
        .collect();
    insta::assert_snapshot!(trace.join("\n"), @r"
    cmd flow=1 generation=3 ack=5000 rx_pos=1000 DONE opcode=1
    rx flow=1 generation=3 frame_len=166 SEND seq=1000 ack=5100 window=8092 flags=16 ts ts_ecr=7 PLACE offset=66 bytes=100 NOTIFY rx_bump=100
    rx flow=1 generation=3 frame_len=116 SEND seq=1000 ack=5100 window=8092 flags=16 ts ts_ecr=7 PLACE rx_pos=200 offset=66 bytes=50
    rx flow=1 generation=3 frame_len=186 SEND seq=1000 ack=5250 window=7942 flags=16 ts ts_ecr=7 PLACE rx_pos=100 offset=66 bytes=120 NOTIFY rx_bump=150
    hc flow=1 generation=3 UPDATE ready
    tx flow=1 generation=3 SEND seq=1000 ack=5250 window=7942 flags=16 ts ts_ecr=7 length=1448 UPDATE ready
    tx flow=1 generation=3 SEND seq=2448 ack=5250 window=7942 flags=16 ts ts_ecr=7 length=1448 tx_pos=1448 UPDATE ready
    rx flow=1 generation=3 frame_len=66 NOTIFY tx_bump=1448 rtt=11 UPDATE ready
    tx flow=1 generation=3 SEND seq=3896 ack=5250 window=7942 flags=25 ts ts_ecr=7 length=104 tx_pos=2896 UPDATE
    rx flow=1 generation=3 frame_len=66
    rx flow=1 generation=3 frame_len=66
    rx flow=1 generation=3 frame_len=66 NOTIFY notice=4 UPDATE ready
    tx flow=1 generation=3 SEND seq=2448 ack=5250 window=7942 flags=16 ts ts_ecr=7 length=1448 tx_pos=1448 UPDATE ready
    rx flow=1 class=1 frame_len=60
    cmd flow=1 generation=3 ack=5250 rx_pos=2448 rx_bump=1448 tx_bump=105 DONE opcode=3
    cmd flow=1 generation=3 ack=5250 rx_pos=2448 rx_bump=1448 tx_bump=105 DONE opcode=2
    rx flow=1 class=2 frame_len=76
    ");
    bench.run(2);
    assert_eq!(bench.peek("idle"), true);
}

/// Eleven clocks from an event to its outcome.
#[test]
fn latency() {
    let conditions = Conditions {
        same_flow: SameFlow::Forward1,
        intervals: 1,
        recovery: Recovery::Gbn,
        seed: 4,
        gaps: 0,
        stalls: 0,
        now: 0,
    };
    let (mut bench, s, m) = stage_of(&conditions);
    bench.send_value(s, value(script(vec![open()])[0].event()));
    bench.run(11);
    assert!(bench.received(m).is_empty());
    bench.cycle();
    assert_eq!(bench.received(m).len(), 1);
}

/// In-order data of the flow ids `1..=flows` in turn, and the events a clock at which the
/// stage takes it. Each byte is acknowledged, or the test fails.
fn rate_of_data(same_flow: SameFlow, flows: u32, events: u32) -> f64 {
    let conditions = Conditions {
        same_flow,
        intervals: 1,
        recovery: Recovery::Gbn,
        seed: 2,
        gaps: 0,
        stalls: 0,
        now: 0,
    };
    let (mut bench, s, m) = stage_of(&conditions);
    let on = |number: u32, work: Work| Item {
        flow: (1 + number % flows) as u16,
        number,
        work,
    };
    for flow in 0..flows {
        bench.send_value(s, value(on(flow, open()).event()));
    }
    bench.run_until_received(m, flows as usize, 200);
    bench.take_received(m);

    // A byte each; the application consumes half a ring at a time.
    let half = 1 << 12;
    let mut script = Vec::new();
    for number in 0..events {
        let round = number / flows;
        script.push(on(number, segment(round, 1, 0)));
        if (round + 1).is_multiple_of(half) {
            let consume = Event::HostControl {
                generation: 3,
                rx_bump: half,
                tx_bump: 0,
                finish: false,
            };
            script.push(on(number, Work::Connection(consume)));
        }
    }
    for item in &script {
        bench.send_value(s, value(item.event()));
    }
    let (start, before) = (bench.cycles(), bench.accepted(s));
    while bench.accepted(s) - before < script.len() as u64 {
        bench.cycle();
    }
    let clocks = bench.cycles() - start;
    bench.run(40);
    let received = bench.take_received(m);
    assert_eq!(received.len(), script.len());
    let mut segments = 0;
    for outcome in received.iter().map(structure::<Outcome>) {
        if outcome.place {
            let round = segments / flows;
            assert_eq!(outcome.ack.to_u64(), u64::from(IRS + round + 1));
            segments += 1;
        }
    }
    assert_eq!(segments, events);
    script.len() as f64 / clocks as f64
}

/// One connection: each mode keeps its promise, and is not better by accident.
#[test]
fn events_per_clock_on_one_connection() {
    let forward1 = rate_of_data(SameFlow::Forward1, 1, 100_000);
    let forward2 = rate_of_data(SameFlow::Forward2, 1, 20_000);
    let lock = rate_of_data(SameFlow::Lock, 1, 20_000);
    println!("one connection: forward1 {forward1:.4}, forward2 {forward2:.4}, lock {lock:.4}");
    assert!(forward1 >= 0.99, "{forward1}");
    assert!((0.49..=0.51).contains(&forward2), "{forward2}");
    assert!((0.12..=0.13).contains(&lock), "{lock}");
}

/// Three connections in turn: forwarding reaches past the events between them.
#[test]
fn events_per_clock_on_three_connections() {
    let forward1 = rate_of_data(SameFlow::Forward1, 3, 60_000);
    let forward2 = rate_of_data(SameFlow::Forward2, 3, 60_000);
    println!("three connections: forward1 {forward1:.4}, forward2 {forward2:.4}");
    assert!(forward1 >= 0.99, "{forward1}");
    assert!(forward2 >= 0.99, "{forward2}");
}

/// Random events, most of them back to back on one connection, at the edges of the rules.
#[test]
fn lock_step_with_the_reference() {
    let length = 6000;
    let mut coverage = BTreeMap::new();
    let kinds = [(0, 0), (0, 50), (50, 0), (30, 30)];
    for round in 0..28 {
        let (gaps, stalls) = kinds[round % kinds.len()];
        let seed = 100 + round as u64;
        let now = seed * 0x1234_5678_9abc;
        let (same_flow, intervals, recovery) = MODES[round % MODES.len()];
        let conditions = Conditions {
            same_flow,
            intervals,
            recovery,
            seed,
            gaps,
            stalls,
            now,
        };
        let mut generator = Generator::new(seed, FLOWS, conditions.model());
        let script: Vec<Item> = (0..length).map(|_| generator.item(now)).collect();
        for (name, count) in protocol::script::coverage(&script, conditions.model(), now) {
            *coverage.entry(name).or_insert(0) += count;
        }
        check(script, &conditions);
    }
    let rare: Vec<_> = coverage.iter().filter(|(_, count)| **count < 20).collect();
    assert!(rare.is_empty(), "hardly tried: {rare:?} of {coverage:?}");
}

/// A reset closes every connection, also those of events under way.
#[test]
fn a_reset_closes_everything() {
    let conditions = Conditions {
        same_flow: SameFlow::Forward1,
        intervals: 1,
        recovery: Recovery::Gbn,
        seed: 3,
        gaps: 0,
        stalls: 100,
        now: 0,
    };
    let (mut bench, s, m) = stage_of(&conditions);
    for item in &script(vec![open(), grant()]) {
        bench.send_value(s, value(item.event()));
    }
    bench.run(3);
    bench.reset();
    bench.stall(m, Stalls::none());
    bench.send_value(s, value(script(vec![command(Command::Read)])[0].event()));
    bench.run_until_received(m, 1, 40);
    let outcome: Outcome = structure(&bench.received(m)[0]);
    assert!(outcome.done);
    assert_eq!(outcome.status.to_u64(), Status::Stale as u64);
}
