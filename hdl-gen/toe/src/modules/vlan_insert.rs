//! VLAN insert: puts a tag on every frame, at egress (IEEE 802.1Q).
//!
//! ```text
//!             ┌────────────────────────────────┐   ┌──────────┐
//!  s ────┬───►│ first: bytes 0..12, tag, 12..  ├──►│ register ├──► m
//!        │    │ later: 4 bytes held back, 0..  │   └──────────┘
//!        └─►▐ └────────────────────────────────┘
//!         carry
//! ```
//!
//! Initiation interval 1 for what leaves: a frame whose last beat has no room for four more
//! bytes leaves with one beat more, and costs that clock. Latency 1, no gap inside a frame
//! that had none.

use super::plan::{Declaration, Order};
use super::port::{Access, Passing};
use super::vlan_strip::{ADDRESS_BYTES, ETHERTYPE_VLAN, TAG_BYTES};
use crate::interface::modules::{Slot, vlan};
use crate::stages::octets::network16;
use hallux_hdl::prelude::*;

/// What the module needs and does.
pub const DECLARATION: Declaration = Declaration {
    slots: &[Slot::Egress],
    latency: 1,
    interval: 1,
    order: Order::Kept,
    verdicts: &[],
};

/// See the [module](self).
#[derive(LogicBlock)]
pub struct VlanInsert<const N: usize, const K: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset: the VLAN of the design point.
    pub rst: Signal<In, Bit>,
    /// Frames.
    pub s: StreamSink<Passing<N, K>>,
    /// The same with tags.
    pub m: StreamSource<Passing<N, K>>,
    /// Register access.
    pub access: Signal<In, Access>,
    /// Value of the register.
    pub answer: Signal<Out, Bits<64>>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    midway: DFF<Bit>,
    /// The last bytes of the beat before, which had no room in it.
    carry: DFF<Bits<32>>,
    carry_keep: DFF<Bits<4>>,
    carry_verdict: DFF<Bits<2>>,
    /// They leave as a beat of their own.
    tail: DFF<Bit>,
    out: StreamRegister<Passing<N, K>>,
    tag: DFF<Bits<16>>,
    tags: DFF<Bits<64>>,
    _vlan: u64,
}

impl<const N: usize, const K: usize> VlanInsert<N, K> {
    /// Tags of VLAN `vlan`, until the host names another.
    pub fn new(vlan: u16) -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            m: Default::default(),
            access: Default::default(),
            answer: Default::default(),
            idle: Default::default(),
            midway: Default::default(),
            carry: Default::default(),
            carry_keep: Default::default(),
            carry_verdict: Default::default(),
            tail: Default::default(),
            out: Default::default(),
            tag: Default::default(),
            tags: Default::default(),
            _vlan: vlan.into(),
        }
    }
}

impl<const N: usize, const K: usize> Logic for VlanInsert<N, K> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self,
            clk,
            midway,
            carry,
            carry_keep,
            carry_verdict,
            tail,
            tag,
            tags
        );
        self.out.clk.next = self.clk.val();
        self.out.rst.next = self.rst.val();
        StreamSource::<Passing<N, K>>::link(&mut self.m, &mut self.out.m);

        let passing = self.s.data.val();
        let beat = passing.beat;
        let first = !self.midway.q.val();
        let tail = self.tail.q.val();
        let addresses = !(!bits::<N>(0) << (8 * ADDRESS_BYTES) as u64);
        let behind = !bits::<N>(0) << (8 * (ADDRESS_BYTES + TAG_BYTES)) as u64;
        let tag = cat::<16, 16, 32>(
            network16(self.tag.q.val()),
            network16(bits::<16>(ETHERTYPE_VLAN)),
        );
        let shifted = beat.data << (8 * TAG_BYTES) as u64;
        let mut out = passing;
        out.beat.data = if first {
            (beat.data & addresses)
                | (bit_cast::<N, 32>(tag) << (8 * ADDRESS_BYTES) as u64)
                | (shifted & behind)
        } else {
            shifted | bit_cast::<N, 32>(self.carry.q.val())
        };
        out.beat.keep = (beat.keep << TAG_BYTES as u64) | bits::<K>(0xf);
        let spills = beat.keep.get_bit(K - TAG_BYTES);
        out.beat.last = beat.last & !spills;
        if tail {
            out.beat.data = bit_cast::<N, 32>(self.carry.q.val());
            out.beat.keep = bit_cast::<K, 4>(self.carry_keep.q.val());
            out.beat.last = true;
            out.verdict = self.carry_verdict.q.val();
        }
        self.out.s.data.next = out;
        self.out.s.valid.next = tail | self.s.valid.val();
        let takes = self.out.s.ready.val() & !tail;
        self.s.ready.next = takes;
        if self.out.s.ready.val() {
            self.tail.d.next = false;
        }
        if takes & self.s.valid.val() {
            self.midway.d.next = !beat.last;
            self.tail.d.next = beat.last & spills;
            self.carry.d.next = beat.data.get_bits::<32>(N - 8 * TAG_BYTES);
            self.carry_keep.d.next = beat.keep.get_bits::<4>(K - TAG_BYTES);
            self.carry_verdict.d.next = passing.verdict;
            if first {
                self.tags.d.next = self.tags.q.val() + bits::<64>(1);
            }
        }

        let access = self.access.val();
        if access.write & (access.word == bits::<9>(vlan::TAG / 8)) {
            self.tag.d.next = access.data.get_bits::<16>(0);
        }
        let mut answer = bits::<64>(0);
        if access.word == bits::<9>(vlan::TAG / 8) {
            answer = bit_cast::<64, 16>(self.tag.q.val());
        }
        if access.word == bits::<9>(vlan::TAGS / 8) {
            answer = self.tags.q.val();
        }
        self.answer.next = answer;
        self.idle.next = !tail & !self.midway.q.val() & !self.out.m.valid.val();

        if self.rst.val() {
            self.midway.d.next = false;
            self.tail.d.next = false;
            self.tag.d.next = bits::<16>(self._vlan);
            self.tags.d.next = bits::<64>(0);
        }
    }
}
