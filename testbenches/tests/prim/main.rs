//! The language and the primitives: Rust against Verilator, cycle by cycle.
#![allow(missing_docs)]

mod language;
mod lockstep;
mod memories;
mod operators;
mod parts;
mod queues;
