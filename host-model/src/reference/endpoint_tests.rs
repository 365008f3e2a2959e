//! Two reference endpoints, back to back over a pipe that loses, duplicates and reorders.
//!
//! ```text
//!  application ─► ring ─► transition ─► segments in flight ─► transition ─► ring ─► application
//!                                       (lose, repeat, reorder)
//! ```
//!
//! Whatever happens on the way, both streams arrive byte for byte, FIN included, as soon
//! as the pipe behaves and the control plane's timeouts fire.

use super::*;
use hallux_toe::interface::{OpenWords, notice};
use proptest::prelude::*;

const GENERATION: u8 = 9;

/// A segment on the wire.
#[derive(Clone, Debug)]
struct Wire {
    header: Received,
    payload: Vec<u8>,
}

/// One end: a connection's state, its rings in host memory and its application.
struct Endpoint {
    state: State,
    tx_ring: Vec<u8>,
    rx_ring: Vec<u8>,
    /// The whole stream to send, and how much of it (FIN byte included) was released.
    stream: Vec<u8>,
    released: u32,
    acknowledged: u32,
    /// What the application was told of, and what it has read of that.
    readable: u32,
    received: Vec<u8>,
    peer_finished: bool,
    in_flight: Vec<Wire>,
}

impl Endpoint {
    fn new(stream: Vec<u8>, words: &OpenWords, intervals: u8, scoreboard: bool) -> Self {
        let open = Command::Open(Open {
            intervals,
            scoreboard,
            ..words.into()
        });
        let (state, _) = transition(
            &State::default(),
            &Event::Command {
                generation: GENERATION,
                command: open,
            },
            0,
        );
        Self {
            state,
            tx_ring: vec![0; 1 << words.tx_log2],
            rx_ring: vec![0; 1 << words.rx_log2],
            stream,
            released: 0,
            acknowledged: 0,
            readable: 0,
            received: Vec::new(),
            peer_finished: false,
            in_flight: Vec::new(),
        }
    }

    /// Applies an event, checks what must hold of every transition, and carries it out.
    fn apply(&mut self, event: &Event, payload: &[u8], now: u64) {
        let old = self.state;
        let (new, outcome) = transition(&old, event, now);
        self.state = new;
        assert!(!new.rcv_nxt.precedes(old.rcv_nxt), "RCV.NXT steps back");
        assert!(!new.snd_una.precedes(old.snd_una), "SND.UNA steps back");
        assert!(new.in_flight() <= new.snd_max - new.snd_una);
        assert!(new.tx_avail + new.in_flight() <= new.tx_ring());
        assert!(
            new.snd_max - new.snd_nxt <= new.tx_avail,
            "a rewound byte is lost"
        );
        assert!(new.rx_avail <= new.rx_ring());
        assert!(new.dupacks < 3);
        for held in new.held() {
            let start = held.start - new.rcv_nxt;
            assert!(start > 0 && start + held.len <= new.rx_avail);
        }

        let mut sacked: Vec<Interval> = new.sacked().copied().collect();
        sacked.sort_by_key(|interval| interval.start - new.snd_una);
        let mut behind = new.snd_una;
        for interval in sacked {
            assert!(behind.precedes(interval.start), "reports touch");
            behind = interval.start + interval.len;
        }
        assert!(
            !new.snd_max.precedes(behind),
            "a report of bytes never sent"
        );
        assert!(!new.sack_recovery || (new.recovering && new.snd_nxt == new.snd_max));
        assert!(!new.sack_recovery || !new.high_rxt.precedes(new.snd_una));

        if let Some(place) = outcome.place {
            for i in 0..u32::from(place.length) {
                let at = (place.rx_pos + i).offset(new.rx_log2);
                self.rx_ring[at as usize] = payload[usize::from(place.offset) + i as usize];
            }
        }
        if let Some(n) = outcome.notify {
            self.readable += n.rx_bump;
            self.acknowledged += n.tx_bump;
            if n.flags & notice::PEER_FINISHED != 0 {
                assert!(!self.peer_finished, "a FIN is announced twice");
                self.peer_finished = true;
            }
        }
        let outstanding = new.tx_avail + new.in_flight();
        assert_eq!(
            self.released,
            self.acknowledged + outstanding,
            "bytes to send"
        );
        assert_eq!(
            self.readable as usize,
            self.received.len() + (new.rx_ring() - new.rx_avail) as usize,
            "bytes received"
        );
        if let Some(t) = outcome.send {
            let end = t.seq + u32::from(t.length) + u32::from(t.flags & flags::FIN);
            assert!(
                t.length == 0 || end - old.snd_una <= old.snd_wnd,
                "beyond the window"
            );
            assert!(t.length <= old.mss);
            self.in_flight.push(self.wire(&t, now));
        }
    }

