//! Congestion control on an incast: four hosts send to a fifth, whose port of the switch is the
//! bottleneck and marks. Requests and answers are large, so that all four send at once and the bottleneck is
//! never without work: what is left of the rate shows in the time that all takes.

mod command;

use command::Place;
use serde_json::Value;

const CLIENTS: u64 = 4;
const REQUESTS: u64 = 3;
const BYTES: u64 = 2_000_000;

fn place() -> Place {
    let place = Place::new();
    place.write(
        "design.toml",
        "name = \"small\"\nclock = \"250MHz\"\nconnections = 64\n",
    );
    place.write(
        "scenario.toml",
        format!(
            "name = \"incast\"\n\
             [nic]\ndesign = \"design.toml\"\nmodel = \"behavioural\"\n\
             [host]\necn = true\ncpu = \"free\"\nrto_min = \"5ms\"\n\
             [link]\nrate = \"10Gbps\"\ndelay = \"1us\"\n\
             [topology]\nkind = \"star\"\necn_threshold = \"30KiB\"\n\
             [peer]\nkind = \"toe\"\ncount = {CLIENTS}\n\
             [app]\nkind = \"rpc\"\nconnections = 1\nrequests = {REQUESTS}\nsize = \"{BYTES}B\"\n"
        ),
    );
    place
}

fn run(place: &Place, out: &str, assignments: &[&str]) -> Value {
    run_of(place, out, assignments, CLIENTS * REQUESTS * BYTES)
}

/// A run that verifies `bytes`.
fn run_of(place: &Place, out: &str, assignments: &[&str], bytes: u64) -> Value {
    let mut arguments = vec!["run", "scenario.toml", "--out", out];
    for assignment in assignments {
        arguments.extend(["--set", assignment]);
    }
    place.hallux(&arguments).succeeds();
    let summary = place.json(format!("{out}/summary.json"));
    assert_eq!(summary["complete"], true);
    assert_eq!(summary["bytes_mismatched"], 0);
    assert_eq!(summary["bytes_verified"], bytes, "{summary}");
    summary
}

fn count(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("no count: {value}"))
}

/// The longest queue of the switch, and the whole time.
fn measured(summary: &Value) -> (u64, u64) {
    let queue = count(&summary["counters"]["switch"]["buffer_peak_bytes"]);
    (queue, count(&summary["simulated_ps"]))
}

#[test]
fn dctcp_holds_the_queue_down_and_keeps_the_rate() {
    let place = place();
    let without = run(&place, "without", &[]);
    let with = run(&place, "with", &["host.congestion=\"dctcp\""]);
    let ((queue, time), (held, took)) = (measured(&without), measured(&with));
    println!("queue {queue} bytes in {time} ps; with DCTCP {held} bytes in {took} ps");
    assert!(count(&with["counters"]["client-0"]["bytes_marked"]) > 0);
    assert!(held * 20 < queue, "{held} of {queue} bytes");
    assert!(took * 100 < time * 102, "{took} ps after {time}");
}

/// NICs in gates: without congestion control, with DCTCP's window alone, and with a rate wheel,
/// where the control plane paces the window too. Here the pace is no shorter a queue: that is what
/// slow start makes of it.
#[test]
fn dctcp_holds_the_queue_of_rtl_nics_down_and_the_pace_more() {
    let place = place();
    let small = [
        "nic.model=\"rtl\"",
        "app.requests=1",
        "app.size=\"200000B\"",
    ];
    let run = |out: &str, further: &[&str]| {
        let assignments: Vec<&str> = small.iter().chain(further).copied().collect();
        let summary = run_of(&place, out, &assignments, CLIENTS * 200_000);
        println!("{out}: {:?}", measured(&summary));
        measured(&summary)
    };
    let (queue, time) = run("none", &[]);
    let dctcp = "host.congestion=\"dctcp\"";
    let (window, took) = run("window", &[dctcp]);
    let paced = [dctcp, "nic.parameters.rate_wheel=128"];
    let (pace, paced_took) = run("pace", &paced);
    assert!(window * 3 < queue, "{window} of {queue} bytes");
    assert!(pace <= window, "{pace} of {window} bytes");
    assert!(took * 100 < time * 110, "{took} ps after {time}");
    assert!(
        paced_took * 100 < time * 110,
        "{paced_took} ps after {time}"
    );
}

/// Without marks only losses shrink the window; everything arrives.
#[test]
fn dctcp_without_marks_reacts_to_losses() {
    let place = place();
    let assignments = [
        "host.congestion=\"dctcp\"",
        "host.ecn=false",
        "topology.buffer=\"60KiB\"",
    ];
    let summary = run(&place, "out", &assignments);
    let switch = &summary["counters"]["switch"];
    assert!(count(&switch["dropped"]) > 0, "{switch}");
    assert_eq!(switch["marked"], 0);
}
