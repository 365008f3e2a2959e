//! The application trait over the offload engine.

use std::future::{Future, poll_fn};
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use hallux_channel::Time;
use hallux_toe::interface::COUNTERS;

use crate::application::{Listener, NetError, Network, Stream, Unspliced};
use crate::control::{ConnectionId, ControlPlane, Phase};
use crate::cpu::Cost;
use crate::driver::FlowKey;
use crate::executor::{Handle, Task};

/// The control plane, shared between the host and the tasks of its executor.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Arc<Mutex<ControlPlane>>);

impl Shared {
    pub(crate) fn new(control: ControlPlane) -> Self {
        Self(Arc::new(Mutex::new(control)))
    }

    /// One thread runs a host; a poisoned lock means that a task panicked, and that panic
    /// is what should be reported. The guard must not be held across an await.
    pub(crate) fn lock(&self) -> MutexGuard<'_, ControlPlane> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The network of a host with an offload engine.
#[derive(Clone, Debug)]
pub struct ToeNetwork {
    shared: Shared,
    handle: Handle,
}

impl ToeNetwork {
    pub(crate) fn new(shared: Shared, handle: Handle) -> Self {
        Self { shared, handle }
    }

    /// The same network for an application on another core.
    pub fn on_core(&self, core: usize) -> Self {
        Self {
            shared: self.shared.clone(),
            handle: self.handle.on_core(core),
        }
    }

    /// Reads the NIC's counters through its registers, in the order of [`COUNTERS`].
    pub async fn nic_counters(&self) -> [u64; COUNTERS.len()] {
        self.ready().await;
        let mut asked = false;
        poll_fn(|context| {
            let mut control = self.shared.lock();
            if asked && let Some(&counters) = control.nic_counters() {
                return Poll::Ready(counters);
            }
            asked = true;
            control.await_counters(context.waker());
            Poll::Pending
        })
        .await
    }

    /// Resets the NIC and waits until it is up again. With `drain` it first stops taking frames
    /// and ends what is in flight. Every connection breaks with [`NetError::Reset`]; listeners
    /// stay.
    pub async fn reset_nic(&self, drain: bool) {
        self.ready().await;
        self.shared.lock().restart(drain);
        self.ready().await;
    }

    /// Waits until the NIC is up.
    async fn ready(&self) {
        poll_fn(|context| {
            let mut control = self.shared.lock();
            if control.is_ready() {
                return Poll::Ready(());
            }
            control.await_ready(context.waker());
            Poll::Pending
        })
        .await;
    }

    /// Waits until a connection that was opened is established.
    async fn opened(&self, id: ConnectionId) -> Result<ToeStream, NetError> {
        // Dropped before the connection is established, the stream aborts it.
        let stream = self.stream(id);
        poll_fn(|context| {
            let mut control = self.shared.lock();
            let Some(connection) = control.connections.get_mut(&id) else {
                return Poll::Ready(Err(NetError::Closed));
            };
            if let Some(error) = connection.socket.error {
                return Poll::Ready(Err(error));
            }
            match connection.phase {
                Phase::Resolving | Phase::SynSent | Phase::Opening | Phase::SynReceived => {
                    connection.opener = Some(context.waker().clone());
                    Poll::Pending
                }
                _ => Poll::Ready(Ok(())),
            }
        })
        .await?;
        Ok(stream)
    }

    fn stream(&self, id: ConnectionId) -> ToeStream {
        let key = self
            .shared
            .lock()
            .connections
            .get(&id)
            .map(|connection| connection.key);
        ToeStream {
            shared: self.shared.clone(),
            handle: self.handle.clone(),
            id,
            // The owner of a connection keeps it in the table.
            key: key.unwrap_or(FlowKey {
                remote_ip: 0,
                local_ip: 0,
                remote_port: 0,
                local_port: 0,
            }),
            closed: false,
        }
    }
}

impl Network for ToeNetwork {
    type Listener = ToeListener;
    type Stream = ToeStream;

    async fn listen(&self, port: u16, backlog: usize) -> Result<ToeListener, NetError> {
        self.handle.charge(Cost::SocketCall).await;
        self.ready().await;
        self.shared.lock().listen(port, backlog)?;
        Ok(ToeListener {
            network: self.clone(),
            port,
        })
    }

    async fn connect(&self, to: SocketAddrV4) -> Result<ToeStream, NetError> {
        self.handle.charge(Cost::SocketCall).await;
        self.ready().await;
        let id = self.shared.lock().connect(self.handle.now(), to)?;
        self.opened(id).await
    }

    async fn connect_like(
        &self,
        to: SocketAddrV4,
        like: &ToeStream,
    ) -> Result<ToeStream, NetError> {
        self.handle.charge(Cost::SocketCall).await;
        self.ready().await;
        let now = self.handle.now();
        let id = self.shared.lock().connect_like(now, to, like.id)?;
        self.opened(id).await
    }

    fn now(&self) -> Time {
        self.handle.now()
    }

    async fn sleep(&self, span: Time) {
        self.handle.sleep(span).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Task {
        self.handle.spawn(task)
    }

    async fn charge(&self, cost: Cost) {
        self.handle.charge(cost).await;
    }
}

/// A listening port of the offload engine.
#[derive(Debug)]
pub struct ToeListener {
    network: ToeNetwork,
    port: u16,
}

impl Listener for ToeListener {
    type Stream = ToeStream;

