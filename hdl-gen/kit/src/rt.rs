//! What expanded macros refer to. Not an interface for people.

pub use crate::elaborate::*;
pub use crate::ir::{Body, Primitive};
pub use num_bigint::BigUint;
pub use rust_hdl_core::ast::{VerilogLink, VerilogLiteral};
pub use rust_hdl_core::prelude::{
    Block, Logic, LogicJoin, LogicLink, Probe, Synth, TypeDescriptor, TypeField, TypeKind,
    VCDValue, Verilog,
};
