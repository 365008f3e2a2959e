//! Behavioural host, network, peers and the reference TOE.

pub mod application;
pub mod cpu;
pub mod executor;
