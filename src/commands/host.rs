//! `hallux host`: one host of a scenario in a process of its own.

use crate::output;
use crate::outside::{self, OutsidePort, Signals};
use crate::scenario::Scenario;
use crate::simulation::ending::Ending;
use crate::simulation::hosts::WorkingHost;
use crate::simulation::load_files;
use anyhow::{Context, Result, bail};
use hallux_channel::Time;
use hallux_channel::simbricks::{Address, Role};
use hallux_cosim::engine::Simulation;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Arguments of `hallux host`.
#[derive(clap::Args)]
pub struct Arguments {
    /// SCENARIO#NAME: `rpc-echo.toml#server`, or `#client`.
    host: String,
    /// Channel to its NIC.
    #[arg(long, value_name = "ADDRESS", required_unless_present = "eth")]
    pcie: Option<Address>,
    /// Channel to the network, of a host on an independent stack.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "pcie")]
    eth: Option<Address>,
    /// Replace a value of the scenario.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    outside: outside::Arguments,
}

/// Runs the command.
///
/// # Errors
/// The scenario is wrong, a channel cannot be established or breaks, or what arrived is
/// not what was sent.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let signals = Signals::install()?;
    let (path, name) = arguments
        .host
        .rsplit_once('#')
        .context("name the host behind the scenario, as in rpc-echo.toml#server")?;
    let scenario = Scenario::read(Path::new(path), &arguments.set)?;
    let files = load_files(&scenario)?;
    let host = WorkingHost::of(&scenario, files.as_ref(), name)?;
    let (port, expected) = (host.port, host.expected_bytes);
    let (address, role) = match (&arguments.pcie, &arguments.eth) {
        (Some(address), _) if port == "pcie" => (address, Role::PcieHost),
        (_, Some(address)) if port == "eth0" => (address, Role::Ethernet),
        _ => bail!(
            "{name} of this scenario has a port `{port}`; give its channel with --{}",
            if port == "pcie" { "pcie" } else { "eth" }
        ),
    };
    let settings = &scenario.settings;
    // What follows the work crosses the longest path of the scenario once.
    let settle = [
        settings.link.delay,
        settings.pcie.delay,
        settings.pcie.delay,
    ]
    .iter()
    .fold(Time::ZERO, |sum, delay| sum + Time::from_ps(delay.0));
    let WorkingHost {
        component, work, ..
    } = host;
    // A server serves until its peer ends.
    let ended = match work.client() {
        Some(_) => Arc::clone(&signals.stop),
        None => Arc::new(AtomicBool::new(false)),
    };
    let quantum = Time::from_ps(settings.stop_quantum.0);
    let mut simulation = Simulation::new();
    let id = simulation.add(Ending::new(component, settle, quantum, ended))?;
    let port = OutsidePort {
        component: id,
        port: port.to_owned(),
        address: address.clone(),
        role,
    };
    outside::run(&mut simulation, vec![port], 1, &signals, &arguments.outside)?;
    if let Some(failure) = work.server_failure() {
        bail!("the server application does not listen: {failure}");
    }
    if let Some(work) = work.client() {
        let (verified, mismatched) = (work.verified, work.mismatched);
        if let Some(failure) = work.failures.first() {
            bail!("{failure}");
        }
        if verified != expected || mismatched > 0 {
            bail!("{verified} of {expected} bytes verified, {mismatched} mismatched");
        }
        output::line(format_args!("{verified} bytes verified"));
    }
    Ok(ExitCode::SUCCESS)
}
