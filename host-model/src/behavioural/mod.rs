//! The behavioural NIC: the register interface of the RTL, the TCP rules of the
//! [reference](crate::reference), and no clock.
//!
//! ```text
//!   host ══ PCIe ══╗  registers, descriptors          frames  ╔══ Ethernet ══ network
//!                  ╠══► events ──► reference ──► outcomes ◄───╣
//!   records, data ◄╝            (one connection)  │           ║
//!                  ◄── payload reads ◄── egress queue ───────►╝
//! ```
//!
//! Work takes no time inside; whatever it causes leaves one fixed latency later. Payload
//! and descriptors are fetched through the host, so their round trips are real. Frames
//! leave in the order of their events and at line rate. For topologies in which RTL
//! everywhere would be too slow, and to bring up a host before there is RTL.

mod egress;
mod flow_table;
mod frame;
mod reads;
mod registers;
mod rings;

#[cfg(test)]
mod tests;

use crate::reference::{Command, Connections, Event, Open, Outcome};
use bytes::Bytes;
use egress::{Egress, Frame};
use flow_table::FlowTable;
use frame::{Addresses, Key, Verdict};
use hallux_channel::{
    Component, ComponentError, Counter, InterruptKind, Io, LineRate, Message, PortSpec,
    Probability, Protocol, Seed, Time,
};
use hallux_cosim::nic::mac::MacParameters;
use hallux_toe::interface::{
    self, COUNTERS, Descriptor, Drop, KEEPS_WINDOW, Opcode, OpenWords, Record, RecordKind,
    SLOW_SLOT_BYTES, Status,
};
use reads::{Fetch, Overtime, Reads, Unanswered};
use registers::Registers;
use rings::{Context, Request};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Index of the PCIe port.
const PCIE: usize = 0;
/// Index of the Ethernet port.
const ETH: usize = 1;

/// Counters that are not drops, by their index in [`COUNTERS`].
mod counter {
    pub(super) const RX_FRAMES: usize = 8;
    pub(super) const RX_FAST: usize = 9;
    pub(super) const RX_SLOW: usize = 10;
    pub(super) const TX_FRAMES: usize = 11;
    pub(super) const PROTOCOL_RX: usize = 12;
    pub(super) const PROTOCOL_TX: usize = 13;
    pub(super) const PROTOCOL_HC: usize = 14;
    pub(super) const PROTOCOL_CMD: usize = 15;
    pub(super) const PAYLOAD_PLACED: usize = 16;
    pub(super) const FAST_RETRANSMITS: usize = 17;
    pub(super) const STALE_EVENTS: usize = 18;
    pub(super) const INTERRUPTS: usize = 19;
}

/// Size and speed of a behavioural NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BehaviouralConfig {
    /// Name of the component.
    pub name: String,
    /// Flow ids, at most 65536.
    pub connections: u32,
    /// Contexts with the control plane's, at most [`interface::MAX_CONTEXTS`].
    pub contexts: u32,
    /// Buckets of each flow table.
    pub buckets: u32,
    /// From an input to everything it causes.
    pub latency: Time,
    /// Intervals held out of order for a connection, at most 4.
    pub ooo_intervals: u8,
    /// What the peer reports is used, so that only what it lacks is sent again.
    pub sack_recovery: bool,
    /// How long a delayed acknowledgement waits for something that carries it.
    pub delayed_ack: Time,
    /// Rate of the Ethernet port.
    pub rate: LineRate,
    /// A read of host memory that is not answered for so long is asked again.
    pub completion_timeout: Time,
    /// Probability that the answer to a read is lost.
    pub lost_completions: Probability,
    /// Seed of the scenario.
    pub seed: Seed,
}

impl Default for BehaviouralConfig {
    fn default() -> Self {
        Self {
            name: "nic".into(),
            connections: 1024,
            contexts: 8,
            buckets: 256,
            latency: Time::from_ns(200),
            ooo_intervals: 1,
            sack_recovery: false,
            delayed_ack: Time::from_us(100),
            rate: MacParameters::default().rate,
            completion_timeout: Time::from_ms(10),
            lost_completions: Probability::ZERO,
            seed: Seed::default(),
        }
    }
}

