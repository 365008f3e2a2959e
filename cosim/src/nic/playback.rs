//! A recording, fed back into a NIC, whose outputs are compared.
//!
//! The inputs arrive as they were recorded, whatever the NIC says; so only
//! the first difference means something, and the comparison ends with it.

use std::collections::VecDeque;
use std::fmt;

use hallux_channel::{ClockPeriod, Component, ComponentError, Mailbox, Message, Time};

use super::adapter::{ETH, PCIE, RtlNic};
use crate::engine::Direction;
use crate::observe::recording::{NicPort, NicRecording};

/// A message and when it left.
type Output = (Time, Message);

/// Names of the ports by their index.
const PORTS: [&str; 2] = ["pcie", "eth"];

/// How a NIC did on a recording.
#[derive(Debug)]
pub enum Verdict {
    /// Every output was the recorded one, at its time.
    Identical {
        /// Number of outputs.
        outputs: usize,
    },
    /// An output was another one, or at another time, or missing, or too many.
    Different(Box<Difference>),
    /// The NIC could not go on: an assertion failed, or an input fitted
    /// nothing any more. All outputs until then were the recorded ones.
    Stopped(ComponentError),
}

/// The first difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The earlier of the two times.
    pub at: Time,
    /// The clock cycle that had begun at this time, counted from 0.
    pub cycle: u64,
    /// Name of the port.
    pub port: &'static str,
    /// The output as recorded; `None` if there was none any more.
    pub expected: Option<Output>,
    /// The output now; `None` if there was none in time.
    pub got: Option<Output>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference {
            at, cycle, port, ..
        } = self;
        write!(
            f,
            "outputs differ first at {at} (clock cycle {cycle}), port {port}:"
        )?;
        for (who, output) in [("recorded", &self.expected), ("now", &self.got)] {
            write!(f, "\n  {who:<9} ")?;
            match output {
                Some((at, message)) => write!(f, "{at:<14} {}", Described(message))?,
                None => write!(f, "{:<14} nothing", "-")?,
            }
        }
        if let (Some((_, expected)), Some((_, got))) = (&self.expected, &self.got) {
            let bytes = expected.payload().iter().zip(got.payload());
            if let Some((place, (a, b))) = bytes.enumerate().find(|(_, (a, b))| a != b) {
                write!(
                    f,
                    "\n  first differing byte {place}: {a:#04x} recorded, {b:#04x} now"
                )?;
            }
        }
        Ok(())
    }
}

/// A message in a few words.
struct Described<'a>(&'a Message);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.0.kind();
        let carried = self.0.payload().len();
        match self.0 {
            Message::DmaRead { req_id, addr, len } => {
                write!(f, "{kind} of {len} bytes at {addr:#x}, tag {req_id}")
            }
            Message::DmaWrite { addr, .. } => write!(f, "{kind} of {carried} bytes at {addr:#x}"),
            Message::Interrupt { vector, .. } => write!(f, "{kind}, vector {vector}"),
            _ if carried > 0 => write!(f, "{kind} of {carried} bytes"),
            _ => f.write_str(kind),
        }
    }
}

/// Feeds `recording` into a fresh `nic` until an output differs.
pub fn play(nic: &mut RtlNic, recording: &NicRecording) -> Verdict {
    let clock = nic.clock();
    Playback::new(nic, clock, recording).run(recording)
}

/// The playback into any component with the ports of a NIC.
struct Playback<'a> {
    nic: &'a mut dyn Component,
    clock: ClockPeriod,
    mailbox: Mailbox,
    /// Outputs by port that were recorded and not yet seen.
    expected: [VecDeque<Output>; 2],
    /// Outputs by port that were made and not yet compared.
    got: [VecDeque<Output>; 2],
    compared: usize,
}

impl<'a> Playback<'a> {
    fn new(nic: &'a mut dyn Component, clock: ClockPeriod, recording: &NicRecording) -> Self {
        let mut expected = [VecDeque::new(), VecDeque::new()];
        for output in &recording.messages {
            if output.direction == Direction::Sent {
                expected[index(output.port)].push_back((output.at, output.message.clone()));
            }
        }
        Playback {
            mailbox: Mailbox::new(nic.ports()),
            nic,
            clock,
            expected,
            got: [VecDeque::new(), VecDeque::new()],
            compared: 0,
        }
    }

    fn run(mut self, recording: &NicRecording) -> Verdict {
        let inputs = recording
            .messages
            .iter()
            .filter(|message| message.direction == Direction::Received);
        let mut reached = Time::ZERO;
        for input in inputs {
            if input.at > reached {
                reached = input.at;
                if let Err(verdict) = self.advance(reached) {
                    return verdict;
                }
            }
            self.mailbox
                .deliver(index(input.port), input.at, input.message.clone());
        }
        match self.advance(recording.end) {
            Err(verdict) => verdict,
            Ok(()) => Verdict::Identical {
                outputs: self.compared,
            },
        }
    }

    /// Runs the NIC up to `horizon` and compares what it did before that.
    fn advance(&mut self, horizon: Time) -> Result<(), Verdict> {
        let result = self.nic.advance(horizon, &mut self.mailbox.io());
        self.mailbox.advanced_to(horizon);
        while let Some(sent) = self.mailbox.take_sent() {
            self.got[sent.port].push_back((sent.at, sent.message));
        }
        // What an NIC that has stopped would have done later is not known.
        let known = result.as_ref().err().map_or(horizon, |error| error.at);
        if let Some(difference) = self.compare(known) {
            return Err(Verdict::Different(Box::new(difference)));
        }
        result.map_err(Verdict::Stopped)
    }

