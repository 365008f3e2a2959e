//! Logs of what passes on PCIe: as a table, or as a capture.

use std::io::{self, Write};

use hallux_channel::{Protocol, Time};

use super::pcapng::{BlockWriter, Numbers, Resolution};
use super::pcie_packet::{Matcher, Transaction};
use crate::engine::{Interface, MessageSink, Tapped};

/// The first line of a table.
const COLUMNS: &str = "time_ps\tinterface\tfrom\ttype\tbar\taddress\tbytes\ttag\tlatency_ps\tvalue";

/// Most bytes of data that a table shows, as one number.
const VALUE_BYTES: usize = 8;

/// Writes each message on the tapped PCIe ports as a line of tab-separated
/// values.
///
/// The stream gets many small writes; hand in a [`std::io::BufWriter`].
#[derive(Debug)]
pub struct PcieTable<W: Write> {
    output: W,
    names: Vec<Option<String>>,
    matcher: Matcher,
}

impl<W: Write> PcieTable<W> {
    /// Starts a table of the PCIe ports among the tapped interfaces.
    ///
    /// # Errors
    ///
    /// When `output` cannot be written.
    pub fn new(mut output: W, interfaces: &[Interface]) -> io::Result<Self> {
        writeln!(output, "{COLUMNS}")?;
        let names = interfaces
            .iter()
            .map(|interface| is_pcie(interface).then(|| interface.name.clone()))
            .collect();
        Ok(PcieTable {
            output,
            names,
            matcher: Matcher::default(),
        })
    }
}

impl<W: Write + Send> MessageSink for PcieTable<W> {
    fn message(&mut self, tapped: &Tapped<'_>) -> io::Result<()> {
        let Some(Some(name)) = self.names.get(tapped.interface) else {
            return Ok(());
        };
        let line = self
            .matcher
            .transaction(tapped.interface, tapped.at, tapped.message);
        let from = if line.is_of_device() {
            "device"
        } else {
            "host"
        };
        let out = &mut self.output;
        write!(out, "{}\t{name}\t{from}\t{}\t", tapped.at.ps(), line.name())?;
        if line.is_interrupt() || line.is_control() {
            write!(out, "\t\t\t\t\t{}", bare_value(&line))?;
        } else {
            if line.is_mmio() {
                write!(out, "{}", line.bar)?;
            }
            let Transaction {
                address,
                length,
                tag,
                ..
            } = line;
            write!(out, "\t{address:#x}\t{length}\t{tag:#x}\t")?;
            if let Some(latency) = line.latency {
                write!(out, "{}", latency.ps())?;
            }
            out.write_all(b"\t")?;
            let data = tapped.message.payload();
            if line.is_mmio() && (1..=VALUE_BYTES).contains(&data.len()) {
                let mut value = [0; VALUE_BYTES];
                value[..data.len()].copy_from_slice(data);
                write!(out, "{:#x}", u64::from_le_bytes(value))?;
            }
        }
        out.write_all(b"\n")
    }

    fn finish(&mut self, _: Time) -> io::Result<()> {
        self.output.flush()
    }
}

/// What an interrupt or device control says.
fn bare_value(line: &Transaction) -> String {
    match line.interrupt {
        _ if line.is_control() => format!("{:#x}", line.address),
        (0, _) => "intx_assert".to_owned(),
        (1, _) => "intx_deassert".to_owned(),
        (2, vector) => format!("msi:{vector}"),
        (_, vector) => format!("msix:{vector}"),
    }
}

/// Writes each message on the tapped PCIe ports to a pcapng stream, as
/// packets of [`super::pcie_packet`].
///
/// The stream gets many small writes; hand in a [`std::io::BufWriter`].
#[derive(Debug)]
pub struct PcieCapture<W: Write> {
    blocks: BlockWriter<W>,
    numbers: Numbers,
    matcher: Matcher,
}

impl<W: Write> PcieCapture<W> {
    /// Starts a capture of the PCIe ports among the tapped interfaces.
    ///
    /// # Errors
    ///
    /// When `output` cannot be written.
    pub fn new(output: W, interfaces: &[Interface]) -> io::Result<Self> {
        let mut blocks = BlockWriter::new(output, Resolution::default(), None)?;
        let numbers = Numbers::new(&mut blocks, interfaces, |_, interface| is_pcie(interface))?;
        Ok(PcieCapture {
            blocks,
            numbers,
            matcher: Matcher::default(),
        })
    }
}

