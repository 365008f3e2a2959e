//! The IOMMU: which bus addresses the device may read and write.
//!
//! Every DMA is checked against the regions that the driver mapped. An access outside
//! them never corrupts the host: a write is discarded, a read answered with all ones
//! (SimBricks has no error status), and both are reported and counted.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use hallux_channel::Time;

use crate::memory::{Memory, OutOfMemory};

/// What the device may do with a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Only read.
    Read,
    /// Only write.
    Write,
    /// Both.
    ReadWrite,
}

/// What a region is used for; named in reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Descriptor ring of a context.
    Descriptors {
        /// Number of the context.
        context: u8,
    },
    /// Notification ring of a context.
    Records {
        /// Number of the context.
        context: u8,
    },
    /// The word of a context where the NIC counts consumed descriptors.
    Consumed {
        /// Number of the context.
        context: u8,
    },
    /// Ring of mirrored frames of an extension module.
    Mirror {
        /// Number of the module.
        module: u8,
    },
    /// The words where such a module says how far its ring is written.
    MirrorStatus {
        /// Number of the module.
        module: u8,
    },
    /// States of connections that are not on chip.
    States,
    /// Slots for received slow-path frames.
    SlowReceive,
    /// Buffers of slow-path frames to send.
    SlowTransmit,
    /// Receive ring of a connection.
    ReceiveRing {
        /// Flow id of the connection.
        flow: u16,
    },
    /// Transmit ring of a connection.
    TransmitRing {
        /// Flow id of the connection.
        flow: u16,
    },
}

impl Purpose {
    /// The flow id, if the region belongs to a connection.
    pub fn flow(self) -> Option<u16> {
        match self {
            Self::ReceiveRing { flow } | Self::TransmitRing { flow } => Some(flow),
            _ => None,
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptors { context } => write!(f, "descriptor ring of context {context}"),
            Self::Records { context } => write!(f, "notification ring of context {context}"),
            Self::Consumed { context } => write!(f, "consumed count of context {context}"),
            Self::Mirror { module } => write!(f, "capture ring of module {module}"),
            Self::MirrorStatus { module } => write!(f, "capture status of module {module}"),
            Self::States => f.write_str("states of connections"),
            Self::SlowReceive => f.write_str("slow-path receive slots"),
            Self::SlowTransmit => f.write_str("slow-path transmit buffers"),
            Self::ReceiveRing { flow } => write!(f, "receive ring of flow {flow}"),
            Self::TransmitRing { flow } => write!(f, "transmit ring of flow {flow}"),
        }
    }
}

/// Direction of a DMA, seen from the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The device read host memory.
    Read,
    /// The device wrote host memory.
    Write,
}

/// A DMA that the mapped regions do not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaViolation {
    /// When it arrived at the host.
    pub at: Time,
    /// Bus address of the first byte.
    pub address: u64,
    /// Count of bytes.
    pub length: u64,
    /// What the device tried.
    pub direction: Direction,
    /// The region that holds the first byte or, if none does, the one that held it until
    /// it was unmapped. It names the connection where there is one.
    pub region: Option<Purpose>,
}

