//! What a host is: addresses, memory, contexts, rings, timers, processor.

use std::net::Ipv4Addr;

use hallux_channel::{Seed, Time};
use hallux_toe::interface::{context, register};

use crate::control::packet::Mac;
use crate::control::round_trip::TimeoutBounds;
use crate::cpu::CpuProfile;
use crate::driver::{CaptureModule, SpliceModule, TraceModule};

/// Smallest ring of a connection in bytes.
pub const SMALLEST_RING: u32 = 8 << 10;
/// Largest ring of a connection in bytes.
pub const LARGEST_RING: u32 = 16 << 20;

/// Timers of the control plane.
#[derive(Clone, Debug)]
pub struct Timers {
    /// Retransmission timeout of established connections.
    pub retransmission: TimeoutBounds,
    /// Timeouts in a row without progress after which a connection has failed.
    pub retransmissions: u32,
    /// Wait for the answer to the first SYN or SYN-ACK; doubled for each further one.
    pub syn: Time,
    /// SYNs or SYN-ACKs sent before giving up.
    pub syn_attempts: u32,
    /// How long a connection that was closed here first keeps its ports (2 MSL).
    pub time_wait: Time,
    /// How long a closed connection waits for the peer's FIN.
    pub fin_wait: Time,
}

/// What holds a connection's rate back, beside wire and peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CongestionControl {
    /// Nothing: marks and losses are counted only.
    #[default]
    None,
    /// A window by DCTCP (RFC 8257), from the marks that the peer echoes.
    Dctcp,
}

/// Configuration of a host with an offloading NIC. [`HostConfig::new`] fills in what a
/// data-centre scenario needs.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Name in the scenario.
    pub name: String,
    /// The scenario's seed; split by name.
    pub seed: Seed,
    /// Station address.
    pub mac: Mac,
    /// IPv4 address.
    pub ip: Ipv4Addr,
    /// Length of the network prefix, 0 to 32.
    pub prefix: u8,
    /// Next hop towards everything outside the prefix.
    pub gateway: Option<Ipv4Addr>,
    /// Neighbours that need no ARP.
    pub neighbours: Vec<(Ipv4Addr, Mac)>,
    /// Announce the own address at the start (gratuitous ARP).
    pub announce: bool,
    /// Bytes of memory; only touched pages cost anything.
    pub memory_bytes: u64,
    /// Time between a DMA read and its completion. The root complex's own latency is part
    /// of the device's PCIe model.
    pub memory_latency: Time,
    /// Contexts for applications.
    pub contexts: u8,
    /// log2 of the descriptors of a context's ring, 2 to 16.
    pub descriptor_log2: u8,
    /// log2 of the records of a context's ring, 4 to 16.
    pub record_log2: u8,
    /// Bytes of a connection's receive ring, a power of two.
    pub rx_ring: u32,
    /// Bytes of a connection's transmit ring, a power of two.
    pub tx_ring: u32,
    /// Largest IP packet in bytes.
    pub mtu: u16,
    /// Offer timestamps (RFC 7323).
    pub timestamps: bool,
    /// Offer window scaling (RFC 7323).
    pub window_scaling: bool,
    /// Offer and accept SACK (RFC 2018), where the NIC has something of it.
    pub sack: bool,
    /// Offer and accept ECN (RFC 3168); the NIC echoes each mark as DCTCP wants it (RFC 8257).
    pub ecn: bool,
    /// What holds connections back. DCTCP learns of marks where `ecn` is on, else of losses only.
    pub congestion: CongestionControl,
    /// The NIC acknowledges every second segment at once and the others with data or after
    /// its delay (RFC 1122 §4.2.3.2); otherwise every segment at once.
    pub delayed_acks: bool,
    /// Least time from one interrupt of a context to the next, up to 2 s; [`Time::ZERO`] for none.
    pub interrupt_interval: Time,
    /// Register writes before the NIC takes frames: offset in BAR 0 and value.
    pub registers: Vec<(u64, u64)>,
    /// Modules of the NIC that mirror frames to a ring.
    pub captures: Vec<CaptureModule>,
    /// The module of the NIC that splices connections.
    pub splice: Option<SpliceModule>,
    /// The module of the NIC that counts what happens to connections; each row is read when
    /// the NIC has closed the connection.
    pub trace: Option<TraceModule>,
    /// From one reading of the rows of all open connections to the next; [`Time::ZERO`] for
    /// none.
    pub trace_interval: Time,
    /// The NIC has a module that gives connections classes.
    pub classifies: bool,
    /// How long mirrored frames wait for each other before they are taken from their rings.
    pub capture_wait: Time,
    /// Timers of the control plane.
    pub timers: Timers,
    /// How long a context is polled after its last record before its interrupt is armed.
    pub poll_window: Time,
    /// Cost of software.
    pub cpu: CpuProfile,
    /// Cores.
    pub cores: usize,
}

