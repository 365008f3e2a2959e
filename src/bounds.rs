//! What no NIC on this wire, this link, this clock and this host can exceed: capacities
//! of resources, each from its parameters alone.

use hallux_channel::ethernet::wire_bytes;
use hallux_channel::{LineRate, Time};
use hallux_cosim::nic::pcie::LinkParameters;
use hallux_toe::design::{DesignPoint, Pipeline, SameFlow};
use hallux_toe::interface::STATE_BYTES;
use hallux_toe::stages::state_cache::FILLS;

/// Clocks from one event to the next in a protocol unit that finishes each before it
/// takes another: the depth of its pipeline.
const SERIAL_INTERVAL: u64 = 13;

/// Clocks that the protocol stage's memories need to give up one state and take another.
const EXCHANGE: u64 = 7;

/// Frames of `bytes` bytes without FCS a second.
pub fn wire_frames(rate: LineRate, bytes: u64) -> f64 {
    rate.bps() as f64 / (8 * wire_bytes(bytes as usize)) as f64
}

/// Line bytes a second in one direction; preamble, FCS and gap count.
pub fn wire_bytes_per_second(rate: LineRate) -> f64 {
    rate.bps() as f64 / 8.0
}

/// Beats a second in one direction of the bus.
pub fn beats_per_second(point: &DesignPoint) -> f64 {
    point.clock.0 as f64
}

/// Frames of `bytes` bytes without FCS a second: a frame is whole beats.
pub fn bus_frames(point: &DesignPoint, bytes: u64) -> f64 {
    let beats = bytes.div_ceil(u64::from(point.bus_bits / 8));
    beats_per_second(point) / beats as f64
}

/// Bytes a second in one direction of a PCIe link, headers and framing counting as bytes;
/// what acknowledgements and credit updates take is deducted.
pub fn pcie_bytes_per_second(link: &LinkParameters) -> f64 {
    // Over a long stretch, so that rounding to picoseconds does not matter.
    const STRETCH: u64 = 1 << 20;
    STRETCH as f64 / (link.wire_time(STRETCH).ps() as f64 * 1e-12)
}

/// Clocks from event to event in one protocol unit.
pub fn protocol_interval(point: &DesignPoint) -> u64 {
    match point.pipeline {
        Pipeline::Pipelined => 1,
        Pipeline::Serial | Pipeline::RunToCompletion => SERIAL_INTERVAL,
    }
}

/// Protocol events a second, all groups together.
pub fn protocol_events_per_second(point: &DesignPoint) -> f64 {
    point.clock.0 as f64 * f64::from(point.groups) / protocol_interval(point) as f64
}

/// Clocks from event to event of one connection (decision 006).
pub fn same_flow_interval(point: &DesignPoint) -> u64 {
    let interval = match point.same_flow {
        SameFlow::Forward1 => 1,
        SameFlow::Forward2 => 2,
        SameFlow::Lock => 8,
    };
    interval.max(protocol_interval(point))
}

/// Protocol events a second of one connection.
pub fn same_flow_events_per_second(point: &DesignPoint) -> f64 {
    point.clock.0 as f64 / same_flow_interval(point) as f64
}

/// States a second that a cache in front of the protocol stage can bring from host memory: so many
/// reads at a time, and one exchange after the other. Infinite where all states are on chip.
pub fn state_fills_per_second(point: &DesignPoint, link: &LinkParameters, delay: Time) -> f64 {
    if point.state_cache == 0 {
        return f64::INFINITY;
    }
    let held = read_time(link, delay, STATE_BYTES).ps() as f64 * 1e-12;
    let exchanges = point.clock.0 as f64 / EXCHANGE as f64;
    exchanges.min(FILLS as f64 / held)
}

/// How long a read of `bytes` bytes holds its tag when nothing is in its way: request and
/// completions on the link, both ways of `delay`, and the root complex in the mean.
pub fn read_time(link: &LinkParameters, delay: Time, bytes: u64) -> Time {
    /// Bytes around the data of a completion, and of a whole request.
    const PACKET: u64 = 24;
    let packets = bytes.div_ceil(link.completion_boundary).max(1);
    let spread = link.root_spread.ps() / 2 + (packets - 1) * link.completion_spread.ps() / 2;
    link.wire_time(PACKET)
        + delay * 2
        + link.root_latency
        + Time::from_ps(spread)
        + link.wire_time(bytes + packets * PACKET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_figures_come_out() {
        let rate = LineRate::from_bps(100_000_000_000).unwrap();
        // 134 bytes with FCS, 154 with preamble and gap: 81.17 M/s.
        assert_eq!((wire_frames(rate, 130) / 1e4).round(), 8_117.0);
        let gen4 = pcie_bytes_per_second(&LinkParameters::default());
        // 16 GT/s · 16 lanes · 128/130 · 0.97 / 8.
        assert_eq!((gen4 / 1e7).round(), 3_056.0);
    }

    #[test]
    fn a_tag_is_held_for_the_way_and_the_answer() {
        let link = LinkParameters {
            root_latency: Time::from_us(1),
            root_spread: Time::ZERO,
            completion_spread: Time::ZERO,
            ..LinkParameters::default()
        };
        let held = read_time(&link, Time::from_ns(100), 64);
        assert!(held > Time::from_ns(1_200) && held < Time::from_ns(1_210));
    }
}
