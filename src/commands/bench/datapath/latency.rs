//! Latencies of an otherwise idle NIC, in clock cycles, without PCIe and MAC
//! (contracts §6).

use super::apps::Service;
use super::peer::Work;
use super::rig::{self, Load, Subject};
use anyhow::{Result, ensure};
use hallux_channel::Time;
use hallux_cosim::nic::Edge;
use hallux_toe::interface::{context, register};
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

/// The latencies of one design point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Latencies {
    /// Last beat of a segment in, to the acceptance of its payload's last write.
    pub wire_to_host: Cycles,
    /// The same, to the first beat of its acknowledgement.
    pub wire_to_ack: Cycles,
    /// The doorbell's acceptance to the first beat of the segment that it releases, less
    /// the time that its reads of host memory take.
    pub doorbell_to_wire: Cycles,
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
    let measured = rig::run_logged(subject, &load)?;
    let entries = measured.edges;
    let doorbell = (register::CONTEXT + register::CONTEXT_STRIDE + context::DESCRIPTOR_TAIL) as u32;
    let (mut to_host, mut to_ack, mut to_wire) = (vec![], vec![], vec![]);
    let mut at = 0;
    let mut next = |wanted: &dyn Fn(&Edge) -> bool| {
        while let Some((cycle, edge)) = entries.get(at) {
            at += 1;
            if wanted(edge) {
                return Some((*cycle, *edge));
            }
        }
        None
    };
    // A round trip is whole when every crossing is found; the last may be cut off.
    let mut round_trip = || -> Option<(u64, u64, u64)> {
        let (arrived, _) = next(&|edge| *edge == Edge::FrameIn { bytes: FRAME })?;
        let (written, _) = next(&|edge| matches!(edge, Edge::Write { bytes: PAYLOAD, .. }))?;
        let (acked, _) = next(&|edge| *edge == Edge::FrameOut)?;
        let (rung, _) = next(&|edge| *edge == Edge::RegisterWrite { offset: doorbell })?;
        let mut waited = 0;
        for _ in ["descriptor", "payload"] {
            let (asked, read) = next(&|edge| matches!(edge, Edge::Read { .. }))?;
            let (answered, _) = next(
                &|edge| matches!((edge, read), (Edge::Completed { tag }, Edge::Read { tag: asked, .. }) if *tag == asked),
            )?;
            waited += answered - asked;
        }
        let (sent, _) = next(&|edge| *edge == Edge::FrameOut)?;
        Some((written - arrived, acked - arrived, sent - rung - waited))
    };
    while let Some((host, ack, wire)) = round_trip() {
        to_host.push(host);
        to_ack.push(ack);
        to_wire.push(wire);
    }
    ensure!(
        to_host.len() as u64 * 2 >= samples,
        "only {} of {samples} round trips were seen",
        to_host.len()
    );
    Ok(Latencies {
        wire_to_host: Cycles::of(to_host),
        wire_to_ack: Cycles::of(to_ack),
        doorbell_to_wire: Cycles::of(to_wire),
    })
}
