//! Builds a shared library from a manifest and its SystemVerilog.
//!
//! Verilator emits C++; the emitted files are merged into a few translation units of
//! about equal size (each costs a second of headers), compiled in parallel without make,
//! and linked with the run-time's objects, which are compiled once per compiler and flags.

mod compile;
mod verilate;

use crate::cache::{CacheError, Key, Room};
use crate::compiler::Compiler;
use crate::layout::{Layout, LayoutError};
use crate::library::{BuildFacts, Library, LoadError};
use crate::shim::SHIM_VERSION;
use crate::toolchain::Toolchain;
use crate::trace::{TraceFormat, fst_libraries};
use hallux_hdl::manifest::{MANIFEST_SCHEMA, Manifest};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

pub use verilate::lint;

/// What a model is compiled for. Assertions are on in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Short compile time: `-O1`, g++ if it is here.
    Test,
    /// Short run time: `-O2` for AVX2 machines, clang if it is here.
    Measure,
    /// Shortest compile time: `-O0`, for models that run a few thousand cycles and are
    /// then thrown away.
    Once,
}

/// Why a model could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The manifest has another schema.
    #[error("manifest schema {0} is unknown; this version reads {MANIFEST_SCHEMA}: generate again")]
    Schema(u32),
    /// The ports cannot be laid out.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A file name leads elsewhere.
    #[error("source file name `{0}` must be a plain name without directories")]
    SourceName(String),
    /// A source file cannot be read.
    #[error("cannot read {path}: {error}")]
    Source {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Verilator refuses the design.
    #[error("Verilator refuses module `{top}`:\n{output}")]
    Verilator {
        /// Name of the top module.
        top: String,
        /// What it said.
        output: String,
    },
    /// The RTL's ports are not those of the manifest.
    #[error("port `{port}` of module `{top}`: {difference}; generate RTL and manifest again")]
    Ports {
        /// Name of the top module.
        top: String,
        /// Name of the port.
        port: String,
        /// How they differ.
        difference: String,
    },
    /// The C++ compiler failed.
    #[error("{command} failed:\n{output}")]
    Compiler {
        /// The command line.
        command: String,
        /// What it said.
        output: String,
    },
    /// A program could not be started.
    #[error("cannot start {program}: {error}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        error: io::Error,
    },
    /// A file could not be read or written while building.
    #[error("cannot build in {path}: {error}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The library was built but cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl BuildError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |error| BuildError::Io { path, error }
    }
}

/// Reads the SystemVerilog files that `manifest` lists from `directory`.
///
/// # Errors
/// A file is missing or no text.
pub fn read_sources(
    directory: &Path,
    manifest: &Manifest,
) -> Result<Vec<(String, String)>, BuildError> {
    let read = |file: &String| {
        let path = directory.join(file);
        match fs::read_to_string(&path) {
            Ok(text) => Ok((file.clone(), text)),
            Err(error) => Err(BuildError::Source { path, error }),
        }
    };
    manifest
        .modules
        .iter()
        .map(|module| read(&module.file))
        .collect()
}

/// A model to be built.
#[derive(Clone, Copy)]
pub struct Build<'a> {
    manifest: &'a Manifest,
    sources: &'a [(String, String)],
    profile: Profile,
    trace: Option<TraceFormat>,
    savable: bool,
    jobs: usize,
    progress: Option<&'a (dyn Fn(&str) + Sync)>,
}

impl<'a> Build<'a> {
    /// The design of `manifest`, whose files are `sources`: pairs of name and text.
    pub fn new(manifest: &'a Manifest, sources: &'a [(String, String)]) -> Self {
        Self {
            manifest,
            sources,
            profile: Profile::Test,
            trace: None,
            savable: false,
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            progress: None,
        }
    }

    /// What the model is compiled for; [`Profile::Test`] if not set.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Compiles waveforms in. While no file is open they cost at most 2 %.
    pub fn trace(mut self, trace: Option<TraceFormat>) -> Self {
        self.trace = trace;
        self
    }

    /// Compiles save, restore and digest in.
    pub fn savable(mut self, savable: bool) -> Self {
        self.savable = savable;
        self
    }

