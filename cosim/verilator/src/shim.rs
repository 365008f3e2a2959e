//! Writes the C++ that joins a Verilated class to Rust.
//!
//! `shim.cpp` is the same for every design; `ports.h`, written here, is not. Both are
//! compiled with the model.

use crate::layout::{Layout, PortField, PortLayout};
use crate::trace::TraceFormat;
use std::fmt::Write;

/// Version of the table between Rust and the shim; part of the cache key.
pub(crate) const SHIM_VERSION: u32 = 1;

/// The design-independent part.
pub(crate) const SHIM_SOURCE: &str = include_str!("shim.cpp");

/// Included before every C++ file, so that the run-time's `VL_PRINTF` is declared.
pub(crate) const PRINT_HEADER: &str = "#ifdef __cplusplus\n\
    __attribute__((visibility(\"hidden\"))) int hallux_print(const char* format, ...);\n\
    #endif\n";

/// Name of the Verilated class; symbols are hidden, so every model may use the same.
pub(crate) const CLASS: &str = "Vmodel";

/// The design-dependent header for `layout`.
pub(crate) fn ports_header(layout: &Layout, trace: Option<TraceFormat>, savable: bool) -> String {
    let mut text = format!(
        "// Ports of module {top}, written from its manifest.\n\
         #pragma once\n\
         #include \"{CLASS}.h\"\n\
         #include <cstdint>\n\
         #include <cstring>\n\
         #define HALLUX_SHIM_VERSION {SHIM_VERSION}\n\
         #define HALLUX_LAYOUT_HASH {hash:#x}ull\n\
         #define HALLUX_IN_SIZE {in_size}\n\
         #define HALLUX_OUT_SIZE {out_size}\n\
         #define HALLUX_TRACE {trace_any}\n\
         #define HALLUX_TRACE_FST {fst}\n\
         #define HALLUX_TRACE_VCD {vcd}\n\
         #define HALLUX_SAVABLE {savable}\n",
        top = layout.top,
        hash = layout.hash(),
        in_size = layout.inputs.size,
        out_size = layout.outputs.size,
        trace_any = u8::from(trace.is_some()),
        fst = u8::from(trace == Some(TraceFormat::Fst)),
        vcd = u8::from(trace == Some(TraceFormat::Vcd)),
        savable = u8::from(savable),
    );
    structure(&mut text, "Inputs", &layout.inputs);
    structure(&mut text, "Outputs", &layout.outputs);
    text += &format!("static inline void drive({CLASS}* top, const Inputs* in) {{\n");
    for port in &layout.inputs.ports {
        drive(&mut text, port);
    }
    text += &format!("}}\nstatic inline void sample({CLASS}* top, Outputs* out) {{\n");
    for port in &layout.outputs.ports {
        let (name, bytes) = (&port.name, port.bytes);
        let _ = if port.width > 64 {
            writeln!(
                text,
                "    memcpy(out->{name}, top->{name}.data(), {bytes});"
            )
        } else {
            writeln!(text, "    out->{name} = top->{name};")
        };
    }
    text += &format!("}}\nstatic inline void set_clock({CLASS}* top, uint8_t level) {{\n");
    if let Some(clock) = &layout.clock {
        let _ = writeln!(text, "    top->{clock} = level;");
    }
    text + "}\n"
}

fn structure(text: &mut String, name: &str, ports: &PortLayout) {
    let _ = writeln!(text, "struct {name} {{");
    for port in &ports.ports {
        let (port_name, bytes) = (&port.name, port.bytes);
        let _ = if port.width > 64 {
            writeln!(text, "    uint32_t {port_name}[{}];", bytes / 4)
        } else {
            writeln!(text, "    uint{}_t {port_name};", bytes * 8)
        };
    }
    let _ = writeln!(text, "}};");
    // An empty structure has size 0 in Rust and 1 in C++.
    if ports.size > 0 {
        let _ = writeln!(text, "static_assert(sizeof({name}) == {});", ports.size);
    }
    for port in &ports.ports {
        let _ = writeln!(
            text,
            "static_assert(offsetof({name}, {}) == {});",
            port.name, port.offset
        );
    }
}

