//! What lies in the slots, byte for byte, against a raw peer: the checklist
//! of the specification (§16) from the ring on, and its pitfalls (§14), which
//! do not happen to us.

mod raw;

use std::time::{Duration, Instant};

use hallux_channel::simbricks::{
    ChannelError, Delivery, Endpoint, Options, PeerViolation, Refusal, Role, SyncMode,
};
use hallux_channel::{InterruptKind, Message, Time};
use raw::{ELEN, L, Rings, SLOTS, with_raw_connecter, with_raw_listener};

const CAPACITY: usize = (ELEN - 64) as usize;

fn ethernet(sync: bool) -> (Endpoint, Rings) {
    let (mode, flags) = if sync {
        (SyncMode::Required, 3)
    } else {
        (SyncMode::Disabled, 0)
    };
    with_raw_listener(Role::Ethernet, mode, flags, 1, &[0; 4])
}

fn host() -> (Endpoint, Rings) {
    with_raw_listener(Role::PcieHost, SyncMode::Required, 3, 2, &[0; 119])
}

fn device() -> (Endpoint, Rings) {
    let options = Options {
        slot_size: Some(ELEN as usize),
        slots: SLOTS as usize,
        ..Options::default()
    };
    let role = Role::PcieDevice(Box::default());
    let (endpoint, rings, _) =
        with_raw_connecter(role, SyncMode::Required, 3, 2, &[0; 4], &options);
    (endpoint, rings)
}

fn frame(byte: u8, len: usize) -> Message {
    Message::Frame(vec![byte; len].into())
}

fn sent(endpoint: &mut Endpoint, at: u64, message: &Message) {
    let delivery = endpoint.try_send(Time::from_ps(at), message).unwrap();
    assert_eq!(delivery, Delivery::Sent);
}

fn violation(endpoint: &mut Endpoint) -> PeerViolation {
    match endpoint.poll() {
        Err(ChannelError::Peer { violation, .. }) => violation,
        other => panic!("{other:?}"),
    }
}

/// What our end puts into a slot: stamp, type, the first header bytes and the
/// payload.
fn slot(rings: &mut Rings, stamp: u64, own_type: u8, header: &[u8], payload: &[u8]) {
    let slot = rings.take().expect("our end has sent nothing");
    assert_eq!(slot[48..56], stamp.to_le_bytes());
    assert_eq!(slot[63], own_type | 0x80);
    assert_eq!(slot[..header.len()], *header, "type {own_type:#x}");
    assert_eq!(slot[64..64 + payload.len()], *payload);
}

#[test]
fn frames_lie_in_slots_as_specified() {
    let (mut ours, mut rings) = ethernet(true);
    sent(&mut ours, 7, &frame(0xa5, 100));
    slot(&mut rings, 500_007, 0x40, &[100, 0, 0], &[0xa5; 100]);
    // A free slot keeps its type; all are used; the peer's garbage is ignored.
    for n in 0..SLOTS {
        rings.put(
            &[(0, &[60, 0, 0xff]), (3, &[0xee; 45]), (56, &[0xdd; 7])],
            500_000 + n,
            0xc0,
            &[n as u8; 60],
        );
    }
    assert!(!rings.has_room());
    for n in 0..SLOTS {
        let arrival = Time::from_ps(500_000 + n);
        assert_eq!(ours.poll().unwrap(), Some((arrival, frame(n as u8, 60))));
    }
    assert!(rings.has_room());
    assert_eq!(rings.byte(ELEN * SLOTS + 63), 0x40);
    assert_eq!(ours.poll().unwrap(), None);
}

