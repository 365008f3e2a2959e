//! Payload write against a model that cuts placements and orders their effects.

mod frames;
mod stage;

use frames::{beats_of, cycles_of};
use hallux_testbenches::{Bench, Driver, Monitor, Stalls, fields};
use hallux_toe::channels::UP_WRITE;
use hallux_toe::interface::{RecordKind, SLOW_SLOT_BYTES};
use hallux_toe::stages::payload_write::PayloadWrite;
use stage::{BUSES, Dice, assert_lint_clean, bench_of, on_bus};

const SLOW_BASE: u64 = 0x7_0000_0000;
const SLOW_LOG2: u32 = 4;
const PAGE: u64 = 4096;

/// What an event does with its frame.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// No frame.
    None,
    /// The frame is skipped.
    Skip,
    /// A range of it is placed.
    Place {
        offset: usize,
        length: usize,
        address: u64,
        room: u64,
        ring: u64,
    },
    /// It goes to the control plane.
    Slow,
}

#[derive(Clone, Debug)]
struct Event {
    ticket: u32,
    kind: Kind,
    frame: Vec<u8>,
    notify: bool,
    send: bool,
}

/// One write request.
#[derive(Clone, Debug, PartialEq)]
struct Request {
    address: u64,
    data: Vec<u8>,
}

/// The requests of a placement: as few as the three limits allow, each as long as possible.
fn requests(data: &[u8], address: u64, room: u64, ring: u64, max_payload: u64) -> Vec<Request> {
    let mut list = vec![];
    let (first, second) = data.split_at(data.len().min(room as usize));
    for (mut data, mut address) in [(first, address), (second, ring)] {
        while !data.is_empty() {
            let length = (data.len() as u64)
                .min(max_payload)
                .min(PAGE - address % PAGE);
            let (now, rest) = data.split_at(length as usize);
            list.push(Request {
                address,
                data: now.to_vec(),
            });
            (data, address) = (rest, address + length);
        }
    }
    list
}

struct Stage {
    /// Bytes of a beat.
    bus: usize,
    bench: Bench,
    s: Driver,
    s_beats: Driver,
    m_up: Monitor,
    m_notice: Monitor,
    m_header: Monitor,
    max_payload: u64,
    dropped: usize,
    slots: u32,
    /// Cycles in which a header was released.
    released: Vec<u64>,
}

impl Stage {
    fn new(max_payload: u64) -> Self {
        Self::on(64, max_payload)
    }

    fn on(bus: usize, max_payload: u64) -> Self {
        let mut bench = on_bus!(bus, |N, K| bench_of(
            &PayloadWrite::<N, K>::new(max_payload as usize),
            "payload_write",
            1,
        ));
        let (s, s_beats) = (bench.driver("s"), bench.driver("s_beats"));
        let m_up = bench.monitor("m_up");
        let (m_notice, m_header) = (bench.monitor("m_notice"), bench.monitor("m_header"));
        bench.poke("slow_base", SLOW_BASE);
        bench.poke("slow_log2", SLOW_LOG2);
        bench.poke("slow_room", 1);
        bench.reset();
        Self {
            bus,
            bench,
            s,
            s_beats,
            m_up,
            m_notice,
            m_header,
            max_payload,
            dropped: 0,
            slots: 0,
            released: vec![],
        }
    }

    fn send(&mut self, event: &Event) {
        let (offset, length, address, room, ring) = match event.kind {
            Kind::Place {
                offset,
                length,
                address,
                room,
                ring,
            } => (offset, length, address, room, ring),
            _ => (0, 0, 0, 0, 0),
        };
        for beat in beats_of(self.bus, &event.frame) {
            self.bench.send(self.s_beats, beat);
        }
        self.bench.send(
            self.s,
            fields! {
                ticket: event.ticket,
                frame: event.kind != Kind::None,
                frame_len: event.frame.len(),
                place: matches!(event.kind, Kind::Place { .. }),
                slow: event.kind == Kind::Slow,
                place_offset: offset, place_len: length,
                address: address, room: room, ring: ring,
                notify: event.notify, notice.ticket: event.ticket, notice.context: 3,
                notice.kind: RecordKind::Update as u8,
                send: event.send, header.ticket: event.ticket,
            },
        );
    }

