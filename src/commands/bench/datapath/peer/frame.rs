//! Frames of the traffic generator: TCP segments with every checksum, both ways.

use bytes::Bytes;

/// Bits of the TCP flags octet.
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const TCP: usize = 20;

/// Addresses of the two ends, seen from the generator.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub local_mac: [u8; 6],
    pub remote_mac: [u8; 6],
    pub local_ip: u32,
    pub remote_ip: u32,
}

/// A TCP header with the options that the generator speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    pub local_port: u16,
    pub remote_port: u16,
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub window: u16,
    /// TSval, TSecr.
    pub timestamps: Option<(u32, u32)>,
    /// Maximum segment size and window shift of a SYN, which permits SACK too.
    pub syn: Option<(u16, u8)>,
    /// SACK permitted was received.
    pub sack_permitted: bool,
    /// SACK blocks, at most 3 beside timestamps.
    pub sack: Vec<(u32, u32)>,
}

impl Header {
    fn options(&self) -> Vec<u8> {
        let mut options = Vec::new();
        if let Some((mss, shift)) = self.syn {
            options.extend([2, 4]);
            options.extend(mss.to_be_bytes());
            options.extend([1, 1, 4, 2, 1, 3, 3, shift]);
        }
        if let Some((value, echo)) = self.timestamps {
            options.extend([1, 1, 8, 10]);
            options.extend(value.to_be_bytes());
            options.extend(echo.to_be_bytes());
        }
        if !self.sack.is_empty() {
            options.extend([1, 1, 5, 2 + 8 * self.sack.len() as u8]);
            for (start, end) in &self.sack {
                options.extend(start.to_be_bytes());
                options.extend(end.to_be_bytes());
            }
        }
        options
    }

    /// The frame of this header with `payload` bytes, which `fill` writes.
    pub fn build(
        &self,
        addresses: &Addresses,
        payload: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Bytes {
        let options = self.options();
        let header = ETHERNET + IPV4 + TCP + options.len();
        let mut frame = vec![0; header + payload];
        frame[0..6].copy_from_slice(&addresses.remote_mac);
        frame[6..12].copy_from_slice(&addresses.local_mac);
        frame[12..14].copy_from_slice(&[0x08, 0x00]);
        let ip = &mut frame[ETHERNET..ETHERNET + IPV4];
        let total = (header - ETHERNET + payload) as u16;
        ip[0] = 0x45;
        ip[2..4].copy_from_slice(&total.to_be_bytes());
        ip[6] = 0x40;
        ip[8] = 64;
        ip[9] = 6;
        ip[12..16].copy_from_slice(&addresses.local_ip.to_be_bytes());
        ip[16..20].copy_from_slice(&addresses.remote_ip.to_be_bytes());
        let checksum = !fold(sum(ip));
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());
        let (segment, length) = (&mut frame[ETHERNET + IPV4..], TCP + options.len() + payload);
        segment[0..2].copy_from_slice(&self.local_port.to_be_bytes());
        segment[2..4].copy_from_slice(&self.remote_port.to_be_bytes());
        segment[4..8].copy_from_slice(&self.seq.to_be_bytes());
        segment[8..12].copy_from_slice(&self.ack.to_be_bytes());
        segment[12] = ((TCP + options.len()) / 4) as u8 * 16;
        segment[13] = self.flags;
        segment[14..16].copy_from_slice(&self.window.to_be_bytes());
        segment[TCP..TCP + options.len()].copy_from_slice(&options);
        fill(&mut segment[TCP + options.len()..]);
        let pseudo = pseudo(addresses.local_ip, addresses.remote_ip, length);
        let checksum = !fold(sum(segment) + pseudo);
        segment[16..18].copy_from_slice(&checksum.to_be_bytes());
        frame.into()
    }
}

/// The frame with a VLAN tag (IEEE 802.1Q).
pub fn tagged(frame: &[u8], vlan: u16) -> Bytes {
    let [a, b] = vlan.to_be_bytes();
    [&frame[..12], &[0x81, 0x00, a, b], &frame[12..]]
        .concat()
        .into()
}

/// The frame without its tag; `None` if it has not this one.
pub fn untagged(frame: &[u8], vlan: u16) -> Option<Bytes> {
    let [a, b] = vlan.to_be_bytes();
    let rest = frame.get(12..)?.strip_prefix(&[0x81, 0x00, a, b])?;
    Some([&frame[..12], rest].concat().into())
}

/// A received frame is not a TCP segment that the generator accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("no TCP segment over IPv4")]
    Foreign,
    #[error("truncated")]
    Truncated,
    #[error("wrong IPv4 header checksum")]
    IpChecksum,
    #[error("wrong TCP checksum")]
    TcpChecksum,
    #[error("malformed TCP options")]
    Options,
}

