//! The report of a sweep.

use super::chart::{Axis, Chart, grouped, number};
use super::load::{Row, Sweep};
use maud::{Markup, PreEscaped, html};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Most rows of the table unless the front is larger: a browser places each of their cells
/// before it shows anything. The CSV has all.
const ROWS: usize = 500;
/// Most points of a plot besides those on the front: enough to see a shape.
const POINTS: usize = 2_000;
/// So many points have a shape of their own each, with a text.
const POINTS_WITH_TEXT: usize = 500;
/// Most threads of the parallel coordinates besides those on the front.
const THREADS: usize = 400;
/// Steps of the colour of a third objective.
const HUES: usize = 16;

/// What the reader wants on the axes of the Pareto plot instead of the objectives.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Across.
    pub x: Option<String>,
    /// Up.
    pub y: Option<String>,
    /// As colour.
    pub colour: Option<String>,
}

/// A metric and where it is better.
#[derive(Clone, Debug, PartialEq)]
struct Goal {
    metric: String,
    /// `max`, `min`, or nothing for what is no objective.
    goal: String,
}

impl Goal {
    fn label(&self) -> String {
        match self.goal.as_str() {
            "max" => format!("{} (more is better)", with_unit(&self.metric)),
            "min" => format!("{} (less is better)", with_unit(&self.metric)),
            _ => with_unit(&self.metric),
        }
    }
}

/// The name of a metric with its unit where the name has one.
fn with_unit(metric: &str) -> String {
    let name = metric.trim_start_matches("synth.");
    let units = [("_gbps", "Gb/s"), ("_ns", "ns")];
    for (end, unit) in units {
        if let Some(stem) = name.strip_suffix(end) {
            return format!("{}, {unit}", stem.replace('_', " "));
        }
    }
    match name.split_once("_ps.") {
        Some((stem, percentile)) => format!(
            "{} {}, µs",
            stem.replace('_', " "),
            percentile_name(percentile)
        ),
        None => name.replace('_', " "),
    }
}

fn percentile_name(key: &str) -> String {
    let digits = key.trim_start_matches('p');
    match digits.len() {
        0..=2 => key.to_owned(),
        _ => format!("p{}.{}", &digits[..2], &digits[2..]),
    }
}

/// A metric of a row in the unit of [`with_unit`].
fn metric(row: &Row, name: &str) -> Option<f64> {
    let value = row
        .metrics
        .get(name)
        .or_else(|| row.metrics.get(&format!("synth.{name}")));
    let scale = if name.contains("_ps.") { 1e-6 } else { 1.0 };
    value.map(|value| value * scale)
}

/// The sections of a sweep.
pub fn render(sweep: &Sweep, view: &View) -> Markup {
    let about = &sweep.about;
    let count = |status: &str| sweep.rows.iter().filter(|row| row.status == status).count();
    let goals: Vec<Goal> = about
        .objectives
        .iter()
        .filter_map(|text| text.split_once(' '))
        .map(|(metric, goal)| Goal {
            metric: metric.into(),
            goal: goal.into(),
        })
        .collect();
    let last = sweep.rows.iter().map(|row| row.rung).max().unwrap_or(0);
    let rows: Vec<&Row> = sweep
        .rows
        .iter()
        .filter(|row| row.rung == last && !row.metrics.is_empty())
        .collect();
    let statuses = ["done", "infeasible", "failed", "open"].map(|status| (status, count(status)));
    html! {
        @if !about.about.is_empty() { p { (about.about) } }
        p.sub {
            (grouped(sweep.rows.len() as f64, 0)) " points: "
            (statuses.iter().filter(|(_, n)| *n > 0).map(|(s, n)| format!("{n} {s}")).collect::<Vec<_>>().join(", "))
            @if !about.objectives.is_empty() { "; sought: " (about.objectives.join(", ")) }
            @if !about.constraints.is_empty() { "; kept: " (about.constraints.join(", ")) }
            "."
        }
        @if !about.complete { p.verdict { "This sweep is incomplete: not every point has ended." } }
        (fronts(&rows, &goals, view))
        (effects(&rows, about.axes.as_slice(), &goals))
        (parallel(&rows, about.axes.as_slice(), &goals))
        (table(sweep, &rows, &goals))
    }
}

