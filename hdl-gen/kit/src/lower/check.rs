//! Refusing what would not be the hardware its author meant.

use super::scope::{Class, Id, Scope};
use crate::error::EmitError;
use crate::ir::{Case, Kind, Node, Source, Statement, Target};
use num_bigint::BigUint;
use std::collections::BTreeSet;

/// Which bits of a signal have a value at a point of the program.
#[derive(Clone, Debug, PartialEq)]
enum Assigned {
    None,
    Bits(BigUint),
    All,
}

fn ones(width: usize) -> BigUint {
    (BigUint::from(1u8) << width) - 1u8
}

impl Assigned {
    fn add(&mut self, offset: usize, bits: usize, width: usize) {
        let new = ones(bits) << offset;
        let sum = match self {
            Self::All => return,
            Self::None => new,
            Self::Bits(old) => &*old | new,
        };
        *self = if sum == ones(width) {
            Self::All
        } else {
            Self::Bits(sum)
        };
    }

    fn both(a: &Self, b: &Self) -> Self {
        match (a, b) {
            (Self::All, other) | (other, Self::All) => other.clone(),
            (Self::Bits(a), Self::Bits(b)) if *a == *b => Self::Bits(a.clone()),
            (Self::Bits(a), Self::Bits(b)) => Self::Bits(a & b),
            _ => Self::None,
        }
    }

    fn covers(&self, offset: usize, bits: usize) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Bits(set) => {
                let wanted = ones(bits) << offset;
                set & &wanted == wanted
            }
        }
    }
}

/// Every clock pin inside the module must be a clock port of the module, the
/// same for all flip-flops.
pub(crate) fn clocks(block: &str, scope: &Scope, statements: &[Statement]) -> Vec<EmitError> {
    let mut errors = Vec::new();
    let mut of_registers: Option<Id> = None;
    let mut good = BTreeSet::new();
    let mut chosen = BTreeSet::new();
    for statement in statements {
        let Statement::Assign(Target { source, part: None }, value) = statement else {
            super::traverse::writes(std::slice::from_ref(statement), &mut |source| {
                chosen.extend(scope.find(source).filter(|id| scope.signals[*id].clock));
            });
            continue;
        };
        let (Some(id), Kind::Read(from)) = (scope.find(*source), &value.kind) else {
            continue;
        };
        let Some(from) = scope.find(*from) else {
            continue;
        };
        if !scope.signals[id].clock || scope.signals[from].class != Class::Input {
            continue;
        }
        good.insert(id);
        if scope.signals[id].class == Class::RegisterClock {
            let first = *of_registers.get_or_insert(from);
            if first != from {
                errors.push(EmitError::SeveralClocks {
                    block: block.to_string(),
                    first: scope.signals[first].name.clone(),
                    second: scope.signals[from].name.clone(),
                });
            }
        }
    }
    for (id, signal) in scope.signals.iter().enumerate() {
        let inner = matches!(signal.class, Class::RegisterClock | Class::InnerInput(_));
        if signal.clock && inner && (chosen.contains(&id) || !good.contains(&id)) {
            errors.push(EmitError::ClockNotFromPort {
                block: block.to_string(),
                signal: signal.name.clone(),
            });
        }
    }
    errors
}

/// All findings in the statements of one module.
pub(crate) fn check(block: &str, scope: &Scope, statements: &[Statement]) -> Vec<EmitError> {
    let mut check = Check {
        block,
        scope,
        errors: Vec::new(),
        reported: BTreeSet::new(),
        read: BTreeSet::new(),
        assigned: BTreeSet::new(),
        about: String::new(),
    };
    let mut state = vec![Assigned::None; scope.signals.len()];
    check.statements(statements, &mut state);
    check.completeness(&state);
    check.errors
}

struct Check<'a> {
    block: &'a str,
    scope: &'a Scope,
    errors: Vec<EmitError>,
    /// Signals that already have an error: one each is enough.
    reported: BTreeSet<Id>,
    read: BTreeSet<Id>,
    assigned: BTreeSet<Id>,
    /// What the current statement assigns, for messages.
    about: String,
}

