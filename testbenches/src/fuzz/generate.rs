//! Random programs.

use super::program::{
    Expression, Field, Hex, Index, Operator, Program, Reduction, Role, Shift, Statement, Wire,
    places,
};
use super::random::Random;
use num_bigint::BigUint;
use std::collections::BTreeMap;

/// The widest wire, in bits.
const WIDEST: usize = 1200;

/// Widths at which words of the host and of Verilator begin and end.
const EDGES: [usize; 18] = [
    1, 2, 3, 7, 8, 16, 31, 32, 33, 63, 64, 65, 96, 127, 128, 129, 512, WIDEST,
];

/// How deep choices nest.
const NESTING: usize = 3;

/// Loops inside each other, the most iterations of one, and the width of their numbers.
const LOOPS: usize = 2;
const ITERATIONS: usize = 4;
const COUNT_WIDTH: usize = 3;

/// A random program; the same for the same random numbers.
pub fn program(random: &mut Random) -> Program {
    let mut palette = vec![1];
    for _ in 0..3 {
        palette.push(any_width(random));
    }
    let mut generator = Generator {
        random,
        palette,
        program: Program {
            wires: Vec::new(),
            structures: BTreeMap::new(),
            arrays: BTreeMap::new(),
            statements: Vec::new(),
        },
        loops: Vec::new(),
        readable: Vec::new(),
        writable: Vec::new(),
    };
    generator.run();
    generator.program
}

fn any_width(random: &mut Random) -> usize {
    match random.below(4) {
        0 => 1 + random.below(WIDEST),
        1 => 1 + random.below(100),
        _ => random.pick(&EDGES),
    }
}

struct Generator<'a> {
    random: &'a mut Random,
    /// Widths of this program, so that operands of equal width are found.
    palette: Vec<usize>,
    program: Program,
    /// Wires that have a value here.
    readable: Vec<Wire>,
    /// Wires that may be set here.
    writable: Vec<Wire>,
    /// The loops around the statement being made: number and iterations.
    loops: Vec<(Wire, usize)>,
}

type Boxed = Box<Expression>;

