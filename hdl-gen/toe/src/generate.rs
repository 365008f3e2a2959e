//! From a design point to its RTL.

use crate::design::DesignPoint;
use crate::nic::Nic;
use hallux_hdl::emit::{Design, EmitErrors, Options, emit};

/// Name of the top module of every generated NIC.
pub const TOP: &str = "nic";

/// Elaborates and emits the NIC of `point`. The same point gives the same bytes on every
/// machine.
///
/// # Errors
/// The design breaks a rule of the HDL: a mistake in a stage, named with block and signal.
pub fn generate(point: &DesignPoint) -> Result<Design, EmitErrors> {
    let mut options = Options::new(point.name.clone(), TOP);
    options.parameters = point.parameters();
    emit(&Nic::new(point), &options)
}
