//! Payload read: fetches transmit payload from host memory.
//!
//! Cuts each request into PCIe reads, keeps any number of them in flight, takes their
//! completions in any order and hands the segments on in request order, each contiguous
//! and justified to byte 0.
//!
//! ```text
//!        ┌───────┐ read   ┌──────────┐
//!  s ───►│ split │───────►│ register │─────────────────────────────► m_up
//!        └───┬───┘        └──────────┘
//!            │ tag, bytes, last, in order
//!            ▼                 ┌────────┐ beat  ┌──────┐ ┌────────┐ ┌──────┐
//!        ┌───────┐ head        │ buffer │──────►│ mask │►│ rotate │►│ FIFO │─► m
//!        │ order │────────────►│  RAM   │       └──────┘ │ + carry│ └──────┘
//!        └───────┘ when done   └────────┘                └────────┘
//!  s_cpl ───────────────────────►┘
//! ```
//!
//! A read ends at the ring's end, at a 4 KiB boundary (PCIe) and at the maximum read
//! request. Each read owns a tag and the tag's slot of the buffer, one maximum read
//! request long, so a completion always finds room (`s_cpl.ready` is constant 1). Tags
//! are handed out in a circle, 0 up to the last; a tag is free again when its data has
//! left the buffer.
//!
//! Delivery plans one buffer read a cycle. Where a segment consists of several reads the
//! bytes of the earlier ones are carried over; if the carried bytes fill a beat of their
//! own at the end, one extra cycle flushes them. The rest is a pipeline that never
//! stalls: the plan stops while fewer than [`MARGIN`] beats are free in the output FIFO.
//!
//! A read that the host never answers comes back poisoned, in its turn like any other. The last
//! beat of its segment says so, whatever its other reads brought.
//!
//! Initiation interval: a segment's first read in one cycle, each further one in two; one beat per cycle delivered, so a
//! segment of up to a beat per cycle when tags suffice. Latency from the last completion beat
//! of a read to `m`: 4 cycles; from `s` to `m_up`: 2.

use super::cut::{Cut, cut};
use super::octets::{first_bytes, spread};
use crate::channels::{Completion, PayloadBeat, RECORD_BITS, ReadRequest, UP_READ, Up};
use hallux_hdl::prelude::*;

/// Largest number of tags: they share the tag space with descriptor reads, which have
/// bit 7 set.
pub const MAX_TAGS: usize = 128;
/// Beats that may be under way between the plan and the output FIFO.
const MARGIN: usize = 4;
/// Beats of the output FIFO.
const OUTPUT_BEATS: usize = 32;

/// The part of a request that is not read yet.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Rest {
    /// Bus address of the next byte.
    pub address: Bits<64>,
    /// Bytes to the end of the ring.
    pub room: Bits<25>,
    /// Bus address of the ring.
    pub ring: Bits<64>,
    /// Bytes to read.
    pub length: Bits<14>,
}

/// A read on its way upstream.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Read {
    /// Bus address.
    pub address: Bits<64>,
    /// Bytes, 1 to the maximum read request.
    pub bytes: Bits<13>,
    /// Tag.
    pub tag: Bits<7>,
}

/// A read whose data is to be delivered. Its tag, also the slot of the buffer, follows that
/// of the read before it.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Piece {
    /// Its beats, less one.
    pub beats: Bits<8>,
    /// Bytes of the last of them.
    pub tail: Bits<8>,
    /// Last read of its segment.
    pub last: Bit,
}

/// What becomes of one planned beat.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Plan {
    /// Something is planned.
    pub valid: Bit,
    /// Valid bytes of the buffer's beat, or 0: only the carried bytes leave.
    pub bytes: Bits<8>,
    /// Bytes carried over from before.
    pub carried: Bits<7>,
    /// Bits by which the beat is shifted to what is carried over from it.
    pub back: Bits<11>,
    /// An output beat leaves.
    pub emit: Bit,
    /// It is the segment's last.
    pub last: Bit,
    /// With `last`: a read of the segment was never answered.
    pub poisoned: Bit,
}

