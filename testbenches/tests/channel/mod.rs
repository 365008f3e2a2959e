//! Structures of channels on their way to and from a bench.

#![allow(dead_code)]

use hallux_hdl::prelude::{Bits, Flat, Synth, bits};
use hallux_testbenches::{Record, Value};
use num_bigint::BigUint;

/// A structure as the channel carries it.
pub fn value<T: Flat>(structure: T) -> Value {
    Value::from_bytes(&structure.flat().to_bytes_le())
}

/// The structure that a channel carried.
pub fn structure<T: Flat + Synth>(record: &Record) -> T {
    let bytes = record.value().to_bytes(T::BITS.div_ceil(8));
    T::from_flat(&BigUint::from_bytes_le(&bytes))
}

/// The low bits of a number.
pub fn narrow<const N: usize>(number: impl Into<u64>) -> Bits<N> {
    bits::<N>(number.into() & (u64::MAX >> (64 - N.min(64))))
}

/// A structure of random bits, from 64 of them at a time.
pub fn random<T: Flat + Synth>(mut word: impl FnMut() -> u64) -> T {
    let bytes: Vec<u8> = (0..T::BITS.div_ceil(64))
        .flat_map(|_| word().to_le_bytes())
        .collect();
    T::from_flat(&(BigUint::from_bytes_le(&bytes) & ((BigUint::from(1u8) << T::BITS) - 1u8)))
}
