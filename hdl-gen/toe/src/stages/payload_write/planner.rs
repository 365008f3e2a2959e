//! Planner of payload write: cuts placements into write requests.
//!
//! A chunk ends at the ring's end, at a 4 KiB boundary of the bus address (PCIe 4.0
//! §2.2.7), after the maximum payload size, or with the placement, whichever comes first.
//! The first chunk of a segment is found as its plan is made, each further one, and that of a
//! slow frame, in two clocks. A frame of which nothing is placed is one chunk too, so that it is
//! consumed in its turn; an event without a frame is none. What follows the payload waits as a [`Tail`].
//!
//! A slow frame goes to the control plane's next slot, with a record on context 0, when
//! `slow_room` is high; otherwise its beats are skipped and `slow_full` pulses.

use crate::channels::{Action, Header, Notice};
use crate::interface::{CONTROL_CONTEXT, RecordKind, SLOW_SLOT_BYTES};
use crate::stages::cut::{Cut, cut, ring_mask};
use hallux_hdl::prelude::*;

/// Records of slow frames that may be on their way to `m_notice`; `slow_room` is to be
/// low when context 0 has no room for so many.
pub const SLOW_PENDING: u64 = 8;
/// log2 of the bytes of a slow-path slot.
const SLOT_LOG2: u64 = SLOW_SLOT_BYTES.trailing_zeros() as u64;

/// One write request, or a frame that needs none. The engine cuts it into windows of a
/// beat's bytes, the last of which may be shorter.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Chunk {
    /// Write `length` bytes.
    pub write: Bit,
    /// Beat of the frame in which it begins.
    pub beat: Bits<6>,
    /// Byte of that beat.
    pub shift: Bits<7>,
    /// Bytes, at most the maximum payload size.
    pub length: Bits<10>,
    /// Windows, less one.
    pub windows: Bits<4>,
    /// Bytes of the last window, 1 to those of a beat.
    pub tail: Bits<8>,
    /// The last window ends behind the beat in which it begins.
    pub tail_reaches: Bit,
    /// It takes the last byte of the beat in which it begins.
    pub tail_ends: Bit,
    /// Bus address.
    pub address: Bits<64>,
    /// The event's last chunk.
    pub last: Bit,
}

/// What follows the payload of an event.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Tail {
    /// Post `notice`.
    pub notify: Bit,
    /// The record.
    pub notice: Notice,
    /// Release the event's header.
    pub send: Bit,
    /// There is no frame before it, hence no chunk.
    pub bare: Bit,
}

/// The part of a placement that is not cut yet.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Plan {
    /// There is something to write.
    pub write: Bit,
    /// Byte offset in the frame.
    pub offset: Bits<11>,
    /// Bytes left.
    pub left: Bits<14>,
    /// Bus address.
    pub address: Bits<64>,
    /// Bytes to the end of the ring.
    pub room: Bits<25>,
    /// Where the ring begins.
    pub ring: Bits<64>,
}

/// See the [module](self).
#[derive(LogicBlock, Default)]
pub struct Planner<const K: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// Actions.
    pub s: StreamSink<Action>,
    /// Bus address of the slow-path slots.
    pub slow_base: Signal<In, Bits<64>>,
    /// log2 of the number of slots.
    pub slow_log2: Signal<In, Bits<5>>,
    /// Context 0 has room for [`SLOW_PENDING`] records.
    pub slow_room: Signal<In, Bit>,
    /// The record of a slow frame has left the stage.
    pub record_left: Signal<In, Bit>,
    /// Chunks.
    pub m_chunk: StreamSource<Chunk>,
    /// One tail an event.
    pub m_tail: StreamSource<Tail>,
    /// Headers of frames to transmit.
    pub m_header: StreamSource<Header>,
    /// A slow frame is dropped for lack of room.
    pub slow_full: Signal<Out, Bit>,
    /// A fast segment is placed.
    pub placed: Signal<Out, Bit>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    active: DFF<Bit>,
    /// The plan's next chunk is to be found yet.
    uncut: DFF<Bit>,
    plan: DFF<Plan>,
    /// The plan's next chunk.
    cut: DFF<Cut>,
    /// Number of the next slow-path slot, and the bits of such a number.
    slot: DFF<Bits<32>>,
    slots: DFF<Bits<32>>,
    /// Bus address of the next slow-path slot.
    slow_address: DFF<Bits<64>>,
    pending: DFF<Bits<4>>,
    full: DFF<Bit>,
    placing: DFF<Bit>,
    _max_payload: usize,
}

impl<const K: usize> Planner<K> {
    /// See [`PayloadWrite::new`](super::PayloadWrite::new).
    pub fn new(max_payload: usize) -> Self {
        Self {
            _max_payload: max_payload,
            ..Default::default()
        }
    }
}

/// What remains after a chunk.
#[hdl_fn]
fn advance(plan: Plan, cut: Cut) -> Plan {
    let length = cut.length.get_bits::<10>(0);
    Plan {
        left: plan.left - bit_cast::<14, 10>(length),
        offset: plan.offset + bit_cast::<11, 10>(length),
        address: if cut.wraps {
            plan.ring
        } else {
            plan.address + bit_cast::<64, 10>(length)
        },
        room: if cut.wraps {
            !bits::<25>(0)
        } else {
            plan.room - bit_cast::<25, 10>(length)
        },
        ..plan
    }
}

