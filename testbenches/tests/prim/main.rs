//! The language and the primitives: Rust against Verilator, cycle by cycle.
#![allow(missing_docs)]

mod arithmetic;
mod gallery;
mod language;
mod lockstep;
mod memories;
mod operators;
mod parts;
mod queues;
mod streams;
mod synthesis;
mod tables;
