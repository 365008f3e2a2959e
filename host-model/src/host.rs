//! The host: memory, driver, control plane, sockets and applications behind one PCIe port.

use std::any::Any;
use std::collections::VecDeque;
use std::future::Future;

use hallux_channel::{
    Component, ComponentError, Counter, InterruptKind, Io, Message, PortSpec, Protocol, Time,
};

use crate::control::{ConfigError, ControlPlane, HostConfig};
use crate::driver::{MirroredFrame, TraceRow};
use crate::executor::Executor;
use crate::iommu::DmaViolation;
use crate::sockets::{Shared, ToeNetwork, serve_captures, serve_context, serve_traces};

/// Index of the only port.
const PCIE: usize = 0;

/// Names of the counters of each class.
const CLASS_COUNTERS: [[&str; 3]; 16] = {
    macro_rules! names {
        ($($class:literal)*) => {
            [$([
                concat!("class_", $class, "_update_records"),
                concat!("class_", $class, "_bytes_received"),
                concat!("class_", $class, "_bytes_acknowledged"),
            ]),*]
        };
    }
    names!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
};

/// A host that owns an offloading NIC.
///
/// Port `pcie` is the host's end of the link to the NIC. Applications are tasks of its
/// executor; see [`Host::network`] and [`Host::run_to_end`].
#[derive(Debug)]
pub struct Host {
    name: String,
    ports: [PortSpec; 1],
    memory_latency: Time,
    contexts: u8,
    /// The NIC has modules that mirror frames.
    captures: bool,
    /// Time between two readings of tracepoints, if the NIC has them.
    traces: Option<Time>,
    classifies: bool,
    executor: Executor,
    control: Shared,
    /// DMA completions by the time they leave.
    completions: VecDeque<(Time, Message)>,
    /// Inputs were taken whose consequences are to be carried out at this time.
    due: Time,
    unexpected_messages: u64,
}

