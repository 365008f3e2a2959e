//! The RTL NIC as a component: clock, MAC and PCIe link around a Verilated model.

mod adapter;
pub mod bits;
mod edges;
mod error;
pub mod mac;
pub mod pcie;
pub mod playback;
pub mod ports;
mod record;
mod report;
mod skip;

#[cfg(test)]
mod tests;

pub use adapter::{ETH, PCIE, RtlNic, RtlNicConfig};
pub use edges::{Edge, EdgeLog};
pub use error::{CycleError, Fault, NicError};
pub use record::{Recording, Replay, replay};
pub use report::{Demand, NicReport};
pub use skip::{ParseSkipError, SkipMode};
