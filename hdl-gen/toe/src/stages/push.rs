//! Push: takes small descriptors with their payload out of the host's posted writes.
//!
//! ```text
//!          ┌─► elsewhere ───────────────────────────────► m (register file)
//!  s ──────┤               ┌────────┐          ┌────────┐
//!          └─► descriptor ►│ staged ├─────────►│ events ├─► m_event
//!              payload     └────────┘          └────────┘
//!                 └─────────┐
//!                           ▼
//!                       ┌────────┐  the same address  ┌────────┐
//!                       │ pushed ├───────────────────►│ serves ├─► m_cpl
//!                       └───▲────┘                    └────────┘    ▲
//!  s_read ──► compared ─────┴──── others ──► m_read    s_cpl ───────┘
//! ```
//!
//! Without it a small send is two dependent reads of host memory: of the descriptor, then of
//! the payload. A push brings both in one posted write (`interface::push`). The descriptor, in
//! front, becomes an event at once, while the payload still arrives. The payload, which the host
//! has written into its transmit ring as well, is kept under its bus address; a read of payload
//! that begins there is answered from here instead of from the host. A read that comes before the
//! payload's last word goes to the host, so nothing waits for a host that breaks off its write.
//!
//! What is kept is a copy, used once and never stale: the first read that touches any of its
//! bytes takes it away, and no byte is sent without being read; so it is gone before the ring comes
//! round. Opening a connection takes all away, since rings change hands then. A copy that
//! had to make place for another is read from the host after all, and so is a payload of more
//! bytes than a slot holds.
//!
//! Events of pushes and of fetched descriptors may pass each other: both add to the counts
//! of a connection. A descriptor that finishes a stream must not be passed and is not pushed.
//!
//! Initiation interval: a word a cycle. Latency from the descriptor's last word to the event 1
//! cycle, 2 if a copy has to make place. A read is compared with all copies in one cycle and goes
//! its way in the next; it takes 1 cycle if nothing is kept.

use crate::channels::{CLASS_FAST, Completion, Event, KIND_HC, Mmio, RECORD_BITS, Sack, Up};
use crate::interface::{push, register};
use hallux_hdl::prelude::*;

/// Payloads that are kept.
const KEPT: usize = 8;
/// Events that may wait for the arbiter.
const EVENTS: usize = 8;
/// Bits of the largest payload.
const PAYLOAD_BITS: usize = 8 * push::PAYLOAD_BYTES as usize;
/// Words of the largest payload.
const PAYLOAD_WORDS: usize = push::PAYLOAD_BYTES as usize / 8;

/// log2 of the bytes of a context's page, and of what is left for its slot. The pages begin behind
/// one of the same size, and slots are aligned, so nothing need be subtracted to find them.
const PAGE_LOG2: u64 = register::CONTEXT_STRIDE.trailing_zeros() as u64;
const SLOT_LOG2: u64 = 7;
const _: () = assert!(
    PAGE_LOG2 == 12
        && register::CONTEXT == 1 << PAGE_LOG2
        && register::COUNTERS.is_power_of_two()
        && push::SLOT.is_multiple_of(1 << SLOT_LOG2)
        && push::SLOT_BYTES <= 1 << SLOT_LOG2
);

/// A payload that is to be handed over instead of a completion.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Serve {
    /// Tag of the read.
    pub tag: Bits<8>,
    /// Where the payload is kept.
    pub place: Bits<3>,
    /// Bytes that were asked for, at most those of a slot.
    pub bytes: Bits<7>,
    /// They take two beats.
    pub long: Bit,
}

