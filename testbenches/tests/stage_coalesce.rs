//! Bench of `stages::coalesce`.

mod channel;
mod stage;

use channel::{random, structure, value};
use hallux_hdl::prelude::bits;
use hallux_testbenches::{Bench, Driver, Monitor, Stalls};
use hallux_toe::channels::{CLASS_FAST, CLASS_SLOW, Event, KIND_HC};
use hallux_toe::stages::coalesce::Coalesce;
use stage::{Dice, assert_lint_clean, bench_of};

const FINISH: u64 = 1;

fn bench(depth: usize, seed: u64) -> (Bench, Driver, Monitor) {
    let mut bench = bench_of(&Coalesce::new(depth), "coalesce", seed);
    let s = bench.driver("s");
    let m = bench.monitor("m");
    bench.poke("command", false);
    bench.poke("command_flow", 0u64);
    bench.reset();
    (bench, s, m)
}

/// An update of a flow: bytes consumed and released.
fn update(ticket: u64, flow: u64, rx_bump: u64, tx_bump: u64) -> Event {
    Event {
        kind: bits::<2>(KIND_HC),
        ticket: bits::<24>(ticket),
        flow: bits::<16>(flow),
        generation: bits::<8>(7),
        class: bits::<2>(CLASS_FAST),
        seq: bits::<32>(rx_bump),
        ack: bits::<32>(tx_bump),
        ..Event::default()
    }
}

fn finish(event: Event) -> Event {
    Event {
        flags: bits::<8>(FINISH),
        ..event
    }
}

fn raw(ticket: u64) -> Event {
    Event {
        class: bits::<2>(CLASS_SLOW),
        frame_len: bits::<14>(60),
        address: bits::<64>(0x1000),
        ..update(ticket, 0, 0, 0)
    }
}

fn describe(event: &Event) -> String {
    let (rx, tx) = (event.seq.to_u64(), event.ack.to_u64());
    let what = match (event.class.to_u64(), event.flags.to_u64()) {
        (CLASS_SLOW, _) => " raw",
        (_, FINISH) => " finish",
        _ => "",
    };
    format!(
        "{} flow {} rx +{rx} tx +{tx}{what}",
        event.ticket.to_u64(),
        event.flow.to_u64()
    )
}

/// What passes while `m` takes nothing until all are sent.
fn held(events: &[Event]) -> String {
    let (mut bench, s, m) = bench(8, 1);
    bench.stall(m, Stalls::always());
    for event in events {
        bench.send_value(s, value(*event));
    }
    bench.run(events.len() as u64 + 8);
    assert_eq!(bench.pending(s), 0, "all were taken");
    bench.stall(m, Stalls::none());
    bench.run(20);
    assert_eq!(bench.peek("idle"), true);
    let lines: Vec<String> = bench
        .received(m)
        .iter()
        .map(|record| describe(&structure(record)))
        .collect();
    lines.join("\n")
}

