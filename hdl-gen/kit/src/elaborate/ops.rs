//! Operators of a description. The Rust original fixes which operand types are
//! legal; the traits here only say which type comes out.

use super::value::{Index, Lift, Num, Value};
use crate::ir::{Kind, Node, Operator, Reduction, significant_bits};
use rust_hdl_core::prelude::{Bits, Synth};
use std::rc::Rc;

/// Brings two operands to one width. An integer takes the other's width.
fn equalize(a: Rc<Node>, b: Rc<Node>) -> (Rc<Node>, Rc<Node>) {
    match (a.width, b.width) {
        (0, width) => (Node::new(a.kind.clone(), 0).at(width), b),
        (width, 0) => (a, b.at(width)),
        (x, y) if x == y => (a, b),
        (x, y) => {
            let width = x.max(y);
            (Node::resize(&a, width), Node::resize(&b, width))
        }
    }
}

impl Node {
    /// An integer at a given width; one that does not fit keeps its value, so
    /// that the writer can refuse it.
    fn at(&self, width: usize) -> Rc<Node> {
        match self.kind {
            Kind::Number(value) => Node::constant(value, width),
            _ => Node::new(self.kind.clone(), self.width),
        }
    }

    /// As wide as the value needs; for integers and indices.
    fn minimal(node: &Rc<Node>) -> Rc<Node> {
        match node.kind {
            Kind::Number(value) => Node::constant(value, significant_bits(&value.into())),
            _ => node.clone(),
        }
    }
}

fn binary<T>(op: Operator, a: Rc<Node>, b: Rc<Node>) -> Value<T> {
    let (a, b) = equalize(a, b);
    Value::from_node(Node::binary(op, a, b))
}

/// Types that `+` and `-` take.
pub trait Arithmetic<R> {
    /// Type of the result.
    type Out;
    /// Builds the result.
    fn build(op: Operator, a: Rc<Node>, b: Rc<Node>) -> Value<Self::Out> {
        binary(op, a, b)
    }
}
impl<const N: usize> Arithmetic<Bits<N>> for Bits<N> {
    type Out = Bits<N>;
}
impl<const N: usize> Arithmetic<Num> for Bits<N> {
    type Out = Bits<N>;
}
impl<const N: usize> Arithmetic<Bits<N>> for Num {
    type Out = Bits<N>;
}
impl<const N: usize> Arithmetic<bool> for Bits<N> {
    type Out = Bits<N>;
}

/// An index grows with every operation, as Rust's `usize` does for all
/// practical values.
fn wide(op: Operator, a: Rc<Node>, b: Rc<Node>) -> Value<Index> {
    let (a, b) = (Node::minimal(&a), Node::minimal(&b));
    let limit = match op {
        Operator::Add => a.maximum() + b.maximum(),
        Operator::Mul => a.maximum() * b.maximum(),
        _ => a.maximum(),
    };
    let width = significant_bits(&limit).max(a.width).max(b.width);
    let (a, b) = (Node::resize(&a, width), Node::resize(&b, width));
    Value::from_node(Node::new(Kind::Binary(op, a, b), width))
}

macro_rules! index_arithmetic {
    ($($left:ty, $right:ty);*) => {$(
        impl Arithmetic<$right> for $left {
            type Out = Index;
            fn build(op: Operator, a: Rc<Node>, b: Rc<Node>) -> Value<Index> {
                wide(op, a, b)
            }
        }
        impl Product<$right> for $left {
            type Out = Index;
            fn build(a: Rc<Node>, b: Rc<Node>) -> Value<Index> {
                wide(Operator::Mul, a, b)
            }
        }
    )*};
}
index_arithmetic!(Index, Index; Index, Num; Num, Index);

/// `a + b`
pub fn add<A: Lift, B: Lift>(a: A, b: B) -> Value<<A::T as Arithmetic<B::T>>::Out>
where
    A::T: Arithmetic<B::T>,
{
    A::T::build(Operator::Add, a.lift().into_node(), b.lift().into_node())
}

/// `a - b`
pub fn sub<A: Lift, B: Lift>(a: A, b: B) -> Value<<A::T as Arithmetic<B::T>>::Out>
where
    A::T: Arithmetic<B::T>,
{
    A::T::build(Operator::Sub, a.lift().into_node(), b.lift().into_node())
}

/// Types that `*` takes.
pub trait Product<R> {
    /// Type of the result.
    type Out;
    /// Builds the result.
    fn build(a: Rc<Node>, b: Rc<Node>) -> Value<Self::Out>;
}

impl Product<Bits<16>> for Bits<16> {
    type Out = Bits<32>;
    fn build(a: Rc<Node>, b: Rc<Node>) -> Value<Bits<32>> {
        Value::from_node(product(&a, &b, 32))
    }
}

/// A product in `width` bits of operands of any width.
pub(super) fn product(a: &Rc<Node>, b: &Rc<Node>, width: usize) -> Rc<Node> {
    let (a, b) = (Node::resize(a, width), Node::resize(b, width));
    Node::new(Kind::Binary(Operator::Mul, a, b), width)
}

/// `a * b`
pub fn mul<A: Lift, B: Lift>(a: A, b: B) -> Value<<A::T as Product<B::T>>::Out>
where
    A::T: Product<B::T>,
{
    A::T::build(a.lift().into_node(), b.lift().into_node())
}

