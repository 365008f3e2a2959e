//! `hallux doctor`: what is found on this machine, what is missing, how to get it.

use crate::output;
use anyhow::Result;
use comfy_table::{Table, presets};
use hallux_verilator::{Environment, Fact, FactStatus, doctor};
use std::process::ExitCode;

/// Arguments of `hallux doctor`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Print the findings as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Optional tools: command, package, what it is good for.
const OPTIONAL: [(&str, &str, &str); 3] = [
    ("tshark", "tshark", "checks captures in tests"),
    (
        "yosys",
        "yosys",
        "estimates size and longest paths; else fetched on first use",
    ),
    ("valgrind", "valgrind", "runs fuzzing corpora"),
];

/// Runs the command: success when everything needed is there.
///
/// # Errors
/// The findings cannot be printed.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let environment = Environment::process();
    let mut facts = doctor(&environment);
    for (command, package, purpose) in OPTIONAL {
        facts.push(match environment.find_executable(command) {
            Some(path) => Fact {
                subject: command,
                status: FactStatus::Good,
                finding: path.display().to_string(),
                remedy: String::new(),
            },
            None => Fact {
                subject: command,
                status: FactStatus::Fair,
                finding: format!("not found ({purpose})"),
                remedy: format!("`apt-get install {package}`"),
            },
        });
    }
    if arguments.json {
        output::line(serde_json::to_string(&facts)?);
    } else {
        let mut table = Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_header(["", "what", "found", "remedy"]);
        for fact in &facts {
            let mark = match fact.status {
                FactStatus::Good => "ok",
                FactStatus::Fair => "fair",
                FactStatus::Bad => "MISSING",
            };
            table.add_row([mark, fact.subject, &fact.finding, &fact.remedy]);
        }
        output::line(table);
    }
    let usable = facts.iter().all(|fact| fact.status != FactStatus::Bad);
    Ok(if usable {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
