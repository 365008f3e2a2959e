//! The reference TOE: what the protocol stage does, as pure functions.
//!
//! [`transition`] takes the state of one connection and one event and returns the next
//! state and what the event causes. It holds every TCP rule of `docs/data-path.md` and
//! nothing of time, memory or wires, so it serves three times: as the model that the RTL
//! is compared with event by event, as the heart of the behavioural NIC, and as the text
//! to read when one wants to know how the NIC treats a segment.
//!
//! ```text
//!             state ──┐
//!                     ├──► transition ──► next state
//!  Event, time in ns ─┘                └► Outcome
//! ```
//!
//! [`Connections`] keeps the states of all flow ids. Sequence numbers are [`SeqNumber`]s
//! and free-running ring positions [`RingPosition`]s: both wrap, and neither can be
//! compared with `<`.

mod command;
mod event;
mod receive;
mod scoreboard;
mod segment;
mod sequence;
mod state;
mod transmit;

#[cfg(test)]
mod endpoint_tests;
#[cfg(test)]
mod rule_tests;
#[cfg(test)]
mod sack_tests;

pub use event::{
    Command, Completion, Event, FrameClass, MAX_SACK_BLOCKS, Notification, Outcome, Placement,
    Received, SackBlock, Transmission,
};
pub use segment::flags;
pub use sequence::{RingPosition, SeqNumber};
pub use state::{Interval, MAX_INTERVALS, Open, State};

use hallux_toe::interface::Status;

/// The effect of `event` on a connection in `state`, at the time `now` (ns).
///
/// A closed connection is [`State::default`]. `now` matters only for round-trip samples.
pub fn transition(state: &State, event: &Event, now: u64) -> (State, Outcome) {
    match event {
        Event::Receive(segment) => receive::receive(state, segment, now),
        Event::Transmit => transmit::grant(state),
        Event::Remind => transmit::remind(state),
        Event::HostControl {
            generation,
            rx_bump,
            tx_bump,
            finish,
        } => {
            if !state.accepts(*generation) {
                return (*state, Outcome::stale());
            }
            transmit::host_control(state, *rx_bump, *tx_bump, *finish)
        }
        Event::Command {
            generation,
            command,
        } => command::command(state, *generation, command),
    }
}

/// The state of every flow id of a design point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connections {
    states: Vec<State>,
    intervals: u8,
    scoreboard: bool,
}

impl Connections {
    /// `connections` closed flow ids, `0..connections`.
    pub fn new(connections: usize) -> Self {
        Self {
            states: vec![State::default(); connections],
            intervals: 1,
            scoreboard: false,
        }
    }

    /// Holds `intervals` (at most [`MAX_INTERVALS`]) out of order for each connection, instead
    /// of one.
    #[must_use]
    pub fn with_intervals(self, intervals: u8) -> Self {
        Self {
            intervals: intervals.min(MAX_INTERVALS as u8),
            ..self
        }
    }

    /// Recovers by SACK where the peer agreed to it, if `scoreboard`; otherwise always by
    /// going back to SND.UNA.
    #[must_use]
    pub fn with_scoreboard(self, scoreboard: bool) -> Self {
        Self { scoreboard, ..self }
    }

    /// State of a flow id; `None` beyond the design point's connections.
    pub fn get(&self, flow: u16) -> Option<&State> {
        self.states.get(usize::from(flow))
    }

    /// Applies an event to a flow id. A flow id beyond the design point's connections
    /// behaves as one that is closed, but its commands complete with [`Status::Invalid`].
    pub fn apply(&mut self, flow: u16, event: &Event, now: u64) -> Outcome {
        let Some(state) = self.states.get_mut(usize::from(flow)) else {
            return match event {
                Event::Command {
                    generation,
                    command,
                } => Outcome::completed(
                    *generation,
                    Completion::failed(command.opcode(), Status::Invalid),
                ),
                _ => transition(&State::default(), event, now).1,
            };
        };
        let (next, outcome) = match *event {
            Event::Command {
                generation,
                command: Command::Open(open),
            } => {
                let open = Open {
                    intervals: self.intervals,
                    scoreboard: self.scoreboard,
                    ..open
                };
                let command = Command::Open(open);
                let event = Event::Command {
                    generation,
                    command,
                };
                transition(state, &event, now)
            }
            _ => transition(state, event, now),
        };
        *state = next;
        outcome
    }
}
