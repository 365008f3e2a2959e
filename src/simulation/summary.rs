//! From what was found to the summary of a run.

use super::work::{Findings, Work};
use super::{Assembly, NIC};
use crate::blame::{self, Followed};
use crate::results::{
    NicSummary, Percentiles, SUMMARY_SCHEMA, StageCycles, Summary, gigabits_per_second,
};
use crate::scenario::Scenario;
use crate::verdict::{Measured, Verdict};
use anyhow::{Context, Result};
use hallux_channel::Time;
use hallux_cosim::engine::Direction;
use hallux_cosim::nic::RtlNic;
use hallux_cosim::observe::pcapng::SnapWriter;
use hallux_host::apps::report::Exchange;
use hallux_host::driver::MirroredFrame;
use hallux_host::host::Host;
use hallux_toe::interface::modules::{Kind, Slot};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

impl Assembly {
    /// What was found at the components whose names are `own`.
    pub fn findings(&self, own: impl Fn(&str) -> bool) -> Findings {
        let nics = || self.nics().filter(|(name, _)| own(name));
        let counters = self.counters().into_iter();
        let hosts = self.simulation.names().filter(|name| own(name));
        let mirrored = hosts.filter_map(|name| {
            let host: &Host = self.simulation.component(self.simulation.find(name)?)?;
            let mirrors = host.has_captures();
            mirrors.then(|| (name.to_owned(), host.mirrored()))
        });
        let hosts = self.simulation.names().filter(|name| own(name));
        let traced = hosts.filter_map(|name| {
            let host: &Host = self.simulation.component(self.simulation.find(name)?)?;
            host.has_traces().then(|| (name.to_owned(), host.traced()))
        });
        Findings {
            mirrored: mirrored.collect(),
            traced: traced.collect(),
            work: self.work(),
            server_failure: self.server_failure(),
            nics: nics()
                .map(|(name, nic)| (name.to_owned(), nic_summary(nic)))
                .collect(),
            counters: counters.filter(|(name, _)| own(name)).collect(),
            passages: nics()
                .filter_map(|(name, nic)| Some((name.to_owned(), nic.passages()?.clone())))
                .collect(),
            evaluated_cycles: nics().map(|(_, nic)| nic.report().evaluated_cycles).sum(),
        }
    }

    /// The requests of a run with these findings, followed.
    pub fn follow(&self, scenario: &Scenario, findings: &Findings) -> Followed {
        let exchanges = &findings.work.exchanges;
        self.watch.follow(scenario, exchanges, &findings.passages)
    }

    /// The summary of a run that ended at `end` with these findings.
    pub fn summary(
        &self,
        scenario: &Scenario,
        findings: &Findings,
        followed: &Followed,
        rtl: &str,
        end: Time,
        complete: bool,
    ) -> Summary {
        let Findings {
            work,
            nics,
            counters,
            ..
        } = findings;
        let span = match (work.started, work.finished) {
            (Some(started), Some(finished)) => finished.saturating_sub(started),
            _ => 0,
        };
        let observer = self.traffic();
        let (received, sent) = (
            observer.traffic(Direction::Received),
            observer.traffic(Direction::Sent),
        );
        let mut segments = BTreeMap::new();
        for (side, traffic) in [("received", received), ("sent", sent)] {
            for (kind, count) in traffic.segments.by_name() {
                segments.insert(format!("{kind}_{side}"), count);
            }
        }
        let tested = nics.get(NIC).cloned().unwrap_or_default();
        let verdict = Verdict::of(&Measured {
            scenario,
            nic: nics.get(NIC),
            counters,
            span,
            verified: work.verified,
            requests: work.requests,
            exchanges: &work.exchanges,
            unhindered: &followed.unhindered,
            retransmitted: received.retransmitted_segments + sent.retransmitted_segments,
        });
        Summary {
            schema: SUMMARY_SCHEMA,
            complete,
            scenario: scenario.settings.name.clone(),
            design: scenario.design.name.clone(),
            rtl: rtl.to_owned(),
            seed: scenario.settings.seed,
            simulated_ps: end.ps(),
            clock_cycles: tested.clock_cycles,
            bytes_verified: work.verified,
            bytes_mismatched: work.mismatched,
            goodput_gbps: gigabits_per_second(work.verified, span),
            segments,
            retransmitted_segments: received.retransmitted_segments + sent.retransmitted_segments,
            rtt_ps: percentiles(sent.rtt_samples(), |share| sent.rtt_quantile(share)),
            request_ps: requests(work),
            stages: tested.stages,
            pcie: tested.pcie,
            drops: tested.drops,
            nics: nics.clone(),
            counters: counters.clone(),
            verdict,
            blame: followed.blame.clone(),
        }
    }

