//! What a program means, in arithmetic on numbers of any size.
//!
//! Nothing here comes from the HDL: this is the second opinion. `docs/hdl.md` is the
//! specification: arithmetic wraps at the operands' width, shifts bring in zeros, slices
//! are zero beyond the end, comparisons are unsigned, an index never wraps.

use super::program::{
    Expression, Hex, Index, Operator, Program, Reduction, Role, Shift, Statement, Wire,
};
use num_bigint::BigUint;

/// A program with the present values of its wires.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    program: &'a Program,
    values: Vec<BigUint>,
    /// Next values of registers, by wire.
    next: Vec<BigUint>,
}

/// A value and its width.
type Sized = (BigUint, usize);

fn mask(width: usize) -> BigUint {
    (BigUint::from(1u8) << width) - 1u8
}

fn bit(value: bool) -> Sized {
    (BigUint::from(u8::from(value)), 1)
}

/// A position, far beyond any end if it does not fit.
fn position(value: &BigUint) -> usize {
    usize::try_from(value).map_or(usize::MAX, |value| value)
}

fn cut(value: &BigUint, offset: usize, width: usize) -> BigUint {
    if offset as u64 >= value.bits() {
        return BigUint::ZERO;
    }
    (value >> offset) & mask(width)
}

/// `value` with `part` of `width` bits in place of its bits from `offset` on.
fn splice(value: &BigUint, offset: usize, width: usize, part: &BigUint) -> BigUint {
    let above = (value >> (offset + width)) << (offset + width);
    above | (part << offset) | (value & mask(offset))
}

fn binary(operator: Operator, a: &BigUint, b: &BigUint, width: usize) -> Sized {
    match operator {
        Operator::Add => ((a + b) & mask(width), width),
        Operator::Sub => (((BigUint::from(1u8) << width) + a - b) & mask(width), width),
        Operator::And => (a & b, width),
        Operator::Or => (a | b, width),
        Operator::Xor => (a ^ b, width),
        Operator::Eq => bit(a == b),
        Operator::Ne => bit(a != b),
        Operator::Lt => bit(a < b),
        Operator::Le => bit(a <= b),
        Operator::Gt => bit(a > b),
        Operator::Ge => bit(a >= b),
    }
}

impl<'a> Machine<'a> {
    /// The program after reset.
    pub fn new(program: &'a Program) -> Self {
        Self {
            program,
            values: vec![BigUint::ZERO; program.wires.len()],
            next: vec![BigUint::ZERO; program.wires.len()],
        }
    }

    /// Sets an input.
    pub fn set(&mut self, wire: Wire, value: BigUint) {
        self.values[wire] = value;
    }

    /// The present value of a wire.
    pub fn value(&self, wire: Wire) -> &BigUint {
        &self.values[wire]
    }

    /// Follows the inputs: afterwards outputs can be read.
    pub fn settle(&mut self) {
        for wire in self.program.of(Role::Register) {
            self.next[wire] = self.values[wire].clone();
        }
        self.statements(&self.program.statements);
    }

    /// The clock edge.
    pub fn clock(&mut self) {
        for wire in self.program.of(Role::Register) {
            self.values[wire] = self.next[wire].clone();
        }
    }

    fn statements(&mut self, list: &[Statement]) {
        for statement in list {
            self.statement(statement);
        }
    }

