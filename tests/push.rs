//! Descriptors pushed with their payload, in whole systems: host, NIC, wire, host.

mod command;

use command::{PROJECT, Place};
use serde_json::Value;

/// Echoes between two hosts behind `toe-push`, of `sizes` in turn, over rings of 8 KiB.
fn place(design: &str, sizes: &str) -> Place {
    let place = Place::new();
    let scenario = format!(
        "name = \"push\"\n\
         [nic]\n\
         design = \"{PROJECT}/examples/designs/{design}.toml\"\n\
         [peer]\n\
         kind = \"toe\"\n\
         [host]\n\
         ring = \"8KiB\"\n\
         [app]\n\
         kind = \"rpc\"\n\
         connections = 6\n\
         requests = 120\n\
         size = {sizes}\n"
    );
    place.write("scenario.toml", scenario);
    place
}

/// Runs the scenario; its summary, and of both hosts together what `counter` says.
#[track_caller]
fn run(place: &Place, assignments: &[&str], counter: &str) -> (Value, u64) {
    let mut arguments = vec!["run", "scenario.toml", "--out", "out"];
    for assignment in assignments {
        arguments.extend(["--set", assignment]);
    }
    place.hallux(&arguments).succeeds();
    let summary = place.json("out/summary.json");
    assert_eq!(summary["complete"], true);
    let of = |host: &str| summary["counters"][host][counter].as_u64().unwrap_or(0);
    for host in ["server", "client"] {
        assert_eq!(summary["counters"][host]["dma_violations"], 0);
    }
    let sum = of("server") + of("client");
    (summary, sum)
}

#[test]
fn small_sends_are_pushed_and_arrive_sooner() {
    let pulled = place("toe-100g", "\"64B\"");
    let (pulled, none) = run(&pulled, &[], "pushes");
    let pushed = place("toe-push", "\"64B\"");
    let (pushed, pushes) = run(&pushed, &[], "pushes");
    assert_eq!((none, pushes), (0, 2 * 6 * 120));
    assert_eq!(pushed["bytes_verified"], pulled["bytes_verified"]);
    // Each way saves two reads of host memory, of half a microsecond each.
    let median = |summary: &Value| summary["request_ps"]["p50"].as_u64().unwrap();
    let saved = median(&pulled) - median(&pushed);
    assert!(saved > 1_500_000, "{saved} ps of {}", median(&pulled));
}

#[test]
fn pushed_and_fetched_sends_of_a_connection_keep_its_stream() {
    // Every ring is gone round several times; 100 bytes and more are fetched.
    let place = place(
        "toe-push",
        "[\"24B\", \"100B\", \"64B\", \"4B\", \"1300B\", \"61B\"]",
    );
    for assignments in [
        &[][..],
        &["link.loss=0.02"],
        &["link.reorder=0.05", "link.duplicate=0.02", "host.cpu=free"],
    ] {
        let (summary, pushes) = run(&place, assignments, "pushes");
        let fetched = ["server", "client"].map(|host| {
            let counters = &summary["counters"][host];
            counters["update_descriptors"].as_u64().unwrap()
        });
        let fetched = fetched[0] + fetched[1] - pushes;
        assert!(pushes > 500 && fetched > 300, "{pushes} and {fetched}");
        assert_eq!(summary["bytes_mismatched"], 0);
    }
}

/// Requests are followed through the sending NICs, and their parts add up.
#[test]
fn pushed_requests_are_blamed_by_stage() {
    let sizes = "[\"24B\", \"100B\", \"64B\", \"4B\", \"1300B\", \"61B\"]";
    for (sizes, assignments) in [
        ("\"64B\"", &[][..]),
        (sizes, &["link.delay=2us"]),
        (sizes, &["link.loss=0.02", "link.reorder=0.02"]),
    ] {
        let place = place("toe-push", sizes);
        let (summary, _) = run(&place, assignments, "pushes");
        let table = &summary["blame"]["request"];
        assert_eq!(
            (&table["samples"], &table["unexplained"]),
            (&720.into(), &0.into())
        );
        for row in ["p50", "p99", "worst", "total"] {
            let row = &table[row];
            let parts = row["parts"].as_object().unwrap().values();
            let causes = parts.flat_map(|causes| causes.as_object().unwrap().values());
            let sum: u64 = causes.map(|ps| ps.as_u64().unwrap()).sum();
            assert_eq!(row["latency_ps"], sum);
        }
        let total = &table["total"]["parts"];
        for nic in ["client-nic", "server-nic"] {
            let place = |stage: &str| &total[format!("{nic}.{stage}")];
            let pushed = place("push")["pcie"].as_u64().unwrap();
            // 100 ns each at the least; the sizes of two in three are pushed.
            assert!(pushed >= 480 * 100_000, "{nic}: {total}");
            assert!(
                place("assemble")["service"].as_u64() > Some(0),
                "{nic}: {total}"
            );
            // What is kept is not read, but for the few that had to make place.
            let read = place("payload_read")["pcie"].as_u64().unwrap_or(0);
            let (none, some) = (720 * 500_000 / 20, 240 * 400_000);
            let fetches = sizes.len() > 10;
            assert!(read < none || fetches && read > some, "{nic}: {total}");
        }
        // Software: FlexTOE's cycles, not the NIC's part.
        let host = total["client"]["host"].as_u64().unwrap() / 720;
        assert!(host < 2_500_000, "{host} ps a request at the client");
    }
}

#[test]
fn a_run_with_pushes_is_the_same_with_every_cycle() {
    let place = place("toe-push", "[\"24B\", \"100B\"]");
    let (skipped, _) = run(&place, &["app.requests=10"], "pushes");
    let arguments = [
        "run",
        "scenario.toml",
        "--out",
        "whole",
        "--skip",
        "verify",
        "--set",
        "app.requests=10",
    ];
    place.hallux(&arguments).succeeds();
    assert_eq!(place.json("whole/summary.json"), skipped);
}

#[test]
fn pushes_leave_the_same_bytes_in_every_mode() {
    let place = place("toe-push", "[\"24B\", \"100B\", \"64B\"]");
    command::assert_same_bytes(
        &place,
        &["app.requests=12", "link.loss=0.02"],
        "placement={ \"*\" = \"left\", server = \"right\" }",
        &[],
    );
}
