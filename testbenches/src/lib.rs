//! Benches of primitives and stages, and whole-system tests.
//!
//! The library is the harness that the benches in `tests/` share: a [`Bench`] owns a
//! Verilated block, its clock, and the drivers and monitors of its channels.
//!
//! ```text
//!            ┌────────── Bench ──────────┐
//!   send ──► │ driver ─► s_* ┌───────┐   │
//!            │               │ block │   │
//!            │     poke ───► │       │   │ ──► log, protocol checks
//!            │ monitor ◄ m_* └───────┘   │
//!   received ◄───────────────────────────┘
//! ```
//!
//! A channel `s` is the ports `s_data`, `s_valid` and `s_ready`. Drivers and monitors
//! stall at random under a seed, drivers offer garbage while they are not valid, and
//! monitors fail the bench where valid drops or data changes before it was taken.
//!
//! `tests/example.rs` shows a bench for a block in the HDL: [`Bench::new`] takes what
//! `hallux_hdl::emit::emit` gives. With `HALLUX_BENCH_WAVES=DIR` in the environment every
//! bench writes waveforms to `DIR`.
//!
//! # Example with hand-written RTL
//!
//! ```
//! use hallux_hdl::manifest::{Direction::{In, Out}, Field};
//! use hallux_testbenches::{Bench, Stalls, fields, hand_written};
//!
//! // A register between two channels of a 16-bit flow and a 32-bit sequence number.
//! let text = "module keep(
//!   input logic clk, input logic rst,
//!   input logic [47:0] s_data, input logic s_valid, output logic s_ready,
//!   output logic [47:0] m_data, output logic m_valid, input logic m_ready
//! );
//!   assign s_ready = !m_valid || m_ready;
//!   always_ff @(posedge clk) begin
//!     if (s_ready) {m_valid, m_data} <= {s_valid, s_data};
//!     if (rst) m_valid <= 0;
//!   end
//! endmodule
//! ";
//! let (manifest, sources) = hand_written("keep", text, &[
//!     ("clk", In, 1), ("rst", In, 1),
//!     ("s_data", In, 48), ("s_valid", In, 1), ("s_ready", Out, 1),
//!     ("m_data", Out, 48), ("m_valid", Out, 1), ("m_ready", In, 1),
//! ], &[("_data", &[("flow", 16), ("seq", 32)])]);
//!
//! let mut bench = Bench::of(&manifest, &sources);
//! let (s, m) = (bench.driver("s"), bench.monitor("m"));
//! bench.stall(m, Stalls::random(50));
//! bench.reset();
//! for flow in 0..10 {
//!     bench.send(s, fields! { flow: flow, seq: 1000 * flow });
//! }
//! bench.run_until_received(m, 10, 100);
//! assert_eq!(bench.received(m)[3].field("seq"), 3000);
//! println!("{}", bench.log());
//! ```

mod bench;
pub mod fuzz;
mod stream;
pub mod twins;
mod value;

pub use bench::{Bench, hand_written};
pub use stream::{Channel, Driver, Monitor, Stalls};
pub use value::{Fields, IntoValue, Record, Value};
