//! A Verilated block with its clock, its reset, its drivers and its monitors.

use crate::stream::{Channel, Driver, DriverState, Monitor, MonitorState, Stalls};
use crate::value::{Fields, IntoValue, Record, Value};
use hallux_hdl::emit::Design;
use hallux_hdl::manifest::{Direction, Field, MANIFEST_SCHEMA, Manifest, Module, Port};
use hallux_verilator::{
    Build, Layout, Model, ModelError, PortField, Profile, Toolchain, TraceFormat,
};
use std::fmt::Write;
use std::path::Path;
use std::sync::OnceLock;

/// Seed of a bench unless one is given.
const DEFAULT_SEED: u64 = 1;

/// Cycles that [`Bench::reset`] holds `rst`.
const RESET_CYCLES: u32 = 2;

/// A block under test.
///
/// A bench lives in tests: every mistake, of the block or of the test, is a panic that
/// names the cycle. With `HALLUX_BENCH_WAVES=DIR` in the environment it writes waveforms
/// to `DIR/<name of the test>.fst`.
pub struct Bench {
    model: Model,
    layout: Layout,
    inputs: Vec<u8>,
    outputs: Vec<u8>,
    /// The outputs do not show the present inputs and registers.
    stale: bool,
    cycle: u64,
    seed: u64,
    drivers: Vec<DriverState>,
    monitors: Vec<MonitorState>,
    log: String,
}

impl Bench {
    /// A bench for a generated design, with its top module as the block under test.
    ///
    /// # Panics
    /// The tools are missing or the RTL does not build; the message says why.
    #[track_caller]
    pub fn new(design: &Design) -> Self {
        let files = design.files.iter();
        let sources: Vec<_> = files
            .map(|file| (file.name.clone(), file.text.clone()))
            .collect();
        Self::of(&design.manifest, &sources)
    }

    /// A bench for RTL in `sources`: pairs of file name and text.
    ///
    /// # Panics
    /// The tools are missing or the RTL does not build; the message says why.
    #[track_caller]
    pub fn of(manifest: &Manifest, sources: &[(String, String)]) -> Self {
        Self::with_seed(manifest, sources, DEFAULT_SEED)
    }

    /// As [`Bench::of`]; `seed` decides uninitialised state, stalls and garbage.
    ///
    /// # Panics
    /// As [`Bench::of`].
    #[track_caller]
    pub fn with_seed(manifest: &Manifest, sources: &[(String, String)], seed: u64) -> Self {
        let waves = std::env::var_os("HALLUX_BENCH_WAVES");
        let library = Build::new(manifest, sources)
            .profile(Profile::Test)
            .trace(waves.is_some().then_some(TraceFormat::Fst))
            .build(toolchain())
            .unwrap_or_else(|error| panic!("{error}"));
        let layout = library.layout().clone();
        let mut model = Model::new(&library, seed).unwrap_or_else(|error| panic!("{error}"));
        if let (Some(directory), Some(format)) = (waves, library.trace()) {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or(&layout.top).replace("::", "-");
            let path = Path::new(&directory).join(format!("{name}.{}", format.extension()));
            model
                .trace_open(&path)
                .unwrap_or_else(|error| panic!("{error}"));
        }
        Self {
            model,
            inputs: vec![0; layout.inputs.size],
            outputs: vec![0; layout.outputs.size],
            layout,
            stale: true,
            cycle: 0,
            seed,
            drivers: vec![],
            monitors: vec![],
            log: String::new(),
        }
    }

    /// Clock cycles since [`Bench::reset`] released `rst`.
    pub fn cycles(&self) -> u64 {
        self.cycle
    }

    /// Sets the input `port` from now on.
    ///
    /// # Panics
    /// There is no such input, or the value is too wide for it.
    #[track_caller]
    pub fn poke(&mut self, port: &str, value: impl IntoValue) {
        let value = value.into_value();
        let Some(place) = self.layout.inputs.port(port) else {
            panic!("no input `{port}` in {}", self.names());
        };
        let (bits, width) = (value.bits(), place.width);
        assert!(
            bits <= u64::from(width),
            "input `{port}` has {width} bits, {value} needs {bits}"
        );
        let range = place.offset..place.offset + place.bytes;
        self.inputs[range].copy_from_slice(&value.to_bytes(place.bytes));
        self.stale = true;
    }

