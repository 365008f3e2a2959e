//! From a sweep file to a table: which points, in which order, run by whom.

use super::engine::{self, Lost, Status};
use super::metric::{self, Metrics};
use super::pareto;
use super::point::{Point, PointError, Resolver, tools};
use super::slurm;
use super::space::{self, Configuration};
use super::spec::{Halving, Sample, Sweep};
use super::store::{Outcome, Store};
use super::table::{self, Row, Standing};
use crate::model::{self, Abilities};
use crate::synth;
use anyhow::{Context, Result, anyhow, bail};
use hallux_toe::generate::generate;
use hallux_verilator::Toolchain;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// Who runs the points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Processes on this machine.
    Local {
        /// At a time.
        workers: usize,
    },
    /// A Slurm job array.
    Slurm {
        /// Points of one task.
        chunk: usize,
    },
}

/// What the conductor tells while it works.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// A line for a person.
    Line(&'a str),
    /// Progress of the rung under way: so many of its points were stored before, so many
    /// are run.
    Progress {
        /// Points of this rung.
        total: usize,
        /// Points that were stored before.
        stored: usize,
        /// The rest.
        status: Status,
    },
}

/// A sweep that has been run as far as it could.
#[derive(Debug)]
pub struct Finished {
    /// The rows of the table.
    pub rows: Vec<Row>,
    /// Every point has been run or cannot be run.
    pub complete: bool,
    /// Where the table stands.
    pub csv: PathBuf,
    /// Runs that this call made.
    pub runs: usize,
    /// Models that this call compiled or found compiled.
    pub models: usize,
}

/// Runs `sweep` in `store`.
///
/// # Errors
/// The sweep names a key that does not exist or a metric that no result has; a tool is
/// missing; the disk is full. What is stored so far stays.
pub fn conduct(
    sweep: &Sweep,
    store: &Store,
    engine: Engine,
    retry: bool,
    cancel: &AtomicBool,
    news: &(dyn Fn(News<'_>) + Sync),
) -> Result<Finished> {
    let toolchain = Toolchain::discover(&mut |line| news(News::Line(line)))?;
    let program = std::env::current_exe().context("this program has no path")?;
    let tools = tools(&toolchain, &program).context("cannot read this program")?;
    let all = space::grid(&sweep.axes).ok_or_else(|| {
        anyhow!(
            "the axes span more than {} points; use fewer values, or conditions (`when`)",
            space::MOST
        )
    })?;
    let mut conductor = Conductor {
        sweep,
        store,
        engine,
        retry,
        cancel,
        news,
        resolver: Resolver::new(sweep, tools),
        built: BTreeSet::new(),
        estimates: BTreeMap::new(),
        runs: 0,
        rows: vec![],
    };
    let limit = match &sweep.sample {
        Sample::Grid => None,
        Sample::Random(points) => Some(*points),
        Sample::Halving(halving) => halving.points,
    };
    let chosen = match limit {
        Some(points) => space::draw(all, points, sweep.seed),
        None => all,
    };
    let numbered: Vec<(usize, Configuration)> = chosen.into_iter().enumerate().collect();
    let complete = match &sweep.sample {
        Sample::Halving(halving) => conductor.halve(halving, numbered)?,
        Sample::Grid | Sample::Random(_) => conductor.rung(0, &numbered, None)?,
    };
    conductor.finish(complete)
}

/// What is known while a sweep is run.
struct Conductor<'a> {
    sweep: &'a Sweep,
    store: &'a Store,
    engine: Engine,
    retry: bool,
    cancel: &'a AtomicBool,
    news: &'a (dyn Fn(News<'_>) + Sync),
    resolver: Resolver<'a>,
    /// RTL whose models are compiled.
    built: BTreeSet<String>,
    /// Area and critical path, or why there is no estimate, by RTL.
    estimates: BTreeMap<String, Result<Metrics, String>>,
    runs: usize,
    rows: Vec<Row>,
}

/// A configuration with its point, or the reason why there is none.
type Resolved = (usize, Configuration, Result<Point, String>);

