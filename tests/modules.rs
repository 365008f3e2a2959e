//! Extension modules in whole systems: host, NIC with modules, wire and an independent peer.
//!
//! All scenarios share the design point `toe-modules`, so that one model serves them.

mod command;

use command::{PROJECT, Place, assert_same_bytes, has_tool, small_files};
use serde_json::Value;
use std::process::Command;

/// A place with files to serve and a scenario `scenario.toml`: HTTP from `toe-modules` to an
/// independent stack on a link with VLAN tags.
fn place() -> Place {
    let place = Place::new();
    let scenario = format!(
        "name = \"modules\"\n\
         [nic]\n\
         design = \"{PROJECT}/examples/designs/toe-modules.toml\"\n\
         [peer]\n\
         vlan = 100\n\
         [app]\n\
         kind = \"http\"\n\
         root = \"www\"\n\
         connections = 3\n"
    );
    place.write("scenario.toml", scenario);
    for (name, contents) in small_files() {
        place.write(format!("www/{name}"), contents);
    }
    place
}

fn served() -> u64 {
    let files = small_files();
    files
        .iter()
        .map(|(_, contents)| contents.len() as u64)
        .sum()
}

/// Runs the scenario into `out`; its summary.
#[track_caller]
fn run(place: &Place, assignments: &[&str]) -> Value {
    let mut arguments = vec!["run", "scenario.toml", "--out", "out"];
    for assignment in assignments {
        arguments.extend(["--set", assignment]);
    }
    place.hallux(&arguments).succeeds();
    place.json("out/summary.json")
}

/// Frames of the capture that match a display filter; `None` without tshark.
fn frames(place: &Place, capture: &str, filter: &str) -> Option<u64> {
    if !has_tool("tshark") {
        return None;
    }
    let mut command = Command::new("tshark");
    command.arg("-r").arg(place.path("out").join(capture));
    for option in ["tcp.check_checksum:TRUE", "ip.check_checksum:TRUE"] {
        command.args(["-o", option]);
    }
    let output = command.args(["-Y", filter]).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    Some(String::from_utf8(output.stdout).unwrap().lines().count() as u64)
}

const CHECKSUMS: &str = "tcp.checksum.status!=1||ip.checksum.status!=1";

#[test]
fn a_peer_in_our_vlan_is_served() {
    let place = place();
    for assignments in [&[][..], &["link.loss=0.02", "link.reorder=0.02"]] {
        let summary = run(&place, assignments);
        assert_eq!(summary["complete"], true);
        assert_eq!(summary["bytes_verified"], served());
        assert_eq!(summary["drops"]["module"], 0);
        let Some(untagged) = frames(&place, "packets.pcapng", "!(vlan.id==100)") else {
            return;
        };
        assert_eq!(untagged, 0);
        assert_eq!(frames(&place, "packets.pcapng", CHECKSUMS), Some(0));
        assert!(frames(&place, "packets.pcapng", "arp") > Some(1));
    }
}

/// Frames of a capture: interface, whether it was sent, time in its unit, bytes of the whole
/// frame, what was kept of it. Enhanced packet blocks only, as `hallux` writes them.
fn packets(place: &Place, capture: &str) -> Vec<(u32, bool, u64, u32, Vec<u8>)> {
    let bytes = std::fs::read(place.path("out").join(capture)).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mut at, mut found) = (0, vec![]);
    while at < bytes.len() {
        let length = word(at + 4) as usize;
        if word(at) == 6 {
            let kept = word(at + 20) as usize;
            let options = at + 28 + kept.next_multiple_of(4);
            found.push((
                word(at + 8),
                word(options + 4) & 3 == 2,
                u64::from(word(at + 12)) << 32 | u64::from(word(at + 16)),
                word(at + 24),
                bytes[at + 28..at + 28 + kept].to_vec(),
            ));
        }
        at += length;
    }
    found
}

/// Protocol and ports of a TCP segment behind a VLAN tag.
fn ports(frame: &[u8]) -> Option<(u16, u16)> {
    let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let tcp = word(12) == 0x8100 && word(16) == 0x0800 && frame[27] == 6;
    tcp.then(|| (word(38), word(40)))
}

