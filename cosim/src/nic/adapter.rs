//! The RTL NIC as a component.
//!
//! ```text
//!            ┌──────────────────── RtlNic ────────────────────┐
//!  port pcie │  PcieLink ◄─ up ──┐               ┌── eth_tx ─► Mac │ port eth
//!  ◄────────►│     └─ mmio, dma_cpl ─► Verilated ◄─ eth_rx ──┘    │◄────────►
//!            └────────── one step a clock edge: inputs, outputs ──┘
//! ```
//!
//! At clock edge *n* the inputs that have arrived by then are driven, the outputs are
//! sampled as the rising edge sees them, and the edge is made. Handshakes complete where
//! valid and ready meet at an edge. While the NIC is quiescent and nothing is due the
//! edges in between need no evaluation; see [`SkipMode`].

use super::edges::{Edge, EdgeLog};
use super::error::{CycleError, Fault, NicError};
use super::mac::{Mac, MacParameters};
use super::pcie::{LinkParameters, MmioWord, PcieLink, UpBeat};
use super::ports::{PortBytes, Ports};
use super::record::Recording;
use super::report::{DESCRIPTOR_TAGS, Demand, NicReport, STATE_TAGS};
use super::skip::{Gap, Rest, SkipMode};
use crate::observe::passages::{PassageLog, PassageRecorder};
use crate::observe::stages::StageMonitor;
use crate::observe::trace::StageTrace;
use crate::observe::waves::WaveFile;
use hallux_channel::{
    ClockPeriod, Component, ComponentError, Counter, Io, Message, PortSpec, Protocol, Random, Seed,
    Time,
};
use hallux_toe::interface::{self, Drop, register};
use hallux_verilator::{Library, Model};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Index of the PCIe port.
pub const PCIE: usize = 0;
/// Index of the Ethernet port.
pub const ETH: usize = 1;

/// Ticket of a probe whose stage handles beats or requests, not events.
const NO_TICKET: u32 = hallux_toe::nic::NO_TICKET as u32;

/// Name of the protocol unit's probe; those of further groups begin with it.
const PROTOCOL: &str = "protocol";

/// Clock edges for which reset is active, at the start and when the host asks for it.
const RESET_CYCLES: u64 = 8;

/// What a NIC is like and what is observed of it.
#[derive(Clone, Debug)]
pub struct RtlNicConfig {
    /// Name of the component.
    pub name: String,
    /// Clock of the data path.
    pub clock: ClockPeriod,
    /// The PCIe link and root complex.
    pub pcie: LinkParameters,
    /// The Ethernet port.
    pub mac: MacParameters,
    /// What is done with quiescent cycles.
    pub skip: SkipMode,
    /// Seed of the scenario.
    pub seed: Seed,
    /// A stage that refuses an event, or a NIC in which nothing moves, for this many
    /// cycles has stalled.
    pub stall_bound: u64,
    /// Record each event's passage through the stages.
    pub trace: bool,
    /// Log where everything was and when, for latency blame.
    pub passages: bool,
    /// Write waveforms; needs a library with a trace format.
    pub waves: Option<WaveFile>,
    /// The design point keeps connections' states in host memory.
    pub states_in_host: bool,
    /// Record the inputs of this many cycles.
    pub record: usize,
    /// Log what crosses the NIC's edges.
    pub edges: bool,
}

impl RtlNicConfig {
    /// A NIC with the contracts' link and port, nothing observed.
    pub fn new(name: impl Into<String>, clock: ClockPeriod, seed: Seed) -> Self {
        Self {
            name: name.into(),
            clock,
            pcie: LinkParameters::default(),
            mac: MacParameters::default(),
            skip: SkipMode::On,
            seed,
            stall_bound: 250_000,
            trace: false,
            passages: false,
            waves: None,
            states_in_host: false,
            record: 0,
            edges: false,
        }
    }
}

