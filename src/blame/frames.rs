//! TCP segments at tapped Ethernet ports, by connection and place in the stream.

use hallux_channel::Message;
use hallux_cosim::engine::{Direction, MessageSink, Tapped};
use hallux_cosim::observe::rtt::{Ends, parse};
use std::collections::BTreeMap;
use std::io;

/// A segment that passed a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Its last bit, in ps.
    pub at: u64,
    /// Number among all frames of the port and direction.
    pub number: u32,
    /// First byte of its payload, counted from the first of the stream.
    pub start: u64,
    /// Bytes of its payload.
    pub bytes: u32,
    /// With FIN.
    pub fin: bool,
    /// Bytes of the stream without a gap that had passed with this one.
    pub covered: u64,
    /// Bytes beyond a gap had passed with this one.
    pub gap: bool,
}

impl Passed {
    /// Behind its last byte.
    pub fn end(&self) -> u64 {
        self.start + u64::from(self.bytes)
    }

    /// Carries the byte `byte`.
    pub fn carries(&self, byte: u64) -> bool {
        (self.start..self.end()).contains(&byte)
    }
}

/// One direction of a connection at a port.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// Sequence number of the first byte, once a SYN was seen.
    first: Option<u32>,
    /// What passed, in order.
    pub passed: Vec<Passed>,
    /// When the SYN passed, in ps.
    pub opened: u64,
    highest: u64,
    covered: u64,
    /// Ranges beyond `covered`.
    islands: BTreeMap<u64, u64>,
}

impl Stream {
    /// The segment with which the bytes before `end` were complete.
    pub fn completed_by(&self, end: u64) -> Option<&Passed> {
        let index = self.passed.partition_point(|passed| passed.covered < end);
        self.passed.get(index)
    }

    /// The last segment until `at` that carries the byte `byte`.
    pub fn last_with(&self, byte: u64, at: u64) -> Option<&Passed> {
        let until = self.passed.partition_point(|passed| passed.at <= at);
        // A stream is in order but for what was sent again, so the place is near.
        let mut before = self.passed[..until].iter().rev();
        before.find(|passed| passed.carries(byte))
    }

    /// The first segment that carries the byte `byte`.
    pub fn first_with(&self, byte: u64) -> Option<&Passed> {
        let index = self.passed.partition_point(|p| p.covered <= byte);
        // One that completes less carries it only beyond a gap that was still open when
        // `index` passed.
        let gap = self.passed[..index].iter().rev().take_while(|p| p.gap);
        let beyond = gap.filter(|p| p.carries(byte)).last();
        beyond.or_else(|| self.passed[index..].iter().find(|p| p.carries(byte)))
    }

    fn take(&mut self, at: u64, number: u32, seq: u32, bytes: u32, fin: bool) {
        let Some(first) = self.first else { return };
        let offset = seq.wrapping_sub(first);
        let distance = offset.wrapping_sub(self.highest as u32) as i32;
        let start = self.highest.saturating_add_signed(i64::from(distance));
        let end = start + u64::from(bytes);
        self.highest = self.highest.max(end);
        self.cover(start, end);
        self.passed.push(Passed {
            at,
            number,
            start,
            bytes,
            fin,
            covered: self.covered,
            gap: !self.islands.is_empty(),
        });
    }

    fn cover(&mut self, start: u64, end: u64) {
        if start > self.covered {
            let island = self.islands.entry(start).or_insert(end);
            *island = end.max(*island);
            return;
        }
        self.covered = self.covered.max(end);
        while let Some(island) = self.islands.first_entry() {
            if *island.key() > self.covered {
                break;
            }
            self.covered = self.covered.max(island.remove());
        }
    }
}

/// What passed one port.
#[derive(Clone, Debug, Default)]
pub struct Port {
    /// Streams that left the component.
    pub sent: BTreeMap<Ends, Stream>,
    /// Streams that came.
    pub received: BTreeMap<Ends, Stream>,
    /// Arrivals of all frames, in ps.
    pub arrivals: Vec<u64>,
    /// Departures of all frames, in ps.
    pub departures: Vec<u64>,
}

/// Looks at ports, by number of the interface.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    ports: BTreeMap<usize, Port>,
}

impl Frames {
    /// Looks at these interfaces.
    pub fn at(interfaces: impl IntoIterator<Item = usize>) -> Self {
        let port = |interface| (interface, Port::default());
        Self {
            ports: interfaces.into_iter().map(port).collect(),
        }
    }

    /// What passed at an interface.
    pub fn port(&self, interface: usize) -> Option<&Port> {
        self.ports.get(&interface)
    }
}

impl MessageSink for Frames {
    fn message(&mut self, tapped: &Tapped<'_>) -> io::Result<()> {
        let (Message::Frame(frame), Some(port)) =
            (tapped.message, self.ports.get_mut(&tapped.interface))
        else {
            return Ok(());
        };
        let (streams, times) = match tapped.direction {
            Direction::Received => (&mut port.received, &mut port.arrivals),
            Direction::Sent => (&mut port.sent, &mut port.departures),
        };
        let number = times.len() as u32;
        times.push(tapped.at.ps());
        let Some((ends, segment)) = parse(frame) else {
            return Ok(());
        };
        let stream = streams.entry(ends).or_default();
        if segment.syn {
            if stream.first.is_none() {
                stream.first = Some(segment.seq.wrapping_add(1));
                stream.opened = tapped.at.ps();
            }
        } else if segment.payload > 0 || segment.fin {
            stream.take(
                tapped.at.ps(),
                number,
                segment.seq,
                segment.payload,
                segment.fin,
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_complete_with_the_segment_that_fills_it() {
        let mut stream = Stream {
            first: Some(u32::MAX - 49),
            ..Stream::default()
        };
        let seq = |offset: u32| (u32::MAX - 49).wrapping_add(offset);
        stream.take(10, 0, seq(0), 100, false);
        stream.take(20, 1, seq(200), 100, false);
        stream.take(30, 2, seq(100), 100, false);
        stream.take(40, 3, seq(300), 50, false);
        let at = |end| stream.completed_by(end).map(|passed| passed.at);
        assert_eq!([100, 101, 300, 350].map(at), [10, 30, 30, 40].map(Some));
        assert_eq!(at(351), None);
        let first = |byte| stream.first_with(byte).map(|passed| passed.at);
        assert_eq!(
            [0, 150, 250, 320, 350].map(first),
            [Some(10), Some(30), Some(20), Some(40), None]
        );
        assert_eq!(stream.last_with(120, 35).map(|p| p.at), Some(30));
        assert_eq!(stream.last_with(120, 25), None);
    }
}
