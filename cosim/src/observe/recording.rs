//! Everything that passes the ports of one NIC, to be fed back later.
//!
//! A recording is a pcapng file with two interfaces, the NIC's PCIe port
//! (packets of [`super::pcie_packet`]) and its Ethernet port, times in
//! picoseconds. The comment of its section header describes the NIC, in the
//! words of who records; an interface statistics block at the end says how
//! far the recording reaches.

use std::io::{self, Write};

use bytes::Bytes;
use hallux_channel::{Message, Protocol, Time};
use pcap_parser::pcapng::{OptionCode, parse_block_le};
use pcap_parser::{Block, EnhancedPacketBlock, InterfaceDescriptionBlock, Linktype};

use super::pcapng::{BlockWriter, Resolution, link_type};
use super::pcie_packet::{Matcher, PacketError, decode};
use crate::engine::{Direction, Interface, MessageSink, Tapped};

/// A port of the NIC; its number in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NicPort {
    /// The device's end of PCIe.
    Pcie = 0,
    /// The Ethernet port.
    Ethernet = 1,
}

impl NicPort {
    const ALL: [NicPort; 2] = [NicPort::Pcie, NicPort::Ethernet];

    fn link_type(self) -> u16 {
        link_type(match self {
            NicPort::Pcie => Protocol::PcieDevice,
            NicPort::Ethernet => Protocol::Ethernet,
        })
    }
}

/// Records one NIC.
///
/// The stream gets many small writes; hand in a [`std::io::BufWriter`].
#[derive(Debug)]
pub struct Recorder<W: Write> {
    blocks: BlockWriter<W>,
    interfaces: [usize; 2],
    matcher: Matcher,
}

impl<W: Write> Recorder<W> {
    /// Starts a recording of the NIC whose ports `pcie` and `eth` are tapped
    /// as these numbers of `interfaces`; `description` is kept in the file.
    ///
    /// # Errors
    ///
    /// When `output` cannot be written, or the description is longer than
    /// 64 KiB.
    pub fn new(
        output: W,
        interfaces: &[Interface],
        (pcie, eth): (usize, usize),
        description: &str,
    ) -> io::Result<Self> {
        let mut blocks = BlockWriter::new(output, Resolution::Picoseconds, Some(description))?;
        for (number, port) in [pcie, eth].into_iter().zip(NicPort::ALL) {
            let name = interfaces.get(number).map_or("", |it| it.name.as_str());
            blocks.interface(name, port.link_type())?;
        }
        Ok(Recorder {
            blocks,
            interfaces: [pcie, eth],
            matcher: Matcher::default(),
        })
    }
}

impl<W: Write + Send> MessageSink for Recorder<W> {
    fn message(&mut self, tapped: &Tapped<'_>) -> io::Result<()> {
        let Tapped {
            at,
            interface,
            direction,
            message,
        } = *tapped;
        let [pcie, eth] = self.interfaces;
        if interface == eth {
            let parts = [message.payload()];
            self.blocks
                .packet(NicPort::Ethernet as u32, at, direction, &parts)
        } else if interface == pcie {
            let header = self.matcher.transaction(interface, at, message).header();
            let parts: [&[u8]; 2] = [&header, message.payload()];
            self.blocks
                .packet(NicPort::Pcie as u32, at, direction, &parts)
        } else {
            Ok(())
        }
    }

    fn finish(&mut self, end: Time) -> io::Result<()> {
        for port in NicPort::ALL {
            self.blocks.statistics(port as u32, end)?;
        }
        self.blocks.flush()
    }
}

/// A message of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// When it passed the port.
    pub at: Time,
    /// The port.
    pub port: NicPort,
    /// Which way.
    pub direction: Direction,
    /// The message.
    pub message: Message,
}

/// A recording that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NicRecording {
    /// What the recorder wrote about the NIC.
    pub description: String,
    /// Everything before this time was recorded.
    pub end: Time,
    /// The messages, in the order of time, port and direction.
    pub messages: Vec<Recorded>,
}

