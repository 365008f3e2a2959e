//! Reading back what runs and sweeps left behind.

use crate::blame::Blame;
use crate::profile::{PROFILE, PROFILE_SCHEMA, Profile};
use crate::results::{Percentiles, SUMMARY_SCHEMA, StageCycles};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Version of the layout of `sweep.json`.
const SWEEP_SCHEMA: &str = "hallux-sweep-1";

/// Why a result cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The path holds neither a run nor a sweep.
    #[error(
        "{} is no result: it has neither summary.json nor sweep.json; \
         name a directory that `hallux run` or `hallux sweep` has left", .0.display()
    )]
    NoResult(PathBuf),
    /// The run did not reach its end.
    #[error(
        "{} is incomplete: {reason}; run the scenario again and let it end", .path.display()
    )]
    Incomplete {
        /// The directory.
        path: PathBuf,
        /// What its `execution.json` says.
        reason: String,
    },
    /// It was left by another version.
    #[error(
        "{} has the layout `{found}`, this version reads `{known}`; run it again with this version",
        .path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What it should say.
        known: &'static str,
    },
    /// A file of the result is missing.
    #[error(
        "{} is missing beside summary.json: an older version left this result; \
         run it again with this version", .0.display()
    )]
    Missing(PathBuf),
    /// A file cannot be read or understood.
    #[error("cannot read {}: {reason}; run it again", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A sweep in which no point ran to its end.
    #[error("{}: no point of the sweep has ended yet; let `hallux sweep` go on", .0.display())]
    Empty(PathBuf),
}

/// A result of either kind.
#[derive(Debug)]
pub enum Loaded {
    /// A run.
    Run(Box<Run>),
    /// A sweep.
    Sweep(Sweep),
}

/// A run.
#[derive(Debug)]
pub struct Run {
    /// From `summary.json`.
    pub summary: Summary,
    /// From `profile.json`.
    pub profile: Profile,
}

/// What the report shows of `summary.json`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Summary {
    /// Name of the scenario.
    pub scenario: String,
    /// Name of the design point.
    pub design: String,
    /// SHA-256 of the RTL.
    pub rtl: String,
    /// Seed of all randomness.
    pub seed: u64,
    /// False when figures are only a part.
    pub complete: bool,
    /// End of the run in picoseconds.
    pub simulated_ps: u64,
    /// Clock edges of the NIC under test.
    pub clock_cycles: u64,
    /// Verified bytes.
    pub bytes_verified: u64,
    /// Their rate.
    pub goodput_gbps: f64,
    /// Segments sent again.
    pub retransmitted_segments: u64,
    /// Round trips.
    pub rtt_ps: Percentiles,
    /// Requests.
    pub request_ps: Percentiles,
    /// Cycles by stage.
    pub stages: BTreeMap<String, StageCycles>,
    /// Bytes by class.
    pub pcie: BTreeMap<String, u64>,
    /// Frames by reason.
    pub drops: BTreeMap<String, u64>,
    /// Counters by component.
    pub counters: BTreeMap<String, BTreeMap<String, u64>>,
    /// What limits the run.
    #[serde(default)]
    pub verdict: Verdict,
    /// Where the latencies go.
    #[serde(default)]
    pub blame: Option<Blame>,
}

/// As [`crate::verdict::Verdict`].
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Verdict {
    /// In words.
    pub sentence: String,
    /// By name.
    pub resources: BTreeMap<String, Resource>,
}

/// As [`crate::verdict::Resource`].
#[derive(Clone, Debug, Deserialize)]
pub struct Resource {
    /// What is counted.
    pub unit: String,
    /// Of that, in a second.
    pub capacity: f64,
    /// Of that, in a second.
    pub used: f64,
    /// One over the other.
    pub utilisation: f64,
    /// Goodput at which it would be used up.
    pub bound_gbps: f64,
    /// What moves the capacity.
    pub parameter: String,
}

/// A sweep.
#[derive(Debug)]
pub struct Sweep {
    /// From `sweep.json`.
    pub about: About,
    /// From `results.jsonl`.
    pub rows: Vec<Row>,
}

/// What was swept.
#[derive(Clone, Debug, Deserialize)]
pub struct About {
    /// All points have ended.
    pub complete: bool,
    /// Name of the sweep.
    pub name: String,
    /// What to look for: the comment at the head of the sweep file.
    #[serde(default)]
    pub about: String,
    /// Keys.
    pub axes: Vec<String>,
    /// As in the sweep file.
    pub objectives: Vec<String>,
    /// As in the sweep file.
    pub constraints: Vec<String>,
}

/// One point.
#[derive(Clone, Debug, Deserialize)]
pub struct Row {
    /// Its number.
    pub point: usize,
    /// Rung of successive halving.
    pub rung: usize,
    /// Value of each axis; none where the axis does not exist.
    pub axes: BTreeMap<String, Option<String>>,
    /// `done`, `infeasible`, `failed` or `open`.
    pub status: String,
    /// Why, if not done.
    pub reason: String,
    /// On the Pareto front.
    pub front: bool,
    /// Figures.
    pub metrics: BTreeMap<String, f64>,
}

/// Reads the result in a directory.
///
/// # Errors
/// [`LoadError`].
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    if path.join("sweep.json").is_file() {
        let about: About = read(&path.join("sweep.json"), SWEEP_SCHEMA)?;
        let table = path.join("results.jsonl");
        let text = fs::read_to_string(&table).map_err(|error| unreadable(&table, &error))?;
        let rows = text.lines().enumerate().map(|(number, line)| {
            serde_json::from_str(line)
                .map_err(|error| unreadable(&table, &format!("line {}: {error}", number + 1)))
        });
        let rows: Vec<Row> = rows.collect::<Result<_, _>>()?;
        if !rows.iter().any(|row| !row.metrics.is_empty()) {
            return Err(LoadError::Empty(path.into()));
        }
        return Ok(Loaded::Sweep(Sweep { about, rows }));
    }
    let file = path.join("summary.json");
    if !file.is_file() {
        return Err(LoadError::NoResult(path.into()));
    }
    let summary: Summary = read(&file, SUMMARY_SCHEMA)?;
    if !summary.complete {
        let execution = fs::read_to_string(path.join("execution.json")).unwrap_or_default();
        let execution: serde_json::Value = serde_json::from_str(&execution).unwrap_or_default();
        let reason = execution["incomplete"].as_str();
        return Err(LoadError::Incomplete {
            path: path.into(),
            reason: reason.unwrap_or("the run did not reach its end").into(),
        });
    }
    let profile = path.join(PROFILE);
    if !profile.is_file() {
        return Err(LoadError::Missing(profile));
    }
    Ok(Loaded::Run(Box::new(Run {
        summary,
        profile: read(&profile, PROFILE_SCHEMA)?,
    })))
}

fn unreadable(path: &Path, reason: &dyn std::fmt::Display) -> LoadError {
    LoadError::Unreadable {
        path: path.into(),
        reason: reason.to_string(),
    }
}

/// Reads a file of a known layout.
fn read<T: DeserializeOwned>(path: &Path, known: &'static str) -> Result<T, LoadError> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| unreadable(path, &error))?;
    let found = value["schema"].as_str().unwrap_or("none");
    if found != known {
        return Err(LoadError::Version {
            path: path.into(),
            found: found.into(),
            known,
        });
    }
    serde_json::from_value(value).map_err(|error| unreadable(path, &error))
}
