//! The body of one module.

use super::plan::Plan;
use super::print::{Printer, literal, range};
use super::scope::{Class, Id, Scope};
use super::traverse::{expressions, writes};
use super::{fields, placeholder};
use crate::ir::{Body, Node, Source, Statement};
use crate::walk::Instance;
use num_bigint::BigUint;
use rust_hdl_core::atom::AtomKind;
use std::collections::{BTreeMap, BTreeSet};

/// Text after the port list, and the instances in it.
pub(crate) struct Written {
    pub text: String,
    pub instances: Vec<(String, usize)>,
}

/// One group of combinational statements, written.
struct Group {
    text: String,
    /// The variable, if the group is nothing but its declaration.
    declares: Option<Source>,
}

pub(crate) fn write(
    instance: &Instance,
    scope: &Scope,
    plan: &Plan,
    children: &[Option<usize>],
) -> Written {
    let mut printer = Printer {
        scope,
        fields: fields::Fields::default(),
        changing: BTreeSet::new(),
        states: BTreeMap::new(),
    };
    let groups: Vec<Group> = plan
        .groups
        .iter()
        .map(|group| write_group(&mut printer, group))
        .collect();
    let (instances_text, instances) = write_instances(&mut printer, instance, plan, children);
    let clocked = write_clocked(&mut printer, plan);

    let mut in_place = BTreeSet::new();
    for group in &groups {
        in_place.extend(group.declares);
    }
    let mut written = BTreeSet::new();
    for group in &plan.groups {
        writes(group, &mut |source| {
            written.extend(scope.find(source));
        });
    }
    // Next and present value of a register share a name.
    let mut stored = BTreeSet::new();
    writes(&plan.clocked, &mut |source| {
        stored.insert(scope.name(source));
    });
    let declared = |id: Id| match scope.signals[id].class {
        Class::Local | Class::Variable => written.contains(&id),
        // A register that the elaborated statements do not mention does not exist.
        Class::Register => {
            stored.contains(scope.signals[id].name.as_str()) || printer.fields.is_read(id)
        }
        _ => true,
    };

    let mut text = String::new();
    for (name, (width, code)) in &printer.states {
        let (range, value) = (range(*width), literal(code, *width));
        text += &format!("    localparam logic {range}{name} = {value};\n");
    }
    text += &declarations(scope, plan, &in_place, declared);
    let wires = |sources: &dyn Fn(Source) -> bool| {
        let mut text = String::new();
        for wire in printer.fields.wires().filter(|wire| sources(wire.source)) {
            let (range, base) = (range(wire.width), scope.name(wire.source));
            let (high, low) = (wire.offset + wire.width - 1, wire.offset);
            let bits = if wire.width == 1 {
                format!("{low}")
            } else {
                format!("{high}:{low}")
            };
            let select = if scope.signal(wire.source).is_some_and(|s| s.width == 1) {
                String::new()
            } else {
                format!("[{bits}]")
            };
            text += &format!("    wire {range}{} = {base}{select};\n", wire.name);
        }
        text
    };
    let early = wires(&|source| !in_place.contains(&source));
    section(&mut text, &early);
    let mut body = String::new();
    for group in &groups {
        body += &group.text;
        if let Some(source) = group.declares {
            body += &wires(&|wire| wire == source);
        }
    }
    section(&mut text, &body);
    section(&mut text, &instances_text);
    section(&mut text, &clocked);
    section(&mut text, &sink(&printer, declared));
    Written { text, instances }
}

