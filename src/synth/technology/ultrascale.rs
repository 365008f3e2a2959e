//! Xilinx UltraScale+, with the delays that the project's estimates are bound to.
//!
//! The constants are round figures for a mid-speed device, fixed once so that estimates
//! of different designs can be compared; they are not fitted to anything.

use super::{Arc, Area, CellModel, Fanout, Picoseconds, Sink, Source, Technology};
use crate::synth::netlist::Cell;

/// A look-up table.
const LUT: Picoseconds = 150;
/// A wire through the routing.
const NET: Picoseconds = 450;
/// Four bits of a carry chain: half of a step of eight.
const CARRY4: Picoseconds = 15;
/// Clock-to-out of a flip-flop; with [`SETUP`] 150 ps.
const CLOCK_TO_OUT: Picoseconds = 80;
/// Setup of a flip-flop or memory.
const SETUP: Picoseconds = 70;
/// Clock-to-out of a block RAM or UltraRAM.
const RAM_CLOCK_TO_OUT: Picoseconds = 1200;
/// Clock-to-out of a block RAM with its output register.
const RAM_REGISTERED: Picoseconds = 350;
/// Dedicated multiplexer (MUXF7, MUXF8, MUXF9). It stands beside the tables it joins.
const MUX: Picoseconds = 50;
/// A multiplier without inner registers.
const DSP: Picoseconds = 2500;
/// Clock-to-out of a multiplier with an output register.
const DSP_REGISTERED: Picoseconds = 350;
/// Flip-flops beside a look-up table.
const REGISTERS_BESIDE: u32 = 2;

/// Xilinx UltraScale+.
pub struct UltraScalePlus;

impl Technology for UltraScalePlus {
    fn name(&self) -> &'static str {
        "ultrascale+"
    }

    fn mapping(&self, top: &str) -> String {
        format!("synth_xilinx -family xcup -flatten -noiopad -noclkbuf -top {top}")
    }

    fn model(&self, cell: &Cell) -> Option<CellModel> {
        const LUT_INPUTS: [&str; 6] = ["I0", "I1", "I2", "I3", "I4", "I5"];
        let lut = || CellModel::new(Area::of_luts(1), Source::Lut);
        let kind = cell.kind.as_str();
        Some(match kind {
            "LUT1" | "LUT2" | "LUT3" | "LUT4" | "LUT5" | "LUT6" => {
                lut().through(cell, &LUT_INPUTS, Sink::Routed, &["O"], LUT)
            }
            "INV" => lut().through(cell, &["I"], Sink::Routed, &["O"], LUT),
            "MUXF7" => mux(cell, 1),
            "MUXF8" => mux(cell, 2),
            "MUXF9" => mux(cell, 3),
            "CARRY4" => carry(cell),
            "CARRY8" => carry(cell),
            "FDRE" | "FDSE" | "FDCE" | "FDPE" | "FDRE_1" | "FDSE_1" | "FDCE_1" | "FDPE_1" => {
                let area = Area {
                    flip_flops: 1,
                    ..Area::default()
                };
                CellModel::new(area, Source::Register)
                    .launching(cell, &["Q"], CLOCK_TO_OUT)
                    .capturing(cell, "data", &["D"], Sink::RegisterData, SETUP)
                    .capturing(cell, "enable", &["CE"], Sink::Routed, SETUP)
                    .capturing(
                        cell,
                        "reset",
                        &["R", "S", "CLR", "PRE"],
                        Sink::Routed,
                        SETUP,
                    )
            }
            "LDCE" | "LDPE" => CellModel {
                latch: true,
                ..CellModel::new(Area::default(), Source::Register)
            },
            "SRL16E" | "SRLC16E" | "SRLC32E" => shift_register(cell),
            _ if kind.starts_with("RAMB18") => block_ram(cell, 1),
            _ if kind.starts_with("RAMB36") => block_ram(cell, 2),
            _ if kind.starts_with("RAM") => distributed_ram(cell)?,
            "DSP48E2" => dsp(cell),
            _ => return None,
        })
    }

    fn registered_ram(&self) -> Picoseconds {
        RAM_REGISTERED
    }

    fn wire(&self, source: Source, sink: Sink, fanout: Fanout) -> Picoseconds {
        let beside = match (source, sink) {
            (Source::CarryOut, Sink::CarryIn) => true,
            (Source::Lut, Sink::CarryPropagate | Sink::MuxData(1)) => fanout.dedicated == 1,
            (Source::Mux(below), Sink::MuxData(level)) => {
                below + 1 == level && fanout.dedicated == 1
            }
            (
                Source::Lut | Source::Mux(_) | Source::CarrySum | Source::CarryOut,
                Sink::RegisterData,
            ) => fanout.registers <= REGISTERS_BESIDE,
            _ => false,
        };
        match sink {
            _ if beside => 0,
            // There is no other way to these pins than through a look-up table, and the
            // multiplexers below.
            Sink::CarryPropagate => NET + LUT,
            Sink::MuxData(level) => NET + LUT + MUX * Picoseconds::from(level - 1),
            _ => NET,
        }
    }
}

