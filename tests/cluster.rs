//! A scenario over several machines: network namespaces, Slurm, and what can go wrong.

mod command;
mod slurm;

use command::{
    Ended, PROJECT, Place, assert_none_left, begin, children, endless, endless_arguments, results,
    signal, skip, small_place,
};
use slurm::Slurm;
use std::fs;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Two nodes, the one with the client, the other with all else.
fn placement(near: &str, far: &str) -> String {
    format!("placement={{ \"*\" = \"{near}\", client = \"{far}\" }}")
}

const LOCAL: [&str; 6] = [
    "--mode",
    "cluster",
    "--launcher",
    "local",
    "--set",
    "placement={ \"*\" = \"near\", client = \"far\" }",
];

/// A run over several machines leaves what it leaves in one thread.
#[track_caller]
fn assert_same_bytes(place: &Place, spread: &mut Command) {
    place
        .hallux(&["run", "scenario.toml", "--trace", "--out", "fused"])
        .succeeds();
    Ended::of(spread).succeeds();
    let found = results(place, "spread");
    for (file, contents) in results(place, "fused") {
        assert!(found[file] == contents, "{file} differs");
    }
    let execution = place.json("spread/execution.json");
    assert_eq!(execution["mode"], "cluster");
    assert_eq!(execution["workers"], 2);
}

/// `hallux run` over two nodes, to `spread`.
fn spread<'a>(placement: &'a str, options: &[&'a str]) -> Vec<&'a str> {
    let run = ["run", "scenario.toml", "--trace", "--out", "spread"];
    let nodes = ["--mode", "cluster", "--set", placement];
    [&run[..], &nodes, options].concat()
}

/// The run ends within `limit` from now, with one message that holds `parts`.
#[track_caller]
fn assert_ends(place: &Place, run: Child, limit: Duration, parts: &[&str]) {
    let since = Instant::now();
    let ended = Ended::from(run.wait_with_output().unwrap());
    assert!(since.elapsed() < limit, "{:?}", since.elapsed());
    ended.fails_with(&[parts, &["partial results, marked incomplete"]].concat());
    let summary = place.json("out.incomplete/summary.json");
    assert_eq!(summary["complete"], false);
}

/// Two network namespaces with one cable between them.
struct Namespaces {
    names: [String; 2],
}

const ADDRESSES: [&str; 2] = ["10.83.0.1", "10.83.0.2"];

impl Namespaces {
    /// `None`, with a word why, where none can be made. `test` keeps the names of
    /// tests apart that run at the same time.
    fn new(test: &str) -> Option<Self> {
        let number = std::process::id();
        let this = Self {
            names: ["near", "far"].map(|name| format!("hallux-{test}-{name}-{number}")),
        };
        match this.make() {
            Ok(()) => Some(this),
            Err(reason) => {
                skip(&format!(
                    "two network namespaces with a veth cable need root and iproute2: {reason}"
                ));
                None
            }
        }
    }

    fn make(&self) -> Result<(), String> {
        let [near, far] = [&self.names[0], &self.names[1]];
        ip(&["netns", "add", near])?;
        ip(&["netns", "add", far])?;
        let end = ["link", "add", "cable", "netns", near];
        let peer = ["type", "veth", "peer", "name", "cable", "netns", far];
        ip(&[&end[..], &peer].concat())?;
        for (name, address) in self.names.iter().zip(ADDRESSES) {
            let address = format!("{address}/30");
            ip(&["-n", name, "addr", "add", &address, "dev", "cable"])?;
            ip(&["-n", name, "link", "set", "cable", "up"])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        Ok(())
    }

    fn placement(&self) -> String {
        placement(&self.names[0], &self.names[1])
    }

    /// `hallux`, in the near one.
    fn hallux(&self, place: &Place, arguments: &[&str]) -> Command {
        let hallux = place.command(arguments);
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.names[0]])
            .arg(hallux.get_program())
            .args(hallux.get_args())
            .current_dir(place.path(""));
        command
    }
}

