//! One test a rule of `docs/data-path.md`, "TCP rules of `protocol`".

use super::*;
use hallux_toe::interface::{OpenWords, notice};

const ISS: u32 = 1000;
const IRS: u32 = 5000;
const MSS: u32 = 1448;

fn open_words() -> OpenWords {
    OpenWords {
        timestamps: true,
        ecn: true,
        mss: MSS as u16,
        rx_log2: 16,
        tx_log2: 16,
        snd_nxt: ISS,
        rcv_nxt: IRS,
        window: 60_000,
        ts_recent: 77,
        ts_offset: 500,
        ..OpenWords::default()
    }
}

fn opened(words: &OpenWords) -> State {
    let command = Event::Command {
        generation: 3,
        command: Command::Open(words.into()),
    };
    let (state, outcome) = transition(&State::default(), &command, 0);
    assert_eq!(outcome.completion.unwrap().status, Status::Ok);
    state
}

/// A connection that has sent `segments` full segments and released nothing more.
fn sending(segments: u32) -> State {
    let mut state = opened(&open_words());
    release(&mut state, segments * MSS);
    for _ in 0..segments {
        apply(&mut state, &Event::Transmit);
    }
    state
}

fn apply(state: &mut State, event: &Event) -> Outcome {
    let (next, outcome) = transition(state, event, 0);
    *state = next;
    outcome
}

fn release(state: &mut State, bytes: u32) -> Outcome {
    let event = Event::HostControl {
        generation: 3,
        rx_bump: 0,
        tx_bump: bytes,
        finish: false,
    };
    apply(state, &event)
}

fn consume(state: &mut State, bytes: u32) -> Outcome {
    let event = Event::HostControl {
        generation: 3,
        rx_bump: bytes,
        tx_bump: 0,
        finish: false,
    };
    apply(state, &event)
}

/// A segment at `seq` past RCV.NXT's start that acknowledges `ack` bytes.
fn segment(seq: i32, len: u16, ack: i32) -> Received {
    Received {
        seq: SeqNumber(IRS.wrapping_add_signed(seq)),
        ack: SeqNumber(ISS.wrapping_add_signed(ack)),
        flags: flags::ACK,
        window: 60_000,
        timestamps: Some((80, 0)),
        sack: [None; MAX_SACK_BLOCKS],
        congestion_experienced: false,
        payload_len: len,
    }
}

fn receive(state: &mut State, segment: Received) -> Outcome {
    apply(state, &Event::Receive(segment))
}

#[test]
fn in_order_data_is_placed_announced_and_acknowledged() {
    let mut s = opened(&open_words());
    let o = receive(&mut s, segment(0, 100, 0));
    assert_eq!(
        o.place,
        Some(Placement {
            rx_pos: RingPosition(0),
            offset: 0,
            length: 100
        })
    );
    assert_eq!(o.notify.unwrap().rx_bump, 100);
    let ack = o.send.unwrap();
    assert_eq!(
        (ack.seq.0, ack.ack.0, ack.flags),
        (ISS, IRS + 100, flags::ACK)
    );
    assert_eq!((ack.window, ack.ts_ecr), (65535 - 99, 80));
}

#[test]
fn a_closed_flow_counts_the_event_and_skips_the_frame() {
    let mut s = State::default();
    let o = receive(&mut s, segment(0, 100, 0));
    assert!(o.stale);
    assert_eq!(o.frame_class(), FrameClass::Drop);
    assert!(release(&mut s, 5).stale);
    assert_eq!(s, State::default());
}

#[test]
fn paws_answers_an_old_timestamp_and_ignores_the_segment() {
    let mut s = sending(1);
    let before = s;
    let o = receive(
        &mut s,
        Received {
            timestamps: Some((76, 0)),
            ..segment(0, 10, MSS as i32)
        },
    );
    assert!(o.send.is_some() && o.place.is_none() && o.notify.is_none());
    assert_eq!(
        (s.rcv_nxt, s.snd_una, s.ts_recent),
        (before.rcv_nxt, before.snd_una, 77)
    );
    // Without the option the segment is handled.
    let o = receive(
        &mut s,
        Received {
            timestamps: None,
            ..segment(0, 10, MSS as i32)
        },
    );
    assert!(o.place.is_some());
    assert_eq!((s.ts_recent, o.notify.unwrap().rtt), (77, 0));
}

