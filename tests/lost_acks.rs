//! A wire that loses most acknowledgements: what those that arrive repeat (RFC 2018 §4) tells a NIC
//! what the lost ones said. The same wire, but with the repetitions taken out of every
//! acknowledgement, shows what they are worth.
//!
//! ```text
//!  host: asks ══ NIC ── thief ── NIC ══ host: echoes
//! ```

use hallux::model::{self, Abilities};
use hallux_channel::{
    ClockPeriod, Component, ComponentError, Io, LineRate, Message, PortSpec, Probability, Protocol,
    Random, Seed, Time,
};
use hallux_cosim::engine::{RunOptions, Simulation};
use hallux_cosim::nic::mac::MacParameters;
use hallux_cosim::nic::pcie::LinkParameters;
use hallux_cosim::nic::{RtlNic, RtlNicConfig};
use hallux_host::application::Network;
use hallux_host::apps::report::Report;
use hallux_host::apps::rpc;
use hallux_host::behavioural::{BehaviouralConfig, BehaviouralNic};
use hallux_host::control::HostConfig;
use hallux_host::host::Host;
use hallux_toe::design::DesignPoint;
use std::any::Any;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const SEED: Seed = Seed(5);
const CONNECTIONS: usize = 4;
const REQUESTS: u64 = 12;
const BYTES: u64 = 250_000;

const IP: usize = 14;
const TCP: usize = 34;
const OPTIONS: usize = 54;

/// A wire: ports `a` and `b`.
#[derive(Debug)]
struct Thief {
    ports: [PortSpec; 2],
    data: Probability,
    acks: Probability,
    random: Random,
    /// Acknowledgements keep their first block only.
    strips: bool,
    /// The end of what was sent, by direction and ports.
    ends: BTreeMap<(usize, u32), u32>,
    /// Data segments that were lost, and that carried only what had been sent before.
    lost: u64,
    again: u64,
    /// Acknowledgements with several blocks that arrived.
    repeated: u64,
}

impl Thief {
    fn new(seed: u64, strips: bool) -> Self {
        let probability = |p| Probability::new(p).unwrap();
        Self {
            ports: [
                PortSpec::new("a", Protocol::Ethernet),
                PortSpec::new("b", Protocol::Ethernet),
            ],
            data: probability(0.004),
            acks: probability(0.5),
            random: Seed(seed).stream("thief"),
            strips,
            ends: BTreeMap::new(),
            lost: 0,
            again: 0,
            repeated: 0,
        }
    }

    /// The frame as it arrives, if it does.
    fn carry(&mut self, port: usize, frame: &[u8]) -> Option<Vec<u8>> {
        let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        if word(12) != 0x0800 || frame[23] != 6 {
            return Some(frame.to_vec());
        }
        let header = 4 * usize::from(frame[TCP + 12] >> 4);
        let payload = (usize::from(word(IP + 2)) - 20 - header) as u32;
        let plain = frame[TCP + 13] & 0b111 == 0;
        if payload > 0 {
            let ports = u32::from(word(TCP)) << 16 | u32::from(word(TCP + 2));
            let seq = u32::from(word(TCP + 4)) << 16 | u32::from(word(TCP + 6));
            let end = self.ends.entry((port, ports)).or_insert(seq);
            let new = seq.wrapping_add(payload).wrapping_sub(*end) as i32 > 0;
            if new {
                *end = seq.wrapping_add(payload);
            } else {
                self.again += 1;
            }
            let loses = self.random.chance(self.data);
            self.lost += u64::from(loses);
            return (!loses).then(|| frame.to_vec());
        }
        if plain && self.random.chance(self.acks) {
            return None;
        }
        let mut frame = frame.to_vec();
        let sack = sack_option(&frame[OPTIONS..TCP + header]);
        if let Some((at, blocks)) = sack.filter(|&(_, blocks)| blocks > 1) {
            self.repeated += 1;
            let first = OPTIONS + at + 2;
            for block in 1..blocks.min(1 + 8 * usize::from(self.strips)) {
                frame.copy_within(first..first + 8, first + 8 * block);
            }
            seal(&mut frame, header);
        }
        Some(frame)
    }
}

/// Where the SACK option begins, and its blocks.
fn sack_option(options: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    while at < options.len() {
        match options[at] {
            0 => return None,
            1 => at += 1,
            5 => return Some((at, usize::from(options[at + 1] - 2) / 8)),
            _ => at += usize::from(options[at + 1]),
        }
    }
    None
}

