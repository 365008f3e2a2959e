//! From a scenario to components on links, and from their reports to a summary.
//!
//! ```text
//!  server host ══ PCIe ══ NIC under test ══ wire ══ smoltcp client
//!                                             └════ NIC ══ PCIe ══ client host
//! ```

mod applications;
pub mod ending;
pub mod hosts;
mod nic;
mod summary;
mod tracepoints;
mod work;
mod world;

pub use nic::{line_rate, pcie_link, rtl_nic_config};
pub use summary::{write_mirrored, write_requests, write_worst};
pub use tracepoints::write_tracepoints;
pub use work::{Findings, Work};

use crate::blame::{Post, Watch};
use crate::scenario::{App, NicModel, Scenario};
use anyhow::{Context, Result, anyhow};
use applications::Client;
use hallux_cosim::engine::{ComponentId, Partition, Simulation};
use hallux_cosim::nic::{RtlNic, RtlNicConfig};
use hallux_cosim::observe::pcapng::PcapngWriter;
use hallux_cosim::observe::rtt::TcpObserver;
use hallux_host::apps::files::FileTree;
use hosts::{HostWork, WorkingHost};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use world::World;

/// Bytes of a capture that are written at once.
const CAPTURE_BUFFER: usize = 256 << 10;

/// Name of the NIC under test.
pub const NIC: &str = "server-nic";
/// Name of the NIC at the other end, where there is one.
pub const PEER_NIC: &str = "client-nic";

/// Makes the RTL NIC components of a run; the caller knows the compiled model.
/// `None` leaves an empty place where the NIC is, in a process that does not run it.
pub type MakeNic<'a> = dyn FnMut(RtlNicConfig) -> Result<Option<RtlNic>> + 'a;

/// A scenario, put together.
pub struct Assembly {
    /// The components, ready to run.
    pub simulation: Simulation,
    nics: Vec<(String, ComponentId)>,
    works: Vec<HostWork>,
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
        make_nic,
        nics: vec![],
    };
    let WorkingHost {
        component,
        port,
        work,
        ..
    } = WorkingHost::server(scenario, files.as_ref())?;
    let server = world.add_host(component, port, NIC)?;
    let (mut works, mut expected_bytes, mut ends) = (vec![work], 0, vec![]);
    for number in 0..scenario.settings.peer.count {
        let client = WorkingHost::client(scenario, files.as_ref(), number)?;
        let nic = format!("{PEER_NIC}{}", hosts::suffix(scenario, number));
        ends.push(world.add_host(client.component, client.port, &nic)?);
        works.push(client.work);
        expected_bytes += client.expected_bytes;
    }
    // Behind a proxy, whatever happens until the answer leaves it is one place of blame.
    let mut server_name = hosts::SERVER.to_owned();
    let clients = ends.len();
    if scenario.settings.proxy.is_some() {
        let backend = WorkingHost::backend(scenario, files.as_ref())?;
        ends.push(world.add_host(backend.component, backend.port, hosts::BACKEND)?);
        works.push(backend.work);
        server_name = format!("{server_name}-and-{}", hosts::BACKEND);
    }
    world.join(server, &ends)?;
    let World {
        mut simulation,
        nics,
        ..
    } = world;

    let name = match nics.is_empty() && scenario.settings.nic.model == NicModel::Smoltcp {
        true => hosts::SERVER,
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
        let file = BufWriter::with_capacity(CAPTURE_BUFFER, file);
        simulation.add_sink(PcapngWriter::new(file, simulation.interfaces())?);
    }
    let server = Post {
        host: server_name,
        nic: NIC.into(),
        end: server,
    };
    let posts = (0..).zip(&ends[..clients]).map(|(number, end)| Post {
        host: hosts::client_name(scenario, number),
        nic: format!("{PEER_NIC}{}", hosts::suffix(scenario, number)),
        end: *end,
    });
    let watch = Watch::attach(&mut simulation, server, posts.collect())?;
    Ok(Assembly {
        simulation,
        nics,
        works,
        traffic,
        watch,
        expected_bytes,
    })
}

impl Assembly {
    /// What the client applications have done so far.
    pub fn work(&self) -> Work {
        let clients = self.works.iter().filter_map(HostWork::client);
        clients.fold(Work::default(), Work::and)
    }

    /// A handle on the clients' verified bytes, for a progress display.
    pub fn verified_bytes(&self) -> impl Fn() -> u64 + use<> {
        let clients: Vec<_> = self
            .works
            .iter()
            .filter_map(HostWork::handle)
            .cloned()
            .collect();
        move || clients.iter().map(Client::verified_bytes).sum()
    }

    /// What passed the Ethernet port of the NIC under test.
    pub fn traffic(&self) -> MutexGuard<'_, TcpObserver> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the server application is not serving, if it is not.
    pub fn server_failure(&self) -> Option<String> {
        self.works.iter().find_map(HostWork::server_failure)
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
}
