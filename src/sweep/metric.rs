//! Figures of a result by name, objectives over them, and constraints.

use std::collections::BTreeMap;
use std::fmt;

/// The figures of one point by dotted name: `goodput_gbps`, `rtt_ps.p9999`, `synth.lut`.
pub type Metrics = BTreeMap<String, f64>;

/// Every number of a JSON value under its dotted name.
pub fn flatten(value: &serde_json::Value) -> Metrics {
    fn walk(prefix: &str, value: &serde_json::Value, into: &mut Metrics) {
        match value {
            serde_json::Value::Number(number) => {
                if let Some(number) = number.as_f64() {
                    into.insert(prefix.to_owned(), number);
                }
            }
            serde_json::Value::Object(fields) => {
                for (key, value) in fields {
                    let name = match prefix {
                        "" => key.clone(),
                        prefix => format!("{prefix}.{key}"),
                    };
                    walk(&name, value, into);
                }
            }
            _ => {}
        }
    }
    let mut metrics = Metrics::new();
    walk("", value, &mut metrics);
    metrics
}

/// A metric by its full name, or by a short one of the synthesis figures.
pub fn lookup(metrics: &Metrics, name: &str) -> Option<f64> {
    metrics
        .get(name)
        .or_else(|| metrics.get(&format!("synth.{name}")))
        .copied()
}

/// The known name that is most like `name`.
pub fn nearest<'a>(metrics: &'a Metrics, name: &str) -> Option<&'a str> {
    metrics
        .keys()
        .map(|known| (strsim::damerau_levenshtein(known, name), known.as_str()))
        .filter(|(distance, known)| *distance <= 2 + known.len() / 3)
        .min()
        .map(|(_, known)| known)
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// More is better.
    Max,
    /// Less is better.
    Min,
}

/// `METRIC max` or `METRIC min`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objective {
    /// Name of the metric.
    pub metric: String,
    /// Which way is better.
    pub goal: Goal,
}

impl Objective {
    /// Reads `goodput_gbps max`.
    ///
    /// # Errors
    /// A sentence with the form that is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let goal = match words[..] {
            [_, "max"] => Goal::Max,
            [_, "min"] => Goal::Min,
            _ => {
                return Err(format!(
                    "`{text}` is no objective; write a metric and `max` or `min`, \
                     such as \"goodput_gbps max\""
                ));
            }
        };
        Ok(Self {
            metric: words[0].to_owned(),
            goal,
        })
    }

    /// The value as a cost: less is better.
    pub fn cost(&self, value: f64) -> f64 {
        match self.goal {
            Goal::Max => -value,
            Goal::Min => value,
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let goal = match self.goal {
            Goal::Max => "max",
            Goal::Min => "min",
        };
        write!(f, "{} {goal}", self.metric)
    }
}

/// A comparison of a metric with a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    /// Name of the metric.
    pub metric: String,
    comparison: Comparison,
    bound: f64,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    AtMost,
    AtLeast,
    Below,
    Above,
    Equal,
}

impl Constraint {
    /// Reads `critical_path_ns <= 4.0`.
    ///
    /// # Errors
    /// A sentence with the form that is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = || {
            format!(
                "`{text}` is no constraint; write a metric, one of <= >= < > =, and a number, \
                 such as \"critical_path_ns <= 4.0\""
            )
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let [metric, comparison, bound] = words[..] else {
            return Err(form());
        };
        let comparison = match comparison {
            "<=" => Comparison::AtMost,
            ">=" => Comparison::AtLeast,
            "<" => Comparison::Below,
            ">" => Comparison::Above,
            "=" | "==" => Comparison::Equal,
            _ => return Err(form()),
        };
        Ok(Self {
            metric: metric.to_owned(),
            comparison,
            bound: bound.parse().map_err(|_| form())?,
            text: words.join(" "),
        })
    }

    /// Whether `value` is allowed.
    pub fn holds(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::AtMost => value <= self.bound,
            Comparison::AtLeast => value >= self.bound,
            Comparison::Below => value < self.bound,
            Comparison::Above => value > self.bound,
            Comparison::Equal => value == self.bound,
        }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_have_dotted_names() {
        let metrics = flatten(&json!({"a": {"b": 1, "c": "text"}, "d": 2.5, "e": [1]}));
        assert_eq!(
            metrics,
            Metrics::from([("a.b".into(), 1.0), ("d".into(), 2.5)])
        );
        assert_eq!(nearest(&metrics, "a.bb"), Some("a.b"));
    }

    #[test]
    fn objectives_and_constraints_are_read_and_applied() {
        let objective = Objective::parse("goodput_gbps max").unwrap();
        assert!(objective.cost(2.0) < objective.cost(1.0));
        assert_eq!(objective.to_string(), "goodput_gbps max");
        let constraint = Constraint::parse("critical_path_ns <= 4.0").unwrap();
        assert!(constraint.holds(4.0) && !constraint.holds(4.001));
        for wrong in ["goodput", "goodput best", ""] {
            assert!(Objective::parse(wrong).is_err(), "{wrong}");
        }
        for wrong in ["a <= b", "a ~ 1", "a <="] {
            assert!(Constraint::parse(wrong).is_err(), "{wrong}");
        }
    }
}
