//! Typed values of a description, and what can be turned into one.

use super::Elaborator;
use super::ops::narrow_count;
use super::structure::Flat;
use crate::ir::{Kind, Node, Operator, Reduction, Source};
use rust_hdl_core::prelude::{Bits, Synth};
use std::marker::PhantomData;
use std::rc::Rc;

/// A hardware value of Rust type `T`: a [`Node`] that remembers its type.
pub struct Value<T> {
    node: Rc<Node>,
    marker: PhantomData<fn() -> T>,
}

impl<T> Clone for Value<T> {
    fn clone(&self) -> Self {
        Self::from_node(self.node.clone())
    }
}

impl<T> std::fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.node.fmt(f)
    }
}

/// Type of integer literals: they take the width of what they are used with.
#[derive(Clone, Copy, Debug)]
pub struct Num;

/// Type of `.index()`: an unsigned number that is widened, never wrapped.
#[derive(Clone, Copy, Debug)]
pub struct Index;

impl<T> Value<T> {
    pub(crate) fn from_node(node: Rc<Node>) -> Self {
        Self {
            node,
            marker: PhantomData,
        }
    }

    pub(crate) fn node(&self) -> &Rc<Node> {
        &self.node
    }

    pub(crate) fn into_node(self) -> Rc<Node> {
        self.node
    }

    /// The variable or signal that the value names, if it is not computed.
    pub(crate) fn source(&self) -> Option<Source> {
        match self.node.kind {
            Kind::Read(source) => Some(source),
            _ => None,
        }
    }

    /// A case label for a match on this value.
    pub fn label<L: Lift>(&self, pattern: L) -> Rc<Node> {
        let node = pattern.lift().into_node();
        match node.kind {
            Kind::Number(value) => Node::constant(value, self.node.width),
            _ => node,
        }
    }
}

impl<T: Synth> Value<T> {
    /// A state of an enumeration, to be written by name.
    pub fn variant(value: T, enumeration: &'static str, name: &'static str) -> Self
    where
        T: Flat,
    {
        Self::from_node(Node::new(
            Kind::Variant(enumeration, name, value.flat()),
            T::BITS,
        ))
    }
}

/// What an operator or an assignment accepts: values and plain Rust constants.
pub trait Lift {
    /// Rust type of the value.
    type T;
    /// The value.
    fn lift(self) -> Value<Self::T>;
}

impl<T> Lift for Value<T> {
    type T = T;
    fn lift(self) -> Value<T> {
        self
    }
}

impl<T: Flat> Lift for T {
    type T = T;
    fn lift(self) -> Value<T> {
        self.constant()
    }
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl Lift for $integer {
            type T = Num;
            fn lift(self) -> Value<Num> {
                number(self as u64)
            }
        }
    )*};
}
integers!(u64, usize, u32);

/// An integer literal.
pub fn number(value: u64) -> Value<Num> {
    Value::from_node(Node::new(Kind::Number(value), 0))
}

/// Any liftable thing as a value.
pub fn lift<L: Lift>(value: L) -> Value<L::T> {
    value.lift()
}

/// A value whose type the author wrote down.
pub fn typed<T>(value: impl Lift<T = T>) -> Value<T> {
    value.lift()
}

/// What `let` can bind: a value, or a tuple or array of values.
pub trait Bundle: Sized {
    /// Gives the parts names of their own.
    fn bind(self, elaborator: &Elaborator, name: &str) -> Self;
    /// Chooses part by part.
    fn mux(condition: &Value<bool>, then: Self, otherwise: Self) -> Self;
}

/// What can be turned into a [`Bundle`].
pub trait IntoBundle {
    /// The bundle.
    type Out: Bundle;
    /// Turns constants into values.
    fn into_bundle(self) -> Self::Out;
}

/// Any liftable thing, tuple or array as a bundle.
pub fn bundle<B: IntoBundle>(value: B) -> B::Out {
    value.into_bundle()
}

impl<T: Synth> Bundle for Value<T> {
    fn bind(self, elaborator: &Elaborator, name: &str) -> Self {
        elaborator.declare_with(name, self, false, false)
    }
    fn mux(condition: &Value<bool>, then: Self, otherwise: Self) -> Self {
        let kind = Kind::Mux(condition.node.clone(), then.node, otherwise.node);
        Self::from_node(Node::new(kind, T::BITS))
    }
}

impl Bundle for Value<Index> {
    fn bind(self, _elaborator: &Elaborator, _name: &str) -> Self {
        self
    }
    fn mux(condition: &Value<bool>, then: Self, otherwise: Self) -> Self {
        let width = then.node.width.max(otherwise.node.width);
        let (a, b) = (
            Node::resize(&then.node, width),
            Node::resize(&otherwise.node, width),
        );
        Self::from_node(Node::new(Kind::Mux(condition.node.clone(), a, b), width))
    }
}

impl<T: Synth> IntoBundle for Value<T> {
    type Out = Value<T>;
    fn into_bundle(self) -> Self {
        self
    }
}

impl IntoBundle for Value<Index> {
    type Out = Value<Index>;
    fn into_bundle(self) -> Self {
        self
    }
}

impl<T: Flat> IntoBundle for T {
    type Out = Value<T>;
    fn into_bundle(self) -> Value<T> {
        self.constant()
    }
}

