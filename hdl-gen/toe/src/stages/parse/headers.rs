//! What the parser reads from the headers of a frame, and its judgement.

use super::options::{Kinds, OptionWalk, walk_accepts};
use crate::channels::{CLASS_DROP, CLASS_FAST, CLASS_SLOW, Sack, Summary};
use crate::interface::Drop;
use crate::stages::octets::{network16, network32, network48};
use hallux_hdl::prelude::*;

/// Bits of the headers of the largest fast frame: Ethernet 14, IPv4 20, TCP 60 bytes.
pub const HEAD_BITS: usize = 8 * 94;
/// Longest frame without FCS, one VLAN tag included (IEEE 802.3 §3.2.7).
pub const MAX_FRAME: u64 = 1518;

/// Offset of the IPv4 header in the frame.
const IP: usize = 14;
/// Offset of the TCP header behind an IPv4 header without options.
const TCP: usize = 34;
const ETHERTYPE_IPV4: u64 = 0x0800;
const PROTOCOL_TCP: u64 = 6;

/// A frame whose last beat has just passed.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Arrival {
    /// Its first bytes, as many as the headers have at most. What lies behind its end is
    /// undefined.
    pub head: Bits<HEAD_BITS>,
    /// Words of TCP options as the header claims.
    pub option_words: Bits<4>,
    /// What the first eight bytes of options may be.
    pub kinds: Kinds,
    /// Where the IPv4 packet ends, as its header claims.
    pub packet_end: Bits<17>,
    /// Bytes stored, at most 1536.
    pub frame_len: Bits<11>,
    /// It was longer than [`MAX_FRAME`].
    pub oversize: Bit,
    /// It was not admitted to the frame buffer.
    pub refused: Bit,
    /// Refused because intake is disabled, otherwise for lack of room.
    pub disabled: Bit,
}

/// A frame on its way through the option walk.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Frame {
    /// The header fields.
    pub summary: Summary,
    /// Not in the frame buffer: no summary is passed on.
    pub refused: Bit,
    /// To be dropped, for `reason`.
    pub dropped: Bit,
    /// `interface::Drop`.
    pub reason: Bits<4>,
    /// For the control plane, whatever its options are.
    pub slow: Bit,
    /// It has an IPv4 header: its checksum counts.
    pub ipv4: Bit,
    /// It has a whole TCP segment: its checksum counts.
    pub tcp: Bit,
    /// One's-complement sum of the TCP pseudo header, not folded.
    pub pseudo: Bits<19>,
}

/// Bytes of the IPv4 header as the header claims, 0 to 60.
#[hdl_fn]
pub fn ip_header_bytes(head: Bits<HEAD_BITS>) -> Bits<6> {
    cat::<4, 2, 6>(head.get_bits::<4>(8 * IP), bits::<2>(0))
}

/// Words of the TCP header as it claims.
#[hdl_fn]
pub fn data_offset(head: Bits<HEAD_BITS>) -> Bits<4> {
    head.get_bits::<4>(8 * (TCP + 12) + 4)
}

/// Words of TCP options as the header claims.
#[hdl_fn]
pub fn option_words(head: Bits<HEAD_BITS>) -> Bits<4> {
    data_offset(head) - bits::<4>(5)
}

/// A one's-complement sum, not folded, is that of a block with a good checksum. It is
/// never the sum of nothing, whose zero would be the other representation of zero.
#[hdl_fn]
pub fn sums_to_zero(sum: Bits<26>) -> Bit {
    let folded =
        bit_cast::<17, 16>(sum.get_bits::<16>(0)) + bit_cast::<17, 10>(sum.get_bits::<10>(16));
    folded == bits::<17>(0xffff)
}

