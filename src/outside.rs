//! A component in a process of its own, whose ports are SimBricks channels.
//!
//! ```text
//!   SIGINT, SIGTERM ─► stop ┐           ┌─ port ══ peer
//!   SIGUSR1 ─► report       ├─ component┤
//!   --until TIME ───────────┘           └─ port ══ peer
//! ```

use crate::output;
use anyhow::{Context, Result};
use hallux_channel::simbricks::{Address, Endpoint, Options, Role, establish_all};
use hallux_channel::{Message, Time};
use hallux_cosim::engine::{
    Boundary, ComponentId, LinkError, OutsideLink, OutsideOptions, Ring, RunError, Simulation,
};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Options of every component that runs by itself.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// End at this simulated time, `430us` [default: when the peers end, or on a signal].
    #[arg(long, value_name = "TIME")]
    until: Option<Time>,
    /// How long to wait for the peers, in real seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    /// Slots of each ring where this end listens.
    #[arg(long, default_value_t = 1024)]
    slots: usize,
    /// Bytes of a slot where this end listens [default: SimBricks' of the protocol].
    #[arg(long, value_name = "BYTES")]
    slot_size: Option<usize>,
}

/// A port and its channel.
pub struct OutsidePort {
    /// The component.
    pub component: ComponentId,
    /// Name of the port.
    pub port: String,
    /// Where the channel is.
    pub address: Address,
    /// What is spoken.
    pub role: Role,
}

/// Reports of signals, set by their handlers.
#[derive(Clone, Default)]
pub struct Signals {
    /// To end: SIGINT, SIGTERM, or the work is done.
    pub stop: Arc<AtomicBool>,
    /// To tell how far it is: SIGUSR1.
    report: Arc<AtomicBool>,
}

impl Signals {
    /// Handles SIGINT, SIGTERM and SIGUSR1 from now on.
    ///
    /// # Errors
    /// The system refuses.
    pub fn install() -> Result<Self> {
        let signals = Self::default();
        for (signal, flag) in [
            (SIGINT, &signals.stop),
            (SIGTERM, &signals.stop),
            (SIGUSR1, &signals.report),
        ] {
            signal_hook::flag::register(signal, Arc::clone(flag))
                .context("cannot handle signals")?;
        }
        Ok(signals)
    }
}

/// Establishes the channels of `ports` and runs until the end: `--until`, or without it when
/// fewer than `needed` peers are left, or a signal. Tells addresses before, states and counters after.
///
/// # Errors
/// A channel cannot be established or breaks, or the component fails.
pub fn run(
    simulation: &mut Simulation,
    ports: Vec<OutsidePort>,
    needed: usize,
    signals: &Signals,
    arguments: &Arguments,
) -> Result<Time> {
    for port in &ports {
        eprintln!("hallux: port {}: {}", port.port, port.address);
    }
    let options = Options {
        slot_size: arguments.slot_size,
        slots: arguments.slots,
        deadline: Duration::from_secs(arguments.wait),
        cancel: Some(&signals.stop),
    };
    let channels = ports
        .iter()
        .map(|port| (port.address.clone(), port.role.clone()))
        .collect();
    let endpoints = establish_all(channels, &options)?;
    // An end that is given holds, whoever ends before: how far this one is when it hears of that is up
    // to the processor.
    let needed = match arguments.until {
        Some(_) => 0,
        None => needed,
    };
    let watch = Arc::new(Mutex::new(Watch::new(needed, endpoints.len())));
    let mut links = vec![];
    for (number, (port, endpoint)) in ports.iter().zip(endpoints).enumerate() {
        lock(&watch).ports[number].name.clone_from(&port.port);
        let latency = endpoint.latency();
        let watched = Watched {
            number,
            latency,
            ring: Ring::new(endpoint),
            watch: Arc::clone(&watch),
            stop: Arc::clone(&signals.stop),
        };
        watched.note();
        links.push(OutsideLink {
            component: port.component,
            port: port.port.clone(),
            latency,
            boundary: Box::new(watched),
        });
    }
    eprintln!("hallux: connected");
    let options = OutsideOptions {
        max_time: arguments.until.unwrap_or(Time::NEVER),
        cancel: Some(&signals.stop),
    };
    let started = Instant::now();
    let mut reached = Time::ZERO;
    let result = simulation.run_outside(links, &options, &mut |progress| {
        reached = progress.now;
        if signals.report.swap(false, Ordering::Relaxed) {
            eprint!("{}", report(reached, started, &lock(&watch)));
        }
    });
    let end = match &result {
        Ok(end) => *end,
        Err(_) => reached,
    };
    eprint!("{}", report(end, started, &lock(&watch)));
    for (component, counters) in simulation.counters() {
        for counter in counters.iter().filter(|counter| counter.value > 0) {
            output::line(format_args!(
                "{component} {} {}",
                counter.name, counter.value
            ));
        }
    }
    result.map_err(|error: RunError| error.into())
}

