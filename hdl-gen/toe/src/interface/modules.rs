//! Registers of the extension modules: what a driver writes and reads.
//!
//! Every module of a design point has a page of 4 KiB, in the order in which the design
//! point lists them. All registers have 64 bits and take whole writes only. What is not
//! listed reads 0.

/// Page of the first module: byte offset in BAR 0.
pub const MODULES: u64 = 0x8_0000;
/// Bytes of a page.
pub const MODULE_STRIDE: u64 = 0x1000;
/// The most modules of a design point.
pub const MAX_MODULES: usize = 16;
/// First register of every page, read only: bits 7..0 the kind ([`Kind`]), 15..8 the slot
/// ([`Slot`]), 63..32 "HXM1" as little-endian octets. A page without a module reads 0.
pub const MODULE_ID: u64 = 0x00;
/// Bits 63..32 of [`MODULE_ID`].
pub const MODULE_MAGIC: u32 = u32::from_le_bytes(*b"HXM1");

/// Byte offset in BAR 0 of a register of the module with this number.
pub const fn module_register(number: usize, register: u64) -> u64 {
    MODULES + MODULE_STRIDE * number as u64 + register
}

/// What a module does.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Kind {
    /// Takes VLAN tags off at ingress, puts them on at egress.
    Vlan = 1,
    /// Passes, drops or redirects packets by their 5-tuple.
    Firewall = 2,
    /// Gives connections a class by their 5-tuple.
    Classify = 3,
    /// Turns segments of one connection into those of another and sends them on.
    Splice = 4,
    /// Counts what happens to each connection.
    Trace = 5,
    /// Mirrors frames to a ring in host memory.
    Capture = 6,
}

impl Kind {
    /// The word in a design point.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vlan => "vlan",
            Self::Firewall => "firewall",
            Self::Classify => "classify",
            Self::Splice => "splice",
            Self::Trace => "trace",
            Self::Capture => "capture",
        }
    }
}

/// Where in the data path a module stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Slot {
    /// Between the MAC and the parser: whole frames.
    Ingress = 1,
    /// Behind identification: headers with their flow.
    BeforeProtocol = 2,
    /// Behind the protocol stage: what became of each event.
    AfterProtocol = 3,
    /// Between assembly and the MAC: whole frames.
    Egress = 4,
}

impl Slot {
    /// The word in a design point.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::BeforeProtocol => "before_protocol",
            Self::AfterProtocol => "after_protocol",
            Self::Egress => "egress",
        }
    }
}

/// Value of [`MODULE_ID`].
pub const fn module_id(kind: Kind, slot: Slot) -> u64 {
    kind as u64 | (slot as u64) << 8 | (MODULE_MAGIC as u64) << 32
}

/// Registers of a `vlan` module (IEEE 802.1Q).
pub mod vlan {
    /// Bits 11..0 VLAN id, 15..13 priority of the tags put on; bit 16: untagged frames are
    /// dropped too (ingress).
    pub const TAG: u64 = 0x08;
    /// Tags taken off, or put on. Read only.
    pub const TAGS: u64 = 0x10;
    /// Frames of other VLANs, or untagged ones, that were dropped (ingress). Read only.
    pub const FOREIGN: u64 = 0x18;
    /// Bit of [`TAG`]: drop untagged frames.
    pub const TAGGED_ONLY: u64 = 1 << 16;
}

/// Registers of `firewall`, `classify` and `capture`: a list of rules, of which the first
/// decides that a packet meets.
pub mod rules {
    /// Bits 7..0: action of IPv4 packets that no rule meets.
    pub const DEFAULT: u64 = 0x08;
    /// Staging: bits 31..0 source address, 63..32 its mask.
    pub const SOURCE: u64 = 0x10;
    /// Staging: bits 31..0 destination address, 63..32 its mask.
    pub const DESTINATION: u64 = 0x18;
    /// Staging: bits 15..0 source port, 31..16 its mask, 47..32 destination port, 63..48 its
    /// mask.
    pub const PORTS: u64 = 0x20;
    /// Staging: bits 7..0 protocol, bit 8 any protocol, 23..16 action, bit 31 in use.
    pub const ACTION: u64 = 0x28;
    /// Writing puts the staged rule at place 7..0 of the list.
    pub const COMMIT: u64 = 0x30;
    /// Places of the list. Read only.
    pub const CAPACITY: u64 = 0x38;
    /// Packets that no rule met. Read only.
    pub const DEFAULT_HITS: u64 = 0x40;
    /// Packets that rule *i* met, at `HITS + 8 * i`. Read only.
    pub const HITS: u64 = 0x800;

