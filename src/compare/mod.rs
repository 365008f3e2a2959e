//! Two results, or two sweeps point by point: what became better or worse, and where.

mod gate;
mod subject;

pub use gate::{Gate, Goal, Rule, Tolerance};
pub use subject::{Point, Subject, SubjectError};

use crate::sweep::metric::{Metrics, lookup};
use std::collections::BTreeSet;

/// A figure of one point in both subjects.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The rule that names it.
    pub rule: Rule,
    /// What it was and is.
    pub before: f64,
    /// What it is.
    pub after: f64,
}

impl Change {
    /// Whether the rule holds.
    pub fn holds(&self) -> bool {
        self.rule.holds(self.before, self.after)
    }

    /// The change in hundredths; `None` from zero.
    pub fn percent(&self) -> Option<f64> {
        (self.before != 0.0).then(|| 100.0 * (self.after - self.before) / self.before.abs())
    }
}

/// A share of the change of a latency.
#[derive(Clone, Debug, PartialEq)]
pub struct Shift {
    /// Place and cause, `server-nic.fetch pcie`.
    pub what: String,
    /// By how much it became longer, in ps.
    pub ps: i64,
}

/// The change of one latency and where it comes from; the shifts add up to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// `p50` or `p99`.
    pub percentile: &'static str,
    /// By how much it became longer, in ps.
    pub ps: i64,
    /// The largest first.
    pub shifts: Vec<Shift>,
}

/// One point in both subjects.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The values of its axes; empty for a run.
    pub name: String,
    /// Its figures.
    pub changes: Vec<Change>,
    /// Why its latencies changed.
    pub explanations: Vec<Explanation>,
    /// What binds before and after, where that changed.
    pub binds: Option<(String, String)>,
    /// Why it cannot be compared: it is missing on a side, or failed there.
    pub problem: Option<String>,
}

impl Pair {
    /// Everything is good.
    pub fn holds(&self) -> bool {
        self.problem.is_none() && self.changes.iter().all(Change::holds)
    }
}

/// A rule names a figure that no point has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{metric}` is no figure of these results{hint}")]
pub struct UnknownMetric {
    metric: String,
    hint: String,
}

/// Compares point by point.
///
/// # Errors
/// The gate names a figure that neither subject has.
pub fn compare(
    before: &Subject,
    after: &Subject,
    gate: &Gate,
    strict: bool,
) -> Result<Vec<Pair>, UnknownMetric> {
    if strict {
        for rule in &gate.rules {
            check(&rule.metric, [before, after])?;
        }
    }
    let names: BTreeSet<&String> = before.points.keys().chain(after.points.keys()).collect();
    let mut order: Vec<&String> = names.into_iter().collect();
    // In the order of the first subject, what only the second has behind it.
    order.sort_by_key(|name| before.points.get(*name).map_or(usize::MAX, |p| p.number));
    let pair = |name: &String| pair(name, before.points.get(name), after.points.get(name), gate);
    Ok(order.into_iter().map(pair).collect())
}

fn check(metric: &str, subjects: [&Subject; 2]) -> Result<(), UnknownMetric> {
    let points = || {
        subjects
            .into_iter()
            .flat_map(|subject| subject.points.values())
    };
    if points().any(|point| lookup(&point.metrics, metric).is_some()) {
        return Ok(());
    }
    let nearest = points().find_map(|p| crate::sweep::metric::nearest(&p.metrics, metric));
    Err(UnknownMetric {
        metric: metric.to_owned(),
        hint: nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?")),
    })
}

fn pair(name: &str, before: Option<&Point>, after: Option<&Point>, gate: &Gate) -> Pair {
    let mut pair = Pair {
        name: name.to_owned(),
        changes: vec![],
        explanations: vec![],
        binds: None,
        problem: None,
    };
    let (before, after) = match (before, after) {
        (Some(before), Some(after)) => (before, after),
        (None, _) => {
            pair.problem = Some("is not in the first".into());
            return pair;
        }
        (_, None) => {
            pair.problem = Some("is not in the second".into());
            return pair;
        }
    };
    match (&before.problem, &after.problem) {
        // What could not be run before may still not run.
        (Some(_), Some(_)) => return pair,
        (Some(_), None) => return pair,
        (None, Some(problem)) => {
            pair.problem = Some(format!("ran in the first, and in the second: {problem}"));
            return pair;
        }
        (None, None) => {}
    }
    for rule in &gate.rules {
        let values = [before, after].map(|point| lookup(&point.metrics, &rule.metric));
        if let [Some(before), Some(after)] = values {
            pair.changes.push(Change {
                rule: rule.clone(),
                before,
                after,
            });
        }
    }
    pair.explanations = ["p50", "p99"]
        .into_iter()
        .filter_map(|percentile| explain(percentile, &before.metrics, &after.metrics))
        .collect();
    if before.binds != after.binds {
        let said = |point: &Point| point.binds.clone().unwrap_or_else(|| "nothing".into());
        pair.binds = Some((said(before), said(after)));
    }
    pair
}

