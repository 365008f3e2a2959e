//! Time on the wire.
//!
//! A frame message is stamped with the arrival of its last bit. The sender
//! serialises: it occupies its line for preamble, frame, FCS and gap. Nothing
//! on the way does that again, except a switch.

use std::fmt;
use std::str::FromStr;

use crate::time::Time;

/// Preamble and start delimiter, in bytes (IEEE 802.3 §3.1.1).
pub const PREAMBLE_BYTES: u64 = 8;
/// Frame check sequence, in bytes.
pub const FCS_BYTES: u64 = 4;
/// Gap between frames, in bytes.
pub const GAP_BYTES: u64 = 12;
/// Shortest frame without FCS, in bytes; shorter ones are padded.
pub const MIN_FRAME_BYTES: u64 = 60;

/// Bytes that a frame of `len` bytes (without FCS) occupies on the wire,
/// preamble, padding, FCS and gap included.
#[inline]
pub const fn wire_bytes(len: usize) -> u64 {
    let len = len as u64;
    let padded = if len < MIN_FRAME_BYTES {
        MIN_FRAME_BYTES
    } else {
        len
    };
    PREAMBLE_BYTES + padded + FCS_BYTES + GAP_BYTES
}

/// A line rate in bits per second, such as `100Gbps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineRate(u64);

impl LineRate {
    /// A rate of `bps` bits per second; `None` for zero.
    #[inline]
    pub const fn from_bps(bps: u64) -> Option<Self> {
        if bps == 0 { None } else { Some(LineRate(bps)) }
    }

    /// Bits per second.
    #[inline]
    pub const fn bps(self) -> u64 {
        self.0
    }

    /// How long `bytes` take, rounded up to a picosecond.
    #[inline]
    pub fn span(self, bytes: u64) -> Time {
        if let Some(product) = bytes.checked_mul(8_000_000_000_000) {
            return Time::from_ps(product.div_ceil(self.0));
        }
        let ps = (u128::from(bytes) * 8_000_000_000_000).div_ceil(u128::from(self.0));
        u64::try_from(ps).map_or(Time::NEVER, Time::from_ps)
    }
}

/// A text is no line rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no line rate; write for example `100Gbps`")]
pub struct ParseRateError(String);

impl FromStr for LineRate {
    type Err = ParseRateError;

    fn from_str(text: &str) -> Result<Self, ParseRateError> {
        let wrong = || ParseRateError(text.to_owned());
        let trimmed = text.trim();
        let digits = trimmed
            .find(|c: char| !c.is_ascii_digit())
            .ok_or_else(wrong)?;
        let scale = match trimmed[digits..].trim() {
            "bps" => 1,
            "kbps" => 1_000,
            "Mbps" => 1_000_000,
            "Gbps" => 1_000_000_000,
            "Tbps" => 1_000_000_000_000,
            _ => return Err(wrong()),
        };
        let number: u64 = trimmed[..digits].parse().map_err(|_| wrong())?;
        number
            .checked_mul(scale)
            .and_then(LineRate::from_bps)
            .ok_or_else(wrong)
    }
}

impl fmt::Display for LineRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            (1_000_000_000, "Gbps"),
            (1_000_000, "Mbps"),
            (1_000, "kbps"),
        ];
        let (scale, unit) = units
            .into_iter()
            .find(|&(scale, _)| self.0.is_multiple_of(scale))
            .unwrap_or((1, "bps"));
        write!(f, "{}{unit}", self.0 / scale)
    }
}

/// The sending side of a line: one frame after another.
#[derive(Clone, Debug)]
pub struct Transmitter {
    rate: LineRate,
    free_at: Time,
}

impl Transmitter {
    /// An idle line.
    pub fn new(rate: LineRate) -> Self {
        Transmitter {
            rate,
            free_at: Time::ZERO,
        }
    }

    /// The earliest start of the next preamble.
    #[inline]
    pub fn free_at(&self) -> Time {
        self.free_at
    }

    /// Sends a frame of `len` bytes (without FCS) as soon as possible from
    /// `now` on. Returns when its last bit leaves, which is the stamp of the
    /// frame message.
    #[inline]
    pub fn transmit(&mut self, now: Time, len: usize) -> Time {
        let start = self.free_at.max(now);
        let last_bit = start + self.rate.span(wire_bytes(len) - GAP_BYTES);
        self.free_at = last_bit + self.rate.span(GAP_BYTES);
        last_bit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_follow_each_other_with_padding_and_gap() {
        let mut line = Transmitter::new("100Gbps".parse().unwrap());
        // 8 + 60 + 4 bytes at 80 ps, then 12 bytes of gap.
        assert_eq!(
            line.transmit(Time::from_ns(1), 14),
            Time::from_ps(1_000 + 72 * 80)
        );
        assert_eq!(line.free_at(), Time::from_ps(1_000 + 84 * 80));
        assert_eq!(
            line.transmit(Time::ZERO, 1_514),
            Time::from_ps(1_000 + (84 + 1_526) * 80)
        );
        assert_eq!(line.free_at(), Time::from_ps(1_000 + (84 + 1_538) * 80));
    }

    #[test]
    fn rates_are_read_and_written_with_units() {
        for text in ["100Gbps", "1500Mbps", "7bps"] {
            assert_eq!(text.parse::<LineRate>().unwrap().to_string(), text);
        }
        for text in ["100", "Gbps", "0Gbps", "1.5Gbps", "99999999999Gbps"] {
            assert!(text.parse::<LineRate>().is_err(), "{text}");
        }
    }
}
