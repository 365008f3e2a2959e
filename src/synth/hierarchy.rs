//! Who instantiates whom, from the manifest.

use hallux_hdl::manifest::{Manifest, Memory, Module};
use std::collections::{BTreeMap, BTreeSet};

/// Path of the Rust types of primitives.
const PRIMITIVES: &str = "hallux_hdl::prims::";

/// The modules of a design and how they are nested.
pub(super) struct Hierarchy<'m> {
    manifest: &'m Manifest,
    /// Instances of each module in the whole design.
    instances: BTreeMap<&'m str, u64>,
    /// Modules from the top down, each where it is first met, with its depth.
    order: Vec<(&'m Module, usize)>,
}

impl<'m> Hierarchy<'m> {
    pub(super) fn of(manifest: &'m Manifest) -> Self {
        let mut hierarchy = Self {
            manifest,
            instances: BTreeMap::new(),
            order: vec![],
        };
        let mut seen = BTreeSet::new();
        if let Some(top) = manifest.top_module() {
            hierarchy.visit(top, 0, &mut vec![], &mut seen);
        }
        // Modules that the top does not use still belong to the design.
        for module in &manifest.modules {
            if seen.insert(module.name.as_str()) {
                hierarchy.order.push((module, 0));
            }
        }
        hierarchy
    }

    fn visit(
        &mut self,
        module: &'m Module,
        depth: usize,
        above: &mut Vec<&'m str>,
        seen: &mut BTreeSet<&'m str>,
    ) {
        // A module inside itself is no design; yosys says so with its name.
        if above.contains(&module.name.as_str()) {
            return;
        }
        *self.instances.entry(&module.name).or_default() += 1;
        if seen.insert(&module.name) {
            self.order.push((module, depth));
        }
        above.push(&module.name);
        for instance in &module.instances {
            if let Some(inner) = self.manifest.module(&instance.module) {
                self.visit(inner, depth + 1, above, seen);
            }
        }
        above.pop();
    }

    /// The modules from the top down.
    pub(super) fn top_down(&self) -> impl Iterator<Item = &'m Module> {
        self.order.iter().map(|(module, _)| *module)
    }

    /// How deep below the top `module` is first met.
    pub(super) fn depth(&self, module: &str) -> usize {
        let found = self.order.iter().find(|(known, _)| known.name == module);
        found.map_or(0, |(_, depth)| *depth)
    }

    /// Instances of `module` in the whole design.
    pub(super) fn instances(&self, module: &str) -> u64 {
        self.instances.get(module).copied().unwrap_or(0)
    }

    /// `module` and all modules inside it.
    pub(super) fn below(&self, module: &str) -> Vec<&'m Module> {
        let mut names = BTreeSet::new();
        let mut found = vec![];
        let mut waiting = vec![module.to_string()];
        while let Some(name) = waiting.pop() {
            if !names.insert(name.clone()) {
                continue;
            }
            if let Some(module) = self.manifest.module(&name) {
                found.push(module);
                waiting.extend(module.instances.iter().map(|inner| inner.module.clone()));
            }
        }
        found
    }

    /// The modules directly inside `module`, without primitives.
    pub(super) fn inside(&self, module: &Module) -> impl Iterator<Item = &'m Module> {
        module
            .instances
            .iter()
            .filter_map(|inner| self.manifest.module(&inner.module))
            .filter(|inner| !inner.source.starts_with(PRIMITIVES))
    }

    /// The memory at `path` below `module`: instance names and the name of the array,
    /// joined by dots.
    pub(super) fn memory(&self, module: &str, path: &str) -> Option<&'m Memory> {
        let mut module = self.manifest.module(module)?;
        let mut parts = path.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return module.memories.iter().find(|memory| memory.name == part);
            }
            let instance = module.instances.iter().find(|inner| inner.name == part)?;
            module = self.manifest.module(&instance.module)?;
        }
        None
    }
}
