//! Generated RTL against hand-written RTL of the same function: simulation speed and area.
//!
//! ```text
//! cargo run --release -p testbenches --example twins -- [--repetitions N] [--seconds S] [--no-luts]
//! ```
//!
//! Checks that all outputs are equal, then prints a table and one line of JSON. Exits with 1
//! if a generated block is slower than 0.95 of the hand-written one, or larger than 1.05.

use hallux_testbenches::twins::{all, compare, look_up_tables};
use hallux_verilator::Toolchain;
use serde_json::json;
use std::error::Error;
use std::process::ExitCode;

/// What is asked of a generated block: speed and look-up tables relative to the twin.
const LEAST_SPEED: f64 = 0.95;
const MOST_TABLES: f64 = 1.05;

const USAGE: &str = "twins [--repetitions N] [--seconds S] [--only NAME] [--no-luts]";

struct Options {
    repetitions: usize,
    seconds: f64,
    only: Option<String>,
    luts: bool,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options {
        repetitions: 300,
        seconds: 0.005,
        only: None,
        luts: true,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--no-luts" {
            options.luts = false;
            continue;
        }
        let value = arguments.next().unwrap_or_default();
        let wrong = |_| format!("{name} takes a number, not `{value}`; usage: {USAGE}");
        match name.as_str() {
            "--repetitions" => options.repetitions = value.parse().map_err(|_| wrong(()))?,
            "--seconds" => options.seconds = value.parse().map_err(|_| wrong(()))?,
            "--only" => options.only = Some(value),
            _ => return Err(format!("unknown option `{name}`; usage: {USAGE}").into()),
        }
    }
    Ok(options)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = options()?;
    let tools = Toolchain::discover(&mut |line| eprintln!("{line}"))?;
    let mut rows = vec![];
    let mut good = true;
    println!(
        "{:<12} {:>10} {:>10} {:>6} {:>11}   {:>6} {:>6} {:>6}",
        "twin", "generated", "hand", "speed", "rounds", "LUTs", "hand", "ratio"
    );
    for twin in all()? {
        if options.only.as_ref().is_some_and(|only| only != twin.name) {
            continue;
        }
        let speed = compare(&twin, &tools, options.repetitions, options.seconds)?;
        let (nanoseconds, hand_ns) = (speed.generated_ns, speed.hand_ns);
        print!(
            "{:<12} {nanoseconds:>7.1} ns {hand_ns:>7.1} ns {:>6.3} {:>5.2}-{:<5.2}",
            twin.name, speed.speed, speed.rounds.0, speed.rounds.1
        );
        good &= speed.speed >= LEAST_SPEED;
        let mut row = json!({
            "twin": twin.name,
            "speed": (speed.speed * 1000.0).round() / 1000.0,
            "rounds": [speed.rounds.0, speed.rounds.1],
            "output_hash": format!("{:016x}", speed.hash),
        });
        if options.luts {
            let directory = tempfile::tempdir()?;
            let tables = look_up_tables(twin.name, &twin.generated_sources(), directory.path())?;
            let directory = tempfile::tempdir()?;
            let hand = look_up_tables(twin.name, &twin.hand_sources().1, directory.path())?;
            let ratio = tables as f64 / hand as f64;
            print!("   {tables:>6} {hand:>6} {ratio:>6.3}");
            good &= ratio <= MOST_TABLES;
            row["luts"] = json!(tables);
            row["hand_luts"] = json!(hand);
        }
        println!();
        rows.push(row);
    }
    let summary = json!({
        "bench": "twins",
        "verilator": tools.versions().verilator,
        "compiler": tools.versions().measure_compiler,
        "twins": rows,
    });
    println!("{summary}");
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
