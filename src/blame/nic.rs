//! The way of a request or an answer through one RTL NIC.

use super::frames::Port;
use super::path::{Cause, Path};
use hallux_cosim::observe::passages::{DescriptorIn, Entered, PassageLog, PayloadRead, RecordOut};
use hallux_cosim::observe::rtt::Ends;
use std::collections::BTreeMap;

/// Bit of a ticket at which its kind starts.
const KIND_SHIFT: u32 = 22;
/// Kinds of tickets.
const RX: u32 = 0;
const TX: u32 = 1;
const HC: u32 = 2;
/// Bit of a ticket of host control that tells pushes from fetched descriptors.
const PUSHED: u32 = 1 << 21;

/// The entries of one event, in order.
#[derive(Clone, Debug)]
struct Passage {
    kind: u32,
    flow: u16,
    /// Of host control: it was pushed.
    pushed: bool,
    entries: Vec<Entered>,
    frame: Option<u32>,
}

/// A connection as the NIC knows it.
type FlowKey = (u16, u8);

/// A NIC after the run, prepared for questions.
#[derive(Debug)]
pub struct NicView<'a> {
    name: &'a str,
    log: &'a PassageLog,
    port: &'a Port,
    /// One-way delay of PCIe, in ps.
    delay: u64,
    /// Name of each stage without the number of its group.
    stages: Vec<&'a str>,
    /// Read tags of one group, as a power of two.
    group_tags: u32,
    passages: Vec<Passage>,
    /// Passages by flow id, in order: received and announced, granted, descriptors.
    announced: BTreeMap<u16, Vec<usize>>,
    granted: BTreeMap<u16, Vec<usize>>,
    described: BTreeMap<u16, Vec<usize>>,
    pushed: BTreeMap<u16, Vec<usize>>,
    /// Flow id of each connection, by the direction of arrival.
    flows: BTreeMap<Ends, u16>,
    /// Records by connection, with the bytes announced up to each.
    records: BTreeMap<FlowKey, Vec<(u64, RecordOut)>>,
    /// Descriptors by connection, with the bytes released up to each, and the number
    /// among those of the flow id, pushes and others by themselves.
    descriptors: BTreeMap<FlowKey, Vec<(u64, DescriptorIn, usize)>>,
    /// The passage of each sent data frame, by its number.
    sent: BTreeMap<u32, usize>,
    /// First read out and last answer in of a passage, by its index.
    reads: BTreeMap<usize, (u64, u64)>,
}

