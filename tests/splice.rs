//! Connection splicing in whole systems: clients, a proxy whose NIC splices, a backend.

mod command;

use command::{PROJECT, Place, assert_same_bytes, has_tool, small_files};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

const CLIENTS: u64 = 2;
const CONNECTIONS: u64 = 3;

/// Two smoltcp clients, a smoltcp backend, and the proxy between them behind `toe-modules`.
fn place() -> Place {
    let place = Place::new();
    let scenario = format!(
        "name = \"splice\"\n\
         stop_quantum = \"2ms\"\n\
         [nic]\n\
         design = \"{PROJECT}/examples/designs/toe-modules.toml\"\n\
         [topology]\n\
         kind = \"star\"\n\
         [peer]\n\
         vlan = 100\n\
         count = {CLIENTS}\n\
         [proxy]\n\
         [app]\n\
         kind = \"http\"\n\
         root = \"www\"\n\
         connections = {CONNECTIONS}\n"
    );
    place.write("scenario.toml", scenario);
    for (name, contents) in small_files() {
        place.write(format!("www/{name}"), contents);
    }
    place
}

#[track_caller]
fn run(place: &Place, assignments: &[&str]) -> Value {
    let mut arguments = vec!["run", "scenario.toml", "--out", "out"];
    for assignment in assignments {
        arguments.extend(["--set", assignment]);
    }
    place.hallux(&arguments).succeeds();
    let summary = place.json("out/summary.json");
    assert_eq!(summary["complete"], true);
    let files = small_files();
    let served: usize = files.iter().map(|(_, contents)| contents.len()).sum();
    assert_eq!(summary["bytes_verified"], CLIENTS * served as u64);
    assert_eq!(summary["bytes_mismatched"], 0);
    assert_eq!(summary["counters"]["server"]["dma_violations"], 0);
    summary
}

/// One direction of a connection at the proxy's port.
#[derive(Default)]
struct Stream {
    /// Sequence number of its SYN.
    syn: Option<u32>,
    bytes: BTreeMap<u32, u8>,
    /// Sequence number behind its FIN.
    end: Option<u32>,
    /// It ended with a reset.
    reset: bool,
    /// Acknowledgement numbers that it carries.
    acks: Vec<u32>,
    segments: u64,
}

type Ends = ([u8; 4], u16, [u8; 4], u16);

/// The TCP segments of the capture, in order: ends, header and payload.
fn segments(place: &Place) -> Vec<(Ends, Vec<u8>)> {
    let bytes = fs::read(place.path("out/packets.pcapng")).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let mut segments = vec![];
    let mut at = 0;
    while at < bytes.len() {
        if word(at) == 6 {
            let kept = word(at + 20);
            segments.extend(segment(&bytes[at + 28..at + 28 + kept]));
        }
        at += word(at + 4);
    }
    segments
}

fn segment(frame: &[u8]) -> Option<(Ends, Vec<u8>)> {
    if frame[12..14] != [0x81, 0] || frame[16..18] != [8, 0] || frame[27] != 6 {
        return None;
    }
    let ip = &frame[18..];
    let length = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    let tcp = &ip[20..length];
    let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
    let address = |at: usize| ip[at..at + 4].try_into().unwrap();
    let ends = (address(12), port(0), address(16), port(2));
    Some((ends, tcp.to_vec()))
}

/// The TCP streams of the capture.
fn streams(place: &Place) -> BTreeMap<Ends, Stream> {
    let mut streams = BTreeMap::<Ends, Stream>::new();
    for (ends, tcp) in segments(place) {
        take(streams.entry(ends).or_default(), &tcp);
    }
    streams
}

fn take(stream: &mut Stream, tcp: &[u8]) {
    let number = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().unwrap());
    let (seq, flags) = (number(4), tcp[13]);
    stream.segments += 1;
    if flags & 2 != 0 {
        stream.syn = Some(seq);
    }
    let first = stream
        .syn
        .expect("no segment comes before SYN")
        .wrapping_add(1);
    let offset = seq.wrapping_sub(first);
    let payload = &tcp[usize::from(tcp[12] >> 4) * 4..];
    for (at, byte) in (offset..).zip(payload) {
        let known = *stream.bytes.entry(at).or_insert(*byte);
        assert_eq!(known, *byte, "what is sent again is the same");
    }
    if flags & 1 != 0 {
        stream.end = Some(seq.wrapping_add(payload.len() as u32 + 1));
    }
    stream.reset |= flags & 4 != 0;
    if flags & 16 != 0 {
        stream.acks.push(number(8));
    }
}

