//! What a recording of a NIC says about it, so that the same NIC can be made again.

use crate::scenario::Pcie;
use crate::simulation::rtl_nic_config;
use anyhow::{Context, Result, bail};
use hallux_channel::{LineRate, Seed};
use hallux_cosim::nic::RtlNicConfig;
use hallux_toe::design::DesignPoint;
use hallux_toe::document::Document;
use hallux_toe::units::BitRate;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Version of the layout of the description.
pub const RECORDING_SCHEMA: &str = "hallux-recording-1";

/// The NIC of a recording: TOML in the comment of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// [`RECORDING_SCHEMA`].
    pub schema: String,
    /// Name of the NIC, from which the random stream of its root complex follows.
    pub nic: String,
    /// SHA-256 of its RTL.
    pub rtl: String,
    /// Seed of all randomness.
    pub seed: u64,
    /// Line rate.
    pub rate: BitRate,
    /// Its PCIe link.
    pub pcie: Pcie,
    /// Its design point.
    pub design: DesignPoint,
}

impl Description {
    /// The description as it stands in the file.
    ///
    /// # Errors
    /// A value that TOML cannot hold.
    pub fn to_text(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }

    /// Reads the description of the recording `path`.
    ///
    /// # Errors
    /// It is of another version, or damaged.
    pub fn of_text(path: &Path, text: &str) -> Result<Self> {
        let table: toml::Table = text
            .parse()
            .with_context(|| format!("{}: no recording of a NIC", path.display()))?;
        let schema = table.get("schema").and_then(toml::Value::as_str);
        if schema != Some(RECORDING_SCHEMA) {
            bail!(
                "{}: the recording has the layout `{}`, this program reads `{RECORDING_SCHEMA}`; record again",
                path.display(),
                schema.unwrap_or("unknown"),
            );
        }
        Ok(Document::parse(path, text.to_owned())?.decode()?)
    }

    /// The design point with values replaced, `KEY=VALUE`.
    ///
    /// # Errors
    /// A key or value is wrong.
    pub fn design_with(&self, overrides: &[String]) -> Result<DesignPoint> {
        let text = toml::to_string(&self.design)?;
        let mut document = Document::parse(Path::new("the recorded design point"), text)?;
        for assignment in overrides {
            document.set(assignment)?;
        }
        Ok(DesignPoint::from_document(&document)?)
    }

    /// The NIC as it was, of `design`, with nothing observed.
    ///
    /// # Errors
    /// A value that no NIC accepts.
    pub fn nic_config(&self, design: &DesignPoint) -> Result<RtlNicConfig> {
        let rate = LineRate::from_bps(self.rate.0).context("the recorded line rate is zero")?;
        rtl_nic_config(&self.nic, Seed(self.seed), rate, &self.pcie, design)
    }
}
