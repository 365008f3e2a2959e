//! The report of one run.

use super::chart::{Axis, Chart, grouped, number};
use super::load::Run;
use crate::blame::{Sample, Table};
use crate::diagram::pipeline::title;
use crate::profile::{Latency, Profile, Series};
use crate::results::StageCycles;
use maud::{Markup, PreEscaped, html};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The sections of a run.
pub fn render(run: &Run) -> Markup {
    let summary = &run.summary;
    html! {
        (tiles(run))
        @if !summary.verdict.sentence.is_empty() {
            p.verdict { (summary.verdict.sentence) }
        }
        (stages(run))
        (bounds(run))
        h2 { "Over time" }
        div.charts {
            (throughput(&run.profile))
            @for (name, latency) in latencies(run) { (over_time(name, latency, run.profile.interval_ps)) }
        }
        @if latencies(run).iter().any(|(_, latency)| !latency.counts.is_empty()) {
            h2 { "How latencies are distributed" }
            div.charts {
                @for (name, latency) in latencies(run) { (distribution(name, latency)) }
            }
        }
        (blame(run))
        (stalls(run))
        div.charts {
            (pcie(&summary.pcie))
            (losses(run))
        }
    }
}

fn tiles(run: &Run) -> Markup {
    let summary = &run.summary;
    // One unit for the three.
    let spans = |spans: [u64; 3]| {
        let (unit, scale) = unit_of(spans[2] as f64);
        let spans = spans.map(|ps| number(ps as f64 / scale));
        format!("{} {unit}", spans.join(" / "))
    };
    let request = &summary.request_ps;
    let rtt = &summary.rtt_ps;
    let mut tiles = vec![
        ("goodput", format!("{} Gb/s", number(summary.goodput_gbps))),
        ("bytes verified", grouped(summary.bytes_verified as f64, 0)),
    ];
    if request.samples > 0 {
        let shown = spans([request.p50, request.p99, request.p9999]);
        tiles.push(("request, p50 / p99 / p99.99", shown));
    }
    if rtt.samples > 0 {
        let shown = spans([rtt.p50, rtt.p99, rtt.p9999]);
        tiles.push(("TCP round trip, p50 / p99 / p99.99", shown));
    }
    let dropped: u64 = summary.drops.values().sum();
    tiles.extend([
        (
            "retransmitted segments",
            grouped(summary.retransmitted_segments as f64, 0),
        ),
        ("frames dropped by the NIC", grouped(dropped as f64, 0)),
        ("simulated", time(summary.simulated_ps as f64)),
        ("clock cycles", grouped(summary.clock_cycles as f64, 0)),
    ]);
    html! {
        div.tiles { @for (name, value) in tiles { div { span { (name) } b { (value) } } } }
    }
}

/// A span of picoseconds in the unit that suits it.
fn time(ps: f64) -> String {
    let (unit, scale) = unit_of(ps);
    format!("{} {unit}", number(ps / scale))
}

/// The unit in which a span of picoseconds reads best, and its length.
fn unit_of(ps: f64) -> (&'static str, f64) {
    match ps {
        ps if ps < 1e3 => ("ps", 1.0),
        ps if ps < 1e6 => ("ns", 1e3),
        ps if ps < 1e9 => ("µs", 1e6),
        ps if ps < 1e12 => ("ms", 1e9),
        _ => ("s", 1e12),
    }
}

/// The latencies that the run has, by their names.
fn latencies(run: &Run) -> Vec<(&'static str, &Latency)> {
    let both = [
        ("Requests", &run.profile.request),
        ("TCP round trips", &run.profile.rtt),
    ];
    let some = both.into_iter();
    some.filter(|(_, latency)| !latency.counts.is_empty())
        .collect()
}

