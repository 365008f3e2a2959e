//! What lies between the Ethernet ports: wires that lose, damage and reorder,
//! and switches.

mod switch;
mod wire;

pub use switch::{Switch, SwitchConfig, SwitchCounters};
pub use wire::{Burst, Impairments, Wire, WireCounters};
