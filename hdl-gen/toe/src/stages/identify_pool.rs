//! Replicated identification.
//!
//! ```text
//!                          ┌─► identify[0] ─┐
//!  s ─Summary─ in turn ────┼─► identify[1] ─┼─ gather ─Segment─► m
//!                          └─►     …       ─┘
//!  s_write ─TableWrite─────────► all of them
//! ```
//!
//! Each unit has the whole flow table. Segments may pass each other; `reorder` restores
//! the order of tickets. A serial unit looks one frame up at a time. One unit is just
//! that unit.

use crate::channels::{Segment, Summary, TableWrite};
use crate::stages::gather::Gather;
use crate::stages::identify::Identify;
use hallux_hdl::prelude::*;

/// See the [module](self).
#[derive(LogicBlock)]
pub struct IdentifyPool {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset: clears the tables.
    pub rst: Signal<In, Bit>,
    /// Summaries in ticket order.
    pub s: StreamSink<Summary>,
    /// Writes to the tables.
    pub s_write: StreamSink<TableWrite>,
    /// Segments; in ticket order if there is one unit.
    pub m: StreamSource<Segment>,
    /// Nothing is held and the tables are cleared.
    pub idle: Signal<Out, Bit>,
    unit: Vec<Identify>,
    /// With more than one unit only.
    gather: Vec<Gather<Segment>>,
    next: Vec<DFF<Bits<3>>>,
    _serial: bool,
}

impl IdentifyPool {
    /// `units` units (1 to 8) with tables of `buckets` buckets each.
    pub fn new(buckets: usize, units: usize, serial: bool) -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            s_write: Default::default(),
            m: Default::default(),
            idle: Default::default(),
            unit: (0..units).map(|_| Identify::new(buckets)).collect(),
            gather: (1..units.min(2)).map(|_| Gather::new(units)).collect(),
            next: (1..units.min(2)).map(|_| Default::default()).collect(),
            _serial: serial,
        }
    }
}

impl Logic for IdentifyPool {
    #[hdl]
    fn update(&mut self) {
        let units = self.unit.len();
        let mut next = bits::<3>(0);
        for i in 0..self.next.len() {
            dff_setup!(self, clk, next[i]);
            next = self.next[i].q.val();
        }

        let mut takes = false;
        let mut write_fits = true;
        let mut rests = true;
        for i in 0..units {
            self.unit[i].clk.next = self.clk.val();
            self.unit[i].rst.next = self.rst.val();
            let mut free = self.unit[i].s.ready.val();
            if self._serial {
                free = self.unit[i].s.ready.val() & self.unit[i].idle.val();
            }
            let turn = next == bits::<3>(i as u64);
            self.unit[i].s.data.next = self.s.data.val();
            self.unit[i].s.valid.next = self.s.valid.val() & turn & free;
            if turn {
                takes = free;
            }
            write_fits = write_fits & self.unit[i].s_write.ready.val();
            rests = rests & self.unit[i].idle.val();
        }
        self.s.ready.next = takes;
        self.s_write.ready.next = write_fits;
        for i in 0..units {
            self.unit[i].s_write.data.next = self.s_write.data.val();
            self.unit[i].s_write.valid.next = self.s_write.valid.val() & write_fits;
        }
        let taken = self.s.valid.val() & takes;
        if units == 1 {
            StreamSource::<Segment>::link(&mut self.m, &mut self.unit[0].m);
            self.idle.next = rests;
        }
        for k in 0..self.gather.len() {
            self.gather[k].clk.next = self.clk.val();
            self.gather[k].rst.next = self.rst.val();
            for i in 0..units {
                join_streams!(self.unit[i].m, self.gather[k].s[i]);
                self.gather[k].last[i].next = true;
            }
            StreamSource::<Segment>::link(&mut self.m, &mut self.gather[k].m);
            self.idle.next = rests & self.gather[k].idle.val();
            if taken {
                self.next[k].d.next = if next == bits::<3>(units as u64 - 1) {
                    bits::<3>(0)
                } else {
                    next + bits::<3>(1)
                };
            }
            if self.rst.val() {
                self.next[k].d.next = bits::<3>(0);
            }
        }
    }
}
