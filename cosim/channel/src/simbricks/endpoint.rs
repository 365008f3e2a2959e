//! One end of an established channel.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::address::{Address, SyncMode};
use super::codec::{Capacity, Outstanding, decode, encode, frame_length, frame_word, sendable};
use super::error::{ChannelError, PeerViolation, Refusal};
use super::establish::{Options, establish_all, pair};
use super::ring::{Consumer, Producer, Slots};
use super::role::Role;
use super::shared::SharedSlots;
use super::socket::{SocketFile, hung_up};
use super::wire::{DeviceIntro, HeaderWords, TIMESTAMP_WORD, kind};
use crate::message::Message;
use crate::port::Protocol;
use crate::time::Time;

/// How often the socket is looked at while nothing else happens.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Fruitless tries between two looks at the clock on the wall.
const TRIES_PER_LOOK: u32 = 256;
/// Bytes that are allocated at once for the payloads of messages.
const ARENA_BYTES: usize = 64 * 1024;

/// An error on its way to the caller. Small, so that results without one stay
/// in registers.
type Failure = Box<ChannelError>;

/// One end of an established channel. Nothing here waits for the peer; a full
/// ring is looked at for about a microsecond.
///
/// The rules of time, for an end that is synchronised:
///
/// - What is sent at T arrives at T + latency. On one end T never decreases.
/// - Before an end handles T it [promises](Endpoint::promise) that nothing
///   earlier will follow.
/// - An end may handle T if T lies before the [bound](Endpoint::bound) of
///   every channel.
#[derive(Debug)]
pub struct Endpoint {
    channel: String,
    protocol: Protocol,
    device: Option<DeviceIntro>,
    latency: Time,
    /// [`Time::NEVER`] without synchronisation.
    sync_interval: Time,
    synchronised: bool,
    producer: Producer<SharedSlots>,
    consumer: Consumer<SharedSlots>,
    capacity: Capacity,
    /// Frames need no further look before they are sent than at time and
    /// length: an open port of Ethernet that has sent something.
    frames_out: bool,
    /// Frames need no further look before they are taken than at stamp and
    /// length: a synchronised port of Ethernet whose peer has not terminated.
    frames_in: bool,
    outstanding: Outstanding,
    arena: BytesMut,
    /// The last frame that was received without a message. As aligned as the
    /// slots are as a rule: no load or store of a copy straddles two lines.
    frame: Vec<Line>,
    /// What [`Endpoint::next_frame_checked`] found.
    found: (Time, usize),
    /// Something was sent.
    has_sent: bool,
    /// Time of the last message sent, before the latency.
    last_sent: Time,
    /// From `last_sent` to the next promise: nothing before the first
    /// message, then the sync interval, [`Time::NEVER`] after the last.
    pace: Time,
    /// The highest stamp received; [`Time::NEVER`] without synchronisation,
    /// and after the last message.
    bound: Time,
    /// The peer has sent its last message.
    terminated: bool,
    /// This end has.
    closed: bool,
    /// Whether this end says so when it has.
    terminates: bool,
    /// The peer's end of the socket is closed: what is in the ring is all
    /// there will be.
    hung_up: bool,
    tries: u32,
    looked: Instant,
    counters: Counters,
    socket: OwnedFd,
    /// Removes the socket of a listener at the end.
    _file: Option<SocketFile>,
}

/// Bytes of a line of the cache.
const LINE: usize = 64;

#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

/// What has crossed an end of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Towards the peer.
    pub sent: Traffic,
    /// From the peer.
    pub received: Traffic,
    /// Tries to send that found the ring full.
    pub full: u64,
    /// Frames dropped because they are longer than a slot.
    pub refused: u64,
    /// Completions of writes that were complete already, ignored.
    pub stray: u64,
}

/// Messages in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages with a meaning of their own.
    pub messages: u64,
    /// Messages that only carry a time.
    pub syncs: u64,
    /// Bytes of payload.
    pub bytes: u64,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a message may not have been sent"]
pub enum Delivery {
    /// It is in the ring.
    Sent,
    /// The ring is full; try again later.
    Full,
    /// A frame longer than a slot of this channel: dropped and counted, as a
    /// port drops what exceeds its MTU.
    Refused,
    /// The channel was terminated by one of the ends; nobody would read it.
    Discarded,
}

