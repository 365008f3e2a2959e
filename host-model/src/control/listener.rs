//! Ports that accept connections.

use std::collections::VecDeque;
use std::task::Waker;

use crate::application::NetError;
use crate::control::connection::ConnectionId;
use crate::control::{ControlPlane, Phase, Role};
use crate::sockets::Owner;

/// A listening port.
#[derive(Debug)]
pub struct Listener {
    backlog: usize,
    /// Established connections that wait to be accepted.
    accepted: VecDeque<ConnectionId>,
    /// Connections whose handshake is under way.
    embryonic: usize,
    waker: Option<Waker>,
}

impl Listener {
    /// True if no further connection may start its handshake.
    pub fn is_full(&self) -> bool {
        self.embryonic + self.accepted.len() >= self.backlog
    }

    /// A handshake that was reserved does not take place.
    pub(super) fn release_handshake(&mut self) {
        self.embryonic = self.embryonic.saturating_sub(1);
    }
}

impl ControlPlane {
    /// Accepts connections on `port`, up to `backlog` that wait; at least one.
    ///
    /// # Errors
    ///
    /// [`NetError::AddressInUse`] if somebody listens there, [`NetError::InvalidInput`]
    /// for port 0.
    pub fn listen(&mut self, port: u16, backlog: usize) -> Result<(), NetError> {
        if port == 0 {
            return Err(NetError::InvalidInput);
        }
        if self.listeners.contains_key(&port) {
            return Err(NetError::AddressInUse);
        }
        let listener = Listener {
            backlog: backlog.max(1),
            accepted: VecDeque::new(),
            embryonic: 0,
            waker: None,
        };
        self.listeners.insert(port, listener);
        Ok(())
    }

    /// Refuses connections on `port` from now on, and aborts those not accepted.
    pub fn unlisten(&mut self, port: u16) {
        self.listeners.remove(&port);
        let orphans: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, c)| c.key.local_port == port && c.socket.owner == Owner::Listener)
            .map(|(&id, _)| id)
            .collect();
        for id in orphans {
            self.abandon(id);
        }
    }

    /// The next established connection of `port`, which belongs to the caller from now
    /// on. If there is none, the caller is woken when there is.
    pub fn poll_accept(&mut self, port: u16, waker: &Waker) -> Option<ConnectionId> {
        let listener = self.listeners.get_mut(&port)?;
        let Some(id) = listener.accepted.pop_front() else {
            listener.waker = Some(waker.clone());
            return None;
        };
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.socket.owner = Owner::Application;
        }
        Some(id)
    }

    /// Somebody listens on `port` and has room for one more handshake.
    pub(super) fn reserve_handshake(&mut self, port: u16) -> bool {
        let Some(listener) = self.listeners.get_mut(&port).filter(|l| !l.is_full()) else {
            return false;
        };
        listener.embryonic += 1;
        true
    }

    /// Nobody listens on `port`.
    pub(super) fn is_refused(&self, port: u16) -> bool {
        !self.listeners.contains_key(&port)
    }

    /// A passive connection is established: it waits to be accepted.
    pub(super) fn offer(&mut self, id: ConnectionId, port: u16) {
        let Some(listener) = self.listeners.get_mut(&port) else {
            return self.abandon(id);
        };
        listener.release_handshake();
        listener.accepted.push_back(id);
        if let Some(waker) = listener.waker.take() {
            waker.wake();
        }
    }

    /// A connection that nobody accepted is going away.
    pub(super) fn withdraw(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        if connection.role == Role::Active || connection.socket.owner != Owner::Listener {
            return;
        }
        let Some(listener) = self.listeners.get_mut(&connection.key.local_port) else {
            return;
        };
        match connection.phase {
            Phase::Opening | Phase::SynReceived => {
                listener.release_handshake();
            }
            _ => listener.accepted.retain(|&waiting| waiting != id),
        }
    }
}
