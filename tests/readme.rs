//! What the README and the documentation say of commands, options and files is true.

mod command;

use command::{PROJECT, Place};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every document of the project: README, CHANGELOG and docs.
fn documents() -> Vec<(PathBuf, String)> {
    let mut open = vec![Path::new(PROJECT).join("docs")];
    let mut found: Vec<PathBuf> = ["README.md", "CHANGELOG.md", "THIRD-PARTY.md"]
        .iter()
        .map(|name| Path::new(PROJECT).join(name))
        .collect();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(&path).unwrap()))
        .collect()
}

/// Commands in backticks and code blocks that start the program: what follows its name.
fn commands() -> Vec<(PathBuf, Vec<String>)> {
    let mut found = vec![];
    for (path, text) in documents() {
        for line in text.lines() {
            let code = line.split('`').skip(1).step_by(2);
            let block = (!line.contains('`')).then_some(line);
            for snippet in code.chain(block) {
                // A comment or another command ends it.
                let snippet = snippet.split(['#', '|', ';']).next().unwrap_or_default();
                let snippet = snippet.split(" && ").next().unwrap_or_default().trim();
                // An example is a program of its own.
                let cargo = snippet
                    .strip_prefix("cargo run ")
                    .filter(|rest| !rest.contains("--example"));
                let words = cargo
                    .and_then(|rest| Some(rest.split_once("-- ")?.1))
                    .or(snippet.strip_prefix("hallux "));
                if let Some(words) = words {
                    let words = words.split_whitespace().map(str::to_owned).collect();
                    found.push((path.clone(), words));
                }
            }
        }
    }
    found
}

/// The options and subcommands that the help of `subcommands` shows.
fn help(subcommands: &[&str]) -> String {
    let arguments = [subcommands, &["--help"]].concat();
    Place::new().hallux(&arguments).succeeds().stdout
}

/// Whether `text` holds `word` between characters that cannot continue it.
fn shows(text: &str, word: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .any(|other| other == word)
}

#[test]
fn every_command_that_is_shown_exists() {
    let commands = commands();
    let subcommands = ["gen", "run", "replay", "doctor", "bench"];
    for subcommand in subcommands {
        let shown = commands.iter().any(|(_, words)| words[0] == subcommand);
        assert!(shown, "no document shows `hallux {subcommand}`");
    }
    for (path, words) in &commands {
        let place = path.display();
        let (name, rest) = words.split_first().unwrap();
        assert!(shows(&help(&[]), name), "{place}: no subcommand `{name}`");
        let mut chosen = vec![name.as_str()];
        if let Some(deeper) = rest
            .first()
            .filter(|word| name == "bench" && !word.starts_with('-'))
        {
            assert!(
                shows(&help(&chosen), deeper),
                "{place}: no `{name} {deeper}`"
            );
            chosen.push(deeper);
        }
        let help = help(&chosen);
        for option in rest.iter().filter(|word| word.starts_with("--")) {
            let option = option.split('=').next().unwrap_or(option);
            assert!(
                shows(&help, option),
                "{place}: `{}` has no {option}",
                chosen.join(" ")
            );
        }
    }
}

/// Options in continued commands (`… --trace`) and in running text.
#[test]
fn every_option_of_the_program_that_is_named_exists() {
    let known: String = [
        &["run"][..],
        &["replay"],
        &["gen"],
        &["doctor"],
        &["bench", "cosim"],
        &["lint"],
    ]
    .iter()
    .map(|subcommand| {
        let arguments = [subcommand, &["--help"][..]].concat();
        Place::new().hallux(&arguments).stdout
    })
    .collect();
    for (path, text) in documents() {
        let relative = path.strip_prefix(PROJECT).unwrap();
        if !["README.md", "docs/results.md"]
            .map(Path::new)
            .contains(&relative)
        {
            continue;
        }
        for snippet in text.split('`').skip(1).step_by(2) {
            let ours = snippet.starts_with("--") || snippet.starts_with('…');
            for option in snippet
                .split_whitespace()
                .filter(|word| ours && word.starts_with("--"))
            {
                assert!(
                    shows(&known, option),
                    "{}: no option {option}",
                    relative.display()
                );
            }
        }
    }
}

/// Files of the project that a document names or links to.
#[test]
fn every_file_that_is_named_exists() {
    let roots = [
        "examples/",
        "docs/",
        "rtl/",
        "src/",
        "tests/",
        "hdl-gen/",
        "cosim/",
        "host-model/",
        "testbenches/",
        "ci/",
    ];
    let mut seen = BTreeSet::new();
    for (path, text) in documents() {
        let here = path.parent().unwrap();
        let words = text.split(|c: char| c.is_whitespace() || "`()[]<>,;\"|".contains(c));
        for word in words.map(|word| word.trim_end_matches(['.', ':'])) {
            let word = word.split('#').next().unwrap_or(word);
            let pattern = word.contains(['*', '{', '…', '$']);
            if !pattern && roots.iter().any(|root| word.starts_with(root)) {
                let exists = Path::new(PROJECT).join(word).exists() || here.join(word).exists();
                assert!(exists, "{} names {word}", path.display());
                seen.insert(word.to_owned());
            }
        }
        for link in text.split("](").skip(1) {
            let target = link.split(')').next().unwrap_or_default();
            let target = target.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") {
                assert!(
                    here.join(target).exists(),
                    "{} links to {target}",
                    path.display()
                );
            }
        }
    }
    assert!(seen.contains("examples/http-file.toml"), "{seen:?}");
}

/// The scenarios and design points that are shown are right.
#[test]
fn every_example_is_read() {
    for entry in fs::read_dir(format!("{PROJECT}/examples")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let scenario = hallux::scenario::Scenario::read(&path, &[]);
            let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert_eq!(scenario.settings.name, name, "{}", path.display());
            hallux::simulation::load_files(&scenario).unwrap();
        }
    }
}

/// Assignments that are shown (`--set link.loss=0.01`) are accepted.
#[test]
fn every_assignment_that_is_shown_is_accepted() {
    let example = format!("{PROJECT}/examples/http-file.toml");
    let place = Place::new();
    place.write("DIR/file", "x");
    let mut count = 0;
    for (path, text) in documents() {
        for shown in text.split("--set ").skip(1) {
            let end = shown.find(|c: char| c.is_whitespace() || c == '`');
            let assignment = &shown[..end.unwrap_or(shown.len())];
            if assignment.contains("KEY") || !assignment.contains('=') {
                continue;
            }
            count += 1;
            // Nothing runs: waves are refused after the scenario was read.
            let arguments = [
                "run",
                &example,
                "--set",
                assignment,
                "--set",
                "nic.model=behavioural",
                "--waves",
                "1us..2us",
            ];
            let ended = place.hallux(&arguments);
            let accepted = ended.stderr.contains("look into RTL");
            assert!(
                accepted,
                "{}: --set {assignment}: {ended:#?}",
                path.display()
            );
        }
    }
    assert!(count >= 2, "{count} assignments are shown");
}
