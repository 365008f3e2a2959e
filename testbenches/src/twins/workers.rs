//! Twin of `hand/workers.sv`: eight workers and a reorder buffer.

use hallux_hdl::prelude::*;

/// Workers, as many as the twin has.
const WORKERS: usize = 8;

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum Phase {
    Idle,
    Busy,
    Done,
}

/// Mixes a word for as many rounds as its low bits say.
#[derive(LogicBlock, Default)]
pub struct Worker {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// Takes `tag` and `data`.
    pub start: Signal<In, Bit>,
    /// Where the result belongs.
    pub tag: Signal<In, Bits<4>>,
    /// The word.
    pub data: Signal<In, Bits<64>>,
    /// The result is taken.
    pub take: Signal<In, Bit>,
    /// Nothing to do.
    pub idle: Signal<Out, Bit>,
    /// There is a result.
    pub done: Signal<Out, Bit>,
    /// Where it belongs.
    pub result_tag: Signal<Out, Bits<4>>,
    /// The result.
    pub result: Signal<Out, Bits<64>>,
    phase: DFF<Phase>,
    rounds: DFF<Bits<3>>,
    held_tag: DFF<Bits<4>>,
    held: DFF<Bits<64>>,
}

impl Logic for Worker {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, phase, rounds, held_tag, held);
        let held = self.held.q.val();
        self.idle.next = self.phase.q.val() == Phase::Idle;
        self.done.next = self.phase.q.val() == Phase::Done;
        self.result_tag.next = self.held_tag.q.val();
        self.result.next = held;
        match self.phase.q.val() {
            Phase::Idle => {
                if self.start.val() {
                    self.held_tag.d.next = self.tag.val();
                    self.held.d.next = self.data.val();
                    self.rounds.d.next = self.data.val().get_bits::<3>(0);
                    self.phase.d.next = Phase::Busy;
                }
            }
            Phase::Busy => {
                let turned = cat::<47, 17, 64>(held.get_bits::<47>(0), held.get_bits::<17>(47));
                self.held.d.next = turned ^ (held + bits::<64>(0xd1b5_4a32_d192_ed03));
                self.rounds.d.next = self.rounds.q.val() - bits::<3>(1);
                if !self.rounds.q.val().any() {
                    self.phase.d.next = Phase::Done;
                }
            }
            Phase::Done => {
                if self.take.val() {
                    self.phase.d.next = Phase::Idle;
                }
            }
        }
        if self.rst.val() {
            self.phase.d.next = Phase::Idle;
        }
    }
}

/// Words go to idle workers in turn; results leave in the order of the words.
#[derive(LogicBlock)]
pub struct Workers {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// Words in.
    pub s: StreamSink<Bits<64>>,
    /// Results out.
    pub m: StreamSource<Bits<64>>,
    dispatch: RoundRobin,
    collect: RoundRobin,
    work: [Worker; WORKERS],
    slots: RegisterFile<Bits<64>, 4>,
    full: DFF<Bits<16>>,
    head: DFF<Bits<4>>,
    tail: DFF<Bits<4>>,
    open: DFF<Bits<5>>,
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            m: Default::default(),
            dispatch: RoundRobin::new(WORKERS),
            collect: RoundRobin::new(WORKERS),
            work: Default::default(),
            slots: RegisterFile::new(16),
            full: Default::default(),
            head: Default::default(),
            tail: Default::default(),
            open: Default::default(),
        }
    }
}

impl Logic for Workers {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, full, head, tail, open);
        self.dispatch.clk.next = self.clk.val();
        self.dispatch.rst.next = self.rst.val();
        self.collect.clk.next = self.clk.val();
        self.collect.rst.next = self.rst.val();
        self.slots.clk.next = self.clk.val();
        let head = self.head.q.val();
        let tail = self.tail.q.val();

        let mut idle = bits::<16>(0);
        let mut done = bits::<16>(0);
        for i in 0..WORKERS {
            idle.set_bits::<1>(i, bit(self.work[i].idle.val()));
            done.set_bits::<1>(i, bit(self.work[i].done.val()));
        }
        let ready = idle.any() & !self.open.q.val().get_bit(4);
        let fire = self.s.valid.val() & ready;
        self.s.ready.next = ready;
        self.dispatch.request.next = idle;
        self.dispatch.advance.next = fire;
        self.collect.request.next = done;
        self.collect.advance.next = true;

        let mut tag = bits::<4>(0);
        let mut result = bits::<64>(0);
        for i in 0..WORKERS {
            let collected = self.collect.grant.val().get_bit(i);
            self.work[i].clk.next = self.clk.val();
            self.work[i].rst.next = self.rst.val();
            self.work[i].start.next = fire & self.dispatch.grant.val().get_bit(i);
            self.work[i].tag.next = tail;
            self.work[i].data.next = self.s.data.val();
            self.work[i].take.next = collected;
            if collected {
                tag = self.work[i].result_tag.val();
                result = self.work[i].result.val();
            }
        }
        self.slots.write_enable.next = self.collect.granted.val();
        self.slots.write_address.next = tag;
        self.slots.write_data.next = result;
        self.slots.read_address.next = head;

        let valid = self.full.q.val().get_bit(head.index());
        let leaves = valid & self.m.ready.val();
        self.m.data.next = self.slots.read_data.val();
        self.m.valid.next = valid;
        if self.collect.granted.val() {
            self.full.d.next.set_bits::<1>(tag.index(), bits::<1>(1));
        }
        if leaves {
            self.full.d.next.set_bits::<1>(head.index(), bits::<1>(0));
            self.head.d.next = head + bits::<4>(1);
        }
        if fire {
            self.tail.d.next = tail + bits::<4>(1);
        }
        self.open.d.next =
            self.open.q.val() + bit_cast::<5, 1>(bit(fire)) - bit_cast::<5, 1>(bit(leaves));
        if self.rst.val() {
            self.full.d.next = bits::<16>(0);
            self.head.d.next = bits::<4>(0);
            self.tail.d.next = bits::<4>(0);
            self.open.d.next = bits::<5>(0);
        }
    }
}