impl<'a> NicView<'a> {
    /// The NIC `name`, whose wire is `port` and whose host is `delay` ps away.
    pub fn new(
        name: &'a str,
        log: &'a PassageLog,
        port: &'a Port,
        delay: u64,
        group_tags: u32,
    ) -> Self {
        let base = |stage: &'a String| match stage.split_once("_further_") {
            Some((base, _)) => base,
            None => stage.as_str(),
        };
        let mut view = Self {
            name,
            log,
            port,
            delay,
            stages: log.stages.iter().map(base).collect(),
            group_tags,
            passages: passages(log),
            announced: BTreeMap::new(),
            granted: BTreeMap::new(),
            described: BTreeMap::new(),
            pushed: BTreeMap::new(),
            flows: BTreeMap::new(),
            records: BTreeMap::new(),
            descriptors: BTreeMap::new(),
            sent: BTreeMap::new(),
            reads: BTreeMap::new(),
        };
        view.sort_passages();
        view.name_flows();
        view.add_up();
        view.match_sent();
        view.match_reads();
        view
    }

    fn stage(&self, entry: &Entered) -> &'a str {
        self.stages
            .get(usize::from(entry.stage))
            .copied()
            .unwrap_or("?")
    }

    fn entry(&self, passage: &Passage, stage: &str) -> Option<Entered> {
        let found = passage.entries.iter().find(|e| self.stage(e) == stage);
        found.copied()
    }

    fn sort_passages(&mut self) {
        for index in 0..self.passages.len() {
            let passage = &self.passages[index];
            let into = match passage.kind {
                RX if self.entry(passage, "notify").is_some() => &mut self.announced,
                TX if self.entry(passage, "assemble").is_some() => &mut self.granted,
                // One that reads is a frame of the control plane.
                HC if passage.pushed => &mut self.pushed,
                HC if self.entry(passage, "payload_read").is_none() => &mut self.described,
                _ => continue,
            };
            into.entry(passage.flow).or_default().push(index);
        }
    }

    /// The flow id of a connection is that of most of its segments: the first may have
    /// come before the connection had one.
    fn name_flows(&mut self) {
        let mut ends_of = BTreeMap::new();
        for (ends, stream) in &self.port.received {
            for passed in &stream.passed {
                ends_of.insert(passed.number, *ends);
            }
        }
        let mut votes: BTreeMap<Ends, BTreeMap<u16, u32>> = BTreeMap::new();
        for passage in &self.passages {
            let ends = passage.frame.and_then(|frame| ends_of.get(&frame));
            if let (RX, Some(ends)) = (passage.kind, ends) {
                let of = votes.entry(*ends).or_default();
                *of.entry(passage.flow).or_default() += 1;
            }
        }
        for (ends, votes) in votes {
            let most = votes.into_iter().max_by_key(|(_, count)| *count);
            if let Some((flow, _)) = most {
                self.flows.insert(ends, flow);
            }
        }
    }

    fn add_up(&mut self) {
        for record in &self.log.records {
            let of = self.records.entry((record.flow, record.generation));
            let of = of.or_default();
            let before = of.last().map_or(0, |(total, _)| *total);
            of.push((before + u64::from(record.received), *record));
        }
        let mut numbers = BTreeMap::<(u16, bool), usize>::new();
        let mut numbered = vec![];
        for descriptor in &self.log.descriptors {
            let number = (descriptor.flow, descriptor.pushed.is_some());
            let number = numbers.entry(number).or_default();
            numbered.push((*descriptor, *number));
            *number += 1;
        }
        // A push may pass a descriptor that is still fetched, but not its doorbell: in this
        // order the host released its bytes.
        numbered.sort_by_key(|(descriptor, _)| descriptor.rung.unwrap_or(descriptor.asked));
        for (descriptor, number) in numbered {
            let key = (descriptor.flow, descriptor.generation);
            let of = self.descriptors.entry(key).or_default();
            let before = of.last().map_or(0, |(total, ..)| *total);
            let total = before + u64::from(descriptor.released);
            of.push((total, descriptor, number));
        }
    }

    /// Where the payload of each push stands, by the direction of sending and the first byte
    /// of the stream.
    fn pushed_payloads(&self) -> BTreeMap<(Ends, u64), u64> {
        let mut places = BTreeMap::new();
        for (ends, stream) in &self.port.received {
            let key = self.key(*ends, stream.opened, &self.descriptors, |(_, d, _)| d.asked);
            let descriptors = key.and_then(|key| self.descriptors.get(&key));
            for (total, descriptor, _) in descriptors.into_iter().flatten() {
                if let Some(address) = descriptor.pushed {
                    let first = total - u64::from(descriptor.released);
                    places.insert((ends.back(), first), address);
                }
            }
        }
        places
    }

    /// Data frames of a flow leave in the order of its grants.
    fn match_sent(&mut self) {
        let mut frames: BTreeMap<u16, Vec<u32>> = BTreeMap::new();
        for (ends, stream) in &self.port.sent {
            if let Some(flow) = self.flows.get(&ends.back()) {
                let numbers = stream.passed.iter().map(|passed| passed.number);
                frames.entry(*flow).or_default().extend(numbers);
            }
        }
        for (flow, mut numbers) in frames {
            numbers.sort_unstable();
            let granted = self.granted.get(&flow).map_or(&[][..], |g| g.as_slice());
            self.sent
                .extend(numbers.into_iter().zip(granted.iter().copied()));
        }
    }

    /// Reads of a group are those of its grants and, in the first, of the control plane's
    /// frames, in order, byte for byte. What was pushed and is kept still needs none.
    fn match_reads(&mut self) {
        let pushed = self.pushed_payloads();
        let sent = self.port.sent.iter();
        let sent = sent.flat_map(|(ends, stream)| stream.passed.iter().map(move |p| (ends, p)));
        // By frame: its bytes, and where they stand if they begin with those of a push.
        let bytes_of: BTreeMap<u32, (u32, Option<u64>)> = sent
            .map(|(ends, passed)| {
                let place = pushed.get(&(*ends, passed.start)).copied();
                (passed.number, (passed.bytes, place))
            })
            .collect();
        let sent_as: BTreeMap<usize, u32> = self.sent.iter().map(|(f, p)| (*p, *f)).collect();
        let mut host_frames = self.log.host_frames.iter();
        // By group: when, which passage, and how many bytes it asked for, if that is known,
        // beside the place of a push.
        type Wanted = (u64, usize, Option<(u32, Option<u64>)>);
        let mut wanted: BTreeMap<u16, Vec<Wanted>> = BTreeMap::new();
        for (index, passage) in self.passages.iter().enumerate() {
            let Some(entry) = self.entry(passage, "payload_read") else {
                continue;
            };
            let sent = sent_as.get(&index).and_then(|frame| bytes_of.get(frame));
            let bytes = match passage.kind {
                HC => host_frames.next().map(|bytes| (u32::from(*bytes), None)),
                _ => sent.copied(),
            };
            let of = wanted.entry(entry.stage).or_default();
            of.push((entry.at, index, bytes));
        }
        // The first group's stage comes first in the list of probes.
        for (group, requests) in (0..).zip(wanted.values_mut()) {
            requests.sort_unstable();
            let own = |tag: u8| u32::from(tag) >> self.group_tags.max(1).ilog2() == group;
            let reads = self.log.reads.iter().filter(|read| own(read.tag));
            let mut reads = reads.peekable();
            for (_, index, bytes) in requests {
                // What was read for whom is not known behind a request of unknown size.
                let Some((mut missing, place)) = *bytes else {
                    break;
                };
                if let Some(place) = place {
                    // Sent again it is read, so the read is to come before this frame leaves.
                    let frame = sent_as.get(index).copied().unwrap_or_default();
                    let left = self.log.frames_out.get(frame as usize);
                    let left = left.copied().unwrap_or(u64::MAX);
                    let read = |read: &&PayloadRead| read.address == place && read.asked < left;
                    if !reads.peek().is_some_and(read) {
                        continue;
                    }
                }
                let (mut first, mut last) = (None, 0);
                while missing > 0 {
                    let Some(read) = reads.next() else { return };
                    first.get_or_insert(read.asked);
                    last = last.max(read.answered.unwrap_or(read.asked));
                    missing = missing.saturating_sub(read.bytes.into());
                }
                if let Some(first) = first {
                    self.reads.insert(*index, (first, last));
                }
            }
        }
    }

    /// The generation under which a connection was open from `opened` on.
    fn key<T>(
        &self,
        ends: Ends,
        opened: u64,
        of: &BTreeMap<FlowKey, Vec<T>>,
        at: impl Fn(&T) -> u64,
    ) -> Option<FlowKey> {
        let flow = *self.flows.get(&ends)?;
        let keys = of.range((flow, 0)..=(flow, u8::MAX));
        let first = keys.filter_map(|(key, list)| {
            let first = list.iter().map(&at).find(|at| *at >= opened)?;
            Some((first, *key))
        });
        first.min().map(|(_, key)| key)
    }

    fn place(&self, stage: &str) -> String {
        format!("{}.{stage}", self.name)
    }

    /// From the arrival of the segment that completes the bytes before `end` to the
    /// arrival of its record at the host; starts a path.
    pub fn receive(&self, ends: Ends, end: u64) -> Option<Received> {
        let stream = self.port.received.get(&ends)?;
        let key = self.key(ends, stream.opened, &self.records, |(_, r)| r.taken)?;
        let records = self.records.get(&key)?;
        let index = records.partition_point(|(total, _)| *total < end);
        let (_, record) = records.get(index)?;
        let announced = self.announced.get(&key.0)?;
        let before = announced.partition_point(|&index| {
            let entry = self.entry(&self.passages[index], "notify");
            entry.is_some_and(|entry| entry.at <= record.taken)
        });
        let passage = &self.passages[*announced.get(before.checked_sub(1)?)?];
        let frame = passage.frame?;
        let mut path = self.inward(passage)?;
        let notify = self.place("notify");
        path.stage(record.taken, notify.clone(), "upstream", 0);
        path.cause(record.left, notify, Cause::Pcie);
        path.cause(record.left + self.delay, self.place("record"), Cause::Pcie);
        let frames = &stream.passed;
        let place = frames.binary_search_by_key(&frame, |passed| passed.number);
        Some(Received {
            start: frames.get(place.ok()?)?.start,
            path,
        })
    }

    /// From the arrival of a segment to its entry into notification.
    fn inward(&self, passage: &Passage) -> Option<Path> {
        let frame = passage.frame? as usize;
        let arrival = *self.port.arrivals.get(frame)?;
        let beats = self.log.frames_in.get(frame)?;
        let mut path = Path::from(arrival);
        path.cause(beats.last, self.place("mac"), Cause::Link);
        let mut before = "parse";
        for entry in &passage.entries {
            let stage = self.stage(entry);
            if matches!(stage, "assemble" | "payload_read" | "scheduler") {
                continue;
            }
            self.step(&mut path, before, entry);
            before = stage;
            if stage == "notify" {
                break;
            }
        }
        Some(path)
    }

    fn step(&self, path: &mut Path, place: &str, to: &Entered) {
        let refused = u64::from(to.refused) * self.log.period;
        path.stage(to.at, self.place(place), self.stage(to), refused);
    }

    /// Continues `path`, which stands at the host called `host`, to the departure of the
    /// frame number `frame`, which completes the bytes before `end` of the stream.
    pub fn send(
        &self,
        path: &mut Path,
        host: &str,
        ends: Ends,
        end: u64,
        frame: u32,
    ) -> Option<()> {
        let back = ends.back();
        let opened = self.port.received.get(&back)?.opened;
        let key = self.key(back, opened, &self.descriptors, |(_, d, _)| d.asked)?;
        let descriptors = self.descriptors.get(&key)?;
        let index = descriptors.partition_point(|(total, ..)| *total < end);
        let (_, descriptor, number) = descriptors.get(index)?;
        let events = match descriptor.pushed {
            Some(_) => &self.pushed,
            None => &self.described,
        };
        let event = &self.passages[*events.get(&key.0)?.get(*number)?];
        let rung = descriptor.rung.unwrap_or(descriptor.asked);
        path.cause(
            rung.saturating_sub(self.delay),
            host.to_owned(),
            Cause::Host,
        );
        let mut before = "push";
        if descriptor.pushed.is_some() {
            path.cause(rung, self.place(before), Cause::Pcie);
        } else {
            before = "fetch";
            path.cause(rung, self.place("doorbell"), Cause::Pcie);
            let fetch = self.place(before);
            path.stage(descriptor.asked, fetch.clone(), "read", 0);
            path.cause(descriptor.answered, fetch, Cause::Pcie);
        }
        for entry in &event.entries {
            self.step(path, before, entry);
            before = self.stage(entry);
        }
        let index = *self.sent.get(&frame)?;
        // The wait for the grant is no work, however short the shortest is: a message of
        // many segments waits for its own.
        if let Some(grant) = self.passages[index].entries.first() {
            path.cause(grant.at, self.place("scheduler"), Cause::Starved);
        }
        self.outward(path, index, frame);
        Some(())
    }

    /// From the grant of a segment to the departure of its last bit.
    fn outward(&self, path: &mut Path, index: usize, frame: u32) {
        let passage = &self.passages[index];
        let mut before = "scheduler";
        for entry in &passage.entries {
            let stage = self.stage(entry);
            if matches!(stage, "payload_write" | "assemble") {
                continue;
            }
            self.step(path, before, entry);
            before = stage;
        }
        if let Some(&(asked, answered)) = self.reads.get(&index) {
            let place = self.place("payload_read");
            path.stage(asked, place.clone(), "read", 0);
            path.cause(answered, place, Cause::Pcie);
        }
        let number = frame as usize;
        if let (Some(first), Some(left)) = (
            self.log.frames_out.get(number),
            self.port.departures.get(number),
        ) {
            path.stage(*first, self.place("assemble"), "wire", 0);
            path.cause(*left, self.place("mac"), Cause::Link);
        }
    }

    /// The way of every data segment from the wire to its notification.
    pub fn received_segments(&self) -> Vec<Path> {
        let data: BTreeMap<u32, bool> = streams(self.port.received.values());
        let indices = self.announced.values().flatten();
        let passages = indices.map(|index| &self.passages[*index]);
        let data = passages.filter(|p| p.frame.is_some_and(|f| data.get(&f) == Some(&true)));
        data.filter_map(|passage| self.inward(passage)).collect()
    }

    /// The way of every data segment from its grant to the wire.
    pub fn sent_segments(&self) -> Vec<Path> {
        let data: BTreeMap<u32, bool> = streams(self.port.sent.values());
        let frames = self.sent.iter().filter(|(f, _)| data.get(f) == Some(&true));
        frames
            .filter_map(|(frame, index)| {
                let first = self.passages[*index].entries.first()?;
                let mut path = Path::from(first.at);
                self.outward(&mut path, *index, *frame);
                Some(path)
            })
            .collect()
    }
}

