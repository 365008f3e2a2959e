//! A proxy in the server's place.

use super::{NicModel, Settings, TopologyKind};
use hallux_toe::design::DesignPoint;
use hallux_toe::document::{Document, DocumentError};
use hallux_toe::interface::modules::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The server is a proxy: it forwards each connection to a backend, a smoltcp host on a port of
/// the switch, where the work is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Proxy {
    /// Connections are left to the NIC's `splice` module; otherwise the host copies.
    pub splice: bool,
}

impl Default for Proxy {
    fn default() -> Self {
        Self { splice: true }
    }
}

impl Settings {
    /// True if the server leaves connections to its NIC.
    pub fn splices(&self) -> bool {
        self.proxy.as_ref().is_some_and(|proxy| proxy.splice)
    }

    pub(super) fn validate_proxy(
        &self,
        document: &Document,
        design: &DesignPoint,
    ) -> Result<(), DocumentError> {
        if self.proxy.is_some() && self.topology.kind != TopologyKind::Star {
            let message = "the backend of a proxy needs a port of a switch; set topology.kind = \
                           \"star\"";
            return Err(document.error("proxy.splice", message));
        }
        let module = || {
            design
                .modules
                .iter()
                .any(|point| point.kind == Kind::Splice)
        };
        if self.splices() && (self.nic.model != NicModel::Rtl || !module()) {
            let message = "connections are spliced by a `splice` module of an RTL NIC, which this \
                           one has not; put one into slot `ingress` of the design point, or set \
                           proxy.splice = false";
            return Err(document.error("proxy.splice", message));
        }
        Ok(())
    }
}
