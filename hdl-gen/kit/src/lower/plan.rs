//! From statements in source order to what a Verilog module consists of.
//!
//! A description is one sequential program. Verilog wants the program cut into
//! continuous assignments, combinational blocks and one clocked block, such that
//! each part sees the values the sequential program would have seen. A value is
//! *settled* at a statement if no later statement (nor the statement itself)
//! writes it; settled values are final and can be read from any other part.
//! Where the clocked block would read an unsettled value, the combinational part
//! keeps a copy for it.

use super::scope::{Class, Id, Scope};
use super::traverse::{count, expressions, rebuild, writes};
use crate::ir::{Case, Kind, Node, Source, Statement, Target};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// The parts of a module.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Groups of combinational statements, in an order in which every `let` is
    /// declared before it is used.
    pub groups: Vec<Vec<Statement>>,
    /// Statements of the clocked block.
    pub clocked: Vec<Statement>,
    /// Clock of the flip-flops.
    pub clock: Option<Source>,
    /// Inner inputs that are tied to an expression, without a net of their own.
    pub pins: BTreeMap<Id, Rc<Node>>,
}

/// Cuts a checked program into parts.
pub(crate) fn plan(scope: &mut Scope, statements: Vec<Statement>) -> Plan {
    let mut plan = Plan::default();
    let statements = name_bases(scope, statements);
    let statements = take_clocks(scope, statements, &mut plan);
    let statements = hoist(scope, statements);
    let (mut combinational, mut clocked) = separate(scope, statements);
    prune(scope, &mut combinational, &mut clocked);
    inline(scope, &mut combinational, &mut clocked);
    prune(scope, &mut combinational, &mut clocked);
    tie_pins(scope, &mut combinational, &mut plan);
    plan.groups = group(scope, combinational);
    plan.clocked = clocked;
    plan
}

/// Gives a name to every computed value that is sliced: Verilog slices names.
fn name_bases(scope: &mut Scope, list: Vec<Statement>) -> Vec<Statement> {
    fn named(
        scope: &mut Scope,
        out: &mut Vec<Statement>,
        node: &Rc<Node>,
        hint: &str,
        known: &mut HashMap<*const Node, (Rc<Node>, Rc<Node>)>,
    ) -> Rc<Node> {
        match &node.kind {
            Kind::Slice(base, offset) if !matches!(base.kind, Kind::Read(_)) => {
                let offset = *offset;
                if let Some((_, read)) = known.get(&Rc::as_ptr(base)) {
                    return Node::new(Kind::Slice(read.clone(), offset), node.width);
                }
                let inner = named(scope, out, base, hint, known);
                let source = scope.fresh(&format!("{hint}_whole"), inner.width);
                if let Source::Variable(number) = source {
                    out.push(Statement::Let(number, inner));
                }
                let read = Node::new(Kind::Read(source), base.width);
                known.insert(Rc::as_ptr(base), (base.clone(), read.clone()));
                Node::slice(&read, offset, node.width)
            }
            Kind::Slice(..) => node.clone(),
            _ => Node::map(node, &mut |child| named(scope, out, child, hint, known)),
        }
    }
    let names: Vec<String> = scope.signals.iter().map(|s| s.name.clone()).collect();
    let lookup = scope.clone();
    let name = move |source: Source| {
        let found = lookup.find(source).and_then(|id| names.get(id));
        found.cloned().unwrap_or_default()
    };
    rebuild(
        list,
        &mut |out, node, hint| named(scope, out, node, hint, &mut HashMap::new()),
        &name,
    )
}

