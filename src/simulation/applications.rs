//! The applications of a scenario, on whatever host they run.

use super::hosts::{BACKEND_IP, SERVER_IP};
use super::work::Work;
use crate::scenario::{App, Proxy, Scenario};
use hallux_channel::{Seed, Time};
use hallux_host::application::Network;
use hallux_host::apps::files::FileTree;
use hallux_host::apps::report::Report;
use hallux_host::apps::{http, proxy, rpc};
use std::net::SocketAddrV4;
use std::sync::Arc;

/// A way to ask why the server application does not serve.
pub(super) type ServerFailure = Box<dyn Fn() -> Option<String> + Send>;

/// The client application of a host.
#[derive(Clone)]
pub(super) enum Client {
    Http(Report<http::ClientReport>),
    Rpc(Report<rpc::ClientReport>),
}

impl Client {
    pub(super) fn work(&self) -> Work {
        match self {
            Client::Http(report) => {
                let report = report.get();
                Work {
                    verified: report.bytes_verified,
                    mismatched: report.bytes_mismatched,
                    requests: report.files_verified,
                    failures: report.failures,
                    latency: report.latency,
                    exchanges: report.exchanges,
                    started: report.started.map(Time::ps),
                    finished: report.finished.map(Time::ps),
                }
            }
            Client::Rpc(report) => {
                let report = report.get();
                Work {
                    verified: report.bytes_verified,
                    mismatched: report.bytes_mismatched,
                    requests: report.completed,
                    failures: report.failures,
                    latency: report.latency,
                    exchanges: report.exchanges,
                    started: report.started.map(Time::ps),
                    finished: report.finished.map(Time::ps),
                }
            }
        }
    }

    pub(super) fn verified_bytes(&self) -> u64 {
        match self {
            Client::Http(report) => report.with(|report| report.bytes_verified),
            Client::Rpc(report) => report.with(|report| report.bytes_verified),
        }
    }
}

pub(super) fn spawn_client<N: Network>(
    scenario: &Scenario,
    files: Option<&Arc<FileTree>>,
    seed: Seed,
    network: N,
    spawn: impl FnOnce(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>),
) -> (Client, u64) {
    let start = Time::from_ps(scenario.settings.start.0);
    match &scenario.settings.app {
        App::Http {
            connections,
            port,
            rounds,
            ..
        } => {
            let report = Report::new();
            let once = files.map(|files| files.manifest()).unwrap_or_default();
            let files: Vec<_> = (0..*rounds).flat_map(|_| once.iter().cloned()).collect();
            let expected = files.iter().map(|file| file.size).sum();
            let config = http::ClientConfig {
                server: SocketAddrV4::new(SERVER_IP, *port),
                connections: *connections as usize,
                files,
            };
            let work = http::fetch_all(network.clone(), config, report.clone());
            spawn(Box::pin(after(network, start, work)));
            (Client::Http(report), expected)
        }
        App::Rpc {
            connections,
            requests,
            size,
            port,
            think_time,
            resets,
        } => {
            let report = Report::new();
            let sizes: Vec<usize> = size.as_slice().iter().map(|size| size.0 as usize).collect();
            let expected = (0..*requests as usize)
                .map(|i| sizes[i % sizes.len()] as u64)
                .sum::<u64>()
                * u64::from(*connections);
            let config = rpc::ClientConfig {
                server: SocketAddrV4::new(SERVER_IP, *port),
                connections: *connections as usize,
                sizes: rpc::Sizes::Cycle(sizes),
                requests: Some((*requests).into()),
                until: None,
                warm_up: Time::ZERO,
                think_time: Time::from_ps(think_time.0),
                resets: *resets as usize,
                seed,
            };
            let work = rpc::call_all(network.clone(), config, report.clone());
            spawn(Box::pin(after(network, start, work)));
            (Client::Rpc(report), expected)
        }
    }
}

/// Does `work` from `start` on.
async fn after<N: Network>(network: N, start: Time, work: impl Future<Output = ()>) {
    network.sleep(start).await;
    work.await;
}

/// Room for all connections of all clients at once.
fn backlog(scenario: &Scenario, connections: u32) -> usize {
    (connections as usize * scenario.settings.peer.count as usize).max(16)
}

pub(super) fn spawn_server<N: Network>(
    scenario: &Scenario,
    files: Option<&Arc<FileTree>>,
    network: N,
    spawn: impl FnOnce(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>),
) -> ServerFailure {
    match &scenario.settings.app {
        App::Http {
            connections, port, ..
        } => {
            let report = Report::<http::ServerReport>::new();
            let config = http::ServerConfig {
                port: *port,
                backlog: backlog(scenario, *connections),
            };
            let files = files.map(Arc::clone).unwrap_or_default();
            spawn(Box::pin(http::serve(
                network,
                files,
                config,
                report.clone(),
            )));
            Box::new(move || report.get().failure.map(|failure| failure.to_string()))
        }
        App::Rpc {
            connections, port, ..
        } => {
            let report = Report::<rpc::ServerReport>::new();
            let backlog = backlog(scenario, *connections);
            spawn(Box::pin(rpc::serve(
                network,
                *port,
                backlog,
                report.clone(),
            )));
            Box::new(move || report.get().failure.map(|failure| failure.to_string()))
        }
    }
}

/// Forwards every connection to the backend.
pub(super) fn spawn_proxy<N: Network>(
    scenario: &Scenario,
    settings: &Proxy,
    network: N,
    spawn: impl FnOnce(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>),
) -> ServerFailure {
    let (App::Http {
        connections, port, ..
    }
    | App::Rpc {
        connections, port, ..
    }) = &scenario.settings.app;
    let report = Report::<proxy::ProxyReport>::new();
    let config = proxy::ProxyConfig {
        port: *port,
        backlog: backlog(scenario, *connections),
        backend: SocketAddrV4::new(BACKEND_IP, *port),
        splice: settings.splice,
    };
    spawn(Box::pin(proxy::serve(network, config, report.clone())));
    Box::new(move || report.get().failure.map(|failure| failure.to_string()))
}
