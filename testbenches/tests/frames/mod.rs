//! Ethernet frames for benches: built octet by octet, right or deliberately wrong.
//!
//! Independent of the RTL and of the protocol crates: what a bench expects of a frame is
//! derived from the fields it was built from or by reading its octets.

#![allow(dead_code)]

use hallux_testbenches::{Fields, fields};

/// Station address of every bench.
pub const STATION: [u8; 6] = [0x02, 0x00, 0x5e, 0x10, 0x20, 0x30];

/// TCP flags.
pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;
pub const URG: u8 = 0x20;
pub const ECE: u8 = 0x40;
pub const CWR: u8 = 0x80;

/// A TCP segment in an IPv4 packet in an Ethernet II frame, with every field that a bench
/// wants to bend.
#[derive(Clone, Debug)]
pub struct TcpFrame {
    pub destination: [u8; 6],
    pub vlan: Option<u16>,
    pub ethertype: u16,
    pub version: u8,
    pub tos: u8,
    pub fragment: u16,
    pub protocol: u8,
    pub remote_ip: u32,
    pub local_ip: u32,
    /// A multiple of 4, at most 40.
    pub ip_options: Vec<u8>,
    pub remote_port: u16,
    pub local_port: u16,
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub window: u16,
    /// A multiple of 4, at most 40.
    pub tcp_options: Vec<u8>,
    /// Replaces the data offset that the options ask for.
    pub data_offset: Option<u8>,
    pub payload: Vec<u8>,
    /// Added to the IP total length.
    pub total_length_error: i32,
    /// XORed to the IP header checksum.
    pub ip_checksum_error: u16,
    /// XORed to the TCP checksum.
    pub tcp_checksum_error: u16,
    /// Octets behind the packet.
    pub padding: Vec<u8>,
}

impl Default for TcpFrame {
    fn default() -> Self {
        Self {
            destination: STATION,
            vlan: None,
            ethertype: 0x0800,
            version: 4,
            tos: 0,
            fragment: 0x4000,
            protocol: 6,
            remote_ip: 0x0a00_0002,
            local_ip: 0x0a00_0001,
            ip_options: Vec::new(),
            remote_port: 49152,
            local_port: 80,
            seq: 1,
            ack: 1,
            flags: ACK,
            window: 65535,
            tcp_options: Vec::new(),
            data_offset: None,
            payload: Vec::new(),
            total_length_error: 0,
            ip_checksum_error: 0,
            tcp_checksum_error: 0,
            padding: Vec::new(),
        }
    }
}

/// The timestamps option behind two NOPs, as most stacks send it.
pub fn timestamps(value: u32, echo: u32) -> Vec<u8> {
    let mut options = vec![1, 1, 8, 10];
    options.extend(value.to_be_bytes());
    options.extend(echo.to_be_bytes());
    options
}

/// One's-complement sum of 16-bit words in network order, folded (RFC 1071).
pub fn internet_sum(parts: &[&[u8]]) -> u16 {
    let octets: Vec<u8> = parts.concat();
    let mut sum: u64 = 0;
    for pair in octets.chunks(2) {
        sum += u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

impl TcpFrame {
    /// The frame without FCS.
    pub fn build(&self) -> Vec<u8> {
        let mut tcp = Vec::new();
        tcp.extend(self.remote_port.to_be_bytes());
        tcp.extend(self.local_port.to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        let offset = self
            .data_offset
            .unwrap_or(5 + (self.tcp_options.len() / 4) as u8);
        tcp.extend([offset << 4, self.flags]);
        tcp.extend(self.window.to_be_bytes());
        tcp.extend([0, 0, 0, 0]);
        tcp.extend(&self.tcp_options);
        tcp.extend(&self.payload);
        let pseudo = [
            &self.remote_ip.to_be_bytes()[..],
            &self.local_ip.to_be_bytes()[..],
            &[0, self.protocol],
            &(tcp.len() as u16).to_be_bytes()[..],
        ]
        .concat();
        let checksum = !internet_sum(&[&pseudo, &tcp]) ^ self.tcp_checksum_error;
        tcp[16..18].copy_from_slice(&checksum.to_be_bytes());

        let header_bytes = 20 + self.ip_options.len();
        let total = (header_bytes + tcp.len()) as i32 + self.total_length_error;
        let mut ip = vec![self.version << 4 | (header_bytes / 4) as u8, self.tos];
        ip.extend((total as u16).to_be_bytes());
        ip.extend([0, 0]);
        ip.extend(self.fragment.to_be_bytes());
        ip.extend([64, self.protocol, 0, 0]);
        ip.extend(self.remote_ip.to_be_bytes());
        ip.extend(self.local_ip.to_be_bytes());
        ip.extend(&self.ip_options);
        let checksum = !internet_sum(&[&ip]) ^ self.ip_checksum_error;
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());

        let mut frame = self.destination.to_vec();
        frame.extend([0x02, 0, 0, 0, 0, 9]);
        if let Some(tag) = self.vlan {
            frame.extend([0x81, 0x00]);
            frame.extend(tag.to_be_bytes());
        }
        frame.extend(self.ethertype.to_be_bytes());
        frame.extend(&ip);
        frame.extend(&tcp);
        frame.extend(&self.padding);
        frame
    }
}

/// Bytes of a beat of the data bus.
pub const BEAT: usize = 64;

/// One beat as the driver of a `Beat` channel takes it.
pub fn beat(bytes: &[u8], last: bool) -> Fields {
    let keep = u128::MAX >> (128 - bytes.len());
    fields! { data: bytes, keep: keep, last: last }
}

/// A frame as beats of 64 bytes.
pub fn beats(frame: &[u8]) -> Vec<Fields> {
    beats_of(BEAT, frame)
}

/// A frame as beats of `bus` bytes.
pub fn beats_of(bus: usize, frame: &[u8]) -> Vec<Fields> {
    let count = frame.len().div_ceil(bus);
    let chunks = frame.chunks(bus).enumerate();
    chunks
        .map(|(index, bytes)| beat(bytes, index + 1 == count))
        .collect()
}

/// Cycles in which `channel` transferred something, from a bench's log.
pub fn cycles_of(log: &str, channel: &str) -> Vec<u64> {
    let lines = log.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let cycle = words.next()?.parse().ok()?;
        (words.next()? == channel).then_some(cycle)
    });
    lines.collect()
}

/// The transfers in a bench's log with only those of their fields that `fields` names: a
/// trace that can be read in a minute.
pub fn trace(log: &str, fields: &[&str]) -> String {
    let lines = log.lines().map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let shown = words[2..].iter().filter(|word| {
            let name = word.split('=').next();
            name.is_some_and(|name| fields.contains(&name))
        });
        let shown: Vec<_> = shown.copied().collect();
        format!("{:>4} {:<7} {}\n", words[0], words[1], shown.join(" "))
    });
    lines.collect()
}
