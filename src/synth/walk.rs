//! The walk over a mapped netlist that finds its longest paths.
//!
//! ```text
//!   start ──wire──► cell ──wire──► cell ──wire──► end
//!   register, memory or input port               register, memory or output port
//! ```
//!
//! Nets are visited in topological order, once for paths that start at registers and
//! memories and once for those that start at input ports; each keeps its latest arrival
//! and the arc it came by. The wire into a cell belongs to the cell, so that a path
//! through a port counts each wire once: from an input port a path counts the wire into
//! the first cell, to an output port nothing after the last.

use super::netlist::{Net, Netlist};
use super::technology::{Area, CellModel, Fanout, Picoseconds, Sink, Source, Technology};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Where a path starts or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Terminal {
    /// Flip-flop, memory or registered multiplier.
    Register,
    /// Port of the module.
    Port,
}

/// What a path leads from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PathKind {
    /// Where it starts.
    pub from: Terminal,
    /// Where it ends.
    pub to: Terminal,
}

impl PathKind {
    /// All kinds, those inside the module first.
    pub const ALL: [Self; 4] = [
        Self::new(Terminal::Register, Terminal::Register),
        Self::new(Terminal::Port, Terminal::Register),
        Self::new(Terminal::Register, Terminal::Port),
        Self::new(Terminal::Port, Terminal::Port),
    ];

    const fn new(from: Terminal, to: Terminal) -> Self {
        Self { from, to }
    }
}

impl fmt::Display for PathKind {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let name = |terminal| match terminal {
            Terminal::Register => "register",
            Terminal::Port => "port",
        };
        write!(formatter, "{} to {}", name(self.from), name(self.to))
    }
}

/// A cell on a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Type of the cell, such as `LUT6`.
    pub cell: String,
    /// The wire into it, with a table it passes only to get there.
    pub wire_ps: Picoseconds,
    /// The way through it.
    pub cell_ps: Picoseconds,
    /// Time of arrival at its output, from the start of the path.
    pub arrival_ps: Picoseconds,
    /// The net at its output, if it has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net: Option<String>,
    /// Where in the RTL it comes from, `file:line`, if yosys knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Sinks of the net at its output.
    pub fanout: u32,
}

/// A path from a start to an end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Path {
    /// What it leads from and to.
    pub kind: PathKind,
    /// From clock edge or port to clock edge or port.
    pub delay_ps: Picoseconds,
    /// Register, memory or port it starts at.
    pub start: String,
    /// Register, memory or port it ends at.
    pub end: String,
    /// Pin of the register or memory it ends at, such as `enable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<&'static str>,
    /// The start, the cells between and nothing for the end.
    pub steps: Vec<Step>,
    /// The wire into the end.
    pub last_wire_ps: Picoseconds,
    /// Setup of the end.
    pub setup_ps: Picoseconds,
}

impl Path {
    /// Cells that are look-up tables.
    pub fn levels(&self) -> usize {
        self.steps
            .iter()
            .filter(|step| step.cell.starts_with("LUT"))
            .count()
    }
}

/// What a walk found.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    /// What the cells use in all.
    pub area: Area,
    /// Names of the registers that are latches.
    pub latches: Vec<String>,
    /// The worst path of each kind that exists.
    pub worst: BTreeMap<PathKind, Path>,
    /// The worst paths to different ends, longest first.
    pub paths: Vec<Path>,
}

/// Why a netlist cannot be walked.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The technology does not know a cell.
    #[error(
        "module `{module}` holds a cell of type `{kind}` ({cell}), which the estimate for {family} \
         does not know"
    )]
    UnknownCell {
        /// The module.
        module: String,
        /// Type of the cell.
        kind: String,
        /// Name of the cell.
        cell: String,
        /// Name of the family.
        family: &'static str,
    },
    /// The logic is a loop.
    #[error(
        "module `{module}` has a combinational loop through {}; put a register on it",
        nets.join(" -> ")
    )]
    Loop {
        /// The module.
        module: String,
        /// The nets on the loop that have names, or the cells.
        nets: Vec<String>,
    },
}

