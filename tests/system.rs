//! Whole systems on RTL: host, NIC, wire and peer together, through the command.
//!
//! All scenarios share one small design point, so that one model serves them; two tests
//! need one of their own, with saved state and with waveforms.

mod command;

use command::{Ended, Place, has_tool, small_files, small_place};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

/// Runs the scenario into `out` with `assignments` and `options`; its summary.
#[track_caller]
fn run(place: &Place, out: &str, assignments: &[&str], options: &[&str]) -> Value {
    start(place, out, assignments, options).succeeds();
    let summary = place.json(format!("{out}/summary.json"));
    assert_eq!(summary["complete"], true);
    assert_eq!(summary["bytes_mismatched"], 0);
    let server = &summary["counters"]["server"];
    for impossible in [
        "dma_violations",
        "malformed_records",
        "unexpected_completions",
    ] {
        assert_eq!(server[impossible], 0, "{impossible} in {server}");
    }
    summary
}

fn start(place: &Place, out: &str, assignments: &[&str], options: &[&str]) -> Ended {
    let mut arguments = vec!["run", "scenario.toml", "--out", out];
    for assignment in assignments {
        arguments.extend(["--set", assignment]);
    }
    arguments.extend(options);
    place.hallux(&arguments)
}

fn count(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("no count: {value}"))
}

/// Bytes of all files that the HTTP scenario serves.
fn served() -> u64 {
    small_files()
        .iter()
        .map(|(_, contents)| contents.len() as u64)
        .sum()
}

/// RPCs between two RTL NICs, of sizes around that of a segment.
const RPC: &str = "app={ kind = \"rpc\", connections = 16, requests = 10, \
                   size = [\"4B\", \"64B\", \"1448B\", \"1449B\", \"20000B\"] }";
const RPC_BYTES: u64 = 16 * 2 * (4 + 64 + 1448 + 1449 + 20_000);

const EVERY_IMPAIRMENT: [&str; 4] = [
    "link.loss=0.02",
    "link.duplicate=0.02",
    "link.reorder=0.02",
    "link.corrupt=0.02",
];

#[test]
fn files_arrive_over_a_clean_link() {
    let place = small_place();
    let summary = run(&place, "out", &[], &[]);
    assert_eq!(summary["bytes_verified"], served());
    assert_eq!(summary["request_ps"]["samples"], small_files().len());
    assert_eq!(summary["retransmitted_segments"], 0);
    for (reason, count) in summary["drops"].as_object().unwrap() {
        assert_eq!(count, 0, "{reason}");
    }
    let counters = &summary["counters"];
    assert_eq!(counters["server"]["connections_opened_passively"], 3);
    assert_eq!(counters["server"]["timeouts"], 0);
    // Two links of half a microsecond each way.
    assert!(count(&summary["rtt_ps"]["p50"]) > 2_000_000);
    // Every byte of a file crossed the PCIe link downwards, and the wire once.
    assert!(count(&summary["pcie"]["cpld_down"]) > served());
    assert!(count(&counters["client"]["rx_bytes"]) > served());
    assert!(!place.path("out/trace.json").exists());
}

#[test]
fn files_arrive_whatever_the_link_does() {
    let place = small_place();
    for (assignments, counters) in [
        (&["link.loss=0.03"][..], &["lost"][..]),
        (&["link.duplicate=0.03"], &["duplicated"]),
        (&["link.reorder=0.03"], &["reordered"]),
        (&["link.corrupt=0.03"], &["fcs_errors"]),
        (
            &EVERY_IMPAIRMENT,
            &["lost", "duplicated", "reordered", "fcs_errors"],
        ),
    ] {
        let summary = run(&place, "out", assignments, &[]);
        assert_eq!(summary["bytes_verified"], served(), "{assignments:?}");
        let wire = &summary["counters"]["wire"];
        for counter in ["lost", "duplicated", "reordered", "fcs_errors"] {
            let expected = counters.contains(&counter);
            assert_eq!(count(&wire[counter]) > 0, expected, "{counter} in {wire}");
        }
        if counters.contains(&"lost") {
            assert!(count(&summary["retransmitted_segments"]) > 0);
        }
    }
}

