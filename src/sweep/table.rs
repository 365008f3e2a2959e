//! The table of a sweep: the same whoever ran the points, in the order of the points.

use super::metric::{self, Metrics};
use super::pareto;
use super::space::Configuration;
use super::spec::{Sweep, is_synth_metric};
use crate::synth::Report;
use serde_json::{Map, Value, json};

/// How a point stands in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It ran, and keeps the constraints.
    Done,
    /// It breaks a constraint; it was run only if the run had to tell.
    Infeasible(String),
    /// It cannot be run or its run failed.
    Failed(String),
    /// It has not been run yet.
    Open,
}

impl Standing {
    fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Infeasible(_) => "infeasible",
            Self::Failed(_) => "failed",
            Self::Open => "open",
        }
    }

    fn reason(&self) -> &str {
        match self {
            Self::Infeasible(reason) | Self::Failed(reason) => reason,
            Self::Done | Self::Open => "",
        }
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Number of the configuration, from 0.
    pub point: usize,
    /// Rung of successive halving, from 0; 0 elsewhere.
    pub rung: usize,
    /// Its values.
    pub configuration: Configuration,
    /// How it stands.
    pub standing: Standing,
    /// Its figures, as far as they are known.
    pub metrics: Metrics,
    /// The resource that binds it, if one does.
    pub binds: Option<String>,
}

/// Figures that every CSV has, beside those of objectives and constraints.
const USUAL: [&str; 11] = [
    "goodput_gbps",
    "request_ps.p50",
    "request_ps.p99",
    "request_ps.p9999",
    "rtt_ps.p50",
    "rtt_ps.p99",
    "rtt_ps.p9999",
    "retransmitted_segments",
    "drops_total",
    "pcie_bytes",
    "clock_cycles",
];

/// Figures of synthesis, where they were asked for.
const SYNTH: [&str; 4] = [
    "synth.lut",
    "synth.ff",
    "synth.bram36",
    "synth.critical_path_ns",
];

/// The figures of a summary, with totals that it leaves to the reader.
pub fn metrics_of(summary: &Value) -> Metrics {
    let mut metrics = metric::flatten(summary);
    metrics.remove("seed");
    metrics.retain(|name, _| is_kept(name));
    for (total, part) in [("drops_total", "drops"), ("pcie_bytes", "pcie")] {
        let sum = summary[part].as_object().map_or(0, |counts| {
            counts.values().filter_map(Value::as_u64).sum::<u64>()
        });
        metrics.insert(total.into(), sum as f64);
    }
    metrics
}

/// Of blame, the median request and that of 99 % are figures of a point; all of it would be
/// many times what a table of thousands of points has else.
fn is_kept(name: &str) -> bool {
    !name.starts_with("blame.")
        || ["blame.request.p50.", "blame.request.p99."]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// Area and critical path of a design: the area of the whole, the longest path of any module.
pub fn metrics_of_estimate(report: &Report) -> Metrics {
    let mut metrics = Metrics::new();
    if let Some(whole) = report
        .modules
        .iter()
        .find(|module| module.name == report.top)
    {
        let area = &whole.area;
        for (name, value) in [
            ("synth.lut", area.luts as f64),
            ("synth.ff", area.flip_flops as f64),
            ("synth.bram36", whole.ram36),
            ("synth.uram", whole.ultraram_equivalents as f64),
            ("synth.dsp", area.dsps as f64),
        ] {
            metrics.insert(name.into(), value);
        }
    }
    if let Some(delay) = report.slowest().and_then(|module| module.critical_ps) {
        metrics.insert("synth.critical_path_ns".into(), delay as f64 / 1000.0);
    }
    metrics
}

/// The constraint that the figures break, if any. A figure that is not known yet breaks none.
pub fn broken(sweep: &Sweep, metrics: &Metrics) -> Option<String> {
    sweep.constraints.iter().find_map(|constraint| {
        let value = metric::lookup(metrics, &constraint.metric)?;
        (!constraint.holds(value)).then(|| format!("{constraint} does not hold: {value}"))
    })
}

/// The costs of the objectives, where all are known.
pub fn costs(sweep: &Sweep, metrics: &Metrics) -> Option<Vec<f64>> {
    sweep
        .objectives
        .iter()
        .map(|objective| {
            let value = metric::lookup(metrics, &objective.metric)?;
            value.is_finite().then(|| objective.cost(value))
        })
        .collect()
}

/// Whether each row is on the Pareto front of the last rung.
pub fn front(sweep: &Sweep, rows: &[Row]) -> Vec<bool> {
    let last = rows.iter().map(|row| row.rung).max().unwrap_or(0);
    let mut on_front = vec![false; rows.len()];
    if sweep.objectives.is_empty() {
        return on_front;
    }
    let (indices, costs): (Vec<usize>, Vec<Vec<f64>>) = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.rung == last && row.standing == Standing::Done)
        .filter_map(|(index, row)| Some((index, costs(sweep, &row.metrics)?)))
        .unzip();
    for (index, rank) in indices.into_iter().zip(pareto::ranks(&costs)) {
        on_front[index] = rank == 0;
    }
    on_front
}

