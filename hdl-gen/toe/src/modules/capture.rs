//! Capture: mirrors the frames that its filter meets to a ring in host memory.
//!
//! ```text
//!          ┌─────────┐
//!  s ─────►│ inspect ├────────────────────────┬──► m
//!          └──┬───▲──┘                        │ the same beats
//!   headers   │   │ wanted, when it began   ┌─▼────┐
//!          ┌──▼───┴──┐                      │ ring ├──► m_up
//!          │  rules  │◄─ access ───────────►└──────┘
//!          └─────────┘
//! ```
//!
//! The action of the first rule that an IPv4 packet meets says whether it is wanted; that of
//! the default, whether all else is, other frames than IPv4 included. The module only looks
//! on: a frame that finds no place is counted as lost and goes on like every other. Frames
//! that a module before has dropped are not mirrored. The direction is that of the slot.
//! Initiation interval 1, latency 5.

use super::capture_ring::{CaptureRing, Seen};
use super::inspect::Inspect;
use super::plan::{Declaration, Order};
use super::port::{Access, DROP, Passing};
use super::rules::{Key, Rules};
use crate::channels::Up;
use crate::interface::modules::{Slot, rules::action};
use hallux_hdl::prelude::*;

/// What the module needs and does.
pub const DECLARATION: Declaration = Declaration {
    slots: &[Slot::Ingress, Slot::Egress],
    latency: 5,
    interval: 1,
    order: Order::Kept,
    verdicts: &[],
};

/// Protocol numbers whose first four bytes are two ports: TCP and UDP.
const WITH_PORTS: [u64; 2] = [6, 17];
/// Frames whose headers are with the rules; more than a ruling takes.
const RULED: usize = 8;

/// What is known of a frame when it leaves.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Wanted {
    /// It is to be mirrored.
    pub wanted: Bit,
    /// `now` at its first beat.
    pub time: Bits<64>,
}

/// See the [module](self).
#[derive(LogicBlock)]
pub struct Capture<const N: usize, const K: usize> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset: nothing is mirrored.
    pub rst: Signal<In, Bit>,
    /// Frames.
    pub s: StreamSink<Passing<N, K>>,
    /// The same.
    pub m: StreamSource<Passing<N, K>>,
    /// Time in ns.
    pub now: Signal<In, Bits<64>>,
    /// Writes to the ring.
    pub m_up: StreamSource<Up<N>>,
    /// Register access.
    pub access: Signal<In, Access>,
    /// Value of the register.
    pub answer: Signal<Out, Bits<64>>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    inspect: Inspect<N, K, Wanted>,
    rules: Rules,
    /// When the frame on `s` began.
    began: DFF<Bits<64>>,
    midway: DFF<Bit>,
    /// When the frames began whose headers are with the rules.
    times: Fifo<Bits<64>>,
    ring: CaptureRing<N, K>,
}

impl<const N: usize, const K: usize> Capture<N, K> {
    /// With a list of `rules` rules; of a frame at most `snap` bytes are mirrored, by writes
    /// of at most `max_payload` bytes.
    pub fn new(rules: usize, snap: usize, max_payload: usize) -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            m: Default::default(),
            now: Default::default(),
            m_up: Default::default(),
            access: Default::default(),
            answer: Default::default(),
            idle: Default::default(),
            inspect: Inspect::new(),
            rules: Rules::new(rules),
            began: Default::default(),
            midway: Default::default(),
            times: Fifo::new(RULED).with_output(FifoOutput::Forward),
            ring: CaptureRing::new(snap, max_payload),
        }
    }
}

impl<const N: usize, const K: usize> Logic for Capture<N, K> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, began, midway);
        self.inspect.clk.next = self.clk.val();
        self.inspect.rst.next = self.rst.val();
        self.rules.clk.next = self.clk.val();
        self.rules.rst.next = self.rst.val();
        self.times.clk.next = self.clk.val();
        self.times.rst.next = self.rst.val();
        self.ring.clk.next = self.clk.val();
        self.ring.rst.next = self.rst.val();
        StreamSink::<Passing<N, K>>::link(&mut self.s, &mut self.inspect.s);
        StreamSource::<Up<N>>::link(&mut self.m_up, &mut self.ring.m_up);

        // The head is complete one clock after the beat that completes it, so `began` is
        // still that of the same frame.
        let taken = self.s.valid.val() & self.inspect.s.ready.val();
        if taken {
            self.midway.d.next = !self.s.data.val().beat.last;
        }
        if taken & !self.midway.q.val() {
            self.began.d.next = self.now.val();
        }
        let headers = self.inspect.headers.val();
        self.rules.key_valid.next = self.inspect.head_valid.val();
        self.rules.key.next = Key {
            ipv4: headers.ipv4,
            ports: headers.plain
                & ((headers.protocol == bits::<8>(WITH_PORTS[0]))
                    | (headers.protocol == bits::<8>(WITH_PORTS[1]))),
            protocol: headers.protocol,
            source_ip: headers.source_ip,
            destination_ip: headers.destination_ip,
            source_port: headers.source_port,
            destination_port: headers.destination_port,
        };
        self.times.s.valid.next = self.inspect.head_valid.val();
        self.times.s.data.next = self.began.q.val();
        self.times.m.ready.next = self.rules.ruling_valid.val();
        self.inspect.judged_valid.next = self.rules.ruling_valid.val();
        self.inspect.judged.next = Wanted {
            wanted: self.rules.ruling.val().action == bits::<8>(action::CAPTURE as u64),
            time: self.times.m.data.val(),
        };

        let passing = self.inspect.m.data.val();
        let valid = self.inspect.m.valid.val();
        let judgement = self.inspect.judgement.val();
        self.m.data.next = passing;
        self.m.valid.next = valid;
        self.inspect.m.ready.next = self.m.ready.val();
        self.ring.seen_valid.next = valid & self.m.ready.val();
        self.ring.seen.next = Seen::<N, K> {
            beat: passing.beat,
            wanted: judgement.wanted & (passing.verdict != bits::<2>(DROP)),
            time: judgement.time,
        };

        self.rules.access.next = self.access.val();
        self.ring.access.next = self.access.val();
        self.answer.next = self.rules.answer.val() | self.ring.answer.val();
        self.idle.next = self.inspect.idle.val() & self.rules.idle.val() & self.ring.idle.val();
        if self.rst.val() {
            self.midway.d.next = false;
        }
    }
}