/// How far the simulation is, and what crossed its ports.
fn report(reached: Time, started: Instant, watch: &Watch) -> String {
    let seconds = started.elapsed().as_secs_f64().max(1e-6);
    let speed = reached.ps() as f64 / 1e6 / seconds;
    let mut text =
        format!("hallux: simulated {reached} in {seconds:.1} s: {speed:.1} us a second\n");
    for port in &watch.ports {
        text.push_str(&format!("hallux: {port}\n"));
    }
    text
}

fn lock(watch: &Mutex<Watch>) -> MutexGuard<'_, Watch> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of all ports.
struct Watch {
    ports: Vec<PortState>,
    needed: usize,
    /// Stamp of the last message of those that have ended.
    last: Time,
}

impl Watch {
    fn new(needed: usize, count: usize) -> Self {
        Self {
            ports: (0..count).map(|_| PortState::default()).collect(),
            needed,
            last: Time::ZERO,
        }
    }

    /// Too few peers are left to go on for.
    fn is_over(&self) -> bool {
        self.ports.iter().filter(|port| !port.over).count() < self.needed
    }
}

#[derive(Default)]
struct PortState {
    name: String,
    synchronised: bool,
    over: bool,
    bound: Time,
    counters: hallux_channel::simbricks::Counters,
}

impl fmt::Display for PortState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.over, self.synchronised) {
            (true, _) => "its peer has ended".to_owned(),
            (false, true) => format!("synchronised, may go to {}", self.bound),
            (false, false) => "not synchronised".to_owned(),
        };
        let (sent, received) = (&self.counters.sent, &self.counters.received);
        write!(
            f,
            "port {}: {state}; sent {} messages and {} syncs, received {} and {}; ring full {} times, {} frames too long",
            self.name,
            sent.messages,
            sent.syncs,
            received.messages,
            received.syncs,
            self.counters.full,
            self.counters.refused,
        )
    }
}

/// A channel whose state others can see, and whose end ends the run.
struct Watched {
    number: usize,
    latency: Time,
    ring: Ring,
    watch: Arc<Mutex<Watch>>,
    stop: Arc<AtomicBool>,
}

impl Watched {
    fn endpoint(&self) -> &Endpoint {
        self.ring.endpoint()
    }

    fn note(&self) {
        let endpoint = self.endpoint();
        let mut watch = lock(&self.watch);
        let state = &mut watch.ports[self.number];
        state.synchronised = endpoint.synchronised();
        state.bound = endpoint.bound();
        state.over = endpoint.terminated();
        state.counters = endpoint.counters();
    }
}

impl Boundary for Watched {
    fn send(&mut self, arrival: Time, message: Message) -> Result<(), LinkError> {
        self.ring.send(arrival, message)
    }

    fn promise(&mut self, bound: Time) -> Result<(), LinkError> {
        self.ring.promise(bound)?;
        self.note();
        let watch = lock(&self.watch);
        // What an ended peer sent before is still handled.
        if watch.is_over() && bound.since(self.latency) > watch.last {
            self.stop.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn receive(&mut self, deliver: &mut dyn FnMut(Time, Message)) -> Result<Time, LinkError> {
        let mut last = Time::ZERO;
        let bound = self.ring.receive(&mut |at, message| {
            last = at;
            deliver(at, message);
        })?;
        if last > Time::ZERO || self.ring.is_over() {
            let mut watch = lock(&self.watch);
            watch.last = watch.last.max(last);
            watch.ports[self.number].over = self.ring.is_over();
        }
        Ok(bound)
    }

    fn is_synchronised(&self) -> bool {
        self.ring.is_synchronised()
    }

    fn is_congested(&self) -> bool {
        self.ring.is_congested()
    }

    fn is_over(&self) -> bool {
        self.ring.is_over()
    }

    fn close(&mut self) -> Result<bool, LinkError> {
        let closed = self.ring.close();
        self.note();
        closed
    }
}