/// An RTL NIC; ports `pcie` and `eth`.
pub struct RtlNic {
    config: RtlNicConfig,
    specs: Vec<PortSpec>,
    model: Model,
    ports: Ports,
    inputs: PortBytes,
    outputs: PortBytes,
    pcie: PcieLink,
    /// Draws the answers that are lost.
    losses: Random,
    lost: u64,
    mac: Mac,
    /// The next clock edge that is not behind us.
    edge: u64,
    /// Its simulated time.
    now: Time,
    /// Reset is active before this edge.
    reset_until: u64,
    resets: u64,
    evaluated: u64,
    rest: Rest,
    gap: Option<Gap>,
    /// Cycles in a row in which nothing moved although the NIC was not quiescent.
    silent: u64,
    /// Until then the host's answers are what the NIC waits for.
    owed_until: Time,
    drops: [u64; Drop::ALL.len()],
    demand: Demand,
    /// Which probes are those of protocol units.
    protocol: Vec<bool>,
    monitor: StageMonitor,
    trace: Option<StageTrace>,
    passages: Option<PassageRecorder>,
    recording: Option<Recording>,
    edges: Option<EdgeLog>,
    waves_open: bool,
}

impl RtlNic {
    /// The [`Counter`]s of what went wrong.
    pub const FAULTS: [&str; 5] = [
        "read_timeouts",
        "late_completions",
        "lost_completions",
        "lost_reads",
        "resets",
    ];

    /// A NIC before its first clock edge, around a model of `library`.
    ///
    /// # Errors
    /// The model is no NIC top, the link is impossible, or skipping cannot be verified
    /// because the library has no saved state.
    pub fn new(config: RtlNicConfig, library: &Arc<Library>) -> Result<Self, NicError> {
        let layout = library.layout();
        let ports = Ports::of(layout)?;
        if config.skip == SkipMode::Verify && !library.savable() {
            return Err(NicError::NotSavable);
        }
        let stream = |purpose: &str| {
            config
                .seed
                .stream(&format!("nic/{}/{purpose}", config.name))
        };
        let payload_tags = if config.states_in_host {
            STATE_TAGS
        } else {
            DESCRIPTOR_TAGS
        };
        let pcie = PcieLink::new(config.pcie.clone(), ports.bus_bytes(), stream("root"))?
            .giving_up(payload_tags);
        let losses = stream("lost-completions");
        let mut model = Model::new(library, stream("reset").bits())?;
        model.set_clock_period(config.clock.edge(1).ps());
        Ok(Self {
            specs: vec![
                PortSpec::new("pcie", Protocol::PcieDevice),
                PortSpec::new("eth", Protocol::Ethernet),
            ],
            inputs: PortBytes::zeroed(layout.inputs.size),
            outputs: PortBytes::zeroed(layout.outputs.size),
            mac: Mac::new(config.mac, ports.bus_bytes()),
            edge: 0,
            now: Time::ZERO,
            reset_until: RESET_CYCLES,
            resets: 0,
            evaluated: 0,
            rest: Rest::default(),
            gap: None,
            silent: 0,
            owed_until: Time::ZERO,
            drops: [0; Drop::ALL.len()],
            demand: Demand::default(),
            protocol: ports
                .stages()
                .iter()
                .map(|stage| stage.starts_with(PROTOCOL))
                .collect(),
            monitor: StageMonitor::new(ports.stages()),
            trace: config.trace.then(|| StageTrace::new(ports.stages())),
            passages: config
                .passages
                .then(|| PassageRecorder::new(ports.stages(), config.clock.edge(1))),
            recording: (config.record > 0)
                .then(|| Recording::new(layout.inputs.size, config.record)),
            edges: config.edges.then(|| EdgeLog::new(ports.stages())),
            waves_open: false,
            config,
            model,
            ports,
            pcie,
            losses,
            lost: 0,
        })
    }

