//! Expressions and statements as SystemVerilog text.
//!
//! Every literal is sized, every operand has the width of its context, and
//! parentheses are written wherever two different operators meet, so that
//! nothing depends on Verilog's width and precedence rules.

use super::fields::Fields;
use super::scope::Scope;
use crate::ir::{
    Case, Kind, Node, Operator, Part, Reduction, Source, Statement, Target, significant_bits,
};
use num_bigint::BigUint;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Columns after which long expressions are broken.
const LINE: usize = 100;

/// `[31:0] `, or nothing for a single bit.
pub(crate) fn range(width: usize) -> String {
    if width == 1 {
        String::new()
    } else {
        format!("[{}:0] ", width - 1)
    }
}

/// A sized literal: decimal where people count, hexadecimal where they compare bits.
pub(crate) fn literal(value: &BigUint, width: usize) -> String {
    if width == 1 {
        format!("1'b{value}")
    } else if *value < BigUint::from(1000u32) {
        format!("{width}'d{value}")
    } else {
        format!("{width}'h{value:x}")
    }
}

/// A literal whose bits matter.
fn mask(value: &BigUint, width: usize) -> String {
    match width {
        1 => format!("1'b{value}"),
        _ => format!("{width}'h{value:x}"),
    }
}

/// `TcpState`, `SynSent` as `TCP_STATE_SYN_SENT`.
fn constant_name(parts: &[&str]) -> String {
    let words: Vec<String> = parts.iter().map(|part| snake(part)).collect();
    words.join("_").to_uppercase()
}

/// `RxParser` as `rx_parser`.
pub(crate) fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let after_small = at > 0 && !letters[at - 1].is_uppercase() && letters[at - 1] != '_';
        let before_small = at > 0
            && letters[at - 1].is_uppercase()
            && letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (after_small || before_small) {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

/// Whether the operands of an expression take part in a wider context.
fn widens(node: &Node) -> bool {
    match &node.kind {
        Kind::Binary(op, ..) => !op.is_comparison(),
        Kind::Not(_) | Kind::Mux(..) => true,
        _ => false,
    }
}

/// The bit and its value, where 32 bits are a single bit among zeros.
///
/// It is written `bit ? 32'd1 : 32'd0`: Verilator makes an `int` of C++ of a comparison in
/// 32 bits, and what consists of such alone, `~{31'd0, a == b}`, can be negative. Its sign
/// then gets into the upper bits of a shift to the right, or beyond the end of a wide vector.
/// A literal makes it unsigned. What stands beside it does not: Verilator may find that to be
/// a constant, as in `x * 32'd0 - {31'd0, a == b}`.
fn single_bit(node: &Node) -> Option<(&Rc<Node>, BigUint)> {
    let Kind::Concat(parts) = &node.kind else {
        return None;
    };
    let mut found = None;
    let mut offset = node.width;
    for part in parts {
        offset -= part.width;
        match part.known() {
            Some(value) if value == BigUint::ZERO => {}
            None if part.width == 1 && found.is_none() => {
                found = Some((part, BigUint::from(1u8) << offset));
            }
            _ => return None,
        }
    }
    found.filter(|_| node.width == 32)
}

/// Writes text and remembers what it used.
pub(crate) struct Printer<'a> {
    pub scope: &'a Scope,
    pub fields: Fields,
    /// Signals that the group being written is still changing.
    pub changing: BTreeSet<Source>,
    /// States that were named: (name, width, code).
    pub states: BTreeMap<String, (usize, BigUint)>,
}

