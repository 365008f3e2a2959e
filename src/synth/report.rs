//! What an estimate tells: numbers for programs, a table for people.

use super::hierarchy::Hierarchy;
use super::mapping::Mapped;
use super::place_and_route::Comparison;
use super::technology::{Area, Family, Picoseconds};
use super::walk::{Path, Walk, is_memory, memory_name};
use comfy_table::{CellAlignment, Table, presets};
use hallux_hdl::manifest::Module;
use hallux_toe::units::Frequency;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Version of the report's layout.
pub const SCHEMA: u32 = 1;

/// Words and bits of an UltraRAM.
const ULTRARAM: (u64, u64) = (4096, 72);

/// The estimate of a design.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the design point.
    pub design: String,
    /// Name of its top module.
    pub top: String,
    /// The FPGA family.
    pub family: Family,
    /// What yosys says of itself.
    pub yosys: String,
    /// The clock it is compared with, in MHz.
    pub clock_mhz: Option<f64>,
    /// The modules, from the top down.
    pub modules: Vec<ModuleReport>,
}

/// The estimate of a module with everything inside it.
#[derive(Clone, Debug, Serialize)]
pub struct ModuleReport {
    /// Name.
    pub name: String,
    /// Path of the Rust type it was generated from.
    pub source: String,
    /// How deep below the top it is first met.
    pub depth: usize,
    /// Instances in the whole design.
    pub instances: u64,
    /// What one instance uses.
    pub area: Area,
    /// Block RAMs of 36 Kbit; half ones count one half.
    pub ram36: f64,
    /// UltraRAMs that would hold what is in block RAM, each memory by itself.
    pub ultraram_equivalents: u64,
    /// The longest path, in picoseconds; none if the module has no logic.
    pub critical_ps: Option<Picoseconds>,
    /// The highest clock that path allows, in MHz.
    pub fmax_mhz: Option<f64>,
    /// Period of the clock less the longest path, in picoseconds.
    pub slack_ps: Option<Picoseconds>,
    /// The longest path of each kind, longest first.
    pub worst: Vec<Path>,
    /// The longest paths to different ends, longest first, as many as were asked for.
    pub paths: Vec<Path>,
    /// Small memories that became flip-flops.
    pub memories_in_registers: Vec<String>,
}

impl ModuleReport {
    /// The longest path.
    pub fn critical(&self) -> Option<&Path> {
        self.worst.first()
    }

    /// Whether it meets the clock; `None` where there is no clock or no path.
    pub fn meets(&self) -> Option<bool> {
        self.slack_ps.map(|slack| slack >= 0)
    }
}

/// Period of `clock`, in picoseconds, rounded down.
fn period(clock: Frequency) -> Picoseconds {
    (1_000_000_000_000 / clock.0.max(1)) as Picoseconds
}

pub(super) fn of_module(
    module: &Module,
    hierarchy: &Hierarchy,
    mapped: Mapped,
    walk: Walk,
    clock: Option<Frequency>,
) -> ModuleReport {
    let mut worst: Vec<Path> = walk.worst.into_values().collect();
    worst.sort_by_key(|path| (-path.delay_ps, path.kind));
    let critical_ps = worst.first().map(|path| path.delay_ps);
    ModuleReport {
        name: module.name.clone(),
        source: module.source.clone(),
        depth: hierarchy.depth(&module.name),
        instances: hierarchy.instances(&module.name),
        area: walk.area,
        ram36: walk.area.ram18 as f64 / 2.0,
        ultraram_equivalents: ultrarams(module, hierarchy, &mapped),
        critical_ps,
        fmax_mhz: critical_ps
            .filter(|delay| *delay > 0)
            .map(|delay| (1e9 / delay as f64).round() / 1e3),
        slack_ps: critical_ps
            .zip(clock)
            .map(|(delay, clock)| period(clock) - delay),
        worst,
        paths: walk.paths,
        memories_in_registers: mapped.small_memories,
    }
}

/// UltraRAMs for every memory of which a part is in block RAM.
fn ultrarams(module: &Module, hierarchy: &Hierarchy, mapped: &Mapped) -> u64 {
    // Blocks of 18 Kbit of each memory.
    let mut memories: BTreeMap<&str, u64> = BTreeMap::new();
    for cell in &mapped.netlist.cells {
        let blocks = match cell.kind.as_str() {
            kind if !is_memory(kind) => continue,
            kind if kind.starts_with("RAMB36") => 2,
            kind if kind.starts_with("RAMB18") || kind.contains("16KD") => 1,
            _ => continue,
        };
        *memories.entry(memory_name(&cell.name)).or_default() += blocks;
    }
    let (words, bits) = ULTRARAM;
    memories
        .into_iter()
        .map(
            |(path, blocks)| match hierarchy.memory(&module.name, path) {
                Some(memory) => {
                    u64::from(memory.words).div_ceil(words) * u64::from(memory.bits).div_ceil(bits)
                }
                // Not in the manifest: by capacity.
                None => (blocks * 18 * 1024).div_ceil(words * bits),
            },
        )
        .sum()
}

impl Report {
    /// The module whose longest path is the longest.
    pub fn slowest(&self) -> Option<&ModuleReport> {
        self.modules.iter().max_by_key(|module| module.critical_ps)
    }

