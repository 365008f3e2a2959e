//! `hallux sweep` as a user meets it: tables, resumption, mistakes. The behavioural NIC runs the points,
//! so that many of them take little time.

mod command;
mod slurm;

use command::{Place, SMALL_NIC, has_tool, rpc_place};
use slurm::Slurm;
use std::process::Stdio;
use std::time::{Duration, Instant};

const SIZES: &str = "[[axis]]\nkey = \"app.size\"\nvalues = [\"64B\", \"2KiB\", \"16KiB\"]\n";
const DELAYS: &str =
    "[[axis]]\nkey = \"link.delay\"\nrange = { from = \"1us\", to = \"4us\", step = \"1us\" }\n";

fn sweep_file(place: &Place, rest: &str) {
    place.write(
        "sweep.toml",
        format!("name = \"sizes\"\nscenario = \"rpc.toml\"\n{rest}"),
    );
}

fn rows(place: &Place, table: &str) -> Vec<Vec<String>> {
    let text = place.read(table);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader
        .records()
        .map(|record| record.unwrap().iter().map(str::to_owned).collect())
        .collect()
}

#[test]
fn a_grid_is_run_once_and_its_front_named() {
    let place = rpc_place();
    sweep_file(
        &place,
        &format!("objectives = [\"goodput_gbps max\", \"request_ps.p50 min\"]\n{SIZES}{DELAYS}"),
    );
    let first = place.hallux(&["sweep", "sweep.toml"]).succeeds();
    assert!(
        first
            .stdout
            .contains("12 done, 0 infeasible, 0 failed; 12 run now"),
        "{first:?}"
    );
    let table = place.read("results/sizes/results.csv");
    let all = rows(&place, "results/sizes/results.csv");
    assert_eq!(all.len(), 12);
    // The least delay is best for either objective: small messages are fast, large ones fill the link.
    let front: Vec<&str> = all
        .iter()
        .filter(|row| row[4] == "1")
        .map(|row| row[2].as_str())
        .collect();
    assert!(
        !front.is_empty() && front.iter().all(|delay| *delay == "1us"),
        "{table}"
    );

    let again = place.hallux(&["sweep", "sweep.toml"]).succeeds();
    assert!(
        again
            .stdout
            .contains("12 done, 0 infeasible, 0 failed; 0 run now"),
        "{again:?}"
    );
    assert_eq!(place.read("results/sizes/results.csv"), table);

    // Another order of workers, another directory: the same bytes.
    place
        .hallux(&["sweep", "sweep.toml", "--workers", "1", "--out", "one"])
        .succeeds();
    assert_eq!(place.read("one/results.csv"), table);
    assert_eq!(
        place.read("one/results.jsonl"),
        place.read("results/sizes/results.jsonl")
    );
}

#[test]
fn a_point_that_cannot_be_is_a_row() {
    let place = rpc_place();
    sweep_file(
        &place,
        "constraints = [\"goodput_gbps >= 0.5\"]\n\
         [[axis]]\nkey = \"design.connections\"\nvalues = [64, 100]\n\
         [[axis]]\nkey = \"app.size\"\nvalues = [\"8B\", \"16KiB\"]\n",
    );
    let ended = place.hallux(&["sweep", "sweep.toml"]).succeeds();
    assert!(
        ended.stdout.contains("1 done, 1 infeasible, 2 failed"),
        "{ended:?}"
    );
    let all = rows(&place, "results/sizes/results.csv");
    assert_eq!(all[0][3], "infeasible");
    assert!(
        all[0]
            .last()
            .unwrap()
            .starts_with("goodput_gbps >= 0.5 does not hold")
    );
    assert_eq!(all[1][3], "done");
    assert!(
        all[2].last().unwrap().contains("must be a power of two"),
        "{:?}",
        all[2]
    );
}

#[test]
fn a_run_that_fails_is_a_row_and_is_not_repeated_unless_asked() {
    let place = rpc_place();
    sweep_file(
        &place,
        "[[axis]]\nkey = \"max_time\"\nvalues = [\"30us\", \"1s\"]\n",
    );
    let ended = place.hallux(&["sweep", "sweep.toml"]).succeeds();
    assert!(
        ended
            .stdout
            .contains("1 done, 0 infeasible, 1 failed; 2 run now"),
        "{ended:?}"
    );
    let all = rows(&place, "results/sizes/results.csv");
    assert!(
        all[0]
            .last()
            .unwrap()
            .contains("not done at the time limit of 30us"),
        "{all:?}"
    );
    let ended = place.hallux(&["sweep", "sweep.toml"]).succeeds();
    assert!(ended.stdout.contains("; 0 run now"), "{ended:?}");
    let ended = place.hallux(&["sweep", "sweep.toml", "--retry"]).succeeds();
    assert!(ended.stdout.contains("1 failed; 1 run now"), "{ended:?}");
}

