//! Components and links, put together.

use hallux_channel::{Component, Counter, Mailbox, PortSpec, Protocol, Time};

use super::run::Waiting;
use super::tap::{Interface, Merger, MessageSink};

/// A component of a [`Simulation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ComponentId(pub(super) usize);

/// Components joined by links, ready to run.
///
/// The order in which components are added has no influence on a result.
#[derive(Default)]
pub struct Simulation {
    pub(super) nodes: Vec<Node>,
    pub(super) merger: Merger,
    pub(super) interfaces: Vec<Interface>,
}

/// A component with its inbox and outbox.
pub(super) struct Node {
    pub(super) component: Box<dyn Component>,
    pub(super) mailbox: Mailbox,
    pub(super) ports: Vec<PortEnd>,
    /// Everything before this time has been handled.
    pub(super) clock: Time,
}

/// What the engine knows of one port.
#[derive(Clone, Debug)]
pub(super) struct PortEnd {
    pub(super) peer: Option<Peer>,
    /// Number of the interface, if the port is tapped.
    pub(super) interface: Option<usize>,
}

/// The other end of a link.
#[derive(Clone, Copy, Debug)]
pub(super) enum Peer {
    /// Runs in the same thread.
    Node {
        /// Place of the component.
        node: usize,
        /// Index of its port.
        port: usize,
        /// Of the link.
        latency: Time,
    },
    /// Is reached over a cut of the group.
    Cut {
        /// Place of the cut.
        cut: usize,
    },
}

/// Who has not finished.
pub(super) fn waiting(nodes: &[Node]) -> Vec<Waiting> {
    let unfinished = nodes
        .iter()
        .filter(|node| node.component.finished_at().is_none());
    unfinished
        .map(|node| Waiting {
            component: node.component.name().to_owned(),
            what: node.component.waiting_for(),
        })
        .collect()
}

/// Why components cannot be put together like that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Names identify components in results.
    #[error("two components are named `{0}`; give one another name")]
    DuplicateName(String),
    /// A port that the component does not have.
    #[error("`{component}` has no port `{port}`; it has {known}")]
    NoSuchPort {
        /// The component's name.
        component: String,
        /// The port asked for.
        port: String,
        /// The ports it has.
        known: String,
    },
    /// A port can have one link only.
    #[error("port `{port}` of `{component}` is already connected")]
    AlreadyConnected {
        /// The component's name.
        component: String,
        /// The port's name.
        port: String,
    },
    /// Only equals, or the two ends of PCIe, can be joined.
    #[error(
        "{from} speaks {from_protocol} and cannot be joined to {to}, which speaks {to_protocol}"
    )]
    Incompatible {
        /// One port, as `component.port`.
        from: String,
        /// What it speaks.
        from_protocol: Protocol,
        /// The other port.
        to: String,
        /// What it speaks.
        to_protocol: Protocol,
    },
    /// The latency is the lookahead; without it nothing could advance.
    #[error("the link from {from} to {to} needs a latency greater than zero")]
    NoLatency {
        /// One port, as `component.port`.
        from: String,
        /// The other port.
        to: String,
    },
    /// No capture format is defined for the memory protocol.
    #[error(
        "{0} is a port of the memory protocol and cannot be tapped; tap Ethernet and PCIe ports"
    )]
    NotCaptured(String),
}

impl Simulation {
    /// An empty simulation.
    pub fn new() -> Self {
        Simulation::default()
    }

    /// Adds a component.
    ///
    /// # Errors
    ///
    /// [`BuildError::DuplicateName`].
    pub fn add(&mut self, component: impl Component + 'static) -> Result<ComponentId, BuildError> {
        self.add_boxed(Box::new(component))
    }

    /// Adds a component of any kind.
    ///
    /// # Errors
    ///
    /// [`BuildError::DuplicateName`].
    pub fn add_boxed(&mut self, component: Box<dyn Component>) -> Result<ComponentId, BuildError> {
        if self
            .nodes
            .iter()
            .any(|node| node.component.name() == component.name())
        {
            return Err(BuildError::DuplicateName(component.name().to_owned()));
        }
        let unconnected = PortEnd {
            peer: None,
            interface: None,
        };
        self.nodes.push(Node {
            mailbox: Mailbox::new(component.ports()),
            ports: vec![unconnected; component.ports().len()],
            component,
            clock: Time::ZERO,
        });
        Ok(ComponentId(self.nodes.len() - 1))
    }

