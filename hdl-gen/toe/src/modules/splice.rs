//! Splice: turns the segments of one connection into those of another and sends them on.
//!
//! ```text
//!          ┌─────────┐ image of bytes 0..64
//!  s ─────►│ inspect ├──────────────┬──────────────► m  (transmit, redirect, pass)
//!          └──┬───▲──┘              │
//!   headers   │   └──────────┐ judgement
//!          ┌──▼──┐  ┌────────┴┐  ┌──┴──┐
//!          │table├─►│ add     ├─►│ sum │
//!          └──▲──┘  └─────────┘  └─────┘
//!          access
//! ```
//!
//! For a proxy that has made up its mind: the host writes an entry for each direction, and
//! from then on the payload never reaches it. A TCP segment whose addresses and ports are in
//! the table leaves by the wire with other MAC and IP addresses, other ports, and sequence
//! and acknowledgement numbers that are moved by the differences of the two connections.
//! Both checksums are updated by what has changed (RFC 1624 equation 3), so damaged segments
//! stay damaged. TCP options are left alone: splice connections without SACK and timestamps,
//! or with none of their numbers moved.
//!
//! A segment with SYN, FIN or RST takes its entry out of the table and goes to the control
//! plane as it came; so does what follows on this connection, since it is in no table. Frames
//! with a VLAN tag, IP options or fragments are not spliced: put `vlan` in front.
//!
//! Initiation interval 1, latency 9.

use super::inspect::{HEAD_BYTES, Headers, Inspect};
use super::plan::{Declaration, Order};
use super::port::{Access, PASS, Passing, REDIRECT, TRANSMIT, first_verdict};
use crate::interface::modules::{Slot, splice};
use crate::stages::octets::{network16, network32, network48};
use hallux_hdl::prelude::*;

/// What the module needs and does.
pub const DECLARATION: Declaration = Declaration {
    slots: &[Slot::Ingress],
    latency: 9,
    interval: 1,
    order: Order::Kept,
    verdicts: &[REDIRECT, TRANSMIT],
};

/// Bits of a key: addresses and ports.
const KEY_BITS: usize = 96;
/// Bits of an entry's value: six words.
const VALUE_BITS: usize = 64 * splice::VALUE_WORDS;
/// TCP flags that end a splice: FIN, SYN, RST.
const ENDS: u64 = 0b111;
/// Clocks that headers wait for the table.
const LOOKUP: usize = 3;

/// What becomes of a frame.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Rewrite {
    /// Verdict.
    pub verdict: Bits<2>,
    /// Bytes 0..12 of the frame.
    pub addresses: Bits<96>,
    /// Bytes 24..26: IP checksum.
    pub ip_checksum: Bits<16>,
    /// Bytes 26..46: IP addresses, ports, sequence and acknowledgement number.
    pub middle: Bits<160>,
    /// Bytes 50..52: TCP checksum.
    pub tcp_checksum: Bits<16>,
}

/// A rewrite whose checksums are still sums.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Sums {
    /// The rest.
    pub rewrite: Rewrite,
    /// Sum of the IP header, not folded.
    pub ip: Bits<20>,
    /// Half of the sum of the segment, not folded.
    pub tcp: Bits<20>,
    /// The other half.
    pub more: Bits<20>,
}

/// Folds a one's-complement sum (RFC 1071 §4.1).
#[hdl_fn]
fn fold(sum: Bits<20>) -> Bits<16> {
    let once = bit_cast::<17, 16>(sum.get_bits::<16>(0)) + bit_cast::<17, 4>(sum.get_bits::<4>(16));
    once.get_bits::<16>(0) + bit_cast::<16, 1>(once.get_bits::<1>(16))
}

/// The sum of the two halves of a word.
#[hdl_fn]
fn halves(word: Bits<32>) -> Bits<20> {
    bit_cast::<20, 16>(word.get_bits::<16>(0)) + bit_cast::<20, 16>(word.get_bits::<16>(16))
}

