//! Descriptions whose widths are known at run time only.
//!
//! In the language widths are types. A generator of random programs has numbers
//! instead; this door lets it record descriptions through the same operators,
//! statements and checks as `#[hdl]` does. Not an interface for people.

use super::ops::product;
use super::structure;
use super::value::{Bundle, Index, IntoBundle, IntoIndex, Lift, Value};
use super::{Elaborator, address, describe, descriptor_width, provide};
use crate::ir::{Body, Kind, Node, Source};
use num_bigint::BigUint;
use rust_hdl_core::ast::VerilogLiteral;
use rust_hdl_core::atom::{Atom, AtomKind};
use rust_hdl_core::constraint::PinConstraint;
use rust_hdl_core::prelude::{
    Bits, Block, Logic, Probe, TypeDescriptor, TypeField, TypeKind, VCDValue, Verilog,
};
use std::rc::Rc;

/// What a [`Wire`] is to its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireKind {
    /// The clock input.
    Clock,
    /// Driven from outside.
    Input,
    /// Driven by the block.
    Output,
    /// Used inside only.
    Local,
}

/// What the bits of a signal are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A vector of so many bits.
    Bits(usize),
    /// A structure: names and shapes of its fields, field 0 first.
    Structure(Vec<(String, Shape)>),
}

impl From<usize> for Shape {
    fn from(width: usize) -> Self {
        Self::Bits(width)
    }
}

impl Shape {
    fn descriptor(&self) -> TypeDescriptor {
        let (name, kind) = match self {
            Self::Bits(width) => ("bits", TypeKind::Bits(*width)),
            Self::Structure(fields) => {
                let field = |(name, shape): &(String, Self)| {
                    Box::new(TypeField {
                        fieldname: name.clone(),
                        kind: shape.descriptor(),
                    })
                };
                let fields = fields.iter().map(field).collect();
                ("structure", TypeKind::Composite(fields))
            }
        };
        TypeDescriptor {
            name: name.into(),
            kind,
        }
    }
}

/// A signal of any shape. It can be described, not simulated.
#[derive(Clone, Debug)]
pub struct Wire {
    kind: WireKind,
    width: usize,
    descriptor: TypeDescriptor,
}

impl Wire {
    /// A wire; a number as its shape is a width in bits.
    pub fn new(kind: WireKind, shape: impl Into<Shape>) -> Self {
        let mut descriptor = shape.into().descriptor();
        if kind == WireKind::Clock {
            descriptor.name = "clock".into();
        }
        Self {
            kind,
            width: descriptor_width(&descriptor),
            descriptor,
        }
    }
}

impl Atom for Wire {
    fn bits(&self) -> usize {
        self.width
    }
    fn connected(&self) -> bool {
        true
    }
    fn changed(&self) -> bool {
        false
    }
    fn kind(&self) -> AtomKind {
        match self.kind {
            WireKind::Clock | WireKind::Input => AtomKind::InputParameter,
            WireKind::Output => AtomKind::OutputParameter,
            WireKind::Local => AtomKind::LocalSignal,
        }
    }
    fn descriptor(&self) -> TypeDescriptor {
        self.descriptor.clone()
    }
    fn vcd(&self) -> VCDValue {
        VCDValue::String(String::new())
    }
    fn id(&self) -> usize {
        address(self)
    }
    fn verilog(&self) -> VerilogLiteral {
        0u64.into()
    }
    fn constraints(&self) -> Vec<PinConstraint> {
        Vec::new()
    }
}

/// A flip-flop of any shape.
#[derive(Debug)]
pub struct WireRegister {
    clk: Wire,
    d: Wire,
    q: Wire,
}

impl WireRegister {
    /// A register; a number as its shape is a width in bits.
    pub fn new(shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        Self {
            clk: Wire::new(WireKind::Clock, 1),
            d: Wire::new(WireKind::Input, shape.clone()),
            q: Wire::new(WireKind::Output, shape),
        }
    }

    /// The next value.
    pub fn d(&self) -> &Wire {
        &self.d
    }

    /// The present value.
    pub fn q(&self) -> &Wire {
        &self.q
    }
}

/// Records the description of a [`WireBlock`].
pub type Record = Box<dyn Fn(&Elaborator, &WireBlock)>;

/// A block with any number of wires, registers and inner blocks, by name. It can be
/// described, not simulated.
pub struct WireBlock {
    /// Ports and local signals.
    pub wires: Vec<(String, Wire)>,
    /// Flip-flops.
    pub registers: Vec<(String, WireRegister)>,
    /// Inner blocks.
    pub inner: Vec<(String, WireBlock)>,
    /// The description.
    pub record: Record,
}

impl Logic for WireRegister {
    fn update(&mut self) {}
    fn hdl(&self) -> Verilog {
        provide(Body::FlipFlop)
    }
}

impl Block for WireRegister {
    fn connect_all(&mut self) {}
    fn update_all(&mut self) {}
    fn has_changed(&self) -> bool {
        false
    }
    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        probe.visit_start_scope(name, self);
        probe.visit_atom("clk", &self.clk);
        probe.visit_atom("d", &self.d);
        probe.visit_atom("q", &self.q);
        probe.visit_end_scope(name, self);
    }
}

impl Logic for WireBlock {
    fn update(&mut self) {}
    fn hdl(&self) -> Verilog {
        describe::<Self>(|elaborator| (self.record)(elaborator, self))
    }
}