pub(super) struct Parts {
    pub channel: String,
    pub protocol: Protocol,
    pub device: Option<DeviceIntro>,
    pub synchronised: bool,
    pub latency: Time,
    pub sync_interval: Time,
    pub terminates: bool,
    pub outgoing: SharedSlots,
    pub incoming: SharedSlots,
    pub socket: OwnedFd,
    pub file: Option<SocketFile>,
}

impl Endpoint {
    /// Establishes the channel at `address`: waits for the peer until the
    /// deadline.
    ///
    /// A process with several channels establishes them together, by
    /// [`establish_all`].
    ///
    /// # Errors
    ///
    /// [`ChannelError`]: the address cannot be used, nobody came, or who came
    /// does not speak as this end.
    pub fn establish(
        address: &Address,
        role: Role,
        options: &Options<'_>,
    ) -> Result<Self, ChannelError> {
        let mut all = establish_all(vec![(address.clone(), role)], options)?;
        Ok(all.remove(0))
    }

    /// Both ends of a channel within this process, without a socket file.
    ///
    /// # Errors
    ///
    /// [`ChannelError`]: the times cannot be used, or the roles do not fit
    /// each other.
    pub fn pair(
        first: Role,
        second: Role,
        sync: SyncMode,
        latency: Time,
        sync_interval: Time,
        options: &Options<'_>,
    ) -> Result<(Self, Self), ChannelError> {
        pair([first, second], sync, latency, sync_interval, options)
    }

    pub(super) fn new(parts: Parts) -> Self {
        let start = if parts.synchronised {
            Time::ZERO
        } else {
            Time::NEVER
        };
        let ethernet = parts.protocol == Protocol::Ethernet;
        Endpoint {
            frames_out: false,
            frames_in: ethernet && parts.synchronised,
            capacity: Capacity {
                incoming: parts.incoming.capacity(),
                outgoing: parts.outgoing.capacity(),
            },
            channel: parts.channel,
            protocol: parts.protocol,
            device: parts.device,
            latency: parts.latency,
            sync_interval: if parts.synchronised {
                parts.sync_interval
            } else {
                Time::NEVER
            },
            synchronised: parts.synchronised,
            producer: Producer::new(parts.outgoing),
            consumer: Consumer::new(parts.incoming),
            outstanding: Outstanding::default(),
            arena: BytesMut::new(),
            frame: Vec::new(),
            found: (Time::ZERO, 0),
            has_sent: false,
            last_sent: Time::ZERO,
            pace: start,
            bound: start,
            terminated: false,
            closed: false,
            terminates: parts.terminates,
            hung_up: false,
            tries: 0,
            looked: Instant::now(),
            counters: Counters::default(),
            socket: parts.socket,
            _file: parts.file,
        }
    }

    /// Reaches the rings through the mapping of `peer`, the other end of this
    /// channel, of which neither has been used yet. What is read at another
    /// address than it was written at has to pass through the cache first.
    pub(super) fn share_memory_of(&mut self, peer: &Endpoint) {
        self.producer = Producer::new(peer.consumer.slots().clone());
        self.consumer = Consumer::new(peer.producer.slots().clone());
    }

    /// Path of the socket.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// What this end speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// What the device at the other end said of itself, if this is the host's
    /// end of PCIe.
    pub fn device(&self) -> Option<&DeviceIntro> {
        self.device.as_ref()
    }

    /// Whether the ends agreed to hold their times together.
    pub fn synchronised(&self) -> bool {
        self.synchronised
    }

    /// What is added to the time of everything this end sends.
    pub fn latency(&self) -> Time {
        self.latency
    }

    /// Bytes of payload that fit into a slot of this end.
    pub fn capacity(&self) -> usize {
        self.capacity.outgoing
    }

