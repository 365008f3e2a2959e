//! Behavioural host, network, peers and the reference TOE.

pub mod application;
pub mod cpu;
pub mod executor;
pub mod memory;
pub mod iommu;
pub mod driver;
pub mod reference;
