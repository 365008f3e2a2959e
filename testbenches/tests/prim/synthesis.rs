//! What yosys makes of the primitives: memories where they are expected, no latch. And that
//! lint has nothing to say about them.

use crate::gallery;
use hallux_verilator::{Environment, Toolchain, lint};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Whether yosys is here. Where it must be (`HALLUX_REQUIRE_TOOLS=1`), its absence fails
/// the test.
fn has_yosys() -> bool {
    let found = Command::new("yosys").arg("-V").output().is_ok();
    if !found {
        let required = std::env::var_os("HALLUX_REQUIRE_TOOLS").is_some_and(|value| value == "1");
        assert!(!required, "yosys is required (apt-get install yosys)");
        eprintln!("skipped: yosys is not installed");
    }
    found
}

/// Cells of each module after `synthesis`, by type.
type Cells = BTreeMap<String, BTreeMap<String, u64>>;

/// Maps the gallery as far as memories and flip-flops go: look-up tables cost much time and
/// say nothing about inference.
fn map(directory: &Path, synthesis: &str) -> Cells {
    let report = directory.join("statistics.txt");
    let script = format!(
        "read_verilog -sv -D SYNTHESIS {}/*.sv; {synthesis} -run begin:map_luts -top gallery; \
         check -assert; tee -q -o {} stat",
        directory.display(),
        report.display()
    );
    let output = Command::new("yosys")
        .args(["-q", "-p", &script])
        .output()
        .expect("yosys starts");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let text = std::fs::read_to_string(report).expect("yosys writes its statistics");
    let mut cells = Cells::new();
    let mut module = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["===", name, "==="] => module = name.to_string(),
            // The sums over the hierarchy come last.
            ["===", "design", "hierarchy", "==="] => break,
            [cell, count] if let Ok(count) = count.parse() => {
                let cells = cells.entry(module.clone()).or_default();
                cells.insert(cell.to_string(), count);
            }
            _ => {}
        }
    }
    cells
}

fn check(synthesis: &str, block: &[&str], distributed: &str, expected: &[(&str, u64)]) {
    let directory = tempfile::tempdir().expect("a directory");
    gallery::design().write(directory.path()).expect("writes");
    let cells = map(directory.path(), synthesis);
    let mut with_block_ram = BTreeMap::new();
    for (module, cells) in &cells {
        let latch = cells
            .keys()
            .find(|cell| cell.to_uppercase().contains("LATCH"));
        assert_eq!(latch, None, "{module} has latches");
        let memory = cells.keys().find(|cell| cell.starts_with("$mem"));
        assert_eq!(memory, None, "a memory of {module} was not mapped");
        let count: u64 = block.iter().filter_map(|cell| cells.get(*cell)).sum();
        if count > 0 {
            with_block_ram.insert(module.as_str(), count);
        }
    }
    assert_eq!(with_block_ram, expected.iter().copied().collect());
    for module in [
        "register_file_24x20",
        "register_file_24x20_3",
        "fifo_40x6_direct_margin_2",
    ] {
        let small = cells[module]
            .keys()
            .any(|cell| cell.starts_with(distributed));
        assert!(small, "{module}: {:?}", cells[module]);
    }
}

#[test]
fn ultrascale_infers_block_ram_and_no_latch() {
    if has_yosys() {
        check(
            "synth_xilinx -family xcup -noiopad -noclkbuf",
            &["RAMB18E2", "RAMB36E2"],
            "RAM32M16",
            &[
                ("fifo_40x1026_registered_margin_1019", 3),
                ("ram_129x512_enable_zeroed", 2),
                ("ram_36x1024", 1),
                ("ram_36x1024_enable", 1),
                ("true_dual_ram_18x1024", 1),
            ],
        );
    }
}

#[test]
fn ecp5_infers_block_ram_and_no_latch() {
    if has_yosys() {
        check(
            "synth_ecp5 -noflatten",
            &["DP16KD"],
            "TRELLIS_DPR16X4",
            &[
                ("fifo_40x1026_registered_margin_1019", 3),
                ("ram_129x512_enable_zeroed", 4),
                ("ram_36x1024", 2),
                ("ram_36x1024_enable", 2),
                ("true_dual_ram_18x1024", 1),
            ],
        );
    }
}

/// With the Verilator that benches use, and with the project's own copy where it is there.
#[test]
fn lint_is_clean_on_the_oldest_and_the_newest_verilator() {
    let design = gallery::design();
    let files = design.files.iter();
    let sources: Vec<_> = files
        .map(|file| (file.name.clone(), file.text.clone()))
        .collect();
    let process = Environment::process();
    for environment in [process.clone(), process.with("HALLUX_VERILATOR", "own")] {
        match Toolchain::discover_in(&environment, &mut |line| eprintln!("{line}")) {
            Ok(tools) => lint(&tools, &design.manifest, &sources).unwrap_or_else(|e| panic!("{e}")),
            Err(error) => {
                let required = std::env::var_os("HALLUX_REQUIRE_TOOLS").is_some();
                assert!(!required, "{error}");
                eprintln!("skipped: {error}");
            }
        }
    }
}
