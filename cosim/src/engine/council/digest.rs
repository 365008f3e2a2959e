//! What boards of several machines tell each other.
//!
//! ```text
//!                 board of the run: a row for each machine
//!      digest ▲ │ orders                     digest ▲ │ orders
//!             │ ▼                                   │ ▼
//!      board of machine 0                    board of machine 1
//! ```
//!
//! A digest is all rows of a machine in one. It tells what was so when it was
//! made, so the floor of everything needs a second look
//! ([`Rest`](super::Rest)); all else only grows, so that what is old is true.

use std::io;
use std::sync::atomic::Ordering;
use std::thread::Thread;

use hallux_channel::Time;

use super::super::freight::Unpacker;
use super::{Board, Rest, Row, Verdict, load};

/// All rows of a board in one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Digest {
    /// As in a row: even while all are at rest, zero while not all have begun.
    version: u64,
    next: Time,
    sent: u64,
    received: u64,
    floor: Time,
    reached: Time,
    clock: Time,
    done: bool,
    frozen: bool,
}

impl Digest {
    /// The same in everything that others may wait for: all but how far the
    /// workers are on their way.
    pub(in crate::engine) fn same_standing(&self, other: &Digest) -> bool {
        let standing = |digest: &Digest| {
            let rest = (digest.version.is_multiple_of(2)).then_some(digest.version);
            (rest, digest.done, digest.frozen)
        };
        standing(self) == standing(other)
    }

    pub(in crate::engine) fn put(&self, out: &mut Vec<u8>) {
        let words = [
            self.version,
            self.next.ps(),
            self.sent,
            self.received,
            self.floor.ps(),
            self.reached.ps(),
            self.clock.ps(),
            u64::from(self.done),
            u64::from(self.frozen),
        ];
        words
            .iter()
            .for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
    }

    pub(in crate::engine) fn take(from: &mut Unpacker) -> io::Result<Self> {
        Ok(Digest {
            version: from.word()?,
            next: from.time()?,
            sent: from.word()?,
            received: from.word()?,
            floor: from.time()?,
            reached: from.time()?,
            clock: from.time()?,
            done: from.word()? != 0,
            frozen: from.word()? != 0,
        })
    }
}

/// What the board of the run has decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Orders {
    floor: Time,
    freeze: u32,
    verdict: u32,
    completed: Time,
    /// The end plus one; zero while it is not decided.
    end: u64,
}

impl Orders {
    pub(in crate::engine) fn put(&self, out: &mut Vec<u8>) {
        let words = [
            self.floor.ps(),
            self.freeze.into(),
            self.verdict.into(),
            self.completed.ps(),
            self.end,
        ];
        words
            .iter()
            .for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
    }

    pub(in crate::engine) fn take(from: &mut Unpacker) -> io::Result<Self> {
        Ok(Orders {
            floor: from.time()?,
            freeze: from.word()? as u32,
            verdict: from.word()? as u32,
            completed: from.time()?,
            end: from.word()?,
        })
    }
}

impl Board {
    /// Leaves the conclusions to another board; `courier` is woken whenever
    /// there is something that it waits for.
    pub(in crate::engine) fn report_through(&self, courier: Thread) {
        let _other = self.courier.set(courier);
    }

    pub(in crate::engine) fn call_courier(&self) {
        if let Some(courier) = self.courier.get() {
            courier.unpark();
        }
    }

    /// All rows in one.
    pub(in crate::engine) fn digest(&self) -> Digest {
        let rows = self.rows();
        let all = |is: fn(&Row) -> bool| rows.iter().all(is);
        let times = |of: fn(&Row) -> Time| rows.iter().map(of);
        // Flags are read before what they make valid.
        let done = all(|row| row.done.load(Ordering::Acquire) == 1);
        let frozen = all(|row| row.frozen.load(Ordering::SeqCst) == 1);
        let mut digest = Digest {
            floor: times(|row| load(&row.floor)).max().unwrap_or(Time::ZERO),
            reached: times(|row| load(&row.reached)).min().unwrap_or(Time::ZERO),
            clock: times(|row| load(&row.clock)).max().unwrap_or(Time::ZERO),
            done,
            frozen,
            ..Digest::default()
        };
        match self.find_rest() {
            Some(rest) => {
                digest.version = rest.versions.wrapping_mul(2);
                (digest.next, digest.sent) = (rest.next, rest.sent);
                digest.received = rest.received;
            }
            None if self.has_begun() => {
                digest.version = self.versions().wrapping_mul(2).wrapping_add(1);
            }
            None => {}
        }
        digest
    }

