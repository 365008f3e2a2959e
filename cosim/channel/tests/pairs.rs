//! Two endpoints of ours, talking.

use std::thread;
use std::time::{Duration, Instant};

use hallux_channel::simbricks::{
    Address, Backoff, ChannelError, Delivery, DeviceIntro, Endpoint, Options, Role, SyncMode,
    establish_all,
};
use hallux_channel::{InterruptKind, Message, Time};

const L: Time = Time::from_ns(500);

fn pair(first: Role, second: Role, sync: SyncMode) -> (Endpoint, Endpoint) {
    Endpoint::pair(first, second, sync, L, L, &Options::default()).unwrap()
}

fn frame(byte: u8, len: usize) -> Message {
    Message::Frame(vec![byte; len].into())
}

fn device() -> Role {
    Role::PcieDevice(Box::new(DeviceIntro {
        vendor: 0x8086,
        msix_vectors: 16,
        ..DeviceIntro::default()
    }))
}

/// Every message of a protocol arrives as it was sent, with its time.
fn all_arrive(from: &mut Endpoint, to: &mut Endpoint, messages: &[Message]) {
    for (n, message) in messages.iter().enumerate() {
        let at = Time::from_ns(n as u64);
        assert_eq!(from.try_send(at, message).unwrap(), Delivery::Sent);
        assert_eq!(to.poll().unwrap(), Some((at + L, message.clone())));
        assert_eq!(to.bound(), at + L);
    }
}

#[test]
fn every_message_of_pcie_arrives_as_it_was_sent() {
    let (mut nic, mut host) = pair(device(), Role::PcieHost, SyncMode::Required);
    let vendor = host.device().unwrap().vendor;
    assert_eq!(vendor, 0x8086);
    let data = |len| (0..len).map(|i| i as u8).collect::<Vec<_>>().into();
    let mut upstream = vec![
        Message::DmaRead {
            req_id: u64::MAX,
            addr: 0x1234_5678_9abc,
            len: 9024,
        },
        Message::DmaWrite {
            req_id: 7,
            addr: 64,
            data: data(9024),
        },
        Message::DmaWrite {
            req_id: 7,
            addr: 65,
            data: data(0),
        },
    ];
    for kind in [
        InterruptKind::IntxAssert,
        InterruptKind::IntxDeassert,
        InterruptKind::Msi,
        InterruptKind::MsiX,
    ] {
        upstream.push(Message::Interrupt { vector: 300, kind });
    }
    all_arrive(&mut nic, &mut host, &upstream);
    all_arrive(
        &mut host,
        &mut nic,
        &[
            Message::DmaReadCompletion {
                req_id: u64::MAX,
                data: data(9024),
            },
            Message::DmaWriteCompletion { req_id: 7 },
            Message::DmaWriteCompletion { req_id: 7 },
            Message::MmioRead {
                req_id: 1,
                bar: 5,
                offset: 8,
                len: 8,
            },
            Message::MmioRead {
                req_id: 1,
                bar: 0,
                offset: 16,
                len: 4,
            },
            Message::MmioWrite {
                req_id: 1,
                bar: 2,
                offset: 4,
                data: data(4),
                posted: false,
            },
            Message::MmioWrite {
                req_id: 1,
                bar: 2,
                offset: 4,
                data: data(8),
                posted: true,
            },
            Message::DeviceControl { flags: 7 },
        ],
    );
    // The same id twice: answered in the order of asking.
    let at = Time::from_us(1);
    for (len, message) in [
        (
            8,
            Message::MmioReadCompletion {
                req_id: 1,
                data: data(8),
            },
        ),
        (
            4,
            Message::MmioReadCompletion {
                req_id: 1,
                data: data(4),
            },
        ),
        (0, Message::MmioWriteCompletion { req_id: 1 }),
    ] {
        assert_eq!(nic.try_send(at, &message).unwrap(), Delivery::Sent);
        let (_, got) = host.poll().unwrap().unwrap();
        assert_eq!(got.payload().len(), len);
        assert_eq!(got, message);
    }
    let second = Message::MmioWriteCompletion { req_id: 1 };
    assert_eq!(nic.try_send(at, &second).unwrap(), Delivery::Sent);
    assert_eq!(host.poll().unwrap(), None);
    assert_eq!(host.counters().stray, 1);
}

