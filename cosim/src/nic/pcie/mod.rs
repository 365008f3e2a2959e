//! The PCIe link and the root complex's answer times, as the NIC sees them.
//!
//! ```text
//!            up (one ordered queue)            link: serialisation, credits
//!   RTL ─────────────────────────────► upstream ─────────────────────────► host
//!       ◄──── dma_cpl ──── beats ──┐
//!       ◄──── mmio ────── words ───┴─ downstream ◄── root latency, splitting ── host
//! ```
//!
//! A message of the channel is a whole request or a whole completion (SimBricks has no
//! split completions); packets, credits and the completion boundary exist only here.
//! Every packet is accounted with its framing, so that bytes by class are bytes on the
//! wire. Times are exact functions of message stamps and clock edges: evaluating more or
//! fewer idle clock cycles changes nothing.

mod downstream;
mod error;
mod overdue;
mod parameters;
mod tlp;
mod traffic;
mod upstream;

pub use downstream::CompletionBeat;
pub use error::Error;
pub use parameters::{LinkParameters, ParameterError};
pub use tlp::Generation;
pub use traffic::Traffic;
pub use upstream::UpBeat;

use bytes::Bytes;
use downstream::{Access, Downstream};
use hallux_channel::{InterruptKind, Message, Random, Time};
use hallux_toe::interface;
use overdue::{Overdue, Overtime};
use std::collections::{BTreeMap, VecDeque};
use traffic::Cost;
use upstream::{COMPLETION, MSIX, READ, Request, Upstream, WRITE};

/// Bytes of a register: the largest piece of an MMIO access.
const WORD: u64 = 8;

/// One access of the host as the NIC gets it; the fields of `channels::Mmio`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MmioWord {
    /// Base address register.
    pub bar: u8,
    /// A posted write; otherwise a read.
    pub write: bool,
    /// Byte offset, a multiple of 8.
    pub address: u32,
    /// Write data, in place.
    pub data: u64,
    /// Byte enables of a write.
    pub strobe: u8,
    /// Tag of a read.
    pub tag: u8,
}

/// A host's read that is being collected from words.
#[derive(Debug)]
struct HostRead {
    request: u64,
    offset: u64,
    data: Vec<u8>,
    missing: u64,
}

/// The link of one NIC.
#[derive(Debug)]
pub struct PcieLink {
    parameters: LinkParameters,
    upstream: Upstream,
    downstream: Downstream,
    traffic: Traffic,
    /// Open reads of the host, by a running number.
    host_reads: BTreeMap<u64, HostRead>,
    next_host_request: u64,
    /// What each MMIO tag stands for: host request, byte offset, bytes.
    mmio_tags: Vec<Option<(u64, u64, u8)>>,
    /// Writes of the host that want an answer.
    host_writes: BTreeMap<u64, (u64, u64)>,
    msix_disabled: bool,
    /// Accesses outside the NIC's registers.
    unclaimed: u64,
    overdue: Overdue,
    outgoing: VecDeque<(Time, Message)>,
}

impl PcieLink {
    /// A link at rest beside a NIC whose beats have `bus_bytes` bytes. `random` draws the
    /// root complex's answer times.
    ///
    /// # Errors
    /// Impossible parameters.
    pub fn new(
        parameters: LinkParameters,
        bus_bytes: usize,
        random: Random,
    ) -> Result<Self, ParameterError> {
        parameters.validate()?;
        Ok(Self {
            upstream: Upstream::new(&parameters, bus_bytes),
            downstream: Downstream::new(&parameters, bus_bytes, random),
            traffic: Traffic::default(),
            host_reads: BTreeMap::new(),
            next_host_request: 0,
            mmio_tags: vec![None; 256],
            host_writes: BTreeMap::new(),
            msix_disabled: false,
            unclaimed: 0,
            overdue: Overdue::new(parameters.tags, 0),
            outgoing: VecDeque::new(),
            parameters,
        })
    }

