//! The messages of the handshake, written and read.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytemuck::{Pod, Zeroable, bytes_of, bytes_of_mut};

use super::error::HandshakeError;
use super::role::Role;
use super::shared::{Mapping, SharedSlots};
use super::wire::{
    ConnecterIntro, DeviceIntro, FLAG_FORCE, FLAG_SYNC, ListenerIntro, PLAIN_INTRO_BYTES,
    RingPlace, VERSION,
};
use crate::port::Protocol;

/// Where the two rings of a listener lie in its object: incoming first.
pub(super) fn places(slot_size: usize, slots: usize) -> Option<(RingPlace, RingPlace, usize)> {
    let ring = slot_size.checked_mul(slots)?;
    let place = |offset: usize| RingPlace {
        offset: offset as u64,
        slot_size: slot_size as u64,
        slots: slots as u64,
    };
    Some((place(0), place(ring), ring.checked_mul(2)?))
}

/// The listener's message.
pub(super) fn listener_message(
    role: &Role,
    flags: u64,
    to_listener: RingPlace,
    to_connecter: RingPlace,
) -> Vec<u8> {
    let intro = ListenerIntro {
        version: VERSION,
        flags,
        to_connecter,
        to_listener,
        upper_protocol: role.upper_protocol(),
        upper_offset: size_of::<ListenerIntro>() as u64,
    };
    with_upper(bytes_of(&intro), role)
}

/// The connecter's message.
pub(super) fn connecter_message(role: &Role, flags: u64) -> Vec<u8> {
    let intro = ConnecterIntro {
        version: VERSION,
        flags,
        upper_protocol: role.upper_protocol(),
        upper_offset: size_of::<ConnecterIntro>() as u64,
    };
    with_upper(bytes_of(&intro), role)
}

fn with_upper(base: &[u8], role: &Role) -> Vec<u8> {
    let mut message = base.to_vec();
    match role {
        Role::PcieDevice(intro) => message.extend_from_slice(bytes_of(&**intro)),
        _ => message.extend_from_slice(&[0; PLAIN_INTRO_BYTES]),
    }
    message
}

/// What a peer's message says.
#[derive(Debug)]
pub(super) struct Introduction {
    pub flags: u64,
    pub device: Option<DeviceIntro>,
}

/// Reads the message of a connecter.
pub(super) fn read_connecter(
    message: &[u8],
    descriptors: &[OwnedFd],
    role: &Role,
) -> Result<Introduction, HandshakeError> {
    let intro: ConnecterIntro = header(message)?;
    if !descriptors.is_empty() {
        return Err(HandshakeError::UnexpectedDescriptors(descriptors.len()));
    }
    let (protocol, offset) = (intro.upper_protocol, intro.upper_offset);
    introduction::<ConnecterIntro>(message, intro.version, intro.flags, protocol, offset, role)
}

/// Reads the message of a listener: who it is, and the rings towards it and
/// from it.
pub(super) fn read_listener(
    message: &[u8],
    descriptors: &[OwnedFd],
    role: &Role,
) -> Result<(Introduction, SharedSlots, SharedSlots), HandshakeError> {
    let intro: ListenerIntro = header(message)?;
    let (protocol, offset) = (intro.upper_protocol, intro.upper_offset);
    let introduction =
        introduction::<ListenerIntro>(message, intro.version, intro.flags, protocol, offset, role)?;
    let object = match descriptors {
        [object] => object,
        [] => return Err(HandshakeError::NoDescriptor),
        several => return Err(HandshakeError::Descriptors(several.len())),
    };
    let (incoming, outgoing) = (intro.to_connecter, intro.to_listener);
    let (outgoing, incoming) = rings(object, outgoing, incoming)?;
    Ok((introduction, outgoing, incoming))
}

fn header<T: Pod + Zeroable>(message: &[u8]) -> Result<T, HandshakeError> {
    let need = size_of::<T>();
    let mut intro = T::zeroed();
    match message.get(..need) {
        Some(bytes) => bytes_of_mut(&mut intro).copy_from_slice(bytes),
        None if message.is_empty() => return Err(HandshakeError::Closed),
        None => {
            return Err(HandshakeError::Short {
                got: message.len(),
                need,
            });
        }
    }
    Ok(intro)
}

