//! What a sender knows of its segments where the peer sends SACK: which are delivered, and which are lost, found out as by
//! RACK (RFC 8985): a segment is lost when one that was sent sufficiently later has been delivered. So a segment that was sent
//! again and lost again is found out too, and so are those that the peer dropped because it had no room to note them.
//!
//! RACK measures "later" by the clock; here it is counted in segments, since every path of the generator keeps the order.

use std::collections::BTreeMap;

/// A segment counts as lost when one that was sent so many segments later is delivered: the three duplicates of RFC 5681.
const LATER: u64 = 3;

/// The segments between the oldest unacknowledged byte and the newest sent one, by their first byte.
#[derive(Debug, Default)]
pub struct Scoreboard {
    segments: BTreeMap<u64, Segment>,
    /// Segments sent so far, those sent again included.
    sent: u64,
    /// When the newest delivered one was sent.
    delivered: u64,
    /// How many are lost.
    lost: usize,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    end: u64,
    /// The number of segments sent before it, the last time it was sent.
    number: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    OnItsWay,
    Delivered,
    Lost,
}

impl Scoreboard {
    /// The bytes from `start` to `end` are sent for the first time.
    pub fn send(&mut self, start: u64, end: u64) {
        let segment = Segment {
            end,
            number: self.sent,
            state: State::OnItsWay,
        };
        self.segments.insert(start, segment);
        self.sent += 1;
    }

    /// First byte and length of the oldest lost segment.
    pub fn lost(&self) -> Option<(u64, u64)> {
        if self.lost == 0 {
            return None;
        }
        let lost = |(_, segment): &(&u64, &Segment)| segment.state == State::Lost;
        let (&start, segment) = self.segments.iter().find(lost)?;
        Some((start, segment.end - start))
    }

    /// The segment from `start` on is sent again.
    pub fn send_again(&mut self, start: u64) {
        if let Some(segment) = self.segments.get_mut(&start) {
            segment.number = self.sent;
            self.lost -= usize::from(segment.state == State::Lost);
            segment.state = State::OnItsWay;
            self.sent += 1;
        }
    }

    /// The peer has the bytes from `from` to `to`. A segment of which it has a part is still to be delivered.
    pub fn has(&mut self, from: u64, to: u64) {
        for (_, segment) in self.segments.range_mut(from..to) {
            if segment.end <= to {
                self.lost -= usize::from(segment.state == State::Lost);
                segment.state = State::Delivered;
                self.delivered = self.delivered.max(segment.number);
            }
        }
    }

    /// The peer has everything before `ack`.
    pub fn acknowledge(&mut self, ack: u64) {
        while let Some(entry) = self.segments.first_entry() {
            let (start, segment) = (*entry.key(), *entry.get());
            if start >= ack {
                break;
            }
            entry.remove();
            if segment.end > ack {
                self.segments.insert(ack, segment);
                break;
            }
            self.lost -= usize::from(segment.state == State::Lost);
            self.delivered = self.delivered.max(segment.number);
        }
    }

    /// Finds out what is lost.
    pub fn judge(&mut self) {
        for segment in self.segments.values_mut() {
            if segment.state == State::OnItsWay && segment.number + LATER <= self.delivered {
                segment.state = State::Lost;
                self.lost += 1;
            }
        }
    }

    /// Three acknowledgements told nothing new, and nothing of what the peer has.
    pub fn lose_oldest(&mut self) {
        if let Some(mut oldest) = self.segments.first_entry()
            && oldest.get().state == State::OnItsWay
        {
            oldest.get_mut().state = State::Lost;
            self.lost += 1;
        }
    }

    /// Nothing was acknowledged for too long: all is lost, also what the peer had, which it need not have kept (RFC 2018 §8).
    pub fn time_out(&mut self) {
        for segment in self.segments.values_mut() {
            segment.state = State::Lost;
        }
        self.lost = self.segments.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight segments of 100 bytes.
    fn board() -> Scoreboard {
        let mut board = Scoreboard::default();
        for start in (0..800).step_by(100) {
            board.send(start, start + 100);
        }
        board
    }

    fn all_lost(board: &mut Scoreboard) -> Vec<u64> {
        board.judge();
        let mut lost = Vec::new();
        while let Some((start, _)) = board.lost() {
            lost.push(start);
            board.send_again(start);
        }
        lost
    }

    #[test]
    fn a_hole_is_lost_when_three_later_segments_are_delivered() {
        let mut board = board();
        board.has(100, 300);
        assert!(all_lost(&mut board).is_empty());
        board.has(300, 400);
        assert_eq!(all_lost(&mut board), [0]);
        // Sent again, it is on its way; what was sent before it says nothing new.
        board.has(100, 800);
        assert!(all_lost(&mut board).is_empty());
    }

    #[test]
    fn a_segment_that_is_lost_again_is_sent_a_third_time() {
        let mut board = board();
        board.has(100, 800);
        assert_eq!(all_lost(&mut board), [0]);
        for start in [800, 900, 1000] {
            board.send(start, start + 100);
        }
        board.has(800, 1000);
        assert!(all_lost(&mut board).is_empty());
        board.has(1000, 1100);
        assert_eq!(all_lost(&mut board), [0]);
    }

    #[test]
    fn what_the_peer_dropped_without_a_word_is_lost_when_the_hole_is_filled() {
        let mut board = board();
        // Segment 0 is lost, 1 to 3 are noted, the rest is dropped.
        board.has(100, 400);
        assert_eq!(all_lost(&mut board), [0]);
        board.acknowledge(400);
        assert_eq!(all_lost(&mut board), [400, 500]);
        // 600 and 700 were sent less than three segments before the one that filled the hole.
        board.acknowledge(600);
        assert_eq!(all_lost(&mut board), [600, 700]);
    }

    #[test]
    fn a_peer_that_reports_nothing_is_sent_all_from_the_hole_on() {
        let mut board = board();
        board.lose_oldest();
        assert_eq!(all_lost(&mut board), [0]);
        // It kept nothing: what was sent before the hole was filled is lost.
        board.acknowledge(100);
        assert_eq!(all_lost(&mut board), [100, 200, 300, 400, 500]);
    }

    #[test]
    fn an_acknowledgement_may_end_within_a_segment() {
        let mut board = board();
        board.acknowledge(150);
        board.time_out();
        assert_eq!(board.lost(), Some((150, 50)));
    }
}
