//! `hallux bench datapath`: what the data path achieves, beside what is possible.
//!
//! Every figure but the events at the protocol stage's own port is measured on the whole
//! co-simulation: host, PCIe link, RTL and MAC; see `rig`.

mod apps;
mod area;
mod bounds;
mod coalescing;
mod events;
mod latency;
mod meter;
mod modules;
mod pattern;
mod peer;
mod recovery;
mod report;
mod rig;
mod throughput;

use crate::model::{self, Abilities};
use crate::output;
use anyhow::{Context, Result};
use hallux_channel::{LineRate, Time};
use hallux_toe::design::DesignPoint;
use hallux_toe::document::Document;
use report::{DesignFigures, Figures};
use rig::Subject;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `hallux bench datapath`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Design points; the first is the one whose figures stand at the top. Without one:
    /// toe-100g.
    designs: Vec<PathBuf>,
    /// Shorter runs and fewer points of the curves.
    #[arg(long)]
    quick: bool,
    /// Measure only these.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Measure>,
    /// Numbers of connections to measure goodput over, instead of the usual ones.
    #[arg(long, value_name = "COUNT,…", value_delimiter = ',')]
    connections: Vec<usize>,
    /// Print busy, blocked and starved cycles of all stages behind every run.
    #[arg(long)]
    stalls: bool,
    /// End with one line of JSON.
    #[arg(long)]
    json: bool,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Measure {
    /// Events per clock, of one connection and of many.
    Events,
    /// 64-byte segments.
    Small,
    /// Bulk transfer of one connection.
    Bulk,
    /// 64-byte echoes.
    Rpc,
    /// Latencies in cycles.
    Latency,
    /// Goodput over loss.
    Loss,
    /// Goodput over loss for 0, 1, 2 and 4 intervals held out of order; four models, so only
    /// when named.
    Recovery,
    /// Goodput over connections.
    Connections,
    /// A connection with a rate beside one without, on designs with a rate wheel.
    Pacing,
    /// Interrupts a millisecond and echoes over the interval between interrupts.
    Moderation,
    /// Echoes of 64-byte segments of one connection under `lock`, with and without coalescing of
    /// descriptors; two models, so only when named.
    Coalescing,
    /// Goodput of the ladder's five design points.
    Ladder,
    /// 64-byte segments with each extension module; six models, so only when named.
    Modules,
    /// Cells and longest paths of every stage of the design points and of the ladder, and of the
    /// protocol stage in every hazard mode; takes long at the first time, so only when named.
    Area,
}

/// The default design point, as in `examples/designs/`.
const TOE_100G: &str = include_str!("../../../examples/designs/toe-100g.toml");

/// The ladder: from one event at a time to everything in parallel.
const LADDER: [(&str, &str); 5] = [
    (
        "ladder-0.toml",
        include_str!("../../../examples/designs/ladder-0.toml"),
    ),
    (
        "ladder-1.toml",
        include_str!("../../../examples/designs/ladder-1.toml"),
    ),
    (
        "ladder-2.toml",
        include_str!("../../../examples/designs/ladder-2.toml"),
    ),
    (
        "ladder-3.toml",
        include_str!("../../../examples/designs/ladder-3.toml"),
    ),
    (
        "ladder-4.toml",
        include_str!("../../../examples/designs/ladder-4.toml"),
    ),
];

/// How long the ladder is measured: several round trips of its slowest step.
const LADDER_SPAN: Time = Time::from_us(1_500);

/// How long things are measured.
struct Effort {
    /// Of each rate.
    span: Time,
    events: u64,
    round_trips: u64,
    losses: &'static [f64],
    connections: &'static [usize],
    /// Rates of a paced connection, bit/s.
    rates: &'static [u64],
}

const QUICK: Effort = Effort {
    span: Time::from_us(40),
    events: 100_000,
    round_trips: 200,
    losses: &[0.001, 0.01],
    connections: &[1, 16, 256],
    rates: &[10_000_000_000],
};

const WHOLE: Effort = Effort {
    span: Time::from_us(200),
    events: 200_000,
    round_trips: 10_000,
    losses: &[0.000_01, 0.000_1, 0.001, 0.005, 0.01, 0.02],
    connections: &[1, 4, 16, 64, 256, 1024, 2048, 4096, 16_384, 65_536],
    rates: &[1_000_000_000, 10_000_000_000, 40_000_000_000],
};

