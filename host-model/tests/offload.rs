//! A host with an offload engine and a smoltcp host on an impaired wire: driver, control
//! plane and sockets end to end, on the behavioural NIC.
//!
//! ```text
//!   host ══ PCIe ══ NIC ── wire ── peer (smoltcp)
//! ```

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex};

use hallux_channel::{Component, Probability, Seed, Time};
use hallux_cosim::engine::{Direction, Outcome, RunOptions, Simulation};
use hallux_cosim::observe::pcapng::PcapngWriter;
use hallux_cosim::observe::rtt::TcpObserver;
use hallux_host::application::{Listener, NetError, Network, Stream};
use hallux_host::apps::files::FileTree;
use hallux_host::apps::report::Report;
use hallux_host::apps::{http, rpc};
use hallux_host::behavioural::{BehaviouralConfig, BehaviouralNic};
use hallux_host::control::HostConfig;
use hallux_host::host::Host;
use hallux_host::network::{Burst, Impairments, Wire};
use hallux_host::peer::smoltcp::{SmoltcpConfig, SmoltcpHost};
use hallux_toe::interface::COUNTERS;

const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const SEED: Seed = Seed(11);

/// All that a run leaves behind.
struct Run {
    outcome: Outcome,
    capture: Vec<u8>,
    /// At the NIC's port.
    tcp: TcpObserver,
    counters: Vec<(&'static str, u64)>,
    violations: Vec<String>,
}

impl Run {
    fn count(&self, name: &str) -> u64 {
        let found = self.counters.iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("no counter {name}")).1
    }

    /// What must hold whatever the wire does.
    fn assert_sound(&self) {
        assert_eq!(self.violations, Vec::<String>::new());
        for name in [
            "malformed_records",
            "unexpected_completions",
            "unexpected_messages",
        ] {
            assert_eq!(self.count(name), 0, "{name}");
        }
    }
}

fn config() -> HostConfig {
    HostConfig::new("host", [2, 0, 0, 0, 0, 1], HOST, SEED)
}

/// Runs until the applications are done.
fn run(
    config: HostConfig,
    impairments: Impairments,
    set_up: impl FnOnce(&Host, &SmoltcpHost),
) -> Run {
    run_on(BehaviouralConfig::default(), config, impairments, set_up)
}

/// A NIC that reports what it holds out of order, and sends only what the peer lacks again.
fn with_sack() -> BehaviouralConfig {
    BehaviouralConfig {
        ooo_intervals: 4,
        sack_recovery: true,
        ..BehaviouralConfig::default()
    }
}

/// As [`run`], on a NIC of this kind.
fn run_on(
    nic: BehaviouralConfig,
    config: HostConfig,
    impairments: Impairments,
    set_up: impl FnOnce(&Host, &SmoltcpHost),
) -> Run {
    let host = Host::new(config).unwrap();
    let peer = SmoltcpHost::new(SmoltcpConfig::new("peer", [2, 0, 0, 0, 0, 2], PEER, SEED));
    set_up(&host, &peer);

    let mut simulation = Simulation::new();
    let host = simulation.add(host).unwrap();
    let nic = simulation.add(BehaviouralNic::new(nic)).unwrap();
    let wire = simulation
        .add(Wire::new("wire", SEED, impairments, impairments))
        .unwrap();
    let peer = simulation.add(peer).unwrap();
    let latency = Time::from_ns(250);
    simulation
        .connect((host, "pcie"), (nic, "pcie"), latency)
        .unwrap();
    simulation
        .connect((nic, "eth"), (wire, "a"), latency)
        .unwrap();
    simulation
        .connect((wire, "b"), (peer, "eth0"), latency)
        .unwrap();

    let at_nic = simulation.tap((nic, "eth"), "nic").unwrap();
    let capture = Arc::new(Mutex::new(
        PcapngWriter::new(Vec::new(), simulation.interfaces()).unwrap(),
    ));
    let tcp = Arc::new(Mutex::new(TcpObserver::new(at_nic)));
    simulation.add_sink(Arc::clone(&capture));
    simulation.add_sink(Arc::clone(&tcp));

    let options = RunOptions {
        stop_quantum: Time::from_us(10),
        max_time: Time::from_ms(2_000),
        cancel: None,
    };
    let outcome = match simulation.run(&options, &mut |_| ()) {
        Ok(outcome) => outcome,
        Err(error) => panic!("{error}"),
    };
    let host = simulation.component::<Host>(host).unwrap();
    let counters = host
        .counters()
        .into_iter()
        .map(|counter| (counter.name, counter.value))
        .collect();
    let violations = host.violations().iter().map(ToString::to_string).collect();
    drop(simulation);
    Run {
        outcome,
        capture: sole_owner(capture).into_inner().unwrap(),
        tcp: sole_owner(tcp),
        counters,
        violations,
    }
}