impl Check<'_> {
    fn report(&mut self, id: Id, make: impl FnOnce(String, String) -> EmitError) {
        if self.reported.insert(id) {
            let signal = self.label(id);
            self.errors.push(make(self.block.to_string(), signal));
        }
    }

    /// The name an author knows the signal by.
    fn label(&self, id: Id) -> String {
        let signal = &self.scope.signals[id];
        match signal.class {
            Class::RegisterNext => format!("{}.d", signal.name),
            Class::RegisterClock => format!("{}.clk", signal.name),
            _ => signal.name.clone(),
        }
    }

    fn find(&mut self, source: Source) -> Option<Id> {
        let found = self.scope.find(source);
        if found.is_none() {
            let error = EmitError::UnknownSignal {
                block: self.block.to_string(),
            };
            if !self.errors.contains(&error) {
                self.errors.push(error);
            }
        }
        found
    }

    fn statements(&mut self, list: &[Statement], state: &mut [Assigned]) {
        for statement in list {
            self.statement(statement, state);
        }
    }

    fn statement(&mut self, statement: &Statement, state: &mut [Assigned]) {
        match statement {
            Statement::Let(number, value) => {
                if let Some(id) = self.find(Source::Variable(*number)) {
                    self.about.clone_from(&self.scope.signals[id].name);
                    self.expression(value, state);
                    self.width(id, self.scope.signals[id].width, value);
                    self.assigned.insert(id);
                    state[id] = Assigned::All;
                }
            }
            Statement::Assign(target, value) => self.assignment(target, value, state),
            Statement::If(condition, then, otherwise) => {
                self.about = "the condition of an if".to_string();
                self.expression(condition, state);
                let mut other = state.to_vec();
                self.statements(then, state);
                self.statements(otherwise, &mut other);
                meet(state, &other);
            }
            Statement::Case(case) => self.case(case, state),
        }
    }

    fn case(&mut self, case: &Case, state: &mut [Assigned]) {
        self.about = "the value of a match".to_string();
        self.expression(&case.scrutinee, state);
        let before = state.to_vec();
        let bodies = case.arms.iter().map(|(_, body)| body);
        let mut first = true;
        for body in bodies.chain(&case.default) {
            let mut branch = before.clone();
            self.statements(body, &mut branch);
            if first {
                state.clone_from_slice(&branch);
                first = false;
            } else {
                meet(state, &branch);
            }
        }
        for label in case.arms.iter().flat_map(|(labels, _)| labels) {
            self.about = "a pattern of a match".to_string();
            self.expression(label, state);
        }
    }

    fn assignment(&mut self, target: &Target, value: &Node, state: &mut [Assigned]) {
        let Some(id) = self.find(target.source) else {
            return;
        };
        self.about = self.label(id);
        self.expression(value, state);
        let signal = &self.scope.signals[id];
        if !signal.class.is_target() {
            self.report(id, |block, signal| EmitError::DrivesInput { block, signal });
            return;
        }
        self.assigned.insert(id);
        let width = signal.width;
        let Some(part) = &target.part else {
            self.width(id, width, value);
            state[id] = Assigned::All;
            return;
        };
        self.width(id, part.width, value);
        if part.offset + part.width > width {
            self.report(id, |block, signal| EmitError::SliceOutOfRange {
                block,
                signal,
                offset: part.offset,
                end: part.offset + part.width,
                width,
            });
            return;
        }
        match &part.dynamic {
            None => state[id].add(part.offset, part.width, width),
            Some(index) => {
                self.expression(index, state);
                if state[id] != Assigned::All {
                    self.latch(id);
                }
            }
        }
    }

    fn width(&mut self, id: Id, wanted: usize, value: &Node) {
        if value.width != wanted {
            let found = value.width;
            self.report(id, |block, signal| EmitError::WidthMismatch {
                block,
                signal,
                found,
                wanted,
            });
        }
    }

    fn latch(&mut self, id: Id) {
        let remedy = match self.scope.signals[id].class {
            Class::RegisterNext => "list the register in dff_setup!",
            _ => "assign a default before the conditions",
        };
        self.report(id, |block, signal| EmitError::Latch {
            block,
            signal,
            remedy,
        });
    }

    fn expression(&mut self, node: &Node, state: &[Assigned]) {
        match &node.kind {
            Kind::Read(source) => self.reading(*source, 0, node.width, state),
            Kind::Slice(base, offset) => {
                if offset + node.width > base.width {
                    let signal = match &base.kind {
                        Kind::Read(source) => self.scope.name(*source).to_string(),
                        _ => format!("a value in {}", self.about),
                    };
                    self.errors.push(EmitError::SliceOutOfRange {
                        block: self.block.to_string(),
                        signal,
                        offset: *offset,
                        end: offset + node.width,
                        width: base.width,
                    });
                }
                match &base.kind {
                    Kind::Read(source) => self.reading(*source, *offset, node.width, state),
                    _ => self.expression(base, state),
                }
            }
            Kind::Constant(value) => {
                if value.bits() as usize > node.width {
                    self.errors.push(EmitError::IntegerTooWide {
                        block: self.block.to_string(),
                        signal: self.about.clone(),
                        value: value.to_string(),
                        width: node.width,
                    });
                }
            }
            _ => node.children(&mut |child| self.expression(child, state)),
        }
    }

    fn reading(&mut self, source: Source, offset: usize, bits: usize, state: &[Assigned]) {
        let Some(id) = self.find(source) else {
            return;
        };
        self.read.insert(id);
        match self.scope.signals[id].class {
            Class::Input | Class::InnerOutput(_) | Class::Register => {}
            Class::InnerInput(_) | Class::RegisterNext | Class::RegisterClock => {
                self.report(id, |block, signal| EmitError::ReadsInnerInput {
                    block,
                    signal,
                });
            }
            Class::Output | Class::Local | Class::Variable => {
                if !state[id].covers(offset, bits) {
                    self.report(id, |block, signal| EmitError::ReadBeforeAssignment {
                        block,
                        signal,
                    });
                }
            }
        }
    }

    /// What must have a value at the end.
    fn completeness(&mut self, state: &[Assigned]) {
        for (id, assigned) in state.iter().enumerate() {
            let class = self.scope.signals[id].class;
            let needed = match class {
                Class::Output => true,
                Class::InnerInput(_) => !self.scope.signals[id].clock,
                Class::RegisterNext => true,
                Class::Local => self.read.contains(&id) || self.assigned.contains(&id),
                _ => false,
            };
            if !needed || *assigned == Assigned::All {
                continue;
            }
            if self.assigned.contains(&id) {
                self.latch(id);
            } else {
                self.report(id, |block, signal| EmitError::Undriven { block, signal });
            }
        }
    }
}

/// What is assigned on both of two paths.
fn meet(state: &mut [Assigned], other: &[Assigned]) {
    for (a, b) in state.iter_mut().zip(other) {
        if a != b {
            *a = Assigned::both(a, b);
        }
    }
}
