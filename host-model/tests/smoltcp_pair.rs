//! Two smoltcp hosts on an impaired wire: the applications, the engine, the
//! capture and the TCP observer together, before any RTL.
//!
//! ```text
//!   server ── wire ── client
//! ```

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;
use std::sync::{Arc, Mutex};

use hallux_channel::{Probability, Seed, Time};
use hallux_cosim::engine::{Direction, Outcome, RunOptions, Simulation};
use hallux_cosim::observe::pcapng::PcapngWriter;
use hallux_cosim::observe::rtt::TcpObserver;
use hallux_host::application::{Network, Stream};
use hallux_host::apps::files::FileTree;
use hallux_host::apps::report::Report;
use hallux_host::apps::{http, rpc};
use hallux_host::network::{Impairments, Wire, WireCounters};
use hallux_host::peer::smoltcp::{SmoltcpConfig, SmoltcpHost};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// All that a run leaves behind.
struct Run {
    outcome: Outcome,
    capture: Vec<u8>,
    /// At the server's port.
    tcp: TcpObserver,
    wire: [WireCounters; 2],
}

/// Runs until the client's application is done. `set_up` starts the
/// applications on the server and the client.
fn run(impairments: Impairments, set_up: impl FnOnce(&SmoltcpHost, &SmoltcpHost)) -> Run {
    let seed = Seed(7);
    let server = SmoltcpHost::new(SmoltcpConfig::new(
        "server",
        [2, 0, 0, 0, 0, 1],
        SERVER,
        seed,
    ));
    let client = SmoltcpHost::new(SmoltcpConfig::new(
        "client",
        [2, 0, 0, 0, 0, 2],
        CLIENT,
        seed,
    ));
    set_up(&server, &client);

    let mut simulation = Simulation::new();
    let server = simulation.add(server).unwrap();
    let client = simulation.add(client).unwrap();
    let wire = simulation
        .add(Wire::new("wire", seed, impairments, impairments))
        .unwrap();
    let latency = Time::from_ns(250);
    simulation
        .connect((server, "eth0"), (wire, "a"), latency)
        .unwrap();
    simulation
        .connect((wire, "b"), (client, "eth0"), latency)
        .unwrap();

    let at_server = simulation.tap((server, "eth0"), "server").unwrap();
    simulation.tap((client, "eth0"), "client").unwrap();
    let capture = Arc::new(Mutex::new(
        PcapngWriter::new(Vec::new(), simulation.interfaces()).unwrap(),
    ));
    let tcp = Arc::new(Mutex::new(TcpObserver::new(at_server)));
    simulation.add_sink(Arc::clone(&capture));
    simulation.add_sink(Arc::clone(&tcp));

    let options = RunOptions {
        stop_quantum: Time::from_us(10),
        max_time: Time::from_ms(2_000),
        cancel: None,
    };
    let outcome = simulation.run(&options, &mut |_| ()).unwrap();
    let wire = simulation.component::<Wire>(wire).unwrap().wire_counters();
    drop(simulation);
    Run {
        outcome,
        capture: sole_owner(capture).into_inner().unwrap(),
        tcp: sole_owner(tcp),
        wire,
    }
}

fn sole_owner<T>(shared: Arc<Mutex<T>>) -> T {
    let mutex = Arc::into_inner(shared).expect("the simulation is gone");
    mutex.into_inner().unwrap()
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
    files.insert("with space/ünï.txt", "name");
    files.insert("small.bin", content(1_000, 2_654_435_761));
    files.insert("medium.bin", content(70_000, 40_503));
    files.insert("large.bin", content(1_500_000, 2_246_822_519));
    files
}

fn fetch(impairments: Impairments) -> (Run, http::ClientReport, http::ServerReport) {
    let (client_report, server_report) = (Report::new(), Report::new());
    let tree = Arc::new(files());
    let run = run(impairments, |server, client| {
        let config = http::ClientConfig {
            server: SocketAddrV4::new(SERVER, 80),
            connections: 3,
            files: tree.manifest(),
        };
        server.run_in_background(http::serve(
            server.network(),
            Arc::clone(&tree),
            http::ServerConfig::default(),
            server_report.clone(),
        ));
        client.run_to_end(http::fetch_all(
            client.network(),
            config,
            client_report.clone(),
        ));
    });
    (run, client_report.get(), server_report.get())
}

