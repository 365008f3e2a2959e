//! What the hosts of a scenario do.

use hallux_toe::units::{ByteCount, Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One value, or a list of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "write one size such as \"64B\", or a list of sizes"
)]
pub enum OneOrMore<T> {
    /// One value.
    One(T),
    /// Several.
    More(Vec<T>),
}

impl<T> OneOrMore<T> {
    /// The values.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::More(values) => values,
        }
    }
}

/// The work of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", try_from = "AppKeys")]
pub enum App {
    /// The host serves the files of a directory over HTTP/1.1; the peer downloads every
    /// file and compares SHA-256 digests.
    Http {
        /// Directory, relative to the scenario file (to the working directory in an override).
        root: PathBuf,
        /// Connections of the client.
        connections: u32,
        /// TCP port.
        port: u16,
        /// Times every file is downloaded.
        rounds: u32,
    },
    /// Closed-loop request and response, contents verified at both ends.
    Rpc {
        /// Connections.
        connections: u32,
        /// Requests on each connection.
        requests: u32,
        /// Bytes of a request and of its answer: one size, or several taken in turn.
        size: OneOrMore<ByteCount>,
        /// TCP port.
        port: u16,
        /// From an answer to the next request of the connection.
        think_time: Duration,
        /// Connections of each client that end with a reset.
        resets: u32,
    },
}

/// The keys of all applications in one structure, since a mistake inside a tagged
/// enumeration would lose its key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AppKeys {
    /// What is done.
    kind: AppKind,
    /// Connections of the client; http: 4 if not given.
    #[schemars(range(min = 1))]
    connections: Option<u32>,
    /// TCP port of the server; http: 80 if not given, rpc: 7.
    #[schemars(range(min = 1))]
    port: Option<u16>,
    /// http: directory that is served, relative to the scenario file.
    root: Option<PathBuf>,
    /// http: times every file is downloaded; 1 if not given.
    #[schemars(range(min = 1))]
    rounds: Option<u32>,
    /// rpc: requests on each connection, one at a time.
    #[schemars(range(min = 1))]
    requests: Option<u32>,
    /// rpc: bytes of a request and of its answer, 4B to 16MiB; a list is taken in turn.
    #[schemars(extend("x-minimum" = "4B", "x-maximum" = "16MiB"))]
    size: Option<OneOrMore<ByteCount>>,
    /// rpc: from an answer to the next request of the connection; 0s if not given.
    think_time: Option<Duration>,
    /// rpc: connections of each client that end with a reset behind their last answer, not in
    /// order; 0 if not given.
    resets: Option<u32>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum AppKind {
    /// The host serves the files of a directory over HTTP/1.1.
    Http,
    /// Closed-loop request and response.
    Rpc,
}

impl TryFrom<AppKeys> for App {
    type Error = String;

    /// Sentences as serde's own, which documents know how to locate.
    fn try_from(keys: AppKeys) -> Result<Self, String> {
        fn need<T>(value: Option<T>, key: &str) -> Result<T, String> {
            value.ok_or_else(|| format!("missing field `{key}`"))
        }
        let refuse = |given: bool, key: &str, known: &str| match given {
            true => Err(format!("unknown field `{key}`, expected one of {known}")),
            false => Ok(()),
        };
        match keys.kind {
            AppKind::Http => {
                let known = "`kind`, `root`, `connections`, `port`, `rounds`";
                refuse(keys.requests.is_some(), "requests", known)?;
                refuse(keys.size.is_some(), "size", known)?;
                refuse(keys.think_time.is_some(), "think_time", known)?;
                refuse(keys.resets.is_some(), "resets", known)?;
                Ok(Self::Http {
                    root: need(keys.root, "root")?,
                    connections: keys.connections.unwrap_or(4),
                    port: keys.port.unwrap_or(80),
                    rounds: keys.rounds.unwrap_or(1),
                })
            }
            AppKind::Rpc => {
                let known = "`kind`, `connections`, `port`, `requests`, `size`, `think_time`, \
                             `resets`";
                refuse(keys.root.is_some(), "root", known)?;
                refuse(keys.rounds.is_some(), "rounds", known)?;
                Ok(Self::Rpc {
                    connections: need(keys.connections, "connections")?,
                    requests: need(keys.requests, "requests")?,
                    size: need(keys.size, "size")?,
                    port: keys.port.unwrap_or(7),
                    think_time: keys.think_time.unwrap_or(Duration(0)),
                    resets: keys.resets.unwrap_or(0),
                })
            }
        }
    }
}
