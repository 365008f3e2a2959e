//! Opening connections, from both sides.
//!
//! The NIC is opened before the SYN-ACK or the last ACK leaves, and its flow table before
//! that, so that no data can arrive before its flow is known.

use std::net::{Ipv4Addr, SocketAddrV4};

use hallux_channel::Time;
use hallux_toe::interface::{Opcode, timestamp};

use crate::application::NetError;
use crate::control::config::CongestionControl;
use crate::control::congestion::Congestion;
use crate::control::connection::{Connection, ConnectionId, Offers, PeerSyn, Phase, Role};
use crate::control::pacing::Pacing;
use crate::control::packet::{Mac, Options, Segment};
use crate::control::{ControlPlane, FIRST_EPHEMERAL_PORT, RoundTrip};
use crate::driver::{Command, FlowKey};
use crate::iommu::{Purpose, Rights};
use crate::sockets::{Owner, ReceiveRing, Socket, TransmitRing};

impl ControlPlane {
    /// Opens a connection; it is established, or has failed, when its opener is woken.
    ///
    /// # Errors
    ///
    /// [`NetError::HostUnreachable`] without a route, [`NetError::InvalidInput`] for
    /// port 0, [`NetError::OutOfResources`] without a free port, flow or ring.
    pub fn connect(&mut self, now: Time, to: SocketAddrV4) -> Result<ConnectionId, NetError> {
        self.connect_with(now, to, Offers::ALL)
    }

    /// The same, offering just what both ends of connection `like` agreed on.
    ///
    /// # Errors
    ///
    /// As of [`Self::connect`].
    pub fn connect_like(
        &mut self,
        now: Time,
        to: SocketAddrV4,
        like: ConnectionId,
    ) -> Result<ConnectionId, NetError> {
        let like = self.connections.get(&like);
        let agreed = like.map(|like| like.agreed(&self.config));
        self.connect_with(now, to, agreed.unwrap_or(Offers::ALL))
    }

