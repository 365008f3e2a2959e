//! The harness itself, on hand-written blocks: what it reports of a good block, and that
//! it fails a bad one.

use hallux_hdl::manifest::Direction::{In, Out};
use hallux_testbenches::{Bench, Stalls, Value, fields, hand_written};

/// A register between channels `s` and `m`; `valid` and `data` are the expressions that
/// leave it, so that a test can break its promises.
fn register(valid: &str, data: &str) -> Bench {
    let text = format!(
        "module register(\n\
         \x20 input logic clk, input logic rst,\n\
         \x20 input logic [16:0] s_data, input logic s_valid, output logic s_ready,\n\
         \x20 output logic [16:0] m_data, output logic m_valid, input logic m_ready\n\
         );\n\
         \x20 logic full;\n\
         \x20 logic [16:0] held;\n\
         \x20 logic [3:0] age;\n\
         \x20 assign s_ready = !full || m_ready;\n\
         \x20 assign m_valid = {valid};\n\
         \x20 assign m_data = {data};\n\
         \x20 always_ff @(posedge clk) begin\n\
         \x20   age <= age + 1;\n\
         \x20   if (s_ready) begin full <= s_valid; held <= s_data; age <= 0; end\n\
         \x20   if (rst) full <= 0;\n\
         \x20   assert (rst || !full || held != 17'h1ffff) else $error(\"poison\");\n\
         \x20 end\nendmodule\n"
    );
    let ports = [
        ("clk", In, 1),
        ("rst", In, 1),
        ("s_data", In, 17),
        ("s_valid", In, 1),
        ("s_ready", Out, 1),
        ("m_data", Out, 17),
        ("m_valid", Out, 1),
        ("m_ready", In, 1),
    ];
    let structures: [(&str, &[(&str, u32)]); 1] = [("_data", &[("flow", 16), ("last", 1)])];
    let (manifest, sources) = hand_written("register", &text, &ports, &structures);
    Bench::of(&manifest, &sources)
}

#[test]
fn every_transfer_is_logged_with_its_cycle_and_fields() {
    let mut bench = register("full", "held");
    let (s, m) = (bench.driver("s"), bench.monitor("m"));
    bench.stall(s, Stalls::pattern(&[false, false, true]));
    bench.stall(m, Stalls::pattern(&[false, true]));
    bench.reset();
    for flow in [1, 20, 300] {
        bench.send(s, fields! { flow: flow, last: flow == 300 });
    }
    bench.run_until_received(m, 3, 20);
    insta::assert_snapshot!(bench.log(), @r"
         0 s        flow=1 last=0
         2 s        flow=0x14 last=0
         2 m        flow=1 last=0
         4 s        flow=0x12c last=1
         4 m        flow=0x14 last=0
         6 m        flow=0x12c last=1
    ");
    assert_eq!((bench.accepted(s), bench.pending(s)), (3, 0));
}

#[test]
fn order_and_content_survive_random_stalls_on_both_sides() {
    for percent in [0, 30, 80] {
        let mut bench = register("full", "held");
        let (s, m) = (bench.driver("s"), bench.monitor("m"));
        bench.stall(s, Stalls::random(percent));
        bench.stall(m, Stalls::random(percent));
        bench.reset();
        let sent: Vec<Value> = (0..200u32)
            .map(|flow| {
                bench.send(s, fields! { flow: flow });
                hallux_testbenches::IntoValue::into_value(flow)
            })
            .collect();
        bench.run_until_received(m, 200, 20_000);
        let received = bench.take_received(m);
        assert!(received.iter().map(|record| record.value()).eq(&sent));
        if percent == 0 {
            assert_eq!(bench.cycles(), 201, "one a cycle, one cycle late");
        }
    }
}

#[test]
fn ports_are_poked_and_peeked_without_channels() {
    let mut bench = register("full", "held");
    bench.reset();
    assert_eq!(bench.peek("m_valid"), false);
    assert_eq!(bench.peek("s_ready"), 1);
    bench.poke_struct("s_data", fields! { flow: 0xabcd, last: true });
    bench.poke("s_valid", true);
    bench.cycle();
    bench.poke("s_valid", false);
    assert_eq!(bench.peek("m_valid"), true);
    assert_eq!(bench.peek_field("m_data", "flow"), 0xabcd);
    assert_eq!(
        bench.peek_record("m_data").to_string(),
        "flow=0xabcd last=1"
    );
    // `s_ready` follows `m_ready` combinationally, without a clock edge.
    assert_eq!(bench.peek("s_ready"), false);
    bench.poke("m_ready", true);
    assert_eq!(bench.peek("s_ready"), true);
}

fn stalled_transfer(bench: &mut Bench) {
    let (s, m) = (bench.driver("s"), bench.monitor("m"));
    bench.stall(m, Stalls::always());
    bench.reset();
    bench.send(s, fields! { flow: 5 });
    bench.run(10);
}

#[test]
#[should_panic(expected = "m_valid dropped before m_ready answered")]
fn a_block_that_withdraws_an_offer_fails() {
    stalled_transfer(&mut register("full && age != 2", "held"));
}

#[test]
#[should_panic(expected = "m_data changed from 5 to 4 while it waited for m_ready")]
fn a_block_that_changes_an_offer_fails() {
    stalled_transfer(&mut register("full", "held ^ 17'(age == 2)"));
}

#[test]
#[should_panic(expected = "not done after 10 cycles")]
fn a_block_that_hangs_fails_with_what_happened() {
    let mut bench = register("1'b0", "held");
    let (s, m) = (bench.driver("s"), bench.monitor("m"));
    bench.reset();
    bench.send(s, fields! { flow: 5 });
    bench.run_until_received(m, 1, 10);
}

#[test]
#[should_panic(expected = "cycle 1: assertion failed in register.sv:16")]
fn an_assertion_of_the_block_fails_with_its_place() {
    let mut bench = register("full", "held");
    let s = bench.driver("s");
    bench.reset();
    bench.send_value(s, 0x1ffff);
    bench.run(3);
}

#[test]
#[should_panic(expected = "no input `sdata` in module `register`; it has rst, s_data")]
fn a_misspelt_port_is_answered_with_the_names_there_are() {
    register("full", "held").poke("sdata", 1);
}
