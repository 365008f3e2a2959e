//! Runs components: conservative, in batches, with one possible outcome.
//!
//! ```text
//!      earliest own action or input A_j          latency of the shortest path
//!   ┌─────────────┐                                          │
//!   │ component j ├──── link ──── component k ──── link ──── ▼ ── component i
//!   └─────────────┘
//!      horizon of i = min over j of (A_j + path j → i), and A_i + shortest way
//!                     back to itself
//! ```
//!
//! Nothing can reach a component before its horizon, so it may handle all
//! that is earlier in one call; a clocked NIC runs many cycles that way. The
//! component with the earliest action goes next. Its horizon is always later
//! than that action, because every link has a latency above zero, so there is
//! no deadlock and no rollback.
//!
//! The result cannot depend on this: components obey the order law of
//! [`hallux_channel::Component`], a run ends at a time that follows from the
//! components' votes alone ([`RunOptions::stop_quantum`]), and taps see messages
//! merged by (time, interface, direction, sequence).

mod boundary;
mod council;
mod delegate;
mod freight;
mod fused;
mod group;
mod outside;
mod part;
mod partition;
mod paths;
mod ring;
mod run;
mod simulation;
mod tap;
mod threads;
mod trunk;
mod worker;

#[cfg(test)]
mod reference_tests;

pub use boundary::{Boundary, LinkError};
pub use council::Board;
pub use delegate::{Chair, Delegate, SILENCE, SharedStream};
pub use outside::{OutsideLink, OutsideOptions};
pub use part::{OpenLink, Part, Watch, Watched, send_result};
pub use partition::Partition;
pub use ring::Ring;
pub use run::{Outcome, Progress, RunError, RunOptions, Waiting};
pub use simulation::{BuildError, ComponentId, Simulation};
pub use tap::{Direction, Interface, MessageSink, Tapped};
pub use trunk::{Trunk, TrunkError, TrunkLink};
pub use worker::WaitPolicy;
