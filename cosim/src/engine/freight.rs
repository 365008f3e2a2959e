//! Messages as bytes, on their way between processes and machines.
//!
//! ```text
//!   kind 1 · small 8 · three words of 8 · length 4 · payload
//! ```
//!
//! All little-endian. What a message does not use is zero.

use std::io::{self, Read, Write};

use bytes::Bytes;
use hallux_channel::{InterruptKind, Message, Time};

use super::tap::{Direction, Seen};

/// The parts of a message, by kind.
struct Parts {
    kind: u8,
    small: u64,
    words: [u64; 3],
    payload: Bytes,
}

impl Parts {
    fn of(message: &Message) -> Self {
        let mut parts = Parts {
            kind: 0,
            small: 0,
            words: [0; 3],
            payload: Bytes::new(),
        };
        match message {
            Message::Frame(frame) => parts.payload = frame.clone(),
            Message::DmaRead { req_id, addr, len } => {
                (parts.kind, parts.small) = (1, u64::from(*len));
                parts.words = [*req_id, *addr, 0];
            }
            Message::DmaWrite { req_id, addr, data } => {
                parts.kind = 2;
                parts.words = [*req_id, *addr, 0];
                parts.payload = data.clone();
            }
            Message::Interrupt { vector, kind } => {
                (parts.kind, parts.small) = (3, u64::from(*vector));
                parts.words[0] = match kind {
                    InterruptKind::IntxAssert => 0,
                    InterruptKind::IntxDeassert => 1,
                    InterruptKind::Msi => 2,
                    InterruptKind::MsiX => 3,
                };
            }
            Message::MmioReadCompletion { req_id, data } => {
                (parts.kind, parts.words[0]) = (4, *req_id);
                parts.payload = data.clone();
            }
            Message::MmioWriteCompletion { req_id } => (parts.kind, parts.words[0]) = (5, *req_id),
            Message::MmioRead {
                req_id,
                bar,
                offset,
                len,
            } => {
                (parts.kind, parts.small) = (6, u64::from(*len));
                parts.words = [*req_id, *offset, u64::from(*bar)];
            }
            Message::MmioWrite {
                req_id,
                bar,
                offset,
                data,
                posted,
            } => {
                (parts.kind, parts.small) = (7, u64::from(*posted));
                parts.words = [*req_id, *offset, u64::from(*bar)];
                parts.payload = data.clone();
            }
            Message::DmaReadCompletion { req_id, data } => {
                (parts.kind, parts.words[0]) = (8, *req_id);
                parts.payload = data.clone();
            }
            Message::DmaWriteCompletion { req_id } => (parts.kind, parts.words[0]) = (9, *req_id),
            Message::DeviceControl { flags } => (parts.kind, parts.words[0]) = (10, *flags),
            Message::MemoryRead {
                req_id,
                space,
                addr,
                len,
            } => {
                (parts.kind, parts.small) = (11, u64::from(*len));
                parts.words = [*req_id, *addr, *space];
            }
            Message::MemoryWrite {
                req_id,
                space,
                addr,
                data,
                posted,
            } => {
                (parts.kind, parts.small) = (12, u64::from(*posted));
                parts.words = [*req_id, *addr, *space];
                parts.payload = data.clone();
            }
            Message::MemoryReadCompletion { req_id, data } => {
                (parts.kind, parts.words[0]) = (13, *req_id);
                parts.payload = data.clone();
            }
            Message::MemoryWriteCompletion { req_id } => {
                (parts.kind, parts.words[0]) = (14, *req_id);
            }
        }
        parts
    }

