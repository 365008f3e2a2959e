//! The rig: the host's driver, sockets and applications, the RTL NIC with its PCIe link
//! and MAC, and the traffic generator at the other end of a wire.
//!
//! ```text
//!   applications ─ sockets ─ host ══ PCIe Gen4 x16 ══ RTL NIC ══ wire ══ generator
//! ```
//!
//! Software on the host costs no time ("free" profile): the NIC is measured. Everything
//! else is as in a scenario.

use super::apps::{self, Served, Service};
use super::meter::Meter;
use super::peer::frame::Addresses;
use super::peer::{self, FIRST_PORT, Peer, Seen, Work};
use crate::output;
use anyhow::{Context, Result, bail};
use hallux_channel::{ClockPeriod, Component, LineRate, Probability, Seed, Time};
use hallux_cosim::engine::{RunOptions, Simulation};
use hallux_cosim::nic::mac::MacParameters;
use hallux_cosim::nic::pcie::LinkParameters;
use hallux_cosim::nic::{EdgeLog, NicReport, RtlNic, RtlNicConfig};
use hallux_host::apps::report::Report;
use hallux_host::control::HostConfig;
use hallux_host::cpu::CpuProfile;
use hallux_host::driver::CaptureModule;
use hallux_host::host::Host;
use hallux_host::network::{Impairments, Wire};
use hallux_toe::design::DesignPoint;
use hallux_toe::interface::modules::Kind;
use hallux_verilator::Library;
use std::net::Ipv4Addr;
use std::sync::Arc;

const SEED: Seed = Seed(1);
const HOST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const HOST_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const PEER_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const PORT: u16 = 7;
/// One-way delay of PCIe and of the wire.
const PCIE_DELAY: Time = Time::from_ns(100);
const WIRE_DELAY: Time = Time::from_ns(250);

/// A compiled design point.
pub struct Subject {
    pub point: DesignPoint,
    pub library: Arc<Library>,
    pub rate: LineRate,
    /// Print the stall matrix of each run.
    pub stalls: bool,
    /// What the host's driver writes before the NIC takes frames.
    pub registers: Vec<(u64, u64)>,
    /// VLAN of the frames on the wire.
    pub vlan: Option<u16>,
}

/// What flows in one measurement.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub connections: usize,
    pub work: Work,
    pub service: Service,
    /// Largest payload of the generator's segments.
    pub segment: u64,
    /// Bytes of each ring.
    pub ring: u32,
    pub warm_up: Time,
    pub span: Time,
    /// Probability that a frame is lost, each direction.
    pub loss: f64,
    /// The NIC delays acknowledgements, so that they ride on data.
    pub delayed_acks: bool,
    /// Bits a second that the first connection may send.
    pub paced: Option<u64>,
    /// The host offers SACK, where the NIC has something of it.
    pub sack: bool,
    /// The host does not poll but waits for interrupts, which come so far apart at least.
    pub interrupts: Option<Time>,
}

impl Load {
    /// So many connections, nothing lost, rings of 1 MiB or, for many connections, less.
    pub fn new(connections: usize, work: Work, service: Service) -> Self {
        Self {
            connections,
            work,
            service,
            segment: 1448,
            ring: if connections > 64 { 64 << 10 } else { 1 << 20 },
            warm_up: Time::from_us(30),
            span: Time::from_us(100),
            loss: 0.0,
            delayed_acks: false,
            paced: None,
            sack: true,
            interrupts: None,
        }
    }
}

/// What one measurement gave.
pub struct Measured {
    /// Payload bytes a second that the host's applications read.
    pub host_bytes: Meter,
    /// Payload bytes a second that the generator received in order.
    pub peer_bytes: Meter,
    /// Those of its first connection.
    pub first_bytes: Meter,
    /// Answers that the generator received.
    pub answers: Meter,
    pub seen: Seen,
    pub nic: NicReport,
    /// Frames that modules mirrored to the host, and frames that they could not.
    pub mirrored: (u64, u64),
    /// Descriptors that the host wrote.
    pub descriptors: u64,
    /// What crossed the NIC's edges, if it was logged.
    pub edges: EdgeLog,
}

