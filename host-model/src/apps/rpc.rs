//! Echo RPC in a closed loop: each connection has one request on its way,
//! verifies the answer byte for byte, and sends the next.
//!
//! ```text
//!   0        4                          size
//!   ┌────────┬──────────────────────────┐
//!   │ size   │ random bytes             │   request and answer alike
//!   └────────┴──────────────────────────┘
//! ```
//!
//! The size, little-endian, counts itself: a 64-byte RPC is 64 bytes of TCP
//! payload in each direction.

use std::net::SocketAddrV4;

use hallux_channel::{Random, Seed, Time};

use crate::application::{Listener, NetError, Network, Stream};
use crate::apps::connect_patiently;
use crate::apps::report::{Exchange, Report, Spans};
use crate::cpu::Cost;

/// Bytes of the size field, and the smallest message.
pub const MIN_MESSAGE: usize = 4;
/// The largest message that a server takes.
pub const MAX_MESSAGE: usize = 16 << 20;

/// Sizes of requests, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// Always the same.
    Fixed(usize),
    /// One after another, again and again.
    Cycle(Vec<usize>),
    /// At random: sizes with their integer weights.
    Weighted(Vec<(usize, u64)>),
}

impl Sizes {
    /// The size of request `number` of a connection.
    fn pick(&self, number: u64, random: &mut Random) -> usize {
        let size = match self {
            Sizes::Fixed(size) => Some(*size),
            Sizes::Cycle(sizes) => sizes
                .get((number % sizes.len().max(1) as u64) as usize)
                .copied(),
            Sizes::Weighted(sizes) => {
                let total = sizes.iter().map(|(_, weight)| weight).sum();
                let mut left = random.below(total);
                let mut chosen = sizes.iter().skip_while(|(_, weight)| {
                    let skip = left >= *weight;
                    left = left.saturating_sub(*weight);
                    skip
                });
                chosen.next().map(|(size, _)| *size)
            }
        };
        size.unwrap_or(MIN_MESSAGE).clamp(MIN_MESSAGE, MAX_MESSAGE)
    }
}

/// What the client does.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The server.
    pub server: SocketAddrV4,
    /// Parallel connections, each with one request on its way.
    pub connections: usize,
    /// Sizes of the requests; below 4 bytes they are raised to it.
    pub sizes: Sizes,
    /// Requests of each connection; no limit if `None`.
    pub requests: Option<u64>,
    /// No request is sent later than this; no limit if `None`.
    pub until: Option<Time>,
    /// Requests before this time are not measured.
    pub warm_up: Time,
    /// Pause between an answer and the next request of a connection.
    pub think_time: Time,
    /// Connections that end with a reset behind their last answer, not in order.
    pub resets: usize,
    /// The scenario's seed.
    pub seed: Seed,
}

/// What the client saw.
#[derive(Clone, Debug, Default)]
pub struct ClientReport {
    /// Answers that were right, the warm-up's included.
    pub completed: u64,
    /// Bytes of those answers.
    pub bytes_verified: u64,
    /// Bytes of answers that differed from the request.
    pub bytes_mismatched: u64,
    /// From the request to the end of the answer, after the warm-up.
    pub latency: Spans,
    /// Each of them, in the order in which they ended.
    pub exchanges: Vec<Exchange>,
    /// One sentence for each connection that broke.
    pub failures: Vec<String>,
    /// When the first measured request was sent.
    pub started: Option<Time>,
    /// When the last answer was complete.
    pub finished: Option<Time>,
}

/// What the server saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerReport {
    /// Connections accepted.
    pub connections: u64,
    /// Requests answered.
    pub answered: u64,
    /// Connections that broke or sent an impossible size.
    pub broken: u64,
    /// Why the server does not listen, if it does not.
    pub failure: Option<NetError>,
}

