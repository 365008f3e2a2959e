//! Checks that run in simulation and vanish in synthesis.

use crate::elaborate::primitive;
use crate::ir::Primitive;
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

impl Logic for Assert {
    /// # Panics
    /// If the condition does not hold: that is what an assertion is for.
    fn update(&mut self) {
        if self.clk.pos_edge() {
            assert!(self.holds.val(), "{}", self._message);
        }
    }

    fn hdl(&self) -> Verilog {
        let message: String = self
            ._message
            .chars()
            .filter(|c| !matches!(c, '"' | '\\' | '%' | '\n'))
            .collect();
        let text = format!(
            "`ifdef SYNTHESIS
    wire unused_ok = &{{1'b0, clk, holds}};
`else
    always_ff @(posedge clk) begin
        if (!holds) begin
            $fatal(1, \"{message}\");
        end
    end
`endif
"
        );
        primitive(Primitive {
            rust_type: std::any::type_name::<Self>(),
            module: "assertion".to_string(),
            summary: vec!["Simulation only: synthesis sees an empty module.".to_string()],
            text,
            memories: Vec::new(),
            combinational: Vec::new(),
        })
    }
}