/// Walks `netlist` and lists the `count` worst paths that end at different registers,
/// memories or ports.
///
/// # Errors
/// An unknown cell, or a combinational loop.
pub fn walk(
    netlist: &Netlist,
    technology: &dyn Technology,
    count: usize,
) -> Result<Walk, WalkError> {
    let graph = Graph::build(netlist, technology)?;
    let order = graph.order()?;
    let arrivals = [Terminal::Register, Terminal::Port].map(|from| graph.arrive(from, &order));
    let mut found: Vec<(Picoseconds, PathKind, usize)> = vec![];
    for (index, end) in graph.ends.iter().enumerate() {
        for (from, arrival) in [Terminal::Register, Terminal::Port].iter().zip(&arrivals) {
            if let Some(time) = arrival.time[end.net as usize] {
                let kind = PathKind::new(*from, end.terminal);
                found.push((time + end.wire + end.setup, kind, index));
            }
        }
    }
    // The longest first; among equals the first by its end, so that the choice is stable.
    found.sort_by_key(|&(delay, kind, index)| (-delay, kind, index));
    let mut result = Walk {
        area: graph.area(),
        ..Walk::default()
    };
    for (cell, model) in netlist.cells.iter().zip(&graph.models) {
        if model.latch {
            result.latches.push(graph.register_name(cell));
        }
    }
    let mut seen = BTreeSet::new();
    for (delay, kind, index) in found {
        let arrival = &arrivals[usize::from(kind.from == Terminal::Port)];
        let path = || graph.path(arrival, kind, index, delay);
        result.worst.entry(kind).or_insert_with(path);
        if result.paths.len() < count {
            let path = path();
            if seen.insert((path.kind, word(&path.end).to_string(), path.pin)) {
                result.paths.push(path);
            }
        } else if result.worst.len() == PathKind::ALL.len() {
            break;
        }
    }
    Ok(result)
}

/// The name of a word without the number of the bit.
fn word(name: &str) -> &str {
    match name.rfind('[') {
        Some(at) if name.ends_with(']') => &name[..at],
        _ => name,
    }
}

/// A way from net to net, wire and cell together.
struct Edge {
    from: Net,
    to: Net,
    wire: Picoseconds,
    delay: Picoseconds,
    cell: u32,
}

struct Start {
    net: Net,
    delay: Picoseconds,
    /// The cell it starts at, none for a port.
    cell: Option<u32>,
}

struct End {
    net: Net,
    terminal: Terminal,
    wire: Picoseconds,
    setup: Picoseconds,
    pin: Option<&'static str>,
    /// The cell it ends at, none for a port.
    cell: Option<u32>,
    name: Option<String>,
}

/// The netlist as a graph of nets.
struct Graph<'n> {
    netlist: &'n Netlist,
    models: Vec<CellModel>,
    /// Sorted by `from`.
    edges: Vec<Edge>,
    /// Where the edges of each net begin.
    first: Vec<u32>,
    starts: Vec<Start>,
    ends: Vec<End>,
    fanouts: Vec<Fanout>,
    /// The flip-flops that are output registers of block RAM.
    inside_ram: Vec<bool>,
}

/// Latest arrivals of the paths from one kind of start.
struct Arrival {
    time: Vec<Option<Picoseconds>>,
    /// The edge each came by.
    by: Vec<Option<u32>>,
    /// Where each started, for those without an edge.
    start: Vec<Option<u32>>,
}

