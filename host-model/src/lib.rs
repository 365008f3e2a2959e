//! Behavioural host, network, peers and the reference TOE.

pub mod application;
pub mod behavioural;
pub mod cpu;
pub mod driver;
pub mod executor;
pub mod iommu;
pub mod memory;
pub mod reference;
pub mod network;
pub mod apps;
pub mod peer;