    fn cycle(&mut self) {
        self.dropped += (self.bench.peek("drop_valid") == 1) as usize;
        self.bench.cycle();
        // A pulse depends on nothing but registers: it stands after the clock edge.
        if self.bench.peek("released") == 1 {
            self.released.push(self.bench.cycles());
        }
    }

    fn drain(&mut self) {
        for _ in 0..200_000 {
            if self.bench.pending(self.s) == 0 && self.bench.peek("idle") == 1 {
                return;
            }
            self.cycle();
        }
        panic!("never idle; {}", self.bench.log());
    }

    /// The requests received, checked beat by beat.
    fn written(&self) -> Vec<Request> {
        let mut list: Vec<Request> = vec![];
        let mut begun = false;
        for beat in self.bench.received(self.m_up) {
            assert_eq!(beat.field("kind"), UP_WRITE);
            let (address, bytes) = (beat.field("address").u64(), beat.field("bytes").u64());
            if !begun {
                list.push(Request {
                    address,
                    data: vec![],
                });
            }
            let request = list.last_mut().unwrap();
            assert_eq!(request.address, address);
            let left = (bytes as usize - request.data.len()).min(self.bus);
            let data = beat.field("data").to_bytes(self.bus);
            assert!(
                data[left..].iter().all(|&byte| byte == 0),
                "bytes behind the request"
            );
            request.data.extend(&data[..left]);
            begun = beat.field("last") == 0;
            assert_eq!(
                request.data.len() < bytes as usize,
                begun,
                "last of {request:?}"
            );
        }
        assert!(!begun);
        list
    }

    /// Compares all that came out with what `events` ask for, slow frames accepted.
    fn check(&mut self, events: &[Event]) {
        let mut writes = vec![];
        // Write beats that must have left before the event's record or header.
        let mut beats_before = vec![];
        let mut beats = 0;
        let (mut notices, mut headers) = (vec![], vec![]);
        for event in events {
            let slot = self.slots % (1 << SLOW_LOG2);
            let new = match event.kind {
                Kind::None | Kind::Skip => vec![],
                Kind::Place {
                    offset,
                    length,
                    address,
                    room,
                    ring,
                } => {
                    let data = &event.frame[offset..offset + length];
                    requests(data, address, room, ring, self.max_payload)
                }
                Kind::Slow => {
                    let address = SLOW_BASE + u64::from(slot) * SLOW_SLOT_BYTES;
                    requests(&event.frame, address, u64::MAX >> 1, 0, self.max_payload)
                }
            };
            beats += new
                .iter()
                .map(|r| r.data.len().div_ceil(self.bus))
                .sum::<usize>();
            writes.extend(new);
            if event.kind == Kind::Slow {
                notices.push((
                    event.ticket,
                    RecordKind::Frame as u8,
                    slot,
                    event.frame.len(),
                ));
                beats_before.push(("m_notice", beats));
                self.slots += 1;
            } else if event.notify {
                notices.push((event.ticket, RecordKind::Update as u8, 0, 0));
                beats_before.push(("m_notice", beats));
            }
            if event.send {
                headers.push(event.ticket);
                beats_before.push(("released", beats));
            }
        }
        assert_eq!(self.written(), writes);
        let received = self.bench.received(self.m_notice).iter();
        let shown: Vec<_> = received
            .map(|n| {
                let kind = n.field("kind").u64() as u8;
                let context = if kind == RecordKind::Frame as u8 {
                    0
                } else {
                    3
                };
                assert_eq!(n.field("context"), context);
                let (value, length) = (n.field("value").u64(), n.field("length").u64());
                (
                    n.field("ticket").u64() as u32,
                    kind,
                    value as u32,
                    length as usize,
                )
            })
            .collect();
        assert_eq!(shown, notices);
        let received = self.bench.received(self.m_header).iter();
        let shown: Vec<_> = received.map(|h| h.field("ticket").u64() as u32).collect();
        assert_eq!(shown, headers);
        // O3, O4: in the cycle of a record or header all its write beats have left.
        let ups = cycles_of(self.bench.log(), "m_up");
        assert_eq!(self.released.len(), headers.len());
        for channel in ["m_notice", "released"] {
            let cycles = match channel {
                "released" => self.released.clone(),
                _ => cycles_of(self.bench.log(), channel),
            };
            let needed = beats_before.iter().filter(|(name, _)| *name == channel);
            for (cycle, (_, beats)) in cycles.iter().zip(needed) {
                assert!(
                    *beats == 0 || ups[*beats - 1] < *cycle,
                    "{channel} in cycle {cycle}"
                );
            }
        }
    }
}

