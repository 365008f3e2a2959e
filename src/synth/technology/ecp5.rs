//! Lattice ECP5, held against real place and route.

use super::{Area, CellModel, Fanout, Picoseconds, Sink, Source, Technology};
use crate::synth::netlist::Cell;

/// A look-up table of four inputs.
const LUT: Picoseconds = 240;
/// A wire through the routing.
const NET: Picoseconds = 600;
/// Two bits of a carry chain.
const CARRY2: Picoseconds = 71;
/// From an input of a carry cell to its carry output.
const INTO_CARRY: Picoseconds = 450;
/// From the carry to a sum.
const OUT_OF_CARRY: Picoseconds = 450;
/// Clock-to-out of a flip-flop.
const CLOCK_TO_OUT: Picoseconds = 525;
/// Setup of a flip-flop.
const SETUP: Picoseconds = 0;
/// Clock-to-out of a block RAM.
const RAM_CLOCK_TO_OUT: Picoseconds = 5700;
/// Clock-to-out of a block RAM with its output register.
const RAM_REGISTERED: Picoseconds = 570;
/// Data input to output of a dedicated multiplexer.
const MUX: Picoseconds = 200;
/// A multiplier without inner registers.
const MULTIPLIER: Picoseconds = 5000;
/// Flip-flops beside a look-up table.
const REGISTERS_BESIDE: u32 = 1;

/// Lattice ECP5.
pub struct Ecp5;

impl Technology for Ecp5 {
    fn name(&self) -> &'static str {
        "ecp5"
    }

    fn mapping(&self, top: &str) -> String {
        format!("synth_ecp5 -top {top}")
    }

    fn model(&self, cell: &Cell) -> Option<CellModel> {
        let lut = || CellModel::new(Area::of_luts(1), Source::Lut);
        let mux = |level| CellModel::new(Area::default(), Source::Mux(level));
        Some(match cell.kind.as_str() {
            "LUT4" | "LUT2" => {
                lut().through(cell, &["A", "B", "C", "D"], Sink::Routed, &["Z"], LUT)
            }
            "INV" => lut().through(cell, &["A"], Sink::Routed, &["Z"], LUT),
            "PFUMX" => mux(1)
                .through(cell, &["ALUT", "BLUT"], Sink::MuxData(1), &["Z"], MUX)
                .through(cell, &["C0"], Sink::Routed, &["Z"], MUX),
            "L6MUX21" => mux(2)
                .through(cell, &["D0", "D1"], Sink::MuxData(2), &["Z"], MUX)
                .through(cell, &["SD"], Sink::Routed, &["Z"], MUX),
            "CCU2C" => carry(cell),
            "TRELLIS_FF" => {
                let area = Area {
                    flip_flops: 1,
                    ..Area::default()
                };
                CellModel::new(area, Source::Register)
                    .launching(cell, &["Q"], CLOCK_TO_OUT)
                    .capturing(cell, "data", &["DI"], Sink::RegisterData, SETUP)
                    .capturing(cell, "data", &["M"], Sink::Routed, SETUP)
                    .capturing(cell, "enable", &["CE"], Sink::Routed, SETUP)
                    .capturing(cell, "reset", &["LSR"], Sink::Routed, SETUP)
            }
            // Six tables: four of data, two for the write port.
            "TRELLIS_DPR16X4" => CellModel::new(Area::of_memory_luts(6), Source::Lut)
                .launching(cell, &["DO"], CLOCK_TO_OUT + LUT)
                .through(cell, &["RAD"], Sink::Routed, &["DO"], LUT)
                .capturing(cell, "data", &["DI"], Sink::Routed, SETUP)
                .capturing(cell, "address", &["WAD"], Sink::Routed, SETUP)
                .capturing(cell, "write enable", &["WRE"], Sink::Routed, SETUP),
            "DP16KD" | "PDPW16KD" => block_ram(cell),
            "MULT18X18D" => {
                let area = Area {
                    dsps: 1,
                    ..Area::default()
                };
                let mut model = CellModel::new(area, Source::Dsp);
                let (inputs, outputs) = ports_by_prefix(cell, &["A", "B"], &["P"]);
                let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
                model = model.through(cell, &inputs, Sink::Routed, &outputs, MULTIPLIER);
                model
            }
            _ => return None,
        })
    }

    fn wire(&self, source: Source, sink: Sink, fanout: Fanout) -> Picoseconds {
        let beside = match (source, sink) {
            (Source::CarryOut, Sink::CarryIn) => true,
            (Source::Lut, Sink::MuxData(1)) => fanout.dedicated == 1,
            (Source::Mux(_), Sink::MuxData(2)) => fanout.dedicated == 1,
            (Source::Lut | Source::Mux(_) | Source::CarrySum, Sink::RegisterData) => {
                fanout.registers <= REGISTERS_BESIDE
            }
            _ => false,
        };
        match sink {
            _ if beside => 0,
            Sink::MuxData(level) => NET + LUT + MUX * Picoseconds::from(level - 1),
            _ => NET,
        }
    }
}

