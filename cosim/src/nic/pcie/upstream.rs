//! From the device to the root complex: one ordered stream of packets.

use super::traffic::Cost;
use super::{Error, LinkParameters, Traffic, tlp};
use crate::nic::bits::BeatData;
use crate::nic::edges::Edge;
use hallux_channel::Time;
use std::collections::VecDeque;

/// `kind` of a request: memory write.
pub(super) const WRITE: u8 = 0;
/// `kind` of a request: MSI-X message.
pub(super) const MSIX: u8 = 1;
/// `kind` of a request: completion of an MMIO read.
pub(super) const COMPLETION: u8 = 2;
/// `kind` of a request: memory read.
pub(super) const READ: u8 = 3;

/// Bytes of a page that no request may cross (§2.2.7).
const PAGE: u64 = 4096;

/// One beat of the NIC's upstream queue; the fields of `channels::Up`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpBeat {
    /// 0 memory write, 1 MSI-X, 2 completion of an MMIO read, 3 memory read.
    pub kind: u8,
    /// Bus address.
    pub address: u64,
    /// Bytes of the whole request.
    pub bytes: u16,
    /// Tag of the read, or of the MMIO read that is completed.
    pub tag: u8,
    /// MSI-X vector.
    pub vector: u8,
    /// Data, justified to byte 0 of the first beat.
    pub data: BeatData,
    /// Last beat of the request.
    pub last: bool,
}

impl UpBeat {
    /// What the acceptance of this beat completes, if it is a write or a read.
    pub(in crate::nic) fn crossing(&self) -> Option<Edge> {
        match self.kind {
            WRITE if self.last => Some(Edge::Write {
                address: self.address,
                bytes: self.bytes,
            }),
            READ => Some(Edge::Read {
                tag: self.tag,
                bytes: self.bytes,
            }),
            _ => None,
        }
    }
}

/// A whole request of the NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub kind: u8,
    pub address: u64,
    pub bytes: u16,
    pub tag: u8,
    pub vector: u8,
    pub data: Vec<u8>,
}

/// Flow-control credits of one kind, as the root complex grants and returns them.
#[derive(Debug)]
struct Credits {
    headers: u32,
    data: u32,
    /// What comes back, and when.
    returning: VecDeque<(Time, u32)>,
}

impl Credits {
    fn new(headers: u32, data: u32) -> Self {
        Self {
            headers,
            data,
            returning: VecDeque::new(),
        }
    }

    /// Takes one header and `data` units at the earliest time from `at` on.
    fn take(&mut self, at: Time, data: u32) -> Time {
        let mut at = at;
        while let Some(&(back, units)) = self.returning.front() {
            if back > at && self.headers > 0 && self.data >= data {
                break;
            }
            at = at.max(back);
            self.headers += 1;
            self.data += units;
            self.returning.pop_front();
        }
        self.headers -= 1;
        self.data -= data;
        at
    }

    /// When a header credit is there.
    fn header_at(&self) -> Time {
        match self.returning.front() {
            Some(&(back, _)) if self.headers == 0 => back,
            _ => Time::ZERO,
        }
    }
}

/// Assembles requests from beats and serialises them.
#[derive(Debug)]
pub(super) struct Upstream {
    /// Bytes of a beat.
    bus_bytes: usize,
    partial: Option<Request>,
    free_at: Time,
    posted: Credits,
    non_posted: Credits,
    /// Reads that wait for a non-posted credit; later writes may pass them (§2.4.1).
    waiting: VecDeque<Request>,
    buffer: Time,
}

impl Upstream {
    pub(super) fn new(link: &LinkParameters, bus_bytes: usize) -> Self {
        Self {
            bus_bytes,
            partial: None,
            free_at: Time::ZERO,
            posted: Credits::new(link.posted_headers, link.posted_data),
            non_posted: Credits::new(link.non_posted_headers, 0),
            waiting: VecDeque::new(),
            buffer: link.wire_time(link.upstream_buffer),
        }
    }

    /// The device's transmit buffer has room at `now`.
    pub(super) fn ready(&self, now: Time) -> bool {
        self.free_at <= now + self.buffer
    }

    /// When a waiting read gets its credit.
    pub(super) fn next_due(&self) -> Time {
        if self.waiting.is_empty() {
            Time::NEVER
        } else {
            self.non_posted.header_at()
        }
    }

