//! From addresses to endpoints.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::address::{Address, End, SyncMode};
use super::endpoint::{Endpoint, Parts};
use super::error::{ChannelError, HandshakeError};
use super::handshake::{
    Introduction, connecter_message, listener_message, places, read_connecter, read_listener,
};
use super::role::Role;
use super::shared::{Mapping, SharedSlots, anonymous};
use super::socket::{
    SocketFile, accept_at, connect_to, listen_at, name, receive_message, send_message, system,
    wait_readable,
};
use super::wire::{HEADER_BYTES, RingPlace};
use crate::time::Time;

/// How often a connecter looks whether the listener is there, in milliseconds.
const RETRY_MILLIS: u32 = 5;

/// How to establish channels.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// Bytes of a slot, header included, where this end listens; by default
    /// [`Role::default_slot_size`].
    pub slot_size: Option<usize>,
    /// Slots of a ring where this end listens.
    pub slots: usize,
    /// How long to wait for the peer and its intro.
    pub deadline: Duration,
    /// Set from outside (Ctrl-C) to stop waiting.
    pub cancel: Option<&'a AtomicBool>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            slot_size: None,
            slots: 1024,
            deadline: Duration::from_secs(60),
            cancel: None,
        }
    }
}

/// Establishes several channels at once, and returns them in the same order.
///
/// All sockets exist before any peer is waited for, so that it does not
/// matter in which order the peers connect.
///
/// # Errors
///
/// The first thing that went wrong; the other channels are given up.
pub fn establish_all(
    ends: Vec<(Address, Role)>,
    options: &Options<'_>,
) -> Result<Vec<Endpoint>, ChannelError> {
    let started = Instant::now();
    let mut pending = Vec::with_capacity(ends.len());
    for (address, role) in ends {
        pending.push(Pending::new(address, role, options)?);
    }
    loop {
        let mut waiting = None;
        for pending in &mut pending {
            pending.proceed()?;
            if let Some(what) = pending.waits_for() {
                waiting = Some((pending.address.socket(), what));
            }
        }
        let Some((path, what)) = waiting else { break };
        let channel = || name(path);
        if options
            .cancel
            .is_some_and(|cancel| cancel.load(Ordering::Relaxed))
        {
            return Err(ChannelError::Cancelled { channel: channel() });
        }
        if started.elapsed() >= options.deadline {
            return Err(ChannelError::NoPeer {
                channel: channel(),
                what,
                waited: options.deadline,
            });
        }
        let sockets: Vec<_> = pending.iter().filter_map(Pending::socket).collect();
        wait_readable(&sockets, RETRY_MILLIS);
    }
    Ok(pending
        .into_iter()
        .filter_map(|pending| match pending.stage {
            Stage::Done(endpoint) => Some(*endpoint),
            _ => None,
        })
        .collect())
}

/// The two ends of a channel within a process.
pub(super) fn pair(
    roles: [Role; 2],
    sync: SyncMode,
    latency: Time,
    sync_interval: Time,
    options: &Options<'_>,
) -> Result<(Endpoint, Endpoint), ChannelError> {
    let mut address = Address::listen("pair", "pair", sync, latency);
    address.sync_interval = sync_interval;
    address.check()?;
    let path = Path::new("pair");
    let rings = Rings::new(path, &roles[0], options)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(|error| system(path, "make a socket", error))?;
    let [listener, connecter] = roles;
    // Both speak as they would to a stranger.
    let mut ends = Vec::new();
    for (role, socket, listens) in [(listener, ours, true), (connecter, theirs, false)] {
        let mut end = Pending {
            address: Address {
                end: if listens {
                    address.end.clone()
                } else {
                    End::Connect {
                        socket: path.into(),
                    }
                },
                ..address.clone()
            },
            role,
            file: None,
            rings: listens.then(|| rings.clone()),
            stage: Stage::Over,
        };
        end.introduce(socket)?;
        ends.push(end);
    }
    let mut done = ends.into_iter().map(|mut end| {
        end.proceed()?;
        match end.stage {
            Stage::Done(endpoint) => Ok(*endpoint),
            _ => Err(ChannelError::NoPeer {
                channel: "pair".into(),
                what: "answered",
                waited: Duration::ZERO,
            }),
        }
    });
    match (done.next(), done.next()) {
        (Some(first), Some(second)) => {
            let (first, mut second) = (first?, second?);
            second.share_memory_of(&first);
            Ok((first, second))
        }
        _ => unreachable!("two ends went in"),
    }
}

/// The rings of a listener.
#[derive(Clone, Debug)]
struct Rings {
    object: Arc<OwnedFd>,
    mapping: Arc<Mapping>,
    incoming: RingPlace,
    outgoing: RingPlace,
}

impl Rings {
    fn new(path: &Path, role: &Role, options: &Options<'_>) -> Result<Self, ChannelError> {
        let slot_size = options.slot_size.unwrap_or(role.default_slot_size());
        let slots = options.slots;
        let impossible = || ChannelError::RingSize { slot_size, slots };
        if slot_size < HEADER_BYTES || slots == 0 {
            return Err(impossible());
        }
        let (incoming, outgoing, len) = places(slot_size, slots).ok_or_else(impossible)?;
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let object = anonymous(&format!("simbricks-{file}"), len)
            .map_err(|error| system(path, "make the shared memory", error))?;
        let mapping = Mapping::new(&object, len)
            .map_err(|error| system(path, "map the shared memory", error))?;
        Ok(Rings {
            object: Arc::new(object),
            mapping: Arc::new(mapping),
            incoming,
            outgoing,
        })
    }
}

