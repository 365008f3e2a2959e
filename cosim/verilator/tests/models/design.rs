//! The hand-written designs of these tests.

use hallux_hdl::manifest::{Direction, Field, MANIFEST_SCHEMA, Manifest, Module, Port};
use hallux_verilator::{Build, Library, Toolchain};
use std::sync::Arc;

/// A module with its manifest.
pub struct Design {
    pub manifest: Manifest,
    pub sources: Vec<(String, String)>,
}

/// A module `name` with `ports`, of which `clk` is the clock.
pub fn design(name: &str, ports: &[(&str, Direction, u32)], text: &str) -> Design {
    let ports = ports
        .iter()
        .map(|&(name, direction, width)| Port {
            name: name.into(),
            direction,
            width,
            clock: name == "clk",
            fields: vec![],
        })
        .collect();
    let module = Module {
        name: name.into(),
        file: format!("{name}.sv"),
        source: "hand-written".into(),
        ports,
        memories: vec![],
        instances: vec![],
        streams: vec![],
    };
    Design {
        sources: vec![(module.file.clone(), text.to_string())],
        manifest: Manifest {
            schema: MANIFEST_SCHEMA,
            design: "hand-written".into(),
            top: name.into(),
            hash: String::new(),
            parameters: Default::default(),
            modules: vec![module],
        },
    }
}

pub use Direction::{In, Out};

/// Adds `step` every cycle; asserts that the count stays below `LIMIT`.
pub fn counter(step: u32) -> Design {
    let text = format!(
        "module counter(\n  input logic clk,\n  input logic rst,\n  input logic enable,\n\
         \x20 output logic [31:0] count\n);\n\
         \x20 always_ff @(posedge clk)\n    if (rst) count <= 0;\n\
         \x20   else if (enable) count <= count + {step};\n\
         \x20 always_ff @(posedge clk)\n\
         \x20   assert (rst || count < 1000) else $error(\"count overran\");\n\
         endmodule\n"
    );
    let ports = [
        ("clk", In, 1),
        ("rst", In, 1),
        ("enable", In, 1),
        ("count", Out, 32),
    ];
    design("counter", &ports, &text)
}

/// One register behind every shape of port, one of them structured.
pub fn shapes() -> Design {
    let widths = [1, 8, 9, 16, 17, 32, 33, 64, 65, 512];
    let names: Vec<(String, String)> = widths
        .iter()
        .map(|width| (format!("i{width}"), format!("o{width}")))
        .collect();
    let mut ports = vec![("clk", In, 1)];
    let mut declarations = String::from("  input logic clk");
    let mut registers = String::new();
    for ((input, output), width) in names.iter().zip(widths) {
        ports.push((input, In, width));
        ports.push((output, Out, width));
        let left = width - 1;
        declarations += &format!(",\n  input logic [{left}:0] {input}");
        declarations += &format!(",\n  output logic [{left}:0] {output}");
        registers += &format!("  always_ff @(posedge clk) {output} <= {input};\n");
    }
    let text = format!("module shapes(\n{declarations}\n);\n{registers}endmodule\n");
    let mut design = design("shapes", &ports, &text);
    let structured = &mut design.manifest.modules[0].ports;
    let port = structured
        .iter_mut()
        .find(|port| port.name == "i65")
        .unwrap();
    let field = |name: &str, offset, width| Field {
        name: name.into(),
        offset,
        width,
    };
    port.fields = vec![
        field("flow", 0, 16),
        field("seq", 16, 32),
        field("rest", 48, 17),
    ];
    design
}

/// The tools of this machine.
pub fn toolchain() -> Toolchain {
    Toolchain::discover(&mut |line| eprintln!("{line}")).expect("tools are here")
}

impl Design {
    pub fn build(&self) -> Build<'_> {
        Build::new(&self.manifest, &self.sources)
    }

    pub fn library(&self) -> Arc<Library> {
        self.build().build(&toolchain()).expect("the design builds")
    }
}
