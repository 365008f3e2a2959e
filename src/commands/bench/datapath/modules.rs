//! Extension modules at line rate: 64-byte segments with each module in turn.
//!
//! Every module stands in a design point of its own, the first of the bench with nothing but
//! that module added. Its rate stands beside that of the wire and beside the rate of the design
//! point without it.

mod turned;

use super::bounds::{Bound, HEADERS};
use super::report::plain;
use super::rig::Subject;
use super::throughput::{self, Figure, SMALL};
use crate::bounds;
use anyhow::Result;
use hallux_channel::Time;
use hallux_toe::design::DesignPoint;
use hallux_toe::interface::modules::{Kind, Rule, Slot, module_register, rules};
use hallux_toe::modules::plan::ModulePoint;
use serde::Serialize;

/// The most that a module may take from the rate.
pub const MOST_LOST: f64 = 0.01;
/// VLAN of the generator and of the `vlan` modules.
const VLAN: u16 = 100;
/// Bytes of its tag.
const TAG: u64 = 4;
const RULES: u32 = 16;
/// Bytes of a frame that `capture` keeps: all headers.
const SNAP: u32 = 96;

/// The rate with one module.
#[derive(Clone, Debug, Serialize)]
pub struct ModuleRate {
    /// What is measured.
    pub module: &'static str,
    /// Millions of segments a second, beside what the wire carries of them.
    pub mpps: Figure,
    /// Share of the rate of the same frames without the module that is lost; the frames of
    /// `vlan` are longer by their tags, which the wire's limit counts.
    pub lost: f64,
    /// Frames that were dropped.
    pub drops: u64,
    /// Share of the frames that `capture` mirrored; what is beyond what the data path leaves
    /// of the link to the host is lost to the capture, never to the data path.
    pub mirrored: Option<f64>,
}

/// A module to measure: name, what is added to the design point, register writes.
struct Trial {
    name: &'static str,
    modules: Vec<ModulePoint>,
    registers: Vec<(u64, u64)>,
    vlan: Option<u16>,
}

fn module(slot: Slot, kind: Kind) -> ModulePoint {
    ModulePoint {
        slot,
        kind,
        vlan: (kind == Kind::Vlan).then_some(VLAN),
        rules: matches!(kind, Kind::Firewall | Kind::Classify | Kind::Capture).then_some(RULES),
        places: None,
        snap: (kind == Kind::Capture).then_some(SNAP),
    }
}

/// A list in which the last rule is the one that all segments meet.
fn full_list(action: u8) -> Vec<(u64, u64)> {
    let mut writes = vec![(module_register(0, rules::DEFAULT), 1)];
    for place in 0..RULES as u8 {
        let last = u32::from(place) == RULES - 1;
        let rule = Rule {
            source: (0x0a00_0000, 0xff00_0000),
            protocol: Some(if last { 6 } else { 17 }),
            action,
            ..Rule::default()
        };
        writes.extend(rule.writes(0, place));
    }
    writes
}

fn trials() -> Vec<Trial> {
    let plain = |name, slot, kind| Trial {
        name,
        modules: vec![module(slot, kind)],
        registers: vec![],
        vlan: None,
    };
    vec![
        Trial {
            modules: vec![],
            ..plain("none", Slot::Ingress, Kind::Vlan)
        },
        Trial {
            modules: vec![
                module(Slot::Ingress, Kind::Vlan),
                module(Slot::Egress, Kind::Vlan),
            ],
            vlan: Some(VLAN),
            ..plain("vlan, both ways", Slot::Ingress, Kind::Vlan)
        },
        Trial {
            registers: full_list(rules::action::PASS),
            ..plain("firewall, 16 rules", Slot::Ingress, Kind::Firewall)
        },
        Trial {
            registers: full_list(5),
            ..plain("classify, 16 rules", Slot::BeforeProtocol, Kind::Classify)
        },
        plain("trace", Slot::AfterProtocol, Kind::Trace),
        Trial {
            registers: full_list(rules::action::CAPTURE),
            ..plain("capture, 16 rules, of all", Slot::Ingress, Kind::Capture)
        },
        Trial {
            registers: full_list(0),
            ..plain("capture, 16 rules, of none", Slot::Ingress, Kind::Capture)
        },
        plain("splice, passing by", Slot::Ingress, Kind::Splice),
    ]
}

/// Measures every module on `point`; `compile` makes a subject of a design point.
///
/// # Errors
/// As [`super::rig::run`], or a spliced segment came back wrong.
pub fn measure(
    point: &DesignPoint,
    span: Time,
    tell: &dyn Fn(&str),
    compile: &dyn Fn(&DesignPoint) -> Result<Subject>,
) -> Result<Vec<ModuleRate>> {
    let mut rates: Vec<ModuleRate> = Vec::new();
    for trial in trials() {
        tell(&format!("64-byte segments with modules: {}", trial.name));
        let with = DesignPoint {
            modules: trial.modules,
            ..point.clone()
        };
        let with_capture = with.modules.iter().any(|m| m.kind == Kind::Capture);
        let mut subject = compile(&with)?;
        subject.registers = trial.registers;
        subject.vlan = trial.vlan;
        let connections = 64.min(with.connections as usize);
        let measured = throughput::small_segments(&subject, connections, span)?;
        let bytes = HEADERS + SMALL + trial.vlan.map_or(0, |_| TAG);
        let mpps = Figure::new(measured.mpps.value, wire(&subject, bytes));
        let alone = rates.first().map_or(mpps.ratio, |first| first.mpps.ratio);
        rates.push(ModuleRate {
            module: trial.name,
            lost: 1.0 - mpps.ratio / alone,
            mpps,
            drops: measured.drops,
            mirrored: with_capture.then(|| {
                let (written, lost) = measured.mirrored;
                written as f64 / (written + lost).max(1) as f64
            }),
        });
        if trial.name.starts_with("splice") {
            tell("64-byte segments spliced");
            let turned = turned::measure(&subject, span)?;
            let mpps = Figure::new(turned.rate * 1e-6, wire(&subject, turned.bytes));
            rates.push(ModuleRate {
                module: "splice, transmitting",
                lost: 1.0 - mpps.ratio,
                mpps,
                drops: turned.drops,
                mirrored: None,
            });
        }
    }
    Ok(rates)
}

/// Frames of `bytes` bytes that the wire carries, in millions a second.
fn wire(subject: &Subject, bytes: u64) -> Bound {
    Bound {
        name: "wire",
        value: bounds::wire_frames(subject.rate, bytes) * 1e-6,
    }
}

/// The rates for people.
pub fn table(rates: &[ModuleRate]) -> String {
    let mut table = plain(&[
        "64-B segments, module",
        "Mpps",
        "wire",
        "ratio",
        "lost",
        "may lose",
        "mirrored",
    ]);
    for rate in rates {
        table.add_row([
            rate.module.to_owned(),
            format!("{:.3}", rate.mpps.value),
            format!("{:.3}", rate.mpps.limit),
            format!("{:.4}", rate.mpps.ratio),
            format!("{:.2} %", 100.0 * rate.lost),
            format!("{:.0} %", 100.0 * MOST_LOST),
            rate.mirrored
                .map_or(String::new(), |share| format!("{:.1} %", 100.0 * share)),
        ]);
    }
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}
