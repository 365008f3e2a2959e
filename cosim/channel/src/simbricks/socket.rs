//! The Unix socket of a channel: used for the handshake, then only to notice
//! that the peer is gone.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind,
    connect, listen, recvmsg, sendmsg, socket_with,
};

use super::error::ChannelError;
use super::wire::MAX_INTRO;

/// Descriptors that are received to be counted and closed.
const MAX_DESCRIPTORS: usize = 8;

/// The socket file of a listener, removed when it is dropped, unless somebody
/// else has put another one there.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_some_and(|now| now == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

pub(super) fn system(
    path: &Path,
    action: &'static str,
    source: impl Into<io::Error>,
) -> ChannelError {
    ChannelError::System {
        channel: name(path),
        action,
        source: source.into(),
    }
}

pub(super) fn name(path: &Path) -> String {
    path.display().to_string()
}

fn stream(path: &Path) -> Result<OwnedFd, ChannelError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(|error| system(path, "make a socket", error))
}

fn unix(path: &Path) -> Result<SocketAddrUnix, ChannelError> {
    SocketAddrUnix::new(path).map_err(|error| system(path, "use this path", error))
}

/// Listens at `path`. A socket that nobody has open is replaced.
pub(super) fn listen_at(path: &Path) -> Result<(OwnedFd, SocketFile), ChannelError> {
    let socket = stream(path)?;
    let address = unix(path)?;
    let mut bound = bind(&socket, &address);
    if bound == Err(Errno::ADDRINUSE) {
        remove_stale(path, &address)?;
        bound = bind(&socket, &address);
    }
    bound.map_err(|error| system(path, "bind the socket", error))?;
    let file = SocketFile {
        identity: identity(path).unwrap_or_default(),
        path: path.to_owned(),
    };
    listen(&socket, 5).map_err(|error| system(path, "listen", error))?;
    Ok((socket, file))
}

/// Removes the socket at `path` if nobody has it open.
///
/// Whether somebody has is asked by connecting with a socket of another kind:
/// a living one refuses that by its type, and never learns of it. A real
/// connection would be taken for the one peer that it waits for.
fn remove_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), ChannelError> {
    let channel = || name(path);
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if !is_socket {
        return Err(ChannelError::NotASocket { channel: channel() });
    }
    let probe = socket_with(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|error| system(path, "make a socket", error))?;
    match connect(&probe, address) {
        Err(Errno::CONNREFUSED) => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(system(path, "remove the stale socket", error))
            }
            _ => Ok(()),
        },
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::PROTOTYPE) | Ok(()) => Err(ChannelError::InUse { channel: channel() }),
        Err(error) => Err(system(path, "probe the socket that is there", error)),
    }
}

/// Connects to `path`; `None` if nobody listens there yet.
pub(super) fn connect_to(path: &Path) -> Result<Option<OwnedFd>, ChannelError> {
    let socket = stream(path)?;
    match connect(&socket, &unix(path)?) {
        Ok(()) => Ok(Some(socket)),
        Err(Errno::NOENT | Errno::CONNREFUSED | Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(error) => Err(system(path, "connect", error)),
    }
}

/// Takes a peer; `None` if none has come.
pub(super) fn accept_at(socket: &OwnedFd, path: &Path) -> Result<Option<OwnedFd>, ChannelError> {
    match accept_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
        Ok(peer) => Ok(Some(peer)),
        Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => Ok(None),
        Err(error) => Err(system(path, "accept a peer", error)),
    }
}

/// Sends one handshake message, with or without a descriptor.
pub(super) fn send_message(
    socket: &OwnedFd,
    message: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> rustix::io::Result<()> {
    let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let sent = sendmsg(
        socket,
        &[IoSlice::new(message)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    // A new socket has room for a message this short.
    if sent == message.len() {
        Ok(())
    } else {
        Err(Errno::MSGSIZE)
    }
}

/// A handshake message as it came.
#[derive(Debug)]
pub(super) struct Received {
    /// At most [`MAX_INTRO`] bytes; none if the peer has closed.
    pub bytes: Vec<u8>,
    /// True if there were more.
    pub cut: bool,
    /// All descriptors that came with it.
    pub descriptors: Vec<OwnedFd>,
}

/// Takes one handshake message; `None` if none has come.
pub(super) fn receive_message(socket: &OwnedFd) -> rustix::io::Result<Option<Received>> {
    let mut bytes = vec![0; MAX_INTRO + 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = match recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
    ) {
        Ok(received) => received,
        Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
        // The peer went away with our intro unread.
        Err(Errno::CONNRESET) => {
            return Ok(Some(Received {
                bytes: Vec::new(),
                cut: false,
                descriptors: Vec::new(),
            }));
        }
        Err(error) => return Err(error),
    };
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    let cut = received.bytes > MAX_INTRO;
    bytes.truncate(received.bytes.min(MAX_INTRO));
    Ok(Some(Received {
        bytes,
        cut,
        descriptors,
    }))
}

/// True once the peer has closed its end, or its process has ended.
pub(super) fn hung_up(socket: &OwnedFd) -> bool {
    let mut events = [PollFd::new(socket, PollFlags::RDHUP)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut events, Some(&now)).is_ok()
        && events[0]
            .revents()
            .intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR)
}

/// Waits until one of the sockets can be read, at most `millis` milliseconds.
pub(super) fn wait_readable(sockets: &[&OwnedFd], millis: u32) {
    let mut events: Vec<_> = sockets
        .iter()
        .map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN))
        .collect();
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(millis) * 1_000_000,
    };
    // Interrupted or not, the caller looks for itself.
    let _ = poll(&mut events, Some(&timeout));
}
