//! Finds yosys.
//!
//! Looked for in this order; the first usable one is taken:
//!
//! 1. `HALLUX_YOSYS`: a program;
//! 2. `yosys` on `PATH`, 0.23 or newer.

use hallux_verilator::Environment;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What to do where yosys is missing.
const REMEDY: &str = "Install 0.23 or newer with `apt-get install yosys`, or set HALLUX_YOSYS \
                      to the program";

/// Why nothing can be synthesised here.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// There is no yosys.
    #[error("no yosys on PATH. {REMEDY}")]
    Missing,
    /// `HALLUX_YOSYS` names no usable yosys.
    #[error("HALLUX_YOSYS is `{value}`: {reason}. {REMEDY}")]
    BadVariable {
        /// Its value.
        value: PathBuf,
        /// Why it is of no use.
        reason: String,
    },
    /// The one on `PATH` is of no use.
    #[error("{program}: {reason}. {REMEDY}")]
    Unusable {
        /// The program.
        program: PathBuf,
        /// Why it is of no use.
        reason: String,
    },
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

/// A usable yosys.
#[derive(Clone, Debug)]
pub struct Yosys {
    program: PathBuf,
    /// What it says of itself.
    banner: String,
    version: Version,
}

impl Yosys {
    /// Finds yosys in `environment`.
    ///
    /// # Errors
    /// None is found, or the one that is named cannot be used; with the remedy.
    pub fn discover(environment: &Environment) -> Result<Self, ToolError> {
        if let Some(value) = environment.get("HALLUX_YOSYS") {
            let bad = |reason| ToolError::BadVariable {
                value: value.into(),
                reason,
            };
            let program = environment
                .find_executable(value)
                .ok_or_else(|| bad("it is no program".into()))?;
            return Self::at(&program).map_err(bad);
        }
        let program = environment
            .find_executable(OsStr::new("yosys"))
            .ok_or(ToolError::Missing)?;
        Self::at(&program).map_err(|reason| ToolError::Unusable { program, reason })
    }

    fn at(program: &Path) -> Result<Self, String> {
        let output = Command::new(program)
            .arg("-V")
            .output()
            .map_err(|error| format!("it does not start: {error}"))?;
        let banner = String::from_utf8_lossy(&output.stdout).trim().to_string();
        let version = Version::parse(&banner)
            .ok_or_else(|| format!("`-V` prints no version of yosys but `{banner}`"))?;
        if version < Version::OLDEST {
            return Err(format!("yosys {version} is older than {}", Version::OLDEST));
        }
        Ok(Self {
            program: program.into(),
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

    /// A command that runs the script `script` quietly and keeps the log in `log`.
    pub(super) fn command(&self, script: &Path, log: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["-Q", "-q", "-l"])
            .arg(log)
            .arg("-s")
            .arg(script);
        command
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

    #[test]
    fn a_missing_yosys_is_told_with_the_remedy() {
        let home = tempfile::tempdir().unwrap();
        let environment = Environment::default().with("PATH", home.path());
        let error = Yosys::discover(&environment).unwrap_err();
        assert!(matches!(error, ToolError::Missing));
        assert!(
            error.to_string().contains("apt-get install yosys"),
            "{error}"
        );
    }

    #[test]
    fn a_variable_that_names_no_yosys_is_an_error_not_a_hint() {
        let home = tempfile::tempdir().unwrap();
        let environment = Environment::process().with("HALLUX_YOSYS", "/nonexistent/yosys");
        let error = Yosys::discover(&environment).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/yosys"), "{error}");
        let other = fake(home.path(), "something else");
        let environment = Environment::process().with("HALLUX_YOSYS", other);
        let error = Yosys::discover(&environment).unwrap_err().to_string();
        assert!(error.contains("something else"), "{error}");
    }

    #[test]
    fn an_old_yosys_is_refused_with_its_version() {
        let home = tempfile::tempdir().unwrap();
        fake(home.path(), "Yosys 0.9 (git sha1 1979e0b)");
        let path = std::env::join_paths([home.path(), Path::new("/usr/bin"), Path::new("/bin")]);
        let environment = Environment::default().with("PATH", path.unwrap());
        let error = Yosys::discover(&environment).unwrap_err().to_string();
        assert!(error.contains("yosys 0.9 is older than 0.23"), "{error}");
    }
}
