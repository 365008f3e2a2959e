//! What an application sees of the network, whichever stack carries it.
//!
//! Applications are `async` functions over [`Network`]. The sockets of the
//! offload engine and the independent smoltcp peer both implement it, so the
//! same server runs at either end, and either end can be offloaded.
//!
//! Everything happens in simulated time on the deterministic executor of
//! [`crate::executor`]: to block is to await. Implementations write the
//! methods as plain `async fn`.

use std::future::Future;
use std::net::SocketAddrV4;

use hallux_channel::Time;

use crate::cpu::Cost;
use crate::executor::Task;

/// A host's network, as an application uses it. A clone is another handle to
/// the same host.
pub trait Network: Clone + Send + Sync + 'static {
    /// What accepts connections.
    type Listener: Listener<Stream = Self::Stream>;
    /// A connection.
    type Stream: Stream;

    /// Listens on `port`, with room for `backlog` connections that wait to be
    /// accepted.
    ///
    /// # Errors
    ///
    /// [`NetError::AddressInUse`] if another listener has the port,
    /// [`NetError::OutOfResources`] if the host has no socket left.
    fn listen(
        &self,
        port: u16,
        backlog: usize,
    ) -> impl Future<Output = Result<Self::Listener, NetError>> + Send;

    /// Opens a connection and waits until it is established.
    ///
    /// # Errors
    ///
    /// [`NetError::ConnectionRefused`] if the peer answered with a reset,
    /// [`NetError::TimedOut`] if it did not answer,
    /// [`NetError::OutOfResources`] if there is no free local port or socket.
    fn connect(
        &self,
        to: SocketAddrV4,
    ) -> impl Future<Output = Result<Self::Stream, NetError>> + Send;

    /// The same, offering to the other end what was agreed on with that of `like`, where the stack can:
    /// so that the two can be joined ([`Stream::splice`]).
    ///
    /// # Errors
    ///
    /// As of [`Self::connect`].
    fn connect_like(
        &self,
        to: SocketAddrV4,
        like: &Self::Stream,
    ) -> impl Future<Output = Result<Self::Stream, NetError>> + Send {
        let _ = like;
        self.connect(to)
    }

    /// Simulated time.
    fn now(&self) -> Time;

    /// Waits for a span of simulated time.
    fn sleep(&self, span: Time) -> impl Future<Output = ()> + Send;

    /// Runs `task` beside the caller. The returned [`Task`] can be awaited;
    /// dropping it detaches the task.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Task;

    /// Spends processor time on the caller's core.
    fn charge(&self, cost: Cost) -> impl Future<Output = ()> + Send;
}

/// Accepts connections on one port. Dropping it stops listening.
pub trait Listener: Send + 'static {
    /// What is accepted.
    type Stream: Stream;

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// [`NetError::OutOfResources`] if the host cannot hold the connection;
    /// the listener goes on.
    fn accept(&mut self) -> impl Future<Output = Result<Self::Stream, NetError>> + Send;
}

/// A connection: a reliable stream of bytes in both directions. Dropping it
/// without [`Stream::close`] aborts it.
pub trait Stream: Send + Sync + 'static {
    /// Waits for data and puts as much as there is and fits into `buffer`.
    /// Returns the count of bytes; 0 means that the peer has sent all it had
    /// (or that `buffer` is empty).
    ///
    /// # Errors
    ///
    /// [`NetError::Reset`] or [`NetError::TimedOut`] if the connection broke.
    fn read(&mut self, buffer: &mut [u8]) -> impl Future<Output = Result<usize, NetError>> + Send;

    /// Hands all of `bytes` to the stack, waiting for space where needed. The
    /// peer need not have received them yet.
    ///
    /// # Errors
    ///
    /// [`NetError::Reset`], [`NetError::TimedOut`], or [`NetError::Closed`]
    /// after [`Stream::shutdown_write`].
    fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = Result<(), NetError>> + Send;

    /// Tells the peer that nothing more follows, behind what was written.
    ///
    /// # Errors
    ///
    /// [`NetError::Reset`] or [`NetError::TimedOut`] if the connection broke.
    fn shutdown_write(&mut self) -> impl Future<Output = Result<(), NetError>> + Send;

    /// Limits what the connection sends from now on to `bits_per_second` of payload; 0 lifts the
    /// limit.
    ///
    /// # Errors
    ///
    /// [`NetError::Unsupported`] if the stack keeps no rates, [`NetError::Closed`] if the
    /// connection is no longer open.
    fn set_pacing_rate(&mut self, bits_per_second: u64) -> Result<(), NetError> {
        let _ = bits_per_second;
        Err(NetError::Unsupported)
    }

    /// Joins this connection to another of the same host: from then on their ends talk to each
    /// other, and the host sees no payload. What was received and not read is sent on; waits
    /// until what was written is acknowledged.
    ///
    /// # Errors
    ///
    /// [`NetError::Unsupported`] if the stack or its NIC cannot, or the two do not fit together;
    /// [`NetError::Reset`] or [`NetError::TimedOut`] if one of them broke. Both are given back.
    fn splice(self, other: Self) -> impl Future<Output = Result<(), Unspliced<Self>>> + Send
    where
        Self: Sized,
    {
        std::future::ready(Err(Unspliced {
            reason: NetError::Unsupported,
            streams: [self, other],
        }))
    }

    /// Address of the other end.
    fn peer_addr(&self) -> SocketAddrV4;

    /// Address of this end.
    fn local_addr(&self) -> SocketAddrV4;

    /// Closes in order: what was written is still delivered. Does not wait
    /// for that.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Two connections that could not be joined.
#[derive(Debug)]
pub struct Unspliced<S> {
    /// Why.
    pub reason: NetError,
    /// They.
    pub streams: [S; 2],
}

/// Why a network operation failed; the kinds follow [`std::io::ErrorKind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// The peer answered the connection request with a reset.
    #[error("connection refused")]
    ConnectionRefused,
    /// The connection was reset.
    #[error("connection reset")]
    Reset,
    /// The peer did not answer.
    #[error("connection timed out")]
    TimedOut,
    /// The NIC could not read what was to be sent from the host's memory.
    #[error("the NIC got no answer from the host's memory")]
    MemoryUnanswered,
    /// Another listener has the port.
    #[error("address already in use")]
    AddressInUse,
    /// No route or no answer to ARP.
    #[error("host unreachable")]
    HostUnreachable,
    /// This end has already been closed for what was asked.
    #[error("connection is closed at this end")]
    Closed,
    /// No free socket, port, buffer or connection state.
    #[error("out of sockets, ports or connection state")]
    OutOfResources,
    /// An argument that no network could serve, such as port 0.
    #[error("invalid argument")]
    InvalidInput,
    /// The stack or its NIC lacks what was asked for.
    #[error("not supported by this stack or its NIC")]
    Unsupported,
}
