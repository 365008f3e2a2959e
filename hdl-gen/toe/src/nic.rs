//! The NIC: every stage of the data path, connected.
//!
//! The picture is in [`crate::channels`]; what each stage does and what the top-level
//! ports carry, in `docs/data-path.md`. This block adds what belongs to no stage:
//! registers at the edges, the routing of read completions by tag, the merging of drop
//! reports, counters' pulses, `quiescent`, and the probes; with several flow groups also
//! the ways into each of them and out of all of them:
//!
//! ```text
//!            ┌─► group[0] ─┐
//!  route ────┼─► group[1] ─┼─► gather (writes, reads, records, frames)
//!            └─►    …     ─┘
//! ```

use crate::channels::*;
use crate::design::{DesignPoint, Pipeline, Recovery};
use crate::interface::modules::Slot;
use crate::interface::{COUNTERS, Drop, RecordKind};
use crate::modules::classify::Classify;
use crate::modules::egress::Egress;
use crate::modules::ingress::Ingress;
use crate::modules::pages::Pages;
use crate::modules::plan;
use crate::stages::fetch::Fetch;
use crate::stages::frame_buffer::FrameBuffer;
use crate::stages::gather::Gather;
use crate::stages::group::{Group, probe};
use crate::stages::identify_pool::IdentifyPool;
use crate::stages::moderate::Moderate;
use crate::stages::notify::Notify;
use crate::stages::parse::Parse;
use crate::stages::push::Push;
use crate::stages::registers::{Identity, Registers};
use crate::stages::reorder::Reorder;
use crate::stages::route::Route;
use crate::stages::sequence::Sequencer;
use crate::stages::tally::Tally;
use crate::stages::upstream::Upstream;
use hallux_hdl::prelude::*;

/// Ticket of a probe whose stage handles beats or requests, not events.
pub const NO_TICKET: u64 = 0xff_ffff;

/// Bytes of the frame buffer for each summary that may wait behind the parser.
const BYTES_A_SUMMARY: u64 = 1024;

/// A TCP offload engine with its top-level ports, on a data bus of `N` bits, `K` bytes. See
/// the [module](self).
#[derive(LogicBlock)]
pub struct Nic<const N: usize, const K: usize> {
    /// Clock of the whole data path.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: a function-level reset.
    pub rst: Signal<In, Bit>,
    /// Frames from the MAC; ready is constant 1.
    pub eth_rx: StreamSink<Beat<N, K>>,
    /// Frames to the MAC, without a gap inside a frame while ready.
    pub eth_tx: StreamSource<Beat<N, K>>,
    /// Register accesses of the host.
    pub mmio: StreamSink<Mmio>,
    /// The one ordered upstream queue.
    pub up: StreamSource<Up<N>>,
    /// Read completions; ready is constant 1.
    pub dma_cpl: StreamSink<Completion<N>>,
    /// Time in ns.
    pub now: Signal<In, Bits<64>>,
    /// Nothing was in flight a clock before, and no input was valid or is.
    pub quiescent: Signal<Out, Bit>,
    /// The `now` at which a timer next needs a clock; all ones: never. A clock late.
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
    /// Protocol of the groups from the second on.
    pub probe_protocol_further: Vec<Signal<Out, Probe>>,
    /// Post-processing of the groups from the second on.
    pub probe_post_further: Vec<Signal<Out, Probe>>,
    /// Payload write of the groups from the second on.
    pub probe_payload_write_further: Vec<Signal<Out, Probe>>,
    /// Scheduler of the groups from the second on.
    pub probe_scheduler_further: Vec<Signal<Out, Probe>>,
    /// Payload read of the groups from the second on.
    pub probe_payload_read_further: Vec<Signal<Out, Probe>>,
    /// Assembly of the groups from the second on.
    pub probe_assemble_further: Vec<Signal<Out, Probe>>,

    clock: DFF<Bits<64>>,
    /// Nothing was in flight a clock before, in the groups and besides: the stages' answers
    /// come late in a clock.
    drained_groups: DFF<Bit>,
    drained: DFF<Bit>,
    /// An input was valid a clock before.
    heard: DFF<Bit>,
    /// When a timer of each group needs a clock, as it was a clock before.
    group_wakes: Vec<DFF<Bits<64>>>,
    /// With run to completion: nothing was under way a clock before, and nothing has gone on since.
    alone: Vec<DFF<Bit>>,
    /// Drops of payload write that wait for a cycle without one of the parser.
    slow_drops: DFF<Bits<8>>,

