//! Which values a scenario may have.

use super::{App, MAX_PEERS, NicModel, PeerKind, Settings, TopologyKind};
use hallux_toe::document::{Document, DocumentError};

impl Settings {
    /// Whether any NIC is RTL.
    pub fn has_rtl(&self) -> bool {
        match self.nic.model {
            NicModel::Rtl => true,
            NicModel::Behavioural => false,
            NicModel::Smoltcp => self.peer.kind == PeerKind::Toe,
        }
    }

    pub(crate) fn validate(&self, document: &Document) -> Result<(), DocumentError> {
        let check = |ok: bool, key: &str, message: String| {
            if ok {
                Ok(())
            } else {
                Err(document.error(key, format!("`{key}` {message}")))
            }
        };
        check(
            !self.name.is_empty()
                && self
                    .name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'),
            "name",
            format!(
                "names a directory: letters, digits, `-` and `_` only, not `{}`",
                self.name
            ),
        )?;
        for (key, value) in [
            ("link.loss", self.link.loss),
            ("link.duplicate", self.link.duplicate),
            ("link.reorder", self.link.reorder),
            ("link.corrupt", self.link.corrupt),
            ("pcie.lost_completions", self.pcie.lost_completions),
        ] {
            let ok = (0.0..=1.0).contains(&value);
            check(
                ok,
                key,
                format!("is a probability from 0 to 1, not {value}"),
            )?;
        }
        for (key, value) in [
            ("stop_quantum", self.stop_quantum.0),
            ("max_time", self.max_time.0),
            ("link.rate", self.link.rate.map_or(1, |rate| rate.0)),
            ("host.rto_min", self.host.rto_min.0),
            (
                "pcie.completion_timeout",
                self.pcie.completion_timeout.0 / 1_000,
            ),
        ] {
            check(value > 0, key, "must be greater than zero".into())?;
        }
        check(
            self.link.delay.0 >= 2,
            "link.delay",
            "must be at least 2ps: a link without delay gives no lookahead".into(),
        )?;
        check(
            (576..=1500).contains(&self.link.mtu.0),
            "link.mtu",
            format!("must lie between 576 and 1500 bytes, not {}", self.link.mtu),
        )?;
        check(
            self.pcie.delay.0 > 0,
            "pcie.delay",
            "must be greater than zero: a link without delay gives no lookahead".into(),
        )?;
        check(
            (1..=31).contains(&self.host.contexts),
            "host.contexts",
            format!("must lie between 1 and 31, not {}", self.host.contexts),
        )?;
        check(
            self.host.interrupt_interval.0 <= 2_000_000_000_000,
            "host.interrupt_interval",
            format!("must be at most 2s, not {}", self.host.interrupt_interval),
        )?;
        check(
            self.host.ring.0.is_power_of_two() && (8 << 10..=16 << 20).contains(&self.host.ring.0),
            "host.ring",
            format!(
                "must be a power of two from 8KiB to 16MiB, not {}",
                self.host.ring
            ),
        )?;
        check(
            self.host.capture_ring.0.is_power_of_two()
                && (4 << 10..=1 << 30).contains(&self.host.capture_ring.0),
            "host.capture_ring",
            format!(
                "must be a power of two from 4KiB to 1GiB, not {}",
                self.host.capture_ring
            ),
        )?;
        check(
            (2 << 10..=16 << 20).contains(&self.peer.buffer.0),
            "peer.buffer",
            format!("must lie between 2KiB and 16MiB, not {}", self.peer.buffer),
        )?;
        check(
            (1..=MAX_PEERS).contains(&self.peer.count),
            "peer.count",
            format!(
                "must lie between 1 and {MAX_PEERS}, not {}",
                self.peer.count
            ),
        )?;
        check(
            self.peer.count == 1 || self.topology.kind == TopologyKind::Star,
            "peer.count",
            format!(
                "is {}, but a direct link has room for one peer; set topology.kind = \"star\"",
                self.peer.count
            ),
        )?;
        check(
            self.peer.vlan.is_none_or(|vlan| (1..=4094).contains(&vlan)),
            "peer.vlan",
            "must lie between 1 and 4094".into(),
        )?;
        check(
            self.topology.buffer.0 >= 2 << 10,
            "topology.buffer",
            format!(
                "must be at least 2KiB, room for one frame, not {}",
                self.topology.buffer
            ),
        )?;
        check(
            (1..=5).contains(&self.pcie.generation),
            "pcie.generation",
            format!("must lie between 1 and 5, not {}", self.pcie.generation),
        )?;
        check(
            [1, 2, 4, 8, 16].contains(&self.pcie.lanes),
            "pcie.lanes",
            format!("must be 1, 2, 4, 8 or 16, not {}", self.pcie.lanes),
        )?;
        match &self.app {
            App::Http {
                connections,
                rounds,
                port,
                ..
            } => {
                check(
                    *connections > 0,
                    "app.connections",
                    "must be at least 1".into(),
                )?;
                check(*rounds > 0, "app.rounds", "must be at least 1".into())?;
                check(*port > 0, "app.port", "must be at least 1".into())
            }
            App::Rpc {
                connections,
                requests,
                size,
                port,
                ..
            } => {
                check(
                    *connections > 0,
                    "app.connections",
                    "must be at least 1".into(),
                )?;
                check(*requests > 0, "app.requests", "must be at least 1".into())?;
                check(
                    !size.as_slice().is_empty(),
                    "app.size",
                    "names no size".into(),
                )?;
                for size in size.as_slice() {
                    let ok = (4..=16 << 20).contains(&size.0);
                    check(
                        ok,
                        "app.size",
                        format!("must lie between 4B and 16MiB, not {size}"),
                    )?;
                }
                check(*port > 0, "app.port", "must be at least 1".into())
            }
        }
    }
}
