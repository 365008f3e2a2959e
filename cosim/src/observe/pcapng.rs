//! Captures in the pcapng format, with picosecond time stamps.
//!
//! One section, one interface description block for each tapped interface,
//! and one enhanced packet block for each frame. Equal runs give equal bytes:
//! nothing of the host, the user or the wall clock is written.
//!
//! Source of the layouts: draft-ietf-opsawg-pcapng, §4.

use std::io::{self, Write};

use hallux_channel::{Message, Protocol, Time};

use crate::engine::{Direction, Interface, MessageSink, Tapped};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const LINKTYPE_ETHERNET: u16 = 1;
/// For private use; here PCIe messages as [`super::pcie_packet`] lays them out.
pub(super) const LINKTYPE_USER0: u16 = 147;

const OPTION_END: u16 = 0;
const OPTION_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;
const ISB_ENDTIME: u16 = 3;

/// Unit of the time stamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    /// Nothing is lost. Wireshark shows nanoseconds of it; up to 4.0 it
    /// miscalculates (by multiples of 18.4 ms) what lies more than 18.4 ms
    /// behind a full second, because a product overflows. Newer versions are
    /// right.
    #[default]
    Picoseconds,
    /// Rounded down to nanoseconds, for old versions of Wireshark.
    Nanoseconds,
}

impl Resolution {
    /// Value of `if_tsresol`: the negative power of ten.
    pub(super) fn exponent(self) -> u8 {
        match self {
            Resolution::Picoseconds => 12,
            Resolution::Nanoseconds => 9,
        }
    }

    fn stamp(self, at: Time) -> u64 {
        match self {
            Resolution::Picoseconds => at.ps(),
            Resolution::Nanoseconds => at.ns(),
        }
    }
}

/// Writes the frames of the tapped Ethernet interfaces to a pcapng stream.
///
/// The stream gets many small writes; hand in a [`std::io::BufWriter`].
#[derive(Debug)]
pub struct PcapngWriter<W: Write> {
    blocks: BlockWriter<W>,
    numbers: Numbers,
}

impl<W: Write> PcapngWriter<W> {
    /// Starts a capture, to the picosecond, of the Ethernet ports among the
    /// tapped interfaces, in the order of their numbers.
    ///
    /// # Errors
    ///
    /// When `output` cannot be written.
    pub fn new(output: W, interfaces: &[Interface]) -> io::Result<Self> {
        PcapngWriter::with_resolution(output, interfaces, Resolution::default())
    }

    /// Starts a capture with time stamps of the given resolution.
    ///
    /// # Errors
    ///
    /// When `output` cannot be written.
    pub fn with_resolution(
        output: W,
        interfaces: &[Interface],
        resolution: Resolution,
    ) -> io::Result<Self> {
        let blocks = BlockWriter::new(output, resolution, None)?;
        PcapngWriter::start(blocks, interfaces, |_| true)
    }

    /// Starts a capture, to the picosecond, of the tapped interfaces with
    /// these numbers.
    ///
    /// # Errors
    ///
    /// When `output` cannot be written.
    pub fn of(output: W, interfaces: &[Interface], numbers: &[usize]) -> io::Result<Self> {
        let blocks = BlockWriter::new(output, Resolution::default(), None)?;
        PcapngWriter::start(blocks, interfaces, |number| numbers.contains(&number))
    }

    fn start(
        mut blocks: BlockWriter<W>,
        interfaces: &[Interface],
        wanted: impl Fn(usize) -> bool,
    ) -> io::Result<Self> {
        let numbers = Numbers::new(&mut blocks, interfaces, |number, interface| {
            interface.protocol == Protocol::Ethernet && wanted(number)
        })?;
        Ok(PcapngWriter { blocks, numbers })
    }

    /// The output, with everything written to it.
    ///
    /// # Errors
    ///
    /// When it cannot be flushed.
    pub fn into_inner(self) -> io::Result<W> {
        self.blocks.into_inner()
    }
}

impl<W: Write + Send> MessageSink for PcapngWriter<W> {
    fn message(&mut self, tapped: &Tapped<'_>) -> io::Result<()> {
        let Message::Frame(frame) = tapped.message else {
            return Ok(());
        };
        match self.numbers.of(tapped.interface) {
            Some(number) => self
                .blocks
                .packet(number, tapped.at, tapped.direction, &[frame]),
            None => Ok(()),
        }
    }

    fn finish(&mut self, _: Time) -> io::Result<()> {
        self.blocks.flush()
    }
}

/// Writes frames that something inside the simulation captured, perhaps only their first
/// bytes, with time stamps to the nanosecond.
#[derive(Debug)]
pub struct SnapWriter<W: Write> {
    blocks: BlockWriter<W>,
}

impl<W: Write> SnapWriter<W> {
    /// Starts a capture with Ethernet interfaces of these names.
    ///
    /// # Errors
    ///
    /// When `output` cannot be written.
    pub fn new(output: W, names: &[String]) -> io::Result<Self> {
        let mut blocks = BlockWriter::new(output, Resolution::Nanoseconds, None)?;
        for name in names {
            blocks.interface(name, LINKTYPE_ETHERNET)?;
        }
        Ok(Self { blocks })
    }

