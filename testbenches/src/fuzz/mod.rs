//! Emitter fuzzing: random programs over all operators and statements of the HDL.
//!
//! ```text
//!   seed ──► program ──┬─► HDL kit ──► SystemVerilog ──► Verilator ──┐
//!                      │                                             ├─► equal?
//!                      └─► arithmetic on numbers of any size ────────┘
//! ```
//!
//! A program is one block with inputs, outputs, locals, registers and statements, widths
//! from 1 to 1200 bits, structures and arrays among them. Many programs share one Verilated model. The kit sees what `#[hdl]`
//! would have recorded; the other side is written from the language's documentation.
//!
//! Every mismatch ever found is a file in `testbenches/corpus`, which the test
//! `emitter_fuzz` replays.

mod compare;
mod describe;
mod evaluate;
mod generate;
mod program;
mod random;
mod shrink;

pub use compare::{Case, Failure, Mismatch, compare, try_all};
pub use program::{
    Expression, Field, Hex, Index, Operator, Program, Reduction, Role, Shift, Statement, Wire,
};

pub use shrink::shrink;

use random::Random;

/// Program `number` of `seed`, to be tried with `vectors` cycles of random inputs.
pub fn random_case(seed: u64, number: u64, vectors: u64) -> Case {
    let mut random = Random::new(seed, number);
    Case {
        note: format!("program {number} of seed {seed}"),
        program: generate::program(&mut random),
        seed: random.number() >> 1,
        vectors,
    }
}
