//! Bench of `modules::capture`: what stands in the ring of the host against what passed.

mod frames;
mod passing;
mod stage;

use frames::{TcpFrame, cycles_of, trace};
use hallux_testbenches::{Monitor, Stalls};
use hallux_toe::interface::modules::{
    CaptureHeader, CaptureStatus, Rule, capture, rules, rules::action,
};
use hallux_toe::modules::capture::{Capture, DECLARATION};
use hallux_toe::modules::port::{DROP, PASS, REDIRECT};
use passing::Module;
use stage::{BUSES, Dice, assert_lint_clean, bench_of, on_bus};

const RULES: usize = 4;
const RING: u64 = 0x1_2340_0000;
const STATUS: u64 = 0x9_0000_0040;
/// Largest write.
const PAYLOAD: usize = 256;

/// A frame of the ring.
#[derive(Clone, Debug, PartialEq)]
struct Mirrored {
    time: u64,
    original: u32,
    bytes: Vec<u8>,
}

/// The module and the memory that it writes to.
struct Host {
    module: Module,
    up: Monitor,
    ring: Vec<u8>,
    status: CaptureStatus,
    /// Beats of a request that have come.
    request: Vec<u8>,
    consumed: u64,
    frames: Vec<Mirrored>,
    /// Writes of the module: address and bytes.
    writes: Vec<(u64, u64)>,
}

impl Host {
    fn new(bus: usize, seed: u64, snap: usize, ring_log2: u64) -> Self {
        let mut module = Module::of(
            bus,
            on_bus!(bus, |N, K| bench_of(
                &Capture::<N, K>::new(RULES, snap, PAYLOAD),
                "capture",
                seed
            )),
        );
        let up = module.bench.monitor("m_up");
        for (register, value) in [
            (capture::RING_BASE, RING),
            (capture::RING_LOG2, ring_log2),
            (capture::STATUS, STATUS),
            (capture::ENABLE, 1),
        ] {
            module.write(register, value);
        }
        Self {
            module,
            up,
            ring: vec![0xee; 1 << ring_log2],
            status: CaptureStatus::default(),
            request: vec![],
            consumed: 0,
            frames: vec![],
            writes: vec![],
        }
    }

    /// Writes a register, while time goes on.
    fn write(&mut self, register: u64, value: u64) {
        let now = self.module.bench.cycles();
        self.module.bench.poke("now", now);
        self.module.write(register, value);
    }

    fn everything(&mut self) {
        self.write(rules::DEFAULT, action::CAPTURE.into());
    }

    /// Some clocks; what the module writes gets into memory.
    fn run(&mut self, clocks: u64) {
        for _ in 0..clocks {
            let now = self.module.bench.cycles();
            self.module.bench.poke("now", now);
            self.module.bench.cycle();
        }
        let bus = self.module.bus;
        for beat in self.module.bench.take_received(self.up) {
            assert_eq!(beat.field("kind"), 0);
            let (address, bytes) = (beat.field("address").u64(), beat.field("bytes").u64());
            assert!(bytes <= PAYLOAD as u64 && address / 4096 == (address + bytes - 1) / 4096);
            self.request.extend(beat.field("data").to_bytes(bus));
            let whole = self.request.len() as u64 >= bytes;
            assert_eq!(
                beat.field("last") == 1,
                whole,
                "{address:#x}, {bytes} bytes"
            );
            if !whole {
                continue;
            }
            let data = std::mem::take(&mut self.request);
            let data = &data[..bytes as usize];
            self.writes.push((address, bytes));
            if address == STATUS {
                self.status = CaptureStatus::decode(data.try_into().unwrap());
            } else {
                let at = (address - RING) as usize;
                self.ring[at..at + data.len()].copy_from_slice(data);
            }
        }
    }

    /// Reads what the status says is there.
    fn read(&mut self) {
        while self.consumed < self.status.position {
            let at = |position: u64| position as usize % self.ring.len();
            let from = |position: u64, count: usize| -> Vec<u8> {
                (0..count as u64)
                    .map(|i| self.ring[at(position + i)])
                    .collect()
            };
            let header = CaptureHeader::decode(&from(self.consumed, 32).try_into().unwrap());
            self.frames.push(Mirrored {
                time: header.time,
                original: header.original,
                bytes: from(self.consumed + 32, header.captured as usize),
            });
            assert_eq!(
                header.size,
                (u64::from(header.captured) + 32).next_multiple_of(PAYLOAD as u64)
            );
            self.consumed += header.size;
        }
    }