/// An end on its way.
#[derive(Debug)]
struct Pending {
    address: Address,
    role: Role,
    file: Option<SocketFile>,
    rings: Option<Rings>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Nobody has connected yet.
    Listening(OwnedFd),
    /// Nobody listens yet.
    Connecting,
    /// Our intro is sent, theirs has not come.
    Introduced(OwnedFd),
    Done(Box<Endpoint>),
    /// Between two stages, or after an error.
    Over,
}

impl Pending {
    fn new(address: Address, role: Role, options: &Options<'_>) -> Result<Self, ChannelError> {
        address.check()?;
        if let Role::PcieDevice(intro) = &role {
            intro.check().map_err(|what| ChannelError::Handshake {
                channel: name(address.socket()),
                reason: HandshakeError::Device(what),
            })?;
        }
        let (file, rings, stage) = match &address.end {
            End::Listen { socket, shm } => {
                let rings = Rings::new(shm, &role, options)?;
                let (listening, file) = listen_at(socket)?;
                (Some(file), Some(rings), Stage::Listening(listening))
            }
            End::Connect { .. } => (None, None, Stage::Connecting),
        };
        Ok(Pending {
            address,
            role,
            file,
            rings,
            stage,
        })
    }

    fn waits_for(&self) -> Option<&'static str> {
        match self.stage {
            Stage::Listening(_) => Some("connected"),
            Stage::Connecting => Some("listened"),
            Stage::Introduced(_) => Some("introduced itself"),
            Stage::Done(_) | Stage::Over => None,
        }
    }

    fn socket(&self) -> Option<&OwnedFd> {
        match &self.stage {
            Stage::Listening(socket) | Stage::Introduced(socket) => Some(socket),
            _ => None,
        }
    }

    /// Does what can be done without waiting.
    fn proceed(&mut self) -> Result<(), ChannelError> {
        let path = self.address.socket();
        match &self.stage {
            Stage::Listening(socket) => {
                if let Some(peer) = accept_at(socket, path)? {
                    self.introduce(peer)?;
                }
            }
            Stage::Connecting => {
                if let Some(peer) = connect_to(path)? {
                    self.introduce(peer)?;
                }
            }
            _ => {}
        }
        if matches!(self.stage, Stage::Introduced(_)) {
            self.meet()?;
        }
        Ok(())
    }

    /// Sends this end's intro; neither side waits for the other with that.
    fn introduce(&mut self, peer: OwnedFd) -> Result<(), ChannelError> {
        let flags = self.address.sync.flags();
        let sent = match &self.rings {
            Some(rings) => {
                let message = listener_message(&self.role, flags, rings.incoming, rings.outgoing);
                send_message(&peer, &message, Some(rings.object.as_fd()))
            }
            None => send_message(&peer, &connecter_message(&self.role, flags), None),
        };
        match sent {
            // A peer that is gone already is noticed when its intro is missing.
            Ok(()) | Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => {}
            Err(error) => {
                return Err(system(self.address.socket(), "send the intro", error));
            }
        }
        self.stage = Stage::Introduced(peer);
        Ok(())
    }

    /// Takes the peer's intro, if it has come.
    fn meet(&mut self) -> Result<(), ChannelError> {
        let Stage::Introduced(socket) = &self.stage else {
            return Ok(());
        };
        let path = self.address.socket();
        let received = receive_message(socket)
            .map_err(|error| system(path, "receive the peer's intro", error))?;
        let Some(received) = received else {
            return Ok(());
        };
        let failed = |reason| ChannelError::Handshake {
            channel: name(path),
            reason,
        };
        if received.cut {
            return Err(failed(HandshakeError::Long));
        }
        let (bytes, descriptors) = (&received.bytes, &received.descriptors);
        let (introduction, outgoing, incoming) = match &self.rings {
            Some(rings) => {
                let introduction =
                    read_connecter(bytes, descriptors, &self.role).map_err(failed)?;
                let ring = |place| {
                    SharedSlots::new(rings.mapping.clone(), place).ok_or(ChannelError::RingSize {
                        slot_size: place.slot_size as usize,
                        slots: place.slots as usize,
                    })
                };
                (introduction, ring(&rings.outgoing)?, ring(&rings.incoming)?)
            }
            None => read_listener(bytes, descriptors, &self.role).map_err(failed)?,
        };
        let Introduction { flags, device } = introduction;
        let synchronised = self
            .address
            .sync
            .negotiate(flags)
            .ok_or_else(|| failed(HandshakeError::Sync))?;
        let Stage::Introduced(socket) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return Ok(());
        };
        self.stage = Stage::Done(Box::new(Endpoint::new(Parts {
            channel: name(self.address.socket()),
            protocol: self.role.protocol(),
            device,
            synchronised,
            latency: self.address.latency,
            sync_interval: self.address.sync_interval,
            terminates: self.address.terminate,
            outgoing,
            incoming,
            socket,
            file: self.file.take(),
        })));
        Ok(())
    }
}