    /// The first `bytes` of a frame of `original` bytes at the interface with this number.
    ///
    /// # Errors
    ///
    /// When the output cannot be written.
    pub fn frame(
        &mut self,
        interface: u32,
        at: Time,
        direction: Direction,
        original: u32,
        bytes: &[u8],
    ) -> io::Result<()> {
        let blocks = &mut self.blocks;
        blocks.snapped(interface, at, direction, original, &[bytes])
    }

    /// The output, with everything written to it.
    ///
    /// # Errors
    ///
    /// When it cannot be flushed.
    pub fn into_inner(self) -> io::Result<W> {
        self.blocks.into_inner()
    }
}

/// Link type of a port's packets; PCIe has none of its own.
pub(super) fn link_type(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Ethernet => LINKTYPE_ETHERNET,
        Protocol::PcieDevice | Protocol::PcieHost => LINKTYPE_USER0,
        // Never tapped: the simulation refuses to.
        Protocol::MemoryServer | Protocol::MemoryClient => LINKTYPE_USER0,
    }
}

/// Numbers in a file of those tapped interfaces that it holds.
#[derive(Clone, Debug)]
pub(super) struct Numbers(Vec<Option<u32>>);

impl Numbers {
    /// Describes the `wanted` interfaces in `blocks`, in their order.
    pub(super) fn new<W: Write>(
        blocks: &mut BlockWriter<W>,
        interfaces: &[Interface],
        wanted: impl Fn(usize, &Interface) -> bool,
    ) -> io::Result<Self> {
        let mut count = 0;
        let mut numbers = Vec::with_capacity(interfaces.len());
        for (number, interface) in interfaces.iter().enumerate() {
            if !wanted(number, interface) {
                numbers.push(None);
                continue;
            }
            blocks.interface(&interface.name, link_type(interface.protocol))?;
            numbers.push(Some(count));
            count += 1;
        }
        Ok(Self(numbers))
    }

    /// The number in the file of a tapped interface, if the file holds it.
    pub(super) fn of(&self, interface: usize) -> Option<u32> {
        self.0.get(interface).copied().flatten()
    }
}

/// Writes pcapng blocks.
#[derive(Debug)]
pub(super) struct BlockWriter<W: Write> {
    output: W,
    resolution: Resolution,
    block: Vec<u8>,
}

impl<W: Write> BlockWriter<W> {
    /// Starts a section, with a comment for those who know how to read it.
    pub(super) fn new(
        output: W,
        resolution: Resolution,
        comment: Option<&str>,
    ) -> io::Result<Self> {
        let block = Vec::new();
        let mut writer = BlockWriter {
            output,
            resolution,
            block,
        };
        writer.section_header(comment)?;
        Ok(writer)
    }

