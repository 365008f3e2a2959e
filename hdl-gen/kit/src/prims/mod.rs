//! Primitives: memories, queues, arbiters and other parts every stage uses.
//!
//! A primitive has a Rust model that runs in rust-hdl's simulation and either a
//! description in the HDL or a hand-written SystemVerilog body; its bench holds
//! the Verilog against the model.

mod aligner;
mod assertion;
mod carries;
mod checksum;
mod counter;
mod crc32;
mod credits;
mod each_once;
mod fifo;
mod follows;
mod free_list;
mod hash_lookup;
mod linear;
mod monotone;
mod priority;
mod ram;
mod register_file;
mod register_file_n;
mod reorder;
mod rotate;
mod round_robin;
mod stream_mux;
mod stream_register;
mod timing_wheel;
mod toeplitz;
mod true_dual_ram;

pub use aligner::{ByteAligner, ByteBeat};
pub use assertion::Assert;
pub use carries::Carries;
pub use checksum::{ChecksumBeat, ChecksumBeat512};
pub use counter::{SaturatingCounter, WrappingCounter};
pub use crc32::Crc32;
pub use credits::Credits;
pub use each_once::EachOnce;
pub use fifo::{Fifo, FifoOutput};
pub use follows::Follows;
pub use free_list::FreeList;
pub use hash_lookup::{HashEntry, HashLookup, HashResult, WAYS};
pub use monotone::Monotone;
pub use priority::PriorityArbiter;
pub use ram::{Ram, RamWithEnable};
pub use register_file::RegisterFile;
pub use register_file_n::{ReadPort, RegisterFileN};
pub use reorder::Reorder;
pub use rotate::{ByteRotator, rotate_left, rotate_right};
pub use round_robin::{RoundRobin, lowest_one, one_hot_index};
pub use stream_mux::{StreamDemux, StreamMerge, StreamMux};
pub use stream_register::{RegisterMode, StreamRegister};
pub use timing_wheel::{Deadline, TimingWheel};
pub use toeplitz::{TOEPLITZ_SECRET, Toeplitz};
pub use true_dual_ram::{RamPort, TrueDualRam};

/// Bits of an index into `count` things, at least 1.
fn index_bits(count: usize) -> usize {
    rust_hdl_core::prelude::clog2(count).max(1)
}

/// `[n-1:0] `, or nothing for one bit.
fn range(width: usize) -> String {
    if width == 1 {
        String::new()
    } else {
        format!("[{}:0] ", width - 1)
    }
}

/// The bits of address `name` that `words` words need, of the `width` it has.
fn address_of(name: &str, words: usize, width: usize) -> String {
    match index_bits(words) {
        used if used == width => name.to_string(),
        1 => format!("{name}[0]"),
        used => format!("{name}[{}:0]", used - 1),
    }
}
