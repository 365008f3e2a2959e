//! The passage of every event through the stages, as Chrome-trace JSON for Perfetto.
//!
//! Each ticket is a track: one slice from its first to its last stage, and inside it a
//! slice a stage, from the clock edge at which the event enters the stage to the edge at
//! which it enters the next. Times are simulated.

use hallux_channel::Time;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Bit of a ticket at which its kind starts; below is the running number.
const KIND_SHIFT: u32 = 22;
/// Names of the kinds, in their order: `KIND_RX`, `KIND_TX`, `KIND_HC`, `KIND_CMD`.
const KINDS: [&str; 4] = ["rx", "tx", "host control", "command"];

/// An event enters a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    at: Time,
    ticket: u32,
    flow: u16,
    stage: u16,
}

/// A slice of a track of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// What it shows.
    pub name: String,
    /// Begin.
    pub from: Time,
    /// End.
    pub until: Time,
}

/// Entries into stages, in the order of time.
#[derive(Clone, Debug, Default)]
pub struct StageTrace {
    stages: Vec<String>,
    entries: Vec<Entry>,
}

impl StageTrace {
    /// An empty trace of these stages, named in the order of the data path.
    pub fn new(stages: &[String]) -> Self {
        Self {
            stages: stages.to_vec(),
            entries: vec![],
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True before the first entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The event `ticket` of `flow` enters stage number `stage` at `at`.
    #[inline]
    pub fn enter(&mut self, at: Time, stage: usize, ticket: u32, flow: u16) {
        self.entries.push(Entry {
            at,
            ticket,
            flow,
            stage: stage as u16,
        });
    }

    /// Writes the trace; `process` names its track group. `edge` is one clock period, the
    /// length of an event's last slice.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, process: &str, edge: Time, out: &mut impl Write) -> io::Result<()> {
        self.write_with(process, edge, &[], out)
    }

    /// Writes the trace with `spans`, nested and in order, on a track above it.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_with(
        &self,
        process: &str,
        edge: Time,
        spans: &[Span],
        out: &mut impl Write,
    ) -> io::Result<()> {
        let mut events = Events { out, first: true };
        let quoted = serde_json::to_string(process)?;
        events.raw(&format!(
            r#"{{"ph":"M","pid":1,"name":"process_name","args":{{"name":{quoted}}}}}"#
        ))?;
        for span in spans {
            let quoted = serde_json::to_string(&span.name)?;
            events.raw(&format!(
                r#"{{"ph":"X","name":{quoted},"pid":1,"tid":0,"ts":{},"dur":{}}}"#,
                microseconds(span.from),
                microseconds(span.until.since(span.from)),
            ))?;
        }
        for (number, passage) in self.passages().iter().enumerate() {
            self.passage(number, passage, edge, &mut events)?;
        }
        events.finish()
    }

    /// The entries of each event, events in the order of their first entry. A ticket that
    /// comes again to its first stage is a new event with an old number.
    fn passages(&self) -> Vec<Vec<Entry>> {
        let mut passages: Vec<Vec<Entry>> = vec![];
        let mut current: BTreeMap<u32, usize> = BTreeMap::new();
        for &entry in &self.entries {
            let open = current.get(&entry.ticket).copied();
            let known = open.filter(|&index| passages[index][0].stage != entry.stage);
            match known {
                Some(index) => passages[index].push(entry),
                None => {
                    current.insert(entry.ticket, passages.len());
                    passages.push(vec![entry]);
                }
            }
        }
        passages
    }

    fn passage<W: Write>(
        &self,
        number: usize,
        entries: &[Entry],
        edge: Time,
        events: &mut Events<'_, W>,
    ) -> io::Result<()> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Ok(());
        };
        let kind = KINDS[(first.ticket >> KIND_SHIFT) as usize % KINDS.len()];
        let running = first.ticket & ((1 << KIND_SHIFT) - 1);
        // The first stages do not know the flow yet.
        let flow = entries
            .iter()
            .map(|entry| entry.flow)
            .find(|&flow| flow != 0)
            .unwrap_or(0);
        let end = last.at + edge;
        let track = format!(r#""cat":"{kind}","id":{number},"pid":1,"tid":1"#);
        let name = format!("{kind} {running}");
        events.pair(
            "b",
            &name,
            first.at,
            &track,
            &format!(r#","args":{{"flow":{flow}}}"#),
        )?;
        for (index, entry) in entries.iter().enumerate() {
            let leaves = entries.get(index + 1).map_or(end, |next| next.at);
            let stage = self
                .stages
                .get(usize::from(entry.stage))
                .map_or("?", String::as_str);
            events.pair("b", stage, entry.at, &track, "")?;
            events.pair("e", stage, leaves, &track, "")?;
        }
        events.pair("e", &name, end, &track, "")
    }
}

/// Microseconds with six decimals, which are picoseconds.
fn microseconds(at: Time) -> String {
    format!("{}.{:06}", at.ps() / 1_000_000, at.ps() % 1_000_000)
}

/// Writes the JSON array, event by event.
struct Events<'a, W: Write> {
    out: &'a mut W,
    first: bool,
}

impl<W: Write> Events<'_, W> {
    fn raw(&mut self, event: &str) -> io::Result<()> {
        let start = if self.first {
            r#"{"displayTimeUnit":"ns","traceEvents":["#
        } else {
            ","
        };
        self.first = false;
        write!(self.out, "{start}\n{event}")
    }

    /// Begins or ends a nestable slice. Time stamps are microseconds; six decimals are ps.
    fn pair(
        &mut self,
        phase: &str,
        name: &str,
        at: Time,
        track: &str,
        rest: &str,
    ) -> io::Result<()> {
        let at = microseconds(at);
        self.raw(&format!(
            r#"{{"ph":"{phase}","name":"{name}",{track},"ts":{at}{rest}}}"#
        ))
    }

    fn finish(self) -> io::Result<()> {
        writeln!(self.out, "\n]}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> StageTrace {
        let mut trace = StageTrace::new(&["parse".into(), "protocol".into()]);
        trace.enter(Time::from_ns(4), 0, 7, 0);
        trace.enter(Time::from_ns(8), 0, 8, 0);
        trace.enter(Time::from_ps(20_500), 1, 7, 3);
        trace
    }

    #[test]
    fn a_trace_is_json_with_one_nested_track_a_ticket() {
        let mut text = vec![];
        trace().write("nic", Time::from_ns(4), &mut text).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let events = json["traceEvents"].as_array().unwrap();
        let line = |event: &serde_json::Value| {
            format!(
                "{} {} {} {}",
                event["id"],
                event["ph"].as_str().unwrap(),
                event["name"].as_str().unwrap(),
                event["ts"]
            )
        };
        let lines: Vec<_> = events[1..].iter().map(line).collect();
        assert_eq!(
            lines,
            [
                "0 b rx 7 0.004",
                "0 b parse 0.004",
                "0 e parse 0.0205",
                "0 b protocol 0.0205",
                "0 e protocol 0.0245",
                "0 e rx 7 0.0245",
                "1 b rx 8 0.008",
                "1 b parse 0.008",
                "1 e parse 0.012",
                "1 e rx 8 0.012",
            ]
        );
        assert_eq!(events[1]["args"]["flow"], 3);
    }

    #[test]
    fn a_ticket_that_comes_again_is_a_new_event() {
        let mut trace = trace();
        trace.enter(Time::from_ns(40), 0, 7, 0);
        let passages = trace.passages();
        assert_eq!(passages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1]);
    }
}
