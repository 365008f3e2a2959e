//! What an end of a channel speaks.

use super::wire::{DeviceIntro, HEADER_BYTES, protocol};

/// What this end speaks. Who listens is another matter: by convention
/// devices, NICs and memories do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Frames.
    Ethernet,
    /// The device's end of PCIe, and what the host shall show of it.
    PcieDevice(Box<DeviceIntro>),
    /// The host's end of PCIe.
    PcieHost,
    /// A memory.
    MemoryServer,
    /// The user of a memory.
    MemoryClient,
}

impl Role {
    pub(super) fn upper_protocol(&self) -> u64 {
        match self {
            Role::Ethernet => protocol::ETHERNET,
            Role::PcieDevice(_) | Role::PcieHost => protocol::PCIE,
            Role::MemoryServer | Role::MemoryClient => protocol::MEMORY,
        }
    }

    /// Size of a slot in SimBricks' own listeners, in bytes.
    pub fn default_slot_size(&self) -> usize {
        HEADER_BYTES
            + match self {
                Role::Ethernet => 1536,
                Role::PcieDevice(_) | Role::PcieHost => 9024,
                Role::MemoryServer | Role::MemoryClient => 8192,
            }
    }
}
