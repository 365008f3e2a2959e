//! Rules: which of a list of rules a packet's 5-tuple meets, and counts of that.
//!
//! ```text
//!  access ──► staged ──commit──► rules
//!                                  │
//!           ┌─────┐   ┌────────────▼─┐   ┌────────────────┐
//!  key ────►│ key ├──►│ all compared ├──►│ the first that ├──► result
//!           └─────┘   └──────────────┘   │     matches    │──► hits
//!                                        └────────────────┘
//! ```
//!
//! A rule names bits of addresses and ports by a mask, and a protocol or any; a field with
//! a mask of zero is not looked at. The first that matches decides; where none does, the
//! default. A rule that looks at ports meets no packet whose ports are not known. Rules are
//! written whole, so that no packet ever meets half of one. Initiation interval 1, latency
//! [`LATENCY`].

use super::port::Access;
use crate::interface::modules::rules;
use hallux_hdl::prelude::*;

/// Clocks from a key to its result.
pub const LATENCY: u64 = 3;

/// What rules look at.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Key {
    /// The packet is IPv4: otherwise nothing matches and nothing is counted.
    pub ipv4: Bit,
    /// Its ports are known.
    pub ports: Bit,
    /// IPv4 protocol.
    pub protocol: Bits<8>,
    /// IPv4 source.
    pub source_ip: Bits<32>,
    /// IPv4 destination.
    pub destination_ip: Bits<32>,
    /// Source port.
    pub source_port: Bits<16>,
    /// Destination port.
    pub destination_port: Bits<16>,
}

/// A rule: three words as the host stages them.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Rule {
    /// Source address below, its mask above.
    pub source: Bits<64>,
    /// Destination address below, its mask above.
    pub destination: Bits<64>,
    /// From below: source port, its mask, destination port, its mask.
    pub ports: Bits<64>,
    /// IPv4 protocol.
    pub protocol: Bits<8>,
    /// Any protocol.
    pub any_protocol: Bit,
    /// What follows from the rule.
    pub action: Bits<8>,
    /// The rule is in use.
    pub valid: Bit,
}

/// What the rules say of a packet.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Ruling {
    /// The packet is IPv4.
    pub ipv4: Bit,
    /// A rule matches; otherwise `action` is the default.
    pub hit: Bit,
    /// Which.
    pub rule: Bits<8>,
    /// What follows.
    pub action: Bits<8>,
}

/// Whether a rule meets a packet.
#[hdl_fn]
fn meets(rule: Rule, key: Key) -> Bit {
    let source = (key.source_ip ^ rule.source.get_bits::<32>(0)) & rule.source.get_bits::<32>(32);
    let destination = (key.destination_ip ^ rule.destination.get_bits::<32>(0))
        & rule.destination.get_bits::<32>(32);
    let source_mask = rule.ports.get_bits::<16>(16);
    let destination_mask = rule.ports.get_bits::<16>(48);
    let from = (key.source_port ^ rule.ports.get_bits::<16>(0)) & source_mask;
    let to = (key.destination_port ^ rule.ports.get_bits::<16>(32)) & destination_mask;
    let portless = !source_mask.any() & !destination_mask.any();
    rule.valid
        & key.ipv4
        & (rule.any_protocol | (rule.protocol == key.protocol))
        & !source.any()
        & !destination.any()
        & (portless | (key.ports & !from.any() & !to.any()))
}

/// See the [module](self).
#[derive(LogicBlock, Default)]
pub struct Rules {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset: no rule is in use, the default is 0.
    pub rst: Signal<In, Bit>,
    /// There is a packet.
    pub key_valid: Signal<In, Bit>,
    /// What it is.
    pub key: Signal<In, Key>,
    /// There is a result.
    pub ruling_valid: Signal<Out, Bit>,
    /// It.
    pub ruling: Signal<Out, Ruling>,
    /// Register access.
    pub access: Signal<In, Access>,
    /// Value of the register.
    pub answer: Signal<Out, Bits<64>>,
    /// Nothing is under way.
    pub idle: Signal<Out, Bit>,
    asked: DFF<Key>,
    asked_valid: DFF<Bit>,
    met: Vec<DFF<Bit>>,
    met_ipv4: DFF<Bit>,
    met_valid: DFF<Bit>,
    ruled: DFF<Ruling>,
    ruled_valid: DFF<Bit>,
    staged: DFF<Rule>,
    list: Vec<DFF<Rule>>,
    otherwise: DFF<Bits<8>>,
    hits: Vec<DFF<Bits<64>>>,
    otherwise_hits: DFF<Bits<64>>,
    _count: usize,
}