    /// What has crossed this end.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Sends `message` at `at`, to arrive at `at` + latency.
    ///
    /// # Errors
    ///
    /// [`ChannelError::Send`] for a message that does not belong here, does
    /// not fit (frames are refused instead), or lies before an earlier one;
    /// [`ChannelError::PeerLost`] if the ring is full and nobody reads it.
    #[inline]
    pub fn try_send(&mut self, at: Time, message: &Message) -> Result<Delivery, ChannelError> {
        if let Err(refusal) = sendable(self.protocol, message, self.capacity) {
            return self.refuse(at, message, refusal);
        }
        let encoded = encode(message);
        let delivery = self
            .push(at, encoded.kind, &encoded.header[..4], encoded.payload)
            .map_err(|last| self.unsent(at, message.kind(), Refusal::InThePast(last)))?;
        match delivery {
            Delivery::Sent => {
                self.outstanding.sent(message);
                self.counters.sent.messages += 1;
                self.counters.sent.bytes += message.payload().len() as u64;
            }
            Delivery::Full => self.full(message.payload().len())?,
            Delivery::Refused | Delivery::Discarded => {}
        }
        Ok(delivery)
    }

    /// Promises that nothing will be sent before `upto` any more. To be
    /// called when the clock reaches `upto`, before that instant is handled,
    /// and once at the start.
    ///
    /// Costs a message only if one is due: if nothing was sent before, or the
    /// last one was sent at least the sync interval earlier. Returns false if
    /// one is due and the ring is full: the promise must be made again, and
    /// the peer may wait for it.
    ///
    /// # Errors
    ///
    /// [`ChannelError::PeerLost`] if the ring is full and nobody reads it.
    #[inline(always)]
    pub fn promise(&mut self, upto: Time) -> Result<bool, ChannelError> {
        // In time; what is older than the last message is found out below.
        if upto.ps().wrapping_sub(self.last_sent.ps()) < self.pace.ps() {
            return Ok(true);
        }
        match self.push(upto, kind::SYNC, &[], &[]) {
            Ok(Delivery::Sent) => {
                self.counters.sent.syncs += 1;
                Ok(true)
            }
            Ok(Delivery::Full) => {
                self.full(usize::MAX)?;
                Ok(false)
            }
            // A later promise has been made already.
            Ok(_) | Err(_) => Ok(true),
        }
    }

    /// When the next promise is due: no clock may pass this without
    /// [`promise`](Endpoint::promise). [`Time::NEVER`] if none is needed.
    #[inline]
    pub fn promise_due(&self) -> Time {
        self.last_sent + self.pace
    }

    /// Takes the next message and the time at which it arrives, which may lie
    /// ahead. Without synchronisation the times of the two ends mean nothing
    /// to each other, and the message arrives at once: at [`Time::ZERO`].
    ///
    /// `None` if there is nothing now. That ends with [`Endpoint::terminated`]
    /// or with an error, never by itself.
    ///
    /// # Errors
    ///
    /// [`ChannelError::Peer`] if the peer broke the protocol: the channel is
    /// unusable from then on. [`ChannelError::PeerLost`] if it went away
    /// without terminating; everything it sent has been returned before.
    #[inline]
    pub fn poll(&mut self) -> Result<Option<(Time, Message)>, ChannelError> {
        while let Some((at, kind)) = self.next().map_err(unboxed)? {
            let mut header = HeaderWords::default();
            for (word, value) in header.iter_mut().enumerate().take(4) {
                *value = self.consumer.word(word);
            }
            if let Some(message) = self.take(kind, &header)? {
                self.reached(at);
                return Ok(Some((self.due(at), message)));
            }
        }
        Ok(None)
    }

    /// Sends a frame, as [`Endpoint::try_send`], without making a message of
    /// it.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::try_send`].
    #[inline(always)]
    pub fn send_frame(&mut self, at: Time, frame: &[u8]) -> Result<Delivery, ChannelError> {
        let Some(stamp) = at.checked_add(self.latency) else {
            return self.send_frame_checked(at, frame);
        };
        if at < self.last_sent || !self.frames_out {
            return self.send_frame_checked(at, frame);
        }
        if !self.producer.has_room() {
            self.full(frame.len())?;
            return Ok(Delivery::Full);
        }
        if frame.len() > self.producer.slots().capacity() {
            return self.send_frame_checked(at, frame);
        }
        let words = [frame_word(frame.len() as u16)];
        self.producer.put(kind::PACKET, &words, stamp.ps(), frame);
        self.last_sent = at;
        self.counters.sent.messages += 1;
        self.counters.sent.bytes += frame.len() as u64;
        Ok(Delivery::Sent)
    }