/// What one end of a connection has sent so far, and has been told.
#[derive(Default)]
struct Sender {
    /// Its timestamps.
    values: Vec<u32>,
    /// One behind the last sequence number.
    end: Option<u32>,
    /// Echoes that it got, and those of them that it had sent.
    echoes: (u64, u64),
    /// SACK blocks that it got.
    blocks: u64,
}

/// Whether `one` is not later than `other`, as numbers that wrap.
fn not_later(one: u32, other: u32) -> bool {
    other.wrapping_sub(one) < 1 << 31
}

/// Every number in the options of what leaves the proxy is one of the connection on which it leaves:
/// timestamps go on, echoes are of what the receiver has sent, edges within what
/// it has sent. Echoes that are exact, of how many; SACK blocks.
fn check_options(place: &Place) -> (u64, u64, u64) {
    // Ticks that what the host and what the NIC sends on may be out of order.
    const APART: u32 = 50;
    let mut senders = BTreeMap::<Ends, Sender>::new();
    for (ends, tcp) in segments(place) {
        let back = (ends.2, ends.3, ends.0, ends.1);
        let number = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().unwrap());
        let header = usize::from(tcp[12] >> 4) * 4;
        let (mut at, mut stamps, mut edges) = (20, None, vec![]);
        while at < header && tcp[at] != 0 {
            match tcp[at] {
                1 => at += 1,
                kind => {
                    let length = usize::from(tcp[at + 1]);
                    if kind == 8 {
                        stamps = Some((number(at + 2), number(at + 6)));
                    }
                    if kind == 5 {
                        edges.extend((at + 2..at + length).step_by(4).map(number));
                    }
                    at += length;
                }
            }
        }
        let (syn, reset) = (tcp[13] & 2 != 0, tcp[13] & 4 != 0);
        if let (Some((_, echo)), true) = (stamps, ends.0 == PROXY && !syn) {
            let receiver = senders.entry(back).or_default();
            let last = *receiver.values.last().unwrap();
            assert!(not_later(echo, last), "{ends:?}: {echo} comes after {last}");
            receiver.echoes.0 += 1;
            receiver.echoes.1 += u64::from(receiver.values.contains(&echo));
        }
        if ends.0 == PROXY && !edges.is_empty() {
            let receiver = senders.entry(back).or_default();
            let end = receiver.end.unwrap();
            for pair in edges.chunks(2) {
                assert!(not_later(pair[0], pair[1]) && not_later(pair[1], end));
                assert!(not_later(number(8), pair[0]), "{ends:?}: {edges:?} is old");
                receiver.blocks += 1;
            }
        }
        let sender = senders.entry(ends).or_default();
        if let Some((value, _)) = stamps {
            let last = *sender.values.last().unwrap_or(&value);
            assert!(
                not_later(last, value.wrapping_add(APART)),
                "{ends:?} steps back"
            );
            sender.values.push(value);
        } else {
            assert!(
                sender.values.is_empty() || reset,
                "{ends:?} loses its timestamps"
            );
        }
        let end = number(4).wrapping_add((tcp.len() - header) as u32 + u32::from(tcp[13] & 1));
        if sender.end.is_none_or(|known| not_later(known, end)) {
            sender.end = Some(end);
        }
    }
    let all = senders.values();
    all.fold((0, 0, 0), |sum, sender| {
        (
            sum.0 + sender.echoes.1,
            sum.1 + sender.echoes.0,
            sum.2 + sender.blocks,
        )
    })
}

const PROXY: [u8; 4] = [10, 0, 0, 1];
const BACKEND: [u8; 4] = [10, 0, 0, 254];

/// What went in on one connection came out on the other, both ways, to the end.
fn check_streams(place: &Place) {
    let streams = streams(place);
    let contents = |filter: &dyn Fn(&Ends) -> bool| {
        let found = streams.iter().filter(|(ends, _)| filter(ends));
        let mut found: Vec<Vec<u8>> = found
            .map(|(_, stream)| {
                let whole = (0..).zip(stream.bytes.keys()).all(|(n, at)| n == *at);
                assert!(whole, "a gap in a stream");
                stream.bytes.values().copied().collect()
            })
            .collect();
        found.sort();
        found
    };
    let requests = contents(&|ends| ends.2 == PROXY && ends.3 == 80);
    assert_eq!(requests.len() as u64, CLIENTS * CONNECTIONS);
    assert!(requests == contents(&|ends| ends.0 == PROXY && ends.2 == BACKEND));
    let answers = contents(&|ends| ends.0 == BACKEND);
    assert!(answers.iter().map(Vec::len).sum::<usize>() > 300_000);
    assert!(answers == contents(&|ends| ends.0 == PROXY && ends.1 == 80));
    for (ends, stream) in &streams {
        let end = stream.end.expect("every direction ends with FIN");
        let back = &streams[&(ends.2, ends.3, ends.0, ends.1)];
        assert!(back.acks.contains(&end), "FIN of {ends:?} is acknowledged");
    }
}

