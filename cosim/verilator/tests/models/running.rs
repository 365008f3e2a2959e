//! Stepping: values, time, several models, threads.

use crate::design::{In, Out, counter, design, shapes, toolchain};
use hallux_verilator::{
    BuildError, LayoutError, Model, ModelError, Profile, TypedModel, lint, port_struct,
};

port_struct! {
    struct CounterInputs {
        rst: u8,
        enable: u8,
    }
}

port_struct! {
    struct CounterOutputs {
        count: u32,
    }
}

#[test]
fn outputs_are_those_that_the_rising_edge_sees() {
    let library = counter(1).library();
    let mut model = TypedModel::<CounterInputs, CounterOutputs>::new(&library, 1).unwrap();
    let mut output = CounterOutputs::default();
    model
        .step(&CounterInputs { rst: 1, enable: 0 }, &mut output)
        .unwrap();
    for expected in 0..5 {
        model
            .step(&CounterInputs { rst: 0, enable: 1 }, &mut output)
            .unwrap();
        assert_eq!(output.count, expected);
    }
    model
        .step(&CounterInputs { rst: 0, enable: 0 }, &mut output)
        .unwrap();
    assert_eq!(output.count, 5);
}

#[test]
fn every_width_of_port_carries_its_bits_and_no_more() {
    let design = shapes();
    let library = design.library();
    let layout = library.layout();
    let mut model = Model::new(&library, 1).unwrap();
    // All ones, also in the bits beyond each port's width.
    let ones = vec![0xff; layout.inputs.size];
    let mut outputs = vec![0; layout.outputs.size];
    model.step(&ones, &mut outputs).unwrap();
    model.step(&vec![0; ones.len()], &mut outputs).unwrap();
    for port in &layout.outputs.ports {
        let bytes = &outputs[port.offset..port.offset + port.bytes];
        let set: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(set, port.width, "{}", port.name);
    }
    let flow = &layout.inputs.port("i65").unwrap().fields[0];
    assert_eq!((flow.name.as_str(), flow.width), ("flow", 16));

    // Byte order: byte 0 of a wide port is its bits 7..0.
    let mut inputs = vec![0; ones.len()];
    let wide = layout.inputs.port("i512").unwrap().offset;
    for (value, byte) in (0..64).zip(&mut inputs[wide..wide + 64]) {
        *byte = value;
    }
    model.step(&inputs, &mut outputs).unwrap();
    model.step(&inputs, &mut outputs).unwrap();
    let wide = layout.outputs.port("o512").unwrap().offset;
    assert!(outputs[wide..wide + 64].iter().copied().eq(0..64));
}

#[test]
fn slices_need_no_alignment_but_the_right_size() {
    let library = counter(1).library();
    let mut model = Model::new(&library, 1).unwrap();
    let mut buffer = [0; 9];
    for start in 0..3 {
        let (inputs, outputs) = buffer[start..].split_at_mut(2);
        inputs.copy_from_slice(&[1, 0]);
        model.step(inputs, &mut outputs[..4]).unwrap();
    }
    let error = model.step(&[0], &mut buffer[..4]).unwrap_err();
    assert!(matches!(
        error,
        ModelError::Size {
            which: "inputs",
            expected: 2,
            actual: 1,
            ..
        }
    ));
}

#[test]
fn a_structure_that_does_not_fit_is_refused() {
    port_struct! {
        struct Wrong {
            count: u16,
            _padding: u16,
        }
    }
    let library = counter(1).library();
    let error = TypedModel::<CounterInputs, Wrong>::new(&library, 1)
        .err()
        .unwrap();
    assert!(matches!(
        error,
        ModelError::Layout {
            which: "outputs",
            error: LayoutError::Mismatch { .. },
            ..
        }
    ));
}