/// Which of many rows are drawn: the front, and of the rest evenly spread ones.
fn thinned<'a>(rows: &[&'a Row], most: usize) -> Vec<&'a Row> {
    let rest = rows.iter().filter(|row| !row.front).count();
    let every = rest.div_ceil(most).max(1);
    let mut seen = 0;
    let mut kept = vec![];
    for row in rows {
        if !row.front {
            seen += 1;
            if (seen - 1) % every != 0 {
                continue;
            }
        }
        kept.push(*row);
    }
    kept
}

/// The values of a point in words.
fn tip(row: &Row, goals: &[Goal]) -> String {
    let mut words: Vec<String> = vec![format!("point {}", row.point)];
    for (key, value) in &row.axes {
        if let Some(value) = value {
            words.push(format!("{key} = {value}"));
        }
    }
    for goal in goals {
        if let Some(value) = metric(row, &goal.metric) {
            words.push(format!("{}: {}", with_unit(&goal.metric), number(value)));
        }
    }
    words.join("\n")
}

/// Every pair of objectives, the third as colour; or what the reader asked for.
fn fronts(rows: &[&Row], goals: &[Goal], view: &View) -> Markup {
    let find = |name: &Option<String>| {
        name.as_ref().map(|name| {
            let known = goals.iter().find(|goal| goal.metric == *name);
            known.cloned().unwrap_or(Goal {
                metric: name.clone(),
                goal: String::new(),
            })
        })
    };
    let mut plots: Vec<(Goal, Goal, Option<Goal>)> = vec![];
    match (find(&view.x), find(&view.y)) {
        (None, None) => {
            for (first, x) in goals.iter().enumerate() {
                for (second, y) in goals.iter().enumerate().skip(first + 1) {
                    let other = goals.iter().enumerate();
                    let mut third = other.filter(|(n, _)| *n != first && *n != second);
                    let third = third.next().map(|(_, goal)| goal.clone());
                    let third = find(&view.colour).or(third);
                    plots.push((x.clone(), y.clone(), third));
                }
            }
        }
        (x, y) => {
            let mut rest = goals
                .iter()
                .filter(|goal| Some(*goal) != x.as_ref() && Some(*goal) != y.as_ref())
                .cloned();
            if let (Some(x), Some(y)) = (
                x.clone().or_else(|| rest.next()),
                y.clone().or_else(|| rest.next()),
            ) {
                plots.push((x, y, find(&view.colour).or_else(|| rest.next())));
            }
        }
    }
    html! {
        @if !plots.is_empty() {
            h2 { "What can be had" }
            p.sub { "Ringed points are on the Pareto front: no other point is better in one objective and worse in none." }
            div.charts { @for (x, y, third) in plots { (front(rows, goals, &x, &y, third.as_ref())) } }
        }
    }
}

fn front(rows: &[&Row], goals: &[Goal], x: &Goal, y: &Goal, third: Option<&Goal>) -> Markup {
    let drawn: Vec<(&Row, f64, f64)> = thinned(rows, POINTS)
        .into_iter()
        .filter_map(|row| Some((row, metric(row, &x.metric)?, metric(row, &y.metric)?)))
        .collect();
    let xs: Vec<f64> = drawn.iter().map(|(_, x, _)| *x).collect();
    let ys: Vec<f64> = drawn.iter().map(|(_, _, y)| *y).collect();
    let hue =
        third.map(|third| Spread::of(rows.iter().filter_map(|row| metric(row, &third.metric))));
    let title = format!(
        "{} against {}",
        short_name(&y.metric),
        short_name(&x.metric)
    );
    let mut chart = Chart::new(
        title,
        Axis::over(x.label(), &xs),
        Axis::over(y.label(), &ys),
    );
    // Of very many points only those on the front have a text; they lie above the rest.
    let crowded = drawn.len() > POINTS_WITH_TEXT;
    let (front, rest): (Vec<_>, Vec<_>) = drawn.into_iter().partition(|(row, _, _)| row.front);
    let mut clouds: BTreeMap<(&str, String), Vec<(f64, f64)>> = BTreeMap::new();
    for (row, x, y) in rest.into_iter().chain(front) {
        let class = match (row.front, row.status == "done") {
            (true, _) => "a front",
            (false, true) => "a",
            (false, false) => "d",
        };
        let value = third.and_then(|third| metric(row, &third.metric));
        let fill = match (value, &hue) {
            (Some(value), Some(hue)) => Some(colour(hue.place(value))),
            _ => None,
        };
        if crowded && !row.front {
            let style = fill.map_or_else(String::new, |fill| format!("style=\"stroke:{fill}\""));
            clouds.entry((class, style)).or_default().push((x, y));
            continue;
        }
        for ((class, style), points) in std::mem::take(&mut clouds) {
            chart.cloud(class, &style, &points);
        }
        let style = fill.map_or_else(String::new, |fill| format!("style=\"fill:{fill}\""));
        let radius = if row.front { 5.0 } else { 3.5 };
        chart.point(class, &style, (x, y), radius, &tip(row, goals));
    }
    for ((class, style), points) in clouds {
        chart.cloud(class, &style, &points);
    }
    html! {
        div {
            (chart.render())
            @if let (Some(third), Some(hue)) = (third, &hue) {
                p.note {
                    "colour: " (with_unit(&third.metric)) ", from "
                    (number(hue.low)) " " (gradient()) " to " (number(hue.high))
                }
            }
        }
    }
}

