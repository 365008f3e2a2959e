//! Quantities as people write them in TOML files: a number and a unit in one string.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Why a quantity could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// No number in front of the unit.
    #[error("`{text}` does not start with a number; write it as {example}")]
    Number {
        /// What was written.
        text: String,
        /// A value of this kind.
        example: &'static str,
    },
    /// The unit is missing or not one of the quantity's.
    #[error("`{text}` has {found}; use one of {expected}, as in {example}")]
    Unit {
        /// What was written.
        text: String,
        /// What stood in the unit's place.
        found: String,
        /// The units that are understood.
        expected: String,
        /// A value of this kind.
        example: &'static str,
    },
    /// The value is not a whole number of the base unit, or too large for 64 bits.
    #[error("`{text}` is not a whole number of {base} below 2^64")]
    Range {
        /// What was written.
        text: String,
        /// The base unit.
        base: &'static str,
    },
}

/// Reads `text` as a decimal number and one of `units` (name, factor to the base unit),
/// exactly: no float is involved.
///
/// # Errors
/// Says what is missing and shows `example`.
pub fn parse_quantity(
    text: &str,
    units: &[(&str, u64)],
    base: &'static str,
    example: &'static str,
) -> Result<u64, UnitError> {
    let trimmed = text.trim();
    let split = trimmed
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
        .unwrap_or(trimmed.len());
    let (number, unit) = (trimmed[..split].replace('_', ""), trimmed[split..].trim());
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
    if whole.is_empty() || fraction.contains('.') {
        return Err(UnitError::Number {
            text: text.into(),
            example,
        });
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(UnitError::Unit {
            text: text.into(),
            found: if unit.is_empty() {
                "no unit".into()
            } else {
                format!("the unit `{unit}`")
            },
            expected: units
                .iter()
                .map(|(name, _)| *name)
                .collect::<Vec<_>>()
                .join(", "),
            example,
        });
    };
    let range = || UnitError::Range {
        text: text.into(),
        base,
    };
    let fraction = fraction.trim_end_matches('0');
    let scale = 10u128
        .checked_pow(u32::try_from(fraction.len()).map_err(|_| range())?)
        .ok_or_else(range)?;
    let digits: u128 = format!("{whole}{fraction}").parse().map_err(|_| range())?;
    let value = digits.checked_mul(u128::from(*factor)).ok_or_else(range)?;
    if value % scale != 0 {
        return Err(range());
    }
    u64::try_from(value / scale).map_err(|_| range())
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $base:literal, $example:literal, [$(($unit:literal, $factor:expr)),* $(,)?]) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl FromStr for $name {
            type Err = UnitError;
            fn from_str(text: &str) -> Result<Self, UnitError> {
                parse_quantity(text, &[$(($unit, $factor)),*], $base, $example).map(Self)
            }
        }

        impl fmt::Display for $name {
            /// The largest unit that gives a whole number.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let units: &[(&str, u64)] = &[$(($unit, $factor)),*];
                let (unit, factor) = units
                    .iter()
                    .filter(|(_, factor)| self.0 % factor == 0)
                    .max_by_key(|(_, factor)| if self.0 == 0 { u64::MAX - factor } else { *factor })
                    .expect("the base unit divides everything");
                write!(f, "{}{unit}", self.0 / factor)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("a string with a unit, such as ", $example))
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                d.deserialize_str(Text)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "pattern": concat!(r"^\s*[0-9_]+(\.[0-9_]*)?\s*(", $("|", $unit,)* r")\s*$").replacen("(|", "(", 1),
                    "examples": [$example.trim_matches('"')],
                })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
    };
}

quantity! {
    /// A frequency in hertz, written `"250MHz"`.
    Frequency, "hertz", "\"250MHz\"",
    [("Hz", 1), ("kHz", 1_000), ("MHz", 1_000_000), ("GHz", 1_000_000_000)]
}
quantity! {
    /// A number of bytes, written `"64KiB"` or `"1500B"`.
    ByteCount, "bytes", "\"64KiB\"",
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("kB", 1_000), ("MB", 1_000_000)]
}
quantity! {
    /// A data rate in bits per second, written `"100Gbps"`.
    BitRate, "bits per second", "\"100Gbps\"",
    [("bps", 1), ("kbps", 1_000), ("Mbps", 1_000_000), ("Gbps", 1_000_000_000)]
}
quantity! {
    /// A span of simulated time in picoseconds, written `"500ns"`.
    Duration, "picoseconds", "\"500ns\"",
    [("ps", 1), ("ns", 1_000), ("us", 1_000_000), ("ms", 1_000_000_000), ("s", 1_000_000_000_000)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_exact() {
        assert_eq!("322.27MHz".parse(), Ok(Frequency(322_270_000)));
        assert_eq!("64KiB".parse(), Ok(ByteCount(65536)));
        assert_eq!("0.5us".parse(), Ok(Duration(500_000)));
        assert_eq!("100Gbps".parse(), Ok(BitRate(100_000_000_000)));
        assert!("0.5ps".parse::<Duration>().is_err());
        assert!("99999999999s".parse::<Duration>().is_err());
    }

    #[test]
    fn mistakes_name_the_remedy() {
        let message = "100".parse::<BitRate>().unwrap_err().to_string();
        assert!(
            message.contains("no unit") && message.contains("Gbps"),
            "{message}"
        );
        let message = "fast".parse::<BitRate>().unwrap_err().to_string();
        assert!(
            message.contains("does not start with a number"),
            "{message}"
        );
        let message = "1 parsec".parse::<Duration>().unwrap_err().to_string();
        assert!(
            message.contains("`parsec`") && message.contains("ns"),
            "{message}"
        );
    }

    #[test]
    fn a_number_without_quotes_is_answered_with_an_example() {
        let table = "v = 100".parse::<toml::Table>().unwrap();
        let error = BitRate::deserialize(table["v"].clone())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("a string with a unit, such as \"100Gbps\""),
            "{error}"
        );
    }

    #[test]
    fn display_is_the_shortest_whole_form() {
        assert_eq!(Duration(1_500_000).to_string(), "1500ns");
        assert_eq!(ByteCount(65536).to_string(), "64KiB");
        assert_eq!(Frequency(250_000_000).to_string(), "250MHz");
        assert_eq!(Duration(0).to_string(), "0ps");
    }
}