#[test]
fn an_ack_of_unsent_data_is_answered_and_ignored() {
    let mut s = sending(1);
    let o = receive(&mut s, segment(0, 10, MSS as i32 + 1));
    assert!(o.send.is_some() && o.place.is_none());
    assert_eq!(s.snd_una.0, ISS);
}

#[test]
fn data_under_an_old_ack_is_taken_but_not_its_window() {
    let mut s = sending(2);
    receive(&mut s, segment(0, 0, MSS as i32));
    let o = receive(
        &mut s,
        Received {
            window: 1,
            ..segment(0, 10, 0)
        },
    );
    assert_eq!(o.notify.unwrap().rx_bump, 10);
    assert_eq!(s.snd_wnd, 60_000);
}

#[test]
fn a_pure_ack_is_not_answered() {
    let mut s = sending(1);
    let o = receive(&mut s, segment(0, 0, MSS as i32));
    assert_eq!(o.send, None);
    assert_eq!(o.notify.unwrap().tx_bump, MSS);
}

#[test]
fn the_third_duplicate_ack_rewinds_once() {
    let mut s = sending(3);
    receive(&mut s, segment(0, 0, 0));
    receive(&mut s, segment(0, 0, 0));
    assert_eq!(s.snd_nxt.0, ISS + 3 * MSS);
    let o = receive(&mut s, segment(0, 0, 0));
    assert_eq!(o.notify.unwrap().flags, notice::FAST_RETRANSMIT);
    assert_eq!(o.ready, Some(true));
    assert_eq!((s.snd_nxt.0, s.tx_avail, s.tx_pos.0), (ISS, 3 * MSS, 0));
    apply(&mut s, &Event::Transmit);
    for _ in 0..4 {
        assert_eq!(receive(&mut s, segment(0, 0, 0)).notify, None);
    }
    assert_eq!(s.snd_nxt.0, ISS + MSS);
    // The peer had the rest: SND.NXT jumps, and recovery is over.
    let o = receive(&mut s, segment(0, 0, 3 * MSS as i32));
    assert_eq!(o.notify.unwrap().tx_bump, 3 * MSS);
    assert_eq!(
        (s.snd_nxt.0, s.tx_avail, s.tx_pos.0),
        (ISS + 3 * MSS, 0, 3 * MSS)
    );
    assert!(!s.recovering);
}

#[test]
fn no_duplicate_without_outstanding_data_or_with_payload_or_a_new_window() {
    let mut idle = opened(&open_words());
    let mut busy = sending(2);
    for window in [1u16, 2, 3, 4] {
        receive(&mut idle, segment(0, 0, 0));
        receive(
            &mut busy,
            Received {
                window,
                ..segment(0, 0, 0)
            },
        );
    }
    for i in 0..4 {
        receive(&mut busy, segment(10 * i, 10, 0));
    }
    assert_eq!((idle.dupacks, busy.dupacks, busy.recovering), (0, 0, false));
}

#[test]
fn windows_are_scaled_and_follow_wl1() {
    let mut s = opened(&OpenWords {
        send_shift: 3,
        ..open_words()
    });
    receive(
        &mut s,
        Received {
            window: 10,
            ..segment(20, 0, 0)
        },
    );
    assert_eq!(s.snd_wnd, 80);
    // Older than the last update.
    receive(
        &mut s,
        Received {
            window: 99,
            ..segment(5, 5, 0)
        },
    );
    assert_eq!(s.snd_wnd, 80);
    // Out of order and newer.
    receive(
        &mut s,
        Received {
            window: 30,
            ..segment(40, 5, 0)
        },
    );
    assert_eq!(s.snd_wnd, 240);
}