impl<'n> Graph<'n> {
    fn build(netlist: &'n Netlist, technology: &dyn Technology) -> Result<Self, WalkError> {
        let mut models = Vec::with_capacity(netlist.cells.len());
        for cell in &netlist.cells {
            let model = technology
                .model(cell)
                .ok_or_else(|| WalkError::UnknownCell {
                    module: netlist.module.clone(),
                    kind: cell.kind.clone(),
                    cell: cell.name.clone(),
                    family: technology.name(),
                })?;
            models.push(model);
        }
        let nets = netlist.nets();
        let mut sources = vec![Source::Port; nets];
        for model in &models {
            let Some(source) = model.source else { continue };
            for net in outputs(model) {
                sources[net as usize] = source;
            }
            for &(net, other) in &model.other_sources {
                sources[net as usize] = other;
            }
        }
        let fanouts = fanouts(nets, &models);
        let wire = |net: Net, sink: Sink| {
            technology.wire(sources[net as usize], sink, fanouts[net as usize])
        };
        let inside_ram = output_registers(&models, &sources, &fanouts);

        let mut edges = vec![];
        let mut starts = vec![];
        let mut ends = vec![];
        for (number, model) in (0u32..).zip(&models) {
            edges.extend(model.arcs.iter().map(|arc| Edge {
                from: arc.from,
                to: arc.to,
                wire: wire(arc.from, arc.sink),
                delay: arc.delay,
                cell: number,
            }));
            let inside = inside_ram[number as usize];
            starts.extend(model.launches.iter().map(|launch| Start {
                net: launch.net,
                delay: match inside {
                    true => technology.registered_ram(),
                    false => launch.delay,
                },
                cell: Some(number),
            }));
            ends.extend(model.captures.iter().map(|capture| End {
                net: capture.net,
                terminal: Terminal::Register,
                wire: match (inside, capture.sink) {
                    (true, Sink::RegisterData) => 0,
                    _ => wire(capture.net, capture.sink),
                },
                setup: capture.setup,
                pin: Some(capture.pin),
                cell: Some(number),
                name: None,
            }));
        }
        for port in &netlist.ports {
            for (index, bit) in port.bits.iter().enumerate() {
                let Some(net) = bit.net() else { continue };
                if port.input {
                    starts.push(Start {
                        net,
                        delay: 0,
                        cell: None,
                    });
                } else {
                    let name = match port.bits.len() {
                        1 => port.name.clone(),
                        _ => format!("{}[{index}]", port.name),
                    };
                    ends.push(End {
                        net,
                        terminal: Terminal::Port,
                        wire: 0,
                        setup: 0,
                        pin: None,
                        cell: None,
                        name: Some(name),
                    });
                }
            }
        }
        edges.sort_by_key(|edge| edge.from);
        let mut first = vec![0; nets + 1];
        for edge in &edges {
            first[edge.from as usize + 1] += 1;
        }
        for net in 0..nets {
            first[net + 1] += first[net];
        }
        Ok(Self {
            netlist,
            models,
            edges,
            first,
            starts,
            ends,
            fanouts,
            inside_ram,
        })
    }

    /// What the cells use; flip-flops inside a block RAM are part of that.
    fn area(&self) -> Area {
        let of = |(model, inside): (&CellModel, &bool)| match inside {
            true => Area::default(),
            false => model.area,
        };
        self.models.iter().zip(&self.inside_ram).map(of).sum()
    }

    fn edges_of(&self, net: Net) -> std::ops::Range<usize> {
        self.first[net as usize] as usize..self.first[net as usize + 1] as usize
    }

    /// The nets in an order in which none comes before one that it depends on.
    fn order(&self) -> Result<Vec<Net>, WalkError> {
        let nets = self.first.len() - 1;
        let mut waiting = vec![0u32; nets];
        for edge in &self.edges {
            waiting[edge.to as usize] += 1;
        }
        let mut order: Vec<Net> = (0..nets as Net)
            .filter(|&net| waiting[net as usize] == 0)
            .collect();
        let mut next = 0;
        while let Some(&net) = order.get(next) {
            next += 1;
            for edge in &self.edges[self.edges_of(net)] {
                waiting[edge.to as usize] -= 1;
                if waiting[edge.to as usize] == 0 {
                    order.push(edge.to);
                }
            }
        }
        if order.len() == nets {
            return Ok(order);
        }
        Err(WalkError::Loop {
            module: self.netlist.module.clone(),
            nets: self.name_loop(&waiting),
        })
    }

