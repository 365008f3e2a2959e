//! From a design point to its RTL.

use crate::channels::BUS_WIDTHS;
use crate::design::DesignPoint;
use crate::modules::plan::{self, ModuleError};
use crate::nic::Nic;
use hallux_hdl::emit::{Design, EmitErrors, Options, emit};
use std::io;
use std::panic::resume_unwind;
use std::thread;

/// Name of the top module of every generated NIC.
pub const TOP: &str = "nic";

/// Bytes of stack for the elaboration. A NIC is put together by value, and what is not
/// optimised moves it through many frames: more than a thread has by default.
const STACK: usize = 64 << 20;

/// Why a design point has no RTL.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// No data bus of this width is built.
    #[error(
        "design point `{name}`: a data bus of {bits} bits is not built; take one of {BUS_WIDTHS:?}"
    )]
    BusWidth {
        /// Name of the design point.
        name: String,
        /// Its `bus_bits`.
        bits: u32,
    },
    /// An extension module does not fit into its slot.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// The design breaks a rule of the HDL: a mistake in a stage, named with block and
    /// signal.
    #[error(transparent)]
    Emit(#[from] EmitErrors),
    /// No thread for the elaboration.
    #[error("cannot start a thread with {STACK} bytes of stack for the elaboration: {0}")]
    Thread(#[source] io::Error),
}

/// Elaborates and emits the NIC of `point`. The same point gives the same bytes on every
/// machine.
///
/// # Errors
/// A width that is not built, a module that does not fit, or a mistake in a stage.
pub fn generate(point: &DesignPoint) -> Result<Design, GenerateError> {
    plan::check(&point.modules)?;
    thread::scope(|scope| {
        let elaboration = thread::Builder::new().stack_size(STACK);
        let elaboration = elaboration
            .spawn_scoped(scope, || elaborate(point))
            .map_err(GenerateError::Thread)?;
        elaboration
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn elaborate(point: &DesignPoint) -> Result<Design, GenerateError> {
    let mut options = Options::new(point.name.clone(), TOP);
    options.parameters = point.parameters();
    Ok(match point.bus_bits {
        256 => emit(&Nic::<256, 32>::new(point), &options)?,
        512 => emit(&Nic::<512, 64>::new(point), &options)?,
        1024 => emit(&Nic::<1024, 128>::new(point), &options)?,
        bits => {
            return Err(GenerateError::BusWidth {
                name: point.name.clone(),
                bits,
            });
        }
    })
}
