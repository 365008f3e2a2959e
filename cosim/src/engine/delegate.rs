//! Keeps the board of one machine and that of the run in step, over a stream.
//!
//! ```text
//!   machine: workers ──► board ──► courier ──── digests ───► chair ──► board of the run
//!                          ▲──── listener ◄──── orders ────────┘
//! ```

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::council::{Board, Digest, Orders, SecondLook};
use super::freight::{DIGEST, ORDERS, QUESTION, Unpacker, read_parcel, write_parcel};

/// Who has been silent for so long is lost.
pub const SILENCE: Duration = Duration::from_secs(5);
/// Something is said so often, whatever happens.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);
/// How far the workers are is told so often.
const DIGEST_INTERVAL: Duration = Duration::from_millis(5);
/// News that others may wait for is held back for so long: mostly it is
/// overtaken by a message.
const SETTLE: Duration = Duration::from_micros(50);

/// The sending half of a stream, for several who send whole parcels.
#[derive(Clone, Debug)]
pub struct SharedStream(Arc<Mutex<TcpStream>>);

impl SharedStream {
    /// Sends over `stream`.
    pub fn new(stream: TcpStream) -> Self {
        SharedStream(Arc::new(Mutex::new(stream)))
    }
}

impl Write for SharedStream {
    /// Writes all of `bytes`, so that nobody's parcel gets between them.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Acts for the run at the board of one machine, until it is dropped.
#[derive(Debug)]
pub struct Delegate {
    ended: Arc<AtomicBool>,
    courier: Option<JoinHandle<()>>,
}

impl Delegate {
    /// Starts it. `lost` is called when the run is not heard of any more; the
    /// workers have been told then.
    pub fn start(
        board: Arc<Board>,
        from: impl Read + Send + 'static,
        to: SharedStream,
        lost: impl FnOnce() + Send + 'static,
    ) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let question = Arc::new(Mutex::new(None));
        let courier = thread::spawn({
            let (board, ended) = (Arc::clone(&board), Arc::clone(&ended));
            let question = Arc::clone(&question);
            move || report(&board, to, &ended, &question)
        });
        board.report_through(courier.thread().clone());
        thread::spawn({
            let ended = Arc::clone(&ended);
            move || {
                let _end = listen(&board, from, &question);
                if !ended.load(Ordering::Acquire) {
                    board.fail();
                    lost();
                }
            }
        });
        Delegate {
            ended,
            courier: Some(courier),
        }
    }
}

impl Drop for Delegate {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        if let Some(courier) = self.courier.take() {
            courier.thread().unpark();
            let _panicked = courier.join();
        }
    }
}

/// Obeys orders, until the stream ends.
fn listen(board: &Board, mut from: impl Read, question: &Mutex<Option<u64>>) -> io::Result<()> {
    while let Some((tag, contents)) = read_parcel(&mut from)? {
        let mut contents = Unpacker::new(contents);
        match tag {
            ORDERS => board.obey(&Orders::take(&mut contents)?),
            QUESTION => {
                let number = contents.word()?;
                *question.lock().unwrap_or_else(PoisonError::into_inner) = Some(number);
                board.call_courier();
            }
            _ => {}
        }
    }
    Ok(())
}

/// Reports how this machine stands, and answers questions.
fn report(board: &Board, mut to: SharedStream, ended: &AtomicBool, question: &Mutex<Option<u64>>) {
    let mut told = Digest::default();
    let mut last = Instant::now();
    while !ended.load(Ordering::Acquire) {
        let asked = question
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let digest = board.digest();
        let since = last.elapsed();
        let due = asked.is_some()
            || !digest.same_standing(&told)
            || (digest != told && since >= DIGEST_INTERVAL)
            || since >= HEARTBEAT;
        if due {
            let mut parcel = asked.unwrap_or(0).to_le_bytes().to_vec();
            digest.put(&mut parcel);
            // Whoever reads has gone: the listener notices.
            if write_parcel(&mut to, DIGEST, &parcel).is_err() {
                return;
            }
            (told, last) = (digest, Instant::now());
        }
        thread::park_timeout(DIGEST_INTERVAL);
        if asked.is_none() {
            thread::sleep(SETTLE);
        }
    }
}

/// Holds the board of the run, and speaks with the delegates of all machines.
pub struct Chair {
    delegates: Vec<Box<dyn Write + Send>>,
    sent: Orders,
    last: Instant,
    second_look: SecondLook,
}

impl Chair {
    /// Speaks over the streams to the delegates, in the order of the rows.
    pub fn new(delegates: Vec<Box<dyn Write + Send>>) -> Self {
        Chair {
            delegates,
            sent: Orders::default(),
            last: Instant::now(),
            second_look: SecondLook::default(),
        }
    }

    /// Takes in what a machine told, and draws the conclusions.
    pub(super) fn note(
        &mut self,
        board: &Board,
        machine: usize,
        contents: &mut Unpacker,
    ) -> io::Result<()> {
        let answered = contents.word()?;
        board.note(machine, &Digest::take(contents)?);
        let floor = match answered {
            0 => None,
            number => self.second_look.answer(board, machine, number),
        };
        board.conclude_from(floor);
        if let Some(number) = self.second_look.begin(board) {
            self.send(QUESTION, &number.to_le_bytes());
        }
        self.command(board);
        Ok(())
    }

    /// Sends orders, if there are new ones.
    pub(super) fn command(&mut self, board: &Board) {
        let orders = board.orders();
        if orders != self.sent || self.last.elapsed() >= HEARTBEAT {
            (self.sent, self.last) = (orders, Instant::now());
            let mut parcel = Vec::new();
            orders.put(&mut parcel);
            self.send(ORDERS, &parcel);
        }
    }

    fn send(&mut self, tag: u8, parcel: &[u8]) {
        for delegate in &mut self.delegates {
            // Who is lost is noticed by whoever reads from it.
            let _lost = write_parcel(delegate, tag, parcel);
        }
    }
}
