//! Ticketed reorder buffer with skip.
//!
//! ```text
//!              ┌──────────────────┐   ┌──────┐
//!  s, ticket ─►│ depth slots,     ├──►│ FIFO ├──► m   in ticket order
//!  skip ──────►│ one a ticket     │   └──────┘
//!              └──────────────────┘
//! ```
//!
//! Words arrive in any order, each with the running number it was given before the
//! order was lost; they leave in the order of those numbers. A number whose work ended
//! without a word is announced with `skip`. `s_ready` is low while the number is not
//! within `depth` of the oldest one missing, so a word can wait but never be lost.
//! Latency 3 cycles in order, initiation interval 1.

use crate::prelude::*;

/// Words the output FIFO holds; two may be on their way to it.
const OUTPUT: usize = 4;

/// Restores the order of words `T`. See the [module](self).
#[derive(LogicBlock)]
pub struct Reorder<T: Flat> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset: empty, number 0 is the next to leave.
    pub rst: Signal<In, Bit>,
    /// Words in, in any order.
    pub s: StreamSink<T>,
    /// Running number of the word on `s`, modulo 65536.
    pub ticket: Signal<In, Bits<16>>,
    /// The number on `ticket` has no word: `s_data` is ignored.
    pub skip: Signal<In, Bit>,
    /// Words out, in order of their numbers.
    pub m: StreamSource<T>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    slots: Ram<T, 16>,
    /// Slots that hold a word or a skip.
    present: DFF<Bits<256>>,
    /// Slots that hold a skip.
    skipped: DFF<Bits<256>>,
    /// Number that leaves next.
    head: DFF<Bits<16>>,
    /// Its slot holds a word or a skip; and a skip.
    here: DFF<Bit>,
    skips: DFF<Bit>,
    /// A word was read from `slots` and enters `queue` now.
    reading: DFF<Bit>,
    queue: Fifo<T>,
    _depth: usize,
}

impl<T: Flat> Reorder<T> {
    /// A buffer of `depth` slots: a power of two from 2 to 256.
    ///
    /// # Panics
    /// For any other depth: a mistake in the generator, not in its input.
    pub fn new(depth: usize) -> Self {
        assert!(
            depth.is_power_of_two() && (2..=256).contains(&depth),
            "a reorder buffer has a power of two from 2 to 256 slots, not {depth}"
        );
        Self {
            clk: Signal::default(),
            rst: Signal::default(),
            s: StreamSink::default(),
            ticket: Signal::default(),
            skip: Signal::default(),
            m: StreamSource::default(),
            idle: Signal::default(),
            slots: Ram::new(depth),
            present: DFF::default(),
            skipped: DFF::default(),
            head: DFF::default(),
            here: DFF::default(),
            skips: DFF::default(),
            reading: DFF::default(),
            queue: Fifo::new(OUTPUT),
            _depth: depth,
        }
    }
}

impl<T: Flat> Default for Reorder<T> {
    /// A buffer of 2 slots: a placeholder for `..Default::default()`.
    fn default() -> Self {
        Self::new(2)
    }
}

impl<T: Flat> Logic for Reorder<T> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, present, skipped, head, here, skips, reading);
        self.slots.clk.next = self.clk.val();
        self.queue.clk.next = self.clk.val();
        self.queue.rst.next = self.rst.val();

        let mask = bits::<16>(self._depth as u64 - 1);
        let ticket = self.ticket.val();
        let slot = ticket & mask;
        let near = (ticket - self.head.q.val()) <= mask;
        let accept = self.s.valid.val() & near;
        self.s.ready.next = near;
        self.slots.write_enable.next = accept & !self.skip.val();
        self.slots.write_address.next = slot;
        self.slots.write_data.next = self.s.data.val();

        let oldest = self.head.q.val() & mask;
        let here = self.here.q.val();
        let skips = self.skips.q.val();
        // One word may be between `slots` and the queue when this one is read, so a
        // read needs two free places.
        let room = self.queue.level.val() < bits::<16>(OUTPUT as u64 - 1);
        let leave = here & (skips | room);
        self.slots.read_address.next = oldest;
        self.reading.d.next = leave & !skips;
        self.queue.s.data.next = self.slots.read_data.val();
        self.queue.s.valid.next = self.reading.q.val();

        let mut present = self.present.q.val();
        let mut skipped = self.skipped.q.val();
        if leave {
            self.head.d.next = self.head.q.val() + bits::<16>(1);
            present = present & !(bits::<256>(1) << oldest);
            skipped = skipped & !(bits::<256>(1) << oldest);
        }
        if accept {
            present = present | (bits::<256>(1) << slot);
            if self.skip.val() {
                skipped = skipped | (bits::<256>(1) << slot);
            }
        }
        // What the next clock finds at the oldest number.
        let after = (oldest + bits::<16>(1)) & mask;
        let oldest_here = ((self.present.q.val() >> oldest) & bits::<256>(1)).any();
        let oldest_skips = ((self.skipped.q.val() >> oldest) & bits::<256>(1)).any();
        let after_here = ((self.present.q.val() >> after) & bits::<256>(1)).any();
        let after_skips = ((self.skipped.q.val() >> after) & bits::<256>(1)).any();
        let at_oldest = accept & (slot == oldest);
        let at_after = accept & (slot == after);
        self.here.d.next = if leave {
            after_here | at_after
        } else {
            oldest_here | at_oldest
        };
        self.skips.d.next = if leave {
            after_skips | (at_after & self.skip.val())
        } else {
            oldest_skips | (at_oldest & self.skip.val())
        };
        self.present.d.next = present;
        self.skipped.d.next = skipped;

        self.m.data.next = self.queue.m.data.val();
        self.m.valid.next = self.queue.m.valid.val();
        self.queue.m.ready.next = self.m.ready.val();
        self.idle.next =
            !self.present.q.val().any() & !self.reading.q.val() & !self.queue.level.val().any();

        if self.rst.val() {
            self.present.d.next = bits::<256>(0);
            self.skipped.d.next = bits::<256>(0);
            self.head.d.next = bits::<16>(0);
            self.here.d.next = false;
            self.skips.d.next = false;
            self.reading.d.next = false;
        }
    }
}
