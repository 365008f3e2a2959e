//! A host that runs smoltcp, an independent TCP/IP stack.
//!
//! ```text
//!   applications (async, on the executor)
//!        │ Network, Listener, Stream
//!   ┌────┴─────┐   frames    ┌─────────────┐
//!   │  smoltcp ├─────────────┤ transmitter ├── eth0
//!   └──────────┘             └─────────────┘
//! ```
//!
//! smoltcp's clock counts microseconds and its shortest retransmission time
//! is a second, which is for the Internet. It is fed **one tick per
//! nanosecond**, so every timer is a thousand times shorter: retransmission
//! after 1 ms at the earliest, delayed ACK after 10 µs, TIME-WAIT of 10 ms.
//! That is what a data centre uses.
//!
//! smoltcp speaks window scaling, timestamps, Reno, fast retransmission, and
//! emits SACK; it has no ECN and ignores received SACK.

mod device;
mod sockets;
mod stack;

use std::any::Any;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use hallux_channel::{
    Component, ComponentError, Counter, Io, LineRate, Message, PortSpec, Protocol, Seed, Time,
};

use crate::cpu::CpuProfile;
use crate::executor::Executor;

pub use sockets::{SmoltcpListener, SmoltcpNetwork, SmoltcpStream};

use stack::Stack;

/// How a smoltcp host is set up.
#[derive(Clone, Debug)]
pub struct SmoltcpConfig {
    /// The component's name.
    pub name: String,
    /// Ethernet address.
    pub mac: [u8; 6],
    /// IPv4 address.
    pub ip: Ipv4Addr,
    /// Bits of the network prefix; there is no gateway.
    pub prefix: u8,
    /// Rate at which frames are sent.
    pub line_rate: LineRate,
    /// Largest IP packet, in bytes.
    pub mtu: usize,
    /// Send every frame with a tag of this VLAN (IEEE 802.1Q), and receive only such.
    pub vlan: Option<u16>,
    /// Receive and transmit buffer of each socket, in bytes. Above 64 KiB
    /// window scaling is used; filling 100 Gb/s needs 1 MiB or more.
    pub buffer: usize,
    /// Wait for more data before sending a short segment (RFC 896).
    pub nagle: bool,
    /// Send timestamps (RFC 7323), in units of 1.024 µs.
    pub timestamps: bool,
    /// Give up a connection whose peer has not answered for so long.
    pub timeout: Time,
    /// What software costs on this host.
    pub cpu: CpuProfile,
    /// Cores of this host.
    pub cores: usize,
    /// The scenario's seed; initial sequence numbers follow from it.
    pub seed: Seed,
}

impl SmoltcpConfig {
    /// A host on a 100 Gb/s line with a 1500-byte MTU, buffers of 1 MiB, and
    /// software that costs nothing.
    pub fn new(name: impl Into<String>, mac: [u8; 6], ip: Ipv4Addr, seed: Seed) -> Self {
        const HUNDRED_GIGABIT: LineRate = match LineRate::from_bps(100_000_000_000) {
            Some(rate) => rate,
            None => unreachable!(),
        };
        SmoltcpConfig {
            name: name.into(),
            mac,
            ip,
            prefix: 24,
            line_rate: HUNDRED_GIGABIT,
            mtu: 1_500,
            vlan: None,
            buffer: 1 << 20,
            nagle: false,
            timestamps: true,
            timeout: Time::from_ms(500),
            cpu: CpuProfile::free(),
            cores: 1,
            seed,
        }
    }
}

/// A host that runs smoltcp, as a component with the Ethernet port `eth0`.
pub struct SmoltcpHost {
    name: String,
    ports: [PortSpec; 1],
    executor: Executor,
    stack: Arc<Mutex<Stack>>,
    network: SmoltcpNetwork,
    /// When the stack next needs a poll for its own sake.
    stack_due: Time,
}

impl SmoltcpHost {
    /// A host with nothing to do yet.
    pub fn new(config: SmoltcpConfig) -> Self {
        let executor = Executor::new(config.cpu, config.cores);
        let stack = Arc::new(Mutex::new(Stack::new(&config)));
        SmoltcpHost {
            network: SmoltcpNetwork::new(Arc::clone(&stack), executor.handle(), config.ip),
            name: config.name,
            ports: [PortSpec::new("eth0", Protocol::Ethernet)],
            executor,
            stack,
            stack_due: Time::NEVER,
        }
    }

    /// The network that applications on this host use.
    pub fn network(&self) -> SmoltcpNetwork {
        self.network.clone()
    }

    /// Adds an application that the scenario's end waits for, such as a
    /// client.
    pub fn run_to_end(&self, application: impl Future<Output = ()> + Send + 'static) {
        self.executor.spawn_work(application);
    }

    /// Adds an application that serves as long as the simulation runs.
    pub fn run_in_background(&self, application: impl Future<Output = ()> + Send + 'static) {
        drop(self.executor.handle().spawn(application));
    }

    /// Frames in and tasks at `now`, until neither has anything left to do at
    /// this instant; frames out.
    fn run_at(&mut self, now: Time, io: &mut Io<'_>) {
        // Poll first, so that tasks find what has arrived; tasks that read or
        // write make another poll necessary. A stack that nothing reached and
        // that has nothing to do yet is left alone.
        self.executor.set_now(now);
        let (mut due, mut polled) = (self.stack_due <= now, false);
        loop {
            if due {
                self.lock().poll(now);
                polled = true;
            }
            self.executor.run_at(now);
            due = self.lock().take_touched();
            if !due {
                break;
            }
        }
        if !polled {
            return;
        }
        let mut stack = self.lock();
        while let Some((at, frame)) = stack.device.take_sent() {
            io.send(0, at, Message::Frame(frame));
        }
        let due = stack.next_poll(now);
        drop(stack);
        self.stack_due = due;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Stack> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Component for SmoltcpHost {
    fn name(&self) -> &str {
        &self.name
    }

    fn ports(&self) -> &[PortSpec] {
        &self.ports
    }

    fn next_action(&self) -> Time {
        self.stack_due.min(self.executor.next_event())
    }

    fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
        loop {
            let next = self.next_action();
            if let Some((at, _, message)) = io.pop_before(horizon.min(next + Time::from_ps(1))) {
                if let Message::Frame(frame) = message {
                    self.lock().device.receive_frame(frame);
                    // Own event of this instant, so behind all its inputs.
                    self.stack_due = at;
                }
            } else if next < horizon {
                self.run_at(next, io);
            } else {
                return Ok(());
            }
        }
    }

    fn finished_at(&self) -> Option<Time> {
        self.executor.finished_at()
    }

    fn waiting_for(&self) -> String {
        match self.executor.unfinished_work() {
            1 => "its application".to_owned(),
            count => format!("its {count} applications"),
        }
    }

    fn counters(&self) -> Vec<Counter> {
        self.lock().device.counters()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