fn introduction<T>(
    message: &[u8],
    version: u64,
    flags: u64,
    protocol: u64,
    offset: u64,
    role: &Role,
) -> Result<Introduction, HandshakeError> {
    if version != VERSION {
        return Err(HandshakeError::Version(version));
    }
    if protocol != role.upper_protocol() {
        return Err(HandshakeError::Protocol {
            theirs: protocol,
            ours: role.upper_protocol(),
        });
    }
    let upper = usize::try_from(offset)
        .ok()
        .filter(|&offset| offset >= size_of::<T>())
        .and_then(|offset| message.get(offset..))
        .ok_or(HandshakeError::UpperOffset {
            offset,
            got: message.len(),
        })?;
    let device = match role {
        Role::PcieHost => Some(device(upper)?),
        // Old releases send nothing, new ones four bytes.
        _ if upper.len() <= PLAIN_INTRO_BYTES => None,
        _ => {
            return Err(HandshakeError::UpperLength {
                got: upper.len(),
                need: PLAIN_INTRO_BYTES,
            });
        }
    };
    Ok(Introduction {
        flags: flags & (FLAG_SYNC | FLAG_FORCE),
        device,
    })
}

fn device(upper: &[u8]) -> Result<DeviceIntro, HandshakeError> {
    let need = size_of::<DeviceIntro>();
    if upper.len() != need {
        return Err(HandshakeError::UpperLength {
            got: upper.len(),
            need,
        });
    }
    let mut intro = DeviceIntro::zeroed();
    bytes_of_mut(&mut intro).copy_from_slice(upper);
    intro.check().map_err(HandshakeError::Device)?;
    Ok(intro)
}

/// Maps the two rings of an object that somebody else made.
fn rings(
    object: &OwnedFd,
    outgoing: RingPlace,
    incoming: RingPlace,
) -> Result<(SharedSlots, SharedSlots), HandshakeError> {
    let wrong = |what: &dyn std::fmt::Display| HandshakeError::Object(what.to_string());
    let len = rustix::fs::fstat(object)
        .map_err(|error| wrong(&error))?
        .st_size as u64;
    let span = |place: &RingPlace| {
        let size = place.slot_size.checked_mul(place.slots)?;
        let end = place.offset.checked_add(size)?;
        (size > 0 && end <= len).then_some((place.offset, end))
    };
    let outside = |which, place| HandshakeError::Ring { which, place, len };
    let out = span(&outgoing).ok_or(outside("outgoing", outgoing))?;
    let into = span(&incoming).ok_or(outside("incoming", incoming))?;
    if out.0 < into.1 && into.0 < out.1 {
        return Err(HandshakeError::Overlap);
    }
    let bytes = usize::try_from(len).map_err(|error| wrong(&error))?;
    let mapping = Arc::new(Mapping::new(object, bytes).map_err(|error| wrong(&error))?);
    let slots = |which, place: RingPlace| {
        SharedSlots::new(mapping.clone(), &place).ok_or(outside(which, place))
    };
    Ok((slots("outgoing", outgoing)?, slots("incoming", incoming)?))
}

impl DeviceIntro {
    /// Whether such a device can be; says why not.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let msi = self.msi_vectors;
        if msi > 32 || (msi != 0 && !msi.is_power_of_two()) {
            return Err("the number of MSI vectors is no power of two up to 32");
        }
        if self.msix_vectors > 2048 {
            return Err("there are more than 2048 MSI-X vectors");
        }
        if self.msix_vectors > 0 && (self.msix_table_bar > 5 || self.msix_pba_bar > 5) {
            return Err("its MSI-X table is in a base address register above 5");
        }
        Ok(())
    }
}

impl Role {
    /// What the port speaks.
    pub fn protocol(&self) -> Protocol {
        match self {
            Role::Ethernet => Protocol::Ethernet,
            Role::PcieDevice(_) => Protocol::PcieDevice,
            Role::PcieHost => Protocol::PcieHost,
            Role::MemoryServer => Protocol::MemoryServer,
            Role::MemoryClient => Protocol::MemoryClient,
        }
    }
}
