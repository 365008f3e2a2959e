//! `hallux sweep`: many points of one scenario, and the best of them.

use crate::output;
use crate::sweep::Sweep;
use crate::sweep::conduct::{Engine, Finished, News, conduct};
use crate::sweep::engine;
use crate::sweep::metric;
use crate::sweep::store::Store;
use crate::sweep::table::{self, Standing};
use anyhow::{Context, Result, bail};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Arguments of `hallux sweep`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The sweep file.
    sweep: PathBuf,
    /// Directory of the results [default: results/<name>]. A sweep that was interrupted
    /// goes on there; a point that is stored there is not run again.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Who runs the points.
    #[arg(long, value_enum, default_value = "local")]
    engine: EngineName,
    /// Points at a time on this machine [default: its cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    workers: Option<u16>,
    /// Points of one task of the job array.
    #[arg(long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(u32).range(1..))]
    chunk: u32,
    /// Run again what failed.
    #[arg(long)]
    retry: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum EngineName {
    /// Processes on this machine.
    Local,
    /// A Slurm job array.
    Slurm,
}

/// Set by Ctrl-C.
static CANCEL: AtomicBool = AtomicBool::new(false);

/// Most rows of the table on the terminal.
const SHOWN: usize = 20;

/// Runs the command.
///
/// # Errors
/// The sweep file is wrong, a tool is missing, the directory cannot be used, or the sweep was
/// interrupted. A point that fails is a row, no error.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let sweep = Sweep::read(&arguments.sweep)?;
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from("results").join(&sweep.name));
    let store = Store::open(&out)?;
    // A second handler in one process is refused, which only tests could notice.
    let _ = ctrlc::set_handler(|| CANCEL.store(true, Ordering::Relaxed));
    let engine = match arguments.engine {
        EngineName::Local => Engine::Local {
            workers: arguments.workers.map_or_else(cores, usize::from),
        },
        EngineName::Slurm => Engine::Slurm {
            chunk: arguments.chunk as usize,
        },
    };
    let display = Display::new();
    let finished = conduct(&sweep, &store, engine, arguments.retry, &CANCEL, &|news| {
        display.show(news);
    });
    display.bar.finish_and_clear();
    let finished = finished?;
    output::line(best(&sweep, &finished));
    output::line(conclusion(&finished));
    output::line(format_args!("results: {}", finished.csv.display()));
    match finished.complete {
        true => Ok(ExitCode::SUCCESS),
        false => bail!(
            "the sweep was interrupted; the same command goes on from here \
             (sweep.json says \"complete\": false until then)"
        ),
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Progress on a terminal; elsewhere lines, and the progress now and then.
struct Display {
    bar: ProgressBar,
    started: Instant,
}

impl Display {
    fn new() -> Self {
        let bar = match std::io::stderr().is_terminal() {
            true => ProgressBar::new(0),
            false => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} [{bar:30}] {pos}/{len}  {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            bar,
            started: Instant::now(),
        }
    }

    fn show(&self, news: News<'_>) {
        match news {
            News::Line(line) if self.bar.is_hidden() => eprintln!("hallux: {line}"),
            News::Line(line) => self.bar.println(format!("hallux: {line}")),
            News::Progress {
                total,
                stored,
                status,
            } => {
                self.bar.set_length(total as u64);
                self.bar.set_position((stored + status.ended) as u64);
                let left = total - stored - status.ended;
                let eta = match status.ended {
                    0 => "unknown".to_owned(),
                    ended => {
                        let each = self.started.elapsed() / ended as u32;
                        HumanDuration(each * left as u32).to_string()
                    }
                };
                self.bar.set_message(format!(
                    "{} running, {} failed, {stored} from before, about {eta} left",
                    status.running, status.failed
                ));
            }
        }
    }
}

/// The Pareto front; without objectives, the first rows.
fn best(sweep: &Sweep, finished: &Finished) -> Table {
    let front = table::front(sweep, &finished.rows);
    let objectives: Vec<&str> = sweep
        .objectives
        .iter()
        .map(|objective| objective.metric.as_str())
        .collect();
    let figures = match objectives.is_empty() {
        true => vec!["goodput_gbps", "request_ps.p50", "request_ps.p9999"],
        false => objectives,
    };
    let mut shown = Table::new();
    shown.load_preset(presets::NOTHING);
    let axes = sweep.axes.iter().map(|axis| axis.key.as_str());
    shown.set_header(
        std::iter::once("point")
            .chain(axes)
            .chain(figures.iter().copied()),
    );
    let rows = finished
        .rows
        .iter()
        .zip(front)
        .filter(|(row, on_front)| {
            *on_front || (sweep.objectives.is_empty() && row.standing == Standing::Done)
        })
        .take(SHOWN);
    for (row, _) in rows {
        let values = row.configuration.values.iter();
        let values = values.map(|value| value.as_ref().map_or("-".into(), |v| v.0.clone()));
        let figures = figures.iter().map(|name| {
            let value = metric::lookup(&row.metrics, name);
            value.map_or("-".into(), |value| value.to_string())
        });
        shown.add_row(
            std::iter::once(row.point.to_string())
                .chain(values)
                .chain(figures),
        );
    }
    for column in shown.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    shown
}

fn conclusion(finished: &Finished) -> String {
    let count = |wanted: fn(&Standing) -> bool| {
        let rows = finished.rows.iter();
        rows.filter(|row| wanted(&row.standing)).count()
    };
    let mut text = format!(
        "{} done, {} infeasible, {} failed",
        count(|standing| *standing == Standing::Done),
        count(|standing| matches!(standing, Standing::Infeasible(_))),
        count(|standing| matches!(standing, Standing::Failed(_))),
    );
    let open = count(|standing| *standing == Standing::Open);
    if open > 0 {
        text += &format!(", {open} not run");
    }
    text + &format!(
        "; {} run now with {} models",
        finished.runs, finished.models
    )
}

/// Arguments of `hallux sweep-worker`, which a task of a job array runs.
#[derive(clap::Args)]
pub struct WorkerArguments {
    /// Directory of the sweep.
    root: PathBuf,
    /// File with the keys of the points, one a line.
    keys: PathBuf,
}

/// Runs the points of one task.
///
/// # Errors
/// The directory cannot be read or written.
pub fn execute_worker(arguments: &WorkerArguments) -> Result<ExitCode> {
    let _ = ctrlc::set_handler(|| CANCEL.store(true, Ordering::Relaxed));
    let keys = std::fs::read_to_string(&arguments.keys)
        .with_context(|| format!("cannot read {}", arguments.keys.display()))?;
    let keys: Vec<String> = keys.lines().map(str::to_owned).collect();
    for (key, reason) in engine::run_here(&arguments.root, &keys, &CANCEL)? {
        eprintln!("{key}: {reason}");
    }
    Ok(ExitCode::SUCCESS)
}
