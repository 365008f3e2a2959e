//! Grants of the scheduler and descriptors of the application.

use super::flow::*;
use crate::channels::Event;
use hallux_hdl::prelude::*;

/// The transition for a grant: one segment of up to the MSS.
#[hdl_fn]
pub fn grant(flow: Flow) -> Step {
    let sendable = usable(flow);
    let mss = bit_cast::<25, 14>(flow.mss);
    let bytes = if sendable < mss { sendable } else { mss };
    let sends = flow.open & bytes.any();
    let all = bytes == flow.tx_avail;
    // The last byte of a finished stream stands for the FIN.
    let fin = all & flow.tx_fin;
    let length = bit_cast::<14, 25>(bytes) - bit_cast::<14, 1>(bit(fin));
    let nxt = flow.snd_nxt + bit_cast::<32, 25>(bytes);
    let after = Flow {
        snd_nxt: nxt,
        snd_max: if precedes(flow.snd_max, nxt) {
            nxt
        } else {
            flow.snd_max
        },
        tx_pos: flow.tx_pos + bit_cast::<32, 25>(bytes),
        tx_avail: flow.tx_avail - bytes,
        ..flow
    };
    Step {
        flow: if sends { after } else { flow },
        stale: !flow.open,
        send: sends,
        sequenced: true,
        seq: flow.snd_nxt,
        flags: bits::<8>(ACK)
            | (if fin { bits::<8>(FIN) } else { bits::<8>(0) })
            | (if all & length.any() {
                bits::<8>(PSH)
            } else {
                bits::<8>(0)
            }),
        length,
        tx_pos: flow.tx_pos,
        offer: flow.open,
        answer: flow.open,
        ..Step::default()
    }
}

/// The transition for a descriptor; bumps are clamped to the rings.
#[hdl_fn]
pub fn host_control(flow: Flow, event: Event) -> Step {
    let live = flow.open & (event.generation == flow.generation);
    let unread = ring_bytes(flow.rx_log2) - flow.rx_avail;
    let consumed = bit_cast::<25, 32>(least(event.seq, bit_cast::<32, 25>(unread)));
    // Nothing follows a FIN.
    let in_flight = bit_cast::<25, 32>(flow.snd_nxt - flow.snd_una);
    let free = ring_bytes(flow.tx_log2) - flow.tx_avail - in_flight;
    let fitting = bit_cast::<25, 32>(least(event.ack, bit_cast::<32, 25>(free)));
    let released = if flow.tx_fin { bits::<25>(0) } else { fitting };
    let after = Flow {
        rx_avail: flow.rx_avail + consumed,
        tx_avail: flow.tx_avail + released,
        tx_fin: flow.tx_fin | (event.flags.get_bit(0) & released.any()),
        ..flow
    };
    Step {
        flow: if live { after } else { flow },
        stale: !live,
        send_if_opened: live & !flow.opening & !flow.rx_fin,
        flags: bits::<8>(ACK),
        offer: live,
        ..Step::default()
    }
}