    /// Actions of `firewall`; those of `classify` are classes, 0 to 15.
    pub mod action {
        /// The packet goes on.
        pub const PASS: u8 = 0;
        /// The packet ends here.
        pub const DROP: u8 = 1;
        /// The packet goes to the control plane.
        pub const REDIRECT: u8 = 2;
        /// Of `capture`: the packet is mirrored; every other action: it is not.
        pub const CAPTURE: u8 = 1;
    }
}

/// A rule of `firewall`, `classify` or `capture`, as a driver writes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Source address and the bits of it that count.
    pub source: (u32, u32),
    /// Destination address and the bits of it that count.
    pub destination: (u32, u32),
    /// Source port; none: any.
    pub source_port: Option<u16>,
    /// Destination port; none: any.
    pub destination_port: Option<u16>,
    /// IPv4 protocol; none: any.
    pub protocol: Option<u8>,
    /// [`rules::action`], or a class.
    pub action: u8,
}

impl Rule {
    /// The register writes that put the rule at `place` of module `number`: offset in BAR 0
    /// and value.
    pub fn writes(&self, number: usize, place: u8) -> [(u64, u64); 5] {
        let at = |register| module_register(number, register);
        let masked = |(address, mask): (u32, u32)| u64::from(address) | u64::from(mask) << 32;
        let port = |port: Option<u16>| port.map_or(0, |port| u64::from(port) | 0xffff_0000);
        let protocol = self.protocol.map_or(1 << 8, u64::from);
        [
            (at(rules::SOURCE), masked(self.source)),
            (at(rules::DESTINATION), masked(self.destination)),
            (
                at(rules::PORTS),
                port(self.source_port) | port(self.destination_port) << 32,
            ),
            (
                at(rules::ACTION),
                protocol | u64::from(self.action) << 16 | 1 << 31,
            ),
            (at(rules::COMMIT), place.into()),
        ]
    }
}

/// Registers of a `capture` module beside those of its [`rules`], its ring, and what stands
/// there.
///
/// The ring is a sequence of entries without gaps, the first at position 0; position modulo
/// the ring's length is the offset. The module writes entries, then the status, which says up
/// to which position they are there. The driver reads them and writes [`CONSUMED`](capture::CONSUMED).
pub mod capture {
    /// Bus address of the ring, a multiple of its length.
    pub const RING_BASE: u64 = 0x100;
    /// log2 of the bytes of the ring, 12 to 30.
    pub const RING_LOG2: u64 = 0x108;
    /// Bus address of the status, a multiple of 32.
    pub const STATUS: u64 = 0x110;
    /// Bit 0: mirror. Setting it begins at position 0 and takes [`SNAP`] over; the registers
    /// above are to stand by then. Clearing it takes no further frames; those in the module
    /// are written still.
    pub const ENABLE: u64 = 0x118;
    /// Position up to which the driver has read.
    pub const CONSUMED: u64 = 0x120;
    /// Bytes of a frame that are kept, at most the design point's `snap`, which is the value
    /// after reset. Reads what is in force.
    pub const SNAP: u64 = 0x128;
    /// Frames written to the ring. Read only.
    pub const WRITTEN: u64 = 0x130;
    /// Frames that found no room in the ring. Read only.
    pub const LOST_RING: u64 = 0x138;
    /// Frames that found no room in the module, because the link was busy. Read only.
    pub const LOST_STORE: u64 = 0x140;
    /// Bytes of an entry in front of the frame.
    pub const HEADER_BYTES: u64 = 32;
    /// Bytes of the status.
    pub const STATUS_BYTES: u64 = 32;
}

/// The header of an entry of a `capture` ring; little-endian. The frame follows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureHeader {
    /// Bytes 0..8: `now` in ns when the frame began.
    pub time: u64,
    /// Bytes 8..12: bytes of the frame.
    pub original: u32,
    /// Bytes 12..16: bytes of it that follow.
    pub captured: u32,
    /// Bytes 16..24: from this entry to the next, a multiple of the largest write.
    pub size: u64,
    /// Bytes 24..32: frames lost before this one.
    pub lost: u64,
}

