//! Links between two machines, all over one stream.
//!
//! ```text
//!   worker ── send, promise ──► lanes ──► writer ══ batches ══► reader ──► lanes ──► worker
//! ```
//!
//! A batch holds, for each link with news, the messages since the last batch
//! and the newest promise; what was promised before and never sent is
//! forgotten. So the stream carries as many batches as it can take, and no
//! more. Every batch also tells the latest floor that the sender knows of
//! ([`Board`]): a machine whose components have all voted goes by those of the
//! others.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

use hallux_channel::{Message, Time};

use super::boundary::{Boundary, LinkError};
use super::council::Board;
use super::delegate::HEARTBEAT;
use super::freight::{Unpacker, put_message, read_parcel, write_parcel};

/// Parcel with the news of some links.
const BATCH: u8 = 1;
/// Parcel that says that nothing more comes.
const BYE: u8 = 2;

/// Why a trunk carries nothing any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrunkError {
    /// The other side closed it before its end.
    #[error("the connection to {peer} was closed")]
    Closed {
        /// Whom it leads to.
        peer: String,
    },
    /// The stream failed, or was silent for too long.
    #[error("the connection to {peer} is lost: {what}")]
    Lost {
        /// Whom it leads to.
        peer: String,
        /// In the words of the system.
        what: String,
    },
}

/// The machine's end of a stream to another one. It is dropped when all has
/// been sent, and the other side has said that it sends no more either, or one
/// of the two has failed.
#[derive(Debug)]
pub struct Trunk {
    outgoing: Arc<Outgoing>,
    /// True if all links were closed.
    writer: Option<JoinHandle<bool>>,
    reader: Option<JoinHandle<()>>,
}

impl Trunk {
    /// Carries the links of these numbers, which are the same at both sides,
    /// over the two halves of a stream to `peer`. Who waits at `board` is woken
    /// when something arrives. Returns an end of each link.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn open(
        peer: &str,
        numbers: &[usize],
        from: impl Read + Send + 'static,
        to: TcpStream,
        board: Arc<Board>,
    ) -> io::Result<(Trunk, Vec<TrunkLink>)> {
        to.set_nodelay(true)?;
        let broken = Arc::new(OnceLock::new());
        let over = Arc::new(AtomicBool::new(false));
        let outgoing = Arc::new(Outgoing {
            lanes: Mutex::new(Lanes {
                lanes: numbers.iter().map(|_| Lane::default()).collect(),
                ended: false,
            }),
            news: Condvar::new(),
        });
        let mut arriving = Vec::new();
        let mut links = Vec::new();
        for lane in 0..numbers.len() {
            let (sender, receiver) = channel();
            let bound = Arc::new(AtomicU64::new(0));
            arriving.push((sender, Arc::clone(&bound)));
            links.push(TrunkLink {
                outgoing: Arc::clone(&outgoing),
                lane,
                incoming: receiver,
                bound,
                broken: Arc::clone(&broken),
                over: Arc::clone(&over),
            });
        }
        let writer = thread::spawn({
            let (outgoing, board) = (Arc::clone(&outgoing), Arc::clone(&board));
            let numbers = numbers.to_vec();
            // A stream that takes nothing is missed by its reader.
            move || write(&outgoing, &numbers, to, &board).unwrap_or(false)
        });
        let reader = Reader {
            numbers: numbers.to_vec(),
            arriving,
            over,
        };
        let peer = peer.to_owned();
        let reader = thread::spawn(move || {
            let error = match reader.read(from, &board) {
                Ok(true) => return,
                Ok(false) => TrunkError::Closed { peer },
                Err(error) => TrunkError::Lost {
                    peer,
                    what: explain(&error),
                },
            };
            let _first = broken.set(error);
            board.wake_all();
        });
        let trunk = Trunk {
            outgoing,
            writer: Some(writer),
            reader: Some(reader),
        };
        Ok((trunk, links))
    }
}

/// What an error of reading means here.
fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("not heard of for {} s", super::SILENCE.as_secs())
        }
        _ => error.to_string(),
    }
}

impl Drop for Trunk {
    fn drop(&mut self) {
        self.outgoing.lock().ended = true;
        self.outgoing.news.notify_all();
        let closed = self.writer.take().map(JoinHandle::join);
        // Closing a stream before all is read would take back what was sent.
        if let (Some(Ok(true)), Some(reader)) = (closed, self.reader.take()) {
            let _panicked = reader.join();
        }
    }
}

/// What waits to be sent.
#[derive(Debug)]
struct Outgoing {
    lanes: Mutex<Lanes>,
    news: Condvar,
}

#[derive(Debug)]
struct Lanes {
    lanes: Vec<Lane>,
    /// Nothing more comes.
    ended: bool,
}

/// News of one link.
#[derive(Debug, Default)]
struct Lane {
    /// Messages with their arrival times, packed.
    messages: Vec<u8>,
    bound: Time,
    news: bool,
    closed: bool,
}

