//! Frames of the slow path: ARP, and TCP segments that open or break connections.

use std::net::Ipv4Addr;

use etherparse::{
    ArpEthIpv4Packet, ArpOperation, EtherType, LinkSlice, NetSlice, PacketBuilder, SlicedPacket,
    TcpOptionElement, TransportSlice,
};

use crate::driver::FlowKey;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// The address of every station.
pub const BROADCAST: Mac = [0xff; 6];

/// Hop limit of the segments of the control plane (RFC 1700).
const TIME_TO_LIVE: u8 = 64;

/// A received frame, as far as the control plane understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// ARP for IPv4 over Ethernet.
    Arp(Arp),
    /// A TCP segment over IPv4.
    Tcp(Segment),
    /// Anything else.
    Other,
}

/// An ARP packet (RFC 826).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Asks; otherwise it answers.
    pub is_request: bool,
    /// Who sent it.
    pub sender_mac: Mac,
    /// Its protocol address.
    pub sender_ip: Ipv4Addr,
    /// Whose address is asked for; zero in a request.
    pub target_mac: Mac,
    /// The protocol address asked for.
    pub target_ip: Ipv4Addr,
}

/// The options of a SYN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Maximum segment size (RFC 9293 §3.7.1).
    pub mss: Option<u16>,
    /// Window scale (RFC 7323 §2).
    pub window_scale: Option<u8>,
    /// TSval and TSecr (RFC 7323 §3).
    pub timestamps: Option<(u32, u32)>,
    /// The sender takes SACK options (RFC 2018 §2).
    pub sack_permitted: bool,
}

/// A TCP segment without its payload, of either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Our MAC address, or that of the next hop: the other end of this link.
    pub remote_mac: Mac,
    /// Addresses and ports, seen from this host.
    pub key: FlowKey,
    /// Sequence number of the first octet.
    pub seq: u32,
    /// Acknowledgement number, if the ACK flag is set.
    pub ack: Option<u32>,
    /// SYN flag.
    pub syn: bool,
    /// FIN flag.
    pub fin: bool,
    /// RST flag.
    pub rst: bool,
    /// ECE flag: with SYN, ECN is offered or accepted (RFC 3168 §6.1.1).
    pub ece: bool,
    /// CWR flag: with SYN and ECE, ECN is offered.
    pub cwr: bool,
    /// Window field, not scaled.
    pub window: u16,
    /// Options.
    pub options: Options,
    /// Octets of payload.
    pub payload: u32,
}

impl Segment {
    /// Sequence numbers the segment occupies (RFC 9293 §3.4).
    pub fn sequence_length(&self) -> u32 {
        self.payload + u32::from(self.syn) + u32::from(self.fin)
    }

    /// A bare segment of this connection.
    pub fn bare(remote_mac: Mac, key: FlowKey, seq: u32, ack: Option<u32>) -> Self {
        Self {
            remote_mac,
            key,
            seq,
            ack,
            syn: false,
            fin: false,
            rst: false,
            ece: false,
            cwr: false,
            window: 0,
            options: Options::default(),
            payload: 0,
        }
    }

    /// The reset that answers this segment where it finds no connection (RFC 9293
    /// §3.10.7.1); `None` if it is a reset itself.
    pub fn refusal(&self) -> Option<Self> {
        if self.rst {
            return None;
        }
        let (seq, ack) = match self.ack {
            Some(ack) => (ack, None),
            None => (0, Some(self.seq.wrapping_add(self.sequence_length()))),
        };
        Some(Self {
            rst: true,
            ..Self::bare(self.remote_mac, self.key, seq, ack)
        })
    }

    /// The frame that sends this segment from the station `mac`, without payload.
    pub fn build(&self, mac: Mac) -> Vec<u8> {
        self.build_with(mac, &[])
    }

