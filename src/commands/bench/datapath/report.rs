//! The table and the JSON object of the bench.

use super::area::{Cost, Hazard};
use super::coalescing::Coalesced;
use super::events;
use super::latency::Latencies;
use super::modules::ModuleRate;
use super::recovery::Curve;
use super::throughput::{Bulk, Figure, Moderated, OneFlow, Paced, Point, Rpc, SmallSegments, Step};
use comfy_table::{CellAlignment, Table, presets};
use hallux_toe::design::DesignPoint;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// What was measured of one design point; what was not is absent.
pub struct DesignFigures {
    pub design: String,
    pub events: Option<events::Figures>,
    pub one_flow: Option<OneFlow>,
    pub small: Option<SmallSegments>,
    pub bulk: Option<Bulk>,
    pub rpc: Option<Rpc>,
    pub latency: Option<Latencies>,
    /// The same of the design point with `push`, if it has none.
    pub latency_with_push: Option<Latencies>,
    pub loss: Vec<Point>,
    pub connections: Vec<Point>,
    pub pacing: Vec<Paced>,
    pub moderation: Vec<Moderated>,
}

impl DesignFigures {
    pub fn new(point: &DesignPoint) -> Self {
        Self {
            design: point.name.clone(),
            events: None,
            one_flow: None,
            small: None,
            bulk: None,
            rpc: None,
            latency: None,
            latency_with_push: None,
            loss: Vec::new(),
            connections: Vec::new(),
            pacing: Vec::new(),
            moderation: Vec::new(),
        }
    }

    /// Every figure under its key.
    fn object(&self) -> Map<String, Value> {
        let mut keys = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                keys.insert(key.into(), value);
            }
        };
        put("design", Some(json!(self.design)));
        let events = self.events.as_ref();
        put(
            "events_per_clock_many_flows",
            events.map(|e| json!(e.many_flows.per_clock())),
        );
        put(
            "events_per_clock_one_flow",
            events.map(|e| json!(e.one_flow.per_clock())),
        );
        put("protocol_events", events.map(|e| json!(e.one_flow.events)));
        put("nic_one_flow", value(&self.one_flow));
        put(
            "small_segments_of_wire_rate",
            self.small.as_ref().map(|s| json!(s.mpps.ratio)),
        );
        put("small_segments", value(&self.small));
        put(
            "bulk_one_flow_of_wire_limit",
            self.bulk.as_ref().map(|b| json!(b.worst())),
        );
        put("bulk_one_flow", value(&self.bulk));
        put(
            "rpc_of_binding_limit",
            self.rpc.as_ref().map(|r| json!(r.mrps.ratio)),
        );
        put("rpc", value(&self.rpc));
        put("latency_cycles", value(&self.latency));
        put("latency_cycles_with_push", value(&self.latency_with_push));
        let curve = |points: &Vec<Point>| (!points.is_empty()).then(|| json!(points));
        put("loss_curve", curve(&self.loss));
        put("connection_curve", curve(&self.connections));
        let pacing = (!self.pacing.is_empty()).then(|| json!(self.pacing));
        put("pacing", pacing);
        let moderation = (!self.moderation.is_empty()).then(|| json!(self.moderation));
        put("moderation", moderation);
        keys
    }
}

fn value<T: Serialize>(figure: &Option<T>) -> Option<Value> {
    figure.as_ref().map(|figure| json!(figure))
}

/// Everything that was measured.
#[derive(Default)]
pub struct Figures {
    pub designs: Vec<DesignFigures>,
    pub ladder: Vec<Step>,
    pub recovery: Vec<Curve>,
    pub coalescing: Vec<Coalesced>,
    pub modules: Vec<ModuleRate>,
    pub areas: Vec<Cost>,
    /// The protocol stage of the first design in every hazard mode.
    pub hazards: Vec<Hazard>,
}

impl Figures {
    /// The first design's keys at the top, the others' below `others`.
    pub fn with_keys(&self) -> Value {
        let mut objects = self.designs.iter().map(DesignFigures::object);
        let mut top = objects.next().unwrap_or_default();
        let others: Vec<_> = objects.map(Value::Object).collect();
        if !others.is_empty() {
            top.insert("others".into(), others.into());
        }
        if !self.ladder.is_empty() {
            let goodput: Vec<f64> = self.ladder.iter().map(|step| step.goodput_gbps).collect();
            top.insert("ladder_goodput_gbps".into(), json!(goodput));
            top.insert("ladder".into(), json!(self.ladder));
        }
        if !self.recovery.is_empty() {
            top.insert("recovery_curve".into(), json!(self.recovery));
        }
        if !self.coalescing.is_empty() {
            top.insert("coalescing".into(), json!(self.coalescing));
        }
        if !self.modules.is_empty() {
            let worst = self.modules.iter().map(|module| module.lost);
            let worst = worst.fold(f64::NEG_INFINITY, f64::max);
            top.insert("modules_worst_loss_of_rate".into(), json!(worst));
            top.insert("modules".into(), json!(self.modules));
        }
        if !self.areas.is_empty() {
            top.insert("area".into(), json!(self.areas));
            top.insert("hazard_modes".into(), json!(self.hazards));
        }
        Value::Object(top)
    }
}

pub fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The ladder for people.
pub fn ladder(steps: &[Step]) -> String {
    let header = [
        "64 connections, 2-KB echo",
        "Gb/s",
        "limit",
        "by",
        "p50 ns",
        "p99.99 ns",
    ];
    let mut table = plain(&header);
    for step in steps {
        table.add_row([
            step.design.clone(),
            format!("{:.3}", step.goodput_gbps),
            format!("{:.3}", step.limit_gbps),
            step.limit.to_owned(),
            step.p50_ns.to_string(),
            step.p9999_ns.to_string(),
        ]);
    }
    trimmed(&table)
}

