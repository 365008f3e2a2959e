//! Trace: what happened to each connection, counted behind the protocol stage.
//!
//! ```text
//!                      ┌──────────────┐  row   ┌─────┐
//!  s (outcome) ──►▐───►│ row of flow  ├───────►│ add ├──┐
//!                 ▐    └──────▲───────┘        └──▲──┘  │
//!                 └───────────┼───────────────────┘     │
//!                             └─────────────────────────┤
//!                      ┌──────▼───────┐                 │
//!  access, answer ◄───►│ the same row │◄────────────────┘
//!                      └──────────────┘
//! ```
//!
//! Each flow has a row of eight tracepoints of 32 bits (`interface::modules::trace`). OPEN
//! clears the row; frames of the control plane have none. The module looks on and holds up nothing: latency 0, an outcome a clock,
//! also of one flow. A row can be read 2 clocks after the outcome.

use super::plan::{Declaration, Order};
use super::port::Access;
use crate::channels::{CLASS_FAST, KIND_CMD, KIND_RX, Outcome};
use crate::interface::modules::{Slot, trace};
use crate::interface::{Opcode, notice};
use hallux_hdl::prelude::*;

/// What the module needs and does.
pub const DECLARATION: Declaration = Declaration {
    slots: &[Slot::AfterProtocol],
    latency: 0,
    interval: 1,
    order: Order::Kept,
    verdicts: &[],
};

/// Bits of a row.
const ROW: usize = 32 * trace::POINTS;

/// What an outcome adds to the row of its flow.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Step {
    /// Flow id in the group.
    pub flow: Bits<16>,
    /// The row begins anew.
    pub opens: Bit,
    /// A segment was received.
    pub received: Bit,
    /// Payload bytes that were placed.
    pub placed: Bits<14>,
    /// They were out of order.
    pub early: Bit,
    /// A segment with payload is sent.
    pub data: Bit,
    /// A segment without payload is sent.
    pub acknowledges: Bit,
    /// A fast retransmission begins.
    pub fast: Bit,
    /// Bytes were acknowledged with ECN echo.
    pub echo: Bit,
    /// Round-trip sample plus one, 0: none.
    pub rtt: Bits<32>,
}

/// One tracepoint that counts.
#[hdl_fn]
fn plus(row: Bits<ROW>, point: usize, step: Bits<14>) -> Bits<32> {
    row.get_bits::<32>(32 * point) + bit_cast::<32, 14>(step)
}

/// See the [module](self).
#[derive(LogicBlock)]
pub struct Trace {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset; rows stay until their flow is opened.
    pub rst: Signal<In, Bit>,
    /// An outcome leaves the protocol stage.
    pub s_valid: Signal<In, Bit>,
    /// It.
    pub s_data: Signal<In, Outcome>,
    /// Number of the group.
    pub group: Signal<In, Bits<16>>,
    /// Register access.
    pub access: Signal<In, Access>,
    /// Value of the register; 0 where the selected flow is of another group.
    pub answer: Signal<Out, Bits<64>>,
    /// Nothing is under way.
    pub idle: Signal<Out, Bit>,
    step: DFF<Step>,
    step_valid: DFF<Bit>,
    rows: RamWithEnable<Bits<ROW>, 16>,
    shown: RamWithEnable<Bits<ROW>, 16>,
    /// The row that was written last: newer than what is read beside its writing.
    last: DFF<Bits<ROW>>,
    last_flow: DFF<Bits<16>>,
    last_valid: DFF<Bit>,
    /// A row was written in the clock before.
    settles: DFF<Bit>,
    select: DFF<Bits<16>>,
    _groups: usize,
}

impl Trace {
    /// For the flows, so many, of one of `groups` groups.
    pub fn new(flows: usize, groups: usize) -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s_valid: Default::default(),
            s_data: Default::default(),
            group: Default::default(),
            access: Default::default(),
            answer: Default::default(),
            idle: Default::default(),
            step: Default::default(),
            step_valid: Default::default(),
            rows: RamWithEnable::zeroed(flows),
            shown: RamWithEnable::zeroed(flows),
            last: Default::default(),
            last_flow: Default::default(),
            last_valid: Default::default(),
            settles: Default::default(),
            select: Default::default(),
            _groups: groups,
        }
    }
}