/// Verilator requires unused bits of a port to be zero: they are masked.
fn drive(text: &mut String, port: &PortField) {
    let (name, width, bytes) = (&port.name, port.width, port.bytes);
    let _ = if width > 64 {
        let _ = writeln!(text, "    memcpy(top->{name}.data(), in->{name}, {bytes});");
        match width % 32 {
            0 => Ok(()),
            used => writeln!(
                text,
                "    top->{name}[{}] &= {:#x}u;",
                bytes / 4 - 1,
                (1u64 << used) - 1
            ),
        }
    } else if width as usize == bytes * 8 {
        writeln!(text, "    top->{name} = in->{name};")
    } else {
        let mask = (1u64 << width) - 1;
        writeln!(text, "    top->{name} = in->{name} & {mask:#x}ull;")
    };
}

/// A port as Verilator declares it in the class header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EmittedPort {
    pub(crate) name: String,
    pub(crate) is_input: bool,
    pub(crate) width: u32,
}

/// The ports in an emitted class header: lines such as `VL_IN8(&clk,0,0);` and
/// `VL_OUTW(&data,511,0,16);`, unchanged from 5.006 to 5.048.
pub(crate) fn emitted_ports(header: &str) -> Vec<EmittedPort> {
    header
        .lines()
        .filter_map(|line| {
            let line = line.trim();
            let (is_input, rest) = match line.strip_prefix("VL_IN") {
                Some(rest) => (true, rest),
                None => (false, line.strip_prefix("VL_OUT")?),
            };
            let arguments = rest.split_once("(&")?.1.trim_end_matches(");");
            let mut arguments = arguments.split(',');
            let name = arguments.next()?.to_string();
            let left: u32 = arguments.next()?.trim().parse().ok()?;
            let right: u32 = arguments.next()?.trim().parse().ok()?;
            let width = left.abs_diff(right) + 1;
            Some(EmittedPort {
                name,
                is_input,
                width,
            })
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use hallux_hdl::manifest::{Direction, MANIFEST_SCHEMA, Manifest, Module, Port};

    /// A manifest of one module; a port named `clk` is its clock.
    pub(crate) fn manifest_of(top: &str, ports: &[(&str, Direction, u32)]) -> Manifest {
        Manifest {
            schema: MANIFEST_SCHEMA,
            design: "hand-written".into(),
            top: top.into(),
            hash: String::new(),
            parameters: Default::default(),
            modules: vec![Module {
                name: top.into(),
                file: format!("{top}.sv"),
                source: "hand-written".into(),
                ports: ports
                    .iter()
                    .map(|&(name, direction, width)| Port {
                        name: name.into(),
                        direction,
                        width,
                        clock: name == "clk",
                        fields: vec![],
                    })
                    .collect(),
                memories: vec![],
                instances: vec![],
                streams: vec![],
            }],
        }
    }

    #[test]
    fn ports_are_read_from_an_emitted_header() {
        let header = "    VL_IN8(&clk,0,0);\n    VL_OUTW(&data,511,0,16);\n    int other;\n";
        let port = |name: &str, is_input, width| EmittedPort {
            name: name.into(),
            is_input,
            width,
        };
        assert_eq!(
            emitted_ports(header),
            [port("clk", true, 1), port("data", false, 512)]
        );
    }

    #[test]
    fn unused_bits_of_an_input_are_masked() {
        let manifest = manifest_of(
            "top",
            &[
                ("a", Direction::In, 5),
                ("b", Direction::In, 8),
                ("w", Direction::In, 70),
            ],
        );
        let text = ports_header(&Layout::of(&manifest).unwrap(), None, false);
        assert!(text.contains("top->a = in->a & 0x1full;"), "{text}");
        assert!(text.contains("top->b = in->b;"), "{text}");
        assert!(text.contains("top->w[2] &= 0x3fu;"), "{text}");
    }
}