    /// Follows the nets that still wait backwards until one comes up again: that is a loop.
    fn name_loop(&self, waiting: &[u32]) -> Vec<String> {
        let is_stuck = |net: Net| waiting[net as usize] > 0;
        let mut before: BTreeMap<Net, &Edge> = BTreeMap::new();
        for edge in &self.edges {
            if is_stuck(edge.from) && is_stuck(edge.to) {
                before.entry(edge.to).or_insert(edge);
            }
        }
        let Some((&start, _)) = before.iter().next() else {
            return vec![];
        };
        let mut visited = BTreeSet::new();
        let mut at = start;
        while visited.insert(at) {
            at = before[&at].from;
        }
        let entry = at;
        let mut names = vec![];
        loop {
            let edge = before[&at];
            let cell = &self.netlist.cells[edge.cell as usize];
            names.push(match self.netlist.name(at) {
                Some(name) => name.to_string(),
                None => format!("{} {}", cell.kind, cell.name),
            });
            at = edge.from;
            if at == entry {
                break;
            }
        }
        names.reverse();
        names
    }

    fn arrive(&self, from: Terminal, order: &[Net]) -> Arrival {
        let nets = self.first.len() - 1;
        let mut arrival = Arrival {
            time: vec![None; nets],
            by: vec![None; nets],
            start: vec![None; nets],
        };
        for (number, start) in (0u32..).zip(&self.starts) {
            let terminal = match start.cell {
                Some(_) => Terminal::Register,
                None => Terminal::Port,
            };
            let slot = &mut arrival.time[start.net as usize];
            if terminal == from && slot.is_none_or(|known| start.delay > known) {
                *slot = Some(start.delay);
                arrival.start[start.net as usize] = Some(number);
            }
        }
        for &net in order {
            let Some(time) = arrival.time[net as usize] else {
                continue;
            };
            for number in self.edges_of(net) {
                let edge = &self.edges[number];
                let later = time + edge.wire + edge.delay;
                let slot = &mut arrival.time[edge.to as usize];
                if slot.is_none_or(|known| later > known) {
                    *slot = Some(later);
                    arrival.by[edge.to as usize] = Some(number as u32);
                }
            }
        }
        arrival
    }

    fn path(&self, arrival: &Arrival, kind: PathKind, end: usize, delay: Picoseconds) -> Path {
        let end = &self.ends[end];
        let mut steps = vec![];
        let mut net = end.net;
        while let Some(number) = arrival.by[net as usize] {
            let edge = &self.edges[number as usize];
            steps.push(self.step(edge.cell, edge.wire, edge.delay, net, arrival));
            net = edge.from;
        }
        let start = arrival.start[net as usize].map(|number| &self.starts[number as usize]);
        if let Some(&Start {
            cell: Some(cell),
            delay,
            ..
        }) = start
        {
            steps.push(self.step(cell, 0, delay, net, arrival));
        }
        steps.reverse();
        let start_cell = start.and_then(|start| start.cell);
        Path {
            kind,
            delay_ps: delay,
            start: match start_cell.map(|cell| &self.netlist.cells[cell as usize]) {
                Some(cell) if is_memory(&cell.kind) => memory_name(&cell.name).to_string(),
                Some(cell) => self
                    .netlist
                    .name(net)
                    .map_or_else(|| self.register_name(cell), str::to_string),
                None => self.net_name(net),
            },
            end: match (&end.name, end.cell) {
                (Some(name), _) => name.clone(),
                (None, Some(cell)) => self.register_name(&self.netlist.cells[cell as usize]),
                (None, None) => self.net_name(end.net),
            },
            pin: end.pin,
            steps,
            last_wire_ps: end.wire,
            setup_ps: end.setup,
        }
    }

    fn step(
        &self,
        cell: u32,
        wire: Picoseconds,
        delay: Picoseconds,
        net: Net,
        arrival: &Arrival,
    ) -> Step {
        let cell = &self.netlist.cells[cell as usize];
        Step {
            cell: cell.kind.clone(),
            wire_ps: wire,
            cell_ps: delay,
            arrival_ps: arrival.time[net as usize].unwrap_or(0),
            net: self.netlist.name(net).map(str::to_string),
            source: cell.source.clone(),
            fanout: self.fanouts[net as usize].all,
        }
    }

    fn net_name(&self, net: Net) -> String {
        match self.netlist.name(net) {
            Some(name) => name.to_string(),
            None => format!("net {net}"),
        }
    }

