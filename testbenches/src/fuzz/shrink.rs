//! From a program that goes wrong to a small one that goes wrong.
//!
//! Many candidates are tried in one model, so that a round costs one build: statements are
//! left out, branches take the place of their `if`, and expressions that of the one around
//! them, or zero.

use super::compare::{Case, Mismatch, try_all};
use super::program::{Expression, Hex, Index, Program, Reduction, Role, Statement, Wire};
use hallux_verilator::Toolchain;

/// Candidates of one round.
const CANDIDATES: usize = 48;
/// Rounds at most.
const ROUNDS: usize = 40;

/// The smallest program found that still differs from its meaning, with its mismatch.
pub fn shrink(toolchain: &Toolchain, case: &Case, mismatch: Mismatch) -> (Case, Mismatch) {
    let mut best = (case.clone(), mismatch);
    // What comes after the first mismatch is not needed to see it again.
    best.0.vectors = best.0.vectors.min(best.1.cycle + 1);
    for _ in 0..ROUNDS {
        let mut smaller = candidates(&best.0.program);
        smaller.sort_by_key(size);
        let mut found = None;
        for some in smaller.chunks(CANDIDATES) {
            let cases: Vec<Case> = some
                .iter()
                .map(|program| Case {
                    program: program.clone(),
                    ..best.0.clone()
                })
                .collect();
            let outcomes = try_all(toolchain, &cases);
            found = cases
                .into_iter()
                .zip(outcomes)
                .find_map(|(case, outcome)| Some((case, outcome.ok().flatten()?)));
            if found.is_some() {
                break;
            }
        }
        match found {
            Some(smaller) => best = smaller,
            None => break,
        }
    }
    best
}

/// Statements and expressions of a program.
fn size(program: &Program) -> usize {
    fn of(list: &[Statement]) -> usize {
        list.iter().map(one).sum()
    }
    fn one(statement: &Statement) -> usize {
        let inner = match statement {
            Statement::If(_, then, otherwise) => of(then) + of(otherwise),
            Statement::Match(_, arms, rest) => {
                arms.iter().map(|(_, body)| of(body)).sum::<usize>() + rest.as_deref().map_or(0, of)
            }
            Statement::For(_, times, body) => times + of(body),
            _ => 0,
        };
        let mut copy = statement.clone();
        let expressions = operands(&mut copy);
        2 + inner
            + expressions
                .into_iter()
                .map(|slot| nodes(slot.expression))
                .sum::<usize>()
    }
    of(&program.statements)
}

fn nodes(expression: &mut Expression) -> usize {
    let leaf = matches!(expression, Expression::Constant(_, Hex(value)) if value.bits() == 0);
    usize::from(!leaf)
        + children(expression)
            .into_iter()
            .map(|slot| nodes(slot.expression))
            .sum::<usize>()
}

/// A place of an expression. The value of an index keeps its place: it must not lead beyond the end.
struct Slot<'a> {
    expression: &'a mut Expression,
    index: bool,
}

fn free(expression: &mut Expression) -> Slot<'_> {
    Slot {
        expression,
        index: false,
    }
}

fn bound(index: &mut Index) -> Slot<'_> {
    Slot {
        expression: &mut index.value,
        index: true,
    }
}

/// The expressions of a statement itself, not of those inside it.
fn operands(statement: &mut Statement) -> Vec<Slot<'_>> {
    match statement {
        Statement::Let(_, value)
        | Statement::Set(_, value)
        | Statement::SetBits(_, _, value)
        | Statement::SetElement(_, _, value) => vec![free(value)],
        Statement::For(..) => vec![],
        Statement::SetBitsAt(_, index, value) | Statement::SetFieldBitsAt(_, _, index, value) => {
            vec![bound(index), free(value)]
        }
        Statement::If(condition, _, _) => vec![free(condition)],
        Statement::Match(value, _, _) => vec![free(value)],
    }
}

