//! What binds a run, and where its requests spent their time: small runs in which one
//! resource after the other is the narrowest.

mod command;

use command::{PROJECT, Place, SMALL_NIC};
use serde_json::Value;
use std::fs;

/// Four files to download over four connections, from a host that costs no time.
fn bulk() -> Place {
    let place = Place::new();
    place.write(
        "scenario.toml",
        format!(
            "name = \"bulk\"\n\
             [nic]\n\
             design = \"{PROJECT}/examples/designs/toe-100g.toml\"\n\
             {SMALL_NIC}\n\
             [host]\ncpu = \"free\"\n\
             [app]\nkind = \"http\"\nroot = \"www\"\nconnections = 4\n"
        ),
    );
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let noise = (0..400_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8);
        place.write(format!("www/{name}"), noise.collect::<Vec<u8>>());
    }
    place
}

/// Many small requests between two NICs.
fn echo() -> Place {
    let place = Place::new();
    place.write(
        "scenario.toml",
        format!(
            "name = \"echo\"\n\
             [nic]\n\
             design = \"{PROJECT}/examples/designs/toe-100g.toml\"\n\
             {SMALL_NIC}\n\
             [peer]\nkind = \"toe\"\n\
             [app]\nkind = \"rpc\"\nconnections = 32\nrequests = 10\nsize = \"64B\"\n"
        ),
    );
    place
}

/// The summary of a run with these values.
#[track_caller]
fn run(place: &Place, set: &[&str]) -> Value {
    let mut arguments = vec!["run", "scenario.toml", "--out", "out", "--requests"];
    for assignment in set {
        arguments.extend(["--set", assignment]);
    }
    place.hallux(&arguments).succeeds();
    place.json("out/summary.json")
}

/// Runs with `set`, in which `resource` must bind; then with `moved` beside it, which must
/// change goodput by a tenth at least, and with `other`, which must not change it by more
/// than a hundredth.
#[track_caller]
fn binds(place: &Place, resource: &str, set: &[&str], moved: &str, other: &str) {
    let bound = run(place, set);
    let verdict = &bound["verdict"];
    assert_eq!(verdict["binds"], resource, "{verdict:#}");
    let sentence = verdict["sentence"].as_str().unwrap();
    assert!(sentence.contains("binds") && sentence.contains("next bound"));
    let of = &verdict["resources"][resource];
    let goodput = |summary: &Value| summary["goodput_gbps"].as_f64().unwrap();
    let reached = goodput(&bound) / of["bound_gbps"].as_f64().unwrap();
    let utilisation = of["utilisation"].as_f64().unwrap();
    assert!(
        (reached - utilisation).abs() < 0.01,
        "{reached} {utilisation}"
    );
    assert!((0.85..1.1).contains(&utilisation), "{verdict:#}");

    let change = |assignment: &str| {
        let set = [set, &[assignment]].concat();
        goodput(&run(place, &set)) / goodput(&bound)
    };
    let (by_it, by_other) = (change(moved), change(other));
    assert!(!(0.9..1.1).contains(&by_it), "{moved}: {by_it}");
    assert!((0.99..1.01).contains(&by_other), "{other}: {by_other}");
}

#[test]
fn the_wire_binds() {
    let set = ["link.rate=10Gbps"];
    binds(
        &bulk(),
        "wire_sent",
        &set,
        "link.rate=20Gbps",
        "pcie.generation=3",
    );
}

#[test]
fn the_bus_binds() {
    let (set, moved) = (
        ["nic.parameters.clock=125MHz"],
        "nic.parameters.clock=100MHz",
    );
    binds(&bulk(), "bus_sent", &set, moved, "link.rate=200Gbps");
}

#[test]
fn the_hazard_of_one_connection_binds() {
    let set = [
        "app.connections=1",
        "link.mtu=576B",
        "nic.parameters.clock=125MHz",
        "nic.parameters.same_flow=lock",
    ];
    let moved = "nic.parameters.same_flow=forward1";
    binds(
        &bulk(),
        "same_flow_hazard",
        &set,
        moved,
        "link.rate=200Gbps",
    );
}

#[test]
fn pcie_bytes_bind() {
    let set = ["pcie.generation=1", "pcie.lanes=8"];
    let other = "nic.parameters.clock=200MHz";
    binds(&bulk(), "pcie_down", &set, "pcie.lanes=4", other);
}

#[test]
fn read_tags_bind() {
    let set = ["pcie.root_latency=10us", "app.connections=8"];
    let moved = "nic.parameters.read_tags=32";
    binds(&bulk(), "read_tags", &set, moved, "link.rate=200Gbps");
}

#[test]
fn host_cycles_bind() {
    let set = ["host.cpu=linux"];
    binds(
        &echo(),
        "host_cycles",
        &set,
        "host.cpu=tas",
        "nic.parameters.read_tags=64",
    );
}

#[test]
fn requests_in_flight_bind_where_nothing_else_does() {
    let set = ["host.cpu=free", "app.connections=1"];
    let moved = "app.connections=2";
    binds(
        &echo(),
        "requests_in_flight",
        &set,
        moved,
        "link.rate=200Gbps",
    );
}

/// The parts of a latency, added up.
fn sum(parts: &Value) -> u64 {
    let causes = parts.as_object().unwrap().values();
    let parts = causes.flat_map(|causes| causes.as_object().unwrap().values());
    parts.map(|ps| ps.as_u64().unwrap()).sum()
}

