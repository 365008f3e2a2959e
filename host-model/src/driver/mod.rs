//! The driver of the TOE: brings it up, owns its rings, its commands and its flow table.
//!
//! ```text
//!  control plane, sockets
//!     │ descriptors, frames        ▲ records, frames
//!  ┌──▼─────────────────────────────┴──┐
//!  │ rings of contexts 0..n   slow path │  in host memory, mapped for the device
//!  │ commands   flow table   bring-up   │
//!  └──┬─────────────────────────────▲──┘
//!     │ posted writes, reads        │ read completions, interrupts
//!     ▼ Bus                         │
//!  ═══════════════ PCIe ═══════════════
//! ```
//!
//! No register is read after bring-up, except for the counters: the NIC writes all that
//! the data path needs to host memory.

mod bring_up;
mod bus;
mod capture;
mod commands;
mod flow_table;
mod rings;
mod slow_path;
mod splice;
mod trace;

use hallux_toe::interface::modules::SpliceEntry;
use hallux_toe::interface::{
    CONTROL_CONTEXT, CONTROL_RESET, COUNTERS, Descriptor, Record, STATE_BYTES, register,
};

pub use bring_up::{BringUpError, Capabilities};
pub use bus::Bus;
pub use capture::{CaptureModule, CaptureRing, MirroredFrame};
pub use commands::{Command, CommandQueue};
pub use flow_table::{FlowKey, FlowTable, TableFull};
pub use rings::{Context, DescriptorRing, Push, RecordRing};
pub use slow_path::SlowPath;
pub use splice::{SpliceModule, SplicePlace, SpliceTable};
pub use trace::{TraceEvent, TraceModule, TraceReader, TraceRow};

use crate::iommu::{DmaMemory, Purpose, Rights};
use bring_up::Identification;

/// What the driver is to set up.
#[derive(Clone, Debug)]
pub struct DriverConfig {
    /// Station address.
    pub mac: [u8; 6],
    /// Contexts for applications, in addition to the control plane's.
    pub contexts: u8,
    /// log2 of the descriptors of a ring, 2 to 16.
    pub descriptor_log2: u8,
    /// log2 of the records of a ring, 4 to 16.
    pub record_log2: u8,
    /// Register writes before intake is enabled: offset in BAR 0 and value. What the driver
    /// does not know of, extension modules above all, is set up so.
    pub registers: Vec<(u64, u64)>,
    /// Modules that mirror frames to a ring.
    pub captures: Vec<CaptureModule>,
    /// The module that splices connections.
    pub splice: Option<SpliceModule>,
    /// The module that counts what happens to connections.
    pub trace: Option<TraceModule>,
}

/// What a read completion brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More has to come.
    Pending,
    /// The NIC is identified, set up and enabled.
    Ready,
    /// All counters were read, in the order of [`COUNTERS`].
    Counters([u64; COUNTERS.len()]),
}

/// Everything that exists once the NIC is identified.
#[derive(Debug)]
struct Running {
    capabilities: Capabilities,
    contexts: Vec<Context>,
    slow_path: SlowPath,
    captures: Vec<CaptureRing>,
    splices: Option<SpliceTable>,
    trace: Option<TraceReader>,
    flow_table: FlowTable,
    counters: [u64; COUNTERS.len()],
    counters_missing: usize,
}

/// Bit of STATUS: nothing is in flight.
const STATUS_DRAINED: u64 = 2;

#[derive(Debug)]
enum State {
    /// Intake is stopped; STATUS is read until the NIC says that nothing is in flight.
    Draining,
    Identifying(Identification),
    Running(Box<Running>),
}

/// The driver of one NIC.
#[derive(Debug)]
pub struct Driver {
    config: DriverConfig,
    /// Host memory with the device's rights to it.
    pub dma: DmaMemory,
    bus: Bus,
    commands: CommandQueue,
    state: State,
    doorbells: u64,
    pushes: u64,
    unexpected_completions: u64,
}

impl Driver {
    /// A driver that has asked the NIC to identify itself.
    pub fn new(config: DriverConfig, dma: DmaMemory) -> Self {
        let mut bus = Bus::default();
        let identification = Identification::start(&mut bus);
        Self {
            config,
            dma,
            bus,
            commands: CommandQueue::default(),
            state: State::Identifying(identification),
            doorbells: 0,
            pushes: 0,
            unexpected_completions: 0,
        }
    }