    /// How many compilers may run at a time; the number of cores if not set.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs.max(1);
        self
    }

    /// Receives a line before anything that takes more than a moment.
    pub fn progress(mut self, progress: &'a (dyn Fn(&str) + Sync)) -> Self {
        self.progress = Some(progress);
        self
    }

    /// The library, from the cache if it has been built before.
    ///
    /// # Errors
    /// See [`BuildError`]; what Verilator or the compiler said stands in it.
    pub fn build(&self, toolchain: &Toolchain) -> Result<Arc<Library>, BuildError> {
        let start = Instant::now();
        if self.manifest.schema != MANIFEST_SCHEMA {
            return Err(BuildError::Schema(self.manifest.schema));
        }
        let layout = Layout::of(self.manifest)?;
        check_names(self.sources)?;
        let plan = Plan::new(self, toolchain);
        let cache = toolchain.cache();
        let key = plan.key(self, &layout, toolchain);
        let _lock = cache.lock(&key)?;
        let open = |directory: &Path, cached: bool| {
            let facts = BuildFacts {
                verilator: toolchain.verilator().version.to_string(),
                compiler: plan.compiler.version.clone(),
                flags: plan.describe_flags(),
                cached,
                seconds: start.elapsed().as_secs_f64(),
                notes: plan.notes.clone(),
            };
            let file = directory.join(MODEL_FILE);
            Library::open(&file, layout.clone(), plan.trace, self.savable, facts)
        };
        if let Some(directory) = cache.get(Room::Models, &key) {
            match open(&directory, true) {
                Ok(library) => return Ok(library),
                Err(error) => {
                    tracing::warn!("{error}; building it again");
                    cache.remove(Room::Models, &key);
                }
            }
        }
        let top = &self.manifest.top;
        self.tell(&format!(
            "building the model of `{top}` ({}, Verilator {}, {})",
            self.manifest.design,
            toolchain.verilator().version,
            plan.compiler.version
        ));
        let work = cache.staging()?;
        verilate::verilate(self, &plan, &layout, toolchain.verilator(), work.path())?;
        let entry = cache.staging()?;
        let model = entry.path().join(MODEL_FILE);
        compile::compile(&plan, toolchain, work.path(), &model, self.jobs)?;
        let description = format!("{} of {}", top, self.manifest.design);
        let directory = cache.publish(Room::Models, &key, entry, &description)?;
        let library = open(&directory, false)?;
        self.tell(&format!(
            "built the model of `{top}` in {:.1} s",
            start.elapsed().as_secs_f64()
        ));
        Ok(library)
    }

    fn tell(&self, line: &str) {
        tracing::info!("{line}");
        if let Some(progress) = self.progress {
            progress(line);
        }
    }
}

/// Rewritings that Verilator gets wrong, and that no model may have. Versions that do not
/// know them ignore the options.
///
/// 5.048 makes one shift of `(x >> a) >> b`, by a + b in the width of the counts: the carry is
/// lost, and so is that of a slice of `x >> a` where `a` has 32 bits. Found by the emitter's
/// fuzzer; `shift_of_a_shift.json` and `slice_of_a_shift.json` of its corpus show it.
const FAULTY_REWRITES: [&str; 2] = [
    "-fno-dfg-peephole-replace-shiftl-shiftl",
    "-fno-dfg-peephole-replace-shiftr-shiftr",
];

/// Name of the shared library in its cache entry.
const MODEL_FILE: &str = "model.so";

/// Everything about a build that follows from options and tools.
struct Plan {
    compiler: Compiler,
    trace: Option<TraceFormat>,
    verilator_flags: Vec<String>,
    /// For code that runs every cycle.
    fast_flags: Vec<&'static str>,
    /// For constructors and initial blocks.
    slow_flags: Vec<&'static str>,
    libraries: Vec<&'static str>,
    notes: Vec<String>,
}

