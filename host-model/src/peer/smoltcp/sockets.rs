//! The application's view of smoltcp's sockets.

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use ::smoltcp::iface::SocketHandle;
use ::smoltcp::socket::tcp::{RecvError, Socket, State};
use ::smoltcp::wire::{IpAddress, IpEndpoint};
use hallux_channel::Time;

use super::stack::Stack;
use crate::application::{Listener, NetError, Network, Stream};
use crate::cpu::Cost;
use crate::executor::{Handle, Task};

/// The network of a smoltcp host.
#[derive(Clone)]
pub struct SmoltcpNetwork {
    stack: Arc<Mutex<Stack>>,
    executor: Handle,
    ip: Ipv4Addr,
}

impl SmoltcpNetwork {
    pub(super) fn new(stack: Arc<Mutex<Stack>>, executor: Handle, ip: Ipv4Addr) -> Self {
        SmoltcpNetwork {
            stack,
            executor,
            ip,
        }
    }

    /// The host's address.
    pub fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    /// The same network, charging another core.
    pub fn on_core(&self, core: usize) -> Self {
        SmoltcpNetwork {
            executor: self.executor.on_core(core),
            ..self.clone()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stack> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream of an established socket.
    fn stream(&self, handle: SocketHandle) -> SmoltcpStream {
        let (peer, local) = {
            let mut stack = self.lock();
            let socket = stack.socket(handle);
            (socket.remote_endpoint(), socket.local_endpoint())
        };
        SmoltcpStream {
            network: self.clone(),
            handle: Some(handle),
            peer: address(peer),
            local: address(local),
        }
    }
}

fn address(endpoint: Option<IpEndpoint>) -> SocketAddrV4 {
    match endpoint {
        Some(IpEndpoint {
            addr: IpAddress::Ipv4(ip),
            port,
        }) => SocketAddrV4::new(ip, port),
        None => SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
    }
}

impl Network for SmoltcpNetwork {
    type Listener = SmoltcpListener;
    type Stream = SmoltcpStream;

    /// smoltcp has no backlog, so there are as many listening sockets.
    async fn listen(&self, port: u16, backlog: usize) -> Result<SmoltcpListener, NetError> {
        self.executor.charge(Cost::SocketCall).await;
        let mut stack = self.lock();
        stack.reserve(port)?;
        let waiting: Result<Vec<_>, _> = (0..backlog.max(1)).map(|_| stack.listen(port)).collect();
        Ok(SmoltcpListener {
            network: self.clone(),
            port,
            waiting: waiting?,
        })
    }

    async fn connect(&self, to: SocketAddrV4) -> Result<SmoltcpStream, NetError> {
        self.executor.charge(Cost::SocketCall).await;
        let started = self.now();
        let handle = self.lock().connect(to)?;
        // From here on a drop of this future aborts the attempt.
        let stream = self.stream(handle);
        let state = poll_fn(|context| {
            let mut stack = self.lock();
            let socket = stack.socket(handle);
            match socket.state() {
                State::SynSent | State::SynReceived => wait(socket, context),
                state => Poll::Ready(state),
            }
        })
        .await;
        if state != State::Closed {
            return Ok(stream);
        }
        let waited = self.now().since(started);
        Err(if waited >= self.lock().timeout() {
            NetError::TimedOut
        } else {
            NetError::ConnectionRefused
        })
    }

    fn now(&self) -> Time {
        self.executor.now()
    }

    async fn sleep(&self, span: Time) {
        self.executor.sleep(span).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Task {
        self.executor.spawn(task)
    }

    async fn charge(&self, cost: Cost) {
        self.executor.charge(cost).await;
    }
}

/// Waits for any change of the socket.
fn wait<T>(socket: &mut Socket<'_>, context: &mut Context<'_>) -> Poll<T> {
    socket.register_recv_waker(context.waker());
    socket.register_send_waker(context.waker());
    Poll::Pending
}

/// Listening sockets of one port.
pub struct SmoltcpListener {
    network: SmoltcpNetwork,
    port: u16,
    waiting: Vec<SocketHandle>,
}

impl SmoltcpListener {
    /// Takes an established connection and puts a fresh socket in its place.
    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<Result<SocketHandle, NetError>> {
        let mut stack = self.network.lock();
        for slot in &mut self.waiting {
            let socket = stack.socket(*slot);
            match socket.state() {
                State::Listen | State::SynReceived => {}
                // Reset before anyone took it.
                State::Closed => {
                    let fresh = stack.listen(self.port)?;
                    stack.orphan(std::mem::replace(slot, fresh));
                }
                _ => {
                    let fresh = stack.listen(self.port)?;
                    return Poll::Ready(Ok(std::mem::replace(slot, fresh)));
                }
            }
        }
        for &handle in &self.waiting {
            let _: Poll<()> = wait(stack.socket(handle), context);
        }
        Poll::Pending
    }
}

impl Listener for SmoltcpListener {
    type Stream = SmoltcpStream;

    async fn accept(&mut self) -> Result<SmoltcpStream, NetError> {
        let handle = poll_fn(|context| self.poll_accept(context)).await?;
        let stream = self.network.stream(handle);
        self.network.charge(Cost::SocketCall).await;
        Ok(stream)
    }
}

impl Drop for SmoltcpListener {
    fn drop(&mut self) {
        let mut stack = self.network.lock();
        stack.release(self.port);
        for &handle in &self.waiting {
            stack.socket(handle).abort();
            stack.orphan(handle);
        }
    }
}

/// A connection on smoltcp.
pub struct SmoltcpStream {
    network: SmoltcpNetwork,
    /// `None` once closed.
    handle: Option<SocketHandle>,
    peer: SocketAddrV4,
    local: SocketAddrV4,
}

impl SmoltcpStream {
    fn poll_read(
        &self,
        buffer: &mut [u8],
        context: &mut Context<'_>,
    ) -> Poll<Result<usize, NetError>> {
        let Some(handle) = self.handle else {
            return Poll::Ready(Err(NetError::Closed));
        };
        let mut stack = self.network.lock();
        let socket = stack.socket(handle);
        let result = match socket.recv_slice(buffer) {
            Ok(0) if !buffer.is_empty() => return wait(socket, context),
            Ok(count) => Ok(count),
            Err(RecvError::Finished) => Ok(0),
            Err(RecvError::InvalidState) => Err(NetError::Reset),
        };
        // The window has grown; the peer may have to be told.
        stack.touch();
        Poll::Ready(result)
    }

    fn poll_write(&self, bytes: &[u8], context: &mut Context<'_>) -> Poll<Result<usize, NetError>> {
        let Some(handle) = self.handle else {
            return Poll::Ready(Err(NetError::Closed));
        };
        let mut stack = self.network.lock();
        let socket = stack.socket(handle);
        match socket.send_slice(bytes) {
            Ok(0) => wait(socket, context),
            Ok(count) => {
                stack.touch();
                Poll::Ready(Ok(count))
            }
            Err(_) => Poll::Ready(Err(match socket.state() {
                State::Closed => NetError::Reset,
                _ => NetError::Closed,
            })),
        }
    }
}

impl Stream for SmoltcpStream {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, NetError> {
        let count = poll_fn(|context| self.poll_read(buffer, context)).await?;
        self.network.charge(Cost::SocketCall).await;
        Ok(count)
    }

    async fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), NetError> {
        while !bytes.is_empty() {
            self.network.charge(Cost::SocketCall).await;
            let count = poll_fn(|context| self.poll_write(bytes, context)).await?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    async fn shutdown_write(&mut self) -> Result<(), NetError> {
        self.network.charge(Cost::SocketCall).await;
        let handle = self.handle.ok_or(NetError::Closed)?;
        let mut stack = self.network.lock();
        let socket = stack.socket(handle);
        if socket.state() == State::Closed {
            return Err(NetError::Reset);
        }
        socket.close();
        stack.touch();
        Ok(())
    }

    fn peer_addr(&self) -> SocketAddrV4 {
        self.peer
    }

    fn local_addr(&self) -> SocketAddrV4 {
        self.local
    }

    async fn close(mut self) {
        self.network.charge(Cost::SocketCall).await;
        if let Some(handle) = self.handle.take() {
            let mut stack = self.network.lock();
            stack.socket(handle).close();
            stack.orphan(handle);
        }
    }
}

impl Drop for SmoltcpStream {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            let mut stack = self.network.lock();
            stack.socket(handle).abort();
            stack.orphan(handle);
        }
    }
}
