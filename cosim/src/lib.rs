//! Simulation engine, RTL-NIC adapter and observation.

pub mod engine;
pub mod nic;
pub mod observe;
