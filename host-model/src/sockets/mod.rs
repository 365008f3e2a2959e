//! libTOE: sockets over the context queues of the NIC.
//!
//! A write copies into the connection's transmit ring and leaves a descriptor, a read
//! copies out of its receive ring; payload never passes through the control plane. What
//! many calls of an instant leave behind costs one descriptor a connection and one
//! doorbell a context.

mod context;
mod network;
mod rings;
mod socket;

pub use context::ContextSignals;
pub(crate) use context::{serve_captures, serve_context, serve_traces};
pub(crate) use network::Shared;
pub use network::{ToeListener, ToeNetwork, ToeStream};
pub use rings::{ImpossibleBump, ReceiveRing, TransmitRing};
pub use socket::{Owner, Socket};
