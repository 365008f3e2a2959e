//! State commands of the control plane.

use super::flow::*;
use crate::channels::Event;
use crate::interface::{Opcode, Status};
use hallux_hdl::prelude::*;

/// A freshly opened connection from the operands of OPEN; `options` is word 0 of the
/// staged words (`OpenWords::encode`).
#[hdl_fn]
fn opened(event: Event) -> Flow {
    let options = event.address;
    let receive_shift = options.get_bits::<4>(20);
    let rx_log2 = options.get_bits::<5>(32);
    let rx_avail = ring_bytes(rx_log2);
    // The SYN's window field is never scaled (RFC 7323 §2.2).
    let offered = least(
        bit_cast::<32, 25>(advertisable(rx_avail, receive_shift)),
        bits::<32>(0xffff),
    );
    Flow {
        open: true,
        opening: options.get_bit(26),
        generation: event.generation,
        snd_una: event.ack,
        snd_nxt: event.ack,
        snd_max: event.ack,
        tx_pos: bits::<32>(0),
        tx_avail: bits::<25>(0),
        snd_wnd: event.window,
        snd_wl1: event.seq - bits::<32>(1),
        rcv_nxt: event.seq,
        rx_pos: bits::<32>(0),
        rx_avail,
        rcv_adv: event.seq + offered,
        ooo_start: bits::<32>(0),
        ooo_len: bits::<25>(0),
        ts_recent: event.ts_val,
        last_ack_sent: event.seq,
        dupacks: bits::<2>(0),
        recovering: false,
        recover: bits::<32>(0),
        tx_fin: false,
        rx_fin: false,
        send_shift: options.get_bits::<4>(16),
        receive_shift,
        mss: options.get_bits::<14>(0),
        ts_on: options.get_bit(24),
        ts_offset: event.ts_ecr,
        ecn: options.get_bit(25),
        rx_log2,
        tx_log2: options.get_bits::<5>(40),
    }
}

/// The transition for a command on a flow id; `exists` says that the design point has it.
#[hdl_fn]
pub fn command(flow: Flow, event: Event, exists: Bit) -> Step {
    let opens = event.flags == bits::<8>(Opcode::Open as u64);
    let closes = event.flags == bits::<8>(Opcode::Close as u64);
    let reads = event.flags == bits::<8>(Opcode::Read as u64);
    let retransmits = event.flags == bits::<8>(Opcode::Retransmit as u64);
    let sets = event.flags == bits::<8>(Opcode::Set as u64);

    let known = opens | closes | reads | retransmits | sets;
    let live = flow.open & (event.generation == flow.generation);
    let status = if !exists | !known {
        bits::<8>(Status::Invalid as u64)
    } else if opens & flow.open {
        bits::<8>(Status::AlreadyOpen as u64)
    } else if !opens & !live {
        bits::<8>(Status::Stale as u64)
    } else {
        bits::<8>(Status::Ok as u64)
    };
    let good = !status.any();

    let outstanding = flow.snd_max != flow.snd_una;
    let times_out = retransmits & !flow.opening;
    // A probe asks for the peer's state: it is old there, so it is answered (RFC 9293
    // §3.8.6.1), and it carries no byte that could be lost.
    let probes = times_out & (!outstanding | !flow.snd_wnd.any());
    let set = Flow {
        snd_wnd: event.window,
        send_shift: event.address.get_bits::<4>(16),
        ..flow
    };
    let changed = if opens {
        opened(event)
    } else if times_out & outstanding {
        rewound(flow)
    } else if sets {
        set
    } else {
        flow
    };
    let after = if closes { Flow::default() } else { changed };
    let in_flight = changed.snd_nxt - changed.snd_una;
    Step {
        flow: if good { after } else { flow },
        send: good & probes,
        sequenced: true,
        seq: flow.snd_una - bits::<32>(1),
        flags: bits::<8>(ACK),
        rx_pos: if good { changed.snd_una } else { bits::<32>(0) },
        rx_bump: if good { in_flight } else { bits::<32>(0) },
        tx_bump: if good {
            bit_cast::<32, 25>(changed.tx_avail)
        } else {
            bits::<32>(0)
        },
        offer: good & !reads & !closes,
        done: true,
        rcv_nxt: if good { changed.rcv_nxt } else { bits::<32>(0) },
        status,
        ..Step::default()
    }
}
