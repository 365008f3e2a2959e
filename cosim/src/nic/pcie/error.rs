//! Broken rules of the link.

use hallux_channel::Time;

/// The NIC or the host broke a rule of the link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A request is empty or larger than negotiated.
    #[error("{kind} of {bytes} bytes at {address:#x} on port `up`; allowed are 1 to {limit} bytes")]
    Size {
        /// Kind of the request.
        kind: &'static str,
        /// Bus address.
        address: u64,
        /// Its bytes.
        bytes: u64,
        /// Maximum payload or maximum read request.
        limit: u64,
    },
    /// A request crosses a 4 KiB boundary.
    #[error(
        "{kind} of {bytes} bytes at {address:#x} on port `up` crosses a 4 KiB boundary; it must be split there"
    )]
    Page {
        /// Kind of the request.
        kind: &'static str,
        /// Bus address.
        address: u64,
        /// Its bytes.
        bytes: u64,
    },
    /// A beat belongs to another request than the one that is open.
    #[error(
        "{kind} at {address:#x} on port `up` begins inside the beats of a {open_kind} at {open_address:#x}"
    )]
    Interleaved {
        /// Kind of the new request.
        kind: &'static str,
        /// Its bus address.
        address: u64,
        /// Kind of the open request.
        open_kind: &'static str,
        /// Its bus address.
        open_address: u64,
    },
    /// `last` stands on the wrong beat.
    #[error(
        "{kind} of {bytes} bytes at {address:#x} on port `up`: `last` is {last} after {carried} bytes"
    )]
    Beats {
        /// Kind of the request.
        kind: &'static str,
        /// Bus address.
        address: u64,
        /// Its bytes.
        bytes: u16,
        /// Bytes carried so far.
        carried: usize,
        /// The flag.
        last: bool,
    },
    /// A read reuses the tag of a read in flight, or has none of the link's tags.
    #[error("memory read at {address:#x} on port `up` uses tag {tag}, which {problem}")]
    Tag {
        /// The tag.
        tag: u8,
        /// Bus address of the new read.
        address: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A completion on `up` for an MMIO read that was never made.
    #[error("MMIO completion with tag {tag} on port `up`, but no such read is open")]
    UnknownMmio {
        /// The tag.
        tag: u8,
    },
    /// A read was never answered.
    #[error(
        "the host does not answer the read of {bytes} bytes at {address:#x} (tag {tag}), asked {times} times since {first}; \
         does the host still run, and is the address mapped?"
    )]
    Timeout {
        /// The tag.
        tag: u8,
        /// Bus address.
        address: u64,
        /// Its bytes.
        bytes: u16,
        /// How often it was asked.
        times: u32,
        /// When it was asked first.
        first: Time,
    },
    /// The host completes a read that is not in flight, or with the wrong length.
    #[error("the host answers read {request} with {bytes} bytes; {problem}")]
    Completion {
        /// Identifier of the request.
        request: u64,
        /// Bytes of data.
        bytes: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A message that a device cannot receive.
    #[error("the device received a {0}, which only a device may send")]
    Direction(&'static str),
}