/// Runs the bench.
///
/// # Errors
/// A design point is wrong, a tool is missing, or a measurement went wrong.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let effort = if arguments.quick { QUICK } else { WHOLE };
    let mut points = Vec::new();
    for path in &arguments.designs {
        points.push(DesignPoint::read(path)?);
    }
    if points.is_empty() {
        points.push(embedded("toe-100g.toml", TOE_100G)?);
    }
    let mut figures = Figures::default();
    let apart = |measure: &Measure| {
        use Measure::{Area, Coalescing, Ladder, Modules, Recovery};
        matches!(measure, Ladder | Area | Recovery | Modules | Coalescing)
    };
    let ladder_only = !arguments.only.is_empty() && arguments.only.iter().all(apart);
    for point in points.iter().filter(|_| !ladder_only) {
        let subject = subject(point, arguments.stalls)?;
        let measured = measure(arguments, &effort, &subject)
            .with_context(|| format!("design point {}", point.name))?;
        output::line(report::table(&measured));
        figures.designs.push(measured);
    }
    if arguments.only.is_empty() || arguments.only.contains(&Measure::Ladder) {
        for (name, text) in LADDER {
            tell(name);
            let subject = subject(&embedded(name, text)?, arguments.stalls)?;
            figures
                .ladder
                .push(throughput::step(&subject, LADDER_SPAN)?);
        }
        output::line(report::ladder(&figures.ladder));
    }
    if arguments.only.contains(&Measure::Recovery)
        && let Some(point) = points.first()
    {
        for intervals in recovery::INTERVALS {
            tell(&format!("loss with {intervals} intervals"));
            let point = recovery::with_intervals(point, intervals);
            let subject = subject(&point, arguments.stalls)?;
            for sack in [false, true] {
                let curve = recovery::measure(&subject, sack, effort.losses, effort.span * 10)?;
                figures.recovery.push(curve);
            }
        }
        output::line(recovery::table(&figures.recovery));
    }
    if arguments.only.contains(&Measure::Coalescing)
        && let Some(point) = points.first()
    {
        for depth in coalescing::DEPTHS {
            tell(&format!("descriptors that wait: {depth}"));
            let point = coalescing::with_depth(point, depth);
            let subject = Subject {
                rate: coalescing::RATE,
                ..subject(&point, arguments.stalls)?
            };
            let measured = coalescing::measure(&subject, effort.span)?;
            figures.coalescing.push(measured);
        }
        output::line(coalescing::table(&figures.coalescing));
    }
    if arguments.only.contains(&Measure::Modules)
        && let Some(point) = points.first()
    {
        let compile = |point: &DesignPoint| subject(point, arguments.stalls);
        figures.modules = modules::measure(point, effort.span, &tell, &compile)?;
        output::line(modules::table(&figures.modules));
    }
    if arguments.only.contains(&Measure::Area) {
        figures.hazards = area::hazards(&points[0], &tell)?;
        for (name, text) in LADDER {
            points.push(embedded(name, text)?);
        }
        for point in &points {
            tell(&format!("area of {}", point.name));
            let cost = area::measure(point, &tell)?;
            output::line(cost.table());
            figures.areas.push(cost);
        }
        output::line(area::hazard_table(&figures.hazards));
        output::line(area::summary(&figures.areas));
    }
    if arguments.json {
        output::line(serde_json::to_string(&figures.with_keys())?);
    } else if arguments.only.is_empty() {
        tell("not measured, since they take long: --only recovery,coalescing,modules,area");
    }
    Ok(ExitCode::SUCCESS)
}

fn embedded(name: &str, text: &str) -> Result<DesignPoint> {
    let document = Document::parse(Path::new(name), text.to_owned())?;
    Ok(DesignPoint::from_document(&document)?)
}

/// The compiled model of a point, on a wire of its line rate.
fn subject(point: &DesignPoint, stalls: bool) -> Result<Subject> {
    let model = model::build(point, Abilities::default(), &tell)?;
    let rate = LineRate::from_bps(point.line_rate.0)
        .with_context(|| format!("line_rate {} is out of range", point.line_rate))?;
    Ok(Subject {
        point: point.clone(),
        library: model.library,
        rate,
        stalls,
        registers: Vec::new(),
        vlan: None,
    })
}

fn tell(line: &str) {
    eprintln!("hallux: {line}");
}

fn measure(arguments: &Arguments, effort: &Effort, subject: &Subject) -> Result<DesignFigures> {
    let wanted = |measure| arguments.only.is_empty() || arguments.only.contains(&measure);
    let span = effort.span;
    let connections = subject.point.connections as usize;
    let mut figures = DesignFigures::new(&subject.point);
    if wanted(Measure::Events) {
        tell("events at the protocol stage");
        figures.events = Some(events::measure(subject, effort.events, &tell)?);
        tell("64-byte segments of one connection");
        figures.one_flow = Some(throughput::one_flow(subject, span)?);
    }
    if wanted(Measure::Small) {
        tell("64-byte segments");
        figures.small = Some(throughput::small_segments(subject, 64, span)?);
    }
    if wanted(Measure::Bulk) {
        tell("bulk transfer of one connection");
        figures.bulk = Some(throughput::bulk(subject, span)?);
    }
    if wanted(Measure::Rpc) {
        tell("64-byte echoes");
        figures.rpc = Some(throughput::rpc(subject, 256.min(connections), span)?);
    }
    if wanted(Measure::Latency) {
        tell("latencies");
        figures.latency = Some(latency::measure(subject, effort.round_trips)?);
        if !subject.point.push {
            tell("latencies with pushed descriptors");
            let push = DesignPoint {
                push: true,
                ..subject.point.clone()
            };
            let subject = self::subject(&push, arguments.stalls)?;
            let pushed = latency::measure(&subject, effort.round_trips)?;
            figures.latency_with_push = Some(pushed);
        }
    }
    if wanted(Measure::Loss) {
        for &loss in effort.losses {
            tell(&format!("loss of {loss}"));
            let span = span * 10;
            figures
                .loss
                .push(throughput::with_loss(subject, loss, true, span)?);
        }
    }
    if wanted(Measure::Pacing) && subject.point.rate_wheel > 0 {
        for &rate in effort.rates {
            tell(&format!("one connection at {} Gb/s", rate as f64 * 1e-9));
            figures
                .pacing
                .push(throughput::pacing(subject, rate, span)?);
        }
    }
    if wanted(Measure::Moderation) {
        for interval in [0, 5, 20, 100].map(Time::from_us) {
            tell(&format!("interrupts {} us apart", interval.ns() / 1000));
            let measured = throughput::moderation(subject, interval, span)?;
            figures.moderation.push(measured);
        }
    }
    if wanted(Measure::Connections) {
        let counts = if arguments.connections.is_empty() {
            effort.connections
        } else {
            &arguments.connections
        };
        for &count in counts.iter().filter(|&&count| count <= connections) {
            tell(&format!("{count} connections"));
            figures
                .connections
                .push(throughput::with_connections(subject, count, span)?);
        }
    }
    Ok(figures)
}
