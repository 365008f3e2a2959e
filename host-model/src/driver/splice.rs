//! The table of the NIC's `splice` module, as the driver keeps it.
//!
//! The module takes an entry out by itself when its connection ends; the driver learns of it
//! from the segment that comes to the control plane, and says that the place is free.

use hallux_toe::interface::TABLE_WAYS;
use hallux_toe::interface::modules::SpliceEntry;

use crate::driver::bus::Bus;

/// A `splice` module of the NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpliceModule {
    /// Its number in the design point's list.
    pub module: u8,
    /// Places of its table, a power of two from 8 to 256.
    pub places: u16,
}

/// Where an entry stands: its way in the bucket of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplicePlace(u8);

/// Which places of the table are taken.
#[derive(Debug)]
pub struct SpliceTable {
    of: SpliceModule,
    buckets: Vec<[bool; TABLE_WAYS]>,
}

impl SpliceTable {
    /// The empty table of a module after reset.
    pub fn new(of: SpliceModule) -> Self {
        let buckets = usize::from(of.places) / TABLE_WAYS;
        Self {
            of,
            buckets: vec![[false; TABLE_WAYS]; buckets.max(1)],
        }
    }

    /// Puts an entry into force; `None` if the bucket of its key is full.
    pub fn insert(&mut self, entry: &SpliceEntry, bus: &mut Bus) -> Option<SplicePlace> {
        let bucket = self.bucket(entry);
        let way = self.buckets[bucket].iter().position(|taken| !taken)? as u8;
        self.write(entry, SplicePlace(way), true, bus);
        Some(SplicePlace(way))
    }

    /// Takes an entry out, whether or not the module has done so.
    pub fn remove(&mut self, entry: &SpliceEntry, place: SplicePlace, bus: &mut Bus) {
        self.write(entry, place, false, bus);
    }

    /// Entries in force.
    pub fn len(&self) -> usize {
        let taken = self.buckets.iter().flatten();
        taken.filter(|taken| **taken).count()
    }

    /// True if no entry is in force.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn bucket(&self, entry: &SpliceEntry) -> usize {
        entry.bucket(4 * self.buckets.len() as u64) as usize
    }

    fn write(&mut self, entry: &SpliceEntry, place: SplicePlace, in_use: bool, bus: &mut Bus) {
        let bucket = self.bucket(entry);
        self.buckets[bucket][usize::from(place.0)] = in_use;
        let places = 4 * self.buckets.len() as u64;
        for (register, value) in entry.writes(usize::from(self.of.module), places, place.0, in_use)
        {
            bus.write(register, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallux_toe::interface::modules::{Tuple, splice};

    fn entry(port: u16) -> SpliceEntry {
        let from = Tuple {
            source_port: port,
            ..Tuple::default()
        };
        SpliceEntry {
            from,
            ..SpliceEntry::default()
        }
    }

    #[test]
    fn a_bucket_takes_four_and_gives_a_place_back() {
        let mut table = SpliceTable::new(SpliceModule {
            module: 3,
            places: 8,
        });
        let mut bus = Bus::default();
        let ports: Vec<u16> = (1..)
            .filter(|&port| entry(port).bucket(8) == 1)
            .take(5)
            .collect();
        let places: Vec<_> = ports[..4]
            .iter()
            .map(|&port| table.insert(&entry(port), &mut bus).unwrap())
            .collect();
        assert_eq!(table.len(), 4);
        let writes = bus.writes();
        assert_eq!(table.insert(&entry(ports[4]), &mut bus), None);
        assert_eq!(bus.writes(), writes, "nothing is written without a place");
        table.remove(&entry(ports[1]), places[1], &mut bus);
        assert_eq!(table.insert(&entry(ports[4]), &mut bus), Some(places[1]));
        // Key, value and commit of each.
        assert_eq!(bus.writes(), 6 * (3 + splice::VALUE_WORDS as u64));
    }
}
