//! Captures in the pcapng format, with picosecond time stamps.
//!
//! One section, one interface description block for each tapped interface,
//! and one enhanced packet block for each frame. Equal runs give equal bytes:
//! nothing of the host, the user or the wall clock is written.
//!
//! Source of the layouts: draft-ietf-opsawg-pcapng, §4.

use std::io::{self, Write};

use hallux_channel::Time;

use crate::engine::{Direction, FrameSink, TappedFrame};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const LINKTYPE_ETHERNET: u16 = 1;

const OPTION_END: u16 = 0;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;

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
    fn exponent(self) -> u8 {
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

/// Writes frames of the tapped interfaces to a pcapng stream.
///
/// The stream gets many small writes; hand in a [`std::io::BufWriter`].
#[derive(Debug)]
pub struct PcapngWriter<W: Write> {
    output: W,
    resolution: Resolution,
    block: Vec<u8>,
}

impl<W: Write> PcapngWriter<W> {
    /// Starts a capture, to the picosecond, of interfaces with these names, in
    /// the order of their numbers.
    ///
    /// # Errors
    ///
    /// When `output` cannot be written.
    pub fn new<N: AsRef<str>>(output: W, interfaces: &[N]) -> io::Result<Self> {
        PcapngWriter::with_resolution(output, interfaces, Resolution::default())
    }

    /// Starts a capture with time stamps of the given resolution.
    ///
    /// # Errors
    ///
    /// When `output` cannot be written.
    pub fn with_resolution<N: AsRef<str>>(
        output: W,
        interfaces: &[N],
        resolution: Resolution,
    ) -> io::Result<Self> {
        let block = Vec::new();
        let mut writer = PcapngWriter {
            output,
            resolution,
            block,
        };
        writer.section_header()?;
        for name in interfaces {
            writer.interface(name.as_ref())?;
        }
        Ok(writer)
    }

    /// The output, with everything written to it.
    ///
    /// # Errors
    ///
    /// When it cannot be flushed.
    pub fn into_inner(mut self) -> io::Result<W> {
        self.output.flush()?;
        Ok(self.output)
    }

    fn section_header(&mut self) -> io::Result<()> {
        self.begin(SECTION_HEADER);
        self.put(&BYTE_ORDER_MAGIC.to_le_bytes());
        // Version 1.0; section length not given.
        self.put(&1_u16.to_le_bytes());
        self.put(&0_u16.to_le_bytes());
        self.put(&u64::MAX.to_le_bytes());
        self.option(SHB_USERAPPL, b"Hallux");
        self.option(OPTION_END, &[]);
        self.end()
    }

    fn interface(&mut self, name: &str) -> io::Result<()> {
        self.begin(INTERFACE_DESCRIPTION);
        self.put(&LINKTYPE_ETHERNET.to_le_bytes());
        self.put(&0_u16.to_le_bytes());
        // No snapshot length: frames are whole.
        self.put(&0_u32.to_le_bytes());
        self.option(IF_NAME, name.as_bytes());
        self.option(IF_TSRESOL, &[self.resolution.exponent()]);
        self.option(OPTION_END, &[]);
        self.end()
    }

    fn packet(&mut self, frame: &TappedFrame<'_>) -> io::Result<()> {
        let flags: u32 = match frame.direction {
            Direction::Received => 1,
            Direction::Sent => 2,
        };
        let length = frame.frame.len() as u32;
        self.begin(ENHANCED_PACKET);
        self.put(&(frame.interface as u32).to_le_bytes());
        let stamp = self.resolution.stamp(frame.at);
        self.put(&((stamp >> 32) as u32).to_le_bytes());
        self.put(&(stamp as u32).to_le_bytes());
        self.put(&length.to_le_bytes());
        self.put(&length.to_le_bytes());
        self.put(frame.frame);
        self.pad();
        self.option(EPB_FLAGS, &flags.to_le_bytes());
        self.option(OPTION_END, &[]);
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

    /// Fields are aligned to 32 bits.
    fn pad(&mut self) {
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        self.put(&code.to_le_bytes());
        self.put(&(value.len() as u16).to_le_bytes());
        self.put(value);
        self.pad();
    }

    fn end(&mut self) -> io::Result<()> {
        let length = (self.block.len() as u32 + 4).to_le_bytes();
        self.block[4..8].copy_from_slice(&length);
        self.put(&length);
        self.output.write_all(&self.block)
    }
}

impl<W: Write + Send> FrameSink for PcapngWriter<W> {
    fn frame(&mut self, frame: &TappedFrame<'_>) -> io::Result<()> {
        self.packet(frame)
    }

    fn finish(&mut self, _: Time) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use bytes::Bytes;

    use super::*;

    fn capture(resolution: Resolution) -> Vec<u8> {
        let names = ["server", "client"];
        let mut writer = PcapngWriter::with_resolution(Vec::new(), &names, resolution).unwrap();
        for (at, interface, direction, len) in [
            (1, 0, Direction::Sent, 60),
            (6_000_000_123_456, 1, Direction::Received, 61),
        ] {
            let frame = Bytes::from(vec![0xff; len]);
            let at = Time::from_ps(at);
            writer
                .frame(&TappedFrame {
                    at,
                    interface,
                    direction,
                    frame: &frame,
                })
                .unwrap();
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
        let required = std::env::var_os("HALLUX_REQUIRE_TOOLS").is_some_and(|value| value == "1");
        if Command::new("tshark").arg("--version").output().is_err() {
            assert!(!required, "tshark is required (apt-get install tshark)");
            eprintln!("skipped: tshark is not installed");
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
