//! From SystemVerilog to C++: runs Verilator and checks what it emitted.

use super::{Build, BuildError, Plan, run};
use crate::layout::Layout;
use crate::shim::{self, CLASS, EmittedPort};
use crate::toolchain::Toolchain;
use crate::verilator::Verilator;
use hallux_hdl::manifest::Manifest;
use std::fs;
use std::path::Path;

/// Checks a design with all of Verilator's warnings, without building anything.
///
/// # Errors
/// Any warning or error, with what Verilator said.
pub fn lint(
    toolchain: &Toolchain,
    manifest: &Manifest,
    sources: &[(String, String)],
) -> Result<(), BuildError> {
    super::check_names(sources)?;
    let work = toolchain.cache().staging()?;
    write_sources(sources, work.path())?;
    let mut command = toolchain.verilator().command();
    command.current_dir(work.path());
    command.args(["--lint-only", "-Wall", "--top-module", &manifest.top]);
    command.args(sources.iter().map(|(name, _)| name));
    match run(&mut command)? {
        (true, _) => Ok(()),
        (false, output) => Err(BuildError::Verilator {
            top: manifest.top.clone(),
            output,
        }),
    }
}

/// Leaves the emitted C++ and the shim in `work`.
pub(super) fn verilate(
    build: &Build,
    plan: &Plan,
    layout: &Layout,
    verilator: &Verilator,
    work: &Path,
) -> Result<(), BuildError> {
    write_sources(build.sources, work)?;
    let mut command = verilator.command();
    command.current_dir(work);
    command.args(["--cc", "--Mdir", ".", "--prefix", CLASS, "--top-module"]);
    command.arg(&layout.top);
    command.args(&plan.verilator_flags);
    command.args(build.sources.iter().map(|(name, _)| name));
    let (success, output) = run(&mut command)?;
    if !success {
        let top = layout.top.clone();
        return Err(BuildError::Verilator { top, output });
    }
    if !output.trim().is_empty() {
        tracing::debug!("Verilator: {}", output.trim());
    }
    let header_file = work.join(format!("{CLASS}.h"));
    let header = fs::read_to_string(&header_file).map_err(BuildError::io(&header_file))?;
    check_ports(layout, &shim::emitted_ports(&header))?;
    let write = |name: &str, text: &str| {
        let path = work.join(name);
        fs::write(&path, text).map_err(BuildError::io(&path))
    };
    write(
        "ports.h",
        &shim::ports_header(layout, plan.trace, build.savable),
    )?;
    write("shim.cpp", shim::SHIM_SOURCE)
}

fn write_sources(sources: &[(String, String)], work: &Path) -> Result<(), BuildError> {
    for (name, text) in sources {
        let path = work.join(name);
        fs::write(&path, text).map_err(BuildError::io(&path))?;
    }
    Ok(())
}

/// Holds the ports that Verilator emitted against those of the manifest.
fn check_ports(layout: &Layout, emitted: &[EmittedPort]) -> Result<(), BuildError> {
    let clock = layout.clock.as_deref().map(|name| (name, true, 1));
    let inputs = layout
        .inputs
        .ports
        .iter()
        .map(|p| (p.name.as_str(), true, p.width));
    let outputs = layout
        .outputs
        .ports
        .iter()
        .map(|p| (p.name.as_str(), false, p.width));
    let listed: Vec<_> = clock.into_iter().chain(inputs).chain(outputs).collect();
    let differs = |port: &str, difference: String| {
        Err(BuildError::Ports {
            top: layout.top.clone(),
            port: port.into(),
            difference,
        })
    };
    let describe = |is_input: bool, width: u32| {
        let direction = if is_input { "input" } else { "output" };
        format!("{width}-bit {direction}")
    };
    for &(name, is_input, width) in &listed {
        let here = describe(is_input, width);
        match emitted.iter().find(|port| port.name == name) {
            None => return differs(name, format!("{here} in the manifest, missing in the RTL")),
            Some(port) if (port.is_input, port.width) != (is_input, width) => {
                let there = describe(port.is_input, port.width);
                return differs(name, format!("{here} in the manifest, {there} in the RTL"));
            }
            Some(_) => {}
        }
    }
    match emitted
        .iter()
        .find(|port| !listed.iter().any(|&(name, ..)| name == port.name))
    {
        Some(port) => differs(&port.name, "missing in the manifest".into()),
        None => Ok(()),
    }
}
