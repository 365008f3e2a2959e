//! A segment arrives (RFC 9293 §3.10.7.4, without the checks the parser has made).

use super::{Interval, Notification, Outcome, Placement, Received, SeqNumber, State, flags};
use hallux_toe::interface::{notice, timestamp};

/// Handles one segment of the fast path.
pub(super) fn receive(state: &State, segment: &Received, now: u64) -> (State, Outcome) {
    if !state.open {
        return (*state, Outcome::stale());
    }
    let mut next = *state;
    let marked = segment.congestion_experienced && state.ecn;
    let mut outcome = Outcome {
        generation: state.generation,
        ..Outcome::default()
    };
    let ack = AckKind::of(state, segment.ack);
    let has_text = segment.payload_len > 0 || segment.flags & flags::FIN != 0;

    let acceptable = !segment.is_old_timestamp(state)
        && segment.is_in_window(state)
        && ack != AckKind::Unsent
        && !(state.opening && ack == AckKind::Old);

    if acceptable {
        let mut notification = Notification::default();
        if state.opening {
            next.opening = false;
            notification.flags |= notice::ESTABLISHED;
        }
        if ack != AckKind::Old {
            acknowledged(&mut next, segment, ack, &mut notification, now);
        }
        if let Some((ts_val, _)) = segment.timestamps
            && state.ts_on
            && !state.last_ack_sent.precedes(segment.seq)
        {
            next.ts_recent = ts_val;
        }
        if has_text && !state.rx_fin {
            outcome.owes = segment.may_wait(state);
            next.congestion_experienced = marked;
            outcome.place = text(&mut next, segment, &mut notification);
        }
        if notification != Notification::default() {
            outcome.notify = Some(notification);
        }
    }

    if (has_text || !acceptable) && !outcome.owes {
        let echo = if marked { flags::ECE } else { 0 };
        outcome.send = Some(next.acknowledge(echo | state.owed_echo()));
    }
    if next.can_send() {
        outcome.ready = Some(true);
    }
    (next, outcome)
}

impl Received {
    /// PAWS (RFC 7323 §5): TSval is older than TS.Recent.
    fn is_old_timestamp(&self, state: &State) -> bool {
        match self.timestamps {
            Some((ts_val, _)) if state.ts_on => {
                SeqNumber(ts_val).precedes(SeqNumber(state.ts_recent))
            }
            _ => false,
        }
    }

    /// Some octet of the segment, or the segment itself if it has none, is in the window.
    /// With a closed window a segment at RCV.NXT still counts, for the sake of its ACK.
    fn is_in_window(&self, state: &State) -> bool {
        let length = u32::from(self.payload_len) + u32::from(self.flags & flags::FIN);
        if self.seq.precedes(state.rcv_nxt) {
            state.rcv_nxt - self.seq < length
        } else {
            let ahead = self.seq - state.rcv_nxt;
            ahead == 0 || ahead < state.rx_avail || (length == 0 && ahead == state.rx_avail)
        }
    }
}

impl Received {
    /// The acknowledgement of this segment, which is acceptable and whose text counts, may
    /// wait. Not that of the second segment, nor where it fills a gap or part of one, is old
    /// in part, does not fit or ends the stream (RFC 5681 §4.2), nor where the mark changes (RFC
    /// 8257 §3.2).
    fn may_wait(&self, state: &State) -> bool {
        state.delayed_acks
            && !state.owes_ack()
            && self.seq == state.rcv_nxt
            && self.flags & flags::FIN == 0
            && u32::from(self.payload_len) <= state.rx_avail
            && state.held().next().is_none()
            && (self.congestion_experienced && state.ecn) == state.congestion_experienced
    }
}

/// Where SEG.ACK lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AckKind {
    /// Before SND.UNA.
    Old,
    /// SND.UNA.
    Duplicate,
    /// After SND.UNA, up to SND.MAX.
    New,
    /// After SND.MAX.
    Unsent,
}

impl AckKind {
    fn of(state: &State, ack: SeqNumber) -> Self {
        let acked = ack - state.snd_una;
        if acked == 0 {
            Self::Duplicate
        } else if acked <= state.snd_max - state.snd_una {
            Self::New
        } else if ack.precedes(state.snd_una) {
            Self::Old
        } else {
            Self::Unsent
        }
    }
}

