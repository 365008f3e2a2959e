//! The control plane: everything of TCP that is not the data path.
//!
//! It owns the driver and the table of connections. It opens and closes connections,
//! resolves addresses and runs the timers; payload never passes through it. What the NIC
//! reports and what sockets ask for come in as calls, and nothing in here waits: tasks of
//! the executor wait on wakers.
//!
//! ```text
//!   applications ── sockets ──┐ listen, connect, read, write, close
//!                             ▼
//!   frames, records ──► ControlPlane ──► commands, flow table, frames, descriptors
//!                             ▲
//!                      timers ┘
//! ```

mod arp;
mod config;
mod congestion;
mod connection;
mod dctcp;
mod flow_ids;
mod handshake;
mod listener;
mod pacing;
mod packet;
mod records;
#[cfg(test)]
mod robustness_tests;
mod round_trip;
mod splice;
mod teardown;
mod timers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::task::Waker;

use hallux_channel::{Random, Time};
use hallux_toe::interface::COUNTERS;

pub use arp::AddressTable;
pub use config::{ConfigError, CongestionControl, HostConfig, LARGEST_RING, SMALLEST_RING, Timers};
pub use congestion::{ALPHA_BITS, Congestion};
pub use connection::{Connection, ConnectionId, Offers, Phase, Role};
pub use dctcp::Dctcp;
pub use flow_ids::{Flow, FlowIds};
pub use listener::Listener;
pub use packet::{Arp, Mac, Options, Received, Segment, parse};
pub use records::Work;
pub use round_trip::{RoundTrip, TimeoutBounds};
pub use splice::SpliceError;

use crate::driver::{
    BringUpError, Driver, DriverConfig, FlowKey, MirroredFrame, Progress, TraceRow,
};
use crate::iommu::DmaMemory;
use crate::memory::{MEMORY_BASE, Memory};
use crate::sockets::ContextSignals;
use splice::Splices;

/// First port given to connections that this host opens (RFC 6335 §6).
const FIRST_EPHEMERAL_PORT: u16 = 49_152;

/// What happened in the control plane, for the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlCounts {
    /// Connections that this host opened.
    pub opened_actively: u64,
    /// Connections that peers opened.
    pub opened_passively: u64,
    /// Connections that ended in order.
    pub closed: u64,
    /// Connections that broke or were aborted.
    pub broken: u64,
    /// SYNs and SYN-ACKs sent again.
    pub syn_retransmissions: u64,
    /// SYNs dropped because a backlog or the connection state was full.
    pub syns_dropped: u64,
    /// Retransmission timeouts.
    pub timeouts: u64,
    /// Window probes.
    pub window_probes: u64,
    /// Fast retransmissions that the NIC reported.
    pub fast_retransmissions: u64,
    /// Connections given up because the NIC could not read what was to be sent.
    pub reads_lost: u64,
    /// Resets sent.
    pub resets_sent: u64,
    /// Resets taken.
    pub resets_received: u64,
    /// Frames of the slow path received.
    pub frames_received: u64,
    /// Frames of the slow path that nothing was done about.
    pub frames_ignored: u64,
    /// Records for flows that were closed meanwhile.
    pub stale_records: u64,
    /// Records that no correct NIC writes.
    pub malformed_records: u64,
    /// Bytes that peers acknowledged.
    pub bytes_acknowledged: u64,
    /// Of those, bytes acknowledged with ECN echo.
    pub bytes_marked: u64,
    /// Update records.
    pub update_records: u64,
    /// Update descriptors.
    pub update_descriptors: u64,
    /// Pairs of connections that were spliced.
    pub spliced: u64,
    /// Of those, pairs that have ended.
    pub splices_ended: u64,
    /// Segments of spliced connections that the control plane sent on.
    pub spliced_segments: u64,
    /// Update records, bytes received and bytes acknowledged by class.
    pub classes: [ClassCounts; 16],
}

/// What the connections of a class did, by the notifications that bear it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassCounts {
    /// Update records.
    pub records: u64,
    /// Bytes received from peers.
    pub bytes_received: u64,
    /// Bytes that peers acknowledged.
    pub bytes_acknowledged: u64,
}

/// Everything a host knows of its NIC and its connections.
#[derive(Debug)]
pub struct ControlPlane {
    pub(crate) config: HostConfig,
    /// The driver of the NIC.
    pub driver: Driver,
    /// What happened so far.
    pub counts: ControlCounts,
    pub(crate) signals: Vec<ContextSignals>,
    /// A module has mirrored frames.
    pub(crate) capture_signal: ContextSignals,
    /// Frames that were taken from the rings of such modules.
    pub(crate) mirrored: Vec<MirroredFrame>,
    /// Rows of tracepoints that were read, with the time at which they were there.
    pub(crate) traced: Vec<(Time, TraceRow)>,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    /// Connections of each context with something to tell the NIC.
    pub(crate) unsent: Vec<VecDeque<ConnectionId>>,
    ready: bool,
    ready_wakers: Vec<Waker>,
    nic_counters: Option<[u64; COUNTERS.len()]>,
    counter_wakers: Vec<Waker>,
    arp: AddressTable,
    flows: FlowIds,
    by_key: BTreeMap<FlowKey, ConnectionId>,
    by_flow: Vec<Option<ConnectionId>>,
    listeners: BTreeMap<u16, Listener>,
    splices: Splices,
    timers: BTreeSet<(Time, ConnectionId)>,
    /// Rings that the NIC may still read, where reads of a connection hung: base and bytes. They
    /// are nobody's until the NIC is reset.
    hanging: Vec<(u64, u64)>,
    random: Random,
    next_connection: u64,
    next_port: u16,
    next_context: u8,
}

