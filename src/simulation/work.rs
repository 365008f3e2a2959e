//! What applications and components report at the end of a run.

use crate::results::NicSummary;
use hallux_cosim::observe::passages::PassageLog;
use hallux_host::apps::report::{Exchange, Spans};
use hallux_host::driver::{MirroredFrame, TraceRow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the client applications reported, whatever the application is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Work {
    /// Bytes found right.
    pub verified: u64,
    /// Bytes found wrong or missing.
    pub mismatched: u64,
    /// Requests answered rightly.
    pub requests: u64,
    /// One sentence for each failure.
    pub failures: Vec<String>,
    /// Request latencies.
    #[serde(with = "spans")]
    pub latency: Spans,
    /// Each request with its answer.
    pub exchanges: Vec<Exchange>,
    /// First request, in picoseconds.
    pub started: Option<u64>,
    /// Last answer, in picoseconds.
    pub finished: Option<u64>,
}

/// Latencies on their way between processes.
mod spans {
    use super::Spans;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(spans: &Spans, serializer: S) -> Result<S::Ok, S::Error> {
        spans.counts().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Spans, D::Error> {
        let counts = Vec::<(u64, u64)>::deserialize(deserializer)?;
        Ok(Spans::from_counts(&counts))
    }
}

/// What a summary is made of, beside what passed the wire: all of it, or the part that
/// one process found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Findings {
    /// Of the clients.
    pub work: Work,
    /// Why the server does not serve.
    pub server_failure: Option<String>,
    /// Of each RTL NIC.
    pub nics: BTreeMap<String, NicSummary>,
    /// Of every other component.
    pub counters: BTreeMap<String, BTreeMap<String, u64>>,
    /// Where everything was and when, in each RTL NIC.
    pub passages: BTreeMap<String, PassageLog>,
    /// Of each host whose NIC mirrors frames: those.
    pub mirrored: BTreeMap<String, Vec<MirroredFrame>>,
    /// Of each host whose NIC has tracepoints: those that it read, with the time in ps.
    pub traced: BTreeMap<String, Vec<(u64, TraceRow)>>,
    /// Clock cycles evaluated in RTL.
    pub evaluated_cycles: u64,
}

impl Findings {
    /// These and those of another process.
    pub fn and(mut self, other: Findings) -> Findings {
        self.work = self.work.and(other.work);
        self.server_failure = self.server_failure.or(other.server_failure);
        self.nics.extend(other.nics);
        self.counters.extend(other.counters);
        self.passages.extend(other.passages);
        self.mirrored.extend(other.mirrored);
        self.traced.extend(other.traced);
        self.evaluated_cycles += other.evaluated_cycles;
        self
    }
}

impl Work {
    /// This and the work of another client.
    pub fn and(mut self, other: Work) -> Work {
        self.verified += other.verified;
        self.mismatched += other.mismatched;
        self.requests += other.requests;
        self.failures.extend(other.failures);
        self.latency.merge(&other.latency);
        self.exchanges.extend(other.exchanges);
        // Clients come in another order where they are spread over machines.
        self.exchanges
            .sort_by_key(|exchange| (exchange.finished, exchange.client, exchange.before));
        self.started = [self.started, other.started].into_iter().flatten().min();
        self.finished = self.finished.max(other.finished);
        self
    }
}