    /// Where assignments to a wire go.
    fn target(&mut self, wire: Wire) -> &mut BigUint {
        match self.program.wires[wire].0 {
            Role::Register => &mut self.next[wire],
            _ => &mut self.values[wire],
        }
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Let(wire, value) | Statement::Set(wire, value) => {
                *self.target(*wire) = self.expression(value).0;
            }
            Statement::SetBits(wire, offset, value) => {
                let (part, width) = self.expression(value);
                let target = self.target(*wire);
                *target = splice(target, *offset, width, &part);
            }
            Statement::SetBitsAt(wire, index, value) => {
                let offset = position(&self.index(index));
                let (part, width) = self.expression(value);
                let target = self.target(*wire);
                *target = splice(target, offset, width, &part);
            }
            Statement::SetFieldBitsAt(wire, field, index, value) => {
                let offset = field + position(&self.index(index));
                let (part, width) = self.expression(value);
                let target = self.target(*wire);
                *target = splice(target, offset, width, &part);
            }
            Statement::SetElement(first, count, value) => {
                let value = self.expression(value).0;
                *self.target(self.element(*first, *count)) = value;
            }
            Statement::For(count, times, body) => {
                for number in 0..*times {
                    self.values[*count] = BigUint::from(number);
                    self.statements(body);
                }
            }
            Statement::If(condition, then, otherwise) => {
                if self.holds(condition) {
                    self.statements(then);
                } else {
                    self.statements(otherwise);
                }
            }
            Statement::Match(value, arms, rest) => {
                let (value, _) = self.expression(value);
                let hit = arms
                    .iter()
                    .find(|(labels, _)| labels.contains(&Hex(value.clone())));
                let last = arms.last().map(|(_, body)| body);
                if let Some(body) = hit.map(|(_, body)| body).or(rest.as_ref()).or(last) {
                    self.statements(body);
                }
            }
        }
    }

    fn holds(&self, condition: &Expression) -> bool {
        self.expression(condition).0 == BigUint::from(1u8)
    }

    fn element(&self, first: Wire, count: Wire) -> Wire {
        first + position(&self.values[count])
    }

    fn index(&self, index: &Index) -> BigUint {
        self.expression(&index.value).0 * index.scale + index.offset
    }

    fn expression(&self, expression: &Expression) -> Sized {
        match expression {
            Expression::Constant(width, Hex(value)) => (value.clone(), *width),
            Expression::Read(wire) => (self.values[*wire].clone(), self.program.wires[*wire].1),
            Expression::Element(first, count) => {
                let wire = self.element(*first, *count);
                (self.values[wire].clone(), self.program.wires[wire].1)
            }
            Expression::Not(a) => {
                let (a, width) = self.expression(a);
                (mask(width) ^ a, width)
            }
            Expression::Reduce(reduction, a) => {
                let (a, width) = self.expression(a);
                bit(match reduction {
                    Reduction::Any => a != BigUint::ZERO,
                    Reduction::All => a == mask(width),
                    Reduction::Xor => a.count_ones() % 2 == 1,
                })
            }
            Expression::Binary(operator, a, b) | Expression::WithBit(operator, a, b) => {
                let (a, width) = self.expression(a);
                binary(*operator, &a, &self.expression(b).0, width)
            }
            Expression::WithNumber(operator, a, number) => {
                let (a, width) = self.expression(a);
                binary(*operator, &a, &BigUint::from(*number), width)
            }
            Expression::NumberWith(operator, number, a) => {
                let (a, width) = self.expression(a);
                binary(*operator, &BigUint::from(*number), &a, width)
            }
            Expression::CompareIndex(operator, index, number) => {
                binary(*operator, &self.index(index), &BigUint::from(*number), 1)
            }
            Expression::Multiply(width, a, b) => {
                let product = self.expression(a).0 * self.expression(b).0;
                (product & mask(*width), *width)
            }
            Expression::ShiftBy(shift, a, count) => self.shift(*shift, a, &BigUint::from(*count)),
            Expression::Shift(shift, a, count) => self.shift(*shift, a, &self.expression(count).0),
            Expression::Slice(width, offset, a) => {
                (cut(&self.expression(a).0, *offset, *width), *width)
            }
            Expression::SliceAt(width, index, a) => {
                let offset = position(&self.index(index));
                (cut(&self.expression(a).0, offset, *width), *width)
            }
            Expression::ReplaceBit(a, at, value) => {
                let (a, width) = self.expression(a);
                (splice(&a, *at, 1, &self.expression(value).0), width)
            }
            Expression::ReplaceBitAt(a, index, value) => {
                let (a, width) = self.expression(a);
                let at = position(&self.index(index));
                (splice(&a, at, 1, &self.expression(value).0), width)
            }
            Expression::Cast(width, a) => (self.expression(a).0 & mask(*width), *width),
            Expression::Cat(parts) => {
                let mut all = (BigUint::ZERO, 0);
                for part in parts {
                    let (part, width) = self.expression(part);
                    all = ((all.0 << width) | part, all.1 + width);
                }
                all
            }
            Expression::If(condition, a, b) => {
                self.expression(if self.holds(condition) { a } else { b })
            }
            Expression::Match(value, arms, rest) => {
                let value = Hex(self.expression(value).0);
                let hit = arms.iter().find(|(labels, _)| labels.contains(&value));
                self.expression(hit.map_or(rest, |(_, arm)| arm))
            }
        }
    }

    fn shift(&self, shift: Shift, a: &Expression, count: &BigUint) -> Sized {
        let (a, width) = self.expression(a);
        let count = position(count);
        if count >= width {
            return (BigUint::ZERO, width);
        }
        match shift {
            Shift::Left => ((a << count) & mask(width), width),
            Shift::Right => (a >> count, width),
        }
    }
}