impl Plan {
    fn new(build: &Build, toolchain: &Toolchain) -> Self {
        let compiler = toolchain.compiler(build.profile).clone();
        let cache = toolchain.cache();
        let (mut trace, mut libraries, mut notes) = (build.trace, vec![], vec![]);
        if trace == Some(TraceFormat::Fst) {
            match fst_libraries(toolchain.verilator(), &compiler, cache) {
                Ok(needed) => libraries = needed,
                Err(missing) => {
                    trace = Some(TraceFormat::Vcd);
                    let note = format!(
                        "waveforms are written as VCD, ten times larger than FST, \
                         which needs `apt-get install {missing}`"
                    );
                    build.tell(&note);
                    notes.push(note);
                }
            }
        }
        let mut fast_flags = match build.profile {
            Profile::Test => vec!["-O1"],
            Profile::Measure => vec!["-O2"],
            Profile::Once => vec!["-O0"],
        };
        if build.profile == Profile::Measure {
            fast_flags.extend(compiler.machine_flag(cache));
        }
        let mut verilator_flags = vec![
            "-O3",
            "--x-assign",
            "fast",
            "--x-initial",
            "unique",
            "--assert",
            "--timescale-override",
            "1ps/1ps",
        ];
        verilator_flags.extend(FAULTY_REWRITES);
        if let Some(format) = trace {
            verilator_flags.extend([format.verilator_flag(), "--trace-structs"]);
        }
        if build.savable {
            verilator_flags.push("--savable");
        }
        Self {
            compiler,
            trace,
            verilator_flags: verilator_flags.into_iter().map(String::from).collect(),
            fast_flags,
            slow_flags: vec!["-O0"],
            libraries,
            notes,
        }
    }

    fn describe_flags(&self) -> String {
        let verilator = self.verilator_flags.join(" ");
        format!("verilator {verilator}; c++ {}", self.fast_flags.join(" "))
    }

    /// Everything that the shared library depends on.
    fn key(&self, build: &Build, layout: &Layout, toolchain: &Toolchain) -> String {
        let mut key = Key::default();
        let verilator = toolchain.verilator();
        key.add(SHIM_VERSION.to_le_bytes())
            .add(crate::shim::SHIM_SOURCE)
            .add(env!("CARGO_PKG_VERSION"))
            .add(format!("{} {:?}", verilator.version, verilator.root))
            .add(self.compiler.identity())
            .add(self.describe_flags())
            .add(self.slow_flags.join(" "))
            .add(compile::COMMON_FLAGS.join(" "))
            .add(&layout.top)
            .add(layout.clock.as_deref().unwrap_or(""))
            .add(layout.hash().to_le_bytes());
        for (name, text) in build.sources {
            key.add(name).add(text);
        }
        key.finish()
    }
}

/// File names become paths in the build directory: they must not lead out of it, and no
/// two may be the same.
fn check_names(sources: &[(String, String)]) -> Result<(), BuildError> {
    let mut seen = BTreeMap::new();
    for (name, _) in sources {
        let plain = !name.is_empty()
            && !name.starts_with(['-', '+', '.'])
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c));
        if !plain || seen.insert(name, ()).is_some() {
            return Err(BuildError::SourceName(name.clone()));
        }
    }
    Ok(())
}

/// Runs `command`; success and everything it printed.
fn run(command: &mut Command) -> Result<(bool, String), BuildError> {
    let output = command.output().map_err(|error| BuildError::Start {
        program: command.get_program().to_string_lossy().into(),
        error,
    })?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text += &String::from_utf8_lossy(&output.stderr);
    Ok((output.status.success(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_cannot_leave_the_build_directory() {
        let check = |names: &[&str]| {
            let sources: Vec<_> = names
                .iter()
                .map(|n| (n.to_string(), String::new()))
                .collect();
            check_names(&sources)
        };
        assert!(check(&["nic.sv", "fifo_208x512.sv"]).is_ok());
        for name in ["../nic.sv", "/nic.sv", "a/b.sv", "-f", "", "+define"] {
            assert!(
                matches!(check(&[name]), Err(BuildError::SourceName(bad)) if bad == name),
                "{name}"
            );
        }
        assert!(check(&["nic.sv", "nic.sv"]).is_err());
    }
}
