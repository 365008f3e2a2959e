//! Addresses of channels, in the syntax of SimBricks.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::wire::{FLAG_FORCE, FLAG_SYNC};
use crate::time::{ParseTimeError, Time};

/// The longest path of a socket, in bytes: the system has room for 108 with
/// the zero at the end.
pub const MAX_SOCKET_PATH: usize = 107;

/// Latency and interval that SimBricks assumes: 500 ns.
pub const DEFAULT_LATENCY: Time = Time::from_ns(500);

/// Where a channel is, and what this end wants of it.
///
/// ```text
/// listen:SOCKET:SHM:sync=true[:latency=500ns][:sync_interval=500ns]
/// connect:SOCKET:sync=false[:latency=500ns][:terminate=false]
/// ```
///
/// `sync=true` insists on synchronisation, `false` refuses it, `optional`
/// leaves it to the peer. Numbers without unit are nanoseconds, as everywhere
/// in SimBricks but two programs that take them for picoseconds; write the
/// unit to be sure. Without `sync_interval`, promises are sent every
/// `latency`, as rarely as the protocol allows. With `terminate=false` this end
/// says nothing at its end, for peers that abort on TERMINATE.
///
/// ```
/// # use hallux_channel::{Time, simbricks::Address};
/// let address: Address = "connect:/run/nic.eth:sync=true:latency=1500".parse()?;
/// assert_eq!(address.latency, Time::from_ns(1500));
/// assert_eq!(
///     address.to_string(),
///     "connect:/run/nic.eth:sync=true:latency=1500000ps:sync_interval=1500000ps"
/// );
/// # Ok::<(), hallux_channel::simbricks::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Who waits for whom.
    pub end: End,
    /// Whether this end wants synchronisation.
    pub sync: SyncMode,
    /// What this end adds to the time of everything it sends; above zero.
    pub latency: Time,
    /// The longest span of simulated time without a message from this end,
    /// if synchronised; at most `latency`.
    pub sync_interval: Time,
    /// Whether this end says TERMINATE when it sends no more.
    pub terminate: bool,
}

/// Who waits for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// This end makes the socket and the rings.
    Listen {
        /// Path of the socket.
        socket: PathBuf,
        /// Name of the shared object. It is made without a file, so that
        /// nothing is left behind; the path only names it in `/proc`.
        shm: PathBuf,
    },
    /// The peer does.
    Connect {
        /// Path of the socket.
        socket: PathBuf,
    },
}

/// Whether an end wants synchronisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// No: simulated times are not held together.
    Disabled,
    /// If the peer wants to.
    Optional,
    /// Yes, or no channel.
    Required,
}

impl SyncMode {
    /// The flags of the handshake.
    pub(super) fn flags(self) -> u64 {
        match self {
            SyncMode::Disabled => 0,
            SyncMode::Optional => FLAG_SYNC,
            SyncMode::Required => FLAG_SYNC | FLAG_FORCE,
        }
    }

    /// Whether the channel is synchronised if the peer sends `theirs`;
    /// `None` if the two cannot agree. Both sides come to the same result.
    pub(super) fn negotiate(self, theirs: u64) -> Option<bool> {
        let wanted = theirs & (FLAG_SYNC | FLAG_FORCE) != 0;
        match self {
            SyncMode::Disabled if theirs & FLAG_FORCE != 0 => None,
            SyncMode::Disabled => Some(false),
            SyncMode::Optional => Some(wanted),
            SyncMode::Required => wanted.then_some(true),
        }
    }
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It starts with something else.
    #[error("address `{0}` starts with neither `listen:` nor `connect:`")]
    End(String),
    /// A path is missing or empty.
    #[error("address `{address}` has no {what}; write {}", Address::FORM)]
    Path {
        /// The text.
        address: String,
        /// What is missing.
        what: &'static str,
    },
    /// The system has no room for the path.
    #[error("socket path `{0}` is longer than {MAX_SOCKET_PATH} bytes; use a shorter directory")]
    LongPath(String),
    /// Nothing says whether to synchronise.
    #[error("address `{0}` does not say `sync=true`, `sync=false` or `sync=optional`")]
    NoSync(String),
    /// An unknown part.
    #[error(
        "`{part}` in address `{address}` is none of `sync=`, `latency=`, `sync_interval=`, `terminate=`"
    )]
    Part {
        /// The text.
        address: String,
        /// The part.
        part: String,
    },
    /// A value of `sync` that means nothing.
    #[error("`sync={value}` in address `{address}` is none of `true`, `false`, `optional`")]
    Sync {
        /// The text.
        address: String,
        /// The value.
        value: String,
    },
    /// A value of `terminate` that means nothing.
    #[error("`terminate={value}` in address `{address}` is neither `true` nor `false`")]
    Terminate {
        /// The text.
        address: String,
        /// The value.
        value: String,
    },
    /// A time that is none.
    #[error("address `{address}`: {source}")]
    Time {
        /// The text.
        address: String,
        /// What is wrong with it.
        source: ParseTimeError,
    },
    /// Without latency there is no lookahead, and nothing could advance.
    #[error("address `{0}` has a latency of zero; simulations need one above zero to advance")]
    NoLatency(String),
    /// Two ends that promise less often than they look ahead stop each other.
    #[error(
        "address `{address}` has a sync_interval of {interval}, above its latency of {latency}"
    )]
    Interval {
        /// The text.
        address: String,
        /// The interval.
        interval: Time,
        /// The latency.
        latency: Time,
    },
}