/// The cycles of each stage, those of further flow groups added to the first one's, and
/// how many stages they are of.
fn measured(run: &Run) -> BTreeMap<&str, (StageCycles, usize)> {
    let mut stages: BTreeMap<&str, (StageCycles, usize)> = BTreeMap::new();
    for (name, cycles) in &run.summary.stages {
        let base = name.split("_further_").next().unwrap_or(name);
        let (sum, count) = stages.entry(base).or_default();
        sum.busy += cycles.busy;
        sum.blocked += cycles.blocked;
        sum.starved += cycles.starved;
        *count += 1;
    }
    stages
}

/// The stages of the NIC as blocks, by how busy they are.
fn stages(run: &Run) -> Markup {
    let Some(pipeline) = &run.profile.pipeline else {
        return html! {};
    };
    let measured = measured(run);
    let share = |name: &str| {
        let (stage, _) = measured.get(name)?;
        let all = (stage.busy + stage.blocked + stage.starved).max(1) as f64;
        Some((stage.busy as f64 / all, stage.blocked as f64 / all))
    };
    let labels: BTreeMap<String, String> = pipeline
        .blocks
        .keys()
        .filter_map(|name| Some((name.clone(), format!("{} busy", percent(share(name)?.0)))))
        .collect();
    let drawing = pipeline.place(&labels);
    let mut body = String::new();
    for (points, back, name) in &drawing.lines {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
        let class = if *back { "stream back" } else { "stream" };
        let name = html! { (name) }.into_string();
        let _ = write!(
            body,
            "<polyline class=\"{class}\" marker-end=\"url(#tip)\" points=\"{}\">\
             <title>{name}</title></polyline>",
            points.join(" ")
        );
    }
    for placed in &drawing.boxes {
        let [x, y, width, height] = placed.area;
        let middle = x + width / 2;
        let class = if placed.is_port { "port" } else { "block" };
        let area = format!("x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"4\"");
        let _ = write!(body, "<rect class=\"{class}\" {area}/>");
        let copies = pipeline
            .blocks
            .get(&placed.name)
            .map_or(1, |part| part.copies);
        let name = html! { (title(&placed.name, copies)) }.into_string();
        if let Some((busy, blocked)) = share(&placed.name) {
            // From white to hot on a scale on which 1 % is seen too.
            let heat = busy.sqrt() * 0.85;
            let tip = format!("busy {}, blocked {}", percent(busy), percent(blocked));
            let _ = write!(
                body,
                "<rect class=\"heat\" fill-opacity=\"{heat:.3}\" {area}><title>{name}: {tip}</title></rect>"
            );
        }
        let label = labels.get(&placed.name);
        let line = if label.is_some() {
            y + 18
        } else {
            y + height / 2 + 4
        };
        let _ = write!(
            body,
            "<text class=\"name\" x=\"{middle}\" y=\"{line}\" text-anchor=\"middle\">{name}</text>"
        );
        if let Some(label) = label {
            let _ = write!(
                body,
                "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                y + 34
            );
        }
    }
    let (width, height) = drawing.size;
    html! {
        h2 { "Stages of the NIC" }
        figure.wide {
            p.key { "colour: share of the clock cycles in which an event enters the stage; dashed: back to an earlier stage" }
            svg viewBox={ "0 0 " (width) " " (height) } role="img" aria-label="Block diagram of the NIC" {
                defs {
                    marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto" {
                        path d="M0 0 8 4 0 8z" fill="currentColor" {}
                    }
                }
                (PreEscaped(body))
            }
        }
    }
}

fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        0.0 => "0 %".into(),
        p if p < 0.1 => "< 0.1 %".into(),
        p if p < 10.0 => format!("{p:.1} %"),
        p => format!("{p:.0} %"),
    }
}