/// See the [module](self).
#[derive(LogicBlock)]
pub struct Push<const N: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high.
    pub rst: Signal<In, Bit>,
    /// Accesses of the host.
    pub s: StreamSink<Mmio>,
    /// Those that push nothing.
    pub m: StreamSource<Mmio>,
    /// Host-control events.
    pub m_event: StreamSource<Event>,
    /// Reads of payload.
    pub s_read: StreamSink<Up<RECORD_BITS>>,
    /// Those that go to the host.
    pub m_read: StreamSource<Up<RECORD_BITS>>,
    /// Completions of the host; `ready` is constant 1.
    pub s_cpl: StreamSink<Completion<N>>,
    /// Those, and between them payload that was pushed; `ready` is taken for granted.
    pub m_cpl: StreamSource<Completion<N>>,
    /// A connection is opened: nothing is kept.
    pub forget: Signal<In, Bit>,
    /// Nothing is under way.
    pub idle: Signal<Out, Bit>,
    // The push under way.
    address: DFF<Bits<64>>,
    rx_bump: DFF<Bits<32>>,
    tx_bump: DFF<Bits<32>>,
    flow: DFF<Bits<16>>,
    generation: DFF<Bits<8>>,
    bytes: DFF<Bits<7>>,
    /// Its last word.
    last_word: DFF<Bits<4>>,
    /// Its descriptor has come.
    described: DFF<Bit>,
    /// Its payload is to be kept, and has not come whole.
    arriving: DFF<Bit>,
    // What is kept.
    kept: Vec<DFF<Bit>>,
    begins: Vec<DFF<Bits<64>>>,
    ends: Vec<DFF<Bits<64>>>,
    lengths: Vec<DFF<Bits<7>>>,
    /// It waits to be handed over.
    promised: Vec<DFF<Bit>>,
    /// The payloads, a memory for each of their words.
    data: Vec<RegisterFile<Bits<64>, 3>>,
    /// Where the one under way is kept, or else the next.
    next: DFF<Bits<3>>,
    events: Fifo<Event>,
    ticket: DFF<Bits<21>>,
    // A read that was compared: whether it is answered by each copy, and touches it.
    compared: DFF<Up<RECORD_BITS>>,
    compared_valid: DFF<Bit>,
    answered: Vec<DFF<Bit>>,
    touched: Vec<DFF<Bit>>,
    reads: StreamRegister<Up<RECORD_BITS>>,
    serves: Fifo<Serve>,
    /// The second beat of what is handed over.
    second: DFF<Bit>,
}

impl<const N: usize> Push<N> {
    /// Keeping nothing.
    pub fn new() -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            m: Default::default(),
            m_event: Default::default(),
            s_read: Default::default(),
            m_read: Default::default(),
            s_cpl: Default::default(),
            m_cpl: Default::default(),
            forget: Default::default(),
            idle: Default::default(),
            address: Default::default(),
            rx_bump: Default::default(),
            tx_bump: Default::default(),
            flow: Default::default(),
            generation: Default::default(),
            bytes: Default::default(),
            last_word: Default::default(),
            described: Default::default(),
            arriving: Default::default(),
            kept: (0..KEPT).map(|_| Default::default()).collect(),
            begins: (0..KEPT).map(|_| Default::default()).collect(),
            ends: (0..KEPT).map(|_| Default::default()).collect(),
            lengths: (0..KEPT).map(|_| Default::default()).collect(),
            promised: (0..KEPT).map(|_| Default::default()).collect(),
            data: (0..PAYLOAD_WORDS)
                .map(|_| RegisterFile::new(KEPT))
                .collect(),
            next: Default::default(),
            events: Fifo::new(EVENTS).with_output(FifoOutput::Forward),
            ticket: Default::default(),
            compared: Default::default(),
            compared_valid: Default::default(),
            answered: (0..KEPT).map(|_| Default::default()).collect(),
            touched: (0..KEPT).map(|_| Default::default()).collect(),
            reads: Default::default(),
            serves: Fifo::new(KEPT).with_output(FifoOutput::Forward),
            second: Default::default(),
        }
    }
}

