//! What modules exchange with their slots: frames with a verdict, and register accesses.

use crate::channels::{BUS_BITS, BUS_BYTES, Beat};
use hallux_hdl::prelude::*;

/// Verdict: the frame goes on.
pub const PASS: u64 = 0;
/// Verdict: the frame ends here, and is counted.
pub const DROP: u64 = 1;
/// Verdict: the frame goes to the control plane, whatever it is.
pub const REDIRECT: u64 = 2;
/// Verdict: the frame leaves by the wire again.
pub const TRANSMIT: u64 = 3;

/// One beat of a frame on its way through a slot.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Passing<const N: usize = BUS_BITS, const K: usize = BUS_BYTES> {
    /// The beat.
    pub beat: Beat<N, K>,
    /// What the modules before have decided: [`PASS`], [`DROP`], [`REDIRECT`] or
    /// [`TRANSMIT`]; the same on all beats of a frame. The first that is not [`PASS`] stands.
    pub verdict: Bits<2>,
}

/// An access of the host to a module's page of registers.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Access {
    /// In this clock `data` is written; otherwise `word` is looked at, or nothing happens.
    pub write: Bit,
    /// Which of the 512 registers of 64 bits. It stands still until the answer is taken,
    /// [`ANSWER_CLOCKS`] later.
    pub word: Bits<9>,
    /// What is written.
    pub data: Bits<64>,
}

/// Clocks that a module has to answer a read.
pub const ANSWER_CLOCKS: u64 = 3;

/// The earlier verdict stands; where there is none, the own one.
#[hdl_fn]
pub fn first_verdict(earlier: Bits<2>, own: Bits<2>) -> Bits<2> {
    if earlier == bits::<2>(PASS) {
        own
    } else {
        earlier
    }
}
