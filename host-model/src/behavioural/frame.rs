//! Received frames judged, frames to transmit built: the rules of the parser and of the
//! assembler in `docs/data-path.md`, in software.

use crate::reference::{MAX_SACK_BLOCKS, Received, SackBlock, SeqNumber, Transmission, flags};
use hallux_toe::interface::Drop;

/// Ethernet II header.
const ETHERNET: usize = 14;
/// IPv4 header without options.
const IP: usize = 20;
/// TCP header without options.
const TCP: usize = 20;
/// The timestamps option behind two NOPs (RFC 7323 appendix A).
const TIMESTAMPS: usize = 12;
/// Kind and length of the SACK option behind two NOPs (RFC 2018 §3).
const SACK: usize = 4;
/// A block of it.
const BLOCK: usize = 8;
/// Largest frame without FCS, one VLAN tag included.
const LARGEST: usize = 1518;
/// Smallest frame without FCS.
const SMALLEST: usize = 60;

const ETHERTYPE_IPV4: u16 = 0x0800;
const PROTOCOL_TCP: u8 = 6;
/// Congestion window reduced (RFC 3168 §6.1.2).
const CWR: u8 = 0x80;
/// Flags of the fast path.
const FAST_FLAGS: u8 = flags::ACK | flags::PSH | flags::ECE | CWR | flags::FIN;

/// The addresses that name a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub remote_ip: u32,
    pub local_ip: u32,
    pub remote_port: u16,
    pub local_port: u16,
}

/// What the parser makes of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// For the data path, if its connection is known.
    Fast {
        key: Key,
        segment: Received,
        payload_offset: usize,
    },
    /// For the control plane.
    Slow,
    /// Malformed, or not for us.
    Drop(Drop),
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// One's-complement sum of 16-bit words (RFC 1071), added to `sum`.
fn add(sum: u32, bytes: &[u8]) -> u32 {
    bytes.chunks(2).fold(sum, |sum, pair| {
        sum + u32::from(u16::from_be_bytes([
            pair[0],
            pair.get(1).copied().unwrap_or(0),
        ]))
    })
}

fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// Sum over the pseudo header of a TCP segment.
fn pseudo_header(ip: &[u8], length: usize) -> u32 {
    add(u32::from(PROTOCOL_TCP) + length as u32, &ip[12..20])
}

/// Judges a received frame for the station `mac`.
pub(super) fn judge(frame: &[u8], mac: [u8; 6]) -> Verdict {
    if frame.len() < ETHERNET {
        return Verdict::Drop(Drop::Truncated);
    }
    if frame.len() > LARGEST {
        return Verdict::Drop(Drop::Oversize);
    }
    if frame[0] & 1 == 0 && frame[..6] != mac {
        return Verdict::Drop(Drop::NotOurs);
    }
    if u16_at(frame, 12) != ETHERTYPE_IPV4 {
        return Verdict::Slow;
    }
    let ip = &frame[ETHERNET..];
    if ip.len() < IP {
        return Verdict::Drop(Drop::Truncated);
    }
    let total = usize::from(u16_at(ip, 2));
    if ip[0] != 0x45 {
        return Verdict::Slow;
    }
    if total < IP || total > ip.len() {
        return Verdict::Drop(Drop::Truncated);
    }
    if fold(add(0, &ip[..IP])) != 0xffff {
        return Verdict::Drop(Drop::IpChecksum);
    }
    let is_fragment = u16_at(ip, 6) & 0x3fff != 0;
    if ip[9] != PROTOCOL_TCP || is_fragment {
        return Verdict::Slow;
    }
    let tcp = &ip[IP..total];
    if tcp.len() < TCP {
        return Verdict::Drop(Drop::Truncated);
    }
    let header = usize::from(tcp[12] >> 4) * 4;
    if header < TCP || header > tcp.len() {
        return Verdict::Drop(Drop::Truncated);
    }
    if fold(add(pseudo_header(ip, tcp.len()), tcp)) != 0xffff {
        return Verdict::Drop(Drop::TcpChecksum);
    }
    let flags = tcp[13];
    let Some(Options { timestamps, sack }) = options(&tcp[TCP..header]) else {
        return Verdict::Slow;
    };
    if flags & !FAST_FLAGS != 0 || flags & flags::ACK == 0 {
        return Verdict::Slow;
    }
    Verdict::Fast {
        key: Key {
            remote_ip: u32_at(ip, 12),
            local_ip: u32_at(ip, 16),
            remote_port: u16_at(tcp, 0),
            local_port: u16_at(tcp, 2),
        },
        segment: Received {
            seq: SeqNumber(u32_at(tcp, 4)),
            ack: SeqNumber(u32_at(tcp, 8)),
            flags,
            window: u16_at(tcp, 14),
            timestamps,
            sack,
            congestion_experienced: ip[1] & 3 == 3,
            payload_len: (tcp.len() - header) as u16,
        },
        payload_offset: ETHERNET + IP + header,
    }
}