impl Rules {
    /// A list of `count` rules, 1 to 32.
    ///
    /// # Panics
    /// If there are more or none.
    pub fn new(count: usize) -> Self {
        assert!((1..=32).contains(&count), "a list of {count} rules");
        Self {
            met: (0..count).map(|_| Default::default()).collect(),
            list: (0..count).map(|_| Default::default()).collect(),
            hits: (0..count).map(|_| Default::default()).collect(),
            _count: count,
            ..Self::default()
        }
    }
}

impl Logic for Rules {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self,
            clk,
            asked,
            asked_valid,
            met_ipv4,
            met_valid,
            ruled,
            ruled_valid,
            staged,
            otherwise,
            otherwise_hits
        );
        let access = self.access.val();
        let commits = access.write & (access.word == bits::<9>(rules::COMMIT / 8));

        self.asked_valid.d.next = self.key_valid.val();
        if self.key_valid.val() {
            self.asked.d.next = self.key.val();
        }
        self.met_valid.d.next = self.asked_valid.q.val();
        self.met_ipv4.d.next = self.asked.q.val().ipv4;
        self.ruled_valid.d.next = self.met_valid.q.val();
        let mut ruling = Ruling {
            ipv4: self.met_ipv4.q.val(),
            hit: false,
            rule: bits::<8>(0),
            action: self.otherwise.q.val(),
        };
        let ruled = self.ruled.q.val();
        let counts = self.ruled_valid.q.val() & ruled.ipv4;
        let mut answer = bits::<64>(0);
        for i in (0..self._count).rev() {
            dff_setup!(self, clk, met[i], list[i], hits[i]);
            let rule = self.list[i].q.val();
            if commits & (access.data.get_bits::<8>(0) == bits::<8>(i as u64)) {
                self.list[i].d.next = self.staged.q.val();
            }
            self.met[i].d.next = meets(rule, self.asked.q.val());
            if self.met[i].q.val() {
                ruling.hit = true;
                ruling.rule = bits::<8>(i as u64);
                ruling.action = rule.action;
            }
            if counts & ruled.hit & (ruled.rule == bits::<8>(i as u64)) {
                self.hits[i].d.next = self.hits[i].q.val() + bits::<64>(1);
            }
            if access.word == bits::<9>(rules::HITS / 8 + i as u64) {
                answer = self.hits[i].q.val();
            }
            if self.rst.val() {
                self.list[i].d.next.valid = false;
                self.hits[i].d.next = bits::<64>(0);
            }
        }
        if counts & !ruled.hit {
            self.otherwise_hits.d.next = self.otherwise_hits.q.val() + bits::<64>(1);
        }
        if self.met_valid.q.val() {
            self.ruled.d.next = ruling;
        }
        self.ruling_valid.next = self.ruled_valid.q.val();
        self.ruling.next = ruled;

        if access.write {
            if access.word == bits::<9>(rules::DEFAULT / 8) {
                self.otherwise.d.next = access.data.get_bits::<8>(0);
            }
            if access.word == bits::<9>(rules::SOURCE / 8) {
                self.staged.d.next.source = access.data;
            }
            if access.word == bits::<9>(rules::DESTINATION / 8) {
                self.staged.d.next.destination = access.data;
            }
            if access.word == bits::<9>(rules::PORTS / 8) {
                self.staged.d.next.ports = access.data;
            }
            if access.word == bits::<9>(rules::ACTION / 8) {
                self.staged.d.next.protocol = access.data.get_bits::<8>(0);
                self.staged.d.next.any_protocol = access.data.get_bit(8);
                self.staged.d.next.action = access.data.get_bits::<8>(16);
                self.staged.d.next.valid = access.data.get_bit(31);
            }
        }
        if access.word == bits::<9>(rules::DEFAULT / 8) {
            answer = bit_cast::<64, 8>(self.otherwise.q.val());
        }
        if access.word == bits::<9>(rules::CAPACITY / 8) {
            answer = bits::<64>(self._count as u64);
        }
        if access.word == bits::<9>(rules::DEFAULT_HITS / 8) {
            answer = self.otherwise_hits.q.val();
        }
        self.answer.next = answer;
        self.idle.next =
            !self.asked_valid.q.val() & !self.met_valid.q.val() & !self.ruled_valid.q.val();
        if self.rst.val() {
            self.asked_valid.d.next = false;
            self.met_valid.d.next = false;
            self.ruled_valid.d.next = false;
            self.otherwise.d.next = bits::<8>(0);
            self.otherwise_hits.d.next = bits::<64>(0);
        }
    }
}