    /// The counters so far.
    pub fn report(&self) -> NicReport {
        let drops = Drop::ALL.iter().zip(self.drops);
        let (received, sent) = (self.mac.received(), self.mac.sent());
        NicReport {
            clock_cycles: self.edge,
            evaluated_cycles: self.evaluated,
            stages: self.monitor.counters(self.edge),
            pcie: self.pcie.traffic().bytes(),
            pcie_packets: self.pcie.traffic().packets(),
            drops: drops
                .map(|(drop, count)| (drop.name().to_owned(), count))
                .collect::<BTreeMap<_, _>>(),
            rx_frames: received.frames,
            rx_bytes: received.bytes,
            tx_frames: sent.frames,
            tx_bytes: sent.bytes,
            unclaimed_accesses: self.pcie.unclaimed_accesses(),
            demand: self.demand.clone(),
        }
    }

    /// The stage trace, if one is recorded.
    pub fn trace(&self) -> Option<&StageTrace> {
        self.trace.as_ref()
    }

    /// Where everything was and when, if it is logged.
    pub fn passages(&self) -> Option<&PassageLog> {
        self.passages.as_ref().map(PassageRecorder::log)
    }

    /// The clock of the data path.
    pub fn clock(&self) -> ClockPeriod {
        self.config.clock
    }

    /// The recorded inputs, if they are recorded.
    pub fn recording(&self) -> Option<&Recording> {
        self.recording.as_ref()
    }

    /// What crossed the edges, if it is logged.
    pub fn edges(&self) -> Option<&EdgeLog> {
        self.edges.as_ref()
    }

    /// Busy, blocked, starved and waiting cycles of all stages, as a table.
    pub fn stall_matrix(&self) -> String {
        self.monitor.matrix(self.edge)
    }

    /// Ends the waveform file; a run that ends inside the window leaves it open.
    ///
    /// # Errors
    /// The model stopped while it wrote.
    pub fn close_waves(&mut self) -> Result<(), hallux_verilator::ModelError> {
        self.waves_open = false;
        self.model.trace_close()
    }

    /// Goes on to clock edge `edge`.
    fn advance_to(&mut self, edge: u64) {
        self.edge = edge;
        self.now = self.config.clock.edge(edge);
    }

    /// Takes the messages that are due before `horizon`.
    fn receive(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), Fault> {
        while let Some((at, port, message)) = io.pop_before(horizon) {
            match (port, message) {
                (ETH, Message::Frame(frame)) => self.mac.receive(at, frame),
                (_, Message::DmaReadCompletion { .. }) if self.loses_completion() => {
                    self.lost += 1;
                }
                (_, message) => {
                    if let Some(passages) = &mut self.passages {
                        passages.received(at, &message);
                    }
                    self.pcie.receive(at, message)?
                }
            }
        }
        Ok(())
    }

    /// The answer to a read that arrives now is lost.
    fn loses_completion(&mut self) -> bool {
        let probability = self.config.pcie.lost_completions;
        !probability.is_zero() && self.losses.chance(probability)
    }

    /// When the next edge with something to do is, if every edge before it would only
    /// repeat the quiescent state; [`Time::NEVER`] if only a message can bring it about.
    fn resting_until(&self) -> Option<Time> {
        if self.config.skip == SkipMode::Off || !self.rest.is_settled() {
            return None;
        }
        let now = self.now;
        let wake = Time::from_ns(self.ports.wake_at(self.outputs.bytes()));
        let mut due = wake.min(self.pcie.next_due()).min(self.mac.next_due());
        if let Some(waves) = &self.config.waves {
            // Waveforms show every cycle of their window.
            match waves.window {
                window if now < window.from => due = due.min(window.from),
                window if now < window.to => return None,
                _ => {}
            }
        }
        (due > now).then_some(due)
    }