impl ControlPlane {
    /// The control plane of a host whose NIC has been asked to identify itself.
    ///
    /// # Errors
    ///
    /// If the configuration is impossible.
    pub fn new(config: HostConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let memory = Memory::new(MEMORY_BASE, config.memory_bytes);
        let driver_config = DriverConfig {
            registers: config.registers_at_bring_up(),
            captures: config.captures.clone(),
            splice: config.splice,
            trace: config.trace,
            mac: config.mac,
            contexts: config.contexts,
            descriptor_log2: config.descriptor_log2,
            record_log2: config.record_log2,
        };
        let contexts = usize::from(config.contexts) + 1;
        Ok(Self {
            driver: Driver::new(driver_config, DmaMemory::new(memory)),
            counts: ControlCounts::default(),
            capture_signal: ContextSignals::default(),
            mirrored: Vec::new(),
            traced: Vec::new(),
            signals: (0..contexts).map(|_| ContextSignals::default()).collect(),
            connections: BTreeMap::new(),
            unsent: vec![VecDeque::new(); contexts],
            ready: false,
            ready_wakers: Vec::new(),
            nic_counters: None,
            counter_wakers: Vec::new(),
            arp: AddressTable::new(config.mac, config.ip, &config.neighbours),
            flows: FlowIds::default(),
            by_key: BTreeMap::new(),
            by_flow: Vec::new(),
            listeners: BTreeMap::new(),
            splices: Splices::default(),
            timers: BTreeSet::new(),
            hanging: Vec::new(),
            random: config
                .seed
                .stream(&format!("{}/control-plane", config.name)),
            next_connection: 0,
            next_port: FIRST_EPHEMERAL_PORT,
            next_context: 1,
            config,
        })
    }

    /// Takes the completion of a register read; true if the NIC became ready by it for the
    /// first time.
    ///
    /// # Errors
    ///
    /// If the NIC cannot be used.
    pub fn read_completed(&mut self, req_id: u64, data: &[u8]) -> Result<bool, BringUpError> {
        match self.driver.read_completed(req_id, data)? {
            Progress::Pending => Ok(false),
            Progress::Ready => {
                let first = self.by_flow.is_empty();
                self.start();
                Ok(first)
            }
            Progress::Counters(counters) => {
                self.nic_counters = Some(counters);
                self.counter_wakers.drain(..).for_each(Waker::wake);
                Ok(false)
            }
        }
    }

    /// True once the NIC is identified and enabled.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Wakes this task when the NIC is ready.
    pub(crate) fn await_ready(&mut self, waker: &Waker) {
        self.ready_wakers.push(waker.clone());
    }

    /// Starts reading the NIC's counters, and wakes this task when they are there.
    pub(crate) fn await_counters(&mut self, waker: &Waker) {
        self.driver.request_counters();
        self.counter_wakers.push(waker.clone());
    }

    /// The NIC's counters as read last, in the order of [`COUNTERS`].
    pub fn nic_counters(&self) -> Option<&[u64; COUNTERS.len()]> {
        self.nic_counters.as_ref()
    }

    /// What the records of a connection say about congestion; `None` once it is closed.
    pub fn congestion(&self, id: ConnectionId) -> Option<&Congestion> {
        self.connections
            .get(&id)
            .map(|connection| &connection.congestion)
    }

    /// Connections that are not closed.
    pub fn open_connections(&self) -> usize {
        self.by_key.len()
    }

    /// When a timer is next due; [`Time::NEVER`] without one.
    pub fn next_timer(&self) -> Time {
        let connection = self.timers.first().map_or(Time::NEVER, |&(at, _)| at);
        connection
            .min(self.arp.next_deadline())
            .min(self.splices.next_deadline())
    }

    /// The address of this end of a connection.
    pub(crate) fn local_address(key: &FlowKey) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from(key.local_ip), key.local_port)
    }

    /// The address of the other end of a connection.
    pub(crate) fn peer_address(key: &FlowKey) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from(key.remote_ip), key.remote_port)
    }

    fn start(&mut self) {
        let nic = self.driver.capabilities().copied();
        let connections = nic.map_or(0, |nic| nic.connections);
        self.config.sack &= nic.is_some_and(|nic| nic.sack);
        if self.by_flow.is_empty() {
            self.flows = FlowIds::new(connections);
            self.by_flow = vec![None; self.flows.free()];
        }
        self.forget_reset();
        // Rings are new: whoever serves them looks, and arms them.
        self.signals.iter_mut().for_each(ContextSignals::raise);
        if !self.counter_wakers.is_empty() {
            self.driver.request_counters();
        }
        self.ready = true;
        self.ready_wakers.drain(..).for_each(Waker::wake);
        if self.config.announce {
            self.driver.send_frame(self.arp.announcement());
        }
    }

    /// The NIC cannot be used until it is ready again.
    fn set_down(&mut self) {
        self.ready = false;
    }

    fn send(&mut self, segment: &Segment) {
        self.counts.resets_sent += u64::from(segment.rst);
        self.driver.send_frame(segment.build(self.config.mac));
    }

    fn learn(&mut self, now: Time, arp: &Arp) {
        if let Some(answer) = self.arp.receive(arp) {
            self.driver.send_frame(answer);
        }
        self.resolved(now, arp.sender_ip);
    }
}
