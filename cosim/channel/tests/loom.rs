//! The ring under every order that the memory model allows.

use hallux_channel::simbricks::ring::{Consumer, Producer, Slots};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU8, Ordering};
use loom::thread;

/// Slots whose contents are plain memory: `loom` fails if an access to them
/// is not ordered by the owner byte.
struct Checked(Vec<(AtomicU8, UnsafeCell<Contents>)>);

/// First word of the header, and payload.
type Contents = (u64, [u8; 2]);

// SAFETY: that the cells are used by one thread at a time is what is checked.
unsafe impl Sync for Checked {}

#[derive(Clone)]
struct Shared(Arc<Checked>);

impl Slots for Shared {
    fn count(&self) -> usize {
        self.0.0.len()
    }

    fn following(&self, at: usize) -> usize {
        (at + 1) % self.count()
    }

    fn half_way(&self, at: usize) -> usize {
        (at + self.count() / 2) % self.count()
    }

    fn acquire(&self, index: usize) -> u8 {
        self.0.0[index].0.load(Ordering::Acquire)
    }

    fn release(&self, index: usize, own_type: u8) {
        self.0.0[index].0.store(own_type, Ordering::Release);
    }

    fn fill(&self, index: usize, own_type: u8, words: &[u64], _stamp: u64, payload: &[u8]) {
        self.0.0[index].1.with_mut(|slot| {
            // SAFETY: the memory of the slot; `loom` checks that nobody else is there.
            let slot = unsafe { &mut *slot };
            slot.0 = words[0];
            slot.1.copy_from_slice(payload);
        });
        self.release(index, own_type);
    }

    fn read_word(&self, index: usize, word: usize) -> u64 {
        assert_eq!(word, 0);
        // SAFETY: as above.
        self.0.0[index].1.with(|slot| unsafe { (*slot).0 })
    }

    fn read_payload(&self, index: usize, into: &mut [u8]) {
        // SAFETY: as above.
        into.copy_from_slice(&self.0.0[index].1.with(|slot| unsafe { (*slot).1 }));
    }
}

/// More messages than slots, so that every slot is given back and used again.
fn exchange(slots: usize, messages: u64) {
    loom::model(move || {
        let ring = (0..slots).map(|_| (AtomicU8::new(0), UnsafeCell::new((0, [0; 2]))));
        let ring = Shared(Arc::new(Checked(ring.collect())));
        let mut producer = Producer::new(ring.clone());
        let mut consumer = Consumer::new(ring);
        let sender = thread::spawn(move || {
            for n in 0..messages {
                while !producer.push(0x40 + n as u8, &[n], 0, &[n as u8; 2]) {
                    thread::yield_now();
                }
            }
        });
        for n in 0..messages {
            let kind = loop {
                match consumer.peek() {
                    Some(message) => break message,
                    None => thread::yield_now(),
                }
            };
            let first = consumer.word(0);
            let mut payload = [0; 2];
            consumer.payload(&mut payload);
            consumer.pop(kind);
            assert_eq!((kind, first, payload), (0x40 + n as u8, n, [n as u8; 2]));
        }
        assert!(consumer.peek().is_none());
        sender.join().unwrap();
    });
}

#[test]
fn one_slot_carries_two_messages_in_order() {
    exchange(1, 2);
}

#[test]
fn two_slots_carry_three_messages_in_order() {
    exchange(2, 3);
}
