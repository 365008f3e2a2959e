//! The client.

use std::collections::VecDeque;
use std::net::SocketAddrV4;

use hallux_channel::Time;
use sha2::{Digest, Sha256};

use super::request::{MAX_HEAD, Response, head_length};
use super::target::encode_path;
use crate::application::{NetError, Network, Stream};
use crate::apps::connect_patiently;
use crate::apps::files::{ManifestEntry, Sha256Digest};
use crate::apps::report::{Exchange, Report, Spans};
use crate::cpu::Cost;

/// What to fetch.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The server.
    pub server: SocketAddrV4,
    /// Parallel connections.
    pub connections: usize,
    /// The files.
    pub files: Vec<ManifestEntry>,
}

/// What the client got.
#[derive(Clone, Debug, Default)]
pub struct ClientReport {
    /// Files whose size and digest are right.
    pub files_verified: u64,
    /// Bytes of those files.
    pub bytes_verified: u64,
    /// Bytes of files that arrived with another digest, or not at all.
    pub bytes_mismatched: u64,
    /// One sentence for each file that is not right.
    pub failures: Vec<String>,
    /// From the first byte of a request to the last of its response.
    pub latency: Spans,
    /// Each of them, in the order in which they ended.
    pub exchanges: Vec<Exchange>,
    /// When the first request was sent.
    pub started: Option<Time>,
    /// When the last response was complete.
    pub finished: Option<Time>,
}

/// Why a file was not fetched.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{0}")]
    Network(#[from] NetError),
    #[error("the connection ended inside the response")]
    Truncated,
    #[error("the response is malformed")]
    Malformed,
    #[error("status {0}")]
    Status(u16),
    #[error("{got} bytes instead of {expected}")]
    Size { got: u64, expected: u64 },
    #[error("the SHA-256 digest differs")]
    Digest,
}

/// Bytes taken from a connection at once.
const READ_BYTES: usize = 16_384;
/// Times a file is tried when its connection breaks.
const ATTEMPTS: u32 = 3;

/// Fetches every file once over parallel connections, which are kept alive,
/// and verifies size and digest. Returns when all is done.
pub async fn fetch_all<N: Network>(network: N, config: ClientConfig, report: Report<ClientReport>) {
    let queue = Report::<VecDeque<ManifestEntry>>::new();
    queue.with(|queue| queue.extend(config.files.iter().cloned()));
    let workers: Vec<_> = (0..config.connections.max(1))
        .map(|_| {
            let worker = Worker {
                network: network.clone(),
                server: config.server,
                queue: queue.clone(),
                report: report.clone(),
            };
            network.spawn(worker.run())
        })
        .collect();
    for worker in workers {
        worker.await;
    }
}

/// Fetches files over one connection at a time.
struct Worker<N: Network> {
    network: N,
    server: SocketAddrV4,
    queue: Report<VecDeque<ManifestEntry>>,
    report: Report<ClientReport>,
}

impl<N: Network> Worker<N> {
    async fn run(self) {
        let mut connection = None;
        while let Some(file) = self.queue.with(VecDeque::pop_front) {
            let mut result = Err(FetchError::Truncated);
            for _ in 0..ATTEMPTS {
                result = self.fetch(&mut connection, &file).await;
                match result {
                    Err(FetchError::Network(_) | FetchError::Truncated) => connection = None,
                    _ => break,
                }
            }
            let now = self.network.now();
            self.report.with(|report| match result {
                Ok(exchange) => {
                    report.files_verified += 1;
                    report.bytes_verified += file.size;
                    report.latency.record(Time::from_ps(exchange.latency()));
                    report.exchanges.push(exchange);
                    report.finished = Some(now);
                }
                Err(error) => {
                    report.bytes_mismatched += file.size;
                    report.failures.push(format!("{}: {error}", file.path));
                }
            });
        }
        if let Some(Connection { stream, .. }) = connection {
            stream.close().await;
        }
    }

    /// Fetches one file; returns when that was, and where on the connection.
    async fn fetch(
        &self,
        connection: &mut Option<Connection<N::Stream>>,
        file: &ManifestEntry,
    ) -> Result<Exchange, FetchError> {
        if connection.is_none() {
            let stream = connect_patiently(&self.network, self.server).await?;
            *connection = Some(Connection {
                stream,
                received: Vec::new(),
                sent: 0,
                taken: 0,
            });
        }
        let Some(open) = connection else {
            return Err(FetchError::Truncated);
        };
        let started = self.network.now();
        self.report
            .with(|report| report.started.get_or_insert(started).to_owned());
        self.network.charge(Cost::Request).await;
        let (before, taken) = (open.sent, open.taken - open.received.len() as u64);
        let (response, size, digest) = open.get(&self.request(&file.path)).await?;
        let exchange = Exchange {
            client: open.stream.local_addr(),
            server: open.stream.peer_addr(),
            before,
            asked: open.sent,
            answered: open.taken - open.received.len() as u64,
            answer: open.taken - open.received.len() as u64 - taken,
            started: started.ps(),
            finished: 0,
        };
        if !response.keep_alive {
            *connection = None;
        }
        if response.status != 200 {
            return Err(FetchError::Status(response.status));
        }
        if size != file.size {
            return Err(FetchError::Size {
                got: size,
                expected: file.size,
            });
        }
        if digest != file.sha256 {
            return Err(FetchError::Digest);
        }
        Ok(Exchange {
            finished: self.network.now().ps(),
            ..exchange
        })
    }

    fn request(&self, path: &str) -> String {
        format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: hallux\r\n\r\n",
            encode_path(path),
            self.server,
        )
    }
}

/// An open connection.
struct Connection<S> {
    stream: S,
    /// Bytes of the next response.
    received: Vec<u8>,
    /// Bytes sent so far.
    sent: u64,
    /// Bytes taken from the connection so far.
    taken: u64,
}

impl<S: Stream> Connection<S> {
    /// Sends a request; returns the response's head, and length and digest of
    /// its body.
    async fn get(&mut self, request: &str) -> Result<(Response, u64, Sha256Digest), FetchError> {
        self.stream.write_all(request.as_bytes()).await?;
        self.sent += request.len() as u64;
        let mut buffer = vec![0; READ_BYTES];
        let head = loop {
            match head_length(&self.received) {
                Ok(Some(length)) => break self.received.drain(..length).collect::<Vec<_>>(),
                Ok(None) if self.received.len() < MAX_HEAD => {}
                _ => return Err(FetchError::Malformed),
            }
            let count = self.stream.read(&mut buffer).await?;
            self.taken += count as u64;
            if count == 0 {
                return Err(FetchError::Truncated);
            }
            self.received.extend_from_slice(&buffer[..count]);
        };
        let response = Response::parse(&head).ok_or(FetchError::Malformed)?;
        let mut digest = Sha256::new();
        let mut missing = response.content_length;
        let mut chunk = std::mem::take(&mut self.received);
        loop {
            let here =
                usize::try_from(missing).map_or(chunk.len(), |missing| missing.min(chunk.len()));
            digest.update(&chunk[..here]);
            missing -= here as u64;
            if missing == 0 {
                self.received = chunk.split_off(here);
                return Ok((
                    response.clone(),
                    response.content_length,
                    digest.finalize().into(),
                ));
            }
            let count = self.stream.read(&mut buffer).await?;
            self.taken += count as u64;
            if count == 0 {
                return Err(FetchError::Truncated);
            }
            chunk.clear();
            chunk.extend_from_slice(&buffer[..count]);
        }
    }
}
