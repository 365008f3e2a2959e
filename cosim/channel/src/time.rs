//! Simulated time and clock periods.

use std::fmt;
use std::ops::{Add, AddAssign, Mul};
use std::str::FromStr;

/// A point in simulated time, or a span of it, in picoseconds.
///
/// 64 bits of picoseconds last for 213 days. Additions saturate at
/// [`Time::NEVER`], so that "never, and 500 ns later" is still never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

/// The units a time is written in, largest first, with their picoseconds.
const UNITS: [(&str, u64); 5] = [
    ("s", 1_000_000_000_000),
    ("ms", 1_000_000_000),
    ("us", 1_000_000),
    ("ns", 1_000),
    ("ps", 1),
];

impl Time {
    /// The start of every simulation; as a span, nothing.
    pub const ZERO: Time = Time(0);
    /// Later than every event: the time of what will not happen by itself.
    pub const NEVER: Time = Time(u64::MAX);

    /// A time of `ps` picoseconds.
    #[inline]
    pub const fn from_ps(ps: u64) -> Self {
        Time(ps)
    }

    /// A time of `ns` nanoseconds, [`Time::NEVER`] if that does not fit.
    #[inline]
    pub const fn from_ns(ns: u64) -> Self {
        Time(ns.saturating_mul(1_000))
    }

    /// A time of `us` microseconds, [`Time::NEVER`] if that does not fit.
    #[inline]
    pub const fn from_us(us: u64) -> Self {
        Time(us.saturating_mul(1_000_000))
    }

    /// A time of `ms` milliseconds, [`Time::NEVER`] if that does not fit.
    #[inline]
    pub const fn from_ms(ms: u64) -> Self {
        Time(ms.saturating_mul(1_000_000_000))
    }

    /// The time in picoseconds.
    #[inline]
    pub const fn ps(self) -> u64 {
        self.0
    }

    /// The time in whole nanoseconds, rounded down.
    #[inline]
    pub const fn ns(self) -> u64 {
        self.0 / 1_000
    }

    /// True for [`Time::NEVER`].
    #[inline]
    pub const fn is_never(self) -> bool {
        self.0 == u64::MAX
    }

    /// The sum, or `None` if it is [`Time::NEVER`] or beyond.
    #[inline]
    pub const fn checked_add(self, span: Time) -> Option<Time> {
        match self.0.checked_add(span.0) {
            Some(u64::MAX) | None => None,
            Some(ps) => Some(Time(ps)),
        }
    }

    /// The span from `earlier` to this time, or `None` if `earlier` is later.
    #[inline]
    pub const fn checked_since(self, earlier: Time) -> Option<Time> {
        match self.0.checked_sub(earlier.0) {
            Some(ps) => Some(Time(ps)),
            None => None,
        }
    }

    /// The span from `earlier` to this time, zero if `earlier` is later.
    #[inline]
    pub const fn since(self, earlier: Time) -> Time {
        Time(self.0.saturating_sub(earlier.0))
    }

    /// The first multiple of `quantum` strictly after this time;
    /// [`Time::NEVER`] if there is none or the quantum is zero.
    #[inline]
    pub fn next_multiple_after(self, quantum: Time) -> Time {
        match self.0.checked_div(quantum.0) {
            Some(whole) => Time(whole.saturating_add(1).saturating_mul(quantum.0)),
            None => Time::NEVER,
        }
    }
}

impl Add for Time {
    type Output = Time;

    #[inline]
    fn add(self, span: Time) -> Time {
        Time(self.0.saturating_add(span.0))
    }
}

impl AddAssign for Time {
    #[inline]
    fn add_assign(&mut self, span: Time) {
        *self = *self + span;
    }
}

impl Mul<u64> for Time {
    type Output = Time;

    #[inline]
    fn mul(self, factor: u64) -> Time {
        Time(self.0.saturating_mul(factor))
    }
}

/// Exact, in the largest unit that is not above the value: `0s`, `500ns`,
/// `1.5us`, `12.345678us`. What is written can be read back.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_never() {
            return f.pad("never");
        }
        let (unit, ps) = UNITS
            .into_iter()
            .find(|&(_, ps)| self.0 >= ps)
            .unwrap_or(UNITS[0]);
        let (whole, part) = (self.0 / ps, self.0 % ps);
        if part == 0 {
            return f.pad(&format!("{whole}{unit}"));
        }
        let digits = ps.ilog10() as usize;
        let decimals = format!("{part:0digits$}");
        f.pad(&format!("{whole}.{}{unit}", decimals.trim_end_matches('0')))
    }
}

