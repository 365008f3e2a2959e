//! The sweep file.

use super::axis::{Axis, AxisKeys, Scalar, shown};
use super::metric::{Constraint, Objective};
use hallux_toe::document::{Document, DocumentError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A validated sweep file.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Name, of the directory of results unless another is given.
    pub name: String,
    /// What to look for: the comment at the head of the file.
    pub about: String,
    /// The scenario that every point runs.
    pub scenario: PathBuf,
    /// Directory of the sweep file: paths among the values are relative to it.
    pub here: PathBuf,
    /// Seed of random samples.
    pub seed: u64,
    /// Overrides of every point, as `KEY`, `VALUE`.
    pub set: Vec<(String, String)>,
    /// The axes, in the order of the file.
    pub axes: Vec<Axis>,
    /// Which points are run.
    pub sample: Sample,
    /// What is sought.
    pub objectives: Vec<Objective>,
    /// What a point must keep.
    pub constraints: Vec<Constraint>,
    /// Area and critical path are estimated for every point.
    pub synth: bool,
}

/// Which points of the space are run.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// All.
    Grid,
    /// So many, drawn without repetition.
    Random(usize),
    /// Many points briefly, the better of them longer, and so on.
    Halving(Halving),
}

/// Successive halving, guided by Pareto ranks.
#[derive(Clone, Debug, PartialEq)]
pub struct Halving {
    /// Points of the first rung; all of the grid if not given.
    pub points: Option<usize>,
    /// The key that says how long a point runs.
    pub key: String,
    /// Its values, one a rung.
    pub values: Vec<String>,
    /// Share of the points that goes on to the next rung.
    pub keep: f64,
}

/// The keys of a sweep file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    /// Name of the directory of results.
    #[schemars(pattern(r"^[A-Za-z0-9_-]+$"))]
    name: String,
    /// The scenario that every point runs, relative to the sweep file.
    scenario: PathBuf,
    /// Seed of random samples.
    #[serde(default = "one")]
    seed: u64,
    /// Overrides of every point: keys of the scenario, or of the design point with `design.`
    /// in front.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    set: toml::Table,
    /// The axes, one or more.
    #[serde(default)]
    axis: Vec<AxisKeys>,
    /// Which points are run.
    #[serde(default)]
    #[schemars(extend("default" = {"kind": "grid"}))]
    sample: SampleKeys,
    /// What is sought: a metric and `max` or `min`.
    #[serde(default)]
    #[schemars(inner(pattern(r"^\S+\s+(max|min)$")))]
    objectives: Vec<String>,
    /// What a point must keep: a metric, a comparison, a number.
    #[serde(default)]
    constraints: Vec<String>,
    /// Estimate area and critical path even if no objective or constraint asks for them.
    #[serde(default)]
    synth: bool,
}

