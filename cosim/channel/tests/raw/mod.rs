//! A peer scripted by hand: bytes in, bytes out. It shares no code with the
//! crate, so that a mistake cannot hide on both sides.
#![allow(dead_code)]

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use hallux_channel::Time;
use hallux_channel::simbricks::{Address, ChannelError, Endpoint, Options, Role, SyncMode};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Latency of our end in these tests.
pub const L: Time = Time::from_ns(500);

/// Slot size and count of the raw peer when it listens.
pub const ELEN: u64 = 192;
/// See [`ELEN`].
pub const SLOTS: u64 = 4;

/// Little-endian words, one behind the other.
pub fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A listener's intro of the given flags and protocol, with incoming ring
/// first, followed by `upper`.
pub fn listener_intro(flags: u64, protocol: u64, upper: &[u8]) -> Vec<u8> {
    let ring = ELEN * SLOTS;
    let mut bytes = words(&[1, flags, ring, ELEN, SLOTS, 0, ELEN, SLOTS, protocol, 80]);
    bytes.extend_from_slice(upper);
    bytes
}

/// A connecter's intro of the given flags and protocol, followed by `upper`.
pub fn connecter_intro(flags: u64, protocol: u64, upper: &[u8]) -> Vec<u8> {
    let mut bytes = words(&[1, flags, protocol, 32]);
    bytes.extend_from_slice(upper);
    bytes
}

/// A file without a name, of so many zeroed bytes.
pub fn object(len: u64) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(len).unwrap();
    file
}

/// Sends bytes and descriptors in one message.
pub fn send(stream: &UnixStream, bytes: &[u8], files: &[&File]) {
    let descriptors: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let sent = sendmsg(
        stream,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::NOSIGNAL,
    );
    assert_eq!(sent, Ok(bytes.len()));
}

/// Receives one message.
pub fn receive(stream: &UnixStream) -> (Vec<u8>, Vec<OwnedFd>) {
    let mut bytes = vec![0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )
    .unwrap();
    bytes.truncate(received.bytes);
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    (bytes, descriptors)
}

/// Two rings in a file, seen by the raw peer.
pub struct Rings {
    pub file: File,
    /// From us: offset, slot size, count, next slot.
    pub incoming: [u64; 4],
    /// Towards us.
    pub outgoing: [u64; 4],
    pub stream: UnixStream,
}

impl Rings {
    /// Puts a slot into the ring towards us: header fields by offset, stamp,
    /// type with owner bit, payload.
    pub fn put(&mut self, fields: &[(u64, &[u8])], stamp: u64, own_type: u8, payload: &[u8]) {
        let [offset, elen, count, next] = &mut self.outgoing;
        let slot = *offset + *next * *elen;
        *next = (*next + 1) % *count;
        for (at, bytes) in fields {
            self.file.write_all_at(bytes, slot + at).unwrap();
        }
        self.file.write_all_at(payload, slot + 64).unwrap();
        self.file
            .write_all_at(&stamp.to_le_bytes(), slot + 48)
            .unwrap();
        self.file.write_all_at(&[own_type], slot + 63).unwrap();
    }

    /// True if the next slot towards us is free.
    pub fn has_room(&self) -> bool {
        let [offset, elen, _, next] = self.outgoing;
        self.byte(offset + next * elen + 63) & 0x80 == 0
    }

    /// The next whole slot from us, released.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        let [offset, elen, count, next] = &mut self.incoming;
        let at = *offset + *next * *elen;
        let mut slot = vec![0; *elen as usize];
        self.file.read_exact_at(&mut slot, at).unwrap();
        if slot[63] & 0x80 == 0 {
            return None;
        }
        *next = (*next + 1) % *count;
        self.file.write_all_at(&[slot[63] & 0x7f], at + 63).unwrap();
        Some(slot)
    }

    pub fn byte(&self, at: u64) -> u8 {
        let mut byte = [0];
        self.file.read_exact_at(&mut byte, at).unwrap();
        byte[0]
    }
}

/// A directory with one socket in it.
pub struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Place {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// Establishes our end while `peer` does what it likes with its own.
    pub fn establish<T: Send>(
        &self,
        listen: bool,
        role: Role,
        sync: SyncMode,
        options: &Options<'_>,
        peer: impl FnOnce(&Path) -> T + Send,
    ) -> (Result<Endpoint, ChannelError>, T) {
        let socket = self.socket();
        let address = if listen {
            Address::listen(&socket, "shm", sync, L)
        } else {
            Address::connect(&socket, sync, L)
        };
        thread::scope(|scope| {
            let peer = scope.spawn(|| peer(&socket));
            let endpoint = Endpoint::establish(&address, role, options);
            (endpoint, peer.join().unwrap())
        })
    }
}

/// Connects as soon as somebody listens.
pub fn connect(socket: &Path) -> UnixStream {
    for _ in 0..2_000 {
        if let Ok(stream) = UnixStream::connect(socket) {
            return stream;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("nobody listens at {}", socket.display());
}

/// Listens, accepts, sends a message with descriptors, and takes the answer.
/// The connection stays open as long as the stream lives.
pub fn serve(socket: &Path, bytes: &[u8], files: &[&File]) -> (UnixStream, Vec<u8>) {
    let listener = UnixListener::bind(socket).unwrap();
    let (stream, _) = listener.accept().unwrap();
    send(&stream, bytes, files);
    let (answer, descriptors) = receive(&stream);
    assert!(descriptors.is_empty(), "a connecter sends no descriptor");
    std::fs::remove_file(socket).unwrap();
    (stream, answer)
}

/// Our end connected to a raw listener of protocol `protocol`.
pub fn with_raw_listener(
    role: Role,
    sync: SyncMode,
    flags: u64,
    protocol: u64,
    upper: &[u8],
) -> (Endpoint, Rings) {
    let file = object(2 * ELEN * SLOTS);
    let intro = listener_intro(flags, protocol, upper);
    let place = Place::new();
    let (endpoint, (stream, _)) =
        place.establish(false, role, sync, &Options::default(), |socket| {
            serve(socket, &intro, &[&file])
        });
    let ring = ELEN * SLOTS;
    let rings = Rings {
        file,
        incoming: [0, ELEN, SLOTS, 0],
        outgoing: [ring, ELEN, SLOTS, 0],
        stream,
    };
    (endpoint.unwrap(), rings)
}

/// A raw connecter at our listening end; also its view of our intro.
pub fn with_raw_connecter(
    role: Role,
    sync: SyncMode,
    flags: u64,
    protocol: u64,
    upper: &[u8],
    options: &Options<'_>,
) -> (Endpoint, Rings, Vec<u8>) {
    let intro = connecter_intro(flags, protocol, upper);
    let place = Place::new();
    let (endpoint, (stream, theirs, mut descriptors)) =
        place.establish(true, role, sync, options, |socket| {
            let stream = connect(socket);
            send(&stream, &intro, &[]);
            let (theirs, descriptors) = receive(&stream);
            (stream, theirs, descriptors)
        });
    assert_eq!(descriptors.len(), 1, "a listener sends one descriptor");
    let word = |at: usize| u64::from_le_bytes(theirs[at..at + 8].try_into().unwrap());
    let rings = Rings {
        file: File::from(descriptors.remove(0)),
        incoming: [word(16), word(24), word(32), 0],
        outgoing: [word(40), word(48), word(56), 0],
        stream,
    };
    (endpoint.unwrap(), rings, theirs)
}

/// Closes our sending half, and reads until the peer has closed too.
pub fn drain(mut stream: UnixStream) {
    let _ = stream.flush();
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}
