//! Splices, with the test in the NIC's place.

use std::net::Ipv4Addr;
use std::task::Waker;

use etherparse::PacketBuilder;
use hallux_channel::{Message, Seed};
use hallux_toe::interface::modules::{module_register, splice};
use hallux_toe::interface::{ID_MAGIC, Opcode, RecordKind, VERSION, notice, register};

use super::*;
use crate::control::packet::{Mac, Received, parse};
use crate::control::{HostConfig, Work};
use crate::driver::SpliceModule;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn entry() -> SpliceEntry {
    SpliceEntry {
        from: Tuple {
            source_ip: 0x0a00_0002,
            destination_ip: 0x0a00_0001,
            source_port: 50_000,
            destination_port: 80,
        },
        to: Tuple {
            source_ip: 0x0a00_0001,
            destination_ip: 0x0a00_00fe,
            source_port: 49_152,
            destination_port: 8080,
        },
        destination_mac: [2, 0, 0, 0, 0, 0xfe],
        source_mac: MAC,
        seq: 0xffff_0000,
        ack: 7,
        ts_value: 0x8000_0001,
        ts_echo: 0x7fff_ffff,
    }
}

fn ack(ack: u32) -> Instead {
    Instead {
        ack: Some(ack),
        echo: None,
    }
}

#[test]
fn a_segment_that_is_sent_on_is_right_for_the_other_end() {
    let key = FlowKey {
        remote_ip: 0x0a00_0001,
        local_ip: 0x0a00_0002,
        remote_port: 80,
        local_port: 50_000,
    };
    let segment = Segment {
        window: 500,
        fin: true,
        ..Segment::bare(MAC, key, 0x0001_0005, Some(3))
    };
    let entry = entry();
    for length in [0, 1, 2, 77] {
        let payload = vec![0xa5; length];
        let frame = segment.build_with(PEER, &payload);
        let out = rewritten(&frame, &entry, ack(10)).unwrap();
        // The same segment, made for the other end by other means.
        let key = FlowKey {
            remote_ip: entry.to.destination_ip,
            local_ip: entry.to.source_ip,
            remote_port: entry.to.destination_port,
            local_port: entry.to.source_port,
        };
        let wanted = Segment {
            window: 500,
            fin: true,
            ..Segment::bare(entry.destination_mac, key, 5, Some(10))
        };
        assert_eq!(out, wanted.build_with(MAC, &payload), "{length}");
        assert!(matches!(parse(&out), Received::Tcp(seen) if seen.payload == length as u32));
    }
    let tagged = [&[0; 12][..], &[0x81, 0], &[0; 60]].concat();
    assert_eq!(rewritten(&tagged, &entry, Instead::default()), None);
    assert_eq!(Options::default(), segment.options);
}

/// A segment of `entry()`'s connection, or as it leaves, with these options.
fn with_options(of: &Tuple, macs: [Mac; 2], numbers: (u32, u32), options: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(macs[0], macs[1])
        .ipv4(
            of.source_ip.to_be_bytes(),
            of.destination_ip.to_be_bytes(),
            64,
        )
        .tcp(of.source_port, of.destination_port, numbers.0, 1000)
        .ack(numbers.1)
        .options_raw(options)
        .unwrap();
    let mut frame = vec![];
    builder.write(&mut frame, &[1, 2, 3]).unwrap();
    frame
}