/// Where the change of a request latency comes from; `None` without one.
fn explain(percentile: &'static str, before: &Metrics, after: &Metrics) -> Option<Explanation> {
    let of = |metrics: &Metrics, name: &str| metrics.get(name).copied().unwrap_or(0.0) as i64;
    let latency = format!("blame.request.{percentile}.latency_ps");
    let ps = of(after, &latency) - of(before, &latency);
    let prefix = format!("blame.request.{percentile}.parts.");
    let names: BTreeSet<&String> = before
        .keys()
        .chain(after.keys())
        .filter(|name| name.starts_with(&prefix))
        .collect();
    let mut shifts: Vec<Shift> = names
        .into_iter()
        .map(|name| {
            let part = &name[prefix.len()..];
            let what = match part.rsplit_once('.') {
                Some((place, cause)) => format!("{place} {cause}"),
                None => part.to_owned(),
            };
            Shift {
                what,
                ps: of(after, name) - of(before, name),
            }
        })
        .filter(|shift| shift.ps != 0)
        .collect();
    shifts.sort_by(|a, b| b.ps.abs().cmp(&a.ps.abs()).then(a.what.cmp(&b.what)));
    (!shifts.is_empty()).then_some(Explanation {
        percentile,
        ps,
        shifts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn subject(figures: &[(&str, f64)], problem: Option<&str>) -> Subject {
        let point = Point {
            number: 0,
            metrics: figures.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect(),
            binds: None,
            problem: problem.map(str::to_owned),
        };
        Subject {
            points: BTreeMap::from([("x = 1".to_owned(), point)]),
        }
    }

    #[test]
    fn a_longer_latency_is_explained_by_parts_that_add_up() {
        let parts = |fetch, host| {
            let names = [
                "blame.request.p50.latency_ps",
                "blame.request.p50.parts.server-nic.fetch.pcie",
                "blame.request.p50.parts.server.host",
            ];
            subject(
                &[
                    (names[0], fetch + host),
                    (names[1], fetch),
                    (names[2], host),
                    ("goodput_gbps", 1.0),
                ],
                None,
            )
        };
        let gate = Gate {
            rules: vec![Rule::parse("goodput_gbps max 0").unwrap()],
        };
        let pairs = compare(&parts(10.0, 20.0), &parts(25.0, 15.0), &gate, true).unwrap();
        let explanation = &pairs[0].explanations[0];
        assert_eq!(explanation.ps, 10);
        let shifts: i64 = explanation.shifts.iter().map(|shift| shift.ps).sum();
        assert_eq!(shifts, explanation.ps);
        assert_eq!(explanation.shifts[0].what, "server-nic.fetch pcie");
        assert!(pairs[0].holds());
    }

    #[test]
    fn a_point_that_is_lost_or_fails_now_does_not_hold() {
        let gate = Gate::usual();
        let whole = subject(&[("goodput_gbps", 1.0)], None);
        let failed = subject(&[], Some("no answer"));
        let nothing = Subject {
            points: BTreeMap::new(),
        };
        let holds = |a: &Subject, b: &Subject| compare(a, b, &gate, false).unwrap()[0].holds();
        assert!(holds(&whole, &whole) && holds(&failed, &whole) && holds(&failed, &failed));
        assert!(!holds(&whole, &failed) && !holds(&whole, &nothing) && !holds(&nothing, &whole));
        let unknown = Gate {
            rules: vec![Rule::parse("goodput_gpbs max 0").unwrap()],
        };
        let error = compare(&whole, &whole, &unknown, true).unwrap_err();
        assert!(error.to_string().contains("did you mean `goodput_gbps`"));
    }
}