/// The behavioural NIC; ports `pcie` and `eth`.
#[derive(Debug)]
pub struct BehaviouralNic {
    config: BehaviouralConfig,
    ports: Vec<PortSpec>,
    registers: Registers,
    contexts: Vec<Context>,
    table: FlowTable,
    connections: Connections,
    /// What OPEN staged, by flow id.
    opened: BTreeMap<u16, OpenWords>,
    /// Flows that can send, each at most once.
    ready: VecDeque<u16>,
    is_ready: Vec<bool>,
    /// Acknowledgements that wait: when to look, and at which flow.
    debts: VecDeque<(Time, u16)>,
    /// When the youngest of each flow is due.
    due: BTreeMap<u16, Time>,
    egress: Egress,
    reads: Reads,
    resets: u64,
    slow_frames: u64,
    /// Interrupts that wait: until when, and of which context.
    moderated: BTreeSet<(Time, usize)>,
    msix_disabled: bool,
    counters: [u64; COUNTERS.len()],
}

impl BehaviouralNic {
    /// A NIC after reset.
    pub fn new(config: BehaviouralConfig) -> Self {
        let contexts = config.contexts.clamp(1, interface::MAX_CONTEXTS) as usize;
        let connections = config.connections.min(1 << 16) as usize;
        Self {
            ports: vec![
                PortSpec::new("pcie", Protocol::PcieDevice),
                PortSpec::new("eth", Protocol::Ethernet),
            ],
            registers: Registers::new(&config),
            contexts: (0..contexts).map(|_| Context::default()).collect(),
            table: FlowTable::new(config.buckets as usize),
            connections: Connections::new(connections)
                .with_intervals(config.ooo_intervals)
                .with_scoreboard(config.sack_recovery),
            opened: BTreeMap::new(),
            ready: VecDeque::new(),
            is_ready: vec![false; connections],
            debts: VecDeque::new(),
            due: BTreeMap::new(),
            egress: Egress::new(config.rate),
            reads: Reads::new(&config),
            resets: 0,
            slow_frames: 0,
            moderated: BTreeSet::new(),
            msix_disabled: false,
            counters: [0; COUNTERS.len()],
            config,
        }
    }

    /// Frames dropped, by the names of [`Drop`].
    pub fn drops(&self) -> BTreeMap<String, u64> {
        // It has no modules, which count by themselves.
        let counted = Drop::ALL.iter().filter(|drop| **drop != Drop::Module);
        counted
            .map(|drop| (drop.name().to_owned(), self.counters[*drop as usize]))
            .collect()
    }

    /// Everything is as after power-up, but for what has been counted and the frame on the wire.
    /// Reads go on with new numbers: answers to those from before find nothing.
    fn reset(&mut self) {
        let mut fresh = Self::new(self.config.clone());
        fresh.msix_disabled = self.msix_disabled;
        fresh.counters = self.counters;
        fresh.resets = self.resets + 1;
        fresh.egress = self.egress.reset();
        self.reads.forget();
        std::mem::swap(&mut fresh.reads, &mut self.reads);
        *self = fresh;
    }

    fn count(&mut self, counter: usize) {
        self.counters[counter] += 1;
    }

    fn to_host(&self, now: Time, message: Message, io: &mut Io<'_>) {
        io.send(PCIE, now + self.config.latency, message);
    }

    fn write(&self, now: Time, addr: u64, data: impl Into<Bytes>, io: &mut Io<'_>) {
        self.to_host(
            now,
            Message::DmaWrite {
                req_id: 0,
                addr,
                data: data.into(),
            },
            io,
        );
    }

    fn read(&mut self, now: Time, addr: u64, len: usize, purpose: Fetch, io: &mut Io<'_>) {
        let message = self.reads.ask(now, addr, len, purpose);
        self.to_host(now, message, io);
    }

    /// Asks again for what was asked first, or gives it up: its frame is not sent, and the host is
    /// told of which connection it was.
    fn ask_again(&mut self, now: Time, io: &mut Io<'_>) -> Result<(), Unanswered> {
        match self.reads.overtime(now)? {
            Some(Overtime::Again(message)) => self.to_host(now, message, io),
            Some(Overtime::GivenUp(Fetch::Payload { frame, flow, .. })) => {
                self.egress.lose(frame);
                if let Some((flow, generation)) = flow {
                    let command = Command::ReadLost;
                    let event = Event::Command {
                        generation,
                        command,
                    };
                    let outcome = self.connections.apply(flow, &event, now.ns());
                    self.carry_out(now, flow, &outcome, None, io);
                }
                self.transmit(now, io);
            }
            Some(Overtime::GivenUp(Fetch::Descriptors { .. })) | None => {}
        }
        Ok(())
    }

