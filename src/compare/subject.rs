//! What is compared: the summary of a run, or the rows of a sweep.

use crate::sweep::metric::Metrics;
use crate::sweep::table::metrics_of;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Its number in the sweep.
    pub number: usize,
    /// Its figures.
    pub metrics: Metrics,
    /// What binds it, if anything does.
    pub binds: Option<String>,
    /// Why it has no figures.
    pub problem: Option<String>,
}

/// The points of a result by the values of their axes; a run is one point without a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// By name.
    pub points: BTreeMap<String, Point>,
}

/// Why there is nothing to compare.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// A file is not there or cannot be read.
    #[error("cannot read {path}: {error}; name the directory of a run or of a sweep that is whole")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file is none of ours.
    #[error("{path}: {what}; name the directory of a run or of a sweep")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The run was interrupted or failed.
    #[error("{0}: the run is not whole (`complete` is false); run it again")]
    Incomplete(PathBuf),
}

impl Subject {
    /// Reads the directory of a run or of a sweep, or the file in it that has the figures.
    ///
    /// # Errors
    /// [`SubjectError`].
    pub fn read(path: &Path) -> Result<Self, SubjectError> {
        let rows = path.join("results.jsonl");
        let file = match path.is_dir() {
            true if rows.is_file() => rows,
            true => path.join("summary.json"),
            false => path.to_owned(),
        };
        let text = std::fs::read_to_string(&file).map_err(|error| SubjectError::Io {
            path: file.clone(),
            error,
        })?;
        match file.extension().is_some_and(|ending| ending == "jsonl") {
            true => Self::of_rows(&file, &text),
            false => Self::of_summary(&file, &text),
        }
    }

    fn of_summary(path: &Path, text: &str) -> Result<Self, SubjectError> {
        let summary: Value = serde_json::from_str(text).map_err(|error| foreign(path, error))?;
        let Some(complete) = summary["complete"].as_bool() else {
            return Err(foreign(path, "no summary of a run"));
        };
        if !complete {
            return Err(SubjectError::Incomplete(path.to_owned()));
        }
        let point = Point {
            number: 0,
            metrics: metrics_of(&summary),
            binds: text_of(&summary["verdict"]["binds"]),
            problem: None,
        };
        Ok(Self {
            points: BTreeMap::from([(String::new(), point)]),
        })
    }

    fn of_rows(path: &Path, text: &str) -> Result<Self, SubjectError> {
        let mut points = BTreeMap::new();
        for line in text.lines() {
            let row: Value = serde_json::from_str(line).map_err(|error| foreign(path, error))?;
            let (Some(axes), Some(figures)) = (row["axes"].as_object(), row["metrics"].as_object())
            else {
                return Err(foreign(path, "no table of a sweep"));
            };
            let values = axes.iter().filter(|(_, value)| !value.is_null());
            let mut name: Vec<String> = values
                .map(|(key, value)| match value {
                    Value::String(text) => format!("{key} = {text}"),
                    other => format!("{key} = {other}"),
                })
                .collect();
            if let Some(rung) = row["rung"].as_u64().filter(|rung| *rung > 0) {
                name.push(format!("rung {rung}"));
            }
            let status = row["status"].as_str().unwrap_or("");
            let problem = match status {
                "done" | "infeasible" if !figures.is_empty() => None,
                _ => {
                    let reason = row["reason"].as_str().unwrap_or("");
                    Some(format!("{status}: {reason}"))
                }
            };
            let number = points.len();
            let numbers = figures.iter();
            points.insert(
                name.join(", "),
                Point {
                    number,
                    metrics: numbers
                        .filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)))
                        .collect(),
                    binds: text_of(&row["binds"]),
                    problem,
                },
            );
        }
        Ok(Self { points })
    }
}

fn text_of(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn foreign(path: &Path, what: impl ToString) -> SubjectError {
    SubjectError::Foreign {
        path: path.to_owned(),
        what: what.to_string(),
    }
}