    /// One evaluated clock cycle.
    fn evaluate(&mut self, io: &mut Io<'_>) -> Result<(), Fault> {
        let now = self.now;
        let in_reset = self.edge < self.reset_until;
        self.pcie.edge(now)?;
        let (mut frame_beat, mut completion, mut access) = (None, None, None);
        let (mut tx_ready, mut up_ready) = (false, false);
        if !in_reset {
            frame_beat = self.mac.beat(now);
            completion = self.pcie.completion(now);
            access = self.pcie.mmio(now);
            tx_ready = self.mac.ready(now);
            up_ready = self.pcie.ready(now);
        }
        let inputs = self.inputs.bytes_mut();
        self.ports.drive_reset(inputs, in_reset);
        self.ports.drive_now(inputs, now.ns());
        self.ports.drive_rx(inputs, frame_beat.as_ref());
        self.ports.drive_completion(inputs, completion.as_ref());
        self.ports.drive_mmio(inputs, access.as_ref());
        self.ports.drive_ready(inputs, tx_ready, up_ready);
        self.step(now)?;

        let outputs = self.outputs.bytes();
        let mut moved = frame_beat.is_some() || completion.is_some();
        let mut resets = false;
        self.demand.completion_beats += u64::from(completion.is_some());
        if let Some(word) = access
            && self.ports.mmio_ready(outputs)
        {
            self.pcie.mmio_taken(now, word);
            moved = true;
            resets = is_reset(&word);
        }
        let up_valid = !in_reset && self.ports.up_valid(outputs);
        let up = (up_valid && up_ready).then(|| self.ports.up(outputs));
        if let Some(up) = &up {
            self.pcie.accept(now, up)?;
            self.demand
                .accept(up.crossing(), self.config.states_in_host);
            moved = true;
        }
        let tx = if in_reset {
            None
        } else {
            self.ports.tx(outputs)
        };
        if let Some(passages) = &mut self.passages {
            if let Some(beat) = &frame_beat {
                passages.frame_beat(now, beat.last);
            }
            if let Some(beat) = completion.as_ref().filter(|beat| beat.last) {
                passages.completed(now, beat.tag);
            }
            if let Some((.., last)) = tx.as_ref().filter(|_| tx_ready) {
                passages.sent_beat(now, *last);
            }
        }
        if let Some(log) = &mut self.edges {
            let crossings = [
                frame_beat
                    .as_ref()
                    .filter(|beat| beat.last)
                    .map(|_| Edge::FrameIn {
                        bytes: self.mac.last_received(),
                    }),
                completion
                    .as_ref()
                    .filter(|beat| beat.last)
                    .map(|beat| Edge::Completed { tag: beat.tag }),
                access
                    .filter(|word| word.write && self.ports.mmio_ready(outputs))
                    .map(|word| Edge::RegisterWrite {
                        offset: word.address,
                    }),
                up.as_ref().and_then(UpBeat::crossing),
                (tx_ready && tx.is_some() && self.mac.is_idle()).then_some(Edge::FrameOut),
            ];
            for edge in crossings.into_iter().flatten() {
                log.push(self.edge, edge);
            }
        }
        if tx_ready {
            let beat = tx.as_ref().map(|(data, keep, last)| (data, *keep, *last));
            self.mac.accept(now, beat)?;
            self.demand.tx_beats += u64::from(beat.is_some());
            moved |= beat.is_some();
        }
        let offered = frame_beat.is_some()
            || completion.is_some()
            || access.is_some()
            || up_valid
            || tx.is_some();
        let open = !tx_ready || !up_ready || !self.mac.is_idle() || !self.pcie.is_idle();
        let quiescent = self.ports.quiescent(outputs);
        self.rest.cycle(quiescent && !offered && !open);
        self.observe(now, in_reset, moved || quiescent)?;
        if resets {
            self.reset(now);
        }
        while let Some((at, message)) = self.pcie.take_outgoing() {
            if let Some(passages) = &mut self.passages {
                passages.sent(now, at, &message);
            }
            io.send(PCIE, at, message);
        }
        while let Some((at, message)) = self.mac.take_outgoing() {
            io.send(ETH, at, message);
        }
        Ok(())
    }