fn short_name(metric: &str) -> String {
    with_unit(metric)
        .split(',')
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// The range of a metric.
struct Spread {
    low: f64,
    high: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            (low, high) = (low.min(value), high.max(value));
        }
        Self { low, high }
    }

    fn place(&self, value: f64) -> f64 {
        match self.high > self.low {
            true => (value - self.low) / (self.high - self.low),
            false => 0.5,
        }
    }
}

/// From blue to yellow, told apart in both colour schemes and without seeing red and green.
fn colour(place: f64) -> String {
    let step = (place.clamp(0.0, 1.0) * (HUES - 1) as f64).round() / (HUES - 1) as f64;
    let hue = 250.0 - 195.0 * step;
    format!("hsl({hue:.0} 75% {:.0}%)", 46.0 + 8.0 * step)
}

fn gradient() -> Markup {
    html! {
        svg width="96" height="10" style="display:inline;width:96px;min-width:0;vertical-align:middle" {
            @for step in 0..HUES {
                rect x=(6 * step) y="0" width="6" height="10" style={ "fill:" (colour(step as f64 / (HUES - 1) as f64)) } {}
            }
        }
    }
}

/// The values of an axis in the order of the space: numbers by size, others as they came.
fn values_of(rows: &[&Row], key: &str) -> Vec<String> {
    let mut values: Vec<String> = vec![];
    for row in rows {
        if let Some(Some(value)) = row.axes.get(key)
            && !values.contains(value)
        {
            values.push(value.clone());
        }
    }
    if values.iter().all(|value| quantity(value).is_some()) {
        values.sort_by(|a, b| {
            quantity(a)
                .unwrap_or(0.0)
                .total_cmp(&quantity(b).unwrap_or(0.0))
        });
    }
    values
}

/// The number that a value starts with, by the prefix of its unit.
fn quantity(value: &str) -> Option<f64> {
    let end = value
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(value.len());
    let lead: f64 = value[..end].parse().ok()?;
    let scale = match &value[end..] {
        "" | "B" | "s" | "bps" => 1.0,
        "ps" => 1e-12,
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "k" | "kB" | "kbps" | "kHz" => 1e3,
        "M" | "MB" | "Mbps" | "MHz" => 1e6,
        "G" | "GB" | "Gbps" | "GHz" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        _ => return None,
    };
    Some(lead * scale)
}

/// What a person calls a value: the name of a design point for its path.
fn shown(value: &str) -> &str {
    let name = value.rsplit('/').next().unwrap_or(value);
    name.strip_suffix(".toml").unwrap_or(name)
}

/// An axis with several values, in their order.
type Moved<'a> = (&'a String, Vec<String>);

