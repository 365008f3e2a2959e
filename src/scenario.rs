//! Scenarios: what is connected to what, which work it does, read from TOML.

use hallux_toe::design::DesignPoint;
use hallux_toe::document::{Document, DocumentError, Place};
use hallux_toe::units::BitRate;
use std::path::{Path, PathBuf};

mod app;
mod keys;
mod proxy;
mod rules;
#[cfg(test)]
mod tests;
mod validate;

pub use app::{App, OneOrMore};
pub use keys::*;
pub use proxy::Proxy;
pub use rules::HostRule;

/// A scenario, with the design point it names.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The scenario file's values, overrides applied.
    pub settings: Settings,
    /// The design point of every RTL NIC.
    pub design: DesignPoint,
    /// Directory served by the HTTP application, resolved; empty for other applications.
    pub root: PathBuf,
    /// Writes of the drivers to the modules of their NICs: offset in BAR 0 and value.
    pub registers: Vec<(u64, u64)>,
}

impl Scenario {
    /// Reads a scenario, applies `overrides` (`KEY=VALUE`), validates it and reads its design point.
    ///
    /// # Errors
    /// Any file is unreadable, or a key or value is wrong: with file, line and column.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, DocumentError> {
        let mut document = Document::read(path)?;
        for assignment in overrides {
            document.set(assignment)?;
        }
        let mut settings: Settings = document.decode()?;
        settings.validate(&document)?;
        let here = path.parent().unwrap_or(Path::new("."));
        let based = |key: &str, file: &Path| {
            if document.is_overridden(key) {
                file.to_path_buf()
            } else {
                here.join(file)
            }
        };
        let mut design = Document::read(&based("nic.design", &settings.nic.design))?;
        // A mistake in a parameter is shown where the parameter stands: in the scenario.
        let at_parameter = |key: &str, error: DocumentError| {
            document.error(&format!("nic.parameters.{key}"), error.message)
        };
        for (key, value) in &settings.nic.parameters {
            design
                .set(&format!("{key}={value}"))
                .map_err(|error| at_parameter(key, error))?;
        }
        let design = DesignPoint::from_document(&design).map_err(|error| match &error.place {
            Place::Override(_) => at_parameter(&error.key.clone(), error),
            Place::File(..) => error,
        })?;
        let root = match &settings.app {
            App::Http { root, .. } => based("app.root", root),
            App::Rpc { .. } => PathBuf::new(),
        };
        let contexts = u32::from(settings.host.contexts);
        if contexts >= design.contexts {
            let message = format!(
                "`host.contexts` must lie between 1 and {}, one less than the design point has, \
                 not {contexts}",
                design.contexts - 1
            );
            return Err(document.error("host.contexts", message));
        }
        if settings.nic.model == NicModel::Behavioural && !design.modules.is_empty() {
            let message = "the behavioural NIC has no extension modules, but the design point \
                           lists some; set nic.model = \"rtl\"";
            return Err(document.error("nic.model", message));
        }
        settings.validate_proxy(&document, &design)?;
        let registers = rules::writes(&settings.host.rules, &design.modules)
            .map_err(|message| document.error("host.rules", message))?;
        settings.link.rate.get_or_insert(design.line_rate);
        Ok(Self {
            settings,
            design,
            root,
            registers,
        })
    }

    /// Line rate of the links.
    pub fn line_rate(&self) -> BitRate {
        self.settings.link.rate.unwrap_or(self.design.line_rate)
    }
}
