//! Echoes over a PCIe link that loses answers to reads, or brings them too late, and a host that
//! drains its NIC in the middle: everything is answered in the end, and what went wrong is
//! counted; a host that answers nothing ends the run with the name of the read.
//!
//! ```text
//!  host: echoes ══ fault ══ NIC (RTL) ══ smoltcp: asks
//! ```

use hallux::model::{self, Abilities};
use hallux_channel::{
    ClockPeriod, Component, ComponentError, Counter, Io, LineRate, Message, PortSpec, Protocol,
    Seed, Time,
};
use hallux_cosim::engine::{ComponentId, RunOptions, Simulation};
use hallux_cosim::nic::mac::MacParameters;
use hallux_cosim::nic::pcie::LinkParameters;
use hallux_cosim::nic::{RtlNic, RtlNicConfig};
use hallux_host::application::Network;
use hallux_host::apps::report::Report;
use hallux_host::apps::rpc;
use hallux_host::behavioural::{BehaviouralConfig, BehaviouralNic};
use hallux_host::control::HostConfig;
use hallux_host::host::Host;
use hallux_host::peer::smoltcp::{SmoltcpConfig, SmoltcpHost};
use hallux_toe::design::DesignPoint;
use hallux_toe::interface::{BAR, register};
use std::any::Any;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const SEED: Seed = Seed(5);
const TIMEOUT: Time = Time::from_us(50);
/// When the host resets its NIC.
const RESET: Time = Time::from_us(150);
/// Numbers of the reads that the fault itself makes.
const OWN: u64 = 1 << 40;

/// What the link does wrong.
#[derive(Clone, Copy, Debug)]
struct Faults {
    /// One answer to a read in so many is lost; 0: none.
    lose: u64,
    /// One in so many comes later than the timeout; 0: none.
    delay: u64,
    /// From then on none does.
    prompt_from: Time,
    /// From then on nothing is answered.
    silent_from: Time,
    /// The first payload that is read after that is never answered.
    forgets_from: Time,
    /// The NIC is told to stop taking frames, and asked until it says that it has drained; then
    /// it goes on.
    drain_at: Time,
}

const NONE: Faults = Faults {
    lose: 0,
    delay: 0,
    prompt_from: Time::NEVER,
    silent_from: Time::NEVER,
    forgets_from: Time::NEVER,
    drain_at: Time::NEVER,
};

/// The link: port `nic` is the NIC's host, port `host` the host's device.
#[derive(Debug)]
struct Fault {
    ports: [PortSpec; 2],
    faults: Faults,
    leaving: BTreeMap<(Time, u64), (usize, Message)>,
    sequence: u64,
    answers: u64,
    lost: u64,
    late: u64,
    /// Where the payload lies that is never answered, and the numbers of the reads of it.
    forgotten: Option<u64>,
    unanswered: Vec<u64>,
    /// Values of STATUS that the NIC answered while it drained.
    statuses: Vec<u64>,
    next_drain: Time,
    drained: bool,
}

const NIC: usize = 0;

impl Fault {
    fn new(faults: Faults) -> Self {
        Self {
            ports: [
                PortSpec::new("nic", Protocol::PcieHost),
                PortSpec::new("host", Protocol::PcieDevice),
            ],
            leaving: BTreeMap::new(),
            sequence: 0,
            answers: 0,
            lost: 0,
            late: 0,
            forgotten: None,
            unanswered: Vec::new(),
            statuses: Vec::new(),
            next_drain: faults.drain_at,
            drained: false,
            faults,
        }
    }

    fn leave(&mut self, at: Time, port: usize, message: Message) {
        self.leaving.insert((at, self.sequence), (port, message));
        self.sequence += 1;
    }

    fn control(&mut self, at: Time, value: u64) {
        let write = Message::MmioWrite {
            req_id: OWN,
            bar: BAR,
            offset: register::CONTROL,
            data: value.to_le_bytes().to_vec().into(),
            posted: true,
        };
        self.leave(at, NIC, write);
    }

    fn enter(&mut self, at: Time, port: usize, message: Message) {
        if let Message::MmioReadCompletion { req_id: OWN, data } = &message {
            let mut value = [0; 8];
            value.copy_from_slice(data);
            self.statuses.push(u64::from_le_bytes(value));
            return;
        }
        if let Message::DmaRead { req_id, addr, len } = message {
            // Descriptors are read in bursts of at most 128 bytes.
            if at >= self.faults.forgets_from && len > 128 {
                self.forgotten.get_or_insert(addr);
            }
            if self.forgotten == Some(addr) {
                self.unanswered.push(req_id);
            }
        }
        let Message::DmaReadCompletion { req_id, .. } = message else {
            return self.leave(at, 1 - port, message);
        };
        self.answers += 1;
        if self.unanswered.contains(&req_id) {
            self.lost += 1;
            return;
        }
        let each = |every: u64| every > 0 && self.answers.is_multiple_of(every);
        if each(self.faults.lose) || at >= self.faults.silent_from {
            self.lost += 1;
        } else if each(self.faults.delay) && at < self.faults.prompt_from {
            self.late += 1;
            self.leave(at + TIMEOUT + TIMEOUT, NIC, message);
        } else {
            self.leave(at, NIC, message);
        }
    }