#[test]
fn the_messages_of_a_pcie_host_lie_in_slots_as_specified() {
    let (mut ours, mut rings) = host();
    let id = 0x8877_6655_4433_2211_u64;
    let request = |offset: u64, len: u16, bar: u8| {
        let mut header = [id.to_le_bytes(), offset.to_le_bytes()].concat();
        header.extend_from_slice(&len.to_le_bytes());
        header.push(bar);
        header
    };
    let data = bytes::Bytes::from_static(&[1, 2, 3, 4]);
    let write = |posted| Message::MmioWrite {
        req_id: id,
        bar: 2,
        offset: 0x1000,
        data: data.clone(),
        posted,
    };
    let read = Message::MmioRead {
        req_id: id,
        bar: 5,
        offset: 1 << 33,
        len: 8,
    };
    sent(&mut ours, 0, &read);
    slot(&mut rings, 500_000, 0x60, &request(1 << 33, 8, 5), &[]);
    sent(&mut ours, 1, &write(false));
    slot(&mut rings, 500_001, 0x61, &request(0x1000, 4, 2), &data);
    sent(&mut ours, 2, &write(true));
    slot(&mut rings, 500_002, 0x65, &request(0x1000, 4, 2), &data);
    let completion = Message::DmaReadCompletion {
        req_id: id,
        data: data.clone(),
    };
    sent(&mut ours, 3, &completion);
    slot(&mut rings, 500_003, 0x62, &id.to_le_bytes(), &data);
    sent(&mut ours, 4, &Message::DmaWriteCompletion { req_id: id });
    slot(&mut rings, 500_004, 0x63, &id.to_le_bytes(), &[]);
    sent(&mut ours, 5, &Message::DeviceControl { flags: 6 });
    slot(&mut rings, 500_005, 0x64, &[6, 0, 0, 0, 0, 0, 0, 0], &[]);

    // And the device's messages arrive.
    let id = &id.to_le_bytes()[..];
    let addr = &0xfeed_u64.to_le_bytes()[..];
    let mut arrives = |fields: &[(u64, &[u8])], own_type, payload: &[u8], expected: Message| {
        rings.put(fields, 9_000, own_type, payload);
        let got = ours.poll().unwrap();
        assert_eq!(got, Some((Time::from_ps(9_000), expected)));
    };
    let req_id = 0x8877_6655_4433_2211;
    arrives(
        &[(0, id), (8, addr), (16, &[128, 0])],
        0xc0,
        &[],
        Message::DmaRead {
            req_id,
            addr: 0xfeed,
            len: 128,
        },
    );
    arrives(
        &[(0, id), (8, addr), (16, &[4, 0])],
        0xc1,
        &data,
        Message::DmaWrite {
            req_id,
            addr: 0xfeed,
            data: data.clone(),
        },
    );
    for (number, kind) in [
        InterruptKind::IntxAssert,
        InterruptKind::IntxDeassert,
        InterruptKind::Msi,
        InterruptKind::MsiX,
    ]
    .into_iter()
    .enumerate()
    {
        arrives(
            &[(0, &[0x2c, 1, number as u8])],
            0xc2,
            &[],
            Message::Interrupt { vector: 300, kind },
        );
    }
    let eight = vec![7; 8];
    arrives(
        &[(0, id)],
        0xc3,
        &eight,
        Message::MmioReadCompletion {
            req_id,
            data: eight.clone().into(),
        },
    );
    arrives(
        &[(0, id)],
        0xc4,
        &[],
        Message::MmioWriteCompletion { req_id },
    );
    // Pitfall 7: a device that completes a write twice.
    rings.put(&[(0, id)], 9_000, 0xc4, &[]);
    assert_eq!(ours.poll().unwrap(), None);
    assert_eq!(ours.counters().stray, 1);
}

