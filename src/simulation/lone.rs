//! One host of a scenario by itself, for a process of its own.

use super::{
    CLIENT_IP, CLIENT_MAC, Client, SERVER_IP, SERVER_MAC, ServerFailure, Work, host, line_rate,
    spawn_client, spawn_server,
};
use crate::scenario::{NicModel, PeerKind, Scenario};
use anyhow::{Result, bail};
use hallux_channel::{Component, ComponentError, Counter, Io, PortSpec, Seed, Time};
use hallux_host::apps::files::FileTree;
use hallux_host::peer::smoltcp::{SmoltcpConfig, SmoltcpHost};
use std::any::Any;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A host with its work.
pub struct LoneHost {
    /// The host.
    pub component: Box<dyn Component>,
    /// Name of its port: `pcie` in front of a NIC, `eth0` of an independent stack.
    pub port: &'static str,
    /// Bytes it will verify when all goes well; none of a server.
    pub expected_bytes: u64,
    client: Option<Client>,
    failure: Option<ServerFailure>,
}

impl LoneHost {
    /// The host `name` of `scenario`: `server`, `client`, or `client-3` of several.
    ///
    /// # Errors
    /// There is no such host, or a value that no host accepts.
    pub fn of(scenario: &Scenario, files: Option<&Arc<FileTree>>, name: &str) -> Result<Self> {
        let settings = &scenario.settings;
        if name == "server" {
            if settings.nic.model == NicModel::Smoltcp {
                let server = smoltcp(scenario, name, SERVER_MAC, SERVER_IP)?;
                let failure = spawn_server(scenario, files, server.network(), |work| {
                    server.run_in_background(work)
                });
                return Ok(Self::server(Box::new(server), "eth0", failure));
            }
            let server = host(scenario, name, SERVER_MAC, SERVER_IP)?;
            let failure = spawn_server(scenario, files, server.network(), |work| {
                server.run_in_background(work)
            });
            return Ok(Self::server(Box::new(server), "pcie", failure));
        }
        let count = settings.peer.count;
        let names = (0..count).map(|number| match count {
            1 => "client".to_owned(),
            _ => format!("client-{number}"),
        });
        let Some(number) = names.clone().position(|known| known == name) else {
            let known: Vec<String> = names.collect();
            bail!(
                "the scenario has no host `{name}`; it has server, {}",
                known.join(", ")
            );
        };
        // As in the whole scenario: the validated count keeps the last byte in its range.
        let (mut mac, [a, b, c, last]) = (CLIENT_MAC, CLIENT_IP.octets());
        mac[5] += number as u8;
        let ip = Ipv4Addr::new(a, b, c, last + number as u8);
        let seed = match number {
            0 => Seed(settings.seed),
            _ => Seed(Seed(settings.seed).stream(name).bits()),
        };
        let (component, port, (client, expected_bytes)): (Box<dyn Component>, _, _) =
            match settings.peer.kind {
                PeerKind::Smoltcp => {
                    let peer = smoltcp(scenario, name, mac, ip)?;
                    let work = spawn_client(scenario, files, seed, peer.network(), |work| {
                        peer.run_to_end(work)
                    });
                    (Box::new(peer), "eth0", work)
                }
                PeerKind::Toe => {
                    let peer = host(scenario, name, mac, ip)?;
                    let work = spawn_client(scenario, files, seed, peer.network(), |work| {
                        peer.run_to_end(work)
                    });
                    (Box::new(peer), "pcie", work)
                }
            };
        Ok(Self {
            component,
            port,
            expected_bytes,
            client: Some(client),
            failure: None,
        })
    }

    fn server(component: Box<dyn Component>, port: &'static str, failure: ServerFailure) -> Self {
        Self {
            component,
            port,
            expected_bytes: 0,
            client: None,
            failure: Some(failure),
        }
    }

    /// The component, and what is left to ask about its work.
    pub fn into_parts(self) -> (Box<dyn Component>, LoneWork) {
        let work = LoneWork {
            client: self.client,
            failure: self.failure,
        };
        (self.component, work)
    }
}

fn smoltcp(scenario: &Scenario, name: &str, mac: [u8; 6], ip: Ipv4Addr) -> Result<SmoltcpHost> {
    Ok(SmoltcpHost::new(SmoltcpConfig {
        line_rate: line_rate(scenario)?,
        buffer: scenario.settings.peer.buffer.0 as usize,
        ..SmoltcpConfig::new(name, mac, ip, Seed(scenario.settings.seed))
    }))
}

/// What became of the work of a host.
pub struct LoneWork {
    client: Option<Client>,
    failure: Option<ServerFailure>,
}

impl LoneWork {
    /// What the client application has done; `None` of a server.
    pub fn client(&self) -> Option<Work> {
        self.client.as_ref().map(Client::work)
    }

    /// Why the server application does not serve.
    pub fn server_failure(&self) -> Option<String> {
        self.failure.as_ref().and_then(|failure| failure())
    }
}

/// A component that says when it has done its work and what follows has settled.
pub struct Ending {
    component: Box<dyn Component>,
    /// From the end of the work on, at a multiple of the second.
    after: (Time, Time),
    ended: Arc<AtomicBool>,
}

impl Ending {
    /// Sets `ended` once the first multiple of `quantum` after the end of the work and
    /// `settle` is simulated.
    pub fn new(
        component: Box<dyn Component>,
        settle: Time,
        quantum: Time,
        ended: Arc<AtomicBool>,
    ) -> Self {
        Self {
            component,
            after: (settle, quantum),
            ended,
        }
    }
}

impl Component for Ending {
    fn name(&self) -> &str {
        self.component.name()
    }

    fn ports(&self) -> &[PortSpec] {
        self.component.ports()
    }

    fn next_action(&self) -> Time {
        self.component.next_action()
    }

    fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
        self.component.advance(horizon, io)?;
        let (settle, quantum) = self.after;
        if let Some(done) = self.component.finished_at()
            && (done + settle).next_multiple_after(quantum) <= horizon
        {
            self.ended.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn finished_at(&self) -> Option<Time> {
        self.component.finished_at()
    }

    fn waiting_for(&self) -> String {
        self.component.waiting_for()
    }

    fn counters(&self) -> Vec<Counter> {
        self.component.counters()
    }

    fn as_any(&self) -> &dyn Any {
        self.component.as_any()
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self.component.as_any_mut()
    }
}