#[test]
fn a_killed_sweep_goes_on_where_it_was() {
    let whole = rpc_place();
    sweep_file(&whole, &format!("{SIZES}{DELAYS}"));
    whole
        .hallux(&["sweep", "sweep.toml", "--out", "whole"])
        .succeeds();
    let points = whole.path("part/points");
    let mut child = whole
        .command(&["sweep", "sweep.toml", "--out", "part", "--workers", "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stored = || {
        let entries = std::fs::read_dir(&points).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.path().join("outcome.json").is_file())
            .count()
    };
    let begun = Instant::now();
    while stored() < 3 && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = stored();
    assert!(
        (3..12).contains(&before),
        "{before} stored when it was killed"
    );
    let ended = whole
        .hallux(&["sweep", "sweep.toml", "--out", "part"])
        .succeeds();
    assert!(
        ended.stdout.contains(&format!("{} run now", 12 - before)),
        "{ended:?}"
    );
    assert_eq!(
        whole.read("part/results.csv"),
        whole.read("whole/results.csv")
    );
    assert_eq!(
        whole.read("part/results.jsonl"),
        whole.read("whole/results.jsonl")
    );
}

#[test]
fn halving_runs_many_briefly_and_few_long() {
    let place = rpc_place();
    sweep_file(
        &place,
        &format!(
            "objectives = [\"request_ps.p50 min\"]\n\
             sample = {{ kind = \"halving\", keep = 0.25, \
             fidelity = {{ key = \"app.requests\", values = [2, 4, 8] }} }}\n{SIZES}{DELAYS}"
        ),
    );
    let ended = place.hallux(&["sweep", "sweep.toml"]).succeeds();
    assert!(ended.stdout.contains("16 done"), "{ended:?}");
    let all = rows(&place, "results/sizes/results.csv");
    let rungs: Vec<usize> = (0..3)
        .map(|rung| all.iter().filter(|row| row[1] == rung.to_string()).count())
        .collect();
    assert_eq!(rungs, [12, 3, 1]);
    // The shortest link is fastest at every length.
    let last = all.last().unwrap();
    assert_eq!((last[3].as_str(), last[5].as_str()), ("1us", "1"));
}

#[test]
fn a_random_sample_is_drawn_by_its_seed() {
    let place = rpc_place();
    let sample = "sample = { kind = \"random\", points = 5 }\n";
    sweep_file(&place, &format!("{sample}{SIZES}{DELAYS}"));
    place
        .hallux(&["sweep", "sweep.toml", "--out", "a"])
        .succeeds();
    assert_eq!(rows(&place, "a/results.csv").len(), 5);
    sweep_file(&place, &format!("seed = 2\n{sample}{SIZES}{DELAYS}"));
    place
        .hallux(&["sweep", "sweep.toml", "--out", "b"])
        .succeeds();
    assert_ne!(place.read("a/results.csv"), place.read("b/results.csv"));
}

#[test]
fn mistakes_cost_one_message_and_nothing_stored() {
    let place = rpc_place();
    for (file, parts) in [
        (
            "[[axis]]\nkey = \"app.sise\"\nvalues = [\"1B\"]\n".to_owned(),
            &["unknown", "app.sise", "did you mean `size`"][..],
        ),
        (
            "[[axis]]\nkey = \"design.read_tag\"\nvalues = [1]\n".to_owned(),
            &["read_tag", "did you mean `read_tags`"],
        ),
        (
            "[[axis]]\nkey = \"app.size\"\nvalues = []\n".to_owned(),
            &["sweep.toml:3:", "has no values"],
        ),
        (
            format!("objectives = [\"godput_gbps max\"]\n{SIZES}"),
            &[
                "no result has the metric `godput_gbps`",
                "did you mean `goodput_gbps`",
            ],
        ),
        (
            SIZES
                .replace("size", "kind")
                .replace("\"64B\", \"2KiB\", \"16KiB\"", "\"ftp\""),
            &["app.kind", "ftp"],
        ),
    ] {
        sweep_file(&place, &file);
        let ended = place.hallux(&["sweep", "sweep.toml"]);
        if ended.code == Some(0) {
            // A value that no point can have fails its rows instead.
            let table = place.read("results/sizes/results.csv");
            assert!(parts.iter().all(|part| table.contains(part)), "{table}");
        } else {
            ended.fails_with(parts);
        }
    }
    place.write("rpc2.toml", "name = \"x\"\n");
    place.write(
        "sweep.toml",
        format!("name = \"s\"\nscenario = \"gone.toml\"\n{SIZES}"),
    );
    place
        .hallux(&["sweep", "sweep.toml"])
        .fails_with(&["gone.toml", "cannot read the file"]);
    place.write("papers/thesis.tex", "x");
    sweep_file(&place, SIZES);
    place
        .hallux(&["sweep", "sweep.toml", "--out", "papers"])
        .fails_with(&["papers", "holds something else than a sweep"]);
    assert_eq!(place.read("papers/thesis.tex"), "x");
}

