//! Last step of the exact transition: the next state, and what follows from the event.

use super::extent::Extent;
use super::flow::*;
use super::intervals::{Slots, follow};
use super::relations::Relations;
use super::scoreboard::{self, View};
use super::verdict::Verdict;
use super::work::Work;
use crate::channels::Event;
use crate::interface::notice;
use hallux_hdl::prelude::*;

/// What follows from an event, before the window that is advertised is known.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Step {
    /// The event met a closed flow id or another generation.
    pub stale: Bit,
    /// Generation for the outcome.
    pub generation: Bits<8>,
    /// Emit a segment.
    pub send: Bit,
    /// Emit an acknowledgement if the window has opened far enough.
    pub send_if_opened: Bit,
    /// The segment is at `seq`; otherwise it is a pure acknowledgement.
    pub sequenced: Bit,
    /// SEG.SEQ.
    pub seq: Bits<32>,
    /// TCP flags of the segment.
    pub flags: Bits<8>,
    /// Payload bytes of the segment.
    pub length: Bits<14>,
    /// Place received payload.
    pub place: Bit,
    /// Sequence number of its first byte.
    pub place_seq: Bits<32>,
    /// Byte offset of it in the frame.
    pub place_offset: Bits<14>,
    /// Bytes to place.
    pub place_len: Bits<14>,
    /// Post a notification.
    pub notify: Bit,
    /// Bytes newly readable.
    pub rx_bump: Bits<25>,
    /// Bytes newly acknowledged.
    pub tx_bump: Bits<32>,
    /// Notification flags.
    pub notice_flags: Bits<8>,
    /// The notification is that of a lost read.
    pub read_lost: Bit,
    /// Take a round-trip sample.
    pub samples: Bit,
    /// A delayed acknowledgement begins to wait.
    pub waits: Bit,
    /// Tell the scheduler if the flow can send.
    pub offer: Bit,
    /// Tell the scheduler also if it cannot.
    pub answer: Bit,
    /// One unit of the windows sent, less one byte.
    pub unit: Bits<25>,
    /// The most that a window field can say, in bytes.
    pub most: Bits<32>,
    /// A connection was opened.
    pub opens: Bit,
    /// A command completed.
    pub done: Bit,
    /// Command: `interface::Status`.
    pub status: Bits<8>,
}

/// The state after an event and what follows from it.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Settled {
    /// Next state.
    pub live: Live,
    /// What follows.
    pub step: Step,
    /// The intervals held out of order.
    pub slots: Slots,
    /// They are new.
    pub moves_slots: Bit,
    /// The intervals that the peer reported.
    pub board: Slots,
    /// They are new.
    pub moves_board: Bit,
}

/// A freshly opened connection from the operands of OPEN; `options` is word 0 of the
/// staged words (`OpenWords::encode`). SACK is used where the design point `sacks`.
#[hdl_fn]
fn opened(event: Event, sacks: u64) -> Live {
    let options = event.address;
    let mut sack: Bit = false;
    if sacks > 0 {
        sack = options.get_bit(29);
    }
    let rx_log2 = options.get_bits::<5>(32);
    let tx_log2 = options.get_bits::<5>(40);
    Live {
        flow: Flow {
            open: true,
            opening: options.get_bit(26),
            generation: event.generation,
            snd_una: event.ack,
            snd_nxt: event.ack,
            edge: event.ack + event.window,
            tx_avail: bits::<25>(0),
            // The control plane saw a segment that ended just before RCV.NXT.
            snd_wl1: event.seq - bits::<32>(1),
            rcv_nxt: event.seq,
            rx_avail: ring_bytes(rx_log2),
            free: ring_bytes(tx_log2),
            gaps: false,
            fin_held: false,
            ts_recent: event.ts_val,
            dupacks: bits::<2>(0),
            recovering: false,
            recover: bits::<32>(0),
            mends: false,
            high_rxt: bits::<32>(0),
            sacked: false,
            tx_fin: false,
            rx_fin: false,
            iss: event.ack,
            irs: event.seq,
            send_shift: options.get_bits::<4>(16),
            receive_shift: options.get_bits::<4>(20),
            mss: options.get_bits::<14>(0),
            ts_on: options.get_bit(24),
            ts_offset: event.ts_ecr,
            ecn: options.get_bit(25),
            delays: options.get_bit(27),
            sack,
            owes: false,
            owed: bits::<14>(0),
            ce: false,
            rx_log2,
            tx_log2,
        },
        room: event.window,
        released: event.ack,
        unread: bits::<25>(0),
    }
}