#[track_caller]
fn blame_adds_up(place: &Place, set: &[&str]) -> (Value, Vec<Value>) {
    let summary = run(place, set);
    let text = fs::read_to_string(place.path("out/requests.jsonl")).unwrap();
    let requests: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut latencies = vec![];
    for request in &requests {
        let latency = request["latency_ps"].as_u64().unwrap();
        assert_eq!(sum(&request["parts"]), latency, "{request:#}");
        latencies.push(latency);
    }
    latencies.sort_unstable();
    let blame = &summary["blame"];
    assert_eq!(blame["cut"], false);
    for kind in ["request", "received", "sent"] {
        let table = &blame[kind];
        assert_eq!(table["unexplained"], 0, "{kind}");
        assert!(table["samples"].as_u64().unwrap() > 0, "{kind}");
        for percentile in ["p50", "p99", "p999", "p9999", "worst", "total"] {
            let sample = &table[percentile];
            assert_eq!(
                sum(&sample["parts"]),
                sample["latency_ps"],
                "{kind} {percentile}"
            );
        }
    }
    let table = &blame["request"];
    assert_eq!(table["samples"], requests.len());
    for (percentile, share) in [("p50", 5_000), ("p99", 9_900), ("p9999", 9_999)] {
        let rank = (latencies.len() * share).div_ceil(10_000);
        assert_eq!(table[percentile]["latency_ps"], latencies[rank - 1]);
        assert_eq!(summary["request_ps"][percentile], latencies[rank - 1]);
    }
    assert_eq!(table["total"]["latency_ps"], latencies.iter().sum::<u64>());
    (summary, requests)
}

#[test]
fn every_request_between_two_nics_adds_up_to_the_picosecond() {
    let place = echo();
    let (_, requests) = blame_adds_up(&place, &[]);
    let least = |place: &str, cause: &str| {
        let of = |request: &Value| request["parts"][place][cause].as_u64().unwrap_or(0);
        requests.iter().map(of).min().unwrap()
    };
    // A link without a switch takes its delay, neither more nor less.
    for way in ["link.request", "link.answer"] {
        assert_eq!(least(way, "link"), 1_000_000, "{way}");
    }
    for nic in ["client-nic", "server-nic"] {
        assert_eq!(least(&format!("{nic}.record"), "pcie"), 100_000);
        assert_eq!(least(&format!("{nic}.doorbell"), "pcie"), 100_000);
        // Both ways of the link and the root complex.
        for stage in ["fetch", "payload_read"] {
            let read = least(&format!("{nic}.{stage}"), "pcie");
            assert!((500_000..600_000).contains(&read), "{nic}.{stage} {read}");
        }
    }
    // What the root complex takes longer is seen at the reads, and there alone.
    let slow = blame_adds_up(&place, &["pcie.root_latency=1us"]).1;
    let mean = |requests: &[Value], place: &str, cause: &str| {
        let of = |request: &Value| request["parts"][place][cause].as_u64().unwrap_or(0);
        requests.iter().map(of).sum::<u64>() / requests.len() as u64
    };
    for (stage, cause, longer) in [
        ("server-nic.fetch", "pcie", 700_000),
        ("server-nic.payload_read", "pcie", 700_000),
        ("server-nic.record", "pcie", 0),
        ("server-nic.assemble", "service", 0),
    ] {
        let change = mean(&slow, stage, cause).abs_diff(mean(&requests, stage, cause));
        assert!(change.abs_diff(longer) < 15_000, "{stage}: {change}");
    }
}

#[test]
fn every_file_served_adds_up_also_with_loss() {
    blame_adds_up(&bulk(), &[]);
    let lossy = ["link.loss=0.002", "link.reorder=0.002", "seed=3"];
    let (summary, _) = blame_adds_up(&bulk(), &lossy);
    assert!(summary["retransmitted_segments"].as_u64().unwrap() > 0);
    let sentence = summary["verdict"]["sentence"].as_str().unwrap();
    assert!(sentence.contains("sent again"), "{sentence}");
}

#[test]
fn blame_is_the_same_in_processes_and_without_skipping() {
    let place = echo();
    run(&place, &[]);
    let [summary, worst] = ["summary.json", "worst.json"].map(|f| place.read(format!("out/{f}")));
    for options in [["--mode", "processes"], ["--skip", "off"]] {
        let arguments = ["run", "scenario.toml", "--out", "other"];
        place
            .hallux(&[&arguments[..], &options].concat())
            .succeeds();
        assert_eq!(place.read("other/summary.json"), summary, "{options:?}");
        assert_eq!(place.read("other/worst.json"), worst, "{options:?}");
    }
    // The longest request on the upper track, within it every part, in order.
    let trace = place.json("out/worst.json");
    let events = trace["traceEvents"].as_array().unwrap();
    let spans: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
    let summary = place.json("out/summary.json");
    let latency = &summary["blame"]["request"]["worst"]["latency_ps"];
    let name = format!("longest request, {latency} ps");
    assert_eq!(spans[0]["name"], name.as_str());
    assert!(spans.len() > 20 && events.iter().any(|event| event["ph"] == "b"));
    let told = place.hallux(&["blame", "out"]).succeeds().stdout;
    assert!(
        told.contains("server-nic.payload_read") && told.contains("segment sent"),
        "{told}"
    );
}

#[test]
fn blame_of_what_is_no_result_is_refused() {
    let place = Place::new();
    place
        .hallux(&["blame", "nowhere"])
        .fails_with(&["nowhere", "name the result"]);
    place.write("summary.json", "{\"scenario\": \"x\", \"design\": \"y\"}");
    place
        .hallux(&["blame", "."])
        .fails_with(&["no `blame`", "run the scenario again"]);
}