#[test]
fn one_interval_grows_at_both_ends_and_closes() {
    let mut s = opened(&open_words());
    assert_eq!(
        receive(&mut s, segment(100, 50, 0)).place.unwrap().rx_pos.0,
        100
    );
    assert!(receive(&mut s, segment(150, 50, 0)).place.is_some()); // abuts right
    assert!(receive(&mut s, segment(80, 40, 0)).place.is_some()); // overlaps left
    let o = receive(&mut s, segment(300, 10, 0)); // a second hole
    assert!(o.place.is_none());
    assert_eq!(o.send.unwrap().ack.0, IRS);
    assert_eq!((s.held[0].start.0, s.held[0].len), (IRS + 80, 120));
    let o = receive(&mut s, segment(0, 90, 0));
    assert_eq!(o.notify.unwrap().rx_bump, 200);
    assert_eq!(
        (s.rcv_nxt.0, s.held[0].len, s.rx_pos.0),
        (IRS + 200, 0, 200)
    );
}

#[test]
fn four_intervals_are_held_joined_and_taken_along() {
    let mut s = opened(&open_words());
    s.intervals = 4;
    for start in [100, 200, 300, 400] {
        assert!(receive(&mut s, segment(start, 50, 0)).place.is_some());
    }
    assert!(receive(&mut s, segment(600, 10, 0)).place.is_none(), "full");
    // Joins the second and the third, which frees a slot.
    assert!(receive(&mut s, segment(250, 50, 0)).place.is_some());
    assert_eq!(s.held().count(), 3);
    assert!(receive(&mut s, segment(600, 10, 0)).place.is_some());
    // In order up to the first: the others stay.
    let o = receive(&mut s, segment(0, 100, 0));
    assert_eq!(o.notify.unwrap().rx_bump, 150);
    let o = receive(&mut s, segment(150, 60, 0));
    assert_eq!(o.notify.unwrap().rx_bump, 200);
    let mut left: Vec<_> = s
        .held()
        .map(|held| (held.start.0 - IRS, held.len))
        .collect();
    left.sort_unstable();
    assert_eq!(left, [(400, 50), (600, 10)]);
}

#[test]
fn without_an_interval_everything_out_of_order_is_dropped() {
    let mut s = opened(&open_words());
    s.intervals = 0;
    let o = receive(&mut s, segment(100, 50, 0));
    assert!(o.place.is_none());
    assert_eq!(o.send.unwrap().ack.0, IRS);
    assert_eq!(
        receive(&mut s, segment(0, 50, 0)).notify.unwrap().rx_bump,
        50
    );
}

#[test]
fn a_segment_is_trimmed_to_the_window_at_both_ends() {
    let mut s = opened(&OpenWords {
        rx_log2: 13,
        ..open_words()
    });
    receive(&mut s, segment(0, 8000, 0));
    let o = receive(&mut s, segment(7990, 1000, 0));
    let placed = o.place.unwrap();
    assert_eq!(
        (placed.rx_pos.0, placed.offset, placed.length),
        (8000, 10, 192)
    );
    assert_eq!(o.send.unwrap().window, 0);
    // Window closed: nothing is placed, but the ACK counts.
    release(&mut s, 10);
    apply(&mut s, &Event::Transmit);
    let o = receive(&mut s, segment(8192, 1, 10));
    assert_eq!((o.place, o.notify.unwrap().tx_bump), (None, 10));
    assert_eq!(o.send.unwrap().ack.0, IRS + 8192);
}

#[test]
fn old_segments_and_probes_are_answered() {
    let mut s = opened(&open_words());
    receive(&mut s, segment(0, 100, 0));
    assert_eq!(
        receive(&mut s, segment(0, 100, 0)).send.unwrap().ack.0,
        IRS + 100
    );
    assert_eq!(
        receive(&mut s, segment(99, 0, 0)).send.unwrap().ack.0,
        IRS + 100
    );
}

fn fin(seq: i32, len: u16) -> Received {
    Received {
        flags: flags::ACK | flags::FIN,
        ..segment(seq, len, 0)
    }
}

