//! Goodput over loss, for every number of intervals held out of order and both recoveries.

use super::report::plain;
use super::rig::Subject;
use super::throughput::{self, Point};
use anyhow::Result;
use hallux_channel::Time;
use hallux_toe::design::{DesignPoint, Recovery};
use serde::Serialize;

/// Every number of intervals that a design point can have.
pub const INTERVALS: [u32; 4] = [0, 1, 2, 4];

/// The curve of one design point.
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    /// Intervals that a connection holds out of order.
    pub intervals: u32,
    /// How lost segments are sent again.
    pub recovery: &'static str,
    /// Goodput of four connections each way over the share of frames lost.
    pub points: Vec<Point>,
}

/// Connections of the NIC: four are used, and a small NIC is built and reset sooner.
const CONNECTIONS: u32 = 64;

/// `point` with another number of intervals, few connections, and recovery by SACK: where SACK
/// is not negotiated, that is go-back-N.
pub fn with_intervals(point: &DesignPoint, intervals: u32) -> DesignPoint {
    DesignPoint {
        ooo_intervals: intervals,
        recovery: Recovery::Sack,
        connections: CONNECTIONS.max(16 * point.groups),
        flow_table_buckets: CONNECTIONS.max(16 * point.groups) / 4,
        ..point.clone()
    }
}

/// The curve of a compiled design point; with `sack`, host and peer agree to it.
///
/// # Errors
/// As [`throughput::with_loss`].
pub fn measure(subject: &Subject, sack: bool, losses: &[f64], span: Time) -> Result<Curve> {
    let mut points = Vec::new();
    for &loss in losses {
        points.push(throughput::with_loss(subject, loss, sack, span)?);
    }
    Ok(Curve {
        intervals: subject.point.ooo_intervals,
        recovery: if sack { "SACK" } else { "go-back-N" },
        points,
    })
}

/// The curves for people.
pub fn table(curves: &[Curve]) -> String {
    let mut table = plain(&["intervals, recovery", "loss", "receive Gb/s", "send Gb/s"]);
    for curve in curves {
        for point in &curve.points {
            table.add_row([
                format!("{}, {}", curve.intervals, curve.recovery),
                point.at.to_string(),
                format!("{:.3}", point.receive_gbps),
                format!("{:.3}", point.send_gbps),
            ]);
        }
    }
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}