#[test]
fn rpcs_of_all_sizes_pass_between_two_toes() {
    let place = small_place();
    let clean = run(&place, "clean", &[RPC, "peer.kind=toe"], &[]);
    assert_eq!(clean["bytes_verified"], RPC_BYTES);
    assert_eq!(clean["request_ps"]["samples"], 160);
    assert_eq!(clean["retransmitted_segments"], 0);
    let nics: Vec<&String> = clean["nics"].as_object().unwrap().keys().collect();
    assert_eq!(nics, ["client-nic", "server-nic"]);
    for nic in ["client-nic", "server-nic"] {
        for (reason, count) in clean["nics"][nic]["drops"].as_object().unwrap() {
            assert_eq!(count, 0, "{nic} {reason}");
        }
    }

    let assignments = [&[RPC, "peer.kind=toe"], &EVERY_IMPAIRMENT[..]].concat();
    let impaired = run(&place, "impaired", &assignments, &[]);
    assert_eq!(impaired["bytes_verified"], RPC_BYTES);
    assert!(count(&impaired["retransmitted_segments"]) > 0);
}

/// Messages larger than the rings: every ring wraps, and closes its window.
#[test]
fn rings_of_8_kib_wrap_and_close_their_windows() {
    let place = small_place();
    let small = ["host.ring=8KiB", RPC, "peer.kind=toe"];
    let summary = run(&place, "out", &small, &[]);
    assert_eq!(summary["bytes_verified"], RPC_BYTES);
    assert!(count(&summary["segments"]["window_update_sent"]) > 0);
    assert!(count(&summary["segments"]["window_update_received"]) > 0);

    let assignments = [&small[..], &EVERY_IMPAIRMENT[..]].concat();
    let summary = run(&place, "out", &assignments, &[]);
    assert_eq!(summary["bytes_verified"], RPC_BYTES);

    let both = ["host.ring=8KiB", "peer.buffer=2KiB", "link.loss=0.02"];
    let summary = run(&place, "out", &both, &[]);
    assert_eq!(summary["bytes_verified"], served());
}

/// Bulk transfer in both directions at once: the NIC may not drop what a clean link
/// brings at line rate, although its own segments compete with the received ones.
#[test]
fn two_toes_lose_nothing_on_a_clean_link_under_load() {
    let place = small_place();
    let load = "app={ kind = \"rpc\", connections = 16, requests = 3, size = \"60000B\" }";
    let summary = run(&place, "out", &[load, "peer.kind=toe"], &[]);
    for nic in ["client-nic", "server-nic"] {
        assert_eq!(summary["nics"][nic]["drops"]["buffer_full"], 0, "{nic}");
    }
    assert_eq!(summary["retransmitted_segments"], 0);
}

/// Two flow groups, two units each before and behind their protocol units, serial units, three
/// contexts of applications: everything that the small design point does not have.
#[test]
fn groups_and_replicas_lose_nothing_whatever_the_link_does() {
    let place = small_place();
    let divided = [
        "nic.parameters.groups=2",
        "nic.parameters.replicas=2",
        "nic.parameters.pipeline=serial",
        "nic.parameters.contexts=4",
        "host.contexts=3",
        RPC,
        "peer.kind=toe",
    ];
    let clean = run(&place, "clean", &divided, &[]);
    assert_eq!(clean["bytes_verified"], RPC_BYTES);
    for group in ["protocol", "protocol_further_0"] {
        assert!(count(&clean["stages"][group]["busy"]) > 0, "{group}");
    }
    let assignments = [&divided[..], &EVERY_IMPAIRMENT[..]].concat();
    let impaired = run(&place, "impaired", &assignments, &[]);
    assert_eq!(impaired["bytes_verified"], RPC_BYTES);
    start(&place, "refused", &["host.contexts=2"], &[])
        .fails_with(&["`host.contexts` must lie between 1 and 1"]);
}

