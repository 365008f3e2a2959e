//! Writing a design as SystemVerilog and a manifest.

pub use crate::error::{EmitError, EmitErrors};

use crate::keywords::is_reserved;
use crate::lower::{self, Module, placeholder};
use crate::manifest::{self, Direction, Instance, MANIFEST_SCHEMA, Manifest};
use crate::walk::walk;
use rust_hdl_core::prelude::Block;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

/// What the writer cannot learn from the blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Name of the design point, for example `toe-100g`; stands in every header.
    pub design: String,
    /// Name of the top module.
    pub top: String,
    /// Parameters of the design point, by name, as written in its TOML file.
    pub parameters: BTreeMap<String, String>,
}

impl Options {
    /// Options without parameters.
    pub fn new(design: impl Into<String>, top: impl Into<String>) -> Self {
        Self {
            design: design.into(),
            top: top.into(),
            parameters: BTreeMap::new(),
        }
    }
}

/// One generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// File name, always `<module>.sv`.
    pub name: String,
    /// SystemVerilog.
    pub text: String,
}

/// A generated design. Equal designs give equal bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Design {
    /// One file a module, sorted by name.
    pub files: Vec<SourceFile>,
    /// Their description.
    pub manifest: Manifest,
}

/// Name of the manifest's file.
const MANIFEST: &str = "manifest.json";

/// Turns a block and everything in it into SystemVerilog.
///
/// # Errors
/// All findings at once: see [`EmitError`].
pub fn emit<B: Block>(block: &B, options: &Options) -> Result<Design, EmitErrors> {
    if is_reserved(&options.top) {
        let name = options.top.clone();
        return Err(EmitErrors(vec![EmitError::ReservedName { name }]));
    }
    let Some(top) = walk(block, &options.top) else {
        return Err(EmitErrors(vec![EmitError::NotABlock]));
    };
    let modules = lower::lower(&top)?;
    let names = names(&modules, &options.top);
    let mut files = Vec::new();
    let mut described = Vec::new();
    for (module, name) in modules.iter().zip(&names) {
        files.push(SourceFile {
            name: format!("{name}.sv"),
            text: file(module, name, &names, options),
        });
        let instances = module.instances.iter();
        described.push(manifest::Module {
            name: name.clone(),
            file: format!("{name}.sv"),
            source: module.rust_type.clone(),
            ports: module.ports.clone(),
            memories: module.memories.clone(),
            instances: instances
                .map(|(instance, number)| Instance {
                    name: instance.clone(),
                    module: names[*number].clone(),
                })
                .collect(),
            streams: module.streams.clone(),
        });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    described.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Design {
        manifest: Manifest {
            schema: MANIFEST_SCHEMA,
            design: options.design.clone(),
            top: options.top.clone(),
            hash: hash(&files),
            parameters: options.parameters.clone(),
            modules: described,
        },
        files,
    })
}

/// The final module names. A name that several modules would like gets their
/// type arguments appended, then a number.
fn names(modules: &[Module], top: &str) -> Vec<String> {
    let mut wishes: BTreeMap<&str, usize> = BTreeMap::new();
    for module in modules {
        *wishes.entry(&module.wanted).or_default() += 1;
    }
    let mut taken = BTreeSet::from([top.to_string()]);
    let mut names = Vec::new();
    for (number, module) in modules.iter().enumerate() {
        if number + 1 == modules.len() {
            names.push(top.to_string());
            break;
        }
        let mut wanted = module.wanted.clone();
        if wishes[module.wanted.as_str()] > 1 {
            wanted += &module.suffix;
        }
        if is_reserved(&wanted) {
            wanted += "_block";
        }
        let mut name = wanted.clone();
        let mut counter = 2;
        while !taken.insert(name.clone()) {
            name = format!("{wanted}_{counter}");
            counter += 1;
        }
        names.push(name);
    }
    names
}

