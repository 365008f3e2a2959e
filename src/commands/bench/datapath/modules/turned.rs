//! Segments that a `splice` module turns around: the wire full of them, one way and back.

use crate::commands::bench::datapath::peer::frame::{self, Addresses, Header};
use crate::commands::bench::datapath::rig::{self, Subject};
use anyhow::{Result, ensure};
use bytes::Bytes;
use hallux_channel::{
    Component, ComponentError, Io, LineRate, Message, PortSpec, Protocol, Time, Transmitter,
};
use hallux_toe::interface::modules::{SpliceEntry, Tuple};
use std::any::Any;

/// Payload of each segment.
const PAYLOAD: usize = 64;
/// Ports before and behind the splice.
const FROM: (u16, u16) = (40_000, 80);
const TO: (u16, u16) = (80, 50_000);
/// Differences of the numbers of the two connections.
const SEQ: u32 = 0x1234_5678;
const ACK: u32 = 0xfedc_ba98;
/// The host has set the NIC up by then.
const START: Time = Time::from_us(50);
/// Until the first segments have come back.
const WARM_UP: Time = Time::from_us(5);
const TCP_ACK: u8 = 0x10;

/// What came back.
pub struct Turned {
    /// Segments a second.
    pub rate: f64,
    /// Bytes of each frame.
    pub bytes: u64,
    /// Frames that the NIC dropped.
    pub drops: u64,
}

/// Sends one segment after the other and checks what comes back.
#[derive(Clone)]
struct Blaster {
    ports: [PortSpec; 1],
    line: Transmitter,
    addresses: Addresses,
    window: (Time, Time),
    sent: u32,
    returned: u32,
    measured: u64,
    bytes: u64,
    wrong: Option<String>,
}

impl Blaster {
    fn new(rate: LineRate, addresses: Addresses, span: Time) -> Self {
        let from = START + WARM_UP;
        Self {
            ports: [PortSpec::new("eth0", Protocol::Ethernet)],
            line: Transmitter::new(rate),
            addresses,
            window: (from, from + span),
            sent: 0,
            returned: 0,
            measured: 0,
            bytes: 0,
            wrong: None,
        }
    }

    fn segment(&self, number: u32) -> Bytes {
        let header = Header {
            local_port: FROM.0,
            remote_port: FROM.1,
            seq: number.wrapping_mul(PAYLOAD as u32),
            ack: number,
            flags: TCP_ACK,
            window: 1000,
            ..Header::default()
        };
        header.build(&self.addresses, PAYLOAD, |payload| {
            payload.fill(number as u8);
        })
    }

    fn receive(&mut self, at: Time, bytes: &[u8]) {
        let number = self.returned;
        self.returned += 1;
        if at >= self.window.0 && at < self.window.1 {
            self.measured += 1;
        }
        let expected = Header {
            local_port: TO.1,
            remote_port: TO.0,
            seq: number.wrapping_mul(PAYLOAD as u32).wrapping_add(SEQ),
            ack: number.wrapping_add(ACK),
            ..Header::default()
        };
        let found = match frame::parse(bytes) {
            Ok((header, payload)) => {
                let seen = (
                    header.local_port,
                    header.remote_port,
                    header.seq,
                    header.ack,
                );
                let right = (
                    expected.local_port,
                    expected.remote_port,
                    expected.seq,
                    expected.ack,
                ) == seen
                    && payload.iter().all(|&byte| byte == number as u8);
                (!right).then(|| format!("{seen:?}"))
            }
            Err(problem) => Some(problem.to_string()),
        };
        if let Some(found) = found {
            self.wrong
                .get_or_insert(format!("segment {number} came back wrong: {found}"));
        }
    }
}

impl Component for Blaster {
    fn name(&self) -> &str {
        "blaster"
    }

    fn ports(&self) -> &[PortSpec] {
        &self.ports
    }

    fn next_action(&self) -> Time {
        match self.line.free_at() < self.window.1 {
            true => self.line.free_at().max(START),
            false => Time::NEVER,
        }
    }

    fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
        loop {
            let own = self.next_action();
            let bound = horizon.min(own.checked_add(Time::from_ps(1)).unwrap_or(Time::NEVER));
            if let Some((at, _, message)) = io.pop_before(bound) {
                if let Message::Frame(bytes) = message {
                    // The host announces itself; only segments are counted.
                    if bytes.get(12..14) == Some(&[0x08, 0x00]) {
                        self.receive(at, &bytes);
                    }
                }
            } else if own < horizon {
                let frame = self.segment(self.sent);
                self.sent += 1;
                self.bytes = frame.len() as u64;
                let at = self.line.transmit(own, frame.len());
                io.send(0, at, Message::Frame(frame));
            } else {
                return Ok(());
            }
        }
    }

    fn finished_at(&self) -> Option<Time> {
        Some(self.window.1)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// Measures the NIC of `subject`, whose only module is a `splice`.
///
/// # Errors
/// The run failed, or a segment came back wrong, out of order, or not at all.
pub fn measure(subject: &Subject, span: Time) -> Result<Turned> {
    let addresses = rig::addresses();
    let tuple = |ports: (u16, u16), source_ip, destination_ip| Tuple {
        source_ip,
        destination_ip,
        source_port: ports.0,
        destination_port: ports.1,
    };
    let entry = SpliceEntry {
        from: tuple(FROM, addresses.local_ip, addresses.remote_ip),
        to: tuple(TO, addresses.remote_ip, addresses.local_ip),
        destination_mac: addresses.local_mac,
        source_mac: addresses.remote_mac,
        seq: SEQ,
        ack: ACK,
        ts_value: 0,
        ts_echo: 0,
    };
    let places = subject.point.modules.first().and_then(|m| m.places);
    let registers = entry.writes(0, places.unwrap_or(64).into(), 0, true);
    let blaster = Blaster::new(subject.rate, addresses, span);
    let (blaster, nic) = rig::run_with(subject, registers, blaster)?;
    if let Some(wrong) = &blaster.wrong {
        anyhow::bail!("{wrong}");
    }
    ensure!(
        blaster.returned == blaster.sent,
        "{} segments were sent to be spliced, {} came back",
        blaster.sent,
        blaster.returned
    );
    Ok(Turned {
        rate: blaster.measured as f64 / (span.ps() as f64 * 1e-12),
        bytes: blaster.bytes,
        drops: nic.drops.values().sum(),
    })
}
