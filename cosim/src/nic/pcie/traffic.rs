//! Bytes and packets on the wire, by class.

use std::collections::BTreeMap;

/// What a packet is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    MemoryWrite,
    MemoryRead,
    Msix,
    CompletionUp,
    CompletionDown,
    MmioWrite,
    MmioRead,
}

/// Names of the classes, in the order of [`Cost`].
const CLASSES: [&str; 7] = [
    "mwr_up",
    "mrd_up",
    "msix_up",
    "cpld_up",
    "cpld_down",
    "mmio_write_down",
    "mmio_read_down",
];

/// Bytes on the wire and packets, by class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    bytes: [u64; CLASSES.len()],
    packets: [u64; CLASSES.len()],
}

impl Traffic {
    pub(super) fn add(&mut self, cost: Cost, bytes: u64) {
        self.bytes[cost as usize] += bytes;
        self.packets[cost as usize] += 1;
    }

    /// Bytes on the wire by class, framing and headers included.
    pub fn bytes(&self) -> BTreeMap<String, u64> {
        named(&self.bytes)
    }

    /// Packets by class.
    pub fn packets(&self) -> BTreeMap<String, u64> {
        named(&self.packets)
    }
}

fn named(values: &[u64; CLASSES.len()]) -> BTreeMap<String, u64> {
    CLASSES
        .iter()
        .zip(values)
        .map(|(name, &value)| ((*name).to_owned(), value))
        .collect()
}
