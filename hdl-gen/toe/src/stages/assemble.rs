//! Assemble: builds frames from headers and payload.
//!
//! The TCP checksum precedes the payload on the wire, so the payload of a segment is
//! stored and summed first. Frames leave in the order of `s`, which is ticket order:
//! this stage owns the egress order (contract O2).
//!
//! ```text
//!              ┌─────────────────────────────────────────┐ beats
//!  s_payload ─►│ store (FIFO)                            ├────────────┐
//!         │    └─────────────────────────────────────────┘            ▼
//!         │    ┌─────┐ ┌─────┐ ┌──────┐ ┌──────┐ sum               ┌──────┐
//!         └───►│ add │►│ add │►│ fold │►│ sums │───┐               │ emit │─► m
//!              └─────┘ └─────┘ └──────┘ └──────┘   ▼               └──────┘
//!     ┌────────┐ ┌───────┐ ┌─────┐ ┌───────┐ ┌──────────┐ ┌────────┐    ▲
//!  s ►│ egress │►│ build │►│ add │►│ total │►│ checksum │►│ frames │────┤
//!     └────────┘ └───────┘ └─────┘ └───────┘ └──────────┘ └────────┘ released
//! ```
//!
//! Headers wait in `egress`, which is deep: a frame whose payload is still to be read from
//! the host holds up those behind it, and that must not hold up reception. A header goes
//! on as soon as the sum of its payload is known; the header pipeline never
//! stalls, it stops taking headers while fewer than [`MARGIN`] of the finished frames'
//! queue are free. A frame that is in that queue is complete, so it leaves without a gap
//! while `m` is ready, once `released` has pulsed for it (contract O4).
//!
//! While `egress` is not empty, a plain acknowledgement waits before it for one more header:
//! when that is a data segment of the same flow, the acknowledgement is dropped, since
//! the segment says the same (RFC 9293 §3.8.6.3, piggyback). So a transmitter that is
//! behind sends no pure acknowledgements, and one that is not sends them at once.
//!
//! Sums are kept in the order of the octets in the bus (least significant octet first):
//! the one's complement sum does not depend on it (RFC 1071 §2 (B)), and no octet needs
//! to be swapped.
//!
//! A segment of whose payload a read was never answered takes its turn and is thrown away, so that no
//! wrong byte leaves; `m_lost` tells of it.
//!
//! IPv4 header: identification 0, DF, TTL 64. TCP: data offset 8 with NOP NOP
//! timestamps, else 5; an acknowledgement with blocks has NOP NOP SACK behind that. Frames below 60 bytes leave short; the MAC pads them. A raw frame
//! is its payload, untouched.
//!
//! A beat of 1024 bits holds all headers and payload behind them, one of 512 bits the
//! headers without timestamps; at 256 bits a frame begins with one or two beats of
//! headers alone.
//!
//! Initiation interval: one header and one beat a cycle; a frame begins a beat of its own. Latency from a header without
//! payload to its first beat: 7 cycles; from the last payload beat: 8; from `released`: 2.

use super::octets::{first_bytes, network16, network32, network48};
use crate::channels::{Beat, Header, PayloadBeat, Sack};
use hallux_hdl::prelude::*;

/// Bytes of the headers with timestamps: Ethernet 14, IPv4 20, TCP 20 + 12.
const LONG: usize = 66;
/// Bytes of the headers without.
const SHORT: usize = 54;
/// Bytes of a SACK option with three blocks, behind two NOPs.
const SACK: usize = 28;
/// Its bits.
const SACK_BITS: usize = 8 * SACK;
/// Bits of the longest header.
const HEADER_BITS: usize = 8 * (LONG + SACK);
/// Headers that may be in the pipeline when the queue of finished frames reports full, which
/// the pipeline learns a cycle later.
const MARGIN: usize = 6;
/// Segments without payload that are told of.
const LOST: usize = 16;
/// Finished headers that may wait for their turn on the wire.
const FRAMES: usize = 16;

