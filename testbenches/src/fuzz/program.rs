//! Programs in the HDL's own terms, with widths as numbers.

use num_bigint::BigUint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Number of a wire: its place in [`Program::wires`].
pub type Wire = usize;

/// A block: wires, and what happens in one clock cycle.
///
/// The block has a clock and a synchronous reset that clears its registers. Registers
/// hold their value unless they are set; outputs and locals are set before all else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// Role and width in bits of every wire, `let`s included.
    pub wires: Vec<(Role, usize)>,
    /// The fields of those wires that are structures, field 0 first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub structures: BTreeMap<Wire, Vec<Field>>,
    /// Arrays, by their first wire: the number of wires from there on that are elements,
    /// all of one role and width.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arrays: BTreeMap<Wire, usize>,
    /// What `update` does, in order.
    pub statements: Vec<Statement>,
}

/// A field of a structure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Field {
    /// A vector of so many bits.
    Bits(usize),
    /// A structure inside.
    Structure(Vec<Field>),
}

impl Field {
    /// Width in bits.
    pub fn width(&self) -> usize {
        match self {
            Self::Bits(width) => *width,
            Self::Structure(fields) => fields.iter().map(Self::width).sum(),
        }
    }
}

/// Offset and width of all fields, those of inner structures too.
pub fn places(fields: &[Field]) -> Vec<(usize, usize)> {
    let mut all = Vec::new();
    let mut offset = 0;
    for field in fields {
        all.push((offset, field.width()));
        if let Field::Structure(inner) = field {
            let inner = places(inner).into_iter();
            all.extend(inner.map(|(inside, width)| (offset + inside, width)));
        }
        offset += field.width();
    }
    all
}

/// What a wire is to its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// A port that is driven from outside.
    Input,
    /// A port that the block drives.
    Output,
    /// A signal inside.
    Local,
    /// A flip-flop: reading gives the present value, setting sets the next one.
    Register,
    /// `let`
    Let,
    /// `let mut`
    Variable,
    /// The number of an iteration: a constant while the block is described.
    Count,
}

impl Role {
    /// Start of the names of such wires.
    fn prefix(self) -> &'static str {
        match self {
            Role::Input => "in",
            Role::Output => "out",
            Role::Local => "local",
            Role::Register => "held",
            Role::Let => "value",
            Role::Variable => "var",
            Role::Count => "count",
        }
    }
}

impl Program {
    /// Name of a wire: its role and its number, or the array's and its place in there.
    pub fn name(&self, wire: Wire) -> String {
        let prefix = self.wires[wire].0.prefix();
        let array = self.arrays.range(..=wire).next_back();
        match array.filter(|(first, count)| wire < *first + *count) {
            Some((first, _)) => format!("{prefix}_{first}_{}", wire - first),
            None => format!("{prefix}_{wire}"),
        }
    }

    /// The wires of a role.
    pub fn of(&self, role: Role) -> impl Iterator<Item = Wire> + '_ {
        let all = self.wires.iter().enumerate();
        all.filter(move |(_, wire)| wire.0 == role)
            .map(|(number, _)| number)
    }
}

/// A number, written in hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hex(pub BigUint);

impl TryFrom<String> for Hex {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        BigUint::parse_bytes(text.as_bytes(), 16)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a hexadecimal number"))
    }
}

