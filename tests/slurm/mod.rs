//! A Slurm cluster of two nodes on this machine, for the length of a test. Who uses this
//! module has `mod command` beside it.

// Each test program uses a part of it.
#![allow(dead_code)]

use crate::command::skip;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A running cluster; it ends with this.
pub struct Slurm {
    directory: TempDir,
}

/// The names of its nodes.
pub const NODES: [&str; 2] = ["node1", "node2"];

impl Slurm {
    /// Starts a cluster; `None`, with a word why, where Slurm is not installed or this is not
    /// root. Where the tools are required (`HALLUX_REQUIRE_TOOLS=1`), that fails the test.
    pub fn start() -> Option<Self> {
        let missing = ["munged", "slurmctld", "slurmd", "srun"]
            .into_iter()
            .find(|tool| !is_installed(tool));
        let reason = match missing {
            Some(tool) => format!("{tool} is not installed (apt-get install munge slurm-wlm)"),
            None if !is_root() => "a Slurm cluster of its own needs root".to_owned(),
            None => {
                let cluster = Self {
                    directory: tempfile::tempdir().unwrap(),
                };
                cluster.script("start");
                return Some(cluster);
            }
        };
        skip(&reason);
        None
    }

    /// Makes `command` a client of this cluster.
    pub fn serve<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("SLURM_CONF", self.directory.path().join("slurm.conf"))
    }

    /// Where it keeps its files, and only it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn script(&self, action: &str) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/ci/slurm.sh");
        let status = Command::new(script)
            .arg(action)
            .arg(self.directory.path())
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success(), "{script} {action}");
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        self.script("stop");
    }
}

fn is_installed(tool: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut directories = path.split(':').chain(["/usr/sbin", "/sbin"]);
    directories.any(|directory| Path::new(directory).join(tool).is_file())
}

fn is_root() -> bool {
    let answer = Command::new("id").arg("-u").output();
    answer.is_ok_and(|answer| answer.stdout == b"0\n")
}