/// The columns of figures in the CSV.
pub fn columns(sweep: &Sweep) -> Vec<String> {
    let full = |name: &String| match is_synth_metric(name) && !name.starts_with("synth.") {
        true => format!("synth.{name}"),
        false => name.clone(),
    };
    let objectives = sweep.objectives.iter().map(|objective| &objective.metric);
    let constraints = sweep
        .constraints
        .iter()
        .map(|constraint| &constraint.metric);
    let mut columns: Vec<String> = vec![];
    let usual = USUAL.iter().map(|name| (*name).to_owned());
    let synth = SYNTH.iter().filter(|_| sweep.synth);
    let synth = synth.map(|name| (*name).to_owned());
    for name in objectives
        .chain(constraints)
        .map(full)
        .chain(usual)
        .chain(synth)
    {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    columns
}

/// The table as CSV, with a header line.
///
/// # Errors
/// None that memory does not give.
pub fn csv(sweep: &Sweep, rows: &[Row]) -> Result<String, csv::Error> {
    let columns = columns(sweep);
    let halving = rows.iter().any(|row| row.rung > 0);
    let mut writer = csv::Writer::from_writer(vec![]);
    let mut header = vec!["point".to_owned()];
    header.extend(halving.then(|| "rung".to_owned()));
    header.extend(sweep.axes.iter().map(|axis| axis.key.clone()));
    header.extend(["status".to_owned(), "front".to_owned()]);
    header.extend(columns.iter().cloned());
    header.push("reason".to_owned());
    writer.write_record(&header)?;
    for (row, on_front) in rows.iter().zip(front(sweep, rows)) {
        let mut record = vec![row.point.to_string()];
        record.extend(halving.then(|| row.rung.to_string()));
        let values = row.configuration.values.iter();
        record.extend(values.map(|value| value.as_ref().map_or(String::new(), |v| v.0.clone())));
        record.push(row.standing.word().into());
        record.push(u8::from(on_front).to_string());
        record.extend(columns.iter().map(|name| {
            let value = row.metrics.get(name);
            value.map_or(String::new(), f64::to_string)
        }));
        record.push(row.standing.reason().into());
        writer.write_record(&record)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The table as JSON lines, with every figure.
pub fn json_lines(sweep: &Sweep, rows: &[Row]) -> String {
    let mut text = String::new();
    for (row, on_front) in rows.iter().zip(front(sweep, rows)) {
        let axes: Map<String, Value> = sweep
            .axes
            .iter()
            .zip(&row.configuration.values)
            .map(|(axis, value)| (axis.key.clone(), json!(value.as_ref().map(|v| &v.0))))
            .collect();
        let line = json!({
            "point": row.point,
            "rung": row.rung,
            "axes": axes,
            "status": row.standing.word(),
            "reason": row.standing.reason(),
            "front": on_front,
            "binds": row.binds,
            "metrics": row.metrics,
        });
        text += &line.to_string();
        text.push('\n');
    }
    text
}
