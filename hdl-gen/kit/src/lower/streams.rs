//! Which streams of a module feed which: what a block diagram shows.
//!
//! A stream is a pair of ports `<name>_data` and `<name>_valid`, or `<name>_valid` alone.
//! Its data may pass multiplexers and registers of the module on the way.

use super::plan::Plan;
use super::scope::{Class, Id, Scope};
use crate::ir::{Node, Source, Statement};
use crate::manifest::Stream;
use crate::walk::{Instance, Pin};
use rust_hdl_core::atom::AtomKind;
use std::collections::{BTreeMap, BTreeSet};

/// The ends of streams inside a module, by the signal that is followed.
#[derive(Default)]
struct Ends {
    sources: BTreeMap<Id, String>,
    sinks: Vec<(Id, String, u32)>,
}

impl Ends {
    /// Adds the streams of `pins`. Seen from inside, inputs of the module and outputs of
    /// inner blocks are sources.
    fn add(&mut self, scope: &Scope, pins: &[Pin], instance: Option<&str>) {
        for pin in pins {
            let Some(name) = pin.name.strip_suffix("_valid") else {
                continue;
            };
            let data = pins
                .iter()
                .find(|other| other.name == format!("{name}_data"));
            let carrier = data.unwrap_or(pin);
            let Some(id) = scope.find(Source::Signal(carrier.address)) else {
                continue;
            };
            let end = match instance {
                Some(instance) => format!("{instance}.{name}"),
                None => name.to_string(),
            };
            let input = pin.kind == AtomKind::InputParameter;
            if input == instance.is_none() {
                self.sources.insert(id, end);
            } else {
                let width = data.map_or(0, |data| data.width as u32);
                self.sinks.push((id, end, width));
            }
        }
    }
}

/// The streams between the inner blocks and the ports of a module, in order of their sinks.
pub(crate) fn streams(instance: &Instance, scope: &Scope, plan: &Plan) -> Vec<Stream> {
    let mut ends = Ends::default();
    ends.add(scope, &instance.pins, None);
    for (child, name) in instance.children.iter().zip(&scope.instances) {
        ends.add(scope, &child.pins, Some(name));
    }
    let mut feeds: BTreeMap<Id, BTreeSet<Id>> = BTreeMap::new();
    for list in plan.groups.iter().chain([&plan.clocked]) {
        collect(scope, list, &mut feeds);
    }
    for (id, value) in &plan.pins {
        note(scope, *id, value, &mut feeds);
    }
    // A register is written under one number and read under another.
    let registers: BTreeMap<&str, Id> = scope
        .signals
        .iter()
        .enumerate()
        .filter(|(_, signal)| signal.class == Class::RegisterNext)
        .map(|(id, signal)| (signal.name.as_str(), id))
        .collect();
    let mut streams = Vec::new();
    for (sink, to, width) in &ends.sinks {
        let mut seen = BTreeSet::new();
        let mut open = vec![*sink];
        while let Some(at) = open.pop() {
            if !seen.insert(at) || ends.sources.contains_key(&at) {
                continue;
            }
            let signal = &scope.signals[at];
            if signal.class == Class::Register {
                open.extend(registers.get(signal.name.as_str()));
            }
            open.extend(feeds.get(&at).into_iter().flatten());
        }
        let sources = seen.iter().filter_map(|id| ends.sources.get(id));
        streams.extend(sources.map(|from| Stream {
            from: from.clone(),
            to: to.clone(),
            width: *width,
        }));
    }
    streams
}

fn note(scope: &Scope, target: Id, value: &Node, feeds: &mut BTreeMap<Id, BTreeSet<Id>>) {
    let feeds = feeds.entry(target).or_default();
    value.reads(&mut |source| feeds.extend(scope.find(source)));
}

/// What each target takes its value from, conditions left aside.
fn collect(scope: &Scope, list: &[Statement], feeds: &mut BTreeMap<Id, BTreeSet<Id>>) {
    for statement in list {
        match statement {
            Statement::Let(number, value) => {
                if let Some(id) = scope.find(Source::Variable(*number)) {
                    note(scope, id, value, feeds);
                }
            }
            Statement::Assign(target, value) => {
                if let Some(id) = scope.find(target.source) {
                    note(scope, id, value, feeds);
                }
            }
            Statement::If(_, then, otherwise) => {
                collect(scope, then, feeds);
                collect(scope, otherwise, feeds);
            }
            Statement::Case(case) => {
                let bodies = case.arms.iter().map(|(_, body)| body);
                for body in bodies.chain(&case.default) {
                    collect(scope, body, feeds);
                }
            }
        }
    }
}
