//! What no NIC on this wire, this link and this clock can exceed.

use super::rig::Subject;
use crate::bounds;
use hallux_cosim::nic::pcie::LinkParameters;
use serde::Serialize;

/// Bytes of the headers of a segment with timestamps: Ethernet 14, IPv4 20, TCP 32.
pub const HEADERS: u64 = 66;
/// Upstream bytes that one 64-byte RPC may cost (contracts §6).
pub const RPC_UPSTREAM_BYTES: u64 = 150;
/// Protocol events of one RPC at least: its request, which acknowledges the answer before it;
/// the application's descriptor; the grant of the answer, which acknowledges the request.
pub const RPC_EVENTS: f64 = 3.0;

/// A limit with its name.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bound {
    /// What limits.
    pub name: &'static str,
    /// Where it stands.
    pub value: f64,
}

/// The lowest of several limits.
pub fn binding(bounds: &[Bound]) -> Bound {
    let lowest = bounds
        .iter()
        .copied()
        .min_by(|a, b| a.value.total_cmp(&b.value));
    lowest.unwrap_or(Bound {
        name: "none",
        value: f64::INFINITY,
    })
}

/// Frames a second of `payload` bytes of TCP payload each.
pub fn wire_frames(subject: &Subject, payload: u64) -> Bound {
    Bound {
        name: "wire",
        value: bounds::wire_frames(subject.rate, HEADERS + payload),
    }
}

/// Payload bits a second in segments of `payload` bytes, in Gb/s. Pure acknowledgements
/// are not deducted.
pub fn wire_goodput(subject: &Subject, payload: u64) -> f64 {
    wire_frames(subject, payload).value * (8 * payload) as f64 * 1e-9
}

/// Frames a second that one direction of the bus carries: a frame is whole beats.
pub fn bus_frames(subject: &Subject, payload: u64) -> Bound {
    Bound {
        name: "bus",
        value: bounds::bus_frames(&subject.point, HEADERS + payload),
    }
}

/// How often a second `bytes` upstream bytes go over the PCIe link.
pub fn pcie(bytes: u64) -> Bound {
    Bound {
        name: "PCIe",
        value: bounds::pcie_bytes_per_second(&LinkParameters::default()) / bytes as f64,
    }
}

/// What limits echoes of `payload` bytes of one direction, in Gb/s of payload: frames on the wire and
/// beats on the bus, segments of at most `segment` bytes; bytes over the PCIe link; and events of the
/// protocol units: each segment of the request, the descriptor, and a grant for each segment of
/// the answer.
pub fn echoes(subject: &Subject, payload: u64, segment: u64) -> [Bound; 4] {
    let (full, rest) = (payload / segment, payload % segment);
    let segments = full + u64::from(rest > 0);
    let rate = |of: &dyn Fn(u64) -> f64| {
        let last = if rest > 0 { 1.0 / of(rest) } else { 0.0 };
        1.0 / (full as f64 / of(segment) + last)
    };
    [
        Bound {
            name: "wire",
            value: rate(&|bytes| wire_frames(subject, bytes).value),
        },
        Bound {
            name: "bus",
            value: rate(&|bytes| bus_frames(subject, bytes).value),
        },
        pcie(payload),
        protocol(subject, subject.point.groups, (2 * segments + 1) as f64),
    ]
    .map(|bound| Bound {
        value: bound.value * (8 * payload) as f64 * 1e-9,
        ..bound
    })
}

/// How often a second `events` events pass the protocol units of `groups` flow groups.
pub fn protocol(subject: &Subject, groups: u32, events: f64) -> Bound {
    let share = f64::from(groups) / f64::from(subject.point.groups);
    Bound {
        name: "protocol",
        value: bounds::protocol_events_per_second(&subject.point) * share / events,
    }
}