fn sole_owner<T>(shared: Arc<Mutex<T>>) -> T {
    Arc::into_inner(shared)
        .expect("the simulation is gone")
        .into_inner()
        .unwrap()
}

fn perfect() -> Impairments {
    Impairments::default()
}

fn lossy() -> Impairments {
    Impairments {
        loss: Probability::new(0.01).unwrap(),
        ..Impairments::default()
    }
}

fn files() -> FileTree {
    let mut files = FileTree::default();
    let content = |len: u32, factor: u32| -> Vec<u8> {
        (0..len)
            .map(|n| (n.wrapping_mul(factor) >> 13) as u8)
            .collect()
    };
    files.insert("index.html", "<!doctype html><title>Hallux</title>");
    files.insert("empty", "");
    files.insert("small.bin", content(1_000, 2_654_435_761));
    files.insert("medium.bin", content(70_000, 40_503));
    files.insert("large.bin", content(3_000_000, 2_246_822_519));
    files
}

/// The host serves files to the peer.
fn serve_files(config: HostConfig, impairments: Impairments) -> (Run, http::ClientReport) {
    serve_files_on(BehaviouralConfig::default(), config, impairments)
}

/// As [`serve_files`], on a NIC of this kind.
fn serve_files_on(
    nic: BehaviouralConfig,
    config: HostConfig,
    impairments: Impairments,
) -> (Run, http::ClientReport) {
    let report = Report::new();
    let tree = Arc::new(files());
    let run = run_on(nic, config, impairments, |host, peer| {
        host.run_in_background(http::serve(
            host.network(),
            Arc::clone(&tree),
            http::ServerConfig::default(),
            Report::new(),
        ));
        let config = http::ClientConfig {
            server: SocketAddrV4::new(HOST, 80),
            connections: 3,
            files: tree.manifest(),
        };
        peer.run_to_end(http::fetch_all(peer.network(), config, report.clone()));
    });
    (run, report.get())
}

#[test]
fn files_reach_an_independent_stack() {
    let (run, client) = serve_files(config(), perfect());
    assert_eq!(client.failures, Vec::<String>::new());
    assert_eq!(client.bytes_verified, files().total_bytes());
    run.assert_sound();
    let sent = run.tcp.traffic(Direction::Sent);
    assert_eq!(sent.retransmitted_segments, 0);
    assert_eq!((sent.segments.syn, sent.segments.rst), (3, 0));
    assert_eq!(run.count("connections_opened_passively"), 3);
    for counter in &run.counters {
        println!("{counter:?}");
    }
}

#[test]
fn one_percent_of_loss_costs_time_but_no_byte() {
    let (clean, _) = serve_files(config(), perfect());
    let (run, client) = serve_files(config(), lossy());
    assert_eq!(client.failures, Vec::<String>::new());
    assert_eq!(client.bytes_verified, files().total_bytes());
    run.assert_sound();
    assert!(run.tcp.traffic(Direction::Sent).retransmitted_segments > 0);
    assert!(run.outcome.completed > clean.outcome.completed);
}

/// The peer, which reports what it holds, is the same in both runs.
#[test]
fn with_sack_only_what_was_lost_is_sent_again() {
    let sent_again = |config: HostConfig| {
        let (run, client) = serve_files_on(with_sack(), config, lossy());
        assert_eq!(client.failures, Vec::<String>::new());
        assert_eq!(client.bytes_verified, files().total_bytes());
        run.assert_sound();
        run.tcp.traffic(Direction::Sent).retransmitted_segments
    };
    let sack = sent_again(config());
    let gbn = sent_again(HostConfig {
        sack: false,
        ..config()
    });
    println!("segments sent again: {sack} with SACK, {gbn} without");
    assert!(
        sack > 0 && 2 * sack < gbn,
        "{sack} with SACK, {gbn} without"
    );
}

