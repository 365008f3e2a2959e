//! What limits a run: the bound of each resource beside what was measured.
//!
//! A resource has a capacity, which follows from parameters alone ([`crate::bounds`]), and
//! the run asked something of it for every byte that was verified. So no run of this kind
//! can have more goodput than
//!
//! ```text
//!             capacity a second
//!   bound  =  ─────────────────  · goodput           used / capacity = goodput / bound
//!               used a second
//! ```
//!
//! and the lowest bound binds. Where software waits for an answer before it sends the next
//! request, the requests in flight over the least time such an answer took, waiting inside of stages
//! deducted, are a bound too.

use crate::bounds;
use crate::results::NicSummary;
use crate::scenario::{App, CpuProfileName, NicModel, PeerKind, Scenario};
use crate::simulation::{line_rate, pcie_link};
use hallux_channel::Time;
use hallux_channel::ethernet::{FCS_BYTES, GAP_BYTES, PREAMBLE_BYTES};
use hallux_host::apps::report::Exchange;
use hallux_host::cpu::CpuProfile;
use serde::Serialize;
use std::collections::BTreeMap;

/// From this share of the lowest bound on, that bound is said to bind.
const BINDS: f64 = 0.75;

/// One resource with its bound.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Resource {
    /// What is counted.
    pub unit: &'static str,
    /// What the resource can do in a second.
    pub capacity: f64,
    /// What the run asked for in a second.
    pub used: f64,
    /// `used / capacity`, which is the measured goodput over the bound.
    pub utilisation: f64,
    /// Goodput at which the resource would be used up, in Gb/s.
    pub bound_gbps: f64,
    /// What moves the capacity: a key of the scenario, or of the design point behind
    /// `design.`.
    pub parameter: &'static str,
}

/// What limits a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verdict {
    /// The resource with the lowest bound, if goodput comes near it.
    pub binds: Option<&'static str>,
    /// The resource with the lowest bound.
    pub nearest: Option<&'static str>,
    /// The one with the next.
    pub next: Option<&'static str>,
    /// All of it in a sentence.
    pub sentence: String,
    /// Every resource by name.
    pub resources: BTreeMap<&'static str, Resource>,
}

/// What a verdict is made of.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// What was run.
    pub scenario: &'a Scenario,
    /// The RTL NIC under test, if it is one.
    pub nic: Option<&'a NicSummary>,
    /// Counters of the components that are no RTL NICs.
    pub counters: &'a BTreeMap<String, BTreeMap<String, u64>>,
    /// From the first request to the last verified byte, in ps.
    pub span: u64,
    /// Verified bytes.
    pub verified: u64,
    /// Requests that were answered.
    pub requests: u64,
    /// Each request with its answer.
    pub exchanges: &'a [Exchange],
    /// What each of them would have taken if no stage had waited, in ps.
    pub unhindered: &'a [u64],
    /// Segments that carried bytes already sent.
    pub retransmitted: u64,
}

/// The resources while they are collected.
struct Tally<'a> {
    measured: &'a Measured<'a>,
    resources: BTreeMap<&'static str, Resource>,
}

