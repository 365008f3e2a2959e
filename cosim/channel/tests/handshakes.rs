//! Every way in which a handshake can go wrong, played by a raw peer, and
//! the ways in which it goes right. One test at a time looks at the
//! descriptors of the process, so they take turns.

mod raw;

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hallux_channel::simbricks::{
    ChannelError, DeviceIntro, HandshakeError as H, Options, Role, SyncMode,
};
use raw::{
    ELEN, L, Place, SLOTS, connect, connecter_intro, listener_intro, object, receive, send, serve,
    words,
};

static TURN: Mutex<()> = Mutex::new(());

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Objects and sockets of ours that are mapped.
fn mappings() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines()
        .filter(|line| line.contains("simbricks") || line.contains("/tmp/"))
        .count()
}

fn options() -> Options<'static> {
    Options {
        deadline: Duration::from_millis(300),
        slots: 16,
        ..Options::default()
    }
}

/// Our end fails, at once, and leaves nothing behind.
fn fails(listen: bool, role: Role, peer: impl FnOnce(&Path) + Send) -> H {
    let (before, mapped) = (descriptors(), mappings());
    let since = Instant::now();
    let place = Place::new();
    let socket = place.socket();
    let (endpoint, ()) = place.establish(listen, role, SyncMode::Required, &options(), peer);
    let error = endpoint.unwrap_err();
    let ChannelError::Handshake { reason, channel } = &error else {
        panic!("{error}");
    };
    assert_eq!(*channel, socket.display().to_string());
    assert!(error.to_string().len() > channel.len() + 30, "{error}");
    assert!(since.elapsed() < Duration::from_secs(1));
    assert!(!listen || !socket.exists());
    drop(place);
    assert_eq!(descriptors(), before, "leaked a descriptor: {error}");
    assert_eq!(mappings(), mapped, "leaked shared memory: {error}");
    reason.clone()
}

/// A listener sends this to us.
fn listener_sends(role: Role, bytes: &[u8], objects: usize) -> H {
    fails(false, role, |socket| {
        let files: Vec<_> = (0..objects).map(|_| object(2 * ELEN * SLOTS)).collect();
        let files: Vec<_> = files.iter().collect();
        let (stream, answer) = serve(socket, bytes, &files);
        assert_eq!(answer.len(), 36);
        raw::drain(stream);
    })
}

/// A connecter sends this to us.
fn connecter_sends(role: Role, bytes: &[u8], objects: usize) -> H {
    fails(true, role, |socket| {
        let stream = connect(socket);
        let files: Vec<_> = (0..objects).map(|_| object(64)).collect();
        let files: Vec<_> = files.iter().collect();
        send(&stream, bytes, &files);
        receive(&stream);
        raw::drain(stream);
    })
}

fn with_word(mut intro: Vec<u8>, at: usize, word: u64) -> Vec<u8> {
    intro[at..at + 8].copy_from_slice(&word.to_le_bytes());
    intro
}

#[test]
fn a_listener_that_does_not_speak_as_it_should_is_named() {
    let _turn = TURN.lock();
    let good = listener_intro(3, 1, &[0; 4]);
    let eth = |bytes: &[u8], objects| listener_sends(Role::Ethernet, bytes, objects);
    assert_eq!(eth(&good[..79], 1), H::Short { got: 79, need: 80 });
    assert_eq!(eth(&good[..1], 1), H::Short { got: 1, need: 80 });
    assert_eq!(eth(&[good.clone(), vec![0; 2048]].concat(), 1), H::Long);
    assert_eq!(eth(&with_word(good.clone(), 0, 2), 1), H::Version(2));
    assert_eq!(
        eth(&with_word(good.clone(), 64, 2), 1),
        H::Protocol { theirs: 2, ours: 1 }
    );
    for offset in [0, 79, 85, u64::MAX] {
        assert_eq!(
            eth(&with_word(good.clone(), 72, offset), 1),
            H::UpperOffset { offset, got: 84 }
        );
    }
    let long = [&good[..], &[0]].concat();
    assert_eq!(eth(&long, 1), H::UpperLength { got: 5, need: 4 });
    assert_eq!(eth(&good, 0), H::NoDescriptor);
    assert_eq!(eth(&good, 2), H::Descriptors(2));
    assert_eq!(eth(&with_word(good.clone(), 8, 0), 1), H::Sync);
    for (at, wrong) in [
        (16, 2 * ELEN * SLOTS),
        (16, u64::MAX),
        (24, 0),
        (24, 63),
        (24, u64::MAX),
        (32, 0),
        (32, SLOTS + 1),
        (32, u64::MAX),
        (40, u64::MAX - 1),
        (48, 1 << 63),
        (56, 0),
        (56, 1 << 40),
    ] {
        let error = eth(&with_word(good.clone(), at, wrong), 1);
        assert!(matches!(error, H::Ring { .. }), "{at} {wrong}: {error}");
    }
    assert_eq!(eth(&with_word(good.clone(), 16, 0), 1), H::Overlap);
    // Something that cannot be mapped: an object of no bytes.
    let error = fails(false, Role::Ethernet, |socket| {
        let (stream, _) = serve(socket, &good, &[&object(0)]);
        raw::drain(stream);
    });
    assert!(matches!(error, H::Ring { len: 0, .. }), "{error}");
    let error = fails(false, Role::Ethernet, |socket| {
        let pipe: std::fs::File = std::os::fd::OwnedFd::from(std::io::pipe().unwrap().0).into();
        let (stream, _) = serve(socket, &good, &[&pipe]);
        raw::drain(stream);
    });
    assert!(matches!(error, H::Ring { .. } | H::Object(_)), "{error}");

    let device = |upper: &[u8]| listener_sends(Role::PcieHost, &listener_intro(3, 2, upper), 1);
    assert_eq!(
        device(&[0; 118]),
        H::UpperLength {
            got: 118,
            need: 119
        }
    );
    assert_eq!(
        device(&[0; 120]),
        H::UpperLength {
            got: 120,
            need: 119
        }
    );
    assert_eq!(device(&[]), H::UpperLength { got: 0, need: 119 });
    let mut upper = [0; 119];
    upper[104] = 3;
    assert!(matches!(device(&upper), H::Device(_)));
    // The format of before version 1: recognised by nothing but its length.
    let old = [words(&[1, 768, 192, 4, 0, 192, 4]), vec![0; 119]].concat();
    assert_eq!(
        listener_sends(Role::PcieHost, &old, 1),
        H::Protocol { theirs: 0, ours: 2 }
    );
}

