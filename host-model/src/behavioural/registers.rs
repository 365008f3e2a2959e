//! The register file, as far as it only remembers.

use super::BehaviouralConfig;
use super::flow_table::Place;
use super::frame::Key;
use hallux_channel::Time;
use hallux_toe::interface::{self, COMMAND_WORDS, COUNTERS, register};
use std::collections::BTreeMap;

/// Bytes of a register.
const WORD: u64 = 8;
/// Values of the parameter register that mean nothing here: buffer beats, read tags.
const FRAME_BUFFER_BEATS: u64 = 1024;
const READ_TAGS: u64 = 64;
const BUS_BITS: u64 = 512;

/// What the host wrote, and what it may read.
#[derive(Debug)]
pub(super) struct Registers {
    /// Last value written to each register.
    written: BTreeMap<u64, u64>,
    latched: [u64; COUNTERS.len()],
    capabilities: u64,
    parameters: u64,
}

impl Registers {
    pub(super) fn new(config: &BehaviouralConfig) -> Self {
        Self {
            written: BTreeMap::new(),
            latched: [0; COUNTERS.len()],
            capabilities: interface::VERSION
                | u64::from(config.contexts) << 16
                | u64::from(config.ooo_intervals) << interface::FEATURES_SHIFT
                | if config.sack_recovery {
                    interface::FEATURE_SACK_RECOVERY << interface::FEATURES_SHIFT
                } else {
                    0
                }
                | u64::from(config.connections) << 32,
            parameters: u64::from(config.buckets)
                | FRAME_BUFFER_BEATS << 16
                | READ_TAGS << 32
                | BUS_BITS << 48,
        }
    }

    /// Takes a write of any length and place; returns the registers it touches with
    /// their new values. Bytes that are not written keep their value.
    pub(super) fn merge(&mut self, offset: u64, data: &[u8]) -> Vec<(u64, u64)> {
        let mut touched: Vec<(u64, u64)> = vec![];
        for (at, &byte) in (offset..interface::BAR_BYTES).zip(data) {
            let word = at & !(WORD - 1);
            let value = self.written.entry(word).or_default();
            let shift = 8 * (at % WORD);
            *value = *value & !(0xff << shift) | u64::from(byte) << shift;
            match touched.last_mut() {
                Some(last) if last.0 == word => last.1 = *value,
                _ => touched.push((word, *value)),
            }
        }
        touched
    }

    /// Answers a read of any length and place; outside the registers all ones.
    pub(super) fn read(&self, bar: u8, offset: u64, len: u16, now: Time, drained: bool) -> Vec<u8> {
        (0..u64::from(len))
            .map(|byte| {
                let at = offset.saturating_add(byte);
                if bar != interface::BAR || at >= interface::BAR_BYTES {
                    return 0xff;
                }
                (self.value(at & !(WORD - 1), now, drained) >> (8 * (at % WORD))) as u8
            })
            .collect()
    }

    fn value(&self, word: u64, now: Time, drained: bool) -> u64 {
        match word {
            register::ID => interface::ID_MAGIC,
            register::CAPABILITIES => self.capabilities,
            register::PARAMETERS => self.parameters,
            register::CONTROL => self.last(register::CONTROL) & 1,
            register::STATUS => u64::from(self.enabled()) | u64::from(drained) << 1,
            register::MAC => self.last(register::MAC) & 0xffff_ffff_ffff,
            register::SLOW_BASE => self.last(register::SLOW_BASE),
            register::TIME => now.ns(),
            _ => {
                let index = word
                    .checked_sub(register::COUNTERS)
                    .map(|bytes| (bytes / WORD) as usize);
                index
                    .and_then(|index| self.latched.get(index).copied())
                    .unwrap_or(0)
            }
        }
    }

    fn last(&self, word: u64) -> u64 {
        self.written.get(&word).copied().unwrap_or(0)
    }

    pub(super) fn latch(&mut self, counters: &[u64; COUNTERS.len()]) {
        self.latched = *counters;
    }

    pub(super) fn enabled(&self) -> bool {
        self.last(register::CONTROL) & 1 == 1
    }

    pub(super) fn mac(&self) -> [u8; 6] {
        let mut mac = [0; 6];
        mac.copy_from_slice(&self.last(register::MAC).to_be_bytes()[2..]);
        mac
    }

    pub(super) fn slow_base(&self) -> u64 {
        self.last(register::SLOW_BASE)
    }

    pub(super) fn command_words(&self) -> [u64; COMMAND_WORDS] {
        std::array::from_fn(|word| self.last(register::COMMAND_STAGE + WORD * word as u64))
    }

    /// The staged flow-table entry and the place that `commit` names.
    pub(super) fn table_entry(&self, commit: u64) -> (Place, Option<(Key, u16)>) {
        let addresses = self.last(register::TABLE_ADDRESSES);
        let ports = self.last(register::TABLE_PORTS);
        let key = Key {
            remote_ip: (addresses >> 32) as u32,
            local_ip: addresses as u32,
            remote_port: (ports >> 16) as u16,
            local_port: ports as u16,
        };
        let place = Place {
            table: (commit >> 18 & 1) as usize,
            bucket: (commit & 0xffff) as usize,
            way: (commit >> 16 & 3) as usize,
        };
        (
            place,
            (commit >> 19 & 1 == 1).then_some((key, (ports >> 32) as u16)),
        )
    }
}
