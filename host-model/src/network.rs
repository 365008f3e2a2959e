//! What lies between the Ethernet ports: wires that lose, damage and reorder,
//! switches, and sources of traffic.

mod switch;
mod traffic;
mod wire;

pub use switch::{Switch, SwitchConfig, SwitchCounters};
pub use traffic::{Traffic, TrafficConfig};
pub use wire::{Burst, Impairments, Wire, WireCounters};