/// Reads the header fields and judges all that neither options nor sums decide.
#[hdl_fn]
pub fn decode(arrival: Arrival, mac: Bits<48>) -> Frame {
    let head = arrival.head;
    let frame_len = bit_cast::<17, 11>(arrival.frame_len);

    let station = network48(head.get_bits::<48>(0));
    let ours = station == mac;
    let group = head.get_bit(0);

    let ethertype = network16(head.get_bits::<16>(96));
    let is_ip = ethertype == bits::<16>(ETHERTYPE_IPV4);
    let version = head.get_bits::<4>(8 * IP + 4);
    let header_words = head.get_bits::<4>(8 * IP);
    let ipv4 = is_ip & (version == bits::<4>(4)) & (header_words >= bits::<4>(5));
    let plain = header_words == bits::<4>(5);
    let header_bytes = bit_cast::<16, 6>(ip_header_bytes(head));
    let total = network16(head.get_bits::<16>(8 * (IP + 2)));
    // More Fragments and the fragment offset (RFC 791 §3.1).
    let fragment = network16(head.get_bits::<16>(8 * (IP + 6)))
        .get_bits::<14>(0)
        .any();
    let protocol = head.get_bits::<8>(8 * (IP + 9));
    let remote_ip = network32(head.get_bits::<32>(8 * (IP + 12)));
    let local_ip = network32(head.get_bits::<32>(8 * (IP + 16)));

    let tcp = ipv4 & (protocol == bits::<8>(PROTOCOL_TCP)) & !fragment;
    let segment = total - header_bytes;
    let data_offset = data_offset(head);
    let tcp_header = bit_cast::<16, 6>(cat::<4, 2, 6>(data_offset, bits::<2>(0)));
    // A fast frame has no IP options: both headers come off at once.
    let plain_headers = bit_cast::<16, 7>(cat::<5, 2, 7>(
        bit_cast::<5, 4>(data_offset) + bits::<5>(5),
        bits::<2>(0),
    ));
    let flags = head.get_bits::<8>(8 * (TCP + 13));
    let acknowledges = flags.get_bit(4);
    let exceptional = flags.get_bit(1) | flags.get_bit(2) | flags.get_bit(5);

    let no_ethernet = arrival.frame_len < bits::<11>(14);
    let no_ip = is_ip & (arrival.frame_len < bits::<11>(34));
    let short_packet = ipv4 & ((total < header_bytes) | (frame_len < arrival.packet_end));
    let least_headers = bit_cast::<16, 7>(cat::<5, 2, 7>(
        bit_cast::<5, 4>(header_words) + bits::<5>(5),
        bits::<2>(0),
    ));
    let short_segment = tcp & ((total < least_headers) | (plain & (total < plain_headers)));
    let truncated = no_ip | short_packet | short_segment;

    let mut reason = bits::<4>(Drop::Truncated as u64);
    if arrival.refused {
        reason = if arrival.disabled {
            bits::<4>(Drop::Disabled as u64)
        } else {
            bits::<4>(Drop::BufferFull as u64)
        };
    } else if arrival.oversize {
        reason = bits::<4>(Drop::Oversize as u64);
    } else if !no_ethernet & !ours & !group {
        reason = bits::<4>(Drop::NotOurs as u64);
    }

    let source_sum = bit_cast::<19, 16>(remote_ip.get_bits::<16>(16))
        + bit_cast::<19, 16>(remote_ip.get_bits::<16>(0));
    let destination_sum = bit_cast::<19, 16>(local_ip.get_bits::<16>(16))
        + bit_cast::<19, 16>(local_ip.get_bits::<16>(0));
    let pseudo =
        source_sum + destination_sum + (bit_cast::<19, 16>(segment) + bits::<19>(PROTOCOL_TCP));

    Frame {
        summary: Summary {
            ticket: bits::<24>(0),
            class: bits::<2>(CLASS_FAST),
            frame_len: bit_cast::<14, 11>(arrival.frame_len),
            remote_ip,
            local_ip,
            remote_port: network16(head.get_bits::<16>(8 * TCP)),
            local_port: network16(head.get_bits::<16>(8 * (TCP + 2))),
            seq: network32(head.get_bits::<32>(8 * (TCP + 4))),
            ack: network32(head.get_bits::<32>(8 * (TCP + 8))),
            flags,
            window: network16(head.get_bits::<16>(8 * (TCP + 14))),
            ts_val: bits::<32>(0),
            ts_ecr: bits::<32>(0),
            ts_present: false,
            sack: Sack::default(),
            ce: head.get_bits::<2>(8 * (IP + 1)) == bits::<2>(3),
            payload_offset: tcp_header.get_bits::<8>(0) + bits::<8>(TCP as u64),
            payload_len: (total - plain_headers).get_bits::<14>(0),
        },
        refused: arrival.refused,
        dropped: arrival.refused | arrival.oversize | no_ethernet | (!ours & !group) | truncated,
        reason,
        slow: !tcp | !plain | !ours | !acknowledges | exceptional | (data_offset < bits::<4>(5)),
        ipv4,
        tcp,
        pseudo,
    }
}

/// The last word, when options are walked and sums are known.
#[hdl_fn]
pub fn judge(frame: Frame, walk: OptionWalk, header_good: Bit, segment_good: Bit) -> Frame {
    let mut judged = frame;
    if !frame.dropped {
        if frame.ipv4 & !header_good {
            judged.dropped = true;
            judged.reason = bits::<4>(Drop::IpChecksum as u64);
        } else if frame.tcp & !segment_good {
            judged.dropped = true;
            judged.reason = bits::<4>(Drop::TcpChecksum as u64);
        }
    }
    if judged.dropped {
        judged.summary.class = bits::<2>(CLASS_DROP);
    } else if frame.slow | !walk_accepts(walk) {
        judged.summary.class = bits::<2>(CLASS_SLOW);
    }
    judged.summary.ts_present = walk.ts_present;
    judged.summary.ts_val = walk.ts_val;
    judged.summary.ts_ecr = walk.ts_ecr;
    judged.summary.sack = walk.sack;
    judged
}