#[test]
fn the_messages_of_a_pcie_device_lie_in_slots_as_specified() {
    let (mut ours, mut rings) = device();
    let data = bytes::Bytes::from_static(&[9; 128]);
    let read = Message::DmaRead {
        req_id: 3,
        addr: 0x10,
        len: 128,
    };
    sent(&mut ours, 0, &read);
    let header = [&3_u64.to_le_bytes()[..], &16_u64.to_le_bytes(), &[128, 0]].concat();
    slot(&mut rings, 500_000, 0x40, &header, &[]);
    let write = Message::DmaWrite {
        req_id: 3,
        addr: 0x10,
        data: data.clone(),
    };
    sent(&mut ours, 0, &write);
    slot(&mut rings, 500_000, 0x41, &header, &data);
    let interrupt = Message::Interrupt {
        vector: 0x1234,
        kind: InterruptKind::Msi,
    };
    sent(&mut ours, 0, &interrupt);
    slot(&mut rings, 500_000, 0x42, &[0x34, 0x12, 2], &[]);
    let completion = Message::MmioReadCompletion {
        req_id: 5,
        data: data.clone(),
    };
    sent(&mut ours, 0, &completion);
    slot(&mut rings, 500_000, 0x43, &5_u64.to_le_bytes(), &data);
    sent(&mut ours, 0, &Message::MmioWriteCompletion { req_id: 5 });
    slot(&mut rings, 500_000, 0x44, &5_u64.to_le_bytes(), &[]);

    // The host's: 0x61 and 0x65, the same id again and again, device control
    // at any time.
    let id = &1_u64.to_le_bytes()[..];
    let fields: &[(u64, &[u8])] = &[(0, id), (8, &[8]), (16, &[4, 0, 1])];
    let mut arrives = |fields: &[(u64, &[u8])], own_type, payload: &[u8], expected: Message| {
        rings.put(fields, 9_000, own_type, payload);
        let got = ours.poll().unwrap();
        assert_eq!(got, Some((Time::from_ps(9_000), expected)));
    };
    arrives(&[(0, &[5])], 0xe4, &[], Message::DeviceControl { flags: 5 });
    for _ in 0..2 {
        arrives(
            fields,
            0xe0,
            &[],
            Message::MmioRead {
                req_id: 1,
                bar: 1,
                offset: 8,
                len: 4,
            },
        );
        for (own_type, posted) in [(0xe1, false), (0xe5, true)] {
            arrives(
                fields,
                own_type,
                &[1, 2, 3, 4],
                Message::MmioWrite {
                    req_id: 1,
                    bar: 1,
                    offset: 8,
                    data: vec![1, 2, 3, 4].into(),
                    posted,
                },
            );
        }
    }
    let three = &3_u64.to_le_bytes()[..];
    arrives(
        &[(0, three)],
        0xe3,
        &[],
        Message::DmaWriteCompletion { req_id: 3 },
    );
    arrives(
        &[(0, three)],
        0xe2,
        &data,
        Message::DmaReadCompletion {
            req_id: 3,
            data: data.clone(),
        },
    );
}

#[test]
fn the_messages_of_a_memory_lie_in_slots_as_specified() {
    let (mut client, mut rings) =
        with_raw_listener(Role::MemoryClient, SyncMode::Required, 3, 3, &[0; 4]);
    let header = |len: u8| {
        let words = [1_u64, 2, 3].map(u64::to_le_bytes).concat();
        [words, vec![len, 0]].concat()
    };
    let read = Message::MemoryRead {
        req_id: 1,
        space: 2,
        addr: 3,
        len: 16,
    };
    sent(&mut client, 0, &read);
    slot(&mut rings, 500_000, 0x60, &header(16), &[]);
    for (own_type, posted) in [(0x61, false), (0x62, true)] {
        let write = Message::MemoryWrite {
            req_id: 1,
            space: 2,
            addr: 3,
            data: vec![4; 5].into(),
            posted,
        };
        sent(&mut client, 0, &write);
        slot(&mut rings, 500_000, own_type, &header(5), &[4; 5]);
    }
    rings.put(&[(0, &[1])], 1, 0xc0, &[8; 16]);
    let data = Message::MemoryReadCompletion {
        req_id: 1,
        data: vec![8; 16].into(),
    };
    assert_eq!(client.poll().unwrap(), Some((Time::from_ps(1), data)));
    rings.put(&[(0, &[1])], 1, 0xc1, &[]);
    let done = Message::MemoryWriteCompletion { req_id: 1 };
    assert_eq!(client.poll().unwrap(), Some((Time::from_ps(1), done)));
}

