//! One event of one connection: choice of the transition, and the segment it emits.

use super::command::command;
use super::flow::*;
use super::receive::receive;
use super::transmit::{grant, host_control};
use crate::channels::{
    CLASS_DROP, CLASS_FAST, CLASS_SLOW, Event, KIND_CMD, KIND_HC, KIND_RX, KIND_TX, Outcome,
};
use hallux_hdl::prelude::*;

/// Next state and result of one event.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Transition {
    /// Next state.
    pub flow: Flow,
    /// What goes to post.
    pub outcome: Outcome,
    /// The event met a closed flow id or another generation.
    pub stale: Bit,
}

/// The window that a segment sent from a state may carry.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
struct Window {
    /// Window field.
    field: Bits<16>,
    /// Bytes from RCV.NXT to the right edge that it names and the ring backs.
    bytes: Bits<32>,
    /// Bytes from RCV.NXT to the right edge advertised so far.
    advertised: Bits<32>,
}

/// The free ring rounded down to the scale's unit, or up where that would retract the
/// advertised right edge (RFC 7323 §2.4).
#[hdl_fn]
fn window(flow: Flow) -> Window {
    let free = advertisable(flow.rx_avail, flow.receive_shift);
    let whole = free & !unit_mask(flow.receive_shift);
    let distance = flow.rcv_adv - flow.rcv_nxt;
    let advertised = if distance.get_bit(31) {
        bits::<32>(0)
    } else {
        distance
    };
    let retracts = bit_cast::<32, 25>(whole) < advertised;
    let units = (free >> flow.receive_shift) + bit_cast::<25, 1>(bit(retracts));
    let field = if units > bits::<25>(0xffff) {
        bits::<16>(0xffff)
    } else {
        bit_cast::<16, 25>(units)
    };
    let bytes = bit_cast::<32, 16>(field) << flow.receive_shift;
    Window {
        field,
        bytes: least(bytes, bit_cast::<32, 25>(free)),
        advertised,
    }
}

/// The window has opened so far that the peer should know at once (RFC 9293 §3.8.6.2.2):
/// by min(MSS, ring / 2), while less than twice that was left.
#[hdl_fn]
fn has_opened(flow: Flow, window: Window) -> Bit {
    let half = bit_cast::<32, 25>(ring_bytes(flow.rx_log2) >> 1);
    let step = least(bit_cast::<32, 14>(flow.mss), half);
    (window.advertised < (step << 1)) & (window.bytes >= window.advertised + step)
}

/// SEG.SEQ of a segment without data: SND.MAX, or the right edge of the peer's window
/// where that is less.
#[hdl_fn]
fn ack_seq(flow: Flow) -> Bits<32> {
    flow.snd_una + least(flow.snd_max - flow.snd_una, flow.snd_wnd)
}

/// Whether an event concerns a connection, rather than keeping its place in the order only:
/// frames for the control plane, frames to skip and raw frames have no connection.
#[hdl_fn]
pub fn concerns_connection(event: Event) -> Bit {
    event.class == bits::<2>(CLASS_FAST)
}

/// The whole transition at clock tick `tick` (1.024 µs). `exists` says that the design
/// point has the flow id; one that does not exist is always closed.
#[hdl_fn]
pub fn transition(flow: Flow, event: Event, tick: Bits<32>, exists: Bit) -> Transition {
    let connected = concerns_connection(event);
    let is_rx = event.kind == bits::<2>(KIND_RX);
    let is_hc = event.kind == bits::<2>(KIND_HC);
    let is_cmd = event.kind == bits::<2>(KIND_CMD);
    let raw = is_hc & (event.class == bits::<2>(CLASS_SLOW));

    let received = receive(flow, event, tick);
    let granted = grant(flow);
    let controlled = host_control(flow, event);
    let commanded = command(flow, event, exists);
    let step = if is_rx {
        received
    } else if event.kind == bits::<2>(KIND_TX) {
        granted
    } else if is_hc {
        controlled
    } else {
        commanded
    };

    let next = step.flow;
    let offered = window(next);
    let send = connected & (step.send | (step.send_if_opened & has_opened(next, offered)));
    let edge = next.rcv_nxt + offered.bytes;
    let emitted = Flow {
        rcv_adv: if precedes(next.rcv_adv, edge) {
            edge
        } else {
            next.rcv_adv
        },
        last_ack_sent: next.rcv_nxt,
        ..next
    };
    let ready = usable(next).any();
    let done = connected & step.done;
    let notify = connected & step.notify;
    let place = connected & step.place;
    let stale = connected & step.stale;
    let seq = if step.sequenced {
        step.seq
    } else {
        ack_seq(next)
    };
    let acknowledgement = if done { step.rcv_nxt } else { next.rcv_nxt };

    let outcome = Outcome {
        kind: event.kind,
        ticket: event.ticket,
        flow: event.flow,
        generation: if done {
            event.generation
        } else if connected & !stale {
            flow.generation
        } else {
            bits::<8>(0)
        },
        class: if is_rx & stale {
            bits::<2>(CLASS_DROP)
        } else {
            event.class
        },
        send: send | raw,
        seq: if send { seq } else { bits::<32>(0) },
        ack: if send | done {
            acknowledgement
        } else {
            bits::<32>(0)
        },
        window: if send { offered.field } else { bits::<16>(0) },
        flags: if send { step.flags } else { bits::<8>(0) },
        ts_on: send & flow.ts_on,
        ts_offset: if send { flow.ts_offset } else { bits::<32>(0) },
        ts_ecr: if send { next.ts_recent } else { bits::<32>(0) },
        length: if raw {
            event.frame_len
        } else if send {
            step.length
        } else {
            bits::<14>(0)
        },
        tx_pos: if send & step.length.any() {
            step.tx_pos
        } else {
            bits::<32>(0)
        },
        place,
        rx_pos: if place | done {
            step.rx_pos
        } else {
            bits::<32>(0)
        },
        place_offset: if place {
            step.place_offset
        } else {
            bits::<14>(0)
        },
        place_len: if place { step.place_len } else { bits::<14>(0) },
        frame_len: if is_rx {
            event.frame_len
        } else {
            bits::<14>(0)
        },
        notify,
        rx_bump: if notify | done {
            step.rx_bump
        } else {
            bits::<32>(0)
        },
        tx_bump: if notify | done {
            step.tx_bump
        } else {
            bits::<32>(0)
        },
        notice_flags: if notify {
            step.notice_flags
        } else {
            bits::<8>(0)
        },
        rtt: if notify { step.rtt } else { bits::<32>(0) },
        update: connected & (step.answer | (step.offer & ready)),
        ready: connected & step.offer & ready,
        done,
        opcode: if is_cmd { event.flags } else { bits::<8>(0) },
        status: if done { step.status } else { bits::<8>(0) },
        address: if raw { event.address } else { bits::<64>(0) },
    };
    Transition {
        flow: if send { emitted } else { next },
        outcome,
        stale,
    }
}
