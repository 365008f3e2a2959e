//! A contract about order: what leaves follows what it depends on.
//!
//! ```text
//!              ┌──────────────────────────────────────────────┐
//!  demand ────►│ Σ demanded ─► due, ticket, flow   (on enter) │
//!  serve  ────►│ Σ served   ◄─ oldest due          (on leave) │──► simulation stops
//!              └──────────────────────────────────────────────┘
//! ```
//!
//! Work is counted in units of any kind, bytes say. An item that enters is due when all
//! units demanded so far have been served; items leave in the order in which they entered. An
//! item that leaves too early, or leaves without having entered, stops the simulation with an
//! error that names its ticket and flow. Units demanded and served in a clock count for the
//! items of that clock. Runs in simulation and vanishes in synthesis, as
//! [`Assert`](super::Assert) does.

use super::assertion::quoted;
use crate::elaborate::primitive;
use crate::ir::{Parameter, Primitive};
use hallux_hdl_macros::LogicBlock;
use rust_hdl_core::prelude::{Bit, Bits, Clock, In, Logic, Signal, Verilog};
use std::collections::VecDeque;

/// Items that may be inside at a time.
const ITEMS: usize = 256;

/// See the [module](self).
#[derive(Clone, Debug, LogicBlock)]
pub struct Follows {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: forgets all items.
    pub rst: Signal<In, Bit>,
    /// Units demanded in this clock.
    pub demand: Signal<In, Bits<16>>,
    /// Units served in this clock.
    pub serve: Signal<In, Bits<16>>,
    /// An item enters.
    pub enter: Signal<In, Bit>,
    /// Its ticket.
    pub ticket: Signal<In, Bits<24>>,
    /// Its flow.
    pub flow: Signal<In, Bits<16>>,
    /// The oldest item leaves.
    pub leave: Signal<In, Bit>,
    _message: String,
    _demanded: u32,
    _served: u32,
    _items: VecDeque<(u32, u64, u64)>,
}

impl Follows {
    /// A contract; `message` says which, where, and what it means to break it.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            clk: Signal::default(),
            rst: Signal::default(),
            demand: Signal::default(),
            serve: Signal::default(),
            enter: Signal::default(),
            ticket: Signal::default(),
            flow: Signal::default(),
            leave: Signal::default(),
            _message: message.into(),
            _demanded: 0,
            _served: 0,
            _items: VecDeque::new(),
        }
    }
}

impl Default for Follows {
    /// A contract that says no more than where it stands; give a message.
    fn default() -> Self {
        Self::new("an item leaves before what it follows")
    }
}

impl Logic for Follows {
    /// # Panics
    /// If the contract is broken: that is what it is for.
    fn update(&mut self) {
        if !self.clk.pos_edge() {
            return;
        }
        if self.rst.val() {
            (self._demanded, self._served) = (0, 0);
            self._items.clear();
            return;
        }
        self._demanded = self
            ._demanded
            .wrapping_add(self.demand.val().index() as u32);
        self._served = self._served.wrapping_add(self.serve.val().index() as u32);
        if self.leave.val() {
            let item = self._items.pop_front();
            let kept = item.is_some_and(|(due, ..)| self._served.wrapping_sub(due) as i32 >= 0);
            let (_, ticket, flow) = item.unwrap_or_default();
            assert!(kept, "{}: ticket {ticket}, flow {flow}", self._message);
        }
        if self.enter.val() {
            let (ticket, flow) = (self.ticket.val().index(), self.flow.val().index());
            self._items
                .push_back((self._demanded, ticket as u64, flow as u64));
        }
    }

    fn hdl(&self) -> Verilog {
        let bits = ITEMS.trailing_zeros();
        let last = ITEMS - 1;
        let (index, top) = (format!("[{}:0]", bits - 1), bits);
        let text = format!(
            "`ifdef SYNTHESIS
    wire unused_ok = &{{1'b0, clk, rst, demand, serve, enter, ticket, flow, leave, MESSAGE}};
`else
    logic [31:0] demanded;
    logic [31:0] served;
    logic [31:0] due [0:{last}];
    logic [23:0] tickets [0:{last}];
    logic [15:0] flows [0:{last}];
    logic [{top}:0] entered;
    logic [{top}:0] left;

    wire [31:0] demanded_next = demanded + {{16'd0, demand}};
    wire [31:0] served_next = served + {{16'd0, serve}};
    wire early = $signed(served_next - due[left{index}]) < 32'sd0;

    always_ff @(posedge clk) begin
        demanded <= demanded_next;
        served <= served_next;
        if (enter) begin
            due[entered{index}] <= demanded_next;
            tickets[entered{index}] <= ticket;
            flows[entered{index}] <= flow;
            entered <= entered + {count}'d1;
        end
        if (leave) begin
            left <= left + {count}'d1;
        end
        if (rst) begin
            demanded <= 32'd0;
            served <= 32'd0;
            entered <= {count}'d0;
            left <= {count}'d0;
        end else if (leave & (entered == left)) begin
            $fatal(1, \"%s: nothing has entered\", MESSAGE);
        end else if (leave & early) begin
            $fatal(1, \"%s: ticket %0d, flow %0d\", MESSAGE, tickets[left{index}],
                flows[left{index}]);
        end
    end
`endif
",
            count = bits + 1,
        );
        primitive(Primitive {
            rust_type: std::any::type_name::<Self>(),
            module: "follows".to_string(),
            summary: vec![
                "What leaves follows what it depends on.".to_string(),
                "Simulation only: synthesis sees an empty module.".to_string(),
            ],
            text,
            parameters: vec![Parameter {
                name: "MESSAGE",
                default: quoted("an item leaves before what it follows"),
                value: quoted(&self._message),
            }],
            memories: Vec::new(),
            combinational: Vec::new(),
        })
    }
}
