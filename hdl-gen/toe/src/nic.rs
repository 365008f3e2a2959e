//! The NIC: every stage of the data path, connected.
//!
//! The picture is in [`crate::channels`]; what each stage does and what the top-level
//! ports carry, in `docs/data-path.md`. This block adds what belongs to no stage:
//! registers at the edges, the routing of read completions by tag, the merging of drop
//! reports, counters' pulses, `quiescent`, and the probes.

use crate::channels::*;
use crate::design::DesignPoint;
use crate::interface::{COUNTERS, Drop};
use crate::stages::arbiter::Arbiter;
use crate::stages::assemble::Assemble;
use crate::stages::fetch::Fetch;
use crate::stages::frame_buffer::FrameBuffer;
use crate::stages::identify::Identify;
use crate::stages::notify::Notify;
use crate::stages::parse::Parse;
use crate::stages::payload_read::PayloadRead;
use crate::stages::payload_write::PayloadWrite;
use crate::stages::post::Post;
use crate::stages::protocol::Protocol;
use crate::stages::registers::{Identity, Registers};
use crate::stages::reorder::Reorder;
use crate::stages::scheduler::Scheduler;
use crate::stages::sequence::Sequencer;
use crate::stages::upstream::Upstream;
use hallux_hdl::prelude::*;

/// Ticket of a probe whose stage handles beats or requests, not events.
pub const NO_TICKET: u64 = 0xff_ffff;

/// Summaries that may wait behind the parser.
const SUMMARIES: usize = 64;
/// Descriptor bursts in flight.
const BURSTS: usize = 16;
/// Payload beats that assembly stores: five segments of 1448 bytes.
const STORE_BEATS: usize = 128;

/// A TCP offload engine with its top-level ports. See the [module](self).
#[derive(LogicBlock)]
pub struct Nic {
    /// Clock of the whole data path.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: a function-level reset.
    pub rst: Signal<In, Bit>,
    /// Frames from the MAC; ready is constant 1.
    pub eth_rx: StreamSink<Beat>,
    /// Frames to the MAC, without a gap inside a frame while ready.
    pub eth_tx: StreamSource<Beat>,
    /// Register accesses of the host.
    pub mmio: StreamSink<Mmio>,
    /// The one ordered upstream queue.
    pub up: StreamSource<Up>,
    /// Read completions; ready is constant 1.
    pub dma_cpl: StreamSink<Completion>,
    /// Time in ns.
    pub now: Signal<In, Bits<64>>,
    /// Nothing is in flight and no input is valid.
    pub quiescent: Signal<Out, Bit>,
    /// The `now` at which a timer next needs a clock; all ones: never.
    pub wake_at: Signal<Out, Bits<64>>,
    /// One frame was dropped.
    pub drop_valid: Signal<Out, Bit>,
    /// Why: [`Drop`].
    pub drop_reason: Signal<Out, Bits<4>>,
    /// Parser: beats.
    pub probe_parse: Signal<Out, Probe>,
    /// Identification.
    pub probe_identify: Signal<Out, Probe>,
    /// Reorder.
    pub probe_reorder: Signal<Out, Probe>,
    /// Received segments at the arbiter.
    pub probe_arbiter: Signal<Out, Probe>,
    /// Protocol.
    pub probe_protocol: Signal<Out, Probe>,
    /// Post-processing.
    pub probe_post: Signal<Out, Probe>,
    /// Payload write.
    pub probe_payload_write: Signal<Out, Probe>,
    /// Notification.
    pub probe_notify: Signal<Out, Probe>,
    /// Scheduler: its grants.
    pub probe_scheduler: Signal<Out, Probe>,
    /// Descriptor fetch: its events.
    pub probe_fetch: Signal<Out, Probe>,
    /// Register file: its commands.
    pub probe_registers: Signal<Out, Probe>,
    /// Payload read.
    pub probe_payload_read: Signal<Out, Probe>,
    /// Assembly.
    pub probe_assemble: Signal<Out, Probe>,
    /// Upstream queue: beats.
    pub probe_upstream: Signal<Out, Probe>,