#[test]
fn numbers_in_options_are_moved_wherever_they_stand() {
    let entry = entry();
    let word = |word: u32| word.to_be_bytes();
    // Timestamps and blocks as they come and as they leave.
    let stamps = |value, echo| [&[8, 10][..], &word(value), &word(echo)].concat();
    let block = |left, right| [&[5, 10][..], &word(left), &word(right)].concat();
    let before = (stamps(0x8000_0000, 2), block(0xffff_ffff, 5));
    let after = (stamps(1, 0x8000_0001), block(6, 12));
    for nops in 0..8 {
        for between in 0..4 {
            let nops = vec![1; nops];
            let options = |(stamps, block): &(Vec<u8>, Vec<u8>)| {
                [&nops[..], block, &vec![1; between], stamps, &[253, 3, 9]].concat()
            };
            let macs = [PEER, MAC];
            let frame = with_options(&entry.from, macs, (7, 3), &options(&before));
            let macs = [entry.source_mac, entry.destination_mac];
            let wanted = with_options(&entry.to, macs, (0xffff_0007, 4), &options(&after));
            assert_eq!(rewritten(&frame, &entry, ack(4)).unwrap(), wanted);
            // What we have acknowledged already is not reported.
            let mut stale = after.clone();
            stale.1 = vec![1; 10];
            let wanted = with_options(&entry.to, macs, (0xffff_0007, 9), &options(&stale));
            assert_eq!(rewritten(&frame, &entry, ack(9)).unwrap(), wanted);
            // An echo of what the other end has not sent is another.
            let other = (stamps(1, 77), after.1.clone());
            let wanted = with_options(&entry.to, macs, (0xffff_0007, 4), &options(&other));
            let instead = Instead {
                echo: Some(77),
                ..ack(4)
            };
            assert_eq!(rewritten(&frame, &entry, instead).unwrap(), wanted);
        }
    }
    // What cannot be understood ends what is moved, and goes along.
    for strange in [
        &[8, 10, 1, 1][..],
        &[5, 0, 1, 1],
        &[1, 1, 1, 8],
        &[0, 8, 10, 1],
    ] {
        let frame = with_options(&entry.from, [PEER, MAC], (7, 3), strange);
        let macs = [entry.source_mac, entry.destination_mac];
        let wanted = with_options(&entry.to, macs, (0xffff_0007, 4), strange);
        assert_eq!(rewritten(&frame, &entry, ack(4)).unwrap(), wanted);
    }
}

#[test]
fn a_rest_shrinks_by_what_is_acknowledged_and_fin_goes_last() {
    let mut rest = Rest {
        bytes: vec![1, 2, 3, 4],
        fin: true,
        begin: u32::MAX - 1,
        sent: 5,
        timeouts: 3,
    };
    rest.acknowledge(u32::MAX - 2);
    assert_eq!(
        (rest.length(), rest.timeouts),
        (5, 3),
        "an old one says nothing"
    );
    rest.acknowledge(1);
    assert_eq!(rest.bytes, [4]);
    assert_eq!((rest.begin, rest.sent, rest.timeouts), (1, 2, 0));
    rest.acknowledge(7);
    assert_eq!(
        (rest.length(), rest.begin, rest.sent),
        (0, 3, 0),
        "and what followed it"
    );
}

/// A control plane with a `splice` module, and what it did to the NIC.
struct Rig {
    control: ControlPlane,
    /// Descriptors of context 0 seen so far.
    seen: u64,
    ids: [ConnectionId; 2],
}

const PORTS: [u16; 2] = [5000, 5001];
const MODULE: u8 = 3;

impl Rig {
    /// Two connections of one peer to our port 80, established, without options.
    fn new() -> Self {
        Self::with(None)
    }

