//! Identifiers that leave when their time has come.
//!
//! ```text
//!                  ┌──────────────────────────────┐
//!  s (id, at) ────►│ slot ► head, tail of a list  │   ┌──────┐
//!                  │ id   ► next in the list      ├──►│ held ├──► m (id)
//!  now ───────────►│ first slot in use: is it due?│   └──────┘
//!                  └──────────────────────────────┴──► wake_at, idle
//!
//!  Rest ─┬─► Bound ─► Choose ─► Insert ─┬─► Rest
//!        └─► Unlink ────────────────────┤ others are left in the slot
//!               └─► Turn ─► Scan ─► Pick ─► Advance
//! ```
//!
//! A slot stands for `2^shift` units of `now`. An identifier leaves in the first slot that
//! does not begin before its deadline: never early, and late by less than a slot as long as
//! `m` takes what is due. Those of one slot leave in the order they came. A deadline beyond
//! the horizon of `slots - 1` slots leaves at the horizon: the owner compares it with `now`
//! and sends it in again. An identifier may be in the wheel once at a time.
//!
//! Latency 6 cycles for what is due at once. An insertion takes four cycles; a departure two, and
//! four more for the last of its slot, to find the next slot in use. They take turns when both
//! wait. Nothing counts clocks: while no input is valid and `now < wake_at`, nothing changes.
//! Each cycle is one carry chain, one search or one look at a table.

use super::{Ram, RegisterFile, lowest_one, one_hot_index};
use crate::prelude::*;

/// Most slots of a wheel.
const MOST: usize = 256;
/// Slots that are searched at a time.
const GROUP: usize = 16;