    rx_beat: DFF<Beat>,
    rx_valid: DFF<Bit>,
    cpl_beat: DFF<Completion>,
    cpl_valid: DFF<Bit>,
    clock: DFF<Bits<64>>,
    /// Drops of payload write that wait for a cycle without one of the parser.
    slow_drops: DFF<Bits<8>>,

    parse: Parse,
    frame_buffer: FrameBuffer,
    sequence: Sequencer,
    identify: Identify,
    reorder: Reorder,
    arbiter: Arbiter,
    protocol: Protocol,
    post: Post,
    payload_write: PayloadWrite,
    notify: Notify,
    scheduler: Scheduler,
    fetch: Fetch,
    registers: Registers,
    payload_read: PayloadRead,
    assemble: Assemble,
    upstream: Upstream,
    tx_register: StreamRegister<Beat>,
}

impl Nic {
    /// The NIC of a design point.
    pub fn new(point: &DesignPoint) -> Self {
        let (connections, contexts) = (point.connections as usize, point.contexts as usize);
        Self {
            clk: Default::default(),
            rst: Default::default(),
            eth_rx: Default::default(),
            eth_tx: Default::default(),
            mmio: Default::default(),
            up: Default::default(),
            dma_cpl: Default::default(),
            now: Default::default(),
            quiescent: Default::default(),
            wake_at: Default::default(),
            drop_valid: Default::default(),
            drop_reason: Default::default(),
            probe_parse: Default::default(),
            probe_identify: Default::default(),
            probe_reorder: Default::default(),
            probe_arbiter: Default::default(),
            probe_protocol: Default::default(),
            probe_post: Default::default(),
            probe_payload_write: Default::default(),
            probe_notify: Default::default(),
            probe_scheduler: Default::default(),
            probe_fetch: Default::default(),
            probe_registers: Default::default(),
            probe_payload_read: Default::default(),
            probe_assemble: Default::default(),
            probe_upstream: Default::default(),
            rx_beat: Default::default(),
            rx_valid: Default::default(),
            cpl_beat: Default::default(),
            cpl_valid: Default::default(),
            clock: Default::default(),
            slow_drops: Default::default(),
            parse: Parse::new(SUMMARIES),
            frame_buffer: FrameBuffer::new(point.frame_buffer_beats()),
            sequence: Default::default(),
            identify: Identify::new(point.flow_table_buckets as usize),
            reorder: Reorder::new(point.reorder_depth as usize),
            arbiter: Default::default(),
            protocol: Protocol::new(connections),
            post: Post::new(connections),
            payload_write: PayloadWrite::new(point.max_payload as usize),
            notify: Notify::new(contexts, connections),
            scheduler: Scheduler::new(connections),
            fetch: Fetch::new(contexts, BURSTS),
            registers: Registers::new(Identity {
                contexts: point.contexts.into(),
                connections: point.connections.into(),
                buckets: point.flow_table_buckets.into(),
                frame_buffer_beats: point.frame_buffer_beats() as u64,
                payload_tags: point.read_tags.into(),
                bus_bits: point.bus_bits.into(),
            }),
            payload_read: PayloadRead::new(
                point.read_tags as usize,
                point.max_read_request as usize,
            ),
            assemble: Assemble::new(STORE_BEATS, point.egress_depth as usize),
            upstream: Default::default(),
            tx_register: Default::default(),
        }
    }
}

#[hdl_fn]
fn probe(valid: Bit, ready: Bit, ticket: Bits<24>, flow: Bits<16>) -> Probe {
    Probe {
        fire: valid & ready,
        blocked: valid & !ready,
        ticket: if valid { ticket } else { bits::<24>(0) },
        flow: if valid { flow } else { bits::<16>(0) },
    }
}

