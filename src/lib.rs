//! Hallux: design a TCP offload engine without an FPGA.
//!
//! The library behind the `hallux` command: scenarios, the simulations they describe,
//! and the results they leave.

pub mod absent;
pub mod blame;
pub mod bounds;
pub mod cluster;
pub mod commands;
pub mod compare;
pub mod diagram;
pub mod model;
pub mod observation;
pub mod output;
pub mod outside;
pub mod parts;
pub mod processes;
pub mod profile;
pub mod recording;
pub mod report;
pub mod results;
pub mod scenario;
pub mod schema;
pub mod simulation;
pub mod sweep;
pub mod synth;
pub mod table;
pub mod verdict;
