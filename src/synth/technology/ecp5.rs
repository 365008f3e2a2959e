//! Lattice ECP5, held against real place and route.

use super::{Area, CellModel, Fanout, Picoseconds, Sink, Source, Technology};
use crate::synth::netlist::Cell;

/// A look-up table of four inputs, from any of them.
const LUT: Picoseconds = 236;
/// A wire through the routing, to few sinks.
const NET: Picoseconds = 950;
/// Sinks that stand so close together that their number makes no difference.
const FEW_SINKS: u32 = 16;
/// What a wire takes longer with the square root of its sinks, that is with the side of
/// the square that they fill.
const NET_PER_SIDE: Picoseconds = 55;
/// Sinks that would fit into the place of a block RAM.
const SINKS_PER_RAM: u32 = 16;
/// From a table to the flip-flop beside it.
const NET_BESIDE: Picoseconds = 130;
/// From a dedicated multiplexer to the flip-flop beside it, which goes through the routing.
const NET_NEAR: Picoseconds = 450;
/// From an input of a carry cell to its carry output.
const INTO_CARRY: Picoseconds = 447;
/// Two bits of a carry chain.
const CARRY2: Picoseconds = 71;
/// From the carry to a sum.
const OUT_OF_CARRY: Picoseconds = 443;
/// Dedicated multiplexer of two tables (PFUMX).
const MUX_OF_TABLES: Picoseconds = 165;
/// Dedicated multiplexer of two multiplexers (L6MUX21).
const MUX_OF_MUXES: Picoseconds = 242;
/// Select input to output of either.
const MUX_SELECT: Picoseconds = 256;
/// Clock-to-out of a flip-flop; its setup is none.
const CLOCK_TO_OUT: Picoseconds = 525;
/// Setup of a block RAM.
const RAM_SETUP: Picoseconds = 340;
/// Clock-to-out of a block RAM.
const RAM_CLOCK_TO_OUT: Picoseconds = 5830;
/// Clock-to-out of a block RAM with its output register.
const RAM_REGISTERED: Picoseconds = 570;
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
                .through(
                    cell,
                    &["ALUT", "BLUT"],
                    Sink::MuxData(1),
                    &["Z"],
                    MUX_OF_TABLES,
                )
                .through(cell, &["C0"], Sink::Routed, &["Z"], MUX_SELECT),
            "L6MUX21" => mux(2)
                .through(cell, &["D0", "D1"], Sink::MuxData(2), &["Z"], MUX_OF_MUXES)
                .through(cell, &["SD"], Sink::Routed, &["Z"], MUX_SELECT),
            "CCU2C" => carry(cell),
            "TRELLIS_FF" => {
                let area = Area {
                    flip_flops: 1,
                    ..Area::default()
                };
                CellModel::new(area, Source::Register)
                    .launching(cell, &["Q"], CLOCK_TO_OUT)
                    .capturing(cell, "data", &["DI"], Sink::RegisterData, 0)
                    .capturing(cell, "data", &["M"], Sink::Routed, 0)
                    .capturing(cell, "enable", &["CE"], Sink::Routed, 0)
                    .capturing(cell, "reset", &["LSR"], Sink::Routed, 0)
            }
            // Six tables: four of data, two for the write port.
            "TRELLIS_DPR16X4" => CellModel::new(Area::of_memory_luts(6), Source::Lut)
                .launching(cell, &["DO"], CLOCK_TO_OUT + LUT)
                .through(cell, &["RAD"], Sink::Routed, &["DO"], LUT)
                .capturing(cell, "data", &["DI"], Sink::Routed, 0)
                .capturing(cell, "address", &["WAD"], Sink::Routed, 0)
                .capturing(cell, "write enable", &["WRE"], Sink::Routed, 0),
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

    fn registered_ram(&self) -> Picoseconds {
        RAM_REGISTERED
    }

    fn wire(&self, source: Source, sink: Sink, fanout: Fanout) -> Picoseconds {
        let side = |sinks: u32| f64::from(sinks).sqrt();
        let sinks = fanout.all + fanout.block_rams * (SINKS_PER_RAM - 1);
        let longer = side(sinks.max(FEW_SINKS)) - side(FEW_SINKS);
        let routed = NET + (NET_PER_SIDE as f64 * longer).round() as Picoseconds;
        match (source, sink) {
            (Source::CarryOut, Sink::CarryIn) => 0,
            (Source::Lut, Sink::MuxData(1)) | (Source::Mux(_), Sink::MuxData(2))
                if fanout.dedicated == 1 =>
            {
                0
            }
            // The only other way to these pins: through a table, and the multiplexers below.
            (_, Sink::MuxData(1)) => routed + LUT,
            (_, Sink::MuxData(_)) => routed + LUT + MUX_OF_TABLES,
            (Source::Lut | Source::CarrySum, Sink::RegisterData)
                if fanout.registers <= REGISTERS_BESIDE =>
            {
                NET_BESIDE
            }
            (Source::Mux(_), Sink::RegisterData) if fanout.registers <= REGISTERS_BESIDE => {
                NET_NEAR
            }
            _ => routed,
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
        model = model.capturing(cell, name, &[pin], Sink::BlockRam, RAM_SETUP);
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
