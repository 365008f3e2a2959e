//! `hallux compare` as a user and a CI job meet it.

mod command;

use command::{Place, rpc_place};

fn place() -> Place {
    let place = rpc_place();
    place.write(
        "gate.toml",
        "gates = [\"goodput_gbps max 2%\", \"request_ps.p99 min 5%\", \"drops_total min 0\"]\n",
    );
    place
}

#[track_caller]
fn run(place: &Place, out: &str, set: &[&str]) {
    let mut arguments = vec!["run", "rpc.toml", "--out", out];
    for assignment in set {
        arguments.extend(["--set", assignment]);
    }
    place.hallux(&arguments).succeeds();
}

#[test]
fn equal_runs_pass_a_gate_and_a_slower_one_does_not() {
    let place = place();
    run(&place, "a", &[]);
    run(&place, "b", &[]);
    run(&place, "slow", &["link.delay=2us"]);
    let gated = |before, after| place.hallux(&["compare", before, after, "--gate", "gate.toml"]);
    let same = gated("a", "b").succeeds();
    assert!(same.stdout.contains("1 of 1 result without a difference"));
    let slower = gated("a", "slow").fails_with(&["the gate is not passed", "goodput_gbps max 2%"]);
    assert!(slower.stdout.contains("BROKEN"), "{slower:?}");
    // Two microseconds more on two ways of the link explain it.
    let p50 = slower
        .stdout
        .lines()
        .find(|line| line.starts_with("request p50"));
    let p50 = p50.unwrap();
    assert!(p50.contains("link.request link +1000.000 ns"), "{p50}");
    assert!(p50.contains("link.answer link +1000.000 ns"), "{p50}");
    // Better is good, and without a gate nothing is judged.
    gated("slow", "a").succeeds();
    place.hallux(&["compare", "a", "slow"]).succeeds();
}

#[test]
fn sweeps_are_compared_point_by_point() {
    let place = place();
    let sweep = |name: &str, delay: &str, sizes: &str| {
        place.write(
            format!("{name}.toml"),
            format!(
                "name = \"{name}\"\nscenario = \"rpc.toml\"\n\
                 [set]\nlink.delay = \"{delay}\"\n\
                 [[axis]]\nkey = \"app.size\"\nvalues = [{sizes}]\n"
            ),
        );
        place.hallux(&["sweep", &format!("{name}.toml")]).succeeds();
        format!("results/{name}")
    };
    let first = sweep("first", "1us", "\"64B\", \"2KiB\"");
    let same = sweep("same", "1us", "\"64B\", \"2KiB\"");
    let slow = sweep("slow", "3us", "\"64B\", \"2KiB\"");
    let fewer = sweep("fewer", "1us", "\"64B\"");
    let gated = |after: &str| place.hallux(&["compare", &first, after, "--gate", "gate.toml"]);
    let ended = gated(&same).succeeds();
    assert!(
        ended.stdout.contains("2 of 2 points without a difference"),
        "{ended:?}"
    );
    let ended = gated(&slow).fails_with(&["at 2 of 2", "app.size = 64B"]);
    assert!(
        ended.stdout.contains("link.answer link +2000.000 ns"),
        "{ended:?}"
    );
    gated(&fewer).fails_with(&["1 points lost", "app.size = 2KiB: is not in the second"]);
}

#[test]
fn mistakes_cost_one_message() {
    let place = place();
    run(&place, "a", &[]);
    let compare = |arguments: &[&str]| place.hallux(&[&["compare"], arguments].concat());
    compare(&["a", "nowhere"]).fails_with(&["nowhere", "name the directory"]);
    place.write("poem.txt", "roses");
    compare(&["a", "poem.txt"]).fails_with(&["poem.txt", "name the directory"]);
    place.write("half/summary.json", "{\"complete\": false}");
    compare(&["half", "a"]).fails_with(&["half", "not whole"]);
    for (gates, said) in [
        ("[\"goodput_gpbs max 1%\"]", "did you mean `goodput_gbps`"),
        ("[\"goodput_gbps up 1%\"]", "is no rule"),
        ("[\"goodput_gbps max -1\"]", "is no rule"),
        ("[]", "no rule"),
    ] {
        place.write("gate.toml", format!("gates = {gates}\n"));
        compare(&["a", "a", "--gate", "gate.toml"]).fails_with(&[said]);
    }
    compare(&["a", "a", "--gate", "none.toml"]).fails_with(&["none.toml", "cannot read"]);
}
