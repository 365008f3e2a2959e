//! Structures and enumerations as bit vectors. Field 0 is least significant.

use super::value::{IntoIndex, Lift, Value};
use crate::ir::{Kind, Node, Part};
use num_bigint::BigUint;
use rust_hdl_core::prelude::{Bits, Clock, Synth, TypeDescriptor, TypeKind, VerilogLiteral, clog2};
use std::marker::PhantomData;
use std::rc::Rc;

/// A type whose values can be flattened to bits and back.
///
/// Implemented for `Bits`, `Bit` and `Clock`, and by the derives `LogicStruct`
/// and `LogicState`.
pub trait Flat: Synth {
    /// The value as an unsigned number of `Self::BITS` bits.
    fn flat(self) -> BigUint;
    /// The value of the lowest `Self::BITS` bits of a number.
    fn from_flat(flat: &BigUint) -> Self;
    /// The value as a constant of a description.
    fn constant(self) -> Value<Self> {
        Value::from_node(Node::constant(self.flat(), Self::BITS))
    }
}

impl<const N: usize> Flat for Bits<N> {
    fn flat(self) -> BigUint {
        self.into()
    }
    fn from_flat(flat: &BigUint) -> Self {
        let mask = (BigUint::from(1u8) << N) - 1u8;
        (flat & mask).into()
    }
}

impl Flat for bool {
    fn flat(self) -> BigUint {
        BigUint::from(u8::from(self))
    }
    fn from_flat(flat: &BigUint) -> Self {
        flat.bit(0)
    }
}

impl Flat for Clock {
    fn flat(self) -> BigUint {
        self.clk.flat()
    }
    fn from_flat(flat: &BigUint) -> Self {
        Clock { clk: flat.bit(0) }
    }
}

/// Collects fields, least significant first.
#[derive(Debug, Default)]
pub struct Packer {
    flat: BigUint,
    offset: usize,
}

impl Packer {
    /// Appends a field above the ones before.
    pub fn push<T: Flat>(&mut self, value: T) {
        self.flat += value.flat() << self.offset;
        self.offset += T::BITS;
    }

    /// All fields.
    pub fn finish(self) -> BigUint {
        self.flat
    }
}

/// Splits a number into fields, least significant first.
#[derive(Debug)]
pub struct Unpacker {
    flat: BigUint,
}

impl Unpacker {
    /// Starts at bit 0.
    pub fn new(flat: &BigUint) -> Self {
        Self { flat: flat.clone() }
    }

    /// The next field.
    pub fn pull<T: Flat>(&mut self) -> T {
        let value = T::from_flat(&self.flat);
        self.flat >>= T::BITS;
        value
    }
}

/// A value as rust-hdl's literal. Only the number counts: rust-hdl's own
/// Verilog writer, which would want the width too, is not used.
pub fn literal<T: Flat>(value: T) -> VerilogLiteral {
    Bits::<4096>::from_flat(&value.flat()).into()
}

/// Width of an enumeration of `count` states.
pub const fn state_bits(count: usize) -> usize {
    if count <= 2 { 1 } else { clog2(count) }
}

/// A structure as the bit vector it is sent as. `N` must be its width.
///
/// # Panics
/// If `N` is not the width of `T`.
pub fn pack<T: Flat, const N: usize>(value: T) -> Bits<N> {
    assert_eq!(T::BITS, N, "pack: the structure is {} bits wide", T::BITS);
    Bits::from_flat(&value.flat())
}

/// A structure from the bit vector it is sent as. `N` must be its width.
///
/// # Panics
/// If `N` is not the width of `T`.
pub fn unpack<T: Flat, const N: usize>(bits: Bits<N>) -> T {
    assert_eq!(T::BITS, N, "unpack: the structure is {} bits wide", T::BITS);
    T::from_flat(&bits.flat())
}