fn section(text: &mut String, part: &str) {
    if part.is_empty() {
        return;
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(part);
}

/// Registers, nets of inner blocks, locals and procedural variables.
fn declarations(
    scope: &Scope,
    plan: &Plan,
    in_place: &BTreeSet<Source>,
    declared: impl Fn(Id) -> bool,
) -> String {
    let in_place: BTreeSet<Id> = in_place.iter().filter_map(|s| scope.find(*s)).collect();
    let mut text = String::new();
    for (id, signal) in scope.signals.iter().enumerate() {
        let wanted = match signal.class {
            Class::Input | Class::Output | Class::RegisterNext | Class::RegisterClock => false,
            Class::InnerOutput(_) => true,
            Class::InnerInput(_) => !plan.pins.contains_key(&id),
            Class::Register => declared(id),
            Class::Local | Class::Variable => declared(id) && !in_place.contains(&id),
        };
        if wanted {
            text += &format!("    logic {}{};\n", range(signal.width), signal.name);
        }
    }
    text
}

/// Whether statements can be written as independent continuous assignments.
fn is_parallel(group: &[Statement]) -> bool {
    let mut targets = BTreeSet::new();
    let mut ranges: Vec<(Source, usize, usize)> = Vec::new();
    for statement in group {
        let Statement::Assign(target, _) = statement else {
            return false;
        };
        let (offset, width) = match &target.part {
            None => (0, usize::MAX),
            Some(part) if part.dynamic.is_none() => (part.offset, part.width),
            Some(_) => return false,
        };
        let end = offset.saturating_add(width);
        let overlaps = |other: &(Source, usize, usize)| {
            other.0 == target.source && other.1 < end && offset < other.2
        };
        if ranges.iter().any(overlaps) {
            return false;
        }
        ranges.push((target.source, offset, end));
        targets.insert(target.source);
    }
    let mut independent = true;
    expressions(group, &mut |node| {
        node.reads(&mut |source| independent &= !targets.contains(&source));
    });
    independent
}

fn write_group(printer: &mut Printer<'_>, group: &[Statement]) -> Group {
    printer.changing.clear();
    if let [Statement::Let(number, value)] = group {
        let source = Source::Variable(*number);
        let name = printer.scope.name(source).to_string();
        let left = format!("wire {}{name}", range(value.width));
        return Group {
            text: printer.set(1, &left, "=", value),
            declares: Some(source),
        };
    }
    if is_parallel(group) {
        let mut text = String::new();
        for statement in group {
            if let Statement::Assign(target, value) = statement {
                let left = format!("assign {}", printer.target(target));
                text += &printer.set(1, &left, "=", value);
            }
        }
        return Group {
            text,
            declares: None,
        };
    }
    let mut changing = BTreeSet::new();
    writes(group, &mut |source| {
        changing.insert(source);
    });
    printer.changing = changing;
    let mut text = "    always_comb begin\n".to_string();
    // Variables of inner branches: a value on every path keeps latches away.
    let mut inner = BTreeSet::new();
    for statement in group {
        if matches!(statement, Statement::If(..) | Statement::Case(_)) {
            nested_lets(std::slice::from_ref(statement), &mut inner);
        }
    }
    for number in inner {
        let source = Source::Variable(number);
        if let Some(signal) = printer.scope.signal(source) {
            let zero = literal(&BigUint::ZERO, signal.width);
            text += &format!("        {} = {zero};\n", signal.name);
        }
    }
    text += &printer.statements(group, 2, "=");
    text += "    end\n";
    printer.changing.clear();
    Group {
        text,
        declares: None,
    }
}

/// The variables declared anywhere in `list`.
fn nested_lets(list: &[Statement], found: &mut BTreeSet<usize>) {
    for statement in list {
        match statement {
            Statement::Let(number, _) => {
                found.insert(*number);
            }
            Statement::Assign(..) => {}
            Statement::If(_, then, otherwise) => {
                nested_lets(then, found);
                nested_lets(otherwise, found);
            }
            Statement::Case(case) => {
                let bodies = case.arms.iter().map(|(_, body)| body);
                for body in bodies.chain(&case.default) {
                    nested_lets(body, found);
                }
            }
        }
    }
}

fn write_instances(
    printer: &mut Printer<'_>,
    instance: &Instance,
    plan: &Plan,
    children: &[Option<usize>],
) -> (String, Vec<(String, usize)>) {
    let mut text = String::new();
    let mut list = Vec::new();
    for (number, (child, module)) in instance.children.iter().zip(children).enumerate() {
        let (Some(module), false) = (module, matches!(child.body, Some(Body::FlipFlop))) else {
            continue;
        };
        let mut pins = Vec::new();
        for pin in &child.pins {
            let wired = matches!(
                pin.kind,
                AtomKind::InputParameter | AtomKind::OutputParameter
            );
            let Some(id) = printer.scope.find(Source::Signal(pin.address)) else {
                continue;
            };
            if !wired {
                continue;
            }
            let net = match plan.pins.get(&id) {
                Some(value) => printer.expression(value),
                None => printer.scope.signals[id].name.clone(),
            };
            pins.push(format!("        .{}({net})", pin.name));
        }
        let (name, instance) = (placeholder(*module), &printer.scope.instances[number]);
        let values = parameter_values(&child.body);
        text += &format!(
            "    {name}{values} {instance} (\n{}\n    );\n",
            pins.join(",\n")
        );
        list.push((instance.clone(), *module));
    }
    (text, list)
}

/// ` #(…)` with the parameters of an instance, or nothing.
fn parameter_values(body: &Option<Body>) -> String {
    let Some(Body::Primitive(primitive)) = body else {
        return String::new();
    };
    let values = primitive.parameters.iter();
    let values: Vec<String> = values
        .map(|parameter| format!("        .{}({})", parameter.name, parameter.value))
        .collect();
    match values.is_empty() {
        true => String::new(),
        false => format!(" #(\n{}\n    )", values.join(",\n")),
    }
}

fn write_clocked(printer: &mut Printer<'_>, plan: &Plan) -> String {
    if plan.clocked.is_empty() {
        return String::new();
    }
    let clock = match plan.clock {
        Some(source) => printer.expression(&Node {
            kind: crate::ir::Kind::Read(source),
            width: 1,
        }),
        None => "?".to_string(),
    };
    let body = printer.statements(&plan.clocked, 2, "<=");
    format!("    always_ff @(posedge {clock}) begin\n{body}    end\n")
}

/// One wire that reads every bit that nothing else reads, so that lint speaks up
/// only about bits that are unused by mistake in hand-written code.
fn sink(printer: &Printer<'_>, declared: impl Fn(Id) -> bool) -> String {
    let mut parts = Vec::new();
    for (id, offset, width) in printer.fields.unused(printer.scope, declared) {
        let signal = &printer.scope.signals[id];
        parts.push(if width == signal.width {
            signal.name.clone()
        } else if width == 1 {
            format!("{}[{offset}]", signal.name)
        } else {
            format!("{}[{}:{offset}]", signal.name, offset + width - 1)
        });
    }
    if parts.is_empty() {
        return String::new();
    }
    let mut lines = vec!["        1'b0".to_string()];
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.len() + part.len() < 98 => {
                line.push_str(", ");
                line.push_str(&part);
            }
            _ => {
                if let Some(line) = lines.last_mut() {
                    line.push(',');
                }
                lines.push(format!("        {part}"));
            }
        }
    }
    format!(
        "    // Bits that this module has no use for.\n    wire unused_ok = &{{\n{}\n    }};\n",
        lines.join("\n")
    )
}