impl Outgoing {
    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends batches until all links are closed; false if they never were.
fn write(
    outgoing: &Outgoing,
    numbers: &[usize],
    mut to: TcpStream,
    board: &Board,
) -> io::Result<bool> {
    let mut batch = Vec::new();
    loop {
        let closed = {
            let idle =
                |lanes: &mut Lanes| !lanes.ended && !lanes.lanes.iter().any(|lane| lane.news);
            let (mut lanes, _) = outgoing
                .news
                .wait_timeout_while(outgoing.lock(), HEARTBEAT, idle)
                .unwrap_or_else(PoisonError::into_inner);
            batch.clear();
            batch.extend_from_slice(&board.last_vote().ps().to_le_bytes());
            for (lane, number) in lanes.lanes.iter_mut().zip(numbers) {
                if std::mem::take(&mut lane.news) {
                    for word in [*number as u64, lane.bound.ps(), lane.messages.len() as u64] {
                        batch.extend_from_slice(&word.to_le_bytes());
                    }
                    batch.append(&mut lane.messages);
                }
            }
            let ended = lanes.ended;
            let closed = lanes.lanes.iter().all(|lane| lane.closed);
            if ended && !closed {
                // The run has failed: the other side shall not take it for an end.
                to.shutdown(Shutdown::Write)?;
                return Ok(false);
            }
            closed
        };
        write_parcel(&mut to, BATCH, &batch)?;
        if closed {
            write_parcel(&mut to, BYE, &[])?;
            to.shutdown(Shutdown::Write)?;
            return Ok(true);
        }
    }
}

/// Where messages of a link arrive, and the time up to which all have.
type Arriving = (Sender<(Time, Message)>, Arc<AtomicU64>);

/// Distributes what arrives.
struct Reader {
    numbers: Vec<usize>,
    arriving: Vec<Arriving>,
    over: Arc<AtomicBool>,
}

impl Reader {
    /// Until the stream ends; true if that was the end of all links.
    fn read(&self, mut from: impl Read, board: &Board) -> io::Result<bool> {
        while let Some((tag, contents)) = read_parcel(&mut from)? {
            if tag == BYE {
                self.over.store(true, Ordering::Release);
                board.wake_all();
                return Ok(true);
            }
            let mut batch = Unpacker::new(contents);
            let last_vote = batch.time()?;
            while !batch.is_empty() {
                let number = batch.word()?;
                let lane = self.numbers.iter().position(|own| *own as u64 == number);
                let Some(lane) = lane else {
                    let text = format!("there is no link {number}");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                };
                let (sender, bound) = &self.arriving[lane];
                let promise = batch.time()?;
                let len = batch.word()? as usize;
                let mut messages = batch.part(len)?;
                while !messages.is_empty() {
                    let at = messages.time()?;
                    // The worker may have come to its end before this arrives.
                    let _ended = sender.send((at, messages.message()?));
                }
                // Release: who reads the promise finds all messages sent before it.
                bound.store(promise.ps(), Ordering::Release);
            }
            board.learn_last_vote(last_vote);
            board.wake_all();
        }
        Ok(false)
    }
}

/// One end of a link that goes over a [`Trunk`].
#[derive(Debug)]
pub struct TrunkLink {
    outgoing: Arc<Outgoing>,
    lane: usize,
    incoming: Receiver<(Time, Message)>,
    bound: Arc<AtomicU64>,
    broken: Arc<OnceLock<TrunkError>>,
    over: Arc<AtomicBool>,
}

impl TrunkLink {
    fn change(&self, change: impl FnOnce(&mut Lane)) {
        change(&mut self.outgoing.lock().lanes[self.lane]);
    }
}

impl Boundary for TrunkLink {
    fn send(&mut self, arrival: Time, message: Message) -> Result<(), LinkError> {
        self.change(|lane| {
            let at = arrival.ps().to_le_bytes();
            lane.messages.extend_from_slice(&at);
            put_message(&mut lane.messages, &message);
        });
        Ok(())
    }

    fn promise(&mut self, bound: Time) -> Result<(), LinkError> {
        self.change(|lane| (lane.bound, lane.news) = (bound, true));
        self.outgoing.news.notify_one();
        Ok(())
    }

    fn receive(&mut self, deliver: &mut dyn FnMut(Time, Message)) -> Result<Time, LinkError> {
        if let Some(error) = self.broken.get() {
            return Err(error.clone().into());
        }
        // Read before the queue is emptied: what it covers is in there.
        let bound = Time::from_ps(self.bound.load(Ordering::Acquire));
        for (at, message) in self.incoming.try_iter() {
            deliver(at, message);
        }
        Ok(bound)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    fn close(&mut self) -> Result<bool, LinkError> {
        self.change(|lane| (lane.closed, lane.news) = (true, true));
        self.outgoing.news.notify_one();
        Ok(true)
    }
}
