//! Synthesis estimates with a real yosys: counts and paths that are known beforehand, and
//! what is told of designs that cannot be mapped.

mod command;

use command::{PROJECT, Place, has_tool};
use hallux::synth::{
    Family, MappingError, ModuleReport, Options, PathKind, Report, SynthError, ToolError,
    WalkError, Yosys, estimate_in, read_directory,
};
use hallux_hdl::manifest::{Instance, MANIFEST_SCHEMA, Manifest, Memory, Module};
use hallux_verilator::{Cache, Environment, OwnCopyError};
use std::num::NonZero;
use std::path::Path;
use std::sync::OnceLock;
use tempfile::TempDir;

/// A cache of this test program: what one test has mapped, another need not.
fn environment() -> Environment {
    static CACHE: OnceLock<TempDir> = OnceLock::new();
    let cache = CACHE.get_or_init(|| tempfile::tempdir().unwrap());
    Environment::process().with("HALLUX_CACHE", cache.path())
}

/// A design of hand-written modules, the first one on top.
struct Design {
    manifest: Manifest,
    sources: Vec<(String, String)>,
}

impl Design {
    fn new(modules: &[(&str, &str)]) -> Self {
        let module = |(name, _): &(&str, &str)| Module {
            name: name.to_string(),
            file: format!("{name}.sv"),
            source: "hand-written".into(),
            ports: vec![],
            memories: vec![],
            instances: vec![],
            streams: vec![],
        };
        let manifest = Manifest {
            schema: MANIFEST_SCHEMA,
            design: "test".into(),
            top: modules[0].0.into(),
            hash: String::new(),
            parameters: [("clock".to_string(), "250MHz".to_string())].into(),
            modules: modules.iter().map(module).collect(),
        };
        let sources = modules
            .iter()
            .map(|(name, text)| (format!("{name}.sv"), text.to_string()))
            .collect();
        Self { manifest, sources }
    }

    fn memory(mut self, words: u32, bits: u32) -> Self {
        self.manifest.modules[0].memories.push(Memory {
            name: "memory".into(),
            words,
            bits,
            read_latency: 1,
        });
        self
    }

    fn instance(mut self, name: &str, module: &str) -> Self {
        self.manifest.modules[0].instances.push(Instance {
            name: name.into(),
            module: module.into(),
        });
        self
    }

    fn estimate(&self, family: Family) -> Result<Report, SynthError> {
        self.estimate_as(&Options {
            family,
            paths: 3,
            ..Options::default()
        })
    }

    fn estimate_as(&self, options: &Options) -> Result<Report, SynthError> {
        self.estimate_telling(options, &mut |_| {})
    }