    fn message(self) -> Option<Message> {
        let [req_id, second, third] = self.words;
        let len = || u16::try_from(self.small).ok();
        Some(match self.kind {
            0 => Message::Frame(self.payload),
            1 => Message::DmaRead {
                req_id,
                addr: second,
                len: len()?,
            },
            2 => Message::DmaWrite {
                req_id,
                addr: second,
                data: self.payload,
            },
            3 => Message::Interrupt {
                vector: len()?,
                kind: match req_id {
                    0 => InterruptKind::IntxAssert,
                    1 => InterruptKind::IntxDeassert,
                    2 => InterruptKind::Msi,
                    3 => InterruptKind::MsiX,
                    _ => return None,
                },
            },
            4 => Message::MmioReadCompletion {
                req_id,
                data: self.payload,
            },
            5 => Message::MmioWriteCompletion { req_id },
            6 => Message::MmioRead {
                req_id,
                bar: u8::try_from(third).ok()?,
                offset: second,
                len: len()?,
            },
            7 => Message::MmioWrite {
                req_id,
                bar: u8::try_from(third).ok()?,
                offset: second,
                data: self.payload,
                posted: self.small != 0,
            },
            8 => Message::DmaReadCompletion {
                req_id,
                data: self.payload,
            },
            9 => Message::DmaWriteCompletion { req_id },
            10 => Message::DeviceControl { flags: req_id },
            11 => Message::MemoryRead {
                req_id,
                space: third,
                addr: second,
                len: len()?,
            },
            12 => Message::MemoryWrite {
                req_id,
                space: third,
                addr: second,
                data: self.payload,
                posted: self.small != 0,
            },
            13 => Message::MemoryReadCompletion {
                req_id,
                data: self.payload,
            },
            14 => Message::MemoryWriteCompletion { req_id },
            _ => return None,
        })
    }
}

