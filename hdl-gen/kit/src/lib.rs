//! The Hallux HDL: language, SystemVerilog back end, manifest and primitives.
//!
//! A block is a Rust structure of signals, flip-flops and other blocks with one
//! function, `update`, that says what its outputs and next states are. The same
//! source runs as ordinary Rust and, through [`emit`], becomes SystemVerilog
//! that a hardware engineer can read and any simulator or synthesiser can use.
//!
//! [`prelude`] brings everything an author of hardware needs; `docs/hdl.md`
//! describes the language.
//!
//! ```
//! use hallux_hdl::emit::{Options, emit};
//! use hallux_hdl::prelude::*;
//!
//! /// Adds up what comes in.
//! #[derive(LogicBlock, Default)]
//! struct Total {
//!     clk: Signal<In, Clock>,
//!     rst: Signal<In, Bit>,
//!     amount: Signal<In, Bits<8>>,
//!     total: Signal<Out, Bits<32>>,
//!     sum: DFF<Bits<32>>,
//! }
//!
//! impl Logic for Total {
//!     #[hdl]
//!     fn update(&mut self) {
//!         dff_setup!(self, clk, sum);
//!         self.total.next = self.sum.q.val();
//!         self.sum.d.next = self.sum.q.val() + bit_cast::<32, 8>(self.amount.val());
//!         if self.rst.val() {
//!             self.sum.d.next = bits::<32>(0);
//!         }
//!     }
//! }
//!
//! // As SystemVerilog ...
//! let design = emit(&Total::default(), &Options::new("example", "total"))?;
//! assert!(design.files[0].text.contains("sum <= sum + {24'd0, amount};"));
//!
//! // ... and as Rust.
//! let mut block = Total::default();
//! block.amount.next = bits(7);
//! for _ in 0..3 {
//!     for level in [false, true] {
//!         block.clk.next = level.into();
//!         assert!(simulate(&mut block, 10));
//!     }
//! }
//! assert_eq!(block.total.val(), bits::<32>(21));
//! # Ok::<(), hallux_hdl::emit::EmitErrors>(())
//! ```

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