    /// Sets the structured input `port` from now on; fields that are not named are zero.
    ///
    /// # Panics
    /// There is no such input or field, or a value is too wide for it.
    #[track_caller]
    pub fn poke_struct(&mut self, port: &str, fields: Fields) {
        let layout = self.fields_of(port);
        self.poke(port, Record::pack(port, &layout, &fields));
    }

    /// The present value of `port`: what a scope would show after the last clock edge and
    /// the last [`Bench::poke`].
    ///
    /// # Panics
    /// There is no such port, or the model stopped.
    #[track_caller]
    pub fn peek(&mut self, port: &str) -> Value {
        if std::mem::take(&mut self.stale) {
            let result = self.model.settle(&self.inputs, &mut self.outputs);
            self.expect(result);
        }
        self.value(port)
    }

    /// The present value of `field` in the structured `port`.
    ///
    /// # Panics
    /// As [`Bench::peek`], or there is no such field.
    #[track_caller]
    pub fn peek_field(&mut self, port: &str, field: &str) -> Value {
        self.peek_record(port).field(field)
    }

    /// The present value of the structured `port`.
    ///
    /// # Panics
    /// As [`Bench::peek`].
    #[track_caller]
    pub fn peek_record(&mut self, port: &str) -> Record {
        let value = self.peek(port);
        Record::new(value, &self.fields_of(port))
    }

    /// A driver of channel `name`: ports `<name>_data`, `<name>_valid` and `<name>_ready`.
    /// Without a ready port every offer counts as taken, without a data port the channel
    /// carries events.
    ///
    /// # Panics
    /// There is no input `<name>_valid`.
    #[track_caller]
    pub fn driver(&mut self, name: &str) -> Driver {
        let valid = format!("{name}_valid");
        let (inputs, names) = (&self.layout.inputs, self.names());
        assert!(
            inputs.port(&valid).is_some(),
            "no input `{valid}` in {names}"
        );
        let width = inputs
            .port(&format!("{name}_data"))
            .map_or(0, |port| port.width);
        self.drivers.push(DriverState::new(name, width, self.seed));
        Driver(self.drivers.len() - 1)
    }

    /// A monitor of channel `name`: ports `<name>_data`, `<name>_valid` and `<name>_ready`.
    /// Without a ready port everything valid counts as taken, without a data port the
    /// channel carries events.
    ///
    /// # Panics
    /// There is no output `<name>_valid`.
    #[track_caller]
    pub fn monitor(&mut self, name: &str) -> Monitor {
        let valid = format!("{name}_valid");
        let (outputs, names) = (&self.layout.outputs, self.names());
        assert!(
            outputs.port(&valid).is_some(),
            "no output `{valid}` in {names}"
        );
        self.monitors.push(MonitorState::new(name, self.seed));
        Monitor(self.monitors.len() - 1)
    }

    /// Sets when a driver or a monitor holds back.
    pub fn stall(&mut self, channel: impl Into<Channel>, stalls: Stalls) {
        match channel.into() {
            Channel::Driver(Driver(index)) => self.drivers[index].stalls = stalls,
            Channel::Monitor(Monitor(index)) => self.monitors[index].stalls = stalls,
        }
    }

    /// Queues a structured value on a driver.
    ///
    /// # Panics
    /// There is no such field, or a value is too wide for it.
    #[track_caller]
    pub fn send(&mut self, driver: Driver, fields: Fields) {
        let port = format!("{}_data", self.drivers[driver.0].name);
        let value = Record::pack(&port, &self.fields_of(&port), &fields);
        self.drivers[driver.0].queue.push_back(value);
    }

    /// Queues a plain value on a driver.
    ///
    /// # Panics
    /// The value is too wide for the channel.
    #[track_caller]
    pub fn send_value(&mut self, driver: Driver, value: impl IntoValue) {
        let value = value.into_value();
        let state = &mut self.drivers[driver.0];
        assert!(
            value.bits() <= u64::from(state.width),
            "channel `{}` has {} bits, {value} needs {}",
            state.name,
            state.width,
            value.bits()
        );
        state.queue.push_back(value);
    }

    /// How many queued values the block has not taken yet.
    pub fn pending(&self, driver: Driver) -> usize {
        self.drivers[driver.0].queue.len()
    }

    /// How many values the block has taken.
    pub fn accepted(&self, driver: Driver) -> u64 {
        self.drivers[driver.0].accepted
    }

    /// What a monitor has received.
    pub fn received(&self, monitor: Monitor) -> &[Record] {
        &self.monitors[monitor.0].received
    }

