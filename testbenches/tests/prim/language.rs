//! Statements, structures, states, functions, and idioms that other writers got wrong.

use crate::lockstep::{Lockstep, lockstep};
use hallux_hdl::prelude::*;

/// Expressions on which rust-hdl's own Verilog writer disagrees with rust-hdl.
#[derive(LogicBlock, Default)]
struct Idioms {
    pub a: Signal<In, Bits<8>>,
    pub b: Signal<In, Bits<8>>,
    pub c: Signal<In, Bits<8>>,
    pub x: Signal<In, Bits<32>>,
    pub y: Signal<In, Bits<32>>,
    pub precedence: Signal<Out, Bit>,
    pub widened_sum: Signal<Out, Bits<16>>,
    pub widened_not: Signal<Out, Bits<16>>,
    pub widened_shift: Signal<Out, Bits<16>>,
    pub literal: Signal<Out, Bit>,
    pub half_sum: Signal<Out, Bits<16>>,
    pub sign: Signal<Out, Bit>,
    pub middle: Signal<Out, Bits<8>>,
    pub nested: Signal<Out, Bits<8>>,
}

impl Logic for Idioms {
    #[hdl]
    fn update(&mut self) {
        let (a, b) = (self.a.val(), self.b.val());
        self.precedence.next = a & b == self.c.val();
        self.widened_sum.next = bit_cast::<16, 8>(a + b);
        self.widened_not.next = bit_cast::<16, 8>(!a);
        self.widened_shift.next = bit_cast::<16, 8>(a << 4);
        self.literal.next = (a - b) < 4;
        self.half_sum.next = (bit_cast::<16, 8>(a) + bit_cast::<16, 8>(b)) >> 1;
        self.sign.next = (self.x.val() - self.y.val()).get_bit(31);
        self.middle.next = (self.x.val() - self.y.val()).get_bits::<8>(8);
        self.nested.next = ((a + b) & (b - self.c.val())) ^ (a | (b & self.c.val()));
    }
}

#[test]
fn seven_idioms() {
    lockstep(Lockstep {
        block: Idioms::default(),
        name: "idioms",
        cycles: 2000,
        drive: |block, random, _| {
            block.a.next = random.value();
            block.b.next = random.value();
            block.c.next = random.value();
            block.x.next = random.value();
            block.y.next = random.value();
        },
        clock: |_, _| {},
        compare: |_, _| true,
    });
}

#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Inner {
    pub low: Bits<5>,
    pub high: Bits<9>,
}

#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Word {
    pub kind: Kind,
    pub inner: Inner,
    pub data: Bits<40>,
    pub last: Bit,
}

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum Kind {
    Open,
    Data,
    Close,
}

#[hdl_fn]
fn classify(data: Bits<40>, threshold: Bits<40>) -> (Kind, Bits<9>) {
    let kind = if data < threshold {
        Kind::Open
    } else if data.get_bit(0) {
        Kind::Data
    } else {
        Kind::Close
    };
    let mut count = bits::<9>(0);
    for i in 0..40 {
        if data.get_bit(i) {
            count = count + 1;
        }
    }
    (kind, count)
}

/// Locals that change on the way, read by registers before and after the change.
#[derive(LogicBlock, Default)]
struct Statements {
    pub clk: Signal<In, Clock>,
    pub rst: Signal<In, Bit>,
    pub s: Signal<In, Word>,
    pub t: Signal<In, Word>,
    pub go: Signal<In, Bit>,
    pub m: Signal<Out, Word>,
    pub early: Signal<Out, Bits<9>>,
    pub late: Signal<Out, Bits<9>>,
    pub equal: Signal<Out, Bit>,
    pub kinds: Signal<Out, Bits<8>>,
    level: Signal<Local, Bits<9>>,
    before: DFF<Bits<9>>,
    after: DFF<Bits<9>>,
    kind: DFF<Kind>,
    lanes: [[DFF<Bits<5>>; 2]; 2],
    word: DFF<Word>,
}

impl Logic for Statements {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, before, after, kind, word);
        let (kind, count) = classify(self.s.val().data, self.t.val().data);
        self.level.next = self.s.val().inner.high;
        // Reads a local that is changed below: the register must see this value.
        if self.go.val() {
            self.before.d.next = self.level.val() + count;
        }
        if self.level.val() > 100 {
            self.level.next = self.level.val() - 100;
            let excess = self.level.val();
            if self.t.val().last {
                self.level.next = excess + 1;
            }
        }
        self.after.d.next = self.level.val();
        self.early.next = self.before.q.val();
        self.late.next = self.after.q.val();

        self.m.next = self.s.val();
        self.m.next.inner.low = self.t.val().inner.low;
        match self.kind.q.val() {
            Kind::Open => {
                self.kind.d.next = kind;
                self.m.next.kind = Kind::Data;
            }
            Kind::Data => {
                self.kind.d.next = Kind::Close;
                self.m
                    .next
                    .data
                    .set_bits::<8>(8, self.t.val().data.get_bits::<8>(3));
            }
            _ => self.kind.d.next = Kind::Open,
        }
        let mut word = Word {
            last: self.go.val(),
            inner: Inner {
                low: bits::<5>(3),
                ..self.t.val().inner
            },
            ..self.s.val()
        };
        if self.t.val() == self.s.val() {
            word.kind = Kind::Close;
        }
        word.data = match self.s.val().kind {
            Kind::Open => self.t.val().data,
            Kind::Data => word.data + 1,
            Kind::Close => !word.data,
        };
        self.word.d.next = word;
        self.equal.next = self.word.q.val() == self.s.val();
        for i in 0..2 {
            for j in 0..2 {
                self.lanes[i][j].clk.next = self.clk.val();
                self.lanes[i][j].d.next = self.s.val().data.get_bits::<5>(10 * i + 5 * j);
            }
        }
        let flat = pack::<Word, 57>(self.word.q.val());
        let back = unpack::<Word, 57>(flat);
        self.kinds.next = cat::<5, 3, 8>(
            self.lanes[1][0].q.val() ^ self.lanes[0][1].q.val(),
            cat::<2, 1, 3>(
                match back.kind {
                    Kind::Open => bits::<2>(2),
                    Kind::Data | Kind::Close => back.inner.high.get_bits::<2>(1),
                },
                bit(flat.xor()),
            ),
        );
        if self.rst.val() {
            self.before.d.next = bits::<9>(0);
            self.after.d.next = bits::<9>(0);
            self.kind.d.next = Kind::Open;
            self.word.d.next = Word::default();
            for i in 0..2 {
                for j in 0..2 {
                    self.lanes[i][j].d.next = bits::<5>(0);
                }
            }
        }
    }
}

#[test]
fn statements() {
    lockstep(Lockstep {
        block: Statements::default(),
        name: "statements",
        cycles: 3000,
        drive: |block, random, reset| {
            block.rst.next = reset;
            block.s.next = random.value();
            block.t.next = if random.chance(30) {
                block.s.next
            } else {
                random.value()
            };
            block.go.next = random.chance(50);
        },
        clock: |block, level| block.clk.next = level.into(),
        compare: |_, _| true,
    });
}