impl Host {
    /// A host that brings its NIC up when the simulation starts.
    ///
    /// # Errors
    ///
    /// If the configuration is impossible.
    pub fn new(config: HostConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            name: config.name.clone(),
            ports: [PortSpec::new("pcie", Protocol::PcieHost)],
            memory_latency: config.memory_latency,
            contexts: config.contexts,
            captures: !config.captures.is_empty(),
            traces: config.trace.map(|_| config.trace_interval),
            classifies: config.classifies,
            executor: Executor::new(config.cpu, config.cores),
            control: Shared::new(ControlPlane::new(config)?),
            completions: VecDeque::new(),
            due: Time::ZERO,
            unexpected_messages: 0,
        })
    }

    /// The network as applications on core 0 see it; it can be used before the NIC is up.
    pub fn network(&self) -> ToeNetwork {
        ToeNetwork::new(self.control.clone(), self.executor.handle())
    }

    /// Adds an application that the scenario's end waits for, such as a client.
    pub fn run_to_end(&self, application: impl Future<Output = ()> + Send + 'static) {
        self.executor.spawn_work(application);
    }

    /// Adds an application that serves as long as the simulation runs.
    pub fn run_in_background(&self, application: impl Future<Output = ()> + Send + 'static) {
        drop(self.executor.handle().spawn(application));
    }

    /// The executor of the host's applications.
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// What the device did against its rights; the first few in full.
    pub fn violations(&self) -> Vec<DmaViolation> {
        self.control.lock().driver.dma.iommu.violations().to_vec()
    }

    /// Count of all violations.
    pub fn violation_count(&self) -> u64 {
        self.control.lock().driver.dma.iommu.violation_count()
    }

    /// True if the NIC has modules that mirror frames.
    pub fn has_captures(&self) -> bool {
        self.captures
    }

    /// Frames that the NIC's modules mirrored, those still in their rings included, by time
    /// and module.
    pub fn mirrored(&self) -> Vec<MirroredFrame> {
        let mut control = self.control.lock();
        let rest = control.driver.take_mirrored();
        control.mirrored.extend(rest);
        let mut frames = control.mirrored.clone();
        frames.sort_by_key(|frame| (frame.time, frame.module));
        frames
    }

    /// True if the NIC counts what happens to connections.
    pub fn has_traces(&self) -> bool {
        self.traces.is_some()
    }

    /// Rows of tracepoints in the order in which they were read, with the time in ps.
    pub fn traced(&self) -> Vec<(u64, TraceRow)> {
        let control = self.control.lock();
        let rows = control.traced.iter();
        rows.map(|&(at, row)| (at.ps(), row)).collect()
    }

    /// Looks at the control plane.
    pub fn with_control<T>(&self, look: impl FnOnce(&ControlPlane) -> T) -> T {
        look(&self.control.lock())
    }

    /// Takes a message of the device. Answers leave in [`act`](Self::act).
    fn receive(&mut self, at: Time, message: Message) -> Result<(), ComponentError> {
        self.due = self.due.min(at);
        // Whoever is woken by the message is woken now.
        self.executor.set_now(at);
        let mut control = self.control.lock();
        match message {
            Message::DmaRead { req_id, addr, len } => {
                let data = control.driver.dma.device_read(at, addr, len);
                let completion = Message::DmaReadCompletion { req_id, data };
                self.completions
                    .push_back((at + self.memory_latency, completion));
            }
            Message::DmaWrite { req_id, addr, data } => {
                control.driver.dma.device_write(at, addr, &data);
                if let Some(context) = control.driver.context_of_record(addr)
                    && let Some(signals) = control.signals.get_mut(usize::from(context))
                {
                    signals.record_written();
                }
                if control.driver.is_capture_status(addr) {
                    control.capture_signal.raise();
                }
                let completion = Message::DmaWriteCompletion { req_id };
                self.completions
                    .push_back((at + self.memory_latency, completion));
            }
            Message::Interrupt {
                vector,
                kind: InterruptKind::MsiX,
            } => match control.driver.interrupted(vector) {
                Some(context) => control.signals[usize::from(context)].interrupt(),
                // One from before a reset.
                None if !control.is_ready() => {}
                None => self.unexpected_messages += 1,
            },
            Message::MmioReadCompletion { req_id, data } => {
                let up = control
                    .read_completed(req_id, &data)
                    .map_err(|error| ComponentError::new(&self.name, at, error))?;
                let rows = control.driver.take_traced();
                control.traced.extend(rows.into_iter().map(|row| (at, row)));
                drop(control);
                if up {
                    self.serve_contexts();
                }
            }
            // Every write is posted; other kinds of interrupts are not enabled.
            _ => self.unexpected_messages += 1,
        }
        Ok(())
    }

    /// Runs everything that is due at `now`.
    fn act(&mut self, now: Time, io: &mut Io<'_>) {
        self.due = Time::NEVER;
        while let Some(&(at, _)) = self.completions.front()
            && at <= now
            && let Some((_, completion)) = self.completions.pop_front()
        {
            io.send(PCIE, now, completion);
        }
        self.executor.set_now(now);
        self.control.lock().expire(now);
        self.executor.run_at(now);
        let mut control = self.control.lock();
        control.flush(now);
        while let Some(access) = control.driver.take_outgoing() {
            io.send(PCIE, now, access);
        }
    }

    /// Starts serving the contexts, the control plane's first.
    fn serve_contexts(&self) {
        for context in 0..=self.contexts {
            let core = usize::from(context.saturating_sub(1));
            let handle = self.executor.handle().on_core(core);
            let task = serve_context(self.control.clone(), handle.clone(), context);
            drop(handle.spawn(task));
        }
        if self.captures {
            let handle = self.executor.handle();
            let task = serve_captures(self.control.clone(), handle.clone());
            drop(handle.spawn(task));
        }
        if let Some(interval) = self.traces.filter(|interval| *interval > Time::ZERO) {
            let handle = self.executor.handle();
            let task = serve_traces(self.control.clone(), handle.clone(), interval);
            drop(handle.spawn(task));
        }
    }
}

