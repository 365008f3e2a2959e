//! What a design point costs in an UltraScale+ FPGA, by `hallux synth`'s method.

use crate::synth::{self, Options, report::ModuleReport};
use anyhow::{Context, Result};
use hallux_toe::design::DesignPoint;
use hallux_toe::generate::{TOP, generate};
use serde::Serialize;

/// Cells of a whole NIC.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    pub design: String,
    pub luts: u64,
    pub flip_flops: u64,
    /// Block RAMs of 36 Kbit.
    pub ram36: f64,
}

/// Maps the NIC of `point`: minutes.
///
/// # Errors
/// There is no yosys, or it refuses the design.
pub fn measure(point: &DesignPoint, tell: &(dyn Fn(&str) + Sync)) -> Result<Cost> {
    let design = generate(point)?;
    let files = design.files.iter();
    let sources: Vec<_> = files
        .map(|file| (file.name.clone(), file.text.clone()))
        .collect();
    let options = Options {
        modules: vec![TOP.to_owned()],
        ..Options::default()
    };
    let report = synth::estimate(&design.manifest, &sources, &options, &mut |line| tell(line))?;
    let top: &ModuleReport = report.modules.first().context("nothing was estimated")?;
    Ok(Cost {
        design: point.name.clone(),
        luts: top.area.luts,
        flip_flops: top.area.flip_flops,
        ram36: top.ram36,
    })
}
