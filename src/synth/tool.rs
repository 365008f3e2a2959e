//! Finds yosys.
//!
//! Looked for in this order; the first usable one is taken:
//!
//! 1. `HALLUX_YOSYS`: a program; `own` asks for 3;
//! 2. `yosys` on `PATH`, 0.23 or newer;
//! 3. the project's own copy, the Python package `pyosys`: if it is in the cache already, or
//!    else unpacked from `HALLUX_YOSYS_WHEEL` or fetched with pip.

use hallux_verilator::{Cache, CacheError, Environment, OwnCopyError, Wheel};
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What to do where yosys is missing.
const REMEDY: &str = "Install 0.23 or newer with `apt-get install yosys`; or set HALLUX_YOSYS to \
                      the program; or, without a network, set HALLUX_YOSYS_WHEEL to a file of \
                      the Python package pyosys 0.70";

/// Value of `HALLUX_YOSYS` that asks for the project's own copy, whatever else is here.
const OWN: &str = "own";

/// The project's own copy: yosys as a library of the Python that fetches it.
const WHEEL: Wheel = Wheel {
    tool: "yosys",
    package: "pyosys",
    version: "0.70",
    megabytes: 34,
    variable: "HALLUX_YOSYS_WHEEL",
    files: &[
        (
            "Linux x86-64 Python 3.10",
            "9011e9eb8ae89f03afff9a59dc5046e7d322997d3b919e04b0ef8a305fd040bc",
        ),
        (
            "Linux x86-64 Python 3.11",
            "b562ff8435c71871c4d12f4ed80ca24f0f4a59c6beaab8fbe20efe4c84006f78",
        ),
        (
            "Linux x86-64 Python 3.12",
            "cbc53ab06994646e1cf06a478a53be061b0626c85166f88f6254e7d2539156ec",
        ),
        (
            "Linux x86-64 Python 3.13",
            "b9f2be9dbb508d41a94072fbcc79c2a94afcf01183b06a6ac39a8d58d96b0781",
        ),
        (
            "Linux x86-64 Python 3.14",
            "ad7ff719e5b1ece0e9e8697fe12f58d59a5af85f115742c702edaa1e7255aacb",
        ),
        (
            "Linux arm64 Python 3.10",
            "743beaa799f1574688bd8d36467798fc7daf48ad215a07707835a7224c0e934f",
        ),
        (
            "Linux arm64 Python 3.11",
            "2baa3d256fa1f8a103103dc3bcf083f2564c2001c550e900bc771c9bcd9328d0",
        ),
        (
            "Linux arm64 Python 3.12",
            "2f29d3c38bdd5656847f286cd8c1f0aa459edd94e75d98aa404d1898bce59875",
        ),
        (
            "Linux arm64 Python 3.13",
            "79c543b5a9deb1ff2bb14bc98bb6f66802cfdd8cdc2edd5d4b31363af3ecab19",
        ),
        (
            "Linux arm64 Python 3.14",
            "ceca189601df14cf647c2e59915340dfa3492d91d70fe8f7810d09cbc1c38bdf",
        ),
        (
            "macOS arm64 Python 3.10",
            "603820acce3b2b0e3fe71cd357c8f910abb488707566d206b1a023ec7c811dee",
        ),
        (
            "macOS arm64 Python 3.11",
            "47fc45f81e4912178daedfbf438e9ce128cf4428e50a1d77ae39d8698996839e",
        ),
        (
            "macOS arm64 Python 3.12",
            "6914c966fbb653ecaafd2b9b0a7e8c34f0b0b6b07c4b8c889fc9ebee404d0714",
        ),
        (
            "macOS arm64 Python 3.13",
            "d6de7c19a94612e2a53dafee7e89c83159b949993e21305d0448c7db9caac739",
        ),
        (
            "macOS arm64 Python 3.14",
            "9f62e3a2ca72e6f91f42d65e0db29198945811da302368a025b093d8654fb53c",
        ),
    ],
};

