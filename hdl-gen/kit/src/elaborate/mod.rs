//! Recording a description while the design is elaborated.
//!
//! `#[hdl]` writes, beside `Logic::update`, a function `Logic::hdl` that runs
//! the same control structure with [`Value`]s instead of numbers. Every
//! statement becomes a call on the [`Elaborator`], which collects
//! [`Statement`]s. rust-hdl's `Logic::hdl` can only return its own untyped AST,
//! which has no multiplexer, concatenation or width; the description is
//! therefore handed over in a slot of the current thread and picked up by the
//! walk over the design right after the call.

mod functions;
mod ops;
mod structure;
mod untyped;
mod value;

pub use functions::*;
pub use ops::*;
pub(crate) use structure::descriptor_width;
pub use structure::{Flat, Packer, Structure, Unpacker, field, literal, pack, state_bits, unpack};
pub use untyped::{Record, Shape, Untyped, Wire, WireBlock, WireKind, WireRegister};
pub use value::{
    Bundle, Index, IntoBundle, IntoIndex, Lift, Num, Value, bundle, lift, number, typed,
};

use crate::ir::{
    Body, Case, Kind, Logic, Node, Part, Primitive, Source, Statement, Target, Variable,
};
use crate::register::DFF;
use rust_hdl_core::atom::{Atom, AtomKind};
use rust_hdl_core::prelude::{
    Block, Clock, Direction, In, Probe, Signal, Synth, TypeDescriptor, Verilog,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

thread_local! {
    /// The description that the last call of `Logic::hdl` produced.
    static SLOT: Cell<Option<Body>> = const { Cell::new(None) };
}

/// Takes the description that `Logic::hdl` left behind.
pub(crate) fn take_body() -> Option<Body> {
    SLOT.take()
}

/// Leaves a body for the walk; what `Logic::hdl` of a primitive returns.
pub(crate) fn provide(body: Body) -> Verilog {
    SLOT.set(Some(body));
    Verilog::Empty
}

/// The body of `Logic::hdl` of a primitive.
pub fn primitive(primitive: Primitive) -> Verilog {
    provide(Body::Primitive(primitive))
}

/// Records the description of block type `S`; the body of a generated `Logic::hdl`.
pub fn describe<S: ?Sized>(record: impl FnOnce(&Elaborator)) -> Verilog {
    let elaborator = Elaborator::default();
    record(&elaborator);
    let state = elaborator.state.into_inner();
    let statements = state.blocks.into_iter().next().unwrap_or_default();
    provide(Body::Logic(Logic {
        rust_type: std::any::type_name::<S>(),
        statements,
        variables: state.variables,
    }))
}

/// The address that identifies an atom while the design is borrowed.
pub(crate) fn address(atom: &dyn Atom) -> usize {
    std::ptr::from_ref(atom).cast::<()>() as usize
}

/// A signal or constant that `.val()` reads.
pub trait Readable: Atom {
    /// Type of the value.
    type T: Synth;
}

impl<D: Direction, T: Synth> Readable for Signal<D, T> {
    type T = T;
}

/// The value of a signal.
pub fn read<R: Readable>(signal: &R) -> Value<R::T> {
    Value::from_node(Node::new(
        Kind::Read(Source::Signal(address(signal))),
        R::T::BITS,
    ))
}

#[derive(Debug, Default)]
struct State {
    /// Statement lists under construction, outermost first.
    blocks: Vec<Vec<Statement>>,
    /// Choices under construction.
    open: Vec<Open>,
    variables: Vec<Variable>,
    /// Names of the functions that are being inlined, and loop counts.
    prefix: Vec<String>,
    suffix: Vec<usize>,
}

#[derive(Debug)]
enum Open {
    If(Rc<Node>, Option<Vec<Statement>>),
    Case(Case),
    Arm(Vec<Rc<Node>>),
    Default,
}

/// Collects the statements of one block.
#[derive(Debug)]
pub struct Elaborator {
    state: RefCell<State>,
}

impl Default for Elaborator {
    fn default() -> Self {
        Self {
            state: RefCell::new(State {
                blocks: vec![Vec::new()],
                ..State::default()
            }),
        }
    }
}

/// Leaves a function or loop iteration when dropped.
pub struct Leave<'a> {
    elaborator: &'a Elaborator,
    function: bool,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut state = self.elaborator.state.borrow_mut();
        if self.function {
            state.prefix.pop();
        } else {
            state.suffix.pop();
        }
    }
}

impl Elaborator {
    fn push(&self, statement: Statement) {
        if let Some(block) = self.state.borrow_mut().blocks.last_mut() {
            block.push(statement);
        }
    }

