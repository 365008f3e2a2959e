//! The compiled model of a design point: generated, built or found in the cache.

use anyhow::{Context, Result};
use hallux_hdl::emit::{Design, SourceFile};
use hallux_hdl::manifest::Manifest;
use hallux_toe::design::DesignPoint;
use hallux_toe::generate::generate;
use hallux_verilator::{Build, Library, Profile, Toolchain, TraceFormat};
use std::path::Path;
use std::sync::Arc;

/// What the model must be able to do beside being evaluated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Abilities {
    /// Write waveforms.
    pub waves: bool,
    /// Save and restore its state.
    pub savable: bool,
}

/// A design with its compiled model.
pub struct BuiltModel {
    /// RTL and manifest.
    pub design: Design,
    /// The loaded library.
    pub library: Arc<Library>,
    /// The tools that were used.
    pub toolchain: Toolchain,
}

/// Generates the RTL of `point` and builds its model for measurement.
///
/// # Errors
/// A tool is missing, or the RTL cannot be generated or built.
pub fn build(
    point: &DesignPoint,
    abilities: Abilities,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<BuiltModel> {
    // The compiler cannot be fetched, so its absence is told before any work is done.
    let toolchain = Toolchain::discover(&mut |line| progress(line))?;
    let design = generate(point).with_context(|| format!("design point {}", point.name))?;
    compile(design, toolchain, abilities, progress)
}

/// Builds the model of the RTL in `directory`, which `hallux gen` wrote and somebody may
/// have changed since: its files are taken as they are, its manifest tells their ports.
///
/// # Errors
/// A tool is missing, a file cannot be read, or the RTL cannot be built.
pub fn build_from(
    directory: &Path,
    abilities: Abilities,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<BuiltModel> {
    let toolchain = Toolchain::discover(&mut |line| progress(line))?;
    let read = |name: &str| {
        let path = directory.join(name);
        std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read the RTL in {}", path.display()))
    };
    let manifest: Manifest = serde_json::from_str(&read("manifest.json")?).with_context(|| {
        format!(
            "{} is no manifest",
            directory.join("manifest.json").display()
        )
    })?;
    let files = manifest
        .modules
        .iter()
        .map(|module| {
            Ok(SourceFile {
                name: module.file.clone(),
                text: read(&module.file)?,
            })
        })
        .collect::<Result<_>>()?;
    compile(Design { files, manifest }, toolchain, abilities, progress)
}

fn compile(
    design: Design,
    toolchain: Toolchain,
    abilities: Abilities,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<BuiltModel> {
    let sources: Vec<(String, String)> = design
        .files
        .iter()
        .map(|file| (file.name.clone(), file.text.clone()))
        .collect();
    let library = Build::new(&design.manifest, &sources)
        .profile(Profile::Measure)
        .trace(abilities.waves.then_some(TraceFormat::Fst))
        .savable(abilities.savable)
        .progress(progress)
        .build(&toolchain)?;
    Ok(BuiltModel {
        design,
        library,
        toolchain,
    })
}