impl Measured {
    /// Frames that the NIC dropped.
    pub fn drops(&self) -> u64 {
        self.nic.drops.values().sum()
    }

    /// Events that entered a stage, in all flow groups, over the whole run.
    pub fn stage_events(&self, stage: &str) -> u64 {
        let further = format!("{stage}_further_");
        let stages = self.nic.stages.iter();
        stages
            .filter(|(name, _)| *name == stage || name.starts_with(&further))
            .map(|(_, counters)| counters.busy)
            .sum()
    }

    /// Bytes of the given PCIe classes over the whole run.
    pub fn pcie(&self, classes: &[&str]) -> u64 {
        classes
            .iter()
            .filter_map(|class| self.nic.pcie.get(*class))
            .sum()
    }
}

/// Runs `load` on the NIC of `subject`.
///
/// # Errors
/// The run failed, a byte arrived wrong, or a connection broke.
pub fn run(subject: &Subject, load: &Load) -> Result<Measured> {
    with_log(subject, load, false)
}

/// As [`run`], with a log of the NIC's edges.
///
/// # Errors
/// As [`run`].
pub fn run_logged(subject: &Subject, load: &Load) -> Result<Measured> {
    with_log(subject, load, true)
}

const OPTIONS: RunOptions = RunOptions {
    stop_quantum: Time::from_us(1),
    max_time: Time::from_ms(2_000),
    cancel: None,
};

/// The two ends of the wire, seen from the generator.
pub fn addresses() -> Addresses {
    Addresses {
        local_mac: PEER_MAC,
        remote_mac: HOST_MAC,
        local_ip: PEER_IP.into(),
        remote_ip: HOST_IP.into(),
    }
}

fn nic_of(subject: &Subject, edges: bool) -> Result<RtlNic> {
    let point = &subject.point;
    let clock = ClockPeriod::from_hz(point.clock.0).context("the clock has no period")?;
    Ok(RtlNic::new(
        RtlNicConfig {
            pcie: LinkParameters {
                max_payload: point.max_payload.into(),
                max_read_request: point.max_read_request.into(),
                ..LinkParameters::default()
            },
            mac: MacParameters {
                rate: subject.rate,
                ..MacParameters::default()
            },
            edges,
            ..RtlNicConfig::new("nic", clock, SEED)
        },
        &subject.library,
    )?)
}

/// The modules of `point` that mirror frames, each with a ring of 4 MiB.
fn captures(point: &DesignPoint) -> Vec<CaptureModule> {
    let modules = (0..).zip(&point.modules);
    modules
        .filter(|(_, module)| module.kind == Kind::Capture)
        .map(|(number, module)| CaptureModule {
            module: number,
            slot: module.slot,
            ring_log2: 22,
        })
        .collect()
}

/// Runs `traffic`, with a port `eth0`, against the NIC of `subject` and a host without work,
/// whose driver makes these `registers`' writes. Gives it back with the NIC's report.
///
/// # Errors
/// The run failed.
pub fn run_with<T: Component + Clone + 'static>(
    subject: &Subject,
    registers: Vec<(u64, u64)>,
    traffic: T,
) -> Result<(T, NicReport)> {
    let mut simulation = Simulation::new();
    let host = simulation.add(Host::new(HostConfig {
        cpu: CpuProfile::free(),
        registers,
        ..HostConfig::new("host", HOST_MAC, HOST_IP, SEED)
    })?)?;
    let nic = simulation.add(nic_of(subject, false)?)?;
    simulation.connect((nic, "pcie"), (host, "pcie"), PCIE_DELAY)?;
    let traffic = simulation.add(traffic)?;
    simulation.connect((nic, "eth"), (traffic, "eth0"), WIRE_DELAY)?;
    simulation.run(&OPTIONS, &mut |_| {})?;
    let nic: &RtlNic = simulation.component(nic).context("the NIC is gone")?;
    let traffic: &T = simulation
        .component(traffic)
        .context("the traffic is gone")?;
    Ok((traffic.clone(), nic.report()))
}

