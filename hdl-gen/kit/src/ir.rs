//! What a block's description says, before it becomes SystemVerilog.
//!
//! Expressions are trees of [`Node`]s that know their width. They name signals
//! by the address of the rust-hdl `Signal` they came from, which is unique while
//! the design is borrowed; names are looked up when the module is written.

use crate::manifest::Memory;
use num_bigint::BigUint;
use rust_hdl_core::prelude::TypeDescriptor;
use std::rc::Rc;

/// What a block turns into.
#[derive(Clone, Debug)]
pub enum Body {
    /// Logic that was described with `#[hdl]`.
    Logic(Logic),
    /// A flip-flop: becomes a register of the parent module.
    FlipFlop,
    /// A primitive whose module body is written by hand.
    Primitive(Primitive),
}

/// A description recorded from an `#[hdl]` function.
#[derive(Clone, Debug)]
pub struct Logic {
    /// Path of the Rust type, with generic arguments.
    pub rust_type: &'static str,
    /// Statements in source order, loops unrolled.
    pub statements: Vec<Statement>,
    /// Variables that the statements use, by number.
    pub variables: Vec<Variable>,
}

/// A primitive: a module whose body is SystemVerilog text.
#[derive(Clone, Debug)]
pub struct Primitive {
    /// Path of the Rust type, with generic arguments.
    pub rust_type: &'static str,
    /// Module name; equal bodies share a module, different ones need different names.
    pub module: String,
    /// What a reader of the module should know first, one line each.
    pub summary: Vec<String>,
    /// Text between the port list and `endmodule`.
    pub text: String,
    /// What may differ between instances that share a module.
    pub parameters: Vec<Parameter>,
    /// Memories declared in `text`.
    pub memories: Vec<Memory>,
    /// Outputs that depend on inputs in the same cycle: (output, input).
    pub combinational: Vec<(String, String)>,
}

/// A parameter of a primitive's module. Values are SystemVerilog text.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// The value in an instance that gives none.
    pub default: String,
    /// The value in this instance.
    pub value: String,
}

/// A `let` of the description.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Name from the source, made unique when written.
    pub name: String,
    /// Width in bits.
    pub width: usize,
    /// Rust type, where fields matter.
    pub descriptor: Option<TypeDescriptor>,
    /// Made by the elaborator rather than by the author; may be inlined.
    pub automatic: bool,
    /// Set more than once (`let mut`).
    pub mutable: bool,
}

/// Where a value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A rust-hdl signal, by address.
    Signal(usize),
    /// A variable of the description, by number.
    Variable(usize),
}

/// One statement.
#[derive(Clone, Debug)]
pub enum Statement {
    /// Declares a variable and gives it its (first) value.
    Let(usize, Rc<Node>),
    /// Sets a signal or variable, or part of it.
    Assign(Target, Rc<Node>),
    /// Two-way choice.
    If(Rc<Node>, Vec<Statement>, Vec<Statement>),
    /// Choice by value.
    Case(Case),
}

/// A `match` on a value.
#[derive(Clone, Debug)]
pub struct Case {
    /// The value that is compared.
    pub scrutinee: Rc<Node>,
    /// Labels and statements, in source order.
    pub arms: Vec<(Vec<Rc<Node>>, Vec<Statement>)>,
    /// Statements for everything else; `None` if the source lists all states.
    pub default: Option<Vec<Statement>>,
}

/// The left side of an assignment.
#[derive(Clone, Debug)]
pub struct Target {
    /// What is set.
    pub source: Source,
    /// Which part, if not all.
    pub part: Option<Part>,
}

/// A bit range of a target.
#[derive(Clone, Debug)]
pub struct Part {
    /// Constant part of the offset, in bits.
    pub offset: usize,
    /// Added to `offset` at run time.
    pub dynamic: Option<Rc<Node>>,
    /// Width in bits.
    pub width: usize,
}

/// An expression and its width.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it computes.
    pub kind: Kind,
    /// Width in bits; 0 for an integer that takes the width of its surroundings.
    pub width: usize,
}

/// Kinds of expression.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A constant of known width.
    Constant(BigUint),
    /// An integer that takes the width of its surroundings.
    Number(u64),
    /// A state of an enumeration: type, variant, code.
    Variant(&'static str, &'static str, BigUint),
    /// The value of a signal or variable.
    Read(Source),
    /// Bits from a constant offset on; the width is the node's.
    Slice(Rc<Node>, usize),
    /// Bits from a computed offset on, zero beyond the end.
    DynamicSlice(Rc<Node>, Rc<Node>),
    /// Bitwise complement.
    Not(Rc<Node>),
    /// Reduction to one bit.
    Reduce(Reduction, Rc<Node>),
    /// Two operands.
    Binary(Operator, Rc<Node>, Rc<Node>),
    /// `condition ? then : otherwise`.
    Mux(Rc<Node>, Rc<Node>, Rc<Node>),
    /// Most significant part first.
    Concat(Vec<Rc<Node>>),
}

