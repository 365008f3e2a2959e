//! Ready/valid channels.
//!
//! A word is transferred at every rising clock edge at which `valid` and
//! `ready` are both high. `valid` must not depend on `ready` in the same cycle,
//! and must not fall, nor `data` change, until the word is taken.

use hallux_hdl_macros::LogicInterface;
use rust_hdl_core::prelude::{In, Out, Signal, Synth};

/// The receiving end of a channel: data come towards the block.
#[derive(Clone, Debug, LogicInterface)]
#[join = "StreamSource"]
pub struct StreamSink<T: Synth> {
    /// The word.
    pub data: Signal<In, T>,
    /// `data` holds a word.
    pub valid: Signal<In, bool>,
    /// The block takes the word in this cycle.
    pub ready: Signal<Out, bool>,
}

/// The sending end of a channel: data go away from the block.
#[derive(Clone, Debug, LogicInterface)]
#[join = "StreamSink"]
pub struct StreamSource<T: Synth> {
    /// The word.
    pub data: Signal<Out, T>,
    /// `data` holds a word.
    pub valid: Signal<Out, bool>,
    /// The other side takes the word in this cycle.
    pub ready: Signal<In, bool>,
}

impl<T: Synth> Default for StreamSink<T> {
    fn default() -> Self {
        Self {
            data: Signal::default(),
            valid: Signal::default(),
            ready: Signal::default(),
        }
    }
}

impl<T: Synth> Default for StreamSource<T> {
    fn default() -> Self {
        Self {
            data: Signal::default(),
            valid: Signal::default(),
            ready: Signal::default(),
        }
    }
}

/// Sends the words of a [`StreamSource`] to a [`StreamSink`]:
/// `join_streams!(self.parser.m, self.queue.s)`.
///
/// As `join`, but also for two elements of the same array, which Rust cannot
/// borrow mutably at once.
#[macro_export]
macro_rules! join_streams {
    ($source:expr, $sink:expr $(,)?) => {
        $sink.data.next = $source.data.val();
        $sink.valid.next = $source.valid.val();
        $source.ready.next = $sink.ready.val();
    };
}
