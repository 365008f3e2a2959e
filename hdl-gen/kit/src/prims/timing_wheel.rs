//! Identifiers that leave when their time has come.
//!
//! ```text
//!                  ┌──────────────────────────────┐
//!  s (id, at) ────►│ slot ► head, tail of a list  │   ┌──────┐
//!                  │ id   ► next in the list      ├──►│ held ├──► m (id)
//!  now ───────────►│ slots in use: first one due? │   └──────┘
//!                  └──────────────────────────────┴──► wake_at, idle
//! ```
//!
//! A slot stands for `2^shift` units of `now`. An identifier leaves in the first slot that
//! does not begin before its deadline: never early, and late by less than a slot as long as
//! `m` takes what is due. Those of one slot leave in the order they came. A deadline beyond
//! the horizon of `slots - 1` slots leaves at the horizon: the owner compares it with `now`
//! and sends it in again. An identifier may be in the wheel once at a time.
//!
//! Latency 2 cycles for what is due at once. An insertion takes one cycle and a departure
//! two; they take turns when both wait. Nothing counts clocks: while no input is valid and
//! `now < wake_at`, nothing changes.

use super::{Ram, RegisterFile, lowest_one, one_hot_index};
use crate::prelude::*;

/// Most slots of a wheel.
const MOST: usize = 256;

/// When an identifier is to leave.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Deadline {
    /// Who.
    pub id: Bits<16>,
    /// The earliest `now` to leave at.
    pub at: Bits<64>,
}

/// A timing wheel. See the [module](self).
#[derive(LogicBlock)]
pub struct TimingWheel {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: empty.
    pub rst: Signal<In, Bit>,
    /// The time, which never runs backwards.
    pub now: Signal<In, Bits<64>>,
    /// Deadlines in.
    pub s: StreamSink<Deadline>,
    /// Identifiers whose time has come.
    pub m: StreamSource<Bits<16>>,
    /// The `now` at which the next slot becomes due; all ones if there is none.
    pub wake_at: Signal<Out, Bits<64>>,
    /// The wheel is empty.
    pub idle: Signal<Out, Bit>,
    /// First and last identifier of each slot in use.
    heads: RegisterFile<Bits<16>, 8>,
    tails: RegisterFile<Bits<16>, 8>,
    /// The identifier after each one in its slot.
    links: Ram<Bits<16>, 16>,
    used: DFF<Bits<256>>,
    /// Slots are counted from time 0 on; none in use comes before this one.
    base: DFF<Bits<64>>,
    /// The list of `slot` loses its head: the link to the next one is being read.
    relinking: DFF<Bit>,
    slot: DFF<Bits<8>>,
    /// The last move was a departure.
    departed: DFF<Bit>,
    held: DFF<Bits<16>>,
    held_valid: DFF<Bit>,
    _slots: usize,
    _shift: u64,
}

impl TimingWheel {
    /// A wheel for the identifiers below `identifiers`, of `slots` slots of `2^shift` units
    /// of time.
    ///
    /// # Panics
    /// If `identifiers` is not 2 to 65536, `slots` not a power of two from 2 to 256, or
    /// `shift` above 32.
    pub fn new(identifiers: usize, slots: usize, shift: u32) -> Self {
        assert!(
            (2..=65536).contains(&identifiers),
            "a timing wheel has 2 to 65536 identifiers, not {identifiers}"
        );
        assert!(
            slots.is_power_of_two() && (2..=MOST).contains(&slots),
            "a timing wheel has a power of two from 2 to {MOST} slots, not {slots}"
        );
        assert!(
            shift <= 32,
            "a slot of a timing wheel has up to 2^32 units, not 2^{shift}"
        );
        Self {
            clk: Signal::default(),
            rst: Signal::default(),
            now: Signal::default(),
            s: StreamSink::default(),
            m: StreamSource::default(),
            wake_at: Signal::default(),
            idle: Signal::default(),
            heads: RegisterFile::new(slots),
            tails: RegisterFile::new(slots),
            links: Ram::new(identifiers),
            used: DFF::default(),
            base: DFF::default(),
            relinking: DFF::default(),
            slot: DFF::default(),
            departed: DFF::default(),
            held: DFF::default(),
            held_valid: DFF::default(),
            _slots: slots,
            _shift: u64::from(shift),
        }
    }
}

