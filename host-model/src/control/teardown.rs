//! Ending connections: in order, by a reset, or because the peer is gone.

use hallux_channel::Time;
use hallux_toe::interface::{Opcode, Record, Status};

use crate::application::NetError;
use crate::control::ControlPlane;
use crate::control::connection::{ConnectionId, Phase};
use crate::control::packet::Segment;
use crate::driver::{Command, TraceEvent};
use crate::sockets::Owner;

impl ControlPlane {
    /// The application lets go of a connection. In order, what was written is still
    /// delivered and what arrives is thrown away; otherwise the connection is reset,
    /// unless both directions have ended.
    pub fn detach(&mut self, now: Time, id: ConnectionId, in_order: bool) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let socket = &mut connection.socket;
        let ended = socket.peer_finished && socket.transmit.is_finished();
        if in_order || ended {
            socket.owner = Owner::Nobody;
            socket.receive.discard();
            socket.transmit.finish();
            match connection.phase {
                Phase::Resolving | Phase::SynSent => self.shut(id, false),
                _ => {
                    self.mark_unsent(id);
                    self.settle(now, id);
                }
            }
            self.reap(id);
        } else {
            self.abandon(id);
        }
    }

    /// Resets a connection that nobody wants any more.
    pub(super) fn abandon(&mut self, id: ConnectionId) {
        self.withdraw(id);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.socket.owner = Owner::Nobody;
            connection.socket.error.get_or_insert(NetError::Closed);
        }
        self.shut(id, true);
        self.reap(id);
    }

    /// A connection failed: its socket says why, and the peer gets a reset where it may
    /// hold state.
    pub(super) fn fail(&mut self, id: ConnectionId, error: NetError) {
        self.break_socket(id, error);
        self.shut(id, true);
        self.reap(id);
    }

    /// A segment with RST for a connection beyond its first SYN. It must lie in the window
    /// (RFC 9293 §3.10.7.4). The exact match of RFC 5961 §3 is not asked for because the
    /// NIC's RCV.NXT can be ahead of the records read so far.
    pub(super) fn reset_received(&mut self, id: ConnectionId, segment: &Segment) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let ahead = segment.seq.wrapping_sub(connection.known_rcv_nxt());
        // In TIME-WAIT everything has been delivered, and a late duplicate must not end
        // the wait (RFC 1337).
        if ahead >= connection.socket.receive.size() || connection.phase == Phase::TimeWait {
            self.counts.frames_ignored += 1;
            return;
        }
        self.counts.resets_received += 1;
        let error = match connection.phase {
            Phase::Opening | Phase::SynReceived => NetError::ConnectionRefused,
            _ => NetError::Reset,
        };
        self.break_socket(id, error);
        self.shut(id, false);
        self.reap(id);
    }

    /// Looks whether both directions of an established connection have ended, and sets
    /// the timer that its state asks for.
    pub(crate) fn settle(&mut self, now: Time, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if connection.phase != Phase::Established {
            return;
        }
        let socket = &connection.socket;
        let finished = socket.transmit.is_finish_acknowledged();
        if finished && socket.peer_finished {
            self.counts.closed += 1;
            if connection.closed_first {
                connection.phase = Phase::TimeWait;
                self.set_deadline(id, now + self.config.timers.time_wait);
            } else {
                self.shut(id, false);
                self.reap(id);
            }
        } else if socket.transmit.outstanding() == 0 {
            let orphaned = finished && socket.owner == Owner::Nobody;
            let wait = if orphaned {
                self.config.timers.fin_wait
            } else {
                Time::NEVER
            };
            self.set_deadline(id, now + wait);
        } else if connection.deadline.is_never() && !connection.timeout_pending {
            let deadline = now + connection.round_trip.timeout();
            self.set_deadline(id, deadline);
        }
    }

    /// Tells the NIC to forget the flow. The ids and rings are free when it has answered.
    pub(super) fn shut(&mut self, id: ConnectionId, reset: bool) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let (key, flow) = (connection.key, connection.flow);
        match connection.phase {
            Phase::Resolving | Phase::SynSent => self.forget(id),
            Phase::Opening | Phase::SynReceived | Phase::Established | Phase::TimeWait => {
                connection.phase = Phase::Closing;
                connection.owes_reset = reset;
                self.set_deadline(id, Time::NEVER);
                self.driver.remove_flow(&key);
                self.driver.submit(Command {
                    opcode: Opcode::Close,
                    flow: flow.id,
                    generation: flow.generation,
                    words: None,
                });
            }
            Phase::Closing | Phase::Closed => {}
        }
    }

    /// The NIC answered CLOSE with the flow's last state.
    pub(super) fn flow_closed(&mut self, now: Time, id: ConnectionId, record: &Record) {
        if let Some(connection) = self.connections.get(&id) {
            let (flow, key) = (connection.flow.id, connection.key);
            self.driver.request_trace(flow, key, TraceEvent::Closed);
        }
        if self.splices.is_joining(id) {
            return self.joining_closed(now, id, record);
        }
        if let Some(connection) = self.connections.get(&id)
            && connection.owes_reset
            && record.status == Status::Ok as u8
        {
            // SND.NXT and RCV.NXT of the record.
            let (seq, ack) = (record.opaque as u32, (record.opaque >> 32) as u32);
            let reset = Segment {
                rst: true,
                ..connection.segment(seq, Some(ack))
            };
            self.send(&reset);
        }
        self.forget(id);
        self.reap(id);
    }

    /// Resets the NIC, when it has ended what is in flight (`drain`) or at once. Every connection
    /// breaks now, and its resources are free when the NIC is up again; listeners stay.
    pub(crate) fn restart(&mut self, drain: bool) {
        self.set_down();
        let open: Vec<ConnectionId> = self.by_key.values().copied().collect();
        for id in open {
            self.break_socket(id, NetError::Reset);
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.owes_reset = matches!(
                    connection.phase,
                    Phase::SynReceived | Phase::Established | Phase::TimeWait
                );
                connection.phase = Phase::Closing;
            }
            self.set_deadline(id, Time::NEVER);
        }
        self.driver.restart(drain);
    }

    /// The NIC was reset: it knows none of the connections that were broken for it. Nobody knows
    /// their sequence numbers to the byte any more, so their peers are asked for them, as
    /// keep-alive does (RFC 9293 §3.8.4); what they answer finds no connection and is reset.
    pub(super) fn forget_reset(&mut self) {
        for (base, bytes) in std::mem::take(&mut self.hanging) {
            self.driver.dma.iommu.unmap(base);
            self.driver.dma.release(base, bytes);
        }
        let broken: Vec<ConnectionId> = self
            .by_key
            .values()
            .copied()
            .filter(|id| {
                self.connections
                    .get(id)
                    .is_some_and(|c| c.phase == Phase::Closing)
            })
            .collect();
        for id in broken {
            if let Some(connection) = self.connections.get(&id)
                && connection.owes_reset
            {
                let old = connection.known_snd_una().wrapping_sub(1);
                let probe = connection.segment(old, Some(connection.known_rcv_nxt()));
                self.send(&probe);
            }
            self.forget(id);
            self.reap(id);
        }
    }

    /// The NIC does not know the flow: id and key are free, the device loses its right to
    /// the rings, unless it may still be reading them.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.phase = Phase::Closed;
        self.by_key.remove(&connection.key);
        if let Some(entry) = self.by_flow.get_mut(usize::from(connection.flow.id)) {
            *entry = None;
        }
        self.flows.release(connection.flow);
        let rings = connection.rings();
        if connection.read_lost {
            self.hanging.extend(rings);
        } else {
            for (base, _) in rings {
                self.driver.dma.iommu.unmap(base);
            }
        }
        connection.wake_opener();
        self.set_deadline(id, Time::NEVER);
    }

    /// Frees what is left of a connection that neither the NIC nor an application needs.
    pub(super) fn reap(&mut self, id: ConnectionId) {
        let unused = self.connections.get(&id).is_some_and(|connection| {
            connection.phase == Phase::Closed && connection.socket.owner == Owner::Nobody
        });
        if unused && let Some(connection) = self.connections.remove(&id) {
            if !connection.read_lost {
                for (base, bytes) in connection.rings() {
                    self.driver.dma.release(base, bytes);
                }
            }
            self.timers.remove(&(connection.scheduled, id));
        }
    }

    fn break_socket(&mut self, id: ConnectionId, error: NetError) {
        self.withdraw(id);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        self.counts.broken += 1;
        connection.socket.fail(error);
        connection.wake_opener();
        if connection.socket.owner == Owner::Listener {
            connection.socket.owner = Owner::Nobody;
        }
    }
}
