//! Capture ring: keeps mirrored frames until the link to the host has a moment, and writes
//! them to a ring in its memory.
//!
//! ```text
//!            ┌───────┐ beats
//!  seen ─┬──►│ store ├──────────────────────┐
//!        │   └───────┘                      ▼
//!        │   ┌────────┐   ┌───────┐   ┌──────────┐
//!        └──►│ frames ├──►│ plans ├──►│ requests ├──► m_up
//!            └────────┘   └───▲───┘   └──────────┘
//!                 room of the ring
//! ```
//!
//! A frame takes an entry: a header of 32 bytes, behind it the first bytes of the frame, as
//! many as the snap length allows. An entry begins at a multiple of the largest write, so that
//! none crosses a page or the end of the ring. Behind the entries goes the status, which
//! tells the host how far it may read (`interface::modules::capture`): posted writes do not
//! pass each other. It is written when no frame waits, at the latest after [`REPORTED`].
//!
//! Nothing is ever held up for it: a frame that finds the store full ends here, one that
//! finds the ring full in front of it, and each is counted. Beats of entries leave in every
//! clock in which `m_up` is taken.

use super::port::Access;
use crate::channels::{BUS_BITS, BUS_BYTES, Beat, RECORD_BITS, UP_WRITE, Up};
use crate::interface::modules::capture;
use crate::stages::octets::count_bytes;
use hallux_hdl::prelude::*;

/// Bytes of frames that may wait.
const STORE_BYTES: usize = 32 << 10;
/// Frames that may wait.
const FRAMES: usize = 256;
/// Beats and frames on their way into the queues, of which these do not know yet.
const UNDER_WAY: usize = 8;
/// Entries whose place in the ring is known.
const PLANS: usize = 8;
/// The most entries that are written before the host is told.
pub const REPORTED: u64 = 32;

/// A beat that passes.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Seen<const N: usize = BUS_BITS, const K: usize = BUS_BYTES> {
    /// The beat.
    pub beat: Beat<N, K>,
    /// Its frame is to be mirrored; the same on all beats of a frame.
    pub wanted: Bit,
    /// When the frame began; the same on all beats.
    pub time: Bits<64>,
}

/// A beat in the store.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Stored<const N: usize = BUS_BITS> {
    /// Its bytes.
    pub data: Bits<N>,
    /// The last that is kept of its frame.
    pub last: Bit,
}

/// A frame in the store.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Kept {
    /// When it began.
    pub time: Bits<64>,
    /// Its bytes.
    pub original: Bits<16>,
}

/// A frame, cut.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Cut {
    /// When it began, its bytes.
    pub kept: Kept,
    /// Bytes of it that are written.
    pub captured: Bits<16>,
}

/// A frame, measured.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Measured {
    /// What is kept of it.
    pub cut: Cut,
    /// Bytes of it that are written, and the header.
    pub total: Bits<16>,
    /// Bytes of the ring that it takes.
    pub size: Bits<16>,
}

/// An entry to write.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Plan {
    /// The ring has no room for it: its beats are taken out of the store.
    pub lost: Bit,
    /// Header.
    pub header: Bits<RECORD_BITS>,
    /// Bytes to write.
    pub total: Bits<16>,
}