/// The slots of a wheel of `slots`, one bit each.
fn all(slots: usize) -> Bits<256> {
    (0..slots).fold(Bits::default(), |mask, slot| mask.replace_bit(slot, true))
}

impl Logic for TimingWheel {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self, clk, used, base, relinking, slot, departed, held, held_valid
        );
        self.heads.clk.next = self.clk.val();
        self.tails.clk.next = self.clk.val();
        self.links.clk.next = self.clk.val();
        let slots = bits::<9>(self._slots as u64);
        let last_slot = bits::<64>(self._slots as u64 - 1);
        let used = self.used.q.val();
        let any = used.any();

        // The first slot in use at or after `base`.
        let first = bit_cast::<8, 64>(self.base.q.val() & last_slot);
        let turned =
            ((used >> first) | (used << (slots - bit_cast::<9, 8>(first)))) & all(self._slots);
        let ahead = one_hot_index::<256, 8>(lowest_one::<256>(turned));
        let next = self.base.q.val() + bit_cast::<64, 8>(ahead);
        let present = self.now.val() >> self._shift;
        let due = any & (next <= present);
        let next_slot = bit_cast::<8, 64>(next & last_slot);
        self.wake_at.next = if any {
            next << self._shift
        } else {
            !bits::<64>(0)
        };
        self.idle.next = !any & !self.held_valid.q.val();

        let free = self.m.ready.val() | !self.held_valid.q.val();
        let relinking = self.relinking.q.val();
        let yields = self.departed.q.val() & self.s.valid.val();
        let departs = due & free & !relinking & !yields;
        let accepts = !relinking & !departs;
        let inserts = self.s.valid.val() & accepts;
        self.s.ready.next = accepts;

        // Where a deadline goes: rounded up to a slot, within the horizon.
        let start = if any & (next < present) {
            next
        } else {
            present
        };
        let deadline = self.s.data.val();
        let partial = (deadline.at & bits::<64>((1u64 << self._shift) - 1)).any();
        let rounded = (deadline.at >> self._shift) + bit_cast::<64, 1>(bit(partial));
        let wanted = if rounded < start {
            start
        } else if rounded - start > last_slot {
            start + last_slot
        } else {
            rounded
        };
        let insert_slot = bit_cast::<8, 64>(wanted & last_slot);
        let joins = ((used >> insert_slot) & bits::<256>(1)).any();

        let looked_at = if departs { next_slot } else { insert_slot };
        self.heads.read_address.next = looked_at;
        self.tails.read_address.next = looked_at;
        let head = self.heads.read_data.val();
        let tail = self.tails.read_data.val();
        let alone = head == tail;
        self.links.read_address.next = head;
        self.links.write_enable.next = inserts & joins;
        self.links.write_address.next = tail;
        self.links.write_data.next = deadline.id;
        self.tails.write_enable.next = inserts;
        self.tails.write_address.next = insert_slot;
        self.tails.write_data.next = deadline.id;
        self.heads.write_enable.next = relinking | (inserts & !joins);
        self.heads.write_address.next = if relinking {
            self.slot.q.val()
        } else {
            insert_slot
        };
        self.heads.write_data.next = if relinking {
            self.links.read_data.val()
        } else {
            deadline.id
        };

        self.m.data.next = self.held.q.val();
        self.m.valid.next = self.held_valid.q.val();
        if free {
            self.held_valid.d.next = departs;
        }
        self.relinking.d.next = departs & !alone;
        if departs {
            self.held.d.next = head;
            self.slot.d.next = next_slot;
            self.base.d.next = next;
            self.departed.d.next = true;
            if alone {
                self.used.d.next = used & !(bits::<256>(1) << next_slot);
            }
        }
        if inserts {
            self.base.d.next = start;
            self.departed.d.next = false;
            self.used.d.next = used | (bits::<256>(1) << insert_slot);
        }
        if self.rst.val() {
            self.used.d.next = bits::<256>(0);
            self.relinking.d.next = false;
            self.departed.d.next = false;
            self.held_valid.d.next = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a power of two from 2 to 256 slots, not 100")]
    fn slots_are_numbered_by_bits() {
        TimingWheel::new(16, 100, 10);
    }
}
