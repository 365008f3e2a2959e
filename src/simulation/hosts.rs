//! The hosts of a scenario with their work, each by its name.

use super::applications::{Client, ServerFailure, spawn_client, spawn_proxy, spawn_server};
use super::nic::line_rate;
use super::work::Work;
use crate::scenario::{CongestionName, CpuProfileName, NicModel, PeerKind, Scenario};
use anyhow::{Result, bail};
use hallux_channel::{Component, Seed, Time};
use hallux_host::application::Network;
use hallux_host::apps::files::FileTree;
use hallux_host::control::{CongestionControl, HostConfig};
use hallux_host::cpu::CpuProfile;
use hallux_host::driver::{CaptureModule, SpliceModule, TraceModule};
use hallux_host::host::Host;
use hallux_host::peer::smoltcp::{SmoltcpConfig, SmoltcpHost};
use hallux_toe::interface::modules::Kind;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Name of the host that serves.
pub(super) const SERVER: &str = "server";
pub(super) const SERVER_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SERVER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
/// Of the first client; the others follow.
const CLIENT_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const CLIENT_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 2];

/// Name of the host behind a proxy.
pub(super) const BACKEND: &str = "backend";
/// Behind the addresses of all clients.
pub(super) const BACKEND_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
const BACKEND_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xfe];

/// Who a host is.
struct Identity {
    name: String,
    mac: [u8; 6],
    ip: Ipv4Addr,
    /// Of what its application draws.
    seed: Seed,
}

/// What is behind the number of a client in names, if there are several.
pub(super) fn suffix(scenario: &Scenario, number: u32) -> String {
    match scenario.settings.peer.count {
        1 => String::new(),
        _ => format!("-{number}"),
    }
}

/// The name of client number `number`.
pub(super) fn client_name(scenario: &Scenario, number: u32) -> String {
    format!("client{}", suffix(scenario, number))
}

impl Identity {
    fn server(scenario: &Scenario) -> Self {
        Self {
            name: SERVER.to_owned(),
            mac: SERVER_MAC,
            ip: SERVER_IP,
            seed: Seed(scenario.settings.seed),
        }
    }

    fn backend(scenario: &Scenario) -> Self {
        Self {
            name: BACKEND.to_owned(),
            mac: BACKEND_MAC,
            ip: BACKEND_IP,
            seed: Seed(Seed(scenario.settings.seed).stream(BACKEND).bits()),
        }
    }

    /// Of client number `number`.
    fn client(scenario: &Scenario, number: u32) -> Self {
        let name = client_name(scenario, number);
        // The validated count keeps the last byte within its range.
        let (mut mac, [a, b, c, last]) = (CLIENT_MAC, CLIENT_IP.octets());
        mac[5] += number as u8;
        let seed = match number {
            0 => Seed(scenario.settings.seed),
            _ => Seed(Seed(scenario.settings.seed).stream(&name).bits()),
        };
        Self {
            name,
            mac,
            ip: Ipv4Addr::new(a, b, c, last + number as u8),
            seed,
        }
    }
}

/// A host of a scenario with its work.
pub struct WorkingHost {
    /// The host.
    pub component: Box<dyn Component>,
    /// Name of its port: [`PCIE`](Self::PCIE) or [`ETHERNET`](Self::ETHERNET).
    pub port: &'static str,
    /// Bytes it will verify when all goes well; none of a server.
    pub expected_bytes: u64,
    /// What is left to ask about its work.
    pub work: HostWork,
}

impl WorkingHost {
    /// Its port in front of a NIC.
    pub const PCIE: &str = "pcie";
    /// Its port if it has an independent stack.
    pub const ETHERNET: &str = "eth0";

    /// The host `name` of `scenario`: `server`, `client`, or `client-3` of several; `backend`
    /// behind a proxy.
    ///
    /// # Errors
    /// There is no such host, or a value that no host accepts.
    pub fn of(scenario: &Scenario, files: Option<&Arc<FileTree>>, name: &str) -> Result<Self> {
        if name == SERVER {
            return Self::server(scenario, files);
        }
        let backend = scenario.settings.proxy.is_some();
        if name == BACKEND && backend {
            return Self::backend(scenario, files);
        }
        let mut names = (0..scenario.settings.peer.count)
            .map(|number| client_name(scenario, number))
            .collect::<Vec<_>>();
        let Some(number) = names.iter().position(|known| known == name) else {
            names.insert(0, SERVER.to_owned());
            names.extend(backend.then(|| BACKEND.to_owned()));
            bail!(
                "the scenario has no host `{name}`; it has {}",
                names.join(", ")
            );
        };
        Self::client(scenario, files, number as u32)
    }

    pub(super) fn server(scenario: &Scenario, files: Option<&Arc<FileTree>>) -> Result<Self> {
        let own = Identity::server(scenario);
        let (component, port, failure): (Box<dyn Component>, _, _) =
            match scenario.settings.nic.model {
                NicModel::Smoltcp => {
                    let server = independent(scenario, &own)?;
                    let failure = serve(scenario, files, server.network(), |work| {
                        server.run_in_background(work)
                    });
                    (Box::new(server), Self::ETHERNET, failure)
                }
                _ => {
                    let server = offloaded(scenario, &own)?;
                    let failure = serve(scenario, files, server.network(), |work| {
                        server.run_in_background(work)
                    });
                    (Box::new(server), Self::PCIE, failure)
                }
            };
        Ok(Self {
            component,
            port,
            expected_bytes: 0,
            work: HostWork(Role::Server(failure)),
        })
    }