/// Why a file is no recording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// Not even the beginning of a pcapng file.
    #[error("it is no pcapng file")]
    NotPcapng,
    /// The file stops, or is damaged.
    #[error("the block at byte {at} is cut off or damaged; record again")]
    Damaged {
        /// Where the block begins.
        at: usize,
    },
    /// A capture of something else.
    #[error("it is a capture, but no recording of a NIC: {0}; make one with --record")]
    NotRecording(&'static str),
    /// A packet that no NIC sends or gets.
    #[error("the packet at byte {at}: {error}")]
    Packet {
        /// Where the block begins.
        at: usize,
        /// What is wrong.
        error: PacketError,
    },
    /// Time runs backwards.
    #[error("the packet at byte {at} is earlier than the one before it")]
    Order {
        /// Where the block begins.
        at: usize,
    },
    /// The recorder was stopped before it could say how far it got.
    #[error("it has no end: the run that recorded it was killed; record again")]
    NoEnd,
}

impl NicRecording {
    /// Reads a recording.
    ///
    /// # Errors
    ///
    /// [`RecordingError`].
    pub fn read(file: &[u8]) -> Result<Self, RecordingError> {
        let mut reader = Reader::default();
        let mut rest = file;
        while !rest.is_empty() {
            let at = file.len() - rest.len();
            let (next, block) = parse_block_le(rest).map_err(|_| match at {
                0 => RecordingError::NotPcapng,
                at => RecordingError::Damaged { at },
            })?;
            reader.block(at, block)?;
            rest = next;
        }
        let description = reader.description.ok_or(match file.is_empty() {
            true => RecordingError::NotPcapng,
            false => RecordingError::NotRecording("nothing describes the NIC"),
        })?;
        Ok(NicRecording {
            description,
            end: reader.end.ok_or(RecordingError::NoEnd)?,
            messages: reader.messages,
        })
    }
}

#[derive(Default)]
struct Reader {
    description: Option<String>,
    interfaces: usize,
    end: Option<Time>,
    messages: Vec<Recorded>,
}

impl Reader {
    fn block(&mut self, at: usize, block: Block<'_>) -> Result<(), RecordingError> {
        use RecordingError::NotRecording;
        match block {
            Block::SectionHeader(header) => {
                if at > 0 {
                    return Err(NotRecording("it has several sections"));
                }
                if header.big_endian() {
                    return Err(NotRecording("it is big-endian"));
                }
                let comment = header
                    .options
                    .iter()
                    .find(|option| option.code == OptionCode::Comment);
                self.description = comment
                    .and_then(|option| option.as_str().ok())
                    .map(str::to_owned);
                if self.description.is_none() {
                    return Err(NotRecording("nothing describes the NIC"));
                }
            }
            Block::InterfaceDescription(interface) => self.interface(&interface)?,
            Block::EnhancedPacket(packet) => self.packet(at, &packet)?,
            Block::InterfaceStatistics(statistics) => {
                let end = time(statistics.ts_high, statistics.ts_low);
                self.end = Some(self.end.map_or(end, |other| other.min(end)));
            }
            // Readers of pcapng pass over what they do not know.
            _ if at > 0 => {}
            _ => return Err(RecordingError::NotPcapng),
        }
        Ok(())
    }

    fn interface(&mut self, it: &InterfaceDescriptionBlock<'_>) -> Result<(), RecordingError> {
        use RecordingError::NotRecording;
        let port = NicPort::ALL
            .get(self.interfaces)
            .ok_or(NotRecording("it has more than two interfaces"))?;
        if it.linktype != Linktype(port.link_type().into()) {
            return Err(NotRecording(
                "its interfaces are not PCIe and Ethernet, in this order",
            ));
        }
        if it.if_tsresol != Resolution::Picoseconds.exponent() {
            return Err(NotRecording("its times are not in picoseconds"));
        }
        self.interfaces += 1;
        Ok(())
    }