/// Reads payload from host memory.
#[derive(LogicBlock, Default)]
pub struct PayloadRead<const N: usize, const K: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high.
    pub rst: Signal<In, Bit>,
    /// Ranges to fetch.
    pub s: StreamSink<ReadRequest>,
    /// Completions; those whose tag has bit 7 set are not ours and are ignored.
    pub s_cpl: StreamSink<Completion<N>>,
    /// Memory reads.
    pub m_up: StreamSource<Up<RECORD_BITS>>,
    /// The segments' payload.
    pub m: StreamSource<PayloadBeat<N>>,
    /// No request is held and no read is in flight.
    pub idle: Signal<Out, Bit>,
    busy: DFF<Bit>,
    /// The next read of the rest is to be found yet.
    uncut: DFF<Bit>,
    rest: DFF<Rest>,
    /// The next read of the rest.
    cut: DFF<Cut>,
    reads: StreamRegister<Read>,
    /// Next tag to hand out.
    tag: DFF<Bits<7>>,
    /// Tags handed out and not yet free again.
    used: DFF<Bits<8>>,
    // Every tag is in use.
    all_used: DFF<Bit>,
    order: Fifo<Piece>,
    buffer: Ram<Bits<N>, 14>,
    /// One bit a tag: its data is complete.
    done: DFF<Bits<128>>,
    /// One bit a tag: it was never answered.
    lost: DFF<Bits<128>>,
    /// Tag of the oldest read, and the one after it.
    oldest: DFF<Bits<7>>,
    after: DFF<Bits<7>>,
    /// The data of the oldest read is complete.
    complete: DFF<Bit>,
    /// Beats of the oldest read that are planned.
    planned: DFF<Bits<8>>,
    /// Bytes carried over behind the beats planned so far.
    carried: DFF<Bits<7>>,
    /// The carried bytes form a last beat of their own.
    flush: DFF<Bit>,
    /// An earlier read of the segment was never answered.
    tainted: DFF<Bit>,
    plan1: DFF<Plan>,
    plan2: DFF<Plan>,
    beat: DFF<Bits<N>>,
    carry: DFF<Bits<N>>,
    out: Fifo<PayloadBeat<N>>,
    beats_fit: Assert,
    _tags: usize,
    _max_read_request: usize,
}

impl<const N: usize, const K: usize> PayloadRead<N, K> {
    /// A reader with `tags` reads in flight (1 to [`MAX_TAGS`]) of at most
    /// `max_read_request` bytes (a power of two, 128 to 4096).
    pub fn new(tags: usize, max_read_request: usize) -> Self {
        Self {
            order: Fifo::new(tags.max(2)),
            buffer: Ram::new((tags * max_read_request / K).max(2)),
            out: Fifo::new(OUTPUT_BEATS)
                .with_almost_full(MARGIN)
                .with_output(FifoOutput::Forward),
            beats_fit: Assert::new("a planned beat finds no place in the output FIFO"),
            _tags: tags,
            _max_read_request: max_read_request,
            ..Self::default()
        }
    }
}

/// The tag after `tag`.
#[hdl_fn]
fn following(tag: Bits<7>, last: u64) -> Bits<7> {
    if tag == bits::<7>(last) {
        bits::<7>(0)
    } else {
        tag + bits::<7>(1)
    }
}