impl Logic for Trace {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self, clk, step, step_valid, last, last_flow, last_valid, settles, select
        );
        self.rows.clk.next = self.clk.val();
        self.shown.clk.next = self.clk.val();

        let outcome = self.s_data.val();
        let received = outcome.kind == bits::<2>(KIND_RX);
        let opens = (outcome.kind == bits::<2>(KIND_CMD))
            & (outcome.opcode == bits::<8>(Opcode::Open as u64))
            & !outcome.status.any();
        // Frames of the control plane, either way, are of no connection.
        let connected = outcome.class == bits::<2>(CLASS_FAST);
        self.step_valid.d.next = self.s_valid.val() & (connected | opens);
        if self.s_valid.val() {
            self.step.d.next = Step {
                flow: outcome.flow,
                opens,
                received,
                placed: if outcome.place {
                    outcome.place_len
                } else {
                    bits::<14>(0)
                },
                early: outcome.place & outcome.place_len.any() & !outcome.rx_bump.any(),
                data: outcome.send & outcome.length.any(),
                acknowledges: outcome.send & !outcome.length.any(),
                fast: received
                    & (outcome.notice_flags & bits::<8>(notice::FAST_RETRANSMIT as u64)).any(),
                echo: received & (outcome.notice_flags & bits::<8>(notice::ECN_ECHO as u64)).any(),
                rtt: outcome.rtt,
            };
        }
        self.rows.read_enable.next = self.s_valid.val();
        self.rows.read_address.next = outcome.flow;

        let step = self.step.q.val();
        let writes = self.step_valid.q.val();
        let again = self.last_valid.q.val() & (self.last_flow.q.val() == step.flow);
        let row = if step.opens {
            bits::<ROW>(0)
        } else if again {
            self.last.q.val()
        } else {
            self.rows.read_data.val()
        };
        let mut next = row;
        next.set_bits(
            32 * trace::RECEIVED,
            plus(row, trace::RECEIVED, bit_cast::<14, 1>(bit(step.received))),
        );
        next.set_bits(32 * trace::PLACED, plus(row, trace::PLACED, step.placed));
        next.set_bits(
            32 * trace::OUT_OF_ORDER,
            plus(row, trace::OUT_OF_ORDER, bit_cast::<14, 1>(bit(step.early))),
        );
        next.set_bits(
            32 * trace::DATA_SENT,
            plus(row, trace::DATA_SENT, bit_cast::<14, 1>(bit(step.data))),
        );
        next.set_bits(
            32 * trace::ACKS_SENT,
            plus(
                row,
                trace::ACKS_SENT,
                bit_cast::<14, 1>(bit(step.acknowledges)),
            ),
        );
        next.set_bits(
            32 * trace::FAST_RETRANSMITS,
            plus(
                row,
                trace::FAST_RETRANSMITS,
                bit_cast::<14, 1>(bit(step.fast)),
            ),
        );
        next.set_bits(
            32 * trace::ECN_ECHOES,
            plus(row, trace::ECN_ECHOES, bit_cast::<14, 1>(bit(step.echo))),
        );
        if step.rtt.any() {
            next.set_bits(32 * trace::RTT, step.rtt);
        }
        self.rows.write_enable.next = writes;
        self.rows.write_address.next = step.flow;
        self.rows.write_data.next = next;
        self.shown.write_enable.next = writes;
        self.shown.write_address.next = step.flow;
        self.shown.write_data.next = next;
        self.settles.d.next = writes;
        if writes {
            self.last.d.next = next;
            self.last_flow.d.next = step.flow;
            self.last_valid.d.next = true;
        }

        let access = self.access.val();
        if access.write & (access.word == bits::<9>(trace::SELECT / 8)) {
            self.select.d.next = access.data.get_bits::<16>(0);
        }
        let selected = self.select.q.val();
        let ours = (selected & bits::<16>(self._groups as u64 - 1)) == self.group.val();
        self.shown.read_enable.next = true;
        self.shown.read_address.next = selected >> self._groups.trailing_zeros() as u64;
        let shown = self.shown.read_data.val();
        let mut answer = bits::<64>(0);
        if access.word == bits::<9>(trace::SELECT / 8) {
            answer = bit_cast::<64, 16>(selected);
        }
        for i in 0..trace::POINTS {
            if access.word == bits::<9>(trace::POINT / 8 + i as u64) {
                answer = bit_cast::<64, 32>(shown.get_bits::<32>(32 * i));
            }
        }
        self.answer.next = if ours { answer } else { bits::<64>(0) };
        self.idle.next = !writes & !self.settles.q.val();
        if self.rst.val() {
            self.step_valid.d.next = false;
            self.last_valid.d.next = false;
            self.settles.d.next = false;
            self.select.d.next = bits::<16>(0);
        }
    }
}
