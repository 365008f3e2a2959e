//! Random programs in the HDL against their RTL under Verilator.
//!
//! ```text
//! cargo run --release -p testbenches --example emitter_fuzz -- \
//!     --programs 200 --vectors 2000 --seed 1
//! ```
//!
//! Ends with one line of JSON; exits with 1 if it found a mismatch, or a program whose
//! RTL does not build. A mismatch is made small, printed and kept as a file in
//! `testbenches/corpus`; `--replay FILE` tries such a file alone, and `--from N --programs 1`
//! the program with that number again. With `--stop` the run ends
//! after the first model in which something is wrong, and nothing is made small or kept:
//! `first` in the last line counts the programs that it took. A program at which
//! Verilator reports an internal error of its own is counted apart and another one takes
//! its place, so that as many as were asked for are compared.

use hallux_testbenches::fuzz::{Case, Failure, Mismatch, compare, random_case, shrink, try_all};
use hallux_verilator::{Environment, Toolchain};
use serde_json::json;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// Programs in one Verilated model.
const BATCH: u64 = 50;

/// Mismatches that are made small and kept: one fault of the emitter shows in many programs.
const KEPT: usize = 5;

const USAGE: &str = "emitter_fuzz [--programs N] [--vectors M] [--seed S] [--from N] [--jobs J] [--stop] [--replay FILE]..";

/// What stands after each option.
struct Options {
    /// Files of the corpus to try instead of random programs.
    replay: Vec<String>,
    programs: u64,
    vectors: u64,
    seed: u64,
    /// Number of the first program.
    from: u64,
    /// Models that are built and run at a time.
    jobs: u64,
    /// End with the first model in which something is wrong.
    stop: bool,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options {
        replay: vec![],
        programs: 200,
        vectors: 2000,
        seed: 1,
        from: 0,
        jobs: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
        stop: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let place = match name.as_str() {
            "--programs" => &mut options.programs,
            "--vectors" => &mut options.vectors,
            "--seed" => &mut options.seed,
            "--from" => &mut options.from,
            "--jobs" => &mut options.jobs,
            "--stop" => {
                options.stop = true;
                continue;
            }
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

type Outcome = Result<Option<Mismatch>, Failure>;

/// Whether the RTL means something else, or is refused.
fn is_wrong(outcome: &Outcome) -> bool {
    matches!(outcome, Ok(Some(_)) | Err(Failure::Refused(_)))
}

/// What was found.
#[derive(Debug, Default)]
struct Found {
    /// Programs that were compared.
    compared: u64,
    /// Programs whose RTL means something else.
    mismatches: Vec<(Case, Mismatch)>,
    /// Programs whose RTL the kit or the simulator refuses.
    refused: Vec<(Case, Failure)>,
    /// Programs at which Verilator reports an internal error of its own.
    simulator_errors: Vec<(Case, Failure)>,
    /// Programs that were looked at, up to the first in which something is wrong.
    first: Option<u64>,
}

impl Found {
    fn add(&mut self, number: u64, case: Case, outcome: Outcome) {
        if is_wrong(&outcome) {
            self.first.get_or_insert(number + 1);
        }
        match outcome {
            Ok(None) => self.compared += 1,
            Ok(Some(mismatch)) => {
                self.compared += 1;
                self.mismatches.push((case, mismatch));
            }
            Err(failure @ Failure::Simulator(_)) => self.simulator_errors.push((case, failure)),
            Err(failure @ Failure::Refused(_)) => self.refused.push((case, failure)),
        }
    }
}

/// Tries the programs with numbers from `first` to `last`, `jobs` models at a time.
fn batches(toolchain: &Toolchain, options: &Options, (first, last): (u64, u64), found: &mut Found) {
    let next = AtomicU64::new(first);
    let outcomes = Mutex::new(Vec::new());
    let stop = AtomicBool::new(false);
    let work = || {
        loop {
            let from = next.fetch_add(BATCH, Ordering::Relaxed);
            if from >= last || stop.load(Ordering::Relaxed) {
                break;
            }
            let cases: Vec<Case> = (from..(from + BATCH).min(last))
                .map(|number| random_case(options.seed, number, options.vectors))
                .collect();
            let outcome = try_all(toolchain, &cases);
            if options.stop && outcome.iter().any(is_wrong) {
                stop.store(true, Ordering::Relaxed);
            }
            let mut outcomes = outcomes.lock().expect("no worker panics with it");
            outcomes.push((from, cases, outcome));
            let done: usize = outcomes.iter().map(|(_, cases, _)| cases.len()).sum();
            eprintln!("{done} programs");
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(work);
        }
    });
    let mut outcomes = outcomes.into_inner().expect("no worker panics with it");
    outcomes.sort_by_key(|(from, _, _)| *from);
    for (from, cases, some) in outcomes {
        for (number, (case, outcome)) in (from..).zip(cases.into_iter().zip(some)) {
            found.add(number - options.from, case, outcome);
        }
    }
}

fn run() -> Result<bool, Box<dyn Error>> {
    let options = options()?;
    // Thousands of models are built once and never again: not into the user's cache.
    let place = tempfile::tempdir()?;
    let users = Toolchain::discover(&mut |line| eprintln!("{line}"))?;
    let environment = Environment::process()
        .with("HALLUX_CACHE", place.path())
        .with("HALLUX_VERILATOR", &users.verilator().root);
    let toolchain = Toolchain::discover_in(&environment, &mut |line| eprintln!("{line}"))?;
    if !options.replay.is_empty() {
        return replay(&toolchain, &options.replay);
    }
    let started = Instant::now();
    let mut found = Found::default();
    let mut tried = 0;
    // A toolchain that builds nothing at all must not be tried for ever.
    while found.compared < options.programs && tried < 2 * options.programs + BATCH {
        let last = tried + (options.programs - found.compared);
        let numbers = (options.from + tried, options.from + last);
        batches(&toolchain, &options, numbers, &mut found);
        tried = last;
        if options.stop && found.first.is_some() {
            break;
        }
    }
    for (case, failure) in found.refused.iter().chain(&found.simulator_errors) {
        println!("{}: {failure}", case.note);
        println!("{}", serde_json::to_string(&case.program)?);
    }
    // Said at once: making them small may take long.
    for (case, mismatch) in &found.mismatches {
        println!("{}: {mismatch}", case.note);
    }
    let kept = if options.stop { 0 } else { KEPT };
    for (case, _) in found.refused.iter().take(kept) {
        keep(case)?;
    }
    for (case, mismatch) in found.mismatches.iter().take(kept) {
        let (small, mismatch) = shrink(&toolchain, case, mismatch.clone());
        println!("{}, {mismatch}", small.note);
        println!("{}", serde_json::to_string(&small.program)?);
        keep(&small)?;
    }
    let summary = json!({
        "programs": found.compared,
        "vectors": options.vectors,
        "seed": options.seed,
        "mismatches": found.mismatches.len(),
        "refused": found.refused.len(),
        "first": found.first,
        "simulator_errors": found.simulator_errors.len(),
        "verilator": toolchain.versions().verilator,
        "seconds": started.elapsed().as_secs(),
    });
    println!("{summary}");
    let whole = found.compared >= options.programs;
    Ok(whole && found.mismatches.is_empty() && found.refused.is_empty())
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
