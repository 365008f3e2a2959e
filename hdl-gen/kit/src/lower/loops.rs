//! Which outputs follow which inputs within a cycle, and loops among them.

use super::plan::Plan;
use super::scope::{Class, Id, Scope};
use crate::error::EmitError;
use crate::ir::{Node, Source, Statement};
use crate::walk::Instance;
use std::collections::{BTreeMap, BTreeSet};

/// Combinational paths through a module: output name to input names.
pub(crate) type Paths = BTreeMap<String, BTreeSet<String>>;

type Set = BTreeSet<Id>;

/// The paths through the module, or the loop in it.
pub(crate) fn paths(
    block: &str,
    instance: &Instance,
    scope: &Scope,
    plan: &Plan,
    children: &[Option<Paths>],
) -> Result<Paths, EmitError> {
    let mut graph: BTreeMap<Id, Set> = BTreeMap::new();
    for group in &plan.groups {
        let mut group_graph = BTreeMap::new();
        sequence(scope, group, &Set::new(), &mut group_graph);
        for (target, sources) in group_graph {
            graph.entry(target).or_default().extend(sources);
        }
    }
    for (id, value) in &plan.pins {
        graph.entry(*id).or_default().extend(reads(scope, value));
    }
    for (child, paths) in instance.children.iter().zip(children) {
        let Some(paths) = paths else {
            continue;
        };
        let pin = |name: &str| {
            let pin = child.pins.iter().find(|pin| pin.name == name)?;
            scope.find(Source::Signal(pin.address))
        };
        for (output, inputs) in paths {
            let inputs: Set = inputs.iter().filter_map(|input| pin(input)).collect();
            if let Some(output) = pin(output) {
                graph.entry(output).or_default().extend(inputs);
            }
        }
    }
    let mut search = Search {
        graph: &graph,
        known: BTreeMap::new(),
        trail: Vec::new(),
    };
    let mut paths = Paths::new();
    for (id, signal) in scope.signals.iter().enumerate() {
        let sources = search
            .sources(id)
            .map_err(|at| EmitError::CombinationalLoop {
                block: block.to_string(),
                path: at
                    .iter()
                    .map(|id| scope.signals[*id].name.clone())
                    .collect(),
            })?;
        if signal.class != Class::Output {
            continue;
        }
        let inputs: BTreeSet<String> = sources
            .iter()
            .filter(|id| scope.signals[**id].class == Class::Input)
            .map(|id| scope.signals[*id].name.clone())
            .collect();
        if !inputs.is_empty() {
            paths.insert(signal.name.clone(), inputs);
        }
    }
    Ok(paths)
}

fn reads(scope: &Scope, node: &Node) -> Set {
    let mut set = Set::new();
    node.reads(&mut |source| set.extend(scope.find(source)));
    set
}

/// Follows statements in order: what each target depends on outside the group.
fn sequence(scope: &Scope, list: &[Statement], conditions: &Set, state: &mut BTreeMap<Id, Set>) {
    let outside = |state: &BTreeMap<Id, Set>, direct: Set| {
        let mut all = Set::new();
        for id in direct {
            match state.get(&id) {
                Some(sources) => all.extend(sources),
                None => {
                    all.insert(id);
                }
            }
        }
        all
    };
    for statement in list {
        match statement {
            Statement::Let(number, value) => {
                let mut sources = outside(state, reads(scope, value));
                sources.extend(conditions);
                if let Some(id) = scope.find(Source::Variable(*number)) {
                    state.entry(id).or_default().extend(sources);
                }
            }
            Statement::Assign(target, value) => {
                let mut direct = reads(scope, value);
                if let Some(index) = target.part.as_ref().and_then(|p| p.dynamic.as_ref()) {
                    direct.extend(reads(scope, index));
                }
                let mut sources = outside(state, direct);
                sources.extend(conditions);
                if let Some(id) = scope.find(target.source) {
                    state.entry(id).or_default().extend(sources);
                }
            }
            Statement::If(condition, then, otherwise) => {
                let mut inner = outside(state, reads(scope, condition));
                inner.extend(conditions);
                sequence(scope, then, &inner, state);
                sequence(scope, otherwise, &inner, state);
            }
            Statement::Case(case) => {
                let mut inner = outside(state, reads(scope, &case.scrutinee));
                inner.extend(conditions);
                let bodies = case.arms.iter().map(|(_, body)| body);
                for body in bodies.chain(&case.default) {
                    sequence(scope, body, &inner, state);
                }
            }
        }
    }
}

struct Search<'a> {
    graph: &'a BTreeMap<Id, Set>,
    /// Transitive sources that are not targets themselves.
    known: BTreeMap<Id, Set>,
    trail: Vec<Id>,
}

impl Search<'_> {
    /// Everything that `id` finally depends on, or the loop it is part of.
    fn sources(&mut self, id: Id) -> Result<Set, Vec<Id>> {
        let Some(direct) = self.graph.get(&id) else {
            return Ok(Set::from([id]));
        };
        if let Some(known) = self.known.get(&id) {
            return Ok(known.clone());
        }
        if let Some(start) = self.trail.iter().position(|seen| *seen == id) {
            let mut path: Vec<Id> = self.trail[start..].to_vec();
            // From cause to effect, closing the circle.
            path.reverse();
            path.insert(0, id);
            return Err(path);
        }
        self.trail.push(id);
        let mut all = Set::new();
        for source in direct {
            all.extend(self.sources(*source)?);
        }
        self.trail.pop();
        self.known.insert(id, all.clone());
        Ok(all)
    }
}