/// Removes clock assignments and the `d := q` defaults of flip-flops, which an
/// `always_ff` does by itself.
fn take_clocks(scope: &Scope, list: Vec<Statement>, plan: &mut Plan) -> Vec<Statement> {
    let mut written: Vec<Id> = Vec::new();
    let mut kept = Vec::new();
    for statement in list {
        if let Statement::Assign(Target { source, part: None }, value) = &statement
            && let Some(id) = scope.find(*source)
            && let Kind::Read(from) = value.kind
        {
            let class = scope.signals[id].class;
            if class == Class::RegisterClock {
                plan.clock = Some(from);
                continue;
            }
            let own = scope.find(from).is_some_and(|from| {
                scope.signals[from].class == Class::Register
                    && scope.signals[from].name == scope.signals[id].name
            });
            if class == Class::RegisterNext && own && !written.contains(&id) {
                continue;
            }
        }
        writes(std::slice::from_ref(&statement), &mut |source| {
            written.extend(
                scope
                    .find(source)
                    .filter(|id| scope.signals[*id].class == Class::RegisterNext),
            );
        });
        kept.push(statement);
    }
    kept
}

/// For every combinational target, the position of the last statement that writes it.
type LastWrite = HashMap<Source, usize>;

fn last_writes(scope: &Scope, list: &[Statement]) -> LastWrite {
    let mut last = LastWrite::new();
    for (position, statement) in list.iter().enumerate() {
        writes(std::slice::from_ref(statement), &mut |source| {
            if scope
                .signal(source)
                .is_some_and(|s| s.class.is_combinational())
            {
                last.insert(source, position);
            }
        });
    }
    last
}

/// Whether `node` has its final value before the statement at `position`.
fn settled(last: &LastWrite, node: &Node, position: usize) -> bool {
    let mut settled = true;
    node.reads(&mut |source| {
        settled &= last.get(&source).is_none_or(|last| *last < position);
    });
    settled
}

/// Moves every `let` whose value is settled out of the choices around it.
fn hoist(scope: &Scope, list: Vec<Statement>) -> Vec<Statement> {
    fn extract(
        scope: &Scope,
        last: &mut LastWrite,
        position: usize,
        list: Vec<Statement>,
        out: &mut Vec<Statement>,
    ) -> Vec<Statement> {
        let mut kept = Vec::new();
        for statement in list {
            match statement {
                Statement::Let(number, value) => {
                    let source = Source::Variable(number);
                    let mutable = scope.signal(source).is_some_and(|s| s.mutable);
                    if !mutable && settled(last, &value, position) {
                        last.remove(&source);
                        out.push(Statement::Let(number, value));
                    } else {
                        kept.push(Statement::Let(number, value));
                    }
                }
                Statement::If(condition, then, otherwise) => {
                    let then = extract(scope, last, position, then, out);
                    let otherwise = extract(scope, last, position, otherwise, out);
                    kept.push(Statement::If(condition, then, otherwise));
                }
                Statement::Case(case) => {
                    let mut arms = Vec::new();
                    for (labels, body) in case.arms {
                        arms.push((labels, extract(scope, last, position, body, out)));
                    }
                    let default = case
                        .default
                        .map(|body| extract(scope, last, position, body, out));
                    kept.push(Statement::Case(Case {
                        scrutinee: case.scrutinee,
                        arms,
                        default,
                    }));
                }
                Statement::Assign(..) => kept.push(statement),
            }
        }
        kept
    }
    let mut last = last_writes(scope, &list);
    let mut out = Vec::new();
    for (position, statement) in list.into_iter().enumerate() {
        match statement {
            Statement::If(..) | Statement::Case(_) => {
                let rest = extract(scope, &mut last, position, vec![statement], &mut out);
                out.extend(rest);
            }
            other => out.push(other),
        }
    }
    out
}

/// Splits a program into its combinational and its clocked half.
fn separate(scope: &mut Scope, list: Vec<Statement>) -> (Vec<Statement>, Vec<Statement>) {
    let last = last_writes(scope, &list);
    let mut separation = Separation { scope, last };
    let (mut combinational, mut clocked) = (Vec::new(), Vec::new());
    for (position, statement) in list.into_iter().enumerate() {
        separation.statement(statement, position, &mut combinational, &mut clocked);
    }
    (combinational, clocked)
}

