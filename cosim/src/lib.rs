//! Simulation engine, RTL-NIC adapter and observation.

pub mod engine;
pub mod observe;
pub mod nic;
