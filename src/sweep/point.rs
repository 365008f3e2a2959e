//! One point of a sweep: its overrides, its scenario, and the key it is stored under.

use super::space::Configuration;
use super::spec::Sweep;
use crate::scenario::{App, NicModel, Scenario};
use hallux_toe::design::DesignPoint;
use hallux_toe::document::DocumentError;
use hallux_toe::generate::generate;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Version of what a key is made of and of what is stored under it.
const KEY_SCHEMA: &str = "hallux-point-1";

/// Everything that a point's run is started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The scenario file.
    pub scenario: PathBuf,
    /// `KEY=VALUE`, as for `hallux run --set`.
    pub overrides: Vec<String>,
}

/// A point that can be run.
#[derive(Clone, Debug)]
pub struct Point {
    /// How it is run.
    pub plan: Plan,
    /// What it is stored under: 32 hexadecimal digits.
    pub key: String,
    /// Its design point.
    pub design: DesignPoint,
    /// SHA-256 of its RTL.
    pub rtl: String,
    /// It runs the RTL, not the behavioural model.
    pub needs_model: bool,
}

/// Why a configuration is no point that can be run.
#[derive(Debug, thiserror::Error)]
pub enum PointError {
    /// The sweep file itself is wrong: a key that does not exist, a missing scenario.
    #[error("{0}")]
    Sweep(String),
    /// This configuration is impossible; others may not be.
    #[error("{0}")]
    Impossible(String),
}

/// Keys whose values are paths.
const PATHS: [&str; 2] = ["nic.design", "app.root"];

/// The scenario's name of a key of the sweep: keys of the design point are parameters of
/// the NIC there.
fn scenario_key(key: &str) -> String {
    match key.strip_prefix("design.") {
        Some(parameter) => format!("nic.parameters.{parameter}"),
        None => key.to_owned(),
    }
}

/// Makes points of configurations. RTL is generated once for each design point.
pub struct Resolver<'a> {
    sweep: &'a Sweep,
    tools: BTreeMap<String, String>,
    rtl: BTreeMap<String, String>,
    roots: BTreeMap<PathBuf, String>,
}

impl<'a> Resolver<'a> {
    /// A resolver for a sweep whose results depend on `tools` (names and versions).
    pub fn new(sweep: &'a Sweep, tools: BTreeMap<String, String>) -> Self {
        Self {
            sweep,
            tools,
            rtl: BTreeMap::new(),
            roots: BTreeMap::new(),
        }
    }

    /// The point of a configuration, with the value of the fidelity key where there is one.
    ///
    /// # Errors
    /// [`PointError`].
    pub fn point(
        &mut self,
        configuration: &Configuration,
        fidelity: Option<(&str, &str)>,
    ) -> Result<Point, PointError> {
        let plan = self.plan(configuration, fidelity);
        let scenario = Scenario::read(&plan.scenario, &plan.overrides).map_err(classify)?;
        let design = scenario.design.clone();
        let rtl = self.rtl_of(&design)?;
        let key = self.key(&scenario, &rtl)?;
        Ok(Point {
            plan,
            key,
            design,
            rtl,
            needs_model: scenario.settings.nic.model == NicModel::Rtl,
        })
    }

    fn plan(&self, configuration: &Configuration, fidelity: Option<(&str, &str)>) -> Plan {
        let fixed = self.sweep.set.iter().map(|(key, value)| (key, value));
        let axes = self.sweep.axes.iter().zip(&configuration.values);
        let axes = axes.filter_map(|(axis, value)| Some((&axis.key, &value.as_ref()?.0)));
        let mut overrides: Vec<String> = fixed
            .chain(axes)
            .map(|(key, value)| self.assignment(key, value))
            .collect();
        overrides.extend(fidelity.map(|(key, value)| self.assignment(key, value)));
        Plan {
            scenario: self.sweep.scenario.clone(),
            overrides,
        }
    }

    fn assignment(&self, key: &str, value: &str) -> String {
        let key = scenario_key(key);
        if PATHS.contains(&key.as_str()) {
            let path = self.sweep.here.join(value.trim_matches('"'));
            // An override's path is relative to the working directory of the run.
            let path = std::path::absolute(&path).unwrap_or(path);
            return format!("{key}={}", toml::Value::String(path.display().to_string()));
        }
        format!("{key}={value}")
    }

    fn rtl_of(&mut self, design: &DesignPoint) -> Result<String, PointError> {
        let name = format!("{design:?}");
        if let Some(hash) = self.rtl.get(&name) {
            return Ok(hash.clone());
        }
        let generated =
            generate(design).map_err(|error| PointError::Impossible(error.to_string()))?;
        let hash = generated.manifest.hash;
        self.rtl.insert(name, hash.clone());
        Ok(hash)
    }

    fn key(&mut self, scenario: &Scenario, rtl: &str) -> Result<String, PointError> {
        let mut settings = serde_json::to_value(&scenario.settings)
            .map_err(|error| PointError::Impossible(error.to_string()))?;
        // Paths differ between machines: what they lead to is what counts.
        settings["nic"]["design"] = json!(null);
        let files = match &scenario.settings.app {
            App::Http { .. } => {
                settings["app"]["root"] = json!(null);
                self.root_of(&scenario.root)?
            }
            App::Rpc { .. } => String::new(),
        };
        let whole = json!({
            "schema": KEY_SCHEMA,
            "settings": settings,
            "design": scenario.design.parameters(),
            "files": files,
            "rtl": rtl,
            "tools": self.tools,
        });
        Ok(hex(&Sha256::digest(whole.to_string()))[..32].to_owned())
    }

    fn root_of(&mut self, root: &Path) -> Result<String, PointError> {
        if let Some(hash) = self.roots.get(root) {
            return Ok(hash.clone());
        }
        let hash = digest_of_directory(root).map_err(|error| {
            PointError::Impossible(format!("app.root {}: {error}", root.display()))
        })?;
        self.roots.insert(root.to_owned(), hash.clone());
        Ok(hash)
    }
}

/// A key that exists nowhere is a mistake of the sweep; a value that does not fit, of the point.
fn classify(error: DocumentError) -> PointError {
    let text = error.to_string();
    let of_sweep = error.message.starts_with("unknown key")
        || error.message.starts_with("cannot read the file")
        || error.message.starts_with("not valid TOML")
        || error.message.contains("is a value, not a section");
    match of_sweep {
        true => PointError::Sweep(text),
        false => PointError::Impossible(text),
    }
}

/// SHA-256 over the names and contents of all files below `root`, by name.
fn digest_of_directory(root: &Path) -> io::Result<String> {
    let mut files = vec![];
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            match path.is_dir() {
                true => open.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(&file);
        hash.update(name.display().to_string());
        hash.update([0]);
        hash.update(Sha256::digest(fs::read(&file)?));
    }
    Ok(hex(&hash.finalize()))
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a result follows from beside its configuration: this program and the tools that
/// compile its models.
///
/// # Errors
/// The program cannot be read.
pub fn tools(
    toolchain: &hallux_verilator::Toolchain,
    program: &Path,
) -> io::Result<BTreeMap<String, String>> {
    let versions = toolchain.versions();
    let compiler = toolchain.compiler(hallux_verilator::Profile::Measure);
    Ok(BTreeMap::from([
        ("hallux".into(), hex(&Sha256::digest(fs::read(program)?))),
        ("verilator".into(), versions.verilator),
        ("compiler".into(), compiler.version.clone()),
    ]))
}