#[test]
fn a_connecter_that_does_not_speak_as_it_should_is_named() {
    let _turn = TURN.lock();
    let good = connecter_intro(3, 1, &[0; 4]);
    let eth = |bytes: &[u8], objects| connecter_sends(Role::Ethernet, bytes, objects);
    assert_eq!(eth(&good[..31], 0), H::Short { got: 31, need: 32 });
    assert_eq!(eth(&[good.clone(), vec![0; 2048]].concat(), 0), H::Long);
    assert_eq!(eth(&with_word(good.clone(), 0, 0), 0), H::Version(0));
    assert_eq!(
        eth(&with_word(good.clone(), 16, 3), 0),
        H::Protocol { theirs: 3, ours: 1 }
    );
    for offset in [0, 31, 37, u64::MAX] {
        assert_eq!(
            eth(&with_word(good.clone(), 24, offset), 0),
            H::UpperOffset { offset, got: 36 }
        );
    }
    let long = [&good[..], &[0]].concat();
    assert_eq!(eth(&long, 0), H::UpperLength { got: 5, need: 4 });
    assert_eq!(eth(&good, 1), H::UnexpectedDescriptors(1));
    assert_eq!(eth(&with_word(good.clone(), 8, 0), 0), H::Sync);
    let host = connecter_intro(3, 2, &[0; 4]);
    assert_eq!(
        connecter_sends(Role::PcieHost, &host, 0),
        H::UpperLength { got: 4, need: 119 }
    );
}

#[test]
fn an_end_of_file_is_noticed_at_every_step() {
    let _turn = TURN.lock();
    // Before and after our intro was read, by a connecter and by a listener.
    assert_eq!(
        fails(true, Role::Ethernet, |socket| drop(connect(socket))),
        H::Closed
    );
    let read = |socket: &Path| drop(receive(&connect(socket)));
    assert_eq!(fails(true, Role::Ethernet, read), H::Closed);
    let accept = |socket: &Path| {
        let listener = UnixListener::bind(socket).unwrap();
        drop(listener.accept().unwrap());
        std::fs::remove_file(socket).unwrap();
    };
    assert_eq!(fails(false, Role::Ethernet, accept), H::Closed);
    let read = |socket: &Path| {
        let listener = UnixListener::bind(socket).unwrap();
        drop(receive(&listener.accept().unwrap().0));
        std::fs::remove_file(socket).unwrap();
    };
    assert_eq!(fails(false, Role::Ethernet, read), H::Closed);
    // In the middle of an intro.
    let half = |socket: &Path| {
        let stream = connect(socket);
        send(&stream, &words(&[1, 3]), &[]);
    };
    assert_eq!(
        fails(true, Role::Ethernet, half),
        H::Short { got: 16, need: 32 }
    );
}

#[test]
fn a_peer_that_says_nothing_is_not_waited_for_beyond_the_deadline() {
    let _turn = TURN.lock();
    let before = descriptors();
    for listen in [true, false] {
        let place = Place::new();
        let (endpoint, stream) = place.establish(
            listen,
            Role::Ethernet,
            SyncMode::Disabled,
            &options(),
            |socket| {
                if listen {
                    connect(socket)
                } else {
                    UnixListener::bind(socket).unwrap().accept().unwrap().0
                }
            },
        );
        let error = endpoint.unwrap_err();
        assert!(
            matches!(
                error,
                ChannelError::NoPeer {
                    what: "introduced itself",
                    ..
                }
            ),
            "{error}"
        );
        drop(stream);
    }
    assert_eq!(descriptors(), before);
}