impl Tally<'_> {
    /// Adds a resource of which `amount` was used in the whole run.
    fn add(
        &mut self,
        name: &'static str,
        unit: &'static str,
        parameter: &'static str,
        capacity: f64,
        amount: u64,
    ) {
        let used = amount as f64 / (self.measured.span as f64 * 1e-12);
        let goodput = self.measured.verified as f64 * 8e3 / self.measured.span as f64;
        if amount == 0 || !used.is_finite() || !capacity.is_finite() || capacity <= 0.0 {
            return;
        }
        let resource = Resource {
            unit,
            capacity: rounded(capacity),
            used: rounded(used),
            utilisation: rounded(used / capacity),
            bound_gbps: rounded(goodput * capacity / used),
            parameter,
        };
        self.resources.insert(name, resource);
    }

    fn wire_and_bus(&mut self, nic: &NicSummary) -> Option<()> {
        let scenario = self.measured.scenario;
        let rate = line_rate(scenario).ok()?;
        let asked = |name: &str| nic.demand.get(name).copied().unwrap_or(0);
        let line = |side: &str| {
            let frames = asked(&format!("{side}_frames"));
            asked(&format!("{side}_bytes")) + frames * (PREAMBLE_BYTES + FCS_BYTES + GAP_BYTES)
        };
        let bytes = bounds::wire_bytes_per_second(rate);
        self.add("wire_received", "B/s", "link.rate", bytes, line("rx"));
        self.add("wire_sent", "B/s", "link.rate", bytes, line("tx"));
        let clock = bounds::beats_per_second(&scenario.design);
        let stage = |name: &str| nic.stages.get(name).map_or(0, |stage| stage.busy);
        for (name, beats) in [
            ("bus_received", stage("parse")),
            ("bus_sent", asked("tx_beats")),
            ("bus_up", stage("upstream")),
            ("bus_down", asked("completion_beats")),
        ] {
            self.add(
                name,
                "beats/s",
                "design.bus_bits, design.clock",
                clock,
                beats,
            );
        }
        Some(())
    }

    fn protocol(&mut self, nic: &NicSummary) {
        let point = &self.measured.scenario.design;
        let events = nic
            .stages
            .iter()
            .filter(|(name, _)| name.starts_with("protocol"))
            .map(|(_, stage)| stage.busy)
            .sum();
        self.add(
            "protocol_unit",
            "events/s",
            "design.clock, design.groups",
            bounds::protocol_events_per_second(point),
            events,
        );
        let busiest = nic.demand.get("busiest_flow_events").copied().unwrap_or(0);
        self.add(
            "same_flow_hazard",
            "events/s",
            "design.same_flow",
            bounds::same_flow_events_per_second(point),
            busiest,
        );
    }

    fn pcie(&mut self, nic: &NicSummary) -> Option<()> {
        let scenario = self.measured.scenario;
        let link = pcie_link(&scenario.settings.pcie, &scenario.design).ok()?;
        let bytes = |end: &str| -> u64 {
            let classes = nic.pcie.iter().filter(|(class, _)| class.ends_with(end));
            classes.map(|(_, bytes)| bytes).sum()
        };
        let capacity = bounds::pcie_bytes_per_second(&link);
        let parameter = "pcie.generation, pcie.lanes";
        self.add("pcie_up", "B/s", parameter, capacity, bytes("_up"));
        self.add("pcie_down", "B/s", parameter, capacity, bytes("_down"));
        let asked = |name: &str| nic.demand.get(name).copied().unwrap_or(0);
        let delay = Time::from_ps(scenario.settings.pcie.delay.0);
        self.add(
            "state_cache",
            "misses/s",
            "design.state_cache",
            bounds::state_fills_per_second(&scenario.design, &link, delay),
            asked("state_reads"),
        );
        let reads = asked("payload_reads");
        if let Some(bytes) = asked("payload_read_bytes").checked_div(reads) {
            let held = bounds::read_time(&link, delay, bytes);
            let tags = f64::from(scenario.design.read_tags);
            self.add(
                "read_tags",
                "reads/s",
                "design.read_tags",
                tags / (held.ps() as f64 * 1e-12),
                reads,
            );
        }
        Some(())
    }

    fn hosts(&mut self) {
        let settings = &self.measured.scenario.settings;
        let profile = match settings.host.cpu {
            CpuProfileName::Free => return,
            CpuProfileName::Flextoe => CpuProfile::flextoe(),
            CpuProfileName::Tas => CpuProfile::tas(),
            CpuProfileName::Linux => CpuProfile::linux(),
        };
        // The second after which so many cycles are over.
        let hertz = 1e18 / profile.clock.edge(1_000_000).ps() as f64;
        let cycles = |host: &str| {
            let counters = self.measured.counters.get(host);
            let cycles = counters.and_then(|counters| counters.get("cpu_cycles"));
            cycles.copied().unwrap_or(0)
        };
        let server = cycles("server");
        self.add("host_cycles", "cycles/s", "host.cpu", hertz, server);
        if settings.peer.kind == PeerKind::Toe && settings.peer.count == 1 {
            let client = cycles("client");
            self.add("client_cycles", "cycles/s", "host.cpu", hertz, client);
        }
    }

    fn in_flight(&mut self) {
        let settings = &self.measured.scenario.settings;
        let connections = match settings.app {
            App::Http { connections, .. } | App::Rpc { connections, .. } => connections,
        };
        let flight = f64::from(connections) * f64::from(settings.peer.count);
        // Larger answers take longer, so each is held against the fastest of its size.
        let exchanges = self.measured.exchanges;
        let mut least = BTreeMap::<u64, u64>::new();
        for (exchange, time) in exchanges.iter().zip(self.measured.unhindered) {
            let of = least.entry(exchange.answer).or_insert(u64::MAX);
            *of = (*time).min(*of);
        }
        let total: u64 = exchanges
            .iter()
            .map(|exchange| least[&exchange.answer])
            .sum();
        let mean = total as f64 * 1e-12 / exchanges.len() as f64;
        self.add(
            "requests_in_flight",
            "requests/s",
            "app.connections",
            flight / mean,
            self.measured.requests,
        );
    }
}