#[test]
fn what_is_mirrored_is_what_the_port_saw() {
    let place = place();
    for (rules, matches) in [
        // Without rules: everything, ARP too.
        ("", (|_| true) as fn(&[u8]) -> bool),
        (
            "host.rules=[{ module = 0, action = \"capture\", destination_port = 80, protocol = 6 }, \
             { module = 8, action = \"capture\", source = \"10.0.0.1\", source_port = 80 }]",
            |frame| ports(frame).is_some_and(|(from, to)| from == 80 || to == 80),
        ),
        (
            "host.rules=[{ module = 0, action = \"ignore\", protocol = 6 }, \
             { module = 0, action = \"capture\", default = true }, \
             { module = 8, action = \"ignore\", default = true }]",
            |frame| frame[6..12] != [2, 0, 0, 0, 0, 1] && ports(frame).is_none(),
        ),
    ] {
        let mut assignments = vec!["link.loss=0.01"];
        if !rules.is_empty() {
            assignments.push(rules);
        }
        let summary = run(&place, &assignments);
        assert_eq!(summary["complete"], true);
        let counters = &summary["counters"]["server"];
        assert_eq!(counters["frames_not_mirrored"], 0, "{counters}");
        assert_eq!(counters["dma_violations"], 0);
        let mirrored = packets(&place, "mirrored.pcapng");
        assert_eq!(counters["frames_mirrored"], mirrored.len() as u64);
        let seen = packets(&place, "packets.pcapng");
        for sent in [false, true] {
            let wanted = seen.iter().filter(|f| f.1 == sent && matches(&f.4));
            let wanted: Vec<_> = wanted.collect();
            let found: Vec<_> = mirrored.iter().filter(|f| f.1 == sent).collect();
            assert_eq!(found.len(), wanted.len(), "sent: {sent}, {rules}");
            assert!(sent && rules.contains("module = 8, action = \"ignore\"") || !found.is_empty());
            for (found, wanted) in found.iter().zip(&wanted) {
                // The MAC pads what is shorter than 60 bytes on its way out.
                let mut bytes = found.4.clone();
                assert_eq!(found.3 as usize, bytes.len());
                if sent {
                    bytes.resize(bytes.len().max(60), 0);
                }
                assert!(bytes == wanted.4, "sent: {sent}, {found:?}, not {wanted:?}");
                // The port's time is in ps. Beats come when the frame does; on its way out a
                // frame waits for the line, behind others.
                let (nic, port) = (found.2 as i64, wanted.2 as i64 / 1000);
                let waits = if sent { 0..20_000 } else { -100..100 };
                let apart = if sent { port - nic } else { nic - port };
                assert!(waits.contains(&apart), "sent: {sent}, {apart} ns apart");
            }
        }
        let Some(count) = frames(&place, "mirrored.pcapng", "frame") else {
            continue;
        };
        assert_eq!(count, mirrored.len() as u64);
        assert_eq!(frames(&place, "mirrored.pcapng", CHECKSUMS), Some(0));
        let egress = "frame.interface_name == \"server.module-8.egress\"";
        let sent = mirrored.iter().filter(|frame| frame.1).count();
        assert_eq!(frames(&place, "mirrored.pcapng", egress), Some(sent as u64));
    }
}

#[test]
fn mirrored_frames_are_the_same_bytes_in_every_mode() {
    assert_same_bytes(
        &place(),
        &["link.loss=0.02", "host.capture_ring=8KiB"],
        "placement={ \"*\" = \"left\", server = \"right\" }",
        &["mirrored.pcapng", "tracepoints.tsv"],
    );
}

#[test]
fn a_ring_that_is_full_costs_mirrored_frames_only() {
    let place = place();
    let summary = run(&place, &["host.capture_ring=4KiB"]);
    assert_eq!(summary["complete"], true);
    assert_eq!(summary["bytes_verified"], served());
    let counters = &summary["counters"]["server"];
    assert!(
        counters["frames_not_mirrored"].as_u64() > Some(0),
        "{counters}"
    );
    assert!(counters["frames_mirrored"].as_u64() > Some(0), "{counters}");
    let free = run(&place, &[]);
    for key in ["simulated_ps", "segments", "drops", "rtt_ps"] {
        assert_eq!(summary[key], free[key], "{key}");
    }
}