/// What the options of a segment say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Options {
    /// TSval and TSecr.
    timestamps: Option<(u32, u32)>,
    /// The blocks of the last SACK option, without a fourth.
    sack: [Option<SackBlock>; MAX_SACK_BLOCKS],
}

/// Walks the options: `None` if one is unknown or malformed.
fn options(mut bytes: &[u8]) -> Option<Options> {
    let mut found = Options::default();
    while let Some(&kind) = bytes.first() {
        match kind {
            0 => break,
            1 => {
                bytes = &bytes[1..];
                continue;
            }
            _ => {}
        }
        let length = usize::from(*bytes.get(1)?);
        if length < 2 || length > bytes.len() {
            return None;
        }
        match (kind, length) {
            // Twice is nothing that a stack sends.
            (8, 10) if found.timestamps.is_none() => {
                found.timestamps = Some((u32_at(bytes, 2), u32_at(bytes, 6)));
            }
            (5, 10 | 18 | 26 | 34) => {
                let blocks = (length - 2) / BLOCK;
                found.sack = std::array::from_fn(|n| {
                    (n < blocks).then(|| SackBlock {
                        left: SeqNumber(u32_at(bytes, 2 + n * BLOCK)),
                        right: SeqNumber(u32_at(bytes, 6 + n * BLOCK)),
                    })
                });
            }
            _ => return None,
        }
        bytes = &bytes[length..];
    }
    Some(found)
}

/// The addresses of a frame to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Addresses {
    pub local_mac: [u8; 6],
    pub remote_mac: [u8; 6],
    pub key: Key,
    /// ECN field of the IP header.
    pub ecn: u8,
}