struct Separation<'a> {
    scope: &'a mut Scope,
    last: LastWrite,
}

impl Separation<'_> {
    /// `node` as the clocked half may read it: as it is, or as a copy that the
    /// combinational half makes at this point.
    fn copy(
        &mut self,
        node: Rc<Node>,
        position: usize,
        name: &str,
        out: &mut Vec<Statement>,
    ) -> Rc<Node> {
        if settled(&self.last, &node, position) {
            return node;
        }
        let width = node.width;
        let source = self.scope.fresh(name, width);
        if let Source::Variable(number) = source {
            out.push(Statement::Let(number, node));
        }
        Node::new(Kind::Read(source), width)
    }

    fn list(&mut self, list: Vec<Statement>, position: usize) -> (Vec<Statement>, Vec<Statement>) {
        let (mut combinational, mut clocked) = (Vec::new(), Vec::new());
        for statement in list {
            self.statement(statement, position, &mut combinational, &mut clocked);
        }
        (combinational, clocked)
    }

    fn statement(
        &mut self,
        statement: Statement,
        position: usize,
        combinational: &mut Vec<Statement>,
        clocked: &mut Vec<Statement>,
    ) {
        match statement {
            Statement::Let(..) => combinational.push(statement),
            Statement::Assign(mut target, value) => {
                let signal = self.scope.signal(target.source);
                let Some(name) = signal
                    .filter(|s| s.class == Class::RegisterNext)
                    .map(|s| format!("{}_next", s.name))
                else {
                    combinational.push(Statement::Assign(target, value));
                    return;
                };
                if let Some(part) = &mut target.part
                    && let Some(index) = part.dynamic.take()
                {
                    let at = format!("{name}_at");
                    part.dynamic = Some(self.copy(index, position, &at, combinational));
                }
                let value = self.copy(value, position, &name, combinational);
                clocked.push(Statement::Assign(target, value));
            }
            Statement::If(condition, then, otherwise) => {
                let mut before = Vec::new();
                let (then_c, then_f) = self.list(then, position);
                let (else_c, else_f) = self.list(otherwise, position);
                let mut condition = condition;
                if !then_f.is_empty() || !else_f.is_empty() {
                    condition = self.copy(condition, position, "condition", &mut before);
                    clocked.push(Statement::If(condition.clone(), then_f, else_f));
                }
                combinational.extend(before);
                if !then_c.is_empty() || !else_c.is_empty() {
                    combinational.push(Statement::If(condition, then_c, else_c));
                }
            }
            Statement::Case(case) => {
                let mut before = Vec::new();
                let (mut arms_c, mut arms_f) = (Vec::new(), Vec::new());
                for (labels, body) in case.arms {
                    let (body_c, body_f) = self.list(body, position);
                    arms_c.push((labels.clone(), body_c));
                    arms_f.push((labels, body_f));
                }
                let (default_c, default_f) = match case.default {
                    Some(body) => {
                        let (c, f) = self.list(body, position);
                        (Some(c), Some(f))
                    }
                    None => (None, None),
                };
                let mut scrutinee = case.scrutinee;
                if used(&arms_f, &default_f) {
                    scrutinee = self.copy(scrutinee, position, "selector", &mut before);
                    clocked.push(Statement::Case(Case {
                        scrutinee: scrutinee.clone(),
                        arms: arms_f,
                        default: default_f,
                    }));
                }
                combinational.extend(before);
                if used(&arms_c, &default_c) {
                    combinational.push(Statement::Case(Case {
                        scrutinee,
                        arms: arms_c,
                        default: default_c,
                    }));
                }
            }
        }
    }
}

type Arm = (Vec<Rc<Node>>, Vec<Statement>);

