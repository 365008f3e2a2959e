//! Axes: the values that one key takes.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Most values of one axis.
const MOST_VALUES: usize = 10_000;

/// One value of an axis, as it is written and shown: `64`, `0.01`, `2KiB`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub String);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// In the schema: a number, a word, or a quantity with its unit.
pub struct Scalar;

impl JsonSchema for Scalar {
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "boolean", "string"] })
    }
}

/// An axis as the sweep file has it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AxisKeys {
    /// Key of the scenario, or of the design point with `design.` in front.
    pub key: String,
    /// Its values, one by one.
    #[schemars(with = "Option<Vec<Scalar>>")]
    pub values: Option<Vec<toml::Value>>,
    /// Evenly spaced values.
    pub range: Option<Range>,
    /// Values with a constant ratio.
    pub log: Option<Log>,
    /// The axis exists only where other axes have one of these values.
    #[serde(default)]
    pub when: BTreeMap<String, OneOrMore>,
}

/// `{ from, to, step }`, both ends included.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// First value.
    #[schemars(with = "Scalar")]
    pub from: toml::Value,
    /// Largest value.
    #[schemars(with = "Scalar")]
    pub to: toml::Value,
    /// Distance of two values.
    #[schemars(with = "Scalar")]
    pub step: toml::Value,
}

/// `{ from, to, points }` or `{ from, to, factor }`, both ends included.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// First value.
    #[schemars(with = "Scalar")]
    pub from: toml::Value,
    /// Last value; with `factor`, the largest.
    #[schemars(with = "Scalar")]
    pub to: toml::Value,
    /// Number of values.
    pub points: Option<usize>,
    /// Ratio of two values.
    pub factor: Option<f64>,
}

/// One value or a list of them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMore {
    /// Several.
    More(#[schemars(with = "Vec<Scalar>")] Vec<toml::Value>),
    /// One.
    One(#[schemars(with = "Scalar")] toml::Value),
}

/// An axis with its values worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Key as written in the sweep file.
    pub key: String,
    /// Values in the order of the file.
    pub values: Vec<Value>,
    /// Conditions: key of an earlier axis and the values for which this one exists.
    pub when: Vec<(String, Vec<Value>)>,
}

/// Why an axis has no values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AxisError {
    /// None or several of the three ways were used.
    #[error("give exactly one of `values`, `range` and `log`")]
    Which,
    /// No value at all.
    #[error("the axis has no values; {0}")]
    Empty(String),
    /// More values than anybody wants to run.
    #[error("the axis has more than {MOST_VALUES} values")]
    TooMany,
    /// The same value twice would be the same point twice.
    #[error("the value `{0}` stands twice")]
    Twice(String),
    /// Neither a number nor a number with a unit.
    #[error("`{0}` is neither a number nor a number with a unit such as \"64KiB\"")]
    NoNumber(String),
    /// From and to in different units.
    #[error("`{0}` and `{1}` have different units; write both in one")]
    Units(String, String),
    /// A step of the wrong sign or zero.
    #[error("a {0} must be greater than {1}, not {2}")]
    Step(&'static str, u32, String),
    /// Values with a constant ratio start above zero.
    #[error("a `log` axis starts above zero, not at {0}")]
    LogFromZero(String),
    /// Points and factor both or neither.
    #[error("give a `log` axis either `points` (2 or more) or `factor`")]
    LogSpacing,
}