/// See the [module](self).
#[derive(LogicBlock)]
pub struct CaptureRing<const N: usize, const K: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset: the ring is not in use.
    pub rst: Signal<In, Bit>,
    /// A beat passes.
    pub seen_valid: Signal<In, Bit>,
    /// It.
    pub seen: Signal<In, Seen<N, K>>,
    /// Writes to the host.
    pub m_up: StreamSource<Up<N>>,
    /// Register access.
    pub access: Signal<In, Access>,
    /// Value of the register.
    pub answer: Signal<Out, Bits<64>>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    // What passes, one clock later.
    taken: DFF<Seen<N, K>>,
    taken_valid: DFF<Bit>,
    /// The next beat belongs to the frame before, which is kept or not.
    midway: DFF<Bit>,
    keeping: DFF<Bit>,
    /// Bytes of the frame before this beat.
    before: DFF<Bits<16>>,
    /// The next beat of the frame lies within what is kept of it.
    inside: DFF<Bit>,
    /// There is room for another frame.
    fits: DFF<Bit>,
    // The last beat of a kept frame.
    ended: DFF<Seen<N, K>>,
    ended_before: DFF<Bits<16>>,
    ended_valid: DFF<Bit>,
    store: Fifo<Stored<N>>,
    frames: Fifo<Kept>,
    // Plan.
    cut: DFF<Cut>,
    cut_valid: DFF<Bit>,
    sized: DFF<Measured>,
    sized_valid: DFF<Bit>,
    plans: Fifo<Plan>,
    /// Free bytes of the ring behind all that is planned.
    free: DFF<Bits<32>>,
    /// Bytes that the host has given back in the clock before.
    returned: DFF<Bits<32>>,
    returned_valid: DFF<Bit>,
    // Write.
    active: DFF<Bit>,
    losing: DFF<Bit>,
    /// The frame has more beats in the store.
    more: DFF<Bit>,
    /// Bytes of the entry that are not written yet.
    rest: DFF<Bits<16>>,
    /// They fit into a beat.
    finishes: DFF<Bit>,
    /// Of the request.
    request: DFF<Bits<16>>,
    /// Beats of the request that are written.
    within: DFF<Bits<4>>,
    /// What the beat before left over: the bus is ahead of the frame by a header.
    carry: DFF<Bits<RECORD_BITS>>,
    /// Bytes of the ring that were written, without end.
    position: DFF<Bits<64>>,
    count: DFF<Bits<64>>,
    /// Entries of which the host was not told.
    untold: DFF<Bits<8>>,
    /// The host is to be told.
    news: DFF<Bit>,
    /// A loss of which the host was not told.
    stale: DFF<Bit>,
    /// The same of a loss in the last clock.
    just_lost: DFF<Bit>,
    out: StreamRegister<Up<N>>,
    // Registers.
    base: DFF<Bits<64>>,
    log2: DFF<Bits<5>>,
    status: DFF<Bits<64>>,
    enabled: DFF<Bit>,
    consumed: DFF<Bits<64>>,
    asked_snap: DFF<Bits<16>>,
    snap: DFF<Bits<16>>,
    lost_ring: DFF<Bits<64>>,
    lost_store: DFF<Bits<64>>,
    keeps: Assert,
    _snap: usize,
    _max_payload: usize,
}

impl<const N: usize, const K: usize> CaptureRing<N, K> {
    /// For at most `snap` bytes of a frame, and writes of at most `max_payload` bytes.
    pub fn new(snap: usize, max_payload: usize) -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            seen_valid: Default::default(),
            seen: Default::default(),
            m_up: Default::default(),
            access: Default::default(),
            answer: Default::default(),
            idle: Default::default(),
            taken: Default::default(),
            taken_valid: Default::default(),
            midway: Default::default(),
            keeping: Default::default(),
            before: Default::default(),
            inside: Default::default(),
            fits: Default::default(),
            ended: Default::default(),
            ended_before: Default::default(),
            ended_valid: Default::default(),
            store: Fifo::new(STORE_BYTES / K),
            frames: Fifo::new(FRAMES),
            cut: Default::default(),
            cut_valid: Default::default(),
            sized: Default::default(),
            sized_valid: Default::default(),
            plans: Fifo::new(PLANS).with_output(FifoOutput::Forward),
            free: Default::default(),
            returned: Default::default(),
            returned_valid: Default::default(),
            active: Default::default(),
            losing: Default::default(),
            more: Default::default(),
            rest: Default::default(),
            finishes: Default::default(),
            request: Default::default(),
            within: Default::default(),
            carry: Default::default(),
            position: Default::default(),
            count: Default::default(),
            untold: Default::default(),
            news: Default::default(),
            stale: Default::default(),
            just_lost: Default::default(),
            out: Default::default(),
            base: Default::default(),
            log2: Default::default(),
            status: Default::default(),
            enabled: Default::default(),
            consumed: Default::default(),
            asked_snap: Default::default(),
            snap: Default::default(),
            lost_ring: Default::default(),
            lost_store: Default::default(),
            keeps: Assert::new("a mirrored beat finds no place in the store"),
            _snap: snap,
            _max_payload: max_payload,
        }
    }
}

/// The lesser of two.
#[hdl_fn]
fn at_most(bytes: Bits<16>, most: Bits<16>) -> Bits<16> {
    if bytes < most { bytes } else { most }
}