/// A frame ready to leave.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Frame {
    /// Headers in wire order, first octet in bits 7..0; 54 or 66 octets, and the SACK option.
    pub header: Bits<HEADER_BITS>,
    /// The payload is the frame.
    pub raw: Bit,
    /// The header has 66 octets, or more and no payload behind; else 54.
    pub long: Bit,
    /// Payload bytes.
    pub length: Bits<14>,
    /// Bytes of the frame.
    pub bytes: Bits<15>,
    /// Its beats, less one.
    pub beats: Bits<8>,
    /// It has one beat.
    pub single: Bit,
    /// There is payload in the first.
    pub begins_with_payload: Bit,
    /// The beat in which its payload begins, and the one behind its last.
    pub payload_begin: Bits<8>,
    /// See `payload_begin`.
    pub payload_end: Bits<8>,
    /// It stands for an acknowledgement as well: two events release it.
    pub merged: Bit,
    /// Some of its payload could not be read: it is not sent.
    pub poisoned: Bit,
    /// Its flow.
    pub flow: Bits<16>,
    /// Generation of the flow.
    pub generation: Bits<8>,
}

/// The sum of a segment's payload.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Sum {
    /// Its one's complement sum.
    pub sum: Bits<16>,
    /// Some of it could not be read.
    pub poisoned: Bit,
}

/// A segment that was not sent, because its payload could not be read.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Lost {
    /// Its flow.
    pub flow: Bits<16>,
    /// Generation of the flow.
    pub generation: Bits<8>,
}

/// A header that waits for its turn.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Waiting {
    /// The header.
    pub header: Header,
    /// An acknowledgement before it was dropped.
    pub merged: Bit,
}

/// Partial sums of a frame's checksums.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Partial {
    /// IPv4 header.
    pub ip: Bits<20>,
    /// Addresses, protocol and length of the pseudo header, and the payload.
    pub pseudo: Bits<20>,
    /// TCP header without options.
    pub tcp: Bits<20>,
    /// TCP options: timestamps, or what stands in their place.
    pub options: Bits<20>,
    /// TCP options behind.
    pub sack: Bits<20>,
}

/// Both checksums before inversion.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Totals {
    /// IPv4 header.
    pub ip: Bits<20>,
    /// TCP segment with pseudo header.
    pub tcp: Bits<22>,
}

/// Adds the carries of a one's complement sum back in until 16 bits are left.
#[hdl_fn]
pub fn fold(x: Bits<23>) -> Bits<16> {
    let once = bit_cast::<17, 16>(x.get_bits::<16>(0)) + bit_cast::<17, 7>(x.get_bits::<7>(16));
    once.get_bits::<16>(0) + bit_cast::<16, 1>(once.get_bits::<1>(16))
}

/// Words of 32 bits of the SACK option and the two NOPs before it.
#[hdl_fn]
fn sack_words(count: Bits<2>) -> Bits<4> {
    if count.any() {
        cat::<3, 1, 4>(cat::<1, 2, 3>(bits::<1>(0), count), bits::<1>(1))
    } else {
        bits::<4>(0)
    }
}

/// The SACK option of an acknowledgement, behind two NOPs; nothing without blocks.
#[hdl_fn]
fn sack_option(sack: Sack) -> Bits<SACK_BITS> {
    let one = sack.count.any();
    let two = sack.count.get_bit(1);
    let three = sack.count == bits::<2>(3);
    let mut octets = bits::<SACK_BITS>(0);
    if one {
        octets.set_bits(0, network16(bits::<16>(0x0101)));
        octets.set_bits(16, bits::<8>(5));
        octets.set_bits(8 * 4, network32(sack.first.left));
        octets.set_bits(8 * 8, network32(sack.first.right));
    }
    if two {
        octets.set_bits(8 * 12, network32(sack.second.left));
        octets.set_bits(8 * 16, network32(sack.second.right));
    }
    if three {
        octets.set_bits(8 * 20, network32(sack.third.left));
        octets.set_bits(8 * 24, network32(sack.third.right));
    }
    octets.set_bits(
        24,
        if three {
            bits::<8>(26)
        } else if two {
            bits::<8>(18)
        } else if one {
            bits::<8>(10)
        } else {
            bits::<8>(0)
        },
    );
    octets
}

