//! What a run leaves behind: `summary.json` (the same in every mode), `execution.json`
//! (everything that depends on machine, mode or wall time) and the files beside them.

use crate::blame::Blame;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Version of the layout of `summary.json`.
pub const SUMMARY_SCHEMA: &str = "hallux-summary-1";
/// Version of the layout of `execution.json`.
pub const EXECUTION_SCHEMA: &str = "hallux-execution-1";

/// Percentiles of a latency, in picoseconds of simulated time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Number of samples.
    pub samples: u64,
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p999: u64,
    /// 99.99th percentile.
    pub p9999: u64,
}

/// Cycles of one stage; the three add up to the clock cycles of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageCycles {
    /// An event entered the stage.
    pub busy: u64,
    /// An event was offered and refused.
    pub blocked: u64,
    /// Nothing was offered.
    pub starved: u64,
}

/// What one RTL NIC did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicSummary {
    /// Clock edges from time zero to the end of the run.
    pub clock_cycles: u64,
    /// Cycles of each stage.
    pub stages: BTreeMap<String, StageCycles>,
    /// Bytes on the PCIe link by class of transaction layer packet, overhead included.
    pub pcie: BTreeMap<String, u64>,
    /// Dropped frames by reason.
    pub drops: BTreeMap<String, u64>,
    /// What the run asked of resources that no stage counts; the [verdict](crate::verdict)
    /// is made of it.
    pub demand: BTreeMap<String, u64>,
}

/// Everything the mode law covers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// [`SUMMARY_SCHEMA`].
    pub schema: &'static str,
    /// False when the run was interrupted or failed: every figure is then only a part.
    pub complete: bool,
    /// Name of the scenario.
    pub scenario: String,
    /// Name of the design point.
    pub design: String,
    /// SHA-256 of the RTL.
    pub rtl: String,
    /// Seed of all randomness.
    pub seed: u64,
    /// End of the run in picoseconds.
    pub simulated_ps: u64,
    /// Clock edges of the NIC under test.
    pub clock_cycles: u64,
    /// Bytes whose contents were verified by an application.
    pub bytes_verified: u64,
    /// Bytes of files or messages whose contents differed.
    pub bytes_mismatched: u64,
    /// Verified bytes over the time from the first request to the last verified byte.
    pub goodput_gbps: f64,
    /// Segments at the Ethernet port of the NIC under test, both directions, by kind.
    pub segments: BTreeMap<String, u64>,
    /// Segments that carried bytes already sent.
    pub retransmitted_segments: u64,
    /// From the last bit of a data segment to that of the first ACK that covers it, at
    /// the Ethernet port of the NIC under test; retransmitted bytes give no sample.
    pub rtt_ps: Percentiles,
    /// From an application's request to the last byte of its answer.
    pub request_ps: Percentiles,
    /// Cycles of each stage of the NIC under test.
    pub stages: BTreeMap<String, StageCycles>,
    /// PCIe bytes of the NIC under test by class.
    pub pcie: BTreeMap<String, u64>,
    /// Frames dropped by the NIC under test, by reason.
    pub drops: BTreeMap<String, u64>,
    /// Every RTL NIC of the run by name.
    pub nics: BTreeMap<String, NicSummary>,
    /// Counters of every other component, by component and counter.
    pub counters: BTreeMap<String, BTreeMap<String, u64>>,
    /// What limits the run, and what would next.
    pub verdict: Verdict,
    /// Where the time of requests and segments went.
    pub blame: Blame,
}

/// Everything else.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Execution {
    /// [`EXECUTION_SCHEMA`].
    pub schema: &'static str,
    /// How the components ran: `fused`, `threads` or `processes`.
    pub mode: &'static str,
    /// Workers that the components were distributed over.
    pub workers: usize,
    /// Skipping of quiescent cycles: `on`, `off` or `verify`.
    pub skip: String,
    /// Clock cycles evaluated in all RTL models.
    pub cycles_evaluated: u64,
    /// Wall time of the simulation, without generation and building.
    pub wall_seconds: f64,
    /// Evaluated cycles per second of wall time.
    pub wall_cycles_per_second: f64,
    /// Wall time until the first simulated cycle: generation, building or loading.
    pub setup_seconds: f64,
    /// The compiled model came from the cache.
    pub model_cached: bool,
    /// Why the run did not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// Versions of the tools, compiler flags included.
    pub tool_versions: BTreeMap<String, String>,
    /// Machine the run was made on.
    pub host: BTreeMap<String, String>,
}

