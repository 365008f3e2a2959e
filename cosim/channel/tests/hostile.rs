//! Peers that mean no good: random handshakes, random slots, and a process
//! that writes anywhere at any time. The channel may fail; it must not panic,
//! hang, or read beyond what it was given.

mod raw;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hallux_channel::simbricks::{
    Address, ChannelError, Delivery, DeviceIntro, Endpoint, Options, Role, SyncMode,
};
use hallux_channel::{Message, Protocol, Seed, Time};
use proptest::prelude::*;
use raw::{ELEN, Place, Rings, SLOTS, connect, object, receive, send, serve};

fn options() -> Options<'static> {
    Options {
        slot_size: Some(ELEN as usize),
        slots: SLOTS as usize,
        deadline: Duration::from_secs(5),
        cancel: None,
    }
}

fn role() -> impl Strategy<Value = (Role, u64)> {
    prop_oneof![
        Just((Role::Ethernet, 1)),
        Just((Role::PcieHost, 2)),
        Just((Role::PcieDevice(Box::<DeviceIntro>::default()), 2)),
        Just((Role::MemoryServer, 3)),
        Just((Role::MemoryClient, 3)),
    ]
}

/// A number that is interesting about as often as it is random.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        0_u64..4,
        Just(80),
        Just(32),
        Just(ELEN),
        Just(SLOTS * ELEN),
        Just(u64::MAX),
        (0_u32..64).prop_map(|bit| 1 << bit),
        any::<u64>(),
    ]
}

/// An intro that was right before some of its words were replaced, cut or
/// extended.
fn mutated(good: &[u8], changes: &[(usize, u64)], len: usize) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for &(at, word) in changes {
        let at = 8 * (at % good.len().div_ceil(8));
        let end = (at + 8).min(good.len());
        bytes[at..end].copy_from_slice(&word.to_le_bytes()[..end - at]);
    }
    bytes.resize(len.max(1), 0xa5);
    bytes
}

/// Makes an end do all it can; returns when there is nothing more to do or it
/// failed.
fn exercise(end: &mut Endpoint, time: &mut Time, rounds: usize) -> Result<(), ChannelError> {
    let message = |protocol| match protocol {
        Protocol::Ethernet => Message::Frame(vec![1; 60].into()),
        Protocol::PcieDevice => Message::DmaRead {
            req_id: 1,
            addr: 0,
            len: 32,
        },
        Protocol::PcieHost => Message::MmioRead {
            req_id: 1,
            bar: 0,
            offset: 0,
            len: 8,
        },
        Protocol::MemoryServer => Message::MemoryWriteCompletion { req_id: 1 },
        Protocol::MemoryClient => Message::MemoryRead {
            req_id: 1,
            space: 0,
            addr: 0,
            len: 8,
        },
    };
    for _ in 0..rounds {
        *time += Time::from_ns(100);
        end.promise(*time)?;
        let _: Delivery = end.try_send(*time, &message(end.protocol()))?;
        if let Some((_, message)) = end.poll()? {
            assert!(message.payload().len() as u64 <= ELEN - 64);
            assert_eq!(message.sender(), end.protocol().peer());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(300)
    ) })]

    #[test]
    fn handshakes_of_any_bytes(
        (role, protocol) in role(),
        listen in any::<bool>(),
        changes in prop::collection::vec((0_usize..28, word()), 0..3),
        extra in -200_isize..300,
        objects in 0_usize..3,
        size in prop_oneof![Just(2 * ELEN * SLOTS), 0_u64..5_000],
    ) {
        let upper = vec![0; if role == Role::PcieHost { 119 } else { 4 }];
        let good = if listen {
            raw::connecter_intro(3, protocol, &upper)
        } else {
            raw::listener_intro(3, protocol, &upper)
        };
        let extra = if !(-100..=200).contains(&extra) { 0 } else { extra.clamp(-80, 120) };
        let bytes = mutated(&good, &changes, good.len().saturating_add_signed(extra));
        let objects: Vec<File> = (0..objects).map(|_| object(size)).collect();
        let objects: Vec<&File> = objects.iter().collect();
        let since = Instant::now();
        let (end, _stream) =
            Place::new().establish(listen, role, SyncMode::Optional, &options(), |socket| {
                if listen {
                    let stream = connect(socket);
                    send(&stream, &bytes, &objects);
                    receive(&stream);
                    stream
                } else {
                    serve(socket, &bytes, &objects).0
                }
            });
        prop_assert!(since.elapsed() < Duration::from_secs(4), "it waited for more");
        if let Ok(mut end) = end {
            let mut time = Time::ZERO;
            let _ = exercise(&mut end, &mut time, 20);
        }
    }

    #[test]
    fn slots_of_any_bytes(
        (role, protocol) in role(),
        flags in prop_oneof![Just(0_u64), Just(3)],
        slots in prop::collection::vec(
            (word(), word(), word(), 0_u16..300, any::<u8>(), word(), any::<u8>()), 1..12),
    ) {
        let (mut end, mut rings, _) = raw::with_raw_connecter(
            role.clone(),
            SyncMode::Optional,
            flags,
            protocol,
            &vec![0; if role == Role::PcieHost { 119 } else { 4 }],
            &options(),
        );
        let mut time = Time::ZERO;
        for (first, second, third, len, bar, stamp, own_type) in slots {
            // Mostly types that mean something, so that what they carry is looked at.
            let own_type = match own_type % 4 {
                0 => own_type | 0x80,
                1 => 0xc0 | own_type >> 5,
                2 => 0xe0 | own_type >> 5,
                _ => 0x80,
            };
            rings.put(
                &[
                    (0, &first.to_le_bytes()),
                    (8, &second.to_le_bytes()),
                    (16, &third.to_le_bytes()),
                    (16, &len.to_le_bytes()),
                    (18, &[bar]),
                    (24, &len.to_le_bytes()),
                ],
                stamp,
                own_type,
                &[bar; 128],
            );
            if exercise(&mut end, &mut time, 2).is_err() {
                break;
            }
            while rings.take().is_some() {}
        }
    }
}