    /// Counters of every component. Of the RTL NICs, which have a place of their own, what went
    /// wrong: a behavioural NIC counts the same.
    fn counters(&self) -> BTreeMap<String, BTreeMap<String, u64>> {
        let is_nic = |name: &str| self.nics.iter().any(|(nic, _)| nic == name);
        self.simulation
            .counters()
            .into_iter()
            .map(|(component, counters)| {
                let all = !is_nic(&component);
                let counters = counters
                    .into_iter()
                    .filter(|counter| all || RtlNic::FAULTS.contains(&counter.name))
                    .map(|counter| (counter.name.to_string(), counter.value))
                    .collect();
                (component, counters)
            })
            .collect()
    }
}

/// Writes the longest request of a run with these findings as a trace of its own, `path`;
/// nothing if there was none.
///
/// # Errors
/// The file cannot be written.
pub fn write_worst(path: &Path, findings: &Findings, followed: &Followed) -> Result<()> {
    if findings.work.exchanges.is_empty() {
        return Ok(());
    }
    write_to(path, |file| {
        let log = findings.passages.get(NIC);
        blame::write_worst(&followed.ways, NIC, log, file).map(|_found| ())
    })
}

/// Writes every request of a run with these findings, one a line, with its parts.
///
/// # Errors
/// The file cannot be written.
pub fn write_requests(path: &Path, findings: &Findings, followed: &Followed) -> Result<()> {
    write_to(path, |file| {
        blame::write_requests(&followed.ways, &findings.work.exchanges, file)
    })
}

/// Writes the frames that the NICs' `capture` modules mirrored to their hosts, with an
/// interface for each module; nothing if no NIC has one.
///
/// # Errors
/// The file cannot be written.
pub fn write_mirrored(path: &Path, scenario: &Scenario, findings: &Findings) -> Result<()> {
    if findings.mirrored.is_empty() {
        return Ok(());
    }
    let points = (0_u8..).zip(&scenario.design.modules);
    let modules: Vec<(u8, Slot)> = points
        .filter(|(_, point)| point.kind == Kind::Capture)
        .map(|(number, point)| (number, point.slot))
        .collect();
    let (mut names, mut frames) = (vec![], vec![]);
    for (host, mirrored) in &findings.mirrored {
        let first = names.len();
        for (number, slot) in &modules {
            names.push(format!("{host}.module-{number}.{}", slot.name()));
        }
        let interface = |frame: &MirroredFrame| {
            let place = modules
                .iter()
                .position(|&(module, _)| module == frame.module);
            Some((first + place?) as u32)
        };
        frames.extend(mirrored.iter().filter_map(|f| Some((interface(f)?, f))));
    }
    frames.sort_by_key(|(interface, frame)| (frame.time, *interface));
    write_to(path, |file| {
        let mut capture = SnapWriter::new(file, &names)?;
        for (interface, frame) in frames {
            let direction = match frame.slot {
                Slot::Egress => Direction::Sent,
                _ => Direction::Received,
            };
            let at = Time::from_ns(frame.time);
            capture.frame(interface, at, direction, frame.original, &frame.bytes)?;
        }
        Ok(())
    })
}

fn write_to(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<()> {
    let place = || format!("cannot write {}", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(place)?);
    write(&mut file)
        .and_then(|()| file.flush())
        .with_context(place)
}

fn percentiles(samples: u64, quantile: impl Fn(u32) -> Time) -> Percentiles {
    let at = |per_10_000| quantile(per_10_000).ps();
    Percentiles {
        samples,
        p50: at(5_000),
        p99: at(9_900),
        p999: at(9_990),
        p9999: at(9_999),
    }
}

/// Request latencies, to the picosecond.
fn requests(work: &Work) -> Percentiles {
    let mut latencies: Vec<u64> = work.exchanges.iter().map(Exchange::latency).collect();
    latencies.sort_unstable();
    percentiles(latencies.len() as u64, |per_10_000| {
        let rank = (latencies.len() as u64 * u64::from(per_10_000)).div_ceil(10_000);
        let index = (rank as usize).saturating_sub(1);
        Time::from_ps(latencies.get(index).copied().unwrap_or(0))
    })
}

fn nic_summary(nic: &RtlNic) -> NicSummary {
    let report = nic.report();
    NicSummary {
        clock_cycles: report.clock_cycles,
        stages: report
            .stages
            .iter()
            .map(|(name, stage)| {
                let cycles = StageCycles {
                    busy: stage.busy,
                    blocked: stage.blocked,
                    starved: stage.starved,
                };
                (name.clone(), cycles)
            })
            .collect(),
        pcie: report.pcie,
        drops: report.drops,
        demand: [
            ("rx_frames", report.rx_frames),
            ("rx_bytes", report.rx_bytes),
            ("tx_frames", report.tx_frames),
            ("tx_bytes", report.tx_bytes),
            ("tx_beats", report.demand.tx_beats),
            ("completion_beats", report.demand.completion_beats),
            ("payload_reads", report.demand.payload_reads),
            ("payload_read_bytes", report.demand.payload_read_bytes),
            ("state_reads", report.demand.state_reads),
            ("busiest_flow_events", report.demand.busiest_flow_events()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into(),
    }
}
