//! Rates: small segments, bulk transfer of one connection, small RPCs.

use super::apps::Service;
use super::bounds::{self, Bound};
use super::peer::Work;
use super::rig::{self, Load, Measured, Subject};
use anyhow::{Result, ensure};
use hallux_channel::Time;
use serde::Serialize;
use std::collections::BTreeMap;

/// Payload of a small segment and of a small RPC.
pub const SMALL: u64 = 64;
/// Payload of a full segment with timestamps at an MTU of 1500 bytes.
pub const FULL: u64 = 1448;

/// A figure beside its limit.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was measured.
    pub value: f64,
    /// What is possible.
    pub limit: f64,
    /// What limits.
    pub bound: &'static str,
    /// `value / limit`.
    pub ratio: f64,
}

impl Figure {
    /// `value` beside `bound`.
    pub fn new(value: f64, bound: Bound) -> Self {
        Self {
            value,
            limit: bound.value,
            bound: bound.name,
            ratio: value / bound.value,
        }
    }
}

/// Small segments of many connections into the NIC.
#[derive(Clone, Debug, Serialize)]
pub struct SmallSegments {
    /// Millions a second, beside the wire's limit.
    pub mpps: Figure,
    /// All limits, in millions a second.
    pub bounds: Vec<Bound>,
    /// Frames that were dropped.
    pub drops: u64,
    /// Frames that modules mirrored to the host, and frames that they could not.
    #[serde(skip)]
    pub mirrored: (u64, u64),
}

fn to_host(measured: &Measured) -> f64 {
    measured.host_bytes.rate()
}

/// 64-byte segments of `connections` connections, as fast as the wire is.
///
/// # Errors
/// As [`rig::run`].
pub fn small_segments(subject: &Subject, connections: usize, span: Time) -> Result<SmallSegments> {
    let measured = rig::run(
        subject,
        &Load {
            segment: SMALL,
            span,
            ..Load::new(connections, Work::Send, Service::Sink)
        },
    )?;
    let rate = to_host(&measured) / SMALL as f64 * 1e-6;
    let groups = subject.point.groups.min(connections as u32);
    let bounds = segment_bounds(subject, groups).map(|bound| Bound {
        value: bound.value * 1e-6,
        ..bound
    });
    Ok(SmallSegments {
        mpps: Figure::new(rate, bounds[0]),
        bounds: bounds.to_vec(),
        drops: measured.drops(),
        mirrored: measured.mirrored,
    })
}

/// What limits small segments into `groups` flow groups, in segments a second; the wire
/// first.
fn segment_bounds(subject: &Subject, groups: u32) -> [Bound; 4] {
    // Payload and record, each a write of its own.
    let bytes = SMALL + 24 + 32 + 24;
    [
        bounds::wire_frames(subject, SMALL),
        bounds::bus_frames(subject, SMALL),
        bounds::pcie(bytes),
        bounds::protocol(subject, groups, 1.0),
    ]
}

/// The NIC as a whole on the data of one connection.
#[derive(Clone, Debug, Serialize)]
pub struct OneFlow {
    /// Segments placed and announced per clock.
    pub events_per_clock: Figure,
    /// All limits, in segments per clock.
    pub bounds: Vec<Bound>,
}

/// 64-byte segments of one connection.
///
/// # Errors
/// As [`rig::run`].
pub fn one_flow(subject: &Subject, span: Time) -> Result<OneFlow> {
    let measured = small_segments(subject, 1, span)?;
    let clock = subject.point.clock.0 as f64;
    let bounds = segment_bounds(subject, 1).map(|bound| Bound {
        value: bound.value / clock,
        ..bound
    });
    let rate = measured.mpps.value * 1e6 / clock;
    Ok(OneFlow {
        events_per_clock: Figure::new(rate, bounds::binding(&bounds)),
        bounds: bounds.to_vec(),
    })
}

/// Bulk transfer of one connection, in Gb/s of payload.
#[derive(Clone, Debug, Serialize)]
pub struct Bulk {
    pub receive: Figure,
    pub send: Figure,
    /// Both directions at once: the lower of the two.
    pub both: Figure,
}

impl Bulk {
    /// The worst of the three.
    pub fn worst(&self) -> f64 {
        let ratios = [&self.receive, &self.send, &self.both].map(|figure| figure.ratio);
        ratios.into_iter().fold(f64::INFINITY, f64::min)
    }
}

/// Full segments of one connection: in, out, and both at once.
///
/// # Errors
/// As [`rig::run`].
pub fn bulk(subject: &Subject, span: Time) -> Result<Bulk> {
    let limit = Bound {
        name: "wire",
        value: bounds::wire_goodput(subject, FULL),
    };
    let gigabits = |rate: f64| Figure::new(rate * 8e-9, limit);
    let run = |work, service| {
        let load = Load {
            span,
            warm_up: Time::from_us(60),
            ..Load::new(1, work, service)
        };
        rig::run(subject, &load)
    };
    let receive = run(Work::Send, Service::Sink)?;
    let send = run(Work::Receive, Service::Source)?;
    let both = run(Work::Send, Service::Echo)?;
    Ok(Bulk {
        receive: gigabits(to_host(&receive)),
        send: gigabits(send.peer_bytes.rate()),
        both: gigabits(to_host(&both).min(both.peer_bytes.rate())),
    })
}

