//! Charts as SVG: axes with round ticks and units, lines, steps, points and bars.
//!
//! Colours are classes, which the style sheet of the page gives values for light and for
//! dark surroundings; that, and text that stays readable on a narrow page, is why no plotting
//! library draws these (decision 007).

use maud::{Markup, PreEscaped, html};
use std::fmt::Write;

/// Width of a chart in its own units, which are about a pixel on a wide page.
const WIDTH: f64 = 480.0;
/// Height of a chart.
const HEIGHT: f64 = 260.0;
/// Space for labels: left, right, above, below.
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const ABOVE: f64 = 14.0;
const BELOW: f64 = 46.0;
/// Rough width of a character of a tick's label.
const CHARACTER: f64 = 7.0;

/// How values are spread along an axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm; all are positive.
    Log,
    /// Shares below one by how many nines they have: 0.9, 0.99, 0.999.
    Nines,
    /// Names, each with the same room.
    Names(Vec<String>),
}

/// One axis of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What it shows, with its unit.
    label: String,
    scale: Scale,
    low: f64,
    high: f64,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From the nearest round value not above `low` to the nearest not below `high`.
    pub fn linear(label: impl Into<String>, low: f64, high: f64) -> Self {
        let high = if high > low {
            high
        } else {
            low + low.abs().max(1.0)
        };
        let step = round_step((high - low) / 4.0);
        let (first, last) = ((low / step).floor(), (high / step - 1e-9).ceil());
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let count = (last - first) as usize;
        Self {
            label: label.into(),
            scale: Scale::Linear,
            low: first * step,
            high: last * step,
            ticks: (0..=count)
                .map(|tick| (first + tick as f64) * step)
                .map(|value| (value, grouped(value, decimals)))
                .collect(),
        }
    }

    /// As [`Axis::linear`], by logarithm. Both ends are positive.
    pub fn log(label: impl Into<String>, low: f64, high: f64) -> Self {
        let (low, high) = (low.log10(), high.max(low).log10());
        let (low, high) = match high - low < 0.3 {
            true => (low - 0.2, high + 0.2),
            false => (low - 0.02, high + 0.02),
        };
        let mut ticks = vec![];
        for decade in low.floor() as i32..=high.ceil() as i32 {
            for lead in [1.0, 2.0, 5.0] {
                let value = lead * 10_f64.powi(decade);
                if (low..=high).contains(&value.log10()) {
                    ticks.push((value, number(value)));
                }
            }
        }
        if ticks.len() > 7 {
            ticks.retain(|(value, _)| (value.log10() - value.log10().round()).abs() < 1e-9);
        }
        Self {
            label: label.into(),
            scale: Scale::Log,
            low,
            high,
            ticks,
        }
    }

    /// Shares from none to 99.99 %.
    pub fn nines(label: impl Into<String>) -> Self {
        let ticks = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999];
        let names = ["0", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"];
        Self {
            label: label.into(),
            scale: Scale::Nines,
            low: 0.0,
            high: 4.0,
            ticks: ticks.into_iter().zip(names.map(str::to_owned)).collect(),
        }
    }

    /// Names, in their order.
    pub fn names(label: impl Into<String>, names: Vec<String>) -> Self {
        let ticks = names.iter().enumerate();
        Self {
            label: label.into(),
            low: -0.5,
            high: names.len() as f64 - 0.5,
            ticks: ticks.map(|(at, name)| (at as f64, name.clone())).collect(),
            scale: Scale::Names(names),
        }
    }

    /// For values that are all known: by logarithm if they are positive and span more than
    /// one and a half decades.
    pub fn over(label: impl Into<String>, values: &[f64]) -> Self {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match (low.is_finite(), low > 0.0 && high / low > 30.0) {
            (false, _) => Self::linear(label, 0.0, 1.0),
            (true, true) => Self::log(label, low, high),
            // A scale that starts at zero shows ratios as they are, unless it hides everything.
            (true, false) if low >= 0.0 && low < 0.7 * high => Self::linear(label, 0.0, high),
            (true, false) => Self::linear(label, low, high),
        }
    }

    /// Where a value lies, from 0 to 1.
    pub fn place(&self, value: f64) -> f64 {
        let at = match self.scale {
            Scale::Linear | Scale::Names(_) => value,
            Scale::Log => value.log10(),
            Scale::Nines => -(1.0 - value).max(1e-4).log10(),
        };
        ((at - self.low) / (self.high - self.low)).clamp(-0.01, 1.01)
    }

    /// The ticks: where they lie from 0 to 1, and their labels.
    pub fn ticks(&self) -> impl Iterator<Item = (f64, &str)> {
        self.ticks
            .iter()
            .map(|(value, label)| (self.place(*value), label.as_str()))
    }
}

