//! Bench of `stages::post`.

mod channel;
mod stage;

use channel::{random, structure, value};
use hallux_hdl::prelude::bits;
use hallux_testbenches::{Bench, Driver, Monitor, Stalls};
use hallux_toe::channels::{
    Action, CLASS_DROP, CLASS_FAST, CLASS_SLOW, Connection, ConnectionWrite, Header, KIND_CMD,
    KIND_HC, KIND_RX, KIND_TX, Notice, Outcome, ReadRequest, Update,
};
use hallux_toe::interface::{RecordKind, notice};
use hallux_toe::stages::post::Post;
use stage::{Dice, bench_of};

const FLOWS: u64 = 8;

struct Channels {
    s: Driver,
    s_connection: Driver,
    m_action: Monitor,
    m_read: Monitor,
    m_update: Monitor,
}

fn bench(seed: u64) -> (Bench, Channels) {
    let mut bench = bench_of(&Post::new(FLOWS as usize), "post", seed);
    let channels = Channels {
        s: bench.driver("s"),
        s_connection: bench.driver("s_connection"),
        m_action: bench.monitor("m_action"),
        m_read: bench.monitor("m_read"),
        m_update: bench.monitor("m_update"),
    };
    bench.reset();
    (bench, channels)
}

/// What post should say of one outcome.
#[derive(Default)]
struct Model {
    actions: Vec<Action>,
    reads: Vec<ReadRequest>,
    updates: Vec<Update>,
}

/// Position in a ring as address and bytes to the ring's end.
fn place(base: u64, position: u64, log2: u64) -> (u64, u64) {
    let size = 1u64 << log2;
    (base + position % size, size - position % size)
}

impl Model {
    fn outcome(&mut self, o: &Outcome, c: &Connection) {
        let (kind, class) = (o.kind.to_u64(), o.class.to_u64());
        let raw = kind == KIND_HC && class == CLASS_SLOW;
        let is_rx = kind == KIND_RX;
        let records = o.notify || o.done;
        if is_rx || records || o.send {
            let (address, room) = place(c.rx_base.to_u64(), o.rx_pos.to_u64(), c.rx_log2.to_u64());
            let snd_nxt = (o.rx_pos + o.rx_bump).to_u64();
            let echoed = o.notice_flags.to_u64() & u64::from(notice::ECN_ECHO) != 0 && !o.done;
            let marked = if echoed { o.tx_bump.to_u64() } else { 0 };
            let notice = Notice {
                context: if o.done { bits(0) } else { c.context },
                kind: bits(if o.done {
                    RecordKind::CommandDone
                } else {
                    RecordKind::Update
                } as u64),
                rx_bump: o.rx_bump,
                tx_bump: o.tx_bump,
                opaque: if o.done {
                    bits(snd_nxt | o.ack.to_u64() << 32)
                } else {
                    c.opaque
                },
                flow: o.flow,
                generation: o.generation,
                flags: o.notice_flags,
                length: bits(marked & 0xffff),
                opcode: bits(o.opcode.to_u64() | marked >> 16 & 0xff),
                status: bits(o.status.to_u64() | marked >> 24),
                value: if o.done { o.rx_pos } else { o.rtt },
                read_lost: o.read_lost,
                ticket: o.ticket,
            };
            let marked = c.ecn && !raw && o.length.any();
            let header = Header {
                ticket: o.ticket,
                flow: o.flow,
                generation: o.generation,
                raw,
                remote_mac: c.remote_mac,
                local_ip: c.local_ip,
                remote_ip: c.remote_ip,
                local_port: c.local_port,
                remote_port: c.remote_port,
                seq: o.seq,
                ack: o.ack,
                window: o.window,
                flags: o.flags,
                ts_on: o.ts_on,
                ts_offset: o.ts_offset,
                ts_ecr: o.ts_ecr,
                sack: o.sack,
                ecn: bits(if marked { 2 } else { 0 }),
                length: o.length,
                plain_ack: is_rx
                    && o.notify
                    && o.rx_bump.any()
                    && o.flags.to_u64() == 0x10
                    && !o.sack.count.any()
                    && !o.length.any(),
            };
            self.actions.push(Action {
                ticket: o.ticket,
                flow: o.flow,
                frame: is_rx,
                frame_len: o.frame_len,
                place: o.place,
                slow: is_rx && class == CLASS_SLOW,
                place_offset: o.place_offset,
                place_len: o.place_len,
                address: bits(address),
                room: bits(room),
                ring: c.rx_base,
                notify: records,
                notice,
                send: o.send,
                header,
            });
        }
        if o.send && o.length.any() {
            let (address, room) = place(c.tx_base.to_u64(), o.tx_pos.to_u64(), c.tx_log2.to_u64());
            self.reads.push(ReadRequest {
                ticket: o.ticket,
                flow: o.flow,
                address: if raw { o.address } else { bits(address) },
                room: bits(if raw { 0x1ff_ffff } else { room }),
                ring: c.tx_base,
                length: o.length,
            });
        }
        if o.update && o.kind.to_u64() != KIND_HC {
            self.updates.push(Update {
                flow: o.flow,
                ready: o.ready,
            });
        }
    }
}

