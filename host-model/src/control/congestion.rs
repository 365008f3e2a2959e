//! What records say about congestion on the way of a connection: the input of DCTCP.
//!
//! The NIC posts it, the control plane never asks: every update record has the bytes
//! acknowledged, those of them that came with ECN echo, a round-trip sample and whether a fast
//! retransmission began.

use super::dctcp::Dctcp;

/// Fraction bits of [`Congestion::alpha`].
pub const ALPHA_BITS: u32 = 16;
/// log2 of 1/g, DCTCP's estimation gain (RFC 8257 §4.2).
const GAIN_LOG2: u32 = 4;

/// Counts and DCTCP's estimate of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Congestion {
    /// Bytes acknowledged.
    pub acknowledged: u64,
    /// Of those, bytes acknowledged with ECN echo.
    pub marked: u64,
    /// Fast retransmissions and retransmission timeouts.
    pub losses: u64,
    alpha: u32,
    /// Transmit position at which the window of observation ends.
    window_end: u32,
    window_acknowledged: u32,
    window_marked: u32,
    /// What limits the connection, if anything does.
    limit: Option<Dctcp>,
}

impl Default for Congestion {
    fn default() -> Self {
        Self {
            acknowledged: 0,
            marked: 0,
            losses: 0,
            // RFC 8257 §3.3: a connection begins careful.
            alpha: 1 << ALPHA_BITS,
            window_end: 0,
            window_acknowledged: 0,
            window_marked: 0,
            limit: None,
        }
    }
}

impl Congestion {
    /// The same of a connection that DCTCP holds to a window: with segments of `segment` bytes
    /// and a transmit ring of `ring`.
    pub fn with_dctcp(segment: u32, ring: u32) -> Self {
        Self {
            limit: Some(Dctcp::new(segment, ring)),
            ..Self::default()
        }
    }

    /// What limits the bytes on their way; `None` where only the peer does.
    pub fn limit(&self) -> Option<Dctcp> {
        self.limit
    }

    /// A fast retransmission began.
    pub fn lost(&mut self) {
        self.losses += 1;
        if let Some(limit) = &mut self.limit {
            limit.lost();
        }
    }

    /// The retransmission timer expired.
    pub fn timed_out(&mut self) {
        self.losses += 1;
        if let Some(limit) = &mut self.limit {
            limit.timed_out();
        }
    }

    /// DCTCP.Alpha, the estimated share of marked bytes, with [`ALPHA_BITS`] fraction bits.
    pub fn alpha(&self) -> u32 {
        self.alpha
    }

    /// A record acknowledged `bytes`, `marked` of them with ECN echo. Everything before
    /// `position` is acknowledged now, and everything before `released` was handed to the NIC.
    ///
    /// The estimate moves once a window of data (RFC 8257 §3.3). The NIC alone knows SND.NXT;
    /// a window ends where the application had written to when it began, which is there or a
    /// little behind.
    ///
    /// `held_back` says that the window kept data from being released.
    pub fn update(
        &mut self,
        bytes: u32,
        marked: u32,
        position: u32,
        released: u32,
        held_back: bool,
    ) {
        let marked = marked.min(bytes);
        self.acknowledged += u64::from(bytes);
        self.marked += u64::from(marked);
        if let Some(limit) = &mut self.limit {
            // One cut in a window of data, and no growth behind it.
            if marked > 0 && self.window_marked == 0 {
                limit.marked(self.alpha);
            } else if self.window_marked == 0 && held_back {
                limit.grow(bytes);
            }
        }
        self.window_acknowledged = self.window_acknowledged.saturating_add(bytes);
        self.window_marked = self.window_marked.saturating_add(marked);
        let is_over = position.wrapping_sub(self.window_end) as i32 >= 0;
        if !is_over || self.window_acknowledged == 0 {
            return;
        }
        let share =
            (u64::from(self.window_marked) << ALPHA_BITS) / u64::from(self.window_acknowledged);
        self.alpha = self.alpha - (self.alpha >> GAIN_LOG2) + (share as u32 >> GAIN_LOG2);
        self.window_end = released;
        self.window_acknowledged = 0;
        self.window_marked = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: u32 = 1 << ALPHA_BITS;

    /// Windows of ten records of 1000 bytes, `marks` of each marked.
    fn after(windows: u32, marks: u32) -> Congestion {
        let mut congestion = Congestion::default();
        let mut position = 0u32.wrapping_sub(50_000);
        congestion.window_end = position;
        for n in 0..10 * windows {
            position = position.wrapping_add(1000);
            let marked = if n % 10 < marks { 1000 } else { 0 };
            congestion.update(1000, marked, position, position.wrapping_add(9000), true);
        }
        congestion
    }

    #[test]
    fn the_estimate_goes_to_the_share_of_marked_bytes() {
        for marks in [0, 1, 5, 10] {
            let alpha = after(200, marks).alpha();
            let share = ONE / 10 * marks;
            assert!(
                alpha.abs_diff(share) < ONE / 50,
                "{alpha} for {marks} of 10"
            );
        }
    }

    #[test]
    fn the_estimate_moves_once_a_window_by_the_gain() {
        let mut congestion = Congestion::default();
        congestion.update(1000, 0, 1000, 9000, true);
        let first = ONE - ONE / 16;
        assert_eq!(congestion.alpha(), first);
        congestion.update(7000, 7000, 8000, 20_000, true);
        assert_eq!(congestion.alpha(), first, "the window is not over");
        congestion.update(1000, 0, 9000, 20_000, true);
        let share = ONE / 8 * 7;
        assert_eq!(congestion.alpha(), first - first / 16 + share / 16);
        assert_eq!((congestion.acknowledged, congestion.marked), (9000, 7000));
    }

    #[test]
    fn a_window_of_data_is_cut_once_and_only_what_is_held_back_grows() {
        let window = |congestion: &Congestion| congestion.limit().unwrap().window();
        let mut congestion = Congestion::with_dctcp(1000, 1 << 20);
        congestion.update(1000, 0, 1000, 11_000, false);
        assert_eq!(window(&congestion), 10_000);
        congestion.update(1000, 0, 2000, 12_000, true);
        assert_eq!(window(&congestion), 11_000);
        let alpha = congestion.alpha();
        let cut = 11_000 - ((11_000 * u64::from(alpha)) >> (ALPHA_BITS + 1)) as u32;
        congestion.update(1000, 1000, 3000, 13_000, true);
        congestion.update(1000, 1000, 4000, 14_000, true);
        congestion.update(1000, 0, 5000, 15_000, true);
        assert_eq!(window(&congestion), cut);
        congestion.lost();
        assert_eq!(window(&congestion), cut / 2);
        assert_eq!(congestion.losses, 1);
        assert_eq!(Congestion::default().limit(), None);
    }

    #[test]
    fn an_impossible_record_marks_no_more_than_it_acknowledges() {
        let mut congestion = Congestion::default();
        congestion.update(10, u32::MAX, 10, 10, true);
        assert_eq!((congestion.acknowledged, congestion.marked), (10, 10));
        assert_eq!(congestion.alpha(), ONE);
    }
}