    /// Does what a context's rings ask for.
    fn serve(&mut self, now: Time, context: usize, requests: Vec<Request>, io: &mut Io<'_>) {
        for request in requests {
            match request {
                Request::Write { address, data } => self.write(now, address, data, io),
                Request::Interrupt => self.interrupt(now, context, io),
                Request::Fetch { address, count } => {
                    let bytes = count as usize * interface::DESCRIPTOR_BYTES as usize;
                    self.read(
                        now,
                        address,
                        bytes,
                        Fetch::Descriptors { context, count },
                        io,
                    );
                }
            }
        }
    }

    /// Raises a context's interrupt, or has it wait until its interval has passed.
    fn interrupt(&mut self, now: Time, context: usize, io: &mut Io<'_>) {
        let rings = &mut self.contexts[context];
        let interval = Time::from_ns(rings.interrupt_interval.into());
        if interval > Time::ZERO && now < rings.next_interrupt {
            self.moderated.insert((rings.next_interrupt, context));
            return;
        }
        rings.next_interrupt = now + interval;
        self.count(counter::INTERRUPTS);
        if !self.msix_disabled {
            let message = Message::Interrupt {
                vector: context as u16,
                kind: InterruptKind::MsiX,
            };
            self.to_host(now, message, io);
        }
    }

    fn post(&mut self, now: Time, context: usize, record: Record, io: &mut Io<'_>) {
        let mut requests = vec![];
        if let Some(rings) = self.contexts.get_mut(context) {
            rings.post(record, &mut requests);
        }
        self.serve(now, context, requests, io);
    }

    fn receive_pcie(&mut self, now: Time, message: Message, io: &mut Io<'_>) {
        match message {
            Message::MmioWrite {
                req_id,
                bar,
                offset,
                data,
                posted,
            } => {
                if bar == interface::BAR {
                    for (word, value) in self.registers.merge(offset, &data) {
                        self.write_register(now, word, value, io);
                    }
                }
                if !posted {
                    self.to_host(now, Message::MmioWriteCompletion { req_id }, io);
                }
            }
            Message::MmioRead {
                req_id,
                bar,
                offset,
                len,
            } => {
                let drained =
                    self.ready.is_empty() && self.egress.is_empty() && self.reads.is_empty();
                let data = self.registers.read(bar, offset, len, now, drained);
                self.to_host(
                    now,
                    Message::MmioReadCompletion {
                        req_id,
                        data: data.into(),
                    },
                    io,
                );
            }
            Message::DmaReadCompletion { req_id, data } => match self.reads.answered(req_id) {
                Some(Fetch::Descriptors { context, count }) => {
                    self.descriptors(now, context, count, &data, io)
                }
                Some(Fetch::Payload { frame, offset, .. }) => {
                    self.egress.fill(frame, offset, &data);
                }
                None => {}
            },
            Message::DeviceControl { flags } => {
                self.msix_disabled = flags & Message::MSIX_ENABLED == 0
            }
            _ => {}
        }
        self.transmit(now, io);
    }

    fn write_register(&mut self, now: Time, offset: u64, value: u64, io: &mut Io<'_>) {
        use interface::register;
        match offset {
            register::COUNTER_LATCH => self.registers.latch(&self.counters),
            register::CONTROL if value & interface::CONTROL_RESET != 0 => self.reset(),
            register::COMMAND => self.command(now, value, io),
            register::TABLE_COMMIT => {
                let (place, entry) = self.registers.table_entry(value);
                self.table.write(place, entry);
            }
            register::CONTEXT..register::COUNTERS => {
                let index = ((offset - register::CONTEXT) / register::CONTEXT_STRIDE) as usize;
                let mut requests = vec![];
                if let Some(context) = self.contexts.get_mut(index) {
                    context.write(offset % register::CONTEXT_STRIDE, value, &mut requests);
                    self.serve(now, index, requests, io);
                }
            }
            _ => {}
        }
    }

