//! The adapter around a hand-written NIC top (`loopback.sv`).

use super::ports::tests::manifest;
use super::*;
use crate::observe::waves::WaveFile;
use bytes::Bytes;
use hallux_channel::{ClockPeriod, Component, Mailbox, Message, Seed, Time};
use hallux_verilator::{Build, Library, Profile, Toolchain, TraceFormat};
use std::sync::{Arc, OnceLock};

/// From a read to its completion, and so the longest step in which the NIC may run ahead.
const ROUND_TRIP: Time = Time::from_ns(200);

fn build(trace: Option<TraceFormat>) -> Arc<Library> {
    let toolchain = Toolchain::discover(&mut |_| {}).unwrap();
    let sources = [(
        "loopback.sv".to_string(),
        include_str!("loopback.sv").to_string(),
    )];
    let manifest = manifest("loopback", &["wire", "upstream"]);
    let build = Build::new(&manifest, &sources)
        .profile(Profile::Test)
        .savable(true)
        .trace(trace);
    build.build(&toolchain).unwrap()
}

fn library() -> Arc<Library> {
    static LIBRARY: OnceLock<Arc<Library>> = OnceLock::new();
    LIBRARY.get_or_init(|| build(None)).clone()
}

fn config(skip: SkipMode) -> RtlNicConfig {
    let clock: ClockPeriod = "250MHz".parse().unwrap();
    RtlNicConfig {
        skip,
        trace: true,
        stall_bound: 2000,
        ..RtlNicConfig::new("nic", clock, Seed(1))
    }
}

fn nic(skip: SkipMode) -> RtlNic {
    RtlNic::new(config(skip), &library()).unwrap()
}

/// What a run shows of itself: all that must not depend on skipping.
#[derive(Debug, PartialEq)]
struct Shown {
    sent: Vec<(Time, String)>,
    report: NicReport,
    trace: Vec<u8>,
}

/// Runs `stimulus` until `end` with a host that answers reads with their address, in
/// steps of `quantum`.
fn run(
    nic: &mut RtlNic,
    stimulus: &[(Time, usize, Message)],
    end: Time,
    quantum: Time,
) -> Result<Shown, String> {
    let mut mailbox = Mailbox::new(nic.ports());
    let mut pending: Vec<(Time, usize, Message)> = stimulus.to_vec();
    let mut sent = vec![];
    let mut horizon = Time::ZERO;
    while horizon < end {
        horizon = end.min(horizon + quantum);
        pending.sort_by_key(|(at, port, _)| (*at, *port));
        let later = pending.partition_point(|(at, ..)| *at < horizon);
        for (at, port, message) in pending.drain(..later) {
            mailbox.deliver(port, at, message);
        }
        nic.advance(horizon, &mut mailbox.io()).map_err(|error| {
            let source = std::error::Error::source(&error)
                .map(ToString::to_string)
                .unwrap_or_default();
            format!("{error} {source}")
        })?;
        assert!(mailbox.violation().is_none(), "{:?}", mailbox.violation());
        assert!(nic.next_action() >= horizon);
        while let Some(out) = mailbox.take_sent() {
            if let Message::DmaRead { req_id, addr, len } = out.message {
                let data: Bytes = (0..u64::from(len))
                    .map(|i| (addr / 0x1000 + i) as u8)
                    .collect();
                pending.push((
                    out.at + ROUND_TRIP,
                    PCIE,
                    Message::DmaReadCompletion { req_id, data },
                ));
            }
            let text = match &out.message {
                Message::Frame(frame) => format!("frame of {}", frame.len()),
                other => format!("{other:?}"),
            };
            sent.push((out.at, text));
        }
    }
    let mut trace = vec![];
    nic.trace()
        .unwrap()
        .write("nic", Time::from_ns(4), &mut trace)
        .unwrap();
    let report = NicReport {
        evaluated_cycles: 0,
        ..nic.report()
    };
    Ok(Shown {
        sent,
        report,
        trace,
    })
}

fn write(at: Time, offset: u64, value: u64) -> (Time, usize, Message) {
    let data = value.to_le_bytes().to_vec().into();
    (
        at,
        PCIE,
        Message::MmioWrite {
            req_id: 0,
            bar: 0,
            offset,
            data,
            posted: true,
        },
    )
}

fn us(us: u64) -> Time {
    Time::from_us(us)
}

/// A little of everything, with long pauses.
fn stimulus() -> Vec<(Time, usize, Message)> {
    let frame = |bytes: usize| Message::Frame((0..bytes).map(|i| i as u8).collect());
    vec![
        write(us(1), 0x10, 0x1234_5678_9abc_def0),
        (
            us(2),
            PCIE,
            Message::MmioRead {
                req_id: 77,
                bar: 0,
                offset: 0x10,
                len: 8,
            },
        ),
        (us(5), ETH, frame(1514)),
        (us(5) + Time::from_ns(130), ETH, frame(60)),
        write(us(20), 0x80, 33_333),
        write(us(50), 0x100, 512),
        write(us(50), 0x140, 100),
        write(us(50), 0x180, 512),
    ]
}

