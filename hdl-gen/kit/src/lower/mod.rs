//! From the tree of instances to distinct modules.

mod check;
mod fields;
mod loops;
mod module;
mod plan;
mod print;
mod scope;
mod streams;
mod traverse;

use crate::error::{EmitError, EmitErrors};
use crate::ir::{Body, Logic, Parameter, Primitive};
use crate::manifest::{Direction, Memory, Port, Stream};
use crate::walk::{Instance, Pin};
use rust_hdl_core::atom::AtomKind;
use std::collections::HashMap;

/// A module without its final name.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    /// Name it would like: snake case of the Rust type.
    pub wanted: String,
    /// Appended to `wanted` where several modules would like the same name.
    pub suffix: String,
    pub rust_type: String,
    /// Lines about the module for its header.
    pub summary: Vec<String>,
    /// From the port list to `endmodule`, with [`placeholder`]s for module names.
    pub text: String,
    pub ports: Vec<Port>,
    pub memories: Vec<Memory>,
    /// Instance name and module number.
    pub instances: Vec<(String, usize)>,
    /// Streams between the instances and the ports.
    pub streams: Vec<Stream>,
    /// Which outputs follow which inputs in the same cycle.
    pub paths: loops::Paths,
}

/// Stands for the name of module `number` until names are given.
pub(crate) fn placeholder(number: usize) -> String {
    format!("\u{1}{number}\u{1}")
}

/// Lowers a design; the top module is the last one.
pub(crate) fn lower(top: &Instance) -> Result<Vec<Module>, EmitErrors> {
    let mut lowering = Lowering::default();
    match &top.body {
        Some(Body::Logic(_)) => {
            lowering.instance(top, &top.name);
        }
        Some(_) => lowering.errors.push(EmitError::BareRegister {
            block: top.name.clone(),
        }),
        None => lowering.errors.push(EmitError::NoDescription {
            block: top.name.clone(),
        }),
    }
    if lowering.errors.is_empty() {
        Ok(lowering.modules)
    } else {
        Err(EmitErrors(lowering.errors))
    }
}

#[derive(Default)]
struct Lowering {
    modules: Vec<Module>,
    /// Module number by everything that tells modules apart.
    known: HashMap<(String, String), usize>,
    errors: Vec<EmitError>,
}

impl Lowering {
    /// The module of an instance; `None` after an error.
    fn instance(&mut self, instance: &Instance, path: &str) -> Option<usize> {
        match &instance.body {
            None => {
                self.errors.push(EmitError::NoDescription {
                    block: path.to_string(),
                });
                None
            }
            Some(Body::FlipFlop) => None,
            Some(Body::Primitive(primitive)) => Some(self.primitive(instance, primitive)),
            Some(Body::Logic(logic)) => self.logic(instance, logic, path),
        }
    }

    fn logic(&mut self, instance: &Instance, logic: &Logic, path: &str) -> Option<usize> {
        let mut children = Vec::new();
        for child in &instance.children {
            children.push(self.instance(child, &format!("{path}.{}", child.name)));
        }
        let mut scope = scope::Scope::new(instance, logic);
        let mut found = check::check(path, &scope, &logic.statements);
        found.extend(check::clocks(path, &scope, &logic.statements));
        if !found.is_empty() {
            self.errors.extend(found);
            return None;
        }
        let plan = plan::plan(&mut scope, logic.statements.clone());
        let through: Vec<Option<loops::Paths>> = children
            .iter()
            .map(|child| child.map(|number| self.modules[number].paths.clone()))
            .collect();
        let paths = match loops::paths(path, instance, &scope, &plan, &through) {
            Ok(paths) => paths,
            Err(error) => {
                self.errors.push(error);
                return None;
            }
        };
        let written = module::write(instance, &scope, &plan, &children);
        let (wanted, suffix) = names(logic.rust_type);
        Some(self.add(Module {
            wanted,
            suffix,
            rust_type: logic.rust_type.to_string(),
            summary: Vec::new(),
            text: format!("{}{}", port_list(&instance.pins), written.text),
            ports: ports(&instance.pins),
            memories: Vec::new(),
            instances: written.instances,
            streams: streams::streams(instance, &scope, &plan),
            paths,
        }))
    }

    fn primitive(&mut self, instance: &Instance, primitive: &Primitive) -> usize {
        self.add(Module {
            wanted: primitive.module.clone(),
            suffix: String::new(),
            rust_type: primitive.rust_type.to_string(),
            summary: primitive.summary.clone(),
            text: format!(
                "{}{}{}",
                parameter_list(&primitive.parameters),
                port_list(&instance.pins),
                primitive.text
            ),
            ports: ports(&instance.pins),
            memories: primitive.memories.clone(),
            instances: Vec::new(),
            streams: Vec::new(),
            paths: primitive_paths(primitive),
        })
    }

    fn add(&mut self, module: Module) -> usize {
        let key = (module.wanted.clone(), module.text.clone());
        if let Some(number) = self.known.get(&key) {
            return *number;
        }
        self.modules.push(module);
        let number = self.modules.len() - 1;
        self.known.insert(key, number);
        number
    }
}

fn primitive_paths(primitive: &Primitive) -> loops::Paths {
    let mut paths = loops::Paths::new();
    for (output, input) in &primitive.combinational {
        paths
            .entry(output.clone())
            .or_default()
            .insert(input.clone());
    }
    paths
}

/// `a::b::RxParser<512>` as (`rx_parser`, `512`).
fn names(rust_type: &str) -> (String, String) {
    let (path, arguments) = rust_type.split_once('<').unwrap_or((rust_type, ""));
    let name = path.rsplit("::").next().unwrap_or(path);
    let mut suffix = String::new();
    for argument in arguments.split([',', '<', '>']) {
        let last = argument.trim().rsplit("::").next().unwrap_or_default();
        if !last.is_empty() {
            suffix.push('_');
            suffix.push_str(&print::snake(last));
        }
    }
    (print::snake(name), suffix)
}

fn ports(pins: &[Pin]) -> Vec<Port> {
    let mut ports = Vec::new();
    for pin in pins {
        let direction = match pin.kind {
            AtomKind::InputParameter => Direction::In,
            AtomKind::OutputParameter => Direction::Out,
            _ => continue,
        };
        ports.push(Port {
            name: pin.name.clone(),
            direction,
            width: pin.width as u32,
            clock: pin.clock && direction == Direction::In,
            fields: fields::list(&pin.descriptor),
        });
    }
    ports
}

/// ` #(…)` with one parameter a line, or nothing.
fn parameter_list(parameters: &[Parameter]) -> String {
    if parameters.is_empty() {
        return String::new();
    }
    let line = |parameter: &Parameter| {
        let Parameter { name, default, .. } = parameter;
        format!("    parameter {name} = {default}")
    };
    let lines: Vec<String> = parameters.iter().map(line).collect();
    format!(" #(\n{}\n)", lines.join(",\n"))
}

/// ` (…);` with one port a line.
fn port_list(pins: &[Pin]) -> String {
    let mut lines = Vec::new();
    let ports = ports(pins);
    let widest = ports.iter().map(|port| port.width).max().unwrap_or(1);
    let column = print::range(widest as usize).len();
    for port in &ports {
        let direction = match port.direction {
            Direction::In => "input  wire ",
            Direction::Out => "output logic",
        };
        let range = print::range(port.width as usize);
        lines.push(format!("    {direction} {range:<column$}{}", port.name));
    }
    format!(" (\n{}\n);\n", lines.join(",\n"))
}
