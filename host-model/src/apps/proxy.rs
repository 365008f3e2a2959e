//! A proxy: each connection that it accepts becomes one to its backend.
//!
//! ```text
//!   client ──── accepted ──► proxy ──── opened ───► backend
//!      └───────────── spliced: through the NIC ────────┘
//! ```
//!
//! With a NIC that splices, the host is out of the way once both connections are open;
//! otherwise it copies.

use std::future::{Future, poll_fn};
use std::net::SocketAddrV4;
use std::pin::pin;
use std::task::Poll;

use crate::application::{Listener, NetError, Network, Stream, Unspliced};
use crate::apps::patiently;
use crate::apps::report::Report;

/// What the proxy does.
#[derive(Clone, Copy, Debug)]
pub struct ProxyConfig {
    /// Port on which it listens.
    pub port: u16,
    /// Connections that may wait to be accepted.
    pub backlog: usize,
    /// Where each connection goes.
    pub backend: SocketAddrV4,
    /// Leave the connections to the NIC; otherwise the host copies.
    pub splice: bool,
}

/// What the proxy saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyReport {
    /// Connections accepted.
    pub connections: u64,
    /// Of those, left to the NIC.
    pub spliced: u64,
    /// Bytes copied by the host.
    pub bytes_copied: u64,
    /// Connections that broke.
    pub broken: u64,
    /// Why the proxy does not work, if it does not.
    pub failure: Option<NetError>,
}

/// Accepts and forwards as long as the simulation runs.
pub async fn serve<N: Network>(network: N, config: ProxyConfig, report: Report<ProxyReport>) {
    let mut listener = match network.listen(config.port, config.backlog).await {
        Ok(listener) => listener,
        Err(error) => {
            report.with(|report| report.failure = Some(error));
            return;
        }
    };
    loop {
        match listener.accept().await {
            Ok(stream) => {
                report.with(|report| report.connections += 1);
                let (report, own) = (report.clone(), network.clone());
                drop(network.spawn(async move {
                    if forward(&own, stream, &config, &report).await.is_err() {
                        report.with(|report| report.broken += 1);
                    }
                }));
            }
            Err(_) => report.with(|report| report.broken += 1),
        }
    }
}

/// One connection: both of them, to the end.
async fn forward<N: Network>(
    network: &N,
    client: N::Stream,
    config: &ProxyConfig,
    report: &Report<ProxyReport>,
) -> Result<(), NetError> {
    let connect = || network.connect_like(config.backend, &client);
    let server = patiently(network, connect).await?;
    if !config.splice {
        return copy(client, server, report).await;
    }
    match client.splice(server).await {
        Ok(()) => {
            report.with(|report| report.spliced += 1);
            Ok(())
        }
        Err(Unspliced { reason, .. }) => {
            if reason == NetError::Unsupported {
                report.with(|report| report.failure = Some(reason));
            }
            Err(reason)
        }
    }
}

/// Copies in both directions until both have ended. Whoever does not take what is written to
/// it holds up the other direction too.
async fn copy<S: Stream>(
    mut client: S,
    mut server: S,
    report: &Report<ProxyReport>,
) -> Result<(), NetError> {
    let (mut from_client, mut from_server) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    let mut open = [true; 2];
    while open != [false; 2] {
        let (side, count) = {
            let mut one = pin!(client.read(&mut from_client));
            let mut other = pin!(server.read(&mut from_server));
            poll_fn(|context| {
                if open[0]
                    && let Poll::Ready(count) = one.as_mut().poll(context)
                {
                    return Poll::Ready((0, count));
                }
                if open[1]
                    && let Poll::Ready(count) = other.as_mut().poll(context)
                {
                    return Poll::Ready((1, count));
                }
                Poll::Pending
            })
            .await
        };
        let count = count?;
        let (bytes, to) = match side {
            0 => (&from_client[..count], &mut server),
            _ => (&from_server[..count], &mut client),
        };
        if count == 0 {
            open[side] = false;
            to.shutdown_write().await?;
        } else {
            to.write_all(bytes).await?;
            report.with(|report| report.bytes_copied += count as u64);
        }
    }
    client.close().await;
    server.close().await;
    Ok(())
}
