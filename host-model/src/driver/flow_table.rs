//! The driver's shadow of the NIC's flow table: 2 tables of 4-way buckets, a connection
//! in one of its two buckets (cuckoo hashing; Pagh and Rodler, 2004).
//!
//! The NIC reads both buckets at each lookup and never moves an entry. The driver does:
//! it writes each moved entry to its new place before its old place is overwritten, so a
//! lookup finds every connection at every moment.

use std::collections::VecDeque;

use hallux_toe::interface::{TABLE_WAYS, flow_hashes, register};

use crate::driver::bus::Bus;

/// The addresses and ports that name a connection, seen from this host.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct FlowKey {
    /// Remote IPv4 address.
    pub remote_ip: u32,
    /// Local IPv4 address.
    pub local_ip: u32,
    /// Remote port.
    pub remote_port: u16,
    /// Local port.
    pub local_port: u16,
}

/// No place can be made for a connection in either of its buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the NIC's flow table with {entries} of {places} entries has no place for a connection")]
pub struct TableFull {
    /// Entries in the table.
    pub entries: usize,
    /// Entries it could hold at best.
    pub places: usize,
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    table: u8,
    bucket: u16,
    way: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    key: FlowKey,
    flow: u16,
}

/// The shadow, and the way to change the NIC's copy.
#[derive(Debug)]
pub struct FlowTable {
    tables: [Vec<[Option<Entry>; TABLE_WAYS]>; 2],
    entries: usize,
}

/// Buckets looked at before an insertion gives up. At 90 % load a free place is found
/// within a few dozen.
const SEARCH_LIMIT: usize = 1024;

impl FlowTable {
    /// An empty table of `buckets` buckets a table, at least one.
    pub fn new(buckets: u16) -> Self {
        let table = vec![[None; TABLE_WAYS]; usize::from(buckets.max(1))];
        Self {
            tables: [table.clone(), table],
            entries: 0,
        }
    }

    /// Entries in the table.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// True if there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Makes frames of `key` reach `flow`, moving other entries if need be.
    ///
    /// # Errors
    ///
    /// If no place can be made; nothing is changed then.
    pub fn insert(&mut self, key: FlowKey, flow: u16, bus: &mut Bus) -> Result<(), TableFull> {
        let entry = Entry { key, flow };
        if let Some(place) = self.find(&key) {
            self.write(place, Some(entry), bus);
            return Ok(());
        }
        let path = self.path_to_free_place(&key)?;
        // From the free place backwards: every entry is copied before it is overwritten.
        for pair in path.windows(2).rev() {
            let moved = self.entry(pair[0]);
            self.write(pair[1], moved, bus);
        }
        self.write(path[0], Some(entry), bus);
        self.entries += 1;
        Ok(())
    }

    /// Makes frames of `key` go to the control plane; false if they did already.
    pub fn remove(&mut self, key: &FlowKey, bus: &mut Bus) -> bool {
        let place = self.find(key);
        if let Some(place) = place {
            self.write(place, None, bus);
            self.entries -= 1;
        }
        place.is_some()
    }

    fn bucket(&self, key: &FlowKey, table: u8) -> u16 {
        let hashes = flow_hashes(key.remote_ip, key.local_ip, key.remote_port, key.local_port);
        // The remainder is below the number of buckets, a u16.
        (hashes[usize::from(table)] % self.tables[0].len() as u32) as u16
    }

    fn places(&self, key: &FlowKey, table: u8) -> impl Iterator<Item = Place> + use<> {
        let bucket = self.bucket(key, table);
        (0..TABLE_WAYS as u8).map(move |way| Place { table, bucket, way })
    }

    fn entry(&self, place: Place) -> Option<Entry> {
        self.tables[usize::from(place.table)][usize::from(place.bucket)][usize::from(place.way)]
    }

    fn find(&self, key: &FlowKey) -> Option<Place> {
        (0..2)
            .flat_map(|table| self.places(key, table))
            .find(|&place| self.entry(place).is_some_and(|entry| entry.key == *key))
    }

    /// Breadth-first search over the places that moved entries would go to. The first
    /// element is a place of `key`, the last one is free.
    fn path_to_free_place(&self, key: &FlowKey) -> Result<Vec<Place>, TableFull> {
        // Each step knows the step that it came from.
        let mut steps: Vec<(Place, Option<usize>)> = Vec::new();
        let mut queue: VecDeque<usize> = VecDeque::new();
        for table in 0..2 {
            for place in self.places(key, table) {
                queue.push_back(steps.len());
                steps.push((place, None));
            }
        }
        while let Some(index) = queue.pop_front() {
            let (place, _) = steps[index];
            let Some(entry) = self.entry(place) else {
                let mut path = vec![place];
                let mut from = steps[index].1;
                while let Some(index) = from {
                    path.push(steps[index].0);
                    from = steps[index].1;
                }
                path.reverse();
                return Ok(path);
            };
            if steps.len() >= SEARCH_LIMIT * TABLE_WAYS {
                continue;
            }
            for next in self.places(&entry.key, 1 - place.table) {
                if !steps.iter().any(|&(known, _)| known == next) {
                    queue.push_back(steps.len());
                    steps.push((next, Some(index)));
                }
            }
        }
        Err(TableFull {
            entries: self.entries,
            places: 2 * TABLE_WAYS * self.tables[0].len(),
        })
    }