    /// Stops the NIC, then asks every microsecond whether it has drained.
    fn drain(&mut self, at: Time) {
        self.next_drain = at + Time::from_us(1);
        if at == self.faults.drain_at {
            return self.control(at, 0);
        }
        if self.statuses.last() == Some(&2) {
            self.drained = true;
            self.next_drain = Time::NEVER;
            return self.control(at, 1);
        }
        let read = Message::MmioRead {
            req_id: OWN,
            bar: BAR,
            offset: register::STATUS,
            len: 8,
        };
        self.leave(at, NIC, read);
    }
}

impl Component for Fault {
    fn name(&self) -> &str {
        "fault"
    }

    fn ports(&self) -> &[PortSpec] {
        &self.ports
    }

    fn next_action(&self) -> Time {
        let first = self.leaving.first_key_value();
        let leaving = first.map_or(Time::NEVER, |(&(at, _), _)| at);
        leaving.min(self.next_drain)
    }

    fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
        loop {
            let next = self.next_action();
            if let Some((at, port, message)) = io.pop_before(horizon.min(next + Time::from_ps(1))) {
                self.enter(at, port, message);
            } else if next >= horizon {
                return Ok(());
            } else if next == self.next_drain {
                self.drain(next);
            } else if let Some(((at, _), (port, message))) = self.leaving.pop_first() {
                io.send(port, at, message);
            }
        }
    }

    fn finished_at(&self) -> Option<Time> {
        Some(Time::ZERO)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// What a run left behind.
struct Ended {
    error: Option<String>,
    report: rpc::ClientReport,
    /// Counters of the NIC.
    nic: BTreeMap<String, u64>,
    disabled: u64,
    lost: u64,
    late: u64,
    statuses: Vec<u64>,
    drained: bool,
}

const CONNECTIONS: usize = 4;
const REQUESTS: u64 = 60;

/// What the client asks.
fn questions() -> rpc::ClientConfig {
    rpc::ClientConfig {
        server: SocketAddrV4::new(SERVER, 7),
        connections: CONNECTIONS,
        sizes: rpc::Sizes::Cycle(vec![64, 4_000, 10, 30_000]),
        requests: Some(REQUESTS),
        until: None,
        warm_up: Time::ZERO,
        think_time: Time::ZERO,
        resets: 0,
        seed: SEED,
    }
}

fn server() -> Host {
    let host = Host::new(HostConfig::new("server", [2, 0, 0, 0, 0, 1], SERVER, SEED)).unwrap();
    host.run_in_background(rpc::serve(host.network(), 7, CONNECTIONS, Report::new()));
    host
}

fn client() -> SmoltcpHost {
    SmoltcpHost::new(SmoltcpConfig::new(
        "client",
        [2, 0, 0, 0, 0, 2],
        CLIENT,
        SEED,
    ))
}

fn rtl() -> RtlNic {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/designs/toe-sack.toml");
    let design = DesignPoint::read(&path).unwrap();
    let model = model::build(&design, Abilities::default(), &|_| ()).unwrap();
    let config = RtlNicConfig {
        pcie: LinkParameters {
            max_payload: design.max_payload.into(),
            max_read_request: design.max_read_request.into(),
            completion_timeout: TIMEOUT,
            ..LinkParameters::default()
        },
        mac: MacParameters {
            rate: LineRate::from_bps(design.line_rate.0).unwrap(),
            ..MacParameters::default()
        },
        // Far shorter than the timeout: a NIC that waits for the host is not stuck.
        stall_bound: 4_000,
        ..RtlNicConfig::new("nic", ClockPeriod::from_hz(design.clock.0).unwrap(), SEED)
    };
    RtlNic::new(config, &model.library).unwrap()
}

/// Runs the system to its end: the simulation with its host, fault and NIC, and why it ended
/// early.
fn run<N: Component + 'static>(
    nic: N,
    faults: Faults,
    host: Host,
    peer: SmoltcpHost,
) -> (Simulation, [ComponentId; 3], Option<String>) {
    let mut simulation = Simulation::new();
    let host = simulation.add(host).unwrap();
    let fault = simulation.add(Fault::new(faults)).unwrap();
    let nic = simulation.add(nic).unwrap();
    let peer = simulation.add(peer).unwrap();
    for (one, other, delay) in [
        ((fault, "host"), (host, "pcie"), Time::from_ns(50)),
        ((nic, "pcie"), (fault, "nic"), Time::from_ns(50)),
        ((nic, "eth"), (peer, "eth0"), Time::from_us(1)),
    ] {
        simulation.connect(one, other, delay).unwrap();
    }
    let options = RunOptions {
        stop_quantum: Time::from_us(10),
        max_time: Time::from_ms(2_000),
        cancel: None,
    };
    let error = simulation.run(&options, &mut |_| ()).err();
    let error = error.map(|error| error.to_string());
    (simulation, [host, fault, nic], error)
}