    /// The same, with these TSvals in their SYNs.
    fn with(stamps: Option<[u32; 2]>) -> Self {
        let them = Ipv4Addr::new(10, 0, 0, 2);
        let config = HostConfig {
            neighbours: vec![(them, PEER)],
            memory_bytes: 64 << 20,
            splice: Some(SpliceModule {
                module: MODULE,
                places: 16,
            }),
            ..HostConfig::new("host", MAC, Ipv4Addr::new(10, 0, 0, 1), Seed(1))
        };
        let mut control = ControlPlane::new(config).unwrap();
        while let Some(access) = control.driver.take_outgoing() {
            if let Message::MmioRead { req_id, offset, .. } = access {
                let value: u64 = match offset {
                    register::ID => ID_MAGIC,
                    register::CAPABILITIES => 4 << 32 | 3 << 16 | VERSION,
                    _ => 2,
                };
                let answer = control.read_completed(req_id, &value.to_le_bytes());
                answer.unwrap();
            }
        }
        control.listen(80, 3).unwrap();
        for flow in 0..2 {
            let syn = Segment {
                syn: true,
                options: Options {
                    mss: Some(1460),
                    timestamps: stamps.map(|stamps| (stamps[usize::from(flow)], 0)),
                    ..Options::default()
                },
                ..from_peer(flow, 100, None)
            };
            control.handle(Time::ZERO, 0, Work::Frame(syn.build(PEER)));
            control.handle(Time::ZERO, 0, done(Opcode::Open, flow, 0));
            let established = update(flow, 0, notice::ESTABLISHED);
            control.handle(Time::ZERO, 1, established);
        }
        let ids = [0, 1].map(|_| control.poll_accept(80, Waker::noop()).unwrap());
        let mut rig = Self {
            control,
            seen: 0,
            ids,
        };
        rig.sent();
        rig
    }

    /// Bytes arrive on a connection.
    fn receive(&mut self, flow: u16, bytes: &[u8]) {
        let connection = &self.control.connections[&self.ids[usize::from(flow)]];
        let base = connection.socket.receive.base();
        self.control.driver.dma.memory.write(base, bytes);
        let record = update(flow, bytes.len() as u32, 0);
        self.control.handle(Time::ZERO, 1, record);
    }

    fn frame(&mut self, now: Time, segment: Segment) {
        let frame = segment.build_with(PEER, &vec![9; segment.payload as usize]);
        self.control.handle(now, 0, Work::Frame(frame));
    }

    /// Frames sent since the last call, and which entries were written: in use or not.
    fn sent(&mut self) -> (Vec<Segment>, Vec<bool>) {
        self.control.flush(Time::ZERO);
        let (mut tail, mut entries) = (self.seen, vec![]);
        while let Some(access) = self.control.driver.take_outgoing() {
            let Message::MmioWrite { offset, data, .. } = access else {
                continue;
            };
            let value = || u64::from_le_bytes(data[..].try_into().unwrap());
            if offset == register::CONTEXT {
                tail = value();
            } else if offset == module_register(MODULE.into(), splice::COMMIT) {
                entries.push(value() >> 18 & 1 == 1);
            }
        }
        let base = crate::memory::MEMORY_BASE;
        let segments = (self.seen..tail).map(|number| {
            let dma = &mut self.control.driver.dma;
            let descriptor = dma.device_read(Time::ZERO, base + 32 * (number % 1024), 32);
            let address = u64::from_le_bytes(descriptor[16..24].try_into().unwrap());
            let length = u16::from_le_bytes(descriptor[24..26].try_into().unwrap());
            match parse(&dma.device_read(Time::ZERO, address, length)) {
                Received::Tcp(segment) => segment,
                other => panic!("{other:?}"),
            }
        });
        let segments = segments.collect();
        self.seen = tail;
        (segments, entries)
    }
}

fn from_peer(flow: u16, seq: u32, ack: Option<u32>) -> Segment {
    let key = FlowKey {
        remote_ip: 0x0a00_0001,
        local_ip: 0x0a00_0002,
        remote_port: 80,
        local_port: PORTS[usize::from(flow)],
    };
    Segment {
        window: 1000,
        ..Segment::bare(MAC, key, seq, ack)
    }
}

fn update(flow: u16, rx_bump: u32, flags: u8) -> Work {
    Work::Record(Record {
        kind: RecordKind::Update as u8,
        generation: 1,
        flow,
        rx_bump,
        flags,
        ..Record::decode(&[0; 32])
    })
}

fn done(opcode: Opcode, flow: u16, rcv_nxt: u32) -> Work {
    Work::Record(Record {
        kind: RecordKind::CommandDone as u8,
        opcode: opcode as u8,
        generation: 1,
        flow,
        opaque: u64::from(rcv_nxt) << 32,
        ..Record::decode(&[0; 32])
    })
}

