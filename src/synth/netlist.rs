//! A mapped netlist, as yosys' `write_json` leaves it, and how several become one.

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

/// Number of a net: one bit of wire.
pub type Net = u32;

/// What a bit of a pin is tied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bit {
    /// A net.
    Net(Net),
    /// Constant zero.
    Zero,
    /// Constant one.
    One,
    /// Undefined or not connected.
    Undefined,
}

impl Bit {
    /// The net, unless the bit is constant.
    pub fn net(self) -> Option<Net> {
        match self {
            Bit::Net(net) => Some(net),
            _ => None,
        }
    }
}

/// A port of the module.
#[derive(Clone, Debug)]
pub struct NetlistPort {
    /// Name.
    pub name: String,
    /// Driven by the surroundings.
    pub input: bool,
    /// Bits, least significant first.
    pub bits: Vec<Bit>,
}

/// An instance of a technology cell.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Instance name; starts with `$` where yosys made it up.
    pub name: String,
    /// Cell type, such as `LUT6`.
    pub kind: String,
    /// Parameters, vectors as binary digits.
    pub parameters: BTreeMap<String, String>,
    /// Pins by name, bits least significant first.
    pub pins: BTreeMap<String, Vec<Bit>>,
    /// Where in the RTL the cell comes from, `file:line`, where yosys knows.
    pub source: Option<String>,
}

impl Cell {
    /// The bits of pin `name`; none if it is not connected.
    pub fn pin(&self, name: &str) -> &[Bit] {
        self.pins.get(name).map_or(&[], Vec::as_slice)
    }

    /// The parameter `name` as an unsigned number.
    pub fn number(&self, name: &str) -> Option<u64> {
        let text = self.parameters.get(name)?;
        u64::from_str_radix(text, 2).ok()
    }

    /// The parameter `name` as text, without surrounding blanks.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(|text| text.trim())
    }
}

/// One flattened module, mapped to the cells of a technology.
#[derive(Clone, Debug, Default)]
pub struct Netlist {
    /// Name of the module.
    pub module: String,
    /// Ports, in the order of their names.
    pub ports: Vec<NetlistPort>,
    /// Cells, in the order of their names.
    pub cells: Vec<Cell>,
    /// The best name of each net, by number.
    names: Vec<Option<String>>,
}

/// Why a netlist cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NetlistError {
    /// The text is not what `write_json` writes.
    #[error("the netlist of module `{module}` cannot be read: {error}")]
    Json {
        /// The module.
        module: String,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// The module is not in the file.
    #[error("the netlist holds no module `{0}`")]
    NoModule(String),
}

impl Netlist {
    /// Reads module `module` out of what `write_json` wrote.
    ///
    /// # Errors
    /// The text is no such netlist, or the module is not in it.
    pub fn read(module: &str, text: impl Read) -> Result<Self, NetlistError> {
        let mut document: Document =
            serde_json::from_reader(text).map_err(|error| NetlistError::Json {
                module: module.into(),
                error,
            })?;
        let raw = document
            .modules
            .remove(module)
            .ok_or_else(|| NetlistError::NoModule(module.into()))?;
        Ok(Self::from_raw(module, raw))
    }

    fn from_raw(module: &str, raw: RawModule) -> Self {
        let mut names = Names::default();
        for (name, net) in &raw.netnames {
            names.offer(name, net);
        }
        let mut netlist = Self {
            module: module.into(),
            names: names.best,
            ..Self::default()
        };
        for (name, port) in raw.ports {
            netlist.ports.push(NetlistPort {
                name,
                input: port.direction == "input",
                bits: port.bits,
            });
        }
        for (name, cell) in raw.cells {
            // Marks of where a flattened module was.
            if cell.kind == "$scopeinfo" {
                continue;
            }
            netlist.cells.push(Cell {
                source: cell.attributes.get("src").and_then(rtl_position),
                parameters: cell
                    .parameters
                    .into_iter()
                    .map(|(name, value)| (name, plain(value)))
                    .collect(),
                name,
                kind: cell.kind,
                pins: cell.connections,
            });
        }
        netlist
    }

    /// The same netlist with every cell that is one of `parts`, by name of the module, replaced by
    /// the cells of that part.
    pub fn with_parts(self, parts: &BTreeMap<String, Netlist>) -> Self {
        if parts.is_empty() {
            return self;
        }
        let mut joined = Joined::new(self.nets(), self.names);
        let (instances, cells): (Vec<Cell>, Vec<Cell>) = self
            .cells
            .into_iter()
            .partition(|cell| parts.contains_key(&cell.kind));
        joined.cells = cells;
        for instance in &instances {
            joined.add(instance, &parts[&instance.kind]);
        }
        joined.finish(self.module, self.ports)
    }

    /// The name a person knows net `net` by, if it has one.
    pub fn name(&self, net: Net) -> Option<&str> {
        self.names.get(net as usize)?.as_deref()
    }