fn one() -> u64 {
    1
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SampleKeys {
    /// How points are chosen.
    #[serde(default)]
    kind: Kind,
    /// How many of them; halving: all of the grid if not given.
    points: Option<usize>,
    /// Halving: what makes a run longer.
    fidelity: Option<FidelityKeys>,
    /// Halving: share of the points that goes on to the next value; one half if not given.
    keep: Option<f64>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// All.
    #[default]
    Grid,
    /// Some, drawn without repetition.
    Random,
    /// All briefly, the better ones longer.
    Halving,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FidelityKeys {
    /// Key of the scenario.
    key: String,
    /// Its values, one a rung.
    #[schemars(with = "Vec<Scalar>")]
    values: Vec<toml::Value>,
}

/// Figures that come from synthesis, by their short names.
const SYNTH_METRICS: [&str; 6] = ["lut", "ff", "bram36", "uram", "dsp", "critical_path_ns"];

/// Whether a metric comes from synthesis, not from a run.
pub fn is_synth_metric(name: &str) -> bool {
    name.starts_with("synth.") || SYNTH_METRICS.contains(&name)
}

impl Sweep {
    /// Reads and validates a sweep file.
    ///
    /// # Errors
    /// With the place, what is wrong and what to do.
    pub fn read(path: &Path) -> Result<Self, DocumentError> {
        let document = Document::read(path)?;
        let keys: Keys = document.decode()?;
        let fail = |key: &str, message: String| document.error(key, message);
        let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if keys.name.is_empty() || !keys.name.chars().all(word) {
            return Err(fail(
                "name",
                format!(
                    "`name` names a directory: letters, digits, `-` and `_` only, not `{}`",
                    keys.name
                ),
            ));
        }
        let axes = keys
            .axis
            .iter()
            .map(|axis| {
                axis.resolve()
                    .map_err(|error| fail("axis", format!("axis `{}`: {error}", axis.key)))
            })
            .collect::<Result<Vec<Axis>, _>>()?;
        if axes.is_empty() {
            return Err(fail(
                "axis",
                "a sweep needs at least one [[axis]] with a `key` and `values`".into(),
            ));
        }
        check_axes(&axes).map_err(|message| fail("axis", message))?;
        let mut set = vec![];
        flatten_set("", &keys.set, &mut set);
        if let Some((key, _)) = set.iter().find(|(key, _)| has_axis(&axes, key)) {
            return Err(fail(
                "set",
                format!("`{key}` is both fixed under [set] and an axis; remove one"),
            ));
        }
        let sample = sample(&keys.sample, &axes, keys.objectives.is_empty())
            .map_err(|message| fail("sample", message))?;
        let objectives = keys
            .objectives
            .iter()
            .map(|text| Objective::parse(text).map_err(|message| fail("objectives", message)))
            .collect::<Result<Vec<_>, _>>()?;
        let constraints = keys
            .constraints
            .iter()
            .map(|text| Constraint::parse(text).map_err(|message| fail("constraints", message)))
            .collect::<Result<Vec<_>, _>>()?;
        let asked = objectives.iter().map(|objective| &objective.metric);
        let asked = asked.chain(constraints.iter().map(|constraint| &constraint.metric));
        let synth = keys.synth || asked.into_iter().any(|metric| is_synth_metric(metric));
        let here = path.parent().unwrap_or(Path::new(".")).to_path_buf();
        Ok(Self {
            name: keys.name,
            about: document.heading(),
            scenario: here.join(keys.scenario),
            here,
            seed: keys.seed,
            set,
            axes,
            sample,
            objectives,
            constraints,
            synth,
        })
    }
}

fn has_axis(axes: &[Axis], key: &str) -> bool {
    axes.iter().any(|axis| axis.key == key)
}

/// No key twice, and conditions only on earlier axes and values that these have.
fn check_axes(axes: &[Axis]) -> Result<(), String> {
    for (index, axis) in axes.iter().enumerate() {
        let earlier = &axes[..index];
        if has_axis(earlier, &axis.key) {
            return Err(format!("two axes have the key `{}`; merge them", axis.key));
        }
        for (key, values) in &axis.when {
            let Some(other) = earlier.iter().find(|axis| axis.key == *key) else {
                return Err(format!(
                    "axis `{}`: `when` names `{key}`, which is no axis above it",
                    axis.key
                ));
            };
            if let Some(value) = values.iter().find(|value| !other.values.contains(value)) {
                return Err(format!(
                    "axis `{}`: `when` names the value {value}, which axis `{key}` does not have",
                    axis.key
                ));
            }
        }
    }
    Ok(())
}

/// `[set]` may be written with dotted keys or as tables.
fn flatten_set(prefix: &str, table: &toml::Table, into: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let name = match prefix {
            "" => key.clone(),
            prefix => format!("{prefix}.{key}"),
        };
        match value {
            toml::Value::Table(inner) => flatten_set(&name, inner, into),
            value => into.push((name, assigned(value))),
        }
    }
}

/// A value as it stands behind `KEY=`.
fn assigned(value: &toml::Value) -> String {
    value.to_string()
}

fn sample(keys: &SampleKeys, axes: &[Axis], no_objectives: bool) -> Result<Sample, String> {
    let refuse = |given: bool, key: &str, kind: &str| match given {
        true => Err(format!(
            "`sample.{key}` has no meaning with kind = \"{kind}\""
        )),
        false => Ok(()),
    };
    match keys.kind {
        Kind::Grid => {
            refuse(keys.points.is_some(), "points", "grid")?;
            refuse(keys.fidelity.is_some(), "fidelity", "grid")?;
            refuse(keys.keep.is_some(), "keep", "grid")?;
            Ok(Sample::Grid)
        }
        Kind::Random => {
            refuse(keys.fidelity.is_some(), "fidelity", "random")?;
            refuse(keys.keep.is_some(), "keep", "random")?;
            match keys.points {
                Some(points) if points > 0 => Ok(Sample::Random(points)),
                _ => Err("a random sample needs `points`, at least 1".into()),
            }
        }
        Kind::Halving => {
            let Some(fidelity) = &keys.fidelity else {
                return Err(
                    "halving needs `fidelity = { key = \"app.requests\", values = [10, 40, 160] }`"
                        .into(),
                );
            };
            if fidelity.values.len() < 2 {
                return Err("`sample.fidelity.values` needs at least two values".into());
            }
            if has_axis(axes, &fidelity.key) {
                return Err(format!(
                    "`{}` is both an axis and the fidelity; remove the axis",
                    fidelity.key
                ));
            }
            let keep = keys.keep.unwrap_or(0.5);
            if !(keep > 0.0 && keep < 1.0) {
                return Err(format!("`sample.keep` lies between 0 and 1, not {keep}"));
            }
            if keys.points == Some(0) {
                return Err("`sample.points` is at least 1".into());
            }
            if no_objectives {
                return Err("halving needs `objectives` to tell better points from worse".into());
            }
            Ok(Sample::Halving(Halving {
                points: keys.points,
                key: fidelity.key.clone(),
                values: fidelity.values.iter().map(|value| shown(value).0).collect(),
                keep,
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Sweep, String> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("sweep.toml");
        std::fs::write(&path, text).unwrap();
        Sweep::read(&path).map_err(|error| error.to_string())
    }

    const HEAD: &str = "name = \"s\"\nscenario = \"a.toml\"\n";
    const AXIS: &str = "[[axis]]\nkey = \"app.size\"\nvalues = [\"64B\", \"2KiB\"]\n";

    #[test]
    fn a_whole_file_is_read() {
        let sweep = read(&format!(
            "{HEAD}objectives = [\"goodput_gbps max\", \"lut min\"]\n\
             constraints = [\"critical_path_ns <= 4.0\"]\n\
             [set]\napp.requests = 5\n\"link.loss\" = 0.1\n{AXIS}\
             [[axis]]\nkey = \"design.read_tags\"\nvalues = [8]\nwhen = {{ \"app.size\" = \"2KiB\" }}\n"
        ))
        .unwrap();
        assert_eq!(sweep.axes.len(), 2);
        assert!(sweep.synth);
        assert_eq!(
            sweep.set,
            [
                ("app.requests".to_owned(), "5".to_owned()),
                ("link.loss".to_owned(), "0.1".to_owned())
            ]
        );
    }

    #[test]
    fn mistakes_are_told_one_at_a_time() {
        for (text, part) in [
            (HEAD.to_owned(), "at least one [[axis]]"),
            (format!("{HEAD}{AXIS}{AXIS}"), "two axes have the key"),
            (
                format!("{HEAD}[set]\napp.size = \"1B\"\n{AXIS}"),
                "both fixed under [set] and an axis",
            ),
            (
                format!("{HEAD}{AXIS}when = {{ \"link.loss\" = 1 }}\n"),
                "which is no axis above it",
            ),
            (
                format!("{HEAD}objectives = [\"lut\"]\n{AXIS}"),
                "is no objective",
            ),
            (
                format!("{HEAD}sample = {{ kind = \"random\" }}\n{AXIS}"),
                "needs `points`",
            ),
            (
                format!("{HEAD}sample = {{ kind = \"halving\" }}\n{AXIS}"),
                "halving needs `fidelity",
            ),
            (
                format!("{HEAD}sample = {{ kind = \"grid\", points = 3 }}\n{AXIS}"),
                "has no meaning",
            ),
            (format!("{HEAD}{AXIS}vaules = [1]\n"), "unknown key"),
            (format!("nam = \"s\"\n{AXIS}"), "unknown key `nam`"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(part), "{error}\n{text}");
        }
    }

    /// Each example says what to look for, and stands in the gallery with its report.
    #[test]
    fn every_example_stands_in_the_gallery() {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = |path: &Path| std::fs::read_to_string(path).unwrap();
        let index = text(&project.join("docs/gallery/README.md"));
        let index = index.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut count = 0;
        for entry in std::fs::read_dir(project.join("examples/sweeps")).unwrap() {
            let path = entry.unwrap().path();
            let sweep = Sweep::read(&path).unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert_eq!(sweep.name, name);
            assert!(sweep.about.len() > 100, "{name}: {}", sweep.about);
            assert!(index.contains(&sweep.about), "{name}: run ci/gallery.sh");
            assert!(index.contains(&format!("sweep examples/sweeps/{name}.toml")));
            let report = text(&project.join(format!("docs/gallery/{name}.html")));
            assert!(report.contains(&sweep.about), "{name}: run ci/gallery.sh");
            assert!(report.len() < 1_000_000, "{name}: {} bytes", report.len());
            count += 1;
        }
        assert!(count >= 5);
    }
}