/// See the [module](self).
#[derive(LogicBlock)]
pub struct Splice<const N: usize, const K: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset: no entry is in use.
    pub rst: Signal<In, Bit>,
    /// Frames.
    pub s: StreamSink<Passing<N, K>>,
    /// Frames, those of the table rewritten.
    pub m: StreamSource<Passing<N, K>>,
    /// Register access.
    pub access: Signal<In, Access>,
    /// Value of the register.
    pub answer: Signal<Out, Bits<64>>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    inspect: Inspect<N, K, Rewrite>,
    /// Headers beside the lookup of their key.
    asked: [DFF<Headers>; LOOKUP],
    asked_valid: [DFF<Bit>; LOOKUP],
    table: HashLookup<KEY_BITS, VALUE_BITS>,
    /// Which places of the table are in use, four to a bucket.
    active: Vec<DFF<Bit>>,
    // The entry, or that there is none.
    found: DFF<Bits<VALUE_BITS>>,
    found_headers: DFF<Headers>,
    found_verdict: DFF<Bits<2>>,
    found_valid: DFF<Bit>,
    // Behind the adders.
    moved: DFF<Sums>,
    moved_valid: DFF<Bit>,
    summed: DFF<Sums>,
    summed_valid: DFF<Bit>,
    done: DFF<Rewrite>,
    done_valid: DFF<Bit>,
    staged_key: DFF<Bits<KEY_BITS>>,
    staged_value: DFF<Bits<VALUE_BITS>>,
    transmitted: DFF<Bits<64>>,
    ended: DFF<Bits<64>>,
    table_flows: Assert,
    _places: usize,
}

impl<const N: usize, const K: usize> Splice<N, K> {
    /// A table with `places` places, a power of two from 8 to 256.
    pub fn new(places: usize) -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            m: Default::default(),
            access: Default::default(),
            answer: Default::default(),
            idle: Default::default(),
            inspect: Inspect::new(),
            asked: Default::default(),
            asked_valid: Default::default(),
            table: HashLookup::new(places / WAYS),
            active: (0..places).map(|_| Default::default()).collect(),
            found: Default::default(),
            found_headers: Default::default(),
            found_verdict: Default::default(),
            found_valid: Default::default(),
            moved: Default::default(),
            moved_valid: Default::default(),
            summed: Default::default(),
            summed_valid: Default::default(),
            done: Default::default(),
            done_valid: Default::default(),
            staged_key: Default::default(),
            staged_value: Default::default(),
            transmitted: Default::default(),
            ended: Default::default(),
            table_flows: Assert::new("the table answers in the clock in which it is asked for"),
            _places: places,
        }
    }
}