#[test]
fn every_message_of_the_memory_protocol_arrives_as_it_was_sent() {
    let (mut memory, mut client) = pair(Role::MemoryServer, Role::MemoryClient, SyncMode::Optional);
    assert!(memory.synchronised());
    let data = vec![3; 100];
    all_arrive(
        &mut client,
        &mut memory,
        &[
            Message::MemoryRead {
                req_id: 9,
                space: 1,
                addr: 1 << 40,
                len: 100,
            },
            Message::MemoryWrite {
                req_id: 9,
                space: 2,
                addr: 0,
                data: data.clone().into(),
                posted: false,
            },
            Message::MemoryWrite {
                req_id: 9,
                space: 3,
                addr: 0,
                data: data.clone().into(),
                posted: true,
            },
        ],
    );
    all_arrive(
        &mut memory,
        &mut client,
        &[
            Message::MemoryReadCompletion {
                req_id: 9,
                data: data.into(),
            },
            Message::MemoryWriteCompletion { req_id: 9 },
        ],
    );
}

#[test]
fn data_counts_as_a_promise_and_promises_are_as_rare_as_allowed() {
    let (mut a, mut b) = pair(Role::Ethernet, Role::Ethernet, SyncMode::Required);
    assert_eq!(a.promise_due(), Time::ZERO);
    assert!(a.promise(Time::ZERO).unwrap());
    for ns in (0..500).step_by(10) {
        assert!(a.promise(Time::from_ns(ns)).unwrap());
    }
    assert_eq!(a.counters().sent.syncs, 1);
    assert_eq!(
        a.try_send(Time::from_ns(400), &frame(0, 60)).unwrap(),
        Delivery::Sent
    );
    assert_eq!(a.promise_due(), Time::from_ns(900));
    assert!(a.promise(Time::from_ns(899)).unwrap());
    assert_eq!(a.counters().sent.syncs, 1);
    assert!(a.promise(Time::from_ns(900)).unwrap());
    assert_eq!(a.counters().sent.syncs, 2);
    assert_eq!(b.poll().unwrap(), Some((Time::from_ns(900), frame(0, 60))));
    assert_eq!(b.poll().unwrap(), None);
    assert_eq!(b.bound(), Time::from_ns(1400));
}

#[test]
fn the_whole_ring_can_be_used_and_a_frame_longer_than_a_slot_is_refused() {
    let options = Options {
        slot_size: Some(64 + 100),
        slots: 3,
        ..Options::default()
    };
    let (mut a, mut b) = Endpoint::pair(
        Role::Ethernet,
        Role::Ethernet,
        SyncMode::Disabled,
        L,
        L,
        &options,
    )
    .unwrap();
    for round in 0..5 {
        assert_eq!(
            a.try_send(Time::ZERO, &frame(9, 101)).unwrap(),
            Delivery::Refused
        );
        for n in 0..3 {
            assert_eq!(
                a.try_send(Time::ZERO, &frame(n, 100)).unwrap(),
                Delivery::Sent
            );
        }
        assert_eq!(
            a.try_send(Time::ZERO, &frame(9, 1)).unwrap(),
            Delivery::Full
        );
        for n in 0..3 {
            assert_eq!(b.poll().unwrap(), Some((Time::ZERO, frame(n, 100))));
        }
        assert_eq!(b.poll().unwrap(), None);
        let counters = a.counters();
        assert_eq!((counters.refused, counters.full), (round + 1, round + 1));
    }
    assert_eq!(b.bound(), Time::NEVER);
}