fn place(ticket: u32, frame: Vec<u8>, offset: usize, length: usize, address: u64) -> Event {
    let kind = Kind::Place {
        offset,
        length,
        address,
        room: 1 << 20,
        ring: 0x10_0000,
    };
    Event {
        ticket,
        kind,
        frame,
        notify: true,
        send: true,
    }
}

#[test]
fn a_placement_is_cut_at_the_maximum_payload_the_page_and_the_rings_end() {
    let mut stage = Stage::new(128);
    let frame: Vec<u8> = (0..=255).collect();
    let kind = Kind::Place {
        offset: 66,
        length: 190,
        address: 0x20_0000 - 40,
        room: 40,
        ring: 0x10_0000 - 20,
    };
    let event = Event {
        ticket: 9,
        kind,
        frame,
        notify: true,
        send: true,
    };
    stage.send(&event);
    stage.drain();
    let lines: Vec<_> = stage
        .written()
        .iter()
        .map(|r| format!("{:#x}: {} from {}", r.address, r.data.len(), r.data[0]))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
    stage.check(&[event]);
}

#[test]
fn a_slow_frame_goes_to_the_next_slot_or_is_dropped_without_room() {
    let mut stage = Stage::new(256);
    let slow = |ticket| Event {
        ticket,
        kind: Kind::Slow,
        frame: vec![ticket as u8; 300],
        notify: false,
        send: false,
    };
    let events: Vec<_> = (0..20).map(slow).collect();
    for event in &events {
        stage.send(event);
    }
    stage.drain();
    stage.check(&events);
    stage.bench.poke("slow_room", 0);
    stage.send(&slow(20));
    stage.drain();
    assert_eq!(stage.dropped, 1);
    stage.bench.poke("slow_room", 1);
    stage.send(&slow(21));
    stage.drain();
    let after: Vec<_> = events.into_iter().chain([slow(21)]).collect();
    stage.slots = 0;
    stage.check(&after);
}

#[test]
fn small_segments_pass_at_three_clocks_each_at_any_address() {
    let mut stage = Stage::new(256);
    let mut dice = Dice::new(1);
    let events: Vec<_> = (0..100)
        .map(|ticket| {
            // Kept off page boundaries: those cost a request more.
            let address = dice.below(1 << 32) << 12 | dice.below(4000);
            place(ticket, dice.bytes(130), 66, 64, address)
        })
        .collect();
    for event in &events {
        stage.send(event);
    }
    stage.drain();
    stage.check(&events);
    let cycles = cycles_of(stage.bench.log(), "m_up");
    assert_eq!(cycles[99] - cycles[0], 3 * 99, "{cycles:?}");
    // Beats 0 and 1 are taken while the first chunk is on its way.
    assert_eq!(cycles[0] - cycles_of(stage.bench.log(), "s")[0], 4);
    assert_eq!(stage.released[0] - cycles[0], 1);
    assert_eq!(cycles_of(stage.bench.log(), "m_notice")[0] - cycles[0], 2);
}

#[test]
fn full_segments_take_their_beats_and_at_most_a_clock_more_on_every_bus() {
    for bus in BUSES {
        let mut stage = Stage::on(bus, 256);
        let mut dice = Dice::new(7);
        let events: Vec<_> = (0..20)
            .map(|ticket| place(ticket, dice.bytes(1514), 66, 1448, 0x40_0000))
            .collect();
        for event in &events {
            stage.send(event);
        }
        stage.drain();
        stage.check(&events);
        // The last of the writes may need a beat of its own.
        let writes = 5 * 256_u64.div_ceil(bus as u64) + 168_u64.div_ceil(bus as u64);
        let beats = 1514_u64.div_ceil(bus as u64).max(writes);
        let each = (stage.released[19] - stage.released[0]) / 19;
        assert!((beats..=beats + 1).contains(&each), "{bus}: {each}");
    }
}

