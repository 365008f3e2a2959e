//! The part of a run that is written as waveforms.

use hallux_channel::{ParseTimeError, Time};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A span of simulated time, `10us..12us`: from the first time up to, not including, the
/// second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaveWindow {
    /// Start.
    pub from: Time,
    /// End.
    pub to: Time,
}

impl WaveWindow {
    /// True for a time inside.
    pub fn contains(&self, time: Time) -> bool {
        self.from <= time && time < self.to
    }
}

/// Why a text is no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseWindowError {
    /// No two times with `..` between.
    #[error("`{0}` is no span of time; write for example `10us..12us`")]
    Form(String),
    /// One of the times cannot be read.
    #[error("in the span `{text}`: {error}")]
    Time {
        /// The whole text.
        text: String,
        /// What is wrong with one of its times.
        error: ParseTimeError,
    },
    /// The span ends before it begins.
    #[error("the span `{0}` is empty; its second time must be later than its first")]
    Empty(String),
}

/// As it is read.
impl fmt::Display for WaveWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.to)
    }
}

impl FromStr for WaveWindow {
    type Err = ParseWindowError;

    fn from_str(text: &str) -> Result<Self, ParseWindowError> {
        let (from, to) = text
            .split_once("..")
            .ok_or_else(|| ParseWindowError::Form(text.to_owned()))?;
        let time = |part: &str| {
            part.parse::<Time>()
                .map_err(|error| ParseWindowError::Time {
                    text: text.to_owned(),
                    error,
                })
        };
        let window = WaveWindow {
            from: time(from)?,
            to: time(to)?,
        };
        if window.from >= window.to {
            return Err(ParseWindowError::Empty(text.to_owned()));
        }
        Ok(window)
    }
}

/// A window and the file it is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaveFile {
    /// The span of simulated time.
    pub window: WaveWindow,
    /// The file.
    pub path: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_with_units() {
        let window: WaveWindow = "10us..12.5us".parse().unwrap();
        assert_eq!(
            window,
            WaveWindow {
                from: Time::from_us(10),
                to: Time::from_ns(12_500)
            }
        );
        assert!(window.contains(Time::from_us(10)) && !window.contains(window.to));
        assert!(matches!(
            "10us".parse::<WaveWindow>(),
            Err(ParseWindowError::Form(_))
        ));
        assert!(matches!(
            "10us..12".parse::<WaveWindow>(),
            Err(ParseWindowError::Time { .. })
        ));
        assert!(matches!(
            "2us..1us".parse::<WaveWindow>(),
            Err(ParseWindowError::Empty(_))
        ));
    }
}
