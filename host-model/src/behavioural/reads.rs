//! Reads of host memory that are not answered yet. One that waits for longer than the completion
//! timeout is asked again under another number (PCIe 4.0 §2.8): one of payload three times, then it
//! is given up, and its connection with it; one of descriptors fifteen times, since there the whole
//! context stands still.

use super::BehaviouralConfig;
use hallux_channel::{Counter, Message, Probability, Random, Time};
use std::collections::{BTreeMap, VecDeque};

/// What a read is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fetch {
    /// Descriptors of a context.
    Descriptors { context: usize, count: u32 },
    /// A piece of a frame in the egress queue; of a segment with its flow and generation.
    Payload {
        frame: u64,
        offset: usize,
        flow: Option<(u16, u8)>,
    },
}

/// A read.
#[derive(Debug)]
struct Asked {
    purpose: Fetch,
    addr: u64,
    len: u16,
    times: u32,
}

/// How often a read of payload is asked again.
const RETRIES: u32 = 3;
/// How often one of descriptors is.
const VITAL_RETRIES: u32 = 15;

/// What becomes of a read that has waited long enough.
#[derive(Debug)]
pub(super) enum Overtime {
    /// It is asked again.
    Again(Message),
    /// It is given up.
    GivenUp(Fetch),
}

/// The host does not answer.
#[derive(Debug, thiserror::Error)]
#[error(
    "the host does not answer the read of {len} bytes at {addr:#x}, asked {times} times; does the \
     host still run, and is the address mapped?"
)]
pub(super) struct Unanswered {
    addr: u64,
    len: u16,
    times: u32,
}

/// Reads by the numbers under which they were asked.
#[derive(Debug)]
pub(super) struct Reads {
    timeout: Time,
    open: BTreeMap<u64, Asked>,
    /// When reads were asked, the oldest first; answered ones may be among them, the first is not.
    asked: VecDeque<(Time, u64)>,
    last: u64,
    loss: Probability,
    losses: Random,
    /// Answers that the scenario lost.
    lost: u64,
    timeouts: u64,
    late: u64,
    given_up: u64,
}

impl Reads {
    pub(super) fn new(config: &BehaviouralConfig) -> Self {
        let stream = format!("nic/{}/lost-completions", config.name);
        Self {
            timeout: config.completion_timeout,
            open: BTreeMap::new(),
            asked: VecDeque::new(),
            last: 0,
            loss: config.lost_completions,
            losses: config.seed.stream(&stream),
            lost: 0,
            timeouts: 0,
            late: 0,
            given_up: 0,
        }
    }

    /// Gives all reads up: what answers come are late.
    pub(super) fn forget(&mut self) {
        self.open.clear();
        self.asked.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The request for `len` bytes at `addr`.
    pub(super) fn ask(&mut self, now: Time, addr: u64, len: usize, purpose: Fetch) -> Message {
        let read = Asked {
            purpose,
            addr,
            len: len as u16,
            times: 0,
        };
        self.send(now, read)
    }

    fn send(&mut self, now: Time, mut read: Asked) -> Message {
        self.last += 1;
        read.times += 1;
        let message = Message::DmaRead {
            req_id: self.last,
            addr: read.addr,
            len: read.len,
        };
        self.open.insert(self.last, read);
        self.asked.push_back((now, self.last));
        message
    }

    /// When the read that was asked first has waited long enough; [`Time::NEVER`] without one.
    pub(super) fn next_timeout(&self) -> Time {
        let first = self.asked.front();
        first.map_or(Time::NEVER, |(at, _)| *at + self.timeout)
    }

    /// What becomes of what was asked first.
    ///
    /// # Errors
    /// It was asked as often as may be, and cannot be given up.
    pub(super) fn overtime(&mut self, now: Time) -> Result<Option<Overtime>, Unanswered> {
        let Some((_, number)) = self.asked.pop_front() else {
            return Ok(None);
        };
        let mut overtime = None;
        if let Some(read) = self.open.remove(&number) {
            let Asked {
                addr, len, times, ..
            } = read;
            let dispensable = matches!(read.purpose, Fetch::Payload { .. });
            if dispensable && times > RETRIES {
                self.given_up += 1;
                overtime = Some(Overtime::GivenUp(read.purpose));
            } else if times > VITAL_RETRIES {
                return Err(Unanswered { addr, len, times });
            } else {
                self.timeouts += 1;
                overtime = Some(Overtime::Again(self.send(now, read)));
            }
        }
        self.forget_answered();
        Ok(overtime)
    }

    /// What the answer to a read is for; `None` if it is late, or lost as the scenario wants it.
    pub(super) fn answered(&mut self, number: u64) -> Option<Fetch> {
        if !self.loss.is_zero() && self.losses.chance(self.loss) {
            self.lost += 1;
            return None;
        }
        let read = self.open.remove(&number);
        self.late += u64::from(read.is_none());
        self.forget_answered();
        read.map(|read| read.purpose)
    }

    fn forget_answered(&mut self) {
        while let Some((_, number)) = self.asked.front()
            && !self.open.contains_key(number)
        {
            self.asked.pop_front();
        }
    }

    /// What went wrong.
    pub(super) fn counters(&self) -> [Counter; 4] {
        [
            Counter::new("read_timeouts", self.timeouts),
            Counter::new("late_completions", self.late),
            Counter::new("lost_completions", self.lost),
            Counter::new("lost_reads", self.given_up),
        ]
    }
}
