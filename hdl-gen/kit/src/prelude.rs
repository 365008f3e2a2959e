//! Everything an author of hardware needs: `use hallux_hdl::prelude::*;`.

pub use crate::elaborate::{Flat, bit, bit_cast, cat, multiply, pack, unpack};
pub use crate::emit;
pub use crate::prims::*;
pub use crate::register::DFF;
pub use crate::stream::{StreamSink, StreamSource};
pub use crate::{dff_setup, join_streams};
pub use hallux_hdl_macros::{LogicBlock, LogicInterface, LogicState, LogicStruct, hdl, hdl_fn};
pub use rust_hdl_core::prelude::{
    Bit, Bits, Block, Clock, In, LiteralType, Local, Logic, LogicJoin, LogicLink, Out, Signal,
    Synth, ToBits, bit_cast, bits, clog2, simulate,
};