    fn write(&mut self, place: Place, entry: Option<Entry>, bus: &mut Bus) {
        let Place { table, bucket, way } = place;
        self.tables[usize::from(table)][usize::from(bucket)][usize::from(way)] = entry;
        if let Some(Entry { key, flow }) = entry {
            bus.write(
                register::TABLE_ADDRESSES,
                u64::from(key.remote_ip) << 32 | u64::from(key.local_ip),
            );
            bus.write(
                register::TABLE_PORTS,
                u64::from(key.local_port)
                    | u64::from(key.remote_port) << 16
                    | u64::from(flow) << 32,
            );
        }
        bus.write(
            register::TABLE_COMMIT,
            u64::from(bucket)
                | u64::from(way) << 16
                | u64::from(table) << 18
                | u64::from(entry.is_some()) << 19,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallux_channel::Message;
    use std::collections::BTreeMap;

    fn key(n: u32) -> FlowKey {
        FlowKey {
            remote_ip: 0x0a00_0000 + n / 50,
            local_ip: 0x0a00_ff01,
            remote_port: 40_000 + (n % 50) as u16,
            local_port: 80,
        }
    }

    /// The NIC's side of the staging registers.
    #[derive(Default)]
    struct Nic {
        staged: (u64, u64),
        entries: BTreeMap<u64, (u64, u64)>,
    }

    impl Nic {
        /// Executes the writes; after each one every key of `live` must be found.
        fn run(&mut self, bus: &mut Bus, live: u32) {
            while let Some(Message::MmioWrite { offset, data, .. }) = bus.take_outgoing() {
                let value = u64::from_le_bytes(data[..].try_into().unwrap());
                match offset {
                    register::TABLE_ADDRESSES => self.staged.0 = value,
                    register::TABLE_PORTS => self.staged.1 = value,
                    _ if value >> 19 & 1 == 1 => {
                        self.entries.insert(value & 0x7_ffff, self.staged);
                    }
                    _ => {
                        self.entries.remove(&value);
                    }
                }
                if offset == register::TABLE_COMMIT {
                    assert!((0..live).all(|n| self.finds(&key(n))), "an entry was lost");
                }
            }
        }

        fn finds(&self, key: &FlowKey) -> bool {
            let addresses = u64::from(key.remote_ip) << 32 | u64::from(key.local_ip);
            let ports = u64::from(key.local_port) | u64::from(key.remote_port) << 16;
            self.entries
                .values()
                .any(|&(a, p)| a == addresses && p & 0xffff_ffff == ports)
        }
    }

    #[test]
    fn ninety_per_cent_load_is_reached_and_no_entry_is_ever_missing() {
        let (mut table, mut bus, mut nic) = (FlowTable::new(16), Bus::default(), Nic::default());
        let ninety = 16 * 8 * 9 / 10;
        for n in 0..ninety {
            table.insert(key(n), n as u16, &mut bus).unwrap();
            nic.run(&mut bus, n);
        }
        assert_eq!(nic.entries.len(), table.len());
        for n in 0..ninety {
            assert!(table.remove(&key(n), &mut bus));
            assert!(!table.remove(&key(n), &mut bus));
        }
        nic.run(&mut bus, 0);
        assert!(table.is_empty() && nic.entries.is_empty());
    }

    #[test]
    fn a_full_table_refuses_and_stays_as_it_is() {
        let (mut table, mut bus) = (FlowTable::new(1), Bus::default());
        for n in 0..8 {
            table.insert(key(n), n as u16, &mut bus).unwrap();
        }
        let error = table.insert(key(8), 8, &mut bus).unwrap_err();
        assert_eq!(
            error,
            TableFull {
                entries: 8,
                places: 8
            }
        );
        assert!((0..8).all(|n| table.find(&key(n)).is_some()));
    }

    #[test]
    fn a_known_key_keeps_its_place() {
        let (mut table, mut bus) = (FlowTable::new(4), Bus::default());
        table.insert(key(1), 1, &mut bus).unwrap();
        let place = table.find(&key(1));
        table.insert(key(1), 9, &mut bus).unwrap();
        assert_eq!(table.find(&key(1)), place);
        assert_eq!(table.len(), 1);
    }
}