    /// One more than the largest number of a net.
    pub fn nets(&self) -> usize {
        let of = |bits: &[Bit]| {
            bits.iter()
                .filter_map(|bit| bit.net())
                .max()
                .map_or(0, |net| net as usize + 1)
        };
        let ports = self.ports.iter().map(|port| of(&port.bits));
        let cells = self
            .cells
            .iter()
            .flat_map(|cell| cell.pins.values().map(|bits| of(bits)));
        ports.chain(cells).max().unwrap_or(0)
    }
}

/// A netlist that parts are put into.
struct Joined {
    cells: Vec<Cell>,
    names: Vec<Option<String>>,
    /// What each net is joined with: a net of a smaller number, a constant, or itself.
    same: Vec<Bit>,
}

impl Joined {
    fn new(nets: usize, mut names: Vec<Option<String>>) -> Self {
        names.resize(nets, None);
        Self {
            cells: vec![],
            names,
            same: (0..nets as Net).map(Bit::Net).collect(),
        }
    }

    /// Puts in the cells of `part` where `instance` stands.
    fn add(&mut self, instance: &Cell, part: &Netlist) {
        let base = self.same.len() as Net;
        let nets = part.nets() as Net;
        self.same.extend((base..base + nets).map(Bit::Net));
        let moved = |bit: Bit| match bit {
            Bit::Net(net) => Bit::Net(base + net),
            constant => constant,
        };
        let inside = |name: &str| format!("{}.{name}", instance.name);
        self.names
            .extend((0..nets).map(|net| part.name(net).map(inside)));
        for cell in &part.cells {
            let mut cell = cell.clone();
            cell.name = inside(&cell.name);
            for bit in cell.pins.values_mut().flatten() {
                *bit = moved(*bit);
            }
            self.cells.push(cell);
        }
        for port in &part.ports {
            // A pin that is not connected has no bits.
            for (bit, outer) in port.bits.iter().zip(instance.pin(&port.name)) {
                self.join(moved(*bit), *outer);
            }
        }
    }

    /// What `bit` is in the end.
    fn resolve(&self, mut bit: Bit) -> Bit {
        while let Bit::Net(net) = bit {
            match self.same[net as usize] {
                Bit::Net(same) if same == net => break,
                same => bit = same,
            }
        }
        bit
    }

    fn join(&mut self, a: Bit, b: Bit) {
        match (self.resolve(a), self.resolve(b)) {
            (Bit::Net(a), Bit::Net(b)) => self.same[a.max(b) as usize] = Bit::Net(a.min(b)),
            (Bit::Net(net), constant) | (constant, Bit::Net(net)) => {
                self.same[net as usize] = constant;
            }
            _ => {}
        }
    }

    fn finish(mut self, module: String, mut ports: Vec<NetlistPort>) -> Netlist {
        for net in 0..self.same.len() {
            let resolved = self.resolve(Bit::Net(net as Net));
            self.same[net] = resolved;
        }
        let same = &self.same;
        let resolve = |bit: &mut Bit| {
            if let Bit::Net(net) = *bit {
                *bit = same[net as usize];
            }
        };
        let pins = self
            .cells
            .iter_mut()
            .flat_map(|cell| cell.pins.values_mut());
        pins.flatten().for_each(resolve);
        ports
            .iter_mut()
            .flat_map(|port| &mut port.bits)
            .for_each(resolve);
        // Names of nets that are others by now go to those, where they have none.
        for net in 0..self.same.len() {
            if let Bit::Net(same) = self.same[net]
                && same as usize != net
                && self.names[same as usize].is_none()
            {
                self.names[same as usize] = self.names[net].take();
            }
        }
        self.cells.sort_by(|a, b| a.name.cmp(&b.name));
        Netlist {
            module,
            ports,
            cells: self.cells,
            names: self.names,
        }
    }
}

/// A parameter's value as text; old versions of yosys write numbers.
fn plain(value: serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text,
        serde_json::Value::Number(number) => {
            number.as_u64().map_or(String::new(), |n| format!("{n:b}"))
        }
        other => other.to_string(),
    }
}

/// `file:line` of the first RTL file in a source attribute. Technology maps, which are
/// given with their directories, are left out.
fn rtl_position(attribute: &serde_json::Value) -> Option<String> {
    attribute
        .as_str()?
        .split('|')
        .find(|place| !place.contains('/'))
        .and_then(|place| {
            place
                .split('.')
                .collect::<Vec<_>>()
                .first_chunk::<2>()
                .map(|[file, rest]| {
                    // `file.sv:213.9-213.49`
                    format!("{file}.{rest}")
                })
        })
}

/// Chooses the name of each net among those it has.
#[derive(Default)]
struct Names {
    best: Vec<Option<String>>,
}

