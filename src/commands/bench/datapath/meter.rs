//! What was moved between two moments of simulated time.

use hallux_channel::Time;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug)]
struct State {
    from: Time,
    to: Time,
    total: u64,
    measured: u64,
}

/// Counts bytes or events; clones are the same meter. Until [`Meter::open`] nothing is
/// measured, so that set-up and warm-up stay out.
#[derive(Clone, Debug)]
pub struct Meter(Arc<Mutex<State>>);

impl Default for Meter {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            from: Time::NEVER,
            to: Time::NEVER,
            total: 0,
            measured: 0,
        })))
    }
}

impl Meter {
    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Measures from `from` to `to`, exclusive.
    pub fn open(&self, from: Time, to: Time) {
        self.with(|state| (state.from, state.to) = (from, to));
    }

    /// `count` more at `now`.
    pub fn add(&self, now: Time, count: u64) {
        self.with(|state| {
            state.total += count;
            if now >= state.from && now < state.to {
                state.measured += count;
            }
        });
    }

    /// All that was counted, set-up included.
    pub fn total(&self) -> u64 {
        self.with(|state| state.total)
    }

    /// Counts a second while measuring.
    pub fn rate(&self) -> f64 {
        self.with(|state| match state.from.is_never() {
            true => 0.0,
            false => state.measured as f64 / (state.to.since(state.from).ps() as f64 * 1e-12),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_window_counts() {
        let meter = Meter::default();
        meter.add(Time::from_ns(1), 100);
        assert_eq!(meter.rate(), 0.0);
        meter.open(Time::from_ns(10), Time::from_ns(110));
        for ns in (10..=60).step_by(10) {
            meter.add(Time::from_ns(ns), 10);
        }
        meter.add(Time::from_ns(110), 1_000);
        assert_eq!(meter.total(), 1_160);
        assert!(
            (meter.rate() - 60.0 / 100e-9).abs() < 1.0,
            "{}",
            meter.rate()
        );
    }
}
