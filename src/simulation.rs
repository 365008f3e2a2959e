//! From a scenario to components on links, and from their reports to a summary.
//!
//! ```text
//!  server host ══ PCIe ══ NIC under test ══ wire ══ smoltcp client
//!                                             └════ NIC ══ PCIe ══ client host
//! ```

pub mod lone;

use crate::absent::Absent;
use crate::blame::{Post, Watch, write_requests, write_worst};
use crate::results::{
    NicSummary, Percentiles, SUMMARY_SCHEMA, StageCycles, Summary, gigabits_per_second,
};
use crate::scenario::{
    App, CpuProfileName, NicModel, Pcie, PeerKind, Scenario, Settings, TopologyKind,
};
use crate::verdict::{Measured, Verdict};
use anyhow::{Context, Result, anyhow};
use hallux_channel::{ClockPeriod, LineRate, Probability, Seed, Time};
use hallux_cosim::engine::{ComponentId, Direction, Partition, Simulation};
use hallux_cosim::nic::mac::MacParameters;
use hallux_cosim::nic::pcie::{Generation, LinkParameters};
use hallux_cosim::nic::{RtlNic, RtlNicConfig};
use hallux_cosim::observe::passages::PassageLog;
use hallux_cosim::observe::pcapng::PcapngWriter;
use hallux_cosim::observe::rtt::TcpObserver;
use hallux_host::application::Network;
use hallux_host::apps::files::FileTree;
use hallux_host::apps::report::{Exchange, Report, Spans};
use hallux_host::apps::{http, rpc};
use hallux_host::behavioural::{BehaviouralConfig, BehaviouralNic};
use hallux_host::control::HostConfig;
use hallux_host::cpu::CpuProfile;
use hallux_host::host::Host;
use hallux_host::network::{Impairments, Switch, SwitchConfig, Wire};
use hallux_host::peer::smoltcp::{SmoltcpConfig, SmoltcpHost};
use hallux_toe::design::DesignPoint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Name of the NIC under test.
pub const NIC: &str = "server-nic";
/// Name of the NIC at the other end, where there is one.
pub const PEER_NIC: &str = "client-nic";

const SERVER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
const CLIENT_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 2];
const SERVER_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const CLIENT_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// Makes the RTL NIC components of a run; the caller knows the compiled model.
/// `None` leaves an empty place where the NIC is, in a process that does not run it.
pub type MakeNic<'a> = dyn FnMut(RtlNicConfig) -> Result<Option<RtlNic>> + 'a;

/// What the client applications reported, whatever the application is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Work {
    /// Bytes found right.
    pub verified: u64,
    /// Bytes found wrong or missing.
    pub mismatched: u64,
    /// Requests answered rightly.
    pub requests: u64,
    /// One sentence for each failure.
    pub failures: Vec<String>,
    /// Request latencies.
    #[serde(with = "spans")]
    pub latency: Spans,
    /// Each request with its answer.
    pub exchanges: Vec<Exchange>,
    /// First request, in picoseconds.
    pub started: Option<u64>,
    /// Last answer, in picoseconds.
    pub finished: Option<u64>,
}

/// Latencies on their way between processes.
mod spans {
    use super::Spans;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(spans: &Spans, serializer: S) -> Result<S::Ok, S::Error> {
        spans.counts().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Spans, D::Error> {
        let counts = Vec::<(u64, u64)>::deserialize(deserializer)?;
        Ok(Spans::from_counts(&counts))
    }
}

/// What a summary is made of, beside what passed the wire: all of it, or the part that
/// one process found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Findings {
    /// Of the clients.
    pub work: Work,
    /// Why the server does not serve.
    pub server_failure: Option<String>,
    /// Of each RTL NIC.
    pub nics: BTreeMap<String, NicSummary>,
    /// Of every other component.
    pub counters: BTreeMap<String, BTreeMap<String, u64>>,
    /// Where everything was and when, in each RTL NIC.
    pub passages: BTreeMap<String, PassageLog>,
    /// Clock cycles evaluated in RTL.
    pub evaluated_cycles: u64,
}

