//! What coalescing of descriptors does where the protocol stage is the bottleneck of one
//! connection: under `lock`, which takes an event of it in eight clocks.

use super::apps::Service;
use super::peer::Work;
use super::report::plain;
use super::rig::{self, Load, Subject};
use anyhow::Result;
use hallux_channel::{LineRate, Time};
use hallux_toe::design::{DesignPoint, SameFlow};
use serde::Serialize;

/// Depths of the queue.
pub const DEPTHS: [u32; 2] = [0, 8];

const SEGMENT: u64 = 64;

/// Of the wire: 64-byte segments at this rate take two thirds of the protocol stage under `lock`
/// at 250 MHz, and as many descriptors are more than it can take beside them.
pub const RATE: LineRate = match LineRate::from_bps(25_000_000_000) {
    Some(rate) => rate,
    None => unreachable!(),
};

/// Connections of the NIC: one is used, and a small NIC is built and reset sooner.
const CONNECTIONS: u32 = 64;

/// Echoes of one connection, whose segments and descriptors meet at the protocol stage.
#[derive(Clone, Debug, Serialize)]
pub struct Coalesced {
    /// Descriptors that may wait and are added up; 0: none.
    pub coalesce: u32,
    /// Gb/s of payload from the wire, and back to it.
    pub received_gbps: f64,
    pub returned_gbps: f64,
    /// Descriptors that the host wrote, and events of every kind that the protocol stage took,
    /// over the whole run.
    pub descriptors: u64,
    pub events: u64,
}

/// `point` under `lock`, with few connections and a queue of `depth` descriptors.
pub fn with_depth(point: &DesignPoint, depth: u32) -> DesignPoint {
    let connections = CONNECTIONS.max(16 * point.groups);
    DesignPoint {
        same_flow: SameFlow::Lock,
        coalesce: depth,
        connections,
        flow_table_buckets: connections / 4,
        ..point.clone()
    }
}

/// 64-byte segments of one connection, all of which come back.
///
/// # Errors
/// As [`rig::run`].
pub fn measure(subject: &Subject, span: Time) -> Result<Coalesced> {
    let load = Load {
        segment: SEGMENT,
        span,
        warm_up: Time::from_us(60),
        ..Load::new(1, Work::Send, Service::Echo)
    };
    let measured = rig::run(subject, &load)?;
    Ok(Coalesced {
        coalesce: subject.point.coalesce,
        received_gbps: measured.host_bytes.rate() * 8e-9,
        returned_gbps: measured.peer_bytes.rate() * 8e-9,
        descriptors: measured.descriptors,
        events: measured.stage_events("protocol"),
    })
}

/// The figures for people.
pub fn table(measured: &[Coalesced]) -> String {
    let mut table = plain(&[
        "echo of 64-B segments, one flow, `lock`",
        "in Gb/s",
        "out Gb/s",
        "descriptors",
        "events",
    ]);
    for figures in measured {
        table.add_row([
            format!("coalesce = {}", figures.coalesce),
            format!("{:.3}", figures.received_gbps),
            format!("{:.3}", figures.returned_gbps),
            figures.descriptors.to_string(),
            figures.events.to_string(),
        ]);
    }
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}