#[test]
fn models_of_two_designs_and_threads_do_not_disturb_each_other() {
    let libraries = [counter(1).library(), counter(3).library()];
    let run = |step: usize, seed| {
        let mut model = Model::new(&libraries[step], seed).unwrap();
        let mut count = [0; 4];
        model.step(&[1, 0], &mut count).unwrap();
        move |cycles: u32| {
            for _ in 0..cycles {
                model.step(&[0, 1], &mut count).unwrap();
            }
            u32::from_le_bytes(count)
        }
    };
    // Interleaved on one thread …
    let (mut a, mut b, mut c) = (run(0, 1), run(1, 2), run(0, 3));
    assert_eq!((a(2), b(2), c(11)), (1, 3, 10));
    drop(c);
    assert_eq!((a(2), b(2)), (3, 9));
    // … and moved to others while they run.
    let handles = [
        std::thread::spawn(move || a(100)),
        std::thread::spawn(move || b(100)),
    ];
    assert_eq!(handles.map(|handle| handle.join().unwrap()), [103, 309]);
}

#[test]
fn settling_shows_combinational_outputs_without_an_edge() {
    let text = "module adder(input logic [7:0] a, input logic [7:0] b, output logic [8:0] sum);\n\
                assign sum = a + b;\nendmodule\n";
    let design = design(
        "adder",
        &[("a", In, 8), ("b", In, 8), ("sum", Out, 9)],
        text,
    );
    let mut model = Model::new(&design.library(), 1).unwrap();
    let mut sum = [0; 2];
    model.settle(&[200, 100], &mut sum).unwrap();
    assert_eq!(u16::from_le_bytes(sum), 300);
    model.step(&[1, 2], &mut sum).unwrap();
    assert_eq!(u16::from_le_bytes(sum), 3);
}

#[test]
fn uninitialised_state_is_random_and_repeats_with_the_seed() {
    let library = counter(1).library();
    let first_count = |seed| {
        let mut model = Model::new(&library, seed).unwrap();
        let mut count = [0; 4];
        // In reset, so that the assertion does not mind the count.
        model.step(&[1, 0], &mut count).unwrap();
        count
    };
    assert_eq!(first_count(7), first_count(7));
    assert_ne!(first_count(7), first_count(8));
}

#[test]
fn the_measured_profile_gives_the_same_results() {
    let design = counter(2);
    let toolchain = toolchain();
    let library = design
        .build()
        .profile(Profile::Measure)
        .build(&toolchain)
        .unwrap();
    assert!(
        library.facts().flags.contains("-O2"),
        "{:?}",
        library.facts()
    );
    let mut model = Model::new(&library, 1).unwrap();
    let mut count = [0; 4];
    model.step(&[1, 0], &mut count).unwrap();
    model.step(&[0, 1], &mut count).unwrap();
    model.step(&[0, 1], &mut count).unwrap();
    assert_eq!(u32::from_le_bytes(count), 2);
}

#[test]
fn rtl_that_differs_from_its_manifest_is_refused_by_port() {
    let mut design = counter(1);
    design.manifest.modules[0].ports[3].width = 16;
    let error = design.build().build(&toolchain()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "port `count` of module `counter`: 16-bit output in the manifest, \
         32-bit output in the RTL; generate RTL and manifest again"
    );
}

#[test]
fn what_verilator_said_is_in_the_error() {
    let mut design = counter(1);
    design.sources[0].1 = design.sources[0].1.replace("count + 1", "conut + 1");
    let error = design.build().build(&toolchain()).unwrap_err();
    assert!(matches!(&error, BuildError::Verilator { output, .. } if output.contains("conut")));
}

#[test]
fn lint_knows_more_than_a_build_refuses() {
    let unused = "module unused(\n  input logic clk,\n  input logic a,\n  output logic b\n);\n\
                  \x20 logic dead;\n\
                  \x20 always_ff @(posedge clk) b <= a;\n  assign dead = b;\nendmodule\n";
    let design = design(
        "unused",
        &[("clk", In, 1), ("a", In, 1), ("b", Out, 1)],
        unused,
    );
    let toolchain = toolchain();
    let error = lint(&toolchain, &design.manifest, &design.sources).unwrap_err();
    assert!(error.to_string().contains("dead"), "{error}");
    let clean = counter(1);
    lint(&toolchain, &clean.manifest, &clean.sources).unwrap();
}
