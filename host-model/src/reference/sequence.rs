//! Quantities that wrap at 2³².

use std::fmt;
use std::ops::{Add, Sub};

/// A TCP sequence number (RFC 9293 §3.4). It wraps, so it has no `<`: of two numbers less
/// than 2³¹ apart, the one that [`precedes`](Self::precedes) the other is the older.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SeqNumber(pub u32);

impl SeqNumber {
    /// `self < other` in sequence order.
    pub const fn precedes(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// The later of two numbers.
    pub const fn max(self, other: Self) -> Self {
        if self.precedes(other) { other } else { self }
    }
}

impl fmt::Debug for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl Add<u32> for SeqNumber {
    type Output = Self;
    fn add(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

impl Sub<u32> for SeqNumber {
    type Output = Self;
    fn sub(self, bytes: u32) -> Self {
        Self(self.0.wrapping_sub(bytes))
    }
}

impl Sub for SeqNumber {
    type Output = u32;
    /// Bytes from `other` forward to `self`; 2³¹ and more means that `self` is older.
    fn sub(self, other: Self) -> u32 {
        self.0.wrapping_sub(other.0)
    }
}

/// A free-running position in a payload ring: a byte's place is the position modulo the
/// ring's size, a power of two.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RingPosition(pub u32);

impl RingPosition {
    /// Byte offset in a ring of 2^`log2` bytes.
    pub const fn offset(self, log2: u8) -> u32 {
        self.0 & ((1 << log2) - 1)
    }
}

impl fmt::Debug for RingPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

impl Add<u32> for RingPosition {
    type Output = Self;
    fn add(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

impl Sub<u32> for RingPosition {
    type Output = Self;
    fn sub(self, bytes: u32) -> Self {
        Self(self.0.wrapping_sub(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_survives_the_wrap() {
        let a = SeqNumber(u32::MAX - 1);
        assert!(a.precedes(a + 4));
        assert!(!(a + 4).precedes(a));
        assert!(!a.precedes(a));
        assert_eq!((a + 4) - a, 4);
        assert_eq!(a.max(a + 4), SeqNumber(2));
    }

    #[test]
    fn a_position_folds_into_its_ring() {
        let p = RingPosition(u32::MAX) + 3;
        assert_eq!(p.0, 2);
        assert_eq!((p - 3).offset(13), 8191);
    }
}