/// The results that depend on nothing but scenario and seed.
fn results(place: &Place, out: &str) -> BTreeMap<&'static str, Vec<u8>> {
    ["summary.json", "packets.pcapng", "trace.json"]
        .into_iter()
        .filter_map(|file| Some((file, fs::read(place.path(out).join(file)).ok()?)))
        .collect()
}

#[track_caller]
fn assert_same(first: &BTreeMap<&str, Vec<u8>>, second: &BTreeMap<&str, Vec<u8>>) {
    assert!(first.keys().eq(second.keys()), "not the same files");
    for (file, contents) in first {
        assert!(*contents == second[file], "{file} differs");
    }
}

#[test]
fn equal_runs_leave_equal_bytes_and_other_seeds_others() {
    let place = small_place();
    run(&place, "one", &EVERY_IMPAIRMENT, &["--trace"]);
    run(&place, "two", &EVERY_IMPAIRMENT, &["--trace"]);
    let (one, two) = (results(&place, "one"), results(&place, "two"));
    assert_eq!(one.len(), 3);
    assert_same(&one, &two);

    let other = [&EVERY_IMPAIRMENT[..], &["seed=2"]].concat();
    run(&place, "other", &other, &[]);
    assert!(one["packets.pcapng"] != results(&place, "other")["packets.pcapng"]);
}

/// Skipping quiescent cycles changes the time it takes, not the result.
#[test]
fn skipping_changes_nothing_but_the_cycles_evaluated() {
    let place = small_place();
    let assignments = ["link.loss=0.03", "host.rto_min=100us"];
    let mut evaluated = vec![];
    for skip in ["on", "off", "verify"] {
        let summary = run(&place, skip, &assignments, &["--skip", skip]);
        let execution = place.json(format!("{skip}/execution.json"));
        assert_eq!(execution["skip"], skip);
        let cycles = count(&execution["cycles_evaluated"]);
        evaluated.push((cycles, count(&summary["clock_cycles"])));
        assert_same(&results(&place, "on"), &results(&place, skip));
    }
    let [(on, clock), (off, _), (verify, _)] = evaluated[..] else {
        panic!("three runs")
    };
    assert!(on < clock, "{on} of {clock} cycles were evaluated");
    assert_eq!((off, verify), (clock, clock));
}

/// Interrupts of a vector that has just interrupted wait for its interval, in gates as in the
/// behavioural NIC, and skipping wakes up for them.
#[test]
fn moderated_interrupts_wait_for_their_interval() {
    const INTERVAL: u64 = 100_000_000;
    const ECHOES: &str = "app={ kind = \"rpc\", connections = 1, requests = 12, size = \"64B\", \
                          think_time = \"30us\" }";
    let place = small_place();
    let moderated = [ECHOES, "host.interrupt_interval=100us"];
    let p50 = |out: &str, assignments: &[&str], skip: &str| {
        let options = ["--skip", skip];
        count(&run(&place, out, assignments, &options)["request_ps"]["p50"])
    };
    assert!(p50("free", &[ECHOES], "on") < 15_000_000);
    // Each request waits for the interval that began with the answer before it.
    let waited = p50("on", &moderated, "on");
    assert!((INTERVAL / 2..INTERVAL).contains(&waited), "{waited}");
    assert_eq!(p50("off", &moderated, "off"), waited);
    assert_same(&results(&place, "on"), &results(&place, "off"));
    let behavioural = [&moderated[..], &["nic.model=\"behavioural\""]].concat();
    let same = p50("behavioural", &behavioural, "on");
    assert!(same.abs_diff(waited) < INTERVAL / 50, "{same} for {waited}");
}

