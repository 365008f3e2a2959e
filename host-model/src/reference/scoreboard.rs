//! SACK-based recovery (RFC 6675), as far as one pointer and a few intervals carry it.
//!
//! ```text
//!            HighRxt                        RecoveryPoint
//!               ▼                                 ▼
//!  SND.UNA ─────┬────┬▓▓▓▓▓▓▓┬────────┬▓▓▓▓▓▓┬────┬──── SND.NXT ►
//!     sent again│hole│reported│  hole  │reported│ not lost yet
//! ```
//!
//! The third duplicate ACK begins a recovery. What lies before the highest reported byte and
//! is not reported counts as lost and is sent again once, in order, before new data. What is
//! lost a second time is left to the retransmission timeout, which goes back to SND.UNA and
//! forgets the reports.

use super::{Interval, SackBlock, SeqNumber, State, Transmission, flags};

impl State {
    /// What the peer holds out of order, as far as it said so and there was room for it.
    pub fn sacked(&self) -> impl Iterator<Item = &Interval> {
        self.sacked.iter().filter(|interval| interval.len > 0)
    }

    /// A grant would send something.
    pub fn can_send(&self) -> bool {
        self.usable() > 0 || self.hole().is_some()
    }

    /// Bytes from HighRxt to what was reported behind it: what a recovery sends next.
    pub(super) fn hole(&self) -> Option<u32> {
        let behind = self
            .sacked()
            .filter(|interval| self.high_rxt.precedes(interval.start));
        behind
            .map(|interval| interval.start - self.high_rxt)
            .min()
            .filter(|_| self.sack_recovery)
    }

    /// HighRxt lies in an interval that was reported; where that ends.
    pub(super) fn reported_end(&self) -> Option<SeqNumber> {
        self.sacked()
            .map(|interval| (interval.start, interval.start + interval.len))
            .find(|&(start, end)| !self.high_rxt.precedes(start) && self.high_rxt.precedes(end))
            .map(|(_, end)| end)
    }

    /// Sends the first segment of a hole of `bytes` again. The peer's window does not hold it
    /// back: the bytes were inside when they were sent (RFC 9293 §3.8.6).
    pub(super) fn fill(&mut self, bytes: u32) -> Transmission {
        let length = bytes.min(u32::from(self.mss));
        let (seq, behind) = (self.high_rxt, self.snd_nxt - self.high_rxt);
        self.high_rxt = self.high_rxt + length;
        let flags = flags::ACK | self.owed_echo();
        let segment = self.emit(seq, flags, length as u16);
        Transmission {
            tx_pos: segment.tx_pos - behind,
            ..segment
        }
    }

    /// Begins a recovery that sends only what the peer lacks.
    pub(super) fn recover_holes(&mut self) {
        self.dupacks = 0;
        self.recovering = true;
        self.sack_recovery = true;
        self.recover = self.snd_max;
        self.high_rxt = self.snd_una;
    }

    /// SND.UNA moved: reports of what it passed have no meaning any more.
    pub(super) fn forget_acknowledged(&mut self) {
        let snd_una = self.snd_una;
        for interval in &mut self.sacked {
            if !snd_una.precedes(interval.start) {
                *interval = Interval::default();
            }
        }
        if self.sack_recovery {
            self.high_rxt = self.high_rxt.max(snd_una);
        }
    }

    /// The peer reports a block. It counts if it lies between SND.UNA and SND.MAX; where all
    /// intervals are taken by others, it is not remembered. Whether it counts.
    pub(super) fn report(&mut self, block: SackBlock) -> bool {
        let SackBlock { left, right } = block;
        let (start, end) = (left - self.snd_una, right - self.snd_una);
        let inside = 0 < start && start < end && end <= self.snd_max - self.snd_una;
        let counts = self.sack && self.scoreboard && inside;
        if !counts {
            return false;
        }
        let touches = |interval: &Interval| {
            interval.len > 0
                && !(interval.start + interval.len).precedes(left)
                && !right.precedes(interval.start)
        };
        let free = |interval: &Interval| interval.len == 0 || touches(interval);
        let Some(slot) = self.sacked.iter().position(free) else {
            return true;
        };
        let (mut low, mut high) = (left, right);
        for interval in self.sacked.iter_mut().filter(|interval| touches(interval)) {
            if interval.start.precedes(low) {
                low = interval.start;
            }
            high = high.max(interval.start + interval.len);
            *interval = Interval::default();
        }
        self.sacked[slot] = Interval {
            start: low,
            len: high - low,
        };
        true
    }
}
