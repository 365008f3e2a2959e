//! The longest request as a trace of its own, so that a viewer opens at it.

use super::{Part, Path, Ways};
use hallux_channel::Time;
use hallux_cosim::observe::passages::PassageLog;
use hallux_cosim::observe::trace::{Span, StageTrace};
use std::io::{self, Write};

/// Writes the longest of `ways`: its parts on a track, and below it every event that the
/// NIC `name` handled meanwhile. False if there is none.
///
/// # Errors
/// Those of the writer.
pub fn write_worst(
    ways: &Ways,
    name: &str,
    log: Option<&PassageLog>,
    out: &mut impl Write,
) -> io::Result<bool> {
    let Some((path, parts)) = ways.worst() else {
        return Ok(false);
    };
    let mut trace = StageTrace::new(log.map_or(&[][..], |log| &log.stages));
    if let Some(log) = log {
        for entry in log.entered.iter().filter(|entry| within(path, entry.at)) {
            let at = Time::from_ps(entry.at);
            trace.enter(at, entry.stage.into(), entry.ticket, entry.flow);
        }
    }
    let period = Time::from_ps(log.map_or(0, |log| log.period));
    trace.write_with(name, period, &spans(path, parts), out)?;
    Ok(true)
}

fn within(path: &Path, at: u64) -> bool {
    (path.start()..path.end()).contains(&at)
}

fn spans(path: &Path, parts: Vec<Part>) -> Vec<Span> {
    let whole = Span {
        name: format!("longest request, {} ps", path.length()),
        from: Time::from_ps(path.start()),
        until: Time::from_ps(path.end()),
    };
    let parts = parts.into_iter().map(|part| Span {
        name: format!("{}: {}", part.place, part.cause.name()),
        from: Time::from_ps(part.from),
        until: Time::from_ps(part.until),
    });
    std::iter::once(whole).chain(parts).collect()
}
