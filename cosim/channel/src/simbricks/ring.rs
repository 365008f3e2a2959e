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

use super::wire::{OWNER, TYPE};

/// Longest payload for which a producer looks at other slots than the next.
const SHORT: usize = 256;
/// Looks that follow each other, in about a microsecond: as long as a consumer
/// takes for half of a short ring.
const GLANCES: u32 = 2048;

/// The memory of a ring.
///
/// A trait so that the algorithm can be run on the memory model of `loom`.
pub trait Slots {
    /// Count of slots, at least 1.
    fn count(&self) -> usize;
    /// Where the slot behind the one at `at` is. The first one is at 0, and it
    /// follows the last.
    fn following(&self, at: usize) -> usize;
    /// Where the slot is that lies half a ring behind the one at `at`.
    fn half_way(&self, at: usize) -> usize;
    /// Reads the owner byte of a slot; what its other side wrote before is
    /// visible afterwards (acquire).
    fn acquire(&self, at: usize) -> u8;
    /// Writes the owner byte of a slot after all that was written or read
    /// before (release).
    fn release(&self, at: usize, own_type: u8);
    /// Writes the first words of the header, at most four, the time stamp and
    /// the payload, then the owner byte (release).
    fn fill(&self, at: usize, own_type: u8, words: &[u64], stamp: u64, payload: &[u8]);
    /// Copies one word of the header out: one of the first four, or the time
    /// stamp.
    fn read_word(&self, at: usize, word: usize) -> u64;
    /// Copies the first bytes of the payload out, as many as `into` holds,
    /// which must not be more than a slot has.
    fn read_payload(&self, at: usize, into: &mut [u8]);
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
    #[inline(always)]
    pub fn has_room(&self) -> bool {
        self.slots.acquire(self.next) & OWNER == 0
    }

    /// Looks a few times, after a message of `len` bytes has found no room,
    /// whether half a ring has become free.
    ///
    /// The slot that becomes free next is the one that the consumer is at work
    /// on, and each look takes its line away from the consumer. The slot half
    /// a ring ahead is not touched before the others are free, and then there
    /// is room for many messages at once. But no longer: the consumer may be
    /// waiting for what follows from this very message. Long messages take
    /// more time than such a line, and half a ring of them may not stay in a
    /// cache.
    #[cold]
    pub fn glance(&self, len: usize) {
        if len > SHORT {
            return;
        }
        let ahead = self.slots.half_way(self.next);
        for _ in 0..GLANCES {
            if self.slots.acquire(ahead) & OWNER == 0 {
                return;
            }
        }
    }

    /// Sends a message if there is room; says whether it did. `words` are the
    /// first words of its header, as many as its type has. The payload must
    /// fit into a slot.
    #[inline(always)]
    pub fn push(&mut self, kind: u8, words: &[u64], stamp: u64, payload: &[u8]) -> bool {
        let room = self.has_room();
        if room {
            self.put(kind, words, stamp, payload);
        }
        room
    }

    /// Sends a message as [`Producer::push`]; there must be room.
    #[inline(always)]
    pub fn put(&mut self, kind: u8, words: &[u64], stamp: u64, payload: &[u8]) {
        let at = self.next;
        self.next = self.slots.following(at);
        self.slots
            .fill(at, OWNER | kind & TYPE, words, stamp, payload);
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

    /// Type of the next message, if there is one.
    #[inline(always)]
    pub fn peek(&self) -> Option<u8> {
        let own_type = self.slots.acquire(self.next);
        (own_type & OWNER != 0).then_some(own_type & TYPE)
    }

    /// Copies a word of the header of the message just peeked at. The peer may
    /// change it in the meantime: what was checked must not be read again.
    #[inline(always)]
    pub fn word(&self, word: usize) -> u64 {
        self.slots.read_word(self.next, word)
    }

    /// Copies the first bytes of the payload of the message just peeked at.
    #[inline(always)]
    pub fn payload(&self, into: &mut [u8]) {
        self.slots.read_payload(self.next, into);
    }

    /// Gives the slot of the message of type `kind`, just peeked at, back.
    #[inline(always)]
    pub fn pop(&mut self, kind: u8) {
        let at = self.next;
        self.next = self.slots.following(at);
        self.slots.release(at, kind & TYPE);
    }

    /// As [`Consumer::pop`], after a copy of the first bytes of the payload.
    #[inline(always)]
    pub fn take(&mut self, kind: u8, into: &mut [u8]) {
        self.payload(into);
        self.pop(kind);
    }
}
