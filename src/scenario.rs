//! Scenarios: what is connected to what, which work it does, read from TOML.

use hallux_toe::design::DesignPoint;
use hallux_toe::document::{Document, DocumentError, Place};
use hallux_toe::units::{BitRate, ByteCount, Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

mod rules;

pub use rules::HostRule;

/// A scenario, with the design point it names.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The scenario file's values, overrides applied.
    pub settings: Settings,
    /// The design point of every RTL NIC.
    pub design: DesignPoint,
    /// Directory served by the HTTP application, resolved; empty for other applications.
    pub root: PathBuf,
    /// Writes of the drivers to the modules of their NICs: offset in BAR 0 and value.
    pub registers: Vec<(u64, u64)>,
}

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
    /// When the client begins: until then the hosts bring their NICs up.
    #[serde(default = "default_start")]
    pub start: Duration,
    /// The work.
    #[schemars(with = "AppKeys")]
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
}

impl Default for Pcie {
    fn default() -> Self {
        Self {
            generation: 4,
            lanes: 16,
            delay: Duration(100_000),
            root_latency: Duration(300_000),
            root_spread: Duration(40_000),
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
    /// Acknowledge every second segment at once, the others with data or after the design's
    /// `delayed_ack`; otherwise every segment at once.
    pub delayed_acks: bool,
    /// Offer and accept ECN.
    pub ecn: bool,
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
    /// Rules that the driver writes into modules of its NIC.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<HostRule>,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            ring: ByteCount(1 << 20),
            capture_ring: ByteCount(1 << 20),
            delayed_acks: false,
            ecn: false,
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

/// One value, or a list of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "write one size such as \"64B\", or a list of sizes"
)]
pub enum OneOrMore<T> {
    /// One value.
    One(T),
    /// Several.
    More(Vec<T>),
}

impl<T> OneOrMore<T> {
    /// The values.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::More(values) => values,
        }
    }
}

/// The work of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", try_from = "AppKeys")]
pub enum App {
    /// The host serves the files of a directory over HTTP/1.1; the peer downloads every
    /// file and compares SHA-256 digests.
    Http {
        /// Directory, relative to the scenario file (to the working directory in an override).
        root: PathBuf,
        /// Connections of the client.
        connections: u32,
        /// TCP port.
        port: u16,
        /// Times every file is downloaded.
        rounds: u32,
    },
    /// Closed-loop request and response, contents verified at both ends.
    Rpc {
        /// Connections.
        connections: u32,
        /// Requests on each connection.
        requests: u32,
        /// Bytes of a request and of its answer: one size, or several taken in turn.
        size: OneOrMore<ByteCount>,
        /// TCP port.
        port: u16,
        /// From an answer to the next request of the connection.
        think_time: Duration,
    },
}

/// The keys of all applications in one structure, since a mistake inside a tagged
/// enumeration would lose its key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AppKeys {
    /// What is done.
    kind: AppKind,
    /// Connections of the client; http: 4 if not given.
    #[schemars(range(min = 1))]
    connections: Option<u32>,
    /// TCP port of the server; http: 80 if not given, rpc: 7.
    #[schemars(range(min = 1))]
    port: Option<u16>,
    /// http: directory that is served, relative to the scenario file.
    root: Option<PathBuf>,
    /// http: times every file is downloaded; 1 if not given.
    #[schemars(range(min = 1))]
    rounds: Option<u32>,
    /// rpc: requests on each connection, one at a time.
    #[schemars(range(min = 1))]
    requests: Option<u32>,
    /// rpc: bytes of a request and of its answer, 4B to 16MiB; a list is taken in turn.
    #[schemars(extend("x-minimum" = "4B", "x-maximum" = "16MiB"))]
    size: Option<OneOrMore<ByteCount>>,
    /// rpc: from an answer to the next request of the connection; 0s if not given.
    think_time: Option<Duration>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum AppKind {
    /// The host serves the files of a directory over HTTP/1.1.
    Http,
    /// Closed-loop request and response.
    Rpc,
}

impl TryFrom<AppKeys> for App {
    type Error = String;

