//! What lies between the Ethernet ports: wires that lose, damage and reorder.

mod wire;

pub use wire::{Burst, Impairments, Wire, WireCounters};
