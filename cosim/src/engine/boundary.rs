//! Links between components that do not run in the same thread.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use hallux_channel::{Message, Time};

/// What a link reports when it cannot go on.
pub type LinkError = Box<dyn Error + Send + Sync>;

/// One end of a link whose other end runs somewhere else.
///
/// Messages come out at the other end in the order in which they went in. A
/// promise made after a message never overtakes it.
pub trait Boundary: Send {
    /// Sends a message that arrives at `arrival`. Never waits: what finds no
    /// place is kept and sent later.
    ///
    /// # Errors
    ///
    /// When the link is broken, or cannot carry the message.
    fn send(&mut self, arrival: Time, message: Message) -> Result<(), LinkError>;

    /// Promises that whatever is sent from now on arrives at `bound` or
    /// later, and sends what was kept.
    ///
    /// # Errors
    ///
    /// When the link is broken.
    fn promise(&mut self, bound: Time) -> Result<(), LinkError>;

    /// Hands what has arrived to `deliver`, with its arrival time, and
    /// returns what the other side has promised.
    ///
    /// # Errors
    ///
    /// When the link is broken, or what arrives makes no sense.
    fn receive(&mut self, deliver: &mut dyn FnMut(Time, Message)) -> Result<Time, LinkError>;

    /// False if the stamps of messages mean nothing and nothing is promised.
    fn is_synchronised(&self) -> bool {
        true
    }

    /// True while something is kept that found no place.
    fn is_congested(&self) -> bool {
        false
    }

    /// Messages that were dropped because the link cannot carry any so long.
    fn refused(&self) -> u64 {
        0
    }

    /// True once the other side has said that it sends no more, and all has
    /// been received.
    fn is_over(&self) -> bool {
        false
    }

    /// Says that nothing more is sent; false if that has to be tried again.
    ///
    /// # Errors
    ///
    /// When the link is broken.
    fn close(&mut self) -> Result<bool, LinkError> {
        Ok(true)
    }
}

/// An end of a link between two threads: messages go through a queue with one
/// producer and one consumer, the promise stands in an atomic beside it.
pub(super) struct Queue {
    outgoing: Sender<(Time, Message)>,
    promise: Arc<AtomicU64>,
    incoming: Receiver<(Time, Message)>,
    bound: Arc<AtomicU64>,
}

impl Queue {
    /// The two ends of a link.
    pub(super) fn pair() -> (Queue, Queue) {
        let (there, back) = (channel(), channel());
        let promises = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
        let [forth, reverse] = &promises;
        let a = Queue {
            outgoing: there.0,
            promise: Arc::clone(forth),
            incoming: back.1,
            bound: Arc::clone(reverse),
        };
        let b = Queue {
            outgoing: back.0,
            promise: Arc::clone(reverse),
            incoming: there.1,
            bound: Arc::clone(forth),
        };
        (a, b)
    }
}

impl Boundary for Queue {
    fn send(&mut self, arrival: Time, message: Message) -> Result<(), LinkError> {
        // The other thread drops its end when it has come to its end, which
        // may be before this message would arrive.
        let _ended = self.outgoing.send((arrival, message));
        Ok(())
    }

    fn promise(&mut self, bound: Time) -> Result<(), LinkError> {
        // Release: who reads the promise finds all messages sent before it.
        self.promise.store(bound.ps(), Ordering::Release);
        Ok(())
    }

    fn receive(&mut self, deliver: &mut dyn FnMut(Time, Message)) -> Result<Time, LinkError> {
        // Read before the queue is emptied: what it covers is in there.
        let bound = Time::from_ps(self.bound.load(Ordering::Acquire));
        for (at, message) in self.incoming.try_iter() {
            deliver(at, message);
        }
        Ok(bound)
    }
}
