//! The signals that the statements of one module can name.

use crate::ir::{Logic, Source};
use crate::walk::Instance;
use rust_hdl_core::atom::AtomKind;
use rust_hdl_core::prelude::TypeDescriptor;
use std::collections::{BTreeSet, HashMap};

/// What a signal is to the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Input,
    Output,
    Local,
    /// Input of the inner block with this number.
    InnerInput(usize),
    /// Output of the inner block with this number.
    InnerOutput(usize),
    /// Present value of a flip-flop.
    Register,
    /// Next value of a flip-flop; shares its name with the present value.
    RegisterNext,
    RegisterClock,
    /// A `let`.
    Variable,
}

impl Class {
    /// Set by combinational statements of this module.
    pub fn is_combinational(self) -> bool {
        use Class::*;
        matches!(self, Output | Local | InnerInput(_) | Variable)
    }

    /// Whether statements may assign it.
    pub fn is_target(self) -> bool {
        use Class::*;
        self.is_combinational() || matches!(self, RegisterNext | RegisterClock)
    }
}

/// A signal of the module.
#[derive(Clone, Debug)]
pub(crate) struct Signal {
    /// Verilog name, unique in the module.
    pub name: String,
    pub width: usize,
    pub descriptor: Option<TypeDescriptor>,
    pub class: Class,
    pub clock: bool,
    /// For variables: made by the elaborator.
    pub automatic: bool,
    /// For variables: set more than once.
    pub mutable: bool,
}

/// Number of a signal in [`Scope::signals`].
pub(crate) type Id = usize;

/// All signals of a module, by number and by source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    pub signals: Vec<Signal>,
    /// Verilog names of the inner blocks.
    pub instances: Vec<String>,
    sources: HashMap<Source, Id>,
    names: BTreeSet<String>,
}

impl Scope {
    /// The signals that `instance` and its `logic` declare.
    pub fn new(instance: &Instance, logic: &Logic) -> Self {
        let mut scope = Self::default();
        for pin in &instance.pins {
            let class = match pin.kind {
                AtomKind::InputParameter => Class::Input,
                AtomKind::OutputParameter => Class::Output,
                _ => Class::Local,
            };
            scope.pin(pin, pin.name.clone(), class);
        }
        for (number, child) in instance.children.iter().enumerate() {
            // A plain instance name could hide behind a port of the same name inside.
            let instance = scope.claim(&format!("u_{}", child.name));
            scope.instances.push(instance);
            if matches!(child.body, Some(crate::ir::Body::FlipFlop)) {
                let name = scope.claim(&child.name);
                // Next and present value are one variable in Verilog.
                for pin in &child.pins {
                    let class = match pin.name.as_str() {
                        "d" => Class::RegisterNext,
                        "q" => Class::Register,
                        _ => Class::RegisterClock,
                    };
                    scope.add(pin, name.clone(), class);
                }
                continue;
            }
            for pin in &child.pins {
                let name = format!("{}_{}", child.name, pin.name);
                match pin.kind {
                    AtomKind::InputParameter => scope.pin(pin, name, Class::InnerInput(number)),
                    AtomKind::OutputParameter => scope.pin(pin, name, Class::InnerOutput(number)),
                    _ => {}
                }
            }
        }
        for (number, variable) in logic.variables.iter().enumerate() {
            scope.variable(Source::Variable(number), variable.clone());
        }
        scope
    }

    fn pin(&mut self, pin: &crate::walk::Pin, name: String, class: Class) {
        let name = self.claim(&name);
        self.add(pin, name, class);
    }

    fn add(&mut self, pin: &crate::walk::Pin, name: String, class: Class) {
        self.sources
            .insert(Source::Signal(pin.address), self.signals.len());
        self.signals.push(Signal {
            name,
            width: pin.width,
            descriptor: Some(pin.descriptor.clone()),
            class,
            clock: pin.clock,
            automatic: false,
            mutable: false,
        });
    }

    fn variable(&mut self, source: Source, variable: crate::ir::Variable) -> Id {
        let name = self.claim(&variable.name);
        self.sources.insert(source, self.signals.len());
        self.signals.push(Signal {
            name,
            width: variable.width,
            descriptor: variable.descriptor,
            class: Class::Variable,
            clock: false,
            automatic: variable.automatic,
            mutable: variable.mutable,
        });
        self.signals.len() - 1
    }

    /// A new variable that a pass needs, and its source.
    pub fn fresh(&mut self, name: &str, width: usize) -> Source {
        let source = Source::Variable(usize::MAX - self.signals.len());
        let variable = crate::ir::Variable {
            name: name.to_string(),
            width,
            descriptor: None,
            automatic: true,
            mutable: false,
        };
        self.variable(source, variable);
        source
    }

    /// A Verilog name like `wanted` that nothing else has.
    pub fn claim(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_string();
        let mut number = 1;
        if crate::keywords::is_reserved(wanted) {
            name = format!("{wanted}_");
        }
        while !self.names.insert(name.clone()) {
            name = format!("{wanted}_{number}");
            number += 1;
        }
        name
    }

    /// Whether something has this Verilog name.
    pub fn is_taken(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The signal that `source` names, if the module can see it.
    pub fn find(&self, source: Source) -> Option<Id> {
        self.sources.get(&source).copied()
    }

    /// The signal of `source`. Checked sources are always found.
    pub fn signal(&self, source: Source) -> Option<&Signal> {
        self.find(source).map(|id| &self.signals[id])
    }

    /// The Verilog name of `source`.
    pub fn name(&self, source: Source) -> &str {
        self.signal(source).map_or("?", |signal| &signal.name)
    }
}
