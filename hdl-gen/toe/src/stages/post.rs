//! Post: what an outcome means for the host's memory, the wire and the scheduler.
//!
//! Adds to each outcome what its connection keeps outside of TCP state (addresses, headers,
//! rings, context), and hands the parts to the stages that carry them out.
//!
//! ```text
//!  s_connection ─────► connections (RAM)
//!                           │
//!              read         ▼        build             ┌──────────────┐
//!  s ─Outcome─► outcome ─► addresses, headers, record ─┼─► actions ───┼─Action──────► m_action
//!                                                      ├─► reads ─────┼─ReadRequest─► m_read
//!                                                      └─► updates ───┼─Update──────► m_update
//!                                                                     └ FIFOs
//! ```
//!
//! Latency 2 clocks, 1 of them in the FIFOs; initiation interval 1. `s_ready` is given only while
//! every FIFO has room for all that may be under way: an outcome reaches all of its
//! destinations or waits whole, and no FIFO's output is waited for in the same clock.
//!
//! State: the [`Connection`] slice of each flow id. OPEN writes it before its event enters
//! the arbiter; nobody else does. An outcome that means nothing to anyone ends here.

use crate::channels::{
    Action, CLASS_SLOW, Connection, ConnectionWrite, Header, KIND_HC, KIND_RX, Notice, Outcome,
    ReadRequest, Update,
};
use crate::interface::{CONTROL_CONTEXT, RecordKind, notice as flags};
use crate::stages::cut::ring_mask;
use crate::stages::protocol::flow::ACK;
use hallux_hdl::prelude::*;

/// Words of each output FIFO.
const DEPTH: usize = 16;
/// Words that may be under way to a FIFO when its level is read, with one spare.
const UNDER_WAY: usize = 3;

/// A connection's slice as it is kept.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Slice {
    /// The slice.
    pub connection: Connection,
    /// The bits of a position that lie within the receive ring.
    pub rx_mask: Bits<25>,
    /// Within the transmit ring.
    pub tx_mask: Bits<25>,
}

/// See the [module](self).
#[derive(LogicBlock, Default)]
pub struct Post {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset. The connections' slices survive it.
    pub rst: Signal<In, Bit>,
    /// Outcomes of the protocol stage.
    pub s: StreamSink<Outcome>,
    /// Slices of opened connections; taken at once.
    pub s_connection: StreamSink<ConnectionWrite>,
    /// To payload write: frames, records, headers.
    pub m_action: StreamSource<Action>,
    /// To payload read: ranges to transmit.
    pub m_read: StreamSource<ReadRequest>,
    /// To the scheduler.
    pub m_update: StreamSource<Update>,
    /// Nothing is held inside.
    pub idle: Signal<Out, Bit>,

    connections: Ram<Slice, 16>,
    outcome: DFF<Outcome>,
    outcome_valid: DFF<Bit>,
    actions: Fifo<Action>,
    reads: Fifo<ReadRequest>,
    updates: Fifo<Update>,
    /// Every outcome finds room.
    room: Assert,
}

impl Post {
    /// A stage for flow ids `0..connections`, 2 to 65536.
    pub fn new(connections: usize) -> Self {
        Self {
            connections: Ram::new(connections),
            actions: Fifo::new(DEPTH)
                .with_almost_full(UNDER_WAY)
                .with_output(FifoOutput::Forward),
            reads: Fifo::new(DEPTH)
                .with_almost_full(UNDER_WAY)
                .with_output(FifoOutput::Forward),
            updates: Fifo::new(DEPTH)
                .with_almost_full(UNDER_WAY)
                .with_output(FifoOutput::Forward),
            room: Assert::new("every FIFO has room for every outcome"),
            ..Default::default()
        }
    }
}

/// A free-running position in a ring: bytes from the ring's start.
#[hdl_fn]
fn ring_offset(position: Bits<32>, mask: Bits<25>) -> Bits<25> {
    bit_cast::<25, 32>(position) & mask
}

/// Bytes from a position to the end of the ring.
#[hdl_fn]
fn ring_room(position: Bits<32>, mask: Bits<25>) -> Bits<25> {
    (!bit_cast::<25, 32>(position) & mask) + bits::<25>(1)
}