/// Frames whose checksums tshark finds wrong; `None` without it.
fn wrong_checksums(place: &Place) -> Option<u64> {
    if !has_tool("tshark") {
        return None;
    }
    let mut command = Command::new("tshark");
    command.arg("-r").arg(place.path("out/packets.pcapng"));
    for option in ["tcp.check_checksum:TRUE", "ip.check_checksum:TRUE"] {
        command.args(["-o", option]);
    }
    command.args(["-Y", "tcp.checksum.status!=1||ip.checksum.status!=1"]);
    let output = command.output().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap().lines().count() as u64)
}

#[test]
fn two_peers_talk_through_the_nic_and_the_host_ends_what_they_end() {
    let place = place();
    let summary = run(&place, &[]);
    let counters = &summary["counters"]["server"];
    assert_eq!(counters["connections_spliced"], 2 * CLIENTS * CONNECTIONS);
    assert_eq!(
        counters["splices_ended"],
        CLIENTS * CONNECTIONS,
        "{counters}"
    );
    assert_eq!(
        counters["bytes_acknowledged"], 0,
        "no stream of ours: {counters}"
    );
    check_streams(&place);
    // The first request of each, FINs and what follows them; everything else stays in the NIC.
    let by_host = counters["spliced_segments_by_host"].as_u64().unwrap();
    let sent: u64 = streams(&place)
        .iter()
        .filter(|(ends, _)| ends.0 == PROXY)
        .map(|(_, stream)| stream.segments)
        .sum();
    assert!(by_host >= 2 * CLIENTS * CONNECTIONS, "{by_host} of {sent}");
    assert!(10 * by_host < 3 * sent, "{by_host} of {sent}");
    assert!(wrong_checksums(&place).is_none_or(|wrong| wrong == 0));
}

#[test]
fn timestamps_and_reports_are_those_of_the_other_connection() {
    let place = place();
    // What the host still carries when the NIC begins leaves behind later segments, so that some
    // are reported even where nothing is lost.
    run(&place, &[]);
    let (exact, echoes, _) = check_options(&place);
    assert!(
        100 * exact > 97 * echoes && echoes > 200,
        "{exact} of {echoes}"
    );
    for assignments in [
        &["link.loss=0.03", "stop_quantum=60ms"][..],
        &[
            "link.loss=0.03",
            "seed=5",
            "stop_quantum=60ms",
            "host.sack=false",
        ],
    ] {
        let summary = run(&place, assignments);
        let counters = &summary["counters"]["server"];
        assert_eq!(counters["connections_spliced"], 2 * CLIENTS * CONNECTIONS);
        assert_eq!(counters["splices_ended"], CLIENTS * CONNECTIONS);
        let (exact, echoes, blocks) = check_options(&place);
        assert!(10 * exact > 9 * echoes, "{exact} of {echoes}");
        assert_eq!(blocks > 0, !assignments.contains(&"host.sack=false"));
    }
}