/// Reductions over all bits of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Any bit set.
    Any,
    /// All bits set.
    All,
    /// Odd number of bits set.
    Xor,
}

/// Operators with two operands. Except for shifts, both have the same width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Sum, carry dropped.
    Add,
    /// Difference, borrow dropped.
    Sub,
    /// Product of equally wide operands, upper half dropped.
    Mul,
    /// Bitwise and.
    And,
    /// Bitwise or.
    Or,
    /// Bitwise exclusive or.
    Xor,
    /// Shift towards the most significant bit, zeros in.
    Shl,
    /// Shift towards the least significant bit, zeros in.
    Shr,
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less, unsigned.
    Lt,
    /// Less or equal, unsigned.
    Le,
    /// Greater, unsigned.
    Gt,
    /// Greater or equal, unsigned.
    Ge,
}

impl Operator {
    /// Whether the result is one bit whatever the operands' width.
    pub fn is_comparison(self) -> bool {
        use Operator::*;
        matches!(self, Eq | Ne | Lt | Le | Gt | Ge)
    }

    /// Whether the right operand is a count of its own width.
    pub fn is_shift(self) -> bool {
        matches!(self, Operator::Shl | Operator::Shr)
    }
}

/// Nodes that are looked at to find two expressions the same: more than anybody writes.
const SAME_NODES: usize = 256;

/// Number of bits of `value`, at least 1.
pub fn significant_bits(value: &BigUint) -> usize {
    (value.bits() as usize).max(1)
}

/// What an order comparison with the least or the greatest value of the width comes to, where
/// the other side does not matter.
fn beyond_the_range(op: Operator, a: &Node, b: &Node) -> Option<bool> {
    use Operator::{Ge, Gt, Le, Lt};
    let least = |node: &Node| node.known() == Some(BigUint::ZERO);
    let greatest = |node: &Node| node.known() == Some((BigUint::from(1u8) << node.width) - 1u8);
    match op {
        Ge if least(b) || greatest(a) => Some(true),
        Le if least(a) || greatest(b) => Some(true),
        Lt if least(b) || greatest(a) => Some(false),
        Gt if least(a) || greatest(b) => Some(false),
        _ => None,
    }
}

impl Node {
    /// A node on the heap.
    pub fn new(kind: Kind, width: usize) -> Rc<Self> {
        Rc::new(Self { kind, width })
    }

    /// The constant `value` in `width` bits.
    pub fn constant(value: impl Into<BigUint>, width: usize) -> Rc<Self> {
        Self::new(Kind::Constant(value.into()), width)
    }

    /// The value, if it is known now.
    pub fn known(&self) -> Option<BigUint> {
        match &self.kind {
            Kind::Constant(value) | Kind::Variant(_, _, value) => Some(value.clone()),
            Kind::Number(value) => Some(BigUint::from(*value)),
            _ => None,
        }
    }

    /// An upper bound of the value.
    pub fn maximum(&self) -> BigUint {
        let all_ones = || (BigUint::from(1u8) << self.width) - 1u8;
        match &self.kind {
            Kind::Constant(value) | Kind::Variant(_, _, value) => value.clone(),
            Kind::Number(value) => BigUint::from(*value),
            Kind::Binary(Operator::Add, a, b) => (a.maximum() + b.maximum()).min(all_ones()),
            Kind::Binary(Operator::Mul, a, b) => (a.maximum() * b.maximum()).min(all_ones()),
            Kind::Mux(_, a, b) => a.maximum().max(b.maximum()),
            Kind::Concat(parts) => parts.iter().fold(BigUint::ZERO, |sum, part| {
                (sum << part.width) + part.maximum()
            }),
            Kind::Slice(base, 0) => base.maximum().min(all_ones()),
            _ => all_ones(),
        }
    }