/// The acknowledgement and the window of an acceptable segment.
fn acknowledged(
    next: &mut State,
    segment: &Received,
    ack: AckKind,
    notification: &mut Notification,
    now: u64,
) {
    let window = u32::from(segment.window) << next.send_shift;
    if ack == AckKind::New {
        notification.tx_bump = segment.ack - next.snd_una;
        if segment.flags & flags::ECE != 0 && next.ecn {
            notification.flags |= notice::ECN_ECHO;
        }
        if let Some((_, ts_ecr)) = segment.timestamps
            && next.ts_on
        {
            notification.rtt = timestamp(now, next.ts_offset)
                .wrapping_sub(ts_ecr)
                .wrapping_add(1);
        }
        next.snd_una = segment.ack;
        next.dupacks = 0;
        if !segment.ack.precedes(next.recover) {
            next.recovering = false;
            next.sack_recovery = false;
        }
        next.forget_acknowledged();
        // After a rewind the peer may acknowledge what we were about to send again.
        if next.snd_nxt.precedes(segment.ack) {
            let skipped = segment.ack - next.snd_nxt;
            next.snd_nxt = segment.ack;
            next.tx_pos = next.tx_pos + skipped;
            next.tx_avail -= skipped;
        }
    }
    // What earlier segments reported (RFC 2018 §4), some of which may have been lost, comes before
    // what is new.
    let [first, second, third] = segment.sack;
    for block in [third, second].into_iter().flatten() {
        next.report(block);
    }
    let reports = first.is_some_and(|block| next.report(block));
    if ack == AckKind::Duplicate
        && next.snd_max != next.snd_una
        && segment.payload_len == 0
        && segment.flags & flags::FIN == 0
        && (window == next.snd_wnd || reports)
        && !next.recovering
    {
        // RFC 5681 §2: what counts as a duplicate; and RFC 6675 §2: a report tells as much,
        // whatever the window.
        next.dupacks += 1;
        if next.dupacks == 3 {
            if next.sacked().next().is_some() {
                next.recover_holes();
            } else {
                next.rewind();
            }
            notification.flags |= notice::FAST_RETRANSMIT;
        }
    }
    // An ACK that advances SND.UNA is newer than all before it, whatever its SEG.SEQ.
    if ack == AckKind::New || !segment.seq.precedes(next.snd_wl1) {
        next.snd_wnd = window;
        next.snd_wl1 = segment.seq;
    }
}

/// The payload and the FIN of an acceptable segment that has either.
fn text(
    next: &mut State,
    segment: &Received,
    notification: &mut Notification,
) -> Option<Placement> {
    // Cut off what was received before, at the front, and what the ring cannot hold.
    let old = segment.seq.precedes(next.rcv_nxt);
    let front = if old { next.rcv_nxt - segment.seq } else { 0 };
    let start = if old { 0 } else { segment.seq - next.rcv_nxt };
    let rest = u32::from(segment.payload_len).saturating_sub(front);
    let length = rest.min(next.rx_avail - start);
    let end = start + length;

    // The intervals that abut or overlap the segment.
    let rcv_nxt = next.rcv_nxt;
    let touches = |held: &Interval| {
        let held_start = held.start - rcv_nxt;
        held.len > 0 && start <= held_start + held.len && held_start <= end
    };
    let touched: Vec<Interval> = next.held().copied().filter(|held| touches(held)).collect();
    let ends = touched.iter().map(|held| held.start - rcv_nxt + held.len);
    let high = ends.fold(end, u32::max);

    // Its FIN counts where nothing of it was cut off and nothing that it touches lies behind.
    let ends = segment.flags & flags::FIN != 0 && length == rest && high == end;

    let rx_pos = next.rx_pos + start;
    let mut placed = length > 0;
    if start == 0 {
        for held in next.held.iter_mut().filter(|held| touches(held)) {
            *held = Interval::default();
        }
        next.rcv_nxt = rcv_nxt + high;
        next.rx_pos = next.rx_pos + high;
        next.rx_avail -= high;
        notification.rx_bump = high;

        // What was held ends with the FIN that came with it.
        let filled = next.fin_held && !touched.is_empty() && next.held().next().is_none();
        if ends || filled {
            next.rcv_nxt = next.rcv_nxt + 1;
            next.rx_fin = true;
            next.fin_held = false;
            // Nothing can follow the FIN.
            next.held = Default::default();
            notification.flags |= notice::PEER_FINISHED;
        }
    } else if length > 0 {
        let slots = usize::from(next.intervals);
        let free = |held: &Interval| held.len == 0 || touches(held);
        if let Some(slot) = next.held[..slots].iter().position(free) {
            let starts = touched.iter().map(|held| held.start - rcv_nxt);
            let low = starts.fold(start, u32::min);
            for held in next.held.iter_mut().filter(|held| touches(held)) {
                *held = Interval::default();
            }
            // The interval that grew last comes first.
            next.held[..=slot].rotate_right(1);
            next.held[0] = Interval {
                start: rcv_nxt + low,
                len: high - low,
            };
            next.fin_held |= ends;
        } else {
            placed = false;
        }
    } else if !touched.is_empty() {
        next.fin_held |= ends;
    }
    placed.then_some(Placement {
        rx_pos,
        offset: front as u16,
        length: length as u16,
    })
}
