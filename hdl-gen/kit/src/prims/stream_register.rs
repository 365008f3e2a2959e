//! Register slice of a ready/valid channel.
//!
//! ```text
//!  Bypass          Half                     Skid   ┌──────┐
//!                       ┌──────┐               ┌──►│ skid ├──┐    ┌──────┐
//!   s ──────► m    s ──►│ held ├──► m    s ───┤   └──────┘  ├───►│ held ├───► m
//!                       └──────┘               └─────────────┘    └──────┘
//!  Ready  ┌──────┐
//!      ┌─►│ skid ├──┐
//!   s ─┤  └──────┘  ├─► m
//!      └────────────┘
//! ```
//!
//! | mode | latency | initiation interval | combinational paths |
//! |---|---|---|---|
//! | `Bypass` | 0 | 1 | all |
//! | `Ready` | 0 | 1 | data and valid |
//! | `Half` | 1 | 2 | none |
//! | `Skid` | 1 | 1 | none |
//!
//! `Ready` takes a word that `m` does not: its ready leaves from a flip-flop. `Half` takes a word
//! only while it is empty. `Skid` has a second register for the word that is under way when `m`
//! stops. Of `Ready` and `Skid` that register takes what `s` shows in every clock in which it is
//! free, valid or not, and a flag says whether it counts, so that ready of `m` comes to one
//! flip-flop only. A bypass keeps `clk` and `rst`, so that a design parameter can choose the mode.

use crate::prelude::*;

/// What a [`StreamRegister`] puts between its ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegisterMode {
    /// Wires.
    Bypass,
    /// A register for the word that `m` does not take: ready alone is cut.
    Ready,
    /// One register: every second cycle at best.
    Half,
    /// Two registers: every cycle.
    #[default]
    Skid,
}

/// Cuts the paths of a channel: data, valid and ready leave from flip-flops. See the
/// [module](self).
#[derive(Clone, Debug, LogicBlock)]
pub struct StreamRegister<T: Synth> {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: drops what is held.
    pub rst: Signal<In, Bit>,
    /// Words in.
    pub s: StreamSink<T>,
    /// Words out.
    pub m: StreamSource<T>,
    held: DFF<T>,
    held_valid: DFF<Bit>,
    skid: DFF<T>,
    skid_valid: DFF<Bit>,
    _mode: RegisterMode,
}

impl<T: Synth> StreamRegister<T> {
    /// A register slice of the given mode.
    pub fn new(mode: RegisterMode) -> Self {
        Self {
            clk: Signal::default(),
            rst: Signal::default(),
            s: StreamSink::default(),
            m: StreamSource::default(),
            held: DFF::default(),
            held_valid: DFF::default(),
            skid: DFF::default(),
            skid_valid: DFF::default(),
            _mode: mode,
        }
    }
}

impl<T: Synth> Default for StreamRegister<T> {
    /// A slice of full throughput, [`RegisterMode::Skid`].
    fn default() -> Self {
        Self::new(RegisterMode::default())
    }
}

impl<T: Synth> Logic for StreamRegister<T> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, held, held_valid, skid, skid_valid);
        if self._mode == RegisterMode::Bypass {
            self.s.ready.next = self.m.ready.val();
            self.m.data.next = self.s.data.val();
            self.m.valid.next = self.s.valid.val();
        } else if self._mode == RegisterMode::Ready {
            let holds = self.skid_valid.q.val();
            self.s.ready.next = !holds;
            self.m.valid.next = holds | self.s.valid.val();
            self.m.data.next = if holds {
                self.skid.q.val()
            } else {
                self.s.data.val()
            };
            // Ready of `m` comes late: it decides whether what the register has counts, not
            // whether it takes it.
            self.skid_valid.d.next = (holds | self.s.valid.val()) & !self.m.ready.val();
            if !holds {
                self.skid.d.next = self.s.data.val();
            }
            if self.rst.val() {
                self.skid_valid.d.next = false;
            }
        } else if self._mode == RegisterMode::Half {
            self.s.ready.next = !self.held_valid.q.val();
            self.m.data.next = self.held.q.val();
            self.m.valid.next = self.held_valid.q.val();
            if !self.held_valid.q.val() {
                self.held.d.next = self.s.data.val();
                self.held_valid.d.next = self.s.valid.val();
            } else if self.m.ready.val() {
                self.held_valid.d.next = false;
            }
            if self.rst.val() {
                self.held_valid.d.next = false;
            }
        } else {
            self.s.ready.next = !self.skid_valid.q.val();
            self.m.data.next = self.held.q.val();
            self.m.valid.next = self.held_valid.q.val();
            let holds = self.skid_valid.q.val();
            let free = self.m.ready.val() | !self.held_valid.q.val();
            if free {
                self.held_valid.d.next = holds | self.s.valid.val();
                self.held.d.next = if holds {
                    self.skid.q.val()
                } else {
                    self.s.data.val()
                };
            }
            // As with `Ready`.
            self.skid_valid.d.next = (holds | self.s.valid.val()) & !free;
            if !holds {
                self.skid.d.next = self.s.data.val();
            }
            if self.rst.val() {
                self.held_valid.d.next = false;
                self.skid_valid.d.next = false;
            }
        }
    }
}