#[test]
fn updates_that_wait_are_added_up_by_flow_and_a_finish_and_a_raw_frame_stay_alone() {
    let events = [
        update(0, 1, 0, 64),
        update(1, 2, 10, 0),
        update(2, 1, 0, 64),
        update(3, 2, 0, 5),
        update(4, 1, 30, 64),
        finish(update(5, 1, 0, 100)),
        update(6, 1, 8, 0),
        raw(7),
        update(8, 1, 8, 1),
        update(9, 2, 1, 1),
        update(10, 1, 0, 1 << 30),
        update(11, 1, 0, 3),
        update(12, 1, 0, 4),
    ];
    insta::assert_snapshot!(held(&events), @r"
    0 flow 1 rx +0 tx +64
    1 flow 2 rx +10 tx +0
    2 flow 1 rx +30 tx +128
    3 flow 2 rx +1 tx +6
    5 flow 1 rx +0 tx +100 finish
    6 flow 1 rx +16 tx +1
    7 flow 0 rx +0 tx +0 raw
    10 flow 1 rx +0 tx +1073741824
    11 flow 1 rx +0 tx +7
    ");
}

#[test]
fn another_generation_is_another_connection() {
    let older = update(1, 3, 0, 10);
    let newer = Event {
        generation: bits::<8>(8),
        ..update(2, 3, 0, 20)
    };
    let again = Event {
        ticket: bits::<24>(3),
        ..older
    };
    let events = [update(0, 9, 0, 1), update(4, 9, 0, 1), older, newer, again];
    let text = held(&events);
    assert_eq!(text.lines().count(), 5, "{text}");
}

/// Nothing behind a command is added to what came before it.
#[test]
fn a_command_that_waits_closes_what_waits_of_its_flow() {
    let (mut bench, s, m) = bench(8, 2);
    bench.stall(m, Stalls::always());
    for ticket in 0..3 {
        bench.send_value(s, value(update(ticket, ticket, 0, 1)));
    }
    bench.send_value(s, value(update(3, 5, 0, 1)));
    bench.send_value(s, value(update(4, 6, 0, 1)));
    bench.run(8);
    bench.poke("command", true);
    bench.poke("command_flow", 5u64);
    bench.cycle();
    bench.poke("command", false);
    bench.send_value(s, value(update(5, 5, 0, 10)));
    bench.send_value(s, value(update(6, 6, 0, 10)));
    bench.send_value(s, value(update(7, 5, 0, 100)));
    bench.run(8);
    bench.stall(m, Stalls::none());
    bench.run(12);
    let bytes: Vec<(u64, u64)> = bench
        .received(m)
        .iter()
        .map(structure::<Event>)
        .map(|event| (event.flow.to_u64(), event.ack.to_u64()))
        .collect();
    assert_eq!(bytes, [(0, 1), (1, 1), (2, 1), (5, 1), (6, 11), (5, 110)]);
}

#[test]
fn latency_one_and_one_event_a_clock() {
    let (mut bench, s, m) = bench(4, 3);
    bench.send_value(s, value(update(0, 1, 0, 1)));
    bench.run(2);
    assert_eq!(bench.received(m).len(), 1);
    // Of one flow: while all are taken, none is added to another.
    for ticket in 1..=100 {
        bench.send_value(s, value(update(ticket, 1, 0, ticket)));
    }
    bench.run(101);
    assert_eq!(bench.received(m).len(), 101);
}

/// Whatever is stalled and whenever commands come: events leave in the order of the descriptors that
/// began them, and those of a flow are the sums of consecutive descriptors, none lost and none
/// added where it must not be.
#[test]
fn every_event_is_the_sum_of_consecutive_descriptors_of_its_flow() {
    let mut added = 0;
    for (seed, depth, gaps, stalls) in [
        (4, 4, 0, 0),
        (5, 4, 30, 80),
        (6, 8, 0, 90),
        (7, 16, 0, 95),
        (8, 16, 50, 50),
    ] {
        let (mut bench, s, m) = bench(depth, seed);
        let mut dice = Dice::new(seed);
        bench.stall(s, Stalls::random(gaps));
        bench.stall(m, Stalls::random(stalls));
        let count = 2000;
        let sent: Vec<Event> = (0..count)
            .map(|ticket| {
                let mut event = update(ticket, dice.below(5), dice.below(3000), dice.below(3000));
                event.generation = bits::<8>(dice.below(20) / 19);
                match dice.below(20) {
                    0 => finish(event),
                    1 => raw(ticket),
                    2 => {
                        event.ack = random(|| dice.word());
                        event
                    }
                    _ => event,
                }
            })
            .collect();
        for event in &sent {
            bench.send_value(s, value(*event));
        }
        bench.run_until(100_000, |bench| {
            bench.poke("command", dice.chance(5));
            bench.poke("command_flow", dice.below(5));
            bench.pending(s) == 0 && bench.peek("idle") == true
        });
        let events: Vec<Event> = bench.received(m).iter().map(structure).collect();
        added += sent.len() - events.len();
        let tickets: Vec<u64> = events.iter().map(|event| event.ticket.to_u64()).collect();
        assert!(tickets.is_sorted(), "{tickets:?}");
        for flow in 0..5 {
            let of = |list: &[Event]| -> Vec<Event> {
                let own = list.iter().filter(|event| event.flow.to_u64() == flow);
                own.copied().collect()
            };
            let (sent, events) = (of(&sent), of(&events));
            let starts: Vec<usize> = events
                .iter()
                .map(|event| {
                    let first = sent.iter().position(|sent| sent.ticket == event.ticket);
                    first.expect("an event begins with a descriptor of its flow")
                })
                .chain([sent.len()])
                .collect();
            assert_eq!(starts[0], 0);
            for (event, range) in events.iter().zip(starts.windows(2)) {
                let parts = &sent[range[0]..range[1]];
                let sum = |of: fn(&Event) -> u64| parts.iter().map(of).sum::<u64>();
                assert_eq!(event.seq.to_u64(), sum(|event| event.seq.to_u64()));
                assert_eq!(event.ack.to_u64(), sum(|event| event.ack.to_u64()));
                let (seq, ack) = (event.seq, event.ack);
                assert_eq!(
                    *event,
                    Event {
                        seq,
                        ack,
                        ..parts[0]
                    }
                );
                let alike = |part: &Event| {
                    part.generation == event.generation
                        && part.class.to_u64() == CLASS_FAST
                        && part.flags.to_u64() == 0
                };
                assert!(parts.len() == 1 || parts.iter().all(alike), "{parts:?}");
            }
        }
    }
    assert!(added > 1000, "only {added} of 10000 were added to others");
}

#[test]
fn the_generated_module_is_lint_clean() {
    assert_lint_clean(&Coalesce::new(16), "coalesce");
}