    /// A link that gives up reads with tags below `tags`, where a host does not answer: the NIC gets
    /// a poisoned completion. Without, and of other tags, such a read is an error.
    #[must_use]
    pub fn giving_up(self, tags: u8) -> Self {
        Self {
            overdue: Overdue::new(self.parameters.tags, tags),
            ..self
        }
    }

    /// Bytes and packets so far.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Number of accesses that hit no register and were answered with all ones.
    pub fn unclaimed_accesses(&self) -> u64 {
        self.unclaimed
    }

    /// Number of reads of host memory in flight.
    pub fn reads_in_flight(&self) -> usize {
        self.downstream.reads_in_flight()
    }

    /// When the link next has something for the NIC without a further message.
    pub fn next_due(&self) -> Time {
        let overdue = self.overdue.oldest() + self.parameters.completion_timeout;
        self.upstream
            .next_due()
            .min(self.downstream.next_due())
            .min(overdue)
    }

    /// Reads that were not answered in time and asked again, and answers that came after that.
    pub fn timeouts(&self) -> (u64, u64) {
        (self.overdue.timeouts, self.overdue.late)
    }

    /// Reads that were given up.
    pub fn given_up(&self) -> u64 {
        self.overdue.given_up
    }

    /// The host owes an answer to a read that was asked before `since`, or more than once.
    pub fn waits_since(&self, since: Time) -> bool {
        self.overdue.retries() || self.overdue.oldest() < since
    }

    /// No request is half-assembled and no read waits for credit.
    pub fn is_idle(&self) -> bool {
        self.upstream.is_idle()
    }

    /// A message of the host arrives at `at`.
    ///
    /// # Errors
    /// A completion that fits no read in flight.
    pub fn receive(&mut self, at: Time, message: Message) -> Result<(), Error> {
        match message {
            Message::DmaReadCompletion { req_id, data } => {
                let wrong = |problem| Error::Completion {
                    request: req_id,
                    bytes: data.len(),
                    problem,
                };
                let Some(tag) = self.overdue.answered(req_id).map_err(wrong)? else {
                    return Ok(());
                };
                let (_, length) = self
                    .downstream
                    .read(tag)
                    .ok_or(wrong("it is not in flight"))?;
                if data.len() as u64 != length {
                    return Err(wrong("the read asked for another number"));
                }
                self.downstream.complete(at, tag, data, &self.parameters);
            }
            Message::MmioRead {
                req_id,
                bar,
                offset,
                len,
            } => {
                let request = self.next_request();
                let len = u64::from(len);
                let read = HostRead {
                    request: req_id,
                    offset,
                    data: vec![0; len as usize],
                    missing: len,
                };
                self.host_reads.insert(request, read);
                let accesses = words(bar, offset, len, request, None);
                self.downstream.mmio(at, tlp::memory_read(offset), accesses);
            }
            Message::MmioWrite {
                req_id,
                bar,
                offset,
                data,
                posted,
            } => {
                let request = self.next_request();
                let length = data.len() as u64;
                let accesses = words(bar, offset, length, request, Some(&data));
                if !posted {
                    self.host_writes
                        .insert(request, (req_id, accesses.len() as u64));
                }
                self.downstream
                    .mmio(at, tlp::memory_write(offset, length), accesses);
            }
            Message::DeviceControl { flags } => {
                self.msix_disabled = flags & Message::MSIX_ENABLED == 0
            }
            Message::DmaWriteCompletion { .. } => {}
            other => return Err(Error::Direction(other.kind())),
        }
        Ok(())
    }

    fn next_request(&mut self) -> u64 {
        self.next_host_request += 1;
        self.next_host_request
    }

