//! Checks that run in simulation and vanish in synthesis.
//!
//! ```text
//!             ┌───────────┐
//!  holds ────►│  clk: if  │   simulation: stops with MESSAGE
//!             │ !holds …  │   synthesis:  nothing
//!             └───────────┘
//! ```
//!
//! All assertions of a design share one module; the message is a parameter, so that it
//! stands in the RTL beside the condition it is about.

use crate::elaborate::primitive;
use crate::ir::{Parameter, Primitive};
use hallux_hdl_macros::LogicBlock;
use rust_hdl_core::prelude::{Bit, Clock, In, Logic, Signal, Verilog};

/// Stops the simulation with a message if `holds` is low at a rising edge.
///
/// Feed `rst` into `holds` where the condition is meaningless during reset.
#[derive(Clone, Debug, LogicBlock)]
pub struct Assert {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// What must be true in every cycle.
    pub holds: Signal<In, Bit>,
    _message: String,
}

impl Assert {
    /// An assertion; `message` says what was violated.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            clk: Signal::default(),
            holds: Signal::default(),
            _message: message.into(),
        }
    }
}

impl Default for Assert {
    /// An assertion that says no more than where it stands; give a message.
    fn default() -> Self {
        Self::new("assertion violated")
    }
}

/// A string of SystemVerilog. What has a meaning of its own inside one is left out.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: &char| !matches!(c, '"' | '\\' | '%') && !c.is_control();
    format!("\"{}\"", text.chars().filter(plain).collect::<String>())
}

impl Logic for Assert {
    /// # Panics
    /// If the condition does not hold: that is what an assertion is for.
    fn update(&mut self) {
        if self.clk.pos_edge() {
            assert!(self.holds.val(), "{}", self._message);
        }
    }

    fn hdl(&self) -> Verilog {
        let text = "`ifdef SYNTHESIS
    wire unused_ok = &{1'b0, clk, holds, MESSAGE};
`else
    always_ff @(posedge clk) begin
        if (!holds) begin
            $fatal(1, \"%s\", MESSAGE);
        end
    end
`endif
";
        let message = Parameter {
            name: "MESSAGE",
            default: quoted("assertion violated"),
            value: quoted(&self._message),
        };
        primitive(Primitive {
            rust_type: std::any::type_name::<Self>(),
            module: "assertion".to_string(),
            summary: vec!["Simulation only: synthesis sees an empty module.".to_string()],
            text: text.to_string(),
            parameters: vec![message],
            memories: Vec::new(),
            combinational: Vec::new(),
        })
    }
}
