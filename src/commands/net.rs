//! `hallux net`: parts of a network in a process of their own.

use crate::observation::{FrameCapture, Observation, PortName};
use crate::output;
use crate::outside::{self, OutsidePort, Signals};
use anyhow::{Context, Result, bail};
use hallux_channel::simbricks::{Address, Role};
use hallux_channel::{Component, LineRate, Probability, Seed, Time};
use hallux_cosim::engine::Simulation;
use hallux_host::network::{Impairments, Switch, SwitchConfig, Traffic, TrafficConfig, Wire};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `hallux net`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    part: Part,
}

/// A part of a network.
#[derive(clap::Subcommand)]
enum Part {
    /// A switch with a shared buffer; one port a channel.
    Switch {
        /// Channels of the ports, in order.
        #[arg(required = true, num_args = 2..)]
        ports: Vec<Address>,
        /// Line rate of every port.
        #[arg(long, default_value = "100Gbps")]
        rate: LineRate,
        /// Bytes that all queues together hold.
        #[arg(long, value_name = "BYTES", default_value_t = 4 << 20)]
        buffer: u64,
        /// Mark frames that find this many bytes in their queue.
        #[arg(long, value_name = "BYTES")]
        ecn_threshold: Option<u64>,
        /// From the last bit in to the first bit out.
        #[arg(long, value_name = "TIME", default_value = "500ns")]
        forwarding_delay: Time,
        #[command(flatten)]
        common: Common,
    },
    /// A wire between two channels, perfect unless told otherwise.
    Wire {
        /// One end.
        a: Address,
        /// The other end.
        b: Address,
        /// Probability that a frame is lost.
        #[arg(long, default_value_t = 0.0)]
        loss: f64,
        /// Probability that a frame arrives twice.
        #[arg(long, default_value_t = 0.0)]
        duplicate: f64,
        /// Probability that a frame is damaged, which its FCS shows.
        #[arg(long, default_value_t = 0.0)]
        corrupt: f64,
        /// Seed of all randomness.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        #[command(flatten)]
        common: Common,
    },
    /// A source of frames of one size at one rate.
    Traffic {
        /// Where they go.
        port: Address,
        /// Share of the line, with preamble and gap.
        #[arg(long, default_value = "10Gbps")]
        load: LineRate,
        /// Line rate.
        #[arg(long, default_value = "100Gbps")]
        rate: LineRate,
        /// Bytes of a frame without FCS.
        #[arg(long, default_value_t = 1514, value_parser = clap::value_parser!(u16).range(60..=9018))]
        size: u16,
        /// Number of the source: of its MAC address 02:00:00:00:01:ID.
        #[arg(long, default_value_t = 1)]
        id: u8,
        /// Number of the destination; all stations unless given.
        #[arg(long)]
        to: Option<u8>,
        /// Frames to send; without an end unless given.
        #[arg(long)]
        count: Option<u64>,
        #[command(flatten)]
        common: Common,
    },
}

/// Options of every part.
#[derive(clap::Args)]
struct Common {
    /// Write the frames at all ports.
    #[arg(long, value_name = "FILE")]
    pcapng: Option<PathBuf>,
    #[command(flatten)]
    outside: outside::Arguments,
}

/// Runs the command.
///
/// # Errors
/// A value is impossible, or a channel cannot be established or breaks.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.part {
        Part::Switch {
            ports,
            rate,
            buffer,
            ecn_threshold,
            forwarding_delay,
            common,
        } => {
            let config = SwitchConfig {
                ports: ports.len(),
                rate: *rate,
                buffer: *buffer,
                ecn_threshold: *ecn_threshold,
                forwarding_delay: *forwarding_delay,
            };
            run(Switch::new("switch", config), ports, 2, common)
        }
        Part::Wire {
            a,
            b,
            loss,
            duplicate,
            corrupt,
            seed,
            common,
        } => {
            let probability = |name: &str, value: f64| {
                Probability::new(value)
                    .with_context(|| format!("--{name} {value} is no probability from 0 to 1"))
            };
            let impairments = Impairments {
                loss: probability("loss", *loss)?,
                duplication: probability("duplicate", *duplicate)?,
                corruption: probability("corrupt", *corrupt)?,
                ..Impairments::default()
            };
            let wire = Wire::new("wire", Seed(*seed), impairments, impairments);
            run(wire, &[a.clone(), b.clone()], 2, common)
        }
        Part::Traffic {
            port,
            load,
            rate,
            size,
            id,
            to,
            count,
            common,
        } => {
            if load.bps() > rate.bps() {
                bail!("--load {load} is more than the line's --rate {rate}");
            }
            let traffic = Traffic::new(TrafficConfig {
                name: format!("traffic-{id}"),
                id: *id,
                to: *to,
                rate: *rate,
                load: *load,
                size: usize::from(*size),
                count: *count,
            });
            run(traffic, std::slice::from_ref(port), 1, common)
        }
    }
}

fn run(
    component: impl Component + 'static,
    addresses: &[Address],
    needed: usize,
    common: &Common,
) -> Result<ExitCode> {
    let signals = Signals::install()?;
    let name = component.name().to_owned();
    let names: Vec<String> = component
        .ports()
        .iter()
        .map(|port| port.name.clone())
        .collect();
    let port = |port: &String| PortName {
        component: name.clone(),
        port: port.clone(),
    };
    let frames = common.pcapng.iter().map(|path| FrameCapture {
        ports: names.iter().map(port).collect(),
        path: path.clone(),
    });
    let mut observation = Observation::create(&frames.collect::<Vec<_>>(), None, None)?;
    let mut simulation = Simulation::new();
    let id = simulation.add(component)?;
    observation.attach(&mut simulation, &[], || bail!("no NIC is recorded"))?;
    let ports = names
        .iter()
        .zip(addresses)
        .map(|(port, address)| OutsidePort {
            component: id,
            port: port.clone(),
            address: address.clone(),
            role: Role::Ethernet,
        });
    let ended = outside::run(
        &mut simulation,
        ports.collect(),
        needed,
        &signals,
        &common.outside,
    );
    drop(simulation);
    match ended {
        Ok(_) => {
            for path in observation.publish()? {
                output::line(format_args!("written: {}", path.display()));
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            observation.keep_incomplete();
            Err(error)
        }
    }
}