impl Verdict {
    /// The verdict on a run. A run without a verified byte has none.
    pub fn of(measured: &Measured<'_>) -> Self {
        if measured.span == 0 || measured.verified == 0 {
            return Self {
                sentence: "Nothing was verified, so nothing can be said of what binds.".into(),
                ..Self::default()
            };
        }
        let mut tally = Tally {
            measured,
            resources: BTreeMap::new(),
        };
        if let Some(nic) = measured.nic {
            tally.wire_and_bus(nic);
            tally.protocol(nic);
            tally.pcie(nic);
        }
        if measured.scenario.settings.nic.model != NicModel::Smoltcp {
            tally.hosts();
        }
        tally.in_flight();
        let resources = tally.resources;
        let mut order: Vec<&'static str> = resources.keys().copied().collect();
        let bound = |name: &&str| resources[*name].bound_gbps;
        order.sort_by(|a, b| bound(a).total_cmp(&bound(b)).then(a.cmp(b)));
        let nearest = order.first().copied();
        let next = order.get(1).copied();
        let binds = nearest.filter(|name| resources[name].utilisation >= BINDS);
        Self {
            binds,
            nearest,
            next,
            sentence: sentence(measured, &resources, nearest, next),
            resources,
        }
    }

    /// The resources from the lowest bound to the highest.
    pub fn ordered(&self) -> Vec<(&'static str, &Resource)> {
        let mut resources: Vec<_> = self.resources.iter().map(|(n, r)| (*n, r)).collect();
        resources.sort_by(|a, b| a.1.bound_gbps.total_cmp(&b.1.bound_gbps));
        resources
    }
}

/// The name of a resource as a person says it.
pub fn spoken(name: &str) -> String {
    match name {
        "wire_received" => "the wire towards the NIC".into(),
        "wire_sent" => "the wire from the NIC".into(),
        "bus_received" => "the bus behind the wire".into(),
        "bus_sent" => "the bus towards the wire".into(),
        "bus_up" => "the bus towards the host".into(),
        "bus_down" => "the bus behind the host".into(),
        "protocol_unit" => "the protocol unit".into(),
        "same_flow_hazard" => "the hazard of one connection's events".into(),
        "pcie_up" => "the PCIe link towards the host".into(),
        "pcie_down" => "the PCIe link from the host".into(),
        "read_tags" => "the pool of read tags".into(),
        "state_cache" => "the filling of the state cache".into(),
        "host_cycles" => "the server's processor".into(),
        "client_cycles" => "the client's processor".into(),
        "requests_in_flight" => "the number of requests in flight".into(),
        other => other.replace('_', " "),
    }
}

fn sentence(
    measured: &Measured<'_>,
    resources: &BTreeMap<&'static str, Resource>,
    nearest: Option<&'static str>,
    next: Option<&'static str>,
) -> String {
    let Some(first) = nearest else {
        return "No resource was used, so none binds.".into();
    };
    let resource = &resources[first];
    let share = 100.0 * resource.utilisation;
    let bound = resource.bound_gbps;
    let what = spoken(first);
    let mut text = match resource.utilisation >= BINDS {
        true => format!(
            "{} binds: {share:.0} % of its {bound:.3} Gb/s is reached (moved by {})",
            capitalised(&what),
            resource.parameter
        ),
        false => format!(
            "No computed bound is reached: the nearest is {what} at {bound:.3} Gb/s, used to {share:.0} %"
        ),
    };
    if let Some(next) = next {
        let other = &resources[next];
        text += &format!(
            "; the next bound is {} at {:.3} Gb/s",
            spoken(next),
            other.bound_gbps
        );
    }
    if measured.retransmitted > 0 {
        text += &format!(
            "; {} segments were sent again, and the waiting for them is in no bound",
            measured.retransmitted
        );
    }
    text + "."
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// Six significant digits, so that the same figures stand in every file.
fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}