fn used(arms: &[Arm], default: &Option<Vec<Statement>>) -> bool {
    arms.iter().any(|(_, body)| !body.is_empty()) || default.as_ref().is_some_and(|d| !d.is_empty())
}

/// Drops variables that nothing reads, and choices without statements.
fn prune(scope: &Scope, combinational: &mut Vec<Statement>, clocked: &mut Vec<Statement>) {
    fn drop_unread(
        scope: &Scope,
        counts: &HashMap<Source, (usize, bool)>,
        list: Vec<Statement>,
        changed: &mut bool,
    ) -> Vec<Statement> {
        let mut kept = Vec::new();
        for statement in list {
            let unread = |source: Source| {
                scope
                    .signal(source)
                    .is_some_and(|s| s.class == Class::Variable)
                    && !counts.contains_key(&source)
            };
            match statement {
                Statement::Let(number, _) if unread(Source::Variable(number)) => *changed = true,
                Statement::Assign(target, _) if unread(target.source) => *changed = true,
                Statement::If(condition, then, otherwise) => {
                    let then = drop_unread(scope, counts, then, changed);
                    let otherwise = drop_unread(scope, counts, otherwise, changed);
                    if then.is_empty() && otherwise.is_empty() {
                        *changed = true;
                    } else {
                        kept.push(Statement::If(condition, then, otherwise));
                    }
                }
                Statement::Case(case) => {
                    let arms = case.arms.into_iter();
                    let arms: Vec<_> = arms
                        .map(|(labels, body)| (labels, drop_unread(scope, counts, body, changed)))
                        .collect();
                    let default = case
                        .default
                        .map(|body| drop_unread(scope, counts, body, changed));
                    if used(&arms, &default) {
                        kept.push(Statement::Case(Case {
                            scrutinee: case.scrutinee,
                            arms,
                            default,
                        }));
                    } else {
                        *changed = true;
                    }
                }
                other => kept.push(other),
            }
        }
        kept
    }
    loop {
        let mut changed = false;
        let counts = count([combinational, clocked]);
        *combinational = drop_unread(scope, &counts, std::mem::take(combinational), &mut changed);
        *clocked = drop_unread(scope, &counts, std::mem::take(clocked), &mut changed);
        if !changed {
            return;
        }
    }
}

/// Puts automatic variables that are read once back where they are read.
fn inline(scope: &Scope, combinational: &mut Vec<Statement>, clocked: &mut Vec<Statement>) {
    let counts = count([combinational, clocked]);
    let last = last_writes(scope, combinational);
    let mut values: HashMap<Source, Rc<Node>> = HashMap::new();
    for (position, statement) in combinational.iter().enumerate() {
        if let Statement::Let(number, value) = statement {
            let source = Source::Variable(*number);
            let (reads, sliced) = counts.get(&source).copied().unwrap_or_default();
            let signal = scope.signal(source);
            let automatic = signal.is_some_and(|s| s.automatic && !s.mutable);
            let mutable = signal.is_none_or(|s| s.mutable);
            let replaceable = match &value.kind {
                // Another name for the same thing says nothing new.
                Kind::Read(_) => !mutable,
                Kind::Slice(base, _) if matches!(base.kind, Kind::Read(_)) => automatic && !sliced,
                Kind::Constant(_) => automatic && !sliced,
                _ => automatic && reads == 1 && !sliced,
            };
            if replaceable && settled(&last, value, position) {
                values.insert(source, value.clone());
            }
        }
    }
    fn replace(values: &HashMap<Source, Rc<Node>>, node: &Rc<Node>) -> Rc<Node> {
        if let Kind::Read(source) = &node.kind
            && let Some(value) = values.get(source)
        {
            return replace(values, value);
        }
        Node::map(node, &mut |child| replace(values, child))
    }
    let no_name = |_: Source| String::new();
    let mut change = |_: &mut Vec<Statement>, node: &Rc<Node>, _: &str| replace(&values, node);
    *combinational = rebuild(std::mem::take(combinational), &mut change, &no_name);
    *clocked = rebuild(std::mem::take(clocked), &mut change, &no_name);
    combinational.retain(|statement| {
        !matches!(statement, Statement::Let(number, _)
            if values.contains_key(&Source::Variable(*number)))
    });
}

