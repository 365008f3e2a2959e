//! The example component in C between two ends of ours.

mod c;

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use hallux_channel::simbricks::{
    Address, Backoff, Delivery, Options, Role, SyncMode, establish_all,
};
use hallux_channel::{Message, Time};

#[test]
fn a_wire_in_c_carries_and_counts() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("wire");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/wire.c");
    if c::build(&source, &program, true).is_none() {
        return;
    }
    let latency = Time::from_ns(500);
    let paths = ["a", "b"].map(|name| directory.path().join(name));
    let addresses = paths.clone().map(|path| {
        let address = Address::listen(path, "shm", SyncMode::Required, latency);
        (address, Role::Ethernet)
    });
    let ours = thread::spawn(|| establish_all(addresses.into(), &Options::default()).unwrap());
    let theirs = paths.map(|path| format!("connect:{}:sync=true:latency=700", path.display()));
    let wire = Command::new(&program)
        .args(theirs)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ends = ours.join().unwrap();
    let mut right = ends.pop().unwrap();
    let mut left = ends.pop().unwrap();

    // More than fits into a ring, so that the wire has to wait as well.
    let frames = 5_000_u64;
    let receiver = thread::spawn(move || {
        let mut backoff = Backoff::new();
        let mut received = 0;
        while !right.terminated() {
            // Time passes here as fast as the wire lets it.
            let now = right.bound();
            if !now.is_never() {
                right.promise(now).unwrap();
            }
            match right.poll().unwrap() {
                Some((at, message)) => {
                    let n = received;
                    assert_eq!(at, Time::from_ns(10 * n + 500 + 700));
                    assert_eq!(message.payload().len() as u64, 60 + n % 1000);
                    received += 1;
                    backoff.progress();
                }
                None => backoff.idle(),
            }
        }
        received
    });
    let mut backoff = Backoff::new();
    for n in 0..frames {
        let at = Time::from_ns(10 * n);
        let frame = Message::Frame(vec![n as u8; 60 + n as usize % 1000].into());
        while left.promise(at).unwrap() && left.bound() <= at {
            assert_eq!(left.poll().unwrap(), None);
            backoff.idle();
        }
        while left.try_send(at, &frame).unwrap() == Delivery::Full {
            backoff.idle();
        }
        backoff.progress();
    }
    while !left.terminate().unwrap() {
        backoff.idle();
    }
    let output = wire.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(receiver.join().unwrap(), frames);
    let bytes: u64 = (0..frames).map(|n| 60 + n % 1000).sum();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{frames} frames, {bytes} bytes\n0 frames, 0 bytes\n")
    );
}