    /// Joins two ports by a link that delays every message by `latency`, in
    /// both directions.
    ///
    /// # Errors
    ///
    /// [`BuildError`], naming the port that does not fit.
    pub fn connect(
        &mut self,
        from: (ComponentId, &str),
        to: (ComponentId, &str),
        latency: Time,
    ) -> Result<(), BuildError> {
        let (from_port, to_port) = (self.port(from)?, self.port(to)?);
        let (from_name, to_name) = (self.port_name(from), self.port_name(to));
        if latency == Time::ZERO || latency.is_never() {
            return Err(BuildError::NoLatency {
                from: from_name,
                to: to_name,
            });
        }
        let protocol =
            |id: ComponentId, port: usize| self.nodes[id.0].component.ports()[port].protocol;
        let (from_protocol, to_protocol) = (protocol(from.0, from_port), protocol(to.0, to_port));
        if from_protocol.peer() != to_protocol {
            return Err(BuildError::Incompatible {
                from: from_name,
                from_protocol,
                to: to_name,
                to_protocol,
            });
        }
        let same_port = from.0 == to.0 && from_port == to_port;
        for (end, port) in [(from, from_port), (to, to_port)] {
            if same_port || self.nodes[end.0.0].ports[port].peer.is_some() {
                return Err(BuildError::AlreadyConnected {
                    component: self.nodes[end.0.0].component.name().to_owned(),
                    port: end.1.to_owned(),
                });
            }
        }
        let mut join = |end: (usize, usize), peer: (usize, usize)| {
            self.nodes[end.0].ports[end.1].peer = Some(Peer::Node {
                node: peer.0,
                port: peer.1,
                latency,
            });
        };
        join((from.0.0, from_port), (to.0.0, to_port));
        join((to.0.0, to_port), (from.0.0, from_port));
        Ok(())
    }

    /// Makes every message at a port visible to the sinks, as the interface
    /// `name`. Returns the number of the interface. A port that is tapped
    /// already keeps its number and name.
    ///
    /// # Errors
    ///
    /// [`BuildError::NoSuchPort`].
    pub fn tap(
        &mut self,
        at: (ComponentId, &str),
        name: impl Into<String>,
    ) -> Result<usize, BuildError> {
        let port = self.port(at)?;
        let protocol = self.nodes[at.0.0].component.ports()[port].protocol;
        if matches!(protocol, Protocol::MemoryServer | Protocol::MemoryClient) {
            return Err(BuildError::NotCaptured(self.port_name(at)));
        }
        let node = &mut self.nodes[at.0.0];
        let number = *node.ports[port]
            .interface
            .get_or_insert(self.interfaces.len());
        if number == self.interfaces.len() {
            self.interfaces.push(Interface {
                name: name.into(),
                protocol: node.component.ports()[port].protocol,
            });
        }
        Ok(number)
    }

    /// The tapped interfaces, by number.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// Component and port of each tapped interface, by number.
    pub fn taps(&self) -> Vec<(String, String)> {
        let mut taps = vec![Default::default(); self.interfaces.len()];
        for node in &self.nodes {
            for (spec, port) in node.component.ports().iter().zip(&node.ports) {
                if let Some(number) = port.interface {
                    taps[number] = (node.component.name().to_owned(), spec.name.clone());
                }
            }
        }
        taps
    }

    /// Hands every message of the tapped interfaces to `sink`.
    pub fn add_sink(&mut self, sink: impl MessageSink + 'static) {
        self.merger.add_sink(Box::new(sink));
    }

    /// Puts something around each component, to watch it for example. It must
    /// have the same name and ports.
    pub fn wrap_components(
        &mut self,
        mut wrap: impl FnMut(Box<dyn Component>) -> Box<dyn Component>,
    ) {
        let nodes = std::mem::take(&mut self.nodes).into_iter();
        self.nodes = nodes
            .map(|node| Node {
                component: wrap(node.component),
                ..node
            })
            .collect();
    }

    /// Puts something around each sink, to watch it for example.
    pub fn wrap_sinks(&mut self, wrap: impl FnMut(Box<dyn MessageSink>) -> Box<dyn MessageSink>) {
        self.merger.wrap_sinks(wrap);
    }

    /// The names of the components, in the order of adding.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.component.name())
    }

    /// The component of this name.
    pub fn find(&self, name: &str) -> Option<ComponentId> {
        let mut names = self.names();
        names.position(|other| other == name).map(ComponentId)
    }

    /// The ports of a component.
    pub fn ports(&self, id: ComponentId) -> &[PortSpec] {
        self.nodes[id.0].component.ports()
    }

    /// The counters of every component by name, in the order of adding.
    pub fn counters(&self) -> Vec<(String, Vec<Counter>)> {
        self.nodes
            .iter()
            .map(|node| (node.component.name().to_owned(), node.component.counters()))
            .collect()
    }

    /// A component as its own type; `None` if it is of another.
    pub fn component<T: Component + 'static>(&self, id: ComponentId) -> Option<&T> {
        self.nodes[id.0].component.as_any().downcast_ref()
    }

    /// A component as its own type, to change; `None` if it is of another.
    pub fn component_mut<T: Component + 'static>(&mut self, id: ComponentId) -> Option<&mut T> {
        self.nodes[id.0].component.as_any_mut().downcast_mut()
    }

    pub(super) fn port(&self, (id, name): (ComponentId, &str)) -> Result<usize, BuildError> {
        let component = &self.nodes[id.0].component;
        let ports = component.ports();
        ports
            .iter()
            .position(|port| port.name == name)
            .ok_or_else(|| {
                let known: Vec<_> = ports
                    .iter()
                    .map(|port| format!("`{}`", port.name))
                    .collect();
                BuildError::NoSuchPort {
                    component: component.name().to_owned(),
                    port: name.to_owned(),
                    known: known.join(", "),
                }
            })
    }

    fn port_name(&self, (id, port): (ComponentId, &str)) -> String {
        format!("{}.{port}", self.nodes[id.0].component.name())
    }
}