/// Beat `index` of a frame whose headers have `bytes` bytes: the headers in it, with the
/// payload's beat `arriving` and what `previous` has left behind them.
#[hdl_fn]
fn beat_behind<const N: usize, const K: usize>(
    header: Bits<HEADER_BITS>,
    index: Bits<8>,
    arriving: Bits<N>,
    previous: Bits<N>,
    bytes: usize,
) -> Bits<N> {
    let gap = 8 * (bytes % K) as u64;
    let mut head = previous >> (N as u64 - gap);
    for i in 0..bytes.div_ceil(K) {
        if index == bits::<8>(i as u64) {
            head = bit_cast::<N, HEADER_BITS>(header >> (N * i) as u64);
        }
    }
    head | (arriving << gap)
}

/// Builds and emits frames.
#[derive(LogicBlock, Default)]
pub struct Assemble<const N: usize, const K: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high.
    pub rst: Signal<In, Bit>,
    /// Headers in ticket order.
    pub s: StreamSink<Header>,
    /// Payload of the headers with a length, in the same order.
    pub s_payload: StreamSink<PayloadBeat<N>>,
    /// Station address, first octet in bits 47..40.
    pub mac: Signal<In, Bits<48>>,
    /// Time in ns.
    pub now: Signal<In, Bits<64>>,
    /// Pulse: the event of the oldest header that is not released yet is complete.
    pub released: Signal<In, Bit>,
    /// Frames to the wire.
    pub m: StreamSource<Beat<N, K>>,
    /// Segments that were not sent because their payload could not be read.
    pub m_lost: StreamSource<Lost>,
    /// Nothing is held but what `m_lost` has to say.
    pub idle: Signal<Out, Bit>,
    /// A header that waits before `egress`.
    held: DFF<Waiting>,
    held_valid: DFF<Bit>,
    egress: Fifo<Waiting>,
    /// Beside it, whether payload follows: block RAM is too slow to decide on.
    loaded: Fifo<Bit>,
    /// There was room for the headers of the pipeline in `frames` a cycle ago.
    roomy: DFF<Bit>,
    /// Releases of frames that have not left.
    releases: DFF<Bits<12>>,
    store: Fifo<PayloadBeat<N>>,
    /// Payload beat being summed: present, last of its segment.
    add_valid: DFF<Bit>,
    add_last: DFF<Bit>,
    add_poisoned: DFF<Bit>,
    /// Sums of four words each.
    quads: Vec<DFF<Bits<18>>>,
    total_valid: DFF<Bit>,
    total_last: DFF<Bit>,
    total_poisoned: DFF<Bit>,
    total: DFF<Bits<23>>,
    /// Sum of the segment's earlier beats.
    running: DFF<Bits<16>>,
    sums: Fifo<Sum>,
    lost: Fifo<Lost>,
    built_valid: DFF<Bit>,
    built: DFF<Frame>,
    built_sum: DFF<Bits<16>>,
    partial_valid: DFF<Bit>,
    partial_frame: DFF<Frame>,
    partial: DFF<Partial>,
    totals_valid: DFF<Bit>,
    totals_frame: DFF<Frame>,
    totals: DFF<Totals>,
    frames: Fifo<Frame>,
    /// Beats of the oldest frame that have left.
    index: DFF<Bits<8>>,
    /// It is not the first; it is the last; there is payload in it.
    midway: DFF<Bit>,
    final_beat: DFF<Bit>,
    consuming: DFF<Bit>,
    /// The payload beat before, part of which is still to leave.
    previous: DFF<Bits<N>>,
    out: StreamRegister<Beat<N, K>>,
    headers_fit: Assert,
    sums_fit: Assert,
    no_gap: Assert,
}

impl<const N: usize, const K: usize> Assemble<N, K> {
    /// An assembler that stores `store_beats` payload beats, where a whole segment must
    /// fit, and `egress` headers, at most 2048.
    pub fn new(store_beats: usize, egress: usize) -> Self {
        Self {
            egress: Fifo::new(egress),
            loaded: Fifo::new(egress),
            quads: (0..N / 64).map(|_| DFF::default()).collect(),
            store: Fifo::new(store_beats),
            // A segment has at least one beat, so there are never more sums than beats.
            lost: Fifo::new(LOST),
            sums: Fifo::new(store_beats).with_output(FifoOutput::Forward),
            frames: Fifo::new(FRAMES)
                .with_almost_full(MARGIN)
                .with_output(FifoOutput::Forward),
            headers_fit: Assert::new("a header finds no place among the finished frames"),
            sums_fit: Assert::new("there are more payload sums than payload beats"),
            no_gap: Assert::new("a frame on the wire waits for its payload"),
            ..Self::default()
        }
    }
}

