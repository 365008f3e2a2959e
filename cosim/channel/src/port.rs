//! The ends of links.

use std::fmt;

/// What a port speaks, and in which role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Frames, the same in both directions.
    Ethernet,
    /// The device's end of PCIe: sends DMA requests, interrupts and MMIO
    /// completions.
    PcieDevice,
    /// The host's end of PCIe: sends MMIO requests, DMA completions and
    /// device control.
    PcieHost,
    /// A memory: sends completions.
    MemoryServer,
    /// The user of a memory: sends reads and writes.
    MemoryClient,
}

impl Protocol {
    /// What the port at the other end of the link must speak.
    #[inline]
    pub fn peer(self) -> Protocol {
        match self {
            Protocol::Ethernet => Protocol::Ethernet,
            Protocol::PcieDevice => Protocol::PcieHost,
            Protocol::PcieHost => Protocol::PcieDevice,
            Protocol::MemoryServer => Protocol::MemoryClient,
            Protocol::MemoryClient => Protocol::MemoryServer,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Protocol::Ethernet => "Ethernet",
            Protocol::PcieDevice => "PCIe (device side)",
            Protocol::PcieHost => "PCIe (host side)",
            Protocol::MemoryServer => "memory (server side)",
            Protocol::MemoryClient => "memory (client side)",
        })
    }
}

/// A named port of a component. Its index is its place in
/// [`Component::ports`](crate::Component::ports).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSpec {
    /// Unique within the component, such as `eth0`.
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
}

impl PortSpec {
    /// A port of this name and protocol.
    pub fn new(name: impl Into<String>, protocol: Protocol) -> Self {
        PortSpec {
            name: name.into(),
            protocol,
        }
    }
}
