//! The mode law: the same scenario and seed leave the same bytes, however the
//! components run.

mod command;

use command::{Ended, Place, assert_none_left, children, endless, results, signal, small_place};
use std::fs;
use std::time::{Duration, Instant};

/// Two RTL NICs, requests of sizes around that of a segment, on a bad link.
const TWO_TOES: [&str; 6] = [
    "app={ kind = \"rpc\", connections = 8, requests = 6, \
     size = [\"4B\", \"64B\", \"1449B\", \"20000B\"] }",
    "peer.kind=toe",
    "link.loss=0.02",
    "link.duplicate=0.02",
    "link.reorder=0.02",
    "link.corrupt=0.02",
];

/// Ways to run, beside fused.
const MODES: [&[&str]; 5] = [
    &["--mode", "threads"],
    &["--mode", "threads", "--workers", "3"],
    &["--mode", "threads", "--workers", "16", "--skip", "off"],
    &["--mode", "processes"],
    // Two nodes with the PCIe link of the server between them.
    &[
        "--mode",
        "cluster",
        "--launcher",
        "local",
        "--set",
        "placement={ \"*\" = \"left\", server = \"right\" }",
    ],
];

/// Four smoltcp clients around an RTL server, and a switch that must drop and mark.
const STAR: [&str; 5] = [
    "app={ kind = \"rpc\", connections = 2, requests = 6, think_time = \"3us\", \
     size = [\"64B\", \"30000B\"] }",
    "topology.kind=star",
    "topology.buffer=20KiB",
    "peer.count=4",
    "link.delay=500ns",
];

fn start(place: &Place, out: &str, assignments: &[&str], options: &[&str]) -> Ended {
    let mut arguments = vec!["run", "scenario.toml", "--out", out, "--trace"];
    for assignment in assignments {
        arguments.extend(["--set", assignment]);
    }
    arguments.extend(options);
    place.hallux(&arguments)
}

#[track_caller]
fn assert_law(assignments: &[&str]) -> Place {
    let place = small_place();
    start(&place, "fused", assignments, &[]).succeeds();
    let expected = results(&place, "fused");
    for options in MODES {
        start(&place, "other", assignments, options).succeeds();
        for (file, contents) in results(&place, "other") {
            assert!(
                contents == expected[file],
                "{file} differs with {options:?}"
            );
        }
        let execution = place.json("other/execution.json");
        assert_eq!(execution["mode"], options[1]);
        assert!(execution["workers"].as_u64().unwrap() > 1);
    }
    place
}

#[test]
fn files_arrive_in_the_same_bytes_in_every_mode() {
    assert_law(&[]);
}

#[test]
fn two_toes_on_a_bad_link_leave_the_same_bytes_in_every_mode() {
    assert_law(&TWO_TOES);
}

#[test]
fn a_star_around_a_small_switch_leaves_the_same_bytes_in_every_mode() {
    let place = assert_law(&STAR);
    // The first client's node comes last.
    let mut spread = MODES[4].to_vec();
    spread[5] = "placement={ \"*\" = \"left\", client-0 = \"right\" }";
    start(&place, "other", &STAR, &spread).succeeds();
    assert!(results(&place, "other") == results(&place, "fused"));
    let summary = place.json("fused/summary.json");
    let bytes = 4 * 2 * 3 * (64 + 30_000);
    assert_eq!(summary["bytes_verified"], bytes);
    assert!(summary["counters"]["switch"]["dropped"].as_u64().unwrap() > 0);
}

/// Hosts without any offload on a switch.
#[test]
fn a_star_of_plain_hosts_needs_no_model() {
    let place = small_place();
    let arguments = [
        "run",
        "scenario.toml",
        "--set",
        "nic.model=smoltcp",
        "--out",
        "out",
    ];
    let mut arguments = arguments.to_vec();
    for assignment in &STAR {
        arguments.extend(["--set", assignment]);
    }
    let mut bytes = vec![];
    for mode in ["fused", "threads", "processes"] {
        let arguments = [&arguments[..], &["--mode", mode]].concat();
        place.hallux(&arguments).succeeds();
        let files = ["summary.json", "packets.pcapng"];
        bytes.push(files.map(|file| fs::read(place.path("out").join(file)).unwrap()));
    }
    assert!(bytes.iter().all(|these| *these == bytes[0]));
    let summary = place.json("out/summary.json");
    assert_eq!(summary["bytes_verified"], 4 * 2 * 3 * (64 + 30_000));
    assert_eq!(summary["clock_cycles"], 0);
}