/// Set for the process that plays the hostile peer: path, protocol, seed.
const HOSTILE: &str = "HALLUX_TEST_HOSTILE";

/// Not a test of its own: the other process of the next one.
#[test]
fn the_hostile_process() {
    let Ok(orders) = std::env::var(HOSTILE) else {
        return;
    };
    let mut orders = orders.split(' ');
    let mut order = || orders.next().unwrap();
    let socket = PathBuf::from(order());
    let (protocol, seed): (u64, u64) = (order().parse().unwrap(), order().parse().unwrap());
    let stream = connect(&socket);
    let upper = vec![0; if order() == "host" { 119 } else { 4 }];
    send(&stream, &raw::connecter_intro(3, protocol, &upper), &[]);
    let (_, mut descriptors) = receive(&stream);
    let mut rings = Rings {
        file: File::from(descriptors.remove(0)),
        incoming: [0; 4],
        outgoing: [0, ELEN, SLOTS, 0],
        stream,
    };
    let len = rings.file.metadata().unwrap().len();
    let mut random = Seed(seed).stream("hostile");
    let until = Instant::now() + Duration::from_millis(400);
    // A promise that goes up keeps our end busy for a while; then anything goes.
    for n in 0..SLOTS {
        rings.put(&[], 500_000 * (n + 1), 0x80, &[]);
    }
    while Instant::now() < until {
        let at = random.below(len);
        let byte = match random.below(3) {
            0 => 0x80,
            1 => 0xc0 + random.below(6) as u8,
            _ => random.bits() as u8,
        };
        // Often the byte that gives the slot over.
        let at = if random.below(2) == 0 {
            at / ELEN * ELEN + 63
        } else {
            at
        };
        rings.file.write_all_at(&[byte], at).unwrap();
    }
    // It ends without a word.
}

#[test]
fn a_process_that_writes_anywhere_at_any_time() {
    let sides = [
        (Role::Ethernet, 1, "-"),
        (Role::PcieHost, 2, "host"),
        (Role::PcieDevice(Box::default()), 2, "-"),
        (Role::MemoryServer, 3, "-"),
        (Role::MemoryClient, 3, "-"),
    ];
    std::thread::scope(|scope| {
        for (seed, (role, protocol, what)) in sides.into_iter().enumerate() {
            for sync in [SyncMode::Required, SyncMode::Optional] {
                let role = role.clone();
                scope.spawn(move || survive(seed, role, protocol, what, sync));
            }
        }
    });
}

fn survive(seed: usize, role: Role, protocol: u64, what: &str, sync: SyncMode) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let orders = format!("{} {protocol} {seed} {what}", socket.display());
    let mut peer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_hostile_process"])
        .env(HOSTILE, orders)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let address = Address::listen(&socket, "shm", sync, raw::L);
    let mut end = Endpoint::establish(&address, role, &options()).unwrap();
    let since = Instant::now();
    let mut time = Time::ZERO;
    // After an error the slot stays, and may be repaired by the next write: go on to the end.
    while since.elapsed() < Duration::from_secs(20) {
        match exercise(&mut end, &mut time, 100) {
            Err(ChannelError::PeerLost { .. }) => break,
            Ok(()) | Err(ChannelError::Peer { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        if end.terminated() || !end.peer_alive() {
            break;
        }
    }
    assert!(
        since.elapsed() < Duration::from_secs(20),
        "the end of the peer was not noticed"
    );
    assert!(peer.wait().unwrap().success());
}

/// The tests of this file under valgrind, with fewer cases.
#[test]
fn the_corpus_is_clean_under_valgrind() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        let required = std::env::var_os("HALLUX_REQUIRE_TOOLS").is_some();
        assert!(!required, "valgrind is not installed");
        println!("skipped: valgrind is not installed");
        return;
    }
    let output = Command::new("valgrind")
        .args(["--error-exitcode=9", "--quiet", "--track-fds=yes"])
        .arg(std::env::current_exe().unwrap())
        .args(["of_any_bytes", "--test-threads=1"])
        .env("PROPTEST_CASES", "20")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}