#[test]
fn equal_runs_give_equal_captures() {
    let (first, _) = serve_files(config(), lossy());
    let (second, _) = serve_files(config(), lossy());
    assert_eq!(first.outcome, second.outcome);
    assert_eq!(first.counters, second.counters);
    assert!(first.capture == second.capture, "captures differ");
}

#[test]
fn the_smallest_rings_serve_as_well() {
    let small = HostConfig {
        rx_ring: 8 << 10,
        tx_ring: 8 << 10,
        descriptor_log2: 2,
        record_log2: 4,
        poll_window: Time::ZERO,
        memory_latency: Time::from_ns(80),
        contexts: 3,
        cores: 2,
        ..config()
    };
    for impairments in [perfect(), lossy()] {
        let (run, client) = serve_files(small.clone(), impairments);
        assert_eq!(client.failures, Vec::<String>::new());
        assert_eq!(client.bytes_verified, files().total_bytes());
        run.assert_sound();
    }
}

#[test]
fn the_host_calls_the_peer() {
    let plain = BehaviouralConfig::default();
    for (nic, impairments, requests) in [
        (plain.clone(), perfect(), 200),
        (plain, lossy(), 50),
        (with_sack(), lossy(), 50),
    ] {
        let (report, served) = (Report::new(), Report::new());
        let run = run_on(nic, config(), impairments, |host, peer| {
            peer.run_in_background(rpc::serve(peer.network(), 7, 8, served.clone()));
            let config = rpc::ClientConfig {
                server: SocketAddrV4::new(PEER, 7),
                connections: 8,
                sizes: rpc::Sizes::Cycle(vec![64, 4_000, 10, 100_000]),
                requests: Some(requests),
                until: None,
                warm_up: Time::ZERO,
                think_time: Time::ZERO,
                resets: 0,
                seed: SEED,
            };
            host.run_to_end(rpc::call_all(host.network(), config, report.clone()));
        });
        let report: rpc::ClientReport = report.get();
        assert_eq!(report.failures, Vec::<String>::new());
        assert_eq!(report.completed, 8 * requests);
        assert_eq!(report.bytes_mismatched, 0);
        assert_eq!(run.count("connections_opened_actively"), 8);
        run.assert_sound();
    }
}

/// What a connection attempt and a read on it gave.
type Outcomes = Report<Vec<Result<usize, NetError>>>;

#[test]
fn failures_have_their_own_errors() {
    let outcomes = Outcomes::new();
    let run = run(config(), perfect(), |host, peer| {
        let network = peer.network();
        peer.run_in_background(async move {
            let mut listener = network.listen(7, 1).await.unwrap();
            // Dropped, a stream is aborted.
            drop(listener.accept().await);
        });
        let (network, outcomes) = (host.network(), outcomes.clone());
        host.run_to_end(async move {
            let nobody = Ipv4Addr::new(10, 0, 0, 77);
            let far = Ipv4Addr::new(10, 9, 0, 1);
            for (ip, port) in [(PEER, 8), (PEER, 0), (nobody, 7), (far, 7)] {
                let result = network.connect(SocketAddrV4::new(ip, port)).await;
                outcomes.with(|outcomes| outcomes.push(result.map(|_| 0)));
            }
            let mut stream = network.connect(SocketAddrV4::new(PEER, 7)).await.unwrap();
            let result = stream.read(&mut [0; 8]).await;
            outcomes.with(|outcomes| outcomes.push(result));
        });
    });
    assert_eq!(
        outcomes.get(),
        [
            Err(NetError::ConnectionRefused),
            Err(NetError::InvalidInput),
            Err(NetError::HostUnreachable),
            Err(NetError::HostUnreachable),
            Err(NetError::Reset),
        ]
    );
    run.assert_sound();
}

