//! Simulated time, messages, ports and components, and channels to other
//! processes; knows no RTL.
//!
//! ```text
//!   component A                      link, latency > 0                component B
//!  ┌───────────┐ port   Message at t   ┌──────────────┐  at t + latency ┌───────────┐
//!  │ advance() ├───────────────────────┤              ├─────────────────┤ advance() │
//!  └───────────┘                       └──────────────┘                 └───────────┘
//! ```
//!
//! A simulation is a set of [`Component`]s joined by links. A component never
//! sees another one: it takes [`Message`]s from its ports, in one fixed order,
//! and sends messages with a time stamp. Who runs the components, in one
//! thread or in many processes, is no concern of this crate and cannot change
//! a result.
//!
//! Everything in [`Message`] is representable in version 1 of the SimBricks
//! protocol, so that each link can be cut and continued in another process:
//! [`simbricks`].

pub mod component;
pub mod ethernet;
pub mod mailbox;
pub mod message;
pub mod port;
pub mod random;
pub mod simbricks;
pub mod time;

pub use component::{Component, ComponentError, Counter};
pub use ethernet::{LineRate, Transmitter};
pub use mailbox::{Io, Mailbox, Sent, Violation};
pub use message::{InterruptKind, Message};
pub use port::{PortSpec, Protocol};
pub use random::{Probability, Random, Seed};
pub use time::{ClockPeriod, ParseTimeError, Time};
