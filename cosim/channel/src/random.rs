//! Randomness that is the same on every machine.
//!
//! A scenario has one [`Seed`]. Everything that draws has its own named
//! [`Random`] stream, so that adding one impairment, or one component, does
//! not change what the others draw. Draws are integers against integer
//! thresholds.

use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64;

/// The one number from which all randomness of a scenario comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream of this name, such as `wire/a-b/loss`.
    pub fn stream(self, name: &str) -> Random {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.0.to_le_bytes());
        seed[8..16].copy_from_slice(&(name.len() as u64).to_le_bytes());
        seed[16..24].copy_from_slice(&fnv1a(name, 0xcbf2_9ce4_8422_2325).to_le_bytes());
        seed[24..].copy_from_slice(&fnv1a(name, self.0).to_le_bytes());
        let mut generator = Pcg64::from_seed(seed);
        // The first outputs of close seeds are still alike.
        for _ in 0..4 {
            generator.next_u64();
        }
        Random(generator)
    }
}

/// The FNV-1a hash of Fowler, Noll and Vo.
fn fnv1a(text: &str, basis: u64) -> u64 {
    text.bytes().fold(basis, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random(Pcg64);

impl Random {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `limit`, evenly (to within 2⁻⁶⁴ · `limit`); zero if
    /// `limit` is zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(limit)) >> 64) as u64
    }

    /// True with the given probability. Draws once, whatever the probability.
    pub fn chance(&mut self, probability: Probability) -> bool {
        u128::from(self.bits()) < probability.threshold
    }
}

/// A probability as a multiple of 2⁻⁶⁴.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probability {
    threshold: u128,
}

impl Probability {
    /// Never.
    pub const ZERO: Probability = Probability { threshold: 0 };
    /// Always.
    pub const ONE: Probability = Probability { threshold: 1 << 64 };

    /// The probability `value`; `None` unless it is from 0 to 1.
    pub fn new(value: f64) -> Option<Self> {
        // Scaling by a power of two is exact, so no platform rounds this
        // differently.
        (0.0..=1.0).contains(&value).then_some(Probability {
            threshold: (value * (1_u128 << 64) as f64) as u128,
        })
    }

    /// True for [`Probability::ZERO`].
    pub const fn is_zero(self) -> bool {
        self.threshold == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_name_and_seed_and_nothing_else() {
        let draw = |seed, name: &str| Seed(seed).stream(name).bits();
        assert_eq!(draw(1, "wire/loss"), draw(1, "wire/loss"));
        assert_ne!(draw(1, "wire/loss"), draw(1, "wire/jitter"));
        assert_ne!(draw(1, "wire/loss"), draw(2, "wire/loss"));
    }

    /// The numbers themselves are a promise: results published with a seed
    /// must come out again after every upgrade.
    #[test]
    fn the_numbers_never_change() {
        let mut random = Seed(42).stream("wire/a-b/loss");
        let numbers: Vec<u64> = (0..3).map(|_| random.below(1_000_000)).collect();
        assert_eq!(numbers, [299_926, 293_184, 588_700]);
    }

    #[test]
    fn chances_are_about_as_often_as_they_say() {
        let mut random = Seed(3).stream("test");
        let one_percent = Probability::new(0.01).unwrap();
        let hits = (0..100_000).filter(|_| random.chance(one_percent)).count();
        assert!((800..1_200).contains(&hits), "{hits}");
        assert!((0..100).all(|_| random.chance(Probability::ONE)));
        assert!((0..100).all(|_| !random.chance(Probability::ZERO)));
        assert_eq!(Probability::new(1.5), None);
        assert_eq!(Probability::new(f64::NAN), None);
    }
}