fn lossy() -> Impairments {
    Impairments {
        loss: Probability::new(0.01).unwrap(),
        ..Impairments::default()
    }
}

#[test]
fn all_files_arrive_on_a_perfect_wire() {
    let (run, client, server) = fetch(Impairments::default());
    assert_eq!(client.failures, Vec::<String>::new());
    assert_eq!(client.bytes_verified, files().total_bytes());
    assert_eq!(client.files_verified, 6);
    assert_eq!(server.responses.into_iter().collect::<Vec<_>>(), [(200, 6)]);
    assert_eq!(server.connections, 3);
    assert_eq!(run.outcome.end.ps() % 10_000_000, 0);

    let sent = run.tcp.traffic(Direction::Sent);
    assert_eq!(sent.retransmitted_segments, 0);
    assert!(sent.payload_bytes > client.bytes_verified);
    assert!(sent.segments.syn == 3 && sent.segments.rst == 0);
    assert!(
        sent.rtt_quantile(5_000) >= Time::from_ns(1_000),
        "two wires of 250 ns, twice"
    );
}

#[test]
fn one_percent_of_loss_costs_time_but_no_byte() {
    let (clean, ..) = fetch(Impairments::default());
    let (run, client, _) = fetch(lossy());
    assert_eq!(client.failures, Vec::<String>::new());
    assert_eq!(client.bytes_verified, files().total_bytes());
    assert!(
        run.wire[0].lost > 0 && run.wire[1].lost > 0,
        "{:?}",
        run.wire
    );
    assert!(run.tcp.traffic(Direction::Sent).retransmitted_segments > 0);
    assert!(run.outcome.completed > clean.outcome.completed);
}

#[test]
fn equal_runs_give_equal_captures() {
    let (first, ..) = fetch(lossy());
    let (second, ..) = fetch(lossy());
    assert_eq!(first.outcome, second.outcome);
    assert!(first.capture == second.capture, "captures differ");
}

#[test]
fn damage_duplicates_and_disorder_are_survived() {
    let one_percent = Probability::new(0.01).unwrap();
    let (run, client, _) = fetch(Impairments {
        corruption: one_percent,
        corruption_after_fcs: one_percent,
        duplication: one_percent,
        reordering: one_percent,
        reordering_delay: Time::from_us(2),
        jitter: Time::from_ns(100),
        ..Impairments::default()
    });
    assert_eq!(client.failures, Vec::<String>::new());
    assert_eq!(client.bytes_verified, files().total_bytes());
    let [counters, _] = run.wire;
    assert!(counters.corrupted > 0 && counters.reordered > 0 && counters.duplicated > 0);
}

/// The referee: no wrong checksum in the capture, and the retransmissions
/// that tshark sees.
#[test]
fn tshark_agrees_with_the_capture() {
    let required = std::env::var_os("HALLUX_REQUIRE_TOOLS").is_some_and(|value| value == "1");
    if Command::new("tshark").arg("--version").output().is_err() {
        assert!(!required, "tshark is required (apt-get install tshark)");
        eprintln!("skipped: tshark is not installed");
        return;
    }
    let (run, ..) = fetch(lossy());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &run.capture).unwrap();
    let count = |filter: &str| {
        let options = [
            "-o",
            "tcp.check_checksum:TRUE",
            "-o",
            "ip.check_checksum:TRUE",
        ];
        let output = Command::new("tshark")
            .arg("-r")
            .arg(file.path())
            .args(options)
            .args(["-Y", filter])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().lines().count() as u64
    };
    assert_eq!(count("tcp.checksum.status!=1||ip.checksum.status!=1"), 0);
    let sent = run.tcp.traffic(Direction::Sent).segments;
    let at_server = |filter: &str| {
        count(&format!(
            "frame.interface_id==0 && ip.src=={SERVER} && {filter}"
        ))
    };
    assert_eq!(at_server("tcp"), sent.total());
    assert_eq!(at_server("tcp.flags.syn==1"), sent.syn);
    assert_eq!(at_server("tcp.flags.fin==1"), sent.fin);
}