    fn wire(&self, t: &Transmission, now: u64) -> Wire {
        let payload = (0..u32::from(t.length))
            .map(|i| self.tx_ring[(t.tx_pos + i).offset(self.state.tx_log2) as usize])
            .collect();
        let ts_val = ((now >> 10) as u32).wrapping_add(t.ts_offset);
        Wire {
            header: Received {
                seq: t.seq,
                ack: t.ack,
                flags: t.flags,
                window: t.window,
                timestamps: t.ts_on.then_some((ts_val, t.ts_ecr)),
                sack: t.sack,
                congestion_experienced: false,
                payload_len: t.length,
            },
            payload,
        }
    }

    /// The application reads up to `read` bytes and writes up to `write`.
    fn application(&mut self, read: u32, write: u32, now: u64) {
        let unread = self.readable - self.received.len() as u32;
        let rx_bump = read.min(unread);
        for _ in 0..rx_bump {
            let at = RingPosition(self.received.len() as u32).offset(self.state.rx_log2);
            self.received.push(self.rx_ring[at as usize]);
        }
        // One byte behind the stream stands for the FIN.
        let total = self.stream.len() as u32 + 1;
        let free = self.state.tx_ring() - (self.released - self.acknowledged);
        let tx_bump = write.min(free).min(total - self.released);
        for i in 0..tx_bump {
            let at = RingPosition(self.released + i).offset(self.state.tx_log2);
            self.tx_ring[at as usize] = *self
                .stream
                .get((self.released + i) as usize)
                .unwrap_or(&0xff);
        }
        self.released += tx_bump;
        let finish = tx_bump > 0 && self.released == total;
        let event = Event::HostControl {
            generation: GENERATION,
            rx_bump,
            tx_bump,
            finish,
        };
        self.apply(&event, &[], now);
    }

    fn is_done(&self, peer: &Self) -> bool {
        self.acknowledged as usize == self.stream.len() + 1
            && self.peer_finished
            && self.received.len() == peer.stream.len()
    }
}

/// What happens next; `u16`s choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Deliver(bool, u16),
    Duplicate(bool, u16),
    Lose(bool, u16),
    Grant(bool),
    Application(bool, u16, u16),
    Timeout(bool),
    Remind(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (any::<bool>(), 0..4u16).prop_map(|(e, n)| Step::Deliver(e, n)),
        1 => (any::<bool>(), any::<u16>()).prop_map(|(e, n)| Step::Duplicate(e, n)),
        2 => (any::<bool>(), any::<u16>()).prop_map(|(e, n)| Step::Lose(e, n)),
        10 => any::<bool>().prop_map(Step::Grant),
        5 => (any::<bool>(), 0..9000u16, 0..9000u16)
            .prop_map(|(e, r, w)| Step::Application(e, r, w)),
        1 => any::<bool>().prop_map(Step::Timeout),
        1 => any::<bool>().prop_map(Step::Remind),
    ]
}

struct Pair {
    ends: [Endpoint; 2],
    now: u64,
}

impl Pair {
    /// Both ends hold `intervals` out of order; the second delays its acknowledgements. With
    /// SACK they agreed to it, and the first uses what the second reports.
    #[allow(clippy::too_many_arguments)]
    fn new(
        lengths: [usize; 2],
        seq: [u32; 2],
        shift: u8,
        timestamps: bool,
        ring: u8,
        intervals: u8,
        sack: bool,
    ) -> Self {
        let end = |i: usize| {
            let stream = (0..lengths[i])
                .map(|n| (n * 7 + n / 251 + i * 100) as u8)
                .collect();
            let words = OpenWords {
                timestamps,
                delayed_acks: i == 1,
                sack,
                send_shift: shift,
                receive_shift: shift,
                mss: if i == 0 { 1448 } else { 536 },
                rx_log2: ring,
                tx_log2: ring,
                snd_nxt: seq[i],
                rcv_nxt: seq[1 - i],
                window: (1u32 << ring).min(0xffff) >> shift << shift,
                ts_offset: seq[i].wrapping_mul(3),
                ts_recent: seq[1 - i].wrapping_mul(3),
                ..OpenWords::default()
            };
            Endpoint::new(stream, &words, intervals, i == 0)
        };
        Self {
            ends: [end(0), end(1)],
            now: 0,
        }
    }

    /// Takes a segment that end `from` sent and hands it to the other.
    fn deliver(&mut self, from: usize, index: usize, keep: bool) {
        let queue = &mut self.ends[from].in_flight;
        if queue.is_empty() {
            return;
        }
        let index = index % queue.len();
        let wire = if keep {
            queue[index].clone()
        } else {
            queue.remove(index)
        };
        self.ends[1 - from].apply(&Event::Receive(wire.header), &wire.payload, self.now);
    }

