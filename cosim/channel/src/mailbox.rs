//! Messages waiting at the ports of one component.

use std::collections::VecDeque;

use crate::message::Message;
use crate::port::PortSpec;
use crate::time::Time;

/// What a component sees of the world while it advances: the messages that
/// have arrived, and a way to send.
#[derive(Debug)]
pub struct Io<'a> {
    mailbox: &'a mut Mailbox,
}

impl Io<'_> {
    /// Arrival time and port of the next message by the order law, if it is
    /// due before `horizon`.
    #[inline]
    pub fn peek_before(&self, horizon: Time) -> Option<(Time, usize)> {
        self.mailbox.peek().filter(|&(at, _)| at < horizon)
    }

    /// Takes the next message by the order law, if it is due before
    /// `horizon`: its arrival time, the index of its port, and itself.
    #[inline]
    pub fn pop_before(&mut self, horizon: Time) -> Option<(Time, usize, Message)> {
        let (at, port) = self.peek_before(horizon)?;
        let (_, message) = self.mailbox.arrived[port].pop_front()?;
        self.mailbox.handled = at;
        Some((at, port, message))
    }

    /// Sends `message` on the port with index `port`. It leaves at `at` and
    /// arrives after the link's latency. `at` may lie ahead of what is being
    /// handled (a frame whose last bit leaves later), but on one port never
    /// before an earlier send.
    ///
    /// A send against these rules is dropped and becomes a [`Violation`],
    /// which ends the simulation.
    #[inline]
    pub fn send(&mut self, port: usize, at: Time, message: Message) {
        self.mailbox.send(port, at, message);
    }
}

/// A message on its way out of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Index of the port.
    pub port: usize,
    /// When it leaves, before the link's latency.
    pub at: Time,
    /// The message.
    pub message: Message,
}

/// A component broke a rule of sending: a mistake in the component.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// There is no port with this index.
    #[error("sent a {kind} at {at} on port {port}, but has {ports} ports")]
    NoSuchPort {
        /// Index of the port.
        port: usize,
        /// How many there are.
        ports: usize,
        /// Kind of the message.
        kind: &'static str,
        /// Time stamp of the message.
        at: Time,
    },
    /// The port's protocol does not have this message in this direction.
    #[error("sent a {kind} at {at} on port `{port}`, whose protocol has no such message")]
    WrongKind {
        /// Name of the port.
        port: String,
        /// Kind of the message.
        kind: &'static str,
        /// Time stamp of the message.
        at: Time,
    },
    /// Stamped before the instant being handled, or before an earlier send.
    #[error(
        "sent a {kind} stamped {at} on port `{port}` after promising nothing before {promised}"
    )]
    InThePast {
        /// Name of the port.
        port: String,
        /// Kind of the message.
        kind: &'static str,
        /// Time stamp of the message.
        at: Time,
        /// The earliest stamp that was allowed.
        promised: Time,
    },
    /// The payload does not fit into a 16-bit length.
    #[error(
        "sent a {kind} of {len} bytes at {at} on port `{port}`; the limit is {} bytes",
        Message::MAX_PAYLOAD
    )]
    TooLong {
        /// Name of the port.
        port: String,
        /// Kind of the message.
        kind: &'static str,
        /// Bytes of payload.
        len: usize,
        /// Time stamp of the message.
        at: Time,
    },
}

/// The inbox and outbox of one component, filled and emptied by whoever runs
/// it: the engine, or a test of a single component.
#[derive(Debug)]
pub struct Mailbox {
    ports: Vec<PortSpec>,
    arrived: Vec<VecDeque<(Time, Message)>>,
    sent: VecDeque<Sent>,
    last_sent: Vec<Time>,
    /// Stamp of the message taken last, or the horizon advanced to.
    handled: Time,
    violation: Option<Violation>,
}

impl Mailbox {
    /// An empty mailbox for a component with these ports.
    pub fn new(ports: &[PortSpec]) -> Self {
        Mailbox {
            ports: ports.to_vec(),
            arrived: ports.iter().map(|_| VecDeque::new()).collect(),
            sent: VecDeque::new(),
            last_sent: vec![Time::ZERO; ports.len()],
            handled: Time::ZERO,
            violation: None,
        }
    }