impl HostConfig {
    /// A host of this name and address, with defaults for the rest.
    pub fn new(name: impl Into<String>, mac: Mac, ip: Ipv4Addr, seed: Seed) -> Self {
        Self {
            name: name.into(),
            seed,
            mac,
            ip,
            prefix: 24,
            gateway: None,
            neighbours: Vec::new(),
            announce: false,
            memory_bytes: 16 << 30,
            memory_latency: Time::ZERO,
            contexts: 1,
            descriptor_log2: 10,
            record_log2: 10,
            rx_ring: 1 << 20,
            tx_ring: 1 << 20,
            mtu: 1500,
            timestamps: true,
            window_scaling: true,
            sack: true,
            ecn: false,
            congestion: CongestionControl::None,
            delayed_acks: false,
            interrupt_interval: Time::ZERO,
            registers: Vec::new(),
            captures: Vec::new(),
            splice: None,
            trace: None,
            trace_interval: Time::ZERO,
            classifies: false,
            capture_wait: Time::from_us(10),
            timers: Timers {
                retransmission: TimeoutBounds {
                    initial: Time::from_ms(1),
                    min: Time::from_us(200),
                    max: Time::from_ms(100),
                },
                retransmissions: 12,
                syn: Time::from_ms(1),
                syn_attempts: 7,
                time_wait: Time::from_ms(1),
                fin_wait: Time::from_ms(100),
            },
            poll_window: Time::from_us(10),
            cpu: CpuProfile::flextoe(),
            cores: 1,
        }
    }

    /// Checks what the types leave open.
    ///
    /// # Errors
    ///
    /// The first value that no host can have.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let host = || self.name.clone();
        for (ring, bytes) in [("rx_ring", self.rx_ring), ("tx_ring", self.tx_ring)] {
            if !bytes.is_power_of_two() || !(SMALLEST_RING..=LARGEST_RING).contains(&bytes) {
                return Err(ConfigError::Ring {
                    host: host(),
                    ring,
                    bytes,
                });
            }
        }
        if self.prefix > 32 {
            return Err(ConfigError::Prefix {
                host: host(),
                prefix: self.prefix,
            });
        }
        // RFC 9293 §3.7.1 and the NIC's largest frame.
        if !(576..=1500).contains(&self.mtu) {
            return Err(ConfigError::Mtu {
                host: host(),
                mtu: self.mtu,
            });
        }
        if self.contexts == 0 {
            return Err(ConfigError::NoContext { host: host() });
        }
        Ok(())
    }

    /// Register writes before the NIC takes frames, those of the interrupts' interval included.
    pub(crate) fn registers_at_bring_up(&self) -> Vec<(u64, u64)> {
        let mut writes = self.registers.clone();
        if self.interrupt_interval > Time::ZERO {
            writes.extend((0..=u64::from(self.contexts)).map(|number| {
                let page = register::CONTEXT + number * register::CONTEXT_STRIDE;
                (
                    page + context::INTERRUPT_INTERVAL,
                    self.interrupt_interval.ns(),
                )
            }));
        }
        writes
    }

    /// The neighbour through which `ip` is reached; `None` if there is no route.
    pub(crate) fn next_hop(&self, ip: Ipv4Addr) -> Option<Ipv4Addr> {
        let mask = u32::MAX
            .checked_shl(32 - u32::from(self.prefix.min(32)))
            .unwrap_or(0);
        let same = (u32::from(ip) ^ u32::from(self.ip)) & mask == 0;
        if same && ip != self.ip {
            Some(ip)
        } else {
            self.gateway.filter(|_| !same)
        }
    }

    /// Shift of the windows we send: the smallest that lets the field cover the ring.
    pub(crate) fn window_shift(&self) -> u8 {
        // A ring of 2^16 bytes does not fit into 16 bits.
        (self.rx_ring.ilog2() as u8).saturating_sub(15)
    }
}

