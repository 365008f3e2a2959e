//! A memory that others read and write, behind a port of its own.
//!
//! ```text
//!   client ── read, write ──► [ access time ] ── completion ──►
//! ```
//!
//! Requests are answered in the order in which they come, each an access time after its
//! arrival, and see what those before them left. There are 64 address spaces. Beyond them, and
//! beyond the end of each, nothing is written, and reads find ones, as on a bus on which nobody
//! answers.

use crate::memory::Memory;
use hallux_channel::{Component, ComponentError, Counter, Io, Message, PortSpec, Protocol, Time};
use std::any::Any;
use std::collections::BTreeMap;

/// Address spaces, numbered from zero.
const SPACES: u64 = 64;

/// What a memory is like.
#[derive(Clone, Copy, Debug)]
pub struct MemoryServerConfig {
    /// Bytes of each address space, which begins at zero.
    pub size: u64,
    /// From a request to its completion.
    pub access: Time,
}

/// A memory with one port, `mem`.
pub struct MemoryServer {
    config: MemoryServerConfig,
    ports: Vec<PortSpec>,
    /// The address spaces that were written to.
    spaces: BTreeMap<u64, Memory>,
    reads: u64,
    writes: u64,
    bytes: u64,
    beyond: u64,
}

impl MemoryServer {
    /// An empty memory: all zeros.
    pub fn new(config: MemoryServerConfig) -> Self {
        Self {
            config,
            ports: vec![PortSpec::new("mem", Protocol::MemoryServer)],
            spaces: BTreeMap::new(),
            reads: 0,
            writes: 0,
            bytes: 0,
            beyond: 0,
        }
    }

    /// False, and counted, if the request leaves the memory.
    fn is_inside(&mut self, space: u64, address: u64, len: usize) -> bool {
        let end = address.checked_add(len as u64);
        let inside = space < SPACES && end.is_some_and(|end| end <= self.config.size);
        self.beyond += u64::from(!inside);
        inside
    }

    fn read(&mut self, space: u64, address: u64, len: usize) -> Vec<u8> {
        self.reads += 1;
        self.bytes += len as u64;
        if !self.is_inside(space, address, len) {
            return vec![0xff; len];
        }
        let mut data = vec![0; len];
        if let Some(memory) = self.spaces.get(&space) {
            memory.read(address, &mut data);
        }
        data
    }

    fn write(&mut self, space: u64, address: u64, data: &[u8]) {
        self.writes += 1;
        self.bytes += data.len() as u64;
        if self.is_inside(space, address, data.len()) {
            let size = self.config.size;
            let memory = self.spaces.entry(space);
            memory
                .or_insert_with(|| Memory::new(0, size))
                .write(address, data);
        }
    }
}

impl Component for MemoryServer {
    fn name(&self) -> &str {
        "memory"
    }

    fn ports(&self) -> &[PortSpec] {
        &self.ports
    }

    fn next_action(&self) -> Time {
        Time::NEVER
    }

    fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
        while let Some((at, _, message)) = io.pop_before(horizon) {
            let answer = match message {
                Message::MemoryRead {
                    req_id,
                    space,
                    addr,
                    len,
                } => Some(Message::MemoryReadCompletion {
                    req_id,
                    data: self.read(space, addr, len.into()).into(),
                }),
                Message::MemoryWrite {
                    req_id,
                    space,
                    addr,
                    data,
                    posted,
                } => {
                    self.write(space, addr, &data);
                    (!posted).then_some(Message::MemoryWriteCompletion { req_id })
                }
                // The port's protocol has no others.
                _ => None,
            };
            if let Some(answer) = answer {
                io.send(0, at + self.config.access, answer);
            }
        }
        Ok(())
    }

    fn finished_at(&self) -> Option<Time> {
        Some(Time::ZERO)
    }

    fn counters(&self) -> Vec<Counter> {
        vec![
            Counter::new("reads", self.reads),
            Counter::new("writes", self.writes),
            Counter::new("bytes", self.bytes),
            Counter::new("beyond_the_end", self.beyond),
        ]
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallux_channel::Mailbox;

    #[test]
    fn what_was_written_is_read_and_nothing_beyond_the_end() {
        let access = Time::from_ns(80);
        let mut memory = MemoryServer::new(MemoryServerConfig {
            size: 4_096,
            access,
        });
        let mut mailbox = Mailbox::new(memory.ports());
        let write = |req_id, space, addr, data: &[u8], posted| Message::MemoryWrite {
            req_id,
            space,
            addr,
            data: data.to_vec().into(),
            posted,
        };
        let read = |req_id, space, addr, len| Message::MemoryRead {
            req_id,
            space,
            addr,
            len,
        };
        let requests = [
            write(1, 0, 10, b"abc", true),
            write(2, 7, 4_093, b"xyz", false),
            write(3, 0, 4_094, b"xyz", false),
            read(4, 0, 9, 5),
            read(5, 7, 4_093, 3),
            read(6, 0, 4_090, 6),
            read(7, 0, u64::MAX, 2),
            read(8, 64, 0, 1),
        ];
        for (number, request) in (0..).zip(requests) {
            mailbox.deliver(0, Time::from_ns(number), request);
        }
        memory.advance(Time::from_us(1), &mut mailbox.io()).unwrap();
        assert_eq!(mailbox.violation(), None);
        let read = |req_id, data: &[u8]| Message::MemoryReadCompletion {
            req_id,
            data: data.to_vec().into(),
        };
        let written = |req_id| Message::MemoryWriteCompletion { req_id };
        let expected = [
            (1, written(2)),
            (2, written(3)),
            (3, read(4, b"\0abc\0")),
            (4, read(5, b"xyz")),
            (5, read(6, &[0; 6])),
            (6, read(7, &[0xff; 2])),
            (7, read(8, &[0xff])),
        ];
        let sent = std::iter::from_fn(|| mailbox.take_sent());
        let sent: Vec<_> = sent.map(|sent| (sent.at, sent.message)).collect();
        let expected = expected.map(|(at, answer)| (Time::from_ns(at) + access, answer));
        assert_eq!(sent, expected);
        assert_eq!(memory.counters()[3].value, 3);
    }
}
