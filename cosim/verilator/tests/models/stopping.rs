//! Assertions, `$fatal`, `$finish`: errors, never an abort.

use crate::design::{Design, In, Out, counter, design};
use hallux_verilator::{Model, ModelError, StopCause};

/// Runs `statement` in the cycle after `go` was seen.
fn acting(statement: &str) -> Design {
    let text = format!(
        "module acting(\n  input logic clk,\n  input logic go,\n  output logic done\n);\n\
         \x20 always_ff @(posedge clk) begin\n    done <= go;\n    if (go) {statement}\n  end\n\
         endmodule\n"
    );
    design(
        "acting",
        &[("clk", In, 1), ("go", In, 1), ("done", Out, 1)],
        &text,
    )
}

fn stops(design: &Design) -> ModelError {
    let mut model = Model::new(&design.library(), 1).unwrap();
    model.set_clock_period(1000);
    let mut done = [0];
    model.step(&[0], &mut done).unwrap();
    let error = model.step(&[1], &mut done).unwrap_err();
    assert_eq!(
        model.step(&[0], &mut done),
        Err(error.clone()),
        "the error stays"
    );
    error
}

#[test]
fn a_failed_assertion_names_file_line_and_text() {
    let library = counter(999).library();
    let mut model = Model::new(&library, 1).unwrap();
    model.set_clock_period(4000);
    let mut count = [0; 4];
    model.step(&[1, 0], &mut count).unwrap();
    model.step(&[0, 1], &mut count).unwrap();
    model.step(&[0, 1], &mut count).unwrap();
    let error = model.step(&[0, 1], &mut count).unwrap_err();
    let ModelError::Stopped {
        cause,
        file,
        line,
        text,
        time_ps,
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(cause, StopCause::Assertion);
    assert_eq!((file.as_str(), line, time_ps), ("counter.sv", 11, 16000));
    assert!(text.contains("count overran"), "{text}");
}

#[test]
fn fatal_stop_and_finish_are_errors_with_their_place() {
    let error = stops(&acting("$fatal(1, \"no credit left\");"));
    assert!(
        matches!(&error, ModelError::Stopped { cause: StopCause::Assertion, text, line: 8, time_ps: 2000, .. }
            if text.contains("no credit left")),
        "{error:?}"
    );
    let error = stops(&acting("$finish;"));
    assert!(
        matches!(
            &error,
            ModelError::Stopped {
                cause: StopCause::Finish,
                line: 8,
                ..
            }
        ),
        "{error:?}"
    );
    let error = stops(&acting("$stop;"));
    assert!(
        matches!(
            &error,
            ModelError::Stopped {
                cause: StopCause::Assertion,
                line: 8,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn printed_text_does_not_stop_a_model() {
    let design = acting("$display(\"time %0t\", $time);");
    let mut model = Model::new(&design.library(), 1).unwrap();
    let mut done = [0];
    for _ in 0..3 {
        model.step(&[1], &mut done).unwrap();
    }
    assert_eq!(done, [1]);
}

#[test]
fn a_stopped_model_leaves_others_running() {
    let stopping = acting("$fatal(1, \"stop\");").library();
    let mut a = Model::new(&stopping, 1).unwrap();
    let mut b = Model::new(&stopping, 2).unwrap();
    let mut done = [0];
    a.step(&[1], &mut done).unwrap_err();
    drop(a);
    b.step(&[0], &mut done).unwrap();
    b.step(&[0], &mut done).unwrap();
    assert_eq!(done, [0]);
}
