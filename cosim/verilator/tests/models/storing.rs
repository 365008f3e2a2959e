//! The cache of compiled models, and saved state.

use crate::design::counter;
use hallux_verilator::{Environment, Model, ModelError, Toolchain};
use std::path::{Path, PathBuf};

fn toolchain_with_cache(root: &Path) -> Toolchain {
    let environment = Environment::process().with("HALLUX_CACHE", root);
    Toolchain::discover_in(&environment, &mut |_| {}).unwrap()
}

fn model_files(root: &Path) -> Vec<PathBuf> {
    let entries = root.join("models").read_dir().unwrap().flatten();
    entries.map(|entry| entry.path().join("model.so")).collect()
}

#[test]
fn a_model_is_built_once_and_again_only_if_its_entry_is_damaged() {
    let home = tempfile::tempdir().unwrap();
    let toolchain = toolchain_with_cache(home.path());
    let build = |step| counter(step).build().build(&toolchain).unwrap();
    assert!(!build(1).facts().cached);
    assert!(build(1).facts().cached);
    let [model] = &model_files(home.path())[..] else {
        panic!("one entry");
    };
    // As after a full disk: the file is there, but short.
    let text = std::fs::read(model).unwrap();
    std::fs::remove_file(model).unwrap();
    std::fs::write(model, &text[..text.len() / 2]).unwrap();
    let rebuilt = build(1);
    assert!(!rebuilt.facts().cached);
    let mut count = [0; 4];
    Model::new(&rebuilt, 1)
        .unwrap()
        .step(&[1, 0], &mut count)
        .unwrap();

    // Another design, and the same design with another option, are other entries.
    assert!(!build(2).facts().cached);
    let savable = counter(1).build().savable(true).build(&toolchain).unwrap();
    assert!(!savable.facts().cached);
    assert_eq!(model_files(home.path()).len(), 3);
    let staging = home.path().join("staging").read_dir().unwrap();
    assert_eq!(staging.count(), 0, "nothing is left behind");
}

#[test]
fn threads_that_want_the_same_model_build_it_once() {
    let home = tempfile::tempdir().unwrap();
    let toolchain = toolchain_with_cache(home.path());
    let fresh: usize = std::thread::scope(|scope| {
        let build = || counter(5).build().jobs(1).build(&toolchain).unwrap();
        let builders = [scope.spawn(build), scope.spawn(build), scope.spawn(build)];
        builders
            .map(|b| usize::from(!b.join().unwrap().facts().cached))
            .iter()
            .sum()
    });
    assert_eq!(fresh, 1);
}

#[test]
fn a_restored_model_goes_on_as_the_saved_one_did() {
    let library = counter(1)
        .build()
        .savable(true)
        .build(&crate::design::toolchain())
        .unwrap();
    let mut model = Model::new(&library, 1).unwrap();
    let mut count = [0; 4];
    let mut steps = |model: &mut Model, cycles: u32| {
        for _ in 0..cycles {
            model.step(&[0, 1], &mut count).unwrap();
        }
        u32::from_le_bytes(count)
    };
    let mut start = [0; 4];
    model.step(&[1, 0], &mut start).unwrap();
    assert_eq!(steps(&mut model, 10), 9);
    let state = model.save().unwrap();
    let digest = model.digest().unwrap();
    assert_eq!(steps(&mut model, 10), 19);
    assert_ne!(model.digest().unwrap(), digest);

    let mut other = Model::new(&library, 2).unwrap();
    other.restore(&state).unwrap();
    assert_eq!(other.digest().unwrap(), digest);
    assert_eq!(steps(&mut other, 10), 19);
    assert_eq!(other.digest().unwrap(), model.digest().unwrap());
}

#[test]
fn an_idle_model_keeps_its_digest() {
    let library = counter(1)
        .build()
        .savable(true)
        .build(&crate::design::toolchain())
        .unwrap();
    let mut model = Model::new(&library, 1).unwrap();
    let mut count = [0; 4];
    model.step(&[1, 0], &mut count).unwrap();
    model.step(&[0, 0], &mut count).unwrap();
    let digest = model.digest().unwrap();
    for _ in 0..5 {
        model.step(&[0, 0], &mut count).unwrap();
    }
    assert_eq!(model.digest().unwrap(), digest);
}

#[test]
fn bytes_that_are_no_state_and_libraries_without_state_are_refused() {
    let library = counter(1)
        .build()
        .savable(true)
        .build(&crate::design::toolchain())
        .unwrap();
    let mut model = Model::new(&library, 1).unwrap();
    let mut state = model.save().unwrap();
    state.truncate(state.len() - 4);
    let bytes = state.len();
    let error = model.restore(&state).unwrap_err();
    assert!(matches!(error, ModelError::NotAState { bytes: b, .. } if b == bytes));

    let mut model = Model::new(&counter(1).library(), 1).unwrap();
    assert!(matches!(model.save(), Err(ModelError::NotSavable(top)) if top == "counter"));
}
