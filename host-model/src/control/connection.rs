//! A connection as the control plane sees it.

use std::task::Waker;

use hallux_channel::Time;
use hallux_toe::interface::OpenWords;

use crate::control::config::HostConfig;
use crate::control::congestion::Congestion;
use crate::control::flow_ids::Flow;
use crate::control::pacing::Pacing;
use crate::control::packet::{Mac, Options, Segment};
use crate::control::round_trip::RoundTrip;
use crate::driver::FlowKey;
use crate::sockets::Socket;

/// Names a connection for as long as the host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(pub(crate) u64);

/// The octets that IPv4 and TCP headers take without options.
const HEADERS: u16 = 40;
/// The octets of the timestamps option, padding included.
pub(super) const TIMESTAMPS: u16 = 12;
/// MSS of a peer that names none (RFC 9293 §3.7.1).
const DEFAULT_MSS: u16 = 536;

/// Where a connection stands. The NIC's own state begins with [`Phase::Opening`].
///
/// ```text
///  connect ─► Resolving ─► SynSent ─┐ SYN-ACK
///                                   ▼
///  SYN ───────────────────────► Opening ──► SynReceived ──► Established ─► TimeWait
///                                   │ OPEN done, active        ▲   │          │
///                                   └──────────────────────────┘   ▼          ▼
///                                                                 Closing ─► Closed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waits for the station address of the next hop.
    Resolving,
    /// A SYN was sent.
    SynSent,
    /// The NIC is told to open the flow.
    Opening,
    /// A SYN-ACK was sent.
    SynReceived,
    /// The NIC carries data, in one or both directions.
    Established,
    /// Both directions ended, ours first: the NIC still acknowledges the peer's FIN.
    TimeWait,
    /// The NIC is told to close the flow.
    Closing,
    /// The NIC knows nothing of it any more.
    Closed,
}

/// Who opened the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// This host.
    Active,
    /// The peer.
    Passive,
}

/// What the peer's SYN said.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeerSyn {
    /// Initial receive sequence number.
    pub irs: u32,
    /// Window, never scaled in a SYN.
    pub window: u16,
    /// It offers ECN or, a SYN-ACK, accepts it.
    pub ecn: bool,
    /// Options.
    pub options: Options,
}

/// What a connection may offer or accept, of what the host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offers {
    /// Timestamps.
    pub timestamps: bool,
    /// Window scaling.
    pub window_scaling: bool,
    /// SACK.
    pub sack: bool,
    /// ECN.
    pub ecn: bool,
}

impl Offers {
    /// Everything.
    pub const ALL: Self = Self {
        timestamps: true,
        window_scaling: true,
        sack: true,
        ecn: true,
    };
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    /// Addresses and ports.
    pub key: FlowKey,
    /// Its state in the NIC.
    pub flow: Flow,
    /// Context that is notified.
    pub context: u8,
    /// Who opened it.
    pub role: Role,
    /// Where it stands.
    pub phase: Phase,
    /// Station address of the next hop.
    pub remote_mac: Mac,
    /// What it offers or accepts.
    pub offers: Offers,
    /// What the peer's SYN said.
    pub peer: PeerSyn,
    /// Initial send sequence number.
    pub iss: u32,
    /// Offset of our timestamps.
    pub ts_offset: u32,
    /// What its records say about congestion.
    pub congestion: Congestion,
    /// Round trip and retransmission timeout.
    pub round_trip: RoundTrip,
    /// Its rate in the NIC.
    pub pacing: Pacing,
    /// The NIC was not answered when it read what was to be sent: other reads may still hang.
    pub read_lost: bool,
    /// When the first SYN or SYN-ACK was sent, if it was not repeated.
    pub syn_sent: Option<Time>,
    /// SYNs or SYN-ACKs sent.
    pub syn_attempts: u32,
    /// When something is due; what, follows from the phase.
    pub deadline: Time,
    /// The entry in the timer queue, at or before the deadline.
    pub scheduled: Time,
    /// Our FIN left before the peer's came.
    pub closed_first: bool,
    /// A reset is owed when the NIC has closed the flow.
    pub owes_reset: bool,
    /// The state was read because the retransmission timer expired.
    pub timeout_pending: bool,
    /// The application's part.
    pub socket: Socket,
    /// Waits for the connection to be established.
    pub opener: Option<Waker>,
}

impl Connection {
    /// Base and bytes of its rings.
    pub fn rings(&self) -> [(u64, u64); 2] {
        let (receive, transmit) = (&self.socket.receive, &self.socket.transmit);
        [
            (receive.base(), receive.size().into()),
            (transmit.base(), transmit.size().into()),
        ]
    }

    /// Both ends agreed on timestamps.
    pub fn has_timestamps(&self, config: &HostConfig) -> bool {
        config.timestamps && self.offers.timestamps && self.peer.options.timestamps.is_some()
    }

    /// Both ends agreed on SACK.
    pub fn has_sack(&self, config: &HostConfig) -> bool {
        config.sack && self.offers.sack && self.peer.options.sack_permitted
    }

    /// What both ends agreed on: another connection that offers just this is like it.
    pub fn agreed(&self, config: &HostConfig) -> Offers {
        Offers {
            timestamps: self.has_timestamps(config),
            window_scaling: self.offers.window_scaling && self.peer.options.window_scale.is_some(),
            sack: self.has_sack(config),
            ecn: self.has_ecn(config),
        }
    }