    /// The first difference before `horizon`: later outputs are still to come.
    fn compare(&mut self, horizon: Time) -> Option<Difference> {
        let ports = [PCIE, ETH].into_iter();
        let differences = ports.filter_map(|port| self.compare_port(port, horizon));
        differences.min_by_key(|difference| difference.at)
    }

    fn compare_port(&mut self, port: usize, horizon: Time) -> Option<Difference> {
        let (expected, got) = (&mut self.expected[port], &mut self.got[port]);
        loop {
            let time = |output: Option<&Output>| output.map_or(Time::NEVER, |&(at, _)| at);
            let at = time(expected.front()).min(time(got.front()));
            if at >= horizon {
                return None;
            }
            if expected.front() != got.front() {
                let edges = self.clock.first_edge_at_or_after(at + Time::from_ps(1));
                return Some(Difference {
                    at,
                    cycle: edges.saturating_sub(1),
                    port: PORTS[port],
                    expected: expected.pop_front(),
                    got: got.pop_front(),
                });
            }
            expected.pop_front();
            got.pop_front();
            self.compared += 1;
        }
    }
}

/// Index of a NIC's port.
fn index(port: NicPort) -> usize {
    match port {
        NicPort::Pcie => PCIE,
        NicPort::Ethernet => ETH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::recording::Recorded;
    use bytes::Bytes;
    use hallux_channel::{Io, PortSpec, Protocol};
    use std::any::Any;

    /// Answers each frame `delay` later with its first byte plus one; stops at a frame of 0.
    struct Adder {
        ports: [PortSpec; 2],
        delay: Time,
    }

    impl Component for Adder {
        fn name(&self) -> &str {
            "adder"
        }
        fn ports(&self) -> &[PortSpec] {
            &self.ports
        }
        fn next_action(&self) -> Time {
            Time::NEVER
        }
        fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
            while let Some((at, port, message)) = io.pop_before(horizon) {
                let number = message.payload()[0];
                if number == 0 {
                    return Err(ComponentError::new("adder", at, "zero"));
                }
                io.send(port, at + self.delay, frame(number + 1));
            }
            Ok(())
        }
        fn finished_at(&self) -> Option<Time> {
            Some(Time::ZERO)
        }
        fn as_any(&self) -> &dyn Any {
            self
        }
        fn as_any_mut(&mut self) -> &mut dyn Any {
            self
        }
    }

    fn frame(number: u8) -> Message {
        Message::Frame(Bytes::copy_from_slice(&[number]))
    }

    fn play(delay: u64, messages: &[(u64, Direction, u8)]) -> Verdict {
        let messages = messages
            .iter()
            .map(|&(at, direction, number)| Recorded {
                at: Time::from_ns(at),
                port: NicPort::Ethernet,
                direction,
                message: frame(number),
            })
            .collect();
        let recording = NicRecording {
            description: String::new(),
            end: Time::from_ns(100),
            messages,
        };
        let mut adder = Adder {
            ports: [
                PortSpec::new("pcie", Protocol::PcieDevice),
                PortSpec::new("eth", Protocol::Ethernet),
            ],
            delay: Time::from_ns(delay),
        };
        let clock = ClockPeriod::from_hz(250_000_000).unwrap();
        Playback::new(&mut adder, clock, &recording).run(&recording)
    }

    use Direction::{Received, Sent};

    fn difference(verdict: Verdict) -> (u64, u64, Option<u64>, Option<u64>) {
        let Verdict::Different(difference) = verdict else {
            panic!("{verdict:?}");
        };
        let ns = |output: Option<Output>| output.map(|(at, _)| at.ns());
        let Difference { at, cycle, .. } = *difference;
        (at.ns(), cycle, ns(difference.expected), ns(difference.got))
    }

    #[test]
    fn the_recorded_component_is_identical() {
        let messages = [
            (10, Received, 1),
            (12, Received, 7),
            (15, Sent, 2),
            (17, Sent, 8),
        ];
        assert!(matches!(
            play(5, &messages),
            Verdict::Identical { outputs: 2 }
        ));
    }

    #[test]
    fn the_first_difference_is_told_in_time_contents_and_number() {
        let late = play(6, &[(10, Received, 1), (15, Sent, 2), (30, Received, 2)]);
        assert_eq!(difference(late), (15, 3, Some(15), Some(16)));
        let other = play(5, &[(10, Received, 1), (15, Sent, 3)]);
        let Verdict::Different(other) = other else {
            panic!("{other:?}");
        };
        let text = other.to_string();
        assert!(
            text.contains("first differing byte 0: 0x03 recorded, 0x02 now"),
            "{text}"
        );
        let missing = play(
            5,
            &[
                (10, Received, 1),
                (15, Sent, 2),
                (16, Sent, 9),
                (40, Received, 1),
            ],
        );
        assert_eq!(difference(missing), (16, 4, Some(16), None));
        let more = play(5, &[(10, Received, 1)]);
        assert_eq!(difference(more), (15, 3, None, Some(15)));
    }

    #[test]
    fn a_component_that_stops_is_told_unless_it_differed_before() {
        let stopped = play(5, &[(10, Received, 1), (15, Sent, 2), (20, Received, 0)]);
        assert!(matches!(stopped, Verdict::Stopped(error) if error.at == Time::from_ns(20)));
        let differed = play(6, &[(10, Received, 1), (15, Sent, 2), (20, Received, 0)]);
        assert_eq!(difference(differed).0, 15);
    }
}