fn children(expression: &mut Expression) -> Vec<Slot<'_>> {
    match expression {
        Expression::Constant(..) | Expression::Read(_) | Expression::Element(..) => vec![],
        Expression::Not(a)
        | Expression::Reduce(_, a)
        | Expression::WithNumber(_, a, _)
        | Expression::NumberWith(_, _, a)
        | Expression::ShiftBy(_, a, _)
        | Expression::Slice(_, _, a)
        | Expression::Cast(_, a) => vec![free(a)],
        Expression::Binary(_, a, b)
        | Expression::WithBit(_, a, b)
        | Expression::Multiply(_, a, b)
        | Expression::Shift(_, a, b)
        | Expression::ReplaceBit(a, _, b) => vec![free(a), free(b)],
        Expression::CompareIndex(_, index, _) => vec![bound(index)],
        Expression::SliceAt(_, index, a) => vec![bound(index), free(a)],
        Expression::ReplaceBitAt(a, index, b) => vec![free(a), bound(index), free(b)],
        Expression::Cat(parts) => parts.iter_mut().map(free).collect(),
        Expression::If(condition, a, b) => vec![free(condition), free(a), free(b)],
        Expression::Match(value, arms, rest) => {
            let mut all = vec![free(value)];
            all.extend(arms.iter_mut().map(|(_, arm)| free(arm)));
            all.push(free(rest));
            all
        }
    }
}

/// Width of an expression in bits.
fn width(program: &Program, expression: &Expression) -> usize {
    match expression {
        Expression::Constant(width, _)
        | Expression::Multiply(width, ..)
        | Expression::Slice(width, ..)
        | Expression::SliceAt(width, ..)
        | Expression::Cast(width, _) => *width,
        Expression::Read(wire) | Expression::Element(wire, _) => program.wires[*wire].1,
        Expression::Reduce(Reduction::Any | Reduction::All | Reduction::Xor, _)
        | Expression::CompareIndex(..) => 1,
        Expression::Binary(operator, a, _)
        | Expression::WithNumber(operator, a, _)
        | Expression::NumberWith(operator, _, a)
        | Expression::WithBit(operator, a, _) => match operator.is_comparison() {
            true => 1,
            false => width(program, a),
        },
        Expression::Not(a)
        | Expression::ShiftBy(_, a, _)
        | Expression::Shift(_, a, _)
        | Expression::ReplaceBit(a, ..)
        | Expression::ReplaceBitAt(a, ..) => width(program, a),
        Expression::Cat(parts) => parts.iter().map(|part| width(program, part)).sum(),
        Expression::If(_, a, _) => width(program, a),
        Expression::Match(_, _, rest) => width(program, rest),
    }
}

/// All programs that are one step smaller.
fn candidates(program: &Program) -> Vec<Program> {
    let mut all = vec![];
    let mut number = 0;
    loop {
        let mut copy = program.clone();
        let mut left = number;
        match edit_list(program, &mut copy.statements, true, &mut left) {
            Edit::Done => all.push(copy),
            Edit::Refused => {}
            Edit::Beyond => break,
        }
        number += 1;
    }
    all.retain(|smaller| size(smaller) < size(program));
    all
}

/// What became of the edit that was asked for by number.
enum Edit {
    Done,
    /// It would make no program.
    Refused,
    /// There are fewer edits here; `left` is what remains to be counted.
    Beyond,
}

/// The number counts down to zero at the edit that is to be made.
fn here(left: &mut usize) -> bool {
    match *left {
        0 => true,
        _ => {
            *left -= 1;
            false
        }
    }
}

fn edit_list(
    program: &Program,
    list: &mut Vec<Statement>,
    outermost: bool,
    left: &mut usize,
) -> Edit {
    for place in 0..list.len() {
        if here(left) {
            if needed(program, list, place, outermost) {
                return Edit::Refused;
            }
            list.remove(place);
            return Edit::Done;
        }
        let branches = match &list[place] {
            Statement::If(_, then, otherwise) => vec![then.clone(), otherwise.clone()],
            Statement::Match(_, arms, rest) => {
                let arms = arms.iter().map(|(_, body)| body.clone());
                arms.chain(rest.clone()).collect()
            }
            Statement::For(count, times @ 2.., body) => {
                vec![vec![Statement::For(*count, times / 2, body.clone())]]
            }
            Statement::For(count, _, body) if !mentioned(body, *count) => vec![body.clone()],
            _ => vec![],
        };
        for branch in branches {
            if here(left) {
                list.splice(place..=place, branch);
                return Edit::Done;
            }
        }
        for slot in operands(&mut list[place]) {
            match edit_expression(program, slot, left) {
                Edit::Beyond => {}
                ended => return ended,
            }
        }
        let bodies: Vec<&mut Vec<Statement>> = match &mut list[place] {
            Statement::If(_, then, otherwise) => vec![then, otherwise],
            Statement::Match(_, arms, rest) => {
                arms.iter_mut().map(|(_, body)| body).chain(rest).collect()
            }
            Statement::For(_, _, body) => vec![body],
            _ => vec![],
        };
        for body in bodies {
            match edit_list(program, body, false, left) {
                Edit::Beyond => {}
                ended => return ended,
            }
        }
    }
    Edit::Beyond
}

