//! Lookup in a table of buckets of four entries.
//!
//! ```text
//!             ┌──────┐    ┌──────────────┐    ┌───────────┐
//!  s (key) ──►│ hash ├───►│ 4 memories,  ├───►│ 4 compare ├──►▐ m (hit, way,
//!             └──────┘    │ one a way    │    │           │   ▐    bucket, value)
//!                         └──────▲───────┘    └───────────┘
//!                     write_bucket, write_way, write_entry
//! ```
//!
//! The bucket is the low bits of the CRC-32C of the key. Latency 2 cycles, initiation
//! interval 1; `s_ready` follows `m_ready` in the same cycle. Read latency of the table is
//! 1. A lookup sees what was written before the cycle in which it is accepted.
//!
//! Who writes decides on places: `bucket` of a result that missed says where the key may
//! go. The table is empty at start and is **not** emptied by `rst`. The lowest way wins if
//! a key stands in several.

use super::{Crc32, RamWithEnable};
use crate::prelude::*;

/// Ways of a bucket.
pub const WAYS: usize = 4;

/// Reflected polynomial of CRC-32C.
const CASTAGNOLI: u32 = 0x82f6_3b78;

/// An entry of the table: a key of `K` bits and a value of `V` bits.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct HashEntry<const K: usize, const V: usize> {
    /// The entry is in use.
    pub valid: Bit,
    /// Its key.
    pub key: Bits<K>,
    /// What belongs to the key.
    pub value: Bits<V>,
}

/// The answer to a lookup.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct HashResult<const V: usize> {
    /// The key is in the table.
    pub hit: Bit,
    /// In which way it is.
    pub way: Bits<2>,
    /// The bucket of the key, hit or not.
    pub bucket: Bits<16>,
    /// What belongs to the key.
    pub value: Bits<V>,
}

/// A 4-way hash table with a pipelined lookup. See the [module](self).
#[derive(LogicBlock)]
pub struct HashLookup<const K: usize, const V: usize> {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: drops lookups under way.
    pub rst: Signal<In, Bit>,
    /// Keys to look up.
    pub s: StreamSink<Bits<K>>,
    /// Their answers, in order.
    pub m: StreamSource<HashResult<V>>,
    /// Writes `write_entry`.
    pub write_enable: Signal<In, Bit>,
    /// Bucket to write.
    pub write_bucket: Signal<In, Bits<16>>,
    /// Way of it to write.
    pub write_way: Signal<In, Bits<2>>,
    /// What to write.
    pub write_entry: Signal<In, HashEntry<K, V>>,
    hash: Crc32<K>,
    ways: [RamWithEnable<HashEntry<K, V>, 16>; WAYS],
    /// The table is being read for `key`.
    reading: DFF<Bit>,
    key: DFF<Bits<K>>,
    bucket: DFF<Bits<16>>,
    held: DFF<HashResult<V>>,
    held_valid: DFF<Bit>,
    _buckets: usize,
}

impl<const K: usize, const V: usize> HashLookup<K, V> {
    /// A table of `buckets` buckets, 4 entries each.
    ///
    /// # Panics
    /// If `buckets` is not a power of two from 2 to 65536.
    pub fn new(buckets: usize) -> Self {
        assert!(
            buckets.is_power_of_two() && (2..=65536).contains(&buckets),
            "a hash table has a power of two from 2 to 65536 buckets, not {buckets}"
        );
        Self {
            clk: Signal::default(),
            rst: Signal::default(),
            s: StreamSink::default(),
            m: StreamSource::default(),
            write_enable: Signal::default(),
            write_bucket: Signal::default(),
            write_way: Signal::default(),
            write_entry: Signal::default(),
            hash: Crc32::new(CASTAGNOLI),
            ways: std::array::from_fn(|_| RamWithEnable::zeroed(buckets)),
            reading: DFF::default(),
            key: DFF::default(),
            bucket: DFF::default(),
            held: DFF::default(),
            held_valid: DFF::default(),
            _buckets: buckets,
        }
    }
}

impl<const K: usize, const V: usize> Logic for HashLookup<K, V> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, reading, key, bucket, held, held_valid);
        self.m.data.next = self.held.q.val();
        self.m.valid.next = self.held_valid.q.val();
        let free = self.m.ready.val() | !self.held_valid.q.val();
        let moves = free | !self.reading.q.val();
        self.s.ready.next = moves;

        self.hash.key.next = self.s.data.val();
        let bucket = bit_cast::<16, 32>(self.hash.crc.val()) & bits::<16>(self._buckets as u64 - 1);
        let accept = self.s.valid.val() & moves;
        for way in 0..WAYS {
            self.ways[way].clk.next = self.clk.val();
            self.ways[way].read_enable.next = accept;
            self.ways[way].read_address.next = bucket;
            self.ways[way].write_enable.next =
                self.write_enable.val() & (self.write_way.val() == bits::<2>(way as u64));
            self.ways[way].write_address.next = self.write_bucket.val();
            self.ways[way].write_data.next = self.write_entry.val();
        }
        if moves {
            self.reading.d.next = self.s.valid.val();
        }
        if accept {
            self.key.d.next = self.s.data.val();
            self.bucket.d.next = bucket;
        }

        let mut result = HashResult::<V> {
            hit: false,
            way: bits::<2>(0),
            bucket: self.bucket.q.val(),
            value: bits::<V>(0),
        };
        for way in (0..WAYS).rev() {
            let entry = self.ways[way].read_data.val();
            if entry.valid & (entry.key == self.key.q.val()) {
                result.hit = true;
                result.way = bits::<2>(way as u64);
                result.value = entry.value;
            }
        }
        if free {
            self.held_valid.d.next = self.reading.q.val();
        }
        if free & self.reading.q.val() {
            self.held.d.next = result;
        }
        if self.rst.val() {
            self.reading.d.next = false;
            self.held_valid.d.next = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a power of two from 2 to 65536 buckets, not 12")]
    fn buckets_are_numbered_by_bits() {
        HashLookup::<32, 8>::new(12);
    }
}
