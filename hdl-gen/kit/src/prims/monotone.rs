//! A contract about numbers: those of a flow never step back.
//!
//! ```text
//!  check, flow, ticket, value ─► not before the flow's last value ─► simulation stops
//!  forget, forgotten ──────────► the flow's next value may be any
//! ```
//!
//! Values are compared as sequence numbers are (RFC 9293 §3.4). A value that steps back stops the
//! simulation with an error that names its ticket and flow. Runs in simulation and vanishes in
//! synthesis, as [`Assert`](super::Assert) does.

use super::assertion::quoted;
use super::{address_of, index_bits};
use crate::elaborate::primitive;
use crate::ir::{Parameter, Primitive};
use hallux_hdl_macros::LogicBlock;
use rust_hdl_core::prelude::{Bit, Bits, Clock, In, Logic, Signal, Verilog};
use std::collections::BTreeMap;

/// See the [module](self).
#[derive(Clone, Debug, LogicBlock)]
pub struct Monotone {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: forgets all values.
    pub rst: Signal<In, Bit>,
    /// There is a value.
    pub check: Signal<In, Bit>,
    /// Its flow.
    pub flow: Signal<In, Bits<16>>,
    /// Its ticket.
    pub ticket: Signal<In, Bits<24>>,
    /// It.
    pub value: Signal<In, Bits<32>>,
    /// A flow begins anew, before a value of the same clock.
    pub forget: Signal<In, Bit>,
    /// Its id.
    pub forgotten: Signal<In, Bits<16>>,
    _message: String,
    _flows: usize,
    _last: BTreeMap<u64, u32>,
}

impl Monotone {
    /// A contract for flow ids below `flows`; `message` says which, where, and what it means
    /// to break it.
    pub fn new(message: impl Into<String>, flows: usize) -> Self {
        Self {
            clk: Signal::default(),
            rst: Signal::default(),
            check: Signal::default(),
            flow: Signal::default(),
            ticket: Signal::default(),
            value: Signal::default(),
            forget: Signal::default(),
            forgotten: Signal::default(),
            _message: message.into(),
            _flows: flows.max(2),
            _last: BTreeMap::new(),
        }
    }
}

impl Default for Monotone {
    /// A contract that says no more than where it stands; give a message.
    fn default() -> Self {
        Self::new("a value steps back", 2)
    }
}

impl Logic for Monotone {
    /// # Panics
    /// If the contract is broken: that is what it is for.
    fn update(&mut self) {
        if !self.clk.pos_edge() {
            return;
        }
        if self.rst.val() {
            self._last.clear();
            return;
        }
        if self.forget.val() {
            self._last.remove(&(self.forgotten.val().index() as u64));
        }
        if self.check.val() {
            let (flow, value) = (self.flow.val().index(), self.value.val().index() as u32);
            let last = self._last.insert(flow as u64, value);
            let back = last.is_some_and(|last| value.wrapping_sub(last) >> 31 != 0);
            let ticket = self.ticket.val().index();
            assert!(!back, "{}: ticket {ticket}, flow {flow}", self._message);
        }
    }

    fn hdl(&self) -> Verilog {
        let flows = self._flows;
        let last = flows - 1;
        let (flow, forgotten) = (
            address_of("flow", flows, 16),
            address_of("forgotten", flows, 16),
        );
        let bits = index_bits(flows);
        let unused = if bits < 16 {
            format!("\n    wire unused_flow = &{{1'b0, forgotten[15:{bits}]}};")
        } else {
            String::new()
        };
        let text = format!(
            "`ifdef SYNTHESIS
    wire unused_ok = &{{1'b0, clk, rst, check, flow, ticket, value, forget, forgotten, MESSAGE}};
`else
    // A value is known while its epoch is the present one; a reset begins another.
    logic [15:0] epoch;
    logic [15:0] epochs [0:{last}];
    logic [31:0] values [0:{last}];

    initial begin
        epoch = 16'd1;
        for (int unsigned i = 0; i < {flows}; i++) begin
            epochs[i] = 16'd0;
        end
    end

    wire begins = forget & (forgotten == flow);
    wire known = (epochs[{flow}] == epoch) & !begins;
    wire back = $signed(value - values[{flow}]) < 32'sd0;{unused}

    always_ff @(posedge clk) begin
        if (forget) begin
            epochs[{forgotten}] <= 16'd0;
        end
        if (check) begin
            epochs[{flow}] <= epoch;
            values[{flow}] <= value;
        end
        if (rst) begin
            epoch <= epoch + 16'd1;
        end else if (check & known & back) begin
            $fatal(1, \"%s: ticket %0d, flow %0d, value %0d behind %0d\", MESSAGE, ticket, flow,
                value, values[{flow}]);
        end
    end
`endif
"
        );
        primitive(Primitive {
            rust_type: std::any::type_name::<Self>(),
            module: format!("monotone_{flows}"),
            summary: vec![
                "The values of a flow never step back.".to_string(),
                "Simulation only: synthesis sees an empty module.".to_string(),
            ],
            text,
            parameters: vec![Parameter {
                name: "MESSAGE",
                default: quoted("a value steps back"),
                value: quoted(&self._message),
            }],
            memories: Vec::new(),
            combinational: Vec::new(),
        })
    }
}
