//! Design points: the parameters of one NIC, read from TOML and validated.

use crate::channels::BUS_WIDTHS;
use crate::document::{Document, DocumentError};
use crate::modules::plan::{self, ModulePoint};
use crate::units::{BitRate, ByteCount, Duration, Frequency};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// How the protocol stage handles events of one flow that follow each other closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SameFlow {
    /// Forward the next state into the following clock: one event per clock on one flow.
    Forward1,
    /// Forward it one clock later: one event in two clocks on one flow.
    Forward2,
    /// Forward nothing: an event enters when no other of its flow is under way.
    Lock,
}

/// How a connection sends again what is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Recovery {
    /// Everything from SND.UNA on (go-back-N).
    Gbn,
    /// What the peer lacks, where it reports what it has (RFC 6675); otherwise as
    /// [`Gbn`](Self::Gbn), and always so behind a timeout.
    Sack,
}

/// How work goes through the stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pipeline {
    /// Every unit takes an item a clock.
    Pipelined,
    /// Identification, protocol and post are units that finish an item before they take
    /// the next, as a processor core would; the stages still work side by side.
    Serial,
    /// One event at a time in the whole NIC, its reads of host memory included.
    RunToCompletion,
}

/// The parameters of a NIC. Every size is a run-time value of the generator; only the bus
/// widths are fixed when the generator is compiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DesignPoint {
    /// Name: of the directory below `rtl/`, and in every header comment.
    #[schemars(pattern(r"^[a-z0-9-]+$"))]
    pub name: String,
    /// Clock of the data path.
    #[schemars(extend("x-minimum" = "1MHz", "x-maximum" = "2GHz"))]
    pub clock: Frequency,
    /// Data bus in bits: 256, 512 or 1024.
    #[schemars(extend("enum" = BUS_WIDTHS))]
    #[serde(default = "default_bus_bits")]
    pub bus_bits: u32,
    /// Rate of the Ethernet link that the NIC is made for: what scenarios and benchmarks
    /// take where they do not say another one. The RTL does not depend on it.
    #[schemars(extend("x-minimum" = "1Mbps", "x-maximum" = "1000Gbps"))]
    #[serde(default = "default_line_rate")]
    pub line_rate: BitRate,
    /// Connections, 16 to 65536.
    #[schemars(extend("enum" = powers_of_two(16, 65536)))]
    #[serde(default = "default_connections")]
    pub connections: u32,
    /// Connections whose TCP state is on chip, the others' being in host memory: a power of
    /// two, 64 to half of all; 0: all of them.
    #[schemars(extend("enum" = zero_or(powers_of_two(64, 32768))))]
    #[serde(default)]
    pub state_cache: u32,
    /// Ways of the state cache: 1, 2, 4 or 8.
    #[schemars(extend("enum" = powers_of_two(1, 8)))]
    #[serde(default = "default_state_cache_ways")]
    pub state_cache_ways: u32,
    /// Slots of each of the two wheels that keep connections' rates: 64, 128 or 256; 0: no rates.
    #[schemars(extend("enum" = zero_or(powers_of_two(64, 256))))]
    #[serde(default)]
    pub rate_wheel: u32,
    /// Contexts with the control plane's, 2 to 32.
    #[schemars(range(min = 2, max = 32))]
    #[serde(default = "default_contexts")]
    pub contexts: u32,
    /// Buckets of each of the two flow hash tables, a power of two; 0 chooses the
    /// smallest that keeps the load of 8 ways at most one half.
    #[schemars(extend("enum" = zero_or(powers_of_two(4, 32768))))]
    #[serde(default)]
    pub flow_table_buckets: u32,
    /// Frame buffer between the wire and payload write, 4 KiB to 512 KiB.
    #[schemars(extend("x-minimum" = "4KiB", "x-maximum" = "512KiB"))]
    #[serde(default = "default_frame_buffer")]
    pub frame_buffer: ByteCount,
    /// Payload reads in flight, 1 to 128.
    #[schemars(range(min = 1, max = 128))]
    #[serde(default = "default_read_tags")]
    pub read_tags: u32,
    /// Largest payload of a memory write: 128, 256 or 512 bytes (PCIe MPS).
    #[schemars(extend("enum" = powers_of_two(128, 512)))]
    #[serde(default = "default_max_payload")]
    pub max_payload: u32,
    /// Largest memory read request: 128 to 4096 bytes, a power of two (PCIe MRRS).
    #[schemars(extend("enum" = powers_of_two(128, 4096)))]
    #[serde(default = "default_max_read_request")]
    pub max_read_request: u32,
    /// Tickets that may be between sequencer and reorder, a power of two, 4 to 256.
    #[schemars(extend("enum" = powers_of_two(4, 256)))]
    #[serde(default = "default_reorder_depth")]
    pub reorder_depth: u32,
    /// Headers that may wait for the wire in ticket order, 16 to 1024.
    #[schemars(range(min = 16, max = 1024))]
    #[serde(default = "default_egress_depth")]
    pub egress_depth: u32,
    /// Descriptor reads in flight, 2 to 16.
    #[schemars(range(min = 2, max = 16))]
    #[serde(default = "default_descriptor_bursts")]
    pub descriptor_bursts: u32,
    /// Clocks that a record waits for its neighbour in the ring, so that both leave in one
    /// write, 0 to 15.
    #[schemars(range(max = 15))]
    #[serde(default = "default_record_wait")]
    pub record_wait: u32,
    /// Flow groups, each with its own protocol unit and event order: 1, 2, 4 or 8. The low
    /// bits of a flow id name its group.
    #[schemars(extend("enum" = powers_of_two(1, 8)))]
    #[serde(default = "one")]
    pub groups: u32,
    /// Identification units, and post units of each group: 1, 2, 4 or 8.
    #[schemars(extend("enum" = powers_of_two(1, 8)))]
    #[serde(default = "one")]
    pub replicas: u32,
    /// How work goes through the stages.
    #[serde(default = "default_pipeline")]
    pub pipeline: Pipeline,
    /// Longest wait of a delayed acknowledgement before its timer looks for it, 2us to 15ms;
    /// the acknowledgement leaves within twice this time. Which connections delay, the host
    /// says when it opens them.
    #[schemars(extend("x-minimum" = "2us", "x-maximum" = "15ms"))]
    #[serde(default = "default_delayed_ack")]
    pub delayed_ack: Duration,
    /// Intervals that a connection holds out of order: 0, 1, 2 or 4.
    #[schemars(extend("enum" = zero_or(powers_of_two(1, 4))))]
    #[serde(default = "one")]
    pub ooo_intervals: u32,
    /// How a connection sends again what is lost.
    #[serde(default = "default_recovery")]
    pub recovery: Recovery,
    /// Same-flow hazard handling.
    #[serde(default = "default_same_flow")]
    pub same_flow: SameFlow,
    /// Descriptors that wait for the protocol stage of their group and are added up by
    /// connection meanwhile: 4, 8 or 16; 0: each is an event of its own.
    #[schemars(extend("enum" = zero_or(powers_of_two(4, 16))))]
    #[serde(default, skip_serializing_if = "is_zero")]
    pub coalesce: u32,
    /// Descriptors of small sends may be pushed with their payload by posted writes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub push: bool,
    /// Extension modules, each in a slot of the data path; those of one slot follow each
    /// other in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<ModulePoint>,
}

