//! What every simulated thing can do.

use std::any::Any;
use std::error::Error;

use crate::mailbox::Io;
use crate::port::PortSpec;
use crate::time::Time;

/// A simulated thing with named ports: a host, a NIC, a wire, a peer.
///
/// **The order law.** A component handles what is due in the order
/// (time stamp, port index, sequence on that port), and all inputs of an
/// instant before its own events of that instant. Nothing else may influence
/// what it does: no wall clock, thread, address or hash order.
///
/// The usual shape of [`advance`](Component::advance):
///
/// ```
/// # use hallux_channel::{Component, ComponentError, Io, Message, PortSpec, Protocol, Time};
/// # struct Echo { ports: Vec<PortSpec>, next: Time }
/// # impl Echo { fn act(&mut self, _: &mut Io<'_>) { self.next = Time::NEVER } }
/// # impl Component for Echo {
/// #   fn name(&self) -> &str { "echo" }
/// #   fn ports(&self) -> &[PortSpec] { &self.ports }
/// #   fn next_action(&self) -> Time { self.next }
/// fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
///     loop {
///         // Inputs of an instant come before own events of that instant,
///         // so an input stamped exactly `self.next` is taken first.
///         let due = horizon.min(self.next + Time::from_ps(1));
///         if let Some((at, port, message)) = io.pop_before(due) {
///             io.send(port, at, message);
///         } else if self.next < horizon {
///             self.act(io);
///         } else {
///             return Ok(());
///         }
///     }
/// }
/// #   fn finished_at(&self) -> Option<Time> { Some(Time::ZERO) }
/// #   fn as_any(&self) -> &dyn std::any::Any { self }
/// #   fn as_any_mut(&mut self) -> &mut dyn std::any::Any { self }
/// # }
/// ```
pub trait Component: Send {
    /// The name in the scenario, unique in a simulation.
    fn name(&self) -> &str;

    /// The ports, in a fixed order; a port's index is its place here.
    fn ports(&self) -> &[PortSpec];

    /// When the component next acts without being asked: its next own event,
    /// [`Time::NEVER`] if it only reacts. Earlier than the truth is allowed
    /// and costs speed; later is wrong. Never before the horizon of the last
    /// `advance`.
    fn next_action(&self) -> Time;

    /// Handles everything, own events and messages of the inbox, with a time
    /// before `horizon`, by the order law. All messages with a stamp before
    /// the horizon are in the inbox; a message handled at T may cause sends
    /// stamped T or later.
    ///
    /// # Errors
    ///
    /// What makes going on pointless, such as a failed assertion in the RTL.
    /// Bad input of the simulated world (a malformed frame, an access outside
    /// a region) is none: it is counted and answered as hardware would.
    fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError>;

    /// The component's vote on the end of the scenario: the simulated time at
    /// which its work was complete, `None` while it is not. A component
    /// without work of its own (a wire, a server) returns
    /// `Some(Time::ZERO)`. Once given, a vote does not change.
    ///
    /// It is a time and not a flag because components are advanced in
    /// batches whose size must not influence the end of the run.
    fn finished_at(&self) -> Option<Time>;

    /// What the component waits for, in a few words, for the report about a
    /// simulation that makes no progress.
    fn waiting_for(&self) -> String {
        String::new()
    }

    /// Cumulative counters, in a fixed order.
    fn counters(&self) -> Vec<Counter> {
        Vec::new()
    }

    /// The component as itself, to read results after a run.
    fn as_any(&self) -> &dyn Any;

    /// The component as itself, to change.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

/// A named count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// What is counted, in snake case with its unit, such as `tx_bytes`.
    pub name: &'static str,
    /// The count since the start.
    pub value: u64,
}

impl Counter {
    /// A counter of this name and value.
    pub const fn new(name: &'static str, value: u64) -> Self {
        Counter { name, value }
    }
}

/// A component cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("{component} failed at {at}: {source}")]
pub struct ComponentError {
    /// The component's name.
    pub component: String,
    /// Simulated time of the failure.
    pub at: Time,
    /// What happened.
    pub source: Box<dyn Error + Send + Sync>,
}

impl ComponentError {
    /// The failure `source` of `component` at simulated time `at`. A plain
    /// text serves as a source too.
    pub fn new(
        component: impl Into<String>,
        at: Time,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        ComponentError {
            component: component.into(),
            at,
            source: source.into(),
        }
    }
}
