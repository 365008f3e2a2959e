//! A segment that reports several blocks goes through the stage block by block.
//!
//! One pass has time to join one block with what was reported before. So a segment with two or
//! three of them (RFC 2018 §3) enters as often: first only the report of the last block, which
//! repeats what an earlier acknowledgement said, and at the end the segment itself with the first.
//! Where acknowledgements are lost, the repetition is what recovery lives on (RFC 6675 §4).
//!
//! What a report counts for is what it would count for in the segment: it changes nothing
//! that the next pass would be judged by. It has no outcome.

use crate::channels::{CLASS_FAST, Event, KIND_RX, Sack};
use hallux_hdl::prelude::*;

/// The event is a segment that reports more than one block.
#[hdl_fn]
pub fn reports_several(event: Event) -> Bit {
    (event.kind == bits::<2>(KIND_RX))
        & (event.class == bits::<2>(CLASS_FAST))
        & event.sack.count.get_bit(1)
}

/// The report of the last of its blocks alone.
#[hdl_fn]
pub fn last_block(event: Event) -> Event {
    Event {
        report: true,
        sack: Sack {
            first: if event.sack.count.get_bit(0) {
                event.sack.third
            } else {
                event.sack.second
            },
            ..event.sack
        },
        ..event
    }
}

/// The segment without the last of its blocks.
#[hdl_fn]
pub fn without_last_block(event: Event) -> Event {
    Event {
        sack: Sack {
            count: event.sack.count - bits::<2>(1),
            ..event.sack
        },
        ..event
    }
}
