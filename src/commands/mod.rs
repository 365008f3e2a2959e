//! One module a subcommand.

pub mod bench;
pub mod doctor;
pub mod gen_rtl;
pub mod lint;
pub mod replay;
pub mod run;
pub mod sweep;
pub mod synth;
pub mod worker;