/// Keys that a table of docs/results.md lists under the heading of `file`.
fn documented(file: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(format!("{}/docs/results.md", command::PROJECT)).unwrap();
    let section = text.split(&format!("\n## `{file}`\n")).nth(1).unwrap();
    // What is inside a key has a heading of its own.
    let section = section.split("\n##").next().unwrap();
    section
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.split('|').next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_figure_is_documented_and_adds_up() {
    let place = small_place();
    let summary = run(&place, "out", &[RPC, "peer.kind=toe"], &[]);
    assert_eq!(keys(&summary), documented("summary.json"));
    let incomplete = start(&place, "late", &["max_time=25us"], &[]);
    incomplete.fails_with(&["not done at the time limit of 25us"]);
    let execution = place.json("late.incomplete/execution.json");
    assert_eq!(keys(&execution), documented("execution.json"));

    for percentiles in ["rtt_ps", "request_ps"] {
        let values = &summary[percentiles];
        assert_eq!(
            keys(values),
            names(["samples", "p50", "p99", "p999", "p9999"])
        );
        let ordered = ["p50", "p99", "p999", "p9999"].map(|name| count(&values[name]));
        assert!(ordered.is_sorted() && ordered[0] > 0, "{values}");
    }
    // A clock of 250 MHz.
    let cycles = count(&summary["clock_cycles"]);
    assert_eq!(cycles, count(&summary["simulated_ps"]) / 4_000);
    let nics = summary["nics"].as_object().unwrap();
    for (name, nic) in nics {
        assert_eq!(
            keys(nic),
            names(["clock_cycles", "stages", "pcie", "drops", "demand"])
        );
        assert_eq!(nic["clock_cycles"], cycles, "{name}");
        for (stage, values) in nic["stages"].as_object().unwrap() {
            assert_eq!(keys(values), names(["busy", "blocked", "starved"]));
            let sum: u64 = values.as_object().unwrap().values().map(count).sum();
            assert_eq!(sum, cycles, "{stage} of {name}");
            assert!(count(&values["busy"]) > 0, "{stage} of {name} did nothing");
        }
    }
    let tested = &nics["server-nic"];
    for part in ["stages", "pcie", "drops"] {
        assert_eq!(tested[part], summary[part]);
    }
    // What one end received, the other has sent; in the end nothing is on its way.
    let side = |nic: &str, event: &str| count(&nics[nic]["stages"][event]["busy"]);
    assert!(side("server-nic", "assemble") > 0 && side("client-nic", "identify") > 0);
    let verified = count(&summary["bytes_verified"]) as f64;
    let goodput = summary["goodput_gbps"].as_f64().unwrap();
    let least = verified * 8_000.0 / count(&summary["simulated_ps"]) as f64;
    assert!(goodput > least && goodput < 100.0, "{goodput} Gb/s");
}

/// The referee: an independent reader of captures.
#[test]
fn tshark_finds_nothing_wrong_with_a_clean_link() {
    if !has_tool("tshark") {
        return;
    }
    let place = small_place();
    let summary = run(&place, "clean", &[], &[]);
    assert_eq!(lines(&place, "clean", CHECKSUMS), 0);
    assert_eq!(lines(&place, "clean", "tcp.analysis.flags"), 0);
    let segments = summary["segments"].as_object().unwrap();
    let sum = |kinds: &[&str]| -> u64 {
        let counts = kinds.iter().map(|kind| count(&segments[*kind]));
        counts.sum()
    };
    let seen = |filter: &str| lines(&place, "clean", filter);
    assert_eq!(seen("tcp.flags.syn==1"), sum(&["syn_sent", "syn_received"]));
    assert_eq!(seen("tcp.flags.fin==1"), sum(&["fin_sent", "fin_received"]));
    assert_eq!(seen("tcp.len>0"), sum(&["data_sent", "data_received"]));

    run(&place, "impaired", &EVERY_IMPAIRMENT, &[]);
    assert_eq!(lines(&place, "impaired", CHECKSUMS), 0);
    let retransmitted = "tcp.analysis.retransmission && ip.src==10.0.0.1";
    assert!(lines(&place, "impaired", retransmitted) > 0);

    run(
        &place,
        "rpc",
        &[RPC, "peer.kind=toe", "host.ring=8KiB"],
        &[],
    );
    assert_eq!(lines(&place, "rpc", CHECKSUMS), 0);
    // Messages larger than the rings close the window.
    assert!(lines(&place, "rpc", "tcp.window_size==0 && ip.src==10.0.0.1") > 0);
}

const CHECKSUMS: &str =
    "(tcp && tcp.checksum.status!=\"Good\") || (ip && ip.checksum.status!=\"Good\")";

/// Frames of a capture that match a display filter.
fn lines(place: &Place, out: &str, filter: &str) -> u64 {
    let mut command = Command::new("tshark");
    command
        .arg("-r")
        .arg(place.path(out).join("packets.pcapng"));
    for option in ["tcp.check_checksum:TRUE", "ip.check_checksum:TRUE"] {
        command.args(["-o", option]);
    }
    let output = command.args(["-Y", filter]).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    String::from_utf8(output.stdout).unwrap().lines().count() as u64
}

#[test]
fn the_trace_shows_events_in_every_stage() {
    let place = small_place();
    let summary = run(&place, "out", &[], &["--trace"]);
    let trace = place.json("out/trace.json");
    let events = trace
        .as_array()
        .or(trace["traceEvents"].as_array())
        .unwrap();
    let begun: BTreeSet<&str> = events
        .iter()
        .filter(|event| event["ph"] == "b")
        .map(|event| event["name"].as_str().unwrap())
        .collect();
    let stages = [
        "identify",
        "arbiter",
        "protocol",
        "post",
        "payload_write",
        "assemble",
    ];
    for stage in stages {
        assert!(summary["stages"][stage].is_object(), "{stage} is no stage");
        assert!(begun.contains(stage), "no {stage} in the trace");
    }
    let (begins, ends) = ["b", "e"]
        .map(|phase| events.iter().filter(move |event| event["ph"] == phase))
        .into();
    assert_eq!(begins.count(), ends.count());
}

/// Signals of the NIC in a window, in the format this machine can write.
#[test]
fn waves_are_written_for_the_window() {
    let place = small_place();
    let plain = run(&place, "plain", &[], &[]);
    let waved = run(&place, "out", &[], &["--waves", "24us..25us"]);
    assert_eq!(plain, waved, "looking changed the result");
    let fst = fs::read(place.path("out/waves.fst"));
    let vcd = fs::read_to_string(place.path("out/waves.vcd"));
    match (fst, vcd) {
        // A header block of 329 bytes, its length in big-endian.
        (Ok(fst), Err(_)) => {
            assert_eq!(fst[..9], [0, 0, 0, 0, 0, 0, 0, 1, 0x49]);
            assert!(fst.len() > 10_000, "{} bytes", fst.len());
        }
        (Err(_), Ok(vcd)) => assert!(vcd.contains("$enddefinitions") && vcd.contains("\n#")),
        _ => panic!("one file of waves expected: {:?}", place.contents()),
    }
}

#[test]
fn the_bench_ends_with_a_line_of_json() {
    let place = small_place();
    let ended = place
        .hallux(&[
            "bench",
            "cosim",
            "scenario.toml",
            "--json",
            "--repetitions",
            "1",
        ])
        .succeeds();
    let last = ended.stdout.lines().last().unwrap();
    let figures: Value = serde_json::from_str(last).unwrap();
    for figure in ["ratio", "kcycles_per_second", "bare_kcycles_per_second"] {
        assert!(figures[figure].as_f64().unwrap() > 0.0, "{figures}");
    }
    assert!(count(&figures["cycles"]) > 1_000);
    assert_eq!(figures["repetitions"], 1);
}

#[test]
fn doctor_finds_what_these_tests_need() {
    let ended = Place::new().hallux(&["doctor", "--json"]).succeeds();
    let facts: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap();
    for subject in ["Verilator", "C++ compiler", "cache"] {
        let mut about = facts.iter().filter(|fact| fact["subject"] == subject);
        assert!(
            about.any(|fact| fact["status"] != "bad"),
            "{subject} in {facts:?}"
        );
    }
    let shown = Place::new().hallux(&["doctor"]).succeeds();
    assert!(shown.stdout.contains("Verilator"), "{shown:?}");
}
