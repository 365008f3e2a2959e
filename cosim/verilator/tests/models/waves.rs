//! Waveforms: opened and closed while a model runs.

use crate::design::{counter, toolchain};
use hallux_verilator::{Model, ModelError, TraceFormat};

#[test]
fn a_window_of_time_is_written_in_picoseconds() {
    let library = counter(1)
        .build()
        .trace(Some(TraceFormat::Vcd))
        .build(&toolchain())
        .unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut model = Model::new(&library, 1).unwrap();
    model.set_clock_period(4000);
    let mut count = [0; 4];
    model.step(&[1, 0], &mut count).unwrap();
    let mut windows = vec![];
    for window in 0..2 {
        for _ in 0..10 {
            model.step(&[0, 1], &mut count).unwrap();
        }
        let path = home.path().join(format!("window{window}.vcd"));
        model.trace_open(&path).unwrap();
        for _ in 0..3 {
            model.step(&[0, 1], &mut count).unwrap();
        }
        model.trace_close().unwrap();
        windows.push(std::fs::read_to_string(path).unwrap());
    }
    for (text, first) in windows.iter().zip([46_000, 98_000]) {
        assert!(text.contains("$timescale 1ps $end") || text.contains("$timescale   1ps $end"));
        assert!(text.contains("count"), "{text}");
        let times: Vec<u64> = text
            .lines()
            .filter_map(|line| line.strip_prefix('#')?.parse().ok())
            .collect();
        let expected: Vec<u64> = (0..6).map(|half| first + 2000 * half).collect();
        assert_eq!(times, expected);
    }
}

#[test]
fn fst_is_written_where_its_libraries_are_here() {
    let library = counter(1)
        .build()
        .trace(Some(TraceFormat::Fst))
        .build(&toolchain())
        .unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut model = Model::new(&library, 1).unwrap();
    let mut count = [0; 4];
    let format = library.trace().unwrap();
    let path = home.path().join(format!("counter.{}", format.extension()));
    model.trace_open(&path).unwrap();
    for _ in 0..10 {
        model.step(&[1, 0], &mut count).unwrap();
    }
    model.trace_close().unwrap();
    assert!(path.metadata().unwrap().len() > 0);
    if format == TraceFormat::Vcd {
        let notes = &library.facts().notes;
        assert!(
            notes.iter().any(|note| note.contains("apt-get install")),
            "{notes:?}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_written_and_a_library_without_waves_are_errors() {
    let traced = counter(1)
        .build()
        .trace(Some(TraceFormat::Vcd))
        .build(&toolchain())
        .unwrap();
    let mut model = Model::new(&traced, 1).unwrap();
    let path = std::path::Path::new("/nonexistent/counter.vcd");
    assert!(matches!(model.trace_open(path), Err(ModelError::TraceFile(p)) if p == path));
    let mut model = Model::new(&counter(1).library(), 1).unwrap();
    assert!(matches!(model.trace_open(path), Err(ModelError::NoTrace(top)) if top == "counter"));
}