/// Whether each frame carries data.
fn streams<'s>(streams: impl Iterator<Item = &'s super::frames::Stream>) -> BTreeMap<u32, bool> {
    let passed = streams.flat_map(|stream| &stream.passed);
    passed.map(|p| (p.number, p.bytes > 0)).collect()
}

/// The way of a request or an answer into a host.
#[derive(Clone, Debug)]
pub struct Received {
    /// First byte of the segment that completed it.
    pub start: u64,
    /// From the segment's arrival to the record's.
    pub path: Path,
}

/// The events of a log. A ticket that comes again to its first stage is a new event.
fn passages(log: &PassageLog) -> Vec<Passage> {
    // Without pushes the bit counts as any other.
    let pushes = log.descriptors.iter().any(|d| d.pushed.is_some());
    let mut passages: Vec<Passage> = vec![];
    let mut current: BTreeMap<u32, usize> = BTreeMap::new();
    for &entry in &log.entered {
        let open = current.get(&entry.ticket).copied();
        match open.filter(|&index| passages[index].entries[0].stage != entry.stage) {
            Some(index) => {
                let passage = &mut passages[index];
                if passage.flow == 0 {
                    passage.flow = entry.flow;
                }
                passage.entries.push(entry);
            }
            None => {
                current.insert(entry.ticket, passages.len());
                let kind = entry.ticket >> KIND_SHIFT;
                passages.push(Passage {
                    kind,
                    pushed: pushes && kind == HC && entry.ticket & PUSHED != 0,
                    flow: entry.flow,
                    entries: vec![entry],
                    frame: entry.frame,
                });
            }
        }
    }
    passages
}
