//! The table at the end of a run.

use crate::blame;
use crate::results::{Execution, Percentiles, Summary};
use crate::verdict::Verdict;
use comfy_table::{CellAlignment, Table, presets};
use std::fmt::Write;

/// Everything a person wants to know first.
pub fn of(summary: &Summary, execution: &Execution) -> String {
    let mut text = String::new();
    let title = if summary.complete {
        ""
    } else {
        "  (INCOMPLETE)"
    };
    let _ = writeln!(text, "{} on {}{title}", summary.scenario, summary.design);

    let mut figures = plain();
    figures.add_row(["bytes verified", &grouped(summary.bytes_verified)]);
    figures.add_row(["bytes mismatched", &grouped(summary.bytes_mismatched)]);
    figures.add_row(["goodput", &format!("{:.3} Gb/s", summary.goodput_gbps)]);
    figures.add_row([
        "simulated",
        &format!("{:.3} us", summary.simulated_ps as f64 / 1e6),
    ]);
    figures.add_row(["clock cycles", &grouped(summary.clock_cycles)]);
    for (name, values) in [
        ("TCP round trip", summary.rtt_ps),
        ("request", summary.request_ps),
    ] {
        figures.add_row([name, &percentiles(values)]);
    }
    figures.add_row([
        "retransmitted segments",
        &grouped(summary.retransmitted_segments),
    ]);
    for (name, counts) in [
        ("segments", &summary.segments),
        ("dropped frames", &summary.drops),
    ] {
        let some: Vec<String> = counts
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(kind, count)| format!("{kind} {}", grouped(*count)))
            .collect();
        let line = if some.is_empty() {
            "none".into()
        } else {
            wrapped(&some)
        };
        figures.add_row([name, &line]);
    }
    let speed = format!(
        "{} cycles evaluated in {:.2} s: {:.0} kcycles/s",
        grouped(execution.cycles_evaluated),
        execution.wall_seconds,
        execution.wall_cycles_per_second / 1000.0
    );
    figures.add_row(["simulation", &speed]);
    let _ = writeln!(text, "{figures}\n");
    if summary.complete {
        bounds(&summary.verdict, &mut text);
        let _ = writeln!(text, "{}\n", blame::short(&summary.blame));
    }

    if !summary.stages.is_empty() {
        let mut stages = plain();
        stages.set_header(["stage", "busy", "blocked", "starved", "busy %"]);
        for (name, cycles) in &summary.stages {
            let share = 100.0 * cycles.busy as f64 / summary.clock_cycles.max(1) as f64;
            stages.add_row([
                name.as_str(),
                &grouped(cycles.busy),
                &grouped(cycles.blocked),
                &grouped(cycles.starved),
                &format!("{share:.2}"),
            ]);
        }
        let _ = writeln!(text, "{}\n", numbers(stages));
    }
    if !summary.pcie.is_empty() {
        let mut pcie = plain();
        pcie.set_header(["PCIe class", "bytes"]);
        for (class, bytes) in &summary.pcie {
            pcie.add_row([class.as_str(), &grouped(*bytes)]);
        }
        let _ = writeln!(text, "{}", numbers(pcie));
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned()
}

/// Resources in the table; the others have higher bounds.
const RESOURCES: usize = 6;

/// The lowest bounds, and the sentence about them.
fn bounds(verdict: &Verdict, text: &mut String) {
    let resources = verdict.ordered();
    if !resources.is_empty() {
        let mut table = plain();
        table.set_header(["resource", "bound Gb/s", "reached %", "moved by"]);
        for (name, resource) in resources.iter().take(RESOURCES) {
            table.add_row([
                name.replace('_', " "),
                format!("{:.3}", resource.bound_gbps),
                format!("{:.1}", 100.0 * resource.utilisation),
                resource.parameter.to_owned(),
            ]);
        }
        for column in table.column_iter_mut().skip(1).take(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let _ = writeln!(text, "{table}");
    }
    let _ = writeln!(text, "{}\n", verdict.sentence);
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table
}

/// Aligns all columns but the first to the right.
fn numbers(mut table: Table) -> Table {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn percentiles(values: Percentiles) -> String {
    if values.samples == 0 {
        return "no samples".into();
    }
    let us = |ps: u64| format!("{:.3}", ps as f64 / 1e6);
    format!(
        "p50 {}, p99 {}, p99.99 {} us ({} samples)",
        us(values.p50),
        us(values.p99),
        us(values.p9999),
        grouped(values.samples)
    )
}

/// Items on lines of at most four.
fn wrapped(items: &[String]) -> String {
    let lines: Vec<String> = items.chunks(4).map(|line| line.join(", ")).collect();
    lines.join(",\n")
}

/// A count with thin groups of three digits.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1 234 567");
    }
}
