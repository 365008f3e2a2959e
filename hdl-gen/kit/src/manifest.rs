//! The manifest that is written beside the RTL: everything a consumer needs to
//! know about a generated design without parsing Verilog.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the manifest's layout; a reader refuses any other.
pub const MANIFEST_SCHEMA: u32 = 1;

/// A generated design: its modules, top first in meaning but listed by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_SCHEMA`] of the writer.
    pub schema: u32,
    /// Name of the design point, for example `toe-100g`.
    pub design: String,
    /// Name of the top module.
    pub top: String,
    /// SHA-256 over the file names and texts of the RTL, in hexadecimal.
    pub hash: String,
    /// Parameters of the design point, by name, as written in its TOML file.
    pub parameters: BTreeMap<String, String>,
    /// All modules, sorted by name.
    pub modules: Vec<Module>,
}

impl Manifest {
    /// The description of module `name`.
    pub fn module(&self, name: &str) -> Option<&Module> {
        self.modules.iter().find(|m| m.name == name)
    }

    /// The description of the top module.
    pub fn top_module(&self) -> Option<&Module> {
        self.module(&self.top)
    }
}

/// One generated module and the file that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Verilog module name.
    pub name: String,
    /// File name relative to the manifest, always `<name>.sv`.
    pub file: String,
    /// Path of the Rust type the module was generated from.
    pub source: String,
    /// Ports in declaration order.
    pub ports: Vec<Port>,
    /// Inferred memories declared in this module.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memories: Vec<Memory>,
    /// Instances of other modules, in declaration order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<Instance>,
    /// Streams between the instances and the ports of this module.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<Stream>,
}

/// Direction of a port, seen from the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Driven by the surroundings.
    In,
    /// Driven by the module.
    Out,
}

/// One port of a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Verilog port name.
    pub name: String,
    /// Direction seen from the module.
    pub direction: Direction,
    /// Width in bits, at least 1.
    pub width: u32,
    /// True for a clock input.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clock: bool,
    /// The fields of a structured port, least significant first; empty for a plain vector.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
}

/// A named bit range of a structured port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Field name; nested structures are joined with a dot.
    pub name: String,
    /// Bit number of the field's least significant bit.
    pub offset: u32,
    /// Width in bits.
    pub width: u32,
}

/// A memory that synthesis should infer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Name of the array in the module.
    pub name: String,
    /// Number of words.
    pub words: u32,
    /// Bits of a word.
    pub bits: u32,
    /// Clock cycles from address to data.
    pub read_latency: u32,
}

/// An instance of a module inside another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Instance name.
    pub name: String,
    /// Name of the instantiated module.
    pub module: String,
}

/// A stream inside a module: words go from one end to the other, through multiplexers and
/// registers of the module if need be.
///
/// An end is `<stream>` for a stream of the module itself, or `<instance>.<stream>`; its
/// ports are `<stream>_data`, `<stream>_valid` and `<stream>_ready`, as far as they exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Where words come from.
    pub from: String,
    /// Where they go.
    pub to: String,
    /// Width of the data where they go, in bits; 0 for events without data.
    pub width: u32,
}