#[test]
fn a_silent_peer_times_out() {
    let outcomes = Outcomes::new();
    let known = HostConfig {
        neighbours: vec![(PEER, [2, 0, 0, 0, 0, 2])],
        ..config()
    };
    let deaf = Impairments {
        loss: Probability::new(1.0).unwrap(),
        ..perfect()
    };
    let run = run(known, deaf, |host, _| {
        let (network, outcomes) = (host.network(), outcomes.clone());
        host.run_to_end(async move {
            let result = network.connect(SocketAddrV4::new(PEER, 7)).await;
            outcomes.with(|outcomes| outcomes.push(result.map(|_| 0)));
        });
    });
    assert_eq!(outcomes.get(), [Err(NetError::TimedOut)]);
    assert_eq!(run.count("syn_retransmissions"), 6);
    run.assert_sound();
}

/// The wire breaks for good in the middle of a transfer.
#[test]
fn a_broken_wire_ends_the_connection() {
    let outcomes = Outcomes::new();
    let burst = Burst {
        start: Probability::new(0.002).unwrap(),
        end: Probability::new(0.0).unwrap(),
    };
    let run = run(
        config(),
        Impairments {
            burst_loss: Some(burst),
            ..perfect()
        },
        |host, peer| {
            let network = peer.network();
            peer.run_in_background(async move {
                let mut listener = network.listen(7, 1).await.unwrap();
                let mut stream = listener.accept().await.unwrap();
                while stream
                    .read(&mut [0; 4096])
                    .await
                    .is_ok_and(|count| count > 0)
                {}
            });
            let (network, outcomes) = (host.network(), outcomes.clone());
            host.run_to_end(async move {
                let mut stream = network.connect(SocketAddrV4::new(PEER, 7)).await.unwrap();
                let result = stream.write_all(&vec![1; 16 << 20]).await;
                outcomes.with(|outcomes| outcomes.push(result.map(|()| 0)));
            });
        },
    );
    assert_eq!(outcomes.get(), [Err(NetError::TimedOut)]);
    assert_eq!(run.count("timeouts") + run.count("window_probes"), 12);
    assert_eq!(
        (run.count("connections_broken"), run.count("resets_sent")),
        (1, 1)
    );
    run.assert_sound();
}

#[test]
fn a_port_without_listener_refuses_and_a_busy_one_is_in_use() {
    let outcomes = Outcomes::new();
    let run = run(config(), perfect(), |host, peer| {
        let (network, outcomes) = (host.network(), outcomes.clone());
        let server = network.clone();
        host.run_in_background(async move {
            let _listener = server.listen(80, 1).await.unwrap();
            server.sleep(Time::NEVER).await;
        });
        let tried = outcomes.clone();
        host.run_to_end(async move {
            network.sleep(Time::from_us(50)).await;
            let result = network.listen(80, 1).await;
            tried.with(|outcomes| outcomes.push(result.map(|_| 0)));
        });
        let network = peer.network();
        peer.run_to_end(async move {
            network.sleep(Time::from_us(100)).await;
            let result = network.connect(SocketAddrV4::new(HOST, 81)).await;
            outcomes.with(|outcomes| outcomes.push(result.map(|_| 0)));
        });
    });
    assert_eq!(
        outcomes.get(),
        [
            Err(NetError::AddressInUse),
            Err(NetError::ConnectionRefused)
        ]
    );
    assert_eq!(run.count("resets_sent"), 1);
    run.assert_sound();
}

/// The peer's application does not read for so long that its window closes; the host's
/// probes find it open again even if every window update is lost on the way.
#[test]
fn a_closed_window_is_probed_until_it_opens() {
    const BYTES: usize = 3 << 20;
    let outcomes = Outcomes::new();
    let run = run(config(), lossy(), |host, peer| {
        let network = host.network();
        host.run_to_end(async move {
            let mut stream = network.connect(SocketAddrV4::new(PEER, 7)).await.unwrap();
            stream.write_all(&vec![5; BYTES]).await.unwrap();
            stream.close().await;
        });
        let (network, outcomes) = (peer.network(), outcomes.clone());
        peer.run_to_end(async move {
            let mut listener = network.listen(7, 1).await.unwrap();
            let mut stream = listener.accept().await.unwrap();
            let mut total = 0;
            let mut buffer = vec![0; 1 << 16];
            network.sleep(Time::from_ms(30)).await;
            loop {
                match stream.read(&mut buffer).await.unwrap() {
                    0 => break,
                    count => total += count,
                }
            }
            stream.close().await;
            outcomes.with(|outcomes| outcomes.push(Ok(total)));
        });
    });
    assert_eq!(outcomes.get(), [Ok(BYTES)]);
    assert!(run.count("window_probes") > 0);
    run.assert_sound();
}

