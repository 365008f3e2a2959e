//! `tracepoints.tsv`: what the `trace` modules of NICs counted, as their hosts read it.

use super::work::Findings;
use anyhow::{Context, Result};
use hallux_host::driver::{TraceEvent, TraceRow};
use hallux_toe::interface::modules::trace;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

/// The columns; the last eight are the tracepoints in their order.
const COLUMNS: [&str; 14] = [
    "time_ps",
    "host",
    "event",
    "flow",
    "local",
    "remote",
    "segments_received",
    "bytes_placed",
    "segments_out_of_order",
    "data_segments_sent",
    "empty_segments_sent",
    "fast_retransmissions",
    "ecn_echoes",
    "rtt_ns",
];

/// Writes the rows of all hosts by time, if any NIC has tracepoints.
///
/// # Errors
/// The file cannot be written.
pub fn write_tracepoints(path: &Path, findings: &Findings) -> Result<()> {
    if findings.traced.is_empty() {
        return Ok(());
    }
    let hosts = findings.traced.iter();
    let mut rows: Vec<(u64, &str, &TraceRow)> = hosts
        .flat_map(|(host, rows)| rows.iter().map(|(at, row)| (*at, host.as_str(), row)))
        .collect();
    rows.sort_by_key(|&(at, host, _)| (at, host));
    let mut text = COLUMNS.join("\t") + "\n";
    for (at, host, row) in rows {
        text += &line(at, host, row);
    }
    let write = || std::fs::File::create(path)?.write_all(text.as_bytes());
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn line(at: u64, host: &str, row: &TraceRow) -> String {
    let event = match row.event {
        TraceEvent::Sample => "sample",
        TraceEvent::Closed => "closed",
    };
    let key = &row.key;
    let address = |ip: u32, port| SocketAddrV4::new(Ipv4Addr::from(ip), port);
    let local = address(key.local_ip, key.local_port);
    let remote = address(key.remote_ip, key.remote_port);
    let mut line = format!("{at}\t{host}\t{event}\t{}\t{local}\t{remote}", row.flow);
    for (point, value) in row.points.iter().enumerate() {
        line += &match (point, value) {
            (trace::RTT, 0) => "\t".to_owned(),
            // The module counts in 1.024 µs, from one on.
            (trace::RTT, ticks) => format!("\t{}", u64::from(ticks - 1) * 1024),
            _ => format!("\t{value}"),
        };
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallux_host::driver::FlowKey;

    #[test]
    fn a_row_has_a_value_for_each_column() {
        let row = TraceRow {
            flow: 3,
            key: FlowKey {
                remote_ip: 0x0a00_0002,
                local_ip: 0x0a00_0001,
                remote_port: 50_000,
                local_port: 80,
            },
            event: TraceEvent::Closed,
            points: [9, 8, 7, 6, 5, 4, 3, 3],
        };
        let written = line(77, "server", &row);
        let wanted =
            "77\tserver\tclosed\t3\t10.0.0.1:80\t10.0.0.2:50000\t9\t8\t7\t6\t5\t4\t3\t2048\n";
        assert_eq!(written, wanted);
        assert_eq!(written.split('\t').count(), COLUMNS.len());
        let none = TraceRow {
            points: [0; 8],
            ..row
        };
        assert!(line(0, "server", &none).ends_with("\t0\t0\t\n"));
    }
}