/// For each axis and objective: the median at each value of the axis, and the whole range; or
/// a median for each value of the axis beside it that moves the objective most.
fn effects(rows: &[&Row], axes: &[String], goals: &[Goal]) -> Markup {
    let moved: Vec<Moved> = axes
        .iter()
        .map(|key| (key, values_of(rows, key)))
        .filter(|(_, values)| values.len() > 1)
        .collect();
    html! {
        @if !moved.is_empty() && !goals.is_empty() {
            h2 { "Main effects" }
            p.sub {
                "A line: the median of all points that have the value"
                @if moved.len() > 1 { ", for each value of the other axis that matters most" }
                "; a bar: from the worst to the best of them."
            }
            div.charts { @for axis in &moved { @for goal in goals {
                (effect(rows, axis, beside(rows, axis.0, &moved, goal), goal))
            } } }
        }
    }
}

/// The axis, not `key`, that moves the objective most, of those with few enough values to
/// have a line each.
fn beside<'a>(rows: &[&Row], key: &str, moved: &'a [Moved], goal: &Goal) -> Option<&'a Moved<'a>> {
    let strength = |axis: &Moved| {
        let mut by_value = by_value(rows, axis, goal);
        let medians = by_value.values_mut().map(|values| median(values));
        let spread = Spread::of(medians);
        spread.high - spread.low
    };
    let few = moved
        .iter()
        .filter(|(other, values)| *other != key && values.len() <= LINES.len());
    few.max_by(|a, b| strength(a).total_cmp(&strength(b)))
}

/// The values of an objective by the place of the axis' value.
fn by_value(rows: &[&Row], (key, values): &Moved, goal: &Goal) -> BTreeMap<usize, Vec<f64>> {
    let mut by_value: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for row in rows {
        let place = row.axes.get(*key).and_then(Option::as_ref);
        let place = place.and_then(|value| values.iter().position(|known| known == value));
        if let (Some(place), Some(value)) = (place, metric(row, &goal.metric)) {
            by_value.entry(place).or_default().push(value);
        }
    }
    by_value
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values {
        [] => f64::NAN,
        _ => f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]),
    }
}

/// Classes of the lines of one chart.
const LINES: [&str; 4] = ["a", "b", "c", "d"];

fn effect(rows: &[&Row], axis: &Moved, beside: Option<&Moved>, goal: &Goal) -> Markup {
    let (key, values) = axis;
    let mut all = by_value(rows, axis, goal);
    let names = values.iter().map(|value| shown(value).to_owned()).collect();
    let name = short_name(&goal.metric);
    let title = match beside {
        Some((other, _)) => format!("{name} by {key}, for each {other}"),
        None => format!("{name} by {key}"),
    };
    let every: Vec<f64> = all.values().flatten().copied().collect();
    let mut chart = Chart::new(
        title,
        Axis::names(*key, names),
        Axis::over(goal.label(), &every),
    );
    let line = |by_value: &mut BTreeMap<usize, Vec<f64>>| -> Vec<(f64, f64)> {
        let medians = by_value.iter_mut();
        let medians = medians.map(|(place, values)| (*place as f64, median(values)));
        medians.collect()
    };
    let Some((other, others)) = beside else {
        for (place, values) in &all {
            let spread = Spread::of(values.iter().copied());
            chart = chart.span("a", *place as f64, (spread.low, spread.high));
        }
        return chart.line("a", "", &line(&mut all)).render();
    };
    for (number, (value, class)) in others.iter().zip(LINES).enumerate() {
        // Side by side, so that no bar hides another.
        let aside = 0.05 * (number as f64 - (others.len() - 1) as f64 / 2.0);
        let those = rows.iter().copied();
        let those: Vec<&Row> = those
            .filter(|row| row.axes.get(*other).and_then(Option::as_ref) == Some(value))
            .collect();
        let mut those = by_value(&those, axis, goal);
        for (place, values) in &those {
            let spread = Spread::of(values.iter().copied());
            if values.len() > 1 {
                let place = *place as f64 + aside;
                chart = chart.span(class, place, (spread.low, spread.high));
            }
        }
        chart = chart.line(class, shown(value), &line(&mut those));
    }
    chart.render()
}

