//! A segment arrives: the transition for received frames.

use super::flow::*;
use crate::channels::Event;
use crate::interface::notice;
use hallux_hdl::prelude::*;

/// The sending side after an acceptable acknowledgement.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
struct Acknowledged {
    /// New state.
    flow: Flow,
    /// New data was acknowledged.
    fresh: Bit,
    /// The third duplicate ACK: the flow rewound.
    rewinds: Bit,
}

/// The receiving side after acceptable text.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
struct Placed {
    /// New state.
    flow: Flow,
    /// Bytes go to the ring.
    place: Bit,
    /// Receive-ring position of the first of them.
    rx_pos: Bits<32>,
    /// Their offset in the payload.
    offset: Bits<14>,
    /// How many.
    length: Bits<14>,
    /// Bytes newly in order.
    advance: Bits<25>,
    /// The peer's FIN was taken.
    finished: Bit,
}

/// Acknowledgement and window of an acceptable segment whose ACK is not old.
#[hdl_fn]
fn acknowledge(flow: Flow, event: Event, fresh: Bit) -> Acknowledged {
    let window = event.window << flow.send_shift;
    let no_text = !event.payload_len.any() & !event.flags.get_bit(0);
    // RFC 5681 §2: what counts as a duplicate.
    let counts = !fresh
        & (flow.snd_max != flow.snd_una)
        & no_text
        & (window == flow.snd_wnd)
        & !flow.recovering;
    let rewinds = counts & (flow.dupacks == bits::<2>(2));
    let back = rewound(flow);

    // After a rewind the peer may acknowledge what was about to be sent again.
    let jumps = fresh & precedes(flow.snd_nxt, event.ack);
    let skipped = event.ack - flow.snd_nxt;
    // An ACK that advances SND.UNA is newer than all before it, whatever its SEG.SEQ.
    let updates = fresh | !precedes(event.seq, flow.snd_wl1);
    let recovered = fresh & !precedes(event.ack, flow.recover);

    let after = Flow {
        snd_una: if fresh { event.ack } else { flow.snd_una },
        snd_nxt: if jumps {
            event.ack
        } else if rewinds {
            back.snd_nxt
        } else {
            flow.snd_nxt
        },
        tx_pos: if jumps {
            flow.tx_pos + skipped
        } else if rewinds {
            back.tx_pos
        } else {
            flow.tx_pos
        },
        tx_avail: if jumps {
            flow.tx_avail - bit_cast::<25, 32>(skipped)
        } else if rewinds {
            back.tx_avail
        } else {
            flow.tx_avail
        },
        dupacks: if fresh | rewinds {
            bits::<2>(0)
        } else if counts {
            flow.dupacks + bits::<2>(1)
        } else {
            flow.dupacks
        },
        recovering: (flow.recovering & !recovered) | rewinds,
        recover: if rewinds { flow.snd_max } else { flow.recover },
        snd_wnd: if updates { window } else { flow.snd_wnd },
        snd_wl1: if updates { event.seq } else { flow.snd_wl1 },
        ..flow
    };
    Acknowledged {
        flow: after,
        fresh,
        rewinds,
    }
}

/// Payload and FIN of an acceptable segment, before the peer's FIN was taken. The sending
/// side of the state passes unchanged.
#[hdl_fn]
fn text(flow: Flow, event: Event) -> Placed {
    let behind = precedes(event.seq, flow.rcv_nxt);
    let ahead = event.seq - flow.rcv_nxt;
    let past = flow.rcv_nxt - event.seq;
    // Cut off what was received before, and what the ring cannot hold.
    let front = if behind {
        bit_cast::<14, 32>(past)
    } else {
        bits::<14>(0)
    };
    let start = if behind {
        bits::<25>(0)
    } else {
        bit_cast::<25, 32>(ahead)
    };
    let rest = event.payload_len - front;
    let space = flow.rx_avail - start;
    let fits = bit_cast::<25, 14>(rest) <= space;
    let length = if fits {
        rest
    } else {
        bit_cast::<14, 25>(space)
    };
    let end = start + bit_cast::<25, 14>(length);

    // The out-of-order interval as offsets from RCV.NXT.
    let held = flow.ooo_len.any();
    let held_start = bit_cast::<25, 32>(flow.ooo_start - flow.rcv_nxt);
    let held_end = held_start + flow.ooo_len;
    let touches = held & (start <= held_end) & (held_start <= end);
    let furthest = if touches & (held_end > end) {
        held_end
    } else {
        end
    };

    let in_order = !start.any();
    let advance = if in_order { furthest } else { bits::<25>(0) };
    let finished = in_order & event.flags.get_bit(0) & fits & (advance == end);

    // Out of order: start the interval, or grow it.
    let keeps = !in_order & length.any() & (touches | !held);
    let low = if touches & (held_start < start) {
        held_start
    } else {
        start
    };
    let clears = in_order & (touches | finished);

    let after = Flow {
        rcv_nxt: flow.rcv_nxt + bit_cast::<32, 25>(advance) + bit_cast::<32, 1>(bit(finished)),
        rx_pos: flow.rx_pos + bit_cast::<32, 25>(advance),
        rx_avail: flow.rx_avail - advance,
        rx_fin: flow.rx_fin | finished,
        ooo_start: if keeps {
            flow.rcv_nxt + bit_cast::<32, 25>(low)
        } else {
            flow.ooo_start
        },
        ooo_len: if clears {
            bits::<25>(0)
        } else if keeps {
            furthest - low
        } else {
            flow.ooo_len
        },
        ..flow
    };
    Placed {
        flow: after,
        place: length.any() & (in_order | keeps),
        rx_pos: flow.rx_pos + bit_cast::<32, 25>(start),
        offset: front,
        length,
        advance,
        finished,
    }
}

