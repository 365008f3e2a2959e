//! Benches of `modules::firewall` and `modules::classify`: what the rules say of packets,
//! against a model in Rust.

mod frames;
mod passing;
mod stage;

use frames::{TcpFrame, cycles_of, trace};
use hallux_testbenches::{Stalls, fields};
use hallux_toe::channels::{CLASS_FAST, CLASS_SLOW};
use hallux_toe::interface::modules::{MODULE_STRIDE, Rule, rules, rules::action};
use hallux_toe::modules::classify::{self, Classify};
use hallux_toe::modules::firewall::{self, Firewall};
use hallux_toe::modules::port::{DROP, PASS, REDIRECT, TRANSMIT};
use passing::Module;
use stage::{BUSES, Dice, assert_lint_clean, bench_of, on_bus};

const RULES: usize = 8;
const IPS: [u32; 4] = [0x0a00_0001, 0x0a00_0002, 0x0a00_0102, 0xc0a8_0001];
const PORTS: [u16; 3] = [80, 443, 49152];

fn firewall(bus: usize, seed: u64, redirects: bool) -> Module {
    Module::of(
        bus,
        on_bus!(bus, |N, K| bench_of(
            &Firewall::<N, K>::new(RULES, redirects),
            "firewall",
            seed
        )),
    )
}

/// A packet as the rules see it.
#[derive(Clone, Copy)]
struct Packet {
    source: u32,
    destination: u32,
    ports: Option<(u16, u16)>,
    protocol: u8,
}

fn meets(rule: &Rule, packet: &Packet) -> bool {
    let within = |(address, mask): (u32, u32), seen: u32| address & mask == seen & mask;
    let port = |rule: Option<u16>, seen: Option<u16>| rule.is_none_or(|port| seen == Some(port));
    within(rule.source, packet.source)
        && within(rule.destination, packet.destination)
        && port(rule.source_port, packet.ports.map(|p| p.0))
        && port(rule.destination_port, packet.ports.map(|p| p.1))
        && rule
            .protocol
            .is_none_or(|protocol| protocol == packet.protocol)
}

fn random_rules(dice: &mut Dice, actions: u64) -> Vec<Rule> {
    let mut rules = vec![];
    for _ in 0..RULES {
        let range = |dice: &mut Dice| {
            let masks = [0, 0xffff_ff00, u32::MAX, u32::MAX];
            let address = IPS[dice.below(4) as usize];
            (address, masks[dice.below(4) as usize])
        };
        let port = |dice: &mut Dice| dice.chance(30).then(|| PORTS[dice.below(3) as usize]);
        rules.push(Rule {
            source: range(dice),
            destination: range(dice),
            source_port: port(dice),
            destination_port: port(dice),
            protocol: dice
                .chance(40)
                .then_some(if dice.chance(70) { 6 } else { 1 }),
            action: dice.below(actions) as u8,
        });
    }
    rules
}

/// A frame, and what the rules see of it; none: no IPv4.
fn random_frame(dice: &mut Dice) -> (Vec<u8>, Option<Packet>) {
    let protocol = [6, 6, 6, 17, 1][dice.below(5) as usize];
    let options = dice.chance(15);
    let later = dice.chance(10);
    let ipv4 = !dice.chance(10);
    let frame = TcpFrame {
        ethertype: if ipv4 { 0x0800 } else { 0x0806 },
        vlan: dice.chance(20).then_some(5),
        protocol,
        fragment: if later { 0x2001 } else { 0x4000 },
        remote_ip: IPS[dice.below(4) as usize],
        local_ip: IPS[dice.below(4) as usize],
        remote_port: PORTS[dice.below(3) as usize],
        local_port: PORTS[dice.below(3) as usize],
        ip_options: if options { vec![1; 4] } else { vec![] },
        payload: vec![7; dice.within(6, 200) as usize],
        ..TcpFrame::default()
    };
    let known = !options && !later && protocol != 1;
    let packet = ipv4.then_some(Packet {
        source: frame.remote_ip,
        destination: frame.local_ip,
        ports: known.then_some((frame.remote_port, frame.local_port)),
        protocol,
    });
    (frame.build(), packet)
}

#[test]
fn the_first_rule_that_a_packet_meets_decides() {
    for bus in BUSES {
        for (seed, stalls) in [(1, 0), (2, 40), (3, 60)] {
            let mut dice = Dice::new(seed);
            let redirects = seed != 3;
            let mut module = firewall(bus, seed, redirects);
            module.bench.stall(module.s, Stalls::random(stalls));
            module.bench.stall(module.m, Stalls::random(stalls));
            let list = random_rules(&mut dice, 3);
            for (place, rule) in list.iter().enumerate() {
                for (register, value) in rule.writes(2, place as u8) {
                    module.write(register, value);
                }
            }
            let otherwise = dice.below(2) as u8;
            module.write(rules::DEFAULT, otherwise.into());
            let mut hits = [0; RULES + 1];
            let mut expected = vec![];
            for _ in 0..300 {
                let (frame, packet) = random_frame(&mut dice);
                let before = if dice.chance(10) { TRANSMIT } else { PASS };
                module.send(&frame, before);
                let ruling = packet.map(|packet| {
                    let place = list.iter().position(|rule| meets(rule, &packet));
                    hits[place.unwrap_or(RULES)] += 1;
                    place.map_or(otherwise, |place| list[place].action)
                });
                let verdict = match ruling {
                    _ if before != PASS => before,
                    Some(action::DROP) => DROP,
                    Some(action::REDIRECT) => {
                        if redirects {
                            REDIRECT
                        } else {
                            DROP
                        }
                    }
                    _ => PASS,
                };
                expected.push((frame, verdict));
            }
            module.run();
            assert!(module.frames() == expected, "{bus} bytes, seed {seed}");
            for (place, count) in hits[..RULES].iter().enumerate() {
                let seen = module.read(rules::HITS + 8 * place as u64);
                assert_eq!(seen, *count, "rule {place}");
            }
            assert_eq!(module.read(rules::DEFAULT_HITS), hits[RULES]);
            assert!(
                hits.iter().filter(|count| **count > 0).count() > 2,
                "{hits:?}"
            );
        }
    }
}