    /// The host has reset the function: `rst` is active from the next edge on.
    fn reset(&mut self, now: Time) {
        self.resets += 1;
        self.reset_until = self.edge + 1 + RESET_CYCLES;
        self.pcie.reset(now);
        self.mac.reset();
        self.rest = Rest::default();
        self.silent = 0;
        self.owed_until = Time::ZERO;
    }

    /// Makes the clock edge at `now` with the inputs as they are driven.
    fn step(&mut self, now: Time) -> Result<(), Fault> {
        if let Some(waves) = &self.config.waves {
            let inside = waves.window.contains(now);
            if inside && !self.waves_open {
                self.model.trace_open(&waves.path)?;
            } else if !inside && self.waves_open {
                self.model.trace_close()?;
            }
            self.waves_open = inside;
        }
        if let Some(recording) = &mut self.recording {
            recording.push(self.inputs.bytes());
        }
        self.model.set_next_edge(now.ps());
        self.model
            .step(self.inputs.bytes(), self.outputs.bytes_mut())?;
        self.evaluated += 1;
        Ok(())
    }

    /// Counts what drops and probes show, and looks for stalls.
    fn observe(&mut self, now: Time, in_reset: bool, moved: bool) -> Result<(), Fault> {
        if in_reset {
            return Ok(());
        }
        let outputs = self.outputs.bytes();
        if let Some(reason) = self.ports.drop_reason(outputs)
            && let Some(count) = self.drops.get_mut(usize::from(reason))
        {
            *count += 1;
            if let Some(passages) = &mut self.passages {
                passages.dropped(now, reason);
            }
        }
        // While the host owes an answer for long, its timeout is what ends the wait.
        // Then what waited gets as long again to move.
        let patience = self.config.clock.edge(self.config.stall_bound / 2);
        if now > patience && self.pcie.waits_since(now.since(patience)) {
            self.owed_until = now + patience;
        }
        let owed = now < self.owed_until;
        let mut moved = moved;
        for (stage, probe) in self.ports.probes(outputs) {
            let refused = self.monitor.waiting(stage);
            let waiting = self.monitor.observe(stage, probe.fire, probe.blocked);
            if probe.fire {
                moved = true;
                if self.protocol[stage] && probe.ticket != NO_TICKET {
                    self.demand.event(probe.flow);
                }
                if let Some(log) = &mut self.edges {
                    log.push(self.edge, Edge::Entered { stage });
                }
                if let Some(passages) = &mut self.passages
                    && probe.ticket != NO_TICKET
                {
                    passages.enter(now, stage, probe.ticket, probe.flow, refused);
                }
                if let Some(trace) = &mut self.trace
                    && probe.ticket != NO_TICKET
                {
                    trace.enter(now, stage, probe.ticket, probe.flow);
                }
            }
            if waiting >= self.config.stall_bound && !owed {
                return Err(Fault::Stalled {
                    stage: self.monitor.name(stage).to_owned(),
                    cycles: waiting,
                    matrix: self.monitor.matrix(self.edge + 1),
                });
            }
        }
        self.silent = if moved || owed { 0 } else { self.silent + 1 };
        if self.silent >= self.config.stall_bound {
            let matrix = self.monitor.matrix(self.edge + 1);
            return Err(Fault::Silent {
                cycles: self.silent,
                matrix,
            });
        }
        Ok(())
    }

    /// Passes over the quiescent edges before `target`.
    fn pass_over(&mut self, target: u64) -> Result<(), Fault> {
        if self.config.skip == SkipMode::On {
            self.advance_to(target);
            return Ok(());
        }
        if self.gap.is_none() {
            self.gap = Some(Gap::open(self.edge, &mut self.model, &self.outputs)?);
        }
        self.idle_inputs();
        while self.edge < target {
            let now = self.now;
            self.ports.drive_now(self.inputs.bytes_mut(), now.ns());
            self.step(now)?;
            if let Some(gap) = &self.gap {
                gap.check_outputs(&self.model, &self.outputs)?;
            }
            self.advance_to(self.edge + 1);
        }
        Ok(())
    }