/// Parallel coordinates over the axes and the objectives.
fn parallel(rows: &[&Row], axes: &[String], goals: &[Goal]) -> Markup {
    let Some(first) = goals.first() else {
        return html! {};
    };
    let mut columns: Vec<(String, Axis)> = vec![];
    let mut places: Vec<Vec<String>> = vec![];
    for key in axes {
        let values = values_of(rows, key);
        if values.len() > 1 {
            let names = values.iter().map(|value| shown(value).to_owned()).collect();
            columns.push((key.clone(), Axis::names(key, names)));
            places.push(values);
        }
    }
    let inputs = columns.len();
    if inputs == 0 {
        return html! {};
    }
    for goal in goals {
        let values: Vec<f64> = rows
            .iter()
            .filter_map(|row| metric(row, &goal.metric))
            .collect();
        columns.push((goal.metric.clone(), Axis::over(goal.label(), &values)));
    }
    let (height, above, below) = (340.0, 46.0, 16.0);
    let (left, right) = (90.0, 90.0);
    // As wide as the page, but no wider than the eye follows, and with room for the names.
    let gap = ((1120.0 - left - right) / (columns.len() - 1) as f64).clamp(170.0, 300.0);
    let width = left + right + gap * (columns.len() - 1) as f64;
    let across = |column: usize| left + gap * column as f64;
    let up =
        |axis: &Axis, value: f64| height - below - axis.place(value) * (height - above - below);
    let spread = Spread::of(rows.iter().filter_map(|row| metric(row, &first.metric)));
    let mut body = String::new();
    for row in thinned(rows, THREADS) {
        let mut path = String::new();
        for (column, (key, axis)) in columns.iter().enumerate() {
            let value = match places.get(column) {
                Some(values) => {
                    let value = row.axes.get(key).and_then(Option::as_ref);
                    let place = value.and_then(|v| values.iter().position(|known| known == v));
                    place.map(|place| place as f64)
                }
                None => metric(row, key),
            };
            if let Some(value) = value {
                let step = if path.is_empty() { 'M' } else { 'L' };
                let _ = write!(path, "{step}{:.0} {:.1}", across(column), up(axis, value));
            }
        }
        let stroke = metric(row, &first.metric)
            .map_or("var(--muted)".into(), |value| colour(spread.place(value)));
        let tip = html! { (tip(row, goals)) }.into_string();
        let _ = write!(
            body,
            "<path class=\"thread\" style=\"stroke:{stroke}\" d=\"{path}\"><title>{tip}</title></path>"
        );
    }
    for (column, (key, axis)) in columns.iter().enumerate() {
        let x = across(column);
        let _ = write!(
            body,
            "<path class=\"coordinate\" d=\"M{x} {above}L{x} {:.0}\"/>",
            height - below
        );
        let label = match column < inputs {
            true => key.clone(),
            false => with_unit(key),
        };
        let label = html! { (label) }.into_string();
        // Neighbours are on two levels, so that long names have room.
        let line = if column.is_multiple_of(2) { 14 } else { 32 };
        let _ = write!(
            body,
            "<text class=\"name\" x=\"{x}\" y=\"{line}\" text-anchor=\"middle\">{label}</text>"
        );
        for (place, label) in axis.ticks() {
            let y = height - below - place * (height - above - below);
            let label = html! { (label) }.into_string();
            let _ = write!(
                body,
                "<path class=\"coordinate\" d=\"M{} {y:.1}L{x} {y:.1}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                x - 4.0,
                x - 7.0,
                y + 4.0
            );
        }
    }
    html! {
        h2 { "All points at once" }
        figure.wide {
            figcaption { "Parallel coordinates" }
            p.key { "one line a point; colour: " (with_unit(&first.metric)) ", from " (number(spread.low)) " " (gradient()) " to " (number(spread.high)) }
            svg viewBox={ "0 0 " (width) " " (height) } style={ "max-width:" (width) "px" } role="img" aria-label="Parallel coordinates of all points" { (PreEscaped(body)) }
        }
    }
}