/// Some octet of the segment, or the segment itself if it has none, is in the window. With
/// a closed window a segment at RCV.NXT still counts, for the sake of its ACK.
#[hdl_fn]
fn in_window(flow: Flow, event: Event) -> Bit {
    let ahead = event.seq - flow.rcv_nxt;
    let past = flow.rcv_nxt - event.seq;
    let length =
        bit_cast::<32, 14>(event.payload_len) + bit_cast::<32, 1>(event.flags.get_bits::<1>(0));
    let space = bit_cast::<32, 25>(flow.rx_avail);
    if ahead.get_bit(31) {
        past < length
    } else {
        !ahead.any() | (ahead < space) | (!length.any() & (ahead == space))
    }
}

/// The transition for a segment of the fast path at clock tick `tick` (1.024 µs).
#[hdl_fn]
pub fn receive(flow: Flow, event: Event, tick: Bits<32>) -> Step {
    let has_text = event.payload_len.any() | event.flags.get_bit(0);
    let timed = flow.ts_on & event.ts_present;

    // Where SEG.ACK lies.
    let acked = event.ack - flow.snd_una;
    let duplicate = !acked.any();
    let fresh = !duplicate & (acked <= flow.snd_max - flow.snd_una);
    let old = !duplicate & !fresh & acked.get_bit(31);
    let unsent = !duplicate & !fresh & !acked.get_bit(31);

    // RFC 7323 §5, then RFC 9293 §3.10.7.4.
    let paws = timed & precedes(event.ts_val, flow.ts_recent);
    let acceptable = flow.open & !paws & in_window(flow, event) & !unsent & !(flow.opening & old);

    let acknowledged = acknowledge(flow, event, fresh);
    let placed = text(flow, event);
    let takes_ack = acceptable & !old;
    let takes_text = acceptable & has_text & !flow.rx_fin;
    let stamps = acceptable & timed & !precedes(flow.last_ack_sent, event.seq);

    let sender = if takes_ack { acknowledged.flow } else { flow };
    let receiver = if takes_text { placed.flow } else { flow };
    let after = Flow {
        opening: flow.opening & !acceptable,
        ts_recent: if stamps { event.ts_val } else { flow.ts_recent },
        rcv_nxt: receiver.rcv_nxt,
        rx_pos: receiver.rx_pos,
        rx_avail: receiver.rx_avail,
        rx_fin: receiver.rx_fin,
        ooo_start: receiver.ooo_start,
        ooo_len: receiver.ooo_len,
        ..sender
    };

    let advances = takes_ack & fresh;
    let established = flow.opening & acceptable;
    let rewinds = takes_ack & acknowledged.rewinds;
    let finished = takes_text & placed.finished;
    let echoed = advances & event.flags.get_bit(6) & flow.ecn;
    let arrives = takes_text & placed.advance.any();
    // Round trip: the clock now less the clock that the peer echoes (RFC 7323 §4.1).
    let sample = tick + flow.ts_offset - event.ts_ecr + bits::<32>(1);
    let echo = event.ce & flow.ecn;

    Step {
        flow: after,
        stale: !flow.open,
        send: flow.open & (has_text | !acceptable),
        flags: if echo {
            bits::<8>(ACK | ECE)
        } else {
            bits::<8>(ACK)
        },
        place: takes_text & placed.place,
        rx_pos: placed.rx_pos,
        place_offset: bit_cast::<14, 8>(event.payload_offset) + placed.offset,
        place_len: placed.length,
        notify: advances | established | rewinds | finished | arrives,
        rx_bump: if takes_text {
            bit_cast::<32, 25>(placed.advance)
        } else {
            bits::<32>(0)
        },
        tx_bump: if advances { acked } else { bits::<32>(0) },
        notice_flags: (if finished {
            bits::<8>(notice::PEER_FINISHED as u64)
        } else {
            bits::<8>(0)
        }) | (if established {
            bits::<8>(notice::ESTABLISHED as u64)
        } else {
            bits::<8>(0)
        }) | (if rewinds {
            bits::<8>(notice::FAST_RETRANSMIT as u64)
        } else {
            bits::<8>(0)
        }) | (if echoed {
            bits::<8>(notice::ECN_ECHO as u64)
        } else {
            bits::<8>(0)
        }),
        rtt: if advances & timed {
            sample
        } else {
            bits::<32>(0)
        },
        offer: flow.open,
        ..Step::default()
    }
}