/// Builds the frame of `segment` with its payload; `ts_val` is its TSval.
pub(super) fn build(
    addresses: &Addresses,
    segment: &Transmission,
    ts_val: u32,
    payload: &[u8],
) -> Vec<u8> {
    let blocks = segment.sack.iter().flatten().count();
    let sack = if blocks > 0 { SACK + blocks * BLOCK } else { 0 };
    let options = if segment.ts_on { TIMESTAMPS } else { 0 } + sack;
    let total = IP + TCP + options + payload.len();
    let key = &addresses.key;
    let mut frame = Vec::with_capacity(ETHERNET + total);
    frame.extend_from_slice(&addresses.remote_mac);
    frame.extend_from_slice(&addresses.local_mac);
    frame.extend_from_slice(&ETHERTYPE_IPV4.to_be_bytes());
    frame.extend_from_slice(&[0x45, addresses.ecn]);
    frame.extend_from_slice(&(total as u16).to_be_bytes());
    // Identification 0, don't fragment, TTL 64, checksum below.
    frame.extend_from_slice(&[0, 0, 0x40, 0, 64, PROTOCOL_TCP, 0, 0]);
    frame.extend_from_slice(&key.local_ip.to_be_bytes());
    frame.extend_from_slice(&key.remote_ip.to_be_bytes());
    frame.extend_from_slice(&key.local_port.to_be_bytes());
    frame.extend_from_slice(&key.remote_port.to_be_bytes());
    frame.extend_from_slice(&segment.seq.0.to_be_bytes());
    frame.extend_from_slice(&segment.ack.0.to_be_bytes());
    frame.extend_from_slice(&[((TCP + options) * 4) as u8, segment.flags]);
    frame.extend_from_slice(&segment.window.to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    if segment.ts_on {
        frame.extend_from_slice(&[1, 1, 8, 10]);
        frame.extend_from_slice(&ts_val.to_be_bytes());
        frame.extend_from_slice(&segment.ts_ecr.to_be_bytes());
    }
    if blocks > 0 {
        frame.extend_from_slice(&[1, 1, 5, (2 + blocks * BLOCK) as u8]);
    }
    for block in segment.sack.iter().flatten() {
        frame.extend_from_slice(&block.left.0.to_be_bytes());
        frame.extend_from_slice(&block.right.0.to_be_bytes());
    }
    frame.extend_from_slice(payload);
    let (_, ip) = frame.split_at_mut(ETHERNET);
    let ip_sum = !fold(add(0, &ip[..IP]));
    ip[10..12].copy_from_slice(&ip_sum.to_be_bytes());
    let tcp_sum = !fold(add(pseudo_header(ip, total - IP), &ip[IP..]));
    ip[IP + 16..IP + 18].copy_from_slice(&tcp_sum.to_be_bytes());
    pad(frame)
}

/// Pads a frame to the smallest size.
pub(super) fn pad(mut frame: Vec<u8>) -> Vec<u8> {
    frame.resize(frame.len().max(SMALLEST), 0);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::RingPosition;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn transmission(ts_on: bool) -> Transmission {
        Transmission {
            seq: SeqNumber(100),
            ack: SeqNumber(200),
            window: 0xfff0,
            flags: flags::ACK | flags::PSH,
            ts_on,
            ts_offset: 0,
            ts_ecr: 77,
            sack: [None; 3],
            length: 5,
            tx_pos: RingPosition(0),
        }
    }

    fn addresses() -> Addresses {
        let key = Key {
            remote_ip: 0x0a00_0002,
            local_ip: 0x0a00_0001,
            remote_port: 80,
            local_port: 4000,
        };
        Addresses {
            local_mac: [2, 0, 0, 0, 0, 9],
            remote_mac: MAC,
            key,
            ecn: 2,
        }
    }

    #[test]
    fn a_built_frame_is_what_an_independent_parser_expects() {
        for ts_on in [false, true] {
            let frame = build(&addresses(), &transmission(ts_on), 66, b"hello");
            let parsed = etherparse::PacketHeaders::from_ethernet_slice(&frame).unwrap();
            let Some(etherparse::NetHeaders::Ipv4(ip, _)) = parsed.net else {
                panic!("no IPv4")
            };
            let Some(etherparse::TransportHeader::Tcp(tcp)) = parsed.transport else {
                panic!("no TCP")
            };
            assert_eq!(parsed.payload.slice(), b"hello");
            assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            assert_eq!(tcp.checksum, tcp.calc_checksum_ipv4(&ip, b"hello").unwrap());
            assert_eq!(
                (tcp.source_port, tcp.destination_port, tcp.window_size),
                (4000, 80, 0xfff0)
            );
        }
    }

    #[test]
    fn a_built_frame_is_judged_fast_and_read_back() {
        let frame = build(&addresses(), &transmission(true), 66, b"hello");
        let Verdict::Fast {
            key,
            segment,
            payload_offset,
        } = judge(&frame, MAC)
        else {
            panic!("not fast")
        };
        assert_eq!(
            key,
            Key {
                remote_ip: 0x0a00_0001,
                local_ip: 0x0a00_0002,
                remote_port: 4000,
                local_port: 80
            }
        );
        assert_eq!(
            (segment.seq, segment.ack, segment.timestamps),
            (SeqNumber(100), SeqNumber(200), Some((66, 77)))
        );
        assert_eq!(
            &frame[payload_offset..payload_offset + usize::from(segment.payload_len)],
            b"hello"
        );
    }

    #[test]
    fn blocks_stand_behind_the_timestamps_and_are_read_back() {
        let block = |left| SackBlock {
            left: SeqNumber(left),
            right: SeqNumber(left + 10),
        };
        for ts_on in [false, true] {
            for count in 1..=3 {
                let segment = Transmission {
                    sack: std::array::from_fn(|i| (i < count).then(|| block(100 * i as u32))),
                    length: 0,
                    ..transmission(ts_on)
                };
                let frame = build(&addresses(), &segment, 66, b"");
                let parsed = etherparse::PacketHeaders::from_ethernet_slice(&frame).unwrap();
                let Some(etherparse::TransportHeader::Tcp(tcp)) = parsed.transport else {
                    panic!("no TCP")
                };
                let rest = std::array::from_fn(|i| {
                    let left = 100 * (i as u32 + 1);
                    (i + 1 < count).then_some((left, left + 10))
                });
                let sack = etherparse::TcpOptionElement::SelectiveAcknowledgement((0, 10), rest);
                assert!(
                    tcp.options_iterator()
                        .any(|option| option == Ok(sack.clone()))
                );
                let Verdict::Fast { segment, .. } = judge(&frame, MAC) else {
                    panic!("not fast")
                };
                let expected = |n: usize| (n < count).then(|| block(100 * n as u32));
                assert_eq!(segment.sack, std::array::from_fn(expected));
                assert_eq!(segment.timestamps.is_some(), ts_on);
            }
        }
    }

    #[test]
    fn damage_is_dropped_by_reason_and_the_unusual_goes_to_the_control_plane() {
        let good = build(&addresses(), &transmission(false), 0, b"hello world");
        let with = |at: usize, value: u8| {
            let mut frame = good.clone();
            frame[at] = value;
            judge(&frame, MAC)
        };
        assert_eq!(with(0, 4), Verdict::Drop(Drop::NotOurs));
        assert_eq!(with(12, 0x81), Verdict::Slow);
        assert_eq!(with(14, 0x46), Verdict::Slow);
        assert_eq!(with(22, 63), Verdict::Drop(Drop::IpChecksum));
        assert_eq!(with(17, 200), Verdict::Drop(Drop::Truncated));
        assert_eq!(with(60, b'x'), Verdict::Drop(Drop::TcpChecksum));
        assert_eq!(judge(&good[..10], MAC), Verdict::Drop(Drop::Truncated));
        assert_eq!(judge(&[2; 1600], MAC), Verdict::Drop(Drop::Oversize));
        let syn = Transmission {
            flags: flags::SYN,
            ..transmission(false)
        };
        assert_eq!(
            judge(&build(&addresses(), &syn, 0, b""), MAC),
            Verdict::Slow
        );
    }

    #[test]
    fn options_are_walked_in_any_order() {
        let sack = [5, 10, 0, 0, 0, 1, 0, 0, 0, 2];
        let stamps = [8, 10, 0, 0, 0, 3, 0, 0, 0, 4];
        let padded = [&sack[..], &[1], &stamps, &[0, 99, 99]].concat();
        let block = SackBlock {
            left: SeqNumber(1),
            right: SeqNumber(2),
        };
        let found = Options {
            timestamps: Some((3, 4)),
            sack: [Some(block), None, None],
        };
        assert_eq!(options(&padded), Some(found));
        assert_eq!(options(&[&stamps[..], &stamps].concat()), None);
        assert_eq!(options(&[1, 1, 3, 3, 7]), None);
        assert_eq!(options(&[8, 12, 0]), None);
        assert_eq!(options(&[8]), None);
    }
}
