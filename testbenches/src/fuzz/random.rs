//! Random numbers with a liking for the edges.

use num_bigint::BigUint;
use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg32;

/// A stream of random numbers; equal seeds give equal streams.
#[derive(Clone, Debug)]
pub struct Random(Pcg32);

impl Random {
    /// Stream `number` of `seed`.
    pub fn new(seed: u64, number: u64) -> Self {
        // Neighbouring seeds are spread by the constant of the golden ratio.
        let spread = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(Pcg32::seed_from_u64(seed ^ spread))
    }

    /// Any number, for instance a seed.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0.next_u32() as usize % limit.max(1)
    }

    /// True in `percent` of the cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// A value of `width` bits: any, small, large, or with a single bit set.
    pub fn value(&mut self, width: usize) -> BigUint {
        let mask = (BigUint::from(1u8) << width) - 1u8;
        let small = BigUint::from(self.0.next_u32() & 7) & &mask;
        match self.below(6) {
            0 => small,
            1 => mask - small,
            2 => BigUint::from(1u8) << self.below(width),
            _ => {
                let mut bytes = vec![0; width.div_ceil(8)];
                self.0.fill_bytes(&mut bytes);
                BigUint::from_bytes_le(&bytes) & mask
            }
        }
    }
}