impl<const N: usize, const K: usize> Logic for PayloadRead<N, K> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self, clk, busy, uncut, rest, cut, tag, used, all_used, done, oldest, after, complete,
            planned, carried, flush, tainted, lost, plan1, plan2, beat, carry
        );
        self.reads.clk.next = self.clk.val();
        self.reads.rst.next = self.rst.val();
        self.order.clk.next = self.clk.val();
        self.order.rst.next = self.rst.val();
        self.buffer.clk.next = self.clk.val();
        self.out.clk.next = self.clk.val();
        self.out.rst.next = self.rst.val();

        // Split: a segment's first read is found as it is taken, each further one in two cycles.
        let rest = self.rest.q.val();
        let next_cut = self.cut.q.val();
        let bytes = next_cut.length;
        let finished = next_cut.last;
        let uncut = self.uncut.q.val();
        let issue = self.busy.q.val()
            & !uncut
            & self.reads.s.ready.val()
            & self.order.s.ready.val()
            & !self.all_used.q.val();
        self.reads.s.valid.next = issue;
        self.reads.s.data.next = Read {
            address: rest.address,
            bytes,
            tag: self.tag.q.val(),
        };
        self.order.s.valid.next = issue;
        let beat_shift = K.trailing_zeros() as u64;
        let over = bit_cast::<8, 13>(bytes) & bits::<8>(K as u64 - 1);
        self.order.s.data.next = Piece {
            beats: ((bytes - bits::<13>(1)) >> beat_shift).get_bits::<8>(0),
            tail: if over.any() {
                over
            } else {
                bits::<8>(K as u64)
            },
            last: finished,
        };
        let last_tag = self._tags as u64 - 1;
        if issue {
            self.tag.d.next = following(self.tag.q.val(), last_tag);
            self.busy.d.next = !finished;
        }
        let take = !self.busy.q.val() | (issue & finished);
        self.s.ready.next = take;
        let request = self.s.data.val();
        let taken = take & self.s.valid.val();
        if taken {
            self.busy.d.next = true;
        }
        // The next read: of the request, or of the rest in hand. Which it is, is known last.
        let max = self._max_read_request as u64;
        let first_cut = cut(request.address, request.length, request.room, max);
        let following_cut = cut(rest.address, rest.length, rest.room, max);
        if uncut {
            self.cut.d.next = following_cut;
        } else if taken {
            self.cut.d.next = first_cut;
        }
        if taken {
            self.rest.d.next = Rest {
                address: request.address,
                room: request.room,
                ring: request.ring,
                length: request.length,
            };
        } else if uncut {
            self.uncut.d.next = false;
        } else if issue {
            self.rest.d.next = Rest {
                address: if next_cut.wraps {
                    rest.ring
                } else {
                    rest.address + bit_cast::<64, 13>(bytes)
                },
                room: if next_cut.wraps {
                    bits::<25>(0x1ff_ffff)
                } else {
                    rest.room - bit_cast::<25, 13>(bytes)
                },
                ring: rest.ring,
                length: rest.length - bit_cast::<14, 13>(bytes),
            };
            self.uncut.d.next = !finished;
        }
        let read = self.reads.m.data.val();
        self.m_up.valid.next = self.reads.m.valid.val();
        self.reads.m.ready.next = self.m_up.ready.val();
        self.m_up.data.next = Up::<RECORD_BITS> {
            kind: bits::<2>(UP_READ),
            address: read.address,
            bytes: read.bytes,
            tag: bit_cast::<8, 7>(read.tag),
            vector: bits::<8>(0),
            data: bits::<RECORD_BITS>(0),
            last: true,
        };

        // Completions go to the slot of their tag.
        let slot_shift = (self._max_read_request / K).trailing_zeros() as u64;
        let completion = self.s_cpl.data.val();
        let arrive = self.s_cpl.valid.val() & !completion.tag.get_bit(7);
        let slot = bit_cast::<14, 7>(completion.tag.get_bits::<7>(0)) << slot_shift;
        self.s_cpl.ready.next = true;
        self.buffer.write_enable.next = arrive;
        self.buffer.write_address.next = slot | bit_cast::<14, 13>(completion.offset >> beat_shift);
        self.buffer.write_data.next = completion.data;
        let arrived = completion.tag.get_bits::<7>(0);
        let completes = arrive & completion.last;
        let mut done_next = self.done.q.val();
        if completes {
            done_next = done_next | (bits::<128>(1) << arrived);
        }
        let mut lost_next = self.lost.q.val();
        if completes & completion.poisoned {
            lost_next = lost_next | (bits::<128>(1) << arrived);
        }

        // Plan: one beat of the oldest read a cycle, once the read is complete.
        let piece = self.order.m.data.val();
        let oldest = self.oldest.q.val();
        let after = self.after.q.val();
        let room = !self.out.almost_full.val();
        let flushes = self.flush.q.val() & room;
        let fetch = self.order.m.valid.val() & self.complete.q.val() & !self.flush.q.val() & room;
        let last_of_read = self.planned.q.val() == piece.beats;
        let whole_beat = bits::<8>(K as u64);
        let count = if last_of_read { piece.tail } else { whole_beat };
        let carried = self.carried.q.val();
        let total = bit_cast::<8, 7>(carried) + piece.tail;
        let closes = last_of_read & piece.last;
        let spills = total > whole_beat;
        let fills = !last_of_read | (total >= whole_beat);
        self.buffer.read_address.next =
            (bit_cast::<14, 7>(oldest) << slot_shift) | bit_cast::<14, 8>(self.planned.q.val());
        // Bytes of a lost read are no bytes of the segment: assembly throws it away.
        let taints = self.tainted.q.val()
            | (!flushes & last_of_read & self.lost.q.val().get_bit(oldest.index()));
        self.plan1.d.next = Plan {
            valid: fetch | flushes,
            bytes: if flushes { bits::<8>(0) } else { count },
            carried,
            back: bits::<11>(N as u64) - (bit_cast::<11, 7>(carried) << 3),
            emit: flushes | closes | fills,
            last: flushes | (closes & !spills),
            poisoned: taints,
        };
        if flushes {
            self.flush.d.next = false;
            self.tainted.d.next = false;
            self.carried.d.next = bits::<7>(0);
        }
        if fetch {
            self.flush.d.next = closes & spills;
            if closes & !spills {
                self.carried.d.next = bits::<7>(0);
            } else if last_of_read {
                self.carried.d.next = total.get_bits::<7>(0) & bits::<7>(K as u64 - 1);
            }
            self.planned.d.next = self.planned.q.val() + bits::<8>(1);
            if last_of_read {
                self.planned.d.next = bits::<8>(0);
                done_next = done_next & !(bits::<128>(1) << oldest);
                lost_next = lost_next & !(bits::<128>(1) << oldest);
                self.tainted.d.next = taints & !(closes & !spills);
            }
        }
        let retire = fetch & last_of_read;
        self.order.m.ready.next = retire;
        // Whether the oldest read is complete is known in the clock before it is asked.
        let this_completes = completes & (arrived == oldest);
        let after_completes = completes & (arrived == after);
        self.complete.d.next = if retire {
            after_completes | (self.done.q.val().get_bit(after.index()) & (after != oldest))
        } else {
            this_completes | self.done.q.val().get_bit(oldest.index())
        };
        if retire {
            self.oldest.d.next = after;
            self.after.d.next = following(after, last_tag);
        }
        self.done.d.next = done_next;
        self.lost.d.next = lost_next;
        if issue & !retire {
            self.used.d.next = self.used.q.val() + bits::<8>(1);
            self.all_used.d.next = self.used.q.val() == bits::<8>(last_tag);
        }
        if retire & !issue {
            self.used.d.next = self.used.q.val() - bits::<8>(1);
            self.all_used.d.next = false;
        }

        // Mask: bytes that the completion does not hold become zero.
        self.plan2.d.next = self.plan1.q.val();
        let valid_bytes = first_bytes::<K>(self.plan1.q.val().bytes);
        self.beat.d.next = self.buffer.read_data.val() & spread::<N, K>(valid_bytes);

        // Rotate: behind the carried bytes; what does not fit is carried over.
        let plan = self.plan2.q.val();
        let distance = bit_cast::<11, 7>(plan.carried) << 3;
        let front = self.carry.q.val() | (self.beat.q.val() << distance);
        let back = self.beat.q.val() >> plan.back;
        if plan.valid {
            self.carry.d.next = if plan.last {
                bits::<N>(0)
            } else if plan.emit {
                back
            } else {
                front
            };
        }
        self.out.s.valid.next = plan.valid & plan.emit;
        self.out.s.data.next = PayloadBeat::<N> {
            data: front,
            last: plan.last,
            poisoned: plan.poisoned & plan.last,
        };
        self.beats_fit.clk.next = self.clk.val();
        self.beats_fit.holds.next =
            self.rst.val() | !(plan.valid & plan.emit) | self.out.s.ready.val();
        self.m.data.next = self.out.m.data.val();
        self.m.valid.next = self.out.m.valid.val();
        self.out.m.ready.next = self.m.ready.val();

        self.idle.next = !self.busy.q.val()
            & !self.reads.m.valid.val()
            & !self.used.q.val().any()
            & !self.flush.q.val()
            & !self.plan1.q.val().valid
            & !self.plan2.q.val().valid
            & !self.out.level.val().any();

        if self.rst.val() {
            self.busy.d.next = false;
            self.uncut.d.next = false;
            self.tag.d.next = bits::<7>(0);
            self.used.d.next = bits::<8>(0);
            self.all_used.d.next = false;
            self.done.d.next = bits::<128>(0);
            self.oldest.d.next = bits::<7>(0);
            self.after.d.next = following(bits::<7>(0), last_tag);
            self.complete.d.next = false;
            self.planned.d.next = bits::<8>(0);
            self.carried.d.next = bits::<7>(0);
            self.flush.d.next = false;
            self.tainted.d.next = false;
            self.lost.d.next = bits::<128>(0);
            self.plan1.d.next.valid = false;
            self.plan2.d.next.valid = false;
            self.carry.d.next = bits::<N>(0);
        }
    }
}
