//! The HTTP server on the RTL TOE's sockets, asked by clients that no scenario has, over
//! wires that no scenario has.
//!
//! ```text
//!  host: files ══ PCIe ══ RTL NIC ══ wire ══ smoltcp: a raw client
//! ```

mod command;

use command::{small_files, small_place};
use hallux::model::{self, Abilities};
use hallux::scenario::Scenario;
use hallux_channel::{ClockPeriod, LineRate, Probability, Seed, Time};
use hallux_cosim::engine::{RunOptions, Simulation};
use hallux_cosim::nic::mac::MacParameters;
use hallux_cosim::nic::pcie::LinkParameters;
use hallux_cosim::nic::{NicReport, RtlNic, RtlNicConfig};
use hallux_host::application::{NetError, Network, Stream};
use hallux_host::apps::files::FileTree;
use hallux_host::apps::http;
use hallux_host::apps::report::Report;
use hallux_host::control::HostConfig;
use hallux_host::host::Host;
use hallux_host::network::{Impairments, Wire, WireCounters};
use hallux_host::peer::smoltcp::{SmoltcpConfig, SmoltcpHost, SmoltcpNetwork};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// What a run leaves behind.
struct Served {
    server: http::ServerReport,
    nic: NicReport,
    /// Towards the client, towards the server.
    wire: [WireCounters; 2],
}

fn files() -> FileTree {
    let mut files = FileTree::default();
    for (name, contents) in small_files() {
        files.insert(name, contents);
    }
    files
}

/// Serves [`files`] until the client is done. What comes to the server is treated by
/// `impairments`.
fn serve<F>(impairments: Impairments, client: impl FnOnce(SmoltcpNetwork) -> F) -> Served
where
    F: Future<Output = ()> + Send + 'static,
{
    let place = small_place();
    let design = Scenario::read(&place.path("scenario.toml"), &[])
        .unwrap()
        .design;
    let model = model::build(&design, Abilities::default(), &|_| ()).unwrap();
    let (seed, rate) = (Seed(5), LineRate::from_bps(100_000_000_000).unwrap());

    let host = Host::new(HostConfig::new("server", [2, 0, 0, 0, 0, 1], SERVER, seed)).unwrap();
    let report = Report::new();
    host.run_in_background(http::serve(
        host.network(),
        Arc::new(files()),
        http::ServerConfig::default(),
        report.clone(),
    ));
    let config = RtlNicConfig {
        pcie: LinkParameters {
            max_payload: design.max_payload.into(),
            max_read_request: design.max_read_request.into(),
            ..LinkParameters::default()
        },
        mac: MacParameters {
            rate,
            ..MacParameters::default()
        },
        ..RtlNicConfig::new("nic", ClockPeriod::from_hz(design.clock.0).unwrap(), seed)
    };
    let nic = RtlNic::new(config, &model.library).unwrap();
    let peer = SmoltcpHost::new(SmoltcpConfig {
        line_rate: rate,
        ..SmoltcpConfig::new("client", [2, 0, 0, 0, 0, 2], CLIENT, seed)
    });
    let (network, work) = (peer.network(), client(peer.network()));
    peer.run_to_end(async move {
        // The host brings its NIC up.
        network.sleep(Time::from_us(20)).await;
        work.await;
    });

    let mut simulation = Simulation::new();
    let host = simulation.add(host).unwrap();
    let nic = simulation.add(nic).unwrap();
    let wire = Wire::new("wire", seed, Impairments::default(), impairments);
    let wire = simulation.add(wire).unwrap();
    let peer = simulation.add(peer).unwrap();
    let delay = Time::from_ns(500);
    simulation
        .connect((nic, "pcie"), (host, "pcie"), Time::from_ns(100))
        .unwrap();
    simulation
        .connect((nic, "eth"), (wire, "a"), delay)
        .unwrap();
    simulation
        .connect((peer, "eth0"), (wire, "b"), delay)
        .unwrap();
    let options = RunOptions {
        stop_quantum: Time::from_us(10),
        max_time: Time::from_ms(2_000),
        cancel: None,
    };
    simulation.run(&options, &mut |_| ()).unwrap();
    assert_eq!(simulation.component::<Host>(host).unwrap().violations(), []);
    Served {
        server: report.get(),
        nic: simulation.component::<RtlNic>(nic).unwrap().report(),
        wire: simulation.component::<Wire>(wire).unwrap().wire_counters(),
    }
}