impl<const N: usize, const K: usize> Logic for CaptureRing<N, K> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self,
            clk,
            taken,
            taken_valid,
            midway,
            keeping,
            before,
            inside,
            fits,
            ended,
            ended_before,
            ended_valid,
            cut,
            cut_valid,
            sized,
            sized_valid,
            free,
            returned,
            returned_valid,
            active,
            losing,
            more,
            rest,
            finishes,
            request,
            within,
            carry,
            position,
            count,
            untold,
            news,
            stale,
            just_lost,
            base,
            log2,
            status,
            enabled,
            consumed,
            asked_snap,
            snap,
            lost_ring,
            lost_store
        );
        self.store.clk.next = self.clk.val();
        self.store.rst.next = self.rst.val();
        self.frames.clk.next = self.clk.val();
        self.frames.rst.next = self.rst.val();
        self.plans.clk.next = self.clk.val();
        self.plans.rst.next = self.rst.val();
        self.out.clk.next = self.clk.val();
        self.out.rst.next = self.rst.val();
        StreamSource::<Up<N>>::link(&mut self.m_up, &mut self.out.m);
        let max_payload = bits::<16>(self._max_payload as u64);

        // Keep.
        self.taken_valid.d.next = self.seen_valid.val();
        if self.seen_valid.val() {
            self.taken.d.next = self.seen.val();
        }
        let seen = self.taken.q.val();
        let comes = self.taken_valid.q.val();
        let begins = comes & !self.midway.q.val();
        let wanted = seen.wanted & self.enabled.q.val();
        let keeps = if self.midway.q.val() {
            self.keeping.q.val()
        } else {
            wanted & self.fits.q.val()
        };
        let before = self.before.q.val();
        let after = before + bits::<16>(K as u64);
        let goes_on = after < self.snap.q.val();
        if comes {
            self.midway.d.next = !seen.beat.last;
            self.inside.d.next = goes_on;
            self.keeping.d.next = keeps;
            self.before.d.next = if seen.beat.last { bits::<16>(0) } else { after };
        }
        let overflows = begins & wanted & !self.fits.q.val();
        if overflows {
            self.lost_store.d.next = self.lost_store.q.val() + bits::<64>(1);
        }
        let inside = if self.midway.q.val() {
            self.inside.q.val()
        } else {
            self.snap.q.val().any()
        };
        let stores = comes & keeps & inside;
        self.store.s.valid.next = stores;
        self.store.s.data.next = Stored::<N> {
            data: seen.beat.data,
            last: seen.beat.last | !goes_on,
        };
        self.ended_valid.d.next = comes & keeps & seen.beat.last;
        if comes & keeps & seen.beat.last {
            self.ended.d.next = seen;
            self.ended_before.d.next = before;
        }
        let ended = self.ended.q.val();
        self.frames.s.valid.next = self.ended_valid.q.val();
        self.frames.s.data.next = Kept {
            time: ended.time,
            original: self.ended_before.q.val()
                + bit_cast::<16, 8>(count_bytes::<K>(ended.beat.keep)),
        };
        let beats = (STORE_BYTES / K - self._snap.div_ceil(K) - UNDER_WAY) as u64;
        self.fits.d.next = (self.store.level.val() <= bits::<16>(beats))
            & (self.frames.level.val() <= bits::<16>((FRAMES - UNDER_WAY) as u64));
        self.keeps.clk.next = self.clk.val();
        self.keeps.holds.next = self.rst.val()
            | ((!stores | self.store.s.ready.val())
                & (!self.ended_valid.q.val() | self.frames.s.ready.val()));

        // Plan: what is written of a frame, and whether the ring has room for it.
        let plans = self.plans.level.val() < bits::<16>((PLANS - 2) as u64);
        let oldest = self.frames.m.data.val();
        self.frames.m.ready.next = plans;
        let measures = self.frames.m.valid.val() & plans;
        self.cut_valid.d.next = measures;
        if measures {
            self.cut.d.next = Cut {
                kept: oldest,
                captured: at_most(oldest.original, self.snap.q.val()),
            };
        }
        let cut = self.cut.q.val();
        let total = cut.captured + bits::<16>(capture::HEADER_BYTES);
        self.sized_valid.d.next = self.cut_valid.q.val();
        if self.cut_valid.q.val() {
            self.sized.d.next = Measured {
                total,
                size: (total + max_payload - bits::<16>(1)) & !(max_payload - bits::<16>(1)),
                cut,
            };
        }
        let sized = self.sized.q.val();
        let size = bit_cast::<32, 16>(sized.size);
        let planned = self.sized_valid.q.val();
        let roomy = size <= self.free.q.val();
        let returned = if self.returned_valid.q.val() {
            self.returned.q.val()
        } else {
            bits::<32>(0)
        };
        self.free.d.next = if planned & roomy {
            (self.free.q.val() - size) + returned
        } else {
            self.free.q.val() + returned
        };
        if planned & !roomy {
            self.lost_ring.d.next = self.lost_ring.q.val() + bits::<64>(1);
        }
        let lost = self.lost_ring.q.val() + self.lost_store.q.val();
        self.plans.s.valid.next = planned;
        self.plans.s.data.next = Plan {
            lost: !roomy,
            header: cat::<128, 128, RECORD_BITS>(
                cat::<64, 64, 128>(lost, bit_cast::<64, 16>(sized.size)),
                cat::<64, 64, 128>(
                    cat::<32, 32, 64>(
                        bit_cast::<32, 16>(sized.cut.captured),
                        bit_cast::<32, 16>(sized.cut.kept.original),
                    ),
                    sized.cut.kept.time,
                ),
            ),
            total: sized.total,
        };

        // Write, beat by beat. The header goes first, so each beat of the bus carries the end
        // of one beat of the frame and the beginning of the next.
        let out_free = self.out.s.ready.val();
        let active = self.active.q.val();
        let losing = self.losing.q.val();
        let more = self.more.q.val();
        let rest = self.rest.q.val();
        let there = !more | self.store.m.valid.val();
        let writes = active & !losing & there;
        let moves = (writes & out_free) | (active & losing & there);
        let stored = self.store.m.data.val();
        self.store.m.ready.next = more & active & (losing | out_free);
        let width = bits::<16>(K as u64);
        let last_of_entry = self.finishes.q.val();
        let left = rest - width;
        let last_of_request =
            last_of_entry | (self.within.q.val() == bits::<4>((self._max_payload / K) as u64 - 1));
        let mut data = bit_cast::<N, RECORD_BITS>(self.carry.q.val());
        if more {
            data = data | (stored.data << RECORD_BITS as u64);
        }
        let ends = moves & if losing { stored.last } else { last_of_entry };
        if moves {
            self.more.d.next = more & !stored.last;
            self.carry.d.next = bit_cast::<RECORD_BITS, N>(stored.data >> (N - RECORD_BITS) as u64);
            self.rest.d.next = left;
            self.finishes.d.next = left <= width;
            self.within.d.next = self.within.q.val() + bits::<4>(1);
        }
        if moves & !losing & last_of_request {
            self.position.d.next = self.position.q.val() + bits::<64>(self._max_payload as u64);
            self.request.d.next = at_most(left, max_payload);
            self.within.d.next = bits::<4>(0);
        }
        let many = self.untold.q.val() >= bits::<8>(REPORTED);
        let waits = self.plans.m.valid.val();
        let tells = !active & self.news.q.val() & (many | !waits);
        let begins_next = waits & !tells & !(many & self.news.q.val()) & (!active | ends);
        let plan = self.plans.m.data.val();
        self.plans.m.ready.next = begins_next;
        if ends {
            self.active.d.next = false;
        }
        if ends & !losing {
            self.count.d.next = self.count.q.val() + bits::<64>(1);
            self.untold.d.next = self.untold.q.val() + bits::<8>(1);
            self.news.d.next = true;
        }
        if begins_next {
            self.active.d.next = true;
            self.losing.d.next = plan.lost;
            self.more.d.next = true;
            self.carry.d.next = plan.header;
            self.rest.d.next = plan.total;
            self.finishes.d.next = plan.total <= width;
            self.request.d.next = at_most(plan.total, max_payload);
            self.within.d.next = bits::<4>(0);
        }

        let mask = !(!bits::<64>(0) << self.log2.q.val());
        let position = self.position.q.val();
        let status = cat::<128, 128, RECORD_BITS>(
            cat::<64, 64, 128>(self.lost_store.q.val(), self.lost_ring.q.val()),
            cat::<64, 64, 128>(self.count.q.val(), position),
        );
        self.out.s.valid.next = writes | tells;
        self.out.s.data.next = Up::<N> {
            kind: bits::<2>(UP_WRITE),
            address: if tells {
                self.status.q.val()
            } else {
                self.base.q.val() | (position & mask)
            },
            bytes: if tells {
                bits::<13>(capture::STATUS_BYTES)
            } else {
                bit_cast::<13, 16>(self.request.q.val())
            },
            tag: bits::<8>(0),
            vector: bits::<8>(0),
            data: if tells {
                bit_cast::<N, RECORD_BITS>(status)
            } else {
                data
            },
            last: tells | last_of_request,
        };
        let told = tells & out_free;
        if told {
            self.news.d.next = false;
            self.untold.d.next = bits::<8>(0);
        }

        // Losses are told with the next entry, or when the host gives room back.
        let access = self.access.val();
        let returns = access.write & (access.word == bits::<9>(capture::CONSUMED / 8));
        let stale = self.stale.q.val() | self.just_lost.q.val();
        if returns & stale {
            self.news.d.next = true;
        }
        self.stale.d.next = stale & !told;
        self.just_lost.d.next = overflows | (planned & !roomy);

        // Registers.
        self.returned_valid.d.next = returns;
        if returns {
            self.returned.d.next = (access.data - self.consumed.q.val()).get_bits::<32>(0);
            self.consumed.d.next = access.data;
        }
        if access.write {
            if access.word == bits::<9>(capture::RING_BASE / 8) {
                self.base.d.next = access.data;
            }
            if access.word == bits::<9>(capture::RING_LOG2 / 8) {
                self.log2.d.next = access.data.get_bits::<5>(0);
            }
            if access.word == bits::<9>(capture::STATUS / 8) {
                self.status.d.next = access.data;
            }
            if access.word == bits::<9>(capture::SNAP / 8) {
                self.asked_snap.d.next = access.data.get_bits::<16>(0);
            }
            if access.word == bits::<9>(capture::ENABLE / 8) {
                self.enabled.d.next = access.data.get_bit(0);
                if access.data.get_bit(0) & !self.enabled.q.val() {
                    self.free.d.next = bits::<32>(1) << self.log2.q.val();
                    self.snap.d.next =
                        at_most(self.asked_snap.q.val(), bits::<16>(self._snap as u64));
                    self.position.d.next = bits::<64>(0);
                    self.consumed.d.next = bits::<64>(0);
                }
            }
        }
        let mut answer = bits::<64>(0);
        if access.word == bits::<9>(capture::RING_BASE / 8) {
            answer = self.base.q.val();
        }
        if access.word == bits::<9>(capture::RING_LOG2 / 8) {
            answer = bit_cast::<64, 5>(self.log2.q.val());
        }
        if access.word == bits::<9>(capture::STATUS / 8) {
            answer = self.status.q.val();
        }
        if access.word == bits::<9>(capture::ENABLE / 8) {
            answer = bit_cast::<64, 1>(bit(self.enabled.q.val()));
        }
        if access.word == bits::<9>(capture::CONSUMED / 8) {
            answer = self.consumed.q.val();
        }
        if access.word == bits::<9>(capture::SNAP / 8) {
            answer = bit_cast::<64, 16>(self.snap.q.val());
        }
        if access.word == bits::<9>(capture::WRITTEN / 8) {
            answer = self.count.q.val();
        }
        if access.word == bits::<9>(capture::LOST_RING / 8) {
            answer = self.lost_ring.q.val();
        }
        if access.word == bits::<9>(capture::LOST_STORE / 8) {
            answer = self.lost_store.q.val();
        }
        self.answer.next = answer;

        self.idle.next = !comes
            & !self.midway.q.val()
            & !self.ended_valid.q.val()
            & !self.store.level.val().any()
            & !self.frames.level.val().any()
            & !self.cut_valid.q.val()
            & !planned
            & !self.plans.level.val().any()
            & !self.returned_valid.q.val()
            & !active
            & !self.news.q.val()
            & !self.just_lost.q.val()
            & !self.out.m.valid.val();
        if self.rst.val() {
            self.taken_valid.d.next = false;
            self.midway.d.next = false;
            self.before.d.next = bits::<16>(0);
            self.fits.d.next = false;
            self.ended_valid.d.next = false;
            self.cut_valid.d.next = false;
            self.sized_valid.d.next = false;
            self.free.d.next = bits::<32>(0);
            self.returned_valid.d.next = false;
            self.active.d.next = false;
            self.position.d.next = bits::<64>(0);
            self.count.d.next = bits::<64>(0);
            self.untold.d.next = bits::<8>(0);
            self.news.d.next = false;
            self.stale.d.next = false;
            self.just_lost.d.next = false;
            self.base.d.next = bits::<64>(0);
            self.log2.d.next = bits::<5>(0);
            self.status.d.next = bits::<64>(0);
            self.enabled.d.next = false;
            self.consumed.d.next = bits::<64>(0);
            self.asked_snap.d.next = bits::<16>(self._snap as u64);
            self.snap.d.next = bits::<16>(self._snap as u64);
            self.lost_ring.d.next = bits::<64>(0);
            self.lost_store.d.next = bits::<64>(0);
        }
    }
}