/// The outcome has something for payload write.
#[hdl_fn]
pub fn makes_action(outcome: Outcome) -> Bit {
    (outcome.kind == bits::<2>(KIND_RX)) | outcome.notify | outcome.done | outcome.send
}

/// The outcome has something for payload read.
#[hdl_fn]
pub fn makes_read(outcome: Outcome) -> Bit {
    outcome.send & outcome.length.any()
}

/// The outcome has something for the scheduler. It learns of descriptors when they enter
/// the protocol stage (see `group`).
#[hdl_fn]
pub fn makes_update(outcome: Outcome) -> Bit {
    outcome.update & (outcome.kind != bits::<2>(KIND_HC))
}

/// The record of an outcome: of a command to the control plane, else to the flow's context.
#[hdl_fn]
fn notice(outcome: Outcome, connection: Connection) -> Notice {
    // Bytes acknowledged with ECN echo.
    let echoed = (outcome.notice_flags & bits::<8>(flags::ECN_ECHO as u64)).any();
    let marked = if echoed & !outcome.done {
        outcome.tx_bump
    } else {
        bits::<32>(0)
    };
    // Commands carry SND.UNA and the bytes in flight; SND.NXT follows.
    let snd_nxt = outcome.rx_pos + outcome.rx_bump;
    Notice {
        context: if outcome.done {
            bits::<8>(CONTROL_CONTEXT as u64)
        } else {
            connection.context
        },
        kind: if outcome.done {
            bits::<8>(RecordKind::CommandDone as u64)
        } else {
            bits::<8>(RecordKind::Update as u64)
        },
        rx_bump: outcome.rx_bump,
        tx_bump: outcome.tx_bump,
        opaque: if outcome.done {
            cat::<32, 32, 64>(outcome.ack, snd_nxt)
        } else {
            connection.opaque
        },
        flow: outcome.flow,
        generation: outcome.generation,
        flags: outcome.notice_flags,
        length: marked.get_bits::<16>(0),
        opcode: outcome.opcode | marked.get_bits::<8>(16),
        status: outcome.status | marked.get_bits::<8>(24),
        value: if outcome.done {
            outcome.rx_pos
        } else {
            outcome.rtt
        },
        read_lost: outcome.read_lost,
        ticket: outcome.ticket,
    }
}

/// The headers of an outcome's segment. Only data of an ECN flow is marked ECT(0), never a
/// pure acknowledgement (RFC 3168 §6.1.4).
#[hdl_fn]
fn header(outcome: Outcome, connection: Connection, raw: Bit) -> Header {
    let capable = connection.ecn & outcome.length.any() & !raw;
    Header {
        ticket: outcome.ticket,
        flow: outcome.flow,
        generation: outcome.generation,
        raw,
        remote_mac: connection.remote_mac,
        local_ip: connection.local_ip,
        remote_ip: connection.remote_ip,
        local_port: connection.local_port,
        remote_port: connection.remote_port,
        seq: outcome.seq,
        ack: outcome.ack,
        window: outcome.window,
        flags: outcome.flags,
        ts_on: outcome.ts_on,
        ts_offset: outcome.ts_offset,
        ts_ecr: outcome.ts_ecr,
        sack: outcome.sack,
        ecn: if capable { bits::<2>(2) } else { bits::<2>(0) },
        length: outcome.length,
        plain_ack: (outcome.kind == bits::<2>(KIND_RX))
            & outcome.notify
            & outcome.rx_bump.any()
            & (outcome.flags == bits::<8>(ACK))
            & !outcome.sack.count.any()
            & !outcome.length.any(),
    }
}