    fn give_back(&mut self) {
        self.write(capture::CONSUMED, self.consumed);
    }

    fn rests(&mut self) -> bool {
        let s = self.module.s;
        self.module.bench.pending(s) == 0 && self.module.bench.peek("idle") == 1
    }
}

fn frame(dice: &mut Dice) -> TcpFrame {
    let count = match dice.below(4) {
        0 => dice.below(1400),
        _ => dice.below(150),
    };
    TcpFrame {
        remote_ip: if dice.chance(50) {
            0x0a00_0002
        } else {
            0x0a00_0102
        },
        local_port: if dice.chance(50) { 80 } else { 443 },
        ethertype: if dice.chance(10) { 0x0806 } else { 0x0800 },
        vlan: dice.chance(20).then_some(7),
        payload: dice.bytes(count as usize),
        ..TcpFrame::default()
    }
}

#[test]
fn what_the_filter_meets_stands_in_the_ring() {
    for bus in BUSES {
        for (seed, stalls, snap) in [(1, 0, 128), (2, 40, 1536), (3, 60, 64)] {
            let mut dice = Dice::new(seed);
            let mut host = Host::new(bus, seed, snap, 16);
            for channel in [host.module.s.into(), host.module.m.into(), host.up.into()] {
                let channel: hallux_testbenches::Channel = channel;
                host.module.bench.stall(channel, Stalls::random(stalls));
            }
            let rule = Rule {
                source: (0x0a00_0000, 0xffff_ff00),
                destination_port: Some(80),
                action: action::CAPTURE,
                ..Rule::default()
            };
            for (register, value) in rule.writes(0, 1) {
                host.module.write(register, value);
            }
            // Everything else too in one of the runs, but what another rule takes out.
            if seed == 2 {
                host.everything();
                let ignored = Rule {
                    protocol: Some(6),
                    action: 0,
                    ..Rule::default()
                };
                for (register, value) in ignored.writes(0, 2) {
                    host.module.write(register, value);
                }
            }
            let (mut passed, mut expected) = (vec![], vec![]);
            let mut beats = 0;
            let mut begins = vec![];
            for _ in 0..200 {
                let frame = frame(&mut dice);
                let bytes = frame.build();
                let verdict = [PASS, PASS, REDIRECT, DROP][dice.below(4) as usize];
                host.module.send(&bytes, verdict);
                let ipv4 = frame.ethertype == 0x0800;
                let meets = ipv4 && frame.remote_ip == 0x0a00_0002 && frame.local_port == 80;
                let wanted = meets || seed == 2 && !ipv4;
                if wanted && verdict != DROP {
                    begins.push(beats);
                    expected.push(Mirrored {
                        time: 0,
                        original: bytes.len() as u32,
                        bytes: bytes[..bytes.len().min(snap)].to_vec(),
                    });
                }
                beats += bytes.len().div_ceil(bus);
                passed.push((bytes, verdict));
            }
            for _ in 0..2000 {
                host.run(40);
                host.read();
                host.give_back();
                if host.rests() {
                    break;
                }
            }
            host.run(4);
            assert!(host.rests(), "{bus} bytes, seed {seed}: not idle");
            assert!(host.module.frames() == passed, "what passes is as it came");
            let cycles = cycles_of(host.module.bench.log(), "s");
            for (frame, beat) in expected.iter_mut().zip(&begins) {
                frame.time = cycles[*beat];
            }
            assert!(expected.len() > 20);
            assert_eq!(
                host.frames.len(),
                expected.len(),
                "{bus} bytes, seed {seed}"
            );
            for (number, (seen, frame)) in host.frames.iter().zip(&expected).enumerate() {
                assert_eq!(seen, frame, "{bus} bytes, seed {seed}, frame {number}");
            }
            let count = expected.len() as u64;
            assert_eq!(host.module.read(capture::WRITTEN), count);
            assert_eq!((host.status.written, host.status.lost_ring), (count, 0));
        }
    }
}

