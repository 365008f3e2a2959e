//! Applications, written once for every stack over
//! [`Network`](crate::application::Network).

pub mod files;
pub mod http;
pub mod proxy;
pub mod report;
pub mod rpc;

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
    let mut pause = CONNECT_PAUSE;
    for _ in 1..CONNECT_ATTEMPTS {
        match network.connect(to).await {
            Err(NetError::ConnectionRefused) => {
                network.sleep(pause).await;
                pause = pause * 2;
            }
            result => return result,
        }
    }
    network.connect(to).await
}
