//! Why an RTL NIC cannot be made, or cannot go on.

use super::ports::PortError;
use super::{mac, pcie};
use hallux_verilator::ModelError;

/// A NIC cannot be made from a model.
#[derive(Debug, thiserror::Error)]
pub enum NicError {
    /// The model's ports are not those of a NIC top.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The PCIe link is impossible.
    #[error(transparent)]
    Link(#[from] pcie::ParameterError),
    /// The model cannot be started.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Skipping cannot be verified without saved state.
    #[error("verifying skipped cycles needs saved state; build the model with `savable`")]
    NotSavable,
}

/// What went wrong in a clock cycle.
#[derive(Debug, thiserror::Error)]
#[error("clock cycle {cycle}: {fault}")]
pub struct CycleError {
    /// Number of the clock edge, from 0.
    pub cycle: u64,
    /// What went wrong.
    #[source]
    pub fault: Fault,
}

/// A rule that was broken.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The model stopped: an assertion of the RTL failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A rule of the PCIe link.
    #[error(transparent)]
    Pcie(#[from] pcie::Error),
    /// A rule of the Ethernet stream.
    #[error(transparent)]
    Mac(#[from] mac::Error),
    /// A stage refuses an event for too long.
    #[error(
        "stage `{stage}` has refused an event for {cycles} cycles; the stall matrix:\n{matrix}"
    )]
    Stalled {
        /// The stage.
        stage: String,
        /// Cycles in a row.
        cycles: u64,
        /// Busy, blocked, starved and waiting cycles of all stages.
        matrix: String,
    },
    /// Work is in flight and nothing moves.
    #[error(
        "nothing has moved for {cycles} cycles although the NIC is not quiescent; the stall matrix:\n{matrix}"
    )]
    Silent {
        /// Cycles in a row.
        cycles: u64,
        /// Busy, blocked, starved and waiting cycles of all stages.
        matrix: String,
    },
    /// An output changed while the NIC claimed to be quiescent.
    #[error(
        "port `{port}` changed in a quiescent cycle that would have been skipped since cycle {since}"
    )]
    OutputChanged {
        /// The output.
        port: String,
        /// First cycle of the gap.
        since: u64,
    },
    /// State changed while the NIC claimed to be quiescent.
    #[error(
        "a flip-flop or memory changed in the quiescent cycles from {since} on, which would have been skipped"
    )]
    StateChanged {
        /// First cycle of the gap.
        since: u64,
    },
}
