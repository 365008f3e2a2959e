//! The `hallux` command, started as a user starts it, in a directory of its own.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The directory of the project.
pub const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// A directory that is removed after the test, and the command in it.
pub struct Place {
    directory: TempDir,
}

impl Place {
    /// An empty directory.
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// The path of `name` in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file, with the directories above it.
    pub fn write(&self, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path
    }

    /// The text of a file.
    pub fn read(&self, name: impl AsRef<Path>) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// A file of JSON.
    pub fn json(&self, name: impl AsRef<Path>) -> serde_json::Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// Every file and directory in it, by path, sorted.
    pub fn contents(&self) -> Vec<String> {
        let mut found = vec![];
        let mut open = vec![self.directory.path().to_owned()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(self.directory.path()).unwrap();
                found.push(name.display().to_string());
                if path.is_dir() && !path.is_symlink() {
                    open.push(path);
                }
            }
        }
        found.sort();
        found
    }

    /// The command with `arguments`, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hallux"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_remove("RUST_LOG")
            .env_remove("RUST_BACKTRACE");
        command
    }

    /// Runs the command to its end.
    pub fn hallux(&self, arguments: &[&str]) -> Ended {
        Ended::of(&mut self.command(arguments))
    }
}

/// What a command left behind when it had ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// Runs `command` to its end.
    pub fn of(command: &mut Command) -> Self {
        command.output().unwrap().into()
    }

    /// Asserts success and hands on.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// Asserts a failure that is told in one message, which holds every one of `parts`.
    #[track_caller]
    pub fn fails_with(self, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(1), "{self:#?}");
        self.tells(parts)
    }

    /// Asserts that the command line was refused in a message that holds `parts`.
    #[track_caller]
    pub fn misused_with(self, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(2), "{self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        self.tells(parts)
    }

    #[track_caller]
    fn tells(self, parts: &[&str]) -> Self {
        let text = &self.stderr;
        let errors = text.lines().filter(|line| line.starts_with("error: "));
        assert_eq!(errors.count(), 1, "not one message: {self:#?}");
        for part in parts {
            assert!(text.contains(part), "no {part:?} in {self:#?}");
        }
        for noise in ["panicked", "RUST_BACKTRACE", "Error {", "\u{1b}["] {
            assert!(!text.contains(noise), "{noise:?} in {self:#?}");
        }
        self
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Whether a tool that a test consults is here. Where it must be
/// (`HALLUX_REQUIRE_TOOLS=1`), its absence fails the test.
pub fn has_tool(command: &str) -> bool {
    let found = Command::new(command).arg("--version").output().is_ok();
    if !found {
        skip(&format!(
            "{command} is not installed (apt-get install {command})"
        ));
    }
    found
}

/// Says that a test is left out, and why. Where it must not be
/// (`HALLUX_REQUIRE_TOOLS=1`), that fails it.
#[track_caller]
pub fn skip(reason: &str) {
    let required = std::env::var_os("HALLUX_REQUIRE_TOOLS").is_some_and(|value| value == "1");
    assert!(!required, "required: {reason}");
    eprintln!("skipped: {reason}");
}

/// The small design point that all tests with RTL share, so that its model is compiled
/// once: that of the examples with fewer connections.
pub const SMALL_NIC: &str = r#"parameters = { connections = 64, contexts = 2 }"#;

/// A place with files to serve and a scenario `scenario.toml` of [`SMALL_NIC`]: HTTP to an
/// independent stack over a link of 100 Gb/s.
pub fn small_place() -> Place {
    let place = Place::new();
    let scenario = format!(
        "name = \"small\"\n\
         [nic]\n\
         design = \"{PROJECT}/examples/designs/toe-100g.toml\"\n\
         {SMALL_NIC}\n\
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

/// A place with a scenario `rpc.toml`: a few requests between two behavioural NICs.
pub fn rpc_place() -> Place {
    let place = Place::new();
    place.write(
        "rpc.toml",
        format!(
            "name = \"rpc\"\n\
             [nic]\n\
             design = \"{PROJECT}/examples/designs/toe-100g.toml\"\n\
             model = \"behavioural\"\n\
             [peer]\nkind = \"toe\"\n\
             [app]\nkind = \"rpc\"\nconnections = 2\nrequests = 5\nsize = \"64B\"\n"
        ),
    );
    place
}

/// The files of [`small_place`]: around the size of a segment, and some of many.
pub fn small_files() -> Vec<(&'static str, Vec<u8>)> {
    let noise = |len: u32, factor: u32| -> Vec<u8> {
        (0..len)
            .map(|n| (n.wrapping_mul(factor) >> 13) as u8)
            .collect()
    };
    vec![
        (
            "index.html",
            b"<!doctype html><title>Hallux</title>".to_vec(),
        ),
        ("empty", vec![]),
        ("deep/er/segment.bin", noise(1_448, 2_654_435_761)),
        ("deep/more.bin", noise(1_449, 40_503)),
        ("large.bin", noise(120_000, 2_246_822_519)),
        ("other.bin", noise(40_001, 3_266_489_917)),
    ]
}

/// A run that goes on for ever, some time after its start.
pub fn endless(place: &Place, options: &[&str]) -> Child {
    begin(place, &mut place.command(&endless_arguments(options)))
}

/// The arguments of a run that goes on for ever; its results go to `out`.
pub fn endless_arguments<'a>(options: &[&'a str]) -> Vec<&'a str> {
    let work = "app={ kind = \"rpc\", connections = 4, requests = 4000000, size = \"64B\" }";
    let mut arguments = vec!["run", "scenario.toml", "--out", "out", "--set", work];
    arguments.extend(options);
    arguments
}