/// What the schema allows: the powers of two from `low` to `high`.
fn powers_of_two(low: u32, high: u32) -> Vec<u32> {
    let powers = std::iter::successors(Some(low), |power| power.checked_mul(2));
    powers.take_while(|power| *power <= high).collect()
}

fn zero_or(mut values: Vec<u32>) -> Vec<u32> {
    values.insert(0, 0);
    values
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

fn default_bus_bits() -> u32 {
    512
}
fn default_line_rate() -> BitRate {
    BitRate(100_000_000_000)
}
fn default_connections() -> u32 {
    1024
}
fn default_state_cache_ways() -> u32 {
    4
}
fn default_contexts() -> u32 {
    8
}
fn default_frame_buffer() -> ByteCount {
    ByteCount(64 << 10)
}
fn default_read_tags() -> u32 {
    64
}
fn default_max_payload() -> u32 {
    256
}
fn default_max_read_request() -> u32 {
    512
}
fn default_reorder_depth() -> u32 {
    64
}
fn default_egress_depth() -> u32 {
    256
}
fn default_descriptor_bursts() -> u32 {
    16
}
fn default_record_wait() -> u32 {
    6
}
fn one() -> u32 {
    1
}
fn default_pipeline() -> Pipeline {
    Pipeline::Pipelined
}
fn default_delayed_ack() -> Duration {
    Duration(100_000_000)
}
fn default_recovery() -> Recovery {
    Recovery::Gbn
}
fn default_same_flow() -> SameFlow {
    SameFlow::Forward1
}

impl DesignPoint {
    /// Reads and validates a design point.
    ///
    /// # Errors
    /// The file is unreadable, a key is unknown, missing or of the wrong kind, or the
    /// point is impossible; with file, line and column.
    pub fn read(path: &Path) -> Result<Self, DocumentError> {
        Self::from_document(&Document::read(path)?)
    }

    /// Decodes and validates a document that may carry overrides.
    ///
    /// # Errors
    /// As [`DesignPoint::read`].
    pub fn from_document(document: &Document) -> Result<Self, DocumentError> {
        let mut point: Self = document.decode()?;
        if point.flow_table_buckets == 0 {
            point.flow_table_buckets = (point.connections / 4).next_power_of_two().max(4);
        }
        point.validate(document)?;
        Ok(point)
    }

    fn validate(&self, document: &Document) -> Result<(), DocumentError> {
        let check = |ok: bool, key: &str, message: String| {
            if ok {
                Ok(())
            } else {
                Err(document.error(key, format!("`{key}` {message}")))
            }
        };
        let word = |name: &str| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        check(
            word(&self.name),
            "name",
            format!(
                "must be lower-case letters, digits and dashes, not `{}`",
                self.name
            ),
        )?;
        check(
            (1_000_000..=2_000_000_000).contains(&self.clock.0),
            "clock",
            format!("must lie between 1MHz and 2GHz, not {}", self.clock),
        )?;
        check(
            BUS_WIDTHS.contains(&(self.bus_bits as usize)),
            "bus_bits",
            format!("must be 256, 512 or 1024, not {}", self.bus_bits),
        )?;
        check(
            (1_000_000..=1_000_000_000_000).contains(&self.line_rate.0),
            "line_rate",
            format!(
                "must lie between 1Mbps and 1000Gbps, not {}",
                self.line_rate
            ),
        )?;
        check(
            (16..=65536).contains(&self.connections) && self.connections.is_power_of_two(),
            "connections",
            format!(
                "must be a power of two from 16 to 65536, not {}",
                self.connections
            ),
        )?;
        self.validate_state_cache(&check)?;
        check(
            [0, 64, 128, 256].contains(&self.rate_wheel),
            "rate_wheel",
            format!("must be 0, 64, 128 or 256, not {}", self.rate_wheel),
        )?;
        check(
            (2..=32).contains(&self.contexts),
            "contexts",
            format!("must lie between 2 and 32, not {}", self.contexts),
        )?;
        check(
            self.flow_table_buckets.is_power_of_two()
                && (4..=32768).contains(&self.flow_table_buckets),
            "flow_table_buckets",
            format!(
                "must be a power of two from 4 to 32768, not {}",
                self.flow_table_buckets
            ),
        )?;
        let places = u64::from(self.flow_table_buckets) * 8;
        check(
            u64::from(self.connections) * 10 <= places * 9,
            "flow_table_buckets",
            format!(
                "of {} gives {places} places, too few for {} connections at 90 % load",
                self.flow_table_buckets, self.connections
            ),
        )?;
        check(
            self.frame_buffer.0.is_power_of_two()
                && (4 << 10..=512 << 10).contains(&self.frame_buffer.0),
            "frame_buffer",
            format!(
                "must be a power of two from 4KiB to 512KiB, not {}",
                self.frame_buffer
            ),
        )?;
        check(
            (1..=128).contains(&self.read_tags),
            "read_tags",
            format!("must lie between 1 and 128, not {}", self.read_tags),
        )?;
        check(
            [128, 256, 512].contains(&self.max_payload),
            "max_payload",
            format!("must be 128, 256 or 512, not {}", self.max_payload),
        )?;
        check(
            self.max_read_request.is_power_of_two()
                && (128..=4096).contains(&self.max_read_request),
            "max_read_request",
            format!(
                "must be a power of two from 128 to 4096, not {}",
                self.max_read_request
            ),
        )?;
        check(
            self.reorder_depth.is_power_of_two() && (4..=256).contains(&self.reorder_depth),
            "reorder_depth",
            format!(
                "must be a power of two from 4 to 256, not {}",
                self.reorder_depth
            ),
        )?;
        check(
            (16..=1024).contains(&self.egress_depth),
            "egress_depth",
            format!("must lie between 16 and 1024, not {}", self.egress_depth),
        )?;
        check(
            (2..=16).contains(&self.descriptor_bursts),
            "descriptor_bursts",
            format!("must lie between 2 and 16, not {}", self.descriptor_bursts),
        )?;
        check(
            (2_000_000..=15_000_000_000).contains(&self.delayed_ack.0),
            "delayed_ack",
            format!("must lie between 2us and 15ms, not {}", self.delayed_ack),
        )?;
        check(
            [0, 1, 2, 4].contains(&self.ooo_intervals),
            "ooo_intervals",
            format!("must be 0, 1, 2 or 4, not {}", self.ooo_intervals),
        )?;
        check(
            self.record_wait <= 15,
            "record_wait",
            format!("must lie between 0 and 15, not {}", self.record_wait),
        )?;
        check(
            [0, 4, 8, 16].contains(&self.coalesce),
            "coalesce",
            format!("must be 0, 4, 8 or 16, not {}", self.coalesce),
        )?;
        for (key, count) in [("groups", self.groups), ("replicas", self.replicas)] {
            check(
                [1, 2, 4, 8].contains(&count),
                key,
                format!("must be 1, 2, 4 or 8, not {count}"),
            )?;
            check(
                count == 1 || self.pipeline != Pipeline::RunToCompletion,
                key,
                format!("must be 1 where one event at a time is handled, not {count}"),
            )?;
        }
        check(
            self.connections >= 16 * self.groups,
            "groups",
            format!(
                "of {} leaves less than 16 of {} connections to each",
                self.groups, self.connections
            ),
        )?;
        check(
            self.groups == 1 || (self.read_tags.is_power_of_two() && self.read_tags >= self.groups),
            "read_tags",
            format!(
                "must be a power of two of at least {} to be divided among groups, not {}",
                self.groups, self.read_tags
            ),
        )?;
        check(
            self.groups == 1 || self.frame_buffer.0 >= 4096 * u64::from(self.groups),
            "frame_buffer",
            format!(
                "of {} is too small for {} groups",
                self.frame_buffer, self.groups
            ),
        )?;
        check(
            self.replicas == 1 || self.reorder_depth >= 32 * self.replicas,
            "reorder_depth",
            format!(
                "must be at least {} for {} replicas, not {}",
                32 * self.replicas,
                self.replicas,
                self.reorder_depth
            ),
        )?;
        plan::check(&self.modules).map_err(|error| document.error("modules", error.to_string()))
    }

    /// The wait of a delayed acknowledgement in ticks of 1.024 µs.
    pub fn delayed_ack_ticks(&self) -> u64 {
        self.delayed_ack.0 / 1_024_000
    }

    fn validate_state_cache(
        &self,
        check: &dyn Fn(bool, &str, String) -> Result<(), DocumentError>,
    ) -> Result<(), DocumentError> {
        check(
            [1, 2, 4, 8].contains(&self.state_cache_ways),
            "state_cache_ways",
            format!("must be 1, 2, 4 or 8, not {}", self.state_cache_ways),
        )?;
        if self.state_cache == 0 {
            return Ok(());
        }
        check(
            self.state_cache.is_power_of_two()
                && (64..=self.connections / 2).contains(&self.state_cache),
            "state_cache",
            format!(
                "must be a power of two from 64 to half of the {} connections, or 0 for all on chip, not {}",
                self.connections, self.state_cache
            ),
        )?;
        check(
            self.groups == 1 && self.pipeline == Pipeline::Pipelined,
            "state_cache",
            "is built for one pipelined flow group only".into(),
        )?;
        check(
            self.read_tags <= 64,
            "read_tags",
            format!(
                "must be at most 64 beside a state cache, whose reads have the tags from 64 on, not {}",
                self.read_tags
            ),
        )
    }

    /// Beats of the frame buffer.
    pub fn frame_buffer_beats(&self) -> usize {
        (self.frame_buffer.0 / u64::from(self.bus_bits / 8)) as usize
    }

    /// The parameters as the manifest lists them.
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let value = toml::Table::try_from(self).expect("a design point is a table");
        value
            .into_iter()
            .map(|(key, value)| match value {
                toml::Value::String(text) => (key, text),
                other => (key, other.to_string()),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DesignPoint, DocumentError> {
        DesignPoint::from_document(&Document::parse(Path::new("d.toml"), text.into())?)
    }

    #[test]
    fn defaults_make_a_whole_point() {
        let point = read("name = \"toe\"\nclock = \"250MHz\"\n").unwrap();
        assert_eq!(point.connections, 1024);
        assert_eq!(point.flow_table_buckets, 256);
        assert_eq!(point.frame_buffer_beats(), 1024);
        assert_eq!(point.parameters()["clock"], "250MHz");
    }

    #[test]
    fn impossible_points_are_refused_at_their_line() {
        let error = read("name = \"toe\"\nclock = \"250MHz\"\nconnections = 1000\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("d.toml:3:1: `connections` must be a power of two"),
            "{error}"
        );
        let error = read("name = \"toe\"\nclock = \"250MHz\"\nbus_bits = 128\n").unwrap_err();
        assert_eq!(error.key, "bus_bits");
        let error = read(
            "name = \"toe\"\nclock = \"250MHz\"\nconnections = 1024\nflow_table_buckets = 64\n",
        );
        assert!(error.unwrap_err().message.contains("too few"));
    }
}
