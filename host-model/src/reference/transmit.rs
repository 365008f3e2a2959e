//! Grants of the scheduler and descriptors of the application.

use super::{Outcome, State, flags};

/// One segment of up to the MSS leaves, if ring and window allow.
pub(super) fn grant(state: &State) -> (State, Outcome) {
    if !state.open {
        return (*state, Outcome::stale());
    }
    let mut next = *state;
    let mut outcome = Outcome {
        generation: state.generation,
        ..Outcome::default()
    };
    if let Some(hole) = state.hole() {
        // SACK recovery: what the peer lacks, before anything new.
        match state.reported_end() {
            Some(end) => next.high_rxt = end,
            None => outcome.send = Some(next.fill(hole)),
        }
        outcome.ready = Some(next.can_send());
        return (next, outcome);
    }
    // At most the MSS, so it fits the 14 bits of a length.
    let bytes = state.usable().min(u32::from(state.mss)) as u16;
    if bytes > 0 {
        let all = u32::from(bytes) == state.tx_avail;
        // The last byte of a finished stream is no data: it stands for the FIN and takes
        // its sequence number, so that it is acknowledged and rewound like data.
        let fin = all && state.tx_fin;
        let length = bytes - u16::from(fin);
        let push = all && length > 0;
        let flags =
            flags::ACK | if fin { flags::FIN } else { 0 } | if push { flags::PSH } else { 0 };
        let flags = flags | state.owed_echo();
        outcome.send = Some(next.emit(state.snd_nxt, flags, length));
        next.snd_nxt = state.snd_nxt + u32::from(bytes);
        next.snd_max = state.snd_max.max(next.snd_nxt);
        next.tx_pos = state.tx_pos + u32::from(bytes);
        next.tx_avail = state.tx_avail - u32::from(bytes);
    }
    outcome.ready = Some(next.can_send());
    (next, outcome)
}

/// A delayed acknowledgement has waited long enough: it leaves unless something carried it.
pub(super) fn remind(state: &State) -> (State, Outcome) {
    if !state.open {
        return (*state, Outcome::stale());
    }
    let mut next = *state;
    let mut outcome = Outcome {
        generation: state.generation,
        ..Outcome::default()
    };
    if state.owes_ack() {
        outcome.send = Some(next.acknowledge(state.owed_echo()));
    }
    (next, outcome)
}

/// The application consumed and released bytes; more than the rings can hold is cut off.
pub(super) fn host_control(
    state: &State,
    rx_bump: u32,
    tx_bump: u32,
    finish: bool,
) -> (State, Outcome) {
    let mut next = *state;
    let mut outcome = Outcome {
        generation: state.generation,
        ..Outcome::default()
    };

    next.rx_avail += rx_bump.min(state.rx_ring() - state.rx_avail);
    // Nothing follows a FIN.
    if !state.tx_fin {
        let free = state
            .tx_ring()
            .saturating_sub(state.tx_avail + state.in_flight());
        let released = tx_bump.min(free);
        next.tx_avail += released;
        next.tx_fin = finish && released > 0;
    }

    if next.owes_window_update() {
        outcome.send = Some(next.update_window());
    }
    if next.can_send() {
        outcome.ready = Some(true);
    }
    (next, outcome)
}

impl State {
    /// The window has opened so far that the peer should know at once (RFC 9293
    /// §3.8.6.2.2): the right edge can move by min(MSS, ring / 2), and the peer may be
    /// waiting because it has less than twice that left. Twice, because the peer's MSS,
    /// which it waits for, can be a little larger than ours. A peer that has sent beyond the
    /// advertised edge, and owes its acknowledgement to the delay, counts with its overrun.
    fn owes_window_update(&self) -> bool {
        let step = u32::from(self.mss).min(self.rx_ring() / 2);
        let advertised = self.advertised();
        let open = (u32::from(self.window()) << self.receive_shift).min(self.advertisable());
        let moves = !(self.rcv_nxt + open - step).precedes(self.rcv_adv);
        !self.opening && !self.rx_fin && advertised < 2 * step && moves
    }
}