/// Starts a run with its results in `out`; returns some time after it has begun.
pub fn begin(place: &Place, command: &mut Command) -> Child {
    let capture = place.path("out.incomplete/packets.pcapng");
    let _left = fs::remove_file(&capture);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !capture.exists() {
        std::thread::sleep(Duration::from_millis(10));
        if child.try_wait().unwrap().is_some() {
            panic!("{:#?}", Ended::from(child.wait_with_output().unwrap()));
        }
    }
    // On a busy machine the first second may pass before the first frame does.
    std::thread::sleep(Duration::from_millis(1000));
    for _ in 0..500 {
        if fs::metadata(&capture).is_ok_and(|capture| capture.len() > 64 * 1024) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

/// Sends a signal, such as `-KILL`.
pub fn signal(signal: &str, process: u32) {
    let process = process.to_string();
    let status = Command::new("kill").args([signal, &process]).status();
    assert!(status.unwrap().success());
}

/// Processes that `parent` has started.
pub fn children(parent: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    list.split_whitespace()
        .map(|child| child.parse().unwrap())
        .collect()
}

#[track_caller]
pub fn assert_none_left(workers: &[u32]) {
    for worker in workers {
        // A zombie has ended; whoever adopted it has not looked yet.
        let stat = fs::read_to_string(format!("/proc/{worker}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    }
}

/// Everything that depends on nothing but scenario and seed.
pub fn results(place: &Place, out: &str) -> BTreeMap<&'static str, Vec<u8>> {
    ["summary.json", "packets.pcapng", "trace.json"]
        .into_iter()
        .map(|file| (file, fs::read(place.path(out).join(file)).unwrap()))
        .collect()
}

/// The mode law for `scenario.toml` with these assignments: threads, processes and two nodes with
/// this placement leave the same bytes as all in one thread, in the files of [`results`] and in
/// `more`.
#[track_caller]
pub fn assert_same_bytes(
    place: &Place,
    assignments: &[&str],
    placement: &str,
    more: &[&'static str],
) {
    let start = |out: &str, options: &[&str]| {
        let mut arguments = vec!["run", "scenario.toml", "--out", out, "--trace"];
        for assignment in assignments {
            arguments.extend(["--set", assignment]);
        }
        arguments.extend(options);
        place.hallux(&arguments).succeeds();
        let mut files = results(place, out);
        let contents = |file| fs::read(place.path(out).join(file)).unwrap();
        files.extend(more.iter().map(|&file| (file, contents(file))));
        files
    };
    let expected = start("fused", &[]);
    for options in [
        &["--mode", "threads", "--workers", "3"][..],
        &["--mode", "processes"],
        &[
            "--mode",
            "cluster",
            "--launcher",
            "local",
            "--set",
            placement,
        ],
    ] {
        for (file, contents) in start("other", options) {
            assert!(
                contents == expected[file],
                "{file} differs with {options:?}"
            );
        }
    }
}