impl Component for Host {
    fn name(&self) -> &str {
        &self.name
    }

    fn ports(&self) -> &[PortSpec] {
        &self.ports
    }

    fn next_action(&self) -> Time {
        let completion = self.completions.front().map_or(Time::NEVER, |&(at, _)| at);
        self.due
            .min(completion)
            .min(self.control.lock().next_timer())
            .min(self.executor.next_event())
    }

    fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
        loop {
            let own = self.next_action();
            // Inputs of an instant come before what the host does at that instant.
            let bound = horizon.min(own + Time::from_ps(1));
            if let Some((at, _, message)) = io.pop_before(bound) {
                self.receive(at, message)?;
            } else if own < horizon {
                self.act(own, io);
            } else {
                return Ok(());
            }
        }
    }

    fn finished_at(&self) -> Option<Time> {
        self.executor.finished_at()
    }

    fn waiting_for(&self) -> String {
        let control = self.control.lock();
        if !control.is_ready() {
            return "the NIC's answer to the reads of its identification registers".to_owned();
        }
        let work = self.executor.unfinished_work();
        let connections = control.open_connections();
        let commands = control.driver.commands_pending();
        format!(
            "{work} unfinished applications, {connections} open connections, {commands} commands \
             to the NIC"
        )
    }

    fn counters(&self) -> Vec<Counter> {
        let control = self.control.lock();
        let counts = &control.counts;
        let iommu = &control.driver.dma.iommu;
        let mut counters = [
            ("connections_opened_actively", counts.opened_actively),
            ("connections_opened_passively", counts.opened_passively),
            ("connections_closed", counts.closed),
            ("connections_broken", counts.broken),
            ("syn_retransmissions", counts.syn_retransmissions),
            ("syns_dropped", counts.syns_dropped),
            ("timeouts", counts.timeouts),
            ("window_probes", counts.window_probes),
            ("fast_retransmissions", counts.fast_retransmissions),
            ("bytes_acknowledged", counts.bytes_acknowledged),
            ("bytes_marked", counts.bytes_marked),
            ("reads_lost", counts.reads_lost),
            ("resets_sent", counts.resets_sent),
            ("resets_received", counts.resets_received),
            ("slow_path_frames", counts.frames_received),
            ("slow_path_frames_ignored", counts.frames_ignored),
            ("update_records", counts.update_records),
            ("stale_records", counts.stale_records),
            ("malformed_records", counts.malformed_records),
            ("update_descriptors", counts.update_descriptors),
            ("doorbells", control.driver.doorbells()),
            ("register_writes", control.driver.register_writes()),
            (
                "unexpected_completions",
                control.driver.unexpected_completions(),
            ),
            ("unexpected_messages", self.unexpected_messages),
            ("dma_violations", iommu.violation_count()),
            ("cpu_cycles", self.executor.charged_cycles().iter().sum()),
        ]
        .map(|(name, value)| Counter::new(name, value))
        .to_vec();
        if control.driver.takes_pushes() {
            counters.push(Counter::new("pushes", control.driver.pushes()));
        }
        if self.captures {
            let (written, lost, malformed) = control.driver.capture_totals();
            counters.extend([
                Counter::new("frames_mirrored", written),
                Counter::new("frames_not_mirrored", lost),
                Counter::new("malformed_capture_rings", malformed),
            ]);
        }
        if control.driver.splices() {
            counters.extend([
                Counter::new("connections_spliced", 2 * counts.spliced),
                Counter::new("splices_ended", counts.splices_ended),
                Counter::new("spliced_segments_by_host", counts.spliced_segments),
            ]);
        }
        if self.classifies {
            let classes = counts.classes.iter().zip(CLASS_COUNTERS);
            for (counts, [records, received, acknowledged]) in classes {
                if counts.records > 0 {
                    counters.extend([
                        Counter::new(records, counts.records),
                        Counter::new(received, counts.bytes_received),
                        Counter::new(acknowledged, counts.bytes_acknowledged),
                    ]);
                }
            }
        }
        counters
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Mac;
    use bytes::Bytes;
    use hallux_channel::{Mailbox, Seed};
    use hallux_toe::interface::{ID_MAGIC, VERSION, register};
    use std::net::Ipv4Addr;

    const MAC: Mac = [2, 0, 0, 0, 0, 1];

    fn host(memory_latency: Time) -> Host {
        let config = HostConfig::new("host", MAC, Ipv4Addr::new(10, 0, 0, 1), Seed(1));
        Host::new(HostConfig {
            memory_latency,
            ..config
        })
        .unwrap()
    }

    /// Advances to just after `at` and takes what was sent.
    fn step(host: &mut Host, mailbox: &mut Mailbox, at: Time) -> Vec<(Time, Message)> {
        let horizon = at + Time::from_ps(1);
        host.advance(horizon, &mut mailbox.io()).unwrap();
        mailbox.advanced_to(horizon);
        assert_eq!(mailbox.violation(), None);
        std::iter::from_fn(|| mailbox.take_sent())
            .map(|sent| (sent.at, sent.message))
            .collect()
    }

    /// The identification registers, answered as by a NIC that says `id`.
    fn identify(host: &mut Host, mailbox: &mut Mailbox, id: u64) {
        for (_, message) in step(host, mailbox, Time::ZERO) {
            if let Message::MmioRead { req_id, offset, .. } = message {
                let value = match offset {
                    register::ID => id,
                    register::CAPABILITIES => 16 << 32 | 2 << 16 | VERSION,
                    _ => 4,
                };
                let data = Bytes::copy_from_slice(&value.to_le_bytes());
                let completion = Message::MmioReadCompletion { req_id, data };
                mailbox.deliver(PCIE, Time::from_ns(500), completion);
            }
        }
    }

    #[test]
    fn the_nic_is_identified_before_it_is_set_up() {
        let mut host = host(Time::ZERO);
        let mut mailbox = Mailbox::new(host.ports());
        identify(&mut host, &mut mailbox, ID_MAGIC);
        assert!(host.waiting_for().contains("identification"));
        let sent = step(&mut host, &mut mailbox, Time::from_ns(500));
        let enabled = sent.iter().any(|(_, message)| {
            matches!(
                message,
                Message::MmioWrite {
                    offset: register::CONTROL,
                    ..
                }
            )
        });
        assert!(enabled && host.with_control(ControlPlane::is_ready));
    }

    #[test]
    fn another_device_is_refused_with_a_reason() {
        let mut host = host(Time::ZERO);
        let mut mailbox = Mailbox::new(host.ports());
        identify(&mut host, &mut mailbox, u64::MAX);
        let error = host
            .advance(Time::from_us(1), &mut mailbox.io())
            .unwrap_err();
        assert_eq!(
            (error.component.as_str(), error.at),
            ("host", Time::from_ns(500))
        );
        assert!(error.to_string().contains("0xffffffffffffffff"), "{error}");
    }

    #[test]
    fn a_wild_read_is_all_ones_and_reported() {
        let mut host = host(Time::from_ns(90));
        let mut mailbox = Mailbox::new(host.ports());
        step(&mut host, &mut mailbox, Time::ZERO);
        let at = Time::from_ns(10);
        mailbox.deliver(
            PCIE,
            at,
            Message::DmaRead {
                req_id: 7,
                addr: 64,
                len: 2,
            },
        );
        let write = Message::DmaWrite {
            req_id: 8,
            addr: 64,
            data: Bytes::from_static(b"no"),
        };
        mailbox.deliver(PCIE, at, write);
        let data = Bytes::from_static(&[0xff, 0xff]);
        assert_eq!(
            step(&mut host, &mut mailbox, Time::from_us(1)),
            [
                (
                    Time::from_ns(100),
                    Message::DmaReadCompletion { req_id: 7, data }
                ),
                (
                    Time::from_ns(100),
                    Message::DmaWriteCompletion { req_id: 8 }
                ),
            ]
        );
        assert_eq!((host.violation_count(), host.violations()[1].at), (2, at));
    }
}
