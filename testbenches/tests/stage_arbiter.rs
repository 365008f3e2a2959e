//! Bench of `stages::arbiter`.

mod channel;
mod stage;

use channel::{random, structure, value};
use hallux_hdl::prelude::bits;
use hallux_testbenches::{Bench, Driver, Monitor, Stalls};
use hallux_toe::channels::{Event, Grant, KIND_RX, KIND_TX, Segment};
use hallux_toe::stages::arbiter::Arbiter;
use stage::{Dice, bench_of};

const CLASSES: [&str; 4] = ["rx", "tx", "hc", "cmd"];

fn bench(seed: u64) -> (Bench, [Driver; 4], Monitor) {
    let mut bench = bench_of(&Arbiter::default(), "arbiter", seed);
    let drivers = CLASSES.map(|class| bench.driver(&format!("s_{class}")));
    let m = bench.monitor("m");
    bench.reset();
    (bench, drivers, m)
}

/// Sends a random word of a class with the given number as ticket, and returns the event
/// that should come of it.
fn send(
    bench: &mut Bench,
    drivers: &[Driver; 4],
    class: usize,
    ticket: u64,
    dice: &mut Dice,
) -> Event {
    let ticket = bits::<24>((class as u64) << 22 | ticket);
    let (word, event) = match class {
        0 => {
            let mut segment: Segment = random(|| dice.word());
            segment.summary.ticket = ticket;
            let summary = segment.summary;
            let event = Event {
                kind: bits::<2>(KIND_RX),
                flow: segment.flow,
                class: summary.class,
                flags: summary.flags,
                seq: summary.seq,
                ack: summary.ack,
                window: bits::<32>(summary.window.to_u64()),
                ts_val: summary.ts_val,
                ts_ecr: summary.ts_ecr,
                ts_present: summary.ts_present,
                sack: summary.sack,
                ce: summary.ce,
                payload_offset: summary.payload_offset,
                payload_len: summary.payload_len,
                frame_len: summary.frame_len,
                ticket,
                ..Event::default()
            };
            (value(segment), event)
        }
        1 => {
            let grant = Grant {
                ticket,
                flow: random(|| dice.word()),
                reminds: dice.chance(30),
            };
            let event = Event {
                kind: bits::<2>(KIND_TX),
                ticket,
                flow: grant.flow,
                flags: bits::<8>(u64::from(grant.reminds)),
                ..Event::default()
            };
            (value(grant), event)
        }
        _ => {
            let mut event: Event = random(|| dice.word());
            event.ticket = ticket;
            (value(event), event)
        }
    };
    bench.send_value(drivers[class], word);
    event
}

/// The class and number of a ticket made by [`send`].
fn origin(event: &Event) -> (usize, u64) {
    let ticket = event.ticket.to_u64();
    ((ticket >> 22) as usize, ticket & 0x3f_ffff)
}

#[test]
fn received_frames_go_first_and_the_others_take_turns() {
    let (mut bench, drivers, m) = bench(1);
    let mut dice = Dice::new(1);
    for (class, count) in [(0, 4), (1, 2), (2, 1), (3, 1)] {
        for number in 0..count {
            send(&mut bench, &drivers, class, number, &mut dice);
        }
    }
    bench.run_until_received(m, 8, 40);
    let order: Vec<String> = bench
        .received(m)
        .iter()
        .map(|record| {
            let (class, number) = origin(&structure(record));
            format!("{} {number}", CLASSES[class])
        })
        .collect();
    insta::assert_snapshot!(order.join(", "), @"rx 0, rx 1, rx 2, rx 3, tx 0, hc 0, cmd 0, tx 1");
    bench.cycle();
    assert_eq!(bench.peek("idle"), true);
}

/// A class and its event share a clock.
#[test]
fn latency() {
    let (mut bench, drivers, m) = bench(7);
    send(&mut bench, &drivers, 2, 0, &mut Dice::new(7));
    bench.cycle();
    assert_eq!(bench.received(m).len(), 1);
}

/// What is offered and not taken stands, also when a received frame comes.
#[test]
fn an_offered_event_stands() {
    let (mut bench, drivers, m) = bench(8);
    let mut dice = Dice::new(8);
    bench.stall(m, Stalls::always());
    let grant = send(&mut bench, &drivers, 1, 0, &mut dice);
    bench.run(3);
    let frame = send(&mut bench, &drivers, 0, 0, &mut dice);
    bench.run(3);
    bench.stall(m, Stalls::none());
    bench.run(3);
    let events: Vec<Event> = bench.received(m).iter().map(structure).collect();
    assert_eq!(events, [grant, frame]);
}

#[test]
fn one_event_a_clock() {
    let (mut bench, drivers, m) = bench(2);
    let mut dice = Dice::new(2);
    for number in 0..100 {
        for class in 0..4 {
            send(&mut bench, &drivers, class, number, &mut dice);
        }
    }
    bench.run(401);
    assert_eq!(bench.received(m).len(), 400);
}

#[test]
fn every_event_passes_once_in_the_order_of_its_class() {
    for (seed, gaps, stalls) in [(3, 0, 0), (4, 50, 0), (5, 0, 50), (6, 60, 30)] {
        let (mut bench, drivers, m) = bench(seed);
        let mut dice = Dice::new(seed);
        for driver in drivers {
            bench.stall(driver, Stalls::random(gaps));
        }
        bench.stall(m, Stalls::random(stalls));
        let mut expected = [const { Vec::new() }; 4];
        for number in 0..500 {
            for (class, list) in expected.iter_mut().enumerate() {
                list.push(send(&mut bench, &drivers, class, number, &mut dice));
            }
        }
        bench.run_until_received(m, 2000, 20_000);
        let mut next = [0; 4];
        for record in bench.received(m) {
            let event: Event = structure(record);
            let (class, number) = origin(&event);
            assert_eq!(
                number as usize, next[class],
                "order of class {}",
                CLASSES[class]
            );
            assert_eq!(event, expected[class][next[class]]);
            next[class] += 1;
            // All offer all the time: no lower class may be ahead by more than a turn, nor
            // pass before the received frames.
            if gaps == 0 {
                let (least, most) = (next[1..].iter().min(), next[1..].iter().max());
                assert!(next[0] == 500 || *most.unwrap() == 0, "{next:?}");
                assert!(most.unwrap() - least.unwrap() <= 1, "{next:?}");
            }
        }
        assert_eq!(next, [500; 4]);
    }
}