impl From<Hex> for String {
    fn from(Hex(value): Hex) -> Self {
        format!("{value:x}")
    }
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Statement {
    /// `let wire = value;`, `let mut wire = value;`
    Let(Wire, Expression),
    /// `wire = value;`
    Set(Wire, Expression),
    /// `wire.set_bits(offset, value);`
    SetBits(Wire, usize, Expression),
    /// `wire.set_bits(index, value);`, never beyond the end
    SetBitsAt(Wire, Index, Expression),
    /// `wire.field.set_bits(index, value);`, never beyond the end of the field, which begins
    /// at this bit of the wire
    SetFieldBitsAt(Wire, usize, Index, Expression),
    /// `array[count] = value;`
    SetElement(Wire, Wire, Expression),
    /// `for count in 0..TIMES { .. }`
    For(Wire, usize, Vec<Statement>),
    /// `if condition { .. } else { .. }`
    If(Expression, Vec<Statement>, Vec<Statement>),
    /// `match value { label | label => .., .. }`; without an arm for the rest, the last
    /// arm has it.
    Match(
        Expression,
        Vec<(Vec<Hex>, Vec<Statement>)>,
        Option<Vec<Statement>>,
    ),
}

/// `value.index() * scale + offset`, a number that never wraps. Where the value is the
/// number of an iteration, all of it is a constant: `count * scale + offset`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// What is counted.
    pub value: Box<Expression>,
    /// Multiplies it.
    pub scale: u64,
    /// Is added to the product.
    pub offset: u64,
}

/// A value. Conditions are one bit wide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Expression {
    /// `bits::<WIDTH>(value)`
    Constant(usize, Hex),
    /// `wire`, or `bits(count)`
    Read(Wire),
    /// `array[count]`
    Element(Wire, Wire),
    /// `!a`
    Not(Box<Expression>),
    /// `a.any()` and the like
    Reduce(Reduction, Box<Expression>),
    /// `a op b`, both of one width
    Binary(Operator, Box<Expression>, Box<Expression>),
    /// `a op 5`
    WithNumber(Operator, Box<Expression>, u64),
    /// `5 op a`
    NumberWith(Operator, u64, Box<Expression>),
    /// `a op b` of a vector and a bit; addition and subtraction only
    WithBit(Operator, Box<Expression>, Box<Expression>),
    /// `a.index() * 3 + 1 op 5`; comparisons only
    CompareIndex(Operator, Index, u64),
    /// `multiply::<_, _, WIDTH>(a, b)`
    Multiply(usize, Box<Expression>, Box<Expression>),
    /// `a << 5`, `a >> 5`
    ShiftBy(Shift, Box<Expression>, u64),
    /// `a << count`, `a >> count`
    Shift(Shift, Box<Expression>, Box<Expression>),
    /// `a.get_bits::<WIDTH>(offset)`
    Slice(usize, usize, Box<Expression>),
    /// `a.get_bits::<WIDTH>(index)`
    SliceAt(usize, Index, Box<Expression>),
    /// `a.replace_bit(position, bit)`
    ReplaceBit(Box<Expression>, usize, Box<Expression>),
    /// `a.replace_bit(index, bit)`, never beyond the end
    ReplaceBitAt(Box<Expression>, Index, Box<Expression>),
    /// `bit_cast::<WIDTH, _>(a)`
    Cast(usize, Box<Expression>),
    /// `cat(a, cat(b, ..))`
    Cat(Vec<Expression>),
    /// `if condition { a } else { b }`
    If(Box<Expression>, Box<Expression>, Box<Expression>),
    /// `match value { label | label => a, .., _ => b }`
    Match(
        Box<Expression>,
        Vec<(Vec<Hex>, Expression)>,
        Box<Expression>,
    ),
}

/// Direction of a shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shift {
    /// Towards the most significant bit.
    Left,
    /// Towards the least significant bit.
    Right,
}

/// Reductions to one bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Reduction {
    Any,
    All,
    Xor,
}

/// Operators with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Operator {
    Add,
    Sub,
    And,
    Or,
    Xor,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Operator {
    /// Operators that keep the width.
    pub const VECTOR: [Self; 5] = [Self::Add, Self::Sub, Self::And, Self::Or, Self::Xor];
    /// Operators that give one bit.
    pub const COMPARISON: [Self; 6] = [Self::Eq, Self::Ne, Self::Lt, Self::Le, Self::Gt, Self::Ge];

    /// The result is one bit.
    pub fn is_comparison(self) -> bool {
        Self::COMPARISON.contains(&self)
    }
}
