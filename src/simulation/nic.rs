//! What a scenario says of its NICs.

use crate::scenario::{Pcie, Scenario};
use anyhow::{Result, anyhow};
use hallux_channel::{ClockPeriod, LineRate, Probability, Seed, Time};
use hallux_cosim::nic::RtlNicConfig;
use hallux_cosim::nic::mac::MacParameters;
use hallux_cosim::nic::pcie::{Generation, LinkParameters};
use hallux_toe::design::DesignPoint;

/// What the RTL NIC `name` of `design` is like, with nothing observed.
///
/// # Errors
/// A value that no NIC accepts.
pub fn rtl_nic_config(
    name: &str,
    seed: Seed,
    rate: LineRate,
    pcie: &Pcie,
    design: &DesignPoint,
) -> Result<RtlNicConfig> {
    let pcie = pcie_link(pcie, design)?;
    let clock = ClockPeriod::from_hz(design.clock.0)
        .ok_or_else(|| anyhow!("a clock of {} has no period", design.clock))?;
    Ok(RtlNicConfig {
        states_in_host: design.state_cache > 0,
        pcie,
        mac: MacParameters {
            rate,
            ..MacParameters::default()
        },
        ..RtlNicConfig::new(name, clock, seed)
    })
}

/// The PCIe link of a NIC of `design`.
///
/// # Errors
/// There is no such generation.
pub fn pcie_link(pcie: &Pcie, design: &DesignPoint) -> Result<LinkParameters> {
    Ok(LinkParameters {
        generation: Generation::from_number(pcie.generation)
            .ok_or_else(|| anyhow!("PCIe generation {}", pcie.generation))?,
        lanes: pcie.lanes,
        max_payload: design.max_payload.into(),
        max_read_request: design.max_read_request.into(),
        root_latency: Time::from_ps(pcie.root_latency.0),
        root_spread: Time::from_ps(pcie.root_spread.0),
        completion_timeout: Time::from_ps(pcie.completion_timeout.0),
        lost_completions: lost_completions(pcie)?,
        ..LinkParameters::default()
    })
}

/// The probability that the answer to a read is lost.
///
/// # Errors
/// No probability.
pub fn lost_completions(pcie: &Pcie) -> Result<Probability> {
    let lost = pcie.lost_completions;
    Probability::new(lost).ok_or_else(|| anyhow!("pcie.lost_completions {lost} is no probability"))
}

/// The line rate of a scenario's links.
///
/// # Errors
/// No rate.
pub fn line_rate(scenario: &Scenario) -> Result<LineRate> {
    let rate = scenario.line_rate();
    LineRate::from_bps(rate.0).ok_or_else(|| anyhow!("link.rate {rate} is out of range"))
}
