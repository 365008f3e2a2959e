//! Whatever a broken NIC or a hostile peer says: it is counted, nothing panics, and the
//! host goes on.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::task::Waker;

use bytes::Bytes;
use hallux_channel::{Message, Seed, Time};
use hallux_toe::interface::{
    ID_MAGIC, Opcode, Record, RecordKind, Status, VERSION, notice, register,
};
use proptest::prelude::*;

use crate::application::NetError;
use crate::control::{ControlPlane, HostConfig, Phase, Received, Segment, Work, parse};
use crate::driver::FlowKey;

const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const THEM: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const PEER: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// Registers of a NIC with 4 connections and 3 contexts.
fn answer(offset: u64) -> u64 {
    match offset {
        register::ID => ID_MAGIC,
        register::CAPABILITIES => 4 << 32 | 3 << 16 | VERSION,
        register::PARAMETERS => 2,
        _ => 0,
    }
}

/// A control plane whose NIC is up, listening on port 80.
fn ready() -> ControlPlane {
    let config = HostConfig {
        neighbours: vec![(THEM, PEER)],
        contexts: 2,
        memory_bytes: 64 << 20,
        ..HostConfig::new("host", [2, 0, 0, 0, 0, 1], US, Seed(1))
    };
    let mut control = ControlPlane::new(config).unwrap();
    while let Some(access) = control.driver.take_outgoing() {
        if let Message::MmioRead { req_id, offset, .. } = access {
            control
                .read_completed(req_id, &answer(offset).to_le_bytes())
                .unwrap();
        }
    }
    assert!(control.is_ready());
    control.listen(80, 3).unwrap();
    control
}

/// The frames that the control plane sent, fetched from memory as the NIC would.
fn sent(control: &mut ControlPlane) -> Vec<Segment> {
    control.flush(Time::ZERO);
    let mut tail = None;
    while let Some(access) = control.driver.take_outgoing() {
        if let Message::MmioWrite {
            offset: register::CONTEXT,
            data,
            ..
        } = access
        {
            tail = Some(u64::from_le_bytes(data[..].try_into().unwrap()));
        }
    }
    // The ring of context 0 is the first thing that is allocated.
    let base = crate::memory::MEMORY_BASE;
    let read = |control: &mut ControlPlane, address, length| -> Bytes {
        control.driver.dma.device_read(Time::ZERO, address, length)
    };
    let Some(last) = tail.and_then(|tail| tail.checked_sub(1)) else {
        return Vec::new();
    };
    let descriptor = read(control, base + 32 * (last % 1024), 32);
    let address = u64::from_le_bytes(descriptor[16..24].try_into().unwrap());
    let length = u16::from_le_bytes(descriptor[24..26].try_into().unwrap());
    match parse(&read(control, address, length)) {
        Received::Tcp(segment) => vec![segment],
        _ => Vec::new(),
    }
}

fn frame(segment: &Segment) -> Work {
    Work::Frame(segment.build(PEER))
}

/// A segment of the peer towards our port 80.
fn from_peer(port: u16, seq: u32, ack: Option<u32>) -> Segment {
    let key = FlowKey {
        remote_ip: US.into(),
        local_ip: THEM.into(),
        remote_port: 80,
        local_port: port,
    };
    Segment {
        window: 1000,
        ..Segment::bare([2, 0, 0, 0, 0, 1], key, seq, ack)
    }
}

fn record(kind: RecordKind) -> Record {
    Record {
        kind: kind as u8,
        read_lost: false,
        phase: true,
        ..Record::decode(&[0; 32])
    }
}

fn done(opcode: Opcode, flow: u16, generation: u8) -> Work {
    Work::Record(Record {
        opcode: opcode as u8,
        flow,
        generation,
        status: Status::Ok as u8,
        opaque: 0x0000_0077_0000_0055,
        ..record(RecordKind::CommandDone)
    })
}

/// Brings one passive connection up to `Established`; flow 0, generation 1, context 1.
fn establish(control: &mut ControlPlane) {
    let syn = Segment {
        syn: true,
        ..from_peer(5000, 100, None)
    };
    control.handle(Time::ZERO, 0, frame(&syn));
    control.handle(Time::ZERO, 0, done(Opcode::Open, 0, 1));
    let established = Record {
        flow: 0,
        generation: 1,
        flags: notice::ESTABLISHED,
        ..record(RecordKind::Update)
    };
    control.handle(Time::ZERO, 1, Work::Record(established));
    assert_eq!(control.counts.opened_passively, 1);
}