/// Why a text is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseTimeError {
    /// The unit is missing or not one of `s`, `ms`, `us`, `ns`, `ps`.
    #[error("`{0}` has no unit of time; write a number with s, ms, us, ns or ps, as in `500ns`")]
    Unit(String),
    /// What stands before the unit is no decimal number.
    #[error("`{0}` does not start with a decimal number; write for example `2us` or `1.5ms`")]
    Number(String),
    /// The value is finer than a picosecond or does not fit into 64 bits.
    #[error("`{0}` is not a whole number of picoseconds below 213 days")]
    Range(String),
    /// A frequency has no unit, or is zero.
    #[error("`{0}` is no frequency; write for example `250MHz` or `1.25GHz`")]
    Frequency(String),
}

impl FromStr for Time {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        let trimmed = text.trim();
        let start = unit_start(trimmed);
        let unit = trimmed[start..].trim();
        let ps = match unit {
            "µs" => 1_000_000,
            _ => UNITS
                .into_iter()
                .find(|(name, _)| *name == unit)
                .map(|(_, ps)| ps)
                .ok_or_else(|| ParseTimeError::Unit(text.to_owned()))?,
        };
        scaled_decimal(trimmed[..start].trim(), ps, text)
            .and_then(|ps| u64::try_from(ps).map_err(|_| ParseTimeError::Range(text.to_owned())))
            .map(Time)
    }
}

/// Where the unit starts: behind the last digit, point or underscore.
fn unit_start(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
        .unwrap_or(text.len())
}

/// `number` × `scale` as an exact integer.
fn scaled_decimal(number: &str, scale: u64, text: &str) -> Result<u128, ParseTimeError> {
    let number: String = number.chars().filter(|&c| c != '_').collect();
    let (whole, part) = number.split_once('.').unwrap_or((&number, ""));
    let digits = format!("{whole}{part}");
    if digits.is_empty() || part.contains('.') {
        return Err(ParseTimeError::Number(text.to_owned()));
    }
    let range = || ParseTimeError::Range(text.to_owned());
    let divisor = u32::try_from(part.len())
        .ok()
        .and_then(|places| 10_u128.checked_pow(places))
        .ok_or_else(range)?;
    let scaled = digits
        .parse::<u128>()
        .ok()
        .and_then(|value| value.checked_mul(u128::from(scale)))
        .ok_or_else(range)?;
    if scaled % divisor != 0 {
        return Err(range());
    }
    Ok(scaled / divisor)
}

/// A clock period as a rational number of picoseconds.
///
/// Edge *n* is at floor(*n* · num / den) ps: a clock of 322.265625 MHz does
/// not drift, however long it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockPeriod {
    numerator: u64,
    denominator: u64,
}

impl ClockPeriod {
    /// A period of `numerator / denominator` ps; `None` unless the period is
    /// at least 1 ps and both numbers are greater than zero.
    #[inline]
    pub const fn new(numerator: u64, denominator: u64) -> Option<Self> {
        if denominator == 0 || numerator < denominator {
            return None;
        }
        let divisor = gcd(numerator, denominator);
        Some(ClockPeriod {
            numerator: numerator / divisor,
            denominator: denominator / divisor,
        })
    }

    /// The period of a clock of `hz` hertz; `None` for zero and above 1 THz.
    #[inline]
    pub fn from_hz(hz: u64) -> Option<Self> {
        ClockPeriod::new(1_000_000_000_000, hz)
    }

    /// Numerator of the reduced fraction, in picoseconds.
    #[inline]
    pub const fn numerator(self) -> u64 {
        self.numerator
    }

    /// Denominator of the reduced fraction.
    #[inline]
    pub const fn denominator(self) -> u64 {
        self.denominator
    }

    /// The time of edge `n`; edge 0 is at time zero.
    #[inline]
    pub fn edge(self, n: u64) -> Time {
        // Asked in every clock cycle; the wide division is slow and hardly ever needed.
        if let Some(product) = n.checked_mul(self.numerator) {
            return Time(product / self.denominator);
        }
        let ps = u128::from(n) * u128::from(self.numerator) / u128::from(self.denominator);
        u64::try_from(ps).map_or(Time::NEVER, Time)
    }

