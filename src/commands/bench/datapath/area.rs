//! What design points cost in an UltraScale+ FPGA and how fast they may run, by `hallux synth`'s
//! method: every stage mapped by itself, once for all designs that have it.

use super::report::{plain, trimmed};
use crate::synth::{self, Options, Report, report::ModuleReport};
use anyhow::{Context, Result};
use comfy_table::CellAlignment;
use hallux_hdl::emit::Design;
use hallux_toe::design::{DesignPoint, SameFlow};
use hallux_toe::generate::{TOP, generate};
use serde::Serialize;

/// The module that holds the stages of a flow group.
const GROUP: &str = "group";

/// A stage, or a whole NIC.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    pub name: String,
    pub instances: u64,
    /// Look-up tables of one instance.
    pub luts: u64,
    pub flip_flops: u64,
    /// Block RAMs of 36 Kbit.
    pub ram36: f64,
    /// The longest path, in ps.
    pub path_ps: i64,
    /// What is left of the clock's period; negative if the clock is missed.
    pub slack_ps: i64,
    pub from: String,
    pub to: String,
}

impl Part {
    fn of(report: &ModuleReport) -> Self {
        let critical = report.critical();
        Self {
            name: report.name.clone(),
            instances: report.instances,
            luts: report.area.luts,
            flip_flops: report.area.flip_flops,
            ram36: report.ram36,
            path_ps: report.critical_ps.unwrap_or(0),
            slack_ps: report.slack_ps.unwrap_or(0),
            from: critical.map_or_else(String::new, |path| path.start.clone()),
            to: critical.map_or_else(String::new, |path| path.end.clone()),
        }
    }

    fn row(&self) -> [String; 9] {
        [
            self.name.clone(),
            self.instances.to_string(),
            self.luts.to_string(),
            self.flip_flops.to_string(),
            self.ram36.to_string(),
            nanoseconds(self.path_ps),
            nanoseconds(self.slack_ps),
            self.from.clone(),
            self.to.clone(),
        ]
    }
}

fn nanoseconds(ps: i64) -> String {
    format!("{:.3}", ps as f64 / 1000.0)
}

/// A NIC and its stages.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    pub design: String,
    pub clock_mhz: f64,
    /// Cells of the whole NIC; its longest path may cross from stage to stage.
    #[serde(flatten)]
    pub whole: Part,
    pub stages: Vec<Part>,
}

impl Cost {
    /// The stage with the longest path.
    fn slowest(&self) -> Option<&Part> {
        self.stages.iter().max_by_key(|stage| stage.path_ps)
    }

    /// The stages for people.
    pub fn table(&self) -> String {
        let name = format!("{}, UltraScale+, {} MHz", self.design, self.clock_mhz);
        let header = [
            &name, "×", "LUT", "FF", "RAM36", "path ns", "slack", "from", "to",
        ];
        let mut table = plain(&header);
        for part in self.stages.iter().chain([&self.whole]) {
            table.add_row(part.row());
        }
        for column in [7, 8] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Left);
            }
        }
        trimmed(&table) + "\n"
    }
}

/// Maps the NIC of `point` and every stage of it; for the first time tens of minutes.
///
/// # Errors
/// There is no yosys, or it refuses the design.
pub fn measure(point: &DesignPoint, tell: &(dyn Fn(&str) + Sync)) -> Result<Cost> {
    let design = generate(point)?;
    // What stands in the top module and in a flow group.
    let mut modules = vec![TOP.to_owned()];
    for outer in [TOP, GROUP] {
        modules.extend(synth::inside(&design.manifest, outer));
    }
    modules.retain(|module| module != GROUP);
    let report = estimate(&design, modules, tell)?;
    let parts = report.modules.iter().map(Part::of);
    let (whole, stages): (Vec<_>, Vec<_>) = parts.partition(|part| part.name == TOP);
    Ok(Cost {
        design: point.name.clone(),
        clock_mhz: report.clock_mhz.context("a design point has a clock")?,
        whole: whole.into_iter().next().context("nothing was estimated")?,
        stages,
    })
}

fn estimate(design: &Design, modules: Vec<String>, tell: &(dyn Fn(&str) + Sync)) -> Result<Report> {
    let files = design.files.iter();
    let sources: Vec<_> = files
        .map(|file| (file.name.clone(), file.text.clone()))
        .collect();
    let options = Options {
        modules,
        split: vec![TOP.to_owned(), GROUP.to_owned()],
        ..Options::default()
    };
    let report = synth::estimate(&design.manifest, &sources, &options, &mut |line| tell(line))?;
    Ok(report)
}

/// The protocol stage in one hazard mode.
#[derive(Clone, Debug, Serialize)]
pub struct Hazard {
    pub same_flow: SameFlow,
    #[serde(flatten)]
    pub protocol: Part,
}

/// Maps the protocol stage of `point` in every hazard mode.
///
/// # Errors
/// As [`measure`].
pub fn hazards(point: &DesignPoint, tell: &(dyn Fn(&str) + Sync)) -> Result<Vec<Hazard>> {
    let of = |same_flow| {
        tell(&format!("protocol stage of {}, {same_flow:?}", point.name));
        let point = DesignPoint {
            same_flow,
            ..point.clone()
        };
        let report = estimate(&generate(&point)?, vec!["protocol".to_owned()], tell)?;
        let module = report.modules.first().context("nothing was estimated")?;
        Ok(Hazard {
            same_flow,
            protocol: Part::of(module),
        })
    };
    [SameFlow::Forward1, SameFlow::Forward2, SameFlow::Lock]
        .into_iter()
        .map(of)
        .collect()
}

/// The hazard modes for people.
pub fn hazard_table(hazards: &[Hazard]) -> String {
    let header = ["same_flow", "LUT", "FF", "RAM36", "path ns", "slack"];
    let mut table = plain(&header);
    for hazard in hazards {
        let part = &hazard.protocol;
        table.add_row([
            format!("{:?}", hazard.same_flow).to_lowercase(),
            part.luts.to_string(),
            part.flip_flops.to_string(),
            part.ram36.to_string(),
            nanoseconds(part.path_ps),
            nanoseconds(part.slack_ps),
        ]);
    }
    trimmed(&table) + "\n"
}

/// A line a design for people.
pub fn summary(costs: &[Cost]) -> String {
    let mut table = plain(&[
        "UltraScale+",
        "MHz",
        "LUT",
        "FF",
        "RAM36",
        "slowest stage",
        "path ns",
        "slack",
        "whole, path ns",
    ]);
    for cost in costs {
        let slowest = cost.slowest();
        let text = |of: &dyn Fn(&Part) -> String| slowest.map_or_else(String::new, of);
        table.add_row([
            cost.design.clone(),
            cost.clock_mhz.to_string(),
            cost.whole.luts.to_string(),
            cost.whole.flip_flops.to_string(),
            cost.whole.ram36.to_string(),
            text(&|part| part.name.clone()),
            text(&|part| nanoseconds(part.path_ps)),
            text(&|part| nanoseconds(part.slack_ps)),
            nanoseconds(cost.whole.path_ps),
        ]);
    }
    trimmed(&table)
}
