//! Latency blame: where the time of each request, and of each segment in the NIC, went.
//!
//! ```text
//!   client ─► link ─► mac, parse, … notify ─► PCIe ─► server ─► doorbell, fetch, … mac ─► link ─► client
//!   └──────────────────────────── one request: steps without gap or overlap ────────────────────────────┘
//! ```
//!
//! The way of a request is found backwards from bytes: the record that announces its last
//! byte to the host, the segment that caused it, that segment's departure at the other
//! end; the descriptor that releases the last byte of the answer, its doorbell, the
//! segment that carries that byte. Each step ends where the next begins, so the parts add
//! up to the latency to the picosecond.

mod frames;
mod nic;
mod path;
mod requests;
mod table;
mod trace;
mod watch;

pub use frames::{Frames, Port};
pub use nic::NicView;
pub use path::{Cause, Part, Path};
pub use requests::write_requests;
pub use table::{long, short};
pub use trace::write_worst;
pub use watch::{Followed, Post, Watch};

use frames::Passed;
use hallux_cosim::observe::rtt::Ends;
use hallux_host::apps::report::Exchange;
use path::Least;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Picoseconds by place and cause.
pub type Parts = BTreeMap<String, BTreeMap<String, u64>>;

/// One latency and its parts, which add up to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Latency, in ps.
    pub latency_ps: u64,
    /// When it began, in ps; zero in a total.
    pub at_ps: u64,
    /// By place and cause.
    pub parts: Parts,
}

/// Blame of all latencies of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Latencies.
    pub samples: u64,
    /// Those whose way could not be followed; they are in no percentile.
    pub unexplained: u64,
    /// The places in the order in which they are passed.
    pub path: Vec<String>,
    /// The latency that half do not exceed.
    pub p50: Sample,
    /// 99 %.
    pub p99: Sample,
    /// 99.9 %.
    pub p999: Sample,
    /// 99.99 %.
    pub p9999: Sample,
    /// The longest.
    pub worst: Sample,
    /// The sum of all.
    pub total: Sample,
}

/// Blame of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blame {
    /// From a request to the last byte of its answer.
    pub request: Table,
    /// In the NIC under test: from the last bit of a data segment to its entry into
    /// notification.
    pub received: Table,
    /// In the NIC under test: from the grant of a data segment to its last bit.
    pub sent: Table,
    /// A log of the NICs had no room for the whole run: what came later is unexplained.
    pub cut: bool,
}

/// One end of the connections.
#[derive(Debug)]
pub struct Side<'a> {
    /// Name of the host.
    pub host: &'a str,
    /// Its Ethernet port.
    pub port: &'a Port,
    /// Its RTL NIC, if it has one.
    pub nic: Option<NicView<'a>>,
}

/// The ways of all requests, and what each step takes at least.
#[derive(Clone, Debug, Default)]
pub struct Ways {
    paths: Vec<Path>,
    /// Number of each path's request.
    numbers: Vec<usize>,
    least: Least,
    unexplained: u64,
}

impl Side<'_> {
    /// The segment that completed the bytes before `end` of what `ends` sent here, and the
    /// way on to the host's memory, where there is a NIC.
    fn received(&self, ends: Ends, end: u64) -> Option<(Passed, Option<Path>)> {
        let stream = self.port.received.get(&ends)?;
        if let Some(received) = self.nic.as_ref().and_then(|nic| nic.receive(ends, end)) {
            let at = received.path.start();
            let passed = stream.last_with(received.start, at)?;
            return Some((*passed, Some(received.path)));
        }
        Some((*stream.completed_by(end)?, None))
    }

    /// Continues `path` at this host to the departure of `passed` as it arrived at the
    /// other end, the segment that completes the bytes from `first` to `end`.
    fn send(
        &self,
        path: &mut Path,
        ends: Ends,
        first: u64,
        end: u64,
        passed: &Passed,
    ) -> Option<()> {
        let stream = self.port.sent.get(&ends)?;
        let departed = stream.last_with(passed.start, passed.at)?;
        if let Some(nic) = &self.nic
            && nic
                .send(path, self.host, ends, end, departed.number)
                .is_some()
        {
            return Some(());
        }
        let begun = stream.first_with(first)?;
        path.cause(begun.at, self.host.to_owned(), Cause::Host);
        let original = stream.first_with(passed.start)?;
        path.cause(original.at, format!("{}.stream", self.host), Cause::Host);
        path.cause(departed.at, "link.recovery".into(), Cause::Link);
        Some(())
    }
}

/// The way of one request.
fn follow(exchange: &Exchange, client: &Side<'_>, server: &Side<'_>) -> Option<Path> {
    let there = Ends::new(exchange.client, exchange.server);
    let back = there.back();
    let mut path = Path::from(exchange.started);
    let (request, inward) = server.received(there, exchange.asked)?;
    client.send(&mut path, there, exchange.before, exchange.asked, &request)?;
    path.cause(request.at, "link.request".into(), Cause::Link);
    if let Some(inward) = inward {
        path.append(inward);
    }
    let (answer, inward) = client.received(back, exchange.answered)?;
    let first = answer_begin(server, back, &request)?;
    server.send(&mut path, back, first, exchange.answered, &answer)?;
    path.cause(answer.at, "link.answer".into(), Cause::Link);
    if let Some(inward) = inward {
        path.append(inward);
    }
    path.cause(exchange.finished, client.host.to_owned(), Cause::Host);
    path.cut(exchange.finished);
    Some(path)
}

/// First byte that the server sent after `request` had arrived.
fn answer_begin(server: &Side<'_>, back: Ends, request: &Passed) -> Option<u64> {
    let stream = server.port.sent.get(&back)?;
    let index = stream
        .passed
        .partition_point(|passed| passed.at < request.at);
    stream.passed.get(index).map(|passed| passed.start)
}

