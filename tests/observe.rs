//! What is written down beside the results: frames at named ports, PCIe, recordings, and
//! their replay.

mod command;

use command::{PROJECT, Place, has_tool, small_place};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// A small run with everything observed; the files are below `name/`.
fn observed(place: &Place, name: &str, options: &[&str]) {
    fs::create_dir_all(place.path(name)).unwrap();
    let file = |file: &str| format!("{name}/{file}");
    let (table, capture) = (file("pcie.tsv"), file("pcie.pcapng"));
    let log = if name.ends_with("capture") {
        &capture
    } else {
        &table
    };
    let (results, record) = (file("results"), file("nic.recording"));
    let wire = format!("wire.a,wire.b={}", file("wire.pcapng"));
    let arguments = [
        "run",
        "scenario.toml",
        "--out",
        &results,
        "--pcie-log",
        log,
        "--record",
        &record,
        "--pcapng",
        &wire,
    ];
    place.hallux(&[&arguments, options].concat()).succeeds();
}

fn bytes(place: &Place, name: &str) -> Vec<u8> {
    fs::read(place.path(name)).unwrap()
}

#[test]
fn observation_is_the_same_however_cycles_are_treated_and_changes_nothing() {
    let place = small_place();
    observed(&place, "on", &[]);
    observed(&place, "off", &["--skip", "off"]);
    for file in ["pcie.tsv", "nic.recording", "wire.pcapng"] {
        let [on, off] = ["on", "off"].map(|run| bytes(&place, &format!("{run}/{file}")));
        assert!(!on.is_empty() && on == off, "{file}");
    }
    let plain = ["run", "scenario.toml", "--out", "plain"];
    place.hallux(&plain).succeeds();
    for file in ["summary.json", "packets.pcapng"] {
        let observed = bytes(&place, &format!("on/results/{file}"));
        assert!(
            observed == bytes(&place, &format!("plain/{file}")),
            "{file}"
        );
    }
}

#[test]
fn every_request_of_the_log_is_completed() {
    let place = small_place();
    observed(&place, "run", &[]);
    let text = place.read("run/pcie.tsv");
    let mut rows = text
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>());
    let columns = rows.next().unwrap();
    assert_eq!(columns[..4], ["time_ps", "interface", "from", "type"]);
    let mut counts = BTreeMap::<(String, String), u64>::new();
    let (mut latest, mut written) = (0, 0);
    for row in rows {
        assert_eq!(row.len(), columns.len(), "{row:?}");
        let at: u64 = row[0].parse().unwrap();
        assert!(at >= latest);
        latest = at;
        assert_eq!(row[1], "server-nic.pcie");
        let (from, kind) = (row[2].to_owned(), row[3].to_owned());
        if kind.ends_with("_completion") {
            let latency: u64 = row[8].parse().unwrap_or_else(|_| panic!("{row:?}"));
            // There and back over a link of 100 ns.
            assert!((200_000..10_000_000).contains(&latency), "{row:?}");
        }
        if kind == "dma_write" {
            written += row[6].parse::<u64>().unwrap();
        }
        *counts.entry((from, kind)).or_default() += 1;
    }
    let count = |from: &str, kind: &str| {
        let key = (from.to_owned(), kind.to_owned());
        counts.get(&key).copied().unwrap_or(0)
    };
    for (kind, from, to) in [
        ("dma_read", "device", "host"),
        ("dma_write", "device", "host"),
        ("mmio_read", "host", "device"),
    ] {
        let (asked, answered) = (count(from, kind), count(to, &format!("{kind}_completion")));
        assert!(asked > 0 && asked == answered, "{kind}: {counts:?}");
    }
    assert!(count("host", "mmio_write_posted") > 0, "{counts:?}");
    assert!(count("device", "interrupt") > 0, "{counts:?}");
    // The link counts each write with 24 to 28 bytes of packet.
    let summary = place.json("run/results/summary.json");
    let on_the_wire = summary["pcie"]["mwr_up"].as_u64().unwrap();
    let overhead = on_the_wire - written;
    let packets = count("device", "dma_write");
    assert!(
        (24 * packets..=32 * packets).contains(&overhead),
        "{overhead} bytes for {packets} writes"
    );
}