#[test]
fn a_passive_open_answers_when_the_nic_is_ready() {
    let mut control = ready();
    let syn = Segment {
        syn: true,
        ..from_peer(5000, 100, None)
    };
    control.handle(Time::ZERO, 0, frame(&syn));
    assert_eq!(sent(&mut control), [], "not before OPEN is done");
    control.handle(Time::ZERO, 0, done(Opcode::Open, 0, 1));
    let answer = sent(&mut control);
    assert!(answer[0].syn && answer[0].ack == Some(101));
    assert_eq!(
        answer[0].options.window_scale, None,
        "the peer offered none"
    );
    control.handle(Time::from_us(1), 0, frame(&syn));
    assert_eq!(
        sent(&mut control),
        answer,
        "a repeated SYN is answered again"
    );
}

#[test]
fn a_reset_outside_the_window_is_ignored() {
    let mut control = ready();
    establish(&mut control);
    let id = control.poll_accept(80, Waker::noop()).unwrap();
    let reset = Segment {
        rst: true,
        ..from_peer(5000, 100, None)
    };
    control.handle(Time::ZERO, 0, frame(&reset));
    assert_eq!(control.counts.frames_ignored, 1);
    assert_eq!(control.connections[&id].phase, Phase::Established);

    let reset = Segment {
        rst: true,
        ..from_peer(5000, 101, None)
    };
    control.handle(Time::ZERO, 0, frame(&reset));
    assert_eq!(control.connections[&id].socket.error, Some(NetError::Reset));
    control.handle(Time::ZERO, 0, done(Opcode::Close, 0, 1));
    assert_eq!(
        control.counts.resets_sent, 0,
        "a reset is not answered by one"
    );
    assert_eq!(control.open_connections(), 0);
    control.detach(Time::ZERO, id, false);
    assert!(control.connections.is_empty());
}

#[test]
fn an_abort_resets_with_the_last_state_of_the_nic() {
    let mut control = ready();
    establish(&mut control);
    let id = control.poll_accept(80, Waker::noop()).unwrap();
    control.detach(Time::ZERO, id, false);
    control.handle(Time::ZERO, 0, done(Opcode::Close, 0, 1));
    let reset = sent(&mut control);
    assert!(reset[0].rst && reset[0].seq == 0x55 && reset[0].ack == Some(0x77));
    assert!(control.connections.is_empty());
}

#[test]
fn a_syn_in_an_established_connection_is_challenged() {
    let mut control = ready();
    establish(&mut control);
    let syn = Segment {
        syn: true,
        ..from_peer(5000, 999_999, None)
    };
    control.handle(Time::ZERO, 0, frame(&syn));
    let challenge = sent(&mut control);
    assert!(!challenge[0].syn && !challenge[0].rst && challenge[0].ack == Some(101));
}

#[test]
fn impossible_bumps_are_counted_and_change_nothing() {
    let mut control = ready();
    establish(&mut control);
    for (rx_bump, tx_bump) in [(u32::MAX, 0), ((1 << 20) + 1, 0), (0, 1)] {
        let wrong = Record {
            flow: 0,
            generation: 1,
            rx_bump,
            tx_bump,
            ..record(RecordKind::Update)
        };
        control.handle(Time::ZERO, 1, Work::Record(wrong));
    }
    assert_eq!(control.counts.malformed_records, 3);
    let late = Record {
        flow: 0,
        generation: 2,
        rx_bump: 5,
        ..record(RecordKind::Update)
    };
    control.handle(Time::ZERO, 1, Work::Record(late));
    let elsewhere = Record {
        flow: 0,
        generation: 1,
        rx_bump: 5,
        ..record(RecordKind::Update)
    };
    control.handle(Time::ZERO, 2, Work::Record(elsewhere));
    assert_eq!(control.counts.stale_records, 2);
    let id = control.poll_accept(80, Waker::noop()).unwrap();
    assert_eq!(control.connections[&id].socket.receive.available(), 0);
}

#[test]
fn a_full_backlog_drops_syns_until_one_is_accepted() {
    let mut control = ready();
    for port in 0..4 {
        let syn = Segment {
            syn: true,
            ..from_peer(6000 + port, 1, None)
        };
        control.handle(Time::ZERO, 0, frame(&syn));
    }
    assert_eq!(control.counts.syns_dropped, 1);
    assert_eq!(control.open_connections(), 3);
    control.unlisten(80);
    for flow in 0..3 {
        control.handle(Time::ZERO, 0, done(Opcode::Open, flow, 1));
    }
    for flow in 0..3 {
        control.handle(Time::ZERO, 0, done(Opcode::Close, flow, 1));
    }
    assert_eq!(
        control.open_connections(),
        0,
        "none of them has a listener any more"
    );
}