/// Runs the closed loop until each connection has done its share.
pub async fn call_all<N: Network>(network: N, config: ClientConfig, report: Report<ClientReport>) {
    let callers: Vec<_> = (0..config.connections.max(1))
        .map(|number| {
            let random = config.seed.stream(&format!("rpc/connection-{number}"));
            let (network, config, report) = (network.clone(), config.clone(), report.clone());
            network.clone().spawn(async move {
                let resets = number < config.resets;
                if let Err(error) = call(&network, &config, resets, random, &report).await {
                    let failure = format!("connection {number}: {error}");
                    report.with(|report| report.failures.push(failure));
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await;
    }
}

/// One connection of the client.
async fn call<N: Network>(
    network: &N,
    config: &ClientConfig,
    resets: bool,
    mut random: Random,
    report: &Report<ClientReport>,
) -> Result<(), NetError> {
    let mut stream = connect_patiently(network, config.server).await?;
    let (mut request, mut answer) = (Vec::new(), Vec::new());
    let wanted = config.requests.unwrap_or(u64::MAX);
    let until = config.until.unwrap_or(Time::NEVER);
    let mut before = 0;
    for number in 0..wanted {
        if network.now() >= until {
            break;
        }
        let size = config.sizes.pick(number, &mut random);
        fill(&mut request, size, &mut random);
        answer.resize(size, 0);
        let started = network.now();
        network.charge(Cost::Request).await;
        stream.write_all(&request).await?;
        read_exact(&mut stream, &mut answer).await?;
        let now = network.now();
        let right = answer == request;
        let asked = before + size as u64;
        let exchange = Exchange {
            client: stream.local_addr(),
            server: stream.peer_addr(),
            before,
            asked,
            answered: asked,
            answer: size as u64,
            started: started.ps(),
            finished: now.ps(),
        };
        before = asked;
        report.with(|report| {
            if right {
                report.completed += 1;
                report.bytes_verified += size as u64;
            } else {
                report.bytes_mismatched += size as u64;
            }
            if started >= config.warm_up {
                report.started.get_or_insert(started);
                report.latency.record(now.since(started));
                report.exchanges.push(exchange);
            }
            report.finished = Some(now);
        });
        if config.think_time > Time::ZERO {
            network.sleep(config.think_time).await;
        }
    }
    if !resets {
        stream.close().await;
    }
    Ok(())
}

/// Makes `message` a random one of `size` bytes.
fn fill(message: &mut Vec<u8>, size: usize, random: &mut Random) {
    message.clear();
    message.extend_from_slice(&(size as u32).to_le_bytes());
    while message.len() < size {
        let bytes = random.bits().to_le_bytes();
        message.extend_from_slice(&bytes[..bytes.len().min(size - message.len())]);
    }
}

/// Fills `buffer`, or fails: an end in the middle counts as a reset.
async fn read_exact<S: Stream>(stream: &mut S, buffer: &mut [u8]) -> Result<(), NetError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Err(NetError::Reset),
            count => filled += count,
        }
    }
    Ok(())
}

/// Answers every request with itself as long as the simulation runs.
pub async fn serve<N: Network>(
    network: N,
    port: u16,
    backlog: usize,
    report: Report<ServerReport>,
) {
    let mut listener = match network.listen(port, backlog).await {
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
                    if answer_all(&own, stream, &report).await.is_err() {
                        report.with(|report| report.broken += 1);
                    }
                }));
            }
            Err(_) => report.with(|report| report.broken += 1),
        }
    }
}

/// One connection of the server.
async fn answer_all<N: Network>(
    network: &N,
    mut stream: N::Stream,
    report: &Report<ServerReport>,
) -> Result<(), NetError> {
    let mut message = Vec::new();
    loop {
        // Usually the whole request comes with the first read.
        let mut first = [0; 2_048];
        let mut count = stream.read(&mut first).await?;
        if count == 0 {
            stream.close().await;
            return Ok(());
        }
        while count < MIN_MESSAGE {
            match stream.read(&mut first[count..]).await? {
                0 => return Err(NetError::Reset),
                more => count += more,
            }
        }
        let size = u32::from_le_bytes([first[0], first[1], first[2], first[3]]) as usize;
        // In a closed loop nothing follows a request before its answer.
        if !(MIN_MESSAGE..=MAX_MESSAGE).contains(&size) || count > size {
            return Err(NetError::InvalidInput);
        }
        message.clear();
        message.extend_from_slice(&first[..count]);
        message.resize(size, 0);
        read_exact(&mut stream, &mut message[count..]).await?;
        network.charge(Cost::Request).await;
        stream.write_all(&message).await?;
        report.with(|report| report.answered += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_their_distribution() {
        let mut random = Seed(1).stream("test");
        let cycle = Sizes::Cycle(vec![64, 128]);
        assert_eq!([0, 1, 2].map(|n| cycle.pick(n, &mut random)), [64, 128, 64]);
        assert_eq!(Sizes::Fixed(0).pick(0, &mut random), MIN_MESSAGE);
        let weighted = Sizes::Weighted(vec![(64, 3), (0, 0), (1_000, 1)]);
        let small = (0..10_000)
            .filter(|&n| weighted.pick(n, &mut random) == 64)
            .count();
        assert!((7_300..7_700).contains(&small), "{small}");
    }

    #[test]
    fn messages_carry_their_size() {
        let mut message = Vec::new();
        fill(&mut message, 21, &mut Seed(1).stream("test"));
        assert_eq!(message.len(), 21);
        assert_eq!(message[..4], [21, 0, 0, 0]);
    }
}
