//! A scripted host and wire around one behavioural NIC.

use super::*;
use crate::reference::{RingPosition, SeqNumber, Transmission, flags};
use hallux_channel::Mailbox;
use interface::{context, notice, register};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const CONTEXT: u64 = 1;
const FLOW: u16 = 5;
const KEY: Key = Key {
    remote_ip: 0x0a00_0002,
    local_ip: 0x0a00_0001,
    remote_port: 4000,
    local_port: 80,
};

/// Rings of context `c` lie at `c << 16`; payload rings of 8 KiB further up.
const RX_RING: u64 = 0x10_0000;
const TX_RING: u64 = 0x12_0000;
const SLOTS: u64 = 0x14_0000;

/// Host memory, served at once, and the NIC.
struct Bench {
    nic: BehaviouralNic,
    mailbox: Mailbox,
    memory: Vec<u8>,
    now: Time,
    frames: Vec<Bytes>,
    interrupts: Vec<u16>,
    values: Vec<u64>,
    descriptors: BTreeMap<u64, u32>,
}

impl Bench {
    fn new() -> Self {
        let nic = BehaviouralNic::new(BehaviouralConfig::default());
        let mailbox = Mailbox::new(nic.ports());
        let mut bench = Self {
            nic,
            mailbox,
            memory: vec![0; 1 << 21],
            now: Time::from_ns(1),
            frames: vec![],
            interrupts: vec![],
            values: vec![],
            descriptors: BTreeMap::new(),
        };
        let mac = MAC.iter().fold(0, |mac, &byte| mac << 8 | u64::from(byte));
        bench.set(register::MAC, mac);
        bench.set(register::SLOW_BASE, SLOTS);
        for c in [0, CONTEXT] {
            let page = register::CONTEXT + c * register::CONTEXT_STRIDE;
            let base = (c + 1) << 16;
            for (at, value) in [
                (context::DESCRIPTOR_BASE, base),
                (context::DESCRIPTOR_LOG2, 4),
                (context::RECORD_BASE, base + 0x1000),
                (context::RECORD_LOG2, 6),
                (context::CONSUMED_ADDRESS, base + 0x8000),
                (context::ENABLE, 1),
            ] {
                bench.set(page + at, value);
            }
        }
        bench.set(register::CONTROL, 1);
        bench
    }

    fn set(&mut self, offset: u64, value: u64) {
        let data = value.to_le_bytes().to_vec().into();
        self.deliver(
            PCIE,
            Message::MmioWrite {
                req_id: 0,
                bar: 0,
                offset,
                data,
                posted: true,
            },
        );
    }

    fn get(&mut self, offset: u64) -> u64 {
        self.deliver(
            PCIE,
            Message::MmioRead {
                req_id: 0,
                bar: 0,
                offset,
                len: 8,
            },
        );
        self.values.pop().unwrap()
    }

    /// Delivers a message and serves the NIC until it is at rest.
    fn deliver(&mut self, port: usize, message: Message) {
        self.mailbox.deliver(port, self.now, message);
        loop {
            self.now += Time::from_us(10);
            self.nic.advance(self.now, &mut self.mailbox.io()).unwrap();
            assert!(
                self.mailbox.violation().is_none(),
                "{:?}",
                self.mailbox.violation()
            );
            let mut answered = false;
            while let Some(sent) = self.mailbox.take_sent() {
                match sent.message {
                    Message::Frame(frame) => self.frames.push(frame),
                    Message::Interrupt { vector, .. } => self.interrupts.push(vector),
                    Message::MmioReadCompletion { data, .. } => {
                        self.values
                            .push(u64::from_le_bytes(data[..].try_into().unwrap()));
                    }
                    Message::DmaWrite { addr, data, .. } => {
                        self.memory[addr as usize..addr as usize + data.len()]
                            .copy_from_slice(&data);
                    }
                    Message::DmaRead { req_id, addr, len } => {
                        let data = self.memory[addr as usize..addr as usize + usize::from(len)]
                            .to_vec()
                            .into();
                        self.mailbox.deliver(
                            PCIE,
                            self.now,
                            Message::DmaReadCompletion { req_id, data },
                        );
                        answered = true;
                    }
                    other => panic!("unexpected {}", other.kind()),
                }
            }
            if !answered {
                return;
            }
        }
    }

    fn record(&self, context: u64, index: u64) -> Record {
        let at = (((context + 1) << 16) + 0x1000 + index * 32) as usize;
        Record::decode(self.memory[at..at + 32].try_into().unwrap())
    }

