//! TCP offload engine: stages, host interface, design points.

// A description of hardware writes `x = x & y` out, since the language has no compound
// assignment, and counts what it elaborates by index and length.
#![allow(
    clippy::assign_op_pattern,
    clippy::len_zero,
    clippy::needless_range_loop
)]

pub mod channels;
pub mod contracts;
pub mod design;
pub mod document;
pub mod generate;
pub mod interface;
pub mod modules;
pub mod nic;
pub mod stages;
pub mod units;
