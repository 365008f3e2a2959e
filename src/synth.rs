//! Synthesis estimates: what a generated design costs in an FPGA and how fast it may run.
//!
//! ```text
//!  manifest + SystemVerilog ─► yosys ─► mapped netlist ─► counts
//!                              (cached by content)   └──► walk with fixed delays ─► paths
//! ```
//!
//! Each module is flattened and mapped by itself with everything below it, so that its
//! paths run through the primitives inside. What is directly inside a module that is to be split is
//! mapped by itself too, once however often it is there, and put together afterwards. `docs/synthesis.md` has the delay model and
//! how far it is from real place and route.
//!
//! # Example
//!
//! ```no_run
//! use hallux::synth::{Options, estimate_directory};
//! use std::path::Path;
//!
//! let options = Options {
//!     modules: vec!["protocol".into()],
//!     ..Options::default()
//! };
//! let report = estimate_directory(Path::new("rtl/toe-100g"), &options, &mut |_| {})?;
//! for module in &report.modules {
//!     println!("{}: {} LUTs, {:?} MHz", module.name, module.area.luts, module.fmax_mhz);
//! }
//! # Ok::<(), hallux::synth::SynthError>(())
//! ```

mod hierarchy;
mod mapping;
pub mod netlist;
pub mod place_and_route;
pub mod report;
pub mod technology;
mod tool;
pub mod walk;

pub use mapping::MappingError;
pub use netlist::{Netlist, NetlistError};
pub use report::{ModuleReport, Report};
pub use technology::{Area, Family};
pub use tool::{ToolError, Yosys};
pub use walk::{Path as TimingPath, PathKind, Terminal, WalkError};

use hallux_hdl::manifest::{MANIFEST_SCHEMA, Manifest, Module};
use hallux_toe::units::{Frequency, UnitError};
use hallux_verilator::{BuildError, Cache, CacheError, Environment, read_sources};
use hierarchy::Hierarchy;
use mapping::Mapped;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is to be estimated, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The FPGA family.
    pub family: Family,
    /// Names of the modules; all of the design if empty.
    pub modules: Vec<String>,
    /// Modules of which those directly inside, but for primitives, are mapped by themselves before
    /// they are put together: paths run through all, but each is mapped as when it is named.
    pub split: Vec<String>,
    /// Paths to list for each module, to different ends, longest first.
    pub paths: usize,
    /// The clock to compare with, instead of the design point's.
    pub clock: Option<Frequency>,
    /// Modules mapped at a time; the number of processors if `None`.
    pub jobs: Option<NonZero<usize>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            family: Family::UltraScalePlus,
            modules: vec![],
            split: vec![],
            paths: 1,
            clock: None,
            jobs: None,
        }
    }
}

