//! Reads that the host does not answer: each is asked again when its completion timeout has
//! passed (PCIe 4.0 §2.8), and an answer that comes later than that is known by its generation.

use super::upstream::Request;
use super::{Error, LinkParameters};
use hallux_channel::Time;
use std::collections::VecDeque;

/// Bits of a read's number at which its generation stands; below is its tag.
const GENERATION: u32 = 8;

/// What was asked with a tag.
#[derive(Clone, Debug, Default)]
struct Tag {
    /// Counts the times that the tag was given up.
    generation: u64,
    /// The read that is not answered yet, how often it was asked, and when first.
    open: Option<(Request, u32, Time)>,
}

/// What becomes of a read whose timeout has passed.
#[derive(Debug)]
pub(super) enum Overtime {
    /// It is asked again.
    Again(Request),
    /// It is given up: the tag is free, and its answer is late if it still comes.
    GivenUp(u8),
}

/// All reads by their tags.
#[derive(Debug)]
pub(super) struct Overdue {
    tags: Vec<Tag>,
    /// When reads were asked, the oldest first, with their numbers; answered ones may be among
    /// them, the first is not.
    asked: VecDeque<(Time, u64)>,
    /// Tags below are of reads that can be given up.
    dispensable: u8,
    /// Open reads that were asked more than once.
    retrying: usize,
    /// Reads that were asked again.
    pub(super) timeouts: u64,
    /// Answers to reads that had been given up.
    pub(super) late: u64,
    /// Reads that were given up.
    pub(super) given_up: u64,
}

impl Overdue {
    /// No read is open. Those with tags below `dispensable` can be given up.
    pub(super) fn new(tags: u16, dispensable: u8) -> Self {
        Self {
            dispensable,
            given_up: 0,
            tags: vec![Tag::default(); usize::from(tags)],
            asked: VecDeque::new(),
            retrying: 0,
            timeouts: 0,
            late: 0,
        }
    }

    /// The number under which the read leaves at `at`. That of a tag that was never given up
    /// is the tag.
    pub(super) fn asks(&mut self, at: Time, read: Request) -> u64 {
        let tag = &mut self.tags[usize::from(read.tag)];
        let number = u64::from(read.tag) | tag.generation << GENERATION;
        let (times, first) = match tag.open.take() {
            Some((_, times, first)) => (times + 1, first),
            None => (1, at),
        };
        tag.open = Some((read, times, first));
        self.asked.push_back((at, number));
        number
    }

    /// The tag that the host answers; `None` if the read was given up.
    ///
    /// # Errors
    /// No read had the number.
    pub(super) fn answered(&mut self, number: u64) -> Result<Option<u8>, &'static str> {
        let tag = number as u8;
        let generation = number >> GENERATION;
        let known = self.tags.get_mut(usize::from(tag));
        let known = known.ok_or("no read has this number")?;
        if generation < known.generation {
            self.late += 1;
            return Ok(None);
        }
        if generation > known.generation {
            return Err("no read has this number");
        }
        let Some((_, times, _)) = known.open.take() else {
            return Err("it is not in flight");
        };
        self.retrying -= usize::from(times > 1);
        self.forget_answered();
        Ok(Some(tag))
    }

    fn forget_answered(&mut self) {
        while let Some(&(_, number)) = self.asked.front() {
            let tag = &self.tags[usize::from(number as u8)];
            if tag.open.is_some() && number >> GENERATION == tag.generation {
                return;
            }
            self.asked.pop_front();
        }
    }

    /// Gives all reads up: what answers come are late.
    pub(super) fn forget_all(&mut self) {
        for tag in self.tags.iter_mut().filter(|tag| tag.open.is_some()) {
            tag.generation += 1;
            tag.open = None;
        }
        self.asked.clear();
        self.retrying = 0;
    }

    /// A read was given up and its answer has not come.
    pub(super) fn retries(&self) -> bool {
        self.retrying > 0
    }

    /// When the oldest open read was asked last; [`Time::NEVER`] without one.
    pub(super) fn oldest(&self) -> Time {
        self.asked.front().map_or(Time::NEVER, |(at, _)| *at)
    }

    /// The next read whose timeout has passed at `now`, and what becomes of it.
    ///
    /// # Errors
    /// It was asked as often as the link allows, and cannot be given up.
    pub(super) fn again(
        &mut self,
        now: Time,
        link: &LinkParameters,
    ) -> Result<Option<Overtime>, Error> {
        let Some(&(at, number)) = self.asked.front() else {
            return Ok(None);
        };
        if at + link.completion_timeout > now {
            return Ok(None);
        }
        let tag = &mut self.tags[usize::from(number as u8)];
        let Some((read, times, first)) = tag.open.clone() else {
            return Ok(None);
        };
        let dispensable = read.tag < self.dispensable;
        if dispensable && times > link.completion_retries {
            tag.generation += 1;
            tag.open = None;
            self.given_up += 1;
            self.retrying -= usize::from(times > 1);
            self.asked.pop_front();
            self.forget_answered();
            return Ok(Some(Overtime::GivenUp(read.tag)));
        }
        if !dispensable && times > link.vital_retries {
            return Err(Error::Timeout {
                tag: read.tag,
                address: read.address,
                bytes: read.bytes,
                times,
                first,
            });
        }
        tag.generation += 1;
        self.timeouts += 1;
        self.retrying += usize::from(times == 1);
        self.asked.pop_front();
        self.forget_answered();
        Ok(Some(Overtime::Again(read)))
    }
}
