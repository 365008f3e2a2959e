//! The Hallux HDL: language, SystemVerilog back end, manifest and primitives.

pub mod manifest;