impl Logic for Nic {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self, clk, rx_beat, rx_valid, cpl_beat, cpl_valid, clock, slow_drops
        );
        self.parse.clk.next = self.clk.val();
        self.parse.rst.next = self.rst.val();
        self.frame_buffer.clk.next = self.clk.val();
        self.frame_buffer.rst.next = self.rst.val();
        self.sequence.clk.next = self.clk.val();
        self.sequence.rst.next = self.rst.val();
        self.identify.clk.next = self.clk.val();
        self.identify.rst.next = self.rst.val();
        self.reorder.clk.next = self.clk.val();
        self.reorder.rst.next = self.rst.val();
        self.arbiter.clk.next = self.clk.val();
        self.arbiter.rst.next = self.rst.val();
        self.protocol.clk.next = self.clk.val();
        self.protocol.rst.next = self.rst.val();
        self.post.clk.next = self.clk.val();
        self.post.rst.next = self.rst.val();
        self.payload_write.clk.next = self.clk.val();
        self.payload_write.rst.next = self.rst.val();
        self.notify.clk.next = self.clk.val();
        self.notify.rst.next = self.rst.val();
        self.scheduler.clk.next = self.clk.val();
        self.scheduler.rst.next = self.rst.val();
        self.fetch.clk.next = self.clk.val();
        self.fetch.rst.next = self.rst.val();
        self.registers.clk.next = self.clk.val();
        self.registers.rst.next = self.rst.val();
        self.payload_read.clk.next = self.clk.val();
        self.payload_read.rst.next = self.rst.val();
        self.assemble.clk.next = self.clk.val();
        self.assemble.rst.next = self.rst.val();
        self.upstream.clk.next = self.clk.val();
        self.upstream.rst.next = self.rst.val();
        self.tx_register.clk.next = self.clk.val();
        self.tx_register.rst.next = self.rst.val();

        // Edges: inputs are registered here, or by the first stage's own FIFO.
        self.clock.d.next = self.now.val();
        self.eth_rx.ready.next = true;
        self.rx_beat.d.next = self.eth_rx.data.val();
        self.rx_valid.d.next = self.eth_rx.valid.val();
        self.dma_cpl.ready.next = true;
        self.cpl_beat.d.next = self.dma_cpl.data.val();
        self.cpl_valid.d.next = self.dma_cpl.valid.val();

        // Receive.
        self.parse.s.data.next = self.rx_beat.q.val();
        self.parse.s.valid.next = self.rx_valid.q.val();
        self.parse.enabled.next = self.registers.enabled.val();
        self.parse.mac.next = self.registers.mac.val();
        self.parse.room.next = self.frame_buffer.room.val();
        self.parse.m_beats.join(&mut self.frame_buffer.s);
        self.parse.m.join(&mut self.sequence.s);
        self.sequence.m.join(&mut self.identify.s);
        self.registers.m_table.join(&mut self.identify.s_write);
        self.identify.m.join(&mut self.reorder.s);
        self.reorder.m.join(&mut self.arbiter.s_rx);

        // The three other sources of events.
        self.scheduler.m.join(&mut self.arbiter.s_tx);
        self.fetch.m.join(&mut self.arbiter.s_hc);
        self.registers.m_cmd.join(&mut self.arbiter.s_cmd);

        // Protocol and what follows from it.
        self.arbiter.m.join(&mut self.protocol.s);
        self.protocol.now.next = self.clock.q.val();
        self.protocol.m.join(&mut self.post.s);
        self.registers
            .m_connection
            .join(&mut self.post.s_connection);
        self.post.m_update.join(&mut self.scheduler.s);
        self.post.m_read.join(&mut self.payload_read.s);
        self.post.m_action.join(&mut self.payload_write.s);
        self.frame_buffer.m.join(&mut self.payload_write.s_beats);
        self.payload_write.slow_base.next = self.registers.slow_base.val();
        self.payload_write.slow_log2.next = self.registers.slow_log2.val();
        self.payload_write.slow_room.next = self.notify.slow_room.val();
        self.payload_write.m_notice.join(&mut self.notify.s);
        self.payload_write.m_header.join(&mut self.assemble.s);
        self.assemble.released.next = self.payload_write.released.val();

        // Transmit.
        self.payload_read.m.join(&mut self.assemble.s_payload);
        self.assemble.mac.next = self.registers.mac.val();
        self.assemble.now.next = self.clock.q.val();
        self.assemble.m.join(&mut self.tx_register.s);
        StreamSource::<Beat>::link(&mut self.eth_tx, &mut self.tx_register.m);

        // Host.
        StreamSink::<Mmio>::link(&mut self.mmio, &mut self.registers.s);
        self.registers.now.next = self.clock.q.val();
        self.registers.m_fetch.join(&mut self.fetch.s_context);
        self.registers.m_notify.join(&mut self.notify.s_context);
        self.payload_write.m_up.join(&mut self.upstream.s_payload);
        self.notify.m_up.join(&mut self.upstream.s_notify);
        self.payload_read.m_up.join(&mut self.upstream.s_read);
        self.fetch.m_up.join(&mut self.upstream.s_fetch);
        self.registers.m_up.join(&mut self.upstream.s_mmio);
        StreamSource::<Up>::link(&mut self.up, &mut self.upstream.m);
        let for_fetch = self.cpl_beat.q.val().tag.get_bit(7);
        self.fetch.s_cpl.data.next = self.cpl_beat.q.val();
        self.fetch.s_cpl.valid.next = self.cpl_valid.q.val() & for_fetch;
        self.payload_read.s_cpl.data.next = self.cpl_beat.q.val();
        self.payload_read.s_cpl.valid.next = self.cpl_valid.q.val() & !for_fetch;

        // Drops: the parser's at once, payload write's in the next free cycle.
        let slow_waits = self.slow_drops.q.val().any();
        let drop_valid = self.parse.drop_valid.val() | slow_waits;
        let drop_reason = if self.parse.drop_valid.val() {
            self.parse.drop_reason.val()
        } else if slow_waits {
            bits::<4>(Drop::SlowPathFull as u64)
        } else {
            bits::<4>(0)
        };
        self.drop_valid.next = drop_valid;
        self.drop_reason.next = drop_reason;
        let reported = slow_waits & !self.parse.drop_valid.val();
        if self.payload_write.drop_valid.val() & !reported {
            self.slow_drops.d.next = self.slow_drops.q.val() + bits::<8>(1);
        } else if reported & !self.payload_write.drop_valid.val() {
            self.slow_drops.d.next = self.slow_drops.q.val() - bits::<8>(1);
        }

        // Counters, in the order of `interface::COUNTERS`.
        let admitted = self.parse.m.valid.val() & self.sequence.s.ready.val();
        let identified = self.reorder.m.valid.val() & self.arbiter.s_rx.ready.val();
        let class = self.reorder.m.data.val().summary.class;
        let sent = self.assemble.m.valid.val()
            & self.tx_register.s.ready.val()
            & self.assemble.m.data.val().last;
        let dropped = if drop_valid {
            bits::<8>(1) << drop_reason
        } else {
            bits::<8>(0)
        };
        let mut pulses = bit_cast::<20, 8>(dropped);
        pulses.set_bits(8, bit(admitted));
        pulses.set_bits(9, bit(identified & (class == bits::<2>(CLASS_FAST))));
        pulses.set_bits(10, bit(identified & (class == bits::<2>(CLASS_SLOW))));
        pulses.set_bits(11, bit(sent));
        pulses.set_bits(12, bit(self.protocol.count_rx.val()));
        pulses.set_bits(13, bit(self.protocol.count_tx.val()));
        pulses.set_bits(14, bit(self.protocol.count_hc.val()));
        pulses.set_bits(15, bit(self.protocol.count_cmd.val()));
        pulses.set_bits(16, bit(self.payload_write.placed.val()));
        pulses.set_bits(17, bit(self.protocol.count_fast_retransmit.val()));
        pulses.set_bits(18, bit(self.protocol.count_stale.val()));
        pulses.set_bits(19, bit(self.notify.interrupts.val()));
        self.registers.pulses.next = pulses;

        // Quiescence. The register file is apart: it asks whether the rest has drained.
        let drained = !self.rx_valid.q.val()
            & !self.cpl_valid.q.val()
            & !slow_waits
            & self.parse.idle.val()
            & self.frame_buffer.idle.val()
            & self.sequence.idle.val()
            & self.identify.idle.val()
            & self.reorder.idle.val()
            & self.arbiter.idle.val()
            & self.protocol.idle.val()
            & self.post.idle.val()
            & self.payload_write.idle.val()
            & self.notify.idle.val()
            & self.scheduler.idle.val()
            & self.fetch.idle.val()
            & self.payload_read.idle.val()
            & self.assemble.idle.val()
            & self.upstream.idle.val()
            & !self.tx_register.m.valid.val();
        self.registers.drained.next = drained;
        self.quiescent.next = drained
            & self.registers.idle.val()
            & !self.rst.val()
            & !self.eth_rx.valid.val()
            & !self.mmio.valid.val()
            & !self.dma_cpl.valid.val();
        self.wake_at.next = !bits::<64>(0);

        // Probes.
        let none = bits::<24>(NO_TICKET);
        let no_flow = bits::<16>(0);
        self.probe_parse.next = probe(self.rx_valid.q.val(), true, none, no_flow);
        self.probe_identify.next = probe(
            self.sequence.m.valid.val(),
            self.identify.s.ready.val(),
            self.sequence.m.data.val().ticket,
            no_flow,
        );
        self.probe_reorder.next = probe(
            self.identify.m.valid.val(),
            self.reorder.s.ready.val(),
            self.identify.m.data.val().summary.ticket,
            self.identify.m.data.val().flow,
        );
        self.probe_arbiter.next = probe(
            self.reorder.m.valid.val(),
            self.arbiter.s_rx.ready.val(),
            self.reorder.m.data.val().summary.ticket,
            self.reorder.m.data.val().flow,
        );
        self.probe_protocol.next = probe(
            self.arbiter.m.valid.val(),
            self.protocol.s.ready.val(),
            self.arbiter.m.data.val().ticket,
            self.arbiter.m.data.val().flow,
        );
        self.probe_post.next = probe(
            self.protocol.m.valid.val(),
            self.post.s.ready.val(),
            self.protocol.m.data.val().ticket,
            self.protocol.m.data.val().flow,
        );
        self.probe_payload_write.next = probe(
            self.post.m_action.valid.val(),
            self.payload_write.s.ready.val(),
            self.post.m_action.data.val().ticket,
            self.post.m_action.data.val().flow,
        );
        self.probe_notify.next = probe(
            self.payload_write.m_notice.valid.val(),
            self.notify.s.ready.val(),
            self.payload_write.m_notice.data.val().ticket,
            self.payload_write.m_notice.data.val().flow,
        );
        self.probe_scheduler.next = probe(
            self.scheduler.m.valid.val(),
            self.arbiter.s_tx.ready.val(),
            self.scheduler.m.data.val().ticket,
            self.scheduler.m.data.val().flow,
        );
        self.probe_fetch.next = probe(
            self.fetch.m.valid.val(),
            self.arbiter.s_hc.ready.val(),
            self.fetch.m.data.val().ticket,
            self.fetch.m.data.val().flow,
        );
        self.probe_registers.next = probe(
            self.registers.m_cmd.valid.val(),
            self.arbiter.s_cmd.ready.val(),
            self.registers.m_cmd.data.val().ticket,
            self.registers.m_cmd.data.val().flow,
        );
        self.probe_payload_read.next = probe(
            self.post.m_read.valid.val(),
            self.payload_read.s.ready.val(),
            self.post.m_read.data.val().ticket,
            self.post.m_read.data.val().flow,
        );
        self.probe_assemble.next = probe(
            self.payload_write.m_header.valid.val(),
            self.assemble.s.ready.val(),
            self.payload_write.m_header.data.val().ticket,
            self.payload_write.m_header.data.val().flow,
        );
        self.probe_upstream.next = probe(
            self.upstream.m.valid.val(),
            self.up.ready.val(),
            none,
            no_flow,
        );

        if self.rst.val() {
            self.rx_valid.d.next = false;
            self.cpl_valid.d.next = false;
            self.slow_drops.d.next = bits::<8>(0);
        }
    }
}

// The counter pulses above are written for this many counters.
const _: () = assert!(COUNTERS.len() == 20);
