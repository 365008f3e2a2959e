//! `hallux bench datapath`, short: every key is there, and no figure beats its limit.

mod command;

use command::Place;

#[test]
fn the_bench_reports_each_figure_beside_its_limit() {
    let place = Place::new();
    let ended = place
        .hallux(&["bench", "datapath", "--quick", "--json"])
        .succeeds();
    let line = ended.stdout.lines().last().unwrap_or_default();
    let figures: serde_json::Value = serde_json::from_str(line).unwrap();
    // What the whole NIC cannot do: more than the limit, but for one in the count.
    for (key, least) in [
        ("events_per_clock_many_flows", 0.99),
        ("events_per_clock_one_flow", 0.99),
        ("small_segments_of_wire_rate", 0.99),
        ("bulk_one_flow_of_wire_limit", 0.9),
        ("rpc_of_binding_limit", 0.3),
    ] {
        let ratio = figures[key]
            .as_f64()
            .unwrap_or_else(|| panic!("no {key} in {line}"));
        assert!((least..=1.004).contains(&ratio), "{key} is {ratio}");
    }
    assert_eq!(figures["small_segments"]["drops"], 0);
    assert!(figures["protocol_events"].as_u64() >= Some(100_000));
    for latency in ["wire_to_host", "wire_to_ack", "doorbell_to_wire"] {
        let latency = &figures["latency_cycles"][latency];
        assert!(latency["samples"].as_u64() >= Some(100), "{latency}");
    }
    // A push saves two reads of host memory, not only the cycles of a doorbell.
    let p50 = |latencies: &str, path: &str| figures[latencies][path]["p50"].as_u64();
    let pushed = p50("latency_cycles_with_push", "send_to_wire");
    assert!(pushed > Some(0) && pushed < p50("latency_cycles", "send_to_wire"));
    assert_eq!(pushed, p50("latency_cycles_with_push", "doorbell_to_wire"));
    let ladder: Vec<f64> = serde_json::from_value(figures["ladder_goodput_gbps"].clone()).unwrap();
    assert_eq!(ladder.len(), 5);
    // The third step replicates what is not the bound while the protocol unit is serial: it
    // must cost nothing. The others bring much.
    assert!(
        ladder.is_sorted_by(|lower, higher| lower <= higher),
        "{ladder:?}"
    );
    for [from, to] in [[0, 1], [1, 2], [3, 4]] {
        assert!(1.5 * ladder[from] < ladder[to], "{ladder:?}");
    }
    for curve in ["loss_curve", "connection_curve"] {
        assert!(
            figures[curve]
                .as_array()
                .is_some_and(|points| points.len() >= 2),
            "{curve}"
        );
    }
}

/// A connection with a rate keeps to it while one beside it takes all that is left.
#[test]
fn a_paced_connection_has_its_rate_and_leaves_the_rest() {
    let place = Place::new();
    let design = include_str!("../examples/designs/toe-100g.toml").replace("toe-100g", "paced");
    place.write("paced.toml", format!("{design}\nrate_wheel = 128\n"));
    let ended = place
        .hallux(&[
            "bench",
            "datapath",
            "--quick",
            "--json",
            "--only",
            "pacing",
            "paced.toml",
        ])
        .succeeds();
    let line = ended.stdout.lines().last().unwrap_or_default();
    let figures: serde_json::Value = serde_json::from_str(line).unwrap();
    let pacing = figures["pacing"].as_array().expect("a rate was measured");
    assert!(!pacing.is_empty());
    for point in pacing {
        let ratio = |of: &str| point[of]["ratio"].as_f64().unwrap_or_default();
        assert!((0.99..=1.01).contains(&ratio("paced")), "{point}");
        assert!((0.97..=1.01).contains(&ratio("rest")), "{point}");
    }
}