    /// `width` bits of `base` from `offset` on; out-of-range slices are kept as
    /// they are so that the writer can refuse them by name.
    pub fn slice(base: &Rc<Self>, offset: usize, width: usize) -> Rc<Self> {
        if offset == 0 && width == base.width {
            return base.clone();
        }
        if offset + width > base.width {
            return Self::new(Kind::Slice(base.clone(), offset), width);
        }
        match &base.kind {
            Kind::Constant(value) => {
                let mask = (BigUint::from(1u8) << width) - 1u8;
                Self::constant((value >> offset) & mask, width)
            }
            Kind::Slice(inner, first) if first + base.width <= inner.width => {
                Self::slice(inner, first + offset, width)
            }
            Kind::Concat(parts) => {
                let mut low = 0;
                for part in parts.iter().rev() {
                    if offset >= low && offset + width <= low + part.width {
                        return Self::slice(part, offset - low, width);
                    }
                    low += part.width;
                }
                Self::new(Kind::Slice(base.clone(), offset), width)
            }
            // A bit of a mask does not need the whole mask.
            Kind::Binary(op @ (Operator::And | Operator::Or | Operator::Xor), a, b)
                if a.width == base.width && b.width == base.width =>
            {
                let (a, b) = (Self::slice(a, offset, width), Self::slice(b, offset, width));
                Self::new(Kind::Binary(*op, a, b), width)
            }
            Kind::Not(a) => Self::new(Kind::Not(Self::slice(a, offset, width)), width),
            _ => Self::new(Kind::Slice(base.clone(), offset), width),
        }
    }

    /// The lowest bit, if all above it are zeros.
    fn widened_bit(&self) -> Option<&Rc<Self>> {
        let Kind::Concat(parts) = &self.kind else {
            return None;
        };
        match &parts[..] {
            [zeros, bit] if bit.width == 1 && zeros.known() == Some(BigUint::ZERO) => Some(bit),
            _ => None,
        }
    }

    /// `!node`.
    ///
    /// Of a single bit in a wide value, nothing but the bit is inverted: to Verilator a
    /// comparison is an `int` of C++, and the sign of its complement may get into bits
    /// beyond the end of a wide vector.
    pub fn not(node: &Rc<Self>) -> Rc<Self> {
        if let Kind::Not(inner) = &node.kind {
            return inner.clone();
        }
        if let Some(bit) = node.widened_bit() {
            let above = node.width - 1;
            let ones = (BigUint::from(1u8) << above) - 1u8;
            return Self::concat(vec![Self::constant(ones, above), Self::not(bit)]);
        }
        Self::new(Kind::Not(node.clone()), node.width)
    }

    /// Whether two expressions are written the same; false also where that takes looking at
    /// more than `left` nodes.
    fn is_same(&self, other: &Self, left: &mut usize) -> bool {
        use Kind::*;
        if std::ptr::eq(self, other) {
            return true;
        }
        if self.width != other.width || *left == 0 {
            return false;
        }
        *left -= 1;
        match (&self.kind, &other.kind) {
            (Read(a), Read(b)) => a == b,
            (Slice(a, from), Slice(b, other)) => from == other && a.is_same(b, left),
            (Not(a), Not(b)) => a.is_same(b, left),
            (Reduce(by, a), Reduce(other, b)) => by == other && a.is_same(b, left),
            (DynamicSlice(a, at), DynamicSlice(b, other)) => {
                a.is_same(b, left) && at.is_same(other, left)
            }
            (Binary(op, a, b), Binary(other, c, d)) => {
                op == other && a.is_same(c, left) && b.is_same(d, left)
            }
            (Mux(a, b, c), Mux(d, e, f)) => {
                a.is_same(d, left) && b.is_same(e, left) && c.is_same(f, left)
            }
            (Concat(a), Concat(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_same(b, left))
            }
            _ => self.known().is_some() && self.known() == other.known(),
        }
    }

    /// `a op b`, both of one width.
    ///
    /// Zero less a single bit is a choice between all ones and zero, for the reason given at
    /// [`Node::not`]. A comparison of a value with itself is known: Verilator 5.006 finds that
    /// out of wide values so late that the other side of an `&` keeps bits it does not have.
    /// So is one that no value of the width can fail or meet, which Verilator warns of.
    pub fn binary(op: Operator, a: Rc<Self>, b: Rc<Self>) -> Rc<Self> {
        let width = if op.is_comparison() { 1 } else { a.width };
        if op.is_comparison() && a.is_same(&b, &mut { SAME_NODES }) {
            let holds = matches!(op, Operator::Eq | Operator::Le | Operator::Ge);
            return Self::constant(u8::from(holds), 1);
        }
        if let Some(holds) = beyond_the_range(op, &a, &b) {
            return Self::constant(u8::from(holds), 1);
        }
        if op == Operator::Sub
            && a.known() == Some(BigUint::ZERO)
            && let Some(bit) = b.widened_bit()
        {
            let ones = Self::constant((BigUint::from(1u8) << width) - 1u8, width);
            return Self::new(Kind::Mux(bit.clone(), ones, a), width);
        }
        Self::new(Kind::Binary(op, a, b), width)
    }