    /// Both ends agreed on ECN. A host that sent a SYN without the offer does not mark its data,
    /// whatever the answer says (RFC 3168 §6.1.1).
    pub fn has_ecn(&self, config: &HostConfig) -> bool {
        let offered = self.role == Role::Passive || self.syn_attempts <= 1;
        config.ecn && self.offers.ecn && self.peer.ecn && offered
    }

    /// ECE and CWR of our SYN or SYN-ACK. Only the first SYN offers ECN: a repeated one may
    /// have been lost for it (RFC 3168 §6.1.1.1).
    pub fn syn_ecn(&self, config: &HostConfig) -> (bool, bool) {
        match self.role {
            Role::Active => {
                let offers = config.ecn && self.offers.ecn && self.syn_attempts == 0;
                (offers, offers)
            }
            Role::Passive => (self.has_ecn(config), false),
        }
    }

    /// Shifts of windows received and sent; zero unless both ends offered scaling.
    pub fn window_shifts(&self, config: &HostConfig) -> (u8, u8) {
        match self.peer.options.window_scale {
            Some(shift) if config.window_scaling && self.offers.window_scaling => {
                (shift, config.window_shift())
            }
            _ => (0, 0),
        }
    }

    /// The options of our SYN or SYN-ACK. A SYN-ACK offers only what the SYN offered.
    pub fn syn_options(&self, config: &HostConfig, ts_val: u32) -> Options {
        let offered = |option: bool| self.role == Role::Active || option;
        let (own, peer) = (&self.offers, &self.peer.options);
        let echo = peer.timestamps.map_or(0, |(value, _)| value);
        Options {
            mss: Some(Self::own_mss(config)),
            window_scale: (config.window_scaling
                && own.window_scaling
                && offered(peer.window_scale.is_some()))
            .then(|| config.window_shift()),
            timestamps: (config.timestamps && own.timestamps && offered(peer.timestamps.is_some()))
                .then_some((ts_val, echo)),
            sack_permitted: config.sack && own.sack && offered(peer.sack_permitted),
        }
    }

    /// MSS that this host announces.
    pub fn own_mss(config: &HostConfig) -> u16 {
        config.mtu - HEADERS
    }

    /// MSS that the peer announced.
    pub fn peer_mss(&self) -> u16 {
        self.peer.options.mss.unwrap_or(DEFAULT_MSS)
    }

    /// A bare segment of the control plane, right behind the handshake.
    pub fn segment(&self, seq: u32, ack: Option<u32>) -> Segment {
        Segment::bare(self.remote_mac, self.key, seq, ack)
    }

    /// First sequence number after our SYN.
    pub fn first_seq(&self) -> u32 {
        self.iss.wrapping_add(1)
    }

    /// First sequence number after the peer's SYN.
    pub fn first_ack(&self) -> u32 {
        self.peer.irs.wrapping_add(1)
    }

    /// What the NIC is told to open the flow.
    pub fn open_words(&self, config: &HostConfig, id: ConnectionId) -> OpenWords {
        let timestamps = self.has_timestamps(config);
        let (send_shift, receive_shift) = self.window_shifts(config);
        // A peer that names an impossibly small MSS gets the smallest that IPv4 allows.
        let mss = self.peer_mss().clamp(64, Self::own_mss(config));
        OpenWords {
            context: self.context,
            timestamps,
            ecn: self.has_ecn(config),
            opening: self.role == Role::Passive,
            delayed_acks: config.delayed_acks,
            sack: self.has_sack(config),
            send_shift,
            receive_shift,
            mss: if timestamps { mss - TIMESTAMPS } else { mss },
            rx_log2: config.rx_ring.ilog2() as u8,
            tx_log2: config.tx_ring.ilog2() as u8,
            remote_mac: self.remote_mac,
            local_ip: self.key.local_ip,
            remote_ip: self.key.remote_ip,
            local_port: self.key.local_port,
            remote_port: self.key.remote_port,
            ts_offset: self.ts_offset,
            snd_nxt: self.first_seq(),
            rcv_nxt: self.first_ack(),
            window: u32::from(self.peer.window),
            ts_recent: self.peer.options.timestamps.map_or(0, |(value, _)| value),
            rx_base: self.socket.receive.base(),
            tx_base: self.socket.transmit.base(),
            opaque: id.0,
        }
    }

    /// SND.UNA as far as records told; the NIC may be ahead.
    pub fn known_snd_una(&self) -> u32 {
        self.first_seq()
            .wrapping_add(self.socket.transmit.acknowledged())
    }

    /// RCV.NXT as far as records told; the NIC may be ahead.
    pub fn known_rcv_nxt(&self) -> u32 {
        self.first_ack()
            .wrapping_add(self.socket.receive.announced())
            .wrapping_add(u32::from(self.socket.peer_finished))
    }

    /// Holds what is released to the NIC to the congestion window.
    pub(crate) fn limit_release(&mut self) {
        if let Some(limit) = self.congestion.limit() {
            let transmit = &mut self.socket.transmit;
            transmit.limit(limit.window(), limit.segment());
        }
    }

    /// Wakes the task that waits for the connection to be established.
    pub fn wake_opener(&mut self) {
        if let Some(waker) = self.opener.take() {
            waker.wake();
        }
    }
}