    fn packet(
        &mut self,
        at: usize,
        packet: &EnhancedPacketBlock<'_>,
    ) -> Result<(), RecordingError> {
        let port = *NicPort::ALL[..self.interfaces]
            .get(packet.if_id as usize)
            .ok_or(RecordingError::Damaged { at })?;
        let flags = packet
            .options
            .iter()
            .find(|option| option.code == FLAGS)
            .and_then(|option| option.as_u32_le().ok());
        let direction = match flags.map(|flags| flags & 3) {
            Some(1) => Direction::Received,
            Some(2) => Direction::Sent,
            _ => return Err(RecordingError::Damaged { at }),
        };
        let data = packet
            .data
            .get(..packet.caplen as usize)
            .filter(|data| data.len() <= Message::MAX_PAYLOAD + super::pcie_packet::HEADER_BYTES)
            .ok_or(RecordingError::Damaged { at })?;
        let message = match port {
            NicPort::Ethernet => Message::Frame(Bytes::copy_from_slice(data)),
            NicPort::Pcie => decode(data).map_err(|error| RecordingError::Packet { at, error })?,
        };
        let wanted = match (port, direction) {
            (NicPort::Ethernet, _) => Protocol::Ethernet,
            (NicPort::Pcie, Direction::Sent) => Protocol::PcieDevice,
            (NicPort::Pcie, Direction::Received) => Protocol::PcieHost,
        };
        if message.sender() != wanted {
            return Err(RecordingError::Damaged { at });
        }
        let recorded = Recorded {
            at: time(packet.ts_high, packet.ts_low),
            port,
            direction,
            message,
        };
        if self.messages.last().is_some_and(|it| it.at > recorded.at) {
            return Err(RecordingError::Order { at });
        }
        self.messages.push(recorded);
        Ok(())
    }
}

/// Code of the option of an enhanced packet block that tells its direction.
const FLAGS: OptionCode = OptionCode(2);

fn time(high: u32, low: u32) -> Time {
    Time::from_ps(u64::from(high) << 32 | u64::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn messages() -> Vec<Recorded> {
        let frame = Message::Frame(Bytes::from_static(&[7; 61]));
        let write = Message::DmaWrite {
            req_id: 1,
            addr: 0x1_0000,
            data: Bytes::from_static(&[9; 65]),
        };
        let recorded = |at, port, direction, message: &Message| Recorded {
            at: Time::from_ps(at),
            port,
            direction,
            message: message.clone(),
        };
        use Direction::{Received, Sent};
        vec![
            recorded(5, NicPort::Ethernet, Received, &frame),
            recorded(1 << 33, NicPort::Pcie, Sent, &write),
            recorded(
                1 << 34,
                NicPort::Pcie,
                Received,
                &Message::DmaWriteCompletion { req_id: 1 },
            ),
        ]
    }

    /// Interface 0 is another one; PCIe is 2 and Ethernet 1.
    fn file(finished: bool) -> Vec<u8> {
        let interfaces = [
            ("other", Protocol::Ethernet),
            ("eth", Protocol::Ethernet),
            ("pcie", Protocol::PcieDevice),
        ]
        .map(|(name, protocol)| Interface {
            name: name.to_owned(),
            protocol,
        });
        let mut recorder = Recorder::new(Vec::new(), &interfaces, (2, 1), "a NIC").unwrap();
        for recorded in messages() {
            let seen = |interface| Tapped {
                at: recorded.at,
                interface,
                direction: recorded.direction,
                message: &recorded.message,
            };
            let number = [2, 1][recorded.port as usize];
            recorder.message(&seen(number)).unwrap();
            recorder.message(&seen(0)).unwrap();
        }
        if finished {
            recorder.finish(Time::from_us(20_000)).unwrap();
        }
        recorder.blocks.into_inner().unwrap()
    }

    #[test]
    fn what_was_recorded_is_read() {
        let recording = NicRecording::read(&file(true)).unwrap();
        assert_eq!(recording.description, "a NIC");
        assert_eq!(recording.end, Time::from_us(20_000));
        assert_eq!(recording.messages, messages());
    }

    #[test]
    fn what_is_no_recording_is_refused_with_its_reason() {
        use RecordingError as E;
        assert_eq!(NicRecording::read(&[]), Err(E::NotPcapng));
        assert_eq!(NicRecording::read(b"name = \"x\"\n"), Err(E::NotPcapng));
        assert_eq!(NicRecording::read(&file(false)), Err(E::NoEnd));
        let whole = file(true);
        let cut = NicRecording::read(&whole[..whole.len() - 5]);
        assert!(matches!(cut, Err(E::Damaged { at }) if at > 200), "{cut:?}");
        let capture = super::super::pcapng::PcapngWriter::new(Vec::new(), &[]).unwrap();
        let capture = capture.into_inner().unwrap();
        assert!(matches!(
            NicRecording::read(&capture),
            Err(E::NotRecording(_))
        ));
    }

    proptest! {
        #[test]
        fn no_damage_does_more_than_be_told(at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let mut file = file(true);
            let at = at.index(file.len());
            file[at] = to;
            let _ = NicRecording::read(&file);
        }
    }
}
