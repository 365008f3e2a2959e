//! Statements: from a Rust block to calls that record it on the elaborator.

use crate::function::is_elaboration_type;
use crate::scope::{Binding, Scope};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Block, Error, Expr, ExprAssign, ExprForLoop, ExprIf, ExprMatch, ExprMethodCall, Local, Member,
    Pat, Result, Stmt,
};

/// State of the translation of one function body.
#[derive(Default)]
pub struct Lowering {
    /// Names visible at the current point.
    pub scope: Scope,
    /// How many `if`/`match` branches used as values surround the current
    /// point. Statements there are evaluated whichever branch is taken.
    pub value_branches: usize,
}

/// The target of an assignment: a signal or variable, and a path of fields.
struct Target<'a> {
    base: &'a Expr,
    fields: Vec<&'a Member>,
    variable: bool,
}

impl Target<'_> {
    /// The arguments that name the target in a call on the elaborator.
    fn arguments(&self) -> TokenStream {
        let base = self.base;
        let fields = &self.fields;
        let texts = fields.iter().map(|f| quote!(#f).to_string());
        quote!(&#base, |value| value #(.#fields)*, &[#(#texts),*])
    }
}

impl Lowering {
    /// A list of statements in a scope of its own.
    pub fn statements(&mut self, list: &[Stmt]) -> Result<TokenStream> {
        let mark = self.scope.enter();
        let mut out = TokenStream::new();
        for statement in list {
            out.extend(self.statement(statement)?);
        }
        self.scope.leave(mark);
        Ok(out)
    }

    /// A block whose last expression is its value.
    pub fn value_block(&mut self, block: &Block) -> Result<TokenStream> {
        let Some((Stmt::Expr(tail, None), before)) = block.stmts.split_last() else {
            return Err(Error::new(
                block.span(),
                "this block must end in a value (an expression without a semicolon)",
            ));
        };
        let mark = self.scope.enter();
        let mut out = TokenStream::new();
        for statement in before {
            out.extend(self.statement(statement)?);
        }
        let tail = self.bundle(tail)?;
        self.scope.leave(mark);
        Ok(quote!({ #out #tail }))
    }

    fn statement(&mut self, statement: &Stmt) -> Result<TokenStream> {
        match statement {
            Stmt::Local(local) => self.binding(local),
            Stmt::Expr(expression, _) => self.expression_statement(expression),
            Stmt::Macro(call) => self.macro_call(&call.mac),
            Stmt::Item(item) => match item {
                syn::Item::Const(_) | syn::Item::Use(_) => Ok(quote!(#item)),
                _ => Err(Error::new(
                    item.span(),
                    "define items outside of the hardware description",
                )),
            },
        }
    }

    fn expression_statement(&mut self, expression: &Expr) -> Result<TokenStream> {
        match expression {
            Expr::Assign(assign) => self.assignment(assign),
            Expr::If(branch) => self.conditional(branch),
            Expr::Match(selection) => self.selection(selection),
            Expr::ForLoop(repeat) => self.repetition(repeat),
            Expr::Block(block) => {
                let body = self.statements(&block.block.stmts)?;
                Ok(quote!({ #body }))
            }
            Expr::MethodCall(call) => self.method_statement(call),
            Expr::Call(call) => self.connection(call),
            Expr::Macro(call) => self.macro_call(&call.mac),
            Expr::Paren(inner) => self.expression_statement(&inner.expr),
            Expr::Tuple(unit) if unit.elems.is_empty() => Ok(TokenStream::new()),
            Expr::While(_) | Expr::Loop(_) => Err(Error::new(
                expression.span(),
                "hardware has no unbounded loops; use `for` with constant bounds",
            )),
            Expr::Return(_) | Expr::Break(_) | Expr::Continue(_) => Err(Error::new(
                expression.span(),
                "hardware has no jumps; use `if` and `else`",
            )),
            _ => Err(Error::new(
                expression.span(),
                "this statement cannot be described as hardware; \
                 use let, assignment, if, match, for, join or link",
            )),
        }
    }

    fn binding(&mut self, local: &Local) -> Result<TokenStream> {
        let Some(init) = &local.init else {
            return Err(Error::new(
                local.span(),
                "give the variable a value where it is declared",
            ));
        };
        if let Some((token, _)) = &init.diverge {
            return Err(Error::new(
                token.span(),
                "hardware cannot leave a block early; use `if` or `match` instead of `let … else`",
            ));
        }
        let (pattern, ty) = match &local.pat {
            Pat::Type(typed) => (&*typed.pat, Some(&*typed.ty)),
            other => (other, None),
        };
        let expression = strip_mut(&init.expr);
        let mutable = matches!(pattern, Pat::Ident(p) if p.mutability.is_some());
        let elaboration = ty.is_some_and(is_elaboration_type);
        if elaboration || (!mutable && !self.scope.is_hardware(&expression)) {
            self.scope.bind_pattern(pattern, Binding::Elaboration);
            let annotation = ty.map(|ty| quote!(: #ty));
            return Ok(quote!(let #pattern #annotation = #expression;));
        }
        let value = self.bundle(&expression)?;
        match pattern {
            Pat::Ident(name) => {
                let ident = &name.ident;
                let text = ident.to_string();
                if mutable {
                    self.scope.bind(ident, Binding::Variable);
                    let value = match ty {
                        Some(ty) => quote!(::hallux_hdl::rt::typed::<#ty>(#value)),
                        None => value,
                    };
                    Ok(quote!(let #ident = __hdl.variable(#text, #value);))
                } else {
                    self.scope.bind(ident, Binding::Wire);
                    let value = match ty {
                        Some(syn::Type::Path(ty)) => {
                            quote!(::hallux_hdl::rt::typed::<#ty>(#value))
                        }
                        _ => value,
                    };
                    Ok(quote!(let #ident = __hdl.bind(#text, #value);))
                }
            }
            Pat::Tuple(tuple) => {
                let mut names = Vec::new();
                for element in &tuple.elems {
                    match element {
                        Pat::Ident(name) if name.mutability.is_none() => {
                            let (ident, text) = (&name.ident, name.ident.to_string());
                            names.push(quote!(let #ident = __hdl.bind(#text, #ident);));
                        }
                        Pat::Wild(_) => {}
                        _ => {
                            return Err(Error::new(
                                element.span(),
                                "name the parts of a tuple one by one",
                            ));
                        }
                    }
                }
                self.scope.bind_pattern(pattern, Binding::Wire);
                Ok(quote!(let #pattern = ::hallux_hdl::rt::bundle(#value); #(#names)*))
            }
            Pat::Wild(_) => Ok(TokenStream::new()),
            _ => Err(Error::new(
                pattern.span(),
                "a hardware `let` takes a name or a tuple of names",
            )),
        }
    }

    /// Splits `signal.next.field`, `variable.field` into target and fields.
    fn target<'a>(&self, expression: &'a Expr) -> Option<Target<'a>> {
        let mut fields = Vec::new();
        let mut at = expression;
        loop {
            if let Some(Binding::Variable) = self.scope.binding(at) {
                fields.reverse();
                return Some(Target {
                    base: at,
                    fields,
                    variable: true,
                });
            }
            match at {
                Expr::Field(field) => {
                    if matches!(&field.member, Member::Named(name) if name == "next") {
                        fields.reverse();
                        return Some(Target {
                            base: &field.base,
                            fields,
                            variable: false,
                        });
                    }
                    fields.push(&field.member);
                    at = &field.base;
                }
                Expr::Paren(inner) => at = &inner.expr,
                _ => return None,
            }
        }
    }

    /// Refuses side effects where they would happen unconditionally.
    fn refuse_in_value_branch(&self, at: &impl Spanned) -> Result<()> {
        if self.value_branches == 0 {
            return Ok(());
        }
        Err(Error::new(
            at.span(),
            "no assignment inside an `if` or `match` that is used as a value; \
             make it a statement and assign a `let mut` declared before it",
        ))
    }

    fn check_base(&self, base: &Expr) -> Result<()> {
        if self.scope.binding(base).is_none() && self.scope.is_hardware(base) {
            return Err(Error::new(
                base.span(),
                "signals are selected while elaborating, not by other signals; \
                 loop over them and compare the index",
            ));
        }
        Ok(())
    }

    fn assignment(&mut self, assign: &ExprAssign) -> Result<TokenStream> {
        let Some(target) = self.target(&assign.left) else {
            if !self.scope.is_hardware(&assign.left) && !self.scope.is_hardware(&assign.right) {
                return Ok(quote!(#assign;));
            }
            return Err(Error::new(
                assign.left.span(),
                "assign to `signal.next`, to a field of it, or to a `let mut` variable",
            ));
        };
        self.refuse_in_value_branch(assign)?;
        self.check_base(target.base)?;
        let value = self.value(&assign.right)?;
        let base = target.base;
        let span = assign.span();
        let arguments = target.arguments();
        Ok(match (target.variable, target.fields.is_empty()) {
            (false, true) => quote_spanned!(span=> __hdl.assign(&#base, #value);),
            (false, false) => quote_spanned!(span=> __hdl.assign_field(#arguments, #value);),
            (true, true) => quote_spanned!(span=> __hdl.set(&#base, #value);),
            (true, false) => quote_spanned!(span=> __hdl.set_field(#arguments, #value);),
        })
    }

    /// `signal.next.set_bits(offset, value)`, `a.join(&mut b)`, `a.link(&mut b)`.
    fn method_statement(&mut self, call: &ExprMethodCall) -> Result<TokenStream> {
        let span = call.span();
        if call.method == "set_bits" && call.args.len() == 2 {
            let Some(target) = self.target(&call.receiver) else {
                return Err(Error::new(
                    call.receiver.span(),
                    "set bits of `signal.next`, of a field of it, or of a `let mut` variable",
                ));
            };
            self.refuse_in_value_branch(call)?;
            self.check_base(target.base)?;
            let offset = self.index(&call.args[0])?;
            let value = self.value(&call.args[1])?;
            let arguments = target.arguments();
            return Ok(if target.variable {
                quote_spanned!(span=> __hdl.set_bits(#arguments, #offset, #value);)
            } else {
                quote_spanned!(span=> __hdl.assign_bits(#arguments, #offset, #value);)
            });
        }
        if (call.method == "join" || call.method == "link") && call.args.len() == 1 {
            let (a, b) = (
                strip_reference(&call.receiver),
                strip_reference(&call.args[0]),
            );
            return Ok(quote_spanned!(span=> __hdl.connect(&#a, &#b);));
        }
        if !self.scope.is_hardware(&Expr::MethodCall(call.clone())) {
            return Ok(quote!(#call;));
        }
        Err(Error::new(
            call.method.span(),
            "this call cannot be described as hardware; \
             statements may call set_bits, join and link",
        ))
    }

    /// `Interface::join(&mut a, &mut b)` and `Interface::link(&mut a, &mut b)`.
    fn connection(&mut self, call: &syn::ExprCall) -> Result<TokenStream> {
        if let Expr::Path(path) = &*call.func
            && let Some(last) = path.path.segments.last()
            && (last.ident == "join" || last.ident == "link")
            && call.args.len() == 2
        {
            let (a, b) = (
                strip_reference(&call.args[0]),
                strip_reference(&call.args[1]),
            );
            let span = call.span();
            return Ok(quote_spanned!(span=> __hdl.connect(&#a, &#b);));
        }
        Err(Error::new(
            call.span(),
            "a call as a statement has no effect in hardware; use its value",
        ))
    }

    fn macro_call(&mut self, call: &syn::Macro) -> Result<TokenStream> {
        if call.path.is_ident("dff_setup") {
            let tokens = &call.tokens;
            return Ok(quote!(::hallux_hdl::dff_setup_hdl!(__hdl, #tokens);));
        }
        if call.path.is_ident("join_streams") {
            let parser = syn::punctuated::Punctuated::<Expr, syn::Token![,]>::parse_terminated;
            let ends = call.parse_body_with(parser)?;
            if ends.len() != 2 {
                return Err(Error::new(
                    call.span(),
                    "a stream has two ends: join_streams!(source, sink)",
                ));
            }
            let (source, sink) = (&ends[0], &ends[1]);
            return Ok(quote!(__hdl.connect(&#source, &#sink);));
        }
        Err(Error::new(
            call.span(),
            "of the macros only dff_setup! and join_streams! can be described as hardware",
        ))
    }

    fn conditional(&mut self, branch: &ExprIf) -> Result<TokenStream> {
        let mark = self.scope.enter();
        let hardware = self.scope.is_hardware(&branch.cond);
        if hardware && contains_let(&branch.cond) {
            return Err(Error::new(
                branch.cond.span(),
                "`if let` works on elaboration values only; use `match` on states",
            ));
        }
        if !hardware {
            bind_let_patterns(&mut self.scope, &branch.cond);
        }
        let then = self.statements(&branch.then_branch.stmts)?;
        self.scope.leave(mark);
        let otherwise = match &branch.else_branch {
            Some((_, other)) => Some(self.expression_statement(other)?),
            None => None,
        };
        let condition = &branch.cond;
        if !hardware {
            let otherwise = otherwise.map(|other| quote!(else { #other }));
            return Ok(quote!(if #condition { #then } #otherwise));
        }
        let condition = self.value(condition)?;
        let span = branch.cond.span();
        let begin = quote_spanned!(span=> __hdl.begin_if(#condition););
        let otherwise = otherwise.map(|other| quote!(__hdl.begin_else(); { #other }));
        Ok(quote! {
            #begin
            { #then }
            #otherwise
            __hdl.end_if();
        })
    }

    fn selection(&mut self, selection: &ExprMatch) -> Result<TokenStream> {
        let scrutinee = &*selection.expr;
        if !self.scope.is_hardware(scrutinee) {
            let mut arms = Vec::new();
            for arm in &selection.arms {
                let mark = self.scope.enter();
                self.scope.bind_pattern(&arm.pat, Binding::Elaboration);
                let body = self.expression_statement(&arm.body)?;
                self.scope.leave(mark);
                let (pattern, guard) = (&arm.pat, arm.guard.as_ref().map(|(_, g)| g));
                let guard = guard.map(|g| quote!(if #g));
                arms.push(quote!(#pattern #guard => { #body }));
            }
            return Ok(quote!(match #scrutinee { #(#arms)* }));
        }
        let scrutinee = self.value(scrutinee)?;
        let mut arms = Vec::new();
        for arm in &selection.arms {
            refuse_guard(arm)?;
            let body = self.expression_statement(&arm.body)?;
            arms.push(match patterns(&arm.pat)? {
                Some(labels) => quote! {
                    __hdl.begin_arm(::std::vec![#(__selector.label(#labels)),*]);
                    { #body }
                    __hdl.end_arm();
                },
                None => quote! {
                    __hdl.begin_default();
                    { #body }
                    __hdl.end_arm();
                },
            });
        }
        let span = selection.expr.span();
        let begin = quote_spanned!(span=> let __selector = __hdl.begin_match(#scrutinee););
        Ok(quote!({ #begin #(#arms)* __hdl.end_match(); }))
    }

    fn repetition(&mut self, repeat: &ExprForLoop) -> Result<TokenStream> {
        if self.scope.is_hardware(&repeat.expr) {
            return Err(Error::new(
                repeat.expr.span(),
                "loops are unrolled: the bounds must be constants, lengths or parameters",
            ));
        }
        let mark = self.scope.enter();
        self.scope.bind_pattern(&repeat.pat, Binding::Elaboration);
        let body = self.statements(&repeat.body.stmts)?;
        self.scope.leave(mark);
        let (pattern, range) = (&repeat.pat, &repeat.expr);
        Ok(quote! {
            for (__iteration, #pattern) in ::std::iter::IntoIterator::into_iter(#range).enumerate() {
                let __loop = __hdl.iteration(__iteration);
                #body
            }
        })
    }
}

/// The label expressions of a pattern; `None` for the wildcard.
pub fn patterns(pattern: &Pat) -> Result<Option<Vec<TokenStream>>> {
    match pattern {
        Pat::Wild(_) => Ok(None),
        Pat::Or(alternatives) => {
            let mut labels = Vec::new();
            for case in &alternatives.cases {
                match patterns(case)? {
                    Some(more) => labels.extend(more),
                    None => return Ok(None),
                }
            }
            Ok(Some(labels))
        }
        Pat::Paren(inner) => patterns(&inner.pat),
        Pat::Lit(literal) => Ok(Some(vec![match &literal.lit {
            syn::Lit::Int(number) => quote!(::hallux_hdl::rt::number(#number as u64)),
            other => quote!(#other),
        }])),
        Pat::Path(path) => Ok(Some(vec![quote!(#path)])),
        Pat::Ident(name) if name.subpat.is_none() && name.by_ref.is_none() => {
            if name
                .ident
                .to_string()
                .starts_with(|c: char| c.is_lowercase())
            {
                return Err(Error::new(
                    name.span(),
                    "a name here would match everything; use `_`",
                ));
            }
            let ident = &name.ident;
            Ok(Some(vec![quote!(#ident)]))
        }
        _ => Err(Error::new(
            pattern.span(),
            "a hardware match takes states, integers, `|` and `_`",
        )),
    }
}

/// Match guards have no counterpart in a Verilog case.
pub fn refuse_guard(arm: &syn::Arm) -> Result<()> {
    match &arm.guard {
        Some((token, _)) => Err(Error::new(
            token.span(),
            "no guards in a hardware match; use an `if` in the arm",
        )),
        None => Ok(()),
    }
}

fn contains_let(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(both) => contains_let(&both.left) || contains_let(&both.right),
        _ => false,
    }
}

fn bind_let_patterns(scope: &mut Scope, condition: &Expr) {
    match condition {
        Expr::Let(binding) => scope.bind_pattern(&binding.pat, Binding::Elaboration),
        Expr::Binary(both) => {
            bind_let_patterns(scope, &both.left);
            bind_let_patterns(scope, &both.right);
        }
        _ => {}
    }
}

/// `&mut x` as `&x`: a description borrows the block immutably.
fn strip_mut(expression: &Expr) -> Expr {
    match expression {
        Expr::Reference(reference) => {
            let mut reference = reference.clone();
            reference.mutability = None;
            Expr::Reference(reference)
        }
        other => other.clone(),
    }
}

/// `x` of `&mut x`.
fn strip_reference(expression: &Expr) -> &Expr {
    match expression {
        Expr::Reference(reference) => strip_reference(&reference.expr),
        other => other,
    }
}