#[test]
fn what_was_acknowledged_arrives_before_the_nic_takes_over() {
    let mut rig = Rig::new();
    let first = rig.ids.map(|id| rig.control.connections[&id].first_seq());
    rig.receive(0, &[7; 2000]);
    rig.control.splice(rig.ids).unwrap();
    let again = rig.control.splice(rig.ids);
    assert_eq!(again, Err(SpliceError::NotEstablished));
    rig.control
        .handle(Time::ZERO, 0, done(Opcode::Close, 0, 101 + 2010));
    // Ten bytes more were acknowledged, whose record comes behind that of CLOSE; and a segment
    // comes for which there is no flow any more.
    let late = Segment {
        payload: 5,
        ..from_peer(0, 101 + 2010, Some(first[0]))
    };
    rig.frame(Time::ZERO, late);
    rig.control
        .handle(Time::ZERO, 0, done(Opcode::Close, 1, 101));
    assert_eq!(rig.sent().0, [], "not before that record");
    rig.receive(0, &[7; 10]);
    assert_eq!(rig.control.counts.spliced, 1);
    assert!(rig.control.connections.is_empty());
    let (sent, entries) = rig.sent();
    let seen: Vec<_> = sent
        .iter()
        .map(|s| (s.seq.wrapping_sub(first[1]), s.payload))
        .collect();
    assert_eq!(seen, [(0, 1460), (1460, 550), (2010, 5)]);
    assert!(
        sent.iter()
            .all(|s| s.ack == Some(101) && s.key.local_port == PORTS[1])
    );
    assert!(entries.is_empty(), "the rest is not acknowledged");

    // The first is; the others are sent again, and then they are too.
    let ack = |count: u32| from_peer(1, 101, Some(first[1].wrapping_add(count)));
    rig.frame(Time::ZERO, ack(1460));
    let (sent, _) = rig.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        sent[0].ack,
        Some(101 + 2010),
        "no less than the NIC had acknowledged"
    );
    let due = rig.control.next_timer();
    assert!(due > Time::ZERO && !due.is_never());
    rig.control.expire(due);
    let (sent, _) = rig.sent();
    assert_eq!(
        (sent[0].seq.wrapping_sub(first[1]), sent[0].payload),
        (1460, 550)
    );
    rig.frame(due, ack(2015));
    let (sent, entries) = rig.sent();
    assert_eq!((sent[0].ack, entries), (Some(101 + 2015), vec![true, true]));
    assert!(rig.control.next_timer().is_never());
}

#[test]
fn fins_pass_and_the_pair_is_forgotten_when_both_are_acknowledged() {
    let mut rig = Rig::new();
    let first = rig.ids.map(|id| rig.control.connections[&id].first_seq());
    rig.control.splice(rig.ids).unwrap();
    for flow in 0..2 {
        rig.control
            .handle(Time::ZERO, 0, done(Opcode::Close, flow, 101));
    }
    assert_eq!(rig.sent().1, [true, true]);
    // A late copy of the SYN takes an entry out of the module; it is put back.
    let syn = Segment {
        syn: true,
        ..from_peer(0, 100, None)
    };
    rig.frame(Time::ZERO, syn);
    assert_eq!(rig.sent(), (vec![], vec![false, true]));
    for flow in 0..2 {
        let other = usize::from(1 - flow);
        // The second acknowledges the first FIN of the other end.
        let ack = first[usize::from(flow)].wrapping_add(u32::from(flow));
        let fin = Segment {
            fin: true,
            ..from_peer(flow, 101, Some(ack))
        };
        rig.frame(Time::ZERO, fin);
        let (sent, entries) = rig.sent();
        assert!(sent[0].fin && sent[0].seq == first[other], "{sent:?}");
        assert_eq!(entries, [false]);
    }
    assert!(
        rig.control.next_timer().is_never(),
        "one FIN is not acknowledged"
    );
    rig.frame(
        Time::ZERO,
        from_peer(0, 102, Some(first[0].wrapping_add(1))),
    );
    assert_eq!(rig.sent().0[0].ack, Some(102));
    let due = rig.control.next_timer();
    rig.control.expire(due);
    assert_eq!(rig.control.counts.splices_ended, 1);
    rig.frame(due, from_peer(0, 102, Some(1)));
    assert!(rig.sent().0[0].rst, "what comes then finds no connection");
}

