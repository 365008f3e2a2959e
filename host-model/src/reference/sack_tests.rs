//! One test a rule of SACK (RFC 2018, RFC 6675).

use super::*;
use hallux_toe::interface::{OpenWords, notice};

const ISS: u32 = 1000;
const IRS: u32 = 5000;
const MSS: u32 = 1000;

/// A connection of a design point with four intervals and SACK recovery.
fn opened() -> State {
    let words = OpenWords {
        sack: true,
        mss: MSS as u16,
        rx_log2: 16,
        tx_log2: 16,
        snd_nxt: ISS,
        rcv_nxt: IRS,
        window: 60_000,
        ..OpenWords::default()
    };
    let open = Open {
        intervals: 4,
        scoreboard: true,
        ..Open::from(&words)
    };
    State::open(3, &open)
}

fn apply(state: &mut State, event: &Event) -> Outcome {
    let (next, outcome) = transition(state, event, 0);
    *state = next;
    outcome
}

fn grant(state: &mut State) -> Option<Transmission> {
    apply(state, &Event::Transmit).send
}

/// A connection that has sent `segments` segments and has as many more to send.
fn sending(segments: u32) -> State {
    let mut state = opened();
    let release = Event::HostControl {
        generation: 3,
        rx_bump: 0,
        tx_bump: 2 * segments * MSS,
        finish: false,
    };
    apply(&mut state, &release);
    for _ in 0..segments {
        grant(&mut state);
    }
    state
}

/// A block from segment `left` to segment `right`.
fn block(left: u32, right: u32) -> SackBlock {
    SackBlock {
        left: SeqNumber(ISS + left * MSS),
        right: SeqNumber(ISS + right * MSS),
    }
}

/// The peer acknowledges `ack` segments and reports those from `left` to `right`.
fn report(ack: u32, left: u32, right: u32) -> Received {
    Received {
        seq: SeqNumber(IRS),
        ack: SeqNumber(ISS + ack * MSS),
        flags: flags::ACK,
        window: 60_000,
        sack: [Some(block(left, right)), None, None],
        ..Received::default()
    }
}

fn receive(state: &mut State, segment: Received) -> Outcome {
    apply(state, &Event::Receive(segment))
}

/// The segments sent again or anew, counted in segments from ISS on.
fn sent(state: &mut State, grants: usize) -> Vec<u32> {
    let sends = (0..grants).filter_map(|_| grant(state));
    sends.map(|t| (t.seq.0 - ISS) / MSS).collect()
}

#[test]
fn what_arrives_out_of_order_is_reported_the_newest_first() {
    let mut s = opened();
    let mut send = |start: u32, len: u16| {
        let segment = Received {
            seq: SeqNumber(IRS + start),
            ack: SeqNumber(ISS),
            flags: flags::ACK,
            window: 60_000,
            payload_len: len,
            ..Received::default()
        };
        let sack = receive(&mut s, segment).send.unwrap().sack;
        let blocks = sack.iter().flatten();
        blocks
            .map(|block| (block.left.0 - IRS, block.right.0 - IRS))
            .collect::<Vec<_>>()
    };
    assert_eq!(send(0, 100), []);
    assert_eq!(send(200, 100), [(200, 300)]);
    assert_eq!(send(600, 100), [(600, 700), (200, 300)]);
    assert_eq!(send(1000, 100), [(1000, 1100), (600, 700), (200, 300)]);
    // A block that grows comes first; the fourth does not fit beside timestamps.
    assert_eq!(send(300, 50), [(200, 350), (1000, 1100), (600, 700)]);
    assert_eq!(send(1400, 9), [(1400, 1409), (200, 350), (1000, 1100)]);
    // A fifth is dropped, and its acknowledgement still reports the others.
    assert_eq!(send(1800, 9), [(1400, 1409), (200, 350), (1000, 1100)]);
    assert_eq!(send(100, 100), [(1400, 1409), (1000, 1100), (600, 700)]);
    assert_eq!(send(350, 650), [(1400, 1409)]);
    assert_eq!(send(1100, 300), []);
}

#[test]
fn nothing_is_reported_without_agreement() {
    let mut s = State {
        sack: false,
        ..opened()
    };
    let segment = Received {
        seq: SeqNumber(IRS + 10),
        ack: SeqNumber(ISS),
        flags: flags::ACK,
        payload_len: 5,
        ..Received::default()
    };
    assert_eq!(receive(&mut s, segment).send.unwrap().sack, [None; 3]);
}

#[test]
fn the_third_duplicate_sends_the_holes_and_then_new_data() {
    let mut s = sending(10);
    // The first, the fourth and the fifth are lost.
    for right in 2..=3 {
        receive(&mut s, report(0, 1, right));
        assert!(!s.recovering);
    }
    let o = receive(&mut s, report(0, 5, 6));
    assert_eq!(o.notify.unwrap().flags, notice::FAST_RETRANSMIT);
    assert_eq!(
        (o.ready, s.recover, s.sack_recovery),
        (Some(true), s.snd_max, true)
    );
    assert_eq!(
        sent(&mut s, 2),
        [0],
        "the second grant passes what was reported"
    );
    assert_eq!(sent(&mut s, 5), [3, 4, 10, 11, 12]);
    // What is reported only now is a hole only now; each is sent once.
    receive(&mut s, report(0, 8, 9));
    assert_eq!(sent(&mut s, 4), [6, 7, 13]);
    // The recovery ends where the data outstanding at its beginning are acknowledged.
    receive(
        &mut s,
        Received {
            sack: [None; MAX_SACK_BLOCKS],
            ..report(9, 0, 0)
        },
    );
    assert!(s.recovering && s.sacked().next().is_none());
    receive(
        &mut s,
        Received {
            sack: [None; MAX_SACK_BLOCKS],
            ..report(10, 0, 0)
        },
    );
    assert!(!s.recovering && !s.sack_recovery);
}