    /// The component's view.
    #[inline]
    pub fn io(&mut self) -> Io<'_> {
        Io { mailbox: self }
    }

    /// Puts a message into the inbox of the port with index `port`, to arrive
    /// at `at`. Stamps on one port must not decrease.
    ///
    /// # Panics
    ///
    /// If the port does not exist or the stamp decreases: both are mistakes
    /// of the runner.
    #[inline]
    pub fn deliver(&mut self, port: usize, at: Time, message: Message) {
        let queue = &mut self.arrived[port];
        assert!(
            queue.back().is_none_or(|&(last, _)| last <= at),
            "messages to port `{}` are out of order",
            self.ports[port].name
        );
        queue.push_back((at, message));
    }

    /// Arrival time and port of the next message by the order law.
    #[inline]
    pub fn peek(&self) -> Option<(Time, usize)> {
        let heads = self.arrived.iter().enumerate();
        heads
            .filter_map(|(port, queue)| queue.front().map(|&(at, _)| (at, port)))
            .min()
    }

    /// Notes that everything before `horizon` has been handled: no send may
    /// be stamped earlier from now on.
    #[inline]
    pub fn advanced_to(&mut self, horizon: Time) {
        self.handled = self.handled.max(horizon);
    }

    /// Takes the oldest message of the outbox.
    #[inline]
    pub fn take_sent(&mut self) -> Option<Sent> {
        self.sent.pop_front()
    }

    /// The first rule that the component broke, if any.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    #[inline]
    fn send(&mut self, port: usize, at: Time, message: Message) {
        let kind = message.kind();
        let len = message.payload().len();
        let Some(spec) = self.ports.get(port) else {
            let ports = self.ports.len();
            self.broken(Violation::NoSuchPort {
                port,
                ports,
                kind,
                at,
            });
            return;
        };
        let promised = self.handled.max(self.last_sent[port]);
        let name = || spec.name.clone();
        let violation = if message.sender() != spec.protocol {
            Violation::WrongKind {
                port: name(),
                kind,
                at,
            }
        } else if len > Message::MAX_PAYLOAD {
            Violation::TooLong {
                port: name(),
                kind,
                len,
                at,
            }
        } else if at < promised {
            Violation::InThePast {
                port: name(),
                kind,
                at,
                promised,
            }
        } else {
            self.last_sent[port] = at;
            self.sent.push_back(Sent { port, at, message });
            return;
        };
        self.broken(violation);
    }

    fn broken(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::Protocol;
    use bytes::Bytes;

    fn mailbox() -> Mailbox {
        Mailbox::new(&[
            PortSpec::new("a", Protocol::Ethernet),
            PortSpec::new("b", Protocol::Ethernet),
        ])
    }

    fn frame(tag: u8) -> Message {
        Message::Frame(Bytes::copy_from_slice(&[tag]))
    }

    #[test]
    fn messages_come_by_time_then_port_then_sequence() {
        let mut mailbox = mailbox();
        let t = Time::from_ns;
        mailbox.deliver(1, t(5), frame(1));
        mailbox.deliver(1, t(7), frame(2));
        mailbox.deliver(0, t(7), frame(3));
        mailbox.deliver(0, t(7), frame(4));
        mailbox.deliver(0, t(9), frame(5));
        let mut io = mailbox.io();
        let order: Vec<_> = std::iter::from_fn(|| io.pop_before(t(9)))
            .map(|(at, port, message)| (at.ns(), port, message.payload()[0]))
            .collect();
        assert_eq!(order, [(5, 1, 1), (7, 0, 3), (7, 0, 4), (7, 1, 2)]);
        assert_eq!(io.peek_before(Time::NEVER), Some((t(9), 0)));
    }

    #[test]
    fn a_send_into_the_past_is_a_violation() {
        let mut mailbox = mailbox();
        mailbox.deliver(0, Time::from_ns(10), frame(0));
        let mut io = mailbox.io();
        io.pop_before(Time::NEVER);
        io.send(1, Time::from_ns(10), frame(1));
        io.send(1, Time::from_ns(9), frame(2));
        assert!(matches!(
            mailbox.violation(),
            Some(Violation::InThePast { port, .. }) if port == "b"
        ));
        assert_eq!(mailbox.take_sent().map(|sent| sent.message), Some(frame(1)));
        assert_eq!(mailbox.take_sent(), None);
    }

    #[test]
    fn a_message_of_the_wrong_protocol_or_port_is_a_violation() {
        let mut first = mailbox();
        first
            .io()
            .send(0, Time::ZERO, Message::DmaWriteCompletion { req_id: 0 });
        assert!(matches!(
            first.violation(),
            Some(Violation::WrongKind { .. })
        ));
        let mut second = mailbox();
        second.io().send(2, Time::ZERO, frame(0));
        assert!(matches!(
            second.violation(),
            Some(Violation::NoSuchPort { ports: 2, .. })
        ));
        let mut third = mailbox();
        third
            .io()
            .send(0, Time::ZERO, Message::Frame(vec![0; 65_536].into()));
        assert!(matches!(third.violation(), Some(Violation::TooLong { .. })));
    }
}
