//! Every request with its parts, one a line.

use super::{Parts, Ways, add};
use hallux_host::apps::report::Exchange;
use serde::Serialize;
use std::io::{self, Write};
use std::net::SocketAddrV4;

/// A line of the file.
#[derive(Serialize)]
struct Line {
    client: SocketAddrV4,
    server: SocketAddrV4,
    request_bytes: u64,
    answer_bytes: u64,
    started_ps: u64,
    latency_ps: u64,
    /// `null` where the way could not be followed.
    parts: Option<Parts>,
}

/// Writes the requests in the order in which they ended.
///
/// # Errors
/// Those of the writer.
pub fn write_requests(ways: &Ways, exchanges: &[Exchange], out: &mut impl Write) -> io::Result<()> {
    let mut followed = ways.parts().peekable();
    for (number, exchange) in exchanges.iter().enumerate() {
        let own = followed.next_if(|(of, ..)| *of == number);
        let line = Line {
            client: exchange.client,
            server: exchange.server,
            request_bytes: exchange.asked - exchange.before,
            answer_bytes: exchange.answer,
            started_ps: exchange.started,
            latency_ps: exchange.latency(),
            parts: own.map(|(_, _, parts)| {
                let mut sums = Parts::new();
                add(&mut sums, parts);
                sums
            }),
        };
        serde_json::to_writer(&mut *out, &line)?;
        writeln!(out)?;
    }
    Ok(())
}