/// Connects inner inputs that are set once, to something simple, directly.
fn tie_pins(scope: &Scope, combinational: &mut Vec<Statement>, plan: &mut Plan) {
    let mut times: HashMap<Source, usize> = HashMap::new();
    writes(combinational, &mut |source| {
        *times.entry(source).or_default() += 1;
    });
    let last = last_writes(scope, combinational);
    let mut position = 0;
    combinational.retain(|statement| {
        position += 1;
        let Statement::Assign(Target { source, part: None }, value) = statement else {
            return true;
        };
        let Some(id) = scope.find(*source) else {
            return true;
        };
        let simple = match &value.kind {
            Kind::Read(_) | Kind::Constant(_) => true,
            Kind::Slice(base, _) => matches!(base.kind, Kind::Read(_)),
            _ => false,
        };
        let inner = matches!(scope.signals[id].class, Class::InnerInput(_));
        if inner && simple && times[source] == 1 && settled(&last, value, position - 1) {
            plan.pins.insert(id, value.clone());
            return false;
        }
        true
    });
}

/// Cuts the combinational statements into independent groups.
///
/// Statements that write a common target, or that read a value which a later
/// statement still changes, stay together and in order. So do groups that read from each
/// other.
fn group(scope: &Scope, list: Vec<Statement>) -> Vec<Vec<Statement>> {
    let last = last_writes(scope, &list);
    let mut parent: Vec<usize> = (0..list.len()).collect();
    fn root(parent: &mut [usize], mut at: usize) -> usize {
        while parent[at] != at {
            parent[at] = parent[parent[at]];
            at = parent[at];
        }
        at
    }
    fn unite(parent: &mut [usize], a: usize, b: usize) {
        let (a, b) = (root(parent, a), root(parent, b));
        // The later statement represents the group: it is where all is known.
        parent[a.min(b)] = a.max(b);
    }
    for (position, statement) in list.iter().enumerate() {
        let statement = std::slice::from_ref(statement);
        writes(statement, &mut |source| {
            if let Some(last) = last.get(&source) {
                unite(&mut parent, position, *last);
            }
        });
        expressions(statement, &mut |node| {
            node.reads(&mut |source| {
                if let Some(last) = last.get(&source)
                    && *last >= position
                {
                    unite(&mut parent, position, *last);
                }
            });
        });
    }
    // Groups that read from each other would look like a loop: they become one.
    let mut needs: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); list.len()];
    for (position, statement) in list.iter().enumerate() {
        let reader = root(&mut parent, position);
        expressions(std::slice::from_ref(statement), &mut |node| {
            node.reads(&mut |source| {
                if let Some(last) = last.get(&source) {
                    needs[reader].insert(root(&mut parent, *last));
                }
            });
        });
    }
    let reached: Vec<BTreeSet<usize>> = (0..list.len()).map(|at| reach(&needs, at)).collect();
    for (position, below) in reached.iter().enumerate() {
        for other in below {
            if *other != position && reached[*other].contains(&position) {
                unite(&mut parent, position, *other);
            }
        }
    }
    let mut groups: BTreeMap<usize, Vec<Statement>> = BTreeMap::new();
    for (position, statement) in list.into_iter().enumerate() {
        let root = root(&mut parent, position);
        groups.entry(root).or_default().push(statement);
    }
    groups.into_values().collect()
}

/// Everything that `from` needs, directly or not.
fn reach(needs: &[BTreeSet<usize>], from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        for next in &needs[at] {
            if reached.insert(*next) {
                open.push(*next);
            }
        }
    }
    reached
}