    /// Sentences as serde's own, which documents know how to locate.
    fn try_from(keys: AppKeys) -> Result<Self, String> {
        fn need<T>(value: Option<T>, key: &str) -> Result<T, String> {
            value.ok_or_else(|| format!("missing field `{key}`"))
        }
        let refuse = |given: bool, key: &str, known: &str| match given {
            true => Err(format!("unknown field `{key}`, expected one of {known}")),
            false => Ok(()),
        };
        match keys.kind {
            AppKind::Http => {
                let known = "`kind`, `root`, `connections`, `port`, `rounds`";
                refuse(keys.requests.is_some(), "requests", known)?;
                refuse(keys.size.is_some(), "size", known)?;
                refuse(keys.think_time.is_some(), "think_time", known)?;
                Ok(Self::Http {
                    root: need(keys.root, "root")?,
                    connections: keys.connections.unwrap_or(4),
                    port: keys.port.unwrap_or(80),
                    rounds: keys.rounds.unwrap_or(1),
                })
            }
            AppKind::Rpc => {
                let known = "`kind`, `connections`, `port`, `requests`, `size`, `think_time`";
                refuse(keys.root.is_some(), "root", known)?;
                refuse(keys.rounds.is_some(), "rounds", known)?;
                Ok(Self::Rpc {
                    connections: need(keys.connections, "connections")?,
                    requests: need(keys.requests, "requests")?,
                    size: need(keys.size, "size")?,
                    port: keys.port.unwrap_or(7),
                    think_time: keys.think_time.unwrap_or(Duration(0)),
                })
            }
        }
    }
}

impl Scenario {
    /// Reads a scenario, applies `overrides` (`KEY=VALUE`), validates it and reads its design point.
    ///
    /// # Errors
    /// Any file is unreadable, or a key or value is wrong: with file, line and column.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, DocumentError> {
        let mut document = Document::read(path)?;
        for assignment in overrides {
            document.set(assignment)?;
        }
        let mut settings: Settings = document.decode()?;
        settings.validate(&document)?;
        let here = path.parent().unwrap_or(Path::new("."));
        let based = |key: &str, file: &Path| {
            if document.is_overridden(key) {
                file.to_path_buf()
            } else {
                here.join(file)
            }
        };
        let mut design = Document::read(&based("nic.design", &settings.nic.design))?;
        // A mistake in a parameter is shown where the parameter stands: in the scenario.
        let at_parameter = |key: &str, error: DocumentError| {
            document.error(&format!("nic.parameters.{key}"), error.message)
        };
        for (key, value) in &settings.nic.parameters {
            design
                .set(&format!("{key}={value}"))
                .map_err(|error| at_parameter(key, error))?;
        }
        let design = DesignPoint::from_document(&design).map_err(|error| match &error.place {
            Place::Override(_) => at_parameter(&error.key.clone(), error),
            Place::File(..) => error,
        })?;
        let root = match &settings.app {
            App::Http { root, .. } => based("app.root", root),
            App::Rpc { .. } => PathBuf::new(),
        };
        if settings.nic.model == NicModel::Behavioural && !design.modules.is_empty() {
            let message = "the behavioural NIC has no extension modules, but the design point \
                           lists some; set nic.model = \"rtl\"";
            return Err(document.error("nic.model", message));
        }
        let registers = rules::writes(&settings.host.rules, &design.modules)
            .map_err(|message| document.error("host.rules", message))?;
        settings.link.rate.get_or_insert(design.line_rate);
        Ok(Self {
            settings,
            design,
            root,
            registers,
        })
    }

    /// Line rate of the links.
    pub fn line_rate(&self) -> BitRate {
        self.settings.link.rate.unwrap_or(self.design.line_rate)
    }
}

impl Settings {
    /// Whether any NIC is RTL.
    pub fn has_rtl(&self) -> bool {
        match self.nic.model {
            NicModel::Rtl => true,
            NicModel::Behavioural => false,
            NicModel::Smoltcp => self.peer.kind == PeerKind::Toe,
        }
    }