fn echoes(faults: Faults) -> Ended {
    let peer = client();
    let (network, report) = (peer.network(), Report::new());
    let kept = report.clone();
    peer.run_to_end(async move {
        network.sleep(Time::from_us(20)).await;
        rpc::call_all(network, questions(), kept).await;
    });
    let (simulation, [host, fault, nic], error) = run(rtl(), faults, server(), peer);
    let nic: &RtlNic = simulation.component(nic).unwrap();
    let fault: &Fault = simulation.component(fault).unwrap();
    let host: &Host = simulation.component(host).unwrap();
    assert_eq!(host.violations(), []);
    let counters = nic.counters().into_iter();
    Ended {
        error,
        report: report.get(),
        nic: counters
            .map(|counter| (counter.name.to_string(), counter.value))
            .collect(),
        disabled: nic.report().drops["disabled"],
        lost: fault.lost,
        late: fault.late,
        statuses: fault.statuses.clone(),
        drained: fault.drained,
    }
}

/// The host resets its NIC in the middle of the first calls, which break; then the same client
/// asks again. How many of the first calls were answered, and the counters of NIC and host.
fn calls_around_a_reset<N: Component + 'static>(
    nic: N,
    faults: Faults,
    drain: bool,
) -> (u64, BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let server = server();
    let network = server.network();
    server.run_in_background(async move {
        network.sleep(RESET).await;
        network.reset_nic(drain).await;
    });
    let peer = client();
    let network = peer.network();
    let (first, second) = (Report::new(), Report::new());
    let reports = (first.clone(), second.clone());
    peer.run_to_end(async move {
        network.sleep(Time::from_us(20)).await;
        rpc::call_all(network.clone(), questions(), reports.0).await;
        rpc::call_all(network, questions(), reports.1).await;
    });
    let (simulation, [host, _, nic], error) = run(nic, faults, server, peer);
    let (first, second) = (first.get(), second.get());
    assert_eq!(error, None);
    assert!(!first.failures.is_empty(), "they break");
    assert_eq!(second.failures, Vec::<String>::new());
    assert_eq!(second.completed, CONNECTIONS as u64 * REQUESTS);
    assert_eq!(first.bytes_mismatched + second.bytes_mismatched, 0);
    let host: &Host = simulation.component(host).unwrap();
    assert_eq!(host.violations(), []);
    let named = |counters: Vec<Counter>| {
        let named = counters.into_iter();
        named.map(|counter| (counter.name.to_string(), counter.value))
    };
    let nic: &N = simulation.component(nic).unwrap();
    (
        first.completed,
        named(nic.counters()).collect(),
        named(host.counters()).collect(),
    )
}

/// A host that never answers the read of one piece of payload: the connection that it belongs to
/// ends, on either side, and the others know nothing of it.
fn assert_one_connection_ends<N: Component + 'static>(nic: N) {
    let peer = client();
    let (network, report) = (peer.network(), Report::new());
    let kept = report.clone();
    peer.run_to_end(async move {
        network.sleep(Time::from_us(20)).await;
        rpc::call_all(network, questions(), kept).await;
    });
    let faults = Faults {
        forgets_from: Time::from_us(150),
        ..NONE
    };
    let (simulation, [host, fault, nic], error) = run(nic, faults, server(), peer);
    assert_eq!(error, None);
    let report = report.get();
    assert_eq!(report.failures.len(), 1, "{:?}", report.failures);
    assert_eq!(report.bytes_mismatched, 0);
    let others = (CONNECTIONS as u64 - 1) * REQUESTS;
    let all = CONNECTIONS as u64 * REQUESTS;
    assert!(
        (others..all).contains(&report.completed),
        "{}",
        report.completed
    );
    let fault: &Fault = simulation.component(fault).unwrap();
    assert!(fault.unanswered.len() >= 4);
    let host: &Host = simulation.component(host).unwrap();
    assert_eq!(host.violations(), []);
    let named = |counters: Vec<Counter>| -> BTreeMap<String, u64> {
        let named = counters.into_iter();
        named.map(|c| (c.name.to_string(), c.value)).collect()
    };
    let host = named(host.counters());
    for (counter, expected) in [
        ("reads_lost", 1),
        ("connections_broken", 1),
        ("malformed_records", 0),
    ] {
        assert_eq!(host[counter], expected, "{counter}");
    }
    // One at the end of the connection, and one for each segment that was still on its way.
    assert!(host["resets_sent"] >= 1);
    let nic: &N = simulation.component(nic).unwrap();
    let nic = named(nic.counters());
    // It may have been sent again meanwhile, and lost again.
    assert!(nic["lost_reads"] >= 1, "{nic:?}");
    assert!(nic["read_timeouts"] >= 3, "{nic:?}");
}