/// Reads a frame and checks both checksums; ports are seen from the receiver.
///
/// # Errors
/// Anything but a well-formed TCP segment.
pub fn parse(frame: &[u8]) -> Result<(Header, &[u8]), Problem> {
    if frame.len() < ETHERNET + IPV4 || frame[12..14] != [8, 0] || frame[14] != 0x45 {
        return Err(Problem::Foreign);
    }
    let ip = &frame[ETHERNET..ETHERNET + IPV4];
    if ip[9] != 6 {
        return Err(Problem::Foreign);
    }
    if fold(sum(ip)) != 0xffff {
        return Err(Problem::IpChecksum);
    }
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    if total < IPV4 + TCP || ETHERNET + total > frame.len() {
        return Err(Problem::Truncated);
    }
    let segment = &frame[ETHERNET + IPV4..ETHERNET + total];
    let (source, destination) = (word(&ip[12..]), word(&ip[16..]));
    if fold(sum(segment) + pseudo(source, destination, segment.len())) != 0xffff {
        return Err(Problem::TcpChecksum);
    }
    let offset = usize::from(segment[12] >> 4) * 4;
    if offset < TCP || offset > segment.len() {
        return Err(Problem::Truncated);
    }
    let mut header = Header {
        local_port: u16::from_be_bytes([segment[2], segment[3]]),
        remote_port: u16::from_be_bytes([segment[0], segment[1]]),
        seq: word(&segment[4..]),
        ack: word(&segment[8..]),
        flags: segment[13],
        window: u16::from_be_bytes([segment[14], segment[15]]),
        ..Header::default()
    };
    read_options(&segment[TCP..offset], &mut header)?;
    Ok((header, &segment[offset..]))
}

fn read_options(mut options: &[u8], header: &mut Header) -> Result<(), Problem> {
    let (mut mss, mut shift) = (None, None);
    while let [kind, rest @ ..] = options {
        match kind {
            0 => break,
            1 => {
                options = rest;
                continue;
            }
            _ => {}
        }
        let length = usize::from(*rest.first().ok_or(Problem::Options)?);
        if length < 2 || length > options.len() {
            return Err(Problem::Options);
        }
        let body = &options[2..length];
        match (kind, body.len()) {
            (2, 2) => mss = Some(u16::from_be_bytes([body[0], body[1]])),
            (3, 1) => shift = Some(body[0]),
            (4, 0) => header.sack_permitted = true,
            (5, n) if n % 8 == 0 => {
                header.sack = body
                    .chunks_exact(8)
                    .map(|block| (word(block), word(&block[4..])))
                    .collect();
            }
            (8, 8) => header.timestamps = Some((word(body), word(&body[4..]))),
            _ => {}
        }
        options = &options[length..];
    }
    if header.flags & SYN != 0 {
        header.syn = Some((mss.unwrap_or(536), shift.unwrap_or(0)));
    }
    Ok(())
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Sum of the big-endian 16-bit words of `bytes`, carries still above (RFC 1071).
fn sum(bytes: &[u8]) -> u64 {
    let mut total = 0;
    let words = bytes.chunks_exact(4);
    let rest = words.remainder();
    for four in words {
        total += u64::from(word(four));
    }
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    total + u64::from(u32::from_be_bytes(last))
}

fn pseudo(source: u32, destination: u32, length: usize) -> u64 {
    u64::from(source) + u64::from(destination) + 6 + length as u64
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: Addresses = Addresses {
        local_mac: [2, 0, 0, 0, 0, 2],
        remote_mac: [2, 0, 0, 0, 0, 1],
        local_ip: 0x0a00_0002,
        remote_ip: 0x0a00_0001,
    };

    #[test]
    fn frames_survive_a_round_trip_and_damage_is_found() {
        let syn = Header {
            flags: SYN,
            syn: Some((1460, 8)),
            sack_permitted: true,
            timestamps: Some((1, 0)),
            ..Header::default()
        };
        let frame = syn.build(&ENDS, 0, |_| {});
        assert_eq!(parse(&frame).unwrap(), (syn, &[][..]));
        let header = Header {
            local_port: 40_000,
            remote_port: 7,
            seq: 1,
            ack: 2,
            flags: ACK,
            window: 3,
            timestamps: Some((4, 5)),
            sack: vec![(6, 7), (8, 9)],
            ..Header::default()
        };
        let frame = header.build(&ENDS, 33, |payload| payload.fill(0xa5));
        let (read, payload) = parse(&frame).unwrap();
        assert_eq!(payload, [0xa5; 33]);
        let seen = Header {
            local_port: header.remote_port,
            remote_port: header.local_port,
            ..header
        };
        assert_eq!(read, seen);
        for byte in ETHERNET..frame.len() {
            let mut damaged = frame.to_vec();
            damaged[byte] ^= 0x10;
            assert!(parse(&damaged).is_err(), "byte {byte}");
        }
    }
}
