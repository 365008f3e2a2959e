//! A contract about tickets: each one ends exactly once, and those of a flow pass in the
//! order in which they came.
//!
//! ```text
//!  enter, ticket, flow, ordered ─► arrival number ─┬─► newer than the flow's last, when `passes`
//!                                                  ├─► still under way, when `ends`
//!                                                  └─► none, when `idle`
//! ```
//!
//! A ticket that passes out of turn, ends twice or never came, or has not ended by the time
//! that `idle` says that nothing is under way, stops the simulation with an error that names it
//! and its flow. Between flows there is no order. Runs in simulation and vanishes in synthesis,
//! as [`Assert`](super::Assert) does.

use super::assertion::quoted;
use crate::elaborate::primitive;
use crate::ir::{Parameter, Primitive};
use hallux_hdl_macros::LogicBlock;
use rust_hdl_core::prelude::{Bit, Bits, Clock, In, Logic, Signal, Verilog};
use std::collections::BTreeMap;

/// Tickets between the oldest and the newest that are watched at a time. One that comes when
/// another with the same place is under way, is not.
const PLACES: u64 = 4096;

/// A ticket under way.
#[derive(Clone, Copy, Debug)]
struct Item {
    ticket: u64,
    flow: u64,
    arrival: u32,
}

/// See the [module](self).
#[derive(Clone, Debug, LogicBlock)]
pub struct EachOnce {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: forgets all tickets.
    pub rst: Signal<In, Bit>,
    /// A ticket comes.
    pub enter: Signal<In, Bit>,
    /// Its number; numbers follow each other.
    pub ticket: Signal<In, Bits<24>>,
    /// Its flow.
    pub flow: Signal<In, Bits<16>>,
    /// It has a place in the order of its flow.
    pub ordered: Signal<In, Bit>,
    /// An ordered ticket passes the point where the order counts.
    pub passes: Signal<In, Bit>,
    /// Its number.
    pub passed: Signal<In, Bits<24>>,
    /// A ticket ends.
    pub ends: Signal<In, Bit>,
    /// Its number.
    pub ended: Signal<In, Bits<24>>,
    /// None is under way.
    pub idle: Signal<In, Bit>,
    _order: String,
    _once: String,
    _flows: usize,
    _items: BTreeMap<u64, Item>,
    _latest: BTreeMap<u64, u32>,
    _arrived: u32,
}

impl EachOnce {
    /// A contract for flow ids below `flows`; `order` and `once` say which, where, and what it
    /// means to break them.
    pub fn new(order: impl Into<String>, once: impl Into<String>, flows: usize) -> Self {
        Self {
            clk: Signal::default(),
            rst: Signal::default(),
            enter: Signal::default(),
            ticket: Signal::default(),
            flow: Signal::default(),
            ordered: Signal::default(),
            passes: Signal::default(),
            passed: Signal::default(),
            ends: Signal::default(),
            ended: Signal::default(),
            idle: Signal::default(),
            _order: order.into(),
            _once: once.into(),
            _flows: flows.max(2),
            _items: BTreeMap::new(),
            _latest: BTreeMap::new(),
            _arrived: 0,
        }
    }
}

impl Default for EachOnce {
    /// A contract that says no more than where it stands; give messages.
    fn default() -> Self {
        Self::new(
            "a ticket passes out of turn",
            "a ticket does not end once",
            2,
        )
    }
}

impl Logic for EachOnce {
    /// # Panics
    /// If the contract is broken: that is what it is for.
    fn update(&mut self) {
        if !self.clk.pos_edge() {
            return;
        }
        if self.rst.val() {
            self._items.clear();
            self._latest.clear();
            self._arrived = 0;
            return;
        }
        if let Some((_, Item { ticket, flow, .. })) = self._items.first_key_value() {
            let lost = self.idle.val();
            assert!(
                !lost,
                "{}: ticket {ticket}, flow {flow}, has not ended",
                self._once
            );
        }
        let place = |ticket: u64| ticket % PLACES;
        if self.passes.val() {
            let passed = self.passed.val().index() as u64;
            let item = self._items.get(&place(passed)).copied();
            if let Some(item) = item.filter(|item| item.ticket == passed) {
                let latest = self._latest.insert(item.flow, item.arrival);
                let late =
                    latest.is_some_and(|latest| item.arrival.wrapping_sub(latest) >> 31 != 0);
                let flow = item.flow;
                assert!(!late, "{}: ticket {passed}, flow {flow}", self._order);
            }
        }
        if self.ends.val() {
            let ended = self.ended.val().index() as u64;
            let item = self._items.remove(&place(ended));
            assert!(
                item.is_some(),
                "{}: ticket {ended} has ended or never came",
                self._once
            );
        }
        if self.enter.val() {
            let ticket = self.ticket.val().index() as u64;
            let item = Item {
                ticket,
                flow: self.flow.val().index() as u64,
                arrival: self._arrived,
            };
            self._items.entry(place(ticket)).or_insert(item);
            self._arrived = self._arrived.wrapping_add(1);
        }
    }