fn with_log(subject: &Subject, load: &Load, edges: bool) -> Result<Measured> {
    let mut simulation = Simulation::new();
    let defaults = HostConfig::new("host", HOST_MAC, HOST_IP, SEED);
    let host = Host::new(HostConfig {
        cpu: CpuProfile::free(),
        poll_window: load.interrupts.map_or(defaults.poll_window, |_| Time::ZERO),
        interrupt_interval: load.interrupts.unwrap_or(Time::ZERO),
        neighbours: vec![(PEER_IP, PEER_MAC)],
        rx_ring: load.ring,
        tx_ring: load.ring,
        record_log2: 12,
        delayed_acks: load.delayed_acks,
        sack: load.sack,
        registers: subject.registers.clone(),
        captures: captures(&subject.point),
        descriptor_log2: 12,
        ..defaults
    })?;
    let (bytes, served) = (Meter::default(), Report::<Served>::new());
    host.run_in_background(apps::serve(
        host.network(),
        PORT,
        load.connections.max(16),
        FIRST_PORT,
        load.service,
        load.paced,
        bytes.clone(),
        served.clone(),
    ));
    let host = simulation.add(host)?;
    let nic = simulation.add(nic_of(subject, edges)?)?;
    simulation.connect((nic, "pcie"), (host, "pcie"), PCIE_DELAY)?;
    let loss = Impairments {
        loss: Probability::new(load.loss).context("a loss is a probability")?,
        ..Impairments::default()
    };
    let wire = simulation.add(Wire::new("wire", SEED, loss, loss))?;
    let half = Time::from_ps(WIRE_DELAY.ps() / 2);
    simulation.connect((nic, "eth"), (wire, "a"), half)?;
    let config = peer::Config {
        rate: subject.rate,
        addresses: addresses(),
        vlan: subject.vlan,
        port: PORT,
        connections: load.connections,
        work: load.work,
        segment: load.segment,
        open_every: Time::from_us(2),
        warm_up: load.warm_up,
        span: load.span,
    };
    let peer = simulation.add(Peer::new(config, vec![bytes.clone()]))?;
    simulation.connect((peer, "eth0"), (wire, "b"), half)?;
    simulation.run(&OPTIONS, &mut |_| {})?;

    let served = served.get();
    let peer: &Peer = simulation
        .component(peer)
        .context("the generator is gone")?;
    let nic: &RtlNic = simulation.component(nic).context("the NIC is gone")?;
    let host: &Host = simulation.component(host).context("the host is gone")?;
    let seen = peer.seen();
    let measured = Measured {
        host_bytes: bytes,
        peer_bytes: peer.received().clone(),
        first_bytes: peer.first_received().clone(),
        answers: peer.answered().clone(),
        nic: nic.report(),
        mirrored: host.with_control(|control| {
            let (written, lost, _) = control.driver.capture_totals();
            (written, lost)
        }),
        descriptors: host.with_control(|control| control.counts.update_descriptors),
        edges: nic.edges().cloned().unwrap_or_default(),
        seen,
    };
    if subject.stalls {
        output::line(nic.stall_matrix());
    }
    let seen = &measured.seen;
    if served.wrong + seen.wrong > 0 {
        bail!(
            "{} bytes arrived wrong at the host, {} at the generator",
            served.wrong,
            seen.wrong
        );
    }
    if let Some(problem) = seen.first_problem {
        bail!(
            "the NIC sent {} bad frames, the first: {problem}",
            seen.bad_frames
        );
    }
    if host.violation_count() > 0 {
        bail!(
            "the NIC reached outside its memory: {:?}",
            host.violations()
        );
    }
    if let Some(failure) = served.failures.first() {
        bail!(
            "{} connections broke at the host, the first: {failure}",
            served.failures.len()
        );
    }
    if seen.resets > 0 {
        bail!("the host reset {} connections", seen.resets);
    }
    Ok(measured)
}