impl Address {
    const FORM: &str =
        "listen:SOCKET:SHM:sync=true:latency=500ns or connect:SOCKET:sync=true:latency=500ns";

    /// An end that listens, with an interval equal to `latency`.
    pub fn listen(
        socket: impl Into<PathBuf>,
        shm: impl Into<PathBuf>,
        sync: SyncMode,
        latency: Time,
    ) -> Self {
        let (socket, shm) = (socket.into(), shm.into());
        Address {
            end: End::Listen { socket, shm },
            sync,
            latency,
            sync_interval: latency,
            terminate: true,
        }
    }

    /// An end that connects, with an interval equal to `latency`.
    pub fn connect(socket: impl Into<PathBuf>, sync: SyncMode, latency: Time) -> Self {
        Address {
            end: End::Connect {
                socket: socket.into(),
            },
            sync,
            latency,
            sync_interval: latency,
            terminate: true,
        }
    }

    /// Path of the socket.
    pub fn socket(&self) -> &Path {
        match &self.end {
            End::Listen { socket, .. } | End::Connect { socket } => socket,
        }
    }

    /// True if this end makes the socket.
    pub fn listens(&self) -> bool {
        matches!(self.end, End::Listen { .. })
    }

    /// Checks what the types do not say.
    ///
    /// # Errors
    ///
    /// A path that is too long, no latency, an interval above it.
    pub fn check(&self) -> Result<(), AddressError> {
        let socket = self.socket().as_os_str();
        if socket.len() > MAX_SOCKET_PATH {
            return Err(AddressError::LongPath(socket.to_string_lossy().into()));
        }
        if self.latency == Time::ZERO || self.latency.is_never() {
            return Err(AddressError::NoLatency(self.to_string()));
        }
        let interval = self.sync_interval;
        if self.sync != SyncMode::Disabled && interval > self.latency {
            return Err(AddressError::Interval {
                address: self.to_string(),
                interval,
                latency: self.latency,
            });
        }
        Ok(())
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let address = || text.to_owned();
        let mut parts = text.split(':');
        let end = parts.next();
        let mut path = |what| match parts.next() {
            Some(path) if !path.is_empty() && !path.starts_with("sync=") => Ok(PathBuf::from(path)),
            _ => Err(AddressError::Path {
                address: address(),
                what,
            }),
        };
        let end = match end {
            Some("listen") => End::Listen {
                socket: path("socket path")?,
                shm: path("name of the shared memory")?,
            },
            Some("connect") => End::Connect {
                socket: path("socket path")?,
            },
            _ => return Err(AddressError::End(address())),
        };
        let mut sync = None;
        let mut latency = DEFAULT_LATENCY;
        let mut interval = None;
        let mut terminate = true;
        for part in parts {
            let value = |name: &str| part.strip_prefix(name)?.strip_prefix('=');
            let time = |value| {
                nanoseconds(value).map_err(|source| AddressError::Time {
                    address: address(),
                    source,
                })
            };
            if let Some(value) = value("sync") {
                sync = Some(match value {
                    "true" => SyncMode::Required,
                    "false" => SyncMode::Disabled,
                    "optional" => SyncMode::Optional,
                    _ => {
                        return Err(AddressError::Sync {
                            address: address(),
                            value: value.to_owned(),
                        });
                    }
                });
            } else if let Some(value) = value("latency") {
                latency = time(value)?;
            } else if let Some(value) = value("sync_interval") {
                interval = Some(time(value)?);
            } else if let Some(value) = value("terminate") {
                terminate = value.parse().map_err(|_| AddressError::Terminate {
                    address: address(),
                    value: value.to_owned(),
                })?;
            } else {
                return Err(AddressError::Part {
                    address: address(),
                    part: part.to_owned(),
                });
            }
        }
        let parsed = Address {
            end,
            sync: sync.ok_or_else(|| AddressError::NoSync(address()))?,
            latency,
            sync_interval: interval.unwrap_or(latency),
            terminate,
        };
        parsed.check()?;
        Ok(parsed)
    }
}