    /// [`Endpoint::send_frame`] where something may forbid it.
    #[cold]
    fn send_frame_checked(&mut self, at: Time, frame: &[u8]) -> Result<Delivery, ChannelError> {
        const KIND: &str = "frame";
        if self.protocol != Protocol::Ethernet {
            return Err(self.unsent(at, KIND, Refusal::Protocol(self.protocol)));
        }
        if frame.len() > self.capacity.outgoing {
            self.counters.refused += 1;
            return Ok(Delivery::Refused);
        }
        let words = [frame_word(frame.len() as u16)];
        match self.push(at, kind::PACKET, &words, frame) {
            Ok(Delivery::Sent) => {
                self.counters.sent.messages += 1;
                self.counters.sent.bytes += frame.len() as u64;
                Ok(Delivery::Sent)
            }
            Ok(Delivery::Full) => self.full(frame.len()).map(|()| Delivery::Full),
            Ok(other) => Ok(other),
            Err(last) => Err(self.unsent(at, KIND, Refusal::InThePast(last))),
        }
    }

    /// Takes the next frame, as [`Endpoint::poll`], into a buffer of this
    /// end: without allocation.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::poll`]; on a port of another protocol every message is
    /// a violation.
    #[inline(always)]
    pub fn receive_frame(&mut self) -> Result<Option<(Time, &[u8])>, ChannelError> {
        let Some((at, len)) = self.next_frame().map_err(unboxed)? else {
            return Ok(None);
        };
        if size_of_val(&*self.frame) < len {
            let lines = self.capacity.incoming.div_ceil(LINE);
            self.frame.resize(lines, Line([0; LINE]));
        }
        let frame = &mut bytemuck::cast_slice_mut(&mut self.frame)[..len];
        self.consumer.take(kind::PACKET, frame);
        self.counters.received.messages += 1;
        self.counters.received.bytes += len as u64;
        Ok(Some((at, frame)))
    }

    /// As [`Endpoint::receive_frame`], into a buffer of the caller, which
    /// holds the frame and nothing else afterwards. Unchanged if there is
    /// none.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::receive_frame`].
    #[inline(always)]
    pub fn receive_frame_into(
        &mut self,
        frame: &mut Vec<u8>,
    ) -> Result<Option<Time>, ChannelError> {
        let Some((at, len)) = self.next_frame().map_err(unboxed)? else {
            return Ok(None);
        };
        if frame.len() != len {
            frame.resize(len, 0);
        }
        self.consumer.take(kind::PACKET, frame);
        self.counters.received.messages += 1;
        self.counters.received.bytes += len as u64;
        Ok(Some(at))
    }

    /// When the next frame is due and its length. It stays where it is, for
    /// the caller to take; what only concerns the channel is taken here. The
    /// ways out are written one by one: joined, promises take 5 % longer.
    #[inline(always)]
    fn next_frame(&mut self) -> Result<Option<(Time, usize)>, Failure> {
        if !self.frames_in {
            return Ok(self.next_frame_checked()?.then_some(self.found));
        }
        // A peer that never stops promising must not keep us here.
        let mut left = self.consumer.slots().count();
        loop {
            let Some(kind) = self.consumer.peek() else {
                return self.empty().map(|()| None);
            };
            let at = Time::from_ps(self.consumer.word(TIMESTAMP_WORD));
            if at < self.bound {
                return Ok(self.next_frame_checked()?.then_some(self.found));
            }
            if kind == kind::PACKET {
                let len = usize::from(self.consumer.word(0) as u16);
                if len > self.consumer.slots().capacity() {
                    return Ok(self.next_frame_checked()?.then_some(self.found));
                }
                self.bound = at;
                return Ok(Some((at, len)));
            }
            if kind != kind::SYNC {
                return Ok(self.next_frame_checked()?.then_some(self.found));
            }
            self.bound = at;
            self.consumer.pop(kind::SYNC);
            self.counters.received.syncs += 1;
            left -= 1;
            if left == 0 {
                return Ok(None);
            }
        }
    }

