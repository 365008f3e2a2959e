//! Finds, builds, loads and steps a Verilated model described by a manifest.
//!
//! ```text
//!  manifest + SystemVerilog ─► Build ─► Verilator ─► C++ compiler ─► model.so   (cached by content)
//!                                                                      │ libloading
//!                                     Model ◄── Library ◄──────────────┘
//!                              step(inputs, outputs): one clock cycle
//! ```
//!
//! The compiled model hides behind one `extern "C"` table of functions, written by a
//! generated shim. Inputs and outputs cross as two C structures whose [`Layout`] follows
//! from the manifest's port list alone, so that Rust and C++ cannot disagree silently.
//!
//! # Example
//!
//! ```
//! use hallux_hdl::manifest::{Direction, MANIFEST_SCHEMA, Manifest, Module, Port};
//! use hallux_verilator::{Build, Model, Profile, Toolchain};
//!
//! let port = |name: &str, direction, width, clock| Port { name: name.into(), direction, width, clock, fields: vec![] };
//! let manifest = Manifest {
//!     schema: MANIFEST_SCHEMA,
//!     design: "example".into(),
//!     top: "adder".into(),
//!     hash: String::new(),
//!     parameters: Default::default(),
//!     modules: vec![Module {
//!         name: "adder".into(),
//!         file: "adder.sv".into(),
//!         source: "hand-written".into(),
//!         ports: vec![
//!             port("clk", Direction::In, 1, true),
//!             port("a", Direction::In, 8, false),
//!             port("sum", Direction::Out, 8, false),
//!         ],
//!         memories: vec![],
//!         instances: vec![],
//!         streams: vec![],
//!     }],
//! };
//! let text = "module adder(input logic clk, input logic [7:0] a, output logic [7:0] sum);\n\
//!             always_ff @(posedge clk) sum <= a + 8'd1;\nendmodule\n";
//! let sources = [("adder.sv".to_string(), text.to_string())];
//!
//! let toolchain = Toolchain::discover(&mut |line| eprintln!("{line}"))?;
//! let library = Build::new(&manifest, &sources).profile(Profile::Test).build(&toolchain)?;
//! let mut model = Model::new(&library, 1)?;
//! let mut sum = [0];
//! model.step(&[41], &mut sum)?; // the rising edge captures 41 + 1 …
//! model.step(&[0], &mut sum)?; // … and the next cycle shows it
//! assert_eq!(sum, [42]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod build;
mod cache;
mod compiler;
mod doctor;
mod environment;
mod layout;
mod library;
mod model;
mod own_copy;
mod shim;
mod toolchain;
mod trace;
mod verilator;
mod wheel;

pub use build::{Build, BuildError, Profile, lint, read_sources};
pub use cache::{Cache, CacheError, Key, Lock, Room};
pub use compiler::Compiler;
pub use doctor::{Fact, FactStatus, doctor};
pub use environment::Environment;
pub use layout::{FieldSpec, Layout, LayoutError, PortField, PortLayout, PortStruct};
pub use library::{BuildFacts, Library, LoadError};
pub use model::{Model, ModelError, StopCause, TypedModel};
pub use toolchain::{ToolError, Toolchain, Versions};
pub use trace::TraceFormat;
pub use verilator::{Origin, Verilator, Version};
pub use wheel::{OwnCopyError, Wheel};

#[doc(hidden)]
pub use bytemuck;

// `port_struct!` names the crate by its name, in its own tests too.
#[cfg(test)]
extern crate self as hallux_verilator;
