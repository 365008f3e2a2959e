//! The exchange of a state with the [state cache](super::super::state_cache): the memories
//! give up what a slot holds and take another connection's state.
//!
//! It uses clocks in which no event needs the memories' ports; the cache leaves some. No event of
//! either connection is inside the stage meanwhile, so there is nothing to forward.

use super::flow::Flow;
use super::intervals::Slots;
use hallux_hdl::prelude::*;

/// All that the stage keeps of a connection.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Stored {
    /// TCP state.
    pub flow: Flow,
    /// Highest right edge advertised to the peer.
    pub edge: Bits<32>,
    /// Intervals held out of order.
    pub slots: Slots,
}

/// Bits of a [`Stored`].
pub const STORED_BITS: usize = <Stored as Synth>::BITS;

/// A state for a slot.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Fill {
    /// The slot: what the events' flow id is to the stage.
    pub slot: Bits<16>,
    /// Its new state.
    pub state: Stored,
}

/// How far the exchange is with one of the memories: the state's, the edges', the intervals'.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Progress {
    /// The memory was asked one clock ago.
    pub asked: Bit,
    /// Its answer is held.
    pub got: Bit,
    /// It has the new word.
    pub put: Bit,
}

/// The memory is asked for what the slot holds, in a clock in which its read port is `free`.
#[hdl_fn]
pub fn asks(progress: Progress, free: Bit) -> Bit {
    free & !progress.asked & !progress.got
}

/// The memory takes the new word, in a clock in which its write port is `free`.
#[hdl_fn]
pub fn puts(progress: Progress, free: Bit) -> Bit {
    free & progress.got & !progress.put
}

/// The progress one clock on.
#[hdl_fn]
pub fn advanced(progress: Progress, asks: Bit, puts: Bit) -> Progress {
    Progress {
        asked: asks,
        got: progress.got | progress.asked,
        put: progress.put | puts,
    }
}
