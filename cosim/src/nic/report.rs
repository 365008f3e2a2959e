//! What a NIC counted.

use super::edges::Edge;
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
    /// What is counted for the bounds of a run alone.
    pub demand: Demand,
}

/// What a run asked of the resources that no stage counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Beats of sent frames.
    pub tx_beats: u64,
    /// Beats of read completions.
    pub completion_beats: u64,
    /// Reads of payload.
    pub payload_reads: u64,
    /// Bytes they asked for.
    pub payload_read_bytes: u64,
    /// Reads of connections' states.
    pub state_reads: u64,
    /// Protocol events of each flow id.
    flow_events: Vec<u64>,
}

/// Tags from here on are those of connections' states where these are in host memory.
pub(super) const STATE_TAGS: u8 = 64;
/// Tags from here on are those of descriptor reads.
pub(super) const DESCRIPTOR_TAGS: u8 = 128;

impl Demand {
    /// An upstream request was accepted; with `states`, states are read from host memory.
    pub(super) fn accept(&mut self, crossing: Option<Edge>, states: bool) {
        if let Some(Edge::Read { tag, bytes }) = crossing
            && tag < DESCRIPTOR_TAGS
        {
            if states && tag >= STATE_TAGS {
                self.state_reads += 1;
                return;
            }
            self.payload_reads += 1;
            self.payload_read_bytes += u64::from(bytes);
        }
    }

    /// An event of `flow` entered a protocol unit.
    pub(super) fn event(&mut self, flow: u16) {
        let flow = usize::from(flow);
        if self.flow_events.len() <= flow {
            self.flow_events.resize(flow + 1, 0);
        }
        self.flow_events[flow] += 1;
    }

    /// Protocol events of the flow that has the most.
    pub fn busiest_flow_events(&self) -> u64 {
        self.flow_events.iter().copied().max().unwrap_or(0)
    }
}