    /// Drives inputs as they are in a quiescent cycle.
    fn idle_inputs(&mut self) {
        let inputs = self.inputs.bytes_mut();
        self.ports.drive_rx(inputs, None);
        self.ports.drive_completion(inputs, None);
        self.ports.drive_mmio(inputs, None);
        self.ports.drive_ready(inputs, true, true);
    }

    /// Ends a gap whose edges were evaluated only to verify it: the state must be the one
    /// that skipping would have led to.
    fn close_gap(&mut self) -> Result<(), Fault> {
        let Some(gap) = self.gap.take() else {
            return Ok(());
        };
        if self.waves_open {
            // A waveform cannot go back in time.
            return Ok(());
        }
        self.idle_inputs();
        let (ports, clock, edge) = (&self.ports, self.config.clock, self.edge);
        gap.verify(
            edge,
            &mut self.model,
            &mut self.inputs,
            &mut self.outputs,
            |inputs, edge| {
                let now = clock.edge(edge);
                ports.drive_now(inputs, now.ns());
                now
            },
        )
    }

    fn run(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), Fault> {
        loop {
            let now = self.now;
            self.receive(horizon.min(now + Time::from_ps(1)), io)?;
            if now >= horizon {
                // What arrives between the last edge and the horizon waits for the next.
                return self.receive(horizon, io);
            }
            if let Some(due) = self.resting_until() {
                let message = io.peek_before(horizon).map_or(horizon, |(at, _)| at);
                let target = self.config.clock.first_edge_at_or_after(due.min(message));
                if target > self.edge {
                    self.pass_over(target)?;
                    continue;
                }
            }
            self.close_gap()?;
            self.evaluate(io)?;
            self.advance_to(self.edge + 1);
        }
    }
}

/// The write asks for a reset of the function.
fn is_reset(word: &MmioWord) -> bool {
    word.write
        && word.bar == interface::BAR
        && u64::from(word.address) == register::CONTROL
        && word.strobe & 1 == 1
        && word.data & interface::CONTROL_RESET != 0
}

impl Component for RtlNic {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn ports(&self) -> &[PortSpec] {
        &self.specs
    }

    fn next_action(&self) -> Time {
        let now = self.now;
        match self.resting_until() {
            Some(Time::NEVER) => Time::NEVER,
            Some(due) => now.max(
                self.config
                    .clock
                    .edge(self.config.clock.first_edge_at_or_after(due)),
            ),
            None => now,
        }
    }

    fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
        self.run(horizon, io).map_err(|fault| {
            let error = CycleError {
                cycle: self.edge,
                fault,
            };
            ComponentError::new(self.config.name.as_str(), self.now, error)
        })
    }

    fn finished_at(&self) -> Option<Time> {
        Some(Time::ZERO)
    }

    fn waiting_for(&self) -> String {
        let reads = self.pcie.reads_in_flight();
        let state = if self.rest.is_settled() {
            "quiescent"
        } else {
            "work in flight"
        };
        format!("{state}, {reads} reads of host memory in flight")
    }

    fn counters(&self) -> Vec<Counter> {
        let (received, sent) = (self.mac.received(), self.mac.sent());
        vec![
            Counter::new("clock_cycles", self.edge),
            Counter::new("evaluated_cycles", self.evaluated),
            Counter::new("read_timeouts", self.pcie.timeouts().0),
            Counter::new("late_completions", self.pcie.timeouts().1),
            Counter::new("lost_completions", self.lost),
            Counter::new("lost_reads", self.pcie.given_up()),
            Counter::new("resets", self.resets),
            Counter::new("rx_frames", received.frames),
            Counter::new("rx_bytes", received.bytes),
            Counter::new("tx_frames", sent.frames),
            Counter::new("tx_bytes", sent.bytes),
        ]
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
