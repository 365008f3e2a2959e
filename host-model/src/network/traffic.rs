//! A source of frames.

use std::any::Any;

use bytes::{BufMut, Bytes, BytesMut};
use hallux_channel::ethernet::wire_bytes;
use hallux_channel::{
    Component, ComponentError, Counter, Io, LineRate, Message, PortSpec, Protocol, Time,
    Transmitter,
};

/// For experiments on one network (IEEE 802 §9.2.3): no stack takes it for its own.
const ETHERTYPE: u16 = 0x88b5;

/// What is sent, and how fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficConfig {
    /// Name of the component.
    pub name: String,
    /// Number of this source: its address is 02:00:00:00:01:ID.
    pub id: u8,
    /// Number of the destination; `None` is everybody.
    pub to: Option<u8>,
    /// Line rate.
    pub rate: LineRate,
    /// Average rate, preamble, FCS and gap counted.
    pub load: LineRate,
    /// Bytes of a frame without FCS, at least 60.
    pub size: usize,
    /// Frames to send; `None` is without an end.
    pub count: Option<u64>,
}

/// Sends numbered frames of one size, evenly spaced, from time zero on; counts what comes
/// back. Port `eth0`.
#[derive(Debug)]
pub struct Traffic {
    config: TrafficConfig,
    ports: [PortSpec; 1],
    line: Transmitter,
    /// When the next frame begins.
    next: Time,
    sent: u64,
    received: u64,
    received_bytes: u64,
}

impl Traffic {
    /// A source that has sent nothing yet.
    pub fn new(config: TrafficConfig) -> Self {
        Traffic {
            ports: [PortSpec::new("eth0", Protocol::Ethernet)],
            line: Transmitter::new(config.rate),
            next: Time::ZERO,
            sent: 0,
            received: 0,
            received_bytes: 0,
            config,
        }
    }

    fn frame(&self) -> Bytes {
        let address = |id: u8| [0x02, 0, 0, 0, 1, id];
        let mut frame = BytesMut::with_capacity(self.config.size);
        frame.put_slice(&self.config.to.map_or([0xff; 6], address));
        frame.put_slice(&address(self.config.id));
        frame.put_u16(ETHERTYPE);
        frame.put_u64(self.sent);
        frame.resize(self.config.size.max(frame.len()), 0);
        frame.freeze()
    }

    fn is_done(&self) -> bool {
        self.config.count.is_some_and(|count| self.sent >= count)
    }
}

impl Component for Traffic {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn ports(&self) -> &[PortSpec] {
        &self.ports
    }

    fn next_action(&self) -> Time {
        if self.is_done() {
            Time::NEVER
        } else {
            self.next
        }
    }

    fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
        loop {
            let own = self.next_action();
            if let Some((_, _, message)) = io.pop_before(horizon.min(own + Time::from_ps(1))) {
                self.received += 1;
                self.received_bytes += message.payload().len() as u64;
            } else if own < horizon {
                let frame = self.frame();
                let leaves = self.line.transmit(own, frame.len());
                self.next = own + self.config.load.span(wire_bytes(frame.len()));
                self.sent += 1;
                io.send(0, leaves, Message::Frame(frame));
            } else {
                return Ok(());
            }
        }
    }

    fn finished_at(&self) -> Option<Time> {
        Some(Time::ZERO)
    }

    fn counters(&self) -> Vec<Counter> {
        vec![
            Counter::new("frames_sent", self.sent),
            Counter::new("frames_received", self.received),
            Counter::new("bytes_received", self.received_bytes),
        ]
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallux_channel::Mailbox;

    #[test]
    fn frames_are_numbered_and_evenly_spaced() {
        let mut traffic = Traffic::new(TrafficConfig {
            name: "traffic".into(),
            id: 7,
            to: None,
            rate: "100Gbps".parse().unwrap(),
            load: "10Gbps".parse().unwrap(),
            size: 60,
            count: Some(3),
        });
        let mut mailbox = Mailbox::new(traffic.ports());
        traffic
            .advance(Time::from_us(1), &mut mailbox.io())
            .unwrap();
        assert_eq!(mailbox.violation(), None);
        let sent: Vec<_> = std::iter::from_fn(|| mailbox.take_sent()).collect();
        // 84 bytes at 10 Gb/s; the last bit leaves after 72 bytes at 100 Gb/s.
        let times: Vec<_> = sent.iter().map(|sent| sent.at.ps()).collect();
        assert_eq!(times, [5_760, 5_760 + 67_200, 5_760 + 2 * 67_200]);
        let frame = sent[2].message.payload();
        assert_eq!((frame.len(), frame[11], frame[21]), (60, 7, 2));
        assert_eq!(traffic.next_action(), Time::NEVER);
    }
}