fn bounds(run: &Run) -> Markup {
    let verdict = &run.summary.verdict;
    if verdict.resources.is_empty() {
        return html! {};
    }
    let mut resources: Vec<_> = verdict.resources.iter().collect();
    resources.sort_by(|(_, a), (_, b)| a.bound_gbps.total_cmp(&b.bound_gbps));
    html! {
        h2 { "What could bind" }
        div.scroll { table data-sortable {
            thead { tr {
                th { "resource" } th { "bound, Gb/s" } th { "used" } th.text { "" }
                th { "used" } th { "capacity" } th.text { "unit" } th.text { "moved by" }
            } }
            tbody { @for (name, resource) in resources { tr {
                td { (name.replace('_', " ")) }
                td data-v=(resource.bound_gbps) { (number(resource.bound_gbps)) }
                td data-v=(resource.utilisation) { (percent(resource.utilisation)) }
                td.bar { i.full[resource.utilisation >= 0.75] style={ "width:" (format!("{:.1}", 100.0 * resource.utilisation.min(1.0))) "%" } {} }
                td data-v=(resource.used) { (short(resource.used)) }
                td data-v=(resource.capacity) { (short(resource.capacity)) }
                td.text { (resource.unit) }
                td.text { (resource.parameter) }
            } } }
        } }
    }
}

/// A large number with a prefix of its unit.
fn short(value: f64) -> String {
    let (prefix, scale) = match value {
        v if v >= 1e9 => (" G", 1e9),
        v if v >= 1e6 => (" M", 1e6),
        v if v >= 1e3 => (" k", 1e3),
        _ => ("", 1.0),
    };
    format!("{}{prefix}", number(value / scale))
}

/// The middles of the intervals, in a unit for all of them.
fn moments(intervals: usize, interval_ps: u64) -> (&'static str, Vec<f64>) {
    let (unit, scale) = unit_of((intervals as u64 * interval_ps) as f64);
    let middle = |at: usize| (at as f64 + 0.5) * interval_ps as f64 / scale;
    (unit, (0..intervals).map(middle).collect())
}

/// Most points of the chart of rates.
const RATE_POINTS: usize = 64;

fn throughput(profile: &Profile) -> Markup {
    let intervals = profile.sent.frames.len().max(profile.received.frames.len());
    if intervals == 0 {
        return html! {};
    }
    // A frame counts where it ends: over short intervals whole frames would show as a comb.
    let every = intervals.div_ceil(RATE_POINTS);
    let interval_ps = profile.interval_ps * every as u64;
    let (unit, at) = moments(intervals.div_ceil(every), interval_ps);
    let rate = |series: &Series| -> Vec<(f64, f64)> {
        let bytes = series.payload_bytes.chunks(every);
        let rates = bytes.map(|bytes| bytes.iter().sum::<u64>() as f64 * 8e3 / interval_ps as f64);
        let rates = rates.chain(std::iter::repeat(0.0));
        at.iter().copied().zip(rates).collect()
    };
    let (received, sent) = (rate(&profile.received), rate(&profile.sent));
    let most = received
        .iter()
        .chain(&sent)
        .map(|(_, y)| *y)
        .fold(0.0, f64::max);
    let limit = profile.link_bps as f64 / 1e9;
    let shows_limit = most > 0.4 * limit;
    let top = if shows_limit { limit.max(most) } else { most };
    let end = at.last().copied().unwrap_or(1.0);
    let chart = Chart::new(
        format!(
            "TCP payload at the Ethernet port, each {}",
            time(interval_ps as f64)
        ),
        Axis::linear(format!("simulated time, {unit}"), 0.0, end),
        Axis::linear("Gb/s", 0.0, top),
    );
    let chart = chart
        .line("a", "sent", &sent)
        .line("b", "received", &received);
    match shows_limit {
        true => chart.level("limit", "line rate", limit).render(),
        false => chart.render(),
    }
}

fn over_time(name: &str, latency: &Latency, interval_ps: u64) -> Markup {
    let (unit, at) = moments(latency.samples.len(), interval_ps);
    let most = latency.longest_ps.iter().copied().max().unwrap_or(0) as f64;
    let (y_unit, scale) = unit_of(most);
    let line = |values: &[u64]| -> Vec<(f64, f64)> {
        let rows = at.iter().zip(values).zip(&latency.samples);
        // An interval without a sample is left out, the line goes on behind it.
        rows.filter(|(_, samples)| **samples > 0)
            .map(|((x, ps), _)| (*x, *ps as f64 / scale))
            .collect()
    };
    let end = at.last().copied().unwrap_or(1.0);
    Chart::new(
        format!("{name}: latency over time, by when they ended"),
        Axis::linear(format!("simulated time, {unit}"), 0.0, end),
        Axis::linear(y_unit, 0.0, most / scale),
    )
    .line("c", "longest", &line(&latency.longest_ps))
    .line("b", "p99", &line(&latency.p99_ps))
    .line("a", "p50", &line(&latency.p50_ps))
    .render()
}