    /// What people call a register or memory: the signal at its output, or for a memory
    /// the array in the RTL.
    fn register_name(&self, cell: &super::netlist::Cell) -> String {
        if is_memory(&cell.kind) {
            return memory_name(&cell.name).to_string();
        }
        cell.pin("Q")
            .first()
            .and_then(|bit| bit.net())
            .and_then(|net| self.netlist.name(net))
            .map(str::to_string)
            .or_else(|| {
                let place = cell.source.as_deref()?;
                Some(format!("unnamed register of {place}"))
            })
            .unwrap_or_else(|| cell.name.clone())
    }
}

fn outputs(model: &CellModel) -> impl Iterator<Item = Net> {
    let arcs = model.arcs.iter().map(|arc| arc.to);
    arcs.chain(model.launches.iter().map(|launch| launch.net))
}

/// Which cells are flip-flops that a block RAM has inside: every output of the RAM leads
/// to one flip-flop and nowhere else, as behind a read port with an output register.
fn output_registers(models: &[CellModel], sources: &[Source], fanouts: &[Fanout]) -> Vec<bool> {
    let mut register_of: BTreeMap<Net, usize> = BTreeMap::new();
    for (number, model) in models.iter().enumerate() {
        for capture in &model.captures {
            if capture.sink == Sink::RegisterData
                && sources[capture.net as usize] == Source::BlockRam
            {
                register_of.insert(capture.net, number);
            }
        }
    }
    let mut inside = vec![false; models.len()];
    for model in models {
        if model.source != Some(Source::BlockRam) {
            continue;
        }
        let mut used = model
            .launches
            .iter()
            .map(|launch| launch.net)
            .filter(|net| fanouts[*net as usize].all > 0)
            .peekable();
        if used.peek().is_none() {
            continue;
        }
        let registers: Option<Vec<usize>> = used
            .map(|net| match fanouts[net as usize].all {
                1 => register_of.get(&net).copied(),
                _ => None,
            })
            .collect();
        for number in registers.into_iter().flatten() {
            inside[number] = true;
        }
    }
    inside
}

/// Counts the sinks of each net: pins, not arcs.
fn fanouts(nets: usize, models: &[CellModel]) -> Vec<Fanout> {
    let mut fanouts = vec![Fanout::default(); nets];
    for model in models {
        let mut pins: Vec<(Net, Sink)> =
            model.arcs.iter().map(|arc| (arc.from, arc.sink)).collect();
        pins.sort_by_key(|&(net, sink)| (net, order_of(sink)));
        pins.dedup();
        let captures = model
            .captures
            .iter()
            .map(|capture| (capture.net, capture.sink));
        for (net, sink) in pins.into_iter().chain(captures) {
            let fanout = &mut fanouts[net as usize];
            fanout.all += 1;
            match sink {
                Sink::RegisterData => fanout.registers += 1,
                Sink::BlockRam => fanout.block_rams += 1,
                Sink::CarryPropagate | Sink::MuxData(_) => fanout.dedicated += 1,
                Sink::Routed | Sink::CarryIn => {}
            }
        }
    }
    fanouts
}

fn order_of(sink: Sink) -> u8 {
    match sink {
        Sink::Routed => 0,
        Sink::RegisterData => 1,
        Sink::CarryIn => 2,
        Sink::CarryPropagate => 3,
        Sink::BlockRam => 4,
        Sink::MuxData(level) => 5 + level,
    }
}

/// Whether cells of type `kind` hold words of a memory.
pub(super) fn is_memory(kind: &str) -> bool {
    ["RAM", "URAM", "DP16KD", "PDPW16KD", "TRELLIS_DPR"]
        .iter()
        .any(|prefix| kind.starts_with(prefix))
}

/// The array in the RTL that a memory cell belongs to: yosys appends two numbers.
pub(super) fn memory_name(cell: &str) -> &str {
    let mut name = cell;
    for _ in 0..2 {
        match name.rsplit_once('.') {
            Some((before, number))
                if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                name = before;
            }
            _ => break,
        }
    }
    name
}

#[cfg(test)]
mod tests;