    /// The host that does the work behind a proxy.
    pub(super) fn backend(scenario: &Scenario, files: Option<&Arc<FileTree>>) -> Result<Self> {
        let host = independent(scenario, &Identity::backend(scenario))?;
        let failure = spawn_server(scenario, files, host.network(), |work| {
            host.run_in_background(work)
        });
        Ok(Self {
            component: Box::new(host),
            port: Self::ETHERNET,
            expected_bytes: 0,
            work: HostWork(Role::Server(failure)),
        })
    }

    /// Client number `number`.
    pub(super) fn client(
        scenario: &Scenario,
        files: Option<&Arc<FileTree>>,
        number: u32,
    ) -> Result<Self> {
        let own = Identity::client(scenario, number);
        let (component, port, (client, expected_bytes)): (Box<dyn Component>, _, _) =
            match scenario.settings.peer.kind {
                PeerKind::Smoltcp => {
                    let peer = independent(scenario, &own)?;
                    let work = spawn_client(scenario, files, own.seed, peer.network(), |work| {
                        peer.run_to_end(work)
                    });
                    (Box::new(peer), Self::ETHERNET, work)
                }
                PeerKind::Toe => {
                    let peer = offloaded(scenario, &own)?;
                    let work = spawn_client(scenario, files, own.seed, peer.network(), |work| {
                        peer.run_to_end(work)
                    });
                    (Box::new(peer), Self::PCIE, work)
                }
            };
        Ok(Self {
            component,
            port,
            expected_bytes,
            work: HostWork(Role::Client(client)),
        })
    }
}

/// What the server does: the work, or sending it on.
fn serve<N: Network>(
    scenario: &Scenario,
    files: Option<&Arc<FileTree>>,
    network: N,
    spawn: impl FnOnce(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>),
) -> ServerFailure {
    match &scenario.settings.proxy {
        Some(proxy) => spawn_proxy(scenario, proxy, network, spawn),
        None => spawn_server(scenario, files, network, spawn),
    }
}

/// A host without a NIC that offloads anything.
fn independent(scenario: &Scenario, own: &Identity) -> Result<SmoltcpHost> {
    let seed = Seed(scenario.settings.seed);
    Ok(SmoltcpHost::new(SmoltcpConfig {
        line_rate: line_rate(scenario)?,
        buffer: scenario.settings.peer.buffer.0 as usize,
        mtu: scenario.settings.link.mtu.0 as usize,
        vlan: scenario.settings.peer.vlan,
        ..SmoltcpConfig::new(own.name.as_str(), own.mac, own.ip, seed)
    }))
}

/// A host behind a NIC.
fn offloaded(scenario: &Scenario, own: &Identity) -> Result<Host> {
    let settings = &scenario.settings;
    let seed = Seed(settings.seed);
    let mut config = HostConfig::new(own.name.as_str(), own.mac, own.ip, seed);
    config.mtu = settings.link.mtu.0 as u16;
    config.rx_ring = settings.host.ring.0 as u32;
    config.tx_ring = settings.host.ring.0 as u32;
    config.contexts = settings.host.contexts;
    config.delayed_acks = settings.host.delayed_acks;
    config.ecn = settings.host.ecn;
    config.congestion = match settings.host.congestion {
        CongestionName::None => CongestionControl::None,
        CongestionName::Dctcp => CongestionControl::Dctcp,
    };
    config.sack = settings.host.sack;
    config.interrupt_interval = Time::from_ps(settings.host.interrupt_interval.0);
    config.registers = scenario.registers.clone();
    let modules = (0..).zip(&scenario.design.modules);
    config.captures = modules
        .filter(|(_, point)| point.kind == Kind::Capture)
        .map(|(module, point)| CaptureModule {
            module,
            slot: point.slot,
            ring_log2: settings.host.capture_ring.0.ilog2() as u8,
        })
        .collect();
    let number = |kind| {
        let modules = (0..).zip(&scenario.design.modules);
        let mut found = modules.filter(move |(_, point)| point.kind == kind);
        found.next()
    };
    config.splice = number(Kind::Splice).map(|(module, point)| SpliceModule {
        module,
        places: point.places.unwrap_or(64) as u16,
    });
    config.trace = number(Kind::Trace).map(|(module, _)| TraceModule { module });
    config.trace_interval = Time::from_ps(settings.host.trace_interval.0);
    config.classifies = number(Kind::Classify).is_some();
    config.timers.retransmission.min = Time::from_ps(settings.host.rto_min.0);
    config.cpu = match settings.host.cpu {
        CpuProfileName::Free => CpuProfile::free(),
        CpuProfileName::Flextoe => CpuProfile::flextoe(),
        CpuProfileName::Tas => CpuProfile::tas(),
        CpuProfileName::Linux => CpuProfile::linux(),
    };
    Ok(Host::new(config)?)
}

/// What became of the work of a host.
pub struct HostWork(Role);

enum Role {
    Server(ServerFailure),
    Client(Client),
}

impl HostWork {
    /// What the client application has done; `None` of a server.
    pub fn client(&self) -> Option<Work> {
        self.handle().map(Client::work)
    }

    /// The client application.
    pub(super) fn handle(&self) -> Option<&Client> {
        match &self.0 {
            Role::Client(client) => Some(client),
            Role::Server(_) => None,
        }
    }

    /// Why the server application does not serve.
    pub fn server_failure(&self) -> Option<String> {
        match &self.0 {
            Role::Server(failure) => failure(),
            Role::Client(_) => None,
        }
    }
}
