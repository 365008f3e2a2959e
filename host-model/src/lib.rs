//! Behavioural host, network, peers and the reference TOE.

pub mod application;
pub mod apps;
pub mod behavioural;
pub mod control;
pub mod cpu;
pub mod driver;
pub mod executor;
pub mod host;
pub mod iommu;
pub mod memory;
pub mod memory_server;
pub mod network;
pub mod peer;
pub mod reference;
pub mod sockets;