#[test]
fn a_peer_that_is_gone_is_noticed_within_a_second_after_its_last_message() {
    let (mut a, b) = pair(Role::Ethernet, Role::Ethernet, SyncMode::Required);
    let (mut c, mut d) = pair(Role::Ethernet, Role::Ethernet, SyncMode::Required);
    let mut b = b;
    assert_eq!(
        b.try_send(Time::ZERO, &frame(1, 60)).unwrap(),
        Delivery::Sent
    );
    drop(b);
    let since = Instant::now();
    let mut backoff = Backoff::new();
    assert_eq!(a.poll().unwrap(), Some((L, frame(1, 60))));
    loop {
        match a.poll() {
            Ok(None) => backoff.idle(),
            Err(ChannelError::PeerLost { .. }) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(since.elapsed() < Duration::from_secs(1));
    // One that says goodbye is not lost.
    assert!(c.terminate().unwrap());
    drop(c);
    assert!(!d.peer_alive());
    assert_eq!(d.poll().unwrap(), None);
    assert!(d.terminated());
    assert_eq!(d.bound(), Time::NEVER);
    assert_eq!(
        d.try_send(Time::ZERO, &frame(0, 60)).unwrap(),
        Delivery::Discarded
    );
}

#[test]
fn two_processes_worth_of_channels_meet_in_any_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let listen = |name: &str| Address::listen(path(name), path("shm"), SyncMode::Required, L);
    let connect = |name: &str| Address::connect(path(name), SyncMode::Optional, L);
    let nic = vec![(listen("pcie"), device()), (listen("eth"), Role::Ethernet)];
    let others = vec![
        (connect("eth"), Role::Ethernet),
        (connect("pcie"), Role::PcieHost),
    ];
    // A socket left over by a crash is in the way.
    drop(std::os::unix::net::UnixListener::bind(path("eth")).unwrap());
    let late = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        establish_all(nic, &Options::default()).unwrap()
    });
    let others = establish_all(others, &Options::default()).unwrap();
    let nic = late.join().unwrap();
    assert!(nic.iter().chain(&others).all(Endpoint::synchronised));
    assert!(path("pcie").exists() && path("eth").exists() && !path("shm").exists());
    drop(nic);
    assert!(!path("pcie").exists() && !path("eth").exists());
}

#[test]
fn nothing_is_taken_from_who_lives_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let address = Address::listen(&path, &path, SyncMode::Disabled, L);
    let try_it = || Endpoint::establish(&address, Role::Ethernet, &Options::default());
    let living = std::os::unix::net::UnixListener::bind(&path).unwrap();
    living.set_nonblocking(true).unwrap();
    assert!(matches!(try_it(), Err(ChannelError::InUse { .. })));
    assert!(living.accept().is_err(), "the probe was taken for a peer");
    drop(living);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(try_it(), Err(ChannelError::NotASocket { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn nobody_waits_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let options = Options {
        deadline: Duration::from_millis(30),
        ..Options::default()
    };
    for address in [
        Address::listen(&path, &path, SyncMode::Disabled, L),
        Address::connect(&path, SyncMode::Disabled, L),
    ] {
        let error = Endpoint::establish(&address, Role::Ethernet, &options).unwrap_err();
        assert!(matches!(error, ChannelError::NoPeer { .. }), "{error}");
        assert!(!path.exists());
        let cancel = std::sync::atomic::AtomicBool::new(true);
        let options = Options {
            cancel: Some(&cancel),
            ..Options::default()
        };
        let error = Endpoint::establish(&address, Role::Ethernet, &options).unwrap_err();
        assert!(matches!(error, ChannelError::Cancelled { .. }), "{error}");
    }
}

/// An end that shall not say TERMINATE sends nothing at its end.
#[test]
fn an_end_can_be_silent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = Address::listen(&path, &path, SyncMode::Disabled, L);
    let mut connecter = Address::connect(&path, SyncMode::Disabled, L);
    connecter.terminate = false;
    let ends = vec![(listener, Role::Ethernet), (connecter, Role::Ethernet)];
    let mut ends = establish_all(ends, &Options::default()).unwrap();
    let mut silent = ends.pop().unwrap();
    let mut other = ends.pop().unwrap();
    assert!(silent.terminate().unwrap());
    let sent = silent.try_send(Time::ZERO, &frame(1, 60)).unwrap();
    assert_eq!(sent, Delivery::Discarded);
    assert_eq!(other.poll().unwrap(), None);
    assert!(!other.terminated());
    assert!(other.terminate().unwrap());
    assert_eq!(silent.poll().unwrap(), None);
    assert!(silent.terminated());
}