    /// Marks the inlining of function `name`; bindings carry its name.
    pub fn function(&self, name: &str) -> Leave<'_> {
        self.state.borrow_mut().prefix.push(name.to_string());
        Leave {
            elaborator: self,
            function: true,
        }
    }

    /// Marks iteration `index` of a loop; bindings carry its number.
    pub fn iteration(&self, index: usize) -> Leave<'_> {
        self.state.borrow_mut().suffix.push(index);
        Leave {
            elaborator: self,
            function: false,
        }
    }

    fn declare<T: Synth>(&self, name: &str, automatic: bool, mutable: bool) -> usize {
        self.declare_variable(name, T::BITS, Some(T::descriptor()), automatic, mutable)
    }

    fn declare_variable(
        &self,
        name: &str,
        width: usize,
        descriptor: Option<TypeDescriptor>,
        automatic: bool,
        mutable: bool,
    ) -> usize {
        let mut state = self.state.borrow_mut();
        let mut full = state.prefix.last().cloned().unwrap_or_default();
        if !full.is_empty() {
            full.push('_');
        }
        full.push_str(name.trim_start_matches('_'));
        for index in &state.suffix {
            full.push_str(&format!("_{index}"));
        }
        state.variables.push(Variable {
            name: full,
            width,
            descriptor,
            automatic,
            mutable,
        });
        state.variables.len() - 1
    }

    fn declare_with<T: Synth>(
        &self,
        name: &str,
        value: Value<T>,
        automatic: bool,
        mutable: bool,
    ) -> Value<T> {
        let number = self.declare::<T>(name, automatic, mutable);
        self.push(Statement::Let(number, value.into_node()));
        Value::from_node(Node::new(Kind::Read(Source::Variable(number)), T::BITS))
    }

    /// `let name = value;`
    pub fn bind<B: IntoBundle>(&self, name: &str, value: B) -> B::Out {
        value.into_bundle().bind(self, name)
    }

    /// A parameter of an inlined function.
    pub fn argument<L: Lift>(&self, name: &str, value: L) -> Value<L::T>
    where
        L::T: Synth,
    {
        let value = value.lift();
        match &value.node().kind {
            Kind::Read(_) | Kind::Constant(_) | Kind::Variant(..) => value,
            Kind::Slice(base, _) if matches!(base.kind, Kind::Read(_)) => value,
            _ => self.declare_with(name, value, true, false),
        }
    }

    /// A value that several uses share.
    pub(crate) fn share<T: Synth>(&self, name: &str, value: Value<T>) -> Value<T> {
        match &value.node().kind {
            Kind::Read(_) | Kind::Constant(_) => value,
            _ => self.declare_with(name, value, true, false),
        }
    }

    /// `let mut name = value;`
    pub fn variable<L: Lift>(&self, name: &str, value: L) -> Value<L::T>
    where
        L::T: Synth,
    {
        self.declare_with(name, value.lift(), false, true)
    }

    fn assign_part(&self, source: Option<Source>, part: Option<Part>, value: Rc<Node>) {
        if let Some(source) = source {
            self.push(Statement::Assign(Target { source, part }, value));
        }
    }

    /// `signal.next = value;`
    pub fn assign<D: Direction, T: Synth>(&self, signal: &Signal<D, T>, value: impl Lift<T = T>) {
        let source = Source::Signal(address(signal));
        self.assign_part(Some(source), None, value.lift().into_node());
    }

    /// `signal.next.field = value;`
    pub fn assign_field<D: Direction, T: Synth, F: Synth>(
        &self,
        signal: &Signal<D, T>,
        _select: impl Fn(T) -> F,
        path: &[&str],
        value: impl Lift<T = F>,
    ) {
        let source = Source::Signal(address(signal));
        let part = structure::part::<T, F>(path);
        self.assign_part(Some(source), Some(part), value.lift().into_node());
    }

    /// `signal.next.field.set_bits(offset, value);`
    pub fn assign_bits<D: Direction, T: Synth, F: Synth, V: Synth>(
        &self,
        signal: &Signal<D, T>,
        _select: impl Fn(T) -> F,
        path: &[&str],
        offset: impl IntoIndex,
        value: impl Lift<T = V>,
    ) {
        let source = Source::Signal(address(signal));
        let part = structure::range::<T>(path, offset, V::BITS);
        self.assign_part(Some(source), Some(part), value.lift().into_node());
    }

    /// `variable = value;`
    pub fn set<T: Synth>(&self, variable: &Value<T>, value: impl Lift<T = T>) {
        self.assign_part(variable.source(), None, value.lift().into_node());
    }

    /// `variable.field = value;`
    pub fn set_field<T: Synth, F: Synth>(
        &self,
        variable: &Value<T>,
        _select: impl Fn(T) -> F,
        path: &[&str],
        value: impl Lift<T = F>,
    ) {
        let part = structure::part::<T, F>(path);
        self.assign_part(variable.source(), Some(part), value.lift().into_node());
    }

    /// `variable.field.set_bits(offset, value);`
    pub fn set_bits<T: Synth, F: Synth, V: Synth>(
        &self,
        variable: &Value<T>,
        _select: impl Fn(T) -> F,
        path: &[&str],
        offset: impl IntoIndex,
        value: impl Lift<T = V>,
    ) {
        let part = structure::range::<T>(path, offset, V::BITS);
        self.assign_part(variable.source(), Some(part), value.lift().into_node());
    }

    /// `a.join(&mut b)` and `a.link(&mut b)`: signals of the same name are tied
    /// together. Opposite directions (join) drive the input from the output;
    /// equal ones (link) pass the outer port through to the inner block.
    pub fn connect<A: Block, B: Block>(&self, a: &A, b: &B) {
        let (a, b) = (Pins::of(a), Pins::of(b));
        for (name, kind, signal, width) in &a.list {
            let Some((_, other_kind, other, _)) = b.list.iter().find(|pin| pin.0 == *name) else {
                continue;
            };
            let (target, source) = match (kind, other_kind) {
                (AtomKind::OutputParameter, AtomKind::InputParameter) => (other, signal),
                (AtomKind::InputParameter, AtomKind::OutputParameter) => (signal, other),
                (AtomKind::InputParameter, _) => (other, signal),
                _ => (signal, other),
            };
            let value = Node::new(Kind::Read(Source::Signal(*source)), *width);
            self.assign_part(Some(Source::Signal(*target)), None, value);
        }
    }

    /// `dff_setup!` for one flip-flop: its clock, and its input held by default.
    pub fn flip_flop<T: Synth>(&self, clk: &Signal<In, Clock>, flip_flop: &DFF<T>) {
        self.assign(&flip_flop.clk, read(clk));
        self.assign(&flip_flop.d, read(&flip_flop.q));
    }

    /// Opens `if condition {`.
    pub fn begin_if(&self, condition: impl Lift<T = bool>) {
        let mut state = self.state.borrow_mut();
        state
            .open
            .push(Open::If(condition.lift().into_node(), None));
        state.blocks.push(Vec::new());
    }

    /// `} else {`
    pub fn begin_else(&self) {
        let mut state = self.state.borrow_mut();
        let then = state.blocks.pop();
        if let Some(Open::If(_, slot)) = state.open.last_mut() {
            *slot = then;
        }
        state.blocks.push(Vec::new());
    }

    /// Closes an `if`.
    pub fn end_if(&self) {
        let mut state = self.state.borrow_mut();
        let last = state.blocks.pop().unwrap_or_default();
        let statement = match state.open.pop() {
            Some(Open::If(condition, Some(then))) => Statement::If(condition, then, last),
            Some(Open::If(condition, None)) => Statement::If(condition, last, Vec::new()),
            _ => return,
        };
        drop(state);
        self.push(statement);
    }

    /// Opens `match value {`; the result makes the labels.
    pub fn begin_match<L: Lift>(&self, value: L) -> Value<L::T> {
        let value = value.lift();
        self.state.borrow_mut().open.push(Open::Case(Case {
            scrutinee: value.node().clone(),
            arms: Vec::new(),
            default: None,
        }));
        value
    }

    /// Opens an arm.
    pub fn begin_arm(&self, labels: Vec<Rc<Node>>) {
        let mut state = self.state.borrow_mut();
        state.open.push(Open::Arm(labels));
        state.blocks.push(Vec::new());
    }

    /// Opens the arm of `_`.
    pub fn begin_default(&self) {
        let mut state = self.state.borrow_mut();
        state.open.push(Open::Default);
        state.blocks.push(Vec::new());
    }

    /// Closes an arm.
    pub fn end_arm(&self) {
        let mut state = self.state.borrow_mut();
        let body = state.blocks.pop().unwrap_or_default();
        let arm = state.open.pop();
        if let Some(Open::Case(case)) = state.open.last_mut() {
            match arm {
                Some(Open::Arm(labels)) => case.arms.push((labels, body)),
                _ => case.default = Some(body),
            }
        }
    }

    /// Closes a `match`.
    pub fn end_match(&self) {
        let open = self.state.borrow_mut().open.pop();
        if let Some(Open::Case(case)) = open {
            self.push(Statement::Case(case));
        }
    }
}

/// The signals of an interface or of a single signal, by relative name.
#[derive(Default)]
struct Pins {
    path: Vec<String>,
    list: Vec<(String, AtomKind, usize, usize)>,
}

impl Pins {
    fn of<B: Block>(block: &B) -> Self {
        let mut pins = Self::default();
        block.accept("", &mut pins);
        pins
    }
}

impl Probe for Pins {
    fn visit_start_namespace(&mut self, name: &str, _node: &dyn Block) {
        self.path.push(name.to_string());
    }
    fn visit_atom(&mut self, name: &str, signal: &dyn Atom) {
        let name = format!("{}.{name}", self.path.join("."));
        self.list
            .push((name, signal.kind(), address(signal), signal.bits()));
    }
    fn visit_end_namespace(&mut self, _name: &str, _node: &dyn Block) {
        self.path.pop();
    }
}
