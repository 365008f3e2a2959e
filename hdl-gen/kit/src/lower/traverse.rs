//! Visiting and rebuilding lists of statements.

use crate::ir::{Case, Kind, Node, Part, Source, Statement};
use std::collections::HashMap;
use std::rc::Rc;

/// Calls `visit` on every expression below `list`.
pub(crate) fn expressions(list: &[Statement], visit: &mut impl FnMut(&Rc<Node>)) {
    for statement in list {
        match statement {
            Statement::Let(_, value) => visit(value),
            Statement::Assign(target, value) => {
                if let Some(Part {
                    dynamic: Some(index),
                    ..
                }) = &target.part
                {
                    visit(index);
                }
                visit(value);
            }
            Statement::If(condition, then, otherwise) => {
                visit(condition);
                expressions(then, visit);
                expressions(otherwise, visit);
            }
            Statement::Case(case) => {
                visit(&case.scrutinee);
                for (_, body) in &case.arms {
                    expressions(body, visit);
                }
                if let Some(body) = &case.default {
                    expressions(body, visit);
                }
            }
        }
    }
}

/// Calls `visit` on everything that `list` writes.
pub(crate) fn writes(list: &[Statement], visit: &mut impl FnMut(Source)) {
    for statement in list {
        match statement {
            Statement::Let(number, _) => visit(Source::Variable(*number)),
            Statement::Assign(target, _) => visit(target.source),
            Statement::If(_, then, otherwise) => {
                writes(then, visit);
                writes(otherwise, visit);
            }
            Statement::Case(case) => {
                for (_, body) in &case.arms {
                    writes(body, visit);
                }
                if let Some(body) = &case.default {
                    writes(body, visit);
                }
            }
        }
    }
}

/// `list` with every expression replaced by what `change` makes of it. `change` may
/// put statements before the one it is called for; its last argument is a hint for names.
pub(crate) fn rebuild(
    list: Vec<Statement>,
    change: &mut impl FnMut(&mut Vec<Statement>, &Rc<Node>, &str) -> Rc<Node>,
    scope_name: &dyn Fn(Source) -> String,
) -> Vec<Statement> {
    let mut out = Vec::new();
    for statement in list {
        let changed = match statement {
            Statement::Let(number, value) => {
                let name = scope_name(Source::Variable(number));
                Statement::Let(number, change(&mut out, &value, &name))
            }
            Statement::Assign(mut target, value) => {
                let name = scope_name(target.source);
                if let Some(part) = &mut target.part
                    && let Some(index) = &part.dynamic
                {
                    part.dynamic = Some(change(&mut out, index, &format!("{name}_at")));
                }
                let value = change(&mut out, &value, &name);
                Statement::Assign(target, value)
            }
            Statement::If(condition, then, otherwise) => {
                let condition = change(&mut out, &condition, "condition");
                let then = rebuild(then, change, scope_name);
                let otherwise = rebuild(otherwise, change, scope_name);
                Statement::If(condition, then, otherwise)
            }
            Statement::Case(case) => {
                let scrutinee = change(&mut out, &case.scrutinee, "selector");
                let arms = case.arms.into_iter();
                let arms = arms
                    .map(|(labels, body)| (labels, rebuild(body, change, scope_name)))
                    .collect();
                let default = case.default.map(|body| rebuild(body, change, scope_name));
                Statement::Case(Case {
                    scrutinee,
                    arms,
                    default,
                })
            }
        };
        out.push(changed);
    }
    out
}

/// How often each variable is read, and whether it is sliced.
pub(crate) fn count(lists: [&[Statement]; 2]) -> HashMap<Source, (usize, bool)> {
    fn scan(node: &Rc<Node>, counts: &mut HashMap<Source, (usize, bool)>) {
        match &node.kind {
            Kind::Read(source) => counts.entry(*source).or_default().0 += 1,
            Kind::Slice(base, _) | Kind::DynamicSlice(base, _)
                if matches!(base.kind, Kind::Read(_)) =>
            {
                if let Kind::Read(source) = base.kind {
                    let entry = counts.entry(source).or_default();
                    entry.0 += 1;
                    entry.1 = true;
                }
                if let Kind::DynamicSlice(_, index) = &node.kind {
                    scan(index, counts);
                }
            }
            _ => node.children(&mut |child| scan(child, counts)),
        }
    }
    let mut counts = HashMap::new();
    for list in lists {
        expressions(list, &mut |node| scan(node, &mut counts));
    }
    counts
}