    /// Nothing is half-assembled and nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.partial.is_none() && self.waiting.is_empty()
    }

    /// Takes a beat; returns the request it completes.
    pub(super) fn take(
        &mut self,
        beat: &UpBeat,
        link: &LinkParameters,
    ) -> Result<Option<Request>, Error> {
        if self.partial.is_none() {
            check(beat, link)?;
            self.partial = Some(Request {
                kind: beat.kind,
                address: beat.address,
                bytes: beat.bytes,
                tag: beat.tag,
                vector: beat.vector,
                data: Vec::new(),
            });
        }
        let Some(request) = &mut self.partial else {
            return Ok(None);
        };
        if (request.kind, request.address, request.bytes) != (beat.kind, beat.address, beat.bytes) {
            return Err(Error::Interleaved {
                kind: name(beat.kind),
                address: beat.address,
                open_kind: name(request.kind),
                open_address: request.address,
            });
        }
        let wanted = match request.kind {
            WRITE => usize::from(request.bytes),
            COMPLETION => 8,
            _ => 0,
        };
        let take = (wanted - request.data.len()).min(self.bus_bytes);
        request.data.extend_from_slice(&beat.data[..take]);
        if beat.last != (request.data.len() == wanted) {
            return Err(Error::Beats {
                kind: name(beat.kind),
                address: beat.address,
                bytes: beat.bytes,
                carried: request.data.len(),
                last: beat.last,
            });
        }
        Ok(if beat.last { self.partial.take() } else { None })
    }

    /// Forgets what has not left; credits and the wire stay as they are.
    pub(super) fn reset(&mut self) {
        self.partial = None;
        self.waiting.clear();
    }

    /// Queues a read. It leaves by [`Upstream::release`].
    pub(super) fn wait(&mut self, request: Request) {
        self.waiting.push_back(request);
    }

    /// The next read that has its credit at `now`, and when its last symbol leaves.
    pub(super) fn release(
        &mut self,
        now: Time,
        link: &LinkParameters,
        traffic: &mut Traffic,
    ) -> Option<(Time, Request)> {
        if self.non_posted.header_at() > now {
            return None;
        }
        let request = self.waiting.pop_front()?;
        self.non_posted.take(now, 0);
        let bytes = tlp::memory_read(request.address);
        let end = self.serialise(now, bytes, link);
        self.non_posted
            .returning
            .push_back((end + link.credit_return, 0));
        traffic.add(Cost::MemoryRead, bytes);
        Some((end, request))
    }

    /// Sends a posted packet with `length` data bytes at `address`; the time its last
    /// symbol leaves.
    pub(super) fn post(
        &mut self,
        now: Time,
        bytes: u64,
        address: u64,
        length: u64,
        link: &LinkParameters,
    ) -> Time {
        let units = tlp::data_credits(address, length);
        let start = self.posted.take(now.max(self.free_at), units);
        let end = self.serialise(start, bytes, link);
        self.posted
            .returning
            .push_back((end + link.credit_return, units));
        end
    }

    /// Sends a completion, for which the root complex grants infinite credit (§2.6.1).
    pub(super) fn complete(&mut self, now: Time, bytes: u64, link: &LinkParameters) -> Time {
        self.serialise(now, bytes, link)
    }

    fn serialise(&mut self, at: Time, bytes: u64, link: &LinkParameters) -> Time {
        self.free_at = self.free_at.max(at) + link.wire_time(bytes);
        self.free_at
    }
}

/// Name of a request's kind, for errors.
pub(super) fn name(kind: u8) -> &'static str {
    match kind {
        WRITE => "memory write",
        MSIX => "MSI-X",
        COMPLETION => "MMIO completion",
        _ => "memory read",
    }
}

/// The rules that the data path promises to keep.
fn check(beat: &UpBeat, link: &LinkParameters) -> Result<(), Error> {
    let limit = match beat.kind {
        WRITE => link.max_payload,
        READ => link.max_read_request,
        _ => return Ok(()),
    };
    let bytes = u64::from(beat.bytes);
    let kind = name(beat.kind);
    if bytes == 0 || bytes > limit {
        return Err(Error::Size {
            kind,
            address: beat.address,
            bytes,
            limit,
        });
    }
    if beat.address % PAGE + bytes > PAGE {
        return Err(Error::Page {
            kind,
            address: beat.address,
            bytes,
        });
    }
    Ok(())
}
