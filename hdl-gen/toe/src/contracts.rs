//! The ordering contracts (`docs/data-path.md`) as the assertions of the RTL say them: each names
//! the stage that watches it. The simulation stops with the sentence, the ticket and the flow;
//! the adapter adds the clock cycle.

/// Frames of a flow enter the protocol stage in the order of their arrival.
pub const ARRIVAL_ORDER: &str =
    "contract O1 at protocol: a segment passes before an older one of its flow";
/// Acknowledgement numbers of a flow leave monotonically.
pub const MONOTONE_ACK: &str = "contract O2 at assemble: an acknowledgement number steps back";
/// Sequence numbers of a flow's data leave monotonically but for a rewind.
pub const MONOTONE_SEQ: &str = "contract O2 at post: a sequence number steps back without a rewind";
/// A record follows the payload that it announces.
pub const RECORD_FOLLOWS: &str =
    "contract O3 at payload_write: a record leaves before the payload it announces";
/// An acknowledgement follows the payload that it covers.
pub const HEADER_FOLLOWS: &str =
    "contract O4 at payload_write: a header is released before its payload is queued";
/// Each ticket ends exactly once.
pub const ENDS_ONCE: &str = "contract O5 at payload_write: a ticket does not end exactly once";
/// An event sees what the last event of its flow left.
pub const STATE_CARRIES: &str =
    "contract O6 at protocol: an event does not see what the one before it left";
/// An interrupt follows the record that it announces.
pub const INTERRUPT_FOLLOWS: &str =
    "contract O7 at notify: an interrupt leaves before the record it announces";
