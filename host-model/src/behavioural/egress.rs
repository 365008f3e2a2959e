//! Frames on their way out, in the order of their events.

use super::frame::{self, Addresses};
use crate::reference::Transmission;
use hallux_channel::{LineRate, Time, Transmitter};
use hallux_toe::interface;
use std::collections::VecDeque;

/// Payload bytes that may be between grant and wire: the product of 100 Gb/s and 5 µs.
const WINDOW_BYTES: usize = 64 << 10;
/// Grants stop while the wire is busy for longer than this.
const WIRE_BACKLOG: Time = Time::from_us(1);

/// A frame whose payload is being fetched.
#[derive(Debug)]
pub(super) struct Frame {
    /// Headers to build; `None` for a frame of the control plane.
    header: Option<(Addresses, Transmission)>,
    payload: Vec<u8>,
    missing: usize,
    /// Some of the payload could not be read: it is not sent.
    lost: bool,
}

impl Frame {
    /// A segment of the data path.
    pub(super) fn segment(addresses: Addresses, segment: Transmission) -> Self {
        let length = usize::from(segment.length);
        Self {
            header: Some((addresses, segment)),
            payload: vec![0; length],
            missing: length,
            lost: false,
        }
    }

    /// A frame of the control plane, sent as it is.
    pub(super) fn raw(length: usize) -> Self {
        Self {
            header: None,
            payload: vec![0; length],
            missing: length,
            lost: false,
        }
    }
}

/// The queue and the line behind it.
#[derive(Debug)]
pub(super) struct Egress {
    queue: VecDeque<Frame>,
    /// Number of the queue's first frame.
    first: u64,
    bytes: usize,
    line: Transmitter,
}

impl Egress {
    pub(super) fn new(rate: LineRate) -> Self {
        Self {
            queue: VecDeque::new(),
            first: 0,
            bytes: 0,
            line: Transmitter::new(rate),
        }
    }

    /// An empty queue on the same line, which may still be busy.
    pub(super) fn reset(&self) -> Self {
        Self {
            queue: VecDeque::new(),
            first: 0,
            bytes: 0,
            line: self.line.clone(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Appends a frame; returns its number.
    pub(super) fn push(&mut self, frame: Frame) -> u64 {
        self.bytes += frame.payload.len();
        self.queue.push_back(frame);
        self.first + self.queue.len() as u64 - 1
    }

    /// Payload bytes have arrived.
    pub(super) fn fill(&mut self, number: u64, offset: usize, data: &[u8]) {
        let index = number.wrapping_sub(self.first) as usize;
        let Some(frame) = self.queue.get_mut(index) else {
            return;
        };
        let end = (offset + data.len()).min(frame.payload.len());
        frame.payload[offset..end].copy_from_slice(&data[..end - offset]);
        frame.missing = frame.missing.saturating_sub(end - offset);
    }

    /// Payload bytes will never arrive.
    pub(super) fn lose(&mut self, number: u64) {
        let index = number.wrapping_sub(self.first) as usize;
        if let Some(frame) = self.queue.get_mut(index) {
            frame.lost = true;
        }
    }

    /// Sends the first frame if it is complete; the time its last bit leaves.
    pub(super) fn pop(&mut self, now: Time) -> Option<(Time, Vec<u8>)> {
        let mut frame = self.take()?;
        while frame.lost {
            frame = self.take()?;
        }
        let bytes = match frame.header {
            Some((addresses, segment)) => {
                let ts_val = interface::timestamp(now.ns(), segment.ts_offset);
                frame::build(&addresses, &segment, ts_val, &frame.payload)
            }
            None => frame::pad(frame.payload),
        };
        Some((self.line.transmit(now, bytes.len()), bytes))
    }

    /// Takes the first frame from the queue if it waits for nothing.
    fn take(&mut self) -> Option<Frame> {
        self.queue
            .front()
            .filter(|frame| frame.missing == 0 || frame.lost)?;
        let frame = self.queue.pop_front()?;
        self.first += 1;
        self.bytes -= frame.payload.len();
        Some(frame)
    }

    /// Another segment may be granted at `now`.
    pub(super) fn has_room(&self, now: Time) -> bool {
        self.bytes < WINDOW_BYTES && self.room_at() <= now
    }

    /// When the wire has room; never while completions must come first.
    pub(super) fn room_at(&self) -> Time {
        if self.bytes >= WINDOW_BYTES {
            return Time::NEVER;
        }
        Time::from_ps(self.line.free_at().ps().saturating_sub(WIRE_BACKLOG.ps()))
    }
}