#[test]
fn a_reset_passes_and_ends_both_connections() {
    let place = place();
    for assignments in [&[][..], &["link.loss=0.02"]] {
        let app = "app={ kind = \"rpc\", connections = 3, requests = 5, size = \"4KiB\", \
                   resets = 2 }";
        let set = [&[app, "stop_quantum=60ms"], assignments].concat();
        let mut arguments = vec!["run", "scenario.toml", "--out", "out"];
        for assignment in &set {
            arguments.extend(["--set", assignment]);
        }
        place.hallux(&arguments).succeeds();
        let summary = place.json("out/summary.json");
        assert_eq!(summary["bytes_verified"], CLIENTS * 3 * 5 * 4096);
        let counters = &summary["counters"]["server"];
        assert_eq!(counters["connections_spliced"], 2 * CLIENTS * 3);
        let streams = streams(&place);
        let ended = |filter: &dyn Fn(&Ends) -> bool| {
            let found = streams.iter().filter(|(ends, _)| filter(ends));
            let found: Vec<_> = found.map(|(_, s)| (s.reset, s.end.is_some())).collect();
            let resets = found.iter().filter(|&&(reset, _)| reset).count() as u64;
            let fins = found.iter().filter(|&&(reset, fin)| !reset && fin).count() as u64;
            (resets, fins)
        };
        let wanted = (CLIENTS * 2, CLIENTS);
        let sent = ended(&|ends| ends.2 == PROXY && ends.3 == 7);
        if assignments.is_empty() {
            // The clients', and what came out to the backend.
            assert_eq!(sent, wanted);
            assert_eq!(ended(&|ends| ends.2 == BACKEND), wanted);
            assert_eq!(counters["resets_received"], wanted.0, "{counters}");
            assert_eq!(counters["splices_ended"], CLIENTS * 3, "{counters}");
        } else {
            // A reset that is lost is not sent again: its pair stays.
            assert_eq!(ended(&|ends| ends.2 == BACKEND).1, wanted.1);
        }
        check_options(&place);
        assert!(wrong_checksums(&place).is_none_or(|wrong| wrong == 0));
    }
}

#[test]
fn loss_and_reordering_cost_time_only() {
    let place = place();
    for assignments in [
        &["link.loss=0.03"][..],
        &["link.reorder=0.05", "link.duplicate=0.05"],
        &[
            "link.loss=0.02",
            "link.reorder=0.05",
            "link.corrupt=0.02",
            "seed=7",
        ],
        // A table of two buckets: what finds no place is carried by the host.
        &[
            "nic.parameters.connections=64",
            "app.connections=12",
            "link.loss=0.01",
        ],
    ] {
        // Peers take their time to send a last FIN again.
        let patient = [assignments, &["stop_quantum=60ms"]].concat();
        let summary = run(&place, &patient);
        let counters = &summary["counters"]["server"];
        let pairs = counters["connections_opened_passively"].as_u64().unwrap();
        assert_eq!(
            counters["connections_spliced"],
            2 * pairs,
            "{assignments:?}"
        );
        assert_eq!(
            counters["splices_ended"], pairs,
            "{assignments:?}: {counters}"
        );
        assert_eq!(counters["connections_broken"], 0);
        assert!(wrong_checksums(&place).is_none_or(|wrong| wrong == 0));
    }
}

#[test]
fn a_host_that_copies_serves_the_same_and_later() {
    let place = place();
    let summary = run(&place, &["proxy.splice=false"]);
    let counters = &summary["counters"]["server"];
    assert_eq!(counters["connections_spliced"], 0);
    assert!(counters["bytes_acknowledged"].as_u64() > Some(300_000));
    // Behind its opening a connection has nothing to wait for at the host.
    let median = |splice: &str| {
        let app = "app={ kind = \"rpc\", connections = 3, requests = 40, size = \"64B\" }";
        let arguments = ["run", "scenario.toml", "--out", "out"];
        let set = ["--set", app, "--set", splice];
        place.hallux(&[&arguments[..], &set].concat()).succeeds();
        let summary = place.json("out/summary.json");
        assert_eq!(summary["bytes_verified"], CLIENTS * 3 * 40 * 64);
        summary["request_ps"]["p50"].as_u64().unwrap()
    };
    let (spliced, copied) = (median("proxy.splice=true"), median("proxy.splice=false"));
    assert!(spliced + 3_000_000 < copied, "{spliced} and {copied} ps");
}

#[test]
fn spliced_runs_leave_the_same_bytes_in_every_mode() {
    let place = place();
    assert_same_bytes(
        &place,
        &["link.loss=0.02", "host.trace_interval=50us"],
        "placement={ \"*\" = \"left\", backend = \"right\", server = \"right\" }",
        &["mirrored.pcapng", "tracepoints.tsv"],
    );
}

#[test]
fn a_proxy_without_the_means_is_refused() {
    let place = place();
    for (assignment, told) in [
        ("topology.kind=direct", "set topology.kind = \"star\""),
        ("nic.parameters.modules=[]", "put one into slot `ingress`"),
        ("nic.model=smoltcp", "set proxy.splice = false"),
    ] {
        let arguments = [
            "run",
            "scenario.toml",
            "--set",
            "peer.count=1",
            "--set",
            assignment,
        ];
        place.hallux(&arguments).fails_with(&[told]);
    }
}