/// Small RPCs.
#[derive(Clone, Debug, Serialize)]
pub struct Rpc {
    /// Millions of echoes a second.
    pub mrps: Figure,
    /// All limits, in millions a second.
    pub bounds: Vec<Bound>,
    /// Events of the protocol units an RPC.
    pub protocol_events: f64,
    /// Bytes on the PCIe link an RPC, by class.
    pub pcie_bytes: BTreeMap<String, f64>,
    /// Upstream bytes on the PCIe link an RPC.
    pub upstream_bytes: f64,
    /// Downstream bytes.
    pub downstream_bytes: f64,
    /// Round trip at this load, in ns.
    pub p50_ns: u64,
    pub p9999_ns: u64,
}

/// 64-byte echoes of `connections` connections, one on its way on each.
///
/// # Errors
/// As [`rig::run`].
pub fn rpc(subject: &Subject, connections: usize, span: Time) -> Result<Rpc> {
    let load = Load {
        span,
        delayed_acks: true,
        ..Load::new(
            connections,
            Work::Request(SMALL),
            Service::Answer(SMALL as usize),
        )
    };
    let measured = rig::run(subject, &load)?;
    let bounds = [
        bounds::wire_frames(subject, SMALL),
        bounds::protocol(subject, subject.point.groups, bounds::RPC_EVENTS),
        bounds::bus_frames(subject, SMALL),
        bounds::pcie(bounds::RPC_UPSTREAM_BYTES),
    ]
    .map(|bound| Bound {
        value: bound.value * 1e-6,
        ..bound
    });
    let answers = measured.answers.total().max(1) as f64;
    let up = measured.pcie(&["mwr_up", "mrd_up", "msix_up", "cpld_up"]) as f64;
    let down = measured.pcie(&["cpld_down", "mmio_write_down", "mmio_read_down"]) as f64;
    let latency = &measured.seen.latency;
    Ok(Rpc {
        mrps: Figure::new(measured.answers.rate() * 1e-6, bounds::binding(&bounds)),
        bounds: bounds.to_vec(),
        protocol_events: measured.stage_events("protocol") as f64 / answers,
        pcie_bytes: measured
            .nic
            .pcie
            .iter()
            .map(|(class, &bytes)| (class.clone(), bytes as f64 / answers))
            .collect(),
        upstream_bytes: up / answers,
        downstream_bytes: down / answers,
        p50_ns: latency.quantile(5_000).ns(),
        p9999_ns: latency.quantile(9_999).ns(),
    })
}

/// One connection with a rate beside one without, both with as much to send as there is room.
#[derive(Clone, Debug, Serialize)]
pub struct Paced {
    /// Gb/s of the connection with a rate, beside that rate.
    pub paced: Figure,
    /// Gb/s of the other, beside what the wire has left.
    pub rest: Figure,
}

/// Bulk transfer out of the NIC, one of two connections at `bps` bits a second, for at least
/// `span` and 400 of its segments.
///
/// # Errors
/// As [`rig::run`].
pub fn pacing(subject: &Subject, bps: u64, span: Time) -> Result<Paced> {
    let segment = Time::from_ns(8_000_000_000 * FULL / bps);
    let load = Load {
        span: span.max(segment * 400),
        warm_up: Time::from_us(60) + segment * 20,
        paced: Some(bps),
        ..Load::new(2, Work::Receive, Service::Source)
    };
    let measured = rig::run(subject, &load)?;
    let (all, paced) = (measured.peer_bytes.rate(), measured.first_bytes.rate());
    let rate = Bound {
        name: "rate",
        value: bps as f64 * 1e-9,
    };
    let rest = Bound {
        name: "wire",
        value: bounds::wire_goodput(subject, FULL) - rate.value,
    };
    Ok(Paced {
        paced: Figure::new(paced * 8e-9, rate),
        rest: Figure::new((all - paced) * 8e-9, rest),
    })
}

/// Interrupts that are kept apart, and what it costs.
#[derive(Clone, Debug, Serialize)]
pub struct Moderated {
    /// Least time between two interrupts of a vector, in ns; 0: none.
    pub interval_ns: u64,
    /// Interrupts a millisecond, of all vectors.
    pub interrupts_per_ms: f64,
    /// Millions of echoes a second.
    pub mrps: f64,
    /// Round trip, in ns.
    pub p50_ns: u64,
    pub p9999_ns: u64,
}