#[test]
fn large_segments_lose_one_clock_and_events_without_frames_none() {
    let mut stage = Stage::new(256);
    let mut dice = Dice::new(2);
    let mut events: Vec<_> = (0..20)
        .map(|ticket| place(ticket, dice.bytes(1514), 66, 1448, 0x40_0000))
        .collect();
    for event in &events {
        stage.send(event);
    }
    stage.drain();
    let cycles = stage.released.clone();
    assert_eq!(cycles[19] - cycles[0], 25 * 19, "{cycles:?}");
    for ticket in 20..100 {
        let event = Event {
            ticket,
            kind: Kind::None,
            frame: vec![],
            notify: true,
            send: true,
        };
        stage.send(&event);
        events.push(event);
    }
    stage.drain();
    stage.check(&events);
    let cycles = stage.released.clone();
    assert_eq!(cycles[99] - cycles[20], 79, "{cycles:?}");
    assert_eq!(cycles[20] - cycles_of(stage.bench.log(), "s")[20], 1);
}

fn random_event(ticket: u32, dice: &mut Dice) -> Event {
    let length = match dice.below(4) {
        0 => 14 + dice.below(60),
        1 => 130,
        2 => 14 + dice.below(1505),
        _ => 60 + dice.below(300),
    } as usize;
    let frame = dice.bytes(length);
    let kind = match dice.below(10) {
        0 => Kind::None,
        1 => Kind::Skip,
        2 => Kind::Slow,
        _ => {
            let offset = dice.below(length as u64) as usize;
            let whole = length - offset;
            let part = if dice.chance(50) {
                whole
            } else {
                1 + dice.below(whole as u64) as usize
            };
            let ring = dice.below(1 << 32) << 13;
            let address = match dice.below(3) {
                0 => ring + dice.below(8192),
                1 => ring + 4096 - dice.below(200),
                _ => ring + 64 * dice.below(128),
            };
            let room = ring + 8192 - address;
            Kind::Place {
                offset,
                length: part,
                address,
                room,
                ring,
            }
        }
    };
    let frame = if kind == Kind::None { vec![] } else { frame };
    let slow = kind == Kind::Slow;
    Event {
        ticket,
        kind,
        frame,
        notify: !slow && (dice.below(2) == 0),
        send: !slow && (dice.below(2) == 0),
    }
}

fn random_run(bus: usize, max_payload: u64, seed: u64, stalls: [u32; 5]) {
    let mut stage = Stage::on(bus, max_payload);
    stage.bench.stall(stage.s, Stalls::random(stalls[0]));
    stage.bench.stall(stage.s_beats, Stalls::random(stalls[1]));
    stage.bench.stall(stage.m_up, Stalls::random(stalls[2]));
    stage.bench.stall(stage.m_notice, Stalls::random(stalls[3]));
    stage.bench.stall(stage.m_header, Stalls::random(stalls[4]));
    let mut dice = Dice::new(seed);
    let events: Vec<_> = (0..700)
        .map(|ticket| random_event(ticket, &mut dice))
        .collect();
    for event in &events {
        stage.send(event);
    }
    stage.drain();
    stage.check(&events);
    assert_eq!(stage.dropped, 0);
}

#[test]
fn random_events_at_full_speed() {
    for bus in BUSES {
        random_run(bus, 128, 1, [0; 5]);
    }
}

#[test]
fn random_events_with_random_stalls_on_every_channel() {
    random_run(64, 128, 2, [20, 30, 30, 20, 20]);
    random_run(64, 512, 3, [0, 60, 10, 50, 5]);
    random_run(64, 256, 4, [30, 0, 60, 5, 70]);
    for bus in [32, 128] {
        random_run(bus, 128, 5, [20, 30, 30, 20, 20]);
        random_run(bus, 512, 6, [10, 50, 20, 40, 5]);
    }
}

#[test]
fn the_verilog_is_lint_clean() {
    for bus in BUSES {
        on_bus!(bus, |N, K| assert_lint_clean(
            &PayloadWrite::<N, K>::new(256),
            "payload_write"
        ));
    }
}