fn mux(cell: &Cell, level: u8) -> CellModel {
    CellModel::new(Area::default(), Source::Mux(level))
        .through(cell, &["I0", "I1"], Sink::MuxData(level), &["O"], MUX)
        .through(cell, &["S"], Sink::Routed, &["O"], MUX)
}

/// `CARRY4` or `CARRY8`: bit `n` of the sum sees the carries below `n`, bit `n` of the
/// carry also its own inputs.
fn carry(cell: &Cell) -> CellModel {
    let mut model = CellModel::new(Area::default(), Source::CarrySum);
    let pins = [
        ("CI", Sink::CarryIn),
        ("CYINIT", Sink::Routed),
        ("CI_TOP", Sink::Routed),
        ("DI", Sink::Routed),
        ("S", Sink::CarryPropagate),
    ];
    let outputs = [("O", false), ("CO", true)];
    for (output, is_carry) in outputs {
        for (n, to) in cell.pin(output).iter().enumerate() {
            let Some(to) = to.net() else { continue };
            if is_carry {
                model.other_sources.push((to, Source::CarryOut));
            }
            let steps = (n as Picoseconds) / 4 + 1;
            for (input, sink) in pins {
                for (m, from) in cell.pin(input).iter().enumerate() {
                    let Some(from) = from.net() else { continue };
                    // Bit m enters at its place, the carry in below all.
                    let seen = match input {
                        "S" => m <= n,
                        "DI" => m < n || (m == n && is_carry),
                        _ => true,
                    };
                    if seen {
                        model.arcs.push(Arc {
                            from,
                            sink,
                            to,
                            delay: CARRY4 * steps,
                        });
                    }
                }
            }
        }
    }
    model
}

/// A shift register in a look-up table: a register at its end, chosen by the address.
fn shift_register(cell: &Cell) -> CellModel {
    CellModel::new(Area::of_memory_luts(1), Source::Lut)
        .launching(cell, &["Q", "Q15", "Q31"], CLOCK_TO_OUT + LUT)
        .through(
            cell,
            &["A", "A0", "A1", "A2", "A3"],
            Sink::Routed,
            &["Q"],
            LUT,
        )
        .capturing(cell, "data", &["D"], Sink::Routed, SETUP)
        .capturing(cell, "enable", &["CE"], Sink::Routed, SETUP)
}

/// Distributed memory: written at the clock edge, read like a look-up table.
fn distributed_ram(cell: &Cell) -> Option<CellModel> {
    // Name, tables, multiplexers between table and output.
    const SINGLE_OUTPUT: [(&str, u64, Picoseconds); 12] = [
        ("RAM16X1S", 1, 0),
        ("RAM32X1S", 1, 0),
        ("RAM64X1S", 1, 0),
        ("RAM128X1S", 2, 1),
        ("RAM256X1S", 4, 2),
        ("RAM512X1S", 8, 3),
        ("RAM16X1D", 2, 0),
        ("RAM32X1D", 2, 0),
        ("RAM64X1D", 2, 0),
        ("RAM128X1D", 4, 1),
        ("RAM256X1D", 8, 2),
        ("RAM32X2S", 2, 0),
    ];
    const PORTS: [(&str, &str, &str); 8] = [
        ("ADDRA", "DIA", "DOA"),
        ("ADDRB", "DIB", "DOB"),
        ("ADDRC", "DIC", "DOC"),
        ("ADDRD", "DID", "DOD"),
        ("ADDRE", "DIE", "DOE"),
        ("ADDRF", "DIF", "DOF"),
        ("ADDRG", "DIG", "DOG"),
        ("ADDRH", "DIH", "DOH"),
    ];
    let kind = cell.kind.as_str();
    let multiple = match kind {
        "RAM32M" | "RAM64M" => Some(4),
        "RAM32M16" | "RAM64M8" => Some(8),
        _ => None,
    };
    if let Some(tables) = multiple {
        let mut model = CellModel::new(Area::of_memory_luts(tables), Source::Lut).capturing(
            cell,
            "write enable",
            &["WE"],
            Sink::Routed,
            SETUP,
        );
        // The last port's address is also that of the write.
        let write_address = PORTS[tables as usize - 1].0;
        model = model.capturing(cell, "address", &[write_address], Sink::Routed, SETUP);
        for (address, data_in, data_out) in PORTS {
            model = model
                .launching(cell, &[data_out], CLOCK_TO_OUT + LUT)
                .through(cell, &[address], Sink::Routed, &[data_out], LUT)
                .capturing(cell, "data", &[data_in], Sink::Routed, SETUP);
        }
        return Some(model);
    }
    let (_, tables, muxes) = SINGLE_OUTPUT.into_iter().find(|(name, ..)| *name == kind)?;
    let read = LUT + muxes * MUX;
    const WRITE_ADDRESS: [&str; 10] = ["A", "A0", "A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8"];
    const READ_ADDRESS: [&str; 9] = [
        "DPRA", "DPRA0", "DPRA1", "DPRA2", "DPRA3", "DPRA4", "DPRA5", "DPRA6", "DPRA7",
    ];
    Some(
        CellModel::new(Area::of_memory_luts(tables), Source::Lut)
            .launching(cell, &["O", "O0", "O1", "SPO", "DPO"], CLOCK_TO_OUT + read)
            .through(
                cell,
                &WRITE_ADDRESS,
                Sink::Routed,
                &["O", "O0", "O1", "SPO"],
                read,
            )
            .through(cell, &READ_ADDRESS, Sink::Routed, &["DPO"], read)
            .capturing(cell, "address", &WRITE_ADDRESS, Sink::Routed, SETUP)
            .capturing(cell, "data", &["D", "D0", "D1"], Sink::Routed, SETUP)
            .capturing(cell, "write enable", &["WE"], Sink::Routed, SETUP),
    )
}