#[test]
fn a_fin_is_taken_when_all_before_it_is_there_and_acknowledged_again() {
    let mut s = opened(&open_words());
    // Behind a gap, with bytes before it or alone behind bytes that are held; alone behind a gap
    // it comes again.
    assert_eq!(receive(&mut s, fin(100, 0)).notify, None);
    assert!(!s.fin_held);
    for held in [&[fin(50, 50)][..], &[segment(50, 50, 0), fin(100, 0)]] {
        let mut s = s;
        for segment in held {
            let o = receive(&mut s, *segment);
            assert_eq!((o.send.unwrap().ack.0, o.notify), (IRS, None));
        }
        assert!(s.fin_held && !s.rx_fin);
        let o = receive(&mut s, segment(0, 30, 0));
        assert_eq!(o.notify.unwrap().flags, 0);
        let o = receive(&mut s, segment(30, 20, 0));
        let finished = Notification {
            rx_bump: 70,
            flags: notice::PEER_FINISHED,
            ..Notification::default()
        };
        assert_eq!(o.notify.unwrap(), finished);
        assert_eq!(o.send.unwrap().ack.0, IRS + 101);
        assert!(s.rx_fin && !s.fin_held);
    }
    receive(&mut s, segment(0, 50, 0));
    let o = receive(&mut s, fin(50, 50));
    assert_eq!(o.notify.unwrap().flags, notice::PEER_FINISHED);
    assert_eq!(o.send.unwrap().ack.0, IRS + 101);
    let o = receive(&mut s, fin(50, 50));
    assert_eq!((o.send.unwrap().ack.0, o.notify), (IRS + 101, None));
    // Data after the FIN is ignored.
    let o = receive(&mut s, segment(101, 10, 0));
    assert_eq!((o.place, o.send.unwrap().ack.0), (None, IRS + 101));
}

#[test]
fn our_fin_is_the_last_released_byte_and_retransmits_like_data() {
    let mut s = opened(&open_words());
    let finish = Event::HostControl {
        generation: 3,
        rx_bump: 0,
        tx_bump: 11,
        finish: true,
    };
    apply(&mut s, &finish);
    let sent = apply(&mut s, &Event::Transmit).send.unwrap();
    assert_eq!(
        (sent.length, sent.flags),
        (10, flags::ACK | flags::PSH | flags::FIN)
    );
    assert_eq!(s.snd_max.0, ISS + 11);
    receive(&mut s, segment(0, 0, 10));
    let retransmit = Event::Command {
        generation: 3,
        command: Command::Retransmit,
    };
    apply(&mut s, &retransmit);
    let sent = apply(&mut s, &Event::Transmit).send.unwrap();
    assert_eq!(
        (sent.seq.0, sent.length, sent.flags),
        (ISS + 10, 0, flags::ACK | flags::FIN)
    );
    assert_eq!(
        receive(&mut s, segment(0, 0, 11)).notify.unwrap().tx_bump,
        1
    );
    // Nothing can be released behind a FIN.
    assert_eq!(release(&mut s, 5).ready, None);
}

#[test]
fn a_grant_sends_what_ring_window_and_mss_allow() {
    let mut s = opened(&OpenWords {
        window: 2000,
        ..open_words()
    });
    assert_eq!(release(&mut s, 5000).ready, Some(true));
    let o = apply(&mut s, &Event::Transmit);
    assert_eq!(o.send.unwrap().length, MSS as u16);
    assert_eq!((o.send.unwrap().flags, o.ready), (flags::ACK, Some(true)));
    let o = apply(&mut s, &Event::Transmit);
    assert_eq!(
        (o.send.unwrap().length, o.ready),
        (2000 - MSS as u16, Some(false))
    );
    let o = apply(&mut s, &Event::Transmit);
    assert_eq!((o.send, o.ready), (None, Some(false)));
    // The peer takes back part of its window.
    let o = receive(
        &mut s,
        Received {
            window: 500,
            ..segment(0, 0, 0)
        },
    );
    assert_eq!((s.usable(), o.ready), (0, None));
}

