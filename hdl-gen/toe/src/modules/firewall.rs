//! Firewall: passes, drops or redirects packets by their 5-tuple, with counters.
//!
//! ```text
//!          ┌─────────┐                    verdict
//!  s ─────►│ inspect ├───────────────────────┬──► m
//!          └──┬───▲──┘                       │
//!   headers   │   │ judgement ───────────────┘
//!          ┌──▼───┴──┐
//!          │  rules  │◄─ access
//!          └─────────┘
//! ```
//!
//! The action of a rule is the verdict. The action of the default is that for IPv4 packets
//! that no rule meets; other frames, ARP above all, pass. Packets are looked at behind a
//! VLAN tag too. Initiation interval 1, latency 5.

use super::inspect::Inspect;
use super::plan::{Declaration, Order};
use super::port::{Access, DROP, PASS, Passing, REDIRECT, first_verdict};
use super::rules::{Key, Rules};
use crate::interface::modules::Slot;
use hallux_hdl::prelude::*;

/// What the module needs and does at ingress.
pub const AT_INGRESS: Declaration = Declaration {
    slots: &[Slot::Ingress, Slot::Egress],
    latency: 5,
    interval: 1,
    order: Order::Kept,
    verdicts: &[DROP, REDIRECT],
};

/// At egress there is no way back to the host: to redirect is to drop.
pub const AT_EGRESS: Declaration = Declaration {
    verdicts: &[DROP],
    ..AT_INGRESS
};

/// Protocol numbers whose first four bytes are two ports: TCP and UDP.
const WITH_PORTS: [u64; 2] = [6, 17];

/// See the [module](self).
#[derive(LogicBlock)]
pub struct Firewall<const N: usize, const K: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset: everything passes.
    pub rst: Signal<In, Bit>,
    /// Frames.
    pub s: StreamSink<Passing<N, K>>,
    /// Frames with their verdicts.
    pub m: StreamSource<Passing<N, K>>,
    /// Register access.
    pub access: Signal<In, Access>,
    /// Value of the register.
    pub answer: Signal<Out, Bits<64>>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    inspect: Inspect<N, K, Bits<2>>,
    rules: Rules,
    _redirects: bool,
}

impl<const N: usize, const K: usize> Firewall<N, K> {
    /// With a list of `rules` rules; at egress it cannot redirect.
    pub fn new(rules: usize, redirects: bool) -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            m: Default::default(),
            access: Default::default(),
            answer: Default::default(),
            idle: Default::default(),
            inspect: Inspect::new(),
            rules: Rules::new(rules),
            _redirects: redirects,
        }
    }
}

impl<const N: usize, const K: usize> Logic for Firewall<N, K> {
    #[hdl]
    fn update(&mut self) {
        self.inspect.clk.next = self.clk.val();
        self.inspect.rst.next = self.rst.val();
        self.rules.clk.next = self.clk.val();
        self.rules.rst.next = self.rst.val();
        StreamSink::<Passing<N, K>>::link(&mut self.s, &mut self.inspect.s);
        let headers = self.inspect.headers.val();
        self.rules.key_valid.next = self.inspect.head_valid.val();
        self.rules.key.next = Key {
            ipv4: headers.ipv4,
            ports: headers.plain
                & ((headers.protocol == bits::<8>(WITH_PORTS[0]))
                    | (headers.protocol == bits::<8>(WITH_PORTS[1]))),
            protocol: headers.protocol,
            source_ip: headers.source_ip,
            destination_ip: headers.destination_ip,
            source_port: headers.source_port,
            destination_port: headers.destination_port,
        };
        let ruling = self.rules.ruling.val();
        let mut verdict = bits::<2>(PASS);
        if ruling.ipv4 & (ruling.action == bits::<8>(DROP)) {
            verdict = bits::<2>(DROP);
        }
        if ruling.ipv4 & (ruling.action == bits::<8>(REDIRECT)) {
            verdict = if self._redirects {
                bits::<2>(REDIRECT)
            } else {
                bits::<2>(DROP)
            };
        }
        self.inspect.judged_valid.next = self.rules.ruling_valid.val();
        self.inspect.judged.next = verdict;
        let passing = self.inspect.m.data.val();
        self.m.data.next = Passing::<N, K> {
            beat: passing.beat,
            verdict: first_verdict(passing.verdict, self.inspect.judgement.val()),
        };
        self.m.valid.next = self.inspect.m.valid.val();
        self.inspect.m.ready.next = self.m.ready.val();
        self.rules.access.next = self.access.val();
        self.answer.next = self.rules.answer.val();
        self.idle.next = self.inspect.idle.val() & self.rules.idle.val();
    }
}