/// One connection after another, more than the NIC has flow ids.
#[test]
fn flow_ids_are_used_again() {
    let served = Report::new();
    let done = Outcomes::new();
    let quick = HostConfig {
        timers: hallux_host::control::Timers {
            time_wait: Time::from_us(20),
            ..config().timers
        },
        rx_ring: 8 << 10,
        tx_ring: 8 << 10,
        ..config()
    };
    let run = run(quick, perfect(), |host, peer| {
        peer.run_in_background(rpc::serve(peer.network(), 7, 64, served.clone()));
        let (network, done) = (host.network(), done.clone());
        host.run_to_end(async move {
            for round in 0..1_100_u32 {
                let mut stream = network.connect(SocketAddrV4::new(PEER, 7)).await.unwrap();
                let mut message = 8_u32.to_le_bytes().to_vec();
                message.extend(round.to_be_bytes());
                stream.write_all(&message).await.unwrap();
                let count = stream.read(&mut [0; 8]).await;
                assert_eq!(count, Ok(8));
                done.with(|done| done.push(count));
                stream.close().await;
            }
        });
    });
    run.assert_sound();
    assert_eq!(done.get().len(), 1_100);
    assert_eq!(run.count("connections_opened_actively"), 1_100);
    assert!(run.count("connections_closed") >= 1_090);
}

/// Both ends offloaded: what one control plane says, the other one understands.
#[test]
fn two_offloaded_hosts_talk() {
    for impairments in [perfect(), lossy()] {
        let report = Report::new();
        let server = Host::new(config()).unwrap();
        let client = HostConfig::new("client", [2, 0, 0, 0, 0, 2], PEER, SEED);
        let client = Host::new(HostConfig {
            contexts: 4,
            cores: 4,
            ..client
        })
        .unwrap();
        server.run_in_background(rpc::serve(server.network(), 7, 16, Report::new()));
        let calls = rpc::ClientConfig {
            server: SocketAddrV4::new(HOST, 7),
            connections: 16,
            sizes: rpc::Sizes::Cycle(vec![64, 2_000, 30_000]),
            requests: Some(60),
            until: None,
            warm_up: Time::ZERO,
            think_time: Time::ZERO,
            resets: 0,
            seed: SEED,
        };
        client.run_to_end(rpc::call_all(client.network(), calls, report.clone()));
        let counters = Report::<Vec<u64>>::new();
        let (network, read) = (client.network(), counters.clone());
        client.run_to_end(async move {
            network.sleep(Time::from_us(50)).await;
            let values = network.nic_counters().await;
            read.with(|read| read.extend(values));
        });

        let mut simulation = Simulation::new();
        let latency = Time::from_ns(250);
        let wire = simulation
            .add(Wire::new("wire", SEED, impairments, impairments))
            .unwrap();
        let mut hosts = Vec::new();
        for (host, name, port) in [(server, "nic-a", "a"), (client, "nic-b", "b")] {
            let config = BehaviouralConfig {
                name: name.into(),
                ..BehaviouralConfig::default()
            };
            let nic = simulation.add(BehaviouralNic::new(config)).unwrap();
            let host = simulation.add(host).unwrap();
            simulation
                .connect((host, "pcie"), (nic, "pcie"), latency)
                .unwrap();
            simulation
                .connect((nic, "eth"), (wire, port), latency)
                .unwrap();
            hosts.push(host);
        }
        let options = RunOptions {
            stop_quantum: Time::from_us(10),
            max_time: Time::from_ms(2_000),
            cancel: None,
        };
        simulation.run(&options, &mut |_| ()).unwrap();
        let report: rpc::ClientReport = report.get();
        assert_eq!(report.failures, Vec::<String>::new());
        assert_eq!((report.completed, report.bytes_mismatched), (16 * 60, 0));
        for host in hosts {
            assert_eq!(
                simulation
                    .component::<Host>(host)
                    .unwrap()
                    .violation_count(),
                0
            );
        }
        let frames = COUNTERS
            .iter()
            .position(|&name| name == "rx_frames")
            .unwrap();
        assert!(
            counters.get()[frames] > 16,
            "read through the registers during the run"
        );
    }
}