#[test]
fn retransmissions_come_from_their_place_in_the_ring() {
    let mut s = sending(10);
    for right in 4..=7 {
        receive(&mut s, report(2, 3, right));
    }
    let again = grant(&mut s).unwrap();
    assert_eq!((again.seq.0 - ISS, again.length), (2 * MSS, MSS as u16));
    assert_eq!(again.tx_pos, RingPosition(2 * MSS));
    assert_eq!(s.tx_pos, RingPosition(10 * MSS));
}

#[test]
fn a_report_counts_as_a_duplicate_whatever_the_window() {
    let mut s = sending(6);
    for n in 0..3 {
        let window = 60_000 - n;
        receive(
            &mut s,
            Received {
                window,
                ..report(0, 1, 2 + u32::from(n))
            },
        );
    }
    assert!(s.sack_recovery);
}

#[test]
fn without_reports_everything_is_sent_again() {
    let mut s = sending(4);
    for _ in 0..3 {
        receive(
            &mut s,
            Received {
                sack: [None; MAX_SACK_BLOCKS],
                ..report(0, 0, 0)
            },
        );
    }
    assert!(s.recovering && !s.sack_recovery);
    assert_eq!(s.snd_nxt, s.snd_una);
}

#[test]
fn a_timeout_forgets_the_reports() {
    let mut s = sending(6);
    for right in 2..=4 {
        receive(&mut s, report(0, 1, right));
    }
    assert_eq!(sent(&mut s, 1), [0]);
    let timeout = Event::Command {
        generation: 3,
        command: Command::Retransmit,
    };
    apply(&mut s, &timeout);
    assert!(s.recovering && !s.sack_recovery && s.sacked().next().is_none());
    assert_eq!(sent(&mut s, 6), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn impossible_reports_are_ignored() {
    let mut s = sending(6);
    let before = s;
    let block = |left: u32, right: u32| Received {
        sack: [
            Some(SackBlock {
                left: SeqNumber(left),
                right: SeqNumber(right),
            }),
            None,
            None,
        ],
        ..report(0, 0, 0)
    };
    let end = ISS + 6 * MSS;
    for (left, right) in [
        (ISS, ISS + 5),
        (ISS - 10, ISS + 5),
        (ISS - 20, ISS - 10),
        (ISS + 20, ISS + 20),
        (ISS + 20, ISS + 10),
        (ISS + 20, end + 1),
        (ISS + 20, ISS + 20 + (1 << 31)),
        (end, end + 10),
        (ISS + (1 << 31), ISS + (1 << 31) + 10),
    ] {
        s = before;
        receive(&mut s, block(left, right));
        assert_eq!(s.sacked().next(), None, "{left} to {right}");
    }
    receive(&mut s, block(ISS + 20, end));
    assert_eq!(s.sacked().count(), 1);
}

#[test]
fn reports_are_joined_and_a_fifth_is_not_remembered() {
    let mut s = sending(20);
    for left in [2, 5, 8, 11, 14] {
        receive(&mut s, report(1, left, left + 1));
    }
    assert_eq!(s.sacked().count(), 4);
    receive(&mut s, report(1, 3, 8));
    let joined = s.sacked().map(|i| ((i.start.0 - ISS) / MSS, i.len / MSS));
    assert_eq!(joined.collect::<Vec<_>>(), [(2, 7), (11, 1)]);
}

/// What acknowledgements that were lost had reported.
#[test]
fn repeated_blocks_make_up_for_lost_acknowledgements() {
    let mut s = sending(10);
    // The first, the fourth and the sixth are lost, and the acknowledgements of the second to
    // the seventh as well.
    let repeats = Received {
        sack: [Some(block(6, 8)), Some(block(4, 5)), Some(block(1, 3))],
        ..report(0, 0, 0)
    };
    receive(&mut s, repeats);
    let known: Vec<_> = s
        .sacked()
        .map(|i| ((i.start.0 - ISS) / MSS, i.len / MSS))
        .collect();
    assert_eq!(known, [(1, 2), (4, 1), (6, 2)]);
    receive(&mut s, repeats);
    receive(&mut s, repeats);
    // A grant more for each interval that is passed.
    assert_eq!(sent(&mut s, 5), [0, 3, 5]);
}

/// A block about what was received twice comes first (RFC 2883); it says nothing of holes.
#[test]
fn a_recovery_begins_with_what_lies_behind_a_duplicate_block() {
    let mut s = sending(10);
    let acknowledges = Received {
        sack: [None; MAX_SACK_BLOCKS],
        ..report(2, 0, 0)
    };
    receive(&mut s, acknowledges);
    for _ in 0..3 {
        let duplicate = Received {
            sack: [Some(block(0, 1)), Some(block(4, 6)), None],
            ..report(2, 0, 0)
        };
        receive(&mut s, duplicate);
    }
    assert!(s.sack_recovery);
    assert_eq!(sent(&mut s, 2), [2, 3]);
}
