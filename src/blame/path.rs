//! A way through the system: an interval of simulated time, cut into steps.

use std::collections::BTreeMap;

/// Why time passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A stage worked: the least that this step ever took.
    Service,
    /// A stage waited for others: data, an answer, its turn.
    Starved,
    /// The next stage refused the event.
    Blocked,
    /// The PCIe link and the root complex.
    Pcie,
    /// The Ethernet link, and what was lost on it.
    Link,
    /// Software on a host.
    Host,
}

impl Cause {
    /// Name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Starved => "starved",
            Self::Blocked => "blocked",
            Self::Pcie => "pcie",
            Self::Link => "link",
            Self::Host => "host",
        }
    }
}

/// What is known of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// One cause for all of it.
    One(Cause),
    /// From a stage to the next, by which it was refused for so long, in ps.
    Stage { to: String, refused: u64 },
}

/// One step; it begins where the one before ends.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    until: u64,
    place: String,
    kind: Kind,
    /// It begins and ends when it did, and was not cut short by the step before.
    exact: bool,
}

/// An interval cut into steps without gap or overlap. A step that would end before it
/// begins takes no time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    start: u64,
    end: u64,
    /// When the last step was meant to end.
    last: u64,
    steps: Vec<Step>,
}

/// The least time of each step, less the time refused, by place and next stage.
#[derive(Clone, Debug, Default)]
pub struct Least(BTreeMap<(String, String), u64>);

/// A share of the time of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where.
    pub place: String,
    /// Why.
    pub cause: Cause,
    /// From, in ps.
    pub from: u64,
    /// Until, in ps.
    pub until: u64,
}

impl Path {
    /// A path that begins at `start`.
    pub fn from(start: u64) -> Self {
        Self {
            start,
            end: start,
            last: start,
            steps: vec![],
        }
    }

    /// When it begins, in ps.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// When it ends, in ps.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// How long it is, in ps.
    pub fn length(&self) -> u64 {
        self.end - self.start
    }

    fn push(&mut self, until: u64, place: String, kind: Kind) {
        let before = self.steps.last().is_none_or(|step| step.until == self.last);
        let exact = before && until >= self.end;
        self.last = until;
        self.end = self.end.max(until);
        self.steps.push(Step {
            until: self.end,
            place,
            kind,
            exact,
        });
    }

    /// Until `until`, for one cause.
    pub fn cause(&mut self, until: u64, place: String, cause: Cause) {
        self.push(until, place, Kind::One(cause));
    }

    /// Until the entry into `to` at `until`, which refused it for `refused` ps.
    pub fn stage(&mut self, until: u64, place: String, to: &str, refused: u64) {
        let to = to.to_owned();
        self.push(until, place, Kind::Stage { to, refused });
    }

    /// Goes on with another path, which begins where it begins.
    pub fn append(&mut self, other: Path) {
        for step in other.steps {
            self.push(step.until, step.place, step.kind);
        }
    }

    /// Cuts off what lies behind `end`, which an answer that came early leaves.
    pub fn cut(&mut self, end: u64) {
        self.end = self.end.min(end);
        for step in &mut self.steps {
            step.until = step.until.min(end);
        }
    }

    /// Each step with its begin.
    fn steps(&self) -> impl Iterator<Item = (u64, &Step)> {
        let begins = self.steps.iter().map(|step| step.until);
        std::iter::once(self.start).chain(begins).zip(&self.steps)
    }

    /// The parts of the path; they add up to its length.
    pub fn parts(&self, least: &Least) -> Vec<Part> {
        let mut parts = vec![];
        for (from, step) in self.steps() {
            let length = step.until - from;
            let shares = match &step.kind {
                Kind::One(cause) => vec![(*cause, length)],
                Kind::Stage { to, refused } => {
                    let blocked = (*refused).min(length);
                    let known = least.0.get(&(step.place.clone(), to.clone()));
                    let service = known.map_or(0, |least| *least).min(length - blocked);
                    vec![
                        (Cause::Service, service),
                        (Cause::Starved, length - blocked - service),
                        (Cause::Blocked, blocked),
                    ]
                }
            };
            let mut from = from;
            for (cause, length) in shares.into_iter().filter(|(_, length)| *length > 0) {
                parts.push(Part {
                    place: step.place.clone(),
                    cause,
                    from,
                    until: from + length,
                });
                from += length;
            }
        }
        parts
    }

    /// The places on the way, in order.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| step.place.as_str())
    }
}

impl Least {
    /// The least times of these paths.
    pub fn of<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Self {
        let mut least = Self::default();
        for path in paths {
            for (from, step) in path.steps() {
                if let (Kind::Stage { to, refused }, true) = (&step.kind, step.exact) {
                    let length = step.until - from;
                    let rest = length - (*refused).min(length);
                    let of = least.0.entry((step.place.clone(), to.clone()));
                    let of = of.or_insert(rest);
                    *of = rest.min(*of);
                }
            }
        }
        least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(stage: u64, refused: u64) -> Path {
        let mut path = Path::from(100);
        path.cause(150, "mac".into(), Cause::Link);
        path.stage(150 + stage, "parse".into(), "identify", refused);
        path.cause(140, "early".into(), Cause::Pcie);
        path.cause(300, "host".into(), Cause::Host);
        path
    }

    #[test]
    fn parts_add_up_and_a_step_is_service_blocked_and_starved() {
        let paths = [path(20, 0), path(60, 30)];
        let least = Least::of(&paths);
        let parts = paths[1].parts(&least);
        let shown: Vec<_> = parts
            .iter()
            .map(|part| (part.place.as_str(), part.cause, part.until - part.from))
            .collect();
        assert_eq!(
            shown,
            [
                ("mac", Cause::Link, 50),
                ("parse", Cause::Service, 20),
                ("parse", Cause::Starved, 10),
                ("parse", Cause::Blocked, 30),
                ("host", Cause::Host, 90),
            ]
        );
        assert!(parts.windows(2).all(|pair| pair[0].until == pair[1].from));
        let total: u64 = parts.iter().map(|part| part.until - part.from).sum();
        assert_eq!(total, paths[1].length());
    }
}
