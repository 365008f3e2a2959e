//! TCP offload engine: stages, host interface, design points.

pub mod channels;
pub mod design;
pub mod document;
pub mod interface;
pub mod units;
