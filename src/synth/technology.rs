//! What a technology tells the walk and the counts about its cells.

use super::netlist::{Bit, Cell, Net};
use serde::Serialize;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

pub mod ecp5;
pub mod ultrascale;

/// Picoseconds, the unit of every delay here.
pub type Picoseconds = i64;

/// An FPGA family that designs are estimated for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
pub enum Family {
    /// Xilinx UltraScale+, the family of the delay model.
    #[serde(rename = "ultrascale+")]
    #[value(name = "ultrascale+", aliases = ["us+", "xcup"])]
    UltraScalePlus,
    /// Lattice ECP5, the family whose place and route is free.
    #[serde(rename = "ecp5")]
    #[value(name = "ecp5")]
    Ecp5,
}

impl Family {
    /// What is known of the family.
    pub fn technology(self) -> &'static dyn Technology {
        match self {
            Family::UltraScalePlus => &ultrascale::UltraScalePlus,
            Family::Ecp5 => &ecp5::Ecp5,
        }
    }
}

/// The cells of a family: how yosys maps to them, what they cost, how fast they are.
pub trait Technology: Sync {
    /// The family's name.
    fn name(&self) -> &'static str;

    /// The yosys command that maps module `top`, flattened; the labels of its steps are
    /// added by who runs it.
    fn mapping(&self, top: &str) -> String;

    /// What `cell` costs and how signals pass through it; `None` for an unknown type.
    fn model(&self, cell: &Cell) -> Option<CellModel>;

    /// Clock-to-out of a block RAM with its output register.
    fn registered_ram(&self) -> Picoseconds;

    /// Delay of the wire from `source` to `sink`, with what it passes besides: a look-up
    /// table that is needed only to get there.
    fn wire(&self, source: Source, sink: Sink, fanout: Fanout) -> Picoseconds;
}

/// What a group of cells uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Area {
    /// Look-up tables: of logic, of distributed memory and of shift registers.
    pub luts: u64,
    /// Those of them that are memory or shift registers.
    pub memory_luts: u64,
    /// Flip-flops.
    pub flip_flops: u64,
    /// Block RAM in units of 18 Kbit.
    pub ram18: u64,
    /// Multipliers (DSP slices).
    pub dsps: u64,
}

impl Area {
    /// Look-up tables of logic.
    pub const fn of_luts(luts: u64) -> Self {
        Self {
            luts,
            memory_luts: 0,
            flip_flops: 0,
            ram18: 0,
            dsps: 0,
        }
    }

    /// Look-up tables used as memory.
    pub const fn of_memory_luts(luts: u64) -> Self {
        Self {
            memory_luts: luts,
            ..Self::of_luts(luts)
        }
    }
}

impl Add for Area {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            luts: self.luts + other.luts,
            memory_luts: self.memory_luts + other.memory_luts,
            flip_flops: self.flip_flops + other.flip_flops,
            ram18: self.ram18 + other.ram18,
            dsps: self.dsps + other.dsps,
        }
    }
}

impl AddAssign for Area {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Area {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::default(), Add::add)
    }
}

/// What drives a net.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Input port of the module.
    Port,
    /// Look-up table, distributed memory or shift register.
    Lut,
    /// Dedicated multiplexer of the given level; 1 joins two look-up tables.
    Mux(u8),
    /// Sum output of a carry chain.
    CarrySum,
    /// Carry output of a carry cell.
    CarryOut,
    /// Flip-flop.
    Register,
    /// Block RAM.
    BlockRam,
    /// Multiplier.
    Dsp,
}

/// What a net leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// A pin that is reached through the routing only.
    Routed,
    /// Data input of a flip-flop.
    RegisterData,
    /// Input of a block RAM.
    BlockRam,
    /// Carry input, next to the carry output of the cell before.
    CarryIn,
    /// The input of a carry cell that a look-up table drives directly.
    CarryPropagate,
    /// Data input of a dedicated multiplexer of the given level.
    MuxData(u8),
}

/// How many sinks of which kind a net has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fanout {
    /// All sinks.
    pub all: u32,
    /// Data inputs of flip-flops.
    pub registers: u32,
    /// Inputs of block RAMs.
    pub block_rams: u32,
    /// Inputs of carry cells and dedicated multiplexers that want their driver beside them.
    pub dedicated: u32,
}

/// A way of a signal through a cell.
#[derive(Clone, Copy, Debug)]
pub struct Arc {
    /// Net at the input.
    pub from: Net,
    /// What kind of input that is.
    pub sink: Sink,
    /// Net at the output.
    pub to: Net,
    /// From pin to pin.
    pub delay: Picoseconds,
}

/// An output that changes after the clock edge.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    /// Net at the output.
    pub net: Net,
    /// From the clock edge.
    pub delay: Picoseconds,
}

/// An input that must hold still before the clock edge.
#[derive(Clone, Copy, Debug)]
pub struct Capture {
    /// Net at the input.
    pub net: Net,
    /// What kind of input that is.
    pub sink: Sink,
    /// What people call the pin, such as `enable`.
    pub pin: &'static str,
    /// Before the clock edge.
    pub setup: Picoseconds,
}

/// What the walk and the counts need to know about a cell.
#[derive(Clone, Debug, Default)]
pub struct CellModel {
    /// What the cell uses.
    pub area: Area,
    /// What drives the nets at its outputs; a cell without outputs has none.
    pub source: Option<Source>,
    /// Outputs that are driven by something else than `source` says.
    pub other_sources: Vec<(Net, Source)>,
    /// Ways through the cell.
    pub arcs: Vec<Arc>,
    /// Outputs that start a path.
    pub launches: Vec<Launch>,
    /// Inputs that end a path.
    pub captures: Vec<Capture>,
    /// True for a level-sensitive latch.
    pub latch: bool,
}

impl CellModel {
    /// A cell of `area` whose outputs are driven by `source`.
    pub fn new(area: Area, source: Source) -> Self {
        Self {
            area,
            source: Some(source),
            ..Self::default()
        }
    }

    /// Adds the ways from every bit of `inputs` to every bit of `outputs`.
    pub fn through(
        mut self,
        cell: &Cell,
        inputs: &[&str],
        sink: Sink,
        outputs: &[&str],
        delay: Picoseconds,
    ) -> Self {
        for input in inputs {
            for output in outputs {
                for from in nets(cell.pin(input)) {
                    for to in nets(cell.pin(output)) {
                        self.arcs.push(Arc {
                            from,
                            sink,
                            to,
                            delay,
                        });
                    }
                }
            }
        }
        self
    }

    /// Lets every bit of `outputs` change `delay` after the clock edge.
    pub fn launching(mut self, cell: &Cell, outputs: &[&str], delay: Picoseconds) -> Self {
        for output in outputs {
            let launches = nets(cell.pin(output)).map(|net| Launch { net, delay });
            self.launches.extend(launches);
        }
        self
    }

    /// Has every bit of `inputs`, which people call `pin`, hold still `setup` before the
    /// clock edge.
    pub fn capturing(
        mut self,
        cell: &Cell,
        pin: &'static str,
        inputs: &[&str],
        sink: Sink,
        setup: Picoseconds,
    ) -> Self {
        for input in inputs {
            let captures = nets(cell.pin(input)).map(|net| Capture {
                net,
                sink,
                pin,
                setup,
            });
            self.captures.extend(captures);
        }
        self
    }
}

/// The nets among `bits`.
pub fn nets(bits: &[Bit]) -> impl Iterator<Item = Net> {
    bits.iter().filter_map(|bit| bit.net())
}
