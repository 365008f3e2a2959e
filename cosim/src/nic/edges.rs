//! What crosses the NIC's edges and enters its stages, clock cycle by clock cycle: for
//! measuring latencies.

/// One crossing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// The last beat of a received frame of so many bytes was driven.
    FrameIn {
        /// Bytes without FCS.
        bytes: usize,
    },
    /// The first beat of a frame left.
    FrameOut,
    /// The last beat of a memory write was accepted upstream.
    Write {
        /// Bus address.
        address: u64,
        /// Bytes.
        bytes: u16,
    },
    /// A memory read was accepted upstream.
    Read {
        /// Tag.
        tag: u8,
        /// Bytes.
        bytes: u16,
    },
    /// The last beat of a read's completion was driven.
    Completed {
        /// Tag.
        tag: u8,
    },
    /// A register write of the host was taken.
    RegisterWrite {
        /// Byte offset in the BAR.
        offset: u32,
    },
    /// A stage took something in.
    Entered {
        /// Number of the stage's probe, see [`EdgeLog::stage`].
        stage: usize,
    },
}

/// Crossings with the clock edge at which they happened, in order.
#[derive(Clone, Debug, Default)]
pub struct EdgeLog {
    stages: Vec<String>,
    entries: Vec<(u64, Edge)>,
}

impl EdgeLog {
    /// An empty log of a NIC with these stages, in the order of their probes.
    pub(super) fn new(stages: &[String]) -> Self {
        Self {
            stages: stages.to_vec(),
            entries: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, cycle: u64, edge: Edge) {
        self.entries.push((cycle, edge));
    }

    /// The crossings so far.
    pub fn entries(&self) -> &[(u64, Edge)] {
        &self.entries
    }

    /// The name of stage `number` of [`Edge::Entered`].
    pub fn stage(&self, number: usize) -> &str {
        self.stages.get(number).map_or("?", String::as_str)
    }
}