/// What the wheel does in this cycle.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum Step {
    /// Taking a deadline, or letting go of an identifier.
    Rest,
    /// The deadline is held against the present and the horizon.
    Bound,
    /// Its slot is chosen.
    Choose,
    /// It enters the list of the slot.
    Insert,
    /// The list loses its head.
    Unlink,
    /// It was empty then: the slots in use behind it are put in order,
    Turn,
    /// searched by groups,
    Scan,
    /// then among the groups,
    Pick,
    /// and the wheel goes on to the first.
    Advance,
}

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
    step: DFF<Step>,
    /// The first slot in use, if there is one, counted from time 0 on; and whether it was due a clock ago.
    next: DFF<Bits<64>>,
    any: DFF<Bit>,
    due: DFF<Bit>,
    /// What is being inserted: its slot as it wants it, the first it could have, the last, and what it gets.
    id: DFF<Bits<16>>,
    rounded: DFF<Bits<64>>,
    start: DFF<Bits<64>>,
    end: DFF<Bits<64>>,
    wanted: DFF<Bits<64>>,
    below: DFF<Bit>,
    beyond: DFF<Bit>,
    /// The slot is in use already.
    joins: DFF<Bit>,
    /// The slot whose list loses its head, and whether that is its last.
    slot: DFF<Bits<8>>,
    alone: DFF<Bit>,
    /// Slots in use behind it, which groups of them have any, and the first in each.
    turned: DFF<Bits<256>>,
    groups: DFF<Bits<16>>,
    firsts: Vec<DFF<Bits<4>>>,
    ahead: DFF<Bits<8>>,
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
            step: DFF::default(),
            next: DFF::default(),
            any: DFF::default(),
            due: DFF::default(),
            id: DFF::default(),
            rounded: DFF::default(),
            start: DFF::default(),
            end: DFF::default(),
            wanted: DFF::default(),
            below: DFF::default(),
            beyond: DFF::default(),
            joins: DFF::default(),
            slot: DFF::default(),
            alone: DFF::default(),
            turned: DFF::default(),
            groups: DFF::default(),
            firsts: (0..MOST / GROUP).map(|_| DFF::default()).collect(),
            ahead: DFF::default(),
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
            self, clk, used, step, next, any, due, id, rounded, start, end, wanted
        );
        dff_setup!(
            self, clk, below, beyond, joins, slot, alone, turned, groups, ahead, departed, held,
            held_valid
        );
        self.heads.clk.next = self.clk.val();
        self.tails.clk.next = self.clk.val();
        self.links.clk.next = self.clk.val();
        let last_slot = bits::<64>(self._slots as u64 - 1);
        let slot_bits = self._slots.trailing_zeros() as usize;
        let used = self.used.q.val();
        let any = self.any.q.val();
        let next = self.next.q.val();
        let present = self.now.val() >> self._shift;
        let resting = self.step.q.val() == Step::Rest;

        let free = self.m.ready.val() | !self.held_valid.q.val();
        let yields = self.departed.q.val() & self.s.valid.val();
        let departs = resting & self.due.q.val() & free & !yields;
        let accepts = resting & !departs;
        self.s.ready.next = accepts;
        self.due.d.next = any & (next <= present);

        // Where a deadline goes: rounded up to a slot, within the horizon.
        let deadline = self.s.data.val();
        let partial = (deadline.at & bits::<64>((1u64 << self._shift) - 1)).any();
        let start = self.start.q.val();
        let end = self.end.q.val();
        let rounded = self.rounded.q.val();
        let wanted = if self.below.q.val() {
            start
        } else if self.beyond.q.val() {
            end
        } else {
            rounded
        };
        let chosen = bit_cast::<8, 64>(wanted & last_slot);
        let enters = self.step.q.val() == Step::Insert;
        let joins = self.joins.q.val();
        let insert_slot = bit_cast::<8, 64>(self.wanted.q.val() & last_slot);
        let next_slot = bit_cast::<8, 64>(next & last_slot);

        let unlinks = self.step.q.val() == Step::Unlink;
        let alone = self.alone.q.val();
        let looked_at = if enters { insert_slot } else { next_slot };
        self.heads.read_address.next = looked_at;
        self.tails.read_address.next = looked_at;
        let head = self.heads.read_data.val();
        let tail = self.tails.read_data.val();
        let id = self.id.q.val();
        self.links.read_address.next = head;
        self.links.write_enable.next = enters & joins;
        self.links.write_address.next = tail;
        self.links.write_data.next = id;
        self.tails.write_enable.next = enters;
        self.tails.write_address.next = insert_slot;
        self.tails.write_data.next = id;
        self.heads.write_enable.next = (unlinks & !alone) | (enters & !joins);
        self.heads.write_address.next = if unlinks {
            self.slot.q.val()
        } else {
            insert_slot
        };
        self.heads.write_data.next = if unlinks {
            self.links.read_data.val()
        } else {
            id
        };

        self.m.data.next = self.held.q.val();
        self.m.valid.next = self.held_valid.q.val();
        if free {
            self.held_valid.d.next = departs;
        }

        // The slots in use behind `slot`, that itself first.
        let mut turned = used;
        for k in 0..slot_bits {
            if self.slot.q.val().get_bit(k) {
                turned = ((turned >> (1u64 << k)) | (turned << (self._slots as u64 - (1u64 << k))))
                    & all(self._slots);
            }
        }
        if self.step.q.val() == Step::Turn {
            self.turned.d.next = turned;
        }
        let mut groups = bits::<16>(0);
        let group = one_hot_index::<16, 4>(lowest_one::<16>(self.groups.q.val()));
        let mut first = bits::<4>(0);
        for g in 0..MOST / GROUP {
            dff_setup!(self, clk, firsts[g]);
            let members = self.turned.q.val().get_bits::<16>(GROUP * g);
            groups.set_bits(g, bit(members.any()));
            self.firsts[g].d.next = one_hot_index::<16, 4>(lowest_one::<16>(members));
            if group == bits::<4>(g as u64) {
                first = self.firsts[g].q.val();
            }
        }
        self.groups.d.next = groups;
        self.ahead.d.next = cat::<4, 4, 8>(group, first);

        match self.step.q.val() {
            Step::Rest => {
                if departs {
                    self.held.d.next = head;
                    self.slot.d.next = next_slot;
                    self.alone.d.next = head == tail;
                    self.departed.d.next = true;
                    self.step.d.next = Step::Unlink;
                } else if self.s.valid.val() {
                    self.id.d.next = deadline.id;
                    self.rounded.d.next =
                        (deadline.at >> self._shift) + bit_cast::<64, 1>(bit(partial));
                    self.start.d.next = if any & (next < present) {
                        next
                    } else {
                        present
                    };
                    self.departed.d.next = false;
                    self.step.d.next = Step::Bound;
                }
            }
            Step::Bound => {
                self.below.d.next = rounded < start;
                self.beyond.d.next = (rounded - start) > last_slot;
                self.end.d.next = start + last_slot;
                self.step.d.next = Step::Choose;
            }
            Step::Choose => {
                self.wanted.d.next = wanted;
                self.joins.d.next = used.get_bit(chosen.index());
                self.step.d.next = Step::Insert;
            }
            Step::Insert => {
                self.used.d.next = used | (bits::<256>(1) << insert_slot);
                self.any.d.next = true;
                if !any | (self.wanted.q.val() < next) {
                    self.next.d.next = self.wanted.q.val();
                }
                self.step.d.next = Step::Rest;
            }
            Step::Unlink => {
                if alone {
                    self.used.d.next = used & !(bits::<256>(1) << self.slot.q.val());
                    self.step.d.next = Step::Turn;
                } else {
                    self.step.d.next = Step::Rest;
                }
            }
            Step::Turn => {
                self.step.d.next = Step::Scan;
            }
            Step::Scan => {
                self.step.d.next = Step::Pick;
            }
            Step::Pick => {
                self.any.d.next = self.groups.q.val().any();
                self.step.d.next = Step::Advance;
            }
            Step::Advance => {
                self.next.d.next = next + bit_cast::<64, 8>(self.ahead.q.val());
                self.due.d.next = false;
                self.step.d.next = Step::Rest;
            }
        }

        // While the wheel moves it wants to be woken at once.
        self.wake_at.next = if !resting {
            bits::<64>(0)
        } else if any {
            next << self._shift
        } else {
            !bits::<64>(0)
        };
        self.idle.next = resting & !any & !self.held_valid.q.val();
        if self.rst.val() {
            self.step.d.next = Step::Rest;
            self.used.d.next = bits::<256>(0);
            self.any.d.next = false;
            self.due.d.next = false;
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