impl Ways {
    /// The ways of these requests between `clients` and `server`.
    pub fn of(exchanges: &[Exchange], clients: &[Side<'_>], server: &Side<'_>) -> Self {
        let way = |exchange: &Exchange| {
            let ends = Ends::new(exchange.client, exchange.server);
            let client = clients.iter().find(|c| c.port.sent.contains_key(&ends))?;
            follow(exchange, client, server)
        };
        Self::from_paths(exchanges.iter().map(way))
    }

    fn from_paths(paths: impl IntoIterator<Item = Option<Path>>) -> Self {
        let (mut found, mut numbers, mut unexplained) = (vec![], vec![], 0);
        for (number, path) in paths.into_iter().enumerate() {
            match path {
                Some(path) => {
                    found.push(path);
                    numbers.push(number);
                }
                None => unexplained += 1,
            }
        }
        Self {
            least: Least::of(&found),
            paths: found,
            numbers,
            unexplained,
        }
    }

    /// The parts of each way, with the number of its request.
    pub fn parts(&self) -> impl Iterator<Item = (usize, &Path, Vec<Part>)> {
        let paths = self.numbers.iter().zip(&self.paths);
        paths.map(|(number, path)| (*number, path, path.parts(&self.least)))
    }

    /// What each request would have taken if no stage had waited, in ps.
    pub fn unhindered(&self, exchanges: &[Exchange]) -> Vec<u64> {
        let mut times: Vec<u64> = exchanges.iter().map(Exchange::latency).collect();
        for (number, path, parts) in self.parts() {
            let waited = |part: &&Part| matches!(part.cause, Cause::Starved | Cause::Blocked);
            let waited = parts
                .iter()
                .filter(waited)
                .map(|part| part.until - part.from);
            times[number] = path.length() - waited.sum::<u64>();
        }
        times
    }

    /// The longest way.
    pub fn worst(&self) -> Option<(&Path, Vec<Part>)> {
        let longest = self
            .paths
            .iter()
            .max_by_key(|path| (path.length(), std::cmp::Reverse(path.start())))?;
        Some((longest, longest.parts(&self.least)))
    }

    fn sample(&self, path: &Path) -> Sample {
        let mut sample = Sample {
            latency_ps: path.length(),
            at_ps: path.start(),
            parts: Parts::new(),
        };
        add(&mut sample.parts, path.parts(&self.least));
        sample
    }

    /// The table of these ways.
    pub fn table(&self) -> Table {
        let mut order: Vec<&Path> = self.paths.iter().collect();
        order.sort_by_key(|path| (path.length(), std::cmp::Reverse(path.start())));
        let at = |per_10_000: usize| {
            let rank = (order.len() * per_10_000).div_ceil(10_000).max(1);
            let path = order.get(rank - 1);
            path.map_or_else(Sample::default, |path| self.sample(path))
        };
        let mut total = Sample::default();
        for path in &self.paths {
            total.latency_ps += path.length();
            add(&mut total.parts, path.parts(&self.least));
        }
        Table {
            samples: self.paths.len() as u64,
            unexplained: self.unexplained,
            path: places(&self.paths, &total.parts),
            p50: at(5_000),
            p99: at(9_900),
            p999: at(9_990),
            p9999: at(9_999),
            worst: at(10_000),
            total,
        }
    }
}

fn add(into: &mut Parts, parts: Vec<Part>) {
    for part in parts {
        let place = into.entry(part.place).or_default();
        *place.entry(part.cause.name().to_owned()).or_default() += part.until - part.from;
    }
}

/// The places that took time, in the order of the first paths that pass them.
fn places(paths: &[Path], parts: &Parts) -> Vec<String> {
    let mut order: Vec<String> = vec![];
    for path in paths {
        let mut behind = 0;
        for place in path.places().filter(|place| parts.contains_key(*place)) {
            match order.iter().position(|known| known == place) {
                Some(index) => behind = behind.max(index + 1),
                None => {
                    order.insert(behind.min(order.len()), place.to_owned());
                    behind += 1;
                }
            }
        }
    }
    order
}

impl Blame {
    /// Blame of a run with these ways, whose server has the NIC under test.
    pub fn of(requests: &Ways, server: &Side<'_>, cut: bool) -> Self {
        let nic = server.nic.as_ref();
        let segments = |paths: Option<Vec<Path>>| {
            let paths = paths.into_iter().flatten();
            Ways::from_paths(paths.map(Some)).table()
        };
        Self {
            request: requests.table(),
            received: segments(nic.map(|nic| nic.received_segments())),
            sent: segments(nic.map(|nic| nic.sent_segments())),
            cut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_request_and_its_parts_add_up() {
        let path = |start: u64, host: u64| {
            let mut path = Path::from(start);
            path.cause(start + host, "server".into(), Cause::Host);
            path.stage(start + host + 7, "server-nic.parse".into(), "identify", 2);
            Some(path)
        };
        let ways = Ways::from_paths((1..=200).map(|n| path(1_000 * n, n)).chain([None]));
        let table = ways.table();
        assert_eq!((table.samples, table.unexplained), (200, 1));
        let latencies = [&table.p50, &table.p99, &table.p999, &table.worst];
        assert_eq!(latencies.map(|s| s.latency_ps), [107, 205, 207, 207]);
        assert_eq!(table.p50.at_ps, 100_000);
        for sample in latencies.into_iter().chain([&table.total]) {
            let parts = sample.parts.values().flat_map(|causes| causes.values());
            assert_eq!(parts.sum::<u64>(), sample.latency_ps);
        }
        assert_eq!(table.path, ["server", "server-nic.parse"]);
        assert_eq!(table.p50.parts["server-nic.parse"]["service"], 5);
    }
}
