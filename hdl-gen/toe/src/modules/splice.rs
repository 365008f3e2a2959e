//! Splice: turns the segments of one connection into those of another and sends them on.
//!
//! ```text
//!          ┌─────────┐ image of bytes 0..94
//!  s ─────►│ inspect ├──────────────┬──────────────► m  (transmit, redirect, pass)
//!          └──┬───▲──┘              │
//!   headers   │   └─────────────────┐ judgement
//!          ┌──▼──┐               ┌──┴──────┐
//!          │table├──────┬───────►│ numbers │
//!          └──▲──┘   ┌──┴──┐     └─────────┘
//!          access    │marks│ where options have numbers
//!                    └─────┘
//! ```
//!
//! For a proxy that has made up its mind: the host writes an entry for each direction, and
//! from then on the payload never reaches it. A TCP segment whose addresses and ports are in
//! the table leaves by the wire with other MAC and IP addresses, other ports, and numbers that
//! are moved by the differences of the two connections: sequence and acknowledgement number,
//! timestamps, and the edges of SACK blocks, wherever in the options they stand
//! ([`marks`](super::marks), [`splice_numbers`](super::splice_numbers)). Both checksums are
//! updated by what has changed (RFC 1624 equation 3), so damaged segments stay damaged.
//!
//! A segment with SYN, FIN or RST takes its entry out of the table and goes to the control
//! plane as it came; so does what follows on this connection, since it is in no table. A
//! segment with other options than timestamps and SACK, with one of them twice, or with options that do not fit goes
//! there too, and its entry stays. Frames with a VLAN tag, IP options or fragments are not
//! spliced: put `vlan` in front.
//!
//! Initiation interval 1, latency 12.

use super::inspect::{Headers, Inspect};
use super::marks::{MARKS_LATENCY, Marks, OPTION_BYTES};
use super::plan::{Declaration, Order};
use super::port::{Access, PASS, Passing, REDIRECT, TRANSMIT, first_verdict};
use super::splice_numbers::{SpliceNumbers, SpliceWork, VALUE_BITS};
use crate::interface::modules::{Slot, splice};
use crate::stages::octets::{network16, network32, network48};
use hallux_hdl::prelude::*;

/// What the module needs and does.
pub const DECLARATION: Declaration = Declaration {
    slots: &[Slot::Ingress],
    latency: 12,
    interval: 1,
    order: Order::Kept,
    verdicts: &[REDIRECT, TRANSMIT],
};

/// Bits of a key: addresses and ports.
const KEY_BITS: usize = 96;
/// TCP flags that end a splice: FIN, SYN, RST.
const ENDS: u64 = 0b111;
/// Bits and bytes of a frame that are looked at: up to the longest options, in words of 32 bytes.
const HEAD_BITS: usize = 768;
const HEAD_BYTES: usize = 96;
/// Offset of the TCP header behind an IPv4 header without options.
const TCP: usize = 34;
/// Offset of the TCP options.
const OPTIONS: usize = 54;
/// Clocks that headers wait for the table, and for the marks.
const LOOKUP: usize = MARKS_LATENCY - 1;
/// Of those, clocks before the table is asked, which answers in two.
const ASK: usize = LOOKUP - 3;
/// Segments on their way from their entry to their numbers.
const SEGMENTS: usize = 8;

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
    /// Bytes 54..94: options, and what follows them.
    pub options: Bits<320>,
}