/// Why nothing can be synthesised here.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// There is no yosys, and the project's own copy could not be had.
    #[error("no yosys on PATH, and {0}. {REMEDY}")]
    Missing(#[source] Box<OwnCopyError>),
    /// `HALLUX_YOSYS` names no usable yosys.
    #[error("HALLUX_YOSYS is `{value}`: {reason}. {REMEDY}")]
    BadVariable {
        /// Its value.
        value: PathBuf,
        /// Why it is of no use.
        reason: String,
    },
    /// The one on `PATH` is of no use, and the project's own copy could not be had.
    #[error("{program} is of no use: {reason}; and {own_copy}. {REMEDY}")]
    Unusable {
        /// The program.
        program: PathBuf,
        /// Why it is of no use.
        reason: String,
        /// Why the own copy could not be had.
        #[source]
        own_copy: Box<OwnCopyError>,
    },
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// A version of yosys: the numbers before and after the dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32);

impl Version {
    /// The oldest that the mapping is tested with.
    pub const OLDEST: Self = Self(0, 23);

    /// Reads `Yosys 0.23 (git sha1 …)`.
    fn parse(text: &str) -> Option<Self> {
        let numbers = text.strip_prefix("Yosys ")?.split([' ', '+']).next()?;
        let (major, minor) = numbers.split_once('.')?;
        let minor = minor.split('.').next()?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}.{}", self.0, self.1)
    }
}

/// How yosys is started.
#[derive(Clone, Debug)]
enum Start {
    /// A program.
    Program(PathBuf),
    /// The Python package below a directory.
    Package { python: PathBuf, directory: PathBuf },
}

/// A usable yosys.
#[derive(Clone, Debug)]
pub struct Yosys {
    start: Start,
    /// What it says of itself.
    banner: String,
    version: Version,
}

