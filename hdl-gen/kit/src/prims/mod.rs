//! Primitives: memories, queues, arbiters and other parts every stage uses.
//!
//! A primitive has a Rust model that runs in rust-hdl's simulation and either a
//! description in the HDL or a hand-written SystemVerilog body; its bench holds
//! the Verilog against the model.

mod assertion;
mod checksum;
mod crc32;
mod fifo;
mod ram;
mod register_file;
mod reorder;
mod rotate;
mod round_robin;
mod stream_register;

pub use assertion::Assert;
pub use checksum::ChecksumBeat512;
pub use crc32::Crc32;
pub use fifo::Fifo;
pub use ram::{Ram, RamWithEnable};
pub use register_file::RegisterFile;
pub use reorder::Reorder;
pub use rotate::{ByteRotator512, rotate_left_512, rotate_right_512};
pub use round_robin::{RoundRobin, lowest_one, one_hot_index};
pub use stream_register::StreamRegister;

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