    /// What a monitor has received since the last call.
    pub fn take_received(&mut self, monitor: Monitor) -> Vec<Record> {
        std::mem::take(&mut self.monitors[monitor.0].received)
    }

    /// Holds `rst` for two cycles, with valid and ready of all channels low, and counts
    /// cycles from its release. Other inputs keep what was poked.
    ///
    /// # Panics
    /// There is no input `rst`, or the model stopped.
    #[track_caller]
    pub fn reset(&mut self) {
        self.poke("rst", 1);
        for index in 0..self.drivers.len() {
            self.drivers[index].quiet();
            let valid = format!("{}_valid", self.drivers[index].name);
            self.poke(&valid, 0);
        }
        for index in 0..self.monitors.len() {
            self.monitors[index].quiet();
            let ready = format!("{}_ready", self.monitors[index].name);
            if self.layout.inputs.port(&ready).is_some() {
                self.poke(&ready, 0);
            }
        }
        for _ in 0..RESET_CYCLES {
            let result = self.model.step(&self.inputs, &mut self.outputs);
            self.expect(result);
        }
        self.poke("rst", 0);
        self.cycle = 0;
    }

    /// One clock cycle: drivers offer, monitors answer, transfers are logged.
    ///
    /// # Panics
    /// The block broke a channel's protocol, or the model stopped.
    #[track_caller]
    pub fn cycle(&mut self) {
        let result = self.try_cycle();
        self.expect(result);
    }

    /// `count` clock cycles.
    ///
    /// # Panics
    /// As [`Bench::cycle`].
    #[track_caller]
    pub fn run(&mut self, count: u64) {
        for _ in 0..count {
            self.cycle();
        }
    }

    /// Cycles until `done` holds, checked before each one.
    ///
    /// # Panics
    /// It does not hold after `limit` cycles, or as [`Bench::cycle`].
    #[track_caller]
    pub fn run_until(&mut self, limit: u64, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..limit {
            if done(self) {
                return;
            }
            self.cycle();
        }
        let log = self.tail_of_log();
        assert!(
            done(self),
            "not done after {limit} cycles; last transfers:\n{log}"
        );
    }

    /// Cycles until `monitor` has received `count` values in all.
    ///
    /// # Panics
    /// As [`Bench::run_until`].
    #[track_caller]
    pub fn run_until_received(&mut self, monitor: Monitor, count: usize, limit: u64) {
        self.run_until(limit, |bench| bench.received(monitor).len() >= count);
    }

    /// One clock cycle that may stop the model, such as by an assertion of the block.
    ///
    /// # Errors
    /// The model stopped.
    ///
    /// # Panics
    /// The block broke a channel's protocol.
    #[track_caller]
    pub fn try_cycle(&mut self) -> Result<(), ModelError> {
        for index in 0..self.drivers.len() {
            let name = self.drivers[index].name.clone();
            let (valid, data) = self.drivers[index].offer(self.cycle);
            self.poke(&format!("{name}_valid"), valid);
            if self.drivers[index].width > 0 {
                self.poke(&format!("{name}_data"), data);
            }
        }
        for index in 0..self.monitors.len() {
            let ready = self.monitors[index].ready(self.cycle);
            let port = format!("{}_ready", self.monitors[index].name);
            if self.layout.inputs.port(&port).is_some() {
                self.poke(&port, ready);
            }
        }
        self.model.step(&self.inputs, &mut self.outputs)?;
        self.stale = true;
        self.take_transfers();
        self.cycle += 1;
        Ok(())
    }

    /// Looks at all channels as the rising edge saw them.
    #[track_caller]
    fn take_transfers(&mut self) {
        for index in 0..self.drivers.len() {
            let name = self.drivers[index].name.clone();
            let ready = self.value_or(&format!("{name}_ready"), true) == 1;
            if let Some(value) = self.drivers[index].answer(ready) {
                let record = self.record_of(&name, value);
                self.note(&name, &record);
            }
        }
        for index in 0..self.monitors.len() {
            let name = self.monitors[index].name.clone();
            let valid = self.value(&format!("{name}_valid")) == 1;
            let ready = self.value_or(&format!("{name}_ready"), true) == 1;
            let data = self.value_or(&format!("{name}_data"), false);
            match self.monitors[index].see(valid, ready, &data) {
                Ok(false) => {}
                Ok(true) => {
                    let record = self.record_of(&name, data);
                    self.note(&name, &record);
                    self.monitors[index].received.push(record);
                }
                Err(broken) => {
                    let log = self.tail_of_log();
                    panic!("cycle {}: {broken}; last transfers:\n{log}", self.cycle);
                }
            }
        }
    }