/// Why there is no estimate.
#[derive(Debug, thiserror::Error)]
pub enum SynthError {
    /// No yosys.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A module could not be mapped.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// A mapped module could not be walked.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// A module could not be placed and routed.
    #[error(transparent)]
    PlaceAndRoute(#[from] place_and_route::PlaceAndRouteError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The directory holds no manifest.
    #[error("cannot read {path}: {error}; `hallux gen` writes it beside the RTL")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The manifest is damaged.
    #[error("{path} is no manifest: {error}; `hallux gen` writes it anew")]
    Damaged {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// The manifest is of another version.
    #[error("manifest schema {0} is unknown; this version reads {MANIFEST_SCHEMA}: generate again")]
    Schema(u32),
    /// There is no such module.
    #[error("design `{design}` has no module `{module}`{}", hint(closest))]
    NoModule {
        /// The design.
        design: String,
        /// The module asked for.
        module: String,
        /// The module whose name is closest.
        closest: Option<String>,
    },
    /// A source file cannot be read.
    #[error(transparent)]
    Source(#[from] BuildError),
    /// The manifest's clock is no frequency.
    #[error("clock of design `{design}`: {error}")]
    Clock {
        /// The design.
        design: String,
        /// What is wrong.
        error: UnitError,
    },
}

fn hint(closest: &Option<String>) -> String {
    match closest {
        Some(name) => format!("; did you mean `{name}`?"),
        None => "; `hallux gen --list` names them".into(),
    }
}

/// Estimates the design in `directory`, as `hallux gen` wrote it. `progress` receives a
/// line for each module that is done.
///
/// # Errors
/// As [`estimate`] and [`read_directory`].
pub fn estimate_directory(
    directory: &Path,
    options: &Options,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Report, SynthError> {
    let (manifest, sources) = read_directory(directory)?;
    estimate(&manifest, &sources, options, progress)
}

/// Manifest, file names and texts of the design in `directory`, as `hallux gen` wrote it.
///
/// # Errors
/// The directory holds no generated design.
pub fn read_directory(directory: &Path) -> Result<(Manifest, Vec<(String, String)>), SynthError> {
    let path = directory.join("manifest.json");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) => return Err(SynthError::Manifest { path, error }),
    };
    let manifest: Manifest = match serde_json::from_slice(&text) {
        Ok(manifest) => manifest,
        Err(error) => return Err(SynthError::Damaged { path, error }),
    };
    let sources = read_sources(directory, &manifest)?;
    Ok((manifest, sources))
}

/// Estimates the modules of a generated design: `sources` holds file names and texts.
///
/// # Errors
/// There is no yosys, a module does not exist, has latches, a combinational loop or a
/// memory that the family lacks, or yosys refuses it.
pub fn estimate(
    manifest: &Manifest,
    sources: &[(String, String)],
    options: &Options,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Report, SynthError> {
    estimate_in(
        &Environment::process(),
        manifest,
        sources,
        options,
        progress,
    )
}

/// The modules directly inside `module`, but for primitives, each once.
pub fn inside(manifest: &Manifest, module: &str) -> Vec<String> {
    let hierarchy = Hierarchy::of(manifest);
    let mut names: Vec<String> = vec![];
    if let Some(module) = manifest.module(module) {
        for part in hierarchy.inside(module) {
            if !names.contains(&part.name) {
                names.push(part.name.clone());
            }
        }
    }
    names
}

/// As [`estimate`], with the tools and the cache of `environment`.
///
/// # Errors
/// As [`estimate`].
pub fn estimate_in(
    environment: &Environment,
    manifest: &Manifest,
    sources: &[(String, String)],
    options: &Options,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Report, SynthError> {
    if manifest.schema != MANIFEST_SCHEMA {
        return Err(SynthError::Schema(manifest.schema));
    }
    let hierarchy = Hierarchy::of(manifest);
    let modules = match options.modules.is_empty() {
        true => hierarchy.top_down().collect(),
        false => named(manifest, &options.modules)?,
    };
    let split = named(manifest, &options.split)?;
    let clock = clock_of(manifest, options)?;
    let job = Job::new(
        environment,
        &hierarchy,
        sources,
        split,
        options,
        clock,
        progress,
    )?;
    let jobs = options.jobs.map_or_else(processors, NonZero::get);
    // Parts before the modules they are put into, and every one once.
    let alone = job.mapped_alone(&modules);
    in_parallel(
        jobs,
        &alone,
        |module| Ok(job.map_alone(module).map(drop)?),
        progress,
    )?;
    let reports = modules.iter().map(|module| job.report(module));
    let reports = reports.collect::<Result<_, _>>()?;
    Ok(Report {
        schema: report::SCHEMA,
        design: manifest.design.clone(),
        top: manifest.top.clone(),
        family: options.family,
        yosys: job.yosys.banner().into(),
        clock_mhz: clock.map(|clock| clock.0 as f64 / 1e6),
        modules: reports,
    })
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

fn named<'m>(manifest: &'m Manifest, names: &[String]) -> Result<Vec<&'m Module>, SynthError> {
    let find = |name: &String| {
        manifest.module(name).ok_or_else(|| {
            let closest = manifest
                .modules
                .iter()
                .map(|module| (strsim::jaro_winkler(name, &module.name), &module.name))
                .filter(|(likeness, _)| *likeness > 0.8)
                .max_by(|(a, _), (b, _)| a.total_cmp(b))
                .map(|(_, name)| name.clone());
            SynthError::NoModule {
                design: manifest.design.clone(),
                module: name.clone(),
                closest,
            }
        })
    };
    names.iter().map(find).collect()
}

fn clock_of(manifest: &Manifest, options: &Options) -> Result<Option<Frequency>, SynthError> {
    if options.clock.is_some() {
        return Ok(options.clock);
    }
    let Some(text) = manifest.parameters.get("clock") else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|error| SynthError::Clock {
        design: manifest.design.clone(),
        error,
    })
}

/// What the estimate of a module needs.
struct Job<'a> {
    yosys: Yosys,
    cache: Cache,
    hierarchy: &'a Hierarchy<'a>,
    sources: &'a [(String, String)],
    split: Vec<&'a Module>,
    options: &'a Options,
    clock: Option<Frequency>,
}

impl<'a> Job<'a> {
    fn new(
        environment: &Environment,
        hierarchy: &'a Hierarchy<'a>,
        sources: &'a [(String, String)],
        split: Vec<&'a Module>,
        options: &'a Options,
        clock: Option<Frequency>,
        progress: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Self, SynthError> {
        let cache = Cache::locate(environment)?;
        Ok(Self {
            yosys: Yosys::discover(environment, &cache, progress)?,
            cache,
            hierarchy,
            sources,
            split,
            options,
            clock,
        })
    }

    /// The modules that are mapped by themselves inside `module`: those directly inside it, if it is
    /// to be split.
    fn parts(&self, module: &Module) -> Vec<&'a Module> {
        let split = self.split.iter().find(|split| split.name == module.name);
        let inside = split.map(|split| self.hierarchy.inside(split));
        inside.into_iter().flatten().collect()
    }

