//! A scenario over several machines: this process watches, an agent on each node runs what
//! the scenario places there.
//!
//! ```text
//!   hallux run ── launcher (srun, …) ──► hallux agent     one for each node
//!        ▲  └──── job, orders ──────────────►│ ║
//!        └─── captures, findings, digests ───┘ ║ one TCP stream to each agent beyond a link
//! ```
//!
//! Agents come to this process, so only its address has to be known. Whoever speaks first
//! on a stream shows that it knows the token of the run, which agents get on their
//! standard input.

mod agent;
mod launcher;
mod meeting;

pub use agent::serve;
pub use launcher::{Launcher, LauncherError};

use crate::parts::{Ended, Job};
use crate::simulation::Assembly;
use anyhow::{Context, Result, anyhow, bail};
use hallux_cosim::engine::{Chair, Partition, Progress, RunOptions, SILENCE, SharedStream, Watch};
use launcher::Agents;
use meeting::{Hello, Invitation, Mission};
use std::io::{self, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How a run is spread over machines.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The nodes, in the order of the partition's workers.
    pub nodes: Vec<String>,
    /// What starts an agent on each of them.
    pub launcher: Launcher,
    /// The address at which agents find this process, if it is not the name of this host.
    pub listen: Option<IpAddr>,
    /// How long agents may take to come.
    pub patience: Duration,
}

/// Runs `assembly`, of which this process runs nothing itself, on the nodes of `cluster`; one
/// for each worker of `partition`.
///
/// # Errors
/// An agent cannot be started, or does not come. That a run failed is a part of the result.
pub fn run(
    assembly: &mut Assembly,
    partition: &Partition,
    job: &Job,
    cluster: &Cluster,
    options: &RunOptions<'_>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Ended> {
    let (mut agents, seats) = convene(cluster, options)?;
    let addresses = addresses(&seats)?;
    let mut reports: Vec<Box<dyn Read + Send>> = vec![];
    let mut delegates: Vec<Box<dyn Write + Send>> = vec![];
    for (worker, seat) in seats.into_iter().enumerate() {
        let mission = Mission {
            job: Job {
                worker,
                ..job.clone()
            },
            nodes: cluster.nodes.clone(),
            addresses: addresses.clone(),
        };
        let mut stream = seat.stream;
        meeting::write_line(&mut stream, &mission)
            .with_context(|| format!("node {} is lost", cluster.nodes[worker]))?;
        reports.push(Box::new(Attentive {
            stream: stream.try_clone()?,
            from: seat.from,
            heard: false,
        }));
        delegates.push(Box::new(SharedStream::new(stream)));
    }
    let simulation = &mut assembly.simulation;
    let board = simulation.board(partition.count(), options);
    let watch = Watch {
        partition,
        board: &board,
        reports,
        chair: Some(Chair::new(delegates)),
    };
    let watched = simulation.watch_parts(
        watch,
        options,
        &mut |worker, error| {
            let node = &cluster.nodes[worker];
            format!("on node {node} {}", agents.explain(worker, error))
        },
        progress,
    );
    agents.wait();
    Ended::gather(watched, simulation, partition, &board)
}

/// An agent that has come.
struct Seated {
    node: usize,
    stream: TcpStream,
    from: BufReader<TcpStream>,
    /// Where it expects other agents.
    port: u16,
}

/// Starts an agent on each node, and waits until all have come.
fn convene(cluster: &Cluster, options: &RunOptions<'_>) -> Result<(Agents, Vec<Seated>)> {
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let local = matches!(cluster.launcher, Launcher::Local).then_some(Ipv4Addr::LOCALHOST.into());
    let own = cluster.listen.or(local);
    let listener = TcpListener::bind((own.unwrap_or(any), 0))
        .with_context(|| format!("cannot listen at {}", own.unwrap_or(any)))?;
    let host = match own {
        Some(address) => address.to_string(),
        None => rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
    };
    let invitation = Invitation {
        host,
        port: listener.local_addr()?.port(),
        token: meeting::token()?,
        node: 0,
    };
    let (sender, arrivals) = channel();
    receive(listener, invitation.token.clone(), sender);
    let mut agents = Agents::default();
    for (node, name) in cluster.nodes.iter().enumerate() {
        let invitation = Invitation {
            node,
            ..invitation.clone()
        };
        agents.start(&cluster.launcher, name, &invitation)?;
    }
    let seats = wait_for_all(cluster, options, &mut agents, &arrivals)?;
    Ok((agents, seats))
}

