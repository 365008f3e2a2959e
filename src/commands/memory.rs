//! `hallux memory`: a memory in a process of its own.

use crate::outside::{self, OutsidePort, Signals};
use anyhow::Result;
use hallux_channel::Time;
use hallux_channel::simbricks::{Address, Role};
use hallux_cosim::engine::Simulation;
use hallux_host::memory_server::{MemoryServer, MemoryServerConfig};
use std::process::ExitCode;

/// Arguments of `hallux memory`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Channel of the client.
    port: Address,
    /// Bytes of each address space.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30, value_parser = clap::value_parser!(u64).range(1..=64 << 30))]
    size: u64,
    /// From a request to its completion.
    #[arg(long, value_name = "TIME", default_value = "80ns")]
    access: Time,
    #[command(flatten)]
    outside: outside::Arguments,
}

/// Runs the command.
///
/// # Errors
/// The channel cannot be established or breaks.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let signals = Signals::install()?;
    let mut simulation = Simulation::new();
    let component = simulation.add(MemoryServer::new(MemoryServerConfig {
        size: arguments.size,
        access: arguments.access,
    }))?;
    let port = OutsidePort {
        component,
        port: "mem".to_owned(),
        address: arguments.port.clone(),
        role: Role::MemoryServer,
    };
    outside::run(&mut simulation, vec![port], 1, &signals, &arguments.outside)?;
    Ok(ExitCode::SUCCESS)
}
