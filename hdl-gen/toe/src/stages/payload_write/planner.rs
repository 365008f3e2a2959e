//! Planner of payload write: cuts placements into write requests.
//!
//! A chunk ends at the ring's end, at a 4 KiB boundary of the bus address (PCIe 4.0
//! §2.2.7), after the maximum payload size, or with the placement, whichever comes first.
//! One chunk per clock. A frame of which nothing is placed is one chunk too, so that it is
//! consumed in its turn; an event without a frame is none. What follows the payload waits as a [`Tail`].
//!
//! A slow frame goes to the control plane's next slot, with a record on context 0, when
//! `slow_room` is high; otherwise its beats are skipped and `slow_full` pulses.

use crate::channels::{Action, Header, Notice};
use crate::interface::{CONTROL_CONTEXT, RecordKind, SLOW_SLOT_BYTES};
use hallux_hdl::prelude::*;

/// Records of slow frames that may be on their way to `m_notice`; `slow_room` is to be
/// low when context 0 has no room for so many.
pub const SLOW_PENDING: u64 = 8;
/// Bus addresses of one write request share these upper bits (PCIe 4.0 §2.2.7).
const PAGE: u64 = 4096;
/// log2 of the bytes of a slow-path slot.
const SLOT_LOG2: u64 = SLOW_SLOT_BYTES.trailing_zeros() as u64;

/// One write request, or a frame that needs none.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Chunk {
    /// Write `length` bytes.
    pub write: Bit,
    /// Byte offset in the frame.
    pub offset: Bits<11>,
    /// Bytes, at most the maximum payload size.
    pub length: Bits<10>,
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
pub struct Planner {
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
    plan: DFF<Plan>,
    slot: DFF<Bits<32>>,
    pending: DFF<Bits<4>>,
    full: DFF<Bit>,
    placing: DFF<Bit>,
    _max_payload: usize,
}

impl Planner {
    /// See [`PayloadWrite::new`](super::PayloadWrite::new).
    pub fn new(max_payload: usize) -> Self {
        Self {
            _max_payload: max_payload,
            ..Default::default()
        }
    }
}

/// Bytes of the next chunk.
#[hdl_fn]
fn chunk_length(plan: Plan, max_payload: Bits<13>) -> Bits<10> {
    let to_page = bits::<13>(PAGE) - bit_cast::<13, 12>(plan.address.get_bits::<12>(0));
    let request = if to_page < max_payload {
        to_page
    } else {
        max_payload
    };
    let left = bit_cast::<25, 14>(plan.left);
    let extent = if left < plan.room { left } else { plan.room };
    if extent < bit_cast::<25, 13>(request) {
        extent.get_bits::<10>(0)
    } else {
        request.get_bits::<10>(0)
    }
}

/// What remains after a chunk of `length` bytes.
#[hdl_fn]
fn advance(plan: Plan, length: Bits<10>) -> Plan {
    let mut next = plan;
    next.left = plan.left - bit_cast::<14, 10>(length);
    next.offset = plan.offset + bit_cast::<11, 10>(length);
    if plan.room == bit_cast::<25, 10>(length) {
        next.address = plan.ring;
        next.room = !bits::<25>(0);
    } else {
        next.address = plan.address + bit_cast::<64, 10>(length);
        next.room = plan.room - bit_cast::<25, 10>(length);
    }
    next
}

impl Logic for Planner {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, active, plan, slot, pending, full, placing);

        let plan = self.plan.q.val();
        let length = chunk_length(plan, bits::<13>(self._max_payload as u64));
        let last = !plan.write | (plan.left == bit_cast::<14, 10>(length));
        self.m_chunk.data.next = Chunk {
            write: plan.write,
            offset: plan.offset,
            length,
            address: plan.address,
            last,
        };
        self.m_chunk.valid.next = self.active.q.val();
        let cut = self.active.q.val() & self.m_chunk.ready.val();
        if cut {
            self.plan.d.next = advance(plan, length);
            if last {
                self.active.d.next = false;
            }
        }

        let free = !self.active.q.val() | (cut & last);
        let takes = free
            & self.m_tail.ready.val()
            & self.m_header.ready.val()
            & (self.pending.q.val() < bits::<4>(SLOW_PENDING));
        self.s.ready.next = takes;
        let action = self.s.data.val();
        let taken = takes & self.s.valid.val();
        let record = action.slow & self.slow_room.val();
        let places = action.place & action.place_len.any() & !action.slow;

        let slots = (bits::<32>(1) << self.slow_log2.val()) - bits::<32>(1);
        let slot = self.slot.q.val() & slots;
        let slow_address =
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
                ticket: action.ticket,
            };
        }
        self.m_tail.data.next = tail;
        self.m_tail.valid.next = taken;
        self.m_header.data.next = action.header;
        self.m_header.valid.next = taken & action.send;
        self.full.d.next = taken & action.slow & !self.slow_room.val();
        self.placing.d.next = taken & places;
        if taken & action.frame {
            self.active.d.next = true;
            self.plan.d.next = if action.slow {
                Plan {
                    write: record,
                    offset: bits::<11>(0),
                    left: action.frame_len,
                    address: slow_address,
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
            self.slot.d.next = bits::<32>(0);
            self.pending.d.next = bits::<4>(0);
            self.full.d.next = false;
            self.placing.d.next = false;
        }
    }
}
