//! State commands of the control plane.

use super::{Command, Completion, Notification, Outcome, State, flags};
use hallux_toe::interface::Status;

/// Executes a command; it always completes with a record. The NIC's own note of a lost read
/// becomes a record for the flow's context instead.
pub(super) fn command(state: &State, generation: u8, command: &Command) -> (State, Outcome) {
    if matches!(command, Command::ReadLost) {
        let told = Notification {
            read_lost: true,
            ..Notification::default()
        };
        let outcome = Outcome {
            generation,
            notify: state.accepts(generation).then_some(told),
            ..Outcome::default()
        };
        return (*state, outcome);
    }
    let refused = |status| {
        (
            *state,
            Outcome::completed(generation, Completion::failed(command.opcode(), status)),
        )
    };
    if matches!(command, Command::Unknown(_)) {
        return refused(Status::Invalid);
    }
    if let Command::Open(open) = command {
        if state.open {
            return refused(Status::AlreadyOpen);
        }
        let next = State::open(generation, open);
        return (
            next,
            Outcome::completed(generation, next.completion(command)),
        );
    }
    if !state.accepts(generation) {
        return refused(Status::Stale);
    }

    let mut next = *state;
    let mut send = None;
    let mut ready = None;
    match *command {
        Command::Close => next = State::default(),
        Command::Retransmit if !state.opening => {
            if state.snd_max != state.snd_una {
                next.rewind();
            }
            // A probe asks for the peer's state: it is old at the peer, so it is answered
            // (RFC 9293 §3.8.6.1), and it carries no byte that could be lost.
            if state.snd_max == state.snd_una || state.snd_wnd == 0 {
                let flags = flags::ACK | next.owed_echo();
                send = Some(next.emit(next.snd_una - 1, flags, 0));
            }
        }
        Command::Set { window, send_shift } => {
            next.snd_wnd = window;
            next.send_shift = send_shift & 15;
        }
        _ => {}
    }
    if next.can_send() && !matches!(command, Command::Read) {
        ready = Some(true);
    }
    // CLOSE tells the last state.
    let snapshot = if next.open { &next } else { state };
    let mut outcome = Outcome::completed(generation, snapshot.completion(command));
    outcome.send = send;
    outcome.ready = ready;
    (next, outcome)
}

impl State {
    fn completion(&self, command: &Command) -> Completion {
        Completion {
            opcode: command.opcode(),
            status: Status::Ok,
            snd_una: self.snd_una,
            snd_nxt: self.snd_nxt,
            rcv_nxt: self.rcv_nxt,
            in_flight: self.in_flight(),
            unsent: self.tx_avail,
        }
    }
}