impl<W: Write + Send> MessageSink for PcieCapture<W> {
    fn message(&mut self, tapped: &Tapped<'_>) -> io::Result<()> {
        let Some(number) = self.numbers.of(tapped.interface) else {
            return Ok(());
        };
        let Tapped {
            at,
            interface,
            direction,
            message,
        } = *tapped;
        let header = self.matcher.transaction(interface, at, message).header();
        let parts: [&[u8]; 2] = [&header, message.payload()];
        self.blocks.packet(number, at, direction, &parts)
    }

    fn finish(&mut self, _: Time) -> io::Result<()> {
        self.blocks.flush()
    }
}

fn is_pcie(interface: &Interface) -> bool {
    interface.protocol != Protocol::Ethernet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Direction;
    use bytes::Bytes;
    use hallux_channel::{InterruptKind, Message};

    /// What passes `pcie`, interface 1.
    fn traffic() -> Vec<(u64, Direction, Message)> {
        use Direction::{Received, Sent};
        let value = Bytes::copy_from_slice(&0x5a_u64.to_le_bytes());
        vec![
            (10, Received, Message::DeviceControl { flags: 4 }),
            (
                20,
                Received,
                Message::MmioRead {
                    req_id: 7,
                    bar: 0,
                    offset: 0x18,
                    len: 8,
                },
            ),
            (
                30,
                Sent,
                Message::DmaWrite {
                    req_id: 0,
                    addr: 0x1000,
                    data: Bytes::from_static(&[1; 64]),
                },
            ),
            (
                35,
                Sent,
                Message::Interrupt {
                    vector: 2,
                    kind: InterruptKind::MsiX,
                },
            ),
            (
                60,
                Sent,
                Message::MmioReadCompletion {
                    req_id: 7,
                    data: value,
                },
            ),
            (90, Received, Message::DmaWriteCompletion { req_id: 0 }),
        ]
    }

    fn feed(sink: &mut impl MessageSink) {
        let frame = Message::Frame(Bytes::from_static(&[0; 60]));
        for (at, direction, message) in traffic() {
            for (interface, message) in [(0, &frame), (1, &message)] {
                let at = Time::from_ps(at);
                let tapped = Tapped {
                    at,
                    interface,
                    direction,
                    message,
                };
                sink.message(&tapped).unwrap();
            }
        }
        sink.finish(Time::from_ps(100)).unwrap();
    }

    fn interfaces() -> [Interface; 2] {
        [("eth", Protocol::Ethernet), ("pcie", Protocol::PcieDevice)].map(|(name, protocol)| {
            Interface {
                name: name.to_owned(),
                protocol,
            }
        })
    }

    #[test]
    fn a_line_tells_one_message() {
        let mut table = PcieTable::new(Vec::new(), &interfaces()).unwrap();
        feed(&mut table);
        let text = String::from_utf8(table.output).unwrap();
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "10\tpcie\thost\tdevice_control\t\t\t\t\t\t0x4",
                "20\tpcie\thost\tmmio_read\t0\t0x18\t8\t0x7\t\t",
                "30\tpcie\tdevice\tdma_write\t\t0x1000\t64\t0x0\t\t",
                "35\tpcie\tdevice\tinterrupt\t\t\t\t\t\tmsix:2",
                "60\tpcie\tdevice\tmmio_read_completion\t0\t0x18\t8\t0x7\t40\t0x5a",
                "90\tpcie\thost\tdma_write_completion\t\t0x1000\t64\t0x0\t60\t",
            ]
        );
        let columns = |line: &str| line.split('\t').count();
        assert!(lines.iter().all(|line| columns(line) == columns(COLUMNS)));
    }

    /// The referee: Wireshark finds link type, times, lengths and directions.
    #[test]
    fn tshark_reads_the_capture() {
        if !crate::observe::has_tshark() {
            return;
        }
        let mut capture = PcieCapture::new(Vec::new(), &interfaces()).unwrap();
        feed(&mut capture);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), capture.blocks.into_inner().unwrap()).unwrap();
        let mut command = std::process::Command::new("tshark");
        command.arg("-r").arg(file.path()).args(["-T", "fields"]);
        for field in [
            "frame.interface_name",
            "frame.encap_type",
            "frame.len",
            "frame.packet_flags_direction",
        ] {
            command.args(["-e", field]);
        }
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let rows: Vec<Vec<&str>> = text.lines().map(|row| row.split('\t').collect()).collect();
        let lengths: Vec<&str> = rows.iter().map(|row| row[2]).collect();
        assert_eq!(lengths, ["32", "32", "96", "32", "40", "32"], "{text}");
        // 45 is Wireshark's own number of USER0.
        assert!(rows.iter().all(|row| row[..2] == ["pcie", "45"]), "{text}");
    }
}
