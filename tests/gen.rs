//! `hallux gen` gives the same bytes wherever it runs.

mod command;

use command::{Ended, PROJECT, Place};
use std::collections::BTreeMap;
use std::fs;

/// What `gen` writes for a design point, by file name.
fn generated(
    place: &Place,
    design: &str,
    surroundings: &[(&str, &str)],
) -> BTreeMap<String, Vec<u8>> {
    let mut command = place.command(&["gen", design, "--out", "out"]);
    command.env_clear();
    for (name, value) in surroundings {
        fs::create_dir_all(place.path("home")).unwrap();
        command.env(name, value);
    }
    command.env("HOME", place.path("home"));
    Ended::of(&mut command).succeeds();
    let files = fs::read_dir(place.path("out/toe-16k"))
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        });
    files.collect()
}

#[test]
fn two_processes_with_other_surroundings_write_the_same_bytes() {
    let committed = format!("{PROJECT}/examples/designs/toe-16k.toml");
    let here = Place::new();
    let first = generated(&here, &committed, &[("LANG", "C"), ("TZ", "UTC")]);
    assert!(first.len() > 30, "{:?}", first.keys());

    // Another home, another working directory, another path to the design, another locale.
    let there = Place::new();
    there.write("some/where/else.toml", fs::read(&committed).unwrap());
    let others = [
        ("LANG", "tr_TR.UTF-8"),
        ("LC_ALL", "tr_TR.UTF-8"),
        ("TZ", "Pacific/Auckland"),
        ("USER", "somebody"),
        ("RUST_MIN_STACK", "16000000"),
    ];
    let second = generated(&there, "some/where/else.toml", &others);
    assert!(first == second, "the files differ");

    // And what the project keeps.
    for (name, bytes) in &first {
        let kept = fs::read(format!("{PROJECT}/rtl/toe-16k/{name}")).unwrap();
        assert!(
            kept == *bytes,
            "rtl/toe-16k/{name} is not what is generated"
        );
    }
}

#[test]
fn the_keys_of_files_are_printed_for_editors_and_for_people() {
    let place = Place::new();
    let schema = place.hallux(&["schema", "scenario"]).succeeds().stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    assert_eq!(
        schema["properties"]["link"]["properties"]["loss"]["maximum"],
        1.0
    );
    assert_eq!(
        schema["properties"]["host"]["properties"]["ring"]["default"],
        "1MiB"
    );
    let table = place
        .hallux(&["schema", "design", "--keys"])
        .succeeds()
        .stdout;
    let line = table
        .lines()
        .find(|line| line.contains("read_tags"))
        .unwrap();
    assert!(
        line.contains("integer, 1 to 128") && line.contains("64"),
        "{line}"
    );
    place
        .hallux(&["schema", "designs"])
        .misused_with(&["designs", "design, scenario, sweep"]);
}
