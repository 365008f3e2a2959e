//! What a run leaves behind: captures, counters and traces.

pub mod pcapng;
pub mod rtt;
pub mod stages;
pub mod trace;
pub mod waves;