#[test]
fn time_follows_the_rules() {
    let (mut ours, mut rings) = ethernet(true);
    // Nothing was heard yet: time stands still.
    assert_eq!((ours.poll().unwrap(), ours.bound()), (None, Time::ZERO));
    // A promise at the start, before anything is waited for, and once only.
    assert!(ours.promise(Time::ZERO).unwrap());
    assert!(ours.promise(Time::ZERO).unwrap());
    slot(&mut rings, 500_000, 0x00, &[], &[]);
    assert!(rings.take().is_none());
    // Duplicate promises, as the reference sends them, and equal stamps.
    for _ in 0..3 {
        rings.put(&[], 500_000, 0x80, &[]);
    }
    assert_eq!((ours.poll().unwrap(), ours.bound()), (None, L));
    rings.put(&[(0, &[1, 0, 0])], 500_000, 0xc0, &[1]);
    rings.put(&[(0, &[1, 0, 0])], 500_000, 0xc0, &[2]);
    assert_eq!(ours.poll().unwrap(), Some((L, frame(1, 1))));
    // Strictly later: one with the same stamp is still to come.
    assert_eq!(ours.bound(), L);
    assert_eq!(ours.poll().unwrap(), Some((L, frame(2, 1))));
    // An interval after the last message the next promise is due.
    assert_eq!(ours.promise_due(), L);
    assert!(ours.promise(L).unwrap());
    slot(&mut rings, 1_000_000, 0x00, &[], &[]);
    // Back in time goes nobody: neither the peer nor we.
    let error = ours.try_send(Time::from_ns(499), &frame(0, 1)).unwrap_err();
    assert!(matches!(
        error,
        ChannelError::Send {
            refusal: Refusal::InThePast(_),
            ..
        }
    ));
    rings.put(&[], 499_999, 0x80, &[]);
    assert!(matches!(
        violation(&mut ours),
        PeerViolation::Stamp { before: L, .. }
    ));
}

/// Pitfalls 1 and 4: the stamp of the last message means nothing, and nothing
/// waits for anybody after it.
#[test]
fn a_termination_ends_the_rules_of_time() {
    let (mut ours, mut rings) = ethernet(true);
    rings.put(&[(0, &[1, 0, 0])], 9_000_000, 0xc0, &[1]);
    rings.put(&[], 499_999, 0x81, &[]);
    let last = Some((Time::from_us(9), frame(1, 1)));
    assert_eq!(ours.poll().unwrap(), last);
    assert!(!ours.terminated());
    assert_eq!(ours.poll().unwrap(), None);
    assert!(ours.terminated());
    assert_eq!(ours.bound(), Time::NEVER);
    assert_eq!(ours.promise_due(), Time::NEVER);
    assert!(ours.promise(Time::from_us(10)).unwrap());
    let discarded = ours.try_send(Time::from_us(10), &frame(1, 1)).unwrap();
    assert_eq!(discarded, Delivery::Discarded);
    assert_eq!(ours.promise_due(), Time::NEVER);
    assert!(rings.take().is_none());

    let (mut ours, mut rings) = ethernet(true);
    assert!(ours.terminate().unwrap());
    slot(&mut rings, 499_999, 0x01, &[], &[]);
    assert_eq!(ours.promise_due(), Time::NEVER);
    // What the peer still has to say is heard.
    rings.put(&[(0, &[1, 0, 0])], 500_000, 0xc0, &[1]);
    assert_eq!(ours.poll().unwrap(), Some((L, frame(1, 1))));
}

/// Pitfall 3: an end without synchronisation has no part in time.
#[test]
fn an_unsynchronised_channel_holds_nobody_back() {
    let (mut ours, mut rings) = ethernet(false);
    assert_eq!(ours.bound(), Time::NEVER);
    assert!(ours.promise(Time::from_us(5)).unwrap());
    assert!(rings.take().is_none());
    // Stamped it is all the same; theirs are ignored.
    sent(&mut ours, 1_000, &frame(1, 1));
    slot(&mut rings, 501_000, 0x40, &[1, 0, 0], &[1]);
    for stamp in [7_000, 3] {
        rings.put(&[(0, &[1, 0, 0])], stamp, 0xc0, &[2]);
        assert_eq!(ours.poll().unwrap(), Some((Time::ZERO, frame(2, 1))));
    }
    rings.put(&[], 5, 0x80, &[]);
    assert_eq!((ours.poll().unwrap(), ours.bound()), (None, Time::NEVER));
}

