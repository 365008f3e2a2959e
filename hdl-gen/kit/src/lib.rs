//! The Hallux HDL: language, SystemVerilog back end, manifest and primitives.
//!
//! A block is a Rust structure of signals, flip-flops and other blocks with one
//! function, `update`, that says what its outputs and next states are. The same
//! source runs as ordinary Rust and, through [`emit`], becomes SystemVerilog
//! that a hardware engineer can read and any simulator or synthesiser can use.
//!
//! [`prelude`] brings everything an author of hardware needs; `docs/hdl.md`
//! describes the language.

// The derive macros name this crate; inside it that name must exist too.
extern crate self as hallux_hdl;

mod elaborate;
pub mod emit;
mod error;
mod ir;
#[path = "../../macros/src/keywords.rs"]
mod keywords;
mod lower;
pub mod manifest;
pub mod prelude;
pub mod prims;
mod register;
#[doc(hidden)]
pub mod rt;
mod stream;
mod walk;