    fn command(&mut self, now: Time, value: u64, io: &mut Io<'_>) {
        let (flow, generation, opcode) = (value as u16, (value >> 16) as u8, (value >> 24) as u8);
        let words = self.registers.command_words();
        let staged = OpenWords::decode(&words);
        let command = match opcode {
            o if o == Opcode::Open as u8 => Command::Open(Open::from(&staged)),
            o if o == Opcode::Close as u8 => Command::Close,
            o if o == Opcode::Read as u8 => Command::Read,
            o if o == Opcode::Retransmit as u8 => Command::Retransmit,
            o if o == Opcode::Set as u8 && words[0] & KEEPS_WINDOW != 0 => Command::Pace,
            o if o == Opcode::Set as u8 => Command::Set {
                window: staged.window,
                send_shift: staged.send_shift,
            },
            other => Command::Unknown(other),
        };
        self.count(counter::PROTOCOL_CMD);
        let outcome = self.connections.apply(
            flow,
            &Event::Command {
                generation,
                command,
            },
            now.ns(),
        );
        if opcode == Opcode::Open as u8
            && outcome
                .completion
                .as_ref()
                .is_some_and(|c| c.status == Status::Ok)
        {
            self.opened.insert(flow, staged);
        }
        self.carry_out(now, flow, &outcome, None, io);
    }

    /// A burst of descriptors has arrived.
    fn descriptors(&mut self, now: Time, context: usize, count: u32, data: &[u8], io: &mut Io<'_>) {
        for bytes in data.chunks_exact(interface::DESCRIPTOR_BYTES as usize) {
            let Ok(bytes) = bytes.try_into() else {
                continue;
            };
            match Descriptor::decode(bytes) {
                Some(Descriptor::Update {
                    flow,
                    generation,
                    rx_bump,
                    tx_bump,
                    finish,
                }) => {
                    self.count(counter::PROTOCOL_HC);
                    let event = Event::HostControl {
                        generation,
                        rx_bump,
                        tx_bump,
                        finish,
                    };
                    let outcome = self.connections.apply(flow, &event, now.ns());
                    self.carry_out(now, flow, &outcome, None, io);
                }
                Some(Descriptor::SendFrame { address, length })
                    if context == usize::from(interface::CONTROL_CONTEXT) && length > 0 =>
                {
                    let frame = self.egress.push(Frame::raw(usize::from(length)));
                    let purpose = Fetch::Payload {
                        frame,
                        offset: 0,
                        flow: None,
                    };
                    self.read(now, address, usize::from(length), purpose, io);
                }
                _ => self.count(counter::STALE_EVENTS),
            }
        }
        let mut requests = vec![];
        self.contexts[context].fetched(count, &mut requests);
        self.serve(now, context, requests, io);
    }

    fn receive_frame(&mut self, now: Time, frame: &[u8], io: &mut Io<'_>) {
        if !self.registers.enabled() {
            self.count(Drop::Disabled as usize);
            return;
        }
        self.count(counter::RX_FRAMES);
        match frame::judge(frame, self.registers.mac()) {
            Verdict::Drop(reason) => self.count(reason as usize),
            Verdict::Slow => self.slow(now, frame, io),
            Verdict::Fast {
                key,
                segment,
                payload_offset,
            } => match self.table.lookup(key) {
                None => self.slow(now, frame, io),
                Some(flow) => {
                    self.count(counter::RX_FAST);
                    self.count(counter::PROTOCOL_RX);
                    let outcome = self
                        .connections
                        .apply(flow, &Event::Receive(segment), now.ns());
                    self.carry_out(now, flow, &outcome, Some(&frame[payload_offset..]), io);
                }
            },
        }
        self.transmit(now, io);
    }