#[test]
fn a_connection_that_is_to_be_like_another_offers_what_that_agreed_on() {
    let to = "10.0.0.2:8080".parse().unwrap();
    let offered = |rig: &mut Rig, like: usize| {
        let id = rig.ids[like];
        rig.control.connect_like(Time::ZERO, to, id).unwrap();
        rig.sent().0[0].options
    };
    let mut rig = Rig::new();
    let none = Options {
        mss: Some(1460),
        ..Options::default()
    };
    assert_eq!(offered(&mut rig, 0), none);
    let mut rig = Rig::with(Some([1, 2]));
    let id = rig.ids[1];
    let peer = &mut rig.control.connections.get_mut(&id).unwrap().peer;
    peer.options.window_scale = Some(4);
    let options = offered(&mut rig, 1);
    assert!(options.timestamps.is_some() && options.window_scale.is_some());
    assert!(!options.sack_permitted);
    assert_eq!(offered(&mut rig, 0).window_scale, None);
}

#[test]
fn timestamps_continue_what_this_host_sent() {
    let mut rig = Rig::with(Some([1000, 0xffff_ff00]));
    let connection = |rig: &Rig, flow: usize| {
        let connection = &rig.control.connections[&rig.ids[flow]];
        (connection.first_seq(), connection.ts_offset)
    };
    let ours = [0, 1].map(|flow| connection(&rig, flow));
    rig.receive(0, &[7; 100]);
    rig.control.splice(rig.ids).unwrap();
    let at = Time::from_us(5000);
    let own = |at: Time, flow: usize| timestamp(at.ns(), ours[flow].1);
    for (flow, ack) in [(0, 201), (1, 101)] {
        rig.control.handle(at, 0, done(Opcode::Close, flow, ack));
    }
    let stamps = |sent: &[Segment]| sent[0].options.timestamps.unwrap();
    // The rest goes with our own clock.
    let (sent, entries) = rig.sent();
    assert_eq!(stamps(&sent), (own(at, 1), 0xffff_ff00));
    assert_eq!((sent.len(), entries.len()), (1, 0));
    // The first segment of the other end continues it on the other connection; it echoes us.
    let stamped = |segment, timestamps| Segment {
        options: Options {
            timestamps: Some(timestamps),
            ..Options::default()
        },
        ..segment
    };
    let later = Time::from_us(9000);
    let all = from_peer(1, 101, Some(ours[1].0.wrapping_add(100)));
    rig.frame(later, stamped(all, (50, own(at, 1))));
    let (sent, entries) = rig.sent();
    assert_eq!(
        stamps(&sent),
        (own(later, 0), 1000),
        "what this end sent last"
    );
    assert!(entries.is_empty(), "one clock is not known");
    // And the first of this end: an echo of what has just been sent, moved back.
    let segment = from_peer(0, 201, Some(ours[0].0));
    rig.frame(later, stamped(segment, (2000, own(later, 0))));
    let (sent, entries) = rig.sent();
    assert_eq!(stamps(&sent), (own(later, 1), 50));
    assert_eq!(entries, [true, true]);
    let ways = &rig.control.splices.pairs[&0].ways;
    for (way, back, value) in [(0, 1, 2000), (1, 0, 50)] {
        let difference = own(later, 1 - way).wrapping_sub(value);
        assert_eq!(ways[way].entry.ts_value, difference);
        assert_eq!(ways[back].entry.ts_echo, difference.wrapping_neg());
    }
    // What comes here all the same, for its options, leaves as the module lets it leave.
    let segment = from_peer(0, 201, Some(ours[0].0));
    rig.frame(at, stamped(segment, (2010, own(later, 0).wrapping_add(3))));
    assert_eq!(stamps(&rig.sent().0), (own(later, 1).wrapping_add(10), 53));
}