/// The referee: Wireshark counts the same messages in the capture, at the same times.
#[test]
fn the_capture_of_pcie_is_the_table() {
    if !has_tool("tshark") {
        return;
    }
    let place = small_place();
    observed(&place, "table", &[]);
    observed(&place, "capture", &[]);
    let mut command = Command::new("tshark");
    command.arg("-r").arg(place.path("capture/pcie.pcapng"));
    command.args(["-T", "fields", "-e", "frame.time_epoch", "-e", "data.data"]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let codes = BTreeMap::from([
        ("dma_read", "40"),
        ("dma_write", "41"),
        ("interrupt", "42"),
        ("mmio_read_completion", "43"),
        ("mmio_read", "60"),
        ("dma_read_completion", "62"),
        ("dma_write_completion", "63"),
        ("device_control", "64"),
        ("mmio_write_posted", "65"),
    ]);
    let table = place.read("table/pcie.tsv");
    let mut lines = table.lines().skip(1);
    for packet in text.lines() {
        let (time, data) = packet.split_once('\t').unwrap();
        let row: Vec<&str> = lines.next().unwrap().split('\t').collect();
        let ns = row[0].parse::<u64>().unwrap() / 1_000;
        assert_eq!(time, format!("0.{ns:09}"));
        assert_eq!(&data[..2], "01");
        assert_eq!(&data[2..4], codes[row[3]], "{row:?}");
    }
    assert_eq!(lines.next(), None);
}

/// The frames at the far end of the wire are those at the near end, a link later.
#[test]
fn named_ports_are_captured() {
    if !has_tool("tshark") {
        return;
    }
    let place = small_place();
    // Long enough that the last acknowledgement, sent after the work was done, arrives too.
    observed(&place, "run", &["--set", "stop_quantum=100us"]);
    let frames = |port: &str, file: &str| -> usize {
        let mut command = Command::new("tshark");
        command.arg("-r").arg(place.path(file));
        command.args(["-Y", &format!("frame.interface_name == \"{port}\"")]);
        let output = command.output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().count()
    };
    let near = frames("wire.a", "run/wire.pcapng");
    assert!(near > 100);
    assert_eq!(near, frames("wire.b", "run/wire.pcapng"));
    assert_eq!(near, frames("server-nic", "run/results/packets.pcapng"));
}

#[test]
fn a_recording_is_replayed_in_the_same_rtl_and_in_a_changed_one() {
    let place = small_place();
    observed(&place, "run", &[]);
    let replay =
        |options: &[&str]| place.hallux(&[&["replay", "run/nic.recording"], options].concat());
    let same = replay(&[]).succeeds();
    assert!(same.stdout.starts_with("identical: "), "{same:#?}");
    assert!(same.stdout.ends_with("of the same RTL\n"), "{same:#?}");
    let off = replay(&["--skip", "off"]).succeeds();
    assert_eq!(same.stdout, off.stdout);

    // The same RTL with another time to live in its IP headers.
    let design = fs::read_to_string(format!("{PROJECT}/examples/designs/toe-100g.toml")).unwrap();
    let small = design
        .lines()
        .filter(|line| !line.starts_with("connections") && !line.starts_with("contexts"))
        .chain(["connections = 64", "contexts = 2"])
        .collect::<Vec<_>>()
        .join("\n");
    place.write("small.toml", small);
    place.hallux(&["gen", "small.toml"]).succeeds();
    let ours = replay(&["--design", "small.toml"]).succeeds();
    assert_eq!(ours.stdout, same.stdout);
    let file = "rtl/toe-100g/assemble.sv";
    let before = place.read(file);
    let after = before.replace("octets[183:176] = 8'd64;", "octets[183:176] = 8'd63;");
    assert_ne!(before, after);
    place.write(file, after);
    replay(&["--rtl", "rtl/toe-100g"]).fails_with(&[
        "outputs differ first at ",
        "(clock cycle ",
        "port eth:",
        "first differing byte 22: 0x40 recorded, 0x3f now",
    ]);
}

#[test]
fn bad_files_and_names_are_told() {
    let place = small_place();
    let run = |options: &[&str]| place.hallux(&[&["run", "scenario.toml"], options].concat());
    run(&["--pcie-log", "log.csv"]).misused_with(&["log.csv", ".tsv", ".pcapng"]);
    run(&["--pcapng", "wire=x"]).misused_with(&["wire=x", "wire.b=far.pcapng"]);
    run(&["--record", "no/such/place"]).fails_with(&["no/such/place", "cannot write"]);
    run(&["--pcapng", "cable.b=x.pcapng"]).fails_with(&["`cable`", "server-nic", "wire"]);
    run(&["--pcapng", "wire.c=x.pcapng"]).fails_with(&["`wire`", "`c`", "`a`, `b`"]);
    run(&["--pcapng", "server.pcie=x.pcapng"]).fails_with(&[
        "server.pcie",
        "no Ethernet port",
        "--pcie-log",
    ]);
    let behavioural = "nic.model=behavioural";
    run(&["--set", behavioural, "--record", "x"]).fails_with(&["--record", "behavioural"]);
    // A run that fails leaves only marked files.
    run(&["--set", "max_time=30us", "--pcie-log", "log.tsv"])
        .fails_with(&["time limit", "log.tsv.incomplete"]);
    assert!(!place.path("log.tsv").exists());

    place.hallux(&["replay", "absent"]).fails_with(&["absent"]);
    place.write("text", "no capture");
    place
        .hallux(&["replay", "text"])
        .fails_with(&["text", "no pcapng file"]);
    observed(&place, "run", &["--set", "app.rounds=1"]);
    let capture = "run/results/packets.pcapng";
    place
        .hallux(&["replay", capture])
        .fails_with(&[capture, "--record"]);
    let whole = bytes(&place, "run/nic.recording");
    place.write("cut", &whole[..whole.len() / 2]);
    place
        .hallux(&["replay", "cut"])
        .fails_with(&["cut", "block at byte"]);
    place
        .hallux(&["replay", "run/nic.recording", "--set", "conections=3"])
        .fails_with(&["conections", "connections"]);
    place
        .hallux(&["replay", "run/nic.recording", "--rtl", "nowhere"])
        .fails_with(&["nowhere/manifest.json"]);
}
