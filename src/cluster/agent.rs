//! `hallux agent`: what a scenario places on one node.

use super::meeting::{Hello, Invitation, Mission, read_line, write_line};
use crate::parts::{self, Job, Report, Seat};
use crate::simulation::load_files;
use anyhow::{Context, Result, anyhow};
use hallux_cosim::engine::{
    Board, Boundary, Delegate, OpenLink, SILENCE, SharedStream, Trunk, TrunkLink,
};
use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How long another machine may take to answer.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// How long this process may take to end in order after the run has failed elsewhere.
const ORDERLY_END: Duration = Duration::from_secs(2);

/// Runs the part that the first line of standard input invites to.
///
/// # Errors
/// There is no invitation, or the run is not where it says. What goes wrong later is reported
/// to the run.
pub fn serve() -> Result<()> {
    let invitation: Invitation = read_line(&mut std::io::stdin().lock())
        .context("there is no invitation of `hallux run --mode cluster`")?;
    let host = (invitation.host.as_str(), invitation.port);
    let mut stream = TcpStream::connect(host).with_context(|| {
        let (host, port) = host;
        format!("cannot reach the run at {host}:{port}; name another address with --listen")
    })?;
    stream.set_nodelay(true)?;
    let others = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))
        .context("cannot listen for the agents of other nodes")?;
    let port = others.local_addr()?.port();
    write_line(&mut stream, &Hello::new(&invitation, port))?;
    let mut from = BufReader::new(stream.try_clone()?);
    let mission: Mission = read_line(&mut from).context("the run gave no job")?;

    let mut out = SharedStream::new(stream.try_clone()?);
    let meeting = Meeting {
        invitation,
        mission,
        others,
    };
    let result = meeting.run(stream, from, &mut out);
    match result {
        Ok((report, _delegate)) => parts::send_report(&mut out, Ok(report)),
        Err(error) => parts::send_report(&mut out, Err(error)),
    }
}

struct Meeting {
    invitation: Invitation,
    mission: Mission,
    others: TcpListener,
}

/// The trunks of an agent, and its ends of the links on them.
type Connected = (Vec<Trunk>, Vec<Box<dyn Boundary>>);

impl Meeting {
    /// Runs this part. The delegate shows that this process lives until its report is sent.
    fn run(
        &self,
        stream: TcpStream,
        from: BufReader<TcpStream>,
        out: &mut SharedStream,
    ) -> Result<(Report, Delegate)> {
        let job = &self.mission.job;
        let scenario = job.scenario().with_context(|| {
            let node = &self.mission.nodes[job.worker];
            format!("node {node} needs the files of the scenario where this host has them")
        })?;
        let files = load_files(&scenario)?;
        let outline = parts::outline(&scenario, files.clone())?;
        let options = parts::options(&scenario);
        let board = Arc::new(outline.simulation.board(1, &options));
        stream.set_read_timeout(Some(SILENCE))?;
        let delegate = Delegate::start(Arc::clone(&board), from, out.clone(), || {
            thread::sleep(Duration::from_millis(500));
            std::process::exit(1);
        });
        end_with_the_others(Arc::clone(&board));

        let mut assembly = job.assemble(&scenario, files)?;
        let links = outline.simulation.open_links(&job.partition(), job.worker);
        let (trunks, boundaries) = self.connect(&links, &board).inspect_err(|_| board.fail())?;
        let seat = Seat {
            board: &board,
            row: 0,
            shared: false,
        };
        let report = job.run(&mut assembly, &seat, boundaries, &options, out)?;
        drop(trunks);
        Ok((report, delegate))
    }

    /// Opens a trunk to each neighbour, for all links with it.
    fn connect(&self, links: &[OpenLink], board: &Arc<Board>) -> Result<Connected> {
        let Job { worker, .. } = self.mission.job;
        let mut numbers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for link in links {
            numbers.entry(link.neighbour).or_default().push(link.number);
        }
        let mut trunks = vec![];
        let mut ends: BTreeMap<usize, TrunkLink> = BTreeMap::new();
        let mut open = |node: usize, stream: TcpStream, from: BufReader<TcpStream>| -> Result<()> {
            let numbers = numbers
                .get(&node)
                .ok_or_else(|| anyhow!("an agent came that has no link to here"))?;
            stream.set_read_timeout(Some(SILENCE))?;
            let peer = format!("node {}", self.mission.nodes[node]);
            let (trunk, links) = Trunk::open(&peer, numbers, from, stream, Arc::clone(board))?;
            trunks.push(trunk);
            ends.extend(numbers.iter().copied().zip(links));
            Ok(())
        };
        // Those of lower numbers wait for those of higher ones.
        let mut missing = 0;
        for &neighbour in numbers.keys() {
            if neighbour > worker {
                missing += 1;
                continue;
            }
            let (stream, from) = self.call(neighbour)?;
            open(neighbour, stream, from)?;
        }
        while missing > 0 {
            let (mut stream, _) = self.others.accept()?;
            // Who does not know the token is no agent of this run.
            let Ok((hello, from)) = Hello::receive(&stream, &self.invitation.token) else {
                continue;
            };
            write_line(&mut stream, &())?;
            open(hello.node, stream, from)?;
            missing -= 1;
        }
        let boundaries = links.iter().map(|link| {
            let end = ends.remove(&link.number);
            let end = end.ok_or_else(|| anyhow!("link {} leads nowhere", link.number))?;
            Ok(Box::new(end) as Box<dyn Boundary>)
        });
        let boundaries = boundaries.collect::<Result<Vec<_>>>()?;
        Ok((trunks, boundaries))
    }

    /// Connects to the agent of another node, and waits until it is ready.
    fn call(&self, node: usize) -> Result<(TcpStream, BufReader<TcpStream>)> {
        let address = self.mission.addresses[node];
        let call = |address: SocketAddr| -> Result<_> {
            let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIME)?;
            stream.set_nodelay(true)?;
            write_line(&mut stream, &Hello::new(&self.invitation, 0))?;
            stream.flush()?;
            let mut from = BufReader::new(stream.try_clone()?);
            // It may have to build a model first.
            read_line::<()>(&mut from)?;
            Ok((stream, from))
        };
        call(address).with_context(|| {
            let nodes = &self.mission.nodes;
            let (there, here) = (&nodes[node], &nodes[self.mission.job.worker]);
            format!("node {here} cannot reach node {there} at {address}")
        })
    }
}

/// Ends this process when the run has failed and it does not end by itself.
fn end_with_the_others(board: Arc<Board>) {
    thread::spawn(move || {
        while !board.has_failed() {
            thread::sleep(Duration::from_millis(20));
        }
        thread::sleep(ORDERLY_END);
        std::process::exit(1);
    });
}
