//! One module a subcommand.

pub mod bench;
pub mod blame;
pub mod compare;
pub mod doctor;
pub mod gen_rtl;
pub mod host;
pub mod lint;
pub mod memory;
pub mod net;
pub mod nic;
pub mod replay;
pub mod report;
pub mod run;
pub mod schema;
pub mod sweep;
pub mod synth;
pub mod worker;
