//! Multiplexers, and the descriptions of the language's own functions.
//!
//! A function `f` and its description share a name: the function lives in
//! Rust's value namespace, the description as `f::hdl` in the type namespace.
//! `#[hdl_fn]` makes such pairs; here are those for rust-hdl's functions.

use super::ops::{eq, or, product};
use super::structure::Flat;
use super::value::{Bundle, IntoBundle, Lift, Value};
use super::{Elaborator, ops};
use crate::ir::Node;
use rust_hdl_core::prelude::{Bits, Synth};

/// `if condition { then } else { otherwise }` as a value.
pub fn mux<A: IntoBundle, B: IntoBundle<Out = A::Out>>(
    elaborator: &Elaborator,
    condition: impl Lift<T = bool>,
    then: A,
    otherwise: B,
) -> A::Out {
    let condition = elaborator.share("choice", condition.lift());
    A::Out::mux(&condition, then.into_bundle(), otherwise.into_bundle())
}

/// `match` as a value, under construction.
pub struct Select<S, O> {
    scrutinee: Value<S>,
    arms: Vec<(Value<bool>, O)>,
    otherwise: Option<O>,
}

impl<S, O: Bundle> Select<S, O>
where
    Value<S>: Lift<T = S>,
    S: ops::Comparable<S>,
{
    /// Starts a selection by `scrutinee`.
    pub fn new<L: Lift<T = S>>(_elaborator: &Elaborator, scrutinee: L) -> Self {
        Self {
            scrutinee: scrutinee.lift(),
            arms: Vec::new(),
            otherwise: None,
        }
    }

    /// A label of an arm.
    pub fn label<L: Lift>(&self, pattern: L) -> Value<S> {
        Value::from_node(self.scrutinee.label(pattern))
    }

    /// The value for some labels.
    pub fn arm<B: IntoBundle<Out = O>>(&mut self, labels: Vec<Value<S>>, value: B) {
        let mut condition: Option<Value<bool>> = None;
        for label in labels {
            let hit = eq(self.scrutinee.clone(), label);
            condition = Some(match condition {
                Some(before) => or(before, hit),
                None => hit,
            });
        }
        if let Some(condition) = condition {
            self.arms.push((condition, value.into_bundle()));
        }
    }

    /// The value for everything else.
    pub fn otherwise<B: IntoBundle<Out = O>>(&mut self, value: B) {
        self.otherwise = Some(value.into_bundle());
    }

    /// The chosen value. Without `_` the last arm also serves unused codes.
    ///
    /// # Panics
    /// If there is no arm at all, which Rust refuses before.
    pub fn finish(mut self) -> O {
        let last = self.otherwise.or_else(|| self.arms.pop().map(|arm| arm.1));
        let Some(mut value) = last else {
            panic!("a match without arms");
        };
        for (condition, arm) in self.arms.into_iter().rev() {
            value = O::mux(&condition, arm, value);
        }
        value
    }
}

/// Two vectors side by side, `hi` above `lo`; `N` must be `A + B`.
///
/// # Panics
/// If `N` is not the sum of the widths.
pub fn cat<const A: usize, const B: usize, const N: usize>(hi: Bits<A>, lo: Bits<B>) -> Bits<N> {
    assert_eq!(A + B, N, "cat: {A} and {B} bits do not make {N}");
    Bits::from_flat(&((hi.flat() << B) + lo.flat()))
}

/// A bit as a vector of width 1.
pub fn bit(value: bool) -> Bits<1> {
    value.into()
}

/// The full product of two vectors, in `N` bits.
pub fn multiply<const A: usize, const B: usize, const N: usize>(a: Bits<A>, b: Bits<B>) -> Bits<N> {
    Bits::from_flat(&(a.flat() * b.flat()))
}

macro_rules! descriptions {
    ($($(#[$docs:meta])* $name:ident [$($generics:tt)*] ($($parameter:ident: $ty:ty),*) -> $out:ty
       = $body:expr;)*) => {$(
        $(#[$docs])*
        #[doc(hidden)]
        #[allow(non_camel_case_types)]
        pub struct $name {}

        impl $name {
            #[doc(hidden)]
            pub fn hdl<$($generics)*>(
                _elaborator: &Elaborator,
                $($parameter: impl Lift<T = $ty>),*
            ) -> Value<$out> {
                $(let $parameter = $parameter.lift().into_node();)*
                Value::from_node($body)
            }
        }
    )*};
}

descriptions! {
    /// Zero-extends or truncates.
    bit_cast [const M: usize, const N: usize] (x: Bits<N>) -> Bits<M> = Node::resize(&x, M);
    /// Concatenates.
    cat [const A: usize, const B: usize, const N: usize] (hi: Bits<A>, lo: Bits<B>) -> Bits<N> = {
        assert_eq!(A + B, N, "cat: {A} and {B} bits do not make {N}");
        Node::concat(vec![hi, lo])
    };
    /// A bit as a vector.
    bit [] (value: bool) -> Bits<1> = value;
    /// A product.
    multiply [const A: usize, const B: usize, const N: usize] (a: Bits<A>, b: Bits<B>) -> Bits<N> =
        product(&a, &b, N);
    /// A structure as a vector.
    pack [T: Synth, const N: usize] (value: T) -> Bits<N> = {
        assert_eq!(T::BITS, N, "pack: the structure is {} bits wide", T::BITS);
        value
    };
    /// A vector as a structure.
    unpack [T: Synth, const N: usize] (value: Bits<N>) -> T = {
        assert_eq!(T::BITS, N, "unpack: the structure is {} bits wide", T::BITS);
        value
    };
}
