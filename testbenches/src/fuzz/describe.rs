//! Programs as blocks of the HDL.

use super::program::{
    Expression, Field, Hex, Index, Operator, Program, Reduction, Role, Shift, Statement,
};
use hallux_hdl::rt::{
    self, Elaborator, Lift, Select, Shape, Untyped, Value, Wire, WireBlock, WireKind, WireRegister,
};
use num_bigint::BigUint;
use std::rc::Rc;

/// Ports of every block.
const CONTROL: [(&str, WireKind); 2] = [("clk", WireKind::Clock), ("rst", WireKind::Input)];

/// A block with every program in an inner block of its own. Port `in_3` of program 7 is
/// port `p7_in_3`.
pub fn block(programs: &[Program]) -> WireBlock {
    let mut wires = control();
    let mut inner = Vec::new();
    for (number, program) in programs.iter().enumerate() {
        let block = one(program);
        for (name, wire) in block.wires.iter().skip(CONTROL.len()) {
            if !name.starts_with("local") {
                wires.push((format!("p{number}_{name}"), wire.clone()));
            }
        }
        inner.push((format!("p{number}"), block));
    }
    let record = |elaborator: &Elaborator, top: &WireBlock| {
        let mut outer = top.wires.iter().skip(CONTROL.len());
        for (_, block) in &top.inner {
            for (port, (_, wire)) in block.wires.iter().take(CONTROL.len()).enumerate() {
                elaborator.drive(wire, Untyped::read(&top.wires[port].1));
            }
            for (name, wire) in block.wires.iter().skip(CONTROL.len()) {
                if name.starts_with("local") {
                    continue;
                }
                let Some((_, port)) = outer.next() else {
                    return;
                };
                if name.starts_with("in") {
                    elaborator.drive(wire, Untyped::read(port));
                } else {
                    elaborator.drive(port, Untyped::read(wire));
                }
            }
        }
    };
    WireBlock {
        wires,
        registers: Vec::new(),
        inner,
        record: Box::new(record),
    }
}

fn control() -> Vec<(String, Wire)> {
    let wire = |(name, kind): (&str, WireKind)| (name.to_string(), Wire::new(kind, 1));
    CONTROL.map(wire).to_vec()
}

fn structure(fields: &[Field]) -> Shape {
    let field = |(number, field): (usize, &Field)| {
        let shape = match field {
            Field::Bits(width) => Shape::Bits(*width),
            Field::Structure(inner) => structure(inner),
        };
        (format!("f{number}"), shape)
    };
    Shape::Structure(fields.iter().enumerate().map(field).collect())
}

fn shape(program: &Program, wire: super::program::Wire) -> Shape {
    match program.structures.get(&wire) {
        Some(fields) => structure(fields),
        None => Shape::Bits(program.wires[wire].1),
    }
}

fn one(program: &Program) -> WireBlock {
    let mut wires = control();
    let mut registers = Vec::new();
    for (number, (role, _)) in program.wires.iter().enumerate() {
        let shape = || shape(program, number);
        let kind = match role {
            Role::Input => WireKind::Input,
            Role::Output => WireKind::Output,
            Role::Local => WireKind::Local,
            Role::Register => {
                registers.push((program.name(number), WireRegister::new(shape())));
                continue;
            }
            Role::Let | Role::Variable | Role::Count => continue,
        };
        wires.push((program.name(number), Wire::new(kind, shape())));
    }
    let program = Rc::new(program.clone());
    WireBlock {
        wires,
        registers,
        inner: Vec::new(),
        record: Box::new(move |elaborator, block| record(&program, elaborator, block)),
    }
}

/// What a wire of the program is in its block.
#[derive(Clone)]
enum Place<'a> {
    Wire(&'a Wire),
    Register(&'a WireRegister),
    /// A `let`, once it was declared.
    Value(Option<Untyped>),
    /// The number of the iteration that is being described.
    Count(usize),
}

/// A position.
enum At {
    Constant(usize),
    Computed(Value<rt::Index>),
}

/// A call with a position as its argument.
macro_rules! at {
    ($index:expr, |$at:ident| $call:expr) => {
        match $index {
            At::Constant($at) => $call,
            At::Computed($at) => $call,
        }
    };
}

struct Recorder<'a> {
    program: &'a Program,
    elaborator: &'a Elaborator,
    places: Vec<Place<'a>>,
}

fn record(program: &Program, elaborator: &Elaborator, block: &WireBlock) {
    let mut wires = block.wires.iter().skip(CONTROL.len());
    let mut registers = block.registers.iter();
    let places = program
        .wires
        .iter()
        .map(|(role, _)| match role {
            Role::Let | Role::Variable | Role::Count => None,
            Role::Register => registers.next().map(|(_, place)| Place::Register(place)),
            _ => wires.next().map(|(_, place)| Place::Wire(place)),
        })
        .map(|place| place.unwrap_or(Place::Value(None)))
        .collect();
    let mut recorder = Recorder {
        program,
        elaborator,
        places,
    };
    for (_, register) in &block.registers {
        elaborator.wire_register(&block.wires[0].1, register);
    }
    recorder.statements(&program.statements);
    if block.registers.is_empty() {
        return;
    }
    elaborator.begin_if(Untyped::read(&block.wires[1].1).condition());
    for (wire, (_, register)) in program.of(Role::Register).zip(&block.registers) {
        let zero = Untyped::constant(&BigUint::ZERO, program.wires[wire].1);
        elaborator.drive(register.d(), zero);
    }
    elaborator.end_if();
}