    /// Takes the completion of a register read.
    ///
    /// # Errors
    ///
    /// If the NIC is not one that this driver knows, or cannot be set up as configured.
    pub fn read_completed(&mut self, req_id: u64, data: &[u8]) -> Result<Progress, BringUpError> {
        let Some((offset, value)) = self.bus.complete(req_id, data) else {
            self.unexpected_completions += 1;
            return Ok(Progress::Pending);
        };
        match &mut self.state {
            State::Draining => {
                if offset == register::STATUS && value & STATUS_DRAINED != 0 {
                    self.reset();
                } else if offset == register::STATUS {
                    self.bus.read(register::STATUS);
                }
                Ok(Progress::Pending)
            }
            State::Identifying(identification) => {
                let Some(capabilities) = identification.answer(offset, value, &self.config)? else {
                    return Ok(Progress::Pending);
                };
                self.set_up(capabilities)?;
                Ok(Progress::Ready)
            }
            State::Running(running) => {
                if let Some(trace) = &mut running.trace
                    && trace.answer(offset, value)
                {
                    return Ok(Progress::Pending);
                }
                let index = offset.wrapping_sub(register::COUNTERS) / 8;
                let Some(counter) = running.counters.get_mut(index as usize) else {
                    return Ok(Progress::Pending);
                };
                *counter = value;
                running.counters_missing = running.counters_missing.saturating_sub(1);
                if running.counters_missing > 0 {
                    return Ok(Progress::Pending);
                }
                Ok(Progress::Counters(running.counters))
            }
        }
    }

    /// Begins to stop the NIC. With `drain` what is in flight ends first, then the function is
    /// reset; without, it is reset at once. Then it is identified and set up anew.
    pub fn restart(&mut self, drain: bool) {
        self.commands = CommandQueue::default();
        if drain {
            self.bus.write(register::CONTROL, 0);
            self.bus.read(register::STATUS);
            self.state = State::Draining;
        } else {
            self.reset();
        }
    }

    fn reset(&mut self) {
        self.bus.write(register::CONTROL, CONTROL_RESET);
        self.state = State::Identifying(Identification::start(&mut self.bus));
    }

    fn set_up(&mut self, capabilities: Capabilities) -> Result<(), BringUpError> {
        // Of a NIC before its reset. Its last access came before the answers that led here.
        self.dma.release_rings();
        let config = &self.config;
        let octets = config
            .mac
            .iter()
            .fold(0, |mac, &octet| mac << 8 | u64::from(octet));
        self.bus.write(register::MAC, octets);
        let contexts = (0..=config.contexts)
            .map(|number| {
                Context::set_up(
                    number,
                    config.descriptor_log2,
                    config.record_log2,
                    &mut self.dma,
                    &mut self.bus,
                )
            })
            .collect::<Result<Vec<_>, _>>()?;
        let slow_path = SlowPath::set_up(
            1 << config.record_log2,
            1 << config.descriptor_log2,
            &mut self.dma,
            &mut self.bus,
        )?;
        if capabilities.states_in_host {
            // Fresh memory is zero: every connection is closed.
            let states = self.dma.allocate(
                u64::from(capabilities.connections) * STATE_BYTES,
                Rights::ReadWrite,
                Purpose::States,
            )?;
            self.bus.write(register::STATE_BASE, states);
        }
        self.bus.enable_msix();
        for &(offset, value) in &self.config.registers {
            self.bus.write(offset, value);
        }
        let captures = self.config.captures.iter();
        let captures = captures
            .map(|&of| CaptureRing::set_up(of, &mut self.dma, &mut self.bus))
            .collect::<Result<Vec<_>, _>>()?;
        self.bus.write(register::CONTROL, 1);
        self.state = State::Running(Box::new(Running {
            flow_table: FlowTable::new(capabilities.buckets),
            capabilities,
            contexts,
            slow_path,
            captures,
            splices: self.config.splice.map(SpliceTable::new),
            trace: self.config.trace.map(TraceReader::new),
            counters: [0; COUNTERS.len()],
            counters_missing: 0,
        }));
        Ok(())
    }

