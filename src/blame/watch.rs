//! Watches the ends of a scenario's connections, and blames when the run is over.

use super::{Blame, Frames, NicView, Port, Side, Ways};
use crate::scenario::Scenario;
use hallux_cosim::engine::{BuildError, ComponentId, Simulation};
use hallux_cosim::observe::passages::PassageLog;
use hallux_host::apps::report::Exchange;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A host with the Ethernet port that leads to it.
#[derive(Clone, Debug)]
pub struct Post {
    /// Name of the host.
    pub host: String,
    /// Name of its NIC, of whatever kind, or none.
    pub nic: String,
    /// The port.
    pub end: (ComponentId, &'static str),
}

/// What is watched of a scenario.
#[derive(Debug)]
pub struct Watch {
    frames: Arc<Mutex<Frames>>,
    server: (Post, usize),
    clients: Vec<(Post, usize)>,
}

impl Watch {
    /// Watches these posts. Captures that were made before do not see their ports.
    ///
    /// # Errors
    /// A port that cannot be tapped.
    pub fn attach(
        simulation: &mut Simulation,
        server: Post,
        clients: Vec<Post>,
    ) -> Result<Self, BuildError> {
        let mut tapped = |post: Post| {
            let number = simulation.tap(post.end, post.host.as_str())?;
            Ok((post, number))
        };
        let server = tapped(server)?;
        let clients: Vec<_> = clients.into_iter().map(tapped).collect::<Result<_, _>>()?;
        let numbers = std::iter::once(&server).chain(&clients);
        let frames = Frames::at(numbers.map(|(_, number)| *number));
        let frames = Arc::new(Mutex::new(frames));
        simulation.add_sink(Arc::clone(&frames));
        Ok(Self {
            frames,
            server,
            clients,
        })
    }

    /// Follows `exchanges` through what was seen and what the logs of the RTL NICs say.
    pub fn follow(
        &self,
        scenario: &Scenario,
        exchanges: &[Exchange],
        logs: &BTreeMap<String, PassageLog>,
    ) -> Followed {
        let frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = Port::default();
        let delay = scenario.settings.pcie.delay.0;
        let group_tags = scenario.design.read_tags / scenario.design.groups.max(1);
        let side = |(post, number): &'_ (Post, usize)| {
            let port = frames.port(*number).unwrap_or(&nothing);
            (post.clone(), port)
        };
        let (server, server_port) = side(&self.server);
        let clients: Vec<_> = self.clients.iter().map(side).collect();
        let view = |post: &'_ Post, port| {
            let (name, log) = logs.get_key_value(&post.nic)?;
            Some(NicView::new(name, log, port, delay, group_tags))
        };
        let server = Side {
            host: &server.host,
            port: server_port,
            nic: view(&server, server_port),
        };
        let clients: Vec<Side<'_>> = clients
            .iter()
            .map(|(post, port)| Side {
                host: &post.host,
                port,
                nic: view(post, port),
            })
            .collect();
        let ways = Ways::of(exchanges, &clients, &server);
        let cut = logs.values().any(|log| log.cut);
        Followed {
            blame: Blame::of(&ways, &server, cut),
            unhindered: ways.unhindered(exchanges),
            ways,
        }
    }
}

/// The requests of a run, followed.
#[derive(Clone, Debug)]
pub struct Followed {
    /// The way of each.
    pub ways: Ways,
    /// Where their time went.
    pub blame: Blame,
    /// What each would have taken if no stage had waited, in ps.
    pub unhindered: Vec<u64>,
}