#[test]
fn a_peer_in_another_vlan_is_not_heard() {
    let place = place();
    let ended = place.hallux(&[
        "run",
        "scenario.toml",
        "--out",
        "out",
        "--set",
        "peer.vlan=101",
        "--set",
        "max_time=3ms",
    ]);
    assert_ne!(ended.code, Some(0));
    let summary = place.json("out.incomplete/summary.json");
    assert_eq!(summary["complete"], false);
    assert_eq!(summary["bytes_verified"], 0);
    assert!(summary["drops"]["module"].as_u64() > Some(0), "{summary}");
}

/// Rules of the firewalls at ingress and egress: nothing but HTTP and its answers.
const ONLY_HTTP: &str = "host.rules=[\
    { module = 2, action = \"drop\", default = true }, \
    { module = 2, action = \"drop\", protocol = 17 }, \
    { module = 2, action = \"pass\", destination = \"10.0.0.0/24\", destination_port = 80, protocol = 6 }, \
    { module = 6, action = \"drop\", default = true }, \
    { module = 6, action = \"pass\", source = \"10.0.0.1\", source_port = 80 }, \
    { module = 4, action = \"class-5\", destination_port = 80 }]";

#[test]
fn a_firewall_passes_what_its_rules_pass() {
    let place = place();
    let summary = run(&place, &[ONLY_HTTP, "link.loss=0.01"]);
    assert_eq!(summary["complete"], true);
    assert_eq!(summary["bytes_verified"], served());
    assert_eq!(summary["drops"]["module"], 0);
}

#[test]
fn a_firewall_drops_and_counts_the_rest() {
    let place = place();
    for rules in [
        ONLY_HTTP.replace(
            "destination_port = 80, protocol",
            "destination_port = 81, protocol",
        ),
        ONLY_HTTP.replace("source_port = 80", "source_port = 81"),
    ] {
        let ended = place.hallux(&[
            "run",
            "scenario.toml",
            "--out",
            "out",
            "--set",
            &rules,
            "--set",
            "max_time=3ms",
        ]);
        assert_ne!(ended.code, Some(0));
        let summary = place.json("out.incomplete/summary.json");
        assert_eq!(summary["bytes_verified"], 0);
        assert!(summary["drops"]["module"].as_u64() > Some(0), "{summary}");
    }
}

#[test]
fn each_class_is_counted_by_what_it_did() {
    let place = place();
    let rules = "host.rules=[\
        { module = 4, action = \"class-3\", default = true }, \
        { module = 4, action = \"class-9\", source = \"10.0.0.3\" }, \
        { module = 4, action = \"class-15\", source = \"10.0.0.0/24\", destination_port = 81 }]";
    // Long enough for every FIN, whose number counts as an acknowledged byte.
    let star = [
        "topology.kind=star",
        "peer.count=3",
        "stop_quantum=1ms",
        rules,
    ];
    let summary = run(&place, &star);
    let counters = &summary["counters"]["server"];
    let of = |class: u32, what: &str| counters[format!("class_{class}_{what}")].as_u64();
    for what in ["update_records", "bytes_received", "bytes_acknowledged"] {
        assert_eq!(of(15, what), None, "no segment meets the third rule");
        assert_eq!(of(0, what), None);
    }
    // Every client fetches the same: the second's class has a third.
    let acknowledged = counters["bytes_acknowledged"].as_u64().unwrap();
    let (one, others) = (of(9, "bytes_acknowledged"), of(3, "bytes_acknowledged"));
    assert!(one.unwrap() > served());
    assert_eq!(one.map(|bytes| 2 * bytes), others, "{counters}");
    assert_eq!(one.unwrap() + others.unwrap(), acknowledged);
    let received = [9, 3].map(|class| of(class, "bytes_received").unwrap());
    assert_eq!(2 * received[0], received[1]);
    let records = [9, 3].map(|class| of(class, "update_records").unwrap());
    assert_eq!(records[0] + records[1], counters["update_records"]);
}