/// Gb/s of `bytes` in `ps` picoseconds, to three decimals.
pub fn gigabits_per_second(bytes: u64, ps: u64) -> f64 {
    if ps == 0 {
        return 0.0;
    }
    // 1 bit/ps is 1000 Gb/s; rounding in integers keeps the figure the same everywhere.
    let thousandths = (u128::from(bytes) * 8_000_000 + u128::from(ps) / 2) / u128::from(ps);
    thousandths as f64 / 1000.0
}

/// A results directory that takes its name only when it is whole.
#[derive(Debug)]
pub struct ResultsDirectory {
    part: PathBuf,
    whole: PathBuf,
}

/// Why a directory cannot receive the results of a run.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The path has no last component, as `..` has none.
    #[error("{} names no directory; name one to be made", .0.display())]
    NoName(PathBuf),
    /// Something else than a directory has the name.
    #[error("{} is no directory; name one to be made, or an earlier result", .0.display())]
    NoDirectory(PathBuf),
    /// A directory with contents that no run has left.
    #[error("{} holds something else than results; name a new directory", .0.display())]
    Foreign(PathBuf),
    /// The directory cannot be made or replaced.
    #[error("cannot make the results directory {}: {error}", .path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl ResultsDirectory {
    /// Whether `whole` can take results, so that a mistake shows before a long run: it
    /// must not exist, be empty, or hold an earlier result, since it will be replaced.
    ///
    /// # Errors
    /// Something other than results has the name.
    pub fn check(whole: &Path) -> Result<(), PlaceError> {
        for place in [whole, &part_of(whole)?] {
            let Ok(metadata) = fs::metadata(place) else {
                continue;
            };
            if !metadata.is_dir() {
                return Err(PlaceError::NoDirectory(place.to_owned()));
            }
            let ours = ["summary.json", "packets.pcapng"]
                .iter()
                .any(|file| place.join(file).is_file());
            let empty = fs::read_dir(place).is_ok_and(|mut entries| entries.next().is_none());
            if !ours && !empty {
                return Err(PlaceError::Foreign(place.to_owned()));
            }
        }
        Ok(())
    }

    /// Prepares `whole`: files are written to `<whole>.incomplete` until [`Self::publish`].
    ///
    /// # Errors
    /// [`Self::check`] fails, or the directory cannot be made.
    pub fn create(whole: &Path) -> Result<Self, PlaceError> {
        Self::check(whole)?;
        let part = part_of(whole)?;
        let renew = || {
            if part.exists() {
                fs::remove_dir_all(&part)?;
            }
            fs::create_dir_all(&part)
        };
        renew().map_err(|error| PlaceError::Io {
            path: whole.to_owned(),
            error,
        })?;
        Ok(Self {
            part,
            whole: whole.to_owned(),
        })
    }

    /// Where to write `file` now.
    pub fn path(&self, file: &str) -> PathBuf {
        self.part.join(file)
    }

    /// Writes a value as indented JSON.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_json(&self, file: &str, value: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(value)?;
        text.push('\n');
        fs::write(self.path(file), text)
    }

    /// The run is whole: replaces an earlier result of the same name.
    ///
    /// # Errors
    /// The directory cannot be renamed.
    pub fn publish(self) -> io::Result<PathBuf> {
        if self.whole.exists() {
            fs::remove_dir_all(&self.whole)?;
        }
        fs::rename(&self.part, &self.whole)?;
        Ok(self.whole)
    }

    /// The run is not whole: the partial results keep their marked name.
    pub fn keep_incomplete(self) -> PathBuf {
        self.part
    }
}

/// Where the results of `whole` stand until the run is whole.
fn part_of(whole: &Path) -> Result<PathBuf, PlaceError> {
    let mut name = whole
        .file_name()
        .ok_or_else(|| PlaceError::NoName(whole.to_owned()))?
        .to_owned();
    name.push(".incomplete");
    Ok(whole.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goodput_is_rounded_in_integers() {
        assert_eq!(gigabits_per_second(12_500, 1_000_000), 100.0);
        assert_eq!(gigabits_per_second(1, 3), 2666.667);
        assert_eq!(gigabits_per_second(5, 0), 0.0);
    }

    #[test]
    fn a_directory_is_published_whole_or_not_at_all() {
        let base = tempfile::tempdir().unwrap();
        let whole = base.path().join("run");
        let first = ResultsDirectory::create(&whole).unwrap();
        first.write_json("summary.json", &1).unwrap();
        assert!(!whole.exists());
        assert!(first.keep_incomplete().ends_with("run.incomplete"));
        let second = ResultsDirectory::create(&whole).unwrap();
        second.write_json("summary.json", &2).unwrap();
        let place = second.publish().unwrap();
        assert_eq!(
            fs::read_to_string(place.join("summary.json")).unwrap(),
            "2\n"
        );
        assert!(!base.path().join("run.incomplete").exists());
    }
}
