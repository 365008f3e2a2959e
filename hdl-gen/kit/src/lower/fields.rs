//! Names for the fields of structured signals, and which bits anything reads.

use super::scope::{Class, Id, Scope};
use crate::elaborate::descriptor_width;
use crate::ir::Source;
use crate::manifest;
use rust_hdl_core::prelude::{TypeDescriptor, TypeKind};
use std::collections::{BTreeMap, BTreeSet};

/// A wire that carries one field.
#[derive(Clone, Debug)]
pub(crate) struct FieldWire {
    pub source: Source,
    pub name: String,
    pub offset: usize,
    pub width: usize,
}

/// Field wires in use, and bits in use, of one module.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    wires: BTreeMap<(Id, usize, usize), FieldWire>,
    /// Names that the wires took.
    taken: BTreeSet<String>,
    used: BTreeMap<Id, Vec<(usize, usize)>>,
}

/// All leaf and inner fields: dotted name, offset, width.
pub(crate) fn list(descriptor: &TypeDescriptor) -> Vec<manifest::Field> {
    fn collect(at: &TypeDescriptor, prefix: &str, base: usize, out: &mut Vec<manifest::Field>) {
        let TypeKind::Composite(fields) = &at.kind else {
            return;
        };
        let mut offset = base;
        for field in fields {
            let width = descriptor_width(&field.kind);
            let name = format!("{prefix}{}", field.fieldname);
            if matches!(field.kind.kind, TypeKind::Composite(_)) {
                collect(&field.kind, &format!("{name}."), offset, out);
            } else {
                out.push(manifest::Field {
                    name,
                    offset: offset as u32,
                    width: width as u32,
                });
            }
            offset += width;
        }
    }
    let mut out = Vec::new();
    collect(descriptor, "", 0, &mut out);
    out
}

/// The field that is exactly these bits, by dotted name; inner structures too.
fn exact(descriptor: &TypeDescriptor, offset: usize, width: usize) -> Option<String> {
    let TypeKind::Composite(fields) = &descriptor.kind else {
        return None;
    };
    let mut at = 0;
    for field in fields {
        let size = descriptor_width(&field.kind);
        if at == offset && size == width {
            return Some(field.fieldname.clone());
        }
        if offset >= at && offset + width <= at + size {
            let inner = exact(&field.kind, offset - at, width)?;
            return Some(format!("{}.{inner}", field.fieldname));
        }
        at += size;
    }
    None
}

/// The innermost field that contains these bits, and the position inside it.
fn containing(descriptor: &TypeDescriptor, offset: usize, width: usize) -> Option<(String, usize)> {
    let TypeKind::Composite(fields) = &descriptor.kind else {
        return None;
    };
    let mut at = 0;
    for field in fields {
        let size = descriptor_width(&field.kind);
        if offset >= at && offset + width <= at + size {
            let name = field.fieldname.clone();
            return Some(match containing(&field.kind, offset - at, width) {
                Some((inner, position)) => (format!("{name}.{inner}"), position),
                None => (name, offset - at),
            });
        }
        at += size;
    }
    None
}

impl Fields {
    /// Notes that bits of a signal are read.
    pub fn note(&mut self, scope: &Scope, source: Source, offset: usize, width: usize) {
        if let Some(id) = scope.find(source) {
            self.note_id(id, offset, width);
        }
    }

    /// Whether any bit of a signal is read.
    pub fn is_read(&self, id: Id) -> bool {
        self.used.contains_key(&id)
    }

    /// As [`Fields::note`], by number.
    pub fn note_id(&mut self, id: Id, offset: usize, width: usize) {
        let ranges = self.used.entry(id).or_default();
        if ranges.last() != Some(&(offset, width)) {
            ranges.push((offset, width));
        }
    }

    /// The wire for a field of a signal, if these bits are one.
    pub fn wire(
        &mut self,
        scope: &Scope,
        source: Source,
        offset: usize,
        width: usize,
    ) -> Option<String> {
        let id = scope.find(source)?;
        let signal = &scope.signals[id];
        if let Some(wire) = self.wires.get(&(id, offset, width)) {
            return Some(wire.name.clone());
        }
        let field = exact(signal.descriptor.as_ref()?, offset, width)?;
        let wanted = format!("{}_{}", signal.name, field.replace('.', "_"));
        let mut name = wanted.clone();
        let mut number = 1;
        while scope.is_taken(&name) || self.taken.contains(&name) {
            name = format!("{wanted}_{number}");
            number += 1;
        }
        self.taken.insert(name.clone());
        self.note_id(id, offset, width);
        let wire = FieldWire {
            source,
            name: name.clone(),
            offset,
            width,
        };
        self.wires.insert((id, offset, width), wire);
        Some(name)
    }

    /// `seq` or `seq[7:0]` for bits of a structured signal.
    pub fn describe(
        &self,
        scope: &Scope,
        source: Source,
        offset: usize,
        width: usize,
    ) -> Option<String> {
        let descriptor = scope.signal(source)?.descriptor.as_ref()?;
        if let Some(field) = exact(descriptor, offset, width) {
            return Some(field);
        }
        let (field, position) = containing(descriptor, offset, width)?;
        Some(match width {
            1 => format!("{field}[{position}]"),
            _ => format!("{field}[{}:{position}]", position + width - 1),
        })
    }

    /// The field wires, by signal and offset.
    pub fn wires(&self) -> impl Iterator<Item = &FieldWire> {
        self.wires.values()
    }

    /// Ranges of bits that nothing reads, of the signals that `declared` accepts:
    /// (number, offset, width).
    pub fn unused(&self, scope: &Scope, declared: impl Fn(Id) -> bool) -> Vec<(Id, usize, usize)> {
        let mut out = Vec::new();
        for (id, signal) in scope.signals.iter().enumerate() {
            let relevant = matches!(
                signal.class,
                Class::Input
                    | Class::InnerOutput(_)
                    | Class::Register
                    | Class::Local
                    | Class::Variable
            );
            if !relevant || !declared(id) {
                continue;
            }
            let mut free = vec![(0, signal.width)];
            let mut ranges = self.used.get(&id).cloned().unwrap_or_default();
            ranges.sort_unstable();
            ranges.dedup();
            for (offset, width) in ranges {
                let Some((start, length)) = free.pop() else {
                    break;
                };
                let (end, stop) = (start + length, offset + width);
                if offset > start {
                    free.push((start, offset.min(end) - start));
                }
                if stop < end {
                    let from = stop.max(start);
                    free.push((from, end - from));
                } else if stop >= end {
                    break;
                }
            }
            out.extend(free.into_iter().map(|(offset, width)| (id, offset, width)));
        }
        out
    }
}