impl<const N: usize, const K: usize> Logic for Splice<N, K> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self,
            clk,
            found,
            found_headers,
            found_verdict,
            found_valid,
            moved,
            moved_valid,
            summed,
            summed_valid,
            done,
            done_valid,
            staged_key,
            staged_value,
            transmitted,
            ended
        );
        self.inspect.clk.next = self.clk.val();
        self.inspect.rst.next = self.rst.val();
        self.table.clk.next = self.clk.val();
        self.table.rst.next = self.rst.val();
        StreamSink::<Passing<N, K>>::link(&mut self.s, &mut self.inspect.s);

        // Look up: a register, two clocks in the table.
        for i in 0..LOOKUP {
            dff_setup!(self, clk, asked[i], asked_valid[i]);
        }
        self.asked_valid[0].d.next = self.inspect.head_valid.val();
        if self.inspect.head_valid.val() {
            self.asked[0].d.next = self.inspect.headers.val();
        }
        for i in 1..LOOKUP {
            self.asked_valid[i].d.next = self.asked_valid[i - 1].q.val();
            if self.asked_valid[i - 1].q.val() {
                self.asked[i].d.next = self.asked[i - 1].q.val();
            }
        }
        let asks = self.asked[0].q.val();
        self.table.s.data.next = cat::<64, 32, KEY_BITS>(
            cat::<32, 32, 64>(asks.source_ip, asks.destination_ip),
            cat::<16, 16, 32>(asks.source_port, asks.destination_port),
        );
        self.table.s.valid.next = self.asked_valid[0].q.val();
        self.table.m.ready.next = true;

        // Judge.
        let answers = self.asked_valid[LOOKUP - 1].q.val();
        let headers = self.asked[LOOKUP - 1].q.val();
        let result = self.table.m.data.val();
        let place = cat::<14, 2, 16>(result.bucket.get_bits::<14>(0), result.way);
        let mut active = false;
        for i in 0..self._places {
            if place == bits::<16>(i as u64) {
                active = self.active[i].q.val();
            }
        }
        let tcp = headers.plain & !headers.tagged & (headers.protocol == bits::<8>(6));
        let hit = answers & tcp & result.hit & active;
        let ends = hit & (headers.flags & bits::<8>(ENDS)).any();
        self.found_valid.d.next = answers;
        if answers {
            self.found.d.next = result.value;
            self.found_headers.d.next = headers;
            self.found_verdict.d.next = if ends {
                bits::<2>(REDIRECT)
            } else if hit {
                bits::<2>(TRANSMIT)
            } else {
                bits::<2>(PASS)
            };
        }
        if ends {
            self.ended.d.next = self.ended.q.val() + bits::<64>(1);
        }
        if hit & !ends {
            self.transmitted.d.next = self.transmitted.q.val() + bits::<64>(1);
        }
        self.table_flows.clk.next = self.clk.val();
        self.table_flows.holds.next =
            self.rst.val() | !(answers ^ self.table.m.valid.val()) & self.table.s.ready.val();

        // Move the numbers, and begin the sums: HC' = ~(~HC + ~m + m').
        let entry = self.found.q.val();
        let seen = self.found_headers.q.val();
        let seq = seen.seq + entry.get_bits::<32>(256);
        let ack = seen.ack + entry.get_bits::<32>(288);
        let addresses = cat::<48, 48, 96>(
            network48(entry.get_bits::<48>(64)),
            network48(entry.get_bits::<48>(0)),
        );
        let numbers = cat::<32, 32, 64>(network32(ack), network32(seq));
        let ports = cat::<16, 16, 32>(
            network16(entry.get_bits::<16>(208)),
            network16(entry.get_bits::<16>(192)),
        );
        let ips = cat::<32, 32, 64>(
            network32(entry.get_bits::<32>(160)),
            network32(entry.get_bits::<32>(128)),
        );
        let ip_change = bit_cast::<20, 16>(entry.get_bits::<16>(320));
        let tcp_change = bit_cast::<20, 16>(entry.get_bits::<16>(336));
        self.moved_valid.d.next = self.found_valid.q.val();
        if self.found_valid.q.val() {
            self.moved.d.next = Sums {
                rewrite: Rewrite {
                    verdict: self.found_verdict.q.val(),
                    addresses,
                    ip_checksum: bits::<16>(0),
                    middle: cat::<64, 96, 160>(numbers, cat::<32, 64, 96>(ports, ips)),
                    tcp_checksum: bits::<16>(0),
                },
                ip: bit_cast::<20, 16>(!seen.ip_checksum) + ip_change,
                tcp: bit_cast::<20, 16>(!seen.tcp_checksum) + tcp_change,
                more: halves(!seen.seq) + halves(!seen.ack),
            };
        }
        let moved = self.moved.q.val();
        let new = moved.rewrite.middle;
        self.summed_valid.d.next = self.moved_valid.q.val();
        if self.moved_valid.q.val() {
            self.summed.d.next = Sums {
                tcp: moved.tcp + moved.more,
                more: halves(network32(new.get_bits::<32>(96)))
                    + halves(network32(new.get_bits::<32>(128))),
                ..moved
            };
        }
        let summed = self.summed.q.val();
        self.done_valid.d.next = self.summed_valid.q.val();
        if self.summed_valid.q.val() {
            self.done.d.next = Rewrite {
                ip_checksum: network16(!fold(summed.ip)),
                tcp_checksum: network16(!fold(summed.tcp + summed.more)),
                ..summed.rewrite
            };
        }
        self.inspect.judged_valid.next = self.done_valid.q.val();
        self.inspect.judged.next = self.done.q.val();

        // Rewrite.
        let passing = self.inspect.m.data.val();
        let rewrite = self.inspect.judgement.val();
        let image = bit_cast::<512, 96>(rewrite.addresses)
            | (bit_cast::<512, 16>(rewrite.ip_checksum) << 192u64)
            | (bit_cast::<512, 160>(rewrite.middle) << 208u64)
            | (bit_cast::<512, 16>(rewrite.tcp_checksum) << 400u64);
        let mask = bit_cast::<512, 96>(!bits::<96>(0))
            | (bit_cast::<512, 176>(!bits::<176>(0)) << 192u64)
            | (bit_cast::<512, 16>(!bits::<16>(0)) << 400u64);
        let verdict = first_verdict(passing.verdict, rewrite.verdict);
        let rewrites =
            (passing.verdict == bits::<2>(PASS)) & (rewrite.verdict == bits::<2>(TRANSMIT));
        let mut out = passing.beat;
        for i in 0..HEAD_BYTES.div_ceil(K) {
            if rewrites & (self.inspect.index.val() == bits::<2>(i as u64)) {
                let part = bit_cast::<N, 512>(image >> (i * N) as u64);
                let which = bit_cast::<N, 512>(mask >> (i * N) as u64);
                out.data = (passing.beat.data & !which) | part;
            }
        }
        self.m.data.next = Passing::<N, K> { beat: out, verdict };
        self.m.valid.next = self.inspect.m.valid.val();
        self.inspect.m.ready.next = self.m.ready.val();

        // The host writes entries; the table's own bit of validity is not used.
        let access = self.access.val();
        if access.write {
            if access.word == bits::<9>(splice::KEY_ADDRESSES / 8) {
                self.staged_key.d.next.set_bits::<64>(32, access.data);
            }
            if access.word == bits::<9>(splice::KEY_PORTS / 8) {
                self.staged_key
                    .d
                    .next
                    .set_bits::<32>(0, access.data.get_bits::<32>(0));
            }
            for i in 0..splice::VALUE_WORDS {
                if access.word == bits::<9>(splice::VALUE / 8 + i as u64) {
                    self.staged_value.d.next.set_bits::<64>(64 * i, access.data);
                }
            }
        }
        let commits = access.write & (access.word == bits::<9>(splice::COMMIT / 8));
        self.table.write_enable.next = commits;
        self.table.write_bucket.next = access.data.get_bits::<16>(0);
        self.table.write_way.next = access.data.get_bits::<2>(16);
        self.table.write_entry.next = HashEntry::<KEY_BITS, VALUE_BITS> {
            valid: access.data.get_bit(18),
            key: self.staged_key.q.val(),
            value: self.staged_value.q.val(),
        };
        let committed =
            cat::<14, 2, 16>(access.data.get_bits::<14>(0), access.data.get_bits::<2>(16));
        for i in 0..self._places {
            dff_setup!(self, clk, active[i]);
            if ends & (place == bits::<16>(i as u64)) {
                self.active[i].d.next = false;
            }
            if commits & (committed == bits::<16>(i as u64)) {
                self.active[i].d.next = access.data.get_bit(18);
            }
            if self.rst.val() {
                self.active[i].d.next = false;
            }
        }
        let mut answer = bits::<64>(0);
        if access.word == bits::<9>(splice::PLACES / 8) {
            answer = bits::<64>(self._places as u64);
        }
        if access.word == bits::<9>(splice::TRANSMITTED / 8) {
            answer = self.transmitted.q.val();
        }
        if access.word == bits::<9>(splice::ENDED / 8) {
            answer = self.ended.q.val();
        }
        self.answer.next = answer;
        self.idle.next = self.inspect.idle.val();
        if self.rst.val() {
            for i in 0..LOOKUP {
                self.asked_valid[i].d.next = false;
            }
            self.found_valid.d.next = false;
            self.moved_valid.d.next = false;
            self.summed_valid.d.next = false;
            self.done_valid.d.next = false;
            self.transmitted.d.next = bits::<64>(0);
            self.ended.d.next = bits::<64>(0);
        }
    }
}