impl<const N: usize> Default for Push<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Logic for Push<N> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self,
            clk,
            address,
            rx_bump,
            tx_bump,
            flow,
            generation,
            bytes,
            last_word,
            described,
            arriving,
            next,
            ticket,
            compared,
            compared_valid,
            second
        );
        self.events.clk.next = self.clk.val();
        self.events.rst.next = self.rst.val();
        self.reads.clk.next = self.clk.val();
        self.reads.rst.next = self.rst.val();
        self.serves.clk.next = self.clk.val();
        self.serves.rst.next = self.rst.val();

        // Words of a push; a read of a slot goes on and gives what is never written: zero.
        let access = self.s.data.val();
        let page = access.address >> PAGE_LOG2;
        let in_page = access.address.get_bits::<12>(0);
        let word = in_page.get_bits::<4>(3);
        let slot = !access.bar.any()
            & access.write
            & page.any()
            & (page < bits::<24>(register::COUNTERS >> PAGE_LOG2))
            & ((in_page >> SLOT_LOG2) == bits::<12>(push::SLOT >> SLOT_LOG2))
            & (word < bits::<4>(push::SLOT_BYTES / 8));
        self.m.data.next = access;
        self.m.valid.next = self.s.valid.val() & !slot;
        // A descriptor becomes an event in the clock behind its last word, unless its payload's
        // place is still taken; a copy there goes.
        let described = self.described.q.val();
        let place = self.next.q.val();
        let mut taken_up = false;
        for i in 0..KEPT {
            if place == bits::<3>(i as u64) {
                taken_up = self.promised[i].q.val() | self.kept[i].q.val();
            }
        }
        let commits = described & !taken_up & self.events.s.ready.val();
        let takes = !described | commits;
        self.s.ready.next = if slot { takes } else { self.m.ready.val() };
        let comes = self.s.valid.val() & slot & takes;
        let length = self.bytes.q.val();
        if commits {
            self.described.d.next = false;
        }
        if comes {
            match word.index() {
                0 => {
                    self.address.d.next = access.data;
                }
                1 => {
                    self.rx_bump.d.next = access.data.get_bits::<32>(0);
                    self.tx_bump.d.next = access.data.get_bits::<32>(32);
                }
                2 => {
                    self.flow.d.next = access.data.get_bits::<16>(0);
                    self.generation.d.next = access.data.get_bits::<8>(16);
                    let bytes = access.data.get_bits::<7>(32);
                    self.bytes.d.next = bytes;
                    self.last_word.d.next =
                        bits::<4>(push::FLOW_WORD) + ((bytes + bits::<7>(7)) >> 3).get_bits::<4>(0);
                    self.described.d.next = true;
                }
                _ => {}
            }
        }
        let mut payload = bits::<PAYLOAD_BITS>(0);
        for i in 0..PAYLOAD_WORDS {
            self.data[i].clk.next = self.clk.val();
            self.data[i].write_enable.next =
                comes & (word == bits::<4>(push::FLOW_WORD + 1 + i as u64));
            self.data[i].write_address.next = place;
            self.data[i].write_data.next = access.data;
            self.data[i].read_address.next = self.serves.m.data.val().place;
            payload.set_bits::<64>(64 * i, self.data[i].read_data.val());
        }
        self.events.s.valid.next = described & !taken_up;
        self.events.s.data.next = Event {
            kind: bits::<2>(KIND_HC),
            // Fetch counts from below.
            ticket: cat::<3, 21, 24>(
                cat::<2, 1, 3>(bits::<2>(KIND_HC), bits::<1>(1)),
                self.ticket.q.val(),
            ),
            flow: self.flow.q.val(),
            generation: self.generation.q.val(),
            class: bits::<2>(CLASS_FAST),
            flags: bits::<8>(0),
            seq: self.rx_bump.q.val(),
            ack: self.tx_bump.q.val(),
            window: bits::<32>(0),
            ts_val: bits::<32>(0),
            ts_ecr: bits::<32>(0),
            ts_present: false,
            sack: Sack::default(),
            report: false,
            ce: false,
            payload_offset: bits::<8>(0),
            payload_len: bits::<14>(0),
            frame_len: bits::<14>(0),
            address: bits::<64>(0),
        };
        if commits {
            self.ticket.d.next = self.ticket.q.val() + bits::<21>(1);
        }
        StreamSource::<Event>::link(&mut self.m_event, &mut self.events.m);

        // Reads: the one that begins where a payload is kept is answered from here. None that was
        // compared reads what a push releases later, so the comparison ends where a copy makes place.
        let read = self.s_read.data.val();
        let read_end = read.address + bit_cast::<64, 13>(read.bytes);
        let compared = self.compared.q.val();
        let waits = self.compared_valid.q.val();
        let mut keeps = self.arriving.q.val();
        let mut hit = false;
        let mut found = bits::<3>(0);
        for i in 0..KEPT {
            keeps = keeps | self.kept[i].q.val();
            if self.kept[i].q.val() & self.answered[i].q.val() {
                hit = true;
                found = bits::<3>(i as u64);
            }
        }
        let passes = if hit {
            self.serves.s.ready.val()
        } else {
            self.reads.s.ready.val()
        };
        let asked = waits & passes;
        let straight = !waits & !keeps;
        self.s_read.ready.next = if straight {
            self.reads.s.ready.val()
        } else {
            !waits | passes
        };
        let enters = self.s_read.valid.val() & !straight & (!waits | passes);
        self.compared_valid.d.next = enters | (waits & !passes);
        if enters {
            self.compared.d.next = read;
        }
        for i in 0..KEPT {
            dff_setup!(self, clk, answered[i], touched[i]);
            if enters {
                let fits = bit_cast::<13, 7>(self.lengths[i].q.val()) >= read.bytes;
                self.answered[i].d.next = (self.begins[i].q.val() == read.address) & fits;
                self.touched[i].d.next =
                    (read.address < self.ends[i].q.val()) & (self.begins[i].q.val() < read_end);
            }
            if commits & (place == bits::<3>(i as u64)) {
                self.answered[i].d.next = false;
                self.touched[i].d.next = false;
            }
        }
        self.reads.s.data.next = if waits { compared } else { read };
        self.reads.s.valid.next = (waits & !hit) | (straight & self.s_read.valid.val());
        StreamSource::<Up<RECORD_BITS>>::link(&mut self.m_read, &mut self.reads.m);
        self.serves.s.valid.next = waits & hit;
        let width = (N / 8) as u64;
        self.serves.s.data.next = Serve {
            tag: compared.tag,
            place: found,
            bytes: compared.bytes.get_bits::<7>(0),
            long: compared.bytes > bits::<13>(width),
        };

        // Completions of the host first: they cannot wait.
        let serve = self.serves.m.data.val();
        let serves = self.serves.m.valid.val() & !self.s_cpl.valid.val();
        let second = self.second.q.val();
        let more = !second & serve.long;
        self.s_cpl.ready.next = true;
        self.m_cpl.valid.next = self.s_cpl.valid.val() | self.serves.m.valid.val();
        let mut completion = Completion::<N> {
            tag: serve.tag,
            offset: bits::<13>(0),
            data: bit_cast::<N, PAYLOAD_BITS>(payload),
            bytes: if more {
                bits::<8>(width)
            } else {
                bit_cast::<8, 7>(serve.bytes)
            },
            last: !more,
            poisoned: false,
        };
        if second {
            completion.offset = bits::<13>(width);
            completion.data = bit_cast::<N, PAYLOAD_BITS>(payload >> N as u64);
            completion.bytes = bit_cast::<8, 7>(serve.bytes) - bits::<8>(width);
        }
        self.m_cpl.data.next = if self.s_cpl.valid.val() {
            self.s_cpl.data.val()
        } else {
            completion
        };
        let handed_over = serves & !more;
        self.serves.m.ready.next = handed_over;
        if serves {
            self.second.d.next = more;
        }

        // Keep, from the last word of the payload on. What is read before that is read from the
        // host.
        let fits = length.any() & (length <= bits::<7>(push::PAYLOAD_BYTES));
        let mut broken = self.forget.val();
        for i in 0..KEPT {
            if (place == bits::<3>(i as u64)) & asked & self.touched[i].q.val() {
                broken = true;
            }
        }
        let arrives = (self.arriving.q.val() & !broken) | (commits & fits);
        let arrived = arrives
            & comes
            & (word > bits::<4>(push::FLOW_WORD))
            & (word == self.last_word.q.val());
        let anew = comes & (word == bits::<4>(push::FLOW_WORD));
        self.arriving.d.next = arrives & !arrived & !anew;
        if arrived {
            self.next.d.next = place + bits::<3>(1);
        }
        let end = self.address.q.val() + bit_cast::<64, 7>(length);
        for i in 0..KEPT {
            dff_setup!(
                self,
                clk,
                kept[i],
                begins[i],
                ends[i],
                lengths[i],
                promised[i]
            );
            let here = bits::<3>(i as u64);
            let touches = asked & self.touched[i].q.val();
            if touches | self.forget.val() | (described & (place == here)) {
                self.kept[i].d.next = false;
            }
            if handed_over & (serve.place == here) {
                self.promised[i].d.next = false;
            }
            if asked & hit & (found == here) {
                self.promised[i].d.next = true;
            }
            if arrived & (place == here) {
                self.kept[i].d.next = true;
            }
            if commits & (place == here) {
                self.begins[i].d.next = self.address.q.val();
                self.ends[i].d.next = end;
                self.lengths[i].d.next = length;
            }
            if self.rst.val() {
                self.kept[i].d.next = false;
                self.promised[i].d.next = false;
            }
        }

        self.idle.next = !described
            & !self.events.level.val().any()
            & !waits
            & !self.reads.m.valid.val()
            & !self.serves.level.val().any();
        if self.rst.val() {
            self.described.d.next = false;
            self.arriving.d.next = false;
            self.compared_valid.d.next = false;
            self.next.d.next = bits::<3>(0);
            self.ticket.d.next = bits::<21>(0);
            self.second.d.next = false;
        }
    }
}