impl Yosys {
    /// Finds yosys in `environment`, or has its own copy made in `cache`; `progress`
    /// receives a line before that.
    ///
    /// # Errors
    /// None is found, or the one that is named cannot be used; with the remedy.
    pub fn discover(
        environment: &Environment,
        cache: &Cache,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Self, ToolError> {
        let named = environment.get("HALLUX_YOSYS");
        if let Some(value) = named.filter(|value| *value != OWN) {
            let bad = |reason| ToolError::BadVariable {
                value: value.into(),
                reason,
            };
            let program = environment
                .find_executable(value)
                .ok_or_else(|| bad("it is no program".into()))?;
            return Self::at(Start::Program(program)).map_err(bad);
        }
        let mut useless = None;
        if named.is_none()
            && let Some(program) = environment.find_executable(OsStr::new("yosys"))
        {
            match Self::at(Start::Program(program.clone())) {
                Ok(yosys) => return Ok(yosys),
                Err(reason) => useless = Some((program, reason)),
            }
        }
        let own = Self::own(environment, cache, progress).map_err(Box::new);
        own.map_err(|own_copy| match useless {
            Some((program, reason)) => ToolError::Unusable {
                program,
                reason,
                own_copy,
            },
            None => ToolError::Missing(own_copy),
        })
    }

    /// The project's own copy. It fits one version of Python, so each has its own.
    fn own(
        environment: &Environment,
        cache: &Cache,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Self, OwnCopyError> {
        let python = environment
            .find_executable("python3")
            .ok_or(OwnCopyError::NoPython)?;
        let output = Command::new(&python)
            .args(["-c", "import sys; print(sys.implementation.cache_tag)"])
            .output()
            .map_err(|_| OwnCopyError::NoPython)?;
        let tag = String::from_utf8_lossy(&output.stdout).trim().to_string();
        let target = cache.tool(&format!("{}-{}-{tag}", WHEEL.package, WHEEL.version));
        let usable = |directory: &Path| {
            Self::at(Start::Package {
                python: python.clone(),
                directory: directory.into(),
            })
            .ok()
        };
        match usable(&target) {
            Some(yosys) => Ok(yosys),
            None => WHEEL.install(environment, cache, &target, usable, progress),
        }
    }

    fn at(start: Start) -> Result<Self, String> {
        let mut command = match &start {
            Start::Program(program) => {
                let mut command = Command::new(program);
                command.arg("-V");
                command
            }
            Start::Package { python, directory } => {
                let script = "from pyosys import libyosys; print(libyosys.yosys_maybe_version())";
                let mut command = Command::new(python);
                command.args(["-c", script]).env("PYTHONPATH", directory);
                command
            }
        };
        let output = command
            .output()
            .map_err(|error| format!("it does not start: {error}"))?;
        let banner = String::from_utf8_lossy(&output.stdout).trim().to_string();
        let version = Version::parse(&banner)
            .ok_or_else(|| format!("it prints no version of yosys but `{banner}`"))?;
        if version < Version::OLDEST {
            return Err(format!("yosys {version} is older than {}", Version::OLDEST));
        }
        Ok(Self {
            start,
            banner,
            version,
        })
    }

    /// What it says of itself, such as `Yosys 0.23 (git sha1 7ce5011c24b)`.
    pub fn banner(&self) -> &str {
        &self.banner
    }

    /// Its version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// A command that runs the script `script` and keeps the log in `log`; both are plain
    /// file names in the directory it is started in.
    pub(super) fn command(&self, script: &str, log: &str) -> Command {
        match &self.start {
            Start::Program(program) => {
                let mut command = Command::new(program);
                command.args(["-Q", "-q", "-l", log, "-s", script]);
                command
            }
            Start::Package { python, directory } => {
                let script = format!(
                    "from pyosys import libyosys\n\
                     libyosys.run_pass('tee -q -o {log} script {script}', libyosys.Design())\n"
                );
                let mut command = Command::new(python);
                command.args(["-c", &script]).env("PYTHONPATH", directory);
                command
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn fake(home: &Path, prints: &str) -> PathBuf {
        let program = home.join("yosys");
        fs::write(&program, format!("#!/bin/sh\necho '{prints}'\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        program
    }

    #[test]
    fn versions_are_read_and_ordered() {
        let read = |text| Version::parse(text);
        assert_eq!(
            read("Yosys 0.23 (git sha1 7ce5011c24b)"),
            Some(Version(0, 23))
        );
        assert_eq!(read("Yosys 0.45+11 (git sha1 x)"), Some(Version(0, 45)));
        assert_eq!(read("yosys"), None);
        assert!(read("Yosys 0.9 (git sha1 1979e0b)") < read("Yosys 0.23 (x)"));
    }

    fn discover(environment: &Environment, home: &Path) -> Result<Yosys, ToolError> {
        Yosys::discover(environment, &Cache::at(home.join("cache"), 1), &mut |_| {})
    }

    #[test]
    fn a_missing_yosys_is_told_with_the_remedies() {
        let home = tempfile::tempdir().unwrap();
        let environment = Environment::default().with("PATH", home.path());
        let error = discover(&environment, home.path()).unwrap_err();
        let ToolError::Missing(reason) = &error else {
            panic!("{error}");
        };
        assert!(matches!(**reason, OwnCopyError::NoPython));
        for remedy in [
            "apt-get install yosys",
            "HALLUX_YOSYS",
            "HALLUX_YOSYS_WHEEL",
        ] {
            assert!(error.to_string().contains(remedy), "{error}");
        }
    }

    #[test]
    fn a_variable_that_names_no_yosys_is_an_error_not_a_hint() {
        let home = tempfile::tempdir().unwrap();
        let environment = Environment::process().with("HALLUX_YOSYS", "/nonexistent/yosys");
        let error = discover(&environment, home.path()).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/yosys"), "{error}");
        let other = fake(home.path(), "something else");
        let environment = Environment::process().with("HALLUX_YOSYS", other);
        let error = discover(&environment, home.path()).unwrap_err().to_string();
        assert!(error.contains("something else"), "{error}");
    }

    #[test]
    fn an_old_yosys_is_named_with_its_version() {
        let home = tempfile::tempdir().unwrap();
        let program = fake(home.path(), "Yosys 0.9 (git sha1 1979e0b)");
        let sh = Environment::process().find_executable("sh").unwrap();
        std::os::unix::fs::symlink(sh, home.path().join("sh")).unwrap();
        let environment = Environment::default().with("PATH", home.path());
        let error = discover(&environment, home.path()).unwrap_err().to_string();
        assert!(error.contains("yosys 0.9 is older than 0.23"), "{error}");
        assert!(error.contains(&program.display().to_string()), "{error}");
    }

    #[test]
    fn a_wheel_of_other_content_is_refused_with_its_digest() {
        let home = tempfile::tempdir().unwrap();
        let process = Environment::process();
        if process.find_executable("python3").is_none() {
            return;
        }
        let wheel = home.path().join("pyosys.whl");
        fs::write(&wheel, "not a wheel").unwrap();
        let environment = process
            .with("HALLUX_YOSYS", OWN)
            .with("HALLUX_YOSYS_WHEEL", &wheel);
        let error = discover(&environment, home.path()).unwrap_err().to_string();
        assert!(
            error.contains("pyosys.whl is not the wheel of yosys 0.70"),
            "{error}"
        );
    }
}