    /// `modules` and all parts inside them, each once, parts first.
    fn mapped_alone(&self, modules: &[&'a Module]) -> Vec<&'a Module> {
        let mut found: Vec<&Module> = vec![];
        for module in modules {
            let inner = self.mapped_alone(&self.parts(module));
            for module in inner.into_iter().chain([*module]) {
                if !found.iter().any(|known| known.name == module.name) {
                    found.push(module);
                }
            }
        }
        found
    }

    /// Maps `module` without its parts.
    fn map_alone(&self, module: &Module) -> Result<Mapped, MappingError> {
        let below = self.hierarchy.below(&module.name);
        let sources: Vec<&(String, String)> = self
            .sources
            .iter()
            .filter(|(file, _)| below.iter().any(|module| module.file == *file))
            .collect();
        let parts = self.parts(module);
        mapping::map(
            &self.yosys,
            &self.cache,
            self.options.family.technology(),
            &module.name,
            &parts.iter().map(|part| part.name.as_str()).collect(),
            &sources,
        )
    }

    /// `module` with its parts put in.
    fn map(&self, module: &Module) -> Result<Mapped, MappingError> {
        let mut mapped = self.map_alone(module)?;
        let mut netlists = BTreeMap::new();
        for part in self.parts(module) {
            if netlists.contains_key(&part.name) {
                continue;
            }
            let part_mapped = self.map(part)?;
            mapped.small_memories.extend(part_mapped.small_memories);
            netlists.insert(part.name.clone(), part_mapped.netlist);
        }
        mapped.netlist = mapped.netlist.with_parts(&netlists);
        Ok(mapped)
    }

    fn report(&self, module: &Module) -> Result<ModuleReport, SynthError> {
        let mapped = self.map(module)?;
        let technology = self.options.family.technology();
        let walk = walk::walk(&mapped.netlist, technology, self.options.paths)?;
        Ok(report::of_module(
            module,
            self.hierarchy,
            mapped,
            walk,
            self.clock,
        ))
    }
}

/// Applies `work` to `items` with up to `workers` threads; results in the order of the
/// items, the first error in that order if there is one.
fn in_parallel<R: Send>(
    workers: usize,
    items: &[&Module],
    work: impl Fn(&Module) -> Result<R, SynthError> + Sync,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Vec<R>, SynthError> {
    let next = AtomicUsize::new(0);
    let progress = Mutex::new((0, progress));
    let results: Vec<Mutex<Option<Result<R, SynthError>>>> =
        items.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..workers.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(module) = items.get(index) else {
                        break;
                    };
                    let result = work(module);
                    let failed = result.is_err();
                    *results[index].lock().expect("no thread panics with it") = Some(result);
                    if failed {
                        // What has been begun is finished, nothing more is begun.
                        next.fetch_max(items.len(), Ordering::Relaxed);
                        break;
                    }
                    let mut guard = progress.lock().expect("no thread panics with it");
                    let (done, line) = &mut *guard;
                    *done += 1;
                    line(&format!("{done} of {}: {}", items.len(), module.name));
                }
            });
        }
    });
    let mut reports = vec![];
    for result in results {
        match result.into_inner().expect("no thread panics with it") {
            Some(Ok(report)) => reports.push(report),
            Some(Err(error)) => return Err(error),
            None => {}
        }
    }
    Ok(reports)
}