    /// [`Endpoint::next_frame`] where something else comes, or may come. Says
    /// whether there is a frame; it is `found` then. So the result needs no
    /// memory, and neither does that of `next_frame`.
    #[cold]
    fn next_frame_checked(&mut self) -> Result<bool, Failure> {
        let Some((at, kind)) = self.next()? else {
            return Ok(false);
        };
        match frame_length(self.protocol, kind, self.consumer.word(0), self.capacity) {
            Ok(len) => {
                self.reached(at);
                self.found = (self.due(at), len);
                Ok(true)
            }
            Err(violation) => Err(self.broken(violation)),
        }
    }

    /// Time and type of the next message of the upper layer, which stays where
    /// it is. Takes what only concerns the channel.
    #[inline(always)]
    fn next(&mut self) -> Result<Option<(Time, u8)>, Failure> {
        // A peer that never stops promising must not keep us here.
        for _ in 0..self.consumer.slots().count() {
            if self.terminated {
                return Ok(None);
            }
            let Some(kind) = self.consumer.peek() else {
                self.empty()?;
                return Ok(None);
            };
            if kind == kind::TERMINATE {
                self.consumer.pop(kind);
                self.terminated = true;
                self.frames_in = false;
                self.frames_out = false;
                self.bound = Time::NEVER;
                self.pace = Time::NEVER;
                return Ok(None);
            }
            let at = self.arrival()?;
            if kind != kind::SYNC {
                return Ok(Some((at, kind)));
            }
            self.reached(at);
            self.consumer.pop(kind);
            self.counters.received.syncs += 1;
        }
        Ok(None)
    }

    /// When a message stamped `at` is to be handled.
    #[inline(always)]
    fn due(&self, at: Time) -> Time {
        if self.synchronised { at } else { Time::ZERO }
    }

    /// Nothing that is still to come arrives before this time.
    /// [`Time::NEVER`] without synchronisation, and after the peer has
    /// terminated.
    #[inline]
    pub fn bound(&self) -> Time {
        self.bound
    }

    /// True once the peer has said that it sends no more, and all it sent has
    /// been taken.
    pub fn terminated(&self) -> bool {
        self.terminated
    }

    /// Looks whether the peer still holds its end of the socket. The other
    /// calls do so by themselves, about ten times a second, when there is
    /// nothing else to do.
    pub fn peer_alive(&mut self) -> bool {
        self.looked = Instant::now();
        self.hung_up = self.hung_up || hung_up(&self.socket);
        !self.hung_up
    }

    /// Tells the peer that this end sends no more; says false if the ring is
    /// full. Never done by itself, because older SimBricks components abort
    /// on it: right towards a device and between ends of our own. With
    /// [`Address::terminate`](super::Address::terminate) off, nothing is said.
    ///
    /// # Errors
    ///
    /// [`ChannelError::PeerLost`] if the ring is full and nobody reads it.
    pub fn terminate(&mut self) -> Result<bool, ChannelError> {
        if self.closed || self.terminated {
            return Ok(true);
        }
        if !self.terminates {
            self.closed = true;
            self.frames_out = false;
            self.pace = Time::NEVER;
            return Ok(true);
        }
        // The reference stamps with the end of time, which wraps.
        let stamp = u64::MAX.wrapping_add(self.latency.ps());
        if self.producer.push(kind::TERMINATE, &[], stamp, &[]) {
            self.closed = true;
            self.frames_out = false;
            self.pace = Time::NEVER;
            return Ok(true);
        }
        self.full(usize::MAX)?;
        Ok(false)
    }

    /// Puts a message into the ring. The error is the time of an earlier one
    /// if `at` lies before that.
    #[inline(always)]
    fn push(
        &mut self,
        at: Time,
        kind: u8,
        words: &[u64],
        payload: &[u8],
    ) -> Result<Delivery, Time> {
        if self.terminated | self.closed {
            return Ok(Delivery::Discarded);
        }
        if at < self.last_sent {
            return Err(self.last_sent);
        }
        let stamp = (at + self.latency).ps();
        if !self.producer.push(kind, words, stamp, payload) {
            return Ok(Delivery::Full);
        }
        self.last_sent = at;
        if !self.has_sent {
            self.first_sent();
        }
        Ok(Delivery::Sent)
    }