macro_rules! tuples {
    ($(($($part:ident $position:tt),*)),*) => {$(
        impl<$($part: Bundle),*> Bundle for ($($part,)*) {
            fn bind(self, elaborator: &Elaborator, name: &str) -> Self {
                ($(self.$position.bind(elaborator, &format!("{name}_{}", $position)),)*)
            }
            fn mux(condition: &Value<bool>, then: Self, otherwise: Self) -> Self {
                ($($part::mux(condition, then.$position, otherwise.$position),)*)
            }
        }
        impl<$($part: IntoBundle),*> IntoBundle for ($($part,)*) {
            type Out = ($($part::Out,)*);
            fn into_bundle(self) -> Self::Out {
                ($(self.$position.into_bundle(),)*)
            }
        }
    )*};
}
tuples!(
    (A 0, B 1),
    (A 0, B 1, C 2),
    (A 0, B 1, C 2, D 3),
    (A 0, B 1, C 2, D 3, E 4),
    (A 0, B 1, C 2, D 3, E 4, F 5)
);

impl<B: Bundle, const N: usize> Bundle for [B; N] {
    fn bind(self, elaborator: &Elaborator, name: &str) -> Self {
        let mut position = 0;
        self.map(|part| {
            position += 1;
            part.bind(elaborator, &format!("{name}_{}", position - 1))
        })
    }
    fn mux(condition: &Value<bool>, then: Self, otherwise: Self) -> Self {
        let mut otherwise = otherwise.into_iter();
        then.map(|part| match otherwise.next() {
            Some(other) => B::mux(condition, part, other),
            None => part,
        })
    }
}

impl<B: IntoBundle, const N: usize> IntoBundle for [B; N] {
    type Out = [B::Out; N];
    fn into_bundle(self) -> Self::Out {
        self.map(IntoBundle::into_bundle)
    }
}

/// What selects a bit: a constant or a computed index.
pub trait IntoIndex {
    /// The constant part and the computed part.
    fn into_index(self) -> (usize, Option<Rc<Node>>);
}

impl IntoIndex for usize {
    fn into_index(self) -> (usize, Option<Rc<Node>>) {
        (self, None)
    }
}

impl IntoIndex for Value<Index> {
    fn into_index(self) -> (usize, Option<Rc<Node>>) {
        (0, Some(self.node))
    }
}

impl<const N: usize> Value<Bits<N>> {
    /// One bit.
    pub fn get_bit(self, index: impl IntoIndex) -> Value<bool> {
        Value::from_node(self.part(index, 1))
    }

    /// `M` bits from `index` on; zero beyond the end.
    pub fn get_bits<const M: usize>(self, index: impl IntoIndex) -> Value<Bits<M>> {
        Value::from_node(self.part(index, M))
    }

    pub(super) fn part(self, index: impl IntoIndex, width: usize) -> Rc<Node> {
        match index.into_index() {
            (offset, None) => Node::slice(&self.node, offset, width),
            (_, Some(index)) => {
                Node::new(Kind::DynamicSlice(self.node, narrow_count(index)), width)
            }
        }
    }

    /// The value with one bit replaced.
    pub fn replace_bit(self, index: impl IntoIndex, bit: impl Lift<T = bool>) -> Self {
        let bit = bit.lift().into_node();
        let width = self.node.width;
        match index.into_index() {
            (index, None) if index < width => {
                let above = Node::slice(&self.node, index + 1, width - index - 1);
                let below = Node::slice(&self.node, 0, index);
                Value::from_node(Node::concat(vec![above, bit, below]))
            }
            (index, None) => Value::from_node(Node::slice(&self.node, index, width)),
            (_, Some(index)) => {
                let index = narrow_count(index);
                let shifted = |node: Rc<Node>| {
                    let wide = Node::resize(&node, width);
                    Node::new(Kind::Binary(Operator::Shl, wide, index.clone()), width)
                };
                let hole = Node::new(Kind::Not(shifted(Node::constant(1u8, 1))), width);
                let rest = Node::new(Kind::Binary(Operator::And, self.node, hole), width);
                let both = Kind::Binary(Operator::Or, rest, shifted(bit));
                Value::from_node(Node::new(both, width))
            }
        }
    }

    fn reduce(self, reduction: Reduction) -> Value<bool> {
        if self.node.width == 1 {
            return Value::from_node(self.node);
        }
        Value::from_node(Node::new(Kind::Reduce(reduction, self.node), 1))
    }

    /// Whether any bit is set.
    pub fn any(self) -> Value<bool> {
        self.reduce(Reduction::Any)
    }

    /// Whether all bits are set.
    pub fn all(self) -> Value<bool> {
        self.reduce(Reduction::All)
    }

    /// Whether an odd number of bits is set.
    pub fn xor(self) -> Value<bool> {
        self.reduce(Reduction::Xor)
    }

    /// The value as a number, for indices and matches.
    pub fn index(self) -> Value<Index> {
        Value::from_node(self.node)
    }

    /// As [`Value::index`].
    pub fn to_u8(self) -> Value<Index> {
        self.index()
    }

    /// As [`Value::index`].
    pub fn to_u16(self) -> Value<Index> {
        self.index()
    }

    /// As [`Value::index`].
    pub fn to_u32(self) -> Value<Index> {
        self.index()
    }

    /// As [`Value::index`].
    pub fn to_u64(self) -> Value<Index> {
        self.index()
    }
}