/// A time with unit, or a whole number of nanoseconds.
fn nanoseconds(text: &str) -> Result<Time, ParseTimeError> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("{text}ns").parse()
    } else {
        text.parse()
    }
}

/// With the effective times, in picoseconds.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.end {
            End::Listen { socket, shm } => {
                write!(f, "listen:{}:{}", socket.display(), shm.display())?;
            }
            End::Connect { socket } => write!(f, "connect:{}", socket.display())?,
        }
        let sync = match self.sync {
            SyncMode::Disabled => "false",
            SyncMode::Optional => "optional",
            SyncMode::Required => "true",
        };
        let (latency, interval) = (self.latency.ps(), self.sync_interval.ps());
        write!(
            f,
            ":sync={sync}:latency={latency}ps:sync_interval={interval}ps"
        )?;
        match self.terminate {
            true => Ok(()),
            false => f.write_str(":terminate=false"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_nanoseconds_by_default() {
        let address: Address = "listen:/run/a:/dev/shm/a:sync=true:latency=500:sync_interval=250"
            .parse()
            .unwrap();
        assert_eq!(address.latency, Time::from_ps(500_000));
        assert_eq!(address.sync_interval, Time::from_ps(250_000));
        assert_eq!(address.to_string().parse(), Ok(address));
        let address: Address = "connect:a:latency=1us:sync=false:latency=2us"
            .parse()
            .unwrap();
        assert_eq!(address.latency, Time::from_us(2));
        assert_eq!(address.sync, SyncMode::Disabled);
        assert!(address.terminate);
        let silent: Address = "connect:a:sync=true:terminate=false".parse().unwrap();
        assert!(!silent.terminate);
        assert_eq!(silent.to_string().parse(), Ok(silent));
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_reason() {
        use AddressError as E;
        let parse = |text: &str| text.parse::<Address>().unwrap_err();
        assert!(matches!(parse(""), E::End(_)));
        assert!(matches!(parse("bind:a"), E::End(_)));
        assert!(matches!(parse("connect"), E::Path { .. }));
        assert!(matches!(parse("listen:a:sync=true"), E::Path { .. }));
        assert!(matches!(parse("connect:a"), E::NoSync(_)));
        assert!(matches!(parse("connect:a:sync=maybe"), E::Sync { .. }));
        assert!(matches!(parse("connect:a:sync=true:mtu=9"), E::Part { .. }));
        assert!(matches!(
            parse("connect:a:sync=true:terminate=never"),
            E::Terminate { .. }
        ));
        assert!(matches!(
            parse("connect:a:sync=true:latency=5parsec"),
            E::Time { .. }
        ));
        assert!(matches!(
            parse("connect:a:sync=false:latency=0"),
            E::NoLatency(_)
        ));
        assert!(matches!(
            parse("connect:a:sync=true:latency=1:sync_interval=2"),
            E::Interval { .. }
        ));
        let long = format!("connect:{}:sync=true", "x".repeat(108));
        assert!(matches!(parse(&long), E::LongPath(_)));
    }

    /// The table of the specification, §3.
    #[test]
    fn both_sides_come_to_the_same_result() {
        use SyncMode::{Disabled, Optional, Required};
        for (ours, theirs, result) in [
            (Disabled, Disabled, Some(false)),
            (Disabled, Optional, Some(false)),
            (Disabled, Required, None),
            (Optional, Disabled, Some(false)),
            (Optional, Optional, Some(true)),
            (Optional, Required, Some(true)),
            (Required, Disabled, None),
            (Required, Optional, Some(true)),
            (Required, Required, Some(true)),
        ] {
            assert_eq!(
                ours.negotiate(theirs.flags()),
                result,
                "{ours:?} {theirs:?}"
            );
        }
    }
}
