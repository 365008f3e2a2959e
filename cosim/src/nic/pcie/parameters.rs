//! What the link and the root complex are like.

use super::tlp::{self, Generation};
use hallux_channel::{Probability, Time};

/// The link and the root complex. The default is the contracts' PCIe Gen4 x16.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkParameters {
    /// Transfer rate and encoding.
    pub generation: Generation,
    /// Number of lanes.
    pub lanes: u8,
    /// Share of the link, in thousandths, that acknowledgements, credit updates and skip
    /// ordered sets leave to transactions.
    pub efficiency_permille: u16,
    /// Maximum payload of a write and of a completion, in bytes.
    pub max_payload: u64,
    /// Maximum read request, in bytes.
    pub max_read_request: u64,
    /// Read completion boundary, in bytes.
    pub completion_boundary: u64,
    /// Read tags, at most 256.
    pub tags: u16,
    /// From the arrival of a read at the host to its first completion.
    pub root_latency: Time,
    /// Each read takes up to this much longer, drawn evenly.
    pub root_spread: Time,
    /// Successive completions of a read are up to this much apart, drawn evenly, so that
    /// completions of different reads interleave.
    pub completion_spread: Time,
    /// Headers of posted requests that the root complex buffers.
    pub posted_headers: u32,
    /// Data of posted requests that it buffers, in units of 16 bytes.
    pub posted_data: u32,
    /// Headers of non-posted requests that it buffers.
    pub non_posted_headers: u32,
    /// From the last symbol of a request to the return of its credit.
    pub credit_return: Time,
    /// Bytes that the device buffers before its queue is held up.
    pub upstream_buffer: u64,
    /// A read that is not answered for so long is asked again.
    pub completion_timeout: Time,
    /// How often a read of payload is asked again; then it is given up, and its connection with it.
    pub completion_retries: u32,
    /// How often another read is, which more than one connection hangs on; then the link gives up.
    pub vital_retries: u32,
    /// Probability that the answer to a read is lost on its way to the NIC.
    pub lost_completions: Probability,
}

impl Default for LinkParameters {
    fn default() -> Self {
        Self {
            generation: Generation::Gen4,
            lanes: 16,
            efficiency_permille: 970,
            max_payload: 256,
            max_read_request: 512,
            completion_boundary: 64,
            tags: 256,
            root_latency: Time::from_ns(300),
            root_spread: Time::from_ns(60),
            completion_spread: Time::from_ns(10),
            posted_headers: 256,
            posted_data: 4096,
            non_posted_headers: 256,
            credit_return: Time::from_ns(250),
            upstream_buffer: 2048,
            completion_timeout: Time::from_ms(10),
            completion_retries: 3,
            vital_retries: 15,
            lost_completions: Probability::ZERO,
        }
    }
}

/// Parameters that no link can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PCIe {parameter} = {value} is impossible; {remedy}")]
pub struct ParameterError {
    /// Name of the parameter.
    pub parameter: &'static str,
    /// Its value.
    pub value: u64,
    /// What would be possible.
    pub remedy: &'static str,
}

impl LinkParameters {
    /// Time of `bytes` on the wire.
    pub fn wire_time(&self, bytes: u64) -> Time {
        tlp::wire_time(
            self.generation,
            self.lanes,
            u64::from(self.efficiency_permille),
            bytes,
        )
    }

    /// Checks ranges (PCIe 4.0 §7.5.3: sizes are powers of two from 128 to 4096).
    ///
    /// # Errors
    /// The first parameter that no link can have.
    pub fn validate(&self) -> Result<(), ParameterError> {
        let size = |bytes: u64| bytes.is_power_of_two() && (128..=4096).contains(&bytes);
        let powers = "a power of two from 128 to 4096 is";
        let payload_units = tlp::data_credits(0, self.max_payload);
        let checks = [
            (
                "lanes",
                u64::from(self.lanes),
                matches!(self.lanes, 1 | 2 | 4 | 8 | 16),
                "1, 2, 4, 8 or 16 is",
            ),
            (
                "efficiency_permille",
                u64::from(self.efficiency_permille),
                (1..=1000).contains(&self.efficiency_permille),
                "1 to 1000 is",
            ),
            (
                "max_payload",
                self.max_payload,
                size(self.max_payload),
                powers,
            ),
            (
                "max_read_request",
                self.max_read_request,
                size(self.max_read_request),
                powers,
            ),
            (
                "completion_boundary",
                self.completion_boundary,
                matches!(self.completion_boundary, 64 | 128)
                    && self.completion_boundary <= self.max_payload,
                "64 or 128 is",
            ),
            (
                "tags",
                u64::from(self.tags),
                (1..=256).contains(&self.tags),
                "1 to 256 is",
            ),
            (
                "posted_headers",
                u64::from(self.posted_headers),
                self.posted_headers > 0,
                "at least 1 is needed",
            ),
            (
                "posted_data",
                u64::from(self.posted_data),
                self.posted_data >= payload_units,
                "at least one maximum payload (in units of 16 bytes) is needed",
            ),
            (
                "completion_timeout",
                self.completion_timeout.ns(),
                self.completion_timeout > Time::ZERO,
                "more than zero is",
            ),
            (
                "non_posted_headers",
                u64::from(self.non_posted_headers),
                self.non_posted_headers > 0,
                "at least 1 is needed",
            ),
        ];
        match checks.into_iter().find(|check| !check.2) {
            Some((parameter, value, _, remedy)) => Err(ParameterError {
                parameter,
                value,
                remedy,
            }),
            None => Ok(()),
        }
    }
}