fn distribution(name: &str, latency: &Latency) -> Markup {
    let total: u64 = latency.counts.iter().map(|(_, count)| count).sum();
    let (Some((low, _)), Some((high, _))) = (latency.counts.first(), latency.counts.last()) else {
        return html! {};
    };
    let (unit, scale) = unit_of(*high as f64);
    let mut below = 0;
    let mut points = vec![(*low as f64 / scale, 0.0)];
    for (ps, count) in &latency.counts {
        // A step: the share stays until the next latency is reached.
        points.push((*ps as f64 / scale, below as f64 / total as f64));
        below += count;
        points.push((*ps as f64 / scale, below as f64 / total as f64));
    }
    let values = [*low as f64 / scale, *high as f64 / scale];
    let axis = match values[1] > 30.0 * values[0] {
        true => Axis::log(format!("latency, {unit}"), values[0], values[1]),
        false => Axis::linear(format!("latency, {unit}"), values[0], values[1]),
    };
    let samples = grouped(total as f64, 0);
    Chart::new(
        format!("{name}: cumulative distribution, {samples} samples"),
        axis,
        Axis::nines("share that is not slower"),
    )
    .line("a", "", &points)
    .render()
}

fn blame(run: &Run) -> Markup {
    let Some(blame) = &run.summary.blame else {
        return html! {};
    };
    let tables = [
        (
            "of requests",
            "from the request to the last byte of its answer",
            &blame.request,
        ),
        (
            "of received segments",
            "in the NIC: last bit of the segment to its notification",
            &blame.received,
        ),
        (
            "of sent segments",
            "in the NIC: grant by the scheduler to the last bit",
            &blame.sent,
        ),
    ];
    html! {
        @for (name, span, table) in tables { @if table.samples > table.unexplained {
            h2 { "Where the latency " (name) " goes" }
            p.sub {
                (span) "; every column adds up to the latency at its head. "
                (grouped(table.samples as f64, 0)) " samples"
                @if table.unexplained > 0 { ", of which " (grouped(table.unexplained as f64, 0)) " could not be followed and are in no column" }
                "."
            }
            (blame_table(table))
        } }
    }
}

fn blame_table(table: &Table) -> Markup {
    let columns: [(&str, &Sample); 5] = [
        ("p50", &table.p50),
        ("p99", &table.p99),
        ("p99.9", &table.p999),
        ("p99.99", &table.p9999),
        ("worst", &table.worst),
    ];
    let place = |name: &str| table.path.iter().position(|known| known == name);
    let mut rows: Vec<(&String, &String)> = columns
        .iter()
        .flat_map(|(_, sample)| &sample.parts)
        .flat_map(|(place, causes)| causes.keys().map(move |cause| (place, cause)))
        .collect();
    rows.sort_by_key(|(name, cause)| (place(name).unwrap_or(usize::MAX), *name, *cause));
    rows.dedup();
    let part = |sample: &Sample, (place, cause): (&String, &String)| {
        let causes = sample.parts.get(place);
        causes
            .and_then(|causes| causes.get(cause))
            .copied()
            .unwrap_or(0)
    };
    html! {
        div.scroll { table {
            thead { tr {
                th { "where" } th.text { "what" }
                @for (name, _) in columns { th { (name) ", ns" } }
            } }
            tbody {
                @for row in rows { tr {
                    td { (row.0) } td.text { (row.1) }
                    @for (_, sample) in columns {
                        @let ps = part(sample, row);
                        td.cell.a {
                            i style=(format!("opacity:{:.2}", 0.6 * ps as f64 / sample.latency_ps.max(1) as f64)) {}
                            span { @if ps > 0 { (nanoseconds(ps)) } }
                        }
                    }
                } }
                tr {
                    td { b { "latency" } } td.text {}
                    @for (_, sample) in columns { td { b { (nanoseconds(sample.latency_ps)) } } }
                }
            }
        } }
    }
}

