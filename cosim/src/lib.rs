//! Simulation engine, RTL-NIC adapter and observation.
