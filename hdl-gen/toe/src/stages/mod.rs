//! The stages of the data path, one file each; `docs/data-path.md` says what they do.

pub mod arbiter;
pub mod assemble;
pub mod delayed_ack;
pub mod fetch;
pub mod frame_buffer;
pub mod gather;
pub mod group;
pub mod identify;
pub mod identify_pool;
pub mod notify;
pub mod octets;
pub mod parse;
pub mod payload_read;
pub mod payload_write;
pub mod post;
pub mod post_pool;
pub mod protocol;
pub mod rate_wheel;
pub mod registers;
pub mod reorder;
pub mod route;
pub mod scheduler;
pub mod sequence;
pub mod state_cache;
pub mod tally;
pub mod upstream;
