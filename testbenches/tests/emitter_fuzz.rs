//! Random programs, and those that once went wrong, in RTL against their meaning.

use hallux_testbenches::fuzz::{Case, compare, random_case};
use hallux_verilator::Toolchain;
use std::path::Path;

fn hold(cases: &[Case]) {
    let toolchain = Toolchain::discover(&mut |line| eprintln!("{line}"))
        .unwrap_or_else(|error| panic!("{error}"));
    let mismatches = compare(&toolchain, cases).unwrap_or_else(|error| panic!("{error}"));
    let report: Vec<String> = mismatches
        .iter()
        .map(|mismatch| format!("{}: {mismatch}", cases[mismatch.case].note))
        .collect();
    assert!(report.is_empty(), "{}", report.join("\n"));
}

#[test]
fn random_programs() {
    let cases: Vec<Case> = (0..20).map(|number| random_case(1, number, 200)).collect();
    hold(&cases);
}

#[test]
fn corpus() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let entries = std::fs::read_dir(&directory).expect("the corpus is there");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a readable corpus").path())
        .collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| -> Case {
        let text = std::fs::read_to_string(path).expect("a readable file");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let cases: Vec<Case> = paths.iter().map(read).collect();
    assert!(cases.len() >= 7, "the seven idioms are missing");
    hold(&cases);
}