    /// Hands a frame to the control plane.
    fn slow(&mut self, now: Time, frame: &[u8], io: &mut Io<'_>) {
        let control = &self.contexts[usize::from(interface::CONTROL_CONTEXT)];
        if !control.has_room_for_frame() {
            self.count(Drop::SlowPathFull as usize);
            return;
        }
        let slot = self.slow_frames & ((1 << control.record_log2()) - 1);
        self.count(counter::RX_SLOW);
        self.slow_frames += 1;
        let address = self.registers.slow_base() + slot * SLOW_SLOT_BYTES;
        self.write(now, address, frame.to_vec(), io);
        let record = Record {
            length: frame.len() as u16,
            value: slot as u32,
            ..record(RecordKind::Frame)
        };
        self.post(now, usize::from(interface::CONTROL_CONTEXT), record, io);
    }

    /// Does what an event caused: payload, then record, then segment (O3, O4).
    fn carry_out(
        &mut self,
        now: Time,
        flow: u16,
        outcome: &Outcome,
        payload: Option<&[u8]>,
        io: &mut Io<'_>,
    ) {
        if outcome.stale {
            self.count(counter::STALE_EVENTS);
        }
        let generation = outcome.generation;
        let opened = self.opened.get(&flow).copied().unwrap_or_default();
        if let (Some(place), Some(payload)) = (&outcome.place, payload) {
            self.count(counter::PAYLOAD_PLACED);
            let bytes = &payload
                [usize::from(place.offset)..usize::from(place.offset) + usize::from(place.length)];
            let start = place.rx_pos.offset(opened.rx_log2);
            let (head, tail) = bytes.split_at(
                bytes
                    .len()
                    .min(((1_u64 << opened.rx_log2) - u64::from(start)) as usize),
            );
            self.write(now, opened.rx_base + u64::from(start), head.to_vec(), io);
            if !tail.is_empty() {
                self.write(now, opened.rx_base, tail.to_vec(), io);
            }
        }
        if let Some(notify) = &outcome.notify {
            if notify.flags & interface::notice::FAST_RETRANSMIT != 0 {
                self.count(counter::FAST_RETRANSMITS);
            }
            let echoed = notify.flags & interface::notice::ECN_ECHO != 0;
            let marked = if echoed { notify.tx_bump } else { 0 };
            let record = Record {
                rx_bump: notify.rx_bump,
                tx_bump: notify.tx_bump,
                opaque: opened.opaque,
                flow,
                generation,
                flags: notify.flags,
                value: notify.rtt,
                read_lost: notify.read_lost,
                ..record(RecordKind::Update)
            }
            .with_marked(marked);
            self.post(now, usize::from(opened.context), record, io);
        }
        if let Some(done) = &outcome.completion {
            let record = Record {
                rx_bump: done.in_flight,
                tx_bump: done.unsent,
                opaque: u64::from(done.snd_nxt.0) | u64::from(done.rcv_nxt.0) << 32,
                flow,
                generation,
                opcode: done.opcode,
                status: done.status as u8,
                value: done.snd_una.0,
                ..record(RecordKind::CommandDone)
            };
            self.post(now, usize::from(interface::CONTROL_CONTEXT), record, io);
        }
        if let Some(segment) = outcome.send {
            let ecn = if opened.ecn && segment.length > 0 {
                2
            } else {
                0
            };
            let addresses = Addresses {
                local_mac: self.registers.mac(),
                remote_mac: opened.remote_mac,
                key: Key {
                    remote_ip: opened.remote_ip,
                    local_ip: opened.local_ip,
                    remote_port: opened.remote_port,
                    local_port: opened.local_port,
                },
                ecn,
            };
            let frame = self.egress.push(Frame::segment(addresses, segment));
            let start = segment.tx_pos.offset(opened.tx_log2);
            let length = usize::from(segment.length);
            let head = length.min(((1_u64 << opened.tx_log2) - u64::from(start)) as usize);
            for (address, offset, bytes) in [
                (opened.tx_base + u64::from(start), 0, head),
                (opened.tx_base, head, length - head),
            ] {
                if bytes > 0 {
                    let purpose = Fetch::Payload {
                        frame,
                        offset,
                        flow: Some((flow, generation)),
                    };
                    self.read(now, address, bytes, purpose, io);
                }
            }
        }
        if outcome.owes {
            let due = now + self.config.delayed_ack;
            self.debts.push_back((due, flow));
            self.due.insert(flow, due);
        }
        if let (Some(ready), Some(queued)) =
            (outcome.ready, self.is_ready.get_mut(usize::from(flow)))
            && ready
            && !*queued
        {
            *queued = true;
            self.ready.push_back(flow);
        }
    }

