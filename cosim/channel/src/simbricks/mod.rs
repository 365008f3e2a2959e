//! Channels of SimBricks, version 1 of the protocol.
//!
//! ```text
//!   process A                     shared memory                    process B
//!  ┌──────────┐ try_send  ┌───────────────────────────┐   poll   ┌──────────┐
//!  │          ├──────────►│ ring, one slot a message  ├─────────►│          │
//!  │ Endpoint │           ├───────────────────────────┤          │ Endpoint │
//!  │          │◄──────────┤ ring, one slot a message  │◄─────────┤          │
//!  └────┬─────┘   poll    └───────────────────────────┘ try_send └────┬─────┘
//!       └──────────── Unix socket: handshake, sign of life ───────────┘
//! ```
//!
//! An [`Endpoint`] is one end of an established channel. It carries the same
//! [`Message`](crate::Message)s as a link within a process; an unmodified
//! SimBricks component cannot tell it from its own library. The peer is not
//! trusted: whatever it writes causes a [`ChannelError`] at worst.
//!
//! ```
//! use hallux_channel::simbricks::{Delivery, Endpoint, Options, Role, SyncMode};
//! use hallux_channel::{Message, Time};
//!
//! let latency = Time::from_ns(500);
//! let (mut nic, mut switch) = Endpoint::pair(
//!     Role::Ethernet,
//!     Role::Ethernet,
//!     SyncMode::Required,
//!     latency,
//!     latency,
//!     &Options::default(),
//! )?;
//! let frame = Message::Frame(vec![0xff; 60].into());
//! assert_eq!(nic.try_send(Time::from_ns(20), &frame)?, Delivery::Sent);
//! assert_eq!(switch.poll()?, Some((Time::from_ns(520), frame)));
//! // The switch may handle everything before 520 ns, but not that instant:
//! // another message with the same stamp may follow.
//! assert_eq!(switch.bound(), Time::from_ns(520));
//! # Ok::<(), hallux_channel::simbricks::ChannelError>(())
//! ```

mod address;
mod backoff;
mod codec;
mod endpoint;
mod error;
mod establish;
mod handshake;
pub mod ring;
mod role;
mod shared;
mod socket;
pub mod wire;

pub use address::{Address, AddressError, DEFAULT_LATENCY, End, MAX_SOCKET_PATH, SyncMode};
pub use backoff::Backoff;
pub use endpoint::{Counters, Delivery, Endpoint, Traffic};
pub use error::{ChannelError, HandshakeError, PeerViolation, Refusal};
pub use establish::{Options, establish_all};
pub use role::Role;
pub use wire::{Bar, DeviceIntro};