/// A host cannot be configured so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A ring has an impossible size.
    #[error(
        "host `{host}`: {ring} is {bytes} bytes; it must be a power of two from \
         {SMALLEST_RING} to {LARGEST_RING}"
    )]
    Ring {
        /// Name of the host.
        host: String,
        /// Key of the ring.
        ring: &'static str,
        /// Bytes configured.
        bytes: u32,
    },
    /// The prefix is longer than an address.
    #[error("host `{host}`: prefix is {prefix} bits long; an IPv4 address has 32")]
    Prefix {
        /// Name of the host.
        host: String,
        /// Length configured.
        prefix: u8,
    },
    /// The MTU is impossible.
    #[error("host `{host}`: mtu is {mtu} bytes; it must be from 576 to 1500")]
    Mtu {
        /// Name of the host.
        host: String,
        /// Bytes configured.
        mtu: u16,
    },
    /// Applications have no context.
    #[error("host `{host}`: contexts is 0; applications need at least one")]
    NoContext {
        /// Name of the host.
        host: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> HostConfig {
        HostConfig::new("h", [2, 0, 0, 0, 0, 1], Ipv4Addr::new(10, 0, 0, 1), Seed(1))
    }

    #[test]
    fn the_next_hop_is_the_neighbour_or_the_gateway() {
        let mut config = config();
        let near = Ipv4Addr::new(10, 0, 0, 9);
        let far = Ipv4Addr::new(10, 0, 1, 9);
        assert_eq!(config.next_hop(near), Some(near));
        assert_eq!(config.next_hop(far), None);
        config.gateway = Some(near);
        assert_eq!(config.next_hop(far), Some(near));
        assert_eq!(config.next_hop(config.ip), None, "there is no loopback");
        config.prefix = 0;
        assert_eq!(config.next_hop(far), Some(far));
    }

    #[test]
    fn impossible_values_are_refused() {
        assert_eq!(config().validate(), Ok(()));
        let odd = HostConfig {
            rx_ring: 100_000,
            ..config()
        };
        assert!(matches!(
            odd.validate(),
            Err(ConfigError::Ring {
                ring: "rx_ring",
                ..
            })
        ));
        let tiny = HostConfig {
            tx_ring: 4096,
            ..config()
        };
        assert!(matches!(
            tiny.validate(),
            Err(ConfigError::Ring {
                ring: "tx_ring",
                ..
            })
        ));
        assert!(
            HostConfig {
                mtu: 9000,
                ..config()
            }
            .validate()
            .is_err()
        );
        assert!(
            HostConfig {
                contexts: 0,
                ..config()
            }
            .validate()
            .is_err()
        );
    }

    #[test]
    fn the_window_field_covers_the_ring() {
        for log2 in 13..=24 {
            let config = HostConfig {
                rx_ring: 1 << log2,
                ..config()
            };
            assert!(config.rx_ring >> config.window_shift() <= 65_535);
        }
    }
}
