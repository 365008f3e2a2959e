//! What a NIC counted.

use crate::observe::stages::StageCounters;
use std::collections::BTreeMap;

/// Counters of a run. All but [`evaluated_cycles`](Self::evaluated_cycles) are the same
/// with and without skipping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NicReport {
    /// Clock edges of the simulated time so far.
    pub clock_cycles: u64,
    /// Edges that were evaluated.
    pub evaluated_cycles: u64,
    /// Cycles of each stage that has a probe.
    pub stages: BTreeMap<String, StageCounters>,
    /// Bytes on the PCIe wire by class, framing and headers included.
    pub pcie: BTreeMap<String, u64>,
    /// PCIe packets by class.
    pub pcie_packets: BTreeMap<String, u64>,
    /// Frames dropped by reason.
    pub drops: BTreeMap<String, u64>,
    /// Frames handed to the NIC.
    pub rx_frames: u64,
    /// Their bytes without FCS.
    pub rx_bytes: u64,
    /// Frames sent.
    pub tx_frames: u64,
    /// Their bytes without FCS.
    pub tx_bytes: u64,
    /// Accesses of the host that hit no register.
    pub unclaimed_accesses: u64,
}
