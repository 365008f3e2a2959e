//! Reads the rows of the NIC's `trace` module through its registers.
//!
//! ```text
//!  SELECT ◄── flow     SELECT, SELECT, POINT 0 … 7 ──► one row
//! ```
//!
//! Accesses of one function stay in order, so several rows can be asked for at once. The row
//! stands two clocks after its selection; the reads of SELECT in between take them, and say
//! whose row it is.

use std::collections::VecDeque;

use hallux_toe::interface::modules::{module_register, trace};
use serde::{Deserialize, Serialize};

use crate::driver::FlowKey;
use crate::driver::bus::Bus;

/// A `trace` module of the NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceModule {
    /// Its number in the design point's list.
    pub module: u8,
}

/// Why a row was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TraceEvent {
    /// At an interval.
    Sample,
    /// The NIC has closed the connection: these are its last values.
    Closed,
}

/// The tracepoints of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceRow {
    /// Flow id.
    pub flow: u16,
    /// Addresses and ports, seen from this host.
    pub key: FlowKey,
    /// Why it was read.
    pub event: TraceEvent,
    /// Values in the order of [`trace`].
    pub points: [u32; trace::POINTS],
}

/// Rows that are being read, and those that have been.
#[derive(Debug)]
pub struct TraceReader {
    of: TraceModule,
    /// The oldest first; completions come in this order.
    asked: VecDeque<TraceRow>,
    read: Vec<TraceRow>,
}

impl TraceReader {
    /// A reader of this module.
    pub fn new(of: TraceModule) -> Self {
        Self {
            of,
            asked: VecDeque::new(),
            read: Vec::new(),
        }
    }

    /// Asks for the row of a flow.
    pub fn request(&mut self, flow: u16, key: FlowKey, event: TraceEvent, bus: &mut Bus) {
        bus.write(self.register(trace::SELECT), flow.into());
        for _ in 0..2 {
            bus.read(self.register(trace::SELECT));
        }
        for point in 0..trace::POINTS as u64 {
            bus.read(self.register(trace::POINT + 8 * point));
        }
        self.asked.push_back(TraceRow {
            flow,
            key,
            event,
            points: [0; trace::POINTS],
        });
    }

    /// Takes the value of a register; false if it is none of this module's.
    pub fn answer(&mut self, offset: u64, value: u64) -> bool {
        let first = self.register(trace::POINT);
        if offset == self.register(trace::SELECT) {
            return true;
        }
        let point = (offset.wrapping_sub(first) / 8) as usize;
        if offset < first || point >= trace::POINTS {
            return false;
        }
        if let Some(row) = self.asked.front_mut() {
            // 32 bits by the interface.
            row.points[point] = value as u32;
            if point == trace::POINTS - 1 {
                self.read.extend(self.asked.pop_front());
            }
        }
        true
    }

    /// Takes what has been read.
    pub fn take(&mut self) -> Vec<TraceRow> {
        std::mem::take(&mut self.read)
    }

    fn register(&self, register: u64) -> u64 {
        module_register(usize::from(self.of.module), register)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallux_channel::Message;

    #[test]
    fn rows_are_read_one_behind_the_other() {
        let mut reader = TraceReader::new(TraceModule { module: 5 });
        let mut bus = Bus::default();
        let key = |remote_port| FlowKey {
            remote_ip: 1,
            local_ip: 2,
            remote_port,
            local_port: 80,
        };
        reader.request(7, key(1), TraceEvent::Closed, &mut bus);
        reader.request(9, key(2), TraceEvent::Sample, &mut bus);
        let mut selected = 0;
        while let Some(message) = bus.take_outgoing() {
            match message {
                Message::MmioWrite { offset, data, .. } => {
                    assert_eq!(offset, 0x8_5008);
                    selected = u64::from_le_bytes(data[..].try_into().unwrap());
                }
                Message::MmioRead { offset, .. } if offset == 0x8_5008 => {
                    assert!(reader.answer(offset, selected));
                }
                Message::MmioRead { offset, .. } => {
                    assert!(reader.answer(offset, 100 * selected + (offset - 0x8_5040) / 8));
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(!reader.answer(0x8_4040, 1) && !reader.answer(0x8_5080, 1));
        let rows = reader.take();
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (rows[0].flow, rows[0].key, rows[0].event),
            (7, key(1), TraceEvent::Closed)
        );
        assert_eq!(rows[1].points, [900, 901, 902, 903, 904, 905, 906, 907]);
        assert!(reader.take().is_empty());
    }
}