impl Recorder<'_> {
    fn statements(&mut self, list: &[Statement]) {
        for statement in list {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Statement) {
        let elaborator = self.elaborator;
        match statement {
            Statement::Let(wire, value) => {
                let (value, name) = (self.value(value), self.program.name(*wire));
                let shape = shape(self.program, *wire);
                let value = match self.program.wires[*wire].0 {
                    Role::Variable => elaborator.untyped_variable(&name, value, &shape),
                    _ => elaborator.untyped_let(&name, value, &shape),
                };
                self.places[*wire] = Place::Value(Some(value));
            }
            Statement::Set(wire, value) => {
                let value = self.value(value);
                self.set(*wire, value);
            }
            Statement::SetElement(first, count, value) => {
                let value = self.value(value);
                self.set(first + self.count(*count), value);
            }
            Statement::For(count, times, body) => {
                for number in 0..*times {
                    let _iteration = elaborator.iteration(number);
                    self.places[*count] = Place::Count(number);
                    self.statements(body);
                }
            }
            Statement::SetBits(wire, offset, value) => {
                let value = self.value(value);
                self.set_bits(*wire, 0, *offset, value);
            }
            Statement::SetBitsAt(wire, index, value) => {
                let (index, value) = (self.index(index), self.value(value));
                at!(index, |at| self.set_bits(*wire, 0, at, value));
            }
            Statement::SetFieldBitsAt(wire, field, index, value) => {
                let (index, value) = (self.index(index), self.value(value));
                at!(index, |at| self.set_bits(*wire, *field, at, value));
            }
            Statement::If(condition, then, otherwise) => {
                elaborator.begin_if(self.value(condition).condition());
                self.statements(then);
                if !otherwise.is_empty() {
                    elaborator.begin_else();
                    self.statements(otherwise);
                }
                elaborator.end_if();
            }
            Statement::Match(value, arms, rest) => {
                let value = self.value(value);
                let width = value.width();
                let selector = elaborator.begin_match(value);
                for (labels, body) in arms {
                    let labels = labels.iter().map(|Hex(label)| match u64::try_from(label) {
                        Ok(label) => selector.label(rt::number(label)),
                        Err(_) => selector.label(Untyped::constant(label, width)),
                    });
                    elaborator.begin_arm(labels.collect());
                    self.statements(body);
                    elaborator.end_arm();
                }
                if let Some(body) = rest {
                    elaborator.begin_default();
                    self.statements(body);
                    elaborator.end_arm();
                }
                elaborator.end_match();
            }
        }
    }

    fn set(&self, wire: super::program::Wire, value: Untyped) {
        let elaborator = self.elaborator;
        match &self.places[wire] {
            Place::Wire(wire) => elaborator.drive(wire, value),
            Place::Register(register) => elaborator.drive(register.d(), value),
            Place::Value(Some(variable)) => elaborator.set_untyped(variable, value),
            Place::Value(None) | Place::Count(_) => {}
        }
    }

    /// Sets bits from `offset` of the field that begins at bit `field`.
    fn set_bits(
        &self,
        wire: super::program::Wire,
        field: usize,
        offset: impl rt::IntoIndex,
        value: Untyped,
    ) {
        let elaborator = self.elaborator;
        match &self.places[wire] {
            Place::Wire(wire) => elaborator.drive_bits(wire, field, offset, value),
            Place::Register(register) => elaborator.drive_bits(register.d(), field, offset, value),
            Place::Value(Some(variable)) => {
                elaborator.set_untyped_bits(variable, field, offset, value);
            }
            Place::Value(None) | Place::Count(_) => {}
        }
    }

    /// The iteration that is being described.
    fn count(&self, wire: super::program::Wire) -> usize {
        match self.places[wire] {
            Place::Count(number) => number,
            _ => panic!("{} is read outside its loop", self.program.name(wire)),
        }
    }

    fn index(&self, index: &Index) -> At {
        if let Expression::Read(wire) = *index.value
            && let Place::Count(number) = self.places[wire]
        {
            return At::Constant(number * index.scale as usize + index.offset as usize);
        }
        At::Computed(self.computed(index))
    }

    fn computed(&self, index: &Index) -> Value<rt::Index> {
        let mut value = self.value(&index.value).index();
        if index.scale != 1 {
            value = rt::mul(value, index.scale);
        }
        if index.offset != 0 {
            value = rt::add(value, index.offset);
        }
        value
    }

    fn read(&self, wire: super::program::Wire) -> Untyped {
        match &self.places[wire] {
            Place::Wire(wire) => Untyped::read(wire),
            Place::Register(register) => Untyped::read(register.q()),
            Place::Value(Some(value)) => value.clone(),
            Place::Value(None) => panic!("{} is read first", self.program.name(wire)),
            Place::Count(number) => {
                Untyped::constant(&BigUint::from(*number), self.program.wires[wire].1)
            }
        }
    }

    fn value(&self, expression: &Expression) -> Untyped {
        match expression {
            Expression::Constant(width, Hex(value)) => Untyped::constant(value, *width),
            Expression::Read(wire) => self.read(*wire),
            Expression::Element(first, count) => self.read(first + self.count(*count)),
            Expression::Not(a) => rt::not(self.value(a)).into(),
            Expression::Reduce(reduction, a) => {
                let a = self.value(a).lift();
                match reduction {
                    Reduction::Any => a.any(),
                    Reduction::All => a.all(),
                    Reduction::Xor => a.xor(),
                }
                .into()
            }
            Expression::Binary(operator, a, b) => binary(*operator, self.value(a), self.value(b)),
            Expression::WithNumber(operator, a, number) => {
                binary_number(*operator, self.value(a), *number)
            }
            Expression::NumberWith(operator, number, a) => {
                number_binary(*operator, *number, self.value(a))
            }
            Expression::WithBit(operator, a, bit) => {
                let (a, bit) = (self.value(a), self.value(bit).condition());
                match operator {
                    Operator::Sub => rt::sub(a, bit).into(),
                    _ => rt::add(a, bit).into(),
                }
            }
            Expression::CompareIndex(operator, index, number) => {
                compare_index(*operator, self.computed(index), *number)
            }
            Expression::Multiply(width, a, b) => self.value(a).multiply(&self.value(b), *width),
            Expression::ShiftBy(Shift::Left, a, count) => rt::shl(self.value(a), *count).into(),
            Expression::ShiftBy(Shift::Right, a, count) => rt::shr(self.value(a), *count).into(),
            Expression::Shift(Shift::Left, a, b) => rt::shl(self.value(a), self.value(b)).into(),
            Expression::Shift(Shift::Right, a, b) => rt::shr(self.value(a), self.value(b)).into(),
            Expression::Slice(width, offset, a) => self.value(a).get_bits(*offset, *width),
            Expression::SliceAt(width, index, a) => {
                at!(self.index(index), |at| self.value(a).get_bits(at, *width))
            }
            Expression::ReplaceBit(a, at, bit) => {
                let bit = self.value(bit).condition();
                self.value(a).lift().replace_bit(*at, bit).into()
            }
            Expression::ReplaceBitAt(a, index, bit) => {
                let bit = self.value(bit).condition();
                let a = self.value(a).lift();
                at!(self.index(index), |at| a.replace_bit(at, bit)).into()
            }
            Expression::Cast(width, a) => self.value(a).resize(*width),
            Expression::Cat(parts) => {
                Untyped::cat(parts.iter().map(|part| self.value(part)).collect())
            }
            Expression::If(condition, a, b) => {
                let condition = self.value(condition).condition();
                rt::mux(self.elaborator, condition, self.value(a), self.value(b))
            }
            Expression::Match(value, arms, rest) => {
                let value = self.value(value);
                let width = value.width();
                let mut select = Select::new(self.elaborator, value);
                for (labels, arm) in arms {
                    let labels = labels.iter().map(|Hex(label)| match u64::try_from(label) {
                        Ok(label) => select.label(rt::number(label)),
                        Err(_) => select.label(Untyped::constant(label, width)),
                    });
                    let labels = labels.collect();
                    select.arm(labels, self.value(arm));
                }
                select.otherwise(self.value(rest));
                select.finish()
            }
        }
    }
}

