//! Which names of a body carry hardware values.
//!
//! The twin of an `#[hdl]` body mixes two worlds. Loop indices, constants,
//! lengths and configuration fields are plain Rust and are evaluated while the
//! design is elaborated. Everything that depends on `.val()` of a signal is
//! hardware. The macro tells them apart by syntax alone: an expression is
//! hardware if it reads a signal or names a hardware binding.

use syn::visit::Visit;
use syn::{Expr, ExprMethodCall, ExprPath, Pat};

/// How a name was bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// A value that exists while elaborating: loop index, constant, length.
    Elaboration,
    /// A wire that is set once.
    Wire,
    /// A `let mut` variable that statements may set again.
    Variable,
}

/// The bindings visible at a point of a body, innermost last.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    names: Vec<(String, Binding)>,
}

impl Scope {
    /// A position to return to with [`Scope::leave`].
    pub fn enter(&self) -> usize {
        self.names.len()
    }

    /// Forgets everything bound since `mark`.
    pub fn leave(&mut self, mark: usize) {
        self.names.truncate(mark);
    }

    pub fn bind(&mut self, name: &syn::Ident, binding: Binding) {
        self.names.push((name.to_string(), binding));
    }

    /// Binds every name of `pattern`.
    pub fn bind_pattern(&mut self, pattern: &Pat, binding: Binding) {
        struct Names<'a>(&'a mut Scope, Binding);
        impl<'ast> Visit<'ast> for Names<'_> {
            fn visit_pat_ident(&mut self, node: &'ast syn::PatIdent) {
                self.0.bind(&node.ident, self.1);
                syn::visit::visit_pat_ident(self, node);
            }
        }
        Names(self, binding).visit_pat(pattern);
    }

    fn lookup(&self, name: &str) -> Option<Binding> {
        let found = self.names.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, binding)| *binding)
    }

    /// How the variable that `expression` names was bound, if it names one.
    pub fn binding(&self, expression: &Expr) -> Option<Binding> {
        match expression {
            Expr::Path(ExprPath { path, .. }) => self.lookup(&path.get_ident()?.to_string()),
            _ => None,
        }
    }

    /// Whether `expression` depends on a signal.
    pub fn is_hardware(&self, expression: &Expr) -> bool {
        struct Search<'a>(&'a Scope, bool);
        impl<'ast> Visit<'ast> for Search<'_> {
            fn visit_expr_method_call(&mut self, node: &'ast ExprMethodCall) {
                if node.method == "val" && node.args.is_empty() {
                    self.1 = true;
                }
                syn::visit::visit_expr_method_call(self, node);
            }
            fn visit_expr_path(&mut self, node: &'ast ExprPath) {
                if let Some(name) = node.path.get_ident()
                    && let Some(Binding::Wire | Binding::Variable) =
                        self.0.lookup(&name.to_string())
                {
                    self.1 = true;
                }
            }
        }
        let mut search = Search(self, false);
        search.visit_expr(expression);
        search.1
    }
}