impl Logic for Post {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, outcome, outcome_valid);
        self.connections.clk.next = self.clk.val();
        self.actions.clk.next = self.clk.val();
        self.actions.rst.next = self.rst.val();
        self.reads.clk.next = self.clk.val();
        self.reads.rst.next = self.rst.val();
        self.updates.clk.next = self.clk.val();
        self.updates.rst.next = self.rst.val();

        self.s_connection.ready.next = true;
        self.connections.write_enable.next = self.s_connection.valid.val();
        self.connections.write_address.next = self.s_connection.data.val().flow;
        let opened = self.s_connection.data.val().connection;
        self.connections.write_data.next = Slice {
            connection: opened,
            rx_mask: ring_mask::<25>(opened.rx_log2),
            tx_mask: ring_mask::<25>(opened.tx_log2),
        };

        // Read.
        let room = !self.actions.almost_full.val()
            & !self.reads.almost_full.val()
            & !self.updates.almost_full.val();
        let takes = room & self.s.valid.val();
        self.s.ready.next = room;
        self.connections.read_address.next = self.s.data.val().flow;
        self.outcome_valid.d.next = takes;
        if takes {
            self.outcome.d.next = self.s.data.val();
        }

        // Build.
        let valid = self.outcome_valid.q.val();
        let outcome = self.outcome.q.val();
        let slice = self.connections.read_data.val();
        let connection = slice.connection;
        let is_rx = outcome.kind == bits::<2>(KIND_RX);
        let is_slow = outcome.class == bits::<2>(CLASS_SLOW);
        let raw = (outcome.kind == bits::<2>(KIND_HC)) & is_slow;
        let records = outcome.notify | outcome.done;

        let rx_mask = slice.rx_mask;
        let rx_offset = ring_offset(outcome.rx_pos, rx_mask);
        self.actions.s.data.next = Action {
            ticket: outcome.ticket,
            flow: outcome.flow,
            frame: is_rx,
            frame_len: outcome.frame_len,
            place: outcome.place,
            slow: is_rx & is_slow,
            place_offset: outcome.place_offset,
            place_len: outcome.place_len,
            address: connection.rx_base + bit_cast::<64, 25>(rx_offset),
            room: ring_room(outcome.rx_pos, rx_mask),
            ring: connection.rx_base,
            notify: records,
            notice: notice(outcome, connection),
            send: outcome.send,
            header: header(outcome, connection, raw),
        };
        self.actions.s.valid.next = valid & makes_action(outcome);

        // A raw frame lies where its descriptor says, in no ring.
        let tx_mask = if raw { bits::<25>(0) } else { slice.tx_mask };
        let tx_base = if raw {
            outcome.address
        } else {
            connection.tx_base
        };
        let tx_offset = ring_offset(outcome.tx_pos, tx_mask);
        let behind = if raw {
            bits::<25>(0x1ff_fffe)
        } else {
            !bit_cast::<25, 32>(outcome.tx_pos) & tx_mask
        };
        self.reads.s.data.next = ReadRequest {
            ticket: outcome.ticket,
            flow: outcome.flow,
            address: tx_base + bit_cast::<64, 25>(tx_offset),
            room: behind + bits::<25>(1),
            ring: connection.tx_base,
            length: outcome.length,
        };
        self.reads.s.valid.next = valid & makes_read(outcome);

        self.updates.s.data.next = Update {
            flow: outcome.flow,
            ready: outcome.ready,
        };
        self.updates.s.valid.next = valid & makes_update(outcome);

        self.room.clk.next = self.clk.val();
        self.room.holds.next = self.rst.val()
            | !valid
            | (self.actions.s.ready.val() & self.reads.s.ready.val() & self.updates.s.ready.val());
        self.m_action.data.next = self.actions.m.data.val();
        self.m_action.valid.next = self.actions.m.valid.val();
        self.actions.m.ready.next = self.m_action.ready.val();
        self.m_read.data.next = self.reads.m.data.val();
        self.m_read.valid.next = self.reads.m.valid.val();
        self.reads.m.ready.next = self.m_read.ready.val();
        self.m_update.data.next = self.updates.m.data.val();
        self.m_update.valid.next = self.updates.m.valid.val();
        self.updates.m.ready.next = self.m_update.ready.val();

        self.idle.next = !valid
            & !self.actions.level.val().any()
            & !self.reads.level.val().any()
            & !self.updates.level.val().any();
        if self.rst.val() {
            self.outcome_valid.d.next = false;
        }
    }
}