impl Names {
    fn offer(&mut self, name: &str, net: &RawNet) {
        if net.hide_name != 0 || name.starts_with('$') {
            return;
        }
        for (index, bit) in net.bits.iter().enumerate() {
            let Some(number) = bit.net() else { continue };
            let number = number as usize;
            if self.best.len() <= number {
                self.best.resize(number + 1, None);
            }
            let candidate = if net.bits.len() == 1 {
                name.to_string()
            } else if net.upto != 0 {
                format!(
                    "{name}[{}]",
                    net.offset + net.bits.len() as i64 - 1 - index as i64
                )
            } else {
                format!("{name}[{}]", net.offset + index as i64)
            };
            let slot = &mut self.best[number];
            if slot
                .as_deref()
                .is_none_or(|known| rank(&candidate) < rank(known))
            {
                *slot = Some(candidate);
            }
        }
    }
}

/// The fewer levels of hierarchy and the shorter, the better a name; the last criterion
/// makes the choice the same everywhere.
fn rank(name: &str) -> (usize, usize, &str) {
    (name.matches('.').count(), name.len(), name)
}

#[derive(Deserialize)]
struct Document {
    modules: BTreeMap<String, RawModule>,
}

#[derive(Deserialize)]
struct RawModule {
    #[serde(default)]
    ports: BTreeMap<String, RawPort>,
    #[serde(default)]
    cells: BTreeMap<String, RawCell>,
    #[serde(default)]
    netnames: BTreeMap<String, RawNet>,
}

#[derive(Deserialize)]
struct RawPort {
    direction: String,
    bits: Vec<Bit>,
}

#[derive(Deserialize)]
struct RawCell {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    parameters: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    attributes: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    connections: BTreeMap<String, Vec<Bit>>,
}

#[derive(Deserialize)]
struct RawNet {
    #[serde(default)]
    hide_name: u8,
    bits: Vec<Bit>,
    #[serde(default)]
    offset: i64,
    #[serde(default)]
    upto: u8,
}

impl<'de> Deserialize<'de> for Bit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BitVisitor;
        impl Visitor<'_> for BitVisitor {
            type Value = Bit;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("the number of a net, \"0\", \"1\", \"x\" or \"z\"")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Bit, E> {
                Net::try_from(number)
                    .map(Bit::Net)
                    .map_err(|_| E::custom(format!("net {number} is beyond 32 bits")))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bit, E> {
                match text {
                    "0" => Ok(Bit::Zero),
                    "1" => Ok(Bit::One),
                    "x" | "z" => Ok(Bit::Undefined),
                    _ => Err(E::custom(format!("`{text}` is no bit"))),
                }
            }
        }
        deserializer.deserialize_any(BitVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(module: &str, text: &str) -> Netlist {
        Netlist::read(module, text.as_bytes()).unwrap()
    }

    /// A part that inverts one bit, hands another through, and ties a third.
    fn part() -> Netlist {
        read(
            "part",
            r#"{"modules": {"part": {
                "ports": {
                    "a": {"direction": "input", "bits": [2, 3]},
                    "y": {"direction": "output", "bits": [4, 3, "1"]}
                },
                "cells": {"turn": {"type": "INV", "connections": {"I": [2], "O": [4]}}},
                "netnames": {"turned": {"bits": [4]}}
            }}}"#,
        )
    }

    #[test]
    fn a_part_is_put_in_wherever_it_stands() {
        let whole = read(
            "whole",
            r#"{"modules": {"whole": {
                "ports": {
                    "s": {"direction": "input", "bits": [2]},
                    "m": {"direction": "output", "bits": [7, 8, 6, 5]}
                },
                "cells": {
                    "first": {"type": "part", "connections": {"a": [2, "0"], "y": [3, 4, 5]}},
                    "second": {"type": "part", "connections": {"a": [3, 4], "y": [7, 8, 6]}}
                },
                "netnames": {"m": {"bits": [7, 8, 6, 5]}}
            }}}"#,
        );
        let parts = BTreeMap::from([("part".to_string(), part())]);
        let whole = whole.with_parts(&parts);
        let cells: Vec<_> = whole.cells.iter().map(|cell| cell.name.as_str()).collect();
        assert_eq!(cells, ["first.turn", "second.turn"]);
        let [first, second] = &whole.cells[..] else {
            unreachable!()
        };
        assert_eq!(first.pin("I"), [Bit::Net(2)]);
        assert_eq!(first.pin("O"), second.pin("I"));
        // The second's output, what it hands on of the first's constant, and the two ties.
        let port = whole.ports.iter().find(|port| port.name == "m").unwrap();
        assert_eq!(port.bits[0], second.pin("O")[0]);
        assert_eq!(port.bits[1..], [Bit::Zero, Bit::One, Bit::One]);
        let named = |cell: &Cell| whole.name(cell.pin("O")[0].net().unwrap());
        assert_eq!(named(first), Some("first.turned"));
        assert_eq!(named(second), Some("m[0]"));
    }
}
