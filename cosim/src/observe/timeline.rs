//! Figures over simulated time, in a bounded number of equal intervals.
//!
//! An interval doubles whenever more than [`INTERVALS`] of them would be needed: what is
//! known depends on what was recorded and when, never on how long the run was expected
//! to take or on who recorded it.

use hallux_channel::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most intervals of a timeline.
pub const INTERVALS: usize = 512;
/// The first length of an interval, in picoseconds.
const SHORTEST_PS: u64 = 100_000;

/// What an interval holds, to be added up when intervals join.
pub trait Additive: Default {
    /// Adds what another interval holds.
    fn add(&mut self, other: Self);
}

/// Equal intervals from time zero on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline<T> {
    /// Length of an interval in picoseconds.
    pub interval_ps: u64,
    /// The intervals up to the last one with something in it.
    pub intervals: Vec<T>,
}

impl<T> Default for Timeline<T> {
    fn default() -> Self {
        Self {
            interval_ps: SHORTEST_PS,
            intervals: vec![],
        }
    }
}

impl<T: Additive> Timeline<T> {
    /// The interval that holds `at`.
    pub fn at(&mut self, at: Time) -> &mut T {
        while at.ps() / self.interval_ps >= INTERVALS as u64 {
            self.coarsen();
        }
        let index = (at.ps() / self.interval_ps) as usize;
        if self.intervals.len() <= index {
            self.intervals.resize_with(index + 1, T::default);
        }
        &mut self.intervals[index]
    }

    /// Adds another timeline.
    pub fn merge(&mut self, mut other: Self) {
        while self.interval_ps < other.interval_ps {
            self.coarsen();
        }
        while other.interval_ps < self.interval_ps {
            other.coarsen();
        }
        let longer = self.intervals.len().max(other.intervals.len());
        self.intervals.resize_with(longer, T::default);
        for (mine, theirs) in self.intervals.iter_mut().zip(other.intervals) {
            mine.add(theirs);
        }
    }

    /// Doubles the intervals until they are at least this long.
    pub fn coarsen_to(&mut self, interval_ps: u64) {
        while self.interval_ps < interval_ps {
            self.coarsen();
        }
    }

    fn coarsen(&mut self) {
        // Saturated intervals hold all of time.
        self.interval_ps = self.interval_ps.saturating_mul(2);
        let mut joined = Vec::with_capacity(self.intervals.len().div_ceil(2));
        let mut rest = std::mem::take(&mut self.intervals).into_iter();
        while let Some(mut first) = rest.next() {
            first.add(rest.next().unwrap_or_default());
            joined.push(first);
        }
        self.intervals = joined;
    }
}

/// Traffic in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Frames.
    pub frames: u64,
    /// Bytes of the frames, check sequence, preamble and gap left out.
    pub frame_bytes: u64,
    /// Bytes of TCP payload, retransmissions included.
    pub payload_bytes: u64,
    /// Data segments of which at least a part had passed before.
    pub retransmitted_segments: u64,
}

impl Additive for Passed {
    fn add(&mut self, other: Self) {
        self.frames += other.frames;
        self.frame_bytes += other.frame_bytes;
        self.payload_bytes += other.payload_bytes;
        self.retransmitted_segments += other.retransmitted_segments;
    }
}

/// Spans that ended in an interval, told apart to 1/32 of their length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latencies {
    /// How many spans are of each class.
    classes: BTreeMap<u16, u64>,
    longest_ps: u64,
}

/// Classes of each power of two, as a power of two.
const CLASS_BITS: u32 = 5;

/// The class of a span: its exponent and the bits behind its first.
fn class_of(ps: u64) -> u16 {
    let exponent = ps.checked_ilog2().unwrap_or(0).saturating_sub(CLASS_BITS);
    ((u64::from(exponent) << CLASS_BITS) + (ps >> exponent)) as u16
}

/// The longest span of a class.
fn longest_of(class: u16) -> u64 {
    let class = u64::from(class);
    let steps = 1 << CLASS_BITS;
    let exponent = (class >> CLASS_BITS).saturating_sub(1);
    let mantissa = class - exponent * steps;
    ((mantissa + 1) << exponent).wrapping_sub(1)
}

impl Latencies {
    /// Adds one span.
    pub fn record(&mut self, span: Time) {
        *self.classes.entry(class_of(span.ps())).or_default() += 1;
        self.longest_ps = self.longest_ps.max(span.ps());
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.classes.values().sum()
    }

    /// The longest, in picoseconds; zero if there is none.
    pub fn longest_ps(&self) -> u64 {
        self.longest_ps
    }

    /// The span in picoseconds that `per_10_000` of ten thousand do not exceed, at most
    /// 1/32 too long; zero if there is none.
    pub fn quantile_ps(&self, per_10_000: u64) -> u64 {
        let wanted = (self.count() * per_10_000).div_ceil(10_000);
        let mut seen = 0;
        for (class, count) in &self.classes {
            seen += count;
            if seen >= wanted {
                return longest_of(*class).min(self.longest_ps);
            }
        }
        self.longest_ps
    }
}

impl Additive for Latencies {
    fn add(&mut self, other: Self) {
        for (class, count) in other.classes {
            *self.classes.entry(class).or_default() += count;
        }
        self.longest_ps = self.longest_ps.max(other.longest_ps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn intervals_double_and_nothing_is_lost() {
        let mut line = Timeline::<Passed>::default();
        for at in 0..5_000_u64 {
            line.at(Time::from_ps(at * 40_000)).frames += 1;
        }
        assert_eq!(line.interval_ps, 400_000);
        assert_eq!(line.intervals.len(), 500);
        assert!(line.intervals.iter().all(|passed| passed.frames == 10));
        line.at(Time::from_ps(u64::MAX)).frames += 1;
        assert!(line.intervals.len() <= INTERVALS);
        let total: u64 = line.intervals.iter().map(|passed| passed.frames).sum();
        assert_eq!(total, 5_001);
    }

    #[test]
    fn a_class_holds_its_longest_span_and_no_longer_one() {
        for ps in (0..20_000).chain([u64::MAX / 3, u64::MAX - 1, u64::MAX]) {
            let longest = longest_of(class_of(ps));
            assert!(
                longest >= ps && longest - ps <= ps >> CLASS_BITS,
                "{ps} {longest}"
            );
        }
    }

    proptest! {
        /// Who records what does not matter, nor in which order.
        #[test]
        fn parts_add_up_to_the_whole(
            spans in prop::collection::vec((0_u64..1 << 40, 0_u64..1 << 40, any::<bool>()), 0..60)
        ) {
            let mut whole = Timeline::<Latencies>::default();
            let mut parts = [Timeline::<Latencies>::default(), Timeline::default()];
            for (at, span, second) in spans {
                let (at, span) = (Time::from_ps(at), Time::from_ps(span));
                whole.at(at).record(span);
                parts[usize::from(second)].at(at).record(span);
            }
            let [mut first, second] = parts;
            first.merge(second);
            prop_assert_eq!(first, whole);
        }
    }
}
