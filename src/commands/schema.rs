//! `hallux schema`: the keys of the TOML files.

use crate::output;
use crate::schema::{Kind, keys, schema};
use anyhow::Result;
use comfy_table::{ContentArrangement, Table, presets};
use std::process::ExitCode;

/// Arguments of `hallux schema`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Of which files.
    kind: Kind,
    /// A table for people instead of JSON Schema for editors.
    #[arg(long)]
    keys: bool,
}

/// Runs the command.
///
/// # Errors
/// The schema cannot be written as text.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.keys {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["key", "values", "default", "meaning"]);
        for key in keys(arguments.kind) {
            table.add_row([key.name, key.values, key.default, key.about]);
        }
        output::line(table);
    } else {
        output::line(serde_json::to_string_pretty(&schema(arguments.kind))?);
    }
    Ok(ExitCode::SUCCESS)
}