    parse: Parse<N, K>,
    frame_buffer: FrameBuffer<N, K>,
    sequence: Sequencer,
    identify: IdentifyPool,
    /// Behind replicated identification only.
    reorder: Vec<Reorder>,
    group: Vec<Group<N, K>>,
    /// With several groups only.
    route: Vec<Route<N, K>>,
    writes: Vec<Gather<Up<N>>>,
    reads: Vec<Gather<Up<RECORD_BITS>>>,
    notices: Vec<Gather<Notice>>,
    frames: Vec<Gather<Beat<N, K>>>,
    tally: Vec<Tally>,
    notify: Notify<N>,
    moderate: Moderate<N>,
    fetch: Fetch<N>,
    registers: Registers,
    upstream: Upstream<N>,
    tx_register: StreamRegister<Beat<N, K>>,
    // Only where the design takes pushes.
    push: Vec<Push<N>>,
    descriptors: Vec<Gather<Event>>,
    // Extension modules, only where there are any.
    pages: Vec<Pages>,
    ingress: Vec<Ingress<N, K>>,
    classify: Vec<Classify>,
    egress: Vec<Egress<N, K>>,
    mmio_up: Vec<Gather<Up<RECORD_BITS>>>,
    /// What modules mirror, from all of them.
    mirrors: Vec<Gather<Up<N>>>,
    /// Drops of modules that wait for a cycle without another.
    module_drops: Vec<DFF<Bits<16>>>,
    /// Pages of the modules of each slot.
    _ingress_pages: Vec<usize>,
    _classify_pages: Vec<usize>,
    _trace_pages: Vec<usize>,
    _egress_pages: Vec<usize>,
    /// Modules at ingress that mirror.
    _mirrors_at_ingress: usize,
    _read_tags: u32,
}

impl<const N: usize, const K: usize> Nic<N, K> {
    /// The NIC of a design point.
    ///
    /// # Panics
    /// If the design point's data bus is not `N` bits, `K` bytes, wide.
    pub fn new(point: &DesignPoint) -> Self {
        assert!(
            N == point.bus_bits as usize && K == N / 8,
            "a NIC of {N} bits, {K} bytes, for a design point of {}",
            point.bus_bits
        );
        let (connections, contexts) = (point.connections as usize, point.contexts as usize);
        let groups = point.groups as usize;
        let several = usize::from(groups > 1);
        let serial = point.pipeline == Pipeline::Serial;
        let pushes = usize::from(point.push);
        let extended = usize::from(!point.modules.is_empty());
        let at_ingress = plan::stations(point, Slot::Ingress);
        let at_egress = plan::stations(point, Slot::Egress);
        let before = plan::stations(point, Slot::BeforeProtocol);
        let mirrors = plan::writers(&at_ingress).len() + plan::writers(&at_egress).len();
        let turns = at_ingress.iter().any(|station| station.transmits);
        let parse = Parse::new((point.frame_buffer.0 / BYTES_A_SUMMARY).clamp(64, 512) as usize);
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
            probe_protocol_further: (1..groups).map(|_| Default::default()).collect(),
            probe_post_further: (1..groups).map(|_| Default::default()).collect(),
            probe_payload_write_further: (1..groups).map(|_| Default::default()).collect(),
            probe_scheduler_further: (1..groups).map(|_| Default::default()).collect(),
            probe_payload_read_further: (1..groups).map(|_| Default::default()).collect(),
            probe_assemble_further: (1..groups).map(|_| Default::default()).collect(),
            clock: Default::default(),
            drained_groups: Default::default(),
            drained: Default::default(),
            heard: Default::default(),
            group_wakes: (0..groups).map(|_| Default::default()).collect(),
            alone: (0..usize::from(point.pipeline == Pipeline::RunToCompletion))
                .map(|_| Default::default())
                .collect(),
            slow_drops: Default::default(),
            parse: if at_ingress.is_empty() {
                parse
            } else {
                parse.with_redirect()
            },
            frame_buffer: FrameBuffer::new(point.frame_buffer_beats()),
            sequence: Default::default(),
            identify: IdentifyPool::new(
                point.flow_table_buckets as usize,
                point.replicas as usize,
                serial,
            ),
            reorder: (1..point.replicas.min(2))
                .map(|_| Reorder::new(point.reorder_depth as usize))
                .collect(),
            group: (0..groups).map(|_| Group::new(point)).collect(),
            route: (0..several)
                .map(|_| Route::new(groups, point.frame_buffer_beats() / groups))
                .collect(),
            writes: (0..several).map(|_| Gather::new(groups)).collect(),
            reads: (0..several).map(|_| Gather::new(groups)).collect(),
            notices: (0..several).map(|_| Gather::new(groups)).collect(),
            frames: (0..several).map(|_| Gather::new(groups)).collect(),
            tally: (0..several).map(|_| Tally::new(groups)).collect(),
            notify: Notify::new(contexts, connections, point.record_wait.into()),
            moderate: Moderate::new(contexts),
            fetch: Fetch::new(contexts, point.descriptor_bursts as usize),
            registers: Registers::new(Identity {
                contexts: point.contexts.into(),
                connections: point.connections.into(),
                buckets: point.flow_table_buckets.into(),
                frame_buffer_beats: point.frame_buffer_beats() as u64,
                payload_tags: point.read_tags.into(),
                bus_bits: point.bus_bits.into(),
                states_in_host: point.state_cache > 0,
                paces: point.rate_wheel > 0,
                intervals: point.ooo_intervals.into(),
                sack_recovery: point.recovery == Recovery::Sack,
                push: point.push,
            }),
            upstream: Upstream::new(mirrors > 0),
            // What gathers the groups' frames has a register.
            tx_register: StreamRegister::new(RegisterMode::Bypass),
            push: (0..pushes).map(|_| Push::new()).collect(),
            descriptors: (0..pushes).map(|_| Gather::new(2)).collect(),
            pages: (0..extended)
                .map(|_| Pages::new(plan::ids(point)))
                .collect(),
            mmio_up: (0..extended).map(|_| Gather::new(2)).collect(),
            mirrors: (0..mirrors.min(1)).map(|_| Gather::new(mirrors)).collect(),
            module_drops: (0..extended).map(|_| Default::default()).collect(),
            _ingress_pages: at_ingress.iter().map(|station| station.page).collect(),
            _trace_pages: plan::stations(point, Slot::AfterProtocol)
                .iter()
                .map(|station| station.page)
                .collect(),
            _classify_pages: before.iter().map(|station| station.page).collect(),
            classify: before
                .iter()
                .map(|station| Classify::new(station.rules, connections))
                .collect(),
            _egress_pages: at_egress.iter().map(|station| station.page).collect(),
            ingress: (0..usize::from(!at_ingress.is_empty()))
                .map(|_| Ingress::new(&at_ingress))
                .collect(),
            egress: (0..usize::from(turns || !at_egress.is_empty()))
                .map(|_| Egress::new(&at_egress, turns))
                .collect(),
            _mirrors_at_ingress: plan::writers(&at_ingress).len(),
            _read_tags: point.read_tags,
        }
    }
}