/// Types that `&`, `|` and `^` take.
pub trait Bitwise<R> {
    /// Type of the result.
    type Out;
}
impl Bitwise<bool> for bool {
    type Out = bool;
}
impl<const N: usize> Bitwise<Bits<N>> for Bits<N> {
    type Out = Bits<N>;
}
impl<const N: usize> Bitwise<Num> for Bits<N> {
    type Out = Bits<N>;
}
impl<const N: usize> Bitwise<Bits<N>> for Num {
    type Out = Bits<N>;
}

macro_rules! bitwise {
    ($($name:ident $op:ident $text:literal),*) => {$(
        #[doc = $text]
        pub fn $name<A: Lift, B: Lift>(a: A, b: B) -> Value<<A::T as Bitwise<B::T>>::Out>
        where
            A::T: Bitwise<B::T>,
        {
            binary(Operator::$op, a.lift().into_node(), b.lift().into_node())
        }
    )*};
}
bitwise!(and And "`a & b`, `a && b`", or Or "`a | b`, `a || b`", xor Xor "`a ^ b`");

/// Types that `!` takes.
pub trait Invertible {}
impl Invertible for bool {}
impl<const N: usize> Invertible for Bits<N> {}

/// `!a`
pub fn not<A: Lift>(a: A) -> Value<A::T>
where
    A::T: Invertible,
{
    Value::from_node(Node::not(&a.lift().into_node()))
}

/// Types that comparisons take.
pub trait Comparable<R> {
    /// Whether the narrower side is extended; otherwise an integer must fit.
    const EXTENDS: bool = false;
}
impl<T: Synth> Comparable<T> for T {}
impl<const N: usize> Comparable<Num> for Bits<N> {}
impl<const N: usize> Comparable<Bits<N>> for Num {}
impl Comparable<bool> for Bits<1> {}
impl Comparable<Bits<1>> for bool {}
impl Comparable<Index> for Index {
    const EXTENDS: bool = true;
}
impl Comparable<Num> for Index {
    const EXTENDS: bool = true;
}
impl Comparable<Index> for Num {
    const EXTENDS: bool = true;
}

fn compare<A: Lift, B: Lift>(op: Operator, a: A, b: B) -> Value<bool>
where
    A::T: Comparable<B::T>,
{
    let (a, b) = (a.lift().into_node(), b.lift().into_node());
    if A::T::EXTENDS {
        return binary(op, Node::minimal(&a), Node::minimal(&b));
    }
    binary(op, a, b)
}

macro_rules! comparisons {
    ($($name:ident $op:ident $text:literal),*) => {$(
        #[doc = $text]
        pub fn $name<A: Lift, B: Lift>(a: A, b: B) -> Value<bool>
        where
            A::T: Comparable<B::T>,
        {
            compare(Operator::$op, a, b)
        }
    )*};
}
comparisons!(
    eq Eq "`a == b`", ne Ne "`a != b`", lt Lt "`a < b`", le Le "`a <= b`", gt Gt "`a > b`",
    ge Ge "`a >= b`"
);

/// Types that may count a shift.
pub trait Count {}
impl Count for Num {}
impl Count for Index {}
impl<const N: usize> Count for Bits<N> {}

/// Counts of up to this width shift correctly everywhere; of wider ones Verilator 5.006
/// takes the remainder by the host's word.
const WIDEST_COUNT: usize = 32;

/// A shift count or position that keeps its meaning in few bits: one that does not fit
/// becomes the largest, which lies beyond the end of any vector.
pub(super) fn narrow_count(count: Rc<Node>) -> Rc<Node> {
    let width = count.width;
    if width <= WIDEST_COUNT {
        return count;
    }
    let high = Node::slice(&count, WIDEST_COUNT, width - WIDEST_COUNT);
    let beyond = match high.width {
        1 => high,
        _ => Node::new(Kind::Reduce(Reduction::Any, high), 1),
    };
    let largest = Node::constant(u32::MAX, WIDEST_COUNT);
    let low = Node::slice(&count, 0, WIDEST_COUNT);
    Node::new(Kind::Mux(beyond, largest, low), WIDEST_COUNT)
}

fn shift<const N: usize>(op: Operator, a: Rc<Node>, count: Rc<Node>) -> Value<Bits<N>> {
    let width = a.width;
    if let Some(count) = count.known() {
        let count = usize::try_from(&count).unwrap_or(width).min(width);
        let zeros = Node::constant(0u8, count);
        return Value::from_node(match op {
            _ if count == width => Node::constant(0u8, width),
            Operator::Shl => Node::concat(vec![Node::slice(&a, 0, width - count), zeros]),
            _ => Node::concat(vec![zeros, Node::slice(&a, count, width - count)]),
        });
    }
    Value::from_node(Node::new(Kind::Binary(op, a, narrow_count(count)), width))
}

/// `a << count`
pub fn shl<const N: usize, C: Lift>(a: impl Lift<T = Bits<N>>, count: C) -> Value<Bits<N>>
where
    C::T: Count,
{
    shift(
        Operator::Shl,
        a.lift().into_node(),
        count.lift().into_node(),
    )
}

/// `a >> count`
pub fn shr<const N: usize, C: Lift>(a: impl Lift<T = Bits<N>>, count: C) -> Value<Bits<N>>
where
    C::T: Count,
{
    shift(
        Operator::Shr,
        a.lift().into_node(),
        count.lift().into_node(),
    )
}
