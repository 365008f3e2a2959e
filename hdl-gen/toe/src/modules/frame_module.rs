//! Frame module: any of the modules that take whole frames, with the ports that all have.
//!
//! ```text
//!       ┌─────────────────────────────────────┐
//!  s ──►│ vlan_strip, vlan_insert, …: the one ├──► m
//!       └───────▲──────────────────────┬──────┘
//!            access                 answer
//! ```
//!
//! It adds nothing; with it a slot is a chain of equals.

use super::capture::Capture;
use super::firewall::Firewall;
use super::plan::Station;
use super::port::{Access, Passing};
use super::splice::Splice;
use super::vlan_insert::VlanInsert;
use super::vlan_strip::VlanStrip;
use crate::channels::Up;
use crate::interface::modules::{Kind, Slot};
use hallux_hdl::prelude::*;

/// See the [module](self).
#[derive(LogicBlock)]
pub struct FrameModule<const N: usize, const K: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// Frames.
    pub s: StreamSink<Passing<N, K>>,
    /// Frames.
    pub m: StreamSource<Passing<N, K>>,
    /// Register access.
    pub access: Signal<In, Access>,
    /// Value of the register.
    pub answer: Signal<Out, Bits<64>>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    /// Time in ns; of a module that writes to the host.
    pub now: Vec<Signal<In, Bits<64>>>,
    /// Writes to the host; of such a module.
    pub m_up: Vec<StreamSource<Up<N>>>,
    strip: Vec<VlanStrip<N, K>>,
    insert: Vec<VlanInsert<N, K>>,
    firewall: Vec<Firewall<N, K>>,
    splice: Vec<Splice<N, K>>,
    capture: Vec<Capture<N, K>>,
}

impl<const N: usize, const K: usize> FrameModule<N, K> {
    /// The module of a station.
    pub fn new(station: &Station) -> Self {
        let writes = usize::from(station.writes());
        let mut new = Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            m: Default::default(),
            access: Default::default(),
            answer: Default::default(),
            idle: Default::default(),
            now: (0..writes).map(|_| Default::default()).collect(),
            m_up: (0..writes).map(|_| Default::default()).collect(),
            strip: Vec::new(),
            insert: Vec::new(),
            firewall: Vec::new(),
            splice: Vec::new(),
            capture: Vec::new(),
        };
        match (station.kind, station.slot) {
            (Kind::Vlan, Slot::Egress) => new.insert.push(VlanInsert::new(station.vlan)),
            (Kind::Vlan, _) => new.strip.push(VlanStrip::new(station.vlan)),
            (Kind::Firewall, slot) => {
                let redirects = slot == Slot::Ingress;
                new.firewall.push(Firewall::new(station.rules, redirects));
            }
            (Kind::Splice, _) => new.splice.push(Splice::new(station.places)),
            (Kind::Capture, _) => {
                let (rules, snap, payload) = (station.rules, station.snap, station.max_payload);
                new.capture.push(Capture::new(rules, snap, payload));
            }
            // The check of the design point lets no other into a slot of frames.
            (Kind::Classify | Kind::Trace, _) => {}
        }
        new
    }
}

impl<const N: usize, const K: usize> Logic for FrameModule<N, K> {
    #[hdl]
    fn update(&mut self) {
        for i in 0..self.strip.len() {
            self.strip[i].clk.next = self.clk.val();
            self.strip[i].rst.next = self.rst.val();
            join_streams!(self.s, self.strip[i].s);
            self.strip[i].access.next = self.access.val();
            self.answer.next = self.strip[i].answer.val();
            self.m.data.next = self.strip[i].m.data.val();
            self.m.valid.next = self.strip[i].m.valid.val();
            self.strip[i].m.ready.next = self.m.ready.val();
            self.idle.next = self.strip[i].idle.val();
        }
        for i in 0..self.insert.len() {
            self.insert[i].clk.next = self.clk.val();
            self.insert[i].rst.next = self.rst.val();
            join_streams!(self.s, self.insert[i].s);
            self.insert[i].access.next = self.access.val();
            self.answer.next = self.insert[i].answer.val();
            self.m.data.next = self.insert[i].m.data.val();
            self.m.valid.next = self.insert[i].m.valid.val();
            self.insert[i].m.ready.next = self.m.ready.val();
            self.idle.next = self.insert[i].idle.val();
        }
        for i in 0..self.firewall.len() {
            self.firewall[i].clk.next = self.clk.val();
            self.firewall[i].rst.next = self.rst.val();
            join_streams!(self.s, self.firewall[i].s);
            self.firewall[i].access.next = self.access.val();
            self.answer.next = self.firewall[i].answer.val();
            self.m.data.next = self.firewall[i].m.data.val();
            self.m.valid.next = self.firewall[i].m.valid.val();
            self.firewall[i].m.ready.next = self.m.ready.val();
            self.idle.next = self.firewall[i].idle.val();
        }
        for i in 0..self.splice.len() {
            self.splice[i].clk.next = self.clk.val();
            self.splice[i].rst.next = self.rst.val();
            join_streams!(self.s, self.splice[i].s);
            self.splice[i].access.next = self.access.val();
            self.answer.next = self.splice[i].answer.val();
            self.m.data.next = self.splice[i].m.data.val();
            self.m.valid.next = self.splice[i].m.valid.val();
            self.splice[i].m.ready.next = self.m.ready.val();
            self.idle.next = self.splice[i].idle.val();
        }
        for i in 0..self.capture.len() {
            self.capture[i].clk.next = self.clk.val();
            self.capture[i].rst.next = self.rst.val();
            join_streams!(self.s, self.capture[i].s);
            self.capture[i].access.next = self.access.val();
            self.answer.next = self.capture[i].answer.val();
            self.m.data.next = self.capture[i].m.data.val();
            self.m.valid.next = self.capture[i].m.valid.val();
            self.capture[i].m.ready.next = self.m.ready.val();
            self.idle.next = self.capture[i].idle.val();
            self.capture[i].now.next = self.now[i].val();
            self.m_up[i].data.next = self.capture[i].m_up.data.val();
            self.m_up[i].valid.next = self.capture[i].m_up.valid.val();
            self.capture[i].m_up.ready.next = self.m_up[i].ready.val();
        }
    }
}
