//! smoltcp's interface and sockets, and when to poll them.

use std::cell::Cell;
use std::collections::BTreeSet;

use ::smoltcp::iface::{
    Config, Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet,
};
use ::smoltcp::socket::tcp;
use ::smoltcp::time::{Duration, Instant};
use ::smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};
use hallux_channel::Time;

use super::SmoltcpConfig;
use super::device::Device;
use crate::application::NetError;

/// First of the ports that connections are opened from (RFC 6335).
const FIRST_EPHEMERAL_PORT: u16 = 49_152;

thread_local! {
    /// What [`timestamp`] returns. smoltcp takes a plain function, so there
    /// is nowhere else to put it; it is set before each poll.
    static TSVAL: Cell<u32> = const { Cell::new(0) };
}

fn timestamp() -> u32 {
    TSVAL.get()
}

/// The tick at `now`: one per nanosecond.
fn tick(now: Time) -> Instant {
    Instant::from_micros(i64::try_from(now.ns()).unwrap_or(i64::MAX))
}

/// A span of simulated time in smoltcp's accelerated ticks.
fn ticks(span: Time) -> Duration {
    Duration::from_micros(span.ns())
}

/// The stack of one host.
pub(super) struct Stack {
    pub(super) device: Device,
    interface: Interface,
    sockets: SocketSet<'static>,
    /// Sockets that nobody holds any more, to remove when they are closed.
    orphans: Vec<SocketHandle>,
    listening: BTreeSet<u16>,
    next_port: u16,
    buffer: usize,
    nagle: bool,
    timestamps: bool,
    timeout: Time,
    /// A task did something that makes a poll necessary.
    touched: bool,
}

impl Stack {
    pub(super) fn new(config: &SmoltcpConfig) -> Self {
        let mut device = Device::new(config.mtu, config.vlan, config.line_rate);
        let address = HardwareAddress::Ethernet(EthernetAddress(config.mac));
        let mut settings = Config::new(address);
        settings.random_seed = config
            .seed
            .stream(&format!("{}/smoltcp", config.name))
            .bits();
        let mut interface = Interface::new(settings, &mut device, tick(Time::ZERO));
        interface.update_ip_addrs(|addresses| {
            // An interface starts without addresses and has room for one.
            let _room = addresses.push(IpCidr::new(config.ip.into(), config.prefix));
        });
        Stack {
            device,
            interface,
            sockets: SocketSet::new(Vec::new()),
            orphans: Vec::new(),
            listening: BTreeSet::new(),
            next_port: FIRST_EPHEMERAL_PORT,
            buffer: config.buffer,
            nagle: config.nagle,
            timestamps: config.timestamps,
            timeout: config.timeout,
            touched: false,
        }
    }

    /// Takes in what has arrived and sends what is due.
    pub(super) fn poll(&mut self, now: Time) {
        TSVAL.set((now.ns() >> 10) as u32);
        self.device.set_now(now);
        let (tick, device) = (tick(now), &mut self.device);
        self.interface.poll_maintenance(tick);
        while self
            .interface
            .poll_ingress_single(tick, device, &mut self.sockets)
            != PollIngressSingleResult::None
        {}
        // One frame of each socket that has one, and again.
        while device.full_until().is_none()
            && self.interface.poll_egress(tick, device, &mut self.sockets) != PollResult::None
        {
        }
        let sockets = &mut self.sockets;
        self.orphans.retain(|&handle| {
            let socket = sockets.get::<tcp::Socket<'_>>(handle);
            // An aborted socket still owes its peer a reset.
            let in_use = socket.is_open() || socket.remote_endpoint().is_some();
            if !in_use {
                sockets.remove(handle);
            }
            in_use
        });
    }

    /// When the next poll is due after one at `now`.
    pub(super) fn next_poll(&mut self, now: Time) -> Time {
        if let Some(free) = self.device.full_until() {
            return free;
        }
        match self.interface.poll_at(tick(now), &self.sockets) {
            // What could be done now has been done; time must pass first.
            Some(due) => {
                Time::from_ns(due.total_micros().max(0) as u64).max(Time::from_ns(now.ns() + 1))
            }
            None => Time::NEVER,
        }
    }

    /// True if a task changed a socket since the last call.
    pub(super) fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    /// A socket that a task may change.
    pub(super) fn socket(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// How long a silent peer is waited for.
    pub(super) fn timeout(&self) -> Time {
        self.timeout
    }

    /// Asks for a poll.
    pub(super) fn touch(&mut self) {
        self.touched = true;
    }

    /// Reserves `port` for a listener.
    pub(super) fn reserve(&mut self, port: u16) -> Result<(), NetError> {
        match (port, self.listening.insert(port)) {
            (0, _) => Err(NetError::InvalidInput),
            (_, false) => Err(NetError::AddressInUse),
            (_, true) => Ok(()),
        }
    }

    /// Gives a listener's port back.
    pub(super) fn release(&mut self, port: u16) {
        self.listening.remove(&port);
    }

    /// A socket that waits for one connection on `port`.
    pub(super) fn listen(&mut self, port: u16) -> Result<SocketHandle, NetError> {
        let mut socket = self.new_socket();
        socket.listen(port).map_err(|_| NetError::InvalidInput)?;
        Ok(self.sockets.add(socket))
    }

    /// A socket that connects to `to`.
    pub(super) fn connect(&mut self, to: std::net::SocketAddrV4) -> Result<SocketHandle, NetError> {
        let port = self.free_port().ok_or(NetError::OutOfResources)?;
        let mut socket = self.new_socket();
        socket
            .connect(self.interface.context(), to, port)
            .map_err(|_| NetError::InvalidInput)?;
        self.touched = true;
        Ok(self.sockets.add(socket))
    }

    /// Leaves a socket to itself until it is closed.
    pub(super) fn orphan(&mut self, handle: SocketHandle) {
        self.touched = true;
        self.orphans.push(handle);
    }

    fn new_socket(&self) -> tcp::Socket<'static> {
        let buffer = || tcp::SocketBuffer::new(vec![0; self.buffer]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_congestion_control(tcp::CongestionControl::Reno);
        socket.set_nagle_enabled(self.nagle);
        socket.set_timeout(Some(ticks(self.timeout)));
        if self.timestamps {
            socket.set_tsval_generator(Some(timestamp));
        }
        socket
    }

    /// The next local port that no socket uses.
    fn free_port(&mut self) -> Option<u16> {
        let used: BTreeSet<u16> = self
            .sockets
            .iter()
            .filter_map(|(_, socket)| {
                let ::smoltcp::socket::Socket::Tcp(socket) = socket;
                socket.local_endpoint()
            })
            .map(|endpoint| endpoint.port)
            .collect();
        for _ in FIRST_EPHEMERAL_PORT..=u16::MAX {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(FIRST_EPHEMERAL_PORT);
            if !used.contains(&port) && !self.listening.contains(&port) {
                return Some(port);
            }
        }
        None
    }
}