impl<const K: usize> Logic for Planner<K> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self,
            clk,
            active,
            uncut,
            plan,
            cut,
            slot,
            slots,
            slow_address,
            pending,
            full,
            placing
        );

        let plan = self.plan.q.val();
        let length = self.cut.q.val().length.get_bits::<10>(0);
        let last = !plan.write | self.cut.q.val().last;
        let beat_log2 = K.trailing_zeros() as u64;
        let shift = plan.offset.get_bits::<7>(0) & bits::<7>(K as u64 - 1);
        let rest = bit_cast::<8, 10>(length) & bits::<8>(K as u64 - 1);
        let whole = !rest.any();
        let end = bit_cast::<9, 7>(shift) + bit_cast::<9, 8>(rest);
        self.m_chunk.data.next = Chunk {
            write: plan.write,
            beat: (plan.offset >> beat_log2).get_bits::<6>(0),
            shift,
            length,
            windows: ((length - bits::<10>(1)) >> beat_log2).get_bits::<4>(0),
            tail: if whole { bits::<8>(K as u64) } else { rest },
            tail_reaches: if whole {
                shift.any()
            } else {
                end > bits::<9>(K as u64)
            },
            tail_ends: whole | (end >= bits::<9>(K as u64)),
            address: plan.address,
            last,
        };
        let uncut = self.uncut.q.val();
        self.m_chunk.valid.next = self.active.q.val() & !uncut;
        let cuts = self.active.q.val() & !uncut & self.m_chunk.ready.val();

        let free = !self.active.q.val() | (cuts & last);
        // A header is offered whether it is taken or not.
        let offers =
            free & self.m_tail.ready.val() & (self.pending.q.val() < bits::<4>(SLOW_PENDING));
        let takes = offers & self.m_header.ready.val();
        self.s.ready.next = takes;
        let action = self.s.data.val();
        let taken = takes & self.s.valid.val();
        let record = action.slow & self.slow_room.val();
        let places = action.place & action.place_len.any() & !action.slow;

        // A frame that takes a slot is two clocks in hand, so the next one finds its address.
        self.slots.d.next = ring_mask::<32>(self.slow_log2.val());
        let slot = self.slot.q.val() & self.slots.q.val();
        self.slow_address.d.next =
            self.slow_base.val() + (bit_cast::<64, 32>(slot) << bits::<4>(SLOT_LOG2));
        let mut tail = Tail {
            notify: action.notify,
            notice: action.notice,
            send: action.send,
            bare: !action.frame,
        };
        if action.slow {
            tail.notify = record;
            tail.notice = Notice {
                context: bits::<8>(CONTROL_CONTEXT as u64),
                kind: bits::<8>(RecordKind::Frame as u64),
                rx_bump: bits::<32>(0),
                tx_bump: bits::<32>(0),
                opaque: bits::<64>(0),
                flow: bits::<16>(0),
                generation: bits::<8>(0),
                flags: bits::<8>(0),
                length: bit_cast::<16, 14>(action.frame_len),
                opcode: bits::<8>(0),
                status: bits::<8>(0),
                value: slot,
                read_lost: false,
                ticket: action.ticket,
            };
        }
        self.m_tail.data.next = tail;
        self.m_tail.valid.next = taken;
        self.m_header.data.next = action.header;
        self.m_header.valid.next = offers & self.s.valid.val() & action.send;
        self.full.d.next = taken & action.slow & !self.slow_room.val();
        self.placing.d.next = taken & places;
        let starts = taken & action.frame;
        if starts {
            self.plan.d.next = if action.slow {
                Plan {
                    write: record,
                    offset: bits::<11>(0),
                    left: action.frame_len,
                    address: self.slow_address.q.val(),
                    room: !bits::<25>(0),
                    ring: action.ring,
                }
            } else {
                Plan {
                    write: places,
                    offset: action.place_offset.get_bits::<11>(0),
                    left: action.place_len,
                    address: action.address,
                    room: action.room,
                    ring: action.ring,
                }
            };
            self.uncut.d.next = action.slow;
        } else if uncut {
            self.uncut.d.next = false;
        } else if cuts {
            self.plan.d.next = advance(plan, self.cut.q.val());
            self.uncut.d.next = !last;
        }
        // The next chunk: of the action, or of the plan in hand. Which it is, is known last.
        let max = self._max_payload as u64;
        let first_cut = cut(action.address, action.place_len, action.room, max);
        let next_cut = cut(plan.address, plan.left, plan.room, max);
        if uncut {
            self.cut.d.next = next_cut;
        } else if starts {
            self.cut.d.next = first_cut;
        }
        if starts {
            self.active.d.next = true;
        } else if cuts & last {
            self.active.d.next = false;
        }
        let planned = taken & record;
        if planned {
            self.slot.d.next = self.slot.q.val() + bits::<32>(1);
        }
        if planned & !self.record_left.val() {
            self.pending.d.next = self.pending.q.val() + bits::<4>(1);
        } else if self.record_left.val() & !planned {
            self.pending.d.next = self.pending.q.val() - bits::<4>(1);
        }
        self.slow_full.next = self.full.q.val();
        self.placed.next = self.placing.q.val();
        self.idle.next = !self.active.q.val() & !self.full.q.val() & !self.placing.q.val();

        if self.rst.val() {
            self.active.d.next = false;
            self.uncut.d.next = false;
            self.slot.d.next = bits::<32>(0);
            self.pending.d.next = bits::<4>(0);
            self.full.d.next = false;
            self.placing.d.next = false;
        }
    }
}