/// A run that cannot be completed says so in every mode, and leaves marked parts.
#[test]
fn the_time_limit_ends_a_run_in_every_mode() {
    let place = small_place();
    let mut summaries = vec![];
    for options in [&[][..], MODES[0], MODES[1], MODES[3], MODES[4]] {
        start(&place, "late", &["max_time=45us"], options)
            .fails_with(&["not done at the time limit of 45us: client waits for"]);
        let summary = place.read("late.incomplete/summary.json");
        assert!(summary.contains("\"complete\": false"));
        summaries.push(summary);
    }
    assert!(summaries.iter().all(|summary| *summary == summaries[0]));
}

/// Ctrl-C ends a run with what was simulated so far.
#[test]
fn an_interrupted_run_keeps_its_parts_in_every_mode() {
    let place = small_place();
    for options in [&[][..], MODES[0], MODES[1], MODES[3], MODES[4]] {
        let child = endless(&place, options);
        signal("-INT", child.id());
        let ended = Ended::from(child.wait_with_output().unwrap());
        ended.fails_with(&["cancelled at", "partial results, marked incomplete"]);
        let summary = place.json("out.incomplete/summary.json");
        assert_eq!(summary["complete"], false);
        assert!(
            summary["bytes_verified"].as_u64().unwrap() > 0,
            "{options:?}"
        );
    }
}

/// A worker that dies is missed within a second; what it ran is named.
#[test]
fn a_killed_worker_ends_the_run_with_its_name() {
    let place = small_place();
    let together = ["--set", "placement={ client = \"far\", wire = \"far\" }"];
    let child = endless(&place, &[MODES[3], &together].concat());
    let workers = children(child.id());
    assert_eq!(workers.len(), 3);
    signal("-KILL", workers[2]);
    let killed = Instant::now();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert!(
        killed.elapsed() < Duration::from_secs(1),
        "{:?}",
        killed.elapsed()
    );
    ended.fails_with(&[
        "the process of client, wire was killed by signal 9",
        "partial results, marked incomplete",
    ]);
    assert_eq!(place.json("out.incomplete/summary.json")["complete"], false);
    assert_none_left(&workers);
}

/// Workers do not outlive the run that started them.
#[test]
fn workers_end_with_the_run_that_started_them() {
    let place = small_place();
    let mut child = endless(&place, MODES[3]);
    let workers = children(child.id());
    assert_eq!(workers.len(), 4);
    signal("-KILL", child.id());
    child.wait().unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert_none_left(&workers);
}

#[test]
fn a_placement_names_components() {
    let place = small_place();
    let options = [
        "--mode",
        "processes",
        "--set",
        "placement={ clint = \"far\" }",
    ];
    start(&place, "out", &[], &options)
        .fails_with(&["`clint`", "server, server-nic, client, wire"]);
}

#[test]
fn workers_without_threads_are_refused() {
    let place = small_place();
    start(&place, "out", &[], &["--workers", "2"]).fails_with(&["--mode threads"]);
}

#[test]
fn several_peers_need_a_switch() {
    let place = small_place();
    start(&place, "out", &["peer.count=2"], &[])
        .fails_with(&["`peer.count` is 2", "topology.kind = \"star\""]);
    start(
        &place,
        "out",
        &["peer.count=201", "topology.kind=star"],
        &[],
    )
    .fails_with(&["between 1 and 200, not 201"]);
}

#[test]
fn the_bench_ends_with_a_line_of_json() {
    let place = Place::new();
    let arguments = ["bench", "modes", "--quick", "--repetitions", "1", "--json"];
    let ended = place.hallux(&arguments).succeeds();
    let line = ended.stdout.lines().last().unwrap();
    let figures: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(figures["identical"], true);
    let figure = |key: &str| figures[key].as_f64().unwrap_or_else(|| panic!("no {key}"));
    for key in [
        "fused_over_processes_sync_bound",
        "threads_over_fused_rtl_bound",
        "processes_over_threads_rtl_bound",
        "crowded_processes_over_fused",
        "crowded_us_per_second",
        "sync_share",
    ] {
        assert!(figure(key) > 0.0, "{key} in {line}");
    }
    assert!(figure("crowded_spin_us_per_second") >= 0.0);
    let rows = figures["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 9);
    let workers: Vec<_> = rows.iter().map(|row| row["workers"].clone()).collect();
    assert_eq!(
        (&workers[2], &workers[5], &workers[8]),
        (&9.into(), &2.into(), &13.into())
    );
}