    /// A table for people: a line a module, from the top down.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_header([
            "module", "×", "LUT", "RAM LUT", "FF", "BRAM36", "URAM eq.", "DSP", "path ns", "MHz",
            "slack", "levels", "from", "to",
        ]);
        for module in &self.modules {
            if module.area == Area::default() && module.critical_ps.is_none() {
                continue;
            }
            let area = module.area;
            let path = module.critical();
            let optional = |text: Option<String>| text.unwrap_or_else(|| "-".into());
            table.add_row([
                format!("{}{}", "  ".repeat(module.depth), module.name),
                module.instances.to_string(),
                area.luts.to_string(),
                area.memory_luts.to_string(),
                area.flip_flops.to_string(),
                module.ram36.to_string(),
                module.ultraram_equivalents.to_string(),
                area.dsps.to_string(),
                optional(module.critical_ps.map(nanoseconds)),
                optional(module.fmax_mhz.map(|fmax| format!("{fmax:.0}"))),
                optional(module.slack_ps.map(nanoseconds)),
                optional(path.map(|path| path.levels().to_string())),
                optional(path.map(|path| path.start.clone())),
                optional(path.map(end_of)),
            ]);
        }
        for column in table.column_iter_mut().skip(1).take(11) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let mut text = trimmed(&table);
        for module in &self.modules {
            if !module.memories_in_registers.is_empty() {
                let _ = write!(
                    text,
                    "\n{}: in flip-flops, not in memory: {}",
                    module.name,
                    module.memories_in_registers.join(", ")
                );
            }
        }
        text
    }

    /// Which modules meet the clock, in a sentence; nothing where there is no clock.
    pub fn verdict(&self) -> Option<String> {
        let clock = self.clock_mhz?;
        let missing: Vec<&ModuleReport> = self
            .modules
            .iter()
            .filter(|module| module.meets() == Some(false))
            .collect();
        let period = 1000.0 / clock;
        Some(if missing.is_empty() {
            format!("every module meets {clock} MHz ({period:.3} ns)")
        } else {
            let names: Vec<String> = missing
                .iter()
                .map(|module| {
                    let delay = module.critical_ps.map_or_else(String::new, nanoseconds);
                    format!("{} ({delay})", module.name)
                })
                .collect();
            format!(
                "{} of {} modules miss {clock} MHz ({period:.3} ns): {}",
                missing.len(),
                self.modules
                    .iter()
                    .filter(|module| module.meets().is_some())
                    .count(),
                names.join(", ")
            )
        })
    }
}

/// The listing of the paths of a module, cell by cell.
pub fn listing(module: &ModuleReport) -> String {
    let mut text = String::new();
    for (number, path) in module.paths.iter().enumerate() {
        let _ = writeln!(
            text,
            "{} path {}: {} ns, {} -> {} ({}, {} levels)",
            module.name,
            number + 1,
            nanoseconds(path.delay_ps),
            path.start,
            end_of(path),
            path.kind,
            path.levels()
        );
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(["", "at ns", "wire", "cell", "", "fanout", "net", "source"]);
        for step in &path.steps {
            table.add_row([
                "  ",
                &nanoseconds(step.arrival_ps),
                &nanoseconds(step.wire_ps),
                &nanoseconds(step.cell_ps),
                &step.cell,
                &step.fanout.to_string(),
                step.net.as_deref().unwrap_or(""),
                step.source.as_deref().unwrap_or(""),
            ]);
        }
        table.add_row([
            "  ",
            &nanoseconds(path.delay_ps),
            &nanoseconds(path.last_wire_ps),
            &nanoseconds(path.setup_ps),
            "end",
            "",
            &end_of(path),
            "",
        ]);
        for column in [1, 2, 3, 5] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let _ = writeln!(text, "{}", trimmed(&table));
    }
    text.trim_end().to_string()
}

/// A table of estimates beside place and route.
pub fn comparison_table(comparisons: &[Comparison]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header([
        "module",
        "LUT4",
        "estimate ns",
        "routed ns",
        "seeds",
        "error",
        "",
    ]);
    for found in comparisons {
        let seeds: Vec<String> = found.seeds_ps.iter().copied().map(nanoseconds).collect();
        table.add_row([
            found.module.clone(),
            found.luts.to_string(),
            nanoseconds(found.estimated_ps),
            nanoseconds(found.routed_ps),
            seeds.join(" "),
            format!("{:+.1} %", 100.0 * found.error()),
            match found.is_within_limits() {
                true => String::new(),
                false => "BEYOND LIMITS".into(),
            },
        ]);
    }
    for column in [1, 2, 3, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    trimmed(&table)
}

/// The table without blanks at the ends of lines.
fn trimmed(table: &Table) -> String {
    let lines: Vec<String> = table
        .to_string()
        .lines()
        .map(|line| line.trim_end().to_string())
        .collect();
    lines.join("\n")
}

/// The end of a path with the pin, unless that is the data input.
fn end_of(path: &Path) -> String {
    match path.pin {
        None | Some("data") => path.end.clone(),
        Some(pin) => format!("{} ({pin})", path.end),
    }
}

fn nanoseconds(ps: Picoseconds) -> String {
    format!("{:.3}", ps as f64 / 1000.0)
}