impl Findings {
    /// These and those of another process.
    pub fn and(mut self, other: Findings) -> Findings {
        self.work = self.work.and(other.work);
        self.server_failure = self.server_failure.or(other.server_failure);
        self.nics.extend(other.nics);
        self.counters.extend(other.counters);
        self.passages.extend(other.passages);
        self.evaluated_cycles += other.evaluated_cycles;
        self
    }
}

impl Work {
    /// This and the work of another client.
    pub fn and(mut self, other: Work) -> Work {
        self.verified += other.verified;
        self.mismatched += other.mismatched;
        self.requests += other.requests;
        self.failures.extend(other.failures);
        self.latency.merge(&other.latency);
        self.exchanges.extend(other.exchanges);
        self.started = [self.started, other.started].into_iter().flatten().min();
        self.finished = self.finished.max(other.finished);
        self
    }
}

#[derive(Clone)]
enum Client {
    Http(Report<http::ClientReport>),
    Rpc(Report<rpc::ClientReport>),
}

impl Client {
    fn work(&self) -> Work {
        match self {
            Client::Http(report) => {
                let report = report.get();
                Work {
                    verified: report.bytes_verified,
                    mismatched: report.bytes_mismatched,
                    requests: report.files_verified,
                    failures: report.failures,
                    latency: report.latency,
                    exchanges: report.exchanges,
                    started: report.started.map(Time::ps),
                    finished: report.finished.map(Time::ps),
                }
            }
            Client::Rpc(report) => {
                let report = report.get();
                Work {
                    verified: report.bytes_verified,
                    mismatched: report.bytes_mismatched,
                    requests: report.completed,
                    failures: report.failures,
                    latency: report.latency,
                    exchanges: report.exchanges,
                    started: report.started.map(Time::ps),
                    finished: report.finished.map(Time::ps),
                }
            }
        }
    }

    fn verified_bytes(&self) -> u64 {
        match self {
            Client::Http(report) => report.with(|report| report.bytes_verified),
            Client::Rpc(report) => report.with(|report| report.bytes_verified),
        }
    }
}

/// A scenario, put together.
pub struct Assembly {
    /// The components, ready to run.
    pub simulation: Simulation,
    nics: Vec<(String, ComponentId)>,
    clients: Vec<Client>,
    server_failure: ServerFailure,
    traffic: Arc<Mutex<TcpObserver>>,
    watch: Watch,
    /// Bytes the clients will verify when all goes well.
    pub expected_bytes: u64,
}

/// Reads the files a scenario serves, so that a mistake shows before anything is built.
///
/// # Errors
/// The directory cannot be read.
pub fn load_files(scenario: &Scenario) -> Result<Option<Arc<FileTree>>> {
    match scenario.settings.app {
        App::Http { .. } => Ok(Some(Arc::new(FileTree::load(&scenario.root)?))),
        App::Rpc { .. } => Ok(None),
    }
}

/// Puts the components of `scenario` together; frames go to the file `capture`.
///
/// # Errors
/// A value that no component accepts, or a capture file that cannot be made.
pub fn assemble(
    scenario: &Scenario,
    files: Option<Arc<FileTree>>,
    capture: Option<&Path>,
    make_nic: &mut MakeNic<'_>,
) -> Result<Assembly> {
    let mut world = World {
        simulation: Simulation::new(),
        scenario,
        files,
        make_nic,
        nics: vec![],
    };
    let (server, server_failure) = world.add_server()?;
    let clients = (0..scenario.settings.peer.count)
        .map(|number| world.add_client(number))
        .collect::<Result<Vec<_>>>()?;
    let ends: Vec<End> = clients.iter().map(|(_, end, _)| *end).collect();
    world.join(server, &ends)?;
    let World {
        mut simulation,
        nics,
        ..
    } = world;

    let name = match nics.is_empty() && scenario.settings.nic.model == NicModel::Smoltcp {
        true => "server",
        false => NIC,
    };
    let interface = simulation.tap(server, name)?;
    let traffic = Arc::new(Mutex::new(TcpObserver::new(interface)));
    simulation.add_sink(Arc::clone(&traffic));
    for (name, nic) in &nics {
        simulation.tap((*nic, "eth"), name)?;
    }
    if let Some(path) = capture {
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let file = BufWriter::new(file);
        simulation.add_sink(PcapngWriter::new(file, simulation.interfaces())?);
    }
    let expected_bytes = clients.iter().map(|(.., bytes)| bytes).sum();
    let post = |host: &str, nic: &str, number, end| {
        let suffix = suffix(scenario, number);
        Post {
            host: format!("{host}{suffix}"),
            nic: format!("{nic}{suffix}"),
            end,
        }
    };
    let server = Post {
        host: "server".into(),
        nic: NIC.into(),
        end: server,
    };
    let ends = (0..).zip(&ends);
    let ends = ends.map(|(number, end)| post("client", PEER_NIC, number, *end));
    let ends = ends.collect();
    let watch = Watch::attach(&mut simulation, server, ends)?;
    Ok(Assembly {
        simulation,
        nics,
        clients: clients.into_iter().map(|(client, ..)| client).collect(),
        server_failure,
        traffic,
        watch,
        expected_bytes,
    })
}