impl CaptureHeader {
    /// From the bytes of host memory.
    pub fn decode(bytes: &[u8; capture::HEADER_BYTES as usize]) -> Self {
        let [time, lengths, size, lost] = words(bytes);
        Self {
            time,
            original: lengths as u32,
            captured: (lengths >> 32) as u32,
            size,
            lost,
        }
    }
}

/// The status of a `capture` ring; four little-endian words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureStatus {
    /// Entries are there up to this position.
    pub position: u64,
    /// Frames written to the ring.
    pub written: u64,
    /// Frames that found no room in the ring.
    pub lost_ring: u64,
    /// Frames that found no room in the module.
    pub lost_store: u64,
}

impl CaptureStatus {
    /// From the bytes of host memory.
    pub fn decode(bytes: &[u8; capture::STATUS_BYTES as usize]) -> Self {
        let [position, written, lost_ring, lost_store] = words(bytes);
        Self {
            position,
            written,
            lost_ring,
            lost_store,
        }
    }
}

/// Four little-endian words.
fn words(bytes: &[u8; 32]) -> [u64; 4] {
    let word = |i: usize| {
        let octets = bytes[8 * i..8 * i + 8].iter().rev();
        octets.fold(0, |word, &octet| word << 8 | u64::from(octet))
    };
    std::array::from_fn(word)
}

/// Registers of a `splice` module: a table of 4-way buckets. The bucket of a key is the
/// CRC-32C ([`super::flow_hashes`] says of what kind) of its 12 octets, modulo the buckets.
pub mod splice {
    /// Staging, key: bits 63..32 source address, 31..0 destination address.
    pub const KEY_ADDRESSES: u64 = 0x08;
    /// Staging, key: bits 31..16 source port, 15..0 destination port.
    pub const KEY_PORTS: u64 = 0x10;
    /// Places of the table, four to a bucket. Read only.
    pub const PLACES: u64 = 0x18;
    /// Segments sent on. Read only.
    pub const TRANSMITTED: u64 = 0x20;
    /// Entries taken out by SYN, FIN or RST. Read only.
    pub const ENDED: u64 = 0x28;
    /// Segments that went to the control plane because of their options. Read only.
    pub const HANDED: u64 = 0x30;
    /// Staging, value: the first of [`VALUE_WORDS`] words
    /// ([`SpliceEntry::words`](super::SpliceEntry::words)).
    pub const VALUE: u64 = 0x40;
    /// Words of a value.
    pub const VALUE_WORDS: usize = 7;
    /// Writing puts the staged entry into bucket 15..0, way 17..16; bit 18: it is in use.
    pub const COMMIT: u64 = 0x80;
}

/// Registers of a `trace` module: eight tracepoints of each connection, 32 bits each, which
/// begin anew when the connection is opened and wrap.
pub mod trace {
    /// Bits 15..0: the flow whose tracepoints are read.
    pub const SELECT: u64 = 0x08;
    /// Tracepoint *i* of the selected flow, at `POINT + 8 * i`. Read only.
    pub const POINT: u64 = 0x40;
    /// Tracepoints.
    pub const POINTS: usize = 8;
    /// Segments received.
    pub const RECEIVED: usize = 0;
    /// Payload bytes placed in host memory.
    pub const PLACED: usize = 1;
    /// Segments placed out of order.
    pub const OUT_OF_ORDER: usize = 2;
    /// Segments with payload sent, again or for the first time.
    pub const DATA_SENT: usize = 3;
    /// Segments without payload sent.
    pub const ACKS_SENT: usize = 4;
    /// Fast retransmissions.
    pub const FAST_RETRANSMITS: usize = 5;
    /// Segments that acknowledged bytes with ECN echo.
    pub const ECN_ECHOES: usize = 6;
    /// The latest round-trip sample plus one, in 1.024 µs; 0: none yet. It does not count.
    pub const RTT: usize = 7;
}

/// Addresses and ports of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuple {
    /// IPv4 source.
    pub source_ip: u32,
    /// IPv4 destination.
    pub destination_ip: u32,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
}