fn table(sweep: &Sweep, rows: &[&Row], goals: &[Goal]) -> Markup {
    let others = [
        "goodput_gbps",
        "request_ps.p50",
        "request_ps.p99",
        "request_ps.p9999",
        "retransmitted_segments",
        "drops_total",
        "synth.lut",
        "synth.critical_path_ns",
    ];
    let mut columns: Vec<String> = goals.iter().map(|goal| goal.metric.clone()).collect();
    for other in others {
        let known = columns
            .iter()
            .any(|known| known == other || format!("synth.{known}") == other);
        if !known && rows.iter().any(|row| row.metrics.contains_key(other)) {
            columns.push(other.into());
        }
    }
    // The front first, then by the first objective.
    let mut sorted: Vec<&Row> = sweep.rows.iter().collect();
    let cost = |row: &Row| match goals.first() {
        Some(goal) => {
            let value = metric(row, &goal.metric).unwrap_or(f64::INFINITY);
            if goal.goal == "max" && value.is_finite() {
                -value
            } else {
                value
            }
        }
        None => row.point as f64,
    };
    sorted.sort_by(|a, b| {
        b.front
            .cmp(&a.front)
            .then(cost(a).total_cmp(&cost(b)))
            .then(a.point.cmp(&b.point))
    });
    let front = sorted.iter().filter(|row| row.front).count();
    let shown_rows = front.clamp(ROWS, POINTS);
    let left_out = sorted.len().saturating_sub(shown_rows);
    sorted.truncate(shown_rows);
    let failed = sorted.iter().any(|row| !row.reason.is_empty());
    html! {
        h2 { "Points" }
        p.sub {
            "The Pareto front (bold numbers) first, then by the first objective; a click on a head sorts."
            @if left_out > 0 { " " (grouped(left_out as f64, 0)) " more points are in results.csv." }
        }
        div.scroll { table data-sortable {
            thead { tr {
                th { "point" }
                @for key in &sweep.about.axes { th { (key) } }
                @for name in &columns { th { (with_unit(name)) } }
                th.text { "status" } @if failed { th.text { "reason" } }
            } }
            tbody { @for row in sorted { tr.front[row.front] {
                td { (row.point) }
                @for key in &sweep.about.axes {
                    @let value = row.axes.get(key).and_then(Option::as_ref);
                    td data-v=[value.and_then(|value| quantity(value))] { (value.map_or("", |value| shown(value))) }
                }
                @for name in &columns {
                    @let value = metric(row, name);
                    td data-v=[value] { (value.map(number).unwrap_or_default()) }
                }
                td.text { (row.status) } @if failed { td.text { (row.reason) } }
            } } }
        } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(point: usize, tags: &str, goodput: f64, front: bool) -> Row {
        Row {
            point,
            rung: 0,
            axes: BTreeMap::from([("design.read_tags".into(), Some(tags.into()))]),
            status: "done".into(),
            reason: String::new(),
            front,
            metrics: BTreeMap::from([
                ("goodput_gbps".into(), goodput),
                ("request_ps.p9999".into(), 1e6 * goodput),
            ]),
        }
    }

    fn sweep(points: usize) -> Sweep {
        let rows = (0..points).map(|point| {
            row(
                point,
                &(point % 7).to_string(),
                (point % 97) as f64,
                point % 1000 == 3,
            )
        });
        Sweep {
            about: super::super::load::About {
                complete: true,
                name: "many".into(),
                about: String::new(),
                axes: vec!["design.read_tags".into()],
                objectives: vec!["goodput_gbps max".into(), "request_ps.p9999 min".into()],
                constraints: vec![],
            },
            rows: rows.collect(),
        }
    }

    #[test]
    fn ten_thousand_points_stay_below_five_megabytes() {
        let text = render(&sweep(10_000), &View::default()).into_string();
        assert!(text.len() < 5_000_000, "{} bytes", text.len());
        // All points on the front are drawn, and the rest is not forgotten silently.
        assert_eq!(text.matches("a front").count(), 10);
        assert!(text.contains("9500 more points are in results.csv"));
    }

    #[test]
    fn values_are_in_the_order_of_their_size() {
        let rows = [
            row(0, "1us", 1.0, false),
            row(1, "300ns", 1.0, false),
            row(2, "2us", 1.0, false),
        ];
        let rows: Vec<&Row> = rows.iter().collect();
        assert_eq!(
            values_of(&rows, "design.read_tags"),
            ["300ns", "1us", "2us"]
        );
    }

    #[test]
    fn names_have_their_units() {
        assert_eq!(with_unit("goodput_gbps"), "goodput, Gb/s");
        assert_eq!(with_unit("request_ps.p9999"), "request p99.99, µs");
        assert_eq!(with_unit("synth.critical_path_ns"), "critical path, ns");
    }
}