/// `CCU2C`: two bits of addition with a look-up table each.
fn carry(cell: &Cell) -> CellModel {
    let mut model = CellModel::new(Area::of_luts(2), Source::CarrySum);
    let first = ["A0", "B0", "C0", "D0"];
    let second = ["A1", "B1", "C1", "D1"];
    model = model
        .through(cell, &first, Sink::Routed, &["S0"], LUT)
        .through(cell, &second, Sink::Routed, &["S1"], LUT)
        .through(
            cell,
            &first,
            Sink::Routed,
            &["S1"],
            INTO_CARRY + OUT_OF_CARRY,
        )
        .through(cell, &first, Sink::Routed, &["COUT"], INTO_CARRY)
        .through(cell, &second, Sink::Routed, &["COUT"], INTO_CARRY)
        .through(cell, &["CIN"], Sink::CarryIn, &["S0", "S1"], OUT_OF_CARRY)
        .through(cell, &["CIN"], Sink::CarryIn, &["COUT"], CARRY2);
    let carries = super::nets(cell.pin("COUT")).map(|net| (net, Source::CarryOut));
    model.other_sources.extend(carries);
    model
}

/// `DP16KD`, 18 Kbit, or its form with one wide port each way.
fn block_ram(cell: &Cell) -> CellModel {
    let area = Area {
        ram18: 1,
        ..Area::default()
    };
    let mut model = CellModel::new(area, Source::BlockRam);
    let registered = |port: char| cell.text(&format!("REGMODE_{port}")) == Some("OUTREG");
    for pin in cell.pins.keys() {
        let pin = pin.as_str();
        let name = match pin {
            _ if pin.starts_with("CLK") => continue,
            _ if pin.starts_with("DO") => {
                let port = pin.chars().nth(2).unwrap_or('A');
                let delay = if registered(port) {
                    RAM_REGISTERED
                } else {
                    RAM_CLOCK_TO_OUT
                };
                model = model.launching(cell, &[pin], delay);
                continue;
            }
            _ if pin.starts_with("AD") => "address",
            _ if pin.starts_with("DI") => "data",
            _ if pin.starts_with("WE") => "write enable",
            _ if pin.starts_with("RST") => "reset",
            _ => "enable",
        };
        model = model.capturing(cell, name, &[pin], Sink::Routed, SETUP);
    }
    model
}

/// The pins of `cell` whose names are one of the prefixes and a number.
fn ports_by_prefix(cell: &Cell, inputs: &[&str], outputs: &[&str]) -> (Vec<String>, Vec<String>) {
    let of = |prefixes: &[&str]| {
        cell.pins
            .keys()
            .filter(|pin| {
                prefixes.iter().any(|prefix| {
                    pin.strip_prefix(prefix).is_some_and(|rest| {
                        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit())
                    })
                })
            })
            .cloned()
            .collect()
    };
    (of(inputs), of(outputs))
}