    /// Sends what is complete, and grants as long as wire and reads keep up.
    fn transmit(&mut self, now: Time, io: &mut Io<'_>) {
        let leaves = now + self.config.latency;
        loop {
            while let Some((at, frame)) = self.egress.pop(leaves) {
                self.count(counter::TX_FRAMES);
                io.send(ETH, at, Message::Frame(frame.into()));
            }
            if !self.egress.has_room(leaves) {
                return;
            }
            let Some(flow) = self.ready.pop_front() else {
                return;
            };
            self.is_ready[usize::from(flow)] = false;
            self.count(counter::PROTOCOL_TX);
            let outcome = self.connections.apply(flow, &Event::Transmit, now.ns());
            self.carry_out(now, flow, &outcome, None, io);
        }
    }

    /// Reminds of the acknowledgement that has waited longest, unless its flow made another
    /// debt meanwhile, which has an entry of its own.
    fn remind(&mut self, now: Time, io: &mut Io<'_>) {
        let Some((at, flow)) = self.debts.pop_front() else {
            return;
        };
        if self.due.get(&flow) == Some(&at) {
            self.due.remove(&flow);
            self.count(counter::PROTOCOL_TX);
            let outcome = self.connections.apply(flow, &Event::Remind, now.ns());
            self.carry_out(now, flow, &outcome, None, io);
        }
    }

    /// When the first acknowledgement has waited long enough.
    fn next_reminder(&self) -> Time {
        self.debts.front().map_or(Time::NEVER, |(due, _)| *due)
    }

    /// When the first interrupt has waited long enough.
    fn next_interrupt(&self) -> Time {
        self.moderated.first().map_or(Time::NEVER, |(at, _)| *at)
    }

    /// When grants that wait for the wire can go on.
    fn next_grant(&self) -> Time {
        if self.ready.is_empty() {
            return Time::NEVER;
        }
        Time::from_ps(
            self.egress
                .room_at()
                .ps()
                .saturating_sub(self.config.latency.ps()),
        )
    }
}

/// A record of this kind with everything else zero.
fn record(kind: RecordKind) -> Record {
    Record {
        kind: kind as u8,
        rx_bump: 0,
        tx_bump: 0,
        opaque: 0,
        flow: 0,
        generation: 0,
        flags: 0,
        length: 0,
        opcode: 0,
        status: 0,
        value: 0,
        read_lost: false,
        phase: false,
    }
}

impl Component for BehaviouralNic {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn ports(&self) -> &[PortSpec] {
        &self.ports
    }

    fn next_action(&self) -> Time {
        self.next_grant()
            .min(self.next_reminder())
            .min(self.next_interrupt())
            .min(self.reads.next_timeout())
    }

    fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
        loop {
            let next = self.next_action();
            let due = horizon.min(next + Time::from_ps(1));
            if let Some((at, port, message)) = io.pop_before(due) {
                match (port, message) {
                    (ETH, Message::Frame(frame)) => self.receive_frame(at, &frame, io),
                    (_, message) => self.receive_pcie(at, message, io),
                }
            } else if next < horizon && next == self.next_interrupt() {
                if let Some((at, context)) = self.moderated.pop_first() {
                    self.interrupt(at, context, io);
                }
            } else if next < horizon && next == self.reads.next_timeout() {
                self.ask_again(next, io)
                    .map_err(|error| ComponentError::new(&self.config.name, next, error))?;
            } else if next < horizon && next == self.next_reminder() {
                self.remind(next, io);
            } else if next < horizon {
                self.transmit(next, io);
            } else {
                return Ok(());
            }
        }
    }

    fn finished_at(&self) -> Option<Time> {
        Some(Time::ZERO)
    }

    fn waiting_for(&self) -> String {
        format!(
            "{} reads of host memory, {} frames to send, {} flows to grant",
            self.reads.len(),
            self.egress.len(),
            self.ready.len()
        )
    }

    fn counters(&self) -> Vec<Counter> {
        COUNTERS
            .iter()
            .zip(self.counters)
            .map(|(name, value)| Counter::new(name, value))
            .chain(self.reads.counters())
            .chain([Counter::new("resets", self.resets)])
            .collect()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