/// Segments and payload bytes of a connection at the NIC's port, SYNs left out: received, with
/// payload sent, without payload sent.
fn at_the_port(place: &Place, client: &str) -> ([u64; 3], u64) {
    let (ip, port) = client.split_once(':').unwrap();
    let ip: std::net::Ipv4Addr = ip.parse().unwrap();
    let (mut counts, mut bytes) = ([0; 3], 0);
    for (_, sent, _, _, frame) in packets(place, "packets.pcapng") {
        let Some((from, to)) = ports(&frame) else {
            continue;
        };
        let (address, number) = if sent { (34, to) } else { (30, from) };
        let ours = frame[address..address + 4] == ip.octets() && number.to_string() == port;
        let header = usize::from(frame[50] >> 4) * 4;
        if !ours || frame[51] & 2 != 0 {
            continue;
        }
        let length = usize::from(u16::from_be_bytes([frame[20], frame[21]])) - 20 - header;
        let kind = match (sent, length) {
            (false, _) => 0,
            (true, 0) => 2,
            (true, _) => 1,
        };
        counts[kind] += 1;
        bytes += if sent { 0 } else { length as u64 };
    }
    (counts, bytes)
}

#[test]
fn tracepoints_say_what_the_port_saw() {
    let place = place();
    let fine = ["stop_quantum=1ms", "host.trace_interval=10us"];
    for (assignments, clean) in [
        (&fine[..], true),
        (&[fine[0], fine[1], "link.loss=0.02"], false),
    ] {
        let summary = run(&place, assignments);
        let text = std::fs::read_to_string(place.path("out/tracepoints.tsv")).unwrap();
        let mut rows = text
            .lines()
            .map(|line| line.split('\t').collect::<Vec<_>>());
        let names = rows.next().unwrap();
        assert_eq!(names.len(), 14, "{names:?}");
        let rows: Vec<_> = rows.collect();
        let closed: Vec<_> = rows.iter().filter(|row| row[2] == "closed").collect();
        let opened = &summary["counters"]["server"]["connections_opened_passively"];
        assert_eq!(closed.len() as u64, *opened, "{text}");
        for row in closed {
            let value = |column: usize| row[column].parse::<u64>().unwrap();
            assert_eq!((row[1], row[4]), ("server", "10.0.0.1:80"));
            let ([received, data, empty], bytes) = at_the_port(&place, row[5]);
            assert_eq!(value(6), received, "{row:?}");
            // FIN is sent as a segment of its own.
            assert_eq!(value(9) + value(10), data + empty, "{row:?}");
            assert!(value(10).abs_diff(empty) <= 1, "{row:?}, {empty} empty");
            if clean {
                assert_eq!(value(7), bytes, "{row:?}");
                assert_eq!((value(8), value(11), value(12)), (0, 0, 0));
            } else {
                assert!(value(7) <= bytes);
            }
            let rtt = value(13);
            assert!((2_000..2_000_000).contains(&rtt), "{rtt} ns");
            // What was read before is never more.
            let earlier = rows
                .iter()
                .filter(|other| other[2] == "sample" && other[5] == row[5]);
            let mut samples = 0;
            for sample in earlier {
                samples += 1;
                for (early, last) in sample[6..=12].iter().zip(&row[6..=12]) {
                    assert!(early.parse::<u64>().unwrap() <= last.parse().unwrap());
                }
            }
            assert!(samples > 0);
        }
    }
}

#[test]
fn rules_that_no_module_takes_are_refused() {
    let place = place();
    for (rule, told) in [
        (
            "{ module = 1, action = \"drop\" }",
            "module `vlan` takes no rules",
        ),
        ("{ module = 9, action = \"drop\" }", "there is no module 9"),
        (
            "{ module = 6, action = \"redirect\" }",
            "no action `redirect` in slot `egress`",
        ),
        (
            "{ module = 4, action = \"class-16\" }",
            "`class-16` is no class",
        ),
    ] {
        let rules = format!("host.rules=[{rule}]");
        place
            .hallux(&["run", "scenario.toml", "--set", &rules])
            .fails_with(&["rule 0: ", told]);
    }
}

#[test]
fn a_module_in_a_slot_that_is_none_of_its_own_is_refused() {
    let place = place();
    let modules =
        "nic.parameters.modules=[{ slot = \"after_protocol\", kind = \"vlan\", vlan = 1 }]";
    let arguments = ["run", "scenario.toml", "--set", modules];
    place.hallux(&arguments).fails_with(&[
        "module 0 (`vlan`) cannot stand in slot `after_protocol`; put it in `ingress`",
    ]);
    let unknown = "nic.parameters.modules=[{ slot = \"ingress\", kind = \"vlam\" }]";
    place
        .hallux(&["run", "scenario.toml", "--set", unknown])
        .fails_with(&["vlam"]);
}