/// An entry of `splice`: one direction of a spliced pair of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpliceEntry {
    /// What arrives.
    pub from: Tuple,
    /// What leaves.
    pub to: Tuple,
    /// MAC address of the next hop.
    pub destination_mac: [u8; 6],
    /// MAC address of this station.
    pub source_mac: [u8; 6],
    /// Added to sequence numbers.
    pub seq: u32,
    /// Added to acknowledgement numbers, and to the edges of SACK blocks.
    pub ack: u32,
    /// Added to TSval.
    pub ts_value: u32,
    /// Added to TSecr.
    pub ts_echo: u32,
}

impl SpliceEntry {
    /// The bucket of the entry in a table of `places` places.
    pub fn bucket(&self, places: u64) -> u64 {
        let from = &self.from;
        // Octet 0 of the key is the least significant of its 96 bits.
        let key = u128::from(from.source_ip) << 64
            | u128::from(from.destination_ip) << 32
            | u128::from(from.source_port) << 16
            | u128::from(from.destination_port);
        let hash = super::crc(0x82f6_3b78, &key.to_le_bytes()[..12]);
        u64::from(hash) % (places / 4)
    }

    /// The value in the order of [`splice::VALUE`].
    ///
    /// | word | bits |
    /// |---|---|
    /// | 0, 1 | 47..0 destination and source MAC address, first octet in 47..40 |
    /// | 2 | 31..0 source address, 63..32 destination address |
    /// | 3 | 15..0 source port, 31..16 destination port |
    /// | 4 | 31..0 added to SEG.SEQ, 63..32 to SEG.ACK |
    /// | 5 | changes of sums (RFC 1624), without carries: 15..0 of the IP header, 31..16 of the segment, 47..32 by timestamps, 63..48 by each SACK block |
    /// | 6 | 31..0 added to TSval, 63..32 to TSecr |
    pub fn words(&self) -> [u64; splice::VALUE_WORDS] {
        let mac = |mac: [u8; 6]| mac.iter().fold(0, |m, &b| m << 8 | u64::from(b));
        let halves = |word: u32| [word >> 16, word & 0xffff];
        let addresses = |t: &Tuple| [halves(t.source_ip), halves(t.destination_ip)].concat();
        let ports = |t: &Tuple| [u32::from(t.source_port), u32::from(t.destination_port)];
        // One's-complement sum of what is taken away and what is put in its place.
        let change = |old: &[u32], new: &[u32]| {
            let taken = old.iter().map(|word| 0xffff - word);
            let mut sum: u32 = taken.chain(new.iter().copied()).sum();
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            u64::from(sum)
        };
        let (old, new) = (addresses(&self.from), addresses(&self.to));
        let ip = change(&old, &new);
        // A number becomes larger by its difference.
        let added = |differences: [u32; 2]| change(&[], &differences.map(halves).concat());
        let tcp = change(
            &[&old[..], &ports(&self.from)].concat(),
            &[
                &new[..],
                &ports(&self.to),
                &halves(self.seq),
                &halves(self.ack),
            ]
            .concat(),
        );
        let stamps = added([self.ts_value, self.ts_echo]);
        let block = added([self.ack, self.ack]);
        [
            mac(self.destination_mac),
            mac(self.source_mac),
            u64::from(self.to.source_ip) | u64::from(self.to.destination_ip) << 32,
            u64::from(self.to.source_port) | u64::from(self.to.destination_port) << 16,
            u64::from(self.seq) | u64::from(self.ack) << 32,
            ip | tcp << 16 | stamps << 32 | block << 48,
            u64::from(self.ts_value) | u64::from(self.ts_echo) << 32,
        ]
    }

    /// The register writes that put the entry into way `way` of its bucket in module
    /// `number` with `places` places, or take it out.
    pub fn writes(&self, number: usize, places: u64, way: u8, in_use: bool) -> Vec<(u64, u64)> {
        let at = |register| module_register(number, register);
        let from = &self.from;
        let mut writes = vec![
            (
                at(splice::KEY_ADDRESSES),
                u64::from(from.source_ip) << 32 | u64::from(from.destination_ip),
            ),
            (
                at(splice::KEY_PORTS),
                u64::from(from.source_port) << 16 | u64::from(from.destination_port),
            ),
        ];
        let words = self.words().into_iter().zip(0..);
        writes.extend(words.map(|(word, i)| (at(splice::VALUE + 8 * i), word)));
        let place = self.bucket(places) | u64::from(way) << 16 | u64::from(in_use) << 18;
        writes.push((at(splice::COMMIT), place));
        writes
    }
}