    fn estimate_telling(
        &self,
        options: &Options,
        progress: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Report, SynthError> {
        let environment = environment();
        estimate_in(
            &environment,
            &self.manifest,
            &self.sources,
            options,
            progress,
        )
    }

    /// The estimate of the top module.
    #[track_caller]
    fn top(&self, family: Family) -> ModuleReport {
        let report = self
            .estimate(family)
            .unwrap_or_else(|error| panic!("{error}"));
        report.modules.into_iter().next().unwrap()
    }
}

const REGISTER_TO_REGISTER: PathKind = PathKind::ALL[0];

const ADDER: &str =
    "module adder(input logic clk, input logic [15:0] s_a, s_b, output logic [15:0] m_sum);
    logic [15:0] a, b;
    always_ff @(posedge clk) begin
        a <= s_a;
        b <= s_b;
        m_sum <= a + b;
    end
endmodule
";

/// Sixteen tables and four CARRY4; the longest path goes through one table and all four.
#[test]
fn an_adder_is_as_large_and_as_slow_as_its_carry_chain() {
    if !has_tool("yosys") {
        return;
    }
    let top = Design::new(&[("adder", ADDER)]).top(Family::UltraScalePlus);
    assert_eq!((top.area.luts, top.area.flip_flops), (16, 48));
    assert_eq!((top.area.ram18, top.area.dsps), (0, 0));
    let path = top.critical().unwrap();
    assert_eq!(path.kind, REGISTER_TO_REGISTER);
    assert_eq!(path.delay_ps, 80 + 450 + 150 + 4 * 15 + 70);
    assert!(
        ["a[", "b["].iter().any(|word| path.start.starts_with(word)),
        "{}",
        path.start
    );
    assert!(path.end.starts_with("m_sum["), "{}", path.end);
    assert_eq!(top.slack_ps, Some(4000 - path.delay_ps));
    assert_eq!(top.meets(), Some(true));
}

/// On ECP5 the tables are inside the carry cells, two in each.
#[test]
fn an_adder_on_ecp5_is_in_its_carry_cells() {
    if !has_tool("yosys") {
        return;
    }
    let top = Design::new(&[("adder", ADDER)]).top(Family::Ecp5);
    assert_eq!((top.area.luts, top.area.flip_flops), (16, 48));
    // Into the first cell, through six, out of the eighth, to the flip-flop beside it.
    let path = top.critical().unwrap();
    assert_eq!(path.delay_ps, 525 + 950 + 447 + 6 * 71 + 443 + 130);
}

/// A gate of six inputs behind a gate of six: one table each.
#[test]
fn two_gates_take_two_levels() {
    if !has_tool("yosys") {
        return;
    }
    let text = "module gates(input logic clk, input logic [10:0] s, output logic m);
    logic [10:0] held;
    always_ff @(posedge clk) begin
        held <= s;
        m <= ^{&held[5:0], held[10:6]};
    end
endmodule
";
    let top = Design::new(&[("gates", text)]).top(Family::UltraScalePlus);
    assert_eq!((top.area.luts, top.area.flip_flops), (2, 12));
    let path = top.critical().unwrap();
    assert_eq!(path.levels(), 2);
    assert_eq!(path.delay_ps, 80 + 2 * (450 + 150) + 70);
    assert_eq!((path.end.as_str(), path.pin), ("m", Some("data")));
}

/// The path starts in the outer module, passes the inner one and ends outside again.
#[test]
fn paths_run_through_the_modules_inside() {
    if !has_tool("yosys") {
        return;
    }
    let outer = "module outer(input logic clk, input logic [5:0] s, output logic m);
    logic [5:0] held;
    logic [4:0] late;
    logic both;
    inner u_inner(.s(held), .m(both));
    always_ff @(posedge clk) begin
        held <= s;
        late <= held[4:0] ^ s[4:0];
        m <= ^{both, late};
    end
endmodule
";
    let inner = "module inner(input logic [5:0] s, output logic m);
    assign m = &s;
endmodule
";
    let design = Design::new(&[("outer", outer), ("inner", inner)]).instance("u_inner", "inner");
    let report = design.estimate(Family::UltraScalePlus).unwrap();
    let names: Vec<(&str, usize, u64)> = report
        .modules
        .iter()
        .map(|module| (module.name.as_str(), module.depth, module.instances))
        .collect();
    assert_eq!(names, [("outer", 0, 1), ("inner", 1, 1)]);
    let through = &report.modules[0].worst[0];
    assert_eq!(through.kind, REGISTER_TO_REGISTER);
    assert_eq!(through.delay_ps, 80 + 2 * (450 + 150) + 70);
    let inside = &report.modules[1].worst[0];
    assert_eq!(inside.kind.to_string(), "port to port");
    assert_eq!(inside.delay_ps, 450 + 150);
}

const RAM: &str = "module ram(input logic clk, write, input logic [8:0] at, from, input logic [71:0] data, output logic [71:0] read);
    logic [71:0] memory [0:511];
    always_ff @(posedge clk) begin
        if (write) memory[at] <= data;
        read <= memory[from];
    end
endmodule
";

/// Two gates that one table could hold take one each when the inner one is mapped by itself; the
/// path still runs through both. A part that is there twice is mapped once and counted twice.
#[test]
fn a_module_that_is_split_is_mapped_in_parts_and_walked_as_one() {
    if !has_tool("yosys") {
        return;
    }
    let outer = "module outer(input logic clk, input logic [2:0] s, output logic m);
    logic [2:0] held;
    logic both;
    inner u_inner(.s(held[1:0]), .m(both));
    always_ff @(posedge clk) begin
        held <= s;
        m <= both ^ held[2];
    end
endmodule
";
    let inner = "module inner(input logic [1:0] s, output logic m);
    assign m = &s;
endmodule
";
    let design = Design::new(&[("outer", outer), ("inner", inner)]).instance("u_inner", "inner");
    for family in [Family::UltraScalePlus, Family::Ecp5] {
        let levels = |split: &[&str]| {
            let report = design
                .estimate_as(&Options {
                    family,
                    modules: vec!["outer".into()],
                    split: split.iter().map(|name| name.to_string()).collect(),
                    ..Options::default()
                })
                .unwrap();
            let top = &report.modules[0];
            (top.area.luts, top.critical().unwrap().levels())
        };
        assert_eq!(levels(&[]), (1, 1));
        assert_eq!(levels(&["outer"]), (2, 2));
    }
    let half = "module half(input logic clk, input logic [2:0] s, output logic m);
    logic [2:0] held;
    always_ff @(posedge clk) begin
        held <= s;
        m <= ^held;
    end
endmodule
";
    let pair = "module pair(input logic clk, input logic [2:0] s, output logic m);
    logic between;
    half u_first(.clk(clk), .s(s), .m(between));
    half u_second(.clk(clk), .s({between, s[1:0]}), .m(m));
endmodule
";
    let double = Design::new(&[("pair", pair), ("half", half)])
        .instance("u_first", "half")
        .instance("u_second", "half");
    let mut lines = vec![];
    let report = double.estimate_telling(
        &Options {
            modules: vec!["pair".into()],
            split: vec!["pair".into()],
            jobs: NonZero::new(1),
            ..Options::default()
        },
        &mut |line| lines.push(line.to_string()),
    );
    let pair = &report.unwrap().modules[0];
    assert_eq!((pair.area.luts, pair.area.flip_flops), (2, 8));
    assert_eq!(pair.critical().unwrap().start, "u_first.held[0]");
    assert_eq!(lines, ["1 of 2: half", "2 of 2: pair"]);
    let unknown = Options {
        split: vec!["inn".into()],
        ..Options::default()
    };
    let error = design.estimate_as(&unknown).unwrap_err().to_string();
    assert!(error.contains("did you mean `inner`?"), "{error}");
}

#[test]
fn memories_become_block_ram_on_both_families() {
    if !has_tool("yosys") {
        return;
    }
    for family in [Family::UltraScalePlus, Family::Ecp5] {
        let top = Design::new(&[("ram", RAM)]).memory(512, 72).top(family);
        assert_eq!(top.ram36, 1.0, "{family:?}");
        assert_eq!(top.ultraram_equivalents, 1, "{family:?}");
        // ECP5 has no port that reads a word as it was before a write: logic around does it.
        assert_eq!(
            top.area.luts == 0,
            family == Family::UltraScalePlus,
            "{family:?}"
        );
        assert_eq!(top.memories_in_registers, [""; 0], "{family:?}");
        let path = top.critical().unwrap();
        assert_eq!(path.start, "memory", "{family:?}");
    }
}

#[test]
fn the_same_text_is_mapped_once() {
    if !has_tool("yosys") {
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    let environment = Environment::process().with("HALLUX_CACHE", cache.path());
    let design = Design::new(&[("ram", RAM)]);
    let estimate = |text: &str| {
        let sources = [("ram.sv".to_string(), text.to_string())];
        let options = Options::default();
        estimate_in(
            &environment,
            &design.manifest,
            &sources,
            &options,
            &mut |_| {},
        )
        .unwrap();
        cache.path().join("netlists").read_dir().unwrap().count()
    };
    assert_eq!(estimate(RAM), 1);
    assert_eq!(estimate(RAM), 1);
    assert_eq!(estimate(&RAM.replace("[71:0]", "[35:0]")), 2);
    // As it stands in two designs.
    let of = |design: &str| format!("// ram: generated by Hallux.\n// Design {design}.\n{RAM}");
    assert_eq!(estimate(&of("toe-100g")), 3);
    assert_eq!(estimate(&of("toe-10g")), 3);
}

#[test]
fn a_latch_is_an_error_that_names_the_signal() {
    if !has_tool("yosys") {
        return;
    }
    let text = "module holds(input logic open, input logic [1:0] s, output logic [1:0] m);
    always_latch if (open) m = s;
endmodule
";
    for family in [Family::UltraScalePlus, Family::Ecp5] {
        match Design::new(&[("holds", text)]).estimate(family) {
            Err(SynthError::Mapping(MappingError::Latches { module, signals })) => {
                assert_eq!((module.as_str(), signals), ("holds", vec!["m".to_string()]));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_combinational_loop_is_an_error_that_names_the_module() {
    if !has_tool("yosys") {
        return;
    }
    let text = "module ring(input logic s, output logic m);
    logic there, back;
    assign there = back | s;
    assign back = there & !s;
    assign m = there ^ back;
endmodule
";
    match Design::new(&[("ring", text)]).estimate(Family::UltraScalePlus) {
        Err(SynthError::Walk(WalkError::Loop { module, nets })) => {
            assert_eq!(module, "ring");
            assert!(!nets.is_empty());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_large_memory_that_no_cell_can_hold_is_named_before_it_explodes() {
    if !has_tool("yosys") {
        return;
    }
    let text = "module ram(input logic clk, input logic [9:0] a, b, c, input logic [35:0] s, output logic [35:0] m);
    logic [35:0] memory [0:1023];
    always_ff @(posedge clk) begin
        memory[a] <= s;
        memory[b] <= ~s;
        memory[c] <= s + 36'd1;
        m <= memory[a];
    end
endmodule
";
    match Design::new(&[("ram", text)]).estimate(Family::UltraScalePlus) {
        Err(SynthError::Mapping(MappingError::NotInferred { memories, .. })) => {
            assert_eq!(memories, ["memory"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_yosys_refuses_is_told_with_its_place() {
    if !has_tool("yosys") {
        return;
    }
    let text = "module broken(input logic s);\n    assign m == s;\nendmodule\n";
    match Design::new(&[("broken", text)]).estimate(Family::UltraScalePlus) {
        Err(SynthError::Mapping(MappingError::Refused { message, .. })) => {
            assert!(message.starts_with("broken.sv:2: "), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unknown_module_is_told_with_the_closest() {
    let place = Place::new();
    let rtl = Path::new(PROJECT)
        .join("rtl/toe-100g")
        .display()
        .to_string();
    place
        .hallux(&["synth", &rtl, "--module", "protocoll"])
        .fails_with(&["no module `protocoll`", "did you mean `protocol`?"]);
    place
        .hallux(&["synth", &rtl, "--module", "no_such_thing_at_all"])
        .fails_with(&["hallux gen --list"]);
}

#[test]
fn a_design_that_is_not_there_is_named() {
    let place = Place::new();
    place
        .hallux(&["synth", "nothing.toml"])
        .fails_with(&["nothing.toml"]);
    place.write("empty/readme", "");
    place
        .hallux(&["synth", "empty"])
        .fails_with(&["empty/manifest.json", "hallux gen"]);
    place.write("empty/manifest.json", "{}");
    place
        .hallux(&["synth", "empty"])
        .fails_with(&["empty/manifest.json", "is no manifest"]);
    let unnamed = place.hallux(&["synth", "empty", "--check-against-pnr"]);
    assert_eq!(unnamed.code, Some(2));
    assert!(unnamed.stderr.contains("--module <NAME>"), "{unnamed:?}");
}

#[test]
fn a_missing_tool_is_told_with_its_remedy() {
    let place = Place::new();
    let rtl = Path::new(PROJECT)
        .join("rtl/toe-100g")
        .display()
        .to_string();
    let without = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command
            .env("PATH", place.path("nowhere"))
            .env("HALLUX_CACHE", place.path("cache"))
            .env_remove("HALLUX_YOSYS")
            .env_remove("HALLUX_NEXTPNR");
        let output = command.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let told = without(&["synth", &rtl, "--module", "parse"]);
    assert!(told.contains("no yosys on PATH"), "{told}");
    assert!(told.contains("apt-get install yosys"), "{told}");
    let told = without(&["synth", &rtl, "--module", "parse", "--check-against-pnr"]);
    assert!(told.contains("no nextpnr-ecp5 on PATH"), "{told}");
    assert!(told.contains("pip install"), "{told}");
}

/// Deep memories of the generated design are in block RAM, in as little of it as their width
/// takes. (The benches of the primitives look at all of them.)
#[test]
fn the_deep_memories_of_the_design_are_in_block_ram() {
    if !has_tool("yosys") {
        return;
    }
    let (manifest, sources) = read_directory(&Path::new(PROJECT).join("rtl/toe-100g")).unwrap();
    let mut deep: Vec<&Module> = manifest
        .modules
        .iter()
        .filter(|module| module.instances.is_empty() && module.memories.len() == 1)
        .filter(|module| module.memories[0].words >= 1000 && module.memories[0].bits > 8)
        .collect();
    deep.sort_by_key(|module| module.memories[0].bits);
    deep.truncate(3);
    assert!(!deep.is_empty());
    let options = Options {
        modules: deep.iter().map(|module| module.name.clone()).collect(),
        ..Options::default()
    };
    let environment = environment();
    let report = estimate_in(&environment, &manifest, &sources, &options, &mut |_| {}).unwrap();
    for (module, found) in deep.iter().zip(&report.modules) {
        let memory = &module.memories[0];
        let blocks = u64::from(memory.words.div_ceil(512) * memory.bits.div_ceil(36));
        let (name, used) = (&module.name, found.area.ram18);
        assert!((1..=blocks).contains(&used), "{name}: {used} of {blocks}");
        assert_eq!(found.memories_in_registers, [""; 0], "{name}");
    }
}

/// The project's own yosys, with the system's one passed over.
#[test]
fn the_pinned_yosys_is_fetched_and_finds_the_same_adder() {
    let home = tempfile::tempdir().unwrap();
    let cache = Cache::at(home.path(), 1 << 30);
    let environment = Environment::process()
        .with("HALLUX_YOSYS", "own")
        .with("HALLUX_CACHE", home.path());
    let yosys = match Yosys::discover(&environment, &cache, &mut |_| {}) {
        Ok(yosys) => yosys,
        Err(ToolError::Missing(reason))
            if matches!(*reason, OwnCopyError::Pip(_) | OwnCopyError::NoPython) =>
        {
            let required = std::env::var_os("HALLUX_REQUIRE_TOOLS").is_some();
            assert!(!required, "{reason}");
            eprintln!("skipped: {reason}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(yosys.version().to_string(), "0.70");
    let design = Design::new(&[("adder", ADDER)]);
    let options = Options::default();
    let report = estimate_in(
        &environment,
        &design.manifest,
        &design.sources,
        &options,
        &mut |_| {},
    )
    .unwrap();
    assert!(report.yosys.starts_with("Yosys 0.70"), "{}", report.yosys);
    let top = &report.modules[0];
    assert_eq!((top.area.luts, top.area.flip_flops), (16, 48));
    let broken = [(
        "adder.sv".to_string(),
        "module adder;\n  oops\nendmodule\n".to_string(),
    )];
    let error = estimate_in(
        &environment,
        &design.manifest,
        &broken,
        &options,
        &mut |_| {},
    )
    .unwrap_err();
    assert!(error.to_string().contains("adder.sv:"), "{error}");
}