#[test]
fn acknowledgements_that_come_by_the_host_later_are_not_held_to_the_first() {
    let mut rig = Rig::new();
    let first = rig.ids.map(|id| rig.control.connections[&id].first_seq());
    rig.control.splice(rig.ids).unwrap();
    for flow in 0..2 {
        rig.control
            .handle(Time::ZERO, 0, done(Opcode::Close, flow, 101));
    }
    rig.sent();
    // The NIC has carried 3 GiB since.
    let far = 3 << 30;
    let fin = Segment {
        fin: true,
        ..from_peer(0, 101, Some(first[0].wrapping_add(far)))
    };
    rig.frame(Time::ZERO, fin);
    assert_eq!(rig.sent().0[0].ack, Some(101u32.wrapping_add(far)));
}

#[test]
fn a_reset_passes_and_ends_both_directions() {
    let mut rig = Rig::new();
    rig.control.splice(rig.ids).unwrap();
    for flow in 0..2 {
        rig.control
            .handle(Time::ZERO, 0, done(Opcode::Close, flow, 101));
    }
    rig.sent();
    let reset = Segment {
        rst: true,
        ..from_peer(1, 101, None)
    };
    rig.frame(Time::ZERO, reset);
    let (sent, entries) = rig.sent();
    assert!(sent[0].rst && sent[0].key.local_port == PORTS[0]);
    assert_eq!(entries, [false, false]);
    rig.control.expire(rig.control.next_timer());
    assert_eq!(rig.control.counts.splices_ended, 1);
    assert!(rig.control.next_timer().is_never());
}

#[test]
fn an_end_that_does_not_answer_costs_both_the_connection() {
    let mut rig = Rig::new();
    rig.receive(0, &[7; 100]);
    rig.control.splice(rig.ids).unwrap();
    rig.control
        .handle(Time::ZERO, 0, done(Opcode::Close, 0, 201));
    rig.control
        .handle(Time::ZERO, 0, done(Opcode::Close, 1, 101));
    let mut resets = 0;
    for _ in 0..20 {
        rig.control.expire(rig.control.next_timer());
        resets += rig.sent().0.iter().filter(|segment| segment.rst).count();
    }
    assert_eq!((resets, rig.control.counts.broken), (2, 2));
    assert_eq!(rig.control.counts.splices_ended, 1);
}

#[test]
fn connections_that_do_not_fit_are_refused() {
    let mut rig = Rig::new();
    let change = |rig: &mut Rig, change: &dyn Fn(&mut Connection)| {
        let id = rig.ids[0];
        change(rig.control.connections.get_mut(&id).unwrap());
        rig.control.splice(rig.ids)
    };
    let refused = change(&mut rig, &|c| c.peer.options.mss = Some(536));
    assert_eq!(
        refused,
        Err(SpliceError::SegmentSize {
            takes: 536,
            told: 1460
        })
    );
    let refused = change(&mut rig, &|c| c.peer.options.window_scale = Some(3));
    assert_eq!(refused, Err(SpliceError::WindowShift { from: 3, to: 0 }));
    let refused = change(&mut rig, &|c| {
        c.peer.options.window_scale = None;
        c.peer.options.timestamps = Some((1, 2));
    });
    assert_eq!(refused, Err(SpliceError::Options));
    let id = rig.ids[0];
    let control = &mut rig.control;
    let socket = &mut control.connections.get_mut(&id).unwrap().socket;
    socket
        .transmit
        .write(&mut control.driver.dma.memory, &[1; 9]);
    assert_eq!(
        rig.control.splice(rig.ids),
        Err(SpliceError::Outstanding { bytes: 9 })
    );
    assert_eq!(rig.control.open_connections(), 2, "nothing has changed");
}
