//! The address map of BAR 0, and where each register's last value is remembered.

use crate::interface::{COMMAND_WORDS, COUNTERS, context, register};
use hallux_hdl::prelude::*;

/// Words of the shadow memory: 16 for each of 32 contexts, then those of the rest.
pub const SHADOW_WORDS: usize = 1024;
/// First word of the staged command.
const STAGE: u64 = 512;
/// First word of the staged flow-table entry.
const TABLE: u64 = 528;
/// First word of the global registers.
const GLOBAL: u64 = 544;

/// Where an address leads.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum Region {
    /// No register.
    Nothing,
    /// Global registers.
    Global,
    /// A context page.
    Page,
    /// Counter window.
    Counter,
    /// Command staging.
    Stage,
    /// Command start.
    Command,
    /// Flow-table staging.
    Table,
    /// Flow-table commit.
    Commit,
}

/// Where offset `offset` of BAR 0 leads.
#[hdl_fn]
pub fn region(offset: Bits<24>, contexts: u64) -> Region {
    let page = offset.get_bits::<12>(12);
    let word = offset.get_bits::<9>(3);
    if page == bits::<12>(0) {
        if word < bits::<9>(16) {
            Region::Global
        } else {
            Region::Nothing
        }
    } else if page <= bits::<12>(contexts) {
        if word <= bits::<9>(context::INTERRUPT_INTERVAL / 8) {
            Region::Page
        } else {
            Region::Nothing
        }
    } else if page == bits::<12>(register::COUNTERS >> 12) {
        if word < bits::<9>(COUNTERS.len() as u64) {
            Region::Counter
        } else {
            Region::Nothing
        }
    } else if page == bits::<12>(register::COMMAND_STAGE >> 12) {
        if word < bits::<9>(COMMAND_WORDS as u64) {
            Region::Stage
        } else if word == bits::<9>((register::COMMAND & 0xfff) / 8) {
            Region::Command
        } else {
            Region::Nothing
        }
    } else if page == bits::<12>(register::TABLE_ADDRESSES >> 12) {
        if word < bits::<9>(2) {
            Region::Table
        } else if word == bits::<9>(2) {
            Region::Commit
        } else {
            Region::Nothing
        }
    } else {
        Region::Nothing
    }
}

/// The shadow word of register `word` of its region and page.
#[hdl_fn]
pub fn shadow(region: Region, page: Bits<5>, word: Bits<4>) -> Bits<10> {
    match region {
        Region::Page => bit_cast::<10, 9>(cat::<5, 4, 9>(page, word)),
        Region::Stage => bits::<10>(STAGE) | bit_cast::<10, 4>(word),
        Region::Table => bits::<10>(TABLE) | bit_cast::<10, 4>(word),
        _ => bits::<10>(GLOBAL) | bit_cast::<10, 4>(word),
    }
}