    /// The same with payload.
    pub fn build_with(&self, mac: Mac, payload: &[u8]) -> Vec<u8> {
        let FlowKey {
            remote_ip,
            local_ip,
            remote_port,
            local_port,
        } = self.key;
        let mut builder = PacketBuilder::ethernet2(mac, self.remote_mac)
            .ipv4(
                local_ip.to_be_bytes(),
                remote_ip.to_be_bytes(),
                TIME_TO_LIVE,
            )
            .tcp(local_port, remote_port, self.seq, self.window);
        if let Some(ack) = self.ack {
            builder = builder.ack(ack);
        }
        if self.syn {
            builder = builder.syn();
        }
        if self.fin {
            builder = builder.fin();
        }
        if self.rst {
            builder = builder.rst();
        }
        if self.ece {
            builder = builder.ece();
        }
        if self.cwr {
            builder = builder.cwr();
        }
        let Options {
            mss,
            window_scale,
            timestamps,
            sack_permitted,
        } = self.options;
        let mut options = Vec::new();
        options.extend(mss.map(TcpOptionElement::MaximumSegmentSize));
        // The order that stacks use, every option aligned to four octets.
        if sack_permitted {
            options.push(TcpOptionElement::SelectiveAcknowledgementPermitted);
        }
        if sack_permitted != timestamps.is_some() {
            options.extend([TcpOptionElement::Noop, TcpOptionElement::Noop]);
        }
        if let Some((value, echo)) = timestamps {
            options.push(TcpOptionElement::Timestamp(value, echo));
        }
        if let Some(shift) = window_scale {
            options.extend([TcpOptionElement::Noop, TcpOptionElement::WindowScale(shift)]);
        }
        // At most 24 of 40 octets of options, and writing to a vector: neither can fail.
        let Ok(builder) = builder.options(&options) else {
            return Vec::new();
        };
        let mut frame = Vec::with_capacity(builder.size(payload.len()));
        if builder.write(&mut frame, payload).is_err() {
            return Vec::new();
        }
        frame
    }
}

impl Arp {
    /// The frame that sends this packet: to everyone if it asks, else to its target.
    pub fn build(&self) -> Vec<u8> {
        let destination = if self.is_request {
            BROADCAST
        } else {
            self.target_mac
        };
        let packet = ArpEthIpv4Packet {
            operation: if self.is_request {
                ArpOperation::REQUEST
            } else {
                ArpOperation::REPLY
            },
            sender_mac: self.sender_mac,
            sender_ipv4: self.sender_ip.octets(),
            target_mac: self.target_mac,
            target_ipv4: self.target_ip.octets(),
        };
        let mut frame = Vec::with_capacity(14 + ArpEthIpv4Packet::LEN);
        frame.extend(destination);
        frame.extend(self.sender_mac);
        frame.extend(EtherType::ARP.0.to_be_bytes());
        frame.extend(packet.to_bytes());
        frame
    }
}