impl Printer<'_> {
    /// An expression without outer parentheses.
    pub fn expression(&mut self, node: &Node) -> String {
        if let Some((bit, value)) = single_bit(node) {
            return format!("{} ? {} : 32'd0", self.operand(bit), literal(&value, 32));
        }
        match &node.kind {
            Kind::Constant(value) => literal(value, node.width),
            Kind::Number(value) => value.to_string(),
            Kind::Variant(enumeration, variant, value) => {
                let name = constant_name(&[enumeration, variant]);
                self.states
                    .insert(name.clone(), (node.width, value.clone()));
                name
            }
            Kind::Read(source) => {
                self.fields.note(self.scope, *source, 0, node.width);
                self.scope.name(*source).to_string()
            }
            Kind::Slice(base, offset) => self.slice(base, *offset, node.width),
            Kind::DynamicSlice(base, index) => self.dynamic_slice(base, index, node.width),
            Kind::Not(inner) => {
                let sign = if node.width == 1 { "!" } else { "~" };
                format!("{sign}{}", self.operand(inner))
            }
            Kind::Reduce(reduction, inner) => {
                let sign = match reduction {
                    Reduction::Any => "|",
                    Reduction::All => "&",
                    Reduction::Xor => "^",
                };
                let inner = match inner.kind {
                    // `^~x` would be one operator, the reduction by XNOR.
                    Kind::Not(..) => format!("({})", self.expression(inner)),
                    _ => self.operand(inner),
                };
                format!("{sign}{inner}")
            }
            Kind::Binary(op, a, b) => self.binary(*op, a, b),
            Kind::Mux(condition, then, otherwise) => {
                let condition = self.operand(condition);
                let then = self.operand(then);
                let rest = match otherwise.kind {
                    Kind::Mux(..) => self.expression(otherwise),
                    _ => self.operand(otherwise),
                };
                format!("{condition} ? {then} : {rest}")
            }
            Kind::Concat(parts) => self.concat(parts),
        }
    }

    fn concat(&mut self, parts: &[Rc<Node>]) -> String {
        let parts: Vec<String> = parts.iter().map(|part| self.expression(part)).collect();
        format!("{{{}}}", parts.join(", "))
    }

    /// An expression that can stand next to any operator.
    fn operand(&mut self, node: &Node) -> String {
        let text = self.expression(node);
        match node.kind {
            Kind::Binary(..) | Kind::Mux(..) | Kind::Reduce(..) => format!("({text})"),
            _ if single_bit(node).is_some() => format!("({text})"),
            _ => text,
        }
    }

    fn binary(&mut self, op: Operator, a: &Node, b: &Node) -> String {
        use Operator::*;
        let sign = match op {
            Add => "+",
            Sub => "-",
            Mul => "*",
            And => "&",
            Or => "|",
            Xor => "^",
            Shl => "<<",
            Shr => ">>",
            Eq => "==",
            Ne => "!=",
            Lt => "<",
            Le => "<=",
            Gt => ">",
            Ge => ">=",
        };
        // a & b & c and a + b + c read better without inner parentheses.
        let chains = |node: &Node| {
            matches!(&node.kind, Kind::Binary(inner, ..) if *inner == op)
                && matches!(op, Add | And | Or | Xor)
        };
        let bitwise = matches!(op, And | Or | Xor);
        let left = match &a.kind {
            Kind::Constant(value) if bitwise => mask(value, a.width),
            _ if chains(a) => self.expression(a),
            _ => self.operand(a),
        };
        let right = match &b.kind {
            Kind::Constant(value) if bitwise => mask(value, b.width),
            _ => self.operand(b),
        };
        format!("{left} {sign} {right}")
    }

    fn slice(&mut self, base: &Node, offset: usize, width: usize) -> String {
        let Kind::Read(source) = base.kind else {
            // The plan names every base; constants were folded.
            return format!("{width}'({} >> {offset})", self.expression(base));
        };
        if !self.changing.contains(&source)
            && let Some(name) = self.fields.wire(self.scope, source, offset, width)
        {
            return name;
        }
        self.fields.note(self.scope, source, offset, width);
        self.part(source, offset, width)
    }

    /// `name[47:16] /* seq */`
    fn part(&self, source: Source, offset: usize, width: usize) -> String {
        let name = self.scope.name(source);
        let comment = self
            .fields
            .describe(self.scope, source, offset, width)
            .map(|field| format!(" /* {field} */"))
            .unwrap_or_default();
        if width == 1 && self.scope.signal(source).is_some_and(|s| s.width == 1) {
            name.to_string()
        } else if width == 1 {
            format!("{name}[{offset}]{comment}")
        } else {
            format!("{name}[{}:{offset}]{comment}", offset + width - 1)
        }
    }

    /// Bits from a computed position on. Beyond the end there are zeros, which a
    /// part-select would not give; it is used where the end cannot be reached.
    fn dynamic_slice(&mut self, base: &Node, index: &Node, width: usize) -> String {
        let reach = index.maximum() + BigUint::from(width);
        if let Kind::Read(source) = base.kind
            && base.width > 1
            && reach <= BigUint::from(base.width)
        {
            self.fields.note(self.scope, source, 0, base.width);
            let index = self.position(index, 0, base.width);
            let name = self.scope.name(source);
            return if width == 1 {
                format!("{name}[{index}]")
            } else {
                format!("{name}[{index} +: {width}]")
            };
        }
        let base = match base.width < width {
            true => self.operand(&Node::resize(&Rc::new(base.clone()), width)),
            false => self.operand(base),
        };
        let index = self.operand(index);
        format!("{width}'({base} >> {index})")
    }

    pub fn target(&mut self, target: &Target) -> String {
        match &target.part {
            None => self.scope.name(target.source).to_string(),
            Some(Part {
                offset,
                dynamic: None,
                width,
            }) => self.part(target.source, *offset, *width),
            Some(Part {
                offset,
                dynamic: Some(index),
                width,
            }) => {
                let name = self.scope.name(target.source).to_string();
                let size = self.scope.signal(target.source).map_or(1, |s| s.width);
                if size == *width {
                    return name;
                }
                let at = self.position(index, *offset, size);
                if *width == 1 {
                    format!("{name}[{at}]")
                } else {
                    format!("{name}[{at} +: {width}]")
                }
            }
        }
    }

    /// `offset + index` with exactly the bits that a vector of `size` wants.
    fn position(&mut self, index: &Node, offset: usize, size: usize) -> String {
        let width = significant_bits(&BigUint::from(size - 1));
        let text = if index.width == width && offset == 0 {
            return self.expression(index);
        } else if index.width == width {
            self.operand(index)
        } else if index.width < width && widens(index) {
            // A cast would pass its width on to the operands and let a carry through.
            self.expression(&Node::resize(&Rc::new(index.clone()), width))
        } else {
            format!("{width}'({})", self.expression(index))
        };
        match offset {
            0 => text,
            _ => format!("{text} + {}", literal(&BigUint::from(offset), width)),
        }
    }

    /// `left sign right;`, broken into lines if it is long.
    pub fn set(&mut self, indent: usize, left: &str, sign: &str, value: &Node) -> String {
        let margin = "    ".repeat(indent);
        let text = self.expression(value);
        if margin.len() + left.len() + sign.len() + text.len() + 3 <= LINE {
            return format!("{margin}{left} {sign} {text};\n");
        }
        let inner = "    ".repeat(indent + 1);
        let mut lines = Vec::new();
        match &value.kind {
            Kind::Concat(parts) if single_bit(value).is_none() => {
                let count = parts.len();
                for (position, part) in parts.iter().enumerate() {
                    let comma = if position + 1 < count { "," } else { "" };
                    lines.push(format!("{inner}{}{comma}\n", self.expression(part)));
                }
                return format!("{margin}{left} {sign} {{\n{}{margin}}};\n", lines.concat());
            }
            Kind::Mux(..) => {
                let mut at = value;
                while let Kind::Mux(condition, then, otherwise) = &at.kind {
                    let (condition, then) = (self.operand(condition), self.operand(then));
                    lines.push(format!("{inner}{condition} ? {then} :\n"));
                    at = otherwise;
                }
                lines.push(format!("{inner}{};\n", self.operand(at)));
            }
            Kind::Binary(op, ..) => {
                let joint = match op {
                    Operator::Add => "+",
                    Operator::And => "&",
                    Operator::Or => "|",
                    Operator::Xor => "^",
                    _ => return format!("{margin}{left} {sign}\n{inner}{text};\n"),
                };
                let mut terms = Vec::new();
                self.terms(*op, value, &mut terms);
                let body = terms.join(&format!("\n{inner}{joint} "));
                return format!("{margin}{left} {sign}\n{inner}{body};\n");
            }
            _ => return format!("{margin}{left} {sign}\n{inner}{text};\n"),
        }
        format!("{margin}{left} {sign}\n{}", lines.concat())
    }

    /// The operands of a chain of one associative operator.
    fn terms(&mut self, op: Operator, node: &Node, out: &mut Vec<String>) {
        if let Kind::Binary(inner, a, b) = &node.kind
            && *inner == op
        {
            match &a.kind {
                Kind::Binary(left, ..) if *left == op => self.terms(op, a, out),
                _ => out.push(self.operand(a)),
            }
            let right = self.operand(b);
            out.push(right);
        }
    }

    /// Statements; `sign` is `=` or `<=`.
    pub fn statements(&mut self, list: &[Statement], indent: usize, sign: &str) -> String {
        let mut out = String::new();
        for statement in list {
            match statement {
                Statement::Let(number, value) => {
                    let name = self.scope.name(Source::Variable(*number)).to_string();
                    out += &self.set(indent, &name, sign, value);
                }
                Statement::Assign(target, value) => {
                    let left = self.target(target);
                    out += &self.set(indent, &left, sign, value);
                }
                Statement::If(condition, then, otherwise) => {
                    out += &self.choice(condition, then, otherwise, indent, sign, "");
                }
                Statement::Case(case) => out += &self.case(case, indent, sign),
            }
        }
        out
    }

    fn choice(
        &mut self,
        condition: &Rc<Node>,
        then: &[Statement],
        otherwise: &[Statement],
        indent: usize,
        sign: &str,
        lead: &str,
    ) -> String {
        let margin = "    ".repeat(indent);
        if then.is_empty() {
            let inverse = match &condition.kind {
                Kind::Not(inner) => inner.clone(),
                _ => Node::new(Kind::Not(condition.clone()), 1),
            };
            return self.choice(&inverse, otherwise, &[], indent, sign, lead);
        }
        let test = self.expression(condition);
        let mut out = format!("{margin}{lead}if ({test}) begin\n");
        out += &self.statements(then, indent + 1, sign);
        match otherwise {
            [] => out += &format!("{margin}end\n"),
            [Statement::If(condition, then, otherwise)] if !then.is_empty() => {
                let lead = "end else ";
                out += &self.choice(condition, then, otherwise, indent, sign, lead);
            }
            _ => {
                out += &format!("{margin}end else begin\n");
                out += &self.statements(otherwise, indent + 1, sign);
                out += &format!("{margin}end\n");
            }
        }
        out
    }

    fn case(&mut self, case: &Case, indent: usize, sign: &str) -> String {
        let margin = "    ".repeat(indent);
        let inner = "    ".repeat(indent + 1);
        let test = self.expression(&case.scrutinee);
        let mut out = format!("{margin}case ({test})\n");
        let count = case.arms.len();
        for (position, (labels, body)) in case.arms.iter().enumerate() {
            let labels: Vec<String> = labels.iter().map(|l| self.expression(l)).collect();
            let labels = labels.join(", ");
            // Rust guarantees that the arms are complete; codes without a state
            // follow the last one, so that no latch can arise.
            let last = case.default.is_none() && position + 1 == count;
            let head = if last {
                format!("{inner}default:")
            } else {
                format!("{inner}{labels}:")
            };
            let comment = if last {
                format!(" // {labels}")
            } else {
                String::new()
            };
            out += &self.arm(&head, &comment, body, indent + 1, sign);
        }
        if let Some(body) = &case.default {
            out += &self.arm(&format!("{inner}default:"), "", body, indent + 1, sign);
        }
        out += &format!("{margin}endcase\n");
        out
    }

    fn arm(
        &mut self,
        head: &str,
        comment: &str,
        body: &[Statement],
        indent: usize,
        sign: &str,
    ) -> String {
        if body.is_empty() {
            return format!("{head} ;{comment}\n");
        }
        let margin = "    ".repeat(indent);
        let body = self.statements(body, indent + 1, sign);
        format!("{head} begin{comment}\n{body}{margin}end\n")
    }
}