#[test]
fn payload_that_is_never_read_ends_its_connection_and_no_other() {
    assert_one_connection_ends(rtl());
}

#[test]
fn payload_that_a_behavioural_nic_never_reads_ends_its_connection_and_no_other() {
    assert_one_connection_ends(BehaviouralNic::new(BehaviouralConfig {
        completion_timeout: TIMEOUT,
        ..BehaviouralConfig::default()
    }));
}

#[track_caller]
fn assert_answered(ended: &Ended) {
    assert_eq!(ended.error, None);
    assert_eq!(ended.report.failures, Vec::<String>::new());
    assert_eq!(ended.report.completed, CONNECTIONS as u64 * REQUESTS);
    assert_eq!(ended.report.bytes_mismatched, 0);
}

#[test]
fn answers_that_are_lost_or_late_are_asked_for_again_and_counted() {
    let ended = echoes(Faults {
        lose: 211,
        delay: 173,
        ..NONE
    });
    assert_answered(&ended);
    assert!(
        ended.lost >= 5 && ended.late >= 5,
        "{} {}",
        ended.lost,
        ended.late
    );
    // The last ones may not be due yet when all is answered.
    let (timeouts, late) = (ended.nic["read_timeouts"], ended.nic["late_completions"]);
    let faults = ended.lost + ended.late;
    assert!(
        (faults - 2..=faults).contains(&timeouts),
        "{timeouts} of {faults}"
    );
    assert!((ended.late - 2..=ended.late).contains(&late), "{late}");
}

#[test]
fn a_host_that_answers_nothing_ends_the_run_with_the_name_of_the_read() {
    let ended = echoes(Faults {
        silent_from: Time::from_us(300),
        ..NONE
    });
    let error = ended.error.expect("the host answers nothing");
    for part in [
        "does not answer the read of",
        "asked 16 times",
        "clock cycle",
    ] {
        assert!(error.contains(part), "no {part:?} in {error:?}");
    }
}

/// Late answers to what it had asked before the reset are known and thrown away.
#[test]
fn a_nic_is_reset_in_the_middle_and_carries_new_connections() {
    let late = Faults {
        delay: 5,
        prompt_from: RESET,
        ..NONE
    };
    for (faults, drain) in [(late, false), (NONE, true)] {
        let (answered, nic, host) = calls_around_a_reset(rtl(), faults, drain);
        assert!((1..CONNECTIONS as u64 * REQUESTS).contains(&answered));
        assert_eq!(nic["resets"], 1);
        assert!((1..=CONNECTIONS as u64).contains(&host["connections_broken"]));
        assert_eq!(host["unexpected_completions"], 0);
        assert_eq!(host["malformed_records"], 0);
        if !drain {
            assert!(
                nic["late_completions"] > nic["read_timeouts"] / 2,
                "{nic:?}"
            );
        }
    }
}

#[test]
fn a_behavioural_nic_is_reset_in_the_middle_and_carries_new_connections() {
    let late = Faults {
        delay: 5,
        prompt_from: RESET,
        ..NONE
    };
    for (faults, drain) in [(late, false), (NONE, true)] {
        let nic = BehaviouralNic::new(BehaviouralConfig::default());
        let (answered, _, host) = calls_around_a_reset(nic, faults, drain);
        assert!((1..CONNECTIONS as u64 * REQUESTS).contains(&answered));
        assert!((1..=CONNECTIONS as u64).contains(&host["connections_broken"]));
        assert_eq!(host["malformed_records"], 0);
    }
}

#[test]
fn a_nic_drains_in_the_middle_and_goes_on() {
    let ended = echoes(Faults {
        drain_at: Time::from_us(200),
        ..NONE
    });
    assert_answered(&ended);
    assert!(ended.drained, "{:?}", ended.statuses);
    assert!(ended.statuses.len() >= 2 && ended.statuses.iter().all(|status| status & 1 == 0));
    assert!(ended.disabled > 0, "frames came meanwhile and were dropped");
    assert_eq!(ended.nic["read_timeouts"], 0);
}