    fn connect_with(
        &mut self,
        now: Time,
        to: SocketAddrV4,
        offers: Offers,
    ) -> Result<ConnectionId, NetError> {
        if to.port() == 0 {
            return Err(NetError::InvalidInput);
        }
        let hop = self
            .config
            .next_hop(*to.ip())
            .ok_or(NetError::HostUnreachable)?;
        let key = self.free_key(to).ok_or(NetError::OutOfResources)?;
        let id = self.create(key, Role::Active, [0; 6])?;
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.offers = offers;
        }
        match self.arp.lookup(hop) {
            Some(mac) => self.send_first_syn(now, id, mac),
            None => {
                if let Some(request) = self.arp.ask(hop, now) {
                    self.driver.send_frame(request);
                }
            }
        }
        Ok(id)
    }

    /// The station address of a neighbour may be known now.
    pub(super) fn resolved(&mut self, now: Time, hop: Ipv4Addr) {
        let Some(mac) = self.arp.lookup(hop) else {
            return;
        };
        for id in self.resolving(hop) {
            self.send_first_syn(now, id, mac);
        }
    }

    /// Nobody has this address.
    pub(super) fn unreachable(&mut self, hop: Ipv4Addr) {
        for id in self.resolving(hop) {
            self.fail(id, NetError::HostUnreachable);
        }
    }

    fn resolving(&self, hop: Ipv4Addr) -> Vec<ConnectionId> {
        let waits = |connection: &Connection| {
            connection.phase == Phase::Resolving
                && self
                    .config
                    .next_hop(Ipv4Addr::from(connection.key.remote_ip))
                    == Some(hop)
        };
        let all = self.connections.iter();
        all.filter(|(_, connection)| waits(connection))
            .map(|(&id, _)| id)
            .collect()
    }

    fn send_first_syn(&mut self, now: Time, id: ConnectionId, mac: Mac) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.remote_mac = mac;
            connection.phase = Phase::SynSent;
        }
        self.send_syn(now, id);
    }

    /// Sends the SYN or, on the passive side, the SYN-ACK, and sets its timer.
    pub(super) fn send_syn(&mut self, now: Time, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let options =
            connection.syn_options(&self.config, timestamp(now.ns(), connection.ts_offset));
        let ack = (connection.role == Role::Passive).then(|| connection.first_ack());
        let (ece, cwr) = connection.syn_ecn(&self.config);
        let syn = Segment {
            syn: true,
            ece,
            cwr,
            window: u16::try_from(self.config.rx_ring).unwrap_or(u16::MAX),
            options,
            ..connection.segment(connection.iss, ack)
        };
        let first = connection.syn_attempts == 0;
        connection.syn_sent = first.then_some(now);
        let deadline = now + self.config.timers.syn * (1 << connection.syn_attempts.min(16));
        connection.syn_attempts += 1;
        self.counts.syn_retransmissions += u64::from(!first);
        self.send(&syn);
        self.set_deadline(id, deadline);
    }

    /// A SYN for a key without connection.
    pub(super) fn syn_received(&mut self, syn: &Segment) {
        let port = syn.key.local_port;
        if self.is_refused(port) {
            if let Some(refusal) = syn.refusal() {
                self.send(&refusal);
            }
            return;
        }
        if !self.reserve_handshake(port) {
            self.counts.syns_dropped += 1;
            return;
        }
        let Ok(id) = self.create(syn.key, Role::Passive, syn.remote_mac) else {
            if let Some(listener) = self.listeners.get_mut(&port) {
                listener.release_handshake();
            }
            self.counts.syns_dropped += 1;
            return;
        };
        self.open_flow(id, syn);
    }

    /// A segment for a connection whose SYN was sent (RFC 9293 §3.10.7.3).
    pub(super) fn answer_to_syn(&mut self, id: ConnectionId, segment: &Segment) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let acceptable = segment.ack == Some(connection.first_seq());
        if segment.ack.is_some() && !acceptable {
            if let Some(refusal) = segment.refusal() {
                self.send(&refusal);
            }
        } else if segment.rst {
            if acceptable {
                self.counts.resets_received += 1;
                self.fail(id, NetError::ConnectionRefused);
            }
        } else if segment.syn && acceptable {
            self.open_flow(id, segment);
        } else {
            // A simultaneous open is not supported: the peer's SYN comes again when it has
            // given up ours.
            self.counts.frames_ignored += 1;
        }
    }

    /// A segment with SYN for a connection whose NIC state exists.
    pub(super) fn repeated_syn(&mut self, now: Time, id: ConnectionId, segment: &Segment) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let same = segment.seq == connection.peer.irs && segment.ack.is_none();
        match connection.phase {
            Phase::SynReceived if same => self.send_syn(now, id),
            // Either our last ACK was lost and the SYN-ACK came again, or the peer knows
            // nothing of the connection: then the ACK makes it send a reset (RFC 9293
            // §3.10.7.4, RFC 5961 §4).
            Phase::Established | Phase::TimeWait => self.send_ack(now, id),
            _ => self.counts.frames_ignored += 1,
        }
    }

    /// The NIC answered OPEN.
    pub(super) fn flow_opened(&mut self, now: Time, id: ConnectionId, is_open: bool) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if connection.phase != Phase::Opening {
            // Given up meanwhile: CLOSE follows.
            return;
        }
        let (key, flow, role) = (connection.key, connection.flow, connection.role);
        if !is_open {
            self.counts.malformed_records += 1;
            return self.fail(id, NetError::OutOfResources);
        }
        if self.driver.insert_flow(key, flow.id).is_err() {
            return self.fail(id, NetError::OutOfResources);
        }
        match role {
            Role::Passive => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.phase = Phase::SynReceived;
                }
                self.send_syn(now, id);
            }
            Role::Active => {
                self.send_ack(now, id);
                self.established(now, id);
            }
        }
    }

    /// The handshake is complete.
    pub(super) fn established(&mut self, now: Time, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.phase = Phase::Established;
        if let Some(sent) = connection.syn_sent.take() {
            connection.round_trip.sample(now.since(sent));
        }
        let (role, port) = (connection.role, connection.key.local_port);
        connection.wake_opener();
        self.set_deadline(id, Time::NEVER);
        match role {
            Role::Active => self.counts.opened_actively += 1,
            Role::Passive => {
                self.counts.opened_passively += 1;
                self.offer(id, port);
            }
        }
    }

    /// An ACK of what records told so far: the one that ends the handshake, or a later one.
    fn send_ack(&mut self, now: Time, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let ts_val = timestamp(now.ns(), connection.ts_offset);
        let echo = connection
            .peer
            .options
            .timestamps
            .map_or(0, |(value, _)| value);
        let (_, shift) = connection.window_shifts(&self.config);
        let timestamps = connection
            .has_timestamps(&self.config)
            .then_some((ts_val, echo));
        let window = connection.socket.receive.window() >> shift;
        let ack = Segment {
            window: u16::try_from(window).unwrap_or(u16::MAX),
            options: Options {
                timestamps,
                ..Options::default()
            },
            ..connection.segment(connection.known_snd_una(), Some(connection.known_rcv_nxt()))
        };
        self.send(&ack);
    }

    /// Keeps what the peer's SYN said and tells the NIC to open the flow.
    fn open_flow(&mut self, id: ConnectionId, syn: &Segment) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.peer = PeerSyn {
            irs: syn.seq,
            window: syn.window,
            // An offer has both flags, its acceptance ECE alone.
            ecn: syn.ece && syn.cwr == syn.ack.is_none(),
            options: syn.options,
        };
        connection.phase = Phase::Opening;
        let words = connection.open_words(&self.config, id);
        if self.config.congestion == CongestionControl::Dctcp {
            let segment = u32::from(words.mss);
            connection.congestion = Congestion::with_dctcp(segment, self.config.tx_ring);
        }
        let words = words.encode();
        let flow = connection.flow;
        self.set_deadline(id, Time::NEVER);
        self.driver.submit(Command {
            opcode: Opcode::Open,
            flow: flow.id,
            generation: flow.generation,
            words: Some(words),
        });
    }

    /// A connection with flow id and rings of its own.
    fn create(&mut self, key: FlowKey, role: Role, mac: Mac) -> Result<ConnectionId, NetError> {
        let flow = self.flows.allocate().ok_or(NetError::OutOfResources)?;
        let (rx_ring, tx_ring) = (self.config.rx_ring, self.config.tx_ring);
        let purpose = Purpose::ReceiveRing { flow: flow.id };
        let Ok(rx) = self
            .driver
            .dma
            .allocate(rx_ring.into(), Rights::Write, purpose)
        else {
            self.flows.release(flow);
            return Err(NetError::OutOfResources);
        };
        let purpose = Purpose::TransmitRing { flow: flow.id };
        let Ok(tx) = self
            .driver
            .dma
            .allocate(tx_ring.into(), Rights::Read, purpose)
        else {
            self.driver.dma.release(rx, rx_ring.into());
            self.flows.release(flow);
            return Err(NetError::OutOfResources);
        };
        let owner = match role {
            Role::Active => Owner::Application,
            Role::Passive => Owner::Listener,
        };
        let socket = Socket::new(
            ReceiveRing::new(rx, rx_ring.ilog2() as u8),
            TransmitRing::new(tx, tx_ring.ilog2() as u8),
            owner,
        );
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        let connection = Connection {
            key,
            flow,
            context: self.next_context,
            role,
            phase: Phase::Resolving,
            remote_mac: mac,
            offers: Offers::ALL,
            peer: PeerSyn::default(),
            iss: self.random.bits() as u32,
            ts_offset: self.random.bits() as u32,
            congestion: Congestion::default(),
            round_trip: RoundTrip::new(self.config.timers.retransmission),
            pacing: Pacing::default(),
            read_lost: false,
            syn_sent: None,
            syn_attempts: 0,
            deadline: Time::NEVER,
            scheduled: Time::NEVER,
            closed_first: false,
            owes_reset: false,
            timeout_pending: false,
            socket,
            opener: None,
        };
        self.next_context = self.next_context % self.config.contexts + 1;
        self.connections.insert(id, connection);
        self.by_key.insert(key, id);
        if let Some(entry) = self.by_flow.get_mut(usize::from(flow.id)) {
            *entry = Some(id);
        }
        Ok(id)
    }

    /// A key towards `to` with a local port that no connection uses.
    fn free_key(&mut self, to: SocketAddrV4) -> Option<FlowKey> {
        for _ in FIRST_EPHEMERAL_PORT..=u16::MAX {
            let local_port = self.next_port;
            self.next_port = local_port.checked_add(1).unwrap_or(FIRST_EPHEMERAL_PORT);
            let key = FlowKey {
                remote_ip: u32::from(*to.ip()),
                local_ip: u32::from(self.config.ip),
                remote_port: to.port(),
                local_port,
            };
            let known = self.by_key.contains_key(&key) || self.splices.holds(&key);
            if !known && !self.listeners.contains_key(&local_port) {
                return Some(key);
            }
        }
        None
    }
}