#[test]
fn rpcs_are_echoed_in_a_closed_loop() {
    for (impairments, requests) in [(Impairments::default(), 200), (lossy(), 50)] {
        let (client_report, server_report) = (Report::new(), Report::new());
        run(impairments, |server, client| {
            server.run_in_background(rpc::serve(server.network(), 7, 8, server_report.clone()));
            let config = rpc::ClientConfig {
                server: SocketAddrV4::new(SERVER, 7),
                connections: 8,
                sizes: rpc::Sizes::Cycle(vec![64, 4_000, 10, 100_000]),
                requests: Some(requests),
                until: None,
                warm_up: Time::ZERO,
                think_time: Time::ZERO,
                resets: 0,
                seed: Seed(3),
            };
            client.run_to_end(rpc::call_all(
                client.network(),
                config,
                client_report.clone(),
            ));
        });
        let report: rpc::ClientReport = client_report.get();
        assert_eq!(report.failures, Vec::<String>::new());
        assert_eq!(report.completed, 8 * requests);
        assert_eq!(report.bytes_mismatched, 0);
        assert_eq!(server_report.get().answered, 8 * requests);
        assert!(report.latency.quantile(5_000) > Time::from_us(1));
    }
}

/// Sends `request` as it is and returns all that comes back until the server
/// closes.
fn raw_exchange(request: &str) -> String {
    let answer = Report::<Vec<u8>>::new();
    let request = request.to_owned();
    run(Impairments::default(), |server, client| {
        server.run_in_background(http::serve(
            server.network(),
            Arc::new(files()),
            http::ServerConfig::default(),
            Report::new(),
        ));
        let (network, answer) = (client.network(), answer.clone());
        client.run_to_end(async move {
            let mut stream = network
                .connect(SocketAddrV4::new(SERVER, 80))
                .await
                .unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut buffer = [0; 1_000];
            loop {
                match stream.read(&mut buffer).await {
                    Ok(0) => break,
                    Ok(count) => answer.with(|answer| answer.extend_from_slice(&buffer[..count])),
                    Err(error) => panic!("{error}"),
                }
            }
            stream.close().await;
        });
    });
    String::from_utf8_lossy(&answer.get()).into_owned()
}

/// Statuses of the answers in `text`.
fn statuses(text: &str) -> Vec<&str> {
    text.split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .collect()
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let text = raw_exchange(
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\
         HEAD /small.bin HTTP/1.1\r\nHost: x\r\n\r\n\
         GET /missing HTTP/1.1\r\nHost: x\r\n\r\n\
         GET /%2e%2e/secret HTTP/1.1\r\nHost: x\r\n\r\n\
         GET /with%20space/%C3%BCn%C3%AF.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(statuses(&text), ["200", "200", "404", "403", "200"]);
    assert!(text.contains("<title>Hallux</title>"));
    assert!(
        text.contains("Content-Length: 1000\r\nConnection: keep-alive\r\n\r\nHTTP/1.1 404"),
        "{text}"
    );
    assert!(text.ends_with("Connection: close\r\n\r\nname"), "{text}");
}

#[test]
fn requests_that_cannot_be_served_end_the_connection_with_a_status() {
    let long_line = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(5_000));
    let long_head = format!(
        "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
        "a: b\r\n".repeat(4_000)
    );
    for (request, status) in [
        ("nonsense\r\n\r\n", "400"),
        ("PUT / HTTP/1.1\r\nHost: x\r\n\r\n", "405"),
        (&long_line, "414"),
        (&long_head, "431"),
        ("GET / HTTP/3.0\r\nHost: x\r\n\r\n", "505"),
    ] {
        let text = raw_exchange(request);
        assert_eq!(statuses(&text), [status], "{text}");
        assert!(text.contains("Connection: close"));
    }
}

#[test]
fn nobody_listens() {
    let report = Report::new();
    run(Impairments::default(), |_, client| {
        let config = http::ClientConfig {
            server: SocketAddrV4::new(SERVER, 81),
            connections: 1,
            files: files().manifest().into_iter().take(1).collect(),
        };
        client.run_to_end(http::fetch_all(client.network(), config, report.clone()));
    });
    let report = report.get();
    assert_eq!(report.files_verified, 0);
    assert!(
        report.failures[0].contains("connection refused"),
        "{:?}",
        report.failures
    );
}