/// Between two looks at the launchers.
const LOOK: Duration = Duration::from_millis(50);

fn wait_for_all(
    cluster: &Cluster,
    options: &RunOptions<'_>,
    agents: &mut Agents,
    arrivals: &Receiver<Seated>,
) -> Result<Vec<Seated>> {
    let started = Instant::now();
    let mut seats: Vec<Option<Seated>> = cluster.nodes.iter().map(|_| None).collect();
    while seats.iter().any(Option::is_none) {
        if let Ok(seated) = arrivals.recv_timeout(LOOK)
            && let Some(place) = seats.get_mut(seated.node)
        {
            place.get_or_insert(seated);
            continue;
        }
        let missing = |node: &usize| seats[*node].is_none();
        let missing: Vec<usize> = (0..seats.len()).filter(missing).collect();
        for node in &missing {
            if let Some(end) = agents.has_ended(*node) {
                bail!(
                    "no agent came from node {}: `{}` {end}",
                    cluster.nodes[*node],
                    cluster.launcher.command(&cluster.nodes[*node]).join(" "),
                );
            }
        }
        if options.is_cancelled() {
            bail!("cancelled before all nodes had come");
        }
        if started.elapsed() > cluster.patience {
            let names: Vec<&str> = missing.iter().map(|&node| &*cluster.nodes[node]).collect();
            bail!(
                "no agent came from {} within {} s; raise --patience if the nodes are still busy \
                 with other jobs, and name an address of this host that they can reach with \
                 --listen",
                names.join(", "),
                cluster.patience.as_secs()
            );
        }
    }
    Ok(seats.into_iter().flatten().collect())
}

/// Takes in whoever comes with the token, in the background.
fn receive(listener: TcpListener, token: String, seated: Sender<Seated>) {
    let admit = |stream: TcpStream, token: &str| -> io::Result<Seated> {
        let (hello, from) = Hello::receive(&stream, token)?;
        Ok(Seated {
            node: hello.node,
            stream,
            from,
            port: hello.port,
        })
    };
    thread::spawn(move || {
        // Ends with the process: a run convenes once.
        for stream in listener.incoming().flatten() {
            let (token, seated) = (token.clone(), seated.clone());
            thread::spawn(move || {
                // Who does not know the token, or the version, is no agent of this run.
                if let Ok(agent) = admit(stream, &token) {
                    let _over = seated.send(agent);
                }
            });
        }
    });
}

/// Where the agents find each other: as they are seen from here, but for those on this host,
/// which come over the loopback; others find those where they found this process.
fn addresses(seats: &[Seated]) -> Result<Vec<SocketAddr>> {
    let mut own = None;
    for seat in seats {
        let there = seat.stream.peer_addr()?.ip();
        if !there.is_loopback() {
            own = Some(seat.stream.local_addr()?.ip());
        }
    }
    let address = |seat: &Seated| -> Result<SocketAddr> {
        let seen = seat.stream.peer_addr()?.ip();
        let at = own.filter(|_| seen.is_loopback()).unwrap_or(seen);
        Ok(SocketAddr::new(at, seat.port))
    };
    seats.iter().map(address).collect()
}

/// Reads from an agent that is never silent for long, once it has begun to speak.
struct Attentive {
    stream: TcpStream,
    from: BufReader<TcpStream>,
    heard: bool,
}

impl Read for Attentive {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(bytes)?;
        if !self.heard {
            self.heard = true;
            self.stream.set_read_timeout(Some(SILENCE))?;
        }
        Ok(count)
    }
}

/// The partition and the nodes that a scenario's `placement` asks for.
///
/// # Errors
/// A component has no place, or there is no such component.
pub fn nodes(
    assembly: &Assembly,
    placement: &[Option<String>],
) -> Result<(Partition, Vec<String>)> {
    let names = assembly.simulation.names();
    let missing: Vec<&str> = names
        .zip(placement)
        .filter_map(|(name, place)| place.is_none().then_some(name))
        .collect();
    if !missing.is_empty() {
        return Err(anyhow!(
            "`placement` names no node for {}; add them, or `\"*\" = \"NODE\"` for all others",
            missing.join(", ")
        ));
    }
    let places: Vec<&String> = placement.iter().flatten().collect();
    let partition = Partition::by_key(places.iter());
    let mut nodes = vec![String::new(); partition.count()];
    for (component, place) in places.into_iter().enumerate() {
        nodes[partition.worker(component)].clone_from(place);
    }
    Ok((partition, nodes))
}