/// Something that may happen to a control plane.
#[derive(Clone, Debug)]
enum Happening {
    Record(u8, Record),
    Frame(Vec<u8>),
    Segment(Segment),
    Connect,
    Time(u64),
}

fn happenings() -> impl Strategy<Value = Happening> {
    let record = (
        (0_u8..3, 0_u8..5, 0_u32..3000, 0_u32..3000, any::<u64>()),
        (
            0_u16..5,
            0_u8..3,
            any::<u8>(),
            0_u8..6,
            0_u8..4,
            any::<u32>(),
        ),
    )
        .prop_map(|((context, kind, rx_bump, tx_bump, opaque), rest)| {
            let (flow, generation, flags, opcode, status, value) = rest;
            let record = Record {
                kind,
                rx_bump,
                tx_bump,
                opaque,
                flow,
                generation,
                flags,
                length: value as u16,
                opcode,
                status,
                value,
                read_lost: false,
                phase: true,
            };
            Happening::Record(context, record)
        });
    let segment = (
        (
            5000_u16..5003,
            98_u32..104,
            proptest::option::of(any::<u32>()),
        ),
        (any::<bool>(), any::<bool>(), any::<bool>(), any::<u16>()),
        proptest::option::of(any::<u16>()),
    )
        .prop_map(|((port, seq, ack), (syn, fin, rst, window), mss)| {
            let mut segment = Segment {
                syn,
                fin,
                rst,
                window,
                ..from_peer(port, seq, ack)
            };
            segment.options.mss = mss;
            Happening::Segment(segment)
        });
    prop_oneof![
        4 => record,
        3 => segment,
        1 => proptest::collection::vec(any::<u8>(), 0..120).prop_map(Happening::Frame),
        1 => Just(Happening::Connect),
        1 => (0_u64..5_000).prop_map(Happening::Time),
    ]
}

proptest! {
    #[test]
    fn nothing_that_happens_breaks_the_host(script in proptest::collection::vec(happenings(), 1..120)) {
        let mut control = ready();
        let mut now = Time::ZERO;
        for happening in script {
            match happening {
                Happening::Record(context, record) => {
                    control.handle(now, context, Work::Record(record));
                }
                Happening::Frame(bytes) => control.handle(now, 0, Work::Frame(bytes)),
                Happening::Segment(segment) => control.handle(now, 0, frame(&segment)),
                Happening::Connect => {
                    let _full = control.connect(now, SocketAddrV4::new(THEM, 7));
                }
                Happening::Time(us) => now += Time::from_us(us),
            }
            control.expire(now);
            prop_assert!(control.next_timer() > now);
            control.flush(now);
            while control.driver.take_outgoing().is_some() {}
        }
        // Every connection still has an end: they can all be reset.
        control.unlisten(80);
        let all: Vec<_> = control.connections.keys().copied().collect();
        for id in all {
            control.detach(now, id, false);
        }
        for generation in 0..=u8::MAX {
            for flow in 0..4 {
                for opcode in [Opcode::Open, Opcode::Read, Opcode::Retransmit, Opcode::Close] {
                    for _ in 0..3 {
                        control.handle(now, 0, done(opcode, flow, generation));
                    }
                }
            }
        }
        prop_assert_eq!(control.driver.dma.iommu.violation_count(), 0);
    }
}

/// ECN is agreed only where both ends want it, and only by flags in the SYN (RFC 3168 §6.1.1).
#[test]
fn ecn_is_offered_and_accepted_as_the_standard_says() {
    for (ours, ece, cwr, agreed) in [
        (true, true, true, true),
        (false, true, true, false),
        (true, true, false, false),
        (true, false, false, false),
    ] {
        let mut control = ready();
        control.config.ecn = ours;
        let syn = Segment {
            syn: true,
            ece,
            cwr,
            ..from_peer(5000, 100, None)
        };
        control.handle(Time::ZERO, 0, frame(&syn));
        let connection = control.connections.values().next().unwrap();
        assert_eq!(connection.has_ecn(&control.config), agreed);
        control.handle(Time::ZERO, 0, done(Opcode::Open, 0, 1));
        let answer = sent(&mut control);
        assert!(answer[0].syn && !answer[0].cwr);
        assert_eq!(answer[0].ece, agreed);
    }
}
