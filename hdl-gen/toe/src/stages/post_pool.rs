//! Replicated post-processing.
//!
//! ```text
//!                         ┌─► post[0] ─┐  in the order of the outcomes
//!  s ─Outcome─ in turn ───┼─► post[1] ─┼─► m_action, m_read, m_update
//!                         └─►    …    ─┘        ▲
//!                   └─ which unit has the next ─┘ (FIFO each)
//! ```
//!
//! Each unit has the slices of all connections. What leaves keeps the order of the
//! outcomes, by a queue of unit numbers for each of the three outputs. A serial unit
//! handles one outcome at a time. One unit is just that unit.

use crate::channels::{Action, ConnectionWrite, Outcome, ReadRequest, Update};
use crate::stages::post::{Post, makes_action, makes_read, makes_update};
use hallux_hdl::prelude::*;

/// Outcomes in all units, and more.
const ORDER: usize = 64;
/// Places of the queues in `order`.
const ACTIONS: usize = 0;
const READS: usize = 1;
const UPDATES: usize = 2;

/// See the [module](self).
#[derive(LogicBlock)]
pub struct PostPool {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// Outcomes of the protocol stage.
    pub s: StreamSink<Outcome>,
    /// Slices of opened connections.
    pub s_connection: StreamSink<ConnectionWrite>,
    /// To payload write.
    pub m_action: StreamSource<Action>,
    /// To payload read.
    pub m_read: StreamSource<ReadRequest>,
    /// To the scheduler.
    pub m_update: StreamSource<Update>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    unit: Vec<Post>,
    /// With more than one unit only: whose turn it is, and which unit has the next action,
    /// read and update.
    next: Vec<DFF<Bits<3>>>,
    order: Vec<Fifo<Bits<3>>>,
    _serial: bool,
}

impl PostPool {
    /// `units` units (1 to 8) for flow ids `0..connections`.
    pub fn new(connections: usize, units: usize, serial: bool) -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            s_connection: Default::default(),
            m_action: Default::default(),
            m_read: Default::default(),
            m_update: Default::default(),
            idle: Default::default(),
            unit: (0..units).map(|_| Post::new(connections)).collect(),
            next: (1..units.min(2)).map(|_| Default::default()).collect(),
            order: (0..if units > 1 { 3 } else { 0 })
                .map(|_| Fifo::new(ORDER))
                .collect(),
            _serial: serial,
        }
    }
}

impl Logic for PostPool {
    #[hdl]
    fn update(&mut self) {
        let units = self.unit.len();
        let mut next = bits::<3>(0);
        for i in 0..self.next.len() {
            dff_setup!(self, clk, next[i]);
            next = self.next[i].q.val();
        }
        self.s_connection.ready.next = true;

        // Dispatch.
        let outcome = self.s.data.val();
        let mut order_fits = true;
        let mut rests = true;
        for k in 0..self.order.len() {
            self.order[k].clk.next = self.clk.val();
            self.order[k].rst.next = self.rst.val();
            order_fits = order_fits & self.order[k].s.ready.val();
            rests = rests & !self.order[k].level.val().any();
        }
        let mut takes = false;
        for i in 0..units {
            self.unit[i].clk.next = self.clk.val();
            self.unit[i].rst.next = self.rst.val();
            self.unit[i].s_connection.data.next = self.s_connection.data.val();
            self.unit[i].s_connection.valid.next = self.s_connection.valid.val();
            let mut free = self.unit[i].s.ready.val() & order_fits;
            if self._serial {
                free = self.unit[i].s.ready.val() & order_fits & self.unit[i].idle.val();
            }
            let turn = next == bits::<3>(i as u64);
            self.unit[i].s.data.next = outcome;
            self.unit[i].s.valid.next = self.s.valid.val() & turn & free;
            if turn {
                takes = free;
            }
            rests = rests & self.unit[i].idle.val();
        }
        self.s.ready.next = takes;
        self.idle.next = rests;
        let taken = self.s.valid.val() & takes;
        for k in 0..self.next.len() {
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

        // Collect.
        if units == 1 {
            StreamSource::<Action>::link(&mut self.m_action, &mut self.unit[0].m_action);
            StreamSource::<ReadRequest>::link(&mut self.m_read, &mut self.unit[0].m_read);
            StreamSource::<Update>::link(&mut self.m_update, &mut self.unit[0].m_update);
        } else {
            self.order[ACTIONS].s.data.next = next;
            self.order[ACTIONS].s.valid.next = taken & makes_action(outcome);
            self.order[READS].s.data.next = next;
            self.order[READS].s.valid.next = taken & makes_read(outcome);
            self.order[UPDATES].s.data.next = next;
            self.order[UPDATES].s.valid.next = taken & makes_update(outcome);
            let mut action = self.unit[0].m_action.data.val();
            let mut read = self.unit[0].m_read.data.val();
            let mut update = self.unit[0].m_update.data.val();
            let mut action_valid = false;
            let mut read_valid = false;
            let mut update_valid = false;
            for i in 0..units {
                let number = bits::<3>(i as u64);
                let action_turn = self.order[ACTIONS].m.valid.val()
                    & (self.order[ACTIONS].m.data.val() == number);
                let read_turn =
                    self.order[READS].m.valid.val() & (self.order[READS].m.data.val() == number);
                let update_turn = self.order[UPDATES].m.valid.val()
                    & (self.order[UPDATES].m.data.val() == number);
                if action_turn {
                    action = self.unit[i].m_action.data.val();
                    action_valid = self.unit[i].m_action.valid.val();
                }
                if read_turn {
                    read = self.unit[i].m_read.data.val();
                    read_valid = self.unit[i].m_read.valid.val();
                }
                if update_turn {
                    update = self.unit[i].m_update.data.val();
                    update_valid = self.unit[i].m_update.valid.val();
                }
                self.unit[i].m_action.ready.next = action_turn & self.m_action.ready.val();
                self.unit[i].m_read.ready.next = read_turn & self.m_read.ready.val();
                self.unit[i].m_update.ready.next = update_turn & self.m_update.ready.val();
            }
            self.m_action.data.next = action;
            self.m_action.valid.next = action_valid;
            self.order[ACTIONS].m.ready.next = action_valid & self.m_action.ready.val();
            self.m_read.data.next = read;
            self.m_read.valid.next = read_valid;
            self.order[READS].m.ready.next = read_valid & self.m_read.ready.val();
            self.m_update.data.next = update;
            self.m_update.valid.next = update_valid;
            self.order[UPDATES].m.ready.next = update_valid & self.m_update.ready.val();
        }
    }
}