    fn describe(&mut self, context: u64, descriptor: Descriptor) {
        let tail = self.descriptors.entry(context).or_default();
        let at = (((context + 1) << 16) + u64::from(*tail % 16) * 32) as usize;
        self.memory[at..at + 32].copy_from_slice(&descriptor.encode(true));
        *tail += 1;
        let tail = u64::from(*tail);
        self.set(
            register::CONTEXT + context * register::CONTEXT_STRIDE + context::DESCRIPTOR_TAIL,
            tail,
        );
        let consumed = (((context + 1) << 16) + 0x8000) as usize;
        assert_eq!(u64::from(self.memory[consumed]), tail & 0xff);
    }

    fn open(&mut self) {
        let words = OpenWords {
            context: CONTEXT as u8,
            timestamps: true,
            mss: 1448,
            rx_log2: 13,
            tx_log2: 13,
            remote_mac: PEER_MAC,
            local_ip: KEY.local_ip,
            remote_ip: KEY.remote_ip,
            local_port: KEY.local_port,
            remote_port: KEY.remote_port,
            snd_nxt: 1000,
            rcv_nxt: 2000,
            window: 60_000,
            rx_base: RX_RING,
            tx_base: TX_RING,
            opaque: 0x55,
            ..OpenWords::default()
        };
        for (index, word) in words.encode().into_iter().enumerate() {
            self.set(register::COMMAND_STAGE + 8 * index as u64, word);
        }
        self.set(
            register::COMMAND,
            u64::from(FLOW) | 3 << 16 | (Opcode::Open as u64) << 24,
        );
        let hash =
            interface::flow_hashes(KEY.remote_ip, KEY.local_ip, KEY.remote_port, KEY.local_port)[0];
        self.set(
            register::TABLE_ADDRESSES,
            u64::from(KEY.remote_ip) << 32 | u64::from(KEY.local_ip),
        );
        let ports =
            u64::from(KEY.local_port) | u64::from(KEY.remote_port) << 16 | u64::from(FLOW) << 32;
        self.set(register::TABLE_PORTS, ports);
        self.set(register::TABLE_COMMIT, u64::from(hash % 256) | 1 << 19);
    }

    /// The peer sends a segment.
    fn segment(&mut self, seq: u32, ack: u32, payload: &[u8]) {
        let key = Key {
            remote_ip: KEY.local_ip,
            local_ip: KEY.remote_ip,
            remote_port: KEY.local_port,
            local_port: KEY.remote_port,
        };
        let addresses = Addresses {
            local_mac: PEER_MAC,
            remote_mac: MAC,
            key,
            ecn: 0,
        };
        let segment = Transmission {
            seq: SeqNumber(seq),
            ack: SeqNumber(ack),
            window: 60_000,
            flags: flags::ACK,
            ts_on: true,
            ts_offset: 0,
            ts_ecr: 0,
            sack: [None; 3],
            length: payload.len() as u16,
            tx_pos: RingPosition(0),
        };
        self.deliver(
            ETH,
            Message::Frame(frame::build(&addresses, &segment, 1, payload).into()),
        );
    }
}

#[test]
fn the_registers_identify_the_nic() {
    let mut bench = Bench::new();
    assert_eq!(bench.get(register::ID), interface::ID_MAGIC);
    // Version, contexts, SACK reports, connections.
    assert_eq!(
        bench.get(register::CAPABILITIES),
        1 | 8 << 16 | 1 << 24 | 1024 << 32
    );
    assert_eq!(bench.get(register::STATUS), 3);
    assert_eq!(bench.get(register::MAC), 0x0200_0000_0001);
    assert_eq!(bench.get(0xf_fff8), 0);
}

