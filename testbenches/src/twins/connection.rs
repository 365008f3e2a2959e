//! Twin of `hand/connection.sv`: a receive step on state in memory, with forwarding.

use hallux_hdl::prelude::*;

/// A segment of a connection.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Segment {
    /// Connection.
    pub flow: Bits<10>,
    /// Sequence number.
    pub seq: Bits<32>,
    /// Acknowledgment number.
    pub ack: Bits<32>,
    /// Bytes of payload.
    pub len: Bits<16>,
    /// Window.
    pub window: Bits<16>,
    /// `ack` counts.
    pub has_ack: Bit,
}

/// State of a connection (RFC 9293 §3.3.1), with one interval that came too early.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct ConnectionState {
    /// RCV.NXT.
    pub rcv_nxt: Bits<32>,
    /// RCV.WND.
    pub rcv_wnd: Bits<32>,
    /// SND.UNA.
    pub snd_una: Bits<32>,
    /// SND.NXT.
    pub snd_nxt: Bits<32>,
    /// SND.WND.
    pub snd_wnd: Bits<32>,
    /// First byte that came too early.
    pub ooo_start: Bits<32>,
    /// The byte after the last of them.
    pub ooo_end: Bits<32>,
    /// There are such bytes.
    pub gap: Bit,
    /// Duplicate acknowledgments in a row.
    pub dup_acks: Bits<4>,
}

/// What a segment led to.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Verdict {
    /// Connection.
    pub flow: Bits<10>,
    /// Bytes that are now in order.
    pub delivered: Bits<32>,
    /// Bytes that were acknowledged.
    pub acked: Bits<32>,
    /// The segment was in order.
    pub in_order: Bit,
    /// It came too early and is kept.
    pub stored: Bit,
    /// It is not kept.
    pub dropped: Bit,
    /// Third duplicate acknowledgment.
    pub retransmit: Bit,
}

/// One segment a clock, also for one connection. Latency 2 cycles.
#[derive(LogicBlock)]
pub struct Connection {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// A segment.
    pub s_data: Signal<In, Segment>,
    /// There is one.
    pub s_valid: Signal<In, Bit>,
    /// Writes `setup_state`.
    pub setup_enable: Signal<In, Bit>,
    /// Where.
    pub setup_flow: Signal<In, Bits<10>>,
    /// What.
    pub setup_state: Signal<In, ConnectionState>,
    /// What the segment two cycles earlier led to.
    pub verdict: Signal<Out, Verdict>,
    /// There was one.
    pub verdict_valid: Signal<Out, Bit>,
    memory: Ram<ConnectionState, 10>,
    segment: DFF<Segment>,
    busy: DFF<Bit>,
    done: DFF<ConnectionState>,
    shown: DFF<Verdict>,
    done_valid: DFF<Bit>,
    older: DFF<ConnectionState>,
    older_flow: DFF<Bits<10>>,
    older_valid: DFF<Bit>,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s_data: Default::default(),
            s_valid: Default::default(),
            setup_enable: Default::default(),
            setup_flow: Default::default(),
            setup_state: Default::default(),
            verdict: Default::default(),
            verdict_valid: Default::default(),
            memory: Ram::new(1024),
            segment: Default::default(),
            busy: Default::default(),
            done: Default::default(),
            shown: Default::default(),
            done_valid: Default::default(),
            older: Default::default(),
            older_flow: Default::default(),
            older_valid: Default::default(),
        }
    }
}

/// The step: new state and verdict.
#[hdl_fn]
fn receive(state: ConnectionState, segment: Segment) -> (ConnectionState, Verdict) {
    let len = bit_cast::<32, 16>(segment.len);
    let window = bit_cast::<32, 16>(segment.window);
    let stop = segment.seq + len;
    let ahead = segment.seq - state.rcv_nxt;
    let reach = stop - state.rcv_nxt;
    let to_gap = state.ooo_start - stop;
    let to_end = state.ooo_end - stop;
    let newly = segment.ack - state.snd_una;
    let flight = state.snd_nxt - state.snd_una;
    let data = segment.len.any();
    let fits = reach <= state.rcv_wnd;
    let fresh = !reach.get_bit(31) & reach.any();
    let starts = ahead.get_bit(31) | !ahead.any();
    let closes = state.gap & (to_gap.get_bit(31) | !to_gap.any());
    let upto = if closes & !to_end.get_bit(31) {
        state.ooo_end
    } else {
        stop
    };
    let mut next = state;
    let mut verdict = Verdict {
        flow: segment.flow,
        delivered: bits::<32>(0),
        acked: bits::<32>(0),
        in_order: false,
        stored: false,
        dropped: false,
        retransmit: false,
    };
    if data & fits & fresh & starts {
        verdict.in_order = true;
        verdict.delivered = upto - state.rcv_nxt;
        next.rcv_nxt = upto;
        next.rcv_wnd = state.rcv_wnd - (upto - state.rcv_nxt);
        if closes {
            next.gap = false;
        }
    } else if data & fits & !starts {
        if !state.gap {
            verdict.stored = true;
            next.gap = true;
            next.ooo_start = segment.seq;
            next.ooo_end = stop;
        } else if segment.seq == state.ooo_end {
            verdict.stored = true;
            next.ooo_end = stop;
        } else if stop == state.ooo_start {
            verdict.stored = true;
            next.ooo_start = segment.seq;
        } else {
            verdict.dropped = true;
        }
    } else if data {
        verdict.dropped = true;
    }
    if segment.has_ack & (newly <= flight) {
        next.snd_wnd = window;
        if newly.any() {
            verdict.acked = newly;
            next.snd_una = segment.ack;
            next.dup_acks = bits::<4>(0);
        } else if !data & flight.any() & (state.snd_wnd == window) {
            verdict.retransmit = state.dup_acks == 2;
            if !state.dup_acks.all() {
                next.dup_acks = state.dup_acks + bits::<4>(1);
            }
        }
    }
    (next, verdict)
}

impl Logic for Connection {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, segment, busy, done, shown, done_valid);
        dff_setup!(self, clk, older, older_flow, older_valid);
        let shown = self.shown.q.val();
        let done_valid = self.done_valid.q.val();
        // Set-up has the write port when it asks for it.
        let setup = self.setup_enable.val();
        self.memory.clk.next = self.clk.val();
        self.memory.write_enable.next = setup | done_valid;
        self.memory.write_address.next = if setup {
            self.setup_flow.val()
        } else {
            shown.flow
        };
        self.memory.write_data.next = if setup {
            self.setup_state.val()
        } else {
            self.done.q.val()
        };
        self.memory.read_address.next = self.s_data.val().flow;

        let segment = self.segment.q.val();
        let state = if done_valid & (shown.flow == segment.flow) {
            self.done.q.val()
        } else if self.older_valid.q.val() & (self.older_flow.q.val() == segment.flow) {
            self.older.q.val()
        } else {
            self.memory.read_data.val()
        };
        let (next, verdict) = receive(state, segment);

        let running = !self.rst.val();
        self.segment.d.next = self.s_data.val();
        self.busy.d.next = self.s_valid.val() & running;
        self.done.d.next = next;
        self.shown.d.next = verdict;
        self.done_valid.d.next = self.busy.q.val() & running;
        self.older.d.next = self.done.q.val();
        self.older_flow.d.next = shown.flow;
        self.older_valid.d.next = done_valid & running;
        self.verdict.next = shown;
        self.verdict_valid.next = done_valid;
    }
}