/// Reads a frame of the slow path. TCP checksums were judged by the NIC.
pub fn parse(frame: &[u8]) -> Received {
    let Ok(sliced) = SlicedPacket::from_ethernet(frame) else {
        return Received::Other;
    };
    let Some(LinkSlice::Ethernet2(ethernet)) = sliced.link else {
        return Received::Other;
    };
    match (sliced.net, sliced.transport) {
        (Some(NetSlice::Arp(arp)), _) => {
            let Ok(packet) = ArpEthIpv4Packet::try_from(arp.to_packet()) else {
                return Received::Other;
            };
            let is_request = match packet.operation {
                ArpOperation::REQUEST => true,
                ArpOperation::REPLY => false,
                _ => return Received::Other,
            };
            Received::Arp(Arp {
                is_request,
                sender_mac: packet.sender_mac,
                sender_ip: packet.sender_ipv4_addr(),
                target_mac: packet.target_mac,
                target_ip: packet.target_ipv4_addr(),
            })
        }
        (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Tcp(tcp))) => {
            let mut options = Options::default();
            for option in tcp.options_iterator() {
                match option {
                    Ok(TcpOptionElement::MaximumSegmentSize(mss)) => options.mss = Some(mss),
                    // A larger shift counts as 14 (RFC 7323 §2.3).
                    Ok(TcpOptionElement::WindowScale(shift)) => {
                        options.window_scale = Some(shift.min(14));
                    }
                    Ok(TcpOptionElement::Timestamp(value, echo)) => {
                        options.timestamps = Some((value, echo));
                    }
                    Ok(TcpOptionElement::SelectiveAcknowledgementPermitted) => {
                        options.sack_permitted = true;
                    }
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
            Received::Tcp(Segment {
                remote_mac: ethernet.source(),
                key: FlowKey {
                    remote_ip: u32::from_be_bytes(ip.header().source()),
                    local_ip: u32::from_be_bytes(ip.header().destination()),
                    remote_port: tcp.source_port(),
                    local_port: tcp.destination_port(),
                },
                seq: tcp.sequence_number(),
                ack: tcp.ack().then(|| tcp.acknowledgment_number()),
                syn: tcp.syn(),
                fin: tcp.fin(),
                rst: tcp.rst(),
                ece: tcp.ece(),
                cwr: tcp.cwr(),
                window: tcp.window_size(),
                options,
                // An IPv4 packet is shorter than 64 KiB.
                payload: tcp.payload().len() as u32,
            })
        }
        _ => Received::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 1];
    const PEER: Mac = [2, 0, 0, 0, 0, 2];
    const KEY: FlowKey = FlowKey {
        remote_ip: 0x0a00_0002,
        local_ip: 0x0a00_0001,
        remote_port: 50_000,
        local_port: 80,
    };
    const MIRRORED: FlowKey = FlowKey {
        remote_ip: 0x0a00_0001,
        local_ip: 0x0a00_0002,
        remote_port: 80,
        local_port: 50_000,
    };

    #[test]
    fn a_syn_survives_building_and_reading_with_right_checksums() {
        for sack_permitted in [false, true] {
            for timestamps in [None, Some((7, 0))] {
                survives(Options {
                    mss: Some(1460),
                    window_scale: Some(5),
                    timestamps,
                    sack_permitted,
                });
            }
        }
    }

    /// A SYN with these options does.
    fn survives(options: Options) {
        let syn = Segment {
            syn: true,
            ece: true,
            cwr: true,
            window: 65_535,
            options,
            ..Segment::bare(PEER, KEY, 99, None)
        };
        let frame = syn.build(MAC);
        let length = match (options.sack_permitted, options.timestamps) {
            (_, Some(_)) => 40,
            (true, None) => 32,
            (false, None) => 28,
        };
        assert_eq!(frame.len(), 14 + 20 + length);
        let seen = Segment {
            remote_mac: MAC,
            key: MIRRORED,
            ..syn
        };
        assert_eq!(parse(&frame), Received::Tcp(seen));

        let sliced = SlicedPacket::from_ethernet(&frame).unwrap();
        let (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Tcp(tcp))) =
            (sliced.net, sliced.transport)
        else {
            panic!("TCP over IPv4")
        };
        let header = ip.header().to_header();
        assert_eq!(header.calc_header_checksum(), header.header_checksum);
        let sum = tcp
            .calc_checksum_ipv4(header.source, header.destination)
            .unwrap();
        assert_eq!(sum, tcp.checksum());
    }

    #[test]
    fn arp_survives_building_and_reading() {
        for is_request in [true, false] {
            let arp = Arp {
                is_request,
                sender_mac: MAC,
                sender_ip: Ipv4Addr::new(10, 0, 0, 1),
                target_mac: if is_request { [0; 6] } else { PEER },
                target_ip: Ipv4Addr::new(10, 0, 0, 2),
            };
            let frame = arp.build();
            assert_eq!(frame[..6], if is_request { BROADCAST } else { PEER });
            assert_eq!(parse(&frame), Received::Arp(arp));
        }
    }

    #[test]
    fn a_segment_without_connection_is_refused_as_the_standard_says() {
        let with_ack = Segment {
            payload: 5,
            ..Segment::bare(PEER, KEY, 10, Some(77))
        };
        let refusal = with_ack.refusal().unwrap();
        assert!(refusal.rst && refusal.seq == 77 && refusal.ack.is_none());
        let syn = Segment {
            syn: true,
            ..Segment::bare(PEER, KEY, 10, None)
        };
        let refusal = syn.refusal().unwrap();
        assert!(refusal.rst && refusal.seq == 0 && refusal.ack == Some(11));
        assert_eq!(refusal.refusal(), None);
    }

    #[test]
    fn garbage_is_other() {
        for length in 0..80 {
            assert_eq!(parse(&vec![0x5a; length]), Received::Other);
        }
    }
}
