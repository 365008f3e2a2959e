//! The tables of a scenario file and what their keys are when not given.

use super::{App, HostRule};
use hallux_toe::units::{BitRate, ByteCount, Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The values of a scenario file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Name of the scenario and of its directory below `results/`.
    #[schemars(pattern(r"^[A-Za-z0-9_-]+$"))]
    pub name: String,
    /// Seed of all randomness.
    #[serde(default = "one")]
    pub seed: u64,
    /// A run ends at a multiple of this, strictly after its work is complete and
    /// everything on its way has arrived.
    #[schemars(extend("x-minimum" = "1ps"))]
    #[serde(default = "default_stop_quantum")]
    pub stop_quantum: Duration,
    /// A run whose work is not complete by then has failed.
    #[schemars(extend("x-minimum" = "1ps"))]
    #[serde(default = "default_max_time")]
    pub max_time: Duration,
    /// The NIC under test.
    pub nic: Nic,
    /// The PCIe link of every NIC.
    #[serde(default)]
    pub pcie: Pcie,
    /// The host behind every NIC.
    #[serde(default)]
    pub host: Host,
    /// The Ethernet link between the two ends.
    #[serde(default)]
    pub link: Link,
    /// The other end.
    #[serde(default)]
    pub peer: Peer,
    /// What lies between the ends.
    #[serde(default)]
    pub topology: Topology,
    /// A proxy in the server's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<super::Proxy>,
    /// When the client begins: until then the hosts bring their NICs up.
    #[serde(default = "default_start")]
    pub start: Duration,
    /// The work.
    #[schemars(with = "super::app::AppKeys")]
    pub app: App,
    /// For components, by name, the place they run at in modes that need one: those of
    /// one place run in one process.
    #[serde(default)]
    pub placement: BTreeMap<String, String>,
}

fn one() -> u64 {
    1
}
fn default_stop_quantum() -> Duration {
    Duration(10_000_000)
}
fn default_start() -> Duration {
    Duration(20_000_000)
}
fn default_max_time() -> Duration {
    Duration(10_000_000_000_000)
}

/// The NIC under test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nic {
    /// Design point, relative to the scenario file.
    pub design: PathBuf,
    /// Parameters that replace those of the design point's file.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    #[serde(default)]
    pub parameters: toml::Table,
    /// What stands for the NIC: its RTL, the behavioural model (no cycles, for bring-up),
    /// or no offload at all.
    #[serde(default)]
    pub model: NicModel,
}

/// What stands for the NIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NicModel {
    /// The generated RTL, Verilated.
    #[default]
    Rtl,
    /// The behavioural NIC on the reference TOE.
    Behavioural,
    /// No offload: the server's stack is smoltcp, on a plain port.
    Smoltcp,
}

impl NicModel {
    /// The word in a scenario.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rtl => "rtl",
            Self::Behavioural => "behavioural",
            Self::Smoltcp => "smoltcp",
        }
    }
}

/// The PCIe link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pcie {
    /// Generation, 1 to 5.
    #[schemars(range(min = 1, max = 5))]
    pub generation: u8,
    /// Lanes: 1, 2, 4, 8 or 16.
    #[schemars(extend("enum" = [1, 2, 4, 8, 16]))]
    pub lanes: u8,
    /// One-way delay of the link.
    #[schemars(extend("x-minimum" = "1ps"))]
    pub delay: Duration,
    /// Root complex latency of a read.
    pub root_latency: Duration,
    /// Largest addition to it, drawn evenly for each read.
    pub root_spread: Duration,
    /// A read that is not answered for so long is asked again: one of payload three times, then its
    /// connection is given up; one of descriptors or states fifteen times, then the run ends.
    #[schemars(extend("x-minimum" = "1ns"))]
    pub completion_timeout: Duration,
    /// Probability that the answer to a read of host memory is lost.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub lost_completions: f64,
}

impl Default for Pcie {
    fn default() -> Self {
        Self {
            generation: 4,
            lanes: 16,
            delay: Duration(100_000),
            root_latency: Duration(300_000),
            root_spread: Duration(40_000),
            completion_timeout: Duration(10_000_000_000),
            lost_completions: 0.0,
        }
    }
}