    /// Takes the digest of a machine for its row.
    pub(in crate::engine) fn note(&self, machine: usize, digest: &Digest) {
        let row = &self.rows()[machine];
        row.clock.store(digest.clock.ps(), Ordering::Release);
        row.floor.fetch_max(digest.floor.ps(), Ordering::AcqRel);
        row.reached.store(digest.reached.ps(), Ordering::Release);
        row.done.store(digest.done.into(), Ordering::Release);
        row.frozen.store(digest.frozen.into(), Ordering::SeqCst);
        row.next.store(digest.next.ps(), Ordering::SeqCst);
        row.sent.store(digest.sent, Ordering::SeqCst);
        row.received.store(digest.received, Ordering::SeqCst);
        row.version.store(digest.version, Ordering::SeqCst);
    }

    /// What has been decided here.
    pub(in crate::engine) fn orders(&self) -> Orders {
        let header = self.header();
        // Read first: what it makes valid was written before.
        let end = header.end.load(Ordering::Acquire);
        Orders {
            floor: self.floor(),
            freeze: header.freeze.load(Ordering::Acquire),
            verdict: header.verdict.load(Ordering::Acquire),
            completed: load(&header.completed),
            end,
        }
    }

    /// Takes over what another board has decided.
    pub(in crate::engine) fn obey(&self, orders: &Orders) {
        match (Verdict::from_code(orders.verdict), orders.end) {
            (Some(Verdict::Failed), _) => self.fail(),
            (Some(verdict), end @ 1..) => {
                self.decide(verdict, orders.completed, Time::from_ps(end - 1));
            }
            // Decided, but not when: the next orders tell.
            _ => {}
        }
        if let Some(reason) = Verdict::from_code(orders.freeze)
            && !self.is_freezing()
        {
            self.freeze(reason);
        }
        let floor = &self.header().floor;
        if load(floor) < orders.floor {
            floor.fetch_max(orders.floor.ps(), Ordering::AcqRel);
            self.wake_all();
        }
    }

    /// Learns that the last vote is not earlier than this.
    pub(in crate::engine) fn learn_last_vote(&self, at: Time) {
        self.header().elsewhere.fetch_max(at.ps(), Ordering::AcqRel);
    }
}

/// When all machines were at rest, and whether they still were a moment later.
#[derive(Debug, Default)]
pub(in crate::engine) struct SecondLook {
    number: u64,
    /// What was seen at the first look, and who has answered the second.
    open: Option<(Rest, Vec<bool>)>,
}

impl SecondLook {
    /// Begins if the rows of `board` are worth it; returns the number of the
    /// question to all machines.
    pub(in crate::engine) fn begin(&mut self, board: &Board) -> Option<u64> {
        if self.open.is_some() {
            return None;
        }
        let rest = board.find_rest()?;
        let news = rest.floor().is_some_and(|floor| floor > board.floor());
        if !news || board.is_freezing() {
            return None;
        }
        self.number += 1;
        self.open = Some((rest, vec![false; board.workers()]));
        Some(self.number)
    }

    /// A machine has answered question `number` with the digest that `board`
    /// has noted. After the last answer: the floor, if nothing has changed.
    pub(in crate::engine) fn answer(
        &mut self,
        board: &Board,
        machine: usize,
        number: u64,
    ) -> Option<Time> {
        let (first, answered) = self.open.as_mut().filter(|_| number == self.number)?;
        answered[machine] = true;
        if !answered.iter().all(|answered| *answered) {
            return None;
        }
        // Every row told the same before the question was put and after: so
        // it was at that moment, on all machines at once.
        let floor = first.floor();
        let same = board.find_rest() == Some(*first);
        self.open = None;
        floor.filter(|_| same)
    }
}