/// 1, 2 or 5 times a power of ten, not below `least`.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|lead| lead * power)
        .into_iter()
        .find(|step| *step >= least * (1.0 - 1e-9))
        .unwrap_or(power * 10.0)
}

/// A number with a thin space between thousands.
pub fn grouped(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = text
        .split_once('.')
        .map_or((&*text, None), |(w, r)| (w, Some(r)));
    let mut out = String::new();
    if value < 0.0 && text.bytes().any(|digit| (b'1'..=b'9').contains(&digit)) {
        out.push('−');
    }
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) && whole.len() > 4 {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    if let Some(rest) = rest {
        out.push('.');
        out += rest;
    }
    out
}

/// A number with as many digits as a person reads: four, or all of a whole number.
pub fn number(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e15 {
        return grouped(value, 0);
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    let text = grouped(value, digits.clamp(0, 9) as usize);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A chart under construction.
#[derive(Clone, Debug)]
pub struct Chart {
    title: String,
    x: Axis,
    y: Axis,
    body: String,
    keys: Vec<(String, String)>,
}

impl Chart {
    /// An empty chart.
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self {
            title: title.into(),
            x,
            y,
            body: String::new(),
            keys: vec![],
        }
    }

    fn across(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn up(&self, value: f64) -> f64 {
        HEIGHT - BELOW - self.y.place(value) * (HEIGHT - ABOVE - BELOW)
    }

    /// A line through points, left out where a value is no number.
    pub fn line(mut self, class: &str, name: &str, points: &[(f64, f64)]) -> Self {
        let mut path = String::new();
        let mut open = false;
        for (x, y) in points {
            if x.is_finite() && y.is_finite() {
                let step = if open { 'L' } else { 'M' };
                let _ = write!(path, "{step}{:.1} {:.1}", self.across(*x), self.up(*y));
            }
            open = x.is_finite() && y.is_finite();
        }
        let _ = write!(self.body, "<path class=\"line {class}\" d=\"{path}\"/>");
        self.key(class, name)
    }

    /// A level across the whole chart, such as a limit.
    pub fn level(mut self, class: &str, name: &str, y: f64) -> Self {
        let (y, right) = (self.up(y), WIDTH - RIGHT);
        let _ = write!(
            self.body,
            "<path class=\"line level {class}\" d=\"M{LEFT} {y:.1}L{right} {y:.1}\"/>"
        );
        self.key(class, name)
    }

    /// A point with a text that shows when it is pointed at, and attributes of its own.
    pub fn point(&mut self, class: &str, style: &str, (x, y): (f64, f64), radius: f64, tip: &str) {
        let (x, y) = (self.across(x), self.up(y));
        let tip = html! { (tip) }.into_string();
        let _ = write!(
            self.body,
            "<circle class=\"{class}\" {style} cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\">\
             <title>{tip}</title></circle>"
        );
    }

    /// Many points of one look as a single shape, which a browser lays out at once.
    pub fn cloud(&mut self, class: &str, style: &str, points: &[(f64, f64)]) {
        let mut path = String::new();
        for (x, y) in points {
            let _ = write!(path, "M{:.0} {:.0}h0", self.across(*x), self.up(*y));
        }
        let _ = write!(
            self.body,
            "<path class=\"cloud {class}\" {style} d=\"{path}\"/>"
        );
    }

    /// A span of values at one place: a bar from `low` to `high`.
    pub fn span(mut self, class: &str, x: f64, (low, high): (f64, f64)) -> Self {
        let (x, low, high) = (self.across(x), self.up(low), self.up(high));
        let _ = write!(
            self.body,
            "<path class=\"span {class}\" d=\"M{x:.1} {low:.1}L{x:.1} {high:.1}\"/>"
        );
        self
    }

    /// Names a class in the key under the title.
    pub fn key(mut self, class: &str, name: &str) -> Self {
        if !name.is_empty() {
            self.keys.push((class.to_owned(), name.to_owned()));
        }
        self
    }

    /// The chart with its title and key.
    pub fn render(self) -> Markup {
        let (bottom, right) = (HEIGHT - BELOW, WIDTH - RIGHT);
        let mut frame = String::new();
        for (place, label) in self.y.ticks() {
            let y = bottom - place * (bottom - ABOVE);
            let label = html! { (label) }.into_string();
            let _ = write!(
                frame,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}L{right} {y:.1}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        let mut taken = f64::NEG_INFINITY;
        for (place, label) in self.x.ticks() {
            let x = LEFT + place * (right - LEFT);
            let half = CHARACTER * label.chars().count() as f64 / 2.0;
            // The ends stay within the picture, and no two labels touch.
            let middle = x.min(WIDTH - half).max(half);
            let _ = write!(
                frame,
                "<path class=\"grid\" d=\"M{x:.1} {ABOVE}L{x:.1} {bottom}\"/>"
            );
            if middle - half > taken + 4.0 {
                taken = middle + half;
                let label = html! { (label) }.into_string();
                let _ = write!(
                    frame,
                    "<text x=\"{middle:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                    bottom + 16.0
                );
            }
        }
        let title = &self.title;
        html! {
            figure {
                figcaption { (title) }
                @if !self.keys.is_empty() {
                    p.key { @for (class, name) in &self.keys { span class=(class) { (name) } " " } }
                }
                p.unit { (self.y.label) }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(title) {
                    (PreEscaped(frame))
                    (PreEscaped(self.body))
                    text.unit x=((LEFT + right) / 2.0) y=(HEIGHT - 8.0) text-anchor="middle" { (self.x.label) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose_the_values() {
        let axis = Axis::linear("", 0.0, 93.0);
        let labels: Vec<&str> = axis.ticks().map(|(_, label)| label).collect();
        assert_eq!(labels, ["0", "50", "100"]);
        let axis = Axis::linear("", 0.31, 0.34);
        assert!(axis.place(0.31) >= 0.0 && axis.place(0.34) <= 1.0);
        let labels: Vec<&str> = axis.ticks().map(|(_, label)| label).collect();
        assert_eq!(labels, ["0.31", "0.32", "0.33", "0.34"]);
        // Equal values, and none, have an axis too.
        for values in [&[5.0, 5.0][..], &[0.0], &[]] {
            assert!(Axis::over("", values).ticks().count() >= 2, "{values:?}");
        }
        assert!(matches!(Axis::over("", &[1.0, 1000.0]).scale, Scale::Log));
    }

    #[test]
    fn numbers_are_short() {
        let shown = [
            (0.5123456, "0.5123"),
            (81.394, "81.39"),
            (1234567.0, "1\u{202f}234\u{202f}567"),
            (-3.0, "−3"),
        ];
        for (value, text) in shown {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn nines_are_evenly_spread() {
        let axis = Axis::nines("");
        assert!((axis.place(0.9) - 0.25).abs() < 1e-9);
        assert!((axis.place(0.9999) - 1.0).abs() < 1e-9);
        assert!((axis.place(1.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_no_number_leaves_a_gap() {
        let axis = || Axis::linear("", 0.0, 1.0);
        let points = [(0.0, 0.0), (0.5, f64::NAN), (1.0, 1.0)];
        let drawn = Chart::new("t", axis(), axis())
            .line("a", "n", &points)
            .render();
        let path = drawn.into_string();
        let path = path.split("line a").nth(1).unwrap();
        assert_eq!(path.split('>').next().unwrap().matches('M').count(), 2);
    }
}
