//! Frames seen at named interfaces, in one order for all who look.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hallux_channel::Time;

/// Which way a frame passed an interface. Inputs of an instant come before
/// what the component sends at that instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// It arrived at the component.
    Received,
    /// The component sent it.
    Sent,
}

/// A frame at a tapped interface.
#[derive(Clone, Copy, Debug)]
pub struct TappedFrame<'a> {
    /// When its last bit passed the interface.
    pub at: Time,
    /// Number of the interface, in the order of tapping.
    pub interface: usize,
    /// Which way it passed.
    pub direction: Direction,
    /// The frame without preamble and FCS.
    pub frame: &'a Bytes,
}

/// Sees every frame of every tapped interface in the order
/// (time, interface, direction, sequence), which is the same for equal runs.
///
/// `Arc<Mutex<S>>` is a sink too, for those who want to look at it after the
/// run.
pub trait FrameSink: Send {
    /// Takes one frame.
    ///
    /// # Errors
    ///
    /// When it cannot be written; this ends the run.
    fn frame(&mut self, frame: &TappedFrame<'_>) -> io::Result<()>;

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

impl<S: FrameSink> FrameSink for Arc<Mutex<S>> {
    fn frame(&mut self, frame: &TappedFrame<'_>) -> io::Result<()> {
        let mut sink = self.lock().unwrap_or_else(PoisonError::into_inner);
        sink.frame(frame)
    }

    fn finish(&mut self, end: Time) -> io::Result<()> {
        let mut sink = self.lock().unwrap_or_else(PoisonError::into_inner);
        sink.finish(end)
    }
}

/// Brings frames, seen out of order because components run in batches, into
/// order and hands them to the sinks.
#[derive(Default)]
pub(super) struct Merger {
    sinks: Vec<Box<dyn FrameSink>>,
    waiting: BTreeMap<(Time, usize, Direction, u64), Bytes>,
    seen: u64,
}

impl Merger {
    pub(super) fn add_sink(&mut self, sink: Box<dyn FrameSink>) {
        self.sinks.push(sink);
    }

    /// Notes a frame. Those of one interface and direction come in order.
    pub(super) fn see(&mut self, at: Time, interface: usize, direction: Direction, frame: Bytes) {
        self.waiting
            .insert((at, interface, direction, self.seen), frame);
        self.seen += 1;
    }

    /// Hands out all frames before `before`; no earlier one may follow.
    pub(super) fn flush(&mut self, before: Time) -> io::Result<()> {
        while let Some(entry) = self.waiting.first_entry() {
            let &(at, interface, direction, _) = entry.key();
            if at >= before {
                break;
            }
            let frame = entry.remove();
            for sink in &mut self.sinks {
                sink.frame(&TappedFrame {
                    at,
                    interface,
                    direction,
                    frame: &frame,
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