/// The table without blanks at the ends of lines.
pub fn trimmed(table: &Table) -> String {
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// The figures of one design point for people.
pub fn table(figures: &DesignFigures) -> String {
    let mut rates = plain(&["measure", "measured", "limit", "by", "ratio"]);
    let mut row = |name: &str, unit: &str, figure: &Figure| {
        rates.add_row([
            format!("{name}, {unit}"),
            format!("{:.4}", figure.value),
            format!("{:.4}", figure.limit),
            figure.bound.to_owned(),
            format!("{:.4}", figure.ratio),
        ]);
    };
    if let Some(events) = &figures.events {
        for (name, rate) in [
            ("many flows", events.many_flows),
            ("one flow", events.one_flow),
        ] {
            let name = format!("protocol stage, {name}");
            let figure = Figure {
                value: rate.per_clock(),
                limit: 1.0,
                bound: "clock",
                ratio: rate.per_clock(),
            };
            row(&name, "events per clock", &figure);
        }
    }
    if let Some(flow) = &figures.one_flow {
        row(
            "whole NIC, one flow",
            "events per clock",
            &flow.events_per_clock,
        );
    }
    if let Some(small) = &figures.small {
        row("64-B segments", "Mpps", &small.mpps);
    }
    if let Some(bulk) = &figures.bulk {
        row("bulk, one flow, receive", "Gb/s", &bulk.receive);
        row("bulk, one flow, send", "Gb/s", &bulk.send);
        row("bulk, one flow, both ways", "Gb/s", &bulk.both);
    }
    if let Some(rpc) = &figures.rpc {
        row("64-B echoes", "M/s", &rpc.mrps);
    }
    for pacing in &figures.pacing {
        row("one flow with a rate", "Gb/s", &pacing.paced);
        row("the flow beside it", "Gb/s", &pacing.rest);
    }
    let mut text = format!("{}\n{rates}\n", figures.design);
    for moderated in &figures.moderation {
        text += &format!(
            "interrupts {} ns apart: {:.1} a ms, {:.3} M echoes/s, p50 {} ns, p99.99 {} ns\n",
            moderated.interval_ns,
            moderated.interrupts_per_ms,
            moderated.mrps,
            moderated.p50_ns,
            moderated.p9999_ns
        );
    }
    if let Some(small) = &figures.small {
        let limits = small.bounds.iter();
        let limits: Vec<_> = limits
            .map(|bound| format!("{} {:.2}", bound.name, bound.value))
            .collect();
        text += &format!(
            "64-B segments: {} frames dropped; limits, Mpps: {}\n",
            small.drops,
            limits.join(", ")
        );
    }
    if let Some(rpc) = &figures.rpc {
        text += &format!(
            "64-B echoes: {:.1} PCIe bytes up and {:.1} down each; p50 {} ns, p99.99 {} ns\n",
            rpc.upstream_bytes, rpc.downstream_bytes, rpc.p50_ns, rpc.p9999_ns
        );
        let limits: Vec<_> = rpc
            .bounds
            .iter()
            .map(|bound| format!("{} {:.2}", bound.name, bound.value))
            .collect();
        let classes: Vec<_> = rpc
            .pcie_bytes
            .iter()
            .filter(|(_, bytes)| **bytes >= 0.05)
            .map(|(class, bytes)| format!("{class} {bytes:.1}"))
            .collect();
        text += &format!(
            "64-B echoes: limits in M/s: {}; {:.2} protocol events and PCIe bytes each: {}\n",
            limits.join(", "),
            rpc.protocol_events,
            classes.join(", ")
        );
    }
    if let Some(latency) = &figures.latency {
        let mut cycles = plain(&["latency, cycles", "p50", "p99.99", "samples"]);
        let mut rows = vec![
            ("wire to host", latency.wire_to_host),
            ("wire to ACK", latency.wire_to_ack),
            ("doorbell to wire", latency.doorbell_to_wire),
            ("doorbell to wire, with its reads", latency.send_to_wire),
        ];
        if let Some(pushed) = &figures.latency_with_push {
            rows.push(("push to wire", pushed.doorbell_to_wire));
        }
        for (name, of) in rows {
            cycles.add_row([
                name.to_owned(),
                of.p50.to_string(),
                of.p9999.to_string(),
                of.samples.to_string(),
            ]);
        }
        text += &format!("\n{cycles}\n");
        let pushed = figures.latency_with_push.as_ref();
        for (path, steps) in [
            ("from the wire", &latency.from_wire),
            ("from the doorbell", &latency.from_doorbell),
        ]
        .into_iter()
        .chain(pushed.map(|pushed| ("from the push", &pushed.from_doorbell)))
        {
            let steps: Vec<String> = steps
                .iter()
                .map(|step| format!("{} {}", step.at, step.what))
                .collect();
            text += &format!("{path}: {}\n", steps.join(", "));
        }
    }
    for (name, points) in [
        ("loss", &figures.loss),
        ("connections", &figures.connections),
    ] {
        if points.is_empty() {
            continue;
        }
        let mut curve = plain(&[name, "receive Gb/s", "send Gb/s", "limit", "by"]);
        for point in points {
            curve.add_row([
                point.at.to_string(),
                format!("{:.3}", point.receive_gbps),
                format!("{:.3}", point.send_gbps),
                format!("{:.3}", point.limit_gbps),
                point.limit.to_owned(),
            ]);
        }
        text += &format!("\n{curve}\n");
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}