/// A probe with the flow id that the host knows.
#[hdl_fn]
fn of_group(seen: Probe, group: u64, shift: u64) -> Probe {
    let waits = seen.fire | seen.blocked;
    let mut known = seen;
    known.flow = if waits {
        (seen.flow << shift) | bits::<16>(group)
    } else {
        bits::<16>(0)
    };
    known
}

impl<const N: usize, const K: usize> Logic for Nic<N, K> {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, clock, drained_groups, drained, heard, slow_drops);
        let groups = self.group.len();
        let shift = groups.trailing_zeros() as u64;
        self.parse.clk.next = self.clk.val();
        self.parse.rst.next = self.rst.val();
        self.frame_buffer.clk.next = self.clk.val();
        self.frame_buffer.rst.next = self.rst.val();
        self.sequence.clk.next = self.clk.val();
        self.sequence.rst.next = self.rst.val();
        self.identify.clk.next = self.clk.val();
        self.identify.rst.next = self.rst.val();
        self.notify.clk.next = self.clk.val();
        self.notify.rst.next = self.rst.val();
        self.moderate.clk.next = self.clk.val();
        self.moderate.rst.next = self.rst.val();
        self.moderate.now.next = self.clock.q.val();
        self.fetch.clk.next = self.clk.val();
        self.fetch.rst.next = self.rst.val();
        self.registers.clk.next = self.clk.val();
        self.registers.rst.next = self.rst.val();
        self.upstream.clk.next = self.clk.val();
        self.upstream.rst.next = self.rst.val();
        self.tx_register.clk.next = self.clk.val();
        self.tx_register.rst.next = self.rst.val();

        // Edges: the first stage of each input registers it: beats in the parser,
        // completions in a buffer's write port, accesses in a FIFO.
        self.clock.d.next = self.now.val();
        self.eth_rx.ready.next = true;
        self.dma_cpl.ready.next = true;
        let mut completion = self.dma_cpl.data.val();
        let mut completes = self.dma_cpl.valid.val();
        for p in 0..self.push.len() {
            self.push[p].clk.next = self.clk.val();
            self.push[p].rst.next = self.rst.val();
            self.push[p].s_cpl.data.next = self.dma_cpl.data.val();
            self.push[p].s_cpl.valid.next = self.dma_cpl.valid.val();
            completion = self.push[p].m_cpl.data.val();
            completes = self.push[p].m_cpl.valid.val();
            self.push[p].m_cpl.ready.next = true;
        }
        let for_fetch = completion.tag.get_bit(7);

        // What every group has.
        let mut settled = true;
        let mut groups_rest = true;
        for g in 0..groups {
            self.group[g].clk.next = self.clk.val();
            self.group[g].rst.next = self.rst.val();
            self.group[g].now.next = self.clock.q.val();
            self.group[g].mac.next = self.registers.mac.val();
            self.group[g].slow_base.next = self.registers.slow_base.val();
            for c in 0..self.registers.state_base.len() {
                self.group[g].state_base[c].next = self.registers.state_base[c].val();
            }
            for r in 0..self.registers.rate.len() {
                self.group[g].rate[r].next = self.registers.rate[r].val();
            }
            self.group[g].slow_log2.next = self.registers.slow_log2.val();
            self.group[g].slow_room.next = self.notify.slow_room.val();
            settled = settled & self.group[g].settled.val();
            groups_rest = groups_rest & self.group[g].idle.val();
        }

        for t in 0..self._trace_pages.len() {
            let page = self._trace_pages[t];
            let mut answer = bits::<64>(0);
            for g in 0..groups {
                self.group[g].access[t].next = self.pages[0].access[page].val();
                self.group[g].number[t].next = bits::<16>(g as u64);
                answer = answer | self.group[g].answer[t].val();
            }
            self.pages[0].answer[page].next = answer;
        }

        // Run to completion: a frame or another event goes on when nothing is under way. That takes
        // most of a clock to find, so it is known of the clock before.
        let mut frame_goes = true;
        let mut hold = false;
        for k in 0..self.alone.len() {
            dff_setup!(self, clk, alone[k]);
            frame_goes = self.alone[k].q.val();
            hold = !frame_goes | self.sequence.m.valid.val();
            let mut goes_on =
                frame_goes & self.sequence.m.valid.val() & self.identify.s.ready.val();
            for g in 0..groups {
                goes_on = goes_on | self.group[g].enters.val();
            }
            self.alone[k].d.next = self.identify.idle.val()
                & settled
                & self.notify.idle.val()
                & self.upstream.idle.val()
                & !goes_on;
            if self.rst.val() {
                self.alone[k].d.next = false;
            }
        }
        for g in 0..groups {
            self.group[g].hold.next = hold;
        }

        // Receive.
        let mut rests = true;
        if self.ingress.len() == 0 {
            self.parse.s.data.next = self.eth_rx.data.val();
            self.parse.s.valid.next = self.eth_rx.valid.val();
        }
        for i in 0..self.ingress.len() {
            self.ingress[i].clk.next = self.clk.val();
            self.ingress[i].rst.next = self.rst.val();
            self.ingress[i].s.data.next = self.eth_rx.data.val();
            self.ingress[i].s.valid.next = self.eth_rx.valid.val();
            join_streams!(self.ingress[i].m, self.parse.s);
            self.parse.redirect[i].next = self.ingress[i].redirect.val();
            for module in 0..self._ingress_pages.len() {
                let page = self._ingress_pages[module];
                self.ingress[i].access[module].next = self.pages[0].access[page].val();
                self.pages[0].answer[page].next = self.ingress[i].answer[module].val();
            }
            rests = rests & self.ingress[i].idle.val();
        }
        self.parse.enabled.next = self.registers.enabled.val();
        self.parse.mac.next = self.registers.mac.val();
        self.parse.room.next = self.frame_buffer.room.val();
        self.parse.m_beats.join(&mut self.frame_buffer.s);
        self.parse.m.join(&mut self.sequence.s);
        self.identify.s.data.next = self.sequence.m.data.val();
        self.identify.s.valid.next = self.sequence.m.valid.val() & frame_goes;
        let frame_taken = self.identify.s.ready.val() & frame_goes;
        self.sequence.m.ready.next = frame_taken;
        self.registers.m_table.join(&mut self.identify.s_write);
        let mut ordered = self.identify.m.data.val();
        let mut ordered_valid = self.identify.m.valid.val();
        for r in 0..self.reorder.len() {
            self.reorder[r].clk.next = self.clk.val();
            self.reorder[r].rst.next = self.rst.val();
            join_streams!(self.identify.m, self.reorder[r].s);
            ordered = self.reorder[r].m.data.val();
            ordered_valid = self.reorder[r].m.valid.val();
            rests = rests & self.reorder[r].idle.val();
        }
        for c in 0..self.classify.len() {
            self.classify[c].clk.next = self.clk.val();
            self.classify[c].rst.next = self.rst.val();
            let page = self._classify_pages[c];
            self.classify[c].access.next = self.pages[0].access[page].val();
            self.pages[0].answer[page].next = self.classify[c].answer.val();
            if c > 0 {
                join_streams!(self.classify[c - 1].m, self.classify[c].s);
            } else if self.reorder.len() == 0 {
                join_streams!(self.identify.m, self.classify[0].s);
            } else {
                join_streams!(self.reorder[0].m, self.classify[0].s);
            }
            ordered = self.classify[c].m.data.val();
            ordered_valid = self.classify[c].m.valid.val();
            rests = rests & self.classify[c].idle.val();
        }
        let mut order_taken = self.group[0].s.ready.val();
        if groups == 1 {
            self.group[0].s.data.next = ordered;
            self.group[0].s.valid.next = ordered_valid;
            join_streams!(self.frame_buffer.m, self.group[0].s_beats);
        }
        for r in 0..self.route.len() {
            self.route[r].clk.next = self.clk.val();
            self.route[r].rst.next = self.rst.val();
            self.route[r].s.data.next = ordered;
            self.route[r].s.valid.next = ordered_valid;
            order_taken = self.route[r].s.ready.val();
            join_streams!(self.frame_buffer.m, self.route[r].s_beats);
            for g in 0..groups {
                join_streams!(self.route[r].m[g], self.group[g].s);
                join_streams!(self.route[r].m_beats[g], self.group[g].s_beats);
            }
            rests = rests & self.route[r].idle.val();
        }
        let mut identified_taken = order_taken;
        for c in 0..self.classify.len() {
            if c + 1 == self.classify.len() {
                self.classify[c].m.ready.next = order_taken;
            }
            identified_taken = self.classify[0].s.ready.val();
        }
        if self.reorder.len() == 0 && self.classify.len() == 0 {
            self.identify.m.ready.next = order_taken;
        }
        for r in 0..self.reorder.len() {
            if self.classify.len() == 0 {
                self.reorder[r].m.ready.next = order_taken;
            }
            identified_taken = self.reorder[r].s.ready.val();
        }

        // Descriptors, commands and slices of connections go to the group of their flow.
        let mut descriptor = self.fetch.m.data.val();
        let mut described = self.fetch.m.valid.val();
        for p in 0..self.push.len() {
            self.descriptors[p].clk.next = self.clk.val();
            self.descriptors[p].rst.next = self.rst.val();
            join_streams!(self.fetch.m, self.descriptors[p].s[0]);
            join_streams!(self.push[p].m_event, self.descriptors[p].s[1]);
            self.descriptors[p].last[0].next = true;
            self.descriptors[p].last[1].next = true;
            descriptor = self.descriptors[p].m.data.val();
            described = self.descriptors[p].m.valid.val();
            rests = rests & self.push[p].idle.val() & self.descriptors[p].idle.val();
        }
        let descriptor_ticket = descriptor.ticket;
        let descriptor_flow = descriptor.flow;
        let mut command = self.registers.m_cmd.data.val();
        let mut slice = self.registers.m_connection.data.val();
        let mask = bits::<16>(groups as u64 - 1);
        let descriptor_group = descriptor.flow & mask;
        let command_group = command.flow & mask;
        let slice_group = slice.flow & mask;
        descriptor.flow = descriptor.flow >> shift;
        command.flow = command.flow >> shift;
        slice.flow = slice.flow >> shift;
        let mut descriptor_taken = false;
        let mut command_taken = false;
        let mut slice_taken = false;
        for g in 0..groups {
            let number = bits::<16>(g as u64);
            self.group[g].s_hc.data.next = descriptor;
            self.group[g].s_hc.valid.next = described & (descriptor_group == number);
            self.group[g].s_cmd.data.next = command;
            self.group[g].s_cmd.valid.next =
                self.registers.m_cmd.valid.val() & (command_group == number);
            self.group[g].s_connection.data.next = slice;
            self.group[g].s_connection.valid.next =
                self.registers.m_connection.valid.val() & (slice_group == number);
            if descriptor_group == number {
                descriptor_taken = self.group[g].s_hc.ready.val();
            }
            if command_group == number {
                command_taken = self.group[g].s_cmd.ready.val();
            }
            if slice_group == number {
                slice_taken = self.group[g].s_connection.ready.val();
            }
        }
        if self.push.len() == 0 {
            self.fetch.m.ready.next = descriptor_taken;
        }
        for p in 0..self.push.len() {
            self.descriptors[p].m.ready.next = descriptor_taken;
            self.push[p].forget.next = self.registers.m_connection.valid.val() & slice_taken;
        }
        self.registers.m_cmd.ready.next = command_taken;
        self.registers.m_connection.ready.next = slice_taken;

        // Read completions: the tag names fetch or the group.
        self.fetch.s_cpl.data.next = completion;
        self.fetch.s_cpl.valid.next = completes & for_fetch;
        let tags_log2 = (self._read_tags / groups as u32).trailing_zeros() as u64;
        for g in 0..groups {
            let mut own = completion;
            let mut ours = true;
            if groups > 1 {
                let of = completion.tag >> tags_log2;
                ours = of == bits::<8>(g as u64);
                own.tag = completion.tag & bits::<8>((1 << tags_log2) - 1);
            }
            self.group[g].s_cpl.data.next = own;
            self.group[g].s_cpl.valid.next = completes & !for_fetch & ours;
        }

        // Out of the groups.
        let mut notice = self.group[0].m_notice.data.val();
        let mut notice_valid = self.group[0].m_notice.valid.val();
        let mut frame_ends = self.group[0].m.valid.val() & self.group[0].m.data.val().last;
        if groups == 1 {
            join_streams!(self.group[0].m_write, self.upstream.s_payload);
            if self.push.len() == 0 {
                join_streams!(self.group[0].m_read, self.upstream.s_read);
            }
            for p in 0..self.push.len() {
                join_streams!(self.group[0].m_read, self.push[p].s_read);
            }
            if self.classify.len() == 0 {
                join_streams!(self.group[0].m_notice, self.notify.s);
            }
            if self.egress.len() == 0 {
                join_streams!(self.group[0].m, self.tx_register.s);
            }
            for e in 0..self.egress.len() {
                join_streams!(self.group[0].m, self.egress[e].s);
            }
        }
        for k in 0..self.writes.len() {
            self.writes[k].clk.next = self.clk.val();
            self.writes[k].rst.next = self.rst.val();
            self.reads[k].clk.next = self.clk.val();
            self.reads[k].rst.next = self.rst.val();
            self.notices[k].clk.next = self.clk.val();
            self.notices[k].rst.next = self.rst.val();
            self.frames[k].clk.next = self.clk.val();
            self.frames[k].rst.next = self.rst.val();
            for g in 0..groups {
                join_streams!(self.group[g].m_write, self.writes[k].s[g]);
                self.writes[k].last[g].next = self.group[g].m_write.data.val().last;
                let mut read = self.group[g].m_read.data.val();
                read.tag = read.tag | bits::<8>((g as u64) << tags_log2);
                self.reads[k].s[g].data.next = read;
                self.reads[k].s[g].valid.next = self.group[g].m_read.valid.val();
                self.group[g].m_read.ready.next = self.reads[k].s[g].ready.val();
                self.reads[k].last[g].next = true;
                let mut record = self.group[g].m_notice.data.val();
                if record.kind != bits::<8>(RecordKind::Frame as u64) {
                    record.flow = (record.flow << shift) | bits::<16>(g as u64);
                }
                self.notices[k].s[g].data.next = record;
                self.notices[k].s[g].valid.next = self.group[g].m_notice.valid.val();
                self.group[g].m_notice.ready.next = self.notices[k].s[g].ready.val();
                self.notices[k].last[g].next = true;
                join_streams!(self.group[g].m, self.frames[k].s[g]);
                self.frames[k].last[g].next = self.group[g].m.data.val().last;
            }
            join_streams!(self.writes[k].m, self.upstream.s_payload);
            if self.push.len() == 0 {
                join_streams!(self.reads[k].m, self.upstream.s_read);
            }
            for p in 0..self.push.len() {
                join_streams!(self.reads[k].m, self.push[p].s_read);
            }
            if self.classify.len() == 0 {
                join_streams!(self.notices[k].m, self.notify.s);
            }
            if self.egress.len() == 0 {
                join_streams!(self.frames[k].m, self.tx_register.s);
            }
            for e in 0..self.egress.len() {
                join_streams!(self.frames[k].m, self.egress[e].s);
            }
            notice = self.notices[k].m.data.val();
            notice_valid = self.notices[k].m.valid.val();
            frame_ends = self.frames[k].m.valid.val() & self.frames[k].m.data.val().last;
            rests = rests
                & self.writes[k].idle.val()
                & self.reads[k].idle.val()
                & self.notices[k].idle.val()
                & self.frames[k].idle.val()
                & self.tally[k].idle.val();
        }
        // The class of a connection goes into its records.
        for c in 0..self.classify.len() {
            self.classify[c].look.next = notice.flow;
            if c + 1 == self.classify.len() {
                let class = self.classify[c].look_class.val();
                self.notify.s.data.next = notice;
                if notice.kind == bits::<8>(RecordKind::Update as u64) {
                    self.notify.s.data.next.flags =
                        notice.flags | cat::<4, 4, 8>(class, bits::<4>(0));
                }
                self.notify.s.valid.next = notice_valid;
                if groups == 1 {
                    self.group[0].m_notice.ready.next = self.notify.s.ready.val();
                }
                for k in 0..self.notices.len() {
                    self.notices[k].m.ready.next = self.notify.s.ready.val();
                }
            }
        }
        for e in 0..self.egress.len() {
            self.egress[e].clk.next = self.clk.val();
            self.egress[e].rst.next = self.rst.val();
            for t in 0..self.egress[e].s_turned.len() {
                join_streams!(self.ingress[0].m_turned[t], self.egress[e].s_turned[t]);
            }
            join_streams!(self.egress[e].m, self.tx_register.s);
            for module in 0..self._egress_pages.len() {
                let page = self._egress_pages[module];
                self.egress[e].access[module].next = self.pages[0].access[page].val();
                self.pages[0].answer[page].next = self.egress[e].answer[module].val();
            }
            frame_ends = self.egress[e].m.valid.val() & self.egress[e].m.data.val().last;
            rests = rests & self.egress[e].idle.val();
        }
        StreamSource::<Beat<N, K>>::link(&mut self.eth_tx, &mut self.tx_register.m);

        // Host.
        if self.pages.len() == 0 && self.push.len() == 0 {
            StreamSink::<Mmio>::link(&mut self.mmio, &mut self.registers.s);
        }
        for p in 0..self.push.len() {
            StreamSink::<Mmio>::link(&mut self.mmio, &mut self.push[p].s);
            join_streams!(self.push[p].m_read, self.upstream.s_read);
            if self.pages.len() == 0 {
                join_streams!(self.push[p].m, self.registers.s);
            } else {
                join_streams!(self.push[p].m, self.pages[0].s);
            }
        }
        if self.pages.len() == 0 {
            self.registers.m_up.join(&mut self.upstream.s_mmio);
        }
        for p in 0..self.pages.len() {
            self.pages[p].clk.next = self.clk.val();
            self.pages[p].rst.next = self.rst.val();
            self.mmio_up[p].clk.next = self.clk.val();
            self.mmio_up[p].rst.next = self.rst.val();
            if self.push.len() == 0 {
                join_streams!(self.mmio, self.pages[p].s);
            }
            join_streams!(self.pages[p].m, self.registers.s);
            join_streams!(self.registers.m_up, self.mmio_up[p].s[0]);
            join_streams!(self.pages[p].m_up, self.mmio_up[p].s[1]);
            self.mmio_up[p].last[0].next = true;
            self.mmio_up[p].last[1].next = true;
            join_streams!(self.mmio_up[p].m, self.upstream.s_mmio);
        }
        // Modules take the time as it is: after skipped cycles `clock` is a clock behind.
        for k in 0..self.mirrors.len() {
            self.mirrors[k].clk.next = self.clk.val();
            self.mirrors[k].rst.next = self.rst.val();
            for i in 0..self.ingress.len() {
                for w in 0..self.ingress[i].now.len() {
                    self.ingress[i].now[w].next = self.now.val();
                    join_streams!(self.ingress[i].m_up[w], self.mirrors[k].s[w]);
                    self.mirrors[k].last[w].next = self.ingress[i].m_up[w].data.val().last;
                }
            }
            for e in 0..self.egress.len() {
                for w in 0..self.egress[e].now.len() {
                    let u = self._mirrors_at_ingress + w;
                    self.egress[e].now[w].next = self.now.val();
                    join_streams!(self.egress[e].m_up[w], self.mirrors[k].s[u]);
                    self.mirrors[k].last[u].next = self.egress[e].m_up[w].data.val().last;
                }
            }
            join_streams!(self.mirrors[k].m, self.upstream.s_mirror[k]);
            rests = rests & self.mirrors[k].idle.val();
        }
        self.registers.now.next = self.clock.q.val();
        self.registers.m_fetch.join(&mut self.fetch.s_context);
        self.registers.m_notify.join(&mut self.notify.s_context);
        self.moderate.s_context.next = self.registers.m_notify.data.val();
        self.moderate.s_context_valid.next =
            self.registers.m_notify.valid.val() & self.notify.s_context.ready.val();
        self.notify.m_up.join(&mut self.moderate.s);
        self.moderate.m.join(&mut self.upstream.s_notify);
        self.fetch.m_up.join(&mut self.upstream.s_fetch);
        StreamSource::<Up<N>>::link(&mut self.up, &mut self.upstream.m);

        // Drops: the parser's at once, payload write's in the next free cycle.
        let slow_waits = self.slow_drops.q.val().any();
        let mut drop_valid = self.parse.drop_valid.val() | slow_waits;
        let mut drop_reason = if self.parse.drop_valid.val() {
            self.parse.drop_reason.val()
        } else if slow_waits {
            bits::<4>(Drop::SlowPathFull as u64)
        } else {
            bits::<4>(0)
        };
        for d in 0..self.module_drops.len() {
            // Those of modules go last.
            dff_setup!(self, clk, module_drops[d]);
            let waiting = self.module_drops[d].q.val();
            let reports = !drop_valid & waiting.any();
            let mut came = bits::<16>(0);
            for i in 0..self.ingress.len() {
                came = came + bit_cast::<16, 1>(bit(self.ingress[i].drop_valid.val()));
            }
            for e in 0..self.egress.len() {
                came = came + bit_cast::<16, 1>(bit(self.egress[e].drop_valid.val()));
            }
            self.module_drops[d].d.next = waiting + came - bit_cast::<16, 1>(bit(reports));
            if reports {
                drop_valid = true;
                drop_reason = bits::<4>(Drop::Module as u64);
            }
            rests = rests & !waiting.any();
            if self.rst.val() {
                self.module_drops[d].d.next = bits::<16>(0);
            }
        }
        self.drop_valid.next = drop_valid;
        self.drop_reason.next = drop_reason;
        let reported = slow_waits & !self.parse.drop_valid.val();
        // Frames for the control plane belong to group 0.
        if self.group[0].drop_valid.val() & !reported {
            self.slow_drops.d.next = self.slow_drops.q.val() + bits::<8>(1);
        } else if reported & !self.group[0].drop_valid.val() {
            self.slow_drops.d.next = self.slow_drops.q.val() - bits::<8>(1);
        }

        // Counters, in the order of `interface::COUNTERS`.
        let admitted = self.parse.m.valid.val() & self.sequence.s.ready.val();
        let identified = ordered_valid & order_taken;
        let class = ordered.summary.class;
        let sent = frame_ends & self.tx_register.s.ready.val();
        let dropped = if drop_valid {
            bits::<8>(1) << drop_reason
        } else {
            bits::<8>(0)
        };
        let mut counted = self.group[0].pulses.val();
        for k in 0..self.tally.len() {
            self.tally[k].clk.next = self.clk.val();
            self.tally[k].rst.next = self.rst.val();
            for g in 0..groups {
                self.tally[k].s[g].next = self.group[g].pulses.val();
            }
            counted = self.tally[k].m.val();
        }
        let mut pulses = bit_cast::<20, 8>(dropped);
        pulses.set_bits(8, bit(admitted));
        pulses.set_bits(9, bit(identified & (class == bits::<2>(CLASS_FAST))));
        pulses.set_bits(10, bit(identified & (class == bits::<2>(CLASS_SLOW))));
        pulses.set_bits(11, bit(sent));
        pulses.set_bits(12, counted);
        pulses.set_bits(19, bit(self.moderate.interrupts.val()));
        self.registers.pulses.next = pulses;

        // Quiescence. The register file is apart: it asks whether the rest has drained.
        let others_rest = !slow_waits
            & self.parse.idle.val()
            & self.frame_buffer.idle.val()
            & self.identify.idle.val()
            & rests
            & self.notify.idle.val()
            & self.moderate.idle.val()
            & self.fetch.idle.val()
            & self.upstream.idle.val()
            & !self.tx_register.m.valid.val();
        self.drained_groups.d.next = groups_rest;
        self.drained.d.next = others_rest;
        let drained = self.drained_groups.q.val() & self.drained.q.val();
        self.registers.drained.next = drained;
        let hears = self.eth_rx.valid.val() | self.mmio.valid.val() | self.dma_cpl.valid.val();
        self.heard.d.next = hears;
        self.quiescent.next =
            drained & self.registers.idle.val() & !self.rst.val() & !hears & !self.heard.q.val();
        for p in 0..self.pages.len() {
            if !(self.pages[p].idle.val() & self.mmio_up[p].idle.val()) {
                self.quiescent.next = false;
            }
        }
        let mut wake_at = self.moderate.wake_at.val();
        for g in 0..groups {
            dff_setup!(self, clk, group_wakes[g]);
            self.group_wakes[g].d.next = self.group[g].wake_at.val();
            let other = self.group_wakes[g].q.val();
            wake_at = if other < wake_at { other } else { wake_at };
            if self.rst.val() {
                self.group_wakes[g].d.next = !bits::<64>(0);
            }
        }
        self.wake_at.next = wake_at;

        // Probes.
        let none = bits::<24>(NO_TICKET);
        let no_flow = bits::<16>(0);
        self.probe_parse.next = probe(self.eth_rx.valid.val(), true, none, no_flow);
        self.probe_identify.next = probe(
            self.sequence.m.valid.val(),
            frame_taken,
            self.sequence.m.data.val().ticket,
            no_flow,
        );
        self.probe_reorder.next = probe(
            self.identify.m.valid.val(),
            identified_taken,
            self.identify.m.data.val().summary.ticket,
            self.identify.m.data.val().flow,
        );
        self.probe_arbiter.next = of_group(self.group[0].at_arbiter.val(), 0, shift);
        self.probe_protocol.next = of_group(self.group[0].at_protocol.val(), 0, shift);
        self.probe_post.next = of_group(self.group[0].at_post.val(), 0, shift);
        self.probe_payload_write.next = of_group(self.group[0].at_payload_write.val(), 0, shift);
        self.probe_scheduler.next = of_group(self.group[0].at_scheduler.val(), 0, shift);
        self.probe_payload_read.next = of_group(self.group[0].at_payload_read.val(), 0, shift);
        self.probe_assemble.next = of_group(self.group[0].at_assemble.val(), 0, shift);
        for g in 1..groups {
            let number = g as u64;
            self.probe_protocol_further[g - 1].next =
                of_group(self.group[g].at_protocol.val(), number, shift);
            self.probe_post_further[g - 1].next =
                of_group(self.group[g].at_post.val(), number, shift);
            self.probe_payload_write_further[g - 1].next =
                of_group(self.group[g].at_payload_write.val(), number, shift);
            self.probe_scheduler_further[g - 1].next =
                of_group(self.group[g].at_scheduler.val(), number, shift);
            self.probe_payload_read_further[g - 1].next =
                of_group(self.group[g].at_payload_read.val(), number, shift);
            self.probe_assemble_further[g - 1].next =
                of_group(self.group[g].at_assemble.val(), number, shift);
        }
        self.probe_notify.next = probe(
            notice_valid,
            self.notify.s.ready.val(),
            notice.ticket,
            notice.flow,
        );
        self.probe_fetch.next = probe(
            described,
            descriptor_taken,
            descriptor_ticket,
            descriptor_flow,
        );
        self.probe_registers.next = probe(
            self.registers.m_cmd.valid.val(),
            command_taken,
            self.registers.m_cmd.data.val().ticket,
            self.registers.m_cmd.data.val().flow,
        );
        self.probe_upstream.next = probe(
            self.upstream.m.valid.val(),
            self.up.ready.val(),
            none,
            no_flow,
        );

        if self.rst.val() {
            self.slow_drops.d.next = bits::<8>(0);
            self.drained_groups.d.next = false;
            self.drained.d.next = false;
            self.heard.d.next = false;
        }
    }
}

// The counter pulses above are written for this many counters.
const _: () = assert!(COUNTERS.len() == 20);