/// 64-byte echoes of 16 connections of a host that waits for interrupts.
///
/// # Errors
/// As [`rig::run`].
pub fn moderation(subject: &Subject, interval: Time, span: Time) -> Result<Moderated> {
    let load = Load {
        span: span.max(interval * 20),
        warm_up: Time::from_us(60) + interval,
        interrupts: Some(interval),
        ..Load::new(16, Work::Request(SMALL), Service::Answer(SMALL as usize))
    };
    let measured = rig::run(subject, &load)?;
    let packets = measured.nic.pcie_packets.get("msix_up").copied();
    let elapsed = measured.nic.clock_cycles as f64 / subject.point.clock.0 as f64;
    let latency = &measured.seen.latency;
    Ok(Moderated {
        interval_ns: interval.ns(),
        interrupts_per_ms: packets.unwrap_or(0) as f64 / (elapsed * 1e3),
        mrps: measured.answers.rate() * 1e-6,
        p50_ns: latency.quantile(5_000).ns(),
        p9999_ns: latency.quantile(9_999).ns(),
    })
}

/// One point of the ladder: 64 connections, 2-KB echoes.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    pub design: String,
    pub goodput_gbps: f64,
    /// What wire, bus, PCIe and protocol units allow, and which of them allows least.
    pub limit_gbps: f64,
    pub limit: &'static str,
    pub p50_ns: u64,
    pub p9999_ns: u64,
}

/// Until all connections are open and have taken turns at the slowest step, whose round trip
/// takes 330 us.
const LADDER_WARM_UP: Time = Time::from_us(1_000);

/// Measures one point of the ladder.
///
/// # Errors
/// As [`rig::run`].
pub fn step(subject: &Subject, span: Time) -> Result<Step> {
    const SIZE: u64 = 2048;
    let load = Load {
        span,
        warm_up: LADDER_WARM_UP,
        ..Load::new(64, Work::Request(SIZE), Service::Answer(SIZE as usize))
    };
    let measured = rig::run(subject, &load)?;
    ensure!(
        measured.drops() == 0,
        "frames were dropped: {:?}",
        measured.nic.drops
    );
    let latency = &measured.seen.latency;
    let limit = bounds::binding(&bounds::echoes(subject, SIZE, FULL));
    Ok(Step {
        design: subject.point.name.clone(),
        goodput_gbps: measured.answers.rate() * (8 * SIZE) as f64 * 1e-9,
        limit_gbps: limit.value,
        limit: limit.name,
        p50_ns: latency.quantile(5_000).ns(),
        p9999_ns: latency.quantile(9_999).ns(),
    })
}

/// One point of a curve.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// What is varied.
    pub at: f64,
    /// Gb/s of payload into the NIC.
    pub receive_gbps: f64,
    /// Gb/s of payload out of the NIC.
    pub send_gbps: f64,
    /// What is possible in either direction, and what limits it.
    pub limit_gbps: f64,
    pub limit: &'static str,
    /// Segments that the generator sent again.
    pub retransmitted: u64,
}

/// Bulk transfer of four connections each way at a loss of `loss`.
///
/// # Errors
/// As [`rig::run`].
pub fn with_loss(subject: &Subject, loss: f64, sack: bool, span: Time) -> Result<Point> {
    let run = |work, service| {
        let load = Load {
            span,
            loss,
            sack,
            ..Load::new(4, work, service)
        };
        rig::run(subject, &load)
    };
    let (receive, send) = (
        run(Work::Send, Service::Sink)?,
        run(Work::Receive, Service::Source)?,
    );
    Ok(Point {
        at: loss,
        receive_gbps: to_host(&receive) * 8e-9,
        send_gbps: send.peer_bytes.rate() * 8e-9,
        // What is lost has to be sent again.
        limit_gbps: bounds::wire_goodput(subject, FULL) * (1.0 - loss),
        limit: "wire",
        retransmitted: receive.seen.retransmitted,
    })
}

/// Times that every connection has its turn while goodput over connections is measured: a window
/// that ends within a round would count bursts.
const ROUNDS: u64 = 4;

/// 2-KB echoes over so many connections, for `span` or as many rounds.
///
/// # Errors
/// As [`rig::run`].
pub fn with_connections(subject: &Subject, connections: usize, span: Time) -> Result<Point> {
    const SIZE: u64 = 2048;
    let limit = bounds::binding(&bounds::echoes(subject, SIZE, FULL));
    let round = (connections as u64 * 8 * SIZE) as f64 / limit.value;
    let load = Load {
        span: span.max(Time::from_ns(round.ceil() as u64) * ROUNDS),
        ring: 8 << 10,
        // All begin at once; it takes a while until the first burst is worked off.
        warm_up: Time::from_us(60) + Time::from_ns(400) * connections as u64,
        ..Load::new(
            connections,
            Work::Request(SIZE),
            Service::Answer(SIZE as usize),
        )
    };
    let measured = rig::run(subject, &load)?;
    Ok(Point {
        at: connections as f64,
        receive_gbps: to_host(&measured) * 8e-9,
        send_gbps: measured.answers.rate() * (8 * SIZE) as f64 * 1e-9,
        limit_gbps: limit.value,
        limit: limit.name,
        retransmitted: measured.seen.retransmitted,
    })
}
