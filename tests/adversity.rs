//! Echoes over a wire that adds, behind every segment, one that no peer should send: nothing
//! of it reaches a stream, everything is dropped for its reason or goes to the control plane,
//! and nothing gets stuck. Some segments overtake others besides. Once through gates, once through the behavioural NIC.
//!
//! ```text
//!  host: echoes ══ PCIe ══ NIC ══ meddler ══ smoltcp: asks
//! ```

#[path = "adversity/meddler.rs"]
mod meddler;

use hallux::model::{self, Abilities};
use hallux_channel::{ClockPeriod, Component, LineRate, Seed, Time};
use hallux_cosim::engine::{RunOptions, Simulation};
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
use meddler::{KINDS, Meddler};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const SEED: Seed = Seed(5);

/// Asks over three connections until all is answered; what the NIC dropped, by reason, and how
/// often each kind of segment was added.
fn echoes<N: Component + 'static>(
    nic: N,
    drops: impl Fn(&N) -> BTreeMap<String, u64>,
) -> (BTreeMap<String, u64>, BTreeMap<&'static str, u64>) {
    const CONNECTIONS: usize = 3;
    const REQUESTS: u64 = 300;
    let host = Host::new(HostConfig::new("server", [2, 0, 0, 0, 0, 1], SERVER, SEED)).unwrap();
    host.run_in_background(rpc::serve(host.network(), 7, CONNECTIONS, Report::new()));
    let peer = SmoltcpHost::new(SmoltcpConfig::new(
        "client",
        [2, 0, 0, 0, 0, 2],
        CLIENT,
        SEED,
    ));
    let (network, report) = (peer.network(), Report::new());
    let config = rpc::ClientConfig {
        server: SocketAddrV4::new(SERVER, 7),
        connections: CONNECTIONS,
        sizes: rpc::Sizes::Cycle(vec![64, 4_000, 10, 30_000]),
        requests: Some(REQUESTS),
        until: None,
        warm_up: Time::ZERO,
        think_time: Time::ZERO,
        resets: 0,
        seed: SEED,
    };
    let kept = report.clone();
    peer.run_to_end(async move {
        // The host brings its NIC up.
        network.sleep(Time::from_us(20)).await;
        rpc::call_all(network, config, kept).await;
    });

    let mut simulation = Simulation::new();
    let host = simulation.add(host).unwrap();
    let nic = simulation.add(nic).unwrap();
    let wire = simulation.add(Meddler::new()).unwrap();
    let peer = simulation.add(peer).unwrap();
    let delay = Time::from_ns(500);
    for (one, other, delay) in [
        ((nic, "pcie"), (host, "pcie"), Time::from_ns(100)),
        ((nic, "eth"), (wire, "a"), delay),
        ((peer, "eth0"), (wire, "b"), delay),
    ] {
        simulation.connect(one, other, delay).unwrap();
    }
    let options = RunOptions {
        stop_quantum: Time::from_us(10),
        max_time: Time::from_ms(5_000),
        cancel: None,
    };
    simulation.run(&options, &mut |_| ()).unwrap();

    let report: rpc::ClientReport = report.get();
    assert_eq!(report.failures, Vec::<String>::new());
    assert_eq!(report.completed, CONNECTIONS as u64 * REQUESTS);
    assert_eq!(report.bytes_mismatched, 0);
    let host = simulation.component::<Host>(host).unwrap();
    assert_eq!(host.violations(), []);
    let counters = host.counters();
    let count = |name: &str| {
        let found = counters.iter().find(|counter| counter.name == name);
        found.unwrap_or_else(|| panic!("no counter {name}")).value
    };
    assert_eq!(count("connections_broken") + count("malformed_records"), 0);
    let meddler = simulation.component::<Meddler>(wire).unwrap();
    assert!(meddler.overtaken >= 50, "{}", meddler.overtaken);
    let added = meddler.added.clone();
    // What the fast path does not know is the control plane's, which ignores it.
    let unknown = [
        "unknown option",
        "option without length",
        "option longer than the header",
    ];
    let passed: u64 = unknown.iter().map(|kind| added[kind]).sum();
    let ignored = count("slow_path_frames_ignored");
    let drops = drops(simulation.component::<N>(nic).unwrap());
    assert_eq!(ignored, passed, "{drops:?} of {added:?}");
    (drops, added)
}

/// Each kind was tried, and what is damaged was dropped for what it is.
fn check(drops: &BTreeMap<String, u64>, added: &BTreeMap<&'static str, u64>) {
    for (kind, _) in KINDS {
        assert!(
            added.get(kind).is_some_and(|&count| count >= 3),
            "{kind} was hardly tried"
        );
    }
    for (reason, kind) in [
        ("tcp_checksum", "bad TCP checksum"),
        ("ip_checksum", "bad IP checksum"),
        ("truncated", "truncated"),
        ("oversize", "oversized"),
    ] {
        assert_eq!(drops[reason], added[kind], "{kind}");
    }
    let all: u64 = drops.values().sum();
    let damaged = [
        "bad TCP checksum",
        "bad IP checksum",
        "truncated",
        "oversized",
    ];
    let expected: u64 = damaged.iter().map(|kind| added[kind]).sum();
    assert_eq!(all, expected, "{drops:?}");
}

#[test]
fn nothing_hostile_gets_through_the_gates() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/designs/toe-sack.toml");
    let design = DesignPoint::read(&path).unwrap();
    let model = model::build(&design, Abilities::default(), &|_| ()).unwrap();
    let config = RtlNicConfig {
        pcie: LinkParameters {
            max_payload: design.max_payload.into(),
            max_read_request: design.max_read_request.into(),
            ..LinkParameters::default()
        },
        mac: MacParameters {
            rate: LineRate::from_bps(design.line_rate.0).unwrap(),
            ..MacParameters::default()
        },
        ..RtlNicConfig::new("nic", ClockPeriod::from_hz(design.clock.0).unwrap(), SEED)
    };
    let nic = RtlNic::new(config, &model.library).unwrap();
    let (drops, added) = echoes(nic, |nic| nic.report().drops);
    check(&drops, &added);
}

#[test]
fn nothing_hostile_gets_through_the_behavioural_nic() {
    for (ooo_intervals, sack_recovery) in [(0, false), (1, false), (4, true)] {
        let nic = BehaviouralNic::new(BehaviouralConfig {
            ooo_intervals,
            sack_recovery,
            ..BehaviouralConfig::default()
        });
        let (drops, added) = echoes(nic, BehaviouralNic::drops);
        check(&drops, &added);
    }
}
