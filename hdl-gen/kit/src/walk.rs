//! Reading a design: from rust-hdl blocks to a tree of instances.

use crate::elaborate::{address, take_body};
use crate::ir::Body;
use rust_hdl_core::atom::{Atom, AtomKind};
use rust_hdl_core::prelude::{Block, Probe, TypeDescriptor};

/// A signal of an instance.
#[derive(Clone, Debug)]
pub(crate) struct Pin {
    /// Identifies the signal in descriptions.
    pub address: usize,
    /// Flat name, `_` between levels.
    pub name: String,
    pub kind: AtomKind,
    /// Width in bits.
    pub width: usize,
    pub descriptor: TypeDescriptor,
    /// Carries a clock.
    pub clock: bool,
}

/// A block of the design with everything below it.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    /// Name in the parent.
    pub name: String,
    pub pins: Vec<Pin>,
    pub children: Vec<Instance>,
    /// `None` for a block without a description.
    pub body: Option<Body>,
}

/// The tree below `block`, or `None` if `block` is not a block but a signal or
/// an interface.
pub(crate) fn walk<B: Block>(block: &B, name: &str) -> Option<Instance> {
    let mut walk = Walk::default();
    block.accept(name, &mut walk);
    walk.root
}

#[derive(Default)]
struct Walk {
    open: Vec<(Instance, Vec<String>)>,
    root: Option<Instance>,
}

/// rust-hdl separates array indices with `$`.
fn flat(name: &str) -> String {
    name.replace('$', "_")
}

impl Probe for Walk {
    fn visit_start_scope(&mut self, name: &str, node: &dyn Block) {
        take_body();
        node.hdl();
        let instance = Instance {
            name: flat(name),
            pins: Vec::new(),
            children: Vec::new(),
            body: take_body(),
        };
        self.open.push((instance, Vec::new()));
    }

    fn visit_start_namespace(&mut self, name: &str, _node: &dyn Block) {
        if let Some((_, path)) = self.open.last_mut() {
            path.push(flat(name));
        }
    }

    fn visit_atom(&mut self, name: &str, signal: &dyn Atom) {
        let Some((instance, path)) = self.open.last_mut() else {
            return;
        };
        let mut full = path.clone();
        full.push(flat(name));
        let descriptor = signal.descriptor();
        instance.pins.push(Pin {
            address: address(signal),
            name: full.join("_"),
            kind: signal.kind(),
            width: signal.bits(),
            clock: descriptor.name == "clock",
            descriptor,
        });
    }

    fn visit_end_namespace(&mut self, _name: &str, _node: &dyn Block) {
        if let Some((_, path)) = self.open.last_mut() {
            path.pop();
        }
    }

    fn visit_end_scope(&mut self, _name: &str, _node: &dyn Block) {
        let Some((instance, _)) = self.open.pop() else {
            return;
        };
        match self.open.last_mut() {
            Some((parent, _)) => parent.children.push(instance),
            None => self.root = Some(instance),
        }
    }
}