    /// The output, with everything written to it.
    pub(super) fn into_inner(mut self) -> io::Result<W> {
        self.flush()?;
        Ok(self.output)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    fn section_header(&mut self, comment: Option<&str>) -> io::Result<()> {
        self.begin(SECTION_HEADER);
        self.put(&BYTE_ORDER_MAGIC.to_le_bytes());
        // Version 1.0; section length not given.
        self.put(&1_u16.to_le_bytes());
        self.put(&0_u16.to_le_bytes());
        self.put(&u64::MAX.to_le_bytes());
        self.option(SHB_USERAPPL, b"Hallux")?;
        if let Some(comment) = comment {
            self.option(OPTION_COMMENT, comment.as_bytes())?;
        }
        self.option(OPTION_END, &[])?;
        self.end()
    }

    /// Describes the next interface.
    pub(super) fn interface(&mut self, name: &str, link_type: u16) -> io::Result<()> {
        self.begin(INTERFACE_DESCRIPTION);
        self.put(&link_type.to_le_bytes());
        self.put(&0_u16.to_le_bytes());
        // No snapshot length: packets are whole.
        self.put(&0_u32.to_le_bytes());
        self.option(IF_NAME, name.as_bytes())?;
        self.option(IF_TSRESOL, &[self.resolution.exponent()])?;
        self.option(OPTION_END, &[])?;
        self.end()
    }

    /// A packet that consists of `parts`, at the interface with this number.
    pub(super) fn packet(
        &mut self,
        interface: u32,
        at: Time,
        direction: Direction,
        parts: &[&[u8]],
    ) -> io::Result<()> {
        let length = parts.iter().map(|part| part.len() as u32).sum();
        self.snapped(interface, at, direction, length, parts)
    }

    /// As [`packet`](Self::packet), of a packet that had `original` bytes.
    fn snapped(
        &mut self,
        interface: u32,
        at: Time,
        direction: Direction,
        original: u32,
        parts: &[&[u8]],
    ) -> io::Result<()> {
        let flags: u32 = match direction {
            Direction::Received => 1,
            Direction::Sent => 2,
        };
        let length = parts.iter().map(|part| part.len() as u32).sum::<u32>();
        self.begin(ENHANCED_PACKET);
        self.put(&interface.to_le_bytes());
        self.stamp(at);
        self.put(&length.to_le_bytes());
        self.put(&original.to_le_bytes());
        for part in parts {
            self.put(part);
        }
        self.pad();
        self.option(EPB_FLAGS, &flags.to_le_bytes())?;
        self.option(OPTION_END, &[])?;
        self.end()
    }

    /// States that the interface was watched until `end`.
    pub(super) fn statistics(&mut self, interface: u32, end: Time) -> io::Result<()> {
        self.begin(INTERFACE_STATISTICS);
        self.put(&interface.to_le_bytes());
        self.stamp(end);
        let stamp = self.resolution.stamp(end);
        let halves = [(stamp >> 32) as u32, stamp as u32].map(u32::to_le_bytes);
        self.option(ISB_ENDTIME, halves.as_flattened())?;
        self.option(OPTION_END, &[])?;
        self.end()
    }

    fn begin(&mut self, kind: u32) {
        self.block.clear();
        self.put(&kind.to_le_bytes());
        // Place of the length, filled in by `end`.
        self.put(&[0; 4]);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.block.extend_from_slice(bytes);
    }

    /// A time stamp: its upper half first.
    fn stamp(&mut self, at: Time) {
        let stamp = self.resolution.stamp(at);
        self.put(&((stamp >> 32) as u32).to_le_bytes());
        self.put(&(stamp as u32).to_le_bytes());
    }

    /// Fields are aligned to 32 bits.
    fn pad(&mut self) {
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) -> io::Result<()> {
        let length = u16::try_from(value.len())
            .map_err(|_| io::Error::other("an option of a capture is longer than 64 KiB"))?;
        self.put(&code.to_le_bytes());
        self.put(&length.to_le_bytes());
        self.put(value);
        self.pad();
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let length = (self.block.len() as u32 + 4).to_le_bytes();
        self.block[4..8].copy_from_slice(&length);
        self.put(&length);
        self.output.write_all(&self.block)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use bytes::Bytes;

    use super::*;

    fn capture(resolution: Resolution) -> Vec<u8> {
        // Only Ethernet is captured; PCIe in between shifts no number.
        let interfaces = [
            ("server", Protocol::Ethernet),
            ("pcie", Protocol::PcieDevice),
            ("client", Protocol::Ethernet),
        ]
        .map(|(name, protocol)| Interface {
            name: name.to_owned(),
            protocol,
        });
        let mut writer =
            PcapngWriter::with_resolution(Vec::new(), &interfaces, resolution).unwrap();
        for (at, interface, direction, len) in [
            (1, 0, Direction::Sent, 60),
            (2, 1, Direction::Sent, 0),
            (6_000_000_123_456, 2, Direction::Received, 61),
        ] {
            let message = match interface {
                1 => Message::DmaWriteCompletion { req_id: 1 },
                _ => Message::Frame(Bytes::from(vec![0xff; len])),
            };
            let tapped = Tapped {
                at: Time::from_ps(at),
                interface,
                direction,
                message: &message,
            };
            writer.message(&tapped).unwrap();
        }
        writer.into_inner().unwrap()
    }

    #[test]
    fn blocks_are_aligned_and_their_lengths_agree() {
        let bytes = capture(Resolution::Picoseconds);
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let (mut at, mut kinds) = (0, Vec::new());
        while at < bytes.len() {
            let length = word(at + 4) as usize;
            kinds.push(word(at));
            assert_eq!(length % 4, 0);
            assert_eq!(word(at + length - 4) as usize, length);
            at += length;
        }
        assert_eq!(kinds, [SECTION_HEADER, 1, 1, 6, 6]);
    }

    /// The referee: Wireshark reads names, directions and times.
    #[test]
    fn tshark_reads_the_capture() {
        if !crate::observe::has_tshark() {
            return;
        }
        for resolution in [Resolution::Picoseconds, Resolution::Nanoseconds] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), capture(resolution)).unwrap();
            let mut command = Command::new("tshark");
            command.arg("-r").arg(file.path()).args(["-T", "fields"]);
            for field in [
                "frame.time_epoch",
                "frame.interface_name",
                "frame.len",
                "frame.packet_flags",
            ] {
                command.args(["-e", field]);
            }
            let output = command.output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let lines: Vec<Vec<&str>> = text
                .lines()
                .map(|line| line.split('\t').collect())
                .collect();
            assert_eq!(
                lines.len(),
                2,
                "{text}{}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert_eq!((lines[0][1], lines[0][2]), ("server", "60"));
            assert_eq!((lines[1][1], lines[1][2]), ("client", "61"));
            assert_eq!(lines[1][0], "6.000000123", "{text}");
            let directions = [lines[0][3], lines[1][3]].map(|flags| &flags[flags.len() - 1..]);
            assert_eq!(directions, ["2", "1"]);
        }
    }
}