    /// A clock edge at `now`: moves packets, asks again what was not answered in time, and
    /// answers what is not the NIC's.
    ///
    /// # Errors
    /// A read that cannot be given up was asked as often as the link allows.
    pub fn edge(&mut self, now: Time) -> Result<(), Error> {
        self.downstream
            .advance(now, &self.parameters, &mut self.traffic);
        while let Some(overtime) = self.overdue.again(now, &self.parameters)? {
            match overtime {
                Overtime::Again(read) => self.upstream.wait(read),
                Overtime::GivenUp(tag) => self.downstream.poison(now, tag),
            }
        }
        while let Some((end, read)) =
            self.upstream
                .release(now, &self.parameters, &mut self.traffic)
        {
            let (addr, len) = (read.address, read.bytes);
            let req_id = self.overdue.asks(end, read);
            let message = Message::DmaRead { req_id, addr, len };
            self.outgoing.push_back((end, message));
        }
        while let Some(access) = self.downstream.access(now) {
            if access.bar == interface::BAR && access.offset < interface::BAR_BYTES {
                break;
            }
            let Some(access) = self.downstream.pop_access() else {
                break;
            };
            self.unclaimed += u64::from(access.bar != interface::MSIX_BAR);
            match access.write {
                None => self.word_read(now, access.request, access.offset, access.length, u64::MAX),
                Some(_) => self.word_written(now, access.request),
            }
        }
        Ok(())
    }

    /// The completion beat that the NIC gets at the edge `now`.
    pub fn completion(&mut self, now: Time) -> Option<CompletionBeat> {
        self.downstream.pop_beat(now)
    }

    /// The access that is offered to the NIC at the edge `now`; it stays until
    /// [`PcieLink::mmio_taken`].
    pub fn mmio(&mut self, now: Time) -> Option<MmioWord> {
        let access = self.downstream.access(now)?;
        let address = (access.offset & !(WORD - 1)) as u32;
        let lane = access.offset % WORD;
        let tag = match access.write {
            Some(_) => 0,
            None => self.mmio_tags.iter().position(Option::is_none)?,
        };
        let strobe = ((1_u16 << access.length) - 1) << lane;
        Some(MmioWord {
            bar: access.bar,
            write: access.write.is_some(),
            address,
            data: access.write.unwrap_or(0) << (8 * lane),
            strobe: if access.write.is_some() {
                strobe as u8
            } else {
                0
            },
            tag: tag as u8,
        })
    }

    /// The NIC took `word`, which was offered at the edge `now`.
    pub fn mmio_taken(&mut self, now: Time, word: MmioWord) {
        let Some(access) = self.downstream.pop_access() else {
            return;
        };
        if word.write {
            self.word_written(now, access.request);
        } else {
            self.mmio_tags[usize::from(word.tag)] =
                Some((access.request, access.offset, access.length));
        }
    }

    /// The function is reset at `now`: nothing of what it had begun goes on. Answers to its reads
    /// are late ones from now on, and reads of its registers that it had taken are answered with
    /// all ones.
    pub fn reset(&mut self, now: Time) {
        self.upstream.reset();
        self.downstream.reset();
        self.overdue.forget_all();
        for tag in 0..self.mmio_tags.len() {
            if let Some((read, offset, length)) = self.mmio_tags[tag].take() {
                self.word_read(now, read, offset, length, u64::MAX);
            }
        }
    }

    /// The upstream queue has room at the edge `now`.
    pub fn ready(&self, now: Time) -> bool {
        self.upstream.ready(now)
    }

