//! What whoever runs a part of a scenario does, in a process or on a machine of its own, and what
//! is made of the reports of all parts.
//!
//! Each part puts the whole scenario together, with empty places for the NICs of others,
//! and runs its own components.

use crate::model::{self, Abilities};
use crate::scenario::Scenario;
use crate::simulation::{self, Assembly, Findings};
use anyhow::{Context, Result, anyhow};
use hallux_channel::Time;
use hallux_cosim::engine::{
    Board, Boundary, Outcome, Part, Partition, RunError, RunOptions, Simulation, WaitPolicy,
    Waiting, Watched, send_result,
};
use hallux_cosim::nic::{RtlNic, SkipMode};
use hallux_cosim::observe::waves::{WaveFile, WaveWindow};
use hallux_host::apps::files::FileTree;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// What a part is told, wherever it runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The scenario file, and what replaces its values.
    pub scenario: PathBuf,
    /// As on the command line.
    pub set: Vec<String>,
    /// Treatment of quiescent cycles.
    pub skip: String,
    /// Where the stage trace goes, if one is wanted.
    pub trace: Option<PathBuf>,
    /// Window and file of waves, if they are wanted.
    pub waves: Option<(String, PathBuf)>,
    /// Component and port of everything that is tapped, by number.
    pub taps: Vec<(String, String)>,
    /// The worker of each component.
    pub partition: Vec<usize>,
    /// The worker that gets this.
    pub worker: usize,
    /// Whether workers only spin while they wait.
    pub spin: bool,
}

/// How a part ended.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// What went wrong, if it did.
    failure: Option<Failure>,
    /// Components that have not finished, and what they wait for.
    waiting: Vec<(String, String)>,
    findings: Findings,
}

/// What went wrong in a part.
#[derive(Debug, Serialize, Deserialize)]
enum Failure {
    /// In the part itself.
    Here(String),
    /// At a link to another part, which may well be the one that failed.
    Link(String),
    /// In another part.
    Elsewhere,
}

impl Report {
    /// Of a part that did not begin.
    fn failed(error: &anyhow::Error) -> Self {
        Report {
            failure: Some(Failure::Here(format!("{error:#}"))),
            ..Report::default()
        }
    }
}

/// Where a part shows how far it is.
pub struct Seat<'a> {
    /// The board of all workers, or of all on this machine.
    pub board: &'a Board,
    /// The row of this worker on it.
    pub row: usize,
    /// Whether the other workers have theirs there.
    pub shared: bool,
}

impl Job {
    /// Who runs what.
    pub fn partition(&self) -> Partition {
        Partition::by_key(&self.partition)
    }

    /// The scenario, with what replaces its values.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn scenario(&self) -> Result<Scenario> {
        Ok(Scenario::read(&self.scenario, &self.set)?)
    }

    /// Runs this part over `boundaries`, one for each of its open links; captures go to
    /// `out`.
    ///
    /// # Errors
    /// What was observed cannot be written.
    pub fn run(
        &self,
        assembly: &mut Assembly,
        seat: &Seat<'_>,
        boundaries: Vec<Box<dyn Boundary>>,
        options: &RunOptions<'_>,
        out: &mut dyn Write,
    ) -> Result<Report> {
        let partition = self.partition();
        let part = Part {
            partition: &partition,
            worker: self.worker,
            board: seat.board,
            row: seat.row,
            shared: seat.shared,
            policy: match self.spin {
                true => WaitPolicy::Spin,
                false => WaitPolicy::Graded,
            },
        };
        let result = assembly
            .simulation
            .run_part(&part, boundaries, options, out);
        let own: Vec<String> = assembly
            .simulation
            .names()
            .enumerate()
            .filter(|(place, _)| partition.worker(*place) == self.worker)
            .map(|(_, name)| name.to_owned())
            .collect();
        let mut report = Report {
            findings: assembly.findings(|name| own.iter().any(|own| own == name)),
            ..Report::default()
        };
        match result {
            Ok(_) | Err(RunError::Cancelled { .. }) => {}
            Err(RunError::Deadline { waiting, .. } | RunError::Deadlock { waiting, .. }) => {
                let waiting = waiting.into_iter();
                report.waiting = waiting.map(|one| (one.component, one.what)).collect();
            }
            Err(RunError::Elsewhere) => report.failure = Some(Failure::Elsewhere),
            Err(error @ RunError::Link { .. }) => {
                report.failure = Some(Failure::Link(error.to_string()));
            }
            Err(error) => report.failure = Some(Failure::Here(error.to_string())),
        }
        self.finish_observation(assembly)?;
        Ok(report)
    }

    /// The scenario with the NICs that this part runs.
    ///
    /// # Errors
    /// What the scenario describes cannot be built.
    pub fn assemble(&self, scenario: &Scenario, files: Option<Arc<FileTree>>) -> Result<Assembly> {
        let skip: SkipMode = self.skip.parse()?;
        // The names of the components do not depend on who runs the NICs.
        let outline = outline(scenario, files.clone())?;
        let names: Vec<&str> = outline.simulation.names().collect();
        let runs = |name: &str| {
            let place = names.iter().position(|known| *known == name);
            place.is_some_and(|place| self.partition.get(place) == Some(&self.worker))
        };
        let mut model = None;
        let mut first = true;
        let mut assembly = simulation::assemble(scenario, files, None, &mut |mut config| {
            let tested = std::mem::take(&mut first);
            if !runs(&config.name) {
                return Ok(None);
            }
            if model.is_none() {
                let abilities = Abilities {
                    waves: self.waves.is_some(),
                    savable: skip == SkipMode::Verify,
                };
                model = Some(model::build(&scenario.design, abilities, &|line| {
                    tracing::info!("{line}");
                })?);
            }
            let Some(model) = &model else {
                return Ok(None);
            };
            config.skip = skip;
            config.trace = self.trace.is_some();
            if let (true, Some((window, path))) = (tested, &self.waves) {
                config.waves = Some(WaveFile {
                    window: window.parse::<WaveWindow>()?,
                    path: path.clone(),
                });
            }
            Ok(Some(RtlNic::new(config, &model.library)?))
        })?;
        for (component, port) in &self.taps {
            let id = assembly
                .simulation
                .find(component)
                .ok_or_else(|| anyhow!("there is no component `{component}`"))?;
            let name = format!("{component}.{port}");
            assembly.simulation.tap((id, port), name)?;
        }
        Ok(assembly)
    }

    /// Writes what only the process with the NIC under test knows.
    fn finish_observation(&self, assembly: &mut Assembly) -> Result<()> {
        if self.waves.is_some()
            && let Some(nic) = assembly.nic_mut(0)
        {
            nic.close_waves()?;
        }
        if let Some(path) = &self.trace {
            write_trace(path, assembly)?;
        }
        Ok(())
    }
}

