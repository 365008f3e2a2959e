//! TCP offload engine: stages, host interface, design points.

pub mod channels;
pub mod design;
pub mod document;
pub mod generate;
pub mod interface;
pub mod nic;
pub mod stages;
pub mod units;
