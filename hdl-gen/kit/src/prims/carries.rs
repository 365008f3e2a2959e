//! A contract about state: who changes it begins with what the last one left.
//!
//! ```text
//!  check, flow, ticket, found ─► the flow's last `after` ─► simulation stops
//!                        after ─► kept
//!  forget, forgotten ───────────► the flow's state may be any
//! ```
//!
//! States are told by as many of their bits as fit. One that begins with another state than
//! was left stops the simulation with an error that names its ticket and flow. Runs in
//! simulation and vanishes in synthesis, as [`Assert`](super::Assert) does.

use super::assertion::quoted;
use super::{address_of, index_bits};
use crate::elaborate::primitive;
use crate::ir::{Parameter, Primitive};
use hallux_hdl_macros::LogicBlock;
use rust_hdl_core::prelude::{Bit, Bits, Clock, In, Logic, Signal, Verilog};
use std::collections::BTreeMap;

/// See the [module](self).
#[derive(Clone, Debug, LogicBlock)]
pub struct Carries {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: forgets all states.
    pub rst: Signal<In, Bit>,
    /// A state is changed.
    pub check: Signal<In, Bit>,
    /// Its flow.
    pub flow: Signal<In, Bits<16>>,
    /// Ticket of what changes it.
    pub ticket: Signal<In, Bits<24>>,
    /// The state that it begins with.
    pub found: Signal<In, Bits<128>>,
    /// The state that it leaves.
    pub after: Signal<In, Bits<128>>,
    /// The state of a flow is replaced from elsewhere.
    pub forget: Signal<In, Bit>,
    /// Its id.
    pub forgotten: Signal<In, Bits<16>>,
    _message: String,
    _flows: usize,
    _last: BTreeMap<u64, Bits<128>>,
}

impl Carries {
    /// A contract for flow ids below `flows`; `message` says which, where, and what it means
    /// to break it.
    pub fn new(message: impl Into<String>, flows: usize) -> Self {
        Self {
            clk: Signal::default(),
            rst: Signal::default(),
            check: Signal::default(),
            flow: Signal::default(),
            ticket: Signal::default(),
            found: Signal::default(),
            after: Signal::default(),
            forget: Signal::default(),
            forgotten: Signal::default(),
            _message: message.into(),
            _flows: flows.max(2),
            _last: BTreeMap::new(),
        }
    }
}

impl Default for Carries {
    /// A contract that says no more than where it stands; give a message.
    fn default() -> Self {
        Self::new("a state is not the one that was left", 2)
    }
}

impl Logic for Carries {
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
        if self.check.val() {
            let flow = self.flow.val().index();
            let last = self._last.insert(flow as u64, self.after.val());
            let kept = last.is_none_or(|last| last == self.found.val());
            let ticket = self.ticket.val().index();
            assert!(kept, "{}: ticket {ticket}, flow {flow}", self._message);
        }
        if self.forget.val() {
            self._last.remove(&(self.forgotten.val().index() as u64));
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
            format!("    wire unused_flow = &{{1'b0, forgotten[15:{bits}]}};\n")
        } else {
            String::new()
        };
        let text = format!(
            "`ifdef SYNTHESIS
    wire unused_ok = &{{1'b0, clk, rst, check, flow, ticket, found, after, forget, forgotten,
        MESSAGE}};
`else
    // A state is known while its epoch is the present one; a reset begins another.
    logic [15:0] epoch;
    logic [15:0] epochs [0:{last}];
    logic [127:0] states [0:{last}];

    initial begin
        epoch = 16'd1;
        for (int unsigned i = 0; i < {flows}; i++) begin
            epochs[i] = 16'd0;
        end
    end

{unused}
    always_ff @(posedge clk) begin
        if (check) begin
            epochs[{flow}] <= epoch;
            states[{flow}] <= after;
        end
        if (forget) begin
            epochs[{forgotten}] <= 16'd0;
        end
        if (rst) begin
            epoch <= epoch + 16'd1;
        end else if (check && (epochs[{flow}] == epoch) && (states[{flow}] != found)) begin
            $fatal(1, \"%s: ticket %0d, flow %0d\", MESSAGE, ticket, flow);
        end
    end
`endif
"
        );
        primitive(Primitive {
            rust_type: std::any::type_name::<Self>(),
            module: format!("carries_{flows}"),
            summary: vec![
                "Who changes a state begins with the one that was left.".to_string(),
                "Simulation only: synthesis sees an empty module.".to_string(),
            ],
            text,
            parameters: vec![Parameter {
                name: "MESSAGE",
                default: quoted("a state is not the one that was left"),
                value: quoted(&self._message),
            }],
            memories: Vec::new(),
            combinational: Vec::new(),
        })
    }
}
