//! `profile.json`: what a run did over time, how its latencies are distributed, and the
//! blocks of its design, for [`crate::report`]. Like `summary.json` it holds nothing but
//! simulated figures.

use crate::diagram::pipeline::Pipeline;
use crate::scenario::Scenario;
use crate::simulation::{Assembly, Findings};
use hallux_channel::Time;
use hallux_cosim::engine::Direction;
use hallux_cosim::observe::rtt::TcpTraffic;
use hallux_cosim::observe::timeline::{Latencies, Timeline};
use hallux_hdl::manifest::Manifest;
use serde::{Deserialize, Serialize};

/// Name of the file in a results directory.
pub const PROFILE: &str = "profile.json";
/// Version of the layout of `profile.json`.
pub const PROFILE_SCHEMA: &str = "hallux-profile-1";

/// What `profile.json` holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// [`PROFILE_SCHEMA`].
    pub schema: String,
    /// Rate of the Ethernet link in bits a second.
    pub link_bps: u64,
    /// Length of the intervals of every series, in picoseconds; the first begins at zero.
    pub interval_ps: u64,
    /// Frames that the NIC under test received.
    pub received: Series,
    /// Frames that it sent.
    pub sent: Series,
    /// TCP round trips at its Ethernet port, of the data that it sent.
    pub rtt: Latency,
    /// Requests of the applications.
    pub request: Latency,
    /// The blocks of the design; none without RTL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<Pipeline>,
}

/// Traffic in one direction, a value for each interval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// Frames.
    pub frames: Vec<u64>,
    /// Bytes of frames, check sequence, preamble and gap left out.
    pub frame_bytes: Vec<u64>,
    /// Bytes of TCP payload, retransmissions included.
    pub payload_bytes: Vec<u64>,
    /// Data segments of which a part had passed before.
    pub retransmitted_segments: Vec<u64>,
}

/// A latency, over time and as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Spans that ended in each interval.
    pub samples: Vec<u64>,
    /// Their median in picoseconds, at most 1/32 too long; zero without samples.
    pub p50_ps: Vec<u64>,
    /// Their 99th percentile.
    pub p99_ps: Vec<u64>,
    /// The longest.
    pub longest_ps: Vec<u64>,
    /// All spans of the run in picoseconds, to three digits, and how many were of each.
    pub counts: Vec<(u64, u64)>,
}

impl Profile {
    /// The profile of a run.
    pub fn of(
        scenario: &Scenario,
        assembly: &Assembly,
        findings: &Findings,
        manifest: Option<&Manifest>,
    ) -> Self {
        let observer = assembly.traffic();
        let (received, sent) = (
            observer.traffic(Direction::Received),
            observer.traffic(Direction::Sent),
        );
        let mut requests = Timeline::<Latencies>::default();
        for exchange in &findings.work.exchanges {
            let latency = Time::from_ps(exchange.latency());
            requests
                .at(Time::from_ps(exchange.finished))
                .record(latency);
        }
        let interval_ps = [
            received.over_time.interval_ps,
            sent.over_time.interval_ps,
            sent.rtt_over_time.interval_ps,
            requests.interval_ps,
        ]
        .into_iter()
        .max()
        .unwrap_or_default();
        Self {
            schema: PROFILE_SCHEMA.to_owned(),
            link_bps: scenario.line_rate().0,
            interval_ps,
            received: Series::of(received, interval_ps),
            sent: Series::of(sent, interval_ps),
            rtt: Latency::of(&sent.rtt_over_time, interval_ps, sent.rtt_counts()),
            request: Latency::of(&requests, interval_ps, findings.work.latency.counts()),
            pipeline: manifest.map(Pipeline::of),
        }
    }
}

impl Series {
    fn of(traffic: &TcpTraffic, interval_ps: u64) -> Self {
        let mut line = traffic.over_time.clone();
        line.coarsen_to(interval_ps);
        let mut series = Self::default();
        for passed in line.intervals {
            series.frames.push(passed.frames);
            series.frame_bytes.push(passed.frame_bytes);
            series.payload_bytes.push(passed.payload_bytes);
            series
                .retransmitted_segments
                .push(passed.retransmitted_segments);
        }
        series
    }
}

impl Latency {
    fn of(over_time: &Timeline<Latencies>, interval_ps: u64, counts: Vec<(u64, u64)>) -> Self {
        let mut line = over_time.clone();
        line.coarsen_to(interval_ps);
        let mut latency = Self {
            counts,
            ..Self::default()
        };
        for spans in line.intervals {
            latency.samples.push(spans.count());
            latency.p50_ps.push(spans.quantile_ps(5_000));
            latency.p99_ps.push(spans.quantile_ps(9_900));
            latency.longest_ps.push(spans.longest_ps());
        }
        latency
    }
}
