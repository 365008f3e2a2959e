//! `hallux nic`: the RTL NIC in a process of its own, between any host and any network
//! that speak SimBricks.

use crate::model::{self, Abilities};
use crate::observation::{FrameCapture, Observation, PcieLog, PortName};
use crate::output;
use crate::outside::{self, OutsidePort, Signals};
use crate::recording::{Description, RECORDING_SCHEMA};
use crate::scenario::{Pcie, Scenario};
use crate::simulation::NIC;
use anyhow::Result;
use hallux_channel::simbricks::{Address, Bar, DeviceIntro, Role};
use hallux_cosim::engine::Simulation;
use hallux_cosim::nic::{RtlNic, SkipMode};
use hallux_toe::design::DesignPoint;
use hallux_toe::document::Document;
use hallux_toe::interface;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `hallux nic`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A design point; or SCENARIO#NAME for a NIC with the PCIe link, rate and seed of a
    /// scenario.
    design: String,
    /// Channel to the host.
    #[arg(long, value_name = "ADDRESS")]
    pcie: Address,
    /// Channel to the network.
    #[arg(long, value_name = "ADDRESS")]
    eth: Address,
    /// Replace a value of the design point or scenario.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// What is done with clock cycles in which nothing can happen: `on`, `off`, `verify`.
    #[arg(long, default_value = "on")]
    skip: SkipMode,
    /// Write the frames at the Ethernet port.
    #[arg(long, value_name = "FILE")]
    pcapng: Option<PathBuf>,
    /// Write every message between NIC and host, as a table or as a capture.
    #[arg(long, value_name = "FILE.tsv|FILE.pcapng")]
    pcie_log: Option<PcieLog>,
    /// Write everything that passes the ports, for `hallux replay`.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    outside: outside::Arguments,
}

/// Runs the command.
///
/// # Errors
/// The design is wrong, a tool is missing, or a channel cannot be established or breaks.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let signals = Signals::install()?;
    let mut description = describe(arguments)?;
    let name = description.nic.clone();
    let frames = arguments.pcapng.iter().map(|path| FrameCapture {
        ports: vec![PortName {
            component: name.clone(),
            port: "eth".to_owned(),
        }],
        path: path.clone(),
    });
    let mut observation = Observation::create(
        &frames.collect::<Vec<_>>(),
        arguments.pcie_log.as_ref(),
        arguments.record.as_deref(),
    )?;
    let abilities = Abilities {
        waves: false,
        savable: arguments.skip == SkipMode::Verify,
    };
    let design = description.design.clone();
    let model = model::build(&design, abilities, &|line| eprintln!("hallux: {line}"))?;
    description.rtl.clone_from(&model.design.manifest.hash);
    let mut config = description.nic_config(&design)?;
    config.skip = arguments.skip;

    let mut simulation = Simulation::new();
    let nic = simulation.add(RtlNic::new(config, &model.library)?)?;
    if arguments.pcapng.is_some() {
        simulation.tap((nic, "eth"), name.as_str())?;
    }
    observation.attach(&mut simulation, &[(name, nic)], || Ok(description))?;
    let port = |port: &str, address: &Address, role| OutsidePort {
        component: nic,
        port: port.to_owned(),
        address: address.clone(),
        role,
    };
    let ports = vec![
        port(
            "pcie",
            &arguments.pcie,
            Role::PcieDevice(Box::new(device(&design))),
        ),
        port("eth", &arguments.eth, Role::Ethernet),
    ];
    let ended = outside::run(&mut simulation, ports, 2, &signals, &arguments.outside);
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

/// What makes the NIC.
fn describe(arguments: &Arguments) -> Result<Description> {
    if let Some((path, name)) = arguments.design.rsplit_once('#') {
        let scenario = Scenario::read(Path::new(path), &arguments.set)?;
        return Ok(Description {
            schema: RECORDING_SCHEMA.to_owned(),
            nic: name.to_owned(),
            rtl: String::new(),
            seed: scenario.settings.seed,
            rate: scenario.line_rate(),
            pcie: scenario.settings.pcie,
            design: scenario.design,
        });
    }
    let mut document = Document::read(Path::new(&arguments.design))?;
    for assignment in &arguments.set {
        document.set(assignment)?;
    }
    let design = DesignPoint::from_document(&document)?;
    Ok(Description {
        schema: RECORDING_SCHEMA.to_owned(),
        nic: NIC.to_owned(),
        rtl: String::new(),
        seed: 1,
        rate: design.line_rate,
        pcie: Pcie::default(),
        design,
    })
}

/// What the host shows of the NIC: its registers in region 0, and in region 2, which
/// nobody reads, the MSI-X table that the host keeps.
fn device(design: &DesignPoint) -> DeviceIntro {
    let mut device = DeviceIntro {
        vendor: interface::VENDOR_ID,
        device: interface::DEVICE_ID,
        // An Ethernet controller (PCI Code and ID Assignment Specification §1.3).
        class: 0x02,
        msix_vectors: design.contexts as u16,
        msix_table_bar: interface::MSIX_BAR,
        msix_pba_bar: interface::MSIX_BAR,
        msix_table_offset: 0,
        msix_pba_offset: 0x1000,
        msix_capability: 0x70,
        ..DeviceIntro::default()
    };
    device.bars[usize::from(interface::BAR)] = Bar {
        len: interface::BAR_BYTES,
        flags: Bar::WIDE,
    };
    device.bars[usize::from(interface::MSIX_BAR)] = Bar {
        len: 0x2000,
        flags: Bar::WIDE | Bar::DUMMY,
    };
    device
}