    async fn accept(&mut self) -> Result<ToeStream, NetError> {
        let network = &self.network;
        let id = poll_fn(|context| {
            let accepted = network
                .shared
                .lock()
                .poll_accept(self.port, context.waker());
            accepted.map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        let stream = network.stream(id);
        network.handle.charge(Cost::SocketCall).await;
        Ok(stream)
    }
}

impl Drop for ToeListener {
    fn drop(&mut self) {
        self.network.shared.lock().unlisten(self.port);
    }
}

/// A connection of the offload engine.
#[derive(Debug)]
pub struct ToeStream {
    shared: Shared,
    handle: Handle,
    id: ConnectionId,
    key: FlowKey,
    closed: bool,
}

impl ToeStream {
    /// The class that a `classify` module of the NIC gave the connection, by its latest
    /// notification; 0 without such a module.
    pub fn class(&self) -> u8 {
        let control = self.shared.lock();
        let connection = control.connections.get(&self.id);
        connection.map_or(0, |connection| connection.socket.class)
    }

    /// Waits until everything that was written is acknowledged.
    async fn drained(&self) -> Result<(), NetError> {
        poll_fn(|context| {
            let mut control = self.shared.lock();
            let Some(connection) = control.connections.get_mut(&self.id) else {
                return Poll::Ready(Err(NetError::Closed));
            };
            let socket = &mut connection.socket;
            if let Some(error) = socket.error {
                return Poll::Ready(Err(error));
            }
            if socket.transmit.free() == socket.transmit.size() {
                return Poll::Ready(Ok(()));
            }
            socket.await_room(context.waker());
            Poll::Pending
        })
        .await
    }

    async fn join(&self, other: &Self) -> Result<(), NetError> {
        self.handle.charge(Cost::SocketCall).await;
        self.drained().await?;
        other.drained().await?;
        let joined = self.shared.lock().splice([self.id, other.id]);
        joined.map_err(|_| NetError::Unsupported)
    }

    /// Copies what fits of `bytes`, and waits if nothing does.
    async fn write_some(&mut self, bytes: &[u8]) -> Result<usize, NetError> {
        poll_fn(|context| {
            let mut control = self.shared.lock();
            let control = &mut *control;
            let Some(connection) = control.connections.get_mut(&self.id) else {
                return Poll::Ready(Err(NetError::Closed));
            };
            let socket = &mut connection.socket;
            if let Some(error) = socket.error {
                return Poll::Ready(Err(error));
            }
            if socket.transmit.is_finished() {
                return Poll::Ready(Err(NetError::Closed));
            }
            let count = socket.transmit.write(&mut control.driver.dma.memory, bytes);
            if count == 0 {
                socket.await_room(context.waker());
                return Poll::Pending;
            }
            control.mark_unsent(self.id);
            Poll::Ready(Ok(count))
        })
        .await
    }
}

impl Stream for ToeStream {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, NetError> {
        self.handle.charge(Cost::SocketCall).await;
        if buffer.is_empty() {
            return Ok(0);
        }
        poll_fn(|context| {
            let mut control = self.shared.lock();
            let control = &mut *control;
            let Some(connection) = control.connections.get_mut(&self.id) else {
                return Poll::Ready(Err(NetError::Closed));
            };
            let socket = &mut connection.socket;
            if let Some(error) = socket.error {
                return Poll::Ready(Err(error));
            }
            let count = socket.receive.read(&control.driver.dma.memory, buffer);
            if count == 0 && !socket.peer_finished {
                socket.await_data(context.waker());
                return Poll::Pending;
            }
            control.mark_unsent(self.id);
            Poll::Ready(Ok(count))
        })
        .await
    }

    async fn write_all(&mut self, bytes: &[u8]) -> Result<(), NetError> {
        self.handle.charge(Cost::SocketCall).await;
        let mut rest = bytes;
        while !rest.is_empty() {
            self.handle.charge(Cost::Doorbell).await;
            let count = self.write_some(rest).await?;
            rest = &rest[count..];
        }
        Ok(())
    }

    async fn shutdown_write(&mut self) -> Result<(), NetError> {
        self.handle.charge(Cost::SocketCall).await;
        let mut control = self.shared.lock();
        let Some(connection) = control.connections.get_mut(&self.id) else {
            return Err(NetError::Closed);
        };
        if let Some(error) = connection.socket.error {
            return Err(error);
        }
        connection.socket.transmit.finish();
        control.mark_unsent(self.id);
        Ok(())
    }

    fn set_pacing_rate(&mut self, bits_per_second: u64) -> Result<(), NetError> {
        self.shared.lock().pace(self.id, bits_per_second)
    }

    async fn splice(mut self, mut other: Self) -> Result<(), Unspliced<Self>> {
        if let Err(reason) = self.join(&other).await {
            let streams = [self, other];
            return Err(Unspliced { reason, streams });
        }
        // The control plane has both now.
        self.closed = true;
        other.closed = true;
        Ok(())
    }

    fn peer_addr(&self) -> SocketAddrV4 {
        ControlPlane::peer_address(&self.key)
    }

    fn local_addr(&self) -> SocketAddrV4 {
        ControlPlane::local_address(&self.key)
    }

    async fn close(mut self) {
        self.handle.charge(Cost::SocketCall).await;
        self.closed = true;
        let now = self.handle.now();
        self.shared.lock().detach(now, self.id, true);
    }
}

impl Drop for ToeStream {
    fn drop(&mut self) {
        if !self.closed {
            let now = self.handle.now();
            self.shared.lock().detach(now, self.id, false);
        }
    }
}