    #[cold]
    fn first_sent(&mut self) {
        self.has_sent = true;
        self.pace = self.sync_interval;
        self.frames_out = self.protocol == Protocol::Ethernet;
    }

    /// Everything before `at` has come.
    #[inline(always)]
    fn reached(&mut self, at: Time) {
        if self.synchronised {
            self.bound = at;
        }
    }

    /// The stamp of the message at hand, checked.
    #[inline(always)]
    fn arrival(&self) -> Result<Time, Failure> {
        let stamp = Time::from_ps(self.consumer.word(TIMESTAMP_WORD));
        if self.synchronised && stamp < self.bound {
            return Err(self.broken(PeerViolation::Stamp {
                stamp,
                before: self.bound,
            }));
        }
        Ok(stamp)
    }

    /// Takes the message just peeked at out of the ring; `None` if it is to
    /// be ignored.
    #[inline]
    fn take(&mut self, kind: u8, header: &HeaderWords) -> Result<Option<Message>, ChannelError> {
        let Endpoint {
            consumer, arena, ..
        } = self;
        let payload = |len| payload(consumer, arena, len);
        let decoded = decode(
            self.protocol,
            kind,
            header,
            self.capacity,
            &mut self.outstanding,
            payload,
        );
        let message = decoded.map_err(|violation| unboxed(self.broken(violation)))?;
        self.consumer.pop(kind);
        match &message {
            Some(message) => {
                self.counters.received.messages += 1;
                self.counters.received.bytes += message.payload().len() as u64;
            }
            None => self.counters.stray += 1,
        }
        Ok(message)
    }

    #[cold]
    fn broken(&self, violation: PeerViolation) -> Failure {
        Box::new(ChannelError::Peer {
            channel: self.channel.clone(),
            violation,
        })
    }

    #[cold]
    fn unsent(&self, at: Time, kind: &'static str, refusal: Refusal) -> ChannelError {
        ChannelError::Send {
            channel: self.channel.clone(),
            kind,
            at,
            refusal,
        }
    }

    #[cold]
    fn refuse(
        &mut self,
        at: Time,
        message: &Message,
        refusal: Refusal,
    ) -> Result<Delivery, ChannelError> {
        if let (Message::Frame(_), Refusal::TooLong { .. }) = (message, &refusal) {
            self.counters.refused += 1;
            return Ok(Delivery::Refused);
        }
        Err(self.unsent(at, message.kind(), refusal))
    }

    #[cold]
    fn full(&mut self, len: usize) -> Result<(), ChannelError> {
        self.counters.full += 1;
        self.producer.glance(len);
        if self.hung_up {
            return Err(self.lost());
        }
        self.look_sometimes();
        Ok(())
    }

    /// The ring is empty.
    #[inline(always)]
    fn empty(&mut self) -> Result<(), Failure> {
        // The ring was empty after the peer had closed: nothing can follow.
        if self.hung_up {
            return Err(Box::new(self.lost()));
        }
        self.look_sometimes();
        Ok(())
    }

    #[inline(always)]
    fn look_sometimes(&mut self) {
        self.tries = self.tries.wrapping_add(1);
        if self.tries.is_multiple_of(TRIES_PER_LOOK) {
            self.look();
        }
    }

    #[cold]
    fn look(&mut self) {
        if self.looked.elapsed() >= LOOK_INTERVAL {
            self.peer_alive();
        }
    }

    #[cold]
    fn lost(&self) -> ChannelError {
        ChannelError::PeerLost {
            channel: self.channel.clone(),
        }
    }
}

#[inline(always)]
#[expect(
    clippy::boxed_local,
    reason = "what it takes is boxed, so that results stay small"
)]
fn unboxed(failure: Failure) -> ChannelError {
    *failure
}

/// The first `len` bytes behind the header of the message at hand. Messages
/// share allocations, each of which lives as long as the last of them.
#[inline]
fn payload(consumer: &Consumer<SharedSlots>, arena: &mut BytesMut, len: usize) -> Bytes {
    if arena.capacity() < len {
        // Takes the old allocation again if no message needs it any more.
        arena.reserve(ARENA_BYTES.max(len));
    }
    arena.resize(len, 0);
    let mut bytes = arena.split_to(len);
    consumer.payload(&mut bytes);
    bytes.freeze()
}
