//! Applications, written once for every stack over
//! [`Network`](crate::application::Network).

pub mod files;
pub mod http;
pub mod proxy;
pub mod report;
pub mod rpc;

use std::future::Future;
use std::net::SocketAddrV4;

use hallux_channel::Time;

use crate::application::{NetError, Network};

/// Attempts of [`connect_patiently`].
const CONNECT_ATTEMPTS: u32 = 8;
/// Pause before the second attempt; it doubles with each further one.
const CONNECT_PAUSE: Time = Time::from_us(20);

/// Connects, and tries again for a while when the server refuses: it may not
/// listen yet, or its backlog may be full.
async fn connect_patiently<N: Network>(
    network: &N,
    to: SocketAddrV4,
) -> Result<N::Stream, NetError> {
    patiently(network, || network.connect(to)).await
}

/// What `connect` connects, after as many attempts.
async fn patiently<N, F>(network: &N, connect: impl Fn() -> F) -> Result<N::Stream, NetError>
where
    N: Network,
    F: Future<Output = Result<N::Stream, NetError>>,
{
    let mut pause = CONNECT_PAUSE;
    for _ in 1..CONNECT_ATTEMPTS {
        match connect().await {
            Err(NetError::ConnectionRefused) => {
                network.sleep(pause).await;
                pause = pause * 2;
            }
            result => return result,
        }
    }
    connect().await
}
