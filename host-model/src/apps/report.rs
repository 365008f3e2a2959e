//! What an application tells the scenario when all is over.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, PoisonError};

use hallux_channel::Time;
use hdrhistogram::Histogram;

/// A report that an application fills while it runs and the scenario reads
/// afterwards. Clones are the same report.
#[derive(Debug, Default)]
pub struct Report<T>(Arc<Mutex<T>>);

impl<T> Clone for Report<T> {
    fn clone(&self) -> Self {
        Report(Arc::clone(&self.0))
    }
}

impl<T: Default> Report<T> {
    /// An empty report.
    pub fn new() -> Self {
        Report::default()
    }
}

impl<T> Report<T> {
    /// Changes the report, or looks at it.
    pub fn with<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T: Clone> Report<T> {
    /// The report as it is now.
    pub fn get(&self) -> T {
        self.with(|report| report.clone())
    }
}

/// A request and its answer on a connection, as the client saw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The client's end of the connection.
    pub client: SocketAddrV4,
    /// The server's end.
    pub server: SocketAddrV4,
    /// Bytes that the client had sent on the connection before the request.
    pub before: u64,
    /// The same, the request included.
    pub asked: u64,
    /// Bytes that it had received on the connection, the answer included.
    pub answered: u64,
    /// Bytes of the answer.
    pub answer: u64,
    /// When the application began, in ps.
    pub started: u64,
    /// When the answer was complete, in ps.
    pub finished: u64,
}

impl Exchange {
    /// What the application waited, in ps.
    pub fn latency(&self) -> u64 {
        self.finished.saturating_sub(self.started)
    }
}

/// Spans of simulated time in picoseconds, to three significant digits.
#[derive(Clone)]
pub struct Spans(Histogram<u64>);

impl Default for Spans {
    fn default() -> Self {
        // Three digits are within the range the library accepts.
        Spans(Histogram::new(3).unwrap_or_else(|_| unreachable!("3 digits are supported")))
    }
}

impl Spans {
    /// Adds one span.
    pub fn record(&mut self, span: Time) {
        // It resizes by itself, so every span has a place.
        let _recorded = self.0.record(span.ps());
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The span that `per_10_000` of ten thousand do not exceed: 5000 is the
    /// median, 9999 the 99.99th percentile. Zero if there is none.
    pub fn quantile(&self, per_10_000: u32) -> Time {
        Time::from_ps(self.0.value_at_quantile(f64::from(per_10_000) / 10_000.0))
    }

    /// The longest span; zero if there is none.
    pub fn longest(&self) -> Time {
        Time::from_ps(self.0.max())
    }

    /// The spans as (picoseconds, how many), to be rebuilt by
    /// [`Spans::from_counts`] in another process: not each span, but all that
    /// is known of it.
    pub fn counts(&self) -> Vec<(u64, u64)> {
        let recorded = self.0.iter_recorded();
        recorded
            .map(|step| (step.value_iterated_to(), step.count_at_value()))
            .collect()
    }

    /// A collection with these [`counts`](Spans::counts).
    pub fn from_counts(counts: &[(u64, u64)]) -> Self {
        let mut spans = Spans::default();
        for &(span, count) in counts {
            // It resizes by itself, so every span has a place.
            let _recorded = spans.0.record_n(span, count);
        }
        spans
    }

    /// Adds all of another collection.
    pub fn merge(&mut self, other: &Spans) {
        // Both resize and have the same precision, so this cannot fail.
        let _ok = self.0.add(&other.0);
    }
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spans")
            .field("count", &self.count())
            .field("p50", &self.quantile(5_000))
            .field("p99", &self.quantile(9_900))
            .field("longest", &self.longest())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_three_digits() {
        let mut spans = Spans::default();
        for ns in 1..=10_000 {
            spans.record(Time::from_ns(ns));
        }
        let close =
            |per_10_000, ns: u64| spans.quantile(per_10_000).ns().abs_diff(ns) <= ns / 1_000 + 1;
        assert!(
            close(5_000, 5_000) && close(9_900, 9_900) && close(9_999, 9_999),
            "{spans:?}"
        );
        assert_eq!(Spans::default().quantile(5_000), Time::ZERO);
        let rebuilt = Spans::from_counts(&spans.counts());
        assert_eq!(rebuilt.count(), spans.count());
        for per_10_000 in 0..=10_000 {
            assert_eq!(rebuilt.quantile(per_10_000), spans.quantile(per_10_000));
        }
    }
}
