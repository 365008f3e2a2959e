//! `hallux gen`: the RTL of a design point.

use crate::diagram::diagram;
use crate::output;
use anyhow::{Context, Result, bail};
use hallux_toe::design::DesignPoint;
use hallux_toe::generate::generate;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `hallux gen`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Design points; every TOML file of examples/designs when none is named.
    designs: Vec<PathBuf>,
    /// Directory that receives one directory per design point.
    #[arg(long, default_value = "rtl")]
    out: PathBuf,
    /// Write nothing; fail when the files on disk differ from what would be written.
    #[arg(long)]
    check: bool,
    /// List the modules instead of writing them.
    #[arg(long, conflicts_with = "check")]
    list: bool,
    /// Draw the blocks and streams of the top module as `diagram.svg` beside the RTL, which
    /// is left as it is.
    #[arg(long, conflicts_with_all = ["check", "list"])]
    diagram: bool,
}

/// Where the design points of the project stand.
const DESIGNS: &str = "examples/designs";

/// File name of the diagram.
const DIAGRAM: &str = "diagram.svg";

/// Runs the command.
///
/// # Errors
/// A design point is wrong, or the RTL cannot be read or written.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let designs = named_or_committed(&arguments.designs)?;
    let mut stale = 0;
    for path in &designs {
        let point = DesignPoint::read(path)?;
        let design = generate(&point)?;
        let directory = arguments.out.join(&point.name);
        if arguments.list {
            for module in &design.manifest.modules {
                output::line(format_args!(
                    "{}/{}  {}",
                    point.name, module.file, module.source
                ));
            }
        } else if arguments.diagram {
            let path = directory.join(DIAGRAM);
            std::fs::create_dir_all(&directory)
                .and_then(|()| std::fs::write(&path, diagram(&design.manifest)))
                .with_context(|| format!("cannot write {}", path.display()))?;
            output::line(path.display());
        } else if arguments.check {
            let differing = design.differs(&directory);
            for file in &differing {
                eprintln!("{}", directory.join(file).display());
            }
            stale += differing.len();
        } else {
            design
                .write(&directory)
                .with_context(|| format!("cannot write {}", directory.display()))?;
            output::line(format_args!(
                "{}: {} modules",
                directory.display(),
                design.manifest.modules.len()
            ));
        }
    }
    if stale > 0 {
        bail!("{stale} files differ from the generator's output; `hallux gen` writes them anew");
    }
    Ok(ExitCode::SUCCESS)
}

/// The design points named on the command line, or else those of the project.
pub(super) fn named_or_committed(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    match named {
        [] => committed_designs(Path::new(DESIGNS)),
        named => Ok(named.to_vec()),
    }
}

fn committed_designs(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory).with_context(|| {
        format!(
            "no design point named, and {} cannot be read",
            directory.display()
        )
    })?;
    let mut paths = vec![];
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        bail!("{} holds no design point", directory.display());
    }
    Ok(paths)
}