    /// What the NIC said of itself; `None` until it is up.
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.running().map(|running| &running.capabilities)
    }

    /// Contexts for applications.
    pub fn application_contexts(&self) -> u8 {
        self.config.contexts
    }

    /// True if the descriptor ring of a context has a free slot.
    pub fn has_room(&self, context: u8) -> bool {
        self.context(context)
            .is_some_and(|context| !context.descriptors.is_full(&self.dma.memory))
    }

    /// Writes a descriptor into the ring of a context; false if it is full.
    pub fn push(&mut self, context: u8, descriptor: &Descriptor) -> bool {
        let State::Running(running) = &mut self.state else {
            return false;
        };
        running
            .contexts
            .get_mut(usize::from(context))
            .is_some_and(|context| context.descriptors.push(descriptor, &mut self.dma.memory))
    }

    /// True if small sends can be pushed.
    pub fn takes_pushes(&self) -> bool {
        self.capabilities().is_some_and(|known| known.push)
    }

    /// Posts a connection update with its payload to a context. It needs neither room in the
    /// ring nor a doorbell.
    pub fn push_payload(&mut self, context: u8, descriptor: &Push) {
        rings::push_slot(context, descriptor, &self.dma.memory, &mut self.bus);
        self.pushes += 1;
    }

    /// Connection updates that were pushed with their payload.
    pub fn pushes(&self) -> u64 {
        self.pushes
    }

    /// Queues a frame of the control plane; it leaves with
    /// [`ring_doorbells`](Self::ring_doorbells). False if its length is none of a frame.
    pub fn send_frame(&mut self, frame: Vec<u8>) -> bool {
        self.running_mut()
            .is_some_and(|running| running.slow_path.send(frame))
    }

    /// Tells the NIC of everything written since the last call: one register write for
    /// each context with new descriptors. Returns how many there were.
    pub fn ring_doorbells(&mut self) -> u64 {
        let State::Running(running) = &mut self.state else {
            return 0;
        };
        if let Some(control) = running.contexts.get_mut(usize::from(CONTROL_CONTEXT)) {
            running
                .slow_path
                .flush(&mut control.descriptors, &mut self.dma.memory);
        }
        let mut rung = 0;
        for context in &mut running.contexts {
            rung += u64::from(context.descriptors.ring(&mut self.bus));
        }
        self.doorbells += rung;
        rung
    }

    /// Takes the next record of a context.
    pub fn pop_record(&mut self, context: u8) -> Option<Record> {
        let State::Running(running) = &mut self.state else {
            return None;
        };
        let context = running.contexts.get_mut(usize::from(context))?;
        context.records.pop(&self.dma.memory, &mut self.bus)
    }

    /// True if a record of a context waits.
    pub fn has_record(&self, context: u8) -> bool {
        self.context(context)
            .is_some_and(|context| context.records.has_record(&self.dma.memory))
    }

    /// Asks for one interrupt of a context; see [`RecordRing::arm`].
    pub fn arm(&mut self, context: u8) {
        if let State::Running(running) = &mut self.state
            && let Some(context) = running.contexts.get_mut(usize::from(context))
        {
            context.records.arm(&mut self.bus);
        }
    }

    /// Takes an interrupt: its context, `None` if the vector has none.
    pub fn interrupted(&mut self, vector: u16) -> Option<u8> {
        let number = u8::try_from(vector).ok()?;
        let context = self.running_mut()?.contexts.get_mut(usize::from(number))?;
        context.records.interrupted();
        Some(number)
    }

    /// The context whose notification ring holds the bus address.
    pub fn context_of_record(&self, address: u64) -> Option<u8> {
        let contexts = &self.running()?.contexts;
        let index = contexts
            .iter()
            .position(|context| context.records.addresses().contains(&address))?;
        u8::try_from(index).ok()
    }

    /// True if a module says at the bus address how far its ring is written.
    pub fn is_capture_status(&self, address: u64) -> bool {
        let rings = self.running().map_or(&[][..], |running| &running.captures);
        rings.iter().any(|ring| ring.status_address() == address)
    }

    /// Takes all frames that modules have mirrored.
    pub fn take_mirrored(&mut self) -> Vec<MirroredFrame> {
        let State::Running(running) = &mut self.state else {
            return Vec::new();
        };
        let rings = running.captures.iter_mut();
        rings
            .flat_map(|ring| ring.take(&self.dma.memory, &mut self.bus))
            .collect()
    }

    /// Frames that modules mirrored and frames that they could not, as far as they have said;
    /// and rings whose entries were malformed.
    pub fn capture_totals(&self) -> (u64, u64, u64) {
        let rings = self.running().map_or(&[][..], |running| &running.captures);
        rings.iter().fold((0, 0, 0), |(written, lost, bad), ring| {
            let status = ring.status(&self.dma.memory);
            (
                written + status.written,
                lost + status.lost_ring + status.lost_store,
                bad + u64::from(ring.is_malformed()),
            )
        })
    }

    /// True if the NIC splices connections.
    pub fn splices(&self) -> bool {
        self.config.splice.is_some()
    }

    /// Puts a splice into force; `None` if the module has no place for it.
    pub fn insert_splice(&mut self, entry: &SpliceEntry) -> Option<SplicePlace> {
        match &mut self.state {
            State::Running(running) => running.splices.as_mut()?.insert(entry, &mut self.bus),
            _ => None,
        }
    }

    /// Takes a splice out.
    pub fn remove_splice(&mut self, entry: &SpliceEntry, place: SplicePlace) {
        if let State::Running(running) = &mut self.state
            && let Some(table) = &mut running.splices
        {
            table.remove(entry, place, &mut self.bus);
        }
    }

    /// Reads the tracepoints of a connection whose data path has ended, or shall be looked at;
    /// [`take_traced`](Self::take_traced) brings them. Nothing without such a module.
    pub fn request_trace(&mut self, flow: u16, key: FlowKey, event: TraceEvent) {
        if let State::Running(running) = &mut self.state
            && let Some(trace) = &mut running.trace
        {
            trace.request(flow, key, event, &mut self.bus);
        }
    }

    /// Takes the tracepoints that have been read.
    pub fn take_traced(&mut self) -> Vec<TraceRow> {
        let trace = self
            .running_mut()
            .and_then(|running| running.trace.as_mut());
        trace.map(TraceReader::take).unwrap_or_default()
    }

    /// The frame that a record announces; `None` if the record is malformed.
    pub fn received_frame(&self, record: &Record) -> Option<Vec<u8>> {
        self.running()?.slow_path.received(record, &self.dma.memory)
    }

    /// Starts a state command, or queues it behind the outstanding one.
    pub fn submit(&mut self, command: Command) {
        self.commands.submit(command, &mut self.bus);
    }

    /// Takes the record of a completed command; `None` if no such command is outstanding.
    pub fn command_done(&mut self, record: &Record) -> Option<Command> {
        self.commands.done(record, &mut self.bus)
    }

    /// Commands that are not done.
    pub fn commands_pending(&self) -> usize {
        self.commands.len()
    }

    /// Makes frames of `key` reach `flow`.
    ///
    /// # Errors
    ///
    /// If the table has no place, or the NIC is not up.
    pub fn insert_flow(&mut self, key: FlowKey, flow: u16) -> Result<(), TableFull> {
        match &mut self.state {
            State::Running(running) => running.flow_table.insert(key, flow, &mut self.bus),
            State::Draining | State::Identifying(_) => Err(TableFull {
                entries: 0,
                places: 0,
            }),
        }
    }

    /// Makes frames of `key` go to the control plane.
    pub fn remove_flow(&mut self, key: &FlowKey) {
        if let State::Running(running) = &mut self.state {
            running.flow_table.remove(key, &mut self.bus);
        }
    }

    /// Latches the NIC's counters and reads them; [`Progress::Counters`] brings them.
    /// False if a reading is under way or the NIC is not up.
    pub fn request_counters(&mut self) -> bool {
        let State::Running(running) = &mut self.state else {
            return false;
        };
        if running.counters_missing > 0 {
            return false;
        }
        running.counters_missing = COUNTERS.len();
        self.bus.write(register::COUNTER_LATCH, 1);
        for index in 0..COUNTERS.len() as u64 {
            self.bus.read(register::COUNTERS + 8 * index);
        }
        true
    }

    /// The oldest register access that was not handed to the link yet.
    pub fn take_outgoing(&mut self) -> Option<hallux_channel::Message> {
        self.bus.take_outgoing()
    }

    /// Doorbells rung.
    pub fn doorbells(&self) -> u64 {
        self.doorbells
    }

    /// Register writes posted, doorbells included.
    pub fn register_writes(&self) -> u64 {
        self.bus.writes()
    }

    /// Read completions that no read awaited.
    pub fn unexpected_completions(&self) -> u64 {
        self.unexpected_completions
    }

    fn running(&self) -> Option<&Running> {
        match &self.state {
            State::Running(running) => Some(running),
            State::Draining | State::Identifying(_) => None,
        }
    }

    fn running_mut(&mut self) -> Option<&mut Running> {
        match &mut self.state {
            State::Running(running) => Some(running),
            State::Draining | State::Identifying(_) => None,
        }
    }

    fn context(&self, number: u8) -> Option<&Context> {
        self.running()?.contexts.get(usize::from(number))
    }
}