/// The text of a TOML value as an axis shows it.
pub fn shown(value: &toml::Value) -> Value {
    Value(match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

impl AxisKeys {
    /// Works the values out.
    ///
    /// # Errors
    /// [`AxisError`]; the caller knows the place.
    pub fn resolve(&self) -> Result<Axis, AxisError> {
        let values = match (&self.values, &self.range, &self.log) {
            (Some(values), None, None) => values.iter().map(shown).collect(),
            (None, Some(range), None) => range.values()?,
            (None, None, Some(log)) => log.values()?,
            _ => return Err(AxisError::Which),
        };
        if values.is_empty() {
            return Err(AxisError::Empty("list at least one".into()));
        }
        let mut seen = std::collections::BTreeSet::new();
        for value in &values {
            if !seen.insert(value) {
                return Err(AxisError::Twice(value.0.clone()));
            }
        }
        let when = self
            .when
            .iter()
            .map(|(key, values)| {
                let values = match values {
                    OneOrMore::One(value) => vec![shown(value)],
                    OneOrMore::More(values) => values.iter().map(shown).collect(),
                };
                (key.clone(), values)
            })
            .collect();
        Ok(Axis {
            key: self.key.clone(),
            values,
            when,
        })
    }
}

/// A number with the unit it was written in, and whether it was a whole one.
#[derive(Clone, Debug, PartialEq)]
struct Quantity {
    number: f64,
    unit: String,
    whole: bool,
}

impl Quantity {
    fn read(value: &toml::Value) -> Result<Self, AxisError> {
        match value {
            toml::Value::Integer(number) => Ok(Self {
                number: *number as f64,
                unit: String::new(),
                whole: true,
            }),
            toml::Value::Float(number) if number.is_finite() => Ok(Self {
                number: *number,
                unit: String::new(),
                whole: false,
            }),
            toml::Value::String(text) => {
                let split = text
                    .find(|c: char| !(c.is_ascii_digit() || c == '.'))
                    .unwrap_or(text.len());
                let number = text[..split]
                    .parse()
                    .map_err(|_| AxisError::NoNumber(text.clone()))?;
                let unit = text[split..].trim().to_owned();
                Ok(Self {
                    number,
                    // Quantities are exact: 1.5KiB is a whole number of bytes, 1.3KiB is none.
                    whole: !text[..split].contains('.'),
                    unit,
                })
            }
            other => Err(AxisError::NoNumber(other.to_string())),
        }
    }

    /// Both in the same unit; whole numbers only if all are.
    fn pair(from: &toml::Value, to: &toml::Value) -> Result<(Self, Self), AxisError> {
        let (a, b) = (Self::read(from)?, Self::read(to)?);
        if a.unit != b.unit {
            return Err(AxisError::Units(shown(from).0, shown(to).0));
        }
        Ok((a, b))
    }
}

/// A number as short as it can be told apart, whole where all ends were whole.
fn written(number: f64, unit: &str, whole: bool) -> Value {
    let number = if whole {
        format!("{}", number.round())
    } else {
        // Twelve significant digits: sums of decimal steps do not show their rounding.
        let rounded: f64 = format!("{number:.11e}").parse().unwrap_or(number);
        let text = format!("{rounded}");
        match unit.is_empty() && !text.contains('.') {
            true => format!("{text}.0"),
            false => text,
        }
    };
    Value(format!("{number}{unit}"))
}

impl Range {
    fn values(&self) -> Result<Vec<Value>, AxisError> {
        let (from, to) = Quantity::pair(&self.from, &self.to)?;
        let (_, step) = Quantity::pair(&self.from, &self.step)?;
        if step.number <= 0.0 {
            return Err(AxisError::Step("step", 0, shown(&self.step).0));
        }
        if from.number > to.number {
            let (from, to) = (shown(&self.from), shown(&self.to));
            return Err(AxisError::Empty(format!("{from} is greater than {to}")));
        }
        let count = ((to.number - from.number) / step.number + 1e-9).floor() as usize + 1;
        if count > MOST_VALUES {
            return Err(AxisError::TooMany);
        }
        let whole = from.whole && step.whole;
        Ok((0..count)
            .map(|i| written(from.number + i as f64 * step.number, &from.unit, whole))
            .collect())
    }
}

impl Log {
    fn values(&self) -> Result<Vec<Value>, AxisError> {
        let (from, to) = Quantity::pair(&self.from, &self.to)?;
        if from.number <= 0.0 {
            return Err(AxisError::LogFromZero(shown(&self.from).0));
        }
        if from.number > to.number {
            let (from, to) = (shown(&self.from), shown(&self.to));
            return Err(AxisError::Empty(format!("{from} is greater than {to}")));
        }
        let span = to.number / from.number;
        let numbers: Vec<f64> = match (self.points, self.factor) {
            (Some(points), None) if (2..=MOST_VALUES).contains(&points) => (0..points)
                .map(|i| from.number * span.powf(i as f64 / (points - 1) as f64))
                .collect(),
            (Some(points), None) if points > MOST_VALUES => return Err(AxisError::TooMany),
            (None, Some(factor)) => {
                if factor <= 1.0 || !factor.is_finite() {
                    return Err(AxisError::Step("factor", 1, factor.to_string()));
                }
                let count = (span.ln() / factor.ln() + 1e-9).floor() as usize + 1;
                if count > MOST_VALUES {
                    return Err(AxisError::TooMany);
                }
                (0..count)
                    .map(|i| from.number * factor.powi(i as i32))
                    .collect()
            }
            _ => return Err(AxisError::LogSpacing),
        };
        let whole = from.whole && to.whole;
        let mut values: Vec<Value> = numbers
            .into_iter()
            .map(|number| match whole {
                true => written(number, &from.unit, true),
                // Three digits are enough to tell points of a curve apart.
                false => written(
                    format!("{number:.2e}").parse().unwrap_or(number),
                    &from.unit,
                    false,
                ),
            })
            .collect();
        values.dedup();
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(text: &str) -> Result<Vec<String>, AxisError> {
        let keys: AxisKeys = toml::from_str(&format!("key = \"k\"\n{text}")).unwrap();
        let axis = keys.resolve()?;
        Ok(axis.values.into_iter().map(|value| value.0).collect())
    }

    #[test]
    fn ranges_include_both_ends() {
        assert_eq!(
            axis("range = { from = 8, to = 32, step = 8 }").unwrap(),
            ["8", "16", "24", "32"]
        );
        assert_eq!(
            axis("range = { from = 0.0, to = 0.3, step = 0.1 }").unwrap(),
            ["0.0", "0.1", "0.2", "0.3"]
        );
        assert_eq!(
            axis("range = { from = \"100ns\", to = \"300ns\", step = \"100ns\" }").unwrap(),
            ["100ns", "200ns", "300ns"]
        );
    }

    #[test]
    fn log_ranges_have_a_constant_ratio() {
        assert_eq!(
            axis("log = { from = 64, to = 1024, factor = 4 }").unwrap(),
            ["64", "256", "1024"]
        );
        assert_eq!(
            axis("log = { from = \"64B\", to = \"4096B\", points = 4 }").unwrap(),
            ["64B", "256B", "1024B", "4096B"]
        );
        assert_eq!(
            axis("log = { from = 0.0001, to = 0.01, points = 3 }").unwrap(),
            ["0.0001", "0.001", "0.01"]
        );
    }

    #[test]
    fn what_has_no_values_is_refused() {
        assert!(matches!(axis("values = []"), Err(AxisError::Empty(_))));
        assert_eq!(axis(""), Err(AxisError::Which));
        assert_eq!(axis("values = [1, 1]"), Err(AxisError::Twice("1".into())));
        assert!(matches!(
            axis("range = { from = 9, to = 8, step = 1 }"),
            Err(AxisError::Empty(_))
        ));
        assert!(matches!(
            axis("range = { from = 1, to = 8, step = 0 }"),
            Err(AxisError::Step("step", 0, _))
        ));
        assert!(matches!(
            axis("log = { from = \"1KiB\", to = \"1MiB\", points = 4 }"),
            Err(AxisError::Units(..))
        ));
        assert!(matches!(
            axis("log = { from = 0, to = 8, points = 4 }"),
            Err(AxisError::LogFromZero(_))
        ));
        assert_eq!(
            axis("range = { from = 1, to = 1000000, step = 1 }"),
            Err(AxisError::TooMany)
        );
    }
}