/// A `let` that is read, or the first value of an output or local, has to stay.
fn needed(program: &Program, list: &[Statement], place: usize, outermost: bool) -> bool {
    match &list[place] {
        Statement::Let(wire, _) => mentions(&program.statements, *wire) > 1,
        Statement::Set(wire, _) => {
            let first = list[..place]
                .iter()
                .all(|earlier| !matches!(earlier, Statement::Set(other, _) if other == wire));
            let role = program.wires[*wire].0;
            outermost && first && matches!(role, Role::Output | Role::Local)
        }
        _ => false,
    }
}

/// Whether a wire stands in a list of statements.
fn mentioned(list: &[Statement], wire: Wire) -> bool {
    mentions(list, wire) > 0
}

/// How often a wire stands in a list of statements.
fn mentions(list: &[Statement], wire: Wire) -> usize {
    fn reads(expression: &mut Expression, wire: Wire) -> usize {
        let here = match expression {
            Expression::Read(read) => *read == wire,
            Expression::Element(first, count) => *first == wire || *count == wire,
            _ => false,
        };
        usize::from(here)
            + children(expression)
                .into_iter()
                .map(|slot| reads(slot.expression, wire))
                .sum::<usize>()
    }
    fn all(list: &mut [Statement], wire: Wire) -> usize {
        let mut count = 0;
        for statement in list {
            count += match statement {
                Statement::Let(target, _)
                | Statement::Set(target, _)
                | Statement::SetBits(target, ..)
                | Statement::SetBitsAt(target, ..)
                | Statement::SetFieldBitsAt(target, ..) => usize::from(*target == wire),
                Statement::SetElement(first, number, _) => {
                    usize::from(*first == wire || *number == wire)
                }
                _ => 0,
            };
            count += operands(statement)
                .into_iter()
                .map(|slot| reads(slot.expression, wire))
                .sum::<usize>();
            count += match statement {
                Statement::If(_, then, otherwise) => all(then, wire) + all(otherwise, wire),
                Statement::For(_, _, body) => all(body, wire),
                Statement::Match(_, arms, rest) => {
                    arms.iter_mut()
                        .map(|(_, body)| all(body, wire))
                        .sum::<usize>()
                        + rest.as_mut().map_or(0, |body| all(body, wire))
                }
                _ => 0,
            };
        }
        count
    }
    all(&mut list.to_vec(), wire)
}

fn edit_expression(program: &Program, slot: Slot<'_>, left: &mut usize) -> Edit {
    let Slot { expression, index } = slot;
    let wide = width(program, expression);
    if here(left) {
        *expression = Expression::Constant(wide, Hex::default());
        return Edit::Done;
    }
    if !index {
        let inner: Vec<Expression> = children(expression)
            .into_iter()
            .filter(|slot| width(program, slot.expression) == wide)
            .map(|slot| slot.expression.clone())
            .collect();
        for child in inner {
            if here(left) {
                *expression = child;
                return Edit::Done;
            }
        }
    }
    if index {
        // What guards an index against the end has to stay whole.
        return Edit::Beyond;
    }
    for slot in children(expression) {
        match edit_expression(program, slot, left) {
            Edit::Beyond => {}
            ended => return ended,
        }
    }
    Edit::Beyond
}

#[cfg(test)]
mod tests {
    use super::super::random_case;
    use super::*;

    #[test]
    fn candidates_are_smaller_programs_that_still_have_a_meaning() {
        for number in 0..20 {
            let program = random_case(3, number, 1).program;
            let some = candidates(&program);
            assert!(!some.is_empty());
            for smaller in some {
                assert!(size(&smaller) < size(&program));
                // Evaluation reads no value that was left out.
                let mut machine = super::super::evaluate::Machine::new(&smaller);
                machine.settle();
            }
        }
    }
}