/// An Ethernet port.
type End = (ComponentId, &'static str);

/// A way to ask why the server application does not serve.
type ServerFailure = Box<dyn Fn() -> Option<String> + Send>;

/// A scenario that is being put together.
struct World<'a, 'b> {
    simulation: Simulation,
    scenario: &'a Scenario,
    files: Option<Arc<FileTree>>,
    make_nic: &'a mut MakeNic<'b>,
    nics: Vec<(String, ComponentId)>,
}

impl World<'_, '_> {
    /// The server with its NIC.
    fn add_server(&mut self) -> Result<(End, ServerFailure)> {
        if self.scenario.settings.nic.model == NicModel::Smoltcp {
            let server = self.smoltcp_host("server", SERVER_MAC, SERVER_IP)?;
            let network = server.network();
            let failure = spawn_server(self.scenario, self.files.as_ref(), network, |work| {
                server.run_in_background(work)
            });
            let id = self.simulation.add(server)?;
            return Ok(((id, "eth0"), failure));
        }
        let server = host(self.scenario, "server", SERVER_MAC, SERVER_IP)?;
        let network = server.network();
        let failure = spawn_server(self.scenario, self.files.as_ref(), network, |work| {
            server.run_in_background(work)
        });
        Ok((self.add_host(server, NIC)?, failure))
    }

    /// Client number `number` with its work, and the bytes it will verify.
    fn add_client(&mut self, number: u32) -> Result<(Client, End, u64)> {
        let suffix = suffix(self.scenario, number);
        let name = format!("client{suffix}");
        // The validated count keeps the last byte within its range.
        let mut mac = CLIENT_MAC;
        mac[5] += number as u8;
        let [a, b, c, last] = CLIENT_IP.octets();
        let ip = Ipv4Addr::new(a, b, c, last + number as u8);
        let seed = match number {
            0 => Seed(self.scenario.settings.seed),
            _ => Seed(Seed(self.scenario.settings.seed).stream(&name).bits()),
        };
        let files = self.files.clone();
        match self.scenario.settings.peer.kind {
            PeerKind::Smoltcp => {
                let peer = self.smoltcp_host(&name, mac, ip)?;
                let network = peer.network();
                let (client, bytes) =
                    spawn_client(self.scenario, files.as_ref(), seed, network, |work| {
                        peer.run_to_end(work)
                    });
                let id = self.simulation.add(peer)?;
                Ok((client, (id, "eth0"), bytes))
            }
            PeerKind::Toe => {
                let peer = host(self.scenario, &name, mac, ip)?;
                let network = peer.network();
                let (client, bytes) =
                    spawn_client(self.scenario, files.as_ref(), seed, network, |work| {
                        peer.run_to_end(work)
                    });
                let end = self.add_host(peer, &format!("{PEER_NIC}{suffix}"))?;
                Ok((client, end, bytes))
            }
        }
    }

    fn smoltcp_host(&self, name: &str, mac: [u8; 6], ip: Ipv4Addr) -> Result<SmoltcpHost> {
        let settings = &self.scenario.settings;
        Ok(SmoltcpHost::new(SmoltcpConfig {
            line_rate: line_rate(self.scenario)?,
            buffer: settings.peer.buffer.0 as usize,
            mtu: settings.link.mtu.0 as usize,
            ..SmoltcpConfig::new(name, mac, ip, Seed(settings.seed))
        }))
    }

    /// A host behind a NIC of the name `nic`.
    fn add_host(&mut self, host: Host, nic: &str) -> Result<End> {
        let host = self.simulation.add(host)?;
        let (scenario, nics) = (self.scenario, &mut self.nics);
        let nic = add_nic(&mut self.simulation, scenario, nic, self.make_nic, nics)?;
        let delay = Time::from_ps(scenario.settings.pcie.delay.0);
        self.simulation
            .connect((nic, "pcie"), (host, "pcie"), delay)?;
        Ok((nic, "eth"))
    }

    /// What lies between the server and its clients.
    fn join(&mut self, server: End, clients: &[End]) -> Result<()> {
        let settings = &self.scenario.settings;
        let delay = settings.link.delay.0;
        match settings.topology.kind {
            TopologyKind::Direct => self.wire(server, clients[0]),
            TopologyKind::Star => {
                let switch = Switch::new(
                    "switch",
                    SwitchConfig {
                        ports: clients.len() + 1,
                        rate: line_rate(self.scenario)?,
                        buffer: settings.topology.buffer.0,
                        ecn_threshold: Some(settings.topology.ecn_threshold.0),
                        forwarding_delay: Time::from_ps(settings.topology.forwarding_delay.0),
                    },
                );
                let switch = self.simulation.add(switch)?;
                if is_impaired(settings) {
                    self.wire(server, (switch, "p0"))?;
                } else {
                    let delay = Time::from_ps(delay);
                    self.simulation.connect(server, (switch, "p0"), delay)?;
                }
                for (client, port) in clients.iter().zip(1..) {
                    let port = format!("p{port}");
                    let delay = Time::from_ps(delay);
                    self.simulation.connect(*client, (switch, &port), delay)?;
                }
                Ok(())
            }
        }
    }

    /// A wire with the impairments of the scenario in the middle of a link.
    fn wire(&mut self, near: End, far: End) -> Result<()> {
        let settings = &self.scenario.settings;
        let impairments = impairments(self.scenario)?;
        let wire = Wire::new("wire", Seed(settings.seed), impairments, impairments);
        let wire = self.simulation.add(wire)?;
        // Half of the delay on either side of it.
        let delay = settings.link.delay.0;
        let (before, behind) = (Time::from_ps(delay / 2), Time::from_ps(delay.div_ceil(2)));
        self.simulation.connect(near, (wire, "a"), before)?;
        self.simulation.connect(far, (wire, "b"), behind)?;
        Ok(())
    }
}

/// What tells client number `number` from the others.
fn suffix(scenario: &Scenario, number: u32) -> String {
    match scenario.settings.peer.count > 1 {
        true => format!("-{number}"),
        false => String::new(),
    }
}

pub(crate) fn line_rate(scenario: &Scenario) -> Result<LineRate> {
    let rate = scenario.line_rate();
    LineRate::from_bps(rate.0).ok_or_else(|| anyhow!("link.rate {rate} is out of range"))
}

fn is_impaired(settings: &Settings) -> bool {
    let link = &settings.link;
    [link.loss, link.corrupt, link.duplicate, link.reorder]
        .into_iter()
        .any(|probability| probability > 0.0)
}

fn impairments(scenario: &Scenario) -> Result<Impairments> {
    let link = &scenario.settings.link;
    let probability =
        |value| Probability::new(value).ok_or_else(|| anyhow!("{value} is no probability"));
    Ok(Impairments {
        loss: probability(link.loss)?,
        corruption: probability(link.corrupt)?,
        duplication: probability(link.duplicate)?,
        reordering: probability(link.reorder)?,
        reordering_delay: Time::from_ps(link.reorder_delay.0),
        ..Impairments::default()
    })
}

fn host(scenario: &Scenario, name: &str, mac: [u8; 6], ip: Ipv4Addr) -> Result<Host> {
    let settings = &scenario.settings;
    let mut config = HostConfig::new(name, mac, ip, Seed(settings.seed));
    config.mtu = settings.link.mtu.0 as u16;
    config.rx_ring = settings.host.ring.0 as u32;
    config.tx_ring = settings.host.ring.0 as u32;
    config.timers.retransmission.min = Time::from_ps(settings.host.rto_min.0);
    config.cpu = match settings.host.cpu {
        CpuProfileName::Free => CpuProfile::free(),
        CpuProfileName::Flextoe => CpuProfile::flextoe(),
        CpuProfileName::Tas => CpuProfile::tas(),
        CpuProfileName::Linux => CpuProfile::linux(),
    };
    Ok(Host::new(config)?)
}

fn add_nic(
    simulation: &mut Simulation,
    scenario: &Scenario,
    name: &str,
    make_nic: &mut MakeNic<'_>,
    nics: &mut Vec<(String, ComponentId)>,
) -> Result<ComponentId> {
    let (settings, design) = (&scenario.settings, &scenario.design);
    let rate = line_rate(scenario)?;
    if settings.nic.model == NicModel::Behavioural {
        return Ok(simulation.add(BehaviouralNic::new(BehaviouralConfig {
            name: name.into(),
            connections: design.connections,
            contexts: design.contexts,
            buckets: design.flow_table_buckets,
            rate,
            ..BehaviouralConfig::default()
        }))?);
    }
    let mut config = rtl_nic_config(name, Seed(settings.seed), rate, &settings.pcie, design)?;
    config.passages = true;
    let id = match make_nic(config)? {
        Some(nic) => simulation.add(nic)?,
        None => simulation.add(Absent::nic(name))?,
    };
    nics.push((name.to_owned(), id));
    Ok(id)
}

/// What the RTL NIC `name` of `design` is like, with nothing observed.
///
/// # Errors
/// A value that no NIC accepts.
pub fn rtl_nic_config(
    name: &str,
    seed: Seed,
    rate: LineRate,
    pcie: &Pcie,
    design: &DesignPoint,
) -> Result<RtlNicConfig> {
    let pcie = pcie_link(pcie, design)?;
    let clock = ClockPeriod::from_hz(design.clock.0)
        .ok_or_else(|| anyhow!("a clock of {} has no period", design.clock))?;
    Ok(RtlNicConfig {
        pcie,
        mac: MacParameters {
            rate,
            ..MacParameters::default()
        },
        ..RtlNicConfig::new(name, clock, seed)
    })
}

/// The PCIe link of a NIC of `design`.
///
/// # Errors
/// There is no such generation.
pub fn pcie_link(pcie: &Pcie, design: &DesignPoint) -> Result<LinkParameters> {
    Ok(LinkParameters {
        generation: Generation::from_number(pcie.generation)
            .ok_or_else(|| anyhow!("PCIe generation {}", pcie.generation))?,
        lanes: pcie.lanes,
        max_payload: design.max_payload.into(),
        max_read_request: design.max_read_request.into(),
        root_latency: Time::from_ps(pcie.root_latency.0),
        root_spread: Time::from_ps(pcie.root_spread.0),
        ..LinkParameters::default()
    })
}

fn spawn_client<N: Network>(
    scenario: &Scenario,
    files: Option<&Arc<FileTree>>,
    seed: Seed,
    network: N,
    spawn: impl FnOnce(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>),
) -> (Client, u64) {
    let start = Time::from_ps(scenario.settings.start.0);
    match &scenario.settings.app {
        App::Http {
            connections,
            port,
            rounds,
            ..
        } => {
            let report = Report::new();
            let once = files.map(|files| files.manifest()).unwrap_or_default();
            let files: Vec<_> = (0..*rounds).flat_map(|_| once.iter().cloned()).collect();
            let expected = files.iter().map(|file| file.size).sum();
            let config = http::ClientConfig {
                server: SocketAddrV4::new(SERVER_IP, *port),
                connections: *connections as usize,
                files,
            };
            let work = http::fetch_all(network.clone(), config, report.clone());
            spawn(Box::pin(after(network, start, work)));
            (Client::Http(report), expected)
        }
        App::Rpc {
            connections,
            requests,
            size,
            port,
            think_time,
        } => {
            let report = Report::new();
            let sizes: Vec<usize> = size.as_slice().iter().map(|size| size.0 as usize).collect();
            let expected = (0..*requests as usize)
                .map(|i| sizes[i % sizes.len()] as u64)
                .sum::<u64>()
                * u64::from(*connections);
            let config = rpc::ClientConfig {
                server: SocketAddrV4::new(SERVER_IP, *port),
                connections: *connections as usize,
                sizes: rpc::Sizes::Cycle(sizes),
                requests: Some((*requests).into()),
                until: None,
                warm_up: Time::ZERO,
                think_time: Time::from_ps(think_time.0),
                seed,
            };
            let work = rpc::call_all(network.clone(), config, report.clone());
            spawn(Box::pin(after(network, start, work)));
            (Client::Rpc(report), expected)
        }
    }
}

/// Does `work` from `start` on.
async fn after<N: Network>(network: N, start: Time, work: impl Future<Output = ()>) {
    network.sleep(start).await;
    work.await;
}

/// Room for all connections of all clients at once.
fn backlog(scenario: &Scenario, connections: u32) -> usize {
    (connections as usize * scenario.settings.peer.count as usize).max(16)
}

fn spawn_server<N: Network>(
    scenario: &Scenario,
    files: Option<&Arc<FileTree>>,
    network: N,
    spawn: impl FnOnce(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>),
) -> Box<dyn Fn() -> Option<String> + Send> {
    match &scenario.settings.app {
        App::Http {
            connections, port, ..
        } => {
            let report = Report::<http::ServerReport>::new();
            let config = http::ServerConfig {
                port: *port,
                backlog: backlog(scenario, *connections),
            };
            let files = files.map(Arc::clone).unwrap_or_default();
            spawn(Box::pin(http::serve(
                network,
                files,
                config,
                report.clone(),
            )));
            Box::new(move || report.get().failure.map(|failure| failure.to_string()))
        }
        App::Rpc {
            connections, port, ..
        } => {
            let report = Report::<rpc::ServerReport>::new();
            let backlog = backlog(scenario, *connections);
            spawn(Box::pin(rpc::serve(
                network,
                *port,
                backlog,
                report.clone(),
            )));
            Box::new(move || report.get().failure.map(|failure| failure.to_string()))
        }
    }
}

impl Assembly {
    /// What the client applications have done so far.
    pub fn work(&self) -> Work {
        let mut clients = self.clients.iter().map(Client::work);
        let first = clients.next().unwrap_or_default();
        clients.fold(first, Work::and)
    }

    /// A handle on the clients' verified bytes, for a progress display.
    pub fn verified_bytes(&self) -> impl Fn() -> u64 + use<> {
        let clients = self.clients.clone();
        move || clients.iter().map(Client::verified_bytes).sum()
    }

    /// Why the server application is not serving, if it is not.
    pub fn server_failure(&self) -> Option<String> {
        (self.server_failure)()
    }

    /// The RTL NICs by name, the one under test first.
    pub fn nics(&self) -> impl Iterator<Item = (&str, &RtlNic)> {
        self.nics.iter().filter_map(|(name, id)| {
            self.simulation
                .component::<RtlNic>(*id)
                .map(|nic| (name.as_str(), nic))
        })
    }

    /// The NICs of either kind by name, the one under test first.
    pub fn devices(&self) -> Vec<(String, ComponentId)> {
        let named = |name: &str| Some((name.to_owned(), self.simulation.find(name)?));
        [NIC, PEER_NIC].into_iter().filter_map(named).collect()
    }

    /// The RTL NIC under test, or the first of the scenario; `None` if another process
    /// runs it.
    pub fn tested_nic(&self) -> Option<(&str, &RtlNic)> {
        let (name, id) = self.nics.first()?;
        Some((name, self.simulation.component::<RtlNic>(*id)?))
    }

    /// The RTL NIC at `index`, to change.
    pub fn nic_mut(&mut self, index: usize) -> Option<&mut RtlNic> {
        let (_, id) = self.nics.get(index)?;
        self.simulation.component_mut::<RtlNic>(*id)
    }

    /// The place of each component in the order of adding; `*` is that of all that have no
    /// other.
    ///
    /// # Errors
    /// The scenario places a component that does not exist.
    pub fn placement(&self, scenario: &Scenario) -> Result<Vec<Option<String>>> {
        const OTHERS: &str = "*";
        let placement = &scenario.settings.placement;
        let names: Vec<&str> = self.simulation.names().collect();
        for component in placement.keys() {
            if component != OTHERS && !names.contains(&component.as_str()) {
                return Err(anyhow!(
                    "`placement` names `{component}`, but the components are {}",
                    names.join(", ")
                ));
            }
        }
        let others = placement.get(OTHERS);
        let place = |name| placement.get(name).or(others).cloned();
        Ok(names.into_iter().map(place).collect())
    }

    /// The components by their places; those without one have a place of their own.
    pub fn processes(&self, placement: &[Option<String>]) -> Partition {
        let names = self.simulation.names().zip(placement);
        Partition::by_key(names.map(|(name, place)| match place {
            Some(place) => (true, place.clone()),
            None => (false, name.to_owned()),
        }))
    }

    /// The components distributed over `workers` workers.
    pub fn partition(&self, workers: usize) -> Partition {
        /// What an RTL model costs beside a component that only reacts.
        const RTL_WEIGHT: u64 = 100;
        let is_rtl = |name: &str| self.nics.iter().any(|(nic, _)| nic == name);
        self.simulation
            .distribute(workers, |name| match is_rtl(name) {
                true => RTL_WEIGHT,
                false => 1,
            })
    }

    /// What was found at the components whose names are `own`.
    pub fn findings(&self, own: impl Fn(&str) -> bool) -> Findings {
        let nics = || self.nics().filter(|(name, _)| own(name));
        let counters = self.counters().into_iter();
        Findings {
            work: self.work(),
            server_failure: self.server_failure(),
            nics: nics()
                .map(|(name, nic)| (name.to_owned(), nic_summary(nic)))
                .collect(),
            counters: counters.filter(|(name, _)| own(name)).collect(),
            passages: nics()
                .filter_map(|(name, nic)| Some((name.to_owned(), nic.passages()?.clone())))
                .collect(),
            evaluated_cycles: nics().map(|(_, nic)| nic.report().evaluated_cycles).sum(),
        }
    }

    /// The summary of a run that ended at `end` with these findings.
    pub fn summary(
        &self,
        scenario: &Scenario,
        findings: &Findings,
        rtl: &str,
        end: Time,
        complete: bool,
    ) -> Summary {
        let Findings {
            work,
            nics,
            counters,
            passages,
            ..
        } = findings;
        let span = match (work.started, work.finished) {
            (Some(started), Some(finished)) => finished.saturating_sub(started),
            _ => 0,
        };
        let observer = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        let (received, sent) = (
            observer.traffic(Direction::Received),
            observer.traffic(Direction::Sent),
        );
        let mut segments = BTreeMap::new();
        for (side, traffic) in [("received", received), ("sent", sent)] {
            for (kind, count) in traffic.segments.by_name() {
                segments.insert(format!("{kind}_{side}"), count);
            }
        }
        let tested = nics.get(NIC).cloned().unwrap_or_default();
        let (blame, unhindered) = self.watch.blame(scenario, &work.exchanges, passages);
        let verdict = Verdict::of(&Measured {
            scenario,
            nic: nics.get(NIC),
            counters,
            span,
            verified: work.verified,
            requests: work.requests,
            exchanges: &work.exchanges,
            unhindered: &unhindered,
            retransmitted: received.retransmitted_segments + sent.retransmitted_segments,
        });
        Summary {
            schema: SUMMARY_SCHEMA,
            complete,
            scenario: scenario.settings.name.clone(),
            design: scenario.design.name.clone(),
            rtl: rtl.to_owned(),
            seed: scenario.settings.seed,
            simulated_ps: end.ps(),
            clock_cycles: tested.clock_cycles,
            bytes_verified: work.verified,
            bytes_mismatched: work.mismatched,
            goodput_gbps: gigabits_per_second(work.verified, span),
            segments,
            retransmitted_segments: received.retransmitted_segments + sent.retransmitted_segments,
            rtt_ps: percentiles(sent.rtt_samples(), |share| sent.rtt_quantile(share)),
            request_ps: requests(work),
            stages: tested.stages,
            pcie: tested.pcie,
            drops: tested.drops,
            nics: nics.clone(),
            counters: counters.clone(),
            verdict,
            blame,
        }
    }
}

fn percentiles(samples: u64, quantile: impl Fn(u32) -> Time) -> Percentiles {
    let at = |per_10_000| quantile(per_10_000).ps();
    Percentiles {
        samples,
        p50: at(5_000),
        p99: at(9_900),
        p999: at(9_990),
        p9999: at(9_999),
    }
}

/// Request latencies, to the picosecond.
fn requests(work: &Work) -> Percentiles {
    let mut latencies: Vec<u64> = work.exchanges.iter().map(Exchange::latency).collect();
    latencies.sort_unstable();
    percentiles(latencies.len() as u64, |per_10_000| {
        let rank = (latencies.len() as u64 * u64::from(per_10_000)).div_ceil(10_000);
        let index = (rank as usize).saturating_sub(1);
        Time::from_ps(latencies.get(index).copied().unwrap_or(0))
    })
}

impl Assembly {
    /// Writes the longest request of a run with these findings as a trace of its own,
    /// `path`; nothing if there was none.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_worst(&self, scenario: &Scenario, findings: &Findings, path: &Path) -> Result<()> {
        let (exchanges, logs) = (&findings.work.exchanges, &findings.passages);
        if exchanges.is_empty() {
            return Ok(());
        }
        let place = || format!("cannot write {}", path.display());
        let mut file = BufWriter::new(File::create(path).with_context(place)?);
        self.watch.follow(scenario, exchanges, logs, |ways, _| {
            write_worst(ways, NIC, logs.get(NIC), &mut file)?;
            file.flush()
        })?;
        Ok(())
    }

    /// Writes every request of a run with these findings, one a line, with its parts.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_requests(
        &self,
        scenario: &Scenario,
        findings: &Findings,
        path: &Path,
    ) -> Result<()> {
        let (exchanges, logs) = (&findings.work.exchanges, &findings.passages);
        let place = || format!("cannot write {}", path.display());
        let mut file = BufWriter::new(File::create(path).with_context(place)?);
        self.watch.follow(scenario, exchanges, logs, |ways, _| {
            write_requests(ways, exchanges, &mut file)?;
            file.flush()
        })?;
        Ok(())
    }

    /// Counters of every component but the RTL NICs, which have a place of their own.
    fn counters(&self) -> BTreeMap<String, BTreeMap<String, u64>> {
        let is_nic = |name: &str| self.nics.iter().any(|(nic, _)| nic == name);
        self.simulation
            .counters()
            .into_iter()
            .filter(|(component, _)| !is_nic(component))
            .map(|(component, counters)| {
                let counters = counters
                    .into_iter()
                    .map(|counter| (counter.name.to_string(), counter.value))
                    .collect();
                (component, counters)
            })
            .collect()
    }
}

fn nic_summary(nic: &RtlNic) -> NicSummary {
    let report = nic.report();
    NicSummary {
        clock_cycles: report.clock_cycles,
        stages: report
            .stages
            .iter()
            .map(|(name, stage)| {
                let cycles = StageCycles {
                    busy: stage.busy,
                    blocked: stage.blocked,
                    starved: stage.starved,
                };
                (name.clone(), cycles)
            })
            .collect(),
        pcie: report.pcie,
        drops: report.drops,
        demand: [
            ("rx_frames", report.rx_frames),
            ("rx_bytes", report.rx_bytes),
            ("tx_frames", report.tx_frames),
            ("tx_bytes", report.tx_bytes),
            ("tx_beats", report.demand.tx_beats),
            ("completion_beats", report.demand.completion_beats),
            ("payload_reads", report.demand.payload_reads),
            ("payload_read_bytes", report.demand.payload_read_bytes),
            ("busiest_flow_events", report.demand.busiest_flow_events()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into(),
    }
}