    /// All transfers so far, one line each: cycle, channel, fields.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// The model, for waveforms and saved state.
    pub fn model(&mut self) -> &mut Model {
        &mut self.model
    }

    fn note(&mut self, channel: &str, record: &Record) {
        let _ = writeln!(self.log, "{:>6} {channel:<8} {record}", self.cycle);
    }

    fn tail_of_log(&self) -> String {
        const LINES: usize = 10;
        let lines: Vec<_> = self.log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    fn record_of(&self, channel: &str, value: Value) -> Record {
        Record::new(value, &self.fields_of(&format!("{channel}_data")))
    }

    fn port(&self, name: &str) -> Option<(&PortField, &[u8])> {
        let input = self
            .layout
            .inputs
            .port(name)
            .map(|port| (port, &self.inputs));
        let output = || {
            self.layout
                .outputs
                .port(name)
                .map(|port| (port, &self.outputs))
        };
        let (port, bytes) = input.or_else(output)?;
        Some((port, &bytes[port.offset..port.offset + port.bytes]))
    }

    #[track_caller]
    fn value(&self, port: &str) -> Value {
        match self.port(port) {
            Some((_, bytes)) => Value::from_bytes(bytes),
            None => panic!("no port `{port}` in {}", self.names()),
        }
    }

    fn value_or(&self, port: &str, missing: bool) -> Value {
        self.port(port)
            .map_or(missing.into_value(), |(_, bytes)| Value::from_bytes(bytes))
    }

    fn fields_of(&self, port: &str) -> Vec<Field> {
        self.port(port)
            .map_or(vec![], |(port, _)| port.fields.clone())
    }

    fn names(&self) -> String {
        let (inputs, outputs) = (&self.layout.inputs, &self.layout.outputs);
        let ports = inputs.ports.iter().chain(&outputs.ports);
        let names: Vec<_> = ports.map(|port| port.name.as_str()).collect();
        format!("module `{}`; it has {}", self.layout.top, names.join(", "))
    }

    #[track_caller]
    fn expect(&self, result: Result<(), ModelError>) {
        if let Err(error) = result {
            let log = self.tail_of_log();
            panic!("cycle {}: {error}; last transfers:\n{log}", self.cycle);
        }
    }
}

/// The tools, found once a process.
#[track_caller]
fn toolchain() -> &'static Toolchain {
    static TOOLCHAIN: OnceLock<Toolchain> = OnceLock::new();
    TOOLCHAIN.get_or_init(|| {
        Toolchain::discover(&mut |line| eprintln!("{line}"))
            .unwrap_or_else(|error| panic!("{error}"))
    })
}

/// Manifest and sources of one hand-written module `name`, such as a bench's twin of a
/// generated block. A port named `clk` is the clock; each entry of `structures` gives the
/// fields, least significant first, of all ports whose names end in its first part.
pub fn hand_written(
    name: &str,
    text: &str,
    ports: &[(&str, Direction, u32)],
    structures: &[(&str, &[(&str, u32)])],
) -> (Manifest, Vec<(String, String)>) {
    let fields_of = |port: &str| -> Vec<Field> {
        let structure = structures.iter().find(|(ending, _)| port.ends_with(ending));
        let mut end = 0;
        let place = |&(name, width): &(&str, u32)| {
            let offset = end;
            end += width;
            Field {
                name: name.into(),
                offset,
                width,
            }
        };
        structure.map_or(vec![], |(_, fields)| fields.iter().map(place).collect())
    };
    let module = Module {
        name: name.into(),
        file: format!("{name}.sv"),
        source: "hand-written".into(),
        ports: ports
            .iter()
            .map(|&(port, direction, width)| Port {
                name: port.into(),
                direction,
                width,
                clock: port == "clk",
                fields: fields_of(port),
            })
            .collect(),
        memories: vec![],
        instances: vec![],
        streams: vec![],
    };
    let sources = vec![(module.file.clone(), text.to_string())];
    let manifest = Manifest {
        schema: MANIFEST_SCHEMA,
        design: name.into(),
        top: name.into(),
        hash: String::new(),
        parameters: Default::default(),
        modules: vec![module],
    };
    (manifest, sources)
}
