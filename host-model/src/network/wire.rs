//! A wire with impairments.

use std::any::Any;
use std::collections::BTreeMap;

use bytes::Bytes;
use hallux_channel::{
    Component, ComponentError, Counter, Io, Message, PortSpec, Probability, Protocol, Random, Seed,
    Time,
};

/// What a wire does to the frames of one direction. The default does nothing.
///
/// The impairments are applied to each frame in the order of the fields. Each
/// draws from its own random stream, so switching one on does not change the
/// pattern of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impairments {
    /// Each frame is lost with this probability, independently.
    pub loss: Probability,
    /// Frames are lost in bursts.
    pub burst_loss: Option<Burst>,
    /// Damage before the receiver's check of the FCS: the frame is counted
    /// and dropped. The damage is one burst of at most 32 bits, which CRC-32
    /// always finds, so nothing of the frame needs to arrive.
    pub corruption: Probability,
    /// Damage behind the check, as by a broken switch that computes a new
    /// FCS: one burst of at most 15 bits is flipped and the frame arrives.
    /// The checksums of IP and TCP always find so short a burst.
    pub corruption_after_fcs: Probability,
    /// The frame arrives twice in a row.
    pub duplication: Probability,
    /// The frame is held back by [`Impairments::reordering_delay`] while
    /// later ones pass.
    pub reordering: Probability,
    /// How long a reordered frame is held back.
    pub reordering_delay: Time,
    /// Each frame is delayed by up to this much, evenly; order is kept.
    pub jitter: Time,
}

/// Loss in bursts: the model of Gilbert, with all frames lost in the bad state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Probability that a burst starts with a frame.
    pub start: Probability,
    /// Probability that a burst ends after a frame; the mean burst has
    /// 1/`end` frames.
    pub end: Probability,
}

/// What has happened to the frames of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WireCounters {
    /// Frames that entered the wire.
    pub frames: u64,
    /// Frames lost, alone or in bursts.
    pub lost: u64,
    /// Frames dropped because their FCS was wrong.
    pub fcs_errors: u64,
    /// Frames delivered with damage that no FCS shows.
    pub corrupted: u64,
    /// Frames delivered twice.
    pub duplicated: u64,
    /// Frames held back.
    pub reordered: u64,
}

/// A wire between two Ethernet ports, `a` and `b`. Its delay is that of its
/// links; it adds only what its impairments say. It does not serialise.
#[derive(Debug)]
pub struct Wire {
    name: String,
    ports: [PortSpec; 2],
    /// By the port at which frames enter.
    directions: [Lane; 2],
    /// Frames to leave: time, exit port, sequence.
    leaving: BTreeMap<(Time, usize, u64), Bytes>,
    sequence: u64,
}

impl Wire {
    /// A wire that treats frames from port `a` to port `b` by `a_to_b` and
    /// the others by `b_to_a`.
    pub fn new(
        name: impl Into<String>,
        seed: Seed,
        a_to_b: Impairments,
        b_to_a: Impairments,
    ) -> Self {
        let name = name.into();
        Wire {
            directions: [
                Lane::new(seed, &format!("{name}/a-b"), a_to_b),
                Lane::new(seed, &format!("{name}/b-a"), b_to_a),
            ],
            ports: ["a", "b"].map(|port| PortSpec::new(port, Protocol::Ethernet)),
            name,
            leaving: BTreeMap::new(),
            sequence: 0,
        }
    }

    /// What happened from `a` to `b`, and from `b` to `a`.
    pub fn wire_counters(&self) -> [WireCounters; 2] {
        [self.directions[0].counters, self.directions[1].counters]
    }

    fn enter(&mut self, at: Time, port: usize, frame: Bytes) {
        let exit = 1 - port;
        let (sequence, leaving) = (&mut self.sequence, &mut self.leaving);
        self.directions[port].carry(at, frame, |departure, frame| {
            leaving.insert((departure, exit, *sequence), frame);
            *sequence += 1;
        });
    }
}

impl Component for Wire {
    fn name(&self) -> &str {
        &self.name
    }

    fn ports(&self) -> &[PortSpec] {
        &self.ports
    }

    fn next_action(&self) -> Time {
        self.leaving
            .first_key_value()
            .map_or(Time::NEVER, |(&(at, ..), _)| at)
    }

    fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
        loop {
            let next = self.next_action();
            if let Some((at, port, message)) = io.pop_before(horizon.min(next + Time::from_ps(1))) {
                if let Message::Frame(frame) = message {
                    self.enter(at, port, frame);
                }
            } else if next < horizon {
                if let Some(((at, exit, _), frame)) = self.leaving.pop_first() {
                    io.send(exit, at, Message::Frame(frame));
                }
            } else {
                return Ok(());
            }
        }
    }

    fn finished_at(&self) -> Option<Time> {
        Some(Time::ZERO)
    }

    fn counters(&self) -> Vec<Counter> {
        let [a, b] = self.wire_counters();
        vec![
            Counter::new("frames", a.frames + b.frames),
            Counter::new("lost", a.lost + b.lost),
            Counter::new("fcs_errors", a.fcs_errors + b.fcs_errors),
            Counter::new("corrupted", a.corrupted + b.corrupted),
            Counter::new("duplicated", a.duplicated + b.duplicated),
            Counter::new("reordered", a.reordered + b.reordered),
        ]
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// One direction of a wire.
#[derive(Debug)]
struct Lane {
    impairments: Impairments,
    loss: Random,
    burst: Random,
    corruption: Random,
    corruption_after_fcs: Random,
    duplication: Random,
    reordering: Random,
    jitter: Random,
    in_burst: bool,
    /// Order is kept by never leaving before the frame ahead.
    last_departure: Time,
    counters: WireCounters,
}

/// Longest burst of flipped bits that a 16-bit ones' complement sum is sure
/// to show: a burst of 16 could turn 0x0000 into 0xffff.
const MAX_HIDDEN_BURST_BITS: u64 = 15;

impl Lane {
    fn new(seed: Seed, name: &str, impairments: Impairments) -> Self {
        let stream = |purpose: &str| seed.stream(&format!("{name}/{purpose}"));
        Lane {
            impairments,
            loss: stream("loss"),
            burst: stream("burst"),
            corruption: stream("corruption"),
            corruption_after_fcs: stream("corruption-after-fcs"),
            duplication: stream("duplication"),
            reordering: stream("reordering"),
            jitter: stream("jitter"),
            in_burst: false,
            last_departure: Time::ZERO,
            counters: WireCounters::default(),
        }
    }

    /// Hands the frame, as often as it arrives, to `leave` with the time of
    /// its departure.
    fn carry(&mut self, at: Time, frame: Bytes, mut leave: impl FnMut(Time, Bytes)) {
        let Impairments {
            reordering_delay,
            jitter,
            ..
        } = self.impairments;
        self.counters.frames += 1;
        // All draws are made for all frames: what one impairment does never
        // shifts the stream of another.
        let lost = self.loss.chance(self.impairments.loss) | self.in_loss_burst();
        let fcs_error = self.corruption.chance(self.impairments.corruption);
        let frame = self.damage(frame);
        let duplicated = self.duplication.chance(self.impairments.duplication);
        let reordered = self.reordering.chance(self.impairments.reordering);
        let delay = Time::from_ps(self.jitter.below(jitter.ps().saturating_add(1)));
        if lost {
            self.counters.lost += 1;
            return;
        }
        if fcs_error {
            self.counters.fcs_errors += 1;
            return;
        }
        let (frame, damaged) = frame;
        self.counters.corrupted += u64::from(damaged);
        let departure = if reordered {
            self.counters.reordered += 1;
            at + delay + reordering_delay
        } else {
            self.last_departure = self.last_departure.max(at + delay);
            self.last_departure
        };
        if duplicated {
            self.counters.duplicated += 1;
            leave(departure, frame.clone());
        }
        leave(departure, frame);
    }

    fn in_loss_burst(&mut self) -> bool {
        let Some(burst) = self.impairments.burst_loss else {
            return false;
        };
        let (starts, ends) = (self.burst.chance(burst.start), self.burst.chance(burst.end));
        let lost = self.in_burst || starts;
        self.in_burst = lost && !ends;
        lost
    }

    /// The frame as it arrives, and whether it is damaged.
    fn damage(&mut self, frame: Bytes) -> (Bytes, bool) {
        let random = &mut self.corruption_after_fcs;
        let hit = random.chance(self.impairments.corruption_after_fcs);
        let (place, shape) = (random.bits(), random.bits());
        if !hit || frame.is_empty() {
            return (frame, false);
        }
        let bits = frame.len() as u64 * 8;
        let length = (1 + shape % MAX_HIDDEN_BURST_BITS).min(bits);
        let first = place % (bits - length + 1);
        let mut damaged = frame.to_vec();
        for bit in 0..length {
            // The ends of a burst are flipped by definition.
            let flipped = bit == 0 || bit == length - 1 || shape >> (8 + bit) & 1 == 1;
            let at = first + bit;
            damaged[(at / 8) as usize] ^= u8::from(flipped) << (7 - at % 8);
        }
        (damaged.into(), true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallux_channel::Mailbox;

    fn send(a_to_b: Impairments, count: u16) -> (Vec<(u64, Bytes)>, WireCounters) {
        let mut wire = Wire::new("wire", Seed(1), a_to_b, Impairments::default());
        let mut mailbox = Mailbox::new(wire.ports());
        for n in 0..count {
            let frame = [&n.to_be_bytes()[..], &[0; 98]].concat();
            mailbox.deliver(
                0,
                Time::from_ns(10 * u64::from(n)),
                Message::Frame(frame.into()),
            );
        }
        wire.advance(Time::NEVER, &mut mailbox.io()).unwrap();
        assert_eq!(mailbox.violation(), None);
        let sent = std::iter::from_fn(|| mailbox.take_sent()).map(|sent| {
            assert_eq!(sent.port, 1);
            (sent.at.ns(), Bytes::copy_from_slice(sent.message.payload()))
        });
        (sent.collect(), wire.wire_counters()[0])
    }

    fn number(frame: &Bytes) -> u16 {
        u16::from_be_bytes([frame[0], frame[1]])
    }

    fn probability(value: f64) -> Probability {
        Probability::new(value).unwrap()
    }

    #[test]
    fn a_perfect_wire_changes_nothing() {
        let (sent, counters) = send(Impairments::default(), 100);
        assert!(
            sent.iter()
                .zip(0..)
                .all(|((at, frame), n)| number(frame) == n && *at == 10 * u64::from(n))
        );
        assert_eq!(
            counters,
            WireCounters {
                frames: 100,
                ..Default::default()
            }
        );
    }

    #[test]
    fn loss_and_fcs_errors_take_their_share() {
        let impairments = Impairments {
            loss: probability(0.1),
            corruption: probability(0.1),
            ..Default::default()
        };
        let (sent, counters) = send(impairments, 10_000);
        assert!((900..1_100).contains(&counters.lost), "{counters:?}");
        assert!((800..1_000).contains(&counters.fcs_errors), "{counters:?}");
        assert_eq!(
            sent.len() as u64,
            10_000 - counters.lost - counters.fcs_errors
        );
    }

    #[test]
    fn one_impairment_does_not_shift_the_pattern_of_another() {
        let lossy = Impairments {
            loss: probability(0.05),
            ..Default::default()
        };
        let more = Impairments {
            duplication: probability(0.5),
            jitter: Time::from_ns(3),
            ..lossy
        };
        let mut numbers = [lossy, more].map(|impairments| {
            send(impairments, 1_000)
                .0
                .iter()
                .map(|(_, frame)| number(frame))
                .collect::<Vec<_>>()
        });
        numbers[1].dedup();
        assert_eq!(numbers[0], numbers[1]);
    }

    #[test]
    fn bursts_have_their_mean_length() {
        let burst = Burst {
            start: probability(0.01),
            end: probability(0.25),
        };
        let impairments = Impairments {
            burst_loss: Some(burst),
            ..Default::default()
        };
        let (sent, counters) = send(impairments, 20_000);
        let gaps = sent
            .windows(2)
            .filter(|pair| number(&pair[1].1) != number(&pair[0].1) + 1);
        let mean = counters.lost as f64 / gaps.count() as f64;
        assert!((3.5..4.5).contains(&mean), "mean burst of {mean}");
    }

    #[test]
    fn hidden_damage_is_one_short_burst() {
        let impairments = Impairments {
            corruption_after_fcs: Probability::ONE,
            ..Default::default()
        };
        for ((_, frame), n) in send(impairments, 500).0.iter().zip(0_u16..) {
            let original = [&n.to_be_bytes()[..], &[0; 98]].concat();
            let flipped: Vec<usize> = (0..frame.len() * 8)
                .filter(|bit| (frame[bit / 8] ^ original[bit / 8]) >> (7 - bit % 8) & 1 == 1)
                .collect();
            let (first, last) = (flipped[0], flipped[flipped.len() - 1]);
            assert!(last - first < 15);
        }
    }

    #[test]
    fn held_back_frames_are_overtaken_and_jitter_keeps_order() {
        let reordering = Impairments {
            reordering: probability(0.1),
            reordering_delay: Time::from_ns(35),
            ..Default::default()
        };
        let (sent, counters) = send(reordering, 1_000);
        assert_eq!(sent.len(), 1_000);
        let inversions = sent
            .windows(2)
            .filter(|pair| number(&pair[1].1) < number(&pair[0].1))
            .count();
        assert!(inversions > 30 && counters.reordered >= inversions as u64);

        let jitter = Impairments {
            jitter: Time::from_ns(35),
            ..Default::default()
        };
        let (sent, _) = send(jitter, 1_000);
        assert!(sent.is_sorted_by_key(|(at, frame)| (*at, number(frame))));
    }
}