impl Conductor<'_> {
    /// One rung: resolves, runs what is not stored, and adds the rows. False if cancelled.
    fn rung(
        &mut self,
        rung: usize,
        configurations: &[(usize, Configuration)],
        fidelity: Option<(&str, &str)>,
    ) -> Result<bool> {
        let mut resolved: Vec<Resolved> = vec![];
        for (number, configuration) in configurations {
            let point = match self.resolver.point(configuration, fidelity) {
                Ok(point) => Ok(point),
                Err(PointError::Impossible(reason)) => Err(one_line(&reason)),
                Err(PointError::Sweep(mistake)) => bail!(mistake),
            };
            resolved.push((*number, configuration.clone(), point));
        }
        let mut pending: Vec<Point> = vec![];
        let mut seen = BTreeSet::new();
        let mut stored = 0;
        if self.sweep.synth {
            for point in resolved
                .iter()
                .filter_map(|(_, _, point)| point.as_ref().ok())
            {
                self.estimate(point);
            }
        }
        for point in resolved
            .iter()
            .filter_map(|(_, _, point)| point.as_ref().ok())
        {
            if self.retry {
                self.store.forget_failure(&point.key)?;
            }
            if !seen.insert(point.key.clone()) {
                continue;
            }
            match self.store.outcome(&point.key) {
                Some(_) => stored += 1,
                None => pending.push(point.clone()),
            }
        }
        // What the RTL alone rules out is not simulated.
        pending.retain(|point| self.static_standing(point).is_none());
        let total = pending.len() + stored;
        let lost = self.run(&pending, total, stored)?;
        for (number, configuration, point) in resolved {
            let row = self.row(rung, number, configuration, point, &lost);
            self.rows.push(row);
        }
        self.check_metrics()?;
        self.write_tables(false)?;
        Ok(!self.cancel.load(Ordering::Relaxed))
    }

    fn run(&mut self, pending: &[Point], total: usize, stored: usize) -> Result<Lost> {
        let mut lost = self.build_models(pending)?;
        let mut keys = vec![];
        for point in pending
            .iter()
            .filter(|point| !lost.contains_key(&point.key))
        {
            self.store.plan(point)?;
            keys.push(point.key.clone());
        }
        if keys.is_empty() || self.cancel.load(Ordering::Relaxed) {
            return Ok(lost);
        }
        self.runs += keys.len();
        let progress = |status| {
            (self.news)(News::Progress {
                total,
                stored,
                status,
            });
        };
        let root = self.store.root();
        lost.extend(match self.engine {
            Engine::Local { workers } => {
                engine::run_local(root, &keys, workers, self.cancel, &progress)?
            }
            Engine::Slurm { chunk } => {
                slurm::run(root, &self.sweep.name, &keys, chunk, self.cancel, &progress)?
            }
        });
        Ok(lost)
    }

    /// Compiles each distinct RTL once, before anybody runs it. A design that cannot be
    /// compiled costs its own points only.
    fn build_models(&mut self, pending: &[Point]) -> Result<Lost> {
        let mut lost = Lost::new();
        let mut failures: BTreeMap<String, String> = BTreeMap::new();
        let rtl: BTreeSet<&str> = pending
            .iter()
            .filter(|point| point.needs_model)
            .map(|point| point.rtl.as_str())
            .filter(|rtl| !self.built.contains(*rtl))
            .collect();
        let models = rtl.len();
        let mut number = 0;
        for point in pending.iter().filter(|point| point.needs_model) {
            if let Some(reason) = failures.get(&point.rtl) {
                lost.insert(point.key.clone(), reason.clone());
                continue;
            }
            if self.cancel.load(Ordering::Relaxed) || !self.built.insert(point.rtl.clone()) {
                continue;
            }
            number += 1;
            let line = |line: &str| {
                (self.news)(News::Line(&format!("model {number}/{models}: {line}")));
            };
            if let Err(error) = model::build(&point.design, Abilities::default(), &line) {
                let reason = one_line(&format!("{error:#}"));
                lost.insert(point.key.clone(), reason.clone());
                failures.insert(point.rtl.clone(), reason);
            }
        }
        Ok(lost)
    }

    /// Area and critical path of a point's RTL, worked out once.
    fn estimate(&mut self, point: &Point) {
        if self.estimates.contains_key(&point.rtl) || self.cancel.load(Ordering::Relaxed) {
            return;
        }
        let mut tell = |line: &str| (self.news)(News::Line(line));
        let estimated = generate(&point.design)
            .map_err(|error| error.to_string())
            .and_then(|design| {
                let files = design.files.into_iter();
                let sources: Vec<_> = files.map(|file| (file.name, file.text)).collect();
                synth::estimate(
                    &design.manifest,
                    &sources,
                    &synth::Options::default(),
                    &mut tell,
                )
                .map_err(|error| one_line(&error.to_string()))
            })
            .map(|report| table::metrics_of_estimate(&report));
        self.estimates.insert(point.rtl.clone(), estimated);
    }

    fn estimated(&self, point: &Point) -> Metrics {
        let estimate = self.estimates.get(&point.rtl);
        estimate
            .and_then(|known| known.as_ref().ok())
            .cloned()
            .unwrap_or_default()
    }

    /// How a point stands by its RTL alone, if that decides.
    fn static_standing(&self, point: &Point) -> Option<Standing> {
        match self.estimates.get(&point.rtl)? {
            Ok(metrics) => table::broken(self.sweep, metrics).map(Standing::Infeasible),
            Err(reason) => Some(Standing::Failed(format!("no estimate: {reason}"))),
        }
    }

    fn row(
        &self,
        rung: usize,
        number: usize,
        configuration: Configuration,
        point: Result<Point, String>,
        lost: &Lost,
    ) -> Row {
        let mut metrics = Metrics::new();
        let mut binds = None;
        let standing = match point {
            Err(reason) => Standing::Failed(reason),
            Ok(point) => match self.static_standing(&point) {
                Some(standing) => {
                    metrics.extend(self.estimated(&point));
                    standing
                }
                None => match (self.store.outcome(&point.key), lost.get(&point.key)) {
                    (Some(Outcome::Done { summary }), _) => {
                        metrics.extend(table::metrics_of(&summary));
                        binds = summary["verdict"]["binds"].as_str().map(str::to_owned);
                        metrics.extend(self.estimated(&point));
                        match table::broken(self.sweep, &metrics) {
                            Some(reason) => Standing::Infeasible(reason),
                            None => Standing::Done,
                        }
                    }
                    (Some(Outcome::Failed { reason }), _) => Standing::Failed(reason),
                    (None, Some(reason)) => Standing::Failed(reason.clone()),
                    (None, None) => Standing::Open,
                },
            },
        };
        Row {
            point: number,
            rung,
            configuration,
            standing,
            metrics,
            binds,
        }
    }

    /// An objective or constraint on a figure that no result has is a mistake of the sweep.
    fn check_metrics(&self) -> Result<()> {
        let Some(row) = self.rows.iter().find(|row| !row.metrics.is_empty()) else {
            return Ok(());
        };
        let objectives = self
            .sweep
            .objectives
            .iter()
            .map(|objective| &objective.metric);
        let constraints = self.sweep.constraints.iter().map(|one| &one.metric);
        for name in objectives.chain(constraints) {
            if metric::lookup(&row.metrics, name).is_none() {
                let hint = match metric::nearest(&row.metrics, name) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "results.jsonl lists the metrics that there are".into(),
                };
                self.write_tables(false)?;
                bail!("no result has the metric `{name}`; {hint} (what was run is stored)");
            }
        }
        Ok(())
    }

    /// Rung by rung, the better points go on. False if cancelled.
    fn halve(&mut self, halving: &Halving, mut left: Vec<(usize, Configuration)>) -> Result<bool> {
        for (rung, value) in halving.values.iter().enumerate() {
            let before = self.rows.len();
            if !self.rung(rung, &left, Some((&halving.key, value)))? {
                return Ok(false);
            }
            let rows = &self.rows[before..];
            let (able, costs): (Vec<usize>, Vec<Vec<f64>>) = rows
                .iter()
                .enumerate()
                .filter(|(_, row)| row.standing == Standing::Done)
                .filter_map(|(index, row)| Some((index, table::costs(self.sweep, &row.metrics)?)))
                .unzip();
            let keep = ((left.len() as f64 * halving.keep).ceil() as usize).max(1);
            left = pareto::best(&costs, keep)
                .into_iter()
                .map(|index| left[able[index]].clone())
                .collect();
            if left.is_empty() {
                break;
            }
        }
        Ok(true)
    }

    fn write_tables(&self, complete: bool) -> Result<PathBuf> {
        let csv = self
            .store
            .write("results.csv", &table::csv(self.sweep, &self.rows)?)?;
        self.store
            .write("results.jsonl", &table::json_lines(self.sweep, &self.rows))?;
        let texts = |texts: &mut dyn Iterator<Item = String>| texts.collect::<Vec<_>>();
        let about = json!({
            "schema": "hallux-sweep-1",
            "complete": complete,
            "name": self.sweep.name,
            "about": self.sweep.about,
            "axes": texts(&mut self.sweep.axes.iter().map(|axis| axis.key.clone())),
            "objectives": texts(&mut self.sweep.objectives.iter().map(ToString::to_string)),
            "constraints": texts(&mut self.sweep.constraints.iter().map(ToString::to_string)),
        });
        self.store.write(
            "sweep.json",
            &(serde_json::to_string_pretty(&about)? + "\n"),
        )?;
        Ok(csv)
    }

    fn finish(self, complete: bool) -> Result<Finished> {
        let complete = complete && self.rows.iter().all(|row| row.standing != Standing::Open);
        let csv = self.write_tables(complete)?;
        Ok(Finished {
            rows: self.rows,
            complete,
            csv,
            runs: self.runs,
            models: self.built.len(),
        })
    }
}

/// A message of several lines as one.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let first: Vec<&str> = lines.take_while(|line| *line != "|").collect();
    first.join("; ")
}