/// One bit of a set of flags.
#[hdl_fn]
fn flag_if(condition: Bit, flag: u64) -> Bits<8> {
    if condition {
        bits::<8>(flag)
    } else {
        bits::<8>(0)
    }
}

/// Bytes are held out of order.
#[hdl_fn]
fn keeps(extent: Extent) -> Bit {
    extent.takes_text & !extent.in_order & extent.length.any() & extent.meeting.room
}

/// A segment leaves that pays what acknowledgement is owed. A window update acknowledges as
/// well but does not count: whether it leaves depends on the advertised edge, which the state
/// does not wait for.
#[hdl_fn]
fn acknowledges(flow: Flow, work: Work, verdict: Verdict, extent: Extent) -> Bit {
    (work.decoded.receives & (work.decoded.has_text | !verdict.acceptable) & !extent.waits)
        | (work.decoded.grants & (extent.bytes.any() | extent.hole.fills))
        | (work.decoded.reminds & flow.owes)
        | extent.probes
}

/// The next state of a connection that stays open.
#[hdl_fn]
fn moved(live: Live, work: Work, relations: Relations, verdict: Verdict, extent: Extent) -> Live {
    let flow = live.flow;
    let event = work.decoded.event;
    let advances = verdict.takes_ack & verdict.fresh;
    let sends = work.decoded.grants & flow.open;
    let bumps = work.decoded.controls & flow.open & relations.same_generation;

    let furthest = extent.meeting.high;
    let arrives = extent.takes_text & extent.in_order;
    let keeps = keeps(extent);
    // Nothing can follow the FIN.
    let holds = keeps
        | (flow.gaps
            & !extent.finished
            & (extent.meeting.others | !(arrives & extent.meeting.touches)));
    let bare = !extent.length.any() & extent.meeting.touches;
    let holds_fin = extent.ends & !extent.in_order & (keeps | bare);
    let stamps = verdict.acceptable & work.timed & extent.renews;
    let pays = acknowledges(flow, work, verdict, extent);
    let goes_on = flow.recovering & !(advances & relations.recovers);

    let after = Flow {
        opening: flow.opening & !verdict.acceptable,
        snd_una: if advances { event.ack } else { flow.snd_una },
        snd_nxt: if extent.rewinds {
            flow.snd_una
        } else if extent.jumps {
            event.ack
        } else if sends {
            flow.snd_nxt + wide(extent.bytes)
        } else {
            flow.snd_nxt
        },
        edge: if extent.updates | verdict.sets {
            extent.edge
        } else {
            flow.edge
        },
        tx_avail: if extent.rewinds {
            flow.tx_avail + bit_cast::<25, 32>(relations.in_flight)
        } else if extent.jumps {
            flow.tx_avail - bit_cast::<25, 32>(relations.skipped)
        } else if sends {
            flow.tx_avail - extent.bytes
        } else if bumps {
            flow.tx_avail + verdict.released
        } else {
            flow.tx_avail
        },
        snd_wl1: if extent.updates {
            event.seq
        } else {
            flow.snd_wl1
        },
        rcv_nxt: if arrives {
            flow.rcv_nxt + wide(furthest) + bit_cast::<32, 1>(bit(extent.finished))
        } else {
            flow.rcv_nxt
        },
        rx_avail: if arrives {
            flow.rx_avail - furthest
        } else if bumps {
            flow.rx_avail + verdict.consumed
        } else {
            flow.rx_avail
        },
        free: if advances {
            bit_cast::<25, 32>(work.limit - live.released)
        } else if bumps {
            flow.free - verdict.released
        } else {
            flow.free
        },
        gaps: holds,
        fin_held: (flow.fin_held & !extent.finished) | holds_fin,
        ts_recent: if stamps { event.ts_val } else { flow.ts_recent },
        dupacks: if advances | extent.rewinds | extent.mends {
            bits::<2>(0)
        } else if verdict.takes_ack & verdict.duplicate {
            flow.dupacks + bits::<2>(1)
        } else {
            flow.dupacks
        },
        recovering: goes_on | extent.rewinds | extent.mends,
        recover: if extent.rewinds | extent.mends {
            flow.snd_una + relations.outstanding
        } else {
            flow.recover
        },
        mends: (goes_on & flow.mends & !extent.rewinds) | extent.mends,
        high_rxt: if extent.mends {
            flow.snd_una
        } else if flow.mends & advances & relations.passes {
            event.ack
        } else if extent.hole.skips {
            extent.hole.to
        } else if extent.hole.fills {
            flow.high_rxt + bit_cast::<32, 14>(extent.hole.bytes)
        } else {
            flow.high_rxt
        },
        // The peer may have dropped what it reported (RFC 2018 §8).
        sacked: if extent.rewinds {
            false
        } else if advances {
            extent.reports | (flow.sacked & extent.remain)
        } else {
            extent.reports | flow.sacked
        },
        tx_fin: flow.tx_fin | (bumps & event.flags.get_bit(0) & verdict.released.any()),
        rx_fin: flow.rx_fin | extent.finished,
        owes: extent.waits | (flow.owes & !pays),
        owed: if extent.waits {
            event.payload_len
        } else if pays {
            bits::<14>(0)
        } else {
            flow.owed
        },
        ce: if extent.takes_text {
            work.marked
        } else {
            flow.ce
        },
        send_shift: if verdict.sets {
            event.address.get_bits::<4>(16)
        } else {
            flow.send_shift
        },
        ..flow
    };
    Live {
        flow: after,
        room: if extent.rewinds {
            relations.snd_wnd
        } else if extent.jumps {
            work.window
        } else if extent.updates | verdict.sets {
            extent.room
        } else if sends {
            live.room - wide(extent.bytes)
        } else {
            live.room
        },
        released: if bumps {
            live.released + wide(verdict.released)
        } else {
            live.released
        },
        unread: if arrives {
            live.unread + furthest
        } else if bumps {
            live.unread - verdict.consumed
        } else {
            live.unread
        },
    }
}