impl Block for WireBlock {
    fn connect_all(&mut self) {}
    fn update_all(&mut self) {}
    fn has_changed(&self) -> bool {
        false
    }
    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        probe.visit_start_scope(name, self);
        for (name, wire) in &self.wires {
            probe.visit_atom(name, wire);
        }
        for (name, register) in &self.registers {
            register.accept(name, probe);
        }
        for (name, block) in &self.inner {
            block.accept(name, probe);
        }
        probe.visit_end_scope(name, self);
    }
}

/// A value of any width.
///
/// The operators of the language look at the width of the node, not at that of the type;
/// to them such a value is a vector of one bit.
#[derive(Clone, Debug)]
pub struct Untyped(Rc<Node>);

impl<T> From<Value<T>> for Untyped {
    fn from(value: Value<T>) -> Self {
        Self(value.into_node())
    }
}

impl Lift for Untyped {
    type T = Bits<1>;
    fn lift(self) -> Value<Bits<1>> {
        Value::from_node(self.0)
    }
}

impl IntoBundle for Untyped {
    type Out = Self;
    fn into_bundle(self) -> Self {
        self
    }
}

impl Bundle for Untyped {
    fn bind(self, elaborator: &Elaborator, name: &str) -> Self {
        elaborator.declare_untyped(name, self, None, false)
    }
    fn mux(condition: &Value<bool>, then: Self, otherwise: Self) -> Self {
        let width = then.0.width;
        let kind = Kind::Mux(condition.node().clone(), then.0, otherwise.0);
        Self(Node::new(kind, width))
    }
}

impl Untyped {
    /// The constant `value` in `width` bits.
    pub fn constant(value: &BigUint, width: usize) -> Self {
        Self(Node::constant(value.clone(), width))
    }

    /// Width in bits.
    pub fn width(&self) -> usize {
        self.0.width
    }

    /// The value of a wire.
    pub fn read(wire: &Wire) -> Self {
        let source = Source::Signal(address(wire));
        Self(Node::new(Kind::Read(source), wire.width))
    }

    /// As a condition; the width must be 1.
    pub fn condition(self) -> Value<bool> {
        Value::from_node(self.0)
    }

    /// As `bit_cast`.
    pub fn resize(&self, width: usize) -> Self {
        Self(Node::resize(&self.0, width))
    }

    /// As `get_bits`.
    pub fn get_bits(self, index: impl IntoIndex, width: usize) -> Self {
        Self(self.lift().part(index, width))
    }

    /// As `multiply`.
    pub fn multiply(&self, other: &Self, width: usize) -> Self {
        Self(product(&self.0, &other.0, width))
    }

    /// As `cat`, of any number of parts.
    pub fn cat(parts: Vec<Self>) -> Self {
        Self(Node::concat(parts.into_iter().map(|part| part.0).collect()))
    }

    /// As `index`.
    pub fn index(self) -> Value<Index> {
        self.lift().index()
    }
}

impl Elaborator {
    fn declare_untyped(
        &self,
        name: &str,
        value: Untyped,
        descriptor: Option<TypeDescriptor>,
        mutable: bool,
    ) -> Untyped {
        let width = value.0.width;
        let number = self.declare_variable(name, width, descriptor, false, mutable);
        self.push(crate::ir::Statement::Let(number, value.0));
        Untyped(Node::new(Kind::Read(Source::Variable(number)), width))
    }

    /// `let name: Shape = value;`
    pub fn untyped_let(&self, name: &str, value: Untyped, shape: &Shape) -> Untyped {
        self.declare_untyped(name, value, Some(shape.descriptor()), false)
    }

    /// `let mut name: Shape = value;`
    pub fn untyped_variable(&self, name: &str, value: Untyped, shape: &Shape) -> Untyped {
        self.declare_untyped(name, value, Some(shape.descriptor()), true)
    }

    /// `wire.next = value;`
    pub fn drive(&self, wire: &Wire, value: Untyped) {
        self.assign_part(Some(Source::Signal(address(wire))), None, value.0);
    }

    /// `wire.next.field.set_bits(offset, value);` with a field that begins at bit `field`.
    pub fn drive_bits(&self, wire: &Wire, field: usize, offset: impl IntoIndex, value: Untyped) {
        let part = structure::inside(field, offset, value.0.width);
        self.assign_part(Some(Source::Signal(address(wire))), Some(part), value.0);
    }

    /// `variable = value;`
    pub fn set_untyped(&self, variable: &Untyped, value: Untyped) {
        let source = variable.clone().lift().source();
        self.assign_part(source, None, value.0);
    }

    /// `variable.field.set_bits(offset, value);` with a field that begins at bit `field`.
    pub fn set_untyped_bits(
        &self,
        variable: &Untyped,
        field: usize,
        offset: impl IntoIndex,
        value: Untyped,
    ) {
        let source = variable.clone().lift().source();
        let part = structure::inside(field, offset, value.0.width);
        self.assign_part(source, Some(part), value.0);
    }

    /// `dff_setup!` for one register.
    pub fn wire_register(&self, clk: &Wire, register: &WireRegister) {
        self.drive(&register.clk, Untyped::read(clk));
        self.drive(&register.d, Untyped::read(&register.q));
    }
}