/// A random slice with rings of 8 KiB to 16 MiB, aligned to their size.
fn connection(dice: &mut Dice) -> Connection {
    let (rx_log2, tx_log2) = (dice.within(13, 24), dice.within(13, 24));
    Connection {
        rx_log2: bits(rx_log2),
        tx_log2: bits(tx_log2),
        rx_base: bits(dice.word() >> 8 >> rx_log2 << rx_log2),
        tx_base: bits(dice.word() >> 8 >> tx_log2 << tx_log2),
        ..random(|| dice.word())
    }
}

/// An outcome as the protocol stage makes them: parts that are off may hold anything.
fn outcome(dice: &mut Dice) -> Outcome {
    let kind = dice.below(4);
    let class = match kind {
        KIND_RX => [CLASS_FAST, CLASS_FAST, CLASS_SLOW, CLASS_DROP][dice.below(4) as usize],
        KIND_HC => [CLASS_FAST, CLASS_SLOW][dice.below(2) as usize],
        _ => CLASS_FAST,
    };
    let raw = kind == KIND_HC && class == CLASS_SLOW;
    let done = kind == KIND_CMD;
    Outcome {
        kind: bits(kind),
        class: bits(class),
        flow: bits(dice.below(FLOWS)),
        send: raw || dice.chance(60),
        length: bits(if kind == KIND_TX || raw {
            dice.within(1, 1500)
        } else {
            0
        }),
        notify: !done && !raw && dice.chance(40),
        update: dice.chance(50),
        done,
        ..random(|| dice.word())
    }
}

fn compare(bench: &mut Bench, channels: &Channels, model: &Model) {
    let actions: Vec<Action> = bench
        .take_received(channels.m_action)
        .iter()
        .map(structure)
        .collect();
    let reads: Vec<ReadRequest> = bench
        .take_received(channels.m_read)
        .iter()
        .map(structure)
        .collect();
    let updates: Vec<Update> = bench
        .take_received(channels.m_update)
        .iter()
        .map(structure)
        .collect();
    assert_eq!(actions, model.actions);
    assert_eq!(reads, model.reads);
    assert_eq!(updates, model.updates);
}