    pub(crate) fn validate(&self, document: &Document) -> Result<(), DocumentError> {
        let check = |ok: bool, key: &str, message: String| {
            if ok {
                Ok(())
            } else {
                Err(document.error(key, format!("`{key}` {message}")))
            }
        };
        check(
            !self.name.is_empty()
                && self
                    .name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'),
            "name",
            format!(
                "names a directory: letters, digits, `-` and `_` only, not `{}`",
                self.name
            ),
        )?;
        for (key, value) in [
            ("link.loss", self.link.loss),
            ("link.duplicate", self.link.duplicate),
            ("link.reorder", self.link.reorder),
            ("link.corrupt", self.link.corrupt),
        ] {
            let ok = (0.0..=1.0).contains(&value);
            check(
                ok,
                key,
                format!("is a probability from 0 to 1, not {value}"),
            )?;
        }
        for (key, value) in [
            ("stop_quantum", self.stop_quantum.0),
            ("max_time", self.max_time.0),
            ("link.rate", self.link.rate.map_or(1, |rate| rate.0)),
            ("host.rto_min", self.host.rto_min.0),
        ] {
            check(value > 0, key, "must be greater than zero".into())?;
        }
        check(
            self.link.delay.0 >= 2,
            "link.delay",
            "must be at least 2ps: a link without delay gives no lookahead".into(),
        )?;
        check(
            (576..=1500).contains(&self.link.mtu.0),
            "link.mtu",
            format!("must lie between 576 and 1500 bytes, not {}", self.link.mtu),
        )?;
        check(
            self.pcie.delay.0 > 0,
            "pcie.delay",
            "must be greater than zero: a link without delay gives no lookahead".into(),
        )?;
        check(
            self.host.interrupt_interval.0 <= 2_000_000_000_000,
            "host.interrupt_interval",
            format!("must be at most 2s, not {}", self.host.interrupt_interval),
        )?;
        check(
            self.host.ring.0.is_power_of_two() && (8 << 10..=16 << 20).contains(&self.host.ring.0),
            "host.ring",
            format!(
                "must be a power of two from 8KiB to 16MiB, not {}",
                self.host.ring
            ),
        )?;
        check(
            self.host.capture_ring.0.is_power_of_two()
                && (4 << 10..=1 << 30).contains(&self.host.capture_ring.0),
            "host.capture_ring",
            format!(
                "must be a power of two from 4KiB to 1GiB, not {}",
                self.host.capture_ring
            ),
        )?;
        check(
            (2 << 10..=16 << 20).contains(&self.peer.buffer.0),
            "peer.buffer",
            format!("must lie between 2KiB and 16MiB, not {}", self.peer.buffer),
        )?;
        check(
            (1..=MAX_PEERS).contains(&self.peer.count),
            "peer.count",
            format!(
                "must lie between 1 and {MAX_PEERS}, not {}",
                self.peer.count
            ),
        )?;
        check(
            self.peer.count == 1 || self.topology.kind == TopologyKind::Star,
            "peer.count",
            format!(
                "is {}, but a direct link has room for one peer; set topology.kind = \"star\"",
                self.peer.count
            ),
        )?;
        check(
            self.peer.vlan.is_none_or(|vlan| (1..=4094).contains(&vlan)),
            "peer.vlan",
            "must lie between 1 and 4094".into(),
        )?;
        check(
            self.topology.buffer.0 >= 2 << 10,
            "topology.buffer",
            format!(
                "must be at least 2KiB, room for one frame, not {}",
                self.topology.buffer
            ),
        )?;
        check(
            (1..=5).contains(&self.pcie.generation),
            "pcie.generation",
            format!("must lie between 1 and 5, not {}", self.pcie.generation),
        )?;
        check(
            [1, 2, 4, 8, 16].contains(&self.pcie.lanes),
            "pcie.lanes",
            format!("must be 1, 2, 4, 8 or 16, not {}", self.pcie.lanes),
        )?;
        match &self.app {
            App::Http {
                connections,
                rounds,
                port,
                ..
            } => {
                check(
                    *connections > 0,
                    "app.connections",
                    "must be at least 1".into(),
                )?;
                check(*rounds > 0, "app.rounds", "must be at least 1".into())?;
                check(*port > 0, "app.port", "must be at least 1".into())
            }
            App::Rpc {
                connections,
                requests,
                size,
                port,
                ..
            } => {
                check(
                    *connections > 0,
                    "app.connections",
                    "must be at least 1".into(),
                )?;
                check(*requests > 0, "app.requests", "must be at least 1".into())?;
                check(
                    !size.as_slice().is_empty(),
                    "app.size",
                    "names no size".into(),
                )?;
                for size in size.as_slice() {
                    let ok = (4..=16 << 20).contains(&size.0);
                    check(
                        ok,
                        "app.size",
                        format!("must lie between 4B and 16MiB, not {size}"),
                    )?;
                }
                check(*port > 0, "app.port", "must be at least 1".into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const DOCUMENT: &str = include_str!("../docs/scenarios.md");

    fn keys(prefix: &str, table: &toml::Table, into: &mut BTreeSet<String>) {
        for (key, value) in table {
            let full = format!("{prefix}{key}");
            match value {
                toml::Value::Table(inner) if !inner.is_empty() => {
                    keys(&format!("{full}."), inner, into);
                }
                toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
                    for item in items.iter().filter_map(toml::Value::as_table) {
                        keys(&format!("{full}[]."), item, into);
                    }
                }
                _ => {
                    into.insert(full);
                }
            }
        }
    }

    /// The first column of the tables below the heading `heading`.
    fn documented(heading: &str) -> BTreeSet<String> {
        let section = DOCUMENT
            .split("\n# ")
            .find(|part| part.contains(heading))
            .unwrap();
        section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(key, _)| key.to_owned())
            .collect()
    }

    fn settings(app: &str) -> Settings {
        let text = format!(
            "name = \"s\"\n[nic]\ndesign = \"d.toml\"\n[link]\nrate = \"100Gbps\"\n[peer]\nvlan = 100\n\
             [host]\nrules = [{{ module = 0, action = \"drop\", default = false, source = \"10.0.0.1\", \
             destination = \"10.0.0.2\", source_port = 1, destination_port = 2, \
             protocol = 6 }}]\n[app]\n{app}"
        );
        Document::parse(Path::new("s.toml"), text)
            .unwrap()
            .decode()
            .unwrap()
    }

    #[test]
    fn every_key_is_documented_and_every_documented_key_exists() {
        let mut known = BTreeSet::new();
        for app in [
            "kind = \"http\"\nroot = \"www\"",
            "kind = \"rpc\"\nconnections = 1\nrequests = 1\nsize = \"64B\"",
        ] {
            keys(
                "",
                &toml::Table::try_from(settings(app)).unwrap(),
                &mut known,
            );
        }
        assert_eq!(documented("Scenarios"), known);
        let design = "name = \"d\"\nclock = \"250MHz\"\npush = true\n\
                      modules = [{ slot = \"egress\", kind = \"vlan\", vlan = 1 }, \
                      { slot = \"egress\", kind = \"firewall\", rules = 1 }, \
                      { slot = \"ingress\", kind = \"capture\", snap = 64 }, \
                      { slot = \"ingress\", kind = \"splice\", places = 8 }]\n";
        let design = Document::parse(Path::new("d.toml"), design.into()).unwrap();
        let point = DesignPoint::from_document(&design).unwrap();
        let mut known = BTreeSet::new();
        keys("", &toml::Table::try_from(point).unwrap(), &mut known);
        assert_eq!(documented("Design points"), known);
    }

    #[test]
    fn the_documented_defaults_are_the_defaults() {
        let table = toml::Table::try_from(settings("kind = \"http\"\nroot = \"www\"")).unwrap();
        for line in DOCUMENT.lines() {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, key, default, ..] = cells[..] else {
                continue;
            };
            let Some((section, name)) = key.trim_matches('`').split_once('.') else {
                continue;
            };
            let Some(default) = default.strip_prefix('`').and_then(|d| d.strip_suffix('`')) else {
                continue;
            };
            let documented = format!("v = {default}").parse::<toml::Table>().unwrap();
            assert_eq!(
                table[section][name].to_string(),
                documented["v"].to_string(),
                "{key}"
            );
        }
    }
}
