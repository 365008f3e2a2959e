//! Extension modules in whole systems: host, NIC with modules, wire and an independent peer.
//!
//! All scenarios share the design point `toe-modules`, so that one model serves them.

mod command;

use command::{PROJECT, Place, has_tool, small_files};
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