/// Of that, what the entry alone says.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Ends {
    /// Verdict.
    pub verdict: Bits<2>,
    /// Bytes 0..12.
    pub addresses: Bits<96>,
    /// Bytes 26..38: IP addresses and ports.
    pub ends: Bits<96>,
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
    inspect: Inspect<N, K, Rewrite, HEAD_BITS, HEAD_BYTES>,
    marks: Marks,
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
    numbers: SpliceNumbers,
    /// The other half of a rewrite, beside the numbers.
    ends: Fifo<Ends>,
    staged_key: DFF<Bits<KEY_BITS>>,
    staged_value: DFF<Bits<VALUE_BITS>>,
    transmitted: DFF<Bits<64>>,
    ended: DFF<Bits<64>>,
    handed: DFF<Bits<64>>,
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
            marks: Default::default(),
            asked: Default::default(),
            asked_valid: Default::default(),
            table: HashLookup::new(places / WAYS),
            active: (0..places).map(|_| Default::default()).collect(),
            found: Default::default(),
            found_headers: Default::default(),
            found_verdict: Default::default(),
            found_valid: Default::default(),
            numbers: Default::default(),
            ends: Fifo::new(SEGMENTS).with_output(FifoOutput::Forward),
            staged_key: Default::default(),
            staged_value: Default::default(),
            transmitted: Default::default(),
            ended: Default::default(),
            handed: Default::default(),
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
            staged_key,
            staged_value,
            transmitted,
            ended,
            handed
        );
        self.inspect.clk.next = self.clk.val();
        self.inspect.rst.next = self.rst.val();
        self.table.clk.next = self.clk.val();
        self.table.rst.next = self.rst.val();
        self.marks.clk.next = self.clk.val();
        self.marks.rst.next = self.rst.val();
        self.numbers.clk.next = self.clk.val();
        self.numbers.rst.next = self.rst.val();
        self.ends.clk.next = self.clk.val();
        self.ends.rst.next = self.rst.val();
        StreamSink::<Passing<N, K>>::link(&mut self.s, &mut self.inspect.s);

        // Find the options, which wait beside.
        let head = self.inspect.head.val();
        let known = self.inspect.known.val();
        let offset = head.get_bits::<4>(8 * (TCP + 12) + 4);
        let mut whole = false;
        for words in 0..OPTION_BYTES / 4 + 1 {
            if offset == bits::<4>(5 + words as u64) {
                whole = known.get_bit(OPTIONS + 4 * words - 1);
            }
        }
        let options = head.get_bits::<320>(8 * OPTIONS);
        self.marks.valid.next = self.inspect.head_valid.val();
        self.marks.bytes.next = options;
        self.marks.words.next = offset - bits::<4>(5);
        self.marks.fits.next = whole;
        self.numbers.s.data.next = options;
        self.numbers.s.valid.next = self.inspect.head_valid.val();

        // Look up.
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
        let asks = self.asked[ASK].q.val();
        self.table.s.data.next = cat::<64, 32, KEY_BITS>(
            cat::<32, 32, 64>(asks.source_ip, asks.destination_ip),
            cat::<16, 16, 32>(asks.source_port, asks.destination_port),
        );
        self.table.s.valid.next = self.asked_valid[ASK].q.val();
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
        self.table_flows.clk.next = self.clk.val();
        self.table_flows.holds.next =
            self.rst.val() | !(answers ^ self.table.m.valid.val()) & self.table.s.ready.val();

        // Move the numbers. Options that are not understood are the control plane's.
        let entry = self.found.q.val();
        let marks = self.marks.found.val();
        let transmits = self.found_verdict.q.val() == bits::<2>(TRANSMIT);
        let found = self.found_valid.q.val();
        self.numbers.valid.next = found;
        self.numbers.work.next = SpliceWork {
            headers: self.found_headers.q.val(),
            marks,
            entry,
        };
        self.ends.s.valid.next = found;
        self.ends.s.data.next = Ends {
            verdict: if transmits & !marks.plain {
                bits::<2>(REDIRECT)
            } else {
                self.found_verdict.q.val()
            },
            addresses: cat::<48, 48, 96>(
                network48(entry.get_bits::<48>(64)),
                network48(entry.get_bits::<48>(0)),
            ),
            ends: cat::<32, 64, 96>(
                cat::<16, 16, 32>(
                    network16(entry.get_bits::<16>(208)),
                    network16(entry.get_bits::<16>(192)),
                ),
                cat::<32, 32, 64>(
                    network32(entry.get_bits::<32>(160)),
                    network32(entry.get_bits::<32>(128)),
                ),
            ),
        };
        if found & transmits & marks.plain {
            self.transmitted.d.next = self.transmitted.q.val() + bits::<64>(1);
        }
        if found & transmits & !marks.plain {
            self.handed.d.next = self.handed.q.val() + bits::<64>(1);
        }
        let moved = self.numbers.moved.val();
        let ready = self.numbers.moved_valid.val();
        let half = self.ends.m.data.val();
        self.ends.m.ready.next = ready;
        self.inspect.judged_valid.next = ready;
        self.inspect.judged.next = Rewrite {
            verdict: half.verdict,
            addresses: half.addresses,
            ip_checksum: moved.ip_checksum,
            middle: cat::<64, 96, 160>(moved.numbers, half.ends),
            tcp_checksum: moved.tcp_checksum,
            options: moved.options,
        };

        // Rewrite.
        let passing = self.inspect.m.data.val();
        let rewrite = self.inspect.judgement.val();
        let image = bit_cast::<HEAD_BITS, 96>(rewrite.addresses)
            | (bit_cast::<HEAD_BITS, 16>(rewrite.ip_checksum) << 192u64)
            | (bit_cast::<HEAD_BITS, 160>(rewrite.middle) << 208u64)
            | (bit_cast::<HEAD_BITS, 16>(rewrite.tcp_checksum) << 400u64)
            | (bit_cast::<HEAD_BITS, 320>(rewrite.options) << 432u64);
        let mask = bit_cast::<HEAD_BITS, 96>(!bits::<96>(0))
            | (bit_cast::<HEAD_BITS, 176>(!bits::<176>(0)) << 192u64)
            | (bit_cast::<HEAD_BITS, 16>(!bits::<16>(0)) << 400u64)
            | (bit_cast::<HEAD_BITS, 320>(!bits::<320>(0)) << 432u64);
        let verdict = first_verdict(passing.verdict, rewrite.verdict);
        let rewrites =
            (passing.verdict == bits::<2>(PASS)) & (rewrite.verdict == bits::<2>(TRANSMIT));
        let mut out = passing.beat;
        for i in 0..HEAD_BYTES.div_ceil(K) {
            if rewrites & (self.inspect.index.val() == bits::<2>(i as u64)) {
                let part = bit_cast::<N, HEAD_BITS>(image >> (i * N) as u64);
                let which = bit_cast::<N, HEAD_BITS>(mask >> (i * N) as u64);
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
        if access.word == bits::<9>(splice::HANDED / 8) {
            answer = self.handed.q.val();
        }
        self.answer.next = answer;
        self.idle.next = self.inspect.idle.val();
        if self.rst.val() {
            for i in 0..LOOKUP {
                self.asked_valid[i].d.next = false;
            }
            self.found_valid.d.next = false;
            self.transmitted.d.next = bits::<64>(0);
            self.ended.d.next = bits::<64>(0);
            self.handed.d.next = bits::<64>(0);
        }
    }
}