#[test]
fn two_sweeps_in_one_directory_are_refused() {
    let place = rpc_place();
    sweep_file(&place, &format!("{SIZES}{DELAYS}"));
    place.write("busy/lock", "");
    let lock = std::fs::File::options()
        .write(true)
        .open(place.path("busy/lock"))
        .unwrap();
    lock.lock().unwrap();
    place
        .hallux(&["sweep", "sweep.toml", "--out", "busy"])
        .fails_with(&["another sweep works on busy"]);
}

#[test]
fn slurm_is_asked_for_by_name_where_it_is_missing() {
    let place = rpc_place();
    sweep_file(&place, SIZES);
    let ended = command::Ended::of(
        place
            .command(&["sweep", "sweep.toml", "--engine", "slurm"])
            .env("HALLUX_SBATCH", "/nowhere/sbatch"),
    );
    ended.fails_with(&["cannot run /nowhere/sbatch", "--engine local"]);
    let _ = has_tool;
}

#[test]
fn each_distinct_rtl_is_compiled_once() {
    let place = rpc_place();
    place.write(
        "rpc.toml",
        place
            .read("rpc.toml")
            .replace("model = \"behavioural\"\n", &format!("{SMALL_NIC}\n")),
    );
    sweep_file(
        &place,
        "[[axis]]\nkey = \"design.same_flow\"\nvalues = [\"forward1\", \"lock\"]\n\
         [[axis]]\nkey = \"design.clock\"\nvalues = [\"200MHz\", \"250MHz\"]\n\
         [[axis]]\nkey = \"app.size\"\nvalues = [\"64B\", \"2KiB\"]\n",
    );
    let ended = place.hallux(&["sweep", "sweep.toml"]).succeeds();
    // Neither the clock nor the workload is a part of the RTL.
    assert!(
        ended
            .stdout
            .contains("8 done, 0 infeasible, 0 failed; 8 run now with 2 models"),
        "{ended:?}"
    );
    let again = place.hallux(&["sweep", "sweep.toml"]).succeeds();
    assert!(
        again.stdout.contains("0 run now with 0 models"),
        "{again:?}"
    );
}

#[test]
fn two_nodes_of_slurm_give_the_table_of_one_machine_also_when_killed() {
    let Some(cluster) = Slurm::start() else {
        return;
    };
    let place = rpc_place();
    sweep_file(&place, &format!("{SIZES}{DELAYS}"));
    place
        .hallux(&["sweep", "sweep.toml", "--out", "here"])
        .succeeds();
    let array = |out| {
        let mut command = place.command(&[
            "sweep",
            "sweep.toml",
            "--engine",
            "slurm",
            "--chunk",
            "2",
            "--out",
            out,
        ]);
        cluster.serve(&mut command);
        command
    };
    let same = |out: &str| {
        for table in ["results.csv", "results.jsonl"] {
            let here = place.read(format!("here/{table}"));
            assert_eq!(place.read(format!("{out}/{table}")), here, "{out}/{table}");
        }
    };
    command::Ended::of(&mut array("there")).succeeds();
    same("there");

    let mut child = array("killed").stdout(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let stored = || {
        let points = std::fs::read_dir(place.path("killed/points"));
        let points = points.into_iter().flatten().flatten();
        points
            .filter(|point| point.path().join("outcome.json").is_file())
            .count()
    };
    while stored() == 0 {
        assert!(Instant::now() < deadline, "no point was stored");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    command::Ended::of(&mut array("killed")).succeeds();
    same("killed");
}

#[test]
fn a_full_disk_costs_one_message_and_nothing_stored() {
    let place = rpc_place();
    sweep_file(
        &place,
        "[[axis]]\nkey = \"link.delay\"\nrange = { from = \"1us\", to = \"40us\", step = \"1us\" }\n",
    );
    let disk = place.path("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount = |options: &str| {
        let mut command = std::process::Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&disk);
        command.output().is_ok_and(|output| output.status.success())
    };
    if !mount("size=300k") {
        eprintln!("skipped: a small file system needs root");
        return;
    }
    let full = place.hallux(&["sweep", "sweep.toml", "--out", "disk/s"]);
    let grown = mount("remount,size=100m");
    let rest = place.hallux(&["sweep", "sweep.toml", "--out", "disk/s"]);
    let tables = ["results.csv", "results.jsonl"]
        .map(|table| std::fs::read_to_string(disk.join("s").join(table)).unwrap_or_default());
    let unmounted = std::process::Command::new("umount").arg(&disk).status();
    assert!(grown && unmounted.unwrap().success());
    full.fails_with(&[
        "No space left on device",
        "the same command goes on from there",
    ]);
    rest.succeeds();
    place
        .hallux(&["sweep", "sweep.toml", "--out", "clean"])
        .succeeds();
    assert_eq!(tables[0], place.read("clean/results.csv"));
    assert_eq!(tables[1], place.read("clean/results.jsonl"));
}