    /// The number of the first edge at or after `time`, which is also the
    /// count of edges strictly before `time`.
    #[inline]
    pub fn first_edge_at_or_after(self, time: Time) -> u64 {
        // floor(n·num/den) ≥ t exactly if n·num/den ≥ t, because t is whole.
        let edges = (u128::from(time.0) * u128::from(self.denominator))
            .div_ceil(u128::from(self.numerator));
        u64::try_from(edges).unwrap_or(u64::MAX)
    }
}

/// Reads a frequency: `250MHz`, `322.265625MHz`, `1.25GHz`.
impl FromStr for ClockPeriod {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        let wrong = || ParseTimeError::Frequency(text.to_owned());
        let trimmed = text.trim();
        let start = unit_start(trimmed);
        let scale = match trimmed[start..].trim() {
            "Hz" => 1,
            "kHz" => 1_000,
            "MHz" => 1_000_000,
            "GHz" => 1_000_000_000,
            _ => return Err(wrong()),
        };
        let hz = scaled_decimal(trimmed[..start].trim(), scale, text).map_err(|_| wrong())?;
        u64::try_from(hz)
            .ok()
            .and_then(ClockPeriod::from_hz)
            .ok_or_else(wrong)
    }
}

const fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_and_written_with_units() {
        for (text, ps) in [
            ("500ns", 500_000),
            ("2us", 2_000_000),
            ("1.5 us", 1_500_000),
            ("0s", 0),
            ("1_000ps", 1_000),
            ("3µs", 3_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Time::from_ps(ps)), "{text}");
        }
        assert_eq!(Time::from_ps(12_345_678).to_string(), "12.345678us");
        assert_eq!(Time::NEVER.to_string(), "never");
    }

    #[test]
    fn texts_that_are_no_times_are_refused_with_a_reason() {
        use ParseTimeError as E;
        let parse = |text: &str| text.parse::<Time>().unwrap_err();
        assert_eq!(parse("500"), E::Unit("500".into()));
        assert_eq!(parse("5 parsec"), E::Unit("5 parsec".into()));
        assert_eq!(parse("ns"), E::Number("ns".into()));
        assert_eq!(parse("1.2.3ns"), E::Number("1.2.3ns".into()));
        assert_eq!(parse("0.5ps"), E::Range("0.5ps".into()));
        assert_eq!(parse("99999999999s"), E::Range("99999999999s".into()));
    }

    #[test]
    fn never_absorbs_additions() {
        assert_eq!(Time::NEVER + Time::from_ns(1), Time::NEVER);
        assert_eq!(Time::from_ns(1).checked_add(Time::NEVER), None);
        assert_eq!(Time::from_ns(1).checked_since(Time::from_ns(2)), None);
    }

    #[test]
    fn the_next_multiple_is_strictly_later() {
        let quantum = Time::from_us(1);
        assert_eq!(
            Time::from_us(3).next_multiple_after(quantum),
            Time::from_us(4)
        );
        assert_eq!(
            Time::from_ns(2_999).next_multiple_after(quantum),
            Time::from_us(3)
        );
        assert_eq!(Time::ZERO.next_multiple_after(Time::ZERO), Time::NEVER);
    }

    #[test]
    fn a_fractional_clock_does_not_drift() {
        let clock: ClockPeriod = "322.265625MHz".parse().unwrap();
        assert_eq!(clock.edge(1), Time::from_ps(3_103));
        assert_eq!(clock.edge(322_265_625), Time::from_ms(1_000));
        assert!("0MHz".parse::<ClockPeriod>().is_err());
        assert!("250".parse::<ClockPeriod>().is_err());
    }

    proptest! {
        #[test]
        fn a_time_survives_writing_and_reading(ps in 0..u64::MAX) {
            let time = Time::from_ps(ps);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }

        #[test]
        fn the_first_edge_is_found(num in 1_u64..10_000, den in 1_u64..100, ps in 0_u64..1 << 40) {
            prop_assume!(num >= den);
            let clock = ClockPeriod::new(num, den).unwrap();
            let n = clock.first_edge_at_or_after(Time::from_ps(ps));
            prop_assert!(clock.edge(n).ps() >= ps);
            prop_assert!(n == 0 || clock.edge(n - 1).ps() < ps);
        }
    }
}