    fn step(&mut self, step: &Step) {
        self.now += 700;
        match *step {
            Step::Deliver(end, n) => self.deliver(end.into(), n.into(), false),
            Step::Duplicate(end, n) => self.deliver(end.into(), n.into(), true),
            Step::Lose(end, n) => {
                let queue = &mut self.ends[usize::from(end)].in_flight;
                if !queue.is_empty() {
                    queue.remove(usize::from(n) % queue.len());
                }
            }
            Step::Grant(end) => self.ends[usize::from(end)].apply(&Event::Transmit, &[], self.now),
            Step::Application(end, read, write) => {
                self.ends[usize::from(end)].application(read.into(), write.into(), self.now);
            }
            Step::Remind(end) => self.ends[usize::from(end)].apply(&Event::Remind, &[], self.now),
            Step::Timeout(end) => {
                let event = Event::Command {
                    generation: GENERATION,
                    command: Command::Retransmit,
                };
                self.ends[usize::from(end)].apply(&event, &[], self.now);
            }
        }
    }

    /// From here on nothing is lost. Returns the number of timeouts it took.
    fn finish(&mut self) -> usize {
        for timeouts in 0..200 {
            let mut busy = true;
            while busy {
                busy = false;
                for end in 0..2 {
                    self.step(&Step::Application(end == 1, 9000, 9000));
                    while self.ends[end].state.can_send() {
                        self.step(&Step::Grant(end == 1));
                        busy = true;
                    }
                    while !self.ends[end].in_flight.is_empty() {
                        self.step(&Step::Deliver(end == 1, 0));
                        busy = true;
                    }
                    if !busy && self.ends[end].state.owes_ack() {
                        self.step(&Step::Remind(end == 1));
                        busy = true;
                    }
                }
            }
            if self.ends[0].is_done(&self.ends[1]) && self.ends[1].is_done(&self.ends[0]) {
                return timeouts;
            }
            self.step(&Step::Timeout(false));
            self.step(&Step::Timeout(true));
        }
        panic!(
            "the streams do not end: {:?} {:?}",
            self.ends[0].state, self.ends[1].state
        );
    }

    fn check_streams(&self) {
        assert_eq!(self.ends[0].received, self.ends[1].stream);
        assert_eq!(self.ends[1].received, self.ends[0].stream);
    }
}

#[test]
fn without_loss_no_timeout_is_needed() {
    let mut pair = Pair::new(
        [100_000, 50_000],
        [u32::MAX - 1000, 7],
        0,
        true,
        16,
        1,
        false,
    );
    assert_eq!(pair.finish(), 0);
    pair.check_streams();
}

/// Segments that end 0 sends in all when every `nth` of the first flight is lost, and timeouts.
fn segments_after_loss(nth: usize, sack: bool) -> (usize, usize) {
    let mut pair = Pair::new([60_000, 0], [100, 7], 0, true, 17, 4, sack);
    pair.step(&Step::Application(false, 0, 60_000));
    pair.step(&Step::Application(false, 0, 60_000));
    while pair.ends[0].state.can_send() {
        pair.step(&Step::Grant(false));
    }
    let mut sent = pair.ends[0].in_flight.len();
    let mut number = 0;
    pair.ends[0].in_flight.retain(|_| {
        number += 1;
        number % nth != 0
    });
    let mut rounds = 0;
    while !pair.ends[0].is_done(&pair.ends[1]) && rounds < 1000 {
        rounds += 1;
        pair.step(&Step::Deliver(false, 0));
        pair.step(&Step::Deliver(true, 0));
        pair.step(&Step::Remind(true));
        pair.step(&Step::Application(true, 60_000, 60_000));
        pair.step(&Step::Grant(true));
        let before = pair.ends[0].in_flight.len();
        pair.step(&Step::Grant(false));
        sent += pair.ends[0].in_flight.len() - before;
    }
    let timeouts = pair.finish();
    pair.check_streams();
    (sent, timeouts)
}

#[test]
fn sack_sends_only_what_was_lost_again() {
    // 42 segments, of which the 10th, 20th, 30th and 40th are lost.
    let (gbn, _) = segments_after_loss(10, false);
    let (sack, timeouts) = segments_after_loss(10, true);
    // The FIN came beyond the gaps with its bytes, and is taken when they are filled.
    assert_eq!((sack, timeouts), (42 + 4, 0));
    assert!(gbn > 60, "{gbn} segments");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn streams_arrive_whatever_the_pipe_does(
        steps in proptest::collection::vec(step(), 0..600),
        lengths in (0..40_000usize, 0..40_000usize),
        seq in (any::<u32>(), any::<u32>()),
        shift in 0..8u8,
        timestamps in any::<bool>(),
        ring in 13..17u8,
        intervals in 0..5u8,
        sack in any::<bool>(),
    ) {
        let (lengths, seq) = ([lengths.0, lengths.1], [seq.0, seq.1]);
        let mut pair = Pair::new(lengths, seq, shift, timestamps, ring, intervals, sack);
        for step in &steps {
            pair.step(step);
        }
        pair.finish();
        pair.check_streams();
    }
}
