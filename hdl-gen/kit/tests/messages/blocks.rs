//! Statements and expressions that `#[hdl]` refuses, one in each block.

use hallux_hdl::prelude::*;

struct Unbounded;
impl Unbounded {
    #[hdl]
    fn update(&mut self) {
        while self.a.val() {}
    }
}

struct Endless;
impl Endless {
    #[hdl]
    fn update(&mut self) {
        loop {}
    }
}

struct Jump;
impl Jump {
    #[hdl]
    fn update(&mut self) {
        return;
    }
}

struct NoValue;
impl NoValue {
    #[hdl]
    fn update(&mut self) {
        let x;
        x = self.a.val();
    }
}

struct LetElse;
impl LetElse {
    #[hdl]
    fn update(&mut self) {
        let Some(x) = Some(self.a.val()) else { return };
    }
}

struct DeepPattern;
impl DeepPattern {
    #[hdl]
    fn update(&mut self) {
        let (x, (y, z)) = (self.a.val(), (self.b.val(), self.b.val()));
    }
}

struct Item;
impl Item {
    #[hdl]
    fn update(&mut self) {
        fn helper() {}
    }
}

struct Printing;
impl Printing {
    #[hdl]
    fn update(&mut self) {
        println!("{}", self.a.val());
    }
}

struct OtherCall;
impl OtherCall {
    #[hdl]
    fn update(&mut self) {
        self.o.next.clear_bits(self.b.val());
    }
}

struct PlainCall;
impl PlainCall {
    #[hdl]
    fn update(&mut self) {
        drop(self.a.val());
    }
}

struct NotATarget;
impl NotATarget {
    #[hdl]
    fn update(&mut self) {
        self.a.val() = true;
    }
}

struct Chosen;
impl Chosen {
    #[hdl]
    fn update(&mut self) {
        self.many[self.b.val().index()].next = self.a.val();
    }
}

struct ChosenRead;
impl ChosenRead {
    #[hdl]
    fn update(&mut self) {
        self.o.next = self.many[self.b.val().index()].val();
    }
}

struct NextRead;
impl NextRead {
    #[hdl]
    fn update(&mut self) {
        self.o.next = bit_cast::<8, 8>(self.o.next + self.b.val());
    }
}

struct Cast;
impl Cast {
    #[hdl]
    fn update(&mut self) {
        self.o.next = self.b.val() as Bits<8>;
    }
}

struct Division;
impl Division {
    #[hdl]
    fn update(&mut self) {
        self.o.next = self.b.val() / self.b.val();
    }
}

struct Negation;
impl Negation {
    #[hdl]
    fn update(&mut self) {
        self.o.next = -self.b.val();
    }
}

struct Closure;
impl Closure {
    #[hdl]
    fn update(&mut self) {
        let f = |x: Bits<8>| x + self.b.val();
    }
}

struct Method;
impl Method {
    #[hdl]
    fn update(&mut self) {
        self.o.next = self.b.val().reverse_bits();
    }
}

struct Constructor;
impl Constructor {
    #[hdl]
    fn update(&mut self) {
        self.o.next = Bits::<8>::from(self.b.val());
    }
}

struct NamedCall;
impl NamedCall {
    #[hdl]
    fn update(&mut self) {
        self.o.next = (self.table)(self.b.val());
    }
}

struct NoElse;
impl NoElse {
    #[hdl]
    fn update(&mut self) {
        self.o.next = if self.a.val() { self.b.val() };
    }
}

struct NoTail;
impl NoTail {
    #[hdl]
    fn update(&mut self) {
        self.o.next = if self.a.val() { self.b.val(); } else { self.b.val() };
    }
}

struct InnerSet;
impl InnerSet {
    #[hdl]
    fn update(&mut self) {
        let x = if self.a.val() { self.o.next = self.b.val(); self.b.val() } else { self.b.val() };
    }
}

struct IfLet;
impl IfLet {
    #[hdl]
    fn update(&mut self) {
        if let true = self.a.val() {}
    }
}

struct Guard;
impl Guard {
    #[hdl]
    fn update(&mut self) {
        match self.b.val().index() { x if x > 3 => {} _ => {} }
    }
}

struct Name;
impl Name {
    #[hdl]
    fn update(&mut self) {
        match self.b.val().index() { other => {} }
    }
}

struct Range;
impl Range {
    #[hdl]
    fn update(&mut self) {
        match self.b.val().index() { 0..=3 => {} _ => {} }
    }
}

struct ArrayIndex;
impl ArrayIndex {
    #[hdl]
    fn update(&mut self) {
        let list = [self.b.val(), self.b.val()];
        self.o.next = list[self.b.val().index()];
    }
}

struct NoSelf;
impl NoSelf {
    #[hdl]
    fn update(a: Bit) {}
}

fn main() {}
