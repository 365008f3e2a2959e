//! Rings with one producer and one consumer.
//!
//! ```text
//!              next of the consumer      next of the producer
//!                     ▼                          ▼
//!   ┌──────┬──────┬──────┬──────┬──────┬──────┬──────┬──────┐
//!   │ free │ free │ full │ full │ full │ full │ free │ free │
//!   └──────┴──────┴──────┴──────┴──────┴──────┴──────┴──────┘
//! ```
//!
//! The two sides share no index. The owner bit of each slot is all they have
//! in common: the producer may touch a slot while it is clear, the consumer
//! while it is set. Whoever reads it acquires, whoever changes it releases,
//! and the whole ring may be in use.

use super::wire::{HeaderWords, OWNER, TYPE};

/// The memory of a ring.
///
/// A trait so that the algorithm can be run on the memory model of `loom`.
pub trait Slots {
    /// Count of slots, at least 1.
    fn count(&self) -> usize;
    /// Reads the owner byte of a slot; what its other side wrote before is
    /// visible afterwards (acquire).
    fn acquire(&self, index: usize) -> u8;
    /// Writes the owner byte of a slot after all that was written or read
    /// before (release).
    fn release(&self, index: usize, own_type: u8);
    /// Writes header, but not its last word, and payload.
    fn write(&self, index: usize, header: &HeaderWords, payload: &[u8]);
    /// Copies the header out. Only the words a protocol uses and the time
    /// stamp need to be valid.
    fn read_header(&self, index: usize) -> HeaderWords;
    /// Copies the first bytes of the payload out, as many as `into` holds,
    /// which must not be more than a slot has.
    fn read_payload(&self, index: usize, into: &mut [u8]);
    /// A hint that this slot is next.
    fn prefetch(&self, _index: usize) {}
}

/// The sending end of a ring.
#[derive(Debug)]
pub struct Producer<S> {
    slots: S,
    next: usize,
}

impl<S: Slots> Producer<S> {
    /// The end of a ring of which all slots are free.
    pub fn new(slots: S) -> Self {
        Producer { slots, next: 0 }
    }

    /// The memory of the ring.
    pub fn slots(&self) -> &S {
        &self.slots
    }

    /// True if a message can be pushed.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.slots.acquire(self.next) & OWNER == 0
    }

    /// Sends a message if there is room; says whether it did. The payload
    /// must fit into a slot.
    #[inline(always)]
    pub fn push(&mut self, kind: u8, header: &HeaderWords, payload: &[u8]) -> bool {
        if !self.has_room() {
            return false;
        }
        self.slots.write(self.next, header, payload);
        self.slots.release(self.next, OWNER | kind & TYPE);
        self.next = following(self.next, self.slots.count());
        true
    }
}

/// The receiving end of a ring.
#[derive(Debug)]
pub struct Consumer<S> {
    slots: S,
    next: usize,
}

impl<S: Slots> Consumer<S> {
    /// The end of a ring of which all slots are free.
    pub fn new(slots: S) -> Self {
        Consumer { slots, next: 0 }
    }

    /// The memory of the ring.
    pub fn slots(&self) -> &S {
        &self.slots
    }

    /// Type and header of the next message, if there is one.
    #[inline(always)]
    pub fn peek(&self) -> Option<(u8, HeaderWords)> {
        let own_type = self.slots.acquire(self.next);
        (own_type & OWNER != 0).then(|| (own_type & TYPE, self.slots.read_header(self.next)))
    }

    /// Copies the first bytes of the payload of the message just peeked at.
    #[inline]
    pub fn payload(&self, into: &mut [u8]) {
        self.slots.read_payload(self.next, into);
    }

    /// Gives the slot of the message of type `kind`, just peeked at, back.
    #[inline]
    pub fn pop(&mut self, kind: u8) {
        self.slots.release(self.next, kind & TYPE);
        self.next = following(self.next, self.slots.count());
        self.slots.prefetch(self.next);
    }
}

#[inline]
fn following(index: usize, count: usize) -> usize {
    if index + 1 == count { 0 } else { index + 1 }
}