/// Frames of 64 bytes back to back; the clocks from the first to the last on both sides.
fn at_full_rate(host: &mut Host, count: usize) -> (u64, u64) {
    let frame = TcpFrame {
        payload: vec![1; 6],
        ..TcpFrame::default()
    };
    let already = cycles_of(host.module.bench.log(), "s").len();
    for _ in 0..count {
        host.module.send(&frame.build(), PASS);
    }
    host.run(count as u64 * 2 + 20);
    let (s, m) = (
        cycles_of(host.module.bench.log(), "s")[already..].to_vec(),
        cycles_of(host.module.bench.log(), "m")[already..].to_vec(),
    );
    assert_eq!(m[0] - s[0], DECLARATION.latency);
    let span = |cycles: &[u64]| cycles.last().unwrap() - cycles[0];
    (span(&s), span(&m))
}

#[test]
fn a_full_ring_costs_frames_of_the_capture_and_nothing_else() {
    let mut host = Host::new(64, 1, 128, 12);
    host.everything();
    // 4 KiB are 16 entries of 256 bytes.
    assert_eq!(at_full_rate(&mut host, 100), (99, 99));
    assert_eq!(host.status.written, 16);
    host.read();
    assert_eq!(host.frames.len(), 16);
    // The losses are told when room is given back.
    host.give_back();
    host.run(8);
    assert_eq!((host.status.written, host.status.lost_ring), (16, 84));
    assert!(host.rests());
    // The ring goes on where it was, and the next entry names what was lost before it.
    host.frames.clear();
    assert_eq!(at_full_rate(&mut host, 10), (9, 9));
    host.read();
    assert_eq!(host.frames.len(), 10);
    let header: [u8; 32] = host.ring[..32].try_into().unwrap();
    assert_eq!(CaptureHeader::decode(&header).lost, 84);
}

#[test]
fn a_busy_link_costs_frames_of_the_capture_and_nothing_else() {
    let mut host = Host::new(64, 1, 1536, 20);
    host.everything();
    host.module.bench.stall(host.up, Stalls::always());
    assert_eq!(at_full_rate(&mut host, 600), (599, 599));
    let lost = host.module.read(capture::LOST_STORE);
    assert!((200..=400).contains(&lost), "{lost} of 600 lost");
    host.module.bench.stall(host.up, Stalls::none());
    host.run(3000);
    host.read();
    assert_eq!(host.frames.len() as u64, 600 - lost);
    assert_eq!(host.status.lost_store, lost);
    assert!(host.rests());
}

#[test]
fn frames_are_mirrored_at_full_rate() {
    // Two clocks an entry, one of them of header and frame: as many as the bus brings.
    for (bus, clocks) in [(32, 300), (64, 200)] {
        let mut host = Host::new(bus, 1, 64, 20);
        host.everything();
        let frame = TcpFrame {
            payload: vec![1; 42],
            ..TcpFrame::default()
        };
        for _ in 0..100 {
            host.module.send(&frame.build(), PASS);
        }
        host.run(clocks + 60);
        host.read();
        assert_eq!(host.frames.len(), 100, "{bus} bytes");
    }
}

#[test]
fn writes_of_one_frame() {
    let mut host = Host::new(64, 1, 1536, 14);
    let frame = TcpFrame {
        payload: (0..=255).cycle().take(400).collect(),
        ..TcpFrame::default()
    };
    // Nothing is mirrored that no rule wants.
    host.module.send(&frame.build(), PASS);
    host.run(40);
    assert!(host.writes.is_empty());
    host.everything();
    host.module.send(&frame.build(), PASS);
    host.run(40);
    let writes: Vec<String> = host
        .writes
        .iter()
        .map(|(address, bytes)| format!("{address:#x} {bytes} bytes"))
        .collect();
    insta::assert_snapshot!(writes.join("\n"));
    insta::assert_snapshot!(trace(
        host.module.bench.log(),
        &["address", "bytes", "last"]
    ));
    // A lower snap length takes effect when capturing begins anew.
    host.module.write(capture::ENABLE, 0);
    host.module.send(&frame.build(), PASS);
    host.run(40);
    assert_eq!(host.status.written, 1);
    host.module.write(capture::SNAP, 70);
    host.module.write(capture::ENABLE, 1);
    host.module.send(&frame.build(), PASS);
    host.run(40);
    host.read();
    assert_eq!(host.frames[0].bytes, frame.build()[..70]);
}

#[test]
fn lint_clean() {
    for bus in BUSES {
        on_bus!(bus, |N, K| {
            assert_lint_clean(&Capture::<N, K>::new(RULES, 128, PAYLOAD), "capture");
        });
    }
}
