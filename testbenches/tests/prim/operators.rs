//! Every operator at widths from 1 to 1200 bits, on random and on extreme values.

use crate::lockstep::{Lockstep, lockstep};
use hallux_hdl::prelude::*;

/// The result of one operation, chosen by number.
#[derive(LogicBlock, Default)]
struct Operators<const N: usize> {
    pub a: Signal<In, Bits<N>>,
    pub b: Signal<In, Bits<N>>,
    pub count: Signal<In, Bits<11>>,
    pub flip: Signal<In, Bit>,
    pub choice: Signal<In, Bits<5>>,
    pub result: Signal<Out, Bits<N>>,
    pub flag: Signal<Out, Bit>,
}

#[hdl_fn]
fn within<const N: usize>(count: Bits<11>, limit: usize) -> Bits<11> {
    // rust-hdl panics on an index beyond the end.
    if count < bits::<11>(limit as u64) {
        count
    } else {
        bits::<11>(0)
    }
}

impl<const N: usize> Logic for Operators<N> {
    #[hdl]
    fn update(&mut self) {
        let a = self.a.val();
        let b = self.b.val();
        let at = within::<N>(self.count.val(), N);
        let mut set = a;
        set.set_bits::<1>(at.index(), bit(self.flip.val()));
        let half = N / 2;
        self.result.next = match self.choice.val().index() {
            0 => a + b,
            1 => a - b,
            2 => a & b,
            3 => a | b,
            4 => a ^ b,
            5 => !a,
            6 => a << self.count.val(),
            7 => a >> self.count.val(),
            8 => (a + b) >> 1,
            9 => (!a) << 1,
            10 => a.replace_bit(at.index(), self.flip.val()),
            11 => set,
            12 => bit_cast::<N, 1>(a.get_bits::<1>(half)),
            13 => bit_cast::<N, 1>((a - b).get_bits::<1>(half)),
            14 => bit_cast::<N, 7>(bit_cast::<7, N>(a + b)),
            15 => bit_cast::<N, 2000>(bit_cast::<2000, N>(a + b) + bit_cast::<2000, N>(!a)),
            16 => (bit_cast::<2000, N>(a) + bit_cast::<2000, N>(b)).get_bits::<N>(1),
            17 => a + self.flip.val(),
            18 => a - (b & !a),
            19 => a.get_bits::<N>(at.index()),
            20 => (a ^ b).get_bits::<N>(at.index()),
            21 => {
                if self.flip.val() {
                    a
                } else {
                    b
                }
            }
            22 => a + bits::<N>(1),
            23 => (a | b) - bits::<N>(1),
            _ => bits::<N>(0),
        };
        self.flag.next = match self.choice.val().index() {
            0 => a == b,
            1 => a != b,
            2 => a < b,
            3 => a <= b,
            4 => a > b,
            5 => a >= b,
            6 => a.any(),
            7 => a.all(),
            8 => a.xor(),
            9 => a.get_bit(N - 1),
            10 => a.get_bit(at.index()),
            11 => (a - b).get_bit(N - 1),
            12 => (a - b) < b,
            13 => (a & b) == b,
            14 => (a & b).any() | (a ^ b).all(),
            15 => a == 1,
            16 => (a + b) < a,
            17 => !(a == b && self.flip.val()),
            _ => self.flip.val() ^ a.get_bit(0),
        };
    }
}

macro_rules! widths {
    ($($name:ident $flag:ident $inner:ident $width:literal;)*) => {
        #[derive(LogicBlock, Default)]
        struct Widths {
            pub a: Signal<In, Bits<1200>>,
            pub b: Signal<In, Bits<1200>>,
            pub count: Signal<In, Bits<11>>,
            pub flip: Signal<In, Bit>,
            pub choice: Signal<In, Bits<5>>,
            $(
                pub $name: Signal<Out, Bits<$width>>,
                pub $flag: Signal<Out, Bit>,
                $inner: Operators<$width>,
            )*
        }

        impl Logic for Widths {
            #[hdl]
            fn update(&mut self) {
                $(
                    self.$inner.a.next = self.a.val().get_bits::<$width>(0);
                    self.$inner.b.next = self.b.val().get_bits::<$width>(0);
                    self.$inner.count.next = self.count.val();
                    self.$inner.flip.next = self.flip.val();
                    self.$inner.choice.next = self.choice.val();
                    self.$name.next = self.$inner.result.val();
                    self.$flag.next = self.$inner.flag.val();
                )*
            }
        }
    };
}

widths! {
    r1 f1 o1 1; r2 f2 o2 2; r7 f7 o7 7; r8 f8 o8 8; r16 f16 o16 16; r31 f31 o31 31;
    r32 f32 o32 32; r33 f33 o33 33; r63 f63 o63 63; r64 f64 o64 64; r65 f65 o65 65;
    r128 f128 o128 128; r300 f300 o300 300; r512 f512 o512 512; r1200 f1200 o1200 1200;
}

#[test]
fn rtl_follows_rust() {
    lockstep(Lockstep {
        block: Widths::default(),
        name: "widths",
        cycles: 3000,
        drive: |block, random, _| {
            block.a.next = random.value();
            block.b.next = if random.chance(20) {
                block.a.next
            } else {
                random.value()
            };
            let limit = [2, 8, 40, 70, 1300][random.below(5) as usize];
            block.count.next = bits(u64::from(random.below(limit)));
            block.flip.next = random.chance(50);
            block.choice.next = bits(u64::from(random.below(26)));
        },
        clock: |_, _| {},
        compare: |_, _| true,
    });
}