/// The components of a scenario and their links, with empty places for its NICs.
///
/// # Errors
/// What the scenario describes cannot be built.
pub fn outline(scenario: &Scenario, files: Option<Arc<FileTree>>) -> Result<Assembly> {
    simulation::assemble(scenario, files, None, &mut |_| Ok(None))
}

/// How long a run of this scenario is.
pub fn options(scenario: &Scenario) -> RunOptions<'static> {
    RunOptions {
        stop_quantum: Time::from_ps(scenario.settings.stop_quantum.0),
        max_time: Time::from_ps(scenario.settings.max_time.0),
        cancel: None,
    }
}

/// Sends how a part ended, or why it did not begin.
///
/// # Errors
/// Nobody takes it.
pub fn send_report(out: &mut impl Write, result: Result<Report>) -> Result<()> {
    let report = result.unwrap_or_else(|error| Report::failed(&error));
    send_result(out, &postcard::to_stdvec(&report)?)?;
    Ok(())
}

/// Writes the stage trace of the NIC under test, if this process ran it.
///
/// # Errors
/// The file cannot be written.
pub fn write_trace(path: &Path, assembly: &Assembly) -> Result<()> {
    let Some((name, trace, nic)) = assembly
        .tested_nic()
        .and_then(|(name, nic)| Some((name, nic.trace()?, nic)))
    else {
        return Ok(());
    };
    let mut file = BufWriter::new(File::create(path)?);
    trace.write(name, nic.clock().edge(1), &mut file)?;
    file.flush()?;
    Ok(())
}

/// A run whose workers have all ended.
pub struct Ended {
    /// How the run ended.
    pub outcome: Result<Outcome, RunError>,
    /// What all workers found.
    pub findings: Findings,
    /// Everything before this time was simulated by all.
    pub reached: Time,
    /// When the last worker had begun to simulate.
    pub began: Option<Instant>,
    /// When all had simulated to the end.
    pub ended: Instant,
}

impl Ended {
    /// Puts together what all parts reported.
    ///
    /// # Errors
    /// A part sent a report that is none.
    pub fn gather(
        watched: Watched,
        simulation: &Simulation,
        partition: &Partition,
        board: &Board,
    ) -> Result<Self> {
        let mut findings: Option<Findings> = None;
        let mut waiting = vec![];
        let mut failure = watched.failure;
        let mut severed = None;
        for (worker, result) in watched.results.into_iter().enumerate() {
            let Some(result) = result else { continue };
            let report: Report =
                postcard::from_bytes(&result).context("a worker sent a report that is none")?;
            let failed = |what| RunError::Part {
                components: simulation.names_of(partition, worker),
                what: format!("failed: {what}"),
            };
            match report.failure {
                Some(Failure::Here(what)) if failure.is_none() => failure = Some(failed(what)),
                Some(Failure::Link(what)) if severed.is_none() => severed = Some(failed(what)),
                _ => {}
            }
            let names = report.waiting.into_iter();
            waiting.extend(names.map(|(component, what)| Waiting { component, what }));
            findings = Some(match findings {
                Some(others) => others.and(report.findings),
                None => report.findings,
            });
        }
        let outcome = match failure.or(severed) {
            Some(failure) => Err(failure),
            None => board.outcome(|| waiting),
        };
        Ok(Self {
            outcome,
            findings: findings.unwrap_or_default(),
            reached: watched.reached,
            began: watched.began,
            ended: watched.ended,
        })
    }
}
