//! Blocks in the HDL with a twin in hand-written SystemVerilog of the same function and the
//! same ports, to the bit and the cycle: what generating costs, in speed and in area.
//!
//! The hand-written ones stand in `testbenches/hand/`. `cargo run --release -p
//! testbenches --example twins` compares them.

mod connection;
mod measure;
mod parser;
mod workers;

pub use connection::{Connection, ConnectionState, Segment, Verdict};
pub use measure::{Comparison, TwinError, compare, look_up_tables, verify};
pub use parser::{Header, Parser};
pub use workers::{Worker, Workers};

use hallux_hdl::emit::{Design, EmitErrors, Options, emit};
use hallux_hdl::manifest::Manifest;
use hallux_hdl::prelude::{Bits, ByteRotator, ChecksumBeat512, StreamRegister};

/// A function in both forms.
pub struct Twin {
    /// Name of the function and of both top modules.
    pub name: &'static str,
    /// The generated one.
    pub generated: Design,
    /// The text of the hand-written one.
    pub hand: String,
    /// Inputs that are set in this percentage of cycles; all others are random.
    pub often: &'static [(&'static str, u32)],
    /// Words of memory that a run of inputs has to fill, by address on the first of
    /// `fill_ports` with the second one set, before outputs are defined.
    pub fill: Option<(&'static str, &'static str, u64)>,
}

impl Twin {
    /// Files of the generated form.
    pub fn generated_sources(&self) -> Vec<(String, String)> {
        let files = self.generated.files.iter();
        files
            .map(|file| (file.name.clone(), file.text.clone()))
            .collect()
    }

    /// Manifest and file of the hand-written form: the ports are the same.
    pub fn hand_sources(&self) -> (Manifest, Vec<(String, String)>) {
        let mut manifest = self.generated.manifest.clone();
        manifest.modules.retain(|module| module.name == self.name);
        for module in &mut manifest.modules {
            module.source = "hand-written".into();
            module.instances.clear();
            module.streams.clear();
            module.memories.clear();
        }
        let file = (format!("{}.sv", self.name), self.hand.clone());
        (manifest, vec![file])
    }
}

macro_rules! hand {
    ($name:literal) => {
        include_str!(concat!("../../hand/", $name, ".sv"))
    };
}

/// All twins.
///
/// # Errors
/// A block breaks a rule of the HDL.
pub fn all() -> Result<Vec<Twin>, EmitErrors> {
    let options = |name: &str| Options::new("twins", name);
    Ok(vec![
        Twin {
            name: "skid",
            generated: emit(&StreamRegister::<Bits<593>>::default(), &options("skid"))?,
            hand: hand!("skid").into(),
            often: &[("rst", 0), ("s_valid", 80), ("m_ready", 80)],
            fill: None,
        },
        Twin {
            name: "checksum",
            generated: emit(&ChecksumBeat512::default(), &options("checksum"))?,
            hand: hand!("checksum").into(),
            often: &[],
            fill: None,
        },
        Twin {
            name: "parser",
            generated: emit(&Parser::default(), &options("parser"))?,
            hand: hand!("parser").into(),
            often: &[("rst", 0), ("first", 70), ("valid", 90)],
            fill: None,
        },
        Twin {
            name: "rotator",
            generated: emit(&ByteRotator::<512, 6>::default(), &options("rotator"))?,
            hand: hand!("rotator").into(),
            often: &[("enable", 90)],
            fill: None,
        },
        Twin {
            name: "connection",
            generated: emit(&Connection::default(), &options("connection"))?,
            hand: hand!("connection").into(),
            often: &[("rst", 0), ("s_valid", 90), ("setup_enable", 5)],
            fill: Some(("setup_flow", "setup_enable", 1024)),
        },
        Twin {
            name: "workers",
            generated: emit(&Workers::default(), &options("workers"))?,
            hand: hand!("workers").into(),
            often: &[("rst", 0), ("s_valid", 90), ("m_ready", 90)],
            fill: None,
        },
    ])
}