impl fmt::Display for DmaViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.direction {
            Direction::Read => "read",
            Direction::Write => "wrote",
        };
        let Self {
            at,
            address,
            length,
            ..
        } = self;
        write!(
            f,
            "at {at} the device {verb} {length} bytes at {address:#x}, "
        )?;
        match self.region {
            Some(region) => write!(f, "against the rights or bounds of the {region}"),
            None => f.write_str("where nothing was ever mapped"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Region {
    bytes: u64,
    rights: Rights,
    purpose: Purpose,
    /// Unmapped regions stay, without rights, for the report on a late access.
    mapped: bool,
}

/// The mapped regions of one device, and what it did against them.
#[derive(Debug, Default)]
pub struct Iommu {
    regions: BTreeMap<u64, Region>,
    violations: Vec<DmaViolation>,
    violation_count: u64,
}

impl Iommu {
    /// How many violations are kept in full; later ones are only counted.
    pub const KEPT_VIOLATIONS: usize = 256;

    /// Allows the device to access `bytes` bytes at `address`.
    pub fn map(&mut self, address: u64, bytes: u64, rights: Rights, purpose: Purpose) {
        // A block handed out again replaces what is remembered of its former uses.
        let stale: Vec<u64> = self
            .regions
            .range(address..address + bytes)
            .map(|(&start, _)| start)
            .collect();
        for start in stale {
            self.regions.remove(&start);
        }
        self.regions.insert(
            address,
            Region {
                bytes,
                rights,
                purpose,
                mapped: true,
            },
        );
    }

    /// Takes the right back that was given for the region starting at `address`.
    pub fn unmap(&mut self, address: u64) {
        if let Some(region) = self.regions.get_mut(&address) {
            region.mapped = false;
        }
    }

    /// True if the access is allowed; otherwise it is reported and counted. An access must
    /// lie within one region.
    pub fn check(&mut self, at: Time, address: u64, length: u64, direction: Direction) -> bool {
        let wanted = match direction {
            Direction::Read => Rights::Read,
            Direction::Write => Rights::Write,
        };
        let region = self
            .regions
            .range(..=address)
            .next_back()
            .filter(|(start, region)| address - *start < region.bytes);
        if let Some((start, region)) = region
            && region.mapped
            && (region.rights == wanted || region.rights == Rights::ReadWrite)
            && address - start + length <= region.bytes
        {
            return true;
        }
        self.violation_count += 1;
        if self.violations.len() < Self::KEPT_VIOLATIONS {
            let region = region.map(|(_, region)| region.purpose);
            self.violations.push(DmaViolation {
                at,
                address,
                length,
                direction,
                region,
            });
        }
        false
    }

    /// The first [`Self::KEPT_VIOLATIONS`] violations.
    pub fn violations(&self) -> &[DmaViolation] {
        &self.violations
    }

    /// Count of all violations.
    pub fn violation_count(&self) -> u64 {
        self.violation_count
    }
}

/// Host memory as driver and device share it: allocated and mapped in one step.
#[derive(Debug)]
pub struct DmaMemory {
    /// The bytes, for the host's own accesses.
    pub memory: Memory,
    /// The device's rights.
    pub iommu: Iommu,
}

impl DmaMemory {
    /// `memory` with nothing mapped.
    pub fn new(memory: Memory) -> Self {
        Self {
            memory,
            iommu: Iommu::default(),
        }
    }

    /// Allocates and maps `bytes` bytes, aligned to the next power of two. Only `bytes`
    /// bytes are mapped.
    ///
    /// # Errors
    ///
    /// If the memory is exhausted.
    pub fn allocate(
        &mut self,
        bytes: u64,
        rights: Rights,
        purpose: Purpose,
    ) -> Result<u64, OutOfMemory> {
        let address = self.memory.allocate(bytes)?;
        self.iommu.map(address, bytes, rights, purpose);
        Ok(address)
    }

    /// Unmaps and releases what [`allocate`](Self::allocate) gave.
    pub fn release(&mut self, address: u64, bytes: u64) {
        self.iommu.unmap(address);
        self.memory.release(address, bytes);
    }

    /// Unmaps and releases every region that belongs to no connection.
    pub fn release_rings(&mut self) {
        let of_nic: Vec<(u64, u64)> = self
            .iommu
            .regions
            .iter()
            .filter(|(_, region)| region.mapped && region.purpose.flow().is_none())
            .map(|(&address, region)| (address, region.bytes))
            .collect();
        for (address, bytes) in of_nic {
            self.release(address, bytes);
        }
    }

    /// Serves a read of the device.
    pub fn device_read(&mut self, at: Time, address: u64, length: u16) -> Bytes {
        let mut data = vec![0xff; usize::from(length)];
        if self
            .iommu
            .check(at, address, u64::from(length), Direction::Read)
        {
            self.memory.read(address, &mut data);
        }
        data.into()
    }

    /// Serves a write of the device.
    pub fn device_write(&mut self, at: Time, address: u64, data: &[u8]) {
        if self
            .iommu
            .check(at, address, data.len() as u64, Direction::Write)
        {
            self.memory.write(address, data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MEMORY_BASE;

    const AT: Time = Time::from_ns(5);

    fn shared() -> DmaMemory {
        DmaMemory::new(Memory::new(MEMORY_BASE, 1 << 20))
    }

    #[test]
    fn a_write_reaches_only_its_region() {
        let mut dma = shared();
        let purpose = Purpose::ReceiveRing { flow: 7 };
        let ring = dma.allocate(100, Rights::Write, purpose).unwrap();
        dma.device_write(AT, ring, &[1; 100]);
        dma.device_write(AT, ring + 96, &[2; 8]);
        let mut bytes = [0; 104];
        dma.memory.read(ring, &mut bytes);
        assert_eq!(
            bytes[..100],
            [1; 100],
            "the crossing write is discarded whole"
        );
        assert_eq!(bytes[100..], [0; 4]);
        assert_eq!(
            dma.iommu.violations(),
            [DmaViolation {
                at: AT,
                address: ring + 96,
                length: 8,
                direction: Direction::Write,
                region: Some(purpose),
            }]
        );
        assert_eq!(
            dma.iommu.violations()[0].region.and_then(Purpose::flow),
            Some(7)
        );
    }

    #[test]
    fn a_refused_read_is_all_ones() {
        let mut dma = shared();
        let ring = dma
            .allocate(64, Rights::Write, Purpose::SlowReceive)
            .unwrap();
        assert_eq!(dma.device_read(AT, ring, 4)[..], [0xff; 4]);
        assert_eq!(dma.device_read(AT, 0, 4)[..], [0xff; 4]);
        assert_eq!(dma.iommu.violation_count(), 2);
        assert_eq!(dma.iommu.violations()[1].region, None);
    }

    #[test]
    fn a_late_access_names_the_former_region() {
        let mut dma = shared();
        let purpose = Purpose::TransmitRing { flow: 3 };
        let ring = dma.allocate(64, Rights::Read, purpose).unwrap();
        assert_eq!(dma.device_read(AT, ring, 2)[..], [0; 2]);
        dma.release(ring, 64);
        assert_eq!(dma.device_read(AT, ring, 2)[..], [0xff; 2]);
        let text = dma.iommu.violations()[0].to_string();
        assert_eq!(
            text,
            format!(
                "at 5ns the device read 2 bytes at {ring:#x}, against the rights or bounds of \
                 the transmit ring of flow 3"
            )
        );
        let again = dma
            .allocate(64, Rights::Write, Purpose::SlowReceive)
            .unwrap();
        assert_eq!(again, ring);
        dma.device_write(AT, ring, &[1]);
        assert_eq!(dma.iommu.violation_count(), 1);
    }
}