/// Block RAM of `halves` × 18 Kbit: everything happens at the clock edge.
fn block_ram(cell: &Cell, halves: u64) -> CellModel {
    let area = Area {
        ram18: halves,
        ..Area::default()
    };
    let clock_to_out = |register: &str| match cell.number(register) {
        Some(1) => RAM_REGISTERED,
        _ => RAM_CLOCK_TO_OUT,
    };
    CellModel::new(area, Source::BlockRam)
        .launching(cell, &["DOUTADOUT", "DOUTPADOUTP"], clock_to_out("DOA_REG"))
        .launching(cell, &["DOUTBDOUT", "DOUTPBDOUTP"], clock_to_out("DOB_REG"))
        .capturing(
            cell,
            "address",
            &["ADDRARDADDR", "ADDRBWRADDR"],
            Sink::BlockRam,
            SETUP,
        )
        .capturing(
            cell,
            "data",
            &["DINADIN", "DINBDIN", "DINPADINP", "DINPBDINP"],
            Sink::BlockRam,
            SETUP,
        )
        .capturing(
            cell,
            "enable",
            &["ENARDEN", "ENBWREN", "REGCEAREGCE", "REGCEB"],
            Sink::BlockRam,
            SETUP,
        )
        .capturing(
            cell,
            "write enable",
            &["WEA", "WEBWE"],
            Sink::BlockRam,
            SETUP,
        )
        .capturing(
            cell,
            "reset",
            &["RSTRAMARSTRAM", "RSTRAMB", "RSTREGARSTREG", "RSTREGB"],
            Sink::BlockRam,
            SETUP,
        )
}

/// `DSP48E2`: a path ends at its inner registers or passes through to the output register,
/// or beyond where it has none.
fn dsp(cell: &Cell) -> CellModel {
    const INPUTS: [&str; 4] = ["A", "B", "C", "D"];
    const CONTROL: [&str; 12] = [
        "ALUMODE",
        "CARRYIN",
        "CARRYINSEL",
        "CEA1",
        "CEA2",
        "CEB1",
        "CEB2",
        "CEC",
        "CEM",
        "CEP",
        "INMODE",
        "OPMODE",
    ];
    let area = Area {
        dsps: 1,
        ..Area::default()
    };
    let has = |register: &str| cell.number(register).is_some_and(|stages| stages > 0);
    let model = CellModel::new(area, Source::Dsp);
    let inner = has("MREG") || (has("AREG") && has("BREG"));
    let model = match (inner, has("PREG")) {
        (false, false) => model.through(cell, &INPUTS, Sink::Routed, &["P"], DSP),
        (true, false) => {
            model
                .launching(cell, &["P"], DSP)
                .capturing(cell, "data", &INPUTS, Sink::Routed, SETUP)
        }
        (false, true) => model.launching(cell, &["P"], DSP_REGISTERED).capturing(
            cell,
            "data",
            &INPUTS,
            Sink::Routed,
            DSP,
        ),
        (true, true) => model.launching(cell, &["P"], DSP_REGISTERED).capturing(
            cell,
            "data",
            &INPUTS,
            Sink::Routed,
            SETUP,
        ),
    };
    model.capturing(cell, "control", &CONTROL, Sink::Routed, SETUP)
}