/// Whole picoseconds as nanoseconds, exactly.
fn nanoseconds(ps: u64) -> String {
    format!("{}.{:03}", grouped((ps / 1000) as f64, 0), ps % 1000)
}

fn stalls(run: &Run) -> Markup {
    if run.summary.stages.is_empty() {
        return html! {};
    }
    html! {
        h2 { "Cycles of each stage" }
        p.sub {
            "busy: an event entered; blocked: one was offered and refused; starved: none was offered. "
            "Of equal stages side by side, the sum."
        }
        div.scroll { table data-sortable {
            thead { tr { th { "stage" } th { "busy" } th { "blocked" } th { "starved" } th { "busy, cycles" } th { "blocked, cycles" } } }
            tbody { @for (name, (stage, copies)) in measured(run) {
                @let all = (stage.busy + stage.blocked + stage.starved).max(1) as f64;
                tr {
                    td { (title(name, copies)) }
                    @for (class, cycles) in [("b", stage.busy), ("d", stage.blocked), ("c", stage.starved)] {
                        @let share = cycles as f64 / all;
                        td class={ "cell " (class) } data-v=(share) {
                            i style=(format!("opacity:{:.2}", 0.55 * share)) {}
                            span { (percent(share)) }
                        }
                    }
                    td data-v=(stage.busy) { (grouped(stage.busy as f64, 0)) }
                    td data-v=(stage.blocked) { (grouped(stage.blocked as f64, 0)) }
                }
            } }
        } }
    }
}

fn pcie(classes: &BTreeMap<String, u64>) -> Markup {
    let all: u64 = classes.values().sum();
    if all == 0 {
        return html! {};
    }
    let most = classes.values().copied().max().unwrap_or(1).max(1) as f64;
    html! {
        figure {
            figcaption { "Bytes on the PCIe link, by class of packet" }
            table { tbody { @for (name, bytes) in classes {
                tr {
                    td { (class_name(name)) }
                    td { (grouped(*bytes as f64, 0)) }
                    td.bar { i style=(format!("width:{:.1}%", 100.0 * *bytes as f64 / most)) {} }
                }
            } } }
            p.note { "Overhead of headers and framing included; “up” is from the NIC to the host." }
        }
    }
}

/// What a class of the summary is called in the standard.
fn class_name(key: &str) -> String {
    let (class, direction) = key.rsplit_once('_').unwrap_or((key, ""));
    let name = match class {
        "cpld" => "completions with data",
        "mmio_read" => "MMIO reads",
        "mmio_write" => "MMIO writes",
        "mrd" => "memory reads",
        "mwr" => "memory writes",
        "msix" => "MSI-X",
        other => other,
    };
    format!("{name}, {direction}")
}

fn losses(run: &Run) -> Markup {
    let summary = &run.summary;
    let mut rows: Vec<(String, u64)> = vec![(
        "segments sent again, both directions".into(),
        summary.retransmitted_segments,
    )];
    for (reason, frames) in &summary.drops {
        rows.push((
            format!("dropped by the NIC: {}", reason.replace('_', " ")),
            *frames,
        ));
    }
    for (component, counters) in &summary.counters {
        for (counter, count) in counters {
            if ["lost", "corrupted", "duplicated", "reordered", "dropped"]
                .contains(&counter.as_str())
            {
                rows.push((format!("{counter} by {component}"), *count));
            }
        }
    }
    html! {
        figure {
            figcaption { "Drops and retransmissions" }
            table { tbody { @for (name, count) in rows { tr { td { (name) } td { (grouped(count as f64, 0)) } } } } }
        }
    }
}