/// A function that applies any operator to two operands of the given types.
macro_rules! operators {
    ($($name:ident ($a:ty, $b:ty);)*) => {$(
        fn $name(operator: Operator, a: $a, b: $b) -> Untyped {
            match operator {
                Operator::Add => rt::add(a, b).into(),
                Operator::Sub => rt::sub(a, b).into(),
                Operator::And => rt::and(a, b).into(),
                Operator::Or => rt::or(a, b).into(),
                Operator::Xor => rt::xor(a, b).into(),
                Operator::Eq => rt::eq(a, b).into(),
                Operator::Ne => rt::ne(a, b).into(),
                Operator::Lt => rt::lt(a, b).into(),
                Operator::Le => rt::le(a, b).into(),
                Operator::Gt => rt::gt(a, b).into(),
                Operator::Ge => rt::ge(a, b).into(),
            }
        }
    )*};
}
operators! {
    binary(Untyped, Untyped);
    binary_number(Untyped, u64);
    number_binary(u64, Untyped);
}

fn compare_index(operator: Operator, index: Value<rt::Index>, number: u64) -> Untyped {
    match operator {
        Operator::Ne => rt::ne(index, number),
        Operator::Lt => rt::lt(index, number),
        Operator::Le => rt::le(index, number),
        Operator::Gt => rt::gt(index, number),
        Operator::Ge => rt::ge(index, number),
        _ => rt::eq(index, number),
    }
    .into()
}