#[test]
fn registers_frames_reads_and_interrupts_pass_the_adapter() {
    let shown = run(&mut nic(SkipMode::On), &stimulus(), us(60), ROUND_TRIP).unwrap();
    let has = |text: &str| {
        shown
            .sent
            .iter()
            .filter(|(_, message)| message.contains(text))
            .count()
    };
    assert_eq!(
        has("MmioReadCompletion { req_id: 77, data: b\"\\xf0\\xde\\xbc\\x9axV4\\x12\""),
        1
    );
    assert_eq!((has("frame of"), has("DmaRead {")), (2, 3));
    // Each beat of a completion is written back, and the last one announced.
    assert_eq!(has("DmaWrite {"), 8 + 2 + 8);
    assert_eq!(has("Interrupt { vector: 5, kind: MsiX"), 3);
    let (timer, _) = shown
        .sent
        .iter()
        .find(|(_, message)| message.contains("vector: 9"))
        .unwrap();
    assert!((33_333..33_360).contains(&timer.ns()), "{timer}");
    assert_eq!(shown.report.clock_cycles, 15_000);
    assert_eq!((shown.report.rx_frames, shown.report.tx_bytes), (2, 1574));
    assert_eq!(shown.report.pcie["mrd_up"], 3 * 20);
    assert_eq!(shown.report.stages["wire"].busy, 2);
}

#[test]
fn skipping_and_the_size_of_batches_change_nothing() {
    let mut off = nic(SkipMode::Off);
    let expected = run(&mut off, &stimulus(), us(60), ROUND_TRIP).unwrap();
    assert_eq!(off.report().evaluated_cycles, 15_000);
    for (skip, quantum) in [
        (SkipMode::On, 200),
        (SkipMode::On, 97),
        (SkipMode::Verify, 200),
        (SkipMode::Off, 3),
    ] {
        let mut nic = nic(skip);
        let shown = run(&mut nic, &stimulus(), us(60), Time::from_ns(quantum)).unwrap();
        assert_eq!(shown, expected, "{skip:?} in steps of {quantum} ns");
        if skip == SkipMode::On {
            let evaluated = nic.report().evaluated_cycles;
            assert!(evaluated < 1_500, "{evaluated}");
        }
    }
}

#[test]
fn state_that_changes_while_quiescent_is_found() {
    let mut stimulus = stimulus();
    stimulus.insert(0, write(Time::from_ns(100), 0x88, 1));
    let error = run(&mut nic(SkipMode::Verify), &stimulus, us(60), ROUND_TRIP).unwrap_err();
    assert!(error.contains("a flip-flop or memory changed"), "{error}");
    assert!(run(&mut nic(SkipMode::On), &stimulus, us(60), ROUND_TRIP).is_ok());
}

#[test]
fn a_stage_that_blocks_is_reported_with_the_stall_matrix() {
    let mut stimulus = stimulus();
    stimulus.insert(0, write(Time::from_ns(100), 0x88, 2));
    let error = run(&mut nic(SkipMode::On), &stimulus, us(60), ROUND_TRIP).unwrap_err();
    assert!(
        error.contains("stage `upstream` has refused an event for 2000 cycles"),
        "{error}"
    );
    assert!(error.contains("waiting now"), "{error}");
}

#[test]
fn a_broken_rule_names_cycle_port_and_values() {
    let mut stimulus = stimulus();
    stimulus.insert(0, write(Time::from_ns(100), 0x88, 4));
    let error = run(&mut nic(SkipMode::On), &stimulus, us(60), ROUND_TRIP).unwrap_err();
    assert!(error.contains("nic failed at 50.0"), "{error}");
    assert!(error.contains("clock cycle 125"), "{error}");
    assert!(
        error.contains("memory read of 512 bytes at 0xff0 on port `up` crosses a 4 KiB boundary"),
        "{error}"
    );
}

#[test]
fn a_recording_replays_into_the_bare_model() {
    let mut nic = RtlNic::new(
        RtlNicConfig {
            record: 5_000,
            ..config(SkipMode::Off)
        },
        &library(),
    )
    .unwrap();
    run(&mut nic, &stimulus(), us(60), ROUND_TRIP).unwrap();
    let recording = nic.recording().unwrap();
    assert_eq!(recording.cycles(), 5_000);
    let result = replay(&library(), recording, 1).unwrap();
    assert_eq!(result.cycles, 5_000);
    assert!(result.cycles_per_second() > 0.0);
}

#[test]
fn waveforms_cover_their_window() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("waves.vcd");
    let window = "30us..30.1us".parse().unwrap();
    let waves = Some(WaveFile {
        window,
        path: path.clone(),
    });
    let library = build(Some(TraceFormat::Vcd));
    let mut nic = RtlNic::new(
        RtlNicConfig {
            waves,
            ..config(SkipMode::On)
        },
        &library,
    )
    .unwrap();
    run(&mut nic, &stimulus(), us(40), ROUND_TRIP).unwrap();
    nic.close_waves().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let times: Vec<u64> = text
        .lines()
        .filter_map(|line| line.strip_prefix('#')?.parse().ok())
        .collect();
    assert!(
        times.len() >= 50
            && times
                .iter()
                .all(|&ps| (29_990_000..30_110_000).contains(&ps)),
        "{times:?}"
    );
}

#[test]
fn a_library_without_saved_state_cannot_verify() {
    let toolchain = Toolchain::discover(&mut |_| {}).unwrap();
    let sources = [(
        "loopback.sv".to_string(),
        include_str!("loopback.sv").to_string(),
    )];
    let manifest = manifest("loopback", &["wire", "upstream"]);
    let library = Build::new(&manifest, &sources)
        .profile(Profile::Test)
        .build(&toolchain)
        .unwrap();
    let refused = RtlNic::new(config(SkipMode::Verify), &library)
        .err()
        .unwrap();
    assert!(refused.to_string().contains("savable"), "{refused}");
}
