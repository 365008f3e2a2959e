//! The protocol stage against the reference, event by event.

pub mod lockstep;
pub mod script;