/// Appends a message.
pub(super) fn put_message(out: &mut Vec<u8>, message: &Message) {
    let parts = Parts::of(message);
    out.push(parts.kind);
    out.extend_from_slice(&parts.small.to_le_bytes());
    for word in parts.words {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&(parts.payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&parts.payload);
}

/// Reads messages and numbers from bytes.
pub(super) struct Unpacker {
    bytes: Bytes,
}

impl Unpacker {
    pub(super) fn new(bytes: Bytes) -> Self {
        Unpacker { bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn take(&mut self, count: usize) -> io::Result<Bytes> {
        if count > self.bytes.len() {
            return Err(malformed());
        }
        Ok(self.bytes.split_to(count))
    }

    /// The next `count` bytes by themselves.
    pub(super) fn part(&mut self, count: usize) -> io::Result<Unpacker> {
        self.take(count).map(Unpacker::new)
    }

    pub(super) fn byte(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn word(&mut self) -> io::Result<u64> {
        let bytes = self.take(8)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |word, &byte| word << 8 | u64::from(byte)))
    }

    pub(super) fn time(&mut self) -> io::Result<Time> {
        self.word().map(Time::from_ps)
    }

    pub(super) fn message(&mut self) -> io::Result<Message> {
        let kind = self.byte()?;
        let small = self.word()?;
        let words = [self.word()?, self.word()?, self.word()?];
        let len = self.take(4)?;
        let len = len
            .iter()
            .rev()
            .fold(0, |len, &byte| len << 8 | usize::from(byte));
        if len > Message::MAX_PAYLOAD {
            return Err(malformed());
        }
        let payload = self.take(len)?;
        let parts = Parts {
            kind,
            small,
            words,
            payload,
        };
        parts.message().ok_or_else(malformed)
    }

    pub(super) fn seen(&mut self) -> io::Result<Seen> {
        let at = self.time()?;
        let interface = self.word()? as usize;
        let direction = match self.byte()? {
            0 => Direction::Received,
            1 => Direction::Sent,
            _ => return Err(malformed()),
        };
        let message = self.message()?;
        Ok(Seen {
            at,
            interface,
            direction,
            message,
        })
    }
}

/// Appends what was seen at a port.
pub(super) fn put_seen(out: &mut Vec<u8>, seen: &Seen) {
    out.extend_from_slice(&seen.at.ps().to_le_bytes());
    out.extend_from_slice(&(seen.interface as u64).to_le_bytes());
    out.push(seen.direction as u8);
    put_message(out, &seen.message);
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a malformed message arrived")
}

/// Parcel with captured messages: the time reached, then what was seen.
pub(super) const SEEN: u8 = 1;
/// Parcel with the result of a part, in the words of whoever runs it.
pub(super) const RESULT: u8 = 2;
/// Parcel with the number of the question that is answered, or zero, and how
/// a machine stands.
pub(super) const DIGEST: u8 = 3;
/// Parcel with what all shall do.
pub(super) const ORDERS: u8 = 4;
/// Parcel with the number of a question how a machine stands.
pub(super) const QUESTION: u8 = 5;

/// The longest parcel that is taken.
const MAX_PARCEL: u32 = 256 << 20;

/// Writes a parcel: a tag, the length, and the contents.
pub(super) fn write_parcel(out: &mut impl Write, tag: u8, contents: &[u8]) -> io::Result<()> {
    // In one piece: others may write to the same stream.
    let mut parcel = Vec::with_capacity(5 + contents.len());
    parcel.push(tag);
    parcel.extend_from_slice(&(contents.len() as u32).to_le_bytes());
    parcel.extend_from_slice(contents);
    out.write_all(&parcel)?;
    out.flush()
}

/// Reads a parcel; `None` at the end of the stream.
pub(super) fn read_parcel(from: &mut impl Read) -> io::Result<Option<(u8, Bytes)>> {
    let mut header = [0; 5];
    match from.read(&mut header[..1])? {
        0 => return Ok(None),
        _ => from.read_exact(&mut header[1..])?,
    }
    let len = u32::from_le_bytes([header[1], header[2], header[3], header[4]]);
    if len > MAX_PARCEL {
        return Err(malformed());
    }
    let mut contents = vec![0; len as usize];
    from.read_exact(&mut contents)?;
    Ok(Some((header[0], contents.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message() -> impl Strategy<Value = Message> {
        let data = prop::collection::vec(any::<u8>(), 0..100).prop_map(Bytes::from);
        (0..15_u8, any::<[u64; 2]>(), any::<(u16, u8, bool)>(), data).prop_map(
            |(kind, [req_id, addr], (len, bar, posted), data)| match kind {
                0 => Message::Frame(data),
                1 => Message::DmaRead { req_id, addr, len },
                2 => Message::DmaWrite { req_id, addr, data },
                3 => Message::Interrupt {
                    vector: len,
                    kind: match bar % 4 {
                        0 => InterruptKind::IntxAssert,
                        1 => InterruptKind::IntxDeassert,
                        2 => InterruptKind::Msi,
                        _ => InterruptKind::MsiX,
                    },
                },
                4 => Message::MmioReadCompletion { req_id, data },
                5 => Message::MmioWriteCompletion { req_id },
                6 => Message::MmioRead {
                    req_id,
                    bar,
                    offset: addr,
                    len,
                },
                7 => Message::MmioWrite {
                    req_id,
                    bar,
                    offset: addr,
                    data,
                    posted,
                },
                8 => Message::DmaReadCompletion { req_id, data },
                9 => Message::DmaWriteCompletion { req_id },
                10 => Message::DeviceControl { flags: req_id },
                11 => Message::MemoryRead {
                    req_id,
                    space: 3,
                    addr,
                    len,
                },
                12 => Message::MemoryWrite {
                    req_id,
                    space: 3,
                    addr,
                    data,
                    posted,
                },
                13 => Message::MemoryReadCompletion { req_id, data },
                _ => Message::MemoryWriteCompletion { req_id },
            },
        )
    }

    proptest! {
        #[test]
        fn messages_survive_the_way(messages in prop::collection::vec(message(), 0..5)) {
            let mut bytes = Vec::new();
            for (number, message) in messages.iter().enumerate() {
                let direction = Direction::Sent;
                put_seen(&mut bytes, &Seen::new(Time::from_ps(7), number, direction, message));
            }
            let mut unpacker = Unpacker::new(bytes.into());
            for (number, message) in messages.iter().enumerate() {
                let seen = unpacker.seen().unwrap();
                prop_assert_eq!((seen.at, seen.interface), (Time::from_ps(7), number));
                prop_assert_eq!(&seen.message, message);
            }
            prop_assert!(unpacker.is_empty());
        }

        #[test]
        fn whatever_arrives_is_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut unpacker = Unpacker::new(bytes.clone().into());
            while unpacker.seen().is_ok() && !unpacker.is_empty() {}
            let _ = read_parcel(&mut &bytes[..]);
        }
    }
}