/// The host behind a NIC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// Receive and transmit ring of a connection, a power of two from 8KiB to 16MiB.
    #[schemars(extend("x-minimum" = "8KiB", "x-maximum" = "16MiB"))]
    pub ring: ByteCount,
    /// Contexts of the NIC for applications, fewer than the design point has: connections are
    /// dealt out to them in turn.
    #[schemars(range(min = 1, max = 31))]
    pub contexts: u8,
    /// Acknowledge every second segment at once, the others with data or after the design's
    /// `delayed_ack`; otherwise every segment at once.
    pub delayed_acks: bool,
    /// Offer and accept ECN.
    pub ecn: bool,
    /// What holds connections back beside wire and peer: `none`, or `dctcp`, a window by the
    /// marks that the peer echoes and by losses; marks need `ecn` of both ends.
    pub congestion: CongestionName,
    /// Offer and accept SACK, where the design point has something of it: several intervals out
    /// of order, or `recovery = "sack"`.
    pub sack: bool,
    /// Smallest retransmission timeout.
    #[schemars(extend("x-minimum" = "1ps"))]
    pub rto_min: Duration,
    /// Least time from one interrupt of a context to the next, up to 2s; 0ps for none.
    #[schemars(extend("x-maximum" = "2s"))]
    pub interrupt_interval: Duration,
    /// CPU cost profile: `free`, `flextoe`, `tas` or `linux`.
    pub cpu: CpuProfileName,
    /// Ring of each `capture` module of its NIC, a power of two from 4KiB to 1GiB.
    #[schemars(extend("x-minimum" = "4KiB", "x-maximum" = "1GiB"))]
    pub capture_ring: ByteCount,
    /// From one reading of the `trace` module's rows of all open connections to the next; 0ps
    /// reads each connection's once, when it has been closed.
    pub trace_interval: Duration,
    /// Rules that the driver writes into modules of its NIC.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<HostRule>,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            ring: ByteCount(1 << 20),
            capture_ring: ByteCount(1 << 20),
            trace_interval: Duration(0),
            contexts: 1,
            delayed_acks: false,
            ecn: false,
            congestion: CongestionName::None,
            sack: true,
            rto_min: Duration(200_000_000),
            interrupt_interval: Duration(0),
            cpu: CpuProfileName::Flextoe,
            rules: Vec::new(),
        }
    }
}

/// A named CPU cost profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CpuProfileName {
    /// Software costs nothing.
    Free,
    /// Cycles of FlexTOE's host library.
    Flextoe,
    /// Cycles of TAS.
    Tas,
    /// Cycles of the Linux stack.
    Linux,
}

/// A named congestion control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CongestionName {
    /// None: marks and losses are counted.
    None,
    /// DCTCP's window.
    Dctcp,
}

/// The Ethernet link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Link {
    /// Line rate; once the scenario is read, that of the design point where none is given.
    #[schemars(extend("x-minimum" = "1bps"))]
    pub rate: Option<BitRate>,
    /// One-way delay.
    #[schemars(extend("x-minimum" = "2ps"))]
    pub delay: Duration,
    /// Largest IP packet of either end, 576 to 1500 bytes.
    #[schemars(extend("x-minimum" = "576B", "x-maximum" = "1500B"))]
    pub mtu: ByteCount,
    /// Probability that a frame is lost, each direction.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub loss: f64,
    /// Probability that a frame is duplicated.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub duplicate: f64,
    /// Probability that a frame is held back by `reorder_delay`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub reorder: f64,
    /// How long a reordered frame is held back.
    pub reorder_delay: Duration,
    /// Probability that a frame is damaged before its FCS is checked, and so lost.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub corrupt: f64,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            rate: None,
            delay: Duration(1_000_000),
            mtu: ByteCount(1500),
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_delay: Duration(5_000_000),
            corrupt: 0.0,
        }
    }
}

/// What is at the other end of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PeerKind {
    /// A host on the smoltcp stack.
    Smoltcp,
    /// A host with an RTL NIC of the same design point.
    Toe,
}

/// The other end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Peer {
    /// What it is.
    pub kind: PeerKind,
    /// Socket buffer of a smoltcp connection, each way.
    #[schemars(extend("x-minimum" = "2KiB", "x-maximum" = "16MiB"))]
    pub buffer: ByteCount,
    /// How many there are; each does the work of one client.
    #[schemars(range(min = 1, max = MAX_PEERS))]
    pub count: u32,
    /// A smoltcp peer tags its frames with this VLAN, and takes no others (IEEE 802.1Q).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4094))]
    pub vlan: Option<u16>,
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            kind: PeerKind::Smoltcp,
            buffer: ByteCount(1 << 20),
            count: 1,
            vlan: None,
        }
    }
}

/// What lies between the ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Topology {
    /// Its shape.
    pub kind: TopologyKind,
    /// Bytes that the queues of the switch can hold together.
    #[schemars(extend("x-minimum" = "2KiB"))]
    pub buffer: ByteCount,
    /// Queue length from which on the switch marks ECN-capable packets.
    pub ecn_threshold: ByteCount,
    /// From the last bit into the switch to the earliest first bit out.
    pub forwarding_delay: Duration,
}

impl Default for Topology {
    fn default() -> Self {
        Self {
            kind: TopologyKind::Direct,
            buffer: ByteCount(4 << 20),
            ecn_threshold: ByteCount(100 << 10),
            forwarding_delay: Duration(300_000),
        }
    }
}

/// The shape of a topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TopologyKind {
    /// One wire between the server and its only peer.
    Direct,
    /// Every host on a port of one switch; impairments are those of the server's link.
    Star,
}

/// The most peers: their addresses share a /24 network with the server.
pub const MAX_PEERS: u32 = 200;
