//! Queues, register slices, reorder buffers.

use crate::lockstep::{Lockstep, Random, lockstep};
use hallux_hdl::prelude::*;

/// A primitive under test inside a block that can be the top module.
macro_rules! harness {
    ($name:ident, $inner:ty) => {
        #[derive(LogicBlock)]
        struct $name {
            pub clk: Signal<In, Clock>,
            pub rst: Signal<In, Bit>,
            pub s: StreamSink<Bits<40>>,
            pub m: StreamSource<Bits<40>>,
            pub extra: Signal<Out, Bits<17>>,
            pub ticket: Signal<In, Bits<16>>,
            pub skip: Signal<In, Bit>,
            inner: $inner,
            /// Tickets that the test shuffles, and the next.
            _tickets: Vec<u16>,
            _issued: u16,
            /// Nothing is taken until there is no more room.
            _filling: bool,
        }

        impl $name {
            fn new(inner: $inner) -> Self {
                Self {
                    clk: Default::default(),
                    rst: Default::default(),
                    s: Default::default(),
                    m: Default::default(),
                    extra: Default::default(),
                    ticket: Default::default(),
                    skip: Default::default(),
                    inner,
                    _tickets: Vec::new(),
                    _issued: 0,
                    _filling: true,
                }
            }

            /// Random offers and stalls; an offer stands until it is taken.
            fn drive(&mut self, random: &mut Random, reset: bool) {
                let taken = self.s.valid.val() && self.s.ready.val();
                self.rst.next = reset;
                self.m.ready.next = random.chance(60);
                if reset {
                    self.s.valid.next = false;
                    self._tickets.clear();
                    self._issued = 0;
                    return;
                }
                if self.s.valid.val() && !taken {
                    return;
                }
                if taken {
                    let ticket = self.ticket.val().to_u16();
                    self._tickets.retain(|open| *open != ticket);
                }
                while self._tickets.len() < 12 {
                    self._tickets.push(self._issued);
                    self._issued = self._issued.wrapping_add(1);
                }
                let choice = random.below(12) as usize;
                self.ticket.next = bits(u64::from(self._tickets[choice]));
                self.skip.next = random.chance(20);
                self.s.valid.next = random.chance(70);
                self.s.data.next = random.value();
            }
        }
    };
}

harness!(Queue, Fifo<Bits<40>>);

impl Logic for Queue {
    #[hdl]
    fn update(&mut self) {
        self.inner.clk.next = self.clk.val();
        self.inner.rst.next = self.rst.val();
        self.s.link(&mut self.inner.s);
        self.m.link(&mut self.inner.m);
        self.extra.next =
            cat::<16, 1, 17>(self.inner.level.val(), bit(self.inner.almost_full.val()));
    }
}

fn queue(depth: usize, margin: usize, name: &'static str) {
    queue_with(FifoOutput::default(), depth, margin, name);
}

fn queue_with(output: FifoOutput, depth: usize, margin: usize, name: &'static str) {
    let fifo = Fifo::new(depth).with_almost_full(margin);
    lockstep(Lockstep {
        block: Queue::new(fifo.with_output(output)),
        name,
        cycles: 3000,
        drive: Queue::drive,
        clock: |block, level| block.clk.next = level.into(),
        compare: |block, port| port != "m_data" || block.m.valid.val(),
    });
}

#[test]
fn fifo_of_two() {
    queue(2, 0, "fifo_2");
}

#[test]
fn fifo_of_a_power_of_two_and_one() {
    queue(9, 3, "fifo_9");
}

#[test]
fn fifo_of_six() {
    queue(6, 1, "fifo_6");
}

/// As many words as 16 bits tell apart, so one more than `level` can say.
#[test]
fn fifo_of_65536() {
    lockstep(Lockstep {
        block: Queue::new(Fifo::new(65_536).with_almost_full(2)),
        name: "fifo_65536",
        cycles: 150_000,
        drive: |block, random, reset| {
            if block._filling {
                block._filling = block.s.ready.val() || reset;
                assert!(block._filling || block.inner.level.val() == bits::<16>(0xffff));
            } else if !block.m.valid.val() {
                block._filling = true;
            }
            block.rst.next = reset;
            block.m.ready.next = !block._filling;
            if !block.s.valid.val() || block.s.ready.val() || reset {
                block.s.valid.next = block._filling && !reset && random.chance(99);
                block.s.data.next = random.value();
            }
        },
        clock: |block, level| block.clk.next = level.into(),
        compare: |block, port| port != "m_data" || block.m.valid.val(),
    });
}

#[test]
fn fifo_with_a_way_around_its_memory() {
    queue_with(FifoOutput::Forward, 2, 0, "fifo_forward_2");
    queue_with(FifoOutput::Forward, 9, 3, "fifo_forward_9");
}

harness!(Slice, StreamRegister<Bits<40>>);

impl Logic for Slice {
    #[hdl]
    fn update(&mut self) {
        self.inner.clk.next = self.clk.val();
        self.inner.rst.next = self.rst.val();
        self.s.link(&mut self.inner.s);
        self.m.link(&mut self.inner.m);
        self.extra.next = bits::<17>(0);
    }
}

fn slice(mode: RegisterMode, name: &'static str) {
    lockstep(Lockstep {
        block: Slice::new(StreamRegister::new(mode)),
        name,
        cycles: 3000,
        drive: Slice::drive,
        clock: |block, level| block.clk.next = level.into(),
        compare: |block, port| port != "m_data" || block.m.valid.val(),
    });
}

#[test]
fn stream_register() {
    slice(RegisterMode::Skid, "slice");
    slice(RegisterMode::Ready, "slice_ready");
}

harness!(Order, Reorder<Bits<40>>);

impl Logic for Order {
    #[hdl]
    fn update(&mut self) {
        self.inner.clk.next = self.clk.val();
        self.inner.rst.next = self.rst.val();
        self.inner.ticket.next = self.ticket.val();
        self.inner.skip.next = self.skip.val();
        self.s.link(&mut self.inner.s);
        self.m.link(&mut self.inner.m);
        self.extra.next = bit_cast::<17, 1>(bit(self.inner.idle.val()));
    }
}

#[test]
fn reorder() {
    lockstep(Lockstep {
        block: Order::new(Reorder::new(16)),
        name: "reorder_16",
        cycles: 4000,
        drive: Order::drive,
        clock: |block, level| block.clk.next = level.into(),
        compare: |block, port| port != "m_data" || block.m.valid.val(),
    });
}
