//! Sweeps: many design points of one scenario, from one file.
//!
//! ```text
//!  SWEEP.toml ─► spec ─► space ─ configurations ─► point ─ keys ─┬─► store (stored? ─ yes ─► row)
//!                                                                │        no
//!                                                                ▼
//!                                      local processes, or a Slurm job array ─► store
//!                                                                                  │
//!                                       results.csv, results.jsonl ◄── table ◄─────┘
//! ```
//!
//! A point is stored under the hash of everything that its result follows from, so it is
//! never run twice, and an interrupted sweep goes on where it stopped. The table holds nothing
//! but what follows from the points, in their order: it is the same whoever ran them.

pub mod axis;
pub mod conduct;
pub mod engine;
pub mod metric;
pub mod pareto;
pub mod point;
pub mod slurm;
pub mod space;
pub mod spec;
pub mod store;
pub mod table;

pub use spec::Sweep;
