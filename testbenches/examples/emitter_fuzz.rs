//! Random programs in the HDL against their RTL under Verilator.
//!
//! ```text
//! cargo run --release -p hallux-testbenches --example emitter_fuzz -- \
//!     --programs 200 --vectors 2000 --seed 1
//! ```
//!
//! Ends with one line of JSON; exits with 1 if it found a mismatch, or a program whose
//! RTL does not build. Each is printed and kept as a file in `testbenches/corpus`;
//! `--replay FILE` tries such a file alone.

use hallux_testbenches::fuzz::{Case, compare, random_case};
use hallux_verilator::Toolchain;
use serde_json::json;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

/// Programs in one Verilated model.
const BATCH: u64 = 50;

const USAGE: &str = "emitter_fuzz [--programs N] [--vectors M] [--seed S] [--replay FILE]..";

/// What stands after each option.
struct Options {
    /// Files of the corpus to try instead of random programs.
    replay: Vec<String>,
    programs: u64,
    vectors: u64,
    seed: u64,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options {
        replay: vec![],
        programs: 200,
        vectors: 2000,
        seed: 1,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let place = match name.as_str() {
            "--programs" => &mut options.programs,
            "--vectors" => &mut options.vectors,
            "--seed" => &mut options.seed,
            "--replay" => {
                options.replay.extend(arguments.next());
                continue;
            }
            _ => return Err(format!("unknown option `{name}`; usage: {USAGE}").into()),
        };
        let value = arguments.next().unwrap_or_default();
        *place = value
            .parse()
            .map_err(|_| format!("{name} takes a number, not `{value}`; usage: {USAGE}"))?;
    }
    Ok(options)
}

/// Writes a file that the test will replay.
fn keep(case: &Case) -> Result<(), Box<dyn Error>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    std::fs::create_dir_all(&corpus)?;
    let path = corpus.join(format!("{}.json", case.note.replace(' ', "_")));
    std::fs::write(&path, serde_json::to_string(case)? + "\n")?;
    println!("kept as {}", path.display());
    Ok(())
}

/// Tries files of the corpus, all in one model.
fn replay(toolchain: &Toolchain, files: &[String]) -> Result<bool, Box<dyn Error>> {
    let mut cases: Vec<Case> = Vec::new();
    for file in files {
        cases.push(serde_json::from_str(&std::fs::read_to_string(file)?)?);
    }
    let mismatches = compare(toolchain, &cases)?;
    for mismatch in &mismatches {
        println!("{}: {mismatch}", files[mismatch.case]);
    }
    println!(
        "{}",
        json!({ "programs": cases.len(), "mismatches": mismatches.len() })
    );
    Ok(mismatches.is_empty())
}

/// What was found.
#[derive(Debug, Default)]
struct Count {
    /// Programs whose RTL means something else.
    mismatches: u64,
    /// Programs whose RTL the kit or the simulator refuses.
    refused: u64,
    /// Programs at which Verilator reports an internal error of its own.
    simulator_errors: u64,
}

/// Tries cases in one model, or in halves if one of them does not build.
fn attempt(toolchain: &Toolchain, cases: &[Case], count: &mut Count) -> Result<(), Box<dyn Error>> {
    let mismatches = match (compare(toolchain, cases), cases) {
        (Ok(mismatches), _) => mismatches,
        (Err(error), [case]) => {
            let internal = error.contains("%Error: Internal Error");
            println!("{}: {error}", case.note);
            println!("{}", serde_json::to_string(&case.program)?);
            if internal {
                count.simulator_errors += 1;
            } else {
                count.refused += 1;
                keep(case)?;
            }
            return Ok(());
        }
        (Err(_), _) => {
            let (low, high) = cases.split_at(cases.len() / 2);
            attempt(toolchain, low, count)?;
            return attempt(toolchain, high, count);
        }
    };
    for mismatch in mismatches {
        let case = &cases[mismatch.case];
        println!("{}, {mismatch}", case.note);
        println!("{}", serde_json::to_string(&case.program)?);
        keep(case)?;
        count.mismatches += 1;
    }
    Ok(())
}

fn run() -> Result<bool, Box<dyn Error>> {
    let Options {
        replay: files,
        programs,
        vectors,
        seed,
    } = options()?;
    let toolchain = Toolchain::discover(&mut |line| eprintln!("{line}"))?;
    if !files.is_empty() {
        return replay(&toolchain, &files);
    }
    let mut count = Count::default();
    for first in (0..programs).step_by(BATCH as usize) {
        let last = (first + BATCH).min(programs);
        let cases: Vec<Case> = (first..last)
            .map(|number| random_case(seed, number, vectors))
            .collect();
        attempt(&toolchain, &cases, &mut count)?;
        eprintln!("{last} of {programs} programs: {count:?}");
    }
    let summary = json!({
        "programs": programs, "vectors": vectors, "seed": seed,
        "mismatches": count.mismatches, "refused": count.refused,
        "simulator_errors": count.simulator_errors,
    });
    println!("{summary}");
    Ok(count.mismatches + count.refused == 0)
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