#[test]
fn a_connection_carries_data_both_ways() {
    let mut bench = Bench::new();
    bench.open();
    let done = bench.record(0, 0);
    assert_eq!(
        (done.kind, done.opcode, done.status, done.flow),
        (3, 1, 0, FLOW)
    );

    // Host to wire: 3000 released bytes leave as three segments.
    let data: Vec<u8> = (0..3000).map(|i| (i * 7 % 251) as u8).collect();
    bench.memory[TX_RING as usize..TX_RING as usize + 3000].copy_from_slice(&data);
    let update = Descriptor::Update {
        flow: FLOW,
        generation: 3,
        rx_bump: 0,
        tx_bump: 3000,
        finish: false,
    };
    bench.describe(CONTEXT, update);
    let sent = std::mem::take(&mut bench.frames);
    let payloads: Vec<_> = sent
        .iter()
        .map(|frame| match frame::judge(frame, PEER_MAC) {
            Verdict::Fast {
                segment,
                payload_offset,
                ..
            } => frame[payload_offset..payload_offset + usize::from(segment.payload_len)].to_vec(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        payloads.iter().map(Vec::len).collect::<Vec<_>>(),
        [1448, 1448, 104]
    );
    assert_eq!(payloads.concat(), data);

    // Their acknowledgement becomes a record; armed before, it interrupts.
    bench.set(
        register::CONTEXT + CONTEXT * register::CONTEXT_STRIDE + context::INTERRUPT_ARM,
        0,
    );
    bench.segment(2000, 4000, b"");
    let record = bench.record(CONTEXT, 0);
    assert_eq!(
        (record.kind, record.tx_bump, record.opaque, record.phase),
        (1, 3000, 0x55, true)
    );
    assert_eq!(bench.interrupts, [CONTEXT as u16]);

    // Wire to host: placed, announced, acknowledged.
    bench.segment(2000, 4000, b"hello world");
    assert_eq!(
        &bench.memory[RX_RING as usize..RX_RING as usize + 11],
        b"hello world"
    );
    assert_eq!(bench.record(CONTEXT, 1).rx_bump, 11);
    let Verdict::Fast { segment, .. } = frame::judge(&bench.frames[0], PEER_MAC) else {
        panic!("no ACK")
    };
    assert_eq!((segment.ack, segment.payload_len), (SeqNumber(2011), 0));
}

#[test]
fn payload_wraps_at_the_rings_end() {
    let mut bench = Bench::new();
    bench.open();
    let mut seq = 2000;
    let mut stream = vec![];
    for round in 0..9 {
        let payload = vec![round as u8; 1000];
        bench.segment(seq, 1000, &payload);
        seq += 1000;
        stream.extend_from_slice(&payload);
        let update = Descriptor::Update {
            flow: FLOW,
            generation: 3,
            rx_bump: 1000,
            tx_bump: 0,
            finish: false,
        };
        bench.describe(CONTEXT, update);
    }
    let ring = &bench.memory[RX_RING as usize..RX_RING as usize + 8192];
    assert_eq!(ring[..808], stream[8192..]);
    assert_eq!(ring[808..], stream[808..8192]);
    assert!(bench.nic.drops().values().all(|&count| count == 0));
}

#[test]
fn unknown_frames_reach_the_control_plane_and_its_frames_the_wire() {
    let mut bench = Bench::new();
    let mut arp = vec![0xff; 60];
    arp[12..14].copy_from_slice(&[8, 6]);
    bench.deliver(ETH, Message::Frame(arp.clone().into()));
    let record = bench.record(0, 0);
    assert_eq!((record.kind, record.length, record.value), (2, 60, 0));
    assert_eq!(bench.memory[SLOTS as usize..SLOTS as usize + 60], arp);

    bench.memory[0x18_0000..0x18_002a].fill(0xab);
    bench.describe(
        0,
        Descriptor::SendFrame {
            address: 0x18_0000,
            length: 42,
        },
    );
    assert_eq!(bench.frames.len(), 1);
    assert_eq!(
        (
            bench.frames[0].len(),
            bench.frames[0][41],
            bench.frames[0][42]
        ),
        (60, 0xab, 0)
    );
}

#[test]
fn drops_and_stale_events_are_counted() {
    let mut bench = Bench::new();
    bench.open();
    bench.set(register::CONTROL, 0);
    bench.segment(2000, 1000, b"x");
    bench.set(register::CONTROL, 1);
    bench.deliver(ETH, Message::Frame(vec![2; 5].into()));
    let stale = Descriptor::Update {
        flow: FLOW,
        generation: 4,
        rx_bump: 0,
        tx_bump: 9,
        finish: false,
    };
    bench.describe(CONTEXT, stale);
    bench.set(register::COUNTER_LATCH, 0);
    let counter = |bench: &mut Bench, name: &str| {
        let index = COUNTERS
            .iter()
            .position(|counter| *counter == name)
            .unwrap() as u64;
        bench.get(register::COUNTERS + 8 * index)
    };
    assert_eq!(counter(&mut bench, "drop_disabled"), 1);
    assert_eq!(counter(&mut bench, "drop_truncated"), 1);
    assert_eq!(counter(&mut bench, "stale_events"), 1);
    assert_eq!(bench.nic.drops()["disabled"], 1);
}

#[test]
fn the_peers_fin_is_announced() {
    let mut bench = Bench::new();
    bench.open();
    let update = Descriptor::Update {
        flow: FLOW,
        generation: 3,
        rx_bump: 0,
        tx_bump: 1,
        finish: true,
    };
    bench.describe(CONTEXT, update);
    let Verdict::Fast { segment, .. } = frame::judge(&bench.frames[0], PEER_MAC) else {
        panic!("no FIN")
    };
    assert_eq!(
        (segment.flags, segment.payload_len),
        (flags::ACK | flags::FIN, 0)
    );
    assert_eq!(bench.record(CONTEXT, 0).flags & notice::PEER_FINISHED, 0);
}
