//! How much worse than before is too much.

use hallux_toe::document::{Document, DocumentError};
use serde::Deserialize;
use std::fmt;
use std::path::Path;

/// Which change of a figure is for the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Less is worse.
    Max,
    /// More is worse.
    Min,
    /// Any is.
    Same,
}

/// How much worse is still good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// In the unit of the figure.
    Absolute(f64),
    /// In hundredths of what it was.
    Percent(f64),
}

/// `METRIC max|min|same TOLERANCE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Dotted name of the figure.
    pub metric: String,
    /// Which change is for the worse.
    pub goal: Goal,
    /// How much of it is still good.
    pub tolerance: Tolerance,
}

/// Rules of a gate file.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// In the order of the file.
    pub rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    gates: Vec<String>,
}

impl Gate {
    /// Reads a gate file.
    ///
    /// # Errors
    /// It cannot be read, or a rule is none.
    pub fn read(path: &Path) -> Result<Self, DocumentError> {
        let document = Document::read(path)?;
        let file: File = document.decode()?;
        if file.gates.is_empty() {
            return Err(document.error("gates", "`gates` has no rule, so nothing would be judged"));
        }
        let rule =
            |text: &String| Rule::parse(text).map_err(|message| document.error("gates", message));
        Ok(Self {
            rules: file.gates.iter().map(rule).collect::<Result<_, _>>()?,
        })
    }

    /// What is shown without a gate: the usual figures, none of which may be worse at all.
    pub fn usual() -> Self {
        let rule = |(metric, goal): &(&str, Goal)| Rule {
            metric: (*metric).to_owned(),
            goal: *goal,
            tolerance: Tolerance::Absolute(0.0),
        };
        Self {
            rules: USUAL.iter().map(rule).collect(),
        }
    }
}

/// Figures that are compared where no gate names others.
const USUAL: [(&str, Goal); 10] = [
    ("goodput_gbps", Goal::Max),
    ("request_ps.p50", Goal::Min),
    ("request_ps.p99", Goal::Min),
    ("request_ps.p9999", Goal::Min),
    ("rtt_ps.p50", Goal::Min),
    ("rtt_ps.p99", Goal::Min),
    ("retransmitted_segments", Goal::Min),
    ("drops_total", Goal::Min),
    ("pcie_bytes", Goal::Min),
    ("bytes_mismatched", Goal::Min),
];

impl Rule {
    /// Reads `goodput_gbps max 2%`.
    ///
    /// # Errors
    /// A sentence with the form that is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no rule; write a metric, `max`, `min` or `same`, and how much worse \
                 it may be, such as \"goodput_gbps max 2%\" or \"drops_total min 0\""
            )
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let [metric, goal, tolerance] = words[..] else {
            return Err(wrong());
        };
        let goal = match goal {
            "max" => Goal::Max,
            "min" => Goal::Min,
            "same" => Goal::Same,
            _ => return Err(wrong()),
        };
        let number = |text: &str| {
            let value: f64 = text.parse().map_err(|_| wrong())?;
            (value.is_finite() && value >= 0.0)
                .then_some(value)
                .ok_or_else(wrong)
        };
        let tolerance = match tolerance.strip_suffix('%') {
            Some(percent) => Tolerance::Percent(number(percent)?),
            None => Tolerance::Absolute(number(tolerance)?),
        };
        Ok(Self {
            metric: metric.to_owned(),
            goal,
            tolerance,
        })
    }

    /// By how much `after` is worse than `before`; negative if it is better.
    fn loss(&self, before: f64, after: f64) -> f64 {
        match self.goal {
            Goal::Max => before - after,
            Goal::Min => after - before,
            Goal::Same => (after - before).abs(),
        }
    }

    /// Whether `after` is good enough.
    pub fn holds(&self, before: f64, after: f64) -> bool {
        let allowed = match self.tolerance {
            Tolerance::Absolute(value) => value,
            Tolerance::Percent(percent) => before.abs() * percent / 100.0,
        };
        self.loss(before, after) <= allowed
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let goal = match self.goal {
            Goal::Max => "max",
            Goal::Min => "min",
            Goal::Same => "same",
        };
        write!(f, "{} {goal} ", self.metric)?;
        match self.tolerance {
            Tolerance::Absolute(value) => write!(f, "{value}"),
            Tolerance::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_judge_one_way_or_both() {
        let holds = |rule: &str, after| Rule::parse(rule).unwrap().holds(100.0, after);
        assert!(holds("g max 2%", 98.0) && !holds("g max 2%", 97.9) && holds("g max 0", 150.0));
        assert!(holds("l min 5", 105.0) && !holds("l min 5", 105.1) && holds("l min 0", 1.0));
        assert!(holds("s same 1%", 99.0) && !holds("s same 1%", 102.0));
        for wrong in [
            "g",
            "g up 2%",
            "g max",
            "g max two",
            "g max -1",
            "g max 1 2",
        ] {
            assert!(Rule::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Rule::parse("g max 2%").unwrap().to_string(), "g max 2%");
    }
}
