//! Classify: gives each connection a class by its 5-tuple, before the protocol stage.
//!
//! ```text
//!          ┌──────────┐
//!  s ──┬──►│ segments ├───────────┬──► m
//!      │   └──────────┘           │ flow
//!      │   ┌───────┐ class ┌──────▼─┐
//!      └──►│ rules ├──────►│ classes├──► look_class, of the flow `look`
//!          └───────┘       └────────┘
//! ```
//!
//! The action of the first rule that a segment meets is its class, 0 to 15; where none does,
//! the default's. The class of a flow is that of its latest segment; it stands in bits 7..4 of
//! the flags of each update record. Frames for the control plane have none.
//!
//! Initiation interval 1, latency 4.

use super::plan::{Declaration, Order};
use super::port::Access;
use super::rules::{Key, Rules};
use crate::channels::{CLASS_FAST, Segment};
use crate::interface::modules::Slot;
use hallux_hdl::prelude::*;

/// What the module needs and does.
pub const DECLARATION: Declaration = Declaration {
    slots: &[Slot::BeforeProtocol],
    latency: 4,
    interval: 1,
    order: Order::Kept,
    verdicts: &[],
};

/// Segments that wait for their class; more than a ruling takes.
const SEGMENTS: usize = 8;
const PROTOCOL_TCP: u64 = 6;

/// See the [module](self).
#[derive(LogicBlock)]
pub struct Classify {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset: no rules. Classes of flows stay until their next segment.
    pub rst: Signal<In, Bit>,
    /// Segments.
    pub s: StreamSink<Segment>,
    /// The same.
    pub m: StreamSource<Segment>,
    /// Whose class is looked at.
    pub look: Signal<In, Bits<16>>,
    /// Its class.
    pub look_class: Signal<Out, Bits<4>>,
    /// Register access.
    pub access: Signal<In, Access>,
    /// Value of the register.
    pub answer: Signal<Out, Bits<64>>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    segments: Fifo<Segment>,
    rulings: Fifo<Bits<4>>,
    rules: Rules,
    classes: RegisterFile<Bits<4>, 16>,
}

impl Classify {
    /// With a list of `rules` rules, for so many flows.
    pub fn new(rules: usize, flows: usize) -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            m: Default::default(),
            look: Default::default(),
            look_class: Default::default(),
            access: Default::default(),
            answer: Default::default(),
            idle: Default::default(),
            segments: Fifo::new(SEGMENTS).with_output(FifoOutput::Forward),
            rulings: Fifo::new(SEGMENTS).with_output(FifoOutput::Forward),
            rules: Rules::new(rules),
            classes: RegisterFile::new(flows),
        }
    }
}

impl Logic for Classify {
    #[hdl]
    fn update(&mut self) {
        self.segments.clk.next = self.clk.val();
        self.segments.rst.next = self.rst.val();
        self.rulings.clk.next = self.clk.val();
        self.rulings.rst.next = self.rst.val();
        self.rules.clk.next = self.clk.val();
        self.rules.rst.next = self.rst.val();
        self.classes.clk.next = self.clk.val();
        StreamSink::<Segment>::link(&mut self.s, &mut self.segments.s);
        let arriving = self.s.data.val().summary;
        self.rules.key_valid.next = self.s.valid.val() & self.segments.s.ready.val();
        self.rules.key.next = Key {
            ipv4: arriving.class == bits::<2>(CLASS_FAST),
            ports: true,
            protocol: bits::<8>(PROTOCOL_TCP),
            source_ip: arriving.remote_ip,
            destination_ip: arriving.local_ip,
            source_port: arriving.remote_port,
            destination_port: arriving.local_port,
        };
        // There are never more rulings than segments.
        self.rulings.s.valid.next = self.rules.ruling_valid.val();
        self.rulings.s.data.next = self.rules.ruling.val().action.get_bits::<4>(0);
        let ruled = self.rulings.m.valid.val();
        let segment = self.segments.m.data.val();
        let moves = self.segments.m.valid.val() & ruled & self.m.ready.val();
        self.m.data.next = segment;
        self.m.valid.next = self.segments.m.valid.val() & ruled;
        self.segments.m.ready.next = ruled & self.m.ready.val();
        self.rulings.m.ready.next = moves;
        self.classes.write_enable.next = moves & (segment.summary.class == bits::<2>(CLASS_FAST));
        self.classes.write_address.next = segment.flow;
        self.classes.write_data.next = self.rulings.m.data.val();
        self.classes.read_address.next = self.look.val();
        self.look_class.next = self.classes.read_data.val();
        self.rules.access.next = self.access.val();
        self.answer.next = self.rules.answer.val();
        self.idle.next = !self.segments.level.val().any() & self.rules.idle.val();
    }
}