/// Width of a described type in bits.
pub(crate) fn descriptor_width(descriptor: &TypeDescriptor) -> usize {
    match &descriptor.kind {
        TypeKind::Bits(width) | TypeKind::Signed(width) => *width,
        TypeKind::Enum(states) => state_bits(states.len()),
        TypeKind::Composite(fields) => fields.iter().map(|f| descriptor_width(&f.kind)).sum(),
    }
}

/// Offset and type of a field.
fn locate(descriptor: &TypeDescriptor, name: &str) -> (usize, TypeDescriptor) {
    let mut offset = 0;
    if let TypeKind::Composite(fields) = &descriptor.kind {
        for field in fields {
            if field.fieldname == name {
                return (offset, field.kind.clone());
            }
            offset += descriptor_width(&field.kind);
        }
    }
    (offset, descriptor.clone())
}

fn offset_of(descriptor: TypeDescriptor, path: &[&str]) -> usize {
    let mut offset = 0;
    let mut at = descriptor;
    for name in path {
        let (more, inner) = locate(&at, name);
        offset += more;
        at = inner;
    }
    offset
}

/// The bits of field `path` of `T`; `F` is the field's type.
pub(super) fn part<T: Synth, F: Synth>(path: &[&str]) -> Part {
    Part {
        offset: offset_of(T::descriptor(), path),
        dynamic: None,
        width: F::BITS,
    }
}

/// `width` bits from `offset` on inside field `path` of `T`.
pub(super) fn range<T: Synth>(path: &[&str], offset: impl IntoIndex, width: usize) -> Part {
    inside(offset_of(T::descriptor(), path), offset, width)
}

/// `width` bits from `offset` on inside the field that begins at bit `field`.
pub(super) fn inside(field: usize, offset: impl IntoIndex, width: usize) -> Part {
    let (constant, dynamic) = offset.into_index();
    Part {
        offset: field + constant,
        dynamic,
        width,
    }
}

/// `base.name`; the closure fixes the field's type and checks that it exists.
pub fn field<T: Synth, F: Synth>(
    base: impl Lift<T = T>,
    name: &str,
    _select: impl Fn(T) -> F,
) -> Value<F> {
    let (offset, _) = locate(&T::descriptor(), name);
    Value::from_node(Node::slice(base.lift().node(), offset, F::BITS))
}

/// `Name { field: value, .. }` under construction.
#[derive(Debug)]
pub struct Structure<T> {
    fields: Vec<(usize, Rc<Node>)>,
    rest: Option<Rc<Node>>,
    marker: PhantomData<fn() -> T>,
}

impl<T> Default for Structure<T> {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            rest: None,
            marker: PhantomData,
        }
    }
}

impl<T: Synth> Structure<T> {
    /// Sets a field.
    pub fn field<F: Synth>(
        &mut self,
        name: &str,
        _select: impl Fn(T) -> F,
        value: impl Lift<T = F>,
    ) {
        let (offset, _) = locate(&T::descriptor(), name);
        self.fields.push((offset, value.lift().into_node()));
    }

    /// Takes the fields that were not set from `rest`.
    pub fn rest(&mut self, rest: impl Lift<T = T>) {
        self.rest = Some(rest.lift().into_node());
    }

    /// The structure.
    pub fn finish(mut self) -> Value<T> {
        self.fields.sort_by_key(|(offset, _)| *offset);
        let rest = self.rest.unwrap_or_else(|| Node::constant(0u8, T::BITS));
        let mut parts = Vec::new();
        let mut at = 0;
        for (offset, node) in self.fields {
            if offset > at {
                parts.push(Node::slice(&rest, at, offset - at));
            }
            at = offset + node.width;
            parts.push(node);
        }
        if at < T::BITS {
            parts.push(Node::slice(&rest, at, T::BITS - at));
        }
        parts.reverse();
        let whole = Node::concat(parts);
        debug_assert!(matches!(whole.kind, Kind::Number(_)) || whole.width == T::BITS);
        Value::from_node(whole)
    }
}
