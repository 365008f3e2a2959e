//! The flow table: two hash tables of four-way buckets, written entry by entry.

use super::frame::Key;
use hallux_toe::interface::{TABLE_WAYS, flow_hashes};

/// Which entry a commit writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub table: usize,
    pub bucket: usize,
    pub way: usize,
}

/// Connections and their flow ids.
type Bucket = [Option<(Key, u16)>; TABLE_WAYS];

/// Both tables.
#[derive(Debug)]
pub(super) struct FlowTable {
    tables: [Vec<Bucket>; 2],
}

impl FlowTable {
    pub(super) fn new(buckets: usize) -> Self {
        let table = || vec![[None; TABLE_WAYS]; buckets.max(1)];
        Self {
            tables: [table(), table()],
        }
    }

    /// Writes an entry. A place outside the tables is ignored.
    pub(super) fn write(&mut self, place: Place, entry: Option<(Key, u16)>) {
        let bucket = self
            .tables
            .get_mut(place.table)
            .and_then(|table| table.get_mut(place.bucket));
        if let Some(slot) = bucket.and_then(|bucket| bucket.get_mut(place.way)) {
            *slot = entry;
        }
    }

    /// The flow id of a connection.
    pub(super) fn lookup(&self, key: Key) -> Option<u16> {
        let hashes = flow_hashes(key.remote_ip, key.local_ip, key.remote_port, key.local_port);
        self.tables.iter().zip(hashes).find_map(|(table, hash)| {
            let bucket = &table[hash as usize % table.len()];
            bucket
                .iter()
                .flatten()
                .find(|(entry, _)| *entry == key)
                .map(|&(_, flow)| flow)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_in_either_table_until_it_is_removed() {
        let mut table = FlowTable::new(64);
        let key = Key {
            remote_ip: 1,
            local_ip: 2,
            remote_port: 3,
            local_port: 4,
        };
        let hashes = flow_hashes(1, 2, 3, 4);
        for (number, hash) in hashes.into_iter().enumerate() {
            let place = Place {
                table: number,
                bucket: hash as usize % 64,
                way: 3,
            };
            assert_eq!(table.lookup(key), None);
            table.write(place, Some((key, 7)));
            assert_eq!(table.lookup(key), Some(7));
            assert_eq!(
                table.lookup(Key {
                    local_port: 5,
                    ..key
                }),
                None
            );
            table.write(place, None);
        }
        table.write(
            Place {
                table: 0,
                bucket: 64,
                way: 0,
            },
            Some((key, 7)),
        );
        assert_eq!(table.lookup(key), None);
    }
}
