//! Before the state is known: what the event alone tells, and what it tells together with
//! the constants of its connection.
//!
//! Shifts, MSS and ring sizes change only by OPEN and SET, which the next event of the flow
//! waits for. So what is made of them here is right however many events of the flow are
//! still under way.

use super::flow::*;
use crate::channels::{CLASS_FAST, Event, KIND_CMD, KIND_HC, KIND_RX, KIND_TX};
use crate::interface::Opcode;
use hallux_hdl::prelude::*;

/// What an event is.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Decoded {
    /// The event.
    pub event: Event,
    /// The design point has the flow id.
    pub exists: Bit,
    /// It has, and the event concerns the connection: it reads and may write its state.
    /// Frames for the control plane, frames to skip and raw frames keep their place in the
    /// order only.
    pub writes: Bit,
    /// A segment of the fast path.
    pub receives: Bit,
    /// It reports bytes that the peer holds out of order, or is only such a report.
    pub reports: Bit,
    /// A grant of the scheduler.
    pub grants: Bit,
    /// A delayed acknowledgement has waited long enough.
    pub reminds: Bit,
    /// A descriptor of the application.
    pub controls: Bit,
    /// A state command, or the note of a lost read.
    pub commands: Bit,
    /// That note.
    pub loses: Bit,
    /// A command that may change constants of the connection: OPEN or SET.
    pub installs: Bit,
    /// The segment carries a FIN.
    pub fin: Bit,
    /// The segment carries payload or a FIN.
    pub has_text: Bit,
    /// SEG.SEQ plus the payload.
    pub end: Bits<32>,
    /// A descriptor's bumps fit the largest ring, and it does not finish the stream.
    pub plain_bumps: Bit,
}

/// An event with all that does not depend on the changing state.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Work {
    /// The event and what it is.
    pub decoded: Decoded,
    /// The segment's timestamps count.
    pub timed: Bit,
    /// The segment's Congestion Experienced mark counts.
    pub marked: Bit,
    /// The MSS lets data out at all.
    pub sends_bytes: Bit,
    /// The segment's window in bytes.
    pub window: Bits<32>,
    /// SEG.ACK plus that window.
    pub edge: Bits<32>,
    /// SEG.ACK plus the transmit ring.
    pub limit: Bits<32>,
    /// What an event in order adds to `rx_avail`.
    pub rx_delta: Bits<25>,
    /// What a descriptor or the grant of a full segment adds to `tx_avail`.
    pub tx_delta: Bits<25>,
}

/// Takes an event apart; `exists` says that the design point has its flow id.
#[hdl_fn]
pub fn decode(event: Event, exists: Bit) -> Decoded {
    let connected = event.class == bits::<2>(CLASS_FAST);
    let fin = event.flags.get_bit(0);
    let commands = connected & (event.kind == bits::<2>(KIND_CMD));
    let arrives = connected & (event.kind == bits::<2>(KIND_RX));
    let receives = arrives & !event.report;
    Decoded {
        event,
        exists,
        writes: connected & exists,
        receives,
        reports: arrives & event.sack.count.any(),
        grants: connected & (event.kind == bits::<2>(KIND_TX)) & !event.flags.get_bit(0),
        reminds: connected & (event.kind == bits::<2>(KIND_TX)) & event.flags.get_bit(0),
        controls: connected & (event.kind == bits::<2>(KIND_HC)),
        commands,
        loses: commands & (event.flags == bits::<8>(Opcode::ReadLost as u64)),
        installs: commands
            & ((event.flags == bits::<8>(Opcode::Open as u64))
                | (event.flags == bits::<8>(Opcode::Set as u64))),
        fin,
        has_text: event.payload_len.any() | fin,
        end: event.seq + bit_cast::<32, 14>(event.payload_len),
        plain_bumps: !event.seq.get_bits::<7>(25).any() & !event.ack.get_bits::<7>(25).any() & !fin,
    }
}

/// Adds what follows from the constants of the connection.
#[hdl_fn]
pub fn prepare(decoded: Decoded, flow: Flow) -> Work {
    let event = decoded.event;
    let window = event.window << flow.send_shift;
    let mss = bit_cast::<25, 14>(flow.mss);
    Work {
        decoded,
        timed: flow.ts_on & event.ts_present,
        marked: flow.ecn & event.ce,
        sends_bytes: flow.mss.any(),
        window,
        edge: event.ack + window,
        limit: event.ack + wide(ring_bytes(flow.tx_log2)),
        rx_delta: if decoded.receives {
            bits::<25>(0) - bit_cast::<25, 14>(event.payload_len)
        } else if decoded.controls {
            bit_cast::<25, 32>(event.seq)
        } else {
            bits::<25>(0)
        },
        tx_delta: if decoded.controls {
            bit_cast::<25, 32>(event.ack)
        } else {
            bits::<25>(0) - mss
        },
    }
}
