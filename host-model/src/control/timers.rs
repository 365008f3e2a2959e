//! The timers of the host: SYN, retransmission, persist, FIN-WAIT-2, TIME-WAIT, ARP.
//!
//! A connection has one deadline; its phase tells what is due. The timer queue may hold an
//! earlier time than the deadline: the deadline moves with every acknowledgement, and an
//! entry that fires too early is put back.

use hallux_channel::Time;
use hallux_toe::interface::{Opcode, Record, period, rate_words};

use crate::application::NetError;
use crate::control::ControlPlane;
use crate::control::arp::Unanswered;
use crate::control::connection::{Connection, ConnectionId, Phase};
use crate::driver::Command;

impl ControlPlane {
    /// Does what is due at `now`.
    pub fn expire(&mut self, now: Time) {
        if self.arp.next_deadline() <= now {
            for unanswered in self.arp.expire(now) {
                match unanswered {
                    Unanswered::Ask(frame) => {
                        self.driver.send_frame(frame);
                    }
                    Unanswered::Unreachable(ip) => self.unreachable(ip),
                }
            }
        }
        self.expire_splices(now);
        while let Some(&(at, id)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            let Some(connection) = self.connections.get_mut(&id) else {
                continue;
            };
            connection.scheduled = Time::NEVER;
            let deadline = connection.deadline;
            if deadline > now {
                self.set_deadline(id, deadline);
            } else {
                connection.deadline = Time::NEVER;
                self.connection_due(now, id);
            }
        }
    }

    /// Moves a connection's deadline; [`Time::NEVER`] for none.
    pub(super) fn set_deadline(&mut self, id: ConnectionId, deadline: Time) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.deadline = deadline;
        if deadline < connection.scheduled {
            self.timers.remove(&(connection.scheduled, id));
            self.timers.insert((deadline, id));
            connection.scheduled = deadline;
        }
    }

    fn connection_due(&mut self, now: Time, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        match connection.phase {
            Phase::SynSent | Phase::SynReceived => {
                if connection.syn_attempts >= self.config.timers.syn_attempts {
                    self.fail(id, NetError::TimedOut);
                } else {
                    self.send_syn(now, id);
                }
            }
            Phase::Established if connection.socket.transmit.outstanding() > 0 => {
                self.retransmission_due(id);
            }
            // The peer did not close its side in time.
            Phase::Established => self.fail(id, NetError::TimedOut),
            Phase::TimeWait => self.shut(id, false),
            Phase::Resolving | Phase::Opening | Phase::Closing | Phase::Closed => {}
        }
    }

    /// Nothing was acknowledged for a whole timeout. The NIC's state tells whether data is
    /// on its way or the peer's window is closed.
    fn retransmission_due(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id)
            && !connection.timeout_pending
        {
            connection.timeout_pending = true;
            let read = plain(connection, Opcode::Read);
            self.driver.submit(read);
        }
    }

    /// The NIC answered READ after a timeout.
    pub(super) fn state_read(&mut self, now: Time, id: ConnectionId, record: &Record) {
        let retransmissions = self.config.timers.retransmissions;
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.timeout_pending = false;
        let outstanding = connection.socket.transmit.outstanding();
        if connection.phase != Phase::Established
            || outstanding == 0
            || !connection.deadline.is_never()
        {
            // An acknowledgement came meanwhile.
            return self.settle(now, id);
        }
        let in_flight = record.rx_bump;
        let expired = connection.round_trip.back_off();
        let deadline = now + connection.round_trip.timeout();
        if in_flight == 0 {
            // All that is released waits for a closed window: RETRANSMIT sends a probe. A
            // peer may keep its window closed for ever (RFC 9293 §3.8.6.1).
            self.counts.window_probes += 1;
        } else if expired > retransmissions {
            return self.fail(id, NetError::TimedOut);
        } else {
            self.counts.timeouts += 1;
            connection.congestion.timed_out();
        }
        let retransmit = plain(connection, Opcode::Retransmit);
        self.driver.submit(retransmit);
        self.set_deadline(id, deadline);
    }
}

/// The command that gives a connection a rate.
pub(super) fn set_rate(connection: &Connection, bits_per_second: u64) -> Command {
    Command {
        words: Some(rate_words(period(bits_per_second))),
        ..plain(connection, Opcode::Set)
    }
}

/// A command without staged words.
fn plain(connection: &Connection, opcode: Opcode) -> Command {
    let flow = connection.flow;
    Command {
        opcode,
        flow: flow.id,
        generation: flow.generation,
        words: None,
    }
}