#[test]
fn intros_have_the_sizes_and_bytes_of_the_specification() {
    let _turn = TURN.lock();
    let before = descriptors();
    let small = Options {
        slots: 4,
        ..options()
    };
    let ring = 1600 * 4;
    let (endpoint, rings, intro) =
        raw::with_raw_connecter(Role::Ethernet, SyncMode::Required, 1, 1, &[], &small);
    assert!(endpoint.synchronised());
    let expected = words(&[1, 3, ring, 1600, 4, 0, 1600, 4, 1, 80]);
    assert_eq!(intro, [expected, vec![0; 4]].concat());
    assert_eq!(rings.file.metadata().unwrap().len(), 2 * ring);
    assert!((0..2 * ring).all(|at| rings.byte(at) == 0));
    // Nobody can pull the memory away from under the other.
    assert!(rings.file.set_len(1).is_err());
    drop((endpoint, rings));

    let device = DeviceIntro {
        vendor: 0x1234,
        msix_capability: 0xabcd,
        ..DeviceIntro::default()
    };
    let role = Role::PcieDevice(Box::new(device));
    // Releases of before 2022-06 send no upper intro at all.
    for upper in [&[][..], &[9, 9, 9], &[9, 9, 9, 9]] {
        let (endpoint, _rings, intro) =
            raw::with_raw_connecter(role.clone(), SyncMode::Optional, 3, 2, upper, &small);
        assert!(endpoint.synchronised());
        assert_eq!(intro.len(), 199);
        assert_eq!(intro[24..32], 9088_u64.to_le_bytes());
        assert_eq!(intro[80 + 96..80 + 98], [0x34, 0x12]);
        assert_eq!(intro[80 + 117..], [0xcd, 0xab]);
    }

    for (role, protocol, upper, len) in [
        (Role::Ethernet, 1, vec![0; 4], 36),
        (role, 2, vec![0; 4], 151),
        (Role::PcieHost, 2, vec![0; 119], 36),
        (Role::MemoryClient, 3, vec![], 36),
        (Role::MemoryServer, 3, vec![0; 4], 36),
    ] {
        let place = Place::new();
        let file = object(2 * ELEN * SLOTS);
        let intro = listener_intro(0, protocol, &upper);
        let (endpoint, (_stream, answer)) =
            place.establish(false, role, SyncMode::Optional, &options(), |socket| {
                serve(socket, &intro, &[&file])
            });
        assert!(!endpoint.unwrap().synchronised());
        assert_eq!(answer.len(), len);
        assert_eq!(answer[..32], words(&[1, 1, protocol, 32])[..]);
    }
    assert_eq!(descriptors(), before);
}

/// The table of the specification, over real sockets.
#[test]
fn all_nine_combinations_of_synchronisation_come_to_the_right_result() {
    let _turn = TURN.lock();
    let modes = [
        (SyncMode::Disabled, 0),
        (SyncMode::Optional, 1),
        (SyncMode::Required, 3),
    ];
    for (ours, (mode, flags)) in modes.into_iter().enumerate() {
        for (theirs, (_, peer)) in modes.into_iter().enumerate() {
            let place = Place::new();
            let (endpoint, (stream, intro)) =
                place.establish(true, Role::Ethernet, mode, &options(), |socket| {
                    let stream = connect(socket);
                    send(&stream, &connecter_intro(peer, 1, &[0; 4]), &[]);
                    let (intro, _) = receive(&stream);
                    (stream, intro)
                });
            drop(stream);
            assert_eq!(intro[8..16], u64::to_le_bytes(flags));
            match (ours, theirs) {
                (0, 2) | (2, 0) => assert!(matches!(
                    endpoint,
                    Err(ChannelError::Handshake {
                        reason: H::Sync,
                        ..
                    })
                )),
                _ => assert_eq!(endpoint.unwrap().synchronised(), ours > 0 && theirs > 0),
            }
        }
    }
}

#[test]
fn descriptors_are_not_inherited() {
    let _turn = TURN.lock();
    let (endpoint, _rings, _) = raw::with_raw_connecter(
        Role::Ethernet,
        SyncMode::Disabled,
        0,
        1,
        &[0; 4],
        &options(),
    );
    let listing = std::process::Command::new("ls")
        .args(["-l", "/proc/self/fd"])
        .output()
        .unwrap();
    let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
    assert!(
        !listing.contains("simbricks") && !listing.contains("socket"),
        "{listing}"
    );
    assert_eq!(endpoint.latency(), L);
}
