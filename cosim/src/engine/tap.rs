//! Messages seen at named interfaces, in one order for all who look.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use hallux_channel::{Message, Protocol, Time};

/// A port at which messages are seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name in captures.
    pub name: String,
    /// What it speaks, and in which role.
    pub protocol: Protocol,
}

/// Which way a message passed an interface. Inputs of an instant come before
/// what the component sends at that instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// It arrived at the component.
    Received,
    /// The component sent it.
    Sent,
}

/// A message at a tapped interface.
#[derive(Clone, Copy, Debug)]
pub struct Tapped<'a> {
    /// When it passed the interface: a frame with its last bit.
    pub at: Time,
    /// Number of the interface, in the order of tapping.
    pub interface: usize,
    /// Which way it passed.
    pub direction: Direction,
    /// The message.
    pub message: &'a Message,
}

/// Sees every message of every tapped interface in the order
/// (time, interface, direction, sequence), which is the same for equal runs.
///
/// `Arc<Mutex<S>>` is a sink too, for those who want to look at it after the
/// run.
pub trait MessageSink: Send {
    /// Takes one message. A sink passes over what is not its business: a
    /// capture of frames, for one, over PCIe.
    ///
    /// # Errors
    ///
    /// When it cannot be written; this ends the run.
    fn message(&mut self, tapped: &Tapped<'_>) -> io::Result<()>;

    /// Called once when the run has ended at `end`, complete or not.
    ///
    /// # Errors
    ///
    /// When what is buffered cannot be written.
    fn finish(&mut self, end: Time) -> io::Result<()> {
        let _ = end;
        Ok(())
    }
}

impl<S: MessageSink> MessageSink for Arc<Mutex<S>> {
    fn message(&mut self, tapped: &Tapped<'_>) -> io::Result<()> {
        let mut sink = self.lock().unwrap_or_else(PoisonError::into_inner);
        sink.message(tapped)
    }

    fn finish(&mut self, end: Time) -> io::Result<()> {
        let mut sink = self.lock().unwrap_or_else(PoisonError::into_inner);
        sink.finish(end)
    }
}

/// A message that passed a tapped port.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) at: Time,
    pub(super) interface: usize,
    pub(super) direction: Direction,
    pub(super) message: Message,
}

impl Seen {
    pub(super) fn new(at: Time, interface: usize, direction: Direction, message: &Message) -> Self {
        Seen {
            at,
            interface,
            direction,
            message: message.clone(),
        }
    }
}

/// A message in the order in which the sinks see them.
struct Waiting {
    key: (Time, usize, Direction, u64),
    message: Message,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

/// Brings messages, seen out of order because components run in batches, into
/// order and hands them to the sinks.
#[derive(Default)]
pub(super) struct Merger {
    sinks: Vec<Box<dyn MessageSink>>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    seen: u64,
}

impl Merger {
    pub(super) fn add_sink(&mut self, sink: Box<dyn MessageSink>) {
        self.sinks.push(sink);
    }

    pub(super) fn wrap_sinks(
        &mut self,
        wrap: impl FnMut(Box<dyn MessageSink>) -> Box<dyn MessageSink>,
    ) {
        self.sinks = std::mem::take(&mut self.sinks)
            .into_iter()
            .map(wrap)
            .collect();
    }

    /// Notes a message. Those of one interface and direction come in order.
    pub(super) fn see(&mut self, seen: Seen) {
        let key = (seen.at, seen.interface, seen.direction, self.seen);
        let message = seen.message;
        self.waiting.push(Reverse(Waiting { key, message }));
        self.seen += 1;
    }

    /// Hands out all messages before `before`; no earlier one may follow.
    pub(super) fn flush(&mut self, before: Time) -> io::Result<()> {
        while let Some(first) = self.waiting.peek_mut() {
            if first.0.key.0 >= before {
                break;
            }
            let Reverse(Waiting { key, message }) = PeekMut::pop(first);
            let (at, interface, direction, _) = key;
            for sink in &mut self.sinks {
                sink.message(&Tapped {
                    at,
                    interface,
                    direction,
                    message: &message,
                })?;
            }
        }
        Ok(())
    }

    /// Hands out what passed before `end` and closes the sinks.
    pub(super) fn finish(&mut self, end: Time) -> io::Result<()> {
        self.flush(end)?;
        self.waiting.clear();
        self.sinks.iter_mut().try_for_each(|sink| sink.finish(end))
    }
}
