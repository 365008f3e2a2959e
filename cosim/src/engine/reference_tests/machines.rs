//! Several machines in one process: each thread has a board of its own and speaks over
//! TCP only.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::super::council::Verdict;
use super::super::freight::{DIGEST, Unpacker, read_parcel};
use super::super::partition::cut_links;
use super::super::threads::{Ends, Notes};
use super::*;

/// Both ends of a stream.
fn streams() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

/// Runs each worker of `partition` as a machine; the chair is here.
pub(super) fn run(
    simulation: &mut Simulation,
    partition: &Partition,
    options: &RunOptions<'_>,
) -> Result<Outcome, RunError> {
    simulation.check(options)?;
    let chief = simulation.board(partition.count(), options);
    let boards: Vec<Arc<Board>> = (0..partition.count())
        .map(|_| Arc::new(simulation.board(1, options)))
        .collect();
    let mut delegates = Vec::new();
    let mut to_delegates: Vec<Box<dyn Write + Send>> = Vec::new();
    let (sender, parcels) = channel();
    for (machine, board) in boards.iter().enumerate() {
        let (here, there) = streams();
        let from = there.try_clone().unwrap();
        let to = SharedStream::new(there);
        delegates.push(Delegate::start(Arc::clone(board), from, to, || ()));
        let mut digests = here.try_clone().unwrap();
        to_delegates.push(Box::new(here));
        let sender = sender.clone();
        thread::spawn(move || {
            while let Ok(Some(parcel)) = read_parcel(&mut digests) {
                if sender.send((machine, parcel)).is_err() {
                    break;
                }
            }
        });
    }

    // A trunk for each link.
    let mut trunks = Vec::new();
    let cuts: Vec<[usize; 2]> = cut_links(&simulation.nodes, partition)
        .iter()
        .map(|link| [link.from.node, link.to.node].map(|node| partition.worker(node)))
        .collect();
    let mut cuts = cuts.into_iter();
    let links = &mut |_| -> Ends {
        let streams: [TcpStream; 2] = streams().into();
        let machines = cuts.next().unwrap();
        let [a, b] = [0, 1].map(|side| {
            let board = Arc::clone(&boards[machines[side]]);
            let stream = streams[side].try_clone().unwrap();
            let from = stream.try_clone().unwrap();
            let (trunk, mut ends) = Trunk::open("peer", &[7], from, stream, board).unwrap();
            trunks.push(trunk);
            Box::new(ends.remove(0)) as Box<dyn Boundary>
        });
        (a, b)
    };
    let ports: Vec<_> = simulation
        .nodes
        .iter()
        .map(|node| node.ports.clone())
        .collect();
    let mut parts = simulation.take_apart(partition, links);
    for part in &mut parts {
        part.neighbours.fill(None);
    }
    let ledgers: Vec<Mutex<Notes>> = parts.iter().map(|_| Mutex::default()).collect();
    let mut chair = Chair::new(to_delegates);
    let running = AtomicUsize::new(parts.len());
    let main = thread::current();
    let (results, captured) = thread::scope(|scope| {
        let threads: Vec<_> = parts
            .into_iter()
            .enumerate()
            .map(|(machine, part)| {
                let (board, ledger, running) = (&boards[machine], &ledgers[machine], &running);
                let main = main.clone();
                scope.spawn(move || {
                    let ended = part.run(0, board, WaitPolicy::default(), ledger, main);
                    running.fetch_sub(1, std::sync::atomic::Ordering::AcqRel);
                    ended
                })
            })
            .collect();
        while running.load(std::sync::atomic::Ordering::Acquire) > 0 {
            if options.is_cancelled() {
                chief.freeze(Verdict::Cancelled);
            }
            if let Ok((machine, (tag, contents))) = parcels.recv_timeout(Duration::from_millis(1)) {
                assert_eq!(tag, DIGEST);
                let mut contents = Unpacker::new(contents);
                chair.note(&chief, machine, &mut contents).unwrap();
            }
            chair.command(&chief);
        }
        let results = threads.into_iter().map(|thread| thread.join()).collect();
        (results, simulation.write_seen(&chief, &ledgers))
    });
    drop((trunks, delegates));
    simulation.conclude(ports, results, captured)
}
