//! Primitives: memories, queues, arbiters and other parts every stage uses.

mod checksum;
mod crc32;
mod fifo;
mod ram;
mod reorder;
mod stream_register;

pub use checksum::ChecksumBeat512;
pub use crc32::Crc32;
pub use fifo::Fifo;
pub use ram::Ram;
pub use reorder::Reorder;
pub use stream_register::StreamRegister;