#[test]
fn outcomes_become_actions_reads_and_updates() {
    let (mut bench, channels) = bench(1);
    let connection = Connection {
        context: bits(5),
        ecn: true,
        rx_log2: bits(13),
        tx_log2: bits(14),
        rx_base: bits(0x1_0000),
        tx_base: bits(0x2_0000),
        opaque: bits(0x55),
        ..Connection::default()
    };
    let write = ConnectionWrite {
        flow: bits(3),
        connection,
    };
    bench.send_value(channels.s_connection, value(write));
    bench.run(2);
    let base = Outcome {
        flow: bits(3),
        generation: bits(7),
        ..Outcome::default()
    };
    for outcome in [
        // In-order data across the end of the ring, acknowledged and announced.
        Outcome {
            frame_len: bits(166),
            place: true,
            rx_pos: bits(0x5_fff0),
            place_offset: bits(66),
            place_len: bits(100),
            notify: true,
            rx_bump: bits(100),
            send: true,
            seq: bits(1000),
            ack: bits(5100),
            ..base
        },
        // A data segment; the flow can send more.
        Outcome {
            kind: bits(KIND_TX),
            send: true,
            length: bits(1448),
            tx_pos: bits(0x4_3fff),
            update: true,
            ready: true,
            ..base
        },
        // Nothing for anyone.
        Outcome {
            kind: bits(KIND_HC),
            ..base
        },
        // A frame to skip.
        Outcome {
            class: bits(CLASS_DROP),
            frame_len: bits(60),
            ..base
        },
    ] {
        bench.send_value(channels.s, value(outcome));
    }
    bench.run(12);
    let shown = |record: &hallux_testbenches::Record| {
        // Fields that are zero say nothing.
        let text = record.to_string();
        let fields = text
            .split(' ')
            .filter(|f| !f.ends_with("=0") && !f.ends_with("=0x0"));
        fields.collect::<Vec<_>>().join(" ")
    };
    let mut lines = Vec::new();
    for (name, monitor) in [
        ("action", channels.m_action),
        ("read", channels.m_read),
        ("update", channels.m_update),
    ] {
        let records = bench.received(monitor).iter();
        lines.extend(records.map(|record| format!("{name}: {}", shown(record))));
    }
    insta::assert_snapshot!(lines.join("\n"), @r"
    action: flow=3 frame=1 frame_len=0xa6 place=1 place_offset=0x42 place_len=0x64 address=0x11ff0 room=0x10 ring=0x10000 notify=1 notice.context=5 notice.kind=1 notice.rx_bump=0x64 notice.opaque=0x55 notice.flow=3 notice.generation=7 send=1 header.flow=3 header.generation=7 header.seq=0x3e8 header.ack=0x13ec
    action: flow=3 address=0x10000 room=0x2000 ring=0x10000 notice.context=5 notice.kind=1 notice.opaque=0x55 notice.flow=3 notice.generation=7 send=1 header.flow=3 header.generation=7 header.ecn=2 header.length=0x5a8
    action: flow=3 frame=1 frame_len=0x3c address=0x10000 room=0x2000 ring=0x10000 notice.context=5 notice.kind=1 notice.opaque=0x55 notice.flow=3 notice.generation=7 header.flow=3 header.generation=7
    read: flow=3 address=0x23fff room=1 ring=0x20000 length=0x5a8
    update: flow=3 ready=1
    ");
    assert_eq!(bench.peek("idle"), true);
}

/// Two clocks from an outcome to what it means.
#[test]
fn latency() {
    let (mut bench, channels) = bench(7);
    let outcome = Outcome {
        kind: bits(KIND_TX),
        send: true,
        length: bits(100),
        update: true,
        ..Outcome::default()
    };
    bench.send_value(channels.s, value(outcome));
    let count = |bench: &Bench| {
        [channels.m_action, channels.m_read, channels.m_update].map(|m| bench.received(m).len())
    };
    bench.run(2);
    assert_eq!(count(&bench), [0, 0, 0]);
    bench.cycle();
    assert_eq!(count(&bench), [1, 1, 1]);
}

#[test]
fn one_outcome_a_clock() {
    let (mut bench, channels) = bench(2);
    let mut dice = Dice::new(2);
    for _ in 0..500 {
        bench.send_value(channels.s, value(outcome(&mut dice)));
    }
    bench.run(500);
    assert_eq!(bench.accepted(channels.s), 500);
}

#[test]
fn outcomes_reach_all_their_destinations_whole() {
    for (seed, gaps, stalls) in [(3, 0, 0), (4, 50, 0), (5, 0, 70), (6, 20, 50)] {
        let (mut bench, channels) = bench(seed);
        let mut dice = Dice::new(seed);
        let connections: Vec<Connection> = (0..FLOWS).map(|_| connection(&mut dice)).collect();
        for (flow, &connection) in connections.iter().enumerate() {
            let write = ConnectionWrite {
                flow: bits(flow as u64),
                connection,
            };
            bench.send_value(channels.s_connection, value(write));
        }
        bench.run(FLOWS + 1);
        bench.stall(channels.s, Stalls::random(gaps));
        for (monitor, percent) in [
            (channels.m_action, stalls),
            (channels.m_read, stalls / 2),
            (channels.m_update, stalls),
        ] {
            bench.stall(monitor, Stalls::random(percent));
        }
        let mut model = Model::default();
        for _ in 0..1500 {
            let outcome = outcome(&mut dice);
            model.outcome(&outcome, &connections[outcome.flow.to_u64() as usize]);
            bench.send_value(channels.s, value(outcome));
        }
        bench.run_until(20_000, |b| {
            b.pending(channels.s) == 0 && b.peek("idle") == true
        });
        compare(&mut bench, &channels, &model);
    }
}
