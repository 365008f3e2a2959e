//! Latencies of an otherwise idle NIC, in clock cycles, without PCIe and MAC
//! (contracts §6).

use super::apps::Service;
use super::peer::Work;
use super::rig::{self, Load, Subject};
use anyhow::{Context, Result};
use hallux_channel::Time;
use hallux_cosim::nic::{Edge, EdgeLog};
use hallux_toe::interface::{context, push, register};
use serde::Serialize;

/// Payload of a request and of its answer.
const PAYLOAD: u16 = 64;
/// Frame of such a segment, without FCS.
const FRAME: usize = 66 + PAYLOAD as usize;
/// Time that one of them takes, about.
const ROUND_TRIP: Time = Time::from_ns(2_300);

/// Cycles of many samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cycles {
    pub samples: usize,
    pub p50: u64,
    pub p9999: u64,
}

impl Cycles {
    fn of(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        let at = |share: usize| {
            let index = (values.len() * share).div_ceil(10_000);
            values.get(index.saturating_sub(1)).copied().unwrap_or(0)
        };
        Self {
            samples: values.len(),
            p50: at(5_000),
            p9999: at(9_999),
        }
    }
}

/// Where a path is after so many cycles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Cycles since the path began, without the time of reads of host memory.
    pub at: u64,
    /// The stage that is entered, or what crosses the NIC's edge.
    pub what: String,
}

/// The latencies of one design point.
#[derive(Clone, Debug, Serialize)]
pub struct Latencies {
    /// Last beat of a segment in, to the acceptance of its payload's last write.
    pub wire_to_host: Cycles,
    /// The same, to the first beat of its acknowledgement.
    pub wire_to_ack: Cycles,
    /// The doorbell's acceptance to the first beat of the segment that it releases, less
    /// the time that its reads of host memory take.
    pub doorbell_to_wire: Cycles,
    /// The same with those reads.
    pub send_to_wire: Cycles,
    /// The stages on the way from the wire to host and acknowledgement, in one round trip.
    pub from_wire: Vec<Step>,
    /// Those on the way from the doorbell to the wire.
    pub from_doorbell: Vec<Step>,
}

/// One round trip: the indices of its crossings in the log.
#[derive(Clone)]
struct RoundTrip {
    arrived: usize,
    written: usize,
    acked: usize,
    rung: usize,
    /// The reads of descriptor and payload: asked and answered; none of what was pushed.
    reads: Vec<(usize, usize)>,
    sent: usize,
}

/// Finds the crossings of round trips, one after another.
struct Trips<'a> {
    entries: &'a [(u64, Edge)],
    at: usize,
    /// Sends are pushed.
    push: bool,
}

impl Trips<'_> {
    fn next(&mut self, wanted: impl Fn(&Edge) -> bool) -> Option<usize> {
        let found = self.entries.get(self.at..)?;
        let found = self.at + found.iter().position(|(_, edge)| wanted(edge))?;
        self.at = found + 1;
        Some(found)
    }

    fn read(&mut self) -> Option<(usize, usize)> {
        let asked = self.next(|edge| matches!(edge, Edge::Read { .. }))?;
        let Edge::Read { tag, .. } = self.entries[asked].1 else {
            return None;
        };
        Some((asked, self.next(|edge| *edge == Edge::Completed { tag })?))
    }

    /// A round trip is whole when every crossing is found; the last may be cut off.
    fn trip(&mut self) -> Option<RoundTrip> {
        let (register, reads) = match self.push {
            true => (push::SLOT, 0),
            false => (context::DESCRIPTOR_TAIL, 2),
        };
        let doorbell = (register::CONTEXT + register::CONTEXT_STRIDE + register) as u32;
        Some(RoundTrip {
            arrived: self.next(|edge| *edge == Edge::FrameIn { bytes: FRAME })?,
            written: self.next(|edge| matches!(edge, Edge::Write { bytes: PAYLOAD, .. }))?,
            acked: self.next(|edge| *edge == Edge::FrameOut)?,
            rung: self.next(|edge| *edge == Edge::RegisterWrite { offset: doorbell })?,
            reads: (0..reads).map(|_| self.read()).collect::<Option<_>>()?,
            sent: self.next(|edge| *edge == Edge::FrameOut)?,
        })
    }

    fn cycles(&self, from: usize, to: usize) -> u64 {
        self.entries[to].0 - self.entries[from].0
    }
}

/// What is passed from entry `from` to entry `to`, less the time of `reads`.
fn steps(log: &EdgeLog, from: usize, to: usize, reads: &[(usize, usize)]) -> Vec<Step> {
    let entries = log.entries();
    let waited = |at: usize| -> u64 {
        let past = |&(asked, answered): &(usize, usize)| match at {
            _ if at <= asked => 0,
            _ => entries[at.min(answered)].0 - entries[asked].0,
        };
        reads.iter().map(past).sum()
    };
    let step = |at: usize| Step {
        at: entries[at].0 - entries[from].0 - waited(at),
        what: match entries[at].1 {
            Edge::FrameIn { .. } => "last beat in".into(),
            Edge::FrameOut => "first beat out".into(),
            Edge::Write { bytes, .. } => format!("write of {bytes} bytes"),
            Edge::Read { bytes, .. } => format!("read of {bytes} bytes"),
            Edge::Completed { .. } => "completion".into(),
            Edge::RegisterWrite { .. } => "register write".into(),
            Edge::Entered { stage } => log.stage(stage).into(),
        },
    };
    (from..=to).map(step).collect()
}

/// Takes `samples` round trips of one connection, one at a time.
///
/// # Errors
/// As [`rig::run`], or the crossings are not those of round trips.
pub fn measure(subject: &Subject, samples: u64) -> Result<Latencies> {
    let load = Load {
        warm_up: Time::ZERO,
        span: ROUND_TRIP * samples,
        ..Load::new(
            1,
            Work::Request(PAYLOAD.into()),
            Service::Answer(PAYLOAD.into()),
        )
    };
    let log = rig::run_logged(subject, &load)?.edges;
    let mut trips = Trips {
        entries: log.entries(),
        at: 0,
        push: subject.point.push,
    };
    let (mut to_host, mut to_ack, mut to_wire) = (vec![], vec![], vec![]);
    let mut send_to_wire = vec![];
    let mut last = None;
    while let Some(trip) = trips.trip() {
        let waited: u64 = trip.reads.iter().map(|&(a, b)| trips.cycles(a, b)).sum();
        to_host.push(trips.cycles(trip.arrived, trip.written));
        to_ack.push(trips.cycles(trip.arrived, trip.acked));
        to_wire.push(trips.cycles(trip.rung, trip.sent) - waited);
        send_to_wire.push(trips.cycles(trip.rung, trip.sent));
        last = Some(trip);
    }
    let last = last.filter(|_| to_host.len() as u64 * 2 >= samples);
    let last = last.with_context(|| {
        let seen = to_host.len();
        format!("only {seen} of {samples} round trips were seen")
    })?;
    Ok(Latencies {
        wire_to_host: Cycles::of(to_host),
        wire_to_ack: Cycles::of(to_ack),
        doorbell_to_wire: Cycles::of(to_wire),
        send_to_wire: Cycles::of(send_to_wire),
        from_wire: steps(&log, last.arrived, last.acked, &[]),
        from_doorbell: steps(&log, last.rung, last.sent, &last.reads),
    })
}
