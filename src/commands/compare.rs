//! `hallux compare`: what became better or worse between two results, and where.

use crate::compare::{Change, Explanation, Gate, Pair, Subject, compare};
use crate::output;
use anyhow::{Result, bail};
use comfy_table::{CellAlignment, Table, presets};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `hallux compare`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Result of a run or of a sweep: what it was.
    before: PathBuf,
    /// What it is.
    after: PathBuf,
    /// Rules with tolerances; the command fails if one does not hold.
    #[arg(long, value_name = "FILE")]
    gate: Option<PathBuf>,
    /// Show every point of sweeps, also those without a difference.
    #[arg(long)]
    all: bool,
}

/// Shifts of an explanation that are shown.
const SHIFTS: usize = 6;

/// Runs the command.
///
/// # Errors
/// A result cannot be read, a rule names no figure, or a rule does not hold.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let before = Subject::read(&arguments.before)?;
    let after = Subject::read(&arguments.after)?;
    let gate = match &arguments.gate {
        Some(path) => Gate::read(path)?,
        None => Gate::usual(),
    };
    let judged = arguments.gate.is_some();
    let pairs = compare(&before, &after, &gate, judged)?;
    let differs =
        |pair: &&Pair| pair.problem.is_some() || pair.changes.iter().any(|c| c.before != c.after);
    for pair in pairs.iter().filter(|pair| arguments.all || differs(pair)) {
        output::line(text_of(pair, judged));
    }
    let same = pairs.len() - pairs.iter().filter(differs).count();
    output::line(format_args!(
        "{same} of {} {} without a difference",
        pairs.len(),
        match pairs.len() {
            1 => "result",
            _ => "points",
        }
    ));
    let broken = pairs.iter().filter(|pair| !pair.holds()).count();
    if judged && broken > 0 {
        let rules: usize = pairs
            .iter()
            .map(|pair| pair.changes.iter().filter(|change| !change.holds()).count())
            .sum();
        let lost = pairs.iter().filter(|pair| pair.problem.is_some()).count();
        let first = pairs.iter().find(|pair| !pair.holds()).map(reason);
        bail!(
            "the gate is not passed: {rules} rules broken and {lost} points lost at {broken} of {}; first: {}",
            pairs.len(),
            first.unwrap_or_default()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Why a pair does not hold.
fn reason(pair: &Pair) -> String {
    let at = match pair.name.as_str() {
        "" => String::new(),
        name => format!("{name}: "),
    };
    if let Some(problem) = &pair.problem {
        return format!("{at}{problem}");
    }
    let broken = pair.changes.iter().find(|change| !change.holds());
    let said = broken.map(|change| {
        format!(
            "`{}` was {}, is {}",
            change.rule, change.before, change.after
        )
    });
    at + &said.unwrap_or_default()
}

fn text_of(pair: &Pair, judged: bool) -> String {
    let mut lines: Vec<String> = vec![];
    if !pair.name.is_empty() {
        lines.push(pair.name.clone());
    }
    if let Some(problem) = &pair.problem {
        lines.push(format!("  {problem}"));
    }
    if !pair.changes.is_empty() {
        lines.push(table(&pair.changes, judged));
    }
    if let Some((before, after)) = &pair.binds {
        lines.push(format!("binds: {before} before, {after} now"));
    }
    lines.extend(pair.explanations.iter().map(sentence));
    lines.push(String::new());
    lines.join("\n")
}

fn table(changes: &[Change], judged: bool) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let mut header = vec!["figure", "before", "after", "change"];
    header.extend(judged.then_some("rule"));
    table.set_header(header);
    for change in changes {
        let percent = match change.percent() {
            _ if change.before == change.after => "same".to_owned(),
            Some(percent) => format!("{percent:+.3} %"),
            None => format!("{:+}", change.after - change.before),
        };
        let mut row = vec![
            change.rule.metric.clone(),
            change.before.to_string(),
            change.after.to_string(),
            percent,
        ];
        let broken = if change.holds() { "" } else { "  BROKEN" };
        row.extend(judged.then(|| format!("{}{broken}", change.rule)));
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1).take(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// Nanoseconds with their sign.
fn ns(ps: i64) -> String {
    let sign = if ps < 0 { '-' } else { '+' };
    let ps = ps.unsigned_abs();
    format!("{sign}{}.{:03} ns", ps / 1_000, ps % 1_000)
}

fn sentence(explanation: &Explanation) -> String {
    let shown = explanation.shifts.iter().take(SHIFTS);
    let mut parts: Vec<String> = shown
        .map(|shift| format!("{} {}", shift.what, ns(shift.ps)))
        .collect();
    let rest: i64 = explanation.shifts.iter().skip(SHIFTS).map(|s| s.ps).sum();
    if explanation.shifts.len() > SHIFTS {
        let more = explanation.shifts.len() - SHIFTS;
        parts.push(format!("{more} more {}", ns(rest)));
    }
    format!(
        "request {} {}: {}",
        explanation.percentile,
        ns(explanation.ps),
        parts.join(", ")
    )
}
