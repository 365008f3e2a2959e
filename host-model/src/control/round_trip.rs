//! Retransmission timeout from round-trip samples (RFC 6298).

use hallux_channel::Time;

/// Bounds of the timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutBounds {
    /// Before the first sample.
    pub initial: Time,
    /// Never less.
    pub min: Time,
    /// Never more, back-off included.
    pub max: Time,
}

/// Smoothed round trip and its variation.
#[derive(Clone, Copy, Debug)]
pub struct RoundTrip {
    bounds: TimeoutBounds,
    /// SRTT and RTTVAR in ps.
    smoothed: Option<(u64, u64)>,
    backoff: u32,
}

/// Granularity of the samples: one tick of the timestamp clock, in ps.
const GRANULARITY: u64 = 1_024_000;

impl RoundTrip {
    /// Nothing measured yet.
    pub fn new(bounds: TimeoutBounds) -> Self {
        Self {
            bounds,
            smoothed: None,
            backoff: 0,
        }
    }

    /// Takes a sample (RFC 6298 §2).
    pub fn sample(&mut self, round_trip: Time) {
        let sample = round_trip.ps();
        self.smoothed = Some(match self.smoothed {
            None => (sample, sample / 2),
            Some((mean, variation)) => (
                mean - mean / 8 + sample / 8,
                variation - variation / 4 + mean.abs_diff(sample) / 4,
            ),
        });
    }

    /// Takes a sample as a record carries it: ticks of 1.024 µs plus one, 0 for none.
    pub fn sample_ticks(&mut self, value: u32) {
        if let Some(ticks) = value.checked_sub(1) {
            self.sample(Time::from_ps(u64::from(ticks) * GRANULARITY));
        }
    }

    /// The peer acknowledged something: the back-off ends.
    pub fn progress(&mut self) {
        self.backoff = 0;
    }

    /// The timer expired: the next timeout is twice as long (RFC 6298 §5.5). Returns how
    /// often it expired without progress.
    pub fn back_off(&mut self) -> u32 {
        self.backoff = self.backoff.saturating_add(1);
        self.backoff
    }

    /// The timeout now, back-off included.
    pub fn timeout(&self) -> Time {
        let TimeoutBounds { initial, min, max } = self.bounds;
        let base = match self.smoothed {
            None => initial,
            Some((mean, variation)) => Time::from_ps(mean + GRANULARITY.max(4 * variation)),
        };
        (base.max(min) * (1 << self.backoff.min(32))).min(max)
    }

    /// The smoothed round trip, once there is a sample.
    pub fn smoothed(&self) -> Option<Time> {
        self.smoothed.map(|(mean, _)| Time::from_ps(mean))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: TimeoutBounds = TimeoutBounds {
        initial: Time::from_ms(1),
        min: Time::from_us(200),
        max: Time::from_ms(10),
    };

    #[test]
    fn the_timeout_follows_samples_within_bounds() {
        let mut trip = RoundTrip::new(BOUNDS);
        assert_eq!(trip.timeout(), Time::from_ms(1));
        trip.sample(Time::from_us(400));
        assert_eq!(trip.timeout(), Time::from_us(400 + 4 * 200));
        for _ in 0..100 {
            trip.sample_ticks(1 + 10);
        }
        assert_eq!(trip.timeout(), Time::from_us(200), "clamped to the minimum");
        let before = trip.smoothed();
        trip.sample_ticks(0);
        assert_eq!(trip.smoothed(), before, "zero is no sample");
    }

    #[test]
    fn back_off_doubles_until_progress() {
        let mut trip = RoundTrip::new(BOUNDS);
        let timeouts: Vec<u64> = (0..6)
            .map(|_| {
                trip.back_off();
                trip.timeout().ns() / 1_000_000
            })
            .collect();
        assert_eq!(timeouts, [2, 4, 8, 10, 10, 10]);
        trip.progress();
        assert_eq!(trip.timeout(), Time::from_ms(1));
    }
}