#[test]
fn bumps_are_clamped_to_the_rings() {
    let mut s = opened(&open_words());
    release(&mut s, u32::MAX);
    assert_eq!(s.tx_avail, 1 << 16);
    receive(&mut s, segment(0, 100, 0));
    consume(&mut s, u32::MAX);
    assert_eq!(s.rx_avail, 1 << 16);
}

#[test]
fn a_window_update_leaves_when_the_edge_can_move_by_a_segment() {
    let mut s = opened(&OpenWords {
        rx_log2: 13,
        ..open_words()
    });
    receive(&mut s, segment(0, 8000, 0));
    assert_eq!(consume(&mut s, MSS - 1).send, None);
    let update = consume(&mut s, 1).send.unwrap();
    assert_eq!(u32::from(update.window), 192 + MSS);
    // Plenty advertised: the next acknowledgement tells the rest.
    consume(&mut s, 4000);
    assert_eq!(consume(&mut s, 2000).send, None);
}

#[test]
fn a_scaled_window_does_not_retract_by_rounding() {
    let mut s = opened(&OpenWords {
        receive_shift: 5,
        rx_log2: 20,
        ..open_words()
    });
    let mut edge = 0;
    let mut seq = 0;
    while s.rx_avail > 3000 {
        let ack = receive(&mut s, segment(seq, 1447, 0)).send.unwrap();
        seq += 1447;
        let now = seq as u32 + (u32::from(ack.window) << 5);
        assert!(now <= 1 << 20, "beyond the ring");
        assert!(now + 31 >= edge, "retracted from {edge} to {now}");
        edge = edge.max(now);
    }
}

#[test]
fn a_timeout_rewinds_and_a_closed_window_is_probed() {
    let retransmit = Event::Command {
        generation: 3,
        command: Command::Retransmit,
    };
    let mut s = sending(2);
    let o = apply(&mut s, &retransmit);
    assert_eq!((o.send, o.ready, s.tx_avail), (None, Some(true), 2 * MSS));
    assert_eq!(o.completion.unwrap().unsent, 2 * MSS);

    let mut s = opened(&OpenWords {
        window: 0,
        ..open_words()
    });
    release(&mut s, 100);
    let probe = apply(&mut s, &retransmit).send.unwrap();
    assert_eq!((probe.seq.0, probe.length), (ISS - 1, 0));
}

#[test]
fn acknowledgements_after_a_rewind_carry_snd_max() {
    let mut s = sending(2);
    apply(
        &mut s,
        &Event::Command {
            generation: 3,
            command: Command::Retransmit,
        },
    );
    assert_eq!(
        receive(&mut s, segment(0, 1, 0)).send.unwrap().seq.0,
        ISS + 2 * MSS
    );
}

#[test]
fn a_passive_open_waits_for_the_first_acceptable_segment() {
    let mut s = opened(&OpenWords {
        opening: true,
        ..open_words()
    });
    assert_eq!(release(&mut s, 10).ready, None);
    assert_eq!(apply(&mut s, &Event::Transmit).send, None);
    let o = receive(&mut s, segment(0, 0, -1));
    assert!(o.notify.is_none() && s.opening);
    let o = receive(&mut s, segment(0, 0, 0));
    assert_eq!(o.notify.unwrap().flags, notice::ESTABLISHED);
    assert_eq!(o.ready, Some(true));
}

#[test]
fn a_round_trip_sample_is_one_more_than_the_ticks() {
    let mut s = sending(1);
    let at = |tick: u64| tick << 10;
    let ack = Received {
        timestamps: Some((80, 500 + 90)),
        ..segment(0, 0, MSS as i32)
    };
    let (next, o) = transition(&s, &Event::Receive(ack), at(100));
    s = next;
    assert_eq!(o.notify.unwrap().rtt, 11);
    // Nothing new acknowledged: no sample.
    assert_eq!(receive(&mut s, ack).notify, None);
}