/// Sets the checksum of a segment without payload (RFC 9293 §3.1).
fn seal(frame: &mut [u8], header: usize) {
    frame[TCP + 16..TCP + 18].fill(0);
    let mut sum = 6 + header as u32;
    for pair in frame[IP + 12..IP + 20]
        .chunks(2)
        .chain(frame[TCP..TCP + header].chunks(2))
    {
        sum += u32::from(u16::from_be_bytes([pair[0], pair[1]]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    frame[TCP + 16..TCP + 18].copy_from_slice(&(!sum as u16).to_be_bytes());
}

impl Component for Thief {
    fn name(&self) -> &str {
        "thief"
    }

    fn ports(&self) -> &[PortSpec] {
        &self.ports
    }

    fn next_action(&self) -> Time {
        Time::NEVER
    }

    fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
        while let Some((at, port, message)) = io.pop_before(horizon) {
            let Message::Frame(frame) = message else {
                continue;
            };
            if let Some(frame) = self.carry(port, &frame) {
                io.send(1 - port, at, Message::Frame(frame.into()));
            }
        }
        Ok(())
    }

    fn finished_at(&self) -> Option<Time> {
        Some(Time::ZERO)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// What a run leaves behind.
#[derive(Debug)]
struct Run {
    lost: u64,
    again: u64,
    repeated: u64,
}

/// Echoes between two hosts with NICs of `make`.
fn echoes<N: Component + 'static>(
    make: impl Fn(&'static str) -> N,
    seed: u64,
    strips: bool,
) -> Run {
    let host = |name, number, address| {
        Host::new(HostConfig::new(
            name,
            [2, 0, 0, 0, 0, number],
            address,
            SEED,
        ))
        .unwrap()
    };
    let (server, client) = (host("server", 1, SERVER), host("client", 2, CLIENT));
    server.run_in_background(rpc::serve(server.network(), 7, CONNECTIONS, Report::new()));
    let (network, report) = (client.network(), Report::new());
    let kept = report.clone();
    let questions = rpc::ClientConfig {
        server: SocketAddrV4::new(SERVER, 7),
        connections: CONNECTIONS,
        sizes: rpc::Sizes::Cycle(vec![BYTES as usize]),
        requests: Some(REQUESTS),
        until: None,
        warm_up: Time::ZERO,
        think_time: Time::ZERO,
        resets: 0,
        seed: SEED,
    };
    client.run_to_end(async move {
        network.sleep(Time::from_us(20)).await;
        rpc::call_all(network, questions, kept).await;
    });
    let mut simulation = Simulation::new();
    let thief = simulation.add(Thief::new(seed, strips)).unwrap();
    for (host, nic, port) in [(server, "server-nic", "a"), (client, "client-nic", "b")] {
        let host = simulation.add(host).unwrap();
        let nic = simulation.add(make(nic)).unwrap();
        let (pcie, wire) = (Time::from_ns(100), Time::from_us(2));
        simulation
            .connect((nic, "pcie"), (host, "pcie"), pcie)
            .unwrap();
        simulation
            .connect((nic, "eth"), (thief, port), wire)
            .unwrap();
    }
    let options = RunOptions {
        stop_quantum: Time::from_us(10),
        max_time: Time::from_ms(2_000),
        cancel: None,
    };
    simulation.run(&options, &mut |_| ()).unwrap();
    let report = report.get();
    assert_eq!(report.failures, Vec::<String>::new());
    assert_eq!(report.completed, CONNECTIONS as u64 * REQUESTS);
    assert_eq!(report.bytes_mismatched, 0);
    let thief: &Thief = simulation.component(thief).unwrap();
    Run {
        lost: thief.lost,
        again: thief.again,
        repeated: thief.repeated,
    }
}

/// With what is repeated, less is sent again that had arrived.
fn assert_repetitions_help<N: Component + 'static>(make: impl Fn(&'static str) -> N) {
    let (mut needless, mut needless_stripped) = (0, 0);
    for seed in 1..=3 {
        let [whole, stripped] = [false, true].map(|strips| echoes(&make, seed, strips));
        println!("all blocks: {whole:?}; first blocks only: {stripped:?}");
        assert!(whole.repeated > 20 && stripped.repeated > 20);
        needless += whole.again.saturating_sub(whole.lost);
        needless_stripped += stripped.again.saturating_sub(stripped.lost);
    }
    println!("needless: {needless} with all blocks, {needless_stripped} with the first");
    assert!(needless < needless_stripped);
}

#[test]
fn repeated_blocks_save_a_behavioural_nic_what_had_arrived() {
    assert_repetitions_help(|name| {
        BehaviouralNic::new(BehaviouralConfig {
            name: name.into(),
            ooo_intervals: 4,
            sack_recovery: true,
            ..BehaviouralConfig::default()
        })
    });
}

#[test]
fn repeated_blocks_save_the_rtl_what_had_arrived() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/designs/toe-sack.toml");
    let design = DesignPoint::read(&path).unwrap();
    let model = model::build(&design, Abilities::default(), &|_| ()).unwrap();
    assert_repetitions_help(|name| {
        let config = RtlNicConfig {
            pcie: LinkParameters {
                max_payload: design.max_payload.into(),
                max_read_request: design.max_read_request.into(),
                ..LinkParameters::default()
            },
            mac: MacParameters {
                rate: LineRate::from_bps(design.line_rate.0).unwrap(),
                ..MacParameters::default()
            },
            ..RtlNicConfig::new(name, ClockPeriod::from_hz(design.clock.0).unwrap(), SEED)
        };
        RtlNic::new(config, &model.library).unwrap()
    });
}