/// Pitfall 5: nothing is written behind the end of a slot, and nothing read.
#[test]
fn lengths_end_with_the_slot() {
    let (mut ours, mut rings) = ethernet(true);
    let refused = ours.try_send(Time::ZERO, &frame(0xff, CAPACITY + 1));
    assert_eq!(refused.unwrap(), Delivery::Refused);
    assert_eq!(ours.counters().refused, 1);
    assert!(rings.take().is_none());
    sent(&mut ours, 0, &frame(0xff, CAPACITY));
    assert!((ELEN..2 * ELEN).all(|at| rings.byte(at) == 0));
    let len = (CAPACITY as u16 + 1).to_le_bytes();
    rings.put(&[(0, &len)], 1, 0xc0, &[]);
    assert!(matches!(
        violation(&mut ours),
        PeerViolation::Length {
            capacity: CAPACITY,
            ..
        }
    ));

    let (mut ours, mut rings) = device();
    let long = Message::DmaWrite {
        req_id: 0,
        addr: 0,
        data: vec![0; CAPACITY + 1].into(),
    };
    let error = ours.try_send(Time::ZERO, &long).unwrap_err();
    assert!(error.to_string().contains("129 bytes"), "{error}");
    let long = Message::DmaRead {
        req_id: 0,
        addr: 0,
        len: CAPACITY as u16 + 1,
    };
    assert!(ours.try_send(Time::ZERO, &long).is_err());
    let wrong = Message::DmaWriteCompletion { req_id: 0 };
    assert!(matches!(
        ours.try_send(Time::ZERO, &wrong),
        Err(ChannelError::Send {
            refusal: Refusal::Protocol(_),
            ..
        })
    ));
    rings.put(&[(16, &len)], 1, 0xe0, &[]);
    assert!(matches!(
        violation(&mut ours),
        PeerViolation::Unanswerable { .. }
    ));
}

#[test]
fn what_the_protocol_does_not_know_is_named() {
    for kind in [0x02, 0x3f, 0x41, 0x60, 0x7f] {
        let (mut ours, mut rings) = ethernet(true);
        rings.put(&[], 1, 0x80 | kind, &[]);
        assert_eq!(violation(&mut ours), PeerViolation::Kind { kind });
        // It stays so: nothing behind it is believed.
        assert_eq!(violation(&mut ours), PeerViolation::Kind { kind });
    }
    let (mut ours, mut rings) = host();
    rings.put(&[(0, &[0, 0, 4])], 1, 0xc2, &[]);
    assert_eq!(violation(&mut ours), PeerViolation::Interrupt(4));
    let (mut ours, mut rings) = host();
    rings.put(&[(0, &[5])], 1, 0xc3, &[]);
    assert_eq!(violation(&mut ours), PeerViolation::Completion(5));
    let (mut ours, mut rings) = device();
    rings.put(&[(18, &[6])], 1, 0xe0, &[]);
    assert_eq!(violation(&mut ours), PeerViolation::Bar(6));
}

/// A peer that never stops promising gets no more than a round of the ring.
#[test]
fn endless_promises_do_not_keep_us() {
    let (mut ours, mut rings) = ethernet(true);
    for round in 0..3 {
        for _ in 0..SLOTS {
            rings.put(&[], 500_000 + round, 0x80, &[]);
        }
        assert_eq!(ours.poll().unwrap(), None);
        assert_eq!(ours.counters().received.syncs, (round + 1) * SLOTS);
    }
}

/// Pitfall 2: a dead peer ends the wait, also the wait for room.
#[test]
fn a_dead_peer_is_noticed_at_a_full_ring() {
    let (mut ours, rings) = ethernet(false);
    for n in 0..SLOTS {
        sent(&mut ours, n, &frame(0, 60));
    }
    drop(rings.stream);
    let since = Instant::now();
    let error = loop {
        match ours.try_send(Time::from_us(1), &frame(0, 60)) {
            Ok(delivery) => assert_eq!(delivery, Delivery::Full),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ChannelError::PeerLost { .. }), "{error}");
    assert!(since.elapsed() < Duration::from_secs(1));
}

/// Slots of an odd size at an odd offset are within the protocol.
#[test]
fn slots_need_no_alignment() {
    let options = Options {
        slot_size: Some(64 + 61),
        slots: 3,
        ..Options::default()
    };
    let (mut ours, mut rings, _) =
        with_raw_connecter(Role::Ethernet, SyncMode::Required, 3, 1, &[0; 4], &options);
    for n in 0..7_u8 {
        sent(&mut ours, u64::from(n), &frame(n, 61));
        slot(
            &mut rings,
            500_000 + u64::from(n),
            0x40,
            &[61, 0, 0],
            &[n; 61],
        );
        rings.put(&[(0, &[61, 0])], 500_000, 0xc0, &[n; 61]);
        assert_eq!(ours.poll().unwrap(), Some((L, frame(n, 61))));
    }
}