    /// Takes a beat of the upstream queue at the edge `now`.
    ///
    /// # Errors
    /// The NIC broke a rule of the link.
    pub fn accept(&mut self, now: Time, beat: &UpBeat) -> Result<(), Error> {
        let Some(request) = self.upstream.take(beat, &self.parameters)? else {
            return Ok(());
        };
        match request.kind {
            WRITE => self.write(now, request),
            MSIX => self.interrupt(now, &request),
            COMPLETION => {
                let tag = request.tag;
                let open = self.mmio_tags[usize::from(tag)].take();
                let (read, offset, length) = open.ok_or(Error::UnknownMmio { tag })?;
                let mut data = [0; 8];
                data.copy_from_slice(&request.data);
                self.word_read(
                    now,
                    read,
                    offset,
                    length,
                    u64::from_le_bytes(data) >> (8 * (offset % WORD)),
                );
            }
            READ => {
                let (tag, address) = (request.tag, request.address);
                let wrong = |problem| Error::Tag {
                    tag,
                    address,
                    problem,
                };
                if u16::from(tag) >= self.parameters.tags {
                    return Err(wrong("the link does not have"));
                }
                if self.downstream.read(tag).is_some() {
                    return Err(wrong("is still in flight"));
                }
                self.downstream
                    .start(tag, address, u64::from(request.bytes));
                self.upstream.wait(request);
                self.edge(now)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// What is to be sent to the host: when its last symbol leaves, and the message.
    pub fn take_outgoing(&mut self) -> Option<(Time, Message)> {
        self.outgoing.pop_front()
    }

    fn write(&mut self, now: Time, request: Request) {
        let length = u64::from(request.bytes);
        let bytes = tlp::memory_write(request.address, length);
        let end = self
            .upstream
            .post(now, bytes, request.address, length, &self.parameters);
        self.traffic.add(Cost::MemoryWrite, bytes);
        let data = Bytes::from(request.data);
        self.outgoing.push_back((
            end,
            Message::DmaWrite {
                req_id: 0,
                addr: request.address,
                data,
            },
        ));
    }

    fn interrupt(&mut self, now: Time, request: &Request) {
        if self.msix_disabled {
            return;
        }
        let end = self.upstream.post(now, tlp::msix(), 0, 4, &self.parameters);
        self.traffic.add(Cost::Msix, tlp::msix());
        let vector = u16::from(request.vector);
        self.outgoing.push_back((
            end,
            Message::Interrupt {
                vector,
                kind: InterruptKind::MsiX,
            },
        ));
    }

    /// A word of a host's read is known; the last one completes the read.
    fn word_read(&mut self, now: Time, request: u64, offset: u64, length: u8, value: u64) {
        let Some(read) = self.host_reads.get_mut(&request) else {
            return;
        };
        let start = (offset - read.offset) as usize;
        read.data[start..start + usize::from(length)]
            .copy_from_slice(&value.to_le_bytes()[..usize::from(length)]);
        read.missing -= u64::from(length);
        if read.missing > 0 {
            return;
        }
        if let Some(read) = self.host_reads.remove(&request) {
            let bytes = tlp::completion(read.offset, read.data.len() as u64);
            let end = self.upstream.complete(now, bytes, &self.parameters);
            self.traffic.add(Cost::CompletionUp, bytes);
            let message = Message::MmioReadCompletion {
                req_id: read.request,
                data: read.data.into(),
            };
            self.outgoing.push_back((end, message));
        }
    }

    /// A word of a host's write is taken; the last one of a non-posted write answers it.
    fn word_written(&mut self, now: Time, request: u64) {
        let Some((req_id, left)) = self.host_writes.get_mut(&request) else {
            return;
        };
        *left -= 1;
        if *left == 0 {
            let message = Message::MmioWriteCompletion { req_id: *req_id };
            self.host_writes.remove(&request);
            let bytes = tlp::completion(0, 0);
            let end = self.upstream.complete(now, bytes, &self.parameters);
            self.traffic.add(Cost::CompletionUp, bytes);
            self.outgoing.push_back((end, message));
        }
    }
}

/// Cuts an access at 64-bit words.
fn words(bar: u8, offset: u64, length: u64, request: u64, data: Option<&[u8]>) -> Vec<Access> {
    let mut accesses = Vec::new();
    let mut done = 0;
    while done < length {
        let at = offset.saturating_add(done);
        let piece = (WORD - at % WORD).min(length - done);
        let write = data.map(|data| {
            let mut word = [0; 8];
            word[..piece as usize].copy_from_slice(&data[done as usize..(done + piece) as usize]);
            u64::from_le_bytes(word)
        });
        accesses.push(Access {
            bar,
            offset: at,
            length: piece as u8,
            write,
            request,
        });
        done += piece;
    }
    accesses
}

#[cfg(test)]
mod tests;
