//! Blame for people: a few lines at the end of a run, or all of it.

use super::{Blame, Sample, Table};
use comfy_table::{CellAlignment, presets};
use std::fmt::Write;

/// Causes in the order in which they stand.
const CAUSES: [&str; 6] = ["service", "starved", "blocked", "pcie", "link", "host"];

fn columns(table: &Table) -> [(&'static str, &Sample); 5] {
    [
        ("p50", &table.p50),
        ("p99", &table.p99),
        ("p99.9", &table.p999),
        ("p99.99", &table.p9999),
        ("worst", &table.worst),
    ]
}

/// Nanoseconds, to the picosecond.
fn ns(ps: u64) -> String {
    format!("{}.{:03}", ps / 1_000, ps % 1_000)
}

fn plain() -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_preset(presets::NOTHING);
    table
}

fn numbers(mut table: comfy_table::Table, labels: usize) -> String {
    for column in table.column_iter_mut().skip(labels) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// A line a cause for requests; nothing if there are none.
pub fn short(blame: &Blame) -> String {
    let requests = &blame.request;
    if requests.samples == 0 {
        return String::new();
    }
    let mut table = plain();
    let names = columns(requests).map(|(name, _)| name);
    table.set_header([["request, ns"].as_slice(), names.as_slice()].concat());
    for cause in CAUSES {
        let sums = columns(requests).map(|(_, sample)| sum(sample, cause));
        let row = sums.map(ns);
        let cells = std::iter::once(cause.to_owned()).chain(row);
        table.add_row(cells.collect::<Vec<_>>());
    }
    let totals = columns(requests).map(|(_, sample)| ns(sample.latency_ps));
    let cells = std::iter::once("all".to_owned()).chain(totals);
    table.add_row(cells.collect::<Vec<_>>());
    numbers(table, 1)
}

fn sum(sample: &Sample, cause: &str) -> u64 {
    let of = sample.parts.values().filter_map(|causes| causes.get(cause));
    of.sum()
}

/// Everything: requests and segments, place by place.
pub fn long(blame: &Blame) -> String {
    let mut text = String::new();
    for (title, kind) in [
        ("request", &blame.request),
        ("segment received, in the NIC", &blame.received),
        ("segment sent, in the NIC", &blame.sent),
    ] {
        if kind.samples == 0 {
            continue;
        }
        let unexplained = match kind.unexplained {
            0 => String::new(),
            count => format!(", {count} more could not be followed"),
        };
        let _ = writeln!(text, "{title}: {} samples{unexplained}", kind.samples);
        let mut table = plain();
        let names = columns(kind).map(|(name, _)| name);
        let head = [["place", "cause"].as_slice(), names.as_slice(), &["mean"]];
        table.set_header(head.concat());
        for place in &kind.path {
            for cause in CAUSES {
                let of = |sample: &Sample| {
                    let causes = sample.parts.get(place);
                    causes.and_then(|causes| causes.get(cause)).copied()
                };
                let Some(total) = of(&kind.total) else {
                    continue;
                };
                let cells = columns(kind).map(|(_, sample)| ns(of(sample).unwrap_or(0)));
                let row = [place.clone(), cause.to_owned()].into_iter().chain(cells);
                let mean = ns(total / kind.samples);
                table.add_row(row.chain([mean]).collect::<Vec<_>>());
            }
        }
        let cells = columns(kind).map(|(_, sample)| ns(sample.latency_ps));
        let row = ["all".to_owned(), String::new()].into_iter().chain(cells);
        let mean = ns(kind.total.latency_ps / kind.samples);
        table.add_row(row.chain([mean]).collect::<Vec<_>>());
        let _ = writeln!(text, "{}\n", numbers(table, 2));
    }
    text
}