#[test]
fn every_second_segment_is_acknowledged_at_once_where_acks_are_delayed() {
    let mut s = opened(&OpenWords {
        delayed_acks: true,
        ..open_words()
    });
    let o = receive(&mut s, segment(0, 100, 0));
    assert!(o.send.is_none() && o.owes);
    let o = receive(&mut s, segment(100, 100, 0));
    assert_eq!(o.send.unwrap().ack.0, IRS + 200);
    // Out of order, filling the gap, and what came before: at once.
    assert!(receive(&mut s, segment(300, 100, 0)).send.is_some());
    assert!(receive(&mut s, segment(200, 100, 0)).send.is_some());
    assert!(receive(&mut s, segment(350, 100, 0)).send.is_some());
    assert!(!s.owes_ack());
    // Data carries it, then there is nothing to be reminded of.
    assert!(receive(&mut s, segment(450, 10, 0)).owes);
    release(&mut s, 5);
    let o = apply(&mut s, &Event::Transmit);
    assert_eq!(o.send.unwrap().ack.0, IRS + 460);
    assert!(apply(&mut s, &Event::Remind).send.is_none());
    // The timer.
    assert!(receive(&mut s, segment(460, 10, 0)).owes);
    let o = apply(&mut s, &Event::Remind);
    assert_eq!(o.send.unwrap().ack.0, IRS + 470);
}

#[test]
fn a_change_of_the_mark_ends_the_delay_and_no_mark_is_lost() {
    let mut s = opened(&OpenWords {
        delayed_acks: true,
        ecn: true,
        ..open_words()
    });
    let marked = |seq| Received {
        congestion_experienced: true,
        ..segment(seq, 10, 0)
    };
    // The first mark is told at once, the next waits, its end is told with the echo it owes.
    let o = receive(&mut s, marked(0));
    assert_eq!(o.send.unwrap().flags, flags::ACK | flags::ECE);
    assert!(receive(&mut s, marked(10)).owes);
    let o = receive(&mut s, segment(20, 10, 0));
    assert_eq!(o.send.unwrap().flags, flags::ACK | flags::ECE);
    assert!(receive(&mut s, segment(30, 10, 0)).owes);
    let o = receive(&mut s, segment(40, 10, 0));
    assert_eq!(o.send.unwrap().flags, flags::ACK);
}

#[test]
fn congestion_is_echoed_segment_by_segment() {
    let mut s = sending(1);
    let marked = Received {
        congestion_experienced: true,
        ..segment(0, 1, 0)
    };
    assert_eq!(
        receive(&mut s, marked).send.unwrap().flags,
        flags::ACK | flags::ECE
    );
    assert_eq!(
        receive(&mut s, segment(1, 1, 0)).send.unwrap().flags,
        flags::ACK
    );
    let echo = Received {
        flags: flags::ACK | flags::ECE,
        ..segment(2, 0, MSS as i32)
    };
    assert_eq!(
        receive(&mut s, echo).notify.unwrap().flags,
        notice::ECN_ECHO
    );
}

#[test]
fn commands_check_flow_generation_and_opcode() {
    let mut c = Connections::new(2);
    let mut run = |flow, generation, command| {
        let o = c.apply(
            flow,
            &Event::Command {
                generation,
                command,
            },
            0,
        );
        (o.generation, o.completion.unwrap().status)
    };
    let open = Command::Open(Open::from(&open_words()));
    assert_eq!(run(2, 1, open), (1, Status::Invalid));
    assert_eq!(run(1, 1, Command::Read), (1, Status::Stale));
    assert_eq!(run(1, 1, open), (1, Status::Ok));
    assert_eq!(run(1, 2, open), (2, Status::AlreadyOpen));
    assert_eq!(run(1, 1, Command::Unknown(9)), (1, Status::Invalid));
    assert_eq!(run(1, 2, Command::Close), (2, Status::Stale));
    assert_eq!(
        run(
            1,
            1,
            Command::Set {
                window: 5,
                send_shift: 2
            }
        ),
        (1, Status::Ok)
    );
    assert_eq!(run(1, 1, Command::Close), (1, Status::Ok));
    assert_eq!(c.get(1), Some(&State::default()));
    assert_eq!(c.get(2), None);
}
