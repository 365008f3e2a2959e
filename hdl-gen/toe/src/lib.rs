//! TCP offload engine: stages, host interface, design points.

pub mod channels;
pub mod interface;
