//! Two RTL NICs that report and use SACK, over a wire that loses frames; their descriptors are
//! coalesced and events of a connection are locked, so that descriptors wait.

mod command;

use command::{PROJECT, Place};
use serde_json::Value;

const BYTES: u64 = 4 * 20 * 60_000;

fn place() -> Place {
    let place = Place::new();
    place.write(
        "scenario.toml",
        format!(
            "name = \"recovery\"\n\
             [nic]\ndesign = \"{PROJECT}/examples/designs/toe-sack.toml\"\n\
             parameters = {{ connections = 64, contexts = 2, coalesce = 8, same_flow = \"lock\" }}\n\
             [peer]\nkind = \"toe\"\n\
             [app]\nkind = \"rpc\"\nconnections = 4\nrequests = 20\nsize = \"60000B\"\n"
        ),
    );
    place
}

fn run(place: &Place, assignments: &[&str]) -> Value {
    let mut arguments = vec!["run", "scenario.toml", "--out", "out"];
    for assignment in assignments {
        arguments.extend(["--set", assignment]);
    }
    place.hallux(&arguments).succeeds();
    let summary = place.json("out/summary.json");
    assert_eq!(summary["complete"], true);
    assert_eq!(summary["bytes_mismatched"], 0);
    assert_eq!(count(&summary["bytes_verified"]), BYTES);
    for end in ["client", "server"] {
        for impossible in ["dma_violations", "malformed_records"] {
            assert_eq!(summary["counters"][end][impossible], 0, "{impossible}");
        }
    }
    summary
}

fn count(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("no count: {value}"))
}

/// What is sent again of a megabyte each way is what was lost, and not what followed it.
#[test]
fn sack_on_both_sides_sends_again_what_was_lost() {
    let place = place();
    let with = run(&place, &["link.loss=0.01"]);
    let without = run(&place, &["link.loss=0.01", "host.sack=false"]);
    let again = |summary: &Value| count(&summary["retransmitted_segments"]);
    let lost = |summary: &Value| count(&summary["counters"]["wire"]["lost"]);
    println!(
        "sent again with SACK {} of {} lost, without {} of {}",
        again(&with),
        lost(&with),
        again(&without),
        lost(&without)
    );
    assert!(lost(&with) > 20);
    assert!(again(&with) * 2 < again(&without));
    // A frame that is lost twice is left to the timeout, which goes back.
    assert!(again(&with) < 4 * lost(&with));
}

#[test]
fn everything_arrives_whatever_the_wire_does() {
    let place = place();
    let impairments = [
        "link.loss=0.02",
        "link.duplicate=0.02",
        "link.reorder=0.02",
        "link.corrupt=0.02",
    ];
    run(&place, &impairments);
}

/// Of both models of a NIC, whatever the answer was to: payload, descriptors, frames of the control
/// plane.
#[test]
fn answers_to_reads_that_are_lost_are_asked_for_again() {
    let place = place();
    for model in ["rtl", "behavioural"] {
        let model = format!("nic.model=\"{model}\"");
        let lossy = [
            &model,
            "pcie.lost_completions=0.005",
            "pcie.completion_timeout=\"20us\"",
        ];
        let (lossy, clean) = (run(&place, &lossy), run(&place, &[&model]));
        for nic in ["client-nic", "server-nic"] {
            let of = |run: &Value, counter: &str| count(&run["counters"][nic][counter]);
            assert!(of(&lossy, "read_timeouts") > 5, "{nic}");
            assert!(of(&lossy, "lost_completions") >= of(&lossy, "read_timeouts"));
            for counter in [
                "read_timeouts",
                "late_completions",
                "lost_completions",
                "resets",
            ] {
                assert_eq!(of(&clean, counter), 0, "{nic}: {counter}");
            }
            // Gates: more read requests for the same bytes.
            if lossy["nics"].get(nic).is_some() {
                let asked = |run: &Value| count(&run["nics"][nic]["pcie"]["mrd_up"]);
                assert!(asked(&lossy) > asked(&clean) + 5 * 24, "{nic}");
            }
        }
    }
}