/// The whole transition, from what the steps before have found.
#[allow(clippy::too_many_arguments)] // What each step before has found, by its name.
#[hdl_fn]
pub fn settle(
    live: Live,
    work: Work,
    relations: Relations,
    verdict: Verdict,
    extent: Extent,
    slots: Slots,
    board: Slots,
    view: View,
    sacks: u64,
) -> Settled {
    let flow = live.flow;
    let event = work.decoded.event;
    let receives = work.decoded.receives;
    let grants = work.decoded.grants;
    let controls = work.decoded.controls;
    let commands = work.decoded.commands;

    let stays = moved(live, work, relations, verdict, extent);
    let closed = Live {
        flow: Flow {
            open: false,
            ..stays.flow
        },
        ..stays
    };
    let next = if verdict.opens {
        opened(event, sacks)
    } else if verdict.closes {
        closed
    } else {
        stays
    };

    let advances = verdict.takes_ack & verdict.fresh;
    let established = flow.opening & verdict.acceptable;
    let answers =
        receives & flow.open & (work.decoded.has_text | !verdict.acceptable) & !extent.waits;
    let reminded = work.decoded.reminds & flow.open & flow.owes;
    let arrives = extent.takes_text & extent.in_order;
    let furthest = extent.meeting.high;
    let places = extent.takes_text & extent.length.any() & (extent.in_order | extent.meeting.room);
    let bumps = flow.open & relations.same_generation;
    let stale = ((receives | grants | work.decoded.reminds) & !flow.open) | (controls & !bumps);

    // The last byte of a finished stream stands for the FIN.
    let again = grants & flow.open & extent.hole.fills;
    let sends = again | (grants & flow.open & extent.bytes.any());
    let fin = extent.all & flow.tx_fin;
    let length = if again {
        extent.hole.bytes
    } else {
        bit_cast::<14, 25>(extent.bytes) - bit_cast::<14, 1>(bit(fin))
    };
    let push = extent.all & length.any();
    let recovers = receives & (extent.rewinds | extent.mends);

    let connected = receives | grants | work.decoded.reminds | controls | commands;
    let good = commands & !verdict.status.any();
    let lost = good & work.decoded.loses;
    let shift = if verdict.opens {
        event.address.get_bits::<4>(20)
    } else {
        flow.receive_shift
    };
    let step = Step {
        stale,
        generation: if commands {
            event.generation
        } else if connected & !stale {
            flow.generation
        } else {
            bits::<8>(0)
        },
        send: answers | sends | reminded | extent.probes,
        send_if_opened: controls & bumps & !flow.opening & !flow.rx_fin,
        sequenced: grants | commands,
        seq: if again {
            flow.high_rxt
        } else if grants {
            flow.snd_nxt
        } else {
            flow.snd_una - bits::<32>(1)
        },
        flags: bits::<8>(ACK)
            // The mark of what waits goes with whatever acknowledges it.
            | flag_if((answers & work.marked) | (flow.owes & flow.ce), ECE)
            | flag_if(sends & fin, FIN)
            | flag_if(sends & push, PSH),
        length: if sends { length } else { bits::<14>(0) },
        place: places,
        place_seq: if relations.ahead.get_bit(31) {
            flow.rcv_nxt
        } else {
            event.seq
        },
        place_offset: bit_cast::<14, 8>(event.payload_offset) + verdict.front,
        place_len: extent.length,
        notify: lost
            | advances
            | established
            | recovers
            | extent.finished
            | (arrives & furthest.any()),
        rx_bump: if arrives { furthest } else { bits::<25>(0) },
        tx_bump: if advances {
            relations.acked
        } else {
            bits::<32>(0)
        },
        notice_flags: flag_if(extent.finished, notice::PEER_FINISHED as u64)
            | flag_if(established, notice::ESTABLISHED as u64)
            | flag_if(recovers, notice::FAST_RETRANSMIT as u64)
            | flag_if(
                advances & event.flags.get_bit(6) & flow.ecn,
                notice::ECN_ECHO as u64,
            ),
        read_lost: lost,
        samples: advances & work.timed,
        waits: extent.waits,
        offer: (receives & flow.open)
            | (grants & flow.open)
            | (controls & bumps)
            | (good & !verdict.reads & !verdict.closes),
        answer: grants & flow.open,
        unit: unit_mask(shift),
        most: widest_window(shift),
        opens: verdict.opens,
        done: commands & !work.decoded.loses,
        status: if commands & !work.decoded.loses {
            verdict.status
        } else {
            bits::<8>(0)
        },
    };
    let keeps = keeps(extent);
    Settled {
        live: next,
        step,
        slots: follow(slots, flow, extent.meeting, keeps, arrives, extent.finished),
        moves_slots: keeps | extent.finished | (arrives & extent.meeting.touches),
        board: scoreboard::follow(
            board,
            view,
            extent.reported,
            event.ack,
            advances,
            extent.reports,
        ),
        moves_board: extent.reports | (advances & flow.sacked),
    }
}