    fn hdl(&self) -> Verilog {
        let flows = self._flows;
        let (last, last_flow) = (PLACES - 1, flows - 1);
        let top = PLACES.trailing_zeros() - 1;
        let at = |ticket: &str| format!("{ticket}[{top}:0]");
        let bits = super::index_bits(flows);
        let of_flow = super::address_of("passing", flows, 16);
        let unused = if bits < 16 {
            format!("\n    wire unused_flow = &{{1'b0, passing[15:{bits}]}};")
        } else {
            String::new()
        };
        let text = format!(
            "`ifdef SYNTHESIS
    wire unused_ok = &{{1'b0, clk, rst, enter, ticket, flow, ordered, passes, passed, ends, ended,
        idle, ORDER, ONCE}};
`else
    // A place is in use while its epoch is the present one; a reset begins another.
    logic [15:0] epoch;
    logic [15:0] epochs [0:{last}];
    logic [23:0] tickets [0:{last}];
    logic [15:0] flows [0:{last}];
    logic in_order [0:{last}];
    logic [31:0] arrivals [0:{last}];
    logic [31:0] latest [0:{last_flow}];
    logic [15:0] known [0:{last_flow}];
    logic [31:0] arrived;
    logic [12:0] under_way;

    initial begin
        epoch = 16'd1;
        for (int unsigned i = 0; i < {PLACES}; i++) begin
            epochs[i] = 16'd0;
        end
        for (int unsigned i = 0; i < {flows}; i++) begin
            known[i] = 16'd0;
        end
    end

    wire present = epochs[{ended}] == epoch;
    wire watched = (epochs[{passed}] == epoch) & (tickets[{passed}] == passed)
        & in_order[{passed}];
    wire [15:0] passing = flows[{passed}];
    wire older = $signed(arrivals[{passed}] - latest[{of_flow}]) < 32'sd0;
    wire late = (known[{of_flow}] == epoch) & older;
    wire free = (epochs[{ticket}] != epoch) | (ends & (ended[{top}:0] == ticket[{top}:0]));
    wire counts = enter & free;{unused}

    always_ff @(posedge clk) begin
        if (ends) begin
            epochs[{ended}] <= 16'd0;
        end
        if (counts) begin
            epochs[{ticket}] <= epoch;
            tickets[{ticket}] <= ticket;
            flows[{ticket}] <= flow;
            in_order[{ticket}] <= ordered;
            arrivals[{ticket}] <= arrived;
        end
        if (enter) begin
            arrived <= arrived + 32'd1;
        end
        if (passes & watched) begin
            latest[{of_flow}] <= arrivals[{passed}];
            known[{of_flow}] <= epoch;
        end
        if (counts != (ends & present)) begin
            under_way <= counts ? under_way + 13'd1 : under_way - 13'd1;
        end
        if (rst) begin
            epoch <= epoch + 16'd1;
            arrived <= 32'd0;
            under_way <= 13'd0;
        end else if (passes & watched & late) begin
            $fatal(1, \"%s: ticket %0d, flow %0d\", ORDER, passed, passing);
        end else if (ends & !present) begin
            $fatal(1, \"%s: ticket %0d has ended or never came\", ONCE, ended);
        end else if (idle & (under_way != 13'd0)) begin
            for (int unsigned i = 0; i < {PLACES}; i++) begin
                if (epochs[i] == epoch) begin
                    $fatal(1, \"%s: ticket %0d, flow %0d, has not ended\", ONCE, tickets[i],
                        flows[i]);
                end
            end
        end
    end
`endif
",
            ended = at("ended"),
            passed = at("passed"),
            ticket = at("ticket"),
        );
        let parameter = |name, default: &str, value: &str| Parameter {
            name,
            default: quoted(default),
            value: quoted(value),
        };
        primitive(Primitive {
            rust_type: std::any::type_name::<Self>(),
            module: format!("each_once_{flows}"),
            summary: vec![
                "Each ticket ends exactly once, and those of a flow pass in order.".to_string(),
                "Simulation only: synthesis sees an empty module.".to_string(),
            ],
            text,
            parameters: vec![
                parameter("ORDER", "a ticket passes out of turn", &self._order),
                parameter("ONCE", "a ticket does not end once", &self._once),
            ],
            memories: Vec::new(),
            combinational: Vec::new(),
        })
    }
}