impl Generator<'_> {
    fn run(&mut self) {
        for (role, least, more) in [(Role::Input, 2, 4), (Role::Register, 0, 3)] {
            for _ in 0..least + self.random.below(more) {
                for wire in self.signals(role) {
                    self.readable.push(wire);
                    if role == Role::Register {
                        self.writable.push(wire);
                    }
                }
            }
        }
        let mut statements = Vec::new();
        for (role, least, more) in [(Role::Local, 0, 2), (Role::Output, 1, 3)] {
            for _ in 0..least + self.random.below(more) {
                let wires = self.signals(role);
                for wire in wires.clone() {
                    let value = self.value_for(wire);
                    statements.push(Statement::Set(wire, value));
                }
                self.readable.extend(wires.clone());
                self.writable.extend(wires);
            }
        }
        let count = 2 + self.random.below(7);
        statements.extend(self.statements(count, 0));
        self.program.statements = statements;
    }

    fn width(&mut self) -> usize {
        self.random.pick(&self.palette)
    }

    /// A signal, or an array of them.
    fn signals(&mut self, role: Role) -> std::ops::Range<Wire> {
        let first = self.wire(role);
        if self.random.chance(80) {
            return first..first + 1;
        }
        let count = 2 + self.random.below(ITERATIONS - 1);
        let fields = self.program.structures.get(&first).cloned();
        for _ in 1..count {
            let wire = self.wire_of(role, self.program.wires[first].1);
            let fields = fields.clone().map(|fields| (wire, fields));
            self.program.structures.extend(fields);
        }
        self.program.arrays.insert(first, count);
        first..first + count
    }

    /// A vector or a structure.
    fn wire(&mut self, role: Role) -> Wire {
        if self.random.chance(25) {
            let fields = self.fields(true);
            let width = fields.iter().map(Field::width).sum();
            if width <= WIDEST {
                let wire = self.wire_of(role, width);
                self.program.structures.insert(wire, fields);
                return wire;
            }
        }
        let width = self.width();
        self.wire_of(role, width)
    }

    fn wire_of(&mut self, role: Role, width: usize) -> Wire {
        self.program.wires.push((role, width));
        self.program.wires.len() - 1
    }

    fn fields(&mut self, nested: bool) -> Vec<Field> {
        let count = 2 + self.random.below(3);
        let field = |_| match nested && self.random.chance(15) {
            true => Field::Structure(self.fields(false)),
            false => Field::Bits(self.width()),
        };
        (0..count).map(field).collect()
    }

    /// Something to set a wire to: a structure is often put together from its fields.
    fn value_for(&mut self, wire: Wire) -> Expression {
        let width = self.program.wires[wire].1;
        match self.program.structures.get(&wire).cloned() {
            Some(fields) if self.random.chance(60) => {
                // `Name { field: value, ..rest }`: field 0 is least significant.
                let rest = self.expression(width, 1);
                let mut parts = Vec::new();
                let mut offset = 0;
                for field in &fields {
                    let width = field.width();
                    parts.push(match self.random.chance(40) {
                        true => Expression::Slice(width, offset, Box::new(rest.clone())),
                        false => self.expression(width, 2),
                    });
                    offset += width;
                }
                parts.reverse();
                Expression::Cat(parts)
            }
            _ => self.expression(width, 3),
        }
    }

    /// Statements of a scope of their own.
    fn statements(&mut self, count: usize, nesting: usize) -> Vec<Statement> {
        let (readable, writable) = (self.readable.len(), self.writable.len());
        let list = (0..count).map(|_| self.statement(nesting)).collect();
        self.readable.truncate(readable);
        self.writable.truncate(writable);
        list
    }

    fn statement(&mut self, nesting: usize) -> Statement {
        match self.random.below(11) {
            0 | 1 => {
                let role = self.random.pick(&[Role::Let, Role::Variable]);
                let wire = self.wire(role);
                let value = self.value_for(wire);
                self.readable.push(wire);
                if role == Role::Variable {
                    self.writable.push(wire);
                }
                Statement::Let(wire, value)
            }
            2 | 3 if nesting < NESTING => {
                let condition = self.expression(1, 2);
                let count = 1 + self.random.below(3);
                let then = self.statements(count, nesting + 1);
                let count = self.random.below(3);
                let otherwise = self.statements(count, nesting + 1);
                Statement::If(condition, then, otherwise)
            }
            4 if nesting < NESTING => {
                let width = self.width();
                let value = self.expression(width, 1);
                let count = 1 + self.random.below(3);
                let mut arms = Vec::new();
                for labels in self.labels(width, count) {
                    let count = self.random.below(3);
                    arms.push((labels, self.statements(count, nesting + 1)));
                }
                // Without an arm at all there must be one for the rest.
                let rest = (arms.is_empty() || self.random.chance(80)).then(|| {
                    let count = self.random.below(3);
                    self.statements(count, nesting + 1)
                });
                Statement::Match(value, arms, rest)
            }
            5 | 6 => self.set_bits(),
            7 if nesting < NESTING && self.loops.len() < LOOPS => self.repeat(nesting),
            _ => match self
                .element(|role| matches!(role, Role::Register | Role::Local | Role::Output))
            {
                Some((first, count)) if self.random.chance(60) => {
                    let value = self.value_for(first);
                    Statement::SetElement(first, count, value)
                }
                _ => {
                    let wire = self.random.pick(&self.writable);
                    let value = self.value_for(wire);
                    Statement::Set(wire, value)
                }
            },
        }
    }

    /// A loop.
    fn repeat(&mut self, nesting: usize) -> Statement {
        let times = 1 + self.random.below(ITERATIONS);
        let count = self.wire_of(Role::Count, COUNT_WIDTH);
        let outside = self.readable.len();
        self.readable.push(count);
        self.loops.push((count, times));
        let length = 1 + self.random.below(3);
        let body = self.statements(length, nesting + 1);
        self.loops.pop();
        self.readable.truncate(outside);
        Statement::For(count, times, body)
    }

    /// An array of such a role with an element for each iteration of a loop around.
    fn element(&mut self, fits: impl Fn(Role) -> bool) -> Option<(Wire, Wire)> {
        let mut all = Vec::new();
        for (first, length) in &self.program.arrays {
            let known = self.readable.contains(first) && fits(self.program.wires[*first].0);
            let loops = self.loops.iter().filter(|(_, times)| times <= length);
            all.extend(loops.filter(|_| known).map(|(count, _)| (*first, *count)));
        }
        (!all.is_empty()).then(|| self.random.pick(&all))
    }

    fn set_bits(&mut self) -> Statement {
        let wire = self.random.pick(&self.writable);
        let width = self.program.wires[wire].1;
        if let Some(fields) = self.program.structures.get(&wire)
            && self.random.chance(70)
        {
            // `wire.field = value`, `wire.field.set_bits(offset, value)`
            let (offset, width) = self.random.pick(&places(fields));
            let part = match self.random.chance(70) {
                true => width,
                false => 1 + self.random.below(width),
            };
            if let Some(index) = self.index_below(width - part + 1)
                && self.random.chance(60)
            {
                // `wire.field.set_bits(index, value)`
                return Statement::SetFieldBitsAt(wire, offset, index, self.expression(part, 2));
            }
            let within = self.random.below(width - part + 1);
            return Statement::SetBits(wire, offset + within, self.expression(part, 2));
        }
        let part = 1 + self.random.below(width);
        let value = self.expression(part, 2);
        match self.index_below(width - part + 1) {
            Some(index) if self.random.chance(60) => Statement::SetBitsAt(wire, index, value),
            _ => Statement::SetBits(wire, self.random.below(width - part + 1), value),
        }
    }

    /// Distinct labels for `count` arms, or fewer.
    fn labels(&mut self, width: usize, count: usize) -> Vec<Vec<Hex>> {
        let mut seen: Vec<BigUint> = Vec::new();
        let mut arms = Vec::new();
        for _ in 0..count {
            let mut labels = Vec::new();
            for _ in 0..1 + self.random.below(2) {
                let label = self.random.value(width);
                if !seen.contains(&label) {
                    seen.push(label.clone());
                    labels.push(Hex(label));
                }
            }
            if !labels.is_empty() {
                arms.push(labels);
            }
        }
        arms
    }

    /// An index that stays below `limit`, if there is room for one.
    fn index_below(&mut self, limit: usize) -> Option<Index> {
        if limit < 2 {
            return None;
        }
        if !self.loops.is_empty() && self.random.chance(50) {
            let (count, times) = self.random.pick(&self.loops);
            let largest = (times - 1).max(1);
            if largest < limit {
                let scale = 1 + self.random.below(((limit - 1) / largest).min(64));
                return Some(Index {
                    value: Box::new(Expression::Read(count)),
                    scale: scale as u64,
                    offset: self.random.below(limit - largest * scale) as u64,
                });
            }
        }
        let bits = limit.ilog2() as usize;
        if self.random.chance(40) {
            // Any limit: what is beyond becomes zero.
            let width = bits + 1;
            let value = self.expression(width, 1);
            let within = Expression::WithNumber(
                Operator::Lt,
                Box::new(value.clone()),
                (limit as u64).min((1 << width) - 1),
            );
            let zero = Expression::Constant(width, Hex::default());
            return Some(Index {
                value: Box::new(Expression::If(
                    Box::new(within),
                    Box::new(value),
                    Box::new(zero),
                )),
                scale: 1,
                offset: 0,
            });
        }
        let width = 1 + self.random.below(bits);
        let largest = (1usize << width) - 1;
        let scale = 1 + self.random.below(((limit - 1) / largest).min(16));
        let offset = self.random.below(limit - largest * scale);
        Some(Index {
            value: self.boxed(width, 1),
            scale: scale as u64,
            offset: if self.random.chance(50) {
                offset as u64
            } else {
                0
            },
        })
    }

    /// An index that may lie beyond the end.
    fn index(&mut self) -> Index {
        let width = 1 + self.random.below(12);
        Index {
            value: self.boxed(width, 1),
            scale: self.random.pick(&[1, 1, 3, 8, 32]),
            offset: self.random.pick(&[0, 0, 1, 7, 64]),
        }
    }

    fn boxed(&mut self, width: usize, depth: usize) -> Boxed {
        Box::new(self.expression(width, depth))
    }

    /// A number that fits into `width` bits; not an end of the range, which would make an
    /// order a constant and Verilator complain.
    fn number(&mut self, width: usize) -> u64 {
        let value = self.random.value(width.min(64));
        let ones = u64::MAX >> (64 - width.min(64));
        let value = u64::try_from(&value).unwrap_or(1);
        if width > 1 {
            value.clamp(1, ones - 1)
        } else {
            value
        }
    }

    fn expression(&mut self, width: usize, depth: usize) -> Expression {
        if depth == 0 {
            return self.leaf(width);
        }
        let depth = depth - 1;
        if width == 1 && self.random.chance(60) {
            return self.flag(depth);
        }
        match self.random.below(20) {
            0 => Expression::Not(self.boxed(width, depth)),
            1..=5 => {
                let operator = self.random.pick(&Operator::VECTOR);
                Expression::Binary(operator, self.boxed(width, depth), self.boxed(width, depth))
            }
            6 => {
                let operator = self.random.pick(&Operator::VECTOR);
                let number = self.number(width);
                let a = self.boxed(width, depth);
                if self.random.chance(70) {
                    Expression::WithNumber(operator, a, number)
                } else {
                    Expression::NumberWith(operator, number, a)
                }
            }
            7 => {
                let operator = self.random.pick(&[Operator::Add, Operator::Sub]);
                Expression::WithBit(operator, self.boxed(width, depth), self.boxed(1, depth))
            }
            8 => {
                let (a, b) = (self.width(), self.width());
                Expression::Multiply(width, self.boxed(a, depth), self.boxed(b, depth))
            }
            9 => {
                let count = self.random.below(width + 3) as u64;
                let shift = self.random.pick(&[Shift::Left, Shift::Right]);
                Expression::ShiftBy(shift, self.boxed(width, depth), count)
            }
            10 => {
                let shift = self.random.pick(&[Shift::Left, Shift::Right]);
                let count = match self.random.chance(70) {
                    true => 1 + self.random.below(12),
                    false => self.width(),
                };
                Expression::Shift(shift, self.boxed(width, depth), self.boxed(count, depth))
            }
            11 | 12 => self.part(width, depth),
            13 => {
                let index = self.index_below(width);
                let (a, bit) = (self.boxed(width, depth), self.boxed(1, depth));
                match index {
                    Some(index) => Expression::ReplaceBitAt(a, index, bit),
                    None => Expression::ReplaceBit(a, self.random.below(width), bit),
                }
            }
            14 => {
                let (at, a) = (self.random.below(width), self.boxed(width, depth));
                Expression::ReplaceBit(a, at, self.boxed(1, depth))
            }
            15 | 16 => {
                let from = self.width();
                Expression::Cast(width, self.boxed(from, depth))
            }
            17 if width > 1 => {
                let mut parts = Vec::new();
                let mut left = width;
                while left > 0 {
                    let part = match parts.len() {
                        3 => left,
                        _ => 1 + self.random.below(left),
                    };
                    parts.push(self.expression(part, depth));
                    left -= part;
                }
                Expression::Cat(parts)
            }
            18 => {
                let of = self.width();
                let value = self.boxed(of, depth);
                let count = 1 + self.random.below(3);
                let labels = self.labels(of, count);
                let arm = |labels| (labels, self.expression(width, depth));
                let arms = labels.into_iter().map(arm).collect();
                Expression::Match(value, arms, self.boxed(width, depth))
            }
            _ => Expression::If(
                self.boxed(1, depth),
                self.boxed(width, depth),
                self.boxed(width, depth),
            ),
        }
    }

    /// A slice of something, most often at least as wide.
    fn part(&mut self, width: usize, depth: usize) -> Expression {
        let mut from = self.width();
        if from < width {
            if self.random.chance(30) {
                // All beyond the end of the narrower value is zero.
                return Expression::SliceAt(width, self.index(), self.boxed(from, depth));
            }
            from = width + self.random.below(40);
        }
        let value = self.boxed(from, depth);
        if self.random.chance(50) {
            let offset = self.random.below(from - width + 1);
            return Expression::Slice(width, offset, value);
        }
        let index = match self.index_below(from - width + 1) {
            Some(index) if self.random.chance(50) => index,
            _ => self.index(),
        };
        Expression::SliceAt(width, index, value)
    }

    /// One bit that says something about wider values.
    fn flag(&mut self, depth: usize) -> Expression {
        let width = self.width();
        match self.random.below(8) {
            0 => {
                let all = [Reduction::Any, Reduction::All, Reduction::Xor];
                let value = match self.random.chance(20) {
                    true => Box::new(Expression::Not(self.boxed(width, depth))),
                    false => self.boxed(width, depth),
                };
                Expression::Reduce(self.random.pick(&all), value)
            }
            1 if width > 1 => {
                let operator = self.random.pick(&Operator::COMPARISON);
                let number = self.number(width);
                let a = self.boxed(width, depth);
                if self.random.chance(70) {
                    Expression::WithNumber(operator, a, number)
                } else {
                    Expression::NumberWith(operator, number, a)
                }
            }
            2 => {
                let operator = self.random.pick(&Operator::COMPARISON);
                let index = self.index();
                Expression::CompareIndex(operator, index, 1 + self.random.below(60) as u64)
            }
            3 => self.part(1, depth),
            _ => {
                let operator = self.random.pick(&Operator::COMPARISON);
                Expression::Binary(operator, self.boxed(width, depth), self.boxed(width, depth))
            }
        }
    }

    fn leaf(&mut self, width: usize) -> Expression {
        if self.readable.is_empty() || self.random.chance(8) {
            return Expression::Constant(width, Hex(self.random.value(width)));
        }
        if let Some((first, count)) = self.element(|_| true)
            && self.program.wires[first].1 == width
            && self.random.chance(50)
        {
            return Expression::Element(first, count);
        }
        let fields: Vec<(Wire, usize)> = self
            .readable
            .iter()
            .flat_map(|wire| {
                let fields = self.program.structures.get(wire);
                let places = fields.map_or(vec![], |fields| places(fields)).into_iter();
                let equal = places.filter(|(_, size)| *size == width);
                equal.map(|(offset, _)| (*wire, offset))
            })
            .collect();
        if !fields.is_empty() && self.random.chance(40) {
            let (wire, offset) = self.random.pick(&fields);
            return Expression::Slice(width, offset, Box::new(Expression::Read(wire)));
        }
        let fits = |wire: &&Wire| self.program.wires[**wire].1 == width;
        let equal: Vec<Wire> = self.readable.iter().filter(fits).copied().collect();
        if !equal.is_empty() {
            return Expression::Read(self.random.pick(&equal));
        }
        let wire = self.random.pick(&self.readable);
        let (read, from) = (Box::new(Expression::Read(wire)), self.program.wires[wire].1);
        if from > width && self.random.chance(50) {
            return Expression::Slice(width, self.random.below(from - width + 1), read);
        }
        Expression::Cast(width, read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_programs_have_every_form_of_the_language() {
        let programs: Vec<Program> = (0..100)
            .map(|number| program(&mut Random::new(5, number)))
            .collect();
        let text = serde_json::to_string(&programs).expect("programs are plain data");
        for form in [
            "Input",
            "Output",
            "Local",
            "Register",
            "Let",
            "Variable",
            "Count",
            "structures",
            "Structure",
            "arrays",
            "Set",
            "SetBits",
            "SetBitsAt",
            "SetFieldBitsAt",
            "SetElement",
            "For",
            "If",
            "Match",
            "Constant",
            "Read",
            "Element",
            "Not",
            "Reduce",
            "Binary",
            "WithNumber",
            "NumberWith",
            "WithBit",
            "CompareIndex",
            "Multiply",
            "ShiftBy",
            "Shift",
            "Slice",
            "SliceAt",
            "ReplaceBit",
            "ReplaceBitAt",
            "Cast",
            "Cat",
            "Any",
            "All",
            "Xor",
            "Add",
            "Sub",
            "And",
            "Or",
            "Eq",
            "Ne",
            "Lt",
            "Le",
            "Gt",
            "Ge",
        ] {
            assert!(
                text.contains(&format!("\"{form}\"")),
                "{form} never comes up"
            );
        }
        let widest = programs.iter().flat_map(|program| &program.wires);
        assert_eq!(widest.map(|(_, width)| *width).max(), Some(WIDEST));
    }
}
