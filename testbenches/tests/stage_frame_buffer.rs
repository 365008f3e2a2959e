//! The frame buffer keeps beats in order and never reports more room than it has.

mod frames;
mod stage;

use frames::{BEAT, beat, cycles_of, trace};
use hallux_testbenches::{Bench, Stalls};
use hallux_toe::stages::frame_buffer::FrameBuffer;
use stage::{Dice, assert_lint_clean, bench_of};

const BEATS: usize = 64;

fn bench() -> Bench {
    bench_of(&FrameBuffer::<512, 64>::new(BEATS), "frame_buffer", 1)
}

#[test]
fn two_frames_pass_and_room_returns() {
    let mut bench = bench();
    let (s, m) = (bench.driver("s"), bench.monitor("m"));
    bench.stall(
        m,
        Stalls::pattern(&[true, true, true, true, true, false, false, false]),
    );
    bench.reset();
    for (byte, last) in [(1, false), (2, true), (3, true)] {
        bench.send(s, beat(&[byte], last));
    }
    let mut shown = String::new();
    for cycle in 0..10 {
        let (room, idle) = (bench.peek("room").u64(), bench.peek("idle").u64());
        shown += &format!("{cycle:>4} room {room} idle {idle}\n");
        bench.cycle();
    }
    shown += &trace(bench.log(), &["data", "keep", "last"]);
    insta::assert_snapshot!(shown);
}

#[test]
fn beats_pass_in_order_at_one_a_clock() {
    let mut bench = bench();
    let (s, m) = (bench.driver("s"), bench.monitor("m"));
    bench.reset();
    for index in 0..40u8 {
        bench.send(s, beat(&[index; BEAT], index % 3 == 2));
    }
    bench.run_until_received(m, 40, 60);
    for (index, beat) in bench.received(m).iter().enumerate() {
        assert_eq!(beat.field("data").to_bytes(BEAT), [index as u8; BEAT]);
        assert_eq!(beat.field("last"), index % 3 == 2);
    }
    let cycles = cycles_of(bench.log(), "m");
    assert_eq!(cycles[39] - cycles[0], 39, "{cycles:?}");
    bench.run(3);
    assert_eq!(bench.peek("idle"), 1);
    assert_eq!(bench.peek("room"), BEATS);
}

#[test]
fn room_lags_at_most_as_the_parser_assumes_and_a_full_buffer_holds_all_beats() {
    let mut bench = bench();
    let (s, m) = (bench.driver("s"), bench.monitor("m"));
    bench.stall(s, Stalls::random(20));
    bench.stall(m, Stalls::always());
    bench.reset();
    let mut dice = Dice::new(3);
    let sent: Vec<Vec<u8>> = (0..BEATS).map(|_| dice.bytes(BEAT)).collect();
    for bytes in &sent {
        bench.send(s, beat(bytes, false));
    }
    // What had been taken two clocks ago is deducted.
    let mut taken = [0; 2];
    bench.run_until(400, |bench| {
        let room = bench.peek("room").u64();
        assert!(
            room <= BEATS as u64 - taken[0],
            "{room} free with {taken:?} taken"
        );
        assert_eq!(bench.peek("s_ready"), (bench.accepted(s) < BEATS as u64));
        taken = [taken[1], bench.accepted(s)];
        bench.pending(s) == 0
    });
    bench.run(3);
    assert_eq!(bench.peek("room"), 0);
    bench.stall(m, Stalls::random(30));
    bench.run_until_received(m, BEATS, 400);
    for (beat, bytes) in bench.received(m).iter().zip(&sent) {
        assert_eq!(beat.field("data").to_bytes(BEAT), *bytes);
    }
}

#[test]
fn the_verilog_is_lint_clean() {
    assert_lint_clean(&FrameBuffer::<512, 64>::new(256), "frame_buffer");
}