#[test]
fn the_declared_latency_and_interval_are_kept() {
    let mut module = firewall(64, 1, true);
    let frame = TcpFrame::default().build();
    for _ in 0..100 {
        module.send(&frame, PASS);
    }
    module.run();
    let (s, m) = (
        cycles_of(module.bench.log(), "s"),
        cycles_of(module.bench.log(), "m"),
    );
    assert_eq!((s[99] - s[0], m[99] - m[0]), (99, 99));
    assert_eq!(m[0] - s[0], firewall::AT_INGRESS.latency);
}

#[test]
fn a_rule_is_taken_whole() {
    let mut module = firewall(64, 1, true);
    let frame = TcpFrame::default();
    let rule = Rule {
        destination: (frame.local_ip, u32::MAX),
        destination_port: Some(80),
        protocol: Some(6),
        action: action::DROP,
        ..Rule::default()
    };
    let writes = rule.writes(0, 3);
    for (register, value) in &writes[..4] {
        module.write(*register, *value);
    }
    module.send(&frame.build(), PASS);
    module.run();
    module.write(writes[4].0, writes[4].1);
    module.send(&frame.build(), PASS);
    module.run();
    insta::assert_snapshot!(trace(module.bench.log(), &["beat.last", "verdict"]));
}

#[test]
fn segments_give_their_flows_a_class() {
    const FLOWS: usize = 16;
    for (seed, stalls) in [(1, 0), (2, 50)] {
        let mut dice = Dice::new(seed);
        let mut bench = bench_of(&Classify::new(RULES, FLOWS), "classify", seed);
        let (s, m) = (bench.driver("s"), bench.monitor("m"));
        bench.stall(s, Stalls::random(stalls));
        bench.stall(m, Stalls::random(stalls));
        bench.reset();
        let list = random_rules(&mut dice, 16);
        for (place, rule) in list.iter().enumerate() {
            for (register, value) in rule.writes(0, place as u8) {
                let word = register % MODULE_STRIDE / 8;
                bench.poke_struct("access", fields! { write: true, word: word, data: value });
                bench.cycle();
            }
        }
        bench.poke_struct("access", fields! {});
        let mut classes = [None; FLOWS];
        for number in 0..300_u64 {
            let packet = Packet {
                source: IPS[dice.below(4) as usize],
                destination: IPS[dice.below(4) as usize],
                ports: Some((PORTS[dice.below(3) as usize], PORTS[dice.below(3) as usize])),
                protocol: 6,
            };
            let (from, to) = packet.ports.unwrap();
            let flow = dice.below(FLOWS as u64);
            let fast = dice.chance(80);
            bench.send(
                s,
                fields! {
                    summary.ticket: number, flow: flow,
                    summary.class: if fast { CLASS_FAST } else { CLASS_SLOW },
                    summary.remote_ip: packet.source, summary.local_ip: packet.destination,
                    summary.remote_port: from, summary.local_port: to,
                },
            );
            if fast {
                let rule = list.iter().find(|rule| meets(rule, &packet));
                classes[flow as usize] = Some(rule.map_or(0, |rule| rule.action & 15));
            }
        }
        bench.run_until_received(m, 300, 3000);
        for (number, segment) in bench.received(m).iter().enumerate() {
            assert_eq!(segment.field("summary.ticket"), number as u64);
        }
        for (flow, class) in classes.iter().enumerate() {
            bench.poke("look", flow as u64);
            assert_eq!(
                Some(bench.peek("look_class").u64() as u8),
                *class,
                "flow {flow}"
            );
        }
        if stalls == 0 {
            let (s, m) = (cycles_of(bench.log(), "s"), cycles_of(bench.log(), "m"));
            assert_eq!((s[299] - s[0], m[299] - m[0]), (299, 299));
            assert_eq!(m[0] - s[0], classify::DECLARATION.latency);
        }
    }
}

#[test]
fn lint_clean() {
    for bus in BUSES {
        on_bus!(bus, |N, K| {
            assert_lint_clean(&Firewall::<N, K>::new(RULES, true), "firewall");
            assert_lint_clean(&Firewall::<N, K>::new(RULES, false), "firewall");
        });
    }
    assert_lint_clean(&Classify::new(RULES, 64), "classify");
}