/// What spreads a run over both.
const OVER_NAMESPACES: [&str; 4] = [
    "--launcher",
    "ip netns exec {node}",
    "--listen",
    ADDRESSES[0],
];

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.names {
            let _missing = ip(&["netns", "del", name]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

#[test]
fn two_namespaces_leave_the_same_bytes() {
    let Some(namespaces) = Namespaces::new("same") else {
        return;
    };
    let place = small_place();
    let placement = namespaces.placement();
    let arguments = spread(&placement, &OVER_NAMESPACES);
    assert_same_bytes(&place, &mut namespaces.hallux(&place, &arguments));
}

/// A cable that is pulled leaves no end of a stream: only silence.
#[test]
fn a_pulled_cable_ends_the_run_within_seconds() {
    let Some(namespaces) = Namespaces::new("cut") else {
        return;
    };
    let place = small_place();
    let placement = namespaces.placement();
    let options = ["--mode", "cluster", "--set", &placement];
    let arguments = endless_arguments(&[&options[..], &OVER_NAMESPACES].concat());
    let run = begin(&place, &mut namespaces.hallux(&place, &arguments));
    ip(&["-n", &namespaces.names[0], "link", "set", "cable", "down"]).unwrap();
    let node = format!("on node {} was not heard of for 5 s", namespaces.names[1]);
    assert_ends(
        &place,
        run,
        Duration::from_secs(12),
        &["the process of client", &node],
    );
}

#[test]
fn two_slurm_nodes_leave_the_same_bytes() {
    let Some(cluster) = Slurm::start() else {
        return;
    };
    let place = small_place();
    let placement = placement(slurm::NODES[0], slurm::NODES[1]);
    let mut command = place.command(&spread(&placement, &[]));
    assert_same_bytes(&place, cluster.serve(&mut command));
}

#[test]
fn a_killed_slurm_node_ends_the_run() {
    let Some(cluster) = Slurm::start() else {
        return;
    };
    let place = small_place();
    let placement = placement(slurm::NODES[0], slurm::NODES[1]);
    let arguments = endless_arguments(&["--mode", "cluster", "--set", &placement]);
    let run = begin(&place, cluster.serve(&mut place.command(&arguments)));
    let agents = slurm::NODES.map(|node| agent_on(&cluster, node));
    signal("-KILL", agents[1]);
    let lost = "the process of client on node node2";
    assert_ends(&place, run, Duration::from_secs(8), &[lost]);
    assert_none_left(&agents);
}

/// The agent that Slurm has started on `node`.
fn agent_on(cluster: &Slurm, node: &str) -> u32 {
    let words = [
        format!("SLURM_CONF={}", cluster.directory().display()),
        format!("SLURMD_NODENAME={node}\0"),
    ];
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_agent = |process: &u32| {
        let read = |file| fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
        let environment = String::from_utf8_lossy(&read("environ")).into_owned();
        let command = String::from_utf8_lossy(&read("cmdline")).into_owned();
        command.ends_with("hallux\0agent\0") && words.iter().all(|word| environment.contains(word))
    };
    let mut agents = numbers.filter(is_agent);
    agents
        .next()
        .unwrap_or_else(|| panic!("no agent on {node}"))
}

#[test]
fn a_killed_agent_ends_the_run_with_its_node() {
    let place = small_place();
    let run = endless(&place, &LOCAL);
    let agents = children(run.id());
    assert_eq!(agents.len(), 2);
    signal("-KILL", agents[1]);
    let lost = "the process of client on node far was killed by signal 9";
    assert_ends(&place, run, Duration::from_secs(2), &[lost]);
    assert_none_left(&agents);
}

/// A machine that stands still closes no stream.
#[test]
fn a_silent_agent_ends_the_run_with_its_node() {
    let place = small_place();
    let run = endless(&place, &LOCAL);
    let agents = children(run.id());
    signal("-STOP", agents[1]);
    let lost = "the process of client on node far was not heard of for 5 s";
    assert_ends(&place, run, Duration::from_secs(12), &[lost]);
    assert_none_left(&agents);
}

#[test]
fn agents_end_with_the_run_that_started_them() {
    let place = small_place();
    let mut run = endless(&place, &LOCAL);
    let agents = children(run.id());
    signal("-KILL", run.id());
    run.wait().unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert_none_left(&agents);
}

/// Every component needs a node, agents must come, and options must make sense.
#[test]
fn what_cannot_be_spread_is_said_at_once() {
    let place = small_place();
    let refuses = |options: &[&str], parts: &[&str]| {
        let arguments = ["run", "scenario.toml", "--out", "out"];
        place
            .hallux(&[&arguments[..], options].concat())
            .fails_with(parts);
    };
    let cluster = ["--mode", "cluster"];
    refuses(
        &[&cluster[..], &["--launcher", "local"]].concat(),
        &[
            "no node for server, server-nic, client, wire",
            "\"*\" = \"NODE\"",
        ],
    );
    let everywhere = ["--set", "placement={ \"*\" = \"nowhere\" }"];
    let with = |options: &[&'static str]| [&cluster[..], &everywhere, options].concat();
    refuses(
        &with(&["--launcher", "false {node}"]),
        &[
            "no agent came from node nowhere",
            "`false nowhere`",
            "exit code 1",
        ],
    );
    refuses(
        &with(&["--launcher", "ip netns exec {node}"]),
        &["no agent came from node nowhere"],
    );
    refuses(
        &with(&["--launcher", "/nonexistent/srun {node}"]),
        &["`/nonexistent/srun`", "--launcher"],
    );
    refuses(
        &with(&["--launcher", "tail -f /dev/null {node}", "--patience", "1"]),
        &["no agent came from nowhere within 1 s", "--patience"],
    );
    refuses(&["--listen", "127.0.0.1"], &["--mode cluster"]);
    place
        .hallux(&["run", "scenario.toml", "--launcher", "ssh"])
        .misused_with(&["`ssh`", "{node}"]);
}

/// Files that a node does not have are named, with the node.
#[test]
fn a_node_without_the_files_says_so() {
    let place = small_place();
    // The far agent looks at another directory.
    let launcher = place.write(
        "elsewhere",
        format!("#!/bin/sh\n[ $1 = far ] && sed -i s,{PROJECT},/nonexistent, scenario.toml\nshift\nexec \"$@\"\n"),
    );
    let mut permissions = fs::metadata(&launcher).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    fs::set_permissions(&launcher, permissions).unwrap();
    let mut options = LOCAL;
    let command = format!("{} {{node}}", launcher.display());
    options[3] = &command;
    let arguments = ["run", "scenario.toml", "--out", "out"];
    place
        .hallux(&[&arguments[..], &options].concat())
        .fails_with(&["needs the files of the scenario", "/nonexistent"]);
}
