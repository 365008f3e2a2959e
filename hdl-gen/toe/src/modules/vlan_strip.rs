//! VLAN strip: takes the tag off the frames of one VLAN, at ingress (IEEE 802.1Q).
//!
//! ```text
//!          ┌──────┐   ┌─────────────────────────────┐
//!  s ─────►│ held ├──►│ first: bytes 0..12, 16..    ├──► m
//!          └──────┘   │ later: bytes 4.., 4 of next │
//!            next ───►└─────────────────────────────┘
//! ```
//!
//! A frame whose tag names the module's VLAN, or no VLAN (a priority tag), leaves without
//! the tag. A frame of another VLAN is dropped; an untagged one too if the host wants only
//! tagged ones. Both are counted. So the NIC is an access port's host on a tagged link.
//!
//! Initiation interval 1: as many beats leave as come in, or one less. Latency 1 clock; the
//! beat of a frame that loses its tag waits for the beat behind it, whose first bytes it
//! takes in.

use super::plan::{Declaration, Order};
use super::port::{Access, DROP, PASS, Passing, first_verdict};
use crate::channels::Beat;
use crate::interface::modules::{Slot, vlan};
use crate::stages::octets::network16;
use hallux_hdl::prelude::*;

/// EtherType of a customer VLAN tag.
pub const ETHERTYPE_VLAN: u64 = 0x8100;
/// Bytes of a tag.
pub const TAG_BYTES: usize = 4;
/// Bytes in front of it: the two MAC addresses.
pub const ADDRESS_BYTES: usize = 12;

/// What the module needs and does.
pub const DECLARATION: Declaration = Declaration {
    slots: &[Slot::Ingress],
    latency: 1,
    interval: 1,
    order: Order::Kept,
    verdicts: &[DROP],
};

/// See the [module](self).
#[derive(LogicBlock, Default)]
pub struct VlanStrip<const N: usize, const K: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset: the VLAN of the design point.
    pub rst: Signal<In, Bit>,
    /// Frames.
    pub s: StreamSink<Passing<N, K>>,
    /// The same without tags.
    pub m: StreamSource<Passing<N, K>>,
    /// Register access.
    pub access: Signal<In, Access>,
    /// Value of the register.
    pub answer: Signal<Out, Bits<64>>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    held: DFF<Beat<N, K>>,
    held_valid: DFF<Bit>,
    verdict: DFF<Bits<2>>,
    /// The next beat belongs to the frame of the one before.
    midway: DFF<Bit>,
    /// `held` is the first beat of its frame.
    first: DFF<Bit>,
    /// The tag of the frame of `held` goes.
    strips: DFF<Bit>,
    tag: DFF<Bits<17>>,
    tags: DFF<Bits<64>>,
    foreign: DFF<Bits<64>>,
    _vlan: u64,
}

impl<const N: usize, const K: usize> VlanStrip<N, K> {
    /// Frames of VLAN `vlan`, until the host names another.
    pub fn new(vlan: u16) -> Self {
        Self {
            _vlan: vlan.into(),
            ..Self::default()
        }
    }
}

impl<const N: usize, const K: usize> Logic for VlanStrip<N, K> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self, clk, held, held_valid, verdict, midway, first, strips, tag, tags, foreign
        );
        let held = self.held.q.val();
        let strips = self.strips.q.val();
        let next = self.s.data.val().beat;

        // The first bytes of the next beat are the last of this one.
        let addresses = !(!bits::<N>(0) << (8 * ADDRESS_BYTES) as u64);
        let address_bytes = !(!bits::<K>(0) << ADDRESS_BYTES as u64);
        let shifted = held.data >> (8 * TAG_BYTES) as u64;
        let kept = held.keep >> TAG_BYTES as u64;
        let mut out = held;
        if strips {
            out.data = if self.first.q.val() {
                (held.data & addresses) | (shifted & !addresses)
            } else {
                shifted
            };
            out.keep = if self.first.q.val() {
                (held.keep & address_bytes) | (kept & !address_bytes)
            } else {
                kept
            };
            if !held.last {
                out.data = out.data | (next.data << (N - 8 * TAG_BYTES) as u64);
                out.keep = out.keep | (next.keep << (K - TAG_BYTES) as u64);
            }
        }
        // The next beat has no more than that.
        let ends = self.held_valid.q.val()
            & strips
            & !held.last
            & next.last
            & !next.keep.get_bit(TAG_BYTES);
        out.last = held.last | ends;
        let whole = held.last | !strips | self.s.valid.val();
        self.m.data.next = Passing::<N, K> {
            beat: out,
            verdict: self.verdict.q.val(),
        };
        self.m.valid.next = self.held_valid.q.val() & whole;
        let leaves = self.held_valid.q.val() & whole & self.m.ready.val();
        let free = !self.held_valid.q.val() | leaves;
        self.s.ready.next = free;

        // What the first beat says of its frame.
        let begins = !self.midway.q.val();
        let ethertype = network16(next.data.get_bits::<16>(8 * ADDRESS_BYTES));
        let control = network16(next.data.get_bits::<16>(8 * (ADDRESS_BYTES + 2)));
        let tagged =
            (ethertype == bits::<16>(ETHERTYPE_VLAN)) & next.keep.get_bit(ADDRESS_BYTES + 5);
        let id = control.get_bits::<12>(0);
        let setting = self.tag.q.val();
        let ours = (id == setting.get_bits::<12>(0)) | !id.any();
        let foreign = if tagged { !ours } else { setting.get_bit(16) };
        let taken = self.s.valid.val() & free;
        if free {
            // What has left with the beat before is not held.
            self.held_valid.d.next = taken & !ends;
        }
        if taken {
            self.held.d.next = next;
            self.first.d.next = begins;
            self.midway.d.next = !next.last;
        }
        if taken & begins {
            self.strips.d.next = tagged & ours;
            self.verdict.d.next = first_verdict(
                self.s.data.val().verdict,
                if foreign {
                    bits::<2>(DROP)
                } else {
                    bits::<2>(PASS)
                },
            );
            if tagged & ours {
                self.tags.d.next = self.tags.q.val() + bits::<64>(1);
            }
            if foreign {
                self.foreign.d.next = self.foreign.q.val() + bits::<64>(1);
            }
        }

        let access = self.access.val();
        if access.write & (access.word == bits::<9>(vlan::TAG / 8)) {
            self.tag.d.next = access.data.get_bits::<17>(0);
        }
        let mut answer = bits::<64>(0);
        if access.word == bits::<9>(vlan::TAG / 8) {
            answer = bit_cast::<64, 17>(setting);
        }
        if access.word == bits::<9>(vlan::TAGS / 8) {
            answer = self.tags.q.val();
        }
        if access.word == bits::<9>(vlan::FOREIGN / 8) {
            answer = self.foreign.q.val();
        }
        self.answer.next = answer;
        self.idle.next = !self.held_valid.q.val() & !self.midway.q.val();

        if self.rst.val() {
            self.held_valid.d.next = false;
            self.midway.d.next = false;
            self.tag.d.next = bits::<17>(self._vlan);
            self.tags.d.next = bits::<64>(0);
            self.foreign.d.next = bits::<64>(0);
        }
    }
}
