//! DCTCP's congestion window (RFC 8257), kept by the host.
//!
//! The NIC sends what is released to it as fast as the wire and the peer's window allow, so
//! releasing no more than the window holds the connection to it: that asks nothing of the NIC but
//! its congestion records, and works with every design point. Where the NIC has a rate wheel, the
//! window is paced as well: see [`pacing`](super::pacing).

use super::congestion::ALPHA_BITS;
use hallux_channel::Time;

/// Segments of the first window (RFC 6928).
const FIRST_SEGMENTS: u32 = 10;
/// Segments of the smallest window that marks lead to.
const LEAST_SEGMENTS: u32 = 2;

/// The window of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dctcp {
    /// Bytes that may be on their way.
    window: u32,
    /// Below it the window doubles in a round trip (slow start).
    threshold: u32,
    /// Bytes of a full segment.
    segment: u32,
    /// A larger window would change nothing.
    most: u32,
    /// Bytes acknowledged towards the next segment of growth.
    counted: u32,
}

impl Dctcp {
    /// The first window of a connection with segments of `segment` bytes and a transmit ring of
    /// `ring`.
    pub fn new(segment: u32, ring: u32) -> Self {
        Self {
            window: (FIRST_SEGMENTS * segment).min(ring),
            threshold: ring,
            segment,
            most: ring.max(segment),
            counted: 0,
        }
    }

    /// Bytes that may be on their way.
    pub fn window(&self) -> u32 {
        self.window
    }

    /// Bits of payload a second that spread the window over a round trip: a quarter more than it
    /// takes, so that the window holds the connection back and not the pace, and twice as much in
    /// slow start, where the window doubles meanwhile.
    pub fn pace(&self, round_trip: Time) -> u64 {
        const SECOND: u128 = 1_000_000_000_000;
        let (times, of) = if self.window < self.threshold {
            (2, 1)
        } else {
            (5, 4)
        };
        let bits = u128::from(self.window) * 8 * times / of;
        u64::try_from(bits * SECOND / u128::from(round_trip.ps().max(1))).unwrap_or(u64::MAX)
    }

    /// Bytes of a full segment.
    pub fn segment(&self) -> u32 {
        self.segment
    }

    /// `bytes` were acknowledged, none of them with a mark, on a connection that its window held
    /// back (RFC 5681 §3.1).
    pub fn grow(&mut self, bytes: u32) {
        if self.window < self.threshold {
            self.window = self.window.saturating_add(bytes);
        } else {
            self.counted = self.counted.saturating_add(bytes);
            if self.counted >= self.window {
                self.counted -= self.window;
                self.window += self.segment;
            }
        }
        self.window = self.window.min(self.most);
    }

    /// The first mark of a window of data: it shrinks by half the share of marked bytes
    /// (RFC 8257 §3.3).
    pub fn marked(&mut self, alpha: u32) {
        let cut = (u64::from(self.window) * u64::from(alpha)) >> (ALPHA_BITS + 1);
        self.shrink(self.window - cut as u32);
    }

    /// A fast retransmission began (RFC 5681 §3.2).
    pub fn lost(&mut self) {
        self.shrink(self.window / 2);
    }

    /// The retransmission timer expired (RFC 5681 §3.1).
    pub fn timed_out(&mut self) {
        self.shrink(self.window / 2);
        self.window = self.segment;
    }

    fn shrink(&mut self, window: u32) {
        self.window = window.max(LEAST_SEGMENTS * self.segment).min(self.most);
        self.threshold = self.window;
        self.counted = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: u32 = 1448;
    const ONE: u32 = 1 << ALPHA_BITS;

    /// A window's worth of acknowledgements.
    fn round_trip(window: &mut Dctcp) {
        for _ in 0..window.window() / SEGMENT {
            window.grow(SEGMENT);
        }
    }

    #[test]
    fn the_pace_is_a_little_more_than_the_window_in_a_round_trip() {
        let mut window = Dctcp::new(1250, 1 << 20);
        let round_trip = Time::from_us(10);
        assert_eq!(window.pace(round_trip), 2 * 10_000_000_000);
        window.marked(0);
        assert_eq!(window.pace(round_trip), 12_500_000_000);
        assert_eq!(window.pace(Time::ZERO), 12_500_000_000 * 10_000_000);
    }

    #[test]
    fn a_window_doubles_until_the_first_mark_and_then_grows_by_a_segment_a_round_trip() {
        let mut window = Dctcp::new(SEGMENT, 1 << 20);
        assert_eq!(window.window(), 10 * SEGMENT);
        round_trip(&mut window);
        assert_eq!(window.window(), 20 * SEGMENT);
        window.marked(ONE);
        assert_eq!(window.window(), 10 * SEGMENT);
        round_trip(&mut window);
        assert_eq!(window.window(), 11 * SEGMENT);
    }

    #[test]
    fn marks_shrink_it_by_half_their_share() {
        let mut window = Dctcp::new(1000, 1 << 20);
        window.marked(ONE / 4);
        assert_eq!(window.window(), 10_000 - 10_000 / 8);
        window.marked(0);
        assert_eq!(window.window(), 8_750);
    }

    #[test]
    fn it_stays_between_two_segments_and_the_ring() {
        let mut window = Dctcp::new(SEGMENT, 8 << 10);
        for _ in 0..100 {
            round_trip(&mut window);
        }
        assert_eq!(window.window(), 8 << 10);
        for _ in 0..100 {
            window.marked(ONE);
            window.lost();
        }
        assert_eq!(window.window(), 2 * SEGMENT);
        window.timed_out();
        assert_eq!(window.window(), SEGMENT);
        round_trip(&mut window);
        assert_eq!(window.window(), 2 * SEGMENT, "slow start");
    }
}