impl<const N: usize, const K: usize> Logic for Assemble<N, K> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self,
            clk,
            add_valid,
            add_last,
            add_poisoned,
            total_valid,
            total_last,
            total_poisoned,
            total,
            running,
            built_valid,
            built,
            built_sum,
            partial_valid,
            partial_frame,
            partial,
            totals_valid,
            totals_frame,
            totals,
            index,
            midway,
            final_beat,
            consuming,
            previous,
            held,
            held_valid,
            releases,
            roomy
        );
        self.egress.clk.next = self.clk.val();
        self.egress.rst.next = self.rst.val();
        self.loaded.clk.next = self.clk.val();
        self.loaded.rst.next = self.rst.val();
        self.store.clk.next = self.clk.val();
        self.store.rst.next = self.rst.val();
        self.sums.clk.next = self.clk.val();
        self.sums.rst.next = self.rst.val();
        self.frames.clk.next = self.clk.val();
        self.frames.rst.next = self.rst.val();
        self.lost.clk.next = self.clk.val();
        self.lost.rst.next = self.rst.val();
        self.out.clk.next = self.clk.val();
        self.out.rst.next = self.rst.val();

        // Payload: store and sum.
        let payload = self.s_payload.data.val();
        let stored = self.s_payload.valid.val() & self.store.s.ready.val();
        self.store.s.data.next = payload;
        self.store.s.valid.next = self.s_payload.valid.val();
        self.s_payload.ready.next = self.store.s.ready.val();
        self.add_valid.d.next = stored;
        self.add_last.d.next = payload.last;
        self.add_poisoned.d.next = payload.poisoned;
        for i in 0..self.quads.len() {
            dff_setup!(self, clk, quads[i]);
            let a = bit_cast::<18, 16>(payload.data.get_bits::<16>(64 * i));
            let b = bit_cast::<18, 16>(payload.data.get_bits::<16>(64 * i + 16));
            let c = bit_cast::<18, 16>(payload.data.get_bits::<16>(64 * i + 32));
            let d = bit_cast::<18, 16>(payload.data.get_bits::<16>(64 * i + 48));
            if stored {
                self.quads[i].d.next = (a + b) + (c + d);
            }
        }
        self.total_valid.d.next = self.add_valid.q.val();
        self.total_last.d.next = self.add_last.q.val();
        self.total_poisoned.d.next = self.add_poisoned.q.val();
        let mut total_next = bits::<23>(0);
        for i in 0..self.quads.len() {
            total_next = total_next + bit_cast::<23, 18>(self.quads[i].q.val());
        }
        if self.add_valid.q.val() {
            self.total.d.next = total_next;
        }
        let running_next = fold(self.total.q.val() + bit_cast::<23, 16>(self.running.q.val()));
        if self.total_valid.q.val() {
            self.running.d.next = if self.total_last.q.val() {
                bits::<16>(0)
            } else {
                running_next
            };
        }
        self.sums.s.valid.next = self.total_valid.q.val() & self.total_last.q.val();
        self.sums.s.data.next = Sum {
            sum: running_next,
            poisoned: self.total_poisoned.q.val(),
        };
        self.sums_fit.clk.next = self.clk.val();
        self.sums_fit.holds.next = self.rst.val()
            | !(self.total_valid.q.val() & self.total_last.q.val())
            | self.sums.s.ready.val();

        // Wait: at most one header passes into `egress` in a cycle, the held one first.
        let offer = self.s.data.val();
        let held = self.held.q.val();
        let holds = self.held_valid.q.val();
        // Offers come late in a clock: whether there is room counts only for what changes.
        let fits = self.egress.s.ready.val();
        let comes = self.s.valid.val();
        let backlog = self.egress.level.val().any();
        let joins = comes
            & holds
            & held.header.plain_ack
            & (held.header.flow == offer.flow)
            & offer.length.any()
            & !offer.raw;
        let direct = comes & (joins | (!holds & !(offer.plain_ack & backlog)));
        // A header that is held goes when it need not wait, or when another comes.
        let stays = holds & held.header.plain_ack & backlog & !comes;
        let passes = if holds {
            comes | !(held.header.plain_ack & backlog)
        } else {
            comes & !(offer.plain_ack & backlog)
        };
        self.s.ready.next = fits;
        self.egress.s.valid.next = passes;
        self.loaded.s.valid.next = passes;
        self.loaded.s.data.next = if direct {
            offer.length.any()
        } else {
            held.header.length.any()
        };
        self.egress.s.data.next = if direct {
            Waiting {
                header: offer,
                merged: joins,
            }
        } else {
            held
        };
        if fits {
            self.held_valid.d.next = stays | (comes & !direct);
        }
        if fits & comes & !direct {
            self.held.d.next = Waiting {
                header: offer,
                merged: false,
            };
        }

        // Build: a header enters once its payload's sum is known.
        let waiting = self.egress.m.data.val();
        let header = waiting.header;
        let has_payload = self.loaded.m.data.val();
        self.roomy.d.next = !self.frames.almost_full.val();
        let room = self.roomy.q.val();
        let take = room & (!has_payload | self.sums.m.valid.val());
        let enter = take & self.loaded.m.valid.val();
        self.egress.m.ready.next = take;
        self.loaded.m.ready.next = take;
        self.sums.m.ready.next = enter & has_payload;
        let payload_bytes = bit_cast::<16, 14>(header.length);
        let words = sack_words(header.sack.count);
        let tcp_bytes = payload_bytes
            + if header.ts_on {
                bits::<16>(32)
            } else {
                bits::<16>(20)
            }
            + bit_cast::<16, 6>(cat::<4, 2, 6>(words, bits::<2>(0)));
        let ts_val = self.now.val().get_bits::<32>(10) + header.ts_offset;
        let mut octets = bits::<HEADER_BITS>(0);
        octets.set_bits(0, network48(header.remote_mac));
        octets.set_bits(8 * 6, network48(self.mac.val()));
        octets.set_bits(8 * 12, network16(bits::<16>(0x0800)));
        octets.set_bits(8 * 14, bits::<8>(0x45));
        octets.set_bits(8 * 15, header.ecn);
        octets.set_bits(8 * 16, network16(tcp_bytes + bits::<16>(20)));
        octets.set_bits(8 * 20, network16(bits::<16>(0x4000)));
        octets.set_bits(8 * 22, bits::<8>(64));
        octets.set_bits(8 * 23, bits::<8>(6));
        octets.set_bits(8 * 26, network32(header.local_ip));
        octets.set_bits(8 * 30, network32(header.remote_ip));
        octets.set_bits(8 * 34, network16(header.local_port));
        octets.set_bits(8 * 36, network16(header.remote_port));
        octets.set_bits(8 * 38, network32(header.seq));
        octets.set_bits(8 * 42, network32(header.ack));
        octets.set_bits(8 * 47, header.flags);
        octets.set_bits(8 * 48, network16(header.window));
        if header.ts_on {
            octets.set_bits(8 * 46 + 4, bits::<4>(8) + words);
            octets.set_bits(8 * 54, network32(bits::<32>(0x0101_080a)));
            octets.set_bits(8 * 58, network32(ts_val));
            octets.set_bits(8 * 62, network32(header.ts_ecr));
            octets.set_bits(8 * LONG, sack_option(header.sack));
        } else {
            octets.set_bits(8 * 46 + 4, bits::<4>(5) + words);
            octets.set_bits(8 * SHORT, sack_option(header.sack));
        }
        let header_bytes = if header.raw {
            bits::<15>(0)
        } else if header.ts_on {
            bits::<15>(LONG as u64)
        } else {
            bits::<15>(SHORT as u64)
        };
        let header_bytes = header_bytes + bit_cast::<15, 6>(cat::<4, 2, 6>(words, bits::<2>(0)));
        self.built_valid.d.next = enter;
        if enter {
            self.built.d.next = Frame {
                header: octets,
                raw: header.raw,
                long: header.ts_on | words.any(),
                length: header.length,
                bytes: header_bytes + bit_cast::<15, 14>(header.length),
                beats: bits::<8>(0),
                single: false,
                begins_with_payload: false,
                payload_begin: bits::<8>(0),
                payload_end: bits::<8>(0),
                merged: waiting.merged,
                poisoned: has_payload & self.sums.m.data.val().poisoned,
                flow: header.flow,
                generation: header.generation,
            };
            self.built_sum.d.next = if has_payload {
                self.sums.m.data.val().sum
            } else {
                bits::<16>(0)
            };
        }

        // Add: the words of each part.
        let built = self.built.q.val();
        let mut ip = bits::<20>(0);
        for i in 0..10 {
            ip = ip + bit_cast::<20, 16>(built.header.get_bits::<16>(8 * 14 + 16 * i));
        }
        let mut pseudo = bit_cast::<20, 16>(self.built_sum.q.val())
            + bit_cast::<20, 16>(network16(bits::<16>(6)));
        for i in 0..4 {
            pseudo = pseudo + bit_cast::<20, 16>(built.header.get_bits::<16>(8 * 26 + 16 * i));
        }
        // The TCP length is the frame less Ethernet and IPv4 headers.
        pseudo = pseudo
            + bit_cast::<20, 16>(network16(bit_cast::<16, 15>(built.bytes - bits::<15>(34))));
        let mut tcp = bits::<20>(0);
        for i in 0..10 {
            tcp = tcp + bit_cast::<20, 16>(built.header.get_bits::<16>(8 * 34 + 16 * i));
        }
        let mut options = bits::<20>(0);
        for i in 0..6 {
            options = options + bit_cast::<20, 16>(built.header.get_bits::<16>(8 * 54 + 16 * i));
        }
        let mut sack = bits::<20>(0);
        for i in 0..SACK / 2 {
            sack = sack + bit_cast::<20, 16>(built.header.get_bits::<16>(8 * LONG + 16 * i));
        }
        self.partial_valid.d.next = self.built_valid.q.val();
        if self.built_valid.q.val() {
            self.partial_frame.d.next = built;
            self.partial.d.next = Partial {
                ip,
                pseudo,
                tcp,
                options,
                sack,
            };
        }

        // Total. What becomes of each beat on the wire is known long before.
        let partial = self.partial.q.val();
        self.totals_valid.d.next = self.partial_valid.q.val();
        if self.partial_valid.q.val() {
            let frame = self.partial_frame.q.val();
            let filled = if frame.raw {
                bits::<8>(0)
            } else if frame.long {
                bits::<8>((LONG / K) as u64)
            } else {
                bits::<8>((SHORT / K) as u64)
            };
            let up = bits::<15>(K as u64 - 1);
            let beat_log2 = K.trailing_zeros() as u64;
            let payload_beats = (bit_cast::<15, 14>(frame.length) + up) >> beat_log2;
            self.totals_frame.d.next = frame;
            let beats = ((frame.bytes - bits::<15>(1)) >> beat_log2).get_bits::<8>(0);
            self.totals_frame.d.next.beats = beats;
            self.totals_frame.d.next.single = !beats.any();
            self.totals_frame.d.next.begins_with_payload = frame.length.any() & !filled.any();
            self.totals_frame.d.next.payload_begin = filled;
            self.totals_frame.d.next.payload_end = filled + payload_beats.get_bits::<8>(0);
            self.totals.d.next = Totals {
                ip: partial.ip,
                tcp: (bit_cast::<22, 20>(partial.pseudo) + bit_cast::<22, 20>(partial.tcp))
                    + (bit_cast::<22, 20>(partial.options) + bit_cast::<22, 20>(partial.sack)),
            };
        }

        // Checksum: fold, invert, insert.
        let totals = self.totals.q.val();
        let mut finished = self.totals_frame.q.val();
        finished
            .header
            .set_bits(8 * 24, !fold(bit_cast::<23, 20>(totals.ip)));
        finished
            .header
            .set_bits(8 * 50, !fold(bit_cast::<23, 22>(totals.tcp)));
        self.frames.s.valid.next = self.totals_valid.q.val();
        self.frames.s.data.next = finished;
        self.headers_fit.clk.next = self.clk.val();
        self.headers_fit.holds.next =
            self.rst.val() | !self.totals_valid.q.val() | self.frames.s.ready.val();

        // Emit: header and payload without a gap.
        let frame = self.frames.m.data.val();
        // What a beat is, is found a beat ahead.
        let index = self.index.q.val();
        let first = !self.midway.q.val();
        let last = if first {
            frame.single
        } else {
            self.final_beat.q.val()
        };
        let consume = if first {
            frame.begins_with_payload
        } else {
            self.consuming.q.val()
        };
        let rest = bit_cast::<8, 15>(frame.bytes) & bits::<8>(K as u64 - 1);
        let payload_ready = !consume | self.store.m.valid.val();
        let released = self.releases.q.val();
        let one_is_enough = !frame.merged & released.any();
        let may_leave = !first | one_is_enough | released.get_bits::<11>(1).any();
        let leaves = self.frames.m.valid.val() & payload_ready & may_leave;
        let advance = leaves & self.out.s.ready.val();
        // What is left is worked out for each case before it is known which it is.
        let fewer = released - bits::<12>(1);
        let without = if !(advance & first) {
            released
        } else if frame.merged {
            released - bits::<12>(2)
        } else {
            fewer
        };
        let with = if !(advance & first) {
            released + bits::<12>(1)
        } else if frame.merged {
            fewer
        } else {
            released
        };
        self.releases.d.next = if self.released.val() { with } else { without };
        let arriving = if consume {
            self.store.m.data.val().data
        } else {
            bits::<N>(0)
        };
        let previous = self.previous.q.val();
        let data = if frame.raw {
            arriving
        } else if frame.long {
            beat_behind::<N, K>(frame.header, self.index.q.val(), arriving, previous, LONG)
        } else {
            beat_behind::<N, K>(frame.header, self.index.q.val(), arriving, previous, SHORT)
        };
        let keep = if last {
            first_bytes::<K>(if rest.any() {
                rest
            } else {
                bits::<8>(K as u64)
            })
        } else {
            !bits::<K>(0)
        };
        // A frame without all of its payload takes its turn like any other, but goes nowhere. Of
        // more than can be told the rest is lost again when it is sent again.
        self.out.s.valid.next = leaves & !frame.poisoned;
        self.lost.s.data.next = Lost {
            flow: frame.flow,
            generation: frame.generation,
        };
        self.lost.s.valid.next = advance & last & frame.poisoned & !frame.raw;
        StreamSource::<Lost>::link(&mut self.m_lost, &mut self.lost.m);
        self.out.s.data.next = Beat::<N, K> { data, keep, last };
        self.no_gap.clk.next = self.clk.val();
        self.no_gap.holds.next = self.rst.val() | !self.frames.m.valid.val() | payload_ready;
        self.store.m.ready.next = advance & consume;
        self.frames.m.ready.next = advance & last;
        if advance {
            self.previous.d.next = arriving;
            let next = index + bits::<8>(1);
            self.index.d.next = if last { bits::<8>(0) } else { next };
            self.midway.d.next = !last;
            self.final_beat.d.next = next == frame.beats;
            self.consuming.d.next = next < frame.payload_end;
            if LONG >= K {
                self.consuming.d.next = (next < frame.payload_end) & (next >= frame.payload_begin);
            }
        }
        self.m.data.next = self.out.m.data.val();
        self.m.valid.next = self.out.m.valid.val();
        self.out.m.ready.next = self.m.ready.val();

        self.idle.next = !self.store.level.val().any()
            & !self.add_valid.q.val()
            & !self.total_valid.q.val()
            & !self.sums.level.val().any()
            & !self.held_valid.q.val()
            & !self.egress.level.val().any()
            & !self.built_valid.q.val()
            & !self.partial_valid.q.val()
            & !self.totals_valid.q.val()
            & !self.frames.level.val().any()
            & !self.out.m.valid.val();

        if self.rst.val() {
            self.add_valid.d.next = false;
            self.total_valid.d.next = false;
            self.running.d.next = bits::<16>(0);
            self.built_valid.d.next = false;
            self.partial_valid.d.next = false;
            self.totals_valid.d.next = false;
            self.index.d.next = bits::<8>(0);
            self.midway.d.next = false;
            self.held_valid.d.next = false;
            self.releases.d.next = bits::<12>(0);
        }
    }
}