    /// Zero-extended or truncated to `width` bits.
    pub fn resize(node: &Rc<Self>, width: usize) -> Rc<Self> {
        if node.width == width {
            return node.clone();
        }
        if let Kind::Number(value) = node.kind {
            return Self::constant(value, width);
        }
        if node.width > width {
            return Self::slice(node, 0, width);
        }
        if let Kind::Constant(value) = &node.kind {
            return Self::constant(value.clone(), width);
        }
        Self::concat(vec![Self::constant(0u8, width - node.width), node.clone()])
    }

    /// Parts side by side, most significant first.
    pub fn concat(parts: Vec<Rc<Self>>) -> Rc<Self> {
        let mut flat: Vec<Rc<Self>> = Vec::new();
        for part in parts {
            let inner = match &part.kind {
                Kind::Concat(inner) => inner.clone(),
                _ => vec![part],
            };
            for part in inner.into_iter().filter(|part| part.width > 0) {
                if let Some(last) = flat.last()
                    && let (Kind::Constant(high), Kind::Constant(low)) = (&last.kind, &part.kind)
                {
                    let joined = (high << part.width) + low;
                    let width = last.width + part.width;
                    flat.pop();
                    flat.push(Self::constant(joined, width));
                    continue;
                }
                flat.push(part);
            }
        }
        if flat.len() == 1 {
            return flat.remove(0);
        }
        let width = flat.iter().map(|part| part.width).sum();
        Self::new(Kind::Concat(flat), width)
    }

    /// Calls `visit` for every source that the expression reads.
    pub fn reads(&self, visit: &mut impl FnMut(Source)) {
        match &self.kind {
            Kind::Read(source) => visit(*source),
            _ => self.children(&mut |child| child.reads(visit)),
        }
    }

    /// Calls `visit` for every direct operand.
    pub fn children(&self, visit: &mut impl FnMut(&Rc<Node>)) {
        match &self.kind {
            Kind::Constant(_) | Kind::Number(_) | Kind::Variant(..) | Kind::Read(_) => {}
            Kind::Slice(a, _) | Kind::Not(a) | Kind::Reduce(_, a) => visit(a),
            Kind::DynamicSlice(a, b) | Kind::Binary(_, a, b) => {
                visit(a);
                visit(b);
            }
            Kind::Mux(a, b, c) => {
                visit(a);
                visit(b);
                visit(c);
            }
            Kind::Concat(parts) => parts.iter().for_each(visit),
        }
    }

    /// The same expression with its operands replaced by `change`.
    pub fn map(node: &Rc<Self>, change: &mut impl FnMut(&Rc<Node>) -> Rc<Node>) -> Rc<Self> {
        let kind = match &node.kind {
            Kind::Constant(_) | Kind::Number(_) | Kind::Variant(..) | Kind::Read(_) => {
                return node.clone();
            }
            Kind::Slice(a, offset) => return Self::slice(&change(a), *offset, node.width),
            Kind::DynamicSlice(a, b) => Kind::DynamicSlice(change(a), change(b)),
            Kind::Not(a) => Kind::Not(change(a)),
            Kind::Reduce(reduction, a) => Kind::Reduce(*reduction, change(a)),
            Kind::Binary(op, a, b) => Kind::Binary(*op, change(a), change(b)),
            Kind::Mux(a, b, c) => Kind::Mux(change(a), change(b), change(c)),
            Kind::Concat(parts) => return Self::concat(parts.iter().map(change).collect()),
        };
        Self::new(kind, node.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_that_every_value_meets_or_fails_are_known() {
        use Operator::*;
        let value = Node::new(Kind::Read(Source::Signal(0)), 16);
        let result =
            |op, a: &Rc<Node>, b: &Rc<Node>| Node::binary(op, a.clone(), b.clone()).known();
        let (least, greatest) = (Node::constant(0u8, 16), Node::constant(0xffffu16, 16));
        let (yes, no) = (Some(BigUint::from(1u8)), Some(BigUint::ZERO));
        for (op, a, b, known) in [
            (Le, &value, &greatest, &yes),
            (Gt, &value, &greatest, &no),
            (Ge, &value, &least, &yes),
            (Lt, &value, &least, &no),
            (Ge, &greatest, &value, &yes),
            (Lt, &greatest, &value, &no),
            (Le, &least, &value, &yes),
            (Gt, &least, &value, &no),
            (Lt, &value, &greatest, &None),
            (Gt, &value, &least, &None),
            (Eq, &value, &greatest, &None),
            (Le, &value, &Node::constant(0xfffeu16, 16), &None),
        ] {
            assert_eq!(result(op, a, b), *known, "{op:?}");
        }
    }
}