/// Sends `request` as it is; all that comes back until the server closes.
async fn exchange(network: &SmoltcpNetwork, request: &[u8]) -> Result<Vec<u8>, NetError> {
    let mut stream = network.connect(SocketAddrV4::new(SERVER, 80)).await?;
    stream.write_all(request).await?;
    let (mut answer, mut buffer) = (vec![], [0; 4_096]);
    loop {
        match stream.read(&mut buffer).await? {
            0 => break,
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
    stream.close().await;
    Ok(answer)
}

/// Statuses of the answers in `text`.
fn statuses(text: &str) -> Vec<&str> {
    let answers = text.split("HTTP/1.1 ").skip(1);
    answers.map(|answer| &answer[..3]).collect()
}

#[test]
fn pipelined_requests_for_what_is_not_there_are_answered_in_order() {
    let answer = Report::<Vec<u8>>::new();
    let kept = answer.clone();
    let served = serve(Impairments::default(), |network| async move {
        let requests = "GET / HTTP/1.1\r\nHost: toe\r\n\r\n\
             GET /missing HTTP/1.1\r\nHost: toe\r\n\r\n\
             GET /../etc/passwd HTTP/1.1\r\nHost: toe\r\n\r\n\
             GET /%2e%2e/etc/passwd HTTP/1.1\r\nHost: toe\r\n\r\n\
             GET /%zz HTTP/1.1\r\nHost: toe\r\n\r\n\
             HEAD /large.bin HTTP/1.1\r\nHost: toe\r\n\r\n\
             GET /deep/more.bin HTTP/1.1\r\nHost: toe\r\nConnection: close\r\n\r\n";
        let bytes = exchange(&network, requests.as_bytes()).await.unwrap();
        kept.with(|answer| *answer = bytes);
    });
    let answer = answer.get();
    let text = String::from_utf8_lossy(&answer);
    assert_eq!(
        statuses(&text),
        ["200", "404", "403", "403", "400", "200", "200"]
    );
    let files = small_files();
    let (_, more) = files
        .iter()
        .find(|(name, _)| *name == "deep/more.bin")
        .unwrap();
    assert!(answer.ends_with(more), "the last body is not the file");
    let responses: Vec<(u16, u64)> = served.server.responses.into_iter().collect();
    assert_eq!(responses, [(200, 3), (400, 1), (403, 2), (404, 1)]);
    assert_eq!((served.server.connections, served.server.broken), (1, 0));
}

#[test]
fn requests_that_cannot_be_understood_end_the_connection_with_a_status() {
    let long_line = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(5_000));
    let field = "a: b\r\n".repeat(4_000);
    let long_head = format!("GET / HTTP/1.1\r\nHost: x\r\n{field}\r\n");
    let requests = [
        ("nonsense\r\n\r\n".to_owned(), "400"),
        ("PUT / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "405"),
        (long_line, "414"),
        (long_head, "431"),
        ("GET / HTTP/3.0\r\nHost: x\r\n\r\n".to_owned(), "505"),
    ];
    let count = requests.len() as u64;
    let seen = Report::<Vec<(String, &str)>>::new();
    let kept = seen.clone();
    let served = serve(Impairments::default(), |network| async move {
        for (request, status) in requests {
            let answer = exchange(&network, request.as_bytes()).await.unwrap();
            let answer = String::from_utf8_lossy(&answer).into_owned();
            kept.with(|seen| seen.push((answer, status)));
        }
    });
    let seen = seen.get();
    assert_eq!(seen.len() as u64, count);
    for (answer, status) in seen {
        assert_eq!(statuses(&answer), [status], "{answer}");
        assert!(answer.contains("Connection: close"), "{answer}");
    }
    assert_eq!(
        (served.server.connections, served.server.broken),
        (count, 0)
    );
}

/// Damage that no FCS shows is found by the checksums in gates, and counted by reason.
#[test]
fn damaged_frames_are_dropped_by_their_checksums_and_sent_again() {
    let damage = Impairments {
        corruption_after_fcs: Probability::new(0.15).unwrap(),
        ..Impairments::default()
    };
    let report = Report::new();
    let kept = report.clone();
    let served = serve(damage, |network| {
        let config = http::ClientConfig {
            server: SocketAddrV4::new(SERVER, 80),
            connections: 3,
            files: files().manifest(),
        };
        http::fetch_all(network, config, kept)
    });
    let client: http::ClientReport = report.get();
    assert_eq!(client.failures, Vec::<String>::new());
    assert_eq!(client.bytes_verified, files().total_bytes());
    assert_eq!(client.bytes_mismatched, 0);

    let [_, to_server] = served.wire;
    assert!(to_server.corrupted > 3, "{to_server:?}");
    // The burst may hit any octet: most hit what TCP's or IP's checksum covers, some the
    // MAC addresses or the EtherType, which no checksum covers.
    let dropped = |reason: &str| served.nic.drops[reason];
    assert!(dropped("tcp_checksum") > 0, "{:?}", served.nic.drops);
    let by_checksum = dropped("tcp_checksum") + dropped("ip_checksum");
    let all: u64 = served.nic.drops.values().sum();
    assert!(by_checksum <= to_server.corrupted && all <= to_server.corrupted);
    assert_eq!(dropped("buffer_full") + dropped("slow_path_full"), 0);
}