fn hash(files: &[SourceFile]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.name.as_bytes());
        hash.update([0]);
        hash.update(file.text.as_bytes());
        hash.update([0]);
    }
    let mut text = String::new();
    for byte in hash.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn file(module: &Module, name: &str, names: &[String], options: &Options) -> String {
    let mut body = module.text.clone();
    for (_, number) in &module.instances {
        body = body.replace(&placeholder(*number), &names[*number]);
    }
    format!(
        "{}`default_nettype none\n\nmodule {name}{body}\nendmodule\n\n`default_nettype wire\n",
        header(module, name, &options.design)
    )
}

/// What a reader wants to know before the code.
fn header(module: &Module, name: &str, design: &str) -> String {
    let mut text = format!("// {name}: generated by Hallux, do not edit.\n");
    text += &format!("// Design {design}, from {}.\n", module.rust_type);
    for line in &module.summary {
        text += &format!("// {line}\n");
    }
    text += "//\n";
    let mut rows = Vec::new();
    for port in &module.ports {
        let direction = match port.direction {
            Direction::In => "in",
            Direction::Out => "out",
        };
        rows.push((direction, port.width, port.name.clone()));
        for field in &port.fields {
            let high = field.offset + field.width - 1;
            let place = if field.width == 1 {
                format!("[{high}]")
            } else {
                format!("[{high}:{}]", field.offset)
            };
            rows.push(("", field.width, format!("  {place:<11} {}", field.name)));
        }
    }
    for (direction, width, name) in rows {
        text += format!("// {direction:<3} {width:>5}  {name}").trim_end();
        text.push('\n');
    }
    text
}

impl Design {
    /// The manifest as JSON.
    pub fn manifest_text(&self) -> String {
        let text = serde_json::to_string_pretty(&self.manifest);
        // Every key is a string and no value can fail to serialise.
        text.unwrap_or_default() + "\n"
    }

    fn expected(&self) -> Vec<(String, String)> {
        let files = self.files.iter();
        let mut all: Vec<_> = files.map(|f| (f.name.clone(), f.text.clone())).collect();
        all.push((MANIFEST.to_string(), self.manifest_text()));
        all
    }

    /// Writes all files into `dir`, which is made if it is missing, and removes
    /// `.sv` files there that do not belong to the design. The manifest is
    /// written last, each file under a temporary name first: a directory with a
    /// manifest of the right hash is complete.
    ///
    /// # Errors
    /// What the file system reports, with the path.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let at = |path: &Path, error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        };
        fs::create_dir_all(dir).map_err(|error| at(dir, error))?;
        for stale in self.stale(dir) {
            let path = dir.join(stale);
            fs::remove_file(&path).map_err(|error| at(&path, error))?;
        }
        for (name, text) in self.expected() {
            let path = dir.join(&name);
            if fs::read_to_string(&path).is_ok_and(|old| old == text) {
                continue;
            }
            let temporary = dir.join(format!(".{name}.new"));
            fs::write(&temporary, text).map_err(|error| at(&temporary, error))?;
            fs::rename(&temporary, &path).map_err(|error| at(&path, error))?;
        }
        Ok(())
    }

    /// `.sv` files in `dir` that are not part of the design, sorted.
    fn stale(&self, dir: &Path) -> Vec<String> {
        let Ok(entries) = fs::read_dir(dir) else {
            return Vec::new();
        };
        let mut stale = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".sv") && !self.files.iter().any(|file| file.name == name) {
                stale.push(name);
            }
        }
        stale.sort();
        stale
    }

    /// What `write` would change in `dir`, one sentence a file; empty if nothing.
    pub fn differs(&self, dir: &Path) -> Vec<String> {
        let mut differences = Vec::new();
        for (name, text) in self.expected() {
            match fs::read_to_string(dir.join(&name)) {
                Ok(old) if old == text => {}
                Ok(_) => differences.push(format!("{name} differs")),
                Err(_) => differences.push(format!("{name} is missing")),
            }
        }
        for name in self.stale(dir) {
            differences.push(format!("{name} does not belong to the design"));
        }
        differences
    }
}
